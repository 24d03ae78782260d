//! End-to-end tests of the program.

#[path = "../adapters/solid/tests/support/css.rs"]
mod css;
mod it {
    mod cli;
    mod readme;
    mod story;
}
