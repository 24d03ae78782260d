//! Tags and manifests: made here, at the gate, and nowhere else (consent-design §4).

use crate::onward::{Found, Needed};
use crate::view::View;
use crate::visible::{Right, VisibleDoc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::RwLock;
use waybill_consent::{LeafKey, Manifest, ManifestBuilder, Operation, tag_uri};
use waybill_journal::ConsentRef;
use waybill_keys::KeyRing;
use waybill_model::{AttributeKind, DocBuilder, EntityDoc, EnvelopeHash, InstanceMeta, Iri, PartyId, TAG_NAME, with_member};

pub(crate) struct Tagger<'a> {
    view: &'a View,
    keys: &'a RwLock<KeyRing>,
}

/// What the tagger made.
pub(crate) struct Tagged {
    pub entities: Vec<EntityDoc>,
    pub manifest: Option<Manifest>,
    pub envelopes: Vec<EnvelopeHash>,
    pub epoch: u64,
    /// For each person: under which consent, and what of hers.
    pub about: BTreeMap<Iri, (Option<ConsentRef>, Value)>,
}

impl<'a> Tagger<'a> {
    pub fn new(view: &'a View, keys: &'a RwLock<KeyRing>) -> Self {
        Self { view, keys }
    }

    /// The envelopes that must be there before `docs` can be tagged for `recipient`.
    pub fn needed(docs: &[VisibleDoc], recipient: Option<PartyId>) -> Needed {
        let mut needed = Needed { recipient, ..Needed::default() };
        for right in docs.iter().flat_map(|v| v.rights.iter().chain(&v.projected)) {
            match right {
                Right::Onward(came) => drop(needed.onward.insert(came.hash)),
                Right::Grants(grants) => {
                    let parts: BTreeSet<EnvelopeHash> = right.envelopes().collect();
                    if parts.len() > 1 {
                        needed.joint.entry(parts).or_insert_with(|| grants.iter().map(|g| g.template.terms.clone()).collect());
                    }
                }
                Right::Inbound(_) | Right::Operator | Right::Open => {}
            }
        }
        needed
    }

    /// Tags every personal instance and, once, the entity; makes one leaf for each and signs the manifest. `found` gives this hub's
    /// envelope for each inbound one, and for each set of own ones. An instance whose envelope is missing there is left out: untagged, nothing personal leaves.
    pub fn tag(&self, docs: Vec<VisibleDoc>, found: &Found, operation: &str) -> Tagged {
        let governance = &self.view.governance;
        let own_use = self.view.scope.is_operator();
        let audience = self.view.scope.recipient.clone().unwrap_or_else(|| governance.party.clone());
        let ring = self.keys.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let issuer = ring.controller().unwrap_or(&governance.base_url).to_owned();
        let mut builder = ManifestBuilder::new(issuer, audience, Operation { name: operation.to_owned(), params: BTreeMap::new() });
        let mut out = Tagged { entities: Vec::new(), manifest: None, envelopes: Vec::new(), epoch: 0, about: BTreeMap::new() };
        for visible in docs {
            let doc = &visible.doc;
            let (mut made, mut under) = (DocBuilder::new(doc.id(), doc.types(), doc.scopes(), doc.system.expires_at).sized_like(doc), BTreeSet::new());
            for (span, right) in doc.spans().iter().zip(&visible.rights) {
                let (name, instance) = (doc.name(span), doc.instance(span));
                let Some(hash) = found.under(right) else { continue };
                Self::note(&mut out, visible.stored_id(), name, right);
                let Some((hash, uri)) = hash.and_then(|h| Some((h, self.uri(right, h)?))) else {
                    made.instance(name, instance, InstanceMeta::of(doc, span));
                    continue;
                };
                let key = LeafKey { entity: doc.id(), attribute: name, dataset: doc.dataset_id(span) };
                // An instance that is not canonical cannot be covered by a leaf, so it does not leave.
                let Ok(leaf) = builder.leaf(hash, key, instance) else { continue };
                let tag = format!("\"{TAG_NAME}\":[{{\"type\":\"Relationship\",\"object\":\"{uri}\"}}]");
                made.instance(name, &with_member(instance, &tag), InstanceMeta { leaf: Some(leaf), envelope: Some(hash), ..InstanceMeta::of(doc, span) });
                under.insert(uri.to_string());
                if !out.envelopes.contains(&hash) {
                    out.envelopes.push(hash);
                }
            }
            // That it exists tells of her too.
            let mut nothing = false;
            for right in &visible.projected {
                let Some(hash) = found.under(right) else {
                    nothing = true;
                    continue;
                };
                Self::note(&mut out, visible.stored_id(), "id", right);
                if let Some((hash, uri)) = hash.and_then(|h| Some((h, self.uri(right, h)?))) {
                    under.insert(uri.to_string());
                    if !out.envelopes.contains(&hash) {
                        out.envelopes.push(hash);
                    }
                }
            }
            if made.is_empty() && (!doc.spans().is_empty() || nothing && under.is_empty()) {
                continue;
            }
            if !under.is_empty() && !own_use {
                let objects: Vec<String> = under.into_iter().collect();
                let object = if let [one] = objects.as_slice() { json!(one) } else { json!(objects) };
                let instance = format!("{{\"type\":\"Relationship\",\"object\":{object}}}");
                made.instance(TAG_NAME, &instance, InstanceMeta::new(AttributeKind::Relationship, self.view.now));
            }
            out.entities.push(made.finish(doc.system.clone()));
        }
        if !builder.is_empty() {
            // The time of the decision orders what this recipient is given: an older delivery must not overtake.
            let seq = u64::try_from(self.view.now.micros()).unwrap_or(0);
            out.manifest = Some(builder.sign(ring.active(), seq, out.epoch, self.view.now));
        }
        out
    }

    /// Where the envelope lies: at this hub, or, for data that is only used here, at the hub it came from.
    fn uri(&self, right: &Right, hash: EnvelopeHash) -> Option<Iri> {
        let governance = &self.view.governance;
        let base = match right {
            Right::Inbound(came) if !governance.is_import(&came.sender) => &came.sender,
            _ => &governance.base_url,
        };
        tag_uri(base, &hash)
    }

    fn note(out: &mut Tagged, entity: &str, attribute: &str, right: &Right) {
        let mut add = |subject: &Iri, consent: Option<ConsentRef>| {
            let (known, what) = out.about.entry(subject.clone()).or_insert_with(|| (consent.clone(), json!({})));
            if known.is_none() {
                *known = consent;
            }
            let list = &mut what[entity];
            if !list.is_array() {
                *list = json!([]);
            }
            if let Some(list) = list.as_array_mut()
                && !list.iter().any(|a| a == attribute)
            {
                list.push(json!(attribute));
            }
        };
        match right {
            Right::Grants(grants) => {
                for grant in grants {
                    out.epoch = out.epoch.max(grant.epoch);
                    let consent = ConsentRef { id: grant.record.clone(), version: u64::from(grant.version), epoch: grant.epoch };
                    if let Some(subject) = &grant.subject {
                        add(subject, Some(consent));
                    }
                }
            }
            // Nobody is named in an envelope: the consent it belongs to stands for the person, and its page can be closed like hers.
            Right::Inbound(came) | Right::Onward(came) => add(&came.consent, None),
            Right::Operator | Right::Open => {}
        }
    }
}
