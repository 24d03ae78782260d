//! How names in a query become IRIs.

/// Expands a term with the @context of the request (clause 5.5.7). Implemented by the context room.
pub trait Expander {
    /// The IRI of `term`; an absolute IRI is its own expansion.
    fn expand(&self, term: &str) -> String;
}

impl<F: Fn(&str) -> String> Expander for F {
    fn expand(&self, term: &str) -> String {
        self(term)
    }
}

/// No @context but the fall-back: terms go to the default vocabulary, names with a colon stay.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContext;

impl Expander for NoContext {
    fn expand(&self, term: &str) -> String {
        if term.contains(':') { term.to_owned() } else { format!("{}{term}", waybill_model::DEFAULT_VOCAB) }
    }
}
