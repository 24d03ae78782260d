//! Reading a body strictly: JSON, no member twice, none that is not known.

use crate::problems;
use crate::request::Request;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;
use waybill_model::{Problem, ProblemCode};

/// The body as a `T`, which should refuse unknown members itself.
///
/// # Errors
/// 415 for another media type than JSON, 400 for what is not well-formed, is nested too deep, has a member twice or is no `T`.
pub fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Problem> {
    let value: T = request.json()?;
    object(&request.body, "/")?;
    once(&request.body)?;
    Ok(value)
}

/// The same, where no body at all means the default.
pub fn read_or_default<T: DeserializeOwned + Default>(request: &Request) -> Result<T, Problem> {
    if request.body.is_empty() { Ok(T::default()) } else { read(request) }
}

/// Refuses well-formed JSON that is no object: serde would read a list as the members in their order.
///
/// # Errors
/// 400 naming `place`.
pub fn object(text: &[u8], place: &str) -> Result<(), Problem> {
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(()),
        _ => Err(Problem::new(problems::BAD_JSON, 400, "The body is not what is expected here", "an object is expected").at(place)),
    }
}

/// Refuses a text in which an object has a member twice: readers disagree on which of the two counts.
///
/// # Errors
/// 400 with line and column.
pub fn once(text: &[u8]) -> Result<(), Problem> {
    match serde_json::from_slice::<Once>(text) {
        Ok(Once) => Ok(()),
        Err(e) => {
            let problem = if e.is_data() {
                Problem::new(ProblemCode("duplicate-member"), 400, "A member is given twice", "each member of an object may be given once")
            } else {
                let detail = "the body is not well-formed JSON, or is nested deeper than 127 levels";
                Problem::new(problems::BAD_JSON, 400, "The body is not what is expected here", detail)
            };
            Err(problem.at(format!("line {}, column {}", e.line(), e.column())))
        }
    }
}

/// Any JSON in which no member is given twice.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Once)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Once, A::Error> {
        while seq.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Once, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("twice"));
            }
            map.next_value::<Once>()?;
        }
        Ok(Once)
    }
}
