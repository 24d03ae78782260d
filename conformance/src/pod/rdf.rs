//! Turtle and N3 patches over small graphs.

use oxrdf::{GraphName, Graph, NamedNode, NamedOrBlankNode, Term, Triple};
use oxttl::n3::{N3Quad, N3Term};
use oxttl::{N3Parser, TurtleParser, TurtleSerializer};
use std::collections::HashMap;

const SOLID: &str = "http://www.w3.org/ns/solid/terms#";

/// Reads Turtle; relative names are resolved against `base`.
pub(super) fn parse(text: &[u8], base: &str) -> Result<Graph, String> {
    let parser = TurtleParser::new().with_base_iri(base).map_err(|e| e.to_string())?;
    let mut graph = Graph::new();
    for triple in parser.for_slice(text) {
        graph.insert(&triple.map_err(|e| e.to_string())?);
    }
    Ok(graph)
}

/// Writes Turtle.
pub(super) fn write(graph: &Graph) -> Vec<u8> {
    let mut serializer = TurtleSerializer::new().for_writer(Vec::new());
    for triple in graph {
        // Writing into memory does not fail.
        let _ = serializer.serialize_triple(triple);
    }
    serializer.finish().unwrap_or_default()
}

/// The IRIs that stand as objects of `subject predicate`.
pub(super) fn objects(graph: &Graph, subject: &str, predicate: &str) -> Vec<String> {
    graph
        .iter()
        .filter(|t| t.subject.to_string() == format!("<{subject}>") && t.predicate.as_str() == predicate)
        .filter_map(|t| match t.object {
            oxrdf::TermRef::NamedNode(n) => Some(n.as_str().to_owned()),
            _ => None,
        })
        .collect()
}

/// A `solid:InsertDeletePatch`.
#[derive(Default)]
pub(super) struct Patch {
    conditions: Vec<N3Quad>,
    deletes: Vec<N3Quad>,
    inserts: Vec<N3Quad>,
}

type Bindings = HashMap<String, Term>;

impl Patch {
    /// Reads the N3 text.
    pub fn parse(text: &[u8], base: &str) -> Result<Self, String> {
        let parser = N3Parser::new().with_base_iri(base).map_err(|e| e.to_string())?;
        let quads: Vec<N3Quad> = parser.for_slice(text).collect::<Result<_, _>>().map_err(|e| e.to_string())?;
        let formula = |name: &str| -> Vec<N3Quad> {
            let wanted = format!("<{SOLID}{name}>");
            let graphs: Vec<String> =
                quads.iter().filter(|q| q.predicate.to_string() == wanted).map(|q| q.object.to_string()).collect();
            quads
                .iter()
                .filter(|q| !matches!(q.graph_name, GraphName::DefaultGraph) && graphs.contains(&q.graph_name.to_string()))
                .cloned()
                .collect()
        };
        let patch = Self { conditions: formula("where"), deletes: formula("deletes"), inserts: formula("inserts") };
        let is_patch = quads.iter().any(|q| q.object.to_string() == format!("<{SOLID}InsertDeletePatch>"));
        if is_patch { Ok(patch) } else { Err("the body holds no solid:InsertDeletePatch".to_owned()) }
    }

    /// Whether it only adds.
    pub fn only_inserts(&self) -> bool {
        self.deletes.is_empty()
    }

    /// Applies it. The condition must hold in exactly one way, and what is deleted must be there.
    pub fn apply(&self, graph: &mut Graph) -> Result<(), String> {
        let mut solutions = Vec::new();
        solve(graph, &self.conditions, Bindings::new(), &mut solutions);
        let [bindings] = solutions.as_slice() else {
            return Err(format!("the condition holds in {} ways, not in one", solutions.len()));
        };
        let filled = |patterns: &[N3Quad]| -> Result<Vec<Triple>, String> { patterns.iter().map(|p| fill(p, bindings)).collect() };
        let (deletes, inserts) = (filled(&self.deletes)?, filled(&self.inserts)?);
        if let Some(missing) = deletes.iter().find(|t| !graph.contains(*t)) {
            return Err(format!("there is no {missing} to delete"));
        }
        for triple in &deletes {
            graph.remove(triple);
        }
        for triple in &inserts {
            graph.insert(triple);
        }
        Ok(())
    }
}

fn solve(graph: &Graph, patterns: &[N3Quad], bindings: Bindings, solutions: &mut Vec<Bindings>) {
    let Some((pattern, rest)) = patterns.split_first() else {
        solutions.push(bindings);
        return;
    };
    for triple in graph {
        let triple = triple.into_owned();
        let mut next = bindings.clone();
        if unify(&pattern.subject, triple.subject.into(), &mut next)
            && unify(&pattern.predicate, triple.predicate.into(), &mut next)
            && unify(&pattern.object, triple.object, &mut next)
        {
            solve(graph, rest, next, solutions);
        }
    }
}

fn unify(pattern: &N3Term, term: Term, bindings: &mut Bindings) -> bool {
    match pattern {
        N3Term::Variable(v) => *bindings.entry(v.as_str().to_owned()).or_insert_with(|| term.clone()) == term,
        N3Term::NamedNode(n) => term == Term::NamedNode(n.clone()),
        N3Term::BlankNode(b) => term == Term::BlankNode(b.clone()),
        N3Term::Literal(l) => term == Term::Literal(l.clone()),
    }
}

fn fill(pattern: &N3Quad, bindings: &Bindings) -> Result<Triple, String> {
    let term = |t: &N3Term| match t {
        N3Term::Variable(v) => bindings.get(v.as_str()).cloned().ok_or_else(|| format!("{v} is not bound by the condition")),
        N3Term::NamedNode(n) => Ok(n.clone().into()),
        N3Term::BlankNode(b) => Ok(b.clone().into()),
        N3Term::Literal(l) => Ok(l.clone().into()),
    };
    let subject = match term(&pattern.subject)? {
        Term::NamedNode(n) => NamedOrBlankNode::NamedNode(n),
        Term::BlankNode(b) => NamedOrBlankNode::BlankNode(b),
        Term::Literal(_) => return Err("a literal cannot be a subject".to_owned()),
    };
    let predicate = match term(&pattern.predicate)? {
        Term::NamedNode(n) => n,
        other => return Err(format!("{other} cannot be a predicate")),
    };
    Ok(Triple::new(subject, predicate, term(&pattern.object)?))
}

/// An IRI that is known to be one, for building graphs.
pub(super) fn node(iri: &str) -> NamedNode {
    NamedNode::new_unchecked(iri)
}
