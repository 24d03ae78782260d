//! Bodies as clients write them: compact, prefixed, or expanded JSON-LD. Read by name, each fault at its place.

use crate::fault::Fault;
use crate::ns::{local, plain};
use crate::vocab::EDC;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use waybill_http::Request;

/// The longest text that names something, in bytes.
pub(crate) const MAX_TEXT: usize = 2048;
/// The largest part that is kept as it came: properties, a policy. In bytes of JSON.
pub(crate) const MAX_PART: usize = 1 << 16;

/// The members of an object by their names without a namespace.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    members: HashMap<&'a str, &'a Value>,
    place: String,
}

impl<'a> Body<'a> {
    /// Takes the members of `map`, which stands at `place`.
    ///
    /// # Errors
    /// 400 when two have one name without their namespaces.
    pub fn new(map: &'a Map<String, Value>, place: &str) -> Result<Self, Fault> {
        let mut members = HashMap::new();
        for (name, value) in map {
            let short = match local(name) {
                "id" => "@id",
                short => short,
            };
            if members.insert(short, value).is_some() {
                return Err(Fault::new(400, "member-twice", &format!("{place}/{short}"), "it is given twice, under two names that mean the same"));
            }
        }
        Ok(Self { members, place: place.to_owned() })
    }

    /// The place of a member.
    pub fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    /// Refuses members beside `known`, the context, the type and the identifier.
    ///
    /// # Errors
    /// 400 with the name: what is left out of account would be taken for said.
    pub fn only(&self, known: &[&str]) -> Result<(), Fault> {
        let odd = self.members.keys().filter(|name| !known.contains(name) && !["@context", "@type", "@id"].contains(name)).min();
        match odd {
            None => Ok(()),
            Some(name) => Err(Fault::bad(&self.at(name), format!("there is no `{}` here; there are {}", cut(name), known.join(", ")))),
        }
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).copied()
    }

    /// A text that may be missing.
    ///
    /// # Errors
    /// 400 when it is no text, empty or too long.
    pub fn optional_text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        let Some(value) = self.get(name).filter(|v| !v.is_null()) else { return Ok(None) };
        match plain(value) {
            None => Err(Fault::bad(&self.at(name), "it must be a text")),
            Some("") => Err(Fault::bad(&self.at(name), "it is empty")),
            Some(text) if text.len() > MAX_TEXT => Err(Fault::bad(&self.at(name), format!("it is longer than {MAX_TEXT} bytes"))),
            Some(text) => Ok(Some(text)),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// As [`Self::optional_text`], and when it is missing.
    pub fn text(&self, name: &str) -> Result<&'a str, Fault> {
        self.optional_text(name)?.ok_or_else(|| Fault::bad(&self.at(name), "it is missing"))
    }

    /// An object that may be missing.
    ///
    /// # Errors
    /// 400 when it is no object, or too large to be kept.
    pub fn optional_object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Fault> {
        let Some(value) = self.get(name).filter(|v| !v.is_null()) else { return Ok(None) };
        if value.to_string().len() > MAX_PART {
            return Err(Fault::bad(&self.at(name), format!("it is larger than {MAX_PART} bytes")));
        }
        object(value).map(Some).ok_or_else(|| Fault::bad(&self.at(name), "it must be an object"))
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// As [`Self::optional_object`], and when it is missing.
    pub fn object(&self, name: &str) -> Result<&'a Map<String, Value>, Fault> {
        self.optional_object(name)?.ok_or_else(|| Fault::bad(&self.at(name), "it is missing"))
    }

    /// Properties that are only carried along, with plain names and values.
    ///
    /// # Errors
    /// As [`Self::optional_object`], and when two have one name.
    pub fn properties(&self, name: &str) -> Result<Map<String, Value>, Fault> {
        let mut out = Map::new();
        for (key, value) in self.optional_object(name)?.into_iter().flatten() {
            if key != "@type" && key != "@context" && out.insert(plain_key(key).to_owned(), unwrapped(value)).is_some() {
                return Err(Fault::new(400, "member-twice", &self.at(name), format!("`{}` is given twice, under two names that mean the same", cut(key))));
            }
        }
        Ok(out)
    }
}

/// The object of a request's body, or that of a list of one.
///
/// # Errors
/// 400 when it is none, or a member stands twice.
pub(crate) fn whole(request: &Request) -> Result<Map<String, Value>, Fault> {
    waybill_http::strict::once(&request.body).map_err(Fault::from)?;
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Array(list)) => match <[Value; 1]>::try_from(list) {
            Ok([Value::Object(map)]) => Ok(map),
            _ => Err(Fault::bad("", "one JSON object is expected")),
        },
        _ => Err(Fault::bad("", "a JSON object is expected")),
    }
}

/// An object, or the one of a list of one.
pub(crate) fn object(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Array(list) => list.first().filter(|_| list.len() == 1)?.as_object(),
        other => other.as_object(),
    }
}

/// The items of a list; a single thing is a list of one.
pub(crate) fn listed(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        Value::Object(map) => map.get("@list").and_then(Value::as_array).map_or_else(|| std::slice::from_ref(value), Vec::as_slice),
        other => std::slice::from_ref(other),
    }
}

/// A value without what expanded JSON-LD wraps it in.
pub(crate) fn unwrapped(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.get("@value").or_else(|| map.get("@id").filter(|_| map.len() == 1)).unwrap_or(value).clone(),
        Value::Array(list) => match list.as_slice() {
            [one @ Value::Object(map)] if map.contains_key("@value") || (map.contains_key("@id") && map.len() == 1) => unwrapped(one),
            all => all.iter().map(unwrapped).collect(),
        },
        other => other.clone(),
    }
}

/// A name that a client wrote, without the namespace of the EDC and without the quotes of a path.
pub(crate) fn plain_key(name: &str) -> &str {
    let name = name.strip_prefix('\'').and_then(|n| n.strip_suffix('\'')).unwrap_or(name);
    name.strip_prefix(EDC).or_else(|| name.strip_prefix("edc:")).unwrap_or(name)
}

/// What `view` has under `name`: a member, one of its properties, or a path with dots.
pub(crate) fn member<'a>(view: &'a Value, name: &str) -> Option<&'a Value> {
    if name == "id" || name == "@id" {
        return view.get("@id");
    }
    let own = view.get("properties").and_then(|p| p.get(name)).or_else(|| view.get(name).filter(|_| name != "properties"));
    own.or_else(|| {
        let (first, rest) = name.split_once('.')?;
        member(view.get(plain_key(first))?, plain_key(rest))
    })
}

/// A value as a text to sort by.
pub(crate) fn text_of(value: &Value) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}

/// A text of a client's for a message, cut.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}
