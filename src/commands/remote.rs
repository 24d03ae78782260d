//! Commands that a running hub carries out, through its administration interface.

use super::hub::{Answer, Hub, segment};
use super::{Exit, GOOD, NO, block_on, read};
use crate::cli::{Command, Consent, DeadLetter, EvidenceArgs, Format, Holder, Journal, Keys, Quarantine, Remote, Subject};
use serde_json::{Value, json};
use std::time::Duration;
use waybill_http::Method;
use waybill_model::{Problem, ProblemCode};

/// How long `--wait` waits for holders, and how often it asks.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(250);

pub(super) fn run(command: Command, format: Format) -> Result<Exit, Problem> {
    block_on(async move {
        match command {
            Command::Consent(c) => consent(c, format).await,
            Command::Subject(c) => subject(c, format).await,
            Command::Holder(Holder::List { remote }) => list(&remote, "/holders", format).await,
            Command::Holder(Holder::Show { id, remote }) => one_of(&remote, "/holders", &id, format).await,
            Command::Quarantine(c) => quarantine(c, format).await,
            Command::DeadLetter(c) => dead_letter(c, format).await,
            Command::Keys(Keys::List { remote }) => list(&remote, "/keys", format).await,
            Command::Keys(Keys::Rotate { remote }) => post(&remote, "/keys/rotate", &json!({}), format).await,
            Command::Keys(Keys::Revoke { kid, remote }) => post(&remote, &format!("/keys/{}/revoke", segment(&kid)), &Value::Null, format).await,
            Command::Journal(c) => journal(c, format).await,
            other => Err(Problem::new(ProblemCode("internal-error"), 500, "Not a command for a hub", format!("{other:?}"))),
        }
    })?
}

async fn consent(command: Consent, format: Format) -> Result<Exit, Problem> {
    match command {
        Consent::List { subject, remote } => list(&remote, &about("/consents", subject.as_deref()), format).await,
        Consent::Show { id, remote } => show(&remote, &format!("/consents/{}", segment(&id)), format).await,
        Consent::Export { id, remote } => {
            let answer = Hub::new(&remote)?.get(&format!("/consents/{}/export", segment(&id))).await?;
            Ok(raw(&answer))
        }
        Consent::Import { file, remote } => post(&remote, "/consents/import", &parsed(&read(&file)?)?, format).await,
        Consent::Grant { file, consent, evidence, remote } => {
            let text = parsed(&read(&file)?)?;
            // A consent record names its schema; everything else is a document as a citizen writes it.
            let kind = if text.get("schema").is_some() { "record" } else { "document" };
            let mut body = json!({ kind: text });
            if let Some(consent) = consent {
                body["consent"] = consent.into();
            }
            add_evidence(&mut body, evidence)?;
            post(&remote, "/consents", &body, format).await
        }
        Consent::Withdraw { id, reason, evidence, wait, remote } => {
            let mut body = json!({});
            if let Some(reason) = reason {
                body["reason"] = reason.into();
            }
            add_evidence(&mut body, evidence)?;
            let hub = Hub::new(&remote)?;
            let answer = hub.send(Method::POST, &format!("/consents/{}/withdraw", segment(&id)), Some(&body)).await?;
            if wait {
                return wait_for_holders(&hub, &id, format).await;
            }
            Ok(whole(&answer, format))
        }
    }
}

/// Hash, place and time of what shows that she said so.
fn add_evidence(body: &mut Value, args: EvidenceArgs) -> Result<(), Problem> {
    if let Some(stated) = args.stated {
        body["stated"] = stated.into();
    }
    let mut evidence = json!({});
    if let Some(kept_at) = args.kept_at {
        evidence["source"] = kept_at.into();
    }
    if let Some(file) = args.evidence {
        let bytes = std::fs::read(&file)
            .map_err(|e| Problem::new(ProblemCode("file-missing"), 400, "The file cannot be read", format!("{}: {e}", file.display())))?;
        evidence["hash"] = waybill_keys::hex(&waybill_keys::sha256(&bytes)).into();
    }
    if evidence != json!({}) {
        body["evidence"] = evidence;
    }
    Ok(())
}

/// Asks until each holder has answered, and says how it went: what stopped when, and what nothing bounds.
async fn wait_for_holders(hub: &Hub<'_>, consent: &str, format: Format) -> Result<Exit, Problem> {
    let tries = PATIENCE.as_millis() / PAUSE.as_millis();
    let mut last = Value::Null;
    for _ in 0..tries {
        let listed = hub.get("/withdrawals?limit=1000").await?.json()?;
        let mine = items(&listed).iter().filter(|w| w["consent"] == consent).max_by(|a, b| a["stoppedAt"].as_str().cmp(&b["stoppedAt"].as_str()));
        if let Some(withdrawal) = mine {
            last = withdrawal.clone();
            if last.get("finishedAt").is_some() {
                break;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    let finished = last.get("finishedAt").is_some();
    if format == Format::Json {
        println!("{last}");
        return Ok(if finished { GOOD } else { NO });
    }
    for holder in last["holders"].as_array().into_iter().flatten() {
        let overdue = if holder["overdue"] == true { ", overdue" } else { "" };
        println!("{}: {}{overdue}", plain(&holder["party"]), plain(&holder["progress"]));
    }
    let unbounded: Vec<String> = last["notBounded"].as_array().into_iter().flatten().map(plain).collect();
    let unbounded = if unbounded.is_empty() { "none".to_owned() } else { unbounded.join(", ") };
    match last["lastStoppedAfter"].as_f64() {
        Some(seconds) => println!("last platform stopped after {seconds:.1} s; not bounded: {unbounded}"),
        None if last.is_null() => println!("nobody holds a copy"),
        None => println!("not every platform has stopped yet; not bounded: {unbounded}"),
    }
    Ok(if finished || last.is_null() { GOOD } else { NO })
}

async fn subject(command: Subject, format: Format) -> Result<Exit, Problem> {
    match command {
        Subject::List { subject, remote } => list(&remote, &about("/bindings", subject.as_deref()), format).await,
        Subject::Bind { entity, subject, attribute, from, until, evidence, rule, remote } => {
            let target = match attribute {
                Some(attribute) => json!({"attribute": {"entity": entity, "attribute": attribute}}),
                None => json!({ "entity": entity }),
            };
            let mut validity = json!({});
            for (key, value) in [("from", from), ("until", until)] {
                if let Some(value) = value {
                    validity[key] = value.into();
                }
            }
            let mut body = json!({"target": target, "subject": subject, "validity": validity, "evidence": evidence});
            if let Some(rule) = rule {
                body["rule"] = rule.into();
            }
            post(&remote, "/bindings", &body, format).await
        }
    }
}

async fn quarantine(command: Quarantine, format: Format) -> Result<Exit, Problem> {
    let item = |id: &str| format!("/quarantine/{}", segment(id));
    match command {
        Quarantine::List { remote } => list(&remote, "/quarantine", format).await,
        Quarantine::Show { id, remote } => show(&remote, &item(&id), format).await,
        Quarantine::Release { id, remote } => post(&remote, &format!("{}/release", item(&id)), &Value::Null, format).await,
        Quarantine::Discard { id, remote } => Ok(whole(&Hub::new(&remote)?.send(Method::DELETE, &item(&id), None).await?, format)),
    }
}

async fn dead_letter(command: DeadLetter, format: Format) -> Result<Exit, Problem> {
    let item = |id: &str| format!("/dead-letters/{}", segment(id));
    match command {
        DeadLetter::List { remote } => list(&remote, "/dead-letters", format).await,
        DeadLetter::Show { id, remote } => show(&remote, &item(&id), format).await,
        DeadLetter::Replay { id: Some(id), remote } => post(&remote, &format!("{}/replay", item(&id)), &Value::Null, format).await,
        DeadLetter::Replay { id: None, remote } => {
            let hub = Hub::new(&remote)?;
            let all = hub.all("/dead-letters").await?;
            for letter in &all {
                hub.send(Method::POST, &format!("{}/replay", item(&plain(&letter["id"]))), None).await?;
            }
            println!("{} tried again", all.len());
            Ok(GOOD)
        }
    }
}

async fn journal(command: Journal, format: Format) -> Result<Exit, Problem> {
    match command {
        Journal::Export { remote } => Ok(raw(&Hub::new(&remote)?.get("/journal/export").await?)),
        Journal::Show { subject, remote } => show(&remote, &format!("/subjects/{}/journal", segment(&subject)), format).await,
        Journal::Verify { remote } => {
            let verdict = Hub::new(&remote)?.get("/journal/verify").await?.json()?;
            let holds = verdict["verdict"] == "holds";
            match format {
                Format::Json => println!("{verdict}"),
                Format::Text if holds => println!(
                    "the journal holds: records {} to {}, {} sealed segments, last hash {}",
                    verdict["first"],
                    verdict["last"],
                    verdict["segments"],
                    plain(&verdict["hash"])
                ),
                Format::Text => println!("the journal is broken at record {}: {}", verdict["record"], plain(&verdict["why"])),
            }
            Ok(if holds { GOOD } else { NO })
        }
    }
}

fn about(path: &str, subject: Option<&str>) -> String {
    subject.map_or_else(|| path.to_owned(), |s| format!("{path}?subject={}", segment(s)))
}

fn parsed(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|e| Problem::new(ProblemCode("bad-json"), 400, "The file is not JSON", e.to_string()))
}

async fn list(remote: &Remote, path: &str, format: Format) -> Result<Exit, Problem> {
    let all = Hub::new(remote)?.all(path).await?;
    match format {
        Format::Json => println!("{}", Value::Array(all)),
        Format::Text if all.is_empty() => println!("(none)"),
        Format::Text => all.iter().for_each(|row| println!("{}", line(row))),
    }
    Ok(GOOD)
}

/// One row of a list that has no address of its own.
async fn one_of(remote: &Remote, path: &str, id: &str, format: Format) -> Result<Exit, Problem> {
    let found = Hub::new(remote)?.all(path).await?.into_iter().find(|row| row["id"] == id || row["party"] == id);
    let Some(row) = found else {
        return Err(Problem::new(ProblemCode("no-such-thing"), 404, "There is no such thing", format!("no row of {path} is called {id}")));
    };
    print_whole(&row, format);
    Ok(GOOD)
}

async fn show(remote: &Remote, path: &str, format: Format) -> Result<Exit, Problem> {
    Ok(whole(&Hub::new(remote)?.get(path).await?, format))
}

async fn post(remote: &Remote, path: &str, body: &Value, format: Format) -> Result<Exit, Problem> {
    let body = Some(body).filter(|b| !b.is_null());
    Ok(whole(&Hub::new(remote)?.send(Method::POST, path, body).await?, format))
}

fn whole(answer: &Answer, format: Format) -> Exit {
    match answer.json() {
        Ok(value) => print_whole(&value, format),
        Err(_) if format == Format::Text => println!("done"),
        Err(_) => println!("{{}}"),
    }
    GOOD
}

fn print_whole(value: &Value, format: Format) {
    match (value, format) {
        (Value::Object(members), Format::Text) => members.iter().for_each(|(name, value)| println!("{name}: {}", plain(value))),
        (Value::Array(rows), Format::Text) => rows.iter().for_each(|row| println!("{}", line(row))),
        _ => println!("{value}"),
    }
}

fn raw(answer: &Answer) -> Exit {
    println!("{}", String::from_utf8_lossy(&answer.body).trim_end());
    GOOD
}

fn items(listed: &Value) -> &[Value] {
    listed["items"].as_array().map_or(&[], Vec::as_slice)
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
