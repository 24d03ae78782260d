//! The query languages: examples as tables, and laws over generated Entities and queries.

#[path = "it/candidates.rs"]
mod candidates;
#[path = "it/examples.rs"]
mod examples;
#[path = "it/laws.rs"]
mod laws;
#[path = "it/naive.rs"]
mod naive;

use waybill_model::{DateTime, Entity, EntityDoc};

/// The expander of the tests: short names go to `https://x.org/`, the core's to the core.
fn expand(term: &str) -> String {
    match term {
        _ if term.contains(':') => term.to_owned(),
        "location" => format!("{}location", waybill_model::NGSI_LD),
        _ => format!("https://x.org/{term}"),
    }
}

/// A document from JSON in which short names stand for `https://x.org/` names.
fn doc(json: &serde_json::Value) -> EntityDoc {
    fn long(v: &serde_json::Value, top: bool) -> serde_json::Value {
        let Some(map) = v.as_object() else { return v.clone() };
        let known = ["id", "type", "scope", "expiresAt", "value", "object", "languageMap", "vocab", "json", "valueList", "objectList", "datasetId", "observedAt", "unitCode", "objectType", "valueType"];
        map.iter()
            .map(|(k, v)| if known.contains(&k.as_str()) || (top && k == "type") { (k.clone(), v.clone()) } else { (expand(k), v.as_array().map_or(v.clone(), |a| a.iter().map(|i| long(i, false)).collect())) })
            .collect()
    }
    let text = long(json, true).to_string();
    let entity = Entity::from_canonical(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    EntityDoc::from_entity(&entity, DateTime::parse("2026-01-02T03:04:05Z").expect("a time"))
}
