//! What the operator sees and does: holders, quarantine, dead letters, keys, erasure.

use crate::inbox::Incoming;
use crate::consent::{entities_of, told};
use crate::follow::encode;
use crate::hub::{Hub, SECRET};
use crate::rows::{DEAD, Delivery, INBOX, OUTBOX, QUARANTINE, Quarantined, SEP, key};
use crate::scan::each_doc;
use serde_json::json;
use waybill_consent::{Actor, ActorRole, Change, ConsentBook, ConsentEvent, Evidence, EvidenceKind, Pids, StoredEnvelope};
use waybill_gate::HOLDER;
use waybill_journal::{Kind, Record};
use waybill_keys::Algorithm;
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Doc, Scrub};

/// Somebody who was given something under an envelope of this hub.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The row's key.
    pub key: String,
    /// Who.
    pub party: PartyId,
    /// Under which envelope.
    pub envelope: EnvelopeHash,
    /// What the envelope is about; nothing for one that came from another hub.
    pub stored: Option<StoredEnvelope>,
    /// Since when, at the latest.
    pub since: DateTime,
}

/// What an erasure did.
#[derive(Debug, Clone, Default)]
pub struct Erasure {
    /// Consents that were withdrawn and deleted.
    pub consents: usize,
    /// Entities that were deleted.
    pub entities: usize,
    /// Withdrawals that this began.
    pub withdrawals: Vec<Iri>,
}

impl Hub {
    /// Who holds copies.
    ///
    /// # Errors
    /// The store's.
    pub async fn holdings(&self, limit: usize, after: Option<String>) -> Result<Vec<Holding>, Problem> {
        Ok(self
            .inner
            .store
            .read(move |r| {
                let mut out = Vec::new();
                for doc in r.docs(HOLDER, "", limit, after.as_deref())? {
                    let mut parts = doc.key.split(SEP);
                    let envelope = parts.next().and_then(EnvelopeHash::parse);
                    let party = parts.next().and_then(|p| Iri::new(p).ok());
                    let since = std::str::from_utf8(&doc.payload).ok().and_then(|t| DateTime::parse(t).ok());
                    let (Some(envelope), Some(party), Some(since)) = (envelope, party, since) else { continue };
                    let stored = ConsentBook::envelope(r, &envelope).map_err(told)?;
                    out.push(Holding { key: doc.key, party, envelope, stored, since });
                }
                Ok(out)
            })
            .await?)
    }

    /// What came in and was refused, with each row's key.
    ///
    /// # Errors
    /// The store's.
    pub async fn quarantined(&self, tenant: &TenantId, limit: usize, after: Option<String>) -> Result<Vec<(String, Quarantined)>, Problem> {
        let tenant = tenant.clone();
        let rows = self.inner.store.read(move |r| r.docs(QUARANTINE, "", limit, after.as_deref())).await?;
        let read = |doc: Doc| Some((doc.key, serde_json::from_slice::<Quarantined>(&doc.payload).ok()?));
        Ok(rows.into_iter().filter_map(read).filter(|(_, row)| row.tenant == tenant).collect())
    }

    /// Throws a quarantined thing away. Answers whether it was there.
    ///
    /// # Errors
    /// The store's.
    pub async fn discard(&self, tenant: &TenantId, at: &str) -> Result<bool, Problem> {
        self.end_quarantine(tenant, at, false).await
    }

    /// Admits a quarantined thing after all, as data of the connection it came through that needs no tag: the operator vouches for it.
    /// Whether it is personal, and whose, classification and registry say; unbound, it stays closed. Answers whether it was there.
    ///
    /// # Errors
    /// The store's.
    pub async fn admit_quarantined(&self, tenant: &TenantId, at: &str) -> Result<bool, Problem> {
        self.end_quarantine(tenant, at, true).await
    }

    async fn end_quarantine(&self, tenant: &TenantId, at: &str, admit: bool) -> Result<bool, Problem> {
        let looked = at.to_owned();
        let Some(doc) = self.inner.store.read(move |r| r.doc(QUARANTINE, &looked)).await? else { return Ok(false) };
        let Ok(row) = serde_json::from_slice::<Quarantined>(&doc.payload) else { return Ok(false) };
        if row.tenant != *tenant {
            return Ok(false);
        }
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        batch.expect_doc(QUARANTINE, at, Some(doc.revision));
        batch.delete_doc(QUARANTINE, at);
        if admit {
            let parcel = crate::inbox::Parcelled {
                connection: crate::inbox::VOUCHED.to_owned(),
                items: vec![Incoming::Changed(row.document.clone())],
                manifest: None,
                at: now,
                attempts: 0,
            };
            batch.put_doc(INBOX, &self.ordered_key(crate::inbox::VOUCHED), encode(&(tenant, parcel)), Some(now));
        }
        let what = if admit { "released" } else { "discarded" };
        self.inner.journal.append(&mut batch, Record::new(Kind::Quarantine, tenant.clone(), now).left(1, None).detail(json!({ "reason": row.code, "connection": row.connection, "operator": what })));
        self.commit(batch).await?;
        Ok(true)
    }

    /// Deliveries that were given up, with each row's key.
    ///
    /// # Errors
    /// The store's.
    pub async fn dead_letters(&self, limit: usize, after: Option<String>) -> Result<Vec<(String, Delivery)>, Problem> {
        let rows = self.inner.store.read(move |r| r.docs(DEAD, "", limit, after.as_deref())).await?;
        Ok(rows.into_iter().map(|doc| (doc.key, serde_json::from_slice(&doc.payload).unwrap_or_default())).collect())
    }

    /// Tries a dead letter again; it is decided anew. Answers whether it was there.
    ///
    /// # Errors
    /// The store's.
    pub async fn replay(&self, at: &str) -> Result<bool, Problem> {
        let looked = at.to_owned();
        let Some(doc) = self.inner.store.read(move |r| r.doc(DEAD, &looked)).await? else { return Ok(false) };
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        batch.expect_doc(DEAD, at, Some(doc.revision));
        batch.delete_doc(DEAD, at);
        match at.split_once(SEP) {
            Some(("pod", pod)) => drop(batch.put_doc(crate::rows::POD, pod, doc.payload, Some(now))),
            Some(("notice", notice)) => drop(batch.put_doc(crate::rows::NOTICE, notice, doc.payload, Some(now))),
            Some(("delivery", delivery)) => drop(batch.put_doc(OUTBOX, delivery, encode(&Delivery { attempts: 0, since: Some(now), error: None }), Some(now))),
            _ => return Ok(false),
        }
        self.commit(batch).await?;
        Ok(true)
    }

    /// Replaces the active key of `algorithm`. Old signatures still verify. Answers the new key's identifier.
    ///
    /// # Errors
    /// The store's: then the old key stays.
    pub async fn rotate_key(&self, algorithm: Algorithm) -> Result<String, Problem> {
        let now = self.inner.clock.now();
        let mut ring = self.ring_copy()?;
        let kid = ring.rotate_of(algorithm, now);
        self.keep_ring(ring, &kid, "rotated").await?;
        Ok(kid)
    }

    /// Revokes a key: nothing that it signed verifies any more.
    ///
    /// # Errors
    /// When there is no such key, or it is the active one; the store's.
    pub async fn revoke_key(&self, kid: &str) -> Result<(), Problem> {
        let mut ring = self.ring_copy()?;
        ring.revoke(kid, self.inner.clock.now()).map_err(|e| Problem::new(ProblemCode("key-not-revoked"), 409, "Key not revoked", e.to_string()).help("Rotate first, then revoke the old key."))?;
        self.keep_ring(ring, kid, "revoked").await
    }

    fn ring_copy(&self) -> Result<waybill_keys::KeyRing, Problem> {
        let text = self.keys().to_secret_text();
        waybill_keys::KeyRing::from_secret_text(&text).map_err(|e| Problem::new(ProblemCode("keys-unreadable"), 500, "The hub's keys cannot be read", e.to_string()))
    }

    async fn keep_ring(&self, ring: waybill_keys::KeyRing, kid: &str, what: &str) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        batch.put_doc(SECRET, "keys", ring.to_secret_text().as_bytes().to_vec(), None);
        self.inner.journal.append(&mut batch, Record::new(Kind::KeyChange, TenantId::main(), now).left(1, None).detail(json!({ "kid": kid, "change": what })));
        self.commit(batch).await?;
        *self.inner.keys.write().unwrap_or_else(std::sync::PoisonError::into_inner) = ring;
        Ok(())
    }

    /// Ends a binding by its key. Answers whether it was there.
    ///
    /// # Errors
    /// The store's.
    pub async fn unbind(&self, tenant: &TenantId, at: &str) -> Result<bool, Problem> {
        let (tenant_, wanted) = (tenant.clone(), at.to_owned());
        let found = self
            .inner
            .store
            .read(move |r| {
                let mut after: Option<String> = None;
                loop {
                    let page = waybill_consent::Registry::list(r, &tenant_, 500, after.as_deref()).map_err(told)?;
                    let Some((last, _)) = page.last() else { return Ok(None) };
                    after = Some(last.clone());
                    if let Some((_, binding)) = page.into_iter().find(|(k, _)| *k == wanted) {
                        return Ok(Some(binding));
                    }
                }
            })
            .await?;
        let Some(mut binding) = found else { return Ok(false) };
        // Kept with its end: who the data was about stays known, from when until when.
        binding.validity.until = Some(self.inner.clock.now());
        self.bind(tenant, &binding).await?;
        Ok(true)
    }

    /// Withdraws every consent of a person, deletes the entities that are about her alone, forgets her consents and bindings, and destroys
    /// her key in the journal. What remains of her in the database file is scrubbed.
    ///
    /// # Errors
    /// The store's. It may be called again after an error: what is done is done.
    pub async fn erase(&self, tenant: &TenantId, subject: &Iri) -> Result<Erasure, Problem> {
        let now = self.inner.clock.now();
        let mut out = Erasure::default();
        let (tenant_, subject_) = (tenant.clone(), subject.clone());
        let records = self.inner.store.read(move |r| ConsentBook::records_of(r, &tenant_, subject_.as_str()).map_err(told)).await?;
        for record in &records {
            let (tenant_, record_) = (tenant.clone(), record.clone());
            let versions = self.inner.store.read(move |r| ConsentBook::versions(r, &tenant_, record_.as_str()).map_err(told)).await?;
            let Some(last) = versions.iter().max_by_key(|v| v.version) else { continue };
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
            self.change_consent(tenant, record, None, vec![event]).await?;
            out.consents += 1;
        }
        out.withdrawals = self.withdrawals(tenant).await?.into_iter().filter(|w| w.subject.as_ref() == Some(subject)).map(|w| w.id).collect();
        let (tenant_, subject_) = (tenant.clone(), subject.clone());
        let entities = self.inner.store.read(move |r| entities_of(r, &tenant_, &subject_)).await?;
        let scope = waybill_model::Scope { principal: waybill_model::Principal::Hub, ..waybill_model::Scope::anonymous(tenant.clone()) };
        for entity in entities {
            let (hub, tenant_, entity_, subject_) = (self.clone(), tenant.clone(), entity.clone(), subject.clone());
            // What is about others too stays theirs.
            let alone = self
                .inner
                .store
                .read(move |r| {
                    let view = hub.inner.book.view(r).map_err(told)?;
                    let bound = view.bound(&tenant_, entity_.as_str(), None, now).map_err(told)?;
                    Ok(bound.subjects.iter().all(|s| *s == subject_))
                })
                .await?;
            if alone {
                let gone = self.modify(&scope, &entity, |current| Ok(if current.is_some() { crate::Change::Delete(true) } else { crate::Change::Keep(false) })).await?;
                out.entities += usize::from(gone);
            }
        }
        // The deletions that follow are told by rows that name only envelopes and entities; they stay until they are done.
        let (tenant_, subject_) = (tenant.clone(), subject.clone());
        let mut batch = self.inner.store.read(move |r| ConsentBook::forget(r, &tenant_, &subject_, now).map_err(told)).await?;
        self.forget_withdrawals(&mut batch, subject).await?;
        batch.absorb(self.inner.journal.erase(subject));
        self.commit(batch).await?;
        self.inner.store.scrub(Scrub::Whole).await?;
        Ok(out)
    }

    /// Withdrawals go on without her name.
    async fn forget_withdrawals(&self, batch: &mut Batch, subject: &Iri) -> Result<(), Problem> {
        let wanted = subject.clone();
        let rows = self
            .inner
            .store
            .read(move |r| {
                let mut rows = Vec::new();
                each_doc(r, crate::rows::WITHDRAWAL, "", |doc| rows.push(doc))?;
                Ok(rows)
            })
            .await?;
        for row in rows {
            let Ok(mut withdrawal) = serde_json::from_slice::<crate::Withdrawal>(&row.payload) else { continue };
            if withdrawal.subject.as_ref() == Some(&wanted) {
                (withdrawal.subject, withdrawal.record) = (None, None);
                batch.expect_doc(crate::rows::WITHDRAWAL, &row.key, Some(row.revision));
                batch.put_doc(crate::rows::WITHDRAWAL, &row.key, encode(&withdrawal), None);
            }
        }
        let prefix = key(&[subject.as_str(), ""]);
        let pods = self
            .inner
            .store
            .read(move |r| {
                let mut keys = Vec::new();
                each_doc(r, crate::rows::POD, &prefix, |doc| keys.push(doc.key))?;
                Ok(keys)
            })
            .await?;
        for at in pods {
            batch.delete_doc(crate::rows::POD, &at);
        }
        Ok(())
    }
}
