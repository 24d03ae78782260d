//! A citizen with a pod at the real server: what she prepares there, what she writes, what she finds.

use crate::css::{Css, Person, Rules};
use crate::it::program::client;
use serde_json::{Value, json};
use std::sync::Arc;
use url::Url;
use waybill_context::Contexts;
use waybill_http::{HeaderMap, HeaderValue, Method, header};
use waybill_model::{Clock, Iri};
use waybill_solid::{Body, If, Modes, PodConfig, Secret, Session, SignIn, SolidConfig, SolidPod, WatchConfig, Webhooks};

const CONSENT: &str = "consents/energy-advice.jsonld";

pub struct Citizen {
    pub web_id: String,
    root: Url,
    pod: SolidPod,
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}
fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

impl Citizen {
    /// Signs in as `person`, makes her containers, and gives the hub what it needs there: to read consents and the rules around them,
    /// which takes Control, and to add acknowledgements.
    pub async fn new(css: &Css, rules: Rules, person: &Person, hub: &Person) -> Self {
        let account = SolidConfig {
            web_id: iri(&person.web_id),
            issuer: url(&css.base),
            sign_in: SignIn::ClientCredentials { id: person.id.clone(), secret: Secret::new(&person.secret) },
            public_url: None,
            watch: WatchConfig::default(),
        };
        let session = Arc::new(Session::open(&account, client(), None).await.expect("she signs in"));
        let root = url(&person.pod);
        let at = |path: &str| root.join(path).expect("an address");
        for container in ["consents/", "acknowledgements/"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/turtle"));
            let body = Body::turtle("").bytes;
            let answer = session.send(Method::PUT, &at(container), headers, body).await.expect("an answer");
            assert_eq!(answer.status, 201, "she makes {container}");
        }
        let there = PodConfig {
            web_id: iri(&person.web_id),
            issuer: Some(url(&css.base)),
            consents: Some(at("consents/")),
            acknowledgements: Some(at("acknowledgements/")),
            resources: Vec::new(),
        };
        let hooks = Arc::new(Webhooks::new(client(), Clock::system(), None));
        let pod = SolidPod::connect(&there, session, Contexts::offline(Clock::system()), hooks, WatchConfig::default()).await.expect("her pod");
        let hub = iri(&hub.web_id);
        let control = Modes { control: true, ..Modes::READ };
        pod.give_access(&at("consents/"), &hub, control).await.expect("Read and Control on consents");
        pod.give_access(&at("acknowledgements/"), &hub, Modes::APPEND).await.expect("Append on acknowledgements");
        if rules == Rules::Acp {
            // Under ACP the rules of all containers up to the root count, and reading them takes Control there.
            pod.give_access(pod.storage(), &hub, Modes { control: true, ..Modes::default() }).await.expect("Control at the root");
        }
        Self { web_id: person.web_id.clone(), root, pod }
    }

    fn at(&self, path: &str) -> Url {
        self.root.join(path).expect("an address")
    }

    /// Writes what she says now in the one place of her consent.
    pub async fn says(&self, document: &Value) {
        self.pod.put(&self.at(CONSENT), Body::json_ld(document.to_string()), If::Always).await.expect("she writes her consent");
    }

    /// The acknowledgements in her pod.
    pub async fn acknowledgements(&self) -> Vec<Value> {
        let (listed, _) = self.pod.list(&self.at("acknowledgements/")).await.expect("she lists them");
        let mut out = Vec::new();
        for one in listed {
            let body = self.pod.read(&one, "*/*").await.expect("she reads one").body;
            out.push(serde_json::from_slice(&body).expect("an acknowledgement is JSON"));
        }
        out
    }

    /// Her consent as a document: energy advice, city B, power in steps of 100 W, place as the district. The hourly mean of the demo is
    /// left out: the pod server goes by the system's time, and nobody waits an hour here. `tests/it/walk/hour.rs` plays it.
    pub fn consent(&self, version: u32, state: &str, pass_on: bool) -> Value {
        let party = |id: &str, name: &str| {
            json!({ "id": id, "name": name, "address": "Town Hall, 1 Main Street", "contact": format!("privacy@{name}.example"), "country": "BE" })
        };
        let now = Clock::system().now();
        let meter = "https://uri.etsi.org/ngsi-ld/default-context/SmartMeter";
        let mut out = json!({
            "@context": "https://w3id.org/waybill/grant.jsonld",
            "type": "ConsentGrant", "version": version, "subject": self.web_id, "state": state, "stated": now,
            "notice": { "uri": "https://city-a.example/notices/energy-advice", "version": "1", "language": "en",
                "textHash": "5f2d8a0a1b0e9c7f6a3b4c5d6e7f80910a1b2c3d4e5f60718293a4b5c6d7e8f9", "shownAt": now },
            "controller": party("https://city-a.example/#city", "city-a"),
            "recipients": [party("https://city-b.example/#city", "city-b")],
            "purposes": ["https://w3id.org/waybill/purpose#EnergyAdvice"], "label": { "en": "Advice on saving energy at home" },
            "data": [
                { "attribute": "https://uri.etsi.org/ngsi-ld/default-context/activePower", "types": [meter], "precision": { "round": 100 } },
                { "attribute": "https://uri.etsi.org/ngsi-ld/location", "types": [meter], "precision": { "district": 0.05 } },
            ],
            "until": now.plus_seconds(180 * 86_400),
            "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
            "withdrawal": { "uri": "https://city-a.example/my-data", "method": "Change or delete this document, or ask a clerk." },
        });
        if pass_on {
            out["mayPassTo"] = json!([party("https://city-c.example/#city", "city-c")]);
        }
        out
    }
}
