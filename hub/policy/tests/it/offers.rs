//! Reading what the Dataspace Protocol sends: its shape, and what is refused.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use waybill_policy::{Comparison, MAX_JSON_DEPTH, Policy, PolicyKind, Profile, compare, compile, parse, read_offer, understood};

#[test]
fn an_offer_of_a_message_means_what_the_same_policy_means() {
    let offered = json!({"@type": "Offer", "@id": "urn:offer:1", "target": "urn:data", "permission": [{"action": "use", "constraint": [
        {"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "https://w3id.org/dpv#Marketing"},
        {"leftOperand": "dateTime", "operator": "lteq", "rightOperand": {"@value": "2027-01-01T00:00:00Z", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}}]}]});
    let read = read_offer(&offered).unwrap();
    let mut whole = offered.clone();
    whole["@context"] = json!("https://w3id.org/dspace/2025/1/context.jsonld");
    assert_eq!(parse(whole.to_string().as_bytes()).unwrap(), read);
    assert_eq!(read.kind, PolicyKind::Offer);
    assert_eq!(read.permissions[0].targets[0].uid.as_deref(), Some("urn:data"));
    assert!(compile(&read.into_agreement(), &Profile::waybill()).is_ok());
}

#[test]
fn identifiers_on_the_policy_need_not_be_iris() {
    let agreed = json!({"@type": "Agreement", "@id": "MQ==:YXNz+/==:1", "target": "ACN0102", "assigner": {"@id": "provider"}, "assignee": "TCK_PARTICIPANT", "timestamp": "2026-11-24T12:00:00Z",
        "permission": [{"action": "use"}]});
    let read = read_offer(&agreed).unwrap();
    let rule = &read.permissions[0];
    assert_eq!(read.uid, "MQ==:YXNz+/==:1");
    let named = [rule.targets[0].uid.as_deref(), rule.assigners[0].uid.as_deref(), rule.assignees[0].uid.as_deref()];
    assert_eq!(named, [Some("ACN0102"), Some("provider"), Some("TCK_PARTICIPANT")]);
    let text = agreed.to_string();
    assert!(parse(text.as_bytes()).is_err(), "elsewhere they do");
    // A prefix still is one.
    let read = read_offer(&json!({"@type": "Offer", "@id": "urn:o", "target": "dpv:x", "permission": [{"action": "use"}]})).unwrap();
    assert_eq!(read.permissions[0].targets[0].uid.as_deref(), Some("https://w3id.org/dpv#x"));
}

/// The members of an offer that is refused, the code, and a part of the message.
#[rustfmt::skip]
const REFUSED: &[(&str, &str, &str)] = &[
    (r#""@type": "Set", "permission": [{"action": "use"}]"#, "policy-unsupported-kind", "neither an offer nor an agreement"),
    (r#""permission": [{"action": "use"}]"#, "policy-unsupported-kind", "neither an offer nor an agreement"),
    (r#""@type": "Ticket", "permission": [{"action": "use"}]"#, "policy-unsupported-kind", "Ticket"),
    (r#""@type": "Offer", "obligation": [{"action": "odrl:delete"}]"#, "policy-not-odrl", "neither permits nor prohibits"),
    (r#""@type": "Offer", "permission": [], "prohibition": []"#, "policy-not-odrl", "neither permits nor prohibits"),
    (r#""@type": "Offer", "target": "two words", "permission": [{"action": "use"}]"#, "policy-not-an-iri", "IRI"),
    (r#""@type": "Offer", "target": "_:b0", "permission": [{"action": "use"}]"#, "policy-not-an-iri", "IRI"),
    (r#""@type": "Offer", "target": "", "permission": [{"action": "use"}]"#, "policy-not-an-iri", "IRI"),
    (r#""@type": "Offer", "permission": [{"action": "use", "target": "ACN0102"}]"#, "policy-not-an-iri", "IRI"),
    (r#""@type": "Offer", "target": "ACN0102", "permission": [{"action": "use", "target": "urn:data"}], "prohibition": [{"action": "odrl:distribute"}]"#, "policy-not-an-iri", "another target"),
    (r#""@type": "Offer", "assignee": "city", "permission": [{"action": "use", "assignee": "urn:city"}]"#, "policy-not-an-iri", "another target or party"),
    (r#""@type": "Offer", "permission": [{"action": "use", "consequence": []}]"#, "policy-unsupported-term", "consequence"),
    (r#""@type": "Offer", "permission": [{"action": "use"}], "https://elsewhere.example/onlyIf": true"#, "policy-unsupported-term", "https://elsewhere.example/onlyIf"),
    (r#""@type": "Offer", "permission": [{"action": "use", "constraint": [{"leftOperand": "dateTime", "operator": "term-lteq", "rightOperand": "2027-01-01T00:00:00Z"}]}]"#, "policy-unknown-operator", "`term-lteq`"),
    (r#""@type": "Offer", "permission": [{"action": "use", "constraint": [{"leftOperand": "some words", "operator": "eq", "rightOperand": "x"}]}]"#, "policy-not-an-iri", "`some words`"),
    (r#""@type": "Offer", "permission": [{"action": "USE IT"}]"#, "policy-not-an-iri", "`USE IT`"),
];

#[test]
fn what_is_not_understood_is_refused_by_name() {
    for (members, code, named) in REFUSED {
        let text = format!(r#"{{"@id": "urn:offer:1", {members}}}"#);
        let faults = read_offer(&serde_json::from_str(&text).expect(members)).expect_err(members);
        assert!(faults.iter().any(|f| f.code == *code && f.message.contains(named)), "{code} {named}: {faults:?}");
    }
    for odd in [Value::Null, json!([]), json!("Offer"), json!(1)] {
        assert!(read_offer(&odd).is_err());
    }
}

#[test]
fn a_value_is_read_within_the_limits_of_a_text() {
    let nested = |depth: usize| (1..depth).fold(json!([]), |inner, _| json!([inner]));
    let with = |remark: Value| json!({"@type": "Offer", "@id": "urn:o", "target": "urn:data", "permission": [{"action": "use"}], "dct:subject": remark});
    assert!(read_offer(&with(nested(MAX_JSON_DEPTH - 1))).is_ok());
    for much in [nested(MAX_JSON_DEPTH + 1), json!("x".repeat(2 << 20)), Value::Array(vec![json!(1); 250_000])] {
        assert_eq!(read_offer(&with(much)).unwrap_err()[0].code, "policy-too-large");
    }
}

#[test]
fn an_agreement_names_its_duties() {
    let offered = json!({"@type": "Offer", "@id": "urn:o", "target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:delete"}, {"@id": "urn:o#duty-1", "action": "odrl:inform"}]}],
        "obligation": [{"action": "odrl:delete"}]});
    let read: Policy = read_offer(&offered).unwrap();
    let profile = Profile::waybill();
    assert!(understood(&read, &profile).is_ok() && compile(&read, &profile).is_err(), "only an agreement needs the names");
    let agreed = read.into_agreement();
    assert!(compile(&agreed, &profile).is_ok());
    let duties = agreed.permissions[0].duties.iter().chain(&agreed.obligations);
    let names: Vec<&str> = duties.filter_map(|d| d.uid.as_deref()).collect();
    assert_eq!(names, ["urn:o#duty-2", "urn:o#duty-1", "urn:o#duty-3"]);
}

/// JSON made of the words of the protocol, most of it no offer.
fn anything() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &[
        "use", "odrl:read", "Offer", "Agreement", "urn:a", "x", "", "_:b", "odrl:purpose", "dateTime", "recipient", "eq", "isAnyOf", "lteq", "dpv:Marketing", "2027-01-01T00:00:00Z", "a b\n",
    ];
    const KEYS: &[&str] = &[
        "@id", "@type", "@value", "@list", "target", "assignee", "permission", "prohibition", "obligation", "duty", "action", "constraint", "odrl:refinement", "leftOperand", "operator",
        "rightOperand", "and", "or", "xone", "andSequence", "profile", "timestamp", "odrl:source",
    ];
    let leaf = prop_oneof![6 => select(WORDS).prop_map(Value::from), 1 => any::<i64>().prop_map(Value::from), 1 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::from)];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            3 => proptest::collection::vec((select(KEYS), inner), 0..5).prop_map(|m| Value::Object(m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #![proptest_config(super::laws::config())]

    #[test]
    fn whatever_comes_is_read_or_refused(rule in anything(), more in anything(), constraint in anything()) {
        let whole = json!({"@type": "Offer", "@id": "urn:o", "target": "urn:a", "permission": [rule, {"action": "use", "constraint": [constraint]}], "prohibition": more});
        for offered in [&whole, &rule, &json!({"@type": "Offer", "@id": "urn:o", "permission": [{"action": "use"}], "assignee": more})] {
            if let Ok(read) = read_offer(offered) {
                let profile = Profile::waybill();
                let said = compare(&read, &read, &profile);
                prop_assert_eq!(said == Comparison::Equal, understood(&read, &profile).is_ok(), "{:?}", said);
                let _ = compile(&read.into_agreement(), &profile);
            }
        }
    }
}
