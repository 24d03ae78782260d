//! Identifiers that are a company's own, and what it is told of when it may see no more.

use crate::licence::{ACME, BILLING, licence, under};
use crate::world::{ADVICE, CITY_B, METER, MODEL, POWER, World, iri};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use waybill_exchange::NewFollower;
use waybill_gate::{Licence, PairKeys};
use waybill_model::{EntityDoc, Iri, Scope};
use waybill_query::{EntityQuery, EntitySelector, Pattern};

const ANNA: &str = "https://anna.example/#me";
const AIR: &str = "https://w3id.org/example/AirQuality";
const AT: &str = "https://w3id.org/example/at";
const BORDA: &str = "https://borda.example/party";
/// The company's two agreements, and another company's.
const ONE: &str = "urn:uuid:one";
const TWO: &str = "urn:uuid:two";
const OTHER: &str = "urn:uuid:other";

fn pairwise(id: &str) -> Licence {
    Licence { pairwise: true, types: vec![iri(METER), iri(AIR)], ..licence(id) }
}

fn exact() -> serde_json::Value {
    serde_json::json!([{ "attribute": POWER, "precision": "exact" }, { "attribute": AT, "precision": "exact" }])
}

impl World {
    /// Twelve meters of Anna's at their cabinets, one more of which nothing is granted, open air, and two companies with licences.
    async fn with_companies() -> Self {
        let world = Self::new().await;
        world.prepare(12).await;
        world
    }
    async fn prepare(&self, meters: usize) {
        for n in 0..meters {
            let id = format!("urn:meter:{n}");
            let place = format!("\"{AT}\":[{{\"type\":\"Relationship\",\"object\":\"urn:cabinet:{n}\",\"{MODEL}\":[{{\"type\":\"Relationship\",\"object\":[\"urn:house:{n}\",\"{id}\"]}}]}}]");
            self.store(&id, &format!("{{\"id\":\"{id}\",\"type\":[\"{METER}\"],{place},\"{MODEL}\":[{{\"type\":\"Property\",\"value\":\"x\"}}],\"{POWER}\":[{{\"type\":\"Property\",\"value\":{n}}}]}}")).await;
            self.bind(&id, ANNA).await;
        }
        self.store("urn:meter:shut", &format!("{{\"id\":\"urn:meter:shut\",\"type\":[\"{METER}\"],\"{MODEL}\":[{{\"type\":\"Property\",\"value\":\"x\"}}],\"{POWER}\":[{{\"type\":\"Property\",\"value\":1}}]}}")).await;
        self.store("urn:air:1", &format!("{{\"id\":\"urn:air:1\",\"type\":[\"{AIR}\"],\"{AT}\":[{{\"type\":\"Relationship\",\"object\":\"urn:cabinet:1\"}}]}}")).await;
        self.consents("given").await;
        for licence in [pairwise(ONE), pairwise(TWO), Licence { party: iri(BORDA), participant: "did:web:borda.example".into(), ..pairwise(OTHER) }] {
            self.hub.license(&licence).await.expect("licensed");
        }
    }
    async fn consents(&self, state: &str) {
        self.grant_to(&[ACME, BORDA, CITY_B], ANNA, state, exact()).await;
    }
    async fn list(&self, scope: &Scope, query: EntityQuery) -> Vec<EntityDoc> {
        self.hub.query(scope, query, |_| true).await.expect("a page").get().entities.clone()
    }
    async fn ids(&self, scope: &Scope, query: EntityQuery) -> Vec<String> {
        self.list(scope, query).await.iter().map(|e| e.id().to_owned()).collect()
    }
    async fn missing(&self, scope: &Scope, id: &str) -> bool {
        match self.hub.retrieve(scope, &iri(id), |_| true).await {
            Ok(_) => false,
            Err(problem) => {
                let none = self.hub.retrieve(scope, &iri("urn:none"), |_| true).await.expect_err("none");
                assert_eq!((problem.status, problem.code, problem.detail), (none.status, none.code, none.detail), "as if it were missing");
                true
            }
        }
    }
    async fn gone_ids(&self, scope: &Scope, since: Option<&str>, limit: usize) -> (Vec<String>, Option<String>) {
        let gone = self.hub.gone(scope, since, limit).await.expect("looked");
        (gone.get().iter().map(|g| g.id.clone()).collect(), gone.get().last().map(|g| g.cursor.clone()))
    }
}

fn all() -> EntityQuery {
    EntityQuery { limit: 100, ..EntityQuery::new() }
}
fn by_ids(ids: &[&str]) -> EntityQuery {
    let selector = EntitySelector { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..EntitySelector::default() };
    EntityQuery { limit: 100, ..EntityQuery::of(selector) }
}
fn by_pattern(pattern: &str) -> EntityQuery {
    let selector = EntitySelector { id_pattern: Some(Pattern::parse("idPattern", pattern).expect("a pattern")), ..EntitySelector::default() };
    EntityQuery { limit: 100, ..EntityQuery::of(selector) }
}
fn with_q(q: &str) -> EntityQuery {
    EntityQuery { q: Some(crate::world::q(q)), ..all() }
}

#[tokio::test]
async fn each_company_knows_persons_things_by_its_own_names_and_no_other() {
    let world = World::with_companies().await;
    let (one, two, other) = (under(ONE, ACME, ADVICE), under(TWO, ACME, ADVICE), under(OTHER, BORDA, ADVICE));
    let (first, second, third) = (world.list(&one, all()).await, world.list(&two, all()).await, world.list(&other, all()).await);
    let ids = |list: &[EntityDoc]| list.iter().map(|e| e.id().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second), "the same on every request and under each of its agreements");
    assert_eq!(first.len(), 14);
    let (own, others): (BTreeSet<_>, BTreeSet<_>) = (ids(&first).into_iter().collect(), ids(&third).into_iter().collect());
    assert_eq!(own.intersection(&others).collect::<Vec<_>>(), ["urn:air:1"], "what is nobody's has one name");
    for list in [&first, &third] {
        for doc in list.iter().filter(|doc| doc.id() != "urn:air:1") {
            let text = doc.text().to_owned();
            assert!(!["urn:meter", "urn:cabinet", "urn:house"].iter().any(|name| text.contains(name)), "{text}");
        }
        assert!(list.iter().any(|doc| doc.id() == "urn:air:1" && doc.text().contains("urn:cabinet:1")), "what is nobody's points where it points");
    }
    // Beside each other, the lists are in no common order; each is in the order of its names, whatever is asked.
    let places = |list: &[EntityDoc]| list.iter().filter_map(|d| d.text().split(&format!("\"{POWER}\":[{{\"type\":\"Property\",\"value\":")).nth(1)?.split(&[',', '}'][..]).next().map(str::to_owned)).collect::<Vec<_>>();
    assert_ne!(places(&first), places(&third));
    for list in [&first, &third] {
        assert!(ids(list).is_sorted());
    }
    let mut paged = Vec::new();
    for offset in (0..20).step_by(5) {
        paged.extend(world.ids(&one, EntityQuery { offset, limit: 5, count: true, ..EntityQuery::new() }).await);
    }
    assert_eq!(paged, ids(&first), "page by page the same");
    let ordered = EntityQuery { order: Some(waybill_query::OrderBy::parse("model", None, &waybill_query::NoContext).expect("an order")), ..all() };
    assert!(world.ids(&one, ordered).await.is_sorted(), "those that are equal too");
    // Before anybody consents it has the same name as after: else the two could be put together.
    let shut = first.iter().filter(|d| d.id() != "urn:air:1" && !d.text().contains(POWER)).count();
    assert_eq!(shut, 1);
    world.consents("withdrawn").await;
    assert_eq!(world.ids(&one, all()).await, ids(&first));
}

#[tokio::test]
async fn a_true_name_or_another_companys_is_as_good_as_none() {
    let world = World::with_companies().await;
    let (one, other) = (under(ONE, ACME, ADVICE), under(OTHER, BORDA, ADVICE));
    let mine = world.ids(&one, with_q("power==3")).await.remove(0);
    let theirs = world.ids(&other, with_q("power==3")).await.remove(0);
    let head = mine.split_at(24).0.to_owned();
    let doc = world.hub.retrieve(&one, &iri(&mine), |_| true).await.expect("by its own name").get().entities[0].clone();
    let target = |name: &str| doc.text().split(name).nth(1).and_then(|t| t.split("\"object\":\"").nth(1)).and_then(|t| t.split('"').next()).expect("a target").to_owned();
    let cabinet = target(AT);
    for id in ["urn:meter:3", &theirs, &head, "urn:waybill:pair:", "urn:waybill:pair:!!"] {
        if Iri::new(id).is_ok() {
            assert!(world.missing(&one, id).await, "{id}");
        }
    }
    assert!(!world.missing(&one, "urn:air:1").await, "what is nobody's");
    let rows: [(&str, EntityQuery, &[&str]); 9] = [
        ("its own name", by_ids(&[&mine]), &[&mine]),
        ("the true name", by_ids(&["urn:meter:3"]), &[]),
        ("another's name", by_ids(&[&theirs]), &[]),
        ("all of them, and an open one", by_ids(&["urn:meter:3", &theirs, &mine, "urn:air:1"]), &["urn:air:1", &mine]),
        ("a pattern of true names", by_pattern("^urn:meter:3"), &[]),
        ("a pattern of own names", by_pattern(&format!("^{head}")), &[&mine]),
        ("a pattern of open names", by_pattern("^urn:air"), &["urn:air:1"]),
        ("where it truly is", with_q("at==\"urn:cabinet:3\""), &[]),
        ("where it is to the company", with_q(&format!("at==\"{cabinet}\"")), &[&mine]),
    ];
    for (what, query, expected) in rows {
        assert_eq!(world.ids(&one, query).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_follower_hears_of_one_entity_by_one_name_until_it_is_taken_back_by_it() {
    for how in ["withdrawn", "ended", "plain"] {
        let world = World::with_companies().await;
        let scope = under(ONE, ACME, ADVICE);
        let mine = world.ids(&scope, with_q("power==3")).await.remove(0);
        world.follow(&scope).await;
        let workers = world.hub.start();
        world.until("delivered", |d| d.created(&mine) == 1).await;
        world.quiet().await;
        match how {
            "withdrawn" => world.consents("withdrawn").await,
            "ended" => world.hub.end_licence(&iri(ONE), "terminated").await.expect("ended"),
            _ => world.hub.license(&Licence { pairwise: false, ..pairwise(ONE) }).await.expect("changed"),
        }
        // What is open of it stays when she withdraws; by another name it is another entity.
        let (whole, by_true_name) = (usize::from(how != "withdrawn"), usize::from(how == "plain"));
        world.until(how, |d| d.deleted(&mine) == whole && d.created("urn:meter:3") == by_true_name && (how != "withdrawn" || d.lost(&mine) == 1)).await;
        world.quiet().await;
        world.until("and never by its true name", |d| d.deleted("urn:meter:3") == 0).await;
        workers.stop().await;
    }
}

#[tokio::test]
async fn a_follower_may_select_by_its_own_name() {
    let world = World::with_companies().await;
    let scope = under(ONE, ACME, ADVICE);
    let mine = world.ids(&scope, with_q("power==3")).await.remove(0);
    let new = NewFollower { id: None, sink: "remember", spec: format!("id:{mine}"), active: true, expires_at: None, initial_load: false };
    world.hub.follow(&scope, new).await.expect("following");
    let workers = world.hub.start();
    world.store("urn:meter:3", &format!("{{\"id\":\"urn:meter:3\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":99}}]}}")).await;
    world.until("by its own name", |d| d.created(&mine) == 1).await;
    workers.stop().await;
}

#[tokio::test]
async fn what_was_pulled_and_is_seen_no_more_is_listed_once_in_order_and_stays() {
    for named_by in [true, false] {
        let world = World::with_companies().await;
        world.hub.license(&Licence { pairwise: named_by, ..pairwise(ONE) }).await.expect("licensed");
        let scope = under(ONE, ACME, ADVICE);
        let id_of = |n: usize| with_q(&format!("power=={n}"));
        let mut names: BTreeMap<usize, String> = BTreeMap::new();
        for n in [3, 4, 5] {
            names.insert(n, world.ids(&scope, id_of(n)).await.remove(0));
        }
        assert_eq!(world.gone_ids(&scope, None, 10).await, (vec![], None));
        world.forget("urn:meter:3").await;
        let (first, cursor) = world.gone_ids(&scope, None, 10).await;
        assert_eq!(first, [names[&3].clone()]);
        // Nothing of what was never pulled, nor for another purpose, agreement or company.
        for other in [under(TWO, ACME, ADVICE), under(OTHER, BORDA, ADVICE), under(ONE, ACME, BILLING)] {
            assert_eq!(world.gone_ids(&other, None, 10).await.0, Vec::<String>::new());
        }
        world.consents("withdrawn").await;
        let (rest, last) = world.gone_ids(&scope, cursor.as_deref(), 10).await;
        assert_eq!(rest.iter().collect::<BTreeSet<_>>(), [&names[&4], &names[&5]].into_iter().collect());
        let (again, _) = world.gone_ids(&scope, None, 10).await;
        assert_eq!(again, [vec![names[&3].clone()], rest.clone()].concat(), "stable, and in the order in which it was noticed");
        let mut paged = Vec::new();
        let mut at = None;
        loop {
            let (page, next) = world.gone_ids(&scope, at.as_deref(), 1).await;
            if page.is_empty() {
                break;
            }
            paged.extend(page);
            at = next;
        }
        assert_eq!(paged, again);
        assert_eq!(world.gone_ids(&scope, last.as_deref(), 10).await.0, Vec::<String>::new());
        world.consents("given").await;
        assert_eq!(world.gone_ids(&scope, None, 10).await.0, first, "visible again, it is not gone");
        world.hub.end_licence(&iri(ONE), "terminated").await.expect("ended");
        assert_eq!(world.gone_ids(&scope, None, 10).await.0.len(), 3, "all of it is gone with the licence");
        let retractions = world.hub.journal().export(1, 5000).await.expect("the journal").iter().filter(|l| l.contains("\"kind\":\"retraction\"")).count();
        assert!(retractions >= 5, "each time it is on record: {retractions}");
        for nobody in [under("urn:uuid:none", ACME, ADVICE), under(ONE, CITY_B, ADVICE), under("urn:agreement:b", CITY_B, ADVICE), Scope { agreement: None, ..scope }] {
            assert_eq!(world.hub.gone(&nobody, None, 10).await.expect_err("no licence of its own").code, "licence-not-found");
        }
    }
}

#[tokio::test]
async fn an_erased_person_is_gone_by_the_companys_name_and_no_file_has_hers() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::at(folder.path(), 0).await;
    let id = "urn:meter:of-anna";
    world.store(id, &format!("{{\"id\":\"{id}\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":1234.5}}]}}")).await;
    world.bind(id, ANNA).await;
    world.consents("given").await;
    let plain = Licence { ids: vec![iri(id)], ..licence(TWO) };
    for licence in [pairwise(ONE), plain] {
        world.hub.license(&licence).await.expect("licensed");
    }
    let (own, plain) = (under(ONE, ACME, ADVICE), under(TWO, ACME, ADVICE));
    let mine = world.ids(&own, all()).await.remove(0);
    assert_eq!(world.ids(&plain, all()).await, [id]);
    let workers = world.hub.start();
    let manifests = async || world.hub.store().read(|r| Ok(r.docs(waybill_gate::MANIFEST, "", 10, None)?.len())).await.expect("read");
    assert_eq!(manifests().await, 2);
    world.hub.erase(&world.tenant, &iri(ANNA)).await.expect("erased");
    assert_eq!(manifests().await, 0, "of neither name");
    let licence = world.hub.licence(&iri(TWO)).await.expect("read").expect("there");
    assert!(licence.ids.is_empty() && licence.types.is_empty(), "it covered her meter and must not cover all others now: {licence:?}");
    assert_eq!(world.gone_ids(&own, None, 10).await.0, [mine]);
    assert_eq!(world.gone_ids(&plain, None, 10).await.0, [id], "whoever was given it by its true name has to be told by it");
    world.quiet().await;
    workers.stop().await;
    world.hub.store().scrub(waybill_store::Scrub::Whole).await.expect("scrubbed");
    world.hub.store().close().await;
    for entry in std::fs::read_dir(folder.path()).expect("the folder").flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        for needle in ["anna.example", id, "1234.5"] {
            let found = bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
            assert!(!found, "`{needle}` lies in {:?}", entry.file_name());
        }
    }
}

proptest! {
    /// The hub finds the way back from each company's names, and from nobody else's; lengths tell nothing.
    #[test]
    fn names_lead_back_for_whom_they_were_made(secret: [u8; 32], ids in proptest::collection::btree_set("[a-z:/#._0-9-]{1,90}", 1..6), more in "[a-z]{1,8}", which in 0usize..3) {
        let keys = PairKeys::new(&secret);
        let mine = licence("urn:uuid:1");
        let again = Licence { dataset: "other".into(), purposes: Vec::new(), ..licence("urn:uuid:2") };
        let other = match which {
            0 => Licence { participant: format!("{}{more}", mine.participant), ..mine.clone() },
            1 => Licence { party: iri(&format!("{ACME}{more}")), ..mine.clone() },
            _ => Licence { tenant: waybill_model::TenantId::new(&more).expect("a tenant"), ..mine.clone() },
        };
        let mut seen = BTreeSet::new();
        for id in &ids {
            let (own, theirs) = (keys.pairwise(&mine, id), keys.pairwise(&other, id));
            prop_assert_eq!(keys.stored(&mine, own.as_str()), Some(id.clone()));
            prop_assert_eq!(keys.pairwise(&again, id), own.clone());
            prop_assert_eq!(keys.stored(&other, own.as_str()), None);
            prop_assert_eq!(PairKeys::new(&[0; 32]).stored(&mine, own.as_str()).filter(|_| secret != [0; 32]), None);
            prop_assert!(!own.as_str().contains(id.as_str()) || id.len() < 8);
            prop_assert_eq!(own.as_str().len() == keys.pairwise(&mine, "a").as_str().len(), id.len() <= 60);
            prop_assert!(seen.insert(own) && seen.insert(theirs), "no two are the same");
        }
    }
}
