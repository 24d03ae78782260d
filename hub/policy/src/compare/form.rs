//! Conditions in a form in which one can be held against another: what is exact (times, purposes) as its extension, names by operand.
//!
//! Everything rests on one relation: *a is within b* when for every request the value of a is at most that of b, in the order false, unknown,
//! true. It says of permissions that a opens nothing that b does not, and of prohibitions that b stands wherever a does. Where the rules
//! below find no proof the answer is no.

use crate::ast::{Asset, Atom, Combine, Constraint, Operator, Party, Value};
use crate::code::{Operand, Test};
use crate::compile::instant;
use crate::profile::Profile;
use crate::tri::Tri;
use crate::vocab::operand;
use crate::windows::{self, Window};
use std::cell::Cell;
use std::collections::BTreeSet;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Form<'p> {
    /// The instants at which it holds.
    Time(Vec<Window>),
    /// Its value for each purpose that may be asked for. For any other it is unknown, whatever it says.
    Aim(Vec<Tri>),
    /// An operand against names.
    Name(Operand, Test, BTreeSet<&'p str>),
    /// Every part; of nothing: always true.
    All(Vec<Form<'p>>),
    /// At least one part.
    Any(Vec<Form<'p>>),
    /// Exactly one part.
    One(Vec<Form<'p>>),
    /// Every part, in this order.
    Chain(Vec<Form<'p>>),
}

/// Every part, with all times as one and all purposes as one.
pub(super) fn all(parts: Vec<Form<'_>>) -> Form<'_> {
    gather(parts, true)
}

fn any(parts: Vec<Form<'_>>) -> Form<'_> {
    gather(parts, false)
}

fn gather(parts: Vec<Form<'_>>, every: bool) -> Form<'_> {
    let (mut rest, mut times, mut aims) = (Vec::new(), Vec::new(), None::<Vec<Tri>>);
    let mut todo = parts;
    todo.reverse();
    while let Some(part) = todo.pop() {
        match part {
            Form::All(inner) if every => todo.extend(inner.into_iter().rev()),
            Form::Any(inner) if !every => todo.extend(inner.into_iter().rev()),
            Form::Time(set) => times.push(set),
            Form::Aim(values) => {
                let join = |a: Tri, b: Tri| if every { a.and(b) } else { a.or(b) };
                aims = Some(match aims {
                    None => values,
                    Some(known) => known.into_iter().zip(values).map(|(a, b)| join(a, b)).collect(),
                });
            }
            other => rest.push(other),
        }
    }
    if !times.is_empty() {
        rest.push(Form::Time(windows::combine(if every { Combine::And } else { Combine::Or }, &times)));
    }
    rest.extend(aims.map(Form::Aim));
    match (rest.len(), every) {
        (1, _) => rest.swap_remove(0),
        (_, true) => Form::All(rest),
        (_, false) => Form::Any(rest),
    }
}

/// What turns conditions of one policy to forms.
#[derive(Clone, Copy)]
pub(super) struct Maker<'m> {
    pub(super) profile: &'m Profile,
    /// The version of the purpose scheme that the policy names.
    pub(super) version: u32,
}

impl Maker<'_> {
    /// A condition's form. `None` for what the compiler refuses.
    pub(super) fn constraint<'p>(&self, constraint: &'p Constraint) -> Option<Form<'p>> {
        let logic = match constraint {
            Constraint::Atom(atom) => return self.atom(atom),
            Constraint::Logic(logic) => logic,
        };
        let mut parts: Vec<Form<'p>> = logic.of.iter().map(|c| self.constraint(c)).collect::<Option<_>>()?;
        Some(match (logic.how, parts.len()) {
            (_, 0) => return None,
            (_, 1) => parts.swap_remove(0),
            (Combine::And, _) => all(parts),
            (Combine::Or, _) => any(parts),
            (Combine::AndSequence, _) => Form::Chain(parts),
            (Combine::Xone, _) => {
                let times: Option<Vec<Vec<Window>>> = parts.iter().map(|p| if let Form::Time(set) = p { Some(set.clone()) } else { None }).collect();
                match times {
                    Some(sets) => Form::Time(windows::combine(Combine::Xone, &sets)),
                    None => Form::One(parts),
                }
            }
        })
    }

    fn atom<'p>(&self, atom: &'p Atom) -> Option<Form<'p>> {
        let what = match atom.operand.as_str() {
            operand::DATE_TIME => {
                let times: Vec<i64> = atom.right.iter().map(instant).collect::<Option<_>>()?;
                return windows::of_operator(atom.operator, &times).map(Form::Time);
            }
            operand::PURPOSE => Operand::Purpose,
            operand::RECIPIENT => Operand::Recipient,
            operand::ASSIGNEE => Operand::Assignee,
            operand::SPATIAL => Operand::Place,
            operand::ENTITY => Operand::Entity,
            operand::ENTITY_TYPE => Operand::EntityType,
            operand::ATTRIBUTE => Operand::Attribute,
            operand::PRECISION => Operand::Precision,
            operand::CONSENT_TAG => Operand::ConsentTag,
            _ => return None,
        };
        let test = match atom.operator {
            Operator::Eq => Test::Eq,
            Operator::Neq => Test::Neq,
            Operator::IsA | Operator::IsPartOf | Operator::IsAnyOf => Test::AnyOf,
            Operator::IsAllOf => Test::AllOf,
            Operator::IsNoneOf => Test::NoneOf,
            Operator::HasPart => Test::HasPart,
            Operator::Gt | Operator::Gteq | Operator::Lt | Operator::Lteq => return None,
        };
        let words: BTreeSet<&str> = atom.right.iter().map(Value::text).collect();
        if words.is_empty() {
            return None;
        }
        if what == Operand::Purpose { self.aim(test, &words) } else { Some(name(what, test, words)) }
    }

    fn aim(&self, test: Test, words: &BTreeSet<&str>) -> Option<Form<'static>> {
        let purposes = self.profile.purposes();
        let words: Vec<u16> = words.iter().map(|w| purposes.find(w)).collect::<Option<_>>()?;
        let first = *words.first()?;
        // As deciding has it: what came below a purpose only after the person had read what that covers is not known to be meant.
        let below = |broad: u16, narrow: u16| {
            if u32::from(purposes.since(broad, narrow)) <= self.version {
                Tri::True
            } else if purposes.ever(broad, narrow) {
                Tri::Unknown
            } else {
                Tri::False
            }
        };
        let value = |asked: u16| {
            let within = words.iter().map(|w| below(*w, asked));
            match test {
                Test::Eq => Tri::of(asked == first),
                Test::Neq => Tri::of(asked != first),
                Test::AnyOf => within.fold(Tri::False, Tri::or),
                Test::NoneOf => within.fold(Tri::False, Tri::or).not(),
                Test::AllOf => within.fold(Tri::True, Tri::and),
                Test::HasPart => below(asked, first),
            }
        };
        let asked = (0..u16::MAX).map_while(|i| purposes.at(i).map(|p| (i, p.top))).filter(|(_, top)| !top);
        Some(Form::Aim(asked.map(|(i, _)| value(i)).collect()))
    }

    /// Targets of which one is enough.
    pub(super) fn targets<'p>(&self, list: &'p [Asset]) -> Option<Form<'p>> {
        self.choices(Operand::Entity, list.iter().map(|a| (a.uid.as_deref(), a.refinements.as_slice())))
    }

    /// Parties of whom one is enough.
    pub(super) fn parties<'p>(&self, list: &'p [Party]) -> Option<Form<'p>> {
        self.choices(Operand::Assignee, list.iter().map(|a| (a.uid.as_deref(), a.refinements.as_slice())))
    }

    fn choices<'p>(&self, what: Operand, list: impl Iterator<Item = (Option<&'p str>, &'p [Constraint])>) -> Option<Form<'p>> {
        let one = |(uid, refinements): (Option<&'p str>, &'p [Constraint])| {
            let named = uid.map(|u| Some(name(what, Test::AnyOf, BTreeSet::from([u]))));
            named.into_iter().chain(refinements.iter().map(|c| self.constraint(c))).collect::<Option<Vec<_>>>().map(all)
        };
        list.map(one).collect::<Option<Vec<_>>>().map(any)
    }
}

/// How many values an operand has at once, which decides what two tests of it say about each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// One name, and what it lies within.
    Member,
    /// Several names.
    Several,
    /// One name.
    Single,
}

const fn sort(operand: Operand) -> Sort {
    match operand {
        Operand::EntityType => Sort::Several,
        Operand::Attribute | Operand::Precision => Sort::Single,
        _ => Sort::Member,
    }
}

/// One test has one form: equality is membership where nothing lies within anything, and "all of" one is "any of" one.
fn name(operand: Operand, test: Test, words: BTreeSet<&str>) -> Form<'_> {
    let (test, words) = match (sort(operand), test) {
        (Sort::Several | Sort::Single, Test::Eq) => (Test::AnyOf, words),
        (Sort::Several | Sort::Single, Test::Neq) => (Test::NoneOf, words),
        (_, Test::AllOf) if words.len() == 1 => (Test::AnyOf, words),
        (Sort::Single, Test::AllOf) => (Test::AnyOf, BTreeSet::new()),
        (_, test) => (test, words),
    };
    Form::Name(operand, test, words)
}

/// Whether one test of an operand is within another test of it.
fn tests(sort: Sort, a: (Test, &BTreeSet<&str>), b: (Test, &BTreeSet<&str>)) -> bool {
    use Test::{AllOf, AnyOf, Eq, HasPart, Neq, NoneOf};
    let (x, y) = (a.1, b.1);
    match (a.0, b.0) {
        (Eq, Eq | HasPart) | (Neq, Neq) | (HasPart, HasPart) => x == y,
        (Eq, Neq) => x.is_disjoint(y),
        (Eq | AnyOf, AnyOf) => x.is_subset(y),
        (AllOf, AllOf) | (NoneOf, NoneOf | Neq) => x.is_superset(y),
        (AllOf, AnyOf) => !x.is_disjoint(y),
        (AnyOf, NoneOf) => sort == Sort::Single && x.is_disjoint(y),
        (AnyOf, HasPart) => sort != Sort::Member && x.is_subset(y),
        (AllOf, HasPart) => sort != Sort::Member && x.is_superset(y),
        _ => false,
    }
}

/// What holds one form against another, within a bound on the work.
pub(super) struct Judge {
    left: Cell<usize>,
}

impl Judge {
    pub(super) fn new(steps: usize) -> Self {
        Self { left: Cell::new(steps) }
    }

    /// Whether the bound was reached; then every further answer was no.
    pub(super) fn exhausted(&self) -> bool {
        self.left.get() == 0
    }

    pub(super) fn spend(&self, steps: usize) -> bool {
        self.left.set(self.left.get().saturating_sub(steps));
        !self.exhausted()
    }

    /// Whether `a` is within `b`.
    pub(super) fn within(&self, a: &Form<'_>, b: &Form<'_>) -> bool {
        use Form::{Aim, All, Any, Chain, Name, One, Time};
        if !self.spend(1) {
            return false;
        }
        match (a, b) {
            (_, All(parts)) => parts.iter().all(|p| self.within(a, p)),
            (Any(parts), _) => parts.iter().all(|p| self.within(p, b)),
            (Time(x), Time(y)) => self.spend(x.len() + y.len()) && windows::combine(Combine::And, &[x.clone(), y.clone()]) == *x,
            (Aim(x), Aim(y)) => self.spend(x.len() / 16) && x.len() == y.len() && x.iter().zip(y).all(|(x, y)| x <= y),
            (Name(what, test, x), Name(other, than, y)) => {
                self.spend(x.len() + y.len()) && what == other && tests(sort(*what), (*test, x), (*than, y))
            }
            (One(x), One(y)) if self.same_parts(x, y) => true,
            (Chain(x), Chain(y)) if x.len() == y.len() && x.iter().zip(y).all(|(x, y)| self.within(x, y)) => true,
            (All(parts) | Chain(parts), _) if parts.iter().any(|p| self.within(p, b)) => true,
            (_, Any(parts)) if parts.iter().any(|p| self.within(a, p)) => true,
            // Exactly one is at most as much as at least one.
            (One(parts), _) => parts.iter().all(|p| self.within(p, b)),
            // Any of several names is any of them by itself; all or none of several is that of each.
            (Name(what, Test::AnyOf, words), Any(_)) if words.len() > 1 => {
                words.iter().all(|w| self.within(&name(*what, Test::AnyOf, BTreeSet::from([*w])), b))
            }
            (All(_), Name(what, test @ (Test::AllOf | Test::NoneOf), words)) if words.len() > 1 => {
                words.iter().all(|w| self.within(a, &name(*what, *test, BTreeSet::from([*w]))))
            }
            _ => false,
        }
    }

    /// Whether `a` and `b` always have the same value.
    pub(super) fn same(&self, a: &Form<'_>, b: &Form<'_>) -> bool {
        self.within(a, b) && self.within(b, a)
    }

    /// Whether each part of the one has its equal in the other.
    fn same_parts(&self, x: &[Form<'_>], y: &[Form<'_>]) -> bool {
        let mut free: Vec<&Form<'_>> = y.iter().collect();
        x.len() == y.len()
            && x.iter().all(|p| match free.iter().position(|q| self.same(p, q)) {
                Some(at) => {
                    free.swap_remove(at);
                    true
                }
                None => false,
            })
    }
}
