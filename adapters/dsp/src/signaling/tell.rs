//! What the data plane tells the control plane (DPS, "Control Plane Endpoint"), and what it finds out by itself.
//!
//! There is no call that says that a flow was suspended here: `errored` is the one by which a data plane says that it does not go on, and it
//! moves no state on the other side ("Errored"). So when nobody agrees any more the hub kills the token, holds the flow in SUSPENDED and
//! calls `errored` with that state and the reason; the control plane decides what becomes of the transfer, and a `resume` brings a fresh
//! token once somebody agrees again. When the agreement is over the flow is TERMINATED, and the same call says so.

use super::flow::{Call, Flow};
use super::messages::status;
use super::states::{FlowEvent, FlowState};
use crate::config::ControlPlane;
use crate::connector::{Connector, segment};
use crate::fault::Fault;
use crate::flow::{Kept, Sending, feed_id};
use crate::machine::Role;
use crate::plane::{Claims, NOBODY_LEFT};
use crate::process::{Agreed, Failure};
use serde_json::{Value, json};
use std::time::Duration;
use waybill_http::OutRequest;
use waybill_model::DateTime;

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_ANSWER: usize = 64 << 10;
/// How often a call is made that the control plane refuses: it may not have written down yet what it was answered a moment ago.
const REFUSED_TRIES: u32 = 5;

/// What became of one attempt.
enum Called {
    Taken,
    Failed { why: String, again: bool },
}

impl Connector {
    /// Starts making the calls that are due, and what scripts do. Answers how many that were.
    pub(crate) async fn send_flows(&self, room: usize) -> Result<usize, Fault> {
        let mut started = 0;
        for entry in self.flows().due::<Flow>(room.saturating_mul(2)).await? {
            if started >= room || !self.flights().insert(entry.id.clone()) {
                continue;
            }
            started += 1;
            let this = self.clone();
            tokio::spawn(async move {
                let done = match entry.state.calls.first() {
                    Some(call) => {
                        let called = this.tell(&entry.state, call).await;
                        this.told(&entry.id, call, called).await
                    }
                    None => this.act_in_flow(&entry.id).await,
                };
                this.landed(&entry.id, done);
            });
        }
        Ok(started)
    }

    async fn tell(&self, flow: &Flow, call: &Call) -> Called {
        let Ok(plane) = self.control_plane() else {
            return Called::Failed { why: "no control plane is configured any more".into(), again: true };
        };
        let url = format!("{}/transfers/{}/dataflow/{}", plane.url, segment(&flow.process), call.name);
        let request = OutRequest::post(url, "application/json", call.body.to_string());
        match self.ask_plane(&plane, request).await {
            Ok(()) => Called::Taken,
            Err((why, again)) => Called::Failed { why, again: again || call.attempts < REFUSED_TRIES },
        }
    }

    /// A call to the control plane: why it failed, and whether it may be made again.
    pub(super) async fn ask_plane(&self, plane: &ControlPlane, request: OutRequest) -> Result<(), (String, bool)> {
        let request = request.auth(plane.auth.clone()).deadline(DEADLINE).max_response(MAX_ANSWER).template("dps");
        match self.0.client.send(request).await {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status.as_u16();
                Err((format!("status {status}"), matches!(status, 408 | 425 | 429 | 500..=599)))
            }
            Err(error) => Err((error.to_string(), true)),
        }
    }

    async fn told(&self, id: &str, call: &Call, called: Called) -> Result<(), Fault> {
        let give_up = self.config().limits.give_up_seconds;
        self.change_flow(id, |next, now| {
            let Some(first) = next.calls.first_mut().filter(|c| c.body["messageId"] == call.body["messageId"]) else { return Ok(None) };
            let event = match &called {
                Called::Taken => json!({"at": now, "told": call.name}),
                Called::Failed { why, again } => {
                    first.attempts += 1;
                    if *again && first.since.plus_seconds(give_up) > now {
                        return Ok(Some(Value::Null));
                    }
                    tracing::warn!(flow = next.id, call = call.name, "the control plane is not told: {why}");
                    json!({"at": now, "not told": call.name, "why": why})
                }
            };
            next.calls.remove(0);
            Ok(Some(event))
        })
        .await
        .map(drop)
    }

    /// What the script of a conformance run does.
    async fn act_in_flow(&self, id: &str) -> Result<(), Fault> {
        self.change_flow(id, |next, now| {
            let Some(act) = next.take_act() else { return Ok(None) };
            let (event, name) = match act.as_str() {
                "prepare" => (FlowEvent::Prepared, "prepared"),
                "start" => (FlowEvent::Started, "started"),
                "complete" => (FlowEvent::Complete, "completed"),
                _ => return Ok(Some(Value::Null)),
            };
            if next.go(event) {
                let address = self.flow_address(next, now);
                let body = status(next, address.as_ref(), None);
                next.call(name, body, now);
            }
            Ok(Some(json!({"at": now, "act": act, "state": next.state})))
        })
        .await
        .map(drop)
    }

    /// Looks at each running flow of this hub's data and brings it to the state that fits. Answers how many were changed.
    pub(crate) async fn tend_flows(&self) -> Result<usize, Fault> {
        let mut changed = 0;
        let running: Vec<String> = self.running_flows().iter().cloned().collect();
        for id in running {
            let found = self.data_flow(&id).await?;
            match found.filter(|f| f.role == Role::Provider && !f.is_scripted()) {
                Some(flow) if !flow.state.is_final() => changed += usize::from(self.tend_flow(&flow).await?),
                over => {
                    if let Some(flow) = over {
                        self.rest_flow(&flow).await?;
                    }
                    self.running_flows().remove(&id);
                }
            }
        }
        Ok(changed)
    }

    async fn tend_flow(&self, flow: &Flow) -> Result<bool, Fault> {
        let config = self.config();
        let agreed = self.flow_agreed(flow).await?;
        let over = agreed.as_ref().map_or_else(|| Some("there is no such agreement".to_owned()), |a| self.over(&config, a));
        if let Some(reason) = over {
            if let Some(agreed) = &agreed {
                self.end_agreement(agreed, &reason).await?;
            }
            self.rest_flow(flow).await?;
            return self.errored(&flow.id, FlowEvent::Terminate, "agreement-over", &reason).await;
        }
        let Some((agreed, offering)) = agreed.as_ref().zip(config.offering(&flow.dataset)) else { return Ok(false) };
        let Some(scope) = self.scope_of(agreed) else { return Ok(false) };
        if flow.state != FlowState::Started {
            return Ok(false);
        }
        if offering.personal && !self.hub().anyone_visible(&scope).await? {
            let reason = "nobody whose data this is agrees to this purpose and recipient any more";
            let changed = self.errored(&flow.id, FlowEvent::Suspend, NOBODY_LEFT, reason).await?;
            self.rest_flow(flow).await?;
            return Ok(changed);
        }
        let Some(sending) = sending(flow) else { return Ok(false) };
        match self.keep_sending(&sending, offering, &scope).await? {
            Kept::On => Ok(false),
            Kept::Set => Ok(true),
            Kept::Through => self.end_push(&flow.id).await,
        }
    }

    /// Lets what a flow sends rest.
    pub(crate) async fn rest_flow(&self, flow: &Flow) -> Result<(), Fault> {
        let (Some(sending), Some(agreed)) = (sending(flow), self.flow_agreed(flow).await?) else { return Ok(()) };
        let Some(scope) = self.scope_of(&agreed) else { return Ok(()) };
        self.rest_sending(&sending, &scope).await
    }

    async fn errored(&self, id: &str, event: FlowEvent, code: &str, reason: &str) -> Result<bool, Fault> {
        self.by_itself(id, event, "errored", Some((code, reason))).await
    }

    async fn end_push(&self, id: &str) -> Result<bool, Fault> {
        self.by_itself(id, FlowEvent::Complete, "completed", None).await
    }

    /// Moves a flow by what this side found, and puts the call that says so on its way.
    async fn by_itself(&self, id: &str, event: FlowEvent, name: &str, why: Option<(&str, &str)>) -> Result<bool, Fault> {
        let moved = std::sync::atomic::AtomicBool::new(false);
        let change = |next: &mut Flow, now: DateTime| {
            let went = next.go(event);
            moved.store(went, std::sync::atomic::Ordering::Relaxed);
            if !went {
                return Ok(None);
            }
            next.failure = why.map(|(code, reason)| Failure { code: code.into(), reason: reason.into(), side: Role::Provider });
            let error = why.map(|(code, reason)| format!("{code}: {reason}"));
            let body = status(next, None, error.as_deref());
            next.call(name, body, now);
            Ok(Some(json!({"at": now, "found": event, "state": next.state, "code": why.map(|w| w.0)})))
        };
        self.change_flow(id, change).await?;
        Ok(moved.into_inner())
    }

    /// The flow that a token opens now.
    pub(crate) async fn opened_flow(&self, claims: &Claims) -> Result<Option<(Flow, Agreed)>, Fault> {
        if self.config().control_plane.is_none() {
            return Ok(None);
        }
        let Some(flow) = self.data_flow(&claims.tid).await? else { return Ok(None) };
        if flow.role != Role::Provider || flow.is_scripted() || flow.state != FlowState::Started || flow.generation != claims.start {
            return Ok(None);
        }
        let agreed = self.flow_agreed(&flow).await?.filter(|a| self.in_force(a));
        Ok(agreed.map(|agreed| (flow, agreed)))
    }
}

/// What a flow sends; nothing where the consumer fetches.
fn sending(flow: &Flow) -> Option<Sending<'_>> {
    let pushes = flow.push && flow.role == Role::Provider && !flow.is_scripted();
    Some(Sending { id: feed_id(&flow.id)?, address: flow.address.as_ref().filter(|_| pushes)?, once: true })
}
