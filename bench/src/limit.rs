//! A bound on how long all of it may take: a figure that does not get its turn is printed as short, and says so.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static END: OnceLock<Instant> = OnceLock::new();

/// Measuring ends `seconds` from now.
pub fn set(seconds: u64) {
    let _ = END.set(Instant::now() + Duration::from_secs(seconds));
}

/// An error once the time is over.
pub fn check() -> Result<(), String> {
    match END.get() {
        Some(end) if Instant::now() > *end => Err("the time allowed was over; give more with --limit SECONDS".to_owned()),
        _ => Ok(()),
    }
}
