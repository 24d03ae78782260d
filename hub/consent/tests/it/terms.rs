use super::common::*;
use proptest::prelude::*;
use waybill_consent::{Asset, Basis, Change, Grant, Templates, Terms, Transform, Validity, compile, fold};
use waybill_model::DateTime;
use waybill_policy::{Member, Profile, Request, Target, WAYBILL_PURPOSE};

fn t(seconds: i64) -> DateTime {
    now().plus_seconds(seconds)
}

#[test]
fn a_given_process_compiles_to_one_grant_a_recipient() {
    let mut record = record();
    let city_a = record.parties[0].id.clone();
    record.processes[0].recipients.push(city_a.clone());
    let given = [event("g", 1, Change::Given, t(0))];
    let openings = compile(&record, &fold(&[record.clone()], &given, check(), t(1)));
    assert_eq!(openings.iter().map(|o| o.terms.recipient.as_str()).collect::<Vec<_>>(), [CITY_B, CITY_A]);
    let terms = &openings[0].terms;
    assert_eq!((terms.basis, terms.controller.as_str(), terms.assets.len()), (Basis::Consent, CITY_A, 2));
    assert_eq!(openings[0].validity, Validity { from: Some(t(0)), until: Some(at("2027-06-30T22:00:00Z")) });
    let withdrawn = [given[0].clone(), event("w", 1, Change::Withdrawn, t(1))];
    assert!(compile(&record, &fold(&[record.clone()], &withdrawn, check(), t(2))).is_empty());
    assert!(compile(&record, &fold(&[record.clone()], &[], check(), t(2))).is_empty());
    record.notice = None;
    assert!(compile(&record, &fold(&[record.clone()], &given, check(), t(1))).is_empty(), "a draft");
}

/// What the compiled policy answers, by action, who acts, who receives, for what, and in which precision.
#[test]
fn the_policy_says_what_the_terms_say() {
    let mut record = record();
    record.parties.push(waybill_consent::Party { id: iri(CITY_C), ..record.parties[1].clone() });
    record.processes[0].distribute_to = vec![iri(CITY_C)];
    let folded = fold(&[record.clone()], &[event("g", 1, Change::Given, t(0))], check(), t(1));
    let terms = compile(&record, &folded).remove(0).terms;
    let templates = Templates::new(Profile::waybill());
    let template = templates.share(terms.clone()).expect("compiles");
    let advice = format!("{WAYBILL_PURPOSE}EnergyAdvice");
    let billing = format!("{WAYBILL_PURPOSE}EnergyBilling");
    let mean = "mean;PT1H;Europe/Brussels;2";
    let (uses, distribute) = ("http://www.w3.org/ns/odrl/2/use", "http://www.w3.org/ns/odrl/2/distribute");
    let cases = [
        ("A gives it to B", distribute, CITY_A, Some(CITY_B), &advice, POWER, mean, true),
        ("A gives it to C", distribute, CITY_A, Some(CITY_C), &advice, POWER, mean, false),
        ("B uses it", uses, CITY_B, None, &advice, POWER, mean, true),
        ("C uses it", uses, CITY_C, None, &advice, POWER, mean, false),
        ("B passes it to C", distribute, CITY_B, Some(CITY_C), &advice, POWER, mean, true),
        ("B passes it to A", distribute, CITY_B, Some(CITY_A), &advice, POWER, mean, false),
        ("for billing", uses, CITY_B, None, &billing, POWER, mean, false),
        ("the raw value", uses, CITY_B, None, &advice, POWER, "share", false),
        ("a shorter mean", uses, CITY_B, None, &advice, POWER, "mean;PT1M;Europe/Brussels;2", false),
        ("the place", uses, CITY_B, None, &advice, "https://uri.etsi.org/ngsi-ld/location", "district;0.05", true),
        ("something else", uses, CITY_B, None, &advice, "https://uri.etsi.org/ngsi-ld/default-context/name", "share", false),
    ];
    for (name, action, who, to, purpose, attribute, precision, expected) in cases {
        let types: &[&str] = &[METER];
        let request = Request {
            target: Target { asset: Some(Member::lone("urn:meter:1")), types: Some(types), attribute: Some(attribute), precision: Some(precision) },
            assignee: Some(Member::lone(who)),
            recipient: to.map(Member::lone),
            purpose: Some(purpose),
            time: Some(t(1)),
            duties: Some(&[]),
            ..Request::new(action)
        };
        assert_eq!(template.policy.decide(&request).allow, expected, "{name}");
    }
    assert!(std::sync::Arc::ptr_eq(&template, &templates.share(terms).expect("compiles")), "one for all");
}

#[test]
fn other_bases_need_no_record_and_consent_does() {
    let folded = fold(&[record()], &[event("g", 1, Change::Given, t(0))], check(), t(1));
    let mut terms = compile(&record(), &folded).remove(0).terms;
    let templates = Templates::new(Profile::waybill());
    assert!(Grant::for_basis(&templates, iri("urn:route:grid"), terms.clone(), Validity::default()).is_err());
    terms.basis = Basis::PublicTask;
    let grant = Grant::for_basis(&templates, iri("urn:route:grid"), terms.clone(), Validity::default()).expect("a grant");
    assert!(grant.is_open(t(0)) && grant.subject.is_none() && grant.recipient.as_str() == CITY_B);
    terms.purposes = vec![iri("https://example.org/unknown")];
    assert!(Grant::for_basis(&templates, iri("urn:route:grid"), terms, Validity::default()).is_err(), "what no gate can evaluate is refused");
}

#[test]
fn precision_is_ordered() {
    let mean = |window, zone: &str, min_samples| Transform::Mean { window, zone: zone.into(), min_samples };
    let hour = mean(3600, "Europe/Brussels", 2);
    let cases = [
        (Transform::Share, hour.clone(), true),
        (hour.clone(), Transform::Share, false),
        (hour.clone(), hour.clone(), true),
        (hour.clone(), mean(7200, "Europe/Brussels", 2), true),
        (hour.clone(), mean(5400, "Europe/Brussels", 2), false),
        (hour.clone(), mean(1800, "Europe/Brussels", 2), false),
        (hour.clone(), mean(3600, "Europe/Berlin", 2), false),
        (hour.clone(), mean(3600, "Europe/Brussels", 1), false),
        (hour, Transform::Drop, true),
        (Transform::Drop, Transform::Round { step: 1.0 }, false),
        (Transform::Round { step: 1.0 }, Transform::Round { step: 2.0 }, false),
    ];
    for (wide, narrow, expected) in cases {
        assert_eq!(wide.covers(&narrow), expected, "{wide:?} covers {narrow:?}");
    }
}

#[test]
fn impossible_precisions_are_named() {
    let cases = [
        (Transform::Mean { window: 3600, zone: "Europe/Brussels".into(), min_samples: 1 }, false),
        (Transform::Mean { window: 3601, zone: "Europe/Brussels".into(), min_samples: 1 }, true),
        (Transform::Mean { window: 3600, zone: "Europe/Atlantis".into(), min_samples: 1 }, true),
        (Transform::Mean { window: 3600, zone: "Europe/Brussels".into(), min_samples: 0 }, true),
        (Transform::Round { step: -1.0 }, true),
        (Transform::Bin { edges: vec![] }, true),
        (Transform::Bin { edges: vec![1.0, 1.0] }, true),
        (Transform::Bin { edges: vec![1.0, 2.0] }, false),
        (Transform::District { grid: 0.0 }, true),
    ];
    for (transform, faulty) in cases {
        assert_eq!(transform.fault().is_some(), faulty, "{transform:?}");
    }
}

proptest! {
    #[test]
    fn a_transform_is_read_as_it_was_written(window in 1u32..=86_400, step in 1e-6f64..1e9, edges in proptest::collection::vec(-1e9f64..1e9, 1..4)) {
        for transform in [
            Transform::Mean { window, zone: "Europe/Brussels".into(), min_samples: 3 },
            Transform::Round { step },
            Transform::Bin { edges: edges.clone() },
            Transform::District { grid: step },
            Transform::Share,
        ] {
            let text = serde_json::to_string(&transform).expect("JSON");
            let back: Transform = serde_json::from_str(&text).expect("reads");
            prop_assert_eq!(&back, &transform);
            prop_assert_eq!(back.canonical(), transform.canonical());
        }
    }
}

/// Two people's terms about one thing.
#[test]
fn together_they_allow_what_both_allow() {
    let asset = |types: &[&str], attribute: &str, transform: Transform| Asset { types: types.iter().map(|t| iri(t)).collect(), attribute: iri(attribute), transform };
    let purpose = |name: &str| iri(&format!("{WAYBILL_PURPOSE}{name}"));
    let covers = |broad: &str, narrow: &str, version: u32| purposes().covers(broad, narrow, version);
    let base = compile(&record(), &fold(&[record()], &[event("g", 1, Change::Given, t(0))], check(), t(1))).remove(0).terms;
    let (round, share) = (Transform::Round { step: 10.0 }, Transform::Share);
    let of = |purposes: &[&str], assets: Vec<Asset>, onward: &[&str]| Terms {
        purposes: purposes.iter().map(|p| purpose(p)).collect(),
        assets,
        distribute_to: onward.iter().map(|p| iri(p)).collect(),
        ..base.clone()
    };
    let one = of(&["EnergyAdvice", "EnergyBilling"], vec![asset(&[METER], POWER, share.clone())], &[CITY_C, CITY_A]);
    let two = of(&["EnergyAdvice"], vec![asset(&[], POWER, round.clone()), asset(&[], METER, share.clone())], &[CITY_C]);
    let both = one.and(&two, covers).expect("advice");
    assert_eq!((both.purposes.as_slice(), both.distribute_to.as_slice()), (&[purpose("EnergyAdvice")][..], &[iri(CITY_C)][..]));
    assert_eq!(both.assets, [asset(&[METER], POWER, round.clone())], "the narrower precision, of the types that both name");
    assert_eq!(two.and(&one, covers).map(|b| (b.purposes, b.assets, b.distribute_to)), Some((both.purposes, both.assets, both.distribute_to)), "whoever comes first");
    for (what, other) in [
        ("no purpose in common", of(&["EnergyBilling"], two.assets.clone(), &[])),
        ("no precision in common", of(&["EnergyAdvice"], vec![asset(&[], POWER, Transform::Round { step: 7.0 })], &[])),
        ("no type in common", of(&["EnergyAdvice"], vec![asset(&[POWER], POWER, round.clone())], &[])),
    ] {
        let two = of(&["EnergyAdvice"], vec![asset(&[METER], POWER, round.clone())], &[]);
        assert!(two.and(&other, covers).is_none(), "{what}");
    }
    let another = Terms { recipient: iri(CITY_C), ..two.clone() };
    assert!(two.and(&another, covers).is_none(), "for two recipients nothing is allowed together");
}
