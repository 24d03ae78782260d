//! The protocol's own JSON Schemas and example messages, for tests only: they belong to their authors and lie beside the repository.

use jsonschema::{Retrieve, Uri, Validator};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of the protocol's files; nothing when it is absent, which fails in CI.
fn folder() -> Option<PathBuf> {
    let data = std::env::var_os("WAYBILL_SPEC_DATA").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let folder = data.join("dsp/2025-1");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the protocol's schemas are missing: set WAYBILL_SPEC_DATA");
    println!("skipped: the protocol's schemas are missing; set WAYBILL_SPEC_DATA");
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[derive(Clone)]
struct Known(BTreeMap<String, Value>);

impl Retrieve for Known {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0.get(uri.as_str()).cloned().ok_or_else(|| format!("there is no schema {uri}").into())
    }
}

/// One validator for each type of message.
pub struct Schemas(BTreeMap<String, Validator>);

/// The type that a schema is for, by its file's name.
fn kind(stem: &str) -> String {
    stem.trim_end_matches("-schema").split('-').flat_map(|word| [word[..1].to_uppercase(), word[1..].to_owned()]).collect()
}

impl Schemas {
    fn load(folder: &Path) -> Self {
        let mut known = BTreeMap::new();
        let mut roots = BTreeMap::new();
        for path in files(folder).into_iter().filter(|p| p.to_string_lossy().ends_with("-schema.json")) {
            // The published references to one file lack a slash, so no validator finds what they mean.
            let text = std::fs::read_to_string(&path).expect("readable").replace("transfer-schema.json#definitions", "transfer-schema.json#/definitions");
            let schema: Value = serde_json::from_str(&text).expect("JSON");
            known.insert(schema["$id"].as_str().expect("an id").to_owned(), schema.clone());
            roots.insert(kind(path.file_stem().expect("a name").to_str().expect("text")), schema);
        }
        let known = Known(known);
        let validators = roots.into_iter().map(|(kind, schema)| {
            let validator = jsonschema::options().with_retriever(known.clone()).build(&schema).unwrap_or_else(|e| panic!("{kind}: {e}"));
            (kind, validator)
        });
        Self(validators.collect())
    }

    /// What the schema of the type `kind` says of `message`: its first complaint.
    pub fn judge(&self, kind: &str, message: &Value) -> Result<(), String> {
        let name = if kind == "VersionResponse" { "ProtocolVersion" } else { kind };
        let validator = self.0.get(name).unwrap_or_else(|| panic!("there is no schema for {kind}; there are {:?}", self.0.keys()));
        validator.validate(message).map_err(|e| format!("{kind}: {e} at {}", e.instance_path()))
    }

    /// The same by the type that the message says it is of.
    pub fn check(&self, message: &Value) -> Result<(), String> {
        self.judge(message["@type"].as_str().unwrap_or("(none)"), message)
    }
}

/// The schemas; nothing where the data is absent.
pub fn schemas() -> Option<&'static Schemas> {
    static LOADED: OnceLock<Option<Schemas>> = OnceLock::new();
    LOADED.get_or_init(|| folder().map(|f| Schemas::load(&f))).as_ref()
}

/// Every example message of the protocol: its file's name and itself.
pub fn examples() -> Vec<(String, Value)> {
    let Some(folder) = folder() else { return Vec::new() };
    let named = files(&folder).into_iter().filter(|p| p.parent().is_some_and(|d| d.ends_with("example")));
    named.map(|p| (p.file_name().expect("a name").to_string_lossy().into_owned(), serde_json::from_slice(&std::fs::read(&p).expect("readable")).expect("JSON"))).collect()
}
