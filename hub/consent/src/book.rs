//! Where consents are kept, and how a decision reads them: one small row for each grant, found by subject, kept in memory for as long as
//! nothing about consents changes.

use crate::grant::{StatusIndexes, Template};
use crate::status::StatusPurpose;
use crate::{Bound, ConsentError, ConsentEvent, ConsentRecord, Grant, GrantSet, Registry, State, StatusList, Target, Templates, Terms, Validity};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use waybill_keys::hex;
use waybill_model::{DateTime, EnvelopeHash, Iri, TenantId};
use waybill_policy::Profile;
use waybill_store::{Batch, Reader, StoreError};

/// Versions of records. Key: tenant, record, version.
pub(crate) const RECORD: &str = "consent-record";
/// Events. Key: tenant, record, event.
pub(crate) const EVENT: &str = "consent-event";
/// The records of a subject. Key: tenant, subject, record.
pub(crate) const OF: &str = "consent-of";
/// Grants. Key: tenant, subject, record, version, process, recipient. Due when they end.
pub(crate) const GRANT: &str = "consent-grant";
/// Grants that are live, by whom they are for. Key: tenant, recipient, subject, record, version, process.
const GRANT_TO: &str = "consent-grant-to";
/// Marks a store whose [`GRANT_TO`] is complete.
const GRANT_TO_KNOWN: &str = "grant-to";
/// Terms, by hash.
pub(crate) const TERMS: &str = "consent-terms";
/// Envelopes this hub issued, by hash.
pub(crate) const ENVELOPE: &str = "consent-envelope";
/// Status lists. Key: purpose, number.
pub(crate) const STATUS: &str = "consent-status";
/// Markers whose revision tells when something last changed. Key: `hub`, or tenant and subject.
pub(crate) const MARK: &str = "consent-mark";
/// The marker of the whole hub.
pub(crate) const HUB: &str = "hub";
/// How many subjects' grants are kept in memory.
const KEPT: usize = 500_000;
/// How many grants, and how many entities, are listed for one recipient at most.
const MAX_REACH: usize = 20_000;
/// For how many recipients such lists are kept in memory.
const KEPT_REACHES: usize = 256;
/// How many rows one record or subject may have.
pub(crate) const MAX_ROWS: usize = 10_000;
/// Separates the parts of a key; no IRI and no tenant holds it.
pub(crate) const SEP: char = '\u{1f}';

pub(crate) fn join(parts: &[&str]) -> String {
    let mut out = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push(SEP);
        }
        out.push_str(part);
    }
    out
}

pub(crate) fn read_row<T: DeserializeOwned>(payload: &[u8], what: &'static str) -> Result<T, ConsentError> {
    serde_json::from_slice(payload).map_err(|_| ConsentError::Corrupt(what))
}

pub(crate) fn write_row(row: &impl Serialize) -> Vec<u8> {
    // INVARIANT: rows have plain members; serialising cannot fail.
    serde_json::to_vec(row).unwrap_or_default()
}

/// Who signs envelopes, and what stands in all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The hub's DID.
    pub did: String,
    /// The hub's public address, without a slash at the end.
    pub base_url: String,
    /// Where events are sent.
    pub inbox: Iri,
    /// After how many seconds without a heartbeat holders close.
    pub max_stale: u32,
}

impl Issuer {
    /// The address of a status list.
    pub fn list_url(&self, purpose: StatusPurpose, number: u32) -> Option<Iri> {
        Iri::new(format!("{}/status/{}", self.base_url, list_name(purpose, number))).ok()
    }
}

/// The name of a status list under the hub's `/status/`: its purpose and number.
pub(crate) fn list_name(purpose: StatusPurpose, number: u32) -> String {
    match purpose {
        StatusPurpose::Revocation => format!("revocation-{number}"),
        StatusPurpose::Suspension => format!("suspension-{number}"),
    }
}

/// A grant as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GrantRow {
    pub record: Iri,
    pub version: u32,
    pub process: String,
    pub recipient: Iri,
    /// Hash of the terms, hexadecimal.
    pub terms: String,
    pub valid: Validity,
    pub state: State,
    pub epoch: u64,
    pub envelope: EnvelopeHash,
    pub status: StatusIndexes,
}

impl GrantRow {
    pub fn is_live(&self) -> bool {
        self.state.is_given() || self.state == State::Suspended
    }
    pub fn key(&self, tenant: &TenantId, subject: &Iri) -> String {
        let version = format!("{:010}", self.version);
        join(&[tenant.as_str(), subject.as_str(), self.record.as_str(), &version, &self.process, self.recipient.as_str()])
    }
    fn key_to(&self, tenant: &TenantId, subject: &Iri) -> String {
        let version = format!("{:010}", self.version);
        join(&[tenant.as_str(), self.recipient.as_str(), subject.as_str(), self.record.as_str(), &version, &self.process])
    }
    /// Stores it; while it is live, it is found by its recipient too.
    pub fn put(&self, batch: &mut Batch, tenant: &TenantId, subject: &Iri, due: Option<DateTime>) {
        batch.put_doc(GRANT, &self.key(tenant, subject), write_row(self), due);
        let to = self.key_to(tenant, subject);
        if self.is_live() { batch.put_doc(GRANT_TO, &to, Vec::new(), None) } else { batch.delete_doc(GRANT_TO, &to) };
    }
    /// Deletes it.
    pub fn delete(&self, batch: &mut Batch, tenant: &TenantId, subject: &Iri) {
        batch.delete_doc(GRANT, &self.key(tenant, subject)).delete_doc(GRANT_TO, &self.key_to(tenant, subject));
    }
}

/// An envelope that this hub issued, with what it is about. It does not say whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEnvelope {
    /// The compact JWS.
    pub compact: String,
    /// Whose store.
    pub tenant: TenantId,
    /// The record.
    pub record: Iri,
    /// Its version.
    pub version: u32,
    /// The process.
    pub process: String,
    /// For whom.
    pub recipient: Iri,
    /// Its bits.
    pub status: StatusIndexes,
}

#[derive(Debug)]
struct Entry {
    /// The subject's own revision.
    revision: u64,
    /// The hub's revision at which that was last looked up.
    checked: u64,
    grants: Arc<[Grant]>,
}

/// The consents of a hub.
#[derive(Debug)]
pub struct ConsentBook {
    /// Who signs.
    pub issuer: Issuer,
    /// What policies are compiled against, and the templates in use.
    pub templates: Templates,
    /// Who data is about.
    pub registry: Registry,
    cache: Mutex<HashMap<TenantId, HashMap<Iri, Entry>>>,
    reach: Mutex<HashMap<(TenantId, Iri), (u64, Option<Arc<Reach>>)>>,
}

/// What may be about anybody who granted a recipient something: nothing else of a tenant's own personal data can be open to it by consent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Entities.
    pub entities: Vec<String>,
    /// How identifiers of further entities begin.
    pub heads: Vec<String>,
}

impl ConsentBook {
    /// A book with nothing in memory.
    pub fn new(issuer: Issuer, profile: Profile) -> Self {
        Self { issuer, templates: Templates::new(profile), registry: Registry::default(), cache: Mutex::default(), reach: Mutex::default() }
    }

    /// What `reader`'s state says about consents. Make one for each request: what it answers is of one moment.
    pub fn view<'a>(&'a self, reader: &'a Reader<'a>) -> Result<ConsentView<'a>, ConsentError> {
        let revision = reader.doc(MARK, HUB)?.map_or(0, |doc| doc.revision);
        Ok(ConsentView { book: self, reader, revision })
    }

    /// The versions of a record, oldest first.
    pub fn versions(reader: &Reader<'_>, tenant: &TenantId, record: &str) -> Result<Vec<ConsentRecord>, ConsentError> {
        all(reader, RECORD, &join(&[tenant.as_str(), record, ""]))
    }

    /// What happened to a record, in no order that means anything.
    pub fn events(reader: &Reader<'_>, tenant: &TenantId, record: &str) -> Result<Vec<ConsentEvent>, ConsentError> {
        all(reader, EVENT, &join(&[tenant.as_str(), record, ""]))
    }

    /// The identifiers of the subject's records.
    pub fn records_of(reader: &Reader<'_>, tenant: &TenantId, subject: &str) -> Result<Vec<Iri>, ConsentError> {
        let docs = reader.docs(OF, &join(&[tenant.as_str(), subject, ""]), MAX_ROWS, None)?;
        let name = |key: &str| key.rsplit(SEP).next().and_then(|name| Iri::new(name).ok()).ok_or(ConsentError::Corrupt("record of a subject"));
        docs.iter().map(|doc| name(&doc.key)).collect()
    }

    /// The identifiers of all the tenant's records, `limit` at most, after the record `after`.
    pub fn list(reader: &Reader<'_>, tenant: &TenantId, limit: usize, after: Option<&str>) -> Result<Vec<Iri>, ConsentError> {
        let prefix = format!("{tenant}{SEP}");
        let mut out: Vec<Iri> = Vec::new();
        // Past every version of the record.
        let mut from = after.map(|record| format!("{prefix}{record}{SEP}~"));
        while out.len() < limit {
            let docs = reader.docs(RECORD, &prefix, 1, from.as_deref())?;
            let Some(doc) = docs.first() else { break };
            let name = doc.key.split(SEP).nth(1).and_then(|name| Iri::new(name).ok()).ok_or(ConsentError::Corrupt("record"))?;
            from = Some(format!("{prefix}{name}{SEP}~"));
            out.push(name);
        }
        Ok(out)
    }

    /// An envelope that this hub issued.
    pub fn envelope(reader: &Reader<'_>, hash: &EnvelopeHash) -> Result<Option<StoredEnvelope>, ConsentError> {
        reader.doc(ENVELOPE, &hash.to_string())?.map(|doc| read_row(&doc.payload, "envelope")).transpose()
    }

    /// A status list by the name under `/status/`.
    pub fn status_list(reader: &Reader<'_>, name: &str) -> Result<Option<StatusList>, ConsentError> {
        let Some(doc) = reader.doc(STATUS, name)? else { return Ok(None) };
        StatusList::from_bytes(&doc.payload).map(Some).ok_or(ConsentError::Corrupt("status list"))
    }

    /// The names of all status lists.
    pub fn status_lists(reader: &Reader<'_>) -> Result<Vec<String>, ConsentError> {
        Ok(reader.docs(STATUS, "", MAX_ROWS, None)?.into_iter().map(|doc| doc.key).collect())
    }

    /// Subjects with a grant that has ended at `now` but is not closed yet, with the record: `limit` at most.
    pub fn ended(reader: &Reader<'_>, now: DateTime, limit: usize) -> Result<Vec<(TenantId, Iri)>, ConsentError> {
        let mut out = Vec::new();
        for doc in reader.due(GRANT, now, limit)? {
            let tenant = doc.key.split(SEP).next().and_then(TenantId::new).ok_or(ConsentError::Corrupt("grant"))?;
            let row: GrantRow = read_row(&doc.payload, "grant")?;
            out.push((tenant, row.record));
        }
        out.dedup();
        Ok(out)
    }

    /// The revision of the store at which the consents of `subject` last changed; nothing when she has none, or was erased.
    ///
    /// # Errors
    /// The store's.
    pub fn changed_at(reader: &Reader<'_>, tenant: &TenantId, subject: &Iri) -> Result<Option<u64>, StoreError> {
        Ok(reader.doc(MARK, &join(&[tenant.as_str(), subject.as_str()]))?.map(|doc| doc.revision))
    }

    /// The revision of the store at which anybody was last bound to the entity, by its name or by a pattern.
    ///
    /// # Errors
    /// The store's.
    pub fn bound_at(reader: &Reader<'_>, tenant: &TenantId, entity: &str) -> Result<u64, StoreError> {
        let at = |key: String| Ok::<_, StoreError>(reader.doc(MARK, &key)?.map_or(0, |doc| doc.revision));
        Ok(at(join(&[tenant.as_str(), "e", entity]))?.max(at(join(&[tenant.as_str(), "p"]))?))
    }

    /// What completes the rows by which grants are found by their recipient, in a store that was written before there were any. Nothing when
    /// they are complete.
    pub fn complete(reader: &Reader<'_>, now: DateTime) -> Result<Option<Batch>, ConsentError> {
        if reader.doc(MARK, GRANT_TO_KNOWN)?.is_some() {
            return Ok(None);
        }
        let (mut batch, mut after) = (Batch::new(), None::<String>);
        loop {
            let docs = reader.docs(GRANT, "", 1000, after.as_deref())?;
            let Some(last) = docs.last() else { break };
            after = Some(last.key.clone());
            for doc in docs {
                let row: GrantRow = read_row(&doc.payload, "grant")?;
                let mut parts = doc.key.split(SEP);
                let tenant = parts.next().and_then(TenantId::new).ok_or(ConsentError::Corrupt("grant"))?;
                let subject = parts.next().and_then(|s| Iri::new(s).ok()).ok_or(ConsentError::Corrupt("grant"))?;
                if row.is_live() {
                    batch.put_doc(GRANT_TO, &row.key_to(&tenant, &subject), Vec::new(), None);
                }
            }
        }
        Self::mark(&mut batch, GRANT_TO_KNOWN, now);
        Ok(Some(batch))
    }

    /// Takes what is in memory about `subject` out of it, after an erasure.
    pub fn purge(&self, tenant: &TenantId, subject: &Iri) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = cache.get_mut(tenant) {
            map.remove(subject);
        }
        self.reach.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn rows(reader: &Reader<'_>, tenant: &TenantId, subject: &str) -> Result<Vec<GrantRow>, ConsentError> {
        all(reader, GRANT, &join(&[tenant.as_str(), subject, ""]))
    }

    fn load(&self, reader: &Reader<'_>, tenant: &TenantId, subject: &Iri) -> Result<Arc<[Grant]>, ConsentError> {
        let rows = Self::rows(reader, tenant, subject.as_str())?;
        let grant = |row: GrantRow| {
            Ok(Grant {
                template: self.template(reader, &row.terms)?,
                record: row.record,
                version: row.version,
                subject: Some(subject.clone()),
                valid: row.valid,
                state: row.state,
                epoch: row.epoch,
                envelope: Some(row.envelope),
                status: Some(row.status),
            })
        };
        rows.into_iter().map(grant).collect::<Result<Vec<_>, ConsentError>>().map(Into::into)
    }

    fn template(&self, reader: &Reader<'_>, id: &str) -> Result<Arc<Template>, ConsentError> {
        let raw = EnvelopeHash::parse(id).ok_or(ConsentError::Corrupt("terms"))?.0;
        if let Some(found) = self.templates.get(&raw) {
            return Ok(found);
        }
        let doc = reader.doc(TERMS, id)?.ok_or(ConsentError::Corrupt("terms"))?;
        let terms: Terms = read_row(&doc.payload, "terms")?;
        if hex(&terms.id()) != id {
            return Err(ConsentError::Corrupt("terms"));
        }
        self.templates.share(terms)
    }
}

pub(crate) fn all<T: DeserializeOwned>(reader: &Reader<'_>, space: &'static str, prefix: &str) -> Result<Vec<T>, ConsentError> {
    let docs = reader.docs(space, prefix, MAX_ROWS + 1, None)?;
    if docs.len() > MAX_ROWS {
        return Err(ConsentError::Corrupt(space));
    }
    docs.iter().map(|doc| read_row(&doc.payload, space)).collect()
}

/// What the store says about consents at one moment.
#[derive(Clone, Copy)]
pub struct ConsentView<'a> {
    book: &'a ConsentBook,
    reader: &'a Reader<'a>,
    revision: u64,
}

impl std::fmt::Debug for ConsentView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConsentView(revision {})", self.revision)
    }
}

impl ConsentView<'_> {
    /// The revision of the last change about consents or bindings. The same revision gives the same answers, time apart.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Makes `batch` fail with a conflict when a consent or a binding changes before it is committed.
    pub fn expect(&self, batch: &mut Batch) {
        batch.expect_doc(MARK, HUB, Some(self.revision).filter(|at| *at > 0));
    }

    /// Who the Attribute (or, without one, the entity as such) is about.
    pub fn bound(&self, tenant: &TenantId, entity: &str, attribute: Option<&str>, at: DateTime) -> Result<Bound, ConsentError> {
        self.book.registry.bound(self.reader, self.revision, tenant, entity, attribute, at)
    }

    /// What of the tenant's own data can be open to `recipient` by anybody's consent, and surely all of that. Nothing when it is too much to
    /// be listed.
    pub fn reach(&self, tenant: &TenantId, recipient: &Iri) -> Result<Option<Arc<Reach>>, ConsentError> {
        let at = (tenant.clone(), recipient.clone());
        {
            let known = self.book.reach.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, reach)) = known.get(&at).filter(|(revision, _)| *revision == self.revision) {
                return Ok(reach.clone());
            }
        }
        let reach = self.find_reach(tenant, recipient)?.map(Arc::new);
        let mut known = self.book.reach.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT_REACHES {
            known.clear();
        }
        // An older reader must not take the memory back to its own time.
        if known.get(&at).is_none_or(|(revision, _)| *revision < self.revision) {
            known.insert(at, (self.revision, reach.clone()));
        }
        Ok(reach)
    }

    fn find_reach(&self, tenant: &TenantId, recipient: &Iri) -> Result<Option<Reach>, ConsentError> {
        let docs = self.reader.docs(GRANT_TO, &join(&[tenant.as_str(), recipient.as_str(), ""]), MAX_REACH + 1, None)?;
        if docs.len() > MAX_REACH {
            return Ok(None);
        }
        let (mut entities, mut heads) = (BTreeSet::new(), BTreeSet::new());
        let subjects: BTreeSet<&str> = docs.iter().filter_map(|doc| doc.key.split(SEP).nth(2)).collect();
        for subject in subjects {
            for binding in Registry::targets_of(self.reader, tenant, subject)? {
                match binding.target {
                    Target::Entity(entity) | Target::Attribute { entity, .. } => drop(entities.insert(entity.to_string())),
                    Target::Pattern(pattern) => drop(heads.insert(pattern.split('*').next().unwrap_or_default().to_owned())),
                }
            }
        }
        let small = entities.len() + heads.len() <= MAX_REACH;
        Ok(small.then(|| Reach { entities: entities.into_iter().collect(), heads: heads.into_iter().collect() }))
    }

    /// All grants of `subject`, closed ones too. Whether one reaches a value depends on [`Self::bound`] as well.
    pub fn grants(&self, tenant: &TenantId, subject: &Iri) -> Result<GrantSet, ConsentError> {
        let known = {
            let cache = self.book.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.get(tenant).and_then(|map| map.get(subject)).map(|entry| (entry.revision, entry.checked, Arc::clone(&entry.grants)))
        };
        if let Some((revision, checked, grants)) = &known
            && *checked == self.revision
        {
            return Ok(GrantSet { revision: *revision, grants: Arc::clone(grants) });
        }
        let revision = ConsentBook::changed_at(self.reader, tenant, subject)?.unwrap_or(0);
        let (grants, newer) = match known {
            Some((own, checked, grants)) if own == revision => (grants, checked > self.revision),
            Some((own, _, _)) => (self.book.load(self.reader, tenant, subject)?, own > revision),
            None => (self.book.load(self.reader, tenant, subject)?, false),
        };
        // An older reader must not take the memory back to its own time.
        if !newer {
            let mut cache = self.book.cache.lock().unwrap_or_else(PoisonError::into_inner);
            let map = cache.entry(tenant.clone()).or_default();
            if map.len() >= KEPT {
                map.clear();
            }
            let entry = Entry { revision, checked: self.revision, grants: Arc::clone(&grants) };
            match map.get(subject) {
                Some(there) if there.checked > self.revision => {}
                _ => {
                    map.insert(subject.clone(), entry);
                }
            }
        }
        Ok(GrantSet { revision, grants })
    }
}
