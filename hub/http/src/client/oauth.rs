//! OAuth 2.0 client credentials: tokens of the hub's own at another party, kept until they expire.

use super::auth::{AccessToken, Auth, TokenFuture, TokenProvider};
use super::error::{CallError, CallErrorKind};
use super::{Client, DpopKey, OutRequest};
use oauth2::basic::BasicClient;
use oauth2::{AsyncHttpClient, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope, TokenResponse, TokenUrl};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A token is renewed this long before it expires, in seconds, so that it does not expire under way.
const EARLY: i64 = 15;
/// How long a token of unstated life is kept, in seconds.
const UNSTATED: i64 = 300;

/// The hub's credentials at an authorization server (RFC 6749 4.4).
pub struct ClientCredentials {
    token_url: String,
    client_id: String,
    client_secret: String,
    scopes: Vec<String>,
    audience: Option<String>,
    dpop: Option<Arc<DpopKey>>,
    held: Mutex<Option<AccessToken>>,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl ClientCredentials {
    /// The client `client_id` at `token_url`, authenticating by HTTP Basic.
    pub fn new(token_url: impl Into<String>, client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            token_url: token_url.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scopes: Vec::new(),
            audience: None,
            dpop: None,
            held: Mutex::new(None),
        }
    }
    /// The same, asking for a scope.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }
    /// The same, asking for an audience (parameter `audience`).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }
    /// The same, asking for tokens bound to `key`.
    #[must_use]
    pub fn bound_to(mut self, key: Arc<DpopKey>) -> Self {
        self.dpop = Some(key);
        self
    }

    async fn fetch(&self, client: &Client) -> Result<AccessToken, CallError> {
        let bad = |what: &str| CallError::new(CallErrorKind::Token, "", what);
        let token_url = TokenUrl::new(self.token_url.clone()).map_err(|_| bad("the token endpoint is no address"))?;
        let server = BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_client_secret(ClientSecret::new(self.client_secret.clone()))
            .set_token_uri(token_url);
        let mut asking = server.exchange_client_credentials().add_scopes(self.scopes.iter().cloned().map(Scope::new));
        if let Some(audience) = &self.audience {
            asking = asking.add_extra_param("audience", audience.clone());
        }
        let answer = asking.request_async(&Asker { credentials: self, client }).await.map_err(|error| match error {
            oauth2::RequestTokenError::Request(call) => CallError { kind: CallErrorKind::Token, ..call },
            // The description is the server's own text and might quote the secret; the code is one of a fixed list.
            oauth2::RequestTokenError::ServerResponse(refusal) => bad(&format!("the authorization server refuses: {}", refusal.error())),
            _ => bad("the authorization server's answer is not what was expected"),
        })?;
        let life = answer.expires_in().map_or(UNSTATED, |d: Duration| i64::try_from(d.as_secs()).unwrap_or(UNSTATED));
        let expires = client.clock().now().plus_seconds((life - EARLY).max(1));
        Ok(AccessToken { token: Arc::from(answer.access_token().secret().as_str()), expires: Some(expires) })
    }

    async fn post(&self, client: &Client, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let (parts, body) = request.into_parts();
        let mut out = OutRequest::new(parts.method, parts.uri.to_string()).body(body).template("token").max_response(1 << 20);
        out.headers = parts.headers;
        let answer = match &self.dpop {
            None => client.send(out).await?,
            Some(key) => client.send_proved(out, key, None).await?,
        };
        let mut response = HttpResponse::new(answer.body.to_vec());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// What the `oauth2` crate asks through: our own client, with its guard.
struct Asker<'a> {
    credentials: &'a ClientCredentials,
    client: &'a Client,
}

impl<'c> AsyncHttpClient<'c> for Asker<'_> {
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.credentials.post(self.client, request))
    }
}

impl TokenProvider for ClientCredentials {
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

impl Auth {
    /// DPoP with tokens from `credentials`, which must be bound to `key`.
    pub fn dpop(key: Arc<DpopKey>, credentials: Arc<ClientCredentials>) -> Self {
        Self::Dpop { key, tokens: credentials }
    }
}
