//! What `cargo metadata` knows of the workspace and its dependency graph.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The platform whose graph is judged: one, so that everybody gets the same verdict.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    pub workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
pub struct Package {
    pub id: String,
    pub name: String,
    pub version: String,
    pub license: Option<String>,
    pub manifest_path: PathBuf,
    pub targets: Vec<Target>,
    pub dependencies: Vec<Declared>,
    /// Its features, and what each turns on.
    #[serde(default)]
    pub features: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub struct Target {
    pub name: String,
    pub kind: Vec<String>,
    pub src_path: PathBuf,
    pub test: bool,
    pub doctest: bool,
}

/// A dependency as a manifest declares it.
#[derive(Debug, Deserialize)]
pub struct Declared {
    pub name: String,
    /// Nothing for an ordinary dependency, else `dev` or `build`.
    pub kind: Option<String>,
    /// The features that it asks for.
    #[serde(default)]
    pub features: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
    features: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo.
    pub fn load() -> Result<Self, String> {
        let output = crate::cargo()
            .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM])
            .output()
            .map_err(|e| format!("cargo metadata could not start: {e}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata answered unreadably: {e}"))
    }

    /// The packages of the workspace.
    pub fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| self.workspace_members.contains(&p.id))
    }

    /// Whether a package of that name belongs to the workspace.
    pub fn is_member(&self, name: &str) -> bool {
        self.members().any(|p| p.name == name)
    }

    /// What a package uses directly: (package id, whether only its tests do).
    pub fn uses(&self, id: &str) -> Vec<(&str, bool)> {
        let Some(node) = self.resolve.nodes.iter().find(|n| n.id == id) else { return Vec::new() };
        node.deps.iter().map(|e| (e.pkg.as_str(), e.dep_kinds.iter().all(|k| k.kind.as_deref() == Some("dev")))).collect()
    }

    /// The package with that id.
    pub fn package(&self, id: &str) -> Option<&Package> {
        self.packages.iter().find(|p| p.id == id)
    }

    /// The packages that really stand in the graph of the platform, by name, with their versions.
    pub fn versions(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in self.resolve.nodes.iter().filter_map(|n| self.package(&n.id)) {
            found.entry(&package.name).or_default().insert(&package.version);
        }
        found
    }

    /// The packages in the graph that are not ours.
    pub fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.resolve.nodes.iter().filter_map(|n| self.package(&n.id)).filter(|p| !self.workspace_members.contains(&p.id))
    }

    /// Everything a package reaches, itself excluded, without what only tests use.
    pub fn reach(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = self.uses(id).into_iter().filter(|(_, dev)| !dev).map(|(p, _)| p).collect();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(self.uses(next).into_iter().filter(|(_, dev)| !dev).map(|(p, _)| p));
            }
        }
        seen
    }

    /// The features that are on for the packages named `name`.
    pub fn features(&self, name: &str) -> BTreeSet<&str> {
        let ids: BTreeSet<&str> = self.packages.iter().filter(|p| p.name == name).map(|p| p.id.as_str()).collect();
        self.resolve.nodes.iter().filter(|n| ids.contains(n.id.as_str())).flat_map(|n| n.features.iter().map(String::as_str)).collect()
    }
}
