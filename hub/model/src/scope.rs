//! Who asks, for whom, for what, under which agreement; and the path kind of scope an Entity has.

use crate::Iri;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The tenant whose data is meant. The empty text is the default tenant. It leads every key in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// The default tenant.
    pub fn main() -> Self {
        Self(Arc::from(""))
    }
    /// The tenant `name`: at most 64 characters of letters, digits, `_`, `-` and `.`, or empty for the default.
    pub fn new(name: &str) -> Option<Self> {
        let good = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        good.then(|| Self(Arc::from(name)))
    }
    /// The name; empty for the default tenant.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A party: a city, a company, a person in a role. An IRI, as it stands in policies and agreements.
pub type PartyId = Iri;

/// Who is calling, as authentication found it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Nobody was authenticated.
    Anonymous,
    /// The operator of this hub (command line, administration, or the loopback caller of a hub without a file).
    Operator(Arc<str>),
    /// A registered client acting for a party.
    Client {
        /// The client's identifier at its issuer.
        client: Arc<str>,
        /// The party it acts for.
        party: PartyId,
    },
    /// The person herself, signed in.
    DataSubject(Iri),
    /// The hub itself, on its own behalf: a delivery, a timer.
    Hub,
}

/// What every call carries. There is no default: the caller must say all of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Whose store.
    pub tenant: TenantId,
    /// Who calls.
    pub principal: Principal,
    /// The party that receives the result; nothing when nobody was recognised.
    pub recipient: Option<PartyId>,
    /// The purpose, from the verified registration of the client; never from a free header.
    pub purpose: Option<Iri>,
    /// The agreement under which the call is made.
    pub agreement: Option<Iri>,
}

impl Scope {
    /// The scope of an unrecognised caller in `tenant`.
    pub fn anonymous(tenant: TenantId) -> Self {
        Self { tenant, principal: Principal::Anonymous, recipient: None, purpose: None, agreement: None }
    }
    /// Whether the operator of this hub is calling.
    pub fn is_operator(&self) -> bool {
        matches!(self.principal, Principal::Operator(_))
    }
}

/// A Scope of an Entity (clause 4.18): `/level/level`, always with the leading slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ScopePath(Arc<str>);

impl ScopePath {
    /// Reads a scope; the leading slash may be missing on input. Each level is a letter followed by letters, digits or `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.strip_prefix('/').unwrap_or(text);
        let level = |part: &str| {
            let mut chars = part.chars();
            chars.next().is_some_and(char::is_alphabetic) && chars.all(|c| c.is_alphanumeric() || c == '_')
        };
        (!body.is_empty() && body.split('/').all(level)).then(|| Self(Arc::from(format!("/{body}"))))
    }
    /// The path, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl<'de> Deserialize<'de> for ScopePath {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a scope such as /Madrid/Gardens")))
    }
}
