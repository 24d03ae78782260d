//! Envelopes without a record at this hub: for other lawful bases, and for data that is passed on under another hub's envelope.

use crate::book::{ENVELOPE, STATUS, list_name, write_row};
use crate::change::Lists;
use crate::envelope::{ConsentPointer, StatusEntry, StatusPointer};
use crate::grant::StatusIndexes;
use crate::{ConsentBook, ConsentError, Envelope, EnvelopeClaims, OnWithdrawal, StatusList, StatusPurpose, StoredEnvelope, Terms, Validity};
use std::collections::BTreeMap;
use waybill_keys::KeyRing;
use waybill_model::{DateTime, EnvelopeHash, TenantId};
use waybill_store::{Batch, Reader, StoreError};

/// What an envelope is to say.
#[derive(Debug, Clone)]
pub struct Issue {
    /// What is allowed, and to whom.
    pub terms: Terms,
    /// What it goes back to: the consent at the hub it came from, or the route that states the basis.
    pub consent: ConsentPointer,
    /// From when until when.
    pub validity: Validity,
    /// What becomes of copies.
    pub on_withdrawal: OnWithdrawal,
    /// In plain words.
    pub label: BTreeMap<String, String>,
}

impl ConsentBook {
    /// Issues one envelope for each of `issues`, in their order, with status bits of this hub. Nothing is there until the batch is committed.
    ///
    /// # Errors
    /// When terms are not understood; the store's.
    pub fn issue(
        &self,
        reader: &Reader<'_>,
        tenant: &TenantId,
        issues: Vec<Issue>,
        ring: &KeyRing,
        now: DateTime,
    ) -> Result<(Vec<Envelope>, Batch), ConsentError> {
        let (mut out, mut batch) = (Vec::new(), Batch::new());
        let mut lists = Lists::new(reader);
        for Issue { terms, consent, validity, on_withdrawal, label } in issues {
            self.templates.share(terms.clone())?;
            let status = StatusIndexes { revocation: lists.take(StatusPurpose::Revocation)?, suspension: lists.take(StatusPurpose::Suspension)? };
            let entry = |purpose, (number, idx)| {
                let list = self.issuer.list_url(purpose, number).ok_or(ConsentError::Corrupt("the hub's address"))?;
                Ok::<_, ConsentError>(StatusEntry { list, idx })
            };
            let claims = EnvelopeClaims {
                iss: self.issuer.did.clone(),
                jti: String::new(),
                iat: now.seconds(),
                nbf: validity.from.unwrap_or(now).seconds(),
                exp: validity.until.map(DateTime::seconds),
                aud: terms.recipient.clone(),
                con: consent,
                terms,
                pol: serde_json::Value::Null,
                st: StatusPointer {
                    rev: entry(StatusPurpose::Revocation, status.revocation)?,
                    sus: entry(StatusPurpose::Suspension, status.suspension)?,
                    max_stale: self.issuer.max_stale,
                },
                onw: on_withdrawal,
                inf: self.issuer.inbox.clone(),
                lbl: label,
            };
            let envelope = Envelope::issue(ring.active(), claims.completed());
            let claims = &envelope.claims;
            let stored = StoredEnvelope {
                compact: envelope.compact.to_string(),
                tenant: tenant.clone(),
                record: claims.con.id.clone(),
                version: claims.con.ver,
                process: claims.terms.process.clone(),
                recipient: claims.aud.clone(),
                status,
            };
            batch.put_doc(ENVELOPE, &envelope.hash.to_string(), write_row(&stored), None);
            out.push(envelope);
        }
        lists.write(&mut batch);
        Ok((out, batch))
    }

    /// Adds to `batch` that a bit of each of `envelopes` that this hub issued is set or cleared; those of other hubs are passed over. It is
    /// done on what the steps before it left, so several in one Batch add up.
    pub fn mark_envelopes(batch: &mut Batch, envelopes: &[EnvelopeHash], purpose: StatusPurpose, on: bool) {
        let envelopes = envelopes.to_vec();
        batch.then(move |reader| {
            let mark = || {
                let mut lists = Lists::new(reader);
                for hash in &envelopes {
                    if let Some(stored) = Self::envelope(reader, hash)? {
                        lists.set(purpose, stored.status.of(purpose), on)?;
                    }
                }
                let mut batch = Batch::new();
                lists.write(&mut batch);
                Ok::<_, ConsentError>(batch)
            };
            mark().map_err(|e| match e {
                ConsentError::Store(e) => e,
                other => StoreError::Corrupt(other.to_string()),
            })
        });
    }

    /// Gives up, after a restore, what nobody has in the status lists: see [`StatusList::give_up_rest`].
    ///
    /// # Errors
    /// The store's.
    pub fn give_up_rest(reader: &Reader<'_>) -> Result<Batch, ConsentError> {
        let mut batch = Batch::new();
        for name in Self::status_lists(reader)? {
            let Some(doc) = reader.doc(STATUS, &name)? else { continue };
            let mut list = StatusList::from_bytes(&doc.payload).ok_or(ConsentError::Corrupt("status list"))?;
            list.give_up_rest();
            batch.expect_doc(STATUS, &name, Some(doc.revision));
            batch.put_doc(STATUS, &name, list.to_bytes(), None);
        }
        Ok(batch)
    }

    /// Whether an envelope that this hub issued is over, or rests. `batch` then only commits if that did not change; an envelope that is not
    /// known is over.
    ///
    /// # Errors
    /// The store's.
    pub fn is_marked(reader: &Reader<'_>, batch: &mut Batch, envelope: &EnvelopeHash) -> Result<bool, ConsentError> {
        let Some(stored) = Self::envelope(reader, envelope)? else { return Ok(true) };
        let mut marked = false;
        for purpose in [StatusPurpose::Revocation, StatusPurpose::Suspension] {
            let (number, index) = stored.status.of(purpose);
            let name = list_name(purpose, number);
            let doc = reader.doc(STATUS, &name)?;
            batch.expect_doc(STATUS, &name, doc.as_ref().map(|doc| doc.revision));
            marked |= doc.and_then(|doc| StatusList::from_bytes(&doc.payload)).is_none_or(|list| list.is_set(index));
        }
        Ok(marked)
    }

    /// The signed status list by the name under `/status/`, good for `ttl_seconds`.
    ///
    /// # Errors
    /// The store's.
    pub fn signed_status_list(&self, reader: &Reader<'_>, name: &str, ttl_seconds: u32, ring: &KeyRing, now: DateTime) -> Result<Option<String>, ConsentError> {
        let Some(list) = Self::status_list(reader, name)? else { return Ok(None) };
        let url = [StatusPurpose::Revocation, StatusPurpose::Suspension].into_iter().find_map(|purpose| {
            let number = name.rsplit('-').next()?.parse().ok()?;
            (list_name(purpose, number) == name).then(|| self.issuer.list_url(purpose, number)).flatten()
        });
        Ok(url.map(|url| list.sign(ring.active(), &self.issuer.did, &url, ttl_seconds, now)))
    }
}
