//! A configuration that changes is a change of what may be seen, and of who is told.

use crate::world::{ADVICE, CITY_B, METER, POWER, World, iri};
use waybill_consent::{Asset, Basis, ConsentBook, Terms, Transform, Validity};
use waybill_exchange::{BasisRoute, Progress};
use waybill_gate::{BindBy, BindRule, Governance};

const ID: &str = "urn:meter:1";
const ANNA: &str = "https://anna.example/#me";

impl World {
    async fn govern(&self, change: impl FnOnce(&mut Governance), basis: Vec<BasisRoute>) {
        let mut governance = (*self.hub.governance()).clone();
        change(&mut governance);
        self.hub.govern(governance, &self.tenant, basis).await.expect("in force");
    }
    async fn configurations(&self) -> usize {
        let lines = self.hub.journal().export(1, 1000).await.expect("the journal");
        lines.iter().filter(|l| l.contains("\"kind\":\"configuration\"")).count()
    }
}

fn grid_planning() -> BasisRoute {
    BasisRoute {
        source: iri("https://a.example/routes/planner"),
        terms: Terms {
            process: "planner".into(),
            basis: Basis::PublicTask,
            controller: iri("https://a.example/party"),
            recipient: iri(CITY_B),
            purposes: vec![iri(ADVICE)],
            purpose_version: 1,
            assets: vec![Asset { types: vec![iri(METER)], attribute: iri(POWER), transform: Transform::Share }],
            distribute_to: Vec::new(),
        },
        validity: Validity::default(),
        label: std::collections::BTreeMap::new(),
    }
}

#[tokio::test]
async fn what_an_agreement_no_longer_covers_is_taken_back() {
    let world = World::new().await;
    world.meter(ID, 1200.0).await;
    world.bind(ID, ANNA).await;
    world.grant(ANNA, "given", serde_json::json!([{ "attribute": POWER, "precision": "exact" }])).await;
    world.govern(|_| {}, Vec::new()).await;
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    world.until("delivered", |d| d.created(ID) == 1).await;
    world.quiet().await;
    // The same again is no change.
    world.govern(|_| {}, Vec::new()).await;
    assert_eq!(world.configurations().await, 1);
    world.govern(|g| g.agreements.clear(), Vec::new()).await;
    assert_eq!(world.configurations().await, 2);
    world.until("taken back", |d| d.deleted(ID) == 1).await;
    workers.stop().await;
}

#[tokio::test]
async fn a_basis_that_is_stated_no_more_is_over_for_its_holders() {
    let world = World::new().await;
    world.meter(ID, 1200.0).await;
    world.bind(ID, ANNA).await;
    world.govern(|_| {}, vec![grid_planning()]).await;
    let page = world.hub.retrieve(&world.city_b(ADVICE), &iri(ID), |_| true).await.expect("the basis opens it");
    let envelope = page.receipt().envelopes[0];
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    world.until("delivered", |d| d.created(ID) == 1).await;
    world.quiet().await;
    world.govern(|_| {}, Vec::new()).await;
    let marked = world.hub.store().read(move |r| Ok(ConsentBook::is_marked(r, &mut waybill_store::Batch::new(), &envelope).expect("reads"))).await.expect("read");
    assert!(marked, "whoever looks it up learns that it is over");
    world.until("taken back", |d| d.deleted(ID) == 1).await;
    world.quiet().await;
    let list = world.hub.withdrawals(&world.tenant).await.expect("withdrawals");
    let progress: Vec<_> = list.iter().flat_map(|w| &w.holders).map(|h| h.progress).collect();
    assert_eq!((list.len(), progress), (1, vec![Progress::Done]));
    assert!(list[0].subject.is_none() && list[0].finished_at.is_some(), "nobody withdrew: the city did");
    // Stated again, it is another envelope.
    world.govern(|_| {}, vec![grid_planning()]).await;
    let page = world.hub.retrieve(&world.city_b(ADVICE), &iri(ID), |_| true).await.expect("the basis opens it again");
    assert_ne!(page.receipt().envelopes[0], envelope);
    workers.stop().await;
}

#[tokio::test]
async fn a_new_rule_counts_for_what_is_there() {
    let world = World::new().await;
    let workers = world.hub.start();
    // More than one step.
    for n in 0..250 {
        world.meter(&format!("urn:meter:{n}"), 1.0).await;
    }
    let rule = BindRule { types: vec![iri(METER)], by: BindBy::Id { before: "urn:meter:".into(), after: String::new(), template: "https://p.example/*".into() }, all: true, evidence: "route".into() };
    world.govern(|g| g.bindings.push(rule), Vec::new()).await;
    let done = async || world.hub.bindings(&world.tenant, 1000, None).await.expect("bindings").len();
    for _ in 0..500 {
        if done().await == 250 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(done().await, 250);
    workers.stop().await;
}

#[tokio::test]
async fn a_purpose_that_is_agreed_no_more_is_none() {
    let world = World::new().await;
    world.meter(ID, 1200.0).await;
    world.bind(ID, ANNA).await;
    world.grant(ANNA, "given", serde_json::json!([{ "attribute": POWER, "precision": "exact" }])).await;
    world.govern(|_| {}, Vec::new()).await;
    world.follow_as_city_b().await;
    let workers = world.hub.start();
    world.until("delivered", |d| d.created(ID) == 1).await;
    world.quiet().await;
    world.govern(|g| g.agreements[0].purposes.clear(), Vec::new()).await;
    world.until("taken back", |d| d.deleted(ID) == 1).await;
    assert!(world.seen_by_city_b(ID).await.is_none());
    workers.stop().await;
}

#[tokio::test]
async fn a_rule_does_not_bring_back_who_moved_out() {
    let world = World::new().await;
    let rule = BindRule { types: vec![iri(METER)], by: BindBy::Id { before: "urn:meter:".into(), after: String::new(), template: "https://p.example/*".into() }, all: true, evidence: "route".into() };
    world.govern(|g| g.bindings.push(rule), Vec::new()).await;
    world.meter(ID, 1.0).await;
    let bindings = world.hub.bindings(&world.tenant, 10, None).await.expect("bindings");
    assert_eq!(bindings.len(), 1);
    assert!(world.hub.unbind(&world.tenant, &bindings[0].0).await.expect("ended"));
    world.advance_minutes(1);
    world.meter(ID, 2.0).await;
    let bindings = world.hub.bindings(&world.tenant, 10, None).await.expect("bindings");
    assert!(bindings.iter().all(|(_, b)| b.validity.until.is_some()), "{bindings:?}");
}

#[tokio::test]
async fn what_was_measured_before_somebody_moved_in_is_not_theirs_to_open() {
    use waybill_consent::{Binding, Rule, Target};
    let world = World::new().await;
    world.meter(ID, 1200.0).await;
    world.advance_minutes(60);
    let validity = Validity { from: Some(world.hub.clock().now()), until: None };
    let binding = Binding { target: Target::Entity(iri(ID)), subject: iri(ANNA), validity, asserted_by: iri(CITY_B), evidence: String::new(), rule: Rule::All };
    world.hub.bind(&world.tenant, &binding).await.expect("bound");
    world.grant(ANNA, "given", serde_json::json!([{ "attribute": POWER, "precision": "exact" }])).await;
    assert!(world.seen_by_city_b(ID).await.is_none(), "it is about whoever was there before");
    world.meter(ID, 1300.0).await;
    assert!(world.seen_by_city_b(ID).await.is_some());
}
