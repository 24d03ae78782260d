//! The OpenID issuer, and who a request comes from.

use super::tokens::Parts;
use super::{State, rdf};
use crate::net::{Reply, Request, locked, put, reply};
use base64::Engine;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

const TOKEN_LIFE: i64 = 600;
const OIDC_ISSUER: &str = "http://www.w3.org/ns/solid/terms#oidcIssuer";

pub(super) fn json(status: StatusCode, body: &Value) -> Reply {
    let mut answer = reply(status, "application/json", body.to_string());
    put(&mut answer, "cache-control", "no-store");
    answer
}

impl State {
    pub(super) fn discovery(&self) -> Reply {
        let base = &self.base;
        json(
            StatusCode::OK,
            &json!({
                "issuer": base,
                "authorization_endpoint": format!("{base}.oidc/auth"),
                "token_endpoint": format!("{base}.oidc/token"),
                "jwks_uri": format!("{base}.oidc/jwks"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "grant_types_supported": ["client_credentials"],
                "scopes_supported": ["openid", "webid"],
                "claims_supported": ["sub", "webid"],
                "id_token_signing_alg_values_supported": ["ES256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
            }),
        )
    }

    pub(super) fn jwks(&self) -> Reply {
        json(StatusCode::OK, &json!({"keys": [self.key.public]}))
    }

    /// Client credentials for a token that is bound to the caller's key.
    pub(super) fn token(&self, request: &Request) -> Reply {
        let refuse = |status: StatusCode, error: &str, why: &str| json(status, &json!({"error": error, "error_description": why}));
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
        if field("grant_type") != Some("client_credentials") {
            return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type", "this stand-in knows client_credentials only");
        }
        let now = (self.now)();
        let mut inner = locked(&self.inner);
        let signed_in = basic(request).and_then(|(id, secret)| {
            inner.clients.get(&id).filter(|(s, _)| *s == secret).map(|(_, webid)| (id.clone(), webid.clone()))
        });
        let Some((client, webid)) = signed_in else {
            return refuse(StatusCode::UNAUTHORIZED, "invalid_client", "unknown client or wrong secret");
        };
        let url = format!("{}.oidc/token", self.base);
        let Some(proof) = request.header("dpop") else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request", "a DPoP proof is needed");
        };
        match inner.proofs.check(proof, "POST", &url, None, now) {
            Err(why) => refuse(StatusCode::BAD_REQUEST, "invalid_dpop_proof", why),
            Ok(thumbprint) => {
                let token = self.key.sign(
                    json!({"typ": "at+jwt", "kid": self.key.thumbprint}),
                    &json!({
                        "webid": webid, "sub": client, "client_id": client, "iss": self.base, "aud": "solid", "scope": "webid",
                        "cnf": {"jkt": thumbprint}, "iat": now, "exp": now + TOKEN_LIFE, "jti": super::random_name(),
                    }),
                );
                json(StatusCode::OK, &json!({"access_token": token, "token_type": "DPoP", "expires_in": TOKEN_LIFE, "scope": "webid"}))
            }
        }
    }

    /// Whose request it is: nobody's without credentials, else the WebID, else why it is refused.
    pub(super) async fn agent(&self, request: &Request) -> Result<Option<String>, &'static str> {
        let Some(authorization) = request.header("authorization") else { return Ok(None) };
        let token = authorization.strip_prefix("DPoP ").ok_or("only DPoP-bound tokens are accepted")?;
        let parts = Parts::of(token).ok_or("the token is not a JWS")?;
        let now = (self.now)();
        let url = super::access::url(&self.base, &request.path);
        let proof = request.header("dpop").ok_or("the DPoP proof is missing")?;
        let thumbprint = locked(&self.inner).proofs.check(proof, request.method.as_str(), &url, Some(token), now)?;
        if parts.claims["cnf"]["jkt"] != thumbprint.as_str() {
            return Err("the token is bound to another key");
        }
        let audience = &parts.claims["aud"];
        if audience != "solid" && !audience.as_array().is_some_and(|a| a.iter().any(|one| one == "solid")) {
            return Err("the token is for another audience");
        }
        if parts.claims["exp"].as_i64().is_none_or(|end| end <= now) {
            return Err("the token has expired");
        }
        let webid = parts.claims["webid"].as_str().ok_or("the token names no WebID")?.to_owned();
        let issuer = parts.claims["iss"].as_str().unwrap_or_default().trim_end_matches('/').to_owned();
        let set = if issuer == self.base.trim_end_matches('/') {
            json!({"keys": [self.key.public]})
        } else {
            foreign_keys(&issuer).await.ok_or("the issuer's keys cannot be had")?
        };
        if !parts.signed_by_one_of(&set) {
            return Err("the token is not signed by its issuer");
        }
        let named = if webid.starts_with(&self.base) { self.own_issuers(&webid) } else { foreign_issuers(&webid).await };
        if named.iter().any(|i| i.trim_end_matches('/') == issuer) { Ok(Some(webid)) } else { Err("the WebID's profile names another issuer") }
    }

    fn own_issuers(&self, webid: &str) -> Vec<String> {
        let document = webid.split('#').next().unwrap_or_default();
        let path = format!("/{}", document.trim_start_matches(&self.base));
        let inner = locked(&self.inner);
        let graph = inner.storage.get(&path).and_then(|r| rdf::parse(&r.body, document).ok());
        graph.map(|g| rdf::objects(&g, webid, OIDC_ISSUER)).unwrap_or_default()
    }
}

/// The identifier and secret of a Basic header, both percent-decoded (RFC 6749 §2.3.1).
fn basic(request: &Request) -> Option<(String, String)> {
    let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let plain = |t: &str| crate::net::decoded(&t.replace('+', "%20"));
    Some((plain(id), plain(secret)))
}

async fn fetch(url: &str, accept: &'static str) -> Option<Bytes> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static(accept));
    let answer = crate::out::send(Method::GET, url, headers, Bytes::new()).await.ok()?;
    (answer.status == 200).then_some(answer.body)
}

async fn foreign_keys(issuer: &str) -> Option<Value> {
    let discovery = fetch(&format!("{issuer}/.well-known/openid-configuration"), "application/json").await?;
    let discovery: Value = serde_json::from_slice(&discovery).ok()?;
    serde_json::from_slice(&fetch(discovery["jwks_uri"].as_str()?, "application/json").await?).ok()
}

async fn foreign_issuers(webid: &str) -> Vec<String> {
    let document = webid.split('#').next().unwrap_or_default();
    let Some(body) = fetch(document, "text/turtle").await else { return Vec::new() };
    rdf::parse(&body, document).map(|g| rdf::objects(&g, webid, OIDC_ISSUER)).unwrap_or_default()
}
