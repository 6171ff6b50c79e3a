//! Leases: one holder at a time, and a number that proves who it is.
//!
//! A holder may be paused, and a clock may be set, so time alone cannot say who holds a lease.
//! Every time a lease changes hands its token grows by one. The newest token is the only valid one:
//! [`Ledger::check`] and [`Ledger::renew`] compare tokens and never look at the clock.
//! Time only says when somebody else *may* take a lease over. If a jump of the clock makes that happen too early,
//! the old holder's next check fails; at no moment do two tokens pass.

use std::time::Duration;

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

use crate::error::{LedgerError, Result};
use crate::open::{Ledger, Tx};

/// Who holds a lease: enough to find out whether it still lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    /// The kernel's boot id: a process of another boot is dead whatever its number.
    pub boot_id: String,
    /// What the holder is doing, for the message to whoever has to wait.
    pub note: String,
}

/// A lease that was acquired. `token` is the fencing token: it grows each time the lease changes hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub name: String,
    pub token: u64,
    /// Until when nobody else may take it over, in Unix milliseconds.
    pub expires_ms: i64,
    ttl_ms: i64,
}

/// A lease as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    pub holder: Holder,
    pub token: u64,
    pub since_ms: i64,
    pub expires_ms: i64,
}

/// Why a lease could not be acquired, or is no longer one's own.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("`{name}` is held by process {} ({})", .holder.pid, .holder.note)]
    Held { name: String, holder: Holder, since_ms: i64, expires_ms: i64 },
    #[error("the lease on `{name}` with token {token} is lost")]
    Lost { name: String, token: u64 },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

// === impl Ledger ===

impl Ledger {
    /// Takes a lease for `ttl`, if it is free or its time is over.
    pub fn acquire(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Lease, LeaseError> {
        // Being refused is an answer, not a failure: what a look at the clock corrected must be kept.
        self.write(|tx| Ok::<_, LeaseError>(tx.try_acquire(name, holder, ttl)))?
    }

    /// Prolongs a lease by the time it was acquired for. `Lost` when somebody else has taken it since.
    pub fn renew(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        self.write(|tx| tx.renew(lease))
    }

    /// Gives a lease back. Giving back a lease that is lost does nothing.
    pub fn release(&self, lease: &Lease) -> Result<()> {
        self.write(|tx| tx.release(lease))
    }

    /// The fence: whether this lease is still the newest and not given back. Looks at the token, never at the clock.
    pub fn check(&self, lease: &Lease) -> Result<(), LeaseError> {
        if self.read(|tx| tx.token_stands(lease))? { Ok(()) } else { Err(lost(lease)) }
    }

    /// Who holds a lease now, even when its time is over and nobody has taken it.
    pub fn holder(&self, name: &str) -> Result<Option<Held>> {
        self.read(|tx| tx.held(name))
    }

    /// Frees a lease whose holder is dead, and says who it was. A living holder keeps it.
    pub fn steal_if_dead(&self, name: &str, alive: impl Fn(&Holder) -> bool) -> Result<Option<Holder>> {
        // `alive` looks at the machine and may be slow, so it is asked outside the transaction.
        let Some(held) = self.holder(name)? else {
            return Ok(None);
        };
        if alive(&held.holder) {
            return Ok(None);
        }
        let freed = self.write(|tx| tx.free(name, held.token))?;
        Ok(freed.then_some(held.holder))
    }

    /// Frees every lease whose holder is dead; answers their names and who held them.
    pub fn free_dead(&self, alive: impl Fn(&Holder) -> bool) -> Result<Vec<(String, Holder)>> {
        let mut freed = Vec::new();
        for name in self.read(|tx| tx.held_names())? {
            freed.extend(self.steal_if_dead(&name, &alive)?.map(|holder| (name, holder)));
        }
        Ok(freed)
    }
}

// === impl Tx ===

impl Tx<'_> {
    /// Like [`Ledger::acquire`], inside a transaction.
    pub fn acquire(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Lease, LeaseError> {
        self.try_acquire(name, holder, ttl)
    }

    pub fn renew(&self, lease: &Lease) -> Result<Lease, LeaseError> {
        let expires_ms = self.now_ms().saturating_add(lease.ttl_ms);
        let changed = self.sql("renew a lease", |connection| {
            connection.execute(
                "UPDATE lease SET expires_ms = ?3 WHERE name = ?1 AND token = ?2 AND holder IS NOT NULL",
                rusqlite::params![lease.name, signed(lease.token), expires_ms],
            )
        })?;
        if changed == 0 { Err(lost(lease)) } else { Ok(Lease { expires_ms, ..lease.clone() }) }
    }

    pub fn release(&self, lease: &Lease) -> Result<()> {
        self.free(&lease.name, lease.token).map(|_| ())
    }

    /// The fence, in the same transaction as the write it protects.
    pub fn check(&self, lease: &Lease) -> Result<(), LeaseError> {
        if self.token_stands(lease)? { Ok(()) } else { Err(lost(lease)) }
    }

    fn try_acquire(&self, name: &str, holder: Holder, ttl: Duration) -> Result<Lease, LeaseError> {
        let now = self.now_ms();
        if let Some(held) = self.held_after_clock_jumps(name, now)?
            && held.expires_ms > now
        {
            let Held { holder, since_ms, expires_ms, .. } = held;
            return Err(LeaseError::Held { name: name.to_owned(), holder, since_ms, expires_ms });
        }
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let expires_ms = now.saturating_add(ttl_ms);
        let holder = serde_json::to_string(&holder)
            .map_err(|source| LedgerError::Encode { what: "a lease holder".to_owned(), source })?;
        let token: i64 = self.sql("acquire a lease", |connection| {
            connection.query_row(
                "INSERT INTO lease (name, token, holder, since_ms, expires_ms, ttl_ms) VALUES (?1, 1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (name) DO UPDATE SET token = token + 1, holder = ?2, since_ms = ?3, expires_ms = ?4, ttl_ms = ?5
                 RETURNING token",
                rusqlite::params![name, holder, now, expires_ms, ttl_ms],
                |row| row.get(0),
            )
        })?;
        Ok(Lease { name: name.to_owned(), token: unsigned(token), expires_ms, ttl_ms })
    }

    /// A clock set back would make a lease last for as long as the jump. It lasts at most its own length from now.
    fn held_after_clock_jumps(&self, name: &str, now: i64) -> Result<Option<Held>> {
        self.sql("look at a lease", |connection| {
            connection.execute(
                "UPDATE lease SET expires_ms = ?2 + ttl_ms WHERE name = ?1 AND expires_ms - ttl_ms > ?2",
                rusqlite::params![name, now],
            )
        })?;
        self.held(name)
    }

    fn held(&self, name: &str) -> Result<Option<Held>> {
        let row = self.sql("look at a lease", |connection| {
            connection
                .query_row(
                    "SELECT holder, token, since_ms, expires_ms FROM lease WHERE name = ?1 AND holder IS NOT NULL",
                    [name],
                    |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .optional()
        })?;
        let Some((holder, token, since_ms, expires_ms)) = row else {
            return Ok(None);
        };
        let holder = self.decode(&holder, || format!("the holder of the lease `{name}`"))?;
        Ok(Some(Held { holder, token: unsigned(token), since_ms, expires_ms }))
    }

    fn held_names(&self) -> Result<Vec<String>> {
        self.sql("list the leases", |connection| {
            let mut names = connection.prepare("SELECT name FROM lease WHERE holder IS NOT NULL ORDER BY name")?;
            names.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn token_stands(&self, lease: &Lease) -> Result<bool> {
        self.sql("check a lease", |connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM lease WHERE name = ?1 AND token = ?2 AND holder IS NOT NULL)",
                rusqlite::params![lease.name, signed(lease.token)],
                |row| row.get(0),
            )
        })
    }

    fn free(&self, name: &str, token: u64) -> Result<bool> {
        self.sql("release a lease", |connection| {
            connection
                .execute(
                    "UPDATE lease SET holder = NULL WHERE name = ?1 AND token = ?2 AND holder IS NOT NULL",
                    rusqlite::params![name, signed(token)],
                )
                .map(|changed| changed > 0)
        })
    }
}

fn lost(lease: &Lease) -> LeaseError {
    LeaseError::Lost { name: lease.name.clone(), token: lease.token }
}

/// SQLite's integers are signed; a token that does not fit never existed.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(-1)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
