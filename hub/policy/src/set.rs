//! Many policies, found by what they are about: one look-up instead of one evaluation for each.

use crate::code::{Choice, Compiled, NO_SLOT, Operand, RuleCode, RuleKind, Run, Step, Test};
use crate::diagnostic::Diagnostic;
use crate::eval::Decision;
use crate::profile::Profile;
use crate::request::{Request, Resolved, Who};
use crate::residual::Residual;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use waybill_model::DateTime;

/// Any target, party or recipient.
const ANY: u64 = u64::MAX;
/// A target known only by its attribute.
const BY_ATTRIBUTE: u64 = 1 << 32;
/// A rule with more combinations than this is filed under fewer of its names.
const MAX_KEYS: usize = 64;

/// A policy in a [`PolicySet`]. Not valid after it was removed, even when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PolicyId {
    slot: u32,
    turn: u32,
}

/// What all policies of a set say together: one must permit, and none may prohibit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetDecision {
    /// Whether it is permitted.
    pub allow: bool,
    /// The first instant at which time alone could change the answer.
    pub valid_until: Option<DateTime>,
    /// A policy that permits, with its own decision, from which its obligations come.
    pub permitted_by: Option<(PolicyId, Decision)>,
    /// A policy that prohibits, for certain or because an input is missing.
    pub prohibited_by: Option<PolicyId>,
    /// Whether an input was missing where it may have mattered.
    pub missing: bool,
}

#[derive(Debug)]
struct Slot {
    turn: u32,
    policy: Option<Compiled>,
}

/// Target, assignee, recipient.
type Key = (u64, u64, u64);

/// The slots under one key. Most keys have one.
#[derive(Debug)]
enum Filed {
    One(u32),
    Many(Vec<u32>),
}

impl Filed {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(list) => list,
        }
    }
}

/// Mixes numbers that we gave out ourselves, so nobody can choose them to collide.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(23) ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Policies of one profile, filed by target, assignee and recipient.
#[derive(Debug)]
pub struct PolicySet {
    profile: Profile,
    slots: Vec<Slot>,
    free: Vec<u32>,
    keys: HashMap<Key, Filed, BuildHasherDefault<Mix>>,
    /// By assignee alone, for requests whose target is open.
    parties: HashMap<u64, Filed, BuildHasherDefault<Mix>>,
    /// Policies with a prohibition: where a name of the request is not fully known, each of them may stand.
    prohibiting: BTreeSet<u32>,
    len: usize,
}

impl PolicySet {
    /// An empty set: it permits nothing.
    pub fn new(profile: &Profile) -> Self {
        Self {
            profile: profile.clone(),
            slots: Vec::new(),
            free: Vec::new(),
            keys: HashMap::default(),
            parties: HashMap::default(),
            prohibiting: BTreeSet::new(),
            len: 0,
        }
    }

    /// How many policies it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The profile whose policies it holds.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// How many policies must be looked at for every request, because a rule names neither target, assignee nor recipient.
    pub fn unindexed(&self) -> usize {
        self.keys.get(&(ANY, ANY, ANY)).map_or(0, |f| f.as_slice().len())
    }

    /// Adds a policy.
    ///
    /// # Errors
    /// A [`Diagnostic`] when it was compiled with another profile: its numbers mean other names.
    pub fn insert(&mut self, policy: Compiled) -> Result<PolicyId, Diagnostic> {
        if !Arc::ptr_eq(&policy.profile.0, &self.profile.0) {
            return Err(Diagnostic::new("policy-other-profile", "/", "the policy was compiled with another profile", "Compile it with the profile of the set."));
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { turn: 0, policy: None });
            (self.slots.len() - 1) as u32
        });
        let (keys, parties, prohibits) = filing(&policy);
        for key in keys {
            file(self.keys.entry(key), slot);
        }
        for party in parties {
            file(self.parties.entry(party), slot);
        }
        if prohibits {
            self.prohibiting.insert(slot);
        }
        let place = &mut self.slots[slot as usize];
        place.policy = Some(policy);
        self.len += 1;
        Ok(PolicyId { slot, turn: place.turn })
    }

    /// Takes a policy out. From now on nothing is decided by it.
    pub fn remove(&mut self, id: PolicyId) -> Option<Compiled> {
        let place = self.slots.get_mut(id.slot as usize).filter(|p| p.turn == id.turn)?;
        let policy = place.policy.take()?;
        place.turn = place.turn.wrapping_add(1);
        self.free.push(id.slot);
        self.len -= 1;
        self.prohibiting.remove(&id.slot);
        let (keys, parties, _) = filing(&policy);
        for key in keys {
            unfile(&mut self.keys, key, id.slot);
        }
        for party in parties {
            unfile(&mut self.parties, party, id.slot);
        }
        Some(policy)
    }

    /// A policy of the set.
    pub fn get(&self, id: PolicyId) -> Option<&Compiled> {
        self.slots.get(id.slot as usize).filter(|p| p.turn == id.turn)?.policy.as_ref()
    }

    /// Decides one request.
    pub fn decide(&self, request: &Request<'_>) -> SetDecision {
        self.decide_resolved(&self.profile.resolve(request))
    }

    /// Decides a request whose names were resolved by this set's profile.
    pub fn decide_resolved(&self, input: &Resolved<'_>) -> SetDecision {
        let mut sum = SetDecision {
            allow: false,
            valid_until: None,
            permitted_by: None,
            prohibited_by: None,
            missing: input.asset.is_none() || input.assignee.is_none() || input.recipient.is_none(),
        };
        let targets = names(input.asset.as_ref()).chain(input.attribute.map(|a| BY_ATTRIBUTE | u64::from(a)));
        for target in targets {
            for assignee in names(input.assignee.as_ref()) {
                for recipient in names(input.recipient.as_ref()) {
                    if let Some(filed) = self.keys.get(&(target, assignee, recipient)) {
                        filed.as_slice().iter().for_each(|slot| self.look(*slot, input, &mut sum));
                    }
                }
            }
        }
        let sure = |w: Option<&Who>| w.is_some_and(|w| w.within.complete);
        if !(sure(input.asset.as_ref()) && sure(input.assignee.as_ref())) {
            self.prohibiting.iter().for_each(|slot| self.look(*slot, input, &mut sum));
        }
        sum.allow = sum.permitted_by.is_some() && sum.prohibited_by.is_none();
        sum.missing &= !sum.allow;
        sum
    }

    fn look(&self, slot: u32, input: &Resolved<'_>, sum: &mut SetDecision) {
        let Some(place) = self.slots.get(slot as usize) else { return };
        let Some(policy) = &place.policy else { return };
        let decision = policy.decide_resolved(input);
        let id = PolicyId { slot, turn: place.turn };
        sum.missing |= decision.missing;
        sum.valid_until = match (sum.valid_until, decision.valid_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if decision.allow {
            // The lowest slot, so that the answer does not depend on the order of looking.
            if sum.permitted_by.is_none_or(|(known, _)| id.slot < known.slot) {
                sum.permitted_by = Some((id, decision));
            }
        } else if decision.prohibited_by.is_some() && sum.prohibited_by.is_none_or(|known| id.slot < known.slot) {
            sum.prohibited_by = Some(id);
        }
    }

    /// What must be true of a target so that the request would be permitted for it by all policies together.
    pub fn residual(&self, request: &Request<'_>) -> (Residual, Option<DateTime>) {
        let input = self.profile.resolve(request);
        let mut slots: BTreeSet<u32> = BTreeSet::new();
        for assignee in names(input.assignee.as_ref()) {
            slots.extend(self.parties.get(&assignee).map(Filed::as_slice).unwrap_or_default());
        }
        if input.assignee.is_none_or(|a| !a.within.complete) {
            slots.extend(&self.prohibiting);
        }
        let (mut permits, mut clear, mut until) = (Residual::Never, Residual::Always, None::<DateTime>);
        for policy in slots.iter().filter_map(|s| self.slots.get(*s as usize)?.policy.as_ref()) {
            let (may, free, holds) = policy.halves(&input);
            until = match (until, holds) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if policy.permission_wins() {
                // Its own permission silences its own prohibitions, not those of others.
                clear = clear.and(may.clone().or(free));
                permits = permits.or(may);
            } else {
                permits = permits.or(may);
                clear = clear.and(free);
            }
        }
        (permits.and(clear), until)
    }

    /// Bytes that the set itself takes: policies and index, without the table of names. An estimate from sizes and lengths.
    pub fn heap_bytes(&self) -> usize {
        let own: usize = self.slots.iter().filter_map(|s| s.policy.as_ref()).map(Compiled::own_bytes).sum();
        let lists: usize = self.keys.values().chain(self.parties.values()).map(|f| if let Filed::Many(l) = f { l.capacity() * 4 } else { 0 }).sum();
        let index = self.keys.capacity() * (size_of::<(Key, Filed)>() + 1) + self.parties.capacity() * (size_of::<(u64, Filed)>() + 1);
        own + lists + index + self.slots.capacity() * size_of::<Slot>()
    }
}

fn file<K>(entry: std::collections::hash_map::Entry<'_, K, Filed>, slot: u32) {
    use std::collections::hash_map::Entry;
    match entry {
        Entry::Vacant(v) => {
            v.insert(Filed::One(slot));
        }
        Entry::Occupied(mut o) => match o.get_mut() {
            Filed::One(first) => {
                let first = *first;
                if first != slot {
                    o.insert(Filed::Many(vec![first, slot]));
                }
            }
            Filed::Many(list) => {
                if !list.contains(&slot) || list.last() != Some(&slot) {
                    list.push(slot);
                }
            }
        },
    }
}

fn unfile<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Filed, BuildHasherDefault<Mix>>, key: K, slot: u32) {
    let gone = match map.get_mut(&key) {
        None => false,
        Some(Filed::One(first)) => *first == slot,
        Some(Filed::Many(list)) => {
            list.retain(|s| *s != slot);
            list.is_empty()
        }
    };
    if gone {
        map.remove(&key);
    }
}

/// The keys under which a name of a request may be filed.
fn names(who: Option<&Who>) -> impl Iterator<Item = u64> + '_ {
    who.into_iter().flat_map(|w| std::iter::once(u64::from(w.id)).chain(w.within.as_slice().iter().map(|n| u64::from(*n)))).chain(std::iter::once(ANY))
}

/// Where a policy is filed, under which parties, and whether it prohibits anything. Each key comes once.
fn filing(policy: &Compiled) -> (BTreeSet<Key>, BTreeSet<u64>, bool) {
    let (mut keys, mut parties, mut prohibits) = (BTreeSet::new(), BTreeSet::new(), false);
    for rule in &policy.code.rules {
        let permission = rule.kind == RuleKind::Permission;
        if rule.kind == RuleKind::Obligation {
            continue;
        }
        prohibits |= !permission;
        let mut targets = words(policy, &rule.targets, permission);
        let mut assignees = words(policy, &rule.assignees, false);
        let mut recipients = if permission { recipients(policy, rule) } else { vec![ANY] };
        parties.extend(&assignees);
        while targets.len() * assignees.len() * recipients.len() > MAX_KEYS {
            let longest = [&mut targets, &mut assignees, &mut recipients].into_iter().max_by_key(|l| l.len());
            if let Some(list) = longest {
                *list = vec![ANY];
            }
        }
        for t in &targets {
            for a in &assignees {
                keys.extend(recipients.iter().map(|r| (*t, *a, *r)));
            }
        }
    }
    (keys, parties, prohibits)
}

fn words(policy: &Compiled, choices: &[Choice], by_attribute: bool) -> Vec<u64> {
    let mut out = Vec::new();
    for choice in choices {
        if choice.word != NO_SLOT {
            out.push(u64::from(policy.word(choice.word)));
            continue;
        }
        match needed(policy, choice.run, Operand::Attribute) {
            Some(list) if by_attribute => out.extend(list.iter().map(|w| BY_ATTRIBUTE | u64::from(*w))),
            _ => return vec![ANY],
        }
    }
    if out.is_empty() { vec![ANY] } else { out }
}

fn recipients(policy: &Compiled, rule: &RuleCode) -> Vec<u64> {
    needed(policy, rule.run, Operand::Recipient).map_or_else(|| vec![ANY], |l| l.iter().map(|w| u64::from(*w)).collect())
}

/// The names of which an operand must be one for a run to hold, if a step of the run says so.
fn needed(policy: &Compiled, run: Run, operand: Operand) -> Option<&[u32]> {
    let mut at = run.from;
    while at < run.to {
        let step = policy.code.nodes.get(at as usize)?.step;
        match step {
            Step::Name { operand: o, test: Test::Eq | Test::AnyOf, at, len } if o == operand => return Some(policy.list(at, len)),
            Step::Group { end, .. } => at = end,
            _ => at += 1,
        }
    }
    None
}
