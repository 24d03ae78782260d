//! The hub as a connector of a dataspace: against the compatibility kit, and against a real connector of another make.

mod conformance;
mod import;
mod interop;
mod story;
mod signaling;
