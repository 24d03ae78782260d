//! Renewing the token of a flow (DPS, token renewal profile): the client shows by a JWT of its own that it is whom the right was given to.

use crate::connector::Connector;
use crate::fault::Fault;
use super::flow::Flow;
use super::states::FlowState;
use crate::plane::{Claims, FLOW, Tokens};
use crate::process::Agreed;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;
use waybill_http::{OutRequest, Query, Request, header};
use waybill_keys::jws::verify;
use waybill_keys::{KeyLookup, PublicKey, did_web_url};

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_DOCUMENT: usize = 256 << 10;
/// How long after its signing such a JWT is taken at most, in seconds.
const OLDEST: i64 = 3600;
/// Clocks differ, in seconds.
const SKEW: i64 = 60;

/// What the client's JWT says ("Client Authentication").
#[derive(Deserialize)]
struct ClientClaims {
    iss: String,
    sub: String,
    aud: Value,
    token: String,
    iat: i64,
    exp: i64,
}

/// The keys of a DID document by the identifiers that it gives them itself.
struct Methods(Vec<(String, PublicKey)>);

impl KeyLookup for Methods {
    fn key(&self, kid: &str) -> Option<PublicKey> {
        self.0.iter().find(|(id, _)| id == kid || id.rsplit_once('#').is_some_and(|(_, name)| name == kid)).map(|(_, key)| key.clone())
    }
}

impl Methods {
    /// The methods that `did` controls and lists for authentication, where it lists any.
    fn read(document: &Value, did: &str) -> Option<Self> {
        if document["id"] != did {
            return None;
        }
        let whole = |id: &str| if id.starts_with('#') { format!("{did}{id}") } else { id.to_owned() };
        let named = document.get("authentication").and_then(Value::as_array);
        let may = |id: &str| named.is_none_or(|list| list.iter().filter_map(Value::as_str).any(|n| whole(n) == id));
        let mut out = Vec::new();
        for method in document.get("verificationMethod").and_then(Value::as_array)? {
            let Some(id) = method["id"].as_str().map(whole).filter(|id| may(id)) else { continue };
            let live = method["controller"] == did && method.get("revoked").is_none();
            if let Some(key) = PublicKey::from_jwk(&method["publicKeyJwk"], Some(did)).filter(|_| live) {
                out.push((id, key));
            }
        }
        Some(Self(out))
    }
}

/// Why a renewal is refused, in the words of RFC 6749, section 5.2.
pub(crate) struct Refused {
    pub status: u16,
    pub error: &'static str,
    pub detail: String,
}

fn client(detail: impl Into<String>) -> Refused {
    Refused { status: 401, error: "invalid_client", detail: detail.into() }
}
fn grant(detail: impl Into<String>) -> Refused {
    Refused { status: 400, error: "invalid_grant", detail: detail.into() }
}
fn failed(fault: &Fault) -> Refused {
    tracing::warn!(code = fault.code, "a token is not renewed: {}", fault.detail);
    Refused { status: 503, error: "temporarily_unavailable", detail: "try again in a moment".into() }
}

impl Connector {
    /// A fresh pair of tokens for the one that renews.
    pub(crate) async fn renew_flow(&self, request: &Request) -> Result<Tokens, Refused> {
        let form = std::str::from_utf8(&request.body).ok().and_then(|text| Query::parse(text).ok());
        // The profile's own example has them in the query.
        let given = |name: &str| form.as_ref().and_then(|f| f.get(name)).or_else(|| request.query.get(name)).map(str::to_owned);
        if given("grant_type").as_deref() != Some("refresh_token") {
            return Err(Refused { status: 400, error: "unsupported_grant_type", detail: "grant_type must be refresh_token".into() });
        }
        let refresh = given("refresh_token").ok_or_else(|| Refused { status: 400, error: "invalid_request", detail: "refresh_token is missing".into() })?;
        let bearer = request.header(header::AUTHORIZATION).and_then(|h| h.strip_prefix("Bearer ").or_else(|| h.strip_prefix("bearer ")));
        let bearer = bearer.ok_or_else(|| client("a JWT of the client is needed as bearer token"))?;

        // First whose right it is: only the one document that this names is fetched.
        let over = || grant("this token renews nothing any more");
        let claims = self.claims(&refresh, FLOW.refresh).ok_or_else(over)?;
        let (flow, agreed) = self.renewable_flow(&claims).await.map_err(|f| failed(&f))?.ok_or_else(over)?;
        let shown = self.client_claims(bearer.trim(), &flow.counterparty).await?;
        let access = self.claims_once(&shown.token, FLOW.access).filter(|c| c.tid == claims.tid && c.start == claims.start);
        if access.is_none() {
            return Err(grant("the claim `token` is not the access token that goes with this right"));
        }
        let lasts = self.config().limits.token_seconds;
        Ok(self.issue(&FLOW, (&flow.id, flow.generation), lasts, agreed.and_then(|a| a.until), self.now()))
    }

    /// The flow whose token may be renewed. One of a conformance run opens nothing, and is renewed all the same.
    async fn renewable_flow(&self, claims: &Claims) -> Result<Option<(Flow, Option<Agreed>)>, Fault> {
        let scripted = |f: &Flow| f.is_scripted() && f.state == FlowState::Started && f.generation == claims.start;
        if let Some(flow) = self.data_flow(&claims.tid).await?.filter(scripted) {
            return Ok(self.config().conformance.is_some().then_some((flow, None)));
        }
        Ok(self.opened_flow(claims).await?.map(|(flow, agreed)| (flow, Some(agreed))))
    }

    /// What the JWT says, once it is sure that it is of `did` and for this hub ("Provider Request Validation").
    async fn client_claims(&self, jwt: &str, did: &str) -> Result<ClientClaims, Refused> {
        let methods = self.methods(did).await?;
        let now = self.now();
        let verified = verify(jwt, "JWT", &methods, now).map_err(|e| client(e.to_string()))?;
        let claims: ClientClaims = verified.claims().map_err(|e| client(e.to_string()))?;
        let participant = self.config().participant.clone();
        let to_us = match &claims.aud {
            Value::String(one) => *one == participant,
            Value::Array(list) => list.iter().any(|a| *a == participant.as_str()),
            _ => false,
        };
        let seconds = now.seconds();
        if claims.iss != did || claims.sub != did {
            return Err(client("it is of another client than the right was given to"));
        }
        if !to_us {
            return Err(client("it is for somebody else"));
        }
        if claims.exp + SKEW < seconds || claims.iat + OLDEST < seconds {
            return Err(client("its time is over"));
        }
        Ok(claims)
    }

    async fn methods(&self, did: &str) -> Result<Methods, Refused> {
        let url = did_web_url(did).ok_or_else(|| client("only a did:web can renew"))?;
        let request = OutRequest::get(self.reached(url)).deadline(DEADLINE).max_response(MAX_DOCUMENT).template("did");
        let answer = self.0.client.send(request).await.map_err(|e| client(format!("the client's DID document cannot be read: {e}")))?;
        let document = answer.success().and_then(|a| a.json::<Value>()).map_err(|e| client(format!("the client's DID document cannot be read: {e}")))?;
        Methods::read(&document, did).ok_or_else(|| client("the document is not that of the client"))
    }

    /// A conformance kit on this machine has no certificate.
    fn reached(&self, url: String) -> String {
        let Some(rest) = url.strip_prefix("https://").filter(|_| self.config().conformance.is_some()) else { return url };
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if here { format!("http://{rest}") } else { url }
    }
}
