//! Offers that came back, case by case: what each says beside one's own, and in which words.

use serde_json::{Value, json};
use waybill_policy::{Comparison, MAX_COMPARED, Part, Policy, Profile, compare, read_offer};

/// An offer of the Dataspace Protocol with these members.
fn offer(members: &str) -> Policy {
    let text = format!(r#"{{"@type": "Offer", "@id": "urn:offer:1", {members}}}"#);
    read_offer(&serde_json::from_str(&text).expect(members)).expect(members)
}

/// A permission to use with these constraints.
fn using(constraints: &str) -> String {
    format!(r#""target": "urn:data", "permission": [{{"action": "use", "constraint": [{constraints}]}}]"#)
}

const PLAIN: &str = r#""target": "urn:data", "permission": [{"action": "use"}]"#;
const EQUAL: &str = "equal";
const NARROWER: &str = "narrower";
const WEAKENED: &str = "weakened";

fn check(own: &str, theirs: &str, verdict: &str, texts: &[&str]) {
    let (mine, back) = (offer(own), offer(theirs));
    for profile in [Profile::waybill(), Profile::core()] {
        let said = compare(&mine, &back, &profile);
        let (is, changes) = match &said {
            Comparison::Equal => (EQUAL, &[][..]),
            Comparison::Narrower(c) => (NARROWER, c.as_slice()),
            Comparison::Weakened(c) => (WEAKENED, c.as_slice()),
        };
        let found: Vec<&str> = changes.iter().map(|c| c.text.as_str()).collect();
        assert_eq!((is, found.as_slice()), (verdict, texts), "own: {own}\ntheirs: {theirs}");
    }
}

/// Two lists of constraints of one permission, and what the second is beside the first.
#[rustfmt::skip]
const CONSTRAINTS: &[(&str, &str, &str, &[&str])] = &[
    // The same in other words.
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}"#,
     r#"{"leftOperand": "http://www.w3.org/ns/odrl/2/purpose", "operator": "isPartOf", "rightOperand": {"@id": "https://w3id.org/dpv#Marketing"}}"#, EQUAL, &[]),
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}, {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}"#,
     r#"{"and": [{"and": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}, {"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}]}"#, EQUAL, &[]),
    (r#"{"leftOperand": "odrl:recipient", "operator": "isAnyOf", "rightOperand": ["urn:r", "urn:s"]}"#,
     r#"{"leftOperand": "odrl:recipient", "operator": "isAnyOf", "rightOperand": ["urn:s", "urn:r", "urn:s"]}"#, EQUAL, &[]),
    (r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}"#,
     r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": {"@value": "2027-01-01T01:00:00.000+01:00", "@type": "xsd:dateTime"}}"#, EQUAL, &[]),
    (r#"{"leftOperand": "odrl:dateTime", "operator": "lt", "rightOperand": "2027-01-01T00:00:00.000001Z"}"#,
     r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}"#, EQUAL, &[]),
    (r#"{"or": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"or": [{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}, {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}"#, EQUAL, &[]),
    (r#"{"xone": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"xone": [{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}, {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}"#, EQUAL, &[]),
    // What a party lies within counts for isAnyOf and not for eq; an attribute lies within nothing.
    (r#"{"leftOperand": "waybill:attribute", "operator": "eq", "rightOperand": "urn:a"}"#,
     r#"{"leftOperand": "waybill:attribute", "operator": "isAnyOf", "rightOperand": ["urn:a"]}"#, EQUAL, &[]),
    (r#"{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}"#,
     r#"{"leftOperand": "odrl:recipient", "operator": "isAnyOf", "rightOperand": ["urn:r"]}"#, WEAKENED, &["permission use: recipient eq urn:r became isAnyOf urn:r"]),
    (r#"{"leftOperand": "odrl:recipient", "operator": "isAnyOf", "rightOperand": ["urn:r"]}"#,
     r#"{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}"#, NARROWER, &["permission use: recipient isAnyOf urn:r became eq urn:r"]),
    // Purposes by what lies below them.
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:ServiceProvision"}"#, "",
     WEAKENED, &["permission use: the constraint purpose isA dpv:ServiceProvision is missing"]),
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}"#,
     r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Advertising"}"#, NARROWER, &["permission use: purpose isA dpv:Marketing became isA dpv:Advertising"]),
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Advertising"}"#,
     r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}"#, WEAKENED, &["permission use: purpose isA dpv:Advertising became isA dpv:Marketing"]),
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}"#,
     r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:ServiceProvision"}"#, WEAKENED, &["permission use: purpose isA dpv:Marketing became isA dpv:ServiceProvision"]),
    (r#"{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}"#,
     r#"{"leftOperand": "odrl:purpose", "operator": "isAnyOf", "rightOperand": ["dpv:Marketing", "dpv:ServiceProvision"]}"#,
     WEAKENED, &["permission use: purpose isA dpv:Marketing became isAnyOf dpv:Marketing, dpv:ServiceProvision"]),
    // Time.
    (r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}"#,
     r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"}"#,
     WEAKENED, &["permission use: dateTime lteq 2027-01-01T00:00:00Z became lteq 2030-01-01T00:00:00Z"]),
    (r#"{"leftOperand": "odrl:dateTime", "operator": "gteq", "rightOperand": "2026-01-01T00:00:00Z"}, {"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}"#,
     r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2026-06-01T00:00:00Z"}, {"leftOperand": "odrl:dateTime", "operator": "gteq", "rightOperand": "2026-03-01T00:00:00Z"}"#,
     NARROWER, &["permission use: dateTime gteq 2026-01-01T00:00:00Z became gteq 2026-03-01T00:00:00Z", "permission use: dateTime lteq 2027-01-01T00:00:00Z became lteq 2026-06-01T00:00:00Z"]),
    (r#"{"leftOperand": "odrl:dateTime", "operator": "gteq", "rightOperand": "2026-01-01T00:00:00Z"}"#,
     r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}"#,
     WEAKENED, &["permission use: the constraint dateTime gteq 2026-01-01T00:00:00Z is missing"]),
    // What says nothing new is no difference.
    (r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}"#,
     r#"{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}, {"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"}"#, EQUAL, &[]),
    // One more, and names.
    ("", r#"{"leftOperand": "odrl:spatial", "operator": "isPartOf", "rightOperand": "urn:city"}"#, NARROWER, &["permission use: the constraint spatial isPartOf urn:city was added"]),
    (r#"{"leftOperand": "odrl:recipient", "operator": "isNoneOf", "rightOperand": ["urn:r", "urn:s"]}"#,
     r#"{"leftOperand": "odrl:recipient", "operator": "isNoneOf", "rightOperand": ["urn:r"]}"#, WEAKENED, &["permission use: recipient isNoneOf urn:r, urn:s became isNoneOf urn:r"]),
    (r#"{"leftOperand": "odrl:recipient", "operator": "isNoneOf", "rightOperand": ["urn:r"]}"#,
     r#"{"leftOperand": "odrl:recipient", "operator": "isNoneOf", "rightOperand": ["urn:r", "urn:s"]}"#, NARROWER, &["permission use: recipient isNoneOf urn:r became isNoneOf urn:r, urn:s"]),
    (r#"{"leftOperand": "waybill:attribute", "operator": "isAnyOf", "rightOperand": ["urn:a", "urn:b"]}"#,
     r#"{"leftOperand": "waybill:attribute", "operator": "isAnyOf", "rightOperand": ["urn:a", "urn:c"]}"#, WEAKENED, &["permission use: waybill:attribute isAnyOf urn:a, urn:b became isAnyOf urn:a, urn:c"]),
    (r#"{"or": [{"leftOperand": "odrl:recipient", "operator": "isA", "rightOperand": "urn:r"}, {"leftOperand": "odrl:recipient", "operator": "isA", "rightOperand": "urn:s"}]}"#,
     r#"{"leftOperand": "odrl:recipient", "operator": "isAnyOf", "rightOperand": ["urn:s", "urn:r"]}"#, EQUAL, &[]),
    // Combinations.
    (r#"{"or": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}"#, NARROWER, &["permission use: any of (recipient eq urn:r; spatial eq urn:p) became spatial eq urn:p"]),
    (r#"{"xone": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}"#,
     WEAKENED, &["permission use: the constraint exactly one of (recipient eq urn:r; spatial eq urn:p) is missing"]),
    // A part that holds less often may let the other be the only one.
    (r#"{"xone": [{"leftOperand": "odrl:recipient", "operator": "isA", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"xone": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     WEAKENED, &["cannot be compared: permission use: exactly one of (recipient isA urn:r; spatial eq urn:p) became exactly one of (recipient eq urn:r; spatial eq urn:p)"]),
    (r#"{"andSequence": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"andSequence": [{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}, {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}"#,
     WEAKENED, &["cannot be compared: permission use: in this order (recipient eq urn:r; spatial eq urn:p) became in this order (spatial eq urn:p; recipient eq urn:r)"]),
    (r#"{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}"#,
     r#"{"andSequence": [{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}, {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}"#,
     NARROWER, &["permission use: recipient eq urn:r became in this order (spatial eq urn:p; recipient eq urn:r)"]),
    (r#"{"or": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}"#,
     r#"{"or": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:q"}]}"#,
     WEAKENED, &["cannot be compared: permission use: any of (recipient eq urn:r; spatial eq urn:p) became any of (recipient eq urn:r; spatial eq urn:q)"]),
];

#[test]
fn constraints_case_by_case() {
    for (own, theirs, verdict, texts) in CONSTRAINTS {
        check(&using(own).replace(r#", "constraint": []"#, ""), &using(theirs).replace(r#", "constraint": []"#, ""), verdict, texts);
    }
}

/// Whole offers.
#[rustfmt::skip]
const OFFERS: &[(&str, &str, &str, &[&str])] = &[
    (PLAIN, PLAIN, EQUAL, &[]),
    // What the protocol sets.
    (r#""permission": [{"action": "use"}]"#, PLAIN, EQUAL, &[]),
    (PLAIN, r#""target": "urn:data", "assigner": "provider", "assignee": "urn:city", "timestamp": "2026-11-24T12:00:00Z", "permission": [{"@id": "urn:rule", "action": "odrl:use"}]"#, EQUAL, &[]),
    (PLAIN, r#""target": "urn:other", "permission": [{"action": "use"}]"#, WEAKENED, &["permission use: the target urn:data became urn:other"]),
    (PLAIN, r#""permission": [{"action": "use"}]"#, WEAKENED, &["permission use: the target urn:data is missing"]),
    (r#""target": "urn:data", "assignee": "urn:city", "permission": [{"action": "use"}]"#, r#""target": "urn:data", "assignee": "urn:village", "permission": [{"action": "use"}]"#,
     WEAKENED, &["permission use: the assignee urn:city became urn:village"]),
    (r#""target": "urn:data", "assignee": "urn:city", "permission": [{"action": "use"}]"#, PLAIN, WEAKENED, &["permission use: the assignee urn:city is missing"]),
    (r#""target": "urn:data", "assignee": ["urn:city", "urn:village"], "permission": [{"action": "use"}]"#, r#""target": "urn:data", "assignee": "urn:village", "permission": [{"action": "use"}]"#,
     NARROWER, &["permission use: the assignee urn:city or urn:village became urn:village"]),
    (PLAIN, r#""target": {"@id": "urn:data", "odrl:refinement": [{"leftOperand": "waybill:attribute", "operator": "eq", "rightOperand": "urn:a"}]}, "permission": [{"action": "use"}]"#,
     NARROWER, &["permission use: the target urn:data became urn:data where waybill:attribute eq urn:a"]),
    (r#""permission": [{"action": "use"}]"#, r#""target": {"@id": "urn:data", "odrl:refinement": [{"leftOperand": "waybill:attribute", "operator": "eq", "rightOperand": "urn:a"}]}, "permission": [{"action": "use"}]"#,
     NARROWER, &["permission use: the target urn:data where waybill:attribute eq urn:a was added"]),
    // A target on one rule of theirs only is not what the protocol sets.
    (r#""permission": [{"action": "use"}, {"action": "distribute"}]"#, r#""permission": [{"action": "use", "target": "urn:data"}, {"action": "distribute"}]"#,
     NARROWER, &["permission use: the target urn:data was added"]),
    (r#""permission": [{"action": "use", "target": "urn:data"}], "prohibition": [{"action": "distribute"}]"#, r#""permission": [{"action": "use", "target": "urn:data"}], "prohibition": [{"action": "distribute", "target": "urn:elsewhere"}]"#,
     WEAKENED, &["prohibition distribute: the target urn:elsewhere was added"]),
    // Permissions.
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "odrl:read"}]"#, NARROWER, &["permission use became permission read"]),
    (r#""target": "urn:data", "permission": [{"action": "odrl:read"}]"#, PLAIN, WEAKENED, &["permission read became permission use"]),
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "use"}, {"action": "odrl:transfer"}]"#, WEAKENED, &["the permission transfer was added"]),
    (r#""target": "urn:data", "permission": [{"action": "use"}, {"action": "odrl:transfer"}]"#, PLAIN, NARROWER, &["the permission transfer is missing"]),
    (r#""target": "urn:data", "permission": [{"action": ["use", "odrl:transfer"]}]"#, r#""target": "urn:data", "permission": [{"action": "odrl:transfer"}, {"action": "use"}]"#, EQUAL, &[]),
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "use"}, {"action": "use", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}]"#, EQUAL, &[]),
    (r#""target": "urn:data", "permission": [{"action": "use", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}, {"action": "use", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:s"}]}]"#,
     WEAKENED, &["the permission use with recipient eq urn:s was added"]),
    (r#""target": "urn:data", "permission": [{"action": {"@id": "odrl:use", "odrl:refinement": [{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}]}}]"#, PLAIN,
     WEAKENED, &["permission use: the refinement spatial eq urn:p is missing"]),
    // Prohibitions turn it round.
    (r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute"}]"#, PLAIN, WEAKENED, &["the prohibition of distribute is missing"]),
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute"}]"#, NARROWER, &["the prohibition of distribute was added"]),
    (r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute"}]"#,
     r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}]"#,
     WEAKENED, &["prohibition distribute: the constraint recipient eq urn:r was added"]),
    (r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute"}]"#,
     NARROWER, &["prohibition distribute: the constraint recipient eq urn:r is missing"]),
    (r#""target": "urn:data", "prohibition": [{"action": "odrl:distribute"}]"#, r#""target": "urn:data", "prohibition": [{"action": "use"}]"#,
     NARROWER, &["prohibition distribute became prohibition use"]),
    (r#""target": "urn:data", "prohibition": [{"action": "use"}]"#, r#""target": "urn:data", "prohibition": [{"action": "odrl:distribute"}]"#,
     WEAKENED, &["prohibition use became prohibition distribute"]),
    // Duties.
    (r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"@id": "urn:d", "action": "odrl:delete"}]}]"#, PLAIN, WEAKENED, &["duty delete of permission use is missing"]),
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:inform"}]}]"#, NARROWER, &["duty inform of permission use was added"]),
    (r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"@id": "urn:d", "action": "odrl:delete"}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:delete"}]}]"#, EQUAL, &[]),
    (r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"@id": "urn:d", "action": "odrl:delete"}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"@id": "urn:e", "action": "odrl:delete"}]}]"#, WEAKENED, &["duty delete of permission use: its uid urn:d became urn:e"]),
    (r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:delete", "constraint": [{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2027-01-01T00:00:00Z"}]}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:delete", "constraint": [{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"}]}]}]"#,
     WEAKENED, &["duty delete of permission use: dateTime lteq 2027-01-01T00:00:00Z became dateTime lteq 2030-01-01T00:00:00Z"]),
    (r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:delete"}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:delete", "constraint": [{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": "2030-01-01T00:00:00Z"}]}]}]"#,
     NARROWER, &["duty delete of permission use: no condition became dateTime lteq 2030-01-01T00:00:00Z"]),
    (r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:inform"}]}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "duty": [{"action": "odrl:inform", "target": "urn:other"}]}]"#,
     WEAKENED, &["duty inform of permission use: its target or assignee became another"]),
    (r#""target": "urn:data", "permission": [{"action": "use"}], "obligation": [{"@id": "urn:o", "action": "odrl:delete"}]"#, PLAIN, WEAKENED, &["the obligation delete is missing"]),
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "use"}], "obligation": [{"action": "odrl:delete"}]"#, NARROWER, &["the obligation delete was added"]),
    (r#""target": "urn:data", "permission": [{"action": "use"}], "obligation": [{"@id": "urn:o", "action": "odrl:delete"}]"#,
     r#""target": "urn:data", "permission": [{"action": "use"}], "obligation": [{"@id": "urn:o", "action": "odrl:inform"}]"#, WEAKENED, &["the obligation delete is missing"]),
    // The policy itself.
    (r#""profile": ["https://w3id.org/waybill/odrl-profile", "http://www.w3.org/ns/odrl/2/core"], "permission": [{"action": "use"}]"#,
     r#""profile": ["http://www.w3.org/ns/odrl/2/core", "https://w3id.org/waybill/odrl-profile"], "permission": [{"action": "use"}]"#, EQUAL, &[]),
    (r#""profile": "https://w3id.org/waybill/odrl-profile", "permission": [{"action": "use"}]"#, r#""permission": [{"action": "use"}]"#,
     WEAKENED, &["the profile https://w3id.org/waybill/odrl-profile is missing"]),
    (r#""permission": [{"action": "use"}]"#, r#""profile": "https://w3id.org/waybill/odrl-profile", "permission": [{"action": "use"}]"#,
     NARROWER, &["the profile https://w3id.org/waybill/odrl-profile was added"]),
    (PLAIN, r#""odrl:conflict": "odrl:perm", "target": "urn:data", "permission": [{"action": "use"}]"#, WEAKENED, &["the conflict strategy invalid became perm"]),
    (r#""odrl:conflict": "odrl:perm", "target": "urn:data", "permission": [{"action": "use"}]"#, PLAIN, NARROWER, &["the conflict strategy perm became invalid"]),
    // Both at once: what weakens is named.
    (r#""target": "urn:data", "permission": [{"action": "use"}], "prohibition": [{"action": "odrl:distribute"}]"#,
     r#""target": "urn:data", "permission": [{"action": "use", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}]}]"#, WEAKENED, &["the prohibition of distribute is missing"]),
    // What is not understood.
    (PLAIN, r#""target": "urn:data", "permission": [{"action": "use", "constraint": [{"leftOperand": "odrl:count", "operator": "lteq", "rightOperand": "5"}]}]"#,
     WEAKENED, &["cannot be compared: the operand `count` is not evaluated here"]),
    (r#""target": "urn:data", "permission": [{"action": "odrl:fly"}]"#, PLAIN, WEAKENED, &["cannot be compared: one's own offer: the action `http://www.w3.org/ns/odrl/2/fly` is not known"]),
];

#[test]
fn offers_case_by_case() {
    for (own, theirs, verdict, texts) in OFFERS {
        check(own, theirs, verdict, texts);
    }
}

#[test]
fn passing_on_is_use_only_where_the_profile_says_so() {
    let theirs = offer(r#""target": "urn:data", "permission": [{"action": "use"}, {"action": "odrl:distribute"}]"#);
    assert!(matches!(compare(&offer(PLAIN), &theirs, &Profile::waybill()), Comparison::Weakened(_)));
    assert_eq!(compare(&offer(PLAIN), &theirs, &Profile::core()), Comparison::Equal);
}

#[test]
fn a_later_version_of_the_purposes_covers_more() {
    let scheme = r#"{"version": 2, "concepts": [
        {"id": "A", "since": 1, "label": "a", "text": "a.", "broader": [], "broadMatch": "Marketing"},
        {"id": "B", "since": 2, "label": "b", "text": "b.", "broader": ["A"], "broadMatch": "Advertising"}]}"#;
    let profile = Profile::with(waybill_policy::Purposes::from_json(scheme).unwrap(), true);
    let of = |version: u32, purpose: &str| {
        offer(&format!(
            r#""target": "urn:data", "https://w3id.org/waybill/ns#purposeVersion": {version}, "permission": [{{"action": "use", "constraint": [{{"leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": "{purpose}"}}]}}]"#
        ))
    };
    assert!(matches!(compare(&of(1, "wbp:A"), &of(2, "wbp:A"), &profile), Comparison::Weakened(_)));
    assert!(matches!(compare(&of(2, "wbp:A"), &of(1, "wbp:A"), &profile), Comparison::Narrower(_)));
    // Nothing came below this one.
    assert_eq!(compare(&of(1, "dpv:SellProducts"), &of(2, "dpv:SellProducts"), &profile), Comparison::Equal);
}

#[test]
fn changes_come_in_one_order_and_say_which_part_they_are_about() {
    let own = r#""target": "urn:data", "permission": [
        {"action": "use", "constraint": [{"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}],
         "duty": [{"@id": "urn:d", "action": "odrl:delete"}]}],
        "prohibition": [{"action": "odrl:distribute"}, {"action": "odrl:transfer"}]"#;
    let turned = r#""target": "urn:data", "prohibition": [{"action": "odrl:transfer"}, {"action": "odrl:distribute"}], "permission": [
        {"action": "use", "constraint": [{"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": "urn:p"}, {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": "urn:r"}],
         "duty": [{"@id": "urn:d", "action": "odrl:delete"}]}]"#;
    let profile = Profile::waybill();
    let one = compare(&offer(own), &offer(PLAIN), &profile);
    assert_eq!(one, compare(&offer(turned), &offer(PLAIN), &profile));
    let Comparison::Weakened(changes) = one else { panic!("{one:?}") };
    let parts: Vec<Part> = changes.iter().map(|c| c.what).collect();
    assert_eq!(parts, [Part::Rule, Part::Rule, Part::Constraint, Part::Constraint, Part::Duty]);
    // Duties are held against those of their name, and those without against the next in order.
    let duties = |list: &[(Option<&str>, u32)]| {
        let made: Vec<Value> = list
            .iter()
            .map(|(uid, year)| {
                let mut duty = json!({"action": "odrl:delete", "constraint": [{"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": format!("{year}-01-01T00:00:00Z")}]});
                if let Some(uid) = uid {
                    duty["@id"] = json!(uid);
                }
                duty
            })
            .collect();
        read_offer(&json!({"@type": "Offer", "@id": "urn:o", "target": "urn:data", "permission": [{"action": "use", "duty": made}]})).unwrap()
    };
    let later = |from: u32, to: u32| format!("duty delete of permission use: dateTime lteq {from}-01-01T00:00:00Z became dateTime lteq {to}-01-01T00:00:00Z");
    for (own, theirs) in [
        (duties(&[(Some("urn:d"), 2027), (Some("urn:e"), 2028)]), duties(&[(Some("urn:e"), 2030), (Some("urn:d"), 2029)])),
        (duties(&[(None, 2028), (None, 2027)]), duties(&[(None, 2029), (None, 2030)])),
    ] {
        let Comparison::Weakened(changes) = compare(&own, &theirs, &profile) else { panic!("both may be done later") };
        let texts: Vec<&str> = changes.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(texts, [later(2027, 2029), later(2028, 2030)]);
    }
}

#[test]
fn texts_are_bounded_and_plain() {
    let long = format!("urn:{}", "x".repeat(5_000));
    let values: Vec<Value> = (0..200).map(|i| json!(format!("{long}{i}"))).collect();
    let offered = json!({"@type": "Offer", "@id": "urn:o", "target": long, "permission": [{"action": "use",
        "constraint": [{"leftOperand": "odrl:recipient", "operator": "isAnyOf", "rightOperand": values},
                       {"leftOperand": "waybill:precision", "operator": "eq", "rightOperand": "a\nb\u{7}"}]}]});
    let Comparison::Weakened(changes) = compare(&read_offer(&offered).unwrap(), &offer(PLAIN), &Profile::waybill()) else { panic!("nothing is missing") };
    assert!(changes.iter().all(|c| c.text.chars().count() <= 600 && !c.text.chars().any(char::is_control)), "{changes:?}");
    assert!(changes.iter().any(|c| c.text.ends_with("the constraint waybill:precision eq ab is missing")));
}

#[test]
fn much_of_it_is_refused_without_much_work() {
    let many = |n: usize, operator: &str| {
        let values: Vec<Value> = (0..n).map(|i| json!(format!("urn:v{i}"))).collect();
        read_offer(&json!({"@type": "Offer", "@id": "urn:o", "target": "urn:data", "permission": [{"action": "use",
            "constraint": [{"leftOperand": "odrl:recipient", "operator": operator, "rightOperand": values}]}]}))
        .unwrap()
    };
    let profile = Profile::waybill();
    assert_eq!(compare(&many(MAX_COMPARED / 2, "isAnyOf"), &many(MAX_COMPARED / 2, "isAnyOf"), &profile), Comparison::Equal);
    let Comparison::Weakened(changes) = compare(&many(1, "isAnyOf"), &many(MAX_COMPARED, "isAnyOf"), &profile) else { panic!("it is too large") };
    assert_eq!(changes[0].text, "cannot be compared: it has more than 2000 parts");
    // Rules that all resemble each other.
    let alike = |from: usize| {
        let rules: Vec<Value> = (from..from + 240).map(|i| json!({"action": "use", "constraint": [{"or": [
            {"leftOperand": "odrl:recipient", "operator": "eq", "rightOperand": format!("urn:v{i}")}, {"leftOperand": "odrl:spatial", "operator": "eq", "rightOperand": format!("urn:v{i}")}]}]})).collect();
        read_offer(&json!({"@type": "Offer", "@id": "urn:o", "target": "urn:data", "permission": rules})).unwrap()
    };
    let Comparison::Weakened(changes) = compare(&alike(0), &alike(1_000), &profile) else { panic!("they have nothing in common") };
    assert_eq!(changes[0].text, "cannot be compared: too many of its parts resemble each other");
}
