//! Points at which a test build can be made to die, so that every step between two of them is known to be safe.

/// Marks a step after which a crash must be harmless. Does nothing but in builds with the feature `crash-points`: there each call is
/// counted; with `WAYBILL_CRASH_AT=n` the process ends at the n-th (from 1) as if it were killed, and with
/// `WAYBILL_CRASH_TRACE=file` each point's name is added to that file as one line.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn crash_point(_name: &str) {}

/// Marks a step after which a crash must be harmless. Counts; ends the process at the n-th call when `WAYBILL_CRASH_AT=n`, and
/// writes the names to the file that `WAYBILL_CRASH_TRACE` names.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &str) {
    use std::io::Write;
    use std::sync::Mutex;
    static PASSED: Mutex<u64> = Mutex::new(0);
    // The lock is held to the end, so that no other thread gets further than the point at which the process dies.
    let mut passed = PASSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *passed += 1;
    if let Some(path) = std::env::var_os("WAYBILL_CRASH_TRACE") {
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            let _ = writeln!(file, "{name}");
        }
    }
    let at = std::env::var("WAYBILL_CRASH_AT").ok().and_then(|n| n.parse::<u64>().ok());
    if at == Some(*passed) {
        std::process::abort();
    }
}
