//! What must not compile: nothing but the gate makes a `Released`, and nobody reads an entity before it is released.

#[test]
fn nothing_but_the_gate_makes_or_opens_what_is_released() {
    let tests = trybuild::TestCases::new();
    tests.compile_fail("tests/sealed/*.rs");
}
