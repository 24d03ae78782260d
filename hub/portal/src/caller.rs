//! Who may do what here: the operator everything, a signed-in person what is hers.

use crate::admin::{Listing, Paging};
use crate::fault;
use serde::Serialize;
use waybill_http::{Request, Response, Tenants, encode_component, problems};
use waybill_keys::{b64url, unb64url};
use waybill_model::{Iri, Principal, Problem, ProblemCode, TenantId};

/// Who is calling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// The operator, by name.
    Operator(Iri),
    /// A person, herself.
    Person(Iri),
}

impl Who {
    /// # Errors
    /// 401 for nobody, 403 for a party's client.
    pub(crate) fn of(request: &Request) -> Result<Self, Problem> {
        match &request.caller.principal {
            Principal::Anonymous => Err(problems::unauthenticated()),
            Principal::Operator(name) => {
                let text = format!("urn:waybill:operator:{}", encode_component(name));
                Iri::new(text).map(Self::Operator).map_err(|_| problems::forbidden("the operator has no name"))
            }
            Principal::DataSubject(person) => Ok(Self::Person(person.clone())),
            Principal::Client { .. } | Principal::Hub => Err(problems::forbidden("this interface is for the operator and for persons who are signed in")),
        }
    }

    /// The operator's name.
    ///
    /// # Errors
    /// 401 for nobody, 403 for anybody else.
    pub(crate) fn operator(request: &Request) -> Result<Iri, Problem> {
        match Self::of(request)? {
            Self::Operator(name) => Ok(name),
            Self::Person(person) if fault::off("portal-operator-only") => Ok(person),
            Self::Person(_) => Err(problems::forbidden("only the operator may do this")),
        }
    }

    /// The operator of the whole hub: what has no tenant is not for one who runs only some of them.
    ///
    /// # Errors
    /// 401 for nobody, 403 for anybody else.
    pub(crate) fn whole_hub(request: &Request) -> Result<Iri, Problem> {
        let operator = Self::operator(request)?;
        if request.caller.tenants == Tenants::All || fault::off("portal-whole-hub") {
            Ok(operator)
        } else {
            Err(problems::forbidden("only an operator of all tenants may do this"))
        }
    }

    /// Whether what is `subject`'s may be seen.
    pub(crate) fn may_see(&self, subject: &Iri) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Person(person) => person == subject || fault::off("portal-own-only"),
        }
    }

    /// Whose rows may be listed, when `asked` are wanted: a person's own whatever she asks.
    ///
    /// # Errors
    /// 403 when a person asks for another's.
    pub(crate) fn narrow(&self, asked: Option<Iri>) -> Result<Option<Iri>, Problem> {
        match (self, asked) {
            (Self::Operator(_), asked) => Ok(asked),
            (Self::Person(person), None) => Ok(Some(person.clone())),
            (Self::Person(_), Some(asked)) if self.may_see(&asked) => Ok(Some(asked)),
            (Self::Person(_), Some(_)) => Err(problems::forbidden("a person sees what is hers")),
        }
    }
}

/// The tenant a request names, which its caller may name.
///
/// # Errors
/// 400 for what is no name, 403 for a tenant that is not this caller's.
pub(crate) fn tenant(request: &Request) -> Result<TenantId, Problem> {
    let mut named = request.headers.get_all("ngsild-tenant").iter();
    let (first, more) = (named.next(), named.next());
    if more.is_some() {
        return Err(problems::bad_request("a tenant may be named once").at("NGSILD-Tenant"));
    }
    let text = first.map_or(Ok(""), |v| v.to_str()).map_err(|_| bad_tenant())?;
    let tenant = TenantId::new(text).ok_or_else(bad_tenant)?;
    if request.caller.tenants.has(&tenant) || fault::off("portal-tenant") {
        Ok(tenant)
    } else {
        Err(problems::forbidden("this caller may not name this tenant"))
    }
}

fn bad_tenant() -> Problem {
    problems::bad_request("a tenant's name has at most 64 letters, digits, `_`, `-` and `.`").at("NGSILD-Tenant")
}

/// 404, the same for what is missing and for what is another's.
pub(crate) fn nothing() -> Problem {
    Problem::new(ProblemCode("no-such-thing"), 404, "There is no such thing", "nothing of this name is here, or it is not for this caller")
}

/// The path parameter `name` as an IRI.
///
/// # Errors
/// 404 when it is none: nothing can have such a name.
pub(crate) fn iri_param(request: &Request, name: &str) -> Result<Iri, Problem> {
    Iri::new(request.param(name)).map_err(|_| nothing())
}

/// The query parameter `name` as an IRI.
///
/// # Errors
/// 400 when it is none.
pub(crate) fn iri_query(request: &Request, name: &str) -> Result<Option<Iri>, Problem> {
    request.query.one(name)?.map(|text| Iri::new(text).map_err(|e| problems::bad_request(format!("not an absolute IRI: {}", e.reason)).at(name))).transpose()
}

/// `limit` and `after`.
///
/// # Errors
/// 400 when they are not what they must be.
pub(crate) fn paging(request: &Request) -> Result<Paging, Problem> {
    let limit = request.query.number("limit")?.unwrap_or(100);
    if !(1..=1000).contains(&limit) {
        return Err(problems::bad_request("a page has 1 to 1000 items").at("limit"));
    }
    let after = request.query.one("after")?.map(|text| uncoded(text).ok_or_else(|| problems::bad_request("this is no `next` of an earlier page").at("after")));
    Ok(Paging { limit: usize::try_from(limit).unwrap_or(100), after: after.transpose()? })
}

/// A key as callers see it.
pub(crate) fn coded(key: &str) -> String {
    b64url(key.as_bytes())
}
/// The key behind what callers see.
pub(crate) fn uncoded(text: &str) -> Option<String> {
    String::from_utf8(unb64url(text)?).ok()
}
/// The key behind the path parameter `id`.
pub(crate) fn key_param(request: &Request) -> Result<String, Problem> {
    uncoded(request.param("id")).ok_or_else(nothing)
}

/// The answer for a page of a list.
pub(crate) fn listed<T: Serialize>(mut listing: Listing<T>) -> Response {
    listing.next = listing.next.as_deref().map(coded);
    Response::json(200, &listing).personal()
}
