//! Deciding, case by case.

use waybill_model::DateTime;
use waybill_policy::{Compiled, DutyState, Member, Profile, Request, Target, compile, parse};

pub(crate) const ODRL: &str = "http://www.w3.org/ns/odrl/2/";

pub(crate) fn make(profile: &Profile, rules: &str) -> Compiled {
    let text = format!(r#"{{"@context": "http://www.w3.org/ns/odrl.jsonld", "uid": "urn:p", {rules}}}"#);
    compile(&parse(text.as_bytes()).unwrap(), profile).unwrap()
}

/// A request in which everything is known.
pub(crate) fn full() -> Request<'static> {
    Request {
        action: "http://www.w3.org/ns/odrl/2/use",
        target: Target { asset: Some(Member::only("urn:e")), types: Some(&["urn:t"]), attribute: Some("urn:a"), precision: Some("share") },
        assignee: Some(Member::of("urn:b", &["urn:cities"])),
        recipient: Some(Member::only("urn:r")),
        purpose: Some("https://w3id.org/waybill/purpose#HeatPlanning"),
        time: Some(DateTime::parse("2026-11-24T12:00:00Z").unwrap()),
        place: Some(Member::of("urn:district", &["urn:city"])),
        duties: Some(&[]),
    }
}

#[test]
fn constraints_case_by_case() {
    let profile = Profile::waybill();
    let atom = |operand: &str, operator: &str, right: &str| format!(r#"{{"leftOperand": "{operand}", "operator": "{operator}", "rightOperand": {right}}}"#);
    let cases = [
        (atom("purpose", "isA", r#""wbp:HeatPlanning""#), true),
        (atom("purpose", "isA", r#""dpv:PublicPolicyMaking""#), true),
        (atom("purpose", "eq", r#""dpv:PublicPolicyMaking""#), false),
        (atom("purpose", "isAnyOf", r#"["dpv:Marketing", "dpv:PublicPolicyMaking"]"#), true),
        (atom("purpose", "isAllOf", r#"["dpv:Marketing", "dpv:PublicPolicyMaking"]"#), false),
        (atom("purpose", "isNoneOf", r#"["dpv:Marketing", "wbp:EnergyBilling"]"#), true),
        (atom("purpose", "isNoneOf", r#""dpv:PublicPolicyMaking""#), false),
        (atom("purpose", "neq", r#""wbp:EnergyBilling""#), true),
        (atom("recipient", "eq", r#""urn:r""#), true),
        (atom("recipient", "eq", r#""urn:s""#), false),
        (atom("recipient", "isNoneOf", r#"["urn:s", "urn:q"]"#), true),
        (atom("assignee", "isPartOf", r#""urn:cities""#), true),
        (atom("assignee", "eq", r#""urn:cities""#), false),
        (atom("spatial", "isPartOf", r#""urn:city""#), true),
        (atom("spatial", "hasPart", r#""urn:district""#), true),
        (atom("spatial", "hasPart", r#""urn:street""#), false),
        (atom("dateTime", "lt", r#""2026-11-24T12:00:00.000001Z""#), true),
        (atom("dateTime", "lt", r#""2026-11-24T12:00:00Z""#), false),
        (atom("dateTime", "lteq", r#""2026-11-24T13:00:00+01:00""#), true),
        (atom("dateTime", "gt", r#""2026-11-24T12:00:00Z""#), false),
        (atom("dateTime", "gteq", r#""2026-11-24T12:00:00Z""#), true),
        (atom("dateTime", "neq", r#""2026-11-24T12:00:00Z""#), false),
        (atom("waybill:attribute", "eq", r#""urn:a""#), true),
        (atom("waybill:entityType", "isA", r#""urn:other""#), false),
        (atom("waybill:precision", "eq", r#""share""#), true),
    ];
    let test = |constraint: &str, expected: bool| {
        let policy = make(&profile, &format!(r#""permission": [{{"action": "use", "target": "urn:e", "constraint": {constraint}}}]"#));
        assert_eq!(policy.decide(&full()).allow, expected, "{constraint}");
    };
    for (constraint, expected) in &cases {
        test(constraint, *expected);
        test(&format!(r#"{{"and": [{constraint}]}}"#), *expected);
    }
    let yes = atom("recipient", "eq", r#""urn:r""#);
    let no = atom("recipient", "eq", r#""urn:s""#);
    for (how, parts, expected) in [
        ("or", vec![&no, &yes], true),
        ("or", vec![&no, &no], false),
        ("and", vec![&yes, &no], false),
        ("andSequence", vec![&yes, &yes], true),
        ("xone", vec![&no, &yes, &no], true),
        ("xone", vec![&yes, &yes], false),
    ] {
        let list: Vec<&str> = parts.iter().map(|s| s.as_str()).collect();
        test(&format!(r#"{{"{how}": [{}]}}"#, list.join(",")), expected);
    }
}

#[test]
fn a_missing_input_never_opens() {
    let profile = Profile::waybill();
    let constraint = r#""constraint": {"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:Marketing"}"#;
    let permit = make(&profile, &format!(r#""permission": [{{"action": "use", "target": "urn:e", {constraint}}}]"#));
    let mut request = full();
    request.purpose = None;
    let decision = permit.decide(&request);
    assert!(!decision.allow && decision.missing);
    let forbid = make(&profile, &format!(r#""permission": [{{"action": "use", "target": "urn:e"}}], "prohibition": [{{"action": "use", {constraint}}}]"#));
    assert!(forbid.decide(&full()).allow);
    assert!(!forbid.decide(&request).allow);
    request.purpose = Some("https://elsewhere.example/purpose");
    assert!(!forbid.decide(&request).allow);
    // A top concept may be anything, so it is no purpose that somebody may ask with.
    let none_of = make(&profile, r#""permission": [{"action": "use", "target": "urn:e", "constraint": {"leftOperand": "purpose", "operator": "isNoneOf", "rightOperand": "dpv:Marketing"}}]"#);
    assert!(none_of.decide(&full()).allow);
    for top in ["https://w3id.org/dpv#Purpose", "https://w3id.org/waybill/purpose#Trade"] {
        assert!(!none_of.decide(&Request { purpose: Some(top), ..full() }).allow, "{top}");
    }
    let parties = make(&profile, r#""permission": [{"action": "use", "target": "urn:e"}], "prohibition": [{"assignee": "urn:bad"}]"#);
    let mut request = full();
    assert!(parties.decide(&request).allow);
    request.assignee = Some(Member::lone("urn:b"));
    assert!(!parties.decide(&request).allow, "b may belong to bad");
}

#[test]
fn passing_on_needs_a_permission_by_name() {
    let rules = r#""permission": [{"action": "use", "target": "urn:e"}]"#;
    let distribute = format!("{ODRL}distribute");
    let request = Request { action: &distribute, ..full() };
    assert!(!make(&Profile::waybill(), rules).decide(&request).allow);
    assert!(make(&Profile::core(), rules).decide(&request).allow);
    let both = r#""permission": [{"action": ["use", "distribute"], "target": "urn:e"}]"#;
    assert!(make(&Profile::waybill(), both).decide(&request).allow);
    let closed = r#""permission": [{"action": "distribute", "target": "urn:e"}], "prohibition": [{"action": "use"}]"#;
    assert!(!make(&Profile::waybill(), closed).decide(&request).allow, "a prohibition of use is one of passing on");
}

#[test]
fn conflicts_and_offers() {
    let rules = |conflict: &str| format!(r#""conflict": "{conflict}", "permission": [{{"action": "use", "target": "urn:e"}}], "prohibition": [{{"action": "use", "assignee": "urn:b"}}]"#);
    for (conflict, expected) in [("perm", true), ("prohibit", false), ("invalid", false)] {
        assert_eq!(make(&Profile::waybill(), &rules(conflict)).decide(&full()).allow, expected, "{conflict}");
    }
    let offer = make(&Profile::waybill(), r#""@type": "Offer", "permission": [{"action": "use", "target": "urn:e"}]"#);
    assert!(!offer.decide(&full()).allow);
}

#[test]
fn duties_before_and_after() {
    let profile = Profile::waybill();
    let before = make(&profile, r#""permission": [{"action": "use", "target": "urn:e", "duty": [{"uid": "urn:d", "action": "compensate"}]}]"#);
    let after = make(
        &profile,
        r#""permission": [{"action": "use", "target": "urn:e", "duty": [{"uid": "urn:d", "action": "delete",
            "constraint": {"leftOperand": "dateTime", "operator": "lteq", "rightOperand": "2026-12-01T00:00:00Z"}}]}]"#,
    );
    for (policy, state, expected, owed) in [
        (&before, None, false, 0),
        (&before, Some(DutyState::NotSet), false, 0),
        (&before, Some(DutyState::Violated), false, 0),
        (&before, Some(DutyState::Fulfilled), true, 0),
        (&after, None, true, 1),
        (&after, Some(DutyState::Violated), false, 0),
        (&after, Some(DutyState::Fulfilled), true, 0),
    ] {
        let states: Vec<(&str, DutyState)> = state.map(|s| ("urn:d", s)).into_iter().collect();
        let decision = policy.decide(&Request { duties: Some(&states), ..full() });
        assert_eq!(decision.allow, expected, "{state:?}");
        assert_eq!(policy.obligations(&decision).len(), owed, "{state:?}");
    }
    let owed = after.obligations(&after.decide(&full()));
    assert_eq!(owed[0].due, Some(DateTime::parse("2026-12-01T00:00:00Z").unwrap()));
    assert_eq!(owed[0].action, format!("{ODRL}delete"));
    let late = Request { time: Some(DateTime::parse("2026-12-02T00:00:00Z").unwrap()), ..full() };
    assert!(!after.decide(&late).allow);
    assert!(!after.decide(&Request { duties: None, ..full() }).allow);
}

#[test]
fn an_answer_says_how_long_it_holds() {
    let window = r#"{"and": [{"leftOperand": "dateTime", "operator": "gteq", "rightOperand": "2026-11-24T09:00:00Z"}, {"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2026-11-24T17:00:00Z"}]}"#;
    let policy = make(&Profile::waybill(), &format!(r#""permission": [{{"action": "use", "target": "urn:e", "constraint": {window}}}]"#));
    for (at, allow, until) in [
        ("2026-11-24T08:00:00Z", false, Some("2026-11-24T09:00:00Z")),
        ("2026-11-24T09:00:00Z", true, Some("2026-11-24T17:00:00Z")),
        ("2026-11-24T17:00:00Z", false, None),
    ] {
        let decision = policy.decide(&Request { time: Some(DateTime::parse(at).unwrap()), ..full() });
        assert_eq!((decision.allow, decision.valid_until), (allow, until.map(|u| DateTime::parse(u).unwrap())), "{at}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let cases = [
        (r#"{"leftOperand": "count", "operator": "lt", "rightOperand": 3}"#, "policy-unknown-operand", "count"),
        (r#"{"leftOperand": "elapsedTime", "operator": "lt", "rightOperand": "P1D"}"#, "policy-unknown-operand", "elapsedTime"),
        (r#"{"leftOperand": "https://elsewhere.example/x", "operator": "eq", "rightOperand": "urn:x"}"#, "policy-unknown-operand", "https://elsewhere.example/x"),
        (r#"{"leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:Purpose"}"#, "policy-top-purpose", "Purpose"),
        (r#"{"leftOperand": "purpose", "operator": "isA", "rightOperand": "wbp:Energy"}"#, "policy-top-purpose", "Energy"),
        (r#"{"leftOperand": "purpose", "operator": "isA", "rightOperand": "urn:whatever"}"#, "policy-unknown-purpose", "urn:whatever"),
        (r#"{"leftOperand": "purpose", "operator": "gt", "rightOperand": "dpv:Marketing"}"#, "policy-operator-mismatch", "gt"),
        (r#"{"leftOperand": "purpose", "operator": "eq", "rightOperand": ["dpv:Marketing", "wbp:HeatPlanning"]}"#, "policy-operand-count", "eq"),
        (r#"{"leftOperand": "recipient", "operator": "eq", "rightOperand": "some words"}"#, "policy-not-an-iri", "recipient"),
        (r#"{"leftOperand": "recipient", "operator": "eq", "rightOperand": ""}"#, "policy-not-an-iri", "recipient"),
        (r#"{"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2026-11-24"}"#, "policy-not-a-time", "2026-11-24"),
        (r#"{"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2026-11-24T12:00:00"}"#, "policy-not-a-time", "2026-11-24T12:00:00"),
        (r#"{"leftOperand": "dateTime", "operator": "isPartOf", "rightOperand": "2026-11-24T12:00:00Z"}"#, "policy-operator-mismatch", "isPartOf"),
        (r#"{"or": [{"leftOperand": "dateTime", "operator": "lt", "rightOperand": "no"}, {"leftOperand": "recipient", "operator": "eq", "rightOperand": "urn:r"}]}"#, "policy-not-a-time", "no"),
    ];
    let profile = Profile::waybill();
    for (constraint, code, named) in cases {
        let text = format!(r#"{{"uid": "urn:p", "permission": [{{"action": "use", "target": "urn:e", "constraint": {constraint}}}]}}"#);
        let faults = compile(&parse(text.as_bytes()).unwrap(), &profile).expect_err(constraint);
        assert!(faults.iter().any(|f| f.code == code && f.message.contains(named)), "{code} {named}: {faults:?}");
    }
    for (rules, code) in [
        (r#""permission": [{"target": "urn:e"}]"#, "policy-missing-action"),
        (r#""permission": [{"action": "use"}]"#, "policy-missing-target"),
        (r#""permission": [{"action": "fly", "target": "urn:e"}]"#, "policy-unknown-action"),
        (r#""permission": [{"action": "use", "target": "urn:e", "duty": [{"action": "delete"}]}]"#, "policy-duty-without-uid"),
        (r#""profile": "https://elsewhere.example/profile""#, "policy-unknown-profile"),
        (r#""purposeVersion": 99"#, "policy-unknown-purpose-version"),
    ] {
        let text = format!(r#"{{"uid": "urn:p", {rules}}}"#);
        let faults = compile(&parse(text.as_bytes()).unwrap(), &profile).expect_err(rules);
        assert!(faults.iter().any(|f| f.code == code), "{code}: {faults:?}");
    }
}
