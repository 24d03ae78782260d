//! Merging an instance with a fragment of one.

use crate::problem;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use waybill_model::{AttributeKind, DateTime, NGSI_LD_NULL, Problem};

/// The parameters of Merge Entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeOptions {
    /// The `observedAt` that instances get which had one and are given none.
    pub observed_at: Option<DateTime>,
}

type Members = BTreeMap<String, Box<RawValue>>;

/// Why two instances do not merge; the place grows on the way out.
#[derive(Debug)]
pub(super) struct MergeError {
    message: String,
    place: String,
}

impl MergeError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: String::new() }
    }
    pub(super) fn under(mut self, name: &str) -> Self {
        self.place = format!("/{}{}", problem::escape(name), self.place);
        self
    }
}
impl From<MergeError> for Problem {
    fn from(e: MergeError) -> Self {
        problem::bad_data("attribute-does-not-merge", e.message).at(e.place).help("Send the whole Attribute with its type and value.")
    }
}

pub(super) fn members(text: &str) -> Result<Members, MergeError> {
    serde_json::from_str(text).map_err(|e| MergeError::new(e.to_string()))
}

pub(super) fn is_null(raw: &RawValue) -> bool {
    raw.get().trim_matches('"') == NGSI_LD_NULL
}

/// Writes members in the order of the canonical form, each as the text it has: a time or number keeps its digits.
pub(super) fn print(members: &Members) -> String {
    const LATER: [&str; 7] = ["datasetId", "observedAt", "unitCode", "valueType", "objectType", "expiresAt", "ngsildproof"];
    let rank = |name: &str| match name {
        "type" => 0,
        _ if name.contains(':') => 10,
        _ => LATER.iter().position(|l| *l == name).map_or(1, |i| i + 2),
    };
    let mut all: Vec<(&String, &Box<RawValue>)> = members.iter().collect();
    all.sort_by_key(|(name, _)| rank(name));
    let parts: Vec<String> = all.iter().map(|(name, raw)| format!("{}:{raw}", Value::String((*name).clone()))).collect();
    format!("{{{}}}", parts.join(","))
}

pub(super) fn kind_of(members: &Members) -> Option<AttributeKind> {
    members.get("type").and_then(|t| serde_json::from_str(t.get()).ok())
}

/// Merges `patch` into `held` to any depth (RFC 7396 with the NGSI-LD Null).
pub(super) fn instance(held: &str, patch: &str, options: &MergeOptions) -> Result<String, MergeError> {
    let (mut held, patch) = (members(held)?, members(patch)?);
    let (was, becomes) = (kind_of(&held), kind_of(&patch));
    // Another kind has another value: nothing of the old one can be merged into it.
    if let (Some(was), Some(becomes)) = (was, becomes)
        && was != becomes
    {
        held.remove(was.value_member());
    }
    let had_time = held.contains_key("observedAt");
    for (name, new) in &patch {
        match held.get(name) {
            _ if is_null(new) && name != "datasetId" => {
                held.remove(name);
            }
            Some(old) if name.contains(':') => {
                let merged = sub_attribute(old.get(), new.get(), options).map_err(|e| e.under(name))?;
                held.insert(name.clone(), merged);
            }
            Some(old) if becomes.or(was).is_some_and(|k| k.value_member() == name) => {
                held.insert(name.clone(), value(old, new));
            }
            _ => {
                held.insert(name.clone(), stripped(new));
            }
        }
    }
    if let Some(at) = options.observed_at
        && had_time
        && !patch.contains_key("observedAt")
        && let Ok(raw) = serde_json::value::to_raw_value(&at)
    {
        held.insert("observedAt".to_owned(), raw);
    }
    Ok(print(&held))
}

/// Merges the instances of a sub-attribute, by datasetId.
fn sub_attribute(old: &str, new: &str, options: &MergeOptions) -> Result<Box<RawValue>, MergeError> {
    let read = |text: &str| serde_json::from_str::<Vec<Box<RawValue>>>(text).map_err(|e| MergeError::new(e.to_string()));
    let (mut list, patches) = (read(old)?, read(new)?);
    for patch in patches {
        let dataset = |raw: &RawValue| members(raw.get()).ok().and_then(|m| m.get("datasetId").map(|d| d.get().to_owned()));
        let wanted = dataset(&patch);
        let at = list.iter().position(|held| dataset(held) == wanted);
        match at {
            Some(i) if deletes(&patch) => {
                list.remove(i);
            }
            Some(i) => {
                let merged = instance(list[i].get(), patch.get(), options)?;
                list[i] = raw(merged)?;
            }
            None if deletes(&patch) => {}
            None => list.push(raw(without_nulls(patch.get()))?),
        }
    }
    let items: Vec<&str> = list.iter().map(|r| r.get()).collect();
    raw(format!("[{}]", items.join(",")))
}

fn raw(text: String) -> Result<Box<RawValue>, MergeError> {
    RawValue::from_string(text).map_err(|e| MergeError::new(e.to_string()))
}

/// Whether the value of an instance is the NGSI-LD Null.
fn deletes(patch: &RawValue) -> bool {
    let Ok(m) = members(patch.get()) else { return false };
    let values = ["value", "object", "languageMap", "vocab", "json", "valueList", "objectList"];
    values.iter().filter_map(|v| m.get(*v)).any(|v| {
        is_null(v) || matches!(v.get(), r#"{"@none":"urn:ngsi-ld:null"}"# | r#"["urn:ngsi-ld:null"]"#)
    })
}

/// Merges two values: objects member by member, anything else is replaced.
fn value(old: &RawValue, new: &RawValue) -> Box<RawValue> {
    if !(old.get().starts_with('{') && new.get().starts_with('{')) {
        return stripped(new);
    }
    match (serde_json::from_str(old.get()), serde_json::from_str(new.get())) {
        (Ok(Value::Object(mut target)), Ok(Value::Object(patch))) => {
            patch_object(&mut target, patch);
            serde_json::value::to_raw_value(&target).unwrap_or_else(|_| new.to_owned())
        }
        _ => stripped(new),
    }
}

fn patch_object(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, new) in patch {
        match new {
            Value::String(s) if s == NGSI_LD_NULL => {
                target.remove(&name);
            }
            Value::Object(inner) => match target.entry(name).or_insert_with(|| Value::Object(Map::new())) {
                Value::Object(into) => patch_object(into, inner),
                other => {
                    let mut fresh = Map::new();
                    patch_object(&mut fresh, inner);
                    *other = Value::Object(fresh);
                }
            },
            other => {
                target.insert(name, other);
            }
        }
    }
}

/// A value that is added: Nulls inside objects delete what is not there.
fn stripped(new: &RawValue) -> Box<RawValue> {
    if !new.get().contains(NGSI_LD_NULL) {
        return new.to_owned();
    }
    match serde_json::from_str(new.get()) {
        Ok(Value::Object(patch)) => {
            let mut fresh = Map::new();
            patch_object(&mut fresh, patch);
            serde_json::value::to_raw_value(&fresh).unwrap_or_else(|_| new.to_owned())
        }
        _ => new.to_owned(),
    }
}

/// An instance that is added as it is: members and sub-attributes that are Nulls are left out.
pub(super) fn without_nulls(text: &str) -> String {
    if !text.contains(NGSI_LD_NULL) {
        return text.to_owned();
    }
    let Ok(mut all) = members(text) else { return text.to_owned() };
    all.retain(|_, raw| !is_null(raw));
    for (name, raw) in &mut all {
        if !name.contains(':') {
            *raw = stripped(raw);
        }
    }
    print(&all)
}

/// Overwrites the first-level members of `held` with those of `patch` (5.6.4). The kind may not change.
pub(super) fn overwrite(held: &str, patch: &str) -> Result<String, MergeError> {
    let (mut held, patch) = (members(held)?, members(patch)?);
    if let (Some(was), Some(becomes)) = (kind_of(&held), kind_of(&patch))
        && was != becomes
    {
        return Err(MergeError::new(format!("the Attribute is a {}, and a partial update cannot make it a {}", was.as_str(), becomes.as_str())).under("type"));
    }
    for (name, new) in patch {
        if is_null(&new) && name != "datasetId" {
            held.remove(&name);
        } else {
            held.insert(name, new);
        }
    }
    Ok(print(&held))
}
