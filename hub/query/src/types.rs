//! Entity type selection (clause 4.17): `A|B`, `A,B`, `(A;B)|C`.

use crate::cursor::Cursor;
use crate::{Candidates, Expander, QueryError};
use waybill_model::EntityDoc;

/// Which types an Entity must have. Names are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeSelection {
    /// `*`: any type.
    Any,
    /// The Entity has this type.
    Type(String),
    /// All of these hold.
    And(Vec<TypeSelection>),
    /// One of these holds.
    Or(Vec<TypeSelection>),
}

const HELP: &str = "Write types as A, A|B or A,B (either), (A;B) (both), or * (any).";

impl TypeSelection {
    /// Reads a type selection and expands its names.
    ///
    /// # Errors
    /// [`QueryError`] with the character at which reading stopped.
    pub fn parse(text: &str, expander: &dyn Expander) -> Result<Self, QueryError> {
        let mut c = Cursor::new("type", text)?;
        let all = or(&mut c, expander)?;
        c.end(HELP)?;
        Ok(all)
    }

    /// Whether an Entity of these types is selected.
    pub fn matches_types(&self, types: &[&str]) -> bool {
        match self {
            Self::Any => true,
            Self::Type(t) => types.contains(&t.as_str()),
            Self::And(all) => all.iter().all(|s| s.matches_types(types)),
            Self::Or(any) => any.iter().any(|s| s.matches_types(types)),
        }
    }

    /// Whether `doc` is selected.
    pub fn matches(&self, doc: &EntityDoc) -> bool {
        match self {
            Self::Any => true,
            Self::Type(t) => doc.types().any(|have| have == t),
            Self::And(all) => all.iter().all(|s| s.matches(doc)),
            Self::Or(any) => any.iter().any(|s| s.matches(doc)),
        }
    }

    /// The selection as text, its names written by `compact`.
    pub fn to_text(&self, compact: &dyn Fn(&str) -> String) -> String {
        let joined = |list: &[Self], separator: &str| {
            let part = |s: &Self| match s {
                Self::And(_) | Self::Or(_) => format!("({})", s.to_text(compact)),
                plain => plain.to_text(compact),
            };
            list.iter().map(part).collect::<Vec<_>>().join(separator)
        };
        match self {
            Self::Any => "*".to_owned(),
            Self::Type(t) => compact(t),
            Self::And(all) => joined(all, ";"),
            Self::Or(any) => joined(any, "|"),
        }
    }

    /// All type names that occur.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Any => Vec::new(),
            Self::Type(t) => vec![t],
            Self::And(list) | Self::Or(list) => list.iter().flat_map(Self::names).collect(),
        }
    }

    /// Names of which every selected Entity has at least one; nothing when it may have any type.
    pub(crate) fn needed(&self) -> Option<Vec<&str>> {
        match self {
            Self::Any => None,
            Self::Type(t) => Some(vec![t]),
            Self::And(all) => all.iter().find_map(Self::needed),
            Self::Or(any) => any.iter().map(Self::needed).collect::<Option<Vec<_>>>().map(|lists| lists.concat()),
        }
    }

    pub(crate) fn candidates(&self) -> Candidates {
        match self {
            Self::Any => Candidates::All,
            Self::Type(t) => Candidates::Types(vec![t.clone()]),
            Self::And(all) => Candidates::and(all.iter().map(Self::candidates)),
            Self::Or(any) => Candidates::or(any.iter().map(Self::candidates)),
        }
    }
}

fn or(c: &mut Cursor<'_>, x: &dyn Expander) -> Result<TypeSelection, QueryError> {
    let mut list = vec![and(c, x)?];
    while c.eat("|") || c.eat(",") {
        list.push(and(c, x)?);
    }
    Ok(if list.len() == 1 { list.remove(0) } else { TypeSelection::Or(list) })
}
fn and(c: &mut Cursor<'_>, x: &dyn Expander) -> Result<TypeSelection, QueryError> {
    let mut list = vec![one(c, x)?];
    while c.eat(";") {
        list.push(one(c, x)?);
    }
    Ok(if list.len() == 1 { list.remove(0) } else { TypeSelection::And(list) })
}
fn one(c: &mut Cursor<'_>, x: &dyn Expander) -> Result<TypeSelection, QueryError> {
    c.count()?;
    if c.eat("(") {
        c.enter()?;
        let inner = or(c, x)?;
        c.expect(")", HELP)?;
        c.leave();
        return Ok(inner);
    }
    let name = c.take_until(|ch| matches!(ch, '|' | ',' | ';' | '(' | ')'));
    match name {
        "" => Err(c.unexpected("a type's name", HELP)),
        "*" => Ok(TypeSelection::Any),
        bad if bad.chars().any(|ch| ch.is_whitespace() || ch.is_control() || matches!(ch, '"' | '<' | '>')) => {
            Err(c.invalid("a type's name holds no space, quote or angle bracket", HELP))
        }
        good => Ok(TypeSelection::Type(x.expand(good))),
    }
}
