//! JSON-LD @contexts: bundled, fetched, cached, compiled; expand, compact, explain.
#![forbid(unsafe_code)]
