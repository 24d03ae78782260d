//! Who calls: static tokens, OpenID Connect tokens of configured issuers, the operator on the loopback socket of a hub without a file.

mod caller;
mod dpop;
mod oidc;
mod replay;
mod resolve;
mod tokens;

pub use caller::{Caller, Credential, Registration, Role, Tenants, WebIds};
pub use dpop::{DpopError, Proof, ProofExpectation, verify_proof};
pub use oidc::{Claims, IssuerConfig, TokenError, TokenVerifier, VerifiedToken, VerifierConfig};
pub use replay::{ReplayCache, ReplayError};
pub use resolve::{ResolveToken, Resolved};
pub use tokens::StaticToken;

use crate::fault;
use crate::forwarded::{is_loopback_host, is_proxied};
use crate::problems;
use http::{HeaderMap, Method, Uri, header};
use std::net::SocketAddr;
use std::sync::Arc;
use resolve::Resolver;
use tokens::StaticTokens;
use waybill_model::{DateTime, Iri, Principal, Problem};

/// What authentication looks at of a request.
pub(crate) struct CallFacts<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) peer: SocketAddr,
    pub(crate) base_url: &'a str,
}

/// Whom the hub knows. The default knows nobody: every caller without credentials is anonymous, every credential is refused.
#[derive(Debug)]
pub struct Authenticator {
    /// Who calls without credentials, made once.
    anonymous: Caller,
    local: Caller,
    tokens: StaticTokens,
    registrations: Vec<Registration>,
    resolver: Option<Resolver>,
    verifier: Option<Arc<TokenVerifier>>,
    loopback_operator: bool,
    replay: Arc<ReplayCache>,
}

impl Default for Authenticator {
    fn default() -> Self {
        Self {
            anonymous: Caller::anonymous(),
            local: Caller::loopback_operator(),
            tokens: StaticTokens::default(),
            registrations: Vec::new(),
            resolver: None,
            verifier: None,
            loopback_operator: false,
            replay: Arc::default(),
        }
    }
}

/// What a request carries as credentials.
enum Presented<'a> {
    Nothing,
    Bearer(&'a str),
    Dpop(&'a str),
}

impl Authenticator {
    /// Knows nobody.
    pub fn closed() -> Self {
        Self::default()
    }
    /// The same, also knowing the bearer of each of `tokens`.
    #[must_use]
    pub fn with_tokens(mut self, tokens: impl IntoIterator<Item = StaticToken>) -> Self {
        self.tokens.extend(tokens);
        self
    }
    /// The same, also knowing the clients `registrations` by tokens that `verifier` finds good.
    #[must_use]
    pub fn with_issuers(mut self, verifier: Arc<TokenVerifier>, registrations: Vec<Registration>) -> Self {
        self.verifier = Some(verifier);
        self.registrations = registrations;
        self
    }
    /// The same, asking `resolver` about each bearer token that is no static one, before the issuers are. There is one resolver: the last counts.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn ResolveToken>) -> Self {
        self.resolver = Some(Resolver(resolver));
        self
    }
    /// The same, taking a caller without credentials on the loopback socket as the operator. Only for a hub without a file that
    /// listens on loopback: a request that came through a proxy, or that a browser sent for a page of another site, is not taken so.
    #[must_use]
    pub fn with_loopback_operator(mut self) -> Self {
        self.loopback_operator = true;
        self
    }

    /// The same, remembering the proofs that `other` has seen: a new configuration must not make an old proof good again. Whoever resolves
    /// tokens is no part of a configuration, and stays unless another is named.
    pub(crate) fn remembering(mut self, other: &Self) -> Self {
        self.replay = other.replay.clone();
        self.resolver = self.resolver.or_else(|| other.resolver.clone());
        self
    }

    /// The caller of a request.
    ///
    /// # Errors
    /// 401 when credentials were given and are not good; 403 when they are good and their client is not registered for what it asks;
    /// 503 when the issuer's keys cannot be had.
    pub(crate) async fn authenticate(&self, facts: &CallFacts<'_>, now: DateTime) -> Result<Caller, Problem> {
        match presented(facts.headers)? {
            Presented::Nothing if self.loopback_operator && is_local(facts) => Ok(self.local.clone()),
            Presented::Nothing => Ok(self.anonymous.clone()),
            Presented::Bearer(token) => {
                if let Some(caller) = self.tokens.find(token) {
                    return Ok(caller);
                }
                if let Some(resolver) = &self.resolver
                    && let Some(known) = resolver.caller(token).await
                {
                    return known;
                }
                self.by_issuer(token, None, facts, now).await
            }
            Presented::Dpop(token) => {
                let mut proofs = facts.headers.get_all("dpop").iter();
                let (Some(proof), None) = (proofs.next(), proofs.next()) else {
                    return Err(invalid_proof("exactly one DPoP header is needed"));
                };
                let proof = proof.to_str().map_err(|_| invalid_proof("the DPoP header is not text"))?;
                self.by_issuer(token, Some(proof), facts, now).await
            }
        }
    }

    async fn by_issuer(&self, token: &str, proof: Option<&str>, facts: &CallFacts<'_>, now: DateTime) -> Result<Caller, Problem> {
        let Some(verifier) = &self.verifier else {
            return Err(problems::invalid_token("this token is not known here"));
        };
        let verified = verifier.verify(token, now).await.map_err(|e| e.to_problem())?;
        match (proof, &verified.claims.key_thumbprint) {
            (None, None) => {}
            // RFC 9449 7.1: a bound token must come with a proof by its key.
            (None, Some(_)) => return Err(problems::invalid_token("this token is bound to a key and needs a DPoP proof")),
            (Some(_), None) => return Err(problems::invalid_token("this token is not bound to a key, so it cannot be presented by DPoP")),
            (Some(proof), Some(bound)) => {
                let url = format!("{}{}", facts.base_url, facts.target.path());
                let expected =
                    ProofExpectation { method: facts.method.as_str(), url: &url, access_token: Some(token), key_thumbprint: Some(bound) };
                verify_proof(proof, &expected, now, &self.replay).map_err(|e| invalid_proof(&e.to_string()))?;
            }
        }
        self.registered(&verified, proof.is_some())
    }

    fn registered(&self, token: &VerifiedToken, bound: bool) -> Result<Caller, Problem> {
        let claims = &token.claims;
        let known = self.registrations.iter().find(|r| {
            r.issuer.trim_end_matches('/') == token.issuer.trim_end_matches('/') && claims.client.as_deref() == Some(r.client.as_str())
        });
        let Some(registration) = known else {
            return Err(Problem::new(
                problems::NOT_REGISTERED,
                403,
                "This client is not registered here",
                "the token is good, but no registration names its issuer and client",
            )
            .help("ask the operator of this hub to register the client with its party and purposes"));
        };
        let principal = match &registration.role {
            Role::Operator => Principal::Operator(Arc::from(registration.client.as_str())),
            Role::Party(party) => Principal::Client { client: Arc::from(registration.client.as_str()), party: party.clone() },
            Role::Person(webids) => Principal::DataSubject(
                webids
                    .person(&token.issuer, claims)
                    .ok_or_else(|| problems::invalid_token("the token names no person this issuer may speak for"))?,
            ),
        };
        let purpose = one_purpose(registration, claims)?;
        Ok(Caller {
            principal,
            party: registration.role.party().cloned(),
            purpose,
            purposes: registration.purposes.clone(),
            tenants: registration.tenants.clone(),
            agreement: registration.agreement.clone(),
            credential: if bound { Credential::Dpop } else { Credential::Oidc },
        })
    }
}

/// The one purpose of a token: what it asks for when that is registered, else the only one that is registered.
fn one_purpose(registration: &Registration, claims: &Claims) -> Result<Option<Iri>, Problem> {
    let refuse = |detail: &str| Problem::new(problems::PURPOSE_NOT_REGISTERED, 403, "This purpose is not registered", detail);
    match claims.purposes.as_slice() {
        [] => Ok(registration.only_purpose()),
        [asked] => match registration.purposes.iter().find(|p| p.as_str() == asked) {
            Some(purpose) => Ok(Some(purpose.clone())),
            None if fault::off("http-purpose-registered") => Ok(Iri::new(asked).ok()),
            None => Err(refuse("the token asks for a purpose that its client is not registered for")),
        },
        _ => Err(refuse("a token may ask for one purpose only")),
    }
}

fn presented(headers: &HeaderMap) -> Result<Presented<'_>, Problem> {
    let text = |value: &'_ http::HeaderValue| value.to_str().is_ok();
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    // Clients of the Eclipse EDC's management interface say `X-Api-Key`.
    let mut others = headers.get_all("x-auth-token").iter().chain(headers.get_all("x-api-key"));
    let (authorization, other) = (authorizations.next(), others.next());
    if authorizations.next().is_some() || others.next().is_some() || (authorization.is_some() && other.is_some()) {
        return Err(problems::invalid_token("more than one credential was given"));
    }
    let Some(value) = authorization.or(other) else { return Ok(Presented::Nothing) };
    if !text(value) {
        return Err(problems::invalid_token("the credential is not text"));
    }
    let value = value.to_str().unwrap_or_default().trim();
    let found = if other.is_some() {
        Presented::Bearer(value)
    } else {
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let token = token.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            Presented::Bearer(token)
        } else if scheme.eq_ignore_ascii_case("dpop") {
            Presented::Dpop(token)
        } else if token.is_empty() && scheme.matches('.').count() == 2 {
            // Connectors of a dataspace hand tokens on as they were given them: without a scheme.
            Presented::Bearer(scheme)
        } else {
            return Err(problems::invalid_token("only the schemes Bearer and DPoP are taken"));
        }
    };
    match found {
        Presented::Bearer("") | Presented::Dpop("") => Err(problems::invalid_token("the credential is empty")),
        found => Ok(found),
    }
}

/// Whether a program on this machine itself is calling. The socket alone does not tell: a proxy here forwards strangers, and a page
/// of any site can make the browser of whoever sits here send requests to loopback, also by a name of its own that resolves there.
fn is_local(facts: &CallFacts<'_>) -> bool {
    let headers = facts.headers;
    let written = facts.target.authority().map(http::uri::Authority::as_str);
    let host = written.or_else(|| headers.get(header::HOST).and_then(|v| v.to_str().ok()));
    let any_site = fault::off("http-loopback-origin");
    let same_site = |value: &http::HeaderValue| {
        let origin = value.to_str().ok().and_then(|text| text.split_once("://"));
        origin.is_some_and(|(_, host)| is_loopback_host(host))
    };
    facts.peer.ip().to_canonical().is_loopback()
        && !is_proxied(headers)
        && host.is_some_and(is_loopback_host)
        && (any_site || headers.get_all(header::ORIGIN).iter().all(same_site))
        && headers.get("sec-fetch-site").is_none_or(|v| v == "same-origin" || v == "none")
}

fn invalid_proof(detail: &str) -> Problem {
    Problem::new(problems::INVALID_PROOF, 401, "The DPoP proof is not good", detail)
}
