//! Calls to a running hub.

use crate::cli::Remote;
use serde_json::Value;
use std::time::Duration;
use waybill_http::{Allow, Auth, Client, ClientConfig, Guard, Method, OutRequest};
use waybill_model::{Clock, Problem, ProblemCode};

const BASE: &str = "/waybill/v1";
/// Verifying a long journal takes its time.
const DEADLINE: Duration = Duration::from_mins(5);
/// An exported journal may be large.
const LARGEST: usize = 1 << 30;

/// A running hub, as the operator reaches it.
pub(super) struct Hub<'r> {
    remote: &'r Remote,
    client: Client,
}

/// A good answer.
pub(super) struct Answer {
    pub body: Vec<u8>,
}

impl Answer {
    /// Its body as JSON.
    pub fn json(&self) -> Result<Value, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|e| Problem::new(ProblemCode("hub-answer"), 502, "The hub's answer cannot be read", e.to_string()))
    }
}

impl<'r> Hub<'r> {
    pub fn new(remote: &'r Remote) -> Result<Self, Problem> {
        // The operator names this address by hand, so whatever network it lies in may be called.
        let host = url::Url::parse(&remote.hub).ok().and_then(|u| Some(Allow::Host(u.host_str()?.to_owned(), u.port_or_known_default())));
        let client = Client::new(ClientConfig::new(Clock::system()).guard(Guard::allowing(host))).map_err(|e| unreachable_hub(remote, &e))?;
        Ok(Self { remote, client })
    }

    pub async fn get(&self, path: &str) -> Result<Answer, Problem> {
        self.send(Method::GET, path, None).await
    }

    /// Sends, and gives the hub's own problem when it refuses.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Problem> {
        let url = format!("{}{BASE}{path}", self.remote.hub.trim_end_matches('/'));
        let mut request = OutRequest::new(method, url).deadline(DEADLINE).max_response(LARGEST).template("administration");
        if let Some(body) = body {
            request = request.header(waybill_http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some(tenant) = &self.remote.tenant {
            request = request.header(waybill_http::HeaderName::from_static("ngsild-tenant"), tenant);
        }
        if let Some(token) = &self.remote.token {
            request = request.auth(Auth::Bearer(token.as_str().into()));
        }
        let answer = self.client.send(request).await.map_err(|e| unreachable_hub(self.remote, &e))?;
        if answer.status.is_success() {
            return Ok(Answer { body: answer.body.to_vec() });
        }
        let status = answer.status.as_u16();
        Err(serde_json::from_slice(&answer.body).unwrap_or_else(|_| {
            Problem::new(ProblemCode("hub-answer"), status, "The hub refused", format!("it answered {status} without saying why"))
        }))
    }

    /// All items of a list, page by page.
    pub async fn all(&self, path: &str) -> Result<Vec<Value>, Problem> {
        let mut all = Vec::new();
        let mut after = String::new();
        let joint = if path.contains('?') { '&' } else { '?' };
        loop {
            let at = if after.is_empty() { path.to_owned() } else { format!("{path}{joint}after={}", segment(&after)) };
            let page = self.get(&at).await?.json()?;
            all.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next"].as_str() {
                Some(next) if next != after => next.clone_into(&mut after),
                _ => return Ok(all),
            }
        }
    }
}

fn unreachable_hub(remote: &Remote, why: &dyn std::fmt::Display) -> Problem {
    Problem::new(ProblemCode("hub-unreachable"), 503, "The hub cannot be reached", format!("{}: {why}", remote.hub))
        .help("Start it with `waybill run`, or name another with --hub or WAYBILL_HUB.")
}

/// Percent-encoded for a path segment or a query value.
pub(super) fn segment(text: &str) -> String {
    waybill_http::encode_component(text)
}
