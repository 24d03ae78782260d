//! The crash walks: builds in which a process dies at a numbered point, of the store alone and of the whole program, and in which the
//! program can be started ahead of time.

use std::process::Command;

/// The packages that have a walk, each with the feature of that name. A walk's tests lie in a module `walk`.
const PACKAGES: [&str; 2] = ["waybill-store", "waybill"];

/// The command that runs them.
pub fn command() -> Command {
    let mut command = crate::cargo();
    command.args(["test", "--no-fail-fast", "--test", "it"]);
    for package in PACKAGES {
        command.args(["--package", package, "--features", &format!("{package}/crash-points")]);
    }
    command.args(["--", "walk::"]);
    command
}

/// The store's walk, those of the two cities, those of the two sides of a deal, and the hour that is not waited for. A test that was renamed must not be left out in silence.
pub const LEAST: u64 = 6;
