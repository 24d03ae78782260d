//! Negotiations, agreements and transfers, as the management interface shows and drives them.

use super::body::whole;
use super::query::Query;
use super::{Answered, body, created, millis, text, typed};
use crate::config::{Participant, Strategy};
use crate::connector::Connector;
use crate::decode::DataAddress;
use crate::fault::Fault;
use crate::inline::inline;
use crate::machine::{Role, TransferState};
use crate::ns::{canonical_policy, local, plain};
use crate::process::{Agreed, Failure, Negotiation, Transfer};
use crate::vocab::{EDC, HTTP_ENDPOINT};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use waybill_exchange::Ledger;
use waybill_http::Request;

fn side(role: Role) -> &'static str {
    match role {
        Role::Consumer => "CONSUMER",
        Role::Provider => "PROVIDER",
    }
}

pub(super) fn negotiation_view(n: &Negotiation) -> Value {
    let agreement = n.agreement.as_ref().map(|a| a["@id"].clone()).unwrap_or_default();
    let mut out = typed(
        "ContractNegotiation",
        &[
            ("@id", n.talk.id.as_str().into()),
            ("type", side(n.talk.role).into()),
            ("protocol", "dataspace-protocol-http:2025-1".into()),
            ("state", n.shown().as_str().into()),
            ("counterPartyId", n.talk.participant.as_str().into()),
            ("counterPartyAddress", n.talk.address.as_str().into()),
            ("callbackAddresses", json!([])),
            ("createdAt", millis(n.talk.created_at).into()),
            ("assetId", n.dataset.as_str().into()),
        ],
    );
    if !agreement.is_null() {
        out["contractAgreementId"] = agreement;
    }
    with_talk(&mut out, n.talk.peer_pid.as_deref(), n.talk.failure.as_ref(), n.talk.waits_for.as_deref());
    out
}

pub(super) fn transfer_view(t: &Transfer) -> Value {
    let mut out = typed(
        "TransferProcess",
        &[
            ("@id", t.talk.id.as_str().into()),
            ("type", side(t.talk.role).into()),
            ("state", t.shown().as_str().into()),
            ("stateTimestamp", millis(t.talk.modified_at).into()),
            ("callbackAddresses", json!([])),
            ("assetId", t.dataset.as_str().into()),
            ("contractId", t.agreement.as_str().into()),
            ("transferType", t.format.as_str().into()),
        ],
    );
    with_talk(&mut out, t.talk.peer_pid.as_deref(), t.talk.failure.as_ref(), t.talk.waits_for.as_deref());
    out
}

fn with_talk(out: &mut Value, peer: Option<&str>, failure: Option<&Failure>, waits_for: Option<&str>) {
    if let Some(peer) = peer {
        out["correlationId"] = peer.into();
    }
    if let Some(failure) = failure {
        out["errorDetail"] = format!("{}: {}", failure.code, failure.reason).into();
    }
    if let Some(state) = waits_for {
        out["waitsFor"] = state.into();
    }
}

/// What can be fetched now, and under what; nothing of a transfer that has no address.
pub(super) fn edr_view(t: &Transfer) -> Value {
    if t.talk.role != Role::Consumer || t.state != Some(TransferState::Started) || t.address.is_none() {
        return Value::Null;
    }
    typed(
        "EndpointDataReferenceEntry",
        &[
            ("@id", t.talk.id.as_str().into()),
            ("transferProcessId", t.talk.id.as_str().into()),
            ("agreementId", t.agreement.as_str().into()),
            ("assetId", t.dataset.as_str().into()),
            ("providerId", t.talk.participant.as_str().into()),
            ("createdAt", millis(t.talk.created_at).into()),
        ],
    )
}

pub(super) fn address_view(address: &DataAddress) -> Value {
    let mut out = typed("DataAddress", &[("type", address.endpoint_type.as_str().into()), ("endpointType", HTTP_ENDPOINT.into())]);
    for (name, value) in &address.properties {
        out[name.strip_prefix(EDC).unwrap_or(name)] = value.as_str().into();
    }
    if let Some(endpoint) = address.address() {
        out["endpoint"] = endpoint.into();
    }
    out
}

impl Connector {
    /// The counterpart that a management call names, and its address.
    fn counterpart(&self, map: &Map<String, Value>) -> Result<(Arc<Participant>, String), Fault> {
        let config = self.config();
        let address = text(map, "counterPartyAddress")?;
        let by_id = map.get("counterPartyId").and_then(plain).and_then(|id| config.participant(id));
        let found = by_id.or_else(|| config.at(address)).or_else(|| config.participants.iter().find(|p| p.owns(address)));
        let who = found.ok_or_else(|| Fault::new(400, "unknown-participant", "/counterPartyId", "this participant is not registered here: add a [[participant]]"))?;
        Ok((who.clone(), address.trim_end_matches('/').to_owned()))
    }

    pub(super) async fn manage_catalog(&self, request: &Request, one: bool) -> Answered {
        let map = body(request)?;
        let (who, address) = self.counterpart(&map)?;
        let found = if one { self.fetch_dataset(&who, &address, text(&map, "@id")?).await } else { self.fetch_catalog(&who, &address).await };
        found.map(inline)
    }

    pub(super) async fn manage_negotiate(&self, request: &Request) -> Answered {
        let map = body(request)?;
        let (who, address) = self.counterpart(&map)?;
        let policy = map.get("policy").ok_or_else(|| Fault::bad("/policy", "it is missing"))?;
        let mut offer = canonical_policy(policy, "Offer");
        let bare = ["permission", "prohibition", "obligation"].iter().all(|rules| offer.get(*rules).is_none());
        if let (true, Some(target)) = (bare, offer.get("target").and_then(plain).map(str::to_owned)) {
            // Only the offer is named: what it says is asked where it is made.
            let dataset = self.fetch_dataset(&who, &address, &target).await?;
            let made = dataset["hasPolicy"].as_array().and_then(|all| all.iter().find(|o| o["@id"] == offer["@id"]).cloned());
            offer = made.ok_or_else(|| Fault::new(400, "offer-not-found", "/policy/@id", "the other connector makes no such offer for this dataset"))?;
            offer["target"] = target.into();
        }
        let manual = map.get("strategy").and_then(Value::as_str) == Some("manual");
        let id = self.negotiate(&who, &address, offer, if manual { Strategy::Manual } else { Strategy::Automatic }).await?;
        Ok(created(&id, self.now()))
    }

    pub(super) async fn manage_offer(&self, request: &Request) -> Answered {
        let map = body(request)?;
        let config = self.config();
        let who = config.participant(text(&map, "counterPartyId")?).ok_or_else(Fault::missing)?;
        let id = self.offer_to(who, text(&map, "assetId")?, text(&map, "offerId")?).await?;
        Ok(created(&id, self.now()))
    }

    pub(super) async fn manage_transfer(&self, request: &Request) -> Answered {
        let map = body(request)?;
        let (who, address) = self.counterpart(&map)?;
        let format = text(&map, "transferType")?;
        let data = map.get("dataDestination").and_then(Value::as_object).filter(|d| !d.is_empty()).map(|d| {
            let mut endpoint_type = HTTP_ENDPOINT.to_owned();
            let mut properties = Vec::new();
            for (name, value) in d {
                match (local(name), plain(value)) {
                    ("@type", _) | (_, None) => {}
                    ("type", Some(kind)) => kind.clone_into(&mut endpoint_type),
                    (name, Some(value)) => properties.push((format!("{EDC}{name}"), value.to_owned())),
                }
            }
            let mut address = DataAddress { endpoint_type, endpoint: None, properties };
            address.endpoint = address.address().map(str::to_owned);
            address
        });
        if let Some(data) = &data {
            super::secrets::check_destination(self, data)?;
        }
        let id = self.request_transfer(&who, &address, text(&map, "contractId")?, format, data).await?;
        Ok(created(&id, self.now()))
    }

    pub(super) async fn manage_act(&self, request: &Request, act: &'static str, negotiation: bool) -> Answered {
        let map = if request.body.is_empty() { Map::new() } else { body(request)? };
        let reason = map.get("reason").and_then(plain).map(|r| r.chars().take(1000).collect::<String>());
        let id = request.param("id");
        let role = if negotiation { self.negotiation(id).await?.map(|n| n.talk.role) } else { self.transfer(id).await?.map(|t| t.talk.role) };
        let role = role.ok_or_else(Fault::missing)?;
        let why = reason.map(|reason| Failure { code: "operator".into(), reason, side: role });
        if negotiation {
            self.act_in_negotiation(id, act, why).await?;
        } else {
            self.act_in_transfer(id, act, why).await?;
        }
        Ok(Value::Null)
    }

    pub(super) async fn manage_list<T: serde::de::DeserializeOwned>(&self, request: &Request, ledger: Ledger, show: impl Fn(&T) -> Value) -> Answered {
        let query = Query::read(if request.body.is_empty() { Map::new() } else { whole(request)? })?;
        let (mut found, mut after) = (Vec::new(), None::<String>);
        // In the order of the ledger the page is complete as soon as it is full.
        while query.is_sorted() || found.len() < query.offset.saturating_add(query.limit) {
            let page = ledger.list::<T>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            found.extend(page.iter().map(|entry| show(&entry.state)).filter(|view| !view.is_null() && query.fits(view)));
        }
        Ok(query.page(found))
    }

    /// The negotiation in which an agreement was made.
    pub(super) async fn manage_agreed_in(&self, request: &Request) -> Answered {
        let mut after = None::<String>;
        loop {
            let page = self.negotiations().list::<Negotiation>(500, after.as_deref()).await?;
            let last = page.last().ok_or_else(Fault::missing)?;
            after = Some(last.id.clone());
            let found = page.iter().find(|e| e.state.agreement.as_ref().is_some_and(|a| a["@id"] == request.param("id")));
            if let Some(found) = found {
                return Ok(negotiation_view(&found.state));
            }
        }
    }

    pub(super) fn agreement_view(&self, agreed: &Agreed) -> Value {
        let own = self.config().participant.clone();
        let (provider, consumer) = if agreed.role == Role::Provider { (own, agreed.participant.clone()) } else { (agreed.participant.clone(), own) };
        let mut out = typed(
            "ContractAgreement",
            &[
                ("@id", agreed.id.as_str().into()),
                ("assetId", agreed.dataset.as_str().into()),
                ("policy", crate::inline::policy(agreed.policy.clone())),
                ("contractSigningDate", agreed.at.seconds().into()),
                ("consumerId", consumer.into()),
                ("providerId", provider.into()),
            ],
        );
        if let Some(ended) = &agreed.ended {
            out["ended"] = ended.reason.as_str().into();
        }
        out
    }
}
