//! Short and full names, for the simple @contexts a stand-in meets: a map from terms to IRIs, arrays of such maps, and addresses of
//! contexts that were handed in beforehand.

use serde_json::{Map, Value};
use std::collections::HashMap;

const CORE: &str = "https://uri.etsi.org/ngsi-ld/";
const DEFAULT: &str = "https://uri.etsi.org/ngsi-ld/default-context/";

/// Members that NGSI-LD itself defines: they have no other name inside the stand-in.
const OWN: &[&str] = &[
    "id", "type", "@context", "scope", "value", "object", "objectType", "languageMap", "vocab", "json", "valueList", "objectList",
    "observedAt", "unitCode", "valueType", "datasetId", "instanceId", "createdAt", "modifiedAt", "deletedAt", "expiresAt", "location",
    "observationSpace", "operationSpace", "ngsildproof",
];

/// One @context, both ways.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    to_iri: HashMap<String, String>,
    to_term: HashMap<String, String>,
}

impl Names {
    /// Reads an @context value; `known` holds the documents behind addresses.
    pub fn of(context: &Value, known: &HashMap<String, Value>) -> Result<Self, String> {
        let mut names = Self::default();
        names.add(context, known, 0)?;
        Ok(names)
    }

    fn add(&mut self, context: &Value, known: &HashMap<String, Value>, depth: usize) -> Result<(), String> {
        if depth > 8 {
            return Err("the @context is nested too deeply".to_owned());
        }
        match context {
            Value::Null => Ok(()),
            Value::Array(parts) => parts.iter().try_for_each(|p| self.add(p, known, depth + 1)),
            // The core context defines exactly the members we know by heart.
            Value::String(address) if address.starts_with("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context") => Ok(()),
            Value::String(address) => match known.get(address) {
                Some(document) => self.add(document.get("@context").unwrap_or(document), known, depth + 1),
                None => Err(format!("this stand-in does not know the @context {address}")),
            },
            Value::Object(terms) => {
                for (term, definition) in terms.iter().filter(|(t, _)| !t.starts_with('@')) {
                    if let Some(iri) = definition.as_str().or_else(|| definition.get("@id").and_then(Value::as_str)) {
                        let iri = self.prefixed(iri, terms);
                        self.to_term.insert(iri.clone(), term.clone());
                        self.to_iri.insert(term.clone(), iri);
                    }
                }
                Ok(())
            }
            _ => Err("an @context is an address, an object or an array".to_owned()),
        }
    }

    /// `prefix:rest` with the prefix replaced, when the same context defines it.
    fn prefixed(&self, iri: &str, terms: &Map<String, Value>) -> String {
        if let Some((prefix, rest)) = iri.split_once(':') {
            let known = terms.get(prefix).and_then(Value::as_str).or_else(|| self.to_iri.get(prefix).map(String::as_str));
            if let Some(base) = known.filter(|_| !rest.starts_with("//")) {
                return format!("{base}{rest}");
            }
        }
        iri.to_owned()
    }

    /// The full name of a member or type.
    pub fn expand(&self, name: &str) -> String {
        if OWN.contains(&name) {
            return name.to_owned();
        }
        if let Some(own) = name.strip_prefix(CORE).filter(|n| OWN.contains(n)) {
            return own.to_owned();
        }
        if let Some(iri) = self.to_iri.get(name) {
            return iri.clone();
        }
        if let Some((prefix, rest)) = name.split_once(':') {
            return self.to_iri.get(prefix).filter(|_| !rest.starts_with("//")).map_or_else(|| name.to_owned(), |base| format!("{base}{rest}"));
        }
        format!("{DEFAULT}{name}")
    }

    /// The shortest name under this context.
    pub fn compact(&self, iri: &str) -> String {
        if let Some(term) = self.to_term.get(iri) {
            return term.clone();
        }
        match iri.strip_prefix(DEFAULT) {
            // A term that means something else under this context cannot stand for the default one.
            Some(term) if !self.to_iri.contains_key(term) => term.to_owned(),
            _ => iri.to_owned(),
        }
    }

    /// An entity with full names, every attribute in its normalized form.
    pub fn expand_entity(&self, entity: &Value) -> Result<Value, String> {
        let members = entity.as_object().ok_or("an entity is an object")?;
        let mut out = Map::new();
        for (name, value) in members.iter().filter(|(n, _)| *n != "@context") {
            let name = match name.as_str() {
                "@id" => "id",
                "@type" => "type",
                other => other,
            };
            match name {
                "type" => out.insert("type".to_owned(), self.types(value, Self::expand)),
                "id" | "scope" | "expiresAt" => out.insert(name.to_owned(), value.clone()),
                "createdAt" | "modifiedAt" | "deletedAt" => None,
                _ => out.insert(self.expand(name), self.expand_attribute(value)),
            };
        }
        if !out.get("id").is_some_and(Value::is_string) {
            return Err("an entity needs an id".to_owned());
        }
        Ok(Value::Object(out))
    }

    /// One Attribute (or an array of its instances) with full names, in the normalized form.
    pub fn expand_attribute(&self, value: &Value) -> Value {
        match value {
            Value::Array(instances) if instances.iter().all(is_instance) => {
                Value::Array(instances.iter().map(|i| self.expand_attribute(i)).collect())
            }
            Value::Object(members) if is_instance(value) => {
                let mut out = Map::new();
                if !members.contains_key("type") {
                    let kind = match members {
                        m if m.contains_key("object") => "Relationship",
                        m if m.contains_key("languageMap") => "LanguageProperty",
                        m if m.contains_key("vocab") => "VocabProperty",
                        m if m.contains_key("json") => "JsonProperty",
                        m if m.contains_key("valueList") => "ListProperty",
                        m if m.contains_key("objectList") => "ListRelationship",
                        m if m.get("value").is_some_and(is_geometry) => "GeoProperty",
                        _ => "Property",
                    };
                    out.insert("type".to_owned(), kind.into());
                }
                for (name, inner) in members {
                    let full = self.expand(name);
                    let kept = if OWN.contains(&full.as_str()) { inner.clone() } else { self.expand_attribute(inner) };
                    out.insert(full, kept);
                }
                Value::Object(out)
            }
            geometry if is_geometry(geometry) => serde_json::json!({"type": "GeoProperty", "value": geometry}),
            plain if plain == "urn:ngsi-ld:null" => plain.clone(),
            plain => serde_json::json!({"type": "Property", "value": plain}),
        }
    }

    /// An entity under this context again.
    pub fn compact_entity(&self, entity: &Value) -> Value {
        let mut out = Map::new();
        for (name, value) in entity.as_object().into_iter().flatten() {
            match name.as_str() {
                "type" => out.insert("type".to_owned(), self.types(value, Self::compact)),
                "id" | "scope" | "expiresAt" | "createdAt" | "modifiedAt" | "deletedAt" => out.insert(name.clone(), value.clone()),
                _ => out.insert(self.compact(name), self.compact_attribute(value)),
            };
        }
        Value::Object(out)
    }

    fn compact_attribute(&self, value: &Value) -> Value {
        match value {
            Value::Array(instances) => Value::Array(instances.iter().map(|i| self.compact_attribute(i)).collect()),
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(n, v)| if OWN.contains(&n.as_str()) { (n.clone(), v.clone()) } else { (self.compact(n), self.compact_attribute(v)) })
                    .collect(),
            ),
            plain => plain.clone(),
        }
    }

    fn types(&self, value: &Value, translate: fn(&Self, &str) -> String) -> Value {
        match value {
            Value::Array(all) => all.iter().map(|t| Value::from(translate(self, t.as_str().unwrap_or_default()))).collect(),
            one => translate(self, one.as_str().unwrap_or_default()).into(),
        }
    }
}

/// Whether a value is an Attribute instance, not a bare value of the concise form.
fn is_instance(value: &Value) -> bool {
    const MARKS: &[&str] = &["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];
    value.as_object().is_some_and(|m| MARKS.iter().any(|k| m.contains_key(*k)))
}

fn is_geometry(value: &Value) -> bool {
    const KINDS: &[&str] = &["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"];
    value.get("coordinates").is_some() && value.get("type").and_then(Value::as_str).is_some_and(|t| KINDS.contains(&t))
}

/// The simplified (key-values) form of an entity.
pub(super) fn simplify(entity: &Value) -> Value {
    let mut out = Map::new();
    for (name, value) in entity.as_object().into_iter().flatten() {
        let plain = match name.as_str() {
            "id" | "type" | "scope" | "createdAt" | "modifiedAt" | "expiresAt" => value.clone(),
            _ => simplify_attribute(value),
        };
        out.insert(name.clone(), plain);
    }
    Value::Object(out)
}

fn simplify_attribute(value: &Value) -> Value {
    match value {
        Value::Array(instances) => {
            let by_dataset: Map<String, Value> = instances
                .iter()
                .map(|i| (i.get("datasetId").and_then(Value::as_str).unwrap_or("@none").to_owned(), simplify_attribute(i)))
                .collect();
            serde_json::json!({ "dataset": by_dataset })
        }
        Value::Object(members) => {
            for key in ["value", "object", "valueList", "objectList"] {
                if let Some(inner) = members.get(key) {
                    return inner.clone();
                }
            }
            for key in ["languageMap", "vocab", "json"] {
                if let Some(inner) = members.get(key) {
                    return serde_json::json!({ key: inner });
                }
            }
            value.clone()
        }
        plain => plain.clone(),
    }
}
