//! The compiled form of a policy: a shape, shared by all policies that differ only in names and times, and those names and times.

use crate::ast::{Combine, Conflict, PolicyKind};
use crate::profile::Profile;
use crate::windows::Window;
use std::sync::Arc;

/// No slot.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// What a name of the policy is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    Purpose,
    Recipient,
    Assignee,
    Place,
    Entity,
    EntityType,
    Attribute,
    Precision,
    ConsentTag,
}

impl Operand {
    /// As reasons name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Purpose => "purpose",
            Self::Recipient => "recipient",
            Self::Assignee => "assignee",
            Self::Place => "spatial",
            Self::Entity => "entity",
            Self::EntityType => "entityType",
            Self::Attribute => "attribute",
            Self::Precision => "precision",
            Self::ConsentTag => "consentTag",
        }
    }
    /// Whether it belongs to the thing that is asked for.
    pub(crate) const fn of_target(self) -> bool {
        matches!(self, Self::Entity | Self::EntityType | Self::Attribute | Self::Precision)
    }
}

/// How a name is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Test {
    Eq,
    Neq,
    AnyOf,
    AllOf,
    NoneOf,
    HasPart,
}

/// A step of a condition, in the order of reading; a group is followed by its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// The time lies in one of `len` windows from `at`.
    Time { at: u32, len: u32 },
    /// An operand against `len` words from `at`.
    Name { operand: Operand, test: Test, at: u32, len: u32 },
    /// The parts up to the step `end`.
    Group { how: Combine, end: u32 },
}

/// A step and the slot of the constraint's uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) step: Step,
    pub(crate) label: u32,
}

/// A run of steps that must all hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Run {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// One of several targets or parties: a name (or any) and what else must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    pub(crate) word: u32,
    pub(crate) run: Run,
}

/// Actions (a bit each) and what else must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Act {
    pub(crate) mask: u128,
    pub(crate) run: Run,
}

/// What a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// It may be done.
    Permission,
    /// It must not be done.
    Prohibition,
    /// It must be done.
    Obligation,
}

/// A rule; empty lists mean "any".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RuleCode {
    pub(crate) kind: RuleKind,
    /// Its place among the rules of its kind, as written.
    pub(crate) number: u32,
    pub(crate) uid: u32,
    pub(crate) acts: Box<[Act]>,
    pub(crate) assignees: Box<[Choice]>,
    pub(crate) targets: Box<[Choice]>,
    pub(crate) run: Run,
    /// The duties, as bits' numbers: from, to.
    pub(crate) duties: (u8, u8),
}

/// A duty of a permission, or what an obligation asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DutyCode {
    pub(crate) uid: u32,
    pub(crate) action: u8,
    /// It follows the use; otherwise it must be done before.
    pub(crate) follows: bool,
    pub(crate) target: u32,
    pub(crate) assignee: u32,
    /// The slot of the window in which it must be done.
    pub(crate) window: u32,
}

/// The shape of a policy.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Code {
    pub(crate) kind: PolicyKind,
    pub(crate) conflict: Conflict,
    pub(crate) rules: Box<[RuleCode]>,
    pub(crate) duties: Box<[DutyCode]>,
    pub(crate) nodes: Box<[Node]>,
}

/// A compiled policy. Its shape is shared with every policy that differs only in names, purposes and times.
#[derive(Debug, Clone)]
pub struct Compiled {
    pub(crate) profile: Profile,
    pub(crate) code: Arc<Code>,
    pub(crate) words: Box<[u32]>,
    pub(crate) times: Box<[Window]>,
    pub(crate) uid: u32,
    pub(crate) version: u32,
}

impl Compiled {
    /// The policy's uid.
    pub fn uid(&self) -> Arc<str> {
        self.profile.table().text(self.uid).unwrap_or_else(|| Arc::from(""))
    }
    /// Set, offer or agreement.
    pub fn kind(&self) -> PolicyKind {
        self.code.kind
    }
    /// What it was compiled against.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
    /// Bytes on the heap that only this policy uses: neither its shape nor the table of names.
    pub fn own_bytes(&self) -> usize {
        size_of_val(&*self.words) + size_of_val(&*self.times)
    }
    pub(crate) fn word(&self, slot: u32) -> u32 {
        self.words.get(slot as usize).copied().unwrap_or(u32::MAX)
    }
    /// The text of the name in a slot.
    pub(crate) fn text(&self, slot: u32) -> Option<Arc<str>> {
        self.profile.table().text(self.word(slot))
    }
    pub(crate) fn windows(&self, at: u32, len: u32) -> &[Window] {
        self.times.get(at as usize..(at + len) as usize).unwrap_or_default()
    }
    pub(crate) fn list(&self, at: u32, len: u32) -> &[u32] {
        self.words.get(at as usize..(at + len) as usize).unwrap_or_default()
    }
}
