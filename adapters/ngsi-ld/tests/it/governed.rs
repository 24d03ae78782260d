//! What may be written over what another hub sent, and who may say what an entity is: the server against a real engine.

use serde_json::{Value, json};
use std::sync::Arc;
use waybill_context::Contexts;
use waybill_exchange::{Change, Hub};
use waybill_gate::{Agreement, Class, ClassRule, Governance, HolderClass};
use waybill_http::{Authenticator, Method, Registration, Role, ServerConfig, ServerHandle, StaticToken, serve};
use waybill_model::{Clock, DEFAULT_VOCAB, DateTime, EntityDoc, EnvelopeHash, Iri, Principal, Scope, TAG_NAME, TenantId};
use waybill_ngsi_ld::Engine;

const ID: &str = "urn:meter:1";
const ENVELOPE: EnvelopeHash = EnvelopeHash([7; 32]);
const LEAF: [u8; 32] = [8; 32];

fn iri(text: &str) -> Iri {
    Iri::new(text).expect("an IRI")
}
fn term(name: &str) -> String {
    format!("{DEFAULT_VOCAB}{name}")
}
fn property(value: impl Into<Value>) -> Value {
    json!({ "type": "Property", "value": value.into() })
}
/// As a reader finds it at a value that came under an envelope.
fn tag() -> Value {
    json!({ "type": "Relationship", "object": format!("https://a.example/env/{ENVELOPE}") })
}

/// A hub over its interface, with an operator and a party that may write. `model` of a `Meter` or a `Sensor` is open.
struct Town {
    hub: Hub,
    server: ServerHandle,
    client: waybill_http::Client,
}

impl Town {
    async fn new() -> Self {
        let clock = Clock::fixed(DateTime::parse(crate::wire::NOW).expect("a time"));
        let mut governance = Governance::bare("https://b.example").expect("governance");
        for ty in ["Meter", "Sensor"] {
            governance.classes.push(ClassRule { types: vec![iri(&term(ty))], attributes: vec![iri(&term("model"))], class: Class::Open });
        }
        let writer = iri("https://w.example/#party");
        governance.agreements.push(Agreement { id: iri("urn:agreement:w"), recipient: Some(writer.clone()), purposes: Vec::new(), open: true, holder: HolderClass::Plain, hub: None, write: true });
        let hub = Hub::open(waybill_store::Store::memory(clock.clone()).expect("a store"), governance, clock.clone()).await.expect("a hub");
        let router = waybill_ngsi_ld::routes(Arc::new(Engine::new(hub.clone(), Contexts::offline(clock.clone()), "b")));
        let tokens = [StaticToken::operator("operator-0123456789", "operator"), StaticToken::new("writer-0123456789", Registration::new("static", "w", Role::Party(writer)))];
        let server = serve(ServerConfig::new(([127, 0, 0, 1], 0).into()), router, Authenticator::closed().with_tokens(tokens), clock.clone()).await.expect("a server");
        let allow: waybill_http::Cidr = "127.0.0.0/8".parse().expect("a range");
        let client = waybill_http::Client::new(waybill_http::ClientConfig::new(clock).guard(waybill_http::Guard::allowing([waybill_http::Allow::Range(allow)]))).expect("a client");
        Self { hub, server, client }
    }

    /// With a meter whose power came from another hub, and whose model is the city's own.
    async fn with_meter() -> Self {
        let town = Self::new().await;
        town.put(&["Meter"], &[("power", "{\"type\":\"Property\",\"value\":7.0}", true), ("model", "{\"type\":\"Property\",\"value\":\"x\"}", false)]).await;
        town
    }

    async fn put(&self, types: &[&str], attributes: &[(&str, &str, bool)]) {
        let types: Vec<String> = types.iter().map(|t| term(t)).collect();
        let members: Vec<String> = attributes.iter().map(|(name, instance, _)| format!(",\"{}\":[{instance}]", term(name))).collect();
        let text = format!("{{\"id\":\"{ID}\",\"type\":{}{}}}", json!(types), members.concat());
        let mut doc = EntityDoc::parse(text, self.hub.clock().now()).expect("canonical");
        for (span, (_, _, came)) in doc.spans_mut().iter_mut().zip(attributes) {
            (span.envelope, span.leaf) = (came.then_some(ENVELOPE), came.then_some(LEAF));
        }
        let operator = Scope { principal: Principal::Operator("test".into()), ..Scope::anonymous(TenantId::main()) };
        self.hub.modify(&operator, &iri(ID), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
    }

    async fn held(&self) -> Option<EntityDoc> {
        self.hub.store().read(|r| r.entity(&TenantId::main(), ID)).await.expect("read")
    }
    /// The text of an Attribute, and the envelope and leaf it lies under.
    async fn power(&self) -> Option<(String, Option<EnvelopeHash>, Option<[u8; 32]>)> {
        let doc = self.held().await?;
        let span = doc.instances_of(&term("power")).next()?.clone();
        Some((doc.instance(&span).to_owned(), span.envelope, span.leaf))
    }

    /// The status and code of an answer to the operator, or to the party that may write.
    async fn ask(&self, operator: bool, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        let url = format!("http://{}/ngsi-ld/v1{path}", self.server.addr);
        let token = if operator { "operator-0123456789" } else { "writer-0123456789" };
        let mut out = waybill_http::OutRequest::new(method, url);
        if let Some(body) = body {
            out = out.header(waybill_http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = self.client.send(out.header(waybill_http::header::AUTHORIZATION, format!("Bearer {token}"))).await.expect("an answer");
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// The power as it came.
fn under() -> (String, Option<EnvelopeHash>, Option<[u8; 32]>) {
    ("{\"type\":\"Property\",\"value\":7.0}".to_owned(), Some(ENVELOPE), Some(LEAF))
}

#[tokio::test]
async fn what_is_read_and_written_back_stays_under_its_envelope() {
    // As a reader finds it: with its tag, also at the entity, and its numbers as another program writes them.
    let mut power = property(7);
    power[TAG_NAME] = tag();
    let mut model = property("x");
    model[TAG_NAME] = tag();
    let whole = json!({ "id": ID, "type": "Meter", "power": power, "model": model, TAG_NAME: tag() });
    let (one, list) = (format!("/entities/{ID}"), json!([whole]));
    let fragment = json!({ "power": power });
    for operator in [true, false] {
        for (method, path, body) in [
            (Method::PUT, one.clone(), whole.clone()), (Method::PATCH, one.clone(), fragment.clone()), (Method::POST, format!("{one}/attrs"), fragment.clone()), (Method::PATCH, format!("{one}/attrs"), fragment.clone()),
            (Method::PATCH, format!("{one}/attrs/power"), power.clone()), (Method::PUT, format!("{one}/attrs/power"), power.clone()), (Method::POST, "/entityOperations/upsert".into(), list.clone()),
            (Method::POST, "/entityOperations/update".into(), list.clone()), (Method::POST, "/entityOperations/merge".into(), list.clone()),
        ] {
            let town = Town::with_meter().await;
            let (status, code) = town.ask(operator, method.clone(), &path, Some(body)).await;
            assert!(matches!(status, 200..=299), "{method} {path}: {status} {code}");
            assert_eq!(town.power().await, Some(under()), "{method} {path}");
            assert!(!town.held().await.expect("there").text().contains(TAG_NAME), "{method} {path}: a tag is made at the gate and nowhere else");
        }
    }
}

#[tokio::test]
async fn a_tag_is_nothing_that_a_writer_gives() {
    let town = Town::new().await;
    let mut model = property("x");
    model[TAG_NAME] = tag();
    let body = json!({ "id": ID, "type": "Meter", "model": model, TAG_NAME: tag() });
    for path in ["/entities", "/entityOperations/create", "/entityOperations/upsert"] {
        let body = if path == "/entities" { body.clone() } else { json!([body]) };
        assert_eq!(town.ask(true, Method::POST, path, Some(body)).await.0, 201, "{path}");
        let held = town.held().await.expect("made");
        assert!(held.text().contains("\"x\"") && !held.text().contains(TAG_NAME), "{path}: {}", held.text());
        assert_eq!(town.ask(true, Method::DELETE, &format!("/entities/{ID}"), None).await.0, 204);
    }
}

#[tokio::test]
async fn a_value_under_an_envelope_is_not_overwritten() {
    let one = format!("/entities/{ID}");
    let (other, list) = (json!({ "power": property(8) }), json!([{ "id": ID, "type": "Meter", "power": property(8) }]));
    for operator in [true, false] {
        let town = Town::with_meter().await;
        for (method, path, body) in [
            (Method::PUT, one.clone(), list[0].clone()), (Method::PATCH, one.clone(), other.clone()), (Method::POST, format!("{one}/attrs"), other.clone()), (Method::PATCH, format!("{one}/attrs"), other.clone()),
            (Method::PATCH, format!("{one}/attrs/power"), property(8)), (Method::PUT, format!("{one}/attrs/power"), property(8)),
        ] {
            assert_eq!(town.ask(operator, method.clone(), &path, Some(body)).await, (409, "value-under-envelope".into()), "{method} {path}");
        }
        assert_eq!(town.ask(operator, Method::POST, "/entityOperations/upsert", Some(list.clone())).await.0, 207);
        // Beside it, everything goes on.
        assert_eq!(town.ask(operator, Method::PATCH, &format!("{one}/attrs/model"), Some(property("y"))).await.0, 204);
        assert_eq!(town.power().await, Some(under()));
    }
}

#[tokio::test]
async fn a_value_under_an_envelope_is_taken_away_by_the_operator_alone() {
    let one = format!("/entities/{ID}");
    let without = json!({ "id": ID, "type": "Meter", "model": property("x") });
    let ways = [(Method::DELETE, one.clone(), None), (Method::DELETE, format!("{one}/attrs/power"), None), (Method::PATCH, one.clone(), Some(json!({ "power": "urn:ngsi-ld:null" }))), (Method::PUT, one.clone(), Some(without))];
    for (method, path, body) in ways {
        let town = Town::with_meter().await;
        assert_eq!(town.ask(false, method.clone(), &path, body.clone()).await, (409, "value-under-envelope".into()), "{method} {path}");
        assert_eq!(town.power().await, Some(under()));
        assert_eq!(town.ask(true, method.clone(), &path, body).await.0, 204, "{method} {path}");
        assert_eq!(town.power().await, None, "{method} {path}");
    }
}

#[tokio::test]
async fn what_an_entity_with_personal_data_is_the_operator_says() {
    let one = format!("/entities/{ID}");
    let (value, model) = ("{\"type\":\"Property\",\"value\":7.0}", "{\"type\":\"Property\",\"value\":\"x\"}");
    let (power, open) = (("power", value, false), ("model", model, false));
    let came = ("model", model, true);
    let whole = |ty: &str| json!({ "id": ID, "type": ty, "power": property(7.0), "model": property("x") });
    // What is held, what the party sends, and whether it may. A grant on buildings would reach the meter; without the person's type its
    // model would be open.
    for (types, held, method, path, body, may) in [
        (&["Meter"][..], vec![power, open], Method::PATCH, one.clone(), json!({ "type": "Building" }), false),
        (&["Meter"], vec![power, open], Method::POST, format!("{one}/attrs"), json!({ "type": ["Meter", "Sensor"], "x": property(1) }), false),
        (&["Meter"], vec![power, open], Method::PUT, one.clone(), whole("Building"), false),
        (&["Meter", "Person"], vec![power, open], Method::PUT, one.clone(), whole("Meter"), false),
        (&["Meter"], vec![came], Method::PATCH, one.clone(), json!({ "type": "Sensor" }), false),
        (&["Meter"], vec![open], Method::PATCH, one.clone(), json!({ "type": "Building" }), false),
        (&["Meter"], vec![open], Method::PATCH, one.clone(), json!({ "type": "Sensor" }), true),
        (&["Meter"], vec![], Method::PATCH, one.clone(), json!({ "type": "Building" }), true),
        (&["Meter"], vec![power, open], Method::PUT, one.clone(), whole("Meter"), true),
        (&["Meter"], vec![power, open], Method::PATCH, one.clone(), json!({ "type": "Meter", "model": property("y") }), true),
    ] {
        let town = Town::new().await;
        town.put(types, &held).await;
        let (status, code) = town.ask(false, method.clone(), &path, Some(body.clone())).await;
        assert_eq!((matches!(status, 200..=299), code.as_str()), (may, if may { "" } else { "types-not-agreed" }), "{types:?} {held:?} {method} {body}: {status}");
        assert_eq!(town.ask(true, method, &path, Some(body)).await.0, 204, "the operator may");
    }
}
