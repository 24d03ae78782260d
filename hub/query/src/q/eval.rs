//! Evaluates `q` over a document, looking only into the instances that a path touches.

use super::ast::{Comparison, Expr, Literal, Meta, Operand, Operator, Path, Root, Step};
use super::kind_of;
use super::parse::{is_clock, is_date};
use crate::DatasetIds;
use crate::json::{self, Look};
use std::borrow::Cow;
use std::cmp::Ordering;
use waybill_model::{AttributeKind, AttributeSpan, DateTime, EntityDoc};

/// Finds the Entities that Relationships point to.
pub trait Links {
    /// The Entity `id` as this caller may see it, or nothing.
    fn entity(&self, id: &str) -> Option<EntityDoc>;
}

/// What a path leads to.
#[derive(Debug, Clone)]
pub(crate) enum Target<'a> {
    /// JSON text of a value.
    Json(&'a str),
    /// One text of a LanguageProperty, a unit.
    Text(Cow<'a, str>),
    /// The target of a Relationship.
    Link(Cow<'a, str>),
    /// A name of a VocabProperty.
    Name(Cow<'a, str>),
    /// A time of the system or of an observation.
    Time(DateTime),
    /// A whole geometry: it exists, and compares with nothing.
    Opaque,
}

pub(super) fn expr(e: &Expr, doc: &EntityDoc, datasets: &DatasetIds, links: Option<&dyn Links>) -> bool {
    match e {
        Expr::And(list) => list.iter().all(|e| expr(e, doc, datasets, links)),
        Expr::Or(list) => list.iter().any(|e| expr(e, doc, datasets, links)),
        Expr::Exists(path) => any_target(path, doc, datasets, &mut |_| true),
        // All targets of one instance are judged together: an array differs from a value when none of its elements is equal.
        Expr::Compare(c) => any_group(&c.path, doc, datasets, &mut |group| compares(c, group)),
        Expr::Linked { path, types, inner } => {
            let Some(known) = links else { return false };
            any_target(path, doc, datasets, &mut |target| {
                let Target::Link(id) = target else { return false };
                known.entity(&id).is_some_and(|linked| {
                    types.as_ref().is_none_or(|t| t.matches(&linked)) && expr(inner, &linked, &DatasetIds::default(), links)
                })
            })
        }
    }
}

/// Whether `f` holds for some target of `path` in `doc`.
pub(crate) fn any_target<'a>(path: &Path, doc: &'a EntityDoc, datasets: &DatasetIds, f: &mut dyn FnMut(Target<'a>) -> bool) -> bool {
    any_group(path, doc, datasets, &mut |group| group.into_iter().any(&mut *f))
}

/// Whether `f` holds for the targets of some instance that `path` leads to. A group is never empty.
fn any_group<'a>(path: &Path, doc: &'a EntityDoc, datasets: &DatasetIds, f: &mut dyn FnMut(Vec<Target<'a>>) -> bool) -> bool {
    match &path.root {
        Root::System(meta) => {
            let time = match meta {
                Meta::CreatedAt => Some(doc.system.created_at),
                Meta::ModifiedAt => Some(doc.system.modified_at),
                Meta::ExpiresAt => doc.system.expires_at,
                _ => None,
            };
            path.member.is_empty() && time.is_some_and(|t| f(vec![Target::Time(t)]))
        }
        Root::Attribute(iri) => doc
            .spans()
            .iter()
            .filter(|span| doc.name(span) == iri && datasets.admits(doc.dataset_id(span)))
            .any(|span| instance(doc.instance(span), span.kind, Some(span), &path.steps, &path.member, f)),
    }
}

fn instance<'a>(
    text: &'a str,
    kind: AttributeKind,
    span: Option<&AttributeSpan>,
    steps: &[Step],
    member: &[(String, String)],
    f: &mut dyn FnMut(Vec<Target<'a>>) -> bool,
) -> bool {
    match steps {
        [] => {
            let group = value_targets(text, kind, member);
            !group.is_empty() && f(group)
        }
        [Step::Attribute(name), rest @ ..] => {
            let Some(list) = json::member(text, name) else { return false };
            json::any_element(list, &mut |sub| instance(sub, kind_of(sub), None, rest, member, f))
        }
        [Step::Meta(meta), ..] => member.is_empty() && meta_target(text, span, *meta).is_some_and(|t| f(vec![t])),
    }
}

fn meta_target<'a>(text: &'a str, span: Option<&AttributeSpan>, meta: Meta) -> Option<Target<'a>> {
    let held = || json::member(text, meta.as_str());
    match meta {
        Meta::CreatedAt => span.map(|s| Target::Time(s.created_at)),
        Meta::ModifiedAt => span.map(|s| Target::Time(s.modified_at)),
        Meta::DeletedAt => None,
        Meta::ExpiresAt | Meta::ObservedAt => held().and_then(json::string).and_then(|t| DateTime::parse(&t).ok()).map(Target::Time),
        Meta::ObjectType | Meta::ValueType => held().and_then(json::string).map(Target::Name),
        Meta::UnitCode | Meta::DatasetId => held().and_then(json::string).map(Target::Text),
    }
}

/// The targets in the value of an instance.
fn value_targets<'a>(text: &'a str, kind: AttributeKind, member: &[(String, String)]) -> Vec<Target<'a>> {
    let Some(value) = json::member(text, kind.value_member()) else { return Vec::new() };
    let mut out = Vec::new();
    match kind {
        AttributeKind::LanguageProperty => json::members(value, |language, texts| {
            if member.is_empty() || member.iter().all(|(tag, _)| tag == "*" || tag.eq_ignore_ascii_case(language)) {
                json::any_element(texts, &mut |t| {
                    out.extend(json::string(t).map(Target::Text));
                    false
                });
            }
        }),
        AttributeKind::Relationship | AttributeKind::VocabProperty if member.is_empty() => {
            json::any_element(value, &mut |t| {
                let wrap = if kind == AttributeKind::Relationship { Target::Link } else { Target::Name };
                out.extend(json::string(t).map(wrap));
                false
            });
        }
        AttributeKind::ListRelationship if member.is_empty() => {
            json::any_element(value, &mut |item| {
                out.extend(json::member(item, "object").and_then(json::string).map(Target::Link));
                false
            });
        }
        AttributeKind::Relationship | AttributeKind::VocabProperty | AttributeKind::ListRelationship => {}
        AttributeKind::GeoProperty if member.is_empty() => out.push(Target::Opaque),
        _ => descend(value, member, kind == AttributeKind::JsonProperty, &mut out),
    }
    out
}

/// Follows `member` into `value`. In an array every element is tried.
fn descend<'a>(value: &'a str, member: &[(String, String)], json_keys: bool, out: &mut Vec<Target<'a>>) {
    let Some(((raw, expanded), rest)) = member.split_first() else {
        out.push(Target::Json(value));
        return;
    };
    match json::look(value) {
        Look::Array(list) => {
            json::any_element(list, &mut |element| {
                if matches!(json::look(element), Look::Object(_)) {
                    descend(element, member, json_keys, out);
                }
                false
            });
        }
        Look::Object(object) => {
            let as_name = if json_keys { None } else { json::member(object, expanded) };
            if let Some(next) = as_name.or_else(|| json::member(object, raw)) {
                descend(next, rest, json_keys, out);
            }
        }
        _ => {}
    }
}

fn compares(c: &Comparison, group: Vec<Target<'_>>) -> bool {
    let any = |test: &dyn Fn(&Operand, &Scalar<'_>) -> bool| group.iter().any(|t| any_scalar(t, &mut |s| test(&c.operand, s)));
    match c.operator {
        Operator::Equal => any(&|o, s| equals(o, s, c.expand_values)),
        Operator::NotEqual => !any(&|o, s| equals(o, s, c.expand_values)),
        Operator::Matches => any(&matches_pattern),
        Operator::NotMatches => !any(&matches_pattern),
        Operator::Greater => orders(c, &group, &[Ordering::Greater]),
        Operator::GreaterOrEqual => orders(c, &group, &[Ordering::Greater, Ordering::Equal]),
        Operator::Less => orders(c, &group, &[Ordering::Less]),
        Operator::LessOrEqual => orders(c, &group, &[Ordering::Less, Ordering::Equal]),
    }
}

fn orders(c: &Comparison, group: &[Target<'_>], wanted: &[Ordering]) -> bool {
    let Operand::One(literal) = &c.operand else { return false };
    group.iter().any(|t| any_scalar(t, &mut |s| order(s, literal).is_some_and(|o| wanted.contains(&o))))
}

/// A value that can be compared.
#[derive(Debug, Clone)]
enum Scalar<'a> {
    Number(f64),
    Bool(bool),
    Text(Cow<'a, str>),
    Name(Cow<'a, str>),
    /// The target of a Relationship: equal or not, never in order (clause 4.9).
    Link(Cow<'a, str>),
    Time(DateTime),
}

/// Whether `f` holds for the value, or for an element of it when it is an array. A typed value counts as what it holds.
fn any_scalar(target: &Target<'_>, f: &mut dyn FnMut(&Scalar<'_>) -> bool) -> bool {
    match target {
        Target::Opaque => false,
        Target::Time(t) => f(&Scalar::Time(*t)),
        Target::Text(t) => f(&Scalar::Text(t.clone())),
        Target::Name(t) => f(&Scalar::Name(t.clone())),
        Target::Link(t) => f(&Scalar::Link(t.clone())),
        Target::Json(text) => json::any_element(text, &mut |element| {
            let inner = match json::look(element) {
                Look::Object(object) => json::member(object, "@value").map_or(Look::Null, json::look),
                other => other,
            };
            match inner {
                Look::Number(n) => f(&Scalar::Number(n)),
                Look::Bool(b) => f(&Scalar::Bool(b)),
                Look::Text(t) => f(&Scalar::Text(t)),
                Look::Null | Look::Array(_) | Look::Object(_) => false,
            }
        }),
    }
}

fn equals(operand: &Operand, scalar: &Scalar<'_>, expand: bool) -> bool {
    match operand {
        Operand::List(list) => list.iter().any(|o| equals(o, scalar, expand)),
        Operand::Range(low, high) => {
            order(scalar, low).is_some_and(Ordering::is_ge) && order(scalar, high).is_some_and(Ordering::is_le)
        }
        Operand::Pattern(_) => false,
        Operand::One(literal) => match (literal, scalar) {
            (Literal::Bool(a), Scalar::Bool(b)) => a == b,
            (Literal::Text { raw, .. } | Literal::Uri(raw), Scalar::Link(t)) => t == raw,
            (Literal::Text { raw, expanded }, Scalar::Text(t) | Scalar::Name(t)) => t == raw || (expand && t == expanded),
            _ => order(scalar, literal) == Some(Ordering::Equal),
        },
    }
}

fn matches_pattern(operand: &Operand, scalar: &Scalar<'_>) -> bool {
    match (operand, scalar) {
        (Operand::Pattern(p), Scalar::Text(t) | Scalar::Name(t)) => p.is_match(t),
        _ => false,
    }
}

/// How `scalar` stands to `literal`; nothing when they are of different kinds.
fn order(scalar: &Scalar<'_>, literal: &Literal) -> Option<Ordering> {
    match (scalar, literal) {
        (Scalar::Number(a), Literal::Number(b)) => a.partial_cmp(b),
        (Scalar::Text(a) | Scalar::Name(a), Literal::Text { raw: b, .. } | Literal::Uri(b)) => Some(a.as_ref().cmp(b.as_str())),
        (Scalar::Time(a), Literal::Time(b)) => Some(a.cmp(b)),
        (Scalar::Time(a), Literal::Text { raw, .. }) => DateTime::parse(raw).ok().map(|b| a.cmp(&b)),
        (Scalar::Time(a), Literal::Date(b)) => Some(a.to_string()[..10].cmp(b.as_str())),
        (Scalar::Text(a), Literal::Time(b)) => DateTime::parse(a).ok().map(|a| a.cmp(b)),
        (Scalar::Text(a), Literal::Date(b)) if is_date(a) => Some(a.as_ref().cmp(b.as_str())),
        (Scalar::Text(a), Literal::Clock(b)) if is_clock(a) => Some(a.as_ref().cmp(b.as_str())),
        _ => None,
    }
}
