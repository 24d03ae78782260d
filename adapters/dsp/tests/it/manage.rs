//! What the operator defines by the management interface: offers like those of the configuration, from the moment they are defined until they
//! are not any more, over a restart and over another configuration.

use crate::deals::{ADVICE, agreements, connector_at, negotiated, offered};
use crate::people::{METER, People};
use crate::support::{Node, STATION, Setup, Wire, client_wire, eventually, free, iri, open_offering, party_of, token};
use serde_json::{Value, json};
use std::net::SocketAddr;
use waybill_dsp::{DataRoute, NegotiationState, StaticIdentity, Strategy, TransferState};
use waybill_http::{Method, ResolveToken};
use waybill_model::Clock;
use waybill_store::Store;

pub const AIR: &str = "urn:asset:air";
const METERS: &str = "urn:asset:meters";
const EDC: &str = "https://w3id.org/edc/v0.0.1/ns/";
const ODRL: &str = "http://www.w3.org/ns/odrl/2/";

/// A route of open stations, and one of meters at home.
pub fn routes() -> Vec<DataRoute> {
    let route = |name: &str, kind: &str, personal| DataRoute { name: name.into(), types: vec![iri(kind)], ids: Vec::new(), attributes: Vec::new(), personal };
    vec![route("stations", STATION, false), route("meters", METER, true)]
}

/// A provider that has routes, one configured offer, and knows `c` and `d`.
pub fn provider(at: SocketAddr, c: SocketAddr, clock: &Clock) -> Setup {
    let mut setup = Setup::new("p", at, clock).knows("c", Some(connector_at(c))).knows("d", None).offers([open_offering("urn:dataset:configured")]);
    setup.routes = routes();
    setup
}

/// A provider and a consumer, driven.
async fn both() -> (Node, Node) {
    both_at(&Clock::system()).await
}

async fn both_at(clock: &Clock) -> (Node, Node) {
    let (p, c) = (free(), free());
    let provider = provider(p, c, clock).run().await;
    let consumer = Setup::new("c", c, clock).knows("p", Some(connector_at(p))).run().await;
    (provider, consumer)
}

pub fn asset(id: &str, route: &str) -> Value {
    json!({"@context": {"@vocab": EDC}, "@id": id, "properties": {"name": "A name", "kind": route}, "dataAddress": {"type": "WaybillRoute", "route": route}})
}

pub fn policy(id: &str, policy: Value) -> Value {
    let mut policy = policy;
    policy["@type"] = "Set".into();
    json!({"@id": id, "policy": policy})
}

/// Permits use to everybody, for anything.
pub fn anyone() -> Value {
    json!({"permission": [{"action": "use"}]})
}

/// Permits use where one comparison holds.
pub fn only(left: &str, operator: &str, right: impl Into<Value>) -> Value {
    let right: Value = right.into();
    json!({"permission": [{"action": "use", "constraint": [{"leftOperand": left, "operator": operator, "rightOperand": right}]}]})
}

pub fn contract(id: &str, access: &str, terms: &str, assets: Value) -> Value {
    json!({"@id": id, "accessPolicyId": access, "contractPolicyId": terms, "assetsSelector": assets})
}

pub fn about(id: &str) -> Value {
    json!([{"@type": "Criterion", "operandLeft": format!("{EDC}id"), "operator": "=", "operandRight": id}])
}

impl Wire {
    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(Method::PUT, path, "application/json", body.to_string()).await
    }
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, "", Vec::new()).await
    }
    /// Makes something that can be made.
    pub async fn make(&self, path: &str, body: Value) {
        let (status, said) = self.post(path, &body).await;
        assert_eq!((status, &said["@type"], &said["@id"]), (200, &json!("IdResponse"), &body["@id"]), "{path} {body}: {said}");
        assert!(said["createdAt"].is_i64(), "{said}");
    }
}

/// The identifiers of what a query finds.
pub async fn found(wire: &Wire, path: &str, query: &Value) -> Vec<String> {
    let (status, list) = wire.post(path, query).await;
    assert_eq!(status, 200, "{path} {query}: {list}");
    list.as_array().expect("a list").iter().map(|v| v["@id"].as_str().expect("an id").to_owned()).collect()
}

/// The datasets that a participant sees, and how many offers of each.
async fn seen(node: &Node, who: &str) -> Vec<(String, usize)> {
    let ask = json!({"@context": [crate::support::CONTEXT], "@type": "CatalogRequestMessage"});
    let (status, catalog) = node.seen_by(&token(who, "p")).post("/catalog/request", &ask).await;
    assert_eq!(status, 200, "{catalog}");
    let all = catalog["dataset"].as_array().cloned().unwrap_or_default();
    let mut out: Vec<_> = all.iter().map(|d| (d["@id"].as_str().unwrap_or_default().to_owned(), d["hasPolicy"].as_array().map_or(0, Vec::len))).collect();
    out.retain(|(id, _)| id != "urn:dataset:configured");
    out
}

fn sees(list: &[(&str, usize)]) -> Vec<(String, usize)> {
    list.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect()
}

/// Air for everybody.
pub async fn make_air(wire: &Wire) {
    wire.make("/assets", asset(AIR, "stations")).await;
    wire.make("/policydefinitions", policy("anyone", anyone())).await;
    wire.make("/contractdefinitions", contract("air", "anyone", "anyone", about(AIR))).await;
}

async fn state(node: &Node, transfer: &str) -> Option<TransferState> {
    node.connector.transfer(transfer).await.expect("read").expect("there").state
}

#[tokio::test]
async fn a_defined_offer_is_negotiated_and_had_until_it_is_deleted() {
    let (p, c) = both().await;
    let wire = p.managed();
    make_air(&wire).await;
    assert_eq!(seen(&p, "c").await, sees(&[(AIR, 1)]));
    let offer = offered(&c, &p, AIR).await;
    let done = negotiated(&c, &p.address, offer, Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
    let agreement = agreements(&p).await.swap_remove(0);
    let licence = p.hub.licence(&iri(&agreement)).await.expect("read").expect("licensed");
    assert_eq!((licence.types, licence.party, licence.open, licence.dataset.as_str()), (vec![iri(STATION)], party_of("c"), true, AIR));

    let id = c.connector.request_transfer(&c.participant("p"), &p.address, &agreement, "HttpData-PULL", None).await.expect("begun");
    assert!(eventually(async || state(&c, &id).await == Some(TransferState::Started)).await);
    let address = c.connector.transfer(&id).await.expect("read").expect("there").address.expect("an address");
    let token = address.property("authorization").expect("a token").to_owned();
    let caller = p.connector.resolve(&token).await.expect("known").expect("good");
    assert_eq!(caller.agreement, Some(iri(&agreement)));

    let ours = c.managed();
    assert_eq!(found(&ours, "/edrs/request", &json!({"filterExpression": [{"operandLeft": "agreementId", "operator": "=", "operandRight": agreement}]})).await, [id.as_str()]);
    let (_, led) = ours.get(&format!("/contractagreements/{agreement}/negotiation")).await;
    assert_eq!(led["@id"], done.talk.id.as_str(), "{led}");
    assert_eq!(ours.get("/contractagreements/nowhere/negotiation").await.0, 404);

    // What somebody has is not taken from under an agreement, nor turned into something else.
    let (status, said) = wire.delete(&format!("/assets/{AIR}")).await;
    assert_eq!((status, &said[0]["type"]), (409, &json!("asset-under-agreement")), "{said}");
    let (status, said) = wire.put("/assets", &asset(AIR, "meters")).await;
    assert_eq!((status, &said[0]["type"]), (400, &json!("offer-without-purpose")), "{said}");
    let mut renamed = asset(AIR, "stations");
    renamed["properties"]["name"] = "Another name".into();
    assert_eq!(wire.put("/assets", &renamed).await.0, 200, "another title changes nothing for anybody");

    assert_eq!(wire.delete("/contractdefinitions/air").await, (200, json!({})));
    assert_eq!(seen(&p, "c").await, sees(&[]));
    let over = p.connector.agreement(&agreement).await.expect("read").expect("there").ended.expect("it is over");
    assert_eq!(over.code, "agreement-over");
    assert!(p.connector.resolve(&token).await.expect("known").is_err(), "the token opens nothing");
    p.connector.tend().await.expect("looked after");
    assert!(eventually(async || state(&c, &id).await == Some(TransferState::Terminated)).await);
    assert!(found(&ours, "/edrs/request", &json!({})).await.is_empty(), "there is nothing to fetch any more");

    // The same once more is another offer of the same terms, and the old agreement stays over.
    wire.make("/contractdefinitions", contract("air", "anyone", "anyone", about(AIR))).await;
    assert_eq!(seen(&p, "c").await, sees(&[(AIR, 1)]));
    assert!(c.connector.request_transfer(&c.participant("p"), &p.address, &agreement, "HttpData-PULL", None).await.is_ok(), "the consumer does not know yet");
    assert!(p.connector.agreement(&agreement).await.expect("read").expect("there").ended.is_some());
    assert!(p.hub.licence(&iri(&agreement)).await.expect("read").expect("there").ended.is_some());
    for path in ["/contractdefinitions/air", "/policydefinitions/anyone", &format!("/assets/{AIR}")] {
        assert_eq!(wire.delete(path).await, (200, json!({})), "{path}");
        let (status, said) = wire.get(path).await;
        assert_eq!((status, &said[0]["type"]), (404, &json!("not-found")), "{path}");
    }
}

#[tokio::test]
async fn an_asset_that_is_made_anew_revives_no_agreement() {
    let (p, c) = both().await;
    let wire = p.managed();
    // An agreement about a configured dataset, which then goes, while nothing runs under it.
    let done = negotiated(&c, &p.address, offered(&c, &p, "urn:dataset:configured").await, Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized));
    let agreement = agreements(&p).await.swap_remove(0);
    let mut config = (*p.connector.config()).clone();
    config.offers.clear();
    p.connector.replace(config, std::sync::Arc::new(StaticIdentity::new([("c".to_owned(), token("c", "p"))])));
    assert!(p.connector.agreement(&agreement).await.expect("read").expect("there").ended.is_none());
    wire.make("/assets", asset("urn:dataset:configured", "stations")).await;
    assert!(p.connector.agreement(&agreement).await.expect("read").expect("there").ended.is_some());
}

#[tokio::test]
async fn all_of_it_is_there_after_a_restart_and_after_a_reload() {
    let (folder, clock, at, c) = (tempfile::tempdir().expect("a folder"), Clock::system(), free(), free());
    let setup = || {
        let mut setup = provider(at, c, &clock);
        let mut store = None;
        for _ in 0..500 {
            store = Store::open(folder.path(), clock.clone()).ok();
            if store.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        setup.store = store.expect("a store");
        setup
    };
    let kinds = ["/assets", "/policydefinitions", "/contractdefinitions", "/secrets"];
    let node = setup().start().await;
    make_air(&node.managed()).await;
    node.managed().make("/secrets", json!({"@id": "s", "value": "v"})).await;
    let mut before = Vec::new();
    for kind in kinds {
        before.push(node.managed().post(&format!("{kind}/request"), &json!({})).await);
    }
    node.hub.store().close().await;
    drop(node);

    let node = setup().start().await;
    for (kind, before) in kinds.iter().zip(&before) {
        assert_eq!(&node.managed().post(&format!("{kind}/request"), &json!({})).await, before, "{kind}");
    }
    assert_eq!(seen(&node, "c").await, sees(&[(AIR, 1)]));

    // Another configuration in force: the offer stays while its route does.
    let identity = || std::sync::Arc::new(StaticIdentity::new([("c".to_owned(), token("c", "p"))]));
    let said = setup_config(at, c, &clock);
    node.connector.replace(said.clone(), identity());
    assert_eq!(seen(&node, "c").await, sees(&[(AIR, 1)]));
    let mut without = said.clone();
    without.routes.retain(|r| r.name != "stations");
    node.connector.replace(without, identity());
    assert_eq!(seen(&node, "c").await, sees(&[]), "the route is gone");
    // It does not hinder other changes, and is still shown as it was defined.
    node.managed().make("/policydefinitions", policy("other", anyone())).await;
    assert_eq!(node.managed().get(&format!("/assets/{AIR}")).await.1["dataAddress"]["route"], "stations");
    let mut personal = said.clone();
    personal.routes.iter_mut().for_each(|r| r.personal = true);
    node.connector.replace(personal, identity());
    assert_eq!(seen(&node, "c").await, sees(&[]), "without a purpose nothing about persons is offered");
    let mut clash = said.clone();
    clash.offers.push(std::sync::Arc::new(waybill_dsp::Offering { to: vec!["d".into()], ..open_offering(AIR) }));
    node.connector.replace(clash, identity());
    assert_eq!(seen(&node, "c").await, sees(&[]), "the configuration has the name now, and offers it to another");
    node.connector.replace(said, identity());
    assert_eq!(seen(&node, "c").await, sees(&[(AIR, 1)]));
}

fn setup_config(at: SocketAddr, c: SocketAddr, clock: &Clock) -> waybill_dsp::DspConfig {
    provider(at, c, clock).config()
}

#[tokio::test]
async fn a_policy_says_who_sees_what_on_which_terms() {
    let (at, c, clock) = (free(), free(), Clock::system());
    let p = provider(at, c, &clock).start().await;
    let wire = p.managed();
    wire.make("/assets", asset(AIR, "stations")).await;
    wire.make("/assets", asset("urn:asset:more", "stations")).await;
    wire.make("/assets", asset(METERS, "meters")).await;
    wire.make("/policydefinitions", policy("anyone", anyone())).await;
    wire.make("/policydefinitions", policy("advice", only(&format!("{ODRL}purpose"), "eq", ADVICE))).await;
    let end = json!({"@value": "2090-01-01T00:00:00Z", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"});
    let mut assigned = only("odrl:dateTime", "lteq", end);
    assigned["assignee"] = "d".into();
    // (what, access policy, what `c` sees, what `d` sees)
    let party = party_of("c").to_string();
    let cases: [(&str, Value, usize, usize); 9] = [
        ("everybody", anyone(), 1, 1),
        ("one, by identifier", only(&format!("{ODRL}recipient"), "eq", "c"), 1, 0),
        ("one, by party", only("odrl:recipient", "eq", party.as_str()), 1, 0),
        ("one, in expanded JSON-LD", expanded("c"), 1, 0),
        ("some", only("odrl:recipient", "isAnyOf", json!(["c", "d"])), 1, 1),
        ("nobody that is known", only("odrl:recipient", "eq", "e"), 0, 0),
        ("the assignee, until a day", assigned, 0, 1),
        ("two that exclude each other", json!({"assignee": "c", "permission": [{"action": "use", "assignee": "d"}]}), 0, 0),
        ("each by its own permission", json!({"permission": [{"action": "use", "assignee": "c"}, {"action": "use", "assignee": "d"}]}), 1, 1),
    ];
    for (what, access, of_c, of_d) in cases {
        wire.make("/policydefinitions", policy("access", access)).await;
        wire.make("/contractdefinitions", contract("one", "access", "advice", about(METERS))).await;
        for (who, count) in [("c", of_c), ("d", of_d)] {
            let expected: Vec<(&str, usize)> = (0..count).map(|_| (METERS, 1)).collect();
            assert_eq!(seen(&p, who).await, sees(&expected), "{what}: {who}");
        }
        wire.delete("/contractdefinitions/one").await;
        assert_eq!(wire.delete("/policydefinitions/access").await.0, 200);
    }

    // Which assets: by identifier and by property; several definitions of one asset are one dataset with several offers.
    let kind = |operator: &str, right: Value| json!([{"operandLeft": "kind", "operator": operator, "operandRight": right}]);
    let selectors: [(&str, Value, &[&str]); 9] = [
        ("a property", kind("=", json!("stations")), &[AIR, "urn:asset:more"]),
        ("not a property", kind("!=", json!("meters")), &[AIR, "urn:asset:more"]),
        ("one of", kind("in", json!(["stations", "x"])), &[AIR, "urn:asset:more"]),
        ("like", json!([{"operandLeft": "id", "operator": "like", "operandRight": "urn:asset:m_re%"}]), &["urn:asset:more"]),
        ("in any case", json!({"operandLeft": "'https://w3id.org/edc/v0.0.1/ns/id'", "operator": "ilike", "operandRight": "%AIR"}), &[AIR]),
        ("two at once", json!([{"operandLeft": "kind", "operator": "=", "operandRight": "stations"}, {"operandLeft": "id", "operator": "=", "operandRight": AIR}]), &[AIR]),
        ("what none has", json!([{"operandLeft": "colour", "operator": "!=", "operandRight": "red"}]), &[]),
        ("expanded", json!([{format!("{EDC}operandLeft"): [{"@value": "kind"}], format!("{EDC}operator"): [{"@value": "="}], format!("{EDC}operandRight"): [{"@value": "stations"}]}]), &[AIR, "urn:asset:more"]),
        ("several identifiers", json!([{"operandLeft": "id", "operator": "in", "operandRight": [{"@value": AIR}]}]), &[AIR]),
    ];
    for (what, selector, wanted) in selectors {
        wire.make("/contractdefinitions", contract("one", "anyone", "anyone", selector)).await;
        let names: Vec<String> = seen(&p, "c").await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(names, wanted, "{what}");
        wire.delete("/contractdefinitions/one").await;
    }
    wire.make("/contractdefinitions", contract("all", "anyone", "advice", json!([]))).await;
    wire.make("/contractdefinitions", contract("air", "anyone", "anyone", about(AIR))).await;
    wire.make("/contractdefinitions", contract("again", "anyone", "anyone", about(AIR))).await;
    assert_eq!(seen(&p, "c").await, sees(&[(AIR, 2), (METERS, 1), ("urn:asset:more", 1)]), "equal terms are one offer");
}

/// A policy as a client writes it that expands what it sends.
fn expanded(who: &str) -> Value {
    json!({
        "@type": [format!("{ODRL}Set")],
        format!("{ODRL}permission"): [{
            format!("{ODRL}action"): [{"@id": format!("{ODRL}use")}],
            format!("{ODRL}constraint"): [{
                format!("{ODRL}leftOperand"): [{"@id": format!("{ODRL}recipient")}],
                format!("{ODRL}operator"): [{"@id": format!("{ODRL}eq")}],
                format!("{ODRL}rightOperand"): [{"@value": who}],
            }],
        }],
    })
}

#[tokio::test]
async fn what_a_policy_says_beside_its_purpose_is_in_the_agreement() {
    let (p, c) = both().await;
    let wire = p.managed();
    wire.make("/assets", asset(AIR, "stations")).await;
    wire.make("/policydefinitions", policy("anyone", anyone())).await;
    let end = json!({"leftOperand": "odrl:dateTime", "operator": "lteq", "rightOperand": {"@value": "2090-01-01T00:00:00Z", "@type": "http://www.w3.org/2001/XMLSchema#dateTime"}});
    let terms = json!({
        "permission": [{"action": "odrl:use", "constraint": [{"and": [end]}], "duty": [{"action": "inform"}]}],
        "prohibition": [{"action": "distribute"}], "obligation": [{"action": {"@id": "odrl:delete"}}],
    });
    wire.make("/policydefinitions", policy("terms", terms)).await;
    wire.make("/contractdefinitions", contract("air", "anyone", "terms", about(AIR))).await;
    let done = negotiated(&c, &p.address, offered(&c, &p, AIR).await, Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
    let agreement = done.agreement.expect("agreed");
    let action = |pointer: &str| agreement.pointer(pointer).and_then(Value::as_str).map(|a| a.trim_start_matches(ODRL).to_owned());
    for (pointer, name) in [("/permission/0/duty/0/action", "inform"), ("/prohibition/0/action", "distribute"), ("/obligation/0/action", "delete")] {
        assert_eq!(action(pointer).as_deref(), Some(name), "{agreement}");
    }
    let kept = p.connector.agreement(agreement["@id"].as_str().expect("an id")).await.expect("read").expect("there");
    assert_eq!(kept.until.map(|t| t.to_string()).as_deref(), Some("2090-01-01T00:00:00Z"));

    // Who asks for less than the terms is refused, as for what is configured.
    let mut weaker = offered(&c, &p, AIR).await;
    weaker.as_object_mut().expect("an offer").remove("prohibition");
    let done = negotiated(&c, &p.address, weaker, Strategy::Automatic).await;
    assert_eq!((done.state, crate::deals::code(&done)), (Some(NegotiationState::Terminated), "offer-weakened"));

    // What is shown can be put back as it is.
    let (_, shown) = wire.get("/policydefinitions/terms").await;
    assert_eq!(wire.put("/policydefinitions/terms", &shown).await, (200, json!({})), "{shown}");
    assert_eq!(wire.get("/policydefinitions/terms").await.1, shown);
    for path in ["/assets/urn:asset:air", "/contractdefinitions/air"] {
        let (_, shown) = wire.get(path).await;
        assert_eq!(wire.put(path.rsplit_once('/').expect("a path").0, &shown).await, (200, json!({})), "{shown}");
        assert_eq!(wire.get(path).await.1, shown);
    }
    let kept = p.connector.agreement(agreement["@id"].as_str().expect("an id")).await.expect("read").expect("there");
    assert!(kept.ended.is_none(), "nothing changed for anybody");

    // An access policy says who, and nothing that it would then not hold anybody to.
    let (status, said) = wire.post("/contractdefinitions", &contract("other", "terms", "anyone", about(AIR))).await;
    assert_eq!((status, &said[0]["type"]), (400, &json!("policy-not-kept")), "{said}");
    let (status, said) = wire.post("/contractdefinitions", &contract("other", "terms", "anyone", about("nothing yet"))).await;
    assert_eq!((status, &said[0]["type"]), (400, &json!("policy-not-kept")), "whether it selects anything now or not: {said}");
    // Nor does a policy in use come to say more.
    let more = json!({"permission": [{"action": "use", "duty": [{"action": "inform"}]}]});
    let (status, said) = wire.put("/policydefinitions/anyone", &policy("anyone", more)).await;
    assert_eq!((status, &said[0]["type"]), (400, &json!("policy-not-kept")), "{said}");
}

#[tokio::test]
async fn data_about_persons_is_offered_for_purposes_and_had_by_consent() {
    let clock = Clock::system();
    let (p, c) = both_at(&clock).await;
    let wire = p.managed();
    let people = People::at(&p, &clock);
    people.meter("urn:meter:1").await;
    people.bind("urn:meter:1", "https://eve.example/#me").await;
    wire.make("/assets", asset(METERS, "meters")).await;
    wire.make("/policydefinitions", policy("anyone", anyone())).await;
    let (status, said) = wire.post("/contractdefinitions", &contract("meters", "anyone", "anyone", about(METERS))).await;
    assert_eq!((status, &said[0]["type"]), (400, &json!("offer-without-purpose")), "{said}");
    wire.make("/policydefinitions", policy("advice", only("odrl:purpose", "eq", ADVICE))).await;
    wire.make("/contractdefinitions", contract("meters", "anyone", "advice", about(METERS))).await;
    // A policy that is in use does not become one that would offer without a purpose.
    let (status, said) = wire.put("/policydefinitions/advice", &policy("advice", anyone())).await;
    assert_eq!((status, &said[0]["type"]), (400, &json!("offer-without-purpose")), "{said}");

    let offer = offered(&c, &p, METERS).await;
    let purpose = &offer["permission"][0]["constraint"][0];
    assert_eq!((&purpose["operator"], &purpose["rightOperand"]), (&json!("eq"), &json!(ADVICE)), "as it was meant: {offer}");
    let done = negotiated(&c, &p.address, offer, Strategy::Automatic).await;
    assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
    let agreement = agreements(&p).await.swap_remove(0);
    let licence = p.hub.licence(&iri(&agreement)).await.expect("read").expect("licensed");
    assert_eq!((licence.purposes, licence.open, licence.pairwise), (vec![iri(ADVICE)], false, true));
    let id = c.connector.request_transfer(&c.participant("p"), &p.address, &agreement, "HttpData-PULL", None).await.expect("begun");
    assert!(eventually(async || state(&c, &id).await == Some(TransferState::Started)).await);
    let address = c.connector.transfer(&id).await.expect("read").expect("there").address.expect("an address");
    let caller = p.connector.resolve(address.property("authorization").expect("a token")).await.expect("known").expect("good");
    assert_eq!(people.seen(&caller).await, Vec::<String>::new(), "she said nothing yet");
    people.says("https://eve.example/#me", "given", &party_of("c")).await;
    assert_eq!(people.seen(&caller).await.len(), 1);

    // Another purpose than the one that was agreed to: the agreement is over.
    wire.make("/policydefinitions", policy("research", only("odrl:purpose", "isA", "https://w3id.org/waybill/purpose#EnergyBalance"))).await;
    assert_eq!(wire.put("/contractdefinitions", &contract("meters", "anyone", "research", about(METERS))).await.0, 200);
    assert!(p.connector.agreement(&agreement).await.expect("read").expect("there").ended.is_some());
    assert_eq!(people.seen(&caller).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_defined_is_found_by_query_in_both_versions() {
    let (at, c, clock) = (free(), free(), Clock::system());
    let p = provider(at, c, &clock).start().await;
    let wire = p.managed();
    for n in ["b", "a", "c"] {
        let mut made = asset(n, "stations");
        made["properties"]["rank"] = json!(n.bytes().next());
        wire.make("/assets", made).await;
    }
    let configured = "urn:dataset:configured";
    let cases: [(&str, Value, &[&str]); 10] = [
        ("all", json!({}), &[configured, "a", "b", "c"]),
        ("by name", json!({"sortField": "id"}), &["a", "b", "c", configured]),
        ("backwards", json!({"sortField": "id", "sortOrder": "DESC"}), &[configured, "c", "b", "a"]),
        ("by number, what lacks it last", json!({"sortField": "rank", "sortOrder": "DESC"}), &["c", "b", "a", configured]),
        ("a page", json!({"@type": "QuerySpec", "offset": 1, "limit": 2}), &["a", "b"]),
        ("behind the end", json!({"offset": 9}), &[]),
        ("one", json!({"filterExpression": [{"operandLeft": "id", "operator": "=", "operandRight": "b"}]}), &["b"]),
        ("by a property", json!({"filterExpression": [{"operandLeft": format!("{EDC}rank"), "operator": "in", "operandRight": [97, 99]}]}), &["a", "c"]),
        ("by a path", json!({"filterExpression": [{"operandLeft": "dataAddress.route", "operator": "like", "operandRight": "stat%"}], "limit": 1}), &["a"]),
        ("none", json!({"filterExpression": [{"operandLeft": "x", "operator": "=", "operandRight": "b"}]}), &[]),
    ];
    for (what, query, wanted) in cases {
        for version in ["v3", "v4"] {
            let wire = wire.at(&format!("{}/management/{version}", p.url));
            assert_eq!(found(&wire, "/assets/request", &query).await, wanted, "{what} in {version}");
        }
    }
    let (status, all) = wire.send(Method::POST, "/assets/request", "", Vec::new()).await;
    assert_eq!((status, all.as_array().map(Vec::len)), (200, Some(4)), "no body at all");
    let (_, one) = wire.get("/assets/a").await;
    assert_eq!(one["properties"], json!({"id": "a", "name": "A name", "kind": "stations", "rank": 97}));
    assert_eq!((&one["dataAddress"]["type"], &one["dataAddress"]["route"]), (&json!("WaybillRoute"), &json!("stations")));
    // Whoever is not the operator sees and changes nothing.
    for (token, status) in [("", 401), (token("c", "p").as_str(), 401), ("nonsense", 401)] {
        let other = client_wire(&wire.base, token);
        for answer in [other.get("/assets/a").await, other.delete("/assets/a").await, other.post("/assets", &asset("x", "stations")).await] {
            assert_eq!(answer.0, status, "{}", answer.1);
            assert!(!answer.1.is_null(), "a body in any case");
        }
    }
}
