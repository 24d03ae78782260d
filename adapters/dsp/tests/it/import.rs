//! Imports, against a provider of no particular make: what comes is kept under the agreement, closes, opens and goes with it, and what is not
//! understood or not to be trusted is not taken.

use crate::deals::{ADVICE, SET};
use crate::people::People;
use crate::seller::{Page, Seller, offer, station};
use crate::support::{Node, STATION, Setup, eventually, free, iri};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use waybill_consent::Acknowledgement;
use waybill_dsp::{Import, ImportHealth, ImportState, Imported, Participant, PulledPage, ReadPage, Strategy};
use waybill_exchange::Workers;
use waybill_http::InResponse;
use waybill_model::{Clock, DateTime, EntityDoc, Principal, Scope, TenantId};
use waybill_port::{BoxFuture, Health, HealthState};
use waybill_query::EntityQuery;
use waybill_store::Store;

/// Pages as lists of canonical documents.
struct Lists;

impl ReadPage for Lists {
    fn read<'a>(&'a self, answer: &'a InResponse, now: DateTime) -> BoxFuture<'a, Result<PulledPage, String>> {
        Box::pin(async move {
            let list: Vec<Value> = answer.json().map_err(|e| e.to_string())?;
            let read: Vec<Option<EntityDoc>> = list.iter().map(|item| EntityDoc::parse(item.to_string(), now).ok()).collect();
            let unreadable = read.iter().filter(|d| d.is_none()).count();
            Ok(PulledPage { docs: read.into_iter().flatten().collect(), unreadable })
        })
    }
}

/// A hub that imports, and all that drives it.
struct Company {
    node: Node,
    import: tokio::task::JoinHandle<()>,
    workers: Workers,
}

impl Company {
    async fn open(store: &Store, at: SocketAddr, clock: &Clock, seller: &Seller, hub: bool) -> Self {
        let mut setup = Setup::new("c", at, clock).knows("p", Some(format!("{}/dsp", seller.base)));
        setup.store = store.clone();
        let (mut config, identity) = (setup.config(), setup.identity());
        if hub {
            let known = config.participants[0].as_ref().clone();
            config.participants = vec![Arc::new(Participant { hub: Some(seller.base.clone()), ..known })];
        }
        let node = setup.run().await;
        node.connector.replace(config, identity);
        node.connector.set_imports(vec![stations()], Arc::new(Lists));
        let import = tokio::spawn(node.connector.clone().import());
        let workers = node.hub.start();
        Self { node, import, workers }
    }

    async fn of(seller: &Seller, hub: bool) -> Self {
        let clock = Clock::system();
        Self::open(&Store::memory(clock.clone()).expect("a store"), free(), &clock, seller, hub).await
    }

    async fn close(self) {
        self.import.abort();
        self.workers.stop().await;
    }

    async fn row(&self) -> Imported {
        self.node.connector.imported("stations").await.expect("read").unwrap_or_default()
    }

    async fn until(&self, what: &str, fits: impl Fn(&Imported) -> bool) -> Imported {
        assert!(eventually(async || fits(&self.row().await)).await, "it does not come to this: {what}; it is {:?}", self.row().await);
        self.row().await
    }

    /// The ends of the identifiers that `scope` sees, in order.
    async fn seen(&self, scope: &Scope) -> Vec<String> {
        let query = EntityQuery { limit: 1000, ..EntityQuery::new() };
        let page = self.node.hub.query(scope, query, |_| true).await.expect("a page");
        let mut all: Vec<String> = page.get().entities.iter().filter_map(|d| d.id().rsplit(':').next().map(str::to_owned)).collect();
        all.sort();
        all
    }

    async fn holds(&self, wanted: &[&str]) {
        assert!(eventually(async || self.seen(&operator()).await == wanted).await, "not {wanted:?} but {:?}; {:?}", self.seen(&operator()).await, self.row().await);
    }

    async fn journal(&self) -> String {
        let hub = &self.node.hub;
        hub.journal().flush_all().await.expect("written");
        hub.journal().export(0, 1000).await.expect("exported").join("\n")
    }
}

fn stations() -> Import {
    Import {
        name: "stations".into(),
        participant: "p".into(),
        dataset: SET.into(),
        purpose: iri(ADVICE),
        types: vec![iri(STATION)],
        ids: Vec::new(),
        every: 1,
        origin: None,
        strategy: Strategy::Automatic,
    }
}

fn operator() -> Scope {
    Scope { principal: Principal::Operator("test".into()), ..Scope::anonymous(TenantId::main()) }
}

fn party(id: &str, purpose: &str) -> Scope {
    let party = crate::support::party_of(id);
    Scope { principal: Principal::Client { client: id.into(), party: party.clone() }, recipient: Some(party), purpose: Some(iri(purpose)), ..Scope::anonymous(TenantId::main()) }
}

fn two_pages() -> Vec<Page> {
    vec![Page::List(vec![station("one", 1), station("two", 2)]), Page::List(vec![station("three", 3)])]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pulled_stands_under_the_agreement_and_goes_with_it() {
    let seller = Seller::open(vec![offer(&json!({}))], two_pages()).await;
    let company = Company::of(&seller, false).await;
    company.holds(&["one", "three", "two"]).await;
    let row = company.until("it flows", |r| r.state == ImportState::Flowing).await;
    assert_eq!((row.entities, row.left_out), (3, 0));

    // The company itself may use it for the purpose that was agreed; nobody else may, for whatever purpose.
    assert_eq!(company.seen(&party("c", ADVICE)).await.len(), 3);
    assert_eq!(company.seen(&party("c", "https://w3id.org/waybill/purpose#GridOperation")).await, Vec::<String>::new());
    assert_eq!(company.seen(&party("other", ADVICE)).await, Vec::<String>::new());
    // The tag leads to the agreement.
    let scope = party("c", ADVICE);
    let page = company.node.hub.retrieve(&scope, &iri("urn:ngsi-ld:Station:one"), |_| true).await.expect("found");
    let envelope = row.envelope.expect("an envelope");
    assert!(page.get().entities[0].text().contains(&format!("{}/env/{envelope}", company.node.url)), "{}", page.get().entities[0].text());
    let published = company.node.hub.published_envelope(envelope).await.expect("read").expect("published");
    let claims = waybill_consent::Envelope::trusted(&published).expect("an envelope").claims;
    assert_eq!(claims.con.id.as_str(), "urn:agreement:1");
    let agreed = company.node.connector.agreement("urn:agreement:1").await.expect("read").expect("kept").policy;
    assert_eq!(claims.con.hash, waybill_keys::hex(&waybill_keys::jcs_hash(&agreed)));

    // One is listed no more, another has changed.
    seller.now().pages = vec![Page::List(vec![station("one", 11), station("three", 3)])];
    company.holds(&["one", "three"]).await;
    let bikes = async || company.node.hub.retrieve(&operator(), &iri("urn:ngsi-ld:Station:one"), |_| true).await.is_ok_and(|p| p.get().entities[0].text().contains("11"));
    assert!(eventually(bikes).await, "the change does not come");

    // A rest closes all of it, and a fresh start opens it.
    seller.suspend().await;
    company.holds(&[]).await;
    company.until("it rests", |r| r.state == ImportState::Resting && r.closed).await;
    assert_eq!(company.seen(&party("c", ADVICE)).await, Vec::<String>::new());
    seller.now().token = "token-2".into();
    seller.start().await;
    company.holds(&["one", "three"]).await;

    seller.terminate().await;
    company.holds(&[]).await;
    company.until("it is over", |r| r.state == ImportState::Over && r.agreement.is_none()).await;
    let journal = company.journal().await;
    assert!(journal.contains("the agreement is over") && journal.contains("the-end"), "{journal}");
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_and_deletions_carried_out_and_acknowledged_once() {
    let seller = Seller::open(vec![offer(&json!({"duty": [{"action": "http://www.w3.org/ns/odrl/2/inform"}]}))], two_pages()).await;
    seller.now().expires = 1;
    let company = Company::of(&seller, true).await;
    company.holds(&["one", "three", "two"]).await;
    assert!(seller.times("/token") >= 1, "a token that ends is renewed");

    seller.now().pages = vec![Page::List(vec![station("one", 1), station("three", 3)])];
    seller.now().deletions = vec![json!({"id": "urn:ngsi-ld:Station:two", "deletedAt": "2026-11-24T12:00:00Z", "cursor": "0001"})];
    company.holds(&["one", "three"]).await;
    company.until("it is acknowledged", |r| r.acknowledged.as_deref() == Some("0001")).await;
    let said: Vec<_> = seller.now().log.iter().filter(|a| a.what == "POST /deletions").cloned().collect();
    assert_eq!(said.len(), 1, "once");
    let keys = company.node.hub.keys().key_set();
    let did = waybill_keys::did_web(seller.base.trim_start_matches("http://"));
    let ack = Acknowledgement::verify(std::str::from_utf8(&said[0].body).expect("text"), &did, &keys, Clock::system().now()).expect("verified");
    assert_eq!((ack.event.as_str(), ack.holder.as_str(), ack.is_complete()), ("0001", "https://c.example/#party", true));
    assert_eq!(said[0].bearer, seller.now().token);

    // Who takes no acknowledgement is not asked again.
    seller.now().acknowledges = 405;
    seller.now().deletions.push(json!({"id": "urn:ngsi-ld:Station:one", "deletedAt": "2026-11-24T12:00:01Z", "cursor": "0002"}));
    seller.now().pages = vec![Page::List(vec![station("three", 3)])];
    company.holds(&["three"]).await;
    company.until("it was told", |r| r.acknowledged.as_deref() == Some("0002")).await;
    let pulls = seller.times("/data/0");
    assert!(eventually(async || seller.times("/data/0") > pulls + 1).await, "it goes on");
    assert_eq!(seller.times("POST /deletions"), 2);
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_trusted_is_not_taken_and_takes_nothing_away() {
    let list = |name: &str| Page::List(vec![station(name, 9)]);
    let cases: Vec<(&str, Vec<Page>, Option<&str>)> = vec![
        ("garbage behind a good page", vec![list("new"), Page::Bytes(b"{\"no\": \"list\"".to_vec())], None),
        ("100 MB", vec![Page::Bytes(vec![b' '; 100 << 20])], None),
        ("a redirect", vec![Page::Redirect("http://127.0.0.1:9/elsewhere".into())], None),
        ("a next page elsewhere", vec![list("new")], Some("http://127.0.0.1:9/data/1")),
        ("a next page that is the first", vec![list("new")], Some("/data/0")),
    ];
    let seller = Seller::open(vec![offer(&json!({}))], two_pages()).await;
    let company = Company::of(&seller, false).await;
    company.holds(&["one", "three", "two"]).await;
    for (what, pages, beyond) in cases {
        (seller.now().pages, seller.now().beyond) = (pages, beyond.map(str::to_owned));
        let row = company.until(what, |r| r.fault.as_ref().is_some_and(|f| f.code == "page-refused")).await;
        let health = ImportHealth::new(company.node.connector.clone(), "stations").check().await;
        assert!(matches!(health, HealthState::Down { detail } if detail.contains("page-refused")), "{what}");
        assert_eq!(row.agreement.as_deref(), Some("urn:agreement:1"), "{what}");
        let all = company.seen(&operator()).await;
        assert!(["one", "three", "two"].iter().all(|n| all.iter().any(|a| a == n)), "{what}: {all:?}");
        (seller.now().pages, seller.now().beyond) = (two_pages(), None);
        company.until("it flows again", |r| r.state == ImportState::Flowing && r.fault.is_none()).await;
        company.holds(&["one", "three", "two"]).await;
    }
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_elsewhere_is_not_called() {
    let stranger = Seller::open(Vec::new(), two_pages()).await;
    let seller = Seller::open(vec![offer(&json!({}))], two_pages()).await;
    seller.now().endpoint = Some(format!("{}/data/0", stranger.base));
    let company = Company::of(&seller, false).await;
    let row = company.until("it is refused", |r| r.fault.as_ref().is_some_and(|f| f.code == "address-refused")).await;
    assert!(row.fault.expect("a fault").reason.contains(stranger.base.trim_start_matches("http://")));
    assert_eq!(stranger.now().log.len(), 0, "a token of one provider is not shown to another");
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_is_not_understood_to_its_last_word_is_named_and_never_negotiated() {
    let odrl = |name: &str| format!("http://www.w3.org/ns/odrl/2/{name}");
    let atom = |left: &str, operator: &str, right: &str| json!({"leftOperand": left, "operator": operator, "rightOperand": right});
    let cases = [
        ("an operand of somebody's own", json!({"constraint": [atom("https://vocabulary.example/membership", "eq", "active")]}), "membership"),
        ("a place", json!({"constraint": [atom(&odrl("spatial"), "eq", "https://example.org/BE")]}), "spatial"),
        ("alternatives", json!({"constraint": [{"or": [atom(&odrl("dateTime"), "lt", "2099-01-01T00:00:00Z")]}]}), "alternatives"),
        ("a payment", json!({"duty": [{"action": odrl("compensate")}]}), "compensate"),
        ("word to somebody without a hub", json!({"duty": [{"action": odrl("inform")}]}), "inform"),
        ("a tag that nobody could verify", json!({"constraint": [atom("https://w3id.org/waybill/ns#consentTag", "eq", "https://w3id.org/waybill/ns#valid")]}), "consentTag"),
        ("an obligation", json!({"obligation": [{"action": odrl("attribute")}]}), "attribute"),
        ("a prohibition of what the hub does", json!({"prohibition": [{"action": odrl("use")}]}), "use"),
    ];
    for (what, more, named) in cases {
        let seller = Seller::open(vec![offer(&more)], two_pages()).await;
        let company = Company::of(&seller, false).await;
        let row = company.until(what, |r| r.state == ImportState::Refused).await;
        let fault = row.fault.expect("a fault");
        assert!(fault.code.starts_with("policy-not-") && fault.reason.contains(named), "{what}: {fault:?}");
        assert_eq!(seller.times("/negotiations/request"), 0, "{what}");
        let journal = company.journal().await;
        assert!(journal.contains(named) && journal.contains("\"refused\""), "{what}: {journal}");
        company.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_passed_on_to_those_only_that_a_permission_names() {
    let purpose = json!({"leftOperand": "http://www.w3.org/ns/odrl/2/purpose", "operator": "isA", "rightOperand": ADVICE});
    let to = |party: &str| json!({"action": "http://www.w3.org/ns/odrl/2/distribute", "constraint": [purpose, {"leftOperand": "http://www.w3.org/ns/odrl/2/recipient", "operator": "isAnyOf", "rightOperand": [party]}]});
    let seller = Seller::open(vec![offer(&json!({"permission": [to("https://friend.example/#party")]}))], two_pages()).await;
    let company = Company::of(&seller, false).await;
    company.holds(&["one", "three", "two"]).await;
    let mut governance = company.node.hub.governance().as_ref().clone();
    for id in ["friend", "other"] {
        governance.agreements.push(waybill_gate::Agreement {
            id: iri(&format!("urn:agreement:with-{id}")),
            recipient: Some(crate::support::party_of(id)),
            purposes: vec![iri(ADVICE)],
            open: true,
            holder: waybill_gate::HolderClass::Plain,
            hub: None,
            write: false,
        });
    }
    company.node.hub.govern(governance, &TenantId::main(), Vec::new()).await.expect("governed");
    assert_eq!(company.seen(&party("friend", ADVICE)).await.len(), 3, "the named one");
    // An agreement of the company's own does not widen the foreign one.
    assert_eq!(company.seen(&party("other", ADVICE)).await, Vec::<String>::new());
    seller.terminate().await;
    company.holds(&[]).await;
    assert_eq!(company.seen(&party("friend", ADVICE)).await, Vec::<String>::new());
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_under_the_same_agreement() {
    let seller = Seller::open(vec![offer(&json!({}))], two_pages()).await;
    let (clock, at) = (Clock::system(), free());
    let store = Store::memory(clock.clone()).expect("a store");
    let company = Company::open(&store, at, &clock, &seller, false).await;
    company.holds(&["one", "three", "two"]).await;
    company.close().await;
    let company = Company::open(&store, at, &clock, &seller, false).await;
    let pulls = seller.times("/data/0");
    assert!(eventually(async || seller.times("/data/0") > pulls).await, "it goes on");
    assert_eq!((seller.times("/negotiations/request"), seller.times("/transfers/request")), (1, 1));
    company.holds(&["one", "three", "two"]).await;
    company.close().await;
}

const METER: &str = "https://w3id.org/example/Meter";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_a_person_needs_a_person_and_her_word() {
    let meter = |name: &str, owner: Option<&str>| {
        let mut out = json!({"id": format!("urn:ngsi-ld:Meter:{name}"), "type": [METER], "https://w3id.org/example/power": [{"type": "Property", "value": 7}]});
        if let Some(owner) = owner {
            out["https://w3id.org/example/ownedBy"] = json!([{"type": "Relationship", "object": owner}]);
        }
        out
    };
    let page = vec![meter("hers", Some("https://anna.example/#me")), meter("nobodys", None), station("one", 1)];
    let seller = Seller::open(vec![offer(&json!({}))], vec![Page::List(page)]).await;
    let clock = Clock::system();
    let company = Company::open(&Store::memory(clock.clone()).expect("a store"), free(), &clock, &seller, false).await;
    let mut governance = company.node.hub.governance().as_ref().clone();
    governance.bindings.push(waybill_gate::BindRule {
        types: vec![iri(METER)],
        by: waybill_gate::BindBy::Attribute(iri("https://w3id.org/example/ownedBy")),
        all: false,
        evidence: "urn:route:meters".into(),
    });
    company.node.hub.govern(governance, &TenantId::main(), Vec::new()).await.expect("governed");
    let both = Import { types: vec![iri(STATION), iri(METER)], ..stations() };
    company.node.connector.set_imports(vec![both], Arc::new(Lists));
    company.holds(&["hers", "one"]).await;
    assert!(company.journal().await.contains("personal-without-subject"));
    // The agreement is between organisations: what is about her is for the company to see when she says so.
    assert_eq!(company.seen(&party("c", ADVICE)).await, ["one"]);
    let people = People::at(&company.node, &clock);
    people.says("https://anna.example/#me", "given", &crate::support::party_of("c")).await;
    assert_eq!(company.seen(&party("c", ADVICE)).await, ["hers", "one"]);
    people.says("https://anna.example/#me", "given", &crate::support::party_of("other")).await;
    assert_eq!(company.seen(&party("other", ADVICE)).await, Vec::<String>::new(), "her word does not widen the agreement");
    people.says("https://anna.example/#me", "withdrawn", &crate::support::party_of("c")).await;
    assert_eq!(company.seen(&party("c", ADVICE)).await, ["one"]);
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_from_a_provider_that_is_heard_of_no_more_closes() {
    let seller = Seller::open(vec![offer(&json!({}))], two_pages()).await;
    let clock = Clock::system();
    let company = Company::open(&Store::memory(clock.clone()).expect("a store"), free(), &clock, &seller, false).await;
    company.holds(&["one", "three", "two"]).await;
    seller.now().token = "another".into();
    company.until("it is not let in", |r| r.fault.is_some()).await;
    company.holds(&["one", "three", "two"]).await;
    clock.advance_micros(700_000_000);
    company.holds(&[]).await;
    seller.start().await;
    company.holds(&["one", "three", "two"]).await;
    company.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_taken_out_takes_along_what_it_brought() {
    let seller = Seller::open(vec![offer(&json!({}))], two_pages()).await;
    let company = Company::of(&seller, false).await;
    company.holds(&["one", "three", "two"]).await;
    company.node.connector.set_imports(Vec::new(), Arc::new(Lists));
    company.holds(&[]).await;
    assert!(eventually(async || seller.times("/termination") == 1).await, "the provider is told");
    company.close().await;
}
