//! A little server that hands notifications to the hub's webhooks and keeps them.

use super::world::{hooks, url};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;
use waybill_solid::Webhooks;

/// A call: the webhook's name, `Authorization`, `DPoP`, the body.
pub type Call = (String, Option<String>, Option<String>, Vec<u8>);

/// The server.
pub struct Receiver {
    pub base: Url,
    pub calls: Arc<Mutex<Vec<Call>>>,
    pub hooks: Arc<Webhooks>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = url(&format!("http://{}/solid/", listener.local_addr().expect("an address")));
        let (hooks, calls) = (hooks(Some(base.clone())), Arc::new(Mutex::new(Vec::new())));
        let (for_task, kept) = (hooks.clone(), calls.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (hooks, kept) = (for_task.clone(), kept.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let (head, body) = loop {
                        let mut part = [0; 4096];
                        let read = stream.read(&mut part).await.unwrap_or(0);
                        bytes.extend_from_slice(&part[..read]);
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        let Some((head, body)) = text.split_once("\r\n\r\n") else {
                            assert_ne!(read, 0, "a request that ends early");
                            continue;
                        };
                        let wanted: usize = header_of(head, "content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
                        if body.len() >= wanted || read == 0 {
                            break (head.to_owned(), body.as_bytes().to_vec());
                        }
                    };
                    let name = head.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
                    let (authorization, proof) = (header_of(&head, "authorization"), header_of(&head, "dpop"));
                    let outcome = hooks.receive(&name, authorization.as_deref(), proof.as_deref(), &body).await;
                    if outcome.is_ok() {
                        kept.lock().expect("calls").push((name, authorization, proof, body));
                    }
                    let status = if outcome.is_ok() { "204 No Content" } else { "401 Unauthorized" };
                    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await;
                });
            }
        });
        Self { base, calls, hooks }
    }
}

fn header_of(head: &str, name: &str) -> Option<String> {
    head.lines().filter_map(|l| l.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim().to_owned())
}
