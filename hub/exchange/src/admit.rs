//! Admission: what comes in is checked against the tags it carries, or should carry, before it is stored (consent-design §5).

use crate::fan::CAME_UNDER;
use crate::follow::encode;
use crate::hub::Hub;
use crate::rows::{INBOX, QUARANTINE, Quarantined, SEEN, Seen, UNCONFIRMED, key};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use waybill_consent::{Envelope, LeafKey, LeafMatch, Manifest, StatementError, tag_hash};
use waybill_gate::{Class, INBOUND, Inbound, InboundState};
use waybill_journal::{Kind, Record};
use waybill_keys::KeySet;
use waybill_model::{Attribute, AttributeValue, DateTime, Entity, EntityDoc, EnvelopeHash, Iri, Principal, Problem, ProblemCode, Scope, TAG_NAME, TenantId};
use waybill_store::Batch;

/// How one connection's data is to be treated.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Whose store it goes to.
    pub tenant: TenantId,
    /// The base URL of the hub at the other end, when there is one: what is personal must then be tagged by it.
    pub hub: Option<String>,
    /// The follower that feeds the store at the other end, when this hub does: what comes back is compared with what was sent.
    pub fed_by: Option<Iri>,
    /// The SHA-256 of the secret that the other end shows with what it sends.
    pub secret: [u8; 32],
}

/// One entity as it came.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incoming {
    /// It is new or changed: the canonical document, tags inside.
    Changed(String),
    /// It is gone there, or some of its Attributes are.
    Gone {
        /// The entity.
        id: Iri,
        /// The Attributes that are gone; none when the whole entity is.
        attributes: Vec<Iri>,
    },
}

/// A delivery as it lies in the inbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parcelled {
    /// The connection.
    pub connection: String,
    /// What came.
    pub items: Vec<Incoming>,
    /// Where the sender's manifest lies.
    pub manifest: Option<String>,
    /// When it came.
    pub at: DateTime,
    /// Failed attempts to admit it: the sender's documents could not be fetched.
    #[serde(default)]
    pub attempts: u32,
}

/// The connection of what the operator releases from quarantine.
pub(crate) const VOUCHED: &str = "vouched";

/// For how long another hub's keys are not fetched again, in seconds.
const KEYS_FRESH: i64 = 60;
/// For how long they count while it cannot be reached, in seconds.
const KEYS_KEPT: i64 = 600;

/// Deliveries admitted at once.
const AT_ONCE: usize = 50;

/// A value that came under a tag that covers it.
struct Covered {
    envelope: EnvelopeHash,
    leaf: [u8; 32],
    /// The revision of the envelope's row: were it withdrawn before the value is stored, the value would stay for ever.
    revision: u64,
}

impl Hub {
    /// Says how a connection's data is to be treated.
    pub fn set_intake(&self, connection: &str, intake: Intake) {
        self.inner.intake.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(connection.to_owned(), intake);
    }

    fn intake(&self, connection: &str) -> Option<Intake> {
        self.inner.intake.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(connection).cloned()
    }

    /// Takes a delivery into the inbox. Durable when this returns; admission follows.
    ///
    /// # Errors
    /// 404 for a connection that does not exist or a wrong `secret`, in the same words; the store's.
    pub async fn receive(&self, connection: &str, secret: &str, items: Vec<Incoming>, manifest: Option<String>) -> Result<(), Problem> {
        let known = self.intake(connection).filter(|i| i.secret == waybill_keys::sha256(secret.as_bytes()));
        if known.is_none() {
            return Err(Problem::new(ProblemCode("inbox-not-found"), 404, "No such inbox", "there is no such inbox, or not for this sender"));
        }
        let parcel = Parcelled { connection: connection.to_owned(), items, manifest, at: self.inner.clock.now(), attempts: 0 };
        let mut batch = Batch::new();
        batch.put_doc(INBOX, &self.ordered_key(connection), encode(&parcel), Some(parcel.at));
        self.commit(batch).await.map(drop)
    }

    /// Admits what lies in the inbox and is due. Returns how many deliveries it looked at.
    ///
    /// # Errors
    /// The store's.
    pub async fn process_inbox(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let rows = self.inner.store.read(move |r| r.due(INBOX, now, AT_ONCE)).await?;
        let mut blocked: BTreeSet<String> = BTreeSet::new();
        let mut done = 0;
        for row in rows {
            // A connection that the configuration no longer has keeps what it sent until somebody decides.
            let Some((mut parcel, intake)) = self.opened(&row.payload) else { continue };
            // What a connection sent is admitted in its order: an older value must not overtake.
            if blocked.contains(&parcel.connection) {
                continue;
            }
            done += 1;
            match self.admit(&parcel, &intake).await {
                Ok(()) => {
                    let mut batch = Batch::new();
                    batch.delete_doc_at(INBOX, &row.key, row.revision);
                    self.commit(batch).await?;
                }
                Err(problem) if problem.status >= 500 => {
                    blocked.insert(parcel.connection.clone());
                    parcel.attempts += 1;
                    tracing::warn!(connection = parcel.connection, code = problem.code, "not admitted yet");
                    let wait = (250_000i64 << parcel.attempts.min(7)).min(30_000_000);
                    let mut batch = Batch::new();
                    batch.put_doc(INBOX, &row.key, encode(&parcel), Some(now.plus_micros(wait)));
                    self.inner.store.commit(batch).await?;
                }
                Err(problem) => {
                    for item in &parcel.items {
                        if let Incoming::Changed(text) = item {
                            self.quarantine(&parcel.connection, &intake.tenant, text, None, &problem.code).await?;
                        }
                    }
                    let mut batch = Batch::new();
                    batch.delete_doc_at(INBOX, &row.key, row.revision);
                    self.commit(batch).await?;
                }
            }
        }
        Ok(done)
    }

    /// A row of the inbox with the treatment of its connection.
    fn opened(&self, payload: &[u8]) -> Option<(Parcelled, Intake)> {
        if let Ok((tenant, parcel)) = serde_json::from_slice::<(TenantId, Parcelled)>(payload) {
            return (parcel.connection == VOUCHED).then_some((parcel, Intake { tenant, hub: None, fed_by: None, secret: [0; 32] }));
        }
        let parcel: Parcelled = serde_json::from_slice(payload).ok()?;
        Some((self.intake(&parcel.connection)?, parcel)).map(|(intake, parcel)| (parcel, intake))
    }

    async fn admit(&self, parcel: &Parcelled, intake: &Intake) -> Result<(), Problem> {
        let manifest = match (&parcel.manifest, &intake.hub) {
            (Some(url), Some(hub)) => Some(self.manifest_from(hub, url).await?),
            _ => None,
        };
        for item in &parcel.items {
            match item {
                Incoming::Gone { id, attributes } => self.take_away(intake, id, attributes).await?,
                Incoming::Changed(text) => {
                    let doc = EntityDoc::parse(text.as_str(), self.inner.clock.now())
                        .map_err(|e| Problem::new(ProblemCode("inbox-not-canonical"), 400, "Not an entity", e.to_string()))?;
                    match (&intake.hub, &intake.fed_by) {
                        (Some(hub), _) => self.admit_from_hub(parcel, intake, hub, &doc, manifest.as_ref()).await?,
                        (None, Some(follower)) => self.admit_from_fed(parcel, intake, follower, &doc).await?,
                        (None, None) => self.admit_plain(intake, &doc).await?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Data from another hub: each personal value must be covered by its tag.
    async fn admit_from_hub(&self, parcel: &Parcelled, intake: &Intake, hub: &str, doc: &EntityDoc, manifest: Option<&Manifest>) -> Result<(), Problem> {
        let mut entity = doc.to_entity().map_err(|e| Problem::new(ProblemCode("inbox-not-canonical"), 400, "Not an entity", e.to_string()))?;
        entity.attributes.remove(TAG_NAME);
        let governance = self.governance();
        let mut covered: BTreeMap<(Iri, Option<Iri>), Covered> = BTreeMap::new();
        let mut refused: Vec<(Iri, &'static str)> = Vec::new();
        // Under an envelope that was withdrawn: late, or played again. It is not kept, not even in quarantine.
        let mut ended: Vec<Iri> = Vec::new();
        let names: Vec<Iri> = entity.attributes.keys().cloned().collect();
        for name in names {
            for instance in entity.attributes.get_mut(&name).into_iter().flatten() {
                let Some(tag) = take_tag(instance) else {
                    if governance.class_of(entity.types.iter().map(Iri::as_str), name.as_str()) != Class::Open {
                        refused.push((name.clone(), "untagged-personal"));
                    }
                    continue;
                };
                let text = serde_json::to_string(&*instance).unwrap_or_default();
                let at = LeafKey { entity: entity.id.as_str(), attribute: name.as_str(), dataset: instance.dataset_id.as_ref().map(Iri::as_str) };
                let Some(hash) = tag_hash(&tag).filter(|_| tag.starts_with(&format!("{hub}/env/"))) else {
                    refused.push((name.clone(), "foreign-tag"));
                    continue;
                };
                match manifest.map(|m| m.check(&hash, at, &text)) {
                    Some(LeafMatch::Covered(leaf)) => match self.envelope_from(hub, hash, &tag).await? {
                        (InboundState::Withdrawn, _) => ended.push(name.clone()),
                        (_, revision) => drop(covered.insert((name.clone(), instance.dataset_id.clone()), Covered { envelope: hash, leaf, revision })),
                    },
                    Some(LeafMatch::Changed) => refused.push((name.clone(), "tampered")),
                    Some(LeafMatch::OtherTag(_)) => refused.push((name.clone(), "tag-swapped")),
                    Some(LeafMatch::Absent) => refused.push((name.clone(), "not-in-manifest")),
                    None => refused.push((name.clone(), "no-manifest")),
                }
            }
        }
        for (name, code) in &refused {
            entity.attributes.remove(name);
            self.quarantine(&parcel.connection, &intake.tenant, doc.text(), Some(name), code).await?;
        }
        if !ended.is_empty() {
            for name in &ended {
                entity.attributes.remove(name);
            }
            let now = self.inner.clock.now();
            let detail = json!({ "reason": "withdrawn", "connection": parcel.connection });
            let mut batch = Batch::new();
            self.inner.journal.append(&mut batch, Record::new(Kind::Refusal, intake.tenant.clone(), now).left(ended.len() as u64, None).detail(detail));
            self.commit(batch).await?;
        }
        if entity.attributes.is_empty() && !(refused.is_empty() && ended.is_empty()) {
            return Ok(());
        }
        self.store_incoming(intake, entity, &covered).await
    }

    /// Puts the Attributes that came beside those that are there, and notes under which envelope each came.
    async fn store_incoming(&self, intake: &Intake, entity: Entity, covered: &BTreeMap<(Iri, Option<Iri>), Covered>) -> Result<(), Problem> {
        let scope = Scope { principal: Principal::Hub, ..Scope::anonymous(intake.tenant.clone()) };
        let id = entity.id.clone();
        for _ in 0..16 {
            let (tenant, wanted) = (intake.tenant.clone(), id.clone());
            let current = self.inner.store.read(move |r| r.entity(&tenant, wanted.as_str())).await?;
            let now = self.inner.clock.now();
            let mut merged = match current.as_ref().map(EntityDoc::to_entity) {
                Some(Ok(mut there)) => {
                    for ty in &entity.types {
                        if !there.types.contains(ty) {
                            there.types.push(ty.clone());
                        }
                    }
                    there
                }
                _ => Entity::new(id.clone(), entity.types.clone()),
            };
            for (name, instances) in &entity.attributes {
                merged.attributes.insert(name.clone(), instances.clone());
            }
            let mut doc = EntityDoc::from_entity(&merged, now);
            carry_over(current.as_ref(), &mut doc, now);
            let mut batch = Batch::new();
            batch.expect_version(&scope.tenant, id.as_str(), current.as_ref().map(|d| d.system.version));
            let named: Vec<(Iri, Option<Iri>)> =
                doc.spans().iter().map(|s| (iri(doc.name(s)), doc.dataset_id(s).map(iri))).collect();
            for (span, at) in doc.spans_mut().iter_mut().zip(named) {
                if let Some(by) = covered.get(&at) {
                    span.envelope = Some(by.envelope);
                    span.leaf = Some(by.leaf);
                } else if entity.attributes.contains_key(&at.0) {
                    (span.envelope, span.leaf) = (None, None);
                }
            }
            let envelopes: BTreeSet<EnvelopeHash> = covered.values().map(|c| c.envelope).collect();
            for by in covered.values() {
                batch.expect_doc(INBOUND, &by.envelope.to_string(), Some(by.revision));
            }
            for envelope in &envelopes {
                batch.put_doc(CAME_UNDER, &key(&[&envelope.to_string(), intake.tenant.as_str(), id.as_str()]), Vec::new(), None);
            }
            self.put(&mut batch, &intake.tenant, current.as_ref(), &doc).await?;
            let detail = json!({ "envelopes": envelopes });
            let record = Record::new(Kind::Admission, intake.tenant.clone(), now).left(1, None).detail(detail);
            self.inner.journal.append(&mut batch, record);
            match self.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(problem) if problem.code == "store-conflict" => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(Problem::new(ProblemCode("busy-entity"), 503, "Too many writers", "other writers kept changing this entity"))
    }

    /// Data that comes back from a store which this hub feeds: equal, stripped, tampered, or unknown.
    async fn admit_from_fed(&self, parcel: &Parcelled, intake: &Intake, follower: &Iri, doc: &EntityDoc) -> Result<(), Problem> {
        let mut entity = doc.to_entity().map_err(|e| Problem::new(ProblemCode("inbox-not-canonical"), 400, "Not an entity", e.to_string()))?;
        entity.attributes.remove(TAG_NAME);
        let at = key(&[follower.as_str(), entity.id.as_str()]);
        let seen: Option<Seen> =
            self.inner.store.read(move |r| Ok(r.doc(SEEN, &at)?.and_then(|d| serde_json::from_slice(&d.payload).ok()))).await?;
        let governance = self.governance();
        let (mut stripped, mut strange): (bool, Vec<(Iri, &str)>) = (false, Vec::new());
        let mut open = Entity::new(entity.id.clone(), entity.types.clone());
        for (name, instances) in &mut entity.attributes {
            let is_open = governance.class_of(entity.types.iter().map(Iri::as_str), name.as_str()) == Class::Open;
            for instance in instances {
                let tag = take_tag(instance);
                let which = key(&[name.as_str(), instance.dataset_id.as_ref().map_or("", Iri::as_str)]);
                let sent = seen.as_ref().and_then(|s| s.instances.get(&which));
                let text = serde_json::to_string(&*instance).unwrap_or_default();
                match (sent, tag) {
                    (Some(sent), tag) if sent.normal == normal_digest(&self.inner.secret, &text) => {
                        let under = tag.as_deref().and_then(tag_hash);
                        let right = sent.envelope.is_none() || under.is_some_and(|hash| sent.envelopes().any(|e| e == hash));
                        if !right && tag.is_some() {
                            strange.push((name.clone(), "tag-swapped"));
                        } else if !right {
                            stripped = true;
                        }
                    }
                    (_, Some(_)) => strange.push((name.clone(), "tampered")),
                    (Some(sent), None) if sent.envelope.is_some() => strange.push((name.clone(), "tampered")),
                    (None, None) if !is_open => strange.push((name.clone(), "untagged-personal")),
                    _ => {
                        open.attributes.entry(name.clone()).or_default().push(instance.clone());
                    }
                }
            }
        }
        for (name, code) in &strange {
            self.quarantine(&parcel.connection, &intake.tenant, doc.text(), Some(name), code).await?;
        }
        if stripped {
            self.reattach(&parcel.connection, intake, follower, &entity.id).await?;
        }
        if open.attributes.is_empty() { Ok(()) } else { self.store_incoming(intake, open, &BTreeMap::new()).await }
    }

    /// Sends the entity again, with its tags: forgetting what was seen makes the next delivery whole.
    async fn reattach(&self, connection: &str, intake: &Intake, follower: &Iri, entity: &Iri) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let at = key(&[follower.as_str(), entity.as_str()]);
        let looked = at.clone();
        let seen = self.inner.store.read(move |r| r.doc(SEEN, &looked)).await?;
        let mut batch = Batch::new();
        if let Some(mut seen) = seen.and_then(|d| serde_json::from_slice::<Seen>(&d.payload).ok()) {
            for instance in seen.instances.values_mut() {
                instance.digest = UNCONFIRMED;
            }
            batch.put_doc(SEEN, &at, encode(&seen), None);
        }
        crate::fan::put_delivery(&mut batch, &at, now);
        let record = Record::new(Kind::Admission, intake.tenant.clone(), now).left(1, None).detail(json!({ "reason": "stripped", "connection": connection }));
        self.inner.journal.append(&mut batch, record);
        self.commit(batch).await.map(drop)
    }

    /// Data of the city's own sources: stored as it is. Whether it is personal, and whose, classification and registry say.
    async fn admit_plain(&self, intake: &Intake, doc: &EntityDoc) -> Result<(), Problem> {
        let entity = doc.to_entity().map_err(|e| Problem::new(ProblemCode("inbox-not-canonical"), 400, "Not an entity", e.to_string()))?;
        self.store_incoming(intake, entity, &BTreeMap::new()).await
    }

    /// What the sender no longer has, or no longer shows: this hub's copy goes, other data on the entity stays.
    async fn take_away(&self, intake: &Intake, id: &Iri, attributes: &[Iri]) -> Result<(), Problem> {
        let scope = Scope { principal: Principal::Hub, ..Scope::anonymous(intake.tenant.clone()) };
        if intake.fed_by.is_some() {
            return Ok(());
        }
        let from_hub = intake.hub.is_some();
        let now = self.inner.clock.now();
        self.modify(&scope, id, move |current| {
            let Some(current) = current else { return Ok(crate::Change::Keep(())) };
            let goes = |span: &waybill_model::AttributeSpan| {
                let named = attributes.is_empty() || attributes.iter().any(|a| a.as_str() == current.name(span));
                named && (!from_hub || span.envelope.is_some() || attributes.is_empty())
            };
            Ok(without(current, goes, now))
        })
        .await
    }

    /// The verified manifest at `url`, which must lie at `hub` and be for this hub's party.
    async fn manifest_from(&self, hub: &str, url: &str) -> Result<Manifest, Problem> {
        if !url.starts_with(&format!("{hub}/")) {
            return Err(Problem::new(ProblemCode("foreign-manifest"), 400, "Manifest refused", "it does not lie at the sender"));
        }
        let text = self.fetched(url).await?;
        let now = self.inner.clock.now();
        let manifest = self.by_keys_of(hub, |keys| Manifest::verify(text.trim(), keys, now)).await?;
        if manifest.claims.aud != self.governance().party {
            return Err(Problem::new(ProblemCode("statement-audience"), 400, "Manifest refused", "it is for another recipient"));
        }
        Ok(manifest)
    }

    /// Makes sure that the envelope is here, verified, and for this hub's party. Answers its state and its row's revision.
    async fn envelope_from(&self, hub: &str, hash: EnvelopeHash, url: &str) -> Result<(InboundState, u64), Problem> {
        let find = || {
            let at = hash.to_string();
            self.inner.store.read(move |r| Ok(r.doc(INBOUND, &at)?.and_then(|d| Some((serde_json::from_slice::<Inbound>(&d.payload).ok()?.state, d.revision)))))
        };
        if let Some(found) = find().await? {
            return Ok(found);
        }
        let text = self.fetched(url).await?;
        self.take_envelope(hub, hash, text.trim()).await?;
        find().await?.ok_or_else(|| Problem::new(ProblemCode("peer-document"), 503, "Not fetched", "the envelope is not there yet"))
    }

    /// Verifies and stores an envelope that came from `hub`.
    pub(crate) async fn take_envelope(&self, hub: &str, hash: EnvelopeHash, compact: &str) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let envelope = self.by_keys_of(hub, |keys| Envelope::verify(compact, keys, now)).await?;
        if envelope.hash != hash {
            return Err(Problem::new(ProblemCode("envelope-hash"), 400, "Envelope refused", "its text is not what its name says"));
        }
        if envelope.claims.aud != self.governance().party {
            return Err(Problem::new(ProblemCode("statement-audience"), 400, "Envelope refused", "it is for another recipient"));
        }
        let row = Inbound { jws: compact.to_owned(), sender: hub.to_owned(), state: InboundState::Live };
        let mut batch = Batch::new();
        batch.expect_doc(INBOUND, &hash.to_string(), None);
        batch.put_doc(INBOUND, &hash.to_string(), encode(&row), None);
        match self.commit(batch).await {
            Err(problem) if problem.code != "store-conflict" => Err(problem),
            _ => Ok(()),
        }
    }

    pub(crate) async fn fetched(&self, url: &str) -> Result<String, Problem> {
        let Some(notices) = self.inner.notices.get() else {
            return Err(Problem::new(ProblemCode("no-peers"), 503, "Not reachable", "nothing fetches documents of other hubs"));
        };
        notices.fetch(url).await.map_err(|e| {
            let status = if e.retry { 503 } else { 400 };
            Problem::new(ProblemCode("peer-document"), status, "Not fetched", e.detail)
        })
    }

    /// The keys that `hub` publishes, from its own key document: as fetched within the last minute. While it cannot be reached, those of
    /// the last minutes still count, so that what it signed before can be admitted.
    async fn keys_of(&self, hub: &str) -> Result<KeySet, Problem> {
        let now = self.inner.clock.now();
        let known = self.inner.peer_keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(hub).cloned();
        let younger = |seconds: i64| known.clone().filter(|(at, _)| *at <= now && now <= at.plus_seconds(seconds)).map(|(_, keys)| keys);
        if let Some(keys) = younger(KEYS_FRESH) {
            return Ok(keys);
        }
        let bad = |detail: String| Problem::new(ProblemCode("peer-keys"), 400, "Keys refused", detail);
        let text = match self.fetched(&format!("{hub}/.well-known/did.json")).await {
            Ok(text) => text,
            Err(problem) => return younger(KEYS_KEPT).ok_or(problem),
        };
        let document: serde_json::Value = serde_json::from_str(&text).map_err(|_| bad("the key document is not JSON".into()))?;
        let keys = KeySet::from_did_document(&document, &crate::notice::did_of(hub)).map_err(|e| bad(e.to_string()))?;
        self.inner.peer_keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(hub.to_owned(), (now, keys.clone()));
        Ok(keys)
    }

    /// What `verify` says by the keys of `hub`. A key that is not among those at hand may be new, so they are fetched once more for it.
    pub(crate) async fn by_keys_of<T>(&self, hub: &str, verify: impl Fn(&KeySet) -> Result<T, StatementError>) -> Result<T, Problem> {
        match verify(&self.keys_of(hub).await?) {
            Err(StatementError::Jws(waybill_keys::JwsError::UnknownKey)) => {
                self.inner.peer_keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(hub);
                Ok(verify(&self.keys_of(hub).await?)?)
            }
            other => Ok(other?),
        }
    }

    /// Keeps what was refused, for somebody to look at.
    pub(crate) async fn quarantine(&self, connection: &str, tenant: &TenantId, text: &str, attribute: Option<&Iri>, code: &str) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let entity = EntityDoc::parse(text, now).map(|d| d.id().to_owned()).unwrap_or_default();
        let row = Quarantined {
            connection: connection.to_owned(),
            tenant: tenant.clone(),
            entity,
            attribute: attribute.map(ToString::to_string),
            code: code.to_owned(),
            at: now,
            document: text.to_owned(),
        };
        let mut batch = Batch::new();
        batch.put_doc(QUARANTINE, &self.ordered_key(connection), encode(&row), None);
        let record = Record::new(Kind::Quarantine, tenant.clone(), now).left(1, None).detail(json!({ "reason": code, "connection": connection }));
        self.inner.journal.append(&mut batch, record);
        self.commit(batch).await.map(drop)
    }
}

fn iri(text: &str) -> Iri {
    // INVARIANT: names and datasetIds of a parsed document are IRIs.
    Iri::new(text).unwrap_or_else(|_| unreachable!("a name of a document is an IRI"))
}

/// Takes the tag off an instance: its URI.
fn take_tag(instance: &mut Attribute) -> Option<String> {
    let tags = instance.attributes.remove(TAG_NAME)?;
    match tags.first().map(|t| &t.value) {
        Some(AttributeValue::Relationship { objects, .. }) => objects.first().map(ToString::to_string),
        // A tag of another kind is no tag that could cover anything.
        _ => Some(String::new()),
    }
}

/// A digest of an instance that does not mind how its numbers and members were written.
pub(crate) fn normal_digest(secret: &[u8; 32], instance: &str) -> EnvelopeHash {
    let value: serde_json::Value = serde_json::from_str(instance).unwrap_or_default();
    let mut bytes = secret.to_vec();
    bytes.extend_from_slice(waybill_keys::jcs(&value).as_bytes());
    EnvelopeHash(waybill_keys::sha256(&bytes))
}

/// Keeps the times and envelopes of instances that did not change.
pub(crate) fn carry_over(before: Option<&EntityDoc>, doc: &mut EntityDoc, now: DateTime) {
    let Some(before) = before else { return };
    doc.system.created_at = before.system.created_at;
    doc.system.modified_at = now;
    let reader = doc.clone();
    for (span, own) in doc.spans_mut().iter_mut().zip(reader.spans()) {
        let name = reader.name(own);
        let Some(old) = before.instances_of(name).find(|s| before.dataset_id(s) == reader.dataset_id(own)) else { continue };
        span.created_at = old.created_at;
        if before.instance(old) == reader.instance(own) {
            (span.modified_at, span.envelope, span.leaf) = (old.modified_at, old.envelope, old.leaf);
        }
    }
}

/// `current` without the instances for which `goes` holds; deleted when nothing is left of it.
pub(crate) fn without(current: &EntityDoc, goes: impl Fn(&waybill_model::AttributeSpan) -> bool, now: DateTime) -> crate::Change<()> {
    let kept: Vec<_> = current.spans().iter().filter(|s| !goes(s)).collect();
    if kept.len() == current.spans().len() && !kept.is_empty() {
        return crate::Change::Keep(());
    }
    if kept.is_empty() {
        return crate::Change::Delete(());
    }
    let mut builder = waybill_model::DocBuilder::new(current.id(), current.types(), current.scopes(), current.system.expires_at);
    for span in kept {
        builder.instance(current.name(span), current.instance(span), waybill_model::InstanceMeta::of(current, span));
    }
    let mut system = current.system.clone();
    system.modified_at = now;
    crate::Change::Put(builder.finish(system), ())
}
