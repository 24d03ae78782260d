//! Peers from Maven Central: a pom of ours names what belongs to one, and Maven makes a class path of it.

use crate::peer::PeerStatus;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program for the Java machine.
struct Maven {
    /// The name under which its tests ask for it; its folder below `target/peers` too.
    name: &'static str,
    /// What belongs to it.
    pom: &'static str,
    /// Whether it is a connector that our companion goes into.
    companion: bool,
    /// Whether it can be had wherever Maven Central can. Not every mirror has the kits; their lack is told, and fails nothing.
    required: bool,
}

const MAVEN: [Maven; 4] = [
    Maven { name: "edc-0.14.1", pom: include_str!("../peers/edc-0.14.1/pom.xml"), companion: true, required: true },
    Maven { name: "edc-0.15.1", pom: include_str!("../peers/edc-0.15.1/pom.xml"), companion: true, required: true },
    Maven { name: "dsp-tck", pom: include_str!("../peers/dsp-tck/pom.xml"), companion: false, required: false },
    Maven { name: "dps-tck", pom: include_str!("../peers/dps-tck/pom.xml"), companion: false, required: false },
];

/// What makes a connector fit for tests, and the file in which it is looked for.
const COMPANION: &str = include_str!("../peers/Companion.java");
const SERVICES: &str = "META-INF/services/org.eclipse.edc.spi.system.ServiceExtension";

/// The file in a peer's folder that holds its class path.
const CLASS_PATH: &str = "classpath";
/// The file that says what the folder was made from. Written last.
const STAMP: &str = "stamp";

/// Sets up what is missing, or takes the copy that the environment names.
pub fn setup(home: &Path) -> Vec<PeerStatus> {
    MAVEN
        .iter()
        .map(|peer| {
            let mut status = PeerStatus { name: peer.name.to_owned(), ready: Err(String::new()), required: peer.required };
            status.ready = match std::env::var_os(status.variable()).map(PathBuf::from) {
                Some(own) if whole(&own) => Ok(own),
                Some(own) => Err(format!("{} holds no {CLASS_PATH} whose parts are all there", own.display())),
                None => one(&home.join(peer.name), peer),
            };
            status
        })
        .collect()
}

fn one(folder: &Path, peer: &Maven) -> Result<PathBuf, String> {
    let stamp = format!("{}{}", peer.pom, if peer.companion { COMPANION } else { "" });
    if std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|found| found == stamp) && whole(folder) {
        return Ok(folder.to_owned());
    }
    ran(Command::new("java").arg("-version"), "java")?;
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (pom, jars) = (folder.join("pom.xml"), folder.join("jars"));
    write(&pom, peer.pom)?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "dependency:build-classpath", "-DincludeScope=runtime", "--file"]).arg(&pom);
    maven.arg(format!("-Dmdep.outputFile={}", jars.display())).current_dir(folder);
    ran(&mut maven, "mvn")?;
    let mut path = std::fs::read_to_string(&jars).map_err(|e| format!("{}: {e}", jars.display()))?.trim().to_owned();
    if peer.companion {
        path = format!("{}:{path}", companion(folder, &path)?.display());
    }
    write(&folder.join(CLASS_PATH), &path)?;
    if !whole(folder) {
        return Err("Maven names files that are not there".to_owned());
    }
    write(&folder.join(STAMP), &stamp)?;
    Ok(folder.to_owned())
}

/// Compiles the companion against a connector. The folder of its classes.
fn companion(folder: &Path, path: &str) -> Result<PathBuf, String> {
    let (source, classes) = (folder.join("Companion.java"), folder.join("classes"));
    write(&source, COMPANION)?;
    let services = classes.join(SERVICES);
    std::fs::create_dir_all(services.parent().unwrap_or(&classes)).map_err(|e| format!("{}: {e}", services.display()))?;
    ran(Command::new("javac").args(["-proc:none", "-nowarn", "-cp", path, "-d"]).arg(&classes).arg(&source), "javac")?;
    write(&services, "waybill.peer.Companion\n")?;
    Ok(classes)
}

/// Whether everything that a folder's class path names is there.
fn whole(folder: &Path) -> bool {
    let Ok(path) = std::fs::read_to_string(folder.join(CLASS_PATH)) else { return false };
    let path = path.trim();
    !path.is_empty() && path.split(':').all(|part| folder.join(part).exists())
}

/// Runs a tool and says what it said when it did not go well.
fn ran(command: &mut Command, tool: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{tool} cannot be run: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let fault = said.lines().find(|l| l.contains("ERROR") || l.contains("error:")).or(said.lines().last()).unwrap_or("it failed");
    // Maven begins with the goal and ends with where it looked and where to read on; what is missing stands between.
    let fault = [" -> ", " in central", " was not found in"].iter().fold(fault, |text, end| text.split(end).next().unwrap_or(text));
    let fault = fault.rsplit(": ").next().unwrap_or(fault).trim_start_matches("Could not find artifact ");
    Err(format!("{tool} failed at {fault}"))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|e| format!("{}: {e}", file.display()))
}
