//! Our JSON Schemas of the messages accept what the published ones accept, and what reads messages here accepts no more than that.

use super::messages::{Sample, jumbled, samples, spoiled};
use jsonschema::{Retrieve, Uri, Validator};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use waybill_dsp::{Fault, Message, read_message};

const OURS: &str = "https://w3id.org/waybill/schemas/dsp/";
/// Messages with several changes, for each kind.
const JUMBLED: usize = 400;

macro_rules! ours {
    ($($name:literal),*) => {
        [$((concat!($name, ".schema.json"), include_str!(concat!("../../../../schemas/dsp/", $name, ".schema.json")))),*]
    };
}

/// Where schemas are found by their addresses: nothing is loaded from elsewhere.
#[derive(Clone, Default)]
struct Shelf(Arc<HashMap<String, Value>>);

impl Retrieve for Shelf {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0.get(uri.as_str()).cloned().ok_or_else(|| format!("{uri} is not here").into())
    }
}

impl Shelf {
    fn new(all: impl IntoIterator<Item = Value>) -> Self {
        Self(Arc::new(all.into_iter().map(|v| (v["$id"].as_str().expect("an address").to_owned(), v)).collect()))
    }
    fn validator(&self, reference: &str) -> Validator {
        jsonschema::options().with_retriever(self.clone()).build(&json!({"$ref": reference})).unwrap_or_else(|e| panic!("{reference}: {e}"))
    }
}

fn our_schemas() -> Shelf {
    let texts = ours!("common", "policy", "catalog", "negotiation", "transfer");
    let shelf = Shelf::new(texts.iter().map(|(name, text)| {
        let schema: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(schema["$id"], format!("{OURS}{name}"));
        assert!(jsonschema::meta::is_valid(&schema), "{name}");
        schema
    }));
    assert_eq!(shelf.0.len(), texts.len());
    shelf
}

/// The published schemas, one reference mended: it lacks a slash, and most validators refuse it.
fn published() -> Option<Shelf> {
    let folder = std::env::var_os("WAYBILL_SPEC_DATA").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from).join("dsp/2025-1");
    if !folder.is_dir() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "the published schemas are absent: set WAYBILL_SPEC_DATA");
        println!("skipped: no published schemas, set WAYBILL_SPEC_DATA");
        return None;
    }
    let mut all = Vec::new();
    let read = |place: &Path| std::fs::read_to_string(place).expect("a file").replace("transfer-schema.json#definitions", "transfer-schema.json#/definitions");
    for part in ["common", "catalog", "negotiation", "transfer"] {
        for entry in std::fs::read_dir(folder.join(part)).expect("a folder") {
            let place = entry.expect("an entry").path();
            if place.extension().is_some_and(|e| e == "json") {
                all.push(serde_json::from_str(&read(&place)).expect("JSON"));
            }
        }
    }
    Some(Shelf::new(all))
}

/// The published schema of a kind: `ContractRequestMessage` is in `contract-request-message-schema.json`.
fn address(kind: &str, family: &str) -> String {
    let mut words = String::new();
    for c in kind.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.push(c.to_ascii_lowercase());
    }
    format!("https://w3id.org/dspace/2025/1/{family}/{words}-schema.json")
}

/// The corpus of one kind: right ones, each with one thing changed, and with several.
fn corpus(sample: &Sample) -> Vec<Value> {
    let mut out = vec![sample.value.clone()];
    out.extend(spoiled(&sample.value));
    let mut seed = 0x77_61_79;
    out.extend((0..JUMBLED).map(|_| jumbled(&sample.value, &mut seed)));
    out
}

#[test]
fn ours_accept_what_the_published_accept() {
    let Some(published) = published() else { return };
    let ours = our_schemas();
    for sample in samples() {
        let Sample { kind, family, value } = &sample;
        let (theirs, own) = (published.validator(&address(kind, family)), ours.validator(&format!("{OURS}{family}.schema.json#/$defs/{kind}")));
        let whole = ours.validator(&format!("{OURS}{family}.schema.json"));
        assert!(theirs.is_valid(value), "{kind} is right: {value}");
        let (mut good, mut bad) = (0, 0);
        for message in corpus(&sample) {
            let accepted = theirs.is_valid(&message);
            assert_eq!(own.is_valid(&message), accepted, "{kind}: {message}");
            // The family's schema finds the kind by the type.
            if message["@type"] == *kind {
                assert_eq!(whole.is_valid(&message), accepted, "{kind} by its type: {message}");
            }
            if accepted { good += 1 } else { bad += 1 }
        }
        assert!(good > 50 && bad > 100, "{kind}: {good} right and {bad} wrong ones say little");
    }
}

#[test]
fn versions_and_policies_too() {
    let Some(published) = published() else { return };
    let ours = our_schemas();
    let versions = json!({"protocolVersions": [{"version": "2025-1", "path": "/dsp", "binding": "HTTPS", "serviceId": "s", "identifierType": "did:web", "auth": {"protocol": "OAuth", "version": "2", "profile": ["p"]}}]});
    let negotiation = samples().into_iter().find(|s| s.kind == "ContractAgreementMessage").expect("one");
    for (theirs, own, value) in [
        ("https://w3id.org/dspace/2025/1/common/protocol-version-schema.json", "common.schema.json", versions),
        ("https://w3id.org/dspace/2025/1/negotiation/contract-schema.json#/definitions/Agreement", "policy.schema.json#/$defs/agreement", negotiation.value["agreement"].clone()),
    ] {
        let (theirs, own) = (published.validator(theirs), ours.validator(&format!("{OURS}{own}")));
        assert!(theirs.is_valid(&value));
        for changed in corpus(&Sample { kind: "", family: "", value }) {
            assert_eq!(own.is_valid(&changed), theirs.is_valid(&changed), "{changed}");
        }
    }
}

/// What reads a message here, as the negotiation and the transfer call it: for which kind, in which situation, and how.
type Reader = fn(&Message) -> Result<(), Fault>;

fn offered(m: &Message, with_target: bool) -> Result<(), Fault> {
    m.offer(with_target).map(drop)
}

fn ended(m: &Message) -> Result<(), Fault> {
    m.pids(None, None)?;
    m.why().map(drop)
}

const READERS: &[(&str, &str, Reader)] = &[
    ("CatalogRequestMessage", "", |m| m.filter().map(drop)),
    ("ContractRequestMessage", "first", |m| {
        m.text("consumerPid")?;
        m.one_of("callbackAddress", "providerPid")?;
        offered(m, false)
    }),
    ("ContractRequestMessage", "counter", |m| {
        m.pids(None, None)?;
        offered(m, false)
    }),
    ("ContractOfferMessage", "first", |m| {
        m.text("providerPid")?;
        m.one_of("callbackAddress", "consumerPid")?;
        offered(m, true)
    }),
    ("ContractOfferMessage", "counter", |m| {
        m.pids(None, None)?;
        offered(m, true)
    }),
    ("ContractAgreementMessage", "", |m| {
        m.pids(None, None)?;
        m.agreement().map(drop)
    }),
    ("ContractAgreementVerificationMessage", "", |m| m.pids(None, None)),
    ("ContractNegotiationEventMessage", "", |m| {
        m.pids(None, None)?;
        match m.text("eventType")?.as_str() {
            "ACCEPTED" | "FINALIZED" => Ok(()),
            _ => Err(Fault::bad("/eventType", "")),
        }
    }),
    ("ContractNegotiationTerminationMessage", "", ended),
    ("TransferRequestMessage", "", |m| {
        for name in ["consumerPid", "callbackAddress", "agreementId", "format"] {
            m.text(name)?;
        }
        m.data_address().map(drop)
    }),
    ("TransferStartMessage", "", |m| {
        m.pids(None, None)?;
        m.data_address().map(drop)
    }),
    ("TransferCompletionMessage", "", |m| m.pids(None, None)),
    ("TransferSuspensionMessage", "", ended),
    ("TransferTerminationMessage", "", ended),
];

/// What is refused here although the schemas accept it: a part of what is said of it, and why it is so.
const STRICTER: &[(&str, &str)] = &[
    ("it is empty", "an empty text names nothing"),
    ("it is longer than 2048 bytes", "what is kept has a bound"),
    ("it must be a text", "an address of a data endpoint longer than is kept is refused in these words"),
    ("no filter expression is understood here", "an answer that ignores a filter would be wrong"),
    ("/offer/@id`: it must be there, and a text", "an empty identifier, or one longer than is kept, is none"),
    ("/agreement/@id`: it must be there, and a text", "the same"),
    ("/agreement/timestamp`: it must be a date with a time", "the published pattern is not bound to the whole text"),
    ("it must be either one comparison or one of and, or, xone, andSequence", "a constraint that is something of both: which of the two counts nobody could say"),
    ("/providerPid`: it is missing", "within a negotiation both sides' identifiers are needed; the schema cannot tell where a message is sent"),
    ("/consumerPid`: it is missing", "the same"),
];

/// What is taken here although the schemas refuse it.
const LENIENT: &[(&str, &str, &str)] = &[
    ("ContractRequestMessage", "counter", "callbackAddress"),
    ("ContractOfferMessage", "counter", "callbackAddress"),
];

#[test]
fn what_is_read_is_what_the_schemas_accept_or_less() {
    let ours = our_schemas();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lenient = 0;
    for (kind, situation, reader) in READERS {
        let mut taken = 0;
        for sample in samples().iter().filter(|s| s.kind == *kind) {
            let validator = ours.validator(&format!("{OURS}{}.schema.json#/$defs/{kind}", sample.family));
            for message in corpus(sample) {
                let read = read_message(message.to_string().as_bytes(), kind).and_then(|m| reader(&m));
                match (validator.is_valid(&message), read) {
                    (true, Ok(())) => taken += 1,
                    (false, Err(_)) => {}
                    (true, Err(fault)) => {
                        let said = fault.to_string();
                        let listed = STRICTER.iter().find(|(part, _)| said.contains(part));
                        let (part, _) = listed.unwrap_or_else(|| panic!("{kind} is refused and nothing says why: {said}: {message}"));
                        *used.entry(part).or_default() += 1;
                    }
                    (false, Ok(())) => {
                        // What is beside the point there is not looked at; without it the message is right.
                        let (_, _, beside) = LENIENT.iter().find(|(k, s, _)| k == kind && s == situation).unwrap_or_else(|| panic!("{kind} is taken and no schema accepts it: {message}"));
                        let mut without = message.clone();
                        without.as_object_mut().expect("a message").remove(*beside);
                        assert!(validator.is_valid(&without), "{kind}: {message}");
                        lenient += 1;
                    }
                }
            }
        }
        assert!(taken > 30, "{kind} {situation}: {taken} taken say little");
    }
    for (part, why) in STRICTER {
        assert!(used.contains_key(part), "no message is refused by this any more: {part} ({why})");
    }
    assert!(lenient > 0);
}
