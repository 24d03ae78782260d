//! Calls to where an import's data is: pages, fresh tokens, deletions. What comes is another's word, so there is a bound on all of it.

use super::agree::lies_there;
use super::{Access, Import};
use crate::config::Participant;
use crate::connector::Connector;
use crate::fault::Fault;
use crate::pages::{beside, next_page};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use waybill_http::{Auth, CallErrorKind, InResponse, OutRequest, encode_component, header};
use waybill_model::{DateTime, EntityDoc, Iri};
use waybill_port::BoxFuture;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// The largest page, and all pages together, in bytes.
const PAGE: usize = 16 << 20;
const WHOLE: usize = 512 << 20;
/// The most pages of a pull.
const PAGES: usize = 2000;
/// The largest manifest, as that of a full page, and the largest other answer, in bytes.
const MANIFEST: usize = 4 << 20;
const SMALL: usize = 1 << 20;
/// Entities asked for at once where the provider speaks NGSI-LD, and deletions.
const AT_ONCE: usize = 200;
const LISTED: usize = 1000;

/// A page, read.
#[derive(Debug, Clone, Default)]
pub struct PulledPage {
    /// The entities on it, tags inside.
    pub docs: Vec<EntityDoc>,
    /// How many on it could not be read as entities.
    pub unreadable: usize,
}

/// Reads the pages that data comes in.
pub trait ReadPage: Send + Sync {
    /// The entities of an answer.
    ///
    /// # Errors
    /// In words, when it is no page of entities at all.
    fn read<'a>(&'a self, answer: &'a InResponse, now: DateTime) -> BoxFuture<'a, Result<PulledPage, String>>;
}

/// A page as it was fetched.
pub(super) struct Fetched {
    pub page: PulledPage,
    /// The manifest of its tags.
    pub manifest: Option<String>,
}

/// A part of what is to be deleted.
pub(super) struct Listed {
    /// Identifier and cursor of each.
    pub gone: Vec<(Iri, String)>,
    /// Whether there is more behind the last of them.
    pub more: bool,
    /// The provider hub's heartbeat.
    pub heartbeat: Option<String>,
}

/// The pages of one pull.
pub(super) struct Pages<'a> {
    connector: &'a Connector,
    import: &'a Import,
    who: &'a Participant,
    token: &'a str,
    reader: Arc<dyn ReadPage>,
    url: Option<String>,
    visited: HashSet<String>,
    bytes: usize,
}

impl<'a> Pages<'a> {
    pub fn new(connector: &'a Connector, import: &'a Import, who: &'a Participant, access: &'a Access) -> Result<Self, Fault> {
        let reader = connector.0.imports.read().unwrap_or_else(std::sync::PoisonError::into_inner).1.clone();
        let reader = reader.ok_or_else(|| Fault::new(503, "page-refused", "", "nothing reads pages"))?;
        let mut url = access.endpoint.clone();
        // Where the interface is known, larger pages are asked for than it gives by itself.
        if url.contains("/ngsi-ld/v1/entities") && !url.contains("limit=") {
            url = with(&url, "limit", &AT_ONCE.to_string());
        }
        Ok(Self { connector, import, who, token: &access.token, reader, url: Some(url), visited: HashSet::new(), bytes: 0 })
    }

    /// The next page; nothing behind the last.
    pub async fn next(&mut self) -> Result<Option<Fetched>, Fault> {
        let Some(url) = self.url.take() else { return Ok(None) };
        if !lies_there(self.import, self.who, &url) {
            return Err(refused("its next page lies elsewhere"));
        }
        if !self.visited.insert(url.clone()) {
            return Err(refused("its pages lead back to one that was read"));
        }
        if self.visited.len() > PAGES {
            return Err(refused(&format!("it has more than {PAGES} pages")));
        }
        let request = OutRequest::get(&url).header(header::ACCEPT, "application/ld+json, application/json;q=0.9").max_response(PAGE);
        let answer = self.connector.with_token(request, self.token).await?;
        let links: Vec<&str> = answer.headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()).collect();
        let manifest = links.iter().find_map(|l| linked(l, MANIFEST_REL));
        let next = links.iter().find_map(|l| next_page(l)).map(|link| beside(&url, &link));
        let page = self.reader.read(&answer, self.connector.now()).await.map_err(|why| refused(&why))?;
        self.bytes += answer.body.len();
        if self.bytes > WHOLE {
            return Err(refused(&format!("all pages together are larger than {WHOLE} bytes")));
        }
        self.url = next;
        let manifest = match manifest {
            Some(url) => Some(self.manifest(&url).await?),
            None => None,
        };
        Ok(Some(Fetched { page, manifest }))
    }

    /// The manifest is for its recipient only, and shows itself to the token that the data was asked with.
    async fn manifest(&self, url: &str) -> Result<String, Fault> {
        if !self.who.hub.as_deref().is_some_and(|hub| url.starts_with(&format!("{hub}/"))) {
            return Err(refused("its manifest does not lie at the participant's hub"));
        }
        let answer = self.connector.with_token(OutRequest::get(url).max_response(MANIFEST), self.token).await?;
        let text = std::str::from_utf8(&answer.body).map_err(|_| refused("its manifest is no text"))?.trim().to_owned();
        // An address instead of a statement would be fetched again.
        if text.contains("://") { Err(refused("its manifest is no signed statement")) } else { Ok(text) }
    }
}

const MANIFEST_REL: &str = "https://w3id.org/waybill/ns#manifest";

/// The address of the relation `rel` in a `Link` header's value.
fn linked(link: &str, rel: &str) -> Option<String> {
    let wanted = format!("rel=\"{rel}\"");
    link.split(',').find_map(|part| {
        let (address, rest) = part.trim().strip_prefix('<')?.split_once('>')?;
        rest.split(';').any(|p| p.trim() == wanted).then(|| address.to_owned())
    })
}

/// `url` with one parameter more.
fn with(url: &str, name: &str, value: &str) -> String {
    format!("{url}{}{name}={}", if url.contains('?') { '&' } else { '?' }, encode_component(value))
}

impl Connector {
    async fn with_token(&self, request: OutRequest, token: &str) -> Result<InResponse, Fault> {
        let request = request.deadline(DEADLINE).auth(Auth::Bearer(Arc::from(token))).template("dsp import");
        let answer = self.0.client.send(request).await.map_err(|e| match e.kind {
            CallErrorKind::TooLarge | CallErrorKind::BadAnswer | CallErrorKind::Redirect | CallErrorKind::RefusedAddress | CallErrorKind::BadAddress => refused(&e.to_string()),
            _ => failed(&e.to_string()),
        })?;
        match answer.status.as_u16() {
            200..=299 => Ok(answer),
            // What is shown to one address is shown to no other.
            300..=399 => Err(refused("it leads elsewhere, and a redirect is not followed")),
            status => Err(failed(&format!("status {status}"))),
        }
    }

    /// A fresh pair of tokens, where the provider gives one.
    pub(super) async fn renew_access(&self, access: &mut Access) -> Result<(), Fault> {
        let Some((url, token)) = access.refresh.clone() else { return Ok(()) };
        // Both forms in which it is asked for: the answer is read in both too.
        let body = format!("grant_type=refresh_token&refresh_token={}", encode_component(&token));
        let request = OutRequest::post(&url, "application/x-www-form-urlencoded", body).max_response(SMALL);
        let answer = self.with_token(request, &access.token).await?;
        let said: Value = answer.json().map_err(|e| failed(&e.to_string()))?;
        let at = |names: [&str; 2]| names.iter().find_map(|n| said.get(*n));
        let fresh = at(["accessToken", "access_token"]).and_then(Value::as_str).ok_or_else(|| failed("there is no fresh token in the answer"))?;
        fresh.clone_into(&mut access.token);
        if let Some(next) = at(["refreshToken", "refresh_token"]).and_then(Value::as_str) {
            access.refresh = Some((url, next.to_owned()));
        }
        access.expires_at = at(["expiresIn", "expires_in"]).and_then(Value::as_i64).map(|s| self.now().plus_seconds(s.clamp(0, 366 * 86_400)));
        Ok(())
    }

    /// What is to be deleted, behind the cursor `since`.
    pub(super) async fn listed(&self, url: &str, token: &str, since: Option<&str>) -> Result<Listed, Fault> {
        let mut asked = with(url, "limit", &LISTED.to_string());
        if let Some(since) = since {
            asked = with(&asked, "since", since);
        }
        let answer = self.with_token(OutRequest::get(asked).max_response(PAGE), token).await?;
        let said: Value = answer.json().map_err(|e| failed(&e.to_string()))?;
        let list = said["deletions"].as_array().ok_or_else(|| refused("the list of deletions is none"))?;
        let one = |item: &Value| Some((Iri::new(item["id"].as_str()?).ok()?, item["cursor"].as_str().unwrap_or_default().to_owned()));
        let gone: Vec<(Iri, String)> = list.iter().map(one).collect::<Option<_>>().ok_or_else(|| refused("a deletion in the list names no entity"))?;
        let further = gone.last().is_some_and(|(_, cursor)| !cursor.is_empty() && since != Some(cursor.as_str()));
        let more = further && (list.len() == LISTED || said.get("next").is_some_and(|n| !n.is_null()));
        Ok(Listed { gone, more, heartbeat: said["heartbeat"].as_str().map(str::to_owned) })
    }

    /// Tells the provider's hub what was deleted. One that takes no such word does not get it again.
    pub(super) async fn acknowledge(&self, url: &str, token: &str, statement: String) -> Result<(), Fault> {
        let request = OutRequest::post(url, "application/jose", statement).max_response(SMALL).deadline(DEADLINE).auth(Auth::Bearer(Arc::from(token))).template("dsp import");
        let answer = self.0.client.send(request).await.map_err(|e| failed(&e.to_string()))?;
        match answer.status.as_u16() {
            200..=299 | 400 | 403..=405 | 409 | 410 | 415 | 422 | 501 => Ok(()),
            status => Err(failed(&format!("status {status}"))),
        }
    }
}

pub(super) fn failed(detail: &str) -> Fault {
    Fault::new(502, "counterpart-failed", "", format!("where the data is: {detail}"))
}

pub(super) fn refused(detail: &str) -> Fault {
    Fault::new(502, "page-refused", "", format!("what the provider gave is not taken: {detail}"))
}
