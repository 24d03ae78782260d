//! A line between two programs that a test can cut and mend: the partition of a network, on loopback.

use crate::LOOPBACK;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to a target until it is cut.
pub struct Relay {
    addr: SocketAddr,
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    /// A line to `target`.
    ///
    /// # Errors
    /// When no port on loopback can be taken.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(LOOPBACK).await?;
        let addr = listener.local_addr()?;
        let (open, state) = watch::channel(true);
        let task = tokio::spawn(pass(listener, target, state));
        Ok(Self { addr, open, task })
    }
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
    /// Cuts it: open connections break, new ones are closed at once.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }
    /// Mends it: new connections pass again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}
impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(listener: TcpListener, target: SocketAddr, state: watch::Receiver<bool>) {
    let mut lines = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        if !*state.borrow() {
            continue;
        }
        let mut state = state.clone();
        lines.spawn(async move {
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = state.wait_for(|open| !open) => {}
            }
        });
        while lines.try_join_next().is_some() {}
    }
}
