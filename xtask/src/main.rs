//! Project tasks: `cargo xtask test`, `tidy`, `bench`, `faults`, `peers`.
#![forbid(unsafe_code)]

mod bench;
mod faults;
mod maven;
mod metadata;
mod peer;
mod peers;
mod report;
mod test;
mod tidy;
mod walks;

use std::process::ExitCode;

const USAGE: &str = "\
Project tasks of Waybill

    cargo xtask test  [--no-faults] [-- ARGS]  set up the peers, check the house rules, run every test, print one summary
    cargo xtask tidy                           check the house rules only
    cargo xtask bench [--json] [--only TEXT]   measure every figure and print it beside its target
    cargo xtask faults                         turn each defence off and see that its test notices
    cargo xtask peers                          set up the real peers only, and say which are ready

With CI=true a peer that could not be set up is a failure.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("test") => test::run(rest),
        Some("tidy") => tidy::run(),
        Some("bench") => bench::run(rest),
        Some("peers") => Ok(peer::run()),
        Some("faults") => only_faults(),
        Some("help" | "--help" | "-h") | None => {
            println!("{USAGE}");
            Ok(true)
        }
        Some(other) => Err(format!("there is no task `{other}`\n\n{USAGE}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(2)
        }
    }
}

fn only_faults() -> Result<bool, String> {
    let list = faults::load()?;
    let wrong = faults::run(&list, &[])?;
    for what in &wrong {
        println!("{what}");
    }
    println!("fault switches: {}, of which {} went wrong", list.len(), wrong.len());
    Ok(wrong.is_empty())
}

/// The repository's root, found from this crate's own folder.
fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs us.
fn cargo() -> std::process::Command {
    let mut command = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}
