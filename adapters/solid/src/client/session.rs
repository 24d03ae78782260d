//! The hub signed in as itself: tokens bound to a key (Solid-OIDC, RFC 9449), one fresh proof a request.

use crate::client::discovery::vouches;
use crate::client::link::{document, same_issuer};
use crate::config::{SignIn, SolidConfig};
use crate::error::SolidError;
use crate::vocab::OIDC_CONTEXT;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::Serializer;
use waybill_http::{
    AccessToken, Auth, CallError, CallErrorKind, Client, ClientCredentials, DpopKey, HeaderMap, HeaderName, Method, OutRequest,
    TokenProvider, header,
};
use waybill_keys::{Key, PublicKey, jws};
use waybill_model::{Clock, Iri};

/// What a Solid server is asked for.
const SCOPE: &str = "webid";
/// Seconds that a client assertion is good for.
const ASSERTION_SECONDS: i64 = 60;
/// Seconds before its end at which a token is renewed.
const EARLY_SECONDS: i64 = 15;
/// The largest document that is read as description of something, in bytes.
const LARGEST_DESCRIPTION: usize = 1 << 20;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Nothing when it is a success, else what it means.
    pub fn success(&self) -> Result<(), SolidError> {
        Err(match self.status {
            200..=299 => return Ok(()),
            401 => SolidError::Unauthorized,
            403 => SolidError::Forbidden,
            404 | 410 => SolidError::NotFound,
            409 | 412 => SolidError::Conflict,
            other => SolidError::Status(other),
        })
    }
}

/// The hub's session at its issuer.
pub struct Session {
    client: Client,
    web_id: Iri,
    key: Arc<DpopKey>,
    tokens: Arc<dyn TokenProvider>,
}

/// What is needed of an issuer's description.
#[derive(Debug, Deserialize)]
struct IssuerMetadata {
    issuer: String,
    token_endpoint: String,
}

impl Session {
    /// Prepares the session: the hub's own profile must name the issuer, and the issuer must say where tokens are. The first token is
    /// asked for when it is needed. `assertion_key` signs client assertions (ES256); needed for [`SignIn::ClientIdDocument`].
    ///
    /// # Errors
    /// [`SolidError::ForeignIssuer`] when the hub's profile names another issuer; [`SolidError::SignIn`] when something is missing.
    pub async fn open(cfg: &SolidConfig, client: Client, assertion_key: Option<Key>) -> Result<Self, SolidError> {
        let key = Arc::new(DpopKey::generate().map_err(fault)?);
        vouches(&client, &cfg.web_id, cfg.issuer.as_str()).await?;
        let metadata = issuer_metadata(&client, &cfg.issuer).await?;
        let tokens: Arc<dyn TokenProvider> = match &cfg.sign_in {
            SignIn::ClientCredentials { id, secret } => {
                Arc::new(ClientCredentials::new(metadata.token_endpoint, id, secret.expose()).scope(SCOPE).bound_to(key.clone()))
            }
            SignIn::ClientIdDocument => {
                let missing = |what: &str| SolidError::SignIn(format!("signing in by Client ID Document needs {what}"));
                let public = cfg.public_url.as_ref().ok_or_else(|| missing("the hub's public address"))?;
                let signer = assertion_key.ok_or_else(|| missing("an ES256 key"))?;
                let client_id = client_id(public);
                Arc::new(PrivateKeyJwt { endpoint: metadata.token_endpoint, issuer: metadata.issuer, client_id, signer, key: key.clone(), held: Mutex::new(None) })
            }
        };
        Ok(Self { client, web_id: cfg.web_id.clone(), key, tokens })
    }

    /// The hub's WebID.
    pub fn web_id(&self) -> &Iri {
        &self.web_id
    }
    /// The clock of the client.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }
    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }
    /// The thumbprint of the key that tokens are bound to.
    pub fn key_thumbprint(&self) -> &str {
        self.key.thumbprint()
    }

    /// Gets a token, or finds that the held one is still good.
    ///
    /// # Errors
    /// [`SolidError::SignIn`] when the issuer refuses or is away.
    pub async fn sign_in(&self) -> Result<(), SolidError> {
        self.tokens.token(&self.client, None).await.map(|_| ()).map_err(fault)
    }

    /// Sends a request as the hub.
    ///
    /// # Errors
    /// [`SolidError::Unreachable`], [`SolidError::SignIn`]. Every status is an answer.
    pub async fn send(&self, method: Method, url: &Url, headers: HeaderMap, body: Bytes) -> Result<Answer, SolidError> {
        let auth = Auth::Dpop { key: self.key.clone(), tokens: self.tokens.clone() };
        call(&self.client, OutRequest { headers, body, ..OutRequest::new(method, document(url)).auth(auth).template("solid") }).await
    }

}

async fn issuer_metadata(client: &Client, issuer: &Url) -> Result<IssuerMetadata, SolidError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.as_str().trim_end_matches('/'));
    let url = Url::parse(&url).map_err(|_| SolidError::malformed("issuer", "not an address"))?;
    let answer = get_public(client, &url, "application/json").await?;
    answer.success()?;
    let metadata: IssuerMetadata = serde_json::from_slice(&answer.body).map_err(|_| SolidError::malformed("issuer", "its description is not the JSON expected"))?;
    // OpenID Connect Discovery §4.3: else one issuer could speak for another.
    if !same_issuer(&metadata.issuer, issuer.as_str()) {
        return Err(SolidError::malformed("issuer", "its description is of another issuer"));
    }
    Ok(metadata)
}

async fn call(client: &Client, request: OutRequest) -> Result<Answer, SolidError> {
    let answer = client.send(request).await.map_err(fault)?;
    Ok(Answer { status: answer.status.as_u16(), headers: answer.headers, body: answer.body })
}

/// Reads a public document, without saying who asks.
///
/// # Errors
/// [`SolidError::Unreachable`]. Every status is an answer.
pub async fn get_public(client: &Client, url: &Url, accept: &str) -> Result<Answer, SolidError> {
    let request = OutRequest::get(document(url)).header(header::ACCEPT, accept).template("solid-public").max_response(LARGEST_DESCRIPTION);
    call(client, request).await
}

/// What a failed call means. Its origin is left out: a pod's host may be a person's name.
fn fault(error: CallError) -> SolidError {
    match error.kind {
        CallErrorKind::Token => SolidError::SignIn(error.detail),
        CallErrorKind::TooLarge => SolidError::TooLarge,
        kind => SolidError::Unreachable(format!("{}: {}", kind.code(), error.detail)),
    }
}

type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, CallError>> + Send + 'a>>;

fn token_fault(detail: impl Into<String>) -> CallError {
    let mut error = CallError::bad_answer("", detail);
    error.kind = CallErrorKind::Token;
    error
}

/// Tokens for a client that proves itself by a signed assertion (RFC 7523 §2.2, OpenID Connect Core §9).
struct PrivateKeyJwt {
    endpoint: String,
    issuer: String,
    client_id: String,
    signer: Key,
    key: Arc<DpopKey>,
    held: Mutex<Option<AccessToken>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<i64>,
}

impl PrivateKeyJwt {
    async fn fetch(&self, client: &Client) -> Result<AccessToken, CallError> {
        let mut nonce: Option<String> = None;
        for _ in 0..2 {
            let now = client.clock().now();
            let assertion = json!({
                "iss": self.client_id, "sub": self.client_id, "aud": self.issuer,
                "iat": now.seconds(), "exp": now.seconds() + ASSERTION_SECONDS,
                "jti": waybill_keys::b64url(waybill_keys::random::<16>()),
            });
            let body = Serializer::new(String::new())
                .append_pair("grant_type", "client_credentials")
                .append_pair("scope", SCOPE)
                .append_pair("client_id", &self.client_id)
                .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                .append_pair("client_assertion", &jws::sign(&self.signer, "JWT", &assertion))
                .finish();
            let endpoint = Url::parse(&self.endpoint).map_err(|_| token_fault("the token endpoint is no address"))?;
            let proof = self.key.proof("POST", &endpoint, None, nonce.as_deref(), now)?;
            let request = OutRequest::post(endpoint, "application/x-www-form-urlencoded", body)
                .header(HeaderName::from_static("dpop"), proof)
                .template("solid-token")
                .max_response(LARGEST_DESCRIPTION);
            let answer = client.send(request).await?;
            let asked = answer.header("dpop-nonce").map(str::to_owned);
            if answer.status.is_client_error() && nonce.is_none() && asked.is_some() {
                nonce = asked;
                continue;
            }
            if !answer.status.is_success() {
                return Err(token_fault(format!("the issuer answered {}", answer.status.as_u16())));
            }
            let said: TokenAnswer = answer.json()?;
            if !said.token_type.eq_ignore_ascii_case("DPoP") {
                return Err(token_fault("the issuer gives tokens that are not bound to a key"));
            }
            let life = said.expires_in.unwrap_or(300);
            return Ok(AccessToken { token: said.access_token.into(), expires: Some(now.plus_seconds((life - EARLY_SECONDS).max(1))) });
        }
        Err(token_fault("the issuer asks for one nonce after another"))
    }
}

impl TokenProvider for PrivateKeyJwt {
    fn token<'a>(&'a self, client: &'a Client, refused: Option<&'a AccessToken>) -> TokenFuture<'a> {
        Box::pin(async move {
            let mut held = self.held.lock().await;
            let good = held.as_ref().filter(|t| refused != Some(t) && t.expires.is_none_or(|at| client.clock().now() < at));
            if let Some(token) = good {
                return Ok(token.clone());
            }
            let fresh = self.fetch(client).await?;
            *held = Some(fresh.clone());
            Ok(fresh)
        })
    }
}

/// The address of the Client ID Document below the hub's public address.
pub fn client_id(public_url: &Url) -> String {
    public_url.join("client-id").map_or_else(|_| format!("{public_url}client-id"), Into::into)
}

/// The Client ID Document (Solid-OIDC §5): who the hub is, and which keys sign its assertions.
pub fn client_id_document(public_url: &Url, keys: &[PublicKey]) -> Value {
    let keys: Vec<Value> = keys.iter().filter(|k| k.revoked.is_none()).map(PublicKey::jwk).collect();
    json!({
        "@context": [OIDC_CONTEXT],
        "client_id": client_id(public_url),
        "client_name": "Waybill hub",
        "client_uri": public_url.as_str(),
        "redirect_uris": [],
        "grant_types": ["client_credentials"],
        "response_types": [],
        "scope": format!("openid {SCOPE}"),
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": { "keys": keys },
    })
}

