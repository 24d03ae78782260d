//! JSON-LD expansion of any document, for tools: a streaming path for the common shapes, the general processor for the rest.

use crate::compile::{Coercion, GRAPH, ID, INDEX, LANGUAGE, LIST, TYPE, Term};
use crate::context::Context;
use crate::decode::DEPTH;
use crate::error::{DecodeError, Fault};
use crate::oracle;
use crate::tape::{Item, Kind, Tape};
use crate::write;
use std::borrow::Cow;

/// Expands a JSON-LD document under `context`; a top-level `@context` in it is ignored (resolve it first, see [`crate::Document`]).
///
/// # Errors
/// [`Fault::Json`] when it is not JSON, [`Fault::JsonLd`] when it is not valid JSON-LD.
pub fn expand_jsonld(text: &str, context: &Context) -> Result<String, DecodeError> {
    let tape = read(text)?;
    match streaming(context, tape.root()) {
        Ok(out) => Ok(out),
        Err(Stop::Odd) => oracle::expand(text, context, false).map_err(refuse),
        Err(Stop::Wrong(why)) => Err(refuse(why.to_owned())),
    }
}

/// As [`expand_jsonld`], by the general processor alone.
///
/// # Errors
/// As [`expand_jsonld`].
pub fn expand_jsonld_generally(text: &str, context: &Context) -> Result<String, DecodeError> {
    read(text)?;
    oracle::expand(text, context, false).map_err(refuse)
}

/// Whether the streaming path takes this document.
pub fn expands_streaming(text: &str, context: &Context) -> bool {
    Tape::read(text, DEPTH).is_ok_and(|tape| streaming(context, tape.root()).is_ok())
}

pub(crate) fn read(text: &str) -> Result<Tape<'_>, DecodeError> {
    Tape::read(text, DEPTH).map_err(|e| DecodeError {
        fault: Fault::Json,
        pointer: String::new(),
        detail: format!("{} at byte {}", e.what, e.at),
        clause: "5.5.4",
    })
}

pub(crate) fn refuse(detail: String) -> DecodeError {
    DecodeError { fault: Fault::JsonLd, pointer: String::new(), detail, clause: "5.5.4" }
}

enum Stop {
    /// A shape for the general processor.
    Odd,
    Wrong(&'static str),
}
type Expanded<T> = Result<T, Stop>;

fn streaming(context: &Context, root: Item<'_, '_>) -> Expanded<String> {
    if context.active.unpropagated {
        return Err(Stop::Odd);
    }
    let mut items = Vec::new();
    let place = Place { term: None, free: true };
    element(context, place, root, true, &mut items)?;
    Ok(format!("[{}]", items.join(",")))
}

/// Where a value stands: under which term, and whether it is nobody's.
#[derive(Clone, Copy)]
struct Place<'c> {
    term: Option<&'c Term>,
    free: bool,
}

fn element(context: &Context, place: Place<'_>, item: Item<'_, '_>, top: bool, out: &mut Vec<String>) -> Expanded<()> {
    match item.kind() {
        Kind::Null => Ok(()),
        Kind::Array => {
            let listed = place.term.is_some_and(|t| t.container & LIST != 0);
            for part in item.items() {
                if listed && part.is_array() {
                    let mut inner = Vec::new();
                    element(context, place, part, false, &mut inner)?;
                    out.push(format!("{{\"@list\":[{}]}}", inner.join(",")));
                } else {
                    element(context, place, part, top, out)?;
                }
            }
            Ok(())
        }
        Kind::Object => object(context, place, item, top, out),
        _ if place.free => Ok(()),
        _ => {
            out.push(scalar(context, place.term, item));
            Ok(())
        }
    }
}

fn scalar(context: &Context, term: Option<&Term>, item: Item<'_, '_>) -> String {
    let coercion = term.map_or(&Coercion::Unset, |t| &t.coercion);
    let mut out = String::from("{");
    match (coercion, item.text()) {
        (Coercion::Id, Some(text)) => {
            out.push_str("\"@id\":");
            write::string(&mut out, &identifier(context, &text));
        }
        (Coercion::Vocab, Some(text)) => {
            out.push_str("\"@id\":");
            write::string(&mut out, &context.expand(&text));
        }
        (coercion, text) => {
            out.push_str("\"@value\":");
            out.push_str(item.raw());
            if let Coercion::Type(iri) = coercion {
                out.push_str(",\"@type\":");
                write::string(&mut out, iri);
            } else if text.is_some() && *coercion == Coercion::Unset {
                let language = term.map_or_else(|| context.active.language.clone(), |t| t.language.or(context.active.language.as_ref()));
                let direction = term.map_or_else(|| context.active.direction.clone(), |t| t.direction.or(context.active.direction.as_ref()));
                for (name, held) in [("@language", language), ("@direction", direction)] {
                    if let Some(held) = held {
                        member(&mut out, name);
                        write::string(&mut out, &held);
                    }
                }
            }
        }
    }
    out.push('}');
    out
}

/// Begins a further member.
fn member(out: &mut String, name: &str) {
    out.push(',');
    write::string(out, name);
    out.push(':');
}

/// Expands an identifier: absolute, compact, or relative to the base.
fn identifier<'a>(context: &'a Context, text: &'a str) -> Cow<'a, str> {
    if crate::compile::is_keyword(text) {
        return Cow::Borrowed(text);
    }
    match text.find(':') {
        Some(colon) if colon > 0 => context.active.expand_prefixed(text, colon),
        _ => match &context.active.base {
            Some(base) => Cow::Owned(crate::compile::resolve(Some(base), text)),
            None => Cow::Borrowed(text),
        },
    }
}

/// An object while it is expanded.
#[derive(Default)]
struct Node {
    id: Option<String>,
    types: Vec<String>,
    typed: bool,
    value: Option<String>,
    null_value: bool,
    language: Option<String>,
    direction: Option<String>,
    index: Option<String>,
    list: Option<Vec<String>>,
    set: Option<Vec<String>>,
    properties: Vec<(String, Vec<String>)>,
}

fn object(context: &Context, place: Place<'_>, item: Item<'_, '_>, top: bool, out: &mut Vec<String>) -> Expanded<()> {
    let mut node = Node::default();
    for (key, value) in item.members() {
        // INVARIANT: a key is a string.
        let name = key.text().unwrap_or_default();
        if name == "@context" {
            if top {
                continue;
            }
            return Err(Stop::Odd);
        }
        let term = context.term(&name);
        let iri = context.expand(&name);
        if iri.starts_with('@') {
            keyword(context, place, &iri, value, &mut node)?;
            continue;
        }
        if !iri.contains(':') {
            continue;
        }
        if term.is_some_and(|t| t.iri.is_none()) {
            continue;
        }
        let values = property(context, term, value)?;
        let Some(values) = values else {
            continue;
        };
        match node.properties.iter_mut().find(|(held, _)| *held == iri) {
            Some((_, held)) => held.extend(values),
            None => node.properties.push((iri.into_owned(), values)),
        }
    }
    finish(node, place, out)
}

fn keyword(context: &Context, place: Place<'_>, iri: &str, value: Item<'_, '_>, node: &mut Node) -> Expanded<()> {
    let text = || value.text().ok_or(Stop::Wrong("a keyword has a value of the wrong type")).map(Cow::into_owned);
    match iri {
        "@id" => {
            if node.id.is_some() {
                return Err(Stop::Wrong("two members stand for @id"));
            }
            let id = text()?;
            node.id = Some(identifier(context, &id).into_owned());
        }
        "@type" => {
            node.typed = true;
            let mut take = |part: Item<'_, '_>| {
                let name = part.text().ok_or(Stop::Wrong("a type is a string"))?;
                if context.term(&name).is_some_and(|t| t.scoped.is_some()) {
                    return Err(Stop::Odd);
                }
                node.types.push(context.expand(&name).into_owned());
                Ok(())
            };
            if value.is_array() {
                for part in value.items() {
                    take(part)?;
                }
            } else {
                take(value)?;
            }
        }
        "@value" => match value.kind() {
            Kind::Object | Kind::Array => return Err(Stop::Odd),
            Kind::Null => node.null_value = true,
            _ => node.value = Some(value.raw().to_owned()),
        },
        "@language" => node.language = Some(text()?),
        "@direction" => node.direction = Some(text()?),
        "@index" => node.index = Some(text()?),
        "@list" => {
            if place.free {
                return Ok(());
            }
            let mut items = Vec::new();
            let whole = Place { term: place.term, free: false };
            if value.is_array() {
                for part in value.items() {
                    if part.is_array() {
                        return Err(Stop::Odd);
                    }
                    element(context, whole, part, false, &mut items)?;
                }
            } else {
                element(context, whole, value, false, &mut items)?;
            }
            node.list = Some(items);
        }
        "@set" => {
            let mut items = Vec::new();
            element(context, place, value, false, &mut items)?;
            node.set = Some(items);
        }
        _ => return Err(Stop::Odd),
    }
    Ok(())
}

/// The expanded values of one property; nothing when it is dropped.
fn property(context: &Context, term: Option<&Term>, value: Item<'_, '_>) -> Expanded<Option<Vec<String>>> {
    let mut values = Vec::new();
    if let Some(term) = term {
        if term.reverse || term.nest.is_some() || term.index.is_some() || term.scoped.is_some() {
            return Err(Stop::Odd);
        }
        if term.coercion == Coercion::Json {
            let mut raw = String::new();
            write::copy(&mut raw, value);
            return Ok(Some(vec![format!("{{\"@value\":{raw},\"@type\":\"@json\"}}")]));
        }
        if term.container & (INDEX | GRAPH | ID | TYPE) != 0 {
            return Err(Stop::Odd);
        }
        if term.container & LANGUAGE != 0 && value.is_object() {
            languages(context, term, value, &mut values)?;
            return Ok(Some(values));
        }
    }
    if value.is_null() {
        return Ok(None);
    }
    let listed = term.is_some_and(|t| t.container & LIST != 0);
    if value.is_object() && value.get("@list").is_some() && value.members().count() > 1 {
        return Err(Stop::Odd);
    }
    let place = Place { term, free: false };
    if listed && value.is_object() {
        element(context, place, value, false, &mut values)?;
        let already = values.first().is_some_and(|v| v.starts_with("{\"@list\":"));
        if !already {
            values = vec![format!("{{\"@list\":[{}]}}", values.join(","))];
        }
        return Ok(Some(values));
    }
    element(context, place, value, false, &mut values)?;
    if listed {
        values = vec![format!("{{\"@list\":[{}]}}", values.join(","))];
    } else if values.is_empty() && !value.is_array() && !is_empty_set(value) {
        return Ok(None);
    }
    Ok(Some(values))
}

/// `{"@set": …}` expands to its items, also when there are none.
fn is_empty_set(value: Item<'_, '_>) -> bool {
    value.is_object() && value.get("@set").is_some()
}

fn languages(context: &Context, term: &Term, map: Item<'_, '_>, out: &mut Vec<String>) -> Expanded<()> {
    let direction = term.direction.or(context.active.direction.as_ref());
    for (key, value) in map.members() {
        let tag = key.text().unwrap_or_default();
        let mut one = |text: Item<'_, '_>| {
            if text.is_null() {
                return Ok(());
            }
            if !text.is_text() {
                return Err(Stop::Wrong("a language has strings only"));
            }
            let mut object = format!("{{\"@value\":{}", text.raw());
            if tag != "@none" && context.expand(&tag) != "@none" {
                object.push_str(",\"@language\":");
                write::string(&mut object, &tag);
            }
            if let Some(direction) = &direction {
                object.push_str(",\"@direction\":");
                write::string(&mut object, direction);
            }
            object.push('}');
            out.push(object);
            Ok(())
        };
        if value.is_array() {
            for part in value.items() {
                one(part)?;
            }
        } else {
            one(value)?;
        }
    }
    Ok(())
}

fn finish(node: Node, place: Place<'_>, out: &mut Vec<String>) -> Expanded<()> {
    let Node { id, types, typed, value, null_value, language, direction, index, list, set, properties } = node;
    if value.is_some() || null_value {
        if id.is_some() || list.is_some() || set.is_some() || !properties.is_empty() || (typed && (language.is_some() || direction.is_some())) {
            return Err(Stop::Wrong("a value object has other members"));
        }
        let json = types.first().is_some_and(|t| t == "@json");
        if place.free || (null_value && !json) {
            return Ok(());
        }
        if types.len() > 1 || (typed && types.is_empty()) {
            return Err(Stop::Wrong("a value object has one type"));
        }
        if types.first().is_some_and(|t| t != "@json" && !t.contains(':')) {
            return Err(Stop::Wrong("the type of a value is an IRI"));
        }
        let mut text = format!("{{\"@value\":{}", value.as_deref().unwrap_or("null"));
        for (name, held) in [("@type", types.first()), ("@language", language.as_ref()), ("@direction", direction.as_ref()), ("@index", index.as_ref())] {
            if let Some(held) = held {
                member(&mut text, name);
                write::string(&mut text, held);
            }
        }
        text.push('}');
        out.push(text);
        return Ok(());
    }
    if let Some(items) = set {
        if id.is_some() || typed || list.is_some() || !properties.is_empty() {
            return Err(Stop::Wrong("a set object has other members"));
        }
        out.extend(items);
        return Ok(());
    }
    if let Some(items) = list {
        if id.is_some() || typed || !properties.is_empty() {
            return Err(Stop::Wrong("a list object has other members"));
        }
        if index.is_some() {
            return Err(Stop::Odd);
        }
        out.push(format!("{{\"@list\":[{}]}}", items.join(",")));
        return Ok(());
    }
    if (language.is_some() || direction.is_some()) && id.is_none() && !typed && properties.is_empty() {
        return Ok(());
    }
    if place.free && !typed && properties.is_empty() && index.is_none() {
        // A node that says nothing.
        return Ok(());
    }
    let mut parts = Vec::new();
    if let Some(id) = id {
        let mut part = String::from("\"@id\":");
        write::string(&mut part, &id);
        parts.push(part);
    }
    if typed {
        let mut part = String::from("\"@type\":[");
        for (i, kind) in types.iter().enumerate() {
            if i > 0 {
                part.push(',');
            }
            write::string(&mut part, kind);
        }
        part.push(']');
        parts.push(part);
    }
    if let Some(index) = index {
        let mut part = String::from("\"@index\":");
        write::string(&mut part, &index);
        parts.push(part);
    }
    for (iri, values) in properties {
        let mut part = String::new();
        write::string(&mut part, &iri);
        part.push_str(":[");
        part.push_str(&values.join(","));
        part.push(']');
        parts.push(part);
    }
    out.push(format!("{{{}}}", parts.join(",")));
    Ok(())
}
