//! An Entity as a tree, and its canonical form.

use crate::{Attribute, DateTime, Instances, Iri, ScopePath};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An NGSI-LD Entity (clause 4.5.1), expanded.
///
/// Its *canonical form* (what [`crate::EntityDoc`] holds) is JSON with these members in this order:
/// `id`, `type` (always an array of IRIs), `scope` (an array, when there is one), `expiresAt`, then each Attribute under its full
/// IRI as an array of instances. An instance is `type`, the value member of its kind, then of `datasetId`, `observedAt`,
/// `unitCode`, `valueType`, `objectType`, `expiresAt`, `ngsildproof` those it has, then sub-attributes under their full IRIs, again as
/// arrays. Short names never clash with Attributes, since an IRI has a colon. Names inside values are expanded but for a
/// JsonProperty's. System times are not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// The identifier.
    pub id: Iri,
    /// The types; one or more.
    pub types: Vec<Iri>,
    /// The scopes; may be none.
    pub scopes: Vec<ScopePath>,
    /// When the Entity ends to exist (1.9).
    pub expires_at: Option<DateTime>,
    /// The Attributes by expanded name.
    pub attributes: BTreeMap<Iri, Instances>,
}

impl Entity {
    /// An Entity without Attributes.
    pub fn new(id: Iri, types: Vec<Iri>) -> Self {
        Self { id, types, scopes: Vec::new(), expires_at: None, attributes: BTreeMap::new() }
    }

    /// Reads the canonical form.
    ///
    /// # Errors
    /// What is wrong, with the member's name.
    pub fn from_canonical(text: &str) -> Result<Self, String> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        fn need<'a, T: Deserialize<'a>>(members: &'a BTreeMap<String, Box<RawValue>>, name: &str) -> Result<T, String> {
            let raw = members.get(name).ok_or_else(|| format!("an Entity has no `{name}`"))?;
            serde_json::from_str(raw.get()).map_err(|e| format!("`{name}`: {e}"))
        }
        let mut out = Self::new(need(&members, "id")?, need(&members, "type")?);
        for (name, raw) in &members {
            let bad = |e: serde_json::Error| format!("`{name}`: {e}");
            match name.as_str() {
                "id" | "type" => {}
                "scope" => out.scopes = serde_json::from_str(raw.get()).map_err(bad)?,
                "expiresAt" => out.expires_at = Some(serde_json::from_str(raw.get()).map_err(bad)?),
                member => {
                    let iri = Iri::new(member).map_err(|_| format!("`{member}` is no member of an Entity"))?;
                    let instances: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).map_err(bad)?;
                    let read = instances.iter().map(|i| Attribute::from_canonical(i.get())).collect::<Result<Vec<_>, _>>();
                    out.attributes.insert(iri, read.map_err(|e| format!("`{member}`: {e}"))?);
                }
            }
        }
        Ok(out)
    }

    /// Writes the canonical form.
    pub fn to_canonical(&self) -> String {
        // INVARIANT: every part serialises; there is no map with a key that is not a string.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("type", &self.types)?;
        if !self.scopes.is_empty() {
            map.serialize_entry("scope", &self.scopes)?;
        }
        if let Some(at) = &self.expires_at {
            map.serialize_entry("expiresAt", at)?;
        }
        for (name, instances) in &self.attributes {
            map.serialize_entry(name, instances)?;
        }
        map.end()
    }
}

/// Whether `name` is a member of the canonical form that is not an Attribute, of an Entity or of an instance.
pub fn is_reserved_member(name: &str) -> bool {
    !name.contains(':')
}
