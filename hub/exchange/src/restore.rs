//! After a restore: what was closed after the backup was made is closed again, before anything is answered.

use crate::consent::told;
use crate::hub::Hub;
use serde::{Deserialize, Serialize};
use waybill_consent::{ConsentBook, EnvelopeEvent};
use waybill_gate::Licence;
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, Iri, Problem, ProblemCode, TenantId};
use waybill_store::{Batch, Reader};

/// What the store's ledger notes of what closes here beside a consent of this hub. Names nobody.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "closed", rename_all = "kebab-case")]
pub(crate) enum Note {
    /// Another hub withdrew.
    Upstream {
        /// Which.
        hub: String,
        /// The identifier of its event.
        event: String,
        /// The event's epoch.
        epoch: u64,
        /// What it said.
        what: EnvelopeEvent,
    },
    /// Envelopes of another hub rest, or go on.
    Rests {
        /// Which.
        hub: String,
        /// What it said.
        what: EnvelopeEvent,
        /// Whether they rest.
        rests: bool,
    },
    /// A licence ended.
    Licence {
        /// The agreement's id.
        id: Iri,
        /// Why.
        reason: String,
    },
    /// A licence was changed to this.
    Changed {
        /// The agreement's id.
        id: Iri,
        /// What it covers at most.
        bounds: Bounds,
    },
    /// A person was erased.
    Erased {
        /// In whose store.
        tenant: TenantId,
        /// The key of her row among those who were.
        who: String,
        /// When.
        at: DateTime,
    },
}

/// What a licence covers at most. Its entities stand in it as hashes: an identifier may say whose they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bounds {
    purposes: Vec<Iri>,
    types: Vec<Iri>,
    attributes: Vec<Iri>,
    ids: Vec<String>,
    open: bool,
    pairwise: bool,
    from: Option<DateTime>,
    until: Option<DateTime>,
}

/// The name of an entity in what a licence is bounded by.
fn hashed(licence: &Iri, id: &Iri) -> String {
    waybill_keys::hex(&waybill_keys::sha256(format!("{licence} {id}").as_bytes())[..16])
}

impl Bounds {
    pub fn of(licence: &Licence) -> Self {
        Self {
            purposes: licence.purposes.clone(),
            types: licence.types.clone(),
            attributes: licence.attributes.clone(),
            ids: licence.ids.iter().map(|id| hashed(&licence.id, id)).collect(),
            open: licence.open,
            pairwise: licence.pairwise,
            from: licence.from,
            until: licence.until,
        }
    }

    /// `licence` as far as it lies within.
    fn narrow(&self, licence: &Licence) -> Licence {
        let mut out = licence.clone();
        // A licence without a purpose is for what nobody has to agree to.
        if !self.purposes.is_empty() || !out.purposes.is_empty() {
            out.purposes.retain(|purpose| self.purposes.contains(purpose));
            if out.purposes.is_empty() {
                out.types.clear();
            }
        }
        out.types.retain(|one| self.types.contains(one));
        // None means all, so nothing in common must not come to that.
        if out.attributes.is_empty() {
            out.attributes.clone_from(&self.attributes);
        } else if !self.attributes.is_empty() {
            out.attributes.retain(|one| self.attributes.contains(one));
            if out.attributes.is_empty() {
                out.types.clear();
            }
        }
        if !self.ids.is_empty() {
            // Which they are is known only of those that the licence names.
            out.ids.retain(|id| self.ids.contains(&hashed(&licence.id, id)));
            if out.ids.is_empty() {
                out.types.clear();
            }
        }
        out.open &= self.open;
        out.pairwise |= self.pairwise;
        out.from = out.from.max(self.from);
        out.until = [out.until, self.until].into_iter().flatten().min();
        out
    }
}

impl Hub {
    /// Narrows a licence again to what it was changed to after the backup. Answers whether that took something away.
    async fn narrow_again(&self, id: &Iri, bounds: &Bounds) -> Result<u64, Problem> {
        let Some(known) = self.licence(id).await?.filter(|l| l.ended.is_none()) else { return Ok(0) };
        let narrowed = bounds.narrow(&known);
        if narrowed == known {
            return Ok(0);
        }
        let mut batch = Batch::new();
        self.put_licence(&mut batch, &narrowed);
        self.commit(batch).await.map(|_| 1)
    }

    /// Closes again what the store's ledger says was closed since the backup that this store was restored from. Does nothing on a store
    /// that was not restored.
    ///
    /// # Errors
    /// When the ledger is lost: then nobody knows what was withdrawn, and the hub does not start. The store's.
    pub async fn settle_restore(&self) -> Result<(), Problem> {
        let (from, lost) = self.inner.store.read(|r| Ok((r.restored_from()?, r.ledger_lost()?))).await?;
        if lost {
            return Err(Problem::new(
                ProblemCode("restore-ledger-lost"),
                500,
                "Withdrawals since the backup are unknown",
                "the ledger of closed consents beside the database is missing, so what was withdrawn after the backup could be revived",
            )
            .help("Put the ledger file of the old data directory back, or close all consents and ask anew."));
        }
        let Some(epoch) = from else { return Ok(()) };
        let notes = self.inner.store.read(move |r| r.withdrawn(epoch)).await?;
        let now = self.inner.clock.now();
        let batch = self.inner.store.read(|r| ConsentBook::give_up_rest(r).map_err(told)).await?;
        self.commit(batch).await?;
        let mut closed = 0u64;
        for (_, note) in notes {
            if let Ok(note) = serde_json::from_slice::<Note>(&note) {
                closed += self.close_again(note).await?;
                continue;
            }
            let hub = self.clone();
            let again = self
                .inner
                .store
                .read(move |r| {
                    let again = {
                        let ring = hub.keys();
                        hub.inner.book.reapply(r, &note, &ring, now).map_err(told)?
                    };
                    // What waited to be told may have been lost with the old state, so all who hold anything are told again.
                    again.map(|again| hub.follow_through(r, &again.tenant, &again.record, again.applied, &[], false)).transpose()
                })
                .await?;
            if let Some((batch, granted)) = again {
                closed += granted.closed.len() as u64;
                self.commit(batch).await?;
            }
        }
        self.inner.journal.recover().await?;
        let mut batch = Batch::new();
        batch.settle_restore();
        self.inner.journal.append(&mut batch, Record::new(Kind::Restore, TenantId::main(), now).left(closed, None));
        self.commit(batch).await.map(drop)
    }

    async fn close_again(&self, note: Note) -> Result<u64, Problem> {
        match note {
            Note::Upstream { hub, event, epoch, what } => {
                let at = self.event_key(&hub, &event);
                // A backup may lie between: then the event has its effect already.
                if self.inner.store.read(move |r| r.doc(crate::rows::EVENT_SEEN, &at)).await?.is_some() {
                    return Ok(0);
                }
                let n = what.envelopes.len() as u64;
                let this = self.clone();
                let read = move |r: &Reader<'_>| {
                    let mut batch = this.close_inbound(r, &hub, &event, epoch, &what)?;
                    this.note_event(&mut batch, &hub, &event, this.inner.clock.now());
                    Ok(batch)
                };
                let batch = self.inner.store.read(read).await?;
                self.commit(batch).await.map(|_| n)
            }
            Note::Rests { hub, what, rests } => {
                let n = what.envelopes.len() as u64;
                let mut batch = Batch::new();
                self.upstream_rests(&mut batch, &hub, &what, rests).await?;
                self.commit(batch).await.map(|_| n)
            }
            // One that was given after the backup is not there, and opens nothing.
            Note::Licence { id, reason } => match self.end_licence(&id, &reason).await {
                Err(problem) if problem.status == 404 => Ok(0),
                other => other.map(|()| 1),
            },
            Note::Changed { id, bounds } => self.narrow_again(&id, &bounds).await,
            Note::Erased { tenant, who, at } => {
                let (hub, tenant_) = (self.clone(), tenant.clone());
                let all = self.inner.store.read(move |r| ConsentBook::subjects(r, &tenant_).map_err(told)).await?;
                let found = all.into_iter().find(|subject| hub.erased_key(&tenant, subject) == who);
                match found {
                    Some(subject) => self.erase_with(&tenant, &subject, Some(at)).await.map(|_| 1),
                    None => Ok(0),
                }
            }
        }
    }
}
