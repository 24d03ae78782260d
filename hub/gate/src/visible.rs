//! An entity as a recipient may see it, and by what right: it can be filtered and counted, and not read.

use crate::licence::{Held, Licence};
use crate::reason::Tally;
use std::collections::BTreeSet;
use std::sync::Arc;
use waybill_consent::Grant;
use waybill_model::{DocBuilder, EntityDoc, EnvelopeHash, InstanceMeta, Iri};
use waybill_query::EntityQuery;

/// By what right an instance is visible.
#[derive(Debug, Clone)]
pub(crate) enum Right {
    /// The bundled operator policy.
    Operator,
    /// It is open data and the recipient's agreement covers open data.
    Open,
    /// Grants; one for each subject that had to agree.
    Grants(Vec<Grant>),
    /// The envelope it came under, by whose terms this hub may use it.
    Inbound(Arc<Came>),
    /// The envelope it came under, by whose terms this hub may pass it on.
    Onward(Arc<Came>),
}

/// An envelope that something came under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    pub hash: EnvelopeHash,
    pub sender: String,
    pub consent: Iri,
}

/// An entity as the recipient may see it, before it is released. It can be asked about, not read: only [`crate::Gate`] opens it.
#[derive(Debug, Clone)]
pub struct VisibleDoc {
    pub(crate) doc: EntityDoc,
    /// Its identifier in the store, where it is shown under one of the recipient's own.
    pub(crate) stored: Option<String>,
    /// By what right, for each span of `doc`.
    pub(crate) rights: Vec<Right>,
    pub(crate) personal: bool,
    /// Where the projection left no Attribute: by what right it was visible at all.
    pub(crate) projected: Vec<Right>,
    /// The revision of the store up to which consents were taken into account.
    pub(crate) as_of: u64,
    /// The licence that it was looked at under.
    pub(crate) licence: Option<Arc<Held>>,
}

impl VisibleDoc {
    /// Puts `list` in the order that a query asks for, by what is visible.
    pub fn sort(list: &mut [Self], order: &waybill_query::OrderBy) {
        order.sort_by(list, |visible| &visible.doc);
    }
    /// The identifier, as the recipient knows it.
    pub fn id(&self) -> &str {
        self.doc.id()
    }
    /// The identifier in the store.
    pub fn stored_id(&self) -> &str {
        self.stored.as_deref().unwrap_or_else(|| self.doc.id())
    }
    /// The licence that it was looked at under.
    pub fn licence(&self) -> Option<&Licence> {
        self.licence.as_ref().map(|held| &held.licence)
    }
    /// The expanded types.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.doc.types()
    }
    /// Whether there is personal data in it.
    pub fn is_personal(&self) -> bool {
        self.personal
    }
    /// The envelopes under which what is personal in it leaves: of grants, or of those that it came under.
    pub fn envelopes(&self) -> BTreeSet<EnvelopeHash> {
        let mut out = BTreeSet::new();
        for right in self.rights.iter().chain(&self.projected) {
            match right {
                Right::Operator | Right::Open => {}
                Right::Grants(grants) => out.extend(grants.iter().filter_map(|grant| grant.envelope)),
                Right::Inbound(came) | Right::Onward(came) => drop(out.insert(came.hash)),
            }
        }
        out
    }
    /// Notes in `tally` that it is counted in an answer without being shown.
    pub fn count(&self, tally: &mut Tally) {
        let subjects: BTreeSet<&Iri> = self.rights.iter().flat_map(Right::subjects).collect();
        for subject in subjects {
            *tally.counted.entry(subject.clone()).or_default() += 1;
        }
    }
    /// Takes back what [`Self::count`] noted: it is shown after all.
    pub fn uncount(&self, tally: &mut Tally) {
        let subjects: BTreeSet<&Iri> = self.rights.iter().flat_map(Right::subjects).collect();
        for subject in subjects {
            if let Some(n) = tally.counted.get_mut(subject) {
                *n = n.saturating_sub(1);
            }
        }
        tally.counted.retain(|_, n| *n > 0);
    }
    /// Whether the query fits what is visible.
    pub fn matches(&self, query: &EntityQuery) -> bool {
        query.matches(&self.doc)
    }
    /// The same with only those Attributes for which `keep` (given the expanded name) holds.
    #[must_use]
    pub fn project(mut self, keep: impl Fn(&str) -> bool) -> Self {
        if self.doc.spans().iter().all(|s| keep(self.doc.name(s))) {
            return self;
        }
        let mut builder = DocBuilder::new(self.doc.id(), self.doc.types(), self.doc.scopes(), self.doc.system.expires_at);
        let mut rights = Vec::new();
        for (span, right) in self.doc.spans().iter().zip(&self.rights) {
            if keep(self.doc.name(span)) {
                builder.instance(self.doc.name(span), self.doc.instance(span), InstanceMeta::of(&self.doc, span));
                rights.push(right.clone());
            }
        }
        self.doc = builder.finish(self.doc.system.clone());
        if rights.is_empty() {
            self.projected = std::mem::take(&mut self.rights);
        }
        self.rights = rights;
        self
    }
    /// What each instance looks like from outside: digests, salted with the hub's `secret`, that say whether it changed.
    pub fn digests<'a>(&'a self, secret: &'a [u8; 32]) -> impl Iterator<Item = InstanceDigest<'a>> {
        self.doc.spans().iter().zip(&self.rights).map(move |(span, right)| {
            let text = self.doc.instance(span);
            let salted = |text: &str| EnvelopeHash(waybill_keys::sha256(&[secret.as_slice(), text.as_bytes()].concat()));
            let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            InstanceDigest {
                name: self.doc.name(span),
                dataset_id: self.doc.dataset_id(span),
                digest: salted(text),
                normal: salted(&waybill_keys::jcs(&value)),
                envelope: right.envelope(),
                others: right.envelopes().filter(|e| Some(*e) != right.envelope()).collect(),
            }
        })
    }
}

/// One instance of a [`VisibleDoc`], seen from outside.
#[derive(Debug, Clone)]
pub struct InstanceDigest<'a> {
    /// The expanded name.
    pub name: &'a str,
    /// The datasetId.
    pub dataset_id: Option<&'a str>,
    /// SHA-256 of salt and text.
    pub digest: EnvelopeHash,
    /// SHA-256 of salt and canonical JSON (RFC 8785).
    pub normal: EnvelopeHash,
    /// The envelope it is shown under; the one it came under, where it came from another hub.
    pub envelope: Option<EnvelopeHash>,
    /// The envelopes of the others whom it is about: when one of them is over, so is what is shown.
    pub others: BTreeSet<EnvelopeHash>,
}

impl Right {
    /// Whose data it opens; of what came from another hub, the consent that stands for the person.
    pub(crate) fn subjects(&self) -> Vec<&Iri> {
        match self {
            Self::Operator | Self::Open => Vec::new(),
            Self::Grants(grants) => grants.iter().filter_map(|g| g.subject.as_ref()).collect(),
            Self::Inbound(came) | Self::Onward(came) => vec![&came.consent],
        }
    }

    /// The first of [`Self::envelopes`].
    pub(crate) fn envelope(&self) -> Option<EnvelopeHash> {
        self.envelopes().next()
    }

    /// The envelopes that govern: one for each person who had to agree; none for open data and the operator's own view.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = EnvelopeHash> + '_ {
        let (grants, came) = match self {
            Self::Operator | Self::Open => (&[][..], None),
            Self::Grants(grants) => (grants.as_slice(), None),
            Self::Inbound(came) | Self::Onward(came) => (&[][..], Some(came.hash)),
        };
        grants.iter().filter_map(|g| g.envelope).chain(came)
    }
}
