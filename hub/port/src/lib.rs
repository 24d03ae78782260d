//! What an adapter is: the traits Source, Sink, Grants, Notices and Health, and its capabilities.
//!
//! The engine (`exchange`) knows platforms only through these. An adapter implements those it can and is named in the program's
//! one table. HTTP mounting stays outside: an adapter's `server.rs` gives its routes.
#![forbid(unsafe_code)]

mod answer;
mod traits;

pub use answer::{Delivered, DeliveryError};
pub use waybill_gate::{Deleted, Parcel};
pub use traits::{AccessChange, BoxFuture, Grants, Health, HealthState, Notice, Notices, Selection, Sink, Source};
