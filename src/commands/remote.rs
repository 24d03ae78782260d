//! Commands that a running hub carries out: one call each to its administration interface.

use super::{Exit, FAILED, GOOD, NO, block_on, read};
use crate::cli::{Command, Consent, Format, Held, Holder, Journal, Keys, Remote, Subject};
use serde_json::{Value, json};
use std::time::Duration;
use waybill_http::{Allow, Auth, Client, ClientConfig, Guard, Method, OutRequest};
use waybill_model::{Clock, Problem, ProblemCode};

const BASE: &str = "/waybill/v1";
/// Verifying a long journal takes its time.
const DEADLINE: Duration = Duration::from_mins(5);

/// One call: how, where below the base, with what.
struct Call {
    method: Method,
    path: String,
    body: Option<(&'static str, String)>,
}

impl Call {
    fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None }
    }
    fn post(path: impl Into<String>, body: &Value) -> Self {
        Self { method: Method::POST, path: path.into(), body: Some(("application/json", body.to_string())) }
    }
}

pub(super) fn run(command: Command, format: Format) -> Result<Exit, Problem> {
    let (remote, call, print): (Remote, Call, Print) = match command {
        Command::Consent(c) => consent(c)?,
        Command::Subject(c) => subject(c),
        Command::Holder(Holder::List { remote }) => (remote, Call::get("/holders"), Print::Rows),
        Command::Holder(Holder::Show { id, remote }) => (remote, Call::get(format!("/holders/{}", segment(&id))), Print::Whole),
        Command::Quarantine(c) => held("quarantine", c),
        Command::DeadLetter(c) => held("dead-letters", c),
        Command::Keys(Keys::List { remote }) => (remote, Call::get("/keys"), Print::Rows),
        Command::Keys(Keys::Rotate { remote }) => (remote, Call::post("/keys/rotate", &json!({})), Print::Whole),
        Command::Keys(Keys::Revoke { kid, remote }) => (remote, Call::post(format!("/keys/{}/revoke", segment(&kid)), &json!({})), Print::Whole),
        Command::Journal(Journal::Verify { remote }) => (remote, Call::get("/journal/verify"), Print::Verdict),
        Command::Journal(Journal::Export { remote }) => (remote, Call::get("/journal/export"), Print::Raw),
        Command::Journal(Journal::Show { subject, remote }) => {
            (remote, Call::get(format!("/journal/subject?subject={}", segment(&subject))), Print::Rows)
        }
        _ => return Ok(FAILED),
    };
    let (status, body) = block_on(send(&remote, call))??;
    if !(200..300).contains(&status) {
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_else(|_| {
            Problem::new(ProblemCode("hub-answer"), status, "The hub refused", format!("it answered {status} without saying why"))
        });
        super::print_problem(&problem, format);
        return Ok(if status < 500 { NO } else { FAILED });
    }
    Ok(show(&body, &print, format))
}

fn consent(command: Consent) -> Result<(Remote, Call, Print), Problem> {
    let about = |subject: Option<String>| subject.map_or_else(String::new, |s| format!("?subject={}", segment(&s)));
    Ok(match command {
        Consent::List { subject, remote } => (remote, Call::get(format!("/consents{}", about(subject))), Print::Rows),
        Consent::Show { id, remote } => (remote, Call::get(format!("/consents/{}", segment(&id))), Print::Whole),
        Consent::Grant { file, remote } => {
            let body = Some(("application/ld+json", read(&file)?));
            (remote, Call { method: Method::POST, path: "/consents".to_owned(), body }, Print::Whole)
        }
        Consent::Withdraw { id, evidence, wait, remote } => {
            let wait = if wait { "?wait=true" } else { "" };
            (remote, Call::post(format!("/consents/{}/withdraw{wait}", segment(&id)), &json!({"evidence": evidence})), Print::Whole)
        }
        Consent::Import { file, remote } => {
            let body = Some(("application/x-ndjson", read(&file)?));
            (remote, Call { method: Method::POST, path: "/consents/import".to_owned(), body }, Print::Rows)
        }
        Consent::Export { subject, remote } => (remote, Call::get(format!("/consents/export{}", about(subject))), Print::Raw),
    })
}

fn subject(command: Subject) -> (Remote, Call, Print) {
    match command {
        Subject::Bind { entity, subject, attribute, from, until, evidence, remote } => {
            let mut body = json!({"entity": entity, "subject": subject, "evidence": evidence});
            for (key, value) in [("attribute", attribute), ("from", from), ("until", until)] {
                if let Some(value) = value {
                    body[key] = value.into();
                }
            }
            (remote, Call::post("/subjects", &body), Print::Whole)
        }
        Subject::List { entity, subject, remote } => {
            let wanted: Vec<String> = [("entity", entity), ("subject", subject)]
                .into_iter()
                .filter_map(|(k, v)| v.map(|v| format!("{k}={}", segment(&v))))
                .collect();
            let query = if wanted.is_empty() { String::new() } else { format!("?{}", wanted.join("&")) };
            (remote, Call::get(format!("/subjects{query}")), Print::Rows)
        }
    }
}

fn held(which: &str, command: Held) -> (Remote, Call, Print) {
    match command {
        Held::List { remote } => (remote, Call::get(format!("/{which}")), Print::Rows),
        Held::Show { id, remote } => (remote, Call::get(format!("/{which}/{}", segment(&id))), Print::Whole),
        Held::Release { id, remote } => (remote, Call::post(format!("/{which}/{}/release", segment(&id)), &json!({})), Print::Whole),
        Held::Replay { id, remote } => {
            let one = id.map_or_else(String::new, |id| format!("/{}", segment(&id)));
            (remote, Call::post(format!("/{which}{one}/replay"), &json!({})), Print::Whole)
        }
    }
}

/// Percent-encoded for a path segment or a query value.
fn segment(text: &str) -> String {
    waybill_http::encode_component(text)
}

async fn send(remote: &Remote, call: Call) -> Result<(u16, Vec<u8>), Problem> {
    let url = format!("{}{BASE}{}", remote.hub.trim_end_matches('/'), call.path);
    let fault = |e: &dyn std::fmt::Display| {
        Problem::new(ProblemCode("hub-unreachable"), 503, "The hub cannot be reached", format!("{}: {e}", remote.hub))
            .help("Start it with `waybill run`, or name another with --hub or WAYBILL_HUB.")
    };
    // The operator names this address by hand, so whatever network it lies in may be called.
    let host = url::Url::parse(&url).ok().and_then(|u| Some(Allow::Host(u.host_str()?.to_owned(), u.port_or_known_default())));
    let guard = Guard::allowing(host);
    let client = Client::new(ClientConfig::new(Clock::system()).guard(guard)).map_err(|e| fault(&e))?;
    let mut request = OutRequest::new(call.method, url).deadline(DEADLINE).template("administration");
    if let Some((kind, body)) = call.body {
        request = request.header(waybill_http::header::CONTENT_TYPE, kind).body(body);
    }
    if let Some(token) = &remote.token {
        request = request.auth(Auth::Bearer(token.as_str().into()));
    }
    let answer = client.send(request).await.map_err(|e| fault(&e))?;
    Ok((answer.status.as_u16(), answer.body.to_vec()))
}

/// How an answer is shown to people.
enum Print {
    /// A list of objects: one line each.
    Rows,
    /// One object: its members.
    Whole,
    /// As it came.
    Raw,
    /// `{"valid": …}` decides the exit code.
    Verdict,
}

fn show(body: &[u8], print: &Print, format: Format) -> Exit {
    let text = String::from_utf8_lossy(body);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match (value, print, format) {
        (Some(Value::Array(rows)), Print::Rows | Print::Whole, Format::Text) => {
            rows.iter().for_each(|row| println!("{}", line(row)));
            if rows.is_empty() {
                println!("(none)");
            }
            GOOD
        }
        (Some(Value::Object(members)), Print::Rows | Print::Whole, Format::Text) => {
            members.iter().for_each(|(name, value)| println!("{name}: {}", plain(value)));
            GOOD
        }
        (Some(verdict), Print::Verdict, format) => {
            match (format, verdict.get("detail").and_then(Value::as_str)) {
                (Format::Text, Some(detail)) => println!("{detail}"),
                _ => println!("{verdict}"),
            }
            if verdict.get("valid") == Some(&Value::Bool(true)) { GOOD } else { NO }
        }
        _ => {
            println!("{}", text.trim_end());
            GOOD
        }
    }
}

fn line(row: &Value) -> String {
    match row {
        Value::Object(members) => members.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect::<Vec<_>>().join("  "),
        other => plain(other),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
