//! Rules on the dependency graph.

use super::{Breach, House};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The floor of each room. A room uses only rooms on lower floors.
const FLOORS: &[(&str, u8)] = &[
    ("waybill-model", 1),
    ("waybill-keys", 2),
    ("waybill-policy", 2),
    ("waybill-query", 2),
    ("waybill-http", 3),
    ("waybill-store", 3),
    ("waybill-context", 4),
    ("waybill-consent", 4),
    ("waybill-journal", 4),
    ("waybill-gate", 5),
    ("waybill-port", 6),
    ("waybill-exchange", 7),
    ("waybill-portal", 8),
    ("waybill-ngsi-ld", 8),
    ("waybill-solid", 8),
    ("waybill-peer", 8),
    ("waybill-dsp", 8),
    ("waybill-ids", 8),
    ("waybill", 9),
    // Beside the house: they look at it from outside.
    (STAND_INS, 9),
    ("waybill-bench", 10),
    ("xtask", 10),
];

const STAND_INS: &str = "waybill-conformance";

/// What an adapter may use of the hub: never store, journal, consent, policy or portal.
const ADAPTER_MAY_USE: &[&str] = &[
    "waybill-model",
    "waybill-context",
    "waybill-query",
    "waybill-http",
    "waybill-keys",
    "waybill-port",
    "waybill-gate",
    "waybill-exchange",
];

/// Crates that only one room may name, and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("json-ld", &["waybill-context"], "it alone is a hundred crates and stays behind one function"),
    ("json-syntax", &["waybill-context"], "it is json-ld's own JSON type"),
    ("rusqlite", &["waybill-store", "waybill-bench"], "only the store knows SQL"),
    ("reqwest", &["waybill-http"], "there is one outbound client, with its guard"),
];

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// Edges between our own crates: (user, used, only in tests).
fn own_edges(house: &House) -> Vec<(&str, &str, bool)> {
    let mut edges = Vec::new();
    for package in house.metadata.members() {
        for (id, dev) in house.metadata.uses(&package.id) {
            if let Some(used) = house.metadata.package(id).filter(|p| house.metadata.is_member(&p.name)) {
                edges.push((package.name.as_str(), used.name.as_str(), dev));
            }
        }
    }
    edges
}

pub fn floors(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.members() {
        if floor(&package.name).is_none() {
            found.push(Breach(format!("{} has no floor: give it one in xtask/src/tidy/graph.rs and in ARCHITECTURE.md", package.name)));
        }
    }
    for (user, used, dev) in own_edges(house) {
        let (Some(from), Some(to)) = (floor(user), floor(used)) else { continue };
        // Stand-ins hold no hub code, so a test on any floor may play against them, and the demo does.
        let against_stand_in = used == STAND_INS && (dev || user == "waybill");
        if to >= from && !against_stand_in {
            found.push(Breach(format!("{user} (floor {from}) uses {used} (floor {to}): move what is needed down, or turn the call around")));
        }
    }
    found
}

pub fn adapters(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.members().filter(|p| house.folder(p).starts_with("adapters/")) {
        for (_, used, dev) in own_edges(house).into_iter().filter(|(user, _, _)| *user == package.name) {
            // A test puts a hub together to have something to speak to; what ships does not.
            let permitted = dev || ADAPTER_MAY_USE.contains(&used);
            if !permitted {
                found.push(Breach(format!("{} uses {used}: an adapter reaches the hub through exchange, port and gate", package.name)));
            }
        }
    }
    found
}

pub fn stand_ins(house: &House) -> Vec<Breach> {
    let Some(package) = house.metadata.members().find(|p| p.name == STAND_INS) else { return Vec::new() };
    house
        .metadata
        .reach(&package.id)
        .into_iter()
        .filter_map(|id| house.metadata.package(id))
        .filter(|p| house.metadata.is_member(&p.name))
        .map(|p| Breach(format!("{STAND_INS} uses {}: a stand-in that shares the hub's code shares its faults", p.name)))
        .collect()
}

pub fn confined(house: &House) -> Vec<Breach> {
    let mut found = Vec::new();
    for package in house.metadata.members() {
        for declared in package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev")) {
            for (name, rooms, why) in CONFINED {
                if declared.name == *name && !rooms.contains(&package.name.as_str()) {
                    found.push(Breach(format!("{} names {name}, which belongs to {}: {why}", package.name, rooms[0])));
                }
            }
        }
    }
    found
}

pub fn direct_versions(house: &House) -> Vec<Breach> {
    let mut direct: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for member in house.metadata.members() {
        for (id, _) in house.metadata.uses(&member.id) {
            if let Some(used) = house.metadata.package(id) {
                direct.entry(&used.name).or_default().entry(&used.version).or_default().push(&member.name);
            }
        }
    }
    let mut found: Vec<Breach> = direct
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| {
            let who: Vec<String> = versions.iter().map(|(v, users)| format!("{v} by {}", users.join(", "))).collect();
            Breach(format!("{name} is used in several versions: {}; name it once in [workspace.dependencies]", who.join("; ")))
        })
        .collect();
    for file in house.files.iter().filter(|f| f.ends_with("/Cargo.toml")) {
        for (at, line) in house.text(file).unwrap_or_default().lines().enumerate() {
            let ours = line.contains("path = ");
            if !ours && line.contains("version = \"") && line.contains('{') {
                found.push(Breach(format!("{file}:{}: a version outside the root Cargo.toml; write `name.workspace = true`", at + 1)));
            }
        }
    }
    found
}

const DUPLICATES: &str = "xtask/allowed-duplicates.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    #[serde(default)]
    duplicate: Vec<Duplicate>,
}

/// A crate that stands in the graph in several versions, and who is to blame.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Duplicate {
    name: String,
    versions: BTreeSet<String>,
    cause: String,
}

pub fn duplicates(house: &House) -> Vec<Breach> {
    let text = house.text(DUPLICATES).unwrap_or_default();
    let allowed: Allowed = match toml::from_str(&text) {
        Ok(allowed) => allowed,
        Err(e) => return vec![Breach(format!("{DUPLICATES}: {e}"))],
    };
    let present: BTreeMap<&str, BTreeSet<String>> = house
        .metadata
        .versions()
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| (name, versions.into_iter().map(lead).collect()))
        .collect();
    let mut found = Vec::new();
    for (name, versions) in &present {
        let list = versions.iter().cloned().collect::<Vec<_>>().join(", ");
        match allowed.duplicate.iter().find(|d| d.name == *name) {
            None => found.push(Breach(format!("{name} stands in the graph in versions {list}: remove one, or list it with its cause in {DUPLICATES}"))),
            Some(d) if !versions.is_subset(&d.versions) => {
                found.push(Breach(format!("{name} now stands in the graph in versions {list}, more than {DUPLICATES} allows")));
            }
            Some(d) if *versions != d.versions => {
                found.push(Breach(format!("{name} needs only versions {list} now: shorten its entry in {DUPLICATES}")));
            }
            Some(_) => {}
        }
    }
    for entry in &allowed.duplicate {
        if !present.contains_key(entry.name.as_str()) {
            found.push(Breach(format!("{} is no duplicate any more: remove its entry from {DUPLICATES}", entry.name)));
        }
        if entry.cause.trim().len() < 5 {
            found.push(Breach(format!("{} in {DUPLICATES} names no cause", entry.name)));
        }
    }
    found
}

/// What distinguishes incompatible versions: `1.4.2` → `1`, `0.13.1` → `0.13`. Two compatible versions never stand side by side.
fn lead(version: &str) -> String {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        _ => version.to_owned(),
    }
}

pub fn preserve_order(house: &House) -> Vec<Breach> {
    if house.metadata.features("serde_json").contains("preserve_order") {
        return vec![Breach(
            "some crate turns on serde_json's preserve_order, which slows every JSON tree in the program: find it with \
             `cargo tree -e features -i serde_json` and leave its feature off"
                .to_owned(),
        )];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::lead;

    #[test]
    fn versions_are_told_apart_by_what_makes_them_incompatible() {
        for (version, expected) in [("1.4.2", "1"), ("0.13.1", "0.13"), ("2.0.0-rc.1", "2"), ("0.0.3", "0.0")] {
            assert_eq!(lead(version), expected);
        }
    }
}
