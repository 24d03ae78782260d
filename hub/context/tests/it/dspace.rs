//! The bundled @contexts of the Dataspace Protocol say what the published ones say, and expansion that loses nothing does.

use super::support::{data, json, offline, run};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use waybill_context::{Contexts, DSPACE, DSPACE_EDC, DSPACE_ODRL, compact_jsonld_generally, expand_jsonld_strictly};

/// Place and term to definition, with what is imported written out.
fn facts(context: &Value, imports: &Value) -> BTreeMap<String, Value> {
    fn add(context: &Value, imports: &Value, at: &str, out: &mut BTreeMap<String, Value>) {
        let mut terms: Map<String, Value> = context.as_object().expect("an object").clone();
        if terms.remove("@import").is_some() {
            let mut all = imports.as_object().expect("an object").clone();
            all.append(&mut terms);
            terms = all;
        }
        for (term, mut definition) in terms {
            if let Some(scoped) = definition.as_object_mut().and_then(|d| d.remove("@context")) {
                add(&scoped, imports, &format!("{at}{term} "), out);
            }
            let plain = definition.as_object().filter(|d| d.len() == 1).and_then(|d| d.get("@id")).cloned();
            out.insert(format!("{at}{term}"), plain.unwrap_or(definition));
        }
    }
    let mut out = BTreeMap::new();
    add(context, imports, "", &mut out);
    out
}

fn ours(contexts: &Contexts, url: &str) -> Value {
    contexts.body(url).expect("bundled")["@context"].clone()
}

#[test]
fn each_is_the_published_one_term_by_term() {
    let Some(data) = data() else { return };
    let published = |file: &str| json(&std::fs::read_to_string(data.join("dsp").join(file)).unwrap())["@context"].clone();
    let odrl = published("2025-1/context/odrl.jsonld");
    let contexts = offline();
    for (url, file) in [(DSPACE, "2025-1/context/dspace.jsonld"), (DSPACE_ODRL, "2025-1/context/odrl.jsonld"), (DSPACE_EDC, "edc-dspace-edc-context-v1.jsonld")] {
        let (ours, theirs) = (facts(&ours(&contexts, url), &odrl), facts(&published(file), &odrl));
        for (term, definition) in &theirs {
            assert_eq!(ours.get(term), Some(definition), "{term} in {url}");
        }
        let more: Vec<&String> = ours.keys().filter(|term| !theirs.contains_key(*term)).collect();
        assert!(more.is_empty(), "{url} has terms of its own: {more:?}");
    }
}

#[test]
fn each_is_used_offline_and_by_documents_within() {
    let contexts = offline();
    let own = run(contexts.resolve_plain(&json!([DSPACE]))).unwrap();
    let inner = json!({"@id": "urn:1", "https://x.example/p": {"@context": DSPACE, "@type": "TransferProcess", "state": "STARTED"}});
    let expanded = json(&expand_jsonld_strictly(&inner.to_string(), &run(contexts.resolve_plain(&json!([]))).unwrap()).unwrap());
    assert_eq!(expanded[0]["https://x.example/p"][0]["https://w3id.org/dspace/2025/1/state"][0]["@id"], "https://w3id.org/dspace/2025/1/STARTED");
    let compacted = json(&compact_jsonld_generally(&expanded.to_string(), &own).unwrap());
    assert_eq!(compacted["https://x.example/p"]["state"], "STARTED");
    for (context, document, named) in [
        (json!({}), json!({"@id": "urn:1", "lost": 1}), "`lost`"),
        (json!({"@vocab": "https://x.example/", "lost": null}), json!({"@id": "urn:1", "a": {"lost": 1}}), "`lost`"),
        (json!({"@vocab": "https://x.example/", "lost": {"@id": null}}), json!({"@id": "urn:1", "lost": 1}), "`lost`"),
        (json!({"@vocab": "https://x.example/"}), json!({"@id": "urn:1", "a": {"@context": {"b": null}, "b": 1}}), "`b`"),
        (json!({"@vocab": "https://x.example/"}), json!({"@id": "urn:1", "a": {"@context": {"@vocab": null}, "b": 1}}), "`b`"),
        (json!({"@vocab": "https://x.example/"}), json!({"@id": "urn:1", "a": null}), "null"),
        (json!({"@vocab": "https://x.example/"}), json!({"@id": "urn:1", "a": {"@context": "https://y.example/c"}}), "https://y.example/c"),
    ] {
        let context = run(contexts.resolve_plain(&context)).unwrap();
        let error = expand_jsonld_strictly(&document.to_string(), &context).expect_err(named);
        assert!(error.detail.contains(named), "{document}: {error}");
    }
}
