//! Tests of the policy crate, in one binary.

mod it {
    mod compare;
    mod compare_laws;
    mod decide;
    mod explain;
    mod laws;
    mod many;
    mod offers;
    mod parsing;
    mod purposes;
    mod suite;
}
