//! What a release stands on must still stand when it is committed: between looking and releasing, she may have withdrawn.

use crate::inbound::{InboundEnvelope, State};
use crate::view::{Right, VisibleDoc};
use std::collections::{BTreeMap, BTreeSet};
use waybill_consent::{Basis, ConsentBook};
use waybill_model::{EnvelopeHash, Iri, TenantId};
use waybill_store::{Batch, StoreError};

/// Makes `batch` fail with a conflict when a consent by which one of `docs` is visible changed since, or an envelope is no longer in
/// force. It is looked at in the order of commits, so a release is either before a withdrawal, and the withdrawal knows of it, or it
/// does not happen.
pub(crate) fn still(batch: &mut Batch, tenant: &TenantId, docs: &[VisibleDoc]) {
    let mut deciders: BTreeMap<Iri, u64> = BTreeMap::new();
    let mut envelopes: BTreeSet<EnvelopeHash> = BTreeSet::new();
    for doc in docs {
        for right in doc.rights.iter().chain(&doc.projected) {
            match right {
                Right::Grants(grants) => {
                    // What stands on another lawful basis, no consent can close.
                    for subject in grants.iter().filter(|g| g.basis == Basis::Consent).filter_map(|g| g.subject.as_ref()) {
                        let seen = deciders.entry(subject.clone()).or_insert(doc.as_of);
                        *seen = doc.as_of.min(*seen);
                    }
                }
                Right::Inbound(came) | Right::Onward(came) => drop(envelopes.insert(came.hash)),
                Right::Operator | Right::Open => {}
            }
        }
    }
    if deciders.is_empty() && envelopes.is_empty() {
        return;
    }
    let tenant = tenant.clone();
    batch.check(move |r| {
        for (subject, as_of) in &deciders {
            if ConsentBook::changed_at(r, &tenant, subject)?.is_none_or(|at| at > *as_of) {
                return Err(StoreError::conflict("consent"));
            }
        }
        for hash in envelopes {
            if InboundEnvelope::read(r, hash)?.is_none_or(|came| came.state != State::Live) {
                return Err(StoreError::conflict("envelope"));
            }
        }
        Ok(())
    });
}
