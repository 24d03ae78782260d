//! The hub's account and the pods it serves, as the engine knows them: found when they can be, asked again when they cannot.

use crate::client::notify::webhook::Webhooks;
use crate::client::pod::SolidPod;
use crate::client::session::Session;
use crate::client::watch::{Known, PodEvent};
use crate::config::{PodConfig, SolidConfig};
use crate::error::SolidError;
use crate::health;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use url::Url;
use waybill_context::Contexts;
use waybill_http::Client;
use waybill_keys::Key;
use waybill_model::Iri;
use waybill_port::{AccessChange, BoxFuture, DeliveryError, Grants, Health, HealthState};

/// The hub's own account at a Solid server. Signs in when first needed.
pub struct Account {
    cfg: SolidConfig,
    client: Client,
    contexts: Contexts,
    assertion_key: Option<Key>,
    webhooks: Arc<Webhooks>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Account {
    /// The account; nothing is called yet. `assertion_key` (ES256) is needed for signing in by Client ID Document.
    pub fn new(cfg: SolidConfig, client: Client, contexts: Contexts, assertion_key: Option<Key>) -> Self {
        let webhooks = Arc::new(Webhooks::new(client.clone(), client.clock().clone(), cfg.public_url.clone()));
        Self { cfg, client, contexts, assertion_key, webhooks, session: Mutex::new(None) }
    }

    /// The webhooks, for the routes.
    pub fn webhooks(&self) -> Arc<Webhooks> {
        self.webhooks.clone()
    }

    /// The session, opened when there is none yet.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn session(&self) -> Result<Arc<Session>, SolidError> {
        let mut held = self.session.lock().await;
        if let Some(session) = &*held {
            return Ok(session.clone());
        }
        let session = Arc::new(Session::open(&self.cfg, self.client.clone(), self.assertion_key.clone()).await?);
        *held = Some(session.clone());
        Ok(session)
    }
}

/// One configured pod.
pub struct PodConnection {
    name: String,
    cfg: PodConfig,
    account: Arc<Account>,
    pod: Mutex<Option<SolidPod>>,
}

/// The first and the longest wait before a pod that was not found is looked for again.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

impl PodConnection {
    /// The connection `name`; nothing is called yet.
    pub fn new(name: impl Into<String>, cfg: PodConfig, account: Arc<Account>) -> Self {
        Self { name: name.into(), cfg, account, pod: Mutex::new(None) }
    }

    /// The pod, found when it was not yet.
    ///
    /// # Errors
    /// As [`Account::session`] and [`SolidPod::connect`].
    pub async fn pod(&self) -> Result<SolidPod, SolidError> {
        let mut held = self.pod.lock().await;
        if let Some(pod) = &*held {
            return Ok(pod.clone());
        }
        let session = self.account.session().await?;
        let Account { contexts, webhooks, cfg, .. } = &*self.account;
        let pod = SolidPod::connect(&self.cfg, session, contexts.clone(), webhooks.clone(), cfg.watch.clone()).await?;
        *held = Some(pod.clone());
        Ok(pod)
    }

    /// Finds the pod, however long that takes, and watches it until `tx` is closed.
    pub async fn run(&self, known: Known, tx: mpsc::Sender<PodEvent>) {
        let since = self.account.client.clock().now();
        let mut wait = WAITS.0;
        loop {
            match self.pod().await {
                Ok(pod) => return pod.watch(known, tx).await,
                Err(error) => {
                    if tx.send(PodEvent::Unreachable { since, reason: error.to_string() }).await.is_err() {
                        return;
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(WAITS.1),
                () = tx.closed() => return,
            }
        }
    }

    async fn change(&self, change: &AccessChange) -> Result<(), SolidError> {
        let pod = self.pod().await?;
        match change {
            AccessChange::Acknowledge { document } => pod.acknowledge(document).await.map(|_| ()),
            AccessChange::Remove { recipient, resource } => {
                let url = Url::parse(resource).map_err(|_| SolidError::malformed("resource", "not an address"))?;
                if !crate::client::link::lies_in(&url, pod.storage()) {
                    return Err(SolidError::malformed("resource", "it is not in her storage"));
                }
                match pod.take_access(&url, recipient).await {
                    // What is gone is closed to everybody.
                    Ok(_) | Err(SolidError::NotFound) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

impl From<SolidError> for DeliveryError {
    fn from(error: SolidError) -> Self {
        let text = error.to_string();
        if error.is_transient() { Self::retry(text) } else { Self::fatal(text) }
    }
}

impl Grants for PodConnection {
    fn connection(&self) -> &str {
        &self.name
    }
    fn serves(&self, subject: &Iri) -> bool {
        *subject == self.cfg.web_id
    }
    fn apply<'a>(&'a self, subject: &'a Iri, change: &'a AccessChange) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            if !self.serves(subject) {
                return Err(DeliveryError::fatal("this pod is somebody else's"));
            }
            self.change(change).await.map_err(DeliveryError::from)
        })
    }
}

impl Health for PodConnection {
    fn check(&self) -> BoxFuture<'_, HealthState> {
        Box::pin(async move {
            let fault = match self.pod().await {
                Ok(pod) => health::check(&pod).await.fault,
                Err(error) => Some(error.to_string()),
            };
            fault.map_or(HealthState::Up, |detail| HealthState::Down { detail })
        })
    }
}
