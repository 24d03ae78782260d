//! The NGSI-LD query languages: parse, syntax tree, evaluate.
#![forbid(unsafe_code)]
