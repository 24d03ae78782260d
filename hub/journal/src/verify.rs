//! Whether the chain holds.

use crate::chain::{self, Anchor, START, STREAM};
use crate::record::Body;
use crate::segment::{Segment, Verifier, all};
use crate::{Journal, JournalError};
use std::fmt;
use waybill_keys::b64url;
use waybill_store::StoreError;

const PAGE: usize = 500;

/// What was found when the chain holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The first record that is kept; 0 when the journal is empty.
    pub first: u64,
    /// The last record.
    pub last: Anchor,
    /// How many segments are sealed.
    pub segments: usize,
}

/// The first record that is bad, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its number.
    pub record: u64,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: {}", self.record, self.why)
    }
}

impl Journal {
    /// Reads the whole chain. With `check`, the segments' signatures too.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn verify(&self, check: Option<&Verifier<'_>>) -> Result<Result<Report, Broken>, JournalError> {
        self.verify_with(check, &[]).await
    }

    /// The same, and that each of `anchors`, which a second party kept, still stands where it stood.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn verify_with(&self, check: Option<&Verifier<'_>>, anchors: &[Anchor]) -> Result<Result<Report, Broken>, JournalError> {
        let store = &self.0.store;
        let (segments, head) = match store.read(|r| Ok((all(r), r.stream_head(STREAM)?))).await? {
            (Ok(segments), head) => (segments, head),
            (Err(StoreError::Corrupt(why)), _) => return Ok(Err(Broken { record: 0, why })),
            (Err(e), _) => return Err(e.into()),
        };
        if let Err(broken) = statements(&segments, check) {
            return Ok(Err(broken));
        }
        let mut walk = Walk { segments: &segments, anchors, first: 0, last: START };
        let mut next = 0;
        loop {
            let page = store.read(move |r| r.stream(STREAM, next, PAGE)).await?;
            let Some((last, _)) = page.last() else { break };
            next = last + 1;
            for (number, payload) in &page {
                if let Err(why) = walk.step(*number, payload) {
                    return Ok(Err(Broken { record: walk.last.number.max(number - 1) + 1, why }));
                }
            }
        }
        let end = segments.last().map_or(0, |s| s.last).max(anchors.iter().map(|a| a.number).max().unwrap_or(0)).max(head);
        if walk.last.number < end {
            return Ok(Err(Broken { record: walk.last.number + 1, why: "it is missing".into() }));
        }
        Ok(Ok(Report { first: walk.first, last: walk.last, segments: segments.len() }))
    }
}

fn statements(segments: &[Segment], check: Option<&Verifier<'_>>) -> Result<(), Broken> {
    let (mut number, mut last, mut hash) = (0, 0, b64url(START.hash));
    for segment in segments {
        let bad = |why: &str| Err(Broken { record: segment.first, why: format!("segment {}: {why}", segment.segment) });
        if segment.segment != number + 1 || segment.first != last + 1 || segment.last < segment.first || segment.before != hash {
            return bad("it does not follow the one before it");
        }
        if let Some(check) = check {
            match check(&segment.signed) {
                Err(why) => return bad(&format!("its signature does not hold: {why}")),
                Ok(statement) if statement != segment.statement() => return bad("what was signed is another statement"),
                Ok(_) => {}
            }
        }
        (number, last, hash) = (segment.segment, segment.last, segment.hash.clone());
    }
    Ok(())
}

struct Walk<'a> {
    segments: &'a [Segment],
    anchors: &'a [Anchor],
    first: u64,
    last: Anchor,
}

impl Walk<'_> {
    fn step(&mut self, number: u64, payload: &[u8]) -> Result<(), String> {
        let link = chain::read(payload)?;
        if self.first == 0 {
            // The first one that is kept must follow a segment that was dropped, or be the very first.
            let dropped = self.segments.iter().find(|s| s.last + 1 == number).map(|s| s.hash.clone());
            let whole = (number == 1).then(|| b64url(START.hash));
            // The last record of all stays even when its segment was dropped.
            let kept = self.segments.iter().any(|s| s.last == number && s.hash == b64url(link.hash));
            match dropped.or(whole) {
                Some(hash) if hash == b64url(link.before) => {}
                None if kept => {}
                _ => return Err("what came before it is missing".into()),
            }
            self.first = number;
        } else if number != self.last.number + 1 {
            return Err("it is missing".into());
        } else if link.before != self.last.hash {
            return Err("it is not tied to the record before it".into());
        }
        let body: Body = serde_json::from_slice(link.body).map_err(|_| "it is no record".to_owned())?;
        if body.n != number {
            return Err(format!("it says that it is number {}", body.n));
        }
        if self.segments.iter().any(|s| s.last == number && s.hash != b64url(link.hash)) {
            return Err("its segment was sealed over another record".into());
        }
        if self.anchors.iter().any(|a| a.number == number && a.hash != link.hash) {
            return Err("a second party keeps another hash of it".into());
        }
        self.last = Anchor { number, hash: link.hash };
        Ok(())
    }
}
