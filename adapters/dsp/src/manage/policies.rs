//! Policy definitions: what an ODRL policy of the operator's means for an offer. What this hub does not hold anybody to itself, or could not say
//! in an offer, is refused by name when the policy is defined.

use super::body::{Body, MAX_TEXT, cut, listed, unwrapped};
use super::define::{Definition, Definitions, Kept, Making};
use crate::config::Terms;
use crate::fault::Fault;
use crate::manage::typed;
use crate::ns::{canonical_policy, plain};
use crate::vocab::{ODRL, WAYBILL};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_exchange::check_offer;
use waybill_model::{DateTime, Iri};

/// A policy that contract definitions name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PolicyDefinition {
    /// In the short form of the protocol, as an offer.
    policy: Value,
    private: Map<String, Value>,
}

/// What one permission of a policy lets somebody have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Permit {
    /// Whom it is for: participant identifiers, or their parties. Nothing for everybody.
    pub to: Option<Vec<String>>,
    /// What for.
    pub purposes: Vec<Iri>,
    /// Until when.
    pub until: Option<DateTime>,
    pub terms: Terms,
}

impl Definition for PolicyDefinition {
    const LEDGER: &'static str = "dsp-policy";
    const WHAT: &'static str = "policy definition";

    fn read(body: &Body<'_>, _: &Making<'_>) -> Result<Self, Fault> {
        body.only(&["policy", "privateProperties", "createdAt"])?;
        let policy = canonical_policy(&Value::Object(body.object("policy")?.clone()), "Offer");
        compile(&policy)?;
        Ok(Self { policy, private: body.properties("privateProperties")? })
    }

    fn view(&self, id: &str) -> Value {
        let mut policy = self.policy.clone();
        policy["@type"] = "Set".into();
        typed("PolicyDefinition", &[("@id", id.into()), ("policy", crate::inline::policy(policy)), ("privateProperties", self.private.clone().into())])
    }

    fn all(definitions: &Definitions) -> &BTreeMap<String, Arc<Kept<Self>>> {
        &definitions.policies
    }
    fn all_mut(definitions: &mut Definitions) -> &mut BTreeMap<String, Arc<Kept<Self>>> {
        &mut definitions.policies
    }

    fn needed(id: &str, definitions: &Definitions) -> Option<String> {
        let user = definitions.contracts.iter().find(|(_, c)| c.value.access == id || c.value.contract == id)?.0;
        Some(format!("the contract definition `{}` uses it; delete that first", cut(user)))
    }
}

impl PolicyDefinition {
    /// What it lets somebody have, permission by permission.
    ///
    /// # Errors
    /// As when it is defined: another version may have kept what this one does not understand.
    pub fn permits(&self) -> Result<Vec<Permit>, Fault> {
        compile(&self.policy)
    }
}

fn refused(place: &str, why: impl Into<String>) -> Fault {
    Fault::new(400, "policy-not-kept", place, why)
}

/// What a policy in the short form lets somebody have.
///
/// # Errors
/// 400 when it is no policy, or says what is not understood or not kept here, by its name.
pub(crate) fn compile(policy: &Value) -> Result<Vec<Permit>, Fault> {
    const PLACE: &str = "/policy";
    let map = policy.as_object().ok_or_else(|| Fault::bad(PLACE, "it must be an object"))?;
    let mut shaped = map.clone();
    // The name of a policy by itself is not needed: the definition has one, and an offer gets its own.
    shaped.entry("@id").or_insert_with(|| "urn:waybill:policy".into());
    let shaped = Value::Object(shaped);
    if map.get("permission").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        return Err(refused(&format!("{PLACE}/permission"), "what no permission names is not permitted: write [{\"action\": \"use\"}] to permit use to everybody"));
    }
    crate::decode::policy(&shaped, "Offer", PLACE)?;
    let mut whole = shaped;
    name_whole(&mut whole);
    check_offer(&whole).map_err(|p| Fault { place: format!("{PLACE}{}", p.place.as_deref().unwrap_or_default()), ..Fault::from(p) })?;
    only(map, &["@id", "@type", "profile", "permission", "prohibition", "obligation", "assignee"], PLACE)?;
    let assignee = assignee(map, PLACE)?;
    let plain_rules = |name: &str| -> Result<Vec<Value>, Fault> { bare_rules(map.get(name), &format!("{PLACE}/{name}")) };
    let (prohibitions, obligations) = (plain_rules("prohibition")?, plain_rules("obligation")?);
    let mut out = Vec::new();
    for (i, rule) in map["permission"].as_array().into_iter().flatten().enumerate() {
        let place = format!("{PLACE}/permission/{i}");
        let Some(rule) = rule.as_object() else { continue };
        only(rule, &["@type", "action", "constraint", "duty", "assignee"], &place)?;
        if rule.get("action").and_then(Value::as_str).and_then(term) != Some("use") {
            return Err(refused(&format!("{place}/action"), "an offer of this hub permits `use`; what is not permitted by another action is left out of the policy"));
        }
        let mut permit = Permit { terms: Terms { duties: bare_rules(rule.get("duty"), &format!("{place}/duty"))?, ..Terms::default() }, ..Permit::default() };
        permit.terms.prohibitions.clone_from(&prohibitions);
        permit.terms.obligations.clone_from(&obligations);
        for to in [assignee.clone(), self::assignee(rule, &place)?].into_iter().flatten() {
            permit.narrow(vec![to]);
        }
        for (i, constraint) in listed(rule.get("constraint").unwrap_or(&Value::Null)).iter().enumerate() {
            permit.constrain(constraint, &format!("{place}/constraint/{i}"))?;
        }
        out.push(permit);
    }
    Ok(out)
}

/// Participants go by any text, and ODRL names parties by IRIs only: for a check of everything else one stands in for each.
fn name_whole(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(name_whole),
        Value::Object(map) => {
            if matches!(map.get("leftOperand").and_then(Value::as_str).and_then(term), Some("recipient" | "assignee")) {
                map.insert("rightOperand".into(), "urn:waybill:participant".into());
            }
            if map.contains_key("assignee") {
                map.insert("assignee".into(), "urn:waybill:participant".into());
            }
            map.values_mut().for_each(name_whole);
        }
        _ => {}
    }
}

impl Permit {
    /// Is for those of `to` only, of those that it was for.
    pub fn narrow(&mut self, to: Vec<String>) {
        self.to = Some(match self.to.take() {
            None => to,
            Some(before) => before.into_iter().filter(|one| to.contains(one)).collect(),
        });
    }

    fn constrain(&mut self, constraint: &Value, place: &str) -> Result<(), Fault> {
        for name in ["and", "andSequence"] {
            if let Some(all) = constraint.get(name) {
                return listed(all).iter().enumerate().try_for_each(|(i, c)| self.constrain(c, &format!("{place}/{name}/{i}")));
            }
        }
        for name in ["or", "xone"] {
            if constraint.get(name).is_some() {
                return Err(refused(&format!("{place}/{name}"), format!("`{name}` is not understood here; write a permission for each way, or isAnyOf with a list")));
            }
        }
        let text = |name: &str| constraint.get(name).and_then(Value::as_str).unwrap_or_default();
        let (left, operator) = (text("leftOperand"), text("operator"));
        let right = constraint.get("rightOperand").unwrap_or(&Value::Null);
        let texts = || -> Result<Vec<String>, Fault> {
            let found: Option<Vec<String>> = listed(right).iter().map(|v| plain(v).filter(|t| !t.is_empty() && t.len() <= MAX_TEXT).map(str::to_owned)).collect();
            let found = found.filter(|list| !list.is_empty() && (list.len() == 1 || operator == "isAnyOf"));
            found.ok_or_else(|| refused(&format!("{place}/rightOperand"), "it must be a text, or with isAnyOf a list of texts"))
        };
        match (term(left), operator) {
            (Some("purpose"), "eq" | "isA" | "isAnyOf") => {
                if !self.purposes.is_empty() {
                    return Err(refused(place, "it is the second purpose of this permission, and one agreement is for one; write a permission for each, or isAnyOf with a list"));
                }
                let read = |t: String| Iri::new(&t).map_err(|_| refused(&format!("{place}/rightOperand"), format!("the purpose `{}` is no IRI", cut(&t))));
                self.purposes = texts()?.into_iter().map(read).collect::<Result<_, _>>()?;
                self.terms.exactly = operator != "isA";
                Ok(())
            }
            (Some("dateTime"), "lt" | "lteq") => {
                let end = json!({"permission": [{"constraint": [constraint]}]});
                let end = crate::terms::until(&end).ok_or_else(|| refused(&format!("{place}/rightOperand"), "it must be a time with its zone, as 2030-12-31T23:59:59Z"))?;
                self.until = Some(self.until.map_or(end, |before| before.min(end)));
                Ok(())
            }
            (Some("recipient" | "assignee"), "eq" | "isAnyOf") => {
                self.narrow(texts()?);
                Ok(())
            }
            // The gate asks for it anyway, value by value, wherever data is about persons.
            _ if left.strip_prefix(WAYBILL) == Some("consentTag") && operator == "eq" => Ok(()),
            _ => Err(refused(
                place,
                format!(
                    "`{} {}` is not kept by this hub; purpose (eq, isA, isAnyOf), dateTime (lt, lteq), recipient and assignee (eq, isAnyOf) are",
                    cut(term(left).unwrap_or(left)),
                    cut(operator)
                ),
            )),
        }
    }
}

/// A term of ODRL by its short name.
fn term(name: &str) -> Option<&str> {
    name.strip_prefix(ODRL).or_else(|| name.strip_prefix("odrl:")).or_else(|| Some(name).filter(|n| !n.contains(':')))
}

fn only(map: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), Fault> {
    match map.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(refused(&format!("{place}/{}", cut(name)), format!("`{}` is not understood here", cut(name)))),
    }
}

fn assignee(map: &Map<String, Value>, place: &str) -> Result<Option<String>, Fault> {
    let Some(value) = map.get("assignee") else { return Ok(None) };
    let text = unwrapped(value);
    let text = text.as_str().filter(|t| !t.is_empty() && t.len() <= MAX_TEXT);
    text.map(|t| Some(t.to_owned())).ok_or_else(|| refused(&format!("{place}/assignee"), "it must be a text"))
}

/// Rules that an offer carries as they are.
fn bare_rules(rules: Option<&Value>, place: &str) -> Result<Vec<Value>, Fault> {
    let mut out = Vec::new();
    for (i, rule) in rules.and_then(Value::as_array).into_iter().flatten().enumerate() {
        let place = format!("{place}/{i}");
        let rule = rule.as_object().ok_or_else(|| Fault::bad(&place, "it must be an object"))?;
        only(rule, &["@type", "action"], &place).map_err(|f| Fault { detail: format!("{}; a rule of this kind has an action and nothing else", f.detail), ..f })?;
        let action = rule.get("action").and_then(Value::as_str).ok_or_else(|| Fault::bad(&format!("{place}/action"), "it must be there, and a text"))?;
        let whole = if action.contains(':') { action.to_owned() } else { format!("{ODRL}{action}") };
        out.push(json!({"action": whole}));
    }
    Ok(out)
}
