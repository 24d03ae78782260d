//! The federated catalogue in the manner of the Eclipse EDC: what was fetched of others' catalogues, searched without asking anybody. For the
//! operator.

use crate::connector::Connector;
use crate::crawl::{Crawled, asked};
use crate::fault::Fault;
use crate::manage::{Answered, answer, body, refused};
use crate::ns::{local, plain};
use crate::vocab::{CONTEXT, EDC, WAYBILL};
use serde_json::{Map, Value, json};
use waybill_http::{Method, Request, Response, Router, header};
use waybill_model::DateTime;

/// Where the catalogues are asked for: in two versions beside the rest of the management interface, and where the EDC's own clients look.
const PATHS: [&str; 3] = ["/management/v3/federatedcatalog/request", "/management/v4/federatedcatalog/request", "/management/v1alpha/catalog/query"];
/// Catalogues of one page, when nothing is said and at most.
const PAGE: usize = 50;
const MOST: usize = 500;
/// An answer ends before the catalogue with which it would be longer than this, in bytes.
const ANSWER: usize = 32 << 20;

/// The routes of the federated catalogue.
pub fn routes(connector: &Connector) -> Router {
    let mut router = Router::new();
    for path in PATHS {
        let own = connector.clone();
        router = router.route(Method::POST, path, move |request: Request| {
            let this = own.clone();
            async move {
                let done = if request.caller.is_operator() { this.search(&request).await } else { Err(refused(&request)) };
                done.map_or_else(|fault| answer(Err(fault)), Ok)
            }
        });
    }
    for version in ["v3", "v4"] {
        let own = connector.clone();
        router = router.route(Method::GET, &format!("/management/{version}/federatedcatalog"), move |request: Request| {
            let this = own.clone();
            async move { answer(if request.caller.is_operator() { this.crawl_rows().await } else { Err(refused(&request)) }) }
        });
    }
    router
}

impl Connector {
    /// Who is asked for a catalogue, in the order of their identifiers.
    fn crawled_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.config().participants.iter().filter(|p| asked(p)).map(|p| p.id.clone()).collect();
        ids.sort();
        ids
    }

    /// How it stands with each: also with those of whom nothing is kept.
    async fn crawl_rows(&self) -> Answered {
        let (now, period) = (self.now(), self.config().limits.crawl_seconds);
        let mut out = Vec::new();
        for id in self.crawled_ids() {
            if let Some(row) = self.crawled(&id).await? {
                out.push(view(&row, now, period));
            }
        }
        Ok(out.into())
    }

    async fn search(&self, request: &Request) -> Result<Response, Fault> {
        let map = if request.body.is_empty() || *request.body == *b"null" { Map::new() } else { body(request)? };
        // What is in the address continues an answer that ended early.
        let number = |name: &str| -> Result<Option<usize>, Fault> {
            let wrong = || Fault::bad(&format!("/{name}"), "it must be a whole number");
            match (request.query.get(name), map.get(name)) {
                (Some(text), _) => text.parse().map(Some).map_err(|_| wrong()),
                (None, Some(value)) => value.as_u64().and_then(|n| usize::try_from(n).ok()).map(Some).ok_or_else(wrong),
                (None, None) => Ok(None),
            }
        };
        let (offset, limit) = (number("offset")?.unwrap_or(0), number("limit")?.unwrap_or(PAGE).clamp(1, MOST));
        if map.get("sortField").is_some_and(|f| !f.is_null() && f != "") {
            return Err(Fault::bad("/sortField", "the order is that of the participants' identifiers; ask without one"));
        }
        let wanted = Wanted::read(map.get("filterExpression"))?;
        let (now, period) = (self.now(), self.config().limits.crawl_seconds);
        let (mut text, mut seen, mut given, mut more) = (String::from("["), 0, 0, false);
        for id in self.crawled_ids() {
            let Some(row) = self.crawled(&id).await?.filter(|row| wanted.takes(row)) else { continue };
            let Some(content) = self.catalog_contents().get::<Value>(&id).await? else { continue };
            let Value::Object(mut catalog) = content.state else { continue };
            if !wanted.narrow(&mut catalog) {
                continue;
            }
            seen += 1;
            if seen <= offset {
                continue;
            }
            let entry = entry(catalog, &row, now, period).to_string();
            if given == limit || (given > 0 && text.len() + entry.len() > ANSWER) {
                more = true;
                break;
            }
            if given > 0 {
                text.push(',');
            }
            text.push_str(&entry);
            given += 1;
        }
        text.push(']');
        let mut response = Response::bytes(200, "application/json", text);
        if more {
            response = response.with(header::LINK, format!("<{}?offset={}&limit={limit}>; rel=\"next\"", request.path, offset + given));
        }
        Ok(response)
    }
}

/// How it stands with a catalogue.
fn view(row: &Crawled, now: DateTime, period: i64) -> Value {
    let mut out = json!({
        "participantId": row.participant,
        "originator": row.address,
        "state": row.state(now, period).as_str(),
        "datasets": row.datasets,
        "attempts": row.attempts,
    });
    for (name, at) in [("fetchedAt", row.fetched_at), ("triedAt", row.tried_at)] {
        if let Some(at) = at {
            out[name] = at.to_string().into();
        }
    }
    if let Some(fault) = &row.fault {
        out["fault"] = json!({"code": fault.code, "reason": fault.reason});
    }
    if let Some(why) = &row.incomplete {
        out["incomplete"] = why.as_str().into();
    }
    out
}

/// A catalogue with where it is from and how old it is. What the catalogue itself says under these names does not count.
fn entry(mut catalog: Map<String, Value>, row: &Crawled, now: DateTime, period: i64) -> Value {
    let mut contexts = match catalog.remove("@context") {
        None => vec![CONTEXT.into()],
        Some(Value::Array(list)) => list,
        Some(one) => vec![one],
    };
    contexts.push(json!({"originator": format!("{EDC}originator")}));
    catalog.insert("@context".into(), contexts.into());
    catalog.insert("originator".into(), row.address.as_str().into());
    let mut about = Map::new();
    if let Value::Object(view) = view(row, now, period) {
        about.extend(view.into_iter().filter(|(name, _)| !matches!(name.as_str(), "participantId" | "originator")));
    }
    catalog.insert(format!("{WAYBILL}crawl"), about.into());
    catalog.into()
}

/// What is searched for. All of it must hold.
#[derive(Debug, Default)]
struct Wanted {
    /// Addresses and participants, of which a catalogue must be.
    of: Vec<Test>,
    /// What a dataset must be.
    datasets: Vec<Test>,
}

/// One comparison.
#[derive(Debug)]
struct Test {
    field: Field,
    how: How,
    with: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Originator,
    Participant,
    Id,
    Title,
    /// Either of the two.
    Text,
    EntityType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Is,
    Like,
    LikeIgnoringCase,
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        self.with.iter().any(|wanted| match self.how {
            How::Is => value == wanted,
            How::Like => like(value, wanted),
            How::LikeIgnoringCase => like(&value.to_lowercase(), &wanted.to_lowercase()),
        })
    }

    fn fits(&self, dataset: &Map<String, Value>) -> bool {
        let id = || dataset.get("@id").and_then(Value::as_str).is_some_and(|id| self.holds(id));
        let title = || dataset.iter().filter(|(name, _)| matches!(local(name), "title" | "name")).any(|(_, value)| texts(value).iter().any(|t| self.holds(t)));
        match self.field {
            Field::Id => id(),
            Field::Title => title(),
            Field::Text => id() || title(),
            Field::EntityType => {
                let ours = |name: &str| name.strip_prefix(WAYBILL).or_else(|| name.strip_prefix("waybill:")) == Some("entityType");
                dataset.iter().filter(|(name, _)| ours(name)).any(|(_, value)| texts(value).iter().any(|t| self.holds(t)))
            }
            Field::Originator | Field::Participant => true,
        }
    }
}

impl Wanted {
    /// Reads a filter.
    ///
    /// # Errors
    /// 400 for what is not understood: an answer that ignores a condition would be wrong.
    fn read(filter: Option<&Value>) -> Result<Self, Fault> {
        let mut out = Self::default();
        let list = match filter {
            None | Some(Value::Null) => return Ok(out),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(Fault::bad("/filterExpression", "it must be a list")),
        };
        for (i, criterion) in list.iter().enumerate() {
            let at = format!("/filterExpression/{i}");
            let side = |name: &str| criterion.as_object().and_then(|o| o.iter().find(|(n, _)| local(n) == name)).map(|(_, v)| v);
            let field = match side("operandLeft").and_then(plain).map(local) {
                Some("originator") => Field::Originator,
                Some("participantId") => Field::Participant,
                Some("id" | "@id") => Field::Id,
                Some("title" | "name") => Field::Title,
                Some("text") => Field::Text,
                Some("entityType") => Field::EntityType,
                _ => return Err(Fault::bad(&format!("{at}/operandLeft"), "it must be one of entityType, id, title, text, originator, participantId")),
            };
            let how = match side("operator").and_then(plain) {
                Some("=" | "in") => How::Is,
                Some("like") => How::Like,
                Some("ilike") => How::LikeIgnoringCase,
                _ => return Err(Fault::bad(&format!("{at}/operator"), "it must be one of =, in, like, ilike")),
            };
            let with = side("operandRight").map(texts).unwrap_or_default();
            if with.is_empty() {
                return Err(Fault::bad(&format!("{at}/operandRight"), "it must be a text or a list of texts"));
            }
            let test = Test { field, how, with };
            if matches!(field, Field::Originator | Field::Participant) { out.of.push(test) } else { out.datasets.push(test) }
        }
        Ok(out)
    }

    fn takes(&self, row: &Crawled) -> bool {
        self.of.iter().all(|test| test.holds(if test.field == Field::Originator { &row.address } else { &row.participant }))
    }

    /// Takes out what does not fit. Answers whether anything is left that was asked for.
    fn narrow(&self, catalog: &mut Map<String, Value>) -> bool {
        if self.datasets.is_empty() {
            return true;
        }
        let mut any = false;
        if let Some(Value::Array(list)) = catalog.get_mut("dataset") {
            list.retain(|d| d.as_object().is_some_and(|d| self.datasets.iter().all(|test| test.fits(d))));
            any = !list.is_empty();
            if !any {
                catalog.remove("dataset");
            }
        }
        if let Some(Value::Array(list)) = catalog.get_mut("catalog") {
            list.retain_mut(|c| c.as_object_mut().is_some_and(|c| self.narrow(c)));
            let left = !list.is_empty();
            any |= left;
            if !left {
                catalog.remove("catalog");
            }
        }
        any
    }
}

/// The texts of a value: plain, wrapped, in a list, or by language.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        other => plain(other).map(str::to_owned).into_iter().collect(),
    }
}

/// Whether `text` is as `pattern` says, in which `%` stands for any letters and `_` for one, as in SQL.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    // The last `%`, and where in the text what follows it is tried: going back further than that is never needed.
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => {
                t += 1;
                p += 1;
            }
            _ => {
                let Some((at, from)) = back else { return false };
                back = Some((at, from + 1));
                (t, p) = (from + 1, at + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}
