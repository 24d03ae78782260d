//! Web Access Control: who may do what, by the `.acl` documents.

use super::rdf;
use super::storage::{Storage, parent};
use std::collections::BTreeSet;

const ACL: &str = "http://www.w3.org/ns/auth/acl#";
const EVERYBODY: &str = "http://xmlns.com/foaf/0.1/Agent";
const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Read,
    Append,
    Write,
    Control,
}

/// The modes `agent` has on `path`.
pub(super) fn modes(storage: &Storage, base: &str, path: &str, agent: Option<&str>) -> BTreeSet<Mode> {
    let own = format!("{path}.acl");
    if let Some(acl) = storage.get(&own) {
        return granted(&acl.body, base, &own, "accessTo", path, agent);
    }
    let mut at = parent(path);
    while let Some(container) = at {
        let file = format!("{container}.acl");
        if let Some(acl) = storage.get(&file) {
            return granted(&acl.body, base, &file, "default", container, agent);
        }
        at = parent(container);
    }
    BTreeSet::new()
}

fn granted(text: &[u8], base: &str, file: &str, relation: &str, subject: &str, agent: Option<&str>) -> BTreeSet<Mode> {
    // A document that cannot be read grants nothing.
    let Ok(graph) = rdf::parse(text, &url(base, file)) else { return BTreeSet::new() };
    let subject = url(base, subject);
    let mut modes = BTreeSet::new();
    let rules: BTreeSet<String> = graph
        .iter()
        .filter(|t| t.predicate.as_str() == RDF_TYPE && t.object.to_string() == format!("<{ACL}Authorization>"))
        .map(|t| t.subject.to_string().trim_matches(['<', '>']).to_owned())
        .collect();
    for rule in rules {
        let all = |name: &str| rdf::objects(&graph, &rule, &format!("{ACL}{name}"));
        let classes = all("agentClass");
        let named = agent.is_some_and(|a| all("agent").iter().any(|n| n == a) || classes.contains(&format!("{ACL}AuthenticatedAgent")));
        if !(named || classes.iter().any(|c| c == EVERYBODY)) || !all(relation).contains(&subject) {
            continue;
        }
        for mode in all("mode") {
            match mode.strip_prefix(ACL) {
                Some("Read") => modes.insert(Mode::Read),
                Some("Append") => modes.insert(Mode::Append),
                // Who may write may also append.
                Some("Write") => modes.insert(Mode::Write) | modes.insert(Mode::Append),
                Some("Control") => modes.insert(Mode::Control),
                _ => false,
            };
        }
    }
    modes
}

/// The address of a path on a server whose base ends in `/`.
pub(super) fn url(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// The access rules of a pod's root: its owner everything, nobody else anything.
pub(super) fn owner_rules(owner: &str) -> String {
    format!(
        "@prefix acl: <{ACL}> .\n<#owner> a acl:Authorization ; acl:agent <{owner}> ; acl:accessTo <./> ; acl:default <./> ;\n    \
         acl:mode acl:Read, acl:Write, acl:Control .\n"
    )
}

/// The access rules of a resource that all may read.
pub(super) fn public_rules(owner: &str, resource: &str) -> String {
    format!(
        "@prefix acl: <{ACL}> .\n<#owner> a acl:Authorization ; acl:agent <{owner}> ; acl:accessTo <{resource}> ; \
         acl:mode acl:Read, acl:Write, acl:Control .\n<#all> a acl:Authorization ; acl:agentClass <{EVERYBODY}> ; \
         acl:accessTo <{resource}> ; acl:mode acl:Read .\n"
    )
}
