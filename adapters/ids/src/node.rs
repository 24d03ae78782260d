//! A JSON-LD document read by its names, without its @contexts: prefixed, unprefixed and full names are the same name, one value
//! and a list of one are the same, and every value knows its place.

use crate::vocab::{DATATYPES, DCAT, DSPACE, IDS, IDSC, ODRL, PREFIXES, RDF, XSD, local};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// How many references one behind the other are followed.
const MOST_HOPS: u8 = 16;
/// How many references are followed in one document.
const MOST_FOLLOWED: usize = 20_000;

/// A value and where it stands.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) place: String,
    /// Where it was named: another place if it is a node of the graph that something refers to.
    stood: String,
    hops: u8,
}

/// A member of an object, by the name it is known by here.
pub(crate) struct Member<'a> {
    /// The local name for names of IDS and ODRL and for those without a prefix; `dct:…` and so on for what stands in [`PREFIXES`], else the
    /// whole IRI.
    pub(crate) name: String,
    /// The full name: without a prefix, one in the namespace that the document's kind gives it.
    pub(crate) iri: String,
    /// Whether the name had a namespace of its own.
    pub(crate) qualified: bool,
    pub(crate) node: Node<'a>,
}

/// What is needed to read a document.
pub(crate) struct Reader<'a> {
    prefixes: BTreeMap<String, String>,
    /// The namespace that the document gives names without a prefix, if it is none that is read here.
    vocabulary: Option<String>,
    nodes: BTreeMap<String, (&'a Value, String)>,
    bare: &'static str,
    followed: Cell<usize>,
    taken: RefCell<BTreeSet<String>>,
    reached: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    /// A reader for `document`, which stands at `place`, and in which names without a prefix belong to the namespace `bare`.
    pub(crate) fn new(document: &'a Value, place: &str, bare: &'static str) -> Self {
        let mut reader = Self {
            prefixes: BTreeMap::new(),
            vocabulary: None,
            nodes: BTreeMap::new(),
            bare,
            followed: Cell::new(0),
            taken: RefCell::new(BTreeSet::new()),
            reached: RefCell::new(BTreeSet::new()),
        };
        if let Some(context) = document.get("@context") {
            reader.declare(context);
        }
        if let Some(Value::Array(graph)) = document.get("@graph") {
            for (at, value) in graph.iter().enumerate() {
                if let Some(id) = value.get("@id").and_then(Value::as_str) {
                    let id = reader.expand(id);
                    // Of two nodes with one name the first is followed; the rules of the other are named as lost.
                    reader.nodes.entry(id).or_insert((value, format!("{place}/@graph/{at}")));
                }
            }
        }
        reader
    }

    fn declare(&mut self, context: &Value) {
        match context {
            Value::Array(list) => list.iter().for_each(|c| self.declare(c)),
            Value::Object(terms) => {
                for (term, value) in terms {
                    let Some(iri) = value.as_str().or_else(|| value.get("@id").and_then(Value::as_str)).filter(|iri| iri.contains(':')) else { continue };
                    if term == "@vocab" {
                        // Of what this crate reads, the document's kind says which namespace it is.
                        self.vocabulary = Some(iri.to_owned()).filter(|v| ![IDS, IDSC, ODRL, DCAT, DSPACE].contains(&v.as_str()));
                    } else if !term.starts_with('@') {
                        self.prefixes.insert(term.clone(), iri.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    /// The IRI that `text` shortens; `text` itself when it shortens none.
    pub(crate) fn expand(&self, text: &str) -> String {
        if let Some(iri) = self.prefixes.get(text) {
            return iri.clone();
        }
        let Some((prefix, rest)) = text.split_once(':') else { return text.to_owned() };
        if rest.starts_with("//") {
            return text.to_owned();
        }
        let namespace = self.prefixes.get(prefix).map(String::as_str).or_else(|| PREFIXES.iter().find(|(p, _)| *p == prefix).map(|(_, n)| *n));
        namespace.map_or_else(|| text.to_owned(), |n| format!("{n}{rest}"))
    }


    /// The members of an object, but for those that JSON-LD reserves and those without a value.
    pub(crate) fn members(&self, node: &Node<'a>) -> Vec<Member<'a>> {
        let Value::Object(object) = node.value else { return Vec::new() };
        let members = object.iter().filter(|(key, value)| !key.starts_with('@') && !value.is_null());
        members.map(|(key, value)| self.member(key, node.child(key, value))).collect()
    }

    fn member(&self, key: &str, node: Node<'a>) -> Member<'a> {
        let mut iri = self.expand(key);
        if let (false, Some(vocabulary)) = (iri.contains(':'), &self.vocabulary) {
            iri.insert_str(0, vocabulary);
        }
        // A declared name may itself stand for a short one.
        iri = self.expand(&iri);
        if !iri.contains(':') {
            return Member { name: iri.clone(), iri: format!("{}{iri}", self.bare), qualified: false, node };
        }
        let name = local(&iri, IDS).or_else(|| local(&iri, ODRL)).map_or_else(|| crate::vocab::compact(&iri, PREFIXES), str::to_owned);
        Member { name, iri, qualified: true, node }
    }

    /// The values of a member one by one, each followed if it is a reference into the document's graph.
    pub(crate) fn items(&self, node: &Node<'a>) -> Vec<Node<'a>> {
        let mut found = Vec::new();
        flatten(node.value, &node.place, &mut |value, place| {
            found.push(self.follow(Node { value, place: place.to_owned(), stood: place.to_owned(), hops: node.hops }));
        });
        found
    }

    fn follow(&self, node: Node<'a>) -> Node<'a> {
        let Value::Object(object) = node.value else { return node };
        let [(key, Value::String(id))] = object.iter().collect::<Vec<_>>()[..] else { return node };
        if key != "@id" {
            return node;
        }
        let Some((value, place)) = self.nodes.get(&self.expand(id)) else { return node };
        if node.hops >= MOST_HOPS || self.exhausted() {
            self.followed.set(MOST_FOLLOWED);
            return node;
        }
        self.followed.set(self.followed.get() + 1);
        self.reached.borrow_mut().insert(place.clone());
        Node { value, place: place.clone(), stood: node.stood, hops: node.hops + 1 }
    }

    /// The nodes of the graph that nothing referred to, but for the one at `root`.
    pub(crate) fn unreached(&self, root: &str) -> Vec<String> {
        let places = self.nodes.values().map(|(_, place)| place);
        places.filter(|p| *p != root && !self.reached.borrow().contains(*p)).cloned().collect()
    }

    /// Whether the document refers to itself more than is followed.
    pub(crate) fn exhausted(&self) -> bool {
        self.followed.get() >= MOST_FOLLOWED
    }

    /// Notes that a rule was taken in.
    pub(crate) fn take(&self, rule: &Node<'a>) {
        self.taken.borrow_mut().extend([rule.place.clone(), rule.stood.clone()]);
    }
    /// Whether the rule at a place was taken in.
    pub(crate) fn took(&self, place: &str) -> bool {
        self.taken.borrow().contains(place)
    }

    /// The identifier of an object (`@id`, or `uid` as ODRL calls it), or what a text or a typed text names.
    pub(crate) fn id(&self, node: &Node<'a>) -> Option<String> {
        match node.value {
            Value::String(text) => Some(self.expand(text)),
            Value::Object(object) => {
                if let Some(id) = object.get("@id").and_then(Value::as_str) {
                    return Some(self.expand(id));
                }
                if let Some(text) = object.get("@value").and_then(Value::as_str) {
                    return Some(self.expand(text));
                }
                let uid = self.members(node).into_iter().find(|m| m.name == "uid")?;
                uid.node.value.as_str().map(|t| self.expand(t)).or_else(|| self.id(&uid.node))
            }
            _ => None,
        }
    }

    /// The types of an object: full IRIs, or names as they stand.
    pub(crate) fn types(&self, node: &Node<'a>) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(types) = node.value.get("@type") {
            flatten(types, "", &mut |value, _| {
                if let Some(text) = value.as_str().or_else(|| value.get("@id").and_then(Value::as_str)) {
                    found.push(self.expand(text));
                }
            });
        }
        found
    }

    /// The name of an operator, left operand or action. Without a prefix it is a code of IDS or a name of ODRL if `known` says which.
    pub(crate) fn term(&self, node: &Node<'a>, known: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut name = self.id(node)?;
        if !name.contains(':') {
            name = known(&name)?;
        }
        (waybill_model::Iri::is_valid(&name)).then_some(name)
    }

    /// The datatype that `name` means.
    pub(crate) fn datatype(&self, name: &str) -> String {
        let name = self.expand(name);
        let part = local(&name, XSD).unwrap_or(&name);
        let known = DATATYPES.iter().find(|d| **d == part).or_else(|| DATATYPES.iter().find(|d| d.eq_ignore_ascii_case(part)));
        known.map_or_else(|| name.clone(), |d| format!("{XSD}{d}"))
    }

    /// [`Self::whole`] of what stands here, or of the node that is only named here.
    pub(crate) fn there(&self, node: &Node<'a>) -> Value {
        match node.value {
            Value::Array(list) => list.iter().enumerate().map(|(at, v)| self.there(&node.child(&at.to_string(), v))).collect(),
            _ => self.whole(&self.follow(node.clone())),
        }
    }

    /// A part of the document as it is, with every name in full.
    pub(crate) fn whole(&self, node: &Node<'a>) -> Value {
        match node.value {
            Value::Array(list) => Value::Array(list.iter().enumerate().map(|(at, v)| self.whole(&node.child(&at.to_string(), v))).collect()),
            Value::Object(object) => {
                let mut out = Map::new();
                for (key, value) in object.iter().filter(|(_, v)| !v.is_null()) {
                    let (key, value) = match (key.as_str(), value) {
                        ("@id", Value::String(id)) => (key.clone(), Value::from(self.expand(id))),
                        ("@type", _) => {
                            let literal = object.contains_key("@value");
                            let types = self.types(node).into_iter().map(|t| if literal { self.datatype(&t) } else { self.class(&t) });
                            let mut types: Vec<Value> = types.map(Value::from).collect();
                            (key.clone(), if types.len() == 1 { types.remove(0) } else { Value::Array(types) })
                        }
                        (k, _) if k.starts_with('@') => (key.clone(), value.clone()),
                        _ => {
                            let member = self.member(key, node.child(key, value));
                            (member.iri, self.whole(&member.node))
                        }
                    };
                    out.insert(key, value);
                }
                Value::Object(out)
            }
            other => other.clone(),
        }
    }

    /// A class in full.
    pub(crate) fn class(&self, name: &str) -> String {
        if name.contains(':') { name.to_owned() } else { format!("{}{name}", self.bare) }
    }
}

impl<'a> Node<'a> {
    /// Whether something refers to it from elsewhere in the document.
    pub(crate) fn is_referred_to(&self) -> bool {
        self.place != self.stood
    }
    /// The value at a place.
    pub(crate) fn new(value: &'a Value, place: &str) -> Self {
        Self { value, place: place.to_owned(), stood: place.to_owned(), hops: 0 }
    }
    fn child(&self, key: &str, value: &'a Value) -> Self {
        let place = format!("{}/{}", self.place, escape(key));
        Self { value, stood: place.clone(), place, hops: self.hops }
    }
}

/// Gives each value of a list, of lists in it and of JSON-LD's lists and sets to `take`, with its place; one value as itself.
pub(crate) fn flatten<'a>(value: &'a Value, place: &str, take: &mut impl FnMut(&'a Value, &str)) {
    match value {
        Value::Null => {}
        Value::Array(list) => list.iter().enumerate().for_each(|(at, v)| flatten(v, &format!("{place}/{at}"), take)),
        Value::Object(object) => match ["@list", "@set"].iter().find_map(|k| Some((k, object.get(*k)?))).filter(|_| object.len() == 1) {
            Some((key, inner)) => flatten(inner, &format!("{place}/{key}"), take),
            None => take(value, place),
        },
        _ => take(value, place),
    }
}

/// A member's name as one step of a JSON pointer.
pub(crate) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The one document in a list of one, as expanded JSON-LD has it, and its place.
pub(crate) fn alone(document: &Value) -> (&Value, &'static str) {
    match document {
        Value::Array(list) if list.len() == 1 => (&list[0], "/0"),
        _ => (document, ""),
    }
}

/// Members that hold rules.
const RULES: &[&str] = &[
    "permission", "prohibition", "obligation", "duty", "preDuty", "postDuty", "preObligation", "postObligation", "remedy", "consequence",
];

/// The places of all rules in a document, found without understanding it: whatever stands under a name that holds rules, and each node of
/// a graph that calls itself one.
pub(crate) fn rules(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(document, "", &mut found);
    let (document, place) = alone(document);
    if let Some(Value::Array(graph)) = document.get("@graph") {
        for (at, node) in graph.iter().enumerate() {
            let types = node.get("@type").map(Value::to_string).unwrap_or_default();
            if ["Permission\"", "Prohibition\"", "Obligation\"", "Duty\""].iter().any(|t| types.contains(t)) {
                found.push(format!("{place}/@graph/{at}"));
            }
        }
    }
    found
}

fn collect(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(at, v)| collect(v, &format!("{place}/{at}"), found)),
        Value::Object(object) => {
            for (key, inner) in object {
                let place = format!("{place}/{}", escape(key));
                if key != "@context" && RULES.contains(&key.rsplit([':', '/', '#']).next().unwrap_or_default()) {
                    flatten(inner, &place, &mut |_, place| found.push(place.to_owned()));
                }
                collect(inner, &place, found);
            }
        }
        _ => {}
    }
}

/// A name without a prefix as a code of IDS, or as a name of ODRL.
pub(crate) fn code_or_name(codes: &[&str], pairs: &[(&str, &str)], names: &[&str], text: &str) -> Option<String> {
    if codes.contains(&text) || pairs.iter().any(|(c, _)| *c == text) {
        return Some(format!("{IDSC}{text}"));
    }
    (names.contains(&text) || pairs.iter().any(|(_, n)| *n == text)).then(|| format!("{ODRL}{text}"))
}

/// `rdf:value`, which names the action that a refined action is.
pub(crate) fn is_rdf_value(member: &Member<'_>) -> bool {
    local(&member.iri, RDF) == Some("value")
}
