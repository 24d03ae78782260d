//! The append-only, hash-chained record of decisions, disclosures, withdrawals and acknowledgements.
//!
//! One chain over all tenants. What a record says of a person is sealed under her own key, and what is not sealed does not name her: destroying
//! the key makes her part unreadable while every byte, and so the chain, stays. Hashes of what could be guessed are salted, and the salt is in the
//! sealed part. Segments of the chain are signed; a segment that was kept long enough is dropped, its signed statement stays.
#![forbid(unsafe_code)]

mod chain;
mod coalesce;
mod erase;
mod export;
mod journal;
mod page;
mod record;
mod segment;
mod subject;
mod verify;

pub use chain::Anchor;
pub use coalesce::Tally;
pub use journal::{Journal, JournalError};
pub use page::{Entry, Page};
pub use record::{About, ConsentRef, Kind, Record};
pub use segment::{Segment, Signer, Verifier, checked_by, signed_by};
pub use verify::{Broken, Report};
