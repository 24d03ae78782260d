//! An address that is told of changes, as an organisation that follows data gives one: it takes every notification, and shows all of them.

use crate::LOOPBACK;
use crate::net::{Request, Server, bare, locked, reply};
use http::{Method, StatusCode};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// Takes what is POSTed to it as JSON, at any path; a GET shows all that it took.
pub struct StandInReceiver {
    server: Server,
    taken: Arc<Mutex<Vec<Value>>>,
}

impl StandInReceiver {
    /// A receiver on a port that the system chooses.
    ///
    /// # Errors
    /// When no port on loopback can be taken.
    pub async fn start() -> std::io::Result<Self> {
        let taken: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = taken.clone();
        let handler = move |request: Request| -> crate::net::Answering {
            let answer = match request.method {
                Method::POST => match serde_json::from_slice(&request.body) {
                    Ok(body) => {
                        locked(&kept).push(body);
                        bare(StatusCode::NO_CONTENT)
                    }
                    Err(_) => bare(StatusCode::BAD_REQUEST),
                },
                Method::GET => reply(StatusCode::OK, "application/json", Value::from(locked(&kept).clone()).to_string()),
                _ => bare(StatusCode::METHOD_NOT_ALLOWED),
            };
            Box::pin(std::future::ready(answer))
        };
        let server = Server::start(TcpListener::bind(LOOPBACK).await?, Arc::new(handler))?;
        Ok(Self { server, taken })
    }

    /// Where it listens, with a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.addr)
    }

    /// What it took so far, in order.
    pub fn taken(&self) -> Vec<Value> {
        locked(&self.taken).clone()
    }
}
