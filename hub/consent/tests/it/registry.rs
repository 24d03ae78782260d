use super::common::*;
use proptest::prelude::*;
use waybill_consent::{Binding, Bound, ConsentBook, Guardianship, Registry, Rule, Target, Validity};
use waybill_model::{DateTime, Iri, TenantId};
use waybill_store::Batch;

fn binding(target: Target, subject: &str, rule: Rule) -> Binding {
    Binding { target, subject: iri(subject), validity: Validity::default(), asserted_by: iri(CITY_A), evidence: "land register".into(), rule }
}
fn entity(id: &str) -> Target {
    Target::Entity(iri(id))
}
fn bind(hub: &Hub, tenant: &TenantId, bindings: &[Binding]) {
    let mut batch = Batch::new();
    for binding in bindings {
        ConsentBook::bind(&mut batch, tenant, binding, now());
    }
    hub.commit(batch);
}
fn bound(hub: &Hub, tenant: &TenantId, id: &str, attribute: Option<&str>, time: DateTime) -> Bound {
    let (tenant, id, attribute) = (tenant.clone(), id.to_owned(), attribute.map(str::to_owned));
    hub.look(move |r, book, _| book.view(r).and_then(|view| view.bound(&tenant, &id, attribute.as_deref(), time))).expect("an answer")
}
fn names(list: &[Iri]) -> Vec<&str> {
    list.iter().map(Iri::as_str).collect()
}

#[test]
fn nobody_bound_means_nobody() {
    let hub = Hub::new();
    assert!(bound(&hub, &tenant(), "urn:meter:1", Some(POWER), now()).is_unbound());
    bind(&hub, &tenant(), &[binding(entity("urn:meter:1"), ANNA, Rule::All)]);
    assert_eq!(names(&bound(&hub, &tenant(), "urn:meter:1", Some(POWER), now()).deciders), [ANNA]);
    assert!(bound(&hub, &tenant(), "urn:meter:10", None, now()).is_unbound(), "a longer identifier is another");
    let other = TenantId::new("other").expect("a tenant");
    assert!(bound(&hub, &other, "urn:meter:1", Some(POWER), now()).is_unbound(), "another tenant");
}

#[test]
fn the_most_precise_word_counts() {
    let hub = Hub::new();
    let attribute = Target::Attribute { entity: iri("urn:home:1"), attribute: iri(POWER) };
    bind(
        &hub,
        &tenant(),
        &[
            binding(Target::Pattern("urn:home:*".into()), "urn:person:landlord", Rule::All),
            binding(entity("urn:home:1"), ANNA, Rule::All),
            binding(attribute, BEN, Rule::All),
        ],
    );
    let who = |id: &str, attribute: Option<&str>| names(&bound(&hub, &tenant(), id, attribute, now()).subjects).join(" ");
    assert_eq!(who("urn:home:1", Some(POWER)), BEN);
    assert_eq!(who("urn:home:1", Some("https://example.org/water")), ANNA);
    assert_eq!(who("urn:home:1", None), ANNA);
    assert_eq!(who("urn:home:2", Some(POWER)), "urn:person:landlord");
}

#[test]
fn a_household_decides_together_unless_one_decides_for_all() {
    let hub = Hub::new();
    let people = [ANNA, BEN, "urn:person:lodger"];
    bind(&hub, &tenant(), &people.map(|p| binding(entity("urn:home:1"), p, Rule::All)));
    let all = bound(&hub, &tenant(), "urn:home:1", None, now());
    assert_eq!((all.subjects.len(), all.deciders.len()), (3, 3));
    bind(&hub, &tenant(), &[binding(entity("urn:home:1"), BEN, Rule::Holder)]);
    let one = bound(&hub, &tenant(), "urn:home:1", None, now());
    assert_eq!((one.subjects.len(), names(&one.deciders)), (3, vec![BEN]));
}

#[test]
fn moving_out_ends_a_binding() {
    let hub = Hub::new();
    let span = |from: i64, until: i64| Validity { from: Some(now().plus_seconds(from)), until: Some(now().plus_seconds(until)) };
    bind(
        &hub,
        &tenant(),
        &[
            Binding { validity: span(-100, 0), ..binding(entity("urn:home:1"), ANNA, Rule::All) },
            Binding { validity: span(0, 100), ..binding(entity("urn:home:1"), BEN, Rule::All) },
            Binding { validity: span(200, 300), ..binding(entity("urn:home:1"), ANNA, Rule::All) },
        ],
    );
    for (second, expected) in [(-101, ""), (-100, ANNA), (-1, ANNA), (0, BEN), (99, BEN), (100, ""), (200, ANNA), (300, "")] {
        let answer = bound(&hub, &tenant(), "urn:home:1", None, now().plus_seconds(second));
        assert_eq!(names(&answer.deciders).join(" "), expected, "{second}");
    }
    let targets = hub.look(|r, _, _| Registry::targets_of(r, &tenant(), ANNA)).expect("targets");
    assert_eq!(targets.len(), 2);
}

#[test]
fn a_guardian_acts_until_the_end() {
    let hub = Hub::new();
    let mut batch = Batch::new();
    let row = Guardianship {
        ward: iri(ANNA),
        guardian: iri(BEN),
        from: now(),
        until: now().plus_seconds(100),
        asserted_by: iri(CITY_A),
        evidence: String::new(),
    };
    ConsentBook::appoint(&mut batch, &tenant(), &row, now());
    hub.commit(batch);
    let acts = |guardian: &'static str, ward: &'static str, second: i64| {
        let time = now().plus_seconds(second);
        hub.look(move |r, _, _| Registry::acts_for(r, &tenant(), guardian, ward, time)).expect("an answer")
    };
    for (second, expected) in [(-1, false), (0, true), (99, true), (100, false)] {
        assert_eq!(acts(BEN, ANNA, second), expected, "{second}");
    }
    assert!(!acts(ANNA, BEN, 50));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    /// Patterns against a naive matcher that tries every split.
    #[test]
    fn patterns_fit_as_they_read(pattern in "[ab*]{0,6}", id in "[ab]{0,8}") {
        fn naive(pattern: &[u8], text: &[u8]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((b'*', rest)) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
                Some((c, rest)) => text.first() == Some(c) && naive(rest, &text[1..]),
            }
        }
        let hub = Hub::new();
        let (pattern, id) = (format!("urn:x:{pattern}"), format!("urn:x:{id}"));
        bind(&hub, &tenant(), &[binding(Target::Pattern(pattern.clone()), ANNA, Rule::All)]);
        let found = !bound(&hub, &tenant(), &id, None, now()).is_unbound();
        prop_assert_eq!(found, naive(pattern.as_bytes(), id.as_bytes()), "{} {}", pattern, id);
    }
}

#[test]
fn who_is_bound_to_very_much_can_still_withdraw_from_all_of_it() {
    let hub = Hub::new();
    let mut batch = Batch::new();
    for n in 0..10_050 {
        let binding = Binding {
            target: Target::Entity(iri(&format!("urn:meter:{n}"))),
            subject: iri(ANNA),
            validity: Validity::default(),
            asserted_by: iri(CITY_A),
            evidence: String::new(),
            rule: Rule::All,
        };
        ConsentBook::bind(&mut batch, &tenant(), &binding, now());
    }
    hub.commit(batch);
    assert_eq!(hub.look(|r, _, _| waybill_consent::Registry::targets_of(r, &tenant(), ANNA).expect("reads").len()), 10_050);
}
