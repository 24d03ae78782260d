//! Requests written by hand, a receiver of notifications, and a client that holds a key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}
impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().filter_map(|l| l.split_once(": ")).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }
}

/// Sends one request on a connection of its own.
pub async fn call(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').map_or((rest, String::from("/")), |(h, p)| (h, format!("/{p}")));
    let mut stream = TcpStream::connect(host).await.unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        for part in [*name, ": ", *value, "\r\n"] {
            text.push_str(part);
        }
    }
    text.push_str("\r\n");
    text.push_str(body);
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let at = all.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer with a head");
    let head = String::from_utf8(all[..at].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: all[at + 4..].to_vec() }
}

/// Takes notifications: each as its head and its JSON body.
pub async fn receiver() -> (String, mpsc::UnboundedReceiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/inbox", listener.local_addr().unwrap());
    let (send, receive) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut all = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                let n = stream.read(&mut chunk).await.unwrap();
                all.extend_from_slice(&chunk[..n]);
                let text = String::from_utf8_lossy(&all).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                if let Ok(value) = serde_json::from_str::<Value>(body) {
                    let _ = send.send((head.to_owned(), value));
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    break;
                }
            }
        }
    });
    (url, receive)
}

/// A program with a key of its own.
pub struct Client {
    key: SigningKey,
    next: AtomicU64,
}

impl Client {
    pub fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_slice(&[seed; 32]).unwrap(), next: AtomicU64::new(0) }
    }

    /// A proof for one call.
    pub fn proof(&self, method: &str, url: &str, token: Option<&str>) -> String {
        let point = self.key.verifying_key().to_sec1_point(false);
        let bytes = point.as_bytes();
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": B64.encode(&bytes[1..33]), "y": B64.encode(&bytes[33..65])});
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let id = format!("{}-{}", B64.encode(&bytes[1..9]), self.next.fetch_add(1, Ordering::SeqCst));
        let mut claims = json!({"htm": method, "htu": url, "iat": now, "jti": id});
        if let Some(token) = token {
            claims["ath"] = B64.encode(Sha256::digest(token.as_bytes())).into();
        }
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let signed = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", B64.encode(signature.to_bytes()))
    }

    /// Signs in with client credentials.
    pub async fn token(&self, pod: &str, id: &str, secret: &str) -> Answer {
        let url = format!("{pod}.oidc/token");
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        let proof = self.proof("POST", &url, None);
        let headers =
            [("authorization", format!("Basic {basic}")), ("dpop", proof), ("content-type", "application/x-www-form-urlencoded".into())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        call("POST", &url, &headers, "grant_type=client_credentials&scope=webid").await
    }

    /// A call with the token and a fresh proof.
    pub async fn call(&self, token: &str, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (proof, authorization) = (self.proof(method, url, Some(token)), format!("DPoP {token}"));
        let mut all = vec![("authorization", authorization.as_str()), ("dpop", proof.as_str())];
        all.extend_from_slice(headers);
        call(method, url, &all, body).await
    }
}
