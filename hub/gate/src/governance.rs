//! What the configuration says about data and parties: which data is open, who has an agreement, which other lawful bases there are.

use crate::fault;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use waybill_consent::Grant;
use waybill_model::{Iri, PartyId, Problem, ProblemCode, Scope};
use waybill_policy::Purposes;

/// Open or personal. What nobody has classified is personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// About no person: released to whoever has an agreement for open data.
    Open,
    /// About a person: released only by a grant of hers, or another lawful basis on record.
    Personal,
}

/// Classifies Attributes of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassRule {
    /// Expanded types; empty means any.
    pub types: Vec<Iri>,
    /// Expanded Attribute names; empty means any.
    pub attributes: Vec<Iri>,
    /// What they are.
    pub class: Class,
}

/// How a holder enforces a withdrawal (consent-design §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HolderClass {
    /// Another hub, whose gate closes when heartbeats stop.
    Enforcing,
    /// A broker proven to hide what has expired.
    Expiring,
    /// Any other store: not bounded but by the hub beside it.
    Plain,
}

/// The terms under which one party may be a recipient at all.
#[derive(Debug, Clone)]
pub struct Agreement {
    /// Its identifier.
    pub id: Iri,
    /// The recipient; nothing means anybody, and then only open data.
    pub recipient: Option<PartyId>,
    /// The purposes it names.
    pub purposes: Vec<Iri>,
    /// Whether open data is covered.
    pub open: bool,
    /// What kind of holder the recipient is.
    pub holder: HolderClass,
    /// The base URL of the recipient's hub, when it has one: where events and heartbeats go.
    pub hub: Option<String>,
    /// Whether the recipient may also write entities here.
    pub write: bool,
}

/// Says who entities of some types are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRule {
    /// Expanded types; empty means any.
    pub types: Vec<Iri>,
    /// How the person is found.
    pub by: BindBy,
    /// Whether, of several persons, each has to agree.
    pub all: bool,
    /// What stands as evidence in the binding: the route that says so.
    pub evidence: String,
}

/// How the person an entity is about is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindBy {
    /// An Attribute names her.
    Attribute(Iri),
    /// A path of Relationships leads to the Attribute that names her.
    Path(Vec<Iri>),
    /// The identifier has her name in it: what stands between `before` and `after` is put for the `*` in `template`.
    Id {
        /// How the identifier begins.
        before: String,
        /// How it ends.
        after: String,
        /// Her IRI, with a `*`.
        template: String,
    },
}

/// All of it, compiled once at start and on each reload.
#[derive(Debug, Clone)]
pub struct Governance {
    /// The party that operates this hub.
    pub party: PartyId,
    /// The hub's public base URL, without a trailing slash.
    pub base_url: String,
    /// How to reach its operator, e.g. a `mailto:` address; published with the hub's keys.
    pub contact: Option<String>,
    /// Classifications; the first that fits counts.
    pub classes: Vec<ClassRule>,
    /// Agreements.
    pub agreements: Vec<Agreement>,
    /// Rules by which data is bound to persons when it is written.
    pub bindings: Vec<BindRule>,
    /// Grants on other lawful bases than consent.
    pub basis: Vec<Grant>,
    /// After how many seconds without a heartbeat what a sender sent is closed.
    pub max_stale_seconds: i64,
    /// The purposes and what lies below what.
    pub purposes: Arc<Purposes>,
}

impl Governance {
    /// The governance of a hub without a file: the operator sees his own store, nobody else has an agreement.
    ///
    /// # Errors
    /// When `base_url` cannot be part of an IRI.
    pub fn bare(base_url: &str) -> Result<Self, Problem> {
        let party = Iri::new(format!("{base_url}/party"))
            .map_err(|e| Problem::new(ProblemCode("bad-base-url"), 500, "The base URL is no URL", e.to_string()))?;
        Ok(Self {
            party,
            base_url: base_url.to_owned(),
            contact: None,
            classes: Vec::new(),
            agreements: Vec::new(),
            bindings: Vec::new(),
            basis: Vec::new(),
            max_stale_seconds: 60,
            purposes: Arc::new(Purposes::bundled()),
        })
    }

    /// The class of the Attribute `name` of an entity with `types`. Open only when it is so for every one of its types: a type that
    /// somebody adds must not open what another type keeps closed.
    pub fn class_of<'a>(&self, types: impl Iterator<Item = &'a str>, name: &str) -> Class {
        let open = |ty: &str| {
            let fits = |rule: &&ClassRule| {
                (rule.types.is_empty() || rule.types.iter().any(|r| r.as_str() == ty))
                    && (rule.attributes.is_empty() || rule.attributes.iter().any(|a| a.as_str() == name))
            };
            self.classes.iter().find(fits).is_some_and(|rule| rule.class == Class::Open)
        };
        let mut types = types.peekable();
        if types.peek().is_some() && types.all(open) { Class::Open } else { Class::Personal }
    }

    /// Whether nothing would tell the receiver of a follower that data is taken back: it hears of no deletions, and has no hub that hears of
    /// events. The operator is told by the hub itself.
    pub fn is_deaf(&self, scope: &Scope, hears_deletions: bool) -> bool {
        let told = scope.is_operator() || self.agreement(scope.recipient.as_ref()).is_some_and(|a| a.hub.is_some());
        // The hub of an agreement is not where a licence delivers.
        !hears_deletions && (self.is_licensed(scope) || !told)
    }

    /// Whether `scope` is under a licence: under an agreement that this configuration does not know. One that a configuration knew and
    /// no longer does is then one that nobody negotiated, and opens nothing.
    pub fn is_licensed(&self, scope: &Scope) -> bool {
        scope.agreement.as_ref().is_some_and(|id| !fault::off("gate-licence-fallback") && !self.agreements.iter().any(|a| &a.id == id))
    }

    /// The sender of what this hub imports as `name` under an agreement with somebody who has no hub: this hub itself, by another name for each
    /// import, so that none can replace or take away what another brought.
    pub fn import_sender(&self, name: &str) -> String {
        format!("{}/imports/{name}", self.base_url)
    }

    /// Whether `sender` is such a name: its envelopes are this hub's own, and state an agreement.
    pub fn is_import(&self, sender: &str) -> bool {
        sender.strip_prefix(&self.base_url).is_some_and(|rest| rest.starts_with("/imports/"))
    }

    /// Whether every Attribute of an entity of this one type is open, whatever its name.
    pub fn is_open_throughout(&self, ty: &str) -> bool {
        let mut rules = self.classes.iter().filter(|rule| rule.types.is_empty() || rule.types.iter().any(|own| own.as_str() == ty));
        // The first rule that fits counts, so rules for single Attributes go before the one for all.
        rules.find(|rule| rule.attributes.is_empty() || rule.class == Class::Personal).is_some_and(|rule| rule.class == Class::Open)
    }

    /// The agreement of `recipient` (or, for nobody, of anybody).
    pub fn agreement(&self, recipient: Option<&PartyId>) -> Option<&Agreement> {
        recipient
            .and_then(|party| self.agreements.iter().find(|a| a.recipient.as_ref() == Some(party)))
            .or_else(|| self.agreements.iter().find(|a| a.recipient.is_none()))
    }
}
