//! What a release stands on must still stand when it is committed: between looking and releasing, she may have withdrawn. Where sending it
//! takes long, it must stand until the end.

use crate::fault;
use crate::inbound::{InboundEnvelope, State};
use crate::licence::LICENCE;
use crate::visible::{Right, VisibleDoc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use waybill_consent::ConsentBook;
use waybill_model::{DateTime, EnvelopeHash, Iri, Scope};
use waybill_store::{Batch, Reader, StoreError};

/// What a release stands on: consents, envelopes, the licence it was made under. It can be asked whether that still holds.
#[derive(Debug)]
pub struct Standing {
    scope: Scope,
    /// Who decides, and the revision up to which that was taken into account.
    deciders: BTreeMap<Iri, u64>,
    /// What came under these, or is shown by them.
    envelopes: BTreeSet<EnvelopeHash>,
    bases: BTreeSet<EnvelopeHash>,
    /// Who an entity is about, with the revision.
    bound: Vec<(String, u64)>,
    licences: BTreeMap<Iri, u64>,
    /// When the first of them is over.
    until: Option<DateTime>,
    /// The store's epoch when it was last found to hold.
    epoch: AtomicU64,
}

impl Standing {
    /// What `docs` stand on.
    pub(crate) fn of(scope: &Scope, docs: &[VisibleDoc]) -> Self {
        let mut out = Self {
            scope: scope.clone(),
            deciders: BTreeMap::new(),
            envelopes: BTreeSet::new(),
            bases: BTreeSet::new(),
            bound: Vec::new(),
            licences: BTreeMap::new(),
            until: None,
            epoch: AtomicU64::new(0),
        };
        let mut until = |at: Option<DateTime>| out.until = [out.until, at].into_iter().flatten().min();
        for doc in docs {
            if let Some(held) = doc.licence.as_ref().filter(|_| !fault::off("gate-licence-standing")) {
                let seen = out.licences.entry(held.licence.id.clone()).or_insert(held.revision);
                *seen = held.revision.min(*seen);
                until(held.licence.until);
            }
            if doc.rights.iter().chain(&doc.projected).any(|right| matches!(right, Right::Grants(_))) {
                out.bound.push((doc.stored_id().to_owned(), doc.as_of));
            }
            for right in doc.rights.iter().chain(&doc.projected) {
                match right {
                    Right::Grants(grants) => {
                        // What a route of the city states, no record of hers can close; that the route is gone can.
                        out.bases.extend(grants.iter().filter(|g| g.status.is_none()).filter_map(|g| g.envelope));
                        for grant in grants {
                            until(grant.valid.until);
                        }
                        for subject in grants.iter().filter(|g| g.status.is_some()).filter_map(|g| g.subject.as_ref()) {
                            let seen = out.deciders.entry(subject.clone()).or_insert(doc.as_of);
                            *seen = doc.as_of.min(*seen);
                        }
                    }
                    Right::Inbound(came) | Right::Onward(came) => drop(out.envelopes.insert(came.hash)),
                    Right::Operator | Right::Open => {}
                }
            }
        }
        out
    }

    /// Makes `batch` fail with a conflict when a consent by which something of it is visible changed since, an envelope is no longer in
    /// force, or the licence under which it was looked at is another. It is looked at in the order of commits, so a release is either
    /// before a withdrawal, and the withdrawal knows of it, or it does not happen.
    pub(crate) fn guard(self: &Arc<Self>, batch: &mut Batch) {
        if self.licences.is_empty() && self.deciders.is_empty() && self.bases.is_empty() && self.envelopes.is_empty() {
            return;
        }
        let this = self.clone();
        batch.check(move |r| {
            this.terms_hold(r)?;
            this.consents_hold(r)?;
            this.epoch.store(r.epoch()?, Ordering::Release);
            Ok(())
        });
    }

    /// For whom it was.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it still holds. Consents are looked at anew when anything was withdrawn since, as the epoch says.
    ///
    /// # Errors
    /// The store's.
    pub(crate) fn holds(&self, r: &Reader<'_>, now: DateTime) -> Result<bool, StoreError> {
        if self.until.is_some_and(|until| until <= now) {
            return Ok(false);
        }
        let epoch = r.epoch()?;
        let known = epoch == self.epoch.load(Ordering::Acquire);
        match self.terms_hold(r).and_then(|()| if known { Ok(()) } else { self.consents_hold(r) }) {
            Ok(()) => {
                self.epoch.store(epoch, Ordering::Release);
                Ok(true)
            }
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The few that no epoch counts: the licence, and what routes of the city state.
    fn terms_hold(&self, r: &Reader<'_>) -> Result<(), StoreError> {
        for (id, revision) in &self.licences {
            if r.doc(LICENCE, id.as_str())?.is_none_or(|row| row.revision != *revision) {
                return Err(StoreError::conflict("licence"));
            }
        }
        for hash in &self.bases {
            let over = ConsentBook::is_marked(r, &mut Batch::new(), hash).map_err(|e| StoreError::Corrupt(e.to_string()))?;
            if over {
                return Err(StoreError::conflict("basis"));
            }
        }
        Ok(())
    }

    fn consents_hold(&self, r: &Reader<'_>) -> Result<(), StoreError> {
        for (subject, as_of) in &self.deciders {
            if ConsentBook::changed_at(r, &self.scope.tenant, subject)?.is_none_or(|at| at > *as_of) {
                return Err(StoreError::conflict("consent"));
            }
        }
        for (entity, as_of) in &self.bound {
            // Somebody else whom it is about has not been asked.
            if ConsentBook::bound_at(r, &self.scope.tenant, entity)? > *as_of {
                return Err(StoreError::conflict("binding"));
            }
        }
        for hash in &self.envelopes {
            if InboundEnvelope::read(r, *hash)?.is_none_or(|came| came.state != State::Live) {
                return Err(StoreError::conflict("envelope"));
            }
        }
        Ok(())
    }
}
