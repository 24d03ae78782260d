//! The manifest: the signed statement of one delivery. Each value in it is one leaf, so that a tag can be checked against what it covers.

use crate::StatementError;
use crate::fault;
use crate::signed::verified;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use waybill_keys::{Key, KeyLookup, b64url, hex, jcs_hash, jws, random, sha256, unb64url};
use waybill_model::{Attribute, AttributeValue, DateTime, EnvelopeHash, PartyId};

/// The `typ` of a manifest.
pub const TYP: &str = "waybill-manifest+jwt";

/// Which instance of which Attribute a leaf is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeafKey<'a> {
    /// The entity's identifier.
    pub entity: &'a str,
    /// The Attribute's expanded name.
    pub attribute: &'a str,
    /// The datasetId; nothing for the default instance.
    pub dataset: Option<&'a str>,
}

/// The hash of one value: salt, tag, entity, Attribute, dataset, value, unit and time of observation. The value is normalised: `1.0` is `1`,
/// the order of members does not matter, one target in an array is that target. `instance` is one instance in canonical form.
///
/// # Errors
/// When `instance` is no instance of an Attribute.
pub fn leaf_hash(salt: &[u8; 16], tag: &EnvelopeHash, key: LeafKey<'_>, instance: &str) -> Result<[u8; 32], String> {
    let attribute = Attribute::from_canonical(instance)?;
    let value = match &attribute.value {
        AttributeValue::Property(raw)
        | AttributeValue::GeoProperty(raw)
        | AttributeValue::LanguageProperty(raw)
        | AttributeValue::JsonProperty(raw)
        | AttributeValue::ListProperty(raw) => serde_json::from_str(raw.get()).map_err(|_| "the value holds a number beyond all doubles")?,
        AttributeValue::Relationship { objects: list, .. } | AttributeValue::VocabProperty { names: list, .. } => match list.as_slice() {
            [one] => json!(one),
            all => json!(all),
        },
        AttributeValue::ListRelationship(list) => json!(list),
    };
    let parts = json!([
        b64url(salt),
        tag,
        key.entity,
        key.attribute,
        key.dataset,
        attribute.value.kind().value_member(),
        value,
        attribute.unit_code,
        attribute.observed_at
    ]);
    Ok(jcs_hash(&parts))
}

/// One leaf as it stands in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Index of the entity's identifier.
    pub e: u32,
    /// Index of the Attribute's name.
    pub a: u32,
    /// The datasetId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d: Option<String>,
    /// Index of the envelope.
    pub t: u32,
    /// The salt, base64url.
    pub s: String,
    /// The hash, base64url.
    pub h: String,
}

/// What was done to make a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Its name: `deliver`, `query`, `retrieve`.
    pub name: String,
    /// Its parameters, e.g. the precision by Attribute.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub params: std::collections::BTreeMap<String, String>,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestClaims {
    /// The DID of the hub that delivers.
    pub iss: String,
    /// To whom.
    pub aud: PartyId,
    /// When it was signed, in seconds.
    pub iat: i64,
    /// Grows from delivery to delivery of this hub to this recipient: when it was decided, in microseconds.
    pub seq: u64,
    /// The consent epoch it was decided at.
    pub epoch: u64,
    /// What was done.
    pub op: Operation,
    /// The identifiers of entities.
    pub entities: Vec<String>,
    /// The names of Attributes.
    pub attributes: Vec<String>,
    /// The envelopes.
    pub envelopes: Vec<EnvelopeHash>,
    /// One for each personal value.
    pub leaves: Vec<Leaf>,
    /// The root of the leaves' hashes (hexadecimal).
    pub root: String,
}

/// What a manifest says about a value that came under a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafMatch {
    /// The tag covers the value.
    Covered([u8; 32]),
    /// The tag is right but the value is another.
    Changed,
    /// The value came under another envelope.
    OtherTag(EnvelopeHash),
    /// The manifest does not know that instance.
    Absent,
}

/// Puts a manifest together.
#[derive(Debug, Clone)]
pub struct ManifestBuilder {
    claims: ManifestClaims,
    hashes: Vec<[u8; 32]>,
}

impl ManifestBuilder {
    /// A manifest of the hub `iss` for `aud`, still without values.
    pub fn new(iss: impl Into<String>, aud: PartyId, op: Operation) -> Self {
        let claims = ManifestClaims {
            iss: iss.into(),
            aud,
            iat: 0,
            seq: 0,
            epoch: 0,
            op,
            entities: Vec::new(),
            attributes: Vec::new(),
            envelopes: Vec::new(),
            leaves: Vec::new(),
            root: String::new(),
        };
        Self { claims, hashes: Vec::new() }
    }

    /// Adds a value under `tag`. Returns its leaf hash.
    ///
    /// # Errors
    /// When `instance` is no instance of an Attribute in canonical form.
    pub fn leaf(&mut self, tag: EnvelopeHash, key: LeafKey<'_>, instance: &str) -> Result<[u8; 32], String> {
        let salt: [u8; 16] = random();
        let hash = leaf_hash(&salt, &tag, key, instance)?;
        let claims = &mut self.claims;
        let leaf = Leaf {
            e: index(&mut claims.entities, key.entity),
            a: index(&mut claims.attributes, key.attribute),
            d: key.dataset.map(str::to_owned),
            t: index(&mut claims.envelopes, &tag),
            s: b64url(salt),
            h: b64url(hash),
        };
        claims.leaves.push(leaf);
        self.hashes.push(hash);
        Ok(hash)
    }

    /// Whether no value was added. Then there is nothing to sign.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Signs it, once.
    pub fn sign(mut self, key: &Key, seq: u64, epoch: u64, now: DateTime) -> Manifest {
        self.claims.iat = now.seconds();
        self.claims.seq = seq;
        self.claims.epoch = epoch;
        self.claims.root = hex(&root(&self.hashes));
        Manifest::of(jws::sign(key, TYP, &self.claims).into(), self.claims)
    }
}

/// How far back a table is looked through for an entry that is there already. Values come entity by entity, so it is near or nowhere;
/// an entry that stands twice does no harm.
const NEAR: usize = 32;

/// The index of `item` in `list`, to which it is added when it is not near the end.
fn index<T: Borrow<Q>, Q: PartialEq + ToOwned<Owned = T> + ?Sized>(list: &mut Vec<T>, item: &Q) -> u32 {
    let from = list.len().saturating_sub(NEAR);
    let at = list[from..].iter().rposition(|own| own.borrow() == item).map_or_else(
        || {
            list.push(item.to_owned());
            list.len() - 1
        },
        |near| from + near,
    );
    at as u32
}

/// The root of a hash tree over `leaves` in their order; leaves and inner nodes are hashed apart (as in RFC 9162 §2.1.1).
fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [one] => sha256(&[&[0], one.as_slice()].concat()),
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(half);
            sha256(&[&[1], root(left).as_slice(), &root(right)].concat())
        }
    }
}

/// A manifest with its text. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The compact JWS.
    pub compact: Arc<str>,
    /// What it says.
    pub claims: Arc<ManifestClaims>,
    /// The leaves of each entity, by their place among all.
    by_entity: Arc<HashMap<Box<str>, Vec<u32>>>,
}

impl Manifest {
    fn of(compact: Arc<str>, claims: ManifestClaims) -> Self {
        let mut by_entity: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        for (leaf, at) in claims.leaves.iter().zip(0..) {
            if let Some(entity) = claims.entities.get(leaf.e as usize) {
                match by_entity.get_mut(entity.as_str()) {
                    Some(list) => list.push(at),
                    None => drop(by_entity.insert(entity.as_str().into(), vec![at])),
                }
            }
        }
        Self { compact, claims: Arc::new(claims), by_entity: Arc::new(by_entity) }
    }

    /// Verifies a manifest: kind, signature, issuer, its root and its indexes.
    pub fn verify(compact: &str, keys: &dyn KeyLookup, now: DateTime) -> Result<Self, StatementError> {
        let (claims, _) = verified::<ManifestClaims>(compact, TYP, keys, now, |claims| &claims.iss)?;
        let wrong = StatementError::Inconsistent;
        let mut hashes = Vec::with_capacity(claims.leaves.len());
        for leaf in &claims.leaves {
            let inside = (leaf.e as usize) < claims.entities.len()
                && (leaf.a as usize) < claims.attributes.len()
                && (leaf.t as usize) < claims.envelopes.len()
                && unb64url(&leaf.s).is_some_and(|salt| salt.len() == 16);
            let hash: [u8; 32] = unb64url(&leaf.h).and_then(|h| h.try_into().ok()).ok_or(wrong("a leaf's hash has another length"))?;
            if !inside {
                return Err(wrong("a leaf points at nothing"));
            }
            hashes.push(hash);
        }
        if claims.root != hex(&root(&hashes)) && !fault::off("consent-root") {
            return Err(wrong("the root is not that of the leaves"));
        }
        Ok(Self::of(compact.into(), claims))
    }

    /// The name under which a manifest is kept: the SHA-256 (hexadecimal) of its text.
    pub fn id(&self) -> String {
        hex(&sha256(self.compact.as_bytes()))
    }

    fn find(&self, key: LeafKey<'_>) -> Option<&Leaf> {
        let claims = &self.claims;
        let mut leaves = self.by_entity.get(key.entity)?.iter().filter_map(|at| claims.leaves.get(*at as usize));
        leaves.find(|leaf| claims.attributes.get(leaf.a as usize).is_some_and(|a| a == key.attribute) && leaf.d.as_deref() == key.dataset)
    }

    /// Whether the instance was delivered as personal data.
    pub fn knows(&self, key: LeafKey<'_>) -> bool {
        self.find(key).is_some()
    }

    /// What the manifest says about `instance` (canonical form, its tag left in or not) that came under `tag`.
    pub fn check(&self, tag: &EnvelopeHash, key: LeafKey<'_>, instance: &str) -> LeafMatch {
        let Some(leaf) = self.find(key) else { return LeafMatch::Absent };
        let Some(own) = self.claims.envelopes.get(leaf.t as usize) else { return LeafMatch::Absent };
        if own != tag && !fault::off("consent-tag-swap") {
            return LeafMatch::OtherTag(*own);
        }
        let salt = unb64url(&leaf.s).and_then(|salt| <[u8; 16]>::try_from(salt).ok());
        match salt.and_then(|salt| leaf_hash(&salt, tag, key, instance).ok()) {
            Some(hash) if b64url(hash) == leaf.h || fault::off("consent-leaf") => LeafMatch::Covered(hash),
            _ => LeafMatch::Changed,
        }
    }

    /// The envelope under which `instance` was delivered, when its value is the one that was: how a stripped tag is found again.
    pub fn tag_of(&self, key: LeafKey<'_>, instance: &str) -> Option<EnvelopeHash> {
        let tag = *self.claims.envelopes.get(self.find(key)?.t as usize)?;
        matches!(self.check(&tag, key, instance), LeafMatch::Covered(_)).then_some(tag)
    }
}

