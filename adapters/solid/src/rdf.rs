//! Small helpers over graphs.

use crate::error::SolidError;
use oxrdf::{Graph, NamedNode, NamedNodeRef, NamedOrBlankNodeRef, TermRef};
use oxttl::{TurtleParser, TurtleSerializer};

/// Reads Turtle; relative addresses are resolved against `base`.
///
/// # Errors
/// [`SolidError::Malformed`] with the line when it is not Turtle.
pub fn parse_turtle(bytes: &[u8], base: &str, what: &'static str) -> Result<Graph, SolidError> {
    let parser = TurtleParser::new().with_base_iri(base).map_err(|e| SolidError::malformed(what, e.to_string()))?;
    let mut graph = Graph::new();
    for triple in parser.for_slice(bytes) {
        // The parser's own text quotes the document, which may be personal: only the place is told.
        let triple = triple.map_err(|e| SolidError::malformed(what, format!("not Turtle at line {}", e.location().start.line + 1)))?;
        graph.insert(&triple);
    }
    Ok(graph)
}

/// Writes Turtle, sorted so that equal graphs without blank nodes give equal text.
pub fn write_turtle(graph: &Graph) -> Vec<u8> {
    let mut triples: Vec<_> = graph.iter().collect();
    triples.sort_by_cached_key(ToString::to_string);
    let mut out = TurtleSerializer::new().for_writer(Vec::new());
    for triple in triples {
        // INVARIANT: writing into a Vec does not fail.
        let _ = out.serialize_triple(triple);
    }
    out.finish().unwrap_or_default()
}

/// The objects of `subject` and `predicate` that are IRIs, sorted.
pub fn iris<'a>(graph: &'a Graph, subject: impl Into<NamedOrBlankNodeRef<'a>>, predicate: NamedNodeRef<'a>) -> Vec<&'a str> {
    let mut found: Vec<&str> = graph
        .objects_for_subject_predicate(subject, predicate)
        .filter_map(|term| if let TermRef::NamedNode(node) = term { Some(node.as_str()) } else { None })
        .collect();
    found.sort_unstable();
    found
}

/// The objects that are nodes, IRI or blank.
pub fn nodes<'a>(graph: &'a Graph, subject: impl Into<NamedOrBlankNodeRef<'a>>, predicate: NamedNodeRef<'a>) -> Vec<NamedOrBlankNodeRef<'a>> {
    graph.objects_for_subject_predicate(subject, predicate).filter_map(as_node).collect()
}

/// The term as a node that can be a subject.
pub fn as_node(term: TermRef<'_>) -> Option<NamedOrBlankNodeRef<'_>> {
    match term {
        TermRef::NamedNode(node) => Some(node.into()),
        TermRef::BlankNode(node) => Some(node.into()),
        TermRef::Literal(_) => None,
    }
}

/// An IRI as a node.
///
/// # Errors
/// [`SolidError::Malformed`] when RDF does not take it.
pub fn node(iri: &str) -> Result<NamedNode, SolidError> {
    NamedNode::new(iri).map_err(|_| SolidError::malformed("address", "not an IRI that RDF takes"))
}
