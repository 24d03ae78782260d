//! `waybill convert ids`: documents of the IDS Information Model to DCAT and ODRL and back, with what was lost.

use super::{Exit, GOOD, NO, print_problem, read};
use crate::cli::{ConvertIds, ConvertTo, Format};
use serde_json::json;
use std::path::Path;
use waybill_ids::{Conversion, ConvertError, Loss, Target, convert};
use waybill_model::{Problem, ProblemCode};

/// Converted, and something is not in the output as it was.
const LOST: Exit = 3;

pub(super) fn run(args: &ConvertIds, format: Format) -> Result<Exit, Problem> {
    let text = read(&args.file)?;
    let target = args.to.map(|to| match to {
        ConvertTo::Dcat => Target::Dcat,
        ConvertTo::Ids => Target::Ids,
    });
    let done = match convert(&text, target) {
        Ok(done) => done,
        Err(error) => {
            print_problem(&not_understood(&error), format);
            return Ok(NO);
        }
    };
    let Conversion { document, losses, .. } = done;
    match args.loss.as_deref() {
        Some(path) if path == Path::new("-") => println!("{:#}", json!({ "document": document, "loss": losses })),
        Some(path) => {
            std::fs::write(path, format!("{:#}\n", json!(losses))).map_err(|e| {
                Problem::new(ProblemCode("file-not-written"), 400, "The file cannot be written", format!("{}: {e}", path.display()))
            })?;
            println!("{document:#}");
        }
        None => {
            println!("{document:#}");
            report(&losses, format);
        }
    }
    Ok(if losses.is_empty() { GOOD } else { LOST })
}

fn report(losses: &[Loss], format: Format) {
    match format {
        Format::Json => eprintln!("{:#}", json!(losses)),
        Format::Text => losses.iter().for_each(|loss| eprintln!("{loss}")),
    }
}

fn not_understood(error: &ConvertError) -> Problem {
    let problem = Problem::new(ProblemCode(error.code()), 400, "The document cannot be converted", error.to_string());
    match error.place() {
        Some(place) => problem.at(place),
        None => problem,
    }
}
