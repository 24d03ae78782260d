//! Entity tables, append-only streams and keyed documents; one Batch is one transaction over all three.
#![forbid(unsafe_code)]
