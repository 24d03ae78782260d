//! Putting a configuration in force: other lawful bases get their envelopes, and rules say who data is about.

use crate::consent::told;
use crate::hub::Hub;
use crate::rows::{FOLLOWER, Follower, Todo, key};
use crate::scan::each_doc;
use crate::withdraw::Withdrawal;
use crate::write::put_todo;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use waybill_consent::{Binding, ConsentBook, ConsentPointer, Envelope, EnvelopeEvent, Grant, Issue, OnWithdrawal, Registry, Rule, StatusPurpose, Target, Terms, Validity};
use waybill_gate::{BindBy, BindRule, Governance};
use waybill_journal::{Kind, Record};
use waybill_model::{AttributeValue, DateTime, EntityDoc, EnvelopeHash, Iri, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Filter, Reader, StoreError};

/// Which envelope states a basis. Key: SHA-256 of source and terms.
const BASIS: &str = "envelope-basis";
/// What the configuration in force amounts to, to see when it changes. Key: [`IN_FORCE`].
const GOVERNANCE: &str = "governance";
const IN_FORCE: &str = "in-force";
/// Entities looked at in one step after the rules of who data is about changed.
const AT_ONCE: usize = 200;

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
    /// Puts `governance` in force, with the grants that `basis` states. What it stated before keeps its envelope; the envelope of a basis that
    /// is stated no more is over, and its holders are told. When something changed since the last time, also over a restart, every follower
    /// is shown what it may see now, and who data is about is worked out anew.
    ///
    /// # Errors
    /// When terms are not understood (then the old configuration stays); the store's.
    pub async fn govern(&self, mut governance: Governance, tenant: &TenantId, basis: Vec<BasisRoute>) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        let mut stated: BTreeSet<String> = BTreeSet::new();
        let (mut grants, mut keys, mut issues) = (Vec::new(), Vec::new(), Vec::new());
        for route in basis {
            let text = serde_json::to_string(&route.terms).unwrap_or_default();
            let digest = waybill_keys::sha256(format!("{}\n{text}\n{:?}", route.source, route.validity).as_bytes());
            let key = waybill_keys::hex(&digest);
            stated.insert(key.clone());
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
        let print = format!("{:?}{:?}{:?}{:?}{stated:?}", governance.party, governance.classes, governance.agreements, governance.bindings);
        let print = waybill_keys::hex(&waybill_keys::sha256(print.as_bytes()));
        let rules = !governance.bindings.is_empty();
        // First in force, then looked at: whoever looks in between sees the new one already.
        self.inner.gate.govern(governance);
        for _ in 0..16 {
            let (hub, tenant, stated, print) = (self.clone(), tenant.clone(), stated.clone(), print.clone());
            let batch = self.inner.store.read(move |r| hub.take_up(r, &tenant, &stated, print, rules)).await?;
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-configuration"), 503, "Too many changes", "who holds data under a basis that ended kept changing").help("Read the configuration again in a moment."))
    }

    /// What follows from a configuration: nothing when it is the one that was in force.
    fn take_up(&self, r: &Reader<'_>, tenant: &TenantId, stated: &BTreeSet<String>, print: String, rules: bool) -> Result<Batch, StoreError> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        let before = r.doc(GOVERNANCE, IN_FORCE)?;
        if before.as_ref().is_some_and(|doc| doc.payload == print.as_bytes()) {
            return Ok(batch);
        }
        batch.expect_doc(GOVERNANCE, IN_FORCE, before.map(|doc| doc.revision));
        batch.put_doc(GOVERNANCE, IN_FORCE, print.into_bytes(), None);
        let mut over = Vec::new();
        each_doc(r, BASIS, "", |doc| {
            if !stated.contains(&doc.key) {
                batch.delete_doc(BASIS, &doc.key);
                over.extend(std::str::from_utf8(&doc.payload).ok().and_then(EnvelopeHash::parse));
            }
        })?;
        for envelope in &over {
            self.end_basis(r, &mut batch, *envelope, now)?;
        }
        each_doc(r, FOLLOWER, "", |doc| {
            if let Ok(follower) = serde_json::from_slice::<Follower>(&doc.payload) {
                let row = Todo::Load { tenant: follower.tenant.clone(), follower: follower.id.clone(), after: String::new() };
                put_todo(&mut batch, &key(&["load", follower.tenant.as_str(), follower.id.as_str()]), &row, now);
            }
        })?;
        if rules {
            let row = Todo::Rules { tenant: tenant.clone(), after: String::new() };
            put_todo(&mut batch, &key(&["rules", tenant.as_str()]), &row, now);
        }
        let record = Record::new(Kind::Configuration, tenant.clone(), now).left(over.len() as u64, None).detail(json!({ "ended": over }));
        self.inner.journal.append(&mut batch, record);
        Ok(batch)
    }

    /// A basis is stated no more: what went out under it is called back.
    fn end_basis(&self, r: &Reader<'_>, batch: &mut Batch, envelope: EnvelopeHash, now: DateTime) -> Result<(), StoreError> {
        let Some(stored) = ConsentBook::envelope(r, &envelope).map_err(told)? else { return Ok(()) };
        ConsentBook::mark_envelopes(batch, &[envelope], StatusPurpose::Revocation, true);
        let on_withdrawal = Envelope::trusted(&stored.compact).map(|e| e.claims.onw).unwrap_or_default();
        let mut withdrawal = Withdrawal {
            id: Self::fresh_id("withdrawal"),
            tenant: stored.tenant,
            subject: None,
            record: None,
            upstream: None,
            envelopes: vec![envelope],
            stopped_at: now,
            holders: Vec::new(),
            finished_at: None,
        };
        let event = EnvelopeEvent { envelopes: vec![envelope], time: now, on_withdrawal, successors: Vec::new() };
        self.add_holders(r, batch, &mut withdrawal, &stored.recipient, event, &[envelope], r.epoch()?, now)?;
        self.put_withdrawal(batch, &mut withdrawal, now);
        Ok(())
    }

    /// One step of working out anew who data is about: the next entities, and a row for the rest.
    pub(crate) fn apply_rules(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, after: &str) -> Result<(), StoreError> {
        let (mut docs, now) = (Vec::new(), self.inner.clock.now());
        r.candidates(tenant, &Filter::All, Some(after), |doc| {
            docs.push(doc);
            if docs.len() >= AT_ONCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        for doc in &docs {
            if self.bind_by_rules(r, batch, tenant, doc)?
                && let Ok(id) = doc.id_iri()
            {
                self.todo_entity(batch, tenant, &id);
            }
        }
        if let Some(last) = docs.last().filter(|_| docs.len() >= AT_ONCE) {
            let row = Todo::Rules { tenant: tenant.clone(), after: last.id().to_owned() };
            put_todo(batch, &key(&["rules-more", tenant.as_str(), last.id()]), &row, now);
        }
        Ok(())
    }

    /// Who `doc` is about, by the rules of the configuration: bindings that are not there yet go into `batch`. Returns whether there are any.
    pub(crate) fn bind_by_rules(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, doc: &EntityDoc) -> Result<bool, StoreError> {
        let mut any = false;
        let governance = self.governance();
        let now = self.inner.clock.now();
        let consents = self.inner.book.view(r).map_err(told)?;
        for rule in governance.bindings.iter().filter(|rule| fits(rule, doc)) {
            let Ok(entity) = doc.id_iri() else { continue };
            for subject in subjects(r, tenant, rule, doc)? {
                let bound = consents.bound(tenant, doc.id(), None, now).map_err(told)?;
                // One that was ended stays ended: she moved out, and the rule does not know it.
                if bound.holds(subject.as_str()) || Registry::ever(r, tenant, doc.id(), "").map_err(told)?.contains(&subject) {
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
                any = true;
            }
        }
        Ok(any)
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
