//! What other hubs publish, fetched and verified: manifests, envelopes, keys.

use crate::follow::encode;
use crate::hub::Hub;
use waybill_consent::{Envelope, Manifest, StatementError};
use waybill_gate::{INBOUND, Inbound, InboundState};
use waybill_keys::KeySet;
use waybill_model::{EnvelopeHash, Problem, ProblemCode};
use waybill_store::Batch;

/// For how long another hub's keys are not fetched again, in seconds.
const KEYS_FRESH: i64 = 60;
/// After how many seconds they are fetched once more for a key that is not among them.
const KEYS_AGAIN: i64 = 2;
/// For how long they count while it cannot be reached, in seconds.
const KEYS_KEPT: i64 = 600;

impl Hub {
    /// The verified manifest at `url`, which must lie at `hub` and be for this hub's party. One that was fetched already is taken as it is.
    pub(crate) async fn manifest_from(&self, hub: &str, url: &str) -> Result<Manifest, Problem> {
        let text = if !url.contains("://") {
            url.to_owned()
        } else if url.starts_with(&format!("{hub}/")) {
            self.fetched(url).await?
        } else {
            return Err(Problem::new(ProblemCode("foreign-manifest"), 400, "Manifest refused", "it does not lie at the sender"));
        };
        let now = self.inner.clock.now();
        let manifest = self.by_keys_of(hub, |keys| Manifest::verify(text.trim(), keys, now)).await?;
        if manifest.claims.aud != self.governance().party {
            return Err(Problem::new(ProblemCode("statement-audience"), 400, "Manifest refused", "it is for another recipient"));
        }
        Ok(manifest)
    }

    /// Makes sure that the envelope is here, verified, from `hub`, and for this hub's party. Answers its state and its row's revision.
    ///
    /// # Errors
    /// `foreign-tag` when another hub issued it; what does not verify; the peer's; the store's.
    pub(crate) async fn envelope_from(&self, hub: &str, hash: EnvelopeHash, url: &str) -> Result<(InboundState, u64), Problem> {
        let at = hash.to_string();
        let read = || {
            let at = at.clone();
            self.inner.store.read(move |r| Ok(r.doc(INBOUND, &at)?.and_then(|d| Some((serde_json::from_slice::<Inbound>(&d.payload).ok()?, d.revision)))))
        };
        for _ in 0..4 {
            if let Some((row, revision)) = read().await? {
                if row.sender != hub {
                    return Err(Problem::new(ProblemCode("foreign-tag"), 400, "Tag refused", "its envelope is of another hub"));
                }
                // An event may have come before the envelope: then the state is here, and the text is not.
                if !row.jws.is_empty() || row.state == InboundState::Withdrawn {
                    return Ok((row.state, revision));
                }
            }
            let text = self.fetched(url).await?;
            self.take_envelope(hub, hash, text.trim()).await?;
        }
        Err(Problem::new(ProblemCode("peer-document"), 503, "Not fetched", "the envelope is not there yet"))
    }

    /// Verifies and stores an envelope that came from `hub`. Where an event about it came first, what that said stands.
    ///
    /// # Errors
    /// What does not verify, or is for another; the peer's; the store's.
    pub(crate) async fn take_envelope(&self, hub: &str, hash: EnvelopeHash, compact: &str) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let envelope = self.by_keys_of(hub, |keys| Envelope::verify(compact, keys, now)).await?;
        if envelope.hash != hash {
            return Err(Problem::new(ProblemCode("envelope-hash"), 400, "Envelope refused", "its text is not what its name says"));
        }
        if envelope.claims.aud != self.governance().party {
            return Err(Problem::new(ProblemCode("statement-audience"), 400, "Envelope refused", "it is for another recipient"));
        }
        let (at, hub, jws) = (hash.to_string(), hub.to_owned(), compact.to_owned());
        let mut batch = Batch::new();
        batch.then(move |r| {
            let mut batch = Batch::new();
            let known = r.doc(INBOUND, &at)?.and_then(|d| serde_json::from_slice::<Inbound>(&d.payload).ok());
            let state = match known {
                None => InboundState::Live,
                Some(row) if row.jws.is_empty() && row.sender == hub => row.state,
                Some(_) => return Ok(batch),
            };
            batch.put_doc(INBOUND, &at, encode(&Inbound { jws, sender: hub, state }), None);
            Ok(batch)
        });
        self.commit(batch).await.map(drop)
    }

    pub(crate) async fn fetched(&self, url: &str) -> Result<String, Problem> {
        let Some(notices) = self.inner.notices.get() else {
            return Err(Problem::new(ProblemCode("no-peers"), 503, "Not reachable", "nothing fetches documents of other hubs"));
        };
        notices.fetch(url).await.map_err(|e| {
            let status = if e.retry { 503 } else { 400 };
            Problem::new(ProblemCode("peer-document"), status, "Not fetched", e.detail)
        })
    }

    /// The keys that `hub` publishes, from its own key document: as fetched within the last minute. While it cannot be reached, those of
    /// the last minutes still count, so that what it signed before can be admitted.
    async fn keys_of(&self, hub: &str) -> Result<KeySet, Problem> {
        self.keys_within(hub, KEYS_FRESH).await
    }

    async fn keys_within(&self, hub: &str, fresh: i64) -> Result<KeySet, Problem> {
        let now = self.inner.clock.now();
        let known = self.inner.peer_keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get(hub).cloned();
        let younger = |seconds: i64| known.clone().filter(|(at, _)| *at <= now && now <= at.plus_seconds(seconds)).map(|(_, keys)| keys);
        if let Some(keys) = younger(fresh) {
            return Ok(keys);
        }
        let bad = |detail: String| Problem::new(ProblemCode("peer-keys"), 400, "Keys refused", detail);
        let text = match self.fetched(&format!("{hub}/.well-known/did.json")).await {
            Ok(text) => text,
            Err(problem) => return younger(KEYS_KEPT).ok_or(problem),
        };
        let document: serde_json::Value = serde_json::from_str(&text).map_err(|_| bad("the key document is not JSON".into()))?;
        let keys = KeySet::from_did_document(&document, &crate::notice::did_of(hub)).map_err(|e| bad(e.to_string()))?;
        self.inner.peer_keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(hub.to_owned(), (now, keys.clone()));
        Ok(keys)
    }

    /// What `verify` says by the keys of `hub`. A key that is not among those at hand may be new, so they are fetched once more for it.
    pub(crate) async fn by_keys_of<T>(&self, hub: &str, verify: impl Fn(&KeySet) -> Result<T, StatementError>) -> Result<T, Problem> {
        match verify(&self.keys_of(hub).await?) {
            Err(StatementError::Jws(waybill_keys::JwsError::UnknownKey)) => {
                // Anybody can name a key that does not exist: that neither costs the keys at hand nor a call each time.
                Ok(verify(&self.keys_within(hub, KEYS_AGAIN).await?)?)
            }
            other => Ok(other?),
        }
    }

    /// The same for a notice that `hub` sends. While its keys cannot be fetched, the answer is a 424, to be tried again, and no 503: a
    /// sender gives whoever answers that a rest, then cannot be asked for a key itself, and two hubs that both do so hear each other no more.
    pub(crate) async fn noticed_by<T>(&self, hub: &str, verify: impl Fn(&KeySet) -> Result<T, StatementError>) -> Result<T, Problem> {
        self.by_keys_of(hub, verify).await.map_err(|problem| {
            if problem.code == "peer-document" && problem.status == 503 { Problem { status: 424, ..problem } } else { problem }
        })
    }
}
