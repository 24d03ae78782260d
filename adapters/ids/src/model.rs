//! What both sides have in common: catalogues and policies, in the words of DCAT and ODRL, with what IDS said where ODRL says it more roughly.

use serde_json::Value;

/// What a document is about.
pub(crate) enum Body {
    Catalog(Catalog),
    Dataset(Dataset),
    Policy(Box<Policy>),
}

/// A connector or a catalogue.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    /// The class of IDS, in full.
    pub(crate) class: Option<String>,
    pub(crate) participant: Option<String>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) texts: Texts,
    pub(crate) catalogs: Vec<Catalog>,
    pub(crate) datasets: Vec<Dataset>,
}

/// Where a connector is reached.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    pub(crate) url: String,
}

/// Descriptions: property in full, and its values.
pub(crate) type Texts = Vec<(String, Value)>;

/// A resource.
#[derive(Default)]
pub(crate) struct Dataset {
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) texts: Texts,
    pub(crate) offers: Vec<Policy>,
    pub(crate) distributions: Vec<Distribution>,
}

/// A representation.
#[derive(Default)]
pub(crate) struct Distribution {
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) texts: Texts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PolicyKind {
    #[default]
    Offer,
    Request,
    Agreement,
}

/// An offer, a request or an agreement.
#[derive(Default)]
pub(crate) struct Policy {
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    pub(crate) kind: PolicyKind,
    pub(crate) profile: Vec<String>,
    pub(crate) provider: Option<String>,
    pub(crate) consumer: Option<String>,
    /// The span of the contract, and when it was made: a place and a literal.
    pub(crate) start: Option<(String, Operand)>,
    pub(crate) end: Option<(String, Operand)>,
    pub(crate) date: Option<(String, Operand)>,
    pub(crate) texts: Texts,
    pub(crate) rules: Vec<Rule>,
    /// What of the policy itself is not understood.
    pub(crate) holes: Vec<Hole>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RuleKind {
    #[default]
    Permission,
    Prohibition,
    Obligation,
    /// Of a permission.
    Duty(Option<Order>),
}

impl RuleKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Permission => "permission",
            Self::Prohibition => "prohibition",
            Self::Obligation => "obligation",
            Self::Duty(_) => "duty",
        }
    }
}

/// When a duty is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Before the permission is used.
    Pre,
    /// After it.
    Post,
}

#[derive(Default)]
pub(crate) struct Rule {
    pub(crate) kind: RuleKind,
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    pub(crate) targets: Vec<Refined>,
    pub(crate) assigners: Vec<Refined>,
    pub(crate) assignees: Vec<Refined>,
    pub(crate) actions: Vec<Action>,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) duties: Vec<Rule>,
    pub(crate) texts: Texts,
    /// Parts that cannot be carried over.
    pub(crate) holes: Vec<Hole>,
}

/// A part of a rule that cannot be carried over.
pub(crate) struct Hole {
    pub(crate) place: String,
    pub(crate) what: String,
    /// Whether nothing can be said without it: the action itself, or a rule that is not there.
    pub(crate) fatal: bool,
}

impl Hole {
    pub(crate) fn new(place: &str, what: impl Into<String>) -> Self {
        Self { place: place.to_owned(), what: what.into(), fatal: false }
    }
    pub(crate) fn fatal(place: &str, what: impl Into<String>) -> Self {
        Self { place: place.to_owned(), what: what.into(), fatal: true }
    }
}

/// An asset or a party, or the part of a collection that refinements leave.
#[derive(Clone, PartialEq)]
pub(crate) struct Refined {
    pub(crate) place: String,
    pub(crate) id: String,
    pub(crate) refinements: Vec<Constraint>,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Action {
    pub(crate) place: String,
    pub(crate) iri: String,
    pub(crate) refinements: Vec<Constraint>,
    /// Who carries it out.
    pub(crate) executor: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
    Xone,
}

impl Logic {
    pub(crate) const ALL: &'static [(Self, &'static str)] = &[(Self::And, "and"), (Self::Or, "or"), (Self::Xone, "xone")];
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(l, _)| *l == self).map_or("and", |(_, n)| n)
    }
}

#[derive(Clone, PartialEq)]
pub(crate) enum Constraint {
    Atom(Box<Atom>),
    Logic { place: String, id: Option<String>, logic: Logic, parts: Vec<Constraint> },
}

#[derive(Clone, PartialEq)]
pub(crate) struct Atom {
    pub(crate) place: String,
    pub(crate) id: Option<String>,
    /// The left operand in full; in the words of ODRL where it has the twin.
    pub(crate) left: String,
    /// What IDS said, if the way back would not give it.
    pub(crate) ids_left: Option<String>,
    /// ODRL's operator, a local name.
    pub(crate) operator: &'static str,
    pub(crate) ids_operator: Option<String>,
    pub(crate) right: Right,
    pub(crate) unit: Option<String>,
    /// Who knows the left operand's value.
    pub(crate) source: Option<Value>,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Right {
    Values(Vec<Operand>),
    Reference(Vec<Operand>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    Iri(String),
    Literal { text: String, datatype: Option<String>, language: Option<String> },
}

impl Operand {
    pub(crate) fn datatype(&self) -> Option<&str> {
        match self {
            Self::Literal { datatype, .. } => datatype.as_deref(),
            Self::Iri(_) => None,
        }
    }
}
