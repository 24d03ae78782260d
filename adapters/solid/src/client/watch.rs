//! Watching a pod: grants that come, change and go; resources whose Entities the hub takes; policies that must stay.

use crate::client::evidence::{Evidence, content, says_withdrawn, unproven};
use crate::client::link::lies_in;
use crate::client::notify::Channels;
use crate::client::pod::SolidPod;
use crate::client::resource::{Read, Sticky};
use crate::decode;
use crate::encode;
use crate::error::SolidError;
use crate::fault;
use crate::loss::Loss;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc;
use url::Url;
use waybill_model::{DateTime, EntityDoc, Iri};

/// One person does not give more grants than this. Those that were taken are looked at first.
const MOST_GRANTS: usize = 1000;

/// A grant document that is new or has changed.
#[derive(Debug, Clone)]
pub struct GrantSeen {
    /// Whose pod it lies in.
    pub subject: Iri,
    /// Its address.
    pub url: Url,
    /// Its bytes, as they came.
    pub document: Bytes,
    /// Its media type.
    pub media_type: String,
    /// Its entity tag.
    pub etag: Option<String>,
    /// SHA-256 of its bytes, for [`KnownGrant`].
    pub sha256: [u8; 32],
    /// What shows that it is hers.
    pub evidence: Evidence,
    /// Whether it counts as hers: the evidence says so, and the hub never saw these bytes where somebody else could write.
    pub hers: bool,
    /// When the hub read it.
    pub seen_at: DateTime,
}

impl GrantSeen {
    /// The grant itself: what was signed, or the document.
    pub fn content(&self) -> &[u8] {
        content(&self.document, &self.evidence)
    }
}

/// Why a grant is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// The document was removed.
    Removed,
    /// The document says that it is withdrawn.
    Withdrawn,
    /// The hub may not read it any more: she took the access back.
    AccessLost,
    /// Something else stands in its place that does not count as hers.
    Replaced,
}

/// A grant document that is no more, or no longer grants.
#[derive(Debug, Clone)]
pub struct GrantGone {
    /// Whose pod it lay in.
    pub subject: Iri,
    /// Its address.
    pub url: Url,
    /// Why.
    pub why: Gone,
    /// What stands there instead, when it says that it is withdrawn.
    pub document: Option<Box<GrantSeen>>,
    /// When the hub noticed.
    pub seen_at: DateTime,
}

/// What the watch tells. Events may come again after an error; all are safe to take twice.
#[derive(Debug, Clone)]
pub enum PodEvent {
    /// A grant is new or has changed.
    GrantSeen(Box<GrantSeen>),
    /// A grant is no more.
    GrantGone(GrantGone),
    /// A resource holds this Entity now.
    EntitySeen {
        /// The resource.
        url: Url,
        /// The Entity.
        entity: Box<EntityDoc>,
        /// What the resource held that an Entity cannot.
        losses: Vec<Loss>,
    },
    /// A resource that held an Entity is gone or closed to the hub.
    EntityGone {
        /// The resource.
        url: Url,
    },
    /// A policy was stripped from a resource and put there again.
    PolicyReattached {
        /// The resource.
        url: Url,
    },
    /// Every grant and resource was looked at: what was not told about is as it was.
    Settled {
        /// When.
        at: DateTime,
        /// Topics that the server tells the hub of by webhook.
        webhooks: usize,
        /// Topics that it tells the hub of by WebSocket.
        sockets: usize,
    },
    /// The pod could not be looked at. What is known of it grows old.
    Unreachable {
        /// Since when.
        since: DateTime,
        /// Why, without personal data.
        reason: String,
    },
}

/// A grant that the hub took before, so that a watch that begins again tells only what changed meanwhile, removals included.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KnownGrant {
    /// Its address.
    pub url: Url,
    /// SHA-256 of the bytes that were taken.
    pub sha256: [u8; 32],
    /// Whether they counted as hers.
    pub hers: bool,
}

/// What the hub took from a pod before.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The grants.
    pub grants: Vec<KnownGrant>,
    /// The resources that Entities came from.
    pub resources: Vec<Url>,
}

impl From<Vec<KnownGrant>> for Known {
    fn from(grants: Vec<KnownGrant>) -> Self {
        Self { grants, ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Document {
    etag: Option<String>,
    sha256: Option<[u8; 32]>,
    hers: bool,
    /// These bytes were seen where somebody else could have written them: rules that are made tighter later do not heal that.
    tainted: bool,
    withdrawn: bool,
}

struct Watch {
    pod: SolidPod,
    grants: BTreeMap<Url, Document>,
    resources: BTreeMap<Url, Document>,
    /// Documents that could not be read when they were looked at last, and as how manieth.
    failing: BTreeMap<Url, Reverse<usize>>,
    /// The first fault of this look.
    missed: Option<SolidError>,
    unreachable_since: Option<DateTime>,
    tx: mpsc::Sender<PodEvent>,
}

/// The receiver is gone: the watch ends.
struct Closed;

enum Fault {
    Closed,
    Pod(SolidError),
}
impl From<Closed> for Fault {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}
impl From<SolidError> for Fault {
    fn from(error: SolidError) -> Self {
        Self::Pod(error)
    }
}

impl SolidPod {
    /// Watches the pod until `tx` is closed: looks at once, then whenever the server tells of a change, and at every poll. `known` is
    /// what the hub took before.
    pub async fn watch(&self, known: Known, tx: mpsc::Sender<PodEvent>) {
        let grants = known
            .grants
            .into_iter()
            .map(|k| (k.url, Document { sha256: Some(k.sha256), hers: k.hers, ..Document::default() }))
            .collect();
        let resources = known.resources.into_iter().map(|url| (url, Document::default())).collect();
        let mut watch = Watch { pod: self.clone(), grants, resources, failing: BTreeMap::new(), missed: None, unreachable_since: None, tx };
        let mut channels = Channels::new(self.clone());
        let wake = self.wake();
        // Subscribe first, then look: what changes in between is then told.
        channels.keep(&watch.topics()).await;
        let mut told = true;
        loop {
            match watch.look(told, channels.counts()).await {
                Err(Fault::Closed) => break,
                Err(Fault::Pod(error)) => {
                    if watch.unreachable(&error).await.is_err() {
                        break;
                    }
                }
                Ok(()) => {}
            }
            if channels.keep(&watch.topics()).await {
                // Something new is subscribed: what happened to it meanwhile was told to nobody.
                wake.notify_one();
            }
            tokio::select! {
                () = wake.notified() => told = true,
                () = tokio::time::sleep(self.watch_config().poll()) => told = false,
                () = watch.tx.closed() => break,
            }
        }
        channels.end_all().await;
    }
}

impl Watch {
    fn topics(&self) -> BTreeSet<Url> {
        let mut out = BTreeSet::from([self.pod.consents().clone()]);
        out.extend(self.grants.keys().cloned());
        out.extend(self.pod.resources().iter().cloned());
        // What was taken from elsewhere before is asked about no more: the first look lets it go.
        out.extend(self.resources.keys().filter(|url| lies_in(url, self.pod.storage())).cloned());
        out.extend(self.pod.kept_policies().into_iter().map(|(url, _)| url));
        out
    }

    async fn tell(&self, event: PodEvent) -> Result<(), Closed> {
        self.tx.send(event).await.map_err(|_| Closed)
    }

    async fn unreachable(&mut self, error: &SolidError) -> Result<(), Closed> {
        let since = *self.unreachable_since.get_or_insert_with(|| self.pod.clock().now());
        self.tell(PodEvent::Unreachable { since, reason: error.to_string() }).await
    }

    /// Looks at everything once. `told`: a change was announced, so everything is read anew; else entity tags are trusted.
    /// What cannot be read hides nothing that can: the rest is looked at, and the first fault told at the end.
    async fn look(&mut self, told: bool, (webhooks, sockets): (usize, usize)) -> Result<(), Fault> {
        self.missed = None;
        let grants = self.look_at_grants(told).await;
        self.passed(grants)?;
        self.look_at_resources(told).await?;
        for (url, policy) in self.pod.kept_policies() {
            match self.pod.stick_policy(&url, &policy, &[]).await {
                Ok(Sticky::Reattached) => self.tell(PodEvent::PolicyReattached { url }).await?,
                Ok(Sticky::Kept) | Err(SolidError::NotFound | SolidError::Forbidden) => {}
                Err(error) => self.miss(error)?,
            }
        }
        if let Some(error) = self.missed.take() {
            return Err(error.into());
        }
        self.unreachable_since = None;
        self.tell(PodEvent::Settled { at: self.pod.clock().now(), webhooks, sockets }).await?;
        Ok(())
    }

    /// Notes a fault of something, for the end of the look. When the hub cannot sign in, nothing else can be read either.
    fn miss(&mut self, error: SolidError) -> Result<(), Fault> {
        if matches!(error, SolidError::SignIn(_)) {
            return Err(error.into());
        }
        self.missed.get_or_insert(error);
        Ok(())
    }

    /// Whether something was read; when not, it is passed over.
    fn passed(&mut self, looked: Result<(), Fault>) -> Result<bool, Fault> {
        match looked {
            Err(Fault::Pod(error)) => self.miss(error).map(|()| false),
            other => other.map(|()| true),
        }
    }

    async fn look_at_grants(&mut self, told: bool) -> Result<(), Fault> {
        let listed = match self.pod.list(self.pod.consents()).await {
            Ok((listed, _)) => listed,
            Err(SolidError::Forbidden) => return self.all_gone(Gone::AccessLost).await,
            Err(SolidError::NotFound) => return self.all_gone(Gone::Removed).await,
            Err(error) => return Err(error.into()),
        };
        let gone: Vec<Url> = self.grants.keys().filter(|url| !listed.contains(url)).cloned().collect();
        for url in gone {
            self.gone(&url, Gone::Removed).await?;
        }
        let mut documents: Vec<Url> = listed.into_iter().filter(|url| !url.path().ends_with('/')).collect();
        // A withdrawal waits for nothing: neither for documents that were never taken, nor for those that failed. Of these the last comes
        // first, since it may have failed for the sake of the others only: the client gives an origin that fails a rest.
        documents.sort_by_key(|url| (!self.grants.contains_key(url), self.failing.get(url).copied()));
        if documents.len() > MOST_GRANTS {
            documents.truncate(MOST_GRANTS);
            self.miss(SolidError::malformed("container of grants", format!("it holds more than {MOST_GRANTS}")))?;
        }
        let mut failing = BTreeMap::new();
        for url in documents {
            let looked = self.look_at_grant(&url, told).await;
            if !self.passed(looked)? {
                failing.insert(url, Reverse(failing.len()));
            }
        }
        self.failing = failing;
        Ok(())
    }

    async fn all_gone(&mut self, why: Gone) -> Result<(), Fault> {
        let urls: Vec<Url> = self.grants.keys().cloned().collect();
        for url in urls {
            self.gone(&url, why).await?;
        }
        Ok(())
    }

    async fn gone(&mut self, url: &Url, why: Gone) -> Result<(), Fault> {
        let Some(document) = self.grants.get(url) else { return Ok(()) };
        if !document.withdrawn {
            self.tell_gone(url, why, None).await?;
        }
        // Forgotten only once it is told: a watch that is cut off here tells it again.
        self.grants.remove(url);
        Ok(())
    }

    async fn tell_gone(&self, url: &Url, why: Gone, document: Option<Box<GrantSeen>>) -> Result<(), Closed> {
        let (subject, seen_at) = (self.pod.web_id().clone(), self.pod.clock().now());
        self.tell(PodEvent::GrantGone(GrantGone { subject, url: url.clone(), why, document, seen_at })).await
    }

    async fn look_at_grant(&mut self, url: &Url, told: bool) -> Result<(), Fault> {
        let held = self.grants.get(url);
        // A document that did not count may count later (she lets the hub see the rules): those are looked at every time.
        let settled = held.is_some_and(|d| d.hers || d.withdrawn);
        let unless = held.filter(|_| !told && settled).and_then(|d| d.etag.as_deref());
        let read = match self.pod.get(url, "*/*", unless).await {
            Ok(None) => return Ok(()),
            Ok(Some(read)) => read,
            Err(SolidError::NotFound) => return self.gone(url, Gone::Removed).await,
            Err(SolidError::Forbidden) => return self.gone(url, Gone::AccessLost).await,
            Err(SolidError::TooLarge) => {
                // It stays as it is until she changes it: no grant, whatever it was.
                self.gone(url, Gone::Replaced).await?;
                return Err(SolidError::TooLarge.into());
            }
            Err(error) => return Err(error.into()),
        };
        let sha256 = waybill_keys::sha256(&read.body);
        let same = held.is_some_and(|d| d.sha256 == Some(sha256));
        if same && settled {
            if let Some(document) = self.grants.get_mut(url) {
                document.etag = read.etag;
            }
            return Ok(());
        }
        self.take_grant(url, read, sha256, same).await
    }

    async fn take_grant(&mut self, url: &Url, read: Read, sha256: [u8; 32], same: bool) -> Result<(), Fault> {
        let withdrawn = says_withdrawn(&unproven(&read.body));
        let evidence = match self.pod.evidence(url, &read.body).await {
            Err(error) if withdrawn => Evidence::Nothing { reason: error.to_string() },
            other => other?,
        };
        let before = self.grants.get(url);
        let tainted = evidence.shows_others() || (same && before.is_some_and(|d| d.tainted));
        let hers = evidence.shows_hers() && (!tainted || fault::off("solid-evidence-taint"));
        let document = Document { etag: read.etag.clone(), sha256: Some(sha256), hers, tainted, withdrawn };
        if same && before.is_some_and(|d| d.hers == hers) {
            self.grants.insert(url.clone(), document);
            return Ok(());
        }
        let replaced = !hers && before.is_some_and(|d| d.hers && !d.withdrawn);
        let (subject, seen_at) = (self.pod.web_id().clone(), self.pod.clock().now());
        let Read { body, kind, etag, .. } = read;
        let seen = GrantSeen { subject, url: url.clone(), document: body, media_type: kind, etag, sha256, evidence, hers, seen_at };
        if withdrawn {
            // Whoever says so: it closes.
            self.tell_gone(url, Gone::Withdrawn, Some(Box::new(seen))).await?;
        } else {
            if replaced {
                self.tell_gone(url, Gone::Replaced, None).await?;
            }
            self.tell(PodEvent::GrantSeen(Box::new(seen))).await?;
        }
        self.grants.insert(url.clone(), document);
        Ok(())
    }

    async fn look_at_resources(&mut self, told: bool) -> Result<(), Fault> {
        let (mut wanted, mut unseen) = (BTreeSet::new(), Vec::new());
        for url in self.pod.resources().to_vec() {
            if !url.path().ends_with('/') {
                wanted.insert(url);
                continue;
            }
            match self.pod.list(&url).await {
                Ok((listed, _)) => wanted.extend(listed.into_iter().filter(|u| !u.path().ends_with('/'))),
                Err(SolidError::Forbidden | SolidError::NotFound) => {}
                Err(error) => {
                    self.miss(error)?;
                    unseen.push(url);
                }
            }
        }
        // Grants and acknowledgements may lie in a container of data; they are no data.
        let aside = [Some(self.pod.consents()), self.pod.acknowledgements()];
        wanted.retain(|url| !aside.iter().flatten().any(|container| lies_in(url, container)));
        let is_gone = |url: &&Url| !wanted.contains(*url) && !unseen.iter().any(|container| lies_in(url, container));
        let gone: Vec<Url> = self.resources.keys().filter(is_gone).cloned().collect();
        for url in gone {
            self.tell(PodEvent::EntityGone { url: url.clone() }).await?;
            self.resources.remove(&url);
        }
        for url in wanted {
            let looked = self.look_at_resource(&url, told).await;
            self.passed(looked)?;
        }
        Ok(())
    }

    async fn look_at_resource(&mut self, url: &Url, told: bool) -> Result<(), Fault> {
        let held = self.resources.get(url);
        let unless = held.filter(|_| !told).and_then(|d| d.etag.as_deref());
        let read = match self.pod.get(url, "*/*", unless).await {
            Ok(None) => return Ok(()),
            Ok(Some(read)) => read,
            // What is that large is no Entity either.
            Err(SolidError::NotFound | SolidError::Forbidden | SolidError::TooLarge) => {
                if self.resources.contains_key(url) {
                    self.tell(PodEvent::EntityGone { url: url.clone() }).await?;
                    self.resources.remove(url);
                }
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let sha256 = waybill_keys::sha256(&read.body);
        if held.is_none_or(|d| d.sha256 != Some(sha256)) {
            let now = self.pod.clock().now();
            let decoded = if read.kind == encode::PLAIN_TYPE {
                decode::plain(&read.body, url.as_str()).map(|(entity, losses)| (EntityDoc::from_entity(&entity, now), losses))
            } else {
                decode::lossless(self.pod.contexts(), &read.body, now).await.map(|entity| (entity, Vec::new()))
            };
            match decoded {
                Ok((entity, losses)) => self.tell(PodEvent::EntitySeen { url: url.clone(), entity: Box::new(entity), losses }).await?,
                // Photographs and letters lie in pods too: what is no Entity is left alone.
                Err(_) if held.is_some() => self.tell(PodEvent::EntityGone { url: url.clone() }).await?,
                Err(_) => {}
            }
        }
        let document = Document { etag: read.etag, sha256: Some(sha256), ..Document::default() };
        self.resources.insert(url.clone(), document);
        Ok(())
    }
}
