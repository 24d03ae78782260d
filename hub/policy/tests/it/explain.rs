//! Reasons: which rule, which constraint, which input was missing.

use super::decide::{full, make};
use waybill_model::DateTime;
use waybill_policy::{Cause, Member, Profile, Request, Tri};

#[test]
fn reasons_name_rule_constraint_and_missing_operand() {
    let policy = make(
        &Profile::waybill(),
        r#""permission": [{"uid": "urn:rule", "action": "use", "target": "urn:e", "assignee": "urn:b",
            "constraint": [{"uid": "urn:c1", "leftOperand": "purpose", "operator": "isA", "rightOperand": "dpv:Marketing"},
                           {"uid": "urn:c2", "leftOperand": "recipient", "operator": "eq", "rightOperand": "urn:r"}],
            "duty": [{"uid": "urn:d", "action": "inform"}]}]"#,
    );
    let request = Request { purpose: None, recipient: Some(Member::only("urn:other")), ..full() };
    let why = policy.explain(&request);
    let rule = &why.rules[0];
    assert_eq!(rule.uid.as_deref(), Some("urn:rule"));
    assert_eq!((rule.premises, rule.conditions), (Tri::False, Tri::Unknown));
    let seen: Vec<(Cause, Option<&str>, Option<&str>, bool)> = rule.reasons.iter().map(|r| (r.cause, r.part.as_deref(), r.operand, r.missing)).collect();
    assert_eq!(
        seen,
        [
            (Cause::Constraint, Some("urn:c1"), Some("purpose"), true),
            (Cause::Constraint, Some("urn:c2"), Some("recipient"), false),
            (Cause::Duty, Some("urn:d"), None, true),
        ]
    );
    assert_eq!(why.missing(), ["duty", "purpose"]);
    assert!(why.to_string().contains("permission 0 <urn:rule> does not hold: missing:purpose (urn:c1)"), "{why}");
}

#[test]
fn reasons_follow_alternatives_and_groups() {
    let policy = make(
        &Profile::waybill(),
        r#""permission": [{"action": "use", "target": [{"uid": "urn:x", "refinement": {"leftOperand": "waybill:precision", "operator": "eq", "rightOperand": "never"}}, {"@type": "AssetCollection", "refinement": {"leftOperand": "waybill:attribute", "operator": "eq", "rightOperand": "urn:z"}}],
            "constraint": {"uid": "urn:g", "xone": [{"leftOperand": "recipient", "operator": "eq", "rightOperand": "urn:r"}, {"leftOperand": "dateTime", "operator": "gt", "rightOperand": "2026-01-01T00:00:00Z"}]}}]"#,
    );
    let why = policy.explain(&full());
    let seen: Vec<(Cause, Option<&str>, Option<&str>)> = why.rules[0].reasons.iter().map(|r| (r.cause, r.part.as_deref(), r.operand)).collect();
    assert_eq!(seen, [(Cause::Target, None, Some("entity")), (Cause::Target, None, Some("attribute")), (Cause::Constraint, Some("urn:g"), Some("xone"))]);
    let other_action = Request { action: "http://www.w3.org/ns/odrl/2/sell", ..full() };
    assert!(policy.explain(&other_action).rules[0].reasons.iter().any(|r| r.cause == Cause::Action && !r.missing));
}

#[test]
fn an_offer_says_so() {
    let policy = make(&Profile::waybill(), r#""@type": "Offer", "permission": [{"action": "use", "target": "urn:e"}]"#);
    let why = policy.explain(&Request { time: Some(DateTime::from_seconds(0)), ..full() });
    assert_eq!(why.rules[0].reasons[0].cause, Cause::Offer);
    assert!(!why.decision.allow && why.missing().is_empty());
}
