//! One instance of an Attribute, as a tree.

use crate::{AttributeKind, DateTime, Entity, Iri, RawJson};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The instances of one Attribute: distinct datasetIds, at most one without (clause 4.5.5). Never empty.
pub type Instances = Vec<Attribute>;

/// The value of an instance, by kind. Names inside are expanded.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// Any JSON but null.
    Property(RawJson),
    /// A GeoJSON geometry, not a collection.
    GeoProperty(RawJson),
    /// One target, or several (clause 4.5.3.2).
    Relationship {
        /// The targets; one or more.
        objects: Vec<Iri>,
        /// Whether the document had an array.
        many: bool,
    },
    /// Language tag, or `@none`, to a string or an array of strings.
    LanguageProperty(RawJson),
    /// Expanded names.
    VocabProperty {
        /// The names; one or more.
        names: Vec<Iri>,
        /// Whether the document had an array.
        many: bool,
    },
    /// Any JSON, never expanded.
    JsonProperty(RawJson),
    /// An array, in order.
    ListProperty(RawJson),
    /// The targets, in order.
    ListRelationship(Vec<Iri>),
}

impl AttributeValue {
    /// The kind of this value.
    pub fn kind(&self) -> AttributeKind {
        match self {
            Self::Property(_) => AttributeKind::Property,
            Self::GeoProperty(_) => AttributeKind::GeoProperty,
            Self::Relationship { .. } => AttributeKind::Relationship,
            Self::LanguageProperty(_) => AttributeKind::LanguageProperty,
            Self::VocabProperty { .. } => AttributeKind::VocabProperty,
            Self::JsonProperty(_) => AttributeKind::JsonProperty,
            Self::ListProperty(_) => AttributeKind::ListProperty,
            Self::ListRelationship(_) => AttributeKind::ListRelationship,
        }
    }
}

/// One instance of an Attribute (clauses 4.5.2 to 4.5.24). Its system times stand in [`crate::AttributeSpan`] when stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Kind and value.
    pub value: AttributeValue,
    /// Which instance this is; nothing for the default instance.
    pub dataset_id: Option<Iri>,
    /// When the value was observed.
    pub observed_at: Option<DateTime>,
    /// A UN/CEFACT common code.
    pub unit_code: Option<String>,
    /// The data type of a Property's value (1.9), expanded.
    pub value_type: Option<RawJson>,
    /// The type of a Relationship's target (1.8), expanded.
    pub object_type: Option<RawJson>,
    /// When the instance ends to exist (1.9).
    pub expires_at: Option<DateTime>,
    /// A data-integrity proof (1.9), kept as it came.
    pub proof: Option<RawJson>,
    /// Sub-attributes by expanded name.
    pub attributes: BTreeMap<Iri, Instances>,
}

impl Attribute {
    /// An instance that has a value and nothing else.
    pub fn new(value: AttributeValue) -> Self {
        Self {
            value,
            dataset_id: None,
            observed_at: None,
            unit_code: None,
            value_type: None,
            object_type: None,
            expires_at: None,
            proof: None,
            attributes: BTreeMap::new(),
        }
    }

    /// Reads one instance of the canonical form. Members it does not know and that are no IRI are refused.
    ///
    /// # Errors
    /// What is wrong, with the member's name.
    pub fn from_canonical(text: &str) -> Result<Self, String> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let get = |name: &str| members.get(name).map(|raw| raw.get());
        let kind: AttributeKind = get("type").ok_or("an instance has no `type`").and_then(|t| serde_json::from_str(t).map_err(|_| "`type` names no kind of Attribute"))?;
        let held = get(kind.value_member()).ok_or_else(|| format!("a {} has no `{}`", kind.as_str(), kind.value_member()))?;
        let raw = || RawJson::parse(held).map_err(|e| e.to_string());
        let value = match kind {
            AttributeKind::Property => AttributeValue::Property(raw()?),
            AttributeKind::GeoProperty => AttributeValue::GeoProperty(raw()?),
            AttributeKind::LanguageProperty => AttributeValue::LanguageProperty(raw()?),
            AttributeKind::JsonProperty => AttributeValue::JsonProperty(raw()?),
            AttributeKind::ListProperty => AttributeValue::ListProperty(raw()?),
            AttributeKind::Relationship => {
                let (objects, many) = one_or_many(held)?;
                AttributeValue::Relationship { objects, many }
            }
            AttributeKind::VocabProperty => {
                let (names, many) = one_or_many(held)?;
                AttributeValue::VocabProperty { names, many }
            }
            AttributeKind::ListRelationship => {
                #[derive(Deserialize)]
                struct Item {
                    object: Iri,
                }
                let items: Vec<Item> = serde_json::from_str(held).map_err(|e| format!("`objectList`: {e}"))?;
                AttributeValue::ListRelationship(items.into_iter().map(|item| item.object).collect())
            }
        };
        let mut out = Self::new(value);
        for (name, raw) in &members {
            let bad = |e: serde_json::Error| format!("`{name}`: {e}");
            match name.as_str() {
                "type" => {}
                "datasetId" => out.dataset_id = Some(serde_json::from_str(raw.get()).map_err(bad)?),
                "observedAt" => out.observed_at = Some(serde_json::from_str(raw.get()).map_err(bad)?),
                "expiresAt" => out.expires_at = Some(serde_json::from_str(raw.get()).map_err(bad)?),
                "unitCode" => out.unit_code = Some(serde_json::from_str(raw.get()).map_err(bad)?),
                "valueType" => out.value_type = Some(RawJson::parse(raw.get()).map_err(bad)?),
                "objectType" => out.object_type = Some(RawJson::parse(raw.get()).map_err(bad)?),
                "ngsildproof" => out.proof = Some(RawJson::parse(raw.get()).map_err(bad)?),
                member if member == kind.value_member() => {}
                member => {
                    let iri = Iri::new(member).map_err(|_| format!("`{member}` is no member of a {}", kind.as_str()))?;
                    let instances: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).map_err(bad)?;
                    let read = instances.iter().map(|i| Self::from_canonical(i.get())).collect::<Result<Vec<_>, _>>();
                    out.attributes.insert(iri, read.map_err(|e| format!("`{member}`: {e}"))?);
                }
            }
        }
        Ok(out)
    }
}

fn one_or_many(text: &str) -> Result<(Vec<Iri>, bool), String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(Iri),
        Many(Vec<Iri>),
    }
    match serde_json::from_str(text).map_err(|_| "neither an IRI nor an array of IRIs".to_owned())? {
        OneOrMany::One(iri) => Ok((vec![iri], false)),
        OneOrMany::Many(list) => Ok((list, true)),
    }
}

/// Writes the canonical form; see [`Entity`].
impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let kind = self.value.kind();
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("type", kind.as_str())?;
        let member = kind.value_member();
        match &self.value {
            AttributeValue::Property(v)
            | AttributeValue::GeoProperty(v)
            | AttributeValue::LanguageProperty(v)
            | AttributeValue::JsonProperty(v)
            | AttributeValue::ListProperty(v) => map.serialize_entry(member, v)?,
            AttributeValue::Relationship { objects: list, many } | AttributeValue::VocabProperty { names: list, many } => {
                match list.as_slice() {
                    [one] if !many => map.serialize_entry(member, one)?,
                    all => map.serialize_entry(member, all)?,
                }
            }
            AttributeValue::ListRelationship(objects) => {
                let items: Vec<_> = objects.iter().map(|o| BTreeMap::from([("object", o)])).collect();
                map.serialize_entry(member, &items)?;
            }
        }
        macro_rules! optional {
            ($($name:literal: $field:ident),*) => { $(if let Some(v) = &self.$field { map.serialize_entry($name, v)?; })* };
        }
        optional!("datasetId": dataset_id, "observedAt": observed_at, "unitCode": unit_code, "valueType": value_type,
            "objectType": object_type, "expiresAt": expires_at, "ngsildproof": proof);
        for (name, instances) in &self.attributes {
            map.serialize_entry(name, instances)?;
        }
        map.end()
    }
}

impl Entity {
    /// The default instance of the Attribute `name`, or its first.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let instances = self.attributes.get(name)?;
        instances.iter().find(|i| i.dataset_id.is_none()).or_else(|| instances.first())
    }
}
