//! What the hub decides by itself in a negotiation: whether an offer says what it may, what an agreement says, and whether it is what was agreed.

use crate::catalog;
use crate::config::Offering;
use crate::connector::{Connector, fresh_id};
use crate::machine::{NegotiationState, Role};
use crate::negotiation::Outcome;
use crate::process::{Agreed, Failure, Negotiation};
use serde_json::{Map, Value};
use std::sync::Arc;
use waybill_exchange::{OfferComparison, compare_offers};
use waybill_model::{DateTime, Iri};

impl Connector {
    pub(crate) fn decide_by_itself(&self, next: &mut Negotiation, state: NegotiationState, now: DateTime, outcome: &mut Outcome) {
        use NegotiationState as S;
        match (next.talk.role, state) {
            (Role::Provider, S::Requested) => match self.judge_request(next) {
                Ok(()) => drop(self.say(next, "agree", None, now, outcome)),
                Err(failure) => drop(self.say(next, "terminate", Some(failure), now, outcome)),
            },
            (Role::Provider, S::Accepted) => drop(self.say(next, "agree", None, now, outcome)),
            (Role::Provider, S::Verified) => drop(self.say(next, "finalize", None, now, outcome)),
            (Role::Consumer, S::Offered) => match self.judge_offer(next) {
                Ok(()) => drop(self.say(next, "accept", None, now, outcome)),
                // An offer that asks for more than was meant is for a person to look at.
                Err(failure) => {
                    next.talk.waits_for = Some(state.as_str().to_owned());
                    next.talk.failure = Some(failure);
                }
            },
            (Role::Consumer, S::Agreed) => match self.judge_agreement(next) {
                Ok(()) => drop(self.say(next, "verify", None, now, outcome)),
                Err(failure) => drop(self.say(next, "terminate", Some(failure), now, outcome)),
            },
            _ => {}
        }
    }

    /// As provider: is what the consumer asks for no more than what is offered?
    fn judge_request(&self, next: &Negotiation) -> Result<(), Failure> {
        let fail = |code: &str, reason: String, side| Err(Failure { code: code.into(), reason, side });
        let config = self.config();
        let Some(theirs) = next.offer() else { return fail("no-offer", "there is no offer on the table".into(), Role::Consumer) };
        let none = || fail("offer-not-found", "this dataset is not offered to this participant any more".into(), Role::Provider);
        let Some(who) = config.participant(&next.talk.participant) else { return none() };
        let mut offered = config.offered(&next.dataset, who).peekable();
        if offered.peek().is_none() {
            return none();
        }
        let id = theirs.offer["@id"].as_str().unwrap_or_default();
        let Some((offering, own)) = offered.find_map(|o| Some((o, catalog::offer(o, id)?))) else {
            return fail("offer-not-found", format!("the offer {id} is not made any more: the terms changed; ask for the catalogue again"), Role::Provider);
        };
        if let Some(until) = offering.until.filter(|until| *until <= self.now()) {
            return fail("offer-over", format!("the constraint dateTime lteq {until} does not hold at the provider: it is later than that"), Role::Provider);
        }
        match compare_offers(&own.offer, &theirs.offer) {
            Ok(OfferComparison::Equal | OfferComparison::Narrower(_)) => Ok(()),
            Ok(OfferComparison::Weakened(list)) => {
                fail("offer-weakened", format!("the consumer's offer (participant {}) weakens the provider's: {}", who.id, list.join("; ")), Role::Consumer)
            }
            Err(problem) => fail(&problem.code, format!("the consumer's offer is not understood: {}", problem.detail), Role::Consumer),
        }
    }

    /// As consumer: does what the provider offers permit at least what was asked for, and ask nothing more?
    fn judge_offer(&self, next: &Negotiation) -> Result<(), Failure> {
        let fail = |code: &str, reason: String| Err(Failure { code: code.into(), reason, side: Role::Provider });
        let Some(theirs) = next.offer() else { return fail("no-offer", "there is no offer on the table".into()) };
        let Some(own) = next.offers.iter().rev().find(|p| p.by == Role::Consumer) else {
            return fail("not-asked-for", "nothing was asked for in this negotiation".into());
        };
        match compare_offers(&theirs.offer, &own.offer) {
            Ok(OfferComparison::Equal | OfferComparison::Narrower(_)) => Ok(()),
            Ok(OfferComparison::Weakened(list)) => fail("offer-stricter", format!("the provider's offer is stricter than what was asked for: {}", list.join("; "))),
            Err(problem) => fail(&problem.code, format!("the provider's offer is not understood: {}", problem.detail)),
        }
    }

    /// As consumer: is the agreement what was last on the table, between the right parties?
    fn judge_agreement(&self, next: &Negotiation) -> Result<(), Failure> {
        let fail = |reason: String| Err(Failure { code: "agreement-differs".into(), reason, side: Role::Provider });
        let Some(agreement) = &next.agreement else { return fail("there is no agreement".into()) };
        let config = self.config();
        for (name, wanted) in [("assigner", next.talk.participant.as_str()), ("assignee", config.participant.as_str()), ("target", next.dataset.as_str())] {
            let said = agreement.get(name).and_then(Value::as_str).unwrap_or_default();
            if said != wanted {
                return fail(format!("{name} is {said}, not {wanted}"));
            }
        }
        let Some(offer) = next.offer() else { return fail("nothing was on the table".into()) };
        match compare_offers(&offer.offer, agreement) {
            Ok(OfferComparison::Equal) => Ok(()),
            Ok(OfferComparison::Narrower(list) | OfferComparison::Weakened(list)) => fail(list.join("; ")),
            Err(problem) => Err(Failure { code: problem.code, reason: problem.detail, side: Role::Provider }),
        }
    }

    /// The agreement to what is on the table, signed.
    pub(crate) fn draw_up(&self, next: &Negotiation, now: DateTime) -> Option<Value> {
        let config = self.config();
        let offer = next.offer()?.offer.as_object()?;
        let mut out = Map::new();
        for (name, value) in offer {
            if !matches!(name.as_str(), "@id" | "@type" | "target" | "assigner" | "assignee" | "@context") {
                out.insert(name.clone(), value.clone());
            }
        }
        out.insert("@id".into(), fresh_id().into());
        out.insert("@type".into(), "Agreement".into());
        out.insert("target".into(), next.dataset.as_str().into());
        out.insert("assigner".into(), config.participant.as_str().into());
        out.insert("assignee".into(), next.talk.participant.as_str().into());
        out.insert("timestamp".into(), now.to_string().into());
        Some(Value::Object(out))
    }

    /// The agreement as it is kept once it is in force.
    pub(crate) fn agreed(&self, next: &Negotiation, now: DateTime) -> Option<Agreed> {
        let policy = next.agreement.clone()?;
        let id = policy.get("@id")?.as_str()?.to_owned();
        let config = self.config();
        let all: Vec<&Arc<Offering>> = config.offers.iter().filter(|o| next.talk.role == Role::Provider && o.dataset == next.dataset).collect();
        let said = next.offer().and_then(|p| p.offer["@id"].as_str());
        let found = said.and_then(|id| all.iter().find_map(|o| Some((*o, catalog::offer(o, id)?))));
        // Where the offer is not made any more, the earliest end of all that is offered holds.
        let last = found.as_ref().map_or_else(|| all.iter().filter_map(|o| o.until).min(), |(offering, _)| offering.until);
        // A consumer may have asked for less than is offered; then that is what it may ask for.
        let purpose = match (self.purpose_of(&policy), found.and_then(|(_, o)| o.purpose)) {
            (Named::One(named), _) => Some(named),
            (Named::None, offered) => offered,
            // Several of which none is part of all others are no purpose that anybody could have agreed to.
            (Named::Unclear, _) => None,
        };
        // An offer may end earlier than the dataset does.
        let until = [last, crate::terms::until(&policy)].into_iter().flatten().min();
        Some(Agreed {
            id,
            role: next.talk.role,
            participant: next.talk.participant.clone(),
            dataset: next.dataset.clone(),
            purpose,
            policy,
            at: now,
            until,
            ended: None,
        })
    }

    /// The purpose that an agreement's permissions name: of several that must all hold, the one that is part of all others.
    fn purpose_of(&self, policy: &Value) -> Named {
        let rules = policy.get("permission").and_then(Value::as_array).into_iter().flatten();
        let named: Vec<Option<Iri>> = rules.flat_map(|rule| purposes(rule.get("constraint"))).collect();
        let Some(named) = named.into_iter().collect::<Option<Vec<Iri>>>() else { return Named::Unclear };
        if named.is_empty() {
            return Named::None;
        }
        let narrowest = named.iter().find(|one| named.iter().all(|other| other == *one || self.covers(other, one)));
        narrowest.map_or(Named::Unclear, |one| Named::One(one.clone()))
    }
}

/// The purpose that a policy names.
enum Named {
    None,
    One(Iri),
    Unclear,
}

/// The purposes of constraints that must all hold; nothing in place of one that cannot be read as one purpose.
fn purposes(constraints: Option<&Value>) -> Vec<Option<Iri>> {
    let list = constraints.and_then(Value::as_array).into_iter().flatten();
    list.flat_map(|constraint| match constraint.get("and").or_else(|| constraint.get("andSequence")) {
        Some(all) => purposes(Some(all)),
        None if constraint["leftOperand"].as_str().is_some_and(|o| o == "odrl:purpose" || o.ends_with("/odrl/2/purpose")) => {
            let right = &constraint["rightOperand"];
            let text = right.as_str().or_else(|| right.get("@id").and_then(Value::as_str)).or_else(|| right.get("@value").and_then(Value::as_str));
            let one = matches!(constraint["operator"].as_str(), Some("eq" | "isA" | "isAnyOf")).then_some(text).flatten();
            vec![one.and_then(|text| Iri::new(text).ok())]
        }
        None => Vec::new(),
    })
    .collect()
}
