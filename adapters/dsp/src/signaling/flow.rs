//! A data flow as it is kept: one row, with the calls to the control plane that are still to be made.

use super::states::{FlowEvent, FlowState, flow};
use crate::config::Strategy;
use crate::connector::{Connector, TRIES};
use crate::decode::DataAddress;
use crate::fault::Fault;
use crate::machine::Role;
use crate::process::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waybill_exchange::{Entry, Ledger, ProcessRecord, Step};
use waybill_model::{DateTime, Problem};

/// A data flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flow {
    /// Its identifier here.
    pub id: String,
    /// The part this side plays.
    pub role: Role,
    /// Where it stands.
    pub state: FlowState,
    /// The control plane's transfer process.
    pub process: String,
    /// The agreement, as the control plane names it.
    pub agreement: String,
    /// The row of the agreement here; nothing where none is needed.
    pub agreed: Option<String>,
    /// The dataset.
    pub dataset: String,
    /// The other side's participant identifier.
    pub counterparty: String,
    /// The profile, as the message said it.
    pub profile: String,
    /// Whether the provider sends.
    pub push: bool,
    /// Where the provider sends to, or where the consumer fetches.
    pub address: Option<DataAddress>,
    /// Counts the starts: a token names the start that it belongs to.
    pub generation: u64,
    /// Why it rests or ended, and on whose side that was found.
    pub failure: Option<Failure>,
    /// Calls to the control plane, in order.
    pub calls: Vec<Call>,
    /// The digest of the message that began it.
    pub first: String,
    /// The digest of the last message about it.
    pub last: Option<String>,
    /// Of a conformance run: it opens nothing, and does what a script says.
    pub strategy: Strategy,
    /// When it began.
    pub created_at: DateTime,
    /// When it last changed.
    pub modified_at: DateTime,
}

/// A call to the control plane that is made until it was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The last segment of its path.
    pub name: String,
    /// The message.
    pub body: Value,
    /// How often it failed.
    pub attempts: u32,
    /// Since when it is to be made.
    pub since: DateTime,
}

impl Flow {
    /// Whether it is one of a conformance run.
    pub fn is_scripted(&self) -> bool {
        matches!(self.strategy, Strategy::Scripted(_))
    }
    /// Whether the hub itself put it to rest.
    pub fn rests_by_itself(&self) -> bool {
        self.state == FlowState::Suspended && self.failure.as_ref().is_some_and(|f| f.code == crate::plane::NOBODY_LEFT && f.side == Role::Provider)
    }
    /// What the script does in this state.
    fn act(&self) -> Option<&str> {
        let Strategy::Scripted(list) = &self.strategy else { return None };
        list.first()?.split_once(':').filter(|(at, _)| *at == self.state.as_str()).map(|(_, act)| act)
    }
    /// Takes the script's act out.
    pub(crate) fn take_act(&mut self) -> Option<String> {
        let act = self.act()?.to_owned();
        if let Strategy::Scripted(list) = &mut self.strategy {
            list.remove(0);
        }
        Some(act)
    }
    /// Moves on by `event`. Answers whether it may happen; if not, nothing is changed.
    pub(crate) fn go(&mut self, event: FlowEvent) -> bool {
        let Some(to) = flow(Some(self.state), self.role, event) else { return false };
        self.state = to;
        // A token of before is over from now on.
        self.generation += 1;
        true
    }
    /// Puts a call on its way.
    pub(crate) fn call(&mut self, name: &str, body: Value, now: DateTime) {
        self.calls.push(Call { name: name.to_owned(), body, attempts: 0, since: now });
    }
}

impl Connector {
    pub(crate) fn flows(&self) -> Ledger {
        self.0.hub.ledger("dps-flow")
    }

    /// The data flow `id`.
    ///
    /// # Errors
    /// The store's.
    pub async fn data_flow(&self, id: &str) -> Result<Option<Flow>, Fault> {
        Ok(self.flows().get::<Flow>(id).await?.map(|e| e.state))
    }

    /// When it is to be looked at again: a call is to be made, or the script goes on.
    fn flow_due(&self, next: &Flow, now: DateTime) -> Option<DateTime> {
        if let Some(call) = next.calls.first() {
            return Some(if call.attempts == 0 { now } else { now.plus_micros(crate::client::rest(call.attempts)) });
        }
        let delay = self.config().conformance.as_ref().map_or(0, |run| run.delay_ms);
        next.act().map(|_| now.plus_micros(delay * 1000))
    }

    pub(crate) fn flow_step(&self, next: &mut Flow, expected: Option<u64>, event: Value, now: DateTime) -> Step {
        next.modified_at = now;
        let record = (!event.is_null()).then(|| {
            let party = self.config().participant(&next.counterparty).map(|w| w.party.clone());
            let code = next.failure.as_ref().map(|f| &f.code);
            ProcessRecord { party, detail: json!({"flow": next.id, "agreement": next.agreed, "state": next.state.as_str(), "code": code, "participant": next.counterparty}) }
        });
        Step { due: self.flow_due(next, now), event, record, ..Step::new(&next.id, expected, next) }
    }

    /// Commits; false when another was faster.
    pub(crate) async fn commit_flow(&self, step: Step) -> Result<bool, Fault> {
        let id = step.id.clone();
        match self.flows().commit(step).await {
            Ok(_) => {
                self.flow_changed(id);
                Ok(true)
            }
            Err(problem) if problem.code == "store-conflict" => Ok(false),
            Err(problem) => Err(problem.into()),
        }
    }

    pub(crate) fn flow_changed(&self, id: String) {
        self.running_flows().insert(id);
        self.0.bell.notify_one();
    }

    /// Changes a flow; `change` answers what happened, or nothing when nothing is to be written.
    pub(crate) async fn change_flow(&self, id: &str, change: impl Fn(&mut Flow, DateTime) -> Result<Option<Value>, Fault>) -> Result<Flow, Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: mut next, revision, .. }) = self.flows().get::<Flow>(id).await? else { return Err(Fault::missing()) };
            let now = self.now();
            let Some(event) = change(&mut next, now)? else { return Ok(next) };
            let step = self.flow_step(&mut next, Some(revision), event, now);
            if self.commit_flow(step).await? {
                return Ok(next);
            }
        }
        Err(crate::transfer::busy())
    }

    /// Finds the flows that were running.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn find_flows(&self) -> Result<(), Problem> {
        let mut after: Option<String> = None;
        loop {
            let page = self.flows().list::<Flow>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            self.running_flows().extend(page.iter().filter(|e| !e.state.state.is_final()).map(|e| e.id.clone()));
        }
    }
}
