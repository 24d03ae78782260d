//! JSON-LD that is not in the short form of the protocol: other @contexts, prefixes, whole IRIs, values wrapped in objects. It is expanded,
//! compacted under the protocol's own @context, and read by the same reader as what came in the short form.
//!
//! Nothing is fetched for it: an @context is known when it is bundled or preloaded. Nothing is lost on the way: a member that means nothing is
//! refused by name, since a constraint that vanishes would leave more allowed than was meant.

use crate::fault::Fault;
use crate::decode::{Message, of, once};
use crate::vocab::CONTEXT;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use waybill_context::{Context, ContextError, Contexts, DSPACE, DSPACE_ODRL, Limits, NoFetch, compact_jsonld_generally, expand_jsonld_generally, expand_jsonld_strictly};
use waybill_model::{Clock, DateTime};

/// How large a text in another form may be, in bytes.
const MAX_FOREIGN: usize = 1 << 20;
/// How many objects times terms it may come to. The general processor takes time in proportion.
const MAX_WORK: usize = 2_000_000;
/// Terms that an @context has beside what is counted: the protocol's own act too.
const OWN_TERMS: usize = 128;
/// How many are processed at once, and the stack of each in bytes: documents nest at most as deep as all JSON-LD here, which this is enough for
/// several times over.
static TURNS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(4);
const STACK: usize = 64 << 20;
/// Members that hold a text, whatever kind of value others make of it.
const TEXTS: [&str; 7] = ["callbackAddress", "endpoint", "endpointURL", "timestamp", "code", "name", "value"];
/// Members that hold a word of the protocol or of ODRL.
const WORDS: [&str; 4] = ["operator", "action", "eventType", "state"];
/// Members that hold a list, though the protocol's @context does not say so.
const LISTS: [&str; 4] = ["and", "or", "xone", "andSequence"];

/// The @contexts that a connector knows: those that are bundled, and what is put to them. None is ever fetched.
pub fn contexts(clock: Clock) -> Contexts {
    Contexts::new(NoFetch, None, Limits { bytes: MAX_FOREIGN, terms: 4000, held: 256, ..Limits::default() }, clock)
}

/// The names of the protocol, as its @context has them.
struct Names {
    /// Short names by IRI.
    terms: HashMap<String, String>,
    /// IRIs by the short names that hold everywhere, or in all policies.
    iris: HashMap<String, String>,
    /// What the values of an IRI are: `@id` or `@vocab`.
    kinds: HashMap<String, String>,
    prefixes: HashMap<String, String>,
}

impl Names {
    fn get() -> &'static Self {
        static MADE: OnceLock<Names> = OnceLock::new();
        MADE.get_or_init(|| {
            let contexts = contexts(Clock::fixed(DateTime::from_seconds(0)));
            let of = |url: &str| contexts.body(url).map(|document| document["@context"].clone()).unwrap_or_default();
            Self::of(&of(DSPACE), &of(DSPACE_ODRL))
        })
    }

    fn of(dspace: &Value, odrl: &Value) -> Self {
        let mut out = Self { terms: HashMap::new(), iris: HashMap::new(), kinds: HashMap::new(), prefixes: HashMap::new() };
        for (name, iri) in members(dspace) {
            if let Some(iri) = iri.as_str().filter(|iri| iri.contains("://")) {
                out.prefixes.insert(name.clone(), iri.to_owned());
            }
        }
        // The words stand last: a name within nodes of one type is no word.
        let scoped = members(dspace).filter_map(|(_, definition)| definition.get("@context"));
        let places = scoped.map(|place| (place, false)).chain([(dspace, true), (odrl, true)]);
        for (name, definition, word) in places.flat_map(|(place, word)| members(place).map(move |(name, definition)| (name, definition, word))) {
            let Some(iri) = definition.as_str().or_else(|| definition.get("@id").and_then(Value::as_str)) else { continue };
            let iri = out.whole(iri);
            if let Some(kind) = definition.get("@type").and_then(Value::as_str) {
                out.kinds.insert(iri.clone(), kind.to_owned());
            }
            if word {
                out.iris.insert(name.clone(), iri.clone());
            }
            out.terms.insert(iri, name.clone());
        }
        out
    }

    /// `name` with its prefix written out, where it is one of the protocol's.
    fn whole(&self, name: &str) -> String {
        let known = name.split_once(':').and_then(|(prefix, rest)| self.prefixes.get(prefix).map(|iri| format!("{iri}{rest}")));
        known.unwrap_or_else(|| name.to_owned())
    }

    /// Whether `name` is a long spelling of one of the protocol's short names.
    fn spelled_out(&self, name: &str) -> bool {
        name.contains(':') && self.terms.contains_key(&self.whole(name))
    }
}

fn members(context: &Value) -> impl Iterator<Item = (&String, &Value)> {
    context.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with('@'))
}

/// Whether a text is in another form of JSON-LD than the short one. What is neither is for the reader to refuse: it names the place. Names that the
/// protocol does not define may stand in the short form in any spelling: where others than the protocol's @context are named too, it is protected
/// against them.
fn is_foreign(value: &Value) -> bool {
    let names = Names::get();
    match value {
        // A list is only the expanded form.
        Value::Array(list) => list.iter().all(|one| one.get("@context").is_none()) && list.iter().any(|one| spelled_out(one, names)),
        one => match one.get("@context") {
            Some(Value::Array(list)) if list.iter().all(Value::is_string) && list.iter().any(|c| c == CONTEXT) => spelled_out(one, names),
            Some(Value::Array(list)) => list.iter().any(says_something),
            Some(context) => says_something(context),
            None => spelled_out(one, names),
        },
    }
}

fn says_something(context: &Value) -> bool {
    context.as_str().is_some_and(|url| !url.is_empty()) || context.as_object().is_some_and(|map| !map.is_empty()) || context.is_array()
}

/// Whether a name of the protocol is written out in it, or a value wrapped.
fn spelled_out(value: &Value, names: &Names) -> bool {
    let long = |value: &Value| value.as_str().is_some_and(|text| names.spelled_out(text));
    match value {
        Value::Array(list) => list.iter().any(|one| spelled_out(one, names)),
        Value::Object(map) => map.iter().any(|(name, value)| match name.as_str() {
            "@context" => false,
            "@type" => long(value) || value.as_array().is_some_and(|list| list.iter().any(long)),
            "@list" | "@set" | "@graph" | "@included" | "@reverse" | "@nest" | "@index" => true,
            word if WORDS.contains(&word) => long(value) || value.get("@id").is_some() || value.get("@value").is_some(),
            name => names.spelled_out(name) || spelled_out(value, names),
        }),
        _ => false,
    }
}

/// Reads a message in any form of JSON-LD.
///
/// # Errors
/// As [`crate::read_message`]; and 400 `context-unknown` for an @context that is not at hand, `context-refused` for one that is not valid,
/// `jsonld-refused` for what cannot be brought into the short form without a loss.
pub async fn read(contexts: &Contexts, body: &[u8], kind: &str) -> Result<Message, Fault> {
    // What only closes is understood where that is possible at all.
    let lenient = ["Termination", "Suspension", "Completion"].iter().any(|end| kind.contains(end));
    match short(contexts, body, lenient).await? {
        None => of(body, kind),
        Some(value) => of(value.to_string().as_bytes(), kind),
    }
}

/// The text in the protocol's short form; nothing when it is in it already, or is no JSON at all. `lenient`: members that mean nothing are let go, for
/// what only closes and for what is only acknowledged.
///
/// # Errors
/// As [`read`].
pub(crate) async fn short(contexts: &Contexts, body: &[u8], lenient: bool) -> Result<Option<Value>, Fault> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Ok(None) };
    if !is_foreign(&value) {
        return Ok(None);
    }
    let Ok(text) = std::str::from_utf8(body) else { return Ok(None) };
    once(body)?;
    if body.len() > MAX_FOREIGN {
        return Err(refused(format!("JSON-LD in another form than the protocol's may have {MAX_FOREIGN} bytes; write it in the short form")));
    }
    let theirs = contexts.resolve_plain(value.get("@context").unwrap_or(&Value::Null)).await.map_err(|e| unknown(&e))?;
    let own = contexts.resolve_plain(&json!([CONTEXT])).await.map_err(|e| unknown(&e))?;
    if objects(&value).saturating_mul(theirs.len().saturating_add(context_terms(&value)).saturating_add(OWN_TERMS)) > MAX_WORK {
        return Err(refused("it has too many nodes for the terms of its @context; write it in the protocol's short form".to_owned()));
    }
    let text = text.to_owned();
    // The general processor takes its time, and a stack that no worker has.
    let Ok(_turn) = TURNS.acquire().await else { return Err(refused("the hub is being stopped".to_owned())) };
    let (tell, told) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name("json-ld".to_owned()).stack_size(STACK).spawn(move || drop(tell.send(convert(&text, &theirs, &own, lenient))));
    match started {
        Ok(_) => told.await.unwrap_or_else(|_| Err(refused("it cannot be processed as JSON-LD".to_owned()))).map(Some),
        Err(_) => Err(crate::transfer::busy()),
    }
}

fn convert(text: &str, theirs: &Arc<Context>, own: &Arc<Context>, lenient: bool) -> Result<Value, Fault> {
    let failed = |e: waybill_context::DecodeError| refused(e.detail);
    let expanded = if lenient { expand_jsonld_generally(text, theirs) } else { expand_jsonld_strictly(text, theirs) }.map_err(failed)?;
    let mut nodes: Vec<Value> = serde_json::from_str(&expanded).map_err(|_| refused("it cannot be expanded".to_owned()))?;
    let names = Names::get();
    let (Some(mut node), None) = (nodes.pop(), nodes.pop()) else { return Err(refused("a message is one node".to_owned())) };
    coerce(&mut node, names);
    let compacted = compact_jsonld_generally(&node.to_string(), own).map_err(failed)?;
    let mut out: Value = serde_json::from_str(&compacted).map_err(|_| refused("it cannot be compacted".to_owned()))?;
    out["@context"] = json!([CONTEXT]);
    tidy(&mut out);
    Ok(out)
}

fn refused(detail: String) -> Fault {
    Fault::new(400, "jsonld-refused", "", detail)
}

fn unknown(error: &ContextError) -> Fault {
    let cut = |text: &str| text.chars().take(200).collect::<String>();
    match error {
        ContextError::NotAvailable { url, .. } => Fault::new(
            400,
            "context-unknown",
            "/@context",
            format!("the @context {} is not at hand, and none is fetched: name only {CONTEXT}, write its terms out, or have this hub's operator preload it", cut(url)),
        ),
        ContextError::Invalid { place, reason } => Fault::new(400, "context-refused", "/@context", format!("it is not valid at {}: {}", cut(place), cut(reason))),
    }
}

fn objects(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(objects).sum(),
        Value::Object(map) => 1 + map.values().map(objects).sum::<usize>(),
        _ => 0,
    }
}

/// The terms of all @contexts that stand in a text, those within others too.
fn context_terms(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(context_terms).sum(),
        Value::Object(map) => map.iter().map(|(name, inner)| if name == "@context" { parts(inner) } else { context_terms(inner) }).sum(),
        _ => 0,
    }
}

fn parts(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(parts).sum(),
        Value::Object(map) => map.values().map(|inner| 1 + parts(inner)).sum(),
        _ => 1,
    }
}

/// Gives values in the expanded form the kind that the protocol's @context has for them: others write identifiers as plain texts, and texts as
/// references or with a type.
fn coerce(value: &mut Value, names: &Names) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| coerce(one, names)),
        Value::Object(map) => {
            for (iri, held) in map.iter_mut() {
                let term = names.terms.get(iri).map(String::as_str).unwrap_or_default();
                for one in held.as_array_mut().into_iter().flatten() {
                    if TEXTS.contains(&term) {
                        as_text(one);
                    } else if let Some(kind) = names.kinds.get(iri) {
                        as_reference(one, kind == "@vocab", names);
                    }
                }
                coerce(held, names);
            }
        }
        _ => {}
    }
}

/// The one text in a value object that says nothing beside it but that it is a text, an address or a time.
fn only_text(map: &Map<String, Value>) -> Option<&str> {
    let plain = map.iter().all(|(name, value)| match name.as_str() {
        "@value" => true,
        "@type" => value.as_str().and_then(|kind| kind.strip_prefix("http://www.w3.org/2001/XMLSchema#")).is_some_and(|kind| matches!(kind, "string" | "anyURI" | "dateTime")),
        _ => false,
    });
    map.get("@value").and_then(Value::as_str).filter(|_| plain)
}

fn as_text(value: &mut Value) {
    let Value::Object(map) = &*value else { return };
    let reference = map.get("@id").and_then(Value::as_str).filter(|_| map.len() == 1);
    if let Some(text) = only_text(map).or(reference) {
        *value = json!({ "@value": text });
    }
}

fn as_reference(value: &mut Value, word: bool, names: &Names) {
    let Value::Object(map) = &*value else { return };
    let reference = map.get("@id").and_then(Value::as_str).filter(|_| map.len() == 1);
    if let Some(text) = only_text(map).or(reference) {
        let whole = if word { names.iris.get(text).cloned().unwrap_or_else(|| names.whole(text)) } else { text.to_owned() };
        *value = json!({ "@id": whole });
    }
}

/// What compaction leaves to be done: a list that has one item, or is ordered.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            for (name, held) in map.iter_mut() {
                if LISTS.contains(&name.as_str()) {
                    let inner = held.get_mut("@list").map(Value::take).unwrap_or_else(|| held.take());
                    *held = if inner.is_array() { inner } else { json!([inner]) };
                }
                tidy(held);
            }
        }
        _ => {}
    }
}
