//! Ordering of results (clause 4.23).

use crate::cursor::Cursor;
use crate::geo_query::distance;
use crate::json::{self, Look};
use crate::q::{Path, Target, any_target, parse_path};
use crate::{DatasetIds, Expander, Geometry, QueryError};
use std::cmp::Ordering;
use waybill_model::{DateTime, EntityDoc};

/// In which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Direction {
    Asc,
    Desc,
    /// Nearest first.
    DistAsc,
    /// Farthest first.
    DistDesc,
}

/// By what.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderKey {
    /// The identifier.
    Id,
    /// The first type.
    Type,
    /// What a path of `q` leads to.
    Path(Path),
}

/// One criterion.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderItem {
    /// By what.
    pub key: OrderKey,
    /// In which direction.
    pub direction: Direction,
}

/// A parsed orderBy. Values of different kinds order as number, string, object, array, truth value, time, null, missing.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderBy {
    /// The criteria, the first deciding.
    pub items: Vec<OrderItem>,
    /// From where distances are measured.
    pub from: Option<Geometry>,
    /// Whether texts are ordered in the manner of the root collation; else by code points.
    pub collated: bool,
}

const HELP: &str = "Write names with an optional direction: name,age;desc,location;dist-asc.";

impl OrderBy {
    /// Reads orderBy; `from` is the geometry of orderFrom.
    ///
    /// # Errors
    /// [`QueryError`]; also when a distance is asked without `from`.
    pub fn parse(text: &str, from: Option<Geometry>, expander: &dyn Expander) -> Result<Self, QueryError> {
        let mut c = Cursor::new("orderBy", text)?;
        let mut items = Vec::new();
        loop {
            c.count()?;
            let rest = c.rest();
            let named = |name: &str| rest.strip_prefix(name).is_some_and(|r| r.is_empty() || r.starts_with([',', ';']));
            let key = match () {
                () if named("id") => {
                    c.take(2);
                    OrderKey::Id
                }
                () if named("type") => {
                    c.take(4);
                    OrderKey::Type
                }
                () => OrderKey::Path(parse_path(&mut c, expander)?),
            };
            let direction = if c.eat(";") {
                match c.take_until(|ch| ch == ',') {
                    "asc" => Direction::Asc,
                    "desc" => Direction::Desc,
                    "dist-asc" => Direction::DistAsc,
                    "dist-desc" => Direction::DistDesc,
                    _ => return Err(c.invalid("the direction before this is none of asc, desc, dist-asc, dist-desc", HELP)),
                }
            } else {
                Direction::Asc
            };
            if matches!(direction, Direction::DistAsc | Direction::DistDesc) && from.is_none() {
                return Err(c.invalid("ordering by distance needs `orderFrom`", "Give orderFrom the coordinates to measure from."));
            }
            items.push(OrderItem { key, direction });
            if !c.eat(",") {
                c.end(HELP)?;
                return Ok(Self { items, from, collated: false });
            }
        }
    }

    /// Sorts `docs`; equal ones keep their order.
    pub fn sort(&self, docs: &mut [EntityDoc]) {
        self.sort_by(docs, |doc| doc);
    }

    /// Sorts `items` by the document that `doc` finds in each; equal ones keep their order.
    pub fn sort_by<T>(&self, items: &mut [T], doc: impl Fn(&T) -> &EntityDoc) {
        items.sort_by_cached_key(|found| Keys(self.items.iter().map(|item| (self.rank(item, doc(found)), item.direction)).collect()));
    }

    fn rank(&self, item: &OrderItem, doc: &EntityDoc) -> Rank {
        let fold = |t: &str| if self.collated { folded(t) } else { String::new() };
        let text = |t: &str| Rank::Text(fold(t), t.to_owned());
        let path = match &item.key {
            OrderKey::Id => return text(doc.id()),
            OrderKey::Type => return doc.types().next().map_or(Rank::Missing, text),
            OrderKey::Path(path) => path,
        };
        let mut found = Rank::Missing;
        if let (Direction::DistAsc | Direction::DistDesc, Some(from)) = (item.direction, &self.from) {
            let name = match &path.root {
                crate::Root::Attribute(iri) => iri.as_str(),
                crate::Root::System(_) => return Rank::Missing,
            };
            for span in doc.instances_of(name) {
                let geometry = json::member(doc.instance(span), "value").and_then(Geometry::parse_stored);
                let metres = geometry.map_or(f64::NAN, |g| distance(from, &g));
                if metres.is_finite() {
                    found = found.min(Rank::Number(Float(metres)));
                }
            }
            return found;
        }
        any_target(path, doc, &DatasetIds::default(), &mut |target| {
            found = match target {
                Target::Json(raw) => rank_of(raw, &fold),
                Target::Text(t) | Target::Name(t) | Target::Link(t) => text(&t),
                Target::Time(at) => Rank::Time(at),
                Target::Opaque => Rank::Object,
            };
            true
        });
        found
    }
}

fn rank_of(raw: &str, fold: &dyn Fn(&str) -> String) -> Rank {
    match json::look(raw) {
        Look::Null => Rank::Null,
        Look::Bool(b) => Rank::Bool(b),
        Look::Number(n) => Rank::Number(Float(n)),
        Look::Text(t) => Rank::Text(fold(&t), t.into_owned()),
        Look::Array(_) => Rank::Array,
        Look::Object(object) => match json::member(object, "@value").and_then(json::string) {
            Some(t) => DateTime::parse(&t).map_or(Rank::Date(t.into_owned()), Rank::Time),
            None => Rank::Object,
        },
    }
}

/// A text as it is ordered first: without case, and Latin letters without their marks, which comes near the root collation.
fn folded(text: &str) -> String {
    const MARKED: &str = "àáâãäåāăąçćĉċčďđèéêëēĕėęěĝğġģĥħìíîïĩīĭįıĵķĺļľŀłñńņňòóôõöøōŏőŕŗřśŝşšţťŧùúûüũūŭůűųŵýÿŷźżž";
    const PLAIN: &str = "aaaaaaaaacccccddeeeeeeeeegggghhiiiiiiiiijklllllnnnnooooooooorrrsssstttuuuuuuuuuuwyyyzzz";
    let plain = |c: char| MARKED.chars().position(|m| m == c).and_then(|i| PLAIN.chars().nth(i)).unwrap_or(c);
    text.chars().flat_map(char::to_lowercase).map(|c| if c.is_ascii() { c } else { plain(c) }).collect()
}

/// A number with a total order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Float(f64);
impl Eq for Float {}
impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The order of the variants is the order of the kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(Float),
    /// Folded first when a collation is asked, then as it is.
    Text(String, String),
    Object,
    Array,
    Bool(bool),
    Date(String),
    Time(DateTime),
    Null,
    Missing,
}

#[derive(PartialEq, Eq)]
struct Keys(Vec<(Rank, Direction)>);
impl PartialOrd for Keys {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Keys {
    fn cmp(&self, other: &Self) -> Ordering {
        for ((a, direction), (b, _)) in self.0.iter().zip(&other.0) {
            let order = match direction {
                Direction::Asc | Direction::DistAsc => a.cmp(b),
                Direction::Desc | Direction::DistDesc => b.cmp(a),
            };
            if order.is_ne() {
                return order;
            }
        }
        Ordering::Equal
    }
}
