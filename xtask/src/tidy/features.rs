//! Features that take something away which must hold in the program: no manifest turns them on, but where it is said here.

use super::{Breach, House};
use crate::metadata::Package;

/// A feature, and the packages whose manifests may turn it on. The task that runs the tests turns the others on for a build of its own.
const TEST_ONLY: &[(&str, &[&str])] = &[("bench", &["waybill-bench"]), ("faults", &["waybill-exchange"]), ("crash-points", &["waybill"]), ("moved-clock", &["waybill"])];

pub fn test_only(house: &House) -> Vec<Breach> {
    let members: Vec<&Package> = house.metadata.members().collect();
    turned_on(&members)
}

/// Where one of the features is turned on that must not be: by a dependency, or by another feature that anybody may ask for.
fn turned_on(members: &[&Package]) -> Vec<Breach> {
    let ours = |name: &str| members.iter().any(|m| m.name == name);
    let mut found = Vec::new();
    for package in members {
        let may = |feature: &str| TEST_ONLY.iter().find(|(name, _)| *name == feature).is_none_or(|(_, who)| who.contains(&package.name.as_str()));
        for declared in package.dependencies.iter().filter(|d| ours(&d.name)) {
            for feature in declared.features.iter().filter(|f| !may(f)) {
                found.push(Breach(format!("{} turns on `{feature}` of {}: that is for tests or figures only", package.name, declared.name)));
            }
        }
        for (name, turns_on) in &package.features {
            for entry in turns_on {
                // `other/feature`, `other?/feature` or a feature of its own.
                let feature = entry.rsplit('/').next().unwrap_or(entry);
                let restricted = TEST_ONLY.iter().any(|(f, _)| *f == feature);
                // What is restricted itself may turn on more of the kind, if its package may at all.
                let within = may(feature) && TEST_ONLY.iter().any(|(f, _)| f == name);
                if restricted && !within {
                    found.push(Breach(format!("{}: its feature `{name}` turns on `{entry}`: that is for tests or figures only", package.name)));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::turned_on;
    use crate::metadata::Package;
    use serde_json::{Value, json};

    /// How many breaches there are when `package` stands beside two that have the features.
    fn breaches(package: Value) -> usize {
        let plain = |name: &str, features: Value| json!({ "id": name, "name": name, "version": "0.1.0", "license": null, "manifest_path": "Cargo.toml", "targets": [], "dependencies": [], "features": features });
        let mut own = plain("", json!({}));
        own.as_object_mut().expect("an object").extend(package.as_object().expect("an object").clone());
        let gate = plain("waybill-gate", json!({ "bench": [] }));
        let store = plain("waybill-store", json!({ "crash-points": [] }));
        let packages: Vec<Package> = [own, gate, store].into_iter().map(|p| serde_json::from_value(p).expect("a package")).collect();
        turned_on(&packages.iter().collect::<Vec<_>>()).len()
    }

    #[test]
    fn what_measures_is_turned_on_by_the_measuring_alone() {
        let with = |name: &str, kind: Value| json!({ "name": name, "dependencies": [{ "name": "waybill-gate", "kind": kind, "features": ["bench"] }] });
        assert_eq!(breaches(with("waybill-bench", Value::Null)), 0);
        assert_eq!(breaches(with("waybill", Value::Null)), 1);
        assert_eq!(breaches(with("waybill-exchange", json!("dev"))), 1, "nor for tests: the same build of the gate would be everybody's");
        let foreign = json!({ "name": "waybill", "dependencies": [{ "name": "somebody-elses", "kind": null, "features": ["bench"] }] });
        assert_eq!(breaches(foreign), 0, "another's feature of that name is another's");
    }

    #[test]
    fn no_feature_that_anybody_may_ask_for_turns_one_on() {
        let with = |name: &str, feature: &str, entry: &str| json!({ "name": name, "features": { feature: [entry] } });
        assert_eq!(breaches(with("waybill", "crash-points", "waybill-store/crash-points")), 0);
        assert_eq!(breaches(with("waybill", "crash-points", "moved-clock")), 0);
        for (name, feature, entry) in [
            ("waybill", "default", "moved-clock"),
            ("waybill", "default", "waybill-store/crash-points"),
            ("waybill", "fast", "waybill-store?/crash-points"),
            ("waybill", "crash-points", "waybill-gate/bench"),
            ("waybill-exchange", "crash-points", "waybill-store/crash-points"),
        ] {
            assert_eq!(breaches(with(name, feature, entry)), 1, "{name}: {feature} = {entry}");
        }
    }
}
