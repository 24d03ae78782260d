//! Counterparts that do not behave: they alter what was agreed, are early, silent, slow, or say things twice.

use crate::deals::{SET, agreement, agreements, code, ended, message};
use crate::support::{CONTEXT, Double, Heard, Node, Setup, eventually, free, noon, token};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Semaphore;
use waybill_dsp::{Conformance, NegotiationState, Role, Seed, Strategy, TransferState};
use waybill_http::{Response, header};
use waybill_model::Clock;

const PID: &str = "urn:uuid:provider-1";

/// What a test's provider answers to what begins a process: the identifier `pid`.
fn begun(body: &Value, pid: &str) -> Response {
    let (kind, first) = match body["@type"].as_str() {
        Some("ContractRequestMessage") => ("ContractNegotiation", true),
        Some("TransferRequestMessage") => ("TransferProcess", true),
        _ => ("", false),
    };
    if !first {
        return Response::json(200, &json!({}));
    }
    Response::json(201, &json!({"@context": [CONTEXT], "@type": kind, "providerPid": pid, "consumerPid": body["consumerPid"], "state": "REQUESTED"}))
}

fn offer() -> Value {
    let right = json!({"@value": "2099-01-01T00:00:00Z", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"});
    let until = json!({"leftOperand": "http://www.w3.org/ns/odrl/2/dateTime", "operator": "lteq", "rightOperand": right});
    json!({"@id": "urn:offer:1", "@type": "Offer", "target": SET, "permission": [{"action": "use", "constraint": [until]}]})
}

/// A consumer of a provider `p` at `at`, with an agreement of its own for transfers.
async fn consumer_of(at: SocketAddr, clock: &Clock) -> Node {
    let mut setup = Setup::new("c", free(), clock).knows("p", Some(format!("http://{at}")));
    let seed = Seed { id: "urn:agreement:seed".into(), dataset: SET.into(), participant: "p".into(), role: Role::Consumer };
    setup.conformance = Some(Conformance { agreements: vec![seed], ..Conformance::default() });
    setup.run().await
}

async fn begin(c: &Node, at: SocketAddr) -> String {
    c.connector.negotiate(&c.participant("p"), &format!("http://{at}"), offer(), Strategy::Automatic).await.expect("begun")
}

#[tokio::test]
async fn an_agreement_by_the_name_of_another_is_refused_and_the_other_stays() {
    let at = free();
    let double = Double::start(at, |_, body| async move { begun(&body, PID) }).await;
    let c = consumer_of(at, &Clock::system()).await;
    let wire = c.seen_by(&token("p", "c"));
    let before = c.connector.agreement("urn:agreement:seed").await.expect("read").expect("there").policy;
    let id = begin(&c, at).await;
    double.nth("ContractRequestMessage", 0).await;
    wire.until(&format!("/negotiations/{id}"), "REQUESTED").await;
    let mut said = message("ContractAgreementMessage", PID, &id);
    said["agreement"] = agreement("urn:agreement:seed", &offer());
    let (status, error) = wire.post(&format!("/negotiations/{id}/agreement"), &said).await;
    assert_eq!((status, &error["code"]), (400, &json!("identifier-used")), "{error}");
    assert_eq!(wire.state(&format!("/negotiations/{id}")).await, "REQUESTED");
    assert_eq!(c.connector.agreement("urn:agreement:seed").await.expect("read").expect("there").policy, before);
}

/// Changes an agreement.
type Change = fn(&mut Value);

#[tokio::test]
async fn an_agreement_that_is_not_what_was_offered_is_refused() {
    let changed: [(&str, Change); 9] = [
        ("another assigner", |a| a["assigner"] = "somebody".into()),
        ("another assignee", |a| a["assignee"] = "somebody".into()),
        ("another dataset", |a| a["target"] = "urn:dataset:other".into()),
        ("an earlier end", |a| a["permission"][0]["constraint"][0]["rightOperand"]["@value"] = "2027-01-01T00:00:00Z".into()),
        ("a later end", |a| a["permission"][0]["constraint"][0]["rightOperand"]["@value"] = "2100-01-01T00:00:00Z".into()),
        ("no end", |a| drop(a["permission"][0].as_object_mut().expect("a rule").remove("constraint"))),
        ("a duty", |a| a["permission"][0]["duty"] = json!([{"action": "http://www.w3.org/ns/odrl/2/inform"}])),
        ("a prohibition", |a| a["prohibition"] = json!([{"action": "http://www.w3.org/ns/odrl/2/distribute"}])),
        ("another action", |a| a["permission"][0]["action"] = "http://www.w3.org/ns/odrl/2/read".into()),
    ];
    let at = free();
    let count = Arc::new(AtomicUsize::new(0));
    let double = Double::start(at, move |_, body| {
        let pid = format!("urn:uuid:provider-{}", count.fetch_add(1, Ordering::SeqCst));
        async move { begun(&body, &pid) }
    })
    .await;
    let c = consumer_of(at, &Clock::system()).await;
    let wire = c.seen_by(&token("p", "c"));
    for (n, (what, change)) in changed.into_iter().enumerate() {
        let id = begin(&c, at).await;
        wire.until(&format!("/negotiations/{id}"), "REQUESTED").await;
        let known = async || c.connector.negotiation(&id).await.expect("read").and_then(|n| n.talk.peer_pid);
        assert!(eventually(async || known().await.is_some()).await, "{what}");
        let pid = known().await.expect("known");
        let mut said = message("ContractAgreementMessage", &pid, &id);
        said["agreement"] = agreement(&format!("urn:agreement:{n}"), &offer());
        change(&mut said["agreement"]);
        assert_eq!(wire.post(&format!("/negotiations/{id}/agreement"), &said).await.0, 200, "{what}: it is well-formed");
        let (path, ending) = double.nth("ContractNegotiationTerminationMessage", n).await;
        assert_eq!((path, &ending["code"]), (format!("/negotiations/{pid}/termination"), &json!("agreement-differs")), "{what}: {ending}");
        assert!(ending["reason"][0].as_str().is_some_and(|r| !r.is_empty()), "{what}: {ending}");
        assert_eq!((ended(&c, &id).await.state, double.count("ContractAgreementVerificationMessage")), (Some(NegotiationState::Terminated), 0), "{what}");
    }
    assert_eq!(agreements(&c).await, ["urn:agreement:seed"], "nothing was agreed");
    // And what was offered, as it was offered, is taken.
    let id = begin(&c, at).await;
    let known = async || c.connector.negotiation(&id).await.expect("read").and_then(|n| n.talk.peer_pid);
    assert!(eventually(async || known().await.is_some()).await);
    let mut said = message("ContractAgreementMessage", &known().await.expect("known"), &id);
    said["agreement"] = agreement("urn:agreement:good", &offer());
    for _ in 0..2 {
        assert_eq!(wire.post(&format!("/negotiations/{id}/agreement"), &said).await.0, 200, "also when it is said twice");
    }
    double.nth("ContractAgreementVerificationMessage", 0).await;
    wire.until(&format!("/negotiations/{id}"), "VERIFIED").await;
    said["agreement"]["@id"] = "urn:agreement:second".into();
    let (status, error) = wire.post(&format!("/negotiations/{id}/agreement"), &said).await;
    assert_eq!((status, &error["code"]), (400, &json!("invalid-transition")), "a second agreement");
    let finalized = json!({"eventType": "FINALIZED"});
    let mut event = message("ContractNegotiationEventMessage", &known().await.expect("known"), &id);
    event["eventType"] = finalized["eventType"].clone();
    for _ in 0..2 {
        assert_eq!(wire.post(&format!("/negotiations/{id}/events"), &event).await.0, 200);
    }
    assert_eq!(double.count("ContractAgreementVerificationMessage"), 1, "verified once");
    assert_eq!(agreements(&c).await, ["urn:agreement:good", "urn:agreement:seed"]);
}

/// A provider that answers first messages only when it is let.
async fn slow(at: SocketAddr) -> (Double, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let double = Double::start(at, move |_, body| {
        let held = held.clone();
        async move {
            if matches!(body["@type"].as_str(), Some("ContractRequestMessage" | "TransferRequestMessage")) {
                let _ = held.acquire().await;
            }
            begun(&body, PID)
        }
    })
    .await;
    (double, gate)
}

#[tokio::test]
async fn an_agreement_that_is_faster_than_the_answer_is_taken_and_verified() {
    let at = free();
    let (double, gate) = slow(at).await;
    let c = consumer_of(at, &Clock::system()).await;
    let wire = c.seen_by(&token("p", "c"));
    let id = begin(&c, at).await;
    double.nth("ContractRequestMessage", 0).await;
    let mut said = message("ContractAgreementMessage", PID, &id);
    said["agreement"] = agreement("urn:agreement:1", &offer());
    let (status, body) = wire.post(&format!("/negotiations/{id}/agreement"), &said).await;
    assert_eq!(status, 200, "{body}");
    gate.add_permits(100);
    let (path, _) = double.nth("ContractAgreementVerificationMessage", 0).await;
    assert_eq!(path, format!("/negotiations/{PID}/agreement/verification"));
    wire.until(&format!("/negotiations/{id}"), "VERIFIED").await;
    let mut event = message("ContractNegotiationEventMessage", PID, &id);
    event["eventType"] = "FINALIZED".into();
    assert_eq!(wire.post(&format!("/negotiations/{id}/events"), &event).await.0, 200);
    assert_eq!(ended(&c, &id).await.talk.peer_pid.as_deref(), Some(PID));
}

#[tokio::test]
async fn a_start_that_is_faster_than_the_answer_is_taken() {
    let at = free();
    let (double, gate) = slow(at).await;
    let c = consumer_of(at, &Clock::system()).await;
    let wire = c.seen_by(&token("p", "c"));
    let id = c.connector.request_transfer(&c.participant("p"), &format!("http://{at}"), "urn:agreement:seed", "HttpData-PULL", None).await.expect("begun");
    double.nth("TransferRequestMessage", 0).await;
    let (status, body) = wire.post(&format!("/transfers/{id}/start"), &message("TransferStartMessage", PID, &id)).await;
    assert_eq!(status, 200, "{body}");
    gate.add_permits(100);
    wire.until(&format!("/transfers/{id}"), "STARTED").await;
    c.connector.act_in_transfer(&id, "complete", None).await.expect("it knows whom to tell");
    assert_eq!(double.nth("TransferCompletionMessage", 0).await.0, format!("/transfers/{PID}/completion"));
    let done = async || c.connector.transfer(&id).await.expect("read").is_some_and(|t| t.state == Some(TransferState::Completed));
    assert!(eventually(done).await);
    // Another identifier than the one it goes by is not taken from then on.
    let (status, error) = wire.post(&format!("/transfers/{id}/start"), &message("TransferStartMessage", "urn:uuid:other", &id)).await;
    assert_eq!((status, &error["code"]), (400, &json!("bad-message")));
}

#[tokio::test]
async fn who_never_answers_is_given_up_when_its_time_is_over() {
    let (clock, at) = (noon(), free());
    let c = consumer_of(at, &clock).await;
    let id = begin(&c, at).await;
    let attempts = async || c.connector.negotiation(&id).await.expect("read").and_then(|n| n.talk.pending.map(|p| p.attempts));
    assert!(eventually(async || attempts().await.is_some_and(|n| n >= 1)).await, "it was tried");
    clock.advance_micros(60_000_000);
    assert!(eventually(async || attempts().await.is_some_and(|n| n >= 2)).await, "and again");
    clock.advance_micros(3600 * 1_000_000);
    let over = ended(&c, &id).await;
    assert_eq!((over.state, code(&over)), (Some(NegotiationState::Terminated), "no-answer"));
    assert_eq!(over.talk.failure.map(|f| f.side), Some(Role::Provider), "the other side's failing");
}

#[tokio::test]
async fn who_is_silent_in_the_middle_is_told_of_the_end_as_long_and_no_longer() {
    let (clock, at) = (noon(), free());
    let dead = Arc::new(AtomicUsize::new(0));
    let ill = dead.clone();
    let double = Double::start(at, move |_, body| {
        let status = ill.load(Ordering::SeqCst);
        async move { if status == 0 { begun(&body, PID) } else { Response::empty(503) } }
    })
    .await;
    let c = consumer_of(at, &clock).await;
    let wire = c.seen_by(&token("p", "c"));
    let id = begin(&c, at).await;
    assert!(eventually(async || c.connector.negotiation(&id).await.expect("read").is_some_and(|n| n.talk.peer_pid.is_some())).await);
    dead.store(1, Ordering::SeqCst);
    let mut said = message("ContractAgreementMessage", PID, &id);
    said["agreement"] = agreement("urn:agreement:1", &offer());
    assert_eq!(wire.post(&format!("/negotiations/{id}/agreement"), &said).await.0, 200);
    double.nth("ContractAgreementVerificationMessage", 0).await;
    clock.advance_micros(3601 * 1_000_000);
    let (_, ending) = double.nth("ContractNegotiationTerminationMessage", 0).await;
    assert_eq!(ending["code"], "no-answer");
    clock.advance_micros(3601 * 1_000_000);
    let over = ended(&c, &id).await;
    assert_eq!(over.state, Some(NegotiationState::Terminated));
}

#[tokio::test]
async fn who_hangs_holds_up_nobody_else_and_is_given_up() {
    let (clock, at) = (noon(), free());
    let hung = Double::start(at, |path: String, body| async move {
        if path.starts_with("/hang/") {
            std::future::pending::<()>().await;
        }
        begun(&body, PID)
    })
    .await;
    let c = consumer_of(at, &clock).await;
    let who = c.participant("p");
    let hangs = c.connector.negotiate(&who, &format!("{}/hang", hung.base), offer(), Strategy::Automatic).await.expect("begun");
    assert!(eventually(async || hung.count("ContractRequestMessage") == 1).await);
    let goes = begin(&c, at).await;
    let known = async || c.connector.negotiation(&goes).await.expect("read").is_some_and(|n| n.talk.peer_pid.is_some());
    assert!(eventually(known).await, "another process goes on meanwhile");
    clock.advance_micros(3601 * 1_000_000);
    let over = ended(&c, &hangs).await;
    assert_eq!((over.state, code(&over)), (Some(NegotiationState::Terminated), "no-answer"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_credentials_or_without() {
    let (at, elsewhere) = (free(), free());
    let trap = Double::start(elsewhere, |_, body| async move { begun(&body, PID) }).await;
    let to = format!("{}/negotiations/request", trap.base);
    let double = Double::start(at, move |_, _| {
        let to = to.clone();
        async move { Response::empty(307).with(header::LOCATION, to) }
    })
    .await;
    let c = consumer_of(at, &Clock::system()).await;
    let id = begin(&c, at).await;
    let over = ended(&c, &id).await;
    assert_eq!((over.state, code(&over)), (Some(NegotiationState::Terminated), "refused-by-counterpart"));
    assert!(trap.heard().is_empty() && double.count("ContractRequestMessage") == 1);
}

#[tokio::test]
async fn what_was_not_taken_is_said_again_in_the_same_words() {
    let at = free();
    let count = Arc::new(AtomicUsize::new(0));
    let double = Double::start(at, move |_, body| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match n {
                0 => Response::empty(503),
                1 => Response::empty(404),
                // An answer that names nobody is none.
                2 => Response::json(201, &json!({})),
                _ => begun(&body, PID),
            }
        }
    })
    .await;
    let c = consumer_of(at, &Clock::system()).await;
    let id = begin(&c, at).await;
    let known = async || c.connector.negotiation(&id).await.expect("read").is_some_and(|n| n.talk.peer_pid.as_deref() == Some(PID));
    assert!(eventually(known).await);
    let heard: Vec<Heard> = double.heard();
    assert_eq!(heard.len(), 4);
    assert!(heard.iter().all(|h| h == &heard[0]), "{heard:?}");
}

#[tokio::test]
async fn an_identifier_that_two_processes_are_answered_with_ends_the_second() {
    let at = free();
    let double = Double::start(at, |_, body| async move { begun(&body, PID) }).await;
    let c = consumer_of(at, &Clock::system()).await;
    let first = begin(&c, at).await;
    let known = async |id: &str| c.connector.negotiation(id).await.expect("read").is_some_and(|n| n.talk.peer_pid.is_some());
    assert!(eventually(async || known(&first).await).await);
    let second = begin(&c, at).await;
    let over = ended(&c, &second).await;
    assert_eq!((over.state, code(&over)), (Some(NegotiationState::Terminated), "refused-by-counterpart"));
    assert_eq!(double.count("ContractRequestMessage"), 2, "and it is not asked again and again");
    assert_eq!(c.connector.negotiation(&first).await.expect("read").and_then(|n| n.state), Some(NegotiationState::Requested), "the first goes on");
}
