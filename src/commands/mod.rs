//! What each command does.

mod convert;
mod doctor;
mod explain;
mod hub;
mod ids;
mod lint;
mod remote;
mod store;
mod verify;

use crate::cli::{Cli, Command, Format};
use crate::config::Config;
use crate::config::model::Data;
use clap::CommandFactory;
use std::path::{Path, PathBuf};
use waybill_model::{Problem, ProblemCode};

/// How a command ended when it did what it was asked: the process's exit code.
pub type Exit = u8;

/// All went well.
pub const GOOD: Exit = 0;
/// The answer is no.
pub const NO: Exit = 1;
/// It could not be done.
pub const FAILED: Exit = 2;

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<Exit, Problem> {
    let format = cli.format;
    match cli.command {
        Command::Run(args) => run_hub(args, format),
        Command::Lint(args) => Ok(lint::run(&args, format)),
        Command::Demo(args) => crate::wire::demo(args.script),
        Command::Expand(args) => convert::expand(&args),
        Command::Compact(args) => convert::compact(&args),
        Command::Convert(crate::cli::ConvertFrom::Ids(args)) => ids::run(&args, format),
        Command::Explain(args) => explain::run(&args, format),
        Command::Verify(args) => verify::run(&args, format),
        Command::Doctor(args) => doctor::run(&args, format),
        Command::Backup(args) => store::backup(&args),
        Command::Restore(args) => store::restore(&args),
        Command::Completions(args) => {
            clap_complete::generate(args.shell, &mut Cli::command(), "waybill", &mut std::io::stdout());
            Ok(GOOD)
        }
        Command::Consent(_)
        | Command::Subject(_)
        | Command::Holder(_)
        | Command::Quarantine(_)
        | Command::DeadLetter(_)
        | Command::Keys(_)
        | Command::Journal(_) => remote::run(cli.command, format),
    }
}

fn run_hub(args: crate::cli::Run, format: Format) -> Result<Exit, Problem> {
    if args.files.is_empty() {
        if !args.listen.ip().is_loopback() {
            return Err(Problem::new(ProblemCode("open-listener"), 400, "Without a file only loopback", format!("{} can be reached from elsewhere", args.listen))
                .help("Write a configuration: it says who may do what."));
        }
        let data = if args.memory { Data::Memory } else { Data::Folder(args.data.unwrap_or_else(|| PathBuf::from("data"))) };
        return crate::wire::run(Config::bare(args.listen, data, args.preload_contexts), Vec::new());
    }
    let loaded = crate::config::load(&args.files);
    if !loaded.findings.is_empty() {
        lint::print(&loaded, format, true);
    }
    match loaded.config {
        Some(mut config) if !loaded.findings.iter().any(|f| f.level == crate::config::finding::Level::Error) => {
            config.hub.preload_contexts = args.preload_contexts.or(config.hub.preload_contexts);
            crate::wire::run(config, args.files)
        }
        _ => Ok(FAILED),
    }
}

/// Reads a file, or standard input for `-`.
fn read(path: &Path) -> Result<String, Problem> {
    let text = if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    text.map_err(|e| Problem::new(ProblemCode("file-missing"), 400, "The file cannot be read", format!("{}: {e}", path.display())))
}

/// A runtime for a command that makes a few calls.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(work))
        .map_err(|e| Problem::new(ProblemCode("internal-error"), 500, "The program cannot start", e.to_string()))
}

/// Prints a problem for people or programs.
pub fn print_problem(problem: &Problem, format: Format) {
    if format == Format::Json {
        eprintln!("{}", serde_json::json!(problem));
        return;
    }
    eprintln!("error[{}]: {}: {}", problem.code, problem.title, problem.detail);
    if let Some(place) = &problem.place {
        eprintln!("   at: {place}");
    }
    if let Some(help) = &problem.help {
        eprintln!("  help: {help}");
    }
}
