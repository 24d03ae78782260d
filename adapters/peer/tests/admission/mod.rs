//! What hub B keeps of what comes from hub A, and for how long.

use super::{B_PARTY, Town, iri, noon, pair, pair_with};
use serde_json::json;
use waybill_consent::{EnvelopeEvent, EventKind, EventToken, OnWithdrawal};
use waybill_exchange::{Behalf, Change, Hub, Incoming, Intake, NewFollower, Progress};
use waybill_gate::{Class, ClassRule};
use waybill_model::{Clock, EntityDoc, EnvelopeHash, Iri, Principal, Scope, TenantId};
use waybill_store::{Reader, Store, StoreError};

/// May have it from city B, and has no hub.
const C_PARTY: &str = "https://c.example/#city";
pub const POWER: &str = "https://w3id.org/example/power";
pub const MODEL: &str = "https://w3id.org/example/model";
pub const METER: &str = "https://w3id.org/example/SmartMeter";
const ADVICE: &str = "https://w3id.org/waybill/purpose#EnergyAdvice";
pub const ID: &str = "urn:meter:1";

/// Anna's word on her meter, at hub A: city B may have its power, and may pass it to C.
async fn anna_says(a: &Hub, state: &str) {
    says(a, "https://anna.example", state, POWER, B_PARTY, &[C_PARTY]).await;
}

/// Somebody's word on an Attribute, at a hub.
pub async fn says(hub: &Hub, who: &str, state: &str, attribute: &str, recipient: &str, onward: &[&str]) {
    let party = |id: &str| json!({ "id": id, "name": "X", "address": "1 Main Street", "contact": "privacy@x.example", "country": "BE" });
    let controller = hub.governance().party.clone();
    let text = json!({
        "type": "ConsentGrant", "subject": format!("{who}/#me"), "state": state, "stated": hub.clock().now(),
        "notice": { "uri": "https://a.example/notice", "language": "en", "textHash": "00" },
        "controller": party(controller.as_str()), "recipients": [party(recipient)], "mayPassTo": onward.iter().map(|p| party(p)).collect::<Vec<_>>(), "purposes": [ADVICE],
        "label": { "en": "Advice" }, "data": [{ "attribute": attribute, "precision": "exact" }], "until": "2027-06-30T00:00:00Z",
        "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
        "withdrawal": { "uri": "https://a.example/withdraw", "method": "in your pod" },
    })
    .to_string();
    let seen = waybill_consent::Observed {
        source: iri(&format!("{who}/consents/energy")),
        etag: None,
        hash: waybill_keys::hex(&waybill_keys::sha256(text.as_bytes())),
        author: iri(&format!("{who}/#me")),
        kind: waybill_consent::EvidenceKind::Signed,
        access_rules: None,
        received: hub.clock().now(),
    };
    let document = waybill_consent::GrantDocument::parse(text.as_bytes()).expect("a grant document");
    hub.take_grant_document(&TenantId::main(), &document, &seen).await.expect("taken");
}

pub fn operator() -> Scope {
    Scope { principal: Principal::Operator("test".into()), ..Scope::anonymous(TenantId::main()) }
}

pub async fn bind(hub: &Hub, target: waybill_consent::Target, subject: &str) {
    let (validity, rule) = (waybill_consent::Validity::default(), waybill_consent::Rule::All);
    let binding = waybill_consent::Binding { target, subject: iri(subject), validity, asserted_by: hub.governance().party.clone(), evidence: String::new(), rule };
    hub.bind(&TenantId::main(), &binding).await.expect("bound");
}

pub fn doc(types: &[&str], attributes: &str, clock: &Clock) -> EntityDoc {
    let text = format!("{{\"id\":\"{ID}\",\"type\":{}{attributes}}}", serde_json::to_string(types).expect("JSON"));
    EntityDoc::parse(text, clock.now()).expect("canonical")
}

pub fn property(name: &str, value: &str) -> String {
    format!(",\"{name}\":[{{\"type\":\"Property\",\"value\":{value}}}]")
}

/// Hub A with Anna's meter, given to city B, and hub B that takes from it. `model` is open at both.
pub struct Linked {
    pub a: Town,
    pub b: Town,
    pub clock: Clock,
}

pub type Delivery = (Vec<Incoming>, Option<String>);

impl Linked {
    pub async fn new() -> Self {
        Self::of(pair().await).await
    }

    async fn of((a, b, clock): (Town, Town, Clock)) -> Self {
        let secret = waybill_keys::sha256(b"the secret");
        b.hub.set_intake("a", Intake { tenant: TenantId::main(), hub: Some(a.url.clone()), fed_by: Vec::new(), secret });
        let mut governance = (*b.hub.governance()).clone();
        governance.classes.push(ClassRule { types: vec![iri(METER)], attributes: vec![iri(MODEL)], class: Class::Open });
        let mut to_c = governance.agreements[0].clone();
        (to_c.id, to_c.recipient, to_c.hub) = (iri("urn:agreement:c"), Some(iri(C_PARTY)), None);
        governance.agreements.push(to_c);
        b.hub.gate().govern(governance);
        let this = Self { a, b, clock };
        this.measured(7).await;
        bind(&this.a.hub, waybill_consent::Target::Entity(iri(ID)), "https://anna.example/#me").await;
        anna_says(&this.a.hub, "given").await;
        this
    }

    /// Hub A's meter says `value`.
    pub async fn measured(&self, value: u32) {
        let doc = doc(&[METER], &property(POWER, &value.to_string()), &self.clock);
        self.a.hub.modify(&operator(), &iri(ID), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
        self.clock.advance_micros(1_000_000);
    }

    /// What hub A gives city B of it.
    pub async fn delivery(&self) -> Delivery {
        let city_b = Scope { principal: Principal::Hub, recipient: Some(iri(B_PARTY)), purpose: Some(iri(ADVICE)), ..Scope::anonymous(TenantId::main()) };
        let page = self.a.hub.retrieve(&city_b, &iri(ID), |_| true).await.expect("granted");
        (vec![Incoming::Changed(page.get().entities[0].text().to_owned())], page.receipt().manifest.clone())
    }

    pub async fn received(&self, (items, manifest): Delivery) {
        self.b.hub.receive("a", "the secret", items, manifest).await.expect("received");
        self.b.hub.process_inbox().await.expect("looked at");
    }

    /// The value of an Attribute at hub B, as it is stored.
    pub async fn held(&self, name: &'static str) -> Option<String> {
        held_by(&self.b.hub, name).await
    }

    pub async fn quarantined(&self) -> Vec<(String, String)> {
        let rows = self.b.hub.quarantined(&TenantId::main(), 100, None).await.expect("read");
        rows.into_iter().map(|(_, row)| (row.code, row.document)).collect()
    }

    pub async fn event(&self, kind: EventKind) {
        let token = EventToken::new(self.a.hub.did(), self.b.hub.did(), 1, kind, self.clock.now()).sign(self.a.hub.keys().active());
        self.b.hub.take_event(&token).await.expect("taken");
    }
}

async fn held_by(hub: &Hub, name: &str) -> Option<String> {
    held_in(hub, TenantId::main(), name).await
}

async fn held_in(hub: &Hub, tenant: TenantId, name: &str) -> Option<String> {
    let doc = hub.store().read(move |r| r.entity(&tenant, ID)).await.expect("read")?;
    let held = doc.instances_of(name).next().map(|span| doc.instance(span).to_owned());
    held
}

/// The envelope that a delivery's values are tagged with.
fn tag_of((items, _): &Delivery) -> EnvelopeHash {
    let Incoming::Changed(text) = &items[0] else { panic!("a change") };
    let at = text.find("/env/").expect("a tag") + 5;
    EnvelopeHash::parse(text[at..].split('"').next().expect("its end")).expect("a hash")
}

fn about(envelopes: Vec<EnvelopeHash>, clock: &Clock, successors: Vec<String>) -> EnvelopeEvent {
    EnvelopeEvent { envelopes, time: clock.now(), on_withdrawal: OnWithdrawal::default(), successors }
}

#[tokio::test]
async fn a_delivery_that_is_played_again_after_the_withdrawal_is_not_kept() {
    let link = Linked::new().await;
    let delivery = link.delivery().await;
    link.received(delivery.clone()).await;
    assert!(link.held(POWER).await.is_some(), "what the tag covers is kept");

    link.clock.advance_micros(120_000_000);
    anna_says(&link.a.hub, "withdrawn").await;
    assert_eq!(link.a.hub.send_notices().await.expect("sent"), 1, "hub B is told");
    assert_eq!(link.held(POWER).await, None, "it is gone with the event");

    link.received(delivery).await;
    assert_eq!(link.held(POWER).await, None, "played again, it is not kept");
    assert!(link.quarantined().await.is_empty(), "not even in quarantine");
}

#[tokio::test]
async fn an_older_delivery_does_not_overtake() {
    let link = Linked::new().await;
    let first = link.delivery().await;
    link.measured(8).await;
    let second = link.delivery().await;
    link.received(second.clone()).await;
    let newest = link.held(POWER).await.expect("kept");
    assert!(newest.contains('8'), "{newest}");
    link.received(first.clone()).await;
    assert_eq!(link.held(POWER).await.as_ref(), Some(&newest), "the older one is not taken");
    link.received(second.clone()).await;
    assert_eq!(link.held(POWER).await.as_ref(), Some(&newest), "the same once more changes nothing");

    link.received((vec![Incoming::Gone { id: iri(ID), attributes: Vec::new() }], None)).await;
    assert_eq!(link.held(POWER).await, None);
    link.clock.advance_micros(120_000_000);
    link.received((vec![Incoming::Gone { id: iri(ID), attributes: Vec::new() }], None)).await;
    link.measured(9).await;
    link.received(link.delivery().await).await;
    assert!(link.held(POWER).await.is_some_and(|text| text.contains('9')), "a new one is");
    for old in [first, second] {
        link.received(old).await;
        assert!(link.held(POWER).await.is_some_and(|text| text.contains('9')), "an old one is not");
    }
}

#[tokio::test]
async fn what_a_sender_takes_away_is_its_own() {
    let link = Linked::new().await;
    let own = doc(&[METER], &property(MODEL, "\"own\""), &link.clock);
    link.b.hub.modify(&operator(), &iri(ID), |_| Ok(Change::Put(own.clone(), ()))).await.expect("written");
    link.received(link.delivery().await).await;
    assert!(link.held(POWER).await.is_some());
    link.received((vec![Incoming::Gone { id: iri(ID), attributes: Vec::new() }], None)).await;
    assert_eq!(link.held(POWER).await, None, "what came is gone");
    assert!(link.held(MODEL).await.is_some(), "what is hub B's own stays");

    // Open data that the sender sent goes with it, once it is the sender's.
    let open = doc(&[METER], &property(MODEL, "\"theirs\""), &link.clock);
    link.received((vec![Incoming::Changed(open.text().to_owned())], None)).await;
    assert!(link.held(MODEL).await.is_some_and(|text| text.contains("own")));
    link.b.hub.modify(&operator(), &iri(ID), |_| Ok(Change::Delete(()))).await.expect("deleted");
    link.received((vec![Incoming::Changed(open.text().to_owned())], None)).await;
    assert!(link.held(MODEL).await.is_some_and(|text| text.contains("theirs")));
    link.received((vec![Incoming::Gone { id: iri(ID), attributes: vec![iri(MODEL)] }], None)).await;
    assert_eq!(link.held(MODEL).await, None);
}

#[tokio::test]
async fn what_comes_is_judged_by_all_types_of_the_entity() {
    let link = Linked::new().await;
    let open = doc(&[METER], &property(MODEL, "\"x\""), &link.clock);
    let here = doc(&["https://w3id.org/example/Person"], &property("https://w3id.org/example/name", "\"Anna\""), &link.clock);
    link.b.hub.modify(&operator(), &iri(ID), |_| Ok(Change::Put(here.clone(), ()))).await.expect("written");
    link.received((vec![Incoming::Changed(open.text().to_owned())], None)).await;
    assert_eq!(link.held(MODEL).await, None, "on a person's entity it is not open");
    assert_eq!(link.quarantined().await.len(), 1);
}

#[tokio::test]
async fn what_is_refused_is_kept_alone_once_and_not_beyond_its_envelope() {
    let link = Linked::new().await;
    let (mut items, manifest) = link.delivery().await;
    let hash = tag_of(&(items.clone(), manifest.clone()));
    // A value nobody tagged beside one that is covered.
    let Incoming::Changed(text) = &mut items[0] else { panic!("a change") };
    *text = text.replacen(&format!("\"{POWER}\""), &format!("\"https://w3id.org/example/name\":[{{\"type\":\"Property\",\"value\":\"Anna\"}}],\"{POWER}\""), 1);
    link.received((items.clone(), manifest.clone())).await;
    assert!(link.held(POWER).await.is_some(), "what is covered is kept");
    let kept = link.quarantined().await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, "untagged-personal");
    assert!(kept[0].1.contains("Anna") && !kept[0].1.contains(POWER), "only what was refused: {}", kept[0].1);

    // Without its manifest all of it is refused, and lies there until its envelope is over.
    link.received((link.delivery().await.0, None)).await;
    assert_eq!(link.quarantined().await.len(), 2);
    link.event(EventKind::Withdrawn(about(vec![hash], &link.clock, Vec::new()))).await;
    let left = link.quarantined().await;
    assert_eq!(left.len(), 1, "{left:?}");
    link.received((items, None)).await;
    assert!(!link.quarantined().await.iter().any(|(_, text)| text.contains(POWER)), "nor is it put there any more");
}

#[tokio::test]
async fn an_envelope_that_rested_before_it_came_opens_when_it_goes_on() {
    let link = Linked::new().await;
    let delivery = link.delivery().await;
    let hash = tag_of(&delivery);
    link.event(EventKind::Suspended(about(vec![hash], &link.clock, Vec::new()))).await;
    link.received(delivery).await;
    assert!(link.held(POWER).await.is_some(), "it is kept, closed");
    link.beat().await;
    let own = Scope { principal: Principal::Hub, recipient: Some(iri(B_PARTY)), purpose: Some(iri(ADVICE)), ..Scope::anonymous(TenantId::main()) };
    assert!(link.b.hub.retrieve(&own, &iri(ID), |_| true).await.is_err(), "while it rests");
    link.event(EventKind::Resumed(about(vec![hash], &link.clock, Vec::new()))).await;
    assert!(link.b.hub.retrieve(&own, &iri(ID), |_| true).await.is_ok(), "once it goes on");
}

#[tokio::test]
async fn a_bad_successor_does_not_keep_an_envelope_open() {
    let link = Linked::new().await;
    let delivery = link.delivery().await;
    let hash = tag_of(&delivery);
    link.received(delivery).await;
    link.event(EventKind::Withdrawn(about(vec![hash], &link.clock, vec!["e30.e30.e30".into()]))).await;
    assert_eq!(link.held(POWER).await, None);
}

impl Linked {
    /// Lets C, which has no hub, follow hub B.
    async fn follow_as_c(&self) -> Iri {
        let scope = Behalf::Party { recipient: iri(C_PARTY), purpose: Some(iri(ADVICE)) }.scope(&TenantId::main());
        self.b.hub.add_sink(std::sync::Arc::new(Nowhere));
        let new = NewFollower { id: None, sink: "nowhere", spec: String::new(), active: true, expires_at: None, initial_load: true };
        self.b.hub.follow(&scope, new).await.expect("following")
    }

    async fn beat(&self) {
        let beat = waybill_consent::Heartbeat::new(self.a.hub.did(), iri(B_PARTY), 1, self.clock.now()).sign(self.a.hub.keys().active());
        self.b.hub.take_heartbeat(&beat).await.expect("taken");
    }

    /// Waits, at most five seconds, for what hub B has in its store.
    async fn until(&self, what: &str, fits: impl Fn(&Reader<'_>) -> Result<bool, StoreError> + Send + Clone + 'static) {
        for _ in 0..500 {
            if self.b.hub.store().read(fits.clone()).await.expect("read") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("it did not come to: {what}");
    }

    async fn until_let_go(&self, follower: &Iri) {
        for _ in 0..500 {
            let list = self.b.hub.withdrawals(&TenantId::main()).await.expect("withdrawals");
            let mut holders = list.iter().flat_map(|w| &w.holders);
            if holders.any(|h| h.follower.as_ref() == Some(follower) && h.progress == Progress::Done) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("nobody knows that the follower let go");
    }
}

#[tokio::test]
async fn a_follower_of_data_passed_on_is_waited_for_until_it_let_go() {
    let link = Linked::new().await;
    link.received(link.delivery().await).await;
    let follower = link.follow_as_c().await;
    link.beat().await;
    let workers = link.b.hub.start();
    link.until("seen", |r| Ok(r.docs("seen", "", 10, None)?.len() == 1)).await;
    link.clock.advance_micros(120_000_000);
    anna_says(&link.a.hub, "withdrawn").await;
    link.a.hub.send_notices().await.expect("sent");
    link.until_let_go(&follower).await;
    workers.stop().await;
}

#[tokio::test]
async fn while_a_sender_is_not_heard_of_what_others_withdraw_is_taken_back() {
    const NOTE: &str = "https://w3id.org/example/note";
    let link = Linked::new().await;
    link.received(link.delivery().await).await;
    let there = link.b.hub.store().read(|r| r.entity(&TenantId::main(), ID)).await.expect("read").expect("kept");
    let mut more = there.to_entity().expect("an entity");
    let note = doc(&[METER], &property(NOTE, "\"Ben's\""), &link.clock).to_entity().expect("an entity");
    more.attributes.extend(note.attributes);
    let span = there.instances_of(POWER).next().expect("power").clone();
    let mut text = EntityDoc::from_entity(&more, link.clock.now());
    let at = text.spans().iter().position(|s| text.name(s) == POWER).expect("power");
    (text.spans_mut()[at].envelope, text.spans_mut()[at].leaf) = (span.envelope, span.leaf);
    link.b.hub.modify(&operator(), &iri(ID), |_| Ok(Change::Put(text.clone(), ()))).await.expect("written");
    bind(&link.b.hub, waybill_consent::Target::Attribute { entity: iri(ID), attribute: iri(NOTE) }, "https://ben.example/#me").await;
    says(&link.b.hub, "https://ben.example", "given", NOTE, C_PARTY, &[]).await;
    let follower = link.follow_as_c().await;
    link.beat().await;
    let workers = link.b.hub.start();
    let holds = |r: &Reader<'_>| -> Result<(bool, bool), StoreError> {
        let rows = r.docs("seen", "", 10, None)?;
        let text = rows.first().map(|row| String::from_utf8_lossy(&row.payload).into_owned()).unwrap_or_default();
        Ok((text.contains(POWER), text.contains(NOTE)))
    };
    link.until("both seen", move |r| Ok(holds(r)? == (true, true))).await;
    // Hub A falls silent, and Ben withdraws.
    link.clock.advance_micros(600_000_000);
    says(&link.b.hub, "https://ben.example", "withdrawn", NOTE, C_PARTY, &[]).await;
    link.until_let_go(&follower).await;
    link.until("only what is stale is left", move |r| Ok(holds(r)? == (true, false))).await;
    workers.stop().await;
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl waybill_port::Sink for Nowhere {
    fn kind(&self) -> &'static str {
        "nowhere"
    }
    fn selection(&self, _: &[u8]) -> Result<waybill_port::Selection, waybill_model::Problem> {
        Ok(waybill_port::Selection { query: waybill_query::EntityQuery::default(), watched: Vec::new(), hears_deletions: true })
    }
    fn deliver<'a>(&'a self, _: &'a [u8], _: &'a waybill_gate::Released<waybill_gate::Parcel>) -> waybill_port::BoxFuture<'a, Result<waybill_port::Delivered, waybill_port::DeliveryError>> {
        Box::pin(async { Ok(waybill_port::Delivered::default()) })
    }
}

#[tokio::test]
async fn a_restore_does_not_bring_back_what_another_hub_withdrew() {
    let root = tempfile::tempdir().expect("a folder");
    let (data, copy) = (root.path().join("data"), root.path().join("copy"));
    let clock = noon();
    let link = Linked::of(pair_with(Store::open(&data, clock.clone()).expect("a store"), clock).await).await;
    let delivery = link.delivery().await;
    // Two tenants of hub B take from there.
    let other = TenantId::new("other").expect("a tenant");
    let intake = |tenant: &TenantId| Intake { tenant: tenant.clone(), hub: Some(link.a.url.clone()), fed_by: Vec::new(), secret: waybill_keys::sha256(b"the secret") };
    link.b.hub.set_intake("a-other", intake(&other));
    link.b.hub.receive("a-other", "the secret", delivery.0.clone(), delivery.1.clone()).await.expect("received");
    link.received(delivery.clone()).await;
    assert!(held_in(&link.b.hub, other.clone(), POWER).await.is_some());
    link.b.hub.store().backup(copy.clone()).await.expect("a backup");
    link.clock.advance_micros(120_000_000);
    anna_says(&link.a.hub, "withdrawn").await;
    assert_eq!(link.a.hub.send_notices().await.expect("sent"), 1);
    assert_eq!(link.held(POWER).await, None);
    link.b.hub.store().close().await;

    Store::restore(&copy, &data).expect("restored");
    let store = Store::open(&data, link.clock.clone()).expect("a store");
    let again = Hub::open(store, (*link.b.hub.governance()).clone(), link.clock.clone()).await.expect("a hub");
    assert!(held_by(&again, POWER).await.is_some(), "the backup holds it still");
    again.settle_restore().await.expect("settled");
    assert_eq!(held_by(&again, POWER).await, None, "the ledger does not forget");
    assert_eq!(held_in(&again, other, POWER).await, None, "whichever tenant");
    again.set_intake("a", intake(&TenantId::main()));
    let (items, manifest) = delivery;
    again.receive("a", "the secret", items, manifest).await.expect("received");
    again.process_inbox().await.expect("looked at");
    assert_eq!(held_by(&again, POWER).await, None, "nor by what is played again");
    let finished = again.withdrawals(&TenantId::main()).await.expect("withdrawals");
    assert_eq!(finished.len(), 1, "and it is told of as it was");
}

#[tokio::test]
async fn the_issuer_may_ask_for_less_patience() {
    let link = Linked::new().await;
    link.received(link.delivery().await).await;
    let mut governance = (*link.b.hub.governance()).clone();
    governance.max_stale_seconds = 86_400;
    link.b.hub.gate().govern(governance);
    link.beat().await;
    let seen = async || link.b.hub.retrieve(&operator(), &iri(ID), |_| true).await.is_ok_and(|page| page.get().entities[0].text().contains(POWER));
    assert!(seen().await);
    // Hub A's envelopes say 60 seconds.
    link.clock.advance_micros(90_000_000);
    assert!(!seen().await);
}

#[tokio::test]
async fn erasing_one_of_two_leaves_the_way_from_the_envelope_to_the_data() {
    let link = Linked::new().await;
    link.received(link.delivery().await).await;
    for who in ["https://carol.example/#me", "https://dave.example/#me"] {
        bind(&link.b.hub, waybill_consent::Target::Entity(iri(ID)), who).await;
    }
    link.b.hub.erase(&TenantId::main(), &iri("https://carol.example/#me")).await.expect("erased");
    assert!(link.held(POWER).await.is_some(), "it is Dave's too");
    link.clock.advance_micros(120_000_000);
    anna_says(&link.a.hub, "withdrawn").await;
    assert_eq!(link.a.hub.send_notices().await.expect("sent"), 1);
    assert_eq!(link.held(POWER).await, None);
}
