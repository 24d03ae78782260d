//! Which members of an Entity are wanted (clauses 4.21 and 4.24): pick, omit, and the older attrs.

use crate::cursor::Cursor;
use crate::{DatasetIds, Expander, QueryError};
use waybill_model::EntityDoc;

/// A member of an Entity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Member {
    Id,
    Type,
    Scope,
    CreatedAt,
    ModifiedAt,
    ExpiresAt,
    /// An Attribute, by expanded name.
    Attribute(String),
}

/// One item of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionItem {
    /// The member.
    pub member: Member,
    /// What of the linked Entity is meant, when the member is a Relationship that is joined.
    pub nested: Vec<ProjectionItem>,
}

/// What of an Entity is wanted. The default wants all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    /// Only these members.
    pub pick: Option<Vec<ProjectionItem>>,
    /// Not these members.
    pub omit: Vec<ProjectionItem>,
    /// Only these Attributes (expanded names), and only Entities that have one of them.
    pub attrs: Option<Vec<String>>,
}

const HELP: &str = "Write a list of names: id, type, scope or attributes, separated by commas; name{inner,inner} goes into a linked Entity.";

impl Projection {
    /// Reads the parameters.
    ///
    /// # Errors
    /// [`QueryError`] naming the parameter; also when attrs stands beside pick or omit.
    pub fn parse(pick: Option<&str>, omit: Option<&str>, attrs: Option<&str>, expander: &dyn Expander) -> Result<Self, QueryError> {
        if attrs.is_some() && (pick.is_some() || omit.is_some()) {
            return Err(QueryError::invalid("attrs", 0, "`attrs` cannot stand beside `pick` or `omit`", "Use `pick` alone; `attrs` is its older form."));
        }
        let read = |parameter, text: Option<&str>| text.map(|t| items(parameter, t, expander)).transpose();
        let attrs = attrs.map(|t| names("attrs", t, expander)).transpose()?;
        let out = Self { pick: read("pick", pick)?, omit: read("omit", omit)?.unwrap_or_default(), attrs };
        if let Some(member) = out.pick.iter().flatten().find(|p| p.nested.is_empty() && out.omit.iter().any(|o| o.member == p.member && o.nested.is_empty())) {
            let name = match &member.member {
                Member::Attribute(iri) => iri.clone(),
                other => format!("{other:?}").to_lowercase(),
            };
            return Err(QueryError::invalid("omit", 0, format!("`{name}` is both picked and omitted"), "Name it in one of the two."));
        }
        Ok(out)
    }

    /// Whether all is wanted.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `member` is wanted. The older attrs says nothing about members that are no Attributes.
    pub fn keeps(&self, member: &Member) -> bool {
        let attrs = match (&self.attrs, member) {
            (Some(list), Member::Attribute(iri)) => list.contains(iri),
            _ => true,
        };
        attrs
            && self.pick.as_ref().is_none_or(|list| list.iter().any(|i| i.member == *member))
            && !self.omit.iter().any(|i| i.member == *member && i.nested.is_empty())
    }

    /// Whether the Attribute `iri` is wanted.
    pub fn keeps_attribute(&self, iri: &str) -> bool {
        let is = |i: &ProjectionItem| matches!(&i.member, Member::Attribute(name) if name == iri);
        self.attrs.as_ref().is_none_or(|list| list.iter().any(|a| a == iri))
            && self.pick.as_ref().is_none_or(|list| list.iter().any(is))
            && !self.omit.iter().any(|i| is(i) && i.nested.is_empty())
    }

    /// What is wanted of the Entities that the Relationship `iri` points to.
    #[must_use]
    pub fn nested(&self, iri: &str) -> Self {
        let of = |items: &[ProjectionItem]| items.iter().find(|i| matches!(&i.member, Member::Attribute(name) if name == iri)).map(|i| i.nested.clone());
        let pick = self.pick.as_deref().and_then(of).filter(|inner| !inner.is_empty());
        Self { pick, omit: of(&self.omit).unwrap_or_default(), attrs: None }
    }

    /// Whether an item goes into a linked Entity.
    pub fn is_nested(&self) -> bool {
        self.pick.iter().flatten().chain(&self.omit).any(|i| !i.nested.is_empty())
    }

    /// How deep the items go: 0 when none goes into a linked Entity.
    pub fn depth(&self) -> usize {
        fn deep(items: &[ProjectionItem]) -> usize {
            items.iter().map(|i| if i.nested.is_empty() { 0 } else { 1 + deep(&i.nested) }).max().unwrap_or(0)
        }
        deep(self.pick.as_deref().unwrap_or_default()).max(deep(&self.omit))
    }

    /// Whether `doc` is wanted at all: `attrs` also filters, and what has no member left after pick and omit is nothing (clause 4.21).
    pub fn wants(&self, doc: &EntityDoc) -> bool {
        let attrs = self.attrs.as_ref().is_none_or(|list| doc.spans().iter().any(|s| list.iter().any(|a| a == doc.name(s))));
        let left = || {
            self.keeps(&Member::Id)
                || self.keeps(&Member::Type)
                || (self.keeps(&Member::Scope) && doc.scopes().next().is_some())
                || doc.spans().iter().any(|s| self.keeps_attribute(doc.name(s)))
        };
        attrs && ((self.pick.is_none() && self.omit.is_empty()) || left())
    }

    /// `doc` with only the spans that are wanted. Its text stays: encoders go by the spans.
    #[must_use]
    pub fn mask(&self, doc: &EntityDoc, datasets: &DatasetIds) -> EntityDoc {
        let keep = |s: &&waybill_model::AttributeSpan| self.keeps_attribute(doc.name(s)) && datasets.admits(doc.dataset_id(s));
        let spans: Vec<_> = doc.spans().iter().filter(keep).cloned().collect();
        if spans.len() == doc.spans().len() {
            return doc.clone();
        }
        let (types, scopes) = doc.head_spans();
        let text = std::sync::Arc::<str>::from(doc.text());
        EntityDoc::from_parts(text, doc.id_span(), types.to_vec(), scopes.to_vec(), spans, doc.system.clone())
    }
}

fn items(parameter: &'static str, text: &str, expander: &dyn Expander) -> Result<Vec<ProjectionItem>, QueryError> {
    let mut c = Cursor::new(parameter, text)?;
    let all = list(&mut c, expander)?;
    c.end(HELP)?;
    Ok(all)
}

fn list(c: &mut Cursor<'_>, x: &dyn Expander) -> Result<Vec<ProjectionItem>, QueryError> {
    let mut all = Vec::new();
    loop {
        c.count()?;
        let name = c.take_until(|ch| matches!(ch, ',' | '|' | '{' | '}'));
        let member = match name {
            "id" | "@id" => Member::Id,
            "type" | "@type" => Member::Type,
            "scope" => Member::Scope,
            "createdAt" => Member::CreatedAt,
            "modifiedAt" => Member::ModifiedAt,
            "expiresAt" => Member::ExpiresAt,
            _ => Member::Attribute(attribute(c, name, x)?),
        };
        let mut nested = Vec::new();
        if c.eat("{") {
            c.enter()?;
            nested = list(c, x)?;
            c.expect("}", HELP)?;
            c.leave();
        }
        all.push(ProjectionItem { member, nested });
        if !c.eat(",") && !c.eat("|") {
            return Ok(all);
        }
    }
}

fn names(parameter: &'static str, text: &str, x: &dyn Expander) -> Result<Vec<String>, QueryError> {
    let mut c = Cursor::new(parameter, text)?;
    let mut all = Vec::new();
    loop {
        c.count()?;
        let name = c.take_until(|ch| ch == ',');
        if matches!(name, "id" | "type" | "scope" | "@id" | "@type") {
            return Err(c.invalid(format!("`{name}` is no attribute"), "Use `pick` for members that are no attributes."));
        }
        all.push(attribute(&c, name, x)?);
        if !c.eat(",") {
            c.end(HELP)?;
            return Ok(all);
        }
    }
}

fn attribute(c: &Cursor<'_>, name: &str, x: &dyn Expander) -> Result<String, QueryError> {
    if name.is_empty() {
        return Err(c.unexpected("a name", HELP));
    }
    if name.chars().any(|ch| ch.is_whitespace() || ch.is_control() || matches!(ch, '"' | '<' | '>' | '(' | ')' | '=' | ';' | '{' | '}' | '|')) {
        return Err(c.invalid("the name before this holds a character that no name has", HELP));
    }
    Ok(x.expand(name))
}
