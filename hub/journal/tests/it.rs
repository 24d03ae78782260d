//! The journal, seen from outside.
#[path = "it/chain.rs"]
mod chain;
#[path = "it/common.rs"]
mod common;
