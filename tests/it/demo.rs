//! `waybill demo --script`, as the README's first command plays it, but to its end.

use std::process::Command;

#[test]
fn the_whole_story_is_told_in_order_and_ends_well() {
    let done = Command::new(env!("CARGO_BIN_EXE_waybill")).args(["demo", "--script"]).env_remove("RUST_LOG").output().expect("the program starts");
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{out}\n{}", String::from_utf8_lossy(&done.stderr));
    // What each step comes to, in order.
    let told = [
        "1. ", "no-grant",
        "2. ", "500.0 W",
        "3. ", "`public-task`",
        "4. ", "tampered, in quarantine",
        "5. ", "by the envelope that travelled",
        "6. ", "One meter of three",
        "7. A company's connector", "refused, and told why: offer-weakened", "agreed after", "two meters of three, 400 W each", "its feed",
        "the next page has one meter, and after", "the feed a tombstone", "the deletion was notified and taken",
        "both transfers are suspended, and the token opens nothing", "with a fresh token, and his meter is on the page",
        "8. ", "not bounded: none",
        "9. ", "its gate is closed", "takes effect there, once",
        "10. ", "Four chains hold",
        "The story is told",
    ];
    let mut at = 0;
    for what in told {
        at += out[at..].find(what).unwrap_or_else(|| panic!("`{what}` is told after what comes before it\n{out}"));
    }
    assert!(out.contains("A company joins in step 7, with a hub of ours as its connector"), "who plays the company is said at the start\n{out}");
}
