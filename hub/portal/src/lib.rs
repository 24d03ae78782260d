//! Administration and consent API, health and metrics.
#![forbid(unsafe_code)]
