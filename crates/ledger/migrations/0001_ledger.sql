-- The first ledger: what happened, what was proved, who holds what, and who did what.
-- Times are Unix milliseconds. JSON is text, and is checked at the door.

CREATE TABLE event (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms       INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  platform    TEXT NOT NULL,
  environment TEXT NOT NULL,
  service     TEXT,
  saga        TEXT,
  data        TEXT NOT NULL CHECK (json_valid(data))
) STRICT;
CREATE INDEX event_by_platform ON event (platform, environment, seq);
CREATE INDEX event_by_saga ON event (saga, seq) WHERE saga IS NOT NULL;

CREATE TABLE evidence (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms   INTEGER NOT NULL,
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (json_valid(verdict)),
  detail  TEXT NOT NULL CHECK (json_valid(detail))
) STRICT;
CREATE INDEX evidence_by_subject ON evidence (kind, subject, seq);

-- A row is never deleted: its token must go on counting after the lease is free again.
CREATE TABLE lease (
  name       TEXT PRIMARY KEY,
  token      INTEGER NOT NULL,
  holder     TEXT CHECK (holder IS NULL OR json_valid(holder)),
  since_ms   INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  ttl_ms     INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
  seq       INTEGER PRIMARY KEY,
  at_ms     INTEGER NOT NULL,
  actor     TEXT NOT NULL,
  action    TEXT NOT NULL,
  subject   TEXT NOT NULL,
  detail    TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash      TEXT NOT NULL
) STRICT;
-- The head stands apart from the entries, so that entries cut from the end are missed.
CREATE TABLE audit_head (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  seq  INTEGER NOT NULL,
  hash TEXT NOT NULL
) STRICT;
-- The triggers stop accidents; the hash chain finds intent.
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'audit entries are never deleted'); END;

CREATE TABLE record (
  kind       TEXT NOT NULL,
  key        TEXT NOT NULL,
  body       TEXT NOT NULL CHECK (json_valid(body)),
  updated_ms INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE saga (
  id          TEXT PRIMARY KEY,
  kind        TEXT NOT NULL,
  params      TEXT NOT NULL CHECK (json_valid(params)),
  steps       TEXT NOT NULL CHECK (json_valid(steps)),
  lease_token INTEGER,
  created_ms  INTEGER NOT NULL,
  outcome     TEXT CHECK (outcome IN ('done', 'undone', 'stuck')),
  reason      TEXT CHECK (reason IS NULL OR json_valid(reason)),
  finished_ms INTEGER
) STRICT;
CREATE INDEX saga_by_outcome ON saga (outcome, created_ms);

-- One index of one saga is written once: two runners of the same saga cannot both go on.
CREATE TABLE saga_event (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  saga  TEXT NOT NULL REFERENCES saga (id) ON DELETE CASCADE,
  idx   INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  event TEXT NOT NULL CHECK (json_valid(event)),
  UNIQUE (saga, idx)
) STRICT;
