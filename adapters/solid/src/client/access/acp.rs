//! Access Control Policy: reading an access control resource and changing the hub's own rules in it.

use super::{Agent, Modes, Rule, rule_name};
use crate::error::SolidError;
use crate::rdf::{iris, node, nodes};
use crate::vocab;
use oxrdf::{Graph, NamedNode, NamedOrBlankNode, NamedOrBlankNodeRef, Triple};
use std::collections::BTreeSet;
use url::Url;
use waybill_model::Iri;

/// Which of a document's controls are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those on the resource itself.
    Own,
    /// Those on everything that lies in it.
    Members,
}

/// The rules of a document. `acp:deny` and `acp:noneOf` are left out: they only narrow, and whom they leave is better over-counted.
pub fn rules(graph: &Graph, reach: Reach) -> Vec<Rule> {
    let link = if reach == Reach::Own { vocab::ACP_ACCESS_CONTROL } else { vocab::ACP_MEMBER_ACCESS_CONTROL };
    let mut out = Vec::new();
    let controls: Vec<_> = graph.triples_for_predicate(link).filter_map(|t| crate::rdf::as_node(t.object)).collect();
    for control in controls {
        for policy in nodes(graph, control, vocab::ACP_APPLY) {
            let agents = policy_agents(graph, policy);
            if !agents.is_empty() {
                out.push(Rule { agents, modes: Modes::from_iris(iris(graph, policy, vocab::ACP_ALLOW)) });
            }
        }
    }
    out
}

/// Whom a policy reaches: those of any `anyOf`, narrowed by every `allOf`. Without either nobody is reached.
fn policy_agents(graph: &Graph, policy: NamedOrBlankNodeRef<'_>) -> BTreeSet<Agent> {
    let any: Vec<_> = nodes(graph, policy, vocab::ACP_ANY_OF).into_iter().map(|m| matcher_agents(graph, m)).collect();
    let all: Vec<_> = nodes(graph, policy, vocab::ACP_ALL_OF).into_iter().map(|m| matcher_agents(graph, m)).collect();
    let mut reached = any.into_iter().reduce(|a, b| a.union(&b).cloned().collect());
    for one in all {
        reached = Some(match reached {
            None => one,
            Some(before) => meet(&before, &one),
        });
    }
    reached.unwrap_or_default()
}

/// At least those who are in both.
fn meet(a: &BTreeSet<Agent>, b: &BTreeSet<Agent>) -> BTreeSet<Agent> {
    let narrow = |set: &BTreeSet<Agent>| set.iter().all(|agent| matches!(agent, Agent::One(_)));
    match (narrow(a), narrow(b)) {
        (true, true) => a.intersection(b).cloned().collect(),
        (true, false) => a.clone(),
        _ => b.clone(),
    }
}

fn matcher_agents(graph: &Graph, matcher: NamedOrBlankNodeRef<'_>) -> BTreeSet<Agent> {
    let named = iris(graph, matcher, vocab::ACP_AGENT);
    if named.is_empty() {
        // It asks for a client, an issuer or a credential only: anybody may have those.
        return BTreeSet::from([Agent::Unknown("a matcher without an agent".into())]);
    }
    named
        .into_iter()
        .map(|id| match id {
            id if id == vocab::ACP_PUBLIC_AGENT.as_str() => Agent::Public,
            id if id == vocab::ACP_AUTHENTICATED_AGENT.as_str() => Agent::Authenticated,
            id if id == vocab::ACP_CREATOR_AGENT.as_str() || id == vocab::ACP_OWNER_AGENT.as_str() => Agent::Unknown(id.to_owned()),
            id => Agent::One(id.to_owned()),
        })
        .collect()
}

/// The document with the hub's rule for `agent` in it, in place of an older one.
pub fn with_rule(graph: Graph, document: &Url, resource: &Url, agent: &Iri, modes: Modes) -> Result<Graph, SolidError> {
    let (mut graph, _) = remove(graph, document, agent);
    let control = node(&rule_name(document, agent, ""))?;
    let policy = node(&rule_name(document, agent, "-policy"))?;
    let matcher = node(&rule_name(document, agent, "-matcher"))?;
    let target = node(resource.as_str())?;
    let found = graph.subject_for_predicate_object(vocab::ACP_RESOURCE, &target).map(NamedOrBlankNodeRef::into_owned);
    let root = if let Some(root) = found {
        root
    } else {
        let mut name = document.clone();
        name.set_fragment(Some("root"));
        let root = NamedOrBlankNode::from(node(name.as_str())?);
        graph.insert(&Triple::new(root.clone(), vocab::RDF_TYPE, vocab::ACP_ACCESS_CONTROL_RESOURCE));
        graph.insert(&Triple::new(root.clone(), vocab::ACP_RESOURCE, target));
        root
    };
    graph.insert(&Triple::new(root.clone(), vocab::ACP_ACCESS_CONTROL, control.clone()));
    if resource.path().ends_with('/') {
        graph.insert(&Triple::new(root, vocab::ACP_MEMBER_ACCESS_CONTROL, control.clone()));
    }
    graph.insert(&Triple::new(control.clone(), vocab::RDF_TYPE, vocab::ACP_ACCESS_CONTROL_TYPE));
    graph.insert(&Triple::new(control, vocab::ACP_APPLY, policy.clone()));
    graph.insert(&Triple::new(policy.clone(), vocab::RDF_TYPE, vocab::ACP_POLICY));
    for mode in modes.names() {
        graph.insert(&Triple::new(policy.clone(), vocab::ACP_ALLOW, mode));
    }
    graph.insert(&Triple::new(policy, vocab::ACP_ANY_OF, matcher.clone()));
    graph.insert(&Triple::new(matcher.clone(), vocab::RDF_TYPE, vocab::ACP_MATCHER));
    graph.insert(&Triple::new(matcher, vocab::ACP_AGENT, node(agent.as_str())?));
    Ok(graph)
}

/// The document without the hub's rules for `agent`, and how many went. Nothing in its place when no control is left in it.
pub fn without_rules(graph: Graph, document: &Url, agent: &Iri) -> (Option<Graph>, usize) {
    let (rest, gone) = remove(graph, document, agent);
    let controls = [vocab::ACP_ACCESS_CONTROL, vocab::ACP_MEMBER_ACCESS_CONTROL];
    let any = controls.into_iter().any(|link| rest.triples_for_predicate(link).next().is_some());
    (if gone > 0 && !any { None } else { Some(rest) }, gone)
}

fn remove(mut graph: Graph, document: &Url, agent: &Iri) -> (Graph, usize) {
    let names: Vec<NamedNode> = ["", "-policy", "-matcher"].iter().filter_map(|part| node(&rule_name(document, agent, part)).ok()).collect();
    let ours = |term: oxrdf::TermRef<'_>| names.iter().any(|n| term == oxrdf::TermRef::from(n));
    let gone: Vec<Triple> = graph
        .iter()
        .filter(|t| ours(oxrdf::TermRef::from(t.subject)) || ours(t.object))
        .map(oxrdf::TripleRef::into_owned)
        .collect();
    for triple in &gone {
        graph.remove(triple);
    }
    (graph, usize::from(!gone.is_empty()))
}
