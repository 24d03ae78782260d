//! One hub in memory with one person's consent: what `convert.release` looks through.

use crate::{sample, world};
use serde_json::json;
use waybill_consent::{Binding, EvidenceKind, GrantDocument, Observed, Rule, Target, Validity};
use waybill_context::Context;
use waybill_exchange::Hub;
use waybill_gate::{Agreement, Class, ClassRule, Governance, HolderClass, View};
use waybill_model::{Clock, Iri, Principal, Scope, TenantId};
use waybill_store::Store;

/// The party that is shown the data.
pub const RECIPIENT: &str = "https://b.example/#city";
const PERSON: &str = "https://anna.example/#me";
const PURPOSE: &str = "https://w3id.org/waybill/purpose#EnergyAdvice";
/// Attributes about a person: the first two are in her consent, the others are not.
const PERSONAL: [&str; 4] = ["temperature", "windSpeed", "NO2", "relativeHumidity"];

/// The entity it is measured with.
pub fn entity() -> String {
    sample::entity(1)
}

/// The hub, and what the recipient may see.
pub fn hub(context: &Context) -> Result<(Hub, View), String> {
    let (clock, tenant) = (Clock::fixed(world::now()), TenantId::main());
    let ty = expanded(context, "AirQualityObserved")?;
    let personal = PERSONAL.iter().map(|name| expanded(context, name)).collect::<Result<Vec<_>, _>>()?;
    let mut governance = Governance::bare("https://a.example").map_err(|e| e.to_string())?;
    governance.classes.push(ClassRule { types: vec![ty.clone()], attributes: personal.clone(), class: Class::Personal });
    governance.classes.push(ClassRule { types: vec![ty], attributes: Vec::new(), class: Class::Open });
    governance.agreements.push(Agreement {
        id: iri("urn:agreement:b")?,
        recipient: Some(iri(RECIPIENT)?),
        purposes: vec![iri(PURPOSE)?],
        open: true,
        holder: HolderClass::Plain,
        hub: None,
        write: false,
    });
    let text = json!({
        "type": "ConsentGrant", "subject": PERSON, "state": "given", "stated": world::now(),
        "notice": { "uri": "https://a.example/notice", "language": "en", "textHash": "00" },
        "controller": { "id": "https://a.example/party", "name": "City A", "address": "1 Main Street", "contact": "privacy@a.example", "country": "BE" },
        "recipients": [{ "id": RECIPIENT, "name": "City B", "address": "2 Main Street", "contact": "privacy@b.example", "country": "BE" }],
        "until": "2027-06-30T00:00:00Z", "purposes": [PURPOSE], "label": { "en": "Advice on saving energy" },
        "data": personal[..2].iter().map(|name| json!({ "attribute": name, "precision": "exact" })).collect::<Vec<_>>(),
        "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
        "withdrawal": { "uri": "https://a.example/withdraw", "method": "in your pod" },
    })
    .to_string();
    let document = GrantDocument::parse(text.as_bytes()).map_err(|e| e.to_string())?;
    let seen = Observed {
        source: iri("https://anna.example/consents/energy")?,
        etag: None,
        hash: waybill_keys::hex(&waybill_keys::sha256(text.as_bytes())),
        author: iri(PERSON)?,
        kind: EvidenceKind::AccessRules,
        access_rules: Some("00".into()),
        received: world::now(),
    };
    let id = serde_json::from_str::<serde_json::Value>(&entity()).map_err(|e| e.to_string())?["id"].as_str().unwrap_or_default().to_owned();
    let binding = Binding {
        target: Target::Entity(iri(&id)?),
        subject: iri(PERSON)?,
        validity: Validity::default(),
        asserted_by: iri("https://a.example/party")?,
        evidence: "contract".into(),
        rule: Rule::All,
    };
    let store = Store::memory(clock.clone()).map_err(|e| e.to_string())?;
    let hub = world::runtime()?.block_on(async {
        let hub = Hub::open(store, governance, clock).await.map_err(|e| e.to_string())?;
        hub.bind(&tenant, &binding).await.map_err(|e| e.to_string())?;
        hub.take_grant_document(&tenant, &document, &seen).await.map_err(|e| e.to_string())?;
        Ok::<_, String>(hub)
    })?;
    let recipient = iri(RECIPIENT)?;
    let scope = Scope {
        principal: Principal::Client { client: "app".into(), party: recipient.clone() },
        recipient: Some(recipient),
        purpose: Some(iri(PURPOSE)?),
        ..Scope::anonymous(tenant)
    };
    let view = hub.gate().view(&scope);
    Ok((hub, view))
}

fn iri(text: &str) -> Result<Iri, String> {
    Iri::new(text).map_err(|e| e.to_string())
}

fn expanded(context: &Context, term: &str) -> Result<Iri, String> {
    iri(&context.expand(term))
}
