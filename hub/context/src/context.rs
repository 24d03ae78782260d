//! A compiled @context: names to IRIs and back.

use crate::compile::{Active, Coercion, INDEX, LANGUAGE, LIST, Local, SET, Said, Term};
use crate::core::CoreVersion;
use crate::hash::TextMap;
use crate::names::Member;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// A compiled @context. Made by [`crate::Contexts`]; immutable.
#[derive(Debug)]
pub struct Context {
    user: Value,
    pub(crate) active: Active,
    roles: TextMap<(Option<Member>, Arc<str>)>,
    inverse: TextMap<Arc<str>>,
    prefixes: Vec<(Arc<str>, Arc<str>)>,
    core: Option<CoreVersion>,
    sources: Vec<Arc<str>>,
    pub(crate) locals: Vec<Local>,
    warnings: Vec<String>,
}

/// Where a name leads, and why; what `waybill explain` and error texts show.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// The name asked for.
    pub name: String,
    /// The IRI or keyword it stands for.
    pub iri: String,
    /// How: `term`, `prefix`, `vocabulary`, `absolute`, `keyword` or `cut off`.
    pub how: &'static str,
    /// The @context that defined the term: a URL or `@context` for an inline one.
    pub source: Option<String>,
    /// The type its values are coerced to.
    pub coercion: Option<String>,
    /// Its containers.
    pub containers: Vec<&'static str>,
    /// Whether it may not be redefined.
    pub protected: bool,
}

pub(crate) struct Parts {
    pub user: Value,
    pub active: Active,
    pub core: Option<CoreVersion>,
    pub sources: Vec<Arc<str>>,
    pub locals: Vec<Local>,
    pub warnings: Vec<String>,
}

impl Context {
    pub(crate) fn build(parts: Parts) -> Self {
        let Parts { user, active, core, sources, locals, warnings } = parts;
        let mut roles = TextMap::default();
        let mut inverse: TextMap<Arc<str>> = TextMap::default();
        let mut prefixes = Vec::new();
        for (name, term) in &active.terms {
            let Some(iri) = &term.iri else {
                continue;
            };
            if waybill_model::Iri::is_valid(iri) || iri.starts_with('@') {
                roles.insert(name.clone(), (Member::by_name(name).or_else(|| Member::by_iri(iri)), iri.clone()));
            }
            if term.reverse {
                continue;
            }
            if term.prefix {
                prefixes.push((iri.clone(), Arc::<str>::from(name.as_ref())));
            }
            let better = inverse.get(iri.as_ref()).is_none_or(|held| (name.len(), name.as_ref()) < (held.len(), held.as_ref()));
            if better {
                inverse.insert(iri.as_ref().into(), name.as_ref().into());
            }
        }
        prefixes.sort_by(|(_, a), (_, b)| (a.len(), a).cmp(&(b.len(), b)));
        Self { user, active, roles, inverse, prefixes, core, sources, locals, warnings }
    }

    /// The IRI (or JSON-LD keyword) that `name` stands for in this @context; `name` itself when nothing gives it one.
    pub fn expand<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        self.active.expand(name)
    }

    /// The shortest name for `iri` that expands to it again: a term, a name of the default vocabulary, a compact IRI, else `iri`.
    pub fn compact<'a>(&'a self, iri: &'a str) -> Cow<'a, str> {
        if let Some(term) = self.inverse.get(iri) {
            return Cow::Borrowed(term);
        }
        if iri.starts_with('@') {
            return Cow::Borrowed(iri);
        }
        let suffix = self.active.vocab.as_deref().and_then(|vocab| iri.strip_prefix(vocab)).filter(|s| !s.is_empty());
        if let Some(suffix) = suffix
            && !self.active.terms.contains_key(suffix)
            // Only what reads as a keyword or with a prefix could expand to something else.
            && (!(suffix.starts_with('@') || suffix.contains(':')) || self.expand(suffix) == iri)
        {
            return Cow::Borrowed(suffix);
        }
        if suffix.is_some() {
            // A name of the default vocabulary that a term hides is rendered in full (clause 5.5.7).
            return Cow::Borrowed(iri);
        }
        for (prefix_iri, prefix) in &self.prefixes {
            let Some(suffix) = iri.strip_prefix(prefix_iri.as_ref()).filter(|s| !s.is_empty() && !s.starts_with("//")) else {
                continue;
            };
            let name = format!("{prefix}:{suffix}");
            if !self.active.terms.contains_key(name.as_str()) {
                return Cow::Owned(name);
            }
        }
        Cow::Borrowed(iri)
    }

    /// The @context to echo: the user's, without the core, which is always understood; the core's URL when there is no other.
    pub fn user(&self) -> &Value {
        &self.user
    }

    /// Whether the user gave an @context beside the core.
    pub fn has_user(&self) -> bool {
        self.sources.len() > usize::from(self.core.is_some())
    }

    /// The core version that acts last; nothing for a plain JSON-LD context.
    pub fn core_version(&self) -> Option<CoreVersion> {
        self.core
    }

    /// What was odd but usable, in sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How many terms it has.
    pub fn len(&self) -> usize {
        self.active.terms.len()
    }

    /// Whether it has no term.
    pub fn is_empty(&self) -> bool {
        self.active.terms.is_empty()
    }

    /// Where `name` leads, and why.
    pub fn explain(&self, name: &str) -> Explanation {
        let iri = self.expand(name).into_owned();
        let mut out =
            Explanation { name: name.to_owned(), iri, how: "absolute", source: None, coercion: None, containers: Vec::new(), protected: false };
        let prefix = name.split_once(':').map(|(prefix, _)| prefix).filter(|_| out.iri != name);
        let term = self.active.terms.get(name).or_else(|| prefix.and_then(|p| self.active.terms.get(p)));
        out.how = match term {
            _ if name.starts_with('@') => "keyword",
            Some(Term { iri: None, .. }) => "cut off",
            Some(_) if prefix.is_some() && !self.active.terms.contains_key(name) => "prefix",
            Some(_) => "term",
            None if out.iri != name => "vocabulary",
            None => "absolute",
        };
        if let Some(term) = term {
            out.source = self.sources.get(term.origin as usize).map(ToString::to_string);
            out.protected = term.protected;
            if out.how == "term" {
                out.coercion = coercion_text(&term.coercion).map(str::to_owned);
                out.containers = containers(term.container);
            }
        }
        out
    }

    /// All terms with their IRIs, in order.
    pub fn terms(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self.active.terms.iter().filter_map(|(name, t)| Some((name.as_ref(), t.iri.as_deref()?))).collect();
        all.sort_unstable();
        all
    }

    /// The member or Attribute that `name` means, with its expanded name.
    pub(crate) fn member<'a>(&'a self, name: &'a str) -> (Option<Member>, Cow<'a, str>) {
        if let Some((member, iri)) = self.roles.get(name) {
            return (*member, Cow::Borrowed(iri));
        }
        let iri = self.expand(name);
        (Member::by_name(name).or_else(|| Member::by_iri(&iri)), iri)
    }

    /// The expanded name of an Attribute or type, when the rules for names allow it: a term, a known prefix and a name, a plain name, an IRI.
    pub(crate) fn name<'a>(&'a self, name: &'a str) -> Option<Cow<'a, str>> {
        if let Some((_, iri)) = self.roles.get(name) {
            return (!iri.starts_with('@')).then_some(Cow::Borrowed(iri));
        }
        let iri = self.expand(name);
        let plain = |part: &str| {
            let mut chars = part.chars();
            chars.next().is_some_and(char::is_alphabetic) && chars.all(|c| c.is_alphanumeric() || c == '_')
        };
        match name.find(':') {
            None => (plain(name) && !self.active.terms.contains_key(name)).then_some(iri).filter(|iri| iri.contains(':')),
            Some(_) => waybill_model::Iri::is_valid(&iri).then_some(iri),
        }
    }

    pub(crate) fn term(&self, name: &str) -> Option<&Term> {
        self.active.terms.get(name)
    }

    /// A value of `@context` without references, for a JSON-LD processor. A plain @context keeps its own text, one with the core is
    /// flattened, since a processor would not let the core act last.
    pub(crate) fn local_value(&self) -> Value {
        if self.core.is_some() {
            return self.flattened();
        }
        Value::Array(self.locals.iter().map(|l| l.body.as_deref().cloned().unwrap_or(Value::Null)).collect())
    }

    fn flattened(&self) -> Value {
        let mut out = Map::new();
        out.insert("@version".into(), json!(1.1));
        out.insert("@vocab".into(), json!(self.active.vocab));
        if let Some(language) = &self.active.language {
            out.insert("@language".into(), json!(language));
        }
        if let Some(direction) = &self.active.direction {
            out.insert("@direction".into(), json!(direction));
        }
        for (name, term) in &self.active.terms {
            let mut definition = Map::new();
            definition.insert(if term.reverse { "@reverse" } else { "@id" }.into(), json!(term.iri));
            if let Some(kind) = coercion_text(&term.coercion) {
                definition.insert("@type".into(), json!(kind));
            }
            if term.container != 0 {
                definition.insert("@container".into(), json!(containers(term.container)));
            }
            for (key, held) in [("@language", &term.language), ("@direction", &term.direction)] {
                if *held != Said::Nothing {
                    definition.insert(key.into(), json!(held.or(None)));
                }
            }
            for (key, held) in [("@nest", &term.nest), ("@index", &term.index)] {
                if let Some(held) = held {
                    definition.insert(key.into(), json!(held));
                }
            }
            if term.prefix {
                definition.insert("@prefix".into(), json!(true));
            }
            out.insert(name.to_string(), Value::Object(definition));
        }
        Value::Object(out)
    }
}

impl waybill_query::Expander for Context {
    fn expand(&self, term: &str) -> String {
        Self::expand(self, term).into_owned()
    }
}

pub(crate) fn coercion_text(coercion: &Coercion) -> Option<&str> {
    match coercion {
        Coercion::Unset => None,
        Coercion::Id => Some("@id"),
        Coercion::Vocab => Some("@vocab"),
        Coercion::Json => Some("@json"),
        Coercion::None => Some("@none"),
        Coercion::Type(iri) => Some(iri),
    }
}

fn containers(flags: u8) -> Vec<&'static str> {
    use crate::compile::{GRAPH, ID, TYPE};
    [(LIST, "@list"), (SET, "@set"), (LANGUAGE, "@language"), (INDEX, "@index"), (GRAPH, "@graph"), (ID, "@id"), (TYPE, "@type")]
        .into_iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, name)| name)
        .collect()
}
