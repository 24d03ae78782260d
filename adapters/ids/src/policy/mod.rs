//! Policies: read from either side into one model, closed under the law that no permission gets wider, and written to the other.

mod constraint;
mod fit;
mod ids;
mod law;
mod odrl;
mod read;

pub(crate) use fit::fit;
pub(crate) use ids::{add, describe, policy as write_ids};
pub(crate) use law::close;
pub(crate) use odrl::{policy as write_odrl, tree as odrl_tree};
pub(crate) use read::{Dialect, Reading};
