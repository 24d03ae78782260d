//! The step in which a company comes: its connector discovers what city A offers, negotiates for a purpose, pulls and is fed, for the people
//! who agreed to that company and that purpose. The company's connector is a second hub of ours; where it is fed is a stand-in.

use super::cities::{COMPANY, CONNECTOR_A, DATASET, OPERATOR};
use super::stage::{City, Stage};
use super::story::{BERT, DORA, SOON, Teller, VOCAB, check, consent};
use serde_json::{Value, json};
use std::time::Duration;
use waybill_http::{InResponse, Method, encode_component};

const BERT_HIMSELF: &str = "https://bert.example/#me";
const DORA_HERSELF: &str = "https://dora.example/#me";

/// How the company uses what it has: where the page and the list of deletions are, and the token for both.
struct Access {
    page: String,
    deletions: String,
    token: String,
}

pub(super) async fn company(stage: &mut Stage, teller: &Teller) -> Result<(), String> {
    teller.step(7, "A company's connector finds the meters on offer, negotiates for energy advice, and gets those of the people who agreed to it.");
    clerk_records(stage, BERT_HIMSELF, BERT).await?;
    let dora = clerk_records(stage, DORA_HERSELF, DORA).await?;
    teller.say("A clerk records it for Bert and Dora: this company, energy advice, power in steps of 100 W. Anna agreed to cities, not to the company.");

    let offer = discover(stage, teller).await?;
    let (agreement, negotiation) = negotiate(stage, teller, &offer).await?;
    let pull = transfer(stage, &agreement, json!({ "transferType": "HttpData-PULL" })).await?;
    let destination = json!({ "type": "HttpData", "baseUrl": stage.feed.url() });
    let feed = transfer(stage, &agreement, json!({ "transferType": "NgsiLd-FEED", "dataDestination": destination })).await?;
    let both = [pull.as_str(), feed.as_str()];

    let access = access(stage, &pull).await?;
    let names = page(stage, &access).await?;
    check(names.len() == 2, &format!("of three meters the company reads two, Bert's and Dora's ({names:?})"))?;
    teller.say(format!("It pulls: two meters of three, 400 W each, under names that only this company has ({}…).", names[0].chars().take(40).collect::<String>()));
    let told = async || names.iter().all(|id| told_of(stage, id) == Some(false)).then_some(());
    let (_, took) = stage.until("the feed told of both", SOON, told).await?;
    teller.say(format!("{:.2} s later its feed ({}, a stand-in) has been told of the same two.", took.as_secs_f64(), stage.feed.url()));

    dora_withdraws(stage, teller, &access, &names, &dora, both).await?;
    bert_withdraws_and_returns(stage, teller, &access, both).await?;
    stage.shown = vec![
        ("What city A offers", format!("{}/management/v3/assets/{}", stage.url(City::A), encode_component(DATASET))),
        ("The company's negotiation", process(stage, "contractnegotiations", &negotiation)),
        ("Its two transfers", format!("{}  {}", process(stage, "transferprocesses", &pull), process(stage, "transferprocesses", &feed))),
        ("Where it gets the data, and its token (good for five minutes)", format!("{}/management/v3/edrs/{pull}/dataaddress", stage.url(City::Company))),
    ];
    Ok(())
}

fn process(stage: &Stage, what: &str, id: &str) -> String {
    format!("{}/management/v3/{what}/{id}", stage.url(City::Company))
}

/// An answer's JSON, once it is sure that it is a good one.
fn good(answer: &InResponse, what: &str) -> Result<Value, String> {
    check(answer.status.is_success(), &format!("{what} ({} {})", answer.status, String::from_utf8_lossy(&answer.body)))?;
    if answer.body.is_empty() { Ok(Value::Null) } else { answer.json().map_err(|e| e.to_string()) }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A clerk of city A records that somebody agrees to the company. The consent's identifier.
async fn clerk_records(stage: &Stage, who: &str, meter: &str) -> Result<String, String> {
    let power = json!([{ "attribute": format!("{VOCAB}activePower"), "precision": { "round": 100 } }]);
    let mut document = consent(stage, who, 1, "given", &power, false);
    let party = json!({ "id": COMPANY, "name": "The company", "address": "3 Market Square", "contact": "privacy@company.example", "country": "BE" });
    document["recipients"] = json!([party]);
    let answer = stage.ask(City::A, OPERATOR, Method::POST, "/waybill/v1/consents", Some(json!({ "document": document }))).await?;
    Ok(text(&good(&answer, &format!("the consent for {meter} is taken"))?["id"]))
}

/// What the company's operator is answered by its own connector, which then calls city A's.
async fn order(stage: &Stage, what: &str, more: Value) -> Result<Value, String> {
    let mut body = json!({ "counterPartyAddress": format!("{}/dsp/2025-1", stage.url(City::A)), "counterPartyId": CONNECTOR_A });
    if let (Some(all), Value::Object(more)) = (body.as_object_mut(), more) {
        all.extend(more);
    }
    let answer = stage.ask(City::Company, OPERATOR, Method::POST, &format!("/management/v3/{what}"), Some(body)).await?;
    good(&answer, &format!("the company's connector does as it is told: {what}"))
}

/// A process of the company's, once it is in `state`; and how long that took.
async fn until_it_is(stage: &Stage, what: &str, id: &str, state: &str) -> Result<(Value, Duration), String> {
    let url = process(stage, what, id);
    let there = async || {
        let shown: Value = stage.call(&url, OPERATOR, Method::GET, None).await.ok()?.json().ok()?;
        (shown["state"] == state).then_some(shown)
    };
    stage.until(&format!("{url} is {state}"), SOON, there).await
}

/// The offer for the dataset, from city A's catalogue.
async fn discover(stage: &Stage, teller: &Teller) -> Result<Value, String> {
    let catalogue = order(stage, "catalog/request", json!({})).await?;
    let sets = catalogue["dataset"].as_array().cloned().unwrap_or_default();
    check(sets.len() == 1 && sets[0]["@id"] == DATASET, &format!("one dataset is on offer ({catalogue})"))?;
    let mut offer = sets[0]["hasPolicy"][0].clone();
    check(offer.to_string().contains("#EnergyAdvice"), &format!("for one purpose ({offer})"))?;
    let said = catalogue.to_string();
    check(!["anna", "bert", "dora"].iter().any(|name| said.contains(name)), "no person stands in the catalogue")?;
    offer["target"] = DATASET.into();
    teller.say(format!("Its connector reads city A's catalogue: one dataset, {DATASET}, for energy advice only. It says nothing about anybody."));
    Ok(offer)
}

/// First for a purpose that is not on offer, then for the one that is. The agreement, and the negotiation that led to it.
async fn negotiate(stage: &Stage, teller: &Teller, offer: &Value) -> Result<(String, String), String> {
    let billing: Value = serde_json::from_str(&offer.to_string().replace("#EnergyAdvice", "#EnergyBilling")).map_err(|e| e.to_string())?;
    let id = text(&order(stage, "contractnegotiations", json!({ "policy": billing })).await?["@id"]);
    let (ended, _) = until_it_is(stage, "contractnegotiations", &id, "TERMINATED").await?;
    let why = text(&ended["errorDetail"]);
    check(why.starts_with("offer-weakened"), &format!("the refusal says why ({why})"))?;
    teller.say(format!("It asks for billing instead: refused, and told why: {why}."));

    let id = text(&order(stage, "contractnegotiations", json!({ "policy": offer })).await?["@id"]);
    let (agreed, took) = until_it_is(stage, "contractnegotiations", &id, "FINALIZED").await?;
    let agreement = text(&agreed["contractAgreementId"]);
    teller.say(format!("It asks for energy advice: agreed after {:.2} s, signed by city A, as {agreement}.", took.as_secs_f64()));
    Ok((agreement, id))
}

async fn transfer(stage: &Stage, agreement: &str, mut more: Value) -> Result<String, String> {
    more["contractId"] = agreement.into();
    let id = text(&order(stage, "transferprocesses", more).await?["@id"]);
    until_it_is(stage, "transferprocesses", &id, "STARTED").await?;
    Ok(id)
}

/// Where the company gets the data of a transfer, as its connector was told.
async fn access(stage: &Stage, transfer: &str) -> Result<Access, String> {
    let url = format!("{}/management/v3/edrs/{transfer}/dataaddress", stage.url(City::Company));
    let edr = good(&stage.call(&url, OPERATOR, Method::GET, None).await?, "the company knows where the data is")?;
    Ok(Access { page: text(&edr["endpoint"]), deletions: text(&edr["https://w3id.org/waybill/ns#deletions"]), token: text(&edr["authorization"]) })
}

/// The names on the page that the company reads now: meters with power in steps of 100 W, and nothing else of a person.
async fn page(stage: &Stage, access: &Access) -> Result<Vec<String>, String> {
    let answer = stage.call(&access.page, &access.token, Method::GET, None).await?;
    let list = good(&answer, "the company reads")?;
    let said = list.to_string();
    check(!["412.5", "4.35271", "bert", "dora", "anna"].iter().any(|what| said.contains(what)), &format!("neither an exact value nor a person ({said})"))?;
    let list = list.as_array().cloned().unwrap_or_default();
    check(list.iter().all(|e| e["activePower"]["value"] == json!(400.0) || e["activePower"]["value"] == json!(400)), &format!("400 W each ({said})"))?;
    Ok(list.iter().map(|e| text(&e["id"])).collect())
}

/// The last word of the feed about a meter: whether it is gone. Nothing when it never told of it.
fn told_of(stage: &Stage, id: &str) -> Option<bool> {
    let all = stage.feed.taken();
    let told = all.iter().rev().flat_map(|n| n["data"].as_array().into_iter().flatten().rev());
    told.into_iter().find(|e| e["id"] == id).map(|e| e.get("deletedAt").is_some())
}

async fn withdraw(stage: &Stage, id: &str) -> Result<(), String> {
    let path = format!("/waybill/v1/consents/{}/withdraw", encode_component(id));
    let answer = stage.ask(City::A, OPERATOR, Method::POST, &path, Some(json!({ "reason": "said at the town hall" }))).await?;
    good(&answer, "the withdrawal is taken").map(drop)
}

async fn dora_withdraws(stage: &Stage, teller: &Teller, access: &Access, names: &[String], consent: &str, both: [&str; 2]) -> Result<(), String> {
    withdraw(stage, consent).await?;
    let left = page(stage, access).await?;
    check(left.len() == 1, &format!("the next page has one fewer ({left:?})"))?;
    let gone = names.iter().find(|id| !left.contains(id)).ok_or("one of the two is gone")?;
    let (_, took) = stage.until("the feed has a tombstone", SOON, async || (told_of(stage, gone) == Some(true)).then_some(())).await?;
    let listed = good(&stage.call(&access.deletions, &access.token, Method::GET, None).await?, "the deletions are listed")?;
    check(listed["deletions"].as_array().is_some_and(|l| l.len() == 1 && l[0]["id"] == json!(gone)), &format!("hers alone is listed ({listed})"))?;
    for id in both {
        until_it_is(stage, "transferprocesses", id, "STARTED").await?;
    }
    check(told_of(stage, &left[0]) == Some(false), "of Bert's meter nothing was taken back")?;
    teller.say(format!("Dora withdraws at the town hall: the next page has one meter, and after {:.2} s the feed a tombstone. Both transfers go on.", took.as_secs_f64()));
    let reported = async || {
        let list: Value = stage.ask(City::A, OPERATOR, Method::GET, "/waybill/v1/withdrawals?limit=1", None).await.ok()?.json().ok()?;
        let last = list["items"][0].clone();
        (last["subject"] == DORA_HERSELF && last["finishedAt"].is_string()).then_some(last)
    };
    let (last, _) = stage.until("city A reports what became of it", SOON, reported).await?;
    let answers = &last["holders"][0]["answers"];
    check(last["holders"][0]["party"] == COMPANY && answers[0]["outcome"]["is"] == "stopped", &format!("the company is reported as stopped ({last})"))?;
    teller.say(format!("Who only pulls finds it in the list of what to delete. City A's report says of the company: stopped, {}.", text(&answers[0]["how"])));
    teller.say("Whether the company has deleted what it had, city A cannot see, and does not claim.");
    Ok(())
}

async fn bert_withdraws_and_returns(stage: &Stage, teller: &Teller, access_before: &Access, both: [&str; 2]) -> Result<(), String> {
    let answer = stage.ask(City::A, OPERATOR, Method::GET, &format!("/waybill/v1/consents?subject={}", encode_component(BERT_HIMSELF)), None).await?;
    let list = good(&answer, "his consent is listed")?;
    let id = list["items"].as_array().and_then(|l| l.iter().find(|c| c["open"] == json!(true))).map(|c| text(&c["id"])).ok_or("his consent is open")?;
    withdraw(stage, &id).await?;
    let mut took = Duration::ZERO;
    for id in both {
        let (shown, more) = until_it_is(stage, "transferprocesses", id, "SUSPENDED").await?;
        check(text(&shown["errorDetail"]).starts_with("nobody-left"), &format!("it says why ({shown})"))?;
        took += more;
    }
    let refused = stage.call(&access_before.page, &access_before.token, Method::GET, None).await?;
    check(refused.status.as_u16() == 401, &format!("the token opens nothing ({})", refused.status))?;
    teller.say(format!("Bert withdraws too: nobody is left. After {:.2} s both transfers are suspended, and the token opens nothing.", took.as_secs_f64()));

    clerk_records(stage, BERT_HIMSELF, BERT).await?;
    for id in both {
        until_it_is(stage, "transferprocesses", id, "STARTED").await?;
    }
    let fresh = access(stage, both[0]).await?;
    check(page(stage, &fresh).await?.len() == 1, "his meter is on the page again")?;
    teller.say("He agrees anew: both have started again by themselves, with a fresh token, and his meter is on the page. The agreement was never touched.");
    Ok(())
}
