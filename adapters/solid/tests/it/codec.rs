//! Pod resource ↔ Entity.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use waybill_context::Contexts;
use waybill_model::{Attribute, AttributeValue, Clock, DateTime, Entity, EntityDoc, Iri, RawJson, ScopePath};
use waybill_solid::{decode, encode};

const BASE: &str = "https://alice.example/data/meter";

fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

fn raw(value: Value) -> RawJson {
    RawJson::from(&value)
}

fn meter() -> Entity {
    let mut entity = Entity::new(iri("urn:ngsi-ld:Meter:1"), vec![iri("https://example.org/Meter")]);
    let mut power = Attribute::new(AttributeValue::Property(RawJson::parse("21.50").expect("a number")));
    power.unit_code = Some("WTT".into());
    power.observed_at = Some(DateTime::parse("2026-11-24T07:00:00Z").expect("a time"));
    let quality = Attribute::new(AttributeValue::Property(raw(json!("good"))));
    power.attributes.insert(iri("https://example.org/quality"), vec![quality]);
    let mut second = Attribute::new(AttributeValue::Property(raw(json!(3))));
    second.dataset_id = Some(iri("urn:dataset:2"));
    entity.attributes.insert(iri("https://example.org/power"), vec![power, second]);
    entity
}

#[test]
fn the_plain_profile_reports_all_it_leaves_out() {
    let (turtle, losses) = encode::plain(&meter()).expect("encodes");
    let text = String::from_utf8(turtle).expect("text");
    assert!(text.contains("21.50"), "the digits stay: {text}");
    let found: Vec<(&str, &str)> = losses.iter().map(|l| (l.pointer.as_str(), l.what.as_str())).collect();
    let at = |rest: &str| format!("/https:~1~1example.org~1power/{rest}");
    let wanted = [
        (at("0/https:~1~1example.org~1quality"), "a sub-attribute"),
        (at("0/observedAt"), "a member beside the value"),
        (at("0/unitCode"), "a member beside the value"),
        (at("1"), "a further instance"),
    ];
    assert_eq!(found, wanted.iter().map(|(p, w)| (p.as_str(), *w)).collect::<Vec<_>>());
}

/// Reads Turtle and compares attribute by attribute; the prologue gives prefixes and the subject.
fn check_plain(statements: &str, wanted: &[(&str, &str, Value)], losses: usize) {
    let text = format!("@prefix e: <https://example.org/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> . <> a e:Thing ; {statements}");
    let (entity, found) = decode::plain(text.as_bytes(), BASE).unwrap_or_else(|e| panic!("{statements}: {e}"));
    assert_eq!(entity.id.as_str(), BASE);
    let got: BTreeMap<String, Value> = entity
        .attributes
        .iter()
        .map(|(name, instances)| (name.as_str().to_owned(), serde_json::to_value(instances).expect("JSON")))
        .collect();
    let want: BTreeMap<String, Value> = wanted
        .iter()
        .map(|(name, kind, value)| {
            let member = waybill_model::AttributeKind::parse(kind).expect("a kind").value_member();
            (format!("https://example.org/{name}"), json!([{"type": kind, member: value}]))
        })
        .collect();
    assert_eq!(got, want, "{statements}");
    assert_eq!(found.len(), losses, "{statements}: {found:?}");
}

#[test]
fn plain_turtle_of_other_applications_is_understood() {
    check_plain("e:n 12, 13 .", &[("n", "Property", json!([12, 13]))], 0);
    check_plain("e:s \"text\" ; e:b true .", &[("s", "Property", json!("text")), ("b", "Property", json!(true))], 0);
    check_plain("e:d \"+007.50\"^^xsd:decimal .", &[("d", "Property", json!(7.5))], 0);
    check_plain("e:x \"INF\"^^xsd:double .", &[("x", "Property", json!({"@type": "http://www.w3.org/2001/XMLSchema#double", "@value": "INF"}))], 0);
    check_plain(
        "e:t \"2026-11-24T07:00:00Z\"^^xsd:dateTime .",
        &[("t", "Property", json!({"@type": "https://uri.etsi.org/ngsi-ld/DateTime", "@value": "2026-11-24T07:00:00Z"}))],
        0,
    );
    check_plain("e:r e:one .", &[("r", "Relationship", json!("https://example.org/one"))], 0);
    check_plain("e:r e:two, e:one .", &[("r", "Relationship", json!(["https://example.org/one", "https://example.org/two"]))], 0);
    check_plain("e:l \"zug\"@de, \"train\"@en .", &[("l", "LanguageProperty", json!({"de": "zug", "en": "train"}))], 0);
    check_plain("e:list ( 1 \"two\" ) .", &[("list", "ListProperty", json!([1, "two"]))], 0);
    check_plain("e:list () .", &[("list", "ListProperty", json!([]))], 0);
    check_plain(
        "e:list ( e:a e:b ) .",
        &[("list", "ListRelationship", json!([{"object": "https://example.org/a"}, {"object": "https://example.org/b"}]))],
        0,
    );
    check_plain("e:a [ e:street \"Main\" ] .", &[("a", "Property", json!({"https://example.org/street": "Main"}))], 0);
    // What has no place is told.
    check_plain("e:m \"text\", e:one .", &[("m", "Property", json!("text"))], 1);
    check_plain("e:s \"a\" . e:other e:p \"b\" .", &[("s", "Property", json!("a"))], 1);
}

#[test]
fn what_is_no_entity_is_refused() {
    let cases = [
        ("not turtle at all", "not Turtle at line 1"),
        ("<> <https://example.org/p> 1 .", "no subject in it has a type"),
        ("<#a> a <https://example.org/T> . <#b> a <https://example.org/T> .", "several subjects have a type"),
    ];
    for (text, why) in cases {
        let error = decode::plain(text.as_bytes(), BASE).expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_circle_of_nodes_ends() {
    let text = "@prefix e: <https://example.org/> . <> a e:T ; e:p _:a . _:a e:next _:b . _:b e:next _:a .";
    let (_, losses) = decode::plain(text.as_bytes(), BASE).expect("decodes");
    assert_eq!(losses.len(), 1, "{losses:?}");
    let list = "@prefix e: <https://example.org/> . @prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . \
        <> a e:T ; e:p _:a . _:a rdf:first 1 ; rdf:rest _:a .";
    let (entity, losses) = decode::plain(list.as_bytes(), BASE).expect("decodes");
    assert!(entity.attributes.is_empty());
    assert_eq!(losses.len(), 1, "{losses:?}");
}

#[tokio::test]
async fn the_lossless_profile_loses_nothing() {
    let contexts = Contexts::offline(Clock::system());
    let now = DateTime::from_seconds(1);
    let doc = EntityDoc::from_entity(&meter(), now);
    let bytes = encode::lossless(&doc);
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(json["@context"], json!(encode::CORE_CONTEXT));
    let back = decode::lossless(&contexts, &bytes, now).await.expect("decodes");
    assert_eq!(back.to_entity().expect("a tree"), meter());
}

fn plain_value() -> impl Strategy<Value = AttributeValue> {
    let text = "[a-zA-Zäöü \"\\\\\n\t]{0,12}";
    let number = prop_oneof![Just("0"), Just("-12"), Just("3.50"), Just("1e9"), Just("-2.5E-3"), Just("123456789012345678901234567890")];
    prop_oneof![
        text.prop_map(|t| AttributeValue::Property(raw(json!(t)))),
        number.prop_map(|n| AttributeValue::Property(RawJson::parse(n).expect("a number"))),
        any::<bool>().prop_map(|b| AttributeValue::Property(raw(json!(b)))),
        "[a-z]{1,8}".prop_map(|p| AttributeValue::Relationship { objects: vec![iri(&format!("https://example.org/{p}"))], many: false }),
        prop::collection::btree_map("[a-z]{2}", text, 1..3).prop_map(|m| AttributeValue::LanguageProperty(raw(json!(m)))),
        prop::collection::vec(prop_oneof![text.prop_map(|t| json!(t)), any::<i32>().prop_map(|n| json!(n))], 0..5)
            .prop_map(|l| AttributeValue::ListProperty(raw(json!(l)))),
        (-90.0..90.0f64, -90.0..90.0f64)
            .prop_map(|(x, y)| AttributeValue::GeoProperty(raw(json!({"type": "Point", "coordinates": [x, y]})))),
        Just(AttributeValue::JsonProperty(raw(json!({"a": [1, null]})))),
        Just(AttributeValue::Property(raw(json!({"@type": "https://uri.etsi.org/ngsi-ld/Date", "@value": "2026-11-24"})))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What the plain profile says it can carry comes back the same.
    #[test]
    fn what_is_not_reported_lost_comes_back(values in prop::collection::vec(plain_value(), 0..6), scope in prop::option::of("[a-z]{1,5}")) {
        let mut entity = Entity::new(iri("urn:ngsi-ld:Meter:1"), vec![iri("https://example.org/Meter")]);
        entity.scopes = scope.and_then(|s| ScopePath::parse(&s)).into_iter().collect();
        for (index, value) in values.into_iter().enumerate() {
            entity.attributes.insert(iri(&format!("https://example.org/a{index}")), vec![Attribute::new(value)]);
        }
        let (turtle, losses) = encode::plain(&entity).expect("encodes");
        prop_assert_eq!(&losses, &[]);
        let (back, losses) = decode::plain(&turtle, BASE).expect("decodes");
        prop_assert_eq!(losses, vec![]);
        prop_assert_eq!(back, entity);
    }

    /// No text makes the reader fail in another way than by saying so.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z<>:/#\"@ .;,()\\[\\]\n]{0,80}") {
        let _ = decode::plain(text.as_bytes(), BASE);
    }
}
