//! The webhook's door, against a stand-in server: every part of a genuine call is forged in turn.

use super::world::{PATIENCE, Watching, by, client, client_at, iri, url};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_context::Contexts;
use waybill_http::{DpopKey, Method, Request as HubRequest};
use waybill_keys::{Algorithm, Key, jws};
use waybill_model::{Clock, DateTime};
use waybill_solid::{Channel, Known, PodConfig, Secret, Session, SignIn, SolidConfig, SolidPod, WatchConfig, WebhookError, Webhooks};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const NOTIFY: &str = "http://www.w3.org/ns/solid/notifications#";

/// A storage with one empty container, an issuer, and a notification service whose sender is `/sender#me`.
pub async fn storage(issuer_key: &Key) -> MockServer {
    let server = MockServer::start().await;
    let own = server.uri();
    let profile = format!(
        "<#me> <http://www.w3.org/ns/solid/terms#oidcIssuer> <{own}> ; <http://www.w3.org/ns/pim/space#storage> <{own}/pod/> ."
    );
    let description = format!("<{own}/pod/> <{NOTIFY}subscription> <{own}/subscribe> . <{own}/subscribe> <{NOTIFY}channelType> <{NOTIFY}WebhookChannel2023> .");
    let documents = [
        ("/hub", "text/turtle", profile.clone()),
        ("/alice", "text/turtle", profile.clone()),
        ("/sender", "text/turtle", profile),
        ("/description", "text/turtle", description),
        ("/pod/consents/", "text/turtle", String::new()),
        ("/.well-known/openid-configuration", "application/json", metadata(&own)),
        ("/jwks", "application/json", json!({"keys": [issuer_key.public().jwk()]}).to_string()),
    ];
    for (at, kind, body) in documents {
        Mock::given(method("GET")).and(path(at)).respond_with(ResponseTemplate::new(200).set_body_raw(body, kind)).mount(&server).await;
    }
    let described = "</description>; rel=\"http://www.w3.org/ns/solid/terms#storageDescription\"";
    let head = ResponseTemplate::new(200).insert_header("Link", described);
    Mock::given(method("HEAD")).and(path("/pod/consents/")).respond_with(head).mount(&server).await;
    let token = json!({"access_token": "t", "token_type": "DPoP", "expires_in": 600});
    Mock::given(method("POST")).and(path("/token")).respond_with(ResponseTemplate::new(200).set_body_json(token)).mount(&server).await;
    let (sender, channel) = (format!("{own}/sender#me"), format!("{own}/channel/1"));
    Mock::given(method("DELETE")).and(path("/channel/1")).respond_with(ResponseTemplate::new(205)).mount(&server).await;
    let subscribed = move |request: &Request| {
        let wish: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        assert_eq!(wish["type"], json!(format!("{NOTIFY}WebhookChannel2023")));
        ResponseTemplate::new(200).set_body_json(json!({"id": channel, "type": wish["type"], "sender": sender, "endAt": wish["endAt"]}))
    };
    Mock::given(method("POST")).and(path("/subscribe")).respond_with(subscribed).mount(&server).await;
    server
}

fn metadata(own: &str) -> String {
    json!({
        "issuer": own, "authorization_endpoint": format!("{own}/auth"), "token_endpoint": format!("{own}/token"), "jwks_uri": format!("{own}/jwks"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
    })
    .to_string()
}

/// The hub and its webhooks at that storage, by a clock.
pub async fn hub_at(server: &MockServer, clock: Clock) -> (SolidPod, Arc<Webhooks>) {
    let own = server.uri();
    let cfg = SolidConfig {
        web_id: iri(&format!("{own}/hub#me")),
        issuer: url(&own),
        sign_in: SignIn::ClientCredentials { id: "hub".into(), secret: Secret::new("x") },
        public_url: None,
        watch: WatchConfig::default(),
    };
    let http = client_at(clock.clone());
    let session = Arc::new(Session::open(&cfg, http.clone(), None).await.expect("opens"));
    let hooks = Arc::new(Webhooks::new(http, clock.clone(), Some(url("https://hub.example/solid/"))));
    let pod_cfg = PodConfig {
        web_id: iri(&format!("{own}/alice#me")),
        issuer: None,
        consents: Some(url(&format!("{own}/pod/consents/"))),
        acknowledgements: None,
        resources: Vec::new(),
    };
    let pod = SolidPod::connect(&pod_cfg, session, Contexts::offline(clock), hooks.clone(), by(&[Channel::Webhook])).await.expect("found");
    (pod, hooks)
}

/// One call, each part of which a case may change.
struct Call {
    typ: &'static str,
    claims: Value,
    signer: Key,
    scheme: &'static str,
    proof_method: &'static str,
    proof_url: String,
    proof_key: DpopKey,
    proof_time: DateTime,
    body: Value,
}

/// What a forger changes.
type Change = fn(&mut Call);

impl Call {
    fn genuine(server: &MockServer, key: &Key, at: &str) -> Self {
        let now = Clock::system().now();
        let proof_key = DpopKey::generate().expect("a key");
        Self {
            typ: "at+jwt",
            claims: json!({
                "iss": format!("{}/", server.uri()), "webid": format!("{}/sender#me", server.uri()), "sub": "x", "aud": ["x", "solid"],
                "iat": now.seconds(), "exp": now.seconds() + 600, "cnf": {"jkt": proof_key.thumbprint()},
            }),
            signer: key.clone(),
            scheme: "DPoP",
            proof_method: "POST",
            proof_url: at.to_owned(),
            proof_key,
            proof_time: now,
            body: json!({"type": "Add", "object": format!("{}/pod/consents/one", server.uri()), "target": format!("{}/pod/consents/", server.uri())}),
        }
    }

    fn parts(&self) -> (String, String, Vec<u8>) {
        let token = jws::sign(&self.signer, self.typ, &self.claims);
        let proof = self.proof_key.proof(self.proof_method, &url(&self.proof_url), None, None, self.proof_time).expect("a proof");
        (format!("{} {token}", self.scheme), proof, self.body.to_string().into_bytes())
    }

    async fn send(&self, hooks: &Webhooks, name: &str) -> Result<(), WebhookError> {
        let (authorization, proof, body) = self.parts();
        hooks.receive(name, Some(&authorization), Some(&proof), &body).await
    }
}

#[tokio::test]
async fn every_part_of_a_call_is_checked() {
    let key = Key::generate(Algorithm::Es256, None, Clock::system().now());
    let server = storage(&key).await;
    let own = server.uri();
    let (pod, hooks) = hub_at(&server, Clock::system()).await;
    let mut watching = Watching::begin(&pod, Vec::new());
    watching.subscribed((1, 0)).await;
    let at = hooks.addresses().first().expect("a webhook").to_string();
    let name = at.rsplit('/').next().expect("a name").to_owned();

    let cases: [(&str, Change); 15] = [
        ("signed by another key", |c| c.signer = Key::generate(Algorithm::Es256, None, Clock::system().now())),
        ("by another issuer", |c| c.claims["iss"] = json!("https://issuer.example/")),
        ("of another sender", |c| c.claims["webid"] = json!("https://mallory.example/#me")),
        ("without a sender", |c| c.claims["webid"] = Value::Null),
        ("for another audience", |c| c.claims["aud"] = json!("elsewhere")),
        ("expired", |c| c.claims["exp"] = json!(Clock::system().now().seconds() - 3600)),
        ("of the future", |c| c.claims["iat"] = json!(Clock::system().now().seconds() + 3600)),
        ("bound to no key", |c| c.claims["cnf"] = json!({})),
        ("bound to another key", |c| c.claims["cnf"] = json!({"jkt": "another"})),
        ("as a bearer", |c| c.scheme = "Bearer"),
        ("proof for another method", |c| c.proof_method = "PUT"),
        ("proof for another webhook", |c| c.proof_url = "https://hub.example/solid/webhook/another".into()),
        ("proof by another key", |c| c.proof_key = DpopKey::generate().expect("a key")),
        ("an old proof", |c| c.proof_time = c.proof_time.plus_seconds(-3600)),
        ("a proof of the future", |c| c.proof_time = c.proof_time.plus_seconds(3600)),
    ];
    for (what, change) in cases {
        let mut call = Call::genuine(&server, &key, &at);
        change(&mut call);
        let outcome = call.send(&hooks, &name).await;
        assert!(matches!(outcome, Err(WebhookError::Caller(_))), "{what}: {outcome:?}");
    }
    let unsigned = {
        let call = Call::genuine(&server, &key, &at);
        let header = waybill_keys::b64url(r#"{"alg":"none","typ":"at+jwt"}"#);
        format!("DPoP {header}.{}.", waybill_keys::b64url(call.claims.to_string()))
    };
    let (_, proof, body) = Call::genuine(&server, &key, &at).parts();
    assert!(matches!(hooks.receive(&name, Some(&unsigned), Some(&proof), &body).await, Err(WebhookError::Caller(_))), "alg none");
    let mut other = Call::genuine(&server, &key, &at);
    other.body = json!({"type": "Add", "object": format!("{own}/pod/elsewhere")});
    assert_eq!(other.send(&hooks, &name).await, Err(WebhookError::Message), "about something else");

    // The genuine call is taken, once; and it makes the hub look.
    let genuine = Call::genuine(&server, &key, &at);
    let (authorization, proof, body) = genuine.parts();
    let before = looks(&server).await;
    assert_eq!(hooks.receive(&name, Some(&authorization), Some(&proof), &body).await, Ok(()));
    watching.subscribed((1, 0)).await;
    assert!(looks(&server).await > before, "the pod was looked at");
    let again = hooks.receive(&name, Some(&authorization), Some(&proof), &body).await;
    assert!(matches!(again, Err(WebhookError::Caller(_))), "the same call again: {again:?}");
    watching.end().await;
    assert_eq!(hooks.receive(&name, Some(&authorization), Some(&proof), &body).await, Err(WebhookError::Unknown));
}

#[tokio::test]
async fn a_subscription_is_renewed_before_it_ends() {
    let key = Key::generate(Algorithm::Es256, None, Clock::system().now());
    let server = storage(&key).await;
    let clock = Clock::system();
    let (pod, hooks) = hub_at(&server, clock.clone()).await;
    let mut watching = Watching::begin(&pod, Vec::new());
    watching.subscribed((1, 0)).await;
    let first = hooks.addresses();
    // It was granted for an hour. After half of that it is as it was, after four fifths there is a new one in its place.
    let half_an_hour = 1800 * 1_000_000;
    clock.advance_micros(half_an_hour);
    pod.look_now();
    watching.subscribed((1, 0)).await;
    assert_eq!(hooks.addresses(), first);
    clock.advance_micros(half_an_hour / 5 * 3);
    pod.look_now();
    watching.subscribed((1, 0)).await;
    // The renewal comes after that look; it makes the hub look once more.
    watching.subscribed((1, 0)).await;
    let second = hooks.addresses();
    assert!(second.len() == 1 && second != first, "{second:?}");
    watching.end().await;
}

#[tokio::test]
async fn a_watch_that_is_cut_off_ends_its_subscriptions() {
    let key = Key::generate(Algorithm::Es256, None, Clock::system().now());
    let server = storage(&key).await;
    let (pod, hooks) = hub_at(&server, Clock::system()).await;
    let (tx, mut events) = tokio::sync::mpsc::channel(8);
    let watching = tokio::spawn(async move { pod.watch(Known::default(), tx).await });
    assert!(events.recv().await.is_some());
    assert_eq!(hooks.addresses().len(), 1);
    watching.abort();
    let _ = watching.await;
    assert!(hooks.addresses().is_empty());
    let ended = tokio::time::timeout(PATIENCE, async {
        while !server.received_requests().await.expect("requests").iter().any(|r| r.method.as_str() == "DELETE") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    ended.await.expect("the subscription is ended at the server");
}

/// How often the container was listed.
async fn looks(server: &MockServer) -> usize {
    let all = server.received_requests().await.expect("requests");
    all.iter().filter(|r| r.method.as_str() == "GET" && r.url.path() == "/pod/consents/").count()
}

#[tokio::test]
async fn the_routes_are_the_document_and_the_webhooks() {
    let hooks = Arc::new(Webhooks::new(client(), Clock::system(), None));
    let routes = waybill_solid::server::routes("/solid/", &url("https://hub.example/solid/"), &[], hooks.clone());
    let wanted = [(Method::GET, "/solid/client-id".to_owned()), (Method::POST, "/solid/webhook/{name}".to_owned())];
    assert_eq!(routes.listing(), wanted);
    let request = HubRequest::for_tests(Method::POST, "/solid/webhook/x", "{}", waybill_http::Caller::anonymous());
    let problem = waybill_solid::server::webhook(&hooks, &request).await.expect_err("a stranger");
    assert_eq!((problem.status, problem.code.as_str()), (404, "webhook-unknown"));
}
