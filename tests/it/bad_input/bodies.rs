//! Bodies that are no good JSON, too deep or too large, at every door that takes one.

use crate::it::town::{Answer, JSON, METER, OPERATOR, Town, grant, meter};
use serde_json::{Value, json};

/// A door: method, path, a good body, and the most bytes it takes.
type Door = (&'static str, String, Value, usize);

const MIB: usize = 1 << 20;

/// Every door of the data interface and of administration that takes a body. Each body is good, so that only what is done to it is bad.
fn doors() -> Vec<Door> {
    let entity = meter("urn:ngsi-ld:SmartMeter:new");
    let part = json!({ "activePower": { "type": "Property", "value": 1 } });
    let subscription = json!({ "type": "Subscription", "entities": [{ "type": "SmartMeter" }], "notification": { "endpoint": { "uri": "http://127.0.0.1:9/n" } } });
    let query = json!({ "type": "Query", "entities": [{ "type": "SmartMeter" }] });
    let at = format!("/ngsi-ld/v1/entities/{METER}");
    let batch = |name: &str| ("POST", format!("/ngsi-ld/v1/entityOperations/{name}"), json!([entity]), 16 * MIB);
    let office = |path: &str, body: Value, most: usize| ("POST", format!("/waybill/v1{path}"), body, most);
    vec![
        ("POST", "/ngsi-ld/v1/entities".into(), entity.clone(), 16 * MIB),
        ("PUT", at.clone(), meter(METER), 16 * MIB),
        ("PATCH", at.clone(), part.clone(), 16 * MIB),
        ("POST", format!("{at}/attrs"), part.clone(), 16 * MIB),
        ("PATCH", format!("{at}/attrs"), part.clone(), 16 * MIB),
        ("PATCH", format!("{at}/attrs/activePower"), json!({ "value": 2 }), 16 * MIB),
        ("PUT", format!("{at}/attrs/activePower"), json!({ "type": "Property", "value": 2 }), 16 * MIB),
        batch("create"),
        batch("upsert"),
        batch("update"),
        batch("merge"),
        ("POST", "/ngsi-ld/v1/entityOperations/delete".into(), json!([METER]), 16 * MIB),
        ("POST", "/ngsi-ld/v1/entityOperations/query".into(), query, 16 * MIB),
        ("POST", "/ngsi-ld/v1/subscriptions".into(), subscription, 16 * MIB),
        ("PATCH", "/ngsi-ld/v1/subscriptions/urn:ngsi-ld:Subscription:none".into(), json!({ "isActive": false }), 16 * MIB),
        office("/consents", grant(), MIB),
        office("/consents/import", json!({ "versions": [], "events": [] }), 8 * MIB),
        office("/consents/urn%3Ax%3A1/withdraw", json!({}), MIB),
        office("/consents/urn%3Ax%3A1/suspend", json!({}), MIB),
        office("/consents/urn%3Ax%3A1/resume", json!({}), MIB),
        office("/bindings", json!({ "target": { "entity": METER }, "subject": "https://anna.example/#me", "assertedBy": "https://city-a.example/#city", "rule": "all" }), MIB),
        office("/guardianships", json!({ "ward": "https://anna.example/#me" }), MIB),
        office("/keys/rotate", json!({}), MIB),
    ]
}

/// A town, what is in it, and its first key, which no bad input may turn.
fn town() -> (Town, [Value; 4]) {
    let town = Town::with_meter("");
    let state = state(&town);
    (town, state)
}

fn state(town: &Town) -> [Value; 4] {
    let office = |path: &str| town.get(&format!("/waybill/v1{path}"), OPERATOR).json();
    [town.everything(), office("/consents"), office("/keys"), town.get("/ngsi-ld/v1/subscriptions", OPERATOR).json()]
}

fn send(town: &Town, (method, path, ..): &Door, body: &[u8]) -> Answer {
    town.call(method, path, OPERATOR, &[("Content-Type", JSON)], body)
}

#[test]
fn what_is_no_good_json_is_refused_at_every_door() {
    let (town, before) = town();
    let deep = |n: usize| format!("{}1{}", "[".repeat(n), "]".repeat(n)).into_bytes();
    for door in doors() {
        let good = door.2.to_string().into_bytes();
        let half = good[..good.len() / 2].to_vec();
        let bad: [(&str, Vec<u8>); 9] = [
            ("cut by its last byte", good[..good.len() - 1].to_vec()),
            ("cut in the middle", if half.is_empty() { b"{".to_vec() } else { half }),
            ("something behind it", [good.as_slice(), b" {}"].concat()),
            ("a name twice", b"{\"type\":1,\"type\":2}".to_vec()),
            ("not a number", b"{\"value\":NaN}".to_vec()),
            ("beyond all doubles", b"{\"value\":1e999}".to_vec()),
            ("no UTF-8", b"{\"value\":\"\xff\xfe\"}".to_vec()),
            ("half a surrogate pair", b"{\"value\":\"\\ud800\"}".to_vec()),
            ("a million levels deep", deep(1_000_000)),
        ];
        for (what, body) in bad {
            let what = format!("{what}: {} {}", door.0, door.1);
            send(&town, &door, &body).refusal(&what);
        }
    }
    assert_eq!(state(&town), before, "nothing is half done");
}

#[test]
fn a_body_of_a_hundred_megabytes_is_refused_before_it_is_sent() {
    let (town, before) = town();
    for (method, path, _, most) in doors() {
        let what = format!("{method} {path}");
        let head = town.head(method, &path, OPERATOR, &[("Content-Type", JSON)]);
        // Only the head: if the hub waited for the body, no answer would come.
        let answer = town.raw(format!("{head}Content-Length: {}\r\n\r\n", 100 * MIB).as_bytes());
        assert_eq!((answer.status, answer.refusal(&what).as_str()), (413, "body-too-large"), "{what}");
        // One byte more than the door takes, without a length: refused while it comes, or for the missing length.
        let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", most + 1).into_bytes();
        chunked.resize(chunked.len() + most + 1, b' ');
        chunked.extend_from_slice(b"\r\n0\r\n\r\n");
        let answer = town.raw(&chunked);
        assert!(matches!(answer.status, 411 | 413), "{what}: {} {}", answer.status, answer.text());
    }
    assert_eq!(state(&town), before, "nothing is half done");
}

#[test]
fn a_caller_who_hangs_up_in_the_middle_of_a_body_has_done_nothing() {
    let (town, before) = town();
    for (method, path, good, _) in doors() {
        let head = town.head(method, &path, OPERATOR, &[("Content-Type", JSON)]);
        let body = good.to_string();
        let request = format!("{head}Content-Length: {}\r\n\r\n{}", body.len(), &body[..body.len() - 1]);
        let mut stream = std::net::TcpStream::connect(town.addr).expect("connected");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
        stream.shutdown(std::net::Shutdown::Both).expect("hung up");
    }
    assert_eq!(state(&town), before, "nothing is half done");
}

#[test]
fn a_long_policy_is_read_and_an_endless_one_refused() {
    let (town, before) = town();
    // A grant is compiled to a policy; each thing it names is some 790 bytes of it. So these are 162 KB, and more than a megabyte.
    let naming = |count: usize| {
        let asset = |n: usize| json!({ "attribute": format!("https://uri.etsi.org/ngsi-ld/default-context/reading{n:04}"), "precision": "exact" });
        let mut document = grant();
        document["document"]["data"] = (0..count).map(asset).collect();
        town.call("POST", "/waybill/v1/consents", OPERATOR, &[("Content-Type", JSON)], document.to_string().as_bytes())
    };
    let too_long = naming(1540);
    assert_eq!((too_long.status, too_long.refusal("a policy of more than a megabyte").as_str()), (400, "consent-schema"));
    assert_eq!(state(&town), before, "nothing of it is on record");
    let taken = naming(206);
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert_ne!(state(&town)[1], before[1], "it is on record");

    let head = town.head("POST", "/waybill/v1/consents", OPERATOR, &[("Content-Type", JSON)]);
    let refused = town.raw(format!("{head}Content-Length: {}\r\n\r\n{{\"document\":", 100 * MIB).as_bytes());
    assert_eq!((refused.status, refused.refusal("an endless policy").as_str()), (413, "body-too-large"));
}
