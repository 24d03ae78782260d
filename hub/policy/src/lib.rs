//! ODRL: parse, compile, decide, residual predicate; taxonomies; reference interpreter.
//!
//! [`parse`] reads a policy, [`compile`] refuses what is not understood and makes a [`Compiled`], [`Compiled::decide`] answers a
//! [`Request`] in three-valued logic: a missing input never opens anything. [`Purposes`] is the taxonomy of purposes.
#![forbid(unsafe_code)]

mod ast;
pub mod bench_support;
mod code;
mod compare;
mod compile;
mod diagnostic;
mod dpv;
mod eval;
mod explain;
mod json;
mod names;
mod parse;
mod profile;
mod purposes;
pub mod reference;
mod request;
mod residual;
mod set;
mod tri;
mod vocab;
mod windows;
mod write;

/// The @context of our policies (`https://w3id.org/waybill/context/policy.jsonld`), as JSON text.
pub const POLICY_CONTEXT: &str = include_str!("../../../schemas/vocabulary/policy-context.json");
/// What [`WAYBILL_PROFILE`] names, as JSON-LD text for publication.
pub const PROFILE_DOCUMENT: &str = include_str!("../../../schemas/vocabulary/odrl-profile.json");
/// Our purpose scheme, as JSON-LD text for publication.
pub const PURPOSE_DOCUMENT: &str = include_str!("../../../schemas/vocabulary/purpose.json");

pub use ast::{Action, Asset, Atom, Combine, Conflict, Constraint, Logic, Operator, Party, Policy, PolicyKind, Rule, Value};
pub use code::{Compiled, RuleKind};
pub use compare::{Change, Comparison, MAX_COMPARED, Part, compare};
pub use compile::{MAX_CONDITIONS, MAX_DUTIES, MAX_RULES, compile, understood};
pub use diagnostic::Diagnostic;
pub use eval::{Decision, Obligation};
pub use explain::{Cause, Explanation, Reason, RuleReport};
pub use json::{MAX_JSON_DEPTH, MAX_JSON_NODES, MAX_TEXT};
pub use parse::{MAX_CONSTRAINT_DEPTH, parse, read_offer};
pub use profile::Profile;
pub use purposes::{Purpose, Purposes, WAYBILL_PURPOSE};
pub use request::{DutyState, Member, Request, Resolved, Target};
pub use residual::{Condition, Fact, FactKind, Residual};
pub use set::{PolicyId, PolicySet, SetDecision};
pub use tri::Tri;
pub use vocab::{ODRL, WAYBILL_PROFILE, operand};
