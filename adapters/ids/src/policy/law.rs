//! The law of a conversion: no rule vanishes, and nothing is allowed that was not.
//!
//! * A permission of which a constraint, a duty or anything else could not be carried over is left out, and its duties with it.
//! * A prohibition that lost a constraint stays, and forbids more. One that cannot be said at all closes the policy: no permission of it is
//!   emitted, since each was given beside what it forbade.
//! * An obligation that could not be carried over whole is left out and closes the policy likewise.
//! * What is not understood of the policy itself closes it.

use crate::loss::{Effect, Losses};
use crate::model::{Policy, Rule, RuleKind};

/// Takes out of a policy what may not leave, and says so.
pub(crate) fn close(policy: &mut Policy, losses: &mut Losses) {
    let mut closed = None;
    for hole in policy.holes.drain(..) {
        losses.dropped(&hole.place, hole.what, Effect::Stricter);
        closed.get_or_insert(hole.place);
    }
    policy.rules.retain_mut(|rule| match rule.kind {
        RuleKind::Prohibition => {
            let broken = rule.holes.iter().any(|h| h.fatal);
            name(rule, losses);
            if broken {
                losses.dropped(&rule.place, "the prohibition, which cannot be said; no permission beside it is emitted", Effect::Stricter);
                closed.get_or_insert(rule.place.clone());
            } else if !rule.holes.is_empty() {
                losses.kept(&rule.place, "the prohibition, without what could not be carried over", "a broader prohibition", Effect::Stricter);
                rule.holes.clear();
            }
            !broken
        }
        RuleKind::Obligation if !rule.holes.is_empty() => {
            name(rule, losses);
            losses.dropped(&rule.place, "the obligation, part of which could not be carried over; no permission beside it is emitted", Effect::Stricter);
            closed.get_or_insert(rule.place.clone());
            false
        }
        _ => true,
    });
    policy.rules.retain_mut(|rule| {
        if rule.kind != RuleKind::Permission {
            return true;
        }
        let broken = !rule.holes.is_empty() || rule.duties.iter().any(|d| !d.holes.is_empty());
        if !broken && closed.is_none() {
            return true;
        }
        name(rule, losses);
        for duty in &mut rule.duties {
            name(duty, losses);
            losses.dropped(&duty.place, "the duty, with the permission that it belongs to", Effect::Stricter);
        }
        let why = match &closed {
            Some(place) if !broken => format!("the permission, since {place} could not be carried over"),
            _ => "the permission, part of which could not be carried over".to_owned(),
        };
        losses.dropped(&rule.place, why, Effect::Stricter);
        false
    });
    if policy.rules.is_empty() {
        losses.kept(&policy.place, "a policy of which no rule is left", "a policy without rules, which permits nothing", Effect::Stricter);
    }
}

/// Names the parts of a rule that could not be carried over.
fn name(rule: &Rule, losses: &mut Losses) {
    for hole in &rule.holes {
        losses.dropped(&hole.place, hole.what.clone(), Effect::Stricter);
    }
}
