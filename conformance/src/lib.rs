//! The stand-in platforms for the demo and for tests of faults: a plain NGSI-LD broker, a Solid-like pod server, an address that
//! is told of changes, a line that can be cut, a host that misbehaves.
//!
//! They share no code with the hub: what the hub gets wrong they must not get wrong in the same way. They are small, keep everything in
//! memory, listen on loopback only and are no substitute for the real platforms, against which the end-to-end tests run.
#![forbid(unsafe_code)]

mod broker;
mod misbehaving;
mod net;
mod out;
mod pod;
mod receiver;
mod relay;

pub use broker::{BrokerOptions, StandInBroker};
pub use misbehaving::{Fault, MisbehavingHost};
pub use net::{LOOPBACK, Seen};
pub use pod::{Credentials, Person, PodOptions, StandInPod};
pub use receiver::StandInReceiver;
pub use relay::Relay;

use std::sync::Arc;

/// Where a stand-in takes the time from: seconds since 1970. The demo moves its clock, so it hands in its own.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The system's time.
pub fn system_time() -> Now {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
