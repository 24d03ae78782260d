//! JSON as it is read here: a member that stands twice is a fault, since the first of two would vanish, and its rules with it.

use crate::ConvertError;
use crate::node::escape;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// The longest text that is read, in bytes.
pub const MAX_TEXT: usize = 16 << 20;

pub(crate) fn parse(text: &str) -> Result<Value, ConvertError> {
    if text.len() > MAX_TEXT {
        return Err(ConvertError::TooLarge { reason: format!("it has {} bytes, more than {MAX_TEXT}", text.len()) });
    }
    serde_json::from_str::<Strict>(text)
        .map(|strict| strict.0)
        .map_err(|e| {
            // The place is told apart from the reason.
            let whole = e.to_string();
            let reason = whole.split(" at line ").next().unwrap_or(&whole).to_owned();
            ConvertError::NotJson { line: e.line(), column: e.column(), reason }
        })
}

/// Refuses what gives names another meaning inside the document, or moves members to where they do not stand. Read without it, a rule
/// would be another rule.
pub(crate) fn check(document: &Value, place: &str) -> Result<(), ConvertError> {
    check_below(document, place, true)
}

fn check_below(value: &Value, place: &str, top: bool) -> Result<(), ConvertError> {
    match value {
        Value::Array(list) => list.iter().enumerate().try_for_each(|(at, v)| check_below(v, &format!("{place}/{at}"), false)),
        Value::Object(object) => object.iter().try_for_each(|(key, inner)| {
            let place = format!("{place}/{}", escape(key));
            let known = match key.as_str() {
                "@context" | "@graph" => top,
                "@list" | "@set" => object.len() == 1,
                "@id" | "@type" | "@value" | "@language" => true,
                other => !other.starts_with('@'),
            };
            match known {
                false => Err(ConvertError::NotUnderstood { place, reason: format!("`{key}` here is JSON-LD that is not read") }),
                true if key == "@context" => Ok(()),
                true => check_below(inner, &place, false),
            }
        }),
        _ => Ok(()),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reads)
    }
}

struct Reads;

impl<'de> Visitor<'de> for Reads {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
        Ok(Strict(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }
    fn visit_string<E>(self, value: String) -> Result<Strict, E> {
        Ok(Strict(value.into()))
    }
    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strict, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Strict(Value::Array(items)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Strict, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{}` stands twice", name.chars().take(60).collect::<String>())));
            }
            let Strict(value) = object.next_value()?;
            members.insert(name, value);
        }
        Ok(Strict(Value::Object(members)))
    }
}
