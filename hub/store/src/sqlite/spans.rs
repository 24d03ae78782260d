//! The span table of an `EntityDoc` as a compact binary: a format byte, then LEB128 numbers, positions as differences.

use std::sync::Arc;
use waybill_model::{AttributeKind, AttributeSpan, DateTime, EntityDoc, EnvelopeHash, Span, SystemColumns};

const FORMAT: u8 = 1;
const HAS_DATASET: u64 = 1;
const HAS_EXPIRY: u64 = 2;
const HAS_ENVELOPE: u64 = 4;
const HAS_LEAF: u64 = 8;

struct Out {
    bytes: Vec<u8>,
    at: u32,
}
impl Out {
    fn number(&mut self, mut n: u64) {
        loop {
            let low = (n & 0x7f) as u8;
            n >>= 7;
            if n == 0 {
                self.bytes.push(low);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }
    fn signed(&mut self, n: i64) {
        self.number(((n << 1) ^ (n >> 63)) as u64);
    }
    fn span(&mut self, s: Span) {
        self.signed(i64::from(s.start) - i64::from(self.at));
        self.number(u64::from(s.end.saturating_sub(s.start)));
        self.at = s.end;
    }
}

/// Writes the table.
pub fn encode(doc: &EntityDoc) -> Vec<u8> {
    let (types, scopes) = doc.head_spans();
    let mut out = Out { bytes: Vec::with_capacity(16 + 12 * doc.spans().len()), at: 0 };
    out.bytes.push(FORMAT);
    out.span(doc.id_span());
    for list in [types, scopes] {
        out.number(list.len() as u64);
        for s in list {
            out.span(*s);
        }
    }
    out.number(doc.spans().len() as u64);
    for s in doc.spans() {
        let flag = |on: bool, bit| if on { bit } else { 0 };
        let flags = flag(s.dataset_id.is_some(), HAS_DATASET)
            | flag(s.expires_at.is_some(), HAS_EXPIRY)
            | flag(s.envelope.is_some(), HAS_ENVELOPE)
            | flag(s.leaf.is_some(), HAS_LEAF);
        let kind = AttributeKind::ALL.iter().position(|k| *k == s.kind).unwrap_or_default() as u64;
        out.number(flags | kind << 4);
        out.span(s.name);
        out.span(s.instance);
        // Most Attributes share their times with the Entity: then each is one byte.
        out.signed(s.created_at.micros().wrapping_sub(doc.system.created_at.micros()));
        out.signed(s.modified_at.micros().wrapping_sub(doc.system.modified_at.micros()));
        if let Some(dataset) = s.dataset_id {
            out.span(dataset);
        }
        if let Some(at) = s.expires_at {
            out.signed(at.micros());
        }
        if let Some(EnvelopeHash(hash)) = s.envelope {
            out.bytes.extend_from_slice(&hash);
        }
        if let Some(leaf) = s.leaf {
            out.bytes.extend_from_slice(&leaf);
        }
    }
    out.bytes
}

struct In<'a> {
    bytes: &'a [u8],
    at: u32,
}
impl In<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }
    #[inline]
    fn number(&mut self) -> Option<u64> {
        // Most are small.
        match self.bytes {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.bytes = rest;
                Some(u64::from(*byte))
            }
            _ => self.long_number(),
        }
    }
    fn long_number(&mut self) -> Option<u64> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
    fn signed(&mut self) -> Option<i64> {
        let n = self.number()?;
        Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }
    fn span(&mut self) -> Option<Span> {
        let start = u32::try_from(i64::from(self.at).checked_add(self.signed()?)?).ok()?;
        let end = start.checked_add(u32::try_from(self.number()?).ok()?)?;
        self.at = end;
        Some(Span { start, end })
    }
    fn hash(&mut self) -> Option<[u8; 32]> {
        let (hash, rest) = self.bytes.split_first_chunk::<32>()?;
        self.bytes = rest;
        Some(*hash)
    }
    fn list(&mut self) -> Option<Vec<Span>> {
        let n = self.number()?;
        (0..n).map(|_| self.span()).collect()
    }
}

fn attribute(from: &mut In<'_>, system: &SystemColumns) -> Option<AttributeSpan> {
    let head = from.number()?;
    let kind = *AttributeKind::ALL.get(usize::try_from(head >> 4).ok()?)?;
    let name = from.span()?;
    let instance = from.span()?;
    let created_at = DateTime::from_micros(system.created_at.micros().wrapping_add(from.signed()?));
    let modified_at = DateTime::from_micros(system.modified_at.micros().wrapping_add(from.signed()?));
    let dataset_id = if head & HAS_DATASET == 0 { None } else { Some(from.span()?) };
    let expires_at = if head & HAS_EXPIRY == 0 { None } else { Some(DateTime::from_micros(from.signed()?)) };
    let envelope = if head & HAS_ENVELOPE == 0 { None } else { Some(EnvelopeHash(from.hash()?)) };
    let leaf = if head & HAS_LEAF == 0 { None } else { Some(from.hash()?) };
    Some(AttributeSpan { name, instance, dataset_id, kind, created_at, modified_at, expires_at, envelope, leaf })
}

/// What stands in the place of an entry that cannot be read, until the whole table is thrown away for it.
fn nothing(system: &SystemColumns) -> AttributeSpan {
    AttributeSpan {
        name: Span::default(),
        instance: Span::default(),
        dataset_id: None,
        kind: AttributeKind::Property,
        created_at: system.created_at,
        modified_at: system.modified_at,
        expires_at: None,
        envelope: None,
        leaf: None,
    }
}

/// Reads the table and puts the document together. Nothing when the bytes are not what [`encode`] wrote.
pub fn decode(bytes: &[u8], text: &str, system: SystemColumns) -> Option<EntityDoc> {
    let mut from = In { bytes, at: 0 };
    if from.byte()? != FORMAT {
        return None;
    }
    let id = from.span()?;
    let types = from.list()?;
    let scopes = from.list()?;
    let n = usize::try_from(from.number()?).ok()?;
    // Each takes several bytes, so a number beyond that is none of ours.
    if n > bytes.len() {
        return None;
    }
    // With their number known, they are written once, where they stay.
    let mut whole = true;
    let spans: Arc<[AttributeSpan]> = (0..n)
        .map(|_| {
            let read = attribute(&mut from, &system);
            whole &= read.is_some();
            read.unwrap_or_else(|| nothing(&system))
        })
        .collect();
    if !whole {
        return None;
    }
    let text: Arc<str> = text.into();
    from.bytes.is_empty().then(|| EntityDoc::from_parts(text, id, types, scopes, spans, system))
}
