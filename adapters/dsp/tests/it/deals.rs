//! What tests of negotiations share: two hubs that know each other, and the messages a counterpart writes itself.

use crate::support::{CONTEXT, Node, Setup, Wire, eventually, free, iri, open_offering};
use serde_json::{Value, json};
use std::net::SocketAddr;
use waybill_dsp::{Negotiation, NegotiationState, Offering, PATH, Strategy};
use waybill_model::{Clock, DateTime};

pub const ADVICE: &str = "https://w3id.org/waybill/purpose#EnergyAdvice";
pub const SET: &str = "urn:dataset:meters";

/// A dataset about persons, for one purpose and until a day.
pub fn meters() -> Offering {
    Offering { personal: true, purposes: vec![iri(ADVICE)], until: Some(DateTime::parse("2099-01-01T00:00:00Z").expect("a time")), ..open_offering(SET) }
}

pub fn connector_at(at: SocketAddr) -> String {
    format!("http://{at}{PATH}")
}

/// A provider `p` with `offers` and a consumer `c`, both driven.
pub async fn pair(offers: Vec<Offering>) -> (Node, Node) {
    let (p, c, clock) = (free(), free(), Clock::system());
    let provider = Setup::new("p", p, &clock).knows("c", Some(connector_at(c))).offers(offers).run().await;
    let consumer = Setup::new("c", c, &clock).knows("p", Some(connector_at(p))).run().await;
    (provider, consumer)
}

/// The first offer of `dataset` in the catalogue that `consumer` fetches, with its target.
pub async fn offered(consumer: &Node, provider: &Node, dataset: &str) -> Value {
    let who = consumer.participant("p");
    let catalog = consumer.connector.fetch_catalog(&who, &provider.address).await.expect("a catalogue");
    let found = catalog["dataset"].as_array().expect("datasets").iter().find(|d| d["@id"] == dataset).expect("the dataset");
    let mut offer = found["hasPolicy"][0].clone();
    offer["target"] = dataset.into();
    offer
}

/// Begins a negotiation and waits for its end.
pub async fn negotiated(consumer: &Node, address: &str, offer: Value, strategy: Strategy) -> Negotiation {
    let who = consumer.participant("p");
    let id = consumer.connector.negotiate(&who, address, offer, strategy).await.expect("begun");
    ended(consumer, &id).await
}

/// Waits until the negotiation is over.
pub async fn ended(node: &Node, id: &str) -> Negotiation {
    let over = async || node.connector.negotiation(id).await.expect("read").is_some_and(|n| n.state.is_some_and(NegotiationState::is_final) && n.talk.pending.is_none());
    assert!(eventually(over).await, "it does not end: {:?}", node.connector.negotiation(id).await);
    node.connector.negotiation(id).await.expect("read").expect("there")
}

pub fn code(n: &Negotiation) -> &str {
    n.talk.failure.as_ref().map_or("", |f| f.code.as_str())
}

/// A message with both identifiers.
pub fn message(kind: &str, provider: &str, consumer: &str) -> Value {
    json!({"@context": [CONTEXT], "@type": kind, "providerPid": provider, "consumerPid": consumer})
}

/// The first message of a consumer that wants `offer`.
pub fn request(consumer: &str, offer: &Value, callback: &str) -> Value {
    json!({"@context": [CONTEXT], "@type": "ContractRequestMessage", "consumerPid": consumer, "offer": offer, "callbackAddress": callback})
}

/// The agreement that a provider `p` makes with `c` of `offer`.
pub fn agreement(id: &str, offer: &Value) -> Value {
    let mut out = offer.clone();
    for (name, value) in [("@id", id), ("@type", "Agreement"), ("target", SET), ("assigner", "p"), ("assignee", "c"), ("timestamp", "2026-11-24T10:00:00Z")] {
        out[name] = value.into();
    }
    out
}

/// How many agreements a hub has, and their identifiers, as its operator sees them.
pub async fn agreements(node: &Node) -> Vec<String> {
    let (status, list) = node.managed().post("/contractagreements/request", &json!({})).await;
    assert_eq!(status, 200, "{list}");
    list.as_array().expect("a list").iter().map(|a| a["@id"].as_str().expect("an id").to_owned()).collect()
}

/// The offer of a dataset as the caller `wire` finds it, with its target.
pub async fn offer_seen(wire: &Wire, dataset: &str) -> Value {
    let (status, found) = wire.get(&format!("/catalog/datasets/{dataset}")).await;
    assert_eq!(status, 200, "{found}");
    let mut offer = found["hasPolicy"][0].clone();
    offer["target"] = dataset.into();
    offer
}
