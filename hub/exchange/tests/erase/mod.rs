//! Erasing a person, and restores that bring nobody back.

use crate::world::{METER, POWER, World, iri};
use waybill_consent::Target;
use waybill_exchange::Change;
use waybill_model::EntityDoc;
use waybill_store::Store;

const ANNA: &str = "https://anna.example/#me";
const BEN: &str = "https://ben.example/#me";
const GAS: &str = "https://w3id.org/example/gas";

fn exact() -> serde_json::Value {
    serde_json::json!([{ "attribute": POWER, "precision": "exact" }, { "attribute": GAS, "precision": "exact" }])
}

async fn two_meters(world: &World, id: &str) {
    let text = format!(
        "{{\"id\":\"{id}\",\"type\":[\"{METER}\"],\"{GAS}\":[{{\"type\":\"Property\",\"value\":7}}],\"{POWER}\":[{{\"type\":\"Property\",\"value\":1200}}]}}"
    );
    let doc = EntityDoc::parse(text, world.hub.clock().now()).expect("canonical");
    world.hub.modify(&world.operator(), &iri(id), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
}

async fn stored(world: &World, id: &str) -> Option<String> {
    let (tenant, id) = (world.tenant.clone(), id.to_owned());
    world.hub.store().read(move |r| r.entity(&tenant, &id)).await.expect("read").map(|doc| doc.text().to_owned())
}

#[tokio::test]
async fn what_is_about_others_too_stays_and_does_not_open() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    for who in [ANNA, BEN] {
        world.bind("urn:meter:1", who).await;
        world.grant(who, "given", exact()).await;
    }
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    world.until("both agreed", |d| d.created("urn:meter:1") == 1).await;
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    world.until("taken back", |d| d.deleted("urn:meter:1") == 1).await;
    assert!(stored(&world, "urn:meter:1").await.is_some(), "it is Ben's too");
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none(), "Ben alone never decided");
    // Nor for what comes later.
    world.meter_at("urn:meter:1", 1300.0, 1).await;
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none());
    workers.stop().await;
}

#[tokio::test]
async fn of_an_entity_with_parts_of_several_only_hers_goes() {
    let world = World::new().await;
    two_meters(&world, "urn:meter:1").await;
    world.bind("urn:meter:1", BEN).await;
    world.bind_to(Target::Attribute { entity: iri("urn:meter:1"), attribute: iri(POWER) }, ANNA).await;
    for who in [ANNA, BEN] {
        world.grant(who, "given", exact()).await;
    }
    let seen = world.seen_by_city_b("urn:meter:1").await.expect("seen");
    assert!(seen.text().contains(POWER) && seen.text().contains(GAS));
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    let left = stored(&world, "urn:meter:1").await.expect("Ben's part stays");
    assert!(!left.contains(POWER) && left.contains(GAS), "{left}");
    // The meter goes on measuring: what was hers is not Ben's to open now.
    two_meters(&world, "urn:meter:1").await;
    let seen = world.seen_by_city_b("urn:meter:1").await.expect("Ben's part is open");
    assert!(!seen.text().contains(POWER) && seen.text().contains(GAS), "{}", seen.text());
}

#[tokio::test]
async fn what_was_hers_once_and_is_nobodys_is_not_taken_for_hers() {
    let world = World::new().await;
    world.bind("urn:meter:1", ANNA).await;
    let bindings = world.hub.bindings(&world.tenant, 10, None).await.expect("bindings");
    assert!(world.hub.unbind(&world.tenant, &bindings[0].0).await.expect("ended"));
    world.advance_minutes(60);
    world.bind("urn:meter:1", BEN).await;
    world.meter("urn:meter:1", 1200.0).await;
    let done = world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    assert_eq!(done.entities, 0);
    assert!(stored(&world, "urn:meter:1").await.is_some(), "it is Ben's meter now");
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none());
    world.grant(BEN, "given", exact()).await;
    assert!(world.seen_by_city_b("urn:meter:1").await.is_some(), "and he decides alone");
}

#[tokio::test]
async fn no_file_names_her_afterwards_and_her_old_word_is_not_taken_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::at(folder.path(), 0).await;
    world.meter("urn:meter:of-anna", 1234.5).await;
    world.bind("urn:meter:of-anna", ANNA).await;
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    let mean = serde_json::json!([{ "attribute": POWER, "precision": { "mean": { "every": "PT1H", "zone": "Europe/Brussels" } } }]);
    world.grant(ANNA, "given", mean).await;
    for minute in 1..50 {
        world.meter_at("urn:meter:of-anna", 1234.5, minute).await;
    }
    world.clock_to_the_next_hour();
    world.grant(ANNA, "given", exact()).await;
    world.until("delivered", |d| d.created("urn:meter:of-anna") == 1).await;
    world.seen_by_city_b("urn:meter:of-anna").await.expect("seen");
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    world.until("taken back", |d| d.deleted("urn:meter:of-anna") == 1).await;
    world.quiet().await;

    let problem = world.read_again().await.expect_err("what she said before is over");
    assert_eq!(problem.code, "subject-erased");
    assert!(world.hub.journal().verify(None).await.is_ok(), "the chain holds");
    workers.stop().await;
    world.hub.store().scrub(waybill_store::Scrub::Whole).await.expect("scrubbed");
    world.hub.store().close().await;
    for entry in std::fs::read_dir(folder.path()).expect("the folder").flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        for needle in ["anna.example", "urn:meter:of-anna", "1234.5"] {
            let found = bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
            assert!(!found, "`{needle}` lies in {:?}", entry.file_name());
        }
    }
}

#[tokio::test]
async fn she_may_come_back() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", ANNA).await;
    world.grant(ANNA, "given", exact()).await;
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    assert!(stored(&world, "urn:meter:1").await.is_none());
    world.meter("urn:meter:1", 1300.0).await;
    world.bind("urn:meter:1", ANNA).await;
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none());
    // Stated later than the erasure.
    world.grant(ANNA, "given", exact()).await;
    assert!(world.seen_by_city_b("urn:meter:1").await.is_some());
}

#[tokio::test]
async fn a_restore_does_not_bring_her_back() {
    let root = tempfile::tempdir().expect("a folder");
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let world = World::at(&data, 0).await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", ANNA).await;
    world.grant(ANNA, "given", exact()).await;
    world.hub.store().backup(copy.clone()).await.expect("a backup");
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    world.hub.store().close().await;
    drop(world);

    Store::restore(&copy, &data).expect("restored");
    let world = World::at(&data, 60).await;
    assert!(stored(&world, "urn:meter:1").await.is_some(), "the backup holds her still");
    world.hub.settle_restore().await.expect("settled");
    assert!(stored(&world, "urn:meter:1").await.is_none(), "but the ledger does not forget");
    assert!(world.hub.bindings(&world.tenant, 10, None).await.expect("bindings").is_empty());
    world.meter("urn:meter:1", 1300.0).await;
    assert!(world.seen_by_city_b("urn:meter:1").await.is_none());
}

fn of_pod(world: &World, id: &str) -> EntityDoc {
    let text = format!("{{\"id\":\"{id}\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":1}}]}}");
    EntityDoc::parse(text, world.hub.clock().now()).expect("canonical")
}

#[tokio::test]
async fn a_pod_speaks_for_its_own_things_only() {
    let world = World::new().await;
    let take = async |who: &str, url: &str, id: &str| world.hub.take_from_pod(&world.tenant, &iri(who), url, &of_pod(&world, id)).await.map_err(|p| p.code.to_string());
    world.meter("urn:meter:of-the-city", 1200.0).await;
    world.bind("urn:meter:promised", BEN).await;
    let anna = "https://anna.example/things/1";
    for id in ["urn:meter:of-the-city", "urn:meter:promised"] {
        assert_eq!(take(ANNA, anna, id).await, Err("entity-of-another".into()), "{id}");
    }
    assert!(stored(&world, "urn:meter:of-the-city").await.expect("there").contains("1200"));
    assert!(world.hub.bindings(&world.tenant, 10, None).await.expect("bindings").iter().all(|(_, b)| b.subject.as_str() == BEN));
    // Her own, as often as it changes; nobody else's pod takes it over.
    for _ in 0..2 {
        take(ANNA, anna, "urn:meter:hers").await.expect("hers");
    }
    assert_eq!(take(BEN, "https://ben.example/things/1", "urn:meter:hers").await, Err("entity-of-another".into()));
    // The resource changes what it holds, and goes.
    take(ANNA, anna, "urn:meter:hers-2").await.expect("hers");
    assert!(stored(&world, "urn:meter:hers").await.is_none());
    world.hub.gone_from_pod(anna).await.expect("gone");
    assert!(stored(&world, "urn:meter:hers-2").await.is_none());
    // After an erasure, what lies in the pod is not taken again.
    take(ANNA, anna, "urn:meter:hers").await.expect("hers");
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    assert!(stored(&world, "urn:meter:hers").await.is_none());
    assert_eq!(take(ANNA, anna, "urn:meter:hers").await, Err("subject-erased".into()));
    world.grant(ANNA, "given", exact()).await;
    take(ANNA, anna, "urn:meter:hers").await.expect("she is back");
}

#[tokio::test]
async fn rows_that_have_had_their_time_go() {
    let world = World::new().await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", ANNA).await;
    world.grant(ANNA, "given", exact()).await;
    world.seen_by_city_b("urn:meter:1").await.expect("seen, with a manifest");
    let manifests = async || world.hub.store().read(|r| r.docs("manifest", "", 10, None)).await.expect("read").len();
    assert_eq!(manifests().await, 1);
    assert_eq!(world.hub.sweep().await.expect("swept"), 0, "it can be fetched for thirty days");
    world.advance_minutes(31 * 24 * 60);
    assert_eq!(world.hub.sweep().await.expect("swept"), 1);
    assert_eq!(manifests().await, 0);
}

#[tokio::test]
async fn after_a_restore_holders_are_told_again() {
    let root = tempfile::tempdir().expect("a folder");
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let world = World::at(&data, 0).await;
    world.meter("urn:meter:1", 1200.0).await;
    world.bind("urn:meter:1", ANNA).await;
    world.grant(ANNA, "given", exact()).await;
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    world.until("delivered", |d| d.created("urn:meter:1") == 1).await;
    world.quiet().await;
    workers.stop().await;
    world.hub.store().backup(copy.clone()).await.expect("a backup");
    // Nobody is told before the disk is lost.
    world.grant(ANNA, "withdrawn", exact()).await;
    world.hub.store().close().await;
    drop(world);
    Store::restore(&copy, &data).expect("restored");
    let world = World::at(&data, 60).await;
    world.hub.settle_restore().await.expect("settled");
    assert!(world.hub.published_status("revocation-1").await.expect("read").is_some());
    world.grant(BEN, "given", exact()).await;
    assert!(world.hub.published_status("revocation-2").await.expect("read").is_some(), "new envelopes take no place that may be somebody's");
    let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    assert_eq!(list.iter().flat_map(|w| &w.holders).count(), 1, "{list:?}");
    let workers = world.hub.start();
    world.until("taken back", |d| d.deleted("urn:meter:1") == 1).await;
    workers.stop().await;
}
