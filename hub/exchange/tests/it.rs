//! The engine on one hub: who sees what, what is told to whom, and what becomes of it when she takes it back.

mod answered;
mod erase;
mod followers;
mod governed;
mod household;
mod terms;
mod licence;
mod pairwise;
mod world;

use world::{World, iri};

#[tokio::test]
async fn nothing_personal_is_seen_without_a_grant() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    assert_eq!(world.seen_by_city_b("urn:meter:1").await, None, "unbound");
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    assert_eq!(world.seen_by_city_b("urn:meter:1").await, None, "bound, but not granted");
}

#[tokio::test]
async fn a_grant_opens_what_it_names_and_nothing_else() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.meter("urn:meter:2", 900.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    world.bind("urn:meter:2", "https://bert.example/#me").await;
    world.grant("https://anna.example/#me", "given", serde_json::json!([{ "attribute": world::POWER, "precision": { "round": 500.0 } }])).await;
    let seen = world.seen_by_city_b("urn:meter:1").await.expect("granted");
    assert_eq!(seen.text().matches("\"value\":1000.0").count(), 1, "1200 rounded to 500s: {}", seen.text());
    assert!(!seen.text().contains("1200"), "the exact value must not leave");
    assert!(seen.text().contains(waybill_model::TAG_NAME), "tagged");
    assert_eq!(world.seen_by_city_b("urn:meter:2").await, None, "a neighbour's meter");
    assert_eq!(world.seen_by_city_b_for("urn:meter:1", "https://w3id.org/waybill/purpose#EnergyBilling").await, None, "another purpose");
}

#[tokio::test]
async fn withdrawing_closes_at_once_and_names_the_envelopes() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    let granted = world.grant("https://anna.example/#me", "given", data.clone()).await;
    assert_eq!(granted.opened.len(), 1);
    assert!(world.seen_by_city_b("urn:meter:1").await.is_some());
    let withdrawn = world.grant("https://anna.example/#me", "withdrawn", data).await;
    assert_eq!(withdrawn.closed, granted.opened);
    assert_eq!(world.seen_by_city_b("urn:meter:1").await, None);
    let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].envelopes, granted.opened);
}

#[tokio::test]
async fn a_withdrawal_that_is_said_twice_is_no_grant_on_her_page() {
    use waybill_journal::Kind;
    let world = World::new().await;
    let anna = "https://anna.example/#me";
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant(anna, "given", data.clone()).await;
    for _ in 0..2 {
        world.grant(anna, "withdrawn", data.clone()).await;
    }
    let page = world.hub.journal().page_of(&iri(anna)).await.expect("her page");
    let kinds: Vec<Kind> = page.entries.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [Kind::Grant, Kind::Withdrawal, Kind::Withdrawal]);
}

#[tokio::test]
async fn an_erased_person_is_not_waited_for_at_the_end_of_her_grant() {
    let world = World::new().await;
    let anna = "https://anna.example/#me";
    world.grant(anna, "given", serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }])).await;
    let waiting = async || {
        let rows = world.hub.store().read(|r| r.docs("todo", "subject-at", 10, None)).await.expect("read");
        rows.iter().filter(|row| row.key.contains(anna)).count()
    };
    assert_eq!(waiting().await, 1, "her grant has an end");
    world.hub.erase(&world.tenant, &iri(anna)).await.expect("erased");
    assert_eq!(waiting().await, 0);
}

#[tokio::test]
async fn a_follower_hears_creation_change_and_deletion_as_visibility_changes() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    world.until("created", |d| d.created("urn:meter:1") == 1).await;
    world.meter("urn:meter:1", 1300.0).await;
    world.until("changed", |d| d.last_text("urn:meter:1").is_some_and(|t| t.contains("1300"))).await;
    world.grant("https://anna.example/#me", "withdrawn", data).await;
    world.until("deleted", |d| d.deleted("urn:meter:1") == 1).await;
    let finished = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    assert_eq!(finished.len(), 1);
    workers.stop().await;
}

#[tokio::test]
async fn a_mean_appears_when_its_window_is_over() {
    let world = World::new().await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    world.grant("https://anna.example/#me", "given", serde_json::json!([{ "attribute": world::POWER, "precision": { "mean": { "every": "PT1H", "zone": "Europe/Brussels", "minSamples": 2 } } }])).await;
    world.clock_to_the_next_hour();
    world.meter("urn:meter:1", 1000.0).await;
    world.advance_minutes(20);
    world.meter("urn:meter:1", 2000.0).await;
    assert_eq!(world.seen_by_city_b("urn:meter:1").await, None, "the hour is not over");
    world.advance_minutes(40);
    world.hub.close_windows().await.expect("windows");
    let seen = world.seen_by_city_b("urn:meter:1").await.expect("the hour is over");
    assert!(seen.text().contains("\"value\":1500.0"), "{}", seen.text());
    assert!(seen.text().contains("PT1H"));
    // Late: belongs to the hour that was released.
    world.meter_at("urn:meter:1", 9000.0, -30).await;
    let again = world.seen_by_city_b("urn:meter:1").await.expect("still there");
    assert!(again.text().contains("\"value\":1500.0"), "a late value never re-releases");
}

#[tokio::test]
async fn filters_and_counts_see_only_what_the_recipient_sees() {
    let world = World::new().await;
    for (n, power) in [(1, 100.0), (2, 200.0), (3, 300.0)] {
        world.meter(&format!("urn:meter:{n}"), power).await;
        world.bind(&format!("urn:meter:{n}"), &format!("https://p{n}.example/#me")).await;
    }
    world.grant("https://p2.example/#me", "given", serde_json::json!([{ "attribute": world::POWER, "precision": { "round": 1000.0 } }])).await;
    assert_eq!(world.count_for_city_b(None).await, 1);
    assert_eq!(world.count_for_city_b(Some("power>150")).await, 0, "the exact value is hidden: 200 is seen as 0");
    assert_eq!(world.count_for_city_b(Some("power<150")).await, 1);
}

#[tokio::test]
async fn an_index_of_a_type_that_is_open_tells_nothing_of_one_that_is_not() {
    let world = World::new().await;
    let open = "https://w3id.org/example/AirQuality";
    let text = format!("{{\"id\":\"urn:meter:1\",\"type\":[\"{open}\",\"{}\"],\"{}\":[{{\"type\":\"Property\",\"value\":200}}]}}", world::METER, world::POWER);
    world.store("urn:meter:1", &text).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    world.grant("https://anna.example/#me", "given", serde_json::json!([{ "attribute": world::POWER, "precision": { "round": 1000.0 } }])).await;
    assert_eq!(world.count_of_type_for_city_b("AirQuality", Some("power<150")).await, 1, "200 is seen as 0, whichever type is asked for");
    assert_eq!(world.count_of_type_for_city_b("AirQuality", Some("power>150")).await, 0);
}

#[tokio::test]
async fn that_she_was_counted_stands_on_her_page() {
    let world = World::new().await;
    for n in [1, 2] {
        world.meter(&format!("urn:meter:{n}"), 100.0).await;
        world.bind(&format!("urn:meter:{n}"), &format!("https://p{n}.example/#me")).await;
        world.grant(&format!("https://p{n}.example/#me"), "given", serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }])).await;
    }
    assert_eq!(world.count_for_city_b(None).await, 2);
    world.hub.journal().flush_all().await.expect("flushed");
    for n in [1, 2] {
        let page = world.hub.journal().page_of(&iri(&format!("https://p{n}.example/#me"))).await.expect("her page");
        assert!(format!("{page:?}").contains("counted"), "{page:?}");
    }
}

#[tokio::test]
async fn that_it_exists_is_hers_too() {
    let world = World::new().await;
    world.meter("urn:meter:1", 100.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    let page = world.hub.retrieve(&world.city_b(world::ADVICE), &iri("urn:meter:1"), |_| false).await.expect("found");
    let text = page.get().entities[0].text();
    assert!(!text.contains(world::POWER) && text.contains("/env/"), "{text}");
    let granted = world.grant("https://anna.example/#me", "withdrawn", data).await;
    assert_eq!(granted.closed, page.receipt().envelopes);
    let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    assert_eq!(list[0].holders.len(), 1, "and who was told of it is known: {list:?}");
}

#[tokio::test]
async fn who_would_not_hear_of_deletions_gets_nothing_personal() {
    let world = World::new().await;
    world.model("urn:meter:1", false).await;
    world.meter("urn:meter:2", 100.0).await;
    world.bind("urn:meter:2", "https://anna.example/#me").await;
    world.grant("https://anna.example/#me", "given", serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }])).await;
    let problem = world.follow_deaf("SmartMeter").await.expect_err("a type with personal Attributes");
    assert_eq!(problem.code, "subscription-deaf-to-deletion");
    let open = "https://w3id.org/example/AirQuality";
    let text = format!("{{\"id\":\"urn:meter:3\",\"type\":[\"{open}\",\"{}\"],\"{}\":[{{\"type\":\"Property\",\"value\":200}}]}}", world::METER, world::POWER);
    world.store("urn:meter:3", &text).await;
    world.store("urn:air:1", &format!("{{\"id\":\"urn:air:1\",\"type\":[\"{open}\"],\"{}\":[{{\"type\":\"Property\",\"value\":1}}]}}", world::MODEL)).await;
    world.bind("urn:meter:3", "https://anna.example/#me").await;
    world.follow_deaf("AirQuality").await.expect("an open type");
    let workers = world.hub.start();
    world.until("the open one", |d| d.created("urn:air:1") == 1).await;
    world.quiet().await;
    world.until("and not the one that is Anna's too", |d| d.created("urn:meter:3") == 0).await;
    workers.stop().await;
}


/// What may happen to two people's meters.
#[derive(Debug, Clone, Copy)]
enum Step {
    Bind(usize),
    Grant(usize),
    Withdraw(usize),
    Measure(usize),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let step = (0usize..2, 0..4).prop_map(|(who, what)| match what {
        0 => Step::Bind(who),
        1 => Step::Grant(who),
        2 => Step::Withdraw(who),
        _ => Step::Measure(who),
    });
    proptest::collection::vec(step, 1..14)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    /// City B sees a meter when it is there, bound, and the last thing its person said was yes; never otherwise.
    #[test]
    fn visibility_is_what_was_said_last(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new().await;
            let people = ["https://anna.example/#me", "https://bert.example/#me"];
            let meters = ["urn:meter:1", "urn:meter:2"];
            let (mut bound, mut given, mut there, mut spoken) = ([false; 2], [false; 2], [false; 2], [false; 2]);
            let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
            for step in steps {
                match step {
                    Step::Bind(w) => {
                        world.bind(meters[w], people[w]).await;
                        bound[w] = true;
                    }
                    Step::Grant(w) => {
                        world.grant(people[w], "given", data.clone()).await;
                        (given[w], spoken[w]) = (true, true);
                    }
                    // Who never agreed to anything has nothing to take back.
                    Step::Withdraw(w) if spoken[w] => {
                        world.grant(people[w], "withdrawn", data.clone()).await;
                        given[w] = false;
                    }
                    Step::Withdraw(_) => {}
                    Step::Measure(w) => {
                        world.meter(meters[w], 1.0).await;
                        there[w] = true;
                    }
                }
                for w in 0..2 {
                    let seen = world.seen_by_city_b(meters[w]).await.is_some();
                    assert_eq!(seen, there[w] && bound[w] && given[w], "meter {w} after {step:?}");
                }
            }
        });
    }
}

#[tokio::test]
async fn of_very_many_the_same_is_seen_as_of_each() {
    use waybill_consent::Target;
    let world = World::new().await;
    let entity = |id: &str, types: &str| format!("{{\"id\":\"{id}\",\"type\":[{types}],\"{}\":[{{\"type\":\"Property\",\"value\":1}}]}}", world::POWER);
    let meter = format!("\"{}\"", world::METER_ONLY);
    for n in 0..2100 {
        world.store(&format!("urn:m:{n:04}"), &entity(&format!("urn:m:{n:04}"), &meter)).await;
    }
    world.store("urn:both:1", &entity("urn:both:1", &format!("{meter},\"{}\"", world::METER))).await;
    let who = |n: u32| format!("https://p{n}.example/#me");
    world.bind("urn:m:0001", &who(1)).await;
    world.bind_to(Target::Attribute { entity: iri("urn:m:0002"), attribute: iri(world::POWER) }, &who(2)).await;
    world.bind_to(Target::Pattern("urn:m:19*".into()), &who(3)).await;
    world.bind("urn:both:1", &who(4)).await;
    // Of two, both must have agreed; one did.
    world.bind("urn:m:0005", &who(5)).await;
    world.bind("urn:m:0005", &who(6)).await;
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    for n in 1..6 {
        world.grant(&who(n), "given", data.clone()).await;
    }
    world.bind("urn:m:0007", &who(7)).await;
    world.grant(&who(7), "given", data.clone()).await;
    world.grant(&who(7), "withdrawn", data.clone()).await;
    let ids = async || {
        let mut query = waybill_query::EntityQuery::of_types(world::types("OnlyMeter"));
        query.limit = 1000;
        let page = world.hub.query(&world.city_b(world::ADVICE), query, |_| true).await.expect("a page");
        page.get().entities.iter().map(|e| e.id().to_owned()).collect::<Vec<_>>()
    };
    let expected: Vec<String> = ["urn:both:1".into(), "urn:m:0001".into(), "urn:m:0002".into()].into_iter().chain((1900..2000).map(|n| format!("urn:m:{n}"))).collect();
    assert_eq!(ids().await, expected);
    for (id, seen) in [("urn:m:0001", true), ("urn:m:1950", true), ("urn:both:1", true), ("urn:m:0005", false), ("urn:m:0007", false), ("urn:m:0100", false)] {
        assert_eq!(world.seen_by_city_b(id).await.is_some(), seen, "{id}");
    }
    // Who comes later, and who goes.
    world.grant(&who(6), "given", data.clone()).await;
    world.grant(&who(3), "withdrawn", data).await;
    assert_eq!(ids().await, ["urn:both:1", "urn:m:0001", "urn:m:0002", "urn:m:0005"]);
    let lines = {
        world.hub.journal().flush_all().await.expect("flushed");
        world.hub.journal().export(1, 100_000).await.expect("the journal")
    };
    assert!(lines.iter().any(|l| l.contains("no-grant")), "that the rest stayed closed is on record");
}

#[tokio::test]
async fn to_refuse_what_was_agreed_to_takes_it_back() {
    let world = World::new().await;
    world.meter("urn:meter:1", 100.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    let granted = world.grant("https://anna.example/#me", "refused", data).await;
    assert_eq!(granted.closed.len(), 1);
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none());
}

#[tokio::test]
async fn what_rests_when_its_time_is_over_ends_once() {
    let world = World::new().await;
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    for state in ["given", "suspended"] {
        world.grant("https://anna.example/#me", state, data.clone()).await;
    }
    world.advance_minutes(400 * 24 * 60);
    assert_eq!(world.hub.end_grants().await.expect("looked"), 1);
    let lines = async || world.hub.journal().export(1, 1000).await.expect("the journal").len();
    let before = lines().await;
    for _ in 0..3 {
        assert_eq!(world.hub.end_grants().await.expect("looked"), 0);
    }
    assert_eq!(lines().await, before, "and nothing is written of it again");
}

#[tokio::test]
async fn an_order_is_of_what_the_recipient_sees() {
    let world = World::new().await;
    for (n, power, step) in [(1, 300.0, 1000.0), (2, 200.0, 10.0), (3, 250.0, 10.0)] {
        world.meter(&format!("urn:meter:{n}"), power).await;
        world.bind(&format!("urn:meter:{n}"), &format!("https://p{n}.example/#me")).await;
        world.grant(&format!("https://p{n}.example/#me"), "given", serde_json::json!([{ "attribute": world::POWER, "precision": { "round": step } }])).await;
    }
    // 300 is seen as 0, so it comes first although it is the largest.
    assert_eq!(world.ordered_for_city_b("power", 0, 10).await, ["urn:meter:1", "urn:meter:2", "urn:meter:3"]);
    assert_eq!(world.ordered_for_city_b("power;desc", 1, 1).await, ["urn:meter:2"]);
}

#[tokio::test]
async fn taking_back_is_on_record_too() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    world.until("created", |d| d.created("urn:meter:1") == 1).await;
    world.grant("https://anna.example/#me", "withdrawn", data).await;
    world.until("deleted", |d| d.deleted("urn:meter:1") == 1).await;
    workers.stop().await;
    let lines = world.hub.journal().export(1, 1000).await.expect("the journal");
    let records = lines.iter().filter(|l| l.contains("\"kind\":\"retraction\"")).count();
    assert_eq!(records, 1, "{lines:#?}");
    assert!(!lines.iter().any(|l| l.contains("urn:meter:1")), "the readable part names no entity of hers");
}

#[tokio::test]
async fn what_may_have_arrived_is_taken_back() {
    use std::sync::atomic::Ordering;
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    world.follow_as_city_b().await;
    world.lost.store(true, Ordering::SeqCst);
    let workers = world.hub.start();
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    world.until("taken, and the answer lost", |d| d.last_text("urn:meter:1").is_some()).await;
    world.grant("https://anna.example/#me", "withdrawn", data).await;
    world.lost.store(false, Ordering::SeqCst);
    world.advance_minutes(2);
    world.until("deleted", |d| d.deleted("urn:meter:1") >= 1).await;
    workers.stop().await;
}

/// Carries notices to one hub and to no other.
struct OneHub {
    reachable: &'static str,
    refuses: bool,
    taken: std::sync::Mutex<Vec<waybill_port::Notice>>,
}

impl waybill_port::Notices for OneHub {
    fn send<'a>(&'a self, base_url: &'a str, notice: &'a waybill_port::Notice) -> waybill_port::BoxFuture<'a, Result<(), waybill_port::DeliveryError>> {
        Box::pin(async move {
            if base_url != self.reachable {
                let error = if self.refuses { waybill_port::DeliveryError::fatal("refused for good") } else { waybill_port::DeliveryError::retry("nobody there") };
                return Err(error);
            }
            self.taken.lock().expect("lock").push(notice.clone());
            Ok(())
        })
    }
    fn fetch<'a>(&'a self, _: &'a str) -> waybill_port::BoxFuture<'a, Result<String, waybill_port::DeliveryError>> {
        Box::pin(async { Err(waybill_port::DeliveryError::retry("nobody there")) })
    }
}

#[tokio::test]
async fn a_hub_that_is_dead_does_not_hold_up_another() {
    for refuses in [false, true] {
        let (dead, alive) = ("https://dead.example", "https://lively.example");
        let parties = ["https://dead.example/#city", "https://lively.example/#city"];
        let world = World::with_hubs(&[(parties[0], dead), (parties[1], alive)]).await;
        let notices = std::sync::Arc::new(OneHub { reachable: alive, refuses, taken: std::sync::Mutex::default() });
        world.hub.set_notices(notices.clone());
        let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
        // More than are sent at once, to the one that sorts first.
        for n in 0..101 {
            let who = format!("https://p{n}.example/#me");
            world.grant_to(&[parties[0]], &who, "given", data.clone()).await;
            world.grant_to(&[parties[0]], &who, "withdrawn", data.clone()).await;
        }
        world.grant_to(&[parties[1]], "https://anna.example/#me", "given", data.clone()).await;
        world.grant_to(&[parties[1]], "https://anna.example/#me", "withdrawn", data).await;
        world.hub.send_notices().await.expect("sent");
        let events = notices.taken.lock().expect("lock").iter().filter(|n| matches!(n, waybill_port::Notice::Event(_))).count();
        assert_eq!(events, 1, "the living hub hears of Anna's withdrawal");
        // Who has not been told must not be lulled.
        world.hub.beat().await.expect("beaten");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let beats = notices.taken.lock().expect("lock").iter().filter(|n| matches!(n, waybill_port::Notice::Heartbeat(_))).count();
        assert_eq!(beats, 1, "a heartbeat for the one that was told, none for the other");
    }
}

#[tokio::test]
async fn a_notice_outlasts_the_key_that_signed_it() {
    let (party, url) = ("https://lively.example/#city", "https://lively.example");
    let world = World::with_hubs(&[(party, url)]).await;
    let notices = std::sync::Arc::new(OneHub { reachable: "https://nobody.example", refuses: false, taken: std::sync::Mutex::default() });
    world.hub.set_notices(notices);
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    for state in ["given", "withdrawn"] {
        world.grant_to(&[party], "https://anna.example/#me", state, data.clone()).await;
    }
    world.hub.send_notices().await.expect("tried");
    let old = world.hub.keys().active().kid().to_owned();
    world.advance_minutes(10);
    world.hub.rotate_key(waybill_keys::Algorithm::EdDsa).await.expect("rotated");
    world.hub.revoke_key(&old).await.expect("revoked");
    let waiting = world.hub.store().read(|r| r.docs("notice", "", 1, None)).await.expect("read");
    let row: serde_json::Value = serde_json::from_slice(&waiting[0].payload).expect("a row");
    let compact = row["notice"]["Event"].as_str().expect("an event").to_owned();
    let now = world.hub.clock().now();
    let verify = |text: &str| waybill_consent::EventToken::verify(text, &waybill_keys::did_web("lively.example"), &world.hub.keys().key_set(), now);
    assert!(verify(&compact).is_err(), "as it was signed it is worth nothing");
    let again = waybill_keys::jws::renewed(&compact, &world.hub.keys().key_set(), world.hub.keys().active(), now).expect("signed again");
    let token = verify(&again).expect("good");
    assert!(matches!(token.event, waybill_consent::EventKind::Withdrawn(_)));
    assert!(waybill_keys::jws::renewed(&again, &world.hub.keys().key_set(), world.hub.keys().active(), now).is_none(), "a good one stays");
}

#[tokio::test]
async fn what_was_looked_at_before_a_withdrawal_is_not_released_after_it() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    let release = async |(view, docs): (waybill_gate::View, Vec<waybill_gate::VisibleDoc>)| {
        assert_eq!(docs.len(), 1, "it was visible when it was looked at");
        world.hub.gate().release_page(&view, docs, None, waybill_gate::Tally::default(), "test", waybill_store::Batch::new()).await.map(drop)
    };
    let looked = world.looked_at_for_city_b("urn:meter:1").await;
    world.grant("https://ben.example/#me", "given", data.clone()).await;
    release(looked).await.expect("somebody else's consent is no reason");
    let looked = world.looked_at_for_city_b("urn:meter:1").await;
    world.bind("urn:meter:2", "https://ben.example/#me").await;
    release(looked).await.expect("nor is who something else is about");
    let looked = world.looked_at_for_city_b("urn:meter:1").await;
    let binding = world.bind_until_later("urn:meter:1", "https://carol.example/#me").await;
    assert_eq!(release(looked).await.expect_err("Carol was not asked").code, "store-conflict");
    world.advance_minutes(2);
    assert!(world.seen_by_city_b("urn:meter:1").await.is_some(), "{binding:?} is over");
    let looked = world.looked_at_for_city_b("urn:meter:1").await;
    world.grant("https://anna.example/#me", "withdrawn", data).await;
    let problem = release(looked).await.expect_err("it stands on a consent that is over");
    assert_eq!(problem.code, "store-conflict");
    let lines = world.hub.journal().export(1, 1000).await.expect("the journal");
    assert_eq!(lines.iter().filter(|l| l.contains("\"kind\":\"disclosure\"")).count(), 3, "only those whose ground stood were released");
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none());
}

#[tokio::test]
async fn a_follower_that_rests_hears_nothing_but_what_is_taken_back() {
    let world = World::new().await;
    for (id, who) in [("urn:meter:1", "https://anna.example/#me"), ("urn:meter:2", "https://ben.example/#me")] {
        world.meter(id, 1200.0).await;
        world.bind(id, who).await;
    }
    let follower = world.follow_as_city_b().await;
    let workers = world.hub.start();
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    for who in ["https://anna.example/#me", "https://ben.example/#me"] {
        world.grant(who, "given", data.clone()).await;
    }
    world.until("created", |d| d.created("urn:meter:1") == 1 && d.created("urn:meter:2") == 1).await;
    world.switch(&follower, false).await;
    world.quiet().await;
    let heard = world.arrived();
    world.meter("urn:meter:1", 1300.0).await;
    world.quiet().await;
    assert_eq!(world.arrived(), heard, "it rests");
    world.grant("https://anna.example/#me", "withdrawn", data).await;
    world.until("taken back", |d| d.deleted("urn:meter:1") == 1).await;
    world.quiet().await;
    let finished = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    assert!(finished.iter().all(|w| w.finished_at.is_some()), "{finished:?}");
    // What went for another reason while it rested, it hears of when it goes on.
    world.forget("urn:meter:2").await;
    world.switch(&follower, true).await;
    world.until("told later", |d| d.deleted("urn:meter:2") == 1).await;
    workers.stop().await;
}

#[tokio::test]
async fn a_follower_that_ends_is_waited_for_no_more() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", "https://anna.example/#me").await;
    let follower = world.follow_as_city_b().await;
    let workers = world.hub.start();
    let data = serde_json::json!([{ "attribute": world::POWER, "precision": "exact" }]);
    world.grant("https://anna.example/#me", "given", data.clone()).await;
    world.until("created", |d| d.created("urn:meter:1") == 1).await;
    world.quiet().await;
    world.lost.store(true, std::sync::atomic::Ordering::SeqCst);
    world.grant("https://anna.example/#me", "withdrawn", data).await;
    world.unfollow_as_city_b(&follower).await;
    workers.stop().await;
    let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    let progress: Vec<_> = list.iter().flat_map(|w| &w.holders).map(|h| h.progress).collect();
    assert_eq!(progress, [waybill_exchange::Progress::Unbounded], "it holds what it was given, and nobody can tell it");
}

#[tokio::test]
async fn followers_of_two_tenants_may_have_one_name() {
    let world = World::new().await;
    let other = waybill_model::TenantId::new("other").expect("a tenant");
    let workers = world.hub.start();
    world.follow_in(&world.tenant, Some("urn:subscription:1")).await;
    world.follow_in(&other, Some("urn:subscription:1")).await;
    world.model("urn:meter:1", false).await;
    world.until("heard once", |d| d.created("urn:meter:1") == 1).await;
    world.quiet().await;
    assert_eq!(world.arrived(), 1, "the other tenant's hears nothing");
    let scope = world.operator_of(&other);
    world.hub.unfollow(&scope, "remember", &iri("urn:subscription:1")).await.expect("ended");
    world.forget("urn:meter:1").await;
    world.until("still heard", |d| d.deleted("urn:meter:1") == 1).await;
    workers.stop().await;
}

#[tokio::test]
async fn one_of_several_instances_that_is_gone_is_told() {
    let world = World::new().await;
    let workers = world.hub.start();
    world.follow_as_city_b().await;
    world.model("urn:meter:1", true).await;
    world.until("both", |d| d.last_text("urn:meter:1").is_some_and(|t| t.contains("urn:dataset:2"))).await;
    world.quiet().await;
    world.model("urn:meter:1", false).await;
    world.until("one", |d| d.last_text("urn:meter:1").is_some_and(|t| !t.contains("urn:dataset:2"))).await;
    workers.stop().await;
}
