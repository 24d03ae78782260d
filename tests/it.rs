//! End-to-end tests of the program.

#[path = "../adapters/solid/tests/support/css.rs"]
mod css;
mod it {
    mod bad_input;
    mod cli;
    mod dataspace;
    mod edc;
    mod edc_client;
    mod java;
    mod clock;
    mod cut;
    mod pods;
    mod program;
    mod readme;
    mod story;
    mod tck;
    mod tenants;
    mod town;
    #[cfg(feature = "crash-points")]
    mod walk;
}
