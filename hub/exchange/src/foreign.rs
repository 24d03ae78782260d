//! What the policy of somebody else's offer or agreement lets this hub do with what comes under it. Whatever is not understood, or could not
//! be kept to, is refused by name; nothing follows from what a policy leaves out.

use crate::terms::check_offer;
use serde_json::Value;
use waybill_model::{DateTime, Iri, PartyId, Problem, ProblemCode, WAYBILL};
use waybill_policy::{Atom, Combine, Constraint, Operator, Rule, read_offer};

const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
/// Actions whose prohibition this hub keeps: it does none of them unless it is permitted by name.
const NOT_DONE: [&str; 6] = ["distribute", "transfer", "sell", "give", "grantUse", "share"];

/// For whom a policy is read, and what the hub can keep to.
#[derive(Debug, Clone)]
pub struct Keeps<'a> {
    /// This hub's own identifier among the policy's parties.
    pub own: &'a str,
    /// The dataset.
    pub dataset: &'a str,
    /// What the data is wanted for.
    pub purpose: &'a Iri,
    /// Whether each value comes with a tag that can be verified.
    pub tags: bool,
    /// Whether the provider can be told that something was deleted.
    pub informs: bool,
}

/// What a policy permits for one purpose. Everything it does not say here, it does not permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTerms {
    /// Whether the purpose covers narrower ones.
    pub narrower: bool,
    /// From when.
    pub from: Option<DateTime>,
    /// Until when, excluded.
    pub until: Option<DateTime>,
    /// To whom it may be passed on: parties that a permission names.
    pub distribute_to: Vec<PartyId>,
}

/// What the constraints of one permission come to.
#[derive(Default)]
struct Bounds {
    /// Whether a purpose is named, and then whether it is ours, and whether it covers narrower ones.
    purpose: Option<(bool, bool)>,
    from: Option<DateTime>,
    until: Option<DateTime>,
    recipients: Option<Vec<PartyId>>,
}

impl Bounds {
    fn is_for_us(&self) -> bool {
        self.purpose.is_none_or(|(ours, _)| ours)
    }
    fn narrower(&self) -> bool {
        self.purpose.is_none_or(|(_, narrower)| narrower)
    }
}

/// What `policy`, an offer or agreement of the Dataspace Protocol 2025-1, permits for the purpose in `keeps`; nothing when it is for others.
///
/// # Errors
/// `policy-not-understood` (400) with the name of what is not understood; `policy-not-kept` (400) with the name of what this hub could not keep to.
pub fn foreign_terms(policy: &Value, keeps: &Keeps<'_>) -> Result<Option<ForeignTerms>, Problem> {
    check_offer(policy)?;
    let read = read_offer(policy).map_err(|_| not_kept("the policy"))?;
    let mut distributes = true;
    for rule in &read.prohibitions {
        for action in &rule.actions {
            if !NOT_DONE.contains(&local(&action.iri)) {
                return Err(not_kept(&format!("the prohibition of `{}`", local(&action.iri))));
            }
            // Whatever it is narrowed to: then it is kept to more widely.
            distributes &= local(&action.iri) != "distribute";
        }
    }
    duties(&read.obligations, keeps)?;
    let (mut found, mut onward): (Option<ForeignTerms>, Vec<Bounds>) = (None, Vec::new());
    for rule in &read.permissions {
        about_us(rule, keeps)?;
        let mut bounds = Bounds::default();
        for constraint in &rule.constraints {
            bound(constraint, keeps, &mut bounds)?;
        }
        let names = |wanted: &str| rule.actions.iter().any(|a| local(&a.iri) == wanted);
        if names("use") && bounds.recipients.is_some() {
            return Err(not_kept("the constraint `recipient` of a use"));
        }
        if names("use") {
            duties(&rule.duties, keeps)?;
            if bounds.is_for_us() && found.is_none() {
                found = Some(ForeignTerms { narrower: bounds.narrower(), from: bounds.from, until: bounds.until, distribute_to: Vec::new() });
            }
        }
        if names("distribute") {
            // The next one is held to the same policy anyway.
            let rest: Vec<Rule> = rule.duties.iter().filter(|d| !d.actions.iter().all(|a| local(&a.iri) == "nextPolicy")).cloned().collect();
            duties(&rest, keeps)?;
            onward.push(bounds);
        }
    }
    if let Some(terms) = found.as_mut().filter(|_| distributes) {
        // An envelope has one time and one purpose: a permission to pass on that has less of either opens nothing.
        let fits = |b: &&Bounds| {
            b.is_for_us()
                && (b.narrower() || !terms.narrower)
                && b.from.is_none_or(|from| terms.from.is_some_and(|own| own >= from))
                && b.until.is_none_or(|until| terms.until.is_some_and(|own| own <= until))
        };
        let parties: Vec<PartyId> = onward.iter().filter(fits).flat_map(|b| b.recipients.clone().unwrap_or_default()).collect();
        terms.distribute_to = parties;
        terms.distribute_to.sort();
        terms.distribute_to.dedup();
    }
    Ok(found)
}

fn local(iri: &str) -> &str {
    iri.strip_prefix(ODRL).unwrap_or(iri)
}

fn about_us(rule: &Rule, keeps: &Keeps<'_>) -> Result<(), Problem> {
    let (target, assignee) = (|uid: &String| uid != keeps.dataset, |uid: &String| uid != keeps.own);
    if rule.targets.iter().any(|t| !t.refinements.is_empty() || t.uid.as_ref().is_some_and(target)) {
        return Err(not_kept("a target that is not the whole dataset"));
    }
    if rule.assignees.iter().any(|p| !p.refinements.is_empty() || p.uid.as_ref().is_some_and(assignee)) {
        return Err(not_kept("an assignee that is not this hub"));
    }
    match rule.actions.iter().find(|a| !a.refinements.is_empty()) {
        Some(action) => Err(not_kept(&format!("a refinement of the action `{}`", local(&action.iri)))),
        None => Ok(()),
    }
}

/// What is to be done: deleting, which this hub does when the provider or the end of the agreement says so, and saying that it was done.
fn duties(list: &[Rule], keeps: &Keeps<'_>) -> Result<(), Problem> {
    for duty in list {
        for action in &duty.actions {
            let name = local(&action.iri);
            let kept = match name {
                "delete" => true,
                "inform" => keeps.informs,
                _ => false,
            };
            if !kept || !duty.constraints.is_empty() || !action.refinements.is_empty() || !duty.duties.is_empty() {
                return Err(not_kept(&format!("the duty `{name}`")));
            }
        }
    }
    Ok(())
}

fn bound(constraint: &Constraint, keeps: &Keeps<'_>, out: &mut Bounds) -> Result<(), Problem> {
    let atom = match constraint {
        Constraint::Atom(atom) => atom,
        Constraint::Logic(logic) if matches!(logic.how, Combine::And | Combine::AndSequence) => {
            return logic.of.iter().try_for_each(|inner| bound(inner, keeps, out));
        }
        Constraint::Logic(_) => return Err(not_kept("a constraint of alternatives")),
    };
    let name = local(&atom.operand);
    let refused = || not_kept(&format!("the constraint `{name} {}`", atom.operator.name()));
    match (name, atom.operator) {
        ("purpose", Operator::Eq | Operator::IsA | Operator::IsAnyOf) => {
            let ours = atom.right.iter().any(|v| v.text() == keeps.purpose.as_str());
            let before = out.purpose.unwrap_or((true, true));
            out.purpose = Some((before.0 && ours, before.1 && atom.operator != Operator::Eq));
        }
        ("dateTime", Operator::Lt | Operator::Lteq) => {
            let at = instant(atom).ok_or_else(refused)?;
            out.until = Some(out.until.map_or(at, |own| own.min(at)));
        }
        ("dateTime", Operator::Gt | Operator::Gteq) => {
            let at = instant(atom).ok_or_else(refused)?;
            out.from = Some(out.from.map_or(at, |own| own.max(at)));
        }
        ("recipient", Operator::Eq | Operator::IsAnyOf) => {
            let named: Option<Vec<PartyId>> = atom.right.iter().map(|v| Iri::new(v.text()).ok()).collect();
            let named = named.ok_or_else(refused)?;
            out.recipients = Some(out.recipients.take().map_or(named.clone(), |own| own.into_iter().filter(|p| named.contains(p)).collect()));
        }
        (operand, Operator::Eq) if keeps.tags && operand.strip_prefix(WAYBILL) == Some("consentTag") => {
            let valid = format!("{WAYBILL}valid");
            if !atom.right.iter().all(|v| v.text() == valid) {
                return Err(refused());
            }
        }
        _ => return Err(refused()),
    }
    Ok(())
}

fn instant(atom: &Atom) -> Option<DateTime> {
    match atom.right.as_slice() {
        [one] => DateTime::parse(one.text()).ok(),
        _ => None,
    }
}

fn not_kept(what: &str) -> Problem {
    Problem::new(ProblemCode("policy-not-kept"), 400, "An offer is not taken", format!("{what} is nothing that this hub could keep to"))
        .help("Ask the provider for an offer whose purpose, time, recipients and duties are all that it asks for.")
}
