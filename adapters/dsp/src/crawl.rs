//! Other connectors' catalogues, fetched again and again and kept, so that a search does not have to ask everybody.
//!
//! What is known of a participant's catalogue is a row in the exchange's ledger `dsp-catalog`; the catalogue itself is a second row, in
//! `dsp-catalog-content`, written when it changed. One that cannot be had leaves what there was, marked, and is asked ever more seldom.

use crate::config::{DspConfig, Participant};
use crate::connector::Connector;
use crate::fault::Fault;
use crate::pages::Bounds;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use waybill_exchange::{Entry, Ledger, Step};
use waybill_model::DateTime;

/// How many catalogues are fetched at once.
const AT_ONCE: usize = 8;
/// How long all pages of one may take.
const WHOLE: Duration = Duration::from_mins(1);
/// How long the worker rests. The clock may be moved by hand.
const NAP: Duration = Duration::from_millis(200);
/// The first rest after no answer, in seconds, and the longest after any failure.
const REST: i64 = 30;
const LONGEST_REST: i64 = 3600;
/// Rows looked at together.
const PAGE: usize = 200;

/// What is known of a participant's catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crawled {
    /// The participant.
    pub participant: String,
    /// Where its connector is, as far as it was asked last.
    pub address: String,
    /// When what is kept was fetched.
    pub fetched_at: Option<DateTime>,
    /// When it was last tried.
    pub tried_at: Option<DateTime>,
    /// Why the last try failed, when it did.
    pub fault: Option<CrawlFault>,
    /// How often it has failed since it went well.
    pub attempts: u32,
    /// How many datasets are kept.
    pub datasets: usize,
    /// Why what is kept is not all there is, when it is not.
    pub incomplete: Option<String>,
}

/// Why a catalogue was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrawlFault {
    /// `counterpart-failed` when there was no good answer, `catalog-refused` when what came is not taken.
    pub code: String,
    /// In words.
    pub reason: String,
}

/// How far what is kept can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrawlState {
    /// It was not asked yet.
    Waiting,
    /// It was asked, and nothing is kept.
    Failed,
    /// What is kept is of the last look.
    Current,
    /// What is kept is older than it should be.
    Stale,
}

impl CrawlState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Current => "current",
            Self::Stale => "stale",
        }
    }
}

impl Crawled {
    fn new(who: &Participant) -> Self {
        Self {
            participant: who.id.clone(),
            address: who.address.clone().unwrap_or_default(),
            fetched_at: None,
            tried_at: None,
            fault: None,
            attempts: 0,
            datasets: 0,
            incomplete: None,
        }
    }

    /// How far what is kept can be relied on at `now`, when it is looked at every `period` seconds.
    pub fn state(&self, now: DateTime, period: i64) -> CrawlState {
        match (self.fetched_at, &self.fault) {
            (None, None) => CrawlState::Waiting,
            (None, Some(_)) => CrawlState::Failed,
            (Some(at), None) if now <= at.plus_seconds(period.saturating_mul(2)) => CrawlState::Current,
            (Some(_), _) => CrawlState::Stale,
        }
    }

    /// How many seconds to rest after the last try. Who does not answer may do so in a moment; what is not taken will hardly be another
    /// thing before its time.
    fn rest(&self, period: i64) -> i64 {
        if self.attempts == 0 {
            return period;
        }
        let first = if self.fault.as_ref().is_some_and(|f| f.code == "catalog-refused") { period } else { REST.min(period) };
        let times = 1i64 << (self.attempts - 1).min(20);
        first.saturating_mul(times).min(LONGEST_REST.max(period))
    }
}

impl Connector {
    /// What is known of the catalogues that are fetched, by participant.
    pub(crate) fn catalogs(&self) -> Ledger {
        self.hub().ledger("dsp-catalog")
    }
    /// The catalogues themselves.
    pub(crate) fn catalog_contents(&self) -> Ledger {
        self.hub().ledger("dsp-catalog-content")
    }
    fn crawls(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.crawls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the catalogue of the participant `id`.
    ///
    /// # Errors
    /// The store's.
    pub async fn crawled(&self, id: &str) -> Result<Option<Crawled>, Fault> {
        Ok(self.catalogs().get::<Crawled>(id).await?.map(|e| e.state))
    }

    /// Fetches catalogues when they are due, for ever.
    pub async fn crawl(self) {
        let mut known: Option<Arc<DspConfig>> = None;
        loop {
            let config = self.config();
            if !known.as_ref().is_some_and(|k| Arc::ptr_eq(k, &config)) {
                match self.enrol(&config).await {
                    Ok(()) => known = Some(config),
                    Err(fault) => tracing::warn!(code = fault.code, "whose catalogues to fetch is not noted: {}", fault.detail),
                }
            }
            if let Err(fault) = self.crawl_due().await {
                tracing::warn!(code = fault.code, "catalogues are not fetched: {}", fault.detail);
            }
            tokio::time::sleep(NAP).await;
        }
    }

    /// Brings the rows in line with the configuration: a row for each participant that is asked, none for others.
    async fn enrol(&self, config: &DspConfig) -> Result<(), Fault> {
        let (now, period) = (self.now(), config.limits.crawl_seconds);
        let mut there = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.catalogs().list::<Crawled>(PAGE, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for entry in page {
                let Some(who) = config.participant(&entry.id).filter(|p| asked(p)) else {
                    self.catalogs().forget(&entry.id, entry.revision).await?;
                    if let Some(content) = self.catalog_contents().get::<Value>(&entry.id).await? {
                        self.catalog_contents().forget(&entry.id, content.revision).await?;
                    }
                    continue;
                };
                there.insert(entry.id.clone());
                // Somewhere else it may be all right, and a shorter period counts from now on.
                let moved = who.address.as_deref() != Some(entry.state.address.as_str());
                let soon = if moved { now } else { now.plus_seconds(entry.state.rest(period)) };
                if entry.due.is_none_or(|due| due > soon) {
                    let mut step = Step::new(&entry.id, Some(entry.revision), &entry.state);
                    step.due = Some(soon);
                    self.catalogs().commit(step).await?;
                }
            }
        }
        for who in config.participants.iter().filter(|p| asked(p) && !there.contains(&p.id)) {
            let mut step = Step::new(&who.id, None, &Crawled::new(who));
            step.due = Some(now);
            self.catalogs().commit(step).await?;
        }
        Ok(())
    }

    /// Starts fetching what is due, each by itself: one that hangs holds up no other.
    async fn crawl_due(&self) -> Result<(), Fault> {
        if self.crawls().len() >= AT_ONCE {
            return Ok(());
        }
        let config = self.config();
        for entry in self.catalogs().due::<Crawled>(AT_ONCE * 2).await? {
            let Some(who) = config.participant(&entry.id).filter(|p| asked(p)).cloned() else { continue };
            {
                let mut under_way = self.crawls();
                if under_way.len() >= AT_ONCE || !under_way.insert(entry.id.clone()) {
                    continue;
                }
            }
            let this = self.clone();
            tokio::spawn(async move {
                let id = entry.id.clone();
                match this.look(entry, &who).await {
                    // The configuration changed meanwhile, and with it the row.
                    Err(fault) if fault.code == "store-conflict" => {}
                    Err(fault) => tracing::warn!(code = fault.code, participant = id, "what was found of a catalogue is not noted: {}", fault.detail),
                    Ok(()) => {}
                }
                this.crawls().remove(&id);
            });
        }
        Ok(())
    }

    /// Fetches one catalogue and notes what came.
    async fn look(&self, entry: Entry<Crawled>, who: &Participant) -> Result<(), Fault> {
        let address = who.address.clone().unwrap_or_default();
        let took = tokio::time::timeout(WHOLE, self.gather(who, &address, &Bounds::KEPT, Some(&who.id))).await;
        let took = took.unwrap_or_else(|_| Err(Fault::new(502, "catalog-refused", "", "its pages were not all there in time")));
        let (now, period) = (self.now(), self.config().limits.crawl_seconds);
        let mut row = entry.state;
        row.address = address;
        row.tried_at = Some(now);
        let mut steps = Vec::new();
        let rest = match took {
            Ok(taken) => {
                row.fetched_at = Some(now);
                row.fault = None;
                row.attempts = 0;
                row.datasets = taken.datasets;
                row.incomplete = taken.incomplete;
                // A row of some megabytes is not written again for nothing.
                let there = self.catalog_contents().get::<Value>(&who.id).await?;
                if there.as_ref().is_none_or(|e| e.state != taken.catalog) {
                    steps.push((self.catalog_contents(), Step::new(&who.id, there.map(|e| e.revision), &taken.catalog)));
                }
                row.rest(period)
            }
            Err(fault) => {
                row.fault = Some(CrawlFault { code: fault.code, reason: fault.detail });
                row.attempts = row.attempts.saturating_add(1);
                row.rest(period)
            }
        };
        let mut step = Step::new(&entry.id, Some(entry.revision), &row);
        step.due = Some(now.plus_seconds(rest));
        steps.push((self.catalogs(), step));
        self.hub().commit_steps(steps).await?;
        Ok(())
    }
}

/// Whether `who` is asked for its catalogue.
pub(crate) fn asked(who: &Participant) -> bool {
    who.crawl && who.address.is_some()
}
