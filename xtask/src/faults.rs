//! Each defence has a switch that a test build may turn off; its test must then fail, or it tests nothing.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the switches are listed.
const LIST: &str = "xtask/faults.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default, rename = "fault")]
    faults: Vec<Fault>,
}

/// A switch and the test that must notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The switch, as the code under test names it in `WAYBILL_FAULT`.
    pub switch: String,
    /// The package whose test notices.
    pub package: String,
    /// The test's full name in `tests/it.rs`.
    pub test: String,
    /// A feature the package needs to have the switch at all.
    pub feature: Option<String>,
}

/// Reads the list; a missing file is an empty list.
pub fn load() -> Result<Vec<Fault>, String> {
    let path = crate::root().join(LIST);
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str::<List>(&text).map(|l| l.faults).map_err(|e| format!("{LIST}: {e}")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(format!("{LIST}: {e}")),
    }
}

/// Runs every switch: first the test as it is (it must hold), then with the defence off (it must fail). Gives what went wrong.
pub fn run(faults: &[Fault], environment: &[(String, String)]) -> Result<Vec<String>, String> {
    let programs = build(faults)?;
    let mut wrong = Vec::new();
    for fault in faults {
        let Some(program) = programs.get(fault.package.as_str()) else {
            wrong.push(format!("{}: {} has no tests/it.rs", fault.switch, fault.package));
            continue;
        };
        match (one(program, fault, environment, false), one(program, fault, environment, true)) {
            (Ok(true), Ok(false)) => println!("fault {} ... noticed by {}", fault.switch, fault.test),
            (Ok(false), _) => wrong.push(format!("{}: `{}` does not hold even with the defence on, or there is no such test", fault.switch, fault.test)),
            (_, Ok(true)) => wrong.push(format!("{}: `{}` still holds with the defence off: it tests nothing", fault.switch, fault.test)),
            (Err(e), _) | (_, Err(e)) => wrong.push(format!("{}: {e}", fault.switch)),
        }
    }
    Ok(wrong)
}

/// A test binary and the folder its tests expect to run in.
struct Program {
    file: PathBuf,
    folder: PathBuf,
}

/// Builds the test binaries of all packages with switches, in one go. By package.
fn build(faults: &[Fault]) -> Result<BTreeMap<&str, Program>, String> {
    let packages: BTreeSet<&str> = faults.iter().map(|f| f.package.as_str()).collect();
    let features: BTreeSet<String> = faults.iter().filter_map(|f| Some(format!("{}/{}", f.package, f.feature.as_ref()?))).collect();
    let mut command = crate::cargo();
    command.args(["test", "--no-run", "--test", "it", "--message-format", "json-render-diagnostics"]);
    for package in &packages {
        command.args(["--package", package]);
    }
    for feature in &features {
        command.args(["--features", feature]);
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(|e| format!("cargo could not start: {e}"))?;
    if !output.status.success() {
        return Err("the tests do not build with their switches".to_owned());
    }
    let mut programs = BTreeMap::new();
    for line in output.stdout.split(|b| *b == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let (Some(file), Some(id)) = (message["executable"].as_str(), message["package_id"].as_str()) else { continue };
        let name = packages.iter().find(|p| id.contains(&format!("#{p}@")));
        let folder = message["manifest_path"].as_str().map(Path::new).and_then(Path::parent);
        if let (Some(name), Some(folder)) = (name, folder) {
            programs.insert(*name, Program { file: file.into(), folder: folder.to_owned() });
        }
    }
    Ok(programs)
}

/// Whether the one test ran and held.
fn one(program: &Program, fault: &Fault, environment: &[(String, String)], off: bool) -> Result<bool, String> {
    let mut command = Command::new(&program.file);
    command.args(["--exact", &fault.test]).current_dir(&program.folder).envs(environment.iter().map(|(k, v)| (k, v)));
    if off {
        command.env("WAYBILL_FAULT", &fault.switch);
    }
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("the test could not start: {e}"))?;
    let mut counts = crate::report::Counts::default();
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| counts.add_line(line));
    Ok(output.status.success() && counts.passed == 1)
}
