//! One call: guard, breaker, credentials, redirects, deadline, bounded answer.

use super::auth::{AccessToken, Auth, TokenProvider};
use super::error::{CallError, CallErrorKind};
use super::guard::{Fault, Reach, RefusedAddress};
use super::{Client, DpopKey};
use crate::fault;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// What to send.
#[derive(Debug, Clone)]
pub struct OutRequest {
    /// The method.
    pub method: Method,
    /// The address.
    pub url: String,
    /// Headers; credentials belong in `auth`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How to show who calls.
    pub auth: Auth,
    /// How long it may take altogether; nothing for the client's own.
    pub deadline: Option<Duration>,
    /// The largest answer in bytes, unpacked; nothing for the client's own.
    pub max_response: Option<usize>,
    /// Under what name it is counted: a fixed word of the caller's, never an address.
    pub template: &'static str,
}

impl OutRequest {
    /// `method` at `url`.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            auth: Auth::None,
            deadline: None,
            max_response: None,
            template: "other",
        }
    }
    /// `GET` at `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }
    /// `POST` of `body` of the media type `kind`.
    pub fn post(url: impl Into<String>, kind: &str, body: impl Into<Bytes>) -> Self {
        Self::new(Method::POST, url).header(header::CONTENT_TYPE, kind).body(body)
    }
    /// The same with a header; a value that cannot stand in a header is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.append(name, value);
        }
        self
    }
    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
    /// The same with credentials.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }
    /// The same with a deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }
    /// The same with a limit on the answer, in bytes.
    #[must_use]
    pub fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = Some(bytes);
        self
    }
    /// The same, counted under `name`.
    #[must_use]
    pub fn template(mut self, name: &'static str) -> Self {
        self.template = name;
        self
    }
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct InResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Bytes,
    /// The address that answered, after redirects.
    pub url: Url,
}

impl InResponse {
    /// The text of the header `name`.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
    /// The answer when it is a success.
    ///
    /// # Errors
    /// [`CallErrorKind::Status`] for any other than 2xx, with the time `Retry-After` names in seconds.
    pub fn success(self) -> Result<Self, CallError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let mut error = CallError::new(CallErrorKind::Status(self.status.as_u16()), &origin_of(&self.url), format!("status {}", self.status.as_u16()));
        error.retry_after = self.header(header::RETRY_AFTER).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        Err(error)
    }
    /// The body as JSON of the shape `T`.
    ///
    /// # Errors
    /// [`CallErrorKind::BadAnswer`] when it is not.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body)
            .map_err(|e| CallError::bad_answer(&origin_of(&self.url), format!("not the JSON expected, at line {}, column {}", e.line(), e.column())))
    }
}

/// An answer that is read piece by piece.
#[derive(Debug)]
pub struct InStream {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The address that answered.
    pub url: Url,
    response: reqwest::Response,
    left: usize,
    until: Instant,
}

impl InStream {
    /// The next piece; nothing at the end.
    ///
    /// # Errors
    /// [`CallError`] when the deadline passes, the connection breaks or more arrives than is taken.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CallError> {
        let origin = origin_of(&self.url);
        let piece = tokio::time::timeout_at(self.until, self.response.chunk())
            .await
            .map_err(|_| CallError::new(CallErrorKind::Timeout, &origin, "the answer was not complete in time"))?
            .map_err(|e| classify(&e, &origin))?;
        if let Some(piece) = &piece {
            self.left = self.left.checked_sub(piece.len()).ok_or_else(|| CallError::new(CallErrorKind::TooLarge, &origin, "the answer is larger than is taken"))?;
        }
        Ok(piece)
    }
    async fn whole(mut self) -> Result<InResponse, CallError> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            body.extend_from_slice(&piece);
        }
        Ok(InResponse { status: self.status, headers: self.headers, body: body.freeze(), url: self.url })
    }
}

/// The credentials of one attempt.
#[derive(Clone, Copy)]
enum Shown<'a> {
    Nothing,
    Bearer(&'a str),
    XAuthToken(&'a str),
    Proof(&'a DpopKey, Option<&'a str>),
}

impl Client {
    /// Sends `request` and reads the answer whole. Any status is an answer; [`InResponse::success`] makes the others errors.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn send(&self, request: OutRequest) -> Result<InResponse, CallError> {
        let begun = Instant::now();
        let template = request.template;
        let outcome = match self.open(request).await {
            Ok(stream) => stream.whole().await,
            Err(error) => Err(error),
        };
        self.count(template, outcome.as_ref().map(|r| r.status), begun);
        outcome
    }

    /// Sends `request`; the answer is read piece by piece, under the same deadline and limit.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn send_streaming(&self, request: OutRequest) -> Result<InStream, CallError> {
        let begun = Instant::now();
        let template = request.template;
        let outcome = self.open(request).await;
        self.count(template, outcome.as_ref().map(|r| r.status), begun);
        outcome
    }

    fn count(&self, template: &'static str, outcome: Result<StatusCode, &CallError>, begun: Instant) {
        let label = match outcome {
            Ok(status) => match status.as_u16() / 100 {
                2 => "2xx",
                3 => "3xx",
                4 => "4xx",
                5 => "5xx",
                _ => "other",
            },
            Err(error) => error.kind.code(),
        };
        let metrics = &self.0.config.metrics;
        metrics.counter("waybill_calls_total", "Calls to other machines, by kind and outcome", &[("call", template), ("outcome", label)]).inc();
        metrics.histogram("waybill_call_seconds", "Time of calls to other machines, by kind", &[("call", template)]).observe(begun.elapsed());
    }

    async fn open(&self, request: OutRequest) -> Result<InStream, CallError> {
        let until = Instant::now() + request.deadline.unwrap_or(self.0.config.deadline);
        match &request.auth {
            Auth::None => self.follow(&request, Shown::Nothing, until).await,
            Auth::Bearer(token) => self.follow(&request, Shown::Bearer(token), until).await,
            Auth::XAuthToken(token) => self.follow(&request, Shown::XAuthToken(token), until).await,
            Auth::OAuth2ClientCredentials(credentials) => self.with_token(&request, &**credentials, None, until).await,
            Auth::Dpop { key, tokens } => self.with_token(&request, &**tokens, Some(key), until).await,
        }
    }

    /// With a token of `tokens`; one that is refused is renewed once.
    async fn with_token(&self, request: &OutRequest, tokens: &dyn TokenProvider, key: Option<&DpopKey>, until: Instant) -> Result<InStream, CallError> {
        let get = |refused: Option<AccessToken>| async move {
            tokio::time::timeout_at(until, tokens.token(self, refused.as_ref()))
                .await
                .unwrap_or_else(|_| Err(CallError::new(CallErrorKind::Timeout, "", "no token came in time")))
        };
        let token = get(None).await?;
        let first = self.follow(request, present(key, &token.token), until).await?;
        if first.status != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        let token = get(Some(token)).await?;
        self.follow(request, present(key, &token.token), until).await
    }

    /// With a proof by `key` and no token, or with `token`: for token endpoints.
    pub(crate) async fn send_proved(&self, request: OutRequest, key: &DpopKey, token: Option<&str>) -> Result<InResponse, CallError> {
        let until = Instant::now() + request.deadline.unwrap_or(self.0.config.deadline);
        self.follow(&request, Shown::Proof(key, token), until).await?.whole().await
    }

    /// Follows redirects, as far as they may be.
    async fn follow(&self, request: &OutRequest, shown: Shown<'_>, until: Instant) -> Result<InStream, CallError> {
        let mut url = Url::parse(&request.url).map_err(|_| CallError::new(CallErrorKind::BadAddress, "", "this is no address"))?;
        let mut shown = shown;
        let mut left = self.0.config.max_redirects;
        loop {
            let answer = self.attempt(request, &url, shown, until).await?;
            let followed = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) && self.0.config.max_redirects > 0;
            let Some(next) = answer.headers.get(header::LOCATION).filter(|_| followed) else { return Ok(answer) };
            let origin = origin_of(&url);
            let refuse = |why: &str| CallError::new(CallErrorKind::Redirect, &origin, why);
            if !(request.method == Method::GET || request.method == Method::HEAD) {
                return Err(refuse("a redirect of this method is not followed"));
            }
            left = left.checked_sub(1).ok_or_else(|| refuse("more redirects than are followed"))?;
            let next = next.to_str().ok().and_then(|text| url.join(text).ok()).ok_or_else(|| refuse("the redirect names no address"))?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return Err(refuse("a redirect from https to http is not followed"));
            }
            // Credentials are for the origin they were meant for.
            if next.origin() != url.origin() && !fault::off("http-redirect-credentials") {
                shown = Shown::Nothing;
            }
            url = next;
        }
    }

    /// One attempt; a second when the server asks for a nonce it had not given before.
    async fn attempt(&self, request: &OutRequest, url: &Url, shown: Shown<'_>, until: Instant) -> Result<InStream, CallError> {
        let origin = origin_of(url);
        let sent_nonce = self.0.nonces.of(&origin);
        let answer = self.once(request, url, &origin, shown, sent_nonce.as_deref(), until).await?;
        let Shown::Proof(..) = shown else { return Ok(answer) };
        let given = answer.headers.get("dpop-nonce").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let Some(given) = given.filter(|nonce| !nonce.is_empty() && nonce.len() <= 512) else { return Ok(answer) };
        self.0.nonces.keep(&origin, &given);
        let asked = matches!(answer.status.as_u16(), 400 | 401) && sent_nonce.as_deref() != Some(given.as_str());
        if !asked {
            return Ok(answer);
        }
        self.once(request, url, &origin, shown, Some(&given), until).await
    }

    async fn once(
        &self,
        request: &OutRequest,
        url: &Url,
        origin: &str,
        shown: Shown<'_>,
        nonce: Option<&str>,
        until: Instant,
    ) -> Result<InStream, CallError> {
        let reach = self.0.config.guard.reach(url).map_err(|fault| match fault {
            Fault::Bad(why) => CallError::new(CallErrorKind::BadAddress, "", why),
            Fault::Refused => CallError::new(CallErrorKind::RefusedAddress, origin, RefusedAddress.to_string()),
        })?;
        let http = match reach {
            Reach::Guarded => &self.0.guarded,
            Reach::Anywhere => &self.0.named,
        };
        if let Err(wait) = self.0.breakers.admit(origin, Instant::now()) {
            let mut error = CallError::new(CallErrorKind::BreakerOpen, origin, "it failed several times and is given a rest");
            error.retry_after = Some(wait);
            return Err(error);
        }
        let mut headers = request.headers.clone();
        self.show(&mut headers, request, url, shown, nonce)?;
        let sending = http.request(request.method.clone(), url.clone()).headers(headers).body(request.body.clone()).send();
        let outcome = match tokio::time::timeout_at(until, sending).await {
            Err(_) => Err(CallError::new(CallErrorKind::Timeout, origin, "there was no answer in time")),
            Ok(Err(error)) => Err(classify(&error, origin)),
            Ok(Ok(response)) => Ok(response),
        };
        let good = match &outcome {
            Ok(response) => !matches!(response.status().as_u16(), 502..=504),
            // A refused address says nothing of who lives there.
            Err(error) => error.kind == CallErrorKind::RefusedAddress,
        };
        self.0.breakers.record(origin, good, Instant::now());
        let response = outcome?;
        let limit = request.max_response.unwrap_or(self.0.config.max_response);
        if response.content_length().is_some_and(|n| n > limit as u64) {
            return Err(CallError::new(CallErrorKind::TooLarge, origin, "the answer is larger than is taken"));
        }
        Ok(InStream { status: response.status(), headers: response.headers().clone(), url: url.clone(), response, left: limit, until })
    }

    fn show(&self, headers: &mut HeaderMap, request: &OutRequest, url: &Url, shown: Shown<'_>, nonce: Option<&str>) -> Result<(), CallError> {
        let secret = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| CallError::new(CallErrorKind::Token, "", "the credential cannot stand in a header"))?;
            value.set_sensitive(true);
            Ok::<_, CallError>(value)
        };
        match shown {
            Shown::Nothing => {}
            Shown::Bearer(token) => {
                headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {token}"))?);
            }
            Shown::XAuthToken(token) => {
                headers.insert(HeaderName::from_static("x-auth-token"), secret(token)?);
            }
            Shown::Proof(key, token) => {
                let proof = key.proof(request.method.as_str(), url, token, nonce, self.clock().now())?;
                headers.insert(HeaderName::from_static("dpop"), secret(&proof)?);
                if let Some(token) = token {
                    headers.insert(header::AUTHORIZATION, secret(&format!("DPoP {token}"))?);
                }
            }
        }
        Ok(())
    }
}

fn present<'a>(key: Option<&'a DpopKey>, token: &'a str) -> Shown<'a> {
    match key {
        Some(key) => Shown::Proof(key, Some(token)),
        None => Shown::Bearer(token),
    }
}

fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// What a failure of the HTTP client was. Its own text holds the whole address, so none of it is kept.
fn classify(error: &reqwest::Error, origin: &str) -> CallError {
    let chain = || std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |e| e.source());
    let (kind, detail) = if chain().any(<dyn std::error::Error>::is::<RefusedAddress>) {
        (CallErrorKind::RefusedAddress, RefusedAddress.to_string())
    } else if error.is_timeout() {
        (CallErrorKind::Timeout, "there was no answer in time".to_owned())
    } else if chain().any(is_tls) {
        (CallErrorKind::Tls, "the TLS handshake failed".to_owned())
    } else if error.is_dns() {
        (CallErrorKind::Dns, "the name cannot be resolved".to_owned())
    } else if error.is_connect() {
        (CallErrorKind::Connect, "nobody answers there".to_owned())
    } else if error.is_builder() {
        (CallErrorKind::BadAddress, "the request cannot be made".to_owned())
    } else if error.is_decode() {
        (CallErrorKind::BadAnswer, "the answer cannot be unpacked".to_owned())
    } else {
        (CallErrorKind::Broken, "the connection ended in the middle".to_owned())
    };
    CallError::new(kind, origin, detail)
}

fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    // An I/O error hides what it wraps from `source`, and there may be one inside another.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}
