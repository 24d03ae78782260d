//! The written description says what the routes are.

use crate::fake::{Fake, State};
use crate::support::*;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use waybill_consent::{Binding, Rule, Target, Validity};
use waybill_http::Metrics;
use waybill_model::Clock;
use waybill_portal::*;

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines of the block under `path` of keys, each deeper than the one before.
fn block<'a>(lines: &[&'a str], path: &[&str]) -> Vec<&'a str> {
    let mut found: Vec<&str> = lines.to_vec();
    for key in path {
        let head = format!("{key}:");
        let at = found.iter().position(|l| l.trim() == head).unwrap_or_else(|| panic!("no {key}"));
        let depth = indent(found[at]);
        found = found[at + 1..].iter().take_while(|l| l.trim().is_empty() || indent(l) > depth).copied().collect();
    }
    found
}

/// The keys directly in a block.
fn keys(lines: &[&str]) -> Vec<String> {
    let depth = lines.iter().filter(|l| !l.trim().is_empty()).map(|l| indent(l)).min().unwrap_or(0);
    let own = lines.iter().filter(|l| indent(l) == depth && !l.trim_start().starts_with('-'));
    own.filter_map(|l| l.trim().split_once(':')).map(|(key, _)| key.trim_matches('\'').to_owned()).collect()
}

fn lines() -> Vec<&'static str> {
    OPENAPI.lines().filter(|l| !l.trim().is_empty()).collect()
}

#[test]
fn routes_and_description_are_the_same() {
    let lines = lines();
    let paths = block(&lines, &["paths"]);
    let mut described = BTreeSet::new();
    for path in keys(&paths) {
        for method in keys(&block(&paths, &[&path])) {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let clock = Clock::fixed(at(0));
    let hub = Arc::new(Fake { clock: clock.clone(), state: Mutex::new(State::default()) });
    let router = routes(hub, PortalConfig { clock, metrics: Metrics::new(), open_metrics: false });
    let offered: BTreeSet<(String, String)> = router.listing().into_iter().map(|(m, p)| (m.to_string(), p)).collect();
    assert_eq!(described, offered);
}

#[test]
fn each_operation_has_a_name_of_its_own_and_each_reference_a_target() {
    let lines = lines();
    let paths = block(&lines, &["paths"]);
    let mut names = BTreeMap::new();
    for path in keys(&paths) {
        for method in keys(&block(&paths, &[&path])) {
            let operation = block(&paths, &[&path, &method]);
            let name = operation.iter().find_map(|l| l.trim().strip_prefix("operationId: ")).unwrap_or_else(|| panic!("{method} {path} has no name"));
            assert!(keys(&operation).contains(&"responses".to_owned()), "{method} {path}");
            assert_eq!(names.insert(name, path.clone()), None, "{name} twice");
            for parameter in path.split(['{', '}']).skip(1).step_by(2) {
                let given = operation.iter().any(|l| l.contains(&format!("name: {parameter}")) || l.contains("ConsentId'") || l.contains("/Id'") || l.contains("SubjectPath'"));
                assert!(given, "{method} {path} does not describe {parameter}");
            }
        }
    }
    for line in &lines {
        let Some((_, rest)) = line.split_once("$ref: '#/") else { continue };
        let target: Vec<&str> = rest.split('\'').next().unwrap().split('/').collect();
        block(&lines, &target);
    }
}

/// Holds what is shown against the schema `name`: no member that is not described, none missing that must be there.
fn check(name: &str, shown: &impl Serialize) {
    let lines = lines();
    let schema = block(&lines, &["components", "schemas", name]);
    let described: BTreeSet<String> = keys(&block(&schema, &["properties"])).into_iter().collect();
    let required = schema.iter().find_map(|l| l.trim().strip_prefix("required: [")).unwrap_or("]").trim_end_matches(']');
    let shown: Value = serde_json::to_value(shown).unwrap();
    let members: BTreeSet<String> = shown.as_object().unwrap().keys().cloned().collect();
    assert!(members.is_subset(&described), "{name}: {members:?} against {described:?}");
    for must in required.split(", ").filter(|m| !m.is_empty()) {
        assert!(members.contains(must), "{name} lacks {must}");
    }
}

#[test]
fn what_is_shown_is_what_is_described() {
    let party = iri(CITY_B);
    let record = waybill_consent::ConsentRecord::parse(
        json!({"id": "urn:c:1", "version": 1, "created": at(0).to_string(), "subject": {"id": ANNA}}).to_string().as_bytes(),
    )
    .unwrap();
    let state = waybill_consent::fold(&[record], &[], &waybill_policy::Purposes::bundled(), at(0));
    check("State", &state);
    check("Check", &Check { name: "a".into(), ok: false, detail: Some("b".into()) });
    check("ConsentSummary", &ConsentSummary { id: iri("urn:c:1"), subject: iri(ANNA), open: true, draft: false, state: state.clone() });
    check("ConsentDetail", &ConsentDetail { id: iri("urn:c:1"), subject: iri(ANNA), state: state.clone(), versions: vec![], events: vec![] });
    check("Changed", &Changed { id: iri("urn:c:1"), state: Some(state), opened: vec![], closed: vec![] });
    let binding = Binding {
        target: Target::Entity(iri("urn:e:1")),
        subject: iri(ANNA),
        validity: Validity::default(),
        asserted_by: iri("urn:waybill:operator:olga"),
        evidence: "meter contract".into(),
        rule: Rule::All,
    };
    check("Binding", &Bound { id: "k".into(), binding });
    check("Erased", &Erased { consents: 1, entities: 2, journal_key: true, withdrawals: vec![iri("urn:w:1")] });
    check("JournalPage", &waybill_journal::Page { subject: iri(ANNA), entries: vec![] });
    check(
        "Holder",
        &Holder {
            id: "k".into(),
            party: party.clone(),
            class: "plain".into(),
            hub: Some("h".into()),
            consent: Some(iri("urn:c:1")),
            envelope: Some("e".into()),
            since: at(0),
            bounded_by: Some("b".into()),
        },
    );
    let holder = HolderReport { party: party.clone(), hub: Some("h".into()), progress: "done".into(), overdue: false, answers: vec![json!({})], done_at: Some(at(1)) };
    check("HolderReport", &holder);
    check(
        "WithdrawalReport",
        &WithdrawalReport {
            id: iri("urn:w:1"),
            subject: Some(iri(ANNA)),
            consent: Some(iri("urn:c:1")),
            stopped_at: at(0),
            finished_at: Some(at(1)),
            last_stopped_after: Some(1.3),
            holders: vec![holder],
            not_bounded: vec![party],
        },
    );
    check("Quarantined", &Quarantined { id: "k".into(), connection: "c".into(), entity: "urn:e:1".into(), attribute: Some("a".into()), code: "tampered".into(), at: at(0) });
    check("DeadLetter", &DeadLetter { id: "k".into(), kind: "notice".into(), to: "h".into(), entity: Some("e".into()), attempts: 3, since: Some(at(0)), error: Some("e".into()) });
    check("HeartbeatState", &HeartbeatState { hub: "h".into(), direction: "sent".into(), at: Some(at(0)), epoch: Some(1), max_stale: 60, stale: false });
    check("Connection", &Connection { name: "c".into(), kind: "solid".into(), state: "up".into(), detail: Some("d".into()), checked_at: Some(at(0)) });
    check("KeyState", &KeyState { kid: "k".into(), algorithm: "ES256".into(), state: "revoked".into(), created: at(0), retired: Some(at(0)), revoked: Some(at(0)) });
    check("JournalVerdict", &JournalVerdict::Holds { first: 1, last: 2, hash: "h".into(), segments: 1 });
    check("JournalVerdict", &JournalVerdict::Broken { record: 7, why: "w".into() });
    check("Problem", &waybill_http::problems::not_found().at("/x").help("y"));
}
