//! Signing in, against a stand-in issuer that checks what it is sent.

use super::world::{client, iri, url};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use waybill_http::{HeaderMap, Method, ProofExpectation, ReplayCache, verify_proof};
use waybill_keys::{Algorithm, Key, jws};
use waybill_model::Clock;
use waybill_solid::client::session::{client_id, client_id_document};
use waybill_solid::{Secret, Session, SignIn, SolidConfig, SolidError, WatchConfig};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Makes the issuer's server: a profile that names `issuer`, a description that says it is of `described`.
async fn issuer(issuer: Option<&str>, described: Option<&str>) -> MockServer {
    let server = MockServer::start().await;
    let own = server.uri();
    let profile = format!("<#me> <http://www.w3.org/ns/solid/terms#oidcIssuer> <{}> .", issuer.unwrap_or(&own));
    Mock::given(method("GET"))
        .and(path("/hub"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(profile, "text/turtle"))
        .mount(&server)
        .await;
    let metadata = json!({"issuer": described.map_or_else(|| format!("{own}/"), str::to_owned), "token_endpoint": format!("{own}/token")});
    Mock::given(method("GET"))
        .and(path("/.well-known/openid-configuration"))
        .respond_with(ResponseTemplate::new(200).set_body_json(metadata))
        .mount(&server)
        .await;
    server
}

fn config(server: &MockServer, sign_in: SignIn) -> SolidConfig {
    SolidConfig {
        web_id: iri(&format!("{}/hub#me", server.uri())),
        issuer: url(&server.uri()),
        sign_in,
        public_url: Some(url("https://hub.example/solid/")),
        watch: WatchConfig::default(),
    }
}

fn credentials() -> SignIn {
    SignIn::ClientCredentials { id: "the hub".into(), secret: Secret::new("s3cret") }
}

/// A token endpoint that wants a nonce first, then checks assertion and proof, and remembers what was wrong.
struct TokenEndpoint {
    uri: String,
    key: waybill_keys::PublicKey,
    answer: Value,
    calls: AtomicU32,
    faults: Arc<Mutex<Vec<String>>>,
}

impl TokenEndpoint {
    fn check(&self, request: &Request) -> Result<(), String> {
        let form: HashMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let get = |name: &str| form.get(name).map(String::as_str).ok_or(format!("no {name}"));
        if get("grant_type")? != "client_credentials" || get("scope")? != "webid" {
            return Err("another grant or scope".into());
        }
        if get("client_assertion_type")? != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            return Err("another kind of assertion".into());
        }
        let now = Clock::system().now();
        let verified = jws::verify(get("client_assertion")?, "JWT", &self.key, now).map_err(|e| e.to_string())?;
        let claims: Value = verified.claims().map_err(|e| e.to_string())?;
        let me = client_id(&url("https://hub.example/solid/"));
        if claims["iss"] != json!(me) || claims["sub"] != json!(me) || claims["aud"] != json!(format!("{}/", self.uri)) {
            return Err(format!("another subject or audience: {claims}"));
        }
        let life = claims["exp"].as_i64().unwrap_or(0) - now.seconds();
        if !(1..=60).contains(&life) {
            return Err(format!("good for {life} s"));
        }
        let proof = request.headers.get("dpop").and_then(|v| v.to_str().ok()).ok_or("no proof")?;
        let wanted = ProofExpectation { method: "POST", url: &format!("{}/token", self.uri), access_token: None, key_thumbprint: None };
        verify_proof(proof, &wanted, now, &ReplayCache::default()).map_err(|e| e.to_string())?;
        let payload = proof.split('.').nth(1).and_then(waybill_keys::unb64url).ok_or("no payload")?;
        let claims: Value = serde_json::from_slice(&payload).map_err(|e| e.to_string())?;
        if claims["nonce"] == json!("n-1") { Ok(()) } else { Err("no nonce".into()) }
    }
}

impl Respond for TokenEndpoint {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            return ResponseTemplate::new(400).insert_header("DPoP-Nonce", "n-1").set_body_json(json!({"error": "use_dpop_nonce"}));
        }
        match self.check(request) {
            Ok(()) => ResponseTemplate::new(200).set_body_json(&self.answer),
            Err(fault) => {
                self.faults.lock().expect("faults").push(fault);
                ResponseTemplate::new(401)
            }
        }
    }
}

/// Opens a session by Client ID Document and signs in; gives the outcome and what the issuer found wrong.
async fn by_document(answer: Value) -> (Result<(), SolidError>, Vec<String>) {
    let server = issuer(None, None).await;
    let key = Key::generate(Algorithm::Es256, None, Clock::system().now());
    // The key that the issuer believes is the one in the Client ID Document.
    let document = client_id_document(&url("https://hub.example/solid/"), std::slice::from_ref(key.public()));
    let published = waybill_keys::PublicKey::from_jwk(&document["jwks"]["keys"][0], None).expect("a key");
    let faults = Arc::new(Mutex::new(Vec::new()));
    let endpoint = TokenEndpoint { uri: server.uri(), key: published, answer, calls: AtomicU32::new(0), faults: faults.clone() };
    Mock::given(method("POST")).and(path("/token")).respond_with(endpoint).mount(&server).await;
    let session = Session::open(&config(&server, SignIn::ClientIdDocument), client(), Some(key)).await.expect("opens");
    let outcome = session.sign_in().await;
    let found = faults.lock().expect("faults").clone();
    (outcome, found)
}

#[tokio::test]
async fn the_hub_signs_in_by_its_client_id_document() {
    let (outcome, faults) = by_document(json!({"access_token": "t", "token_type": "DPoP", "expires_in": 600})).await;
    assert_eq!((outcome, faults), (Ok(()), Vec::new()));
}

#[tokio::test]
async fn tokens_that_are_not_bound_are_not_used() {
    let (outcome, faults) = by_document(json!({"access_token": "t", "token_type": "Bearer"})).await;
    assert!(matches!(outcome, Err(SolidError::SignIn(_))), "{outcome:?}");
    assert_eq!(faults, Vec::<String>::new());
}

#[tokio::test]
async fn the_hub_signs_in_only_where_its_profile_says() {
    let foreign = issuer(Some("https://issuer.example/"), None).await;
    let opened = Session::open(&config(&foreign, credentials()), client(), None).await;
    assert_eq!(opened.err(), Some(SolidError::ForeignIssuer));
    let other = issuer(None, Some("https://issuer.example/")).await;
    let opened = Session::open(&config(&other, credentials()), client(), None).await;
    assert!(matches!(opened.err(), Some(SolidError::Malformed { what: "issuer", .. })), "an issuer that describes another one");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = issuer(None, None).await;
    let tokens = AtomicU32::new(0);
    let token = move |_: &Request| {
        let number = tokens.fetch_add(1, Ordering::SeqCst);
        ResponseTemplate::new(200).set_body_json(json!({"access_token": format!("t{number}"), "token_type": "DPoP", "expires_in": 600}))
    };
    Mock::given(method("POST")).and(path("/token")).respond_with(token).expect(2).mount(&server).await;
    let resource = |request: &Request| {
        let shown = request.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        ResponseTemplate::new(if shown == "DPoP t1" { 200 } else { 401 })
    };
    Mock::given(method("GET")).and(path("/pod/a")).respond_with(resource).mount(&server).await;
    let session = Session::open(&config(&server, credentials()), client(), None).await.expect("opens");
    let at = url(&format!("{}/pod/a", server.uri()));
    let answer = session.send(Method::GET, &at, HeaderMap::new(), bytes::Bytes::new()).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[test]
fn the_configuration_is_read_strictly_and_keeps_its_secret() {
    let text = json!({
        "web-id": "https://hub.example/id#me", "issuer": "https://issuer.example/",
        "sign-in": {"kind": "client-credentials", "id": "hub", "secret": "s3cret"},
        "watch": {"channels": ["web-socket"], "poll-seconds": 5},
    });
    let cfg: SolidConfig = serde_json::from_value(text.clone()).expect("reads");
    assert!(!format!("{cfg:?}").contains("s3cret"), "{cfg:?}");
    assert_eq!(cfg.watch.poll_seconds, 5);
    let mut wrong = text;
    wrong["watch"]["pol-seconds"] = json!(5);
    assert!(serde_json::from_value::<SolidConfig>(wrong).is_err());
}

#[test]
fn a_revoked_key_is_not_in_the_client_id_document() {
    let now = Clock::system().now();
    let (good, bad) = (Key::generate(Algorithm::Es256, None, now), Key::generate(Algorithm::Es256, None, now));
    let mut revoked = bad.public().clone();
    revoked.revoked = Some(now);
    let document = client_id_document(&url("https://hub.example/solid/"), &[good.public().clone(), revoked]);
    assert_eq!(document["client_id"], json!("https://hub.example/solid/client-id"));
    let kids: Vec<&Value> = document["jwks"]["keys"].as_array().expect("keys").iter().map(|k| &k["kid"]).collect();
    assert_eq!(kids, [&json!(good.kid())]);
    assert!(document["jwks"]["keys"][0].get("d").is_none(), "no private key");
}
