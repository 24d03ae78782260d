//! The store, seen from outside.
#[path = "it/basics.rs"]
mod basics;
#[path = "it/common.rs"]
mod common;
