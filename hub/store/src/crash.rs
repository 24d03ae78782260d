//! Points at which a test build can be made to die, so that every step between two of them is known to be safe.

/// Marks a step after which a crash must be harmless. Does nothing but in builds with the feature `crash-points`: there each call is
/// counted; with `WAYBILL_CRASH_AT=n` the process ends at the n-th (from 1) as if it were killed, with `WAYBILL_CRASH_AT=name:n` at the
/// n-th of that name, and with `WAYBILL_CRASH_TRACE=file` each point's name is added to that file as one line.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn crash_point(_name: &str) {}

/// Marks a step after which a crash must be harmless. Counts; ends the process at the n-th call when `WAYBILL_CRASH_AT=n`, at the n-th of
/// that name when `WAYBILL_CRASH_AT=name:n`, and writes the names to the file that `WAYBILL_CRASH_TRACE` names.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &str) {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::sync::Mutex;
    static PASSED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());
    // The lock is held to the end, so that no other thread gets further than the point at which the process dies.
    let mut passed = PASSED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let of_name = passed.entry(name.to_owned()).or_default();
    *of_name += 1;
    let of_name = *of_name;
    if let Some(path) = std::env::var_os("WAYBILL_CRASH_TRACE")
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = writeln!(file, "{name}");
    }
    let Ok(at) = std::env::var("WAYBILL_CRASH_AT") else { return };
    let dies = match at.split_once(':') {
        Some((wanted, n)) => wanted == name && n.parse() == Ok(of_name),
        None => at.parse() == Ok(passed.values().sum::<u64>()),
    };
    if dies {
        std::process::abort();
    }
}
