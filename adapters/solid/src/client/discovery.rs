//! What a WebID says: issuers, storages, keys, type index.

use crate::client::link::{address, document, link, links, parent, same_issuer};
use crate::client::session::{Session, get_public};
use crate::encode::PLAIN_TYPE;
use crate::error::SolidError;
use crate::fault;
use crate::rdf::{iris, node, nodes, parse_turtle};
use crate::vocab;
use oxrdf::{Graph, NamedNodeRef, TermRef};
use url::Url;
use waybill_http::Client;
use waybill_keys::PublicKey;
use waybill_model::Iri;

/// A key that a profile names.
#[derive(Debug, Clone)]
pub struct ProfileKey {
    /// The address of the key in the profile.
    pub id: String,
    /// The key.
    pub key: PublicKey,
}

/// What a profile document says of its WebID.
#[derive(Debug, Clone)]
pub struct WebIdProfile {
    /// The WebID.
    pub web_id: Iri,
    /// The issuers that may vouch for it.
    pub issuers: Vec<String>,
    /// Its storages, as named.
    pub storages: Vec<Url>,
    /// Its type indexes, the private one last.
    pub type_indexes: Vec<Url>,
    /// Keys that sign for it.
    pub keys: Vec<ProfileKey>,
}

impl WebIdProfile {
    /// Reads a profile document.
    ///
    /// # Errors
    /// [`SolidError::Malformed`] when it is no Turtle.
    pub fn parse(web_id: &Iri, turtle: &[u8]) -> Result<Self, SolidError> {
        let url = document(&address(web_id.as_str(), "WebID")?);
        let graph = parse_turtle(turtle, url.as_str(), "profile")?;
        let me = node(web_id.as_str())?;
        let addresses = |predicate: NamedNodeRef<'static>| -> Vec<Url> {
            iris(&graph, &me, predicate).into_iter().filter_map(|text| address(text, "profile").ok()).collect()
        };
        let mut type_indexes = addresses(vocab::SOLID_PUBLIC_TYPE_INDEX);
        type_indexes.extend(addresses(vocab::SOLID_PRIVATE_TYPE_INDEX));
        Ok(Self {
            issuers: iris(&graph, &me, vocab::SOLID_OIDC_ISSUER).into_iter().map(str::to_owned).collect(),
            storages: addresses(vocab::PIM_STORAGE),
            type_indexes,
            keys: keys(&graph, (&me).into(), web_id),
            web_id: web_id.clone(),
        })
    }

    /// Whether `issuer` may vouch for this WebID. Only an issuer that the profile itself names may.
    ///
    /// # Errors
    /// [`SolidError::ForeignIssuer`] when it may not.
    pub fn vouched_by(&self, issuer: &str) -> Result<(), SolidError> {
        if self.issuers.iter().any(|named| same_issuer(named, issuer)) || fault::off("solid-foreign-issuer") { Ok(()) } else { Err(SolidError::ForeignIssuer) }
    }
}

fn keys(graph: &Graph, me: NamedNodeRef<'_>, web_id: &Iri) -> Vec<ProfileKey> {
    let mut methods = nodes(graph, me, vocab::SEC_VERIFICATION_METHOD);
    methods.extend(nodes(graph, me, vocab::SEC_ASSERTION_METHOD));
    let mut out: Vec<ProfileKey> = Vec::new();
    for method in methods {
        // A key without an address could not be named by a signature.
        let oxrdf::NamedOrBlankNodeRef::NamedNode(name) = method else { continue };
        if out.iter().any(|known| known.id == name.as_str()) {
            continue;
        }
        for term in graph.objects_for_subject_predicate(name, vocab::SEC_PUBLIC_KEY_JWK) {
            let TermRef::Literal(literal) = term else { continue };
            let key = serde_json::from_str(literal.value()).ok().and_then(|jwk| PublicKey::from_jwk(&jwk, Some(web_id.as_str())));
            out.extend(key.map(|key| ProfileKey { id: name.as_str().to_owned(), key }));
        }
    }
    out
}

/// Fetches and reads the profile of `web_id`, without signing in: what counts is what everybody sees.
pub async fn profile(client: &Client, web_id: &Iri) -> Result<WebIdProfile, SolidError> {
    let url = document(&address(web_id.as_str(), "WebID")?);
    let answer = get_public(client, &url, PLAIN_TYPE).await?;
    answer.success()?;
    WebIdProfile::parse(web_id, &answer.body)
}

/// Whether `issuer` may vouch for `web_id`, as its profile says now. For whoever takes tokens that name a WebID.
///
/// # Errors
/// [`SolidError::ForeignIssuer`] when it may not; the others when the profile cannot be read, which is no yes either.
pub async fn vouches(client: &Client, web_id: &Iri, issuer: &str) -> Result<(), SolidError> {
    profile(client, web_id).await?.vouched_by(issuer)
}

/// The storage of a person: the first her profile names, else the nearest container above her profile that says it is one.
pub async fn storage(client: &Client, profile: &WebIdProfile) -> Result<Url, SolidError> {
    if let Some(named) = profile.storages.first() {
        return Ok(named.clone());
    }
    let mut at = document(&address(profile.web_id.as_str(), "WebID")?);
    while let Some(above) = parent(&at) {
        at = above;
        let answer = get_public(client, &at, PLAIN_TYPE).await?;
        let is_storage = links(&answer.headers, &at).iter().any(|l| l.target.as_str() == vocab::PIM_STORAGE_TYPE && l.rels.iter().any(|r| r == "type"));
        if is_storage {
            return Ok(at);
        }
    }
    Err(SolidError::NotFoundInProfile("her storage"))
}

/// Where instances of `class` lie, as type index documents say: containers first, then single resources.
pub fn registered(index: &[u8], base: &Url, class: NamedNodeRef<'_>) -> Result<Vec<Url>, SolidError> {
    let graph = parse_turtle(index, base.as_str(), "type index")?;
    let mut out = Vec::new();
    for predicate in [vocab::SOLID_INSTANCE_CONTAINER, vocab::SOLID_INSTANCE] {
        for registration in graph.subjects_for_predicate_object(vocab::SOLID_FOR_CLASS, class) {
            out.extend(iris(&graph, registration, predicate).into_iter().filter_map(|text| address(text, "type index").ok()));
        }
    }
    Ok(out)
}

/// A service that sends notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The channel type it offers.
    pub channel: String,
    /// Where to ask for it.
    pub url: Url,
}

/// The notification services of the storage that `resource` lies in, as the storage's description says. The hub must be able to read
/// `resource`: of others a server tells nothing.
pub async fn subscriptions(session: &Session, resource: &Url) -> Result<Vec<Subscription>, SolidError> {
    const NOTIFY: &str = "http://www.w3.org/ns/solid/notifications#";
    let answer = session.send(waybill_http::Method::HEAD, resource, waybill_http::HeaderMap::new(), bytes::Bytes::new()).await?;
    let described = link(&answer.headers, resource, vocab::REL_STORAGE_DESCRIPTION).ok_or(SolidError::Unsupported("notifications"))?;
    if described.origin() != resource.origin() {
        return Err(SolidError::malformed("Link", "the storage is described at another server"));
    }
    let answer = get_public(session.client(), &described, PLAIN_TYPE).await?;
    answer.success()?;
    let graph = parse_turtle(&answer.body, described.as_str(), "storage description")?;
    let channel_type = node(&format!("{NOTIFY}channelType"))?;
    let mut out = Vec::new();
    for triple in graph.triples_for_predicate(&channel_type) {
        if let (oxrdf::NamedOrBlankNodeRef::NamedNode(service), TermRef::NamedNode(channel)) = (triple.subject, triple.object) {
            let url = address(service.as_str(), "storage description")?;
            // Somebody else's service would learn what changes in her pod, and when.
            if url.origin() == resource.origin() {
                out.push(Subscription { channel: channel.as_str().to_owned(), url });
            }
        }
    }
    Ok(out)
}
