//! The connector.

#[path = "it/early.rs"]
mod early;
