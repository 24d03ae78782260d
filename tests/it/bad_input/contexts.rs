//! @contexts that cannot be had: hosts that hang or answer garbage, documents that are none, and those that lead round in a circle.

use crate::it::town::{Answer, JSON, LD, METER, OPERATOR, Town, meter};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use waybill_conformance::{Fault, MisbehavingHost};

/// Sends an entity whose @context is at `url`.
fn send(town: &Town, url: &str) -> Answer {
    let mut body = meter("urn:ngsi-ld:SmartMeter:new");
    body["@context"] = json!([url]);
    town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", LD)], body.to_string().as_bytes())
}

/// The same asked for by a Link header, as readers do.
fn read(town: &Town, url: &str) -> Answer {
    let link = format!("<{url}>; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"{LD}\"");
    town.call("GET", &format!("/ngsi-ld/v1/entities/{METER}"), OPERATOR, &[("Link", &link)], b"")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_host_that_misbehaves_is_said_so_and_holds_up_nobody() {
    let town = std::sync::Arc::new(Town::with_meter(""));
    let before = town.everything();
    let body = |text: &str| Fault::Body(LD.to_owned(), text.as_bytes().to_vec());
    let faults = [
        ("silence", Fault::Silence),
        ("one byte a second", Fault::Drip),
        ("no HTTP", Fault::NotHttp),
        ("no end", Fault::Endless),
        ("cut off", Fault::Truncated),
        ("not there", Fault::Status(404)),
        ("broken", Fault::Status(500)),
        ("redirected to itself", Fault::Redirect("/again".to_owned())),
        ("redirected to a file", Fault::Redirect("file:///etc/hostname".to_owned())),
        ("no JSON", body("<html>")),
        ("no @context in it", body("[1, 2]")),
        ("a number for an @context", body("{\"@context\": 5}")),
        ("a keyword redefined", body("{\"@context\": {\"@id\": \"https://x.example/\"}}")),
        ("a term that is defined by itself", body("{\"@context\": {\"a\": \"b:x\", \"b\": \"a:x\"}}")),
        ("a million levels deep", body(&format!("{{\"@context\": {}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000)))),
        ("an unknown version", body("{\"@context\": {\"@version\": 7}}")),
    ];
    let mut asking = tokio::task::JoinSet::new();
    for (what, fault) in faults {
        let host = MisbehavingHost::start(fault).await.expect("a host");
        let town = town.clone();
        asking.spawn_blocking(move || {
            for answer in [send(&town, &format!("{}/context.jsonld", host.url())), read(&town, &format!("{}/context.jsonld", host.url()))] {
                let code = answer.refusal(what);
                assert!(code.starts_with("context-"), "{what}: {code} {}", answer.text());
            }
            assert!(host.calls() > 0, "{what}: the host was asked");
        });
    }
    // While all of that hangs, others are served.
    let others = town.clone();
    tokio::task::spawn_blocking(move || (0..20).for_each(|_| drop(others.meter()))).await.expect("served");
    while let Some(done) = asking.join_next().await {
        done.expect("refused");
    }
    assert_eq!(town.everything(), before, "nothing is half done");
}

#[test]
fn what_may_not_be_called_is_not_called() {
    let town = Town::with_meter("");
    let before = town.everything();
    for url in ["file:///etc/hostname", "ftp://127.0.0.1/c", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/c", "http://[fe80::1]/c", "http://no-such-host.invalid/c", "not a URL"] {
        let code = send(&town, url).refusal(url);
        assert!(code.starts_with("context-"), "{url}: {code}");
    }
    assert_eq!(town.everything(), before, "nothing is half done");
}

/// A host whose documents name one another: `/a` names `/b`, `/b` names `/a`, and `/long/n` names `/long/n+1`.
fn circle() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("its address"));
    let own = base.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut first = [0; 4096];
            let read = stream.read(&mut first).unwrap_or_default();
            let path = String::from_utf8_lossy(&first[..read]).split_whitespace().nth(1).unwrap_or_default().to_owned();
            let next = match path.strip_prefix("/long/").and_then(|n| n.parse::<u32>().ok()) {
                Some(n) => format!("/long/{}", n + 1),
                None if path == "/a" => "/b".to_owned(),
                None => "/a".to_owned(),
            };
            let body = json!({ "@context": [format!("{base}{next}"), { "x": "https://x.example/x" }] }).to_string();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: {LD}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    own
}

#[test]
fn contexts_that_lead_round_or_never_end_are_refused() {
    let town = Town::with_meter("");
    let before = town.everything();
    let base = circle();
    for path in ["/a", "/long/0"] {
        for answer in [send(&town, &format!("{base}{path}")), read(&town, &format!("{base}{path}"))] {
            let code = answer.refusal(path);
            assert!(code.starts_with("context-"), "{path}: {code} {}", answer.text());
        }
    }
    // A subscription that nobody could be notified of under such an @context is none.
    let link = format!("<{base}/a>; rel=\"http://www.w3.org/ns/json-ld#context\"");
    let subscription = json!({ "type": "Subscription", "entities": [{ "type": "SmartMeter" }], "notification": { "endpoint": { "uri": "http://127.0.0.1:9/n" } } });
    town.call("POST", "/ngsi-ld/v1/subscriptions", OPERATOR, &[("Content-Type", JSON), ("Link", &link)], subscription.to_string().as_bytes()).refusal("subscription");
    assert_eq!(town.get("/ngsi-ld/v1/subscriptions", OPERATOR).json(), json!([]));
    assert_eq!(town.everything(), before, "nothing is half done");
}
