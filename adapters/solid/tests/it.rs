//! Tests of the Solid adapter: conversions, access rules, sign-in, and the whole sequence against a real server.

#[path = "support/css.rs"]
mod css;
mod it {
    mod codec;
    mod real;
    mod receiver;
    mod refusing;
    mod rules;
    mod sign_in;
    mod stand_in;
    mod watching;
    mod webhook;
    mod words;
    pub mod world;
}
