//! Sets up the real peers under `target/peers`: fetched once by their ordinary package managers, in fixed versions, never globally.

use crate::peer::PeerStatus;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program from the npm registry, in a folder of its own: beside others it can find a wrong module.
struct Npm {
    /// The name under which its tests ask for it.
    name: &'static str,
    /// Its folder below `target/peers`.
    folder: &'static str,
    /// Package and version.
    package: &'static str,
    version: &'static str,
}

const NPM: [Npm; 2] = [
    Npm { name: "community-solid-server", folder: "css", package: "@solid/community-server", version: "7.2.0" },
    // The newest that runs on Node 20.
    Npm { name: "edc-client", folder: "edc-client", package: "@think-it-labs/edc-connector-client", version: "0.9.0" },
];

/// Sets up what is missing. What is there in the right version is left as it is, so that this works without a network the second time.
pub fn setup() -> Vec<PeerStatus> {
    let home = home();
    let npm = NPM.iter().map(|peer| PeerStatus { name: peer.name.to_owned(), ready: npm(&home, peer), required: true });
    npm.chain(crate::maven::setup(&home)).collect()
}

/// Where the peers stand.
fn home() -> PathBuf {
    std::env::var_os("WAYBILL_PEERS").map_or_else(|| crate::root().join("target/peers"), PathBuf::from)
}

fn npm(home: &Path, peer: &Npm) -> Result<PathBuf, String> {
    let folder = home.join(peer.folder);
    if installed(&folder, peer).as_deref() == Some(peer.version) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let package = format!("{}@{}", peer.package, peer.version);
    let output = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(&folder)
        .arg(&package)
        .current_dir(&folder)
        .output()
        .map_err(|e| format!("npm cannot be run: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("npm install {package}: {}", said.lines().last().unwrap_or("it failed")));
    }
    match installed(&folder, peer) {
        Some(version) if version == peer.version => Ok(folder),
        found => Err(format!("npm install {package} left version {}", found.unwrap_or_else(|| "none".to_owned()))),
    }
}

/// The version that stands in `folder`.
fn installed(folder: &Path, peer: &Npm) -> Option<String> {
    let manifest = std::fs::read_to_string(folder.join("node_modules").join(peer.package).join("package.json")).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&manifest).ok()?;
    Some(manifest.get("version")?.as_str()?.to_owned())
}
