//! Solid pods: sign-in, discovery, resources, access rules, notifications.
//!
//! The hub has an account and a WebID of its own and signs in as itself. In a pod it may do what its owner lets it: read her grants
//! with the evidence that they are hers, append acknowledgements, read and write resources as Entities, and, where she gave Control,
//! write access rules for what was granted and take them away again. It hears of changes by webhook, WebSocket or polling, and
//! believes none of what a notification says: it looks.
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod decode;
pub mod encode;
mod error;
mod fault;
pub mod health;
mod loss;
mod rdf;
pub mod server;
mod vocab;

pub use client::access::{AccessSnapshot, Agent, Dialect, Modes, Removed};
pub use client::connection::{Account, PodConnection};
pub use client::discovery::vouches;
pub use client::evidence::Evidence;
pub use client::link::lies_in;
pub use client::notify::webhook::{WebhookError, Webhooks};
pub use client::pod::SolidPod;
pub use client::resource::{Body, If, Profile, Sticky};
pub use client::session::Session;
pub use client::watch::{Gone, GrantGone, GrantSeen, Known, KnownGrant, PodEvent};
pub use config::{Channel, PodConfig, Secret, SignIn, SolidConfig, WatchConfig};
pub use error::SolidError;
pub use loss::Loss;

/// Reads a document of access rules, for those who look at snapshots.
///
/// # Errors
/// [`SolidError::Malformed`] when it is not Turtle.
pub fn rules_graph(turtle: &[u8], base: &str) -> Result<oxrdf::Graph, SolidError> {
    rdf::parse_turtle(turtle, base, "access rules")
}
