//! The streaming expansion and the general processor say the same.

use super::support::{data, json, models, offline, run};
use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_context::{Context, Document, compact_jsonld, compact_jsonld_generally, compacts_streaming, expand_jsonld, expand_jsonld_generally, expands_streaming};

/// Both refuse, or both give the same. Says whether they gave something.
fn agree(text: &str, context: &Context) -> bool {
    let streamed = expand_jsonld(text, context);
    let general = expand_jsonld_generally(text, context);
    match (streamed, general) {
        (Ok(streamed), Ok(general)) => {
            assert!(expands_streaming(text, context), "not streamed: {text}");
            assert_eq!(json(&streamed), json(&general), "{text}");
            true
        }
        (Err(_), Err(_)) => false,
        (streamed, general) => panic!("streamed: {streamed:?}\ngeneral: {general:?}\n{text}"),
    }
}

#[test]
fn on_the_examples_of_the_models() {
    let Some(data) = data() else { return };
    let contexts = models(data.clone());
    let mut count = 0;
    for subject in std::fs::read_dir(data.join("smart-data-models")).unwrap() {
        let subject = subject.unwrap().path();
        for model in std::fs::read_dir(&subject).into_iter().flatten() {
            let path = model.unwrap().path().join("example-normalized.jsonld");
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let document = Document::read(text.as_bytes(), 64).unwrap();
            let value = document.root().context().unwrap();
            for context in [run(contexts.resolve(&value)).unwrap(), run(contexts.resolve_plain(&value)).unwrap()] {
                count += usize::from(agree(&text, &context));
                agree_on_compaction(&text, &context);
            }
        }
    }
    assert!(count > 60);
}

fn context() -> Value {
    json!([{
        "@vocab": "https://example.org/vocab#",
        "@language": "en",
        "ex": "https://example.org/",
        "schema": {"@id": "https://schema.org/", "@prefix": true},
        "name": "schema:name",
        "knows": {"@id": "ex:knows", "@type": "@id"},
        "kind": {"@id": "ex:kind", "@type": "@vocab"},
        "when": {"@id": "ex:when", "@type": "ex:DateTime"},
        "raw": {"@id": "ex:raw", "@type": "@json"},
        "list": {"@id": "ex:list", "@container": "@list"},
        "points": {"@id": "ex:points", "@container": "@list", "@type": "ex:double"},
        "set": {"@id": "ex:set", "@container": "@set"},
        "label": {"@id": "ex:label", "@container": "@language"},
        "plain": {"@id": "ex:plain", "@language": null},
        "cut": null,
        "id": "@id",
        "type": "@type"
    }])
}

/// Documents of the shapes the streaming path takes.
fn document() -> impl Strategy<Value = Value> {
    let word = "[a-z]{1,6}";
    let scalar = prop_oneof![
        word.prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        (-1000i32..1000).prop_map(|n| json!(f64::from(n) / 8.0)),
        word.prop_map(|w| json!(format!("ex:{w}"))),
        Just(Value::Null),
    ];
    let key = prop::sample::select(vec![
        "name", "knows", "kind", "when", "raw", "list", "points", "set", "plain", "cut", "schema:address", "ex:other", "https://else.example/x", "undefined",
    ]);
    let typed = (word, word).prop_map(|(value, kind)| json!({"@value": value, "@type": kind}));
    let tagged = word.prop_map(|value| json!({"@value": value, "@language": "fr"}));
    let leaf = prop_oneof![6 => scalar.boxed(), 1 => typed, 1 => tagged];
    let tree = leaf.prop_recursive(3, 24, 4, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..3).prop_map(distinct);
        let node = (prop::option::of("[a-z]{1,5}"), prop::option::of("[A-Z][a-z]{1,5}"), prop::collection::btree_map(key.clone(), inner, 0..4)).prop_map(
            |(id, kind, members)| {
                let mut out = serde_json::Map::new();
                id.map(|id| out.insert("id".into(), json!(format!("urn:x:{id}"))));
                kind.map(|kind| out.insert("type".into(), json!(kind)));
                out.extend(members.into_iter().map(|(k, v)| (k.to_owned(), v)));
                Value::Object(out)
            },
        );
        prop_oneof![1 => list, 3 => node]
    });
    let labels = prop::collection::btree_map(prop::sample::select(vec!["de", "fr", "@none"]), word, 0..3);
    (tree, labels).prop_map(|(tree, labels)| json!({"id": "urn:x:top", "type": "Top", "ex:held": tree, "label": labels}))
}

/// Without two things the processor has wrong. A null under a term that is a list: the algorithm drops it (API section 5.1.2, step 13.10),
/// the processor makes an empty list. A JSON literal that is an array: it is one value, the processor takes it apart when it compacts.
fn without_known_faults(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, held| match key.as_str() {
                "list" | "points" => !held.is_null(),
                "raw" => !held.is_array(),
                _ => true,
            });
            map.values_mut().for_each(without_known_faults);
        }
        Value::Array(items) => items.iter_mut().for_each(without_known_faults),
        _ => {}
    }
}

/// The processor holds sets, so an item that stands twice stands once there.
fn distinct(list: Vec<Value>) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for item in list {
        if !out.contains(&item) && !item.is_array() {
            out.push(item);
        }
    }
    Value::Array(out)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn on_generated_documents(mut document in document()) {
        without_known_faults(&mut document);
        let context = run(offline().resolve_plain(&context())).unwrap();
        prop_assert!(agree(&document.to_string(), &context));
        agree_on_compaction(&document.to_string(), &context);
    }
}

/// The same for compaction, of what expansion gave.
fn agree_on_compaction(text: &str, context: &Context) {
    let Ok(expanded) = expand_jsonld(text, context) else { return };
    let streamed = compact_jsonld(&expanded, context);
    let general = compact_jsonld_generally(&expanded, context);
    let (streamed, general) = match (streamed, general) {
        (Ok(streamed), Ok(general)) => (streamed, general),
        (Err(_), Err(_)) => return,
        // The processor refuses `Device:1` under any term `Device`; the algorithm does only when the term is a prefix (6.2, step 9).
        (Ok(_), Err(e)) if e.detail.contains("confused with prefix") => return,
        other => panic!("{other:?}: {expanded}"),
    };
    assert!(compacts_streaming(&expanded, context), "not streamed: {expanded}");
    let without_context = |text: &str| {
        let mut document = json(text);
        document.as_object_mut().unwrap().remove("@context");
        document
    };
    assert_eq!(without_context(&streamed), without_context(&general), "{expanded}");
}

#[test]
fn what_is_expanded_compacts_to_what_it_was() {
    let context = run(offline().resolve_plain(&context())).unwrap();
    let text = json!({
        "id": "urn:x:1", "type": "Thing", "name": "a", "knows": ["urn:x:2", "urn:x:3"], "list": [1, 2], "set": ["b"],
        "label": {"de": "ja", "fr": "oui"}, "raw": {"k": [null]}, "when": "2026"
    });
    let expanded = expand_jsonld(&text.to_string(), &context).unwrap();
    let mut back = json(&compact_jsonld(&expanded, &context).unwrap());
    assert_eq!(back.as_object_mut().unwrap().remove("@context"), Some(self::context()));
    assert_eq!(back, text);
}
