//! Names as others write them: prefixed, as whole IRIs, wrapped in objects. From any of these to the short form of the protocol.

use crate::vocab::ODRL;
use serde_json::{Map, Value};

/// The last part of a name: of `edc:state`, of `https://w3id.org/edc/v0.0.1/ns/state` and of `state` alike. Keywords stay.
pub fn local(name: &str) -> &str {
    if name.starts_with('@') { name } else { name.rsplit(['/', '#', ':']).next().unwrap_or(name) }
}

/// A text that may be wrapped as a value, as a reference, or in a list of one.
pub fn plain(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(map) => map.get("@value").or_else(|| map.get("@id")).and_then(Value::as_str),
        Value::Array(list) => match list.as_slice() {
            [one] => plain(one),
            _ => None,
        },
        _ => None,
    }
}

/// A policy in the short form of the protocol, of the type `kind`. What cannot be read as one stays as it is, and is refused where it is checked.
pub fn canonical_policy(value: &Value, kind: &str) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let mut out = Map::new();
    for (name, value) in map {
        match local(name) {
            "@context" => {}
            "@type" => drop(out.insert("@type".into(), kind.into())),
            "uid" if !map.contains_key("@id") => drop(out.insert("@id".into(), value.clone())),
            short @ ("permission" | "prohibition" | "obligation") if is_odrl(name, short) => {
                let rules: Vec<Value> = listed(value).iter().map(rule).collect();
                if !rules.is_empty() {
                    out.insert(short.into(), rules.into());
                }
            }
            short @ ("target" | "assigner" | "assignee" | "profile") if is_odrl(name, short) => {
                out.insert(short.into(), plain(value).map_or_else(|| value.clone(), Value::from));
            }
            _ => drop(out.insert(name.clone(), value.clone())),
        }
    }
    out.insert("@type".into(), kind.into());
    Value::Object(out)
}

/// Whether `name` is the ODRL term `short`, and not one that only ends like it.
fn is_odrl(name: &str, short: &str) -> bool {
    name == short || name.strip_prefix("odrl:") == Some(short) || name.strip_prefix(ODRL) == Some(short)
}

fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        other => vec![other.clone()],
    }
}

fn rule(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let mut out = Map::new();
    for (name, value) in map {
        match local(name) {
            "action" if is_odrl(name, "action") => drop(out.insert("action".into(), term(value, &["use"]))),
            "constraint" if is_odrl(name, "constraint") => {
                let list: Vec<Value> = listed(value).iter().map(constraint).collect();
                if !list.is_empty() {
                    out.insert("constraint".into(), list.into());
                }
            }
            "duty" if is_odrl(name, "duty") => {
                let list: Vec<Value> = listed(value).iter().map(rule).collect();
                if !list.is_empty() {
                    out.insert("duty".into(), list.into());
                }
            }
            _ => drop(out.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

fn constraint(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let mut out = Map::new();
    for (name, value) in map {
        match local(name) {
            short @ ("and" | "or" | "xone" | "andSequence") if is_odrl(name, short) => {
                // EDC wraps the list once more.
                let inner = value.get("@list").unwrap_or(value);
                let list: Vec<Value> = listed(inner).iter().map(constraint).collect();
                out.insert(short.into(), list.into());
            }
            "leftOperand" if is_odrl(name, "leftOperand") => drop(out.insert("leftOperand".into(), term(value, &[]))),
            "operator" if is_odrl(name, "operator") => {
                let text = plain(value).map(local).unwrap_or_default().to_owned();
                out.insert("operator".into(), text.into());
            }
            "rightOperand" if is_odrl(name, "rightOperand") => drop(out.insert("rightOperand".into(), right_operand(value))),
            "@type" => {}
            _ => drop(out.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(out)
}

/// A right operand as expanded JSON-LD writes it, in the short form: a value with a type keeps it.
fn right_operand(value: &Value) -> Value {
    match value {
        Value::Array(list) => match list.as_slice() {
            [one @ Value::Object(map)] if map.contains_key("@value") || map.contains_key("@id") => right_operand(one),
            all => all.iter().map(right_operand).collect(),
        },
        Value::Object(map) if map.len() == 1 => match map.get("@value").or_else(|| map.get("@id")) {
            Some(Value::String(text)) => text.as_str().into(),
            Some(Value::Array(_)) | None => value.get("@list").map_or_else(|| value.clone(), right_operand),
            Some(_) => value.clone(),
        },
        other => other.clone(),
    }
}

/// A term: one of `short` by its short name, an ODRL one as a whole IRI, anything else as it is.
fn term(value: &Value, short: &[&str]) -> Value {
    let Some(text) = plain(value) else { return value.clone() };
    let whole = text.strip_prefix("odrl:").map_or_else(|| text.to_owned(), |name| format!("{ODRL}{name}"));
    match whole.strip_prefix(ODRL) {
        Some(name) if short.contains(&name) => name.into(),
        _ => whole.into(),
    }
}
