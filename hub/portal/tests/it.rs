//! Tests of the portal over a hub in memory, on real sockets.

#[path = "it/consents.rs"]
mod consents;
#[path = "it/description.rs"]
mod description;
#[path = "it/desk.rs"]
mod desk;
#[path = "it/doors.rs"]
mod doors;
#[path = "it/engine.rs"]
mod engine;
#[path = "it/fake.rs"]
mod fake;
#[path = "it/support.rs"]
mod support;
