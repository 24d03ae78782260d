//! What an index may narrow a query by.

use crate::geometry::Geometry;
use crate::json::{self, Look};
use waybill_model::{AttributeKind, DateTime, EntityDoc};

/// A condition that every matching Entity satisfies (others may too): a sound superset for the store's indexes.
///
/// The conditions on an Attribute are about its *index terms*, see [`Terms`]; an index that keeps fewer terms than those must not
/// be used for them.
#[derive(Debug, Clone, PartialEq)]
pub enum Candidates {
    /// Every Entity.
    All,
    /// The Entity has one of these identifiers.
    Ids(Vec<String>),
    /// The Entity's identifier starts so.
    IdPrefix(String),
    /// The Entity has this scope, or one below it when `below`.
    Scope {
        /// The path, with its leading slash.
        path: String,
        /// Whether scopes below it count too.
        below: bool,
    },
    /// The Entity has one of these types.
    Types(Vec<String>),
    /// The Entity has an Attribute of this expanded name.
    HasAttr(String),
    /// An instance has a number term from `lo` to `hi`, both included (may be infinite).
    NumRange {
        /// The Attribute.
        attr: String,
        /// The least.
        lo: f64,
        /// The greatest.
        hi: f64,
    },
    /// An instance has this text term.
    TextEq {
        /// The Attribute.
        attr: String,
        /// The text.
        text: String,
    },
    /// An instance has a time term from `lo` to `hi`, both included, in microseconds since the epoch.
    TimeRange {
        /// The Attribute.
        attr: String,
        /// The earliest.
        lo: i64,
        /// The latest.
        hi: i64,
    },
    /// An instance has this truth value.
    BoolEq {
        /// The Attribute.
        attr: String,
        /// The value.
        value: bool,
    },
    /// The bounding box of an instance's geometry and this one share a point. Degrees, WGS 84.
    BBox {
        /// The Attribute.
        attr: String,
        /// West, south, east, north.
        bounds: [f64; 4],
    },
    /// All of these.
    And(Vec<Candidates>),
    /// One of these.
    Or(Vec<Candidates>),
}

impl Candidates {
    /// All of `parts`, flattened.
    pub fn and(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut list = Vec::new();
        for part in parts {
            match part {
                Self::All => {}
                Self::And(inner) => list.extend(inner),
                other => list.push(other),
            }
        }
        match list.len() {
            0 => Self::All,
            1 => list.remove(0),
            _ => Self::And(list),
        }
    }

    /// One of `parts`, flattened; types and identifiers are put together.
    pub fn or(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut list: Vec<Self> = Vec::new();
        for part in parts {
            match (part, list.last_mut()) {
                (Self::All, _) => return Self::All,
                (Self::Or(inner), _) => list.extend(inner),
                (Self::Types(more), Some(Self::Types(have))) | (Self::Ids(more), Some(Self::Ids(have))) => have.extend(more),
                (other, _) => list.push(other),
            }
        }
        match list.len() {
            1 => list.remove(0),
            _ => Self::Or(list),
        }
    }

    /// Whether `doc` satisfies it: the meaning that an index must reproduce or exceed.
    pub fn holds(&self, doc: &EntityDoc) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.iter().any(|id| id == doc.id()),
            Self::IdPrefix(prefix) => doc.id().starts_with(prefix.as_str()),
            Self::Scope { path, below } => {
                doc.scopes().any(|s| s.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || (*below && rest.starts_with('/'))))
            }
            Self::Types(types) => doc.types().any(|t| types.iter().any(|want| want == t)),
            Self::HasAttr(attr) => doc.spans().iter().any(|s| doc.name(s) == attr),
            Self::NumRange { attr, lo, hi } => any_terms(doc, attr, |t| t.numbers.iter().any(|n| n >= lo && n <= hi)),
            Self::TextEq { attr, text } => any_terms(doc, attr, |t| t.texts.contains(text)),
            Self::TimeRange { attr, lo, hi } => any_terms(doc, attr, |t| t.times.iter().any(|at| (*lo..=*hi).contains(&at.micros()))),
            Self::BoolEq { attr, value } => any_terms(doc, attr, |t| t.bools.contains(value)),
            Self::BBox { attr, bounds: [west, south, east, north] } => {
                any_terms(doc, attr, |t| t.bbox.is_some_and(|[w, s, e, n]| w <= *east && e >= *west && s <= *north && n >= *south))
            }
            Self::And(all) => all.iter().all(|c| c.holds(doc)),
            Self::Or(any) => any.iter().any(|c| c.holds(doc)),
        }
    }
}

fn any_terms(doc: &EntityDoc, attr: &str, test: impl Fn(&Terms) -> bool) -> bool {
    doc.spans().iter().filter(|s| doc.name(s) == attr).any(|s| test(&Terms::of(s.kind, doc.instance(s))))
}

/// The index terms of one instance.
///
/// A Property's, a JsonProperty's and a ListProperty's: its value, or the first-level elements of an array, where an object counts as
/// its `@value`. A Relationship's and a ListRelationship's: the texts of its targets. A VocabProperty's: its names. A
/// LanguageProperty's: the texts of all languages. A GeoProperty's: its bounding box. A text that is a DateTime is also a time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms {
    /// Numbers.
    pub numbers: Vec<f64>,
    /// Texts.
    pub texts: Vec<String>,
    /// Times.
    pub times: Vec<DateTime>,
    /// Truth values.
    pub bools: Vec<bool>,
    /// West, south, east, north.
    pub bbox: Option<[f64; 4]>,
}

impl Terms {
    /// The terms of the canonical instance `text` of this kind.
    pub fn of(kind: AttributeKind, text: &str) -> Self {
        let mut terms = Self::default();
        let Some(value) = json::member(text, kind.value_member()) else { return terms };
        match kind {
            AttributeKind::GeoProperty => terms.bbox = Geometry::parse_stored(value).and_then(|g| g.bbox()),
            AttributeKind::LanguageProperty => json::members(value, |_, texts| terms.add_all(texts)),
            AttributeKind::ListRelationship => {
                json::any_element(value, &mut |item| {
                    if let Some(object) = json::member(item, "object") {
                        terms.add(object);
                    }
                    false
                });
            }
            _ => terms.add_all(value),
        }
        terms
    }

    fn add_all(&mut self, value: &str) {
        json::any_element(value, &mut |element| {
            self.add(element);
            false
        });
    }

    fn add(&mut self, element: &str) {
        let inner = match json::look(element) {
            Look::Object(object) => json::member(object, "@value").map_or(Look::Null, json::look),
            other => other,
        };
        match inner {
            Look::Number(n) => self.numbers.push(n),
            Look::Bool(b) => self.bools.push(b),
            Look::Text(t) => {
                self.times.extend(DateTime::parse(&t).ok());
                self.texts.push(t.into_owned());
            }
            Look::Null | Look::Array(_) | Look::Object(_) => {}
        }
    }
}
