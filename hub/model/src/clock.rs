//! The injected clock. No room reads the system's time but through this handle.

use crate::DateTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A handle on the time: the system's, plus an offset that tests and the demo may move. Clones share the offset.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Microseconds added to the system's time, or the fixed time itself.
    offset: AtomicI64,
    fixed: bool,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Self {
        Self(Arc::new(Inner { offset: AtomicI64::new(0), fixed: false }))
    }

    /// A clock that stands at `at` until it is moved.
    pub fn fixed(at: DateTime) -> Self {
        Self(Arc::new(Inner { offset: AtomicI64::new(at.micros()), fixed: true }))
    }

    /// Moves this clock and all its clones by `micros`; negative moves back.
    pub fn advance_micros(&self, micros: i64) {
        self.0.offset.fetch_add(micros, Ordering::SeqCst);
    }

    /// The time now.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system's time")]
    pub fn now(&self) -> DateTime {
        let offset = self.0.offset.load(Ordering::SeqCst);
        if self.0.fixed {
            return DateTime::from_micros(offset);
        }
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        DateTime::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX).saturating_add(offset))
    }
}
