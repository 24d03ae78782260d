//! NGSI-LD: codec, API server (the hub as broker and context source), client.
//!
//! The server speaks ETSI GS CIM 009 V1.9.1 and asks the engine through [`NgsiHub`]; what a write does is in [`write`], free of any I/O.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err, reason = "a Problem is made once for a request that fails; boxing it would burden every signature")]

mod client;
mod config;
mod decode;
mod encode;
mod engine;
mod guard;
mod health;
mod negotiate;
pub mod notify;
pub mod problem;
mod server;
mod sink;
mod source;
mod subscription;
pub mod write;

pub use client::{BatchOutcome, Broker, ItemError, Page, is_retryable};
pub use config::{AuthConfig, BrokerConfig};
pub use decode::{QueryTexts, SelectorTexts};
pub use encode::{Shape, representation};
pub use engine::Engine;
pub use health::{BrokerHealth, check};
pub use negotiate::Media;
pub use server::catalog::{AttributeInfo, Catalog, TypeInfo};
pub use server::hub::{Action, Answer, BoxFuture, ChangeFn, ChangeSubscription, Keep, NewSubscription, NgsiHub, Report, Step, StoredSubscription};
pub use server::inbox::inbox_routes;
pub use server::routes;
pub use sink::{BrokerSink, NotifySink};
pub use source::BrokerSource;
pub use subscription::{Endpoint, Subscription};
