//! JSON compared by what it means: order in lists, one value or a list of one, and prefixes aside.

use serde_json::Value;

pub const PREFIXES: &[(&str, &str)] = &[
    ("ids:", "https://w3id.org/idsa/core/"),
    ("idsc:", "https://w3id.org/idsa/code/"),
    ("odrl:", "http://www.w3.org/ns/odrl/2/"),
    ("dct:", "http://purl.org/dc/terms/"),
    ("dc:", "http://purl.org/dc/terms/"),
    ("dcat:", "http://www.w3.org/ns/dcat#"),
    ("xsd:", "http://www.w3.org/2001/XMLSchema#"),
];

pub fn expand(text: &str) -> String {
    PREFIXES.iter().find_map(|(p, n)| text.strip_prefix(p).map(|rest| format!("{n}{rest}"))).unwrap_or_else(|| text.to_owned())
}

/// The values under a name: none, one or many.
pub fn values<'a>(of: &'a Value, name: &str) -> Vec<&'a Value> {
    match of.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    }
}

/// A document of IDS in one form.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(canonical).collect();
            list.sort_by_key(Value::to_string);
            if list.len() == 1 { list.remove(0) } else { Value::Array(list) }
        }
        Value::Object(object) => {
            let members = object.iter().filter(|(k, _)| *k != "@context");
            let canonical = members.map(|(k, v)| {
                let v = match k.as_str() {
                    "@id" | "@type" => each_text(v),
                    k if k.starts_with('@') => v.clone(),
                    _ => canonical(v),
                };
                (expand(k), v)
            });
            Value::Object(canonical.collect())
        }
        // A bare text and a literal without a type are the same.
        Value::String(text) => serde_json::json!({ "@value": text }),
        other => other.clone(),
    }
}

fn each_text(value: &Value) -> Value {
    match value {
        Value::String(text) => expand(text).into(),
        Value::Array(list) => list.iter().map(each_text).collect(),
        other => other.clone(),
    }
}
