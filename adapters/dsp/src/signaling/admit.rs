//! What a flow may open. The control plane says which; the hub looks itself: the dataset must be on offer, the other side known and allowed
//! to see it, and the agreement, fetched from the control plane (DPS, "Agreement retrieval"), for a purpose that the dataset is offered for.

use super::messages::First;
use crate::catalog;
use crate::config::{ControlPlane, Offering, Participant};
use crate::connector::{Connector, segment};
use crate::decode;
use crate::fault::Fault;
use crate::machine::Role;
use crate::process::Agreed;
use crate::vocab::{Format, ODRL, WAYBILL};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use waybill_exchange::Step;
use waybill_http::{OutRequest, encode_component};
use waybill_model::{DateTime, Iri};

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_AGREEMENT: usize = 1 << 20;

/// What an agreement's policy lets be done, as far as this hub reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub purpose: Option<Iri>,
    pub until: Option<DateTime>,
}

/// The identifier under which an agreement is in force here. Control planes number theirs in ways that are no IRI.
pub(crate) fn agreement_iri(id: &str) -> String {
    if Iri::new(id).is_ok() { id.to_owned() } else { format!("urn:waybill:agreement:{}", encode_component(id)) }
}

impl Connector {
    pub(crate) fn control_plane(&self) -> Result<Arc<ControlPlane>, Fault> {
        self.config().control_plane.clone().ok_or_else(Fault::missing)
    }

    /// Whom and what a first message is about, once both are known here.
    ///
    /// # Errors
    /// 400 for another participant than this hub; 403 when the other side is not known or may not see the dataset.
    pub(crate) fn flow_parties(&self, first: &First) -> Result<(Arc<Participant>, Option<Arc<Offering>>), Fault> {
        let config = self.config();
        if first.participant != config.participant {
            return Err(Fault::bad("/participantId", "it is not this hub's participant identifier"));
        }
        let who = config.participant(&first.counterparty).cloned();
        let who = who.ok_or_else(|| Fault::new(403, "counterparty-unknown", "/counterPartyId", "there is no [[participant]] with this identifier"))?;
        let offering = config.offering(&first.dataset).filter(|o| catalog::is_for(o, &who)).cloned();
        Ok((who, offering))
    }

    /// The agreement that a flow of this hub's data runs under, put in force.
    ///
    /// # Errors
    /// 403 when the dataset is not for the other side, or the agreement is another, over, or for another purpose; 400 for a form that is not
    /// offered; 502 when the control plane does not show the agreement.
    pub(crate) async fn admit(&self, first: &First) -> Result<Agreed, Fault> {
        let (who, offering) = self.flow_parties(first)?;
        let offering = offering.ok_or_else(|| Fault::new(403, "dataset-not-offered", "/datasetId", "this dataset is not offered to this participant"))?;
        let form = |f: &Format| if first.push { *f == Format::Push } else { matches!(f, Format::Pull | Format::Query) };
        if !offering.formats.iter().any(form) {
            return Err(Fault::new(400, "format-not-offered", "/profile", "the dataset is not offered in this form"));
        }
        let policy = self.fetch_agreement(&first.process).await?;
        let terms = check(&policy, first, &offering)?;
        let until = [terms.until, offering.until].into_iter().flatten().min();
        let id = agreement_iri(&first.agreement);
        let wanted = Agreed {
            id: id.clone(),
            role: Role::Provider,
            participant: who.id.clone(),
            dataset: offering.dataset.clone(),
            purpose: terms.purpose,
            policy,
            at: self.now(),
            until,
            ended: None,
        };
        let agreed = match self.agreement(&id).await? {
            None => wanted,
            Some(there) => {
                // An agreement is what it was; nobody widens one that is in force, whoever made it.
                let same = there.role == wanted.role && there.participant == wanted.participant && there.dataset == wanted.dataset;
                if !same || there.purpose != wanted.purpose || there.policy["@id"] != wanted.policy["@id"] {
                    return Err(Fault::new(403, "agreement-differs", "/agreementId", "an agreement of this name is known here with other parties, another dataset or another purpose"));
                }
                there
            }
        };
        if let Some(why) = self.over(&self.config(), &agreed) {
            return Err(Fault::new(403, "agreement-over", "/agreementId", why));
        }
        let licence = Self::licence_of(&offering, &who, &agreed).ok_or_else(|| Fault::bad("/agreementId", "it cannot be kept"))?;
        self.hub().license(&licence).await?;
        let mut step = Step::new(&id, None, &agreed);
        step.event = json!({"at": self.now(), "from": "control plane", "process": first.process});
        match self.agreements().commit(step).await {
            // It was there, or another was faster with the same.
            Err(problem) if problem.code != "store-conflict" => Err(problem.into()),
            _ => Ok(agreed),
        }
    }

    async fn fetch_agreement(&self, process: &str) -> Result<Value, Fault> {
        let plane = self.control_plane()?;
        let failed = |why: String| Fault::new(502, "agreement-not-shown", "/agreementId", format!("the control plane does not show the agreement: {why}"));
        let url = format!("{}/transfers/{}/agreement", plane.url, segment(process));
        let request = OutRequest::get(url).auth(plane.auth.clone()).deadline(DEADLINE).max_response(MAX_AGREEMENT).template("dps agreement");
        let answer = self.0.client.send(request).await.map_err(|e| failed(e.to_string()))?;
        if !answer.status.is_success() {
            return Err(failed(format!("status {}", answer.status.as_u16())));
        }
        match crate::foreign::short(&self.0.contexts, &answer.body, false).await {
            Ok(Some(agreement)) => Ok(agreement),
            Ok(None) => answer.json().map_err(|e| failed(e.to_string())),
            Err(fault) => Err(failed(fault.detail)),
        }
    }
}

/// Whether the agreement is the one of the message, and what it lets be done.
fn check(policy: &Value, first: &First, offering: &Offering) -> Result<Terms, Fault> {
    decode::policy(policy, "Agreement", "/agreement")?;
    let differs = |what: &str| Fault::new(403, "agreement-differs", "/agreementId", format!("the agreement that the control plane shows is about {what}"));
    for (name, wanted, what) in [
        ("@id", &first.agreement, "something else"),
        ("target", &first.dataset, "another dataset"),
        ("assignee", &first.counterparty, "another participant"),
        ("assigner", &first.participant, "another provider"),
    ] {
        if policy.get(name).and_then(Value::as_str) != Some(wanted) {
            return Err(differs(what));
        }
    }
    let terms = terms(policy)?;
    match &terms.purpose {
        Some(purpose) if !offering.purposes.contains(purpose) => {
            Err(Fault::new(403, "purpose-not-offered", "/agreementId", format!("the dataset is not offered for <{}>", purpose.as_str())))
        }
        None if offering.personal => {
            Err(Fault::new(403, "purpose-not-offered", "/agreementId", "the agreement names no purpose, and people agree to purposes"))
        }
        _ => Ok(terms),
    }
}

/// What a rule may say: where else something stands in it, it is refused.
const RULE: [&str; 7] = ["@id", "@type", "action", "target", "assigner", "assignee", "constraint"];
/// What consumers may be bound to: what this hub's own offers ask of them. Withdrawn data is deleted there, and the person told.
const DUTIES: [&str; 2] = ["delete", "inform"];
/// What consumers may be forbidden.
const FORBIDDEN: [&str; 1] = ["distribute"];

/// The short name of what is of ODRL; anything else as it is.
fn short(name: &str) -> &str {
    name.strip_prefix("odrl:").or_else(|| name.strip_prefix(ODRL)).unwrap_or(name)
}

/// What binds or forbids beside the permission: by whom it has to be kept is the consumer, so it is enough that it is understood. What is not is
/// refused by name.
fn bound(policy: &Value, permission: &Value) -> Result<(), String> {
    if let Some(odd) = permission.as_object().into_iter().flatten().map(|(name, _)| short(name)).find(|name| *name != "duty" && !RULE.contains(name)) {
        return Err(format!("`{odd}` of its permission is not understood"));
    }
    if let Some(odd) = ["inheritFrom", "conflict"].into_iter().find(|name| policy.get(name).is_some()) {
        return Err(format!("`{odd}` is not understood"));
    }
    let rules = [(permission.get("duty"), "duty", &DUTIES[..]), (policy.get("obligation"), "obligation", &DUTIES[..]), (policy.get("prohibition"), "prohibition", &FORBIDDEN[..])];
    for (rules, kind, known) in rules {
        for rule in rules.map(|r| r.as_array().map_or(std::slice::from_ref(r), Vec::as_slice)).into_iter().flatten() {
            let action = rule.get("action").and_then(operand).map(short).unwrap_or_default();
            let more = rule.as_object().into_iter().flatten().map(|(name, _)| short(name)).find(|name| *name == "constraint" || !RULE.contains(name));
            match more {
                Some(more) => return Err(format!("`{more}` of the {kind} `{action}` is not understood")),
                None if !known.contains(&action) => return Err(format!("the {kind} `{action}` is not understood")),
                None => {}
            }
        }
    }
    Ok(())
}

/// Reads a policy. What is not understood is not assumed away: a constraint of another kind refuses the whole, and so does a duty or a prohibition.
pub(crate) fn terms(policy: &Value) -> Result<Terms, Fault> {
    let unclear = |what: &str| Fault::new(403, "agreement-not-understood", "/agreementId", format!("the agreement's policy: {what}"));
    let permissions = policy.get("permission").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let [permission] = permissions else { return Err(unclear("exactly one permission is understood here")) };
    bound(policy, permission).map_err(|what| unclear(&what))?;
    let local = |name: &str, of: &str| short(name) == of;
    if !permission["action"].as_str().is_some_and(|a| local(a, "use")) {
        return Err(unclear("the permission is for another action than `use`"));
    }
    let mut out = Terms::default();
    for constraint in permission.get("constraint").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| constraint.get(name).and_then(Value::as_str).unwrap_or_default();
        let (left, operator) = (text("leftOperand"), text("operator"));
        let right = operand(&constraint["rightOperand"]);
        let right = right.ok_or_else(|| unclear("a right operand is not one single value"))?;
        if local(left, "purpose") && matches!(operator, "eq" | "isA" | "isAnyOf") {
            let purpose = Iri::new(right).map_err(|_| unclear("the purpose is no IRI"))?;
            if out.purpose.replace(purpose).is_some() {
                return Err(unclear("more than one purpose"));
            }
        } else if local(left, "dateTime") && matches!(operator, "lt" | "lteq") {
            let until: DateTime = right.parse().map_err(|_| unclear("the time of its end cannot be read"))?;
            out.until = Some(out.until.map_or(until, |before| before.min(until)));
        } else if left.strip_prefix(WAYBILL) == Some("consentTag") && operator == "eq" {
            // The gate asks for it anyway, value by value.
        } else {
            return Err(unclear(&format!("the constraint `{left} {operator}` is not understood")));
        }
    }
    Ok(out)
}

/// A right operand that is one text, in any of the forms that JSON-LD has for it.
fn operand(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(list) => list.first().filter(|_| list.len() == 1).and_then(operand),
        Value::Object(map) => map.get("@id").or_else(|| map.get("@value")).and_then(Value::as_str),
        _ => None,
    }
}
