//! Switches that take one defence away in a test build, so that its test can be shown to notice. No other build has them.

#[cfg(all(feature = "faults", not(debug_assertions)))]
compile_error!("the feature `faults` is for test builds only");

/// Whether the defence `name` is taken away: only in a build with the feature `faults`, when `WAYBILL_FAULT` names it.
#[cfg(feature = "faults")]
pub(crate) fn off(name: &str) -> bool {
    static NAMED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAMED.get_or_init(|| std::env::var("WAYBILL_FAULT").ok()).as_deref() == Some(name)
}

/// Whether the defence `name` is taken away: never.
#[cfg(not(feature = "faults"))]
pub(crate) const fn off(_name: &str) -> bool {
    false
}
