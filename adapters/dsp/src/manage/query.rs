//! Comparisons of the management interface: what a query asks for, and which assets a contract definition is about.

use super::body::{listed, member, object, plain_key, text_of, unwrapped};
use crate::fault::Fault;
use crate::manage::body::Body;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// Entries of one page.
const PAGE: usize = 50;
/// The most entries of one page.
const MOST: usize = 1000;
/// The most comparisons at once.
const COMPARISONS: usize = 100;

/// How the sides of a comparison stand to each other. The words are those of the Eclipse EDC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Operator {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    Other,
    #[serde(rename = "in")]
    In,
    #[serde(rename = "like")]
    Like,
    #[serde(rename = "ilike")]
    LikeInAnyCase,
    #[serde(rename = "contains")]
    Contains,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Criterion {
    left: String,
    operator: Operator,
    right: Value,
}

impl Criterion {
    /// The comparisons that stand at `place`.
    ///
    /// # Errors
    /// 400 for what is no comparison, and for an operator that is not understood: an answer that left it out would be wrong.
    pub fn all(value: &Value, place: &str) -> Result<Vec<Self>, Fault> {
        let all = listed(value);
        if all.len() > COMPARISONS {
            return Err(Fault::bad(place, format!("there are more than {COMPARISONS} comparisons")));
        }
        all.iter().enumerate().map(|(i, c)| Self::read(c, &format!("{place}/{i}"))).collect()
    }

    fn read(value: &Value, place: &str) -> Result<Self, Fault> {
        let map = object(value).ok_or_else(|| Fault::bad(place, "a comparison is an object with operandLeft, operator and operandRight"))?;
        let body = Body::new(map, place)?;
        body.only(&["operandLeft", "operator", "operandRight"])?;
        let word = body.text("operator")?;
        let known = serde_json::from_value(word.into());
        let operator = known.map_err(|_| Fault::bad(&format!("{place}/operator"), format!("`{}` is not understood; =, !=, in, like, ilike and contains are", super::body::cut(word))))?;
        let right = body.get("operandRight").ok_or_else(|| Fault::bad(&format!("{place}/operandRight"), "it is missing"))?;
        let right = match operator {
            Operator::In => listed(right).iter().map(unwrapped).collect(),
            _ => unwrapped(right),
        };
        if matches!(operator, Operator::Like | Operator::LikeInAnyCase) && !right.is_string() {
            return Err(Fault::bad(&format!("{place}/operandRight"), "a pattern is a text, in which % stands for any text and _ for any character"));
        }
        Ok(Self { left: plain_key(body.text("operandLeft")?).to_owned(), operator, right })
    }

    /// Whether `view`, as the interface shows something, is one of those meant. What it does not have fits no comparison.
    pub fn fits(&self, view: &Value) -> bool {
        let Some(left) = member(view, &self.left) else { return false };
        match self.operator {
            Operator::Equal => *left == self.right,
            Operator::Other => *left != self.right,
            Operator::In => self.right.as_array().is_some_and(|all| all.contains(left)),
            Operator::Contains => left.as_array().is_some_and(|all| all.contains(&self.right)),
            Operator::Like => left.as_str().zip(self.right.as_str()).is_some_and(|(text, pattern)| like(text, pattern)),
            Operator::LikeInAnyCase => left.as_str().zip(self.right.as_str()).is_some_and(|(text, pattern)| like(&text.to_lowercase(), &pattern.to_lowercase())),
        }
    }

    /// As clients write it.
    pub fn view(&self) -> Value {
        json!({"@type": "Criterion", "operandLeft": self.left, "operator": self.operator, "operandRight": self.right})
    }
}

/// Whether `text` is of the `pattern`, in which `%` stands for any text and `_` for any character. In time of the product of their lengths.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((t, p));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => (t, p) = (t + 1, p + 1),
            _ => match back {
                Some((from, at)) => {
                    back = Some((from + 1, at));
                    (t, p) = (from + 1, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

/// What a query asks for (the `QuerySpec` of the Eclipse EDC).
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub offset: usize,
    pub limit: usize,
    filter: Vec<Criterion>,
    sort: Option<(String, bool)>,
}

impl Query {
    /// Reads one; nothing at all asks for the first page of everything.
    ///
    /// # Errors
    /// 400 for a member that is not understood.
    pub fn read(map: Map<String, Value>) -> Result<Self, Fault> {
        let body = Body::new(&map, "")?;
        body.only(&["offset", "limit", "filterExpression", "sortField", "sortOrder"])?;
        let number = |name: &str, otherwise: usize| match body.get(name).map(unwrapped) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(value) => value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(|| Fault::bad(&format!("/{name}"), "it must be a whole number")),
        };
        let descending = match body.optional_text("sortOrder")? {
            None | Some("ASC") => false,
            Some("DESC") => true,
            Some(_) => return Err(Fault::bad("/sortOrder", "it must be ASC or DESC")),
        };
        Ok(Self {
            offset: number("offset", 0)?,
            limit: number("limit", PAGE)?.clamp(1, MOST),
            filter: body.get("filterExpression").map_or(Ok(Vec::new()), |f| Criterion::all(f, "/filterExpression"))?,
            sort: body.optional_text("sortField")?.map(|field| (plain_key(field).to_owned(), descending)),
        })
    }

    pub fn fits(&self, view: &Value) -> bool {
        self.filter.iter().all(|c| c.fits(view))
    }

    /// Whether all must be known before the first can be told.
    pub fn is_sorted(&self) -> bool {
        self.sort.is_some()
    }

    /// The page of `all`, which fit.
    pub fn page(&self, mut all: Vec<Value>) -> Value {
        if let Some((field, descending)) = &self.sort {
            // What lacks the field comes last, in either order.
            all.sort_by(|a, b| match (member(a, field), member(b, field)) {
                (Some(a), Some(b)) if *descending => order(b, a),
                (Some(a), Some(b)) => order(a, b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
        }
        all.into_iter().skip(self.offset).take(self.limit).collect()
    }
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => text_of(a).cmp(&text_of(b)),
    }
}
