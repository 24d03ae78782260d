//! Policies and requests for benchmarks and tests of size. `xtask bench` measures with them like this:
//!
//! ```ignore
//! let profile = Profile::waybill();
//! // ordinary: one consent, names resolved anew for each decision; at most 0.5 µs median
//! let one = compile(&bench_support::consent(0), &profile)?;
//! bench_support::ask_consent(0, 0, |request| time(|| black_box(one.decide(request))));
//! // 264 windows; at most 1 µs
//! let windows = compile(&bench_support::office_hours(264), &profile)?;
//! bench_support::ask_office_hours(|request| time(|| black_box(windows.decide(request))));
//! // 100,000 consents; at most 2 µs and 200 MB
//! let mut set = PolicySet::new(&profile);
//! for i in 0..100_000 { set.insert(compile(&bench_support::consent(i), &profile)?)?; }
//! bench_support::ask_consent(777, 777, |request| time(|| black_box(set.decide(request))));
//! ```

use crate::ast::{Action, Asset, Combine, Constraint, Operator, Party, Policy, PolicyKind, Rule, Value};
use crate::request::{Member, Request, Target};
use crate::vocab::{ODRL, operand};
use waybill_model::DateTime;

/// Midnight at the start of 2024, in seconds.
const START: i64 = 1_704_067_200;
const ATTRIBUTE: &str = "https://vocabulary.example/powerConsumption";
const PURPOSE: &str = "https://w3id.org/waybill/purpose#EnergyBalance";

fn seconds(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 1_000_000)
}

fn iri(text: &str) -> Vec<Value> {
    vec![Value::Iri(text.to_owned())]
}

fn time(operator: Operator, at: i64) -> Constraint {
    Constraint::atom(operand::DATE_TIME, operator, vec![Value::Literal(DateTime::from_seconds(at).to_string(), None)])
}

fn permission(target: Asset, party: &str, constraints: Vec<Constraint>) -> Rule {
    Rule {
        targets: vec![target],
        assignees: vec![Party { uid: Some(party.to_owned()), ..Party::default() }],
        actions: vec![Action { iri: format!("{ODRL}use"), refinements: Vec::new() }],
        constraints,
        ..Rule::default()
    }
}

/// The consent of person `number`: one attribute of her meter at one precision, for one purpose, to one of a thousand parties, for a time.
pub fn consent(number: usize) -> Policy {
    let party = format!("https://party-{}.example/", number % 1_000);
    let target = Asset {
        uid: Some(format!("urn:ngsi-ld:Meter:{number}")),
        collection: false,
        refinements: vec![
            Constraint::atom(operand::ATTRIBUTE, Operator::Eq, iri(ATTRIBUTE)),
            Constraint::atom(operand::PRECISION, Operator::Eq, vec![Value::Literal("mean PT15M".to_owned(), None)]),
        ],
    };
    let constraints = vec![
        Constraint::atom(operand::PURPOSE, Operator::IsA, iri(PURPOSE)),
        Constraint::atom(operand::RECIPIENT, Operator::Eq, iri(&party)),
        time(Operator::Gteq, START + seconds(number)),
        time(Operator::Lt, START + 100_000_000 + seconds(number)),
    ];
    Policy { kind: PolicyKind::Agreement, permissions: vec![permission(target, &party, constraints)], ..Policy::set(format!("urn:consent:{number}")) }
}

/// Hands `f` the request that consent `number` permits when `party` is `number` too, and does not when it is another.
pub fn ask_consent<T>(number: usize, party: usize, f: impl FnOnce(&Request<'_>) -> T) -> T {
    let asset = format!("urn:ngsi-ld:Meter:{number}");
    let party = format!("https://party-{}.example/", party % 1_000);
    f(&Request {
        target: Target { asset: Some(Member::only(&asset)), types: Some(&["https://vocabulary.example/Meter"]), attribute: Some(ATTRIBUTE), precision: Some("mean PT15M") },
        assignee: Some(Member::only(&party)),
        recipient: Some(Member::only(&party)),
        purpose: Some(PURPOSE),
        time: Some(DateTime::from_seconds(START + 50_000_000)),
        place: None,
        duties: Some(&[]),
        ..Request::new("http://www.w3.org/ns/odrl/2/use")
    })
}

/// A permission for `urn:e` and `urn:b` from nine to five, UTC, on each of the first `days` days of 2024: one window a day.
pub fn office_hours(days: usize) -> Policy {
    let window = |day: usize| {
        let midnight = START + seconds(day * 86_400);
        Constraint::logic(Combine::And, vec![time(Operator::Gteq, midnight + 9 * 3_600), time(Operator::Lt, midnight + 17 * 3_600)])
    };
    let any = Constraint::logic(Combine::Or, (0..days).map(window).collect());
    let target = Asset { uid: Some("urn:e".to_owned()), ..Asset::default() };
    Policy { permissions: vec![permission(target, "urn:b", vec![any])], ..Policy::set("urn:office-hours") }
}

/// Hands `f` a request that [`office_hours`] permits, from the middle of its days.
pub fn ask_office_hours<T>(f: impl FnOnce(&Request<'_>) -> T) -> T {
    f(&Request {
        target: Target { asset: Some(Member::only("urn:e")), ..Target::default() },
        assignee: Some(Member::only("urn:b")),
        time: Some(DateTime::from_seconds(START + 130 * 86_400 + 12 * 3_600)),
        duties: Some(&[]),
        ..Request::new("http://www.w3.org/ns/odrl/2/use")
    })
}
