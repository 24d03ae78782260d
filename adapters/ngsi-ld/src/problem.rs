//! The errors of the NGSI-LD interface (clauses 5.5.2, 6.3.2): our stable code, the ETSI type, the status.

use waybill_http::Response;
use waybill_model::{Problem, ProblemCode};

/// Where NGSI-LD's own problem types live.
pub const ERRORS: &str = "https://uri.etsi.org/ngsi-ld/errors/";

fn make(code: &'static str, status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode(code), status, title, detail).of_type(format!("{ERRORS}{kind}"))
}

/// 400: well-formed, but not valid as NGSI-LD.
pub fn bad_data(code: &'static str, detail: impl Into<String>) -> Problem {
    make(code, 400, "BadRequestData", "The data is not valid", detail)
}
/// 400: not understood at all: no JSON, an unknown parameter, headers that do not go together.
pub fn invalid_request(code: &'static str, detail: impl Into<String>) -> Problem {
    make(code, 400, "InvalidRequest", "The request is not valid", detail)
}
/// 404.
pub fn not_found(code: &'static str, detail: impl Into<String>) -> Problem {
    make(code, 404, "ResourceNotFound", "Not found", detail)
}
/// 404 for an Entity, in the same words whether it is missing, hidden or another's.
pub fn no_entity() -> Problem {
    not_found("entity-not-found", "there is no such entity, or not for this caller")
}
/// 404 for an Attribute or one of its instances.
pub fn no_attribute() -> Problem {
    not_found("attribute-not-found", "the entity has no such attribute, or no instance with this datasetId")
}
/// 409: the identifier is taken.
pub fn already_exists() -> Problem {
    make("already-exists", 409, "AlreadyExists", "Already exists", "an entity with this id exists")
        .help("Use PATCH to change it, or entityOperations/upsert to create or replace.")
}
/// 409: the Attribute came under another hub's envelope.
pub(crate) fn under_envelope(name: &str) -> Problem {
    make("value-under-envelope", 409, "Conflict", "Another hub's value", "this value came under an envelope of another hub, and only that hub replaces it")
        .at(format!("/{}", escape(name)))
        .help("Leave the Attribute out, or write under another datasetId or name. The operator may delete it.")
}
/// 403: the types of an Entity decide who may see what it holds.
pub(crate) fn types_not_agreed() -> Problem {
    let detail = "the entity holds personal or foreign data, or would cease to be open, and its types decide who may see it";
    Problem::new(ProblemCode("types-not-agreed"), 403, "Not allowed to change types", detail).at("/type").help("Leave `type` as it is, or ask the operator to change it.")
}
/// 422: part of the specification that this hub does not offer.
pub fn not_supported(code: &'static str, detail: impl Into<String>) -> Problem {
    make(code, 422, "OperationNotSupported", "Not offered here", detail)
}
/// 400 for a text that is no instance of an Attribute; `name` is its place.
pub(crate) fn bad_instance(what: &str, name: &str) -> Problem {
    let place = if name.is_empty() { String::new() } else { format!("/{}", escape(name)) };
    bad_data("bad-attribute", what).at(place).help("An Attribute needs a type and the value member of that type.")
}
/// A name as one step of a JSON Pointer (RFC 6901).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The answer for a problem under `/ngsi-ld/v1`: `application/json`, and the ETSI types for problems of the rooms below.
/// 411, 406 keep their bodies out where the specification says so (clause 6.3.4).
pub fn answer(problem: &Problem) -> Response {
    if problem.status == 411 || problem.status == 415 {
        return Response::empty(problem.status);
    }
    let kind = match problem.status {
        _ if problem.kind.starts_with(ERRORS) => None,
        400 => Some("InvalidRequest"),
        404 => Some("ResourceNotFound"),
        409 => Some("Conflict"),
        500 | 503 => Some("InternalError"),
        _ => None,
    };
    match kind {
        Some(kind) => Response::problem_as(&problem.clone().of_type(format!("{ERRORS}{kind}")), "application/json"),
        None => Response::problem_as(problem, "application/json"),
    }
}
