//! Runs one hub until it is told to stop.

use super::assemble::{assemble, open_store};
use crate::commands::{Exit, GOOD};
use crate::config::{self, Config};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use waybill_model::{Clock, Problem, ProblemCode};

/// Runs until SIGTERM or SIGINT; reads `files` again on SIGHUP. A bad file leaves the old configuration in force and says so.
pub async fn until_told(config: Config, files: Vec<PathBuf>) -> Result<Exit, Problem> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .init();
    let clock = clock();
    let on = |kind| signal(kind).map_err(|e| Problem::new(ProblemCode("internal-error"), 500, "Signals cannot be heard", e.to_string()));
    let (mut term, mut int, mut hup) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?, on(SignalKind::hangup())?);
    let store = open_store(&config.hub.data, &clock)?;
    let running = assemble(&config, store, clock).await?;
    tracing::info!(listen = %config.hub.listen, base = running.base_url, "the hub is ready");
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => match reload(&files) {
                Ok(Some(fresh)) => match running.reload(&fresh).await {
                    Ok(()) => tracing::info!("the configuration was read again"),
                    Err(problem) => tracing::error!(code = problem.code, "the old configuration stays: {}", problem.detail),
                },
                Ok(None) => tracing::info!("there is no file to read again"),
                Err(count) => tracing::error!("the old configuration stays: the new one has {count} errors; run `waybill lint`"),
            },
        }
    }
    tracing::info!("stopping");
    running.stop().await;
    Ok(GOOD)
}

/// The system's time. Test builds (feature `moved-clock`) can be started ahead of it, so that an hour or half a year need not be waited for.
fn clock() -> Clock {
    let clock = Clock::system();
    #[cfg(feature = "moved-clock")]
    if let Some(seconds) = std::env::var("WAYBILL_CLOCK_AHEAD").ok().and_then(|text| text.parse::<i64>().ok()) {
        clock.advance_micros(seconds * 1_000_000);
    }
    clock
}

fn reload(files: &[PathBuf]) -> Result<Option<Config>, usize> {
    if files.is_empty() {
        return Ok(None);
    }
    let loaded = config::load(files);
    match loaded.config {
        Some(config) if loaded.findings.iter().all(|f| f.level != config::finding::Level::Error) => Ok(Some(config)),
        _ => Err(loaded.findings.len()),
    }
}
