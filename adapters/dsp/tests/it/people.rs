//! People whose data a hub holds, and what they say.

use crate::deals::ADVICE;
use crate::support::{Node, iri, party_of};
use serde_json::json;
use waybill_consent::{Binding, EvidenceKind, GrantDocument, Observed, Rule, Target, Validity};
use waybill_exchange::{Change, Hub};
use waybill_http::Caller;
use waybill_model::{Clock, EntityDoc, Iri, Principal, Scope, TenantId};
use waybill_query::{EntityQuery, TypeSelection};

pub const METER: &str = "https://w3id.org/example/SmartMeter";
const POWER: &str = "https://w3id.org/example/power";

/// The people of one hub.
pub struct People {
    hub: Hub,
    clock: Clock,
}

struct AsIs;
impl waybill_query::Expander for AsIs {
    fn expand(&self, term: &str) -> String {
        format!("https://w3id.org/example/{term}")
    }
}

impl People {
    pub fn at(node: &Node, clock: &Clock) -> Self {
        Self { hub: node.hub.clone(), clock: clock.clone() }
    }

    pub async fn meter(&self, id: &str) {
        let text = format!("{{\"id\":\"{id}\",\"type\":[\"{METER}\"],\"{POWER}\":[{{\"type\":\"Property\",\"value\":7}}]}}");
        let doc = EntityDoc::parse(text, self.clock.now()).expect("canonical");
        let operator = Scope { principal: Principal::Operator("test".into()), ..Scope::anonymous(TenantId::main()) };
        self.hub.modify(&operator, &iri(id), |_| Ok(Change::Put(doc.clone(), ()))).await.expect("written");
    }

    pub async fn bind(&self, entity: &str, person: &str) {
        let binding = Binding { target: Target::Entity(iri(entity)), subject: iri(person), validity: Validity::default(), asserted_by: party_of("p"), evidence: "contract".into(), rule: Rule::All };
        self.hub.bind(&TenantId::main(), &binding).await.expect("bound");
    }

    /// What a person says of the one purpose and `recipient`: `given`, `withdrawn`.
    pub async fn says(&self, person: &str, state: &str, recipient: &Iri) {
        self.clock.advance_micros(60_000_000);
        let text = json!({
            "type": "ConsentGrant", "subject": person, "state": state, "stated": self.clock.now(),
            "notice": {"uri": "https://p.example/notice", "language": "en", "textHash": "00"},
            "controller": {"id": party_of("p"), "name": "City P", "address": "1 Main Street", "contact": "privacy@p.example", "country": "BE"},
            "recipients": [{"id": recipient, "name": "Recipient", "address": "2 Main Street", "contact": "privacy@c.example", "country": "BE"}],
            "until": "2098-06-30T00:00:00Z", "purposes": [ADVICE], "label": {"en": "Advice on saving energy"}, "data": [{"attribute": POWER, "precision": "exact"}],
            "storage": {"locations": ["EU"], "retention": "P1Y"}, "jurisdiction": "BE",
            "withdrawal": {"uri": "https://p.example/withdraw", "method": "in your pod"},
        })
        .to_string();
        let document = GrantDocument::parse(text.as_bytes()).expect("a grant document");
        let seen = Observed {
            source: iri(&format!("{}/consents/energy", person.trim_end_matches("/#me"))),
            etag: None,
            hash: waybill_keys::hex(&waybill_keys::sha256(text.as_bytes())),
            author: iri(person),
            kind: EvidenceKind::AccessRules,
            access_rules: Some("00".into()),
            received: self.clock.now(),
        };
        let granted = self.hub.take_grant_document(&TenantId::main(), &document, &seen).await.expect("taken");
        assert!(granted.state.as_ref().is_none_or(|s| s.missing.is_empty()), "a draft: {:?}", granted.state);
    }

    /// The meters that a caller sees now.
    pub async fn seen(&self, caller: &Caller) -> Vec<String> {
        let scope = caller.scope(TenantId::main()).expect("a scope");
        let query = EntityQuery::of_types(TypeSelection::parse("SmartMeter", &AsIs).expect("types"));
        let page = self.hub.query(&scope, query, |_| true).await.expect("a page");
        page.get().entities.iter().map(|e| e.id().to_owned()).collect()
    }
}
