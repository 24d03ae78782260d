//! The data plane: where the data of a started transfer can be had, by which token, and what becomes of it when people change their minds.
//!
//! Data itself leaves through the hub's NGSI-LD interface, or through a follower, under the agreement's licence: the gate decides each
//! request and each delivery anew. What is here gives tokens out, knows them again, and keeps each transfer in the state that fits.

use crate::config::{DspConfig, Offering, Participant};
use crate::connector::Connector;
use crate::decode::DataAddress;
use crate::fault::Fault;
use crate::machine::{Role, TransferState};
use crate::process::{Agreed, Failure, Transfer};
use crate::vocab::{EDC, Format, HTTP_ENDPOINT, WAYBILL};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use waybill_gate::Licence;
use waybill_http::{Caller, Credential, ResolveToken, Resolved, Tenants, encode_component, problems};
use waybill_model::{DateTime, Iri, Principal, Problem, ProblemCode, Scope, TenantId};

/// The names of a process's tokens. Those of one kind open nothing of another.
pub(crate) struct TokenKind {
    pub access: &'static str,
    pub refresh: &'static str,
}
/// Of a transfer process.
const TRANSFER: TokenKind = TokenKind { access: "waybill-transfer+jwt", refresh: "waybill-refresh+jwt" };
/// Of a data flow that another control plane signals.
pub(crate) const FLOW: TokenKind = TokenKind { access: "waybill-flow+jwt", refresh: "waybill-flow-refresh+jwt" };
/// How many times longer than a token the right to renew it lasts.
pub(crate) const REFRESH_TIMES: i64 = 12;

/// Why a transfer rests that the hub itself put to rest.
pub(crate) const NOBODY_LEFT: &str = "nobody-left";

/// What a token says. It is good while the transfer is in the start that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    /// The transfer process, or the data flow.
    pub tid: String,
    /// Which start.
    pub start: u64,
    /// Seconds.
    iat: i64,
    exp: i64,
    /// Makes of two that are given in one second two.
    #[serde(default)]
    jti: String,
}

/// A fresh token and the one that renews it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// To be sent for a new pair.
    pub refresh_token: String,
    /// Seconds.
    pub expires_in: i64,
}

impl Connector {
    /// Tokens of `kind` for a start of a process: its identifier, and which start.
    pub(crate) fn issue(&self, kind: &TokenKind, (id, start): (&str, u64), lasts: i64, until: Option<DateTime>, now: DateTime) -> Tokens {
        let config = self.config();
        let seconds = now.seconds();
        let last = until.map_or(i64::MAX, DateTime::seconds);
        let claims = |lasts: i64| Claims {
            iss: config.base_url.clone(),
            tid: id.to_owned(),
            start,
            iat: seconds,
            exp: (seconds + lasts).min(last),
            jti: waybill_keys::hex(&waybill_keys::random::<12>()),
        };
        let keys = self.hub().keys();
        let token = waybill_keys::jws::sign(keys.active(), kind.access, &claims(lasts));
        let refresh = waybill_keys::jws::sign(keys.active(), kind.refresh, &claims(config.limits.token_seconds * REFRESH_TIMES));
        Tokens { access_token: token, refresh_token: refresh, expires_in: lasts }
    }

    fn issue_for(&self, transfer: &Transfer, until: Option<DateTime>, now: DateTime) -> Tokens {
        self.issue(&TRANSFER, (&transfer.talk.id, transfer.generation), self.config().limits.token_seconds, until, now)
    }

    /// Where the consumer gets the data of a transfer that starts, with a fresh token; nothing where the hub sends.
    pub(crate) fn grant_address(&self, transfer: &Transfer, now: DateTime) -> Option<DataAddress> {
        let config = self.config();
        let base = &config.base_url;
        let endpoint = match transfer.form()? {
            Format::Pull => {
                let types = config.offering(&transfer.dataset).map(|o| o.types.iter().map(|t| encode_component(t.as_str())).collect::<Vec<_>>().join(",")).unwrap_or_default();
                format!("{base}/ngsi-ld/v1/entities?type={types}")
            }
            Format::Query => format!("{base}/ngsi-ld/v1"),
            Format::Push | Format::Feed => return None,
        };
        // Of several sets of terms the one that lasts longest: a token opens nothing once its agreement is over.
        let offered = config.participant(&transfer.talk.participant).into_iter().flat_map(|who| config.offered(&transfer.dataset, who));
        let until = offered.map(|o| o.until).reduce(|a, b| Some(a?.max(b?))).flatten();
        let tokens = self.issue_for(transfer, until, now);
        let mut properties = vec![
            ("authorization".to_owned(), tokens.access_token.clone()),
            ("authType".to_owned(), "bearer".to_owned()),
            ("expiresIn".to_owned(), tokens.expires_in.to_string()),
            ("refreshToken".to_owned(), tokens.refresh_token),
            ("refreshEndpoint".to_owned(), format!("{base}/dsp/token")),
            deletions(base, &transfer.talk.id),
        ];
        // The Eclipse EDC reads what it knows under its own names.
        properties.push((format!("{EDC}endpoint"), endpoint.clone()));
        properties.push((format!("{EDC}endpointType"), HTTP_ENDPOINT.to_owned()));
        properties.push((format!("{EDC}authType"), "bearer".to_owned()));
        properties.push((format!("{EDC}authorization"), tokens.access_token));
        Some(DataAddress { endpoint_type: HTTP_ENDPOINT.to_owned(), endpoint: Some(endpoint), properties })
    }

    pub(crate) fn claims(&self, token: &str, kind: &str) -> Option<Claims> {
        self.claims_once(token, kind).filter(|claims| claims.exp > self.now().seconds())
    }

    /// The same of a token whose time may be over.
    pub(crate) fn claims_once(&self, token: &str, kind: &str) -> Option<Claims> {
        let verified = waybill_keys::jws::verify(token, kind, &self.hub().keys().key_set(), self.now()).ok()?;
        let claims: Claims = verified.claims().ok()?;
        (claims.iss == self.config().base_url).then_some(claims)
    }

    /// The transfer that a token opens now.
    async fn opened(&self, claims: &Claims) -> Result<Option<(Transfer, Agreed)>, Fault> {
        let Some(transfer) = self.transfer(&claims.tid).await? else { return Ok(None) };
        // A start that was said and not answered yet counts: the other side may have its token already.
        let started = transfer.state == Some(TransferState::Started) || transfer.after_pending() == Some(TransferState::Started);
        let leaving = transfer.talk.pending.is_some() && transfer.after_pending() != Some(TransferState::Started);
        if transfer.talk.role != Role::Provider || !started || leaving || transfer.generation != claims.start {
            return Ok(None);
        }
        let agreed = self.agreement(&transfer.agreement).await?.filter(|a| self.in_force(a) && a.participant == transfer.talk.participant);
        Ok(agreed.map(|agreed| (transfer, agreed)))
    }

    /// A new pair of tokens for the one that renews.
    ///
    /// # Errors
    /// 401 when it is not good any more.
    pub(crate) async fn renew(&self, refresh: &str) -> Result<Tokens, Fault> {
        let over = || Fault::new(401, "token-over", "", "this token renews nothing any more; the transfer's own messages say why");
        let claims = self.claims(refresh, TRANSFER.refresh).ok_or_else(over)?;
        let (transfer, agreed) = self.opened(&claims).await?.ok_or_else(over)?;
        Ok(self.issue_for(&transfer, agreed.until, self.now()))
    }

    /// The scope of what is asked under an agreement; nothing when the participant is not configured any more.
    pub(crate) fn scope_of(&self, agreed: &Agreed) -> Option<Scope> {
        let config = self.config();
        let who = config.participant(&agreed.participant)?;
        Some(Scope {
            tenant: TenantId::main(),
            principal: Principal::Client { client: Arc::from(who.id.as_str()), party: who.party.clone() },
            recipient: Some(who.party.clone()),
            purpose: agreed.purpose.clone(),
            agreement: Some(Iri::new(&agreed.id).ok()?),
        })
    }

    /// The scope a transfer's or data flow's own consumer has at the deletion endpoint.
    pub(crate) async fn scope_by_token(&self, token: &str, pid: &str) -> Result<Option<Scope>, Fault> {
        if let Some(claims) = self.claims(token, FLOW.access).filter(|c| c.tid == pid) {
            let found = self.data_flow(&claims.tid).await?.filter(|f| f.role == Role::Provider && !f.is_scripted());
            let Some(flow) = found else { return Ok(None) };
            return Ok(self.flow_agreed(&flow).await?.and_then(|agreed| self.scope_of(&agreed)));
        }
        let Some(claims) = self.claims(token, TRANSFER.access).filter(|c| c.tid == pid) else { return Ok(None) };
        let found = self.transfer(&claims.tid).await?.filter(|t| t.talk.role == Role::Provider);
        let Some(transfer) = found else { return Ok(None) };
        let Some(agreed) = self.agreement(&transfer.agreement).await? else { return Ok(None) };
        Ok(self.scope_of(&agreed))
    }

    /// The licence of an agreement over `offering` that `who` has.
    pub(crate) fn licence_of(offering: &Offering, who: &Participant, agreed: &Agreed) -> Option<Licence> {
        Some(Licence {
            id: Iri::new(&agreed.id).ok()?,
            tenant: TenantId::main(),
            participant: who.id.clone(),
            party: who.party.clone(),
            purposes: agreed.purpose.iter().cloned().collect(),
            dataset: offering.dataset.clone(),
            types: offering.types.clone(),
            ids: offering.ids.clone(),
            attributes: offering.attributes.clone(),
            open: !offering.personal,
            pairwise: offering.personal,
            from: None,
            until: agreed.until,
            ended: None,
        })
    }

    /// Looks at each running transfer of which this hub is the provider and brings it to the state that fits. Answers how many were changed.
    ///
    /// # Errors
    /// The store's.
    pub async fn tend(&self) -> Result<usize, Fault> {
        let mut changed = 0;
        let running: Vec<String> = self.running().iter().cloned().collect();
        for id in running {
            // One that cannot be looked after holds up no other.
            match self.look_after(&id).await {
                Ok(did) => changed += usize::from(did),
                Err(fault) => tracing::warn!(transfer = id, code = fault.code, "a transfer is not looked after: {}", fault.detail),
            }
        }
        Ok(changed + self.tend_flows().await?)
    }

    async fn look_after(&self, id: &str) -> Result<bool, Fault> {
        let Some(transfer) = self.transfer(id).await? else {
            self.running().remove(id);
            return Ok(false);
        };
        if transfer.talk.role != Role::Provider || matches!(transfer.talk.strategy, crate::config::Strategy::Scripted(_)) {
            self.running().remove(id);
            return Ok(false);
        }
        let gone = self.config().participant(&transfer.talk.participant).is_none();
        if gone && !transfer.state.is_some_and(TransferState::is_final) {
            return self.close_untold(&transfer).await.map(|()| true);
        }
        if transfer.state.is_some_and(TransferState::is_final) {
            self.rest_feed(&transfer).await?;
            self.running().remove(id);
            return Ok(false);
        }
        if transfer.talk.pending.is_none() { self.tend_one(&transfer).await } else { Ok(false) }
    }

    /// Ends a transfer of a participant that is configured no more. There is nobody to tell.
    async fn close_untold(&self, transfer: &Transfer) -> Result<(), Fault> {
        let reason = "the participant is not registered here any more";
        if let Some(agreed) = self.agreement(&transfer.agreement).await? {
            self.end_agreement(&agreed, reason).await?;
        }
        let own = Failure { code: "agreement-over".into(), reason: reason.to_owned(), side: Role::Provider };
        self.end_transfer_untold(&transfer.talk.id, own).await
    }

    async fn tend_one(&self, transfer: &Transfer) -> Result<bool, Fault> {
        let config = self.config();
        let agreed = self.agreement(&transfer.agreement).await?;
        let over = match &agreed {
            None => Some("there is no such agreement".to_owned()),
            Some(a) => self.over(&config, a),
        };
        let own = |code: &str, reason: String| Failure { code: code.into(), reason, side: Role::Provider };
        if let Some(reason) = over {
            if let Some(agreed) = &agreed {
                self.end_agreement(agreed, &reason).await?;
            }
            self.rest_feed(transfer).await?;
            self.act_in_transfer(&transfer.talk.id, "terminate", Some(own("agreement-over", reason))).await?;
            return Ok(true);
        }
        let Some((agreed, offering)) = agreed.as_ref().zip(config.offering(&transfer.dataset)) else { return Ok(false) };
        let Some(scope) = self.scope_of(agreed) else { return Ok(false) };
        let anyone = !offering.personal || self.hub().anyone_visible(&scope).await?;
        let rests = transfer.state == Some(TransferState::Suspended) && transfer.talk.failure.as_ref().is_some_and(|f| f.code == NOBODY_LEFT && f.side == Role::Provider);
        match transfer.state {
            Some(TransferState::Started) if !anyone => {
                let reason = "nobody whose data this is agrees to this purpose and recipient any more".to_owned();
                self.act_in_transfer(&transfer.talk.id, "suspend", Some(own(NOBODY_LEFT, reason))).await?;
                Ok(true)
            }
            Some(TransferState::Suspended) if rests && anyone => {
                self.act_in_transfer(&transfer.talk.id, "start", None).await?;
                Ok(true)
            }
            Some(TransferState::Started) => self.keep_flowing(transfer, offering, &scope).await,
            Some(TransferState::Suspended) => self.rest_feed(transfer).await.map(|()| false),
            _ => Ok(false),
        }
    }

    /// Why an agreement is over, when it is.
    pub(crate) fn over(&self, config: &DspConfig, agreed: &Agreed) -> Option<String> {
        if let Some(ended) = &agreed.ended {
            return Some(ended.reason.clone());
        }
        if agreed.until.is_some_and(|until| until <= self.now()) {
            return Some("the time that was agreed is over".into());
        }
        let Some(who) = config.participant(&agreed.participant) else { return Some("the participant is not registered here any more".into()) };
        let mut offered = config.offered(&agreed.dataset, who).peekable();
        if offered.peek().is_none() {
            return Some("the dataset is not offered to this participant any more".into());
        }
        let purpose = agreed.purpose.as_ref().is_none_or(|p| offered.any(|o| self.offered_for(o, p)));
        (!purpose).then(|| "the dataset is not offered for this purpose any more".into())
    }

    /// Whether a dataset is offered for `purpose`, or for a broader one.
    pub(crate) fn offered_for(&self, offering: &Offering, purpose: &Iri) -> bool {
        offering.purposes.iter().any(|broad| broad == purpose || self.covers(broad, purpose))
    }

    /// Whether `narrow` is part of `broad`, by the scheme of purposes that this hub goes by.
    pub(crate) fn covers(&self, broad: &Iri, narrow: &Iri) -> bool {
        let purposes = self.hub().governance().purposes.clone();
        purposes.covers(broad.as_str(), narrow.as_str(), purposes.version())
    }

    /// Ends an agreement: its licence opens nothing from now on.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_agreement(&self, agreed: &Agreed, reason: &str) -> Result<(), Fault> {
        if let Ok(id) = Iri::new(&agreed.id) {
            match self.hub().end_licence(&id, reason).await {
                // An agreement of which this hub is the consumer has none.
                Err(problem) if problem.status != 404 => return Err(problem.into()),
                _ => {}
            }
        }
        let Some(entry) = self.agreements().get::<Agreed>(&agreed.id).await? else { return Ok(()) };
        if entry.state.ended.is_some() {
            return Ok(());
        }
        let mut next = entry.state;
        next.ended = Some(Failure { code: "agreement-over".into(), reason: reason.to_owned(), side: Role::Provider });
        let mut step = waybill_exchange::Step::new(&agreed.id, Some(entry.revision), &next);
        step.event = serde_json::json!({"at": self.now(), "ended": reason});
        match self.agreements().commit(step).await {
            Err(problem) if problem.code != "store-conflict" => Err(problem.into()),
            _ => Ok(()),
        }
    }
}

/// The property of a data address that says where to ask what may be seen no more.
pub(crate) fn deletions(base: &str, id: &str) -> (String, String) {
    (format!("{WAYBILL}deletions"), format!("{base}/dsp/deletions/{}", encode_component(id)))
}

impl ResolveToken for Connector {
    fn resolve<'a>(&'a self, token: &'a str) -> Resolved<'a> {
        Box::pin(async move {
            let (claims, transfer) = match self.claims_once(token, TRANSFER.access) {
                Some(claims) => (claims, true),
                None => (self.claims_once(token, FLOW.access)?, false),
            };
            if claims.exp <= self.now().seconds() {
                return Some(Err(expired()));
            }
            let found = if transfer {
                self.opened(&claims).await.map(|found| found.map(|(_, agreed)| agreed))
            } else {
                self.opened_flow(&claims).await.map(|found| found.map(|(_, agreed)| agreed))
            };
            let over = || problems::invalid_token("the transfer of this token is not started, or its agreement is over");
            let agreed = match found {
                Ok(Some(agreed)) => agreed,
                Ok(None) => return Some(Err(over())),
                Err(fault) => return Some(Err(not_decided(&fault))),
            };
            let Some(scope) = self.scope_of(&agreed) else { return Some(Err(over())) };
            Some(Ok(Caller {
                principal: scope.principal,
                party: scope.recipient,
                purpose: scope.purpose.clone(),
                purposes: scope.purpose.into_iter().collect(),
                tenants: Tenants::main_only(),
                agreement: scope.agreement,
                credential: Credential::Static,
            }))
        })
    }
}

/// A token of this hub's whose time is over.
fn expired() -> Problem {
    Problem::new(ProblemCode("token-expired"), 401, "The token's time is over", "this token of a transfer or a data flow is older than it may be")
        .help("Renew it: send the refresh token to the refreshEndpoint of the data address.")
}

fn not_decided(fault: &Fault) -> Problem {
    tracing::warn!(code = fault.code, "a token is not looked up: {}", fault.detail);
    problems::internal()
}
