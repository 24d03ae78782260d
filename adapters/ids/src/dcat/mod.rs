//! The other side: DCAT catalogues with ODRL policies, as the Dataspace Protocol has them; and which side a document is on.

mod read;
mod root;
mod write;

pub(crate) use read::read;
pub(crate) use root::{Class, root};
pub(crate) use write::write;
