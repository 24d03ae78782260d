//! The connector: its tables, its messages, whole processes over sockets, and what its data plane opens and closes.

#[path = "it/machine.rs"]
mod machine;
#[path = "it/schemas.rs"]
mod schemas;
#[path = "it/suite.rs"]
mod suite;
#[path = "it/support.rs"]
mod support;
