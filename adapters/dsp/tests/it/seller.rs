//! A provider of no particular make that a test plays: it negotiates, starts transfers, and serves pages, tokens and deletions as it is told.

use crate::deals::{ADVICE, SET, agreement, message};
use crate::support::{CONTEXT, STATION, client, free, token};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use waybill_http::{Auth, Authenticator, Client, Method, OutRequest, Request, Response, RouteOptions, Router, ServerConfig, ServerHandle, header, serve};
use waybill_model::Clock;

/// How often something is tried, and the rest in between.
const TRIES: u32 = 6000;
const REST: Duration = Duration::from_millis(10);

/// A page of its data.
#[derive(Clone)]
pub enum Page {
    List(Vec<Value>),
    Bytes(Vec<u8>),
    Redirect(String),
}

/// What it was asked: verb and path, what was shown, and the body.
#[derive(Debug, Clone)]
pub struct Asked {
    pub what: String,
    pub bearer: String,
    pub body: Vec<u8>,
}

#[derive(Default)]
pub struct State {
    /// The offers of its one dataset.
    pub offers: Vec<Value>,
    pub pages: Vec<Page>,
    /// An address instead of its own for the first page, and for the page behind the last.
    pub endpoint: Option<String>,
    pub beyond: Option<String>,
    /// The token that opens, and for how many seconds one is said to be good.
    pub token: String,
    pub expires: i64,
    pub deletions: Vec<Value>,
    /// What it answers to an acknowledgement.
    pub acknowledges: u16,
    pub log: Vec<Asked>,
    /// Where the consumer is called: callback, its transfer.
    transfer: Option<(String, String)>,
    renewed: usize,
}

#[derive(Clone)]
pub struct Seller {
    pub base: String,
    pub state: Arc<Mutex<State>>,
    client: Client,
    server: Arc<Mutex<Option<ServerHandle>>>,
}

/// An offer to use for advice, with `more` in its permission.
pub fn offer(more: &Value) -> Value {
    let purpose = json!({"leftOperand": "http://www.w3.org/ns/odrl/2/purpose", "operator": "isA", "rightOperand": ADVICE});
    let mut permission = json!({"action": "use", "constraint": [purpose]});
    for constraint in more["constraint"].as_array().into_iter().flatten() {
        permission["constraint"].as_array_mut().expect("a list").push(constraint.clone());
    }
    if let Some(duty) = more.get("duty") {
        permission["duty"] = duty.clone();
    }
    let mut permissions = vec![permission];
    permissions.extend(more["permission"].as_array().cloned().unwrap_or_default());
    let mut out = json!({"@id": "urn:offer:1", "@type": "Offer", "permission": permissions});
    for name in ["prohibition", "obligation"] {
        if let Some(rules) = more.get(name) {
            out[name] = rules.clone();
        }
    }
    out
}

/// A station, as it stands on a page.
pub fn station(name: &str, bikes: i64) -> Value {
    json!({"id": format!("urn:ngsi-ld:Station:{name}"), "type": [STATION], "https://w3id.org/example/bikes": [{"type": "Property", "value": bikes}]})
}

impl Seller {
    pub async fn open(offers: Vec<Value>, pages: Vec<Page>) -> Self {
        let at = free();
        let state = Arc::new(Mutex::new(State { offers, pages, token: "token-1".into(), expires: 3600, acknowledges: 204, ..State::default() }));
        let this = Self { base: format!("http://{at}"), state, client: client(&Clock::system()), server: Arc::default() };
        let options = RouteOptions { own_auth: true, ..RouteOptions::default() };
        let mut router = Router::new();
        for method in [Method::GET, Method::POST] {
            let own = this.clone();
            router = router.route_with(method, "/{*rest}", options, move |request: Request| {
                let response = own.answer(&request);
                async move { Ok(response) }
            });
        }
        let server = serve(ServerConfig::new(at), router, Authenticator::closed(), Clock::system()).await.expect("served");
        *this.server.lock().expect("lock") = Some(server);
        this
    }

    pub fn now(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }
    /// How often it was asked what ends with `what`.
    pub fn times(&self, what: &str) -> usize {
        self.now().log.iter().filter(|a| a.what.ends_with(what)).count()
    }

    fn answer(&self, request: &Request) -> Response {
        let what = format!("{} {}", request.method, request.path);
        let bearer = request.header(header::AUTHORIZATION).unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        self.now().log.push(Asked { what: what.clone(), bearer: bearer.clone(), body: request.body.to_vec() });
        let said: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let consumer = said["consumerPid"].as_str().unwrap_or_default().to_owned();
        let callback = said["callbackAddress"].as_str().unwrap_or_default().to_owned();
        let known = bearer == self.now().token;
        match what.as_str() {
            "POST /dsp/catalog/request" => Response::json(
                200,
                &json!({"@context": [CONTEXT], "@id": "urn:catalog", "@type": "Catalog", "participantId": "p", "dataset": [{"@id": SET, "@type": "Dataset", "hasPolicy": self.now().offers}]}),
            ),
            "POST /dsp/negotiations/request" => {
                let (this, offered, mut body) = (self.clone(), said["offer"].clone(), message("ContractNegotiation", "n-1", &consumer));
                body["state"] = "REQUESTED".into();
                tokio::spawn(async move {
                    let mut agreed = message("ContractAgreementMessage", "n-1", &consumer);
                    agreed["agreement"] = agreement("urn:agreement:1", &offered);
                    this.say(&format!("{callback}/negotiations/{consumer}/agreement"), &agreed).await;
                    for _ in 0..TRIES {
                        if this.times("/verification") > 0 {
                            break;
                        }
                        tokio::time::sleep(REST).await;
                    }
                    let mut event = message("ContractNegotiationEventMessage", "n-1", &consumer);
                    event["eventType"] = "FINALIZED".into();
                    this.say(&format!("{callback}/negotiations/{consumer}/events"), &event).await;
                });
                Response::json(201, &body)
            }
            "POST /dsp/transfers/request" => {
                self.now().transfer = Some((callback, consumer.clone()));
                let mut body = message("TransferProcess", "t-1", &consumer);
                body["state"] = "REQUESTED".into();
                let this = self.clone();
                tokio::spawn(async move { this.start().await });
                Response::json(201, &body)
            }
            "POST /token" => {
                let mut state = self.now();
                state.renewed += 1;
                state.token = format!("token-renewed-{}", state.renewed);
                Response::json(200, &json!({"access_token": state.token, "refresh_token": "again", "expires_in": 3600}))
            }
            "GET /deletions" if known => {
                let (state, since) = (self.now(), request.query.get("since").unwrap_or_default());
                let list: Vec<&Value> = state.deletions.iter().filter(|d| d["cursor"].as_str().unwrap_or_default() > since).collect();
                Response::json(200, &json!({"deletions": list}))
            }
            "POST /deletions" => Response::empty(self.now().acknowledges),
            _ if what.starts_with("GET /data/") && known => self.page(&request.path),
            _ if what.starts_with("POST /dsp/") => Response::json(200, &json!({})),
            _ => Response::empty(401),
        }
    }

    fn page(&self, path: &str) -> Response {
        let state = self.now();
        let at: usize = path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let response = match state.pages.get(at) {
            Some(Page::List(list)) => Response::json(200, &json!(list)),
            Some(Page::Bytes(bytes)) => Response::bytes(200, "application/json", bytes.clone()),
            Some(Page::Redirect(to)) => return Response::empty(302).with(header::LOCATION, to.clone()),
            None => return Response::empty(404),
        };
        let next = if at + 1 < state.pages.len() { Some(format!("/data/{}", at + 1)) } else { state.beyond.clone() };
        match next {
            Some(next) => response.with(header::LINK, format!("<{next}>; rel=\"next\"; type=\"application/json\"")),
            None => response,
        }
    }

    async fn say(&self, url: &str, body: &Value) -> u16 {
        let request = OutRequest::post(url, "application/json", body.to_string()).auth(Auth::Bearer(Arc::from(token("p", "c"))));
        self.client.send(request).await.map_or(0, |a| a.status.as_u16())
    }

    async fn say_in_transfer(&self, kind: &str, tail: &str, more: &Value) {
        let (callback, consumer) = self.now().transfer.clone().expect("a transfer");
        let mut body = message(kind, "t-1", &consumer);
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        // The consumer may not have written down yet what it was answered.
        for _ in 0..TRIES {
            if self.say(&format!("{callback}/transfers/{consumer}/{tail}"), &body).await == 200 {
                return;
            }
            tokio::time::sleep(REST).await;
        }
        panic!("{kind} is not taken");
    }

    /// Starts the transfer, or starts it again, with the token of now.
    pub async fn start(&self) {
        let property = |name: &str, value: String| json!({"@type": "EndpointProperty", "name": name, "value": value});
        let address = {
            let state = self.now();
            let endpoint = state.endpoint.clone().unwrap_or_else(|| format!("{}/data/0", self.base));
            json!({"@type": "DataAddress", "endpointType": "https://w3id.org/idsa/v4.1/HTTP", "endpoint": endpoint, "endpointProperties": [
                property("authorization", state.token.clone()), property("authType", "bearer".into()), property("expiresIn", state.expires.to_string()),
                property("refreshToken", "first".into()), property("refreshEndpoint", format!("{}/token", self.base)),
                property("https://w3id.org/waybill/ns#deletions", format!("{}/deletions", self.base)),
            ]})
        };
        self.say_in_transfer("TransferStartMessage", "start", &json!({"dataAddress": address})).await;
    }
    pub async fn suspend(&self) {
        self.say_in_transfer("TransferSuspensionMessage", "suspension", &json!({"code": "a-rest", "reason": ["not now"]})).await;
    }
    pub async fn terminate(&self) {
        self.say_in_transfer("TransferTerminationMessage", "termination", &json!({"code": "the-end", "reason": ["no more"]})).await;
    }
}
