//! Reading bodies and writing answers under the @context that the caller named.

use super::names::{Names, simplify};
use crate::net::{Reply, Request, put, reply};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::HashMap;

const CONTEXT_REL: &str = "http://www.w3.org/ns/json-ld#context";
const ERRORS: &str = "https://uri.etsi.org/ngsi-ld/errors/";

/// An answer that ends the call.
pub(super) struct Refusal(pub Box<Reply>);

impl Refusal {
    pub fn new(status: StatusCode, kind: &str, detail: impl std::fmt::Display) -> Self {
        let body = json!({"type": format!("{ERRORS}{kind}"), "title": kind, "detail": detail.to_string(), "status": status.as_u16()});
        Self(Box::new(json(status, &body)))
    }
    pub fn bad(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequestData", detail)
    }
    pub fn unsupported(what: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "OperationNotSupported", format!("this stand-in does not know {what}"))
    }
    pub fn missing(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", format!("nothing is stored under {id}"))
    }
}

pub(super) fn json(status: StatusCode, body: &Value) -> Reply {
    reply(status, "application/json", body.to_string())
}

/// The caller's @context and how the answer is to look.
pub(super) struct Responder {
    pub names: Names,
    context: Option<Value>,
    ld: bool,
    simplified: bool,
    body: Option<Value>,
}

impl Responder {
    /// Reads what governs the names of this call.
    pub fn of(request: &Request, known: &HashMap<String, Value>) -> Result<Self, Refusal> {
        let not_json = |e| Refusal::new(StatusCode::BAD_REQUEST, "InvalidRequest", format!("the body is not JSON: {e}"));
        let body: Option<Value> =
            if request.body.is_empty() { None } else { Some(serde_json::from_slice(&request.body).map_err(not_json)?) };
        let linked = request.links(CONTEXT_REL).into_iter().next().map(Value::from);
        // In a batch each member brings its own @context; the first one's speaks for the answer.
        let inside = body.as_ref().and_then(|b| b.get("@context").or_else(|| b.get(0).and_then(|first| first.get("@context"))).cloned());
        let context = linked.or(inside);
        let names = Names::of(context.as_ref().unwrap_or(&Value::Null), known)
            .map_err(|why| Refusal::new(StatusCode::GATEWAY_TIMEOUT, "LdContextNotAvailable", why))?;
        let ld = request.header("accept").is_some_and(|a| a.contains("ld+json"));
        let wants = |p: &str| request.parameter(p).is_some_and(|v| v.split(',').any(|o| matches!(o, "keyValues" | "simplified")));
        Ok(Self { names, context, ld, simplified: wants("options") || wants("format"), body })
    }

    /// The body that must be there.
    pub fn body(&self) -> Result<&Value, Refusal> {
        self.body.as_ref().ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "InvalidRequest", "the body is empty"))
    }

    /// One entity as the caller wants it.
    pub fn entity(&self, stored: &Value) -> Value {
        let named = self.names.compact_entity(stored);
        let mut shown = if self.simplified { simplify(&named) } else { named };
        if let (true, Some(context), Some(members)) = (self.ld, &self.context, shown.as_object_mut()) {
            members.insert("@context".to_owned(), context.clone());
        }
        shown
    }

    /// An answer with the right media type and `Link`.
    pub fn ok(&self, body: &Value) -> Reply {
        let mut answer = reply(StatusCode::OK, if self.ld { "application/ld+json" } else { "application/json" }, body.to_string());
        if let (false, Some(address)) = (self.ld, self.context.as_ref().and_then(Value::as_str)) {
            put(&mut answer, "link", &format!("<{address}>; rel=\"{CONTEXT_REL}\"; type=\"application/ld+json\""));
        }
        answer
    }
}
