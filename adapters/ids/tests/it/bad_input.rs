//! What is not understood at all, and input that means harm.

use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_ids::{ConvertError, Effect, Target, convert};

#[test]
fn a_fault_in_the_json_has_its_line_and_column() {
    let error = convert("{\n  \"@type\": \"ids:ContractOffer\",\n}", None).unwrap_err();
    assert!(matches!(error, ConvertError::NotJson { line: 3, column: 1, .. }), "{error:?}");
    assert_eq!(error.code(), "ids-not-json");
    assert_eq!(error.place().as_deref(), Some("line 3, column 1"));
}

#[test]
fn a_member_that_stands_twice_is_refused() {
    // A parser that takes the last one would lose the prohibition without a word.
    let text = r#"{ "@type": "ids:ContractOffer", "ids:prohibition": [{ "ids:action": "idsc:USE" }], "ids:prohibition": [] }"#;
    assert!(matches!(convert(text, None), Err(ConvertError::NotJson { .. })));
}

#[test]
fn what_is_neither_side_says_so() {
    for text in ["{}", "[]", "null", r#"{ "@type": "Building" }"#, r#"{ "@type": "ids:ContractOfferMessage" }"#] {
        let error = convert(text, None).unwrap_err();
        assert!(matches!(error, ConvertError::NotUnderstood { .. }), "{text}: {error:?}");
        assert_eq!(error.code(), "ids-not-understood");
    }
}

#[test]
fn the_wrong_way_says_so() {
    let text = r#"{ "@type": "ids:ContractOffer", "ids:permission": [] }"#;
    let error = convert(text, Some(Target::Ids)).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
}

#[test]
fn what_holds_less_often_is_no_stand_in_where_exactly_one_must_hold() {
    // With a narrower first part the second could be the only one that holds, where both held before.
    let part = |operator: &str| json!({ "leftOperand": "odrl:purpose", "operator": operator, "rightOperand": { "@id": "urn:purpose:care" } });
    let offer = |logic: &str| {
        let rule = json!({ "action": "odrl:use", "constraint": [{ logic: [part("isPartOf"), part("eq")] }] });
        json!({ "@type": "Offer", "@id": "urn:1", "target": "urn:a", "permission": [rule] }).to_string()
    };
    assert!(convert(&offer("or"), None).unwrap().document.get("ids:permission").is_some());
    let done = convert(&offer("xone"), None).unwrap();
    assert!(done.document.get("ids:permission").is_none());
    assert!(done.losses.iter().any(|l| l.place == "/permission/0/constraint/0/xone/0" && l.kept.is_none()));
}

#[test]
fn names_that_mean_something_else_are_not_ours() {
    let rule = json!([{ "ids:target": "urn:a", "ids:action": "idsc:USE" }]);
    // Told so by the document's @context, for the name, for its prefix, and for all names without one.
    let contexts = [json!({ "permission": "https://other.example/p" }), json!({ "permission": { "@id": "https://other.example/p" } }), json!({ "@vocab": "https://other.example/" })];
    for context in contexts {
        let text = json!({ "@context": context, "@type": "ids:ContractOffer", "@id": "urn:1", "permission": rule }).to_string();
        let done = convert(&text, None).unwrap();
        assert!(done.document.get("permission").is_none(), "{context}");
        assert!(done.losses.iter().any(|l| l.place == "/permission/0" && l.kept.is_none()), "{context}: {:#?}", done.losses);
    }
    let text = json!({ "@context": { "ids": "https://other.example/" }, "@type": "https://w3id.org/idsa/core/ContractOffer", "ids:permission": rule });
    assert!(convert(&text.to_string(), None).unwrap().document.get("permission").is_none());
}

#[test]
fn json_ld_that_moves_members_is_refused() {
    // Of these, the permission would lose its constraint, or its meaning.
    let hidden = json!({ "ids:constraint": { "ids:leftOperand": "idsc:COUNT", "ids:operator": "idsc:LT", "ids:rightOperand": 1 } });
    for (key, value) in [("@nest", hidden.clone()), ("@context", json!({ "ids": "https://other.example/" })), ("@included", hidden.clone()), ("@list", json!([]))] {
        let mut rule = json!({ "ids:target": "urn:a", "ids:action": "idsc:USE" });
        rule[key] = value;
        let text = json!({ "@type": "ids:ContractOffer", "@id": "urn:1", "ids:permission": [rule] }).to_string();
        match convert(&text, None) {
            Err(ConvertError::NotUnderstood { place, .. }) => assert_eq!(place, format!("/ids:permission/0/{key}")),
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn two_documents_in_one_are_not_one() {
    let text = json!({ "@graph": [{ "@type": "ids:ContractOffer", "@id": "urn:1" }, { "@type": "ids:ContractOffer", "@id": "urn:2" }] });
    let error = convert(&text.to_string(), None).unwrap_err();
    assert_eq!(error.place().as_deref(), Some("/@graph/1"));
}

#[test]
fn a_graph_in_a_circle_ends() {
    let knot = |n: u8, to: u8| json!({ "@id": format!("urn:{n}"), "ids:or": [{ "@id": format!("urn:{to}") }, { "@id": format!("urn:{to}") }] });
    let offer = json!({ "@type": "ids:ContractOffer", "@id": "urn:offer", "ids:permission": [{ "ids:action": "idsc:USE", "ids:constraint": { "@id": "urn:1" } }] });
    let text = json!({ "@graph": [offer, knot(1, 2), knot(2, 1)] }).to_string();
    assert!(matches!(convert(&text, None), Err(ConvertError::TooLarge { .. })));
}

#[test]
fn a_document_that_is_too_long_is_not_parsed() {
    let text = " ".repeat(waybill_ids::MAX_TEXT + 1);
    let error = convert(&text, None).unwrap_err();
    assert_eq!(error.code(), "ids-too-large");
}

#[test]
fn a_member_of_a_policy_that_is_not_understood_closes_it() {
    let text = json!({ "@type": "ids:ContractOffer", "@id": "urn:1", "ids:prohibitions": [{ "ids:action": "idsc:USE" }],
        "ids:permission": [{ "ids:target": "urn:a", "ids:action": "idsc:USE" }] });
    let done = convert(&text.to_string(), None).unwrap();
    assert!(done.document.get("permission").is_none());
    assert!(done.losses.iter().any(|l| l.place == "/ids:prohibitions" && l.effect == Effect::Stricter));
}

#[test]
fn a_prohibition_without_a_name_for_its_action_closes_the_policy() {
    let text = json!({ "@type": "ids:ContractOffer", "@id": "urn:1", "ids:prohibition": [{ "ids:target": "urn:a", "ids:action": "whatever" }],
        "ids:permission": [{ "ids:target": "urn:a", "ids:action": "idsc:USE" }] });
    let done = convert(&text.to_string(), None).unwrap();
    assert!(done.document.get("permission").is_none() && done.document.get("prohibition").is_none());
    for place in ["/ids:prohibition/0", "/ids:permission/0"] {
        assert!(done.losses.iter().any(|l| l.place == place && l.kept.is_none()), "{place}");
    }
}

#[test]
fn rules_where_nobody_looks_are_named() {
    let text = json!({ "@type": "ids:Resource", "@id": "urn:r", "ids:resourcePart": { "ids:contractOffer": [
        { "ids:permission": [{ "ids:action": "idsc:USE", "ids:postDuty": { "ids:action": "idsc:LOG" } }] }] } });
    let done = convert(&text.to_string(), None).unwrap();
    for place in ["/ids:resourcePart/ids:contractOffer/0/ids:permission/0", "/ids:resourcePart/ids:contractOffer/0/ids:permission/0/ids:postDuty"] {
        assert!(done.losses.iter().any(|l| l.place == place && l.kept.is_none()), "{place}: {:#?}", done.losses);
    }
}

#[test]
fn notes_of_a_conversion_that_no_longer_fit_are_not_believed() {
    // Somebody changed the operator of a converted offer and left the note beside it.
    let text = json!({ "@type": "Offer", "@id": "urn:1", "target": "urn:a", "permission": [{ "action": "odrl:use", "constraint": [{
        "leftOperand": "odrl:count", "operator": "lt", "rightOperand": "3", "https://w3id.org/idsa/core/operator": { "@id": "https://w3id.org/idsa/code/GTEQ" } }] }] });
    let done = convert(&text.to_string(), None).unwrap();
    assert_eq!(done.document["ids:permission"][0]["ids:constraint"][0]["ids:operator"]["@id"], "idsc:LT");
    assert_eq!(done.losses.len(), 1);
}

/// JSON made of the words that the reader knows, in places where they do not belong.
fn wild() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(
        &["@id", "@type", "@value", "@list", "@graph", "@context", "ids:permission", "permission", "ids:prohibition", "obligation", "duty", "ids:preDuty",
            "ids:action", "ids:constraint", "leftOperand", "ids:operator", "rightOperand", "ids:or", "xone", "ids:target", "ids:assetRefinement",
            "refinement", "source", "ids:includedIn", "contractOffer", "ids:resourceCatalog", "ids:offeredResource", "hasPolicy", "dataset", "catalog",
            "distribution", "ids:contractStart", "assigner", "ids:representation", "https://w3id.org/idsa/core/leftOperand", "a/b~c"][..],
    );
    let texts = prop::sample::select(
        &["ids:ContractOffer", "Offer", "Catalog", "ids:BaseConnector", "ids:Resource", "Dataset", "idsc:USE", "idsc:COUNT", "idsc:LTEQ", "isPartOf",
            "odrl:count", "odrl:use", "urn:a", "_:b", "", "xsd:dateTime", "2026-01-01T00:00:00Z", "é\u{0}"][..],
    );
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), texts.prop_map(Value::from)];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(words.clone().prop_map(str::to_owned), inner, 0..6).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// All objects under names that hold rules, the names of which are the test's own list.
fn rule_places(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, v)| rule_places(v, &format!("{place}/{at}"), found)),
        Value::Object(object) => {
            for (key, inner) in object {
                let place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                if ["ids:permission", "permission", "ids:prohibition", "obligation"].contains(&key.as_str()) && inner.is_object() {
                    found.push(place.clone());
                }
                rule_places(inner, &place, found);
            }
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = convert(&text, None);
    }

    #[test]
    fn no_json_makes_it_panic(mut value in wild(), class in prop::sample::select(&["ids:ContractOffer", "ids:BaseConnector", "ids:Resource", "Offer", "Catalog", "Dataset"][..])) {
        if let Some(object) = value.as_object_mut() {
            object.remove("@graph");
            object.insert("@type".to_owned(), class.into());
        }
        let Ok(done) = convert(&value.to_string(), None) else { return Ok(()) };
        // What came out is JSON, and a rule in it stands for at least one that went in.
        let (mut before, mut after) = (Vec::new(), Vec::new());
        rule_places(&value, "", &mut before);
        rule_places(&done.document, "", &mut after);
        prop_assert!(!before.is_empty() || after.is_empty());
    }
}
