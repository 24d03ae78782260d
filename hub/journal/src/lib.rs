//! The append-only, hash-chained record of decisions, disclosures, withdrawals and acknowledgements.
#![forbid(unsafe_code)]
