//! Static tokens, kept as digests and compared in constant time.

use super::caller::{Caller, Credential, Registration, Role};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use waybill_model::{Iri, Principal};

/// A static token and whose it is. Only the digest of the token is kept.
#[derive(Debug, Clone)]
pub struct StaticToken {
    digest: [u8; 32],
    /// Nothing for a registration that names nobody: its token is good for nothing.
    caller: Option<Caller>,
}

impl StaticToken {
    /// The token `secret` of the client `registration` describes (its issuer does not matter).
    pub fn new(secret: &str, registration: Registration) -> Self {
        Self::from_digest(Sha256::digest(secret.as_bytes()).into(), registration)
    }
    /// A token known only by its SHA-256.
    pub fn from_digest(digest: [u8; 32], registration: Registration) -> Self {
        Self { digest, caller: caller(&registration, None) }
    }
    /// The token `secret` of the operator `name`, in all tenants.
    pub fn operator(secret: &str, name: &str) -> Self {
        Self::new(secret, Registration::new("", name, Role::Operator).tenants(super::Tenants::All))
    }
    /// The token `secret` of a person, for hubs that give out such tokens themselves (a demo, a clerk's desk).
    pub fn person(secret: &str, person: Iri) -> Self {
        let registration = Registration::new("", "person", Role::Person(super::WebIds::BySubject));
        Self { digest: Sha256::digest(secret.as_bytes()).into(), caller: caller(&registration, Some(person)) }
    }
}

fn caller(registration: &Registration, person: Option<Iri>) -> Option<Caller> {
    let client: Arc<str> = Arc::from(registration.client.as_str());
    let principal = match (&registration.role, person) {
        (Role::Operator, _) => Principal::Operator(client),
        (Role::Party(party), _) => Principal::Client { client, party: party.clone() },
        (Role::Person(_), Some(person)) => Principal::DataSubject(person),
        (Role::Person(_), None) => return None,
    };
    Some(Caller {
        principal,
        party: registration.role.party().cloned(),
        purpose: registration.only_purpose(),
        purposes: registration.purposes.clone(),
        tenants: registration.tenants.clone(),
        agreement: registration.agreement.clone(),
        credential: Credential::Static,
    })
}

#[derive(Debug, Default)]
pub(super) struct StaticTokens(Vec<StaticToken>);

impl StaticTokens {
    pub(super) fn extend(&mut self, tokens: impl IntoIterator<Item = StaticToken>) {
        self.0.extend(tokens);
    }
    /// The caller whose token `presented` is. Looks at every token to its end, whichever matches.
    pub(super) fn find(&self, presented: &str) -> Option<Caller> {
        let digest: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        let mut found = None;
        for token in &self.0 {
            if same(&token.digest, &digest) {
                found = Some(token);
            }
        }
        found.and_then(|token| token.caller.clone())
    }
}

/// Whether two digests are the same, in a time that does not depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y));
    std::hint::black_box(differing) == 0
}
