//! An answer that takes long to send is asked about again before each further piece of it: what it stands on may have ended meanwhile.

use crate::response::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use std::fmt;
use std::sync::Arc;

/// The most that is sent without asking again, in bytes.
pub(crate) const PIECE: usize = 64 * 1024;

/// A condition under which an answer may be sent on: asked before each piece of 64 KiB but the first.
#[derive(Clone)]
pub struct AsLongAs(Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>);

impl AsLongAs {
    /// The condition that `ask` answers.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(ask())))
    }
}

impl fmt::Debug for AsLongAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsLongAs")
    }
}

/// The body, in pieces, as long as all of `conditions` hold. When one does not, the connection ends before the length that was announced, so
/// that the receiver sees that the answer is not whole.
pub(crate) fn in_pieces(whole: Bytes, conditions: Vec<AsLongAs>) -> Body {
    let pieces = stream::try_unfold((whole, conditions, true), |(mut rest, conditions, first)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        if !first {
            for condition in &conditions {
                if !(condition.0)().await {
                    tracing::info!("an answer was cut off: what it stood on ended while it was sent");
                    return Err(std::io::Error::other("what the answer stands on has ended"));
                }
            }
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        Ok(Some((piece, (rest, conditions, false))))
    });
    Body::Stream(Box::pin(pieces))
}
