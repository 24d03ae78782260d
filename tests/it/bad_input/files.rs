//! A data folder that is not as it should be: said at start with a code, and nothing in it is touched.

use crate::it::town::{CITY_B, JSON, METER, OPERATOR, Town, codes, meter};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `waybill run` on the folder, which must end by itself.
fn run_on(folder: &Path) -> Output {
    let addr = crate::it::town::free();
    let child = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .args(["run", "--listen", &addr.to_string(), "--data", "data"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("waybill run");
    let id = child.id().to_string();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output()));
    if let Ok(output) = told.recv_timeout(std::time::Duration::from_mins(1)) {
        return output.expect("its output");
    }
    let _ = Command::new("kill").args(["-KILL", &id]).status();
    panic!("the hub runs on a store that it cannot use")
}

/// It must say `code` and leave the file as it is.
fn refuses(folder: &Path, code: &str, what: &str) {
    let file = folder.join("data/waybill.db");
    let before = std::fs::read(&file).expect("the database");
    let output = run_on(folder);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!matches!(output.status.code(), Some(0) | None), "{what}: {:?}\n{said}", output.status);
    assert!(codes().contains(code) && said.contains(code), "{what}: `{code}` is not in\n{said}");
    assert!(!said.contains("panicked"), "{what}:\n{said}");
    assert!(std::fs::read(&file).expect("the database") == before, "{what}: the file was changed");
}

/// The folder of a hub that was stopped, with a hundred meters in it.
fn used() -> tempfile::TempDir {
    let town = Town::with_meter("");
    let batch: Vec<_> = (0..100).map(|n| meter(&format!("urn:ngsi-ld:SmartMeter:{n}"))).collect();
    let made = town.call("POST", "/ngsi-ld/v1/entityOperations/create", OPERATOR, &[("Content-Type", JSON)], serde_json::json!(batch).to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let air = serde_json::json!({ "id": "urn:ngsi-ld:AirQualityObserved:square", "type": "AirQualityObserved", "NO2": { "type": "Property", "value": 22.5 } });
    let made = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], air.to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    town.stop()
}

#[test]
fn a_damaged_database_is_refused_by_name_and_left_alone() {
    let folder = used();
    let file = folder.path().join("data/waybill.db");
    let good = std::fs::read(&file).expect("the database");
    let spoil = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        std::fs::write(&file, bytes).expect("written");
        refuses(folder.path(), "store-damaged", name);
    };
    spoil("no database at all", &|b| *b = b"this is a letter, not a database. ".repeat(200));
    spoil("another program's head", &|b| b[..16].copy_from_slice(b"another format 9"));
    spoil("another program's database", &|b| b[68..72].copy_from_slice(&[1, 2, 3, 4]));
    spoil("its first page is noise", &|b| b[100..4096].fill(0xa5));
    spoil("only its first page is left", &|b| b.truncate(4096));
    // As it was, it is taken again.
    std::fs::write(&file, &good).expect("written");
    let again = Command::new(env!("CARGO_BIN_EXE_waybill")).args(["backup", "copy", "--data", "data"]).current_dir(folder.path()).output().expect("backup");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let folder = used();
    let file = folder.path().join("data/waybill.db");
    let mut bytes = std::fs::read(&file).expect("the database");
    // `user_version` stands big-endian at byte 60 of the head of every SQLite file.
    let version = u32::from_be_bytes(bytes[60..64].try_into().expect("four bytes"));
    assert!((1..1000).contains(&version), "{version}");
    bytes[60..64].copy_from_slice(&(version + 1).to_be_bytes());
    std::fs::write(&file, bytes).expect("written");
    refuses(folder.path(), "store-too-new", "one version ahead");
}

#[test]
fn two_hubs_do_not_share_a_store() {
    let mut town = Town::with_meter("");
    let output = run_on(town.folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("store-in-use"), "{said}");
    assert!(town.lives(), "the first goes on");
    town.meter();
}

/// Files of the process cannot grow beyond a limit, as on a disk without room: what does not fit is refused with 507 or 500 and a code,
/// what was there is still read, and after more room was made it is all there.
#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let folder = used();
    let size = std::fs::metadata(folder.path().join("data/waybill.db")).expect("the database").len();
    let blocks = size / 1024 + 1500;
    let town = Town::again(folder, &["bash", "-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
    let open = |town: &Town| {
        let air = town.get("/ngsi-ld/v1/entities/urn:ngsi-ld:AirQualityObserved:square", CITY_B);
        assert_eq!(air.status, 200, "{}", air.text());
        air.text()
    };
    let (before, person) = (open(&town), town.meter());
    let (mut made, mut refused) = (Vec::new(), 0);
    for n in 0..60 {
        let id = format!("urn:ngsi-ld:Blob:{n}");
        let body = serde_json::json!({ "id": id, "type": "Blob", "text": { "type": "Property", "value": "x".repeat(100_000) } });
        let answer = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], body.to_string().as_bytes());
        if answer.status == 201 {
            made.push(id);
            continue;
        }
        let problem = answer.json();
        assert!(matches!(answer.status, 500 | 503 | 507), "{problem}");
        let code = crate::it::town::problem_code(&problem, answer.status, "a write without room");
        assert!(matches!(code.as_str(), "store-full" | "store-failed"), "{problem}");
        refused += 1;
    }
    assert!(refused > 0, "6 MB do not fit into 1.5");
    assert_eq!(open(&town), before, "what is open is still read");
    // What is a person's goes out only with the decision on record, and there is no room for a record.
    let reads = (0..500).map(|_| town.get(&format!("/ngsi-ld/v1/entities/{METER}"), OPERATOR));
    let closed = reads.into_iter().find(|answer| answer.status != 200).expect("the last bit of room is used up");
    assert!(matches!(closed.status, 500 | 507), "{} {}", closed.status, closed.text());
    assert!(!closed.text().contains("412.5"));
    let folder = town.stop();
    let town = Town::again(folder, &[]);
    assert_eq!((open(&town), town.meter()), (before, person), "with room, all is there again");
    for id in &made {
        assert_eq!(town.get(&format!("/ngsi-ld/v1/entities/{id}"), OPERATOR).status, 200, "what was acknowledged is there: {id}");
    }
    let held = town.get("/ngsi-ld/v1/entities?type=Blob&limit=0&count=true", OPERATOR);
    assert_eq!(held.header("ngsild-results-count"), Some(made.len().to_string().as_str()), "what was refused is not");
    assert_eq!(town.get(&format!("/ngsi-ld/v1/entities/{METER}"), OPERATOR).status, 200);
}
