//! The hub: what adapters, the portal and the program call.

use crate::rows::key;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};
use tokio::sync::Notify;
use waybill_consent::{ConsentBook, Issuer};
use waybill_gate::{Gate, Governance, PairKeys};
use waybill_journal::Journal;
use waybill_keys::KeyRing;
use waybill_model::{Clock, DateTime, Iri, Problem, ProblemCode};
use waybill_policy::Profile;
use waybill_port::{Grants, Notices, Sink, Source};
use waybill_store::{Batch, Store};

/// The space of the hub's own secrets.
pub(crate) const SECRET: &str = "secret";

/// The engine with everything it stands on. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub store: Store,
    pub clock: Clock,
    pub gate: Gate,
    pub book: Arc<ConsentBook>,
    pub journal: Journal,
    pub keys: Arc<RwLock<KeyRing>>,
    pub secret: [u8; 32],
    pub pairs: Arc<PairKeys>,
    /// Rung after each commit that left work to do.
    pub bell: Notify,
    pub sinks: RwLock<HashMap<&'static str, Arc<dyn Sink>>>,
    pub sources: RwLock<HashMap<String, Arc<dyn Source>>>,
    pub pods: RwLock<HashMap<String, Arc<dyn Grants>>>,
    pub notices: OnceLock<Arc<dyn Notices>>,
    pub intake: RwLock<HashMap<String, crate::inbox::Intake>>,
    pub flights: std::sync::Mutex<std::collections::HashSet<String>>,
    /// When each hub was last sent a heartbeat.
    pub beats: std::sync::Mutex<HashMap<String, DateTime>>,
    /// The keys of other hubs, and when they were fetched.
    pub peer_keys: std::sync::Mutex<HashMap<String, (DateTime, waybill_keys::KeySet)>>,
    /// When the journal was last sealed.
    pub sealed: std::sync::Mutex<Option<DateTime>>,
    /// When rows that have had their time were last looked for.
    pub swept: std::sync::Mutex<Option<DateTime>>,
}

impl Hub {
    /// Puts the engine together over an opened store. Makes keys and secrets when the store has none.
    ///
    /// # Errors
    /// The store's, as a [`Problem`]; also when its keys cannot be read, or when the store was restored from a backup that is older
    /// than a withdrawal and nobody has settled that.
    pub async fn open(store: Store, governance: Governance, clock: Clock) -> Result<Self, Problem> {
        let saved = store
            .read(|r| Ok((r.doc(SECRET, "keys")?.map(|d| d.payload), r.doc(SECRET, "salt")?.map(|d| d.payload))))
            .await?;
        let host = governance.base_url.trim_start_matches("https://").trim_start_matches("http://").to_owned();
        let ring = match &saved.0 {
            Some(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| KeyRing::from_secret_text(text).ok()).ok_or_else(|| {
                Problem::new(ProblemCode("keys-unreadable"), 500, "The hub's keys cannot be read", "the row `secret/keys` is not a key ring")
                    .help("Restore the last backup with `waybill restore`.")
            })?,
            None => KeyRing::generate(&clock).controlled_by(waybill_keys::did_web(&host)),
        };
        let secret = match saved.1.as_deref().and_then(|b| <[u8; 32]>::try_from(b).ok()) {
            Some(secret) => secret,
            None => waybill_keys::random(),
        };
        if saved.0.is_none() || saved.1.is_none() {
            let mut batch = Batch::new();
            batch.put_doc(SECRET, "keys", ring.to_secret_text().as_bytes().to_vec(), None);
            batch.put_doc(SECRET, "salt", secret.to_vec(), None);
            store.commit(batch).await?;
        }
        let now = clock.now();
        if let Some(batch) = store.read(move |r| ConsentBook::complete(r, now).map_err(crate::consent::told)).await? {
            store.commit(batch).await?;
        }
        let keys = Arc::new(RwLock::new(ring));
        let journal = Journal::open(&store).await?;
        let inbox = Iri::new(format!("{}/waybill/events", governance.base_url))
            .map_err(|e| Problem::new(ProblemCode("bad-base-url"), 500, "The base URL is no URL", e.to_string()))?;
        let issuer = Issuer {
            did: waybill_keys::did_web(&host),
            base_url: governance.base_url.clone(),
            inbox,
            max_stale: u32::try_from(governance.max_stale_seconds).unwrap_or(60),
        };
        let book = Arc::new(ConsentBook::new(issuer, Profile::waybill()));
        let pairs = Arc::new(PairKeys::new(&secret));
        let gate = Gate::new(store.clone(), book.clone(), journal.clone(), keys.clone(), clock.clone(), governance, pairs.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                clock,
                gate,
                book,
                journal,
                keys,
                secret,
                pairs,
                bell: Notify::new(),
                sinks: RwLock::default(),
                sources: RwLock::default(),
                pods: RwLock::default(),
                notices: OnceLock::new(),
                intake: RwLock::default(),
                flights: std::sync::Mutex::default(),
                beats: std::sync::Mutex::default(),
                peer_keys: std::sync::Mutex::default(),
                sealed: std::sync::Mutex::default(),
                swept: std::sync::Mutex::default(),
            }),
        })
    }

    /// The gate.
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }
    /// The store.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }
    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }
    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }
    /// Consents, bindings, envelopes.
    pub fn book(&self) -> &ConsentBook {
        &self.inner.book
    }
    /// The configuration in force.
    pub fn governance(&self) -> Arc<Governance> {
        self.inner.gate.governance()
    }
    /// The key ring, for what it publishes.
    pub fn keys(&self) -> std::sync::RwLockReadGuard<'_, KeyRing> {
        self.inner.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Names a sink, so that followers of its kind can be served.
    pub fn add_sink(&self, sink: Arc<dyn Sink>) {
        self.inner.sinks.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(sink.kind(), sink);
        self.ring();
    }
    /// Names a source.
    pub fn add_source(&self, source: Arc<dyn Source>) {
        let name = source.connection().to_owned();
        self.inner.sources.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name, source);
    }
    /// Names a personal data store.
    pub fn add_pod(&self, pod: Arc<dyn Grants>) {
        let name = pod.connection().to_owned();
        self.inner.pods.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name, pod);
    }
    /// Names what carries notices to other hubs. The first counts.
    pub fn set_notices(&self, notices: Arc<dyn Notices>) {
        let _ = self.inner.notices.set(notices);
    }

    /// Wakes the workers.
    pub fn ring(&self) {
        self.inner.bell.notify_waiters();
        self.inner.bell.notify_one();
    }

    /// Commits and wakes the workers.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<waybill_store::Committed, Problem> {
        self.commit_between(batch, ["commit", "committed"]).await
    }

    /// The same between two crash points of other names.
    pub(crate) async fn commit_between(&self, batch: Batch, [before, after]: [&str; 2]) -> Result<waybill_store::Committed, Problem> {
        waybill_store::crash_point(before);
        let done = self.inner.store.commit(batch).await?;
        waybill_store::crash_point(after);
        self.ring();
        Ok(done)
    }

    /// The secret that what comes into the inbox of `connection` must show: the other end is given it when the hub subscribes there.
    pub fn inbox_secret(&self, connection: &str) -> String {
        waybill_keys::b64url(waybill_keys::sha256(&[self.inner.secret.as_slice(), b"inbox", connection.as_bytes()].concat()))
    }

    /// The key that this hub seals what it keeps `purpose` with. Drawn from the hub's own secret: whoever has the store whole can open it, and
    /// whoever has a part of it, or its rows in a dump of their own, cannot.
    pub fn seal_key(&self, purpose: &str) -> waybill_keys::SealKey {
        waybill_keys::SealKey::from_bytes(waybill_keys::hmac_sha256(&self.inner.secret, format!("waybill seal: {purpose}").as_bytes()))
    }

    /// An unguessable identifier `urn:waybill:<kind>:<32 hex digits>`.
    pub(crate) fn fresh_id(kind: &str) -> Iri {
        let text = format!("urn:waybill:{kind}:{}", waybill_keys::hex(&waybill_keys::random::<16>()));
        // INVARIANT: a scheme and hexadecimal digits make an IRI; `kind` is a literal of ours.
        Iri::new(text).unwrap_or_else(|_| unreachable!("a fresh id is an IRI"))
    }

    /// A key under which rows sort in the order they were made.
    pub(crate) fn ordered_key(&self, first: &str) -> String {
        let micros = self.inner.clock.now().micros();
        key(&[first, &format!("{micros:020}"), &waybill_keys::hex(&waybill_keys::random::<4>())])
    }
}
