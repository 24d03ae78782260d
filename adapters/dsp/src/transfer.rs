//! Transfer processes, in both roles.

use crate::config::{Participant, Strategy};
use crate::connector::{Connector, TRIES, fresh_id, segment};
use crate::decode::{DataAddress, Message};
use crate::encode;
use crate::fault::Fault;
use crate::machine::{Role, TransferMessage, TransferState, transfer};
use crate::negotiation::words;
use crate::process::{Agreed, Failure, Pending, Talk, Transfer};
use crate::vocab::Format;
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_exchange::{Entry, ProcessRecord, Step, process_alias};
use waybill_keys::{hex, jcs_hash};
use waybill_model::DateTime;

impl Connector {
    /// A TransferRequestMessage. Repeated with the same body it answers the same process.
    ///
    /// # Errors
    /// 404 when there is no such agreement, or it is another's or over; 400 for a form that is not offered, an address that is missing, or
    /// something else under an identifier that was used before.
    pub(crate) async fn take_transfer_request(&self, who: &Arc<Participant>, message: &Message) -> Result<Transfer, Fault> {
        let consumer = message.text("consumerPid")?;
        let callback = message.text("callbackAddress")?;
        let agreement = message.text("agreementId")?;
        let format = message.text("format")?;
        let address = message.data_address()?;
        let callback = Self::callback(who, &callback, "/callbackAddress")?;
        let digest = hex(&jcs_hash(&message.value()));
        let alias = process_alias(&[&who.id, "consumer", &consumer]);
        for _ in 0..TRIES {
            if let Some(there) = self.transfers().named::<Transfer>(&alias).await? {
                let first = self.transfers().history(&there.id).await?.into_iter().next();
                let same = first.is_some_and(|event| hex(&jcs_hash(&event["body"])) == digest);
                return if same { Ok(there.state) } else { Err(Fault::new(400, "identifier-used", "", "this identifier belongs to a transfer that began otherwise; use a new one")) };
            }
            let agreed = self.agreement(&agreement).await?.filter(|a| a.participant == who.id && a.role == Role::Provider && self.in_force(a));
            let Some(agreed) = agreed else { return Err(Fault::missing()) };
            self.check_form(&agreed, &format, address.as_ref())?;
            let now = self.now();
            let strategy = self.transfer_strategy(&agreement);
            let talk = Talk {
                id: fresh_id(),
                role: Role::Provider,
                peer_pid: Some(consumer.clone()),
                participant: who.id.clone(),
                address: callback.clone(),
                pending: None,
                last: Some(digest.clone()),
                strategy,
                failure: None,
                waits_for: None,
                created_at: now,
                modified_at: now,
            };
            let mut new = Transfer {
                talk,
                state: transfer(None, Role::Consumer, TransferMessage::Request),
                agreement: agreement.clone(),
                dataset: agreed.dataset,
                format: format.clone(),
                address: address.clone(),
                generation: 0,
                suspended_by: None,
            };
            self.decide_transfer(&mut new, true, now);
            let mut step = self.transfer_step(&new, None, json!({"at": now, "received": TransferMessage::Request, "state": new.state, "body": message.value()}), now);
            step.aliases.push(alias.clone());
            if self.commit_transfer(step).await? {
                return Ok(new);
            }
        }
        Err(busy())
    }

    fn check_form(&self, agreed: &Agreed, format: &str, address: Option<&DataAddress>) -> Result<(), Fault> {
        let config = self.config();
        let offered = config.offering(&agreed.dataset).map(|o| o.formats.clone());
        let form = Format::parse(format).filter(|f| offered.as_ref().is_none_or(|list| list.contains(f)));
        let Some(form) = form else {
            return Err(Fault::new(400, "format-not-offered", "/format", format!("`{}` is none of the forms this dataset is offered in", format.chars().take(80).collect::<String>())));
        };
        match (form.is_sent(), address.and_then(DataAddress::address)) {
            (false, _) => Ok(()),
            (true, Some(endpoint)) if endpoint.starts_with("http://") || endpoint.starts_with("https://") => Ok(()),
            (true, Some(_)) => Err(Fault::bad("/dataAddress/endpoint", "it must be an http or https address")),
            (true, None) => Err(Fault::bad("/dataAddress", "where to send to is missing")),
        }
    }

    /// Whether an agreement can be used now.
    pub(crate) fn in_force(&self, agreed: &Agreed) -> bool {
        agreed.ended.is_none() && agreed.until.is_none_or(|until| until > self.now())
    }

    fn transfer_strategy(&self, agreement: &str) -> Strategy {
        let config = self.config();
        let script = config.conformance.as_ref().map(|run| run.transfers.iter().find(|(id, _)| id == agreement).map(|(_, list)| list.clone()).unwrap_or_default());
        script.map_or(Strategy::Automatic, Strategy::Scripted)
    }

    /// A message within a transfer process.
    ///
    /// # Errors
    /// 404 for what does not exist or is another's; 400 for a message that may not come now or is not shaped so.
    pub(crate) async fn take_in_transfer(&self, who: &Arc<Participant>, id: &str, kind: TransferMessage, message: &Message) -> Result<Transfer, (Fault, Option<Box<Transfer>>)> {
        let digest = hex(&jcs_hash(&message.value()));
        for _ in 0..TRIES {
            let found = self.transfers().get::<Transfer>(id).await.map_err(|p| (Fault::from(p), None))?;
            let Some(Entry { state: before, revision, .. }) = found.filter(|e| e.state.talk.participant == who.id) else {
                return Err((Fault::missing(), None));
            };
            let refuse = |fault: Fault| Err((fault, Some(Box::new(before.clone()))));
            let (provider, consumer) = before.talk.known_pids();
            if let Err(fault) = message.pids(provider, consumer) {
                return refuse(fault);
            }
            if before.talk.last.as_deref() == Some(&digest) && before.talk.pending.is_none() {
                return Ok(before);
            }
            let (mut next, sender) = (before.clone(), before.talk.role.other());
            let mut to = transfer(before.state, sender, kind);
            if to.is_none()
                && let Some(after) = before.after_pending()
                && let Some(beyond) = transfer(Some(after), sender, kind)
            {
                next.state = Some(after);
                to = Some(beyond);
            }
            let renewed = kind == TransferMessage::Start && sender == Role::Provider && before.state == Some(TransferState::Started);
            if renewed && message.data_address().is_ok_and(|a| a.is_some()) {
                // A provider that gives a fresh token to a consumer that resumed.
                to = before.state;
            }
            let Some(to) = to else { return refuse(Fault::transition(before.shown().as_str())) };
            if kind == TransferMessage::Start && to == TransferState::Started && sender == Role::Consumer && before.suspended_by == Some(Role::Provider) {
                return refuse(Fault::new(400, "suspended-by-provider", "", "the provider suspended this transfer, and it resumes when its reason is over"));
            }
            if let Err(fault) = Self::apply_to_transfer(&mut next, kind, message) {
                return refuse(fault);
            }
            if next.talk.peer_pid.is_none() {
                // The answer to this side's request is late or lost; the message says what it would have said.
                match message.text(next.talk.peer_name()) {
                    Ok(pid) => next.talk.peer_pid = Some(pid),
                    Err(fault) => return refuse(fault),
                }
            }
            let now = self.now();
            next.state = Some(to);
            next.talk.last = Some(digest.clone());
            next.talk.pending = None;
            self.decide_transfer(&mut next, true, now);
            let step = self.transfer_step(&next, Some(revision), json!({"at": now, "received": kind, "state": next.state, "body": message.value()}), now);
            if self.commit_transfer(step).await.map_err(|f| (f, None))? {
                return Ok(next);
            }
        }
        Err((busy(), None))
    }

    fn apply_to_transfer(next: &mut Transfer, kind: TransferMessage, message: &Message) -> Result<(), Fault> {
        let by = next.talk.role.other();
        match kind {
            TransferMessage::Start => {
                let address = message.data_address()?;
                if by == Role::Provider && address.is_some() {
                    next.address = address;
                }
                next.generation += 1;
                next.suspended_by = None;
                next.talk.failure = None;
            }
            TransferMessage::Suspension | TransferMessage::Termination => {
                let (code, reason) = message.why()?;
                let otherwise = if kind == TransferMessage::Suspension { "suspended" } else { "terminated" };
                next.talk.failure = Some(Failure { code: code.unwrap_or_else(|| otherwise.into()), reason: words(&reason), side: by });
                if kind == TransferMessage::Suspension {
                    next.suspended_by = Some(by);
                }
            }
            TransferMessage::Completion | TransferMessage::Request => {}
        }
        Ok(())
    }

    /// Begins a transfer as consumer, under an agreement this hub has as consumer.
    ///
    /// # Errors
    /// 404 when there is none; 400 when the address is not the participant's.
    pub async fn request_transfer(&self, who: &Participant, address: &str, agreement: &str, format: &str, data: Option<DataAddress>) -> Result<String, Fault> {
        let agreed = self.agreement(agreement).await?.filter(|a| a.participant == who.id && a.role == Role::Consumer && self.in_force(a));
        let Some(agreed) = agreed else { return Err(Fault::missing()) };
        let address = Self::callback(who, address, "/counterPartyAddress")?;
        let (now, id) = (self.now(), fresh_id());
        let body = encode::transfer_request(&id, agreement, format, data.as_ref(), &self.config().address());
        let pending = Pending { message: TransferMessage::Request, body, path: "transfers/request".into(), number: 1, attempts: 0, since: now };
        let talk = Talk {
            id: id.clone(),
            role: Role::Consumer,
            peer_pid: None,
            participant: who.id.clone(),
            address,
            pending: Some(pending),
            last: None,
            strategy: self.transfer_strategy(agreement),
            failure: None,
            waits_for: None,
            created_at: now,
            modified_at: now,
        };
        let new = Transfer { talk, state: None, agreement: agreement.to_owned(), dataset: agreed.dataset, format: format.to_owned(), address: data, generation: 0, suspended_by: None };
        let step = self.transfer_step(&new, None, json!({"at": now, "began": "consumer"}), now);
        self.commit_transfer(step).await?;
        Ok(id)
    }

    /// What somebody decides in a transfer: `start`, `suspend`, `complete`, `terminate`.
    ///
    /// # Errors
    /// 404, 400 when it cannot be said now.
    pub async fn act_in_transfer(&self, id: &str, act: &str, why: Option<Failure>) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.transfers().get::<Transfer>(id).await? else { return Err(Fault::missing()) };
            let (mut next, now) = (before, self.now());
            next.talk.pending = None;
            if !self.say_in_transfer(&mut next, act, why.clone(), now) {
                return Err(Fault::transition(next.shown().as_str()));
            }
            let step = self.transfer_step(&next, Some(revision), json!({"at": now, "act": act}), now);
            if self.commit_transfer(step).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// Ends a transfer of which there is nobody to tell.
    pub(crate) async fn end_transfer_untold(&self, id: &str, why: Failure) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: mut next, revision, .. }) = self.transfers().get::<Transfer>(id).await? else { return Err(Fault::missing()) };
            if next.state.is_some_and(TransferState::is_final) {
                return Ok(());
            }
            let now = self.now();
            next.talk.pending = None;
            next.state = Some(TransferState::Terminated);
            next.talk.failure = Some(why.clone());
            let step = self.transfer_step(&next, Some(revision), json!({"at": now, "ended": why.reason, "state": next.state}), now);
            if self.commit_transfer(step).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// The pending message was taken.
    pub(crate) async fn transfer_taken(&self, id: &str, number: u64, answer: &Value) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.transfers().get::<Transfer>(id).await? else { return Ok(()) };
            let (Some(pending), Some(after)) = (before.talk.pending.clone(), before.after_pending()) else { return Ok(()) };
            if pending.number != number {
                return Ok(());
            }
            let (mut next, now) = (before, self.now());
            if next.talk.peer_pid.is_none() {
                let Some(pid) = answer.get(next.talk.peer_name()).and_then(Value::as_str).filter(|p| !p.is_empty()) else {
                    return self.transfer_failed(id, number, "the answer does not name the other side's identifier", true).await;
                };
                next.talk.peer_pid = Some(pid.to_owned());
            }
            next.state = Some(after);
            next.talk.pending = None;
            self.decide_transfer(&mut next, false, now);
            let step = self.transfer_step(&next, Some(revision), json!({"at": now, "sent": pending.message, "state": next.state}), now);
            if self.commit_transfer(step).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// The pending message was not taken. `again`: whether another attempt may be.
    pub(crate) async fn transfer_failed(&self, id: &str, number: u64, why: &str, again: bool) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.transfers().get::<Transfer>(id).await? else { return Ok(()) };
            let (mut next, now) = (before, self.now());
            let limits = self.config().limits;
            let Some(pending) = next.talk.pending.as_mut().filter(|p| p.number == number) else { return Ok(()) };
            pending.attempts += 1;
            let given_up = !again || pending.since.plus_seconds(limits.give_up_seconds) <= now;
            let mut due = now.plus_micros(crate::client::rest(pending.attempts));
            let mut event = Value::Null;
            if given_up {
                let pending_message = pending.message;
                let last_word = pending_message == TransferMessage::Termination;
                let failure = Failure { code: if again { "no-answer" } else { "refused-by-counterpart" }.into(), reason: why.to_owned(), side: next.talk.role.other() };
                event = json!({"at": now, "failed": pending.message, "why": why});
                next.talk.pending = None;
                due = now;
                // What cannot be said is not taken back on this side: a suspension or an end holds here whatever the other side knows.
                if next.state == Some(TransferState::Started) && pending_message == TransferMessage::Start {
                    // A fresh token that the other side does not want: it has one.
                } else if last_word || next.talk.peer_pid.is_none() || !self.say_in_transfer(&mut next, "terminate", Some(failure.clone()), now) {
                    next.state = Some(TransferState::Terminated);
                    next.talk.pending = None;
                }
                next.talk.failure = Some(failure);
            }
            let mut step = self.transfer_step(&next, Some(revision), event, now);
            step.due = next.talk.pending.as_ref().map(|_| due);
            if self.commit_transfer(step).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// What this side says by itself. `told`: whether the other side moved.
    fn decide_transfer(&self, next: &mut Transfer, told: bool, now: DateTime) {
        let Some(state) = next.state.filter(|s| !s.is_final()) else { return };
        match &next.talk.strategy {
            Strategy::Scripted(_) => {
                if let Some(act) = next.talk.next_act(state.as_str()) {
                    self.say_in_transfer(next, &act, None, now);
                }
            }
            Strategy::Automatic if told && next.talk.role == Role::Provider && matches!(state, TransferState::Requested | TransferState::Started) => {
                // A consumer that resumes is given a fresh token by a start of the provider's own, as the Eclipse EDC waits for one.
                self.say_in_transfer(next, "start", None, now);
            }
            _ => {}
        }
    }

    /// Puts a message on its way. Answers whether it may be said in this state; if not, nothing is changed.
    pub(crate) fn say_in_transfer(&self, next: &mut Transfer, act: &str, why: Option<Failure>, now: DateTime) -> bool {
        use TransferMessage as M;
        let (message, kind, tail) = match act {
            "start" => (M::Start, "TransferStartMessage", "start"),
            "suspend" => (M::Suspension, "TransferSuspensionMessage", "suspension"),
            "complete" => (M::Completion, "TransferCompletionMessage", "completion"),
            "terminate" => (M::Termination, "TransferTerminationMessage", "termination"),
            _ => return false,
        };
        let again = message == M::Start && next.state == Some(TransferState::Started) && next.talk.role == Role::Provider;
        if !again && transfer(next.state, next.talk.role, message).is_none() || next.talk.peer_pid.is_none() {
            return false;
        }
        let (provider, consumer) = { let (p, c) = next.talk.pids(); (p.to_owned(), c.to_owned()) };
        let mut body = encode::message(kind, &provider, &consumer);
        match message {
            M::Start => {
                next.generation += 1;
                next.suspended_by = None;
                next.talk.failure = None;
                if next.talk.role == Role::Provider
                    && let Some(address) = self.grant_address(next, now)
                {
                    body["dataAddress"] = encode::data_address(&address);
                }
            }
            M::Suspension | M::Termination => {
                let otherwise = if message == M::Suspension { "suspended" } else { "terminated" };
                let why = why.unwrap_or_else(|| Failure { code: otherwise.into(), reason: "decided by the other side".into(), side: next.talk.role });
                body = encode::ending(kind, &provider, &consumer, &why.code, &why.reason);
                next.talk.failure = Some(why);
                // A token of before is over from now on, whenever the other side hears of it.
                next.generation += 1;
                if message == M::Suspension {
                    next.suspended_by = Some(next.talk.role);
                }
            }
            M::Completion => next.generation += 1,
            M::Request => {}
        }
        let peer = segment(next.talk.peer_pid.as_deref().unwrap_or_default());
        let number = now.micros().unsigned_abs().wrapping_mul(8).wrapping_add(u64::from(message as u8));
        next.talk.pending = Some(Pending { message, body, path: format!("transfers/{peer}/{tail}"), number, attempts: 0, since: now });
        true
    }

    fn transfer_step(&self, next: &Transfer, expected: Option<u64>, event: Value, now: DateTime) -> Step {
        let config = self.config();
        let mut next = next.clone();
        next.talk.modified_at = now;
        let due = next.talk.pending.as_ref().map(|_| match (&next.talk.strategy, &config.conformance) {
            (Strategy::Scripted(_), Some(run)) => now.plus_micros(run.delay_ms * 1000),
            _ => now,
        });
        // Of what was said, tokens are no part of the history.
        let record = (!event.is_null()).then(|| {
            let party = config.participant(&next.talk.participant).map(|w| w.party.clone());
            let why = next.talk.failure.as_ref().map(|f| &f.code);
            let detail = json!({"transfer": next.talk.id, "agreement": next.agreement, "state": next.shown().as_str(), "code": why, "participant": next.talk.participant});
            ProcessRecord { party, detail }
        });
        Step { due, event: without_secrets(event), record, ..Step::new(&next.talk.id, expected, &next) }
    }

    /// Commits; false when another was faster.
    async fn commit_transfer(&self, step: Step) -> Result<bool, Fault> {
        let id = step.id.clone();
        match self.transfers().commit(step).await {
            Ok(_) => {
                self.running().insert(id);
                self.0.bell.notify_one();
                Ok(true)
            }
            Err(problem) if problem.code == "store-conflict" => Ok(false),
            Err(problem) => Err(problem.into()),
        }
    }

    /// The acknowledgement of a transfer, as its `GET` answers it.
    pub(crate) fn transfer_body(transfer: &Transfer) -> Value {
        let (provider, consumer) = transfer.talk.pids();
        encode::transfer(provider, consumer, transfer.shown())
    }
}

/// An event without the properties of a data address: they hold tokens. The first message keeps its digest's text, so it is left whole there.
fn without_secrets(mut event: Value) -> Value {
    let first = event["body"]["@type"] == "TransferRequestMessage";
    if !first && let Some(address) = event.pointer_mut("/body/dataAddress").and_then(Value::as_object_mut) {
        address.remove("endpointProperties");
    }
    event
}

pub(crate) fn busy() -> Fault {
    Fault::new(503, "busy-process", "", "the process was changed at the same time again and again; try again in a moment")
}
