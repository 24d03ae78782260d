//! The journal, seen from outside.
#[path = "it/chain.rs"]
mod chain;
#[path = "it/common.rs"]
mod common;
#[path = "it/counting.rs"]
mod counting;
#[path = "it/erasure.rs"]
mod erasure;
#[path = "it/segments.rs"]
mod segments;
#[path = "it/tampering.rs"]
mod tampering;
