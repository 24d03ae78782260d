//! The consumer's signed answer at the deletion endpoint: who may give it, and what comes of it.

use crate::people::People;
use crate::plane::{Both, METERS};
use crate::support::{party_of, token};
use serde_json::Value;
use std::sync::Arc;
use waybill_consent::{Acknowledgement, Outcome, StoreAnswer};
use waybill_exchange::Progress;
use waybill_http::Method;
use waybill_model::TenantId;
use waybill_port::{BoxFuture, DeliveryError, Notice, Notices};

const ANNA: &str = "https://anna.example/#me";

/// Gives out one key document, wherever it is asked for.
struct KeysOf(Value);

impl Notices for KeysOf {
    fn send<'a>(&'a self, _: &'a str, _: &'a Notice) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async { Err(DeliveryError::retry("nobody is there")) })
    }
    fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<String, DeliveryError>> {
        Box::pin(async { Ok(self.0.to_string()) })
    }
}

#[tokio::test]
async fn the_consumer_says_signed_that_it_deleted_and_the_withdrawal_is_done() {
    let both = Both::new().await;
    both.p.hub.set_notices(Arc::new(KeysOf(both.c.hub.key_document())));
    let people = People::at(&both.p, &both.clock);
    for (meter, who) in [("urn:meter:1", ANNA), ("urn:meter:2", "https://ben.example/#me")] {
        people.meter(meter).await;
        people.bind(meter, who).await;
        people.says(who, "given", &party_of("c")).await;
    }
    let id = both.started(&both.agreed(METERS).await).await;
    let access = both.token(&id).await;
    assert_eq!(people.seen(&both.opens(&access).await.expect("open")).await.len(), 2);
    people.says(ANNA, "withdrawn", &party_of("c")).await;
    let progress = async || both.p.hub.withdrawals(&TenantId::main()).await.expect("read")[0].holders[0].progress;
    assert_eq!(progress().await, Progress::Unbounded);

    // Her saying so took a minute of the clock; tokens last five.
    let path = both.given(&id, "https://w3id.org/waybill/ns#deletions").await;
    let (status, page) = both.p.seen_by(&access).get(&path).await;
    assert_eq!((status, page["deletions"].as_array().map(Vec::len), &page["next"]), (200, Some(1), &Value::Null), "{page}");
    let cursor = page["deletions"][0]["cursor"].as_str().expect("a cursor");
    let (status, page) = both.p.seen_by(&access).get(&format!("{path}?limit=1")).await;
    assert_eq!((status, page["next"].as_str()), (200, Some(cursor)), "as many as were asked for: there may be more");
    let mut ack = Acknowledgement::new(both.c.hub.did(), both.p.hub.did(), cursor, party_of("c"), both.clock.now());
    ack.stores.push(StoreAnswer { store: "hub".into(), outcome: Outcome::Erased, how: "removed".into(), at: both.clock.now(), attested: false });
    let signed = ack.sign(both.c.hub.keys().active());
    let says = async |token: &str, body: &str| {
        let (status, error) = both.p.seen_by(token).send(Method::POST, &path, "application/jose", body).await;
        (status, error["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(says(&access, &signed).await, (403, "acknowledgement-unverifiable".into()), "nobody said where its keys are");
    both.reconfigured(|config| {
        let known = |who: &Arc<waybill_dsp::Participant>| Arc::new(waybill_dsp::Participant { hub: Some(both.c.url.clone()), ..(**who).clone() });
        config.participants = config.participants.iter().map(known).collect();
    });
    for token in ["", "abc", &token("c", "p"), &both.given(&id, "refreshToken").await] {
        assert_eq!(says(token, &signed).await.0, 404, "`{token}` is not the transfer's");
    }
    assert_eq!(says(&access, "no signature").await.0, 400);
    assert_eq!(progress().await, Progress::Unbounded, "nothing of all that says anything");
    assert_eq!(says(&access, &signed).await, (202, String::new()));
    assert_eq!(progress().await, Progress::Done);
}
