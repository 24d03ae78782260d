//! Each published policy in IDS, converted, beside the ODRL that was published for the same policy class: in what they say the same, and why
//! not where they do not. Names of parties, assets and endpoints are placeholders in both and are not compared.

use super::published::{folder, read};
use super::support::{expand, values};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use waybill_ids::{Target, convert};

/// Policy class, IDS file, ODRL file, in which aspects they differ, and why.
const VERDICTS: &[(&str, &str, &str, &[&str], &str)] = &[
    ("ALLOW_DATA_USAGE", "pc1-ids-restrict-consumer", "pc1-odrl-restrict-consumer", &["action"], "the twin permits distribution too"),
    ("CONNECTOR_RESTRICTED", "pc2-ids-restrict-connector", "pc2-odrl-restrict-connector", &["action"], "the twin permits to derive and display, not to use"),
    ("APPLICATION_RESTRICTED", "pc3-ids-restrict-application", "pc3-odrl-restrict-application", &["action", "operator", "value"],
        "the twin has isPartOf, which also holds for parts of an application; IN is a member of a list, isAnyOf. Its values are placeholders"),
    ("ROLE_RESTRICTED", "pc4-ids-restrict-user-role", "pc4-odrl-restrict-user-role-example2.json", &["action"], "other actions"),
    ("LOCATION_RESTRICTED", "pc5-ids-restrict-location-of-usage", "pc5-odrl-restrict-location-of-usage-example.json", &["type"], "an offer in IDS, an agreement in ODRL"),
    ("LOCATION_RESTRICTED", "pc5-ids-restrict-location-of-usage", "pc5-odrl-restrict-location-of-usage-example2.json", &["type", "value"], "the twin refers to a list of places"),
    ("PURPOSE_RESTRICTED", "pc6-ids-restrict-purpose", "pc6-odrl-restrict-purpose-example.json", &["type", "action", "value"], "another purpose, as a text"),
    ("PURPOSE_RESTRICTED", "pc6-ids-restrict-purpose", "pc6-odrl-restrict-purpose-example2.json", &["type", "action", "operator", "value"], "one of several purposes"),
    ("PURPOSE_RESTRICTED", "pc6-ids-restrict-purpose", "pc6-odrl-restrict-purpose-example3.json", &["type", "action", "value"], "the twin refers to a list of purposes"),
    ("EVENT_RESTRICTED", "pc7-ids-restrict-event", "pc7-odrl-restrict-event", &["type", "action", "value"], "another event, as a text"),
    ("SECURITY_LEVEL", "pc8-ids-restrict-security-level", "pc8-odrl-restrict-security-level", &["action", "operator"], "isPartOf for IN, as with applications"),
    ("DURATION_RESTRICTED", "pc10-ids-restrict-duration-offer", "pc10-odrl-restrict-duration-offer", &["type", "operator", "value"],
        "the twin permits exactly three months, IDS at most two years and three"),
    ("RESTRICTED_NUMBER_OF_USAGES", "pc11-ids-restrict-number-of-usage", "pc11-odrl-restrict-number-of-usage", &["type", "value", "duty", "due"],
        "the twin leaves out the duty to count"),
    ("USE_DATA_AND_DELETE_AFTER", "pc12-ids-delete-data", "pc12-odrl-delete-data-example.json", &["action", "due"], "the twin does not say that deletion comes after use"),
    ("USE_DATA_AND_DELETE_AFTER", "pc12-ids-delete-data", "pc12-odrl-delete-data-example2.json", &["parameter", "due"], "the twin names a day, and not that it comes after use"),
    ("MODIFY_DATA_IN_TRANSIT", "pc13-ids-modify-in-transit", "pc13-odrl-modify-in-transit", &[], "equal"),
    ("LOCAL_LOGGING", "pc15-ids-log-usage-information", "pc15-odrl-log-usage-information", &["duty", "due"],
        "the twin calls the action idsc:log, which stands in no code list, and does not say when"),
    ("REMOTE_NOTIFICATION", "pc16-ids-notify-party", "pc16-odrl-notify-party", &["parameter", "due"], "the twin names the recipient by informedParty, and does not say when"),
    ("PERPETUAL_DATA_SALE", "pc19-ids-restrict-payment-sale", "pc19-odrl-restrict-payment-sale-example2.json", &["type", "rules", "action", "left", "operator", "value"],
        "left out: a constraint with ids:contract. The twin, an agreement, drops that it is a sale"),
    ("PERPETUAL_DATA_SALE", "pc19-ids-restrict-payment-sale", "pc19-odrl-restrict-payment-sale-example.json", &["type", "rules", "action", "duty", "parameter", "due"],
        "left out as above. This twin makes of the constraint on a payment a duty to pay"),
    ("DATA_RENTAL", "pc20-ids-restrict-payment-rent", "pc20-odrl-restrict-payment-rent-example2.json", &["rules", "action", "left", "operator", "value", "type"],
        "left out: a constraint with ids:contract and ids:frequency, and IDS offers what ODRL agrees on"),
    ("DATA_RENTAL", "pc20-ids-restrict-payment-rent", "pc20-odrl-restrict-payment-rent-example.json", &["type", "rules", "action", "duty", "parameter", "due"],
        "left out as above. This twin makes of the constraint on a payment a duty to pay"),
    ("STATE_RESTRICTED", "pc21-ids-restrict-state", "pc21-odrl-restrict-state", &["type", "left"], "the twin calls the operand idsc:state, which stands in no code list"),
    ("several", "ids-complex-policy", "odrl-complex-policy", &["rules", "action", "left", "operator", "value", "duty", "parameter", "due"],
        "two policies of other contents: the same connectors' form, other constraints, duties and a prohibition"),
];

/// What a policy says, aspect by aspect.
fn aspects(policy: &Value) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut found: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut say = |aspect: &'static str, what: String| {
        found.entry(aspect).or_default().insert(what);
    };
    say("type", policy["@type"].as_str().unwrap_or_default().to_owned());
    for kind in ["permission", "prohibition", "obligation"] {
        for rule in values(policy, kind) {
            say("rules", kind.to_owned());
            for permitted in values(rule, "action") {
                say("action", format!("{kind} {}", action(permitted)));
            }
            for constraint in values(rule, "constraint") {
                say("left", name(&constraint["leftOperand"]));
                say("operator", name(&constraint["operator"]));
                say("value", right(constraint));
            }
            for duty in values(rule, "duty") {
                for action_of_duty in values(duty, "action") {
                    say("duty", action(action_of_duty));
                    for part in values(action_of_duty, "refinement").into_iter().chain(values(action_of_duty, "odrl:refinement")) {
                        say("parameter", format!("{} {} {}", name(&part["leftOperand"]), name(&part["operator"]), right(part)));
                    }
                }
                for due in values(duty, "constraint") {
                    say("due", format!("{} {} {}", name(&due["leftOperand"]), name(&due["operator"]), right(due)));
                }
            }
        }
    }
    found
}

fn action(value: &Value) -> String {
    ["rdf:value", "http://www.w3.org/1999/02/22-rdf-syntax-ns#value"].iter().find_map(|k| value.get(k)).map_or_else(|| name(value), name)
}

/// A name; without a prefix one of ODRL.
fn name(value: &Value) -> String {
    let text = value.as_str().or_else(|| value["@id"].as_str()).unwrap_or_default();
    let full = expand(text);
    if full.contains(':') { full } else { format!("http://www.w3.org/ns/odrl/2/{full}") }
}

fn right(constraint: &Value) -> String {
    let one = |v: &&Value| match v {
        Value::String(text) => format!("{text} of string"),
        v if v.get("@id").is_some() => name(v),
        v => format!("{} of {}", v["@value"].as_str().unwrap_or_default(), v["@type"].as_str().unwrap_or_default()),
    };
    let mut all: Vec<String> = values(constraint, "rightOperand").iter().map(one).collect();
    for key in ["rightOperandReference", "odrl:rightOperandReference"] {
        all.extend(values(constraint, key).iter().map(|v| format!("reference {}", one(v))));
    }
    all.sort();
    all.join(", ")
}

#[test]
fn the_twins_say_the_same_or_the_table_says_why_not() {
    let Some(folder) = folder() else { return };
    let file = |stem: &str| if stem.contains(".json") { stem.to_owned() } else { format!("{stem}-example.json") };
    for (class, ids, odrl, differ, why) in VERDICTS {
        let ours = convert(&read(&folder, &file(ids)), Some(Target::Dcat)).unwrap();
        let twin: Value = serde_json::from_str(&read(&folder, &file(odrl))).unwrap();
        let (ours, twin) = (aspects(&ours.document), aspects(&twin));
        let names: BTreeSet<&str> = ours.keys().chain(twin.keys()).copied().collect();
        let found: BTreeSet<&str> = names.into_iter().filter(|n| ours.get(n) != twin.get(n)).collect();
        assert_eq!(found, differ.iter().copied().collect(), "{class}, {ids} and {odrl} ({why}):\n{ours:#?}\n{twin:#?}");
    }
}
