//! A hub that dies at any moment of its negotiations and starts again on its files: nothing is lost, nothing is agreed twice.

use crate::deals::{SET, agreements, connector_at, ended, message, offer_seen, request};
use crate::support::{Double, Node, Setup, Wire, client_wire, free, open_offering, token};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::Runtime;
use waybill_dsp::{NegotiationState, Strategy};
use waybill_http::Response;
use waybill_model::Clock;
use waybill_store::Store;

const TALKS: usize = 6;

/// One life of a hub: all that it does ends with it, wherever it was.
struct Life {
    runtime: Option<Runtime>,
    node: Option<Node>,
}

impl Life {
    /// On `folder`, once the life before has let go of it.
    fn begin(folder: &Path, setup: impl Fn(Store) -> Setup) -> Self {
        let clock = Clock::system();
        let store = (0..500).find_map(|_| Store::open(folder, clock.clone()).inspect_err(|_| std::thread::sleep(Duration::from_millis(20))).ok()).expect("a store");
        let runtime = Runtime::new().expect("a runtime");
        let node = runtime.block_on(setup(store).run());
        Self { runtime: Some(runtime), node: Some(node) }
    }
    fn node(&self) -> &Node {
        self.node.as_ref().expect("alive")
    }
    fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("alive").block_on(future)
    }
    /// Dies in the middle of whatever it does.
    fn die(mut self) {
        let runtime = self.runtime.take().expect("alive");
        // The tasks go first: a hub that is killed does not put itself in order.
        runtime.shutdown_timeout(Duration::from_secs(30));
        drop(self.node.take());
    }
}

/// How long each life lasts, in milliseconds: from one in which nothing can happen to one in which something does.
const LIVES: [u64; 8] = [0, 5, 10, 20, 40, 80, 3, 60];

#[test]
fn a_provider_that_dies_again_and_again_agrees_once() {
    let (outer, folder, p, c) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a folder"), free(), free());
    let provider = |store: Store| {
        let mut setup = Setup::new("p", p, &Clock::system()).knows("c", Some(format!("http://{c}"))).offers([open_offering(SET)]);
        setup.store = store;
        setup
    };
    let wire = client_wire(&connector_at(p), &token("c", "p"));
    // A consumer that verifies what it is sent as often as it must.
    let verifier = wire.clone();
    let double = outer.block_on(Double::start(c, move |path: String, body: Value| {
        let wire = verifier.clone();
        async move {
            if path.ends_with("/agreement") {
                tokio::spawn(verify(wire, body));
            }
            Response::json(200, &json!({}))
        }
    }));
    let first = Life::begin(folder.path(), provider);
    let offer = outer.block_on(offer_seen(&wire, SET));
    let begin = |n: usize| request(&format!("urn:uuid:{n}"), &offer, &format!("http://{c}"));
    // They are begun again, as a consumer without an answer does, in each life.
    let mut life = first;
    for (k, lasts) in LIVES.into_iter().enumerate() {
        outer.block_on(async {
            for n in 0..TALKS.min(k + 1) {
                wire.try_post("/negotiations/request", &begin(n)).await;
            }
            tokio::time::sleep(Duration::from_millis(lasts)).await;
        });
        life.die();
        life = Life::begin(folder.path(), provider);
    }
    for n in 0..TALKS {
        outer.block_on(async {
            let (status, there) = wire.post("/negotiations/request", &begin(n)).await;
            assert_eq!(status, 201, "{there}");
            wire.until(&format!("/negotiations/{}", there["providerPid"].as_str().expect("a pid")), "FINALIZED").await;
        });
    }
    let made = life.run(agreements(life.node()));
    assert_eq!(made.len(), TALKS, "{made:?}");
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, body) in double.heard().into_iter().filter(|(_, b)| b["@type"] == "ContractAgreementMessage") {
        said.entry(body["consumerPid"].to_string()).or_default().insert(body["agreement"]["@id"].as_str().expect("an id").to_owned());
    }
    assert!(said.len() == TALKS && said.values().all(|ids| ids.len() == 1), "each was told of one agreement: {said:?}");
    let told: BTreeSet<String> = said.into_values().flatten().collect();
    assert_eq!(told, made.into_iter().collect(), "and those are the ones in force");
    life.die();
}

async fn verify(wire: Wire, agreed: Value) {
    let (provider, consumer) = (agreed["providerPid"].as_str().unwrap_or_default(), agreed["consumerPid"].as_str().unwrap_or_default());
    let said = message("ContractAgreementVerificationMessage", provider, consumer);
    let path = format!("/negotiations/{provider}/agreement/verification");
    // Until it is taken, or was already. Nobody waits for it: what fails shows in the negotiation.
    for _ in 0..1000 {
        if matches!(wire.try_post(&path, &said).await, Some(200 | 400)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_consumer_that_dies_again_and_again_agrees_once() {
    let (outer, folder, p, c) = (Runtime::new().expect("a runtime"), tempfile::tempdir().expect("a folder"), free(), free());
    let provider = outer.block_on(Setup::new("p", p, &Clock::system()).knows("c", Some(connector_at(c))).offers([open_offering(SET)]).run());
    let consumer = |store: Store| {
        let mut setup = Setup::new("c", c, &Clock::system()).knows("p", Some(connector_at(p)));
        setup.store = store;
        setup
    };
    let mut offer = outer.block_on(offer_seen(&provider.seen_by(&token("c", "p")), SET));
    offer["target"] = SET.into();
    let mut life = Life::begin(folder.path(), consumer);
    let mut begun = Vec::new();
    for lasts in LIVES {
        if begun.len() < TALKS {
            let node = life.node();
            let who = node.participant("p");
            begun.push(life.run(node.connector.negotiate(&who, &provider.address, offer.clone(), Strategy::Automatic)).expect("begun"));
        }
        std::thread::sleep(Duration::from_millis(lasts));
        life.die();
        life = Life::begin(folder.path(), consumer);
    }
    for id in &begun {
        let over = life.run(ended(life.node(), id));
        assert_eq!(over.state, Some(NegotiationState::Finalized), "{:?}", over.talk.failure);
    }
    let ours = life.run(agreements(life.node()));
    assert_eq!(ours.len(), TALKS);
    assert_eq!(ours, outer.block_on(agreements(&provider)));
    life.die();
}
