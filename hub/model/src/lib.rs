//! The data every room shares: entities, names, times, scopes, problems. Pure, no I/O.
#![forbid(unsafe_code)]
