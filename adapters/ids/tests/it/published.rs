//! Every published example of the IDS association: policies in IDS and in ODRL (IDS-G, CC BY 4.0) and self-descriptions of the Information
//! Model (Apache-2.0). They lie beside the repository and belong to their authors; what is expected of each is our own reading of it.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use waybill_ids::{ConvertError, Effect, Target, convert};

/// The folder of the examples; nothing, and a word about it, when it is not here.
pub fn folder() -> Option<PathBuf> {
    data("ids")
}

/// A folder of the published material.
pub fn data(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("WAYBILL_SPEC_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let folder = data.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the published {name} data is missing: set WAYBILL_SPEC_DATA");
    println!("skipped: the published {name} data is not here");
    None
}

pub fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join("policies").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Not JSON as published, and the line where it ends to be.
const INVALID: &[(&str, usize, &str)] = &[
    ("pc4-odrl-restrict-user-role-example.json", 10, "four objects one behind the other"),
    ("pc9-ids-restrict-time-interval-example.json", 23, "a comma is missing after rightOperand"),
    ("pc14-odrl-modify-in-rest-example.json", 21, "a comma before the end of an object"),
    ("pc17-odrl-distribute-next-policy-example.json", 24, "a comma before the end of an object"),
    ("pc18-odrl-restrict-artifact-state-example.json", 10, "two objects one behind the other"),
    ("pc22-odrl-restrict-location-of-participant-example.json", 11, "two objects one behind the other"),
    ("pc23-odrl-obtain-consent-example.json", 8, "six objects one behind the other"),
    ("pc24-odrl-restrict-data-classification-example.json", 10, "two objects one behind the other"),
    ("pc25-odrl-anonymize-with-mpc.json", 37, "three objects one behind the other"),
];

/// What becomes of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is reported.
    Whole,
    /// All rules are there, and something is reported.
    Reported,
    /// The permission is left out.
    Closed,
}
use Fate::{Closed, Reported, Whole};

/// From ODRL to IDS.
const FROM_ODRL: &[(&str, Fate, &str)] = &[
    ("pc1-odrl-restrict-consumer-example.json", Whole, "a permission with two actions and no constraint"),
    ("pc2-odrl-restrict-connector-example.json", Whole, "isAnyOf is IN"),
    ("pc3-odrl-restrict-application-example.json", Reported, "isPartOf becomes the narrower IN"),
    ("pc4-odrl-restrict-user-role-example2.json", Whole, "eq is EQUALS"),
    ("pc5-odrl-restrict-location-of-usage-example.json", Whole, "spatial is where the connector is"),
    ("pc5-odrl-restrict-location-of-usage-example2.json", Whole, "IDS has references to right operands"),
    ("pc6-odrl-restrict-purpose-example.json", Whole, "eq is EQUALS"),
    ("pc6-odrl-restrict-purpose-example2.json", Reported, "isPartOf becomes the narrower IN"),
    ("pc6-odrl-restrict-purpose-example3.json", Whole, "IDS has references to right operands"),
    ("pc7-odrl-restrict-event-example.json", Whole, "eq is EQUALS"),
    ("pc8-odrl-restrict-security-level-example.json", Reported, "isPartOf becomes the narrower IN"),
    ("pc9-odrl-restrict-time-interval-example.json", Whole, "gteq and lteq"),
    ("pc10-odrl-restrict-duration-offer-example.json", Whole, "eq of durations"),
    ("pc11-odrl-restrict-number-of-usage-example.json", Whole, "lteq"),
    ("pc12-odrl-delete-data-example.json", Reported, "the duty does not say when it is due"),
    ("pc12-odrl-delete-data-example2.json", Reported, "the duty does not say when it is due"),
    ("pc13-odrl-modify-in-transit-example.json", Whole, "the duty is due before use, and says so"),
    ("pc15-odrl-log-usage-information-example.json", Reported, "idsc:log stands in no code list, and when it is due is not said"),
    ("pc16-odrl-notify-party-example.json", Reported, "the informed party becomes a refinement, and when it is due is not said"),
    ("pc19-odrl-restrict-payment-sale-example.json", Whole, "compensate before use"),
    ("pc19-odrl-restrict-payment-sale-example2.json", Whole, "payAmount has a twin"),
    ("pc20-odrl-restrict-payment-rent-example.json", Closed, "dc:frequency makes another duty of it, and IDS has no word for it"),
    ("pc20-odrl-restrict-payment-rent-example2.json", Closed, "dc:frequency makes another constraint of it"),
    ("pc21-odrl-restrict-state-example.json", Reported, "idsc:state stands in no code list: it is STATE there"),
    ("odrl-complex-policy-example.json", Reported, "isPartOf becomes the narrower IN"),
];

/// From IDS to ODRL.
pub const FROM_IDS: &[(&str, Fate, &str)] = &[
    ("pc1-ids-restrict-consumer-example.json", Whole, ""),
    ("pc2-ids-restrict-connector-example.json", Whole, ""),
    ("pc3-ids-restrict-application-example.json", Whole, ""),
    ("pc4-ids-restrict-user-role-example.json", Whole, ""),
    ("pc5-ids-restrict-location-of-usage-example.json", Whole, ""),
    ("pc6-ids-restrict-purpose-example.json", Whole, ""),
    ("pc7-ids-restrict-event-example.json", Whole, ""),
    ("pc8-ids-restrict-security-level-example.json", Whole, ""),
    ("pc10-ids-restrict-duration-offer-example.json", Whole, ""),
    ("pc11-ids-restrict-number-of-usage-example.json", Reported, "the counter is a duty after use"),
    ("pc12-ids-delete-data-example.json", Reported, "a duty after use"),
    ("pc13-ids-modify-in-transit-example.json", Reported, "the rule has no target, which DSP asks for"),
    ("pc14-ids-modify-in-rest-example.json", Reported, "an obligation alone, with an executor; DSP asks for a permission or prohibition"),
    ("pc15-ids-log-usage-information-example.json", Reported, "a duty after use"),
    ("pc16-ids-notify-party-example.json", Reported, "a duty after use"),
    ("pc17-ids-distribute-next-policy-example.json", Reported, "TARGET_POLICY stands in no code list"),
    ("pc18-ids-restrict-artifact-state-example.json", Whole, ""),
    ("pc19-ids-restrict-payment-sale-example.json", Closed, "ids:contract of a constraint is in no model; it says sale"),
    ("pc20-ids-restrict-payment-rent-example.json", Closed, "ids:contract and ids:frequency of a constraint are in no model; they say rent, a year at a time"),
    ("pc21-ids-restrict-state-example.json", Whole, ""),
    ("ids-complex-policy-example.json", Reported, "duties after use, a left operand that is no code, datatypes that do not exist"),
];

#[test]
fn what_is_not_json_as_published_is_an_error_with_its_line() {
    let Some(folder) = folder() else { return };
    for (name, line, why) in INVALID {
        match convert(&read(&folder, name), None) {
            Err(ConvertError::NotJson { line: at, .. }) => assert_eq!(at, *line, "{name}: {why}"),
            other => panic!("{name} ({why}): {other:?}"),
        }
    }
}

#[test]
fn every_policy_converts_as_far_as_it_can() {
    let Some(folder) = folder() else { return };
    for (names, target, permission) in [(FROM_ODRL, Target::Ids, "ids:permission"), (FROM_IDS, Target::Dcat, "permission")] {
        for (name, fate, why) in names {
            let done = convert(&read(&folder, name), None).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(done.target, target, "{name}");
            let input: Value = serde_json::from_str(&read(&folder, name)).unwrap();
            let wanted = ["permission", "ids:permission"].iter().any(|k| input.get(k).is_some());
            let there = done.document.get(permission).is_some();
            assert_eq!(there, wanted && *fate != Closed, "{name}: {why}: {:#?}", done.losses);
            assert_eq!(done.losses.is_empty(), *fate == Whole, "{name}: {why}: {:#?}", done.losses);
            let dropped = done.losses.iter().any(|l| l.kept.is_none() && l.effect == Effect::Stricter);
            assert_eq!(dropped, *fate == Closed, "{name}: {why}: {:#?}", done.losses);
        }
    }
}

#[test]
fn what_left_ids_comes_back_to_the_same_odrl() {
    let Some(folder) = folder() else { return };
    for (name, ..) in FROM_IDS {
        let first = convert(&read(&folder, name), Some(Target::Dcat)).unwrap();
        let back = convert(&first.document.to_string(), Some(Target::Ids)).unwrap();
        let second = convert(&back.document.to_string(), Some(Target::Dcat)).unwrap();
        assert_eq!(second.document, first.document, "{name}");
    }
}

#[test]
fn each_file_has_its_line_in_a_table() {
    let Some(folder) = folder() else { return };
    let there: BTreeSet<String> =
        std::fs::read_dir(folder.join("policies")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let listed: Vec<&str> = INVALID.iter().map(|l| l.0).chain(FROM_ODRL.iter().chain(FROM_IDS).map(|l| l.0)).collect();
    assert_eq!(listed.len(), 55);
    assert_eq!(there, listed.into_iter().map(str::to_owned).collect());
}

#[test]
fn a_published_connector_is_a_catalogue() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("examples/CONNECTOR_1.jsonld")).unwrap();
    let done = convert(&text, None).unwrap();
    let catalogue = &done.document;
    assert_eq!(catalogue["@type"], "Catalog");
    assert_eq!(catalogue["@id"], "https://aastat.gov.de/connector/conn1/");
    assert_eq!(catalogue["participantId"], "https://im.internationaldataspaces.org/participant/part1");
    assert_eq!(catalogue["service"][0]["endpointURL"], "https://monconnector.aastat.gov.de");
    assert_eq!(catalogue["dct:title"], "Mobile base connector");
    // It has no rules and every node of its graph is referred to: only the endpoint is not what DSP means.
    assert_eq!(done.losses.len(), 1, "{:#?}", done.losses);
    let back = convert(&catalogue.to_string(), None).unwrap();
    assert_eq!(back.document["@type"], "ids:BaseConnector");
    assert_eq!(back.document["ids:inboundModelVersion"], "4.1.0");
}

#[test]
fn a_published_resource_loses_its_offer_for_a_misspelt_duty() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("examples/TEXT_RESOURCE.jsonld")).unwrap();
    let done = convert(&text, None).unwrap();
    assert_eq!(done.document["@type"], "Dataset");
    assert_eq!(done.document["dct:type"]["@id"], "https://w3id.org/idsa/core/TextResource");
    assert_eq!(done.document["distribution"][0]["format"], "https://www.iana.org/assignments/media-types/application/pdf");
    // The amount to pay stands under a name with a space at its end, so that nobody knows it.
    assert!(done.document.get("hasPolicy").is_none());
    for place in ["/contractOffer/permission/0/preObligation/constraint/rightOperand ", "/contractOffer/permission/0/preObligation", "/contractOffer/permission/0"] {
        assert!(done.losses.iter().any(|l| l.place == place && l.kept.is_none()), "{place}: {:#?}", done.losses);
    }
}

#[test]
fn turtle_is_not_read() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("examples/CONTRACT_MESSAGES.ttl")).unwrap();
    assert!(matches!(convert(&text, None), Err(ConvertError::NotJson { line: 1, .. })));
}
