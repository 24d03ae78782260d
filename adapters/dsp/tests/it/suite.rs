//! Conformance of whole processes, both roles, without other tools: flows as data, played against a hub over sockets. The flows are those that
//! the dataspace's own compatibility kit walks; T is the test, C the connector. Behind each step the connector is asked for the state.

use crate::schemas::schemas;
use crate::support::{CONTEXT, Double, Node, Setup, Wire, eventually, free, open_offering};
use serde_json::{Value, json};
use waybill_dsp::{Conformance, Role, Seed, Strategy};
use waybill_http::Response;
use waybill_model::Clock;

/// Its name, what the connector is told to do, what is played. `=4xx`: the message must be refused, not as unknown, and change nothing.
struct Flow(&'static str, &'static [&'static str], &'static str);

const FLOWS: &[Flow] = &[
    // The connector as provider of an offer.
    Flow("CN:01-01", &["REQUESTED:offer"], "T:Request > C:Offer > T:Termination"),
    Flow("CN:01-02", &["REQUESTED:offer", "REQUESTED:terminate"], "T:Request > C:Offer > T:Request > C:Termination"),
    Flow("CN:01-03", &["REQUESTED:offer", "ACCEPTED:agree", "VERIFIED:finalize"], "T:Request > C:Offer > T:Accepted > C:Agreement > T:Verification > C:Finalized"),
    Flow("CN:01-04", &["REQUESTED:agree", "VERIFIED:finalize"], "T:Request > C:Agreement > T:Verification > C:Finalized"),
    Flow("CN:02-01", &["REQUESTED:terminate"], "T:Request > C:Termination"),
    Flow("CN:02-02", &[], "T:Request > T:Termination"),
    Flow("CN:02-03", &["REQUESTED:agree"], "T:Request > C:Agreement > T:Termination"),
    Flow("CN:02-04", &["REQUESTED:offer"], "T:Request > C:Offer > T:Termination"),
    Flow("CN:02-05", &["REQUESTED:offer", "OFFERED:terminate"], "T:Request > C:Offer > C:Termination"),
    Flow("CN:02-06", &["REQUESTED:offer", "ACCEPTED:terminate"], "T:Request > C:Offer > T:Accepted > C:Termination"),
    Flow("CN:02-07", &["REQUESTED:agree", "VERIFIED:terminate"], "T:Request > C:Agreement > T:Verification > C:Termination"),
    Flow("CN:03-01", &["REQUESTED:agree", "VERIFIED:finalize"], "T:Request > C:Agreement > T:Verification > C:Finalized > T:Termination=4xx"),
    Flow("CN:03-02", &["REQUESTED:offer"], "T:Request > C:Offer > T:Verification=4xx"),
    Flow("CN:03-03", &["REQUESTED:offer"], "T:Request > C:Offer > T:Accepted > T:Verification=4xx"),
    Flow("CN:03-04", &["REQUESTED:offer"], "T:Request > C:Offer > T:Request > T:Request=4xx"),
    // The connector as consumer.
    Flow("CN_C:01-01", &["OFFERED:accept", "AGREED:verify"], "T:Begin > C:Request > T:Offer > C:Accepted > T:Agreement > C:Verification > T:Finalized"),
    Flow("CN_C:01-02", &["OFFERED:request"], "T:Begin > C:Request > T:Offer > C:Request > T:Termination"),
    Flow("CN_C:01-03", &["OFFERED:terminate"], "T:Begin > C:Request > T:Offer > C:Termination"),
    Flow("CN_C:01-04", &["AGREED:verify"], "T:Begin > C:Request > T:Agreement > C:Verification > T:Finalized"),
    Flow("CN_C:02-01", &[], "T:Begin > C:Request > T:Termination"),
    Flow("CN_C:02-02", &["REQUESTED:terminate"], "T:Begin > C:Request > C:Termination"),
    Flow("CN_C:02-03", &["AGREED:terminate"], "T:Begin > C:Request > T:Agreement > C:Termination"),
    Flow("CN_C:02-04", &[], "T:Begin > C:Request > T:Offer > T:Termination"),
    Flow("CN_C:02-05", &["OFFERED:accept"], "T:Begin > C:Request > T:Offer > C:Accepted > T:Termination"),
    Flow("CN_C:02-06", &["AGREED:verify"], "T:Begin > C:Request > T:Agreement > C:Verification > T:Termination"),
    Flow("CN_C:03-01", &[], "T:Begin > C:Request > T:Finalized=4xx"),
    Flow("CN_C:03-02", &[], "T:Begin > C:Request > T:Offer > T:Agreement=4xx"),
    Flow("CN_C:03-03", &[], "T:Begin > C:Request > T:Offer > T:Finalized=4xx"),
    Flow("CN_C:03-04", &["OFFERED:accept"], "T:Begin > C:Request > T:Offer > C:Accepted > T:Finalized=4xx"),
    Flow("CN_C:03-05", &["OFFERED:accept"], "T:Begin > C:Request > T:Offer > C:Accepted > T:Offer=4xx"),
    Flow("CN_C:03-06", &["OFFERED:accept"], "T:Begin > C:Request > T:Offer > C:Accepted > T:Agreement > T:Finalized=4xx"),
    // Transfers that the connector provides.
    Flow("TP:01-01", &["REQUESTED:start", "STARTED:terminate"], "T:TransferRequest > C:Start > C:TransferTermination"),
    Flow("TP:01-02", &["REQUESTED:start", "STARTED:complete"], "T:TransferRequest > C:Start > C:Completion"),
    Flow("TP:01-03", &["REQUESTED:start", "STARTED:suspend", "SUSPENDED:terminate"], "T:TransferRequest > C:Start > C:Suspension > C:TransferTermination"),
    Flow("TP:01-04", &["REQUESTED:start", "STARTED:suspend", "SUSPENDED:start", "STARTED:complete"], "T:TransferRequest > C:Start > C:Suspension > C:Start > C:Completion"),
    Flow("TP:01-05", &["REQUESTED:terminate"], "T:TransferRequest > C:TransferTermination"),
    Flow("TP:02-01", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:TransferTermination"),
    Flow("TP:02-02", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:Completion"),
    Flow("TP:02-03", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:Suspension > T:TransferTermination"),
    Flow("TP:02-04", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:Suspension > T:Start > T:Completion"),
    Flow("TP:02-05", &[], "T:TransferRequest > T:TransferTermination"),
    Flow("TP:03-01", &[], "T:TransferRequest > T:Completion=4xx"),
    Flow("TP:03-02", &[], "T:TransferRequest > T:Suspension=4xx"),
    Flow("TP:03-03", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:Suspension > T:Completion=4xx"),
    Flow("TP:03-04", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:TransferTermination > T:Start=4xx"),
    Flow("TP:03-05", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:TransferTermination > T:Suspension=4xx"),
    Flow("TP:03-06", &["REQUESTED:start"], "T:TransferRequest > C:Start > T:TransferTermination > T:Completion=4xx"),
    // Transfers that it asks for.
    Flow("TP_C:01-01", &[], "T:Begin > C:TransferRequest > T:Start > T:TransferTermination"),
    Flow("TP_C:01-02", &[], "T:Begin > C:TransferRequest > T:Start > T:Completion"),
    Flow("TP_C:01-03", &[], "T:Begin > C:TransferRequest > T:Start > T:Suspension > T:TransferTermination"),
    Flow("TP_C:01-04", &[], "T:Begin > C:TransferRequest > T:Start > T:Suspension > T:Start > T:Completion"),
    Flow("TP_C:01-05", &[], "T:Begin > C:TransferRequest > T:TransferTermination"),
    Flow("TP_C:02-01", &["STARTED:terminate"], "T:Begin > C:TransferRequest > T:Start > C:TransferTermination"),
    Flow("TP_C:02-02", &["STARTED:complete"], "T:Begin > C:TransferRequest > T:Start > C:Completion"),
    Flow("TP_C:02-03", &["STARTED:suspend", "SUSPENDED:terminate"], "T:Begin > C:TransferRequest > T:Start > C:Suspension > C:TransferTermination"),
    Flow("TP_C:02-04", &["STARTED:suspend", "SUSPENDED:start", "STARTED:complete"], "T:Begin > C:TransferRequest > T:Start > C:Suspension > C:Start > C:Completion"),
    Flow("TP_C:02-05", &["REQUESTED:terminate"], "T:Begin > C:TransferRequest > C:TransferTermination"),
    Flow("TP_C:03-01", &[], "T:Begin > C:TransferRequest > T:Completion=4xx"),
    Flow("TP_C:03-02", &[], "T:Begin > C:TransferRequest > T:Suspension=4xx"),
    Flow("TP_C:03-03", &[], "T:Begin > C:TransferRequest > T:Start > T:Suspension > T:Completion=4xx"),
    Flow("TP_C:03-04", &[], "T:Begin > C:TransferRequest > T:Start > T:TransferTermination > T:Start=4xx"),
    Flow("TP_C:03-05", &[], "T:Begin > C:TransferRequest > T:Start > T:TransferTermination > T:Suspension=4xx"),
    Flow("TP_C:03-06", &[], "T:Begin > C:TransferRequest > T:Start > T:TransferTermination > T:Completion=4xx"),
];

/// A word of the flows: the message's type, where it goes below a process (and, as the first of one, beside all), and where it leads.
struct Word(&'static str, &'static str, &'static str, &'static str);

const WORDS: &[Word] = &[
    Word("Request", "ContractRequestMessage", "request", "REQUESTED"),
    Word("Offer", "ContractOfferMessage", "offers", "OFFERED"),
    Word("Accepted", "ContractNegotiationEventMessage", "events", "ACCEPTED"),
    Word("Agreement", "ContractAgreementMessage", "agreement", "AGREED"),
    Word("Verification", "ContractAgreementVerificationMessage", "agreement/verification", "VERIFIED"),
    Word("Finalized", "ContractNegotiationEventMessage", "events", "FINALIZED"),
    Word("Termination", "ContractNegotiationTerminationMessage", "termination", "TERMINATED"),
    Word("TransferRequest", "TransferRequestMessage", "request", "REQUESTED"),
    Word("Start", "TransferStartMessage", "start", "STARTED"),
    Word("Suspension", "TransferSuspensionMessage", "suspension", "SUSPENDED"),
    Word("Completion", "TransferCompletionMessage", "completion", "COMPLETED"),
    Word("TransferTermination", "TransferTerminationMessage", "termination", "TERMINATED"),
];

fn word(name: &str) -> &'static Word {
    WORDS.iter().find(|w| w.0 == name).unwrap_or_else(|| panic!("the flows have no word {name}"))
}

/// A step: who sends, which word, and whether it must be refused.
#[derive(Clone, Copy)]
struct Play(bool, &'static str, bool);

fn plays(text: &'static str) -> Vec<Play> {
    text.split(" > ")
        .map(|part| {
            let (who, rest) = part.split_once(':').expect("who and what");
            let (name, refused) = rest.strip_suffix("=4xx").map_or((rest, false), |name| (name, true));
            Play(who == "T", name, refused)
        })
        .collect()
}

impl Flow {
    /// `N0101` of `CN:01-01`, `NC0101` of `CN_C:01-01`, `TPC0101`, and so on.
    fn key(&self) -> String {
        let (group, digits) = self.0.split_once(':').expect("a group");
        format!("A{}{}", group.replace('_', ""), digits.replace('-', ""))
    }
    fn is_transfer(&self) -> bool {
        self.0.starts_with("TP")
    }
    /// Whether the connector is the consumer.
    fn asks(&self) -> bool {
        self.0.contains("_C")
    }
    fn script(&self) -> Vec<String> {
        self.1.iter().map(|&s| s.to_owned()).collect()
    }
}

const DATASETS: [&str; 2] = ["ACAT0101", "ACAT0102"];

fn offer_id(dataset: &str) -> String {
    format!("CD123:{dataset}:456")
}

async fn connector(kit: &str) -> Node {
    let clock = Clock::system();
    let scripted = |dataset: &str, script: Vec<String>| {
        let mut offering = open_offering(dataset);
        (offering.strategy, offering.offer_id) = (Strategy::Scripted(script), Some(offer_id(dataset)));
        offering
    };
    let pick = |transfer: bool, asks: bool| FLOWS.iter().filter(move |f| f.is_transfer() == transfer && f.asks() == asks);
    let seed = |flow: &Flow, role| Seed { id: flow.key(), dataset: "ATRANSFER".into(), participant: "kit".into(), role };
    let mut setup = Setup::new("hub", free(), &clock).knows("kit", Some(kit.to_owned()));
    setup = setup.offers(DATASETS.iter().map(|d| scripted(d, Vec::new()))).offers([open_offering("ATRANSFER")]).offers(pick(false, false).map(|f| scripted(&f.key(), f.script())));
    setup.conformance = Some(Conformance {
        flows: Vec::new(),
        negotiations: pick(false, true).map(|f| (f.key(), f.script())).collect(),
        transfers: FLOWS.iter().filter(|f| f.is_transfer()).map(|f| (f.key(), f.script())).collect(),
        agreements: pick(true, false).map(|f| seed(f, Role::Provider)).chain(pick(true, true).map(|f| seed(f, Role::Consumer))).collect(),
        delay_ms: 20,
    });
    setup.run().await
}

/// The counterpart of all flows: each has its own folder of addresses. What begins a process there is answered with an identifier.
async fn kit() -> Double {
    Double::start(free(), |path: String, body: Value| async move {
        let flow = path.split('/').nth(2).unwrap_or_default().to_owned();
        let (kind, state) = match body["@type"].as_str() {
            Some("ContractRequestMessage") if body.get("providerPid").is_none() => ("ContractNegotiation", "REQUESTED"),
            Some("TransferRequestMessage") => ("TransferProcess", "REQUESTED"),
            _ => return Response::json(200, &json!({})),
        };
        Response::json(201, &json!({"@context": [CONTEXT], "@type": kind, "providerPid": pid(&flow), "consumerPid": body["consumerPid"], "state": state}))
    })
    .await
}

/// The kit's own identifier of its process in a flow.
fn pid(flow: &str) -> String {
    format!("urn:kit:{flow}")
}

/// A flow under way.
struct Run<'a> {
    flow: &'a Flow,
    kit: &'a Double,
    hub: Wire,
    begin: Wire,
    /// The connector's identifier, once it is known.
    theirs: String,
    heard: usize,
}

impl Run<'_> {
    fn folder(&self) -> &'static str {
        if self.flow.is_transfer() { "transfers" } else { "negotiations" }
    }
    /// What the connector has sent in this flow.
    fn arrived(&self) -> Vec<(String, Value)> {
        let prefix = format!("/flow/{}/", self.flow.key());
        self.kit.heard().into_iter().filter_map(|(path, body)| Some((path.strip_prefix(&prefix)?.to_owned(), body))).collect()
    }
    fn callback(&self) -> String {
        format!("{}/flow/{}", self.kit.base, self.flow.key())
    }
    /// (provider's, consumer's) identifier.
    fn pids(&self) -> (String, String) {
        let own = pid(&self.flow.key());
        if self.flow.asks() { (own, self.theirs.clone()) } else { (self.theirs.clone(), own) }
    }

    fn message(&self, word: &Word, first: bool) -> Value {
        let (provider, consumer) = self.pids();
        let key = self.flow.key();
        let mut out = json!({"@context": [CONTEXT], "@type": word.1, "providerPid": provider, "consumerPid": consumer});
        if first {
            out.as_object_mut().expect("an object").remove("providerPid");
            out["callbackAddress"] = self.callback().into();
        }
        match word.0 {
            "Request" | "Offer" => out["offer"] = json!({"@id": offer_id(&key), "@type": "Offer", "target": key, "permission": [{"action": "use"}]}),
            "Agreement" => {
                out["agreement"] = json!({"@id": format!("urn:agreement:{key}"), "@type": "Agreement", "target": key, "assigner": "kit", "assignee": "hub",
                    "timestamp": "2026-11-24T10:00:00Z", "permission": [{"action": "use"}]});
            }
            "Accepted" | "Finalized" => out["eventType"] = word.3.into(),
            "TransferRequest" => (out["agreementId"], out["format"]) = (key.into(), "HttpData-PULL".into()),
            "Start" if self.flow.asks() => out["dataAddress"] = json!({"@type": "DataAddress", "endpointType": "https://w3id.org/idsa/v4.1/HTTP", "endpoint": "http://example.com"}),
            _ => {}
        }
        out
    }

    async fn begins(&mut self) {
        let key = self.flow.key();
        let (path, body) = if self.flow.is_transfer() {
            ("/dsp/conformance/transfers", json!({"providerId": "kit", "connectorAddress": self.callback(), "agreementId": key, "format": "HttpData-PULL"}))
        } else {
            ("/dsp/conformance/negotiations", json!({"providerId": "kit", "connectorAddress": self.callback(), "datasetId": key, "offerId": format!("offer{key}")}))
        };
        let (status, answer) = self.begin.post(path, &body).await;
        assert_eq!(status, 200, "{}: {answer}", self.flow.0);
    }

    async fn says(&mut self, name: &str, refused: bool) {
        let (word, first) = (word(name), self.theirs.is_empty());
        let path = if first { format!("/{}/{}", self.folder(), word.2) } else { format!("/{}/{}/{}", self.folder(), self.theirs, word.2) };
        let (status, answer) = self.hub.post(&path, &self.message(word, first)).await;
        let at = format!("{} T:{name}: {status} {answer}", self.flow.0);
        if let Some(schemas) = schemas() {
            schemas.check(&answer).unwrap_or_else(|e| panic!("{at}: {e}"));
        }
        if refused {
            assert!((400..500).contains(&status) && status != 404, "{at}");
            assert_eq!(answer["@type"], if self.flow.is_transfer() { "TransferError" } else { "ContractNegotiationError" }, "{at}");
            return;
        }
        assert_eq!(status, if first { 201 } else { 200 }, "{at}");
        if first {
            assert_eq!((&answer["state"], &answer["consumerPid"]), (&json!(word.3), &json!(pid(&self.flow.key()))), "{at}");
            answer["providerPid"].as_str().expect("an identifier").clone_into(&mut self.theirs);
        }
    }

    async fn hears(&mut self, name: &str) {
        let (word, nth) = (word(name), self.heard);
        assert!(eventually(async || self.arrived().len() > nth).await, "{}: C:{name} does not come", self.flow.0);
        let (path, body) = self.arrived().swap_remove(nth);
        let at = format!("{} C:{name}: {path} {body}", self.flow.0);
        assert_eq!(body["@type"], word.1, "{at}");
        if word.2 == "events" {
            assert_eq!(body["eventType"], word.3, "{at}");
        }
        if let Some(schemas) = schemas() {
            schemas.check(&body).unwrap_or_else(|e| panic!("{at}: {e}"));
        }
        if self.theirs.is_empty() {
            body["consumerPid"].as_str().expect("an identifier").clone_into(&mut self.theirs);
            assert_eq!(path, format!("{}/{}", self.folder(), word.2), "{at}");
        } else {
            let (provider, consumer) = self.pids();
            assert_eq!((&body["providerPid"], &body["consumerPid"]), (&json!(provider), &json!(consumer)), "{at}");
            assert_eq!(path, format!("{}/{}/{}", self.folder(), pid(&self.flow.key()), word.2), "{at}");
        }
        self.heard += 1;
    }

    async fn play(mut self) {
        let plays = plays(self.flow.2);
        let mut state = "";
        for (i, Play(ours, name, refused)) in plays.iter().copied().enumerate() {
            match (ours, name) {
                (true, "Begin") => {
                    self.begins().await;
                    continue;
                }
                (true, name) => self.says(name, refused).await,
                (false, name) => self.hears(name).await,
            }
            if !refused {
                state = word(name).3;
            }
            // What the connector sends next by itself it may have sent already.
            let next = plays[i + 1..].iter().take_while(|p| !p.0).map(|p| word(p.1).3);
            let fits: Vec<&str> = std::iter::once(state).chain(next).collect();
            let found = self.hub.state(&format!("/{}/{}", self.folder(), self.theirs)).await;
            assert!(fits.contains(&found.as_str()), "{} behind {name}: it is {found}, not {fits:?}", self.flow.0);
        }
        assert_eq!(self.hub.state(&format!("/{}/{}", self.folder(), self.theirs)).await, state, "{} at its end", self.flow.0);
        assert_eq!(self.arrived().len(), self.heard, "{}: something else was sent: {:?}", self.flow.0, self.arrived());
    }
}

#[tokio::test]
async fn every_flow_goes_as_the_kit_walks_it() {
    let kit = kit().await;
    let hub = connector(&kit.base).await;
    let wire = hub.seen_by(&crate::support::token("kit", "hub"));
    let begin = wire.at(&hub.url);
    // A few at a time, as the kit does.
    for some in FLOWS.chunks(8) {
        let runs: Vec<_> = some.iter().map(|flow| Run { flow, kit: &kit, hub: wire.clone(), begin: begin.clone(), theirs: String::new(), heard: 0 }.play()).collect();
        together(runs).await;
    }
}

/// All of them at once.
async fn together(all: Vec<impl Future<Output = ()>>) {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|task| {
        all.retain_mut(|one| one.as_mut().poll(task).is_pending());
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn the_flows_are_those_of_the_kit() {
    let count = |group: &str| FLOWS.iter().filter(|f| f.0.split(':').next() == Some(group)).count();
    // 61 that the kit walks and the two that it has switched off; its four others ask for documents.
    assert_eq!((count("CN"), count("CN_C"), count("TP"), count("TP_C")), (15, 16, 16, 16));
    for flow in FLOWS {
        assert!(plays(flow.2).iter().all(|p| p.1 == "Begin" || WORDS.iter().any(|w| w.0 == p.1)), "{}", flow.0);
    }
}

#[tokio::test]
async fn versions_datasets_and_the_catalogue_are_told() {
    let kit = kit().await;
    let hub = connector(&kit.base).await;
    let wire = hub.seen_by(&crate::support::token("kit", "hub"));
    let nobody = hub.seen_by("").at(&hub.url);
    let (status, versions) = nobody.get("/.well-known/dspace-version").await;
    let entry = versions["protocolVersions"].as_array().and_then(|l| l.iter().find(|v| v["version"] == "2025-1").cloned()).expect("2025-1");
    assert_eq!((status, &entry["path"], &entry["binding"]), (200, &json!("/dsp/2025-1"), &json!("HTTPS")));
    let (status, catalog) = wire.post("/catalog/request", &json!({"@context": [CONTEXT], "@type": "CatalogRequestMessage"})).await;
    assert_eq!(status, 200);
    let (found, dataset) = wire.get("/catalog/datasets/ACAT0101").await;
    assert_eq!((found, &dataset["@id"], &dataset["@type"]), (200, &json!("ACAT0101"), &json!("Dataset")));
    for id in DATASETS {
        assert!(catalog["dataset"].as_array().is_some_and(|l| l.iter().any(|d| d["@id"] == id)), "{id}");
    }
    let (status, error) = wire.get("/catalog/datasets/ACAT0103").await;
    assert_eq!((status, &error["@type"]), (404, &json!("CatalogError")));
    if let Some(schemas) = schemas() {
        schemas.judge("VersionResponse", &versions).expect("valid versions");
        for document in [&catalog, &dataset, &error] {
            schemas.check(document).expect("valid");
        }
    }
}
