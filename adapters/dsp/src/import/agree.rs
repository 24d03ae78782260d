//! An import's way to its data: an offer that this hub can keep to, an agreement, a transfer, and what follows when one of them is over.

use super::{Access, Begun, Import, ImportState, Imported, LATER, SOON};
use crate::config::Participant;
use crate::connector::Connector;
use crate::decode::DataAddress;
use crate::fault::Fault;
use crate::machine::{NegotiationState, Role, TransferState};
use crate::pages::Bounds;
use crate::process::{Agreed, Negotiation, Transfer};
use crate::vocab::{Format, WAYBILL};
use serde::de::DeserializeOwned;
use serde_json::Value;
use waybill_exchange::{ForeignTerms, Keeps, Ledger, Stated, foreign_terms};
use waybill_http::encode_component;
use waybill_keys::{hex, jcs_hash};
use waybill_model::Iri;

impl Connector {
    /// Does what comes next. Answers for how many seconds there is nothing to do.
    pub(super) async fn advance(&self, import: &Import, who: &Participant, row: &mut Imported) -> Result<i64, Fault> {
        let Some(id) = row.agreement.clone() else { return self.come_to_terms(import, who, row).await };
        let agreed = self.agreement(&id).await?;
        let Some(agreed) = agreed.filter(|a| self.in_force(a)) else {
            return self.ended(import, who, row, "the agreement's time is over, or it was ended").await;
        };
        let terms = match self.terms_of(import, who, &agreed.policy) {
            Ok(Some(terms)) => terms,
            Ok(None) => return self.ended(import, who, row, "the agreement is for another purpose than the configuration names").await,
            Err(fault) => {
                self.leave(&import.name, &Begun::of(import, who), row).await?;
                row.state = ImportState::Refused;
                return Err(fault);
            }
        };
        if row.envelope.is_none() {
            row.envelope = Some(self.state(import, who, &agreed, terms).await?);
        }
        let found = match &row.transfer {
            Some(id) => self.transfer(id).await?,
            None => self.live_transfer(&agreed).await?,
        };
        let Some(transfer) = found else {
            let address = who.address.clone().unwrap_or_default();
            row.transfer = Some(self.request_transfer(who, &address, &agreed.id, Format::Pull.as_str(), None).await?);
            row.state = ImportState::Requested;
            return Ok(SOON);
        };
        row.transfer = Some(transfer.talk.id.clone());
        let seen = (transfer.generation, transfer.state);
        let (moved, fresh) = (seen != row.seen, seen.0 != row.seen.0);
        // Whatever comes of it: what was seen once calls for nothing again.
        row.seen = seen;
        match transfer.state {
            None | Some(TransferState::Requested) => {
                row.state = ImportState::Requested;
                Ok(SOON)
            }
            Some(TransferState::Started) => {
                if fresh || row.access.is_none() {
                    row.access = None;
                    row.access = Some(access(import, who, transfer.address.as_ref(), self.now())?);
                    row.pulled_at = None;
                }
                self.flow(import, who, row, moved).await
            }
            Some(TransferState::Suspended) => {
                self.rest(import, who, row).await?;
                Ok(SOON * 5)
            }
            Some(TransferState::Completed) => {
                // The provider has said all it had to say: it is asked again.
                (row.transfer, row.access, row.seen) = (None, None, (0, None));
                Ok(import.every)
            }
            Some(TransferState::Terminated) => {
                let failure = transfer.talk.failure.clone();
                if failure.as_ref().is_some_and(|f| f.code == "no-answer") {
                    (row.transfer, row.access, row.seen) = (None, None, (0, None));
                    return Err(Fault::new(502, "counterpart-failed", "", "the provider did not answer the request for the data"));
                }
                let reason = failure.map_or_else(|| "it was terminated".to_owned(), |f| format!("{}: {}", f.code, f.reason));
                self.end_agreement(&agreed, &reason).await?;
                self.ended(import, who, row, &reason).await
            }
        }
    }

    async fn ended(&self, import: &Import, who: &Participant, row: &mut Imported, reason: &str) -> Result<i64, Fault> {
        self.leave(&import.name, &Begun::of(import, who), row).await?;
        row.state = ImportState::Over;
        row.fault = Some(crate::crawl::CrawlFault { code: "agreement-over".into(), reason: reason.to_owned() });
        Ok(LATER)
    }

    /// What a policy permits this hub for the import's purpose.
    fn terms_of(&self, import: &Import, who: &Participant, policy: &Value) -> Result<Option<ForeignTerms>, Fault> {
        let config = self.config();
        let enforced = who.hub.is_some();
        let keeps = Keeps { own: &config.participant, dataset: &import.dataset, purpose: &import.purpose, tags: enforced, informs: enforced };
        Ok(foreign_terms(policy, &keeps)?)
    }

    async fn state(&self, import: &Import, who: &Participant, agreed: &Agreed, terms: ForeignTerms) -> Result<waybill_model::EnvelopeHash, Fault> {
        let sender = self.hub().governance().import_sender(&import.name);
        let stated = Stated {
            agreement: agreement_iri(&agreed.id),
            policy_hash: hex(&jcs_hash(&agreed.policy)),
            participant: who.id.clone(),
            party: who.party.clone(),
            purpose: import.purpose.clone(),
            terms,
        };
        Ok(self.hub().state_agreement(&sender, &stated).await?)
    }

    /// An agreement that is in force, a negotiation that is under way, or a new one on an offer that can be taken.
    async fn come_to_terms(&self, import: &Import, who: &Participant, row: &mut Imported) -> Result<i64, Fault> {
        let ours = |a: &Agreed| a.role == Role::Consumer && a.participant == who.id && a.dataset == import.dataset && self.in_force(a);
        let fits = |a: &Agreed| ours(a) && matches!(self.terms_of(import, who, &a.policy), Ok(Some(_)));
        if let Some(agreed) = first(&self.agreements(), fits).await? {
            (row.agreement, row.negotiation) = (Some(agreed.id), None);
            row.state = ImportState::Requested;
            return Ok(0);
        }
        let mine = |n: &Negotiation| n.talk.role == Role::Consumer && n.talk.participant == who.id && n.dataset == import.dataset;
        let live = |n: &Negotiation| mine(n) && !n.state.is_some_and(NegotiationState::is_final) && self.wants(import, who, n);
        let known = match &row.negotiation {
            Some(id) => self.negotiation(id).await?,
            None => first(&self.negotiations(), live).await?,
        };
        if let Some(known) = known {
            row.negotiation = Some(known.talk.id.clone());
            row.state = ImportState::Negotiating;
            return match known.state {
                Some(NegotiationState::Terminated) => {
                    row.negotiation = None;
                    let why = known.talk.failure.map_or_else(String::new, |f| format!("{}: {}", f.code, f.reason));
                    Err(Fault::new(502, "negotiation-failed", "", format!("the negotiation ended without an agreement: {why}")))
                }
                Some(NegotiationState::Finalized) => {
                    // An agreement there is, and not one that can be kept to.
                    row.negotiation = None;
                    row.state = ImportState::Refused;
                    let agreement = known.agreement.unwrap_or_default();
                    self.terms_of(import, who, &agreement)?;
                    Err(Fault::new(502, "negotiation-failed", "", "the agreement is for another purpose, or over already"))
                }
                _ => Ok(SOON),
            };
        }
        let offer = match self.choose(import, who).await {
            Ok(offer) => offer,
            Err(fault) => {
                if fault.code != "counterpart-failed" {
                    row.state = ImportState::Refused;
                }
                return Err(fault);
            }
        };
        let address = who.address.clone().unwrap_or_default();
        row.negotiation = Some(self.negotiate(who, &address, offer, import.strategy.clone()).await?);
        row.state = ImportState::Negotiating;
        Ok(SOON)
    }

    fn wants(&self, import: &Import, who: &Participant, negotiation: &Negotiation) -> bool {
        negotiation.offer().is_some_and(|p| matches!(self.terms_of(import, who, &p.offer), Ok(Some(_))))
    }

    /// The offer of the dataset for the purpose. One that is not understood to its last word is passed over, and named when there is no other.
    async fn choose(&self, import: &Import, who: &Participant) -> Result<Value, Fault> {
        let address = who.address.clone().unwrap_or_default();
        let catalog = self.gather(who, &address, &Bounds::ASKED, Some(&who.id)).await?.catalog;
        let dataset = catalog["dataset"].as_array().and_then(|all| all.iter().find(|d| d["@id"] == import.dataset.as_str()));
        let Some(dataset) = dataset else {
            return Err(Fault::new(404, "dataset-not-offered", "", format!("the provider offers this hub no dataset {}", import.dataset)));
        };
        let (mut refused, mut open) = (None, None);
        for offer in dataset["hasPolicy"].as_array().into_iter().flatten() {
            match self.terms_of(import, who, offer) {
                Ok(Some(_)) if offer.to_string().contains(import.purpose.as_str()) => return Ok(targeted(offer, &import.dataset)),
                // One that names no purpose binds us to ours all the same.
                Ok(Some(_)) => drop(open.get_or_insert(offer)),
                Ok(None) => {}
                Err(fault) => drop(refused.get_or_insert(fault)),
            }
        }
        match (open, refused) {
            (Some(offer), _) => Ok(targeted(offer, &import.dataset)),
            (None, Some(fault)) => Err(fault),
            (None, None) => Err(Fault::new(404, "purpose-not-offered", "", format!("the dataset is not offered for {}", import.purpose))),
        }
    }

    /// The transfer that pulls under the agreement and is not over.
    async fn live_transfer(&self, agreed: &Agreed) -> Result<Option<Transfer>, Fault> {
        let live = |t: &Transfer| {
            t.talk.role == Role::Consumer && t.agreement == agreed.id && t.talk.participant == agreed.participant && t.form() == Some(Format::Pull) && !t.state.is_some_and(TransferState::is_final)
        };
        first(&self.transfers(), live).await
    }
}

fn targeted(offer: &Value, dataset: &str) -> Value {
    let mut out = offer.clone();
    out["target"] = dataset.into();
    out
}

/// The first process of a ledger for which `fits` holds.
async fn first<T: DeserializeOwned>(ledger: &Ledger, fits: impl Fn(&T) -> bool) -> Result<Option<T>, Fault> {
    let mut after: Option<String> = None;
    loop {
        let page = ledger.list::<T>(500, after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(None) };
        after = Some(last.id.clone());
        if let Some(found) = page.into_iter().find(|e| fits(&e.state)) {
            return Ok(Some(found.state));
        }
    }
}

/// An agreement's identifier as an IRI: other makes take any text.
pub(super) fn agreement_iri(id: &str) -> Iri {
    Iri::new(id).unwrap_or_else(|_| {
        // INVARIANT: a scheme, a name of ours and percent-encoded text make an IRI.
        Iri::new(format!("urn:waybill:agreement:{}", encode_component(id))).unwrap_or_else(|_| unreachable!("an encoded name is part of an IRI"))
    })
}

/// What the data address of a start says. All of it must lie at the provider.
fn access(import: &Import, who: &Participant, address: Option<&DataAddress>, now: waybill_model::DateTime) -> Result<Access, Fault> {
    let bad = |detail: &str| Fault::new(502, "address-refused", "", format!("the provider's data address is not used: {detail}"));
    let address = address.ok_or_else(|| bad("there is none"))?;
    let endpoint = address.address().ok_or_else(|| bad("it has no endpoint"))?.to_owned();
    let token = address.property("authorization").ok_or_else(|| bad("it has no token"))?;
    if address.property("authType").is_some_and(|t| !t.eq_ignore_ascii_case("bearer")) {
        return Err(bad("its authType is none but bearer"));
    }
    let at = |name: &str| address.property(name).map(str::to_owned);
    let out = Access {
        endpoint,
        token: token.strip_prefix("Bearer ").unwrap_or(token).to_owned(),
        refresh: at("refreshEndpoint").zip(at("refreshToken")),
        expires_at: address.property("expiresIn").and_then(|t| t.parse::<i64>().ok()).map(|s| now.plus_seconds(s.clamp(0, 366 * 86_400))),
        deletions: at(&format!("{WAYBILL}deletions")),
    };
    let elsewhere = |url: &&String| !lies_there(import, who, url);
    if let Some(url) = [Some(&out.endpoint), out.refresh.as_ref().map(|r| &r.0), out.deletions.as_ref()].into_iter().flatten().find(elsewhere) {
        let host = url.split('/').nth(2).unwrap_or_default();
        return Err(bad(&format!("{host} is not where the participant's connector or hub is; name it as `origin` of the import if it may be called")));
    }
    Ok(out)
}

/// Whether `url` lies at the provider's connector, at its hub, or where the configuration says.
pub(super) fn lies_there(import: &Import, who: &Participant, url: &str) -> bool {
    let own = crate::pages::origin(url);
    let same = |other: &str| own.is_some() && crate::pages::origin(other) == own;
    who.owns(url) || who.hub.as_deref().is_some_and(same) || import.origin.as_deref().is_some_and(same)
}
