//! Erasing a person (GDPR Art. 17): what is hers alone goes, what names her goes, and nothing brings it back.

use crate::consent::{entities_of, told};
use crate::fan::CAME_UNDER;
use crate::follow::encode;
use crate::hub::Hub;
use crate::origin::without;
use crate::rows::{DEAD, ERASED, OUTBOX, POD, POD_ENTITY, POD_KNOWN, POD_OWNER, PodEntity, QUARANTINE, Quarantined, SCRUB, SEEN, SEP, TODO, WITHDRAWAL, key};
use crate::scan::each_doc;
use std::collections::BTreeSet;
use waybill_consent::{Actor, ActorRole, Change, ConsentBook, ConsentEvent, ConsentView, Evidence, EvidenceKind, ManifestClaims, Pids, Registry};
use waybill_gate::{MANIFEST, WINDOW};
use waybill_model::{DateTime, EntityDoc, Iri, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Reader, Scrub, StoreError};

/// What an erasure did.
#[derive(Debug, Clone, Default)]
pub struct Erasure {
    /// Consents that were withdrawn and deleted.
    pub consents: usize,
    /// Entities that were deleted, or lost what was about her alone.
    pub entities: usize,
    /// Withdrawals that this began.
    pub withdrawals: Vec<Iri>,
}

/// How often it is looked whether followers were told, 50 ms apart, before an erasure answers without.
const PATIENCE: usize = 60;

impl Hub {
    /// Withdraws every consent of a person, deletes what is about her alone, forgets her consents and bindings, and destroys her key in the
    /// journal. Data that is about others too stays, closed to whom her agreement opened it. What she granted before is not taken again from
    /// where it stands; what she grants later is. What remains of her in the database file is scrubbed.
    ///
    /// # Errors
    /// The store's. It may be called again after an error: what is done is done.
    pub async fn erase(&self, tenant: &TenantId, subject: &Iri) -> Result<Erasure, Problem> {
        self.erase_with(tenant, subject, None).await
    }

    /// With `since`, once more after a restore: before the hub is up nobody can be told.
    pub(crate) async fn erase_with(&self, tenant: &TenantId, subject: &Iri, since: Option<DateTime>) -> Result<Erasure, Problem> {
        let mut out = Erasure::default();
        for round in 0..16 {
            out.consents = out.consents.max(self.withdraw_all(tenant, subject).await?);
            if round == 0 {
                // What she is to be told and given back in her pod names her, so it goes first, as far as her pod answers.
                self.change_pods().await?;
            }
            let (hub, tenant_, subject_) = (self.clone(), tenant.clone(), subject.clone());
            let (mut batch, entities, withdrawals) = self.inner.store.read(move |r| hub.forget_all(r, &tenant_, &subject_, since)).await?;
            batch.absorb(self.inner.journal.erase(subject));
            match self.commit(batch).await {
                Ok(_) => {
                    (out.entities, out.withdrawals) = (entities, withdrawals);
                    self.inner.book.purge(tenant, subject);
                    // Who follows is being told right now, by rows that name her entities; mostly that takes no time.
                    for _ in 0..if since.is_none() { PATIENCE } else { 0 } {
                        if self.scrub_what_is_told().await? {
                            return Ok(out);
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                    self.inner.store.scrub(Scrub::Whole).await?;
                    return Ok(out);
                }
                Err(problem) if problem.code == "store-conflict" => {}
                Err(problem) => return Err(problem),
            }
        }
        Err(Problem::new(ProblemCode("busy-subject"), 503, "Too many changes", "others kept changing this person's data").help("Try again in a moment."))
    }

    async fn withdraw_all(&self, tenant: &TenantId, subject: &Iri) -> Result<usize, Problem> {
        let (tenant_, subject_) = (tenant.clone(), subject.clone());
        let records = self.inner.store.read(move |r| ConsentBook::records_of(r, &tenant_, subject_.as_str()).map_err(told)).await?;
        let mut done = 0;
        for record in records {
            let (tenant_, record_) = (tenant.clone(), record.clone());
            let versions = self.inner.store.read(move |r| ConsentBook::versions(r, &tenant_, record_.as_str()).map_err(told)).await?;
            let Some(last) = versions.iter().max_by_key(|v| v.version) else { continue };
            let now = self.inner.clock.now();
            let event = ConsentEvent {
                time: now,
                eid: format!("erase-{}", waybill_keys::b64url(waybill_keys::random::<12>())),
                record: record.clone(),
                version: last.version,
                received: now,
                pids: Pids::ALL,
                state: Change::Withdrawn,
                by: Actor { id: subject.clone(), role: ActorRole::Subject },
                evidence: Evidence::of(EvidenceKind::Observed),
                after: Vec::new(),
                validity: None,
                reason: Some("erasure".into()),
            };
            self.change_consent(tenant, &record, None, vec![event]).await?;
            done += 1;
        }
        Ok(done)
    }

    /// All of it in one Batch, that only commits if no consent, no binding and none of her entities changed meanwhile.
    fn forget_all(&self, r: &Reader<'_>, tenant: &TenantId, subject: &Iri, since: Option<DateTime>) -> Result<(Batch, usize, Vec<Iri>), StoreError> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        let view = self.inner.book.view(r).map_err(told)?;
        view.expect(&mut batch);
        let mut hers: BTreeSet<Iri> = entities_of(r, tenant, subject)?.into_iter().collect();
        self.forget_pod_entities(r, &mut batch, tenant, subject, &mut hers)?;
        let (mut changed, mut windows, mut gone) = (0, Vec::new(), BTreeSet::new());
        for entity in &hers {
            // Followers are told by comparing with what they saw; for that, nobody has to be bound any more.
            self.todo_entity(&mut batch, tenant, entity);
            let Some(doc) = r.entity(tenant, entity.as_str())? else {
                if Registry::ever(r, tenant, entity.as_str(), "").map_err(told)?.iter().all(|s| s == subject) {
                    // It may have expired, and still lie there; so may averages of what is gone.
                    batch.delete_entity(tenant, entity.as_str());
                    windows.push(key(&[tenant.as_str(), entity.as_str(), ""]));
                    gone.insert(entity.clone());
                }
                continue;
            };
            batch.expect_version(tenant, entity.as_str(), Some(doc.system.version));
            let alone = alone(&view, r, tenant, &doc, subject, now)?;
            windows.extend(alone.iter().map(|name| key(&[tenant.as_str(), entity.as_str(), name, ""])));
            if doc.spans().is_empty() && !alone.contains("") {
                continue;
            }
            match without(&doc, |span| alone.contains(doc.name(span)), now) {
                crate::Change::Put(doc, ()) => drop(batch.put_entity(tenant, &doc)),
                crate::Change::Delete(()) => {
                    batch.delete_entity(tenant, entity.as_str());
                    windows.push(key(&[tenant.as_str(), entity.as_str(), ""]));
                    gone.insert(entity.clone());
                }
                crate::Change::Keep(()) => continue,
            }
            changed += 1;
        }
        for prefix in windows {
            forget_under(r, &mut batch, WINDOW, &prefix)?;
        }
        // Of what is about others too, their rows stay: they lead from an envelope that ends to what came under it.
        let own = self.forget_in_licences(r, &mut batch, tenant, &gone)?;
        forget_rows(r, &mut batch, tenant, subject, &gone, &own)?;
        let withdrawals = forget_withdrawals(r, &mut batch, tenant, subject)?;
        batch.absorb(ConsentBook::forget(r, tenant, subject, now).map_err(told)?);
        let who = self.erased_key(tenant, subject);
        // Erased again after a restore, it counts from when she asked.
        let at = since.unwrap_or(now);
        batch.put_doc(ERASED, &who, encode(&at), None);
        let digests: BTreeSet<String> = gone.iter().map(|id| self.entity_digest(id.as_str())).collect();
        batch.put_doc(SCRUB, &who, encode(&digests), None);
        batch.raise_epoch(encode(&crate::restore::Note::Erased { tenant: tenant.clone(), who, at }));
        Ok((batch, changed, withdrawals))
    }

    /// What came from her pod is hers whatever is bound.
    fn forget_pod_entities(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, subject: &Iri, hers: &mut BTreeSet<Iri>) -> Result<(), StoreError> {
        each_doc(r, POD_ENTITY, "", |doc| {
            let Ok(row) = serde_json::from_slice::<PodEntity>(&doc.payload) else { return };
            if row.tenant == *tenant && row.subject == *subject {
                batch.delete_doc(POD_ENTITY, &doc.key).delete_doc(POD_OWNER, &key(&[tenant.as_str(), row.id.as_str()]));
                hers.insert(row.id);
            }
        })
    }

    /// Scrubs the files once nothing names entities of persons who were erased any more: until every follower was told that they are gone, its
    /// row of work and what it saw do. Returns whether nothing is left to be done.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn scrub_what_is_told(&self) -> Result<bool, Problem> {
        let rows = self.inner.store.read(|r| r.docs(SCRUB, "", 1000, None)).await?;
        if rows.is_empty() {
            return Ok(true);
        }
        let hub = self.clone();
        let named = self.inner.store.read(move |r| hub.named_digests(r)).await?;
        let mut batch = Batch::new();
        for row in &rows {
            let hers: BTreeSet<String> = serde_json::from_slice(&row.payload).unwrap_or_default();
            if hers.is_disjoint(&named) {
                batch.delete_doc_at(SCRUB, &row.key, row.revision);
            }
        }
        let done = batch.len() == rows.len();
        if !batch.is_empty() {
            // First scrubbed, then noted as done: after a crash between, it is done again.
            self.inner.store.scrub(Scrub::Whole).await?;
            self.inner.store.commit(batch).await?;
        }
        Ok(done)
    }

    /// Digests of the entities that rows of work name.
    fn named_digests(&self, r: &Reader<'_>) -> Result<BTreeSet<String>, StoreError> {
        let mut out = BTreeSet::new();
        for space in [TODO, OUTBOX, SEEN] {
            // The entity stands behind kind and tenant, or behind tenant and follower, or last where a long walk goes on.
            each_doc(r, space, "", |doc| out.extend(doc.key.split(SEP).skip(2).map(|part| self.entity_digest(part))))?;
        }
        Ok(out)
    }

    /// A name for her that tells nobody who she is.
    pub(crate) fn erased_key(&self, tenant: &TenantId, subject: &Iri) -> String {
        let digest = waybill_keys::sha256(&[self.inner.secret.as_slice(), b"erased", subject.as_str().as_bytes()].concat());
        key(&[tenant.as_str(), &waybill_keys::hex(&digest)])
    }

    /// When she was erased, if she was.
    pub(crate) fn erased_at(&self, r: &Reader<'_>, tenant: &TenantId, subject: &Iri) -> Result<Option<DateTime>, StoreError> {
        Ok(r.doc(ERASED, &self.erased_key(tenant, subject))?.and_then(|doc| serde_json::from_slice(&doc.payload).ok()))
    }

    /// Whether she was erased and has granted nothing since.
    pub(crate) fn is_forgotten(&self, r: &Reader<'_>, tenant: &TenantId, subject: &Iri) -> Result<bool, StoreError> {
        Ok(self.erased_at(r, tenant, subject)?.is_some() && ConsentBook::records_of(r, tenant, subject.as_str()).map_err(told)?.is_empty())
    }
}

/// What is refused of a person who was erased.
pub(crate) fn forgotten(detail: &str) -> Problem {
    Problem::new(ProblemCode("subject-erased"), 409, "This person was erased", detail)
        .help("What she states after the erasure is taken: she has to write a new grant, or change the old one and its `stated`.")
}

/// The Attributes of `doc` that are about `subject` and nobody else; with the empty name among them, the entity as such. Where nobody is bound
/// now, it counts whom the value was about when it was written, and else whom it ever was about.
fn alone(view: &ConsentView<'_>, r: &Reader<'_>, tenant: &TenantId, doc: &EntityDoc, subject: &Iri, now: DateTime) -> Result<BTreeSet<String>, StoreError> {
    let mut out = BTreeSet::new();
    let whole = ("", doc.system.modified_at);
    for (name, written) in doc.spans().iter().map(|span| (doc.name(span), span.modified_at)).chain([whole]) {
        let attribute = Some(name).filter(|name| !name.is_empty());
        let mut about: BTreeSet<Iri> = view.bound(tenant, doc.id(), attribute, now).map_err(told)?.subjects.into_iter().collect();
        if about.is_empty() {
            about = view.bound(tenant, doc.id(), attribute, written).map_err(told)?.subjects.into_iter().collect();
        }
        if about.is_empty() {
            about = Registry::ever(r, tenant, doc.id(), name).map_err(told)?;
        }
        if !about.is_empty() && about.iter().all(|s| s == subject) {
            out.insert(name.to_owned());
        }
    }
    Ok(out)
}

fn forget_under(r: &Reader<'_>, batch: &mut Batch, space: &str, prefix: &str) -> Result<(), StoreError> {
    each_doc(r, space, prefix, |doc| {
        batch.delete_doc(space, &doc.key);
    })
}

/// Rows of work and of record that name her or entities that are `gone` with her, also by names that are organisations' `own`. That an organisation
/// was given them under a licence stays, by its own name alone: it has to be told that they are gone.
fn forget_rows(r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, subject: &Iri, gone: &BTreeSet<Iri>, own: &BTreeSet<String>) -> Result<(), StoreError> {
    batch.delete_doc(TODO, &key(&["subject", tenant.as_str(), subject.as_str()]));
    forget_under(r, batch, TODO, &key(&["subject-at", tenant.as_str(), subject.as_str(), ""]))?;
    forget_under(r, batch, POD, &key(&[subject.as_str(), ""]))?;
    let named = |text: &str| gone.iter().any(|id| id.as_str() == text);
    each_doc(r, DEAD, "", |doc| {
        let parts: Vec<&str> = doc.key.split(SEP).collect();
        let goes = match parts.as_slice() {
            ["delivery", own, _, entity, ..] => *own == tenant.as_str() && named(entity),
            ["pod", own, ..] => *own == subject.as_str(),
            _ => false,
        };
        if goes {
            batch.delete_doc(DEAD, &doc.key);
        }
    })?;
    each_doc(r, CAME_UNDER, "", |doc| {
        let mut parts = doc.key.split(SEP).skip(1);
        if parts.next() == Some(tenant.as_str()) && parts.next().is_some_and(named) {
            batch.delete_doc(CAME_UNDER, &doc.key);
        }
    })?;
    each_doc(r, QUARANTINE, "", |doc| {
        let row = serde_json::from_slice::<Quarantined>(&doc.payload);
        if row.is_ok_and(|row| row.tenant == *tenant && named(&row.entity)) {
            batch.delete_doc(QUARANTINE, &doc.key);
        }
    })?;
    // A recipient that has not fetched it yet does without: what it covers of hers is being taken back anyway.
    each_doc(r, MANIFEST, "", |doc| {
        let claims = std::str::from_utf8(&doc.payload).ok().and_then(|text| text.split('.').nth(1)).and_then(waybill_keys::unb64url);
        let claims = claims.and_then(|payload| serde_json::from_slice::<ManifestClaims>(&payload).ok());
        if claims.is_none_or(|claims| claims.entities.iter().any(|entity| named(entity) || own.contains(entity.as_str()))) {
            batch.delete_doc(MANIFEST, &doc.key);
        }
    })?;
    each_doc(r, POD_KNOWN, "", |doc| {
        if doc.key.split(SEP).next_back() == Some(subject.as_str()) {
            batch.delete_doc(POD_KNOWN, &doc.key);
        }
    })
}

/// Withdrawals go on without her name. Returns which were hers.
fn forget_withdrawals(r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, subject: &Iri) -> Result<Vec<Iri>, StoreError> {
    let mut out = Vec::new();
    each_doc(r, WITHDRAWAL, "", |doc| {
        let Ok(mut withdrawal) = serde_json::from_slice::<crate::Withdrawal>(&doc.payload) else { return };
        if withdrawal.tenant == *tenant && withdrawal.subject.as_ref() == Some(subject) {
            (withdrawal.subject, withdrawal.record) = (None, None);
            batch.expect_doc(WITHDRAWAL, &doc.key, Some(doc.revision));
            batch.put_doc(WITHDRAWAL, &doc.key, encode(&withdrawal), None);
            out.push(withdrawal.id);
        }
    })?;
    Ok(out)
}
