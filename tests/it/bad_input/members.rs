//! One good entity, one good subscription, one good grant: every member of each, at any depth, replaced by a value of every other JSON
//! type. What is not refused must be among what is documented to be taken.

use crate::it::town::{CITY_B, JSON, METER, OPERATOR, Town, grant};
use serde_json::{Value, json};

/// One of each JSON type.
fn types() -> [Value; 6] {
    [Value::Null, json!(true), json!(7), json!("seven"), json!([7]), json!({ "seven": 7 })]
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// The JSON pointer of every value inside `value`.
fn pointers(value: &Value, at: &str, out: &mut Vec<String>) {
    let mut deeper = |name: String, held: &Value| {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        out.push(at.clone());
        pointers(held, &at, out);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, held)| deeper(name.clone(), held)),
        Value::Array(list) => list.iter().enumerate().for_each(|(at, held)| deeper(at.to_string(), held)),
        _ => {}
    }
}

/// Every way to spoil one value of `good`: where, by what, and the result.
fn spoiled(good: &Value) -> Vec<(String, Value, Value)> {
    let mut at = Vec::new();
    pointers(good, "", &mut at);
    let mut all = Vec::new();
    for pointer in at {
        for wrong in types() {
            let mut body = good.clone();
            let Some(place) = body.pointer_mut(&pointer) else { panic!("{pointer}") };
            if kind(place) == kind(&wrong) {
                continue;
            }
            *place = wrong.clone();
            all.push((pointer.clone(), wrong, body));
        }
    }
    all
}

/// Sends each and demands a refusal, or that `taken` says why it is none. What is taken is undone by `undo`.
fn check(town: &Town, path: &str, good: &Value, taken: &dyn Fn(&str, &Value) -> bool, undo: &dyn Fn(&str)) {
    let post = |body: &Value| town.call("POST", path, OPERATOR, &[("Content-Type", JSON)], body.to_string().as_bytes());
    let first = post(good);
    assert_eq!(first.status, 201, "the good one is taken: {}", first.text());
    undo(first.header("location").unwrap_or_default());
    let (mut refused, mut passed, mut wrong) = (0, 0, Vec::new());
    for (pointer, value, body) in spoiled(good) {
        let what = format!("{path} with {pointer} = {value}");
        let answer = post(&body);
        if answer.status == 201 {
            passed += 1;
            undo(answer.header("location").unwrap_or_default());
            if !taken(&pointer, &value) {
                wrong.push(what);
            }
            continue;
        }
        answer.refusal(&what);
        refused += 1;
        if taken(&pointer, &value) {
            wrong.push(format!("{what} is refused: {}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "not as documented:\n{}", wrong.join("\n"));
    assert!(refused > 50, "{refused} refused, {passed} taken");
}

#[test]
fn an_entity_with_one_member_of_the_wrong_type_is_refused_or_documented() {
    let town = Town::with_meter("");
    let before = town.everything();
    let id = "urn:ngsi-ld:SmartMeter:spoiled";
    let good = json!({
        "id": id, "type": "SmartMeter", "scope": "/city/north",
        "activePower": { "type": "Property", "value": 1.5, "unitCode": "WTT", "observedAt": "2026-11-24T07:00:00Z", "datasetId": "urn:ngsi-ld:Dataset:1",
                         "accuracy": { "type": "Property", "value": 2 } },
        "partOf": { "type": "Relationship", "object": "urn:ngsi-ld:Building:1", "observedAt": "2026-11-24T07:00:00Z" },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [4.35, 50.84] } },
        "label": { "type": "LanguageProperty", "languageMap": { "en": "Meter", "nl": "Teller" } },
        "state": { "type": "VocabProperty", "vocab": "on" },
        "raw": { "type": "JsonProperty", "json": { "a": [1, null] } },
        "phases": { "type": "ListProperty", "valueList": [1, 2, 3] },
        "seen": { "type": "ListRelationship", "objectList": ["urn:ngsi-ld:Person:1", "urn:ngsi-ld:Person:2"] },
    });
    let undo = |_: &str| {
        let gone = town.call("DELETE", &format!("/ngsi-ld/v1/entities/{id}"), OPERATOR, &[], b"");
        assert_eq!(gone.status, 204, "{}", gone.text());
    };
    check(&town, "/ngsi-ld/v1/entities", &good, &entity_takes, &undo);
    assert_eq!(town.everything(), before, "nothing is left behind");
}

/// Where NGSI-LD itself allows the other type: the concise representation, in which a bare value is a whole Property; and values, which
/// may be of any type. A null is neither.
fn entity_takes(pointer: &str, value: &Value) -> bool {
    let attribute = matches!(pointer, "/activePower" | "/activePower/accuracy" | "/partOf" | "/label" | "/state" | "/raw" | "/phases" | "/seen");
    let free = matches!(pointer, "/activePower/value" | "/activePower/accuracy/value" | "/raw/json") || pointer.starts_with("/phases/valueList/");
    let inside_json = pointer.starts_with("/raw/json/");
    inside_json || ((attribute || free) && !value.is_null())
}

#[test]
fn a_subscription_with_one_member_of_the_wrong_type_is_refused_or_documented() {
    let town = Town::with_meter("");
    let good = json!({
        "type": "Subscription", "subscriptionName": "meters", "description": "all meters",
        "entities": [{ "type": "SmartMeter", "idPattern": "urn:.*" }],
        "watchedAttributes": ["activePower"], "q": "activePower>1",
        "geoQ": { "geometry": "Point", "coordinates": [4.35, 50.84], "georel": "near;maxDistance==2000", "geoproperty": "location" },
        "isActive": true, "expiresAt": "2099-01-01T00:00:00Z", "throttling": 5, "lang": "en",
        "notification": { "attributes": ["activePower"], "format": "concise", "sysAttrs": true,
                          "endpoint": { "uri": "http://127.0.0.1:9/n", "accept": "application/json", "receiverInfo": [{ "key": "X-A", "value": "b" }] } },
    });
    let undo = |location: &str| {
        let gone = town.call("DELETE", location, OPERATOR, &[], b"");
        assert_eq!(gone.status, 204, "{}", gone.text());
    };
    check(&town, "/ngsi-ld/v1/subscriptions", &good, &subscription_takes, &undo);
    assert_eq!(town.get("/ngsi-ld/v1/subscriptions", OPERATOR).json(), json!([]), "nothing is left behind");
}

/// A list of names may be written as one text, as in a query.
fn subscription_takes(pointer: &str, value: &Value) -> bool {
    pointer == "/notification/attributes" && value.is_string()
}

#[test]
fn a_grant_with_one_member_of_the_wrong_type_opens_nothing() {
    let town = Town::with_meter("");
    let good = grant();
    let path = "/waybill/v1/consents";
    let mut taken = Vec::new();
    for (pointer, value, body) in spoiled(&good) {
        let what = format!("{pointer} = {value}");
        let answer = town.call("POST", path, OPERATOR, &[("Content-Type", JSON)], body.to_string().as_bytes());
        let seen = town.get(&format!("/ngsi-ld/v1/entities/{METER}"), CITY_B).status;
        if answer.status == 201 {
            let id = answer.json()["id"].as_str().unwrap_or_default().replace(':', "%3A");
            let withdrawn = town.call("POST", &format!("{path}/{id}/withdraw"), OPERATOR, &[("Content-Type", JSON)], b"{}");
            assert_eq!(withdrawn.status, 200, "{what}: {}", withdrawn.text());
            taken.push((what, seen));
        } else {
            answer.refusal(&what);
            assert_eq!(seen, 404, "{what} has opened something");
        }
    }
    // Without something that a consent must say it is a draft, kept and closed; the hash of the notice and the country of a party it need not say.
    let (drafts, open): (Vec<_>, Vec<_>) = taken.iter().partition(|(_, seen)| *seen == 404);
    let names = |list: &[&(String, u16)]| list.iter().map(|(what, _)| what.trim_start_matches("/document").to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&open), ["/controller/country = null", "/notice/textHash = null", "/recipients/0/country = null"]);
    let mandatory = ["/jurisdiction = null", "/notice = null", "/storage = null", "/until = null", "/withdrawal = null"];
    assert_eq!(names(&drafts), mandatory);
    let list = town.get(path, OPERATOR).json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(taken.len()), "of what was refused nothing is on record: {list}");
}
