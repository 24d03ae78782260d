//! Who calls, and how this hub shows itself: the seam at which a dataspace's own scheme is put in.

use crate::config::{DspConfig, Participant};
use crate::fault::Fault;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use waybill_http::{Auth, OutRequest, Request, TokenVerifier, header};
use waybill_keys::sha256;
use waybill_model::DateTime;
use waybill_port::BoxFuture;

/// A scheme by which participants know each other.
pub trait Identity: Send + Sync {
    /// The identifier of the participant that sent `request`; nothing when nobody is recognised.
    fn recognise<'a>(&'a self, request: &'a Request, now: DateTime) -> BoxFuture<'a, Result<Option<String>, Fault>>;
    /// `request` with what shows `to` that this hub calls.
    fn show(&self, request: OutRequest, own: &DspConfig, to: &Participant) -> OutRequest;
    /// What the version endpoint says of it: protocol and version.
    fn protocol(&self) -> Option<(&'static str, &'static str)>;
}

/// Tokens that two operators gave each other.
#[derive(Default)]
pub struct StaticIdentity {
    tokens: Vec<([u8; 32], String)>,
}

impl fmt::Debug for StaticIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tokens.iter().map(|(_, id)| id)).finish()
    }
}

impl StaticIdentity {
    /// Knows each participant by its token.
    pub fn new(tokens: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { tokens: tokens.into_iter().map(|(id, token)| (sha256(token.as_bytes()), id)).collect() }
    }
}

fn bearer(request: &Request) -> Option<&str> {
    let text = request.header(header::AUTHORIZATION)?;
    Some(text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")).unwrap_or(text).trim())
}

impl Identity for StaticIdentity {
    fn recognise<'a>(&'a self, request: &'a Request, _: DateTime) -> BoxFuture<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            let Some(token) = bearer(request) else { return Ok(None) };
            // Digests are compared, so how long that takes says nothing of a token.
            let digest = sha256(token.as_bytes());
            Ok(self.tokens.iter().filter(|(known, _)| *known == digest).map(|(_, id)| id.clone()).next_back())
        })
    }
    fn show(&self, request: OutRequest, _: &DspConfig, to: &Participant) -> OutRequest {
        request.auth(to.auth.clone())
    }
    fn protocol(&self) -> Option<(&'static str, &'static str)> {
        None
    }
}

/// Tokens of OAuth 2 issuers, verified by their published keys.
pub struct OAuthIdentity {
    verifier: Arc<TokenVerifier>,
    /// Issuer, client, participant.
    clients: Vec<(String, String, String)>,
}

impl OAuthIdentity {
    /// Knows each participant by the issuer and the client that its tokens name: (issuer, client, participant).
    pub fn new(verifier: Arc<TokenVerifier>, clients: Vec<(String, String, String)>) -> Self {
        Self { verifier, clients }
    }
}

impl Identity for OAuthIdentity {
    fn recognise<'a>(&'a self, request: &'a Request, now: DateTime) -> BoxFuture<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            let Some(token) = bearer(request) else { return Ok(None) };
            let token = self.verifier.verify(token, now).await.map_err(|e| Fault::from(e.to_problem()))?;
            let same = |a: &str, b: &str| a.trim_end_matches('/') == b.trim_end_matches('/');
            let found = self.clients.iter().find(|(issuer, client, _)| same(issuer, &token.issuer) && token.claims.client.as_deref() == Some(client));
            Ok(found.map(|(_, _, id)| id.clone()))
        })
    }
    fn show(&self, request: OutRequest, _: &DspConfig, to: &Participant) -> OutRequest {
        request.auth(to.auth.clone())
    }
    fn protocol(&self) -> Option<(&'static str, &'static str)> {
        Some(("OAuth", "2"))
    }
}

/// The form that the Eclipse EDC uses in its own tests: the header is JSON that names a client, and everybody is believed. The program
/// refuses to start with it anywhere but on loopback.
#[derive(Debug, Clone, Copy)]
pub struct MockIdentity;

impl Identity for MockIdentity {
    fn recognise<'a>(&'a self, request: &'a Request, _: DateTime) -> BoxFuture<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            let claims = bearer(request).and_then(|text| serde_json::from_str::<Value>(text).ok());
            Ok(claims.and_then(|c| c.get("clientId").and_then(Value::as_str).map(str::to_owned)))
        })
    }
    fn show(&self, request: OutRequest, own: &DspConfig, to: &Participant) -> OutRequest {
        let claims = serde_json::json!({"region": "eu", "audience": to.id, "clientId": own.participant});
        request.auth(Auth::None).header(header::AUTHORIZATION, claims.to_string())
    }
    fn protocol(&self) -> Option<(&'static str, &'static str)> {
        None
    }
}
