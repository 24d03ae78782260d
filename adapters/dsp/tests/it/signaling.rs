//! The hub as a data plane behind a control plane that a test plays: the table, what may flow, and with which token.

use crate::deals::ADVICE;
use crate::people::{METER, People};
use crate::support::{Double, Node, Setup, Wire, client_wire, eventually, free, iri, open_offering, party_of};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use waybill_dsp::Role::{self, Consumer as C, Provider as P};
use waybill_dsp::{Conformance, ControlPlane, DATA_PLANE_PATH, FlowEvent, FlowState, Format, HTTP_PULL, HTTP_PUSH, Offering, data_plane_routes, flow_next};
use waybill_http::{Auth, Authenticator, Caller, Method, OutRequest, ResolveToken, Response, ServerConfig, ServerHandle, header, serve};
use waybill_keys::{KeyRing, jws};
use waybill_model::Clock;

const TOKEN: &str = "plane-0123456789abcdef";
pub const OPEN: &str = "urn:dataset:stations";
pub const METERS: &str = "urn:dataset:meters";
pub const ANNA: &str = "https://anna.example/#me";

/// From, side, what happens, to. The specification's figure, and its note that any state may be terminated.
const EDGES: &[(&str, Role, &str, &str)] = &[
    ("-", C, "Prepare", "PREPARED"),
    ("-", C, "PrepareLater", "PREPARING"),
    ("PREPARING", C, "Prepared", "PREPARED"),
    ("PREPARED", C, "Started", "STARTED"),
    ("-", P, "Start", "STARTED"),
    ("-", P, "StartLater", "STARTING"),
    ("STARTING", P, "Started", "STARTED"),
];

#[test]
fn a_flow_takes_every_step_of_the_figure_and_no_other() {
    for from in std::iter::once(None).chain(FlowState::ALL.map(Some)) {
        for role in [C, P] {
            for event in FlowEvent::ALL {
                let (name, word) = (from.map_or("-", FlowState::as_str), format!("{event:?}"));
                let listed = EDGES.iter().find(|(f, r, e, _)| (*f, *r, *e) == (name, role, word.as_str())).map(|(_, _, _, to)| *to);
                let either = match (name, event) {
                    ("STARTED", FlowEvent::Suspend) => Some("SUSPENDED"),
                    ("SUSPENDED", FlowEvent::Resume) => Some("STARTED"),
                    ("STARTED", FlowEvent::Complete) => Some("COMPLETED"),
                    ("-" | "COMPLETED" | "TERMINATED", _) => None,
                    (_, FlowEvent::Terminate) => Some("TERMINATED"),
                    _ => None,
                };
                assert_eq!(flow_next(from, role, event).map(FlowState::as_str), listed.or(either), "{name} {role:?} {word}");
            }
        }
        assert!(from.is_none_or(|s| !s.is_final() || FlowEvent::ALL.iter().all(|e| flow_next(from, P, *e).is_none() && flow_next(from, C, *e).is_none())));
    }
}

/// A provider's data plane and its control plane.
pub struct Stand {
    pub p: Node,
    pub clock: Clock,
    pub plane: Double,
    pub wire: Wire,
    /// What the control plane shows as agreement, whatever the process.
    pub agreement: Arc<Mutex<Value>>,
    client: String,
    _server: ServerHandle,
}

impl Stand {
    pub async fn new() -> Self {
        Self::with("c".to_owned(), None).await
    }

    async fn with(client: String, conformance: Option<Conformance>) -> Self {
        let clock = Clock::system();
        let named: &'static str = Box::leak(client.clone().into_boxed_str());
        let meters = Offering { types: vec![iri(METER)], personal: true, purposes: vec![iri(ADVICE)], formats: Format::ALL.to_vec(), ..open_offering(METERS) };
        let other = Offering { to: vec!["somebody-else".into()], ..open_offering("urn:dataset:not-for-c") };
        let setup = Setup::new("p", free(), &clock).knows(named, None).offers([open_offering(OPEN), meters, other]);
        let (mut config, identity) = (setup.config(), setup.identity());
        let p = setup.start().await;
        let agreement: Arc<Mutex<Value>> = Arc::default();
        let shown = agreement.clone();
        let plane = Double::start(free(), move |path, _| {
            let shown = shown.lock().expect("lock").clone();
            async move { if path.ends_with("/agreement") && !shown.is_null() { Response::json(200, &shown) } else if path.ends_with("/agreement") { Response::empty(404) } else { Response::empty(200) } }
        })
        .await;
        config.control_plane = Some(Arc::new(ControlPlane { url: plane.base.clone(), token: waybill_keys::sha256(TOKEN.as_bytes()), auth: Auth::None, register: false }));
        config.conformance = conformance;
        p.connector.replace(config, identity);
        let at = free();
        let server = serve(ServerConfig::new(at), data_plane_routes(&p.connector), Authenticator::closed(), clock.clone()).await.expect("served");
        let mut stand = Self { wire: client_wire(&format!("http://{at}{DATA_PLANE_PATH}"), TOKEN), p, clock, plane, agreement, client, _server: server };
        stand.p.drive();
        stand
    }

    pub fn agrees(&self, id: &str, dataset: &str, constraints: &Value) {
        let mut permission = json!({"action": "use"});
        if constraints.as_array().is_some_and(|l| !l.is_empty()) {
            permission["constraint"] = constraints.clone();
        }
        *self.agreement.lock().expect("lock") = json!({
            "@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@id": id, "@type": "Agreement", "target": dataset,
            "assigner": "p", "assignee": self.client, "permission": [permission],
        });
    }

    pub fn message(&self, process: &str, agreement: &str, dataset: &str) -> Value {
        json!({
            "messageId": format!("m-{process}"), "participantId": "p", "counterPartyId": self.client, "dataspaceContext": "test", "processId": process,
            "agreementId": agreement, "datasetId": dataset, "profile": HTTP_PULL, "claims": {},
        })
    }

    /// A flow that is started: its identifier and the answer.
    pub async fn started(&self, process: &str, agreement: &str, dataset: &str) -> (String, Value) {
        let (status, body) = self.wire.post("/dataflows/start", &self.message(process, agreement, dataset)).await;
        assert_eq!((status, body["state"].as_str()), (200, Some("STARTED")), "{body}");
        (body["dataFlowId"].as_str().expect("an id").to_owned(), body)
    }

    pub async fn says(&self, id: &str, name: &str, message: &str) -> (u16, Value) {
        self.wire.post(&format!("/dataflows/{id}/{name}"), &json!({"messageId": message})).await
    }

    pub async fn state(&self, id: &str) -> String {
        self.wire.get(&format!("/dataflows/{id}/status")).await.1["state"].as_str().unwrap_or_default().to_owned()
    }

    async fn opens(&self, token: &str) -> Option<Caller> {
        self.p.connector.resolve(token).await.and_then(Result::ok)
    }

    /// Refused with `code`, and nothing begun.
    pub async fn refuses(&self, message: &Value, status: u16, code: &str) {
        let (found, body) = self.wire.post("/dataflows/start", message).await;
        assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{body}");
    }

    pub fn told(&self, name: &str) -> Vec<Value> {
        self.plane.heard().into_iter().filter(|(path, _)| path.ends_with(&format!("/dataflow/{name}"))).map(|(_, body)| body).collect()
    }
}

pub fn property(body: &Value, name: &str) -> String {
    let list = body["dataAddress"]["endpointProperties"].as_array().expect("properties");
    list.iter().find(|p| p["name"] == name).and_then(|p| p["value"].as_str()).expect("the property").to_owned()
}

pub fn purpose(of: &str) -> Value {
    json!({"leftOperand": "http://www.w3.org/ns/odrl/2/purpose", "operator": "isA", "rightOperand": of})
}

#[tokio::test]
async fn a_token_is_good_while_its_flow_is_started() {
    let stand = Stand::new().await;
    // The Eclipse EDC's agreements are numbered so.
    stand.agrees("0b8f9a52-1", OPEN, &json!([]));
    let (id, body) = stand.started("t1", "0b8f9a52-1", OPEN).await;
    assert_eq!(body["dataAddress"]["endpointType"], HTTP_PULL);
    let first = property(&body, "authorization");
    let caller = stand.opens(&first).await.expect("open");
    assert_eq!((caller.party, caller.purpose, caller.agreement), (Some(party_of("c")), None, Some(iri("urn:waybill:agreement:0b8f9a52-1"))));

    // The same message once more is the same flow; another for this process is none.
    let (status, again) = stand.wire.post("/dataflows/start", &stand.message("t1", "0b8f9a52-1", OPEN)).await;
    assert_eq!((status, again["dataFlowId"].as_str()), (200, Some(id.as_str())));
    let mut other = stand.message("t1", "0b8f9a52-1", OPEN);
    other["messageId"] = "another".into();
    stand.refuses(&other, 409, "flow-exists").await;

    assert_eq!(stand.says(&id, "suspend", "s1").await.0, 200);
    assert!(stand.opens(&first).await.is_none(), "at once");
    assert_eq!(stand.says(&id, "suspend", "s1").await.0, 200, "repeated");
    assert_eq!(stand.says(&id, "suspend", "s2").await.0, 400);
    assert_eq!(stand.state(&id).await, "SUSPENDED");
    let (status, resumed) = stand.says(&id, "resume", "r1").await;
    assert_eq!((status, resumed["state"].as_str()), (200, Some("STARTED")));
    let second = property(&resumed, "authorization");
    assert!(stand.opens(&second).await.is_some() && stand.opens(&first).await.is_none());
    assert_eq!(stand.wire.send(Method::POST, &format!("/dataflows/{id}/completed"), "", Vec::new()).await.0, 200);
    assert!(stand.opens(&second).await.is_none());
    for name in ["suspend", "resume", "terminate", "started"] {
        assert_eq!(stand.says(&id, name, "late").await.0, 400, "{name}");
    }
    assert_eq!(stand.state(&id).await, "COMPLETED");

    let (id, body) = stand.started("t2", "0b8f9a52-1", OPEN).await;
    let token = property(&body, "authorization");
    assert_eq!(stand.says(&id, "started", "n1").await.0, 400, "a provider is not told so");
    assert!(stand.opens(&token).await.is_some());
    assert_eq!(stand.says(&id, "terminate", "e1").await.0, 200);
    assert!(stand.opens(&token).await.is_none());
}

#[tokio::test]
async fn what_is_not_offered_does_not_flow_whatever_the_control_plane_says() {
    let stand = Stand::new().await;
    let open = || stand.message("t1", "a1", OPEN);
    let with = |name: &str, value: Value| {
        let mut message = open();
        message[name] = value;
        message
    };
    stand.refuses(&open(), 502, "agreement-not-shown").await;
    stand.agrees("a1", OPEN, &json!([]));
    stand.refuses(&with("counterPartyId", "stranger".into()), 403, "counterparty-unknown").await;
    stand.refuses(&with("participantId", "c".into()), 400, "bad-message").await;
    stand.refuses(&with("datasetId", "urn:dataset:none".into()), 403, "dataset-not-offered").await;
    stand.refuses(&with("datasetId", "urn:dataset:not-for-c".into()), 403, "dataset-not-offered").await;
    stand.refuses(&with("agreementId", "a2".into()), 403, "agreement-differs").await;
    stand.refuses(&with("profile", "ftp".into()), 400, "profile-unknown").await;
    stand.refuses(&with("profile", HTTP_PUSH.into()), 400, "bad-message").await;
    stand.refuses(&with("claims", "x".into()), 400, "bad-message").await;
    stand.refuses(&with("dataAddress", json!({"endpointType": "x", "endpoint": "https://a.example"})), 400, "bad-message").await;
    stand.agrees("a1", OPEN, &json!([{"leftOperand": "http://www.w3.org/ns/odrl/2/spatial", "operator": "eq", "rightOperand": "x"}]));
    stand.refuses(&open(), 403, "agreement-not-understood").await;
    // Data about persons: for a purpose, and for one that is offered.
    let meters = stand.message("t2", "a3", METERS);
    stand.agrees("a3", METERS, &json!([]));
    stand.refuses(&meters, 403, "purpose-not-offered").await;
    stand.agrees("a3", METERS, &json!([purpose("https://w3id.org/waybill/purpose#Marketing")]));
    stand.refuses(&meters, 403, "purpose-not-offered").await;
    stand.agrees("a3", METERS, &json!([purpose(ADVICE), purpose(ADVICE)]));
    stand.refuses(&meters, 403, "agreement-not-understood").await;
    // Who is not the control plane, and what is not there.
    let nobody = client_wire(&stand.wire.base, "somebody-0123456789");
    for (status, _) in [nobody.post("/dataflows/start", &open()).await, nobody.get("/dataflows/x/status").await] {
        assert_eq!(status, 401);
    }
    assert_eq!(stand.wire.get("/dataflows/x/status").await.0, 404);
    assert_eq!(stand.says("x", "suspend", "m").await.0, 404);
    // As a consumer: nothing is pushed here, and what is pulled must be renewable.
    let mut prepare = open();
    assert_eq!(stand.wire.post("/dataflows/prepare", &prepare).await.0, 200);
    prepare["processId"] = "t9".into();
    prepare["profile"] = HTTP_PUSH.into();
    let (status, body) = stand.wire.post("/dataflows/prepare", &prepare).await;
    assert_eq!((status, body["code"].as_str()), (400, Some("push-not-taken")));
    assert_eq!(stand.p.hub.licence(&iri("urn:waybill:agreement:a1")).await.expect("read"), None, "no licence came of any of it");
}

#[tokio::test]
async fn a_consumer_takes_an_address_that_can_be_renewed() {
    let stand = Stand::new().await;
    let (status, body) = stand.wire.post("/dataflows/prepare", &stand.message("t1", "a1", "urn:theirs")).await;
    assert_eq!((status, body["state"].as_str(), body.get("dataAddress")), (200, Some("PREPARED"), None), "{body}");
    let at = format!("/dataflows/{}/started", body["dataFlowId"].as_str().expect("an id"));
    let mut names = vec![json!({"name": "authorization", "value": "t"}), json!({"name": "authType", "value": "bearer"})];
    let address = |names: &[Value]| json!({"messageId": "m", "dataAddress": {"endpointType": HTTP_PULL, "endpoint": "https://p.example/data", "endpointProperties": names}});
    let (status, body) = stand.wire.post(&at, &address(&names)).await;
    assert_eq!((status, body["code"].as_str()), (400, Some("address-not-renewable")));
    assert_eq!(stand.wire.post(&at, &json!({"messageId": "m"})).await.0, 400);
    names.extend([json!({"name": "refreshToken", "value": "r"}), json!({"name": "expiresIn", "value": "300"})]);
    let (status, body) = stand.wire.post(&at, &address(&names)).await;
    assert_eq!((status, body["state"].as_str()), (200, Some("STARTED")), "{body}");
}

#[tokio::test]
async fn when_nobody_is_left_the_control_plane_hears_it_and_may_resume_later() {
    let stand = Stand::new().await;
    let people = People::at(&stand.p, &stand.clock);
    people.meter("urn:meter:1").await;
    people.bind("urn:meter:1", ANNA).await;
    people.says(ANNA, "given", &party_of("c")).await;
    stand.agrees("urn:a:1", METERS, &json!([purpose(ADVICE)]));
    let (id, body) = stand.started("t1", "urn:a:1", METERS).await;
    let first = property(&body, "authorization");
    assert_eq!(stand.p.connector.tend().await.expect("looked"), 0);
    let caller = stand.opens(&first).await.expect("open");
    assert_eq!(caller.purpose, Some(iri(ADVICE)));
    let seen = people.seen(&caller).await;
    assert!(matches!(seen.as_slice(), [one] if one.starts_with("urn:waybill:pair:")), "{seen:?}");

    people.says(ANNA, "withdrawn", &party_of("c")).await;
    assert!(people.seen(&caller).await.is_empty(), "the gate is first");
    stand.p.connector.tend().await.expect("looked");
    assert!(stand.opens(&first).await.is_none());
    assert_eq!(stand.state(&id).await, "SUSPENDED");
    assert!(eventually(async || stand.told("errored").len() == 1).await);
    let told = &stand.told("errored")[0];
    assert_eq!((told["state"].as_str(), told["dataFlowId"].as_str()), (Some("SUSPENDED"), Some(id.as_str())));
    assert!(told["error"].as_str().is_some_and(|e| e.starts_with("nobody-left")), "{told}");
    let (status, body) = stand.says(&id, "resume", "r1").await;
    assert_eq!((status, body["code"].as_str()), (409, Some("nobody-left")));
    // The control plane suspends the transfer over this, which is no contradiction.
    assert_eq!(stand.says(&id, "suspend", "s1").await.0, 200);

    people.says(ANNA, "given", &party_of("c")).await;
    let (status, body) = stand.says(&id, "resume", "r2").await;
    assert_eq!((status, body["state"].as_str()), (200, Some("STARTED")), "{body}");
    let second = property(&body, "authorization");
    assert!(stand.opens(&second).await.is_some() && stand.opens(&first).await.is_none());

    let agreed = stand.p.connector.agreement("urn:a:1").await.expect("read").expect("there");
    stand.p.connector.end_agreement(&agreed, "the contract was given notice").await.expect("ended");
    assert!(stand.opens(&second).await.is_none(), "at once");
    stand.p.connector.tend().await.expect("looked");
    assert_eq!(stand.state(&id).await, "TERMINATED");
    assert!(eventually(async || stand.told("errored").len() == 2).await);
    stand.refuses(&stand.message("t2", "urn:a:1", METERS), 403, "agreement-over").await;
}

#[tokio::test]
async fn only_the_client_that_a_right_was_given_to_renews() {
    let at = free();
    let did = waybill_keys::did_web(&at.to_string());
    let clock = Clock::system();
    let (ring, thief) = (KeyRing::generate(&clock).controlled_by(did.clone()), KeyRing::generate(&clock).controlled_by(did.clone()));
    let document = ring.did_document(&at.to_string());
    let _published = Double::start(at, move |_, _| {
        let document = document.clone();
        async move { Response::json(200, &document) }
    })
    .await;
    let stand = Stand::with(did.clone(), Some(Conformance::default())).await;
    stand.agrees("urn:a:1", OPEN, &json!([]));
    let (id, body) = stand.started("t1", "urn:a:1", OPEN).await;
    let (access, refresh) = (property(&body, "authorization"), property(&body, "refreshToken"));
    assert!(property(&body, "refreshEndpoint").ends_with("/dsp/dataplane/token"));
    assert!(stand.opens(&refresh).await.is_none(), "what renews does not open");

    let now = clock.now().seconds();
    let claims = |iss: &str, aud: &str, token: &str, exp: i64| json!({"iss": iss, "sub": iss, "aud": aud, "token": token, "iat": now, "exp": exp});
    let good = claims(&did, "p", &access, now + 600);
    let ask = async |ring: &KeyRing, claims: &Value, refresh: &str| -> (u16, Value) {
        let form = format!("grant_type=refresh_token&refresh_token={refresh}");
        let request = OutRequest::post(format!("{}/token", stand.wire.base), "application/x-www-form-urlencoded", form)
            .header(header::AUTHORIZATION, format!("Bearer {}", jws::sign(ring.active(), "JWT", claims)));
        let answer = crate::support::client(&clock).send(request).await.expect("an answer");
        (answer.status.as_u16(), answer.json().unwrap_or_default())
    };
    for (ring, claims, refresh, error) in [
        (&ring, good.clone(), access.as_str(), "invalid_grant"),
        (&ring, good.clone(), "never-given", "invalid_grant"),
        (&thief, good.clone(), refresh.as_str(), "invalid_client"),
        (&ring, claims(&did, "somebody", &access, now + 600), refresh.as_str(), "invalid_client"),
        (&ring, claims("did:web:other.example", "p", &access, now + 600), refresh.as_str(), "invalid_client"),
        (&ring, claims(&did, "p", &access, now - 600), refresh.as_str(), "invalid_client"),
        (&ring, claims(&did, "p", &refresh, now + 600), refresh.as_str(), "invalid_grant"),
    ] {
        let (status, body) = ask(ring, &claims, refresh).await;
        assert!((400..500).contains(&status) && body["error"] == error, "{status} {body} for {claims}");
    }
    let (status, body) = ask(&ring, &good, &refresh).await;
    assert_eq!((status, body["token_type"].as_str(), body["expires_in"].as_i64()), (200, Some("Bearer"), Some(300)), "{body}");
    let fresh = body["access_token"].as_str().expect("a token").to_owned();
    assert_ne!(fresh, access);
    assert!(stand.opens(&fresh).await.is_some());
    assert_eq!(stand.says(&id, "suspend", "s1").await.0, 200);
    assert!(stand.opens(&fresh).await.is_none());
    assert_eq!(ask(&ring, &good, &refresh).await.1["error"], "invalid_grant");
}
