//! Tests of the policy crate, in one binary.

mod it {
    mod decide;
    mod explain;
    mod laws;
    mod many;
    mod parsing;
    mod purposes;
    mod suite;
}
