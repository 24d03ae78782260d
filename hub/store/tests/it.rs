//! The store, seen from outside.
#[path = "it/basics.rs"]
mod basics;
#[path = "it/common.rs"]
mod common;
#[path = "it/concurrent.rs"]
mod concurrent;
#[path = "it/durable.rs"]
mod durable;
#[path = "it/expiry.rs"]
mod expiry;
#[path = "it/files.rs"]
mod files;
#[path = "it/model.rs"]
mod model;
#[path = "it/restore.rs"]
mod restore;
#[path = "it/superset.rs"]
mod superset;
#[path = "it/large.rs"]
mod large;
