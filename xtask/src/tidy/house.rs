//! Rules on how a crate is laid out.

use super::{Breach, House};

/// What every adapter has, so that who knows one knows all.
const ADAPTER_FILES: &[&str] = &[
    "src/lib.rs",
    "src/config.rs",
    "src/decode.rs",
    "src/encode.rs",
    "src/client.rs",
    "src/server.rs",
    "src/health.rs",
    "tests/it.rs",
];
/// What an offline codec has instead, and why each is one. It opens no connection, so it has no client, server, configuration or health;
/// files of those names would be empty.
const OFFLINE_CODECS: &[(&str, &str)] =
    &[("adapters/ids", "IDS connectors are frozen: their documents are migrated once, by a command, and nothing is spoken to them")];
const CODEC_FILES: &[&str] = &["src/lib.rs", "src/decode.rs", "src/encode.rs", "src/loss.rs", "src/vocab.rs", "tests/it.rs"];
/// Linking a test binary is what a test run waits for.
const MOST_TEST_BINARIES: usize = 25;

pub fn adapter_files(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.members() {
        let folder = house.folder(package);
        if !folder.starts_with("adapters/") {
            continue;
        }
        let has = |file: &str| {
            let stem = file.trim_end_matches(".rs");
            house.files.iter().any(|f| *f == format!("{folder}/{file}") || *f == format!("{folder}/{stem}/mod.rs"))
        };
        let codec = OFFLINE_CODECS.iter().find(|(codec, _)| *codec == folder);
        let wanted = if codec.is_some() { CODEC_FILES } else { ADAPTER_FILES };
        for file in wanted.iter().filter(|f| !has(f)) {
            found.push(Breach(format!("{folder} lacks {file}")));
        }
        if let Some((_, why)) = codec {
            for file in ADAPTER_FILES.iter().filter(|f| !CODEC_FILES.contains(f) && has(f)) {
                found.push(Breach(format!("{folder} has {file} but is listed as an offline codec ({why}): take it off the list")));
            }
        }
        if !house.files.iter().any(|f| f.starts_with(&format!("{folder}/fixtures/"))) {
            found.push(Breach(format!("{folder} lacks fixtures/")));
        }
    }
    found
}

pub fn library_heads(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.members() {
        for target in &package.targets {
            let kind = target.kind.first().map_or("", String::as_str);
            if !matches!(kind, "lib" | "bin") {
                continue;
            }
            let file = target.src_path.strip_prefix(&house.root).unwrap_or(&target.src_path).display().to_string();
            let text = house.text(&file).unwrap_or_default();
            let first = text.lines().next().unwrap_or_default();
            if !(first.starts_with("//! ") && first.len() > 12) {
                found.push(Breach(format!("{file} does not open with a line that says what it is for")));
            }
            if !text.lines().any(|l| l.trim() == "#![forbid(unsafe_code)]") {
                found.push(Breach(format!("{file} lacks #![forbid(unsafe_code)]")));
            }
        }
        let manifest = house.text(format!("{}/Cargo.toml", house.folder(package)).trim_start_matches('/')).unwrap_or_default();
        if !manifest.contains("[lints]\nworkspace = true") {
            found.push(Breach(format!("{} does not take the workspace's lints", package.name)));
        }
    }
    found
}

pub fn test_binaries(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut binaries = 0;
    for package in house.metadata.members() {
        let tests: Vec<&str> =
            package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "test")).map(|t| t.name.as_str()).collect();
        if tests.iter().any(|t| *t != "it") {
            found.push(Breach(format!("{} has test binaries {}: one, tests/it.rs, with modules", package.name, tests.join(", "))));
        }
        binaries += tests.len();
        for target in package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "lib" || k == "bin")) {
            if target.doctest {
                found.push(Breach(format!("{} runs doctests: write `doctest = false`", package.name)));
            }
            let folder = house.folder(package);
            let source = if folder.is_empty() { "src/".to_owned() } else { format!("{folder}/src/") };
            let units = house.rust().filter(|f| f.starts_with(&source)).any(|f| house.text(f).unwrap_or_default().lines().any(|l| l.trim() == "#[cfg(test)]"));
            match (target.test, units) {
                (true, false) => found.push(Breach(format!(
                    "{} builds an empty unit test binary for {}: write `test = false`",
                    package.name, target.name
                ))),
                (false, true) => found.push(Breach(format!("{} has unit tests that never run: {} says `test = false`", package.name, target.name))),
                (true, true) => binaries += 1,
                (false, false) => {}
            }
        }
    }
    if binaries > MOST_TEST_BINARIES {
        found.push(Breach(format!("{binaries} test binaries, more than {MOST_TEST_BINARIES}: move unit tests into tests/it.rs")));
    }
    found
}

pub fn names(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.members() {
        let folder = house.folder(package);
        let last = folder.rsplit('/').next().unwrap_or_default();
        let expected = match folder.as_str() {
            "" => "waybill".to_owned(),
            "xtask" => "xtask".to_owned(),
            _ => format!("waybill-{last}"),
        };
        if package.name != expected {
            found.push(Breach(format!("the crate in {folder} is named {}, not {expected}", package.name)));
        }
    }
    found
}
