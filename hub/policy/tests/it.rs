//! Tests of the policy crate, in one binary.

mod it {
    mod decide;
    mod parsing;
    mod purposes;
}
