//! Walking documents page by page.

use waybill_store::{Doc, Reader, StoreError};

/// Rows read at once.
const PAGE: usize = 500;

/// Gives every document of `space` whose key begins with `prefix` to `each`, in the order of keys.
pub(crate) fn each_doc(r: &Reader<'_>, space: &str, prefix: &str, mut each: impl FnMut(Doc)) -> Result<(), StoreError> {
    let mut after: Option<String> = None;
    loop {
        let page = r.docs(space, prefix, PAGE, after.as_deref())?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        page.into_iter().for_each(&mut each);
    }
}
