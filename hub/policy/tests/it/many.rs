//! Many policies at once: sharing of shapes, the index, and memory.

use super::decide::{full, make};
use proptest::prelude::*;
use waybill_model::DateTime;
use waybill_policy::bench_support::{ask_consent, consent, office_hours};
use waybill_policy::{Member, PolicySet, Profile, Request, Target, compile};

#[test]
fn the_index_finds_what_looking_at_every_policy_finds() {
    let profile = Profile::waybill();
    let rules = [
        r#""permission": [{"action": "use", "target": "urn:e", "assignee": "urn:b"}]"#,
        r#""permission": [{"action": "use", "target": ["urn:f", "urn:e"], "assignee": ["urn:q", "urn:cities"]}]"#,
        r#""permission": [{"action": "use", "target": {"@type": "AssetCollection", "refinement": {"leftOperand": "waybill:attribute", "operator": "eq", "rightOperand": "urn:a"}},
            "constraint": {"leftOperand": "recipient", "operator": "isAnyOf", "rightOperand": ["urn:r", "urn:s"]}}]"#,
        r#""permission": [{"action": "use", "target": "urn:e"}], "prohibition": [{"action": "use", "assignee": "urn:bad"}]"#,
        r#""prohibition": [{"action": "use", "target": "urn:e", "constraint": {"leftOperand": "recipient", "operator": "eq", "rightOperand": "urn:s"}}]"#,
        r#""prohibition": [{"action": "distribute"}]"#,
        r#""prohibition": [{"action": "use", "target": {"@type": "AssetCollection", "refinement": {"leftOperand": "waybill:attribute", "operator": "eq", "rightOperand": "urn:z"}}}]"#,
        r#""conflict": "perm", "permission": [{"action": "use", "target": "urn:e", "assignee": "urn:b"}], "prohibition": [{"target": "urn:e"}]"#,
    ];
    let policies: Vec<_> = rules.iter().map(|r| make(&profile, r)).collect();
    let people = [None, Some(Member::only("urn:b")), Some(Member::only("urn:bad")), Some(Member::lone("urn:b")), Some(Member::of("urn:x", &["urn:cities"])), Some(Member::only("urn:nobody"))];
    let assets = [None, Some(Member::only("urn:e")), Some(Member::only("urn:f")), Some(Member::lone("urn:e")), Some(Member::of("urn:y", &["urn:e"]))];
    let recipients = [None, Some(Member::only("urn:r")), Some(Member::only("urn:s"))];
    let mut opened = 0;
    for chosen in 0..1u32 << policies.len() {
        let mut set = PolicySet::new(&profile);
        let mut ids = Vec::new();
        let mine: Vec<_> = policies.iter().enumerate().filter(|(i, _)| chosen & (1 << i) != 0).map(|(_, p)| p).collect();
        for policy in &mine {
            ids.push(set.insert((*policy).clone()).unwrap());
        }
        for assignee in people {
            for (asset, attribute) in assets.into_iter().flat_map(|a| [(a, Some("urn:a")), (a, Some("urn:z")), (a, None)]) {
                for recipient in recipients {
                    let request = Request { assignee, recipient, target: Target { asset, attribute, ..full().target }, ..full() };
                    let each: Vec<_> = mine.iter().map(|p| p.decide(&request)).collect();
                    let expected = each.iter().any(|d| d.allow) && !each.iter().any(|d| !d.allow && d.prohibited_by.is_some());
                    let decision = set.decide(&request);
                    assert_eq!(decision.allow, expected, "{chosen:b} {request:?}");
                    opened += u32::from(expected);
                    let residual = set.residual(&Request { target: Target::default(), ..request }).0;
                    let sure = asset.is_some_and(|a| a.within.is_some()) && attribute.is_some();
                    assert!(!residual.matches(&request.target) || expected, "{chosen:b} {request:?}");
                    assert!(!sure || residual.matches(&request.target) == expected, "{chosen:b} {request:?} {residual:?}");
                }
            }
        }
        for id in ids {
            assert!(set.remove(id).is_some() && set.remove(id).is_none() && set.get(id).is_none());
        }
        assert!(set.is_empty() && set.unindexed() == 0);
        assert!(!set.decide(&full()).allow);
    }
    assert!(opened > 100);
}

#[test]
fn more_collections_than_are_kept_count_as_not_known() {
    let profile = Profile::waybill();
    let mut set = PolicySet::new(&profile);
    let names: Vec<String> = (0..40).map(|i| format!("urn:collection:{i}")).collect();
    for name in &names {
        set.insert(make(&profile, &format!(r#""prohibition": [{{"action": "use", "assignee": "{name}", "target": "urn:other"}}]"#))).unwrap();
    }
    set.insert(make(&profile, r#""permission": [{"action": "use", "target": "urn:e", "assignee": "urn:b"}]"#)).unwrap();
    let last = make(&profile, r#""permission": [{"action": "use", "target": "urn:e"}], "prohibition": [{"assignee": "urn:collection:39"}]"#);
    set.insert(last.clone()).unwrap();
    let within: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = Request { assignee: Some(Member::of("urn:b", &within)), ..full() };
    assert!(!last.decide(&request).allow && !set.decide(&request).allow);
    let few = Request { assignee: Some(Member::of("urn:b", &within[..10])), ..full() };
    assert!(last.decide(&few).allow && set.decide(&few).allow);
}

#[test]
fn a_policy_of_another_profile_is_refused() {
    let mut set = PolicySet::new(&Profile::waybill());
    let policy = make(&Profile::waybill(), r#""permission": [{"action": "use", "target": "urn:e"}]"#);
    assert_eq!(set.insert(policy).unwrap_err().code, "policy-other-profile");
}

/// Resident bytes of this process, where the system tells.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|k| k * 1024)
}

#[test]
fn a_hundred_thousand_consents_share_one_shape_and_fit() {
    const COUNT: usize = 100_000;
    const LIMIT: usize = 200 << 20;
    let profile = Profile::waybill();
    let mut set = PolicySet::new(&profile);
    let before = resident();
    let template = consent(0);
    for i in 0..COUNT {
        let policy = if i == 0 { template.clone() } else { consent(i) };
        set.insert(compile(&policy, &profile).unwrap()).unwrap();
    }
    assert_eq!((set.len(), profile.shapes(), set.unindexed()), (COUNT, 1, 0));
    assert!(set.heap_bytes() < LIMIT, "{}", set.heap_bytes());
    if let (Some(before), Some(after)) = (before, resident()) {
        println!("100,000 consents: {} MiB resident, {} MiB by sizes", (after.saturating_sub(before)) >> 20, set.heap_bytes() >> 20);
        assert!(after.saturating_sub(before) < LIMIT);
    }
    for i in [0, 1, 777, COUNT - 1] {
        assert!(ask_consent(i, i, |request| set.decide(request).allow), "{i}");
        assert!(!ask_consent(i, i + 1, |request| set.decide(request).allow), "{i}");
    }
}

#[test]
fn many_windows_become_sorted_intervals() {
    let profile = Profile::waybill();
    let policy = office_hours(264);
    let text = serde_json::to_vec(&policy.to_json()).unwrap();
    assert!(text.len() > 60_000, "{}", text.len());
    let compiled = compile(&waybill_policy::parse(&text).unwrap(), &profile).unwrap();
    let at = |seconds: i64| compiled.decide(&Request { time: Some(DateTime::from_seconds(1_704_067_200 + seconds)), ..full() });
    for day in [0, 1, 100, 263] {
        let midnight = day * 86_400;
        let hour = |h: i64| at(midnight + h * 3_600).allow;
        assert_eq!([hour(8), hour(9), hour(16), hour(17), hour(23)], [false, true, true, false, false], "day {day}");
    }
    assert!(!at(264 * 86_400 + 10 * 3_600).allow);
    assert_eq!(at(0).valid_until, Some(DateTime::from_seconds(1_704_067_200 + 9 * 3_600)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_damaged_policy_never_panics_and_never_opens_more(number in 0..4usize, at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let profile = Profile::waybill();
        let mut text = serde_json::to_vec(&consent(number).to_json()).unwrap();
        let at = at.index(text.len());
        text[at] = with;
        if let Ok(policy) = waybill_policy::parse(&text)
            && let Ok(policy) = compile(&policy, &profile)
        {
            // Without a purpose nothing opens, whichever byte was changed: every condition is still there, or the policy is refused.
            ask_consent(number, number, |request| {
                let aimless = Request { purpose: None, ..*request };
                prop_assert!(!policy.decide(&aimless).allow);
                Ok(())
            })?;
        }
    }
}
