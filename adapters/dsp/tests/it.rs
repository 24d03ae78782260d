//! The connector: its tables, its messages, whole processes over sockets, and what its data plane opens and closes.

#[path = "it/answers.rs"]
mod answers;
#[path = "it/bad.rs"]
mod bad;
#[path = "it/data_flows.rs"]
mod data_flows;
#[path = "it/deals.rs"]
mod deals;
#[path = "it/early.rs"]
mod early;
#[path = "it/hubs.rs"]
mod hubs;
#[path = "it/import.rs"]
mod import;
#[path = "it/machine.rs"]
mod machine;
#[path = "it/manage.rs"]
mod manage;
#[path = "it/manage_bad.rs"]
mod manage_bad;
#[path = "it/manage_secrets.rs"]
mod manage_secrets;
#[path = "it/messages.rs"]
mod messages;
#[path = "it/odd.rs"]
mod odd;
#[path = "it/people.rs"]
mod people;
#[path = "it/plane.rs"]
mod plane;
#[path = "it/policies.rs"]
mod policies;
#[path = "it/restart.rs"]
mod restart;
#[path = "it/schemas.rs"]
mod schemas;
#[path = "it/seller.rs"]
mod seller;
#[path = "it/signaling.rs"]
mod signaling;
#[path = "it/suite.rs"]
mod suite;
#[path = "it/support.rs"]
mod support;

use messages::fixtures as messages_of_all_kinds;

mod it {
    mod crawl;
    mod dcat;
    mod foreign;
    mod inline;
    #[path = "own_messages.rs"]
    mod messages;
    #[path = "own_schemas.rs"]
    mod schemas;
    pub mod stand;
}
