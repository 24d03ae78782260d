//! The bundled core @contexts say what the published ones say.

use super::support::{data, json, offline, run};
use serde_json::Value;
use std::collections::BTreeMap;
use waybill_context::CoreVersion;

/// Term to definition, with the prefixes of the document written out and a plain string as an object.
fn facts(document: &Value) -> BTreeMap<String, Value> {
    let context = document["@context"].as_object().unwrap();
    let full = |iri: &str| match iri.split_once(':') {
        Some((prefix @ ("ngsi-ld" | "geojson"), rest)) => format!("{}{rest}", context[prefix].as_str().unwrap()),
        _ => iri.to_owned(),
    };
    let mut out = BTreeMap::new();
    for (term, definition) in context {
        let mut definition = match definition {
            Value::String(iri) if !term.starts_with('@') => serde_json::json!({ "@id": iri }),
            other => other.clone(),
        };
        if let Some(id) = definition.get("@id").and_then(Value::as_str).map(full) {
            definition["@id"] = Value::String(id);
        }
        out.insert(term.clone(), definition);
    }
    out
}

#[test]
fn every_version_is_the_published_one_term_by_term() {
    let Some(data) = data() else { return };
    for version in CoreVersion::ALL {
        let path = data.join(format!("contexts/ngsi-ld-core-context-v1.{}.jsonld", version.minor()));
        let published = json(&std::fs::read_to_string(path).unwrap());
        let (ours, theirs) = (facts(&version.document()), facts(&published));
        for (term, definition) in &theirs {
            assert_eq!(ours.get(term), Some(definition), "{term} in 1.{}", version.minor());
        }
        assert_eq!(ours.len(), theirs.len(), "1.{} has terms of its own", version.minor());
    }
}

#[test]
fn urls_name_versions_exactly() {
    let base = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context";
    let of = |end: &str| CoreVersion::of_url(&format!("{base}{end}")).map(|(v, lower)| (v.minor(), lower));
    for (end, expected) in [
        (".jsonld", Some((9, false))),
        ("-v1.9.jsonld", Some((9, false))),
        ("-v1.8.jsonld", Some((8, false))),
        ("-v1.5.jsonld", Some((4, true))),
        ("-v1.2.jsonld", Some((0, true))),
        ("-v1.0.jsonld", Some((0, false))),
        ("-v1.10.jsonld", None),
        ("-v2.0.jsonld", None),
        ("-v1..jsonld", None),
        ("-non-existing.jsonld", None),
        (".json", None),
        ("", None),
    ] {
        assert_eq!(of(end), expected, "{end}");
    }
}

#[test]
fn the_core_acts_last_wherever_it_stands_and_is_not_echoed() {
    let user = json(r#"{"temperature": "https://example.org/temperature", "observedAt": "https://example.org/mine", "title": "https://example.org/title"}"#);
    let core = CoreVersion::LATEST.url();
    for value in [
        serde_json::json!([user, core]),
        serde_json::json!([core, user]),
        user.clone(),
    ] {
        let context = run(offline().resolve(&value)).unwrap();
        assert_eq!(context.expand("temperature"), "https://example.org/temperature");
        assert_eq!(context.expand("observedAt"), "https://uri.etsi.org/ngsi-ld/observedAt");
        assert_eq!(context.expand("title"), "http://purl.org/dc/terms/title");
        assert_eq!(context.expand("humidity"), "https://uri.etsi.org/ngsi-ld/default-context/humidity");
        assert_eq!(context.expand("ngsi-ld:x"), "https://uri.etsi.org/ngsi-ld/x");
        assert_eq!(context.compact("https://uri.etsi.org/ngsi-ld/default-context/humidity"), "humidity");
        assert_eq!(context.compact("https://uri.etsi.org/ngsi-ld/x"), "ngsi-ld:x");
        assert_eq!(context.compact("https://uri.etsi.org/ngsi-ld/default-context/value"), "https://uri.etsi.org/ngsi-ld/default-context/value");
        assert_eq!(context.user(), &user);
    }
}
