//! Data flows behind a control plane: registration, data that is pushed, what an agreement may bind to, what was given and is gone, and the
//! published schemas.

use crate::deals::ADVICE;
use crate::people::People;
use crate::signaling::{ANNA, METERS, OPEN, Stand, property, purpose};
use crate::support::{Double, Setup, client_wire, eventually, free, party_of};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use waybill_dsp::{Connector, ControlPlane, HTTP_PUSH};
use waybill_gate::{Parcel, Released};
use waybill_http::{Auth, Response};
use waybill_model::{Clock, Problem};
use waybill_port::{BoxFuture, Delivered, DeliveryError, Health, HealthState, Selection, Sink};
use waybill_query::{EntityQuery, TypeSelection};

const BOB: &str = "https://bob.example/#me";

/// A connector that is to register itself at `plane`.
fn tell(connector: &Connector, setup: &Setup, plane: &str) {
    let mut config = setup.config();
    config.control_plane = Some(Arc::new(ControlPlane { url: plane.to_owned(), token: [0; 32], auth: Auth::None, register: true }));
    connector.replace(config, setup.identity());
}

#[tokio::test]
async fn a_data_plane_registers_until_it_is_known_and_again_at_every_start() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // Busy twice, then good; the fifth time it is not wanted.
    let plane = Double::start(free(), move |path, _| {
        let status = if path != "/dataplanes" { 404 } else { [503, 429, 200, 200, 403][count.fetch_add(1, Ordering::SeqCst).min(4)] };
        async move { Response::empty(status) }
    })
    .await;
    let clock = Clock::system();
    let setup = Setup::new("p", free(), &clock);
    let again = Setup::new("p", setup.at, &clock);
    let p = setup.start().await;
    tell(&p.connector, &again, &plane.base);
    assert!(matches!(p.connector.check().await, HealthState::Down { .. }), "not asked yet");
    let times = || asked.load(Ordering::SeqCst);
    let first = tokio::spawn(p.connector.clone().register());
    assert!(eventually(async || p.connector.check().await == HealthState::Up).await, "{:?}", plane.heard());
    assert_eq!(times(), 3, "twice in vain, and then no more");
    let (path, body) = plane.heard().swap_remove(2);
    assert_eq!((path.as_str(), &body["dataplaneId"]), ("/dataplanes", &json!("p")));
    assert_eq!(body["endpoint"], format!("{}/dsp/dataplane", p.url));
    // A hub that starts again says so again.
    first.abort();
    let second = tokio::spawn(p.connector.clone().register());
    assert!(eventually(async || times() == 4).await, "at the next start");
    assert!(eventually(async || p.connector.check().await == HealthState::Up).await);
    // So does one whose configuration was read anew; a refusal is said.
    tell(&p.connector, &again, &plane.base);
    let told = async || matches!(p.connector.check().await, HealthState::Down { detail } if detail.contains("status 403"));
    assert!(eventually(told).await);
    assert_eq!(times(), 5, "who refuses is not asked again in a moment");
    second.abort();
}

/// What a data plane of ours would have sent, kept.
#[derive(Default)]
struct Kept(Mutex<Vec<Parcel>>);

impl Kept {
    fn ids(&self) -> Vec<String> {
        self.0.lock().expect("lock").iter().flat_map(|p| p.entities.iter().map(|e| e.id().to_owned())).collect()
    }
    fn text(&self) -> String {
        self.0.lock().expect("lock").iter().flat_map(|p| p.entities.iter().map(|e| e.text().to_owned())).collect()
    }
}

struct AsIs;
impl waybill_query::Expander for AsIs {
    fn expand(&self, term: &str) -> String {
        format!("https://w3id.org/example/{term}")
    }
}

struct Keeps(Arc<Kept>);
impl Sink for Keeps {
    fn kind(&self) -> &'static str {
        "no-sink"
    }
    fn selection(&self, _: &[u8]) -> Result<Selection, Problem> {
        let query = EntityQuery::of_types(TypeSelection::parse("SmartMeter", &AsIs).expect("types"));
        Ok(Selection { query, watched: Vec::new(), hears_deletions: true })
    }
    fn deliver<'a>(&'a self, _: &'a [u8], parcel: &'a Released<Parcel>) -> BoxFuture<'a, Result<Delivered, DeliveryError>> {
        self.0.0.lock().expect("lock").push(parcel.get().clone());
        Box::pin(async { Ok(Delivered::default()) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_what_people_agreed_to_and_only_while_the_flow_runs() {
    let stand = Stand::new().await;
    let kept = Arc::new(Kept::default());
    stand.p.hub.add_sink(Arc::new(Keeps(kept.clone())));
    let _workers = stand.p.hub.start();
    let people = People::at(&stand.p, &stand.clock);
    for (meter, person) in [("urn:meter:1", ANNA), ("urn:meter:2", BOB)] {
        people.meter(meter).await;
        people.bind(meter, person).await;
    }
    people.says(ANNA, "given", &party_of("c")).await;
    stand.agrees("urn:a:1", METERS, &json!([purpose(ADVICE)]));
    let push = |process: &str| {
        let mut message = stand.message(process, "urn:a:1", METERS);
        message["profile"] = HTTP_PUSH.into();
        message["dataAddress"] = json!({"@type": "DataAddress", "endpointType": HTTP_PUSH, "endpoint": "https://c.example/in"});
        message
    };
    let start = async |process: &str| {
        let (status, body) = stand.wire.post("/dataflows/start", &push(process)).await;
        assert_eq!((status, body["state"].as_str(), body.get("dataAddress")), (200, Some("STARTED"), None), "{body}");
        body["dataFlowId"].as_str().expect("an id").to_owned()
    };
    let comes_to = async |id: &str, state: &str| {
        let came = eventually(async || {
            stand.p.connector.tend().await.expect("looked");
            stand.state(id).await == state
        });
        assert!(came.await, "{id} stays {}", stand.state(id).await);
    };
    // What is stopped before anything left sends nothing, and all of it once it goes on.
    let first = start("t1").await;
    assert_eq!(stand.says(&first, "suspend", "s1").await.0, 200);
    let gone = start("t0").await;
    assert_eq!(stand.says(&gone, "terminate", "e1").await.0, 200);
    for _ in 0..3 {
        stand.p.connector.tend().await.expect("looked");
    }
    assert_eq!((kept.ids(), stand.state(&first).await.as_str()), (Vec::new(), "SUSPENDED"));
    assert_eq!(stand.says(&first, "resume", "r1").await.0, 200);
    comes_to(&first, "COMPLETED").await;
    assert!(eventually(async || stand.told("completed").len() == 1).await, "the control plane hears that it is through");
    let ids = kept.ids();
    assert!(matches!(ids.as_slice(), [one] if one.starts_with("urn:waybill:pair:")), "hers, by a name of the recipient's own: {ids:?}");
    assert!(!kept.text().contains("urn:meter:"), "{}", kept.text());
    // Nobody agrees any more: what is asked at this moment does not leave.
    people.says(ANNA, "withdrawn", &party_of("c")).await;
    let before = kept.ids().len();
    let second = start("t2").await;
    comes_to(&second, "SUSPENDED").await;
    assert!(eventually(async || stand.told("errored").iter().any(|told| told["dataFlowId"] == second.as_str())).await);
    assert_eq!(kept.ids().len(), before);
    assert_eq!(stand.state(&gone).await, "TERMINATED");
}

#[tokio::test]
async fn an_agreement_binds_to_what_this_hub_understands_or_is_refused_by_name() {
    let stand = Stand::new().await;
    let message = |process: &str| stand.message(process, "urn:a:1", OPEN);
    let odrl = |name: &str| format!("http://www.w3.org/ns/odrl/2/{name}");
    stand.agrees("urn:a:1", OPEN, &json!([]));
    let plain = stand.agreement.lock().expect("lock").clone();
    let cases: [(&str, Value, &str); 9] = [
        ("/permission/0/duty", json!([{"action": odrl("compensate")}]), "the duty `compensate`"),
        ("/permission/0/duty", json!([{"action": odrl("delete"), "constraint": [{"leftOperand": "odrl:dateTime", "operator": "lt", "rightOperand": "2030-01-01T00:00:00Z"}]}]), "`constraint` of the duty `delete`"),
        ("/permission/0/duty", json!([{"action": odrl("inform"), "consequence": []}]), "`consequence` of the duty `inform`"),
        ("/permission/0/refinement", json!([]), "`refinement`"),
        ("/obligation", json!([{"action": "odrl:attribute"}]), "the obligation `attribute`"),
        ("/prohibition", json!([{"action": "use"}]), "the prohibition `use`"),
        ("/prohibition", json!([{"action": odrl("distribute"), "constraint": []}]), "`constraint` of the prohibition `distribute`"),
        ("/prohibition", json!([{"action": odrl("distribute"), "remedy": []}]), "`remedy` of the prohibition `distribute`"),
        ("/inheritFrom", json!("urn:other"), "`inheritFrom`"),
    ];
    for (place, value, named) in cases {
        let mut changed = plain.clone();
        let (parent, name) = place.rsplit_once('/').expect("a place");
        changed.pointer_mut(parent).expect("there")[name] = value;
        *stand.agreement.lock().expect("lock") = changed;
        let (status, body) = stand.wire.post("/dataflows/start", &message("t1")).await;
        assert_eq!((status, body["code"].as_str()), (403, Some("agreement-not-understood")), "{place}: {body}");
        assert!(body["detail"].as_str().is_some_and(|d| d.contains(named)), "{place}: {body}");
    }
    // What this hub's own offers ask for is understood.
    let mut good = plain;
    good["permission"][0]["duty"] = json!([{"action": odrl("delete")}, {"action": "odrl:inform"}]);
    good["prohibition"] = json!([{"action": odrl("distribute")}]);
    *stand.agreement.lock().expect("lock") = good;
    stand.started("t2", "urn:a:1", OPEN).await;
}

#[tokio::test]
async fn what_was_given_through_a_flow_and_is_gone_is_told_where_its_address_says() {
    let stand = Stand::new().await;
    let people = People::at(&stand.p, &stand.clock);
    people.meter("urn:meter:1").await;
    people.bind("urn:meter:1", ANNA).await;
    people.says(ANNA, "given", &party_of("c")).await;
    stand.agrees("urn:a:1", METERS, &json!([purpose(ADVICE)]));
    let (id, body) = stand.started("t1", "urn:a:1", METERS).await;
    let (token, url) = (property(&body, "authorization"), property(&body, "https://w3id.org/waybill/ns#deletions"));
    assert_eq!(url, format!("{}/dsp/deletions/{id}", stand.p.url));
    let caller = waybill_http::ResolveToken::resolve(&stand.p.connector, &token).await.and_then(Result::ok).expect("open");
    let seen = people.seen(&caller).await;
    assert_eq!(seen.len(), 1);
    let asks = async |token: &str, url: &str| client_wire("", token).get(url).await;
    let (status, before) = asks(&token, &url).await;
    assert_eq!((status, before["deletions"].as_array().map(Vec::len)), (200, Some(0)), "{before}");
    people.says(ANNA, "withdrawn", &party_of("c")).await;
    stand.p.connector.tend().await.expect("looked");
    assert_eq!(stand.state(&id).await, "SUSPENDED");
    let told = eventually(async || asks(&token, &url).await.1["deletions"][0]["id"] == seen[0].as_str()).await;
    assert!(told, "also while the flow rests: {}", asks(&token, &url).await.1);
    assert_eq!(asks("another", &url).await.0, 404);
    assert_eq!(asks(&token, &url.replace(&id, "somebody-elses")).await.0, 404);
}

/// The published schemas of the messages; nothing where the data is absent, which fails in CI.
fn published() -> Option<(PathBuf, PathBuf)> {
    let data = std::env::var_os("WAYBILL_SPEC_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let (dps, dsp) = (data.join("dps/schemas"), data.join("dsp/2025-1"));
    if dps.is_dir() && dsp.is_dir() {
        return Some((dps, dsp));
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the schemas of Data Plane Signaling are missing: set WAYBILL_SPEC_DATA");
    println!("skipped: the schemas of Data Plane Signaling are missing; set WAYBILL_SPEC_DATA");
    None
}

struct Known(std::collections::BTreeMap<String, Value>);
impl jsonschema::Retrieve for Known {
    fn retrieve(&self, uri: &jsonschema::Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0.get(uri.as_str()).cloned().ok_or_else(|| format!("there is no schema {uri}").into())
    }
}

fn validator((dps, dsp): &(PathBuf, PathBuf), name: &str) -> jsonschema::Validator {
    let read = |path: &Path| -> Value { serde_json::from_str(&std::fs::read_to_string(path).expect("readable")).expect("JSON") };
    let mut known = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(dps).expect("a folder") {
        let path = entry.expect("an entry").path();
        known.insert(format!("https://w3id.org/dspace-sig/v1.0/{}", path.file_name().expect("a name").to_string_lossy()), read(&path));
    }
    for file in ["transfer/data-address-schema.json", "negotiation/contract-schema.json", "common/context-schema.json"] {
        let schema = read(&dsp.join(file));
        known.insert(schema["$id"].as_str().expect("an id").to_owned(), schema);
    }
    let schema = read(&dps.join(format!("{name}.schema.json")));
    jsonschema::options().with_retriever(Known(known)).build(&schema).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[tokio::test]
async fn what_is_said_and_taken_is_what_the_published_schemas_say() {
    let Some(folders) = published() else { return };
    let check = |name: &str, message: &Value| {
        if let Err(e) = validator(&folders, name).validate(message) {
            panic!("{name}: {e} at {}: {message}", e.instance_path());
        }
    };
    let stand = Stand::new().await;
    stand.agrees("urn:a:1", OPEN, &json!([]));
    check("AgreementResponse", &stand.agreement.lock().expect("lock").clone());
    let good = stand.message("t1", "urn:a:1", OPEN);
    check("DataFlowStartMessage", &good);
    check("DataFlowPrepareMessage", &good);
    let (id, body) = stand.started("t1", "urn:a:1", OPEN).await;
    check("DataFlowStatusMessage", &body);
    check("DataFlowStatusResponseMessage", &stand.wire.get(&format!("/dataflows/{id}/status")).await.1);
    for (name, schema) in [("suspend", "DataFlowSuspendMessage"), ("resume", "DataFlowResumeMessage"), ("terminate", "DataFlowTerminateMessage")] {
        let message = json!({"messageId": format!("m-{name}"), "reason": "because"});
        check(schema, &message);
        let (status, body) = stand.wire.post(&format!("/dataflows/{id}/{name}"), &message).await;
        assert_eq!(status, 200, "{name}: {body}");
        check("DataFlowStatusMessage", &body);
    }
    // Every member of the first message, absent and of every other kind, is judged as by the schema.
    let schema = validator(&folders, "DataFlowStartMessage");
    let mut judged = 0;
    for (name, _) in good.as_object().expect("an object").clone().into_iter().chain([("metadata".to_owned(), Value::Null), ("labels".to_owned(), Value::Null)]) {
        for new in [None, Some(json!(null)), Some(json!(7)), Some(json!({})), Some(json!([])), Some(json!(["x"])), Some(json!([7]))] {
            let mut message = stand.message("t2", "urn:a:1", OPEN);
            message["messageId"] = format!("m{judged}").into();
            match new {
                Some(new) => message[&name] = new,
                None => drop(message.as_object_mut().expect("an object").remove(&name)),
            }
            let (status, body) = stand.wire.post("/dataflows/start", &message).await;
            let refused = status == 400 && body["code"] == "bad-message";
            assert_eq!(refused, !schema.is_valid(&message), "{message}: {status} {body}");
            judged += 1;
        }
    }
    assert!(judged > 60, "{judged}");
    // What this hub says of itself to the control plane, and tells it by itself.
    let plane = Double::start(free(), |_, _| async { Response::empty(200) }).await;
    let setup = Setup::new("p", free(), &Clock::system());
    let again = Setup::new("p", setup.at, &Clock::system());
    let p = setup.start().await;
    tell(&p.connector, &again, &plane.base);
    let task = tokio::spawn(p.connector.clone().register());
    assert!(eventually(async || !plane.heard().is_empty()).await);
    task.abort();
    check("DataPlaneRegistrationMessage", &plane.heard()[0].1);
    let people = People::at(&stand.p, &stand.clock);
    people.meter("urn:meter:1").await;
    people.bind("urn:meter:1", ANNA).await;
    stand.agrees("urn:a:2", METERS, &json!([purpose(ADVICE)]));
    stand.started("t9", "urn:a:2", METERS).await;
    stand.p.connector.tend().await.expect("looked");
    assert!(eventually(async || stand.told("errored").len() == 1).await);
    check("DataFlowStatusMessage", &stand.told("errored")[0]);
}
