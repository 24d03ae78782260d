//! A client that was written for the Eclipse EDC's management interface, against ours: two hubs, one of which gives the other data.

use super::program::{PATIENCE, Program, call, client, free};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use waybill_http::Method;

const OPERATOR: &str = "operator-of-the-giver-0123456789";

/// The client's folder, or nothing after it was said that the test is skipped. With `CI=true` a missing client fails.
fn required(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("WAYBILL_PEER_EDC_CLIENT").map(PathBuf::from);
    let below = std::env::var_os("WAYBILL_PEERS").map(|home| PathBuf::from(home).join("edc-client"));
    let folder = named.or(below).unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/edc-client"));
    let package = folder.join("node_modules/@think-it-labs/edc-connector-client");
    if package.join("package.json").is_file() {
        return Some(package);
    }
    assert!(!std::env::var("CI").is_ok_and(|v| v == "true" || v == "1"), "no client of the EDC: run `cargo xtask peers`");
    eprintln!("skipped: {test}: no client of the EDC (`cargo xtask peers` sets it up)");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_edc_gets_data_from_one_hub_by_another() {
    let Some(package) = required("a client of the EDC") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let [giver, taker] = free::<2>();
    let places = [("GIVER", giver.to_string()), ("TAKER", taker.to_string())];
    let mut hubs = [
        Program::new("giver", "edc-client/giver.toml", folder.path(), &places),
        Program::new("taker", "edc-client/taker.toml", folder.path(), &places),
    ];
    let client = client();
    for (hub, at) in hubs.iter_mut().zip([giver, taker]) {
        hub.start(&[]);
        let began = Instant::now();
        while call(&client, Method::GET, &format!("http://{at}/readyz"), "", None).await.is_none_or(|a| a.status != 200) {
            assert!(began.elapsed() < PATIENCE, "the hub does not start\n{}", hub.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let air = json!({"id": "urn:ngsi-ld:AirQualityObserved:square", "type": "AirQualityObserved", "NO2": {"type": "Property", "value": 22.5}});
    let written = call(&client, Method::POST, &format!("http://{giver}/ngsi-ld/v1/entities"), OPERATOR, Some(&air)).await.expect("an answer");
    assert_eq!(written.status, 201);

    let walk = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/edc-client/walk.cjs");
    let mut command = Command::new("node");
    command.arg(walk).env("EDC_CLIENT", package).envs(places.iter().map(|(name, value)| (*name, value.as_str())));
    let done = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends").expect("node");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}\n{}\n{}", hubs[0].log(), hubs[1].log());
    let said: Value = serde_json::from_str(out.trim()).unwrap_or_else(|e| panic!("{e}: {out}"));
    assert_eq!(said["assets"], json!([["urn:dataset:air", "Air of the town"]]), "{said}");
    assert_eq!(said["policies"], json!([said["offer"]]), "{said}");
    assert_eq!(said["contracts"], 1, "{said}");
    assert_eq!(said["datasets"], json!(["urn:dataset:air"]), "{said}");
    assert_eq!(said["agreement"], json!({"asset": "urn:dataset:air", "known": true}), "{said}");
    assert_eq!((&said["data"]["status"], &said["data"]["body"][0]["id"]), (&json!(200), &air["id"]), "{said}");
    assert_eq!(said["after"], 401, "nothing is had after the end: {said}");
    assert_eq!(said["kept"], json!([[format!("http://{giver}/dsp/2025-1"), ["urn:dataset:air"]]]), "{said}");

    let defined = &said["defined"];
    assert_eq!(defined["made"], json!(["urn:asset:defined", "open", "defined"]), "{said}");
    assert_eq!(defined["permissions"], json!(["http://www.w3.org/ns/odrl/2/use"]), "{said}");
    assert_eq!((&defined["asset"], &defined["found"]), (&json!("Air once more"), &json!([["urn:asset:defined", "Renamed"]])), "{said}");
    assert_eq!(defined["refused"], json!(["Duplicate", "BadRequest", "Duplicate", "Duplicate", "Duplicate"]), "{said}");
    assert_eq!((&defined["data"]["status"], &defined["data"]["body"][0]["id"]), (&json!(200), &air["id"]), "{said}");
    assert_eq!((&defined["left"], &defined["state"], &defined["after"]), (&json!(["urn:dataset:air"]), &json!("TERMINATED"), &json!(401)), "{said}");
    assert_eq!((&defined["gone"], &defined["secret"]), (&json!("NotFound"), &json!(["key", false, "NotFound"])), "{said}");
    for hub in &hubs {
        assert!(!hub.log().contains("never-shown"), "a secret is in a log");
    }

    // The catalogue for data portals stands beside it, for nobody in particular.
    let open = call(&client, Method::GET, &format!("http://{giver}/dsp/dcat"), "", None).await.expect("an answer");
    let open: Value = open.json().expect("JSON");
    assert_eq!((&open["@type"], &open["dcat:dataset"]["dct:title"]), (&json!("dcat:Catalog"), &json!("Air of the town")), "{open}");
    assert_eq!(open["dct:publisher"]["foaf:name"], "Giver", "{open}");
}
