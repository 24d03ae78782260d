//! Whether an offer that came back in a negotiation says the same as one's own, less, or more.
//!
//! What an evaluation asks is compared, not how it was written: rules in any order, nested "all of" laid flat, times as instants, purposes by
//! what lies below them, equality and membership as one where nothing lies within anything. An `andSequence` keeps its order.
//!
//! *Not compared*, since the protocol or the parties set them: the policy's uid, its kind, the assigner, the uids of rules and constraints,
//! and what theirs names where one's own is silent, if it is the same on all rules of theirs: one target, one assignee (a counterpart puts the
//! dataset and itself there). Another target or assignee than one's own is a change, and so is none. A duty without a uid takes that of the
//! other side's. So of two equal offers one's own is the one to keep.

mod form;
mod lines;
mod words;

use crate::ast::{Conflict, Constraint, Policy, Rule};
use crate::code::RuleKind;
use crate::compile::understood;
use crate::profile::Profile;
use form::{Form, Judge};
use lines::{Duty, Item, Line, lay_out, one_name};

/// The most actions, names, conditions and values in one policy that is compared.
pub const MAX_COMPARED: usize = 2_000;
/// The most steps that one comparison takes.
const STEPS: usize = 400_000;

/// What an offer that came back is, beside one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// It says the same.
    Equal,
    /// Whatever it permits one's own permits too, and what is asked for in return is asked for: what is narrower.
    Narrower(Vec<Change>),
    /// It may permit more, or ask for less: what makes it so. What is narrower besides is not listed.
    Weakened(Vec<Change>),
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Which part of the policy it is about.
    pub what: Part,
    /// The rule, what was there and what is there now, in plain words of bounded length. Names are those of the two policies.
    pub text: String,
}

/// A part of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// A profile that it names.
    Profile,
    /// What a conflict does.
    Conflict,
    /// A whole rule.
    Rule,
    /// A rule's action.
    Action,
    /// A rule's target.
    Target,
    /// Who may, or must not.
    Assignee,
    /// A constraint.
    Constraint,
    /// A duty.
    Duty,
    /// Something that cannot be compared.
    Unclear,
}

/// Compares an offer that came back with one's own.
///
/// If it is not [`Comparison::Weakened`] and both are compiled as agreements, every request that theirs permits one's own permits too
/// (where theirs named the one target or assignee that one's own is silent about: by that target and assignee). What cannot be compared
/// with certainty makes it `Weakened`, with a text that begins "cannot be compared"; so does what [`understood`] refuses.
pub fn compare(own: &Policy, theirs: &Policy, profile: &Profile) -> Comparison {
    let mut unclear = Vec::new();
    for (policy, whose) in [(own, "one's own offer: "), (theirs, "")] {
        match understood(policy, profile) {
            Ok(()) if size(policy) > MAX_COMPARED => unclear.push(format!("{whose}it has more than {MAX_COMPARED} parts")),
            Ok(()) => {}
            Err(faults) => unclear.extend(faults.iter().map(|f| format!("{whose}{}", f.message))),
        }
    }
    if !unclear.is_empty() {
        return Comparison::Weakened(unclear.into_iter().map(|why| change(Part::Unclear, &format!("cannot be compared: {why}"))).collect());
    }
    let own = filled(own, theirs);
    let judge = Judge::new(STEPS);
    let mut differ = Differ { judge: &judge, profile, weaker: Vec::new(), narrower: Vec::new() };
    differ.policies(&own, theirs);
    let (mut weaker, mut narrower) = (differ.weaker, differ.narrower);
    if judge.exhausted() {
        weaker = vec![change(Part::Unclear, "cannot be compared: too many of its parts resemble each other")];
    }
    for list in [&mut weaker, &mut narrower] {
        list.sort();
        list.dedup();
    }
    match (weaker.is_empty(), narrower.is_empty()) {
        (false, _) => Comparison::Weakened(weaker),
        (true, false) => Comparison::Narrower(narrower),
        (true, true) => Comparison::Equal,
    }
}

fn change(what: Part, text: &str) -> Change {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(words::CHANGE).collect();
    Change { what, text: plain }
}

/// How much there is to compare. The policy is within the compiler's limits.
fn size(policy: &Policy) -> usize {
    fn conditions(list: &[Constraint]) -> usize {
        list.iter().map(|c| if let Constraint::Logic(l) = c { 1 + conditions(&l.of) } else { 1 + values(c) }).sum()
    }
    fn values(c: &Constraint) -> usize {
        if let Constraint::Atom(a) = c { a.right.len() } else { 0 }
    }
    fn rule(rule: &Rule) -> usize {
        let targets: usize = rule.targets.iter().map(|t| 1 + conditions(&t.refinements)).sum();
        let parties: usize = rule.assignees.iter().map(|a| 1 + conditions(&a.refinements)).sum();
        let rest = targets + parties + conditions(&rule.constraints);
        // Each action is a rule of its own here.
        rule.actions.iter().map(|a| 1 + conditions(&a.refinements)).sum::<usize>() + rest * rule.actions.len().max(1)
    }
    let rules = policy.permissions.iter().chain(&policy.prohibitions).chain(&policy.obligations);
    rules.map(|r| 1 + rule(r) + r.duties.iter().map(rule).sum::<usize>()).sum()
}

/// One's own offer with the one target and assignee that theirs names on every rule, where one's own names none.
fn filled(own: &Policy, theirs: &Policy) -> Policy {
    let rules = || theirs.permissions.iter().chain(&theirs.prohibitions).chain(&theirs.obligations);
    let target = rules().next().and_then(|r| r.targets.first());
    let target = target.filter(|t| t.uid.is_some() && t.refinements.is_empty() && rules().all(|r| matches!(r.targets.as_slice(), [one] if one == *t)));
    let party = rules().next().and_then(|r| r.assignees.first());
    let party = party.filter(|p| p.uid.is_some() && p.refinements.is_empty() && rules().all(|r| matches!(r.assignees.as_slice(), [one] if one == *p)));
    let mut own = own.clone();
    for rule in own.permissions.iter_mut().chain(&mut own.prohibitions).chain(&mut own.obligations) {
        if rule.targets.is_empty() {
            rule.targets.extend(target.cloned());
        }
        if rule.assignees.is_empty() {
            rule.assignees.extend(party.cloned());
        }
    }
    own
}

/// Collects the differences.
struct Differ<'d> {
    judge: &'d Judge,
    profile: &'d Profile,
    weaker: Vec<Change>,
    narrower: Vec<Change>,
}

/// A difference: theirs applies where one's own does not, and the other way round.
struct Shift {
    what: Part,
    text: String,
    wider: bool,
    tighter: bool,
}

impl Differ<'_> {
    fn policies(&mut self, own: &Policy, theirs: &Policy) {
        for iri in own.profiles.iter().filter(|p| !theirs.profiles.contains(p)) {
            self.weaker.push(change(Part::Profile, &format!("the profile {} is missing", words::short(iri))));
        }
        for iri in theirs.profiles.iter().filter(|p| !own.profiles.contains(p)) {
            self.narrower.push(change(Part::Profile, &format!("the profile {} was added", words::short(iri))));
        }
        if own.conflict != theirs.conflict {
            let text = format!("the conflict strategy {} became {}", strategy(own.conflict), strategy(theirs.conflict));
            match own.conflict {
                Conflict::Perm => self.narrower.push(change(Part::Conflict, &text)),
                // Void for all, or only where they meet: neither is less than the other.
                _ => self.weaker.push(change(Part::Conflict, &text)),
            }
        }
        for kind in [RuleKind::Permission, RuleKind::Prohibition, RuleKind::Obligation] {
            let lines = (lay_out(own, kind, self.profile), lay_out(theirs, kind, self.profile));
            let (Some(own), Some(theirs)) = lines else {
                self.weaker.push(change(Part::Unclear, "cannot be compared: a condition is not understood"));
                continue;
            };
            // Each permission of theirs must be within one of one's own; each prohibition of one's own within one of theirs.
            if kind == RuleKind::Permission { self.rules(&theirs, &own, true) } else { self.rules(&own, &theirs, false) }
        }
    }

    /// Each of `inner` must be within one of `outer`. `opens`: they are permissions, and `inner` are theirs.
    fn rules(&mut self, inner: &[Line<'_>], outer: &[Line<'_>], opens: bool) {
        let within = |a: &Line<'_>, b: &Line<'_>| self.judge.line_within(a, b, self.profile);
        let covers: Vec<Vec<usize>> = inner.iter().map(|a| (0..outer.len()).filter(|j| within(a, &outer[*j])).collect()).collect();
        // Rules with an equal on the other side need no further word.
        let mut equal = vec![false; outer.len()];
        let mut settled = vec![false; inner.len()];
        for (i, a) in inner.iter().enumerate() {
            for j in covers[i].iter().copied().filter(|j| within(&outer[*j], a)) {
                equal[j] = true;
                settled[i] = true;
            }
        }
        let mut partnered = equal.clone();
        for (i, a) in inner.iter().enumerate().filter(|(i, _)| !settled[*i]) {
            if self.judge.exhausted() {
                return;
            }
            let covered = !covers[i].is_empty();
            // Within a rule that has its equal, it changes nothing.
            if covers[i].iter().any(|j| equal[*j]) {
                continue;
            }
            let near = (0..outer.len()).filter(|j| !equal[*j] && if covered { covers[i].contains(j) } else { self.akin(a, &outer[*j]) });
            let best = near
                .map(|j| {
                    let shifts = if opens { self.shifts(&outer[j], a) } else { self.shifts(a, &outer[j]) };
                    (a.name != outer[j].name, partnered[j], shifts.len(), j, shifts)
                })
                .min_by(|x, y| (x.0, x.1, x.2, x.3).cmp(&(y.0, y.1, y.2, y.3)));
            let Some((.., j, shifts)) = best else {
                let text = format!("the {} {}", a.described(), if opens { "was added" } else { "is missing" });
                self.weaker.push(change(Part::Rule, &text));
                continue;
            };
            partnered[j] = true;
            let before = (self.weaker.len(), self.narrower.len());
            for shift in shifts {
                let weakens = if opens { shift.wider } else { shift.tighter };
                if weakens { &mut self.weaker } else { &mut self.narrower }.push(change(shift.what, &shift.text));
            }
            if !covered && self.weaker.len() == before.0 {
                self.weaker.push(change(Part::Unclear, &format!("cannot be compared: the {}", a.described())));
            } else if (self.weaker.len(), self.narrower.len()) == before {
                self.narrower.push(change(Part::Rule, &format!("the {} may have become narrower", a.described())));
            }
        }
        for (_, b) in outer.iter().enumerate().filter(|(j, _)| !partnered[*j]) {
            if !inner.iter().any(|a| self.judge.line_within(b, a, self.profile)) {
                let text = format!("the {} {}", b.described(), if opens { "is missing" } else { "was added" });
                self.narrower.push(change(Part::Rule, &text));
            }
        }
    }

    /// Whether two rules may be one that was changed.
    fn akin(&self, a: &Line<'_>, b: &Line<'_>) -> bool {
        a.name == b.name || Judge::action_within(a, b, self.profile) || Judge::action_within(b, a, self.profile)
    }

    fn shifts(&self, own: &Line<'_>, theirs: &Line<'_>) -> Vec<Shift> {
        let mut out = Vec::new();
        if !self.judge.spend(1) {
            return out;
        }
        let title = own.title();
        let (wider, tighter) = (!Judge::action_within(theirs, own, self.profile), !Judge::action_within(own, theirs, self.profile));
        if wider || tighter {
            let text = if own.name == theirs.name { format!("{title}: its name became another") } else { format!("{title} became {}", theirs.title()) };
            out.push(Shift { what: Part::Action, text, wider, tighter });
        }
        self.conditions(&title, (&own.refinements, &own.refined), (&theirs.refinements, &theirs.refined), &mut out);
        self.conditions(&title, (&own.parts, &own.whole), (&theirs.parts, &theirs.whole), &mut out);
        self.duties(&title, &own.duties, &theirs.duties, &mut out);
        out
    }

    fn conditions(&self, title: &str, own: (&[Item<'_>], &Form<'_>), theirs: (&[Item<'_>], &Form<'_>), out: &mut Vec<Shift>) {
        let judge = self.judge;
        let mut new: Vec<&Item<'_>> = theirs.0.iter().collect();
        let mut old: Vec<&Item<'_>> = Vec::new();
        for item in own.0 {
            match new.iter().position(|n| n.part == item.part && judge.same(&n.form, &item.form)) {
                Some(at) => drop(new.remove(at)),
                None => old.push(item),
            }
        }
        for item in old {
            let wider = !judge.within(theirs.1, &item.form);
            let rank = |n: &Item<'_>| {
                let nested = judge.within(&n.form, &item.form) || judge.within(&item.form, &n.form);
                let alike = match (&item.atom, &n.atom) {
                    (Some(a), Some(b)) => a.0 == b.0 && (a.1 == b.1 || nested),
                    (None, None) => true,
                    _ => nested,
                };
                let operator = item.atom.as_ref().map(|a| a.1) != n.atom.as_ref().map(|a| a.1);
                (n.part == item.part && alike).then_some((operator, !nested))
            };
            let partner = (0..new.len()).filter_map(|at| rank(new[at]).map(|r| (r, at))).min();
            let Some((_, at)) = partner else {
                if wider {
                    out.push(Shift { what: item.part, text: format!("{title}: the {} {} is missing", label(item.part), item.text), wider, tighter: false });
                }
                continue;
            };
            let now = new.remove(at);
            let tighter = !judge.within(own.1, &now.form);
            if wider || tighter {
                let doubt = if wider && tighter && (item.atom.is_none() || now.atom.is_none()) && label(item.part) == "constraint" { "cannot be compared: " } else { "" };
                out.push(Shift { what: item.part, text: format!("{doubt}{title}: {}", became(item, now)), wider, tighter });
            }
        }
        for item in new {
            if !judge.within(own.1, &item.form) {
                out.push(Shift { what: item.part, text: format!("{title}: the {} {} was added", label(item.part), item.text), wider: false, tighter: true });
            }
        }
    }

    fn duties(&self, title: &str, own: &[Duty<'_>], theirs: &[Duty<'_>], out: &mut Vec<Shift>) {
        let (mut old, mut new): (Vec<&Duty<'_>>, Vec<&Duty<'_>>) = (Vec::new(), theirs.iter().collect());
        for duty in own {
            match new.iter().position(|n| n.within(duty, self.judge) && duty.within(n, self.judge)) {
                Some(at) => drop(new.remove(at)),
                None => old.push(duty),
            }
        }
        for duty in old {
            let name = format!("duty {} of {title}", words::short(duty.action));
            let wider = !theirs.iter().any(|d| d.within(duty, self.judge));
            let named = new.iter().position(|n| n.action == duty.action && one_name(n.uid, duty.uid));
            let Some(at) = named.or_else(|| new.iter().position(|n| n.action == duty.action)) else {
                if wider {
                    out.push(Shift { what: Part::Duty, text: format!("{name} is missing"), wider, tighter: false });
                }
                continue;
            };
            let now = new.remove(at);
            let tighter = !own.iter().any(|d| d.within(now, self.judge));
            if wider || tighter {
                let text = if !one_name(duty.uid, now.uid) {
                    format!("{name}: its uid {} became {}", words::short(duty.uid.unwrap_or_default()), words::short(now.uid.unwrap_or_default()))
                } else if duty.text == now.text {
                    format!("{name}: its target or assignee became another")
                } else {
                    format!("{name}: {} became {}", duty.text, now.text)
                };
                out.push(Shift { what: Part::Duty, text, wider, tighter });
            }
        }
        for duty in new.into_iter().filter(|n| !own.iter().any(|d| d.within(n, self.judge))) {
            let text = format!("duty {} of {title} was added", words::short(duty.action));
            out.push(Shift { what: Part::Duty, text, wider: false, tighter: true });
        }
    }
}

const fn strategy(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Perm => "perm",
        Conflict::Prohibit => "prohibit",
        Conflict::Invalid => "invalid",
    }
}

const fn label(part: Part) -> &'static str {
    match part {
        Part::Action => "refinement",
        Part::Target => "target",
        Part::Assignee => "assignee",
        _ => "constraint",
    }
}

fn became(old: &Item<'_>, now: &Item<'_>) -> String {
    match (&old.atom, &now.atom) {
        _ if old.text == now.text => format!("{} became another that begins like it", old.text),
        (Some(_), Some(b)) => format!("{} became {}", old.text, b.2),
        _ if old.part == Part::Target || old.part == Part::Assignee => format!("the {} {} became {}", label(old.part), old.text, now.text),
        _ => format!("{} became {}", old.text, now.text),
    }
}
