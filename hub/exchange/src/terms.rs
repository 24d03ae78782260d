//! Offers of the Dataspace Protocol, for adapters: whether one is understood, and what one that came back says beside one's own.

use serde_json::Value;
use waybill_model::{Problem, ProblemCode};
use waybill_policy::{Change, Comparison, Diagnostic, Policy, PolicyKind, Profile, compare, compile, read_offer, understood};

/// What an offer or agreement that came back in a negotiation is, beside one's own. Texts are plain, of bounded length, and in an order that
/// does not depend on how the offers were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferComparison {
    /// It says the same.
    Equal,
    /// It permits nothing that one's own does not, and asks for no less: what is narrower.
    Narrower(Vec<String>),
    /// It permits more, asks for less, or cannot be compared with certainty: what makes it so.
    Weakened(Vec<String>),
}

/// Compares an offer or agreement, as it stands in a message of the Dataspace Protocol 2025-1, with one's own.
///
/// The policy's `@id`, `@type`, `assigner` and `timestamp` are not compared, nor a `target` or `assignee` that only theirs names; a duty
/// without `@id` is taken for one's own with the same action. So of two equal ones one's own is the one to keep.
///
/// # Errors
/// `policy-not-understood` (400), with the name of what is not understood, and whose it is.
pub fn compare_offers(own: &Value, theirs: &Value) -> Result<OfferComparison, Problem> {
    let profile = Profile::waybill();
    let read = |offer: &Value, whose: &str| {
        let policy = read_offer(offer).map_err(|faults| refused(&faults, whose))?;
        understood(&policy, &profile).map_err(|faults| refused(&faults, whose))?;
        Ok::<Policy, Problem>(policy)
    };
    let (own, theirs) = (read(own, "the hub's own offer")?, read(theirs, "the offer")?);
    let texts = |changes: Vec<Change>| changes.into_iter().map(|c| c.text).collect();
    Ok(match compare(&own, &theirs, &profile) {
        Comparison::Equal => OfferComparison::Equal,
        Comparison::Narrower(changes) => OfferComparison::Narrower(texts(changes)),
        Comparison::Weakened(changes) => OfferComparison::Weakened(texts(changes)),
    })
}

/// Whether the hub could keep an offer or agreement of the Dataspace Protocol: it is read, and compiled as the agreement it would become
/// under the Waybill profile. An offer may leave out its target, which a catalogue's offer has to (DSP 2025-1, `dataset-schema.json`).
///
/// # Errors
/// `policy-not-understood` (400), with the name of what is not understood.
pub fn check_offer(offer: &Value) -> Result<(), Problem> {
    let profile = Profile::waybill();
    let policy = read_offer(offer).map_err(|faults| refused(&faults, "the offer"))?;
    let understood = match policy.kind {
        PolicyKind::Agreement => compile(&policy.into_agreement(), &profile).map(drop),
        PolicyKind::Offer | PolicyKind::Set => understood(&policy, &profile),
    };
    understood.map_err(|faults| refused(&faults, "the offer"))
}

fn refused(faults: &[Diagnostic], whose: &str) -> Problem {
    let problem = |detail: String| Problem::new(ProblemCode("policy-not-understood"), 400, "An offer is not understood", detail);
    match faults {
        [first, ..] => problem(format!("{whose}: {}", first.message)).at(&first.place).help(first.help),
        [] => problem(whose.to_owned()),
    }
}
