//! The pages of another connector's catalogue, put together. What comes is another's word, so there is a bound on all of it: on bytes, on
//! pages, on datasets, and on where a page may lie.

use crate::config::Participant;
use crate::connector::Connector;
use crate::fault::Fault;
use crate::vocab::{CONTEXT, WAYBILL};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::time::Duration;
use waybill_http::{CallErrorKind, InResponse, OutRequest, header};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much of a catalogue is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of one page.
    pub page: usize,
    /// Bytes of all pages.
    pub bytes: usize,
    /// Pages.
    pub pages: usize,
    /// Datasets.
    pub datasets: usize,
}

impl Bounds {
    /// When somebody asked for it and waits.
    pub const ASKED: Self = Self { page: 16 << 20, bytes: 64 << 20, pages: 1000, datasets: 100_000 };
    /// When it is fetched again and again and kept.
    pub const KEPT: Self = Self { page: 4 << 20, bytes: 8 << 20, pages: 200, datasets: 10_000 };
}

/// A catalogue as far as it was taken.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// All pages in one. The member `incomplete` of our own namespace says why it ends where it does, when that is not its end.
    pub catalog: Value,
    /// How many datasets are in it.
    pub datasets: usize,
    /// Why it ends early.
    pub incomplete: Option<String>,
}

/// A catalogue that is put together.
#[derive(Default)]
struct Pile {
    first: Option<Map<String, Value>>,
    datasets: Vec<Value>,
    known: HashSet<String>,
    bytes: usize,
}

impl Pile {
    /// Adds a page. Answers why the rest is not taken, when it is not.
    fn add(&mut self, page: Map<String, Value>, size: usize, bounds: &Bounds) -> Result<Option<String>, Fault> {
        let mut page = page;
        self.bytes += size;
        if self.bytes > bounds.bytes {
            return Ok(Some(format!("it is larger than {} bytes", bounds.bytes)));
        }
        let more = match page.remove("dataset") {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(one @ Value::Object(_)) => vec![one],
            Some(_) => return Err(refused("its datasets are no list")),
        };
        self.first.get_or_insert(page);
        for dataset in more {
            if !dataset.is_object() {
                return Err(refused("a dataset in it is no object"));
            }
            // A page that says again what an earlier one said adds nothing.
            if dataset["@id"].as_str().is_some_and(|id| !self.known.insert(id.to_owned())) {
                continue;
            }
            if self.datasets.len() == bounds.datasets {
                return Ok(Some(format!("it has more than {} datasets", bounds.datasets)));
            }
            self.datasets.push(dataset);
        }
        Ok(None)
    }

    fn whole(self, incomplete: Option<String>) -> Gathered {
        let mut catalog = self.first.unwrap_or_default();
        let datasets = self.datasets.len();
        // An empty list is not valid there.
        if datasets > 0 {
            catalog.insert("dataset".into(), self.datasets.into());
        }
        if let Some(why) = &incomplete {
            catalog.insert(format!("{WAYBILL}incomplete"), why.as_str().into());
        }
        Gathered { catalog: catalog.into(), datasets, incomplete }
    }
}

impl Connector {
    /// The catalogue of another connector, all pages of it in one, as far as there are bounds.
    ///
    /// # Errors
    /// 502 when it cannot be had, or is no catalogue.
    pub async fn fetch_catalog(&self, who: &Participant, address: &str) -> Result<Value, Fault> {
        Ok(self.gather(who, address, &Bounds::ASKED, None).await?.catalog)
    }

    /// The same within `bounds`; each page must be `participant`'s where that is given.
    ///
    /// # Errors
    /// `counterpart-failed` when there was no good answer, `catalog-refused` when what came is not taken.
    pub(crate) async fn gather(&self, who: &Participant, address: &str, bounds: &Bounds, participant: Option<&str>) -> Result<Gathered, Fault> {
        let mut url = format!("{}/catalog/request", address.trim_end_matches('/'));
        let mut visited = HashSet::new();
        let mut pile = Pile::default();
        loop {
            visited.insert(url.clone());
            let request = OutRequest::post(&url, "application/json", json!({"@context": [CONTEXT], "@type": "CatalogRequestMessage"}).to_string());
            let answer = self.ask(who, request, bounds.page).await?;
            let next = answer.headers.get_all(header::LINK).iter().filter_map(|v| v.to_str().ok()).find_map(next_page);
            let Ok(Value::Object(page)) = self.offered(&answer.body).await? else { return Err(refused("the answer is no JSON object")) };
            if page.get("@type").and_then(Value::as_str) != Some("Catalog") {
                return Err(refused("the answer is no Catalog"));
            }
            if participant.is_some() && page.get("participantId").and_then(Value::as_str) != participant {
                return Err(refused("it is not the catalogue of the participant that is registered with this address"));
            }
            if let Some(why) = pile.add(page, answer.body.len(), bounds)? {
                return Ok(pile.whole(Some(why)));
            }
            let Some(next) = next else { return Ok(pile.whole(None)) };
            let next = beside(&url, &next);
            // A page elsewhere would be asked with this participant's credentials.
            if origin(&next) != origin(&url) {
                return Ok(pile.whole(Some("its next page lies elsewhere".into())));
            }
            if visited.contains(&next) {
                return Ok(pile.whole(Some("its pages lead back to one that was read".into())));
            }
            if visited.len() == bounds.pages {
                return Ok(pile.whole(Some(format!("it has more than {} pages", bounds.pages))));
            }
            url = next;
        }
    }

    /// One dataset of another connector.
    ///
    /// # Errors
    /// 502 when it cannot be had.
    pub async fn fetch_dataset(&self, who: &Participant, address: &str, id: &str) -> Result<Value, Fault> {
        let url = format!("{}/catalog/datasets/{}", address.trim_end_matches('/'), crate::connector::segment(id));
        let answer = self.ask(who, OutRequest::get(url), Bounds::ASKED.page).await?;
        self.offered(&answer.body).await?.map_err(|e| failed(&e.to_string()))
    }

    /// What is offered, in the short form of the protocol. A policy that is not understood whole is not shown in part.
    async fn offered(&self, body: &[u8]) -> Result<serde_json::Result<Value>, Fault> {
        let short = crate::foreign::short(&self.0.contexts, body, false).await.map_err(|fault| refused(&fault.detail))?;
        Ok(short.map_or_else(|| serde_json::from_slice(body), Ok))
    }

    async fn ask(&self, who: &Participant, request: OutRequest, most: usize) -> Result<InResponse, Fault> {
        if who.address.is_some() && !who.owns(&request.url) {
            return Err(Fault::bad("/counterPartyAddress", "it is not at the connector that this participant is registered with"));
        }
        let request = request.deadline(DEADLINE).max_response(most).template("dsp catalog");
        let request = self.identity().show(request, &self.config(), who);
        let answer = self.0.client.send(request).await.map_err(|e| match e.kind {
            CallErrorKind::TooLarge | CallErrorKind::BadAnswer | CallErrorKind::Redirect => refused(&e.to_string()),
            _ => failed(&e.to_string()),
        })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let told = crate::client::said(&self.answered(&answer.body).await);
        Err(failed(&format!("status {}{told}", answer.status.as_u16())))
    }
}

fn failed(detail: &str) -> Fault {
    Fault::new(502, "counterpart-failed", "", format!("the other connector: {detail}"))
}

fn refused(detail: &str) -> Fault {
    Fault::new(502, "catalog-refused", "", format!("the other connector's catalogue is not taken: {detail}"))
}

/// Scheme, host and port of an address, as they are written.
pub(crate) fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    Some(format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default()))
}

/// The address that `link` names on the page at `url`. Of relative ones only those from the root are understood; others stay as they are, and
/// are found to lie elsewhere.
pub(crate) fn beside(url: &str, link: &str) -> String {
    match origin(url) {
        Some(root) if link.starts_with('/') && !link.starts_with("//") => format!("{root}{link}"),
        _ => link.to_owned(),
    }
}

/// The address of the next page, when a `Link` header's value has it.
pub(crate) fn next_page(link: &str) -> Option<String> {
    link.split(',').find_map(|part| {
        let (address, rest) = part.trim().strip_prefix('<')?.split_once('>')?;
        let next = rest.split(';').any(|p| matches!(p.trim(), "rel=\"next\"" | "rel=next"));
        next.then(|| address.to_owned())
    })
}
