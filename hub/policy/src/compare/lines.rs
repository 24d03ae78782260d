//! Rules laid out for comparing: one line for each action, its conditions flat, its duties beside it.

use super::Part;
use super::form::{Form, Judge, Maker, all};
use super::words;
use crate::ast::{Combine, Constraint, Policy, Rule};
use crate::code::RuleKind;
use crate::profile::{Profile, follows_use};
use crate::request::DutyState;
use crate::tri::Tri;
use crate::windows::{self, Window};

/// Something that must hold for a rule to apply.
pub(super) struct Item<'p> {
    pub(super) part: Part,
    pub(super) form: Form<'p>,
    pub(super) text: String,
    /// Of a comparison: the operand, and operator with values in words.
    pub(super) atom: Option<(&'p str, &'static str, String)>,
}

/// A duty of a permission.
pub(super) struct Duty<'p> {
    pub(super) uid: Option<&'p str>,
    pub(super) action: &'p str,
    rule: &'p Rule,
    follows: bool,
    window: Option<Window>,
    pub(super) text: String,
}

/// One action of a rule.
pub(super) struct Line<'p> {
    pub(super) kind: RuleKind,
    pub(super) uid: Option<&'p str>,
    /// Its number; `None` is any action.
    action: Option<u8>,
    pub(super) name: String,
    pub(super) refinements: Vec<Item<'p>>,
    /// All of them together.
    pub(super) refined: Form<'p>,
    /// Target, assignee and constraints.
    pub(super) parts: Vec<Item<'p>>,
    pub(super) whole: Form<'p>,
    pub(super) duties: Vec<Duty<'p>>,
    /// What is like nothing else in another line; lines stand in this order.
    pub(super) key: String,
}

impl Line<'_> {
    /// The rule in words.
    pub(super) fn title(&self) -> String {
        format!("{} {}", kind(self.kind), self.name)
    }

    /// The rule in words, with what tells it from others of its kind and action.
    pub(super) fn described(&self) -> String {
        let parts: Vec<&str> = self.refinements.iter().chain(&self.parts).filter(|i| i.part == Part::Constraint).map(|i| i.text.as_str()).collect();
        if parts.is_empty() { self.named() } else { format!("{} with {}", self.named(), parts.join(" and ")) }
    }

    fn named(&self) -> String {
        if self.kind == RuleKind::Prohibition { format!("prohibition of {}", self.name) } else { self.title() }
    }
}

const fn kind(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Permission => "permission",
        RuleKind::Prohibition => "prohibition",
        RuleKind::Obligation => "obligation",
    }
}

/// The lines of all rules of a kind, in an order that does not depend on how they were written. `None`: something is not understood.
pub(super) fn lay_out<'p>(policy: &'p Policy, which: RuleKind, profile: &Profile) -> Option<Vec<Line<'p>>> {
    let maker = Maker { profile, version: policy.purpose_version };
    let rules = match which {
        RuleKind::Permission => &policy.permissions,
        RuleKind::Prohibition => &policy.prohibitions,
        RuleKind::Obligation => &policy.obligations,
    };
    let mut out = Vec::new();
    for rule in rules {
        if rule.actions.is_empty() {
            out.push(line(rule, which, None, maker)?);
        }
        for (iri, refinements) in rule.actions.iter().map(|a| (a.iri.as_str(), a.refinements.as_slice())) {
            out.push(line(rule, which, Some((iri, refinements)), maker)?);
        }
    }
    out.sort_by(|a, b| a.key.cmp(&b.key));
    Some(out)
}

fn line<'p>(rule: &'p Rule, kind: RuleKind, action: Option<(&'p str, &'p [Constraint])>, maker: Maker<'_>) -> Option<Line<'p>> {
    let number = match action {
        Some((iri, _)) => Some(maker.profile.0.actions.find(iri)?),
        None => None,
    };
    let mut refinements = Vec::new();
    items(action.map_or(&[], |a| a.1), Part::Action, maker, &mut refinements)?;
    let mut parts = Vec::new();
    if !rule.targets.is_empty() {
        parts.push(Item { part: Part::Target, form: maker.targets(&rule.targets)?, text: words::targets(&rule.targets), atom: None });
    }
    if !rule.assignees.is_empty() {
        parts.push(Item { part: Part::Assignee, form: maker.parties(&rule.assignees)?, text: words::parties(&rule.assignees), atom: None });
    }
    items(&rule.constraints, Part::Constraint, maker, &mut parts)?;
    for list in [&mut refinements, &mut parts] {
        list.sort_by(|a, b| (a.part, &a.text).cmp(&(b.part, &b.text)));
    }
    let mut duties = if kind == RuleKind::Permission { rule.duties.iter().map(|d| duty(d, maker)).collect::<Option<Vec<_>>>()? } else { Vec::new() };
    duties.sort_by_key(|d| (d.action, d.text.clone(), d.uid));
    let uid = rule.uid.as_deref().filter(|_| kind == RuleKind::Obligation);
    let name = action.map_or("any action".to_owned(), |a| words::short(a.0));
    let texts: Vec<&str> = refinements.iter().chain(&parts).map(|i| i.text.as_str()).chain(duties.iter().flat_map(|d| [d.action, &d.text])).collect();
    let key = format!("{name}\n{}\n{}", texts.join("\n"), uid.unwrap_or_default());
    let (refined, whole) = (all(refinements.iter().map(|i| i.form.clone()).collect()), all(parts.iter().map(|i| i.form.clone()).collect()));
    Some(Line { kind, uid, action: number, name, refinements, refined, parts, whole, duties, key })
}

/// Conditions that must all hold, nested "all of" laid flat.
fn items<'p>(list: &'p [Constraint], part: Part, maker: Maker<'_>, out: &mut Vec<Item<'p>>) -> Option<()> {
    for constraint in list {
        match constraint {
            Constraint::Logic(l) if l.how == Combine::And || l.of.len() == 1 => items(&l.of, part, maker, out)?,
            other => {
                let atom = match other {
                    Constraint::Atom(a) => Some((a.operand.as_str(), a.operator.name(), words::test(a.operator, &a.right))),
                    Constraint::Logic(_) => None,
                };
                out.push(Item { part, form: maker.constraint(other)?, text: words::constraint(other), atom });
            }
        }
    }
    Some(())
}

fn duty<'p>(rule: &'p Rule, maker: Maker<'_>) -> Option<Duty<'p>> {
    let [action] = rule.actions.as_slice() else { return None };
    let sets = rule.constraints.iter().map(|c| if let Form::Time(set) = maker.constraint(c)? { Some(set) } else { None }).collect::<Option<Vec<_>>>()?;
    let window = match windows::combine(Combine::And, &sets).as_slice() {
        _ if sets.is_empty() => None,
        [one] => Some(*one),
        _ => return None,
    };
    let text = if sets.is_empty() { "no condition".to_owned() } else { words::conditions(&rule.constraints) };
    Some(Duty { uid: rule.uid.as_deref(), action: &action.iri, rule, follows: follows_use(&action.iri), window, text })
}

/// Whether two duties may go by one name. The protocol gives rules none, so one without takes the name of the other side's.
pub(super) fn one_name(a: Option<&str>, b: Option<&str>) -> bool {
    a.is_none() || b.is_none() || a == b
}

impl Duty<'_> {
    /// Whether `self` lets its permission hold only when `other` does.
    pub(super) fn within(&self, other: &Self, judge: &Judge) -> bool {
        let alike = self.action == other.action && one_name(self.uid, other.uid) && self.rule.targets == other.rule.targets && self.rule.assignees == other.rule.assignees;
        if !alike || !judge.spend(20) {
            return false;
        }
        // The value changes at the ends of the windows and nowhere else.
        let ends = [self.window, other.window].into_iter().flatten().flat_map(|w| [w.0, w.1]);
        let mut times: Vec<Option<i64>> = ends.flat_map(|e| [e.saturating_sub(1), e, e.saturating_add(1)]).map(Some).collect();
        times.extend([None, Some(i64::MIN), Some(i64::MAX)]);
        let states = [DutyState::Fulfilled, DutyState::Violated, DutyState::NotSet];
        times.iter().all(|now| states.iter().all(|s| self.value(*s, *now) <= other.value(*s, *now)))
    }

    /// What it says of its permission, as deciding has it.
    fn value(&self, state: DutyState, now: Option<i64>) -> Tri {
        match (state, self.window, now) {
            (DutyState::Fulfilled, ..) => Tri::True,
            (DutyState::Violated, ..) => Tri::False,
            (DutyState::NotSet, Some(_), None) => Tri::Unknown,
            (DutyState::NotSet, Some((from, _)), Some(now)) if now < from => Tri::True,
            (DutyState::NotSet, Some((_, until)), Some(now)) if now > until => Tri::False,
            (DutyState::NotSet, ..) if self.follows => Tri::True,
            (DutyState::NotSet, ..) => Tri::Unknown,
        }
    }
}

impl Judge {
    /// Whether the action of `a` is `b`'s or one that it includes.
    pub(super) fn action_within(a: &Line<'_>, b: &Line<'_>, profile: &Profile) -> bool {
        match (a.action, b.action) {
            (x, y) if a.kind == RuleKind::Obligation => x == y && one_name(a.uid, b.uid),
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(x), Some(y)) => profile.0.actions.within(x, y, a.kind == RuleKind::Prohibition),
        }
    }

    /// Whether `a` applies, certainly or perhaps, only where `b` does at least as certainly.
    pub(super) fn line_within(&self, a: &Line<'_>, b: &Line<'_>, profile: &Profile) -> bool {
        self.spend(1)
            && Self::action_within(a, b, profile)
            && b.refinements.iter().all(|i| self.within(&a.refined, &i.form))
            && b.parts.iter().all(|i| self.within(&a.whole, &i.form))
            && b.duties.iter().all(|d| a.duties.iter().any(|c| c.within(d, self)))
    }
}
