//! What a release stands on must still stand when it is committed: between looking and releasing, she may have withdrawn.

use crate::fault;
use crate::inbound::{InboundEnvelope, State};
use crate::licence::LICENCE;
use crate::visible::{Right, VisibleDoc};
use std::collections::{BTreeMap, BTreeSet};
use waybill_consent::ConsentBook;
use waybill_model::{EnvelopeHash, Iri, TenantId};
use waybill_store::{Batch, StoreError};

/// Makes `batch` fail with a conflict when a consent by which one of `docs` is visible changed since, an envelope is no longer in
/// force, or the licence under which they were looked at is another. It is looked at in the order of commits, so a release is either before a withdrawal, and the withdrawal knows of it, or it
/// does not happen.
pub(crate) fn still(batch: &mut Batch, tenant: &TenantId, docs: &[VisibleDoc]) {
    let mut deciders: BTreeMap<Iri, u64> = BTreeMap::new();
    let (mut envelopes, mut bases): (BTreeSet<EnvelopeHash>, BTreeSet<EnvelopeHash>) = (BTreeSet::new(), BTreeSet::new());
    let mut bound: Vec<(String, u64)> = Vec::new();
    let mut licences: BTreeMap<Iri, u64> = BTreeMap::new();
    for doc in docs {
        if let Some(held) = doc.licence.as_ref().filter(|_| !fault::off("gate-licence-standing")) {
            let seen = licences.entry(held.licence.id.clone()).or_insert(held.revision);
            *seen = held.revision.min(*seen);
        }
        if doc.rights.iter().chain(&doc.projected).any(|right| matches!(right, Right::Grants(_))) {
            bound.push((doc.stored_id().to_owned(), doc.as_of));
        }
        for right in doc.rights.iter().chain(&doc.projected) {
            match right {
                Right::Grants(grants) => {
                    // What a route of the city states, no record of hers can close; that the route is gone can.
                    bases.extend(grants.iter().filter(|g| g.status.is_none()).filter_map(|g| g.envelope));
                    for subject in grants.iter().filter(|g| g.status.is_some()).filter_map(|g| g.subject.as_ref()) {
                        let seen = deciders.entry(subject.clone()).or_insert(doc.as_of);
                        *seen = doc.as_of.min(*seen);
                    }
                }
                Right::Inbound(came) | Right::Onward(came) => drop(envelopes.insert(came.hash)),
                Right::Operator | Right::Open => {}
            }
        }
    }
    for (id, revision) in &licences {
        batch.expect_doc(LICENCE, id.as_str(), Some(*revision));
    }
    if deciders.is_empty() && envelopes.is_empty() && bases.is_empty() {
        return;
    }
    let tenant = tenant.clone();
    batch.check(move |r| {
        for (subject, as_of) in &deciders {
            if ConsentBook::changed_at(r, &tenant, subject)?.is_none_or(|at| at > *as_of) {
                return Err(StoreError::conflict("consent"));
            }
        }
        for (entity, as_of) in &bound {
            // Somebody else whom it is about has not been asked.
            if ConsentBook::bound_at(r, &tenant, entity)? > *as_of {
                return Err(StoreError::conflict("binding"));
            }
        }
        for hash in bases {
            let over = ConsentBook::is_marked(r, &mut Batch::new(), &hash).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            if over {
                return Err(StoreError::conflict("basis"));
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
