//! From local @context objects to a table of terms: JSON-LD 1.1 context processing (sections 4.1 and 4.2 of its API document),
//! with the core @context acting first as a base and again as last.

use crate::error::ContextError;
use crate::hash::TextMap;
use serde_json::{Map, Value};
use std::sync::Arc;

/// How the values of a term are read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Coercion {
    #[default]
    Unset,
    Id,
    Vocab,
    Json,
    None,
    Type(Arc<str>),
}

/// What a term says of the language or direction of its strings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Said {
    /// Nothing: the default of the @context holds.
    #[default]
    Nothing,
    /// That there is none.
    None,
    /// This.
    This(Arc<str>),
}

impl Said {
    /// What holds where `default` is that of the @context.
    pub fn or(&self, default: Option<&Arc<str>>) -> Option<Arc<str>> {
        match self {
            Self::Nothing => default.cloned(),
            Self::None => None,
            Self::This(text) => Some(text.clone()),
        }
    }
}

pub(crate) const LIST: u8 = 1;
pub(crate) const SET: u8 = 2;
pub(crate) const LANGUAGE: u8 = 4;
pub(crate) const INDEX: u8 = 8;
pub(crate) const GRAPH: u8 = 16;
pub(crate) const ID: u8 = 32;
pub(crate) const TYPE: u8 = 64;

/// One term.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Term {
    /// A keyword or an IRI; nothing when the term is cut off (mapped to null).
    pub iri: Option<Arc<str>>,
    pub coercion: Coercion,
    pub container: u8,
    /// The language of plain strings.
    pub language: Said,
    pub direction: Said,
    pub nest: Option<Arc<str>>,
    pub index: Option<Arc<str>>,
    pub reverse: bool,
    /// Whether it can be the prefix of a compact IRI.
    pub prefix: bool,
    pub protected: bool,
    pub scoped: Option<Arc<Value>>,
    /// Which local @context defined it.
    pub origin: u32,
}

/// An @context while it is put together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Active {
    pub terms: TextMap<Term>,
    pub vocab: Option<Arc<str>>,
    pub base: Option<Arc<str>>,
    pub language: Option<Arc<str>>,
    pub direction: Option<Arc<str>>,
    /// `@propagate: false` was seen.
    pub unpropagated: bool,
}

/// A local @context with where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub from: Arc<str>,
    /// Nothing for `null`, which resets.
    pub body: Option<Arc<Value>>,
}

/// What a definition may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Whether terms may have an @context of their own.
    pub scoped: bool,
    /// Whether protected terms yield: true for the core itself.
    pub overriding: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Doing,
    Done,
}

struct Processing<'a> {
    active: &'a mut Active,
    local: &'a Map<String, Value>,
    progress: std::collections::HashMap<&'a str, Progress>,
    mode: Mode,
    from: &'a str,
    origin: u32,
    protected: bool,
    /// How many terms are being defined one for the other.
    depth: usize,
}

/// How many terms may be defined one through the other: a bound on the stack.
const CHAIN: usize = 32;

/// How long an IRI may be: short names must not blow a document up beyond measure.
const IRI_BYTES: usize = 2048;

pub(crate) fn is_keyword(text: &str) -> bool {
    matches!(
        text,
        "@base" | "@container" | "@context" | "@direction" | "@graph" | "@id" | "@import" | "@included" | "@index" | "@json" | "@language" | "@list"
            | "@nest" | "@none" | "@prefix" | "@propagate" | "@protected" | "@reverse" | "@set" | "@type" | "@value" | "@version" | "@vocab"
    )
}

/// Whether `text` looks like a keyword that may come: `@` and letters only.
pub(crate) fn keyword_like(text: &str) -> bool {
    text.len() > 1 && text.starts_with('@') && text[1..].bytes().all(|b| b.is_ascii_alphabetic())
}

impl Active {
    /// Adds one local @context.
    pub fn apply(&mut self, local: &Local, origin: u32, mode: Mode) -> Result<(), ContextError> {
        let Some(body) = &local.body else {
            return Ok(());
        };
        let from = local.from.as_ref();
        let Value::Object(map) = body.as_ref() else {
            return Err(ContextError::invalid(from, "an @context is an object, a URL, null or an array of them"));
        };
        let bad = |key: &str, why: &str| Err(ContextError::invalid(format!("{from} {key}"), why));
        let mut protected = false;
        for (key, value) in map.iter().filter(|(key, _)| key.starts_with('@')) {
            match (key.as_str(), value) {
                ("@version", Value::Number(n)) if n.as_f64() == Some(1.1) => {}
                ("@version", _) => return bad(key, "the version must be the number 1.1"),
                ("@protected", Value::Bool(b)) => protected = *b,
                ("@propagate", Value::Bool(b)) => self.unpropagated |= !b,
                ("@vocab", Value::Null) => self.vocab = None,
                ("@base", Value::Null) => self.base = None,
                ("@base", Value::String(iri)) => self.base = Some(resolve(self.base.as_deref(), iri).into()),
                ("@vocab", Value::String(_)) | ("@import", _) => {}
                ("@language", Value::Null) => self.language = None,
                ("@language", Value::String(tag)) => self.language = Some(tag.to_lowercase().into()),
                ("@direction", Value::Null) => self.direction = None,
                ("@direction", Value::String(d)) if d == "ltr" || d == "rtl" => self.direction = Some(d.as_str().into()),
                ("@protected" | "@propagate" | "@vocab" | "@base" | "@language" | "@direction", _) => return bad(key, "its value has the wrong type"),
                _ => {}
            }
        }
        if let Some(Value::String(vocab)) = map.get("@vocab") {
            let full = self.expand(vocab).into_owned();
            let full = if full.contains(':') { full } else { resolve(self.base.as_deref(), &full) };
            if full.len() > IRI_BYTES {
                return bad("@vocab", "its IRI is too long");
            }
            self.vocab = Some(full.into());
        }
        let mut doing = Processing { active: self, local: map, progress: std::collections::HashMap::new(), mode, from, origin, protected, depth: 0 };
        for key in map.keys() {
            let context_key = matches!(
                key.as_str(),
                "@base" | "@direction" | "@import" | "@language" | "@propagate" | "@protected" | "@version" | "@vocab"
            );
            if !context_key {
                doing.define(key)?;
            }
        }
        Ok(())
    }

    /// Expands a name against the vocabulary: keyword, term, compact IRI, absolute IRI, or the default vocabulary.
    pub fn expand<'a>(&'a self, name: &'a str) -> std::borrow::Cow<'a, str> {
        use std::borrow::Cow;
        if let Some(term) = self.terms.get(name) {
            return term.iri.as_deref().map_or(Cow::Borrowed(name), Cow::Borrowed);
        }
        if name.starts_with('@') && is_keyword(name) {
            return Cow::Borrowed(name);
        }
        match name.find(':') {
            Some(colon) if colon > 0 => self.expand_prefixed(name, colon),
            _ => match &self.vocab {
                Some(vocab) if !keyword_like(name) => Cow::Owned(format!("{vocab}{name}")),
                _ => Cow::Borrowed(name),
            },
        }
    }

    pub fn expand_prefixed<'a>(&'a self, name: &'a str, colon: usize) -> std::borrow::Cow<'a, str> {
        use std::borrow::Cow;
        let (prefix, suffix) = (&name[..colon], &name[colon + 1..]);
        if prefix == "_" || suffix.starts_with("//") {
            return Cow::Borrowed(name);
        }
        match self.terms.get(prefix) {
            Some(Term { iri: Some(iri), prefix: true, .. }) => Cow::Owned(format!("{iri}{suffix}")),
            _ => Cow::Borrowed(name),
        }
    }
}

/// Resolves a reference against a base; the reference itself when that cannot be done.
pub(crate) fn resolve(base: Option<&str>, reference: &str) -> String {
    let joined = base.and_then(|b| url::Url::parse(b).ok()).and_then(|b| b.join(reference).ok());
    joined.map_or_else(|| reference.to_owned(), Into::into)
}

impl Processing<'_> {
    fn bad<T>(&self, term: &str, why: &str) -> Result<T, ContextError> {
        Err(ContextError::invalid(format!("{} {term}", self.from), why))
    }

    /// Expands a name that may be defined further on in the same local @context.
    fn expand(&mut self, name: &str) -> Result<String, ContextError> {
        if is_keyword(name) {
            return Ok(name.to_owned());
        }
        if self.local.contains_key(name) {
            self.define(name)?;
            if let Some(iri) = self.active.terms.get(name).and_then(|t| t.iri.clone()) {
                return Ok(iri.to_string());
            }
        } else if let Some((prefix, suffix)) = name.split_once(':')
            && !prefix.is_empty()
            && !suffix.starts_with("//")
            && self.local.contains_key(prefix)
        {
            self.define(prefix)?;
        }
        Ok(self.active.expand(name).into_owned())
    }

    fn define(&mut self, name: &str) -> Result<(), ContextError> {
        let local = self.local;
        let Some((name, value)) = local.get_key_value(name) else {
            return Ok(());
        };
        match self.progress.get(name.as_str()) {
            Some(Progress::Done) => return Ok(()),
            Some(Progress::Doing) => return self.bad(name, "the term is defined by itself"),
            None => {}
        }
        if self.depth >= CHAIN {
            return self.bad(name, "too many terms are defined one through the other");
        }
        self.progress.insert(name, Progress::Doing);
        if name.is_empty() {
            return self.bad(name, "a term cannot be empty");
        }
        if is_keyword(name) {
            let plain_type = name == "@type" && value.as_object().is_some_and(|m| !m.is_empty() && m.keys().all(|k| k == "@container" || k == "@protected"));
            if !plain_type || value.get("@container").is_some_and(|c| c != "@set") {
                return self.bad(name, "a keyword cannot be redefined");
            }
        } else if keyword_like(name) {
            self.progress.insert(name, Progress::Done);
            return Ok(());
        }
        let previous = self.active.terms.remove(name.as_str());
        self.depth += 1;
        let term = self.definition(name, value)?;
        self.depth -= 1;
        if term.iri.as_ref().is_some_and(|iri| iri.len() > IRI_BYTES) {
            return self.bad(name, "its IRI is too long");
        }
        if let Some(previous) = previous.filter(|p| p.protected && !self.mode.overriding) {
            let same = Term { protected: true, origin: 0, ..term.clone() } == Term { protected: true, origin: 0, ..previous.clone() };
            if !same {
                return self.bad(name, "the term is protected and means something else already");
            }
            self.active.terms.insert(name.as_str().into(), previous);
        } else {
            self.active.terms.insert(name.as_str().into(), term);
        }
        self.progress.insert(name, Progress::Done);
        Ok(())
    }

    fn definition(&mut self, name: &str, value: &Value) -> Result<Term, ContextError> {
        let mut term = Term { protected: self.protected, origin: self.origin, ..Term::default() };
        let empty = Map::new();
        let (map, simple) = match value {
            Value::Null => return Ok(term),
            Value::String(_) => (&empty, true),
            Value::Object(map) => (map, false),
            _ => return self.bad(name, "a term is defined by a string, an object or null"),
        };
        for key in map.keys() {
            let known = matches!(
                key.as_str(),
                "@id" | "@reverse" | "@container" | "@context" | "@direction" | "@index" | "@language" | "@nest" | "@prefix" | "@protected" | "@type"
            );
            if !known {
                return self.bad(name, "the definition has a member JSON-LD does not know");
            }
        }
        if let Some(protected) = map.get("@protected") {
            term.protected = protected.as_bool().map_or_else(|| self.bad(name, "@protected must be true or false"), Ok)?;
        }
        match map.get("@type") {
            None => {}
            Some(Value::String(kind)) => {
                let full = self.expand(kind)?;
                term.coercion = match full.as_str() {
                    "@id" => Coercion::Id,
                    "@vocab" => Coercion::Vocab,
                    "@json" => Coercion::Json,
                    "@none" => Coercion::None,
                    iri if !iri.starts_with('@') && iri.contains(':') => Coercion::Type(iri.into()),
                    _ => return self.bad(name, "@type must be an IRI, @id, @vocab, @json or @none"),
                };
            }
            Some(_) => return self.bad(name, "@type must be a string"),
        }
        let id = if simple { Some(value) } else { map.get("@id") };
        if let Some(reverse) = map.get("@reverse") {
            let Value::String(reverse) = reverse else {
                return self.bad(name, "@reverse must be a string");
            };
            if map.contains_key("@id") || map.contains_key("@nest") {
                return self.bad(name, "@reverse goes with neither @id nor @nest");
            }
            term.iri = Some(self.expand(reverse)?.into());
            term.reverse = true;
        } else {
            self.identify(name, id, simple, &mut term)?;
        }
        self.rest(name, map, &mut term)?;
        Ok(term)
    }

    fn identify(&mut self, name: &str, id: Option<&Value>, simple: bool, term: &mut Term) -> Result<(), ContextError> {
        match id {
            Some(Value::Null) => {}
            Some(Value::String(id)) if id != name => {
                if !is_keyword(id) && keyword_like(id) {
                    return Ok(());
                }
                let iri = self.expand(id)?;
                if iri == "@context" {
                    return self.bad(name, "no term can stand for @context");
                }
                if !iri.starts_with('@') && !iri.contains(':') {
                    return self.bad(name, "its @id is no IRI");
                }
                if name[..name.len() - 1].find(':').is_some_and(|at| at > 0) || name.contains('/') {
                    self.progress.insert_done(name, self.local);
                    if self.active.expand(name) != iri.as_str() {
                        return self.bad(name, "a term with `:` or `/` must mean what it spells");
                    }
                }
                let generic = iri.ends_with([':', '/', '?', '#', '[', ']', '@']) || iri.starts_with("_:");
                term.prefix = simple && !name.contains([':', '/']) && generic;
                term.iri = Some(iri.into());
            }
            Some(Value::String(_)) | None => {
                if name == "@type" {
                    term.iri = Some("@type".into());
                    return Ok(());
                }
                let colon = name.find(':').filter(|at| *at > 0);
                let iri = match colon {
                    Some(at) => {
                        let prefix = name[..at].to_owned();
                        if self.local.contains_key(&prefix) && !name[at + 1..].starts_with("//") {
                            self.define(&prefix)?;
                        }
                        self.active.terms.get(prefix.as_str()).and_then(|t| t.iri.clone()).filter(|_| !name[at + 1..].starts_with("//")).map_or_else(
                            || name.to_owned(),
                            |iri| format!("{iri}{}", &name[at + 1..]),
                        )
                    }
                    None => match &self.active.vocab {
                        Some(vocab) => format!("{vocab}{name}"),
                        None => return self.bad(name, "it has no @id and there is no @vocab"),
                    },
                };
                term.iri = Some(iri.into());
            }
            Some(_) => return self.bad(name, "@id must be a string"),
        }
        Ok(())
    }

    fn rest(&mut self, name: &str, map: &Map<String, Value>, term: &mut Term) -> Result<(), ContextError> {
        match map.get("@container") {
            None | Some(Value::Null) => {}
            Some(Value::String(one)) => term.container = self.container(name, one)?,
            Some(Value::Array(many)) => {
                for one in many {
                    let Value::String(one) = one else {
                        return self.bad(name, "@container names containers");
                    };
                    term.container |= self.container(name, one)?;
                }
            }
            Some(_) => return self.bad(name, "@container must be a string or an array"),
        }
        if term.container & LIST != 0 && term.container != LIST {
            return self.bad(name, "@list goes with no other container");
        }
        if term.reverse && term.container & !(SET | INDEX) != 0 {
            return self.bad(name, "a reverse term can only be a set or an index");
        }
        if let Some(context) = map.get("@context") {
            if !self.mode.scoped {
                return self.bad(name, "NGSI-LD allows no scoped @context (clause 5.5.7)");
            }
            term.scoped = Some(Arc::new(context.clone()));
        }
        let text = |key: &str| match map.get(key) {
            None => Ok(Said::Nothing),
            Some(Value::Null) => Ok(Said::None),
            Some(Value::String(text)) => Ok(Said::This(text.as_str().into())),
            Some(_) => self.bad(name, "one of @language, @direction, @nest, @index is no string"),
        };
        if !map.contains_key("@type") {
            term.language = match text("@language")? {
                Said::This(tag) => Said::This(tag.to_lowercase().into()),
                other => other,
            };
            term.direction = text("@direction")?;
        }
        term.nest = text("@nest")?.or(None);
        term.index = text("@index")?.or(None);
        match map.get("@prefix") {
            None => {}
            Some(Value::Bool(prefix)) if !name.contains([':', '/']) => term.prefix = *prefix,
            Some(_) => return self.bad(name, "@prefix must be true or false, on a term without `:` and `/`"),
        }
        Ok(())
    }

    fn container(&self, name: &str, container: &str) -> Result<u8, ContextError> {
        Ok(match container {
            "@list" => LIST,
            "@set" => SET,
            "@language" => LANGUAGE,
            "@index" => INDEX,
            "@graph" => GRAPH,
            "@id" => ID,
            "@type" => TYPE,
            _ => return self.bad(name, "no such container"),
        })
    }
}

trait InsertDone<'a> {
    fn insert_done(&mut self, name: &str, local: &'a Map<String, Value>);
}
impl<'a> InsertDone<'a> for std::collections::HashMap<&'a str, Progress> {
    fn insert_done(&mut self, name: &str, local: &'a Map<String, Value>) {
        if let Some((key, _)) = local.get_key_value(name) {
            self.insert(key, Progress::Done);
        }
    }
}
