//! End-to-end tests of the program.

mod it {
    mod cli;
    mod readme;
}
