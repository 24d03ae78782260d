//! What must stay closed when an old backup comes back, and what must be gone when she wants it gone.

use crate::book::{EVENT, HUB, MARK, MAX_ROWS, OF, RECORD, join};
use crate::{Actor, ActorRole, Applied, Change, ConsentBook, ConsentError, ConsentEvent, Evidence, EvidenceKind, Input, Pids, Registry};
use crate::registry::names;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use waybill_keys::{KeyRing, hex, sha256};
use waybill_model::{DateTime, Iri, TenantId};
use waybill_store::{Batch, Reader};

/// What the store's ledger notes of a change that closes, so that no backup can revive what it closed. Names nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// SHA-256 (hexadecimal) of the record's identifier.
    pub consent: String,
    /// Whose store.
    pub tenant: TenantId,
    /// The version.
    pub version: u32,
    /// The processes.
    pub pids: Pids,
    /// What happened to them.
    pub state: Change,
    /// When.
    pub time: DateTime,
    /// The event.
    pub eid: String,
    /// As what its actor acted.
    pub role: ActorRole,
}

impl Note {
    /// The note of an event that closes.
    pub(crate) fn of_event(tenant: &TenantId, event: &ConsentEvent) -> Self {
        Self {
            consent: note_name(&event.record),
            tenant: tenant.clone(),
            version: event.version,
            pids: event.pids.clone(),
            state: event.state,
            time: event.time,
            eid: event.eid.clone(),
            role: event.by.role,
        }
    }

    /// The note of a version that a newer one took the place of.
    pub(crate) fn of_replaced(tenant: &TenantId, record: &Iri, version: u32, pid: String, now: DateTime) -> Self {
        Self {
            consent: note_name(record),
            tenant: tenant.clone(),
            version,
            eid: format!("replaced-{version}-{pid}"),
            pids: Pids::Some(vec![pid]),
            state: Change::Revoked,
            time: now,
            role: ActorRole::Hub,
        }
    }
}

/// What was closed again, with all that follows from it.
#[derive(Debug)]
pub struct Reapplied {
    /// Whose store.
    pub tenant: TenantId,
    /// The record.
    pub record: Iri,
    /// The change.
    pub applied: Applied,
}

fn note_name(record: &Iri) -> String {
    hex(&sha256(record.as_str().as_bytes()))
}

impl ConsentBook {
    /// Closes again, after a restore, what the ledger's `note` says was closed. Nothing when the note is not about a consent, when the
    /// record is not in the restored state, or when the state is closed already.
    pub fn reapply(&self, reader: &Reader<'_>, note: &[u8], ring: &KeyRing, now: DateTime) -> Result<Option<Reapplied>, ConsentError> {
        let Ok(note) = serde_json::from_slice::<Note>(note) else { return Ok(None) };
        let mut after: Option<Iri> = None;
        loop {
            let page = Self::list(reader, &note.tenant, 1000, after.as_ref().map(Iri::as_str))?;
            let Some(last) = page.last() else { return Ok(None) };
            if let Some(record) = page.iter().find(|id| note_name(id) == note.consent) {
                let versions = Self::versions(reader, &note.tenant, record.as_str())?;
                // The version that was closed may be younger than the backup: then all that is there is closed.
                let Some(newest) = versions.iter().max_by_key(|v| v.version) else { return Ok(None) };
                let event = ConsentEvent {
                    time: note.time,
                    eid: note.eid,
                    record: record.clone(),
                    version: note.version.min(newest.version),
                    received: now,
                    pids: note.pids,
                    state: note.state,
                    by: Actor { id: newest.subject.id.clone(), role: if note.role == ActorRole::Subject { note.role } else { ActorRole::Hub } },
                    evidence: Evidence::of(EvidenceKind::Observed),
                    after: Vec::new(),
                    validity: None,
                    reason: Some("closed before the restore; the ledger of closed consents says so".to_owned()),
                };
                if Self::events(reader, &note.tenant, record.as_str())?.iter().any(|own| own.eid == event.eid) {
                    return Ok(None);
                }
                let input = Input { tenant: &note.tenant, record, version: None, events: &[event] };
                let applied = self.change(reader, input, ring, now)?;
                return Ok(Some(Reapplied { tenant: note.tenant.clone(), record: record.clone(), applied }));
            }
            after = Some(last.clone());
        }
    }

    /// Everybody of whom there is a consent or a binding.
    pub fn subjects(reader: &Reader<'_>, tenant: &TenantId) -> Result<BTreeSet<Iri>, ConsentError> {
        let mut all = names(reader, OF, tenant)?;
        all.append(&mut Registry::subjects(reader, tenant)?);
        Ok(all)
    }

    /// Deletes what is kept of `subject`: records, events, grants and bindings. For after everything of hers was withdrawn and told. The
    /// envelopes stay, since others hold their names; they do not say whose they were. After the commit, [`Self::purge`].
    pub fn forget(reader: &Reader<'_>, tenant: &TenantId, subject: &Iri, now: DateTime) -> Result<Batch, ConsentError> {
        let mut batch = Batch::new();
        for record in Self::records_of(reader, tenant, subject.as_str())? {
            let prefix = join(&[tenant.as_str(), record.as_str(), ""]);
            for space in [RECORD, EVENT] {
                for doc in reader.docs(space, &prefix, MAX_ROWS, None)? {
                    batch.delete_doc(space, &doc.key);
                }
            }
            batch.delete_doc(OF, &join(&[tenant.as_str(), subject.as_str(), record.as_str()]));
        }
        for row in Self::rows(reader, tenant, subject.as_str())? {
            row.delete(&mut batch, tenant, subject);
        }
        Registry::forget(reader, &mut batch, tenant, subject, now)?;
        Self::mark(&mut batch, HUB, now);
        batch.delete_doc(MARK, &join(&[tenant.as_str(), subject.as_str()]));
        Ok(batch)
    }
}
