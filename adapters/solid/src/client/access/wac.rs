//! Web Access Control: reading a rules document and changing the hub's own rules in it.

use super::{Agent, Modes, Rule, is_ours, rule_name};
use crate::error::SolidError;
use crate::rdf::{iris, node, write_turtle};
use crate::vocab;
use oxrdf::{Graph, Literal, NamedNode, NamedOrBlankNodeRef, TermRef, Triple};
use std::collections::BTreeSet;
use url::Url;
use waybill_model::Iri;

/// The rules of a document that count for `target`: those that name it by `acl:accessTo`, or, for a document of a container
/// above, by `acl:default`.
pub fn rules(graph: &Graph, target: &str, inherited: bool) -> Vec<Rule> {
    let link = if inherited { vocab::ACL_DEFAULT } else { vocab::ACL_ACCESS_TO };
    let mut out = Vec::new();
    for triple in graph.triples_for_predicate(link) {
        if matches!(triple.object, TermRef::NamedNode(node) if node.as_str() == target) {
            out.push(rule(graph, triple.subject));
        }
    }
    out
}

fn rule(graph: &Graph, subject: NamedOrBlankNodeRef<'_>) -> Rule {
    let mut agents: BTreeSet<Agent> = iris(graph, subject, vocab::ACL_AGENT).into_iter().map(|id| Agent::One(id.to_owned())).collect();
    for class in iris(graph, subject, vocab::ACL_AGENT_CLASS) {
        agents.insert(match class {
            c if c == vocab::FOAF_AGENT.as_str() => Agent::Public,
            c if c == vocab::ACL_AUTHENTICATED_AGENT.as_str() => Agent::Authenticated,
            other => Agent::Unknown(other.to_owned()),
        });
    }
    agents.extend(iris(graph, subject, vocab::ACL_AGENT_GROUP).into_iter().map(|id| Agent::Group(id.to_owned())));
    Rule { agents, modes: Modes::from_iris(iris(graph, subject, vocab::ACL_MODE)) }
}

/// What `resource` inherits from the document at `from` (of `container`), as a document of its own that grants exactly the same.
/// Without this the first rule of its own would shut out its owner.
pub fn copy_inherited(graph: &Graph, from: &Url, container: &Url, own: &Url, resource: &Url) -> Result<Graph, SolidError> {
    let mut out = Graph::new();
    let target = node(resource.as_str())?;
    let mut owner = false;
    for (index, rule) in rules(graph, container.as_str(), true).into_iter().enumerate() {
        let mut name = own.clone();
        name.set_fragment(Some(&format!("inherited-{index}")));
        let name = node(name.as_str())?;
        owner |= rule.modes.control;
        for agent in rule.agents {
            let (link, value) = match agent {
                Agent::One(id) => (vocab::ACL_AGENT, id),
                Agent::Public => (vocab::ACL_AGENT_CLASS, vocab::FOAF_AGENT.as_str().to_owned()),
                Agent::Authenticated => (vocab::ACL_AGENT_CLASS, vocab::ACL_AUTHENTICATED_AGENT.as_str().to_owned()),
                Agent::Group(id) => (vocab::ACL_AGENT_GROUP, id),
                Agent::Unknown(id) => (vocab::ACL_AGENT_CLASS, id),
            };
            out.insert(&Triple::new(name.clone(), link, node(&value)?));
        }
        authorization(&mut out, &name, &target, resource, rule.modes);
    }
    if !owner {
        return Err(SolidError::malformed("access rules", "no rule keeps Control for the owner"));
    }
    let marker = marker(own)?;
    let digest = digest(&out, own);
    out.insert(&Triple::new(marker.clone(), vocab::WAYBILL_COPIED_FROM, node(from.as_str())?));
    out.insert(&Triple::new(marker, vocab::WAYBILL_COPY_DIGEST, Literal::new_simple_literal(digest)));
    Ok(out)
}

fn authorization(graph: &mut Graph, name: &NamedNode, target: &NamedNode, resource: &Url, modes: Modes) {
    graph.insert(&Triple::new(name.clone(), vocab::RDF_TYPE, vocab::ACL_AUTHORIZATION));
    graph.insert(&Triple::new(name.clone(), vocab::ACL_ACCESS_TO, target.clone()));
    if resource.path().ends_with('/') {
        graph.insert(&Triple::new(name.clone(), vocab::ACL_DEFAULT, target.clone()));
    }
    for mode in modes.names() {
        graph.insert(&Triple::new(name.clone(), vocab::ACL_MODE, mode));
    }
}

/// The document with the hub's rule for `agent` in it, in place of an older one.
pub fn with_rule(graph: Graph, document: &Url, resource: &Url, agent: &Iri, modes: Modes) -> Result<Graph, SolidError> {
    let name = node(&rule_name(document, agent, ""))?;
    let mut graph = without_subjects(graph, |subject| subject == name.as_str());
    graph.insert(&Triple::new(name.clone(), vocab::ACL_AGENT, node(agent.as_str())?));
    authorization(&mut graph, &name, &node(resource.as_str())?, resource, modes);
    Ok(graph)
}

/// The document without the hub's rules for `agent`, and how many went. Nothing in its place when what is left is exactly what the
/// hub had copied from above: then the document may go, and the resource inherits again.
pub fn without_rules(graph: Graph, document: &Url, agent: &Iri) -> (Option<Graph>, usize) {
    let name = rule_name(document, agent, "");
    let before = graph.len();
    let rest = without_subjects(graph, |subject| subject == name);
    if rest.len() == before {
        return (Some(rest), 0);
    }
    let others = rest.iter().any(|t| subject_iri(t.subject).is_some_and(|s| is_ours(document, s)));
    let copied = marker(document).is_ok_and(|marker| {
        let said = rest.object_for_subject_predicate(&marker, vocab::WAYBILL_COPY_DIGEST);
        matches!(said, Some(TermRef::Literal(l)) if l.value() == digest(&rest, document))
    });
    (if copied && !others { None } else { Some(rest) }, 1)
}

fn marker(document: &Url) -> Result<NamedNode, SolidError> {
    let mut name = document.clone();
    name.set_fragment(Some("copied"));
    node(name.as_str())
}

/// Digest of everything in the document but the hub's rules and the marker.
fn digest(graph: &Graph, document: &Url) -> String {
    let marker = format!("{document}#copied");
    let own = |subject: &str| subject == marker || is_ours(document, subject);
    let text = write_turtle(&without_subjects(graph.clone(), own));
    waybill_keys::b64url(waybill_keys::sha256(&text))
}

fn without_subjects(mut graph: Graph, which: impl Fn(&str) -> bool) -> Graph {
    let gone: Vec<Triple> = graph.iter().filter(|t| subject_iri(t.subject).is_some_and(&which)).map(oxrdf::TripleRef::into_owned).collect();
    for triple in &gone {
        graph.remove(triple);
    }
    graph
}

fn subject_iri(subject: NamedOrBlankNodeRef<'_>) -> Option<&str> {
    if let NamedOrBlankNodeRef::NamedNode(node) = subject { Some(node.as_str()) } else { None }
}

