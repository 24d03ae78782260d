//! A small HTTP/1.1 client for plain `http://` addresses: one connection a call, with a deadline.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(5);
const LARGEST_ANSWER: usize = 4 << 20;

pub(crate) struct Answer {
    pub status: u16,
    pub body: Bytes,
}

/// Sends and waits for the whole answer.
pub(crate) async fn send(method: Method, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
    match tokio::time::timeout(DEADLINE, exchange(method, url, headers, body)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
    }
}

async fn exchange(method: Method, url: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
    let uri: Uri = url.parse().map_err(|_| "not an address".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("a stand-in calls http:// only".to_owned());
    }
    let host = uri.host().ok_or("no host")?;
    let stream = tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(80)))
        .await
        .map_err(|e| format!("cannot connect: {e}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| format!("cannot speak: {e}"))?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |p| p.as_str()))
        .header("host", uri.authority().map_or("", |a| a.as_str()))
        .body(Full::new(body))
        .map_err(|e| e.to_string())?;
    request.headers_mut().extend(headers);
    let outcome = async {
        let response = sender.send_request(request).await.map_err(|e| format!("no answer: {e}"))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await.map_err(|e| format!("cut answer: {e}"))?;
        Ok(Answer { status, body: body.to_bytes() })
    }
    .await;
    connection.abort();
    outcome
}
