//! Laws: what is decoded and encoded is what was there, in every representation that keeps everything.

use super::support::{json, now, offline, run};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waybill_context::{EncodeOptions, Format, Options, decode_entity, encode_entity};
use waybill_model::EntityDoc;

fn context() -> Value {
    json!({"ex": "https://example.org/", "size": "ex:size", "owner": {"@id": "ex:owner", "@type": "@id"}, "tags": {"@id": "ex:tags", "@container": "@list"}})
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-f][a-z0-9_]{0,5}", Just("size".to_owned()), Just("owner".to_owned()), Just("tags".to_owned()), Just("ex:other".to_owned()), Just("https://else.example/p".to_owned())]
}

fn uri() -> impl Strategy<Value = Value> {
    "urn:[a-z]{1,4}:[a-zA-Z0-9]{1,6}".prop_map(Value::from)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        (-1_000_000i32..1_000_000).prop_map(|n| json!(f64::from(n) / 64.0)),
        any::<bool>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({"@type": "DateTime", "@value": "2026-01-01T00:00:00Z"})),
        Just(json!({"type": "Point", "coordinates": [1.5, 2]})),
        Just(json!({"value": 1})),
        Just(json!([{"type": "Property", "value": 1}])),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

fn instance() -> impl Strategy<Value = Value> {
    let members = prop_oneof![
        4 => value().prop_map(|v| json!({"type": "Property", "value": v})),
        1 => prop_oneof![uri(), prop::collection::vec(uri(), 1..3).prop_map(Value::from)].prop_map(|o| json!({"type": "Relationship", "object": o})),
        1 => Just(json!({"type": "GeoProperty", "value": {"type": "LineString", "coordinates": [[1, 2], [3.25, 4]]}})),
        1 => any::<String>().prop_map(|s| json!({"type": "LanguageProperty", "languageMap": {"en": s, "de": ["x"]}})),
        1 => name().prop_map(|n| json!({"type": "VocabProperty", "vocab": n})),
        1 => value().prop_map(|v| json!({"type": "JsonProperty", "json": v})),
        1 => prop::collection::vec(value(), 0..3).prop_map(|v| json!({"type": "ListProperty", "valueList": v})),
        1 => prop::collection::vec(uri().prop_map(|o| json!({"object": o})), 0..3).prop_map(|v| json!({"type": "ListRelationship", "objectList": v})),
    ];
    let observed = prop::option::of((0i64..4_000_000_000).prop_map(|s| waybill_model::DateTime::from_seconds(s).to_string()));
    let plain = (members, observed).prop_map(|(mut members, observed)| {
        if let Some(at) = observed {
            members["observedAt"] = json!(at);
        }
        members
    });
    plain.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), prop::collection::btree_map(name(), inner, 0..3)).prop_map(|(mut outer, subs)| {
            for (name, sub) in subs {
                outer[name] = sub;
            }
            outer
        })
    })
}

fn entity() -> impl Strategy<Value = Value> {
    let instances = (instance(), prop::option::of(instance())).prop_map(|(first, second)| match second {
        None => first,
        Some(mut second) => {
            second["datasetId"] = json!("urn:d:2");
            json!([first, second])
        }
    });
    (uri(), name(), prop::collection::btree_map(name(), instances, 0..5)).prop_map(|(id, kind, attributes)| {
        let mut out = Map::new();
        out.insert("id".into(), id);
        out.insert("type".into(), json!(kind));
        out.extend(attributes);
        Value::Object(out)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn decoding_and_encoding_lose_nothing(entity in entity()) {
        let context = run(offline().resolve(&context())).unwrap();
        let doc = decode_entity(&context, entity.to_string().as_bytes(), &Options::new(now())).unwrap();
        prop_assert_eq!(&doc, &EntityDoc::parse(doc.text(), now()).unwrap());
        let tree = doc.to_entity().unwrap();
        let mut out = Vec::new();
        encode_entity(&context, &doc, &EncodeOptions::format(Format::Normalized), &mut out);
        prop_assert_eq!(json(std::str::from_utf8(&out).unwrap()), entity);
        out.clear();
        encode_entity(&context, &doc, &EncodeOptions::format(Format::Concise), &mut out);
        let again = decode_entity(&context, &out, &Options::new(now())).unwrap();
        prop_assert_eq!(again.to_entity().unwrap(), tree, "{}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn no_bytes_make_it_stumble(bytes in prop::collection::vec(prop::sample::select(b"{}[]\",:0-9.eEtrufalsn\\ idype@".to_vec()), 0..80)) {
        let context = offline().core();
        let _ = decode_entity(&context, &bytes, &Options::new(now()));
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let ours = waybill_context::Document::read(&bytes, 64).is_ok();
            let theirs = serde_json::from_str::<Box<serde_json::value::RawValue>>(text).is_ok();
            prop_assert!(!ours || theirs, "what the parser of serde_json refuses is refused: {}", text);
        }
    }
}
