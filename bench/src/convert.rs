//! Conversion: text in, canonical form out, and on to what a recipient gets.

use crate::figure::{Figure, Target};
use crate::{cpu, release, world};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, RwLock};
use waybill_consent::{LeafKey, ManifestBuilder, Operation};
use waybill_context::{Context, EncodeOptions, Options, decode_entity, encode_entity};
use waybill_gate::Eyes;
use waybill_keys::KeyRing;
use waybill_model::{Clock, EntityDoc, EnvelopeHash, Iri, TAG_NAME};
use waybill_store::StoreError;

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] =
    &[("convert.expand", "x_round_trip", Target::Most(1.3)), ("convert.release", "x_round_trip", Target::Most(2.0))];

const ROUNDS: usize = 7;
const CALLS: u32 = 2_000;

/// Measures it.
pub fn run(_: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let context = world::context()?;
    let (hub, view) = release::hub(&context)?;
    let keys = Arc::new(RwLock::new(KeyRing::generate(&Clock::fixed(world::now())).controlled_by("did:web:a.example")));
    // On one thread of the store's, so that decisions read it as they do in the hub and the thread's clock sees all of it.
    let read = move |reader: &waybill_store::Reader<'_>| Ok(measure(&context, &view.eyes(reader)?, &keys));
    hub.store().read_blocking(read).map_err(|e: StoreError| e.to_string())?
}

fn measure(context: &Context, eyes: &Eyes<'_>, keys: &RwLock<KeyRing>) -> Result<Vec<Figure>, String> {
    let text = release::entity();
    let options = Options::new(world::now());
    let stored = decode_entity(context, text.as_bytes(), &options).map_err(|e| e.to_string())?;
    let outcome = release(eyes, &stored, keys)?;
    let (shown, tagged) = (outcome.spans().iter().filter(|s| outcome.name(s) != TAG_NAME).count(), tagged(&outcome));
    if shown + 2 != stored.spans().len() || tagged.len() != 2 {
        return Err(format!("{shown} of {} Attributes are released, {} with a tag: not what is to be measured", stored.spans().len(), tagged.len()));
    }

    let (mut out, mut released) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let mut floor = || {
        let value: serde_json::Value = serde_json::from_str(black_box(&text)).unwrap_or_default();
        black_box(value.to_string());
    };
    let mut expand = || {
        black_box(decode_entity(context, black_box(text.as_bytes()), &options).is_ok());
    };
    let mut compact = || {
        out.clear();
        encode_entity(context, black_box(&stored), &EncodeOptions::default(), &mut out);
        black_box(out.len());
    };
    let mut whole = || {
        let Ok(doc) = decode_entity(context, black_box(text.as_bytes()), &options) else { return };
        let Ok(doc) = release(eyes, &doc, keys) else { return };
        released.clear();
        encode_entity(context, &doc, &EncodeOptions::default(), &mut released);
        black_box(released.len());
    };
    let mut hashing = || hash_and_sign(&outcome, &tagged, keys);
    let times = cpu::each(ROUNDS, CALLS, &mut [&mut floor, &mut expand, &mut compact, &mut whole, &mut hashing]);
    let [floor, expand, compact, whole, hashing] = times.as_slice() else { return Err("the samples are missing".to_owned()) };
    let terms = context.terms().len();
    let note = format!("{} B, {terms} terms; {expand:.2} us, round trip {floor:.2} us, compaction {compact:.2} us", text.len());
    let release = whole - hashing;
    let parts = format!("{} Attributes, 2 closed, 2 tagged; {release:.2} us, and hashing and signing {hashing:.1} us apart", stored.spans().len());
    Ok(vec![Figure::of(FIGURES, "convert.expand", expand / floor, note), Figure::of(FIGURES, "convert.release", release / floor, parts)])
}

fn release(eyes: &Eyes<'_>, doc: &EntityDoc, keys: &RwLock<KeyRing>) -> Result<EntityDoc, String> {
    let entities = waybill_gate::bench_support::unrecorded(eyes, doc, keys).map_err(|e| e.to_string())?;
    entities.into_iter().next().ok_or_else(|| "nothing is released".to_owned())
}

/// The instances that carry a tag, with their envelopes.
fn tagged(doc: &EntityDoc) -> Vec<(EnvelopeHash, String, String)> {
    let all = doc.spans().iter();
    all.filter_map(|s| Some((s.envelope?, doc.name(s).to_owned(), doc.instance(s).to_owned()))).collect()
}

/// What a release adds for people's data whatever the conversion costs: a hash of each value, and one signature.
fn hash_and_sign(doc: &EntityDoc, tagged: &[(EnvelopeHash, String, String)], keys: &RwLock<KeyRing>) {
    let Ok(party) = Iri::new(release::RECIPIENT) else { return };
    let mut manifest = ManifestBuilder::new("did:web:a.example", party, Operation { name: "disclosure".to_owned(), params: BTreeMap::default() });
    for (envelope, attribute, instance) in tagged {
        black_box(manifest.leaf(*envelope, LeafKey { entity: doc.id(), attribute, dataset: None }, instance).is_ok());
    }
    let ring = keys.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    black_box(manifest.sign(ring.active(), 1, 1, world::now()).compact.len());
}
