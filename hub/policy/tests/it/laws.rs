//! Laws over random policies and requests: the compiled form against the reference, order, monotonicity, residual and writing.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use waybill_model::DateTime;
use waybill_policy::reference::evaluate;
use waybill_policy::{
    Action, Asset, Combine, Conflict, Constraint, DutyState, Member, Operator, Party, Policy, PolicyKind, Profile, Purposes, Request, Rule, RuleKind, Target, Tri, Value, compile, operand,
    parse,
};

/// Few names, and one that comes often, so that rules fit requests often enough to decide something.
const NAMES: &[&str] = &["urn:a", "urn:a", "urn:b", "urn:c"];
const ACTIONS: &[&str] = &["use", "use", "use", "distribute", "transfer", "modify"];
const PURPOSES: &[&str] = &["A", "B", "C", "D"];
/// Midnights from which windows are made.
pub(crate) const DAYS: i64 = 6;
const SAMPLES: usize = 2_000;

/// A small scheme in which one purpose came late and another was linked late.
const SCHEME: &str = r#"{"version": 2, "concepts": [
    {"id": "A", "since": 1, "label": "a", "text": "a.", "broader": [], "broadMatch": "Marketing"},
    {"id": "B", "since": 1, "label": "b", "text": "b.", "broader": ["A"], "broadMatch": "Advertising"},
    {"id": "C", "since": 2, "label": "c", "text": "c.", "broader": ["A"], "broadMatch": "Advertising"},
    {"id": "D", "since": 1, "label": "d", "text": "d.", "broader": ["B"], "broadMatch": "Advertising", "linked": {"B": 2}}]}"#;

pub(crate) fn purpose(id: &str) -> String {
    format!("https://w3id.org/waybill/purpose#{id}")
}

pub(crate) fn day(n: i64) -> DateTime {
    DateTime::from_seconds(n * 86_400)
}

pub(crate) fn atom() -> impl Strategy<Value = Constraint> {
    use Operator::{Eq, Gt, Gteq, HasPart, IsA, IsAllOf, IsAnyOf, IsNoneOf, IsPartOf, Lt, Lteq, Neq};
    let uid = proptest::option::of(Just("urn:constraint".to_owned()));
    let time = (select(&[Eq, Neq, Gt, Gteq, Lt, Lteq, IsAnyOf, IsNoneOf][..]), proptest::collection::vec(0..DAYS, 1..3)).prop_map(|(op, days)| {
        let list = matches!(op, IsAnyOf | IsNoneOf);
        let right = days.iter().take(if list { 2 } else { 1 }).map(|d| Value::Literal(day(*d).to_string(), None)).collect();
        (operand::DATE_TIME, op, right)
    });
    let ops = &[Eq, Neq, IsA, IsAnyOf, IsAllOf, IsNoneOf, IsPartOf, HasPart][..];
    let names = (
        select(&[operand::RECIPIENT, operand::ASSIGNEE, operand::SPATIAL, operand::ENTITY, operand::ENTITY_TYPE, operand::ATTRIBUTE, operand::PRECISION][..]),
        select(ops),
        proptest::collection::vec(select(NAMES), 1..3),
    )
        .prop_map(|(what, op, right)| (what, op, right.into_iter().map(|n| Value::Iri(n.to_owned())).collect::<Vec<_>>()));
    // C is of version 2 and may not be named by a policy of version 1.
    let aims = (select(ops), proptest::collection::vec(select(&["A", "B", "D"][..]), 1..3))
        .prop_map(|(op, right)| (operand::PURPOSE, op, right.into_iter().map(|p| Value::Iri(purpose(p))).collect::<Vec<_>>()));
    (prop_oneof![time, names, aims], uid).prop_map(|((what, op, mut right), uid): ((&str, Operator, Vec<Value>), _)| {
        if !matches!(op, IsAnyOf | IsAllOf | IsNoneOf) {
            right.truncate(1);
        }
        let mut made = Constraint::atom(what, op, right);
        if let Constraint::Atom(a) = &mut made {
            a.uid = uid;
        }
        made
    })
}

pub(crate) fn constraint() -> impl Strategy<Value = Constraint> {
    atom().prop_recursive(3, 12, 4, |inner| {
        (select(&[Combine::And, Combine::Or, Combine::Xone, Combine::Xone, Combine::AndSequence][..]), proptest::collection::vec(inner, 1..5)).prop_map(|(how, of)| Constraint::logic(how, of))
    })
}

fn constraints() -> impl Strategy<Value = Vec<Constraint>> {
    prop_oneof![2 => Just(Vec::new()), 3 => proptest::collection::vec(constraint(), 1..2), 1 => proptest::collection::vec(constraint(), 2..4)]
}

fn few() -> impl Strategy<Value = Vec<Constraint>> {
    prop_oneof![8 => Just(Vec::new()), 1 => proptest::collection::vec(atom(), 1..2)]
}

fn action() -> impl Strategy<Value = Action> {
    (select(ACTIONS), few()).prop_map(|(a, refinements)| Action { iri: format!("http://www.w3.org/ns/odrl/2/{a}"), refinements })
}

pub(crate) fn duty() -> impl Strategy<Value = Rule> {
    let window = proptest::option::of((select(&[Operator::Lt, Operator::Gteq, Operator::Lteq, Operator::Gt][..]), 0..DAYS));
    (select(&["urn:duty1", "urn:duty2"][..]), select(&["inform", "delete"][..]), window).prop_map(|(uid, action, window)| Rule {
        uid: Some(uid.to_owned()),
        actions: vec![Action { iri: format!("http://www.w3.org/ns/odrl/2/{action}"), refinements: Vec::new() }],
        constraints: window.into_iter().map(|(op, d)| Constraint::atom(operand::DATE_TIME, op, vec![Value::Literal(day(d).to_string(), None)])).collect(),
        ..Rule::default()
    })
}

pub(crate) fn rule(duties: bool) -> impl Strategy<Value = Rule> {
    let asset = (proptest::option::weighted(0.8, select(NAMES)), any::<bool>(), few());
    let party = (select(NAMES), any::<bool>(), few());
    (
        proptest::collection::vec(asset, usize::from(duties)..3),
        proptest::collection::vec(party, 0..2),
        proptest::collection::vec(action(), usize::from(duties)..3),
        constraints(),
        prop_oneof![3 => Just(Vec::new()), 1 => proptest::collection::vec(duty(), 1..3)],
    )
        .prop_map(move |(assets, parties, actions, constraints, duties_made)| Rule {
            uid: None,
            targets: assets
                .into_iter()
                .map(|(uid, collection, refinements)| Asset { uid: uid.or(refinements.is_empty().then_some("urn:a")).map(str::to_owned), collection, refinements })
                .collect(),
            assignees: parties.into_iter().map(|(uid, collection, refinements)| Party { uid: Some(uid.to_owned()), collection, refinements }).collect(),
            assigners: Vec::new(),
            actions,
            constraints,
            duties: if duties { duties_made } else { Vec::new() },
        })
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    (
        prop_oneof![5 => Just(PolicyKind::Set), 5 => Just(PolicyKind::Agreement), 1 => Just(PolicyKind::Offer)],
        select(&[Conflict::Perm, Conflict::Prohibit, Conflict::Invalid][..]),
        1..3u32,
        proptest::collection::vec(rule(true), 1..4),
        proptest::collection::vec(rule(false), 0..3),
    )
        .prop_map(|(kind, conflict, purpose_version, permissions, prohibitions)| Policy {
            kind,
            conflict,
            purpose_version,
            permissions,
            prohibitions,
            ..Policy::set("urn:policy")
        })
}

/// A name and what it lies within, if that is known.
type Whom = Option<(&'static str, Option<Vec<&'static str>>)>;

/// A request that owns what it names, so that it can be generated.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    action: String,
    who: [Whom; 4],
    types: Option<Vec<&'static str>>,
    attribute: Option<&'static str>,
    precision: Option<&'static str>,
    purpose: Option<String>,
    time: Option<i64>,
    duties: Option<Vec<(&'static str, DutyState)>>,
}

impl Asked {
    pub(crate) fn with<T>(&self, f: impl FnOnce(&Request<'_>) -> T) -> T {
        let member = |i: usize| self.who[i].as_ref().map(|(id, within)| Member { id, within: within.as_deref() });
        f(&Request {
            action: &self.action,
            target: Target { asset: member(0), types: self.types.as_deref(), attribute: self.attribute, precision: self.precision },
            assignee: member(1),
            recipient: member(2),
            purpose: self.purpose.as_deref(),
            time: self.time.map(day),
            place: member(3),
            duties: self.duties.as_deref(),
        })
    }

    /// The same with one input less.
    fn without(&self, which: usize) -> Self {
        let mut less = self.clone();
        match which {
            0..4 => less.who[which] = None,
            4..8 => less.who[which - 4] = less.who[which - 4].take().map(|(id, _)| (id, None)),
            8 => less.types = None,
            9 => less.attribute = None,
            10 => less.precision = None,
            11 => less.purpose = None,
            12 => less.time = None,
            _ => less.duties = None,
        }
        less
    }
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let many = || proptest::collection::vec(select(NAMES), 0..3);
    let who = || proptest::option::weighted(0.95, (select(NAMES), proptest::option::weighted(0.9, many())));
    let aim = prop_oneof![4 => select(PURPOSES).prop_map(purpose), 1 => Just("https://w3id.org/dpv#PersonalisedAdvertising".to_owned()), 1 => Just("urn:foreign".to_owned()), 1 => Just("https://w3id.org/dpv#Purpose".to_owned())];
    let state = (select(&["urn:duty1", "urn:duty2"][..]), select(&[DutyState::Fulfilled, DutyState::NotSet, DutyState::Violated][..]));
    (
        select(&["use", "use", "read", "read", "distribute", "sell", "move", "fly"][..]),
        [who(), who(), who(), who()],
        (
            proptest::option::weighted(0.9, many()),
            proptest::option::weighted(0.9, select(NAMES)),
            proptest::option::weighted(0.9, select(NAMES)),
            proptest::option::weighted(0.95, aim),
            proptest::option::weighted(0.95, 0..DAYS),
            proptest::option::weighted(0.95, proptest::collection::vec(state, 0..3)),
        ),
    )
        .prop_map(|(action, who, (types, attribute, precision, purpose, time, duties))| Asked {
            action: format!("http://www.w3.org/ns/odrl/2/{action}"),
            who,
            types,
            attribute,
            precision,
            purpose,
            time,
            duties,
        })
}

pub(crate) fn profiles() -> [Profile; 2] {
    static PURPOSES: std::sync::LazyLock<Purposes> = std::sync::LazyLock::new(|| Purposes::from_json(SCHEME).unwrap());
    let purposes = PURPOSES.clone();
    [Profile::with(purposes.clone(), true), Profile::with(purposes, false)]
}

/// `PROPTEST_CASES` asks for more; the usual number is what a build can wait for.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|c| c.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// The laws say little if every request is refused: the generators must reach permissions, and prohibitions that stand because an input
/// is missing.
#[test]
fn random_policies_reach_every_kind_of_answer() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let [profile, _] = profiles();
    let (mut permitted, mut conflicts, mut unsure) = (0, 0, 0);
    for _ in 0..SAMPLES {
        let (policy, asked) = (policy(), asked()).new_tree(&mut runner).unwrap().current();
        let why = asked.with(|request| compile(&policy, &profile).unwrap().explain(request));
        permitted += usize::from(why.decision.allow);
        if why.decision.permitted_by.is_some() && why.decision.prohibited_by.is_some() {
            conflicts += 1;
            unsure += usize::from(why.rules.iter().all(|r| r.kind != RuleKind::Prohibition || r.standing() != Tri::True));
        }
    }
    println!("of {SAMPLES} random requests {permitted} were permitted, {conflicts} met a conflict, {unsure} of them for a missing input");
    assert!(permitted * 20 > SAMPLES && permitted * 2 < SAMPLES);
    assert!(conflicts * 100 > SAMPLES && unsure * 400 > SAMPLES);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_compiled_form_agrees_with_the_reference(policy in policy(), asked in asked()) {
        for profile in profiles() {
            let compiled = compile(&policy, &profile).unwrap();
            asked.with(|request| {
                let said = evaluate(&policy, &profile, request);
                let why = compiled.explain(request);
                prop_assert_eq!(why.decision.allow, said.allow, "{}", why);
                for ours in why.rules.iter().filter(|_| policy.kind != PolicyKind::Offer) {
                    let same_kind: Vec<_> = said.rules.iter().filter(|r| r.kind == ours.kind).collect();
                    let theirs = same_kind[ours.number as usize];
                    prop_assert_eq!((ours.premises, ours.conditions), (theirs.premises(), theirs.conditions), "{}", why);
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn the_order_of_rules_and_constraints_does_not_matter(policy in policy(), asked in asked()) {
        let mut turned = policy.clone();
        turned.permissions.reverse();
        turned.prohibitions.reverse();
        for rule in turned.permissions.iter_mut().chain(&mut turned.prohibitions) {
            rule.constraints.reverse();
            rule.targets.reverse();
            rule.assignees.reverse();
            rule.actions.reverse();
            rule.duties.reverse();
        }
        let [profile, _] = profiles();
        let (one, other) = (compile(&policy, &profile).unwrap(), compile(&turned, &profile).unwrap());
        asked.with(|request| {
            let (a, b) = (one.decide(request), other.decide(request));
            prop_assert_eq!(a.allow, b.allow);
            let mut owed: [Vec<_>; 2] = [one.obligations(&a), other.obligations(&b)].map(|l| l.into_iter().map(|o| (o.uid, o.action, o.due)).collect());
            for list in &mut owed {
                list.sort();
            }
            prop_assert_eq!(&owed[0], &owed[1]);
            Ok(())
        })?;
    }

    #[test]
    fn adding_a_prohibition_never_opens(policy in policy(), more in rule(false), asked in asked()) {
        let mut stricter = policy.clone();
        stricter.prohibitions.push(more);
        let [profile, _] = profiles();
        asked.with(|request| {
            if compile(&stricter, &profile).unwrap().decide(request).allow {
                prop_assert!(compile(&policy, &profile).unwrap().decide(request).allow);
            }
            Ok(())
        })?;
    }

    #[test]
    fn removing_an_input_never_opens(policy in policy(), asked in asked(), which in 0..14usize) {
        for profile in profiles() {
            let compiled = compile(&policy, &profile).unwrap();
            if asked.without(which).with(|request| compiled.decide(request).allow) {
                prop_assert!(asked.with(|request| compiled.decide(request).allow), "input {}", which);
            }
        }
    }

    #[test]
    fn the_residual_is_exact_for_known_targets_and_sound_for_others(policy in policy(), asked in asked(), hide in 0..32u8) {
        let [profile, _] = profiles();
        let compiled = compile(&policy, &profile).unwrap();
        asked.with(|request| {
            let mut open = *request;
            if hide & 1 != 0 { open.target.asset = None; }
            if hide & 2 != 0 { open.target.types = None; }
            if hide & 4 != 0 { open.target.attribute = None; }
            if hide & 8 != 0 { open.target.precision = None; }
            if hide & 16 != 0 { open.target.asset = open.target.asset.map(|a| Member::lone(a.id)); }
            let residual = compiled.residual(&open);
            let matches = residual.matches(&request.target);
            let allow = compiled.decide(request).allow;
            prop_assert!(!matches || allow, "{:?}", residual);
            let known = request.target.asset.is_some_and(|a| a.within.is_some()) && request.target.types.is_some() && request.target.attribute.is_some() && request.target.precision.is_some();
            if known {
                prop_assert_eq!(matches, allow, "{:?}", residual);
            }
            if matches {
                let inside = |kind, names: Vec<&str>| residual.bound(kind).is_none_or(|b| names.iter().any(|n| b.contains(*n)));
                prop_assert!(inside(waybill_policy::FactKind::Entity, request.target.asset.iter().map(|a| a.id).collect()));
                prop_assert!(inside(waybill_policy::FactKind::EntityType, request.target.types.unwrap_or_default().to_vec()));
                prop_assert!(inside(waybill_policy::FactKind::Attribute, request.target.attribute.into_iter().collect()));
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_answer_holds_until_the_time_it_names(policy in policy(), asked in asked(), later in 0..DAYS) {
        let [profile, _] = profiles();
        let compiled = compile(&policy, &profile).unwrap();
        asked.with(|request| {
            let decision = compiled.decide(request);
            let Some(now) = request.time else { return Ok(()) };
            let then = day(later);
            if then > now && decision.valid_until.is_none_or(|until| then < until) {
                prop_assert_eq!(compiled.decide(&Request { time: Some(then), ..*request }).allow, decision.allow);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_policy_written_is_the_policy_read(policy in policy()) {
        let text = serde_json::to_vec(&policy.to_json()).unwrap();
        prop_assert_eq!(parse(&text).unwrap(), policy);
    }
}
