//! Contract negotiations, in both roles: what comes in, what is decided on it, what is said.

use crate::catalog;
use crate::config::{Participant, Strategy};
use crate::connector::{Connector, TRIES, fresh_id, segment};
use crate::decode::Message;
use crate::encode;
use crate::fault::Fault;
use crate::machine::{NegotiationMessage, NegotiationState, Role, negotiation};
use crate::process::{Agreed, Failure, Negotiation, Pending, Proposal, Talk};
use crate::vocab::WAYBILL;
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_exchange::{Entry, ProcessRecord, Step, process_alias};
use waybill_keys::{hex, jcs_hash};
use waybill_model::DateTime;

/// What a decision comes to beside the negotiation itself.
#[derive(Default)]
pub(crate) struct Outcome {
    pub agreed: Option<Agreed>,
}

impl Connector {
    /// A ContractRequestMessage that begins a negotiation. Repeated with the same body it answers the same process.
    ///
    /// # Errors
    /// 400 for what is no such message, names no offer of ours, or says something else under an identifier that was used before.
    pub(crate) async fn take_request(&self, who: &Arc<Participant>, message: &Message) -> Result<Negotiation, Fault> {
        let consumer = message.text("consumerPid")?;
        let (callback, known) = message.one_of("callbackAddress", "providerPid")?;
        let offer = message.offer(false)?;
        let Some(callback) = callback else {
            let detail = format!("a negotiation begins with a callbackAddress; a counter-offer to {} goes to its own address", known.unwrap_or_default());
            return Err(Fault::bad("/providerPid", detail));
        };
        let address = Self::callback(who, &callback, "/callbackAddress")?;
        let config = self.config();
        let id = offer["@id"].as_str().unwrap_or_default();
        let target = offer.get("target").and_then(Value::as_str);
        let mut visible = config.offers.iter().filter(|o| catalog::is_for(o, who) && target.is_none_or(|target| o.dataset == target));
        let Some(offering) = visible.find(|o| catalog::offer(o, id).is_some()) else {
            return Err(Fault::new(400, "offer-not-found", "/offer/@id", "this hub makes no such offer to this participant for this dataset; ask for the catalogue again"));
        };
        let begun = Begin { who, role: Role::Provider, peer_pid: consumer, address, dataset: &offering.dataset, strategy: offering.strategy.clone() };
        self.begin(begun, NegotiationMessage::Request, offer, message).await
    }

    /// A ContractOfferMessage that begins a negotiation: a provider offers by itself.
    ///
    /// # Errors
    /// As [`Self::take_request`].
    pub(crate) async fn take_offer(&self, who: &Arc<Participant>, message: &Message) -> Result<Negotiation, Fault> {
        let provider = message.text("providerPid")?;
        let (callback, known) = message.one_of("callbackAddress", "consumerPid")?;
        let offer = message.offer(true)?;
        let Some(callback) = callback else {
            let detail = format!("an offer that begins a negotiation has a callbackAddress; one in {} goes to its own address", known.unwrap_or_default());
            return Err(Fault::bad("/consumerPid", detail));
        };
        let address = Self::callback(who, &callback, "/callbackAddress")?;
        let dataset = offer["target"].as_str().unwrap_or_default().to_owned();
        // Nobody asked for it here, so a person decides.
        let begun = Begin { who, role: Role::Consumer, peer_pid: provider, address, dataset: &dataset, strategy: Strategy::Manual };
        self.begin(begun, NegotiationMessage::Offer, offer, message).await
    }

    async fn begin(&self, begin: Begin<'_>, kind: NegotiationMessage, offer: Value, message: &Message) -> Result<Negotiation, Fault> {
        let digest = hex(&jcs_hash(&message.value()));
        let alias = process_alias(&[&begin.who.id, if begin.role == Role::Provider { "consumer" } else { "provider" }, &begin.peer_pid]);
        for _ in 0..TRIES {
            if let Some(there) = self.negotiations().named::<Negotiation>(&alias).await? {
                return if there.state.talk.last.as_deref() == Some(&digest) || self.began_with(&there.id, &digest).await? {
                    Ok(there.state)
                } else {
                    Err(Fault::new(400, "identifier-used", "", "this identifier belongs to a negotiation that began otherwise; use a new one"))
                };
            }
            let now = self.now();
            let talk = Talk {
                id: fresh_id(),
                role: begin.role,
                peer_pid: Some(begin.peer_pid.clone()),
                participant: begin.who.id.clone(),
                address: begin.address.clone(),
                pending: None,
                last: Some(digest.clone()),
                strategy: begin.strategy.clone(),
                failure: None,
                waits_for: None,
                created_at: now,
                modified_at: now,
            };
            let state = negotiation(None, begin.role.other(), kind);
            let mut new = Negotiation { talk, state, dataset: begin.dataset.to_owned(), offers: vec![Proposal { by: begin.role.other(), offer: offer.clone(), at: now }], agreement: None };
            let outcome = self.decide(&mut new, now);
            let event = json!({"at": now, "received": kind, "state": new.state, "body": message.value()});
            let mut step = self.step(&new, None, event, now);
            step.aliases.push(alias.clone());
            if self.commit_negotiation(step, outcome).await? {
                return Ok(new);
            }
        }
        Err(busy())
    }

    /// Whether the negotiation `id` began with a message of this digest.
    async fn began_with(&self, id: &str, digest: &str) -> Result<bool, Fault> {
        let first = self.negotiations().history(id).await?.into_iter().next();
        Ok(first.is_some_and(|event| hex(&jcs_hash(&event["body"])) == digest))
    }

    /// A message within a negotiation.
    ///
    /// # Errors
    /// 404 for what does not exist or is another's; 400 for a message that may not come now or is not shaped so.
    pub(crate) async fn take_in_negotiation(&self, who: &Arc<Participant>, id: &str, kind: NegotiationMessage, message: &Message) -> Result<Negotiation, (Fault, Option<Box<Negotiation>>)> {
        let digest = hex(&jcs_hash(&message.value()));
        for _ in 0..TRIES {
            let found = self.negotiations().get::<Negotiation>(id).await.map_err(|p| (Fault::from(p), None))?;
            let Some(Entry { state: before, revision, .. }) = found.filter(|e| e.state.talk.participant == who.id) else {
                return Err((Fault::missing(), None));
            };
            let refuse = |fault: Fault| Err((fault, Some(Box::new(before.clone()))));
            let (provider, consumer) = before.talk.known_pids();
            if let Err(fault) = message.pids(provider, consumer) {
                return refuse(fault);
            }
            let mut next = before.clone();
            let sender = before.talk.role.other();
            // What is said twice in the same words and has been taken is not an error: the first answer may have been lost. An offer is
            // never taken so, since to lay the same offer on the table again is a move of its own.
            let repeatable = !matches!(kind, NegotiationMessage::Request | NegotiationMessage::Offer);
            if repeatable && before.talk.last.as_deref() == Some(&digest) {
                return Ok(before);
            }
            let mut to = negotiation(before.state, sender, kind);
            if to.is_none()
                && let Some(after) = before.after_pending()
                && let Some(beyond) = negotiation(Some(after), sender, kind)
            {
                // It answers what this side sent and has no answer to yet: so that arrived.
                next.state = Some(after);
                to = Some(beyond);
            }
            let Some(to) = to else { return refuse(Fault::transition(before.shown().as_str())) };
            let now = self.now();
            if let Err(fault) = self.apply(&mut next, kind, message, now) {
                return refuse(fault);
            }
            let named = next.agreement.as_ref().filter(|_| matches!(kind, NegotiationMessage::Agreement | NegotiationMessage::Finalized));
            if let Some(name) = named.and_then(|a| a["@id"].as_str())
                && self.agreement(name).await.map_err(|f| (f, None))?.is_some()
            {
                return refuse(Fault::new(400, "identifier-used", "/agreement/@id", "this identifier belongs to another agreement; use a new one"));
            }
            let mut aliases = Vec::new();
            if next.talk.peer_pid.is_none() {
                // The answer to this side's first message is late or lost; the message says what it would have said.
                let name = next.talk.peer_name();
                let pid = match message.text(name) {
                    Ok(pid) => pid,
                    Err(fault) => return refuse(fault),
                };
                match self.peer_alias(&next, &pid).await.map_err(|f| (f, None))? {
                    Some(alias) => aliases.push(alias),
                    None => return refuse(Fault::bad(&format!("/{name}"), "it is that of another process")),
                }
                next.talk.peer_pid = Some(pid);
            }
            next.state = Some(to);
            next.talk.last = Some(digest.clone());
            next.talk.pending = None;
            next.talk.waits_for = None;
            let outcome = self.decide(&mut next, now);
            let event = json!({"at": now, "received": kind, "state": next.state, "body": message.value()});
            let mut step = self.step(&next, Some(revision), event, now);
            step.aliases = aliases;
            if self.commit_negotiation(step, outcome).await.map_err(|f| (f, None))? {
                return Ok(next);
            }
        }
        Err((busy(), None))
    }

    /// The alias by which a negotiation is found under the other side's identifier; nothing when another process goes by it.
    async fn peer_alias(&self, negotiation: &Negotiation, pid: &str) -> Result<Option<String>, Fault> {
        let talk = &negotiation.talk;
        let side = if talk.role == Role::Consumer { "provider" } else { "consumer" };
        let alias = process_alias(&[&talk.participant, side, pid]);
        let taken = self.negotiations().named::<Negotiation>(&alias).await?.is_some_and(|there| there.id != talk.id);
        Ok((!taken).then_some(alias))
    }

    /// What a message says beside its type.
    fn apply(&self, next: &mut Negotiation, kind: NegotiationMessage, message: &Message, now: DateTime) -> Result<(), Fault> {
        let by = next.talk.role.other();
        match kind {
            NegotiationMessage::Request | NegotiationMessage::Offer => {
                // Who answers was said when it began: the schemas have either that or the other side's identifier.
                message.one_of("callbackAddress", next.talk.own_name())?;
                let offer = message.offer(kind == NegotiationMessage::Offer)?;
                if offer.get("target").and_then(Value::as_str).is_some_and(|target| target != next.dataset) {
                    return Err(Fault::bad("/offer/target", "a negotiation stays with the dataset it began with"));
                }
                next.offers.push(Proposal { by, offer, at: now });
            }
            NegotiationMessage::Agreement => next.agreement = Some(message.agreement()?),
            NegotiationMessage::Accepted | NegotiationMessage::Finalized => {
                let wanted = if kind == NegotiationMessage::Accepted { "ACCEPTED" } else { "FINALIZED" };
                if message.text("eventType")? != wanted {
                    return Err(Fault::bad("/eventType", format!("from this side it can only be {wanted}")));
                }
            }
            NegotiationMessage::Termination => {
                let (code, reason) = message.why()?;
                next.talk.failure = Some(Failure { code: code.unwrap_or_else(|| "terminated".into()), reason: words(&reason), side: by });
            }
            NegotiationMessage::Verification => {}
        }
        Ok(())
    }

    /// Begins a negotiation as consumer: asks the participant's connector for `offer`, which names its dataset as target.
    ///
    /// # Errors
    /// 400 when the offer is not shaped as one or the address is not the participant's.
    pub async fn negotiate(&self, who: &Participant, address: &str, offer: Value, strategy: Strategy) -> Result<String, Fault> {
        crate::decode::policy(&offer, "Offer", "/offer")?;
        let dataset = offer.get("target").and_then(Value::as_str).ok_or_else(|| Fault::bad("/offer/target", "it is missing"))?.to_owned();
        let address = Self::callback(who, address, "/counterPartyAddress")?;
        let (now, id) = (self.now(), fresh_id());
        let body = encode::first_request(&id, &offer, &self.config().address());
        let pending = Pending { message: NegotiationMessage::Request, body, path: "negotiations/request".into(), number: 1, attempts: 0, since: now };
        let talk = Talk {
            id: id.clone(),
            role: Role::Consumer,
            peer_pid: None,
            participant: who.id.clone(),
            address,
            pending: Some(pending),
            last: None,
            strategy,
            failure: None,
            waits_for: None,
            created_at: now,
            modified_at: now,
        };
        let new = Negotiation { talk, state: None, dataset, offers: vec![Proposal { by: Role::Consumer, offer, at: now }], agreement: None };
        let step = self.step(&new, None, json!({"at": now, "began": "consumer"}), now);
        self.commit_negotiation(step, Outcome::default()).await?;
        Ok(id)
    }

    /// Begins a negotiation as provider: makes `who` the offer `offer_id` of one of our datasets.
    ///
    /// # Errors
    /// 404 when there is no such dataset or offer for this participant, 400 when its connector's address is not known.
    pub async fn offer_to(&self, who: &Participant, dataset: &str, offer_id: &str) -> Result<String, Fault> {
        let config = self.config();
        let (offering, offered) = config.offered(dataset, who).find_map(|o| Some((o, catalog::offer(o, offer_id)?))).ok_or_else(Fault::missing)?;
        let address = who.address.clone().ok_or_else(|| Fault::new(400, "no-address", "", "the address of this participant's connector is not configured"))?;
        let (now, id) = (self.now(), fresh_id());
        let offer = targeted(&offered.offer, dataset);
        let body = encode::first_offer(&id, &offer, &config.address());
        let pending = Pending { message: NegotiationMessage::Offer, body, path: "negotiations/offers".into(), number: 1, attempts: 0, since: now };
        let talk = Talk {
            id: id.clone(),
            role: Role::Provider,
            peer_pid: None,
            participant: who.id.clone(),
            address: address.trim_end_matches('/').to_owned(),
            pending: Some(pending),
            last: None,
            strategy: offering.strategy.clone(),
            failure: None,
            waits_for: None,
            created_at: now,
            modified_at: now,
        };
        let new = Negotiation { talk, state: None, dataset: dataset.to_owned(), offers: vec![Proposal { by: Role::Provider, offer, at: now }], agreement: None };
        let step = self.step(&new, None, json!({"at": now, "began": "provider"}), now);
        self.commit_negotiation(step, Outcome::default()).await?;
        Ok(id)
    }

    /// What a person decides in a negotiation: `accept`, `agree`, `verify`, `finalize`, `terminate`, `offer`, `request`.
    ///
    /// # Errors
    /// 404, 400 when it cannot be said now.
    pub async fn act_in_negotiation(&self, id: &str, act: &str, why: Option<Failure>) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.negotiations().get::<Negotiation>(id).await? else { return Err(Fault::missing()) };
            let (mut next, now) = (before, self.now());
            if next.talk.peer_pid.is_none() && act == "terminate" && next.talk.role == Role::Consumer {
                // The other side may not know of it; then there is nothing to tell it.
                next.talk.pending = None;
                next.state = Some(NegotiationState::Terminated);
                next.talk.failure = why.clone();
                let step = self.step(&next, Some(revision), json!({"at": now, "act": act}), now);
                if self.commit_negotiation(step, Outcome::default()).await? {
                    return Ok(());
                }
                continue;
            }
            next.talk.pending = None;
            next.talk.waits_for = None;
            let mut outcome = Outcome::default();
            if !self.say(&mut next, act, why.clone(), now, &mut outcome) {
                return Err(Fault::transition(next.shown().as_str()));
            }
            let step = self.step(&next, Some(revision), json!({"at": now, "act": act}), now);
            if self.commit_negotiation(step, outcome).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// The pending message number `number` was taken; `answer` is what the other side said. Says nothing when it is not pending any more.
    pub(crate) async fn negotiation_taken(&self, id: &str, number: u64, answer: &Value) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.negotiations().get::<Negotiation>(id).await? else { return Ok(()) };
            let (Some(pending), Some(after)) = (before.talk.pending.clone(), before.after_pending()) else { return Ok(()) };
            if pending.number != number {
                return Ok(());
            }
            let (mut next, now) = (before, self.now());
            let mut aliases = Vec::new();
            if next.talk.peer_pid.is_none() {
                let Some(pid) = answer.get(next.talk.peer_name()).and_then(Value::as_str).filter(|p| !p.is_empty()) else {
                    return self.negotiation_failed(id, number, "the answer does not name the other side's identifier", true).await;
                };
                let Some(alias) = self.peer_alias(&next, pid).await? else {
                    return self.negotiation_failed(id, number, "the answer names the identifier of another process", false).await;
                };
                next.talk.peer_pid = Some(pid.to_owned());
                aliases.push(alias);
            }
            next.state = Some(after);
            next.talk.pending = None;
            let outcome = self.decide_after_saying(&mut next, now);
            let mut step = self.step(&next, Some(revision), json!({"at": now, "sent": pending.message, "state": next.state}), now);
            step.aliases = aliases;
            if self.commit_negotiation(step, outcome).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// The pending message was not taken. `again`: whether another attempt may be.
    pub(crate) async fn negotiation_failed(&self, id: &str, number: u64, why: &str, again: bool) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let Some(Entry { state: before, revision, .. }) = self.negotiations().get::<Negotiation>(id).await? else { return Ok(()) };
            let (mut next, now) = (before, self.now());
            let limits = self.config().limits;
            let Some(pending) = next.talk.pending.as_mut().filter(|p| p.number == number) else { return Ok(()) };
            pending.attempts += 1;
            let given_up = !again || pending.since.plus_seconds(limits.give_up_seconds) <= now;
            let side = next.talk.role.other();
            let mut due = now.plus_micros(crate::client::rest(pending.attempts));
            let (mut event, mut unmade) = (Value::Null, None);
            if given_up {
                let said = pending.message;
                let last_word = said == NegotiationMessage::Termination;
                let code = if again { "no-answer" } else { "refused-by-counterpart" };
                let failure = Failure { code: code.into(), reason: why.to_owned(), side };
                event = json!({"at": now, "failed": pending.message, "why": why});
                next.talk.pending = None;
                next.talk.failure = Some(failure.clone());
                due = now;
                let known = next.talk.peer_pid.is_some();
                // An agreement that the other side does not take as final is none.
                unmade = (said == NegotiationMessage::Finalized).then(|| next.agreement.as_ref().and_then(|a| a["@id"].as_str()).map(str::to_owned)).flatten();
                if last_word || !known || !self.say(&mut next, "terminate", Some(failure), now, &mut Outcome::default()) {
                    next.state = Some(NegotiationState::Terminated);
                    next.talk.pending = None;
                }
            }
            let mut step = self.step(&next, Some(revision), event, due);
            step.due = next.talk.pending.as_ref().map(|_| due);
            // First: if only one of the two comes to be written, nothing is open.
            if let Some(agreed) = match unmade { Some(id) => self.agreement(&id).await?, None => None } {
                self.end_agreement(&agreed, "it was never final: the other side did not take it as such").await?;
            }
            if self.commit_negotiation(step, Outcome::default()).await? {
                return Ok(());
            }
        }
        Err(busy())
    }

    /// What this side says to what it was told, by the negotiation's strategy.
    fn decide(&self, next: &mut Negotiation, now: DateTime) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(state) = next.state.filter(|s| !s.is_final()) else {
            if next.state == Some(NegotiationState::Finalized) {
                outcome.agreed = self.agreed(next, now);
            }
            return outcome;
        };
        match next.talk.strategy.clone() {
            Strategy::Scripted(_) => {
                if let Some(act) = next.talk.next_act(state.as_str()) {
                    self.say(next, &act, None, now, &mut outcome);
                }
            }
            Strategy::Manual => next.talk.waits_for = Some(state.as_str().to_owned()),
            Strategy::Automatic => self.decide_by_itself(next, state, now, &mut outcome),
        }
        outcome
    }

    /// After a message of our own was taken only a script goes on by itself.
    fn decide_after_saying(&self, next: &mut Negotiation, now: DateTime) -> Outcome {
        let mut outcome = Outcome::default();
        if let (Strategy::Scripted(_), Some(state)) = (&next.talk.strategy, next.state)
            && let Some(act) = next.talk.next_act(state.as_str())
        {
            self.say(next, &act, None, now, &mut outcome);
        }
        outcome
    }

    /// Puts a message on its way. Answers whether it may be said in this state; if not, nothing is changed.
    pub(crate) fn say(&self, next: &mut Negotiation, act: &str, why: Option<Failure>, now: DateTime, outcome: &mut Outcome) -> bool {
        use NegotiationMessage as M;
        let message = match act {
            "request" => M::Request,
            "offer" => M::Offer,
            "accept" => M::Accepted,
            "agree" => M::Agreement,
            "verify" => M::Verification,
            "finalize" => M::Finalized,
            "terminate" => M::Termination,
            _ => return false,
        };
        if negotiation(next.state, next.talk.role, message).is_none() || next.talk.peer_pid.is_none() {
            return false;
        }
        let (provider, consumer) = { let (p, c) = next.talk.pids(); (p.to_owned(), c.to_owned()) };
        let event = |kind: &str| {
            let mut out = encode::message("ContractNegotiationEventMessage", &provider, &consumer);
            out["eventType"] = kind.into();
            out
        };
        let (tail, body) = match message {
            M::Request | M::Offer => {
                let Some(offer) = self.counter(next) else { return false };
                let (kind, tail) = if message == M::Request { ("ContractRequestMessage", "request") } else { ("ContractOfferMessage", "offers") };
                let mut body = encode::message(kind, &provider, &consumer);
                body["offer"] = offer.clone();
                next.offers.push(Proposal { by: next.talk.role, offer, at: now });
                (tail, body)
            }
            M::Accepted => ("events", event("ACCEPTED")),
            M::Finalized => {
                outcome.agreed = self.agreed(next, now);
                ("events", event("FINALIZED"))
            }
            M::Verification => ("agreement/verification", encode::message("ContractAgreementVerificationMessage", &provider, &consumer)),
            M::Agreement => {
                let Some(agreement) = self.draw_up(next, now) else { return false };
                let mut body = encode::message("ContractAgreementMessage", &provider, &consumer);
                // Beside the agreement, not in it: a consumer compares what it is given with the offer, member by member.
                let signed = json!({"iat": now.micros() / 1_000_000, "agreement": agreement});
                body[format!("{WAYBILL}signature")] = waybill_keys::jws::sign(self.hub().keys().active(), "waybill-agreement+jwt", &signed).into();
                if let Some(offering) = self.config().offering(&next.dataset).filter(|o| o.personal) {
                    body[format!("{WAYBILL}enforcement")] = catalog::enforcement(offering).into();
                    body[format!("{WAYBILL}deleteWithin")] = catalog::DELETE_WITHIN.into();
                }
                body["agreement"] = agreement.clone();
                next.agreement = Some(agreement);
                ("agreement", body)
            }
            M::Termination => {
                let why = why.unwrap_or_else(|| Failure { code: "terminated".into(), reason: "ended by the other side".into(), side: next.talk.role });
                let body = encode::ending("ContractNegotiationTerminationMessage", &provider, &consumer, &why.code, &why.reason);
                next.talk.failure = Some(why);
                ("termination", body)
            }
        };
        let peer = segment(next.talk.peer_pid.as_deref().unwrap_or_default());
        let number = now.micros().unsigned_abs().wrapping_mul(8).wrapping_add(u64::from(message as u8));
        next.talk.pending = Some(Pending { message, body, path: format!("negotiations/{peer}/{tail}"), number, attempts: 0, since: now });
        true
    }

    /// What this side lays on the table against what lies there: as provider its own offer, as consumer what it asked for first.
    fn counter(&self, next: &Negotiation) -> Option<Value> {
        let own = next.offers.iter().find(|p| p.by == next.talk.role).map(|p| p.offer.clone());
        let config = self.config();
        let published = || {
            let asked = next.offers.last().and_then(|p| p.offer["@id"].as_str());
            let all = catalog::all_offers(config.offered(&next.dataset, config.participant(&next.talk.participant)?));
            let same = all.iter().find(|o| o.offer["@id"].as_str() == asked).or(all.first())?;
            Some(same.offer.clone())
        };
        let offer = match next.talk.role {
            Role::Provider => published().or(own),
            Role::Consumer => own.or_else(|| next.offers.last().map(|p| p.offer.clone())),
        }?;
        Some(targeted(&offer, &next.dataset))
    }

    fn step(&self, next: &Negotiation, expected: Option<u64>, event: Value, now: DateTime) -> Step {
        let mut next = next.clone();
        next.talk.modified_at = now;
        let due = next.talk.pending.as_ref().map(|_| match (&next.talk.strategy, &self.config().conformance) {
            (Strategy::Scripted(_), Some(run)) => now.plus_micros(run.delay_ms * 1000),
            _ => now,
        });
        Step { due, event, ..Step::new(&next.talk.id, expected, &next) }
    }

    /// Commits; false when another was faster.
    async fn commit_negotiation(&self, step: Step, outcome: Outcome) -> Result<bool, Fault> {
        let mut steps = vec![(self.negotiations(), step)];
        if let Some(agreed) = outcome.agreed {
            self.license(&agreed).await?;
            steps.push((self.agreements(), self.agreement_step(&agreed)));
        }
        match self.hub().commit_steps(steps).await {
            Ok(_) => {
                self.0.bell.notify_one();
                Ok(true)
            }
            Err(problem) if problem.code == "store-conflict" => Ok(false),
            Err(problem) => Err(problem.into()),
        }
    }

    /// Puts the licence of an agreement in force of which this hub is the provider. Before the agreement: without it nobody has a token.
    async fn license(&self, agreed: &Agreed) -> Result<(), Fault> {
        let config = self.config();
        let found = config.offering(&agreed.dataset).zip(config.participant(&agreed.participant)).filter(|_| agreed.role == Role::Provider);
        match found.and_then(|(offering, who)| Self::licence_of(offering, who, agreed)) {
            Some(licence) => Ok(self.hub().license(&licence).await?),
            None => Ok(()),
        }
    }

    fn agreement_step(&self, agreed: &Agreed) -> Step {
        let config = self.config();
        let who = config.participant(&agreed.participant);
        let enforced = if who.is_some_and(|w| w.enforcing) { "provider-and-consumer" } else { "provider-only" };
        let detail = json!({
            "agreed": agreed.id, "dataset": agreed.dataset, "purpose": agreed.purpose, "participant": agreed.participant,
            "role": agreed.role, "enforced": enforced, "until": agreed.until,
        });
        let mut step = Step::new(&agreed.id, None, agreed);
        step.record = Some(ProcessRecord { party: who.map(|w| w.party.clone()), detail });
        step
    }

    /// The acknowledgement of a negotiation, as its `GET` answers it.
    pub(crate) fn negotiation_body(negotiation: &Negotiation) -> Value {
        let (provider, consumer) = negotiation.talk.pids();
        encode::negotiation(provider, consumer, negotiation.shown())
    }
}

/// How a negotiation begins that the other side began.
struct Begin<'a> {
    who: &'a Participant,
    role: Role,
    peer_pid: String,
    address: String,
    dataset: &'a str,
    strategy: Strategy,
}

fn busy() -> Fault {
    Fault::new(503, "busy-process", "", "the process was changed at the same time again and again; try again in a moment")
}

fn targeted(offer: &Value, dataset: &str) -> Value {
    let mut out = offer.clone();
    out["target"] = dataset.into();
    out
}

/// The reasons of a message in one text, cut.
pub(crate) fn words(reason: &[Value]) -> String {
    let all: Vec<String> = reason.iter().map(|r| r.as_str().map_or_else(|| r.to_string(), str::to_owned)).collect();
    all.join("; ").chars().take(1000).collect()
}
