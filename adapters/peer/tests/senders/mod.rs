//! What hub A may do to what hub B holds: to what came from it everything, to anything else nothing.

use super::admission::{Delivery, ID, Linked, METER, MODEL, POWER, doc, operator, property};
use super::iri;
use waybill_exchange::{Change, Incoming};
use waybill_model::{EntityDoc, TenantId};

const BUILDING: &str = "https://w3id.org/example/Building";

impl Linked {
    async fn own(&self, doc: &EntityDoc) {
        self.b.hub.modify(&operator(), &iri(ID), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
    }
    /// Something open from hub A.
    async fn open(&self, types: &[&str], attributes: &str) {
        self.received(changed(doc(types, attributes, &self.clock).text())).await;
    }
    async fn types(&self) -> Vec<String> {
        let doc = self.b.hub.store().read(|r| r.entity(&TenantId::main(), ID)).await.expect("read").expect("held");
        doc.types().map(str::to_owned).collect()
    }
    async fn codes(&self) -> Vec<String> {
        self.quarantined().await.into_iter().map(|(code, _)| code).collect()
    }
    async fn waiting(&self) -> usize {
        self.b.hub.store().read(|r| Ok(r.docs("inbox", "", 10, None)?.len())).await.expect("read")
    }
}

fn changed(text: &str) -> Delivery {
    (vec![Incoming::Changed(text.to_owned())], None)
}
fn gone(attributes: &[&str]) -> Incoming {
    Incoming::Gone { id: iri(ID), attributes: attributes.iter().map(|a| iri(a)).collect() }
}

#[tokio::test]
async fn a_sender_replaces_nothing_that_is_not_its_own() {
    let link = Linked::new().await;
    // The city's own measure of the same meter, and its own word on the model.
    link.own(&doc(&[METER], &format!("{}{}", property(POWER, "5"), property(MODEL, "\"own\"")), &link.clock)).await;
    link.received(link.delivery().await).await;
    assert_eq!(link.held(POWER).await.as_deref(), Some("{\"type\":\"Property\",\"value\":5}"), "the city's own");
    assert_eq!(link.codes().await, ["not-the-senders"]);
    assert!(link.quarantined().await[0].1.contains("/env/"), "with its tag, so that it goes when its envelope is over");
    link.open(&[METER], &property(MODEL, "\"theirs\"")).await;
    assert!(link.held(MODEL).await.is_some_and(|text| text.contains("own")));
    assert_eq!(link.codes().await.len(), 2);
    // To say the same is to replace nothing.
    link.open(&[METER], &property(MODEL, "\"own\"")).await;
    assert_eq!(link.codes().await.len(), 2);
    link.received((vec![gone(&[])], None)).await;
    assert!(link.held(MODEL).await.is_some() && link.held(POWER).await.is_some(), "nor is it the sender's to take away");
}

#[tokio::test]
async fn instances_of_one_attribute_have_each_its_sender() {
    let link = Linked::new().await;
    let instance = |value: u8, dataset: &str| format!("{{\"type\":\"Property\",\"value\":{value},\"datasetId\":\"urn:dataset:{dataset}\"}}");
    let of = |instances: &[String]| format!(",\"{MODEL}\":[{}]", instances.join(","));
    link.own(&doc(&[METER], &of(&[instance(1, "own")]), &link.clock)).await;
    link.open(&[METER], &of(&[instance(2, "a"), instance(3, "b")])).await;
    link.open(&[METER], &of(&[instance(4, "b")])).await;
    let held = link.b.hub.store().read(|r| r.entity(&TenantId::main(), ID)).await.expect("read").expect("held");
    let mut texts: Vec<&str> = held.instances_of(MODEL).map(|s| held.instance(s)).collect();
    texts.sort_unstable();
    assert_eq!(texts, [instance(1, "own"), instance(4, "b")], "what the sender no longer sends is gone, what is the city's stays");
}

#[tokio::test]
async fn a_sender_types_what_came_from_it_and_nothing_else() {
    let link = Linked::new().await;
    link.open(&[METER], &property(MODEL, "\"x\"")).await;
    link.received(link.delivery().await).await;
    link.open(&[METER, BUILDING], "").await;
    assert_eq!(link.types().await, [METER, BUILDING], "all of it came from there");

    let link = Linked::new().await;
    link.own(&doc(&[METER], &property(MODEL, "\"own\""), &link.clock)).await;
    link.open(&[BUILDING], "").await;
    assert_eq!(link.types().await, [METER]);
    // The rest is admitted: what is tagged is covered whatever the types.
    let (mut items, manifest) = link.delivery().await;
    let Incoming::Changed(text) = &mut items[0] else { panic!("a change") };
    *text = text.replacen(&format!("[\"{METER}\"]"), &format!("[\"{METER}\",\"{BUILDING}\"]"), 1);
    assert!(text.contains(BUILDING));
    link.received((items, manifest)).await;
    assert_eq!(link.types().await, [METER], "a grant on buildings would reach the city's own data, and what is open would close");
    assert!(link.held(POWER).await.is_some());
}

#[tokio::test]
async fn what_is_said_to_be_gone_before_it_came_does_not_come() {
    for attributes in [&[][..], &[POWER]] {
        let link = Linked::new().await;
        let old = link.delivery().await;
        link.clock.advance_micros(120_000_000);
        link.received((vec![gone(attributes)], None)).await;
        link.received(old).await;
        assert_eq!(link.held(POWER).await, None, "{attributes:?}: it overtook its own end");
        link.measured(9).await;
        link.received(link.delivery().await).await;
        assert!(link.held(POWER).await.is_some(), "{attributes:?}: a new one is");
    }
    // An Attribute that is not here of an entity that is.
    let link = Linked::new().await;
    let old = link.delivery().await;
    link.own(&doc(&[METER], &property(MODEL, "\"own\""), &link.clock)).await;
    link.clock.advance_micros(120_000_000);
    link.received((vec![gone(&[POWER])], None)).await;
    link.received(old).await;
    assert_eq!(link.held(POWER).await, None);
}

#[tokio::test]
async fn a_deletion_counts_from_when_it_came() {
    let link = Linked::new().await;
    // It lies in the inbox while the sender goes on, and hub B gets to it only later.
    link.b.hub.receive("a", "the secret", vec![gone(&[])], None).await.expect("received");
    link.clock.advance_micros(30_000_000);
    let (items, manifest) = link.delivery().await;
    link.b.hub.receive("a", "the secret", items, manifest).await.expect("received");
    link.clock.advance_micros(600_000_000);
    link.b.hub.process_inbox().await.expect("looked at");
    assert!(link.held(POWER).await.is_some());
}

#[tokio::test]
async fn one_bad_item_is_refused_alone() {
    let link = Linked::new().await;
    let (good, manifest) = link.delivery().await;
    let other = |n: u8| doc(&[METER], &property(MODEL, "\"x\""), &link.clock).text().replace(ID, &format!("urn:meter:1{n}"));
    let mut items = vec![Incoming::Changed(other(1)), Incoming::Changed("{}".into())];
    items.extend(good);
    items.push(Incoming::Changed(other(2)));
    link.received((items, manifest)).await;
    assert!(link.held(POWER).await.is_some(), "what stands behind it");
    let there = |id: &'static str| link.b.hub.store().read(move |r| r.entity(&TenantId::main(), id));
    assert!(there("urn:meter:11").await.expect("read").is_some() && there("urn:meter:12").await.expect("read").is_some());
    assert!(link.codes().await.is_empty(), "{:?}", link.codes().await);
    assert_eq!(link.waiting().await, 0);
}

#[tokio::test]
async fn a_deletion_does_not_hang_on_a_manifest() {
    let link = Linked::new().await;
    link.received(link.delivery().await).await;
    let open = doc(&[METER], &property(MODEL, "\"x\""), &link.clock).text().replace(ID, "urn:meter:2");
    let elsewhere = Some("https://elsewhere.example/manifests/1".to_owned());
    link.received((vec![Incoming::Changed(open), gone(&[])], elsewhere)).await;
    assert_eq!(link.held(POWER).await, None);
    assert_eq!(link.codes().await, ["foreign-manifest"]);
    assert_eq!(link.waiting().await, 0);
}

#[tokio::test]
async fn of_one_entity_the_last_word_in_a_delivery_counts() {
    let link = Linked::new().await;
    let open = doc(&[METER], &format!("{}{}", property(MODEL, "\"x\""), property("https://w3id.org/example/model2", "1")), &link.clock);
    link.received((vec![Incoming::Changed(open.text().to_owned()), gone(&[])], None)).await;
    assert_eq!(link.held(MODEL).await, None);
    link.received((vec![gone(&[]), Incoming::Changed(open.text().to_owned())], None)).await;
    assert!(link.held(MODEL).await.is_some());
}

#[tokio::test]
async fn documents_that_the_sender_refuses_are_asked_for_again_for_a_while() {
    let link = Linked::new().await;
    let items = link.delivery().await.0;
    // As after a change of credentials: the hub answers, but gives no document.
    let nowhere = Some(format!("{}/manifests/none", link.a.url));
    link.received((items, nowhere)).await;
    assert_eq!((link.waiting().await, link.codes().await.len()), (1, 0));
    let mut minutes = 0;
    while link.waiting().await > 0 {
        assert!(minutes < 60, "for a bounded time");
        link.clock.advance_micros(60_000_000);
        minutes += 1;
        link.b.hub.process_inbox().await.expect("looked at");
    }
    assert!(minutes > 5, "{minutes}");
    assert_eq!(link.codes().await, ["peer-document"]);
}
