//! What the control plane says, and what it does to a flow.

use super::flow::Flow;
use super::messages::{self, First, HTTP_PULL, HTTP_PUSH, Later};
use super::states::{FlowEvent, FlowState, flow};
use crate::config::Strategy;
use crate::connector::{Connector, TRIES, fresh_id};
use crate::decode::DataAddress;
use crate::fault::Fault;
use crate::machine::Role;
use crate::plane::{FLOW, NOBODY_LEFT, REFRESH_TIMES, deletions};
use crate::process::{Agreed, Failure};
use serde_json::{Value, json};
use waybill_exchange::{Entry, process_alias};
use waybill_http::encode_component;
use waybill_model::DateTime;

impl Connector {
    /// `prepare` (as consumer) or `start` (as provider). Answers the flow, and the address that goes with it.
    ///
    /// # Errors
    /// 409 when there is a flow of this process that began otherwise (DPS, "Start"); 400 for an address that is missing or too much; what
    /// admission says.
    pub(crate) async fn take_first(&self, role: Role, first: &First) -> Result<(Flow, Option<DataAddress>), Fault> {
        let alias = process_alias(&["process", &first.process]);
        let digest = format!("{role:?}{}", first.digest);
        for _ in 0..TRIES {
            if let Some(there) = self.flows().named::<Flow>(&alias).await? {
                if there.state.first != digest {
                    return Err(Fault::new(409, "flow-exists", "/processId", "there is a data flow of this process, and it began otherwise"));
                }
                let address = self.flow_address(&there.state, self.now());
                return Ok((there.state, address));
            }
            check_address(role, first)?;
            let (agreed, script) = self.admit_first(role, first).await?;
            let now = self.now();
            let later = script.as_ref().and_then(|s| s.first()).is_some_and(|s| s.starts_with("PREPARING:") || s.starts_with("STARTING:"));
            let event = match (role, later) {
                (Role::Consumer, false) => FlowEvent::Prepare,
                (Role::Consumer, true) => FlowEvent::PrepareLater,
                (Role::Provider, false) => FlowEvent::Start,
                (Role::Provider, true) => FlowEvent::StartLater,
            };
            let Some(state) = flow(None, role, event) else { return Err(Fault::transition("INITIALIZED")) };
            let mut new = Flow {
                id: fresh_id().trim_start_matches("urn:uuid:").to_owned(),
                role,
                state,
                process: first.process.clone(),
                agreement: first.agreement.clone(),
                agreed: agreed.map(|a| a.id),
                dataset: first.dataset.clone(),
                counterparty: first.counterparty.clone(),
                profile: first.profile.clone(),
                push: first.push,
                address: first.address.clone(),
                generation: 1,
                failure: None,
                calls: Vec::new(),
                first: digest.clone(),
                last: None,
                strategy: script.map_or(Strategy::Automatic, Strategy::Scripted),
                created_at: now,
                modified_at: now,
            };
            if role == Role::Consumer && first.push {
                new.address = Some(self.intake(&new.id));
            }
            let told = json!({"at": now, "received": event, "state": state, "process": first.process, "agreement": first.agreement, "dataset": first.dataset});
            let mut step = self.flow_step(&mut new, None, told, now);
            step.aliases.push(alias.clone());
            if self.commit_flow(step).await? {
                let address = self.flow_address(&new, now);
                return Ok((new, address));
            }
        }
        Err(crate::transfer::busy())
    }

    /// The agreement of a flow that is to open something here, and the script of one in a conformance run.
    async fn admit_first(&self, role: Role, first: &First) -> Result<(Option<Agreed>, Option<Vec<String>>), Fault> {
        let config = self.config();
        if let Some(run) = &config.conformance
            && config.offering(&first.dataset).is_none()
        {
            // A flow of a dataset that is none opens nothing, so a kit may say what it likes.
            let script = run.flows.iter().find(|(dataset, _)| *dataset == first.dataset).map(|(_, s)| s.clone());
            return Ok((None, Some(script.unwrap_or_default())));
        }
        match role {
            Role::Provider => Ok((Some(self.admit(first).await?), None)),
            Role::Consumer => {
                self.flow_parties(first)?;
                if first.push {
                    return Err(Fault::new(400, "push-not-taken", "/profile", format!("this hub takes no data that is pushed to it; ask for {HTTP_PULL}")));
                }
                Ok((None, None))
            }
        }
    }

    /// Where pushed data of a conformance run is sent to.
    fn intake(&self, id: &str) -> DataAddress {
        let token = waybill_keys::hex(&waybill_keys::random::<16>());
        let properties = vec![("authorization".to_owned(), token), ("authType".to_owned(), "bearer".to_owned())];
        let endpoint = format!("{}{}/intake/{}", self.config().base_url, super::server::PATH, encode_component(id));
        DataAddress { endpoint_type: HTTP_PUSH.into(), endpoint: Some(endpoint), properties }
    }

    /// The address that the control plane is told of a flow: where this side is sent to, or where this side's data can be had.
    pub(crate) fn flow_address(&self, flow: &Flow, now: DateTime) -> Option<DataAddress> {
        match (flow.role, flow.push, flow.state) {
            (Role::Consumer, true, FlowState::Prepared) => flow.address.clone(),
            (Role::Provider, false, FlowState::Started) => Some(self.flow_grant(flow, now)),
            _ => None,
        }
    }

    /// Where the data of a flow can be had, with fresh tokens.
    fn flow_grant(&self, flow: &Flow, now: DateTime) -> DataAddress {
        let config = self.config();
        let base = &config.base_url;
        let offering = config.offering(&flow.dataset);
        let types = offering.map(|o| o.types.iter().map(|t| encode_component(t.as_str())).collect::<Vec<_>>().join(",")).unwrap_or_default();
        let endpoint = if types.is_empty() { format!("{base}/ngsi-ld/v1/entities") } else { format!("{base}/ngsi-ld/v1/entities?type={types}") };
        // Only a client with a DID can show who it is when it renews (DPS, token renewal profile). The token of another lasts as long as
        // such a right would; it is over all the same when the flow is.
        let renews = flow.counterparty.starts_with("did:web:");
        let lasts = config.limits.token_seconds * if renews { 1 } else { REFRESH_TIMES };
        let tokens = self.issue(&FLOW, (&flow.id, flow.generation), lasts, offering.and_then(|o| o.until), now);
        let mut properties = vec![
            ("authorization".to_owned(), tokens.access_token),
            ("authType".to_owned(), "bearer".to_owned()),
            ("expiresIn".to_owned(), tokens.expires_in.to_string()),
            deletions(base, &flow.id),
        ];
        if renews {
            properties.push(("refreshToken".to_owned(), tokens.refresh_token));
            properties.push(("refreshEndpoint".to_owned(), format!("{base}{}/token", super::server::PATH)));
        }
        DataAddress { endpoint_type: HTTP_PULL.into(), endpoint: Some(endpoint), properties }
    }

    /// A message about a flow that is there.
    ///
    /// # Errors
    /// 404 when there is none; 400 when it may not come now, or its address is missing or too much; 409 when nobody agrees any more.
    pub(crate) async fn take_later(&self, id: &str, event: FlowEvent, said: &Later) -> Result<(Flow, Option<DataAddress>), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.flows().get::<Flow>(id).await? else { return Err(Fault::missing()) };
            let now = self.now();
            if before.last.as_deref() == Some(&said.digest) {
                let address = self.flow_address(&before, now);
                return Ok((before, address));
            }
            let mut next = before.clone();
            // The control plane takes over a rest that the hub began, by suspending the transfer.
            let taken_over = event == FlowEvent::Suspend && before.rests_by_itself();
            if flow(Some(before.state), before.role, event).is_none() && !taken_over {
                return Err(Fault::transition(before.state.as_str()));
            }
            // What a provider's side becomes by itself the control plane does not say.
            if event == FlowEvent::Started && before.role == Role::Provider {
                return Err(Fault::transition(before.state.as_str()));
            }
            check_later(&before, event, said)?;
            if event == FlowEvent::Resume && before.role == Role::Provider && !before.is_scripted() {
                self.may_resume(&before).await?;
            }
            if !taken_over {
                next.go(event);
            }
            if said.address.is_some() {
                next.address.clone_from(&said.address);
            }
            let fails = |code: &str| Failure { code: code.into(), reason: said.reason.clone().unwrap_or_default(), side: before.role.other() };
            match event {
                FlowEvent::Suspend => next.failure = Some(fails("suspended")),
                FlowEvent::Terminate => next.failure = Some(fails("terminated")),
                _ => next.failure = None,
            }
            next.last = Some(said.digest.clone());
            let step = self.flow_step(&mut next, Some(revision), json!({"at": now, "received": event, "state": next_state(&before, event)}), now);
            if self.commit_flow(step).await? {
                if next.state != FlowState::Started && !next.is_scripted() {
                    self.rest_flow(&next).await?;
                }
                let address = (event == FlowEvent::Resume).then(|| self.flow_address(&next, now)).flatten();
                return Ok((next, address));
            }
        }
        Err(crate::transfer::busy())
    }

    /// Whether a flow of this hub's data may go on.
    async fn may_resume(&self, flow: &Flow) -> Result<(), Fault> {
        let config = self.config();
        let over = |why: String| Fault::new(403, "agreement-over", "", why);
        let agreed = self.flow_agreed(flow).await?.ok_or_else(|| over("there is no such agreement".into()))?;
        if let Some(why) = self.over(&config, &agreed) {
            return Err(over(why));
        }
        let (Some(offering), Some(scope)) = (config.offering(&flow.dataset), self.scope_of(&agreed)) else { return Err(over("it is not offered any more".into())) };
        if offering.personal && !self.hub().anyone_visible(&scope).await? {
            return Err(Fault::new(409, NOBODY_LEFT, "", "nobody whose data this is agrees to this purpose and recipient now"));
        }
        Ok(())
    }

    /// The agreement that a flow runs under.
    pub(crate) async fn flow_agreed(&self, flow: &Flow) -> Result<Option<Agreed>, Fault> {
        match &flow.agreed {
            Some(id) => Ok(self.agreement(id).await?.filter(|a| a.participant == flow.counterparty)),
            None => Ok(None),
        }
    }
}

fn next_state(before: &Flow, event: FlowEvent) -> Value {
    json!(flow(Some(before.state), before.role, event).unwrap_or(before.state))
}

/// Where data is sent to is said where it is pushed, and nowhere else (DPS, "Prepare", "Start").
fn check_address(role: Role, first: &First) -> Result<(), Fault> {
    let at = "/dataAddress";
    match (role, first.push, &first.address) {
        (Role::Provider, true, None) => Err(Fault::bad(at, "where to send to is missing")),
        (Role::Provider, true, Some(address)) => web(address),
        (_, _, Some(_)) => Err(Fault::bad(at, "this side says where; there must be none")),
        _ => Ok(()),
    }
}

fn web(address: &DataAddress) -> Result<(), Fault> {
    let good = address.address().is_some_and(|e| e.starts_with("http://") || e.starts_with("https://"));
    if good { Ok(()) } else { Err(Fault::bad("/dataAddress/endpoint", "it must be an http or https address")) }
}

fn check_later(before: &Flow, event: FlowEvent, said: &Later) -> Result<(), Fault> {
    let at = "/dataAddress";
    let fetches = before.role == Role::Consumer && !before.push;
    match (event, &said.address) {
        (FlowEvent::Started | FlowEvent::Resume, Some(address)) if fetches => {
            web(address)?;
            if before.profile == HTTP_PULL && !messages::renewable(address) {
                return Err(Fault::new(400, "address-not-renewable", at, "with this profile it needs authorization, refreshToken and expiresIn"));
            }
            Ok(())
        }
        (FlowEvent::Resume, Some(address)) if before.role == Role::Provider && before.push => web(address),
        (_, Some(_)) => Err(Fault::bad(at, "there must be none here")),
        (FlowEvent::Started, None) if fetches && !(before.is_scripted() && before.profile != HTTP_PULL) => Err(Fault::bad(at, "where to fetch from is missing")),
        _ => Ok(()),
    }
}
