//! Rules on the text of files.

use super::{Breach, House};

const LONGEST: usize = 600;

/// The lines of a file that are not inside its unit tests, with their numbers.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().take_while(|(_, l)| l.trim() != "#[cfg(test)]").map(|(i, l)| (i + 1, l))
}

/// Whether a file is only ever built for tests.
fn is_test(file: &str) -> bool {
    file.split('/').any(|part| matches!(part, "tests" | "benches" | "fuzz"))
}

pub fn unfinished(house: &House) -> Vec<Breach> {
    // Put together so that this file does not accuse itself.
    let markers = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
        concat!("// TO", "DO"),
        concat!("TO", "DO("),
        concat!("XX", "X"),
        concat!("for", " now"),
        concat!("in a real", " system"),
        concat!("in a real", " implementation"),
    ];
    let marked = |line: &str, marker: &str| {
        // A part of a longer word is no marker.
        line.match_indices(marker).any(|(at, _)| {
            let part = |c: char| c.is_alphanumeric() || c == '_';
            let before = marker.starts_with(part) && line[..at].ends_with(part);
            let after = marker.ends_with(part) && line[at + marker.len()..].starts_with(part);
            !before && !after
        })
    };
    lines_with(house, house.rust(), |line| markers.iter().find(|m| marked(line, m)).map(|m| format!("`{m}`: finish it or take it out")))
}

pub fn ignored(house: &House) -> Vec<Breach> {
    let bare = concat!("#[ign", "ore]");
    lines_with(house, house.rust(), |line| {
        (line.trim() == bare).then(|| format!("say why: {}", concat!("#[ign", "ore = \"…\"]")))
    })
}

pub fn machine_paths(house: &House) -> Vec<Breach> {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/fa", "rm/")];
    let texts = house.files.iter().map(String::as_str).filter(|f| {
        [".rs", ".toml", ".md", ".sh", ".yml", ".yaml", ".json", ".jsonld", ".html", ".css", ".js", ".ttl"].iter().any(|e| f.ends_with(e))
            || f.starts_with(".ci/")
    });
    let mut found = lines_with(house, texts, |line| {
        let names_folder = |folder: &str| {
            line.match_indices(folder).any(|(at, _)| {
                // Part of a longer path or of a URL is something else.
                !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_' | '}'))
            })
        };
        folders.iter().find(|f| names_folder(f)).map(|f| format!("names a folder of one machine (`{f}`)"))
    });
    let lock = house.text("Cargo.lock").unwrap_or_default();
    for line in lock.lines().filter_map(|l| l.strip_prefix("source = \"")) {
        if line.trim_end_matches('"') != "registry+https://github.com/rust-lang/crates.io-index" {
            found.push(Breach(format!("Cargo.lock: a dependency comes from `{}`", line.trim_end_matches('"'))));
        }
    }
    found
}

pub fn clock(house: &House) -> Vec<Breach> {
    let call = concat!("SystemTime", "::now");
    let zoned = concat!("Timestamp", "::now");
    let hub = house.rust().filter(|f| {
        (f.starts_with("hub/") || f.starts_with("adapters/") || f.starts_with("src/")) && !is_test(f) && *f != "hub/model/src/clock.rs"
    });
    lines_with(house, hub, |line| {
        (line.contains(call) || line.contains(zoned)).then(|| "reads the system's time: take waybill_model::Clock".to_owned())
    })
}

pub fn length(house: &House) -> Vec<Breach> {
    house
        .rust()
        .filter_map(|f| {
            let lines = house.text(f)?.lines().count();
            (lines > LONGEST).then(|| Breach(format!("{f} has {lines} lines, more than {LONGEST}: one subject a file")))
        })
        .collect()
}

pub fn invariants(house: &House) -> Vec<Breach> {
    let calls = [concat!(".unw", "rap()"), concat!(".exp", "ect(\""), concat!("pan", "ic!("), concat!("unrea", "chable!(")];
    let mut found = Vec::new();
    for file in house.rust().filter(|f| !is_test(f)) {
        let text = house.text(file).unwrap_or_default();
        let lines: Vec<(usize, &str)> = shipped(&text).collect();
        for (at, (number, line)) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // A method of ours that happens to be called so gives its error on.
            let Some(call) = calls.iter().find(|c| code.split(**c).skip(1).any(|after| !after.contains(")?"))) else { continue };
            let explained = lines[at.saturating_sub(3)..=at].iter().any(|(_, l)| l.contains("INVARIANT:"));
            if !explained {
                found.push(Breach(format!("{file}:{number}: `{call}` without an `// INVARIANT:` that says why it cannot happen")));
            }
        }
    }
    found
}

fn lines_with<'a>(house: &House, files: impl Iterator<Item = &'a str>, judge: impl Fn(&str) -> Option<String>) -> Vec<Breach> {
    let mut found = Vec::new();
    for file in files {
        for (at, line) in house.text(file).unwrap_or_default().lines().enumerate() {
            if let Some(what) = judge(line) {
                found.push(Breach(format!("{file}:{}: {what}", at + 1)));
            }
        }
    }
    found
}
