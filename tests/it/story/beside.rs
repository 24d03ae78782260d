//! Step 6: the same question by another purpose, by another recipient, in every form and by every way that this interface has. What the
//! consent allows comes, and nothing can be learnt beside it: what is hidden is answered as what does not exist.

use super::citizen::Citizen;
use super::stage::{ADVICE_AT_B, APP_AT_C, B_AT_A, BILLING_AT_A, BILLING_AT_B, BILLING_AT_C, C_AT_B, City, D_AT_A, D_AT_B, OPERATOR, Stage};
use super::steps::{ANNA, TAG};
use serde_json::{Value, json};
use waybill_http::{InResponse, Method, encode_component, header};

/// The meter of somebody who granted nothing.
pub const BERT: &str = "urn:ngsi-ld:SmartMeter:bert";
const JSON: &str = "application/json";
const GEO: &str = "application/geo+json";
const COUNT: &str = "ngsild-results-count";

/// Who may ask: at each city, whom the consent names, for its purpose.
const ALLOWED: [(City, &str); 4] = [(City::A, B_AT_A), (City::B, ADVICE_AT_B), (City::B, C_AT_B), (City::C, APP_AT_C)];
/// Who may not: the same parties for another purpose, a party that the consent does not name, somebody whom nobody knows.
const REFUSED: [(City, &str); 8] =
    [(City::A, BILLING_AT_A), (City::A, D_AT_A), (City::A, ""), (City::B, BILLING_AT_B), (City::B, D_AT_B), (City::B, ""), (City::C, BILLING_AT_C), (City::C, "")];

/// Every way to ask for entities of a type and for one of them.
const FORMS: [(&str, &str); 9] = [
    ("", JSON),
    ("options=concise", JSON),
    ("options=keyValues", JSON),
    ("format=simplified", JSON),
    ("options=sysAttrs", JSON),
    ("options=concise,sysAttrs", "application/ld+json"),
    ("", GEO),
    ("options=concise", GEO),
    ("options=keyValues", GEO),
];

/// What hidden things are called; or what nobody ever had, in names as long and of the same letters, so that only existing can make a
/// difference.
#[derive(Clone, Copy)]
struct Names {
    id: &'static str,
    kind: &'static str,
    attribute: &'static str,
    value: &'static str,
    place: &'static str,
}

/// All there is of Anna's meter, for those who may see nothing of it.
const HERS: Names = Names { id: ANNA, kind: "SmartMeter", attribute: "activePower", value: "412.5", place: "4.35271,50.84657" };
const NOBODYS: Names = Names { id: "urn:ngsi-ld:SmartMetre:nana", kind: "SmartMetre", attribute: "activeTower", value: "421.5", place: "3.45271,58.04657" };
/// What is not granted of it, and Bert's, for those who may see the rest.
const REST: Names = Names { id: BERT, kind: "SmartMeter", attribute: "ownedBy", value: "777.5", place: "4.30719,50.86283" };
const NO_REST: Names = Names { id: "urn:ngsi-ld:SmartMeter:bret", kind: "SmartMeter", attribute: "owndeBy", value: "757.7", place: "3.40719,58.06283" };

/// One question: method, path with its query, the media type that is asked for, body.
type Question = (Method, String, &'static str, Option<Value>);

/// What can be asked that names something hidden.
fn questions(n: &Names) -> Vec<Question> {
    let Names { id, kind, attribute, value, place } = n;
    let get_as = |path: String, accept| (Method::GET, format!("/ngsi-ld/v1{path}"), accept, None);
    let get = |path: String| get_as(path, JSON);
    let query = |rest: &str| get(format!("/entities?type={kind}&count=true{rest}"));
    let batch = |body: Value| (Method::POST, "/ngsi-ld/v1/entityOperations/query?count=true".to_owned(), JSON, Some(body));
    let near = format!("&georel=near;maxDistance==100&geometry=Point&coordinates=[{place}]");
    let mut out = vec![
        get(format!("/entities/{id}")),
        get(format!("/entities/{id}?attrs={attribute}")),
        get(format!("/entities/{id}?pick={attribute}")),
        query(&format!("&id={id}")),
        query(&format!("&idPattern={}", encode_component(&format!("^{id}$")))),
        query("&limit=0"),
        query(&format!("&q={attribute}")),
        query(&format!("&q={attribute}%3D%3D{value}")),
        query(&format!("&q={attribute}~%3D.*")),
        query(&format!("&attrs={attribute}")),
        query(&format!("&pick={attribute}")),
        query(&near),
        get(format!("/entities?attrs={attribute}&count=true")),
        get(format!("/entities?q={attribute}&count=true")),
        get(format!("/attributes/{attribute}")),
        batch(json!({ "type": "Query", "entities": [{ "type": kind, "id": id }] })),
        batch(json!({ "type": "Query", "entities": [{ "type": kind }], "q": attribute })),
        batch(json!({ "type": "Query", "entities": [{ "type": kind }], "q": format!("{attribute}=={value}") })),
        batch(json!({ "type": "Query", "entities": [{ "type": kind }], "attrs": [attribute] })),
        (Method::GET, format!("/waybill/bundles/{id}"), JSON, None),
    ];
    for (form, accept) in FORMS {
        out.push(get_as(format!("/entities/{id}?{form}"), accept));
        out.push(get_as(format!("/entities?id={id}&type={kind}&{form}"), accept));
    }
    out
}

/// What of an answer could tell something: the status, the headers and the body, but for what is another at each answer.
fn told(answer: &InResponse) -> (u16, Vec<String>, String) {
    let always_new = ["date", "x-request-id", "content-length"];
    let mut headers: Vec<String> =
        answer.headers.iter().filter(|(name, _)| !always_new.contains(&name.as_str())).map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    headers.sort_unstable();
    (answer.status.as_u16(), headers, String::from_utf8_lossy(&answer.body).into_owned())
}

/// The text with other names in the places of `names`, as they are and as they stand in an address.
fn renamed(text: &str, names: &Names, others: &Names) -> String {
    let pairs = [(names.id, others.id), (names.kind, others.kind), (names.attribute, others.attribute), (names.value, others.value), (names.place, others.place)];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to).replace(&encode_component(from), &encode_component(to)))
}

/// Asks both: about what is hidden and about what is not. The answers must be the same.
async fn as_if_it_did_not_exist(stage: &Stage, city: City, token: &str, hidden: &Names, nothing: &Names) {
    for ((method, path, accept, body), (_, path_of_nothing, _, body_of_nothing)) in questions(hidden).into_iter().zip(questions(nothing)) {
        let headers = [(header::ACCEPT, accept)];
        let answer = stage.asked(city, token, method.clone(), &path, &headers, body.as_ref()).await;
        let of_nothing = stage.asked(city, token, method.clone(), &path_of_nothing, &headers, body_of_nothing.as_ref()).await;
        let what = format!("{city:?}, `{token}`, {accept}: {method} {path} {body:?}");
        assert!(answer.status.as_u16() < 500, "{what}: {}", answer.status);
        let (status, headers, text) = told(&answer);
        let headers: Vec<String> = headers.iter().map(|h| renamed(h, hidden, nothing)).collect();
        let (status_of_nothing, headers_of_nothing, text_of_nothing) = told(&of_nothing);
        assert_eq!(status, status_of_nothing, "{what}: {text}");
        assert_eq!(renamed(&text, hidden, nothing), text_of_nothing, "{what}");
        assert_eq!(headers, headers_of_nothing, "{what}");
    }
}

/// 6. What each city answers to whom.
pub async fn only_what_is_allowed(stage: &Stage, anna: &Citizen) {
    let bert = json!({
        "id": BERT, "type": "SmartMeter",
        "ownedBy": { "type": "Relationship", "object": "https://bert.example/#me" },
        "activePower": { "type": "Property", "value": 777.5, "unitCode": "WTT" },
        "location": { "type": "GeoProperty", "value": { "type": "Point", "coordinates": [4.307_19, 50.862_83] } },
    });
    stage.ask(City::A, OPERATOR, Method::POST, "/ngsi-ld/v1/entities", Some(&bert), 201).await;
    for (city, token) in ALLOWED {
        in_every_form(stage, anna, city, token).await;
        by_count_and_q(stage, city, token).await;
        as_if_it_did_not_exist(stage, city, token, &REST, &NO_REST).await;
    }
    for (city, token) in REFUSED {
        as_if_it_did_not_exist(stage, city, token, &HERS, &NOBODYS).await;
        let types = stage.asked(city, token, Method::GET, "/ngsi-ld/v1/types", &[], None).await;
        assert!(!String::from_utf8_lossy(&types.body).contains("SmartMeter"), "{city:?} `{token}`: no type of what is hidden");
    }
}

/// Her meter in each representation, alone and in a list: what was granted and its tag, and no member or word more.
async fn in_every_form(stage: &Stage, anna: &Citizen, city: City, token: &str) {
    for (form, accept) in FORMS {
        for path in [format!("/entities/{ANNA}?{form}"), format!("/entities?type=SmartMeter&{form}"), format!("/entities?type=SmartMeter&omit={}&{form}", encode_component(TAG))] {
            let what = format!("{city:?} `{token}` {accept} {path}");
            let answer = stage.asked(city, token, Method::GET, &format!("/ngsi-ld/v1{path}"), &[(header::ACCEPT, accept)], None).await;
            assert_eq!(answer.status, 200, "{what}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            nothing_more(&text, anna, &what);
            let body: Value = answer.json().expect("JSON");
            let alone = path.contains(ANNA);
            let list = if accept == GEO { body["features"].clone() } else { body.clone() };
            let shown = if alone { body } else { list[0].clone() };
            assert!(alone || list.as_array().is_some_and(|l| l.len() == 1), "hers alone: {what}: {text}");
            // A feature has them under `properties`, which then also hold what the geometry is taken from.
            let members = if accept == GEO { &shown["properties"] } else { &shown };
            let names: Vec<&str> = members.as_object().expect("members").keys().map(String::as_str).filter(|k| !["id", "type", "@context", "createdAt", "modifiedAt"].contains(k)).collect();
            assert_eq!(names, ["activePower", TAG, "location"], "{what}: {text}");
            let value = |name: &str| members[name].get("value").unwrap_or(&members[name]).clone();
            assert_eq!(value("activePower").as_f64(), Some(400.0), "{what}: {text}");
            assert_eq!(value("location")["coordinates"], json!([4.375, 50.825]), "{what}: {text}");
            if accept == GEO {
                assert_eq!(shown["geometry"]["coordinates"], json!([4.375, 50.825]), "{what}: {text}");
            }
        }
    }
}

/// No word of what she did not grant.
pub fn nothing_more(text: &str, anna: &Citizen, what: &str) {
    for word in ["412.5", "4.35271", "50.84657", "ownedBy", anna.web_id.as_str(), "bert", "777.5", "4.30719", "50.86283"] {
        assert!(!text.contains(word), "{what}: `{word}` in {text}");
    }
}

/// Counting, asking by `q`, by place and by batch: over what is shown, as it is shown.
async fn by_count_and_q(stage: &Stage, city: City, token: &str) {
    let near = |place: &str| format!("georel=near;maxDistance==100&geometry=Point&coordinates=[{place}]");
    let exact = near("4.35271,50.84657");
    let district = near("4.375,50.825");
    for (query, expected) in [
        ("", "1"),
        ("q=activePower%3D%3D400", "1"),
        ("q=activePower%3E400", "0"),
        ("q=activePower%3D%3D412.5", "0"),
        ("q=activePower%3D%3D777.5", "0"),
        ("q=activePower%3D%3D800", "0"),
        ("q=ownedBy", "0"),
        ("q=activePower", "1"),
        ("q=activePower%7CownedBy", "1"),
        (district.as_str(), "1"),
        (exact.as_str(), "0"),
        ("attrs=ownedBy", "0"),
        ("orderBy=ownedBy", "1"),
    ] {
        let path = format!("/ngsi-ld/v1/entities?type=SmartMeter&count=true&limit=10&{query}");
        let answer = stage.asked(city, token, Method::GET, &path, &[], None).await;
        let list: Vec<Value> = answer.json().unwrap_or_else(|e| panic!("{path}: {e} {}", String::from_utf8_lossy(&answer.body)));
        assert_eq!((answer.header(COUNT), list.len().to_string().as_str()), (Some(expected), expected), "{city:?} `{token}` {query}: {list:?}");
    }
    for (q, expected) in [(None, 1), (Some("activePower==400"), 1), (Some("activePower==412.5"), 0), (Some("ownedBy"), 0)] {
        let mut body = json!({ "type": "Query", "entities": [{ "type": "SmartMeter" }] });
        if let Some(q) = q {
            body["q"] = json!(q);
        }
        let answer = stage.asked(city, token, Method::POST, "/ngsi-ld/v1/entityOperations/query?count=true", &[], Some(&body)).await;
        let list: Vec<Value> = answer.json().expect("a list");
        assert_eq!((answer.header(COUNT), list.len()), (Some(expected.to_string().as_str()), expected), "{city:?} `{token}` batch {q:?}: {list:?}");
    }
    let said = stage.ask(city, token, Method::GET, "/ngsi-ld/v1/types/SmartMeter", None, 200).await;
    let attributes: Vec<&str> = said["attributeDetails"].as_array().expect("details").iter().filter_map(|a| a["attributeName"].as_str()).collect();
    assert!(said["entityCount"] == 1 && attributes.contains(&"activePower") && !attributes.contains(&"ownedBy"), "{city:?} `{token}`: {said}");
}

