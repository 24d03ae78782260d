//! Every dependency comes under a licence that we may ship under Apache-2.0.

use super::{Breach, House};

/// SPDX identifiers we accept.
const ACCEPTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates we take under another licence, and why that is right.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("bitmaps", "MPL-2.0+", "through json-ld, unmodified: its copyleft ends at its own files"),
    ("im", "MPL-2.0+", "through json-ld, unmodified: its copyleft ends at its own files"),
    ("sized-chunks", "MPL-2.0+", "through json-ld, unmodified: its copyleft ends at its own files"),
];

pub fn check(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.foreign() {
        match package.license.as_deref() {
            Some(expression) if accepted(expression) || excepted(&package.name, expression) => {}
            Some(expression) => found.push(Breach(format!("{} {} comes under `{expression}`", package.name, package.version))),
            None => found.push(Breach(format!("{} {} names no licence", package.name, package.version))),
        }
    }
    for (name, _, _) in EXCEPTIONS.iter().filter(|(name, _, _)| !house.metadata.foreign().any(|p| p.name == *name)) {
        found.push(Breach(format!("{name} is no dependency any more: take its exception out of licences.rs")));
    }
    for member in house.metadata.members().filter(|m| m.license.as_deref() != Some("Apache-2.0")) {
        found.push(Breach(format!("{} must say `license.workspace = true`", member.name)));
    }
    found
}

fn excepted(name: &str, licence: &str) -> bool {
    EXCEPTIONS.iter().any(|(n, l, _)| *n == name && *l == licence)
}

/// Whether an SPDX expression leaves us a choice that we accept.
fn accepted(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let held = any(&words, &mut at);
    held && at == words.len()
}

fn any(words: &[&str], at: &mut usize) -> bool {
    let mut held = all(words, at);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        held |= all(words, at);
    }
    held
}

fn all(words: &[&str], at: &mut usize) -> bool {
    let mut held = one(words, at);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        held &= one(words, at);
    }
    held
}

fn one(words: &[&str], at: &mut usize) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let held = any(words, at);
        let closed = words.get(*at) == Some(&")");
        *at += 1;
        return held && closed;
    }
    // An exception only adds permissions.
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    ACCEPTED.contains(word)
}

#[cfg(test)]
mod tests {
    use super::accepted;

    #[test]
    fn an_expression_is_accepted_when_it_leaves_a_choice_we_accept() {
        for good in ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "Apache-2.0 WITH LLVM-exception OR X"] {
            assert!(accepted(good), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR X) AND GPL-3.0", "(MIT", "MIT )", "AND MIT"] {
            assert!(!accepted(bad), "{bad}");
        }
    }
}
