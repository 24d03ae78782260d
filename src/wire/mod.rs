//! Where the parts meet: the one table of adapters, and the hub put together from a configuration.

pub mod assemble;
mod dataspace;
mod feeds;
mod office;
mod pods;
mod run;
mod terms;

use crate::commands::Exit;
use crate::config::Config;
use std::path::PathBuf;
use waybill_model::{Problem, ProblemCode};

/// Runs the hub on `config` until it is told to stop. `files` are read again on SIGHUP; none without a file.
pub fn run(config: Config, files: Vec<PathBuf>) -> Result<Exit, Problem> {
    runtime()?.block_on(run::until_told(config, files))
}

/// Plays the story on stand-ins; with `script` it ends by itself.
pub fn demo(script: bool) -> Result<Exit, Problem> {
    runtime()?.block_on(crate::demo::play(script))
}

fn runtime() -> Result<tokio::runtime::Runtime, Problem> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Problem::new(ProblemCode("internal-error"), 500, "The program cannot start", e.to_string()))
}
