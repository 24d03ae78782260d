//! Envelopes of this hub for data that it passes on: the same terms for the next recipient, and nothing beyond (consent-design §5).

use crate::inbound::InboundEnvelope;
use std::collections::{BTreeSet, HashMap};
use std::sync::RwLock;
use waybill_consent::{ConsentBook, ConsentError, Issue};
use waybill_keys::KeyRing;
use waybill_model::{DateTime, EnvelopeHash, PartyId, TenantId};
use waybill_store::{Batch, Reader, StoreError};

/// Which envelope of this hub passes an inbound one on. Key: the inbound hash, the recipient.
pub const ONWARD: &str = "envelope-onward";

/// The key of a row of [`ONWARD`].
pub fn key(inbound: EnvelopeHash, recipient: &str) -> String {
    format!("{inbound}\u{1f}{recipient}")
}

/// This hub's envelope for each of `needed`, for `recipient`: those that are there, and new ones with what must be written for them.
pub(crate) fn envelopes(
    reader: &Reader<'_>,
    book: &ConsentBook,
    keys: &RwLock<KeyRing>,
    tenant: &TenantId,
    needed: &BTreeSet<EnvelopeHash>,
    recipient: &PartyId,
    now: DateTime,
) -> Result<(HashMap<EnvelopeHash, EnvelopeHash>, Batch), StoreError> {
    let (mut out, mut batch, mut issues) = (HashMap::new(), Batch::new(), Vec::new());
    for inbound in needed {
        if let Some(row) = reader.doc(ONWARD, &key(*inbound, recipient.as_str()))? {
            if let Some(hash) = std::str::from_utf8(&row.payload).ok().and_then(EnvelopeHash::parse) {
                out.insert(*inbound, hash);
            }
            continue;
        }
        let Some(came) = InboundEnvelope::read(reader, *inbound)? else { continue };
        let claims = &came.envelope.claims;
        let mut terms = claims.terms.clone();
        terms.recipient = recipient.clone();
        // Passing on goes one step: who may have it from the next recipient is not this hub's to say.
        terms.distribute_to = Vec::new();
        let issue = Issue { terms, consent: claims.con.clone(), validity: claims.validity(), on_withdrawal: claims.onw, label: claims.lbl.clone() };
        issues.push((*inbound, issue));
    }
    if !issues.is_empty() {
        let ring = keys.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (issued, written) = book.issue(reader, tenant, issues.iter().map(|(_, i)| i.clone()).collect(), &ring, now).map_err(|e| match e {
            ConsentError::Store(e) => e,
            other => StoreError::Corrupt(other.to_string()),
        })?;
        batch.absorb(written);
        for ((inbound, _), envelope) in issues.iter().zip(issued) {
            batch.expect_doc(ONWARD, &key(*inbound, recipient.as_str()), None);
            batch.put_doc(ONWARD, &key(*inbound, recipient.as_str()), envelope.hash.to_string().into_bytes(), None);
            out.insert(*inbound, envelope.hash);
        }
    }
    Ok((out, batch))
}
