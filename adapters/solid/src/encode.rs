//! Entity → pod resource.
//!
//! Two profiles: the *lossless* one is an NGSI-LD document that any NGSI-LD reader understands; the *plain* one is Turtle that any
//! Solid application understands, one statement per value, with a report of what it could not carry.

use crate::loss::{Loss, Losses};
use crate::rdf::write_turtle;
use crate::vocab;
use oxrdf::{BlankNode, Graph, Literal, NamedNode, NamedNodeRef, NamedOrBlankNode, Term, Triple};
use serde_json::Value;
use std::collections::BTreeMap;
use waybill_model::{Attribute, AttributeValue, Entity, EntityDoc, Iri, RawJson};

/// Why an Entity cannot be written in a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this Entity cannot be a pod resource: {0}")]
pub struct EncodeError(pub String);

/// The @context that a lossless document names.
pub const CORE_CONTEXT: &str = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld";
/// Media type of the lossless profile.
pub const LOSSLESS_TYPE: &str = "application/ld+json";
/// Media type of the plain profile.
pub const PLAIN_TYPE: &str = "text/turtle";

/// Writes the lossless profile: normalized NGSI-LD under the core @context, all other names in full, so that nobody needs a further
/// document to read it.
pub fn lossless(entity: &EntityDoc) -> Vec<u8> {
    let canonical = entity.text();
    // The canonical form is a non-empty object: its first brace makes room for the @context.
    let mut out = Vec::with_capacity(canonical.len() + 96);
    out.extend_from_slice(b"{\"@context\":\"");
    out.extend_from_slice(CORE_CONTEXT.as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(canonical.as_bytes().get(1..).unwrap_or_default());
    out
}

/// Writes the plain profile.
///
/// # Errors
/// [`EncodeError`] when the identifier or a type is no IRI that RDF takes.
pub fn plain(entity: &Entity) -> Result<(Vec<u8>, Vec<Loss>), EncodeError> {
    let (graph, losses) = plain_graph(entity)?;
    Ok((write_turtle(&graph), losses))
}

/// The plain profile as a graph.
///
/// # Errors
/// As [`plain`].
pub fn plain_graph(entity: &Entity) -> Result<(Graph, Vec<Loss>), EncodeError> {
    let name = |iri: &Iri| NamedNode::new(iri.as_str()).map_err(|_| EncodeError("its identifier or a type is an IRI that RDF does not take".into()));
    let mut writer = Writer { subject: name(&entity.id)?, graph: Graph::new(), losses: Losses::default(), lists: 0 };
    for kind in &entity.types {
        writer.add(vocab::RDF_TYPE, name(kind)?);
    }
    for scope in &entity.scopes {
        writer.add(vocab::NGSI_SCOPE, Literal::new_simple_literal(scope.as_str()));
    }
    if let Some(at) = entity.expires_at {
        writer.add(vocab::NGSI_EXPIRES_AT, Literal::new_typed_literal(at.to_string(), vocab::XSD_DATE_TIME));
    }
    for (attribute, instances) in &entity.attributes {
        writer.attribute(attribute, instances);
    }
    Ok((writer.graph, writer.losses.into_vec()))
}

struct Writer {
    subject: NamedNode,
    graph: Graph,
    losses: Losses,
    lists: usize,
}

impl Writer {
    fn add(&mut self, predicate: NamedNodeRef<'_>, object: impl Into<Term>) {
        self.graph.insert(&Triple::new(self.subject.clone(), predicate.into_owned(), object));
    }

    fn attribute(&mut self, name: &Iri, instances: &[Attribute]) {
        let path = [name.as_str()];
        let predicate = match NamedNode::new(name.as_str()) {
            Ok(node) if ![vocab::RDF_TYPE, vocab::NGSI_SCOPE, vocab::NGSI_EXPIRES_AT].contains(&node.as_ref()) => node,
            _ => return self.losses.note(&path, "the Attribute: its name cannot be a predicate of the plain profile"),
        };
        // The instance that stays is the default one, else the first, which then no longer says which it was.
        let kept = instances.iter().position(|i| i.dataset_id.is_none()).unwrap_or(0);
        for (index, instance) in instances.iter().enumerate() {
            let at = index.to_string();
            if index != kept {
                self.losses.note(&[name.as_str(), &at], "a further instance");
                continue;
            }
            let about = [name.as_str(), at.as_str()];
            self.beside(&about, instance);
            self.value(&about, &predicate, &instance.value);
        }
    }

    fn beside(&mut self, at: &[&str], instance: &Attribute) {
        let Attribute { value: _, dataset_id, observed_at, unit_code, value_type, object_type, expires_at, proof, attributes } = instance;
        let members = [
            ("datasetId", dataset_id.is_some()),
            ("observedAt", observed_at.is_some()),
            ("unitCode", unit_code.is_some()),
            ("valueType", value_type.is_some()),
            ("objectType", object_type.is_some()),
            ("expiresAt", expires_at.is_some()),
            ("ngsildproof", proof.is_some()),
        ];
        for (member, present) in members {
            if present {
                self.losses.note(&[at, &[member]].concat(), "a member beside the value");
            }
        }
        for name in attributes.keys() {
            self.losses.note(&[at, &[name.as_str()]].concat(), "a sub-attribute");
        }
    }

    fn value(&mut self, at: &[&str], predicate: &NamedNode, value: &AttributeValue) {
        match value {
            AttributeValue::Property(raw) => self.property(at, predicate, raw),
            AttributeValue::GeoProperty(raw) => self.add(predicate.as_ref(), Literal::new_typed_literal(raw.get(), vocab::GEO_JSON)),
            AttributeValue::JsonProperty(raw) => self.add(predicate.as_ref(), Literal::new_typed_literal(raw.get(), vocab::RDF_JSON)),
            AttributeValue::Relationship { objects, many } => self.targets(at, predicate, objects, *many),
            AttributeValue::VocabProperty { names, many } => {
                self.losses.note(at, "that it is a VocabProperty: it comes back as a Relationship");
                self.targets(at, predicate, names, *many);
            }
            AttributeValue::LanguageProperty(raw) => self.languages(at, predicate, raw),
            AttributeValue::ListProperty(raw) => self.list(at, predicate, raw),
            AttributeValue::ListRelationship(objects) => {
                let terms: Option<Vec<Term>> = objects.iter().map(|o| NamedNode::new(o.as_str()).ok().map(Term::from)).collect();
                match terms {
                    Some(terms) if !terms.is_empty() => self.collection(predicate, terms),
                    _ => self.losses.note(at, "a list that is empty, or whose targets RDF does not take"),
                }
            }
        }
    }

    fn targets(&mut self, at: &[&str], predicate: &NamedNode, objects: &[Iri], many: bool) {
        if objects.len() > 1 {
            self.losses.note(at, "the order of the targets");
        } else if many {
            self.losses.note(at, "that the single target stood in an array");
        }
        for object in objects {
            match NamedNode::new(object.as_str()) {
                Ok(node) => self.add(predicate.as_ref(), node),
                Err(_) => self.losses.note(at, "a target that is an IRI that RDF does not take"),
            }
        }
    }

    fn property(&mut self, at: &[&str], predicate: &NamedNode, raw: &RawJson) {
        if let Some(literal) = scalar(raw) {
            return self.add(predicate.as_ref(), literal);
        }
        if let Some((literal, exact)) = typed_value(raw) {
            if !exact {
                self.losses.note(at, "the exact data type of the value");
            }
            return self.add(predicate.as_ref(), literal);
        }
        self.losses.note(at, "that it is a Property: its value is no single one and comes back as a JsonProperty");
        self.add(predicate.as_ref(), Literal::new_typed_literal(raw.get(), vocab::RDF_JSON));
    }

    fn languages(&mut self, at: &[&str], predicate: &NamedNode, raw: &RawJson) {
        let Value::Object(map) = raw.value() else {
            return self.losses.note(at, "a language map that is no object");
        };
        if map.keys().all(|tag| tag == "@none") {
            self.losses.note(at, "that it is a LanguageProperty: without a language it comes back as a Property");
        }
        for (tag, texts) in &map {
            if matches!(texts, Value::Array(list) if list.len() < 2) {
                self.losses.note(&[at, &["languageMap", tag]].concat(), "that the single text stood in an array, or that it was empty");
            } else if texts.is_array() {
                self.losses.note(&[at, &["languageMap", tag]].concat(), "the order of the texts");
            }
            let list = if let Value::Array(list) = texts { list.as_slice() } else { std::slice::from_ref(texts) };
            for text in list.iter().filter_map(Value::as_str) {
                if tag == "@none" {
                    self.add(predicate.as_ref(), Literal::new_simple_literal(text));
                } else if let Ok(literal) = Literal::new_language_tagged_literal(text, tag.as_str()) {
                    if literal.language() != Some(tag.as_str()) {
                        self.losses.note(&[at, &["languageMap", tag]].concat(), "the letter case of the language tag");
                    }
                    self.add(predicate.as_ref(), literal);
                } else {
                    self.losses.note(&[at, &["languageMap", tag]].concat(), "a text whose key is no language tag");
                }
            }
        }
    }

    fn list(&mut self, at: &[&str], predicate: &NamedNode, raw: &RawJson) {
        let items: Vec<RawJson> = serde_json::from_str(raw.get()).unwrap_or_default();
        let terms: Option<Vec<Term>> = items.iter().map(|item| scalar(item).map(Term::from)).collect();
        if let Some(terms) = terms {
            self.collection(predicate, terms);
        } else {
            self.losses.note(at, "that it is a ListProperty: with nested items it comes back as a JsonProperty");
            self.add(predicate.as_ref(), Literal::new_typed_literal(raw.get(), vocab::RDF_JSON));
        }
    }

    fn collection(&mut self, predicate: &NamedNode, terms: Vec<Term>) {
        let mut rest: Term = vocab::RDF_NIL.into_owned().into();
        for term in terms.into_iter().rev() {
            self.lists += 1;
            let cell = BlankNode::new_unchecked(format!("l{}", self.lists));
            self.graph.insert(&Triple::new(cell.clone(), vocab::RDF_FIRST, term));
            self.graph.insert(&Triple::new(NamedOrBlankNode::from(cell.clone()), vocab::RDF_REST, rest));
            rest = cell.into();
        }
        self.add(predicate.as_ref(), rest);
    }
}

/// A string, number or boolean as a literal. A number keeps its digits.
fn scalar(raw: &RawJson) -> Option<Literal> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(text).ok().map(Literal::new_simple_literal),
        b't' | b'f' => Some(Literal::new_typed_literal(text, vocab::XSD_BOOLEAN)),
        b'-' | b'0'..=b'9' => {
            let kind = match text {
                _ if text.contains(['e', 'E']) => vocab::XSD_DOUBLE,
                _ if text.contains('.') => vocab::XSD_DECIMAL,
                _ => vocab::XSD_INTEGER,
            };
            Some(Literal::new_typed_literal(text, kind))
        }
        _ => None,
    }
}

/// `{"@type": T, "@value": "text"}` as a literal, and whether reading it gives the same back.
fn typed_value(raw: &RawJson) -> Option<(Literal, bool)> {
    let members: BTreeMap<String, Value> = serde_json::from_str(raw.get()).ok()?;
    let (Some(Value::String(kind)), Some(Value::String(text)), 2) = (members.get("@type"), members.get("@value"), members.len()) else {
        return None;
    };
    if let Some((_, xsd)) = vocab::TYPED_TIMES.iter().find(|(name, _)| name == kind) {
        return Some((Literal::new_typed_literal(text, *xsd), true));
    }
    let kind = NamedNode::new(kind.as_str()).ok()?;
    let reserved = [
        vocab::XSD_STRING,
        vocab::XSD_BOOLEAN,
        vocab::XSD_INTEGER,
        vocab::XSD_DECIMAL,
        vocab::XSD_DOUBLE,
        vocab::XSD_DATE_TIME,
        vocab::XSD_DATE,
        vocab::XSD_TIME,
        vocab::RDF_JSON,
        vocab::GEO_JSON,
    ];
    if kind.as_ref() == vocab::RDF_LANG_STRING {
        return None;
    }
    let exact = !reserved.contains(&kind.as_ref());
    Some((Literal::new_typed_literal(text, kind), exact))
}
