//! End-to-end tests of the program.

#[path = "../adapters/solid/tests/support/css.rs"]
mod css;
mod it {
    mod bad_input;
    mod cli;
    mod clock;
    mod pods;
    mod program;
    mod readme;
    mod story;
    mod tenants;
    mod town;
    #[cfg(feature = "crash-points")]
    mod walk;
}
