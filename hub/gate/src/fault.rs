//! Switches that turn one defence off in a test build, so that its test can be shown to notice. No other build has them.

#[cfg(all(feature = "faults", not(debug_assertions)))]
compile_error!("the feature `faults` is for test builds only");

/// Whether the defence `name` is turned off: never, but in a build with the feature `faults` when `WAYBILL_FAULT` names it.
#[cfg(feature = "faults")]
pub(crate) fn off(name: &str) -> bool {
    static NAMED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAMED.get_or_init(|| std::env::var("WAYBILL_FAULT").ok()).as_deref() == Some(name)
}

/// Whether the defence `name` is turned off: never.
#[cfg(not(feature = "faults"))]
pub(crate) const fn off(_name: &str) -> bool {
    false
}
