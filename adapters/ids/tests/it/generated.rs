//! Policies of IDS made up at random: what can be carried over, and parts that cannot.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Operators that are true of the same things as one of ODRL, whatever they compare.
const OPERATORS: &[&str] = &["EQUALS", "EQ", "SAME_AS", "STRING_EQ", "NOT", "GT", "GTEQ", "LT", "LTEQ", "IN"];
const OF_TIMES: &[&str] = &["AFTER", "BEFORE", "TEMPORAL_EQUALS", "GTEQ", "LTEQ"];
const OF_DURATIONS: &[&str] = &["SHORTER", "SHORTER_EQ", "LONGER", "LONGER_EQ", "DURATION_EQ", "LTEQ"];
/// Operators of the code list that nothing in ODRL means.
const WITHOUT_TWIN: &[&str] = &["MATCHES", "STRING_CONTAINS", "HAS_STATE", "COVERED_BY", "INSIDE", "MEETS", "INSIDE_NETWORK", "HAS_SITE", "DEFINES_AS"];
const LEFT: &[&str] = &["COUNT", "PURPOSE", "EVENT", "ROLE", "CONNECTOR", "STATE", "PAY_AMOUNT", "ABSOLUTE_SPATIAL_POSITION", "SECURITY_LEVEL"];
const ACTIONS: &[&str] = &["USE", "READ", "DELETE", "DISTRIBUTE", "LOG", "NOTIFY", "ENCRYPT", "NEXT_POLICY", "AGGREGATE_BY_CONSUMER"];

fn code(all: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(all).prop_map(|c| json!({ "@id": format!("idsc:{c}") }))
}

fn literal() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-z:]{1,8}".prop_map(Value::from),
        (0..99i32).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z ]{1,8}".prop_map(|t| json!({ "@value": t, "@type": "xsd:string" })),
        "[a-z]{1,8}".prop_map(|t| json!({ "@value": t, "@language": "nl" })),
        "[a-z]{1,8}".prop_map(|t| json!({ "@id": format!("urn:x:{t}") })),
    ]
}

fn atom(left: Value, operator: Value, right: Value) -> Value {
    json!({ "@type": "ids:Constraint", "ids:leftOperand": left, "ids:operator": operator, "ids:rightOperand": right })
}

/// A constraint that can be carried over whole.
fn sound() -> impl Strategy<Value = Value> {
    let time = "20[0-9][0-9]-01-01T00:00:00Z".prop_map(|t| json!({ "@value": t, "@type": "xsd:dateTimeStamp" }));
    let span = (1..30u8).prop_map(|d| json!({ "@value": format!("P{d}D"), "@type": "xsd:duration" }));
    let plain = prop_oneof![
        4 => (code(LEFT), code(OPERATORS), prop::collection::vec(literal(), 1..3)).prop_map(|(l, o, r)| atom(l, o, r.into())),
        1 => (code(&["POLICY_EVALUATION_TIME", "DATE_TIME"]), code(OF_TIMES), time).prop_map(|(l, o, r)| atom(l, o, r)),
        1 => (code(&["ELAPSED_TIME", "DELAY"]), code(OF_DURATIONS), span).prop_map(|(l, o, r)| atom(l, o, r)),
        1 => literal().prop_map(|r| atom(json!({ "@id": "idsc:USER" }), json!({ "@id": "idsc:MEMBER_OF" }), r)),
        1 => Just(atom(json!({ "@id": "idsc:EVENT" }), json!({ "@id": "idsc:LT" }), json!({ "@id": "odrl:policyUsage" }))),
    ];
    let plain = (plain, any::<bool>(), any::<bool>()).prop_map(|(mut c, unit, source)| {
        if unit {
            c["ids:unit"] = json!({ "@id": "urn:unit:one" });
        }
        if source {
            c["ids:pipEndpoint"] = json!({ "@type": "ids:PIP", "ids:endpointURI": { "@value": "https://pip.example/", "@type": "xsd:anyURI" } });
        }
        c
    });
    plain.prop_recursive(2, 6, 3, |inner| {
        (prop::sample::select(&["ids:and", "ids:or", "ids:xone"][..]), prop::collection::vec(inner, 1..3))
            .prop_map(|(name, parts)| json!({ "@type": "ids:LogicalConstraint", name: parts }))
    })
}

/// A constraint that cannot.
fn poison() -> impl Strategy<Value = Value> {
    let bad = prop_oneof![
        (code(LEFT), code(WITHOUT_TWIN)).prop_map(|(l, o)| atom(l, o, json!("x"))),
        // A length of time is after nothing.
        Just(atom(json!({ "@id": "idsc:DATE_TIME" }), json!({ "@id": "idsc:AFTER" }), json!({ "@value": "P30D", "@type": "xsd:duration" }))),
        (code(LEFT), code(OPERATORS)).prop_map(|(l, o)| json!({ "ids:leftOperand": l, "ids:operator": o })),
        sound().prop_map(|mut c| {
            c["ids:frequency"] = json!({ "@id": "idsc:ANNUAL" });
            c
        }),
    ];
    (bad, sound(), any::<bool>()).prop_map(|(bad, good, nest)| if nest { json!({ "ids:or": [good, bad] }) } else { bad })
}

fn constraints(poisoned: bool) -> BoxedStrategy<Vec<Value>> {
    let good = prop::collection::vec(sound(), 0..3);
    if !poisoned {
        return good.boxed();
    }
    let with = |(mut good, poison): (Vec<Value>, Value)| {
        good.push(poison);
        good
    };
    (good, poison()).prop_map(with).boxed()
}

fn action(refinements: Vec<Value>, name: Value, executed: bool) -> Value {
    let mut out = if refinements.is_empty() {
        name
    } else {
        json!({ "@type": "ids:Action", "ids:includedIn": name, "ids:actionRefinement": refinements })
    };
    if executed {
        out["ids:pxpEndpoint"] = json!({ "@type": "ids:PXP", "ids:endpointURI": "https://pxp.example/" });
    }
    out
}

/// A rule without its identifier; `at` says where the part that cannot be carried over goes.
fn rule(class: &'static str, at: Option<u8>) -> BoxedStrategy<Value> {
    let parts = (
        prop::collection::vec(code(ACTIONS), 1..3),
        constraints(at == Some(0)),
        constraints(at == Some(1)),
        constraints(at == Some(2)),
        any::<bool>(),
        prop::option::of("[a-z]{1,5}"),
    );
    parts
        .prop_map(move |(actions, constraint, of_action, of_asset, executed, party)| {
            // What refines an action gives it parameters: the operator that does so is the usual one there.
            let mut of_action = of_action;
            of_action.iter_mut().for_each(assign);
            let mut out = Map::new();
            out.insert("@type".to_owned(), class.into());
            out.insert("ids:target".to_owned(), json!({ "@id": "urn:asset:a" }));
            let mut actions = actions.into_iter();
            let first = actions.next().unwrap();
            let all: Vec<Value> = std::iter::once(action(of_action, first, executed)).chain(actions).collect();
            out.insert("ids:action".to_owned(), all.into());
            for (name, list) in [("ids:constraint", constraint), ("ids:assetRefinement", of_asset)] {
                if !list.is_empty() {
                    out.insert(name.to_owned(), list.into());
                }
            }
            if let Some(party) = party {
                out.insert("ids:assignee".to_owned(), json!({ "@id": format!("urn:party:{party}") }));
            }
            if at == Some(3) {
                out.insert("ids:limit".to_owned(), json!(1));
            }
            Value::Object(out)
        })
        .boxed()
}

/// In the refinement of an action DEFINES_AS has a twin: what was to be lost is made to be lost by another operator.
fn assign(constraint: &mut Value) {
    if constraint["ids:operator"]["@id"] == "idsc:DEFINES_AS" {
        constraint["ids:operator"] = json!({ "@id": "idsc:MATCHES" });
    }
    if let Some(parts) = constraint.get_mut("ids:or").and_then(Value::as_array_mut) {
        parts.iter_mut().for_each(assign);
    }
}

fn place(poisoned: bool) -> BoxedStrategy<Option<u8>> {
    if poisoned { (0..4u8).prop_map(Some).boxed() } else { Just(None).boxed() }
}

/// A permission, and whether it holds something that cannot be carried over: in itself or in a duty.
fn permission() -> impl Strategy<Value = (Value, bool)> {
    let duties = || prop::collection::vec(rule("ids:Duty", None), 0..2);
    let bad_duty = prop::option::weighted(0.2, (place(true).prop_flat_map(|at| rule("ids:Duty", at)), any::<bool>()));
    (one("ids:Permission", 0.3), duties(), duties(), bad_duty).prop_map(|((mut rule, own), mut before, mut after, bad)| {
        let poisoned = own || bad.is_some();
        match bad {
            Some((duty, true)) => before.push(duty),
            Some((duty, false)) => after.push(duty),
            None => {}
        }
        for (name, duties) in [("ids:preDuty", before), ("ids:postDuty", after)] {
            if !duties.is_empty() {
                rule[name] = duties.into();
            }
        }
        (rule, poisoned)
    })
}

/// A rule, and whether it holds something that cannot be carried over.
fn one(class: &'static str, chance: f64) -> impl Strategy<Value = (Value, bool)> {
    prop::bool::weighted(chance).prop_flat_map(|p| (place(p), Just(p))).prop_flat_map(move |(at, p)| (rule(class, at), Just(p)))
}

/// A policy, which of its permissions cannot be carried over whole, and whether one of its obligations cannot.
#[derive(Debug, Clone)]
pub struct Made {
    pub policy: Value,
    pub poisoned: Vec<bool>,
    pub prohibitions: Vec<bool>,
    pub obligations: Vec<bool>,
}

impl Made {
    /// Whether everything in it can be carried over.
    pub fn whole(&self) -> bool {
        [&self.poisoned, &self.prohibitions, &self.obligations].iter().all(|all| all.iter().all(|p| !p))
    }
}

fn rules(class: &'static str, chance: f64) -> impl Strategy<Value = Vec<(Value, bool)>> {
    prop::collection::vec(one(class, chance), 0..3)
}

pub fn policy() -> impl Strategy<Value = Made> {
    let class = prop::sample::select(&["ids:ContractOffer", "ids:ContractRequest", "ids:ContractAgreement"][..]);
    let parts = (class, prop::collection::vec(permission(), 0..4), rules("ids:Prohibition", 0.4), rules("ids:Duty", 0.15), any::<[bool; 4]>());
    parts.prop_map(|(class, permissions, prohibitions, obligations, [span, party, dated, stamped])| {
        let mut policy = json!({
            "@context": { "ids": "https://w3id.org/idsa/core/", "idsc": "https://w3id.org/idsa/code/" },
            "@type": class,
            "@id": "urn:policy:1",
            "ids:provider": { "@id": "urn:party:provider" },
        });
        if party {
            policy["ids:consumer"] = json!({ "@id": "urn:party:consumer" });
        }
        if span {
            policy["ids:contractStart"] = json!({ "@value": "2026-01-01T00:00:00Z", "@type": "xsd:dateTimeStamp" });
            policy["ids:contractEnd"] = json!({ "@value": "2026-12-31T00:00:00Z", "@type": "xsd:dateTimeStamp" });
        }
        if dated {
            policy["ids:contractDate"] = json!({ "@value": "2025-12-01T00:00:00Z", "@type": if stamped { "xsd:dateTimeStamp" } else { "xsd:dateTime" } });
        }
        let mut made = Made { policy: Value::Null, poisoned: Vec::new(), prohibitions: Vec::new(), obligations: Vec::new() };
        for (name, rules, marks) in [
            ("ids:permission", permissions, &mut made.poisoned),
            ("ids:prohibition", prohibitions, &mut made.prohibitions),
            ("ids:obligation", obligations, &mut made.obligations),
        ] {
            let (mut rules, poisoned): (Vec<Value>, Vec<bool>) = rules.into_iter().unzip();
            *marks = poisoned;
            for (at, rule) in rules.iter_mut().enumerate() {
                mark(rule, &format!("urn:rule:{}:{at}", name.trim_start_matches("ids:")));
            }
            if !rules.is_empty() {
                policy[name] = rules.into();
            }
        }
        made.policy = policy;
        made
    })
}

/// Gives a rule and its duties identifiers, by which they are found again.
fn mark(rule: &mut Value, id: &str) {
    rule["@id"] = id.into();
    for name in ["ids:preDuty", "ids:postDuty"] {
        for (at, duty) in rule.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            duty["@id"] = format!("{id}:{}:{at}", name.trim_start_matches("ids:")).into();
        }
    }
}
