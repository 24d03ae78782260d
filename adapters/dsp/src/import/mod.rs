//! Imports: what this hub, as consumer, pulls from others into routes of its own, and keeps as the agreement says.
//!
//! An import is a row in the exchange's ledger `dsp-import`; what the provider lists is a row each in `dsp-import-held`. Each step looks at
//! where everything stands and does what comes next, so one that died between two steps does the same again. The provider's policy goes
//! along: each value is under its person's envelope, or under one of this hub that states the agreement, and the gate holds to either.

mod agree;
mod fetch;
mod flow;
mod held;
mod show;

pub use fetch::{PulledPage, ReadPage};
pub use show::{ImportHealth, routes};

use crate::config::{Participant, Strategy};
use crate::connector::Connector;
use crate::crawl::CrawlFault;
use crate::fault::Fault;
use crate::machine::TransferState;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use waybill_exchange::{Entry, Ledger, ProcessRecord, Step};
use waybill_model::{DateTime, EnvelopeHash, Iri};

/// How long the worker rests. The clock may be moved by hand.
const NAP: Duration = Duration::from_millis(200);
/// The first rest after a failure, in seconds, and the longest.
const REST: i64 = 2;
const LONGEST: i64 = 600;
/// The rest after what will not be otherwise in a moment: an agreement that is over, no offer that can be taken.
const LATER: i64 = 600;
/// The rest while the other side is to answer.
const SOON: i64 = 1;

/// What is to be pulled, as the configuration says it.
#[derive(Debug, Clone)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// The identifier of the participant that provides it.
    pub participant: String,
    /// The dataset.
    pub dataset: String,
    /// The purpose that is asked for, and no other.
    pub purpose: Iri,
    /// The expanded types that the route takes; empty for all.
    pub types: Vec<Iri>,
    /// The entities that the route takes; empty for all.
    pub ids: Vec<Iri>,
    /// How many seconds lie between two pulls.
    pub every: i64,
    /// Where data may lie beside the provider's connector and hub: scheme, host and port.
    pub origin: Option<String>,
    /// How the negotiation is led.
    pub strategy: Strategy,
}

/// How it stands with an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportState {
    /// Nothing was asked yet.
    #[default]
    Waiting,
    /// An agreement is negotiated.
    Negotiating,
    /// There is an agreement, and the data was asked for.
    Requested,
    /// It is pulled.
    Flowing,
    /// The provider suspended it: what came is closed.
    Resting,
    /// There is no offer that this hub could take. The fault says why.
    Refused,
    /// The agreement is over: what came is gone.
    Over,
}

impl ImportState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Negotiating => "negotiating",
            Self::Requested => "requested",
            Self::Flowing => "flowing",
            Self::Resting => "resting",
            Self::Refused => "refused",
            Self::Over => "over",
        }
    }
}

/// Where an import's data can be had, and by which token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    pub endpoint: String,
    pub token: String,
    pub refresh: Option<(String, String)>,
    pub expires_at: Option<DateTime>,
    pub deletions: Option<String>,
}

/// What an import was begun for: with another of these it is another import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The provider's participant identifier.
    pub participant: String,
    /// The provider.
    pub party: Iri,
    /// The base URL of its hub, when it has one.
    pub hub: Option<String>,
    /// The dataset.
    pub dataset: String,
    /// The purpose.
    pub purpose: Iri,
}

impl Begun {
    fn of(import: &Import, who: &Participant) -> Self {
        Self { participant: who.id.clone(), party: who.party.clone(), hub: who.hub.clone(), dataset: import.dataset.clone(), purpose: import.purpose.clone() }
    }
}

/// An import as it stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Imported {
    /// What it was begun for.
    pub of: Option<Begun>,
    /// How it stands.
    pub state: ImportState,
    /// The negotiation, while there is one.
    pub negotiation: Option<String>,
    /// The agreement in force.
    pub agreement: Option<String>,
    /// The envelope that states it.
    pub envelope: Option<EnvelopeHash>,
    /// The transfer process.
    pub transfer: Option<String>,
    /// Which start of the transfer the address is of, and the state that was seen.
    pub(crate) seen: (u64, Option<TransferState>),
    pub(crate) access: Option<Access>,
    /// Whether what came is closed.
    pub closed: bool,
    /// Envelopes of people that were closed with what is gone since: another import may have something under them.
    pub(crate) to_open: Vec<EnvelopeHash>,
    /// The last deletion that was carried out, by the provider's cursor.
    pub since: Option<String>,
    /// The last one that the provider was told of.
    pub acknowledged: Option<String>,
    /// When all was pulled last.
    pub pulled_at: Option<DateTime>,
    /// When the provider was heard of last.
    pub heard_at: Option<DateTime>,
    /// Failed attempts since.
    pub attempts: u32,
    /// What went wrong last.
    pub fault: Option<CrawlFault>,
    /// How many entities the provider listed last.
    pub entities: usize,
    /// How many of them were none of the route's, or not readable.
    pub left_out: usize,
}

impl Connector {
    /// Names what is imported, and what reads the pages. Also on a reload.
    pub fn set_imports(&self, imports: Vec<Import>, reader: Arc<dyn ReadPage>) {
        *self.0.imports.write().unwrap_or_else(PoisonError::into_inner) = (imports.into_iter().map(Arc::new).collect(), Some(reader));
    }

    pub(crate) fn imports(&self) -> Vec<Arc<Import>> {
        self.0.imports.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
    pub(crate) fn import_rows(&self) -> Ledger {
        self.0.hub.ledger("dsp-import")
    }

    /// How it stands with the import `name`.
    ///
    /// # Errors
    /// The store's.
    pub async fn imported(&self, name: &str) -> Result<Option<Imported>, Fault> {
        Ok(self.import_rows().get::<Imported>(name).await?.map(|e| e.state))
    }

    /// Looks after imports, for ever. Each by itself: one that hangs holds up no other.
    pub async fn import(self) {
        loop {
            if let Err(fault) = self.import_due().await {
                tracing::warn!(code = fault.code, "imports are not looked after: {}", fault.detail);
            }
            tokio::time::sleep(NAP).await;
        }
    }

    async fn import_due(&self) -> Result<(), Fault> {
        let config = self.config();
        for import in self.imports() {
            let Some(who) = config.participant(&import.participant).filter(|w| w.address.is_some()).cloned() else { continue };
            let entry = self.import_rows().get::<Imported>(&import.name).await?;
            let begun = entry.as_ref().and_then(|e| e.state.of.clone()).unwrap_or_else(|| Begun::of(&import, &who));
            self.say_where_from(&import.name, &begun);
            if !self.is_called_for(entry.as_ref()).await? || !self.flights().insert(flight(&import.name)) {
                continue;
            }
            let this = self.clone();
            tokio::spawn(async move {
                match this.look_after_import(&import, &who, entry).await {
                    Err(fault) if fault.code == "store-conflict" => {}
                    Err(fault) => tracing::warn!(code = fault.code, import = import.name, "how it stands with an import is not noted: {}", fault.detail),
                    Ok(()) => {}
                }
                this.flights().remove(&flight(&import.name));
            });
        }
        self.drop_others().await
    }

    /// What comes by an import's connection comes from the provider's hub, or from this one by another name.
    fn say_where_from(&self, name: &str, begun: &Begun) {
        let own = self.hub().governance().import_sender(name);
        self.hub().import_from(&connection(name), begun.hub.as_deref().unwrap_or(&own));
    }

    /// Whether something is due, or the transfer moved.
    async fn is_called_for(&self, entry: Option<&Entry<Imported>>) -> Result<bool, Fault> {
        let Some(entry) = entry else { return Ok(true) };
        if entry.due.is_none_or(|due| due <= self.now()) {
            return Ok(true);
        }
        let Some(id) = &entry.state.transfer else { return Ok(false) };
        Ok(self.transfer(id).await?.is_none_or(|t| (t.generation, t.state) != entry.state.seen))
    }

    async fn look_after_import(&self, import: &Import, who: &Participant, entry: Option<Entry<Imported>>) -> Result<(), Fault> {
        let revision = entry.as_ref().map(|e| e.revision);
        let before = entry.map(|e| e.state).unwrap_or_default();
        let mut row = before.clone();
        let begun = Begun::of(import, who);
        let rest = match self.go_on(import, who, &mut row, begun).await {
            Ok(rest) => {
                row.attempts = 0;
                if !matches!(row.state, ImportState::Refused | ImportState::Over) {
                    row.fault = None;
                }
                rest
            }
            Err(fault) => {
                row.attempts = row.attempts.saturating_add(1);
                row.fault = Some(CrawlFault { code: fault.code.clone(), reason: fault.detail.clone() });
                (REST << row.attempts.min(9)).min(LONGEST)
            }
        };
        let mut step = Step::new(&import.name, revision, &row);
        step.due = Some(self.now().plus_seconds(rest));
        let why = |r: &Imported| r.fault.as_ref().map(|f| (f.code.clone(), f.reason.clone()));
        if (before.state, &before.agreement, why(&before)) != (row.state, &row.agreement, why(&row)) {
            let fault = row.fault.as_ref();
            let detail = json!({
                "import": import.name, "participant": who.id, "dataset": import.dataset, "purpose": import.purpose, "state": row.state,
                "agreement": row.agreement, "code": fault.map(|f| &f.code), "reason": fault.map(|f| &f.reason), "entities": row.entities,
            });
            step.event = detail.clone();
            step.record = Some(ProcessRecord { party: Some(who.party.clone()), detail });
        }
        self.import_rows().commit(step).await?;
        Ok(())
    }

    async fn go_on(&self, import: &Import, who: &Participant, row: &mut Imported, begun: Begun) -> Result<i64, Fault> {
        if let Some(was) = row.of.clone().filter(|was| *was != begun) {
            // It is another import by the same name: that one is left, and this one begins when nothing of it is under way any more.
            self.stop_transfer(row).await?;
            self.leave(&import.name, &was, row).await?;
            if !self.hub().is_settled(&connection(&import.name)).await? {
                return Ok(SOON);
            }
            *row = Imported::default();
        }
        if let (Some(hub), false) = (&begun.hub, row.to_open.is_empty())
            && self.hub().is_settled(&connection(&import.name)).await?
        {
            self.hub().rest_import(hub, &row.to_open, false).await?;
            row.to_open.clear();
        }
        row.of = Some(begun);
        self.advance(import, who, row).await
    }

    /// It is over on this side whatever the other one says.
    async fn stop_transfer(&self, row: &mut Imported) -> Result<(), Fault> {
        match row.transfer.take() {
            Some(id) => match self.act_in_transfer(&id, "terminate", None).await {
                Err(fault) if fault.code != "invalid-transition" && fault.status != 404 => Err(fault),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Rows of imports that the configuration does not name any more: what came goes.
    async fn drop_others(&self) -> Result<(), Fault> {
        let imports = self.imports();
        for entry in self.import_rows().list::<Imported>(1000, None).await? {
            if imports.iter().any(|i| i.name == entry.id) || self.flights().contains(&flight(&entry.id)) {
                continue;
            }
            let mut row = entry.state;
            if let Some(begun) = row.of.clone() {
                self.say_where_from(&entry.id, &begun);
                self.stop_transfer(&mut row).await?;
                self.leave(&entry.id, &begun, &mut row).await?;
            }
            self.import_rows().forget(&entry.id, entry.revision).await?;
        }
        Ok(())
    }
}

fn flight(name: &str) -> String {
    format!("import/{name}")
}

/// The connection of the inbox that an import's data comes through; no connection of the configuration can have its name.
pub(crate) fn connection(name: &str) -> String {
    format!("import:{name}")
}
