//! Envelopes of this hub that stand for others: for data that it passes on, the same terms for the next recipient (consent-design §5); for
//! data about several people, what all of them allow. Nothing beyond.

use crate::governance::Governance;
use crate::inbound::InboundEnvelope;
use crate::visible::Right;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::RwLock;
use waybill_consent::{ConsentBook, ConsentError, ConsentPointer, Envelope, Issue, Terms, Validity};
use waybill_keys::KeyRing;
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, TenantId};
use waybill_store::{Batch, Reader, StoreError};

/// Which envelope of this hub passes an inbound one on. Key: the inbound hash, the recipient.
pub const ONWARD: &str = "envelope-onward";
/// Which envelope of this hub stands for several of its own together. Key: the digest of their hashes.
const JOINT: &str = "envelope-joint";
/// The envelopes that stand for one and others together. Key: the one, the joint one.
pub const JOINT_OF: &str = "envelope-joint-of";

/// The key of a row of [`ONWARD`].
pub fn key(inbound: EnvelopeHash, recipient: &str) -> String {
    format!("{inbound}\u{1f}{recipient}")
}

/// What a row of [`JOINT_OF`] says: all that the joint envelope stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joint {
    /// The joint envelope.
    pub hash: EnvelopeHash,
    /// Those it stands for.
    pub parts: BTreeSet<EnvelopeHash>,
}

impl Joint {
    /// Adds to `batch` that it is found no more: it is over for good.
    pub fn forget(&self, batch: &mut Batch) {
        batch.delete_doc(JOINT, &joint_key(&self.parts));
        for part in &self.parts {
            batch.delete_doc(JOINT_OF, &format!("{part}\u{1f}{}", self.hash));
        }
    }

    /// The joint envelopes that `part` has a share in.
    ///
    /// # Errors
    /// The store's.
    pub fn with(reader: &Reader<'_>, part: &EnvelopeHash) -> Result<Vec<Self>, StoreError> {
        let (prefix, mut out, mut after) = (format!("{part}\u{1f}"), Vec::new(), None::<String>);
        loop {
            let page = reader.docs(JOINT_OF, &prefix, 500, after.as_deref())?;
            let Some(last) = page.last() else { return Ok(out) };
            after = Some(last.key.clone());
            for doc in page {
                out.push(serde_json::from_slice(&doc.payload).map_err(|e| StoreError::Corrupt(e.to_string()))?);
            }
        }
    }
}

/// What envelopes a release needs beside those that are there.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// For whom.
    pub recipient: Option<PartyId>,
    /// Inbound envelopes to be passed on.
    pub onward: BTreeSet<EnvelopeHash>,
    /// Own envelopes that stand together, with the terms of each.
    pub joint: HashMap<BTreeSet<EnvelopeHash>, Vec<Terms>>,
}

impl Needed {
    pub fn is_empty(&self) -> bool {
        self.onward.is_empty() && self.joint.is_empty()
    }
}

/// This hub's envelopes for what was [`Needed`].
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub onward: HashMap<EnvelopeHash, EnvelopeHash>,
    pub joint: HashMap<BTreeSet<EnvelopeHash>, EnvelopeHash>,
}

impl Found {
    /// The envelope to tag with what is visible by `right`: `Some(None)` for what needs none, nothing where one is needed and missing.
    pub fn under(&self, right: &Right) -> Option<Option<EnvelopeHash>> {
        if let Right::Onward(came) = right {
            return self.onward.get(&came.hash).copied().map(Some);
        }
        let parts: BTreeSet<EnvelopeHash> = right.envelopes().collect();
        if parts.len() > 1 { self.joint.get(&parts).copied().map(Some) } else { Some(right.envelope()) }
    }
}

enum For {
    Onward(EnvelopeHash),
    Joint(BTreeSet<EnvelopeHash>),
}

/// The envelopes that are needed: those that are there, and new ones with what must be written for them.
pub(crate) fn envelopes(
    reader: &Reader<'_>,
    book: &ConsentBook,
    keys: &RwLock<KeyRing>,
    governance: &Governance,
    tenant: &TenantId,
    needed: &Needed,
    now: DateTime,
) -> Result<(Found, Batch), StoreError> {
    let (mut out, mut batch, mut new, mut issues) = (Found::default(), Batch::new(), Vec::new(), Vec::new());
    for inbound in &needed.onward {
        // To nobody, nothing is passed on.
        let Some(recipient) = &needed.recipient else { continue };
        match known(reader, ONWARD, &key(*inbound, recipient.as_str()))? {
            Some(hash) => drop(out.onward.insert(*inbound, hash)),
            None => {
                if let Some(issue) = passed_on(reader, *inbound, recipient)? {
                    new.push(For::Onward(*inbound));
                    issues.push(issue);
                }
            }
        }
    }
    for (parts, terms) in &needed.joint {
        match known(reader, JOINT, &joint_key(parts))? {
            Some(hash) => drop(out.joint.insert(parts.clone(), hash)),
            None => {
                if let Some(issue) = together(reader, governance, parts, terms)? {
                    new.push(For::Joint(parts.clone()));
                    issues.push(issue);
                }
            }
        }
    }
    if issues.is_empty() {
        return Ok((out, batch));
    }
    let ring = keys.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (issued, written) = book.issue(reader, tenant, issues, &ring, now).map_err(told)?;
    batch.absorb(written);
    for (what, envelope) in new.into_iter().zip(issued) {
        let hash = envelope.hash;
        let (space, at) = match &what {
            For::Onward(inbound) => (ONWARD, key(*inbound, envelope.claims.aud.as_str())),
            For::Joint(parts) => (JOINT, joint_key(parts)),
        };
        batch.expect_doc(space, &at, None);
        batch.put_doc(space, &at, hash.to_string().into_bytes(), None);
        match what {
            For::Onward(inbound) => drop(out.onward.insert(inbound, hash)),
            For::Joint(parts) => {
                let row = Joint { hash, parts: parts.clone() };
                // INVARIANT: plain members; serialising cannot fail.
                let text = serde_json::to_vec(&row).unwrap_or_default();
                for part in &parts {
                    batch.put_doc(JOINT_OF, &format!("{part}\u{1f}{hash}"), text.clone(), None);
                }
                out.joint.insert(parts, hash);
            }
        }
    }
    Ok((out, batch))
}

fn known(reader: &Reader<'_>, space: &str, at: &str) -> Result<Option<EnvelopeHash>, StoreError> {
    Ok(reader.doc(space, at)?.and_then(|row| std::str::from_utf8(&row.payload).ok().and_then(EnvelopeHash::parse)))
}

fn joint_key(parts: &BTreeSet<EnvelopeHash>) -> String {
    let all: Vec<u8> = parts.iter().flat_map(|part| part.0).collect();
    waybill_keys::hex(&waybill_keys::sha256(&all))
}

/// The same terms for the next recipient. Passing on goes one step: who may have it from there is not this hub's to say.
fn passed_on(reader: &Reader<'_>, inbound: EnvelopeHash, recipient: &PartyId) -> Result<Option<Issue>, StoreError> {
    let Some(came) = InboundEnvelope::read(reader, inbound)? else { return Ok(None) };
    let claims = &came.envelope.claims;
    let terms = Terms { recipient: recipient.clone(), distribute_to: Vec::new(), ..claims.terms.clone() };
    Ok(Some(Issue { terms, consent: claims.con.clone(), validity: claims.validity(), on_withdrawal: claims.onw, label: claims.lbl.clone() }))
}

/// What all of `parts` allow. Nothing when that is nothing: then what is about all of them does not leave.
fn together(reader: &Reader<'_>, governance: &Governance, parts: &BTreeSet<EnvelopeHash>, terms: &[Terms]) -> Result<Option<Issue>, StoreError> {
    let covers = |broad: &str, narrow: &str, version: u32| governance.purposes.covers(broad, narrow, version);
    let mut all = terms.iter().cloned().map(Some);
    let Some(Some(terms)) = all.next().map(|first| all.fold(first, |sum, next| sum?.and(&next?, covers))) else { return Ok(None) };
    let mut claims = Vec::new();
    for part in parts {
        let Some(stored) = ConsentBook::envelope(reader, part).map_err(told)? else { return Ok(None) };
        let Some(envelope) = Envelope::trusted(&stored.compact) else { return Ok(None) };
        claims.push(envelope.claims);
    }
    let validity = Validity { from: claims.iter().filter_map(|c| c.validity().from).max(), until: claims.iter().filter_map(|c| c.validity().until).min() };
    let Some(on_withdrawal) = claims.iter().map(|c| c.onw).min() else { return Ok(None) };
    let hashes: String = claims.iter().map(|c| c.con.hash.as_str()).collect();
    // Whoever gets it cannot tell from its name whose consents it stands for.
    let Ok(id) = Iri::new(format!("urn:waybill:joint:{}", waybill_keys::hex(&waybill_keys::random::<16>()))) else { return Ok(None) };
    let consent = ConsentPointer { id, ver: 1, hash: waybill_keys::hex(&waybill_keys::sha256(hashes.as_bytes())) };
    let label = claims.first().map(|c| c.lbl.clone()).unwrap_or_default();
    Ok(Some(Issue { terms, consent, validity, on_withdrawal, label }))
}

fn told(e: ConsentError) -> StoreError {
    match e {
        ConsentError::Store(e) => e,
        other => StoreError::Corrupt(other.to_string()),
    }
}
