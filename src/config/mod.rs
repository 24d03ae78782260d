//! One TOML file a city, overlays over it, and everything that is wrong with them said at once.
//!
//! Text → tree with places → overlays → variables → typed sections → lint. Each step goes on after an error, so that one run shows all.

pub mod dataspace;
pub mod finding;
mod lint;
mod lint_dataspace;
pub mod model;
mod names;
mod node;
mod read;
mod reader;
mod routes;
pub mod secret;
pub mod source;

use finding::{Finding, Findings, Level};
pub use model::Config;
use source::{Place, Sources};
use std::path::PathBuf;

/// What came of reading files: perhaps a configuration, and all that is wrong.
pub struct Loaded {
    /// The files, for showing findings.
    pub sources: Sources,
    /// All that is wrong, in the order of the files.
    pub findings: Vec<Finding>,
    /// The configuration, as far as it could be read. To be used only when [`Loaded::is_sound`].
    pub config: Option<Config>,
}

impl Loaded {
    /// Whether a hub may run on it: there are no errors.
    pub fn is_sound(&self) -> bool {
        self.config.is_some() && self.errors() == 0
    }
    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.findings.iter().filter(|f| f.level == Level::Error).count()
    }
}

/// Reads `files`, the city's own first, with variables of this process.
pub fn load(files: &[PathBuf]) -> Loaded {
    load_with(files, &|name| std::env::var(name).ok())
}

/// Reads `files` with variables from `variable`.
pub fn load_with(files: &[PathBuf], variable: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let mut sources = Sources::default();
    let findings = Findings::default();
    let mut whole: Option<node::Node> = None;
    for path in files {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => {
                let message = format!("{} cannot be read: {}", path.display(), e.kind());
                findings.add(Finding { place: None, ..Finding::error("file-missing", Place::default(), message) });
                continue;
            }
        };
        let file = sources.add(path, text);
        let node = node::parse(&sources, file, &findings);
        match &mut whole {
            None => whole = Some(node),
            Some(base) => node::merge(base, node),
        }
    }
    let config = whole.map(|mut node| {
        node::fill(&mut node, &sources, variable, &findings);
        read::config(&node, &sources, &findings)
    });
    if let Some(config) = &config {
        lint::check(config, &findings);
    }
    Loaded { sources, findings: findings.into_sorted(), config }
}
