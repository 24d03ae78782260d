//! Saying what is to be said: each pending message is sent until the other side took it or refused it for good.

use crate::connector::Connector;
use crate::fault::Fault;
use crate::process::{Negotiation, Transfer};
use serde_json::Value;
use std::time::Duration;
use waybill_http::{CallErrorKind, OutRequest};

/// The longest rest between two attempts, in microseconds.
const REST: i64 = 30_000_000;
/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// How many attempts a refusal is given: the other side may not have written down yet what this side answered it a moment ago, and then does
/// not know the process, or thinks that it is still its own turn.
const REFUSED_TRIES: u32 = 5;
/// How long the worker rests when nothing rings. The clock may be moved by hand.
const NAP: Duration = Duration::from_millis(100);

/// Between two looks at running transfers.
const TEND_REST: Duration = Duration::from_millis(100);
/// The same when nothing was changed: an end that comes by the clock.
const TEND_ANYWAY: Duration = Duration::from_secs(1);

/// The rest after `attempts` failed ones, in microseconds.
pub(crate) fn rest(attempts: u32) -> i64 {
    (200_000i64 << attempts.min(8)).min(REST)
}

/// What became of one attempt.
enum Sent {
    Taken(Value),
    Failed { why: String, again: bool },
}

impl Connector {
    /// Sends what is due, for ever.
    pub async fn run(self) {
        loop {
            match self.send_due().await {
                Ok(0) => {}
                Ok(_) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Err(fault) => tracing::warn!(code = fault.code, "messages are not sent: {}", fault.detail),
            }
            tokio::select! {
                () = self.0.bell.notified() => {}
                () = tokio::time::sleep(NAP) => {}
            }
        }
    }

    /// Looks at running transfers whenever something in the hub changed, and now and then because time passes, for ever.
    pub async fn watch(self) {
        loop {
            if let Err(fault) = self.tend().await {
                tracing::warn!(code = fault.code, "transfers are not looked after: {}", fault.detail);
            }
            let ledger = self.transfers();
            tokio::select! {
                () = ledger.rung() => tokio::time::sleep(TEND_REST).await,
                () = tokio::time::sleep(TEND_ANYWAY) => {}
            }
        }
    }

    /// Starts sending what is due. Answers how many messages that were.
    ///
    /// # Errors
    /// The store's.
    pub async fn send_due(&self) -> Result<usize, Fault> {
        let room = self.config().limits.at_once.saturating_sub(self.flights().len());
        if room == 0 {
            return Ok(0);
        }
        let mut started = 0;
        for entry in self.negotiations().due::<Negotiation>(room * 2).await? {
            let Some(pending) = entry.state.talk.pending.clone() else { continue };
            if started >= room || !self.flights().insert(entry.id.clone()) {
                continue;
            }
            started += 1;
            let this = self.clone();
            tokio::spawn(async move {
                let talk = &entry.state.talk;
                let done = match this.post(&talk.participant, &talk.address, &pending.path, &pending.body, pending.attempts).await {
                    Sent::Taken(answer) => this.negotiation_taken(&entry.id, pending.number, &answer).await,
                    Sent::Failed { why, again } => this.negotiation_failed(&entry.id, pending.number, &why, again).await,
                };
                this.landed(&entry.id, done);
            });
        }
        for entry in self.transfers().due::<Transfer>(room * 2).await? {
            let Some(pending) = entry.state.talk.pending.clone() else { continue };
            if started >= room || !self.flights().insert(entry.id.clone()) {
                continue;
            }
            started += 1;
            let this = self.clone();
            tokio::spawn(async move {
                let talk = &entry.state.talk;
                let sent = match this.with_secret(&entry.state, pending.message, &pending.body) {
                    Ok(body) => this.post(&talk.participant, &talk.address, &pending.path, &body, pending.attempts).await,
                    Err(fault) => Sent::Failed { why: fault.to_string(), again: false },
                };
                let done = match sent {
                    Sent::Taken(answer) => this.transfer_taken(&entry.id, pending.number, &answer).await,
                    Sent::Failed { why, again } => this.transfer_failed(&entry.id, pending.number, &why, again).await,
                };
                this.landed(&entry.id, done);
            });
        }
        Ok(started + self.send_flows(room.saturating_sub(started)).await?)
    }

    pub(crate) fn landed(&self, id: &str, done: Result<(), Fault>) {
        if let Err(fault) = done {
            tracing::warn!(code = fault.code, "the outcome of a message is not noted: {}", fault.detail);
        }
        self.flights().remove(id);
        self.0.bell.notify_one();
    }

    /// What an answer says, in the short form of the protocol; nothing where it cannot be read.
    pub(crate) async fn answered(&self, body: &[u8]) -> Value {
        match crate::foreign::short(&self.0.contexts, body, true).await {
            Ok(Some(value)) => value,
            Ok(None) => serde_json::from_slice(body).unwrap_or_default(),
            Err(fault) => {
                tracing::warn!(code = fault.code, "the answer of another connector is not understood: {}", fault.detail);
                Value::Null
            }
        }
    }

    async fn post(&self, participant: &str, address: &str, path: &str, body: &Value, attempts: u32) -> Sent {
        let config = self.config();
        let Some(who) = config.participant(participant) else {
            return Sent::Failed { why: "the participant is not configured any more".into(), again: true };
        };
        let url = format!("{}/{path}", address.trim_end_matches('/'));
        let mut request = OutRequest::post(&url, "application/json", body.to_string()).deadline(DEADLINE).max_response(MAX_ANSWER).template("dsp");
        // Credentials go to the connector that the participant is registered with, and nowhere else.
        if who.address.is_none() || who.owns(&url) {
            request = self.identity().show(request, &config, who);
        }
        waybill_exchange::crash_point("message");
        let answer = self.0.client.send(request).await;
        waybill_exchange::crash_point("messaged");
        match answer {
            Ok(answer) if answer.status.is_success() => {
                Sent::Taken(self.answered(&answer.body).await)
            }
            Ok(answer) => {
                let status = answer.status.as_u16();
                let said = said(&self.answered(&answer.body).await);
                let again = matches!(status, 408 | 425 | 429 | 500..=599) || (matches!(status, 400 | 401 | 403 | 404 | 409) && attempts < REFUSED_TRIES);
                Sent::Failed { why: format!("status {status}{said}"), again }
            }
            Err(error) => {
                let for_good = matches!(error.kind, CallErrorKind::BadAddress | CallErrorKind::RefusedAddress | CallErrorKind::Redirect);
                Sent::Failed { why: error.to_string(), again: !for_good }
            }
        }
    }
}

/// Code and reasons of an error body, for people.
pub(crate) fn said(body: &Value) -> String {
    if body.is_null() {
        return String::new();
    }
    let code = body.get("code").map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned)).unwrap_or_default();
    let reason = body.get("reason").and_then(Value::as_array).map(|r| crate::negotiation::words(r)).unwrap_or_default();
    format!(": {code} {reason}").chars().take(500).collect()
}
