//! Policies as ODRL in the shape of the Dataspace Protocol 2025-1 (`contract-schema.json`): left operands and actions by their IRIs, no bare
//! numbers, and nothing that needs another @context.

use super::fit::bounds;
use crate::loss::{Effect, Losses};
use crate::model::{Action, Atom, Constraint, Operand, Order, Policy, PolicyKind, Refined, Right, Rule, RuleKind};
use crate::vocab::{DSP_PREFIXES, IDS, ODRL, POLICY_USAGE, RDF, XSD, compact};
use serde_json::{Map, Value, json};

/// A policy. In a dataset (`dataset`) it has no target: it is about the dataset.
pub(crate) fn policy(policy: &Policy, dataset: Option<&str>, losses: &mut Losses) -> Map<String, Value> {
    let mut out = Map::new();
    let agreement = policy.kind == PolicyKind::Agreement;
    out.insert("@type".to_owned(), if agreement { "Agreement" } else { "Offer" }.into());
    if policy.kind == PolicyKind::Request {
        out.insert("dct:type".to_owned(), json!({ "@id": format!("{IDS}ContractRequest") }));
    }
    put(&mut out, "@id", policy.id.clone().map(Value::from));
    put(&mut out, "profile", strings(&policy.profile));
    put(&mut out, "assigner", policy.provider.clone().map(Value::from));
    put(&mut out, "assignee", policy.consumer.clone().map(Value::from));
    let common = if dataset.is_none() { common_target(policy) } else { None };
    put(&mut out, "target", common.map(Value::from));
    for (name, span) in [("contractStart", &policy.start), ("contractEnd", &policy.end)] {
        let Some((place, operand)) = span else { continue };
        out.insert(format!("{IDS}{name}"), literal(operand));
        if policy.rules.iter().any(|r| r.kind != RuleKind::Permission) {
            losses.kept(place, "the span of the contract", "a constraint of each permission; its other rules hold outside it too", Effect::Stricter);
        }
    }
    if let Some((_, operand)) = &policy.date {
        if let (true, Operand::Literal { text, .. }) = (agreement, operand) {
            out.insert("timestamp".to_owned(), text.clone().into());
        }
        // The timestamp of an agreement is an xsd:dateTime without saying so.
        if !agreement || operand.datatype() != Some(&format!("{XSD}dateTime")) {
            out.insert(format!("{IDS}contractDate"), literal(operand));
        }
    }
    texts(&mut out, &policy.texts);
    let bounds = bounds(policy);
    for (name, kind) in [("permission", RuleKind::Permission), ("prohibition", RuleKind::Prohibition), ("obligation", RuleKind::Obligation)] {
        let rules = policy.rules.iter().filter(|r| r.kind == kind);
        let more = if kind == RuleKind::Permission { &bounds[..] } else { &[] };
        let rules: Vec<Value> = rules.map(|r| Value::Object(rule(r, more, common.is_some(), dataset, losses))).collect();
        put(&mut out, name, (!rules.is_empty()).then_some(Value::Array(rules)));
    }
    wanted(policy, &out, dataset.is_some(), losses);
    out
}

/// Says what a reader of DSP will miss.
fn wanted(policy: &Policy, out: &Map<String, Value>, embedded: bool, losses: &mut Losses) {
    let mut missing = Vec::new();
    if policy.id.is_none() {
        missing.push("an identifier");
    }
    if policy.kind == PolicyKind::Agreement {
        missing.extend([("assigner", "a provider"), ("assignee", "a consumer")].iter().filter(|(k, _)| !out.contains_key(*k)).map(|(_, w)| *w));
    }
    if !embedded && !policy.rules.is_empty() && !out.contains_key("target") {
        missing.push("one target for all rules");
    }
    if !policy.rules.is_empty() && !out.contains_key("permission") && !out.contains_key("prohibition") {
        missing.push("a permission or a prohibition");
    }
    if !missing.is_empty() {
        let what = format!("DSP asks for {}, which is not there", missing.join(" and "));
        losses.kept(&policy.place, what, "a policy that a strict reader of DSP refuses", Effect::Stricter);
    }
}

/// The one whole asset that every rule is about.
fn common_target(policy: &Policy) -> Option<&str> {
    let mut found = None;
    for rule in &policy.rules {
        match &rule.targets[..] {
            [one] if one.refinements.is_empty() && found.is_none_or(|f| f == one.id) => found = Some(one.id.as_str()),
            _ => return None,
        }
    }
    found
}

fn rule(rule: &Rule, more: &[Constraint], hoisted: bool, dataset: Option<&str>, losses: &mut Losses) -> Map<String, Value> {
    let mut out = Map::new();
    put(&mut out, "@id", rule.id.clone().map(Value::from));
    let implied = matches!(&rule.targets[..], [one] if dataset == Some(one.id.as_str()) && one.refinements.is_empty());
    if !hoisted && !implied && !rule.targets.is_empty() {
        if !matches!(rule.kind, RuleKind::Duty(_)) && dataset.is_some() {
            losses.kept(&rule.place, "a target that is not the dataset", "the rule's own target, which DSP does not describe", Effect::Same);
        }
        put(&mut out, "target", refined(&rule.targets, "odrl:AssetCollection"));
    }
    put(&mut out, "assigner", refined(&rule.assigners, "odrl:PartyCollection"));
    put(&mut out, "assignee", refined(&rule.assignees, "odrl:PartyCollection"));
    let mut actions: Vec<Value> = rule.actions.iter().map(action).collect();
    let simple = actions.len() == 1 && actions[0].is_string();
    if !simple && !matches!(rule.kind, RuleKind::Duty(_)) {
        let what = "more than the name of one action, which is all that DSP's schema has room for";
        losses.kept(&rule.place, what, "ODRL, which a strict reader of DSP refuses", Effect::Stricter);
    }
    out.insert("action".to_owned(), if actions.len() == 1 { actions.remove(0) } else { Value::Array(actions) });
    let mut constraints = rule.constraints.clone();
    constraints.extend_from_slice(more);
    if let RuleKind::Duty(Some(order)) = rule.kind {
        constraints.push(due(order));
        if order == Order::Post {
            let kept = "a duty with a constraint on odrl:event; who takes every duty for a condition of use waits for it";
            losses.kept(&rule.place, "the order of a duty after use", kept, Effect::Stricter);
        }
    }
    note_references(&constraints, losses);
    put(&mut out, "constraint", list(&constraints));
    let duties: Vec<Value> = rule.duties.iter().map(|d| Value::Object(self::rule(d, &[], false, None, losses))).collect();
    put(&mut out, "duty", (!duties.is_empty()).then_some(Value::Array(duties)));
    texts(&mut out, &rule.texts);
    out
}

/// What says when a duty is due.
fn due(order: Order) -> Constraint {
    Constraint::Atom(Box::new(Atom {
        place: String::new(),
        id: None,
        left: format!("{ODRL}event"),
        ids_left: None,
        operator: if order == Order::Pre { "lt" } else { "gt" },
        ids_operator: None,
        right: Right::Values(vec![Operand::Iri(POLICY_USAGE.to_owned())]),
        unit: None,
        source: None,
    }))
}

fn note_references(constraints: &[Constraint], losses: &mut Losses) {
    for constraint in constraints {
        match constraint {
            Constraint::Logic { parts, .. } => note_references(parts, losses),
            Constraint::Atom(atom) if matches!(atom.right, Right::Reference(_)) => {
                let what = "a reference to a right operand, where DSP's schema wants the operand";
                losses.kept(&atom.place, what, "the reference, which a strict reader of DSP refuses", Effect::Stricter);
            }
            Constraint::Atom(_) => {}
        }
    }
}

fn refined(all: &[Refined], class: &str) -> Option<Value> {
    one_or_list(all.iter().map(|r| match list(&r.refinements) {
        None => Value::from(r.id.as_str()),
        Some(refinements) => json!({ "@type": class, "odrl:source": { "@id": r.id }, "odrl:refinement": refinements }),
    }))
}

fn action(action: &Action) -> Value {
    let name = compact(&action.iri, DSP_PREFIXES);
    let refinements = list(&action.refinements);
    if refinements.is_none() && action.executor.is_none() {
        return name.into();
    }
    let mut out = Map::new();
    out.insert(format!("{RDF}value"), json!({ "@id": name }));
    put(&mut out, "odrl:refinement", refinements);
    put(&mut out, &format!("{IDS}pxpEndpoint"), action.executor.as_ref().map(tree));
    Value::Object(out)
}

fn list(constraints: &[Constraint]) -> Option<Value> {
    (!constraints.is_empty()).then(|| constraints.iter().map(constraint).collect())
}

fn constraint(constraint: &Constraint) -> Value {
    let mut out = Map::new();
    match constraint {
        Constraint::Logic { id, logic, parts, .. } => {
            put(&mut out, "@id", id.clone().map(Value::from));
            put(&mut out, logic.name(), list(parts));
        }
        Constraint::Atom(atom) => {
            put(&mut out, "@id", atom.id.clone().map(Value::from));
            out.insert("leftOperand".to_owned(), compact(&atom.left, DSP_PREFIXES).into());
            out.insert("operator".to_owned(), atom.operator.into());
            let (name, values) = match &atom.right {
                Right::Values(values) => ("rightOperand", values),
                Right::Reference(values) => ("odrl:rightOperandReference", values),
            };
            put(&mut out, name, one_or_list(values.iter().map(literal)));
            put(&mut out, "odrl:unit", atom.unit.as_ref().map(|u| json!({ "@id": u })));
            put(&mut out, &format!("{IDS}pipEndpoint"), atom.source.as_ref().map(tree));
            put(&mut out, &format!("{IDS}leftOperand"), atom.ids_left.as_ref().map(|n| json!({ "@id": n })));
            put(&mut out, &format!("{IDS}operator"), atom.ids_operator.as_ref().map(|n| json!({ "@id": n })));
        }
    }
    Value::Object(out)
}

/// A value: a plain text as one, everything else with its type.
pub(super) fn literal(operand: &Operand) -> Value {
    match operand {
        Operand::Iri(iri) => json!({ "@id": iri }),
        Operand::Literal { text, datatype: None, language: None } => text.as_str().into(),
        Operand::Literal { text, datatype, language } => {
            let mut out = Map::new();
            out.insert("@value".to_owned(), text.as_str().into());
            put(&mut out, "@type", datatype.as_ref().map(|d| compact(d, DSP_PREFIXES).into()));
            put(&mut out, "@language", language.clone().map(Value::from));
            Value::Object(out)
        }
    }
}

/// Something that is carried as it was, in names that DSP's @contexts know.
pub(crate) fn tree(value: &Value) -> Value {
    super::ids::rename(value, DSP_PREFIXES)
}

pub(super) fn texts(out: &mut Map<String, Value>, texts: &[(String, Value)]) {
    for (iri, value) in texts {
        super::ids::add(out, compact(iri, DSP_PREFIXES), tree(value));
    }
}

pub(super) fn put(out: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(name.to_owned(), value);
    }
}

pub(super) fn one_or_list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let mut values: Vec<Value> = values.collect();
    match values.len() {
        0 => None,
        1 => values.pop(),
        _ => Some(Value::Array(values)),
    }
}

fn strings(all: &[String]) -> Option<Value> {
    one_or_list(all.iter().map(|s| s.as_str().into()))
}
