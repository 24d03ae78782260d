//! Who may do what with a resource: read as evidence, and written for what was granted.
//!
//! Two dialects: WAC (`.acl`, the nearest one counts) and ACP (`.acr`, those of all ancestors add up). Reading the rules needs Control,
//! so evidence from rules exists only where she gave it; elsewhere a grant counts if it is signed.

pub mod acp;
pub mod wac;

use crate::client::link::parent;
use crate::client::pod::SolidPod;
use crate::client::resource::{Body, If};
use crate::encode::PLAIN_TYPE;
use crate::error::SolidError;
use crate::fault;
use crate::rdf::{parse_turtle, write_turtle};
use oxrdf::Graph;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use url::Url;
use waybill_model::{DateTime, Iri};

/// Which language the access rules of a server are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Web Access Control.
    Wac,
    /// Access Control Policy.
    Acp,
}

/// Whom a rule reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agent {
    /// One agent, by WebID.
    One(String),
    /// Anybody.
    Public,
    /// Anybody who is signed in.
    Authenticated,
    /// The members of a group that the hub does not resolve.
    Group(String),
    /// Whoever fulfils a condition that the hub does not know.
    Unknown(String),
}

/// What a rule allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// Reading.
    pub read: bool,
    /// Adding, without changing what is there.
    pub append: bool,
    /// Changing and removing; includes adding.
    pub write: bool,
    /// Reading and changing the rules themselves.
    pub control: bool,
}

impl Modes {
    /// Reading only.
    pub const READ: Self = Self { read: true, append: false, write: false, control: false };
    /// Adding only.
    pub const APPEND: Self = Self { read: false, append: true, write: false, control: false };
    /// Reading, changing and control.
    pub const ALL: Self = Self { read: true, append: true, write: true, control: true };

    /// Whether the content, or who may change it, can be changed with these.
    pub fn can_change(self) -> bool {
        self.append || self.write || self.control
    }

    fn names(self) -> impl Iterator<Item = oxrdf::NamedNodeRef<'static>> {
        use crate::vocab::{ACL_APPEND, ACL_CONTROL, ACL_READ, ACL_WRITE};
        // Write says that adding is included.
        let list = [(self.read, ACL_READ), (self.append && !self.write, ACL_APPEND), (self.write, ACL_WRITE), (self.control, ACL_CONTROL)];
        list.into_iter().filter_map(|(set, name)| set.then_some(name))
    }

    fn from_iris<'a>(iris: impl IntoIterator<Item = &'a str>) -> Self {
        use crate::vocab::{ACL_APPEND, ACL_CONTROL, ACL_READ, ACL_WRITE};
        let mut modes = Self::default();
        for iri in iris {
            modes.read |= iri == ACL_READ.as_str();
            modes.append |= iri == ACL_APPEND.as_str() || iri == ACL_WRITE.as_str();
            modes.write |= iri == ACL_WRITE.as_str();
            modes.control |= iri == ACL_CONTROL.as_str();
        }
        modes
    }
}

/// One rule: these agents may do this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whom it reaches.
    pub agents: BTreeSet<Agent>,
    /// What it allows.
    pub modes: Modes,
}

/// A document of access rules as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesDocument {
    /// Its address.
    pub url: String,
    /// Its entity tag; nothing when there is no such document.
    pub etag: Option<String>,
    /// Its text; nothing when there is no such document.
    pub text: Option<String>,
}

/// What the access rules of a resource and of the container it lies in said at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessSnapshot {
    /// The dialect.
    pub dialect: Dialect,
    /// When it was taken, by the hub's clock.
    pub taken_at: DateTime,
    /// All documents that were looked at.
    pub documents: Vec<RulesDocument>,
    /// Everybody who could write or replace the resource, put one there, or change the rules.
    pub writers: BTreeSet<Agent>,
    /// Rules documents that count and that the hub may not read. While there are any, nothing is proven.
    pub unseen: Vec<String>,
}

impl AccessSnapshot {
    /// Whether only `her` could write the resource. The hub itself (`hub`) is left aside: that it could is its own statement to keep
    /// and no one else's.
    pub fn only(&self, her: &str, hub: &str) -> bool {
        // Rules that do not even name her are not those of her pod.
        let names_her = self.writers.contains(&Agent::One(her.to_owned()));
        let seen_whole = self.unseen.is_empty() && names_her;
        (seen_whole || fault::off("solid-evidence-unseen")) && self.others(her, hub).is_empty()
    }

    /// The writers besides her and the hub.
    pub fn others(&self, her: &str, hub: &str) -> Vec<Agent> {
        self.writers.iter().filter(|agent| !matches!(agent, Agent::One(id) if id == her || id == hub)).cloned().collect()
    }
}

/// What a removal of access did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// How many rules of the hub went.
    pub rules: usize,
    /// Whether the agent still reaches the resource by a rule that somebody else wrote; nothing when the rules cannot be read.
    pub still_reachable: Option<bool>,
}

struct Found {
    url: Url,
    dialect: Dialect,
    etag: Option<String>,
    graph: Option<Graph>,
    text: Option<String>,
    forbidden: bool,
}

impl SolidPod {
    /// Finds the rules document of `resource` and reads it when the hub may.
    async fn rules(&self, resource: &Url) -> Result<Found, SolidError> {
        let (url, said) = match self.rules_address(resource).await {
            // Who may not even ask where the rules are, sees none: the resource stands for them.
            Err(SolidError::Forbidden) => {
                return Ok(Found { url: resource.clone(), dialect: Dialect::Wac, etag: None, graph: None, text: None, forbidden: true });
            }
            other => other?,
        };
        let answer = self.get(&url, PLAIN_TYPE, None).await;
        // A server with ACP says so on the rules' own link (`acp#AccessControlResource`); where it does not, the usual ending does.
        let ending = url.path().rsplit_once('.').map(|(_, ending)| ending);
        let dialect = said.unwrap_or(if ending == Some("acr") { Dialect::Acp } else { Dialect::Wac });
        match answer {
            Ok(Some(found)) => {
                let graph = parse_turtle(&found.body, url.as_str(), "access rules")?;
                let text = String::from_utf8_lossy(&found.body).into_owned();
                Ok(Found { url, dialect, etag: found.etag, graph: Some(graph), text: Some(text), forbidden: false })
            }
            Ok(None) | Err(SolidError::NotFound) => Ok(Found { url, dialect, etag: None, graph: None, text: None, forbidden: false }),
            Err(SolidError::Forbidden) => Ok(Found { url, dialect, etag: None, graph: None, text: None, forbidden: true }),
            Err(error) => Err(error),
        }
    }

    /// Who could write `resource`: its own rules and those of its container, as far as the hub may read them.
    pub async fn access_snapshot(&self, resource: &Url) -> Result<AccessSnapshot, SolidError> {
        let own = self.rules(resource).await?;
        let mut snapshot = AccessSnapshot {
            dialect: own.dialect,
            taken_at: self.clock().now(),
            documents: Vec::new(),
            writers: BTreeSet::new(),
            unseen: Vec::new(),
        };
        match own.dialect {
            Dialect::Wac => {
                self.add_wac(&mut snapshot, resource, Some(own)).await?;
                // Who may add to or empty the container could have put the document there.
                if let Some(container) = parent(resource).filter(|_| !fault::off("solid-evidence-container")) {
                    self.add_wac(&mut snapshot, &container, None).await?;
                }
            }
            Dialect::Acp => self.add_acp(&mut snapshot, resource, own).await?,
        }
        Ok(snapshot)
    }

    async fn add_wac(&self, snapshot: &mut AccessSnapshot, resource: &Url, own: Option<Found>) -> Result<(), SolidError> {
        let mut at = resource.clone();
        let mut next = own;
        loop {
            let found = match next.take() {
                Some(found) => found,
                None => self.rules(&at).await?,
            };
            note(snapshot, &found);
            if found.forbidden {
                return Ok(());
            }
            if let Some(graph) = &found.graph {
                let rules = wac::rules(graph, at.as_str(), at != *resource);
                collect(snapshot, &rules);
                return Ok(());
            }
            let Some(above) = parent(&at).filter(|_| at != *self.storage()) else {
                // The root of a storage must have rules. Where it shows none, nothing is known.
                snapshot.unseen.push(found.url.into());
                return Ok(());
            };
            at = above;
        }
    }

    async fn add_acp(&self, snapshot: &mut AccessSnapshot, resource: &Url, own: Found) -> Result<(), SolidError> {
        let container = parent(resource);
        let mut at = resource.clone();
        let mut next = Some(own);
        loop {
            let found = match next.take() {
                Some(found) => found,
                None => self.rules(&at).await?,
            };
            note(snapshot, &found);
            if let Some(graph) = &found.graph {
                if at == *resource || Some(&at) == container.as_ref() {
                    // Rules on the container itself count too: who may add to it could have put the document there.
                    collect(snapshot, &acp::rules(graph, acp::Reach::Own));
                }
                if at != *resource {
                    collect(snapshot, &acp::rules(graph, acp::Reach::Members));
                }
            }
            // Above the root of her storage is the operator of the server, who is trusted with the whole of it.
            let Some(above) = parent(&at).filter(|_| at != *self.storage()) else {
                return Ok(());
            };
            at = above;
        }
    }

    /// Gives `agent` the modes on `resource` (and on what lies in it, when it is a container). Needs Control; where the resource has no
    /// rules of its own yet, a server may also want Append on its container (Community Solid Server does). Safe to repeat.
    pub async fn give_access(&self, resource: &Url, agent: &Iri, modes: Modes) -> Result<(), SolidError> {
        for _ in 0..3 {
            let found = self.rules(resource).await?;
            if found.forbidden {
                return Err(SolidError::Forbidden);
            }
            let graph = match (found.dialect, &found.graph) {
                (Dialect::Acp, graph) => acp::with_rule(graph.clone().unwrap_or_default(), &found.url, resource, agent, modes)?,
                (Dialect::Wac, Some(graph)) => wac::with_rule(graph.clone(), &found.url, resource, agent, modes)?,
                (Dialect::Wac, None) => {
                    let copied = self.inherited_wac(resource, &found.url).await?;
                    wac::with_rule(copied, &found.url, resource, agent, modes)?
                }
            };
            match self.put_rules(&found, &graph).await {
                Err(SolidError::Conflict) => {}
                other => return other,
            }
        }
        Err(SolidError::Conflict)
    }

    /// Takes back what [`Self::give_access`] gave. Rules that somebody else wrote stay as they are. Safe to repeat.
    pub async fn take_access(&self, resource: &Url, agent: &Iri) -> Result<Removed, SolidError> {
        for _ in 0..3 {
            let found = self.rules(resource).await?;
            if found.forbidden {
                return Err(SolidError::Forbidden);
            }
            let Some(graph) = &found.graph else {
                return Ok(Removed { rules: 0, still_reachable: self.reaches(resource, agent).await? });
            };
            let (rest, rules) = match found.dialect {
                Dialect::Wac => wac::without_rules(graph.clone(), &found.url, agent),
                Dialect::Acp => acp::without_rules(graph.clone(), &found.url, agent),
            };
            let written = match rest {
                _ if rules == 0 => Ok(()),
                Some(rest) => self.put_rules(&found, &rest).await,
                None => self.delete(&found.url, If::from_etag(found.etag.as_deref())).await,
            };
            match written {
                Err(SolidError::Conflict) => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(Removed { rules, still_reachable: self.reaches(resource, agent).await? }),
            }
        }
        Err(SolidError::Conflict)
    }

    async fn put_rules(&self, found: &Found, graph: &Graph) -> Result<(), SolidError> {
        let condition = if found.graph.is_some() { If::from_etag(found.etag.as_deref()) } else { If::Absent };
        self.put(&found.url, Body::turtle(write_turtle(graph)), condition).await.map(|_| ())
    }

    /// The rules that `resource` inherits under WAC, as rules of its own.
    async fn inherited_wac(&self, resource: &Url, own: &Url) -> Result<Graph, SolidError> {
        let mut at = resource.clone();
        while let Some(above) = parent(&at).filter(|_| at != *self.storage()) {
            at = above;
            let found = self.rules(&at).await?;
            if found.forbidden {
                return Err(SolidError::Forbidden);
            }
            if let Some(graph) = &found.graph {
                return wac::copy_inherited(graph, &found.url, &at, own, resource);
            }
        }
        Err(SolidError::Unsupported("access rules at the root of this storage"))
    }

    /// Whether any rule the hub can see lets `agent` at `resource`.
    async fn reaches(&self, resource: &Url, agent: &Iri) -> Result<Option<bool>, SolidError> {
        let mut at = resource.clone();
        let mut complete = true;
        loop {
            let found = self.rules(&at).await?;
            complete &= !found.forbidden;
            if let Some(graph) = &found.graph {
                let rules = match found.dialect {
                    Dialect::Wac => wac::rules(graph, at.as_str(), at != *resource),
                    Dialect::Acp => acp::rules(graph, if at == *resource { acp::Reach::Own } else { acp::Reach::Members }),
                };
                let open = |a: &Agent| !matches!(a, Agent::One(id) if id != agent.as_str());
                if rules.iter().any(|rule| rule.modes != Modes::default() && rule.agents.iter().any(open)) {
                    return Ok(Some(true));
                }
                if found.dialect == Dialect::Wac {
                    return Ok(complete.then_some(false));
                }
            }
            match parent(&at).filter(|_| at != *self.storage()) {
                Some(above) => at = above,
                None => return Ok(complete.then_some(false)),
            }
        }
    }
}

fn note(snapshot: &mut AccessSnapshot, found: &Found) {
    if snapshot.documents.iter().any(|d| d.url == found.url.as_str()) {
        return;
    }
    if found.forbidden {
        snapshot.unseen.push(found.url.to_string());
    }
    snapshot.documents.push(RulesDocument { url: found.url.to_string(), etag: found.etag.clone(), text: found.text.clone() });
}

fn collect(snapshot: &mut AccessSnapshot, rules: &[Rule]) {
    for rule in rules.iter().filter(|rule| rule.modes.can_change()) {
        snapshot.writers.extend(rule.agents.iter().cloned());
    }
}

/// The fragment that marks a rule of the hub for `agent`.
fn rule_name(document: &Url, agent: &Iri, part: &str) -> String {
    let digest = waybill_keys::sha256(agent.as_str().as_bytes());
    let short = waybill_keys::hex(&digest[..8]);
    let mut url = document.clone();
    url.set_fragment(Some(&format!("waybill-{short}{part}")));
    url.into()
}

/// Whether `iri` names a rule that a hub wrote into `document`.
fn is_ours(document: &Url, iri: &str) -> bool {
    iri.strip_prefix(document.as_str()).is_some_and(|rest| rest.starts_with("#waybill-"))
}
