//! Consent records and events, subject registry, envelopes, manifests, tags, status lists.
//!
//! What a person agreed to is a [`ConsentRecord`] in numbered versions, what happened to it a set of [`ConsentEvent`]s; [`fold()`] gives the
//! state of each process from the two, whatever order they came in. An open process compiles to [`Grant`] rows, the only thing that opens
//! personal data. Everything that leaves the hub about a consent is a signed statement with its own type.
#![forbid(unsafe_code)]

mod ack;
mod book;
mod bundle;
mod change;
mod error;
mod event;
mod fault;
mod fold;
mod grant;
mod grantdoc;
mod heartbeat;
mod ledger;
mod issue;
mod manifest;
mod narrow;
mod record;
mod registry;
mod set;
mod signed;
mod status;
mod tag;
mod terms;
mod transform;

pub mod envelope;

pub use ack::{Acknowledgement, Outcome, StoreAnswer};
pub use book::{ConsentBook, ConsentView, Issuer, Reach, StoredEnvelope};
pub use bundle::{Bundle, Report, Verdict, verify_bundle, verify_bundle_with};
pub use change::{Applied, Closed, Input};
pub use envelope::{ConsentPointer, Envelope, EnvelopeClaims, StatusEntry, StatusPointer};
pub use error::ConsentError;
pub use event::{Actor, ActorRole, Change, ConsentEvent, Evidence, EvidenceKind, Pids};
pub use fold::{Folded, ProcessState, State, fold};
pub use grant::{Grant, GrantSet, Opening, StatusIndexes, Template, Templates, compile};
pub use grantdoc::{DocumentState, GrantDocument, Imported, Named, Observed, Precision, Shared, gone, record_id_of};
pub use issue::Issue;
pub use heartbeat::{Heartbeat, Heartbeats};
pub use ledger::{Note, Reapplied};
pub use manifest::{LeafKey, LeafMatch, Manifest, ManifestBuilder, ManifestClaims, Operation, leaf_hash};
pub use narrow::is_narrower;
pub use record::{
    ConsentRecord, Datum, Missing, Notice, OnWithdrawal, Party, PartyRole, Process, Readiness, SCHEMA, Storage, Subject, Transfer, Validity,
    Withdrawal,
};
pub use registry::{Binding, Bound, Guardianship, Registry, Rule, Target};
pub use set::{DeletionEvent, EnvelopeEvent, EventKind, EventToken};
pub use signed::StatementError;
pub use status::{ENTRIES, Reading, StatusList, StatusLists, StatusPurpose};
pub use tag::{tag_hash, tag_uri};
pub use terms::{Asset, Basis, PurposeCheck, Terms};
pub use transform::Transform;

/// How far two clocks may be apart, in seconds: a withdrawal wins against a grant this close to it.
pub const SKEW_SECONDS: i64 = waybill_keys::SKEW_SECONDS;
