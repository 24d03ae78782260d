//! Policies beside the schema that the Dataspace Protocol 2025-1 publishes for them: each is valid, or the report says that a strict reader
//! refuses it.

use super::generated::policy;
use super::published::{FROM_IDS, data, folder, read};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use waybill_ids::{Conversion, Target, convert};

/// One validator for each of the schema's kinds of policies.
fn validators() -> Option<BTreeMap<&'static str, Validator>> {
    let file = data("dsp")?.join("2025-1/negotiation/contract-schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let of = |kind: &'static str| {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "definitions": schema["definitions"],
            "$ref": format!("#/definitions/{kind}"),
        });
        (kind, jsonschema::validator_for(&schema).unwrap())
    };
    Some(["MessageOffer", "Agreement"].into_iter().map(of).collect())
}

/// Whether the schema and the report agree on a policy that has rules.
fn agree(validators: &BTreeMap<&'static str, Validator>, done: &Conversion) -> Result<(), String> {
    let policy = &done.document;
    if !["permission", "prohibition", "obligation"].iter().any(|k| policy.get(k).is_some()) {
        return Ok(());
    }
    let kind = if policy["@type"] == "Agreement" { "Agreement" } else { "MessageOffer" };
    let fault = validators[kind].validate(policy).err().map(|e| format!("{}: {e}", e.instance_path()));
    let told = done.losses.iter().any(|l| l.kept.as_deref().is_some_and(|k| k.contains("a strict reader of DSP refuses")));
    match (fault, told) {
        (Some(fault), false) => Err(format!("not valid and not said: {fault}\n{policy:#}")),
        _ => Ok(()),
    }
}

#[test]
fn what_the_schema_refuses_is_said() {
    let (Some(validators), Some(folder)) = (validators(), folder()) else { return };
    let mut valid = 0;
    for (name, ..) in FROM_IDS {
        let done = convert(&read(&folder, name), Some(Target::Dcat)).unwrap();
        agree(&validators, &done).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kind = if done.document["@type"] == "Agreement" { "Agreement" } else { "MessageOffer" };
        valid += usize::from(validators[kind].is_valid(&done.document));
    }
    // All but two that permit nothing more, one without a target, and one that only obliges.
    assert_eq!(valid, FROM_IDS.len() - 4);
}

#[test]
fn what_the_schema_refuses_of_generated_policies_is_said() {
    let Some(validators) = validators() else { return };
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) };
    proptest!(config, |(made in policy())| {
        let done = convert(&made.policy.to_string(), Some(Target::Dcat)).unwrap();
        if let Err(fault) = agree(&validators, &done) {
            prop_assert!(false, "{fault}");
        }
    });
}
