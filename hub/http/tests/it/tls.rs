//! TLS, with certificates made for the test.

use crate::support::*;
use std::path::Path;
use waybill_http::{Allow, Authenticator, CallErrorKind, Client, ClientConfig, Guard, Method, OutRequest, Response, Router, ServerTls};

struct Pair {
    certificate: String,
    key: String,
}

fn pair(name: &str) -> Pair {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn write(dir: &Path, pair: &Pair) -> (std::path::PathBuf, std::path::PathBuf) {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, &pair.certificate).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    (certificate, key)
}

fn trusting(pair: &Pair, port: u16) -> Client {
    let allow: Allow = format!("localhost:{port}").parse().unwrap();
    let mut config = ClientConfig::new(clock()).guard(Guard::allowing([allow]));
    config.extra_roots = vec![pair.certificate.clone().into_bytes()];
    Client::new(config).unwrap()
}

#[tokio::test]
async fn serves_tls_and_takes_a_new_certificate_while_running() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (pair("localhost"), pair("localhost"));
    let (certificate, key) = write(dir.path(), &old);
    let tls = ServerTls::from_pem_files(&certificate, &key).unwrap();
    let mut config = config();
    config.tls = Some(tls.clone());
    let router = Router::new().route(Method::GET, "/", |r| async move { Ok(Response::text(200, r.base_url.to_string())) });
    let server = started(config, router, Authenticator::closed()).await;
    let port = server.addr.port();
    let url = format!("https://localhost:{port}/");
    let call = |client: Client| {
        let url = url.clone();
        async move { client.send(OutRequest::get(url)).await }
    };
    let answer = call(trusting(&old, port)).await.unwrap();
    assert_eq!(answer.body, format!("https://localhost:{port}"));
    assert!(answer.header("strict-transport-security").is_some());
    assert_eq!(call(trusting(&new, port)).await.unwrap_err().kind, CallErrorKind::Tls, "nobody vouches for this certificate");
    std::fs::write(&key, "no key").unwrap();
    assert!(tls.reload().is_err());
    assert!(call(trusting(&old, port)).await.is_ok(), "what was in use stays in use");
    write(dir.path(), &new);
    tls.reload().unwrap();
    assert!(call(trusting(&new, port)).await.is_ok());
    assert_eq!(call(trusting(&old, port)).await.unwrap_err().kind, CallErrorKind::Tls);
    server.stop().await;
}

#[tokio::test]
async fn plain_text_at_a_tls_socket_is_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = write(dir.path(), &pair("localhost"));
    let mut config = config();
    config.tls = Some(ServerTls::from_pem_files(certificate, key).unwrap());
    let server = started(config, echo_router(), Authenticator::closed()).await;
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /echo/1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await.ok();
    assert!(!String::from_utf8_lossy(&rest).contains("200"));
    server.stop().await;
}

#[test]
fn unusable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (pair("localhost"), pair("localhost"));
    let (certificate, key) = write(dir.path(), &one);
    let missing = dir.path().join("missing.pem");
    let mixed = dir.path().join("other.pem");
    std::fs::write(&mixed, &other.key).unwrap();
    for (certificate, key, expected) in
        [(&missing, &key, "missing.pem"), (&certificate, &missing, "missing.pem"), (&key, &key, "key.pem"), (&certificate, &mixed, "cannot be used")]
    {
        let error = ServerTls::from_pem_files(certificate, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
