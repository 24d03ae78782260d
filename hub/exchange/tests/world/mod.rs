//! One hub in memory, with a fixed clock, two parties and a sink that remembers.

use std::sync::{Arc, Mutex};
use waybill_consent::{Binding, EvidenceKind, GrantDocument, Observed, Rule, Target, Validity};
use waybill_exchange::{Change, Granted, Hub, NewFollower};
use waybill_gate::{Agreement, Class, ClassRule, Governance, HolderClass, Parcel, Released};
use waybill_model::{Clock, DateTime, EntityDoc, Iri, Principal, Problem, Scope, TenantId};
use waybill_port::{BoxFuture, Delivered, DeliveryError, Selection, Sink};
use waybill_query::{EntityQuery, Q, TypeSelection};
use waybill_store::Store;

pub const POWER: &str = "https://w3id.org/example/power";
pub const MODEL: &str = "https://w3id.org/example/model";
pub const METER: &str = "https://w3id.org/example/SmartMeter";
/// A type of which nothing is open.
pub const METER_ONLY: &str = "https://w3id.org/example/OnlyMeter";
pub const CITY_B: &str = "https://b.example/party";
pub const ADVICE: &str = "https://w3id.org/waybill/purpose#EnergyAdvice";

pub fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}

pub fn types(list: &str) -> TypeSelection {
    TypeSelection::parse(list, &Names).expect("types")
}

pub fn q(text: &str) -> Q {
    Q::parse(text, &Names).expect("q")
}

struct Names;
impl waybill_query::Expander for Names {
    fn expand(&self, term: &str) -> String {
        format!("https://w3id.org/example/{term}")
    }
}

/// What arrived.
#[derive(Default)]
pub struct Arrived(Vec<Parcel>);

impl Arrived {
    pub fn created(&self, id: &str) -> usize {
        self.0.iter().flat_map(|p| p.entities.iter().zip(&p.changed)).filter(|(e, c)| e.id() == id && c.is_none()).count()
    }
    pub fn deleted(&self, id: &str) -> usize {
        self.0.iter().flat_map(|p| &p.deleted).filter(|d| d.id.as_str() == id && d.attributes.is_empty()).count()
    }
    /// How often it was said that Attributes of it are gone.
    pub fn lost(&self, id: &str) -> usize {
        self.0.iter().flat_map(|p| &p.deleted).filter(|d| d.id.as_str() == id && !d.attributes.is_empty()).count()
    }
    pub fn last_text(&self, id: &str) -> Option<String> {
        self.0.iter().flat_map(|p| &p.entities).rfind(|e| e.id() == id).map(|e| e.text().to_owned())
    }
}

struct Remember(Arc<Mutex<Arrived>>, Arc<std::sync::atomic::AtomicBool>);

impl Sink for Remember {
    fn kind(&self) -> &'static str {
        "remember"
    }
    /// Nothing for meters; `id:` and an identifier for one entity; else a type, and that deletions are not heard of.
    fn selection(&self, spec: &[u8]) -> Result<Selection, Problem> {
        let deaf = std::str::from_utf8(spec).expect("text");
        if let Some(id) = deaf.strip_prefix("id:") {
            let query = EntityQuery::of(waybill_query::EntitySelector { ids: vec![id.to_owned()], ..Default::default() });
            return Ok(Selection { query, watched: Vec::new(), hears_deletions: true });
        }
        let query = EntityQuery::of_types(TypeSelection::parse(if deaf.is_empty() { "SmartMeter" } else { deaf }, &Names).expect("types"));
        Ok(Selection { query, watched: Vec::new(), hears_deletions: deaf.is_empty() })
    }
    fn deliver<'a>(&'a self, _: &'a [u8], parcel: &'a Released<Parcel>) -> BoxFuture<'a, Result<Delivered, DeliveryError>> {
        self.0.lock().expect("lock").0.push(parcel.get().clone());
        let lost = self.1.load(std::sync::atomic::Ordering::SeqCst);
        Box::pin(async move { if lost { Err(DeliveryError::retry("the answer was lost")) } else { Ok(Delivered::default()) } })
    }
}

pub struct World {
    pub hub: Hub,
    pub tenant: TenantId,
    clock: Clock,
    arrived: Arc<Mutex<Arrived>>,
    last: Mutex<Option<(GrantDocument, Observed)>>,
    /// Whether what arrives is taken, but the answer gets lost.
    pub lost: Arc<std::sync::atomic::AtomicBool>,
}

impl World {
    pub async fn new() -> Self {
        Self::with_hubs(&[]).await
    }
    /// The same, with recipients that have hubs: party and address.
    pub async fn with_hubs(hubs: &[(&str, &str)]) -> Self {
        let clock = Clock::fixed(DateTime::parse("2026-11-24T10:10:00Z").expect("a time"));
        Self::over(Store::memory(clock.clone()).expect("a store"), clock, hubs).await
    }
    /// The same over files, at another time than the first.
    pub async fn at(folder: &std::path::Path, later_minutes: i64) -> Self {
        let clock = Clock::fixed(DateTime::parse("2026-11-24T10:10:00Z").expect("a time").plus_seconds(later_minutes * 60));
        Self::over(Store::open(folder, clock.clone()).expect("a store"), clock, &[]).await
    }
    async fn over(store: Store, clock: Clock, hubs: &[(&str, &str)]) -> Self {
        let mut governance = Governance::bare("https://a.example").expect("governance");
        governance.classes.push(ClassRule { types: vec![iri("https://w3id.org/example/AirQuality")], attributes: Vec::new(), class: Class::Open });
        governance.classes.push(ClassRule { types: vec![iri(METER)], attributes: vec![iri(MODEL)], class: Class::Open });
        governance.agreements.push(Agreement {
            id: iri("urn:agreement:b"),
            recipient: Some(iri(CITY_B)),
            purposes: vec![iri(ADVICE)],
            open: true,
            holder: HolderClass::Plain,
            hub: None,
            write: false,
        });
        for (party, address) in hubs {
            let first = governance.agreements[0].clone();
            governance.agreements.push(Agreement { id: iri(&format!("urn:agreement:{address}")), recipient: Some(iri(party)), holder: HolderClass::Enforcing, hub: Some((*address).to_owned()), ..first });
        }
        let hub = Hub::open(store, governance, clock.clone()).await.expect("a hub");
        let arrived = Arc::new(Mutex::new(Arrived::default()));
        let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
        hub.add_sink(Arc::new(Remember(arrived.clone(), lost.clone())));
        Self { hub, tenant: TenantId::main(), clock, arrived, last: Mutex::default(), lost }
    }

    pub fn operator(&self) -> Scope {
        Scope { principal: Principal::Operator("test".into()), ..Scope::anonymous(self.tenant.clone()) }
    }
    pub fn city_b(&self, purpose: &str) -> Scope {
        Scope { principal: Principal::Client { client: "app".into(), party: iri(CITY_B) }, recipient: Some(iri(CITY_B)), purpose: Some(iri(purpose)), ..Scope::anonymous(self.tenant.clone()) }
    }

    pub fn advance_minutes(&self, minutes: i64) {
        self.clock.advance_micros(minutes * 60_000_000);
    }
    pub fn clock_to_the_next_hour(&self) {
        let left = 3600 - self.clock.now().seconds().rem_euclid(3600);
        self.clock.advance_micros(left * 1_000_000 + 60_000_000);
    }

    pub async fn meter(&self, id: &str, power: f64) {
        self.meter_at(id, power, 0).await;
    }
    pub async fn meter_at(&self, id: &str, power: f64, minutes: i64) {
        let at = self.clock.now().plus_seconds(minutes * 60);
        let text = format!("{{\"id\":\"{id}\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":{power},\"observedAt\":\"{at}\"}}]}}");
        let doc = EntityDoc::parse(text, self.clock.now()).expect("canonical");
        self.hub.modify(&self.operator(), &iri(id), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
    }

    pub async fn store(&self, id: &str, text: &str) {
        let doc = EntityDoc::parse(text, self.clock.now()).expect("canonical");
        self.hub.modify(&self.operator(), &iri(id), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
    }

    pub async fn bind(&self, entity: &str, subject: &str) {
        self.bind_to(Target::Entity(iri(entity)), subject).await;
    }
    pub async fn bind_to(&self, target: Target, subject: &str) {
        let binding = Binding {
            target,
            subject: iri(subject),
            validity: Validity::default(),
            asserted_by: iri("https://a.example/party"),
            evidence: "contract".into(),
            rule: Rule::All,
        };
        self.hub.bind(&self.tenant, &binding).await.expect("bound");
    }

    /// Binds somebody for a minute.
    pub async fn bind_until_later(&self, entity: &str, subject: &str) -> Binding {
        let validity = Validity { from: None, until: Some(self.clock.now().plus_seconds(60)) };
        let binding = Binding { target: Target::Entity(iri(entity)), subject: iri(subject), validity, asserted_by: iri("https://a.example/party"), evidence: String::new(), rule: Rule::All };
        self.hub.bind(&self.tenant, &binding).await.expect("bound");
        binding
    }

    pub async fn grant(&self, subject: &str, state: &str, data: serde_json::Value) -> Granted {
        self.grant_to(&[CITY_B], subject, state, data).await
    }
    pub async fn grant_to(&self, recipients: &[&str], subject: &str, state: &str, data: serde_json::Value) -> Granted {
        self.advance_minutes(2);
        let text = serde_json::json!({
            "type": "ConsentGrant", "subject": subject, "state": state, "stated": self.clock.now(),
            "notice": { "uri": "https://a.example/notice", "language": "en", "textHash": "00" },
            "controller": { "id": "https://a.example/party", "name": "City A", "address": "1 Main Street", "contact": "privacy@a.example", "country": "BE" },
            "recipients": recipients.iter().map(|r| serde_json::json!({ "id": r, "name": "Recipient", "address": "2 Main Street", "contact": "privacy@b.example", "country": "BE" })).collect::<Vec<_>>(),
            "until": "2027-06-30T00:00:00Z", "purposes": [ADVICE], "label": { "en": "Advice on saving energy" }, "data": data,
            "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
            "withdrawal": { "uri": "https://a.example/withdraw", "method": "in your pod" },
        })
        .to_string();
        let document = GrantDocument::parse(text.as_bytes()).expect("a grant document");
        let seen = Observed {
            source: iri(&format!("{}/consents/energy", subject.trim_end_matches("/#me"))),
            etag: None,
            hash: waybill_keys::hex(&waybill_keys::sha256(text.as_bytes())),
            author: iri(subject),
            kind: EvidenceKind::AccessRules,
            access_rules: Some("00".into()),
            received: self.clock.now(),
        };
        self.last.lock().expect("lock").replace((document.clone(), seen.clone()));
        let granted = self.hub.take_grant_document(&self.tenant, &document, &seen).await.expect("taken");
        assert!(granted.state.as_ref().is_none_or(|s| s.missing.is_empty()), "a draft: {:?}", granted.state);
        granted
    }

    /// Reads the last grant document again.
    pub async fn read_again(&self) -> Result<Granted, Problem> {
        let (document, mut seen) = self.last.lock().expect("lock").clone().expect("a document");
        seen.received = self.clock.now();
        self.hub.take_grant_document(&self.tenant, &document, &seen).await
    }

    pub async fn seen_by_city_b(&self, id: &str) -> Option<EntityDoc> {
        self.seen_by_city_b_for(id, ADVICE).await
    }
    pub async fn seen_by_city_b_for(&self, id: &str, purpose: &str) -> Option<EntityDoc> {
        match self.hub.retrieve(&self.city_b(purpose), &iri(id), |_| true).await {
            Ok(page) => page.get().entities.first().cloned(),
            Err(problem) => {
                assert_eq!(problem.status, 404, "{problem}");
                None
            }
        }
    }
    /// What city B would be shown, before it is released, with the view it was looked at through.
    pub async fn looked_at_for_city_b(&self, id: &str) -> (waybill_gate::View, Vec<waybill_gate::VisibleDoc>) {
        let view = self.hub.gate().view(&self.city_b(ADVICE));
        let (seen, id, tenant) = (view.clone(), id.to_owned(), self.tenant.clone());
        let look = move |r: &waybill_store::Reader<'_>| {
            let Some(doc) = r.entity(&tenant, &id)? else { return Ok(Vec::new()) };
            Ok(seen.eyes(r)?.mask(&doc, &mut waybill_gate::Tally::default())?.into_iter().collect())
        };
        let found = self.hub.store().read(look).await.expect("read");
        (view, found)
    }
    pub async fn count_for_city_b(&self, q: Option<&str>) -> u64 {
        self.count_of_type_for_city_b("SmartMeter", q).await
    }
    pub async fn count_of_type_for_city_b(&self, ty: &str, q: Option<&str>) -> u64 {
        let mut query = EntityQuery::of_types(TypeSelection::parse(ty, &Names).expect("types"));
        query.q = q.map(|q| Q::parse(q, &Names).expect("q"));
        (query.count, query.limit) = (true, 0);
        self.hub.query(&self.city_b(ADVICE), query, |_| true).await.expect("a page").get().total.expect("counted")
    }

    pub async fn ordered_for_city_b(&self, order: &str, offset: usize, limit: usize) -> Vec<String> {
        let mut query = EntityQuery::of_types(TypeSelection::parse("SmartMeter", &Names).expect("types"));
        query.order = Some(waybill_query::OrderBy::parse(order, None, &Names).expect("an order"));
        (query.offset, query.limit) = (offset, limit);
        let page = self.hub.query(&self.city_b(ADVICE), query, |_| true).await.expect("a page");
        page.get().entities.iter().map(|e| e.id().to_owned()).collect()
    }

    pub async fn follow_as_city_b(&self) -> Iri {
        self.follow_in(&self.tenant, None).await
    }
    pub async fn follow_in(&self, tenant: &TenantId, id: Option<&str>) -> Iri {
        let scope = Scope { tenant: tenant.clone(), ..self.city_b(ADVICE) };
        let new = NewFollower { id: id.map(iri), sink: "remember", spec: String::new(), active: true, expires_at: None, initial_load: true };
        self.hub.follow(&scope, new).await.expect("following")
    }
    pub fn operator_of(&self, tenant: &TenantId) -> Scope {
        Scope { tenant: tenant.clone(), ..self.operator() }
    }
    /// As one that hears of no deletions.
    pub async fn follow_deaf(&self, ty: &str) -> Result<Iri, Problem> {
        let new = NewFollower { id: None, sink: "remember", spec: ty.to_owned(), active: true, expires_at: None, initial_load: true };
        self.hub.follow(&self.city_b(ADVICE), new).await
    }
    pub async fn unfollow_as_city_b(&self, follower: &Iri) {
        self.hub.unfollow(&self.city_b(ADVICE), "remember", follower).await.expect("ended");
    }
    pub async fn switch(&self, follower: &Iri, active: bool) {
        // A delivery that was just made may be counting itself.
        for _ in 0..100 {
            let change = |f: &mut waybill_exchange::Follower| {
                f.active = active;
                Ok(())
            };
            match self.hub.change_follower(&self.city_b(ADVICE), "remember", follower, change).await {
                Err(problem) if problem.code == "busy-subscription" => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
                other => return other.expect("changed"),
            }
        }
        panic!("it kept counting");
    }
    /// An open Attribute, with a `second` instance or without.
    pub async fn model(&self, id: &str, second: bool) {
        let of = |value: &str, more: &str| format!("{{\"type\":\"Property\",\"value\":\"{value}\"{more}}}");
        let more = if second { format!(",{}", of("y", ",\"datasetId\":\"urn:dataset:2\"")) } else { String::new() };
        let text = format!("{{\"id\":\"{id}\",\"type\":[\"{METER}\"],\"{MODEL}\":[{}{more}]}}", of("x", ""));
        let doc = EntityDoc::parse(text, self.clock.now()).expect("canonical");
        self.hub.modify(&self.operator(), &iri(id), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
    }
    pub async fn forget(&self, id: &str) {
        self.hub.modify(&self.operator(), &iri(id), |_| Ok(Change::Delete(()))).await.expect("deleted");
    }
    /// Waits until the workers have nothing more to do for followers.
    pub async fn quiet(&self) {
        for _ in 0..500 {
            let now = self.clock.now();
            let left = self.hub.store().read(move |r| Ok(r.due("todo", now, 1)?.len() + r.docs("outbox", "", 1, None)?.len())).await.expect("read");
            if left == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the workers do not come to rest");
    }
    pub fn last_text(&self, id: &str) -> String {
        self.arrived.lock().expect("lock").last_text(id).expect("it arrived")
    }
    pub fn arrived(&self) -> usize {
        self.arrived.lock().expect("lock").0.len()
    }
    /// Waits, at most ten seconds, until what arrived fits.
    pub async fn until(&self, what: &str, fits: impl Fn(&Arrived) -> bool) {
        for _ in 0..500 {
            if fits(&self.arrived.lock().expect("lock")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("it did not come to: {what}");
    }
}
