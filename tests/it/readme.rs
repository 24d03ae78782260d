//! The README's walk by hand, run as it stands there: with curl, against the program.

use std::process::Command;

/// The shell blocks of the chapter with this heading.
fn walk(heading: &str) -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let from = text.find(&format!("\n## {heading}\n")).expect("the chapter") + 4;
    let to = from + text[from..].find("\n## ").expect("the end of the chapter");
    let mut out = String::new();
    for block in text[from..to].split("```sh\n").skip(1) {
        out.push_str(block.split("```").next().expect("a block"));
    }
    out
}

#[test]
fn the_walk_by_hand_does_what_the_readme_says() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_waybill"));
    let script = walk("A hub by hand").replace("1026", &port.to_string()).replace("$PWD/target/release", &program.parent().expect("a folder").display().to_string());
    assert!(script.contains("waybill run city.toml"), "the walk starts the hub");
    // Each answer on lines of its own, and the first command that fails ends the walk.
    let script = format!("set -e\ntrap 'kill %1 2>/dev/null || true' EXIT\n{}", script.replace("curl -s", "echo; curl -s"));
    let done = Command::new("bash").arg("-c").arg(&script).current_dir(folder.path()).output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "the walk ends well\n{out}\n{err}");
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("`{what}` is shown\n{out}\n{err}"));
    let (air, closed, granted) = (at("\"NO2\""), at("entity-not-found"), at("\"value\":400"));
    assert!(air < closed && closed < granted, "open, closed, granted\n{out}");
    let rest = &out[granted..];
    for what in ["[4.375,50.825]", "/env/", "valid", "entity-not-found", "notBounded", "\"verdict\":\"holds\""] {
        assert!(rest.contains(what), "`{what}` follows the grant\n{out}\n{err}");
    }
    let shown = &out[..out.find("withdrawal").unwrap_or(out.len())];
    assert!(!shown.contains("412.5"), "the exact value is never shown to city B\n{shown}");
}

#[test]
fn the_connector_by_hand_does_what_the_readme_says() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_waybill")).parent().expect("a folder").display().to_string();
    let script = walk("A connector by hand").replace("1026", &free()).replace("1027", &free());
    let script = format!("set -e\nexport PATH={program}:$PATH\ntrap 'kill %1 %2 2>/dev/null || true' EXIT\n{}", script.replace("curl -s", "echo >&2; curl -s"));
    let done = Command::new("timeout").args(["120", "bash", "-c", &script]).current_dir(folder.path()).output().expect("bash");
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "the chapter ends well\n{out}\n{err}");
    let at = |what: &str| out.find(what).unwrap_or_else(|| panic!("`{what}` is shown\n{out}\n{err}"));
    let (catalog, agreement, data, over) = (at("\"Catalog\""), at("\"ContractAgreement\""), at("\"value\":400"), at("nobody-left"));
    assert!(catalog < agreement && agreement < data && data < over, "catalogue, agreement, data, end\n{out}");
    assert!(!out[catalog..at("[{\"id\"")].contains("anna"), "neither catalogue nor agreement names a person\n{out}");
    let page = &out[data..over];
    assert!(!page.contains("ben") && !out[agreement..].contains("412.5"), "nothing of who did not agree, and nothing exact\n{page}");
}
