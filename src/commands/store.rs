//! `waybill backup` and `waybill restore`.

use super::{Exit, GOOD, block_on};
use crate::cli::{Backup, Restore};
use waybill_model::{Clock, Problem, ProblemCode};
use waybill_store::{Store, StoreError};

pub(super) fn backup(args: &Backup) -> Result<Exit, Problem> {
    // Opening makes a store where there is none, and an empty copy of a mistyped folder helps nobody.
    if !args.data.is_dir() {
        return Err(Problem::new(ProblemCode("file-missing"), 400, "There is no such folder", args.data.display().to_string())
            .help("Name the hub's data folder with --data."));
    }
    let store = Store::open(&args.data, Clock::system()).map_err(|e| told(&e, "The store cannot be copied"))?;
    let done = block_on(async {
        let done = store.backup(&args.to).await;
        store.close().await;
        done
    })?;
    done.map_err(|e| told(&e, "The store cannot be copied"))?;
    println!("copied to {}", args.to.display());
    Ok(GOOD)
}

pub(super) fn restore(args: &Restore) -> Result<Exit, Problem> {
    Store::restore(&args.from, &args.data).map_err(|e| told(&e, "The copy cannot be put back"))?;
    println!("restored into {}; the hub will hold what it withdrew since against the copy", args.data.display());
    Ok(GOOD)
}

fn told(error: &StoreError, title: &'static str) -> Problem {
    let code = match error {
        StoreError::InUse | StoreError::Busy => "store-in-use",
        StoreError::Corrupt(_) => "store-damaged",
        StoreError::TooNew { .. } => "store-too-new",
        StoreError::Full => "store-full",
        _ => "store-failed",
    };
    let problem = Problem::new(ProblemCode(code), 500, title, error.to_string());
    if code == "store-in-use" { problem.help("Stop the hub that runs on this folder.") } else { problem }
}
