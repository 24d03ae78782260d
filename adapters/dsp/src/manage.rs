//! The management interface in the manner of the Eclipse EDC, versions 3 and 4: what its clients and dashboards use to ask for catalogues,
//! to negotiate and to transfer. For the operator. What is on offer is said in the city's file, so assets, policies and contract definitions
//! are shown and not made here.

use crate::catalog;
use crate::config::{Participant, Strategy};
use crate::connector::Connector;
use crate::decode::DataAddress;
use crate::fault::Fault;
use crate::machine::Role;
use crate::ns::{canonical_policy, local, plain};
use crate::process::{Agreed, Failure, Negotiation, Transfer};
use crate::vocab::{EDC, HTTP_ENDPOINT, ODRL};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use waybill_exchange::Ledger;
use waybill_http::{Method, Request, Response, Router};
use waybill_model::{DateTime, Problem};

/// The versions under which the same is served.
const VERSIONS: [&str; 2] = ["v3", "v4"];
/// Entries of one page.
const PAGE: usize = 50;

pub(crate) type Answered = Result<Value, Fault>;

/// The routes of the management interface.
pub fn routes(connector: &Connector) -> Router {
    let mut router = Router::new();
    for version in VERSIONS {
        macro_rules! route {
            ($method:ident, $path:expr, |$this:ident, $request:ident| $body:expr) => {
                let own = connector.clone();
                router = router.route(Method::$method, &format!("/management/{version}{}", $path), move |$request: Request| {
                    let $this = own.clone();
                    async move {
                        let done: Answered = if $request.caller.is_operator() { $body.await } else { Err(refused(&$request)) };
                        answer(done)
                    }
                });
            };
        }
        route!(POST, "/catalog/request", |this, request| this.manage_catalog(&request, false));
        route!(POST, "/catalog/dataset/request", |this, request| this.manage_catalog(&request, true));
        route!(POST, "/contractnegotiations", |this, request| this.manage_negotiate(&request));
        route!(POST, "/contractnegotiations/request", |this, request| this.manage_list(&request, this.negotiations(), negotiation_view));
        route!(GET, "/contractnegotiations/{id}", |this, request| async { Ok(negotiation_view(&this.negotiation(request.param("id")).await?.ok_or_else(Fault::missing)?)) });
        route!(GET, "/contractnegotiations/{id}/state", |this, request| async {
            let found = this.negotiation(request.param("id")).await?.ok_or_else(Fault::missing)?;
            Ok(typed("NegotiationState", &[("state", found.shown().as_str().into())]))
        });
        route!(GET, "/contractnegotiations/{id}/agreement", |this, request| async {
            let found = this.negotiation(request.param("id")).await?.ok_or_else(Fault::missing)?;
            let id = found.agreement.as_ref().and_then(|a| a["@id"].as_str()).ok_or_else(Fault::missing)?;
            Ok(this.agreement_view(&this.agreement(id).await?.ok_or_else(Fault::missing)?))
        });
        route!(POST, "/contractnegotiations/{id}/terminate", |this, request| this.manage_act(&request, "terminate", true));
        for act in ["accept", "agree", "verify", "finalize"] {
            route!(POST, format!("/contractnegotiations/{{id}}/{act}"), |this, request| this.manage_act(&request, act, true));
        }
        route!(POST, "/contractagreements/request", |this, request| {
            let show = this.clone();
            this.manage_list(&request, this.agreements(), move |a: &Agreed| show.agreement_view(a))
        });
        route!(GET, "/contractagreements/{id}", |this, request| async { Ok(this.agreement_view(&this.agreement(request.param("id")).await?.ok_or_else(Fault::missing)?)) });
        route!(POST, "/transferprocesses", |this, request| this.manage_transfer(&request));
        route!(POST, "/transferprocesses/request", |this, request| this.manage_list(&request, this.transfers(), transfer_view));
        route!(GET, "/transferprocesses/{id}", |this, request| async { Ok(transfer_view(&this.transfer(request.param("id")).await?.ok_or_else(Fault::missing)?)) });
        route!(GET, "/transferprocesses/{id}/state", |this, request| async {
            let found = this.transfer(request.param("id")).await?.ok_or_else(Fault::missing)?;
            Ok(typed("TransferState", &[("state", found.shown().as_str().into())]))
        });
        for (word, act) in [("suspend", "suspend"), ("resume", "start"), ("terminate", "terminate"), ("complete", "complete")] {
            route!(POST, format!("/transferprocesses/{{id}}/{word}"), |this, request| this.manage_act(&request, act, false));
        }
        route!(GET, "/edrs/{id}/dataaddress", |this, request| async {
            let found = this.transfer(request.param("id")).await?.filter(|t| t.talk.role == Role::Consumer).ok_or_else(Fault::missing)?;
            let started = found.state == Some(crate::machine::TransferState::Started);
            found.address.as_ref().filter(|_| started).map(address_view).ok_or_else(Fault::missing)
        });
        for what in ["assets", "policydefinitions", "contractdefinitions"] {
            route!(POST, format!("/{what}/request"), |this, request| async { let _ = &request; Ok(this.offered_views(what)) });
            route!(GET, format!("/{what}/{{id}}"), |this, request| async {
                let all = this.offered_views(what);
                let found = all.as_array().and_then(|l| l.iter().find(|v| v["@id"] == request.param("id")).cloned());
                found.ok_or_else(Fault::missing)
            });
            route!(POST, format!("/{what}"), |this, request| async {
                let _ = (&this, &request);
                Err(Fault::new(501, "offered-by-configuration", "", "what is on offer is said in the city's file: add an [[offer]] and reload"))
            });
        }
        route!(POST, "/offers", |this, request| this.manage_offer(&request));
    }
    router
}

/// No answer of this interface is without a JSON body, not even where nothing is said: some clients read one in any case.
pub(crate) fn answer(done: Answered) -> Result<Response, Problem> {
    match done {
        Ok(Value::Null) => Ok(Response::json(200, &json!({}))),
        Ok(value) => Ok(Response::json(200, &value)),
        Err(fault) => {
            // The form in which the Eclipse EDC tells its errors.
            let body = json!([{"message": fault.detail, "type": fault.code, "path": fault.place, "invalidValue": null}]);
            Ok(Response::json(fault.status, &body))
        }
    }
}

pub(crate) fn refused(request: &Request) -> Fault {
    if request.caller.is_known() {
        Fault::new(403, "forbidden", "", "the management interface is the operator's")
    } else {
        Fault::new(401, "unauthenticated", "", "the management interface is the operator's: show the operator's token")
    }
}

/// The body with its names as they are in the EDC's namespace, without it.
pub(crate) fn body(request: &Request) -> Result<Map<String, Value>, Fault> {
    waybill_http::strict::once(&request.body).map_err(Fault::from)?;
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(map)) => Ok(map.into_iter().map(|(name, value)| (local(&name).to_owned(), value)).collect()),
        _ => Err(Fault::bad("", "a JSON object is expected")),
    }
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    map.get(name).and_then(plain).ok_or_else(|| Fault::bad(&format!("/{name}"), "it must be there, and a text"))
}

fn context() -> Value {
    json!({"@vocab": EDC, "edc": EDC, "odrl": ODRL})
}

fn typed(kind: &str, members: &[(&str, Value)]) -> Value {
    let mut out = json!({"@context": context(), "@type": kind});
    for (name, value) in members {
        out[*name] = value.clone();
    }
    out
}

fn millis(at: DateTime) -> i64 {
    at.micros() / 1000
}

fn created(id: &str, at: DateTime) -> Value {
    typed("IdResponse", &[("@id", id.into()), ("createdAt", millis(at).into())])
}

fn side(role: Role) -> &'static str {
    match role {
        Role::Consumer => "CONSUMER",
        Role::Provider => "PROVIDER",
    }
}

fn negotiation_view(n: &Negotiation) -> Value {
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

fn transfer_view(t: &Transfer) -> Value {
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

fn address_view(address: &DataAddress) -> Value {
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

    async fn manage_catalog(&self, request: &Request, one: bool) -> Answered {
        let map = body(request)?;
        let (who, address) = self.counterpart(&map)?;
        if one { self.fetch_dataset(&who, &address, text(&map, "@id")?).await } else { self.fetch_catalog(&who, &address).await }
    }

    async fn manage_negotiate(&self, request: &Request) -> Answered {
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

    async fn manage_offer(&self, request: &Request) -> Answered {
        let map = body(request)?;
        let config = self.config();
        let who = config.participant(text(&map, "counterPartyId")?).ok_or_else(Fault::missing)?;
        let id = self.offer_to(who, text(&map, "assetId")?, text(&map, "offerId")?).await?;
        Ok(created(&id, self.now()))
    }

    async fn manage_transfer(&self, request: &Request) -> Answered {
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
        let id = self.request_transfer(&who, &address, text(&map, "contractId")?, format, data).await?;
        Ok(created(&id, self.now()))
    }

    async fn manage_act(&self, request: &Request, act: &'static str, negotiation: bool) -> Answered {
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

    async fn manage_list<T: serde::de::DeserializeOwned>(&self, request: &Request, ledger: Ledger, show: impl Fn(&T) -> Value) -> Answered {
        let map = if request.body.is_empty() { Map::new() } else { body(request)? };
        let number = |name: &str, otherwise: usize| map.get(name).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(otherwise);
        let (offset, limit) = (number("offset", 0), number("limit", PAGE).clamp(1, 1000));
        let equal: Vec<(String, Value)> = match map.get("filterExpression").and_then(Value::as_array) {
            None => Vec::new(),
            Some(list) => list
                .iter()
                .map(|c| {
                    let side = |name: &str| c.as_object().and_then(|o| o.iter().find(|(n, _)| local(n) == name)).map(|(_, v)| v.clone());
                    match (side("operandLeft").as_ref().and_then(plain), side("operator").as_ref().and_then(plain), side("operandRight")) {
                        (Some(left), Some("="), Some(right)) => Ok((local(left).to_owned(), right)),
                        _ => Err(Fault::bad("/filterExpression", "only comparisons with `=` are understood")),
                    }
                })
                .collect::<Result<_, _>>()?,
        };
        let (mut out, mut skipped, mut after) = (Vec::new(), 0, None::<String>);
        while out.len() < limit {
            let page = ledger.list::<T>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for entry in &page {
                let view = show(&entry.state);
                let fits = equal.iter().all(|(name, wanted)| view.get(if name == "id" { "@id" } else { name }) == Some(wanted));
                if !fits {
                    continue;
                }
                if skipped < offset {
                    skipped += 1;
                } else if out.len() < limit {
                    out.push(view);
                }
            }
        }
        Ok(out.into())
    }

    fn agreement_view(&self, agreed: &Agreed) -> Value {
        let own = self.config().participant.clone();
        let (provider, consumer) = if agreed.role == Role::Provider { (own, agreed.participant.clone()) } else { (agreed.participant.clone(), own) };
        let mut out = typed(
            "ContractAgreement",
            &[
                ("@id", agreed.id.as_str().into()),
                ("assetId", agreed.dataset.as_str().into()),
                ("policy", agreed.policy.clone()),
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

    /// What is on offer, in the words of the EDC.
    fn offered_views(&self, what: &str) -> Value {
        let config = self.config();
        let mut out = Vec::new();
        for offering in &config.offers {
            match what {
                "assets" => out.push(typed(
                    "Asset",
                    &[
                        ("@id", offering.dataset.as_str().into()),
                        ("properties", json!({"id": offering.dataset, "name": offering.title, "contenttype": "application/json"})),
                        ("dataAddress", json!({"@type": "DataAddress", "type": "WaybillRoute"})),
                    ],
                )),
                "policydefinitions" => {
                    for offered in catalog::offers(offering) {
                        out.push(typed("PolicyDefinition", &[("@id", offered.offer["@id"].clone()), ("policy", offered.offer.clone())]));
                    }
                }
                _ => {
                    for offered in catalog::offers(offering) {
                        let selector = json!([{"@type": "Criterion", "operandLeft": format!("{EDC}id"), "operator": "=", "operandRight": offering.dataset}]);
                        let id = format!("{}:{}", offering.dataset, offered.offer["@id"].as_str().unwrap_or_default());
                        out.push(typed(
                            "ContractDefinition",
                            &[("@id", id.into()), ("accessPolicyId", offered.offer["@id"].clone()), ("contractPolicyId", offered.offer["@id"].clone()), ("assetsSelector", selector)],
                        ));
                    }
                }
            }
        }
        out.into()
    }
}
