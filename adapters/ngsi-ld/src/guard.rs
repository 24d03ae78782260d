//! What a write through the interface may not do, whatever the operation: undo what another hub's envelope says of a value, or change what
//! decides who may see a person's data.

use crate::problem;
use crate::server::hub::Action;
use waybill_gate::{Class, Governance};
use waybill_model::{EntityDoc, Problem, Scope};

/// Refuses to replace what came under an envelope, which would then be held without it and outlive its withdrawal; only the operator takes
/// it away. Refuses other types to all but the operator where they matter.
///
/// # Errors
/// 409 for a value under an envelope, 403 for types.
pub(crate) fn check(scope: &Scope, governance: &Governance, current: Option<&EntityDoc>, action: &Action) -> Result<(), Problem> {
    let Some(current) = current else { return Ok(()) };
    let next = match action {
        Action::Keep => return Ok(()),
        Action::Put(next) => Some(next),
        Action::Delete => None,
    };
    for span in current.spans().iter().filter(|s| s.envelope.is_some()) {
        let (name, dataset) = (current.name(span), current.dataset_id(span));
        let then = next.and_then(|next| next.instances_of(name).find(|s| next.dataset_id(s) == dataset));
        let kept = then.map_or(scope.is_operator(), |s| s.envelope == span.envelope);
        if !kept {
            return Err(problem::under_envelope(name));
        }
    }
    match next {
        Some(next) if !scope.is_operator() => types(governance, current, next),
        _ => Ok(()),
    }
}

/// Grants and classes go by types. One more opens what a grant on it names, and closes what was open; one less may open the rest.
fn types(governance: &Governance, current: &EntityDoc, next: &EntityDoc) -> Result<(), Problem> {
    let has = |doc: &EntityDoc, ty: &str| doc.types().any(|t| t == ty);
    if current.types().all(|t| has(next, t)) && next.types().all(|t| has(current, t)) {
        return Ok(());
    }
    let matters = current.spans().iter().any(|span| {
        let closed = |doc: &EntityDoc| governance.class_of(doc.types(), current.name(span)) != Class::Open;
        span.envelope.is_some() || closed(current) || closed(next)
    });
    if matters { Err(problem::types_not_agreed()) } else { Ok(()) }
}
