//! The protocol's endpoints. Each side of a process is found by its own identifier, so provider and consumer share one base.

use crate::catalog;
use crate::connector::Connector;
use crate::decode::{MAX_MESSAGE, Message, json_only};
use crate::fault::{ErrorKind, Fault};
use crate::machine::{NegotiationMessage, Role, TransferMessage};
use crate::vocab::{CONTEXT, VERSION};
use serde_json::{Value, json};
use std::time::Duration;
use waybill_http::{Method, Request, Response, RouteOptions, Router, header};

/// Where the protocol is served, below the hub's base URL.
pub const PATH: &str = "/dsp/2025-1";
/// Datasets on one page of the catalogue.
const PAGE: usize = 100;
/// How long a question for a state waits for the answer to a message that is under way.
const SETTLE: Duration = Duration::from_millis(25);
const SETTLE_TIMES: u32 = 80;

/// The routes of the protocol.
pub fn routes(connector: &Connector) -> Router {
    let options = RouteOptions { max_body: Some(MAX_MESSAGE), own_auth: true, always: false };
    let mut router = Router::new();
    // What the server refuses before a handler sees it, such as a body that is too large, is told in the protocol's own form as well.
    for (part, kind) in [
        ("2025-1/catalog", ErrorKind::Catalog),
        ("2025-1/negotiations", ErrorKind::Negotiation),
        ("2025-1/transfers", ErrorKind::Transfer),
        ("token", ErrorKind::Transfer),
        ("deletions", ErrorKind::Transfer),
    ] {
        router = router.errors(&format!("/dsp/{part}"), move |problem| Fault::from(problem.clone()).answer(kind, ("", "")));
    }
    macro_rules! route {
        ($method:ident, $path:expr, $handler:ident $(, $extra:expr)*) => {
            let this = connector.clone();
            router = router.route_with(Method::$method, &format!("{PATH}{}", $path), options, move |request| {
                let this = this.clone();
                async move { Ok(this.$handler(request $(, $extra)*).await) }
            });
        };
    }
    route!(POST, "/catalog/request", answer_catalog);
    route!(GET, "/catalog/datasets/{id}", answer_dataset);
    route!(POST, "/negotiations/request", answer_first, NegotiationMessage::Request);
    route!(POST, "/negotiations/offers", answer_first, NegotiationMessage::Offer);
    route!(GET, "/negotiations/{pid}", answer_negotiation);
    for (tail, kind, name) in [
        ("request", NegotiationMessage::Request, "ContractRequestMessage"),
        ("offers", NegotiationMessage::Offer, "ContractOfferMessage"),
        ("agreement", NegotiationMessage::Agreement, "ContractAgreementMessage"),
        ("agreement/verification", NegotiationMessage::Verification, "ContractAgreementVerificationMessage"),
        ("termination", NegotiationMessage::Termination, "ContractNegotiationTerminationMessage"),
    ] {
        route!(POST, format!("/negotiations/{{pid}}/{tail}"), answer_in_negotiation, Some(kind), name);
    }
    route!(POST, "/negotiations/{pid}/events", answer_in_negotiation, None, "ContractNegotiationEventMessage");
    route!(POST, "/transfers/request", answer_transfer_request);
    route!(GET, "/transfers/{pid}", answer_transfer);
    for (tail, kind, name) in [
        ("start", TransferMessage::Start, "TransferStartMessage"),
        ("suspension", TransferMessage::Suspension, "TransferSuspensionMessage"),
        ("completion", TransferMessage::Completion, "TransferCompletionMessage"),
        ("termination", TransferMessage::Termination, "TransferTerminationMessage"),
    ] {
        route!(POST, format!("/transfers/{{pid}}/{tail}"), answer_in_transfer, kind, name);
    }
    let this = connector.clone();
    router = router.route_with(Method::POST, "/dsp/token", RouteOptions { max_body: Some(16 * 1024), own_auth: true, always: false }, move |request| {
        let this = this.clone();
        async move { Ok(this.answer_token(&request).await) }
    });
    let this = connector.clone();
    router = router.route_with(Method::GET, "/dsp/deletions/{pid}", RouteOptions { own_auth: true, ..RouteOptions::default() }, move |request| {
        let this = this.clone();
        async move { Ok(this.answer_deletions(&request).await) }
    });
    let this = connector.clone();
    router = router.route_with(Method::POST, "/dsp/deletions/{pid}", RouteOptions { max_body: Some(64 * 1024), own_auth: true, always: false }, move |request| {
        let this = this.clone();
        async move { Ok(this.take_deletions_answer(&request).await) }
    });
    let this = connector.clone();
    router.route_with(Method::GET, "/.well-known/dspace-version", RouteOptions { own_auth: true, ..RouteOptions::default() }, move |_| {
        let versions = this.versions();
        async move { Ok(Response::json(200, &versions)) }
    })
}

impl Connector {
    /// The message of a request, in any form of JSON-LD.
    async fn message(&self, request: &Request, kind: &str) -> Result<Message, Fault> {
        json_only(request)?;
        crate::foreign::read(&self.0.contexts, &request.body, kind).await
    }

    /// The versions this hub speaks.
    fn versions(&self) -> Value {
        let mut entry = json!({"version": VERSION, "path": PATH, "binding": "HTTPS", "serviceId": self.config().participant});
        if let Some((protocol, version)) = self.identity().protocol() {
            entry["auth"] = json!({"protocol": protocol, "version": version});
        }
        json!({"protocolVersions": [entry]})
    }

    /// A refresh token, in a form or in JSON, for a new pair (RFC 6749, section 6).
    async fn answer_token(&self, request: &Request) -> Response {
        let json = || {
            waybill_http::strict::once(&request.body).ok()?;
            let body: Value = serde_json::from_slice(&request.body).ok()?;
            body.get("refreshToken").or_else(|| body.get("refresh_token"))?.as_str().map(str::to_owned)
        };
        let form = || std::str::from_utf8(&request.body).ok().and_then(|t| waybill_http::Query::parse(t).ok()).and_then(|q| q.get("refresh_token").map(str::to_owned));
        let Some(refresh) = json().or_else(form) else {
            return Fault::bad("/refreshToken", "it is expected once, as a text, in a JSON object or in a form").answer(ErrorKind::Transfer, ("", ""));
        };
        match self.renew(&refresh).await {
            Ok(tokens) => Response::json(200, &tokens).with(header::CACHE_CONTROL, "no-store"),
            Err(fault) => fault.answer(ErrorKind::Transfer, ("", "")),
        }
    }

    /// What the consumer of a transfer was given and may not see any more, behind the cursor `since`. It is told as long as its token is not
    /// expired, also while the transfer rests or is over: that something is to be deleted is no secret from who has it.
    async fn answer_deletions(&self, request: &Request) -> Response {
        let answer = async {
            let scope = self.scope_by_token(bearer(request), request.param("pid")).await?.ok_or_else(Fault::missing)?;
            let limit = match request.query.get("limit") {
                None => PAGE,
                Some(text) => text.parse().map_err(|_| Fault::bad("limit", "it must be a whole number"))?,
            };
            let heartbeat = match &scope.recipient {
                Some(party) => self.hub().heartbeat_for(party).await?,
                None => None,
            };
            let gone = self.hub().gone(&scope, request.query.get("since"), limit.clamp(1, 1000)).await?;
            let list: Vec<Value> = gone.get().iter().map(|g| json!({"id": g.id, "deletedAt": g.gone_at, "cursor": g.cursor})).collect();
            let mut page = json!({"deletions": list});
            if list.len() == limit.clamp(1, 1000) {
                // For `since`: there may be more.
                page["next"] = list[list.len() - 1]["cursor"].clone();
            } else {
                // Whoever has carried out a list that ends here knows of all that was withdrawn before it was looked for.
                page["heartbeat"] = heartbeat.into();
            }
            Ok(Response::json(200, &page).with(header::CACHE_CONTROL, "no-store"))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Transfer, ("", "")))
    }

    /// The consumer's signed answer that it deleted what it was told of: an [`waybill_consent::Acknowledgement`] as a compact JWS, whose event is
    /// the cursor of the last entry that it carried out. It can only be verified of a participant whose hub is configured.
    async fn take_deletions_answer(&self, request: &Request) -> Response {
        let answer = async {
            let pid = request.param("pid");
            let scope = self.scope_by_token(bearer(request), pid).await?.ok_or_else(Fault::missing)?;
            let participant = self.transfer(pid).await?.map(|t| t.talk.participant).unwrap_or_default();
            let hub = self.config().participant(&participant).and_then(|who| who.hub.clone());
            let unverifiable = "the answer cannot be verified: the operator here has to configure the participant's `hub`, where its keys are";
            let hub = hub.ok_or_else(|| Fault::new(403, "acknowledgement-unverifiable", "", unverifiable))?;
            let text = std::str::from_utf8(&request.body).map_err(|_| Fault::bad("", "the body is not a compact JWS"))?.trim();
            self.hub().take_deletion_answer(&scope, &hub, text).await?;
            Ok(Response::empty(202))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Transfer, ("", "")))
    }

    async fn answer_catalog(&self, request: Request) -> Response {
        let answer = async {
            let who = self.who(&request).await?;
            let asked = self.message(&request, "CatalogRequestMessage").await?.filter()?;
            let number = |name: &str, otherwise: usize| match request.query.get(name) {
                None => Ok(otherwise),
                Some(text) => text.parse().map_err(|_| Fault::bad(name, "it must be a whole number")),
            };
            let (offset, limit) = (number("offset", asked.0.unwrap_or(0))?, number("limit", asked.1.unwrap_or(PAGE))?.clamp(1, PAGE));
            let config = self.config();
            let (page, more) = catalog::page(&config, &who, offset, limit);
            let mut response = Response::json(200, &page);
            let link = |at: usize, rel: &str| format!("<{}/catalog/request?offset={at}&limit={limit}>; rel=\"{rel}\"", config.address());
            if more {
                response = response.with(header::LINK, link(offset + limit, "next"));
            }
            if offset > 0 {
                response = response.with(header::LINK, link(offset.saturating_sub(limit), "previous"));
            }
            Ok(response)
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Catalog, ("", "")))
    }

    async fn answer_dataset(&self, request: Request) -> Response {
        let answer = async {
            let who = self.who(&request).await?;
            let config = self.config();
            let found: Vec<_> = config.offered(request.param("id"), &who).collect();
            let (first, more) = found.split_first().ok_or_else(Fault::missing)?;
            let mut dataset = catalog::dataset(&config, first, more);
            dataset["@context"] = json!([CONTEXT]);
            Ok(Response::json(200, &dataset))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Catalog, ("", "")))
    }

    async fn answer_first(&self, request: Request, kind: NegotiationMessage) -> Response {
        let answer = async {
            let who = self.who(&request).await?;
            let begun = if kind == NegotiationMessage::Request {
                self.take_request(&who, &self.message(&request, "ContractRequestMessage").await?).await?
            } else {
                self.take_offer(&who, &self.message(&request, "ContractOfferMessage").await?).await?
            };
            // What the process is answered with is where this message led, whatever was decided on it.
            let mut body = Self::negotiation_body(&begun);
            body["state"] = if kind == NegotiationMessage::Request { "REQUESTED" } else { "OFFERED" }.into();
            Ok(Response::json(201, &body))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Negotiation, named(&request)))
    }

    async fn answer_negotiation(&self, request: Request) -> Response {
        let pid = request.param("pid").to_owned();
        let answer = async {
            let who = self.who(&request).await.map_err(|_| Fault::missing())?;
            self.settled(&pid).await;
            let found = self.negotiation(&pid).await?.filter(|n| n.talk.participant == who.id).ok_or_else(Fault::missing)?;
            Ok(Response::json(200, &Self::negotiation_body(&found)))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Negotiation, (&pid, "")))
    }

    async fn answer_in_negotiation(&self, request: Request, kind: Option<NegotiationMessage>, name: &'static str) -> Response {
        let pid = request.param("pid").to_owned();
        let read = async {
            let who = self.who(&request).await.map_err(|_| Fault::missing())?;
            let there = self.negotiation(&pid).await?.filter(|n| n.talk.participant == who.id).ok_or_else(Fault::missing)?;
            let said = self.message(&request, name).await?;
            // Which event it is follows from who may say which.
            let kind = kind.unwrap_or(if there.talk.role == Role::Provider { NegotiationMessage::Accepted } else { NegotiationMessage::Finalized });
            Ok((who, said, kind))
        };
        let (who, said, kind) = match read.await {
            Ok(read) => read,
            Err(fault) => return Fault::answer(&fault, ErrorKind::Negotiation, (&pid, "")),
        };
        match self.take_in_negotiation(&who, &pid, kind, &said).await {
            Ok(after) => Response::json(200, &Self::negotiation_body(&after)),
            Err((fault, there)) => {
                let pids = there.as_ref().map_or((pid.as_str(), ""), |n| n.talk.pids());
                fault.answer(ErrorKind::Negotiation, pids)
            }
        }
    }

    async fn answer_transfer_request(&self, request: Request) -> Response {
        let answer = async {
            let who = self.who(&request).await?;
            let begun = self.take_transfer_request(&who, &self.message(&request, "TransferRequestMessage").await?).await?;
            let mut body = Self::transfer_body(&begun);
            body["state"] = "REQUESTED".into();
            Ok(Response::json(201, &body))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Transfer, named(&request)))
    }

    async fn answer_transfer(&self, request: Request) -> Response {
        let pid = request.param("pid").to_owned();
        let answer = async {
            let who = self.who(&request).await.map_err(|_| Fault::missing())?;
            self.settled(&pid).await;
            let found = self.transfer(&pid).await?.filter(|t| t.talk.participant == who.id).ok_or_else(Fault::missing)?;
            Ok(Response::json(200, &Self::transfer_body(&found)))
        };
        answer.await.unwrap_or_else(|fault: Fault| fault.answer(ErrorKind::Transfer, (&pid, "")))
    }

    async fn answer_in_transfer(&self, request: Request, kind: TransferMessage, name: &'static str) -> Response {
        let pid = request.param("pid").to_owned();
        let read = async {
            let who = self.who(&request).await.map_err(|_| Fault::missing())?;
            self.transfer(&pid).await?.filter(|t| t.talk.participant == who.id).ok_or_else(Fault::missing)?;
            Ok((who, self.message(&request, name).await?))
        };
        let (who, said) = match read.await {
            Ok(read) => read,
            Err(fault) => return Fault::answer(&fault, ErrorKind::Transfer, (&pid, "")),
        };
        match self.take_in_transfer(&who, &pid, kind, &said).await {
            Ok(after) => Response::json(200, &Self::transfer_body(&after)),
            Err((fault, there)) => {
                let pids = there.as_ref().map_or((pid.as_str(), ""), |t| t.talk.pids());
                fault.answer(ErrorKind::Transfer, pids)
            }
        }
    }

    /// Waits until no message of the process is under way, for a while.
    async fn settled(&self, pid: &str) {
        for _ in 0..SETTLE_TIMES {
            if !self.flights().contains(pid) {
                return;
            }
            tokio::time::sleep(SETTLE).await;
        }
    }
}

/// The token that a request shows.
fn bearer(request: &Request) -> &str {
    request.header(header::AUTHORIZATION).map(|t| t.strip_prefix("Bearer ").unwrap_or(t).trim()).unwrap_or_default()
}

/// What an error to a first message can name: the sender's identifier is in the body, which may be anything.
fn named(_: &Request) -> (&'static str, &'static str) {
    ("", "")
}
