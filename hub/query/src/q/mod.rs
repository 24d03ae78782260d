//! The query language `q` (clause 4.9).

mod ast;
mod eval;
mod parse;

pub use ast::{Comparison, Expr, Literal, Meta, Operand, Operator, Path, QOptions, Root, Step};
pub use eval::Links;
pub(crate) use eval::{Target, any_target};
pub(crate) use parse::path as parse_path;

use crate::{Candidates, DatasetIds, Expander, QueryError};
use waybill_model::{AttributeKind, EntityDoc};

/// A parsed `q`. All names are expanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Q {
    /// The whole expression.
    pub root: Expr,
}

impl Q {
    /// Reads `text` with the names of `expander`.
    ///
    /// # Errors
    /// [`QueryError`] with the character at which reading stopped.
    pub fn parse(text: &str, expander: &dyn Expander) -> Result<Self, QueryError> {
        Self::parse_with(text, expander, &QOptions::default())
    }

    /// The same, with the parameters beside `q`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(text: &str, expander: &dyn Expander, options: &QOptions) -> Result<Self, QueryError> {
        parse::query(text, expander, options).map(|root| Self { root })
    }

    /// Whether `doc` satisfies it. An attribute that is missing satisfies nothing; a linked Entity neither.
    pub fn matches(&self, doc: &EntityDoc) -> bool {
        self.matches_with(doc, &DatasetIds::default(), None)
    }

    /// The same, looking only at the instances with `datasets` and following Relationships by `links`.
    pub fn matches_with(&self, doc: &EntityDoc, datasets: &DatasetIds, links: Option<&dyn Links>) -> bool {
        eval::expr(&self.root, doc, datasets, links)
    }

    /// Whether a term asks for something other than system attributes, so that the query is not too wide (clause 5.7.2.4).
    pub fn names_attribute(&self) -> bool {
        self.root.paths().iter().any(|p| matches!(p.root, Root::Attribute(_)))
    }

    /// Whether it follows a Relationship into another Entity.
    pub fn follows_links(&self) -> bool {
        fn linked(e: &Expr) -> bool {
            match e {
                Expr::And(list) | Expr::Or(list) => list.iter().any(linked),
                Expr::Linked { .. } => true,
                Expr::Exists(_) | Expr::Compare(_) => false,
            }
        }
        linked(&self.root)
    }

    /// How many Relationships it follows one behind the other.
    pub fn link_depth(&self) -> usize {
        fn depth(e: &Expr) -> usize {
            match e {
                Expr::And(list) | Expr::Or(list) => list.iter().map(depth).max().unwrap_or(0),
                Expr::Linked { inner, .. } => 1 + depth(inner),
                Expr::Exists(_) | Expr::Compare(_) => 0,
            }
        }
        depth(&self.root)
    }

    pub(crate) fn candidates(&self) -> Candidates {
        expr_candidates(&self.root)
    }
}

fn expr_candidates(e: &Expr) -> Candidates {
    match e {
        Expr::And(list) => Candidates::and(list.iter().map(expr_candidates)),
        Expr::Or(list) => Candidates::or(list.iter().map(expr_candidates)),
        Expr::Exists(path) | Expr::Linked { path, .. } => has(path),
        Expr::Compare(c) => comparison_candidates(c),
    }
}

fn has(path: &Path) -> Candidates {
    match &path.root {
        Root::System(_) => Candidates::All,
        Root::Attribute(iri) => Candidates::HasAttr(iri.clone()),
    }
}

/// An index knows whole values only: a path into a value or to a sub-attribute narrows no further than to the Attribute.
fn comparison_candidates(c: &Comparison) -> Candidates {
    let Root::Attribute(attr) = &c.path.root else { return Candidates::All };
    if !c.path.steps.is_empty() || !c.path.member.is_empty() {
        return Candidates::HasAttr(attr.clone());
    }
    match (c.operator, &c.operand) {
        (Operator::Equal, operand) => equal_candidates(attr, operand),
        (Operator::Greater | Operator::GreaterOrEqual, Operand::One(low)) => range_candidates(attr, Some(low), None),
        (Operator::Less | Operator::LessOrEqual, Operand::One(high)) => range_candidates(attr, None, Some(high)),
        _ => Candidates::HasAttr(attr.clone()),
    }
}

fn equal_candidates(attr: &str, operand: &Operand) -> Candidates {
    match operand {
        Operand::One(Literal::Text { raw, expanded }) => {
            let texts = [raw, expanded].into_iter().take(1 + usize::from(raw != expanded));
            Candidates::or(texts.map(|t| Candidates::TextEq { attr: attr.to_owned(), text: t.clone() }))
        }
        Operand::One(Literal::Uri(text) | Literal::Date(text) | Literal::Clock(text)) => {
            Candidates::TextEq { attr: attr.to_owned(), text: text.clone() }
        }
        Operand::One(Literal::Bool(value)) => Candidates::BoolEq { attr: attr.to_owned(), value: *value },
        Operand::One(one) => range_candidates(attr, Some(one), Some(one)),
        Operand::Range(low, high) => range_candidates(attr, Some(low), Some(high)),
        Operand::List(list) => Candidates::or(list.iter().map(|o| equal_candidates(attr, o))),
        Operand::Pattern(_) => Candidates::HasAttr(attr.to_owned()),
    }
}

fn range_candidates(attr: &str, low: Option<&Literal>, high: Option<&Literal>) -> Candidates {
    match (low, high) {
        (Some(Literal::Number(_)) | None, Some(Literal::Number(_)) | None) => {
            let number = |l: Option<&Literal>, or| if let Some(Literal::Number(n)) = l { *n } else { or };
            Candidates::NumRange { attr: attr.to_owned(), lo: number(low, f64::NEG_INFINITY), hi: number(high, f64::INFINITY) }
        }
        (Some(Literal::Time(_)) | None, Some(Literal::Time(_)) | None) => {
            let time = |l: Option<&Literal>, or| if let Some(Literal::Time(t)) = l { t.micros() } else { or };
            Candidates::TimeRange { attr: attr.to_owned(), lo: time(low, i64::MIN), hi: time(high, i64::MAX) }
        }
        _ => Candidates::HasAttr(attr.to_owned()),
    }
}

/// The kind an instance's text names; a Property when it names none.
pub(crate) fn kind_of(instance: &str) -> AttributeKind {
    crate::json::member(instance, "type").and_then(crate::json::string).and_then(|t| AttributeKind::parse(&t)).unwrap_or(AttributeKind::Property)
}
