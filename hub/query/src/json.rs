//! Looking into JSON text without building a tree.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A JSON value, looked at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Look<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Array(&'a str),
    Object(&'a str),
}

/// Looks at `text`. What is no JSON looks like null.
pub(crate) fn look(text: &str) -> Look<'_> {
    let text = text.trim_ascii();
    match text.as_bytes().first() {
        Some(b'{') => Look::Object(text),
        Some(b'[') => Look::Array(text),
        Some(b'"') => string(text).map_or(Look::Null, Look::Text),
        Some(b't') => Look::Bool(true),
        Some(b'f') => Look::Bool(false),
        Some(b'-' | b'0'..=b'9') => text.parse().map_or(Look::Null, Look::Number),
        _ => Look::Null,
    }
}

/// The string that `text` is, or nothing.
pub(crate) fn string(text: &str) -> Option<Cow<'_, str>> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(text).ok().map(Cow::Owned)
}

/// The value of the member `name` of the object `text`, or nothing.
pub(crate) fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    members(text, |key, value| {
        if key == name {
            found = Some(value);
        }
    });
    found
}

/// Calls `f` with each member of the object `text`.
pub(crate) fn members<'a>(text: &'a str, f: impl FnMut(&str, &'a str)) {
    struct V<F>(F);
    impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for V<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key_seed(Key)? {
                let value = map.next_value::<&'de RawValue>()?;
                (self.0)(&key, value.get());
            }
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let _ = reader.deserialize_map(V(f));
}

struct Key;
impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(v.to_owned()))
            }
        }
        d.deserialize_str(V)
    }
}

/// Whether `f` holds for some element of the array `text`; of a text that is no array, for itself.
pub(crate) fn any_element<'a>(text: &'a str, f: &mut dyn FnMut(&'a str) -> bool) -> bool {
    struct V<'f, 'a>(&'f mut dyn FnMut(&'a str) -> bool);
    impl<'a> Visitor<'a> for V<'_, 'a> {
        type Value = bool;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }
        fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<bool, A::Error> {
            while let Some(raw) = seq.next_element::<&'a RawValue>()? {
                if (self.0)(raw.get()) {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
    if !text.trim_ascii_start().starts_with('[') {
        return f(text);
    }
    serde_json::Deserializer::from_str(text).deserialize_seq(V(f)).unwrap_or(false)
}
