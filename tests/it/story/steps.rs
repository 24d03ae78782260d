//! The steps of the story. Each does something and looks at what came of it, over HTTP or by the command line.

use super::citizen::Citizen;
use super::stage::{ADVICE_AT_B, APP_AT_C, B_AT_A, C_AT_B, CITIES, City, GRID_AT_A, OPERATOR, Stage};
use serde_json::{Value, json};
use waybill_http::{Method, encode_component};
use waybill_model::Clock;

pub const ANNA: &str = "urn:ngsi-ld:SmartMeter:anna";
pub const AIR: &str = "urn:ngsi-ld:AirQualityObserved:square";
pub const TAG: &str = "https://w3id.org/waybill/ns#usagePolicy";
pub const CITY_B: &str = "https://city-b.example/#city";
const CITY_C: &str = "https://city-c.example/#city";

/// 1. Open data flows to whom the agreement names; what is personal stays, and the journal says why.
pub async fn open_and_closed(stage: &mut Stage, anna: &Citizen) {
    let meter = json!({
        "id": ANNA, "type": "SmartMeter",
        "ownedBy": { "type": "Relationship", "object": anna.web_id },
        "activePower": { "type": "Property", "value": 412.5, "unitCode": "WTT" },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [4.352_71, 50.846_57] } },
    });
    let air = json!({ "id": AIR, "type": "AirQualityObserved", "NO2": { "type": "Property", "value": 22.5, "unitCode": "GQ" } });
    for entity in [meter, air] {
        stage.ask(City::A, OPERATOR, Method::POST, "/ngsi-ld/v1/entities", Some(&entity), 201).await;
    }
    let seen = stage.until("the air data is at city B", async || stage.entity(City::B, ADVICE_AT_B, AIR).await).await;
    assert_eq!(seen["NO2"]["value"], 22.5);
    assert_eq!(stage.entity(City::A, B_AT_A, ANNA).await, None, "city A refuses city B's question for a household");
    assert_eq!(stage.entity(City::B, ADVICE_AT_B, ANNA).await, None, "and sent it nothing of it");
    assert_eq!(stage.plain.entity("", ANNA), None);
    // Refusals are counted for a minute before they are written, or until the hub is told to stop.
    stage.stop(City::A);
    stage.start(City::A).await;
    let journal = stage.good_command(City::A, &["journal", "export"]);
    let why = |line: &&str| line.contains("\"refusal\"") && line.contains("\"no-grant\"") && line.contains(CITY_B);
    assert!(journal.lines().any(|line| why(&line)), "the journal says why: no grant\n{journal}");
}

/// 2. A neighbour's consent opens nothing of hers: not in her own name, since the meter is not bound to her, and not in Anna's.
pub async fn a_neighbour_opens_nothing(stage: &Stage, anna: &Citizen, carla: &Citizen) {
    carla.says(&carla.consent(1, "given", false)).await;
    let open = async || consents(stage, carla).await.into_iter().find(|c| c["open"] == true);
    stage.until("city A has taken Carla's own consent", open).await;
    assert_eq!(stage.entity(City::A, B_AT_A, ANNA).await, None, "Anna's meter is not bound to Carla");
    carla.says(&anna.consent(2, "given", false)).await;
    let refused = async || stage.log(City::A).contains("consent-evidence").then_some(());
    stage.until("city A refuses a consent in Anna's name from Carla's pod", refused).await;
    assert!(consents(stage, anna).await.is_empty(), "nothing is on record for Anna");
    assert_eq!(stage.entity(City::A, B_AT_A, ANNA).await, None);
    assert_eq!(stage.entity(City::B, ADVICE_AT_B, ANNA).await, None);
}

/// 2. She grants in her pod: city B sees what she granted in the precision that she granted, tagged; a bundle of it verifies.
pub async fn grant(stage: &Stage, anna: &Citizen) {
    anna.says(&anna.consent(1, "given", false)).await;
    let seen = stage.until("Anna's meter is at city B", async || stage.entity(City::B, ADVICE_AT_B, ANNA).await).await;
    as_granted(&seen);
    let answer = stage.call(Method::GET, &format!("{}/waybill/bundles/{ANNA}", stage.url(City::A)), B_AT_A, None).await;
    let bundle = answer.filter(|a| a.status == 200).expect("city A gives city B a bundle").body.to_vec();
    let verify = |bundle: &[u8]| {
        let file = stage.file("bundle.json");
        std::fs::write(&file, bundle).expect("the bundle");
        let arguments = ["verify", file.to_str().expect("a path")];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_waybill")).args(arguments).output().expect("the program");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = verify(&bundle);
    assert!(code == Some(0) && said.starts_with("valid as of"), "{code:?} {said}");
    let mut changed = bundle.clone();
    let at = String::from_utf8_lossy(&bundle).find("50.825").expect("the district is in the bundle");
    changed[at] = b'6';
    let (code, said) = verify(&changed);
    assert!(code == Some(1) && said.starts_with("not valid"), "with one digit changed: {code:?} {said}");
}

fn as_granted(seen: &Value) {
    assert_eq!(seen["location"]["value"]["coordinates"], json!([4.375, 50.825]), "the place is the district: {seen}");
    assert_eq!(seen["activePower"]["value"].as_f64(), Some(400.0), "the power is in steps of 100 W: {seen}");
    assert_eq!(seen.get("ownedBy"), None, "nothing that was not granted: {seen}");
    for part in [&seen["location"], &seen["activePower"], seen] {
        assert!(part[TAG]["object"].as_str().is_some_and(|tag| tag.contains("/env/")), "it is tagged: {part}");
    }
}

/// 3. What a law gives the grid planner: exact power and no place, whatever else happens.
pub async fn by_law(stage: &Stage) {
    let seen = stage.entity(City::A, GRID_AT_A, ANNA).await.expect("the grid planner sees the meter");
    assert_eq!(seen["activePower"]["value"].as_f64(), Some(412.5), "exact power: {seen}");
    assert!(seen.get("location").is_none() && seen.get("ownedBy").is_none(), "and nothing else: {seen}");
}

/// 4. City B keeps her data in its own plain broker, with the tag.
pub async fn own_broker(stage: &Stage) {
    let held = stage.until("her meter is in city B's broker", async || stage.plain.entity("", ANNA)).await;
    let text = held.to_string();
    assert!(text.contains("50.825") && text.contains("usagePolicy") && text.contains("/env/"), "what was granted, with the tag: {text}");
    assert!(!text.contains("412.5") && !text.contains("50.84657"), "and no more: {text}");
}

/// 5. City A is off, and city B keeps to the terms that travelled: no word for city C. When she adds city C, it gets the data from B.
pub async fn a_city_is_off(stage: &mut Stage, anna: &Citizen) {
    stage.kill(City::A);
    assert_eq!(stage.entity(City::B, C_AT_B, ANNA).await, None, "city B refuses city C by the envelope that travelled");
    let own = stage.entity(City::B, ADVICE_AT_B, ANNA).await.expect("city B itself may still use it");
    as_granted(&own);
    stage.start(City::A).await;
    by_law(stage).await;
    anna.says(&anna.consent(2, "given", true)).await;
    let seen = stage.until("city C has her meter, from city B", async || stage.entity(City::C, APP_AT_C, ANNA).await).await;
    as_granted(&seen);
    // City B now has it under the new terms; its broker too, before the story goes on.
    let own = stage.entity(City::B, ADVICE_AT_B, ANNA).await.expect("city B has it");
    let tag = own["location"][TAG]["object"].as_str().expect("a tag").to_owned();
    stage.until("city B's broker has it under the new terms", async || stage.plain.entity("", ANNA).filter(|held| held.to_string().contains(&tag))).await;
}

/// 7. She withdraws in her pod: everybody stops, and every acknowledgement is in city A's journal and in her pod.
pub async fn withdrawn_in_the_pod(stage: &Stage, anna: &Citizen) {
    anna.says(&anna.consent(2, "withdrawn", true)).await;
    stopped_everywhere(stage).await;
    let report = finished(stage).await;
    assert_eq!(report["subject"], anna.web_id.as_str(), "{report}");
    let holder = &report["holders"][0];
    assert!(holder["party"] == CITY_B && holder["progress"] == "done", "city B answered for good: {report}");
    // The broker has a line of its own unless the deletion that city A notifies was there before the event: then it holds nothing any more
    // when city B is asked.
    let answers = holder["answers"].as_array().cloned().unwrap_or_default();
    assert!(answers.iter().any(|a| a["store"] == "hub"), "for itself: {report}");
    // An application that subscribed at city B is told, and nobody can look what it keeps.
    let told = |a: &Value| a["outcome"]["is"] == "stopped" && a["how"] == "the deletion was notified and taken";
    assert!(answers.iter().all(|a| a["outcome"]["is"] == "erased" || told(a)), "each store is done: {report}");
    assert_eq!(report["notBounded"], json!([]), "{report}");
    // Each answer made a line; the last says that all have answered.
    let last = |said: &Value| said["withdrawal"] == report["id"] && said["finished"].is_string();
    let told = async || anna.acknowledgements().await.into_iter().map(|a| a["report"].clone()).find(last);
    let in_pod = stage.until("that all have answered is in her pod", told).await;
    let in_journal = page(stage, anna).into_iter().map(|line| line["detail"].clone()).find(last).expect("and in city A's journal");
    for said in [in_pod, in_journal] {
        let of_b = &said["holders"][0];
        let of_c = &of_b["through"][0];
        assert!(of_b["party"] == CITY_B && of_c["party"] == CITY_C, "city B's answer, and city C's through it: {said}");
        assert!(of_c["answers"].as_array().is_some_and(|a| !a.is_empty() && a.iter().all(|a| a["outcome"]["is"] == "erased")), "{said}");
    }
    by_law(stage).await;
}

/// 7. She grants anew and a clerk withdraws for her, at the command line.
pub async fn withdrawn_by_a_clerk(stage: &Stage, anna: &Citizen) {
    anna.says(&anna.consent(3, "given", true)).await;
    stage.until("she has granted anew", async || stage.entity(City::C, APP_AT_C, ANNA).await).await;
    let open = consents(stage, anna).await.into_iter().find(|c| c["open"] == true).expect("her consent is listed");
    let id = open["id"].as_str().expect("it has an id");
    let said = stage.good_command(City::A, &["consent", "withdraw", id, "--reason", "said at the town hall", "--wait"]);
    assert!(said.contains("last platform stopped after") && said.contains("not bounded: none"), "{said}");
    stopped_everywhere(stage).await;
    by_law(stage).await;
}

/// 6. She grants until a moment that soon comes: when it has come, everybody stops, and nobody has to say anything.
pub async fn until_a_moment(stage: &Stage, anna: &Citizen) {
    let mut document = anna.consent(4, "given", true);
    // Long enough for the pod to be read and for city C to get it, also where the machine has much to do; if not, once more with longer.
    for (more, seconds) in [10, 30, 90].into_iter().enumerate() {
        let until = Clock::system().now().plus_seconds(seconds);
        document["version"] = json!(4 + more);
        document["until"] = json!(until);
        anna.says(&document).await;
        let seen = async || match stage.entity(City::C, APP_AT_C, ANNA).await {
            None if Clock::system().now() <= until => None,
            seen => Some(seen.is_some()),
        };
        if stage.until("city C has her meter, or it is too late for that", seen).await {
            stopped_everywhere(stage).await;
            assert!(Clock::system().now() > until, "it ended at its time and not before");
            let ended = consents(stage, anna).await;
            assert!(ended.iter().all(|c| c["open"] == false), "nothing of hers is open: {ended:?}");
            by_law(stage).await;
            return;
        }
    }
    panic!("city C did not get her meter within 90 s");
}

async fn stopped_everywhere(stage: &Stage) {
    let gone = async || {
        let asked = [(City::A, B_AT_A), (City::B, ADVICE_AT_B), (City::B, C_AT_B), (City::C, APP_AT_C)];
        for (city, token) in asked {
            if stage.entity(city, token, ANNA).await.is_some() {
                return None;
            }
        }
        stage.plain.entity("", ANNA).is_none().then_some(())
    };
    stage.until("city A refuses, city B, its broker and city C have stopped", gone).await;
}

/// The newest withdrawal at city A, once every holder has answered.
pub async fn finished(stage: &Stage) -> Value {
    let last = async || {
        let list = stage.ask(City::A, OPERATOR, Method::GET, "/waybill/v1/withdrawals?limit=1", None, 200).await;
        let last = list["items"][0].clone();
        last["finishedAt"].is_string().then_some(last)
    };
    stage.until("every holder has acknowledged", last).await
}

async fn consents(stage: &Stage, who: &Citizen) -> Vec<Value> {
    let path = format!("/waybill/v1/consents?subject={}", encode_component(&who.web_id));
    let list = stage.ask(City::A, OPERATOR, Method::GET, &path, None, 200).await;
    list["items"].as_array().cloned().unwrap_or_default()
}

/// 10. The journals hold, and city A's shows her page.
pub fn journal(stage: &Stage, anna: &Citizen) {
    for city in CITIES {
        let said = stage.good_command(city, &["journal", "verify"]);
        assert!(said.starts_with("the journal holds"), "{city:?}: {said}");
    }
    let page = page(stage, anna);
    let kinds: Vec<&str> = page.iter().filter_map(|line| line["kind"].as_str()).collect();
    for kind in ["grant", "delivery", "withdrawal", "acknowledgement"] {
        assert!(kinds.contains(&kind), "her page has a line of the kind {kind}: {kinds:?}");
    }
    let stopped = |line: &&Value| line["kind"] == "delivery" && line["recipient"] == CITY_B && line["stopped"].is_string();
    assert!(page.iter().any(|line| stopped(&line)), "what city B got is shown as stopped: {page:?}");
}

pub fn page(stage: &Stage, anna: &Citizen) -> Vec<Value> {
    let said = stage.good_command(City::A, &["journal", "show", "--subject", &anna.web_id, "--format", "json"]);
    let page: Value = serde_json::from_str(&said).expect("a page");
    page["entries"].as_array().cloned().unwrap_or_default()
}

/// 10. She is erased on her wish: the chain holds, her page is gone, and no file of city A has a word of hers.
pub async fn erased(stage: &mut Stage, anna: &Citizen) {
    // As long as the city's file names her pod, the hub watches it and knows her by that. So her pod goes first.
    stage.stop(City::A);
    stage.without_pod("anna");
    let words: std::collections::BTreeSet<String> = left(stage, anna).into_iter().map(|(_, word)| word).collect();
    assert_eq!(words.len(), 6, "before, each word that is looked for is there: {words:?}");
    stage.start(City::A).await;
    let path = format!("/waybill/v1/subjects/{}", encode_component(&anna.web_id));
    let said = stage.ask(City::A, OPERATOR, Method::DELETE, &path, None, 200).await;
    assert!(said["journalKey"] == true && said["entities"] == 1, "{said}");
    assert_eq!(stage.entity(City::A, GRID_AT_A, ANNA).await, None, "her meter is gone, for the grid planner too");
    assert!(page(stage, anna).is_empty(), "her page cannot be read by anybody any more");
    let said = stage.good_command(City::A, &["journal", "verify"]);
    assert!(said.starts_with("the journal holds"), "{said}");
    assert_eq!(left(stage, anna), [], "while it runs, nothing of hers is in database, write-ahead log or log");
    stage.stop(City::A);
    assert_eq!(left(stage, anna), [], "nor when it is stopped");
}

/// Where at city A words of hers stand: file and word.
fn left(stage: &Stage, anna: &Citizen) -> Vec<(String, String)> {
    let pod = anna.web_id.split("profile/").next().expect("her pod");
    let mut found = Vec::new();
    for (file, bytes) in stage.files(City::A) {
        for word in [anna.web_id.as_str(), pod, ANNA, "412.5", "4.35271", "50.84657"] {
            if bytes.windows(word.len()).any(|w| w == word.as_bytes()) {
                found.push((file.clone(), word.to_owned()));
            }
        }
    }
    found
}
