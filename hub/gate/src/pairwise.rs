//! Identifiers that are one organisation's own: made of the stored one with a key of that organisation's, so that two that compare what they
//! have find nothing in common, and the hub finds the way back without a table.

use crate::fault;
use crate::licence::Licence;
use waybill_keys::{SealKey, b64url, hmac_sha256, open_steadily, seal_steadily, unb64url};
use waybill_model::{Attribute, AttributeValue, Iri};

/// How a pairwise identifier begins.
const HEAD: &str = "urn:waybill:pair:";
/// Identifiers are filled up to a multiple of this, in bytes: their lengths would tell them apart, and be the same for everybody.
const FILL: usize = 64;

/// The key of all pairwise identifiers of this hub.
#[derive(Debug, Clone)]
pub struct PairKeys(SealKey);

/// The key of one organisation's.
#[derive(Debug, Clone)]
pub(crate) struct Pair(SealKey);

impl PairKeys {
    /// Made of the hub's secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SealKey::from_bytes(hmac_sha256(secret, b"waybill pairwise identifiers")))
    }

    /// The identifier of `stored` for the organisation of `licence`, whether or not that licence asks for such.
    pub fn pairwise(&self, licence: &Licence, stored: &str) -> Iri {
        self.pair(licence).of(stored)
    }

    /// The way back: nothing for what was never made for this organisation.
    pub fn stored(&self, licence: &Licence, pairwise: &str) -> Option<String> {
        self.pair(licence).stored(pairwise)
    }

    pub(crate) fn pair(&self, licence: &Licence) -> Pair {
        let mut whose = Vec::new();
        for part in [licence.participant.as_str(), licence.party.as_str(), licence.tenant.as_str()] {
            whose.extend_from_slice(&(part.len() as u64).to_be_bytes());
            whose.extend_from_slice(part.as_bytes());
        }
        if fault::off("gate-pair-whose") {
            whose.clear();
        }
        Pair(SealKey::from_bytes(hmac_sha256(self.0.as_bytes(), &whose)))
    }
}

impl Pair {
    pub fn of(&self, stored: &str) -> Iri {
        let mut plain = (stored.len() as u32).to_be_bytes().to_vec();
        plain.extend_from_slice(stored.as_bytes());
        plain.resize(plain.len().next_multiple_of(FILL), 0);
        let text = format!("{HEAD}{}", b64url(seal_steadily(&self.0, &plain, HEAD.as_bytes())));
        // INVARIANT: a scheme, letters, digits, `-` and `_` make an IRI.
        Iri::new(text).unwrap_or_else(|_| unreachable!("a pairwise identifier is an IRI"))
    }

    pub fn stored(&self, pairwise: &str) -> Option<String> {
        let plain = open_steadily(&self.0, &unb64url(pairwise.strip_prefix(HEAD)?)?, HEAD.as_bytes()).ok()?;
        let (length, rest) = plain.split_first_chunk::<4>()?;
        let text = rest.get(..u32::from_be_bytes(*length) as usize)?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// An instance of an entity that is about a person, as the organisation may see it. All that it points to is renamed too: the household or
    /// the cabinet that her meter hangs on is the same for every organisation, and by it they would find each other's entities again, also
    /// where what is pointed to is no person's. A proof of integrity names the entity it was made for and goes. Nothing for what cannot be read.
    pub fn rename(&self, instance: &str) -> Option<String> {
        if fault::off("gate-pair-links") || !["Relationship\"", "\"ngsildproof\""].iter().any(|part| instance.contains(part)) {
            return Some(instance.to_owned());
        }
        let mut attribute = Attribute::from_canonical(instance).ok()?;
        self.rename_within(&mut attribute);
        serde_json::to_string(&attribute).ok()
    }

    fn rename_within(&self, attribute: &mut Attribute) {
        attribute.proof = None;
        if let AttributeValue::Relationship { objects, .. } | AttributeValue::ListRelationship(objects) = &mut attribute.value {
            for object in objects {
                *object = self.of(object.as_str());
            }
        }
        attribute.attributes.values_mut().flatten().for_each(|below| self.rename_within(below));
    }
}
