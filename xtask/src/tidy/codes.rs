//! Every code that a caller can meet is explained by `waybill explain`.

use super::{Breach, House};
use std::collections::{BTreeMap, BTreeSet};

const TABLE: &str = "src/codes.rs";
/// The rest of it.
const MORE: &str = "src/codes/";
/// What stands before a code where it is made.
const MAKERS: &[&str] =
    &["ProblemCode(", "Diagnostic::new(", "Finding::error(", "Finding::warning(", ".fault(", "bad_data(", "invalid_request(", "not_supported(", "not_found(", "make(", "ErrorKind::Invalid => (", "ErrorKind::TooComplex => ("];
/// An error's own function that gives its codes.
const GIVER: &str = " fn code(";

pub fn explained(house: &House) -> Vec<Breach> {
    let tables = house.rust().filter(|f| *f == TABLE || f.starts_with(MORE));
    let table: String = tables.filter_map(|f| house.text(f)).collect();
    let known: BTreeSet<&str> = table.split("code(").skip(1).filter_map(first_literal).collect();
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    let shipped = |f: &&str| ["hub/", "adapters/", "src/"].iter().any(|p| f.starts_with(p)) && !f.contains("/tests/") && *f != TABLE && !f.starts_with(MORE);
    for file in house.rust().filter(shipped) {
        let text = house.text(file).unwrap_or_default();
        for maker in MAKERS {
            for code in text.split(maker).skip(1).filter_map(first_literal) {
                said.entry(code.to_owned()).or_insert_with(|| file.to_owned());
            }
        }
        for body in text.split(GIVER).skip(1).filter_map(|rest| rest.split("\n    }").next()) {
            for code in body.split("=> ").skip(1).filter_map(first_literal) {
                said.entry(code.to_owned()).or_insert_with(|| file.to_owned());
            }
        }
        // `fault_at(key, code, …)` names its code second.
        for rest in text.split(".fault_at(").skip(1) {
            if let Some(code) = rest.split_once(',').and_then(|(_, r)| first_literal(r)) {
                said.entry(code.to_owned()).or_insert_with(|| file.to_owned());
            }
        }
    }
    said.iter()
        .filter(|(code, _)| !known.contains(code.as_str()))
        .map(|(code, file)| Breach(format!("{file} says `{code}`, which {TABLE} does not explain")))
        .collect()
}

/// The switches in the code and those in the list are the same.
pub fn switches(house: &House) -> Vec<Breach> {
    let listed: BTreeSet<String> = match crate::faults::load() {
        Ok(faults) => faults.into_iter().map(|f| f.switch).collect(),
        Err(e) => return vec![Breach(e)],
    };
    let mut built: BTreeMap<String, String> = BTreeMap::new();
    for file in house.rust().filter(|f| (f.starts_with("hub/") || f.starts_with("adapters/") || f.starts_with("src/")) && !f.contains("/tests/")) {
        for switch in house.text(file).unwrap_or_default().split("off(").skip(1).filter_map(first_literal) {
            built.entry(switch.to_owned()).or_insert_with(|| file.to_owned());
        }
    }
    let unlisted = built.iter().filter(|(s, _)| !listed.contains(*s)).map(|(s, file)| format!("{file} has the switch `{s}`, for which xtask/faults.toml names no test"));
    let unbuilt = listed.iter().filter(|s| !built.contains_key(*s)).map(|s| format!("xtask/faults.toml lists `{s}`, which no code has"));
    unlisted.chain(unbuilt).map(Breach).collect()
}

/// The kebab-case literal that `text` begins with, white space aside.
fn first_literal(text: &str) -> Option<&str> {
    let code = text.trim_start().strip_prefix('"')?.split('"').next()?;
    let kebab = !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    kebab.then_some(code)
}
