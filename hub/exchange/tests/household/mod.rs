//! Data about several people: one envelope stands for all of theirs, and goes with the first that is over.

use crate::world::{ADVICE, CITY_B, POWER, World, iri};
use waybill_consent::{ConsentBook, Envelope};
use waybill_exchange::Progress;
use waybill_model::EnvelopeHash;

const ANNA: &str = "https://anna.example/#me";
const BEN: &str = "https://ben.example/#me";
const ID: &str = "urn:meter:1";

fn exact() -> serde_json::Value {
    serde_json::json!([{ "attribute": POWER, "precision": "exact" }])
}

async fn household(world: &World) {
    world.meter(ID, 1200.0).await;
    for who in [ANNA, BEN] {
        world.bind(ID, who).await;
        world.grant(who, "given", exact()).await;
    }
}

/// The envelope that City B finds at the value.
async fn tag(world: &World) -> EnvelopeHash {
    let seen = world.seen_by_city_b(ID).await.expect("both agreed");
    let at = seen.text().find("/env/").expect("a tag") + 5;
    EnvelopeHash::parse(seen.text()[at..].split('"').next().expect("its end")).expect("a hash")
}

#[tokio::test]
async fn the_envelope_is_of_all_and_the_same_each_time() {
    let world = World::new().await;
    household(&world).await;
    let hash = tag(&world).await;
    assert_eq!(hash, tag(&world).await);
    let stored = world.hub.store().read(move |r| Ok(ConsentBook::envelope(r, &hash).expect("readable"))).await.expect("read").expect("published");
    let claims = Envelope::trusted(&stored.compact).expect("an envelope").claims;
    assert_eq!((claims.aud.as_str(), claims.terms.purposes.as_slice()), (CITY_B, &[iri(ADVICE)][..]));
    assert!(!stored.compact.contains("anna") && claims.con.id.as_str().starts_with("urn:waybill:joint:"), "{}", claims.con.id);
}

#[tokio::test]
async fn whoever_withdraws_the_follower_is_told_and_waited_for() {
    for who in [ANNA, BEN] {
        let world = World::new().await;
        household(&world).await;
        let follower = world.follow_as_city_b().await;
        let workers = world.hub.start();
        world.until("both agreed", |d| d.created(ID) == 1).await;
        world.quiet().await;
        world.lost.store(true, std::sync::atomic::Ordering::SeqCst);
        world.grant(who, "withdrawn", exact()).await;
        let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
        let holders: Vec<_> = list.iter().flat_map(|w| &w.holders).map(|h| (h.follower.clone(), h.progress)).collect();
        assert_eq!(holders, [(Some(follower), Progress::Told)], "{who}");
        world.lost.store(false, std::sync::atomic::Ordering::SeqCst);
        world.advance_minutes(5);
        world.until("taken back", |d| d.deleted(ID) >= 1).await;
        world.quiet().await;
        let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
        assert!(list.iter().all(|w| w.finished_at.is_some()), "{who}: {list:?}");
        workers.stop().await;
    }
}

#[tokio::test]
async fn who_asked_is_known_whoever_withdraws() {
    for who in [ANNA, BEN] {
        let world = World::new().await;
        household(&world).await;
        let hash = tag(&world).await;
        let granted = world.grant(who, "withdrawn", exact()).await;
        assert_eq!(granted.closed.len(), 1);
        let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
        assert!(list[0].envelopes.contains(&hash) && list[0].envelopes.len() == 2, "{list:?}");
        let progress: Vec<_> = list[0].holders.iter().map(|h| h.progress).collect();
        assert_eq!(progress, [Progress::Unbounded], "{who}: city B asked once and has no door of ours");
        assert!(revoked(&world, hash).await, "and whoever looks the envelope up learns that it is over");
    }
}

async fn revoked(world: &World, hash: EnvelopeHash) -> bool {
    let read = move |r: &waybill_store::Reader<'_>| Ok(ConsentBook::is_marked(r, &mut waybill_store::Batch::new(), &hash).expect("readable"));
    world.hub.store().read(read).await.expect("read")
}

#[tokio::test]
async fn what_was_looked_at_before_one_withdrew_is_not_released_after_it() {
    let world = World::new().await;
    household(&world).await;
    let (view, docs) = world.looked_at_for_city_b(ID).await;
    world.grant(BEN, "withdrawn", exact()).await;
    let problem = world.hub.gate().release_page(&view, docs, None, waybill_gate::Tally::default(), "test", waybill_store::Batch::new()).await.expect_err("it stands on a consent that is over");
    assert_eq!(problem.code, "store-conflict");
    let joint = world.hub.store().read(|r| r.docs("envelope-joint-of", "", 10, None)).await.expect("read");
    assert!(joint.is_empty(), "no envelope stands for what is over");
}

#[tokio::test]
async fn while_one_rests_all_of_it_rests() {
    let world = World::new().await;
    household(&world).await;
    let hash = tag(&world).await;
    for who in [ANNA, BEN] {
        world.grant(who, "suspended", exact()).await;
        assert!(revoked(&world, hash).await && world.seen_by_city_b(ID).await.is_none());
    }
    world.grant(ANNA, "given", exact()).await;
    assert!(revoked(&world, hash).await, "Ben's rests still");
    world.grant(BEN, "given", exact()).await;
    assert!(!revoked(&world, hash).await);
    assert_eq!(tag(&world).await, hash, "the same goes on");
}

#[tokio::test]
async fn a_store_that_is_fed_must_keep_the_tag_of_all() {
    let world = World::new().await;
    household(&world).await;
    // Anna's alone, so that an envelope of hers is known there too.
    world.meter("urn:meter:2", 7.0).await;
    world.bind("urn:meter:2", ANNA).await;
    let follower = world.follow_as_city_b().await;
    let workers = world.hub.start();
    world.until("both entities", |d| d.created(ID) == 1 && d.created("urn:meter:2") == 1).await;
    world.quiet().await;
    workers.stop().await;
    let secret = waybill_keys::sha256(b"the secret");
    world.hub.set_intake("broker", waybill_exchange::Intake { tenant: world.tenant.clone(), hub: None, fed_by: vec![follower], secret });
    let (shared, alone) = (world.last_text(ID), world.last_text("urn:meter:2"));
    let tag = |text: &str| text[text.find("/env/").expect("a tag") + 5..].split('"').next().expect("its end").to_owned();
    let swapped = shared.replace(&tag(&shared), &tag(&alone));
    assert_ne!(swapped, shared);
    for (text, codes) in [(shared, &[][..]), (swapped, &["tag-swapped"][..])] {
        world.hub.receive("broker", "the secret", vec![waybill_exchange::Incoming::Changed(text)], None).await.expect("received");
        world.hub.process_inbox().await.expect("looked at");
        let rows = world.hub.quarantined(&world.tenant, 10, None).await.expect("read");
        assert_eq!(rows.into_iter().map(|(_, row)| row.code).collect::<Vec<_>>(), codes);
    }
}

#[tokio::test]
async fn what_stood_for_all_is_forgotten_when_it_is_over() {
    let world = World::new().await;
    household(&world).await;
    for _ in 0..3 {
        tag(&world).await;
        world.grant(BEN, "withdrawn", exact()).await;
        world.grant(BEN, "given", exact()).await;
    }
    tag(&world).await;
    let joint = world.hub.store().read(|r| r.docs("envelope-joint-of", "", 100, None)).await.expect("read");
    assert_eq!(joint.len(), 2, "one that is in force, found by both; Anna's withdrawal names no more than that");
    world.grant(ANNA, "withdrawn", exact()).await;
    let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    assert_eq!(list.last().expect("hers").envelopes.len(), 2);
}
