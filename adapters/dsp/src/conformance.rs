//! What a conformance run needs beside the protocol: agreements that are there from the start, and an address that begins processes.
//! Only on loopback; the program refuses it elsewhere.

use crate::config::{Seed, Strategy};
use crate::connector::Connector;
use crate::fault::Fault;
use crate::machine::{Role, TransferState};
use crate::process::{Agreed, Transfer};
use serde::Deserialize;
use serde_json::json;
use waybill_exchange::Step;
use waybill_http::{Method, Request, Response, RouteOptions, Router};
use waybill_model::{Problem, ProblemCode};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Begin {
    provider_id: String,
    connector_address: String,
    offer_id: Option<String>,
    dataset_id: Option<String>,
    agreement_id: Option<String>,
    format: Option<String>,
}

/// The addresses that begin a process as consumer.
pub fn routes(connector: &Connector) -> Router {
    let options = RouteOptions { own_auth: true, ..RouteOptions::default() };
    let (negotiations, transfers) = (connector.clone(), connector.clone());
    Router::new()
        .route_with(Method::POST, "/dsp/conformance/negotiations", options, move |request| {
            let this = negotiations.clone();
            async move { answer(this.begin_negotiation(&request).await) }
        })
        .route_with(Method::POST, "/dsp/conformance/transfers", options, move |request| {
            let this = transfers.clone();
            async move { answer(this.begin_transfer(&request).await) }
        })
}

fn answer(done: Result<String, Fault>) -> Result<Response, Problem> {
    match done {
        Ok(id) => Ok(Response::json(200, &json!({"processId": id}))),
        Err(fault) => Err(Problem::new(ProblemCode("conformance-refused"), fault.status, "Not begun", fault.to_string())),
    }
}

impl Connector {
    async fn begin_negotiation(&self, request: &Request) -> Result<String, Fault> {
        let begin: Begin = request.json()?;
        let config = self.config();
        let run = config.conformance.as_ref().ok_or_else(Fault::missing)?;
        let who = config.participant(&begin.provider_id).ok_or_else(Fault::missing)?;
        let (Some(dataset), Some(offer)) = (begin.dataset_id, begin.offer_id) else { return Err(Fault::bad("/datasetId", "datasetId and offerId are needed")) };
        let script = run.negotiations.iter().find(|(id, _)| *id == dataset).map(|(_, s)| s.clone()).unwrap_or_default();
        let offer = json!({"@id": offer, "@type": "Offer", "target": dataset, "permission": [{"action": "use"}]});
        self.negotiate(who, &begin.connector_address, offer, Strategy::Scripted(script)).await
    }

    async fn begin_transfer(&self, request: &Request) -> Result<String, Fault> {
        let begin: Begin = request.json()?;
        let config = self.config();
        let who = config.participant(&begin.provider_id).ok_or_else(Fault::missing)?;
        let Some(agreement) = begin.agreement_id else { return Err(Fault::bad("/agreementId", "it is missing")) };
        self.request_transfer(who, &begin.connector_address, &agreement, begin.format.as_deref().unwrap_or("HttpData-PULL"), None).await
    }

    /// Finds the transfers that were running, and brings in what a conformance run has from the start.
    ///
    /// # Errors
    /// The store's.
    pub async fn prepare(&self) -> Result<(), Problem> {
        self.load_definitions().await?;
        let mut after: Option<String> = None;
        loop {
            let page = self.transfers().list::<Transfer>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            let running = page.iter().filter(|e| e.state.talk.role == Role::Provider && !e.state.state.is_some_and(TransferState::is_final));
            self.running().extend(running.map(|e| e.id.clone()));
        }
        self.find_flows().await?;
        let config = self.config();
        let Some(run) = &config.conformance else { return Ok(()) };
        for Seed { id, dataset, participant, role } in &run.agreements {
            let role = *role;
            if self.agreements().get::<Agreed>(id).await?.is_some() {
                continue;
            }
            let now = self.now();
            let policy = json!({"@id": id, "@type": "Agreement", "target": dataset, "assigner": config.participant, "assignee": participant, "permission": [{"action": "use"}]});
            let agreed = Agreed { id: id.clone(), role, participant: participant.clone(), dataset: dataset.clone(), purpose: None, policy, at: now, until: None, ended: None };
            self.agreements().commit(Step::new(id, None, &agreed)).await?;
        }
        Ok(())
    }
}
