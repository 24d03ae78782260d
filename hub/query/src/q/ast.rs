//! The syntax tree of `q`.

use crate::{Pattern, TypeSelection};
use waybill_model::DateTime;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All hold (`;`).
    And(Vec<Expr>),
    /// One holds (`|`).
    Or(Vec<Expr>),
    /// The target exists.
    Exists(Path),
    /// The target compares so.
    Compare(Comparison),
    /// A target of this Relationship satisfies an expression of its own: `path{…}`.
    Linked {
        /// The Relationship.
        path: Path,
        /// The types the linked Entity must have, when some are named: `path{Type:…}` is not read as a prefix of a name.
        types: Option<TypeSelection>,
        /// What it must satisfy.
        inner: Box<Expr>,
    },
}

impl Expr {
    /// The paths of all terms, but for those inside linked Entities.
    pub fn paths(&self) -> Vec<&Path> {
        match self {
            Self::And(list) | Self::Or(list) => list.iter().flat_map(Self::paths).collect(),
            Self::Exists(path) | Self::Compare(Comparison { path, .. }) | Self::Linked { path, .. } => vec![path],
        }
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What is compared.
    pub path: Path,
    /// How.
    pub operator: Operator,
    /// With what.
    pub operand: Operand,
    /// Whether the attribute's strings count as names (parameter expandValues).
    pub expand_values: bool,
}

/// The operators of `q`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Matches,
    NotMatches,
}

/// What a comparison compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// One value.
    One(Literal),
    /// From the first to the second, both included.
    Range(Literal, Literal),
    /// One of several.
    List(Vec<Operand>),
    /// A regular expression.
    Pattern(Pattern),
}

/// A value in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A number.
    Number(f64),
    /// A quoted string, and the IRI it is as a name (for a VocabProperty).
    Text {
        /// As written.
        raw: String,
        /// As a name.
        expanded: String,
    },
    /// A URI without quotes.
    Uri(String),
    /// `true` or `false`.
    Bool(bool),
    /// A point in time.
    Time(DateTime),
    /// A date, `YYYY-MM-DD`.
    Date(String),
    /// A time of day, `hh:mm:ss[.f]Z`.
    Clock(String),
}

/// Where a target is found: `root.step.step[member.member]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The Attribute or system attribute of the Entity.
    pub root: Root,
    /// Sub-attributes, the last of which may be a member such as `observedAt`.
    pub steps: Vec<Step>,
    /// The way into a compound value, or a language tag: each as written and expanded.
    pub member: Vec<(String, String)>,
}

/// The first name of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A system attribute of the Entity.
    System(Meta),
    /// An Attribute, by expanded name.
    Attribute(String),
}

/// A further name of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A sub-attribute, by expanded name.
    Attribute(String),
    /// A member of the instance that is no Attribute.
    Meta(Meta),
}

/// The members of Entities and instances that are no Attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Meta {
    CreatedAt,
    ModifiedAt,
    DeletedAt,
    ExpiresAt,
    ObservedAt,
    UnitCode,
    DatasetId,
    ObjectType,
    ValueType,
}

impl Meta {
    /// The member's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreatedAt => "createdAt",
            Self::ModifiedAt => "modifiedAt",
            Self::DeletedAt => "deletedAt",
            Self::ExpiresAt => "expiresAt",
            Self::ObservedAt => "observedAt",
            Self::UnitCode => "unitCode",
            Self::DatasetId => "datasetId",
            Self::ObjectType => "objectType",
            Self::ValueType => "valueType",
        }
    }
    /// The member with this name.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::CreatedAt,
            Self::ModifiedAt,
            Self::DeletedAt,
            Self::ExpiresAt,
            Self::ObservedAt,
            Self::UnitCode,
            Self::DatasetId,
            Self::ObjectType,
            Self::ValueType,
        ];
        all.into_iter().find(|m| m.as_str() == name)
    }
    /// Whether an Entity has it too.
    pub const fn of_entity(self) -> bool {
        matches!(self, Self::CreatedAt | Self::ModifiedAt | Self::DeletedAt | Self::ExpiresAt)
    }
}

/// The parameters beside `q` that change how it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QOptions {
    /// Expanded names of the Attributes whose strings count as names (parameter expandValues). The keys named by jsonKeys need no
    /// option: a way into a value is tried both expanded and as written.
    pub expand_values: Vec<String>,
}
