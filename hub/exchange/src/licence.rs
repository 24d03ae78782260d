//! Licences between organisations: given, ended, and what follows for whoever holds or asks under them.

use crate::fault;
use crate::follow::encode;
use crate::hub::Hub;
use crate::read::within_reach;
use crate::restore::{Bounds, Note};
use crate::rows::{Todo, key};
use crate::scan::each_doc;
use crate::write::put_todo;
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use waybill_gate::{LICENCE, Licence, Tally};
use waybill_journal::{Kind, Record};
use waybill_model::{Iri, Problem, ProblemCode, Scope, TenantId};
use waybill_store::{Batch, Filter, Reader, StoreError};

/// How often a change is tried again when another was faster.
const TRIES: u32 = 16;
/// The longest reason that is kept, in characters.
const REASON: usize = 200;

impl Hub {
    /// The licence with this id, in force or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn licence(&self, id: &Iri) -> Result<Option<Licence>, Problem> {
        let id = id.clone();
        Ok(self.inner.store.read(move |r| Licence::read(r, &id)).await?)
    }

    /// Gives a licence, or changes one that is in force. Durable when this returns; the same again changes nothing. Whoever follows under it
    /// is shown what may be seen under it from now on, and again when its time comes and when it is over.
    ///
    /// # Errors
    /// 409 when it has ended, which is for good, or when the id is another organisation's or an agreement's of the configuration; 422 when it
    /// says too little to be held to; the store's.
    pub async fn license(&self, licence: &Licence) -> Result<(), Problem> {
        self.may_be_licensed(licence)?;
        for _ in 0..TRIES {
            let id = licence.id.clone();
            let row = self.inner.store.read(move |r| r.doc(LICENCE, id.as_str())).await?;
            if let Some(row) = &row {
                // A row that cannot be read opens nothing, and must not be written over as if there were none.
                let known: Licence = serde_json::from_slice(&row.payload).map_err(|_| taken("what is stored under this id cannot be read"))?;
                if known == *licence {
                    return Ok(());
                }
                if known.ended.is_some() && !fault::off("exchange-licence-for-good") {
                    return Err(Problem::new(ProblemCode("licence-ended"), 409, "The licence has ended", "a licence that ended is over for good")
                        .help("Negotiate a new agreement."));
                }
                if (&known.party, &known.participant, &known.tenant) != (&licence.party, &licence.participant, &licence.tenant) {
                    return Err(taken("this agreement was made with another participant, or about another store"));
                }
            }
            let mut batch = Batch::new();
            if row.is_some() && !fault::off("exchange-licence-restored") {
                // A backup has it as it was; what was taken from it stays taken.
                batch.raise_epoch(encode(&Note::Changed { id: licence.id.clone(), bounds: Bounds::of(licence) }));
            }
            batch.expect_doc(LICENCE, licence.id.as_str(), row.map(|row| row.revision));
            self.put_licence(&mut batch, licence);
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(busy())
    }

    /// Ends a licence, for good: from now on nothing is seen under it, and what followers under it hold is taken back. Ending it again changes
    /// nothing, and no old backup brings it back. `reason` stands in the journal for ever and must name no person.
    ///
    /// # Errors
    /// 404 when there is none; the store's.
    pub async fn end_licence(&self, id: &Iri, reason: &str) -> Result<(), Problem> {
        for _ in 0..TRIES {
            let wanted = id.clone();
            let row = self.inner.store.read(move |r| r.doc(LICENCE, wanted.as_str())).await?;
            let known = row.and_then(|row| Some((serde_json::from_slice::<Licence>(&row.payload).ok()?, row.revision)));
            let Some((mut licence, revision)) = known else { return Err(unknown()) };
            if licence.ended.is_some() {
                return Ok(());
            }
            let reason: String = reason.chars().take(REASON).collect();
            let mut batch = Batch::new();
            if !fault::off("exchange-licence-restored") {
                batch.raise_epoch(encode(&Note::Licence { id: id.clone(), reason: reason.clone() }));
            }
            licence.ended = Some(reason);
            batch.expect_doc(LICENCE, id.as_str(), Some(revision));
            self.put_licence(&mut batch, &licence);
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(busy())
    }

    /// Adds to `batch` all that giving, changing or ending a licence means: its row, its record, and that whoever follows under it is looked
    /// at now and whenever its time begins or is over.
    pub(crate) fn put_licence(&self, batch: &mut Batch, licence: &Licence) {
        let (id, now) = (&licence.id, self.inner.clock.now());
        batch.put_doc(LICENCE, id.as_str(), encode(licence), None);
        let row = Todo::Licence { id: id.clone() };
        if fault::off("exchange-licence-looked-at") {
            return self.inner.journal.append(batch, Record::new(Kind::Agreement, licence.tenant.clone(), now));
        }
        put_todo(batch, &key(&["licence", id.as_str()]), &row, now);
        for at in [licence.from, licence.until].into_iter().flatten().filter(|at| *at > now) {
            put_todo(batch, &key(&["licence-at", id.as_str(), &at.to_string()]), &row, at);
        }
        // No entities: a dataset may name them one by one, and the journal keeps what is readable for ever.
        let detail = json!({
            "agreement": id, "participant": licence.participant, "dataset": licence.dataset, "purposes": licence.purposes, "types": licence.types,
            "attributes": licence.attributes, "open": licence.open, "pairwise": licence.pairwise, "from": licence.from, "until": licence.until,
            "ended": licence.ended,
        });
        let record = Record::new(Kind::Agreement, licence.tenant.clone(), now).recipient(Some(licence.party.clone())).detail(detail);
        self.inner.journal.append(batch, record);
    }

    /// Entities that are `gone` with a person are named in no licence any more. Returns by which names they left: the organisations' own.
    pub(crate) fn forget_in_licences(&self, r: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, gone: &BTreeSet<Iri>) -> Result<BTreeSet<String>, StoreError> {
        let mut names = BTreeSet::new();
        each_doc(r, LICENCE, "", |doc| {
            let Ok(mut licence) = serde_json::from_slice::<Licence>(&doc.payload) else { return };
            if licence.tenant != *tenant {
                return;
            }
            names.extend(gone.iter().map(|id| self.inner.pairs.pairwise(&licence, id.as_str()).to_string()));
            let before = licence.ids.len();
            licence.ids.retain(|id| !gone.contains(id) || fault::off("exchange-licence-erased"));
            if licence.ids.len() == before {
                return;
            }
            if licence.ids.is_empty() {
                // Without any, it would cover all of its types.
                licence.types.clear();
            }
            batch.expect_doc(LICENCE, &doc.key, Some(doc.revision));
            batch.put_doc(LICENCE, &doc.key, encode(&licence), None);
        })?;
        Ok(names)
    }

    fn may_be_licensed(&self, licence: &Licence) -> Result<(), Problem> {
        let governance = self.governance();
        if governance.agreements.iter().any(|a| a.id == licence.id) {
            return Err(taken("an agreement of the configuration has this id"));
        }
        let lacks = if licence.party == governance.party {
            "a hub does not license itself"
        } else if licence.participant.is_empty() {
            "the participant has no name"
        } else if licence.types.is_empty() {
            "the dataset has no types, so nothing would be covered"
        } else {
            return Ok(());
        };
        Err(Problem::new(ProblemCode("licence-incomplete"), 422, "The licence says too little", lacks))
    }

    /// Whether anything of any person is visible to this licensed scope now. Looks until the first, and releases nothing. Of a scope that is
    /// under no licence, or whose licence is not in force: no.
    ///
    /// # Errors
    /// The store's.
    pub async fn anyone_visible(&self, scope: &Scope) -> Result<bool, Problem> {
        let (view, tenant) = (self.inner.gate.view(scope), scope.tenant.clone());
        let look = move |r: &Reader<'_>| {
            let (eyes, mut tally) = (view.eyes(r)?, Tally::default());
            if eyes.licence().is_none() {
                return Ok(false);
            }
            let filter = within_reach(r, &eyes, Vec::new(), Filter::All, &mut tally)?;
            let (mut found, mut failed) = (false, None);
            r.candidates(&tenant, &filter, None, |doc| {
                match eyes.mask(&doc, &mut tally) {
                    Ok(visible) => found = visible.is_some_and(|v| v.is_personal()),
                    Err(e) => failed = Some(e),
                }
                if found || failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            failed.map_or(Ok(found), Err)
        };
        Ok(self.inner.store.read(look).await?)
    }
}

pub(crate) fn unknown() -> Problem {
    Problem::new(ProblemCode("licence-not-found"), 404, "Licence not found", "there is no such licence, or not for this caller")
}

fn taken(detail: &str) -> Problem {
    Problem::new(ProblemCode("licence-id-taken"), 409, "The agreement's id is taken", detail)
}

fn busy() -> Problem {
    Problem::new(ProblemCode("busy-licence"), 503, "Changed at the same time", "others kept changing this licence").help("Try again in a moment.")
}
