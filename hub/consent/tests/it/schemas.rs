//! Our JSON Schemas and our readers say the same.

use super::common::*;
use super::signed::{claims, terms};
use jsonschema::Validator;
use serde_json::{Value, json};
use waybill_consent::{ConsentRecord, EnvelopeClaims, GrantDocument, LeafKey, ManifestBuilder, ManifestClaims, Operation, Readiness, SCHEMA};
use waybill_model::EnvelopeHash;

macro_rules! schema {
    ($name:literal) => {
        (serde_json::from_str::<Value>(include_str!(concat!("../../../../schemas/consent/", $name))).expect("JSON"))
    };
}
fn validator(schema: &Value) -> Validator {
    jsonschema::validator_for(schema).expect("a schema")
}
fn grant() -> Value {
    serde_json::from_str(GRANT).expect("JSON")
}
fn manifest() -> Value {
    let op = Operation { name: "deliver".into(), params: std::collections::BTreeMap::from([("precision".into(), "share".into())]) };
    let mut builder = ManifestBuilder::new(DID_A, iri(CITY_B), op);
    let key = LeafKey { entity: "urn:meter:1", attribute: POWER, dataset: Some("urn:d") };
    builder.leaf(EnvelopeHash([1; 32]), key, "{\"type\":\"Property\",\"value\":1}").expect("a leaf");
    json!(*builder.sign(ring().active(), 1, 1, now()).claims)
}

/// Each document, whole and with every member taken away, renamed or replaced by `null` or a number, at every depth: schema and reader agree.
fn agree(name: &str, schema: &Value, good: &Value, reads: impl Fn(&Value) -> bool) {
    let validator = validator(schema);
    assert!(validator.is_valid(good) && reads(good), "{name}");
    let mut places = Vec::new();
    members(good, String::new(), &mut places);
    assert!(places.len() > 10, "{name}");
    for (parent, member) in places {
        for change in ["gone", "renamed", "null", "number"] {
            let mut bad = good.clone();
            let object = bad.pointer_mut(&parent).and_then(Value::as_object_mut).expect("an object");
            let old = object.remove(&member).expect("a member");
            match change {
                "renamed" => drop(object.insert(format!("{member}X"), old)),
                "null" => drop(object.insert(member.clone(), Value::Null)),
                "number" => drop(object.insert(member.clone(), json!(7))),
                _ => {}
            }
            // The only member whose value nobody reads.
            let free = member == "@context" || parent.starts_with("/pol") || (member == "pol" && change == "number");
            // serde takes a null for a member that may be missing; so it is missing.
            let lenient = change == "null" || change == "renamed" && parent.ends_with("abel") || parent.ends_with("/params");
            if !free && !lenient {
                assert_eq!(validator.is_valid(&bad), reads(&bad), "{name}: {parent}/{member} {change}");
            }
        }
    }
}

fn members(value: &Value, at: String, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (name, member) in map {
                out.push((at.clone(), name.clone()));
                members(member, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(list) => list.iter().enumerate().for_each(|(i, item)| members(item, format!("{at}/{i}"), out)),
        _ => {}
    }
}

#[test]
fn the_grant_document() {
    agree("grant", &schema!("grant.schema.json"), &grant(), |v| GrantDocument::parse(v.to_string().as_bytes()).is_ok());
}

#[test]
fn the_record_the_schema_takes_is_the_one_that_opens() {
    let ready = |v: &Value| ConsentRecord::parse(v.to_string().as_bytes()).is_ok_and(|record| record.readiness(check()) == Readiness::Ready);
    let schema = schema!("consent-record.schema.json");
    assert_eq!(schema["$id"], SCHEMA);
    agree("record", &schema, &json!(record()), ready);
}

#[test]
fn the_envelope() {
    let reads = |v: &Value| serde_json::from_value::<EnvelopeClaims>(v.clone()).is_ok();
    agree("envelope", &schema!("envelope.schema.json"), &json!(claims(terms())), reads);
}

#[test]
fn the_manifest() {
    let reads = |v: &Value| serde_json::from_value::<ManifestClaims>(v.clone()).is_ok();
    agree("manifest", &schema!("manifest.schema.json"), &manifest(), reads);
}

/// Each member of a grant document that the schema knows has a meaning in the context, and the other way round.
#[test]
fn the_context_names_every_member_of_a_grant_document() {
    let context = schema!("grant-context.jsonld");
    let context = context["@context"].as_object().expect("an object");
    let schema = schema!("grant.schema.json");
    let known = schema["properties"].as_object().expect("members");
    for name in known.keys().filter(|name| !name.starts_with('@')) {
        assert!(context.contains_key(name), "{name} has no meaning");
    }
    let party = schema["$defs"]["named"]["properties"].as_object().expect("members");
    let types = ["ConsentGrant", "wb", "dpv", "dct"];
    for name in context.keys().filter(|name| !name.starts_with('@') && !types.contains(&name.as_str())) {
        assert!(known.contains_key(name) || party.contains_key(name), "{name} is no member");
    }
}
