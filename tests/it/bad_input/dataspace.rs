//! Bodies that are no good JSON, too deep or too large at every door of the connector, each refused in that door's own form; and callback
//! addresses that lead inside, hang, or change.

use crate::it::town::{Answer, JSON, OPERATOR, Town, codes, free, problem_code};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const COMPANY: &str = "company-0123456789abcdef";
const STRANGER: &str = "stranger-0123456789abcdef";
const PLANE: &str = "control-plane-0123456789abcdef";
const CONTEXT: &str = "https://w3id.org/dspace/2025/1/context.jsonld";
const DATASET: &str = "urn:dataset:air";
/// Of which each request is answered with an offer.
const HAGGLED: &str = "urn:dataset:haggled";
const AGREEMENT: &str = "urn:agreement:1";
const MIB: usize = 1 << 20;
/// Nothing here may take so long unless it hangs.
const HANGS: Duration = Duration::from_mins(1);

/// How a door says what is wrong.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// The protocol's error object of this type.
    Protocol(&'static str),
    /// The list of the Eclipse EDC's management interface, or a problem.
    Management,
    /// A problem.
    Plain,
    /// RFC 6749, section 5.2, or a problem.
    Renewal,
}

/// A door that takes a body: where, by whose token, a body that is shaped as it must be, and the most bytes it takes.
struct Door {
    path: String,
    token: &'static str,
    good: Value,
    most: usize,
    form: Form,
}

impl Door {
    fn send(&self, town: &Town, body: &[u8]) -> Answer {
        town.call("POST", &self.path, self.token, &[("Content-Type", JSON)], body)
    }

    /// That `answer` is a refusal in this door's form, with a code that is explained.
    fn refused(&self, answer: &Answer, what: &str) {
        let at = format!("{what}: {}: {} {}", self.path, answer.status, answer.text());
        assert!((400..500).contains(&answer.status), "{at}");
        let body = answer.json();
        let known = |code: &Value| assert!(code.as_str().is_some_and(|code| codes().contains(code)), "{at}: `waybill explain {code}` knows nothing");
        match self.form {
            Form::Protocol(kind) => {
                assert_eq!(body["@type"], kind, "{at}");
                known(&body["code"]);
                assert!(body["reason"][0].as_str().is_some_and(|reason| !reason.is_empty()), "{at}: a reason in words");
            }
            Form::Management if body.is_array() => {
                known(&body[0]["type"]);
                assert!(body[0]["message"].as_str().is_some_and(|said| !said.is_empty()), "{at}");
            }
            Form::Renewal if body.get("error").is_some() => assert!(body["error_description"].is_string(), "{at}"),
            Form::Management | Form::Plain | Form::Renewal => drop(problem_code(&body, answer.status, &at)),
        }
    }
}

fn connector() -> Town {
    Town::start(&format!(
        r#"
[dataspace]
participant = "urn:connector:city"
[dataspace.control_plane]
url = "http://127.0.0.1:9"
token = "{PLANE}"
[[participant]]
name = "company"
id = "urn:connector:company"
party = "https://company.example/#us"
url = "http://127.0.0.1:9/dsp"
token = "{COMPANY}"
[[participant]]
name = "stranger"
id = "urn:connector:stranger"
party = "https://stranger.example/#us"
token = "{STRANGER}"
[[offer]]
name = "air"
dataset = "{DATASET}"
route = "air"
strategy = "manual"
[[offer]]
name = "haggled"
dataset = "{HAGGLED}"
route = "air"
script = ["REQUESTED:offer", "REQUESTED:offer", "REQUESTED:offer"]
[dataspace.conformance]
delay_ms = 0
[[dataspace.conformance.agreement]]
id = "{AGREEMENT}"
dataset = "{DATASET}"
participant = "urn:connector:company"
role = "provider"
"#
    ))
}

fn said(kind: &str, more: Value) -> Value {
    let mut out = json!({ "@context": [CONTEXT], "@type": kind });
    out.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    out
}

fn begun(town: &Town, path: &str, token: &str, body: &Value) -> String {
    let answer = town.call("POST", &format!("/dsp/2025-1{path}"), token, &[("Content-Type", JSON)], body.to_string().as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["providerPid"].as_str().expect("its id").to_owned()
}

fn offer(town: &Town, token: &str, dataset: &str) -> Value {
    let answer = town.call("POST", "/dsp/2025-1/catalog/request", token, &[("Content-Type", JSON)], said("CatalogRequestMessage", json!({})).to_string().as_bytes());
    let catalogue = answer.json();
    let found = catalogue["dataset"].as_array().and_then(|all| all.iter().find(|d| d["@id"] == dataset)).expect("the dataset");
    let mut offer = found["hasPolicy"][0].clone();
    offer["target"] = dataset.into();
    offer
}

fn opens(town: &Town, token: &str, pid: &str, callback: &str) -> Value {
    said("ContractRequestMessage", json!({ "consumerPid": pid, "offer": offer(town, token, DATASET), "callbackAddress": callback }))
}

fn fetches(pid: &str) -> Value {
    said("TransferRequestMessage", json!({ "consumerPid": pid, "agreementId": AGREEMENT, "format": "HttpData-PULL", "callbackAddress": "http://127.0.0.1:9/dsp" }))
}

/// Every door of the connector that reads a body, on a hub with a negotiation and a transfer.
fn doors(town: &Town) -> Vec<Door> {
    let negotiation = begun(town, "/negotiations/request", COMPANY, &opens(town, COMPANY, "urn:uuid:n", "http://127.0.0.1:9/dsp"));
    let transfer = begun(town, "/transfers/request", COMPANY, &fetches("urn:uuid:t"));
    let mut doors = Vec::new();
    let mut protocol = |path: String, kind: &'static str, good: Value| {
        doors.push(Door { path: format!("/dsp/2025-1{path}"), token: COMPANY, good, most: MIB, form: Form::Protocol(kind) });
    };
    let pids = |own: &str, theirs: &str| json!({ "providerPid": own, "consumerPid": theirs });
    protocol("/catalog/request".into(), "CatalogError", said("CatalogRequestMessage", json!({})));
    protocol("/negotiations/request".into(), "ContractNegotiationError", opens(town, COMPANY, "urn:uuid:new", "http://127.0.0.1:9/dsp"));
    protocol("/negotiations/offers".into(), "ContractNegotiationError", said("ContractOfferMessage", json!({ "providerPid": "urn:uuid:p", "offer": offer(town, COMPANY, DATASET), "callbackAddress": "http://127.0.0.1:9/dsp" })));
    for (tail, kind) in [
        ("request", "ContractRequestMessage"),
        ("offers", "ContractOfferMessage"),
        ("events", "ContractNegotiationEventMessage"),
        ("agreement", "ContractAgreementMessage"),
        ("agreement/verification", "ContractAgreementVerificationMessage"),
        ("termination", "ContractNegotiationTerminationMessage"),
    ] {
        protocol(format!("/negotiations/{negotiation}/{tail}"), "ContractNegotiationError", said(kind, pids(&negotiation, "urn:uuid:n")));
    }
    protocol("/transfers/request".into(), "TransferError", fetches("urn:uuid:new"));
    for (tail, kind) in [("start", "TransferStartMessage"), ("suspension", "TransferSuspensionMessage"), ("completion", "TransferCompletionMessage"), ("termination", "TransferTerminationMessage")] {
        protocol(format!("/transfers/{transfer}/{tail}"), "TransferError", said(kind, pids(&transfer, "urn:uuid:t")));
    }
    doors.push(Door { path: "/dsp/token".into(), token: "", good: json!({ "refreshToken": "none" }), most: 16 * 1024, form: Form::Protocol("TransferError") });

    let there = |more: Value| {
        let mut out = json!({ "counterPartyAddress": "http://127.0.0.1:9/dsp", "counterPartyId": "urn:connector:company" });
        out.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        out
    };
    let page = json!({ "limit": 10 });
    let mut managed = vec![
        ("catalog/request".to_owned(), there(json!({}))),
        ("catalog/dataset/request".into(), there(json!({ "@id": DATASET }))),
        ("contractnegotiations".into(), there(json!({ "policy": offer(town, COMPANY, DATASET) }))),
        ("transferprocesses".into(), there(json!({ "contractId": AGREEMENT, "transferType": "HttpData-PULL" }))),
        ("offers".into(), json!({ "counterPartyId": "urn:connector:company", "assetId": DATASET, "offerId": "urn:offer:none" })),
    ];
    managed.extend(["contractnegotiations/request", "contractagreements/request", "transferprocesses/request", "federatedcatalog/request"].map(|path| (path.to_owned(), page.clone())));
    managed.extend(["terminate", "accept", "agree", "verify", "finalize"].map(|act| (format!("contractnegotiations/{negotiation}/{act}"), json!({ "reason": "x" }))));
    managed.extend(["suspend", "resume", "terminate", "complete"].map(|act| (format!("transferprocesses/{transfer}/{act}"), json!({ "reason": "x" }))));
    for version in ["v3", "v4"] {
        doors.extend(managed.iter().map(|(path, good)| Door { path: format!("/management/{version}/{path}"), token: OPERATOR, good: good.clone(), most: 16 * MIB, form: Form::Management }));
    }

    let flow = json!({
        "messageId": "m", "participantId": "urn:connector:city", "counterPartyId": "did:web:company.example", "dataspaceContext": "test", "processId": "p",
        "agreementId": AGREEMENT, "datasetId": DATASET, "profile": "http-pull", "claims": {},
    });
    let later = ["started", "suspend", "resume", "terminate", "completed"].map(|name| (format!("urn:uuid:none/{name}"), json!({ "messageId": "m" })));
    for (path, good) in [("prepare".to_owned(), flow.clone()), ("start".into(), flow)].into_iter().chain(later) {
        doors.push(Door { path: format!("/dsp/dataplane/dataflows/{path}"), token: PLANE, good, most: MIB, form: Form::Plain });
    }
    doors.push(Door { path: "/dsp/dataplane/token".into(), token: PLANE, good: json!({ "grant_type": "none" }), most: MIB, form: Form::Renewal });
    doors
}

fn managed(town: &Town, what: &str) -> Value {
    let answer = town.call("POST", &format!("/management/v3/{what}/request"), OPERATOR, &[("Content-Type", JSON)], b"{}");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Every process and agreement, as the operator sees them.
fn state(town: &Town) -> [Value; 3] {
    ["contractnegotiations", "transferprocesses", "contractagreements"].map(|what| managed(town, what))
}

#[test]
fn what_is_no_good_json_is_refused_at_every_door_of_the_connector() {
    let town = connector();
    let doors = doors(&town);
    let before = state(&town);
    for door in &doors {
        let good = door.good.to_string().into_bytes();
        // Everything else about the body stays as it must be.
        let beside = |member: &[u8]| [b"{\"x\":".as_slice(), member, b",", &good[1..]].concat();
        let deep = |n: usize| beside(&[b"[".repeat(n), b"]".repeat(n)].concat());
        let bad: [(&str, Vec<u8>); 9] = [
            ("cut by its last byte", good[..good.len() - 1].to_vec()),
            ("cut in the middle", good[..good.len() / 2].to_vec()),
            ("something behind it", [good.as_slice(), b" {}"].concat()),
            ("a name twice", beside(b"{\"a\":1,\"a\":2}")),
            ("not a number", beside(b"NaN")),
            ("beyond all doubles", beside(b"1e999")),
            ("no UTF-8", beside(b"\"\xff\xfe\"")),
            ("half a surrogate pair", beside(b"\"\\ud800\"")),
            // A million levels where so many bytes are read at all.
            ("very deep", deep((door.most / 2 - good.len()).min(1_000_000))),
        ];
        for (what, body) in bad {
            door.refused(&door.send(&town, &body), what);
        }
    }
    assert_eq!(state(&town), before, "nothing is half done");
    // What only had nothing done to it is taken.
    for path in ["/dsp/2025-1/catalog/request", "/dsp/2025-1/negotiations/request", "/dsp/2025-1/negotiations/offers", "/dsp/2025-1/transfers/request", "/management/v4/contractnegotiations/request"] {
        let door = doors.iter().find(|d| d.path == path).expect("a door");
        let answer = door.send(&town, door.good.to_string().as_bytes());
        assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
}

fn too_large(town: &Town, door: &Door) {
    let head = town.head("POST", &door.path, door.token, &[("Content-Type", JSON)]);
    // Only the head: if the hub waited for the body, no answer would come.
    let answer = town.raw(format!("{head}Content-Length: {}\r\n\r\n", 100 * MIB).as_bytes());
    assert_eq!(answer.status, 413, "{}: {}", door.path, answer.text());
    door.refused(&answer, "a hundred megabytes");
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", door.most + 1).into_bytes();
    chunked.resize(chunked.len() + door.most + 1, b' ');
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let answer = town.raw(&chunked);
    assert!(matches!(answer.status, 411 | 413), "{}: {} {}", door.path, answer.status, answer.text());
    door.refused(&answer, "one byte more than is taken, without a length");
    // Who hangs up before the end has said nothing.
    let body = door.good.to_string();
    let mut stream = std::net::TcpStream::connect(town.addr).expect("connected");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{}", body.len(), &body[..body.len() - 1]).as_bytes()).expect("sent");
    stream.shutdown(std::net::Shutdown::Both).expect("hung up");
}

#[test]
fn a_body_of_a_hundred_megabytes_is_refused_at_every_door_of_the_connector_before_it_is_sent() {
    let town = connector();
    let doors = doors(&town);
    let before = state(&town);
    // A connection that was refused lingers for two seconds, so several are asked at a time.
    for some in doors.chunks(12) {
        std::thread::scope(|scope| some.iter().for_each(|door| drop(scope.spawn(|| too_large(&town, door)))));
    }
    assert_eq!(state(&town), before, "nothing is half done");
}

/// The negotiation `pid` as the operator sees it, once it is in `state`.
fn until(town: &Town, pid: &str, state: &str) -> Value {
    let began = Instant::now();
    loop {
        let about = town.get(&format!("/management/v3/contractnegotiations/{pid}"), OPERATOR).json();
        if about["state"] == state {
            return about;
        }
        assert!(began.elapsed() < HANGS, "still not {state}: {about}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_callback_address_that_leads_inside_is_not_called_and_ends_the_negotiation() {
    let town = connector();
    // What is not among the addresses that this hub may call: its operator permitted 127.0.0.0/8 only.
    let inside = TcpListener::bind("[::1]:0").ok();
    let own = inside.as_ref().map(|l| format!("http://{}/dsp", l.local_addr().expect("its address")));
    let all = own.into_iter().chain(["http://10.0.0.1/dsp", "http://169.254.169.254/latest", "http://[fd00::1]:8080", "http://192.168.1.1"].map(str::to_owned));
    for (n, address) in all.enumerate() {
        // Of a stranger's connector no address is known, so that any can be given.
        let pid = begun(&town, "/negotiations/request", STRANGER, &opens(&town, STRANGER, &format!("urn:uuid:{n}"), &address));
        let acted = town.call("POST", &format!("/management/v3/contractnegotiations/{pid}/agree"), OPERATOR, &[], b"");
        assert_eq!(acted.status, 200, "{}", acted.text());
        until(&town, &pid, "TERMINATED");
    }
    if let Some(inside) = inside {
        inside.set_nonblocking(true).expect("set");
        assert!(inside.accept().is_err(), "nobody called");
    }
    assert_eq!(managed(&town, "contractagreements").as_array().map(Vec::len), Some(1), "nothing is agreed but what was before");
}

#[test]
fn a_callback_address_that_hangs_holds_up_nobody_and_one_that_changes_is_not_followed() {
    let town = connector();
    let (hung, elsewhere) = (TcpListener::bind("127.0.0.1:0").expect("a port"), free());
    let at = format!("http://{}/dsp", hung.local_addr().expect("its address"));
    let hangs = begun(&town, "/negotiations/request", STRANGER, &opens(&town, STRANGER, "urn:uuid:hangs", &at));
    assert_eq!(town.call("POST", &format!("/management/v3/contractnegotiations/{hangs}/agree"), OPERATOR, &[], b"").status, 200);
    let (mut taken, _) = hung.accept().expect("it is called, and does not answer");
    taken.set_read_timeout(Some(HANGS)).expect("set");
    let mut first = [0; 64];
    let read = taken.read(&mut first).expect("read");
    assert!(first[..read].starts_with(b"POST /dsp/negotiations/urn:uuid:hangs/agreement"), "{}", String::from_utf8_lossy(&first[..read]));
    assert!(!String::from_utf8_lossy(&first[..read]).contains(COMPANY), "no token of anybody");

    // Meanwhile the company's own goes on: begun again under another address it is refused, and so is a counter-offer with one.
    let mut body = opens(&town, COMPANY, "urn:uuid:changes", "http://127.0.0.1:9/dsp");
    body["offer"] = offer(&town, COMPANY, HAGGLED);
    let changes = begun(&town, "/negotiations/request", COMPANY, &body);
    let address = json!("http://127.0.0.1:9/dsp");
    let door = Door { path: "/dsp/2025-1/negotiations/request".into(), token: COMPANY, good: Value::Null, most: MIB, form: Form::Protocol("ContractNegotiationError") };
    for other in [format!("http://{elsewhere}/dsp"), "http://127.0.0.1:9/other".to_owned()] {
        let mut again = body.clone();
        again["callbackAddress"] = other.into();
        door.refused(&door.send(&town, again.to_string().as_bytes()), "begun again under another address");
        again["providerPid"] = changes.as_str().into();
        let counter = |body: &Value| town.call("POST", &format!("/dsp/2025-1/negotiations/{changes}/request"), COMPANY, &[("Content-Type", JSON)], body.to_string().as_bytes());
        door.refused(&counter(&again), "a counter-offer with an address");
        assert_eq!(until(&town, &changes, "REQUESTED")["counterPartyAddress"], address, "it does not move");
        again.as_object_mut().expect("an object").remove("callbackAddress");
        let taken = counter(&again);
        assert_eq!(taken.status, 200, "a counter-offer without one is taken: {}", taken.text());
        assert_eq!(until(&town, &changes, "REQUESTED")["counterPartyAddress"], address, "it does not move");
    }
    assert_eq!(until(&town, &hangs, "REQUESTED")["counterPartyAddress"], json!(at), "who hangs is still waited for");
}
