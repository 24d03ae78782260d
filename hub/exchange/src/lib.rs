//! The engine: routes, agreements, subscriptions, outbox, holders, heartbeats, withdrawal.
//!
//! What moves data is level-triggered: a row says what may look different, a worker compares what a follower may see now with what she
//! saw, and the difference is delivered. So every cause (a write, a grant, a withdrawal, a window's end, a stale sender) takes one path.
#![forbid(unsafe_code)]

mod admit;
mod bundle;
mod consent;
mod deliver;
mod desk;
mod documents;
mod erase;
mod fan;
mod fault;
mod foreign;
mod follow;
mod govern;
mod hub;
mod import;
mod inbox;
mod licence;
mod notice;
mod origin;
mod pods;
mod process;
mod pulled;
mod quarantine;
mod read;
mod restore;
mod rows;
mod scan;
mod sweep;
mod tell;
mod terms;
mod upstream;
mod withdraw;
mod work;
mod write;

pub use inbox::{Incoming, Intake, Parcelled};
pub use consent::Granted;
pub use desk::Holding;
pub use erase::Erasure;
pub use follow::NewFollower;
pub use foreign::{ForeignTerms, Keeps, foreign_terms};
pub use import::{Came, Stated};
pub use govern::BasisRoute;
pub use hub::Hub;
pub use process::{Entry, Ledger, ProcessRecord, Step, alias as process_alias};
pub use read::MAX_LIMIT;
pub use rows::{Behalf, Delivery, Follower, FollowerStatus, Quarantined};
pub use terms::{OfferComparison, check_offer, compare_offers};
pub use withdraw::{HolderProgress, Progress, Withdrawal};
/// For adapters that call out by themselves: on both sides of such a call.
pub use waybill_store::crash_point;
pub use work::Workers;
pub use write::Change;
