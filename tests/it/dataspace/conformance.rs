//! The compatibility kit of the Dataspace Protocol against the program. The kit says what it does; what the connector under test is to do
//! at each step is said here, by dataset and by agreement.

use crate::it::java::turn;
use crate::it::tck::{DSP_TCK, run_tck};
use crate::it::town::Town;
use std::fmt::Write as _;

const TOKEN: &str = "kit-0123456789abcdef";

/// What the provider does, by dataset: state and act.
const PROVIDER: &[(&str, &[&str])] = &[
    ("0101", &["REQUESTED:offer"]),
    ("0102", &["REQUESTED:offer", "REQUESTED:terminate"]),
    ("0103", &["REQUESTED:offer", "ACCEPTED:agree", "VERIFIED:finalize"]),
    ("0104", &["REQUESTED:agree", "VERIFIED:finalize"]),
    ("0201", &["REQUESTED:terminate"]),
    ("0202", &[]),
    ("0203", &["REQUESTED:agree"]),
    ("0204", &["REQUESTED:offer"]),
    ("0205", &["REQUESTED:offer", "OFFERED:terminate"]),
    ("0206", &["REQUESTED:offer", "ACCEPTED:terminate"]),
    ("0207", &["REQUESTED:agree", "VERIFIED:terminate"]),
    ("0301", &["REQUESTED:agree", "VERIFIED:finalize"]),
    ("0302", &["REQUESTED:offer"]),
    ("0303", &["REQUESTED:offer"]),
    ("0304", &["REQUESTED:offer"]),
];
/// What the consumer does, by dataset.
const CONSUMER: &[(&str, &[&str])] = &[
    ("0101", &["OFFERED:accept", "AGREED:verify"]),
    ("0102", &["OFFERED:request"]),
    ("0103", &["OFFERED:terminate"]),
    ("0104", &["AGREED:verify"]),
    ("0201", &[]),
    ("0202", &["REQUESTED:terminate"]),
    ("0203", &["AGREED:terminate"]),
    ("0204", &[]),
    ("0205", &["OFFERED:accept"]),
    ("0206", &["AGREED:verify"]),
    ("0301", &[]),
    ("0302", &[]),
    ("0303", &[]),
    ("0304", &["OFFERED:accept"]),
    ("0305", &["OFFERED:accept"]),
    ("0306", &["OFFERED:accept"]),
];
/// What the provider does in a transfer, by agreement.
const GIVES: &[(&str, &[&str])] = &[
    ("0101", &["REQUESTED:start", "STARTED:terminate"]),
    ("0102", &["REQUESTED:start", "STARTED:complete"]),
    ("0103", &["REQUESTED:start", "STARTED:suspend", "SUSPENDED:terminate"]),
    ("0104", &["REQUESTED:start", "STARTED:suspend", "SUSPENDED:start", "STARTED:complete"]),
    ("0105", &["REQUESTED:terminate"]),
    ("0201", &["REQUESTED:start"]),
    ("0202", &["REQUESTED:start"]),
    ("0203", &["REQUESTED:start"]),
    ("0204", &["REQUESTED:start"]),
    ("0205", &[]),
    ("0301", &[]),
    ("0302", &[]),
    ("0303", &["REQUESTED:start"]),
    ("0304", &["REQUESTED:start"]),
    ("0305", &["REQUESTED:start"]),
    ("0306", &["REQUESTED:start"]),
];
/// What the consumer does in a transfer, by agreement.
const TAKES: &[(&str, &[&str])] = &[
    ("0101", &[]),
    ("0102", &[]),
    ("0103", &[]),
    ("0104", &[]),
    ("0105", &[]),
    ("0201", &["STARTED:terminate"]),
    ("0202", &["STARTED:complete"]),
    ("0203", &["STARTED:suspend", "SUSPENDED:terminate"]),
    ("0204", &["STARTED:suspend", "SUSPENDED:start", "STARTED:complete"]),
    ("0205", &["REQUESTED:terminate"]),
    ("0301", &[]),
    ("0302", &[]),
    ("0303", &[]),
    ("0304", &[]),
    ("0305", &[]),
    ("0306", &[]),
];

fn list(steps: &[&str]) -> String {
    format!("{steps:?}")
}

/// The connector under test: datasets on offer with their scripts, and the agreements that transfers run under.
fn connector() -> String {
    let mut out = format!(
        r#"
[dataspace]
participant = "urn:connector:under-test"
[[participant]]
name = "kit"
id = "TCK_PARTICIPANT"
party = "urn:party:kit"
token = "{TOKEN}"
"#
    );
    let offer = |out: &mut String, dataset: &str| {
        let _ = write!(out, "[[offer]]\nname = \"{dataset}\"\ndataset = \"{dataset}\"\nroute = \"air\"\n");
    };
    for dataset in ["CAT0101", "CAT0102"] {
        offer(&mut out, dataset);
    }
    for (id, steps) in PROVIDER {
        offer(&mut out, &format!("ACN{id}"));
        let _ = write!(out, "offer_id = \"CD123:ACN{id}:456\"\nscript = {}\n", list(steps));
    }
    let _ = writeln!(out, "[dataspace.conformance]\ndelay_ms = 500");
    for (id, steps) in CONSUMER {
        let _ = write!(out, "[[dataspace.conformance.negotiation]]\ndataset = \"ACNC{id}\"\nscript = {}\n", list(steps));
    }
    for (prefix, role, all) in [("ATP", "provider", GIVES), ("ATPC", "consumer", TAKES)] {
        for (id, steps) in all {
            let _ = write!(out, "[[dataspace.conformance.transfer]]\nagreement = \"{prefix}{id}\"\nscript = {}\n", list(steps));
            let _ = write!(out, "[[dataspace.conformance.agreement]]\nid = \"{prefix}{id}\"\ndataset = \"CAT0101\"\nparticipant = \"TCK_PARTICIPANT\"\nrole = \"{role}\"\n");
        }
    }
    out
}

/// Which dataset, offer and agreement each test of the kit uses.
fn identifiers() -> Vec<(String, String)> {
    let mut out = Vec::new();
    let test = |id: &str| format!("{}_{}", &id[..2], &id[2..]);
    for (id, _) in PROVIDER {
        out.push((format!("CN_{}_DATASETID", test(id)), format!("ACN{id}")));
        out.push((format!("CN_{}_OFFERID", test(id)), format!("CD123:ACN{id}:456")));
    }
    for (id, _) in CONSUMER {
        out.push((format!("CN_C_{}_DATASETID", test(id)), format!("ACNC{id}")));
    }
    for (prefix, name, all) in [("ATP", "TP", GIVES), ("ATPC", "TP_C", TAKES)] {
        for (id, _) in all {
            out.push((format!("{name}_{}_AGREEMENTID", test(id)), format!("{prefix}{id}")));
            out.push((format!("{name}_{}_FORMAT", test(id)), "HttpData-PULL".into()));
        }
    }
    for id in ["01", "02"] {
        out.push((format!("CAT_01_{id}_DATASETID"), format!("CAT01{id}")));
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compatibility_kit_finds_nothing_wrong() {
    let Some(classes) = DSP_TCK.required("the compatibility kit against the hub") else { return };
    let _turn = turn().await;
    let town = Town::start(&connector());
    let base = format!("http://{}", town.addr);
    let (protocol, authorization) = (format!("{base}/dsp/2025-1"), format!("Bearer {TOKEN}"));
    let (negotiations, transfers) = (format!("{base}/dsp/conformance/negotiations"), format!("{base}/dsp/conformance/transfers"));
    let own = [
        ("dataspacetck.dsp.local.connector", "false"),
        ("dataspacetck.dsp.connector.agent.id", "urn:connector:under-test"),
        ("dataspacetck.dsp.connector.http.url", protocol.as_str()),
        ("dataspacetck.dsp.connector.http.base.url", base.as_str()),
        ("dataspacetck.dsp.connector.http.headers.authorization", authorization.as_str()),
        ("dataspacetck.dsp.connector.negotiation.initiate.url", negotiations.as_str()),
        ("dataspacetck.dsp.connector.transfer.initiate.url", transfers.as_str()),
        // Seconds.
        ("dataspacetck.dsp.default.wait", "15"),
    ];
    let ids = identifiers();
    let properties: Vec<(&str, &str)> = own.into_iter().chain(ids.iter().map(|(k, v)| (k.as_str(), v.as_str()))).collect();
    run_tck(DSP_TCK, &classes, &properties).demand("DSP TCK against the hub");
}
