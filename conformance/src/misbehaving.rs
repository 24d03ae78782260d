//! A host that misbehaves on purpose, in one way at a time.

use crate::LOOPBACK;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the host does to whoever calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Takes the connection and never says a word.
    Silence,
    /// Answers the head and then one byte a second.
    Drip,
    /// Answers something that is not HTTP.
    NotHttp,
    /// Answers 200 with this media type and body.
    Body(String, Vec<u8>),
    /// Answers 200 and sends bytes without end.
    Endless,
    /// Announces 1,000 bytes, sends ten and hangs up.
    Truncated,
    /// Redirects to this address.
    Redirect(String),
    /// Answers this status with an empty body.
    Status(u16),
}

/// The host.
pub struct MisbehavingHost {
    addr: SocketAddr,
    calls: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl MisbehavingHost {
    /// Starts it on loopback.
    ///
    /// # Errors
    /// When no port can be taken.
    pub async fn start(fault: Fault) -> std::io::Result<Self> {
        Self::start_with(|_| fault).await
    }

    /// The same with a fault that has the host's own address in it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(fault: impl FnOnce(SocketAddr) -> Fault) -> std::io::Result<Self> {
        let listener = TcpListener::bind(LOOPBACK).await?;
        let addr = listener.local_addr()?;
        let fault = fault(addr);
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                open.spawn(answer(stream, fault.clone()));
            }
        });
        Ok(Self { addr, calls, task })
    }
    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
    /// `http://` and its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
    /// How many connections it took.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}
impl Drop for MisbehavingHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream, fault: Fault) {
    // Read what came, so that hanging up is not taken for a reset. The caller may go away at any point: that is its right.
    let mut first = [0; 8192];
    let _ = stream.read(&mut first).await;
    let head = |line: &str, more: &str| format!("HTTP/1.1 {line}\r\nconnection: close\r\n{more}\r\n").into_bytes();
    let _ = match fault {
        Fault::Silence => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            Ok(())
        }
        Fault::Drip => drip(stream, head("200 OK", "content-type: application/json\r\ncontent-length: 100000\r\n")).await,
        Fault::NotHttp => stream.write_all(b"\x00\x01 this is no answer\n").await,
        Fault::Body(media, body) => {
            let mut all = head("200 OK", &format!("content-type: {media}\r\ncontent-length: {}\r\n", body.len()));
            all.extend_from_slice(&body);
            stream.write_all(&all).await
        }
        Fault::Endless => endless(stream, head("200 OK", "content-type: application/json\r\n")).await,
        Fault::Truncated => {
            let mut all = head("200 OK", "content-type: application/json\r\ncontent-length: 1000\r\n");
            all.extend_from_slice(b"{\"a\": [1,2");
            stream.write_all(&all).await
        }
        Fault::Redirect(to) => stream.write_all(&head("302 Found", &format!("location: {to}\r\ncontent-length: 0\r\n"))).await,
        Fault::Status(code) => stream.write_all(&head(&format!("{code} -"), "content-length: 0\r\n")).await,
    };
}

async fn drip(mut stream: TcpStream, head: Vec<u8>) -> std::io::Result<()> {
    stream.write_all(&head).await?;
    loop {
        stream.write_all(b" ").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn endless(mut stream: TcpStream, head: Vec<u8>) -> std::io::Result<()> {
    stream.write_all(&head).await?;
    let chunk = vec![b'['; 16384];
    loop {
        stream.write_all(&chunk).await?;
    }
}
