//! Policy to compiled policy: everything that is not understood is refused here, by name, so that deciding has no cases left.

use crate::ast::{Asset, Atom, Combine, Constraint, Operator, Party, Policy, Rule, Value};
use crate::code::{Act, Choice, Code, Compiled, DutyCode, NO_SLOT, Node, Operand, RuleCode, RuleKind, Run, Step, Test};
use crate::diagnostic::{Diagnostic, cut};
use crate::profile::{Profile, follows_use};
use crate::vocab::{ODRL, WAYBILL_PROFILE, operand};
use crate::windows::{self, Window};
use crate::parse::MAX_CONSTRAINT_DEPTH;
use waybill_model::{DateTime, Iri};

/// The most rules in one policy.
pub const MAX_RULES: usize = 2_000;
/// The most conditions in one policy, groups included.
pub const MAX_CONDITIONS: usize = 50_000;
/// The most duties and obligations in one policy.
pub const MAX_DUTIES: usize = 64;

/// Profiles that ask nothing of an evaluator beyond what we do.
const KNOWN_PROFILES: &[&str] = &[
    WAYBILL_PROFILE,
    "http://www.w3.org/ns/odrl/2/core",
    "https://w3id.org/dspace/2025/1/odrl-profile.jsonld",
    "http://dsp-protocol/odrl-profile",
];

/// Compiles a policy.
///
/// # Errors
/// Every fault: an operand, action, purpose or profile that is not known; an operator that does not fit its operand; a top purpose; too much.
pub fn compile(policy: &Policy, profile: &Profile) -> Result<Compiled, Vec<Diagnostic>> {
    check(policy, profile, false)?;
    let mut maker = Maker::new(profile, policy, true);
    maker.policy(policy);
    let code = Code {
        kind: policy.kind,
        conflict: policy.conflict,
        rules: maker.rules.into(),
        duties: maker.duties.into(),
        nodes: maker.nodes.into(),
    };
    let uid = profile.intern(&policy.uid);
    Ok(Compiled { profile: profile.clone(), code: profile.share(code), words: maker.words.into(), times: maker.times.into(), uid, version: policy.purpose_version })
}

/// Whether a proposal is understood: all that [`compile`] asks, except what only the agreement has to name, which are the target of a
/// permission and the uid of a duty. Nothing of it is remembered.
///
/// # Errors
/// As [`compile`].
pub fn understood(policy: &Policy, profile: &Profile) -> Result<(), Vec<Diagnostic>> {
    check(policy, profile, true)
}

fn check(policy: &Policy, profile: &Profile, proposal: bool) -> Result<(), Vec<Diagnostic>> {
    let mut check = Maker::new(profile, policy, false);
    check.proposal = proposal;
    check.limits(policy);
    if check.faults.is_empty() {
        check.policy(policy);
    }
    if check.faults.is_empty() { Ok(()) } else { Err(check.faults) }
}

struct Maker<'p> {
    profile: &'p Profile,
    /// Whether names are remembered. A policy that is refused leaves nothing behind in the table of names.
    keep: bool,
    /// Whether what an agreement adds may be missing.
    proposal: bool,
    version: u32,
    faults: Vec<Diagnostic>,
    words: Vec<u32>,
    times: Vec<Window>,
    nodes: Vec<Node>,
    duties: Vec<DutyCode>,
    rules: Vec<RuleCode>,
}

impl<'p> Maker<'p> {
    fn new(profile: &'p Profile, policy: &Policy, keep: bool) -> Self {
        Self {
            profile,
            keep,
            proposal: false,
            version: policy.purpose_version,
            faults: Vec::new(),
            words: Vec::new(),
            times: Vec::new(),
            nodes: Vec::new(),
            duties: Vec::new(),
            rules: Vec::new(),
        }
    }

    fn intern(&self, text: &str) -> u32 {
        if self.keep { self.profile.intern(text) } else { 0 }
    }

    fn fault(&mut self, code: &'static str, at: &str, message: impl std::fmt::Display, help: &'static str) {
        if self.faults.len() < 50 {
            self.faults.push(Diagnostic::new(code, at, message, help));
        }
    }

    /// Counts rules and conditions, and their depth, with a list instead of recursion: a policy made by a program may be of any shape.
    fn limits(&mut self, policy: &Policy) {
        const HELP: &str = "Split the policy.";
        let rules: Vec<&Rule> = policy.permissions.iter().chain(&policy.prohibitions).chain(&policy.obligations).collect();
        if rules.len() > MAX_RULES {
            self.fault("policy-too-large", "", format_args!("{} rules, the limit is {MAX_RULES}", rules.len()), HELP);
            return;
        }
        let duties = rules.iter().map(|r| r.duties.len()).sum::<usize>() + policy.obligations.len();
        if duties > MAX_DUTIES {
            self.fault("policy-too-large", "", format_args!("{duties} duties and obligations, the limit is {MAX_DUTIES}"), HELP);
        }
        let mut todo: Vec<(&Constraint, usize)> = Vec::new();
        for rule in rules.iter().copied().chain(rules.iter().flat_map(|r| &r.duties)) {
            let parts = rule.constraints.iter().chain(rule.targets.iter().flat_map(|t| &t.refinements));
            let parts = parts.chain(rule.assignees.iter().flat_map(|a| &a.refinements)).chain(rule.actions.iter().flat_map(|a| &a.refinements));
            todo.extend(parts.map(|c| (c, 0)));
        }
        // Names of targets and parties are looked at one after the other, as conditions are.
        let mut count = rules.iter().map(|r| r.targets.len() + r.assignees.len()).sum::<usize>();
        while let Some((constraint, depth)) = todo.pop() {
            count += match constraint {
                Constraint::Atom(a) => 1 + a.right.len(),
                Constraint::Logic(_) => 1,
            };
            if count > MAX_CONDITIONS || depth > MAX_CONSTRAINT_DEPTH {
                let what = if count > MAX_CONDITIONS { "too many conditions" } else { "conditions nest too deeply" };
                self.fault("policy-too-large", "", what, "At most 50000 conditions, nested at most 24 deep.");
                return;
            }
            if let Constraint::Logic(l) = constraint {
                todo.extend(l.of.iter().map(|c| (c, depth + 1)));
            }
        }
    }

    fn policy(&mut self, policy: &Policy) {
        if policy.purpose_version == 0 || policy.purpose_version > self.profile.purposes().version() {
            let known = self.profile.purposes().version();
            self.fault("policy-unknown-purpose-version", "/purposeVersion", format_args!("the purpose scheme has the versions 1 to {known}"), "Name the version that was shown.");
        }
        for (i, iri) in policy.profiles.iter().enumerate() {
            if !KNOWN_PROFILES.contains(&iri.as_str()) {
                self.fault("policy-unknown-profile", &format!("/profile/{i}"), format_args!("the profile `{}` is not known", cut(iri)), "A policy whose profile is not understood gives nothing.");
            }
        }
        for (kind, name, rules) in [
            (RuleKind::Prohibition, "prohibition", &policy.prohibitions),
            (RuleKind::Permission, "permission", &policy.permissions),
            (RuleKind::Obligation, "obligation", &policy.obligations),
        ] {
            for (number, rule) in rules.iter().enumerate() {
                self.rule(kind, number as u32, rule, &format!("/{name}/{number}"));
            }
        }
    }

    fn rule(&mut self, kind: RuleKind, number: u32, rule: &Rule, at: &str) {
        if kind == RuleKind::Permission && self.profile.0.strict {
            if rule.actions.is_empty() {
                self.fault("policy-missing-action", at, "the permission does not say what may be done", "Name the action.");
            }
            if rule.targets.is_empty() && !self.proposal {
                self.fault("policy-missing-target", at, "the permission does not say with what", "Name the target.");
            }
        }
        if kind != RuleKind::Permission && !rule.duties.is_empty() {
            self.fault("policy-unsupported-term", at, "only a permission has duties", "Put the duty into a permission or an obligation.");
        }
        let uid = self.label(rule.uid.as_deref());
        let acts = if kind == RuleKind::Obligation { Vec::new() } else { self.acts(rule, at) };
        let assignees = rule.assignees.iter().map(|p| self.party(p, at)).collect();
        let targets = rule.targets.iter().map(|t| self.asset(t, at)).collect();
        let run = self.run(&rule.constraints, &format!("{at}/constraint"));
        let first = self.duties.len() as u8;
        if kind == RuleKind::Obligation {
            self.duty(rule, true, at);
        } else {
            for (i, duty) in rule.duties.iter().enumerate() {
                self.duty(duty, false, &format!("{at}/duty/{i}"));
            }
        }
        let duties = (first, self.duties.len() as u8);
        self.rules.push(RuleCode { kind, number, uid, acts: acts.into(), assignees, targets, run, duties });
    }

    /// The actions of a rule; those without refinements share one entry.
    fn acts(&mut self, rule: &Rule, at: &str) -> Vec<Act> {
        let (mut acts, mut plain) = (Vec::new(), 0u128);
        for action in &rule.actions {
            let Some(index) = self.action(&action.iri, at) else { continue };
            if action.refinements.is_empty() {
                plain |= 1 << index;
            } else {
                let run = self.run(&action.refinements, &format!("{at}/action/refinement"));
                acts.push(Act { mask: 1 << index, run });
            }
        }
        if plain != 0 {
            acts.insert(0, Act { mask: plain, run: Run::default() });
        }
        acts
    }

    fn action(&mut self, iri: &str, at: &str) -> Option<u8> {
        let found = self.profile.0.actions.find(iri);
        if found.is_none() {
            self.fault("policy-unknown-action", &format!("{at}/action"), format_args!("the action `{}` is not known", cut(iri)), "Use an action of ODRL 2.2.");
        }
        found
    }

    fn duty(&mut self, duty: &Rule, obligation: bool, at: &str) {
        if duty.uid.is_none() && !self.proposal {
            self.fault("policy-duty-without-uid", at, "nobody could report that this was done", "Give the duty a uid.");
        }
        let uid = self.label(duty.uid.as_deref());
        let [action] = duty.actions.as_slice() else {
            self.fault("policy-not-odrl", at, "a duty has one action", "Write one duty for each action.");
            return;
        };
        if !action.refinements.is_empty() || !duty.duties.is_empty() {
            self.fault("policy-unsupported-term", at, "refined actions and consequences of duties are not supported", "State the duty without them.");
        }
        let Some(index) = self.action(&action.iri, at) else { return };
        let mut window = NO_SLOT;
        if !obligation && !duty.constraints.is_empty() {
            let sets: Option<Vec<Vec<Window>>> = duty.constraints.iter().map(|c| self.fold(c, at)).collect();
            match sets.map(|s| windows::combine(Combine::And, &s)).as_deref() {
                Some([one]) => {
                    window = self.times.len() as u32;
                    self.times.push(*one);
                }
                _ => self.fault("policy-unsupported-term", at, "a duty can have one window of time and no other condition", "Use dateTime with gt, gteq, lt or lteq."),
            }
        }
        let first = |list: &mut Self, uid: Option<&str>| uid.map_or(NO_SLOT, |u| list.word(u));
        let target = first(self, duty.targets.first().and_then(|t| t.uid.as_deref()));
        let assignee = first(self, duty.assignees.first().and_then(|a| a.uid.as_deref()));
        self.duties.push(DutyCode { uid, action: index, follows: obligation || follows_use(&action.iri), target, assignee, window });
    }

    fn party(&mut self, party: &Party, at: &str) -> Choice {
        let word = party.uid.as_deref().map_or(NO_SLOT, |u| self.word(u));
        Choice { word, run: self.run(&party.refinements, &format!("{at}/assignee/refinement")) }
    }

    fn asset(&mut self, asset: &Asset, at: &str) -> Choice {
        let word = asset.uid.as_deref().map_or(NO_SLOT, |u| self.word(u));
        Choice { word, run: self.run(&asset.refinements, &format!("{at}/target/refinement")) }
    }

    fn word(&mut self, text: &str) -> u32 {
        let name = self.intern(text);
        self.words.push(name);
        (self.words.len() - 1) as u32
    }

    fn label(&mut self, uid: Option<&str>) -> u32 {
        uid.map_or(NO_SLOT, |u| self.word(u))
    }

    /// Conditions that must all hold.
    fn run(&mut self, constraints: &[Constraint], at: &str) -> Run {
        let from = self.nodes.len() as u32;
        self.parts(Combine::And, constraints, at);
        Run { from, to: self.nodes.len() as u32 }
    }

    /// The parts of a group. Those about time only become one test of windows, which comes first because it costs least.
    fn parts(&mut self, how: Combine, constraints: &[Constraint], at: &str) {
        let mut rest: Vec<&Constraint> = Vec::new();
        let mut sets: Vec<Vec<Window>> = Vec::new();
        let mut label = None;
        for constraint in constraints {
            // "Exactly one" cannot join parts: two windows that hold together are not one that holds.
            let folded = if how == Combine::Xone || !about_time(constraint) { None } else { self.fold(constraint, at) };
            match folded {
                Some(set) => {
                    sets.push(set);
                    label = uid_of(constraint).or(label);
                }
                None => rest.push(constraint),
            }
        }
        if !sets.is_empty() {
            self.time(&windows::combine(how, &sets), label);
        }
        for constraint in rest {
            self.constraint(constraint, at);
        }
    }

    fn time(&mut self, set: &[Window], label: Option<&str>) {
        let at = self.times.len() as u32;
        self.times.extend_from_slice(set);
        let label = self.label(label);
        self.nodes.push(Node { step: Step::Time { at, len: set.len() as u32 }, label });
    }

    fn constraint(&mut self, constraint: &Constraint, at: &str) {
        if about_time(constraint) {
            if let Some(set) = self.fold(constraint, at) {
                self.time(&set, uid_of(constraint));
            }
            return;
        }
        match constraint {
            Constraint::Atom(atom) => self.atom(atom, at),
            Constraint::Logic(logic) => {
                if logic.of.is_empty() {
                    self.fault("policy-empty-list", at, "a combination of nothing", "Leave it out, or name conditions.");
                    return;
                }
                let label = self.label(logic.uid.as_deref());
                let here = self.nodes.len();
                self.nodes.push(Node { step: Step::Group { how: logic.how, end: 0 }, label });
                self.parts(logic.how, &logic.of, at);
                let end = self.nodes.len() as u32;
                self.nodes[here].step = Step::Group { how: logic.how, end };
            }
        }
    }

    /// The windows of a condition that is about time only. `None`: it is not, or a fault was noted.
    fn fold(&mut self, constraint: &Constraint, at: &str) -> Option<Vec<Window>> {
        match constraint {
            Constraint::Atom(atom) if atom.operand == operand::DATE_TIME => self.instants(atom, at),
            Constraint::Atom(_) => None,
            Constraint::Logic(logic) => {
                if logic.of.is_empty() {
                    self.fault("policy-empty-list", at, "a combination of nothing", "Leave it out, or name conditions.");
                    return None;
                }
                let sets: Option<Vec<Vec<Window>>> = logic.of.iter().map(|c| self.fold(c, at)).collect();
                sets.map(|s| windows::combine(logic.how, &s))
            }
        }
    }

    fn instants(&mut self, atom: &Atom, at: &str) -> Option<Vec<Window>> {
        if atom.right.is_empty() || (atom.right.len() > 1 && !atom.operator.takes_list()) {
            self.fault("policy-operand-count", at, format_args!("`{}` compares with one time", atom.operator.name()), "Write one right operand.");
            return None;
        }
        let mut times = Vec::with_capacity(atom.right.len());
        for value in &atom.right {
            let Some(time) = instant(value) else {
                self.fault("policy-not-a-time", at, format_args!("`{}` is not a time", cut(value.text())), "Write xsd:dateTime with a zone and at most six digits after the second.");
                return None;
            };
            times.push(time);
        }
        let set = windows::of_operator(atom.operator, &times);
        if set.is_none() {
            self.fault("policy-operator-mismatch", at, format_args!("`{}` does not compare times", atom.operator.name()), "Use eq, neq, gt, gteq, lt, lteq, isAnyOf or isNoneOf.");
        }
        set
    }

    fn atom(&mut self, atom: &Atom, at: &str) {
        let what = match atom.operand.as_str() {
            operand::PURPOSE => Operand::Purpose,
            operand::RECIPIENT => Operand::Recipient,
            operand::ASSIGNEE => Operand::Assignee,
            operand::SPATIAL => Operand::Place,
            operand::ENTITY => Operand::Entity,
            operand::ENTITY_TYPE => Operand::EntityType,
            operand::ATTRIBUTE => Operand::Attribute,
            operand::PRECISION => Operand::Precision,
            operand::CONSENT_TAG => Operand::ConsentTag,
            other => {
                let name = other.strip_prefix(ODRL).unwrap_or(other);
                self.fault("policy-unknown-operand", at, format_args!("the operand `{}` is not evaluated here", cut(name)), "Use dateTime, purpose, recipient, assignee or spatial, and for targets entity, entityType, attribute or precision.");
                return;
            }
        };
        let test = match atom.operator {
            Operator::Eq => Test::Eq,
            Operator::Neq => Test::Neq,
            Operator::IsA | Operator::IsPartOf | Operator::IsAnyOf => Test::AnyOf,
            Operator::IsAllOf => Test::AllOf,
            Operator::IsNoneOf => Test::NoneOf,
            Operator::HasPart => Test::HasPart,
            Operator::Gt | Operator::Gteq | Operator::Lt | Operator::Lteq => {
                self.fault("policy-operator-mismatch", at, format_args!("`{}` does not compare names", atom.operator.name()), "Use eq, neq, isA, isAnyOf, isAllOf, isNoneOf, isPartOf or hasPart.");
                return;
            }
        };
        if atom.right.is_empty() || (atom.right.len() > 1 && !atom.operator.takes_list()) {
            self.fault("policy-operand-count", at, format_args!("`{}` compares with one name", atom.operator.name()), "Write one right operand, or use isAnyOf, isAllOf or isNoneOf.");
            return;
        }
        let mut words = Vec::with_capacity(atom.right.len());
        for value in &atom.right {
            match if what == Operand::Purpose { self.purpose(value, at) } else { self.name(what, value, at) } {
                Some(word) => words.push(word),
                None => return,
            }
        }
        let first = self.words.len() as u32;
        let len = words.len() as u32;
        self.words.extend(words);
        let label = self.label(atom.uid.as_deref());
        self.nodes.push(Node { step: Step::Name { operand: what, test, at: first, len }, label });
    }

    fn name(&mut self, what: Operand, value: &Value, at: &str) -> Option<u32> {
        let text = value.text();
        let plain = matches!(value, Value::Iri(_) | Value::Literal(_, None)) || matches!(value, Value::Literal(_, Some(d)) if d.ends_with("#string") || d.ends_with("#anyURI"));
        // A precision is a text of ours; all else is a name. A text that is no name would match nothing, and a prohibition would not stand.
        if !plain || text.is_empty() || (what != Operand::Precision && !Iri::is_valid(text)) {
            self.fault("policy-not-an-iri", at, format_args!("the right operand of `{}` is not an absolute IRI", what.name()), "Name parties, places, entities, types and attributes by their IRI.");
            return None;
        }
        Some(self.intern(text))
    }

    fn purpose(&mut self, value: &Value, at: &str) -> Option<u32> {
        let purposes = &self.profile.0.purposes;
        let iri = value.text();
        let Some(index) = purposes.find(iri) else {
            self.fault("policy-unknown-purpose", at, format_args!("the purpose `{}` is not known", cut(iri)), "Use a purpose of Waybill's scheme or of DPV.");
            return None;
        };
        let (top, since) = purposes.at(index).map_or((true, 0), |p| (p.top, p.since));
        if top {
            self.fault("policy-top-purpose", at, format_args!("the purpose `{}` is too broad to be agreed to", cut(iri)), "Name a purpose below it.");
            return None;
        }
        if since > self.version {
            self.fault("policy-unknown-purpose", at, format_args!("the purpose `{}` came after the version of the scheme that was shown", cut(iri)), "Name the version that was shown.");
            return None;
        }
        Some(u32::from(index))
    }
}

fn uid_of(constraint: &Constraint) -> Option<&str> {
    match constraint {
        Constraint::Atom(a) => a.uid.as_deref(),
        Constraint::Logic(l) => l.uid.as_deref(),
    }
}

/// Whether a condition is about time only.
fn about_time(constraint: &Constraint) -> bool {
    match constraint {
        Constraint::Atom(a) => a.operand == operand::DATE_TIME,
        Constraint::Logic(l) => !l.of.is_empty() && l.of.iter().all(about_time),
    }
}

/// An xsd:dateTime with a zone, in microseconds.
pub(crate) fn instant(value: &Value) -> Option<i64> {
    let Value::Literal(text, datatype) = value else { return None };
    if datatype.as_deref().is_some_and(|d| !matches!(d, "http://www.w3.org/2001/XMLSchema#dateTime" | "http://www.w3.org/2001/XMLSchema#dateTimeStamp")) {
        return None;
    }
    if let Ok(time) = DateTime::parse(text) {
        return Some(time.micros());
    }
    // Another zone than UTC: `+01:00`. More than six fraction digits would be cut, so they are refused.
    let (date, rest) = text.split_once('T')?;
    let sign = rest.find(['+', '-'])?;
    let fraction = rest[..sign].split_once('.').map_or("", |(_, f)| f);
    if date.len() != 10 || fraction.len() > 6 || rest.contains('[') {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}
