//! JSON-LD compaction of any document, for tools: a streaming path for the common shapes, the general processor for the rest.

use crate::compile::{Coercion, GRAPH, ID, INDEX, LANGUAGE, LIST, SET, TYPE, Term};
use crate::context::{Context, coercion_text};
use crate::error::DecodeError;
use crate::expand::{read, refuse};
use crate::oracle;
use crate::tape::{Item, Kind};
use crate::write;
use std::collections::HashMap;

/// Compacts an expanded document under `context`, and puts the @context in when there is one to put.
///
/// # Errors
/// [`crate::Fault::Json`] when it is not JSON, [`crate::Fault::JsonLd`] when it is not valid JSON-LD.
pub fn compact_jsonld(text: &str, context: &Context) -> Result<String, DecodeError> {
    let tape = read(text)?;
    match streaming(context, tape.root()) {
        Some(body) => Ok(with_context(&body, context)),
        None => compact_jsonld_generally(text, context),
    }
}

/// As [`compact_jsonld`], by the general processor alone.
///
/// # Errors
/// As [`compact_jsonld`].
pub fn compact_jsonld_generally(text: &str, context: &Context) -> Result<String, DecodeError> {
    read(text)?;
    let body = oracle::compact(text, context).map_err(refuse)?;
    Ok(with_context(&body, context))
}

/// Whether the streaming path takes this document.
pub fn compacts_streaming(text: &str, context: &Context) -> bool {
    read(text).is_ok_and(|tape| streaming(context, tape.root()).is_some())
}

fn with_context(body: &str, context: &Context) -> String {
    let Some(inner) = body.strip_prefix('{').filter(|_| !context.user().is_null()) else {
        return body.to_owned();
    };
    let comma = if inner == "}" { "" } else { "," };
    format!("{{\"@context\":{}{comma}{inner}", context.user())
}

/// A compacted value, numbers as their text.
enum Out {
    Raw(String),
    Array(Vec<Out>),
    Object(Vec<(String, Out)>),
}

impl Out {
    fn text(text: &str) -> Self {
        let mut out = String::new();
        write::string(&mut out, text);
        Self::Raw(out)
    }
    fn write(&self, out: &mut String) {
        match self {
            Self::Raw(text) => out.push_str(text),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write::string(out, name);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Adds a value to a member: alone, or to an array when there is one already or must be.
fn add(members: &mut Vec<(String, Out)>, name: &str, value: Out, as_array: bool) {
    let at = members.iter().position(|(held, _)| held == name);
    let place = match at {
        Some(at) => at,
        None if as_array => {
            members.push((name.to_owned(), Out::Array(Vec::new())));
            members.len() - 1
        }
        None => {
            members.push((name.to_owned(), value));
            return;
        }
    };
    let held = &mut members[place].1;
    if !matches!(held, Out::Array(_)) {
        let first = std::mem::replace(held, Out::Array(Vec::new()));
        *held = Out::Array(vec![first]);
    }
    if let Out::Array(items) = held {
        match value {
            Out::Array(more) => items.extend(more),
            one => items.push(one),
        }
    }
}

/// Which of `@language`, `@type` or `@any`, with which value, a term is for, under an IRI and a container.
type Choices<'c> = HashMap<(&'c str, u8), HashMap<(&'static str, String), &'c str>>;

/// Names by what they stand for (API section 4.3).
struct Inverse<'c> {
    context: &'c Context,
    choices: Choices<'c>,
    /// IRIs for which a term has a shape that the streaming path does not take.
    odd: std::collections::HashSet<&'c str>,
    default_language: String,
}

impl<'c> Inverse<'c> {
    fn of(context: &'c Context) -> Self {
        let default_language = context.active.language.as_deref().unwrap_or("@none").to_lowercase();
        let mut out = Self { context, choices: HashMap::new(), odd: std::collections::HashSet::new(), default_language };
        let mut terms: Vec<(&str, &Term)> = context.active.terms.iter().map(|(name, term)| (name.as_ref(), term)).collect();
        terms.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        for (name, term) in terms {
            let Some(iri) = term.iri.as_deref() else {
                continue;
            };
            let shaped = term.container & (INDEX | GRAPH | ID | TYPE) != 0;
            if shaped || term.reverse || term.nest.is_some() || term.scoped.is_some() || term.direction != crate::compile::Said::Nothing {
                out.odd.insert(iri);
                continue;
            }
            let held = out.choices.entry((iri, term.container)).or_default();
            let mut offer = |kind: &'static str, value: &str| {
                held.entry((kind, value.to_owned())).or_insert(name);
            };
            offer("@any", "@none");
            match (&term.coercion, &term.language) {
                (Coercion::None, _) => {
                    for kind in ["@any", "@language", "@type"] {
                        offer(kind, "@any");
                    }
                }
                (Coercion::Unset, crate::compile::Said::Nothing) => {
                    offer("@language", &out.default_language);
                    offer("@language", "@none");
                    offer("@type", "@none");
                }
                (Coercion::Unset, crate::compile::Said::None) => offer("@language", "@null"),
                (Coercion::Unset, crate::compile::Said::This(tag)) => offer("@language", &tag.to_lowercase()),
                (coercion, _) => offer("@type", coercion_text(coercion).unwrap_or("@none")),
            }
        }
        out
    }

    /// The term for an IRI by containers, and a kind with the values that fit, best first.
    fn select(&self, iri: &str, containers: &[u8], kind: &'static str, values: &[&str]) -> Option<&'c str> {
        containers.iter().filter_map(|container| self.choices.get(&(iri, *container))).find_map(|held| {
            values.iter().find_map(|value| held.get(&(kind, (*value).to_owned())).copied())
        })
    }

    /// A name for an IRI where vocabulary counts, without a value to go by.
    fn vocabulary(&self, iri: &str) -> Option<String> {
        if self.odd.contains(iri) {
            return None;
        }
        // Without a value the algorithm looks for a term for plain strings.
        let term = self.select(iri, &[0], "@language", &["@null", "@none", "@any"]);
        term.map_or_else(|| self.without_term(iri, true), |name| Some(name.to_owned()))
    }

    /// A name for an IRI without a term for it: of the default vocabulary, compact, or the IRI; nothing when the IRI would be read as compact.
    fn without_term(&self, iri: &str, vocabulary: bool) -> Option<String> {
        let terms = &self.context.active.terms;
        if vocabulary
            && let Some(suffix) = self.context.active.vocab.as_deref().and_then(|v| iri.strip_prefix(v))
            && !suffix.is_empty()
            && !terms.contains_key(suffix)
        {
            return Some(suffix.to_owned());
        }
        let compact = terms.iter().filter(|(_, term)| term.prefix).filter_map(|(prefix, term)| {
            let suffix = iri.strip_prefix(term.iri.as_deref()?)?;
            let name = format!("{prefix}:{suffix}");
            (!suffix.is_empty() && !terms.contains_key(name.as_str())).then_some(name)
        });
        if let Some(name) = compact.min_by(|a, b| (a.len(), a).cmp(&(b.len(), b))) {
            return Some(name);
        }
        let confused = iri.split_once(':').is_some_and(|(scheme, rest)| !rest.starts_with("//") && terms.get(scheme).is_some_and(|t| t.prefix));
        (!confused).then(|| iri.to_owned())
    }

    /// The name of a keyword: an alias when there is one.
    fn keyword(&self, keyword: &str) -> Option<String> {
        self.vocabulary(keyword)
    }

    /// The name of a property for one of its values (API section 6.2).
    fn property(&self, iri: &str, value: Option<Item<'_, '_>>) -> Option<String> {
        if self.odd.contains(iri) {
            return None;
        }
        let found = match value {
            Some(value) if value.get("@list").is_some() => {
                let (kind, wanted) = self.list(value.get("@list")?);
                let kind = if value.get("@list")?.items().next().is_none() { "@any" } else { kind };
                self.select(iri, &[LIST, 0], kind, &[&wanted, "@none", "@any"])
            }
            Some(value) if value.get("@value").is_some() => {
                let plain = value.members().count() == 1;
                if let Some(language) = value.get("@language").and_then(Item::text) {
                    let tag = language.to_lowercase();
                    self.select(iri, &[LANGUAGE, LANGUAGE | SET, SET, 0], "@language", &[&tag, "@none", "@any"])
                } else if let Some(kind) = value.get("@type").and_then(Item::text) {
                    self.select(iri, &[SET, 0], "@type", &[&kind, "@none", "@any"])
                } else {
                    let containers: &[u8] = if plain { &[SET, 0, LANGUAGE, LANGUAGE | SET] } else { &[SET, 0] };
                    self.select(iri, containers, "@language", &["@null", "@none", "@any"])
                }
            }
            Some(value) if value.get("@id").is_some() => {
                let id = value.get("@id")?.text()?;
                let named = self.vocabulary(&id)?;
                let term = self.context.active.terms.get(named.as_str()).is_some_and(|t| t.iri.as_deref() == Some(id.as_ref()));
                let order: &[&str] = if term { &["@vocab", "@id", "@none", "@any"] } else { &["@id", "@vocab", "@none", "@any"] };
                self.select(iri, &[SET, 0], "@type", order)
            }
            _ => self.select(iri, &[SET, 0], "@type", &["@id", "@none", "@any"]),
        };
        found.map_or_else(|| self.without_term(iri, true), |name| Some(name.to_owned()))
    }

    /// What the items of a list have in common.
    fn list(&self, list: Item<'_, '_>) -> (&'static str, String) {
        if list.items().next().is_none() {
            return ("@language", self.default_language.clone());
        }
        let (mut language, mut kind): (Option<String>, Option<String>) = (None, None);
        for item in list.items() {
            let none = || "@none".to_owned();
            let (item_language, item_kind) = if item.get("@value").is_none() {
                (none(), "@id".to_owned())
            } else if let Some(tag) = item.get("@language").and_then(Item::text) {
                (tag.to_lowercase(), none())
            } else if let Some(of) = item.get("@type").and_then(Item::text) {
                (none(), of.into_owned())
            } else {
                ("@null".to_owned(), none())
            };
            match &language {
                None => language = Some(item_language),
                Some(held) if *held != item_language && item.get("@value").is_some() => language = Some("@none".to_owned()),
                Some(_) => {}
            }
            match &kind {
                None => kind = Some(item_kind),
                Some(held) if *held != item_kind => kind = Some("@none".to_owned()),
                Some(_) => {}
            }
        }
        match kind.filter(|k| k != "@none") {
            Some(kind) => ("@type", kind),
            None => ("@language", language.unwrap_or_else(|| "@none".to_owned())),
        }
    }
}

/// Compacts an expanded document; nothing when it has a shape for the general processor.
fn streaming(context: &Context, root: Item<'_, '_>) -> Option<String> {
    if context.active.unpropagated || context.active.direction.is_some() || context.active.base.is_some() || !root.is_array() {
        return None;
    }
    let inverse = Inverse::of(context);
    let mut nodes = Vec::new();
    for item in root.items() {
        nodes.push(node(&inverse, item)?);
    }
    let whole = match nodes.len() {
        0 => Out::Object(Vec::new()),
        1 => nodes.remove(0),
        _ => Out::Object(vec![(inverse.keyword("@graph")?, Out::Array(nodes))]),
    };
    let mut out = String::new();
    whole.write(&mut out);
    Some(out)
}

fn node(inverse: &Inverse<'_>, item: Item<'_, '_>) -> Option<Out> {
    if !item.is_object() {
        return None;
    }
    let mut out = Vec::new();
    for (key, values) in item.members() {
        let key = key.text()?;
        match key.as_ref() {
            "@id" => out.push((inverse.keyword("@id")?, Out::text(&inverse.without_term(&values.text()?, false)?))),
            "@type" => {
                let name = inverse.keyword("@type")?;
                let mut types = Vec::new();
                for kind in values.items() {
                    types.push(Out::text(&inverse.vocabulary(&kind.text()?)?));
                }
                let as_set = inverse.context.term(&name).is_some_and(|t| t.container & SET != 0);
                let value = if types.len() == 1 && !as_set { types.remove(0) } else { Out::Array(types) };
                out.push((name, value));
            }
            keyword if keyword.starts_with('@') => return None,
            iri => property(inverse, iri, values, &mut out)?,
        }
    }
    Some(Out::Object(out))
}

fn property(inverse: &Inverse<'_>, iri: &str, values: Item<'_, '_>, out: &mut Vec<(String, Out)>) -> Option<()> {
    if !values.is_array() {
        return None;
    }
    if values.items().next().is_none() {
        let name = inverse.property(iri, None)?;
        if !out.iter().any(|(held, _)| *held == name) {
            out.push((name, Out::Array(Vec::new())));
        }
        return Some(());
    }
    for value in values.items() {
        if value.get("@index").is_some() || value.get("@direction").is_some() || value.get("@graph").is_some() {
            return None;
        }
        let name = inverse.property(iri, Some(value))?;
        let term = inverse.context.term(&name);
        let container = term.map_or(0, |t| t.container);
        if let Some(list) = value.get("@list") {
            let items = list_items(inverse, term, list)?;
            if container & LIST != 0 {
                if out.iter().any(|(held, _)| *held == name) {
                    return None;
                }
                out.push((name, Out::Array(items)));
            } else {
                let object = Out::Object(vec![(inverse.keyword("@list")?, Out::Array(items))]);
                add(out, &name, object, container & SET != 0);
            }
            continue;
        }
        if container & LANGUAGE != 0 && value.get("@value").is_some() {
            let tag = match value.get("@language").and_then(Item::text) {
                Some(tag) => tag.into_owned(),
                None => inverse.keyword("@none")?,
            };
            let text = Out::Raw(value.get("@value")?.raw().to_owned());
            if !out.iter().any(|(held, _)| *held == name) {
                out.push((name.clone(), Out::Object(Vec::new())));
            }
            if let Some((_, Out::Object(map))) = out.iter_mut().find(|(held, _)| *held == name) {
                add(map, &tag, text, container & SET != 0);
            }
            continue;
        }
        let value = element(inverse, term, value)?;
        // A JSON literal may be an array: it counts as one value.
        let json = term.is_some_and(|t| t.coercion == Coercion::Json);
        if json && out.iter().any(|(held, _)| *held == name) {
            return None;
        }
        add(out, &name, value, container & SET != 0);
    }
    Some(())
}

/// The items of a list; a list in it becomes an array when the term says that it holds lists.
fn list_items(inverse: &Inverse<'_>, term: Option<&Term>, list: Item<'_, '_>) -> Option<Vec<Out>> {
    list.items()
        .map(|item| {
            if item.get("@index").is_some() || item.get("@direction").is_some() {
                return None;
            }
            match item.get("@list") {
                Some(inner) if term.is_some_and(|t| t.container & LIST != 0) => Some(Out::Array(list_items(inverse, term, inner)?)),
                Some(_) => None,
                None => element(inverse, term, item),
            }
        })
        .collect()
}

/// A value or a node (API section 6.3 for values).
fn element(inverse: &Inverse<'_>, term: Option<&Term>, item: Item<'_, '_>) -> Option<Out> {
    let coercion = term.map_or(&Coercion::Unset, |t| &t.coercion);
    let Some(value) = item.get("@value") else {
        let id = item.get("@id").filter(|_| item.members().count() == 1);
        return match (id, coercion) {
            (Some(id), Coercion::Id) => Some(Out::text(&inverse.without_term(&id.text()?, false)?)),
            (Some(id), Coercion::Vocab) => Some(Out::text(&inverse.vocabulary(&id.text()?)?)),
            _ => node(inverse, item),
        };
    };
    let raw = || {
        let mut out = String::new();
        write::copy(&mut out, value);
        Out::Raw(out)
    };
    let kind = item.get("@type").and_then(Item::text);
    let language = item.get("@language").and_then(Item::text);
    let default = inverse.context.active.language.as_ref();
    let of_term = term.map_or_else(|| default.cloned(), |t| t.language.or(default));
    let bare = match (&kind, coercion) {
        (Some(kind), coercion) => coercion_text(coercion) == Some(kind),
        (None, Coercion::None) => false,
        (None, _) if !matches!(value.kind(), Kind::Text | Kind::Escaped) => true,
        (None, _) => match (&language, &of_term) {
            (None, None) => true,
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        },
    };
    if bare {
        return Some(raw());
    }
    let mut out = Vec::new();
    if let Some(kind) = kind {
        out.push((inverse.keyword("@type")?, Out::text(&inverse.vocabulary(&kind)?)));
    }
    if let Some(language) = language {
        out.push((inverse.keyword("@language")?, Out::text(&language)));
    }
    out.push((inverse.keyword("@value")?, raw()));
    Some(Out::Object(out))
}
