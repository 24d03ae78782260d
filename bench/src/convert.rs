//! Conversion: text in, canonical form out, and on to what a recipient gets.

use crate::figure::{Figure, Target};
use crate::{cpu, sample, world};
use std::hint::black_box;
use waybill_context::{EncodeOptions, Options, decode_entity, encode_entity};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] =
    &[("convert.expand", "x_round_trip", Target::Most(1.3)), ("convert.release", "x_round_trip", Target::Most(2.0))];

const ROUNDS: usize = 7;
const CALLS: u32 = 2_000;

/// Measures it.
pub fn run() -> Result<Vec<Figure>, String> {
    let context = world::context()?;
    let text = sample::entity(1);
    let options = Options::new(world::now());
    let terms = context.terms().len();
    let doc = decode_entity(&context, text.as_bytes(), &options).map_err(|e| e.to_string())?;
    let mut out = Vec::with_capacity(4096);
    let mut floor = || {
        let value: serde_json::Value = serde_json::from_str(black_box(&text)).unwrap_or_default();
        black_box(value.to_string());
    };
    let mut expand = || {
        black_box(decode_entity(&context, black_box(text.as_bytes()), &options).is_ok());
    };
    let mut compact = || {
        out.clear();
        encode_entity(&context, black_box(&doc), &EncodeOptions::default(), &mut out);
        black_box(out.len());
    };
    let times = cpu::each(ROUNDS, CALLS, &mut [&mut floor, &mut expand, &mut compact]);
    let [floor, expand, compact] = times.as_slice() else { return Err("the samples are missing".to_owned()) };
    let note = format!("{} B, {terms} terms; {expand:.2} us, round trip {floor:.2} us, compaction {compact:.2} us", text.len());
    Ok(vec![Figure::of(FIGURES, "convert.expand", expand / floor, note)])
}
