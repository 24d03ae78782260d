//! What is asked of a policy, and the same with names turned to numbers.

use crate::profile::{NOBODY, Profile};
use waybill_model::DateTime;

/// A name and the collections (or places) it lies within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name itself.
    pub id: &'a str,
    /// All collections it belongs to; `None` when that is not known. Not knowing never opens: a prohibition on some collection then stands.
    pub within: Option<&'a [&'a str]>,
}

impl<'a> Member<'a> {
    /// A name that is known to belong to no collection.
    pub const fn only(id: &'a str) -> Self {
        Self { id, within: Some(&[]) }
    }
    /// A name that belongs to exactly these collections.
    pub const fn of(id: &'a str, within: &'a [&'a str]) -> Self {
        Self { id, within: Some(within) }
    }
    /// A name of which nobody knows what it belongs to.
    pub const fn lone(id: &'a str) -> Self {
        Self { id, within: None }
    }
}

/// What is asked for. Every part may be unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Target<'a> {
    /// The entity or asset, within its collections and derived assets.
    pub asset: Option<Member<'a>>,
    /// All types of the entity, expanded.
    pub types: Option<&'a [&'a str]>,
    /// The attribute's expanded name.
    pub attribute: Option<&'a str>,
    /// The canonical text of the transform that yields the derived asset.
    pub precision: Option<&'a str>,
}

/// How a duty stands in the state of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DutyState {
    /// It was done.
    Fulfilled,
    /// It was not done in time.
    Violated,
    /// Nothing is known of it yet.
    NotSet,
}

/// A request and the state of the world that it is decided in. A part that is `None` is missing: it never opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The action's IRI, `http://www.w3.org/ns/odrl/2/use` for instance.
    pub action: &'a str,
    /// What is asked for.
    pub target: Target<'a>,
    /// Who acts.
    pub assignee: Option<Member<'a>>,
    /// Who receives the result.
    pub recipient: Option<Member<'a>>,
    /// What it is for: one purpose. Whoever has several asks once for each and needs every answer to be yes.
    pub purpose: Option<&'a str>,
    /// When.
    pub time: Option<DateTime>,
    /// Where the use takes place.
    pub place: Option<Member<'a>>,
    /// The states of duties by their uid; a duty that is not listed is not set. `None` when the state of the world is not known.
    pub duties: Option<&'a [(&'a str, DutyState)]>,
}

impl<'a> Request<'a> {
    /// A request for `action`, with everything else unknown.
    pub const fn new(action: &'a str) -> Self {
        Self {
            action,
            target: Target { asset: None, types: None, attribute: None, precision: None },
            assignee: None,
            recipient: None,
            purpose: None,
            time: None,
            place: None,
            duties: None,
        }
    }
}

/// How many known collections of one name are kept; with more, the rest counts as not known.
const KEPT: usize = 16;

/// Names as numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    kept: [u32; KEPT],
    len: u8,
    /// Whether nothing is missing from `kept` that a policy could name.
    pub(crate) complete: bool,
}

impl Names {
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.kept[..usize::from(self.len)]
    }
}

/// A name and its collections as numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who {
    pub(crate) id: u32,
    pub(crate) within: Names,
}

/// The purpose that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    Missing,
    /// Not in the taxonomy, or a top concept, which nobody may ask for.
    Foreign,
    Known(u16),
}

/// A request with names turned to the numbers of one profile. Made without allocation, so it can be made anew for each decision, or
/// once for many policies of one profile.
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'a> {
    pub(crate) action: Option<u8>,
    pub(crate) asset: Option<Who>,
    pub(crate) types: Option<Names>,
    pub(crate) attribute: Option<u32>,
    pub(crate) precision: Option<u32>,
    pub(crate) assignee: Option<Who>,
    pub(crate) recipient: Option<Who>,
    pub(crate) place: Option<Who>,
    pub(crate) purpose: Aim,
    pub(crate) time: Option<i64>,
    pub(crate) duties: Option<&'a [(&'a str, DutyState)]>,
}

impl Profile {
    /// Turns the names of `request` to the numbers of this profile. Names that no policy mentions are not remembered.
    pub fn resolve<'a>(&self, request: &Request<'a>) -> Resolved<'a> {
        let table = self.table();
        let names = |list: Option<&[&str]>| {
            let mut out = Names { kept: [NOBODY; KEPT], len: 0, complete: list.is_some() };
            for text in list.unwrap_or_default() {
                let found = table.find(text);
                if found != NOBODY {
                    if usize::from(out.len) == KEPT {
                        out.complete = false;
                        break;
                    }
                    out.kept[usize::from(out.len)] = found;
                    out.len += 1;
                }
            }
            out
        };
        let who = |m: Option<Member<'_>>| m.map(|m| Who { id: table.find(m.id), within: names(m.within) });
        let purposes = &self.0.purposes;
        Resolved {
            action: self.0.actions.find(request.action),
            asset: who(request.target.asset),
            types: request.target.types.map(|t| names(Some(t))),
            attribute: request.target.attribute.map(|a| table.find(a)),
            precision: request.target.precision.map(|p| table.find(p)),
            assignee: who(request.assignee),
            recipient: who(request.recipient),
            place: who(request.place),
            purpose: match request.purpose {
                None => Aim::Missing,
                Some(iri) => match purposes.find(iri) {
                    Some(i) if purposes.at(i).is_some_and(|p| !p.top) => Aim::Known(i),
                    _ => Aim::Foreign,
                },
            },
            time: request.time.map(DateTime::micros),
            duties: request.duties,
        }
    }
}
