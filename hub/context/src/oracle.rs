//! The general JSON-LD processor (the json-ld crate), for shapes the streaming paths do not take. Not generic on the outside, so that it is
//! compiled once.

use crate::context::Context;
use crate::contexts::Contexts;
use crate::write;
use json_ld::object::value::{Literal, Value as Scalar};
use json_ld::object::{IndexedObject, Node, Object};
use json_ld::syntax::{Parse, Print, TryFromJson, Value};
use json_ld::expansion::{self, Action};
use json_ld::{ExpandError, IriBuf, JsonLdProcessor, Options, RemoteContextReference, RemoteDocument};
use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use waybill_model::{Clock, DateTime};

/// Serves what is bundled; nothing else is loaded, since a [`Context`] has no references left but those in scoped parts.
fn loader() -> &'static HashMap<IriBuf, RemoteDocument> {
    static BUNDLED: OnceLock<HashMap<IriBuf, RemoteDocument>> = OnceLock::new();
    BUNDLED.get_or_init(|| {
        let one = |url: &str| {
            let text = crate::core::bundled(url).map(|document| document.to_string()).unwrap_or_default();
            // INVARIANT: each bundled document is JSON and its URL an IRI; a test expands with it.
            let (iri, (document, _)) = IriBuf::new(url.to_owned()).ok().zip(Value::parse_str(&text).ok())?;
            Some((iri.clone(), RemoteDocument::new(Some(iri), None, document)))
        };
        crate::core::bundled_urls().filter_map(one).collect()
    })
}

/// The newest core @context, for documents that were brought to the common shape.
pub(crate) fn core_context() -> &'static Context {
    static CORE: OnceLock<Arc<Context>> = OnceLock::new();
    CORE.get_or_init(|| Contexts::offline(Clock::fixed(DateTime::from_seconds(0))).core())
}

/// Expands a document; its top-level `@context` is ignored, `context` acts. `strict`: a member that means nothing is refused, not dropped.
pub(crate) fn expand(text: &str, context: &Context, strict: bool) -> Result<String, String> {
    let document = with_context(text, context)?;
    let mut options = Options::<IriBuf>::default();
    if strict {
        options.expansion_policy.invalid = Action::Reject;
    }
    let expanded = at_once(document.expand_using(loader(), options))?.map_err(|e| match e {
        ExpandError::Expansion(expansion::Error::KeyExpansionFailed(name)) => meaningless(&name),
        other => named(other.code()),
    })?;
    let mut out = String::from("[");
    for (i, object) in expanded.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        indexed(&object, &mut out);
    }
    out.push(']');
    Ok(out)
}

/// What is said of a member that the @context gives no meaning.
pub(crate) fn meaningless(name: &str) -> String {
    let name: String = name.chars().take(80).collect();
    format!("the member `{name}` means nothing under its @context")
}

/// Compacts a document that is expanded, or has its @context inside.
pub(crate) fn compact(text: &str, context: &Context) -> Result<String, String> {
    let (document, _) = Value::parse_str(text).map_err(|e| e.to_string())?;
    let local = context.local_value().to_string();
    let (local, _) = Value::parse_str(&local).map_err(|e| e.to_string())?;
    let local = json_ld::syntax::Context::try_from_json(local).map_err(|e| e.to_string())?;
    let reference = RemoteContextReference::Loaded(RemoteDocument::new(None, None, local));
    let document: RemoteDocument = RemoteDocument::new(None, None, document);
    let mut compacted = at_once(document.compact(reference, loader()))?.map_err(|e| named(e.code()))?;
    if let Value::Object(object) = &mut compacted {
        object.remove("@context").for_each(drop);
    }
    Ok(compacted.compact_print().to_string())
}

/// Brings an Entity of any JSON-LD shape to the common shape under the core @context.
pub(crate) fn to_common_shape(text: &str, context: &Context, core: &Context) -> Result<String, String> {
    let expanded = expand(text, context, false)?;
    let nodes: Vec<serde_json::Value> = serde_json::from_str(&expanded).map_err(|e| e.to_string())?;
    if nodes.len() != 1 {
        return Err("the document is not one Entity".into());
    }
    compact(&expanded, core)
}

/// The document with `context` in place of its own @context.
fn with_context(text: &str, context: &Context) -> Result<RemoteDocument, String> {
    let (mut document, _) = Value::parse_str(text).map_err(|e| e.to_string())?;
    let local = context.local_value().to_string();
    let (local, _) = Value::parse_str(&local).map_err(|e| e.to_string())?;
    let nodes = match &mut document {
        Value::Array(nodes) => nodes.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for node in nodes {
        if let Value::Object(object) = node {
            object.remove("@context").for_each(drop);
            object.insert("@context".into(), local.clone());
        }
    }
    Ok(RemoteDocument::new(None, None, document))
}

/// The JSON-LD specification's name of an error; the processor's own text may quote the document.
fn named(code: json_ld::syntax::ErrorCode) -> String {
    format!("the JSON-LD processor says: {}", code.as_str())
}

/// Runs a future that loads nothing, so that it never has to wait.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, String> {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => Ok(out),
        Poll::Pending => Err("the JSON-LD processor waits for something".into()),
    }
}

/// Our own printer: the crate's prints `@index` under the key `@value`, and `{"@id": null}` as nothing.
fn indexed(object: &IndexedObject<IriBuf, json_ld::BlankIdBuf>, out: &mut String) {
    out.push('{');
    let mut first = true;
    let mut name = |out: &mut String, name: &str| {
        if !std::mem::replace(&mut first, false) {
            out.push(',');
        }
        write::string(out, name);
        out.push(':');
    };
    match object.inner() {
        Object::Value(value) => scalar(value, out, &mut name),
        Object::List(list) => {
            name(out, "@list");
            objects(list.iter(), out);
        }
        Object::Node(inner) => node(inner, out, &mut name),
    }
    if let Some(index) = object.index() {
        name(out, "@index");
        write::string(out, index);
    }
    out.push('}');
}

fn objects<'a>(all: impl Iterator<Item = &'a IndexedObject<IriBuf, json_ld::BlankIdBuf>>, out: &mut String) {
    out.push('[');
    for (i, object) in all.enumerate() {
        if i > 0 {
            out.push(',');
        }
        indexed(object, out);
    }
    out.push(']');
}

fn scalar(value: &Scalar<IriBuf>, out: &mut String, name: &mut impl FnMut(&mut String, &str)) {
    name(out, "@value");
    match value {
        Scalar::Literal(literal, kind) => {
            match literal {
                Literal::Null => out.push_str("null"),
                Literal::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
                Literal::Number(n) => out.push_str(n.as_str()),
                Literal::String(s) => write::string(out, s),
            }
            if let Some(kind) = kind {
                name(out, "@type");
                write::string(out, kind.as_str());
            }
        }
        Scalar::LangString(text) => {
            write::string(out, text.as_str());
            if let Some(language) = text.language() {
                name(out, "@language");
                write::string(out, language.as_str());
            }
            if let Some(direction) = text.direction() {
                name(out, "@direction");
                write::string(out, &direction.to_string());
            }
        }
        Scalar::Json(json) => {
            out.push_str(&json.compact_print().to_string());
            name(out, "@type");
            out.push_str("\"@json\"");
        }
    }
}

fn node(node: &Node<IriBuf, json_ld::BlankIdBuf>, out: &mut String, name: &mut impl FnMut(&mut String, &str)) {
    if let Some(id) = &node.id {
        name(out, "@id");
        write::string(out, id.as_str());
    }
    if let Some(types) = &node.types {
        name(out, "@type");
        out.push('[');
        for (i, kind) in types.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write::string(out, kind.as_str());
        }
        out.push(']');
    }
    if let Some(graph) = &node.graph {
        name(out, "@graph");
        objects(graph.iter(), out);
    }
    if let Some(included) = &node.included {
        name(out, "@included");
        nodes(included.iter(), out);
    }
    if let Some(reverse) = &node.reverse_properties {
        name(out, "@reverse");
        out.push('{');
        for (i, (property, held)) in reverse.into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write::string(out, property.as_str());
            out.push(':');
            nodes(held.iter(), out);
        }
        out.push('}');
    }
    for (property, held) in &node.properties {
        name(out, property.as_str());
        objects(held.iter(), out);
    }
}

fn nodes<'a>(all: impl Iterator<Item = &'a json_ld::object::IndexedNode<IriBuf, json_ld::BlankIdBuf>>, out: &mut String) {
    out.push('[');
    for (i, one) in all.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push('{');
        let mut first = true;
        let mut name = |out: &mut String, name: &str| {
            if !std::mem::replace(&mut first, false) {
                out.push(',');
            }
            write::string(out, name);
            out.push(':');
        };
        node(one.inner(), out, &mut name);
        if let Some(index) = one.index() {
            name(out, "@index");
            write::string(out, index);
        }
        out.push('}');
    }
    out.push(']');
}
