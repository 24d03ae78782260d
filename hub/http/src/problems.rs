//! The problems this room can raise, each with its stable code.

use waybill_model::{Problem, ProblemCode};

/// No such resource at this path.
pub const NOT_FOUND: ProblemCode = ProblemCode("not-found");
/// The path exists, the method does not.
pub const METHOD_NOT_ALLOWED: ProblemCode = ProblemCode("method-not-allowed");
/// The request could not be read.
pub const BAD_REQUEST: ProblemCode = ProblemCode("bad-request");
/// The body is not the JSON that was expected.
pub const BAD_JSON: ProblemCode = ProblemCode("bad-json");
/// The body is larger than this resource takes.
pub const BODY_TOO_LARGE: ProblemCode = ProblemCode("body-too-large");
/// The request's address is longer than is taken.
pub const URI_TOO_LONG: ProblemCode = ProblemCode("uri-too-long");
/// The body did not arrive in time.
pub const READ_TIMEOUT: ProblemCode = ProblemCode("read-timeout");
/// As many requests as are allowed at once are being answered.
pub const OVERLOADED: ProblemCode = ProblemCode("overloaded");
/// The answer was not ready in time.
pub const DEADLINE: ProblemCode = ProblemCode("deadline-exceeded");
/// A fault of the hub's own.
pub const INTERNAL: ProblemCode = ProblemCode("internal-error");
/// Credentials are needed and were not given.
pub const UNAUTHENTICATED: ProblemCode = ProblemCode("unauthenticated");
/// The credentials given are not good.
pub const INVALID_TOKEN: ProblemCode = ProblemCode("invalid-token");
/// The DPoP proof given is not good.
pub const INVALID_PROOF: ProblemCode = ProblemCode("invalid-dpop-proof");
/// The token is good, its client is nobody this hub knows.
pub const NOT_REGISTERED: ProblemCode = ProblemCode("client-not-registered");
/// The token asks for a purpose its client is not registered for.
pub const PURPOSE_NOT_REGISTERED: ProblemCode = ProblemCode("purpose-not-registered");
/// The issuer of the token cannot be asked for its keys now.
pub const ISSUER_UNREACHABLE: ProblemCode = ProblemCode("issuer-unreachable");
/// The caller is known and may not do this.
pub const FORBIDDEN: ProblemCode = ProblemCode("forbidden");

/// 404 for a path that no route has.
pub fn not_found() -> Problem {
    Problem::new(NOT_FOUND, 404, "Nothing here", "no resource has this address")
}
/// 400 with `detail`.
pub fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(BAD_REQUEST, 400, "The request could not be read", detail)
}
/// 401 when nobody was recognised and somebody is needed.
pub fn unauthenticated() -> Problem {
    Problem::new(UNAUTHENTICATED, 401, "Credentials are needed", "this resource answers only callers it knows")
        .help("send `Authorization: Bearer …` or `X-Auth-Token: …`")
}
/// 403 with `detail`.
pub fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(FORBIDDEN, 403, "Not allowed", detail)
}
pub(crate) fn method_not_allowed(allow: &str) -> Problem {
    Problem::new(METHOD_NOT_ALLOWED, 405, "This method is not offered here", format!("this resource answers {allow}"))
}
pub(crate) fn body_too_large(limit: usize) -> Problem {
    Problem::new(BODY_TOO_LARGE, 413, "The body is too large", format!("at most {limit} bytes are taken here"))
        .help("split the request into smaller ones")
}
pub(crate) fn uri_too_long(limit: usize) -> Problem {
    Problem::new(URI_TOO_LONG, 414, "The address is too long", format!("at most {limit} bytes are taken"))
        .help("send the query in a body, where the interface has such a form")
}
pub(crate) fn read_timeout() -> Problem {
    Problem::new(READ_TIMEOUT, 408, "The body did not arrive in time", "the connection was closed before the whole body was read")
}
pub(crate) fn overloaded() -> Problem {
    Problem::new(OVERLOADED, 503, "Too many requests at once", "as many requests as this hub answers at once are being answered")
        .help("try again after the time that Retry-After names")
}
pub(crate) fn deadline(changing: bool) -> Problem {
    let detail = if changing {
        "the answer was not ready in time; what was asked may still take effect"
    } else {
        "the answer was not ready in time"
    };
    Problem::new(DEADLINE, 504, "The answer was not ready in time", detail)
}
/// 500 for a fault of the hub's own.
pub fn internal() -> Problem {
    Problem::new(INTERNAL, 500, "A fault in the hub", "the hub failed at this request; its log says more")
}
/// A credential that was given and is not good.
pub fn invalid_token(detail: impl Into<String>) -> Problem {
    Problem::new(INVALID_TOKEN, 401, "The credentials are not good", detail)
}
