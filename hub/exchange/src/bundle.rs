//! One entity with all that is needed to verify it, in one file (consent-design §4).

use crate::consent::told;
use crate::hub::Hub;
use std::collections::{BTreeMap, BTreeSet};
use waybill_consent::{Bundle, ConsentBook, Envelope};
use waybill_gate::{InboundEnvelope, MANIFEST};
use waybill_model::{Iri, Problem, ProblemCode, Scope};
use waybill_store::Reader;

/// How long the status lists in a bundle are good for, in seconds.
const STAPLED: u32 = 300;

impl Hub {
    /// The entity as the caller may see it, with its envelopes, its manifest, the issuers' keys and the status as of now, signed by this hub.
    ///
    /// # Errors
    /// 404 as in [`Hub::retrieve`]; 502 when an issuer's keys cannot be had; the store's.
    pub async fn bundle(&self, scope: &Scope, id: &Iri) -> Result<String, Problem> {
        let page = self.retrieve(scope, id, |_| true).await?;
        let Some(entity) = page.get().entities.first().cloned() else {
            return Err(Problem::new(ProblemCode("entity-not-found"), 404, "Entity not found", "there is no such entity, or not for this caller"));
        };
        let receipt = page.receipt().clone();
        let hub = self.clone();
        let now = self.inner.clock.now();
        let (envelopes, manifest, status, issuers) = self
            .inner
            .store
            .read(move |r: &Reader<'_>| {
                let (mut envelopes, mut status, mut issuers) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
                let ring = hub.keys();
                for hash in &receipt.envelopes {
                    if let Some(own) = ConsentBook::envelope(r, hash).map_err(told)? {
                        if let Some(envelope) = Envelope::trusted(&own.compact) {
                            for list in [&envelope.claims.st.rev.list, &envelope.claims.st.sus.list] {
                                let name = list.as_str().rsplit('/').next().unwrap_or_default();
                                if let Some(signed) = hub.inner.book.signed_status_list(r, name, STAPLED, &ring, now).map_err(told)? {
                                    status.insert(list.to_string(), signed);
                                }
                            }
                        }
                        envelopes.push(own.compact);
                    } else if let Some(came) = InboundEnvelope::read(r, *hash)? {
                        issuers.insert(came.sender);
                        envelopes.push(came.envelope.compact.to_string());
                    }
                }
                let name = receipt.manifest.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
                let manifest = r.doc(MANIFEST, name)?.and_then(|d| String::from_utf8(d.payload).ok());
                Ok((envelopes, manifest, status, issuers))
            })
            .await?;
        let mut documents = BTreeMap::from([(self.did(), self.key_document())]);
        for sender in issuers {
            let text = self.fetched(&format!("{sender}/.well-known/did.json")).await?;
            documents.insert(crate::notice::did_of(&sender), serde_json::from_str(&text).unwrap_or_default());
        }
        let bundle = Bundle { entity, envelopes, manifest, issuers: documents, status: status.into_values().collect() };
        let written = bundle.write(self.keys().active(), &self.did(), now);
        written.map_err(|e| Problem::new(ProblemCode("bundle-not-written"), 500, "No bundle", e.to_string()))
    }
}
