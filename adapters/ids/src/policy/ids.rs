//! Policies as the IDS Information Model 4.x has them.

use super::fit::ids_left;
use super::odrl::{one_or_list, put};
use crate::model::{Action, Constraint, Operand, Order, Policy, PolicyKind, Refined, Right, Rule, RuleKind, Texts};
use crate::vocab::{ACTIONS, DESCRIPTIVE, IDS, IDS_PREFIXES, compact, to_ids};
use serde_json::{Map, Value, json};

/// A policy without its @context.
pub(crate) fn policy(policy: &Policy) -> Map<String, Value> {
    let class = match policy.kind {
        PolicyKind::Offer => "ids:ContractOffer",
        PolicyKind::Request => "ids:ContractRequest",
        PolicyKind::Agreement => "ids:ContractAgreement",
    };
    let mut out = Map::new();
    out.insert("@type".to_owned(), class.into());
    put(&mut out, "@id", policy.id.clone().map(Value::from));
    // The Information Model has no word for it.
    put(&mut out, "odrl:profile", one_or_list(policy.profile.iter().map(|p| json!({ "@id": p }))));
    put(&mut out, "ids:provider", policy.provider.as_ref().map(|p| json!({ "@id": p })));
    put(&mut out, "ids:consumer", policy.consumer.as_ref().map(|p| json!({ "@id": p })));
    for (name, moment) in [("ids:contractStart", &policy.start), ("ids:contractEnd", &policy.end), ("ids:contractDate", &policy.date)] {
        put(&mut out, name, moment.as_ref().map(|(_, operand)| literal(operand)));
    }
    describe(&mut out, &policy.texts);
    for (name, kind) in [("ids:permission", RuleKind::Permission), ("ids:prohibition", RuleKind::Prohibition), ("ids:obligation", RuleKind::Obligation)] {
        put(&mut out, name, rules(policy.rules.iter().filter(|r| r.kind == kind)));
    }
    out
}

fn rules<'a>(all: impl Iterator<Item = &'a Rule>) -> Option<Value> {
    let all: Vec<Value> = all.map(|r| Value::Object(rule(r))).collect();
    (!all.is_empty()).then_some(Value::Array(all))
}

fn rule(rule: &Rule) -> Map<String, Value> {
    let class = match rule.kind {
        RuleKind::Permission => "ids:Permission",
        RuleKind::Prohibition => "ids:Prohibition",
        RuleKind::Obligation | RuleKind::Duty(_) => "ids:Duty",
    };
    let mut out = Map::new();
    out.insert("@type".to_owned(), class.into());
    put(&mut out, "@id", rule.id.clone().map(Value::from));
    put(&mut out, "ids:target", names(&rule.targets));
    put(&mut out, "ids:assetRefinement", rule.targets.first().and_then(|t| list(&t.refinements)));
    put(&mut out, "ids:assigner", names(&rule.assigners));
    put(&mut out, "ids:assignee", names(&rule.assignees));
    out.insert("ids:action".to_owned(), rule.actions.iter().map(action).collect());
    put(&mut out, "ids:constraint", list(&rule.constraints));
    for (name, order) in [("ids:preDuty", Order::Pre), ("ids:postDuty", Order::Post)] {
        put(&mut out, name, rules(rule.duties.iter().filter(|d| d.kind == RuleKind::Duty(Some(order)))));
    }
    describe(&mut out, &rule.texts);
    out
}

fn names(all: &[Refined]) -> Option<Value> {
    one_or_list(all.iter().map(|r| json!({ "@id": r.id })))
}

fn action(action: &Action) -> Value {
    let name = to_ids(ACTIONS, &action.iri).unwrap_or_else(|| action.iri.clone());
    let name = json!({ "@id": compact(&name, IDS_PREFIXES) });
    let mut out = Map::new();
    if let Some(refinements) = list(&action.refinements) {
        // Beside the name of a listed action programs of the time read no refinement.
        out.insert("@type".to_owned(), "ids:Action".into());
        out.insert("ids:includedIn".to_owned(), name);
        out.insert("ids:actionRefinement".to_owned(), refinements);
    } else {
        out.insert("@id".to_owned(), name["@id"].clone());
    }
    put(&mut out, "ids:pxpEndpoint", action.executor.as_ref().map(tree));
    Value::Object(out)
}

fn list(constraints: &[Constraint]) -> Option<Value> {
    (!constraints.is_empty()).then(|| constraints.iter().map(constraint).collect())
}

fn constraint(constraint: &Constraint) -> Value {
    let mut out = Map::new();
    let name = |iri: &str| json!({ "@id": compact(iri, IDS_PREFIXES) });
    match constraint {
        Constraint::Logic { id, logic, parts, .. } => {
            out.insert("@type".to_owned(), "ids:LogicalConstraint".into());
            put(&mut out, "@id", id.clone().map(Value::from));
            put(&mut out, &format!("ids:{}", logic.name()), list(parts));
        }
        Constraint::Atom(atom) => {
            out.insert("@type".to_owned(), "ids:Constraint".into());
            put(&mut out, "@id", atom.id.clone().map(Value::from));
            out.insert("ids:leftOperand".to_owned(), name(&ids_left(atom)));
            put(&mut out, "ids:operator", atom.ids_operator.as_deref().map(name));
            let (right, values) = match &atom.right {
                Right::Values(values) => ("ids:rightOperand", values),
                Right::Reference(values) => ("ids:rightOperandReference", values),
            };
            put(&mut out, right, one_or_list(values.iter().map(literal)));
            put(&mut out, "ids:unit", atom.unit.as_ref().map(|u| json!({ "@id": u })));
            put(&mut out, "ids:pipEndpoint", atom.source.as_ref().map(tree));
        }
    }
    Value::Object(out)
}

fn literal(operand: &Operand) -> Value {
    match operand {
        Operand::Iri(iri) => json!({ "@id": compact(iri, IDS_PREFIXES) }),
        Operand::Literal { text, datatype, language } => {
            let mut out = Map::new();
            out.insert("@value".to_owned(), text.as_str().into());
            put(&mut out, "@type", datatype.as_ref().map(|d| compact(d, IDS_PREFIXES).into()));
            put(&mut out, "@language", language.clone().map(Value::from));
            Value::Object(out)
        }
    }
}

/// Something that is carried as it was, in the names of IDS documents.
pub(crate) fn tree(value: &Value) -> Value {
    rename(value, IDS_PREFIXES)
}

/// Descriptions under the names that IDS has for them.
pub(crate) fn describe(out: &mut Map<String, Value>, texts: &Texts) {
    for (iri, value) in texts {
        let own = DESCRIPTIVE.iter().find(|(_, namespace, name)| iri.strip_prefix(namespace) == Some(name));
        let iri = own.map_or_else(|| iri.clone(), |(ids, ..)| format!("{IDS}{ids}"));
        add(out, compact(&iri, IDS_PREFIXES), tree(value));
    }
}

/// Adds a value to those that already stand under a name.
pub(crate) fn add(out: &mut Map<String, Value>, name: String, value: Value) {
    match out.remove(&name) {
        None => out.insert(name, value),
        Some(before) => {
            let parts = [before, value].into_iter().flat_map(|v| if let Value::Array(list) = v { list } else { vec![v] });
            out.insert(name, parts.collect())
        }
    };
}

/// `value` with names and types shortened by `prefixes`.
pub(super) fn rename(value: &Value, prefixes: &[(&str, &str)]) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|v| rename(v, prefixes)).collect(),
        Value::Object(object) => {
            let mut out = Map::new();
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("@type", Value::String(class)) => add(&mut out, key.clone(), compact(class, prefixes).into()),
                    ("@type", Value::Array(classes)) => {
                        let classes = classes.iter().map(|c| c.as_str().map_or_else(|| c.clone(), |c| compact(c, prefixes).into()));
                        add(&mut out, key.clone(), classes.collect());
                    }
                    (k, _) if k.starts_with('@') => add(&mut out, key.clone(), value.clone()),
                    _ => add(&mut out, compact(key, prefixes), rename(value, prefixes)),
                }
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}
