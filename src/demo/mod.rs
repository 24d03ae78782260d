//! The story, played on stand-ins: three cities' hubs and a company's in this process, each with its own store and address, a pod server, a
//! plain broker, and an address that is told of changes. Everything goes over HTTP on loopback, as between real cities.

mod cities;
mod company;
mod stage;
mod story;

use crate::commands::{Exit, GOOD, NO};
use std::time::Instant;
use waybill_model::Problem;

/// Plays the story. With `script` it ends with an exit code; else it stays up until Ctrl-C.
///
/// # Errors
/// When the stage cannot be set: no port on loopback, no room for files.
pub async fn play(script: bool) -> Result<Exit, Problem> {
    // The hubs' own log would drown the story; RUST_LOG shows it.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let began = Instant::now();
    let mut stage = stage::Stage::set().await?;
    let outcome = story::tell(&mut stage, began).await;
    match &outcome {
        Ok(()) => println!("\nThe story is told, in {:.1} s.", began.elapsed().as_secs_f64()),
        Err(what) => println!("\nThe story stopped: {what}"),
    }
    if !script && outcome.is_ok() {
        stage.say_where();
        println!("Ctrl-C ends it.");
        let _ = tokio::signal::ctrl_c().await;
    }
    stage.strike().await;
    Ok(if outcome.is_ok() { GOOD } else { NO })
}
