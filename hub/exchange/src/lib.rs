//! The engine: routes, agreements, subscriptions, outbox, holders, heartbeats, withdrawal.
#![forbid(unsafe_code)]
