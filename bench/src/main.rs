//! Measures every figure the project promises and prints it beside its target: `name value unit target ok|short`.
//!
//! Work is measured in CPU time, not by the wall clock, and ratios in one run against a baseline that stands beside it: so the figures
//! mean the same on a busy machine. A figure that cannot be taken is printed as short with the reason.
#![forbid(unsafe_code)]

mod city;
mod convert;
mod cpu;
mod dataspace;
mod deal;
mod decide;
mod edc;
mod figure;
mod limit;
mod program;
mod raw;
mod release;
mod sample;
mod store;
mod traffic;
mod wire;
mod world;

use figure::{Figure, Target, failed};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What measures some figures: the names it answers for, and how.
type Group = (&'static [(&'static str, &'static str, Target)], fn(&Wanted<'_>) -> Result<Vec<Figure>, String>);

/// Says whether a figure of this name is asked for.
type Wanted<'a> = dyn Fn(&str) -> bool + 'a;

/// Seconds after which measuring ends, unless another number is given.
const LIMIT: u64 = 900;

const GROUPS: &[Group] = &[
    (convert::FIGURES, convert::run),
    (decide::FIGURES, decide::run),
    (traffic::FIGURES, traffic::run),
    (dataspace::FIGURES, dataspace::run),
    (store::FIGURES, store::run),
    (program::FIGURES, program::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, rest @ ..] = arguments.as_slice()
        && mode == wire::BARE
    {
        return wire::serve_bare(rest);
    }
    let json = arguments.iter().any(|a| a == "--json");
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1));
    let only = after("--only");
    limit::set(after("--limit").and_then(|text| text.parse().ok()).unwrap_or(LIMIT));
    let wanted = |name: &str| only.is_none_or(|text| name.contains(text.as_str()));
    let mut all = Vec::new();
    for (names, measure) in GROUPS {
        if !names.iter().any(|(name, ..)| wanted(name)) {
            continue;
        }
        let measured = limit::check().and_then(|()| measure(&wanted));
        for (name, unit, target) in *names {
            if !wanted(name) {
                continue;
            }
            let figure = match &measured {
                Ok(figures) => figures.iter().find(|f| f.name == *name).cloned().unwrap_or_else(|| failed(name, unit, *target, "it was not measured")),
                Err(why) => failed(name, unit, *target, why),
            };
            if !json {
                println!("{}", figure.line());
            }
            all.push(figure);
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(all.iter().map(Figure::to_json).collect()));
    }
    // A missed target is a finding, not a failure of measuring.
    if all.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
