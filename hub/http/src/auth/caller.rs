//! What is known of a caller, and the registrations it comes from.

use super::oidc::Claims;
use crate::fault;
use std::sync::Arc;
use waybill_model::{Iri, PartyId, Principal, Scope, TenantId};

/// How a caller showed who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Not at all.
    None,
    /// By being on this machine.
    Loopback,
    /// By a static token.
    Static,
    /// By a token of an issuer.
    Oidc,
    /// By a token of an issuer bound to a key, and a proof by that key.
    Dpop,
}

/// The tenants a caller may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// All of them.
    All,
    /// These.
    Only(Arc<[TenantId]>),
}

impl Tenants {
    /// The default tenant alone.
    pub fn main_only() -> Self {
        Self::Only(Arc::from([TenantId::main()]))
    }
    /// Whether `tenant` may be named.
    pub fn has(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::Only(tenants) => tenants.contains(tenant),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub principal: Principal,
    /// The party it acts for.
    pub party: Option<PartyId>,
    /// The one purpose of this call, from the verified registration.
    pub purpose: Option<Iri>,
    /// The purposes the client is registered for; a subscription names one of them.
    pub purposes: Arc<[Iri]>,
    /// The tenants it may name.
    pub tenants: Tenants,
    /// The agreement its registration names.
    pub agreement: Option<Iri>,
    /// How it showed who it is.
    pub credential: Credential,
}

impl Caller {
    /// Somebody who showed nothing. It may name any tenant, and sees there only what is open.
    pub fn anonymous() -> Self {
        Self {
            principal: Principal::Anonymous,
            party: None,
            purpose: None,
            purposes: Arc::from([]),
            tenants: Tenants::All,
            agreement: None,
            credential: Credential::None,
        }
    }
    /// The operator of a hub without a file, on its loopback socket.
    pub fn loopback_operator() -> Self {
        Self { principal: Principal::Operator(Arc::from("loopback")), credential: Credential::Loopback, ..Self::anonymous() }
    }
    /// Whether the operator calls.
    pub fn is_operator(&self) -> bool {
        matches!(self.principal, Principal::Operator(_))
    }
    /// Whether anybody was recognised.
    pub fn is_known(&self) -> bool {
        self.principal != Principal::Anonymous
    }
    /// The person who is signed in, when one is.
    pub fn person(&self) -> Option<&Iri> {
        match &self.principal {
            Principal::DataSubject(person) => Some(person),
            _ => None,
        }
    }
    /// The scope of a call of this caller in `tenant`; nothing when it may not name that tenant.
    pub fn scope(&self, tenant: TenantId) -> Option<Scope> {
        self.tenants.has(&tenant).then(|| Scope {
            tenant,
            principal: self.principal.clone(),
            recipient: self.party.clone(),
            purpose: self.purpose.clone(),
            agreement: self.agreement.clone(),
        })
    }
}

/// The WebIDs an issuer may speak for. An issuer that is asked about a WebID under none of these is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebIds {
    /// Those that begin with one of these texts, from the claim `webid`. Each should end with `/`, `#` or `=`.
    Under(Vec<String>),
    /// Persons without a WebID: the issuer, `#`, and the claim `sub`.
    BySubject,
}

impl WebIds {
    pub(super) fn person(&self, issuer: &str, claims: &Claims) -> Option<Iri> {
        match self {
            Self::Under(prefixes) => {
                let webid = claims.webid.as_deref()?;
                let vouched = fault::off("http-webid-issuer") || prefixes.iter().any(|p| !p.is_empty() && webid.starts_with(p.as_str()));
                // A path that climbs out of the prefix is another's WebID.
                let plain = !webid.contains("/../") && !webid.contains("/./") && !webid.contains('%');
                (vouched && plain).then(|| Iri::new(webid).ok()).flatten()
            }
            Self::BySubject => {
                let sub = claims.subject.as_deref().filter(|s| !s.is_empty())?;
                Iri::new(format!("{}#{}", issuer.trim_end_matches('/'), crate::query::encode_component(sub))).ok()
            }
        }
    }
}

/// What a registered client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A party's client.
    Party(PartyId),
    /// The operator's.
    Operator,
    /// A client in which persons sign in: the caller is the person the token names.
    Person(WebIds),
}

impl Role {
    pub(super) fn party(&self) -> Option<&PartyId> {
        match self {
            Self::Party(party) => Some(party),
            Self::Operator | Self::Person(_) => None,
        }
    }
}

/// A client as the operator registered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The issuer of its tokens; a slash at the end does not matter. Empty for a static token.
    pub issuer: String,
    /// Its identifier at that issuer.
    pub client: String,
    /// What it is.
    pub role: Role,
    /// The purposes it may ask for.
    pub purposes: Arc<[Iri]>,
    /// The tenants it may name.
    pub tenants: Tenants,
    /// The agreement its calls are under.
    pub agreement: Option<Iri>,
}

impl Registration {
    /// A client without purposes in the default tenant.
    pub fn new(issuer: impl Into<String>, client: impl Into<String>, role: Role) -> Self {
        Self { issuer: issuer.into(), client: client.into(), role, purposes: Arc::from([]), tenants: Tenants::main_only(), agreement: None }
    }
    /// The same with `purposes`.
    #[must_use]
    pub fn purposes(mut self, purposes: impl IntoIterator<Item = Iri>) -> Self {
        self.purposes = purposes.into_iter().collect();
        self
    }
    /// The same with `tenants`.
    #[must_use]
    pub fn tenants(mut self, tenants: Tenants) -> Self {
        self.tenants = tenants;
        self
    }
    pub(super) fn only_purpose(&self) -> Option<Iri> {
        match &*self.purposes {
            [only] => Some(only.clone()),
            _ => None,
        }
    }
}
