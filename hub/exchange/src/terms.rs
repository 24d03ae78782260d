//! Comparing offers (stub until merged).
use serde_json::Value;
use waybill_model::Problem;

/// How an offer compares with another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferComparison {
    /// The same.
    Equal,
    /// Narrower.
    Narrower(Vec<String>),
    /// Weakened.
    Weakened(Vec<String>),
}

/// Compare.
pub fn compare_offers(own: &Value, theirs: &Value) -> Result<OfferComparison, Problem> {
    let _ = own; let _ = theirs;
    Ok(OfferComparison::Equal)
}
