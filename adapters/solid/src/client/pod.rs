//! One person's pod, as the hub reaches it.

use crate::client::access::Dialect;
use crate::client::discovery::{self, WebIdProfile};
use crate::client::link::{lies_in, link, links};
use crate::client::notify::webhook::Webhooks;
use crate::client::resource::Body;
use crate::client::session::Session;
use crate::config::{PodConfig, WatchConfig};
use crate::encode::PLAIN_TYPE;
use crate::error::SolidError;
use crate::fault;
use crate::vocab;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use url::Url;
use waybill_context::Contexts;
use waybill_http::{HeaderMap, Method};
use waybill_model::{Clock, Iri};

/// A pod that was found and may be worked with. Cheap to clone.
#[derive(Clone)]
pub struct SolidPod(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    contexts: Contexts,
    webhooks: Arc<Webhooks>,
    watch: WatchConfig,
    profile: WebIdProfile,
    issuer: Option<Url>,
    storage: Url,
    consents: Url,
    acknowledgements: Option<Url>,
    resources: Vec<Url>,
    metas: Mutex<HashMap<Url, Url>>,
    rules: Mutex<HashMap<Url, (Url, Option<Dialect>)>>,
    sticky: Mutex<BTreeMap<Url, String>>,
    wake: Arc<Notify>,
}

/// Remembered addresses beside resources are forgotten beyond this many.
const REMEMBERED: usize = 10_000;

impl SolidPod {
    /// Finds the pod of a person: profile, issuer check, storage, containers.
    ///
    /// # Errors
    /// [`SolidError::ForeignIssuer`] when the profile does not name the configured issuer, or none at all;
    /// [`SolidError::NotFoundInProfile`] when storage or consents container cannot be found.
    pub async fn connect(
        cfg: &PodConfig,
        session: Arc<Session>,
        contexts: Contexts,
        webhooks: Arc<Webhooks>,
        watch: WatchConfig,
    ) -> Result<Self, SolidError> {
        let profile = discovery::profile(session.client(), &cfg.web_id).await?;
        vouched(&profile, cfg.issuer.as_ref())?;
        let storage = discovery::storage(session.client(), &profile).await?;
        let mut index = TypeIndex { session: &session, profile: &profile, read: None };
        let consents = match &cfg.consents {
            Some(url) => url.clone(),
            None => index.first(vocab::WAYBILL_GRANT).await?.ok_or(SolidError::NotFoundInProfile("the container of grants"))?,
        };
        let acknowledgements = match &cfg.acknowledgements {
            Some(url) => Some(url.clone()),
            None => index.first(vocab::WAYBILL_ACKNOWLEDGEMENT).await?,
        };
        // What lies outside her storage is not hers, whoever names it.
        let inside = |url: &Url| lies_in(url, &storage) && url.path().ends_with('/');
        if !(inside(&consents) || fault::off("solid-container-outside")) || acknowledgements.as_ref().is_some_and(|url| !inside(url)) {
            return Err(SolidError::malformed("container", "it is no container in her storage"));
        }
        if cfg.resources.iter().any(|url| !lies_in(url, &storage)) {
            return Err(SolidError::malformed("resource", "it is not in her storage"));
        }
        Ok(Self(Arc::new(Inner {
            session,
            contexts,
            webhooks,
            watch,
            profile,
            issuer: cfg.issuer.clone(),
            storage,
            consents,
            acknowledgements,
            resources: cfg.resources.clone(),
            metas: Mutex::default(),
            rules: Mutex::default(),
            sticky: Mutex::default(),
            wake: Arc::new(Notify::new()),
        })))
    }

    /// Her WebID.
    pub fn web_id(&self) -> &Iri {
        &self.0.profile.web_id
    }
    /// Her profile, as it was when the pod was found.
    pub fn profile(&self) -> &WebIdProfile {
        &self.0.profile
    }
    /// The root of her storage.
    pub fn storage(&self) -> &Url {
        &self.0.storage
    }
    /// The container of her grants.
    pub fn consents(&self) -> &Url {
        &self.0.consents
    }
    /// The container that takes acknowledgements.
    pub fn acknowledgements(&self) -> Option<&Url> {
        self.0.acknowledgements.as_ref()
    }
    /// The resources and containers whose Entities the hub takes.
    pub fn resources(&self) -> &[Url] {
        &self.0.resources
    }
    /// The hub's session.
    pub fn session(&self) -> &Session {
        &self.0.session
    }
    pub(crate) fn clock(&self) -> &Clock {
        self.0.session.clock()
    }
    pub(crate) fn contexts(&self) -> &Contexts {
        &self.0.contexts
    }
    pub(crate) fn webhooks(&self) -> &Arc<Webhooks> {
        &self.0.webhooks
    }
    pub(crate) fn watch_config(&self) -> &WatchConfig {
        &self.0.watch
    }
    pub(crate) fn wake(&self) -> Arc<Notify> {
        self.0.wake.clone()
    }

    /// Whether a profile that was read later still names the issuer that must vouch for her.
    pub(crate) fn vouched(&self, profile: &WebIdProfile) -> Result<(), SolidError> {
        vouched(profile, self.0.issuer.as_ref())
    }

    /// Looks at the pod now, when it is being watched.
    pub fn look_now(&self) {
        self.0.wake.notify_one();
    }

    /// Keeps the policy `policy` (an envelope's address) beside `url` from now on: when another application's write strips it, the
    /// watch puts it there again. Nothing takes the duty away.
    pub fn keep_policy(&self, url: &Url, policy: Option<&str>) {
        let mut kept = self.0.sticky.lock().unwrap_or_else(PoisonError::into_inner);
        match policy {
            Some(policy) => kept.insert(url.clone(), policy.to_owned()),
            None => kept.remove(url),
        };
    }
    pub(crate) fn kept_policies(&self) -> Vec<(Url, String)> {
        self.0.sticky.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(u, p)| (u.clone(), p.clone())).collect()
    }

    pub(crate) fn known_meta(&self, url: &Url) -> Option<Url> {
        self.0.metas.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }
    pub(crate) fn remember_meta(&self, url: &Url, meta: Url) {
        let mut metas = self.0.metas.lock().unwrap_or_else(PoisonError::into_inner);
        if metas.len() >= REMEMBERED {
            metas.clear();
        }
        metas.insert(url.clone(), meta);
    }

    /// Where the access rules of `resource` lie, and in which dialect when the server says so.
    pub(crate) async fn rules_address(&self, resource: &Url) -> Result<(Url, Option<Dialect>), SolidError> {
        if let Some(known) = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner).get(resource) {
            return Ok(known.clone());
        }
        let answer = self.0.session.send(Method::HEAD, resource, HeaderMap::new(), Bytes::new()).await?;
        answer.success()?;
        let url = link(&answer.headers, resource, "acl").ok_or(SolidError::Unsupported("access rules"))?;
        if url.origin() != resource.origin() {
            return Err(SolidError::malformed("Link", "the access rules lie at another server"));
        }
        let about = self.0.session.send(Method::HEAD, &url, HeaderMap::new(), Bytes::new()).await?;
        let said = links(&about.headers, &url)
            .iter()
            .any(|l| l.target.as_str() == vocab::ACP_ACCESS_CONTROL_RESOURCE.as_str() && l.rels.iter().any(|r| r == "type"))
            .then_some(Dialect::Acp);
        let mut rules = self.0.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.len() >= REMEMBERED {
            rules.clear();
        }
        rules.insert(resource.clone(), (url.clone(), said));
        Ok((url, said))
    }

    /// Appends an acknowledgement (a JSON document) to her acknowledgements container and says where it lies.
    ///
    /// # Errors
    /// [`SolidError::NotFoundInProfile`] when she has no such container.
    pub async fn acknowledge(&self, document: &str) -> Result<Url, SolidError> {
        let container = self.acknowledgements().ok_or(SolidError::NotFoundInProfile("the container of acknowledgements"))?;
        self.post(container, "acknowledgement", Body::json(document.to_owned())).await
    }
}

fn vouched(profile: &WebIdProfile, issuer: Option<&Url>) -> Result<(), SolidError> {
    match issuer {
        Some(issuer) => profile.vouched_by(issuer.as_str()),
        None if profile.issuers.is_empty() => Err(SolidError::ForeignIssuer),
        None => Ok(()),
    }
}

struct TypeIndex<'a> {
    session: &'a Session,
    profile: &'a WebIdProfile,
    read: Option<Vec<(Url, Bytes)>>,
}

impl TypeIndex<'_> {
    async fn first(&mut self, class: oxrdf::NamedNodeRef<'static>) -> Result<Option<Url>, SolidError> {
        if self.read.is_none() {
            let mut documents = Vec::new();
            for url in &self.profile.type_indexes {
                let mut headers = HeaderMap::new();
                headers.insert(waybill_http::header::ACCEPT, waybill_http::HeaderValue::from_static(PLAIN_TYPE));
                let answer = self.session.send(Method::GET, url, headers, Bytes::new()).await?;
                // A private index that the hub may not read is as good as none.
                if answer.success().is_ok() {
                    documents.push((url.clone(), answer.body));
                }
            }
            self.read = Some(documents);
        }
        for (url, body) in self.read.iter().flatten() {
            if let Some(found) = discovery::registered(body, url, class)?.into_iter().find(|u| u.path().ends_with('/')) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
