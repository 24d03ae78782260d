//! Where the parts meet: the one table of adapters, and the hub put together from a configuration.

pub mod assemble;
mod office;
mod pods;
mod run;
mod terms;

use crate::cli::{Doctor, Format};
use crate::commands::Exit;
use crate::config::Config;
use std::path::{Path, PathBuf};
use waybill_model::{Problem, ProblemCode};

/// Runs the hub on `config` until it is told to stop. `files` are read again on SIGHUP; none without a file.
pub fn run(config: Config, files: Vec<PathBuf>) -> Result<Exit, Problem> {
    runtime()?.block_on(run::until_told(config, files))
}

/// Plays the story on stand-ins; with `script` it ends by itself.
pub fn demo(script: bool) -> Result<Exit, Problem> {
    runtime()?.block_on(crate::demo::play(script))
}

/// Verifies a bundle or a tagged entity.
pub fn verify(file: &Path, format: Format) -> Result<Exit, Problem> {
    let _ = (file, format);
    Err(not_wired("verify"))
}

/// Looks at a broker.
pub fn doctor(args: &Doctor, format: Format) -> Result<Exit, Problem> {
    let _ = (args, format);
    Err(not_wired("doctor"))
}

/// Copies the store in `data` to the file `to`.
pub fn backup(data: &Path, to: &Path) -> Result<Exit, Problem> {
    let _ = (data, to);
    Err(not_wired("backup"))
}

/// Puts the copy `from` in the place of the store in `data`.
pub fn restore(data: &Path, from: &Path) -> Result<Exit, Problem> {
    let _ = (data, from);
    Err(not_wired("restore"))
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Problem::new(ProblemCode("internal-error"), 500, "The program cannot start", e.to_string()))
}

fn not_wired(what: &str) -> Problem {
    Problem::new(ProblemCode("not-built-in"), 501, "Not part of this build", format!("`waybill {what}` is not part of this build"))
}
