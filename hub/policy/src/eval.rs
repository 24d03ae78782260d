//! Deciding. Nothing here allocates, and the depth of recursion is bounded by the compiler.

use crate::ast::{Combine, Conflict, PolicyKind};
use crate::code::{Choice, Compiled, DutyCode, NO_SLOT, Operand, RuleCode, RuleKind, Run, Step, Test};
use crate::request::{Aim, DutyState, Names, Request, Resolved, Who};
use crate::tri::{ExactlyOne, Tri};
use crate::windows;
use std::sync::Arc;
use waybill_model::DateTime;

/// What a policy says to a request. Small and without allocation; reasons come from [`Compiled::explain`], obligations from
/// [`Compiled::obligations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is permitted.
    pub allow: bool,
    /// The first instant at which time alone could change the answer; `None` when it never does.
    pub valid_until: Option<DateTime>,
    /// The number (among the permissions) of the first permission that holds.
    pub permitted_by: Option<u32>,
    /// The number (among the prohibitions) of the first prohibition that stands, for certain or because an input is missing.
    pub prohibited_by: Option<u32>,
    /// Whether an input was missing where it mattered: with more input the answer could become yes.
    pub missing: bool,
    /// A bit for each duty that is still to be done.
    pub(crate) duties: u64,
}

/// Something to be done by whoever was permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obligation {
    /// The duty's uid; its state is reported under this name.
    pub uid: Arc<str>,
    /// What is to be done.
    pub action: String,
    /// With what, when it is not the target of the permission.
    pub target: Option<Arc<str>>,
    /// By whom, when it is not the assignee of the permission.
    pub assignee: Option<Arc<str>>,
    /// When it must be done at the latest.
    pub due: Option<DateTime>,
}

/// Where evaluation is: the request and the earliest instant at which a looked-at time test changes.
pub(crate) struct Walk<'w, 'r> {
    pub(crate) policy: &'w Compiled,
    pub(crate) input: &'w Resolved<'r>,
    pub(crate) until: i64,
}

impl Compiled {
    /// Decides one request.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        self.decide_resolved(&self.profile.resolve(request))
    }

    /// Decides a request whose names were resolved by this policy's profile (or a clone of it).
    pub fn decide_resolved(&self, input: &Resolved<'_>) -> Decision {
        let mut walk = Walk { policy: self, input, until: i64::MAX };
        let (mut permitted_by, mut prohibited_by, mut missing) = (None, None, false);
        // A permission without anything left to do makes those of others superfluous.
        let (mut owed, mut free) = (0u64, false);
        let mut obliged = 0u64;
        if self.code.kind != PolicyKind::Offer {
            for rule in &self.code.rules {
                match rule.kind {
                    RuleKind::Permission => {
                        if free {
                            continue;
                        }
                        let mut duties = 0;
                        match walk.permission(rule, &mut duties) {
                            Tri::True => {
                                permitted_by.get_or_insert(rule.number);
                                free |= duties == 0;
                                owed |= duties;
                            }
                            Tri::Unknown => missing = true,
                            Tri::False => {}
                        }
                    }
                    RuleKind::Prohibition => {
                        let stands = walk.matches(rule);
                        if stands != Tri::False {
                            missing |= stands == Tri::Unknown;
                            prohibited_by.get_or_insert(rule.number);
                        }
                    }
                    RuleKind::Obligation => {
                        if walk.obligation(rule) {
                            obliged |= 1 << rule.duties.0;
                        }
                    }
                }
            }
        }
        let allow = permitted_by.is_some() && (prohibited_by.is_none() || self.code.conflict == Conflict::Perm);
        let duties = if allow { obliged | if free { 0 } else { owed } } else { 0 };
        let valid_until = (walk.until != i64::MAX).then(|| DateTime::from_micros(walk.until));
        Decision { allow, valid_until, permitted_by, prohibited_by, missing: missing && !allow, duties }
    }

    /// What is still to be done by whoever got `decision` from this policy.
    pub fn obligations(&self, decision: &Decision) -> Vec<Obligation> {
        let table = self.profile.table();
        let text = |slot: u32| if slot == NO_SLOT { None } else { table.text(self.word(slot)) };
        let owed = self.code.duties.iter().enumerate().filter(|(i, _)| decision.duties & (1 << i) != 0);
        owed.map(|(_, duty)| Obligation {
            uid: text(duty.uid).unwrap_or_else(|| Arc::from("")),
            action: self.profile.0.actions.iri(duty.action).to_owned(),
            target: text(duty.target),
            assignee: text(duty.assignee),
            due: self.window(duty).filter(|w| w.1 != i64::MAX).map(|w| DateTime::from_micros(w.1)),
        })
        .collect()
    }

    pub(crate) fn window(&self, duty: &DutyCode) -> Option<windows::Window> {
        if duty.window == NO_SLOT { None } else { self.times.get(duty.window as usize).copied() }
    }
}

impl Walk<'_, '_> {
    /// Whether a permission holds; its open duties that follow the use are put in `owed`.
    fn permission(&mut self, rule: &RuleCode, owed: &mut u64) -> Tri {
        let mut value = self.matches(rule);
        for bit in rule.duties.0..rule.duties.1 {
            if value == Tri::False {
                return Tri::False;
            }
            let Some(duty) = self.policy.code.duties.get(usize::from(bit)) else { return Tri::False };
            let (state, open) = self.duty(duty);
            value = value.and(state);
            if open {
                *owed |= 1 << bit;
            }
        }
        value
    }

    /// Whether everything but the duties of a rule holds.
    pub(crate) fn matches(&mut self, rule: &RuleCode) -> Tri {
        let mut value = self.act(rule);
        if value != Tri::False {
            value = value.and(self.choice(&rule.assignees, Operand::Assignee));
        }
        if value != Tri::False {
            value = value.and(self.choice(&rule.targets, Operand::Entity));
        }
        if value != Tri::False {
            value = value.and(self.run(rule.run));
        }
        value
    }

    /// Whether an obligation bears on this request and is not yet met. It is owed too when that is not certain.
    fn obligation(&mut self, rule: &RuleCode) -> bool {
        let Some(duty) = self.policy.code.duties.get(usize::from(rule.duties.0)) else { return true };
        if self.state(duty) == Some(DutyState::Fulfilled) {
            return false;
        }
        let mut bears = self.choice(&rule.assignees, Operand::Assignee);
        if bears != Tri::False {
            bears = bears.and(self.choice(&rule.targets, Operand::Entity)).and(self.run(rule.run));
        }
        bears != Tri::False
    }

    /// Whether a rule is about the action.
    pub(crate) fn act(&mut self, rule: &RuleCode) -> Tri {
        if rule.acts.is_empty() {
            return Tri::True;
        }
        let actions = &self.policy.profile.0.actions;
        let Some(asked) = self.input.action else {
            // An action we do not know is permitted by nothing, and may be a kind of anything that is prohibited.
            return if rule.kind == RuleKind::Prohibition { Tri::Unknown } else { Tri::False };
        };
        let covering = if rule.kind == RuleKind::Prohibition { actions.prohibited_by(asked) } else { actions.permitted_by(asked) };
        let mut value = Tri::False;
        for act in &rule.acts {
            if act.mask & covering != 0 {
                value = value.or(self.run(act.run));
                if value == Tri::True {
                    break;
                }
            }
        }
        value
    }

    /// Whether one of the targets or parties fits.
    pub(crate) fn choice(&mut self, choices: &[Choice], operand: Operand) -> Tri {
        if choices.is_empty() {
            return Tri::True;
        }
        let mut value = Tri::False;
        for choice in choices {
            let mut this = if choice.word == NO_SLOT { Tri::True } else { self.relation(operand, self.policy.word(choice.word)) };
            if this != Tri::False {
                this = this.and(self.run(choice.run));
            }
            value = value.or(this);
            if value == Tri::True {
                break;
            }
        }
        value
    }

    /// All steps of a run.
    pub(crate) fn run(&mut self, run: Run) -> Tri {
        let (mut at, mut value) = (run.from, Tri::True);
        while at < run.to {
            let (this, next) = self.step(at);
            value = value.and(this);
            if value == Tri::False {
                break;
            }
            at = next;
        }
        value
    }

    /// One step and where the next one is.
    pub(crate) fn step(&mut self, at: u32) -> (Tri, u32) {
        let Some(node) = self.policy.code.nodes.get(at as usize) else { return (Tri::Unknown, u32::MAX) };
        match node.step {
            Step::Time { at: first, len } => (self.time(first, len), at + 1),
            Step::Name { operand, test, at: first, len } => (self.name(operand, test, first, len), at + 1),
            Step::Group { how, end } => (self.group(how, at + 1, end), end),
        }
    }

    fn group(&mut self, how: Combine, mut at: u32, end: u32) -> Tri {
        match how {
            Combine::And | Combine::AndSequence => self.run(Run { from: at, to: end }),
            Combine::Or => {
                let mut value = Tri::False;
                while at < end && value != Tri::True {
                    let (this, next) = self.step(at);
                    value = value.or(this);
                    at = next;
                }
                value
            }
            Combine::Xone => {
                let mut one = ExactlyOne::default();
                while at < end && !one.settled() {
                    let (this, next) = self.step(at);
                    one.add(this);
                    at = next;
                }
                one.value()
            }
        }
    }

    fn time(&mut self, first: u32, len: u32) -> Tri {
        let Some(now) = self.input.time else { return Tri::Unknown };
        let (inside, change) = windows::find(self.policy.windows(first, len), now);
        self.until = self.until.min(change);
        Tri::of(inside)
    }

    pub(crate) fn name(&self, operand: Operand, test: Test, first: u32, len: u32) -> Tri {
        let words = self.policy.list(first, len);
        match test {
            Test::Eq => words.first().map_or(Tri::Unknown, |w| self.same(operand, *w)),
            Test::Neq => words.first().map_or(Tri::Unknown, |w| self.same(operand, *w).not()),
            Test::HasPart => words.first().map_or(Tri::Unknown, |w| self.contains(operand, *w)),
            Test::AnyOf => self.any(operand, words),
            Test::NoneOf => self.any(operand, words).not(),
            Test::AllOf => {
                let mut value = Tri::True;
                for word in words {
                    value = value.and(self.relation(operand, *word));
                    if value == Tri::False {
                        break;
                    }
                }
                value
            }
        }
    }

    fn any(&self, operand: Operand, words: &[u32]) -> Tri {
        let mut value = Tri::False;
        for word in words {
            value = value.or(self.relation(operand, *word));
            if value == Tri::True {
                break;
            }
        }
        value
    }

    fn who(&self, operand: Operand) -> Option<&Who> {
        match operand {
            Operand::Recipient => self.input.recipient.as_ref(),
            Operand::Assignee => self.input.assignee.as_ref(),
            Operand::Place => self.input.place.as_ref(),
            Operand::Entity => self.input.asset.as_ref(),
            _ => None,
        }
    }

    /// Whether the operand is `word`, or a kind or part of it.
    pub(crate) fn relation(&self, operand: Operand, word: u32) -> Tri {
        match operand {
            Operand::Purpose => match (self.input.purpose, u16::try_from(word)) {
                (Aim::Known(asked), Ok(agreed)) => {
                    let purposes = &self.policy.profile.0.purposes;
                    if u32::from(purposes.since(agreed, asked)) <= self.policy.version {
                        Tri::True
                    } else if purposes.ever(agreed, asked) {
                        // It came to lie below the agreed purpose only after the person had read what that covers.
                        Tri::Unknown
                    } else {
                        Tri::False
                    }
                }
                _ => Tri::Unknown,
            },
            Operand::EntityType => self.input.types.as_ref().map_or(Tri::Unknown, |types| listed(types, word)),
            Operand::Attribute => self.input.attribute.map_or(Tri::Unknown, |a| Tri::of(a == word)),
            Operand::Precision => self.input.precision.map_or(Tri::Unknown, |p| Tri::of(p == word)),
            _ => self.who(operand).map_or(Tri::Unknown, |who| if who.id == word { Tri::True } else { listed(&who.within, word) }),
        }
    }

    /// Whether the operand is exactly `word`.
    fn same(&self, operand: Operand, word: u32) -> Tri {
        match operand {
            Operand::Purpose => match self.input.purpose {
                Aim::Missing | Aim::Foreign => Tri::Unknown,
                Aim::Known(asked) => Tri::of(u32::from(asked) == word),
            },
            Operand::EntityType | Operand::Attribute | Operand::Precision => self.relation(operand, word),
            _ => self.who(operand).map_or(Tri::Unknown, |who| Tri::of(who.id == word)),
        }
    }

    /// Whether the operand contains `word`. For parties and places only what they lie within is known, not what they contain.
    fn contains(&self, operand: Operand, word: u32) -> Tri {
        match (operand, self.input.purpose, u16::try_from(word)) {
            (Operand::Purpose, Aim::Known(asked), Ok(narrow)) => {
                let purposes = &self.policy.profile.0.purposes;
                if u32::from(purposes.since(asked, narrow)) <= self.policy.version {
                    Tri::True
                } else if purposes.ever(asked, narrow) {
                    Tri::Unknown
                } else {
                    Tri::False
                }
            }
            (Operand::Purpose, ..) => Tri::Unknown,
            _ => self.same(operand, word).or(Tri::Unknown),
        }
    }

    /// How a duty stands; `None` when the state of the world is not known.
    pub(crate) fn state(&self, duty: &DutyCode) -> Option<DutyState> {
        let uid = self.policy.word(duty.uid);
        let said = self.input.duties?;
        if said.is_empty() {
            return Some(DutyState::NotSet);
        }
        let table = self.policy.profile.table();
        let mut state = DutyState::NotSet;
        for (name, said) in said {
            if table.find(name) == uid {
                // Said twice and differently: the worse counts.
                state = match (state, *said) {
                    (DutyState::Violated, _) | (_, DutyState::Violated) => DutyState::Violated,
                    (_, said) => said,
                };
            }
        }
        Some(state)
    }

    /// Whether a duty lets its permission hold, and whether it is still to be done.
    pub(crate) fn duty(&mut self, duty: &DutyCode) -> (Tri, bool) {
        let Some(state) = self.state(duty) else { return (Tri::Unknown, true) };
        let mut late = false;
        if let Some((from, until)) = self.policy.window(duty) {
            match self.input.time {
                // Before its time a duty is not active, and an inactive duty does not block.
                Some(now) if now < from => {
                    self.until = self.until.min(from);
                    return (Tri::of(state != DutyState::Violated), false);
                }
                Some(now) => {
                    late = now > until;
                    if !late {
                        self.until = self.until.min(until.saturating_add(1));
                    }
                }
                None if state == DutyState::NotSet => return (Tri::Unknown, true),
                None => {}
            }
        }
        match state {
            DutyState::Fulfilled => (Tri::True, false),
            DutyState::Violated => (Tri::False, false),
            DutyState::NotSet if late => (Tri::False, false),
            DutyState::NotSet if duty.follows => (Tri::True, true),
            DutyState::NotSet => (Tri::Unknown, true),
        }
    }
}

fn listed(names: &Names, word: u32) -> Tri {
    if names.as_slice().contains(&word) {
        Tri::True
    } else if names.complete {
        Tri::False
    } else {
        Tri::Unknown
    }
}
