//! Two hubs over sockets: what they agree to, what they refuse and how it is named, and what a participant may see of another's affairs.

use crate::deals::{ADVICE, SET, agreements, code, ended, message, meters, negotiated, offer_seen, offered, pair, request};
use crate::schemas::schemas;
use crate::support::{CONTEXT, Double, Node, Setup, Wire, eventually, free, iri, open_offering, token};
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_dsp::{NegotiationState, Offering, Role, Strategy};
use waybill_http::{Method, Response, header};
use waybill_model::{Clock, DateTime};

#[tokio::test]
async fn an_agreement_is_the_same_on_both_sides_and_a_licence_at_the_provider() {
    let (p, c) = pair(vec![meters()]).await;
    let offer = offered(&c, &p, SET).await;
    let done = negotiated(&c, &p.address, offer.clone(), Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
    let there = ended(&p, done.talk.peer_pid.as_deref().expect("known")).await;
    assert_eq!((there.state, there.talk.peer_pid.as_deref()), (Some(NegotiationState::Finalized), Some(done.talk.id.as_str())));
    let (ours, theirs) = (agreements(&c).await, agreements(&p).await);
    assert_eq!(ours.len(), 1);
    assert_eq!(ours, theirs);
    let at_c = c.connector.agreement(&ours[0]).await.expect("read").expect("there");
    let at_p = p.connector.agreement(&ours[0]).await.expect("read").expect("there");
    assert_eq!(at_c.policy, at_p.policy);
    assert_eq!((at_c.role, at_p.role), (Role::Consumer, Role::Provider));
    assert_eq!((&at_c.dataset, &at_c.participant, at_c.purpose.as_ref().map(iri_text)), (&SET.to_owned(), &"p".to_owned(), Some(ADVICE)));
    assert_eq!(at_p.policy["permission"], offer["permission"], "it says what was offered");
    assert_eq!((&at_p.policy["assigner"], &at_p.policy["assignee"], &at_p.policy["target"]), (&json!("p"), &json!("c"), &json!(SET)));
    let licence = p.hub.licence(&iri(&ours[0])).await.expect("read").expect("licensed");
    assert_eq!((licence.party, licence.purposes, licence.open), (crate::support::party_of("c"), vec![iri(ADVICE)], false));
    assert!(c.hub.licence(&iri(&ours[0])).await.expect("read").is_none(), "the consumer licenses nothing");
}

fn iri_text(iri: &waybill_model::Iri) -> &str {
    iri.as_str()
}

/// Takes something out of an offer, or puts something else there.
type Change = fn(&mut Value);

#[tokio::test]
async fn an_offer_that_is_weakened_is_refused_by_name_and_by_side() {
    let weakened: [(&str, Change); 6] = [
        ("purpose", |o| without_constraint(o, "purpose")),
        ("dateTime", |o| without_constraint(o, "dateTime")),
        ("consentTag", |o| without_constraint(o, "consentTag")),
        ("dateTime", |o| constraint(o, "dateTime")["rightOperand"]["@value"] = "2199-01-01T00:00:00Z".into()),
        ("delete", |o| o["permission"][0]["duty"].as_array_mut().expect("duties").retain(|d| !d["action"].as_str().is_some_and(|a| a.ends_with("delete")))),
        ("distribute", |o| drop(o.as_object_mut().expect("an offer").remove("prohibition"))),
    ];
    let (p, c) = pair(vec![meters()]).await;
    let own = offered(&c, &p, SET).await;
    for (name, change) in weakened {
        let mut offer = own.clone();
        change(&mut offer);
        assert_ne!(offer, own, "{name}: the test changes something");
        let done = negotiated(&c, &p.address, offer, Strategy::Automatic).await;
        assert_eq!((done.state, code(&done)), (Some(NegotiationState::Terminated), "offer-weakened"), "{name}");
        let said = &done.talk.failure.as_ref().expect("a reason").reason;
        assert!(said.contains(name), "{said} names {name}");
        let there = ended(&p, done.talk.peer_pid.as_deref().expect("known")).await;
        assert_eq!(there.talk.failure.as_ref().map(|f| f.side), Some(Role::Consumer), "whose it was");
        assert!(said.contains("consumer's offer") && said.contains("participant c"), "{said}");
    }
    assert!(agreements(&p).await.is_empty() && agreements(&c).await.is_empty());
}

fn constraint<'a>(offer: &'a mut Value, name: &str) -> &'a mut Value {
    let list = offer["permission"][0]["constraint"].as_array_mut().expect("constraints");
    list.iter_mut().find(|c| c["leftOperand"].as_str().is_some_and(|l| l.ends_with(name))).expect("the constraint")
}
fn without_constraint(offer: &mut Value, name: &str) {
    let list = offer["permission"][0]["constraint"].as_array_mut().expect("constraints");
    list.retain(|c| !c["leftOperand"].as_str().is_some_and(|l| l.ends_with(name)));
}

#[tokio::test]
async fn an_operand_that_is_not_known_is_refused_by_its_name() {
    let (p, c) = pair(vec![meters()]).await;
    let own = offered(&c, &p, SET).await;
    for operand in ["http://www.w3.org/ns/odrl/2/spatial", "https://other.example/mood"] {
        let mut offer = own.clone();
        let more = json!({"leftOperand": operand, "operator": "eq", "rightOperand": {"@value": "x"}});
        offer["permission"][0]["constraint"].as_array_mut().expect("constraints").push(more);
        let done = negotiated(&c, &p.address, offer, Strategy::Automatic).await;
        assert_eq!(done.state, Some(NegotiationState::Terminated), "{operand}");
        let said = &done.talk.failure.as_ref().expect("a reason").reason;
        let name = operand.rsplit('/').next().expect("a name");
        assert!(said.contains(name), "{said} names {name}");
    }
    assert!(agreements(&p).await.is_empty() && agreements(&c).await.is_empty());
}

#[tokio::test]
async fn a_narrower_offer_is_accepted_and_its_earlier_end_counts() {
    let (p, c) = pair(vec![meters()]).await;
    let mut offer = offered(&c, &p, SET).await;
    constraint(&mut offer, "dateTime")["rightOperand"]["@value"] = "2090-01-01T00:00:00Z".into();
    let done = negotiated(&c, &p.address, offer, Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
    let id = agreements(&p).await.swap_remove(0);
    let earlier = DateTime::parse("2090-01-01T00:00:00Z").ok();
    assert_eq!(p.connector.agreement(&id).await.expect("read").expect("there").until, earlier, "the agreement ends when it says");
    assert_eq!(p.hub.licence(&iri(&id)).await.expect("read").expect("licensed").until, earlier, "and so does the licence");
}

#[tokio::test]
async fn a_narrower_purpose_is_what_the_licence_is_for() {
    const BROAD: &str = "https://w3id.org/waybill/purpose#GridOperation";
    const NARROW: &str = "https://w3id.org/waybill/purpose#LoadForecast";
    let (p, c) = pair(vec![Offering { purposes: vec![iri(BROAD)], ..meters() }]).await;
    let own = offered(&c, &p, SET).await;
    let mut narrower = own.clone();
    constraint(&mut narrower, "purpose")["rightOperand"] = NARROW.into();
    let mut both = own;
    let mut more = constraint(&mut both, "purpose").clone();
    more["rightOperand"] = NARROW.into();
    both["permission"][0]["constraint"].as_array_mut().expect("constraints").push(more);
    for offer in [narrower, both] {
        let done = negotiated(&c, &p.address, offer, Strategy::Automatic).await;
        assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
        let id = done.agreement.expect("agreed")["@id"].as_str().expect("an id").to_owned();
        let licence = p.hub.licence(&iri(&id)).await.expect("read").expect("licensed");
        assert_eq!(licence.purposes, [iri(NARROW)], "not all that is offered");
        let transfer = c.connector.request_transfer(&c.participant("p"), &p.address, &id, "HttpData-PULL", None).await.expect("begun");
        // It is in force, though the dataset is on offer for the broader purpose alone.
        p.connector.tend().await.expect("looked");
        assert!(p.connector.agreement(&id).await.expect("read").expect("there").ended.is_none(), "{transfer}");
    }
}

#[tokio::test]
async fn an_agreement_that_is_never_final_is_none() {
    // A consumer that takes everything but the last word.
    let consumer = Double::start(free(), |_, body| async move {
        if body["eventType"] == "FINALIZED" { Response::json(400, &json!({"code": "no"})) } else { Response::json(200, &json!({})) }
    })
    .await;
    let p = Setup::new("p", free(), &Clock::system()).knows("c", Some(consumer.base.clone())).offers([open_offering(SET)]).run().await;
    let wire = p.seen_by(&token("c", "p"));
    let offer = offer_seen(&wire, SET).await;
    let (status, begun) = wire.post("/negotiations/request", &request("urn:uuid:c-1", &offer, &consumer.base)).await;
    assert_eq!(status, 201, "{begun}");
    let pid = begun["providerPid"].as_str().expect("begun").to_owned();
    let (_, said) = consumer.nth("ContractAgreementMessage", 0).await;
    let id = said["agreement"]["@id"].as_str().expect("an id").to_owned();
    assert_eq!(wire.post(&format!("/negotiations/{pid}/agreement/verification"), &message("ContractAgreementVerificationMessage", &pid, "urn:uuid:c-1")).await.0, 200);
    assert_eq!(ended(&p, &pid).await.state, Some(NegotiationState::Terminated));
    let kept = p.connector.agreement(&id).await.expect("read").expect("kept");
    assert!(kept.ended.is_some(), "{kept:?}");
    assert!(p.hub.licence(&iri(&id)).await.expect("read").expect("kept").ended.is_some(), "and it opens nothing");
    let ask = json!({"@context": [CONTEXT], "@type": "TransferRequestMessage", "consumerPid": "urn:uuid:t-1", "agreementId": id, "format": "HttpData-PULL", "callbackAddress": consumer.base});
    assert!((400..500).contains(&wire.post("/transfers/request", &ask).await.0));

    // As consumer: verified, and then no word more. Nothing can be asked for under it.
    let provider = Double::start(free(), |_, body| async move {
        if body["@type"] == "ContractRequestMessage" {
            Response::json(201, &json!({"@context": [CONTEXT], "@type": "ContractNegotiation", "providerPid": "urn:uuid:p-1", "consumerPid": body["consumerPid"], "state": "REQUESTED"}))
        } else {
            Response::json(200, &json!({}))
        }
    })
    .await;
    let c = Setup::new("c", free(), &Clock::system()).knows("p", Some(provider.base.clone())).run().await;
    let wire = c.seen_by(&token("p", "c"));
    let offer = json!({"@id": "urn:offer:1", "@type": "Offer", "target": SET, "permission": [{"action": "use"}]});
    let id = c.connector.negotiate(&c.participant("p"), &provider.base, offer.clone(), Strategy::Automatic).await.expect("begun");
    wire.until(&format!("/negotiations/{id}"), "REQUESTED").await;
    assert!(eventually(async || c.connector.negotiation(&id).await.expect("read").is_some_and(|n| n.talk.peer_pid.is_some())).await);
    let mut said = message("ContractAgreementMessage", "urn:uuid:p-1", &id);
    said["agreement"] = crate::deals::agreement("urn:agreement:1", &offer);
    assert_eq!(wire.post(&format!("/negotiations/{id}/agreement"), &said).await.0, 200);
    wire.until(&format!("/negotiations/{id}"), "VERIFIED").await;
    assert!(agreements(&c).await.is_empty());
    let refused = c.connector.request_transfer(&c.participant("p"), &provider.base, "urn:agreement:1", "HttpData-PULL", None).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn an_offer_that_changed_since_the_catalogue_is_not_found() {
    let (p, c) = pair(vec![meters()]).await;
    let old = offered(&c, &p, SET).await;
    let mut config = (*p.connector.config()).clone();
    config.offers = vec![Arc::new(Offering { until: DateTime::parse("2050-01-01T00:00:00Z").ok(), ..meters() })];
    let identity = waybill_dsp::StaticIdentity::new([("c".to_owned(), token("c", "p"))]);
    p.connector.replace(config, Arc::new(identity));
    let done = negotiated(&c, &p.address, old.clone(), Strategy::Automatic).await;
    assert_eq!((done.state, code(&done)), (Some(NegotiationState::Terminated), "refused-by-counterpart"));
    assert!(done.talk.failure.as_ref().is_some_and(|f| f.reason.contains("offer-not-found")), "{:?}", done.talk.failure);
    let new = offered(&c, &p, SET).await;
    assert_ne!(new["@id"], old["@id"], "other terms are another offer");
    assert_eq!(negotiated(&c, &p.address, new, Strategy::Automatic).await.state, Some(NegotiationState::Finalized));
}

/// A provider that two participants know, with an open dataset; nobody's connector has an address.
async fn alone() -> (Node, Wire, Wire) {
    let clock = Clock::system();
    let node = Setup::new("p", free(), &clock).knows("x", Some("http://127.0.0.1:9/x".into())).knows("y", None).offers([open_offering(SET)]).start().await;
    let (x, y) = (node.seen_by(&token("x", "p")), node.seen_by(&token("y", "p")));
    (node, x, y)
}

#[tokio::test]
async fn a_first_message_that_is_repeated_is_one_process() {
    let (p, x, y) = alone().await;
    let offer = offer_seen(&x, SET).await;
    let first = request("urn:uuid:1", &offer, "http://127.0.0.1:9/x");
    let answers = tokio::join!(x.post("/negotiations/request", &first), x.post("/negotiations/request", &first), x.post("/negotiations/request", &first));
    let pid = |a: &(u16, Value)| a.1["providerPid"].as_str().unwrap_or_default().to_owned();
    for answer in [&answers.0, &answers.1, &answers.2] {
        assert_eq!((answer.0, pid(answer)), (201, pid(&answers.0)), "{}", answer.1);
    }
    let mut other = first.clone();
    other["callbackAddress"] = "http://127.0.0.1:9/elsewhere".into();
    let (status, error) = x.post("/negotiations/request", &other).await;
    assert_eq!((status, &error["code"]), (400, &json!("identifier-used")));
    // The same identifier of another participant is another process.
    let (status, begun) = y.post("/negotiations/request", &first).await;
    assert_eq!(status, 201, "{begun}");
    assert_ne!(begun["providerPid"].as_str(), Some(pid(&answers.0).as_str()));
    let (_, list) = p.managed().post("/contractnegotiations/request", &json!({})).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn terminations_that_cross_end_it_on_both_sides() {
    let (p, c) = pair(vec![Offering { strategy: Strategy::Manual, ..open_offering(SET) }]).await;
    let who = c.participant("p");
    let offer = offered(&c, &p, SET).await;
    for round in 0..5 {
        let id = c.connector.negotiate(&who, &p.address, offer.clone(), Strategy::Manual).await.expect("begun");
        let known = async || c.connector.negotiation(&id).await.expect("read").is_some_and(|n| n.talk.peer_pid.is_some() && n.talk.pending.is_none());
        assert!(eventually(known).await, "round {round}");
        let peer = c.connector.negotiation(&id).await.expect("read").and_then(|n| n.talk.peer_pid).expect("known");
        let (here, there) = tokio::join!(c.connector.act_in_negotiation(&id, "terminate", None), p.connector.act_in_negotiation(&peer, "terminate", None));
        assert!(here.is_ok() || there.is_ok(), "one of them is first");
        for (node, id) in [(&c, &id), (&p, &peer)] {
            assert_eq!(ended(node, id).await.state, Some(NegotiationState::Terminated), "round {round}");
        }
    }
}

#[tokio::test]
async fn a_callback_address_is_at_the_senders_own_connector() {
    let (_p, x, y) = alone().await;
    let offer = offer_seen(&x, SET).await;
    let cases: [(&str, u16); 9] = [
        ("http://127.0.0.1:9/x", 201),
        ("http://127.0.0.1:9/other/path/", 201),
        ("http://127.0.0.1:9/x?to=1", 400),
        ("http://127.0.0.1:9/x#part", 400),
        ("http://127.0.0.1:10/x", 400),
        ("http://127.0.0.1:9@evil.example/x", 400),
        ("http://127.0.0.1:9.evil.example/x", 400),
        ("ftp://127.0.0.1:9/x", 400),
        ("//127.0.0.1:9/x", 400),
    ];
    for (n, (address, wanted)) in cases.into_iter().enumerate() {
        let (status, body) = x.post("/negotiations/request", &request(&format!("urn:uuid:{n}"), &offer, address)).await;
        assert_eq!(status, wanted, "{address}: {body}");
        if status == 400 {
            assert_eq!(body["code"], "bad-message", "{address}");
            assert!(body["reason"][0].as_str().is_some_and(|r| r.starts_with("/callbackAddress")), "{address}: {body}");
        }
    }
    // Of whom no address is known, none can be compared; but it is an address.
    assert_eq!(y.post("/negotiations/request", &request("urn:uuid:y", &offer, "http://127.0.0.1:10/")).await.0, 201);
    assert_eq!(y.post("/negotiations/request", &request("urn:uuid:z", &offer, "http://127.0.0.1:10/?q")).await.0, 400);
}

#[tokio::test]
async fn what_is_anothers_and_what_is_not_there_are_answered_alike() {
    let (p, x, y) = alone().await;
    let offer = offer_seen(&x, SET).await;
    let (_, begun) = x.post("/negotiations/request", &request("urn:uuid:1", &offer, "http://127.0.0.1:9/x")).await;
    let there = begun["providerPid"].as_str().expect("begun").to_owned();
    let nowhere = "urn:uuid:00000000-0000-4000-8000-000000000000".to_owned();
    let unknown = p.seen_by("no-such-token");
    let bare = p.seen_by("");
    for (folder, tails) in [("negotiations", &["", "/request", "/offers", "/events", "/agreement", "/agreement/verification", "/termination"][..]), ("transfers", &["", "/start", "/suspension", "/completion", "/termination"])] {
        for tail in tails {
            let mut answers = Vec::new();
            for (wire, pid) in [(&y, &there), (&y, &nowhere), (&x, &nowhere), (&unknown, &there), (&bare, &there)] {
                let path = format!("/{folder}/{pid}{tail}");
                let (status, body) = if tail.is_empty() { wire.get(&path).await } else { wire.post(&path, &message("ContractNegotiationTerminationMessage", pid, "urn:uuid:1")).await };
                answers.push((status, body.to_string().replace(pid, "PID")));
            }
            assert_eq!(answers[0].0, 404, "{folder}{tail}: {}", answers[0].1);
            assert!(answers.iter().all(|a| a == &answers[0]), "{folder}{tail}: {answers:?}");
        }
    }
    assert_eq!(x.state(&format!("/negotiations/{there}")).await, "REQUESTED", "nothing of it moved the process");
}

#[tokio::test]
async fn who_shows_nothing_is_shown_no_catalogue_and_begins_nothing() {
    let (p, x, _) = alone().await;
    let offer = offer_seen(&x, SET).await;
    for nobody in [p.seen_by(""), p.seen_by("no-such-token")] {
        let (status, error) = nobody.post("/catalog/request", &json!({"@context": [CONTEXT], "@type": "CatalogRequestMessage"})).await;
        assert_eq!((status, &error["@type"], &error["code"]), (401, &json!("CatalogError"), &json!("unauthenticated")));
        let (status, error) = nobody.get(&format!("/catalog/datasets/{SET}")).await;
        assert_eq!((status, &error["@type"]), (401, &json!("CatalogError")));
        let (status, error) = nobody.post("/negotiations/request", &request("urn:uuid:1", &offer, "http://127.0.0.1:9/x")).await;
        assert_eq!((status, &error["@type"]), (401, &json!("ContractNegotiationError")));
    }
}

/// The address of the relation `rel` in the `Link` headers.
fn link(headers: &waybill_http::HeaderMap, rel: &str) -> Option<String> {
    let all = headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok());
    let of = format!("rel=\"{rel}\"");
    all.filter(|v| v.ends_with(&of)).find_map(|v| Some(v.split_once('<')?.1.split_once('>')?.0.to_owned()))
}

fn ids(catalog: &Value) -> Vec<String> {
    catalog["dataset"].as_array().map(|l| l.iter().map(|d| d["@id"].as_str().expect("an id").to_owned()).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_long_catalogue_is_told_page_by_page() {
    let all: Vec<String> = (0..250).map(|n| format!("urn:dataset:{n:03}")).collect();
    let (p, c) = pair(all.iter().map(|id| open_offering(id)).collect()).await;
    let wire = p.seen_by(&token("c", "p"));
    let ask = json!({"@context": [CONTEXT], "@type": "CatalogRequestMessage"}).to_string();
    let (mut url, mut found, mut pages) = ("/catalog/request".to_owned(), Vec::new(), 0);
    let mut before = None;
    loop {
        let (status, page, headers) = wire.send_raw(Method::POST, &url, "application/json", ask.clone()).await;
        assert_eq!(status, 200, "{page}");
        if let Some(schemas) = schemas() {
            schemas.check(&page).expect("a valid page");
        }
        assert_eq!(link(&headers, "previous").is_some(), pages > 0, "the first has none before it");
        before = link(&headers, "previous").or(before);
        found.extend(ids(&page));
        pages += 1;
        match link(&headers, "next") {
            Some(next) => url = next,
            None => break,
        }
    }
    assert!(pages > 1 && found == all, "{pages} pages, {} datasets", found.len());
    let (_, back, _) = wire.send_raw(Method::POST, &before.expect("a way back"), "application/json", ask).await;
    assert!(!ids(&back).is_empty() && ids(&back).iter().all(|id| all.contains(id)));
    let whole = c.connector.fetch_catalog(&c.participant("p"), &p.address).await.expect("a catalogue");
    assert_eq!(ids(&whole), all, "a hub that asks has all pages in one");
}

#[tokio::test]
async fn the_one_filter_that_is_understood_pages_and_any_other_is_refused() {
    let all: Vec<String> = (0..7).map(|n| format!("urn:dataset:{n}")).collect();
    let (p, _c) = pair(all.iter().map(|id| open_offering(id)).collect()).await;
    let wire = p.seen_by(&token("c", "p"));
    let ask = async |filter: Value| wire.post("/catalog/request", &json!({"@context": [CONTEXT], "@type": "CatalogRequestMessage", "filter": filter})).await;
    let edc = "https://w3id.org/edc/v0.0.1/ns/";
    let spec = |offset: u64, limit: u64| json!([{"@type": format!("{edc}QuerySpec"), format!("{edc}offset"): offset, format!("{edc}limit"): limit, format!("{edc}filterExpression"): [], format!("{edc}sortOrder"): "ASC"}]);
    for (filter, wanted) in [(json!([]), &all[..]), (spec(0, 50), &all[..]), (spec(0, 3), &all[..3]), (spec(5, 3), &all[5..]), (spec(7, 3), &all[7..])] {
        let (status, page) = ask(filter.clone()).await;
        assert_eq!((status, ids(&page)), (200, wanted.to_vec()), "{filter}");
        assert_eq!(page.get("dataset").is_none(), wanted.is_empty(), "an empty list is not valid");
    }
    let criterion = json!([{"@type": "QuerySpec", "offset": 0, "limit": 5, "filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "x"}]}]);
    for filter in [criterion, json!(["type = x"]), json!([{"@type": "Other"}]), json!([{"@type": "QuerySpec", "offset": -1}]), json!([{"@type": "QuerySpec", "offset": "1"}]), json!([{}, {}])] {
        let (status, error) = ask(filter.clone()).await;
        assert_eq!((status, &error["@type"], &error["code"]), (400, &json!("CatalogError"), &json!("filter-not-supported")), "{filter}");
    }
    for filter in [json!("x"), json!({}), json!(1), json!(null)] {
        let (status, error) = ask(filter.clone()).await;
        assert_eq!((status, &error["@type"]), (400, &json!("CatalogError")), "{filter}");
    }
}
