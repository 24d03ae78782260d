//! What an import's provider listed: a row for each entity, so that what it lists no more is known, and what did not change is not taken again.

use crate::connector::Connector;
use crate::fault::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waybill_exchange::{Incoming, Ledger, Step, process_alias};
use waybill_keys::sha256;
use waybill_model::{AttributeValue, EntityDoc, EnvelopeHash, Iri, TAG_NAME};

const PAGE: usize = 1000;

/// An entity that the provider listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub import: String,
    pub id: Iri,
    /// A digest of what came, tags and all.
    pub digest: String,
    /// Its Attributes.
    pub attributes: Vec<Iri>,
    /// The envelopes that its tags name.
    pub envelopes: Vec<EnvelopeHash>,
}

/// All that is held of an import, by the entity's identifier, with the revision of its row.
pub(super) type Holdings = BTreeMap<String, (u64, Held)>;

impl Held {
    pub fn of(import: &str, doc: &EntityDoc, id: &Iri) -> Self {
        let (mut attributes, mut envelopes): (Vec<Iri>, Vec<EnvelopeHash>) = (Vec::new(), Vec::new());
        for instance in doc.to_entity().into_iter().flat_map(|e| e.attributes) {
            let (name, list) = instance;
            for tag in list.iter().flat_map(|i| i.attributes.get(TAG_NAME).into_iter().flatten()) {
                if let AttributeValue::Relationship { objects, .. } = &tag.value {
                    envelopes.extend(objects.iter().filter_map(|o| EnvelopeHash::from_tag(o.as_str())));
                }
            }
            if name.as_str() != TAG_NAME {
                attributes.push(name);
            }
        }
        envelopes.sort_by_key(|e| e.0);
        envelopes.dedup();
        Self { import: import.to_owned(), id: id.clone(), digest: waybill_keys::hex(&sha256(doc.text().as_bytes())), attributes, envelopes }
    }

    /// Its row. The identifier is hashed: what stands there may be as long as it wants.
    pub fn key(&self) -> String {
        key(&self.import, self.id.as_str())
    }

    /// What it had before and has no more.
    pub fn lost(&self, before: &Self) -> Option<Incoming> {
        let attributes: Vec<Iri> = before.attributes.iter().filter(|a| !self.attributes.contains(a)).cloned().collect();
        (!attributes.is_empty()).then(|| Incoming::Gone { id: self.id.clone(), attributes })
    }
}

fn key(import: &str, id: &str) -> String {
    process_alias(&[import, &waybill_keys::hex(&sha256(id.as_bytes()))])
}

impl Connector {
    pub(super) fn held_rows(&self) -> Ledger {
        self.0.hub.ledger("dsp-import-held")
    }

    /// All that is held of `import`.
    pub(super) async fn holdings(&self, import: &str) -> Result<Holdings, Fault> {
        let (mut out, mut after) = (Holdings::new(), Some(process_alias(&[import, ""])));
        loop {
            let page = self.held_rows().list::<Held>(PAGE, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok(out) };
            let beyond = last.state.import != import;
            after = Some(last.id.clone());
            out.extend(page.into_iter().filter(|e| e.state.import == import).map(|e| (e.state.id.to_string(), (e.revision, e.state))));
            if beyond {
                return Ok(out);
            }
        }
    }

    /// Notes what is held now. Answers the revision of its rows.
    pub(super) async fn hold(&self, list: impl Iterator<Item = &(Option<u64>, Held)>) -> Result<u64, Fault> {
        let steps = list.map(|(revision, held)| (self.held_rows(), Step::new(&held.key(), *revision, held))).collect();
        Ok(self.hub().commit_steps(steps).await?)
    }

    /// Notes that `ids` are held no more. Answers how many were.
    pub(super) async fn let_go(&self, import: &str, ids: &[Iri]) -> Result<usize, Fault> {
        let mut gone = 0;
        for id in ids {
            let at = key(import, id.as_str());
            if let Some(row) = self.held_rows().get::<Held>(&at).await? {
                self.held_rows().forget(&at, row.revision).await?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}

/// The envelopes that anything held came under.
pub(super) fn envelopes(holdings: &Holdings) -> Vec<EnvelopeHash> {
    let mut all: Vec<EnvelopeHash> = holdings.values().flat_map(|(_, held)| held.envelopes.iter().copied()).collect();
    all.sort_by_key(|e| e.0);
    all.dedup();
    all
}
