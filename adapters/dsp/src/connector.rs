//! The connector: what it stands on, and where its processes are.

use crate::config::{DspConfig, Participant};
use crate::fault::Fault;
use crate::flow::{Feed, FeedMaker};
use crate::identity::Identity;
use crate::manage::Definitions;
use crate::process::{Agreed, Negotiation, Transfer};
use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::path::Path;
use tokio::sync::Notify;
use waybill_context::{ContextError, Contexts};
use waybill_exchange::{Hub, Ledger};
use waybill_http::{Client, Request};
use waybill_model::DateTime;

/// How often a step is tried again when another was faster.
pub(crate) const TRIES: u32 = 16;

/// The hub as a connector of a dataspace. Cheap to clone.
#[derive(Clone)]
pub struct Connector(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub hub: Hub,
    pub client: Client,
    pub settings: RwLock<Settings>,
    /// Held while a definition of the operator's is changed: one after the other.
    pub changes: Arc<tokio::sync::Mutex<()>>,
    /// Rung when something is to be sent.
    pub bell: Notify,
    /// Processes whose message is under way.
    pub flights: Mutex<HashSet<String>>,
    /// Participants whose catalogue is being fetched.
    pub crawls: Mutex<HashSet<String>>,
    /// Transfers that this hub provides and that are not over: looked at whenever something changed.
    pub running: Mutex<BTreeSet<String>>,
    /// The same of data flows.
    pub running_flows: Mutex<BTreeSet<String>>,
    pub feeds: Box<FeedMaker>,
    /// What is pulled from others, and what reads the pages.
    pub imports: RwLock<Imports>,
    /// What the control plane said last to the registration of this data plane.
    pub registered: Mutex<Option<Result<(), String>>>,
    /// The @contexts that are known.
    pub contexts: Contexts,
}

type Imports = (Vec<Arc<crate::import::Import>>, Option<Arc<dyn crate::import::ReadPage>>);
/// What the connector goes by.
pub(crate) struct Settings {
    /// As the configuration says it.
    said: Arc<DspConfig>,
    /// What the operator defined beside it.
    definitions: Arc<Definitions>,
    /// Both: what counts.
    config: Arc<DspConfig>,
    identity: Arc<dyn Identity>,
}

impl Settings {
    fn new(said: Arc<DspConfig>, definitions: Arc<Definitions>, identity: Arc<dyn Identity>) -> Self {
        let (made, left_out) = definitions.offerings(&said);
        for reason in &left_out {
            tracing::warn!(code = reason.code(), "a defined offer is not made: {reason}");
        }
        let config = if made.is_empty() {
            said.clone()
        } else {
            let mut config = (*said).clone();
            config.offers.extend(made);
            Arc::new(config)
        };
        Self { said, definitions, config, identity }
    }
}

impl Connector {
    /// A connector on `hub` that calls out through `client`. `feeds` makes a follower's specification of a feed: the kind of its sink, and what
    /// that sink reads.
    pub fn new(
        hub: Hub,
        client: Client,
        config: DspConfig,
        identity: Arc<dyn Identity>,
        feeds: impl Fn(&Feed) -> (&'static str, String) + Send + Sync + 'static,
    ) -> Self {
        let contexts = crate::foreign::contexts(hub.clock().clone());
        Self(Arc::new(Inner {
            contexts,
            registered: Mutex::default(),
            hub,
            client,
            settings: RwLock::new(Settings::new(Arc::new(config), Arc::default(), identity)),
            changes: Arc::default(),
            bell: Notify::new(),
            flights: Mutex::default(),
            crawls: Mutex::default(),
            running: Mutex::default(),
            running_flows: Mutex::default(),
            feeds: Box::new(feeds),
            imports: RwLock::default(),
        }))
    }

    /// Puts the @contexts of a folder here, for messages that name them: its `index.json` maps each URL to a file beside it. Without, only those are
    /// known that are bundled; none is ever fetched.
    ///
    /// # Errors
    /// When a file is not there or is no @context.
    pub fn preload_contexts(&self, folder: &Path) -> Result<usize, ContextError> {
        self.0.contexts.preload(folder)
    }

    /// Puts another configuration in force. Processes go on as they were begun. What the operator defined beside it stays; of that, what the
    /// configuration has no route for any more is not offered.
    pub fn replace(&self, config: DspConfig, identity: Arc<dyn Identity>) {
        let mut settings = self.0.settings.write().unwrap_or_else(PoisonError::into_inner);
        *settings = Settings::new(Arc::new(config), settings.definitions.clone(), identity);
    }

    /// Puts other definitions in force.
    pub(crate) fn redefine(&self, definitions: Definitions) {
        let mut settings = self.0.settings.write().unwrap_or_else(PoisonError::into_inner);
        *settings = Settings::new(settings.said.clone(), Arc::new(definitions), settings.identity.clone());
    }

    /// What the configuration says, and what the operator defined beside it.
    pub(crate) fn definitions(&self) -> (Arc<DspConfig>, Arc<Definitions>) {
        let settings = self.0.settings.read().unwrap_or_else(PoisonError::into_inner);
        (settings.said.clone(), settings.definitions.clone())
    }

    /// The configuration in force, with what the operator defined beside it.
    pub fn config(&self) -> Arc<DspConfig> {
        self.0.settings.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }
    pub(crate) fn identity(&self) -> Arc<dyn Identity> {
        self.0.settings.read().unwrap_or_else(PoisonError::into_inner).identity.clone()
    }
    pub(crate) fn now(&self) -> DateTime {
        self.0.hub.clock().now()
    }
    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }
    pub(crate) fn negotiations(&self) -> Ledger {
        self.0.hub.ledger("dsp-negotiation")
    }
    pub(crate) fn transfers(&self) -> Ledger {
        self.0.hub.ledger("dsp-transfer")
    }
    pub(crate) fn agreements(&self) -> Ledger {
        self.0.hub.ledger("dsp-agreement")
    }
    pub(crate) fn flights(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn running_flows(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.running_flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The participant that sent `request`.
    ///
    /// # Errors
    /// 401 when nobody that is configured is recognised.
    pub(crate) async fn who(&self, request: &Request) -> Result<Arc<Participant>, Fault> {
        let config = self.config();
        let found = self.identity().recognise(request, self.now()).await?;
        found.and_then(|id| config.participant(&id).cloned()).ok_or_else(|| Fault::new(401, "unauthenticated", "", "this hub knows no participant by what the request shows"))
    }

    /// The negotiation `id`.
    ///
    /// # Errors
    /// The store's.
    pub async fn negotiation(&self, id: &str) -> Result<Option<Negotiation>, Fault> {
        Ok(self.negotiations().get::<Negotiation>(id).await?.map(|e| e.state))
    }
    /// The transfer process `id`.
    ///
    /// # Errors
    /// The store's.
    pub async fn transfer(&self, id: &str) -> Result<Option<Transfer>, Fault> {
        Ok(self.transfers().get::<Transfer>(id).await?.map(|e| e.state))
    }
    /// The agreement `id`.
    ///
    /// # Errors
    /// The store's.
    pub async fn agreement(&self, id: &str) -> Result<Option<Agreed>, Fault> {
        Ok(self.agreements().get::<Agreed>(id).await?.map(|e| e.state))
    }

    /// Whether `address` may be given as where to answer: somewhere at the participant's own connector, where that is known.
    ///
    /// # Errors
    /// 400 when it is no such address.
    pub(crate) fn callback(who: &Participant, address: &str, at: &str) -> Result<String, Fault> {
        let web = ["http://", "https://"].iter().any(|s| address.starts_with(s));
        let plain = web && !address.contains(['?', '#', '\\']) && !address.chars().any(|c| c.is_whitespace() || c.is_control());
        if !plain {
            return Err(Fault::bad(at, "it must be an http or https address without query and fragment"));
        }
        if who.address.is_some() && !who.owns(address) {
            return Err(Fault::bad(at, "it is not at the connector that this participant is registered with"));
        }
        Ok(address.trim_end_matches('/').to_owned())
    }
}

/// A fresh process identifier.
pub(crate) fn fresh_id() -> String {
    let mut bytes = waybill_keys::random::<16>();
    // RFC 9562, version 4.
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = waybill_keys::hex(&bytes);
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// An identifier as one segment of a path; what may stand there stays as it is (RFC 3986, pchar).
pub(crate) fn segment(id: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,;=".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
