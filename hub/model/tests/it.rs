//! Laws of the model: what is written is read back, spans name what they say, names and times are strict.

use proptest::prelude::*;
use waybill_model::{Attribute, AttributeValue, DateTime, Entity, EntityDoc, EnvelopeHash, Iri, RawJson, ScopePath};

fn iri() -> impl Strategy<Value = Iri> {
    "[a-z]{1,8}(/[a-zé]{1,6})?".prop_map(|tail| Iri::new(format!("https://example.org/{tail}")).expect("an IRI"))
}

fn value() -> impl Strategy<Value = AttributeValue> {
    let json = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        "[1-9][0-9]{0,19}\\.[0-9]{1,20}",
        "[ -!#-\\[\\]-~]{0,12}".prop_map(|s| format!("\"{s}\"")),
        Just("{\"https://example.org/a\":[1,{\"x\":null}]}".to_owned()),
    ];
    prop_oneof![
        json.clone().prop_map(|t| AttributeValue::Property(RawJson::parse(&t).expect("JSON"))),
        json.prop_map(|t| AttributeValue::JsonProperty(RawJson::parse(&t).expect("JSON"))),
        (proptest::collection::vec(iri(), 1..3), any::<bool>())
            .prop_map(|(objects, many)| AttributeValue::Relationship { many: many || objects.len() > 1, objects }),
        (proptest::collection::vec(iri(), 1..3), any::<bool>())
            .prop_map(|(names, many)| AttributeValue::VocabProperty { many: many || names.len() > 1, names }),
        proptest::collection::vec(iri(), 0..3).prop_map(AttributeValue::ListRelationship),
    ]
}

fn attribute(depth: u32) -> BoxedStrategy<Attribute> {
    let sub = if depth == 0 {
        Just(std::collections::BTreeMap::new()).boxed()
    } else {
        proptest::collection::btree_map(iri(), proptest::collection::vec(attribute(depth - 1), 1..2), 0..2).boxed()
    };
    (value(), proptest::option::of(iri()), proptest::option::of(0i64..4_000_000_000_000_000), sub)
        .prop_map(|(value, dataset_id, at, attributes)| {
            let at = at.map(DateTime::from_micros);
            Attribute { dataset_id, observed_at: at, expires_at: at, attributes, ..Attribute::new(value) }
        })
        .boxed()
}

fn entity() -> impl Strategy<Value = Entity> {
    let attributes = proptest::collection::btree_map(iri(), proptest::collection::vec(attribute(2), 1..3), 0..4);
    (iri(), proptest::collection::vec(iri(), 1..3), attributes, proptest::option::of("[a-z]{1,4}(/[a-z]{1,4})?")).prop_map(|(id, types, attributes, scope)| {
        let scopes = scope.iter().filter_map(|s| ScopePath::parse(s)).collect();
        Entity { scopes, attributes, ..Entity::new(id, types) }
    })
}

proptest! {
    #[test]
    fn an_entity_survives_its_canonical_form(entity in entity()) {
        prop_assert_eq!(Entity::from_canonical(&entity.to_canonical()).expect("canonical"), entity);
    }

    #[test]
    fn spans_name_what_they_say(entity in entity()) {
        let doc = EntityDoc::from_entity(&entity, DateTime::from_seconds(0));
        prop_assert_eq!(doc.id(), entity.id.as_str());
        let flat: Vec<_> = entity.attributes.iter().flat_map(|(n, list)| list.iter().map(move |a| (n, a))).collect();
        prop_assert_eq!(flat.len(), doc.spans().len());
        for (span, (name, attribute)) in doc.spans().iter().zip(flat) {
            prop_assert_eq!(doc.name(span), name.as_str());
            prop_assert_eq!(doc.dataset_id(span), attribute.dataset_id.as_ref().map(Iri::as_str));
            prop_assert_eq!(&Attribute::from_canonical(doc.instance(span)).expect("canonical"), attribute);
        }
    }

    #[test]
    fn a_time_survives_its_text(micros in 0i64..253_000_000_000_000_000) {
        let at = DateTime::from_micros(micros);
        prop_assert_eq!(DateTime::parse(&at.to_string()), Ok(at));
    }

    #[test]
    fn no_text_breaks_the_readers(text in ".{0,80}") {
        let _ = (DateTime::parse(&text), Iri::new(&text), EntityDoc::parse(text.as_str(), DateTime::from_seconds(0)));
    }
}

#[test]
fn times_are_strict() {
    for good in ["2026-11-24T07:00:00Z", "2026-11-24T07:00:00.1Z", "2026-11-24T07:00:00,123456Z"] {
        assert!(DateTime::parse(good).is_ok(), "{good}");
    }
    for bad in ["2026-11-24T07:00Z", "2026-11-24T07:00:00", "2026-11-24T07:00:00+01:00", "2026-13-24T07:00:00Z", "2026-11-24T07:00:00.Z", "2026-11-24T07:00:00.1234567Z", "2026-11-24 07:00:00Z"] {
        assert!(DateTime::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn iris_are_strict() {
    for good in ["urn:a", "https://é.example/x?y#z", "a+b.c-d:e"] {
        assert!(Iri::is_valid(good), "{good}");
    }
    for bad in ["", "a", "1a:b", ":b", "a:", "a: b", "a:<b>", "a:b\n", "urn:a\u{202e}b", "urn:a\u{200b}", "urn:\u{feff}a", "urn:a\u{fe0f}", "urn:a\u{e0101}", "urn:a\u{fdd0}", "urn:a\u{1ffff}", "urn:a\u{3164}", "urn:a\u{2800}"] {
        assert!(!Iri::is_valid(bad), "{bad}");
    }
}

#[test]
fn a_tag_names_its_envelope() {
    let hash = EnvelopeHash([0xab; 32]);
    assert_eq!(EnvelopeHash::from_tag(&format!("https://hub.example/env/{hash}")), Some(hash));
    assert_eq!(EnvelopeHash::from_tag(&format!("https://hub.example/env/{}", hash.to_string().to_uppercase())), None);
    assert_eq!(EnvelopeHash::from_tag("https://hub.example/env/abc"), None);
}

proptest! {
    #[test]
    fn a_document_built_from_pieces_reads_like_the_whole(entity in entity()) {
        use waybill_model::{DocBuilder, InstanceMeta};
        let doc = EntityDoc::from_entity(&entity, DateTime::from_seconds(7));
        let mut builder = DocBuilder::new(doc.id(), doc.types(), doc.scopes(), doc.system.expires_at);
        for span in doc.spans() {
            builder.instance(doc.name(span), doc.instance(span), InstanceMeta::of(&doc, span));
        }
        let built = builder.finish(doc.system.clone());
        prop_assert_eq!(built.to_entity().expect("canonical"), entity);
        let again = EntityDoc::parse(built.text(), DateTime::from_seconds(7)).expect("canonical");
        prop_assert_eq!(built, again);
    }
}
