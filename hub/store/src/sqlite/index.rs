//! What of an entity the indexes hold. The same document always gives the same keys: an update works out the old ones again and writes
//! only the difference. Change what is extracted only with a migration that indexes everything anew.

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use waybill_model::{AttributeKind, DateTime, EntityDoc};

/// Longer texts are cut for the index; a look-up cuts its text the same way.
const TEXT_LIMIT: usize = 128;
/// Longer arrays are not indexed by element.
const ARRAY_LIMIT: usize = 32;
/// The numbers that one entity's geometries may have in the R*Tree; those beyond share the last.
pub const PLACES: i64 = 256;

/// Stands in the index of types for having more than one; no type has this name.
pub const SEVERAL: &str = "";

/// One indexed value. Sorted in the index as: numbers, texts, then the blobs: opaque (empty), times (8 bytes), booleans (0xFF, 0 or 1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The Attribute is there with a value that is no plain one.
    Opaque,
    /// A number, as bits so that it has a total order.
    Num(u64),
    /// The start of a string.
    Text(String),
    /// A DateTime, in order-preserving bytes.
    Time([u8; 8]),
    /// A boolean.
    Bool([u8; 2]),
}

impl Key {
    pub fn num(n: f64) -> Self {
        // Zero has two signs and one place in the index.
        Self::Num(if n == 0.0 { 0.0f64 } else { n }.to_bits())
    }
    pub fn text(text: &str) -> Self {
        let mut end = text.len().min(TEXT_LIMIT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::Text(text[..end].to_owned())
    }
    pub fn time(micros: i64) -> Self {
        Self::Time(((micros as u64) ^ (1 << 63)).to_be_bytes())
    }
    pub fn bool(value: bool) -> Self {
        Self::Bool([0xff, u8::from(value)])
    }
}

impl ToSql for Key {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Opaque => ToSqlOutput::Borrowed(ValueRef::Blob(&[])),
            Self::Num(bits) => ToSqlOutput::Borrowed(ValueRef::Real(f64::from_bits(*bits))),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Time(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Bool(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// All keys of one entity; each list sorted, without repeats.
#[derive(Debug, Default, PartialEq)]
pub struct Keys {
    pub types: Vec<String>,
    pub scopes: Vec<String>,
    pub attrs: Vec<(String, Key)>,
    /// Name and box (west, south, east, north) of each geometry, in document order.
    pub places: Vec<(String, [f64; 4])>,
}

#[derive(Deserialize)]
struct Held<'a> {
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    vocab: Option<&'a RawValue>,
}

impl Keys {
    pub fn of(doc: &EntityDoc) -> Self {
        let mut keys = Self {
            types: doc.types().map(str::to_owned).collect(),
            scopes: doc.scopes().map(str::to_owned).collect(),
            attrs: Vec::with_capacity(doc.spans().len()),
            places: Vec::new(),
        };
        for span in doc.spans() {
            let name = doc.name(span);
            let held: Option<Held<'_>> = serde_json::from_str(doc.instance(span)).ok();
            let raw = held.and_then(|h| match span.kind {
                AttributeKind::Property | AttributeKind::GeoProperty => h.value,
                AttributeKind::Relationship => h.object,
                AttributeKind::VocabProperty => h.vocab,
                _ => None,
            });
            match (span.kind, raw) {
                (AttributeKind::GeoProperty, raw) => {
                    keys.attrs.push((name.to_owned(), Key::Opaque));
                    keys.places.push((name.to_owned(), raw.and_then(|raw| bounds(raw.get())).unwrap_or(WORLD)));
                }
                (_, Some(raw)) => keys.value(name, raw.get()),
                (_, None) => keys.attrs.push((name.to_owned(), Key::Opaque)),
            }
        }
        keys.types.sort_unstable();
        keys.types.dedup();
        if keys.types.len() > 1 {
            keys.types.insert(0, SEVERAL.to_owned());
        }
        keys.scopes.sort_unstable();
        keys.scopes.dedup();
        keys.attrs.sort_unstable();
        keys.attrs.dedup();
        keys
    }

    fn value(&mut self, name: &str, raw: &str) {
        if !raw.starts_with('[') {
            return self.plain(name, raw);
        }
        match serde_json::from_str::<Vec<&RawValue>>(raw) {
            Ok(items) if !items.is_empty() && items.len() <= ARRAY_LIMIT => {
                for item in items {
                    self.plain(name, item.get());
                }
            }
            _ => self.attrs.push((name.to_owned(), Key::Opaque)),
        }
    }

    fn plain(&mut self, name: &str, raw: &str) {
        let mut push = |key| self.attrs.push((name.to_owned(), key));
        match raw.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<Cow<'_, str>>(raw) {
                Ok(text) => {
                    push(Key::text(&text));
                    // A DateTime is looked for as text and as a point in time.
                    if let Ok(at) = DateTime::parse(&text) {
                        push(Key::time(at.micros()));
                    }
                }
                Err(_) => push(Key::Opaque),
            },
            Some(b't') => push(Key::bool(true)),
            Some(b'f') => push(Key::bool(false)),
            Some(b'-' | b'0'..=b'9') => match raw.parse::<f64>() {
                Ok(n) if n.is_finite() => push(Key::num(n)),
                _ => push(Key::Opaque),
            },
            _ => push(Key::Opaque),
        }
    }
}

/// Where a geometry without usable coordinates is: anywhere.
pub const WORLD: [f64; 4] = [-1e9, -1e9, 1e9, 1e9];

/// The bounding box of a GeoJSON geometry.
fn bounds(raw: &str) -> Option<[f64; 4]> {
    #[derive(Deserialize)]
    struct Geometry {
        coordinates: Nested,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Nested {
        Number(f64),
        List(Vec<Nested>),
    }
    fn widen(n: &Nested, into: &mut [f64; 4]) -> bool {
        let Nested::List(items) = n else { return false };
        if let [Nested::Number(x), Nested::Number(y), ..] = items.as_slice() {
            *into = [into[0].min(*x), into[1].min(*y), into[2].max(*x), into[3].max(*y)];
            return x.is_finite() && y.is_finite();
        }
        !items.is_empty() && items.iter().all(|item| widen(item, into))
    }
    let geometry: Geometry = serde_json::from_str(raw).ok()?;
    let mut found = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    widen(&geometry.coordinates, &mut found).then_some(found)
}
