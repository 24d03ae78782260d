//! The management interface in the manner of the Eclipse EDC, versions 3 and 4: what its clients and dashboards use to ask for catalogues,
//! to define what is on offer, to negotiate and to transfer. For the operator. What the city's file offers is shown beside what was defined here,
//! and is not changed here.

mod assets;
mod body;
mod contracts;
mod define;
mod offerings;
mod policies;
mod processes;
mod query;
mod secrets;

pub(crate) use define::Definitions;

use crate::connector::Connector;
use crate::fault::Fault;
use crate::machine::Role;
use crate::ns::{local, plain};
use crate::process::Agreed;
use crate::vocab::{EDC, ODRL};
use assets::Asset;
use contracts::ContractDefinition;
use policies::PolicyDefinition;
use processes::{address_view, edr_view, negotiation_view, transfer_view};
use secrets::Secret;
use serde_json::{Map, Value, json};
use waybill_http::{Method, Request, Response, Router};
use waybill_model::{DateTime, Problem};

/// The versions under which the same is served.
const VERSIONS: [&str; 2] = ["v3", "v4"];

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
        route!(GET, "/contractagreements/{id}/negotiation", |this, request| this.manage_agreed_in(&request));
        route!(POST, "/edrs/request", |this, request| this.manage_list(&request, this.transfers(), edr_view));
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
        macro_rules! defined {
            ($path:literal, $kind:ty, $put_by_path:expr) => {
                route!(POST, $path, |this, request| this.make::<$kind>(&request));
                let (put, by_path) = (if $put_by_path { concat!($path, "/{id}") } else { $path }, $put_by_path);
                route!(PUT, put, |this, request| this.replace_one::<$kind>(&request, by_path));
                route!(POST, concat!($path, "/request"), |this, request| async { this.show_all::<$kind>(&request) });
                route!(GET, concat!($path, "/{id}"), |this, request| async { this.show_one::<$kind>(request.param("id")) });
                route!(DELETE, concat!($path, "/{id}"), |this, request| this.delete::<$kind>(&request));
            };
        }
        defined!("/assets", Asset, false);
        defined!("/policydefinitions", PolicyDefinition, true);
        defined!("/contractdefinitions", ContractDefinition, false);
        defined!("/secrets", Secret, false);
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
    Ok(body::whole(request)?.into_iter().map(|(name, value)| (local(&name).to_owned(), value)).collect())
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

