//! The journal as lines of JSON, for a supervisor or an archive.

use crate::chain::{self, STREAM};
use crate::{Journal, JournalError};
use serde::Serialize;
use serde_json::value::RawValue;
use waybill_keys::b64url;

#[derive(Serialize)]
struct Line<'a> {
    before: String,
    hash: String,
    record: &'a RawValue,
}

impl Journal {
    /// Up to `limit` records from number `from` on, one JSON object a line: `{"before","hash","record"}`. Sealed parts stay sealed. The
    /// text of `record` is the stored one byte for byte: `hash` is the SHA-256 of the byte 1, `before`, and that text.
    ///
    /// # Errors
    /// [`JournalError::Unreadable`] at the first bad record.
    pub async fn export(&self, from: u64, limit: usize) -> Result<Vec<String>, JournalError> {
        let records = self.0.store.read(move |r| r.stream(STREAM, from, limit)).await?;
        let line = |(number, payload): &(u64, Vec<u8>)| {
            let bad = |why: &str| JournalError::Unreadable(format!("record {number}: {why}"));
            let link = chain::read(payload).map_err(bad)?;
            let text = std::str::from_utf8(link.body).map_err(|_| bad("it is no text"))?;
            let record: &RawValue = serde_json::from_str(text).map_err(|_| bad("it is no JSON"))?;
            let line = Line { before: b64url(link.before), hash: b64url(link.hash), record };
            serde_json::to_string(&line).map_err(|_| bad("it cannot be written"))
        };
        records.iter().map(line).collect()
    }
}
