//! The purpose scheme and what covers what.

use super::decide::full;
use waybill_policy::{PROFILE_DOCUMENT, Profile, Purposes, Request, WAYBILL_PURPOSE, compile, operand, parse};

fn w(name: &str) -> String {
    format!("{WAYBILL_PURPOSE}{name}")
}

#[test]
fn every_purpose_of_ours_has_text_and_a_broader_purpose_of_dpv() {
    let all = Purposes::bundled();
    let ours: Vec<_> = all.iter().filter(|p| p.iri.starts_with(WAYBILL_PURPOSE)).collect();
    assert!(ours.iter().filter(|p| !p.top).count() >= 60);
    for p in ours {
        assert!(!p.label.is_empty() && p.text.ends_with('.'), "{}", p.iri);
        assert!(p.broader.iter().any(|b| b.starts_with("https://w3id.org/dpv#")), "{}", p.iri);
        assert!(p.top || p.broader.iter().any(|b| b.starts_with(WAYBILL_PURPOSE)), "{}", p.iri);
        for b in &p.broader {
            assert!(all.covers(b, &p.iri, 1), "{b} {}", p.iri);
            assert!(!all.covers(&p.iri, b, 1), "{b} {}", p.iri);
        }
    }
}

#[test]
fn covering_follows_the_links_of_both_schemes() {
    let all = Purposes::bundled();
    let cases = [
        (w("MarketingMessages"), w("PersonalAdvertising"), true),
        (w("PersonalAdvertising"), w("MarketingMessages"), false),
        ("https://w3id.org/dpv#Marketing".to_owned(), w("PersonalAdvertising"), true),
        ("https://w3id.org/dpv#Marketing".to_owned(), "https://w3id.org/dpv#TargetedAdvertising".to_owned(), true),
        (w("HeatPlanning"), w("HeatPlanning"), true),
        (w("HeatPlanning"), w("EnergyBilling"), false),
        (w("NoSuch"), w("NoSuch"), false),
    ];
    for (broad, narrow, expected) in cases {
        assert_eq!(all.covers(&broad, &narrow, all.version()), expected, "{broad} {narrow}");
    }
    assert!(all.is_top(&w("Energy")) && all.is_top("https://w3id.org/dpv#Purpose") && !all.is_top(&w("EnergyBalance")));
}

#[test]
fn what_is_added_later_is_not_covered_by_an_earlier_consent() {
    let scheme = r#"{"version": 3, "concepts": [
        {"id": "A", "since": 1, "label": "a", "text": "a.", "broader": [], "broadMatch": "Marketing"},
        {"id": "B", "since": 2, "label": "b", "text": "b.", "broader": ["A"], "broadMatch": "Marketing"},
        {"id": "C", "since": 1, "label": "c", "text": "c.", "broader": ["A"], "broadMatch": "Advertising", "linked": {"A": 3}},
        {"id": "F", "since": 3, "label": "f", "text": "f.", "broader": ["B"], "broadMatch": "Advertising"}]}"#;
    let all = Purposes::from_json(scheme).unwrap();
    let seen: Vec<bool> = (1..=3).map(|v| all.covers(&w("A"), &w("B"), v)).collect();
    assert_eq!(seen, [false, true, true]);
    let linked: Vec<bool> = (1..=3).map(|v| all.covers(&w("A"), &w("C"), v)).collect();
    assert_eq!(linked, [false, false, true]);
    assert!(all.covers("https://w3id.org/dpv#Advertising", &w("C"), 1));
    // A chain is as young as its youngest link.
    let chained: Vec<bool> = (1..=3).map(|v| all.covers(&w("A"), &w("F"), v)).collect();
    assert_eq!(chained, [false, false, true]);
}

#[test]
fn a_policy_permits_by_the_scheme_that_was_shown() {
    let scheme = r#"{"version": 2, "concepts": [
        {"id": "A", "since": 1, "label": "a", "text": "a.", "broader": [], "broadMatch": "Marketing"},
        {"id": "B", "since": 2, "label": "b", "text": "b.", "broader": ["A"], "broadMatch": "Marketing"}]}"#;
    let profile = Profile::with(Purposes::from_json(scheme).unwrap(), true);
    let policy = |version: u32, kind: &str, agreed: &str| {
        let other = r#"{"action": "use", "target": "urn:e"}"#;
        let rule = format!(r#"{{"action": "use", "target": "urn:e", "constraint": {{"leftOperand": "purpose", "operator": "isA", "rightOperand": "{}"}}}}"#, w(agreed));
        let rules = if kind == "permission" { format!(r#""permission": [{rule}]"#) } else { format!(r#""permission": [{other}], "prohibition": [{rule}]"#) };
        compile(&parse(format!(r#"{{"uid": "urn:p", "purposeVersion": {version}, {rules}}}"#).as_bytes()).unwrap(), &profile)
    };
    let later = w("B");
    let request = Request { purpose: Some(&later), ..full() };
    // Version, kind, permitted: what came later is not permitted by an old consent, and is prohibited by an old prohibition.
    for (version, kind, allow) in [(1, "permission", false), (2, "permission", true), (1, "prohibition", false), (2, "prohibition", false)] {
        assert_eq!(policy(version, kind, "A").unwrap().decide(&request).allow, allow, "{version} {kind}");
    }
    assert_eq!(policy(1, "permission", "B").unwrap_err()[0].code, "policy-unknown-purpose");
    assert!(policy(2, "permission", "B").unwrap().decide(&request).allow);
}

#[test]
fn a_scheme_with_a_circle_or_a_gap_is_refused() {
    let concept = |id: &str, broader: &str| format!(r#"{{"id": "{id}", "since": 1, "label": "x", "text": "x.", "broader": ["{broader}"], "broadMatch": "Marketing"}}"#);
    for (a, b) in [("Y", "X"), ("Missing", "X")] {
        let text = format!(r#"{{"version": 1, "concepts": [{}, {}]}}"#, concept("X", a), concept("Y", b));
        assert_eq!(Purposes::from_json(&text).unwrap_err().code, "purpose-scheme-invalid");
    }
}

#[test]
fn the_published_profile_names_every_operand_of_ours() {
    let document: serde_json::Value = serde_json::from_str(PROFILE_DOCUMENT).unwrap();
    let named: Vec<&str> = document["terms"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    for iri in [operand::ENTITY, operand::ENTITY_TYPE, operand::ATTRIBUTE, operand::PRECISION] {
        let compact = iri.replace("https://w3id.org/waybill/ns#", "waybill:");
        assert!(named.contains(&compact.as_str()), "{compact}");
    }
}
