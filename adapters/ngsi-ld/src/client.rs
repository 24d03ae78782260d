//! The client: the hub at another broker, of whatever make.
//!
//! It asks without an @context, so that names come as full IRIs and nothing needs to be fetched, and sends full IRIs under the core
//! @context unless the connection names one.

use crate::config::BrokerConfig;
use crate::negotiate;
use crate::subscription::Subscription;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use waybill_context::{Context, ContextPlace, Contexts, DEPTH, Document, EncodeOptions, Options, encode_entity};
use waybill_http::{Auth, CallError, CallErrorKind, Client, InResponse, Method, OutRequest, encode_component, header};
use waybill_model::{DateTime, EntityDoc, Iri};

/// A broker.
#[derive(Debug, Clone)]
pub struct Broker {
    client: Client,
    config: BrokerConfig,
    auth: Auth,
    contexts: Contexts,
}

/// Why an item of a batch failed, as the broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemError {
    /// The Entity.
    pub id: String,
    /// What kind of problem the broker named, or its title.
    pub reason: String,
    /// The status it named.
    pub status: Option<u16>,
}

/// What came of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Those that failed; all others were taken.
    pub errors: Vec<ItemError>,
}

/// One page of Entities.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The Entities that could be read.
    pub docs: Vec<EntityDoc>,
    /// How many could not, with the reason of the first; nothing is left out in silence.
    pub unreadable: Vec<String>,
    /// The number of all, when the broker told it.
    pub total: Option<u64>,
}

impl Page {
    /// The Entities of an answer that is an array of them, with whatever @context it names; `origin` is whose it is, for errors.
    ///
    /// # Errors
    /// An answer that is no array, or whose @context cannot be had.
    pub async fn read(contexts: &Contexts, answer: &InResponse, origin: &str, now: DateTime) -> Result<Self, CallError> {
        let document = Document::read(&answer.body, DEPTH).map_err(|e| CallError::bad_answer(origin, e.to_string()))?;
        let mut page = Self { total: answer.header("ngsild-results-count").and_then(|t| t.parse().ok()), ..Self::default() };
        let Some(items) = document.root().items() else { return Err(CallError::bad_answer(origin, "the answer is no array")) };
        for item in items {
            let context = answer_context(contexts, answer, origin, item.context()).await?;
            match item.entity(&context, &Options::new(now).keep_times()) {
                Ok(doc) => page.docs.push(doc),
                Err(e) => page.unreadable.push(e.to_string()),
            }
        }
        Ok(page)
    }
}

/// The @context that an answer's names are read with: its own, a Link header's, else the core's.
async fn answer_context(contexts: &Contexts, answer: &InResponse, origin: &str, inside: Option<Value>) -> Result<Arc<Context>, CallError> {
    let named = match inside {
        Some(value) => Some(value),
        None => negotiate::context_link(&answer.headers).ok().flatten().map(Value::String),
    };
    match named {
        None => Ok(contexts.core()),
        Some(value) => contexts.resolve(&value).await.map_err(|e| CallError::bad_answer(origin, e.to_string())),
    }
}

impl Broker {
    /// A broker reached through `client`.
    pub fn new(client: Client, config: BrokerConfig, contexts: Contexts) -> Self {
        let auth = config.auth.to_auth();
        Self { client, config, auth, contexts }
    }
    /// The configuration.
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    fn request(&self, method: Method, path: &str) -> OutRequest {
        let mut out = OutRequest::new(method, format!("{}{path}", self.config.base()))
            .auth(self.auth.clone())
            .deadline(self.config.deadline())
            .header(header::ACCEPT, "application/ld+json")
            .template("ngsi-ld.broker");
        if let Some(tenant) = self.config.tenant.as_ref().filter(|t| !t.as_str().is_empty()) {
            out = out.header(crate::server::call::TENANT, tenant.as_str());
        }
        out
    }

    fn with_json(&self, method: Method, path: &str, body: Vec<u8>) -> OutRequest {
        self.request(method, path).header(header::CONTENT_TYPE, "application/ld+json").body(body)
    }

    async fn out_context(&self) -> Result<Arc<Context>, CallError> {
        match &self.config.context {
            None => Ok(self.contexts.core()),
            Some(url) => {
                let resolved = self.contexts.resolve(&Value::String(url.clone())).await;
                resolved.map_err(|e| CallError::bad_answer(&self.config.url, e.to_string()))
            }
        }
    }

    fn encoded(context: &Context, docs: &[EntityDoc]) -> Vec<u8> {
        let options = EncodeOptions { context: ContextPlace::Body, ..EncodeOptions::default() };
        let mut body = vec![b'['];
        for (i, doc) in docs.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            encode_entity(context, doc, &options, &mut body);
        }
        body.push(b']');
        body
    }

    /// Creates one Entity.
    ///
    /// # Errors
    /// Status 409 when it is there already; what else the call meets.
    pub async fn create(&self, doc: &EntityDoc) -> Result<(), CallError> {
        let context = self.out_context().await?;
        let options = EncodeOptions { context: ContextPlace::Body, ..EncodeOptions::default() };
        let mut body = Vec::new();
        encode_entity(&context, doc, &options, &mut body);
        self.client.send(self.with_json(Method::POST, "/entities", body)).await?.success().map(drop)
    }

    /// Creates or replaces Entities, in batches of the configured size.
    ///
    /// # Errors
    /// What the first failing batch meets; items that the broker refuses are in the outcome instead.
    pub async fn upsert(&self, docs: &[EntityDoc]) -> Result<BatchOutcome, CallError> {
        let context = self.out_context().await?;
        let mut outcome = BatchOutcome::default();
        for part in docs.chunks(self.config.batch.max(1)) {
            let body = Self::encoded(&context, part);
            let answer = self.client.send(self.with_json(Method::POST, "/entityOperations/upsert?options=replace", body)).await?.success()?;
            outcome.errors.extend(item_errors(&answer)?);
        }
        Ok(outcome)
    }

    /// Deletes Entities. Those that are not there count as deleted.
    ///
    /// # Errors
    /// As [`Self::upsert`].
    pub async fn delete(&self, ids: &[Iri]) -> Result<BatchOutcome, CallError> {
        let mut outcome = BatchOutcome::default();
        for part in ids.chunks(self.config.batch.max(1)) {
            let body = serde_json::to_vec(part).unwrap_or_default();
            let request = self.request(Method::POST, "/entityOperations/delete").header(header::CONTENT_TYPE, "application/json").body(body);
            let answer = self.client.send(request).await?;
            if answer.status.as_u16() == 404 {
                continue;
            }
            let errors = item_errors(&answer.success()?)?;
            outcome.errors.extend(errors.into_iter().filter(|e| e.status != Some(404) && !e.reason.ends_with("ResourceNotFound")));
        }
        Ok(outcome)
    }

    /// Deletes instances of an Attribute; one that is not there counts as deleted.
    ///
    /// # Errors
    /// What the call meets.
    pub async fn delete_attribute(&self, id: &Iri, name: &str) -> Result<(), CallError> {
        let path = format!("/entities/{}/attrs/{}?deleteAll=true", encode_component(id.as_str()), encode_component(name));
        let answer = self.client.send(self.request(Method::DELETE, &path)).await?;
        if answer.status.as_u16() == 404 { Ok(()) } else { answer.success().map(drop) }
    }

    /// One Entity, or nothing when the broker has none.
    ///
    /// # Errors
    /// What the call meets; also an answer that is no Entity.
    pub async fn retrieve(&self, id: &Iri, now: DateTime) -> Result<Option<EntityDoc>, CallError> {
        let answer = self.client.send(self.request(Method::GET, &format!("/entities/{}", encode_component(id.as_str())))).await?;
        if answer.status.as_u16() == 404 {
            return Ok(None);
        }
        let answer = answer.success()?;
        let unreadable = |why: String| CallError::bad_answer(&self.config.url, why);
        let document = Document::read(&answer.body, DEPTH).map_err(|e| unreadable(e.to_string()))?;
        let context = answer_context(&self.contexts, &answer, &self.config.url, document.root().context()).await?;
        document.root().entity(&context, &Options::new(now).keep_times()).map(Some).map_err(|e| unreadable(e.to_string()))
    }

    /// A page of the Entities that `parameters` select (names and values, not yet encoded).
    ///
    /// # Errors
    /// What the call meets; an answer that is no array.
    pub async fn query(&self, parameters: &[(&str, &str)], limit: usize, offset: usize, now: DateTime) -> Result<Page, CallError> {
        let mut path = format!("/entities?limit={limit}&offset={offset}&count=true");
        for (name, value) in parameters {
            path.extend(["&", &encode_component(name), "=", &encode_component(value)]);
        }
        let answer = self.client.send(self.request(Method::GET, &path)).await?.success()?;
        Page::read(&self.contexts, &answer, &self.config.url, now).await
    }

    /// All pages of a query.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn query_all(&self, parameters: &[(&str, &str)], now: DateTime) -> Result<Page, CallError> {
        let limit = self.config.batch.clamp(1, 1000);
        let mut all = Page::default();
        loop {
            let offset = all.docs.len() + all.unreadable.len();
            let page = self.query(parameters, limit, offset, now).await?;
            let got = page.docs.len() + page.unreadable.len();
            all.docs.extend(page.docs);
            all.unreadable.extend(page.unreadable);
            all.total = page.total.or(all.total);
            if got < limit {
                return Ok(all);
            }
        }
    }

    /// Makes or replaces the subscription `id` there, for Entities of `types` (expanded), notifying `inbox`.
    ///
    /// # Errors
    /// What the calls meet.
    pub async fn subscribe(&self, id: &Iri, types: &[Iri], inbox: &str, headers: &[(String, String)]) -> Result<(), CallError> {
        let entities: Vec<Value> = types.iter().map(|t| json!({ "type": t })).collect();
        let receiver: Vec<Value> = headers.iter().map(|(k, v)| json!({"key": k, "value": v})).collect();
        let mut endpoint = json!({"uri": inbox, "accept": "application/ld+json"});
        if !receiver.is_empty() {
            endpoint["receiverInfo"] = Value::Array(receiver);
        }
        let body = json!({
            "@context": self.contexts.core().user(), "id": id, "type": "Subscription", "entities": entities,
            "notification": {"format": "normalized", "endpoint": endpoint},
        });
        // What we send must be what our own server would take.
        debug_assert!(Subscription::create(&body, &self.contexts.core(), DateTime::from_micros(0)).is_ok());
        let path = format!("/subscriptions/{}", encode_component(id.as_str()));
        let gone = self.client.send(self.request(Method::DELETE, &path)).await?;
        if !gone.status.is_success() && gone.status.as_u16() != 404 {
            gone.success()?;
        }
        self.client.send(self.with_json(Method::POST, "/subscriptions", body.to_string().into_bytes())).await?.success().map(drop)
    }

    /// Ends the subscription `id`; one that is not there counts as ended.
    ///
    /// # Errors
    /// What the call meets.
    pub async fn unsubscribe(&self, id: &Iri) -> Result<(), CallError> {
        let answer = self.client.send(self.request(Method::DELETE, &format!("/subscriptions/{}", encode_component(id.as_str())))).await?;
        if answer.status.as_u16() == 404 { Ok(()) } else { answer.success().map(drop) }
    }

    /// Asks for nothing, to see whether the broker answers.
    ///
    /// # Errors
    /// What the call meets.
    pub async fn probe(&self) -> Result<(), CallError> {
        self.client.send(self.request(Method::GET, "/types?limit=1")).await.and_then(|answer| {
            // A broker that does not know the resource still is one that answers.
            if answer.status.is_server_error() || matches!(answer.status.as_u16(), 401 | 403) { answer.success().map(drop) } else { Ok(()) }
        })
    }

    /// Posts a notification, or any other prepared request.
    ///
    /// # Errors
    /// What the call meets, a status other than 2xx among it.
    pub async fn post(client: &Client, request: OutRequest) -> Result<(), CallError> {
        client.send(request).await?.success().map(drop)
    }
}

/// The errors in a 207 (clause 5.2.16).
fn item_errors(answer: &InResponse) -> Result<Vec<ItemError>, CallError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        #[serde(default)]
        entity_id: String,
        #[serde(default)]
        error: Value,
    }
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<Entry>,
    }
    if answer.status.as_u16() != 207 {
        return Ok(Vec::new());
    }
    let body: Body = answer.json()?;
    let read = |e: Entry| {
        let text = |name: &str| e.error.get(name).and_then(Value::as_str).map(str::to_owned);
        let status = e.error.get("status").and_then(Value::as_u64).and_then(|s| u16::try_from(s).ok());
        ItemError { reason: text("type").or_else(|| text("title")).unwrap_or_else(|| "unknown".to_owned()), status, id: e.entity_id }
    };
    Ok(body.errors.into_iter().map(read).collect())
}

/// Whether a failed call is worth another attempt.
pub fn is_retryable(error: &CallError) -> bool {
    match error.kind {
        CallErrorKind::Status(status) => matches!(status, 408 | 425 | 429) || status >= 500,
        _ => error.is_retryable(),
    }
}
