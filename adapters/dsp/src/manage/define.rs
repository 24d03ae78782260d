//! What the operator defines while the hub runs, kept in the store beside the configuration, which it never changes.

use super::assets::Asset;
use super::body::{Body, MAX_TEXT, whole};
use super::contracts::ContractDefinition;
use super::policies::PolicyDefinition;
use super::query::Query;
use super::secrets::{SEALED_FOR, Secret};
use super::{Answered, created, millis};
use crate::config::DspConfig;
use crate::connector::{Connector, fresh_id};
use crate::fault::Fault;
use crate::machine::Role;
use crate::process::Agreed;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use waybill_exchange::Step;
use waybill_http::Request;
use waybill_keys::SealKey;
use waybill_model::{DateTime, Problem};


/// All that was defined, by kind and identifier.
#[derive(Debug, Clone, Default)]
pub(crate) struct Definitions {
    pub assets: BTreeMap<String, Arc<Kept<Asset>>>,
    pub policies: BTreeMap<String, Arc<Kept<PolicyDefinition>>>,
    pub contracts: BTreeMap<String, Arc<Kept<ContractDefinition>>>,
    pub secrets: BTreeMap<String, Arc<Kept<Secret>>>,
}

/// A definition as it is kept.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub(crate) struct Kept<T> {
    pub created_at: DateTime,
    pub value: T,
}

/// What a definition is read against.
pub(crate) struct Making<'a> {
    /// Its identifier.
    pub id: &'a str,
    pub config: &'a DspConfig,
    pub definitions: &'a Definitions,
    /// What secrets are sealed with.
    pub key: &'a SealKey,
}

/// One kind of what can be defined.
pub(crate) trait Definition: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// The ledger that keeps it.
    const LEDGER: &'static str;
    /// In words.
    const WHAT: &'static str;
    /// How many there may be: each change looks at every asset under every contract definition.
    const MOST: usize = 1_000;

    /// Reads one from a body.
    ///
    /// # Errors
    /// 400 for what is missing, not understood or not had here, by its name.
    fn read(body: &Body<'_>, making: &Making<'_>) -> Result<Self, Fault>;
    /// As it is shown.
    fn view(&self, id: &str) -> Value;
    fn all(definitions: &Definitions) -> &BTreeMap<String, Arc<Kept<Self>>>;
    fn all_mut(definitions: &mut Definitions) -> &mut BTreeMap<String, Arc<Kept<Self>>>;
    /// Why it may not be deleted.
    fn needed(_id: &str, _definitions: &Definitions) -> Option<String> {
        None
    }
    /// The dataset of which nobody may have an agreement in force when `before` becomes `next`.
    fn bound(_id: &str, _before: Option<&Self>, _next: Option<&Self>) -> Option<String> {
        None
    }
}

/// What is to be done with the definition of an identifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Make,
    Replace,
    Delete,
}

impl Connector {
    /// Reads what was defined. Before this nothing of it counts.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn load_definitions(&self) -> Result<(), Problem> {
        let _turn = self.0.changes.lock().await;
        let mut all = Definitions::default();
        self.load::<Asset>(&mut all).await?;
        self.load::<PolicyDefinition>(&mut all).await?;
        self.load::<ContractDefinition>(&mut all).await?;
        self.load::<Secret>(&mut all).await?;
        self.redefine(all);
        Ok(())
    }

    async fn load<T: Definition>(&self, into: &mut Definitions) -> Result<(), Problem> {
        let (ledger, mut after) = (self.hub().ledger(T::LEDGER), None::<String>);
        loop {
            let page = ledger.list::<Kept<T>>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            T::all_mut(into).extend(page.into_iter().map(|entry| (entry.id, Arc::new(entry.state))));
        }
    }

    /// `POST`: makes one, under the identifier that the body says or a fresh one.
    pub(crate) async fn make<T: Definition>(&self, request: &Request) -> Answered {
        let map = whole(request)?;
        let body = Body::new(&map, "")?;
        let id = body.optional_text("@id")?.map_or_else(fresh_id, str::to_owned);
        let at = self.change::<T>(id.clone(), Change::Make, Some(&body)).await?;
        Ok(created(&id, at))
    }

    /// `PUT`: replaces one. The identifier is that of the path where there is one, else the body's.
    pub(crate) async fn replace_one<T: Definition>(&self, request: &Request, in_path: bool) -> Answered {
        let map = whole(request)?;
        let body = Body::new(&map, "")?;
        let said = body.optional_text("@id")?;
        let id = match (in_path.then(|| request.param("id")), said) {
            (Some(path), Some(said)) if path != said => return Err(Fault::bad("/@id", "it is another than that of the address")),
            (Some(id), _) | (None, Some(id)) => id.to_owned(),
            (None, None) => return Err(Fault::bad("/@id", "it is missing")),
        };
        self.change::<T>(id, Change::Replace, Some(&body)).await?;
        Ok(Value::Null)
    }

    /// `DELETE`.
    pub(crate) async fn delete<T: Definition>(&self, request: &Request) -> Answered {
        self.change::<T>(request.param("id").to_owned(), Change::Delete, None).await?;
        Ok(Value::Null)
    }

    /// All of a kind, those of the configuration first.
    fn shown<T: Definition>(&self) -> Vec<Value> {
        let (config, definitions) = self.definitions();
        let mut out = super::offerings::configured(&config, T::LEDGER);
        out.extend(T::all(&definitions).iter().map(|(id, kept)| show(id, kept)));
        out
    }

    /// `GET`.
    pub(crate) fn show_one<T: Definition>(&self, id: &str) -> Answered {
        let (config, definitions) = self.definitions();
        if let Some(kept) = T::all(&definitions).get(id) {
            return Ok(show(id, kept));
        }
        super::offerings::configured(&config, T::LEDGER).into_iter().find(|v| v["@id"] == id).ok_or_else(Fault::missing)
    }

    /// `POST …/request`.
    pub(crate) fn show_all<T: Definition>(&self, request: &Request) -> Answered {
        let query = Query::read(if request.body.is_empty() { serde_json::Map::new() } else { whole(request)? })?;
        Ok(query.page(self.shown::<T>().into_iter().filter(|v| query.fits(v)).collect()))
    }

    /// Changes what is defined as `id`: durable, and in force, when this returns. Answers when it was made.
    async fn change<T: Definition>(&self, id: String, change: Change, body: Option<&Body<'_>>) -> Result<DateTime, Fault> {
        if id.is_empty() || id.len() > MAX_TEXT {
            return Err(Fault::bad("/@id", format!("it must be a text of at most {MAX_TEXT} bytes")));
        }
        let turn = self.0.changes.clone().lock_owned().await;
        let (config, before) = self.definitions();
        let there = T::all(&before).get(&id);
        if super::offerings::configured(&config, T::LEDGER).iter().any(|v| v["@id"] == id) {
            let detail = format!("this {} stands in the configuration, and is changed there: edit the [[offer]] and reload", T::WHAT);
            return Err(Fault::new(409, "offered-by-configuration", "/@id", detail));
        }
        let at = match (change, there) {
            (Change::Make, Some(_)) => return Err(Fault::new(409, "definition-exists", "/@id", format!("there is a {} of this identifier; change it with PUT", T::WHAT))),
            (Change::Make, None) if T::all(&before).len() >= T::MOST => {
                return Err(Fault::new(409, "too-many-definitions", "", format!("there are {} already; delete what is not needed", T::MOST)));
            }
            (Change::Make, None) => self.now(),
            (_, None) => return Err(Fault::missing()),
            (_, Some(kept)) => kept.created_at,
        };
        let key = self.hub().seal_key(SEALED_FOR);
        let value = body.map(|body| T::read(body, &Making { id: &id, config: &config, definitions: &before, key: &key })).transpose()?;
        if value.is_none()
            && let Some(why) = T::needed(&id, &before)
        {
            return Err(Fault::new(409, "definition-in-use", "", why));
        }
        let bound = T::bound(&id, there.map(|k| &k.value), value.as_ref());
        let kept = value.map(|value| Arc::new(Kept { created_at: at, value }));
        let mut next = (*before).clone();
        match &kept {
            Some(kept) => drop(T::all_mut(&mut next).insert(id.clone(), kept.clone())),
            None => drop(T::all_mut(&mut next).remove(&id)),
        }
        // What is defined must make every offer that it says; what was broken before, such as by a route that is gone, is not held against it.
        let old = before.offerings(&config).1;
        if let Some(new) = next.offerings(&config).1.into_iter().find(|left_out| !old.contains(left_out)) {
            return Err(new.fault());
        }
        match (bound, change) {
            // Agreements about something that went by this name before do not come back to life with it.
            (Some(dataset), Change::Make) => self.end_agreements(|a| (a.dataset == dataset).then(|| "the dataset was taken away, and another is made under its name".to_owned())).await?,
            (Some(dataset), _) => self.unbound(&dataset).await?,
            (None, _) => {}
        }
        // Done to its end even where nobody waits for the answer any more: what is kept and what is in force stay the same.
        let (this, datasets) = (self.clone(), before.assets.keys().chain(next.assets.keys()).cloned().collect::<std::collections::BTreeSet<_>>());
        let done = async move {
            let ledger = this.hub().ledger(T::LEDGER);
            let row = ledger.get::<Value>(&id).await?;
            match (&kept, &row) {
                (Some(kept), _) => drop(ledger.commit(Step::new(&id, row.map(|r| r.revision), &**kept)).await?),
                (None, Some(row)) => ledger.forget(&id, row.revision).await?,
                (None, None) => {}
            }
            this.redefine(next);
            let config = this.config();
            this.end_agreements(|a| datasets.contains(&a.dataset).then(|| this.over(&config, a)).flatten()).await?;
            this.hub().ring();
            drop(turn);
            Ok::<_, Fault>(())
        };
        tokio::spawn(done).await.map_err(|e| Fault::new(500, "internal", "", e.to_string()))?.map(|()| at)
    }

    /// Ends each agreement of this hub's data that `why` gives a reason for.
    async fn end_agreements(&self, why: impl Fn(&Agreed) -> Option<String>) -> Result<(), Fault> {
        let mut after = None::<String>;
        loop {
            let page = self.agreements().list::<Agreed>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            for agreed in page.iter().map(|e| &e.state).filter(|a| a.role == Role::Provider && a.ended.is_none()) {
                if let Some(reason) = why(agreed) {
                    self.end_agreement(agreed, &reason).await?;
                }
            }
        }
    }

    /// Refuses where somebody has an agreement in force about `dataset`.
    async fn unbound(&self, dataset: &str) -> Result<(), Fault> {
        let (config, mut after) = (self.config(), None::<String>);
        loop {
            let page = self.agreements().list::<Agreed>(500, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id.clone());
            let found = page.iter().find(|e| e.state.role == Role::Provider && e.state.dataset == dataset && self.over(&config, &e.state).is_none());
            if let Some(found) = found {
                let detail = format!("the agreement {} about it is in force; end the offer first: delete or change its contract definition", found.id);
                return Err(Fault::new(409, "asset-under-agreement", "", detail));
            }
        }
    }
}

fn show<T: Definition>(id: &str, kept: &Kept<T>) -> Value {
    let mut out = kept.value.view(id);
    out["createdAt"] = millis(kept.created_at).into();
    out
}
