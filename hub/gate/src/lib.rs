//! The one way out: release() makes Released<T>; nothing else can.
#![forbid(unsafe_code)]
