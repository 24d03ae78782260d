//! What of a policy in ODRL's words IDS can say. What it cannot becomes a hole, which the law closes.

use super::constraint::ids_operator;
use crate::loss::{Effect, Losses};
use crate::model::{Atom, Constraint, Hole, Logic, Operand, Order, Policy, Right, Rule, RuleKind};
use crate::vocab::{IDSC, NARROWER, ODRL, VCARD};

/// Marks what IDS cannot say, and says in its way what it can.
pub(crate) fn fit(policy: &mut Policy, losses: &mut Losses) {
    span(policy, losses);
    for rule in &mut policy.rules {
        fit_rule(rule, losses);
        for duty in &mut rule.duties {
            if duty.kind == RuleKind::Duty(None) {
                let what = "a duty that does not say when it is due";
                losses.kept(&duty.place, what, "a duty before use, as ODRL has it", Effect::Same);
                duty.kind = RuleKind::Duty(Some(Order::Pre));
            }
            fit_rule(duty, losses);
        }
    }
}

/// A permission's constraint that the contract has begun, or has not ended. Of the two directions this is the one place.
pub(super) fn bounds(policy: &Policy) -> Vec<Constraint> {
    let spans = [("gteq", &policy.start), ("lteq", &policy.end)];
    let bound = |operator: &'static str, (place, operand): &(String, Operand)| {
        Constraint::Atom(Box::new(Atom {
            place: place.clone(),
            id: None,
            left: format!("{ODRL}dateTime"),
            ids_left: None,
            operator,
            ids_operator: None,
            right: Right::Values(vec![operand.clone()]),
            unit: None,
            source: None,
        }))
    };
    spans.into_iter().filter_map(|(operator, span)| span.as_ref().map(|s| bound(operator, s))).collect()
}

/// Takes the contract's span, which IDS says once, out of the permissions again.
fn span(policy: &mut Policy, losses: &mut Losses) {
    for bound in bounds(policy) {
        for rule in policy.rules.iter_mut().filter(|r| r.kind == RuleKind::Permission) {
            if let Some(at) = rule.constraints.iter().rposition(|c| same(c, &bound)) {
                rule.constraints.remove(at);
            } else {
                losses.kept(&rule.place, "a permission without the span of its contract", "a permission within it", Effect::Stricter);
            }
        }
    }
}

fn same(a: &Constraint, b: &Constraint) -> bool {
    match (a, b) {
        (Constraint::Atom(a), Constraint::Atom(b)) => Atom { place: b.place.clone(), ..(**a).clone() } == **b,
        _ => false,
    }
}

fn fit_rule(rule: &mut Rule, losses: &mut Losses) {
    let narrow = rule.kind == RuleKind::Permission;
    let mut holes = Vec::new();
    roles(rule, &mut holes, losses);
    fit_all(&mut rule.constraints, narrow, false, &mut holes, losses);
    for action in &mut rule.actions {
        fit_all(&mut action.refinements, narrow, true, &mut holes, losses);
    }
    for target in &mut rule.targets {
        fit_all(&mut target.refinements, narrow, false, &mut holes, losses);
    }
    if rule.targets.len() > 1 {
        if let Some(refined) = rule.targets.iter().find(|t| !t.refinements.is_empty()) {
            holes.push(Hole::new(&refined.place, "several assets, of which IDS could not tell which one is refined"));
            rule.targets.iter_mut().for_each(|t| t.refinements.clear());
        } else {
            losses.kept(&rule.place, "several assets, where IDS has room for one", "a list", Effect::Stricter);
        }
    }
    rule.holes.extend(holes);
}

/// Who of a group a rule is about. IDS says a role by a constraint and has no word for anything else.
fn roles(rule: &mut Rule, holes: &mut Vec<Hole>, losses: &mut Losses) {
    if let Some(party) = rule.assigners.iter().find(|p| !p.refinements.is_empty()) {
        holes.push(Hole::new(&party.place, "an assigner that is a part of a group"));
    }
    let alone = rule.assignees.len() == 1;
    for party in &mut rule.assignees {
        for refinement in std::mem::take(&mut party.refinements) {
            match refinement {
                Constraint::Atom(mut atom) if alone && atom.left == format!("{VCARD}hasRole") => {
                    losses.kept(&atom.place, "the role of the assignee", "a constraint on the role", Effect::Same);
                    atom.left = format!("{IDSC}ROLE");
                    rule.constraints.push(Constraint::Atom(atom));
                }
                Constraint::Atom(atom) => holes.push(Hole::new(&atom.place, "an assignee that is a part of a group")),
                Constraint::Logic { place, .. } => holes.push(Hole::new(&place, "an assignee that is a part of a group")),
            }
        }
    }
}

fn fit_all(constraints: &mut Vec<Constraint>, narrow: bool, of_action: bool, holes: &mut Vec<Hole>, losses: &mut Losses) {
    constraints.retain_mut(|constraint| {
        let fits = fit_one(constraint, narrow, of_action, losses);
        fits.map_err(|hole| holes.push(hole)).is_ok()
    });
}

fn fit_one(constraint: &mut Constraint, narrow: bool, of_action: bool, losses: &mut Losses) -> Result<(), Hole> {
    match constraint {
        Constraint::Logic { logic, parts, .. } => {
            // What is true less often may make exactly one of two true.
            let narrow = narrow && *logic != Logic::Xone;
            parts.iter_mut().try_for_each(|part| fit_one(part, narrow, of_action, losses))
        }
        Constraint::Atom(atom) => {
            if atom.ids_operator.is_some() {
                return Ok(());
            }
            if let Some(operator) = ids_operator(atom, of_action) {
                atom.ids_operator = Some(operator);
                return Ok(());
            }
            let nearest = NARROWER.iter().find(|(odrl, _)| *odrl == atom.operator).filter(|_| narrow);
            let Some((odrl, ids)) = nearest else {
                return Err(Hole::new(&atom.place, format!("IDS has no operator that means {} here", atom.operator)));
            };
            losses.kept(&atom.place, format!("the operator {odrl}"), format!("{ids}, which holds less often"), Effect::Stricter);
            atom.ids_operator = Some(format!("{IDSC}{ids}"));
            Ok(())
        }
    }
}

/// The left operand as IDS calls it.
pub(super) fn ids_left(atom: &Atom) -> String {
    let twin = || crate::vocab::to_ids(crate::vocab::LEFT_OPERANDS, &atom.left);
    atom.ids_left.clone().or_else(twin).unwrap_or_else(|| atom.left.clone())
}
