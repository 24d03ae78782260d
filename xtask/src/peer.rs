//! The real peers a test run needs: which are ready, and where their tests find them.

use std::path::PathBuf;

/// One peer and whether it could be set up.
pub struct PeerStatus {
    /// Its short name, e.g. `community-solid-server`.
    pub name: String,
    /// Where it stands, or why it does not.
    pub ready: Result<PathBuf, String>,
    /// Whether its lack is a failure where peers are a must.
    pub required: bool,
}

impl PeerStatus {
    /// Whether it is missing where it must not.
    pub fn fails(&self) -> bool {
        strict() && self.required && self.ready.is_err()
    }

    /// The variable that tells the tests where the peer stands: `WAYBILL_PEER_` and the name in capitals.
    pub fn variable(&self) -> String {
        if self.name == OFFICIAL_DATA {
            return "WAYBILL_SPEC_DATA".to_owned();
        }
        let name: String = self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        format!("WAYBILL_PEER_{name}")
    }
}

const OFFICIAL_DATA: &str = "official-data";

/// Whether a missing peer is a failure here.
fn strict() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true" || v == "1")
}

/// Sets up all peers.
pub fn setup() -> Vec<PeerStatus> {
    let mut all = crate::peers::setup();
    all.push(official_data());
    all
}

/// `cargo xtask peers`.
pub fn run() -> bool {
    let peers = setup();
    for peer in &peers {
        match &peer.ready {
            Ok(path) => println!("ready    {:<26} {}", peer.name, path.display()),
            Err(why) => println!("missing  {:<26} {why}", peer.name),
        }
    }
    !peers.iter().any(PeerStatus::fails)
}

/// The published test material that lies beside the repository; it belongs to its authors and is never copied into it.
fn official_data() -> PeerStatus {
    let place = std::env::var_os("WAYBILL_SPEC_DATA").map_or_else(|| crate::root().join("../shared/data"), PathBuf::from);
    let ready = match place.canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        _ => Err(format!("no folder at {}; name another with WAYBILL_SPEC_DATA", place.display())),
    };
    PeerStatus { name: OFFICIAL_DATA.to_owned(), ready, required: true }
}
