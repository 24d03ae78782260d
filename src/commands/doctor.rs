//! `waybill doctor`: what a broker is, found out without writing to it unless a scratch tenant is named; and a configuration to begin with.

use super::{Exit, FAILED, GOOD, block_on};
use crate::cli::{Doctor, Format};
use serde_json::{Value, json};
use std::time::Duration;
use waybill_http::{Allow, Auth, Client, ClientConfig, Guard, HeaderName, InResponse, Method, OutRequest};
use waybill_model::{Clock, Problem, ProblemCode};

/// How long probe data lives, and how long after its end is looked: brokers clean up at their own pace, but a query must not show it.
const LIFE_SECONDS: i64 = 2;
const AFTERWARDS: Duration = Duration::from_millis(3500);
const PROBE: &str = "urn:waybill:doctor:probe";
const SHOWN_TYPES: usize = 50;

struct Broker<'a> {
    client: Client,
    args: &'a Doctor,
    clock: Clock,
}

/// What was found out.
struct Report {
    version: Option<Value>,
    types: Vec<(String, Option<u64>)>,
    refused: Option<u16>,
    /// `expiring` or `plain`; nothing when it was not tried.
    holder: Option<&'static str>,
    notes: Vec<String>,
}

pub(super) fn run(args: &Doctor, format: Format) -> Result<Exit, Problem> {
    let clock = Clock::system();
    let url = url::Url::parse(&args.url).map_err(|e| Problem::new(ProblemCode("bad-value"), 400, "Not an address", e.to_string()))?;
    // The operator names this address by hand, so whatever network it lies in may be called.
    let host = url.host_str().map(|h| Allow::Host(h.to_owned(), url.port_or_known_default()));
    let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing(host)))
        .map_err(|e| Problem::new(ProblemCode("internal-error"), 500, "The program cannot call out", e.to_string()))?;
    let report = block_on(Broker { client, args, clock }.examine())??;
    match format {
        Format::Json => println!("{}", report.to_json()),
        Format::Text => report.print(args),
    }
    Ok(if report.refused.is_some() { FAILED } else { GOOD })
}

impl Broker<'_> {
    async fn examine(&self) -> Result<Report, Problem> {
        let mut report = Report { version: None, types: Vec::new(), refused: None, holder: None, notes: Vec::new() };
        let version = self.call(Method::GET, "/version", None, None).await?;
        report.version = serde_json::from_slice(&version.body).ok().filter(|_| version.status.is_success());
        let types = self.call(Method::GET, "/ngsi-ld/v1/types", None, None).await?;
        match types.status.as_u16() {
            200 => {
                let list: Value = serde_json::from_slice(&types.body).unwrap_or_default();
                let names = list["typeList"].as_array().into_iter().flatten().filter_map(Value::as_str).take(SHOWN_TYPES);
                for name in names.map(str::to_owned).collect::<Vec<_>>() {
                    let count = self.count(&name).await?;
                    report.types.push((name, count));
                }
            }
            401 | 403 => report.refused = Some(types.status.as_u16()),
            404 | 405 | 501 => report.notes.push("it does not list its types: name those you want in `select`".to_owned()),
            other => report.notes.push(format!("listing its types was answered {other}")),
        }
        if report.refused.is_none() && let Some(tenant) = &self.args.scratch {
            self.probe_expiry(tenant, &mut report).await?;
        }
        Ok(report)
    }

    async fn count(&self, name: &str) -> Result<Option<u64>, Problem> {
        let path = format!("/ngsi-ld/v1/entities?type={}&limit=1&count=true", waybill_http::encode_component(name));
        let answer = self.call(Method::GET, &path, None, None).await?;
        Ok(answer.header("ngsild-results-count").and_then(|v| v.parse().ok()))
    }

    /// Writes an entity whose Attribute ends in two seconds, and looks whether it shows afterwards.
    async fn probe_expiry(&self, tenant: &str, report: &mut Report) -> Result<(), Problem> {
        let ends = self.clock.now().plus_seconds(LIFE_SECONDS);
        let entity = json!({
            "id": PROBE, "type": "https://w3id.org/waybill/ns#Probe",
            "https://w3id.org/waybill/ns#lasting": {"type": "Property", "value": 1},
            "https://w3id.org/waybill/ns#ending": {"type": "Property", "value": 1, "expiresAt": ends},
        });
        let path = format!("/ngsi-ld/v1/entities/{PROBE}");
        // What an earlier, interrupted run left.
        self.call(Method::DELETE, &path, Some(tenant), None).await?;
        let made = self.call(Method::POST, "/ngsi-ld/v1/entities", Some(tenant), Some(&entity)).await?;
        if made.status.as_u16() != 201 {
            report.notes.push(format!("the probe could not be written: it was answered {}", made.status.as_u16()));
            return Ok(());
        }
        tokio::time::sleep(AFTERWARDS).await;
        let seen = self.call(Method::GET, &path, Some(tenant), None).await?;
        let removed = self.call(Method::DELETE, &path, Some(tenant), None).await?;
        let shown: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let has = |name: &str| shown.as_object().is_some_and(|m| m.keys().any(|k| k.ends_with(name)));
        // Without the lasting one nothing was proven: the entity may be hidden for another reason.
        report.holder = match (has("lasting"), has("ending")) {
            (true, false) => Some("expiring"),
            (true, true) => Some("plain"),
            (false, _) => {
                report.notes.push("the probe was not found again: nothing is known of how it treats what expired".to_owned());
                None
            }
        };
        if !removed.status.is_success() {
            report.notes.push(format!("the probe {PROBE} could not be removed from tenant {tenant}"));
        }
        Ok(())
    }

    async fn call(&self, method: Method, path: &str, tenant: Option<&str>, body: Option<&Value>) -> Result<InResponse, Problem> {
        let url = format!("{}{path}", self.args.url.trim_end_matches('/'));
        let mut request = OutRequest::new(method, url).template("doctor");
        if let Some(tenant) = tenant {
            request = request.header(HeaderName::from_static("ngsild-tenant"), tenant);
        }
        if let Some(body) = body {
            request = request.header(waybill_http::header::CONTENT_TYPE, "application/json").body(body.to_string());
        }
        if let Some(token) = &self.args.token {
            request = request.auth(Auth::Bearer(token.as_str().into()));
        }
        self.client.send(request).await.map_err(|e| {
            Problem::new(ProblemCode("broker-unreachable"), 503, "The broker cannot be reached", format!("{}: {e}", self.args.url))
        })
    }
}

impl Report {
    fn to_json(&self) -> Value {
        let types: Vec<Value> = self.types.iter().map(|(name, count)| json!({"type": name, "entities": count})).collect();
        json!({"version": self.version, "types": types, "refused": self.refused, "holder": self.holder, "notes": self.notes})
    }

    /// For people: what was found as comments, and below it a configuration that `waybill lint` accepts.
    fn print(&self, args: &Doctor) {
        match &self.version {
            Some(version) => println!("# {} says it is {version}", args.url),
            None => println!("# {} does not say what it is", args.url),
        }
        if let Some(status) = self.refused {
            println!("# it answers {status}: give it a token with --token or WAYBILL_BROKER_TOKEN");
            return;
        }
        for (name, count) in &self.types {
            println!("#   {name}: {} entities", count.map_or_else(|| "?".to_owned(), |c| c.to_string()));
        }
        match self.holder {
            Some("expiring") => println!("# it hides what has expired: holder class `expiring`"),
            Some(_) => println!("# it shows what has expired: holder class `plain`"),
            None => println!("# holder class not tried: name an empty tenant with --scratch to find out"),
        }
        self.notes.iter().for_each(|note| println!("# {note}"));
        println!("\n[hub]\nparty = \"did:web:hub.city.example\"   # who operates the hub\n");
        println!("[names]\ndefault = \"https://uri.etsi.org/ngsi-ld/default-context/\"\n");
        println!("[[connection]]\nname = \"broker\"\nkind = \"ngsi-ld\"\nurl = {}", quoted(&args.url));
        println!("holder = \"{}\"", self.holder.unwrap_or("plain"));
        if args.token.is_some() {
            println!("auth = {{ kind = \"bearer\", token = \"${{WAYBILL_BROKER_TOKEN}}\" }}");
        }
        // What nobody has looked at is personal, and without a grant it stays closed.
        println!("\n[[route]]\nname = \"from-broker\"\nfrom = \"broker\"\nbasis = \"consent\"\nsubject.registry = true");
        if !self.types.is_empty() {
            let list: Vec<String> = self.types.iter().map(|(name, _)| quoted(name)).collect();
            println!("select.types = [{}]", list.join(", "));
        }
    }
}

/// A text as TOML writes it; JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
