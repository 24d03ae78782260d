//! `waybill verify`: whether a bundle is what its issuer signed, and whether the consent in it still stands.

use super::Exit;
use crate::cli::{Format, Verify};
use waybill_consent::{Verdict, verify_bundle};
use waybill_model::{Clock, Problem, ProblemCode};

pub(super) fn run(args: &Verify, format: Format) -> Result<Exit, Problem> {
    let bytes = std::fs::read(&args.file)
        .map_err(|e| Problem::new(ProblemCode("file-missing"), 400, "The file cannot be read", format!("{}: {e}", args.file.display())))?;
    let report = verify_bundle(&bytes, Clock::system().now());
    let at = report.as_of.map_or_else(|| "an unknown time".to_owned(), |t| t.to_string());
    let verdict = match report.verdict {
        Verdict::Valid => format!("valid as of {at}"),
        Verdict::NotValid => "not valid".to_owned(),
        Verdict::StatusUnknown => format!("signature good, status unknown since {at}"),
        Verdict::Unverified => "well-formed, unverified".to_owned(),
    };
    match format {
        Format::Json => println!(
            "{}",
            serde_json::json!({
                "verdict": verdict, "code": report.verdict.exit_code(), "asOf": report.as_of, "reasons": report.reasons,
                "issuers": report.issuers, "keysEnclosed": report.keys_enclosed,
            })
        ),
        Format::Text => {
            println!("{verdict}");
            report.reasons.iter().for_each(|reason| println!("  {reason}"));
            if !report.issuers.is_empty() {
                println!("  signed by {}", report.issuers.join(", "));
            }
            if report.keys_enclosed {
                println!("  by keys from the bundle itself: compare them with the issuer's did.json to know who it is");
            }
        }
    }
    Ok(report.verdict.exit_code())
}
