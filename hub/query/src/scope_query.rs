//! The scope query language (clause 4.19): `/A/B`, `+` for one level, a trailing `#` for what is below.

use crate::cursor::Cursor;
use crate::{Candidates, QueryError};
use waybill_model::EntityDoc;

/// Which scopes an Entity must have one of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeQuery {
    /// One of the Entity's scopes fits this path.
    Path {
        /// The levels; nothing stands for `+`.
        levels: Vec<Option<String>>,
        /// Whether `#` ends it: deeper scopes fit too.
        below: bool,
    },
    /// All of these hold.
    And(Vec<ScopeQuery>),
    /// One of these holds.
    Or(Vec<ScopeQuery>),
}

const HELP: &str = "Write scopes as /Madrid/Gardens, /Madrid/+/Centro or /Madrid/#; `,` or `|` for either, `;` for both.";

impl ScopeQuery {
    /// Reads a scope query.
    ///
    /// # Errors
    /// [`QueryError`] with the character at which reading stopped.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut c = Cursor::new("scopeQ", text)?;
        let all = or(&mut c)?;
        c.end(HELP)?;
        Ok(all)
    }

    /// Whether `doc` has the scopes asked for.
    pub fn matches(&self, doc: &EntityDoc) -> bool {
        match self {
            Self::Path { levels, below } => doc.scopes().any(|s| fits(levels, *below, s)),
            Self::And(all) => all.iter().all(|s| s.matches(doc)),
            Self::Or(any) => any.iter().any(|s| s.matches(doc)),
        }
    }

    pub(crate) fn candidates(&self) -> Candidates {
        match self {
            Self::Path { levels, below } => {
                // An index knows whole levels: what stands before the first `+`, and all below it.
                let known: Vec<&str> = levels.iter().map_while(Option::as_deref).collect();
                if known.is_empty() {
                    return Candidates::All;
                }
                Candidates::Scope { path: format!("/{}", known.join("/")), below: *below || known.len() < levels.len() }
            }
            Self::And(all) => Candidates::and(all.iter().map(Self::candidates)),
            Self::Or(any) => Candidates::or(any.iter().map(Self::candidates)),
        }
    }
}

fn fits(levels: &[Option<String>], below: bool, scope: &str) -> bool {
    let mut have = scope.strip_prefix('/').unwrap_or(scope).split('/');
    for level in levels {
        match (have.next(), level) {
            (Some(_), None) => {}
            (Some(part), Some(want)) if part == want => {}
            _ => return false,
        }
    }
    below || have.next().is_none()
}

fn or(c: &mut Cursor<'_>) -> Result<ScopeQuery, QueryError> {
    let mut list = vec![and(c)?];
    while c.eat("|") || c.eat(",") {
        list.push(and(c)?);
    }
    Ok(if list.len() == 1 { list.remove(0) } else { ScopeQuery::Or(list) })
}
fn and(c: &mut Cursor<'_>) -> Result<ScopeQuery, QueryError> {
    let mut list = vec![one(c)?];
    while c.eat(";") {
        list.push(one(c)?);
    }
    Ok(if list.len() == 1 { list.remove(0) } else { ScopeQuery::And(list) })
}
fn one(c: &mut Cursor<'_>) -> Result<ScopeQuery, QueryError> {
    c.count()?;
    if c.eat("(") {
        c.enter()?;
        let inner = or(c)?;
        c.expect(")", HELP)?;
        c.leave();
        return Ok(inner);
    }
    let text = c.take_until(|ch| matches!(ch, '|' | ',' | ';' | '(' | ')'));
    let body = text.strip_prefix('/').unwrap_or(text);
    if body.is_empty() {
        return Err(c.unexpected("a scope", HELP));
    }
    let (mut levels, mut below) = (Vec::new(), false);
    for part in body.split('/') {
        let named = || {
            let mut chars = part.chars();
            chars.next().is_some_and(char::is_alphabetic) && chars.all(|ch| ch.is_alphanumeric() || ch == '_')
        };
        match part {
            _ if below => return Err(c.invalid("`#` may only end a scope", HELP)),
            "#" => below = true,
            "+" => levels.push(None),
            _ if named() => levels.push(Some(part.to_owned())),
            _ => return Err(c.invalid("a level is a letter followed by letters, digits or `_`", HELP)),
        }
    }
    Ok(ScopeQuery::Path { levels, below })
}
