//! What an adapter is: the traits Source, Sink, Grants, Notices and Health, and its capabilities.
#![forbid(unsafe_code)]
