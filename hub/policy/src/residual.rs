//! What must be true of an entity so that a request for it would be permitted: asked once, before any entity is looked at.

use crate::ast::{Combine, Conflict, PolicyKind};
use crate::code::{Choice, Compiled, NO_SLOT, Operand, RuleCode, RuleKind, Run, Step, Test};
use crate::eval::Walk;
use crate::request::{Request, Resolved, Target};
use crate::tri::Tri;
use std::collections::BTreeSet;
use std::sync::Arc;
use waybill_model::DateTime;

/// "Exactly one" of more parts than this is not taken apart: it counts as not known, which is closed.
const MAX_XONE: usize = 12;

/// Something that may be true of a target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// Its identifier is this one.
    Entity(Arc<str>),
    /// It belongs to this collection or derived asset.
    Within(Arc<str>),
    /// This is one of its types.
    EntityType(Arc<str>),
    /// The attribute is this one.
    Attribute(Arc<str>),
    /// The precision is this one.
    Precision(Arc<str>),
}

/// A condition over facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// All hold; of nothing: always.
    All(Vec<Condition>),
    /// One holds; of nothing: never.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// It is so.
    Is(Fact),
}

/// What is left to be known of the target. Sound: whenever it matches a target, the policy permits the request for that target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Residual {
    /// No target can be permitted.
    Never,
    /// Every target is permitted.
    Always,
    /// Those that meet the condition.
    Cond(Condition),
}

/// Which facts one is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactKind {
    /// Identifiers.
    Entity,
    /// Types.
    EntityType,
    /// Attributes.
    Attribute,
}

impl Residual {
    /// Whether a target is permitted. What is not known of it never opens.
    pub fn matches(&self, target: &Target<'_>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Cond(c) => c.holds(target) == Tri::True,
        }
    }

    /// The only values of this kind with which a target can match; `None` when there is no such bound. For narrowing a query by index.
    pub fn bound(&self, kind: FactKind) -> Option<BTreeSet<Arc<str>>> {
        match self {
            Self::Never => Some(BTreeSet::new()),
            Self::Always => None,
            Self::Cond(c) => c.bound(kind),
        }
    }

    /// Either of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        from(any(vec![self.condition(), other.condition()]))
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        from(all(vec![self.condition(), other.condition()]))
    }

    fn condition(self) -> Condition {
        match self {
            Self::Never => Condition::Any(Vec::new()),
            Self::Always => Condition::All(Vec::new()),
            Self::Cond(c) => c,
        }
    }
}

impl Condition {
    fn holds(&self, target: &Target<'_>) -> Tri {
        match self {
            Self::All(list) => list.iter().fold(Tri::True, |v, c| v.and(c.holds(target))),
            Self::Any(list) => list.iter().fold(Tri::False, |v, c| v.or(c.holds(target))),
            Self::Not(c) => c.holds(target).not(),
            Self::Is(fact) => fact.holds(target),
        }
    }

    fn bound(&self, kind: FactKind) -> Option<BTreeSet<Arc<str>>> {
        match self {
            Self::All(list) => list.iter().filter_map(|c| c.bound(kind)).reduce(|a, b| if kind == FactKind::EntityType { smaller(a, b) } else { &a & &b }),
            Self::Any(list) => list.iter().map(|c| c.bound(kind)).try_fold(BTreeSet::new(), |mut sum, b| {
                sum.extend(b?);
                Some(sum)
            }),
            Self::Is(Fact::Entity(v)) if kind == FactKind::Entity => Some(BTreeSet::from([Arc::clone(v)])),
            Self::Is(Fact::EntityType(v)) if kind == FactKind::EntityType => Some(BTreeSet::from([Arc::clone(v)])),
            Self::Is(Fact::Attribute(v)) if kind == FactKind::Attribute => Some(BTreeSet::from([Arc::clone(v)])),
            Self::Not(_) | Self::Is(_) => None,
        }
    }
}

/// An entity may have several types: of two bounds that both hold, either is one, and the smaller narrows more.
fn smaller(a: BTreeSet<Arc<str>>, b: BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
    if a.len() <= b.len() { a } else { b }
}

impl Fact {
    fn holds(&self, target: &Target<'_>) -> Tri {
        match self {
            Self::Entity(v) => target.asset.map_or(Tri::Unknown, |a| Tri::of(a.id == &**v)),
            Self::Within(v) => target.asset.and_then(|a| a.within).map_or(Tri::Unknown, |w| Tri::of(w.contains(&&**v))),
            Self::EntityType(v) => target.types.map_or(Tri::Unknown, |t| Tri::of(t.contains(&&**v))),
            Self::Attribute(v) => target.attribute.map_or(Tri::Unknown, |a| Tri::of(a == &**v)),
            Self::Precision(v) => target.precision.map_or(Tri::Unknown, |p| Tri::of(p == &**v)),
        }
    }
}

/// A value that may depend on facts.
enum Open {
    Known(Tri),
    Is(Fact),
    All(Vec<Open>),
    Any(Vec<Open>),
    One(Vec<Open>),
    Not(Box<Open>),
}

impl Open {
    /// When it is true for certain.
    fn truth(&self) -> Condition {
        match self {
            Self::Known(v) => constant(*v == Tri::True),
            Self::Is(f) => Condition::Is(f.clone()),
            Self::All(list) => all(list.iter().map(Self::truth).collect()),
            Self::Any(list) => any(list.iter().map(Self::truth).collect()),
            Self::Not(o) => o.falsity(),
            Self::One(list) if list.len() > MAX_XONE => constant(false),
            Self::One(list) => {
                let only = |i: usize| all(list.iter().enumerate().map(|(j, o)| if i == j { o.truth() } else { o.falsity() }).collect());
                any((0..list.len()).map(only).collect())
            }
        }
    }

    /// When it is false for certain.
    fn falsity(&self) -> Condition {
        match self {
            Self::Known(v) => constant(*v == Tri::False),
            Self::Is(f) => Condition::Not(Box::new(Condition::Is(f.clone()))),
            Self::All(list) => any(list.iter().map(Self::falsity).collect()),
            Self::Any(list) => all(list.iter().map(Self::falsity).collect()),
            Self::Not(o) => o.truth(),
            Self::One(list) if list.len() > MAX_XONE => constant(false),
            Self::One(list) => {
                let mut ways = vec![all(list.iter().map(Self::falsity).collect())];
                for (i, a) in list.iter().enumerate() {
                    ways.extend(list[i + 1..].iter().map(|b| all(vec![a.truth(), b.truth()])));
                }
                any(ways)
            }
        }
    }
}

fn constant(value: bool) -> Condition {
    if value { Condition::All(Vec::new()) } else { Condition::Any(Vec::new()) }
}

fn is_constant(c: &Condition) -> Option<bool> {
    match c {
        Condition::All(l) if l.is_empty() => Some(true),
        Condition::Any(l) if l.is_empty() => Some(false),
        _ => None,
    }
}

fn all(list: Vec<Condition>) -> Condition {
    let mut out = Vec::with_capacity(list.len());
    for c in list {
        match c {
            Condition::Any(l) if l.is_empty() => return constant(false),
            Condition::All(l) => out.extend(l.into_iter().filter(|c| is_constant(c) != Some(true))),
            other => out.push(other),
        }
    }
    if out.len() == 1 { out.swap_remove(0) } else { Condition::All(out) }
}

fn any(list: Vec<Condition>) -> Condition {
    let mut out = Vec::with_capacity(list.len());
    for c in list {
        match c {
            Condition::All(l) if l.is_empty() => return constant(true),
            Condition::Any(l) => out.extend(l),
            other => out.push(other),
        }
    }
    if out.len() == 1 { out.swap_remove(0) } else { Condition::Any(out) }
}

fn from(condition: Condition) -> Residual {
    match is_constant(&condition) {
        Some(true) => Residual::Always,
        Some(false) => Residual::Never,
        None => Residual::Cond(condition),
    }
}

impl Compiled {
    /// What must be true of a target so that `request` would be permitted for it. Parts of the target that the request holds count as known,
    /// the others are left open.
    pub fn residual(&self, request: &Request<'_>) -> Residual {
        self.residual_until(&self.profile.resolve(request)).0
    }

    /// The same for a resolved request, with the first instant at which time alone could change it.
    pub fn residual_until(&self, input: &Resolved<'_>) -> (Residual, Option<DateTime>) {
        let (permits, prohibits, until) = self.halves(input);
        let residual = if self.code.conflict == Conflict::Perm { permits } else { permits.and(prohibits) };
        (residual, until)
    }

    /// When this policy permits, and when it certainly does not prohibit.
    pub(crate) fn halves(&self, input: &Resolved<'_>) -> (Residual, Residual, Option<DateTime>) {
        if self.code.kind == PolicyKind::Offer {
            return (Residual::Never, Residual::Always, None);
        }
        let mut walk = Walk { policy: self, input, until: i64::MAX };
        let (mut permits, mut clear) = (Vec::new(), Vec::new());
        for rule in &self.code.rules {
            match rule.kind {
                RuleKind::Permission => {
                    let mut open = vec![walk.open(rule)];
                    for bit in rule.duties.0..rule.duties.1 {
                        let state = self.code.duties.get(usize::from(bit)).map_or(Tri::False, |d| walk.duty(d).0);
                        open.push(Open::Known(state));
                    }
                    permits.push(Open::All(open).truth());
                }
                RuleKind::Prohibition => clear.push(walk.open(rule).falsity()),
                RuleKind::Obligation => {}
            }
        }
        let until = (walk.until != i64::MAX).then(|| DateTime::from_micros(walk.until));
        (from(any(permits)), from(all(clear)), until)
    }

    /// Whether a prohibition yields to a permission.
    pub(crate) fn permission_wins(&self) -> bool {
        self.code.conflict == Conflict::Perm
    }
}

impl Walk<'_, '_> {
    /// All but the duties of a rule.
    fn open(&mut self, rule: &RuleCode) -> Open {
        let act = if rule.acts.iter().all(|a| a.run == Run::default()) {
            Open::Known(self.act(rule))
        } else {
            let actions = &self.policy.profile.0.actions;
            let covering = match (self.input.action, rule.kind) {
                (None, RuleKind::Prohibition) => return Open::Known(Tri::Unknown),
                (None, _) => 0,
                (Some(a), RuleKind::Prohibition) => actions.prohibited_by(a),
                (Some(a), _) => actions.permitted_by(a),
            };
            Open::Any(rule.acts.iter().filter(|a| a.mask & covering != 0).map(|a| self.open_run(a.run)).collect())
        };
        let assignee = self.open_choice(&rule.assignees, Operand::Assignee);
        let target = self.open_choice(&rule.targets, Operand::Entity);
        let run = self.open_run(rule.run);
        Open::All(vec![act, assignee, target, run])
    }

    fn open_choice(&mut self, choices: &[Choice], operand: Operand) -> Open {
        if choices.is_empty() {
            return Open::Known(Tri::True);
        }
        let each = choices.iter().map(|choice| {
            let name = if choice.word == NO_SLOT { Open::Known(Tri::True) } else { self.open_relation(operand, self.policy.word(choice.word)) };
            Open::All(vec![name, self.open_run(choice.run)])
        });
        Open::Any(each.collect())
    }

    fn open_run(&mut self, run: Run) -> Open {
        let (mut at, mut parts) = (run.from, Vec::new());
        while at < run.to {
            let (part, next) = self.open_step(at);
            parts.push(part);
            at = next;
        }
        Open::All(parts)
    }

    fn open_step(&mut self, at: u32) -> (Open, u32) {
        let Some(node) = self.policy.code.nodes.get(at as usize) else { return (Open::Known(Tri::Unknown), u32::MAX) };
        match node.step {
            Step::Time { .. } => (Open::Known(self.step(at).0), at + 1),
            Step::Name { operand, test, at: first, len } => {
                let value = if operand.of_target() { self.open_name(operand, test, first, len) } else { Open::Known(self.name(operand, test, first, len)) };
                (value, at + 1)
            }
            Step::Group { how, end } => {
                let Open::All(parts) = self.open_run(Run { from: at + 1, to: end }) else { return (Open::Known(Tri::Unknown), end) };
                let value = match how {
                    Combine::And | Combine::AndSequence => Open::All(parts),
                    Combine::Or => Open::Any(parts),
                    Combine::Xone => one(parts),
                };
                (value, end)
            }
        }
    }

    fn open_name(&mut self, operand: Operand, test: Test, first: u32, len: u32) -> Open {
        let words = self.policy.list(first, len);
        let each = words.iter().map(|w| self.open_relation(operand, *w)).collect();
        let same = |w: &u32| self.open_same(operand, *w);
        let unknown = || Open::Known(Tri::Unknown);
        match test {
            Test::Eq => words.first().map_or_else(unknown, same),
            Test::Neq => Open::Not(Box::new(words.first().map_or_else(unknown, same))),
            Test::HasPart => Open::Any(vec![words.first().map_or_else(unknown, same), unknown()]),
            Test::AnyOf => Open::Any(each),
            Test::NoneOf => Open::Not(Box::new(Open::Any(each))),
            Test::AllOf => Open::All(each),
        }
    }

    fn fact(&self, word: u32, kind: impl Fn(Arc<str>) -> Fact) -> Open {
        self.policy.profile.table().text(word).map_or(Open::Known(Tri::Unknown), |t| Open::Is(kind(t)))
    }

    fn open_relation(&self, operand: Operand, word: u32) -> Open {
        let known = self.relation(operand, word);
        if known != Tri::Unknown {
            return Open::Known(known);
        }
        match operand {
            Operand::Entity => {
                let id = if self.input.asset.is_some() { Open::Known(Tri::False) } else { self.fact(word, Fact::Entity) };
                Open::Any(vec![id, self.fact(word, Fact::Within)])
            }
            Operand::EntityType => self.fact(word, Fact::EntityType),
            Operand::Attribute => self.fact(word, Fact::Attribute),
            Operand::Precision => self.fact(word, Fact::Precision),
            _ => Open::Known(Tri::Unknown),
        }
    }

    fn open_same(&self, operand: Operand, word: u32) -> Open {
        if operand != Operand::Entity {
            return self.open_relation(operand, word);
        }
        match self.input.asset {
            Some(asset) => Open::Known(Tri::of(asset.id == word)),
            None => self.fact(word, Fact::Entity),
        }
    }
}

/// "Exactly one": what certainly does not hold plays no part.
fn one(mut parts: Vec<Open>) -> Open {
    parts.retain(|p| !matches!(p, Open::Known(Tri::False)));
    if parts.is_empty() { Open::Known(Tri::False) } else { Open::One(parts) }
}
