//! What a hub publishes of its keys (`did:web`), and reading what another publishes.

use crate::key::names;
use crate::{KeyLookup, PublicKey};
use serde_json::{Value, json};

/// The `did:web` of a host, port and path: `example.org:8443` gives `did:web:example.org%3A8443`.
pub fn did_web(host: &str) -> String {
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    let mut out = format!("did:web:{}", host.replace(':', "%3A"));
    for part in path.split('/').filter(|part| !part.is_empty()) {
        out.push(':');
        out.push_str(part);
    }
    out
}

/// Where the document of a `did:web` stands; nothing when `did` is no such DID. Always `https`.
pub fn did_web_url(did: &str) -> Option<String> {
    let rest = did.strip_prefix("did:web:")?;
    let mut parts = rest.split(':');
    let host = parts.next().filter(|h| !h.is_empty())?.replace("%3A", ":").replace("%3a", ":");
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)) && text != ".." && text != ".";
    let path: Vec<&str> = parts.collect();
    if !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b)) || !path.iter().all(|p| plain(p)) {
        return None;
    }
    Some(if path.is_empty() { format!("https://{host}/.well-known/did.json") } else { format!("https://{host}/{}/did.json", path.join("/")) })
}

/// Public keys that were published together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

/// Why a document gives no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is a document about somebody else.
    #[error("the document is about `{found}`, not `{wanted}`")]
    OtherSubject {
        /// Whose document was asked for.
        wanted: String,
        /// Whose it is.
        found: String,
    },
    /// No key of a kind that is accepted.
    #[error("the document holds no Ed25519 or P-256 key for signing")]
    NoKeys,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys }
    }
    /// The keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Reads a JWK set (RFC 7517 §5) that `controller` published. Keys of other kinds are left out.
    pub fn from_jwks(jwks: &Value, controller: Option<&str>) -> Result<Self, KeySetError> {
        let list = jwks.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Self::filled(list.iter().filter_map(|jwk| PublicKey::from_jwk(jwk, controller)).collect())
    }

    /// Reads the DID document of `did`. Only methods that the document itself controls count. A `revoked` time beside the key counts
    /// like one within.
    pub fn from_did_document(document: &Value, did: &str) -> Result<Self, KeySetError> {
        let found = document.get("id").and_then(Value::as_str).unwrap_or_default();
        if found != did {
            return Err(KeySetError::OtherSubject { wanted: did.to_owned(), found: found.chars().take(120).collect() });
        }
        let methods = document.get("verificationMethod").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let read = |method: &Value| {
            if method.get("controller").and_then(Value::as_str) != Some(did) {
                return None;
            }
            let mut key = PublicKey::from_jwk(method.get("publicKeyJwk")?, Some(did))?;
            if let Some(at) = method.get("revoked") {
                let time = at.as_str().and_then(|text| text.parse().ok());
                key.revoked = key.revoked.or(Some(time.unwrap_or(key.created)));
            }
            Some(key)
        };
        Self::filled(methods.iter().filter_map(read).collect())
    }

    fn filled(keys: Vec<PublicKey>) -> Result<Self, KeySetError> {
        if keys.is_empty() { Err(KeySetError::NoKeys) } else { Ok(Self { keys }) }
    }
}

impl KeyLookup for KeySet {
    fn key(&self, kid: &str) -> Option<PublicKey> {
        self.keys.iter().find(|key| names(kid, key)).cloned()
    }
}

/// The DID document that lists `keys`: all but the revoked ones may assert only while they are active.
pub(crate) fn did_document(did: &str, keys: &[&PublicKey]) -> Value {
    let name = |key: &PublicKey| format!("{did}#{}", key.kid);
    let methods: Vec<Value> = keys
        .iter()
        .map(|key| {
            let mut method = json!({ "id": name(key), "type": "JsonWebKey2020", "controller": did, "publicKeyJwk": key.jwk() });
            if let Some(at) = key.revoked {
                method["revoked"] = json!(at);
            }
            method
        })
        .collect();
    let active: Vec<String> = keys.iter().filter(|key| key.is_active()).map(|key| name(key)).collect();
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"],
        "id": did,
        "verificationMethod": methods,
        "assertionMethod": active,
        "authentication": active,
    })
}
