//! What the configuration says of the connector: who it is, whom it knows, what it offers.

use crate::catalog;
use crate::machine::Role;
use crate::vocab::Format;
use serde_json::Value;
use std::sync::Arc;
use waybill_http::Auth;
use waybill_model::{DateTime, Iri, PartyId};

/// The connector.
#[derive(Debug, Clone)]
pub struct DspConfig {
    /// This hub's participant identifier in the dataspace.
    pub participant: String,
    /// The public base URL of the hub, without a slash at its end.
    pub base_url: String,
    /// The connectors it deals with.
    pub participants: Vec<Arc<Participant>>,
    /// What it offers. Entries of one dataset stand side by side: each is what some participants are offered on terms of its own.
    pub offers: Vec<Arc<Offering>>,
    /// The routes of the hub that a dataset can be made of.
    pub routes: Vec<DataRoute>,
    /// Scripts and agreements of a conformance run; nothing otherwise.
    pub conformance: Option<Conformance>,
    /// The control plane of another make that signals here; nothing where nobody may.
    pub control_plane: Option<Arc<ControlPlane>>,
    /// Times and limits.
    pub limits: Limits,
    /// What its catalogue for data portals says of it.
    pub about: About,
}

/// Who offers, for people.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The operator.
    pub party: Option<Iri>,
    /// The operator's name.
    pub name: Option<String>,
    /// How the operator is reached: an address of the web or of mail, or words.
    pub contact: Option<String>,
    /// A title of the catalogue.
    pub title: Option<String>,
    /// What is in the catalogue.
    pub description: Option<String>,
    /// The acts of law under which the catalogue is kept.
    pub legislation: Vec<Iri>,
    /// Whether the catalogue for data portals is told to everybody. Closed by default.
    pub open_data: bool,
}

/// A control plane of another make whose data plane this hub is (DPS).
#[derive(Clone)]
pub struct ControlPlane {
    /// Where it is called, without a slash at its end.
    pub url: String,
    /// The SHA-256 of the token that it shows here.
    pub token: [u8; 32],
    /// How this hub shows itself there.
    pub auth: Auth,
    /// Whether this hub registers itself there.
    pub register: bool,
}

/// Nothing that could be shown instead of the token.
impl std::fmt::Debug for ControlPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlPlane").field("url", &self.url).field("register", &self.register).finish_non_exhaustive()
    }
}

/// Times and limits of the connector.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For how many seconds a token of the data plane is good.
    pub token_seconds: i64,
    /// After how many seconds without an answer a process is given up.
    pub give_up_seconds: i64,
    /// How many messages are under way at once.
    pub at_once: usize,
    /// How many seconds lie between two looks at another connector's catalogue.
    pub crawl_seconds: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { token_seconds: 300, give_up_seconds: 3600, at_once: 64, crawl_seconds: 600 }
    }
}

/// Another connector.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its participant identifier, as messages and agreements name it.
    pub id: String,
    /// The party that consents name as controller or recipient.
    pub party: PartyId,
    /// The base address of its connector, with the version's path; nothing when it only calls here.
    pub address: Option<String>,
    /// How this hub shows itself there.
    pub auth: Auth,
    /// Whether it enforces consent itself, as another hub does.
    pub enforcing: bool,
    /// The base URL of its hub, without a slash at its end, when it is one like this: where its signed statements can be verified.
    pub hub: Option<String>,
    /// Whether its catalogue is fetched and kept. Needs an address.
    pub crawl: bool,
}

impl Participant {
    /// Whether `url` lies at its connector.
    pub fn owns(&self, url: &str) -> bool {
        let origin = |u: &str| u.split_once("://").map(|(scheme, rest)| format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default()));
        self.address.as_deref().is_some_and(|own| origin(own) == origin(url))
    }
}

/// A route of the hub, as far as a dataset can be made of it.
#[derive(Debug, Clone)]
pub struct DataRoute {
    /// Its name in the configuration.
    pub name: String,
    /// The expanded types of its entities.
    pub types: Vec<Iri>,
    /// Its entities, when they are named.
    pub ids: Vec<Iri>,
    /// Its Attributes; empty for all.
    pub attributes: Vec<Iri>,
    /// Whether it is about persons.
    pub personal: bool,
}

/// What an offer says beside its purposes and its end. The rules are those of ODRL, in the protocol's form and without constraints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms {
    /// What a consumer does as a condition of its permission.
    pub duties: Vec<Value>,
    /// What it may not do.
    pub prohibitions: Vec<Value>,
    /// What it does in any case.
    pub obligations: Vec<Value>,
    /// Whether a purpose is meant exactly: not those that it contains too.
    pub exactly: bool,
}

/// A dataset on offer: a route of the hub for some purposes.
#[derive(Debug, Clone)]
pub struct Offering {
    /// The dataset's identifier.
    pub dataset: String,
    /// A title for people.
    pub title: Option<String>,
    /// What it is, for people.
    pub description: Option<String>,
    /// The acts of law under which it is made available.
    pub legislation: Vec<Iri>,
    /// The expanded types of its entities.
    pub types: Vec<Iri>,
    /// Its entities, when they are named.
    pub ids: Vec<Iri>,
    /// Its Attributes; empty for all.
    pub attributes: Vec<Iri>,
    /// Whether it is about persons.
    pub personal: bool,
    /// For what it is offered: one ODRL offer each. Without one, a single offer without a purpose.
    pub purposes: Vec<Iri>,
    /// The participants that see it; empty for every one that is known.
    pub to: Vec<String>,
    /// How it can be had.
    pub formats: Vec<Format>,
    /// Until when an agreement lasts.
    pub until: Option<DateTime>,
    /// Whether a consumer must be one that enforces consent itself.
    pub needs_enforcing: bool,
    /// How negotiations over it are led.
    pub strategy: Strategy,
    /// The offer's identifier where it must be a certain one.
    pub offer_id: Option<String>,
    /// The name of the route that it is made of, where that is known.
    pub route: Option<String>,
    /// What is said beside the purposes and the end.
    pub terms: Terms,
}

/// How a process is led.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Strategy {
    /// The hub answers by itself.
    #[default]
    Automatic,
    /// A person answers, by command or interface.
    Manual,
    /// Each entry `STATE:act` once, in order; for conformance runs.
    Scripted(Vec<String>),
}

/// What a conformance run needs beside. Only on loopback.
#[derive(Debug, Clone, Default)]
pub struct Conformance {
    /// Scripts of negotiations as consumer, by dataset.
    pub negotiations: Vec<(String, Vec<String>)>,
    /// Scripts of transfers in either role, by agreement.
    pub transfers: Vec<(String, Vec<String>)>,
    /// Scripts of data flows in either role, by a dataset that is not on offer.
    pub flows: Vec<(String, Vec<String>)>,
    /// Agreements that exist from the start.
    pub agreements: Vec<Seed>,
    /// Milliseconds before each scripted message.
    pub delay_ms: i64,
}

/// An agreement that exists from the start.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Its identifier.
    pub id: String,
    /// The dataset.
    pub dataset: String,
    /// The other side.
    pub participant: String,
    /// The part this hub plays.
    pub role: Role,
}

impl DspConfig {
    /// The participant `id`.
    pub fn participant(&self, id: &str) -> Option<&Arc<Participant>> {
        self.participants.iter().find(|p| p.id == id)
    }
    /// The participant whose connector is at `address`.
    pub fn at(&self, address: &str) -> Option<&Arc<Participant>> {
        let trimmed = address.trim_end_matches('/');
        self.participants.iter().find(|p| p.address.as_deref().is_some_and(|a| a.trim_end_matches('/') == trimmed))
    }
    /// The route `name`.
    pub fn route(&self, name: &str) -> Option<&DataRoute> {
        self.routes.iter().find(|r| r.name == name)
    }
    /// What of `dataset` is offered to `who`: one entry for each set of terms.
    pub fn offered<'a>(&'a self, dataset: &'a str, who: &'a Participant) -> impl Iterator<Item = &'a Arc<Offering>> {
        self.offers.iter().filter(move |o| o.dataset == dataset && catalog::is_for(o, who))
    }
    /// An offering of `dataset`: what it is of, which is the same in each, whatever the terms.
    pub fn offering(&self, dataset: &str) -> Option<&Arc<Offering>> {
        self.offers.iter().find(|o| o.dataset == dataset)
    }
    /// The address that counterparts call.
    pub fn address(&self) -> String {
        format!("{}{}", self.base_url, crate::server::PATH)
    }
}
