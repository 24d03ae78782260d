//! What was used once and may not be used again, until it expires; bounded.

use crate::fault;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};
use waybill_model::DateTime;

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It was used before.
    #[error("it was used before")]
    Seen,
    /// So many are remembered that no more can be; taking this one would open the door to its replay.
    #[error("too many are remembered at once")]
    Full,
}

/// Remembers identifiers until they expire. When full it refuses what is new rather than forget what could be replayed.
#[derive(Debug)]
pub struct ReplayCache {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seen: HashSet<[u8; 16]>,
    by_expiry: BTreeSet<(i64, [u8; 16])>,
}

impl Default for ReplayCache {
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl ReplayCache {
    /// Remembers at most `capacity` identifiers (about 100 bytes each).
    pub fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }
    /// Takes `identifier` of `issuer`, valid until `expires`, for the first and only time.
    ///
    /// # Errors
    /// [`ReplayError`] when it was taken before or no more can be remembered.
    pub fn take(&self, issuer: &str, identifier: &str, expires: DateTime, now: DateTime) -> Result<(), ReplayError> {
        let mut hasher = Sha256::new();
        hasher.update((issuer.len() as u64).to_be_bytes());
        hasher.update(issuer);
        hasher.update(identifier);
        let digest: [u8; 32] = hasher.finalize().into();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(&(at, old)) = inner.by_expiry.first() {
            if at > now.micros() {
                break;
            }
            inner.by_expiry.pop_first();
            inner.seen.remove(&old);
        }
        if inner.seen.contains(&key) && !fault::off("http-replay") {
            return Err(ReplayError::Seen);
        }
        if inner.seen.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        inner.seen.insert(key);
        inner.by_expiry.insert((expires.micros(), key));
        Ok(())
    }
}
