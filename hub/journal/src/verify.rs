//! Whether the chain holds.

use crate::chain::{self, Anchor, START, STREAM};
use crate::record::Body;
use crate::segment::{Segment, Verifier, all};
use crate::{Journal, JournalError};
use std::fmt;
use waybill_keys::b64url;
use waybill_store::{Reader, StoreError};

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
        // One state from beginning to end, so that what is dropped meanwhile is not missed.
        let anchors = anchors.to_vec();
        let walked = self.0.store.read(move |r| {
            let segments = match all(r) {
                Ok(segments) => segments,
                Err(StoreError::Corrupt(why)) => return Ok(Err(Broken { record: 0, why })),
                Err(e) => return Err(e),
            };
            walk(r, segments, &anchors)
        });
        let (report, segments) = match walked.await? {
            Ok(good) => good,
            Err(broken) => return Ok(Err(broken)),
        };
        Ok(statements(&segments, check).map(|()| report))
    }
}

fn walk(reader: &Reader<'_>, segments: Vec<Segment>, anchors: &[Anchor]) -> Result<Result<(Report, Vec<Segment>), Broken>, StoreError> {
    let mut walk = Walk { segments: &segments, anchors, first: 0, last: START };
    let mut size = PAGE;
    loop {
        let next = walk.last.number + 1;
        let page = match reader.stream(STREAM, next, size) {
            Ok(page) if page.is_empty() => break,
            Ok(page) => page,
            // Something among these cannot be read: go on one by one to find which.
            Err(StoreError::Corrupt(_)) if size > 1 => {
                size = 1;
                continue;
            }
            Err(StoreError::Corrupt(why)) => return Ok(Err(Broken { record: next, why })),
            Err(e) => return Err(e),
        };
        for (number, payload) in page {
            if let Err(broken) = walk.step(number, &payload) {
                return Ok(Err(broken));
            }
        }
    }
    let (first, last) = (walk.first, walk.last);
    let said = segments.iter().map(|s| s.last).chain(anchors.iter().map(|a| a.number)).max().unwrap_or(0);
    if last.number < said.max(reader.stream_head(STREAM)?) {
        return Ok(Err(Broken { record: last.number + 1, why: "it is missing".into() }));
    }
    let report = Report { first, last, segments: segments.len() };
    Ok(Ok((report, segments)))
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
                Ok(statement) if !segment.says(&statement) => return bad("what was signed is another statement"),
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
    fn step(&mut self, number: u64, payload: &[u8]) -> Result<(), Broken> {
        let bad = |record: u64, why: String| Err(Broken { record, why });
        if self.first != 0 && number != self.last.number + 1 {
            return bad(self.last.number + 1, "it is missing".into());
        }
        let link = match chain::read(payload) {
            Ok(link) => link,
            Err(why) => return bad(number, why.into()),
        };
        let hash = b64url(link.hash);
        if self.first == 0 {
            // The first one that is kept is the very first, or follows a segment that was dropped, or is the last of one: the last record of
            // all stays even when its segment is dropped.
            let before = b64url(link.before);
            let whole = number == 1 && link.before == START.hash;
            let follows = self.segments.iter().any(|s| s.last + 1 == number && s.hash == before);
            let stays = self.segments.iter().any(|s| s.last == number && s.hash == hash);
            if !(whole || follows || stays) {
                let (record, why) = if number == 1 { (1, "it is tied to a record before the first") } else { (number - 1, "it is missing") };
                return bad(record, why.into());
            }
            self.first = number;
        } else if link.before != self.last.hash {
            return bad(number, "it is not tied to the record before it: one of the two was written anew".into());
        }
        let Ok(body) = serde_json::from_slice::<Body>(link.body) else { return bad(number, "it is no record".into()) };
        if body.n != number {
            return bad(number, format!("it says that it is number {}", body.n));
        }
        if self.segments.iter().any(|s| s.last == number && s.hash != hash) {
            return bad(number, "its segment was sealed over another record".into());
        }
        if self.anchors.iter().any(|a| a.number == number && a.hash != link.hash) {
            return bad(number, "a second party keeps another hash of it".into());
        }
        self.last = Anchor { number, hash: link.hash };
        Ok(())
    }
}
