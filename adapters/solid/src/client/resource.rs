//! Resources of a pod: read, write, change, list; and the policy that sticks to them.

use crate::client::link::{address, lies_in, link};
use crate::client::pod::SolidPod;
use crate::decode;
use crate::encode;
use crate::error::SolidError;
use crate::loss::Loss;
use crate::rdf::{iris, node, parse_turtle};
use crate::vocab;
use bytes::Bytes;
use url::Url;
use waybill_http::{HeaderMap, HeaderValue, Method, header};
use waybill_model::EntityDoc;

/// Under which condition a change is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum If {
    /// Always.
    Always,
    /// Only when there is nothing yet.
    Absent,
    /// Only when it still has this entity tag.
    Unchanged(String),
}

impl If {
    /// Unchanged since `etag`; always, when there is none.
    pub fn from_etag(etag: Option<&str>) -> Self {
        etag.map_or(Self::Always, |tag| Self::Unchanged(tag.to_owned()))
    }
    fn put_in(&self, headers: &mut HeaderMap) {
        match self {
            Self::Always => {}
            Self::Absent => set(headers, header::IF_NONE_MATCH, "*"),
            Self::Unchanged(tag) => set(headers, header::IF_MATCH, tag),
        }
    }
}

/// A body with its media type.
#[derive(Debug, Clone)]
pub struct Body {
    /// The media type.
    pub kind: &'static str,
    /// The bytes.
    pub bytes: Bytes,
}

impl Body {
    /// Turtle.
    pub fn turtle(bytes: impl Into<Bytes>) -> Self {
        Self { kind: encode::PLAIN_TYPE, bytes: bytes.into() }
    }
    /// JSON-LD.
    pub fn json_ld(bytes: impl Into<Bytes>) -> Self {
        Self { kind: encode::LOSSLESS_TYPE, bytes: bytes.into() }
    }
    /// JSON.
    pub fn json(bytes: impl Into<Bytes>) -> Self {
        Self { kind: "application/json", bytes: bytes.into() }
    }
}

/// A resource as it was read.
#[derive(Debug, Clone)]
pub struct Read {
    /// The bytes.
    pub body: Bytes,
    /// The media type, without parameters.
    pub kind: String,
    /// The entity tag. It differs by representation: never a hash of the content.
    pub etag: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
}

/// In which profile an Entity lies in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// An NGSI-LD document: everything.
    Lossless,
    /// Turtle: values only, with a loss report.
    Plain,
}

/// What became of the policy beside a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sticky {
    /// It was there.
    Kept,
    /// It was gone, and the hub put it there again.
    Reattached,
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl SolidPod {
    /// Reads `url`; nothing when it still has the entity tag `unless`.
    pub async fn get(&self, url: &Url, accept: &str, unless: Option<&str>) -> Result<Option<Read>, SolidError> {
        let mut headers = HeaderMap::new();
        set(&mut headers, header::ACCEPT, accept);
        if let Some(tag) = unless {
            set(&mut headers, header::IF_NONE_MATCH, tag);
        }
        let answer = self.session().send(Method::GET, url, headers, Bytes::new()).await?;
        if answer.status == 304 {
            return Ok(None);
        }
        answer.success()?;
        let text = |name: header::HeaderName| answer.headers.get(name).and_then(|v| v.to_str().ok());
        let kind = text(header::CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let etag = text(header::ETAG).map(str::to_owned);
        Ok(Some(Read { kind, etag, body: answer.body, headers: answer.headers }))
    }

    /// Reads `url`.
    pub async fn read(&self, url: &Url, accept: &str) -> Result<Read, SolidError> {
        self.get(url, accept, None).await?.ok_or(SolidError::Status(304))
    }

    /// Creates or replaces `url` whole. Metadata beside it is kept (`Link: rel="preserve"`). Gives the new entity tag when the server says it.
    pub async fn put(&self, url: &Url, body: Body, condition: If) -> Result<Option<String>, SolidError> {
        let mut headers = HeaderMap::new();
        set(&mut headers, header::CONTENT_TYPE, body.kind);
        condition.put_in(&mut headers);
        if let Some(meta) = self.known_meta(url) {
            set(&mut headers, header::LINK, &format!("<{meta}>; rel=\"preserve\""));
        }
        let answer = self.session().send(Method::PUT, url, headers, body.bytes).await?;
        answer.success()?;
        Ok(answer.headers.get(header::ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned))
    }

    /// Adds a resource to `container`; the server names it, with `slug` as a wish. Needs Append only.
    pub async fn post(&self, container: &Url, slug: &str, body: Body) -> Result<Url, SolidError> {
        let mut headers = HeaderMap::new();
        set(&mut headers, header::CONTENT_TYPE, body.kind);
        set(&mut headers, header::HeaderName::from_static("slug"), slug);
        let answer = self.session().send(Method::POST, container, headers, body.bytes).await?;
        answer.success()?;
        let place = answer.headers.get(header::LOCATION).and_then(|v| v.to_str().ok()).ok_or(SolidError::Unsupported("the place of a new resource"))?;
        container.join(place).map_err(|_| SolidError::malformed("Location", "not an address"))
    }

    /// Changes an RDF resource: statements (each a line of Turtle without prefixes) that go and that come.
    pub async fn patch(&self, url: &Url, delete: &[String], insert: &[String], condition: If) -> Result<(), SolidError> {
        let mut headers = HeaderMap::new();
        set(&mut headers, header::CONTENT_TYPE, "text/n3");
        condition.put_in(&mut headers);
        let mut clauses = vec!["a solid:InsertDeletePatch".to_owned()];
        for (name, lines) in [("deletes", delete), ("inserts", insert)] {
            if !lines.is_empty() {
                clauses.push(format!("solid:{name} {{ {} }}", lines.join(" ")));
            }
        }
        let body = format!("@prefix solid: <http://www.w3.org/ns/solid/terms#>.\n_:patch {}.\n", clauses.join(";\n  "));
        self.session().send(Method::PATCH, url, headers, body.into()).await?.success()
    }

    /// Removes `url`. Gone already is an error: [`SolidError::NotFound`].
    pub async fn delete(&self, url: &Url, condition: If) -> Result<(), SolidError> {
        let mut headers = HeaderMap::new();
        condition.put_in(&mut headers);
        self.session().send(Method::DELETE, url, headers, Bytes::new()).await?.success()
    }

    /// What lies directly in `container`, sorted, with the container's entity tag.
    pub async fn list(&self, container: &Url) -> Result<(Vec<Url>, Option<String>), SolidError> {
        let found = self.read(container, encode::PLAIN_TYPE).await?;
        let graph = parse_turtle(&found.body, container.as_str(), "container")?;
        let name = node(container.as_str())?;
        let mut out = Vec::new();
        for item in iris(&graph, &name, vocab::LDP_CONTAINS) {
            let item = address(item, "container")?;
            // A container that lists what does not lie in it would send the hub elsewhere.
            if lies_in(&item, container) && item != *container {
                out.push(item);
            }
        }
        Ok((out, found.etag))
    }

    /// The metadata resource of `url`, as its server names it.
    pub async fn meta_address(&self, url: &Url) -> Result<Url, SolidError> {
        if let Some(meta) = self.known_meta(url) {
            return Ok(meta);
        }
        let answer = self.session().send(Method::HEAD, url, HeaderMap::new(), Bytes::new()).await?;
        answer.success()?;
        let meta = link(&answer.headers, url, "describedby").ok_or(SolidError::Unsupported("metadata beside a resource"))?;
        if meta.origin() != url.origin() {
            return Err(SolidError::malformed("Link", "the metadata lies at another server"));
        }
        self.remember_meta(url, meta.clone());
        Ok(meta)
    }

    /// The policy that the metadata beside `url` names.
    pub async fn policy_of(&self, url: &Url) -> Result<Vec<String>, SolidError> {
        let meta = self.meta_address(url).await?;
        let found = match self.read(&meta, encode::PLAIN_TYPE).await {
            Err(SolidError::NotFound) => return Ok(Vec::new()),
            other => other?,
        };
        let graph = parse_turtle(&found.body, meta.as_str(), "metadata")?;
        let name = node(url.as_str())?;
        Ok(iris(&graph, &name, vocab::ODRL_HAS_POLICY).into_iter().map(str::to_owned).collect())
    }

    /// Makes sure that the metadata beside `url` names the policy `policy` (an envelope's address), and no other of `stale`.
    pub async fn stick_policy(&self, url: &Url, policy: &str, stale: &[String]) -> Result<Sticky, SolidError> {
        let held = self.policy_of(url).await?;
        let statement = |policy: &str| -> Result<String, SolidError> {
            Ok(format!("{} {} {} .", node(url.as_str())?, vocab::ODRL_HAS_POLICY, node(policy)?))
        };
        let gone = held.iter().filter(|h| stale.contains(h) && *h != policy).map(|h| statement(h)).collect::<Result<Vec<_>, _>>()?;
        let there = held.iter().any(|h| h == policy);
        if there && gone.is_empty() {
            return Ok(Sticky::Kept);
        }
        let new = if there { Vec::new() } else { vec![statement(policy)?] };
        let meta = self.meta_address(url).await?;
        self.patch(&meta, &gone, &new, If::Always).await?;
        Ok(if there { Sticky::Kept } else { Sticky::Reattached })
    }

    /// Reads the Entity in `url`, whichever profile it is in.
    pub async fn read_entity(&self, url: &Url) -> Result<(EntityDoc, Vec<Loss>, Option<String>), SolidError> {
        let accept = format!("{}, {};q=0.9", encode::LOSSLESS_TYPE, encode::PLAIN_TYPE);
        let mut found = self.read(url, &accept).await?;
        let ends_as_ngsi = found.kind == encode::LOSSLESS_TYPE || found.kind == "application/json";
        if ends_as_ngsi {
            match decode::lossless(self.contexts(), &found.body, self.clock().now()).await {
                Ok(entity) => return Ok((entity, Vec::new(), found.etag)),
                // A server turns Turtle into expanded JSON-LD when asked for JSON-LD: then the Turtle is read.
                Err(_) => found = self.read(url, encode::PLAIN_TYPE).await?,
            }
        }
        let (entity, losses) = decode::plain(&found.body, url.as_str()).map_err(|e| SolidError::malformed("resource", e.to_string()))?;
        Ok((EntityDoc::from_entity(&entity, self.clock().now()), losses, found.etag))
    }

    /// Writes `entity` to `url` in `profile`.
    pub async fn write_entity(&self, url: &Url, entity: &EntityDoc, profile: Profile, condition: If) -> Result<Vec<Loss>, SolidError> {
        let (body, losses) = match profile {
            Profile::Lossless => (Body::json_ld(encode::lossless(entity)), Vec::new()),
            Profile::Plain => {
                let tree = entity.to_entity().map_err(|e| SolidError::malformed("entity", e.to_string()))?;
                let (bytes, losses) = encode::plain(&tree).map_err(|e| SolidError::malformed("entity", e.to_string()))?;
                (Body::turtle(bytes), losses)
            }
        };
        self.put(url, body, condition).await?;
        Ok(losses)
    }
}
