//! Under a licence: what an organisation is shown is what its licence covers and people consented to, and nothing by any other agreement.

use crate::world::{ADVICE, CITY_B, METER, METER_ONLY, MODEL, POWER, World, iri, types};
use proptest::prelude::*;
use std::collections::BTreeSet;
use waybill_exchange::{Change, NewFollower};
use waybill_gate::{Agreement, HolderClass, Licence, Tally};
use waybill_model::{EntityDoc, Iri, Principal, Scope, TAG_NAME, TenantId};
use waybill_query::EntityQuery;

pub const ACME: &str = "https://acme.example/party";
pub const BILLING: &str = "https://w3id.org/waybill/purpose#EnergyBilling";
const AIR: &str = "https://w3id.org/example/AirQuality";
const NO2: &str = "https://w3id.org/example/no2";
const ANNA: &str = "https://anna.example/#me";
const AGREEMENT: &str = "urn:uuid:5f0c3c0e-0000-4000-8000-000000000001";

/// Of all meters, for advice, without an end.
pub fn licence(id: &str) -> Licence {
    Licence {
        id: iri(id),
        tenant: TenantId::main(),
        participant: "did:web:acme.example".into(),
        party: iri(ACME),
        purposes: vec![iri(ADVICE)],
        dataset: "meters".into(),
        types: vec![iri(METER)],
        ids: Vec::new(),
        attributes: Vec::new(),
        open: true,
        pairwise: false,
        from: None,
        until: None,
        ended: None,
    }
}

/// The scope of a call under an agreement.
pub fn under(id: &str, party: &str, purpose: &str) -> Scope {
    Scope {
        principal: Principal::Client { client: "connector".into(), party: iri(party) },
        recipient: Some(iri(party)),
        purpose: Some(iri(purpose)),
        agreement: Some(iri(id)),
        ..Scope::anonymous(TenantId::main())
    }
}

impl World {
    /// Anna's meter with what is open of it, the air she breathes, and a meter of a type of which nothing is open. She granted its power to
    /// the company and to city B.
    async fn with_a_meter() -> Self {
        let world = Self::new().await;
        world.store("urn:meter:1", &format!("{{\"id\":\"urn:meter:1\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":1200}}],\"{MODEL}\":[{{\"type\":\"Property\",\"value\":\"x\"}}]}}")).await;
        world.store("urn:meter:2", &format!("{{\"id\":\"urn:meter:2\",\"type\":[\"{METER_ONLY}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":7}}]}}")).await;
        world.store("urn:air:1", &format!("{{\"id\":\"urn:air:1\",\"type\":[\"{AIR}\"],\"{NO2}\":[{{\"type\":\"Property\",\"value\":40}}]}}")).await;
        for meter in ["urn:meter:1", "urn:meter:2"] {
            world.bind(meter, ANNA).await;
        }
        world.grants("given").await;
        world
    }
    async fn grants(&self, state: &str) {
        self.grant_to(&[ACME, CITY_B], ANNA, state, serde_json::json!([{ "attribute": POWER, "precision": "exact" }])).await;
    }
    /// All that is shown, as pairs of entity and Attribute.
    pub async fn shown(&self, scope: &Scope) -> BTreeSet<(String, String)> {
        let query = EntityQuery { limit: 100, ..EntityQuery::new() };
        let page = self.hub.query(scope, query, |_| true).await.expect("a page");
        let named = |doc: &EntityDoc| doc.spans().iter().map(|s| (doc.id().to_owned(), doc.name(s).to_owned())).collect::<Vec<_>>();
        let listed: BTreeSet<_> = page.get().entities.iter().flat_map(named).filter(|(_, name)| name != TAG_NAME).collect();
        for id in ["urn:meter:1", "urn:meter:2", "urn:air:1"] {
            let alone = self.hub.retrieve(scope, &iri(id), |_| true).await.ok().map(|page| page.get().entities[0].clone());
            let alone: BTreeSet<_> = alone.iter().flat_map(named).filter(|(_, name)| name != TAG_NAME).collect();
            assert_eq!(alone, listed.iter().filter(|(e, _)| e == id).cloned().collect(), "asked for alone, {id} is shown the same");
        }
        listed
    }
    pub async fn follow(&self, scope: &Scope) -> Iri {
        let new = NewFollower { id: None, sink: "remember", spec: String::new(), active: true, expires_at: None, initial_load: true };
        self.hub.follow(scope, new).await.expect("following")
    }
}

type Case = (&'static str, fn(&mut Licence, &World), Scope, &'static [(&'static str, &'static str)]);

#[tokio::test]
async fn a_licence_bounds_what_consents_open() {
    let world = World::with_a_meter().await;
    let own = under(AGREEMENT, ACME, ADVICE);
    let all: &[_] = &[("urn:meter:1", MODEL), ("urn:meter:1", POWER)];
    let cases: Vec<Case> = vec![
        ("in force", |_, _| (), own.clone(), all),
        ("without open data", |l, _| l.open = false, own.clone(), &[("urn:meter:1", POWER)]),
        ("only what is open of it", |l, _| l.attributes = vec![iri(MODEL)], own.clone(), &[("urn:meter:1", MODEL)]),
        ("only the power", |l, _| l.attributes = vec![iri(POWER)], own.clone(), &[("urn:meter:1", POWER)]),
        ("one entity, which is another", |l, _| l.ids = vec![iri("urn:meter:2")], own.clone(), &[]),
        ("this entity", |l, _| l.ids = vec![iri("urn:meter:1")], own.clone(), all),
        ("a type of open data", |l, _| l.types = vec![iri(AIR)], own.clone(), &[("urn:air:1", NO2)]),
        ("both types", |l, _| l.types = vec![iri(AIR), iri(METER)], own.clone(), &[("urn:air:1", NO2), ("urn:meter:1", MODEL), ("urn:meter:1", POWER)]),
        ("a type of which nothing is open", |l, _| l.types = vec![iri(METER_ONLY)], own.clone(), &[("urn:meter:2", POWER)]),
        ("another purpose than she granted", |l, _| l.purposes = vec![iri(BILLING)], under(AGREEMENT, ACME, BILLING), &[("urn:meter:1", MODEL)]),
        ("a purpose that the licence does not name", |l, _| l.purposes = vec![iri(BILLING)], own.clone(), &[("urn:meter:1", MODEL)]),
        ("not begun", |l, w| l.from = Some(w.hub.clock().now().plus_seconds(1)), own.clone(), &[]),
        ("just begun", |l, w| l.from = Some(w.hub.clock().now()), own.clone(), all),
        ("just over", |l, w| l.until = Some(w.hub.clock().now()), own.clone(), &[]),
        ("nearly over", |l, w| l.until = Some(w.hub.clock().now().plus_seconds(1)), own.clone(), all),
        ("ended", |l, _| l.ended = Some("terminated".into()), own.clone(), &[]),
        ("another store's", |l, _| l.tenant = TenantId::new("other").expect("a tenant"), own.clone(), &[]),
        ("of a party that has an agreement of the configuration", |_, _| (), under(AGREEMENT, CITY_B, ADVICE), &[]),
        ("missing", |_, _| (), under("urn:uuid:none", ACME, ADVICE), &[]),
        ("missing, of a party with an agreement", |_, _| (), under("urn:uuid:none", CITY_B, ADVICE), &[]),
        ("the operator's", |_, _| (), Scope { principal: Principal::Operator("x".into()), ..own.clone() }, &[]),
    ];
    for (what, change, scope, expected) in cases {
        let mut licence = licence(AGREEMENT);
        change(&mut licence, &world);
        // Put as it is, since what has ended cannot be given.
        let row = serde_json::to_vec(&licence).expect("a row");
        let mut batch = waybill_store::Batch::new();
        batch.put_doc(waybill_gate::LICENCE, AGREEMENT, row, None);
        world.hub.store().commit(batch).await.expect("put");
        let expected: BTreeSet<_> = expected.iter().map(|(e, a)| ((*e).to_owned(), (*a).to_owned())).collect();
        assert_eq!(world.shown(&scope).await, expected, "{what}");
        let personal = expected.iter().any(|(_, name)| name == POWER);
        assert_eq!(world.hub.anyone_visible(&scope).await.expect("looked"), personal, "{what}");
    }
}

#[tokio::test]
async fn an_agreement_with_the_same_party_or_anybody_widens_no_licensed_call() {
    let world = World::with_a_meter().await;
    let mut governance = (*world.hub.governance()).clone();
    let anybody = Agreement { id: iri("urn:agreement:any"), recipient: None, purposes: vec![iri(ADVICE)], open: true, holder: HolderClass::Plain, hub: None, write: false };
    governance.agreements.push(Agreement { id: iri("urn:agreement:acme"), recipient: Some(iri(ACME)), hub: Some("https://acme.example".into()), write: true, ..anybody.clone() });
    governance.agreements.push(anybody);
    world.hub.govern(governance, &world.tenant, Vec::new()).await.expect("in force");
    let licence = Licence { open: false, attributes: vec![iri(MODEL)], ..licence(AGREEMENT) };
    world.hub.license(&licence).await.expect("licensed");
    let (own, plain) = (under(AGREEMENT, ACME, ADVICE), Scope { agreement: None, ..under(AGREEMENT, ACME, ADVICE) });
    let named = Scope { agreement: Some(iri("urn:agreement:acme")), ..plain.clone() };
    assert_eq!(world.shown(&plain).await.len(), 4, "what the agreement opens");
    assert_eq!(world.shown(&named).await.len(), 4, "named, it is the same agreement");
    assert_eq!(world.shown(&own).await, BTreeSet::new(), "the licence covers the model, and no open data");
    world.hub.end_licence(&iri(AGREEMENT), "terminated").await.expect("ended");
    assert_eq!(world.shown(&own).await, BTreeSet::new(), "an ended licence falls back on nothing");
    // Nor does it write, or follow where it hears of no deletion.
    let keep = |_: Option<&EntityDoc>| Ok(Change::Keep(()));
    world.hub.modify(&plain, &iri("urn:air:1"), keep).await.expect("its agreement lets it write");
    for scope in [&own, &Scope { principal: Principal::Hub, ..own.clone() }, &Scope { principal: Principal::Operator("x".into()), ..own.clone() }] {
        let problem = world.hub.modify(scope, &iri("urn:air:1"), keep).await.expect_err("a licence never writes");
        assert_eq!((problem.status, problem.code.as_str()), (403, "licence-never-writes"));
    }
    let deaf = || NewFollower { id: None, sink: "remember", spec: "SmartMeter".into(), active: true, expires_at: None, initial_load: true };
    world.hub.follow(&plain, deaf()).await.expect("its hub hears of withdrawals");
    assert_eq!(world.hub.follow(&own, deaf()).await.expect_err("where a licence delivers, nobody hears").code, "subscription-deaf-to-deletion");
}

#[tokio::test]
async fn what_was_looked_at_before_a_licence_changed_is_not_released_after_it() {
    let world = World::with_a_meter().await;
    world.hub.license(&licence(AGREEMENT)).await.expect("licensed");
    let scope = under(AGREEMENT, ACME, ADVICE);
    for id in ["urn:meter:1", "urn:air:1"] {
        let own = Licence { types: vec![iri(METER), iri(AIR)], ids: vec![iri(id)], ..licence(&format!("urn:uuid:{id}")) };
        world.hub.license(&own).await.expect("licensed");
        let scope = under(own.id.as_str(), ACME, ADVICE);
        let looked = async || {
            let (view, tenant) = (world.hub.gate().view(&scope), world.tenant.clone());
            let seen = view.clone();
            let look = move |r: &waybill_store::Reader<'_>| {
                let Some(doc) = r.entity(&tenant, id)? else { return Ok(Vec::new()) };
                Ok(seen.eyes(r)?.mask(&doc, &mut Tally::default())?.into_iter().collect::<Vec<_>>())
            };
            (view, world.hub.store().read(look).await.expect("read"))
        };
        let (view, docs) = looked().await;
        assert_eq!(docs.len(), 1, "{id}");
        world.hub.gate().release_page(&view, docs, None, Tally::default(), "test", waybill_store::Batch::new()).await.expect("nothing changed");
        let (view, docs) = looked().await;
        world.hub.license(&Licence { attributes: vec![iri(MODEL)], ..own.clone() }).await.expect("narrowed");
        let problem = world.hub.gate().release_page(&view, docs, None, Tally::default(), "test", waybill_store::Batch::new()).await.expect_err("it was looked at under another licence");
        assert_eq!(problem.code, "store-conflict", "{id}");
    }
    // The hub itself looks again, and answers as it now stands.
    assert_eq!(world.shown(&scope).await.len(), 2);
}

#[tokio::test]
async fn a_licence_is_given_once_and_ended_for_good() {
    let world = World::new().await;
    let records = async || {
        let lines = world.hub.journal().export(1, 1000).await.expect("the journal");
        lines.into_iter().filter(|l| l.contains("\"kind\":\"agreement\"")).collect::<Vec<_>>()
    };
    let given = Licence { ids: vec![iri("urn:meter:1")], ..licence(AGREEMENT) };
    for _ in 0..2 {
        world.hub.license(&given).await.expect("licensed");
    }
    assert_eq!(world.hub.licence(&given.id).await.expect("read"), Some(given.clone()));
    let list = records().await;
    assert_eq!(list.len(), 1, "the same again is no event");
    assert!(!list[0].contains("urn:meter:1"), "an entity may stand for a person: {}", list[0]);
    let refused: [(&str, Licence); 6] = [
        ("licence-id-taken", Licence { party: iri(CITY_B), ..given.clone() }),
        ("licence-id-taken", Licence { participant: "did:web:other.example".into(), ..given.clone() }),
        ("licence-id-taken", Licence { id: iri("urn:agreement:b"), ..given.clone() }),
        ("licence-incomplete", Licence { id: iri("urn:uuid:2"), types: Vec::new(), ..given.clone() }),
        ("licence-incomplete", Licence { id: iri("urn:uuid:2"), participant: String::new(), ..given.clone() }),
        ("licence-incomplete", Licence { id: iri("urn:uuid:2"), party: iri("https://a.example/party"), ..given.clone() }),
    ];
    for (code, wrong) in refused {
        assert_eq!(world.hub.license(&wrong).await.expect_err(code).code, code, "{wrong:?}");
    }
    for _ in 0..2 {
        world.hub.end_licence(&given.id, "terminated").await.expect("ended");
    }
    assert_eq!(records().await.len(), 2);
    assert!(records().await[1].contains("terminated"));
    assert_eq!(world.hub.license(&given).await.expect_err("it is over for good").code, "licence-ended");
    assert_eq!(world.hub.end_licence(&iri("urn:uuid:none"), "").await.expect_err("there is none").code, "licence-not-found");
}

#[tokio::test]
async fn an_old_backup_brings_no_ended_licence_back() {
    let root = tempfile::tempdir().expect("a folder");
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let world = World::at(&data, 0).await;
    world.model("urn:meter:1", false).await;
    let later = licence("urn:uuid:later");
    world.hub.license(&licence(AGREEMENT)).await.expect("licensed");
    world.hub.store().backup(copy.clone()).await.expect("a backup");
    world.hub.license(&later).await.expect("licensed");
    for id in [AGREEMENT, "urn:uuid:later"] {
        world.hub.end_licence(&iri(id), "terminated").await.expect("ended");
    }
    world.hub.store().close().await;
    drop(world);

    waybill_store::Store::restore(&copy, &data).expect("restored");
    let world = World::at(&data, 60).await;
    let scope = under(AGREEMENT, ACME, ADVICE);
    assert_eq!(world.seen(&scope).await.len(), 1, "the backup has it still");
    world.hub.settle_restore().await.expect("settled");
    assert_eq!(world.seen(&scope).await, BTreeSet::new());
    assert_eq!(world.hub.licence(&iri(AGREEMENT)).await.expect("read").and_then(|l| l.ended).as_deref(), Some("terminated"));
    assert_eq!(world.hub.licence(&later.id).await.expect("read"), None);
}

#[tokio::test]
async fn an_old_backup_makes_no_narrowed_licence_wide_again() {
    type Narrow = fn(&mut Licence);
    let cases: [(&str, Narrow); 6] = [
        ("types", |l| l.types = vec![iri(AIR)]),
        ("purposes", |l| l.purposes = vec![iri("https://w3id.org/waybill/purpose#Research")]),
        ("entities", |l| l.ids = vec![iri("urn:meter:2")]),
        ("attributes", |l| l.attributes = vec![iri("https://w3id.org/example/other")]),
        ("an end", |l| l.until = Some(waybill_model::DateTime::from_seconds(1))),
        ("a beginning", |l| l.from = Some(waybill_model::DateTime::parse("2090-01-01T00:00:00Z").expect("a time"))),
    ];
    for (what, narrow) in cases {
        let root = tempfile::tempdir().expect("a folder");
        let (data, copy) = (root.path().join("data"), root.path().join("copy"));
        let world = World::at(&data, 0).await;
        world.model("urn:meter:1", false).await;
        let given = licence(AGREEMENT);
        world.hub.license(&given).await.expect("licensed");
        world.hub.store().backup(copy.clone()).await.expect("a backup");
        let mut narrower = given.clone();
        narrow(&mut narrower);
        world.hub.license(&narrower).await.expect("narrowed");
        world.hub.store().close().await;
        drop(world);

        waybill_store::Store::restore(&copy, &data).expect("restored");
        let world = World::at(&data, 60).await;
        let scope = under(AGREEMENT, ACME, ADVICE);
        assert_eq!(world.seen(&scope).await.len(), 1, "{what}: the backup has it as it was");
        world.hub.settle_restore().await.expect("settled");
        assert_eq!(world.seen(&scope).await, BTreeSet::new(), "{what}: what was taken from it stays taken");
        let now = world.hub.licence(&given.id).await.expect("read").expect("there");
        assert_eq!(now.ended, None, "{what}: it did not end");
        // Who gives it may give it again as it was; that is a decision of today.
        world.hub.license(&given).await.expect("given anew");
        assert_eq!(world.seen(&scope).await.len(), 1, "{what}");
    }
}

#[tokio::test]
async fn what_a_follower_holds_under_a_licence_is_taken_back_when_it_is_over() {
    for how in ["ended", "over", "narrowed"] {
        let world = World::with_a_meter().await;
        let until = Some(world.hub.clock().now().plus_seconds(3600));
        let given = Licence { until, ..licence(AGREEMENT) };
        world.hub.license(&given).await.expect("licensed");
        world.hub.license(&licence("urn:uuid:other")).await.expect("licensed");
        world.follow(&under(AGREEMENT, ACME, ADVICE)).await;
        let workers = world.hub.start();
        world.until("delivered", |d| d.created("urn:meter:1") == 1).await;
        world.quiet().await;
        world.hub.end_licence(&iri("urn:uuid:other"), "another's").await.expect("ended");
        world.quiet().await;
        world.until("nothing of it", |d| d.deleted("urn:meter:1") == 0).await;
        match how {
            "ended" => world.hub.end_licence(&given.id, "terminated").await.expect("ended"),
            "over" => world.advance_minutes(61),
            _ => world.hub.license(&Licence { types: vec![iri(AIR)], ..given.clone() }).await.expect("narrowed"),
        }
        world.until(how, |d| d.deleted("urn:meter:1") == 1).await;
        workers.stop().await;
    }
}

#[tokio::test]
async fn followers_under_two_licences_are_apart_and_an_old_row_still_reads() {
    let world = World::with_a_meter().await;
    let (one, two) = (under(AGREEMENT, ACME, ADVICE), under("urn:uuid:two", ACME, ADVICE));
    let follower = world.follow(&one).await;
    assert!(world.hub.follower(&one, "remember", &follower).await.is_ok());
    for other in [&two, &Scope { agreement: None, ..one.clone() }, &Scope { principal: Principal::Operator("x".into()), ..two.clone() }] {
        assert!(world.hub.follower(other, "remember", &follower).await.is_err(), "{other:?}");
    }
    let old = serde_json::json!({ "Party": { "recipient": CITY_B, "purpose": ADVICE } });
    let read: waybill_exchange::Behalf = serde_json::from_value(old).expect("an old row");
    assert_eq!(read.scope(&world.tenant).agreement, None);
    let kept = world.hub.follower(&one, "remember", &follower).await.expect("there");
    let text = serde_json::to_string(&kept.on_behalf).expect("a row");
    let again: waybill_exchange::Behalf = serde_json::from_str(&text).expect("reads");
    assert_eq!(again.scope(&world.tenant).agreement, one.agreement, "it is decided under its licence");
}

fn some<T: Clone + std::fmt::Debug + 'static>(of: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let all = of.len();
    proptest::sample::subsequence(of, 0..=all)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    /// Whatever a licence says: nothing is shown outside its types and Attributes, narrowing shows no more than before, and ended it shows nothing.
    #[test]
    fn narrowing_or_ending_a_licence_never_opens(
        types in some(vec![METER, METER_ONLY, AIR]), fewer in some(vec![METER, METER_ONLY, AIR]),
        attributes in some(vec![POWER, MODEL, NO2]), ids in some(vec!["urn:meter:1", "urn:meter:2", "urn:air:1"]),
        open: bool, still_open: bool, pairwise: bool, granted: bool,
    ) {
        let iris = |list: &[&str]| list.iter().map(|t| iri(t)).collect::<Vec<_>>();
        let run = async {
            let world = World::with_a_meter().await;
            if !granted {
                world.grants("withdrawn").await;
            }
            let wide = Licence { types: [iris(&types), vec![iri("urn:type:none")]].concat(), attributes: iris(&attributes), ids: iris(&ids), open, pairwise, ..licence(AGREEMENT) };
            let narrow = Licence { types: wide.types.iter().filter(|t| fewer.contains(&t.as_str()) || t.as_str() == "urn:type:none").cloned().collect(), open: open && still_open, ..wide.clone() };
            let scope = under(AGREEMENT, ACME, ADVICE);
            world.hub.license(&wide).await.expect("licensed");
            let before = world.seen(&scope).await;
            for (types_of, name) in &before {
                assert!(wide.types.iter().any(|t| types_of.contains(t.as_str())), "{types_of} of {wide:?}");
                assert!(wide.names(name), "{name} of {wide:?}");
                assert!(granted || name != POWER, "nobody consents");
                assert!(open || name == POWER, "open data is not covered");
            }
            world.hub.license(&narrow).await.expect("narrowed");
            let after = world.seen(&scope).await;
            assert!(after.is_subset(&before), "{after:?} of {before:?}");
            world.hub.end_licence(&wide.id, "terminated").await.expect("ended");
            assert_eq!(world.seen(&scope).await, BTreeSet::new());
            assert!(!world.hub.anyone_visible(&scope).await.expect("looked"));
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(run);
    }
}

impl World {
    /// All that is shown, as pairs of types and Attribute.
    async fn seen(&self, scope: &Scope) -> BTreeSet<(String, String)> {
        let page = self.hub.query(scope, EntityQuery { limit: 100, ..EntityQuery::new() }, |_| true).await.expect("a page");
        let named = |doc: &EntityDoc| doc.spans().iter().map(|s| (doc.types().collect::<Vec<_>>().join(" "), doc.name(s).to_owned())).collect::<Vec<_>>();
        page.get().entities.iter().flat_map(named).filter(|(_, name)| name != TAG_NAME).collect()
    }
}

#[tokio::test]
async fn a_filter_tells_nothing_of_what_the_licence_leaves_out() {
    let world = World::with_a_meter().await;
    world.hub.license(&Licence { attributes: vec![iri(POWER)], ..licence(AGREEMENT) }).await.expect("licensed");
    let scope = under(AGREEMENT, ACME, ADVICE);
    let count = async |q: &str| {
        let mut query = EntityQuery::of_types(types("SmartMeter"));
        query.q = Some(crate::world::q(q));
        (query.count, query.limit) = (true, 0);
        world.hub.query(&scope, query, |_| true).await.expect("a page").get().total.expect("counted")
    };
    for (q, expected) in [("power==1200", 1), ("model==\"x\"", 0), ("model!=\"x\"", 0), ("model", 0)] {
        assert_eq!(count(q).await, expected, "{q}");
    }
}
