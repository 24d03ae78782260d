//! The workers: what the hub does when nobody asks.

use crate::hub::Hub;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use waybill_model::Problem;

/// How long a worker rests when nothing rings. The clock may be moved by hand, so no worker sleeps until a due time.
const REST: Duration = Duration::from_millis(100);

/// The running workers. Dropping this ends them at once; [`Workers::stop`] lets them finish what they hold.
#[derive(Debug)]
#[must_use = "dropping the workers ends them"]
pub struct Workers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Workers {
    /// Asks the workers to end and waits until they have.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Hub {
    /// Starts the workers.
    pub fn start(&self) -> Workers {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        macro_rules! worker {
            ($name:literal, $step:ident) => {
                let hub = self.clone();
                tasks.spawn(rounds($name, hub.clone(), stopped.clone(), move || {
                    let hub = hub.clone();
                    async move { hub.$step().await }
                }));
            };
        }
        worker!("fan-out", fan_out);
        worker!("deliver", deliver_due);
        worker!("windows", close_windows);
        worker!("inbox", start_inbox);
        worker!("notices", start_notices);
        worker!("pods", change_pods);
        worker!("ends", end_grants);
        worker!("heartbeats", beat);
        worker!("journal", tend_journal);
        worker!("sweep", sweep);
        Workers { tasks, stop }
    }
}

/// Takes steps until told to stop: at once again while a step found work, else after a ring or a rest.
async fn rounds<F>(name: &'static str, hub: Hub, mut stopped: watch::Receiver<bool>, step: impl Fn() -> F)
where
    F: Future<Output = Result<usize, Problem>> + Send,
{
    while !*stopped.borrow() {
        let did = match step().await {
            Ok(did) => did,
            Err(problem) => {
                tracing::warn!(worker = name, code = problem.code, "{}", problem.detail);
                0
            }
        };
        if did > 0 {
            tokio::task::yield_now().await;
            if name != "deliver" {
                continue;
            }
        }
        tokio::select! {
            () = hub.inner.bell.notified() => {}
            () = tokio::time::sleep(REST) => {}
            _ = stopped.changed() => {}
        }
    }
}
