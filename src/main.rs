//! The waybill program.
#![forbid(unsafe_code)]
fn main() {}
