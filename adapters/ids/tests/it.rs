//! Tests of the IDS codec: fixtures, the law on generated policies, and the published examples.

mod it {
    mod bad_input;
    mod fixtures;
    mod generated;
    mod law;
    mod published;
    mod schema;
    mod support;
    mod twins;
}
