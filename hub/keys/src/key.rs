//! One key: its secret half, its public half, and what became of it.

use crate::{b64url, jcs_hash, random, unb64url};
use ed25519_dalek::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use serde_json::{Value, json};
use std::fmt;
use waybill_model::DateTime;
use zeroize::Zeroizing;

/// What a key signs with. There are no others: a name that is not here is refused wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037): envelopes, manifests, status lists, events.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA over P-256 with SHA-256 (RFC 7518 §3.4): client assertions and DPoP.
    #[serde(rename = "ES256")]
    Es256,
}

impl Algorithm {
    /// The name in a JWS header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
    /// The algorithm of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::EdDsa, Self::Es256].into_iter().find(|a| a.as_str() == name)
    }
}

#[derive(Clone)]
enum Secret {
    // Both types wipe themselves when dropped.
    EdDsa(Box<ed25519_dalek::SigningKey>),
    Es256(Box<p256::ecdsa::SigningKey>),
}

/// A key pair with its history. Never printed and never serialised but by [`crate::KeyRing::to_secret_text`].
#[derive(Clone)]
pub struct Key {
    secret: Secret,
    public: PublicKey,
}

impl Key {
    /// A new random key, created `now`, that `controller` (a DID) owns.
    pub fn generate(algorithm: Algorithm, controller: Option<&str>, now: DateTime) -> Self {
        loop {
            // Nearly every 32 bytes are a key; for P-256 zero and those beyond the group's order are not.
            if let Some(key) = Self::from_secret(algorithm, &Zeroizing::new(random()), controller, now) {
                return key;
            }
        }
    }

    /// The key of these secret bytes, when they are one.
    pub fn from_secret(algorithm: Algorithm, bytes: &[u8; 32], controller: Option<&str>, created: DateTime) -> Option<Self> {
        let (secret, material) = match algorithm {
            Algorithm::EdDsa => {
                let key = ed25519_dalek::SigningKey::from_bytes(bytes);
                let public = Material::EdDsa(Box::new(key.verifying_key()));
                (Secret::EdDsa(Box::new(key)), public)
            }
            Algorithm::Es256 => {
                let key = p256::ecdsa::SigningKey::from_slice(bytes).ok()?;
                let public = Material::Es256(Box::new(*key.verifying_key()));
                (Secret::Es256(Box::new(key)), public)
            }
        };
        Some(Self { secret, public: PublicKey::of(material, controller.map(str::to_owned), created) })
    }

    /// The secret bytes, for the store.
    pub(crate) fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        match &self.secret {
            Secret::EdDsa(key) => Zeroizing::new(key.to_bytes()),
            Secret::Es256(key) => Zeroizing::new(key.to_bytes().into()),
        }
    }

    /// The signature over `message`: 64 bytes for either algorithm, the same each time.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        match &self.secret {
            Secret::EdDsa(key) => key.sign(message).to_bytes(),
            Secret::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().into()
            }
        }
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
    pub(crate) fn public_mut(&mut self) -> &mut PublicKey {
        &mut self.public
    }
    /// The identifier: the key's thumbprint (RFC 7638).
    pub fn kid(&self) -> &str {
        &self.public.kid
    }
}
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, secret not shown)", self.public.kid)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    EdDsa(Box<ed25519_dalek::VerifyingKey>),
    Es256(Box<p256::ecdsa::VerifyingKey>),
}

/// The public half of a key, and what is known of its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The identifier: the key's thumbprint (RFC 7638).
    pub kid: String,
    /// The DID whose key it is, when that was proven (the DID document lists it).
    pub controller: Option<String>,
    /// From when on it signs.
    pub created: DateTime,
    /// When it was replaced. What it signed before stays good.
    pub retired: Option<DateTime>,
    /// When it was revoked. Then nothing it ever signed is good: a thief can write any date.
    pub revoked: Option<DateTime>,
    material: Material,
}

impl PublicKey {
    fn of(material: Material, controller: Option<String>, created: DateTime) -> Self {
        let kid = b64url(jcs_hash(&bare_jwk(&material)));
        Self { kid, controller, created, retired: None, revoked: None, material }
    }

    /// Reads a JWK of one of the two kinds. `iat`, `exp` and `revoked.revoked_at` are its history (OpenID Federation §8.7.2), `created`
    /// stands in when there is no `iat`. A private key is refused, so that a leaked one is noticed.
    pub fn from_jwk(jwk: &Value, controller: Option<&str>) -> Option<Self> {
        let text = |name: &str| jwk.get(name)?.as_str();
        let coordinate = |name: &str| -> Option<[u8; 32]> { unb64url(text(name)?)?.try_into().ok() };
        if jwk.get("d").is_some() || text("use").is_some_and(|u| u != "sig") {
            return None;
        }
        let material = match (text("kty")?, text("crv")?) {
            ("OKP", "Ed25519") => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(&coordinate("x")?).ok()?;
                (!key.is_weak()).then_some(Material::EdDsa(Box::new(key)))?
            }
            ("EC", "P-256") => {
                let point = [&[4][..], &coordinate("x")?, &coordinate("y")?].concat();
                Material::Es256(Box::new(p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?))
            }
            _ => return None,
        };
        let seconds = |value: Option<&Value>| value.and_then(Value::as_i64).map(DateTime::from_seconds);
        let mut out = Self::of(material, controller.map(str::to_owned), seconds(jwk.get("iat")).unwrap_or(DateTime::from_seconds(0)));
        if text("alg").is_some_and(|alg| alg != out.algorithm().as_str()) {
            return None;
        }
        out.retired = seconds(jwk.get("exp"));
        if let Some(revoked) = jwk.get("revoked") {
            // A revocation whose time cannot be read is still a revocation.
            out.revoked = Some(seconds(revoked.get("revoked_at")).unwrap_or(out.created));
        }
        Some(out)
    }

    /// What it verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::EdDsa(_) => Algorithm::EdDsa,
            Material::Es256(_) => Algorithm::Es256,
        }
    }

    /// Whether `signature` over `message` is this key's. Says nothing of the key's history.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(bytes) = <&[u8; 64]>::try_from(signature) else { return false };
        match &self.material {
            // Strict: refuses the signatures that several keys, or several texts, would share.
            Material::EdDsa(key) => key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(bytes)).is_ok(),
            Material::Es256(key) => p256::ecdsa::Signature::from_slice(bytes).is_ok_and(|s| key.verify(message, &s).is_ok()),
        }
    }

    /// Whether it signs now: neither retired nor revoked.
    pub fn is_active(&self) -> bool {
        self.retired.is_none() && self.revoked.is_none()
    }

    /// The JWK without history, as a DPoP proof carries it.
    pub fn bare_jwk(&self) -> Value {
        bare_jwk(&self.material)
    }

    /// The JWK with `kid`, `alg`, `use` and the history.
    pub fn jwk(&self) -> Value {
        let mut out = self.bare_jwk();
        out["kid"] = json!(self.kid);
        out["alg"] = json!(self.algorithm().as_str());
        out["use"] = json!("sig");
        out["iat"] = json!(self.created.seconds());
        if let Some(at) = self.retired {
            out["exp"] = json!(at.seconds());
        }
        if let Some(at) = self.revoked {
            out["revoked"] = json!({ "revoked_at": at.seconds() });
        }
        out
    }
}

fn bare_jwk(material: &Material) -> Value {
    match material {
        Material::EdDsa(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": b64url(key.as_bytes()) }),
        Material::Es256(key) => {
            let point = key.to_sec1_point(false);
            let part = |part: Option<&p256::FieldBytes>| b64url(part.map(AsRef::<[u8]>::as_ref).unwrap_or_default());
            json!({ "kty": "EC", "crv": "P-256", "x": part(point.x()), "y": part(point.y()) })
        }
    }
}

/// Where a verifier finds keys. `kid` is a thumbprint, or a DID URL that ends in `#` and one.
pub trait KeyLookup {
    /// The key of that identifier.
    fn key(&self, kid: &str) -> Option<PublicKey>;
}

/// Whether `kid`, as it stands in a header, names the key `own` of `controller`.
pub(crate) fn names(kid: &str, key: &PublicKey) -> bool {
    match kid.rsplit_once('#') {
        None => kid == key.kid,
        Some((did, fragment)) => fragment == key.kid && (did.is_empty() || key.controller.as_deref().is_none_or(|c| c == did)),
    }
}

impl KeyLookup for PublicKey {
    fn key(&self, kid: &str) -> Option<PublicKey> {
        names(kid, self).then(|| self.clone())
    }
}
