//! Tokens of configured issuers: found by discovery, checked by the issuer's published keys.

use crate::client::{Client, OutRequest};
use crate::fault;
use crate::jose::{Compact, PublicKey, algorithm};
use crate::problems;
use openidconnect::core::CoreProviderMetadata;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use waybill_model::{DateTime, Problem};

/// How far clocks may differ, in seconds.
const SKEW: i64 = 60;
/// Keys are asked for again after this time.
const FRESH: Duration = Duration::from_hours(1);
/// The most keys kept of one issuer.
const MOST_KEYS: usize = 64;
/// How long a signature that was found good need not be checked again, in seconds. A key that its issuer takes back counts this long.
const REMEMBERED: i64 = 60;
/// The most good tokens remembered.
const MOST_TOKENS: usize = 10_000;

/// An issuer of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Its identifier, an address. `/.well-known/openid-configuration` is asked below it.
    pub issuer: String,
    /// The audiences of which a token must name one. With none, no token is taken.
    pub audiences: Vec<String>,
    /// Where its keys are, when they are not to be found by discovery.
    pub jwks_uri: Option<String>,
}

/// Which issuers are believed, and how often they may be asked.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    /// The issuers.
    pub issuers: Vec<IssuerConfig>,
    /// The shortest time between two look-ups because a key was not known.
    pub refetch: Duration,
}

impl VerifierConfig {
    /// These issuers, asked at most every 30 s for a key that is not known.
    pub fn new(issuers: Vec<IssuerConfig>) -> Self {
        Self { issuers, refetch: Duration::from_secs(30) }
    }
}

/// Why a token is not taken. Never quotes the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no signed token.
    #[error("it is not a signed token")]
    Form,
    /// Its algorithm is not taken; `none` and shared secrets never are.
    #[error("its algorithm is not taken here")]
    Algorithm,
    /// Nobody here knows its issuer.
    #[error("its issuer is not known here")]
    Issuer,
    /// Its issuer has no such key.
    #[error("its issuer publishes no such key")]
    Key,
    /// The signature does not hold.
    #[error("its signature does not hold")]
    Signature,
    /// It is for somebody else.
    #[error("it is meant for another audience")]
    Audience,
    /// It has expired.
    #[error("it has expired")]
    Expired,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    NotYet,
    /// The issuer's keys cannot be had.
    #[error("its issuer cannot be asked for its keys now: {0}")]
    Unreachable(String),
}

impl TokenError {
    /// The problem the caller is told: 401, or 503 when the issuer is at fault.
    pub fn to_problem(&self) -> Problem {
        match self {
            Self::Unreachable(_) => Problem::new(
                problems::ISSUER_UNREACHABLE,
                503,
                "The token cannot be checked now",
                "the issuer of the token cannot be asked for its keys",
            ),
            other => problems::invalid_token(format!("the token is refused: {other}")),
        }
    }
}

/// What a token says that matters here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claims {
    /// `sub`.
    pub subject: Option<String>,
    /// `azp`, else `client_id`, else `appid`; never `sub`.
    pub client: Option<String>,
    /// `webid` (Solid-OIDC).
    pub webid: Option<String>,
    /// The purposes asked for: the claim `purpose` (text or list), and each `purpose:…` of `scope`.
    pub purposes: Vec<String>,
    /// `cnf.jkt`: the key the token is bound to.
    pub key_thumbprint: Option<String>,
    /// `jti`.
    pub id: Option<String>,
    /// `exp`.
    pub expires: Option<DateTime>,
}

/// A token that was found good.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedToken {
    /// Its issuer, as configured.
    pub issuer: String,
    /// What it says.
    pub claims: Claims,
    /// All of its claims.
    pub all: Value,
    times: Times,
}

/// `exp`, `nbf` and `iat`, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Times {
    expires: f64,
    not_before: Option<f64>,
    issued: Option<f64>,
}

#[derive(Deserialize)]
struct RawClaims {
    iss: String,
    #[serde(default)]
    aud: OneOrMany,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    appid: Option<String>,
    #[serde(default)]
    webid: Option<String>,
    #[serde(default)]
    purpose: OneOrMany,
    #[serde(default)]
    scope: OneOrMany,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default)]
    cnf: Option<Confirmation>,
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(default)]
    jkt: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Checks tokens of the configured issuers. Keys are fetched when first needed, kept for an hour, and used stale when the issuer is
/// away; a key that is not known is looked for again, at a limited rate.
#[derive(Debug)]
pub struct TokenVerifier {
    client: Client,
    refetch: Duration,
    issuers: BTreeMap<String, Issuer>,
    /// Tokens whose signature was found good, by their digest, and when: checking one costs more than answering most requests.
    good: std::sync::Mutex<Good>,
}

/// Tokens by their SHA-256, with when each was found good.
type Good = HashMap<[u8; 32], (DateTime, Arc<VerifiedToken>)>;

#[derive(Debug)]
struct Issuer {
    config: IssuerConfig,
    keys: arc_swap::ArcSwapOption<KeySet>,
    fetching: Mutex<Fetching>,
}

#[derive(Debug, Default)]
struct Fetching {
    last: Option<Instant>,
    failed: Option<String>,
}

#[derive(Debug)]
struct KeySet {
    keys: Vec<PublicKey>,
    fetched: Instant,
}

impl TokenVerifier {
    /// Asks issuers through `client`.
    pub fn new(client: Client, config: VerifierConfig) -> Self {
        let issuers = config.issuers.into_iter().map(|config| {
            let name = config.issuer.trim_end_matches('/').to_owned();
            (name, Issuer { config, keys: arc_swap::ArcSwapOption::empty(), fetching: Mutex::default() })
        });
        Self { client, refetch: config.refetch, issuers: issuers.collect(), good: std::sync::Mutex::default() }
    }

    /// Checks `token`: form, algorithm, issuer, key, signature, audience, times (with 60 s for clocks that differ). Times are checked at
    /// every call; the rest is remembered for a minute.
    ///
    /// # Errors
    /// [`TokenError`] naming the first thing that is wrong.
    pub async fn verify(&self, token: &str, now: DateTime) -> Result<Arc<VerifiedToken>, TokenError> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self.good.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some((at, known)) = known
            && (0..REMEMBERED).contains(&(now.seconds() - at.seconds()))
        {
            known.times.check(now)?;
            return Ok(known);
        }
        let verified = Arc::new(self.verify_anew(token, now).await?);
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if good.len() >= MOST_TOKENS {
            good.retain(|_, (at, _)| (0..REMEMBERED).contains(&(now.seconds() - at.seconds())));
            if good.len() >= MOST_TOKENS {
                good.clear();
            }
        }
        good.insert(digest, (now, verified.clone()));
        Ok(verified)
    }

    async fn verify_anew(&self, token: &str, now: DateTime) -> Result<VerifiedToken, TokenError> {
        let compact = Compact::parse(token).ok_or(TokenError::Form)?;
        if algorithm(&compact.head.alg).is_none() && !fault::off("http-token-algorithm") {
            return Err(TokenError::Algorithm);
        }
        // RFC 8725 3.11: a token made for something else (a proof, a security event) is no access token.
        let typ = compact.head.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        if !matches!(typ.trim_start_matches("application/"), "jwt" | "at+jwt") {
            return Err(TokenError::Form);
        }
        let claims: RawClaims = serde_json::from_slice(&compact.payload).map_err(|_| TokenError::Form)?;
        let issuer = self.issuers.get(claims.iss.trim_end_matches('/')).ok_or(TokenError::Issuer)?;
        self.check_signature(issuer, &compact).await?;
        let audiences = claims.aud.as_slice();
        if !issuer.config.audiences.iter().any(|wanted| audiences.contains(wanted)) && !fault::off("http-token-audience") {
            return Err(TokenError::Audience);
        }
        let times = Times { expires: claims.exp, not_before: claims.nbf, issued: claims.iat };
        times.check(now)?;
        let all = serde_json::from_slice(&compact.payload).map_err(|_| TokenError::Form)?;
        Ok(VerifiedToken { issuer: issuer.config.issuer.clone(), claims: claims.into_claims(), all, times })
    }

    async fn check_signature(&self, issuer: &Issuer, compact: &Compact<'_>) -> Result<(), TokenError> {
        let keys = self.keys(issuer, None).await?;
        match keys.check(compact) {
            Err(TokenError::Key) => {
                // Perhaps the issuer has a new key.
                let newer = self.keys(issuer, Some(keys.fetched)).await?;
                newer.check(compact)
            }
            other => other,
        }
    }

    /// The issuer's keys; newer ones than `older_than` if given and the rate allows.
    async fn keys(&self, issuer: &Issuer, older_than: Option<Instant>) -> Result<Arc<KeySet>, TokenError> {
        let good = |set: &KeySet| match older_than {
            None => set.fetched.elapsed() < FRESH,
            Some(at) => set.fetched > at,
        };
        if let Some(set) = issuer.keys.load_full()
            && good(&set)
        {
            return Ok(set);
        }
        // One asks, the others wait for what it gets.
        let mut fetching = issuer.fetching.lock().await;
        let held = issuer.keys.load_full();
        if let Some(set) = &held
            && good(set)
        {
            return Ok(set.clone());
        }
        let pause = if fetching.failed.is_some() { self.refetch.min(Duration::from_secs(5)) } else { self.refetch };
        let too_soon = fetching.last.is_some_and(|last| last.elapsed() < pause);
        if too_soon {
            let why = fetching.failed.clone().unwrap_or_else(|| "it was asked a moment ago".to_owned());
            return held.ok_or(TokenError::Unreachable(why));
        }
        fetching.last = Some(Instant::now());
        match self.fetch(&issuer.config).await {
            Ok(keys) => {
                fetching.failed = None;
                let set = Arc::new(KeySet { keys, fetched: Instant::now() });
                issuer.keys.store(Some(set.clone()));
                Ok(set)
            }
            Err(why) => {
                tracing::warn!(issuer = issuer.config.issuer, why, "an issuer's keys could not be fetched");
                fetching.failed = Some(why.clone());
                held.ok_or(TokenError::Unreachable(why))
            }
        }
    }

    async fn fetch(&self, config: &IssuerConfig) -> Result<Vec<PublicKey>, String> {
        let jwks_uri = if let Some(uri) = &config.jwks_uri {
            uri.clone()
        } else {
            let address = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
            let metadata: CoreProviderMetadata = self.get(&address).await?;
            // OpenID Connect Discovery 4.3: else one issuer could speak for another.
            let same = metadata.issuer().as_str().trim_end_matches('/') == config.issuer.trim_end_matches('/');
            if !same && !fault::off("http-discovered-issuer") {
                return Err("the document found by discovery is of another issuer".to_owned());
            }
            metadata.jwks_uri().url().to_string()
        };
        let set: Value = self.get(&jwks_uri).await?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("the key set has no keys")?;
        Ok(keys.iter().take(MOST_KEYS).filter_map(PublicKey::from_jwk).collect())
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, address: &str) -> Result<T, String> {
        let request = OutRequest::get(address).template("issuer").max_response(1 << 20);
        let response = self.client.send(request).await.map_err(|e| e.to_string())?;
        if response.status != 200 {
            return Err(format!("it answered with status {}", response.status));
        }
        serde_json::from_slice(&response.body).map_err(|_| "its answer is not the JSON that was expected".to_owned())
    }
}

impl KeySet {
    fn check(&self, compact: &Compact<'_>) -> Result<(), TokenError> {
        let mut candidates = self.keys.iter().filter(|key| match &compact.head.kid {
            Some(kid) => key.kid.as_ref() == Some(kid),
            // Without a name the only key must be meant; guessing among several would let one key stand for another.
            None => self.keys.len() == 1,
        });
        let mut tried = false;
        let held = candidates.any(|key| {
            tried = true;
            compact.is_signed_by(key)
        });
        match (held, tried) {
            (true, _) => Ok(()),
            (false, true) => Err(TokenError::Signature),
            (false, false) => Err(TokenError::Key),
        }
    }
}

impl Times {
    fn check(&self, now: DateTime) -> Result<(), TokenError> {
        let numbers = [Some(self.expires), self.not_before, self.issued];
        if numbers.iter().flatten().any(|n| !n.is_finite()) {
            return Err(TokenError::Form);
        }
        let now = now.micros() as f64 / 1e6;
        if self.expires + SKEW as f64 <= now && !fault::off("http-token-expiry") {
            return Err(TokenError::Expired);
        }
        if [self.not_before, self.issued].iter().flatten().any(|at| at - SKEW as f64 > now) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }
}

impl RawClaims {
    fn into_claims(self) -> Claims {
        let mut purposes = self.purpose.as_slice().to_vec();
        let scopes = self.scope.as_slice().iter().flat_map(|s| s.split(' '));
        purposes.extend(scopes.filter_map(|s| s.strip_prefix("purpose:")).map(str::to_owned));
        purposes.sort_unstable();
        purposes.dedup();
        Claims {
            subject: self.sub,
            client: self.azp.or(self.client_id).or(self.appid),
            webid: self.webid,
            purposes,
            key_thumbprint: self.cnf.and_then(|cnf| cnf.jkt),
            id: self.jti,
            expires: Some(DateTime::from_micros((self.exp * 1e6) as i64)),
        }
    }
}
