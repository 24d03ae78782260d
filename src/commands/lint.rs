//! `waybill lint`: everything that is wrong with a configuration, at once.

use super::{Exit, FAILED, GOOD, NO};
use crate::cli::{Format, Lint};
use crate::config::{self, Loaded, finding};
use std::io::IsTerminal;

pub(super) fn run(args: &Lint, format: Format) -> Exit {
    let loaded = config::load(&args.files);
    print(&loaded, format, false);
    if !loaded.is_sound() {
        FAILED
    } else if args.strict && !loaded.findings.is_empty() {
        NO
    } else {
        GOOD
    }
}

/// Prints findings: on standard output for `lint`, on standard error when something else goes on.
pub(super) fn print(loaded: &Loaded, format: Format, aside: bool) {
    let warnings = loaded.findings.len() - loaded.errors();
    let text = match format {
        Format::Json => format!("{}\n", finding::to_json(&loaded.findings, &loaded.sources)),
        Format::Text => {
            let colour = if aside { std::io::stderr().is_terminal() } else { std::io::stdout().is_terminal() };
            let blocks = finding::render(&loaded.findings, &loaded.sources, colour && std::env::var_os("NO_COLOR").is_none());
            format!("{blocks}{} error(s), {warnings} warning(s)\n", loaded.errors())
        }
    };
    if aside {
        eprint!("{text}");
    } else {
        print!("{text}");
    }
}
