//! The law: no rule vanishes, nothing is allowed that was not, and what is not reported comes back as it was.

use super::generated::{Made, policy};
use super::support::{canonical, values};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use waybill_ids::{Loss, Target, convert};

/// The rules of an IDS policy: place and identifier, those of duties too.
fn rules(of: &Value, place: &str, found: &mut Vec<(String, String)>) {
    for name in ["ids:permission", "ids:prohibition", "ids:obligation", "ids:preDuty", "ids:postDuty"] {
        for (at, rule) in values(of, name).into_iter().enumerate() {
            let place = format!("{place}/{name}/{at}");
            found.push((place.clone(), rule["@id"].as_str().unwrap().to_owned()));
            rules(rule, &place, found);
        }
    }
}

/// The identifiers of what stands under `name`.
fn ids(of: &Value, name: &str) -> BTreeSet<String> {
    values(of, name).into_iter().map(|r| r["@id"].as_str().unwrap().to_owned()).collect()
}

fn dropped(losses: &[Loss], place: &str) -> bool {
    losses.iter().any(|l| l.place == place && l.kept.is_none())
}

fn outcome(made: &Made) -> (Value, Vec<Loss>) {
    let done = convert(&made.policy.to_string(), Some(Target::Dcat)).unwrap();
    (done.document, done.losses)
}

/// The number of conditions in a rule: its constraints and refinements, and those of its duties.
fn conditions(rule: &Value) -> usize {
    let mut count = 0;
    let mut open = vec![rule];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(list) => open.extend(list),
            Value::Object(object) => {
                count += usize::from(object.contains_key("leftOperand") || object.contains_key("ids:leftOperand"));
                open.extend(object.values());
            }
            _ => {}
        }
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn no_rule_vanishes(made in policy()) {
        let (out, losses) = outcome(&made);
        let mut before = Vec::new();
        rules(&made.policy, "", &mut before);
        let kept: BTreeSet<String> = ["permission", "prohibition", "obligation"]
            .iter()
            .flat_map(|n| values(&out, n))
            .flat_map(|r| std::iter::once(r).chain(values(r, "duty")))
            .map(|r| r["@id"].as_str().unwrap().to_owned())
            .collect();
        for (place, id) in before {
            prop_assert!(kept.contains(&id) != dropped(&losses, &place), "{place}: kept and not dropped, or dropped and not kept: {losses:#?}");
        }
    }

    #[test]
    fn a_permission_keeps_everything_or_is_left_out(made in policy()) {
        let (out, _) = outcome(&made);
        let closed = made.obligations.contains(&true);
        let left = ids(&out, "permission");
        let span = if made.policy.get("ids:contractStart").is_some() { 2 } else { 0 };
        for (rule, poisoned) in values(&made.policy, "ids:permission").into_iter().zip(&made.poisoned) {
            let id = rule["@id"].as_str().unwrap();
            prop_assert_eq!(left.contains(id), !poisoned && !closed, "{}", id);
            let Some(written) = values(&out, "permission").into_iter().find(|r| r["@id"] == id) else { continue };
            let duties = values(rule, "ids:preDuty").len() + values(rule, "ids:postDuty").len();
            prop_assert_eq!(values(written, "duty").len(), duties);
            prop_assert_eq!(conditions(written), conditions(rule) + span + duties, "each condition, the span, and when each duty is due");
        }
    }

    #[test]
    fn a_prohibition_stays_and_only_gets_broader(made in policy()) {
        let (out, losses) = outcome(&made);
        prop_assert_eq!(ids(&out, "prohibition"), ids(&made.policy, "ids:prohibition"));
        let rules = values(&made.policy, "ids:prohibition").into_iter().zip(&made.prohibitions).enumerate();
        for (at, (rule, poisoned)) in rules {
            let written = values(&out, "prohibition").into_iter().find(|r| r["@id"] == rule["@id"]).unwrap();
            prop_assert!(conditions(written) <= conditions(rule));
            prop_assert!(*poisoned || conditions(written) == conditions(rule));
            let said = losses.iter().any(|l| l.place == format!("/ids:prohibition/{at}") && l.what.contains("without"));
            prop_assert_eq!(said, *poisoned);
        }
    }

    #[test]
    fn what_is_whole_comes_back(made in policy().prop_filter("whole", Made::whole)) {
        let (out, losses) = outcome(&made);
        prop_assert!(losses.iter().all(|l| l.kept.is_some()), "{losses:#?}");
        let back = convert(&out.to_string(), Some(Target::Ids)).unwrap();
        prop_assert_eq!(canonical(&back.document), canonical(&native(&made.policy)), "{:#}", out);
        prop_assert!(back.losses.iter().all(|l| l.kept.is_some()), "{:#?}", back.losses);
    }

    /// What is left of a policy with losses converts back and forth without another one.
    #[test]
    fn what_is_left_is_stable(made in policy()) {
        let (out, _) = outcome(&made);
        let back = convert(&out.to_string(), Some(Target::Ids)).unwrap();
        prop_assert!(back.losses.iter().all(|l| l.kept.is_some()), "{:#?}", back.losses);
        let again = convert(&back.document.to_string(), Some(Target::Dcat)).unwrap();
        prop_assert_eq!(again.document, out);
    }
}

/// JSON's own numbers and truth values as the typed literals that JSON-LD makes of them.
fn native(value: &Value) -> Value {
    let literal = |kind: &str| serde_json::json!({ "@value": value.to_string(), "@type": format!("xsd:{kind}") });
    match value {
        Value::Number(_) => literal("integer"),
        Value::Bool(_) => literal("boolean"),
        Value::Array(list) => list.iter().map(native).collect(),
        Value::Object(object) => Value::Object(object.iter().map(|(k, v)| (k.clone(), native(v))).collect()),
        other => other.clone(),
    }
}
