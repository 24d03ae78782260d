//! Hub to hub: did:web document, envelopes, status lists, event inbox, acknowledgements, heartbeats.
//!
//! Data itself travels as NGSI-LD; what is here lets the other hub verify it, and tells it what became of it.
#![forbid(unsafe_code)]

mod client;
mod config;
mod decode;
mod encode;
mod health;
mod server;

pub use client::PeerClient;
pub use config::PeerConfig;
pub use health::PeerHealth;
pub use server::routes;
