//! Pod resource → Entity.

use crate::loss::{Loss, Losses};
use crate::rdf::{as_node, parse_turtle};
use crate::vocab;
use oxrdf::{Graph, LiteralRef, NamedNodeRef, NamedOrBlankNodeRef, TermRef};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use waybill_context::{Contexts, Options, decode_entity};
use waybill_model::{Attribute, AttributeValue, DateTime, Entity, EntityDoc, Iri, NGSI_LD_NULL, RawJson, ScopePath};

/// Why a resource is no Entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this pod resource is no Entity: {0}")]
pub struct DecodeError(pub String);

/// How deep nodes without a name may nest in one value.
const MAX_DEPTH: usize = 16;
/// How many items a list may have.
const MAX_LIST: usize = 10_000;

/// Reads an NGSI-LD document: any representation but the simplified one, under the @context it names.
///
/// # Errors
/// [`DecodeError`] when it is no NGSI-LD Entity or its @context cannot be had.
pub async fn lossless(contexts: &Contexts, bytes: &[u8], now: DateTime) -> Result<EntityDoc, DecodeError> {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "@context")]
        context: Option<Value>,
    }
    // An array is what a server makes of Turtle: expanded JSON-LD, no NGSI-LD.
    let head: Head = serde_json::from_slice(bytes).map_err(|_| DecodeError("it is no JSON object".into()))?;
    let context = match &head.context {
        Some(value) => contexts.resolve(value).await.map_err(|e| DecodeError(e.to_string()))?,
        None => contexts.core(),
    };
    decode_entity(&context, bytes, &Options::new(now)).map_err(|e| DecodeError(e.to_string()))
}

/// Reads a plain Turtle resource at `base`. The Entity is the subject that has the address of the resource, else the only subject
/// that has a type.
///
/// # Errors
/// [`DecodeError`] when it is not Turtle, or holds no or more than one thing that could be meant.
pub fn plain(bytes: &[u8], base: &str) -> Result<(Entity, Vec<Loss>), DecodeError> {
    let graph = parse_turtle(bytes, base, "resource").map_err(|e| DecodeError(e.to_string()))?;
    plain_graph(&graph, base)
}

/// Reads the plain profile from a graph.
///
/// # Errors
/// As [`plain`].
pub fn plain_graph(graph: &Graph, base: &str) -> Result<(Entity, Vec<Loss>), DecodeError> {
    let subject = main_subject(graph, base)?;
    let id = Iri::new(subject.as_str()).map_err(|e| DecodeError(e.reason.into()))?;
    let mut reader = Reader { graph, losses: Losses::default(), seen: BTreeSet::new() };
    let mut entity = Entity::new(id, Vec::new());
    let mut values: BTreeMap<&str, Vec<TermRef<'_>>> = BTreeMap::new();
    for triple in graph.triples_for_subject(subject) {
        values.entry(triple.predicate.as_str()).or_default().push(triple.object);
    }
    for (name, mut objects) in values {
        objects.sort_by_cached_key(ToString::to_string);
        reader.statement(&mut entity, name, &objects);
    }
    if entity.types.is_empty() {
        return Err(DecodeError("it has no type that is an IRI".into()));
    }
    let own = graph.triples_for_subject(subject).count();
    let foreign = graph.len() - own - reader.seen.len();
    if foreign > 0 {
        reader.losses.note(&[], format!("{foreign} statements about other things in the same resource"));
    }
    Ok((entity, reader.losses.into_vec()))
}

fn main_subject<'a>(graph: &'a Graph, base: &str) -> Result<NamedNodeRef<'a>, DecodeError> {
    let typed: BTreeSet<&str> = graph
        .triples_for_predicate(vocab::RDF_TYPE)
        .filter_map(|t| if let NamedOrBlankNodeRef::NamedNode(node) = t.subject { Some(node.as_str()) } else { None })
        .collect();
    let found = if let Some(own) = typed.get(base) {
        *own
    } else {
        let mut all = typed.iter();
        match (all.next(), all.next()) {
            (Some(one), None) => *one,
            (None, _) => return Err(DecodeError("no subject in it has a type".into())),
            _ => return Err(DecodeError("several subjects have a type, and none is the resource itself".into())),
        }
    };
    Ok(NamedNodeRef::new_unchecked(found))
}

struct Reader<'g> {
    graph: &'g Graph,
    losses: Losses,
    /// Statements of nodes without a name that went into a value, by their text.
    seen: BTreeSet<String>,
}

impl<'g> Reader<'g> {
    fn statement(&mut self, entity: &mut Entity, name: &str, objects: &[TermRef<'g>]) {
        if name == vocab::RDF_TYPE.as_str() {
            for object in objects {
                match object {
                    TermRef::NamedNode(kind) if Iri::is_valid(kind.as_str()) => entity.types.extend(Iri::new(kind.as_str())),
                    _ => self.losses.note(&["type"], "a type that is no IRI"),
                }
            }
            return;
        }
        if name == vocab::NGSI_SCOPE.as_str() {
            for object in objects {
                match literal(*object).and_then(|l| ScopePath::parse(l.value())) {
                    Some(scope) => entity.scopes.push(scope),
                    None => self.losses.note(&["scope"], "a scope that is none"),
                }
            }
            return;
        }
        if name == vocab::NGSI_EXPIRES_AT.as_str() {
            match objects {
                [one] => entity.expires_at = literal(*one).and_then(|l| DateTime::parse(l.value()).ok()),
                _ => self.losses.note(&["expiresAt"], "several ends"),
            }
            return;
        }
        let Ok(iri) = Iri::new(name) else {
            return self.losses.note(&[name], "a predicate that is no IRI");
        };
        if let Some(value) = self.attribute(name, objects) {
            entity.attributes.insert(iri, vec![Attribute::new(value)]);
        }
    }

    fn attribute(&mut self, name: &str, objects: &[TermRef<'g>]) -> Option<AttributeValue> {
        let lists: Vec<_> = objects.iter().copied().filter(|o| self.is_list(*o)).collect();
        let literals: Vec<LiteralRef<'g>> = objects.iter().filter_map(|o| literal(*o)).collect();
        let iris: Vec<Iri> = objects.iter().filter_map(|o| named(*o)).filter(|i| i.as_str() != vocab::RDF_NIL.as_str()).collect();
        let blanks: Vec<TermRef<'g>> = objects.iter().copied().filter(|o| matches!(o, TermRef::BlankNode(_)) && !self.is_list(*o)).collect();
        let kinds = [!lists.is_empty(), !literals.is_empty() || !blanks.is_empty(), !iris.is_empty()];
        if kinds.iter().filter(|k| **k).count() > 1 {
            // One Attribute has one kind; what an application most likely shows is kept.
            self.losses.note(&[name], "values of another kind than the first: literals, targets and lists under one name");
        }
        if !literals.is_empty() || !blanks.is_empty() {
            return self.property(name, &literals, &blanks);
        }
        if let Some(list) = lists.first() {
            if lists.len() > 1 {
                self.losses.note(&[name], "a second list");
            }
            return self.list(name, *list);
        }
        (!iris.is_empty()).then(|| {
            let many = iris.len() > 1;
            AttributeValue::Relationship { objects: iris, many }
        })
    }

    fn property(&mut self, name: &str, literals: &[LiteralRef<'g>], blanks: &[TermRef<'g>]) -> Option<AttributeValue> {
        if literals.iter().any(|l| l.language().is_some()) {
            let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for text in literals {
                map.entry(text.language().unwrap_or("@none")).or_default().push(text.value());
            }
            if !blanks.is_empty() {
                self.losses.note(&[name], "a nested value beside texts in languages");
            }
            let entries = map.into_iter().map(|(tag, texts)| {
                let value = if let [one] = texts.as_slice() { Value::from(*one) } else { Value::from(texts) };
                (tag.to_owned(), value)
            });
            return Some(AttributeValue::LanguageProperty(RawJson::from(&Value::Object(entries.collect::<Map<_, _>>()))));
        }
        if let ([one], []) = (literals, blanks) {
            let kind = one.datatype();
            if kind == vocab::GEO_JSON || kind == vocab::RDF_JSON {
                let Ok(raw) = RawJson::parse(one.value()) else {
                    self.losses.note(&[name], "a value that should be JSON and is not");
                    return None;
                };
                return Some(match (kind == vocab::GEO_JSON, raw.get() == "null") {
                    (true, false) => AttributeValue::GeoProperty(raw),
                    (false, _) => AttributeValue::JsonProperty(raw),
                    (true, true) => return None,
                });
            }
        }
        let mut items: Vec<Box<RawValue>> = literals.iter().filter_map(|l| literal_json(*l)).collect();
        for blank in blanks {
            let value = self.nested(name, *blank, 0);
            items.extend(RawValue::from_string(value.to_string()));
        }
        if items.iter().any(|i| i.get() == format!("\"{NGSI_LD_NULL}\"")) {
            self.losses.note(&[name], "a value that NGSI-LD keeps for deletions");
            items.retain(|i| i.get() != format!("\"{NGSI_LD_NULL}\""));
        }
        let text = match items.as_slice() {
            [] => return None,
            [one] => one.get().to_owned(),
            many => serde_json::to_string(many).ok()?,
        };
        RawJson::parse(&text).ok().map(AttributeValue::Property)
    }

    /// A node without a name as a JSON object of its statements.
    fn nested(&mut self, name: &str, term: TermRef<'g>, depth: usize) -> Value {
        let Some(node) = as_node(term) else { return Value::Null };
        if depth >= MAX_DEPTH {
            self.losses.note(&[name], "nodes without a name, nested too deep");
            return Value::Object(Map::new());
        }
        let mut members: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let triples: Vec<_> = self.graph.triples_for_subject(node).collect();
        for triple in triples {
            if !self.seen.insert(triple.to_string()) {
                // A circle, or a node that two values share: it is told once.
                self.losses.note(&[name], "a node without a name that is used twice");
                continue;
            }
            let value = match triple.object {
                TermRef::NamedNode(iri) => Value::from(iri.as_str()),
                TermRef::Literal(l) => literal_json(l).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default(),
                TermRef::BlankNode(_) => self.nested(name, triple.object, depth + 1),
            };
            members.entry(triple.predicate.as_str().to_owned()).or_default().push(value);
        }
        let single = |mut values: Vec<Value>| {
            if values.len() == 1 { values.swap_remove(0) } else { Value::Array(values) }
        };
        Value::Object(members.into_iter().map(|(k, v)| (k, single(v))).collect())
    }

    fn is_list(&self, term: TermRef<'g>) -> bool {
        match term {
            TermRef::NamedNode(node) => node == vocab::RDF_NIL,
            TermRef::BlankNode(node) => self.graph.object_for_subject_predicate(node, vocab::RDF_FIRST).is_some(),
            TermRef::Literal(_) => false,
        }
    }

    fn list(&mut self, name: &str, head: TermRef<'g>) -> Option<AttributeValue> {
        let mut items: Vec<TermRef<'g>> = Vec::new();
        let mut at = head;
        while let TermRef::BlankNode(cell) = at {
            let (Some(first), Some(rest)) =
                (self.graph.object_for_subject_predicate(cell, vocab::RDF_FIRST), self.graph.object_for_subject_predicate(cell, vocab::RDF_REST))
            else {
                break;
            };
            let mut fresh = false;
            for triple in self.graph.triples_for_subject(cell) {
                fresh |= self.seen.insert(triple.to_string());
            }
            if !fresh || items.len() >= MAX_LIST {
                self.losses.note(&[name], "a list that is circular or too long");
                return None;
            }
            items.push(first);
            at = rest;
        }
        let targets: Vec<Iri> = items.iter().filter_map(|i| named(*i)).collect();
        if !items.is_empty() && targets.len() == items.len() {
            return Some(AttributeValue::ListRelationship(targets));
        }
        let texts: Vec<Box<RawValue>> = items.iter().filter_map(|i| literal(*i)).filter_map(literal_json).collect();
        if texts.len() != items.len() {
            self.losses.note(&[name], "items of a list that are no single values");
        }
        let raw = serde_json::to_string(&texts).ok()?;
        RawJson::parse(&raw).ok().map(AttributeValue::ListProperty)
    }
}

fn literal(term: TermRef<'_>) -> Option<LiteralRef<'_>> {
    if let TermRef::Literal(literal) = term { Some(literal) } else { None }
}

fn named(term: TermRef<'_>) -> Option<Iri> {
    if let TermRef::NamedNode(node) = term { Iri::new(node.as_str()).ok() } else { None }
}

/// A literal without language as JSON: numbers keep their digits, other data types become a typed value.
fn literal_json(literal: LiteralRef<'_>) -> Option<Box<RawValue>> {
    let (text, kind) = (literal.value(), literal.datatype());
    let json = if kind == vocab::XSD_STRING || literal.language().is_some() {
        Value::from(text).to_string()
    } else if kind == vocab::XSD_BOOLEAN && matches!(text, "true" | "1" | "false" | "0") {
        matches!(text, "true" | "1").to_string()
    } else if let (true, Some(number)) = (is_number(kind), json_number(text)) {
        number
    } else {
        let name = vocab::TYPED_TIMES.iter().find(|(_, xsd)| *xsd == kind).map_or(kind.as_str(), |(name, _)| *name);
        serde_json::json!({"@type": name, "@value": text}).to_string()
    };
    RawValue::from_string(json).ok()
}

fn is_number(kind: NamedNodeRef<'_>) -> bool {
    const KINDS: [&str; 13] = [
        "integer", "decimal", "double", "float", "int", "long", "short", "byte", "nonNegativeInteger", "positiveInteger", "unsignedInt",
        "unsignedLong", "negativeInteger",
    ];
    kind.as_str().strip_prefix("http://www.w3.org/2001/XMLSchema#").is_some_and(|name| KINDS.contains(&name))
}

/// The lexical form of an XML Schema number as a JSON number with the same digits; nothing for INF and NaN.
pub(crate) fn json_number(text: &str) -> Option<String> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = rest.find(['e', 'E']).map_or((rest, ""), |at| rest.split_at(at));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
        return None;
    }
    let trimmed = whole.trim_start_matches('0');
    let whole = if trimmed.is_empty() { "0" } else { trimmed };
    let point = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    let out = format!("{sign}{whole}{point}{exponent}");
    serde_json::from_str::<&RawValue>(&out).is_ok().then_some(out)
}

