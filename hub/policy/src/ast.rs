//! A policy as it was written: the ODRL information model, with names expanded to IRIs.

/// What a policy is. An offer is never evaluated (ODRL formal semantics).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Rules without a counterparty.
    Set,
    /// A proposal: it binds nobody, so it permits nothing and prohibits nothing.
    Offer,
    /// Rules two parties agreed.
    Agreement,
}

/// What happens when a permission and a prohibition of one policy both hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// The permission wins.
    Perm,
    /// The prohibition wins.
    Prohibit,
    /// The policy is void for this request. The default of ODRL.
    Invalid,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its identifier.
    pub uid: String,
    /// Set, offer or agreement.
    pub kind: PolicyKind,
    /// The profiles it names.
    pub profiles: Vec<String>,
    /// What a conflict does.
    pub conflict: Conflict,
    /// The version of the purpose scheme that was shown to the person: a purpose covers what lay below it then, nothing added later.
    pub purpose_version: u32,
    /// What may be done.
    pub permissions: Vec<Rule>,
    /// What must not be done.
    pub prohibitions: Vec<Rule>,
    /// What must be done.
    pub obligations: Vec<Rule>,
}

impl Policy {
    /// An empty set: it permits nothing.
    pub fn set(uid: impl Into<String>) -> Self {
        Self {
            uid: uid.into(),
            kind: PolicyKind::Set,
            profiles: Vec::new(),
            conflict: Conflict::Invalid,
            purpose_version: 1,
            permissions: Vec::new(),
            prohibitions: Vec::new(),
            obligations: Vec::new(),
        }
    }
}

/// A permission, prohibition, obligation or duty. An empty list of targets, assignees or actions means "any".
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Its identifier, if it has one.
    pub uid: Option<String>,
    /// What it is about; one of them is enough.
    pub targets: Vec<Asset>,
    /// Who acts; one of them is enough.
    pub assignees: Vec<Party>,
    /// Who issued it. Not evaluated.
    pub assigners: Vec<Party>,
    /// What is done; one of them is enough.
    pub actions: Vec<Action>,
    /// All must hold.
    pub constraints: Vec<Constraint>,
    /// Of a permission: what must have been done before (or, for some actions, follows from the use).
    pub duties: Vec<Rule>,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asset {
    /// The asset or the collection; `None` is every asset that the refinements leave.
    pub uid: Option<String>,
    /// Whether it was declared an AssetCollection.
    pub collection: bool,
    /// All must hold for the asset.
    pub refinements: Vec<Constraint>,
}

/// A party.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Party {
    /// The party or the collection; `None` is everybody that the refinements leave.
    pub uid: Option<String>,
    /// Whether it was declared a PartyCollection.
    pub collection: bool,
    /// All must hold.
    pub refinements: Vec<Constraint>,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Action {
    /// Its IRI.
    pub iri: String,
    /// All must hold.
    pub refinements: Vec<Constraint>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// One comparison.
    Atom(Atom),
    /// Several conditions, combined.
    Logic(Logic),
}

impl Constraint {
    /// `operand operator right`, without an identifier.
    pub fn atom(operand: impl Into<String>, operator: Operator, right: Vec<Value>) -> Self {
        Self::Atom(Atom { uid: None, operand: operand.into(), operator, right })
    }
    /// Several conditions, combined, without an identifier.
    pub fn logic(how: Combine, of: Vec<Constraint>) -> Self {
        Self::Logic(Logic { uid: None, how, of })
    }
}

/// One comparison of an operand of the request with fixed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Atom {
    /// Its identifier, if it has one.
    pub uid: Option<String>,
    /// The left operand's IRI.
    pub operand: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with; never empty.
    pub right: Vec<Value>,
}

/// Conditions combined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logic {
    /// Its identifier, if it has one.
    pub uid: Option<String>,
    /// How they are combined.
    pub how: Combine,
    /// The conditions; never empty.
    pub of: Vec<Constraint>,
}

/// How conditions are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Combine {
    /// All hold.
    And,
    /// At least one holds.
    Or,
    /// Exactly one holds.
    Xone,
    /// All hold, looked at in this order. Without events in between the same as all.
    AndSequence,
}

/// How a left operand is compared (ODRL vocabulary, operators).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The same.
    Eq,
    /// Not the same.
    Neq,
    /// After, greater.
    Gt,
    /// After or the same.
    Gteq,
    /// Before, less.
    Lt,
    /// Before or the same.
    Lteq,
    /// Is the right operand or a kind of it.
    IsA,
    /// Is, or is a kind or part of, at least one of them.
    IsAnyOf,
    /// Is, or is a kind or part of, every one of them.
    IsAllOf,
    /// Is none of them, nor a kind or part of one.
    IsNoneOf,
    /// Lies within the right operand.
    IsPartOf,
    /// Contains the right operand.
    HasPart,
}

impl Operator {
    /// By its ODRL name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Eq,
            "neq" => Self::Neq,
            "gt" => Self::Gt,
            "gteq" => Self::Gteq,
            "lt" => Self::Lt,
            "lteq" => Self::Lteq,
            "isA" => Self::IsA,
            "isAnyOf" => Self::IsAnyOf,
            "isAllOf" => Self::IsAllOf,
            "isNoneOf" => Self::IsNoneOf,
            "isPartOf" => Self::IsPartOf,
            "hasPart" => Self::HasPart,
            _ => return None,
        })
    }
    /// Its ODRL name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::Gt => "gt",
            Self::Gteq => "gteq",
            Self::Lt => "lt",
            Self::Lteq => "lteq",
            Self::IsA => "isA",
            Self::IsAnyOf => "isAnyOf",
            Self::IsAllOf => "isAllOf",
            Self::IsNoneOf => "isNoneOf",
            Self::IsPartOf => "isPartOf",
            Self::HasPart => "hasPart",
        }
    }
    /// Whether it takes a list on its right.
    pub(crate) const fn takes_list(self) -> bool {
        matches!(self, Self::IsAnyOf | Self::IsAllOf | Self::IsNoneOf)
    }
}

/// A right operand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A name.
    Iri(String),
    /// A literal, with its datatype IRI if one was written.
    Literal(String, Option<String>),
}

impl Value {
    /// Its text, whatever it is.
    pub fn text(&self) -> &str {
        match self {
            Self::Iri(t) | Self::Literal(t, _) => t,
        }
    }
}
