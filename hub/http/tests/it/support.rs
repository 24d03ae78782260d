//! Servers, raw sockets and tokens for the tests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waybill_http::{
    Allow, Authenticator, Client, ClientConfig, Guard, Method, Request, Response, Router, ServerConfig, ServerHandle, serve,
};
use waybill_model::{Clock, DateTime, Iri, Problem};

/// The time at which the tests' clock stands.
pub const NOW: i64 = 1_800_000_000;

pub fn clock() -> Clock {
    Clock::fixed(DateTime::from_seconds(NOW))
}
pub fn iri(text: &str) -> Iri {
    Iri::new(text).unwrap()
}
pub fn config() -> ServerConfig {
    ServerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Says back what the request was.
pub async fn echo(request: Request) -> Result<Response, Problem> {
    Ok(Response::json(
        200,
        &json!({
            "method": request.method.as_str(),
            "route": &*request.route,
            "id": request.param("id"),
            "query": request.query.iter().collect::<Vec<_>>(),
            "body": request.body.len(),
            "caller": format!("{:?}", request.caller.principal),
            "purpose": request.caller.purpose.as_ref().map(Iri::as_str),
            "credential": format!("{:?}", request.caller.credential),
            "client": request.client.to_string(),
            "base": &*request.base_url,
        }),
    ))
}

pub fn echo_router() -> Router {
    Router::new().route(Method::GET, "/echo/{id}", echo).route(Method::POST, "/echo", echo).route(Method::GET, "/echo", echo)
}

pub async fn started(config: ServerConfig, router: Router, authenticator: Authenticator) -> ServerHandle {
    serve(config, router, authenticator, clock()).await.unwrap()
}

/// An answer read from a raw socket.
#[derive(Debug)]
pub struct Raw {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Raw {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, v) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| v.trim())
        })
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends `text` and reads one answer; the connection is closed by asking so.
pub async fn raw(addr: SocketAddr, text: &str) -> Raw {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    read_answer(&mut stream).await
}

/// Reads until the other side closes, with an outer limit so that a hanging test fails.
pub async fn read_answer(stream: &mut TcpStream) -> Raw {
    let mut all = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut all)).await.expect("the server closes").ok();
    parse(&all)
}

pub fn parse(all: &[u8]) -> Raw {
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(all)));
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Raw { status, head, body: all[end + 4..].to_vec() }
}

/// One `GET` with extra header lines.
pub async fn get(addr: SocketAddr, path: &str, lines: &[&str]) -> Raw {
    request(addr, "GET", path, lines, "").await
}

pub async fn request(addr: SocketAddr, method: &str, path: &str, lines: &[&str], body: &str) -> Raw {
    let extra: String = lines.iter().flat_map(|l| [l, "\r\n"]).collect();
    let host = if lines.iter().any(|l| l.to_ascii_lowercase().starts_with("host:")) { String::new() } else { format!("Host: {addr}\r\n") };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    raw(addr, &format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{extra}{length}\r\n{body}")).await
}

/// A client that may call this machine.
pub fn local_client() -> Client {
    local_client_with(|_| ())
}
pub fn local_client_with(change: impl FnOnce(&mut ClientConfig)) -> Client {
    let allow: Allow = "127.0.0.0/8".parse().unwrap();
    let mut config = ClientConfig::new(clock()).guard(Guard::allowing([allow]));
    change(&mut config);
    Client::new(config).unwrap()
}

/// A key that signs tokens in tests.
pub struct Signer {
    pub key: jsonwebtoken::EncodingKey,
    pub alg: jsonwebtoken::Algorithm,
    pub jwk: Value,
}

impl Signer {
    pub fn es256(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let point = pair.public_key_raw();
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&point[1..33]), "y": b64(&point[33..65])});
        Self { key: jsonwebtoken::EncodingKey::from_ec_der(&pair.serialize_der()), alg: jsonwebtoken::Algorithm::ES256, jwk }
    }
    pub fn ed25519(kid: &str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(pair.public_key_raw())});
        Self { key: jsonwebtoken::EncodingKey::from_ed_der(&pair.serialize_der()), alg: jsonwebtoken::Algorithm::EdDSA, jwk }
    }
    pub fn rsa(kid: &str, pem: &str, alg: jsonwebtoken::Algorithm) -> Self {
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let mut jwk = serde_json::to_value(jsonwebtoken::jwk::Jwk::from_encoding_key(&key, alg).unwrap()).unwrap();
        jwk["kid"] = kid.into();
        Self { key, alg, jwk }
    }
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(|_| (), claims)
    }
    pub fn token_with(&self, change: impl FnOnce(&mut jsonwebtoken::Header), claims: &Value) -> String {
        let mut header = jsonwebtoken::Header::new(self.alg);
        header.kid = self.jwk["kid"].as_str().map(str::to_owned);
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
