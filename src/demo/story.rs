//! The story, step by step. Each step says what it does, does it over HTTP, and checks what came of it.

use super::cities::{ADVICE_AT_B, APP_AT_C, B_AT_A, BILLING_AT_B, C_AT_B, CITY_A, CITY_B, CITY_C, GRID_AT_A, OPERATOR};
use super::company::company;
use super::stage::{ALL, City, Stage};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use waybill_http::Method;

const ANNA: &str = "urn:ngsi-ld:SmartMeter:anna";
pub(super) const BERT: &str = "urn:ngsi-ld:SmartMeter:bert";
pub(super) const DORA: &str = "urn:ngsi-ld:SmartMeter:dora";
const AIR: &str = "urn:ngsi-ld:AirQualityObserved:square";
pub(super) const VOCAB: &str = "https://uri.etsi.org/ngsi-ld/default-context/";
const TAG: &str = "https://w3id.org/waybill/ns#usagePolicy";
pub(super) const SOON: Duration = Duration::from_secs(15);

pub(super) struct Teller(Instant);

impl Teller {
    pub fn step(&self, n: u32, what: &str) {
        println!("\n[{:5.1} s] {n}. {what}", self.0.elapsed().as_secs_f64());
    }
    pub fn say(&self, what: impl std::fmt::Display) {
        println!("          {what}");
    }
}

/// Tells all of it.
pub async fn tell(stage: &mut Stage, began: Instant) -> Result<(), String> {
    let teller = Teller(began);
    println!("Three cities, each with a Waybill hub of its own: A {}, B {}, C {}.", stage.url(City::A), stage.url(City::B), stage.url(City::C));
    println!("Stand-ins: the pods ({}) and city B's plain broker ({}). Everything else is the real thing.", stage.places.pods, stage.places.plain);
    println!("A company joins in step 7, with a hub of ours as its connector ({}). A real one would run its own, such as an Eclipse EDC.", stage.url(City::Company));
    open_and_closed(stage, &teller).await?;
    grant(stage, &teller).await?;
    public_task(stage, &teller).await?;
    plain_broker(stage, &teller).await?;
    city_a_off(stage, &teller).await?;
    nothing_beside(stage, &teller).await?;
    company(stage, &teller).await?;
    narrow_and_withdraw(stage, &teller).await?;
    cut_off(stage, &teller).await?;
    journal(stage, &teller).await
}

pub(super) fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("expected: {what}")) }
}

fn meter(stage: &Stage, id: &str, owner: &str, power: f64) -> Value {
    json!({
        "id": id, "type": "SmartMeter",
        "ownedBy": { "type": "Relationship", "object": owner },
        "activePower": { "type": "Property", "value": power, "unitCode": "WTT", "observedAt": stage.clock.now() },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [4.352_71, 50.846_57] } },
    })
}

async fn measure(stage: &Stage, id: &str, power: f64) -> Result<(), String> {
    let body = json!({ "activePower": { "type": "Property", "value": power, "unitCode": "WTT", "observedAt": stage.clock.now() } });
    let answer = stage.ask(City::A, OPERATOR, Method::PATCH, &format!("/ngsi-ld/v1/entities/{id}/attrs"), Some(body)).await?;
    check(answer.status.as_u16() == 204, &format!("the meter takes a value ({})", answer.status))
}

async fn open_and_closed(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(1, "City A holds three households' meters and open air data. City B follows both.");
    let anna = stage.person("anna").ok_or("anna has a pod")?.webid();
    for (id, owner) in [(ANNA, anna.as_str()), (BERT, "https://bert.example/#me"), (DORA, "https://dora.example/#me")] {
        let answer = stage.ask(City::A, OPERATOR, Method::POST, "/ngsi-ld/v1/entities", Some(meter(stage, id, owner, 412.5))).await?;
        check(answer.status.as_u16() == 201, &format!("{id} is created ({})", answer.status))?;
    }
    let air = json!({ "id": AIR, "type": "AirQualityObserved", "NO2": { "type": "Property", "value": 22.5, "unitCode": "GQ" } });
    let answer = stage.ask(City::A, OPERATOR, Method::POST, "/ngsi-ld/v1/entities", Some(air)).await?;
    check(answer.status.as_u16() == 201, "the air data is created")?;
    let (_, took) = stage.until("the air data is at city B", SOON, async || stage.entity(City::B, ADVICE_AT_B, AIR).await).await?;
    teller.say(format!("The air data is at city B after {:.2} s.", took.as_secs_f64()));
    for id in [ANNA, BERT, DORA] {
        check(stage.entity(City::B, ADVICE_AT_B, id).await.is_none(), "of the households city B has nothing")?;
        check(stage.entity(City::A, B_AT_A, id).await.is_none(), "city A refuses city B's own question for a household")?;
    }
    let hub = stage.hub(City::A).ok_or("city A is on")?;
    hub.journal().flush_all().await.map_err(|e| e.to_string())?;
    let lines = hub.journal().export(1, 1000).await.map_err(|e| e.to_string())?;
    let why = lines.iter().filter(|l| l.contains("refusal") && l.contains("no-grant") && l.contains("city-b.example")).count();
    check(why > 0, "the journal says why")?;
    teller.say("Of the households city B has nothing, and city A's journal says why: no-grant.");
    Ok(())
}

pub(super) fn consent(stage: &Stage, subject: &str, version: u32, state: &str, data: &Value, pass_to: bool) -> Value {
    let party = |id: &str, name: &str| json!({ "id": id, "name": name, "address": "Town Hall, 1 Main Street", "contact": format!("privacy@{name}.example"), "country": "BE" });
    let mut out = json!({
        "@context": "https://w3id.org/waybill/grant.jsonld",
        "type": "ConsentGrant", "version": version, "subject": subject, "state": state, "stated": stage.clock.now(),
        "notice": { "uri": "https://city-a.example/notices/energy-advice", "version": "1", "language": "en",
            "textHash": "5f2d8a0a1b0e9c7f6a3b4c5d6e7f80910a1b2c3d4e5f60718293a4b5c6d7e8f9", "shownAt": stage.clock.now() },
        "controller": party(CITY_A, "city-a"), "recipients": [party(CITY_B, "city-b")],
        "purposes": ["https://w3id.org/waybill/purpose#EnergyAdvice"], "label": { "en": "Advice on saving energy at home" },
        "data": data, "until": stage.clock.now().plus_seconds(180 * 86_400),
        "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
        "withdrawal": { "uri": "https://city-a.example/my-data", "method": "Change or delete this document, or ask a clerk." },
    });
    if pass_to {
        out["mayPassTo"] = json!([party(CITY_C, "city-c")]);
    }
    out
}

fn place_and_power() -> Value {
    json!([
        { "attribute": format!("{VOCAB}activePower"), "types": [format!("{VOCAB}SmartMeter")], "precision": { "mean": { "every": "PT1H", "zone": "Europe/Brussels", "minSamples": 2 } } },
        { "attribute": "https://uri.etsi.org/ngsi-ld/location", "types": [format!("{VOCAB}SmartMeter")], "precision": { "district": 0.05 } },
    ])
}

fn write_consent(stage: &Stage, name: &str, document: &Value) -> Result<(), String> {
    stage.person(name).ok_or("she has a pod")?.put("consents/energy-advice.jsonld", "application/ld+json", document.to_string());
    Ok(())
}

async fn grant(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(2, "Anna grants from her pod: energy advice, city B, power as hourly means, place as district, half a year.");
    let anna = stage.person("anna").ok_or("anna has a pod")?.webid();
    write_consent(stage, "anna", &consent(stage, &anna, 1, "given", &place_and_power(), false))?;
    let (seen, took) = stage.until("anna's meter is at city B", SOON, async || stage.entity(City::B, ADVICE_AT_B, ANNA).await).await?;
    teller.say(format!("{:.2} s after the pod took it, city B sees her meter: place {}, no power yet.", took.as_secs_f64(), seen["location"]["value"]["coordinates"]));
    check(seen.get("activePower").is_none(), "no mean before its hour is over")?;
    check(seen["location"].get(TAG).is_some(), "the place is tagged")?;
    let carla = stage.person("carla").ok_or("carla has a pod")?.webid();
    write_consent(stage, "carla", &consent(stage, &carla, 1, "given", &place_and_power(), false))?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    check(stage.entity(City::B, ADVICE_AT_B, BERT).await.is_none(), "a stranger's grant opens nobody's meter")?;
    teller.say("Carla, to whom no meter is bound, grants the same: refused, not bound. Nothing opens.");

    an_hour(stage, teller, [400.0, 500.0, 600.0]).await?;
    let mean = async || stage.entity(City::B, ADVICE_AT_B, ANNA).await.filter(|e| e.get("activePower").is_some());
    let (seen, took) = stage.until("the mean is at city B", SOON, mean).await?;
    let power = &seen["activePower"];
    check(power["value"] == json!(500.0), &format!("the mean of 400, 500 and 600 ({power})"))?;
    check(power.get(TAG).is_some(), "the mean is tagged")?;
    teller.say(format!("{:.2} s later city B has the mean of the whole hour: {} W at {}.", took.as_secs_f64(), power["value"], power["observedAt"]));
    bundle(stage, teller).await
}

/// Three values within one whole hour of the demo's clock, which then is over.
async fn an_hour(stage: &Stage, teller: &Teller, values: [f64; 3]) -> Result<(), String> {
    let clock = &stage.clock;
    let left = 3600 - clock.now().seconds().rem_euclid(3600);
    teller.say(format!("The demo moves its clock by {left} s to the next full hour, measures, and moves it by an hour more."));
    clock.advance_micros((left + 1) * 1_000_000);
    for (minutes, power) in [0, 20, 20].into_iter().zip(values) {
        clock.advance_micros(minutes * 60_000_000);
        measure(stage, ANNA, power).await?;
    }
    clock.advance_micros(21 * 60_000_000);
    Ok(())
}

/// City B's copy in one file, verified by itself.
async fn bundle(stage: &Stage, teller: &Teller) -> Result<(), String> {
    let answer = stage.ask(City::A, B_AT_A, Method::GET, &format!("/waybill/bundles/{ANNA}"), None).await?;
    check(answer.status.as_u16() == 200, &format!("a bundle is made ({})", answer.status))?;
    let report = waybill_consent::verify_bundle(&answer.body, stage.clock.now());
    check(report.verdict == waybill_consent::Verdict::Valid, &format!("the bundle is valid ({report:?})"))?;
    let mut changed = answer.body.to_vec();
    let at = changed.len() / 2;
    changed[at] ^= 1;
    let broken = waybill_consent::verify_bundle(&changed, stage.clock.now());
    check(broken.verdict != waybill_consent::Verdict::Valid, "a changed bundle is not")?;
    teller.say("`waybill verify` of the bundle city B gets: valid. With one bit changed: not valid.");
    Ok(())
}

async fn public_task(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(3, "The grid planner gets the same meter by law, not by consent.");
    let seen = stage.entity(City::A, GRID_AT_A, ANNA).await.ok_or("the grid planner sees the meter")?;
    check(seen["activePower"]["value"] == json!(600.0) && seen.get("location").is_none(), "exact power, and no place")?;
    teller.say("Exact power, nothing else, tagged with an envelope that says `public-task`. Nothing that follows touches it.");
    Ok(())
}

async fn plain_broker(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(4, "City B keeps her data in its own plain broker. The tag is there, and is watched.");
    let held = async || stage.plain.entity("", ANNA).filter(|e| e.to_string().contains("usagePolicy") && e.to_string().contains("500"));
    let (_, took) = stage.until("the plain broker has her meter, tagged", SOON, held).await?;
    teller.say(format!("There, tag and all, after {:.2} s.", took.as_secs_f64()));
    let url = |rest: &str| format!("{}/ngsi-ld/v1/entities{rest}", stage.places.plain);
    let attribute = format!("/{ANNA}/attrs");

    let location = held_at_plain(stage, "location").ok_or("the place is there")?;
    let stripped = json!({ "https://uri.etsi.org/ngsi-ld/location": { "type": "GeoProperty", "value": location["value"] } });
    stage.call(&url(&attribute), "", Method::POST, Some(stripped)).await?;
    let back = async || held_at_plain(stage, "location").filter(|l| l.to_string().contains("usagePolicy"));
    stage.until("the tag is there again", SOON, back).await?;
    teller.say("An application strips a tag: recognised, attached again.");

    let mut power = held_at_plain(stage, "activePower").ok_or("the power is there")?;
    power["value"] = json!(9.0);
    stage.call(&url(&attribute), "", Method::POST, Some(json!({ (format!("{VOCAB}activePower")): power }))).await?;
    stage.until("tampering is noticed", SOON, async || quarantined(stage, "tampered").await).await?;
    teller.say("It changes a value under a tag: tampered, in quarantine.");

    let renamed = json!({ "id": "urn:ngsi-ld:SmartMeter:renamed", "type": format!("{VOCAB}SmartMeter"), (format!("{VOCAB}activePower")): { "type": "Property", "value": 500.0 } });
    stage.call(&url(""), "", Method::POST, Some(renamed)).await?;
    stage.until("renamed data is noticed", SOON, async || quarantined(stage, "untagged-personal").await).await?;
    teller.say("It sends her data under another name, without a tag: unknown personal data, in quarantine.");
    Ok(())
}

/// An Attribute of her meter as the plain broker holds it, under its full or its short name.
fn held_at_plain(stage: &Stage, name: &str) -> Option<Value> {
    let entity = stage.plain.entity("", ANNA)?;
    let found = entity.as_object()?.iter().find(|(key, _)| key.rsplit('/').next() == Some(name)).map(|(_, v)| v.clone())?;
    Some(if found.is_array() { found[0].clone() } else { found })
}

async fn quarantined(stage: &Stage, code: &str) -> Option<()> {
    let answer = stage.ask(City::B, OPERATOR, Method::GET, "/waybill/v1/quarantine", None).await.ok()?;
    String::from_utf8_lossy(&answer.body).contains(code).then_some(())
}

async fn city_a_off(stage: &mut Stage, teller: &Teller) -> Result<(), String> {
    teller.step(5, "City A is switched off. City C asks city B.");
    stage.stop(City::A).await;
    check(stage.entity(City::B, C_AT_B, ANNA).await.is_none(), "city B's gate refuses by the envelope that travelled")?;
    check(stage.entity(City::B, ADVICE_AT_B, ANNA).await.is_some(), "city B itself may still use it")?;
    teller.say("Refused at city B's gate, by the envelope that travelled with the data; city B itself still sees it.");
    stage.start(City::A).await.map_err(|p| p.to_string())?;
    let anna = stage.person("anna").ok_or("anna has a pod")?.webid();
    write_consent(stage, "anna", &consent(stage, &anna, 2, "given", &place_and_power(), true))?;
    let (_, took) = stage.until("city C has her meter, from city B", Duration::from_secs(30), async || stage.entity(City::C, APP_AT_C, ANNA).await).await?;
    teller.say(format!("City A is back, Anna adds city C: it gets the meter from city B after {:.2} s.", took.as_secs_f64()));
    teller.say("What she grants now covers what comes from now on: the next hour's mean.");
    an_hour(stage, teller, [300.0, 500.0, 700.0]).await?;
    let mean = async || stage.entity(City::C, APP_AT_C, ANNA).await.filter(|e| e["activePower"]["value"] == json!(500.0));
    stage.until("the mean is at city C", SOON, mean).await?;
    Ok(())
}

async fn nothing_beside(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(6, "The same questions by another purpose, another caller, in other forms.");
    check(stage.entity(City::B, BILLING_AT_B, ANNA).await.is_none(), "not for billing")?;
    check(stage.entity(City::B, "", ANNA).await.is_none(), "not for a stranger")?;
    let count = async |token: &str, query: &str| -> Result<String, String> {
        let path = format!("/ngsi-ld/v1/entities?type=SmartMeter&count=true&limit=0{query}");
        let answer = stage.ask(City::A, token, Method::GET, &path, None).await?;
        Ok(answer.header("NGSILD-Results-Count").unwrap_or("none").to_owned())
    };
    check(count(B_AT_A, "").await? == "1", "the count is of what city B may see: one meter of three")?;
    check(count(B_AT_A, "&q=activePower%3D%3D700").await? == "0", "the exact value cannot be asked for")?;
    check(count(B_AT_A, "&q=activePower%3D%3D500").await? == "1", "the mean can")?;
    check(count(B_AT_A, "&q=ownedBy").await? == "0", "a hidden attribute is absent")?;
    let body = json!({ "type": "Query", "entities": [{ "type": "SmartMeter" }] });
    let answer = stage.ask(City::A, B_AT_A, Method::POST, "/ngsi-ld/v1/entityOperations/query", Some(body)).await?;
    let list: Vec<Value> = answer.json().map_err(|e| e.to_string())?;
    check(list.len() == 1 && !answer.body.windows(7).any(|w| w == b"ownedBy"), "the batch query shows the same")?;
    for form in ["options=keyValues", "options=concise", "options=sysAttrs"] {
        let answer = stage.ask(City::A, B_AT_A, Method::GET, &format!("/ngsi-ld/v1/entities/{ANNA}?{form}"), None).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let shown: Value = answer.json().map_err(|e| e.to_string())?;
        let power = shown["activePower"].get("value").unwrap_or(&shown["activePower"]);
        check(*power == json!(500.0) && !text.contains("4.35271") && !text.contains("ownedBy"), &format!("nothing more by {form}"))?;
        check(text.contains("usagePolicy"), &format!("the tag survives {form}"))?;
    }
    teller.say("One meter of three, its mean and its district, and nothing beside it: by count, by q, by batch query, in every form.");
    Ok(())
}

async fn gone_everywhere(stage: &Stage, began: Instant) -> Result<Duration, String> {
    let everywhere = async || {
        let b = stage.entity(City::B, ADVICE_AT_B, ANNA).await.is_none();
        let c = stage.entity(City::C, APP_AT_C, ANNA).await.is_none();
        (b && c && stage.plain.entity("", ANNA).is_none()).then_some(())
    };
    stage.until("city B, its plain broker and city C have stopped", SOON, everywhere).await?;
    Ok(began.elapsed())
}

async fn narrow_and_withdraw(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(8, "Anna narrows (no more power), then withdraws: once in her pod, once through a clerk.");
    let anna = stage.person("anna").ok_or("anna has a pod")?.webid();
    let place = json!([place_and_power()[1]]);
    write_consent(stage, "anna", &consent(stage, &anna, 3, "given", &place, true))?;
    let narrowed = async || stage.entity(City::C, APP_AT_C, ANNA).await.filter(|e| e.get("activePower").is_none());
    let (_, took) = stage.until("city C has the place and no power", Duration::from_secs(30), narrowed).await?;
    teller.say(format!("Narrowed: {:.2} s later even city C has the place and no power.", took.as_secs_f64()));

    write_consent(stage, "anna", &consent(stage, &anna, 3, "withdrawn", &place, true))?;
    let began = Instant::now();
    let (_, took) = stage.until("city A refuses", SOON, async || stage.entity(City::A, B_AT_A, ANNA).await.is_none().then_some(())).await?;
    teller.say(format!("Withdrawn in the pod. City A refuses {:.2} s after the pod took it.", took.as_secs_f64()));
    let all = gone_everywhere(stage, began).await?;
    teller.say(format!("City B, its plain broker and city C have stopped after {:.2} s.", all.as_secs_f64()));
    report(stage, teller).await?;

    write_consent(stage, "anna", &consent(stage, &anna, 4, "given", &place, true))?;
    stage.until("she has granted anew", Duration::from_secs(30), async || stage.entity(City::C, APP_AT_C, ANNA).await).await?;
    let answer = stage.ask(City::A, OPERATOR, Method::GET, &format!("/waybill/v1/consents?subject={}", waybill_http::encode_component(&anna)), None).await?;
    let list: Value = answer.json().map_err(|e| e.to_string())?;
    let id = list["items"].as_array().and_then(|l| l.iter().find(|c| c["open"] == json!(true))).and_then(|c| c["id"].as_str()).ok_or("her consent is listed")?;
    let path = format!("/waybill/v1/consents/{}/withdraw", waybill_http::encode_component(id));
    let began = Instant::now();
    let answer = stage.ask(City::A, OPERATOR, Method::POST, &path, Some(json!({ "reason": "said at the town hall" }))).await?;
    check(answer.status.is_success(), &format!("the clerk's withdrawal is taken ({} {})", answer.status, String::from_utf8_lossy(&answer.body)))?;
    let all = gone_everywhere(stage, began).await?;
    teller.say(format!("She grants anew; a clerk withdraws at the command line: everybody has stopped after {:.2} s.", all.as_secs_f64()));
    report(stage, teller).await?;
    let grid = stage.entity(City::A, GRID_AT_A, ANNA).await.ok_or("the grid planner still sees the meter")?;
    check(grid["activePower"]["value"] == json!(700.0), "what the law gives is untouched")
}

/// What the last withdrawal's report says, once every holder has answered.
async fn report(stage: &Stage, teller: &Teller) -> Result<(), String> {
    let finished = async || {
        let answer = stage.ask(City::A, OPERATOR, Method::GET, "/waybill/v1/withdrawals?limit=1", None).await.ok()?;
        let list: Value = answer.json().ok()?;
        let last = list["items"][0].clone();
        last["finishedAt"].is_string().then_some(last)
    };
    let (last, _) = stage.until("every holder has acknowledged", SOON, finished).await?;
    let unbounded = last["notBounded"].as_array().map_or(0, Vec::len);
    let who = if unbounded == 0 { "none".to_owned() } else { last["notBounded"].to_string() };
    teller.say(format!("Acknowledged by all: last platform stopped after {} s; not bounded: {who}.", last["lastStoppedAfter"]));
    let anna = stage.person("anna").ok_or("anna has a pod")?;
    stage.until("the acknowledgement is in her pod", SOON, async || anna.list("acknowledgements/").into_iter().next()).await?;
    teller.say("The acknowledgements lie in the journal and in her pod.");
    Ok(())
}

async fn cut_off(stage: &mut Stage, teller: &Teller) -> Result<(), String> {
    teller.step(9, "Again, with city B cut off but alive; and with city B's hub dead.");
    let anna = stage.person("anna").ok_or("anna has a pod")?.webid();
    let place = json!([place_and_power()[1]]);
    write_consent(stage, "anna", &consent(stage, &anna, 5, "given", &place, false))?;
    stage.until("granted anew", Duration::from_secs(30), async || stage.entity(City::B, ADVICE_AT_B, ANNA).await).await?;
    stage.line.cut();
    write_consent(stage, "anna", &consent(stage, &anna, 5, "withdrawn", &place, false))?;
    stage.until("city A refuses", SOON, async || stage.entity(City::A, B_AT_A, ANNA).await.is_none().then_some(())).await?;
    check(stage.entity(City::B, ADVICE_AT_B, ANNA).await.is_some(), "city B has not heard of it")?;
    stage.clock.advance_micros(61_000_000);
    check(stage.entity(City::B, ADVICE_AT_B, ANNA).await.is_none(), "city B's gate has closed: no heartbeat for 60 s")?;
    teller.say("Cut off, city B cannot be told; 60 s (the clock is moved) without a heartbeat, its gate is closed.");
    stage.line.mend();
    stage.clock.advance_micros(20_000_000);
    stage.until("the event arrives", Duration::from_secs(30), async || stage.plain.entity("", ANNA).is_none().then_some(())).await?;
    teller.say("Mended, the withdrawal takes effect there, once.");

    write_consent(stage, "anna", &consent(stage, &anna, 6, "given", &place, false))?;
    stage.until("granted anew", Duration::from_secs(45), async || stage.plain.entity("", ANNA)).await?;
    stage.stop(City::B).await;
    write_consent(stage, "anna", &consent(stage, &anna, 6, "withdrawn", &place, false))?;
    stage.until("city A refuses", SOON, async || stage.entity(City::A, B_AT_A, ANNA).await.is_none().then_some(())).await?;
    check(stage.plain.entity("", ANNA).is_some(), "the plain broker still has it")?;
    teller.say("City B's hub is dead: its plain broker still holds her data. Not bounded until the hub is back, and said so.");
    stage.start(City::B).await.map_err(|p| p.to_string())?;
    stage.clock.advance_micros(20_000_000);
    stage.until("city B has caught up", Duration::from_secs(30), async || stage.plain.entity("", ANNA).is_none().then_some(())).await?;
    teller.say("The hub is back: the withdrawal takes effect there too.");
    Ok(())
}

async fn journal(stage: &Stage, teller: &Teller) -> Result<(), String> {
    teller.step(10, "The journal: it holds, and shows Anna her page.");
    for city in ALL {
        let answer = stage.ask(city, OPERATOR, Method::GET, "/waybill/v1/journal/verify", None).await?;
        let verdict: Value = answer.json().map_err(|e| e.to_string())?;
        check(verdict["verdict"] == json!("holds"), &format!("the chain holds ({verdict})"))?;
    }
    let anna = stage.person("anna").ok_or("anna has a pod")?.webid();
    let path = format!("/waybill/v1/subjects/{}/journal", waybill_http::encode_component(&anna));
    let answer = stage.ask(City::A, OPERATOR, Method::GET, &path, None).await?;
    let page: Value = answer.json().map_err(|e| e.to_string())?;
    let lines = page["entries"].as_array().map_or(0, Vec::len);
    check(lines > 5, "her page has lines")?;
    teller.say(format!("Four chains hold, the company's too; her page has {lines} lines: who, what, why, when, stopped."));
    let answer = stage.ask(City::A, OPERATOR, Method::DELETE, &format!("/waybill/v1/subjects/{}", waybill_http::encode_component(&anna)), None).await?;
    check(answer.status.is_success(), &format!("she is erased ({})", answer.status))?;
    let answer = stage.ask(City::A, OPERATOR, Method::GET, "/waybill/v1/journal/verify", None).await?;
    let verdict: Value = answer.json().map_err(|e| e.to_string())?;
    check(verdict["verdict"] == json!("holds"), "after her erasure the chain still holds")?;
    check(stage.entity(City::A, GRID_AT_A, ANNA).await.is_none(), "her meter is gone")?;
    teller.say("She is erased on her wish: her page cannot be read by anybody any more, and the chain still holds.");
    Ok(())
}
