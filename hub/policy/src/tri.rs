//! Kleene's three-valued logic.

/// False, not known, or true; in this order, so that "and" is the least and "or" the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tri {
    /// It does not hold.
    False,
    /// An input is missing.
    Unknown,
    /// It holds.
    True,
}

impl Tri {
    /// `True` or `False`.
    pub const fn of(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
    /// The opposite; unknown stays unknown.
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }
    /// At least one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }
}

/// "Exactly one", fed with one value after the other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExactlyOne {
    held: u32,
    open: bool,
}

impl ExactlyOne {
    pub(crate) fn add(&mut self, value: Tri) {
        match value {
            Tri::True => self.held += 1,
            Tri::Unknown => self.open = true,
            Tri::False => {}
        }
    }
    /// Two that hold settle it, whatever the others are.
    pub(crate) fn settled(self) -> bool {
        self.held > 1
    }
    pub(crate) fn value(self) -> Tri {
        match (self.held, self.open) {
            (2.., _) | (0, false) => Tri::False,
            (_, true) => Tri::Unknown,
            (1, false) => Tri::True,
        }
    }
}
