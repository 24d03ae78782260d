//! A server on loopback and a plain HTTP/1.1 caller that sends exactly what a test says.

use crate::memory::Memory;
use serde_json::Value;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use waybill_http::{Authenticator, ServerConfig, ServerHandle, serve};
use waybill_model::{Clock, DateTime};

pub(crate) const NOW: &str = "2026-11-24T07:00:00Z";

pub(crate) struct World {
    pub hub: Arc<Memory>,
    pub server: ServerHandle,
    pub clock: Clock,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
    /// The same, checked to have this status.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = Clock::fixed(DateTime::parse(NOW).expect("a time"));
        let hub = Arc::new(Memory::new(clock.clone()));
        let router = waybill_ngsi_ld::routes(hub.clone());
        let config = ServerConfig::new(([127, 0, 0, 1], 0).into());
        let server = serve(config, router, Authenticator::closed().with_loopback_operator(), clock.clone()).await.expect("a server");
        Self { hub, server, clock }
    }

    /// Sends a request with these headers; a body gets a Content-Length.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.server.addr);
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(body) = body {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        self.raw(&[head.as_bytes(), body.unwrap_or_default()].concat()).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Reply {
        let mut socket = tokio::net::TcpStream::connect(self.server.addr).await.expect("a connection");
        socket.write_all(bytes).await.expect("sent");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("an answer");
        let split = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..split].to_vec()).expect("a text head");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).expect("a status");
        let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Reply { status, headers, body: answer[split + 4..].to_vec() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", &format!("/ngsi-ld/v1{}", escaped(path)), &[], None).await
    }
    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Reply {
        self.send("GET", &format!("/ngsi-ld/v1{}", escaped(path)), &[("Accept", accept)], None).await
    }
    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, &format!("/ngsi-ld/v1{path}"), &[("Content-Type", "application/json")], Some(body.to_string().as_bytes())).await
    }
    pub(crate) async fn ld(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, &format!("/ngsi-ld/v1{path}"), &[("Content-Type", "application/ld+json")], Some(body.to_string().as_bytes())).await
    }
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", &format!("/ngsi-ld/v1{path}"), &[], None).await
    }
}

/// Escapes what may not stand in an address as it is.
fn escaped(path: &str) -> String {
    let bad = |c: char| "<>\"|[]{} ^`\\".contains(c);
    path.chars().map(|c| if bad(c) { format!("%{:02X}", c as u32) } else { c.to_string() }).collect()
}
