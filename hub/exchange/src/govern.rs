//! Putting a configuration in force: other lawful bases get their envelopes, and rules say who data is about.

use crate::consent::told;
use crate::hub::Hub;
use std::collections::BTreeMap;
use waybill_consent::{Binding, ConsentBook, ConsentPointer, Grant, Issue, OnWithdrawal, Rule, Target, Terms, Validity};
use waybill_gate::{BindBy, BindRule, Governance};
use waybill_model::{AttributeValue, EntityDoc, EnvelopeHash, Iri, Problem, TenantId};
use waybill_store::{Batch, Reader, StoreError};

/// Which envelope states a basis. Key: SHA-256 of source and terms.
const BASIS: &str = "envelope-basis";

/// A lawful basis other than consent, as a route states it.
#[derive(Debug, Clone)]
pub struct BasisRoute {
    /// The route, as an IRI.
    pub source: Iri,
    /// What it allows, and to whom.
    pub terms: Terms,
    /// From when until when.
    pub validity: Validity,
    /// In plain words.
    pub label: BTreeMap<String, String>,
}

impl Hub {
    /// Puts `governance` in force, with the grants that `basis` states. What it stated before keeps its envelope.
    ///
    /// # Errors
    /// When terms are not understood (then the old configuration stays); the store's.
    pub async fn govern(&self, mut governance: Governance, tenant: &TenantId, basis: Vec<BasisRoute>) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        let (mut grants, mut keys, mut issues) = (Vec::new(), Vec::new(), Vec::new());
        for route in basis {
            let text = serde_json::to_string(&route.terms).unwrap_or_default();
            let digest = waybill_keys::sha256(format!("{}\n{text}\n{:?}", route.source, route.validity).as_bytes());
            let key = waybill_keys::hex(&digest);
            let looked = key.clone();
            let known = self.inner.store.read(move |r| r.doc(BASIS, &looked)).await?;
            let mut grant = Grant::for_basis(&self.inner.book.templates, route.source.clone(), route.terms.clone(), route.validity)?;
            grant.envelope = known.and_then(|d| std::str::from_utf8(&d.payload).ok().and_then(EnvelopeHash::parse));
            if grant.envelope.is_none() {
                keys.push((grants.len(), key.clone()));
                let consent = ConsentPointer { id: route.source, ver: 0, hash: key };
                issues.push(Issue { terms: route.terms, consent, validity: route.validity, on_withdrawal: OnWithdrawal::default(), label: route.label });
            }
            grants.push(grant);
        }
        if !issues.is_empty() {
            let (hub, tenant) = (self.clone(), tenant.clone());
            let (issued, written) = self
                .inner
                .store
                .read(move |r| {
                    let ring = hub.keys();
                    hub.inner.book.issue(r, &tenant, issues, &ring, now).map_err(told)
                })
                .await?;
            batch.absorb(written);
            for ((at, key), envelope) in keys.into_iter().zip(issued) {
                batch.put_doc(BASIS, &key, envelope.hash.to_string().into_bytes(), None);
                grants[at].envelope = Some(envelope.hash);
            }
            self.commit(batch).await?;
        }
        governance.basis = grants;
        self.inner.gate.govern(governance);
        self.ring();
        Ok(())
    }

    /// Who `doc` is about, by the rules of the configuration: bindings that are not there yet go into `batch`.
    pub(crate) fn bind_by_rules(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, doc: &EntityDoc) -> Result<(), StoreError> {
        let governance = self.governance();
        let now = self.inner.clock.now();
        let consents = self.inner.book.view(r).map_err(told)?;
        for rule in governance.bindings.iter().filter(|rule| fits(rule, doc)) {
            let Ok(entity) = doc.id_iri() else { continue };
            for subject in subjects(r, tenant, rule, doc)? {
                let bound = consents.bound(tenant, doc.id(), None, now).map_err(told)?;
                if bound.holds(subject.as_str()) {
                    continue;
                }
                let binding = Binding {
                    target: Target::Entity(entity.clone()),
                    subject,
                    validity: Validity::default(),
                    asserted_by: governance.party.clone(),
                    evidence: rule.evidence.clone(),
                    rule: if rule.all { Rule::All } else { Rule::Holder },
                };
                ConsentBook::bind(batch, tenant, &binding, now);
            }
        }
        Ok(())
    }
}

fn fits(rule: &BindRule, doc: &EntityDoc) -> bool {
    rule.types.is_empty() || doc.types().any(|t| rule.types.iter().any(|own| own.as_str() == t))
}

fn subjects(r: &Reader<'_>, tenant: &TenantId, rule: &BindRule, doc: &EntityDoc) -> Result<Vec<Iri>, StoreError> {
    Ok(match &rule.by {
        BindBy::Attribute(name) => named_by(doc, name.as_str()),
        BindBy::Path(path) => {
            let Some((last, steps)) = path.split_last() else { return Ok(Vec::new()) };
            let mut here = vec![doc.clone()];
            for step in steps {
                let mut next = Vec::new();
                for doc in &here {
                    for target in named_by(doc, step.as_str()) {
                        next.extend(r.entity(tenant, target.as_str())?);
                    }
                }
                here = next;
            }
            here.iter().flat_map(|doc| named_by(doc, last.as_str())).collect()
        }
        BindBy::Id { before, after, template } => {
            let middle = doc.id().strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
            middle.filter(|m| !m.is_empty()).and_then(|m| Iri::new(template.replace('*', m)).ok()).into_iter().collect()
        }
    })
}

/// The IRIs that an Attribute names: a Relationship's objects, or a Property whose value is an IRI.
fn named_by(doc: &EntityDoc, name: &str) -> Vec<Iri> {
    let mut out = Vec::new();
    for span in doc.instances_of(name) {
        match waybill_model::Attribute::from_canonical(doc.instance(span)).map(|a| a.value) {
            Ok(AttributeValue::Relationship { objects, .. } | AttributeValue::ListRelationship(objects)) => out.extend(objects),
            Ok(AttributeValue::Property(raw)) => out.extend(raw.value().as_str().and_then(|t| Iri::new(t).ok())),
            _ => {}
        }
    }
    out
}
