//! The catalogue for data portals on the wire: Turtle or JSON-LD, as the caller accepts.

use crate::connector::Connector;
use crate::dcat::{self, PLACE, PREFIXES, RDF_TYPE};
use oxrdf::{Graph, NamedOrBlankNodeRef, TermRef};
use oxttl::TurtleSerializer;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use waybill_http::{Method, Request, Response, RouteOptions, Router, etag_of, header};
use waybill_model::{Problem, ProblemCode};

/// The media types of the answer; the first where the caller has no preference.
const OFFERED: [&str; 3] = ["application/ld+json", "text/turtle", "application/json"];
const STRING: &str = "http://www.w3.org/2001/XMLSchema#string";

/// The route of the catalogue for data portals. For everybody, where the configuration opens it.
pub fn routes(connector: &Connector) -> Router {
    let this = connector.clone();
    let options = RouteOptions { own_auth: true, ..RouteOptions::default() };
    Router::new().route_with(Method::GET, PLACE, options, move |request: Request| {
        let this = this.clone();
        async move { Ok(this.answer_open_data(&request)) }
    })
}

impl Connector {
    fn answer_open_data(&self, request: &Request) -> Response {
        let config = self.config();
        if !config.about.open_data {
            let problem = Problem::new(ProblemCode("not-found"), 404, "Nothing is here", "this hub keeps no catalogue for data portals");
            return Response::problem(&problem.help("Its operator opens one with `open_data = true` in [dataspace]."));
        }
        let lines: Vec<&str> = request.headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
        let Some(kind) = chosen(&lines.join(",")) else {
            let problem = Problem::new(ProblemCode("not-acceptable"), 406, "No acceptable media type", "the catalogue is told in no media type that the caller accepts");
            return Response::problem(&problem.at("Accept").help(format!("Accept one of {}.", OFFERED.join(", "))));
        };
        let graph = dcat::graph(&config);
        let body = if kind == "text/turtle" { turtle(&graph) } else { json_ld(&graph, &dcat::place(&config)).to_string().into_bytes() };
        let tag = etag_of(&body);
        Response::bytes(200, kind, body).etag(&tag).with(header::VARY, "Accept").with(header::CACHE_CONTROL, "public, max-age=60")
    }
}

/// The media type that `accept` likes best of those that are offered (RFC 9110, section 12.5.1).
fn chosen(accept: &str) -> Option<&'static str> {
    let ranges: Vec<(String, f32)> = accept
        .split(',')
        .filter(|range| !range.trim().is_empty())
        .map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))).and_then(|q| q.parse().ok());
            (name, weight.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0))
        })
        .collect();
    if ranges.is_empty() {
        return OFFERED.first().copied();
    }
    let mut best: Option<(&str, f32)> = None;
    for kind in OFFERED {
        let group = format!("{}/*", kind.split('/').next().unwrap_or_default());
        // The most specific range that covers a type decides about it.
        let weight = [kind, &group, "*/*"].into_iter().find_map(|name| ranges.iter().find(|(r, _)| r == name)).map_or(0.0, |(_, q)| *q);
        if weight > 0.0 && best.is_none_or(|(_, b)| weight > b) {
            best = Some((kind, weight));
        }
    }
    best.map(|(kind, _)| kind)
}

/// The graph as Turtle, sorted, so that the same catalogue is always the same text.
fn turtle(graph: &Graph) -> Vec<u8> {
    let mut triples: Vec<_> = graph.iter().collect();
    triples.sort_by_cached_key(ToString::to_string);
    let mut serializer = TurtleSerializer::new();
    for (prefix, namespace) in PREFIXES {
        // INVARIANT: the table holds IRIs; without one the text would only be longer.
        serializer = serializer.with_prefix(*prefix, *namespace).unwrap_or_default();
    }
    let mut out = serializer.for_writer(Vec::new());
    for triple in triples {
        // INVARIANT: writing into a Vec does not fail.
        let _ = out.serialize_triple(triple);
    }
    out.finish().unwrap_or_default()
}

/// The graph as one tree of JSON-LD below `root`, with the context inside.
fn json_ld(graph: &Graph, root: &str) -> Value {
    let Ok(root) = oxrdf::NamedNodeRef::new(root) else { return json!({}) };
    let mut tree = Tree { graph, told: HashSet::new() };
    // What the root points at is told there, not deep in something that points at it too.
    let first: Vec<String> = graph.triples_for_subject(root).map(|t| t.object.to_string()).collect();
    let mut out = tree.node(root.into(), &first.into_iter().collect());
    let context: Map<String, Value> = PREFIXES.iter().filter(|(p, _)| *p != "rdf").map(|(p, n)| ((*p).to_owned(), (*n).into())).collect();
    out.insert("@context".into(), context.into());
    out.into()
}

struct Tree<'a> {
    graph: &'a Graph,
    told: HashSet<String>,
}

impl Tree<'_> {
    /// A node with all that is said of it; `apart` are told elsewhere, unless this is the place.
    fn node(&mut self, node: NamedOrBlankNodeRef<'_>, apart: &HashSet<String>) -> Map<String, Value> {
        let at_root = self.told.is_empty();
        self.told.insert(node.to_string());
        let mut out = Map::new();
        if let NamedOrBlankNodeRef::NamedNode(name) = node {
            out.insert("@id".into(), name.as_str().into());
        }
        let mut said: Vec<(String, TermRef<'_>)> = self.graph.triples_for_subject(node).map(|t| (t.predicate.as_str().to_owned(), t.object)).collect();
        said.sort_by_cached_key(|(predicate, object)| (predicate.clone(), object.to_string()));
        for (predicate, object) in said {
            let (name, value) = if predicate == RDF_TYPE {
                let TermRef::NamedNode(class) = object else { continue };
                ("@type".to_owned(), compact(class.as_str()).into())
            } else {
                (compact(&predicate), self.object(object, apart, at_root))
            };
            match out.get_mut(&name) {
                None => drop(out.insert(name, value)),
                Some(Value::Array(list)) => list.push(value),
                Some(one) => *one = json!([one.take(), value]),
            }
        }
        out
    }

    fn object(&mut self, object: TermRef<'_>, apart: &HashSet<String>, at_root: bool) -> Value {
        let node: NamedOrBlankNodeRef<'_> = match object {
            TermRef::Literal(literal) if literal.datatype().as_str() == STRING => return literal.value().into(),
            TermRef::Literal(literal) => return json!({"@value": literal.value(), "@type": literal.datatype().as_str()}),
            TermRef::NamedNode(node) => node.into(),
            TermRef::BlankNode(node) => node.into(),
        };
        let key = node.to_string();
        let known = self.graph.triples_for_subject(node).next().is_some();
        let elsewhere = self.told.contains(&key) || (apart.contains(&key) && !at_root);
        match node {
            NamedOrBlankNodeRef::NamedNode(name) if !known || elsewhere => json!({"@id": name.as_str()}),
            _ => self.node(node, apart).into(),
        }
    }
}

/// A name with its prefix, where what follows the prefix is a plain word.
fn compact(iri: &str) -> String {
    let found = PREFIXES.iter().find_map(|(prefix, namespace)| {
        let rest = iri.strip_prefix(namespace)?;
        (!rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| format!("{prefix}:{rest}"))
    });
    found.unwrap_or_else(|| iri.to_owned())
}
