//! Messages in other forms of JSON-LD: each is read as the same message in the short form is, nothing in one is lost, and a hostile @context is
//! refused.

use super::stand::{Other, Stand, catalog, crawled};
use crate::deals::{SET, agreement, agreements, message};
use crate::messages_of_all_kinds as fixtures;
use crate::support::{Double, Setup, eventually, free, token};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waybill_context::{Contexts, Kind};
use waybill_dsp::{CONTEXT, Fault, Strategy as Lead, known_contexts, read_any_message, read_message};
use waybill_http::{Method, Response};
use waybill_model::{Clock, DateTime};

const DSPACE: &str = "https://w3id.org/dspace/2025/1/";
const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
const PREFIXES: [(&str, &str); 6] =
    [("dcat:", "http://www.w3.org/ns/dcat#"), ("odrl:", ODRL), ("dspace:", DSPACE), ("dct:", "http://purl.org/dc/terms/"), ("xsd:", "http://www.w3.org/2001/XMLSchema#"), ("ex:", "https://example.org/ns#")];
/// Names of ODRL that stand in messages.
const OF_ODRL: [&str; 20] = [
    "Offer", "Agreement", "permission", "prohibition", "obligation", "duty", "action", "constraint", "target", "assigner", "assignee", "profile", "leftOperand", "operator",
    "rightOperand", "and", "or", "xone", "andSequence", "hasPolicy",
];
/// Names whose values are references, not texts.
const REFERENCES: [&str; 9] = ["action", "operator", "leftOperand", "eventType", "target", "profile", "format", "endpointType", "agreementId"];

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn contexts() -> Contexts {
    known_contexts(Clock::fixed(DateTime::from_seconds(0)))
}

fn read(message: &Value, kind: &str) -> Result<Value, Fault> {
    run(read_any_message(&contexts(), message.to_string().as_bytes(), kind)).map(|m| m.value())
}

fn prefixed(name: &str) -> String {
    match name {
        _ if name.starts_with('@') || name.contains(':') => name.to_owned(),
        "format" => "dct:format".into(),
        "Catalog" | "Dataset" | "Distribution" | "dataset" | "distribution" | "accessService" => format!("dcat:{name}"),
        "lang" | "text" => format!("ex:{name}"),
        _ if OF_ODRL.contains(&name) => format!("odrl:{name}"),
        _ => format!("dspace:{name}"),
    }
}

fn whole(name: &str) -> String {
    PREFIXES.iter().find_map(|(prefix, iri)| name.strip_prefix(prefix).map(|rest| format!("{iri}{rest}"))).unwrap_or_else(|| name.to_owned())
}

/// A word of ODRL or of the protocol with its prefix; anything else as it is.
fn word(name: &str, text: &str) -> String {
    match name {
        "operator" | "action" if !text.contains(':') => format!("odrl:{text}"),
        "eventType" => format!("dspace:{text}"),
        _ => text.to_owned(),
    }
}

/// The same in prefixed names: lists of one as their item, references as references.
fn with_prefixes(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("@value") => value.clone(),
        Value::Object(map) => map.iter().map(|(name, value)| (prefixed(name), if name == "@type" { json!(prefixed(value.as_str().expect("a type"))) } else { with_prefixes(name, value) })).collect::<Map<_, _>>().into(),
        Value::Array(list) if list.len() == 1 => with_prefixes(name, &list[0]),
        Value::Array(list) => list.iter().map(|one| with_prefixes(name, one)).collect(),
        Value::String(text) if REFERENCES.contains(&name) => json!({"@id": word(name, text)}),
        other => other.clone(),
    }
}

/// The same expanded.
fn expanded(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("@value") => json!({"@value": map["@value"], "@type": whole(map["@type"].as_str().expect("typed"))}),
        Value::Object(map) => {
            let one = |(name, value): (&String, &Value)| match name.as_str() {
                "@id" => ("@id".to_owned(), value.clone()),
                "@type" => ("@type".to_owned(), json!([whole(&prefixed(value.as_str().expect("a type")))])),
                name => {
                    let list: Vec<Value> = value.as_array().map_or_else(|| vec![value.clone()], Clone::clone);
                    (whole(&prefixed(name)), list.iter().map(|one| expanded(name, one)).collect())
                }
            };
            map.iter().map(one).collect::<Map<_, _>>().into()
        }
        Value::String(text) if REFERENCES.contains(&name) || name.ends_with("Pid") => json!({"@id": whole(&word(name, text))}),
        Value::String(text) if name == "timestamp" => json!({"@value": text, "@type": whole("xsd:dateTime")}),
        other => json!({"@value": other}),
    }
}

fn renamed(value: &Value, names: &[(&str, &str)]) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, value)| (names.iter().find(|(from, _)| from == name).map_or(name.as_str(), |(_, to)| to).to_owned(), renamed(value, names))).collect::<Map<_, _>>().into(),
        Value::Array(list) => list.iter().map(|one| renamed(one, names)).collect(),
        other => other.clone(),
    }
}

/// A message in all forms, with what each is.
fn forms(message: &Value) -> Vec<(&'static str, Value)> {
    let with = |context: Value, value: &Value| {
        let mut out = value.clone();
        out["@context"] = context;
        out
    };
    let mut bare = message.clone();
    bare.as_object_mut().expect("an object").remove("@context");
    let prefixes: Map<String, Value> = PREFIXES.iter().map(|(prefix, iri)| (prefix.trim_end_matches(':').to_owned(), (*iri).into())).collect();
    let long = with_prefixes("", &bare);
    let mut aliases = prefixes.clone();
    aliases.extend([("kind".to_owned(), json!("@type")), ("ident".to_owned(), json!("@id")), ("val".to_owned(), json!("@value"))]);
    vec![
        ("one named context", with(json!(CONTEXT), message)),
        ("a further context inline", with(json!([CONTEXT, {"ex": "https://example.org/ns#", "lang": "ex:lang", "text": "ex:text"}]), message)),
        ("the Eclipse EDC's", with(json!([CONTEXT, "https://w3id.org/edc/dspace/v0.0.1"]), message)),
        ("prefixes", with(prefixes.clone().into(), &long)),
        ("the protocol's own prefixes", with(json!([CONTEXT, {"ex": "https://example.org/ns#"}]), &long)),
        ("aliases", with(aliases.into(), &renamed(&long, &[("@type", "kind"), ("@id", "ident"), ("@value", "val")]))),
        ("expanded", json!([expanded("", &bare)])),
        ("expanded, one node", expanded("", &bare)),
    ]
}

/// What a message says, whatever of the equal forms of the short form it has.
fn meant(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let one = |(name, value): (&String, &Value)| {
                let value = match (name.as_str(), value) {
                    // Reasons are for people; one that is no text is as it may be.
                    ("reason", Value::Array(list)) => list.iter().filter(|r| r.is_string()).cloned().collect(),
                    ("profile" | "rightOperand", Value::Array(list)) if list.len() == 1 => list[0].clone(),
                    _ => value.clone(),
                };
                (name.clone(), meant(&value))
            };
            map.iter().filter(|(name, _)| *name != "@context").map(one).collect::<Map<_, _>>().into()
        }
        Value::Array(list) => list.iter().map(meant).collect(),
        Value::String(text) => whole(text).into(),
        other => other.clone(),
    }
}

fn check(name: &str, message: &Value) {
    let kind = message["@type"].as_str().expect("a type");
    let short = read_message(message.to_string().as_bytes(), kind).unwrap_or_else(|e| panic!("{name}: {e}")).value();
    for (form, other) in forms(message) {
        let read = read(&other, kind).unwrap_or_else(|e| panic!("{name}, {form}: {e}: {other}"));
        assert_eq!(meant(&read), meant(&short), "{name}, {form}: {other}");
    }
}

#[test]
fn every_message_is_read_the_same_in_every_form() {
    let all = fixtures();
    assert!(all.len() > 15, "the fixtures are there");
    for (name, message) in all {
        check(&name, &message);
    }
}

fn right() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-z]{1,8}".prop_map(Value::from),
        "[a-z]{1,8}".prop_map(|t| json!(format!("https://example.org/{t}"))),
        proptest::collection::vec("[a-z]{1,6}", 2..4).prop_map(|l| json!(l)),
        (0i32..100).prop_map(|n| json!({"@value": n.to_string(), "@type": "xsd:integer"})),
        "[a-z]{1,8}".prop_map(|t| json!({"@id": format!("https://example.org/{t}")})),
    ]
}

fn constraint() -> impl Strategy<Value = Value> {
    let left = prop_oneof![Just("odrl:purpose".to_owned()), Just(format!("{ODRL}dateTime")), "[a-z]{1,8}".prop_map(|t| format!("https://example.org/left/{t}"))];
    let operator = prop_oneof![Just("eq"), Just("neq"), Just("lteq"), Just("isA"), Just("isAnyOf"), Just("isNoneOf")];
    let one = (left, operator, right()).prop_map(|(l, o, r)| json!({"leftOperand": l, "operator": o, "rightOperand": r}));
    one.prop_recursive(3, 12, 3, |inner| (prop_oneof![Just("and"), Just("or"), Just("xone")], proptest::collection::vec(inner, 1..4)).prop_map(|(name, list)| json!({name: list})))
}

fn rule() -> impl Strategy<Value = Value> {
    let action = prop_oneof![Just("use".to_owned()), Just("odrl:distribute".to_owned()), Just("https://example.org/act".to_owned())];
    (action, proptest::collection::vec(constraint(), 0..4)).prop_map(|(action, list)| if list.is_empty() { json!({"action": action}) } else { json!({"action": action, "constraint": list}) })
}

fn request() -> impl Strategy<Value = Value> {
    let rules = || proptest::collection::vec(rule(), 1..3);
    (rules(), proptest::option::of(rules()), proptest::option::of(rules()), any::<bool>()).prop_map(|(permission, prohibition, obligation, first)| {
        let mut offer = json!({"@id": "urn:offer:1", "@type": "Offer", "target": "urn:dataset:1", "permission": permission});
        for (name, rules) in [("prohibition", prohibition), ("obligation", obligation)] {
            if let Some(rules) = rules {
                offer[name] = rules.into();
            }
        }
        let mut out = json!({"@context": [CONTEXT], "@type": "ContractRequestMessage", "consumerPid": "urn:c:1", "offer": offer});
        let (name, value) = if first { ("callbackAddress", "https://c.example/dsp") } else { ("providerPid", "urn:p:1") };
        out[name] = value.into();
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_agree_on_any_message(message in request()) {
        check("generated", &message);
    }

    #[test]
    fn any_context_is_answered(context in any_json(), named in any::<bool>()) {
        let context = if named { json!([CONTEXT, context]) } else { context };
        let message = json!({"@context": context, "@type": "ContractRequestMessage", "consumerPid": "urn:c:1", "offer": {"permission": [{"constraint": context}]}});
        // Whatever it is, it is an answer.
        let _ = read(&message, "ContractRequestMessage");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i32>().prop_map(Value::from), Just(json!(CONTEXT)), "[a-z@:/]{0,12}".prop_map(Value::from), Just(json!("@type")), Just(json!("@id"))];
    let key = prop_oneof![
        "[a-z@:]{0,6}".prop_map(|k| k),
        proptest::sample::select(vec!["@vocab", "@base", "@import", "@propagate", "@protected", "@version", "@type", "@id", "@context", "@container", "@nest", "@reverse", "constraint", "offer", "odrl", "ContractRequestMessage"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from), proptest::collection::btree_map(key.clone(), inner, 0..4).prop_map(|m| m.into_iter().collect::<Map<_, _>>().into())])
}

/// A request with prefixes, and what is changed in its permission.
fn with_permission(context: &Value, permission: &Value) -> Value {
    json!({
        "@context": context, "@type": "dspace:ContractRequestMessage", "dspace:consumerPid": "urn:c:1", "dspace:callbackAddress": "https://c.example/dsp",
        "dspace:offer": {"@id": "urn:offer:1", "@type": "odrl:Offer", "odrl:permission": permission},
    })
}

fn prefixes() -> Value {
    json!({"dspace": DSPACE, "odrl": ODRL})
}

#[test]
fn nothing_in_a_policy_is_lost() {
    let right = json!({"odrl:action": "use", "odrl:constraint": {"odrl:leftOperand": "odrl:purpose", "odrl:operator": "odrl:eq", "odrl:rightOperand": "x"}});
    let read_right = read(&with_permission(&prefixes(), &right), "ContractRequestMessage").expect("read");
    assert_eq!(read_right["offer"]["permission"][0]["constraint"][0]["operator"], "eq");
    let with = |name: &str, value: Value| {
        let mut out = right.clone();
        out[name] = value;
        out
    };
    let cut = json!([prefixes(), {"limit": null}]);
    let cases = [
        ("a member without a meaning", prefixes(), with("limit", json!(5)), "`limit`"),
        ("one in a constraint", prefixes(), json!({"odrl:action": "use", "odrl:constraint": {"leftOperand": "odrl:purpose"}}), "`leftOperand`"),
        ("one that the context cuts off", cut, with("limit", json!(5)), "`limit`"),
        ("one that a context within cuts off", prefixes(), json!({"@context": {"odrl:constraint": null}, "odrl:action": "use", "odrl:constraint": {}}), "`odrl:constraint`"),
        ("one under a context that forgets all", prefixes(), json!({"@context": null, "action": "use", "constraint": []}), "`action`"),
        ("null", prefixes(), with("odrl:duty", Value::Null), "null"),
        ("a keyword that is none", prefixes(), with("@limit", json!(5)), "`@limit`"),
        ("a context within that is not at hand", prefixes(), with("@context", json!("https://x.example/c")), "https://x.example/c"),
        ("a context that a term of its own would load", json!([prefixes(), {"limit": {"@id": "odrl:limit", "@context": "https://x.example/d"}}]), with("limit", json!({})), "https://x.example/d"),
    ];
    for (what, context, permission, named) in cases {
        let fault = read(&with_permission(&context, &permission), "ContractRequestMessage").expect_err(what);
        assert_eq!(fault.code, "jsonld-refused", "{what}: {fault}");
        assert!(fault.detail.contains(named), "{what}: {fault}");
    }
    // What the sender named otherwise stays there under its whole name, for the comparison of offers to refuse.
    let renamed = json!([prefixes(), {"constraint": "https://example.org/ns#note"}]);
    let kept = read(&with_permission(&renamed, &json!({"odrl:action": "use", "constraint": "x"})), "ContractRequestMessage").expect("read");
    assert_eq!(kept["offer"]["permission"][0]["https://example.org/ns#note"], "x");
    // What only closes is read all the same.
    let end = json!({"@context": prefixes(), "@type": "dspace:TransferTerminationMessage", "dspace:providerPid": "urn:p", "dspace:consumerPid": "urn:c", "mood": "bad"});
    assert_eq!(read(&end, "TransferTerminationMessage").expect("read")["providerPid"], "urn:p");
}

#[test]
fn a_hostile_context_is_refused() {
    let request = |context: Value| with_permission(&context, &json!({"odrl:action": "use"}));
    let many: Map<String, Value> = (0..5000).map(|n| (format!("t{n}"), json!(format!("https://x.example/{n}")))).collect();
    let chain: Map<String, Value> = (0..200).map(|n| (format!("t{n}"), json!(format!("t{}:x", n + 1)))).collect();
    let cases = [
        ("unknown", json!([CONTEXT, "https://x.example/c"]), "context-unknown", "https://x.example/c"),
        ("unknown, alone", json!("https://x.example/c"), "context-unknown", "preload"),
        ("another scheme", json!("file:///etc/passwd"), "context-unknown", "file:///etc/passwd"),
        ("imported", json!({"@import": "https://x.example/c"}), "context-unknown", "https://x.example/c"),
        ("cyclic", json!({"a": "b:x", "b": "a:x"}), "context-refused", "a"),
        ("one through the other", chain.into(), "context-refused", ""),
        ("many terms", many.into(), "context-refused", "too many"),
        ("lists in lists", json!([[CONTEXT]]), "context-refused", ""),
        ("a protected term", json!([CONTEXT, {"dspace": "https://evil.example/"}]), "context-refused", "dspace"),
        ("a protected term with its scope", json!([CONTEXT, {"ContractRequestMessage": {"@id": "https://evil.example/"}}]), "context-refused", "ContractRequestMessage"),
        ("all protected terms", json!([CONTEXT, null, prefixes()]), "context-refused", "protected"),
        ("a keyword", json!({"@type": "https://evil.example/type"}), "context-refused", "@type"),
        ("a keyword as another", json!({"@id": {"@id": "@type"}}), "context-refused", "@id"),
        ("a version", json!({"@version": 1.0}), "context-refused", "@version"),
    ];
    for (what, context, code, named) in cases {
        let fault = read(&request(context), "ContractRequestMessage").expect_err(what);
        assert_eq!((fault.code.as_str(), fault.status), (code, 400), "{what}: {fault}");
        assert!(fault.detail.contains(named), "{what}: {fault}");
    }
    // Too deep, too large, too much work.
    let deep = format!("{{\"@context\": {}{}, \"@type\": \"x\"}}", "{\"a\":".repeat(100_000), "1".to_owned() + &"}".repeat(100_000));
    let fault = run(read_any_message(&contexts(), deep.as_bytes(), "X")).expect_err("deep");
    assert_eq!(fault.code, "not-json", "{fault}");
    let nested = (0..60).fold(json!({"odrl:leftOperand": "a"}), |inner, _| json!({"odrl:and": inner}));
    let fault = read(&with_permission(&prefixes(), &json!({"odrl:action": "use", "odrl:constraint": nested})), "ContractRequestMessage").expect_err("nested");
    assert_eq!(fault.code, "jsonld-refused", "{fault}");
    for (what, permission) in [("large", json!({"odrl:action": "x".repeat(1 << 20)})), ("many nodes", json!(vec![json!({"odrl:action": "use"}); 30_000]))] {
        let fault = read(&with_permission(&prefixes(), &permission), "ContractRequestMessage").expect_err(what);
        assert_eq!(fault.code, "jsonld-refused", "{what}: {fault}");
    }
    for (what, message) in [("two messages", json!([{"@type": [format!("{DSPACE}TransferStartMessage")]}, {"@type": [format!("{DSPACE}TransferError")]}])), ("no node", json!({"@context": prefixes(), "@id": "urn:x"}))] {
        assert_eq!(read(&message, "ContractRequestMessage").expect_err(what).code, "jsonld-refused", "{what}");
    }
    let twice = br#"{"@context": "https://w3id.org/dspace/2025/1/context.jsonld", "@type": "X", "@type": "Y"}"#;
    assert_eq!(run(read_any_message(&contexts(), twice, "X")).expect_err("twice").code, "member-twice");
}

#[test]
fn a_preloaded_context_is_used_and_one_in_a_circle_is_refused() {
    let contexts = contexts();
    let put = |url: &str, context: Value| contexts.put(url, json!({ "@context": context }), Kind::Hosted).expect("put");
    put("https://city.example/names", json!({"dspace": DSPACE, "odrl": ODRL, "wer": "dspace:consumerPid", "was": {"@id": "dspace:offer", "@type": "@id"}}));
    put("https://city.example/a", json!("https://city.example/b"));
    put("https://city.example/b", json!("https://city.example/a"));
    let message = |url: &str| json!({"@context": url, "@type": "dspace:ContractRequestMessage", "wer": "urn:c:1", "dspace:callbackAddress": "https://c.example", "was": {"@type": "odrl:Offer", "@id": "urn:o"}});
    let read = |url: &str| run(read_any_message(&contexts, message(url).to_string().as_bytes(), "ContractRequestMessage"));
    let known = read("https://city.example/names").expect("read").value();
    assert_eq!((&known["consumerPid"], &known["offer"]["@type"]), (&json!("urn:c:1"), &json!("Offer")));
    let fault = read("https://city.example/a").expect_err("a circle");
    assert_eq!(fault.code, "context-refused", "{fault}");
}

/// What `forms` calls it.
fn form(message: &Value, name: &str) -> Value {
    forms(message).into_iter().find(|(form, _)| *form == name).expect("a form").1
}

#[tokio::test]
async fn a_provider_of_another_make_is_dealt_with() {
    let at = free();
    let double = Double::start(at, |_, body| async move {
        let first = body["@type"] == "ContractRequestMessage";
        let ack = json!({"@context": [CONTEXT], "@type": "ContractNegotiation", "providerPid": "urn:uuid:their-1", "consumerPid": body["consumerPid"], "state": "REQUESTED"});
        if first { Response::json(201, &form(&ack, "expanded")) } else { Response::json(200, &json!({})) }
    })
    .await;
    let c = Setup::new("c", free(), &Clock::system()).knows("p", Some(double.base.clone())).run().await;
    let offer = json!({"@id": "urn:offer:1", "@type": "Offer", "target": SET, "permission": [{"action": "use"}]});
    let id = c.connector.negotiate(&c.participant("p"), &double.base, offer.clone(), Lead::Automatic).await.expect("begun");
    let known = async || c.connector.negotiation(&id).await.expect("read").and_then(|n| n.talk.peer_pid);
    assert!(eventually(async || known().await.as_deref() == Some("urn:uuid:their-1")).await, "the answer is read");
    let wire = c.seen_by(&token("p", "c"));
    let mut said = message("ContractAgreementMessage", "urn:uuid:their-1", &id);
    said["agreement"] = agreement("urn:agreement:1", &offer);
    let with_limit = {
        let mut out = form(&said, "prefixes");
        out["dspace:agreement"]["odrl:permission"]["limit"] = json!(5);
        out
    };
    let (status, error) = wire.post(&format!("/negotiations/{id}/agreement"), &with_limit).await;
    assert_eq!((status, &error["code"]), (400, &json!("jsonld-refused")), "{error}");
    assert!(error["reason"][0].as_str().is_some_and(|r| r.contains("`limit`")), "{error}");
    wire.until(&format!("/negotiations/{id}"), "REQUESTED").await;
    let (status, answer) = wire.post(&format!("/negotiations/{id}/agreement"), &form(&said, "prefixes")).await;
    assert_eq!(status, 200, "{answer}");
    wire.until(&format!("/negotiations/{id}"), "VERIFIED").await;
    let mut event = message("ContractNegotiationEventMessage", "urn:uuid:their-1", &id);
    event["eventType"] = "FINALIZED".into();
    assert_eq!(wire.post(&format!("/negotiations/{id}/events"), &form(&event, "aliases")).await.0, 200);
    wire.until(&format!("/negotiations/{id}"), "FINALIZED").await;
    assert_eq!(agreements(&c).await, ["urn:agreement:1"]);
}

#[tokio::test]
async fn a_catalogue_of_another_make_is_taken_whole_or_not() {
    let plain = catalog("other", &["urn:dataset:ships"]);
    let good = form(&plain, "prefixes");
    let other = Other::new(move |_| Response::json(200, &good)).await;
    let us = Stand::new("us", vec![crawled("other", &other.url)], Vec::new()).await;
    let row = us.row("other", |r| r.tried_at.is_some()).await;
    assert_eq!((row.datasets, row.fault), (1, None));
    let answer = us.operator(Method::POST, "/management/v3/federatedcatalog/request", &json!({})).await;
    let found: Value = answer.json().expect("a list");
    assert!(found.to_string().contains("urn:dataset:ships-offer"), "{found}");
    let mut lossy = form(&plain, "prefixes");
    lossy["dcat:dataset"]["odrl:hasPolicy"]["odrl:permission"]["limit"] = json!(5);
    assert!(lossy.to_string().contains("limit"));
    other.now_says(move |_| Response::json(200, &lossy));
    us.advance(crate::it::stand::PERIOD);
    let row = us.row("other", |r| r.fault.is_some()).await;
    let fault = row.fault.expect("a fault");
    assert_eq!((fault.code.as_str(), fault.reason.contains("`limit`"), row.datasets), ("catalog-refused", true, 1), "{fault:?}");
}
