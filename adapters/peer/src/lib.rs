//! Hub to hub: did:web document, envelopes, status lists, event inbox, acknowledgements, heartbeats.
#![forbid(unsafe_code)]
