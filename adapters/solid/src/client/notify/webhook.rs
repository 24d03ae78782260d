//! The receiving end of webhooks: who may call, and whether it is they who do.

use super::{Ticket, subscribe};
use crate::client::discovery::profile;
use crate::client::link::lies_in;
use crate::client::pod::SolidPod;
use crate::config::Channel;
use crate::error::SolidError;
use crate::fault;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use url::Url;
use waybill_http::{Client, IssuerConfig, ProofExpectation, ReplayCache, TokenVerifier, VerifierConfig, verify_proof};
use waybill_model::{Clock, DateTime, Iri, Problem, ProblemCode};

/// What is known of a webhook that the hub asked for.
#[derive(Clone)]
struct Expected {
    topic: Url,
    send_to: Url,
    /// Who calls; known once the server answered.
    caller: Option<(Iri, Arc<TokenVerifier>)>,
    wake: Arc<Notify>,
}

/// All webhooks of the hub.
pub struct Webhooks {
    client: Client,
    clock: Clock,
    base: Option<Url>,
    replay: ReplayCache,
    expected: Mutex<HashMap<String, Expected>>,
    verifiers: Mutex<HashMap<Vec<String>, Arc<TokenVerifier>>>,
}

/// Why a call to a webhook was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Nobody was given this address.
    #[error("there is no such webhook")]
    Unknown,
    /// The caller did not show that it is the one that was asked to call.
    #[error("the caller did not show who it is: {0}")]
    Caller(String),
    /// The message is not about what was subscribed.
    #[error("the message is not a notification of what was subscribed")]
    Message,
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        let (code, status) = match error {
            WebhookError::Unknown => ("webhook-unknown", 404),
            WebhookError::Caller(_) => ("webhook-caller-refused", 401),
            WebhookError::Message => ("webhook-message-refused", 400),
        };
        Problem::new(ProblemCode(code), status, "Notification refused", error.to_string())
    }
}

/// A webhook's way to be held: what the server granted, its own name, and no socket.
pub(super) type Begun = (Ticket, Option<String>, Option<JoinHandle<()>>);

impl Webhooks {
    /// Webhooks below `base` (with its slash at the end); without it none can be asked for.
    pub fn new(client: Client, clock: Clock, base: Option<Url>) -> Self {
        Self { client, clock, base, replay: ReplayCache::default(), expected: Mutex::default(), verifiers: Mutex::default() }
    }

    pub(super) async fn begin(self: Arc<Self>, pod: &SolidPod, service: &Url, topic: &Url, ends: DateTime) -> Result<Begun, SolidError> {
        let base = self.base.as_ref().ok_or(SolidError::Unsupported("webhooks: the hub has no public address"))?;
        // The name cannot be guessed; still every call must show who makes it.
        let name = waybill_keys::b64url(waybill_keys::random::<24>());
        let send_to = base.join(&format!("webhook/{name}")).map_err(|_| SolidError::malformed("public address", "nothing can be added to it"))?;
        let expected = Expected { topic: topic.clone(), send_to: send_to.clone(), caller: None, wake: pod.wake() };
        self.lock().insert(name.clone(), expected);
        let outcome = self.introduce(pod, service, topic, &send_to, ends).await;
        match outcome {
            Ok((ticket, caller)) => {
                if let Some(expected) = self.lock().get_mut(&name) {
                    expected.caller = Some(caller);
                }
                Ok((ticket, Some(name), None))
            }
            Err(error) => {
                self.forget(&name);
                Err(error)
            }
        }
    }

    async fn introduce(
        &self,
        pod: &SolidPod,
        service: &Url,
        topic: &Url,
        send_to: &Url,
        ends: DateTime,
    ) -> Result<(Ticket, (Iri, Arc<TokenVerifier>)), SolidError> {
        let ticket = subscribe(pod.session(), service, Channel::Webhook, topic, Some(send_to), ends).await?;
        let sender = ticket.sender.clone().ok_or(SolidError::Unsupported("webhooks whose sender has a name"))?;
        // The same rule as for people: only the issuer that the sender's own profile names may vouch for it.
        let issuers = profile(pod.session().client(), &sender).await?.issuers;
        if issuers.is_empty() {
            return Err(SolidError::ForeignIssuer);
        }
        let verifier = self.verifier(issuers);
        Ok((ticket, (sender, verifier)))
    }

    fn verifier(&self, issuers: Vec<String>) -> Arc<TokenVerifier> {
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        let config = |issuer: &String| IssuerConfig { issuer: issuer.clone(), audiences: vec!["solid".into()], jwks_uri: None };
        let made = || Arc::new(TokenVerifier::new(self.client.clone(), VerifierConfig::new(issuers.iter().map(config).collect())));
        verifiers.entry(issuers.clone()).or_insert_with(made).clone()
    }

    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Expected>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses that are waited at now, for the health page and tests.
    pub fn addresses(&self) -> Vec<Url> {
        self.lock().values().map(|e| e.send_to.clone()).collect()
    }

    /// Takes a call to the webhook `name`. When it is genuine the pod is looked at; nothing in the message is believed.
    ///
    /// # Errors
    /// [`WebhookError`] when the name is unknown, the caller is not the one that was asked to call (access token by an issuer of the
    /// sender's profile, bound to the key of a fresh proof for exactly this address), or the message is about something else.
    pub async fn receive(&self, name: &str, authorization: Option<&str>, proof: Option<&str>, body: &[u8]) -> Result<(), WebhookError> {
        let expected = self.lock().get(name).cloned().ok_or(WebhookError::Unknown)?;
        let refuse = |why: &str| WebhookError::Caller(why.to_owned());
        let (sender, verifier) = expected.caller.ok_or_else(|| refuse("it calls before it was introduced"))?;
        let token = authorization
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("DPoP"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| refuse("no access token bound to a key"))?;
        let proof = proof.ok_or_else(|| refuse("no proof of the key"))?;
        let now = self.clock.now();
        let verified = verifier.verify(token, now).await.map_err(|e| WebhookError::Caller(e.to_string()))?;
        if verified.claims.webid.as_deref() != Some(sender.as_str()) && !fault::off("solid-webhook-sender") {
            return Err(refuse("the token is for somebody else than the sender that was named"));
        }
        let bound = verified.claims.key_thumbprint.as_deref().ok_or_else(|| refuse("the token is bound to no key"))?;
        let wanted = ProofExpectation { method: "POST", url: expected.send_to.as_str(), access_token: None, key_thumbprint: Some(bound) };
        if !fault::off("solid-webhook-proof") {
            verify_proof(proof, &wanted, now, &self.replay).map_err(|e| WebhookError::Caller(e.to_string()))?;
        }
        if !is_about(body, &expected.topic) {
            return Err(WebhookError::Message);
        }
        expected.wake.notify_one();
        Ok(())
    }
}

/// Whether a notification is about `topic` or something in it.
fn is_about(body: &[u8], topic: &Url) -> bool {
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        object: Option<String>,
        #[serde(default)]
        target: Option<String>,
    }
    let Ok(message) = serde_json::from_slice::<Message>(body) else { return false };
    [message.object, message.target].iter().flatten().filter_map(|text| Url::parse(text).ok()).any(|url| url == *topic || lies_in(&url, topic))
}
