//! Messages in words of ours, one of each kind with everything that may stand in it, and ways to spoil them.

use serde_json::{Map, Value, json};

/// The type of a message, the family it belongs to, and one that is right.
pub struct Sample {
    pub kind: &'static str,
    pub family: &'static str,
    pub value: Value,
}

fn message(kind: &'static str, family: &'static str, members: Value) -> Sample {
    let mut value = json!({"@context": ["https://w3id.org/dspace/2025/1/context.jsonld"], "@type": kind});
    if let (Value::Object(value), Value::Object(members)) = (&mut value, members) {
        value.extend(members);
    }
    Sample { kind, family, value }
}

fn rules() -> Value {
    json!([
        {"action": "use", "constraint": [
            {"leftOperand": "http://www.w3.org/ns/odrl/2/purpose", "operator": "isA", "rightOperand": "https://w3id.org/waybill/purpose#EnergyAdvice"},
            {"or": [
                {"leftOperand": "l", "operator": "lteq", "rightOperand": {"@value": "2027-01-01T00:00:00Z", "@type": "xsd:dateTime"}},
                {"and": [{"leftOperand": "l", "operator": "isAnyOf", "rightOperand": ["a", "b"]}]},
            ]},
        ]},
    ])
}

fn offer(target: bool) -> Value {
    let mut out = json!({"@id": "urn:offer:1", "@type": "Offer", "profile": ["urn:profile"], "permission": rules(), "prohibition": [{"action": "distribute"}], "obligation": [{"action": "inform"}]});
    if target {
        out["target"] = "urn:dataset:1".into();
    }
    out
}

fn address() -> Value {
    json!({"@type": "DataAddress", "endpointType": "https://w3id.org/idsa/v4.1/HTTP", "endpoint": "https://data.example/1",
        "endpointProperties": [{"@type": "EndpointProperty", "name": "authorization", "value": "token"}]})
}

fn dataset() -> Value {
    json!({"@id": "urn:dataset:1", "@type": "Dataset", "hasPolicy": [offer(false)],
        "distribution": [{"@type": "Distribution", "format": "HttpData-PULL", "hasPolicy": [offer(false)],
            "accessService": {"@id": "urn:service", "@type": "DataService", "endpointURL": "https://c.example/dsp"}}]})
}

/// All kinds.
pub fn samples() -> Vec<Sample> {
    let pids = || json!({"providerPid": "urn:p", "consumerPid": "urn:c"});
    let with = |more: Value| {
        let mut out = pids();
        if let (Value::Object(out), Value::Object(more)) = (&mut out, more) {
            out.extend(more);
        }
        out
    };
    let why = || with(json!({"code": "over", "reason": ["it is over", {"@value": "aus", "@language": "de"}]}));
    let mut one = dataset();
    one["@context"] = json!(["https://w3id.org/dspace/2025/1/context.jsonld"]);
    let service = json!({"@id": "urn:service", "@type": "DataService", "endpointURL": "https://c.example/dsp", "servesDataset": [dataset()]});
    let inner = json!({"@id": "urn:inner", "@type": "Catalog", "service": [service.clone()]});
    let (n, t, c) = ("negotiation", "transfer", "catalog");
    vec![
        message("CatalogRequestMessage", c, json!({"filter": [{"limit": 5}]})),
        message("DatasetRequestMessage", c, json!({"dataset": "urn:dataset:1"})),
        message("CatalogError", c, json!({"code": "no", "reason": ["no"]})),
        message("Catalog", c, json!({"@id": "urn:catalog", "participantId": "urn:us", "dataset": [dataset()], "catalog": [inner], "service": [service],
            "distribution": [{"format": "f", "accessService": "urn:service"}]})),
        Sample { kind: "Dataset", family: c, value: one },
        message("ContractRequestMessage", n, json!({"consumerPid": "urn:c", "callbackAddress": "https://c.example/dsp", "offer": offer(true)})),
        message("ContractRequestMessage", n, json!({"consumerPid": "urn:c", "providerPid": "urn:p", "offer": offer(false)})),
        message("ContractOfferMessage", n, json!({"providerPid": "urn:p", "callbackAddress": "https://p.example/dsp", "offer": offer(true)})),
        message("ContractOfferMessage", n, json!({"providerPid": "urn:p", "consumerPid": "urn:c", "offer": offer(true)})),
        message("ContractAgreementMessage", n, with(json!({"agreement": {"@id": "urn:a", "@type": "Agreement", "target": "urn:dataset:1", "assigner": "urn:p", "assignee": "urn:c",
            "timestamp": "2026-11-24T10:00:00.5+01:00", "permission": rules()}}))),
        message("ContractAgreementVerificationMessage", n, pids()),
        message("ContractNegotiationEventMessage", n, with(json!({"eventType": "ACCEPTED"}))),
        message("ContractNegotiationTerminationMessage", n, why()),
        message("ContractNegotiation", n, with(json!({"state": "AGREED"}))),
        message("ContractNegotiationError", n, why()),
        message("TransferRequestMessage", t, json!({"consumerPid": "urn:c", "agreementId": "urn:a", "format": "HttpData-PUSH", "callbackAddress": "https://c.example/dsp", "dataAddress": address()})),
        message("TransferStartMessage", t, with(json!({"dataAddress": address()}))),
        message("TransferCompletionMessage", t, pids()),
        message("TransferSuspensionMessage", t, why()),
        message("TransferTerminationMessage", t, why()),
        message("TransferProcess", t, with(json!({"state": "STARTED"}))),
        message("TransferError", t, why()),
    ]
}

/// What is put in the place of something, or beside it.
fn things() -> Vec<Value> {
    let comparison = json!({"leftOperand": "l", "operator": "eq", "rightOperand": "r"});
    vec![
        Value::Null, json!(true), json!(0), json!(2.5), json!(""), json!("x"), json!([]), json!({}), json!(["x"]), json!([{}]), json!([1]), json!({"@id": "x"}),
        json!({"@value": "x"}), comparison.clone(), json!([comparison]), json!("https://w3id.org/dspace/2025/1/context.jsonld"),
        json!(["https://w3id.org/dspace/2025/1/context.jsonld", "x"]), json!(["https://w3id.org/dspace/2025/1/context.jsonld", {}]), json!("eq"), json!("term-lteq"), json!("odrl:eq"),
        json!("Offer"), json!("Agreement"), json!("Set"), json!("DataService"), json!("FINALIZED"), json!("SUSPENDED"), json!("VERIFIED"),
        json!("2026-11-24T24:00:00Z"), json!("2026-11-24T24:00:01Z"), json!("2026-11-24T24:00:00.10Z"), json!("2026-13-24T10:00:00Z"), json!("2026-11-24"), json!("2026-11-24T10:00:00"),
        json!("-02026-11-24T10:00:00Z"), json!("at 2026-11-24T10:00:00Z sharp"), json!("2026-11-24T23:59:60Z"),
        json!("x".repeat(3000)),
    ]
}

/// Members that are put where they may not belong.
const MEMBERS: &[&str] = &[
    "target", "hasPolicy", "and", "or", "xone", "andSequence", "leftOperand", "operator", "rightOperand", "callbackAddress", "providerPid", "consumerPid", "code", "reason", "profile",
    "permission", "prohibition", "obligation", "constraint", "duty", "timestamp", "dataset", "distribution", "service", "catalog", "endpointProperties", "dataAddress", "filter",
    "https://w3id.org/waybill/ns#anything",
];

fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        Value::Object(map) => map.iter().for_each(|(name, v)| places(v, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), out)),
        _ => {}
    }
}

/// A number that follows from `seed`, which moves on (SplitMix64).
pub fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from(z >> 33).unwrap_or(0)
}

fn take_out(value: &mut Value, place: &str) {
    let Some((parent, last)) = place.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.remove(&last.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(list)) => drop(last.parse().ok().filter(|i| *i < list.len()).map(|i: usize| list.remove(i))),
        _ => {}
    }
}

/// Every value with one thing changed: each place taken out, replaced, put into a list, or given a member more.
pub fn spoiled(value: &Value) -> Vec<Value> {
    let (mut out, mut all) = (Vec::new(), Vec::new());
    places(value, "", &mut all);
    let things = things();
    for (number, place) in all.iter().enumerate() {
        let mut without = value.clone();
        take_out(&mut without, place);
        out.push(without);
        let mut change = |to: Value| {
            let mut changed = value.clone();
            if let Some(there) = changed.pointer_mut(place) {
                *there = to;
            }
            out.push(changed);
        };
        let there = value.pointer(place).cloned().unwrap_or_default();
        things.iter().for_each(|thing| change(thing.clone()));
        change(json!([there.clone()]));
        match there {
            Value::Object(map) => {
                for (i, name) in MEMBERS.iter().enumerate().filter(|(_, name)| !map.contains_key(**name)) {
                    // All things at all members would be very many: each member meets some of them at each place.
                    for thing in [&things[13], &things[14], &things[5], &things[(i + number) % things.len()]] {
                        let mut more: Map<String, Value> = map.clone();
                        more.insert((*name).to_owned(), thing.clone());
                        change(more.into());
                    }
                }
            }
            Value::Array(list) => {
                for thing in list.first().into_iter().chain([&things[5], &things[7]]) {
                    change(list.iter().cloned().chain([thing.clone()]).collect::<Vec<_>>().into());
                }
                if let [first] = list.as_slice() {
                    change(first.clone());
                }
            }
            _ => {}
        }
    }
    out
}

/// `value` with a few things changed at places that follow from `seed`.
pub fn jumbled(value: &Value, seed: &mut u64) -> Value {
    let mut out = value.clone();
    let things = things();
    for _ in 0..=next(seed) % 3 {
        let mut all = Vec::new();
        places(&out, "", &mut all);
        let place = all.swap_remove(next(seed) % all.len());
        let (choice, thing) = (next(seed) % 4, things[next(seed) % things.len()].clone());
        if choice == 0 {
            take_out(&mut out, &place);
            continue;
        }
        let name = MEMBERS[next(seed) % MEMBERS.len()];
        match out.pointer_mut(&place) {
            Some(Value::Object(map)) if choice > 1 => drop(map.insert(name.to_owned(), thing)),
            Some(Value::Array(list)) if choice > 1 => list.push(thing),
            Some(there) if !place.is_empty() => *there = thing,
            _ => {}
        }
    }
    out
}
