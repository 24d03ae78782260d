//! The story of a company: its connector, a second hub, discovers, negotiates for a purpose, pulls, and follows, for the people who agreed to that
//! company and purpose only. One withdraws: the next page has one fewer, the feed a tombstone, and who pulled is told what to delete.

use crate::it::town::{JSON, OPERATOR, Town, free, grant, meter};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

pub const COMPANY: &str = "https://company.example/#us";
pub const HANGS: Duration = Duration::from_mins(1);

pub fn space(own: &str, other: &str, party: &str, at: &str, theirs: &str, ours: &str) -> String {
    format!(
        "[dataspace]\nparticipant = \"urn:connector:{own}\"\n[[participant]]\nname = \"{other}\"\nid = \"urn:connector:{other}\"\nparty = \"{party}\"\n\
         url = \"{at}/dsp/2025-1\"\ntoken = \"{theirs}\"\nauth = {{ kind = \"bearer\", token = \"{ours}\" }}\n"
    )
}

pub fn ask(town: &Town, verb: &str, path: &str, body: &Value) -> Value {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let answer = town.call(verb, path, OPERATOR, &[("Content-Type", JSON)], text.as_bytes());
    assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

fn until(town: &Town, path: &str, state: &str) -> Value {
    let began = Instant::now();
    loop {
        let about = ask(town, "GET", path, &Value::Null);
        if about["state"] == state {
            return about;
        }
        assert!(began.elapsed() < HANGS, "still not {state}: {about}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn household(city: &Town, who: &str) -> String {
    let mut entity = meter(&format!("urn:ngsi-ld:SmartMeter:{who}"));
    entity["ownedBy"]["object"] = json!(format!("https://{who}.example/#me"));
    ask(city, "POST", "/ngsi-ld/v1/entities", &entity);
    let mut document = grant();
    document["document"]["subject"] = json!(format!("https://{who}.example/#me"));
    document["document"]["recipients"][0]["id"] = json!(COMPANY);
    ask(city, "POST", "/waybill/v1/consents", &document)["id"].as_str().expect("its id").to_owned()
}

/// Every entity that the feed told of, in order: its identifier, and whether it was told to be gone.
async fn told(feed: &MockServer) -> Vec<(String, bool)> {
    let all = feed.received_requests().await.expect("recorded");
    let data = all.iter().flat_map(|r| r.body_json::<Value>().expect("JSON")["data"].as_array().cloned().unwrap_or_default());
    data.map(|e| (e["id"].as_str().unwrap_or_default().to_owned(), e.get("deletedAt").is_some())).collect()
}

async fn told_of(feed: &MockServer, wanted: usize) -> Vec<(String, bool)> {
    let began = Instant::now();
    loop {
        let all = told(feed).await;
        if all.len() >= wanted {
            return all;
        }
        assert!(began.elapsed() < HANGS, "the feed told only {all:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_gets_what_people_agreed_to_and_hears_when_they_do_no_more() {
    let feed = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&feed).await;
    let (a, b) = (free(), free());
    let (at_a, at_b) = (format!("http://{a}"), format!("http://{b}"));
    let offer = "[[offer]]\nname = \"meters\"\ndataset = \"urn:dataset:meters\"\nroute = \"meters\"\npurposes = [\"EnergyAdvice\"]\n";
    let (there, here) = ("company-at-city-0123456789", "city-at-company-0123456789");
    let city = Town::start_at(a, &at_a, &(space("city", "company", COMPANY, &at_b, there, here) + offer));
    let company = Town::start_at(b, &at_b, &space("company", "city", "https://city-a.example/#city", &at_a, here, there));
    let (anna, ben) = (household(&city, "anna"), household(&city, "ben"));
    // Carla agreed to nothing.
    let mut carla = meter("urn:ngsi-ld:SmartMeter:carla");
    carla["ownedBy"]["object"] = json!("https://carla.example/#me");
    ask(&city, "POST", "/ngsi-ld/v1/entities", &carla);

    let with = |more: Value| {
        let mut body = json!({ "counterPartyAddress": format!("{at_a}/dsp/2025-1"), "counterPartyId": "urn:connector:city" });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let manage = |path: &str, body: Value| ask(&company, "POST", &format!("/management/v3/{path}"), &body)["@id"].as_str().expect("an id").to_owned();
    let catalog = ask(&company, "POST", "/management/v3/catalog/request", &with(json!({})));
    let mut policy = catalog["dataset"][0]["hasPolicy"][0].clone();
    policy["target"] = json!("urn:dataset:meters");
    let negotiation = manage("contractnegotiations", with(json!({ "policy": policy })));
    let agreement = until(&company, &format!("/management/v3/contractnegotiations/{negotiation}"), "FINALIZED")["contractAgreementId"].clone();
    let pull = manage("transferprocesses", with(json!({ "contractId": agreement, "transferType": "HttpData-PULL" })));
    let follow = manage(
        "transferprocesses",
        with(json!({ "contractId": agreement, "transferType": "NgsiLd-FEED", "dataDestination": { "type": "HttpData", "baseUrl": feed.uri() } })),
    );
    for transfer in [&pull, &follow] {
        until(&company, &format!("/management/v3/transferprocesses/{transfer}"), "STARTED");
    }

    let edr = ask(&company, "GET", &format!("/management/v3/edrs/{pull}/dataaddress"), &Value::Null);
    let text = |name: &str| edr[name].as_str().unwrap_or_else(|| panic!("no {name}: {edr}")).to_owned();
    let token = text("authorization");
    let path = |url: String| url.strip_prefix(&at_a).expect("at the city").to_owned();
    let (data, deletions) = (path(text("endpoint")), path(text("https://w3id.org/waybill/ns#deletions")));
    let page = || -> Vec<String> {
        let answer = city.get(&data, &token);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains("anna") && !answer.text().contains("412.5"), "{}", answer.text());
        answer.json().as_array().expect("a list").iter().map(|e| e["id"].as_str().expect("an id").to_owned()).collect()
    };
    let mut both = page();
    both.sort();
    assert_eq!(both.len(), 2, "Anna and Ben, and not Carla");
    let mut first = told_of(&feed, 2).await;
    first.sort();
    // The same identifiers on a page and in a feed.
    assert_eq!(first, both.iter().map(|id| (id.clone(), false)).collect::<Vec<_>>());
    assert_eq!(city.get(&deletions, &token).json()["deletions"], json!([]));

    ask(&city, "POST", &format!("/waybill/v1/consents/{anna}/withdraw"), &Value::Null);
    let left = page();
    assert_eq!(left.len(), 1, "the next page is without her");
    let gone = both.iter().find(|id| !left.contains(id)).expect("one is gone").clone();
    assert_eq!(told_of(&feed, 3).await[2], (gone.clone(), true), "a tombstone of hers");
    let listed = city.get(&deletions, &token).json();
    assert_eq!(listed["deletions"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed["deletions"][0]["id"], json!(gone));
    for transfer in [&pull, &follow] {
        until(&company, &format!("/management/v3/transferprocesses/{transfer}"), "STARTED");
    }

    ask(&city, "POST", &format!("/waybill/v1/consents/{ben}/withdraw"), &Value::Null);
    for transfer in [&pull, &follow] {
        let rests = until(&company, &format!("/management/v3/transferprocesses/{transfer}"), "SUSPENDED");
        assert!(rests["errorDetail"].as_str().is_some_and(|why| why.starts_with("nobody-left")), "{rests}");
    }
    // Also who rests is told what to delete.
    assert_eq!(told_of(&feed, 4).await[3], (left[0].clone(), true));
    assert_eq!(city.get(&data, &token).status, 401, "nobody is left, so the token opens nothing");
}
