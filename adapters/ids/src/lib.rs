//! The IDS Information Model 4.x, offline: self-descriptions, offers and agreements to DCAT and ODRL in the shape of the Dataspace Protocol
//! 2025-1 and back, with a report of what was lost.
//!
//! Nothing is fetched, not even an @context: names are read by the namespaces this crate knows, with or without a prefix. The law of every
//! conversion: no rule vanishes, and nothing is allowed that was not. A rule is in the output or in the report; a permission that lost a
//! constraint or a duty is left out; a prohibition that lost a constraint forbids more.
#![forbid(unsafe_code)]

mod dcat;
mod decode;
mod encode;
mod loss;
mod model;
mod node;
mod policy;
mod strict;
mod vocab;

pub use loss::{Effect, Loss};
pub use strict::MAX_TEXT;

use crate::loss::Losses;
use crate::model::{Body, Catalog, Policy};
use crate::node::{Node, Reader};
use crate::policy::{Dialect, Reading};
use serde_json::Value;

/// What to convert to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// From IDS to DCAT and ODRL.
    Dcat,
    /// From DCAT and ODRL to IDS.
    Ids,
}

/// What came out.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// Which way it went.
    pub target: Target,
    /// The converted document.
    pub document: Value,
    /// What is not in it as it was, in the order in which it was met. Empty when nothing was lost.
    pub losses: Vec<Loss>,
}

/// Why a document could not be converted at all.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It is not JSON, or an object in it has a member twice.
    #[error("{reason}")]
    NotJson {
        /// Counted from one.
        line: usize,
        /// In bytes, as the parser counts them: 0 when a line had only begun.
        column: usize,
        /// What the parser met.
        reason: String,
    },
    /// Nothing in it is what this crate converts.
    #[error("{reason}")]
    NotUnderstood {
        /// A JSON pointer.
        place: String,
        /// What was looked for.
        reason: String,
    },
    /// It is longer, or refers to itself more, than is read.
    #[error("{reason}")]
    TooLarge {
        /// Which bound it passes.
        reason: String,
    },
}

impl ConvertError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "ids-not-json",
            Self::NotUnderstood { .. } => "ids-not-understood",
            Self::TooLarge { .. } => "ids-too-large",
        }
    }
    /// Where: a JSON pointer, or line and column.
    pub fn place(&self) -> Option<String> {
        match self {
            Self::NotJson { line, column, .. } => Some(format!("line {line}, column {column}")),
            Self::NotUnderstood { place, .. } => Some(place.clone()).filter(|p| !p.is_empty()),
            Self::TooLarge { .. } => None,
        }
    }
}

/// Converts a document. Without `target` the document itself says which way: by its types, else by the namespaces of its names.
///
/// # Errors
/// [`ConvertError`] when it is not JSON, holds nothing that is converted, or is too large. What of a document cannot be carried over is no
/// error but a [`Loss`].
pub fn convert(text: &str, target: Option<Target>) -> Result<Conversion, ConvertError> {
    let document = strict::parse(text)?;
    let (alone, place) = node::alone(&document);
    strict::check(alone, place)?;
    let root = dcat::root(alone, place, target)?;
    let reader = Reader::new(alone, place, root.dialect.namespace());
    let mut losses = Losses::default();
    let mut reading = Reading { reader: &reader, dialect: root.dialect, losses: &mut losses };
    let node = Node::new(root.value, &root.place);
    let mut body = match root.dialect {
        Dialect::Ids => decode::body(&mut reading, &node, root.class),
        Dialect::Odrl => dcat::read(&mut reading, &node, root.class),
    };
    if reader.exhausted() {
        return Err(ConvertError::TooLarge { reason: "the nodes of its graph refer to each other more than is followed".to_owned() });
    }
    for policy in policies(&mut body) {
        if root.dialect == Dialect::Odrl {
            policy::fit(policy, &mut losses);
        }
        policy::close(policy, &mut losses);
    }
    let (target, output) = match root.dialect {
        Dialect::Ids => (Target::Dcat, dcat::write(&body, &mut losses)),
        Dialect::Odrl => (Target::Ids, encode::body(&body, &mut losses)),
    };
    // Whatever the reading passed by: found without understanding, so that no rule vanishes even by a fault of ours.
    for rule in node::rules(&document) {
        if !reader.took(&rule) && !losses.names(&rule) {
            losses.dropped(&rule, "a rule where none is looked for; nothing in the output says it as a rule", Effect::Stricter);
        }
    }
    for node in reader.unreached(&root.place) {
        if !losses.names(&node) {
            losses.dropped(&node, "a node of the graph that nothing here refers to", Effect::Description);
        }
    }
    Ok(Conversion { target, document: output, losses: losses.into_list() })
}

fn policies(body: &mut Body) -> Vec<&mut Policy> {
    match body {
        Body::Policy(policy) => vec![policy],
        Body::Dataset(dataset) => dataset.offers.iter_mut().collect(),
        Body::Catalog(catalog) => of_catalog(catalog),
    }
}

fn of_catalog(catalog: &mut Catalog) -> Vec<&mut Policy> {
    let mut found: Vec<&mut Policy> = catalog.datasets.iter_mut().flat_map(|d| &mut d.offers).collect();
    found.extend(catalog.catalogs.iter_mut().flat_map(of_catalog));
    found
}
