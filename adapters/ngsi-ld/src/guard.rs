//! What a write through the interface may not do, whatever the operation: undo what another hub's envelope says of a value.

use crate::problem;
use crate::server::hub::Action;
use waybill_model::{EntityDoc, Problem, Scope};

/// Refuses to replace what came under an envelope, which would then be held without it and outlive its withdrawal. Only the operator takes
/// it away.
///
/// # Errors
/// 409.
pub(crate) fn check(scope: &Scope, current: Option<&EntityDoc>, action: &Action) -> Result<(), Problem> {
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
    Ok(())
}
