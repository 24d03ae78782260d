//! Conversions of our own small documents: input, output and report stand in one file each.

use super::support::values;
use serde_json::Value;
use waybill_ids::{Target, convert};

fn check(name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let target = if fixture["to"] == "ids" { Target::Ids } else { Target::Dcat };
    let done = convert(&fixture["input"].to_string(), None).unwrap();
    assert_eq!(done.target, target, "{name}: the direction");
    let mut document = done.document;
    document.as_object_mut().unwrap().remove("@context").unwrap();
    assert_eq!(document, fixture["output"], "{name}\n{document:#}");
    let mut said: Vec<String> = done.losses.iter().map(|l| format!("{} {} {}", l.place, if l.kept.is_some() { "kept" } else { "dropped" }, l.effect.name())).collect();
    let mut expected: Vec<String> = values(&fixture, "losses").iter().map(|l| l.as_str().unwrap().to_owned()).collect();
    said.sort();
    expected.sort();
    assert_eq!(said, expected, "{name}: {:#?}", done.losses);
}

#[test]
fn an_offer_with_its_span_and_a_count() {
    check("offer.json");
}

#[test]
fn what_has_no_twin_leaves_out_permissions_and_broadens_prohibitions() {
    check("no-twin.json");
}

#[test]
fn a_lost_obligation_closes_the_policy() {
    check("lost-obligation.json");
}

#[test]
fn duties_keep_when_they_are_due() {
    check("duties.json");
}

#[test]
fn full_names_and_lists_say_the_same() {
    check("expanded.json");
}

#[test]
fn a_connector_is_a_catalogue_of_catalogues() {
    check("connector.json");
}

#[test]
fn odrl_that_ids_can_say_and_that_it_cannot() {
    check("odrl.json");
}

#[test]
fn a_catalogue_of_dsp_is_a_connector() {
    check("dsp-catalogue.json");
}
