//! The command line without a hub: what it says about configurations, codes and documents.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use waybill_conformance::{BrokerOptions, StandInBroker};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(name)
}

fn waybill(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_waybill")).args(arguments).stdin(Stdio::null()).env_remove("OPERATOR_TOKEN").output().unwrap()
}

fn lint(files: &[PathBuf]) -> (Option<i32>, Vec<Value>) {
    let mut arguments = vec!["lint", "--format", "json"];
    arguments.extend(files.iter().map(|f| f.to_str().unwrap()));
    let output = waybill(&arguments);
    let list = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stdout)));
    (output.status.code(), list)
}

/// Lines and codes: what `#~` in the file announces, and what lint says, must be the same.
fn check(name: &str) {
    let file = fixture(name);
    let text = std::fs::read_to_string(&file).unwrap();
    let mut expected: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        if let Some((_, codes)) = line.split_once("#~") {
            expected.insert(at + 1, sorted(codes.split_whitespace().map(str::to_owned).collect()));
        }
    }
    let (exit, found) = lint(&[file]);
    let mut actual: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for finding in &found {
        let line = usize::try_from(finding["line"].as_u64().unwrap()).unwrap();
        actual.entry(line).or_default().push(finding["code"].as_str().unwrap().to_owned());
    }
    let actual = actual.into_iter().map(|(line, codes)| (line, sorted(codes))).collect::<BTreeMap<_, _>>();
    assert_eq!(actual, expected, "{name}");
    assert_eq!(exit, Some(2));
}

fn sorted(mut codes: Vec<String>) -> Vec<String> {
    codes.sort();
    codes
}

#[test]
fn every_fault_is_found_in_one_run_at_its_line() {
    let all: Vec<String> =
        std::fs::read_dir(fixture("faults")).unwrap().map(|e| format!("faults/{}", e.unwrap().file_name().to_str().unwrap())).collect();
    assert!(all.len() >= 3);
    all.iter().for_each(|name| check(name));
}

#[test]
fn a_whole_city_has_no_findings() {
    assert_eq!(lint(&[fixture("city.toml")]), (Some(0), vec![]));
}

#[test]
fn an_overlay_adds_replaces_by_name_and_shows_its_own_lines() {
    let (exit, found) = lint(&[fixture("city.toml"), fixture("overlay.toml")]);
    // The connection that it adds is used by nobody: a warning, at the overlay's line. Everything else still fits together.
    assert_eq!((exit, found.len()), (Some(0), 1), "{found:?}");
    assert_eq!(found[0]["code"], "unused");
    assert_eq!(found[0]["line"], 9);
    assert!(found[0]["file"].as_str().unwrap().ends_with("overlay.toml"));
    let strict = waybill(&["lint", "--strict", fixture("city.toml").to_str().unwrap(), fixture("overlay.toml").to_str().unwrap()]);
    assert_eq!(strict.status.code(), Some(1));
}

#[test]
fn findings_for_people_show_file_line_reason_and_help() {
    let output = waybill(&["lint", fixture("faults/routes.toml").to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["route-without-basis", "routes.toml:", "Add `basis`", "error(s)"] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn what_came_from_a_variable_or_file_is_never_printed() {
    let folder = tempfile::tempdir().unwrap();
    let secret = "hunter2hunter2hunter2";
    std::fs::write(folder.path().join("secret"), format!("{secret}\n")).unwrap();
    // A secret where a secret belongs, and the same wherever it is wrong, so that every error text has its chance to show it.
    let keys = ["party", "base_url", "role", "listen", "zone", "max_stale", "memory", "trusted_proxies", "may_call"];
    for source in ["${THE_SECRET}", "${file:secret}"] {
        let mut text = String::from("[hub]\n");
        for key in keys {
            text.push_str(&format!("{key} = \"{source}\"\n"));
        }
        text.push_str(&format!("[auth]\noperator_token = \"{source}\"\n[names]\nx = \"{source}\"\n"));
        text.push_str(&format!("[[client]]\nname = \"c\"\nparty = \"{source}\"\nissuer = \"{source}\"\n"));
        text.push_str(&format!("[[route]]\nname = \"r\"\nbasis = \"{source}\"\npurposes = [\"{source}\"]\nselect.types = [\"{source}\"]\nfrom = \"{source}\"\n"));
        let file = folder.path().join("city.toml");
        std::fs::write(&file, text).unwrap();
        for format in ["text", "json"] {
            let output = Command::new(env!("CARGO_BIN_EXE_waybill"))
                .args(["lint", "--format", format, file.to_str().unwrap()])
                .env("THE_SECRET", secret)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            let all = [output.stdout, output.stderr].concat();
            let all = String::from_utf8(all).unwrap();
            assert!(!all.contains(secret), "{source} as {format}:\n{all}");
        }
    }
}

#[test]
fn every_code_that_lint_can_say_is_explained() {
    let mut said: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(fixture("faults")).unwrap() {
        said.extend(lint(&[entry.unwrap().path()]).1.iter().map(|f| f["code"].as_str().unwrap().to_owned()));
    }
    said.sort();
    said.dedup();
    assert!(said.len() > 20);
    for code in said {
        let output = waybill(&["explain", &code]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.starts_with(&format!("{code}\n")), "{code}: {text}");
    }
}

#[test]
fn terms_are_explained_by_where_they_lead() {
    let output = waybill(&["explain", "location"]);
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("location → https://uri.etsi.org/ngsi-ld/location"));
    assert_eq!(waybill(&["explain", "noSuchTermAnywhere"]).status.code(), Some(1));
}

#[test]
fn a_document_is_expanded_and_compacted_back() {
    let folder = tempfile::tempdir().unwrap();
    let (document, context, expanded) = (folder.path().join("d.json"), folder.path().join("c.jsonld"), folder.path().join("e.json"));
    std::fs::write(&context, r#"{"@context": {"Meter": "https://x.example/Meter", "power": "https://x.example/power"}}"#).unwrap();
    std::fs::write(&document, r#"{"id": "urn:x:1", "type": "Meter", "power": {"type": "Property", "value": 1}}"#).unwrap();
    let context = context.to_str().unwrap();
    let output = waybill(&["expand", document.to_str().unwrap(), "--context", context]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value[0]["@type"][0], "https://x.example/Meter");
    assert_eq!(value[0]["https://x.example/power"][0]["https://uri.etsi.org/ngsi-ld/hasValue"][0]["@value"], 1);
    std::fs::write(&expanded, &output.stdout).unwrap();
    let output = waybill(&["compact", expanded.to_str().unwrap(), "--context", context]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["type"], &value["power"]["value"]), (&Value::from("Meter"), &Value::from(1)));
}

#[test]
fn an_ids_offer_is_converted_and_what_it_loses_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (offer, poor, odrl, loss) = (path("offer.json"), path("poor.json"), path("odrl.json"), path("loss.json"));
    let rule = |more: &str| format!(r#"{{ "ids:target": "urn:asset:1", "ids:action": "idsc:USE"{more} }}"#);
    let write = |to: &str, rule: String| {
        let text = format!(r#"{{ "@type": "ids:ContractOffer", "@id": "urn:offer:1", "ids:permission": [{rule}] }}"#);
        std::fs::write(to, text).unwrap();
    };
    write(&offer, rule(""));
    write(&poor, rule(r#", "ids:limit": 1"#));
    let output = waybill(&["convert", "ids", &offer]);
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&value["@type"], &value["permission"][0]["action"]), (&Value::from("Offer"), &Value::from("odrl:use")));
    std::fs::write(&odrl, &output.stdout).unwrap();
    let output = waybill(&["convert", "ids", &odrl, "--to", "ids"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["@type"], "ids:ContractOffer");
    let output = waybill(&["convert", "ids", &poor, "--loss", &loss]);
    assert_eq!(output.status.code(), Some(3));
    assert!(serde_json::from_slice::<Value>(&output.stdout).unwrap().get("permission").is_none());
    let report: Value = serde_json::from_slice(&std::fs::read(&loss).unwrap()).unwrap();
    assert_eq!((&report[0]["where"], &report[0]["dropped"]), (&Value::from("/ids:permission/0/ids:limit"), &Value::from(true)));
    let output = waybill(&["convert", "ids", &poor, "--loss", "-"]);
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["loss"], report);
    let output = waybill(&["convert", "ids", &offer, "--to", "ids", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let problem: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(problem["code"], "ids-not-understood");
    assert_eq!(waybill(&["explain", "ids-not-understood"]).status.code(), Some(0));
    assert_eq!(waybill(&["convert", "ids", &path("none.json")]).status.code(), Some(2));
}

#[test]
fn without_a_hub_a_remote_command_says_how_to_start_one() {
    let output = waybill(&["consent", "list", "--hub", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("hub-unreachable") && text.contains("waybill run"), "{text}");
}

#[test]
fn a_hub_without_a_file_refuses_to_listen_to_the_network() {
    let output = waybill(&["run", "--listen", "0.0.0.0:0", "--memory"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("open-listener"));
}

#[test]
fn the_configuration_in_the_readme_is_sound() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a TOML example");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("city.toml");
    std::fs::write(&file, example).unwrap();
    std::fs::write(folder.path().join("operator.token"), "0123456789abcdef0123").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .args(["lint", "--strict", file.to_str().unwrap()])
        .env("ADVICE_TOKEN", "0123456789abcdef4567")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_reads_only_and_drafts_a_sound_configuration() {
    let broker = StandInBroker::start(BrokerOptions::default()).await.unwrap();
    broker.put("", serde_json::json!({"id": "urn:x:1", "type": "https://x.example/Meter", "https://x.example/power": 1}));
    let url = broker.url();
    let output = tokio::task::spawn_blocking(move || waybill(&["doctor", &url])).await.unwrap();
    let draft = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{draft}");
    assert!(broker.seen().iter().all(|s| s.method == "GET"), "{:?}", broker.seen());
    assert!(draft.contains("https://x.example/Meter: 1 entities"), "{draft}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("city.toml");
    std::fs::write(&file, &draft).unwrap();
    assert_eq!(lint(&[file]), (Some(0), vec![]), "{draft}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_a_broker_that_hides_what_expired_from_one_that_does_not() {
    for (hides_expired, class) in [(true, "expiring"), (false, "plain")] {
        let broker = StandInBroker::start(BrokerOptions { hides_expired, ..BrokerOptions::default() }).await.unwrap();
        let url = broker.url();
        let output = tokio::task::spawn_blocking(move || waybill(&["doctor", &url, "--scratch", "probe", "--format", "json"])).await.unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["holder"], class);
        // Nothing is left behind, and the other tenants were not touched.
        assert!(broker.entities("probe").is_empty() && broker.entities("").is_empty());
        assert!(broker.seen().iter().filter(|s| s.method != "GET").count() >= 2);
    }
}

#[test]
fn a_copy_is_made_put_back_and_refused_when_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, copy, other, bad) = (path("data"), path("copy"), path("other"), path("bad"));
    assert_eq!(waybill(&["backup", &copy, "--data", &data]).status.code(), Some(2));
    std::fs::create_dir(&data).unwrap();
    assert_eq!(waybill(&["backup", &copy, "--data", &data]).status.code(), Some(0));
    assert_eq!(waybill(&["restore", &copy, "--data", &other]).status.code(), Some(0));
    std::fs::write(&bad, "no database").unwrap();
    let output = waybill(&["restore", &bad, "--data", &other]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("store-damaged"));
}

#[test]
fn a_file_that_is_no_bundle_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.json");
    std::fs::write(&file, r#"{"entity": {}}"#).unwrap();
    assert_eq!(waybill(&["verify", file.to_str().unwrap()]).status.code(), Some(1));
}
