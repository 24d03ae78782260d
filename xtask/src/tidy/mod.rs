//! The house rules as checks: what a reader may rely on without reading everything.

mod codes;
mod features;
mod graph;
mod house;
mod licences;
mod sources;

use crate::metadata::Metadata;
use std::path::PathBuf;

/// One breach of a rule: where, what, and what to do.
pub struct Breach(pub String);

/// What the checks look at.
pub struct House {
    root: PathBuf,
    metadata: Metadata,
    /// Files that git tracks or would track, relative to the root.
    files: Vec<String>,
}

type Check = (&'static str, fn(&House) -> Vec<Breach>);

/// Every rule, by the name it is reported under.
const CHECKS: &[Check] = &[
    ("floors: a room uses only rooms below it", graph::floors),
    ("adapters use only what an adapter may", graph::adapters),
    ("stand-ins share no code with the hub", graph::stand_ins),
    ("heavy crates stay in their one room", graph::confined),
    ("one version of each direct dependency", graph::direct_versions),
    ("duplicates further down are listed with their cause", graph::duplicates),
    ("serde_json keeps no insertion order", graph::preserve_order),
    ("what is for tests and figures only is turned on by nothing that ships", features::test_only),
    ("licences", licences::check),
    ("the same files in every adapter", house::adapter_files),
    ("each lib.rs opens with its purpose and forbids unsafe code", house::library_heads),
    ("one integration test binary a crate, no doctests, few binaries", house::test_binaries),
    ("crates are named after their folder", house::names),
    ("no unfinished code", sources::unfinished),
    ("no unwrap, expect or panic outside tests without its invariant", sources::invariants),
    ("an ignored test says why", sources::ignored),
    ("no paths of one machine, no other registry", sources::machine_paths),
    ("the time comes from the injected clock", sources::clock),
    ("files stay readable in length", sources::length),
    ("every code that can be said is explained", codes::explained),
    ("every defence's switch has a test that must notice", codes::switches),
];

/// Runs every check and prints the outcome of each. Whether all held.
pub fn run() -> Result<bool, String> {
    let root = crate::root();
    let house = House { metadata: Metadata::load()?, files: tracked(&root)?, root };
    let mut breaches = 0;
    for (name, check) in CHECKS {
        let found = check(&house);
        println!("tidy {name} ... {}", if found.is_empty() { "ok" } else { "FAILED" });
        for Breach(text) in &found {
            println!("    {text}");
        }
        breaches += found.len();
    }
    println!("tidy: {} checks, {breaches} breaches", CHECKS.len());
    Ok(breaches == 0)
}

impl House {
    /// The Rust files.
    fn rust(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str).filter(|f| std::path::Path::new(f).extension().is_some_and(|e| e == "rs"))
    }
    /// A file's text; nothing when it is not text.
    fn text(&self, file: &str) -> Option<String> {
        std::fs::read(self.root.join(file)).ok().and_then(|b| String::from_utf8(b).ok())
    }
    /// A package's folder relative to the root, empty for the root package.
    fn folder(&self, package: &crate::metadata::Package) -> String {
        let dir = package.manifest_path.parent().unwrap_or(&self.root);
        dir.strip_prefix(&self.root).unwrap_or(dir).display().to_string()
    }
}

fn tracked(root: &std::path::Path) -> Result<Vec<String>, String> {
    let output = std::process::Command::new("git")
        .current_dir(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .map_err(|e| format!("git could not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let mut files: Vec<String> =
        output.stdout.split(|b| *b == 0).filter(|f| !f.is_empty()).map(|f| String::from_utf8_lossy(f).into_owned()).collect();
    // A file that was removed but not committed as removed is still in the index.
    files.retain(|f| root.join(f).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}
