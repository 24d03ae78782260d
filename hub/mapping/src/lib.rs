//! Declarative two-way vocabulary lenses with a loss report.
#![forbid(unsafe_code)]
