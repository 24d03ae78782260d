//! Solid pods: sign-in, discovery, resources, access rules, notifications.
#![forbid(unsafe_code)]
