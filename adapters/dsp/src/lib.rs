//! Dataspace Protocol 2025-1: the hub as connector, provider and consumer, control plane and data plane.
//!
//! What the hub has is offered as datasets; a negotiated agreement is the licence between organisations, and each request under it is
//! decided anew by the gate. State machines are tables ([`negotiation_next`], [`transfer_next`]); processes are rows of the exchange's
//! ledger with what is still to be said in them, so that none is lost or agreed twice.
#![forbid(unsafe_code)]

mod catalog;
mod client;
mod config;
mod conformance;
mod connector;
mod crawl;
mod dcat;
mod decode;
mod encode;
mod fault;
mod federated;
mod flow;
mod foreign;
mod health;
mod identity;
mod import;
mod inline;
mod judge;
mod machine;
mod manage;
mod negotiation;
mod ns;
mod open_data;
mod pages;
mod plane;
mod process;
mod server;
mod signaling;
mod terms;
mod transfer;
mod vocab;

pub use config::{About, Conformance, ControlPlane, DataRoute, DspConfig, Limits, Offering, Participant, Seed, Strategy, Terms};
pub use conformance::routes as conformance_routes;
pub use connector::Connector;
pub use crawl::{CrawlFault, CrawlState, Crawled};
pub use decode::{DataAddress, Message, policy as check_policy, of as read_message};
pub use fault::{ErrorKind, Fault};
pub use federated::routes as federated_routes;
pub use flow::Feed;
pub use foreign::{contexts as known_contexts, read as read_any_message};
pub use health::DspHealth;
pub use identity::{Identity, MockIdentity, OAuthIdentity, StaticIdentity};
pub use import::{Begun, Import, ImportHealth, ImportState, Imported, PulledPage, ReadPage, routes as import_routes};
pub use machine::{NegotiationMessage, NegotiationState, Role, TransferMessage, TransferState, negotiation as negotiation_next, transfer as transfer_next};
pub use manage::routes as management_routes;
pub use open_data::routes as open_data_routes;
pub use plane::Tokens;
pub use process::{Agreed, Failure, Negotiation, Proposal, Transfer};
pub use server::{PATH, routes};
pub use signaling::{Call, Flow, FlowEvent, FlowState, HTTP_PULL, HTTP_PUSH, PATH as DATA_PLANE_PATH, next as flow_next, routes as data_plane_routes};
pub use vocab::{CONTEXT, Format, VERSION};
