//! The traits.

use crate::answer::{Delivered, DeliveryError};
use std::future::Future;
use std::pin::Pin;
use waybill_gate::{Parcel, Released};
use waybill_model::{Iri, Problem};
use waybill_query::EntityQuery;

/// A boxed future, so that the traits can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a follower (a subscription, a connection that is fed) wants to see.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Which entities, and with its projection what of them.
    pub query: EntityQuery,
    /// Only changes of these Attributes count; empty means any.
    pub watched: Vec<Iri>,
    /// Whether the follower hears that something is gone. A follower that does not may get no personal data, unless its recipient
    /// has an event inbox (consent-design §8).
    pub hears_deletions: bool,
}

/// Takes what was released to where it goes: a notification endpoint, a broker, a pod.
pub trait Sink: Send + Sync {
    /// The name by which followers in the store refer to this sink, e.g. `ngsi-ld.notify`.
    fn kind(&self) -> &'static str;
    /// What the follower with this stored specification wants.
    ///
    /// # Errors
    /// A [`Problem`] when the specification cannot be read.
    fn selection(&self, spec: &[u8]) -> Result<Selection, Problem>;
    /// Delivers once. Must be safe to repeat with the same [`Parcel::key`].
    fn deliver<'a>(&'a self, spec: &'a [u8], parcel: &'a Released<Parcel>) -> BoxFuture<'a, Result<Delivered, DeliveryError>>;
}

/// Brings data in: asks the other platform to send what the route selects. Called at start and again whenever it may have been lost.
pub trait Source: Send + Sync {
    /// The configured connection's name.
    fn connection(&self) -> &str;
    /// Makes sure that the other side sends its changes to the hub's inbox. Safe to repeat.
    fn follow(&self) -> BoxFuture<'_, Result<(), DeliveryError>>;
}

/// A change of access in a personal data store.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum AccessChange {
    /// The hub's acknowledgement, to be appended to her acknowledgements container: a JSON document.
    Acknowledge {
        /// The document.
        document: String,
    },
    /// Access that was granted to `recipient` for `resource` goes.
    Remove {
        /// Who loses it.
        recipient: Iri,
        /// To what.
        resource: String,
    },
}

/// A personal data store in which grants live.
pub trait Grants: Send + Sync {
    /// The configured connection's name.
    fn connection(&self) -> &str;
    /// Whether the store is that of `subject`.
    fn serves(&self, subject: &Iri) -> bool;
    /// Carries out a change in the store of `subject`.
    fn apply<'a>(&'a self, subject: &'a Iri, change: &'a AccessChange) -> BoxFuture<'a, Result<(), DeliveryError>>;
}

/// What one hub tells another outside of data: each is a signed compact JWS.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub enum Notice {
    /// A security event token: withdrawal, deletion, suspension.
    Event(String),
    /// An acknowledgement.
    Acknowledgement(String),
    /// A heartbeat.
    Heartbeat(String),
}

/// Sends notices to another hub and fetches what it published.
pub trait Notices: Send + Sync {
    /// Sends one notice to the hub at `base_url`.
    fn send<'a>(&'a self, base_url: &'a str, notice: &'a Notice) -> BoxFuture<'a, Result<(), DeliveryError>>;
    /// Fetches a public document of another hub (an envelope, a manifest, a key document, a status list) as text.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<String, DeliveryError>>;
}

/// How a connection is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum HealthState {
    /// It answered.
    Up,
    /// It did not; the detail says how, without secrets.
    Down {
        /// What happened.
        detail: String,
    },
}

/// Asks a connection how it is, without changing anything there.
pub trait Health: Send + Sync {
    /// Asks.
    fn check(&self) -> BoxFuture<'_, HealthState>;
}
