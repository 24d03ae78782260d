//! Entity tables, append-only streams and keyed documents; one Batch is one transaction over all three.
//!
//! Generic and low: this room knows no consent, no policy and no platform. Everything is kept in one embedded `SQLite` database
//! with one writer thread (group commit) and a bounded pool of reader threads. [`Store::commit`] returns when the batch is
//! durable, and not before.
#![forbid(unsafe_code)]

mod batch;
mod crash;
mod error;
mod filter;
mod reader;
mod sqlite;

pub use batch::{Batch, Committed};
pub use crash::crash_point;
pub use error::StoreError;
pub use filter::Filter;
pub use reader::{Doc, Expired, Reader};
pub use sqlite::{Health, Options, SCHEMA_VERSION, Scrub, Store};
