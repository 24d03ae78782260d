//! Why: the standing of every rule, and which condition or missing input made it so. Made on demand, never while deciding.

use crate::ast::PolicyKind;
use crate::code::{Choice, Compiled, NO_SLOT, Operand, RuleCode, RuleKind, Run, Step};
use crate::eval::{Decision, Walk};
use crate::request::{DutyState, Request};
use crate::tri::Tri;
use std::fmt;
use std::sync::Arc;

/// What a reason is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The action is another one.
    Action,
    /// The party is another one.
    Assignee,
    /// The target is another one.
    Target,
    /// A condition does not hold.
    Constraint,
    /// A duty is violated, late or still to be done.
    Duty,
    /// The policy is only an offer.
    Offer,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Assignee => "assignee",
            Self::Target => "target",
            Self::Constraint => "constraint",
            Self::Duty => "duty",
            Self::Offer => "offer",
        }
    }
}

/// One thing that keeps a rule from holding for certain. It names parts of the policy, never what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What it is about.
    pub cause: Cause,
    /// The uid of the constraint or duty, if it has one.
    pub part: Option<Arc<str>>,
    /// The operand that was looked at.
    pub operand: Option<&'static str>,
    /// Whether the input is missing; otherwise it was there and does not fit.
    pub missing: bool,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.missing, self.operand) {
            (true, Some(operand)) => write!(f, "missing:{operand}")?,
            (true, None) => write!(f, "missing:{}", self.cause.name())?,
            (false, Some(operand)) => write!(f, "{} {operand} does not fit", self.cause.name())?,
            (false, None) => write!(f, "{} does not fit", self.cause.name())?,
        }
        self.part.as_ref().map_or(Ok(()), |p| write!(f, " ({p})"))
    }
}

/// How one rule stands towards a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    /// Permission, prohibition or obligation.
    pub kind: RuleKind,
    /// Its number among those of its kind, as written.
    pub number: u32,
    /// Its uid, if it has one.
    pub uid: Option<Arc<str>>,
    /// Whether action, party, target and constraints fit.
    pub premises: Tri,
    /// Whether the duties let it hold: unknown while one is still to be done before.
    pub conditions: Tri,
    /// What keeps it from holding for certain.
    pub reasons: Vec<Reason>,
}

impl RuleReport {
    /// Whether the rule holds.
    pub fn standing(&self) -> Tri {
        self.premises.and(self.conditions)
    }
}

impl fmt::Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            RuleKind::Permission => "permission",
            RuleKind::Prohibition => "prohibition",
            RuleKind::Obligation => "obligation",
        };
        let state = match self.standing() {
            Tri::True => "holds",
            Tri::Unknown => "may hold",
            Tri::False => "does not hold",
        };
        write!(f, "{kind} {}", self.number)?;
        if let Some(uid) = &self.uid {
            write!(f, " <{uid}>")?;
        }
        write!(f, " {state}")?;
        for (i, reason) in self.reasons.iter().enumerate() {
            write!(f, "{}{reason}", if i == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The policy's uid.
    pub policy: Arc<str>,
    /// The decision.
    pub decision: Decision,
    /// Every rule.
    pub rules: Vec<RuleReport>,
}

impl Explanation {
    /// The operands whose value was missing where it mattered, each once.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut out: Vec<&'static str> = self.rules.iter().flat_map(|r| &r.reasons).filter(|r| r.missing).map(|r| r.operand.unwrap_or_else(|| r.cause.name())).collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.decision.allow { "permitted by" } else { "not permitted by" }, self.policy)?;
        self.rules.iter().try_for_each(|r| write!(f, "\n  {r}"))
    }
}

impl Compiled {
    /// The same decision as [`Compiled::decide`], with the standing of every rule.
    pub fn explain(&self, request: &Request<'_>) -> Explanation {
        let input = self.profile.resolve(request);
        let decision = self.decide_resolved(&input);
        let offer = self.code.kind == PolicyKind::Offer;
        let mut walk = Walk { policy: self, input: &input, until: i64::MAX };
        let rules = self.code.rules.iter().map(|rule| if offer { self.offered(rule) } else { walk.report(rule) }).collect();
        Explanation { policy: self.uid(), decision, rules }
    }

    fn blank(&self, rule: &RuleCode) -> RuleReport {
        let uid = if rule.uid == NO_SLOT { None } else { self.text(rule.uid) };
        RuleReport { kind: rule.kind, number: rule.number, uid, premises: Tri::False, conditions: Tri::True, reasons: Vec::new() }
    }

    fn offered(&self, rule: &RuleCode) -> RuleReport {
        let reason = Reason { cause: Cause::Offer, part: None, operand: None, missing: false };
        RuleReport { reasons: vec![reason], ..self.blank(rule) }
    }
}

impl Walk<'_, '_> {
    fn report(&mut self, rule: &RuleCode) -> RuleReport {
        let mut report = self.policy.blank(rule);
        let act = self.act(rule);
        let mut premises = act;
        if act != Tri::True {
            report.reasons.push(Reason { cause: Cause::Action, part: None, operand: None, missing: act == Tri::Unknown });
            for part in &rule.acts {
                self.leaves(part.run, Cause::Action, &mut report.reasons);
            }
        }
        for (choices, operand, cause) in [(&rule.assignees, Operand::Assignee, Cause::Assignee), (&rule.targets, Operand::Entity, Cause::Target)] {
            let value = self.choice(choices, operand);
            premises = premises.and(value);
            if value != Tri::True {
                self.choice_reasons(choices, operand, cause, &mut report.reasons);
            }
        }
        premises = premises.and(self.run(rule.run));
        self.leaves(rule.run, Cause::Constraint, &mut report.reasons);
        report.premises = premises;
        if rule.kind == RuleKind::Permission {
            for bit in rule.duties.0..rule.duties.1 {
                let Some(duty) = self.policy.code.duties.get(usize::from(bit)) else { continue };
                let (value, _) = self.duty(duty);
                report.conditions = report.conditions.and(value);
                if value != Tri::True {
                    let missing = self.state(duty).is_none_or(|s| s == DutyState::NotSet) && value == Tri::Unknown;
                    report.reasons.push(Reason { cause: Cause::Duty, part: self.policy.text(duty.uid), operand: None, missing });
                }
            }
        }
        report
    }

    fn choice_reasons(&mut self, choices: &[Choice], operand: Operand, cause: Cause, out: &mut Vec<Reason>) {
        for choice in choices {
            if choice.word != NO_SLOT {
                let value = self.relation(operand, self.policy.word(choice.word));
                if value != Tri::True {
                    out.push(Reason { cause, part: None, operand: Some(operand.name()), missing: value == Tri::Unknown });
                    continue;
                }
            }
            self.leaves(choice.run, cause, out);
        }
    }

    /// The comparisons of a run that do not hold for certain, in groups that do not hold for certain.
    fn leaves(&mut self, run: Run, cause: Cause, out: &mut Vec<Reason>) {
        let mut at = run.from;
        while at < run.to {
            let (value, next) = self.step(at);
            if let Some(node) = self.policy.code.nodes.get(at as usize)
                && value != Tri::True
            {
                let operand = match node.step {
                    Step::Time { .. } => Some("dateTime"),
                    Step::Name { operand, .. } => Some(operand.name()),
                    Step::Group { end, .. } => {
                        let before = out.len();
                        self.leaves(Run { from: at + 1, to: end }, cause, out);
                        // Two parts of "exactly one" that both hold leave no part to blame.
                        if out.len() > before { None } else { Some("xone") }
                    }
                };
                if let Some(operand) = operand {
                    let part = if node.label == NO_SLOT { None } else { self.policy.text(node.label) };
                    out.push(Reason { cause, part, operand: Some(operand), missing: value == Tri::Unknown });
                }
            }
            at = next;
        }
    }
}
