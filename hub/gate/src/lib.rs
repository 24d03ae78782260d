//! The one way out: `release()` makes `Released<T>`; nothing else can.
//!
//! A [`View`] is what one caller may see; a [`VisibleDoc`] is an entity through those eyes, which can be filtered and counted but not
//! read; [`Gate`] records the decision, tags what is personal, and seals it.
#![forbid(unsafe_code)]

#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench_support;
mod fault;
mod gate;
mod governance;
mod inbound;
mod licence;
mod onward;
mod pairwise;
mod parcel;
mod reason;
mod released;
mod standing;
mod tagging;
mod transform;
mod view;
mod visible;
mod window;

pub use gate::{Draft, Gate, HOLDER, MANIFEST, Page};
pub use governance::{Agreement, BindBy, BindRule, Class, ClassRule, Governance, HolderClass};
pub use inbound::{HEARTBEAT, IMPORT_HEARD, INBOUND, Inbound, InboundEnvelope, LastHeartbeat, State as InboundState, is_stale, is_unheard};
pub use licence::{LICENCE, Licence};
pub use onward::{JOINT_OF, Joint, ONWARD, key as onward_key};
pub use pairwise::PairKeys;
pub use standing::Standing;
pub use parcel::{Deleted, Gone, Parcel};
pub use reason::{Reason, Tally};
pub use released::{Receipt, Released};
pub use view::{Eyes, View};
pub use visible::{InstanceDigest, VisibleDoc};
pub use window::{Accumulator, Closed, WINDOW, WindowShape, key as window_key};
