//! Laws of comparing: what is not weakened opens nothing, what is equal decides the same, and single comparisons are told apart exactly.

use super::laws::{Asked, DAYS, asked, atom, config, constraint, day, duty, policy, profiles, purpose, rule};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use waybill_model::DateTime;
use waybill_policy::reference::evaluate;
use waybill_policy::{Action, Asset, Comparison, Conflict, Constraint, DutyState, Member, Operator, Party, Policy, PolicyKind, Profile, Purposes, Request, Rule, Target, Tri, Value, compare, compile, operand};

/// A change somebody makes to an offer: which kind of change, where, and what it may need for it.
#[derive(Debug, Clone)]
struct Edit {
    what: usize,
    at: usize,
    constraint: Constraint,
    rule: Rule,
    duty: Rule,
    operator: Operator,
    day: i64,
}

const EDITS: usize = 19;

fn edit() -> impl Strategy<Value = Edit> {
    use Operator::{Eq, Gteq, IsA, IsAnyOf, IsNoneOf, Lteq};
    let operator = select(&[Eq, IsA, IsAnyOf, IsNoneOf, Gteq, Lteq][..]);
    (0..EDITS, any::<usize>(), prop_oneof![atom(), constraint()], rule(true), duty(), operator, 0..DAYS)
        .prop_map(|(what, at, constraint, rule, duty, operator, day)| Edit { what, at, constraint, rule, duty, operator, day })
}

/// The nth of a list, if there is any.
fn nth<T>(list: &mut [T], at: usize) -> Option<&mut T> {
    let len = list.len();
    list.get_mut(at.checked_rem(len)?)
}

fn take<T>(list: &mut Vec<T>, at: usize) {
    if let Some(at) = at.checked_rem(list.len()) {
        list.remove(at);
    }
}

impl Edit {
    fn apply(&self, policy: &mut Policy) {
        let at = self.at;
        let count = policy.permissions.len() + policy.prohibitions.len();
        let mut rules = policy.permissions.iter_mut().chain(&mut policy.prohibitions);
        let rule = at.checked_rem(count).and_then(|i| rules.nth(i));
        let deep = at / 7;
        match (self.what, rule) {
            (0, Some(rule)) => rule.constraints.push(self.constraint.clone()),
            (1, Some(rule)) => take(&mut rule.constraints, deep),
            (2, Some(rule)) => {
                if let Some(c) = nth(&mut rule.constraints, deep) {
                    *c = self.constraint.clone();
                }
            }
            // One comparison made another of the same operand.
            (3..=5, Some(rule)) => {
                if let Some(Constraint::Atom(atom)) = nth(&mut rule.constraints, deep) {
                    let time = atom.operand == operand::DATE_TIME;
                    let fits = time == matches!(self.operator, Operator::Gteq | Operator::Lteq) || self.operator == Operator::Eq;
                    if self.what == 3 && fits {
                        atom.operator = self.operator;
                        atom.right.truncate(1);
                    } else if time {
                        atom.right[0] = Value::Literal(day(self.day).to_string(), None);
                    } else if matches!(atom.operator, Operator::IsAnyOf | Operator::IsNoneOf | Operator::IsAllOf) {
                        atom.right.push(Value::Iri(if atom.operand == operand::PURPOSE { purpose("B") } else { "urn:c".to_owned() }));
                    }
                }
            }
            (6, Some(rule)) => rule.constraints = vec![Constraint::logic(waybill_policy::Combine::And, rule.constraints.drain(..).chain([self.constraint.clone()]).collect())],
            (7, Some(rule)) => rule.constraints.reverse(),
            (8, Some(rule)) if rule.targets.len() > 1 => take(&mut rule.targets, deep),
            (9, Some(rule)) => rule.targets.push(Asset { uid: Some("urn:c".to_owned()), ..Asset::default() }),
            (10, Some(rule)) => rule.assignees.push(Party { uid: Some("urn:b".to_owned()), ..Party::default() }),
            (11, Some(rule)) => take(&mut rule.assignees, deep),
            (12, Some(rule)) => rule.actions.push(Action { iri: "http://www.w3.org/ns/odrl/2/read".to_owned(), ..Action::default() }),
            (13, Some(rule)) if rule.actions.len() > 1 => take(&mut rule.actions, deep),
            (14, _) => policy.prohibitions.push(self.rule_without_duties()),
            (15, _) => take(&mut policy.prohibitions, at),
            (16, _) => policy.permissions.push(self.rule.clone()),
            (17, _) => {
                if let Some(rule) = nth(&mut policy.permissions, at) {
                    match deep % 3 {
                        0 => rule.duties.push(self.duty.clone()),
                        1 => take(&mut rule.duties, deep),
                        _ => {
                            if let Some(duty) = nth(&mut rule.duties, deep) {
                                duty.constraints.clone_from(&self.duty.constraints);
                            }
                        }
                    }
                }
            }
            (18, _) if deep.is_multiple_of(2) => policy.conflict = if deep.is_multiple_of(4) { Conflict::Prohibit } else { Conflict::Perm },
            (18, _) => policy.purpose_version = 3 - policy.purpose_version,
            _ => {}
        }
    }

    fn rule_without_duties(&self) -> Rule {
        Rule { duties: Vec::new(), ..self.rule.clone() }
    }
}

/// An offer, and the same after some changes. Some are about anything and by anybody until the protocol says.
fn pair() -> impl Strategy<Value = (Policy, Policy)> {
    (policy(), proptest::collection::vec(edit(), 0..4), 0..16u8).prop_map(|(mut own, edits, open)| {
        own.kind = PolicyKind::Agreement;
        let mut theirs = own.clone();
        for edit in &edits {
            edit.apply(&mut theirs);
        }
        for (bit, target) in [(1, true), (2, false)] {
            if open & bit == 0 || open & 8 != 0 {
                continue;
            }
            for (policy, set) in [(&mut own, open & 4 != 0), (&mut theirs, true)] {
                for rule in policy.permissions.iter_mut().chain(&mut policy.prohibitions) {
                    if target {
                        rule.targets = set.then(|| Asset { uid: Some("urn:a".to_owned()), ..Asset::default() }).into_iter().collect();
                    } else {
                        rule.assignees = set.then(|| Party { uid: Some("urn:a".to_owned()), ..Party::default() }).into_iter().collect();
                    }
                }
            }
        }
        (own, theirs)
    })
}

/// The same the other way round.
fn turned(policy: &Policy) -> Policy {
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
    turned
}

fn weakened(comparison: &Comparison) -> bool {
    matches!(comparison, Comparison::Weakened(_))
}

/// Whether theirs names throughout what one's own is silent about, so that one's own is about more.
fn filled(own: &Policy, theirs: &Policy) -> bool {
    let any = |silent: fn(&Rule) -> bool| {
        let rules = |p: &Policy, f: &dyn Fn(&Rule) -> bool| p.permissions.iter().chain(&p.prohibitions).any(f);
        rules(own, &silent) && !rules(theirs, &silent)
    };
    any(|r| r.targets.is_empty()) || any(|r| r.assignees.is_empty())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_not_weakened_opens_nothing((own, theirs) in pair(), requests in proptest::collection::vec(asked(), 16)) {
        for profile in profiles() {
            let said = compare(&own, &theirs, &profile);
            if weakened(&said) {
                continue;
            }
            let compiled = (compile(&theirs, &profile), compile(&own, &profile));
            for asked in &requests {
                asked.with(|request| {
                    let (a, b) = (evaluate(&theirs, &profile, request).allow, evaluate(&own, &profile, request).allow);
                    prop_assert!(!a || b, "{:?}", said);
                    if said == Comparison::Equal && !filled(&own, &theirs) {
                        prop_assert_eq!(a, b);
                    }
                    // The compiled forms too, where both can be compiled.
                    if let (Ok(theirs), Ok(own)) = &compiled {
                        prop_assert!(!theirs.decide(request).allow || own.decide(request).allow, "{:?}", said);
                    }
                    Ok(())
                })?;
            }
        }
    }

    #[test]
    fn an_offer_equals_itself_in_any_order(policy in policy()) {
        for profile in profiles() {
            prop_assert_eq!(compare(&policy, &policy, &profile), Comparison::Equal);
            prop_assert_eq!(compare(&policy, &turned(&policy), &profile), Comparison::Equal);
        }
    }

    #[test]
    fn what_is_said_does_not_depend_on_the_order_of_writing((own, theirs) in pair()) {
        let [profile, _] = profiles();
        prop_assert_eq!(compare(&own, &theirs, &profile), compare(&turned(&own), &turned(&theirs), &profile));
        prop_assert_eq!(compare(&own, &theirs, &profile), compare(&own, &turned(&theirs), &profile));
    }

    #[test]
    fn less_is_not_weakened_and_more_is_not_narrower(policy in policy(), edit in edit(), which in 0..5usize) {
        let mut less = policy.clone();
        match which {
            0 => less.permissions[0].constraints.push(edit.constraint.clone()),
            1 => less.prohibitions.push(edit.rule_without_duties()),
            2 => take(&mut less.permissions, edit.at),
            3 => less.permissions[0].duties.push(edit.duty.clone()),
            _ => take(&mut less.permissions[0].targets, edit.at),
        }
        if less.permissions.iter().all(|r| !r.targets.is_empty()) {
            for profile in profiles() {
                let (down, up) = (compare(&policy, &less, &profile), compare(&less, &policy, &profile));
                prop_assert!(!weakened(&down), "{:?}", down);
                prop_assert!(!matches!(up, Comparison::Narrower(_)), "{:?}", up);
                if !filled(&policy, &less) && !filled(&less, &policy) {
                    prop_assert_eq!(down == Comparison::Equal, up == Comparison::Equal);
                }
            }
        }
    }
}

/// The law says little if everything is weakened, or if nothing is ever permitted.
#[test]
fn random_pairs_reach_every_verdict() {
    const SAMPLES: usize = 400;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let [profile, _] = profiles();
    let (mut counts, mut allowed, mut witnesses) = ([0usize; 3], 0, 0);
    let sample = (pair(), proptest::collection::vec(asked(), 30));
    for _ in 0..SAMPLES {
        let ((own, theirs), requests) = sample.new_tree(&mut runner).unwrap().current();
        let said = compare(&own, &theirs, &profile);
        let verdict = match said {
            Comparison::Equal => 0,
            Comparison::Narrower(_) => 1,
            Comparison::Weakened(_) => 2,
        };
        counts[verdict] += 1;
        let both = |asked: &Asked| asked.with(|r| (evaluate(&own, &profile, r).allow, evaluate(&theirs, &profile, r).allow));
        allowed += usize::from(verdict < 2 && requests.iter().any(|r| both(r).1));
        witnesses += usize::from(verdict == 2 && requests.iter().any(|r| both(r) == (false, true)));
    }
    println!("of {SAMPLES} pairs {} were equal, {} narrower, {} weakened; in {allowed} that were not weakened something was permitted, in {witnesses} weakened ones it was more", counts[0], counts[1], counts[2]);
    assert!(counts.iter().all(|c| c * 10 > SAMPLES), "{counts:?}");
    assert!(allowed * 10 > SAMPLES && witnesses * 20 > SAMPLES);
}

/// A permission of anything under one condition.
fn under(atom: &Constraint, version: u32) -> Policy {
    let permission = Rule { actions: vec![Action { iri: "http://www.w3.org/ns/odrl/2/use".to_owned(), ..Action::default() }], constraints: vec![atom.clone()], ..Rule::default() };
    Policy { permissions: vec![permission], purpose_version: version, kind: PolicyKind::Agreement, ..Policy::set("urn:policy") }
}

/// All comparisons of an operand with some of these values.
fn atoms(what: &str, operators: &[Operator], values: &[Value]) -> Vec<Constraint> {
    let mut out = Vec::new();
    for operator in operators {
        for chosen in 1..1u32 << values.len() {
            let right: Vec<Value> = values.iter().enumerate().filter(|(i, _)| chosen & (1 << i) != 0).map(|(_, v)| v.clone()).collect();
            if right.len() == 1 || matches!(operator, Operator::IsAnyOf | Operator::IsAllOf | Operator::IsNoneOf) {
                out.push(Constraint::atom(what, *operator, right));
            }
        }
    }
    out
}

/// Of each pair of permissions, each under one condition, the verdict must be what the values for all requests are.
fn exact(policies: &[Policy], requests: &[Request<'_>], profile: &Profile) {
    let values = |p: &Policy| -> Vec<Tri> { requests.iter().map(|r| evaluate(p, profile, r).rules[0].standing()).collect() };
    let all: Vec<Vec<Tri>> = policies.iter().map(values).collect();
    for (own, mine) in policies.iter().zip(&all) {
        for (theirs, back) in policies.iter().zip(&all) {
            let said = compare(own, theirs, profile);
            let within = back.iter().zip(mine).all(|(t, o)| t <= o);
            let rule = |p: &Policy| p.permissions[0].clone();
            assert_eq!((!weakened(&said), said == Comparison::Equal), (within, back == mine), "{:?} {:?} {said:?}", rule(own), rule(theirs));
        }
    }
}

const NAMED: &[Operator] = &[Operator::Eq, Operator::Neq, Operator::IsA, Operator::IsAnyOf, Operator::IsAllOf, Operator::IsNoneOf, Operator::IsPartOf, Operator::HasPart];

#[test]
fn single_comparisons_of_names_are_told_apart_exactly() {
    let [_, profile] = profiles();
    let names = ["urn:a", "urn:b", "urn:c", "urn:unnamed"];
    let sets: Vec<Vec<&str>> = (0..8u8).map(|bits| names.iter().take(3).enumerate().filter(|(i, _)| bits & (1 << i) != 0).map(|(_, n)| *n).collect()).collect();
    let within: Vec<Option<&[&str]>> = sets.iter().map(|s| Some(s.as_slice())).chain([None]).collect();
    let members: Vec<Option<Member<'_>>> = names.iter().flat_map(|id| within.iter().map(|w| Some(Member { id, within: *w }))).chain([None]).collect();
    let single: Vec<Option<&str>> = names.iter().map(|n| Some(*n)).chain([None]).collect();
    let asking = Request::new("http://www.w3.org/ns/odrl/2/use");
    let values: Vec<Value> = names[..3].iter().map(|n| Value::Iri((*n).to_owned())).collect();
    let cases: [(&str, Vec<Request<'_>>); 7] = [
        (operand::RECIPIENT, members.iter().map(|m| Request { recipient: *m, ..asking }).collect()),
        (operand::ASSIGNEE, members.iter().map(|m| Request { assignee: *m, ..asking }).collect()),
        (operand::SPATIAL, members.iter().map(|m| Request { place: *m, ..asking }).collect()),
        (operand::ENTITY, members.iter().map(|m| Request { target: Target { asset: *m, ..Target::default() }, ..asking }).collect()),
        (operand::ENTITY_TYPE, within.iter().map(|t| Request { target: Target { types: *t, ..Target::default() }, ..asking }).collect()),
        (operand::ATTRIBUTE, single.iter().map(|a| Request { target: Target { attribute: *a, ..Target::default() }, ..asking }).collect()),
        (operand::PRECISION, single.iter().map(|p| Request { target: Target { precision: *p, ..Target::default() }, ..asking }).collect()),
    ];
    for (what, requests) in cases {
        let policies: Vec<Policy> = atoms(what, NAMED, &values).iter().map(|c| under(c, 1)).collect();
        exact(&policies, &requests, &profile);
    }
}

#[test]
fn single_comparisons_of_times_are_told_apart_exactly() {
    use Operator::{Eq, Gt, Gteq, IsAnyOf, IsNoneOf, Lt, Lteq, Neq};
    let [_, profile] = profiles();
    let values: Vec<Value> = (1..4).map(|d| Value::Literal(day(d).to_string(), None)).collect();
    let times: Vec<Option<DateTime>> = (1..4).flat_map(|d| [-1, 0, 1].map(|n| Some(DateTime::from_micros(day(d).micros() + n)))).chain([None]).collect();
    let requests: Vec<Request<'_>> = times.iter().map(|t| Request { time: *t, ..Request::new("http://www.w3.org/ns/odrl/2/use") }).collect();
    let policies: Vec<Policy> = atoms(operand::DATE_TIME, &[Eq, Neq, Gt, Gteq, Lt, Lteq, IsAnyOf, IsNoneOf], &values).iter().map(|c| under(c, 1)).collect();
    exact(&policies, &requests, &profile);
}

#[test]
fn single_comparisons_of_purposes_are_told_apart_exactly() {
    let [_, profile] = profiles();
    let all: Vec<String> = profile.purposes().iter().map(|p| p.iri.clone()).chain(["urn:foreign".to_owned()]).collect();
    let requests: Vec<Request<'_>> = all.iter().map(|p| Some(p.as_str())).chain([None]).map(|purpose| Request { purpose, ..Request::new("http://www.w3.org/ns/odrl/2/use") }).collect();
    let values: Vec<Value> = [purpose("A"), purpose("B"), purpose("D")].map(Value::Iri).to_vec();
    let policies: Vec<Policy> = atoms(operand::PURPOSE, NAMED, &values).iter().flat_map(|c| [under(c, 1), under(c, 2)]).collect();
    exact(&policies, &requests, &profile);
}

#[test]
fn single_duties_are_told_apart_exactly() {
    use Operator::{Gteq, Lt};
    let [_, profile] = profiles();
    let bound = |operator: Operator, d: i64| Constraint::atom(operand::DATE_TIME, operator, vec![Value::Literal(day(d).to_string(), None)]);
    let windows = [vec![], vec![bound(Lt, 2)], vec![bound(Lt, 4)], vec![bound(Gteq, 1)], vec![bound(Gteq, 3)], vec![bound(Gteq, 1), bound(Lt, 4)], vec![bound(Gteq, 2), bound(Lt, 3)]];
    let states = [vec![], vec![("urn:d", DutyState::Fulfilled)], vec![("urn:d", DutyState::Violated)]];
    let times: Vec<Option<DateTime>> = (0..6).map(|d| Some(day(d))).chain([None]).collect();
    let asking = Request::new("http://www.w3.org/ns/odrl/2/use");
    let known = times.iter().flat_map(|t| states.iter().map(|s| Request { time: *t, duties: Some(s.as_slice()), ..asking }));
    let requests: Vec<Request<'_>> = known.chain([asking]).collect();
    for action in ["delete", "inform"] {
        let iri = format!("http://www.w3.org/ns/odrl/2/{action}");
        let mut policies: Vec<Policy> = windows
            .iter()
            .map(|constraints| {
                let actions = vec![Action { iri: iri.clone(), ..Action::default() }];
                let duty = Rule { uid: Some("urn:d".to_owned()), actions, constraints: constraints.clone(), ..Rule::default() };
                let mut policy = under(&bound(Gteq, 0), 1);
                policy.permissions[0].constraints.clear();
                policy.permissions[0].duties.push(duty);
                policy
            })
            .collect();
        let mut free = policies[0].clone();
        free.permissions[0].duties.clear();
        policies.push(free);
        exact(&policies, &requests, &profile);
    }
}

#[test]
fn the_whole_scheme_orders_offers_as_it_orders_purposes() {
    let profile = Profile::waybill();
    let purposes = Purposes::bundled();
    let one = |iri: &str| {
        let mut policy = under(&Constraint::atom(operand::PURPOSE, Operator::IsA, vec![Value::Iri(iri.to_owned())]), purposes.version());
        policy.permissions[0].targets.push(Asset { uid: Some("urn:data".to_owned()), ..Asset::default() });
        policy
    };
    let usable: Vec<&str> = purposes.iter().filter(|p| !p.top).map(|p| p.iri.as_str()).collect();
    let mut narrower = 0;
    let theirs: Vec<(&str, Policy)> = usable.iter().map(|iri| (*iri, one(iri))).collect();
    // Every third is enough of the broad ones, and a third of the time.
    for broad in usable.iter().step_by(3) {
        let own = one(broad);
        for (narrow, theirs) in &theirs {
            let said = compare(&own, theirs, &profile);
            assert_eq!(!weakened(&said), purposes.covers(broad, narrow, purposes.version()), "{broad} {narrow}");
            narrower += usize::from(matches!(said, Comparison::Narrower(_)));
        }
    }
    assert!(narrower * 3 > usable.len(), "the scheme has depth: {narrower}");
}
