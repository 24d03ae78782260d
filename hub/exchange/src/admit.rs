//! Admission: what comes in is checked against the tags it carries, or should carry, before it is stored (consent-design §5).

use crate::fan::CAME_UNDER;
use crate::follow::encode;
use crate::hub::Hub;
use crate::inbox::{Incoming, Intake, Left, Parcelled};
use crate::origin::{Arrival, Origin, normal_digest, which};
use crate::rows::{SEEN, Seen, SeenInstance, UNCONFIRMED, follower_entity, key};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use waybill_consent::{LeafKey, LeafMatch, Manifest, tag_hash};
use waybill_gate::{Class, INBOUND, InboundState, Joint};
use waybill_journal::{Kind, Record};
use waybill_model::{Attribute, AttributeValue, DateTime, Entity, EntityDoc, EnvelopeHash, Iri, Problem, ProblemCode, TAG_NAME};
use waybill_store::{Batch, Reader, StoreError};

/// A value that came under a tag that covers it.
pub(crate) struct Covered {
    pub envelope: EnvelopeHash,
    pub leaf: [u8; 32],
    /// The revision of the envelope's row: were it withdrawn before the value is stored, the value would stay for ever.
    pub revision: u64,
}

impl Hub {
    /// Admits a delivery, each item by itself: what is refused goes to quarantine, and what cannot be decided yet is handed back. What is
    /// gone goes first, since that needs nothing of the sender's.
    ///
    /// # Errors
    /// The store's; then all of it is to be done again, which changes nothing of what was done.
    pub(crate) async fn admit(&self, parcel: &Parcelled, intake: &Intake) -> Result<Left, Problem> {
        let mut changed: Vec<(&Incoming, EntityDoc)> = Vec::new();
        for item in &parcel.items {
            match item {
                Incoming::Gone { id, attributes } => {
                    self.take_away(&parcel.connection, intake, id, attributes, parcel.at).await?;
                    // Said after a change of the same entity, it counts for that too.
                    changed.retain_mut(|(_, doc)| doc.id() != id.as_str() || rest_of(doc, attributes));
                }
                Incoming::Changed(text) => match EntityDoc::parse(text.as_str(), self.inner.clock.now()) {
                    Ok(doc) => changed.push((item, doc)),
                    Err(e) => self.quarantine(parcel, &intake.tenant, text, None, &not_canonical(e).code).await?,
                },
            }
        }
        let manifest = match (&parcel.manifest, &intake.hub) {
            (Some(url), Some(hub)) if !changed.is_empty() => self.manifest_from(hub, url).await.map(Some),
            _ => Ok(None),
        };
        let (mut left, mut why): (Vec<Incoming>, Option<Problem>) = (Vec::new(), None);
        let mut waiting: BTreeSet<String> = BTreeSet::new();
        for (item, doc) in changed {
            let id = doc.id().to_owned();
            let outcome = match &manifest {
                // Of one entity, what came later must not overtake.
                _ if waiting.contains(&id) => {
                    left.push(item.clone());
                    continue;
                }
                Err(problem) => Err(problem.clone()),
                Ok(manifest) => match &intake.hub {
                    Some(sender) if self.governance().is_import(sender) => self.admit_under(parcel, intake, &doc).await,
                    Some(hub) => self.admit_from_hub(parcel, intake, hub, &doc, manifest.as_ref()).await,
                    None if intake.fed_by.is_empty() => self.admit_plain(parcel, intake, &doc).await,
                    None => self.admit_from_fed(parcel, intake, &doc).await,
                },
            };
            match outcome {
                Ok(()) => {}
                Err(problem) if parcel.waits_for(&problem) => {
                    waiting.insert(id);
                    left.push(item.clone());
                    why = Some(problem);
                }
                Err(problem) => self.quarantine(parcel, &intake.tenant, doc.text(), None, &problem.code).await?,
            }
        }
        Ok(why.map(|problem| (left, problem)))
    }

    /// Data from another hub: each personal value must be covered by its tag.
    async fn admit_from_hub(&self, parcel: &Parcelled, intake: &Intake, hub: &str, doc: &EntityDoc, manifest: Option<&Manifest>) -> Result<(), Problem> {
        let mut entity = doc.to_entity().map_err(not_canonical)?;
        entity.attributes.remove(TAG_NAME);
        let types = self.types_with(intake, &entity).await?;
        let governance = self.governance();
        // What has no tag because it is open is kept under the agreement that it was pulled under, where it was.
        let stated = match parcel.under {
            None => None,
            Some(envelope) => match self.stated(envelope).await? {
                Some(revision) => Some((envelope, revision)),
                None => return self.note_not_kept(parcel, intake, doc.spans().len(), "agreement-over").await,
            },
        };
        let mut covered: BTreeMap<(Iri, Option<Iri>), Covered> = BTreeMap::new();
        let mut refused: Vec<(Iri, String)> = Vec::new();
        // Under an envelope that was withdrawn: late, or played again. It is not kept, not even in quarantine.
        let mut ended: Vec<Iri> = Vec::new();
        let names: Vec<Iri> = entity.attributes.keys().cloned().collect();
        for name in names {
            for instance in entity.attributes.get_mut(&name).into_iter().flatten() {
                let Some(tag) = take_tag(instance) else {
                    if governance.class_of(types.iter().map(Iri::as_str), name.as_str()) != Class::Open {
                        refused.push((name.clone(), "untagged-personal".into()));
                    } else if let Some((envelope, revision)) = stated {
                        let leaf = waybill_keys::sha256(serde_json::to_string(&*instance).unwrap_or_default().as_bytes());
                        covered.insert((name.clone(), instance.dataset_id.clone()), Covered { envelope, leaf, revision });
                    }
                    continue;
                };
                let text = serde_json::to_string(&*instance).unwrap_or_default();
                let at = LeafKey { entity: entity.id.as_str(), attribute: name.as_str(), dataset: instance.dataset_id.as_ref().map(Iri::as_str) };
                let Some(hash) = tag_hash(&tag).filter(|_| tag.starts_with(&format!("{hub}/env/"))) else {
                    refused.push((name.clone(), "foreign-tag".into()));
                    continue;
                };
                match manifest.map(|m| m.check(&hash, at, &text)) {
                    Some(LeafMatch::Covered(leaf)) => match self.envelope_from(hub, hash, &tag).await {
                        Ok((InboundState::Withdrawn, _)) => ended.push(name.clone()),
                        Ok((_, revision)) => drop(covered.insert((name.clone(), instance.dataset_id.clone()), Covered { envelope: hash, leaf, revision })),
                        Err(problem) if parcel.waits_for(&problem) => return Err(problem),
                        Err(problem) => refused.push((name.clone(), problem.code.clone())),
                    },
                    Some(LeafMatch::Changed) => refused.push((name.clone(), "tampered".into())),
                    Some(LeafMatch::OtherTag(_)) => refused.push((name.clone(), "tag-swapped".into())),
                    Some(LeafMatch::Absent) => refused.push((name.clone(), "not-in-manifest".into())),
                    None => refused.push((name.clone(), "no-manifest".into())),
                }
            }
        }
        for (name, code) in &refused {
            entity.attributes.remove(name);
            self.quarantine(parcel, &intake.tenant, doc.text(), Some(name), code).await?;
        }
        for name in &ended {
            entity.attributes.remove(name);
        }
        if !ended.is_empty() {
            self.note_not_kept(parcel, intake, ended.len(), "withdrawn").await?;
        }
        if entity.attributes.is_empty() && !(refused.is_empty() && ended.is_empty()) {
            return Ok(());
        }
        let pulled = if stated.is_some() { u64::try_from(parcel.at.micros()).unwrap_or(0) } else { 0 };
        let seq = manifest.map_or(pulled, |m| m.claims.seq);
        self.store_incoming(parcel, intake, entity, &covered, seq, doc).await
    }

    /// The types that the entity has once it is stored: those it comes with, and those it has here. By all of them its data is judged.
    pub(crate) async fn types_with(&self, intake: &Intake, entity: &Entity) -> Result<Vec<Iri>, Problem> {
        let (tenant, id) = (intake.tenant.clone(), entity.id.clone());
        let here = self.inner.store.read(move |r| r.entity(&tenant, id.as_str())).await?;
        let mut types = entity.types.clone();
        for ty in here.iter().flat_map(EntityDoc::types).filter_map(|t| Iri::new(t).ok()) {
            if !types.contains(&ty) {
                types.push(ty);
            }
        }
        Ok(types)
    }

    pub(crate) async fn note_not_kept(&self, parcel: &Parcelled, intake: &Intake, values: usize, reason: &str) -> Result<(), Problem> {
        let detail = json!({ "reason": reason, "connection": parcel.connection });
        let record = Record::new(Kind::Refusal, intake.tenant.clone(), self.inner.clock.now()).left(values as u64, None).detail(detail);
        let mut batch = Batch::new();
        self.inner.journal.append(&mut batch, record);
        self.commit(batch).await.map(drop)
    }

    /// Puts the Attributes that came beside those that are there, and notes under which envelope each came. What is older than what
    /// came before, by the sender's own count, is not taken; what would stand where something stands that did not come from this sender goes
    /// to quarantine, out of `came`.
    pub(crate) async fn store_incoming(&self, parcel: &Parcelled, intake: &Intake, entity: Entity, covered: &BTreeMap<(Iri, Option<Iri>), Covered>, seq: u64, came: &EntityDoc) -> Result<(), Problem> {
        let (tenant, id) = (&intake.tenant, entity.id.clone());
        let at = self.origin_key(&parcel.connection, tenant, id.as_str());
        for _ in 0..16 {
            let (this, tenant_, wanted, at_, hub) = (self.clone(), tenant.clone(), id.clone(), at.clone(), intake.hub.clone());
            let read = move |r: &Reader<'_>| {
                let (current, (origin, revision)) = (r.entity(&tenant_, wanted.as_str())?, Origin::read(r, &at_)?);
                let theirs = current.as_ref().map(|doc| this.came_of(r, hub.as_deref(), &origin, doc)).transpose()?;
                Ok((current, origin, revision, theirs.unwrap_or_default()))
            };
            let (current, mut origin, revision, theirs) = self.inner.store.read(read).await?;
            let now = self.inner.clock.now();
            let older = |name: &Iri, instances: &[Attribute]| {
                let mut tagged = instances.iter().filter(|i| covered.contains_key(&(name.clone(), i.dataset_id.clone())));
                tagged.any(|i| origin.is_older(&which(name.as_str(), i.dataset_id.as_ref().map(Iri::as_str)), seq))
            };
            let (late, fresh): (Vec<_>, Vec<_>) = entity.attributes.iter().partition(|(name, instances)| older(name, instances));
            if fresh.is_empty() && !late.is_empty() {
                return self.note_not_kept(parcel, intake, late.len(), "older").await;
            }
            let (mut merged, mut taught) = (Entity::new(id.clone(), entity.types.clone()), current.is_none());
            if let Some((there, Ok(tree))) = current.as_ref().map(|doc| (doc, doc.to_entity())) {
                merged = tree;
                if self.may_type(intake, there, &theirs) {
                    for ty in entity.types.iter().filter(|ty| !there.types().any(|t| t == ty.as_str())) {
                        merged.types.push(ty.clone());
                        taught = true;
                    }
                }
            }
            if intake.hub.is_some() {
                let closed = |name: &Iri| self.governance().class_of(merged.types.iter().map(Iri::as_str), name.as_str()) != Class::Open;
                let bare = |name: &Iri, instances: &[Attribute]| instances.iter().any(|i| !covered.contains_key(&(name.clone(), i.dataset_id.clone())));
                if fresh.iter().any(|(name, instances)| bare(name, instances) && closed(name)) {
                    // Somebody gave the entity another type meanwhile: judged by that, it is not open.
                    return Err(Problem::new(ProblemCode("busy-entity"), 503, "Too many writers", "the entity's types changed while this was admitted"));
                }
            }
            let (mut taken, mut foreign): (BTreeSet<(Iri, Option<Iri>)>, Vec<Iri>) = (BTreeSet::new(), Vec::new());
            for (name, instances) in &fresh {
                let own = |i: &Attribute| !theirs.contains(&which(name.as_str(), i.dataset_id.as_ref().map(Iri::as_str)));
                let mut kept: Vec<Attribute> = merged.attributes.remove(*name).unwrap_or_default().into_iter().filter(own).collect();
                for instance in *instances {
                    match kept.iter().find(|k| k.dataset_id == instance.dataset_id) {
                        None => {
                            taken.insert(((*name).clone(), instance.dataset_id.clone()));
                            kept.push(instance.clone());
                        }
                        // Who says the same has replaced nothing.
                        Some(there) if self.digest_of(there) == self.digest_of(instance) => {}
                        Some(_) => foreign.push((*name).clone()),
                    }
                }
                merged.attributes.insert((*name).clone(), kept);
            }
            foreign.dedup();
            for name in &foreign {
                self.quarantine(parcel, tenant, came.text(), Some(name), "not-the-senders").await?;
            }
            let shrinks = current.as_ref().is_some_and(|doc| doc.spans().len() > merged.attributes.values().map(Vec::len).sum());
            if taken.is_empty() && !taught && !shrinks {
                return if late.is_empty() { Ok(()) } else { self.note_not_kept(parcel, intake, late.len(), "older").await };
            }
            let mut doc = EntityDoc::from_entity(&merged, now);
            carry_over(current.as_ref(), &mut doc, now);
            let mut batch = Batch::new();
            batch.expect_version(tenant, id.as_str(), current.as_ref().map(|d| d.system.version));
            let named: Vec<(Iri, Option<Iri>)> =
                doc.spans().iter().map(|s| (iri(doc.name(s)), doc.dataset_id(s).map(iri))).collect();
            let texts: Vec<String> = doc.spans().iter().map(|s| doc.instance(s).to_owned()).collect();
            let (mut used, mut envelopes) = (Vec::new(), BTreeSet::new());
            for ((span, at), text) in doc.spans_mut().iter_mut().zip(named).zip(texts) {
                if !taken.contains(&at) {
                    continue;
                }
                let arrival = origin.instances.entry(which(at.0.as_str(), at.1.as_ref().map(Iri::as_str))).or_default();
                if let Some(by) = covered.get(&at) {
                    (span.envelope, span.leaf) = (Some(by.envelope), Some(by.leaf));
                    *arrival = Arrival { seq, open: None };
                    used.push(by);
                    envelopes.insert(by.envelope);
                } else {
                    (span.envelope, span.leaf) = (None, None);
                    *arrival = Arrival { seq: arrival.seq, open: Some(normal_digest(&self.inner.secret, &text)) };
                }
            }
            for by in used {
                batch.expect_doc(INBOUND, &by.envelope.to_string(), Some(by.revision));
            }
            for envelope in &envelopes {
                batch.put_doc(CAME_UNDER, &key(&[&envelope.to_string(), tenant.as_str(), id.as_str()]), Vec::new(), None);
            }
            if intake.hub.is_some() {
                origin.put(&mut batch, &at, revision);
            }
            self.put(&mut batch, tenant, current.as_ref(), &doc).await?;
            let detail = json!({ "envelopes": envelopes });
            let record = Record::new(Kind::Admission, tenant.clone(), now).left(1, None).detail(detail);
            self.inner.journal.append(&mut batch, record);
            match self.inner.store.commit(batch).await {
                Ok(_) => {
                    self.ring();
                    return if late.is_empty() { Ok(()) } else { self.note_not_kept(parcel, intake, late.len(), "older").await };
                }
                // An envelope that changed is looked up again from the start.
                Err(StoreError::Conflict { what }) if what != "document" => {}
                Err(StoreError::Conflict { .. }) => return Err(Problem::new(ProblemCode("busy-envelope"), 503, "Changed meanwhile", "an envelope changed while data under it was admitted")),
                Err(e) => return Err(e.into()),
            }
        }
        Err(Problem::new(ProblemCode("busy-entity"), 503, "Too many writers", "other writers kept changing this entity"))
    }

    /// Whether a sender may add types to what is here: types decide which grants reach it, and what of it is open to all. Another hub may
    /// where everything came from it; a store that this hub feeds, where all is open; a source of the city's own always.
    fn may_type(&self, intake: &Intake, there: &EntityDoc, theirs: &BTreeSet<String>) -> bool {
        let governance = self.governance();
        if intake.hub.is_some() {
            return !there.spans().is_empty() && there.spans().iter().all(|s| theirs.contains(&which(there.name(s), there.dataset_id(s))));
        }
        intake.fed_by.is_empty() || there.spans().iter().all(|s| s.envelope.is_none() && governance.class_of(there.types(), there.name(s)) == Class::Open)
    }

    fn digest_of(&self, instance: &Attribute) -> EnvelopeHash {
        normal_digest(&self.inner.secret, &serde_json::to_string(instance).unwrap_or_default())
    }

    /// Data that comes back from a store which this hub feeds: equal, stripped, tampered, or unknown.
    async fn admit_from_fed(&self, parcel: &Parcelled, intake: &Intake, doc: &EntityDoc) -> Result<(), Problem> {
        let mut entity = doc.to_entity().map_err(not_canonical)?;
        entity.attributes.remove(TAG_NAME);
        let types = self.types_with(intake, &entity).await?;
        // Several routes may feed one store; each sent what it sent.
        let ats: Vec<String> = intake.fed_by.iter().map(|follower| follower_entity(&intake.tenant, follower, entity.id.as_str())).collect();
        let read = move |r: &Reader<'_>| {
            let mut all: Vec<Seen> = Vec::new();
            for at in &ats {
                all.extend(r.doc(SEEN, at)?.and_then(|d| serde_json::from_slice(&d.payload).ok()));
            }
            let mut joint: BTreeMap<EnvelopeHash, BTreeSet<EnvelopeHash>> = BTreeMap::new();
            for part in all.iter().flat_map(Seen::envelopes) {
                joint.extend(Joint::with(r, &part)?.into_iter().map(|j| (j.hash, j.parts)));
            }
            Ok((all, joint))
        };
        let (seen, joint) = self.inner.store.read(read).await?;
        let governance = self.governance();
        let (mut stripped, mut strange): (bool, Vec<(Iri, &str)>) = (false, Vec::new());
        let mut open = Entity::new(entity.id.clone(), entity.types.clone());
        for (name, instances) in &mut entity.attributes {
            let is_open = governance.class_of(types.iter().map(Iri::as_str), name.as_str()) == Class::Open;
            for instance in instances {
                let tag = take_tag(instance);
                let which = key(&[name.as_str(), instance.dataset_id.as_ref().map_or("", Iri::as_str)]);
                let text = serde_json::to_string(&*instance).unwrap_or_default();
                let digest = normal_digest(&self.inner.secret, &text);
                let sent: Vec<&SeenInstance> = seen.iter().filter_map(|s| s.instances.get(&which)).collect();
                let same: Vec<&SeenInstance> = sent.iter().filter(|s| s.normal == digest).copied().collect();
                match (sent.first(), tag) {
                    (Some(_), tag) if !same.is_empty() => {
                        let under = tag.as_deref().and_then(tag_hash);
                        // What is about several people is tagged with the envelope that stands for all of theirs.
                        let fits = |sent: &SeenInstance| {
                            let all: BTreeSet<EnvelopeHash> = sent.envelopes().collect();
                            let single = all.len() == 1 || sent.digest == UNCONFIRMED;
                            sent.envelope.is_none()
                                || under.is_some_and(|hash| joint.get(&hash).map_or(single && all.contains(&hash), |parts| parts.is_subset(&all)))
                        };
                        let right = same.iter().any(|sent| fits(sent));
                        if !right && tag.is_some() {
                            strange.push((name.clone(), "tag-swapped"));
                        } else if !right {
                            stripped = true;
                        }
                    }
                    (_, Some(_)) => strange.push((name.clone(), "tampered")),
                    (Some(_), None) if sent.iter().any(|s| s.envelope.is_some()) => strange.push((name.clone(), "tampered")),
                    (None, None) if !is_open => strange.push((name.clone(), "untagged-personal")),
                    _ => {
                        open.attributes.entry(name.clone()).or_default().push(instance.clone());
                    }
                }
            }
        }
        for (name, code) in &strange {
            self.quarantine(parcel, &intake.tenant, doc.text(), Some(name), code).await?;
        }
        if stripped {
            self.reattach(&parcel.connection, intake, &entity.id).await?;
        }
        if open.attributes.is_empty() { Ok(()) } else { self.store_incoming(parcel, intake, open, &BTreeMap::new(), 0, doc).await }
    }

    /// Sends the entity again, with its tags: forgetting what was seen makes the next delivery whole.
    async fn reattach(&self, connection: &str, intake: &Intake, entity: &Iri) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        for follower in &intake.fed_by {
            let at = follower_entity(&intake.tenant, follower, entity.as_str());
            let looked = at.clone();
            let seen = self.inner.store.read(move |r| r.doc(SEEN, &looked)).await?;
            let Some(mut seen) = seen.and_then(|d| serde_json::from_slice::<Seen>(&d.payload).ok()) else { continue };
            for instance in seen.instances.values_mut() {
                instance.digest = UNCONFIRMED;
            }
            batch.put_doc(SEEN, &at, encode(&seen), None);
            crate::fan::put_delivery(&mut batch, &at, now);
        }
        let record = Record::new(Kind::Admission, intake.tenant.clone(), now).left(1, None).detail(json!({ "reason": "stripped", "connection": connection }));
        self.inner.journal.append(&mut batch, record);
        self.commit(batch).await.map(drop)
    }

    /// Data of the city's own sources: stored as it is. Whether it is personal, and whose, classification and registry say. A tag is
    /// nothing that such a source could give.
    async fn admit_plain(&self, parcel: &Parcelled, intake: &Intake, doc: &EntityDoc) -> Result<(), Problem> {
        let mut entity = doc.to_entity().map_err(not_canonical)?;
        entity.attributes.remove(TAG_NAME);
        for instance in entity.attributes.values_mut().flatten() {
            take_tag(instance);
        }
        self.store_incoming(parcel, intake, entity, &BTreeMap::new(), 0, doc).await
    }
}

pub(crate) fn not_canonical(e: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode("inbox-not-canonical"), 400, "Not an entity", e.to_string())
}

/// Takes `attributes` off `doc`, or everything when there are none; whether anything is left to admit.
fn rest_of(doc: &mut EntityDoc, attributes: &[Iri]) -> bool {
    let Ok(mut entity) = doc.to_entity() else { return false };
    entity.attributes.retain(|name, _| !attributes.is_empty() && !attributes.contains(name));
    *doc = EntityDoc::from_entity(&entity, doc.system.modified_at);
    entity.attributes.keys().any(|name| name.as_str() != TAG_NAME)
}

fn iri(text: &str) -> Iri {
    // INVARIANT: names and datasetIds of a parsed document are IRIs.
    Iri::new(text).unwrap_or_else(|_| unreachable!("a name of a document is an IRI"))
}

/// Takes the tag off an instance: its URI.
pub(crate) fn take_tag(instance: &mut Attribute) -> Option<String> {
    let tag = tag_of(instance);
    instance.attributes.remove(TAG_NAME);
    tag
}

/// The tag of an instance: its URI.
pub(crate) fn tag_of(instance: &Attribute) -> Option<String> {
    let tags = instance.attributes.get(TAG_NAME)?;
    match tags.first().map(|t| &t.value) {
        Some(AttributeValue::Relationship { objects, .. }) => objects.first().map(ToString::to_string),
        // A tag of another kind is no tag that could cover anything.
        _ => Some(String::new()),
    }
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

