//! The write rules, on documents alone.

use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_context::{Contexts, EncodeOptions, Nulls, Options, decode_attribute, decode_entity, decode_fragment, encode_entity};
use waybill_model::{Clock, DateTime, EntityDoc, EnvelopeHash};
use waybill_ngsi_ld::write::{MergeOptions, Op, Outcome, Which, apply, delete_attribute, partial_update, replace_attribute, replace_entity};

fn at(text: &str) -> DateTime {
    DateTime::parse(text).expect("a time")
}
fn before() -> DateTime {
    at("2026-01-01T00:00:00Z")
}
fn now() -> DateTime {
    at("2026-06-01T00:00:00Z")
}
fn core() -> std::sync::Arc<waybill_context::Context> {
    static CORE: std::sync::OnceLock<std::sync::Arc<waybill_context::Context>> = std::sync::OnceLock::new();
    CORE.get_or_init(|| Contexts::offline(Clock::fixed(before())).core()).clone()
}
fn entity(body: &Value) -> EntityDoc {
    let mut body = body.clone();
    body["id"] = json!("urn:e");
    body["type"] = body.get("type").cloned().unwrap_or(json!("T"));
    decode_entity(&core(), body.to_string().as_bytes(), &Options::new(before())).unwrap_or_else(|e| panic!("{e}"))
}
fn shown(doc: &EntityDoc) -> Value {
    let mut out = Vec::new();
    encode_entity(&core(), doc, &EncodeOptions::default(), &mut out);
    let mut v: Value = serde_json::from_slice(&out).expect("JSON");
    v.as_object_mut().expect("an object").remove("id");
    if v["type"] == json!("T") {
        v.as_object_mut().expect("an object").remove("type");
    }
    v
}
fn run(op: &Op, current: &Value, fragment: &Value) -> Outcome {
    let nulls = match op {
        Op::Append { .. } => Nulls::Refused,
        Op::Update => Nulls::Members,
        Op::Merge(_) => Nulls::Deep,
    };
    let fragment = decode_fragment(&core(), fragment.to_string().as_bytes(), &Options::new(now()).nulls(nulls)).unwrap_or_else(|e| panic!("{e}"));
    apply(op, &entity(current), &fragment, now()).unwrap_or_else(|p| panic!("{p:?}"))
}
fn check(op: &Op, current: Value, fragment: Value, expected: Value) -> Outcome {
    let outcome = run(op, &current, &fragment);
    assert_eq!(shown(&outcome.doc), expected, "{op:?} {fragment}");
    // What is written is a canonical document, spans and all.
    let again = EntityDoc::parse(outcome.doc.text(), now()).expect("canonical");
    assert_eq!(again.spans().len(), outcome.doc.spans().len());
    assert_eq!(outcome.changed, shown(&entity(&current)) != expected);
    outcome
}
const APPEND: Op = Op::Append { no_overwrite: false };
const KEEP: Op = Op::Append { no_overwrite: true };
fn merging() -> Op {
    Op::Merge(MergeOptions::default())
}
fn p(value: impl Into<Value>) -> Value {
    json!({"type": "Property", "value": value.into()})
}

#[test]
fn appending_replaces_or_keeps_instances() {
    let both = json!({"type": ["T", "U"], "a": p(2), "b": p(1)});
    check(&APPEND, json!({"a": p(1)}), json!({"type": "U", "a": p(2), "b": p(1)}), both);
    let kept = check(&KEEP, json!({"a": p(1)}), json!({"a": p(2), "b": p(1)}), json!({"a": p(1), "b": p(1)}));
    let name = |n: &str| format!("{}{n}", waybill_model::DEFAULT_VOCAB);
    assert_eq!(kept.result.updated, [name("b")]);
    assert_eq!(kept.result.not_updated.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>(), [name("a")]);
    // Another datasetId is another instance.
    let second = json!({"type": "Property", "value": 2, "datasetId": "urn:d"});
    check(&KEEP, json!({"a": p(1)}), json!({"a": second}), json!({"a": [p(1), second]}));
    check(&APPEND, json!({"a": [p(1), second]}), json!({"a": {"type": "Property", "value": 3, "datasetId": "urn:d"}}), json!({"a": [p(1), {"type": "Property", "value": 3, "datasetId": "urn:d"}]}));
    check(&APPEND, json!({"scope": "/A"}), json!({"scope": "/B"}), json!({"scope": "/B"}));
    check(&KEEP, json!({"scope": "/A"}), json!({"scope": "/B"}), json!({"scope": ["/A", "/B"]}));
}

#[test]
fn updating_replaces_whole_instances() {
    let rich = json!({"type": "Property", "value": 25, "unitCode": "CEL", "accuracy": p(1)});
    check(&Op::Update, json!({"a": rich, "b": p(1)}), json!({"a": p(100)}), json!({"a": p(100), "b": p(1)}));
    check(&Op::Update, json!({"a": p(1)}), json!({"c": p(1)}), json!({"a": p(1), "c": p(1)}));
    check(&Op::Update, json!({"a": p(1), "b": p(1)}), json!({"a": p("urn:ngsi-ld:null")}), json!({"b": p(1)}));
    check(&Op::Update, json!({"a": p(1), "b": p(1)}), json!({"a": "urn:ngsi-ld:null"}), json!({"b": p(1)}));
    check(&Op::Update, json!({"a": p(1)}), json!({"a": {"type": "Relationship", "object": "urn:x"}}), json!({"a": {"type": "Relationship", "object": "urn:x"}}));
    let second = json!({"type": "Property", "value": 2, "datasetId": "urn:d"});
    let gone = json!({"type": "Property", "value": "urn:ngsi-ld:null", "datasetId": "urn:d"});
    check(&Op::Update, json!({"a": [p(1), second]}), json!({"a": gone}), json!({"a": p(1)}));
    check(&Op::Update, json!({"a": [p(1), second]}), json!({"a": "urn:ngsi-ld:null"}), json!({"a": second}));
    check(&Op::Update, json!({"a": p(1), "scope": "/A"}), json!({"scope": "/B"}), json!({"a": p(1), "scope": "/B"}));
    let refused = check(&Op::Update, json!({"a": p(1)}), json!({"scope": "/B"}), json!({"a": p(1)}));
    assert_eq!(refused.result.not_updated.first().map(|(n, _)| n.as_str()), Some("scope"));
    let languages = json!({"type": "LanguageProperty", "languageMap": {"en": "x"}});
    check(&Op::Update, json!({"a": languages, "b": p(1)}), json!({"a": {"type": "LanguageProperty", "languageMap": {"@none": "urn:ngsi-ld:null"}}}), json!({"b": p(1)}));
}

#[test]
fn merging_goes_to_any_depth() {
    let rich = json!({"type": "Property", "value": 25, "unitCode": "CEL", "observedAt": "2022-03-14T01:59:26.535Z"});
    let merged = json!({"type": "Property", "value": 100, "unitCode": "CEL", "observedAt": "2022-03-14T13:00:00Z"});
    check(&merging(), json!({"a": rich}), json!({"a": {"type": "Property", "value": 100, "observedAt": "2022-03-14T13:00:00Z"}}), json!({"a": merged}));
    check(&merging(), json!({"a": rich}), json!({"a": {"unitCode": "urn:ngsi-ld:null"}}), json!({"a": {"type": "Property", "value": 25, "observedAt": "2022-03-14T01:59:26.535Z"}}));
    let address = |v: Value| json!({"a": {"type": "Property", "value": v}});
    check(&merging(), address(json!({"street": "S", "city": "Berlin", "country": "Germany"})), address(json!({"street": "P", "country": "urn:ngsi-ld:null"})), address(json!({"street": "P", "city": "Berlin"})));
    check(&merging(), address(json!({"x": {"y": 1, "z": 2}})), address(json!({"x": {"y": "urn:ngsi-ld:null", "w": [1]}})), address(json!({"x": {"z": 2, "w": [1]}})));
    check(&merging(), address(json!(1)), address(json!({"x": {"y": "urn:ngsi-ld:null", "z": 1}})), address(json!({"x": {"z": 1}})));
    // Sub-attributes merge too, and go by the Null.
    let with = |sub: Value| json!({"a": {"type": "Property", "value": 1, "s": sub}});
    check(&merging(), with(json!({"type": "Property", "value": 1, "unitCode": "X"})), json!({"a": {"type": "Property", "s": {"type": "Property", "value": 2}}}), with(json!({"type": "Property", "value": 2, "unitCode": "X"})));
    check(&merging(), with(p(1)), json!({"a": {"type": "Property", "s": "urn:ngsi-ld:null"}}), json!({"a": p(1)}));
    // Another kind replaces the value, and keeps what both kinds have.
    check(&merging(), json!({"a": {"type": "Property", "value": 1, "s": p(1)}}), json!({"a": {"type": "Relationship", "object": "urn:x"}}), json!({"a": {"type": "Relationship", "object": "urn:x", "s": p(1)}}));
    check(&merging(), json!({"a": {"type": "LanguageProperty", "languageMap": {"en": "x", "fr": "y"}}}), json!({"a": {"type": "LanguageProperty", "languageMap": {"fr": "urn:ngsi-ld:null", "de": "z"}}}), json!({"a": {"type": "LanguageProperty", "languageMap": {"en": "x", "de": "z"}}}));
    // Instances are found by datasetId; a new one is added.
    let second = json!({"type": "Property", "value": 2, "datasetId": "urn:d"});
    check(&merging(), json!({"a": p(1)}), json!({"a": second}), json!({"a": [p(1), second]}));
    check(&merging(), json!({"a": [p(1), second]}), json!({"a": {"type": "Property", "value": 5, "datasetId": "urn:d"}}), json!({"a": [p(1), {"type": "Property", "value": 5, "datasetId": "urn:d"}]}));
    let observed = Op::Merge(MergeOptions { observed_at: Some(at("2026-05-05T00:00:00Z")) });
    check(&observed, json!({"a": rich, "b": p(1)}), json!({"a": p(1), "b": p(2)}), json!({"a": {"type": "Property", "value": 1, "unitCode": "CEL", "observedAt": "2026-05-05T00:00:00Z"}, "b": p(2)}));
    check(&merging(), json!({"a": p(1), "expiresAt": "2030-01-01T00:00:00Z"}), json!({"expiresAt": "urn:ngsi-ld:null"}), json!({"a": p(1)}));
}

#[test]
fn numbers_keep_their_digits() {
    let body = r#"{"id":"urn:e","type":"T","a":{"type":"Property","value":1.50},"b":{"type":"Property","value":{"x":12345678901234567890.10}}}"#;
    let current = decode_entity(&core(), body.as_bytes(), &Options::new(before())).expect("an entity");
    let fragment = decode_fragment(&core(), br#"{"c":{"type":"Property","value":2.00}}"#, &Options::new(now())).expect("a fragment");
    let text = apply(&APPEND, &current, &fragment, now()).expect("applied").doc.text().to_owned();
    for number in ["1.50", "12345678901234567890.10", "2.00"] {
        assert!(text.contains(number), "{text}");
    }
}

#[test]
fn times_and_envelopes_follow_what_changed() {
    let mut current = entity(&json!({"a": p(1), "b": p(1)}));
    current.system.version = 7;
    for span in current.spans_mut() {
        span.envelope = Some(EnvelopeHash([7; 32]));
    }
    let fragment = decode_fragment(&core(), json!({"a": p(2), "c": p(1)}).to_string().as_bytes(), &Options::new(now())).expect("a fragment");
    let doc = apply(&Op::Update, &current, &fragment, now()).expect("applied").doc;
    let of = |name: &str| {
        let span = doc.spans().iter().find(|s| doc.name(s).ends_with(&format!("/{name}"))).expect("the attribute");
        (span.created_at, span.modified_at, span.envelope.is_some())
    };
    assert_eq!(of("a"), (before(), now(), false));
    assert_eq!(of("b"), (before(), before(), true));
    assert_eq!(of("c"), (now(), now(), false));
    assert_eq!((doc.system.created_at, doc.system.modified_at, doc.system.version), (before(), now(), 7));
    // The same value again is no change.
    let same = decode_fragment(&core(), json!({"b": p(1)}).to_string().as_bytes(), &Options::new(now())).expect("a fragment");
    let outcome = apply(&Op::Update, &current, &same, now()).expect("applied");
    assert!(!outcome.changed && outcome.doc == current && outcome.result.updated.len() == 1);
    // A replacement keeps when things began.
    let new = entity(&json!({"type": "U", "a": p(9), "b": p(1)}));
    let replaced = replace_entity(&current, &new, now());
    let span = |i: usize| &replaced.doc.spans()[i];
    assert_eq!((span(0).created_at, span(0).modified_at, span(1).modified_at), (before(), now(), before()));
    assert_eq!(shown(&replaced.doc), json!({"type": "U", "a": p(9), "b": p(1)}));
    assert!(!replace_entity(&current, &current, now()).changed);
}

#[test]
fn one_attribute_is_patched_replaced_and_deleted() {
    let second = json!({"type": "Property", "value": 2, "datasetId": "urn:d"});
    let current = entity(&json!({"a": [{"type": "Property", "value": 1, "unitCode": "X", "s": p(1)}, second], "g": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1, 2]}}}));
    let name = format!("{}a", waybill_model::DEFAULT_VOCAB);
    let change = |body: Value, nulls: Nulls| decode_attribute(&core(), body.to_string().as_bytes(), &Options::new(now()).nulls(nulls)).unwrap_or_else(|e| panic!("{e}"));
    let patched = |body: Value| partial_update(&current, &name, &change(body, Nulls::Members), now()).map(|o| shown(&o.doc)["a"].clone());
    assert_eq!(patched(json!({"value": 5})).expect("patched"), json!([{"type": "Property", "value": 5, "unitCode": "X", "s": p(1)}, second]));
    assert_eq!(patched(json!({"observedAt": "2026-01-01T00:00:00Z", "unitCode": "urn:ngsi-ld:null"})).expect("patched"), json!([{"type": "Property", "value": 1, "observedAt": "2026-01-01T00:00:00Z", "s": p(1)}, second]));
    assert_eq!(patched(json!({"s": p(3)})).expect("patched"), json!([{"type": "Property", "value": 1, "unitCode": "X", "s": p(3)}, second]));
    assert_eq!(patched(json!({"value": 9, "datasetId": "urn:d"})).expect("patched")[1]["value"], json!(9));
    let status = |r: Result<Value, waybill_model::Problem>| r.map_err(|p| (p.status, p.code)).expect_err("refused");
    assert_eq!(status(patched(json!({"type": "Relationship", "object": "urn:x"}))), (400, "attribute-does-not-merge".into()));
    assert_eq!(status(patched(json!({"value": 9, "datasetId": "urn:other"}))), (404, "attribute-not-found".into()));
    let replaced = |body: Value| replace_attribute(&current, &name, &change(body, Nulls::Refused), now()).map(|o| shown(&o.doc)["a"].clone());
    assert_eq!(replaced(p(8)).expect("replaced"), json!([p(8), second]));
    assert_eq!(status(replaced(json!({"type": "Property", "value": 9, "datasetId": "urn:other"}))), (404, "attribute-not-found".into()));
    let deleted = |which: Which| delete_attribute(&current, &name, &which, now()).map(|o| shown(&o.doc).get("a").cloned().unwrap_or(Value::Null));
    assert_eq!(deleted(Which::Default).expect("deleted"), second);
    assert_eq!(deleted(Which::Dataset("urn:d".into())).expect("deleted")["value"], json!(1));
    assert_eq!(deleted(Which::All).expect("deleted"), Value::Null);
    assert_eq!(status(deleted(Which::Dataset("urn:other".into()))), (404, "attribute-not-found".into()));
    assert!(delete_attribute(&current, "https://x.org/none", &Which::All, now()).is_err());
    assert!(delete_attribute(&current, "scope", &Which::Default, now()).is_err());
}

/// RFC 7396, from its text.
fn rfc7396(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut out = target.as_object().cloned().unwrap_or_default();
    for (k, v) in patch {
        if v == "urn:ngsi-ld:null" {
            out.remove(k);
        } else {
            let merged = rfc7396(out.get(k).unwrap_or(&Value::Null), v);
            out.insert(k.clone(), merged);
        }
    }
    Value::Object(out)
}

fn tree(nulls: bool) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => (0i64..9).prop_map(|n| json!(n)),
        2 => any::<bool>().prop_map(|b| json!(b)),
        2 => Just(json!([1, "x"])),
        u32::from(nulls) * 3 => Just(json!("urn:ngsi-ld:null")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| proptest::collection::btree_map("[a-c]", inner, 0..3).prop_map(|m| json!(m)))
}

proptest! {
    #[test]
    fn merging_values_is_rfc_7396(old in tree(false), patch in tree(true)) {
        // A value that is the Null itself deletes the whole instance; that is another rule.
        prop_assume!(patch != "urn:ngsi-ld:null");
        let outcome = run(&merging(), &json!({"a": {"type": "JsonProperty", "json": {"v": old}}}), &json!({"a": {"type": "JsonProperty", "json": {"v": patch}}}));
        let expected = rfc7396(&json!({"v": old}), &json!({"v": patch}));
        prop_assert_eq!(&shown(&outcome.doc)["a"]["json"], &expected);
    }

    #[test]
    fn a_write_is_done_after_once(first in tree(false), second in tree(false)) {
        let (current, fragment) = (json!({"a": p(json!({"v": first}))}), json!({"a": p(json!({"v": second})), "b": p(1)}));
        for op in [APPEND, KEEP, Op::Update, merging()] {
            let once = run(&op, &current, &fragment);
            let fragment = decode_fragment(&core(), fragment.to_string().as_bytes(), &Options::new(now())).expect("a fragment");
            let twice = apply(&op, &once.doc, &fragment, now()).expect("applied");
            prop_assert!(!twice.changed);
        }
    }
}
