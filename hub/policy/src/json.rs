//! JSON as a policy may be written: bounded in size, depth and nodes, and no member twice.

use crate::diagnostic::Diagnostic;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// The longest policy text that is read, in bytes.
pub const MAX_TEXT: usize = 1 << 20;
/// The most JSON values in one policy.
pub const MAX_JSON_NODES: usize = 200_000;
/// How deep the JSON text may nest. serde_json itself stops at 128, before its stack could overflow.
pub const MAX_JSON_DEPTH: usize = 64;

/// A JSON value that keeps the order of members and has no member twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Reads `text` within the limits.
pub(crate) fn read(text: &[u8]) -> Result<Json, Diagnostic> {
    if text.len() > MAX_TEXT {
        return Err(Diagnostic::new(
            "policy-too-large",
            "/",
            format_args!("the policy has {} bytes, the limit is {MAX_TEXT}", text.len()),
            "Split the policy, or shorten its lists.",
        ));
    }
    let left = Cell::new(MAX_JSON_NODES);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Seed { left: &left, depth: 0 }.deserialize(&mut reader);
    value.and_then(|v| reader.end().map(|()| v)).map_err(|e| {
        let code = if e.to_string().contains("member twice") { "policy-duplicate-member" } else { "policy-not-json" };
        // The message of serde_json may quote the text; only the kind of fault and the position are passed on.
        let what = match e.classify() {
            serde_json::error::Category::Data => e.to_string(),
            serde_json::error::Category::Eof => format!("the text ends too early, line {} column {}", e.line(), e.column()),
            _ => format!("not well formed, or nested too deeply, at line {} column {}", e.line(), e.column()),
        };
        Diagnostic::new(code, "/", what, "Send the policy as one JSON object, each member once, nested at most 64 deep.")
    })
}

/// The same from a value that somebody else parsed, within the same limits.
pub(crate) fn from_value(value: &serde_json::Value) -> Result<Json, Diagnostic> {
    copy(value, 0, &Cell::new(MAX_JSON_NODES), &Cell::new(MAX_TEXT)).ok_or_else(|| {
        Diagnostic::new("policy-too-large", "/", "the policy has too many values, too long a text, or nests more than 64 deep", "Split the policy, or shorten its lists.")
    })
}

fn copy(value: &serde_json::Value, depth: usize, nodes: &Cell<usize>, bytes: &Cell<usize>) -> Option<Json> {
    if depth > MAX_JSON_DEPTH {
        return None;
    }
    nodes.set(nodes.get().checked_sub(1)?);
    let text = |t: &str| {
        bytes.set(bytes.get().checked_sub(t.len())?);
        Some(t.to_owned())
    };
    Some(match value {
        serde_json::Value::Null => Json::Null,
        serde_json::Value::Bool(b) => Json::Bool(*b),
        serde_json::Value::Number(n) => Json::Number(n.clone()),
        serde_json::Value::String(t) => Json::Text(text(t)?),
        serde_json::Value::Array(items) => Json::List(items.iter().map(|i| copy(i, depth + 1, nodes, bytes)).collect::<Option<_>>()?),
        serde_json::Value::Object(members) => {
            Json::Object(members.iter().map(|(k, v)| Some((text(k)?, copy(v, depth + 1, nodes, bytes)?))).collect::<Option<_>>()?)
        }
    })
}

struct Seed<'c> {
    left: &'c Cell<usize>,
    depth: usize,
}

impl Seed<'_> {
    fn inner<E: Error>(&self) -> Result<Self, E> {
        if self.depth + 1 > MAX_JSON_DEPTH {
            return Err(E::custom("nested more than 64 deep"));
        }
        Ok(Seed { left: self.left, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Json, D::Error> {
        let left = self.left.get();
        if left == 0 {
            return Err(D::Error::custom("more than 200000 values"));
        }
        self.left.set(left - 1);
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Json, E> {
        Ok(Json::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Json, E> {
        Ok(Json::Number(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Json, E> {
        Ok(Json::Number(v.into()))
    }
    fn visit_f64<E: Error>(self, v: f64) -> Result<Json, E> {
        serde_json::Number::from_f64(v).map(Json::Number).ok_or_else(|| E::custom("not a finite number"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Json, E> {
        Ok(Json::Text(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Json, E> {
        Ok(Json::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut list: Vec<(String, Json)> = Vec::new();
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom("a member twice in one object"));
            }
            let value = members.next_value_seed(self.inner()?)?;
            list.push((key, value));
        }
        Ok(Json::Object(list))
    }
}
