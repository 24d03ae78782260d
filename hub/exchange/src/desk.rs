//! What the operator sees and does: holders, quarantine, dead letters, keys.

use crate::inbox::Incoming;
use crate::consent::told;
use crate::follow::encode;
use crate::hub::{Hub, SECRET};
use crate::rows::{DEAD, Delivery, INBOX, OUTBOX, QUARANTINE, Quarantined, SEP};
use serde_json::json;
use waybill_consent::{ConsentBook, StoredEnvelope};
use waybill_gate::HOLDER;
use waybill_journal::{Kind, Record};
use waybill_keys::Algorithm;
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Doc};

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
        if admit && crate::import::is_import(&row.connection) {
            return Err(Problem::new(ProblemCode("import-not-released"), 409, "Not released", "it came under an agreement, and released it would stand under none")
                .help("Make what it lacks true (e.g. record whose it is) and let it come again, or discard it."));
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
                under: None,
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
}
