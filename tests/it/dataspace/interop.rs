//! Eclipse EDC and the hub deal with each other, each as provider and as consumer. A person's withdrawal reaches the other connector.

use crate::it::edc::{Edc, Edr, Kind, Party, Process, Way};
use crate::it::java::turn;
use crate::it::program::{PATIENCE, call, client};
use crate::it::town::{OPERATOR, Town, grant, meter};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use waybill_http::{Client, Method, OutRequest, header};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const COMPANY: &str = "company";
const PARTY: &str = "https://company.example/#us";
const DATA: &str = r#"{"power":42}"#;

/// A hub that offers its meters and its air, and knows `company`.
fn connector(company: &Party) -> String {
    format!(
        r#"
[dataspace]
participant = "city-a"
identity = "mock"
[[participant]]
name = "company"
id = "{COMPANY}"
party = "{PARTY}"
url = "{}"
[[offer]]
name = "meters"
dataset = "meters"
route = "meters"
purposes = ["EnergyAdvice"]
[[offer]]
name = "air"
dataset = "air"
route = "air"
"#,
        company.address
    )
}

struct City {
    town: Town,
    client: Client,
}

impl City {
    fn start(company: &Party) -> Self {
        Self { town: Town::start(&connector(company)), client: client() }
    }

    fn party(&self) -> Party {
        Party { id: "city-a".into(), address: format!("http://{}/dsp/2025-1", self.town.addr) }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = call(&self.client, method, &format!("http://{}{path}", self.town.addr), OPERATOR, body.as_ref()).await.expect("the hub answers");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.status.is_success(), "{path}: {} {text}", answer.status);
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A household with a meter, whose person grants the company. Her consent.
    async fn household(&self, who: &str) -> String {
        let mut entity = meter(&format!("urn:ngsi-ld:SmartMeter:{who}"));
        entity["ownedBy"]["object"] = json!(format!("https://{who}.example/#me"));
        self.ask(Method::POST, "/ngsi-ld/v1/entities", Some(entity)).await;
        let mut document = grant();
        document["document"]["subject"] = json!(format!("https://{who}.example/#me"));
        document["document"]["recipients"][0]["id"] = json!(PARTY);
        self.ask(Method::POST, "/waybill/v1/consents", Some(document)).await["id"].as_str().expect("its id").to_owned()
    }

    async fn withdraw(&self, consent: &str) {
        self.ask(Method::POST, &format!("/waybill/v1/consents/{consent}/withdraw"), None).await;
    }

    async fn made(&self, path: &str, body: Value) -> String {
        self.ask(Method::POST, path, Some(body)).await["@id"].as_str().expect("an id").to_owned()
    }

    async fn until(&self, kind: &str, id: &str, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let about = self.ask(Method::GET, &format!("/management/v3/{kind}/{id}"), None).await;
            if about["state"] == state {
                return about;
            }
            assert!(began.elapsed() < PATIENCE, "still not {state}: {about}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn edr(&self, transfer: &str) -> Edr {
        let address = self.ask(Method::GET, &format!("/management/v3/edrs/{transfer}/dataaddress"), None).await;
        let text = |name: &str| address[name].as_str().unwrap_or_default().to_owned();
        Edr { endpoint: text("endpoint"), authorization: text("authorization"), address }
    }
}

/// What the holder of `edr` gets: the status and the text. The token goes on as it was given, which is how connectors do it.
async fn fetched(client: &Client, edr: &Edr) -> (u16, String) {
    let request = OutRequest::new(Method::GET, &edr.endpoint).header(header::AUTHORIZATION, edr.authorization.as_str());
    let answer = client.send(request).await.expect("an answer");
    (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
}

/// The people whose meters are on the page.
async fn page(client: &Client, edr: &Edr) -> Vec<String> {
    let (status, text) = fetched(client, edr).await;
    assert_eq!(status, 200, "{text}");
    let all: Value = serde_json::from_str(&text).expect("a page");
    all.as_array().expect("a list").iter().map(|e| e["activePower"]["value"].to_string()).collect()
}

/// A fresh data address at the company, once the token is another one than `before`.
async fn fresh(company: &Edc, transfer: &str, before: &Edr) -> Edr {
    let began = Instant::now();
    loop {
        let edr = company.edr_soon(transfer).await;
        if edr.authorization != before.authorization {
            return edr;
        }
        assert!(began.elapsed() < PATIENCE, "the token is still the old one");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_takes_from_the_hub_what_people_agree_to() {
    let Some(classes) = Kind::V0_14.peer().required("a connector takes from the hub") else { return };
    let _turn = turn().await;
    let store = MockServer::start().await;
    Mock::given(method("POST")).and(path("/sink")).respond_with(ResponseTemplate::new(200)).mount(&store).await;
    let company = Edc::start(&classes, COMPANY, &[]).await;
    let city = City::start(&company.party());
    let of = city.party();
    let (anna, ben) = (city.household("anna").await, city.household("ben").await);

    let catalog = company.catalog(&of).await;
    assert_eq!(catalog["participantId"], "city-a", "{catalog}");
    let meters = catalog["dataset"].as_array().expect("datasets").iter().find(|d| d["@id"] == "meters").expect("the meters").clone();
    assert!(!catalog.to_string().contains("anna"), "a catalogue names no person");
    assert_eq!(company.dataset(&of, "meters").await["@id"], "meters");
    let offer = &meters["hasPolicy"][0];

    // A weakened offer is refused, and named.
    let mut weak = offer.clone();
    weak["permission"][0]["constraint"].as_array_mut().expect("constraints").retain(|c| !c["leftOperand"].as_str().is_some_and(|o| o.ends_with("purpose")));
    let refused = company.negotiate(&of, "meters", &weak).await;
    company.until(Process::Negotiation, &refused, &["TERMINATED"]).await;
    let all = city.ask(Method::POST, "/management/v3/contractnegotiations/request", Some(json!({}))).await;
    let why = all[0]["errorDetail"].as_str().unwrap_or_default();
    assert!(why.starts_with("offer-weakened") && why.contains("purpose"), "{all}");

    let negotiation = company.negotiate(&of, "meters", offer).await;
    company.until(Process::Negotiation, &negotiation, &["FINALIZED"]).await;
    let agreement = company.agreement(&negotiation).await;
    let kept = city.ask(Method::GET, &format!("/management/v3/contractagreements/{agreement}"), None).await;
    assert_eq!((kept["consumerId"].as_str(), kept["providerId"].as_str()), (Some(COMPANY), Some("city-a")));
    assert!(!kept.to_string().contains("anna"), "an agreement names no person: {kept}");

    let client = client();
    let transfer = company.transfer(&of, &agreement, Way::Pull).await;
    company.until(Process::Transfer, &transfer, &["STARTED"]).await;
    let first = company.edr_soon(&transfer).await;
    // 412.5 W in steps of 100, as they granted.
    assert_eq!(page(&client, &first).await, ["400.0", "400.0"]);

    // It rests and goes on; the token of before is none any more.
    company.suspend(&transfer, "a break").await;
    company.until(Process::Transfer, &transfer, &["SUSPENDED"]).await;
    assert_eq!(fetched(&client, &first).await.0, 401);
    company.resume(&transfer).await;
    company.until(Process::Transfer, &transfer, &["STARTED"]).await;
    let second = fresh(&company, &transfer, &first).await;
    assert_eq!(page(&client, &second).await.len(), 2);
    assert_eq!(fetched(&client, &first).await.0, 401);

    // One withdraws: the very next request is without her. The last one withdraws: the connector is told.
    city.withdraw(&anna).await;
    assert_eq!(page(&client, &second).await, ["400.0"]);
    city.withdraw(&ben).await;
    assert_ne!(fetched(&client, &second).await.1.contains("activePower"), true, "nobody is left");
    company.until(Process::Transfer, &transfer, &["SUSPENDED"]).await;
    assert!(company.get(Process::Transfer, &transfer).await["errorDetail"].to_string().contains("nobody whose data this is"));
    assert_eq!(fetched(&client, &second).await.0, 401);
    // Somebody returns.
    city.household("carla").await;
    company.until(Process::Transfer, &transfer, &["STARTED"]).await;
    let third = fresh(&company, &transfer, &second).await;
    assert_eq!(page(&client, &third).await, ["400.0"]);

    // The same once by a push, which ends by itself; and what is withdrawn later is told there too.
    let pushed = company.transfer(&of, &agreement, Way::Push(&format!("{}/sink", store.uri()))).await;
    company.until(Process::Transfer, &pushed, &["COMPLETED"]).await;
    let came = store.received_requests().await.expect("recorded");
    assert_eq!(came.len(), 1, "pushed once");
    assert!(String::from_utf8_lossy(&came[0].body).contains("\"value\":400"), "what she granted");

    company.terminate(&transfer, "enough").await;
    company.until(Process::Transfer, &transfer, &["TERMINATED"]).await;
    let began = Instant::now();
    while fetched(&client, &third).await.0 != 401 {
        assert!(began.elapsed() < PATIENCE, "a token outlives its transfer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_takes_from_a_connector() {
    let Some(classes) = Kind::V0_14.peer().required("the hub takes from a connector") else { return };
    let _turn = turn().await;
    let store = MockServer::start().await;
    Mock::given(method("GET")).and(path("/source")).respond_with(ResponseTemplate::new(200).set_body_raw(DATA, "application/json")).mount(&store).await;
    Mock::given(method("POST")).and(path("/sink")).respond_with(ResponseTemplate::new(200)).mount(&store).await;
    let company = Edc::start(&classes, COMPANY, &[]).await;
    company.asset("machines", &format!("{}/source", store.uri())).await;
    company.policy("seen-by-all", json!([])).await;
    company.policy("use", json!([{ "action": "use" }])).await;
    company.contract_definition("machines-for-use", "seen-by-all", "use", "machines").await;
    let city = City::start(&company.party());
    let there = json!({ "counterPartyAddress": company.party().address, "counterPartyId": COMPANY });
    let with = |more: Value| {
        let mut body = there.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };

    let catalog = city.ask(Method::POST, "/management/v3/catalog/request", Some(there.clone())).await;
    let dataset = &catalog["dataset"][0];
    assert_eq!(dataset["@id"], "machines", "{catalog}");
    let mut offer = dataset["hasPolicy"][0].clone();
    offer["target"] = json!("machines");
    let negotiation = city.made("/management/v3/contractnegotiations", with(json!({ "policy": offer }))).await;
    let agreement = city.until("contractnegotiations", &negotiation, "FINALIZED").await["contractAgreementId"].as_str().expect("an agreement").to_owned();

    let client = client();
    let transfer = city.made("/management/v3/transferprocesses", with(json!({ "contractId": agreement, "transferType": "HttpData-PULL" }))).await;
    city.until("transferprocesses", &transfer, "STARTED").await;
    let first = city.edr(&transfer).await;
    assert_eq!(fetched(&client, &first).await, (200, DATA.to_owned()));
    let act = |what: &str| format!("/management/v3/transferprocesses/{transfer}/{what}");
    city.ask(Method::POST, &act("suspend"), Some(json!({ "reason": "a break" }))).await;
    city.until("transferprocesses", &transfer, "SUSPENDED").await;
    company.until(Process::Transfer, &company.counterpart(&transfer).await, &["SUSPENDED"]).await;
    city.ask(Method::POST, &act("resume"), None).await;
    let began = Instant::now();
    let second = loop {
        let edr = city.until("transferprocesses", &transfer, "STARTED").await;
        assert_eq!(edr["state"], "STARTED");
        let edr = city.edr(&transfer).await;
        if edr.authorization != first.authorization {
            break edr;
        }
        assert!(began.elapsed() < PATIENCE, "no fresh token came");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(fetched(&client, &second).await, (200, DATA.to_owned()));
    city.ask(Method::POST, &act("terminate"), Some(json!({ "reason": "enough" }))).await;
    city.until("transferprocesses", &transfer, "TERMINATED").await;
    company.until(Process::Transfer, &company.counterpart(&transfer).await, &["TERMINATED", "DEPROVISIONED"]).await;

    let to = json!({ "type": "HttpData", "baseUrl": format!("{}/sink", store.uri()) });
    let pushed = city.made("/management/v3/transferprocesses", with(json!({ "contractId": agreement, "transferType": "HttpData-PUSH", "dataDestination": to }))).await;
    city.until("transferprocesses", &pushed, "COMPLETED").await;
    let came: Vec<Vec<u8>> = store.received_requests().await.expect("recorded").into_iter().filter(|r| r.method == "POST").map(|r| r.body).collect();
    assert_eq!(came, [DATA.as_bytes()], "pushed once");
}
