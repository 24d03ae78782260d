//! `cargo xtask bench`: the figures, each beside its target.

/// Builds the program as it is shipped (for its size and start), then runs the measuring program.
pub fn run(arguments: &[String]) -> Result<bool, String> {
    let arguments = arguments.strip_prefix(&["--".to_owned()]).unwrap_or(arguments);
    let build = crate::cargo()
        .args(["build", "--release", "--quiet", "--package", "waybill"])
        .status()
        .map_err(|e| format!("cargo build could not start: {e}"))?;
    if !build.success() {
        return Err("the program does not build in release".to_owned());
    }
    crate::cargo()
        .args(["run", "--release", "--quiet", "--package", "waybill-bench", "--"])
        .args(arguments)
        .status()
        .map(|s| s.success())
        .map_err(|e| format!("cargo run could not start: {e}"))
}
