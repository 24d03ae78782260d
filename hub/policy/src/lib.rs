//! ODRL: parse, compile, decide, residual predicate; taxonomies; reference interpreter.
#![forbid(unsafe_code)]
