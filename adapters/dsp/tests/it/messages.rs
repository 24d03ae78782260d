//! Reading messages: what is accepted is what the protocol's own schemas accept, and nothing that anybody sends makes the reader fail otherwise
//! than by a refusal with a place.

use crate::schemas::{examples, schemas};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waybill_dsp::{Fault, check_policy, read_message};

/// The types of messages that a connector is sent.
const KINDS: [&str; 12] = [
    "CatalogRequestMessage",
    "ContractRequestMessage",
    "ContractOfferMessage",
    "ContractAgreementMessage",
    "ContractAgreementVerificationMessage",
    "ContractNegotiationEventMessage",
    "ContractNegotiationTerminationMessage",
    "TransferRequestMessage",
    "TransferStartMessage",
    "TransferSuspensionMessage",
    "TransferCompletionMessage",
    "TransferTerminationMessage",
];

/// Where the reader refuses what the schemas let pass, by what it says, and why it does.
const STRICTER: [(&str, &str); 8] = [
    ("it is empty", "an identifier or address without a letter names nothing"),
    ("it is longer than", "identifiers are kept, so they are bounded"),
    ("/@id`: it must be there, and a text", "the same, of an offer's identifier"),
    ("it must be a text", "the same, of a data address: longer than is kept"),
    ("filter-not-supported", "a filter that is not understood must not be ignored"),
    ("constraints nest more than", "the comparison of offers is bounded"),
    ("it must be either one comparison or one of", "the schema lets a comparison carry parts of a logical one, which then mean nothing"),
    ("it must be a date with a time", "the schema's pattern is found anywhere in a text; here it has to be all of it"),
];

/// Our own messages, one of each kind at least.
pub fn fixtures() -> Vec<(String, Value)> {
    let list: Vec<Value> = serde_json::from_str(include_str!("../../fixtures/messages.json")).expect("the fixture");
    list.into_iter().map(|f| (f["name"].as_str().expect("a name").to_owned(), f["message"].clone())).collect()
}

/// All members that a message of this kind has, read as the connector reads them.
fn read(kind: &str, body: &[u8]) -> Result<(), Fault> {
    let message = read_message(body, kind)?;
    match kind {
        "CatalogRequestMessage" => message.filter().map(drop),
        "ContractRequestMessage" => {
            message.text("consumerPid")?;
            message.one_of("callbackAddress", "providerPid")?;
            message.offer(false).map(drop)
        }
        "ContractOfferMessage" => {
            message.text("providerPid")?;
            message.one_of("callbackAddress", "consumerPid")?;
            message.offer(true).map(drop)
        }
        "TransferRequestMessage" => {
            for name in ["consumerPid", "callbackAddress", "agreementId", "format"] {
                message.text(name)?;
            }
            message.data_address().map(drop)
        }
        _ => {
            message.pids(None, None)?;
            match kind {
                "ContractAgreementMessage" => message.agreement().map(drop),
                "ContractNegotiationEventMessage" => match message.text("eventType")?.as_str() {
                    "ACCEPTED" | "FINALIZED" => Ok(()),
                    other => Err(Fault::bad("/eventType", other)),
                },
                "TransferStartMessage" => message.data_address().map(drop),
                "ContractNegotiationTerminationMessage" | "TransferSuspensionMessage" | "TransferTerminationMessage" => message.why().map(drop),
                _ => Ok(()),
            }
        }
    }
}

fn kind_of(message: &Value) -> String {
    message["@type"].as_str().unwrap_or_default().to_owned()
}

/// All messages there are to begin with: our own, and the protocol's where they are.
fn messages() -> Vec<(String, Value)> {
    let theirs = examples().into_iter().filter(|(_, m)| KINDS.contains(&kind_of(m).as_str()));
    fixtures().into_iter().chain(theirs).collect()
}

#[test]
fn every_message_is_read_and_every_kind_is_there() {
    let all = messages();
    for (name, message) in &all {
        read(&kind_of(message), message.to_string().as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
        if let Some(schemas) = schemas() {
            schemas.check(message).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
    for kind in KINDS {
        assert!(fixtures().iter().any(|(_, m)| m["@type"] == kind), "no message of ours is a {kind}");
    }
}

/// Every place in a value, as pointers.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(name, inner)| {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            out.push(at.clone());
            places(inner, &at, out);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, inner)| {
            let at = format!("{at}/{i}");
            out.push(at.clone());
            places(inner, &at, out);
        }),
        _ => {}
    }
}

/// What is put where something was. The first takes it away.
fn replacements() -> Vec<Option<Value>> {
    let long = "x".repeat(2049);
    let right = json!({"leftOperand": "a", "operator": "eq", "rightOperand": "b"});
    [json!(null), json!(true), json!(7), json!(1.5), json!(""), json!("x"), json!(long), json!([]), json!({}), json!(["x"]), json!([7]), json!([{}]), json!({"@id": "x"}), json!([right]), right]
        .into_iter()
        .map(Some)
        .chain([None])
        .collect()
}

fn changed(message: &Value, place: &str, new: Option<&Value>) -> Value {
    let mut out = message.clone();
    let (parent, last) = place.rsplit_once('/').expect("a place");
    match (out.pointer_mut(parent), new) {
        (Some(Value::Object(map)), None) => drop(map.remove(&last.replace("~1", "/").replace("~0", "~"))),
        (Some(Value::Array(list)), None) => {
            let at: usize = last.parse().expect("a number");
            if at < list.len() {
                list.remove(at);
            }
        }
        (_, Some(new)) => {
            if let Some(there) = out.pointer_mut(place) {
                *there = new.clone();
            }
        }
        (_, None) => {}
    }
    out
}

/// Both judgements of one message of the type `kind`.
fn agree(kind: &str, message: &Value) -> Result<(), String> {
    let Some(schemas) = schemas() else { return Ok(()) };
    let ours = read(kind, message.to_string().as_bytes());
    let theirs = schemas.judge(kind, message);
    match (&ours, &theirs) {
        (Ok(()), Err(why)) => Err(format!("taken, and not valid: {why}: {message}")),
        (Err(fault), Ok(())) if !STRICTER.iter().any(|(says, _)| fault.to_string().contains(says)) => Err(format!("valid, and refused: {fault}: {message}")),
        _ => Ok(()),
    }
}

#[test]
fn every_single_change_of_every_message_is_judged_as_by_the_schemas() {
    let mut judged = 0;
    for (name, message) in messages() {
        let mut all = Vec::new();
        places(&message, "", &mut all);
        for place in &all {
            for new in replacements() {
                agree(&kind_of(&message), &changed(&message, place, new.as_ref())).unwrap_or_else(|e| panic!("{name} at {place}: {e}"));
                judged += 1;
            }
        }
    }
    assert!(judged > 5000, "{judged} changes are too few to say much");
}

#[test]
fn what_members_may_hold_is_judged_as_by_the_schemas() {
    let at = |place: &str, wanted: &str| fixtures().into_iter().find(|(_, m)| m["@type"] == wanted && m.pointer(place).is_some()).expect("a message").1;
    // Places with texts of a certain form, and texts of nearly that form.
    let dates = [
        "2026-11-24T10:00:00Z", "2026-11-24T10:00:00", "2026-11-24T10:00:00.123456789Z", "2026-11-24T10:00:00-14:00", "2026-11-24T10:00:00+14:30", "2026-11-24T24:00:00Z",
        "2026-11-24T24:00:01Z", "2026-11-24T24:30:00Z", "2026-11-24T24:00:00.0Z", "2026-11-24T24:00:00.1Z", "2026-13-24T10:00:00Z", "2026-00-24T10:00:00Z", "2026-11-32T10:00:00Z", "2026-11-00T10:00:00Z",
        "-2026-11-24T10:00:00Z", "12026-11-24T10:00:00Z", "0026-11-24T10:00:00Z", "026-11-24T10:00:00Z", "2026-11-24 10:00:00Z", "2026-11-24T10:00Z", "2026-11-24T10:60:00Z", "2026-11-24T10:00:60Z",
        "2026-11-24T10:00:00.Z", "2026-11-24T10:00:00+1:00", "2026-11-24T10:00:00+0100", "2026-11-24", "", "T", "\u{1F600}2026-11-24T10:00:00Z", "2026-11-24T\u{1F600}:00", "02026-11-24T10:00:00Z", "2026-11-24T10:00:00z",
    ];
    for text in dates {
        let message = changed(&at("/agreement/timestamp", "ContractAgreementMessage"), "/agreement/timestamp", Some(&text.into()));
        agree("ContractAgreementMessage", &message).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
    for operator in ["eq", "neq", "lt", "lteq", "gt", "gteq", "term-lteq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf", "EQ", "odrl:eq", "ne", "in", ""] {
        let message = changed(&at("/offer/permission", "ContractRequestMessage"), "/offer/permission/0/constraint/0/operator", Some(&operator.into()));
        agree("ContractRequestMessage", &message).unwrap_or_else(|e| panic!("{operator}: {e}"));
    }
    let context = "https://w3id.org/dspace/2025/1/context.jsonld";
    for contexts in [json!(context), json!([context, "https://x.example"]), json!(["https://x.example"]), json!([context, {}]), json!([[context]]), json!({"@vocab": context}), json!([]), json!([context, context])] {
        let message = changed(&at("/@context", "TransferStartMessage"), "/@context", Some(&contexts));
        agree("TransferStartMessage", &message).unwrap_or_else(|e| panic!("{contexts}: {e}"));
    }
    for kind in KINDS {
        for (name, message) in fixtures() {
            agree(kind, &message).unwrap_or_else(|e| panic!("{name} as a {kind}: {e}"));
        }
    }
}

#[test]
fn each_strictness_is_met_with() {
    // So that the list of them stays true: what is deliberately refused is refused, and the schemas would not have.
    let mut cases: Vec<(&str, Value)> = Vec::new();
    let of = |kind: &str| fixtures().into_iter().find(|(_, m)| m["@type"] == kind).expect("a message").1;
    let request = of("ContractRequestMessage");
    cases.push(("it is empty", changed(&request, "/consumerPid", Some(&"".into()))));
    cases.push(("it is longer than", changed(&request, "/consumerPid", Some(&"x".repeat(2049).into()))));
    cases.push(("/@id`: it must be there, and a text", changed(&request, "/offer/@id", Some(&"".into()))));
    cases.push(("it must be a text", {
        let mut start = of("TransferStartMessage");
        start["dataAddress"]["endpoint"] = "x".repeat(2049).into();
        start
    }));
    cases.push(("filter-not-supported", json!({"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@type": "CatalogRequestMessage", "filter": ["x"]})));
    let mut deep = json!({"leftOperand": "a", "operator": "eq", "rightOperand": "b"});
    for _ in 0..20 {
        deep = json!({"and": [deep]});
    }
    cases.push(("constraints nest more than", changed(&request, "/offer/permission/0/constraint/0", Some(&deep))));
    cases.push(("it must be either one comparison or one of", changed(&request, "/offer/permission/0/constraint/0", Some(&json!({"and": [], "operator": "eq"})))));
    cases.push(("it must be a date with a time", changed(&of("ContractAgreementMessage"), "/agreement/timestamp", Some(&"on 2026-11-24T10:00:00Z".into()))));
    for (says, why) in STRICTER {
        let (_, message) = cases.iter().find(|(s, _)| *s == says).unwrap_or_else(|| panic!("no message shows: {why}"));
        let kind = kind_of(message);
        let fault = read(&kind, message.to_string().as_bytes()).expect_err(why);
        assert!(fault.to_string().contains(says), "{fault}");
        if let Some(schemas) = schemas() {
            schemas.judge(&kind, message).unwrap_or_else(|e| panic!("the schema refuses it too, so it is not stricter: {says}: {e}"));
        }
    }
}

/// Any JSON, with names and texts that messages have mixed in.
fn any_json() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] = &["@context", "@type", "@id", "offer", "agreement", "permission", "constraint", "and", "leftOperand", "operator", "rightOperand", "target", "reason", "filter", "timestamp", "dataAddress", "endpointProperties"];
    let word = || prop::sample::select(WORDS).prop_map(str::to_owned);
    let text = prop_oneof![".{0,12}", word(), prop::sample::select(KINDS.as_slice()).prop_map(str::to_owned), Just("https://w3id.org/dspace/2025/1/context.jsonld".to_owned()), "-?[0-9T:.Z+é-]{0,30}"];
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from), text.prop_map(Value::from)];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let name = prop_oneof![".{0,6}", word()];
        prop_oneof![prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from), prop::collection::vec((name, inner), 0..6).prop_map(|list| Value::Object(list.into_iter().collect::<Map<_, _>>()))]
    })
}

proptest! {
    #[test]
    fn several_changes_at_once_are_judged_as_by_the_schemas(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..5)) {
        let all = messages();
        let (_, original) = which.get(all.as_slice());
        let (kind, mut message) = (kind_of(original), original.clone());
        for (place, new) in changes {
            let mut there = Vec::new();
            places(&message, "", &mut there);
            if there.is_empty() {
                break;
            }
            message = changed(&message, &there[place.index(there.len())], new.get(replacements().as_slice()).as_ref());
        }
        prop_assert_eq!(agree(&kind, &message), Ok(()));
    }

    #[test]
    fn whatever_is_sent_is_read_or_refused(value in any_json(), name in prop::sample::select(vec!["offer", "agreement", "reason", "filter", "dataAddress", "@context", "consumerPid"])) {
        for kind in KINDS {
            let _ = read(kind, value.to_string().as_bytes());
            let mut message = fixtures().into_iter().find(|(_, m)| m["@type"] == kind).expect("a message").1;
            message[name] = value.clone();
            prop_assert_eq!(agree(kind, &message), Ok(()));
        }
        let _ = check_policy(&value, "Offer", "");
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for kind in KINDS {
            prop_assert!(read(kind, &bytes).is_err());
        }
    }
}
