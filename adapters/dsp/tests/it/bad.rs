//! Bad messages over sockets: each is refused in the protocol's own form with the place, and the process it was for stays as it was.

use crate::deals::{SET, connector_at, message, request};
use crate::messages::fixtures;
use crate::schemas::schemas;
use crate::support::{CONTEXT, Double, Node, Setup, Wire, eventually, free, open_offering, token};
use serde_json::{Value, json};
use waybill_dsp::{Conformance, Offering, Role, Seed, Strategy};
use waybill_http::{Method, Response};
use waybill_model::Clock;

/// A message that would be taken: where it goes, the process it is for, what a refusal is called, and its members that must be there.
struct Case {
    path: String,
    /// Where the operator looks at the process, or at all of them for a message that begins one.
    watch: String,
    error: &'static str,
    good: Value,
    needed: &'static [&'static str],
    /// Members that may be missing, but not be of another kind.
    typed: &'static [&'static str],
}

/// A hub `c` with processes in states in which each message may come, and their counterpart `p`.
struct Bench {
    _c: Node,
    wire: Wire,
    operator: Wire,
    cases: Vec<Case>,
    _p: Double,
}

const OFFERED: &str = "urn:dataset:offered";
const AGREED: &str = "urn:dataset:agreed";

async fn bench() -> Bench {
    let (at, clock) = (free(), Clock::system());
    let p = Double::start(at, |_, body: Value| async move {
        let kind = match body["@type"].as_str() {
            Some("ContractRequestMessage") => "ContractNegotiation",
            Some("TransferRequestMessage") => "TransferProcess",
            _ => return Response::json(200, &json!({})),
        };
        Response::json(201, &json!({"@context": [CONTEXT], "@type": kind, "providerPid": "urn:uuid:p", "consumerPid": body["consumerPid"], "state": "REQUESTED"}))
    })
    .await;
    let scripted = |dataset: &str, act: &str| Offering { strategy: Strategy::Scripted(vec![format!("REQUESTED:{act}")]), ..open_offering(dataset) };
    let own = free();
    let mut setup = Setup::new("c", own, &clock).knows("p", Some(p.base.clone())).offers([open_offering(SET), scripted(OFFERED, "offer"), scripted(AGREED, "agree")]);
    let seed = |id: &str, role| Seed { id: id.into(), dataset: SET.into(), participant: "p".into(), role };
    setup.conformance = Some(Conformance { agreements: vec![seed("urn:agreement:in", Role::Consumer), seed("urn:agreement:1", Role::Provider)], ..Conformance::default() });
    let c = setup.run().await;
    assert_eq!(c.address, connector_at(own));
    let wire = c.seen_by(&token("p", "c"));
    let cases = cases(&c, &wire, &p).await;
    Bench { operator: c.managed(), _c: c, wire, cases, _p: p }
}

/// The fixture of the type `kind` with `pids`, provider first.
fn of(kind: &str, pids: Option<(&str, &str)>) -> Value {
    let mut out = fixtures().into_iter().rfind(|(_, m)| m["@type"] == kind).expect("a message").1;
    if let Some((provider, consumer)) = pids {
        (out["providerPid"], out["consumerPid"]) = (provider.into(), consumer.into());
    }
    out
}

async fn cases(c: &Node, wire: &Wire, p: &Double) -> Vec<Case> {
    let who = c.participant("p");
    let own = json!({"@id": "urn:waybill:offer:2", "@type": "Offer", "target": SET, "permission": [{"action": "use"}]});
    let asked = c.connector.negotiate(&who, &p.base, own, Strategy::Manual).await.expect("begun");
    wire.until(&format!("/negotiations/{asked}"), "REQUESTED").await;
    let fetched = c.connector.request_transfer(&who, &p.base, "urn:agreement:in", "HttpData-PULL", None).await.expect("begun");
    assert!(eventually(async || c.connector.transfer(&fetched).await.expect("read").is_some_and(|t| t.talk.peer_pid.is_some())).await);
    let (status, body) = wire.post(&format!("/transfers/{fetched}/start"), &message("TransferStartMessage", "urn:uuid:p", &fetched)).await;
    assert_eq!(status, 200, "{body}");
    let mut made = Vec::new();
    for (dataset, state) in [(OFFERED, "OFFERED"), (AGREED, "AGREED")] {
        let offer = crate::deals::offer_seen(wire, dataset).await;
        let (_, begun) = wire.post("/negotiations/request", &request(&format!("urn:uuid:{state}"), &offer, &p.base)).await;
        let pid = begun["providerPid"].as_str().expect("begun").to_owned();
        wire.until(&format!("/negotiations/{pid}"), state).await;
        made.push((pid, offer));
    }
    let ((offered, offer), (agreed, _)) = (made[0].clone(), made[1].clone());
    let negotiation = |id: &str, tail: &str, good: Value, needed, typed| Case {
        path: format!("/negotiations/{id}/{tail}"),
        watch: format!("/contractnegotiations/{id}"),
        error: "ContractNegotiationError",
        good,
        needed,
        typed,
    };
    let transfer = |tail: &str, kind: &str, typed| Case {
        path: format!("/transfers/{fetched}/{tail}"),
        watch: format!("/transferprocesses/{fetched}"),
        error: "TransferError",
        good: of(kind, Some(("urn:uuid:p", &fetched))),
        needed: PIDS,
        typed,
    };
    let first = |path: &str, watch: &str, error, good, needed, typed| Case { path: path.into(), watch: watch.into(), error, good, needed, typed };
    let here = ("urn:uuid:p", asked.as_str());
    let mut counter = message("ContractRequestMessage", &offered, "urn:uuid:OFFERED");
    counter["offer"] = offer.clone();
    let mut accepted = message("ContractNegotiationEventMessage", &offered, "urn:uuid:OFFERED");
    accepted["eventType"] = "ACCEPTED".into();
    let opening = crate::deals::offer_seen(wire, SET).await;
    let mut offers = of("ContractOfferMessage", Some(here));
    offers["offer"]["target"] = SET.into();
    let mut opens = json!({"@context": [CONTEXT], "@type": "ContractOfferMessage", "providerPid": "urn:uuid:new-p", "callbackAddress": p.base});
    opens["offer"] = offers["offer"].clone();
    let mut sent = of("TransferRequestMessage", None);
    (sent["consumerPid"], sent["callbackAddress"], sent["format"]) = ("urn:uuid:new-t".into(), p.base.clone().into(), "HttpData-PULL".into());
    vec![
        first("/catalog/request", "/contractnegotiations/request", "CatalogError", of("CatalogRequestMessage", None), &["@context", "@type"], &["filter"]),
        first("/negotiations/request", "/contractnegotiations/request", "ContractNegotiationError", request("urn:uuid:new-n", &opening, &p.base), &["@context", "@type", "consumerPid", "offer", "callbackAddress"], &[]),
        first("/negotiations/offers", "/contractnegotiations/request", "ContractNegotiationError", opens, &["@context", "@type", "providerPid", "offer", "callbackAddress"], &[]),
        first("/transfers/request", "/transferprocesses/request", "TransferError", sent, &["@context", "@type", "consumerPid", "agreementId", "format", "callbackAddress"], &["dataAddress"]),
        negotiation(&asked, "offers", offers, &["@context", "@type", "providerPid", "consumerPid", "offer"], &[]),
        negotiation(&asked, "agreement", of("ContractAgreementMessage", Some(here)), &["@context", "@type", "providerPid", "consumerPid", "agreement"], &[]),
        negotiation(&asked, "termination", of("ContractNegotiationTerminationMessage", Some(here)), PIDS, &["code", "reason"]),
        negotiation(&offered, "request", counter, &["@context", "@type", "providerPid", "consumerPid", "offer"], &[]),
        negotiation(&offered, "events", accepted, &["@context", "@type", "providerPid", "consumerPid", "eventType"], &[]),
        negotiation(&agreed, "agreement/verification", message("ContractAgreementVerificationMessage", &agreed, "urn:uuid:AGREED"), PIDS, &[]),
        transfer("suspension", "TransferSuspensionMessage", &["code", "reason"]),
        transfer("completion", "TransferCompletionMessage", &[]),
        transfer("termination", "TransferTerminationMessage", &["code", "reason"]),
    ]
}

const PIDS: &[&str] = &["@context", "@type", "providerPid", "consumerPid"];

impl Bench {
    async fn look(&self, case: &Case) -> Value {
        let managed = &self.operator;
        if case.watch.ends_with("/request") { managed.post(&case.watch, &json!({"limit": 1000})).await.1 } else { managed.get(&case.watch).await.1 }
    }
    /// Sends `body`, which must be refused with `status` and leave everything as it was; answers the code and the reason.
    async fn refused(&self, case: &Case, what: &str, kind: &str, body: Vec<u8>, status: u16) -> (String, String) {
        let before = self.look(case).await;
        let (found, answer) = self.wire.send(Method::POST, &case.path, kind, body).await;
        let at = format!("{} {what}: {found} {answer}", case.path);
        assert_eq!(found, status, "{at}");
        assert_eq!(answer["@type"], case.error, "{at}");
        if let Some(schemas) = schemas() {
            schemas.check(&answer).unwrap_or_else(|e| panic!("{at}: {e}"));
        }
        assert_eq!(self.look(case).await, before, "{at}: it changed something");
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        (text(&answer["code"]), text(&answer["reason"][0]))
    }
    async fn refused_json(&self, case: &Case, what: &str, body: &Value) -> (String, String) {
        self.refused(case, what, "application/json", body.to_string().into_bytes(), 400).await
    }
}

#[tokio::test]
async fn a_member_that_is_missing_or_of_another_kind_is_named() {
    let bench = bench().await;
    for case in &bench.cases {
        for name in case.needed {
            let mut without = case.good.clone();
            without.as_object_mut().expect("an object").remove(*name);
            let (code, reason) = bench.refused_json(case, &format!("without {name}"), &without).await;
            assert!(code == "bad-message" && reason.contains(name), "{} without {name}: {code}: {reason}", case.path);
            // The last is longer than any text is read.
            for other in [json!(null), json!(7), json!([]), json!({}), json!(""), json!([7]), json!("x".repeat(3000))] {
                let mut with = case.good.clone();
                with[*name] = other.clone();
                let (code, reason) = bench.refused_json(case, &format!("{name} as {other}"), &with).await;
                // Any text may be the name of a @context, and this hub knows only some.
                let unknown = *name == "@context" && other.as_str().is_some_and(|text| !text.is_empty());
                let (wanted, place) = if unknown { ("context-unknown", (*name).to_owned()) } else { ("bad-message", format!("/{name}")) };
                assert!(code == wanted && reason.contains(&place), "{} {name} as {other}: {code}: {reason}", case.path);
            }
        }
        for name in case.typed {
            for other in [json!(null), json!(7), json!({})] {
                let mut with = case.good.clone();
                with[*name] = other.clone();
                let (_, reason) = bench.refused_json(case, &format!("{name} as {other}"), &with).await;
                assert!(reason.contains(&format!("/{name}")), "{} {name} as {other}: {reason}", case.path);
            }
        }
        for (name, value, expected) in [("@type", json!("Message"), "bad-message"), ("@type", json!("TransferError"), "bad-message"), ("@context", json!(["https://other.example/context"]), "context-unknown")] {
            let mut with = case.good.clone();
            with[name] = value.clone();
            let (code, reason) = bench.refused_json(case, &format!("{name} as {value}"), &with).await;
            assert!(code == expected && reason.starts_with(&format!("/{name}")), "{}: {code}: {reason}", case.path);
        }
    }
    // Who answers was said when it began: an offer within a negotiation does not say it again.
    for case in bench.cases.iter().filter(|c| c.path.ends_with("/offers") || c.path.ends_with("/request")).filter(|c| c.good.get("callbackAddress").is_none() && c.good.get("offer").is_some()) {
        let mut with = case.good.clone();
        with["callbackAddress"] = bench.cases[1].good["callbackAddress"].clone();
        let (code, reason) = bench.refused_json(case, "callbackAddress once more", &with).await;
        assert!(code == "bad-message" && reason.contains("`callbackAddress`"), "{}: {code}: {reason}", case.path);
    }
    all_good(&bench).await;
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let bench = bench().await;
    for case in &bench.cases {
        let text = case.good.to_string();
        let twice = format!("{{\"consumerPid\":\"a\",\"consumerPid\":\"a\",{}", &text[1..]);
        let inside = text.replacen("\"@context\"", "\"x\":{\"a\":1,\"a\":2},\"@context\"", 1);
        for (what, body) in [("a member twice", twice), ("a member twice within", inside)] {
            let (code, _) = bench.refused(case, what, "application/json", body.into_bytes(), 400).await;
            assert_eq!(code, "member-twice", "{} {what}", case.path);
        }
        let mut broken = text.clone().into_bytes();
        let at = text.find("https").expect("a text");
        broken[at] = 0xff;
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        let cut = |n: usize| text.as_bytes()[..text.len() * n / 4].to_vec();
        for (what, body) in [
            ("no UTF-8", broken),
            ("cut off", cut(1)),
            ("cut off", cut(2)),
            ("cut off", cut(3)),
            ("nothing", Vec::new()),
            ("a list", format!("[{text}]").into_bytes()),
            ("a text", b"\"x\"".to_vec()),
            ("two", format!("{text}{text}").into_bytes()),
            ("too deep", deep.into_bytes()),
        ] {
            let (code, _) = bench.refused(case, what, "application/json", body, 400).await;
            assert_eq!(code, "not-json", "{} {what}", case.path);
        }
        for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded"] {
            let (code, _) = bench.refused(case, kind, kind, text.clone().into_bytes(), 415).await;
            assert_eq!(code, "media-type");
        }
        // Twice as much as is read of a message.
        let large = text.replacen("\"@context\"", &format!("\"x\":\"{}\",\"@context\"", "y".repeat(2 << 20)), 1);
        let (code, _) = bench.refused(case, "too large", "application/json", large.into_bytes(), 413).await;
        assert!(!code.is_empty());
    }
    all_good(&bench).await;
}

/// That what was changed for the tests would have been taken as it was: else they show nothing.
async fn all_good(bench: &Bench) {
    let taken: &[&str] = &["/catalog/request", "/negotiations/request", "/negotiations/offers", "/transfers/request", "/agreement/verification", "/events", "/suspension"];
    for case in &bench.cases {
        let wanted = matches!(case.path.as_str(), "/negotiations/request" | "/negotiations/offers" | "/transfers/request");
        if taken.iter().any(|t| case.path.ends_with(t)) && !(case.path.ends_with("/request") && case.path.matches('/').count() > 2) {
            let (status, answer) = bench.wire.post(&case.path, &case.good).await;
            assert_eq!(status, if wanted { 201 } else { 200 }, "{}: {answer}", case.path);
        }
    }
}
