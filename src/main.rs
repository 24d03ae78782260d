//! The waybill program: a thin command line over the hub.
#![forbid(unsafe_code)]

mod cli;
mod codes;
mod commands;
mod config;
mod demo;
mod wire;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let format = cli.format;
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            commands::print_problem(&problem, format);
            ExitCode::from(commands::FAILED)
        }
    }
}
