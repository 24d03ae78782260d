//! A slow interpreter, written straight from the draft of ODRL's formal semantics, against which the compiled form is tested. It walks the
//! policy as it was written, compares texts, and reports every rule and every constraint.
//!
//! Two places of the draft and of public test suites differ, so both answers are reported: the *activation state* (a rule is active when
//! its premises are satisfied and none of its conditions is violated) and the *control state* (a permission permits only when every
//! condition that must come first is fulfilled).
//! Closer than the draft in one more place: a duty whose last instant has passed blocks, where the draft calls it inactive again.

use crate::ast::{Action, Asset, Atom, Combine, Conflict, Constraint, Operator, Party, Policy, PolicyKind, Rule, Value};
use crate::code::RuleKind;
use crate::compile::instant;
use crate::profile::{Profile, follows_use};
use crate::request::{DutyState, Member, Request};
use crate::tri::Tri;
use crate::vocab::{ACTIONS, ODRL, action_iri, operand};

/// How a constraint, or a part of it, is satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConstraintReport {
    /// Its uid.
    pub uid: Option<String>,
    /// Whether it is satisfied.
    pub satisfied: Tri,
    /// The parts of a combination.
    pub parts: Vec<ConstraintReport>,
}

/// How a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleState {
    /// What it is.
    pub kind: RuleKind,
    /// Its uid.
    pub uid: Option<String>,
    /// Whether the target fits.
    pub target: Tri,
    /// Whether the party fits.
    pub party: Tri,
    /// Whether the action fits.
    pub action: Tri,
    /// Its constraints.
    pub constraints: Vec<ConstraintReport>,
    /// Whether its conditions (duties) let it hold.
    pub conditions: Tri,
    /// Whether a condition is violated.
    pub violated: bool,
}

impl RuleState {
    /// Whether all but the conditions are satisfied.
    pub fn premises(&self) -> Tri {
        self.constraints.iter().fold(self.target.and(self.party).and(self.action), |v, c| v.and(c.satisfied))
    }
    /// The activation state.
    pub fn active(&self) -> bool {
        self.premises() == Tri::True && !self.violated
    }
    /// Whether the rule holds, conditions included.
    pub fn standing(&self) -> Tri {
        self.premises().and(self.conditions)
    }
}

/// What the reference says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Every rule; none for an offer, which is not evaluated.
    pub rules: Vec<RuleState>,
    /// Whether the request is permitted.
    pub allow: bool,
}

/// Evaluates a policy that [`crate::compile`] accepts.
pub fn evaluate(policy: &Policy, profile: &Profile, request: &Request<'_>) -> Report {
    if policy.kind == PolicyKind::Offer {
        return Report { rules: Vec::new(), allow: false };
    }
    let world = World { policy, profile, request };
    let mut rules = Vec::new();
    for rule in &policy.permissions {
        rules.push(world.rule(RuleKind::Permission, rule));
    }
    for rule in &policy.prohibitions {
        rules.push(world.rule(RuleKind::Prohibition, rule));
    }
    let permitted = rules.iter().any(|r| r.kind == RuleKind::Permission && r.standing() == Tri::True);
    let prohibited = rules.iter().any(|r| r.kind == RuleKind::Prohibition && r.standing() != Tri::False);
    let allow = match (permitted, prohibited) {
        (false, _) => false,
        (true, false) => true,
        (true, true) => policy.conflict == Conflict::Perm,
    };
    Report { rules, allow }
}

struct World<'w> {
    policy: &'w Policy,
    profile: &'w Profile,
    request: &'w Request<'w>,
}

impl World<'_> {
    fn rule(&self, kind: RuleKind, rule: &Rule) -> RuleState {
        let conditions: Vec<(Tri, bool)> = rule.duties.iter().map(|d| self.condition(d)).collect();
        RuleState {
            kind,
            uid: rule.uid.clone(),
            target: some(rule.targets.iter().map(|t| self.asset(t))),
            party: some(rule.assignees.iter().map(|p| self.party(p))),
            action: some(rule.actions.iter().map(|a| self.action(kind, a))),
            constraints: rule.constraints.iter().map(|c| self.constraint(c)).collect(),
            conditions: conditions.iter().fold(Tri::True, |v, c| v.and(c.0)),
            violated: conditions.iter().any(|c| c.1),
        }
    }

    fn asset(&self, asset: &Asset) -> Tri {
        let named = asset.uid.as_deref().map_or(Tri::True, |uid| belongs(self.request.target.asset, uid));
        self.every(&asset.refinements).and(named)
    }

    fn party(&self, party: &Party) -> Tri {
        let named = party.uid.as_deref().map_or(Tri::True, |uid| belongs(self.request.assignee, uid));
        self.every(&party.refinements).and(named)
    }

    fn every(&self, constraints: &[Constraint]) -> Tri {
        constraints.iter().fold(Tri::True, |v, c| v.and(self.constraint(c).satisfied))
    }

    /// Whether the action asked for is the rule's, or included in it.
    fn action(&self, kind: RuleKind, action: &Action) -> Tri {
        let known = |iri: &str| ACTIONS.iter().find(|row| action_iri(row) == iri);
        let Some(mut row) = known(self.request.action) else { return if kind == RuleKind::Prohibition { Tri::Unknown } else { Tri::False } };
        loop {
            if action_iri(row) == action.iri {
                return self.every(&action.refinements);
            }
            let passes_on = ["distribute", "grantUse", "nextPolicy", "Distribution", "Sharing"].contains(&row.1);
            if row.2.is_empty() || (kind == RuleKind::Permission && self.profile.0.strict && passes_on) {
                return Tri::False;
            }
            match known(&format!("{ODRL}{}", row.2)) {
                Some(above) => row = above,
                None => return Tri::False,
            }
        }
    }

    fn constraint(&self, constraint: &Constraint) -> ConstraintReport {
        match constraint {
            Constraint::Atom(atom) => ConstraintReport { uid: atom.uid.clone(), satisfied: self.atom(atom), parts: Vec::new() },
            Constraint::Logic(logic) => {
                let parts: Vec<ConstraintReport> = logic.of.iter().map(|c| self.constraint(c)).collect();
                let count = |t: Tri| parts.iter().filter(|p| p.satisfied == t).count();
                let (yes, no, open) = (count(Tri::True), count(Tri::False), count(Tri::Unknown));
                let satisfied = match logic.how {
                    Combine::And | Combine::AndSequence if no > 0 => Tri::False,
                    Combine::And | Combine::AndSequence if open > 0 => Tri::Unknown,
                    Combine::And | Combine::AndSequence => Tri::True,
                    Combine::Or if yes > 0 => Tri::True,
                    Combine::Or if open > 0 => Tri::Unknown,
                    Combine::Or => Tri::False,
                    Combine::Xone if yes > 1 => Tri::False,
                    Combine::Xone if open > 0 => Tri::Unknown,
                    Combine::Xone => Tri::of(yes == 1),
                };
                ConstraintReport { uid: logic.uid.clone(), satisfied, parts }
            }
        }
    }

    fn atom(&self, atom: &Atom) -> Tri {
        if atom.operand == operand::DATE_TIME {
            return self.time(atom);
        }
        let right: Vec<&str> = atom.right.iter().map(Value::text).collect();
        let within: Vec<Tri> = right.iter().map(|r| self.within(&atom.operand, r)).collect();
        let same = |r: &str| self.same(&atom.operand, r);
        let Some(first) = right.first() else { return Tri::Unknown };
        match atom.operator {
            Operator::Eq => same(first),
            Operator::Neq => same(first).not(),
            Operator::IsA | Operator::IsPartOf | Operator::IsAnyOf => some(within.into_iter()),
            Operator::IsNoneOf => some(within.into_iter()).not(),
            Operator::IsAllOf => within.into_iter().fold(Tri::True, Tri::and),
            Operator::HasPart if atom.operand == operand::PURPOSE => self.purpose().map_or(Tri::Unknown, |asked| self.below(asked, first)),
            Operator::HasPart => same(first).or(Tri::Unknown),
            Operator::Gt | Operator::Gteq | Operator::Lt | Operator::Lteq => Tri::Unknown,
        }
    }

    fn time(&self, atom: &Atom) -> Tri {
        let Some(now) = self.request.time.map(waybill_model::DateTime::micros) else { return Tri::Unknown };
        let right: Option<Vec<i64>> = atom.right.iter().map(instant).collect();
        let Some(right) = right.filter(|r| !r.is_empty()) else { return Tri::Unknown };
        Tri::of(match atom.operator {
            Operator::Eq => now == right[0],
            Operator::Neq => now != right[0],
            Operator::Gt => now > right[0],
            Operator::Gteq => now >= right[0],
            Operator::Lt => now < right[0],
            Operator::Lteq => now <= right[0],
            Operator::IsAnyOf => right.contains(&now),
            Operator::IsNoneOf => !right.contains(&now),
            Operator::IsA | Operator::IsAllOf | Operator::IsPartOf | Operator::HasPart => return Tri::Unknown,
        })
    }

    /// The purpose asked for, if it is one that may be asked for.
    fn purpose(&self) -> Option<&str> {
        self.request.purpose.filter(|p| self.profile.purposes().get(p).is_some_and(|p| !p.top))
    }

    /// Whether `narrow` lies below `broad`: as the person was shown it, or not known when only since then.
    fn below(&self, broad: &str, narrow: &str) -> Tri {
        let purposes = self.profile.purposes();
        if purposes.covers(broad, narrow, self.policy.purpose_version) {
            Tri::True
        } else if purposes.covers(broad, narrow, purposes.version()) {
            Tri::Unknown
        } else {
            Tri::False
        }
    }

    fn member(&self, name: &str) -> Option<Member<'_>> {
        match name {
            operand::RECIPIENT => self.request.recipient,
            operand::ASSIGNEE => self.request.assignee,
            operand::SPATIAL => self.request.place,
            operand::ENTITY => self.request.target.asset,
            _ => None,
        }
    }

    fn within(&self, name: &str, right: &str) -> Tri {
        let target = &self.request.target;
        let equal = |left: Option<&str>| left.map_or(Tri::Unknown, |l| Tri::of(l == right));
        match name {
            operand::PURPOSE => self.purpose().map_or(Tri::Unknown, |asked| self.below(right, asked)),
            operand::ENTITY_TYPE => target.types.map_or(Tri::Unknown, |t| Tri::of(t.contains(&right))),
            operand::ATTRIBUTE => equal(target.attribute),
            operand::PRECISION => equal(target.precision),
            _ => belongs(self.member(name), right),
        }
    }

    fn same(&self, name: &str, right: &str) -> Tri {
        match name {
            operand::PURPOSE => self.purpose().map_or(Tri::Unknown, |asked| Tri::of(asked == right)),
            operand::ENTITY_TYPE | operand::ATTRIBUTE | operand::PRECISION => self.within(name, right),
            _ => self.member(name).map_or(Tri::Unknown, |m| Tri::of(m.id == right)),
        }
    }

    /// Whether a condition lets its permission hold, and whether it is violated.
    fn condition(&self, duty: &Rule) -> (Tri, bool) {
        let Some(states) = self.request.duties else { return (Tri::Unknown, false) };
        let said: Vec<DutyState> = states.iter().filter(|(u, _)| Some(*u) == duty.uid.as_deref()).map(|(_, s)| *s).collect();
        if said.contains(&DutyState::Violated) {
            return (Tri::False, true);
        }
        // Written in the order in which they were said: the last one counts.
        if said.last() == Some(&DutyState::Fulfilled) {
            return (Tri::True, false);
        }
        let begins = |c: &Constraint| bounds(c).0;
        let ends = |c: &Constraint| bounds(c).1;
        if let Some(now) = self.request.time.map(waybill_model::DateTime::micros) {
            if duty.constraints.iter().any(|c| now < begins(c)) {
                return (Tri::True, false);
            }
            if duty.constraints.iter().any(|c| now > ends(c)) {
                return (Tri::False, false);
            }
        } else if !duty.constraints.is_empty() {
            return (Tri::Unknown, false);
        }
        let follows = duty.actions.first().is_some_and(|a| follows_use(&a.iri));
        (if follows { Tri::True } else { Tri::Unknown }, false)
    }
}

/// The first and last microsecond in which a duty's constraint holds.
fn bounds(constraint: &Constraint) -> (i64, i64) {
    let atom = match constraint {
        Constraint::Atom(atom) => atom,
        Constraint::Logic(logic) => return logic.of.iter().map(bounds).fold((i64::MIN, i64::MAX), |a, b| (a.0.max(b.0), a.1.min(b.1))),
    };
    let Some(at) = atom.right.first().and_then(instant) else { return (i64::MIN, i64::MAX) };
    match atom.operator {
        Operator::Gt => (at + 1, i64::MAX),
        Operator::Gteq => (at, i64::MAX),
        Operator::Lt => (i64::MIN, at - 1),
        Operator::Lteq => (i64::MIN, at),
        _ => (at, at),
    }
}

/// At least one of them; of nothing: anything goes.
fn some(values: impl Iterator<Item = Tri>) -> Tri {
    values.reduce(Tri::or).unwrap_or(Tri::True)
}

fn belongs(member: Option<Member<'_>>, name: &str) -> Tri {
    let Some(member) = member else { return Tri::Unknown };
    if member.id == name {
        return Tri::True;
    }
    member.within.map_or(Tri::Unknown, |w| Tri::of(w.contains(&name)))
}
