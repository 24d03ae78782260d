//! Consent records and events, subject registry, envelopes, manifests, tags, status lists.
#![forbid(unsafe_code)]
