//! Reading: the JSON-LD shapes we know, and what is refused.

use waybill_policy::{Policy, PolicyKind, parse};

const COMPACT: &str = r#"{"@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Agreement", "uid": "urn:p:1",
  "permission": [{"target": "urn:x", "assignee": "urn:b", "action": "use",
    "constraint": [{"leftOperand": "purpose", "operator": "isA", "rightOperand": {"@id": "dpv:Marketing"}},
                   {"leftOperand": "dateTime", "operator": "lt", "rightOperand": {"@value": "2027-01-01T00:00:00Z", "@type": "xsd:dateTime"}}]}]}"#;
const PREFIXED: &str = r#"{"@context": {"odrl": "http://www.w3.org/ns/odrl/2/", "d": "https://w3id.org/dpv#"}, "@type": "odrl:Agreement", "@id": "urn:p:1",
  "odrl:permission": {"odrl:target": {"@id": "urn:x"}, "odrl:assignee": {"@id": "urn:b"}, "odrl:action": {"@id": "odrl:use"},
    "odrl:constraint": {"@list": [{"odrl:leftOperand": {"@id": "odrl:purpose"}, "odrl:operator": {"@id": "odrl:isA"}, "odrl:rightOperand": {"@id": "d:Marketing"}},
      {"odrl:leftOperand": {"@id": "odrl:dateTime"}, "odrl:operator": {"@id": "odrl:lt"}, "odrl:rightOperand": {"@value": "2027-01-01T00:00:00Z", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}}]}}}"#;
const EXPANDED: &str = r#"[{"@type": ["http://www.w3.org/ns/odrl/2/Agreement"], "@id": "urn:p:1",
  "http://www.w3.org/ns/odrl/2/permission": [{"http://www.w3.org/ns/odrl/2/target": [{"@id": "urn:x"}], "http://www.w3.org/ns/odrl/2/assignee": [{"@id": "urn:b"}],
    "http://www.w3.org/ns/odrl/2/action": [{"@id": "http://www.w3.org/ns/odrl/2/use"}],
    "http://www.w3.org/ns/odrl/2/constraint": [{"http://www.w3.org/ns/odrl/2/leftOperand": [{"@id": "http://www.w3.org/ns/odrl/2/purpose"}],
      "http://www.w3.org/ns/odrl/2/operator": [{"@id": "http://www.w3.org/ns/odrl/2/isA"}], "http://www.w3.org/ns/odrl/2/rightOperand": [{"@id": "https://w3id.org/dpv#Marketing"}]},
      {"http://www.w3.org/ns/odrl/2/leftOperand": [{"@id": "http://www.w3.org/ns/odrl/2/dateTime"}],
      "http://www.w3.org/ns/odrl/2/operator": [{"@id": "http://www.w3.org/ns/odrl/2/lt"}],
      "http://www.w3.org/ns/odrl/2/rightOperand": [{"@value": "2027-01-01T00:00:00Z", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}]}]}]}]"#;

#[test]
fn three_ways_to_write_one_policy_mean_the_same() {
    let compact = parse(COMPACT.as_bytes()).unwrap();
    assert_eq!(compact.kind, PolicyKind::Agreement);
    assert_eq!(compact.permissions[0].constraints.len(), 2);
    for other in [PREFIXED, EXPANDED] {
        assert_eq!(Policy::parse(other.as_bytes()).unwrap(), compact);
    }
}

/// Reads `text` and expects the first fault to have this code.
fn refused(text: &str, code: &str) {
    let faults = parse(text.as_bytes()).expect_err(text);
    assert!(faults.iter().any(|f| f.code == code), "{code} not in {faults:?}");
}

#[test]
fn what_is_not_understood_is_refused() {
    let with = |members: &str| format!(r#"{{"uid": "urn:p", {members}}}"#);
    let cases = [
        (r#"{"uid": "urn:p", "uid": "urn:q"}"#.to_owned(), "policy-duplicate-member"),
        (with(r#""dc:title": "a", "dc:title": "b""#), "policy-duplicate-member"),
        (with(r#""prohibition": [{"constraint": {"leftOperand": "recipient", "operator": "eq", "rightOperand": {"@id": "urn:a", "@id": "urn:b"}}}]"#), "policy-duplicate-member"),
        (with(r#""permission": [], "odrl:permission": []"#), "policy-duplicate-member"),
        (with(r#""@id": "urn:q""#), "policy-duplicate-member"),
        (with(r#""inheritFrom": "urn:q""#), "policy-unsupported-term"),
        (with(r#""constraint": []"#), "policy-unsupported-term"),
        (with(r#""@type": "Ticket""#), "policy-unsupported-kind"),
        (with(r#""@type": ["Set", "Offer"]"#), "policy-unsupported-kind"),
        (with(r#""permission": [{"action": "use", "target": []}]"#), "policy-empty-list"),
        (with(r#""permission": [{"action": "use", "assignee": []}]"#), "policy-empty-list"),
        (with(r#""prohibition": [{"action": []}]"#), "policy-empty-list"),
        (with(r#""permission": [{"action": "use", "constraint": [{"or": []}]}]"#), "policy-empty-list"),
        (with(r#""permission": [{"target": "just words"}]"#), "policy-not-an-iri"),
        (with(r#""permission": [{"target": ""}]"#), "policy-not-an-iri"),
        (with(r#""permission": [{"remedy": {}}]"#), "policy-unsupported-term"),
        (with(r#""prohibition": [{"duty": []}]"#), "policy-unsupported-term"),
        (with(r#""permission": [{"http://elsewhere.example/onlyIf": 1}]"#), "policy-unsupported-term"),
        (with(r#""permission": [{"constraint": {"leftOperand": "purpose", "operator": "like", "rightOperand": "urn:x"}}]"#), "policy-unknown-operator"),
        (with(r#""permission": [{"constraint": {"leftOperand": "purpose", "operator": "eq"}}]"#), "policy-not-odrl"),
        (with(r#""permission": [{"constraint": {"leftOperand": "purpose", "operator": "eq", "rightOperand": null}}]"#), "policy-not-odrl"),
        (with(r#""permission": [{"constraint": {"and": [{"or": []}], "or": []}}]"#), "policy-not-odrl"),
        (with(r#""permission": [{"constraint": {"leftOperand": "count", "operator": "eq", "rightOperand": 1, "unit": "urn:u"}}]"#), "policy-unsupported-term"),
        (with(r#""@context": "https://elsewhere.example/context""#), "policy-unknown-context"),
        (with(r#""@context": {"permission": "odrl:prohibition"}"#), "policy-unknown-context"),
        (with(r#""@context": {"odrl": "https://elsewhere.example/"}"#), "policy-unknown-context"),
        (with(r#""@context": {"@vocab": "https://elsewhere.example/"}"#), "policy-unknown-context"),
        (with(r#""purposeVersion": 0"#), "policy-not-odrl"),
        (with(r#""permission": [{"@type": "Prohibition", "action": "use"}]"#), "policy-wrong-rule"),
        (with(r#""prohibition": [{"@type": "odrl:Permission", "action": "use"}]"#), "policy-wrong-rule"),
        (with(r#""permission": [{"@id": "urn:elsewhere"}]"#), "policy-empty-rule"),
        (with(r#""permission": "urn:elsewhere""#), "policy-not-odrl"),
        (with(r#""@graph": []"#), "policy-unsupported-term"),
        (r#"{"permission": []}"#.to_owned(), "policy-not-odrl"),
        ("3".to_owned(), "policy-not-odrl"),
        (String::new(), "policy-not-json"),
        (format!("{} x", with(r#""permission": []"#)), "policy-not-json"),
    ];
    for (text, code) in cases {
        refused(&text, code);
    }
}

#[test]
fn remarks_and_usual_contexts_are_passed_over() {
    let text = r#"{"@context": ["http://www.w3.org/ns/odrl.jsonld", {"ex": "http://example.org/", "odrl": "http://www.w3.org/ns/odrl/2/", "dc": "http://purl.org/dc/terms/", "id": "@id"}],
        "id": "ex:p", "dc:title": "x", "description": "y", "profile": "https://w3id.org/waybill/odrl-profile", "purposeVersion": 1,
        "target": "ex:t", "assignee": [{"@type": "PartyCollection", "source": "ex:c"}, {"uid": "ex:d", "source": "ex:elsewhere"}], "action": "odrl:read", "permission": {"@type": "Permission", "@id": "_:b1", "rdfs:label": "z"}}"#;
    let policy = parse(text.as_bytes()).unwrap();
    assert_eq!(policy.uid, "http://example.org/p");
    let rule = &policy.permissions[0];
    assert_eq!(rule.targets[0].uid.as_deref(), Some("http://example.org/t"));
    assert_eq!(rule.uid, None);
    assert!(rule.assignees[0].collection && !rule.assignees[1].collection);
    let parties: Vec<_> = rule.assignees.iter().map(|a| a.uid.as_deref()).collect();
    assert_eq!(parties, [Some("http://example.org/c"), Some("http://example.org/d")]);
    assert_eq!(rule.actions[0].iri, "http://www.w3.org/ns/odrl/2/read");
}

#[test]
fn too_much_is_refused_before_it_costs_anything() {
    refused(&"[".repeat(1_000_000), "policy-not-json");
    refused(&"{\"a\":".repeat(150_000), "policy-not-json");
    let big = vec![b' '; 100 << 20];
    assert_eq!(parse(&big).unwrap_err()[0].code, "policy-too-large");
    refused(&format!(r#"{{"uid": "urn:p", "dct:x": {}{}}}"#, "[".repeat(80), "]".repeat(80)), "policy-not-json");
    let nested = (0..30).fold(r#"{"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2027-01-01T00:00:00Z"}"#.to_owned(), |c, _| format!(r#"{{"and": [{c}]}}"#));
    refused(&format!(r#"{{"uid": "urn:p", "permission": [{{"constraint": {nested}}}]}}"#), "policy-too-deep");
    let members: Vec<String> = (0..60_000).map(|i| format!(r#""odrl:x{i}": 1"#)).collect();
    refused(&format!(r#"{{"uid": "urn:p", {}}}"#, members.join(",")), "policy-unsupported-term");
    let prefixes: Vec<String> = (0..20_000).map(|i| format!(r#""p{i}": "urn:p{i}:""#)).collect();
    refused(&format!(r#"{{"@context": {{{}}}, "uid": "urn:p"}}"#, prefixes.join(",")), "policy-unknown-context");
    let wide = format!(r#"{{"uid": "urn:p", "dct:x": [{}1]}}"#, "1,".repeat(250_000));
    refused(&wide, "policy-not-json");
}
