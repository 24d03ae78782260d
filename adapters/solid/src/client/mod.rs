//! The hub at a pod: signing in, finding, reading, writing, access, watching.

pub mod access;
pub mod connection;
pub mod discovery;
pub mod evidence;
pub mod link;
pub mod notify;
pub mod pod;
pub mod resource;
pub mod session;
pub mod watch;
