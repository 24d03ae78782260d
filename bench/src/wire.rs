//! Requests over connections that are kept, and the bare hyper server they are compared with.

use crate::limit;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// The hidden mode in which this program is the bare server.
pub const BARE: &str = "serve-bare";
/// No single answer takes so long unless something hangs.
const HANGS: Duration = Duration::from_mins(1);

/// One connection to a server, and who is asking.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    token: Option<String>,
}

impl Connection {
    /// Connects as whoever shows `token`, the whole value of `Authorization`.
    pub async fn open(addr: SocketAddr, token: Option<&str>) -> Result<Self, String> {
        let stream = tokio::net::TcpStream::connect(addr).await.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Self { sender, token: token.map(str::to_owned) })
    }

    /// Sends a request and reads the whole answer.
    pub async fn ask(&mut self, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes), String> {
        limit::check()?;
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(token) = &self.token {
            request = request.header("authorization", token);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|e| e.to_string())?;
        let exchange = async {
            self.sender.ready().await.map_err(|e| e.to_string())?;
            let response = self.sender.send_request(request).await.map_err(|e| e.to_string())?;
            let status = response.status().as_u16();
            Ok((status, response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes()))
        };
        tokio::time::timeout(HANGS, exchange).await.map_err(|_| format!("{method} {path} is not answered"))?
    }

    /// The same, and an error unless the answer has the status `wanted`.
    pub async fn want(&mut self, wanted: u16, method: &str, path: &str, body: Bytes) -> Result<Bytes, String> {
        let (status, answer) = self.ask(method, path, body).await?;
        if status == wanted {
            return Ok(answer);
        }
        let text: String = String::from_utf8_lossy(&answer).chars().take(300).collect();
        Err(format!("{method} {path} was answered {status}, not {wanted}: {text}"))
    }
}

/// Serves the bytes of a file to every request, with nothing around hyper.
pub fn serve_bare(arguments: &[String]) -> ExitCode {
    let [addr, file] = arguments else { return ExitCode::FAILURE };
    let (Ok(addr), Ok(body), Ok(runtime)) = (addr.parse::<SocketAddr>(), std::fs::read(file), tokio::runtime::Runtime::new()) else {
        return ExitCode::FAILURE;
    };
    let body = Bytes::from(body);
    runtime.block_on(async move {
        let Ok(listener) = tokio::net::TcpListener::bind(addr).await else { return };
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let body = body.clone();
            let service = service_fn(move |_| {
                let mut response = http::Response::new(Full::new(body.clone()));
                response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move { hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
        }
    });
    ExitCode::SUCCESS
}
