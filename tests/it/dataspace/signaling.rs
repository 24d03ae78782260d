//! The compatibility kit of Data Plane Signaling against the program: the kit is the control plane, the hub the data plane behind it.

use crate::it::java::turn;
use crate::it::program::free;
use crate::it::tck::{DPS_TCK, run_tck_at};
use crate::it::town::Town;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;

const TOKEN: &str = "plane-0123456789abcdef";
const PARTICIPANT: &str = "urn:connector:under-test";

/// What the hub does by itself, by test: state and act. Nothing of it is on offer, so that none of these flows opens anything.
const SCRIPTS: &[(&str, &str)] = &[
    ("DP_C_PULL_04_01", "PREPARING:prepare"),
    ("DP_C_PUSH_04_01", "PREPARING:prepare"),
    ("DP_C_PULL_03_01", "STARTED:complete"),
    ("DP_P_PULL_04_01", "STARTING:start"),
    ("DP_P_PUSH_04_01", "STARTING:start"),
    ("DP_P_PUSH_03_01", "STARTED:complete"),
];
/// The kit's tests of data planes.
const TESTS: &[(&str, &[&str])] = &[
    ("DP_C_PULL", &["01-01", "01-02", "02-01", "02-02", "03-01", "04-01"]),
    ("DP_C_PUSH", &["01-01", "01-02", "02-01", "02-02", "03-01", "04-01"]),
    ("DP_P_PULL", &["01-01", "01-02", "02-01", "02-02", "04-01"]),
    ("DP_P_PUSH", &["01-01", "01-02", "02-01", "02-02", "03-01", "04-01"]),
    ("DP_C_HTTP_PULL", &["01-01", "02-01"]),
    ("DP_P_HTTP_PULL", &["01-01", "02-01", "02-02"]),
];

fn data_plane(kit: SocketAddr) -> String {
    let mut out = format!(
        r#"
[dataspace]
participant = "{PARTICIPANT}"
[dataspace.control_plane]
url = "http://{kit}"
token = "{TOKEN}"
[dataspace.conformance]
delay_ms = 500
"#
    );
    for (test, script) in SCRIPTS {
        let _ = write!(out, "[[dataspace.conformance.flow]]\ndataset = \"{test}\"\nscript = [\"{script}\"]\n");
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compatibility_kit_of_data_planes_finds_nothing_wrong() {
    let Some(classes) = DPS_TCK.required("the compatibility kit of data planes against the hub") else { return };
    let _turn = turn().await;
    let [kit] = free::<1>();
    let town = Town::start(&data_plane(kit));
    let (plane, authorization) = (format!("http://{}/dsp/dataplane", town.addr), format!("Bearer {TOKEN}"));
    // The client of a renewal is who the right was given to: the kit's own DID.
    let client = format!("did:web:{}%3A{}", kit.ip(), kit.port());
    let own = [
        ("dataspacetck.test.package", "org.eclipse.dataspacetck.dps.verification.dataplane"),
        ("dataspacetck.dps.local.connector", "false"),
        ("dataspacetck.dps.dataplane.url", plane.as_str()),
        ("dataspacetck.dps.dataplane.authorization", authorization.as_str()),
        ("dataspacetck.dps.dataplane.provider.id", PARTICIPANT),
        ("dataspacetck.dps.dataplane.counterparty.id", client.as_str()),
        // Seconds.
        ("dataspacetck.dps.default.wait", "15"),
    ];
    let ids: Vec<String> = SCRIPTS.iter().map(|(test, _)| format!("{test}_DATASETID")).collect();
    let properties: Vec<(&str, &str)> = own.into_iter().chain(ids.iter().zip(SCRIPTS).map(|(k, (test, _))| (k.as_str(), *test))).collect();
    let result = run_tck_at(kit, DPS_TCK, &classes, &properties);
    result.demand("DPS TCK against the hub");
    let held: BTreeSet<String> = result.tests.iter().filter(|(_, held)| *held).map(|(name, _)| name.clone()).collect();
    let all: BTreeSet<String> = TESTS.iter().flat_map(|(group, list)| list.iter().map(move |id| format!("{group}:{id}"))).collect();
    assert_eq!(held, all, "each of them, and once");
}
