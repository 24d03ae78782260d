//! What other hubs tell this one outside of data, its own heartbeats, and what it publishes.

use crate::consent::told;
use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{EVENT_SEEN, NOTICE, SEP, TODO, Todo, key};
use crate::scan::each_doc;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use waybill_consent::{ConsentBook, EventKind, EventToken, Heartbeat, Manifest};
use waybill_gate::{HEARTBEAT, HolderClass, LastHeartbeat, MANIFEST, is_stale};
use waybill_model::{DateTime, EnvelopeHash, PartyId, Problem, ProblemCode, TenantId};
use waybill_port::Notice;
use waybill_store::{Batch, Reader, StoreError};

/// How long the identifier of an event is remembered, in seconds: longer than any sender keeps trying.
const REMEMBERED: i64 = 90 * 86_400;
/// How long a status list may be kept, in seconds.
const STATUS_TTL: u32 = 60;
/// Heartbeats for one period of staleness.
const BEATS: i64 = 4;

/// The DID of the hub at `base_url`.
pub(crate) fn did_of(base_url: &str) -> String {
    let host = base_url.trim_start_matches("https://").trim_start_matches("http://");
    waybill_keys::did_web(host)
}

impl Hub {
    /// This hub's DID.
    pub fn did(&self) -> String {
        did_of(&self.governance().base_url)
    }

    /// The DID document with every key that still verifies something.
    pub fn key_document(&self) -> Value {
        let governance = self.governance();
        let mut document = self.keys().did_document(governance.base_url.trim_start_matches("https://").trim_start_matches("http://"));
        if let Some(contact) = &governance.contact {
            document["service"] = json!([{ "id": format!("{}#operator", self.did()), "type": "OperatorContact", "serviceEndpoint": contact }]);
        }
        document
    }

    /// The compact JWS of an envelope that this hub issued.
    ///
    /// # Errors
    /// The store's.
    pub async fn published_envelope(&self, hash: EnvelopeHash) -> Result<Option<String>, Problem> {
        Ok(self.inner.store.read(move |r| Ok(ConsentBook::envelope(r, &hash).map_err(told)?.map(|e| e.compact))).await?)
    }

    /// The signed status list of that name.
    ///
    /// # Errors
    /// The store's.
    pub async fn published_status(&self, list: &str) -> Result<Option<String>, Problem> {
        let (hub, list) = (self.clone(), list.to_owned());
        let read = move |r: &Reader<'_>| {
            let ring = hub.keys();
            hub.inner.book.signed_status_list(r, &list, STATUS_TTL, &ring, hub.inner.clock.now()).map_err(told)
        };
        Ok(self.inner.store.read(read).await?)
    }

    /// A manifest, for its recipient.
    ///
    /// # Errors
    /// The store's.
    pub async fn published_manifest(&self, caller: Option<&PartyId>, hash: EnvelopeHash) -> Result<Option<String>, Problem> {
        let row = self.inner.store.read(move |r| r.doc(MANIFEST, &hash.to_string())).await?;
        let text = row.and_then(|d| String::from_utf8(d.payload).ok());
        let keys = self.keys().key_set();
        Ok(text.filter(|text| Manifest::verify(text, &keys, self.inner.clock.now()).is_ok_and(|m| Some(&m.claims.aud) == caller)))
    }

    /// The hubs this hub deals with: of recipients, and at the other end of connections.
    fn known_hubs(&self) -> BTreeSet<String> {
        let intakes = self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let governance = self.governance();
        governance.agreements.iter().filter_map(|a| a.hub.clone()).chain(intakes.values().filter_map(|i| i.hub.clone())).collect()
    }

    fn hub_of(&self, did: &str) -> Option<String> {
        self.known_hubs().into_iter().find(|base| did_of(base) == did)
    }

    /// The hub that a signed statement says it is from, before its signature is looked at.
    pub(crate) fn claimed_sender(&self, compact: &str) -> Result<String, Problem> {
        let payload = compact.split('.').nth(1).and_then(waybill_keys::unb64url).unwrap_or_default();
        let claims: Value = serde_json::from_slice(&payload).unwrap_or_default();
        claims["iss"].as_str().and_then(|iss| self.hub_of(iss)).ok_or_else(|| {
            Problem::new(ProblemCode("unknown-hub"), 403, "Not a known hub", "the statement is of no hub that this one deals with")
                .help("Add the hub to the configuration: as a recipient's hub in an agreement, or as a peer.")
        })
    }

    /// Takes an event of another hub. It takes effect once; a repeated one is answered like the first.
    ///
    /// # Errors
    /// 403 for a hub that is not known; 400 for what does not verify; the store's.
    pub async fn take_event(&self, compact: &str) -> Result<(), Problem> {
        let hub = self.claimed_sender(compact)?;
        let (now, did) = (self.inner.clock.now(), self.did());
        let token = self.noticed_by(&hub, |keys| EventToken::verify(compact, &did, keys, now)).await?;
        let at = self.event_key(&hub, &token.jti);
        for _ in 0..16 {
            let looked = at.clone();
            if self.inner.store.read(move |r| r.doc(EVENT_SEEN, &looked)).await?.is_some() {
                return Ok(());
            }
            let mut batch = Batch::new();
            self.note_event(&mut batch, &hub, &token.jti, now);
            match &token.event {
                EventKind::Withdrawn(event) => self.upstream_withdrew(&mut batch, &hub, &token, event).await?,
                EventKind::Suspended(event) => self.upstream_rests(&mut batch, &hub, event, true).await?,
                EventKind::Resumed(event) => self.upstream_rests(&mut batch, &hub, event, false).await?,
                EventKind::Deleted(event) => self.upstream_deleted(&mut batch, &hub, event).await?,
            }
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-event"), 503, "Too many writers", "what the event is about kept changing").help("Send the event again."))
    }

    pub(crate) fn event_key(&self, hub: &str, jti: &str) -> String {
        key(&[hub, jti])
    }

    /// Adds to `batch` that an event has its effect with it, and not twice.
    pub(crate) fn note_event(&self, batch: &mut Batch, hub: &str, jti: &str, now: DateTime) {
        let at = self.event_key(hub, jti);
        batch.expect_doc(EVENT_SEEN, &at, None);
        batch.put_doc(EVENT_SEEN, &at, Vec::new(), Some(now.plus_seconds(REMEMBERED)));
    }

    /// Takes a heartbeat of another hub.
    ///
    /// # Errors
    /// 403 for a hub that is not known; 400 for what does not verify or is older than the last; the store's.
    pub async fn take_heartbeat(&self, compact: &str) -> Result<(), Problem> {
        let hub = self.claimed_sender(compact)?;
        let (now, governance) = (self.inner.clock.now(), self.governance());
        let beat = self.noticed_by(&hub, |keys| Heartbeat::verify(compact, &governance.party, keys, now)).await?;
        // What counts is the sender's time: a heartbeat that was held back on the way does not stretch anything.
        let said = beat.time.min(now);
        let (this, epoch, stale_after) = (self.clone(), beat.epoch, governance.max_stale_seconds);
        let mut batch = Batch::new();
        // Two may come at the same time. On the writer thread one of them is first, so the later time stands whatever their order.
        batch.then(move |r| {
            let last = r.doc(HEARTBEAT, &hub)?.and_then(|d| serde_json::from_slice::<LastHeartbeat>(&d.payload).ok());
            if last.is_some_and(|last| said < last.at || epoch < last.epoch) {
                return Err(StoreError::conflict("heartbeat"));
            }
            let mut batch = Batch::new();
            batch.put_doc(HEARTBEAT, &hub, encode(&LastHeartbeat { at: said, epoch }), None);
            if is_stale(r, &hub, now, stale_after)? {
                this.look_again(&mut batch, now);
            }
            Ok(batch)
        });
        match self.inner.store.commit(batch).await {
            Ok(_) => {
                self.ring();
                Ok(())
            }
            Err(StoreError::Conflict { .. }) => Err(Problem::new(ProblemCode("statement-old"), 400, "Heartbeat refused", "a newer one has been here already")),
            Err(e) => Err(e.into()),
        }
    }

    /// Everything that came under envelopes is looked at again, in every tenant that takes data from hubs.
    pub(crate) fn look_again(&self, batch: &mut Batch, now: DateTime) {
        let intakes = self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let tenants: BTreeSet<TenantId> = intakes.values().filter(|i| i.hub.is_some()).map(|i| i.tenant.clone()).collect();
        for tenant in tenants {
            let row = Todo::Envelope { tenant: tenant.clone(), envelope: None };
            batch.put_doc(TODO, &key(&["envelopes", tenant.as_str()]), encode(&row), Some(now));
        }
    }

    /// Sends a heartbeat to each enforcing recipient that is due one. A recipient that has not been told of everything gets none: its
    /// gate is to close rather than to trust this hub's silence. Returns 0: beating is no work that asks for more.
    ///
    /// # Errors
    /// The store's.
    pub async fn beat(&self) -> Result<usize, Problem> {
        let Some(notices) = self.inner.notices.get() else { return Ok(0) };
        let (now, governance) = (self.inner.clock.now(), self.governance());
        let every = (governance.max_stale_seconds * 1_000_000 / BEATS).max(1);
        let (waiting, epoch) = self
            .inner
            .store
            .read(move |r| {
                let mut waiting = BTreeSet::new();
                each_doc(r, NOTICE, "", |doc| waiting.extend(doc.key.split(SEP).next().map(str::to_owned)))?;
                Ok((waiting, r.epoch()?))
            })
            .await?;
        for agreement in governance.agreements.iter().filter(|a| a.holder == HolderClass::Enforcing) {
            let (Some(hub), Some(recipient)) = (&agreement.hub, &agreement.recipient) else { continue };
            let due = {
                let beats = self.inner.beats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                beats.get(hub).is_none_or(|last| last.plus_micros(every) <= now)
            };
            if !due || waiting.contains(hub) {
                continue;
            }
            let jws = Heartbeat::new(self.did(), recipient.clone(), epoch, now).sign(self.keys().active());
            let (notices, hub, inner) = (notices.clone(), hub.clone(), self.inner.clone());
            inner.beats.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(hub.clone(), now);
            tokio::spawn(async move {
                if let Err(error) = notices.send(&hub, &Notice::Heartbeat(jws)).await {
                    tracing::debug!(hub, detail = error.detail, "heartbeat not taken");
                    // Try again soon, not a whole period later.
                    inner.beats.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(hub, now.plus_micros(1_000_000 - every));
                }
            });
        }
        Ok(0)
    }

    /// When each hub was last sent a heartbeat.
    pub fn beats_sent(&self) -> Vec<(String, DateTime)> {
        let beats = self.inner.beats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        beats.iter().map(|(hub, at)| (hub.clone(), *at)).collect()
    }

    /// Writes what the journal counted, and seals its segments. Returns 0.
    ///
    /// # Errors
    /// The journal's.
    pub async fn tend_journal(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        self.inner.journal.flush(now).await?;
        let key = self.keys().active().clone();
        let sign = waybill_journal::signed_by(&key);
        let last = *self.inner.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|at| at.plus_seconds(3600) <= now) {
            self.inner.journal.seal(now, &sign).await?;
            *self.inner.sealed.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(now);
        }
        Ok(0)
    }
}
