//! Each defence has a switch that a test build may turn off; its test must then fail, or it tests nothing.

use serde::Deserialize;
use std::process::Stdio;

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
pub fn run(faults: &[Fault], environment: &[(String, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for fault in faults {
        match (one(fault, environment, false), one(fault, environment, true)) {
            (Ok(true), Ok(false)) => println!("fault {} ... noticed by {}", fault.switch, fault.test),
            (Ok(false), _) => wrong.push(format!("{}: `{}` does not hold even with the defence on, or ran no test", fault.switch, fault.test)),
            (_, Ok(true)) => wrong.push(format!("{}: `{}` still holds with the defence off: it tests nothing", fault.switch, fault.test)),
            (Err(e), _) | (_, Err(e)) => wrong.push(format!("{}: {e}", fault.switch)),
        }
    }
    wrong
}

/// Whether the one test ran and held.
fn one(fault: &Fault, environment: &[(String, String)], off: bool) -> Result<bool, String> {
    let mut command = crate::cargo();
    command.args(["test", "--quiet", "--package", &fault.package, "--test", "it"]);
    if let Some(feature) = &fault.feature {
        command.args(["--features", feature]);
    }
    command.args(["--", "--exact", &fault.test]).envs(environment.iter().map(|(k, v)| (k, v)));
    if off {
        command.env("WAYBILL_FAULT", &fault.switch);
    }
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("cargo could not start: {e}"))?;
    let mut counts = crate::report::Counts::default();
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| counts.add_line(line));
    if counts.binaries == 0 {
        return Err(format!("the test did not run: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(output.status.success() && counts.passed == 1)
}
