//! Conditions, targets and parties in words, for naming what changed. The same thing has the same words in whatever order it was written.

use crate::ast::{Asset, Combine, Constraint, Operator, Party, Value};
use crate::vocab::{CC, ODRL};
use waybill_model::WAYBILL;

/// The longest text of one value, and of one change, in characters.
const VALUE: usize = 100;
pub(super) const CHANGE: usize = 600;
/// The most values of one condition that are written out.
const VALUES: usize = 8;

const SHORT: &[(&str, &str)] = &[
    ("", ODRL),
    ("waybill:", WAYBILL),
    ("wbp:", crate::purposes::WAYBILL_PURPOSE),
    ("dpv:", crate::dpv::DPV),
    ("cc:", CC),
];

/// A name as people write it. What cannot be printed is left out: the text came from another party.
pub(super) fn short(iri: &str) -> String {
    let known = SHORT.iter().find_map(|(prefix, namespace)| iri.strip_prefix(namespace).map(|local| (*prefix, local)));
    let (prefix, local) = known.unwrap_or(("", iri));
    prefix.chars().chain(local.chars()).filter(|c| !c.is_control()).take(VALUE).collect()
}

/// Operator and right operand.
pub(super) fn test(operator: Operator, right: &[Value]) -> String {
    let mut values: Vec<&str> = right.iter().map(Value::text).collect();
    values.sort_unstable();
    values.dedup();
    let more = values.len().saturating_sub(VALUES);
    let mut text: Vec<String> = values.iter().take(VALUES).map(|v| short(v)).collect();
    if more > 0 {
        text.push(format!("{more} more"));
    }
    format!("{} {}", operator.name(), text.join(", "))
}

/// A condition.
pub(super) fn constraint(c: &Constraint) -> String {
    match c {
        Constraint::Atom(atom) => format!("{} {}", short(&atom.operand), test(atom.operator, &atom.right)),
        Constraint::Logic(logic) => {
            let mut parts: Vec<String> = logic.of.iter().map(constraint).collect();
            if logic.how != Combine::AndSequence {
                parts.sort_unstable();
            }
            format!("{} ({})", how(logic.how), parts.join("; "))
        }
    }
}

const fn how(how: Combine) -> &'static str {
    match how {
        Combine::And => "all of",
        Combine::Or => "any of",
        Combine::Xone => "exactly one of",
        Combine::AndSequence => "in this order",
    }
}

pub(super) fn targets(list: &[Asset]) -> String {
    choices(list.iter().map(|a| (a.uid.as_deref(), a.refinements.as_slice())))
}

pub(super) fn parties(list: &[Party]) -> String {
    choices(list.iter().map(|a| (a.uid.as_deref(), a.refinements.as_slice())))
}

fn choices<'p>(list: impl Iterator<Item = (Option<&'p str>, &'p [Constraint])>) -> String {
    let mut all: Vec<String> = list
        .map(|(uid, refinements)| {
            let name = uid.map_or("anything".to_owned(), short);
            if refinements.is_empty() { name } else { format!("{name} where {}", conditions(refinements)) }
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all.join(" or ")
}

/// Conditions of which each must hold.
pub(super) fn conditions(list: &[Constraint]) -> String {
    let mut parts: Vec<String> = list.iter().map(constraint).collect();
    parts.sort_unstable();
    parts.join(" and ")
}
