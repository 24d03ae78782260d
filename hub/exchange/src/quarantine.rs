//! What came in and was refused, kept for somebody to look at.

use crate::admit::tag_of;
use crate::follow::encode;
use crate::hub::Hub;
use crate::inbox::Parcelled;
use crate::rows::{QUARANTINE, Quarantined, key};
use crate::scan::each_doc;
use serde_json::json;
use waybill_consent::tag_hash;
use waybill_gate::{INBOUND, Inbound, InboundState};
use waybill_journal::{Kind, Record};
use waybill_model::{EntityDoc, EnvelopeHash, Iri, Problem, TAG_NAME, TenantId};
use waybill_store::{Batch, Reader, StoreError};

impl Hub {
    /// Keeps what was refused: of the entity in `text` only the Attribute, when one is at fault, and nothing that came under an envelope which
    /// is over. The same refusal of the same delivery is kept once.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn quarantine(&self, parcel: &Parcelled, tenant: &TenantId, text: &str, attribute: Option<&Iri>, code: &str) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let Some(mut entity) = EntityDoc::parse(text, now).ok().and_then(|doc| doc.to_entity().ok()) else {
            tracing::warn!(connection = parcel.connection, code, "what was refused is no entity, and is not kept");
            return Ok(());
        };
        if let Some(only) = attribute {
            entity.attributes.retain(|name, _| name == only);
        }
        entity.attributes.remove(TAG_NAME);
        let named = entity.attributes.values().flatten().filter_map(tag_of).filter_map(|tag| tag_hash(&tag)).collect::<Vec<_>>();
        let over = self.inner.store.read(move |r| withdrawn_of(r, &named)).await?;
        for instances in entity.attributes.values_mut() {
            instances.retain(|i| !tag_of(i).and_then(|tag| tag_hash(&tag)).is_some_and(|hash| over.contains(&hash)));
        }
        entity.attributes.retain(|_, instances| !instances.is_empty());
        if entity.attributes.is_empty() {
            return Ok(());
        }
        let row = Quarantined {
            connection: parcel.connection.clone(),
            tenant: tenant.clone(),
            entity: entity.id.to_string(),
            attribute: attribute.map(ToString::to_string),
            code: code.to_owned(),
            at: now,
            document: EntityDoc::from_entity(&entity, now).text().to_owned(),
        };
        let same = waybill_keys::sha256(key(&[tenant.as_str(), row.entity.as_str(), row.attribute.as_deref().unwrap_or(""), code]).as_bytes());
        let at = key(&[&parcel.connection, &format!("{:020}", parcel.at.micros()), &waybill_keys::hex(&same[..8])]);
        let mut batch = Batch::new();
        batch.expect_doc(QUARANTINE, &at, None);
        batch.put_doc(QUARANTINE, &at, encode(&row), None);
        let record = Record::new(Kind::Quarantine, tenant.clone(), now).left(1, None).detail(json!({ "reason": code, "connection": parcel.connection }));
        self.inner.journal.append(&mut batch, record);
        match self.commit(batch).await {
            Err(problem) if problem.code == "store-conflict" => Ok(()),
            other => other.map(drop),
        }
    }
}

fn withdrawn_of(r: &Reader<'_>, envelopes: &[EnvelopeHash]) -> Result<Vec<EnvelopeHash>, StoreError> {
    let mut out = Vec::new();
    for hash in envelopes {
        let row = r.doc(INBOUND, &hash.to_string())?.and_then(|doc| serde_json::from_slice::<Inbound>(&doc.payload).ok());
        if row.is_some_and(|row| row.state == InboundState::Withdrawn) {
            out.push(*hash);
        }
    }
    Ok(out)
}

/// Adds to `batch` that what lies in quarantine and names one of `envelopes` goes: they are over.
pub(crate) fn sweep(r: &Reader<'_>, batch: &mut Batch, envelopes: &[EnvelopeHash]) -> Result<(), StoreError> {
    let named: Vec<String> = envelopes.iter().map(ToString::to_string).collect();
    each_doc(r, QUARANTINE, "", |doc| {
        let text = String::from_utf8_lossy(&doc.payload);
        if named.iter().any(|hash| text.contains(hash.as_str())) {
            batch.delete_doc(QUARANTINE, &doc.key);
        }
    })
}
