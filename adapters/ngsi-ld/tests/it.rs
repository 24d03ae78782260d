//! NGSI-LD: the server against a hub in memory, the writes against the rules, the client against the server.

#[path = "it/attrs.rs"]
mod attrs;
#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/batch.rs"]
mod batch;
#[path = "it/client.rs"]
mod client;
#[path = "it/entities.rs"]
mod entities;
#[path = "it/governed.rs"]
mod governed;
#[path = "it/inbox.rs"]
mod inbox;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/notify.rs"]
mod notify;
#[path = "it/subscriptions.rs"]
mod subscriptions;
#[path = "it/wire.rs"]
mod wire;
#[path = "it/write.rs"]
mod write;
