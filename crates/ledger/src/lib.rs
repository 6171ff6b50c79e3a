//! The memory of Mainstay: one SQLite file that says what happened, what was proved, who holds what and who did what.
//!
//! Everything that must survive a power cut is here, and nothing else in the workspace writes SQL.
//! The domains keep their documents as *records*, tell their story as *events*, leave *evidence* for the gates,
//! exclude each other with *leases*, sign every action into the *audit* chain, and let `saga` keep its intent log.
//!
//! Three rules hold for every row.
//!
//! 1. **Written means durable.** The file is in WAL mode with `synchronous=FULL`: when a method that writes returns `Ok`,
//!    the row survives the loss of power. When it returns an error, nothing of it was written.
//! 2. **Order is a number, not a time.** Rows are ordered by `seq`, leases are judged by their fencing token and the audit
//!    chain by its hashes, because a wall clock can jump in either direction.
//! 3. **Nothing is thrown away silently.** A damaged file is reported and left as it is; [`Ledger::set_aside`] renames it
//!    when somebody decides so. A row that is not what was written any more counts as damage. A record that no longer decodes is an error with its name, or is listed as unreadable.
//!
//! ```text
//!   deploy, backup, gates ...      saga
//!        |  records, events,        |  intent log
//!        |  evidence, leases        |
//!        v                          v
//!   Ledger ----- transaction(|tx| ...) ----- Tx      the same methods on both
//!        |
//!   mainstay.db (+ -wal, -shm), migrations applied in order by `user_version`
//! ```
//!
//! The audit chain: every entry carries the hash of the one before it, and the newest hash is kept once more in a row apart.
//! Changing, adding, reordering or cutting entries breaks one of the two. Somebody who can rewrite the whole file can
//! rewrite the whole chain; compare [`Ledger::verify_audit_against`] with a head kept elsewhere to find that too.
//!
//! What it never does: hold a secret, delete a file, prune the audit chain, decide by the clock who holds a lease.

mod audit;
mod canonical;
mod error;
mod event;
mod evidence;
mod lease;
mod migrate;
mod open;
mod record;
mod retention;
mod saga_log;
mod set_aside;
mod sums;

pub use audit::{AuditEntry, AuditHead, AuditVerdict, Chain};
pub use error::{LedgerError, Result};
pub use event::{Event, EventFilter, NewEvent};
pub use lease::{Held, Holder, Lease, LeaseError};
pub use open::{Ledger, Tx};
pub use record::{Records, UnreadableRecord};
pub use retention::{Keep, Pruned, Retention, Size};
pub use saga_log::{SagaEventRow, SagaFilter, SagaOutcome, SagaRow};
