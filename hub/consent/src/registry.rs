//! The subject registry: who the data is about. What is bound to nobody is closed.

use crate::book::{MARK, SEP, join, read_row};
use crate::{ConsentError, Validity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use waybill_keys::{hex, random};
use waybill_model::{DateTime, Iri, TenantId};
use waybill_store::{Batch, Reader};

/// Bindings. Key: tenant, `e` and entity or `p` and pattern, Attribute, subject, beginning.
const BINDING: &str = "consent-binding";
/// The targets of a subject. Key: tenant, subject, and the binding's key.
const BOUND: &str = "consent-bound";
/// Guardianships. Key: tenant, ward, guardian, beginning.
const GUARDIAN: &str = "consent-guardian";
/// How many rows one answer may have; more than one household, building or person has.
const MAX_ROWS: usize = 10_000;
/// How many entities' bindings are kept in memory.
const KEPT: usize = 200_000;

/// What a binding is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Target {
    /// One entity.
    Entity(Iri),
    /// One Attribute of one entity. It goes before what is said of the whole entity.
    Attribute {
        /// The entity.
        entity: Iri,
        /// The Attribute's expanded name.
        attribute: Iri,
    },
    /// Every entity whose identifier fits; `*` stands for any characters. What is said of an entity by name goes before.
    Pattern(String),
}

impl Target {
    /// Whether it is about that Attribute of that entity.
    pub fn covers(&self, entity: &str, attribute: &str) -> bool {
        match self {
            Self::Entity(own) => own.as_str() == entity,
            Self::Attribute { entity: own, attribute: name } => own.as_str() == entity && name.as_str() == attribute,
            Self::Pattern(pattern) => fits(pattern, entity),
        }
    }
}

/// How several subjects of the same data decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Every subject has to agree; one withdrawal closes.
    All,
    /// This subject decides for all.
    Holder,
}

/// That data is about somebody, from when until when, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// What data.
    pub target: Target,
    /// The person.
    pub subject: Iri,
    /// From when until when.
    #[serde(default)]
    pub validity: Validity,
    /// Who says so.
    pub asserted_by: Iri,
    /// On what evidence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// How several subjects decide.
    pub rule: Rule,
}

impl Binding {
    /// The key of its row.
    pub fn key(&self, tenant: &TenantId) -> String {
        let from = self.validity.from.map_or_else(String::new, |at| at.micros().to_string());
        let (kind, target, attribute) = match &self.target {
            Target::Entity(entity) => ("e", entity.as_str(), ""),
            Target::Attribute { entity, attribute } => ("e", entity.as_str(), attribute.as_str()),
            Target::Pattern(pattern) => ("p", pattern.as_str(), ""),
        };
        join(&[tenant.as_str(), kind, target, attribute, self.subject.as_str(), &from])
    }
    fn reverse_key(&self, tenant: &TenantId) -> String {
        join(&[tenant.as_str(), self.subject.as_str(), &self.key(tenant)])
    }
}

/// That somebody acts for somebody else, until a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guardianship {
    /// For whom.
    pub ward: Iri,
    /// Who.
    pub guardian: Iri,
    /// From when.
    pub from: DateTime,
    /// Until when, excluded. There is always an end: the ward's coming of age, or the next review.
    pub until: DateTime,
    /// Who says so.
    pub asserted_by: Iri,
    /// On what evidence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}

/// Who one value is about, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bound {
    /// Everybody it is about.
    pub subjects: Vec<Iri>,
    /// Those of whom each must have agreed. Empty only when nobody is bound: then the data is closed.
    pub deciders: Vec<Iri>,
    /// Since when it is about all of them: what is older may be about somebody who was there before.
    pub since: Option<DateTime>,
}

impl Bound {
    /// Whether nobody is bound.
    pub fn is_unbound(&self) -> bool {
        self.deciders.is_empty()
    }
    /// Whether it is about `subject`.
    pub fn holds(&self, subject: &str) -> bool {
        self.subjects.iter().any(|own| own.as_str() == subject)
    }

    fn of<'a>(bindings: impl Iterator<Item = &'a Binding> + Clone) -> Self {
        let names = |list: BTreeSet<&Iri>| list.into_iter().cloned().collect::<Vec<Iri>>();
        let subjects = names(bindings.clone().map(|b| &b.subject).collect());
        let holders = names(bindings.clone().filter(|b| b.rule == Rule::Holder).map(|b| &b.subject).collect());
        let deciders = if holders.is_empty() { subjects.clone() } else { holders };
        // Of several bindings of one person, the first; of several persons, the last to come.
        let since_of = |who: &Iri| bindings.clone().filter(|b| b.subject == *who).map(|b| b.validity.from).min().flatten();
        let since = deciders.iter().filter_map(since_of).max();
        Self { deciders, subjects, since }
    }
}

/// The distinct names that stand behind the tenant in the keys of `space`.
pub(crate) fn names(reader: &Reader<'_>, space: &'static str, tenant: &TenantId) -> Result<BTreeSet<Iri>, ConsentError> {
    let prefix = format!("{tenant}{SEP}");
    let (mut out, mut after): (BTreeSet<Iri>, Option<String>) = (BTreeSet::new(), None);
    loop {
        let docs = reader.docs(space, &prefix, 1, after.as_deref())?;
        let Some(doc) = docs.first() else { return Ok(out) };
        let name = doc.key.split(SEP).nth(1).and_then(|name| Iri::new(name).ok()).ok_or(ConsentError::Corrupt(space))?;
        // Past all that stands behind the same name.
        after = Some(format!("{prefix}{name}{SEP}~"));
        out.insert(name);
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

type Rows = Arc<[Binding]>;

#[derive(Debug, Default)]
struct Cache {
    /// The consent revision that all of it belongs to.
    revision: u64,
    entities: HashMap<(TenantId, Box<str>), Rows>,
    patterns: HashMap<TenantId, Rows>,
}

/// The registry over the store. Keeps in memory what it read, for as long as nothing about consents changes.
#[derive(Debug, Default)]
pub struct Registry {
    cache: Mutex<Cache>,
}

impl Registry {
    /// Adds a binding to `batch`. The caller has to raise the consent revision with it: [`crate::ConsentBook::bind`].
    pub(crate) fn put(batch: &mut Batch, tenant: &TenantId, binding: &Binding) {
        // INVARIANT: plain members; serialising cannot fail.
        let row = serde_json::to_vec(binding).unwrap_or_default();
        batch.put_doc(BINDING, &binding.key(tenant), row.clone(), None);
        batch.put_doc(BOUND, &binding.reverse_key(tenant), row, binding.validity.until);
    }

    pub(crate) fn put_guardian(batch: &mut Batch, tenant: &TenantId, row: &Guardianship) {
        let key = join(&[tenant.as_str(), row.ward.as_str(), row.guardian.as_str(), &row.from.micros().to_string()]);
        batch.put_doc(GUARDIAN, &key, serde_json::to_vec(row).unwrap_or_default(), Some(row.until));
    }

    /// Who the Attribute (or, without one, the entity as such) is about at `at`. `revision` is the consent revision of `reader`'s state.
    #[allow(clippy::too_many_arguments, reason = "what, whose and when are all needed")]
    pub(crate) fn bound(
        &self,
        reader: &Reader<'_>,
        revision: u64,
        tenant: &TenantId,
        entity: &str,
        attribute: Option<&str>,
        at: DateTime,
    ) -> Result<Bound, ConsentError> {
        let rows = self.rows(reader, revision, tenant, entity)?;
        let now = |binding: &&Binding| binding.validity.holds(at);
        let named = |binding: &&Binding| match &binding.target {
            Target::Attribute { attribute: own, .. } => attribute.is_some_and(|name| own.as_str() == name),
            _ => false,
        };
        let exact = Bound::of(rows.iter().filter(now).filter(named));
        if !exact.is_unbound() {
            return Ok(exact);
        }
        let whole = Bound::of(rows.iter().filter(now).filter(|b| matches!(b.target, Target::Entity(_))));
        if !whole.is_unbound() {
            return Ok(whole);
        }
        let patterns = self.patterns(reader, revision, tenant)?;
        let fitting = |binding: &&Binding| matches!(&binding.target, Target::Pattern(pattern) if fits(pattern, entity));
        Ok(Bound::of(patterns.iter().filter(now).filter(fitting)))
    }

    /// What `subject` is or was bound to, whatever the time.
    pub fn targets_of(reader: &Reader<'_>, tenant: &TenantId, subject: &str) -> Result<Vec<Binding>, ConsentError> {
        let (prefix, mut out, mut after) = (join(&[tenant.as_str(), subject, ""]), Vec::new(), None::<String>);
        // No limit: a party that owns a whole street's things must be able to withdraw from all of them.
        loop {
            let docs = reader.docs(BOUND, &prefix, MAX_ROWS, after.as_deref())?;
            let Some(last) = docs.last() else { return Ok(out) };
            after = Some(last.key.clone());
            for doc in &docs {
                out.push(read_row(&doc.payload, "binding")?);
            }
        }
    }

    /// The marker whose revision tells when the bindings of a target last changed: one for each entity, one for all patterns.
    pub(crate) fn mark_of(tenant: &TenantId, target: &Target) -> String {
        match target {
            Target::Entity(entity) | Target::Attribute { entity, .. } => join(&[tenant.as_str(), "e", entity.as_str()]),
            Target::Pattern(_) => join(&[tenant.as_str(), "p"]),
        }
    }

    /// Everybody whom the Attribute is, was or will be about, whatever the time.
    pub fn ever(reader: &Reader<'_>, tenant: &TenantId, entity: &str, attribute: &str) -> Result<BTreeSet<Iri>, ConsentError> {
        let own: Vec<Binding> = rows(reader, BINDING, &join(&[tenant.as_str(), "e", entity, ""]))?;
        let patterns: Vec<Binding> = rows(reader, BINDING, &join(&[tenant.as_str(), "p", ""]))?;
        let about = own.into_iter().chain(patterns).filter(|b| b.target.covers(entity, attribute));
        Ok(about.map(|b| b.subject).collect())
    }

    /// The subjects that are bound to anything, or were.
    pub fn subjects(reader: &Reader<'_>, tenant: &TenantId) -> Result<BTreeSet<Iri>, ConsentError> {
        names(reader, BOUND, tenant)
    }

    /// Deletes every binding of `subject`, and every guardianship of and by her. Where the data is about others too, somebody without a name
    /// who never agrees takes her place: that she was erased must open nothing.
    pub(crate) fn forget(reader: &Reader<'_>, batch: &mut Batch, tenant: &TenantId, subject: &Iri, now: DateTime) -> Result<(), ConsentError> {
        for binding in Self::targets_of(reader, tenant, subject.as_str())? {
            batch.delete_doc(BINDING, &binding.key(tenant)).delete_doc(BOUND, &binding.reverse_key(tenant));
            if !matches!(binding.target, Target::Pattern(_)) {
                // It names the entity.
                batch.delete_doc(MARK, &Self::mark_of(tenant, &binding.target));
            }
            if binding.validity.until.is_none_or(|until| now < until) && Self::decided_without(reader, tenant, &binding, now)? {
                let nobody = format!("urn:waybill:erased:{}", hex(&random::<16>()));
                // INVARIANT: a scheme and hexadecimal digits make an IRI.
                let subject = Iri::new(nobody).map_err(|_| ConsentError::Corrupt("binding"))?;
                Self::put(batch, tenant, &Binding { subject, evidence: String::new(), ..binding });
            }
        }
        for doc in reader.docs(GUARDIAN, &format!("{tenant}{SEP}"), MAX_ROWS, None)? {
            if doc.key.split(SEP).skip(1).take(2).any(|who| who == subject.as_str()) {
                batch.delete_doc(GUARDIAN, &doc.key);
            }
        }
        Ok(())
    }

    /// Whether others would decide about what `binding` covers if it were not there.
    fn decided_without(reader: &Reader<'_>, tenant: &TenantId, binding: &Binding, now: DateTime) -> Result<bool, ConsentError> {
        let patterns: Vec<Binding> = rows(reader, BINDING, &join(&[tenant.as_str(), "p", ""]))?;
        let own: Vec<Binding> = match &binding.target {
            Target::Entity(entity) | Target::Attribute { entity, .. } => rows(reader, BINDING, &join(&[tenant.as_str(), "e", entity.as_str(), ""]))?,
            Target::Pattern(_) => Vec::new(),
        };
        let others = own.iter().chain(&patterns).filter(|other| other.subject != binding.subject && other.validity.until.is_none_or(|until| now < until));
        Ok(others.into_iter().any(|other| match (&binding.target, &other.target) {
            (Target::Attribute { attribute, .. }, Target::Attribute { attribute: other, .. }) => attribute == other,
            (Target::Entity(_) | Target::Attribute { .. }, Target::Entity(_)) => true,
            (Target::Entity(entity) | Target::Attribute { entity, .. }, Target::Pattern(pattern)) => fits(pattern, entity.as_str()),
            // Two patterns may fit the same unless what stands before their first star differs.
            (Target::Pattern(one), Target::Pattern(other)) => {
                let head = |pattern: &str| pattern.split('*').next().unwrap_or_default().to_owned();
                head(one).starts_with(&head(other)) || head(other).starts_with(&head(one))
            }
            (Target::Entity(_), Target::Attribute { .. }) | (Target::Pattern(_), _) => false,
        }))
    }

    /// Every binding of the tenant, `limit` at most, after the key `after`; with each its key.
    pub fn list(reader: &Reader<'_>, tenant: &TenantId, limit: usize, after: Option<&str>) -> Result<Vec<(String, Binding)>, ConsentError> {
        let docs = reader.docs(BINDING, &format!("{tenant}{SEP}"), limit, after)?;
        docs.into_iter().map(|doc| Ok((doc.key, read_row(&doc.payload, "binding")?))).collect()
    }

    /// Whether `guardian` acts for `ward` at `at`.
    pub fn acts_for(reader: &Reader<'_>, tenant: &TenantId, guardian: &str, ward: &str, at: DateTime) -> Result<bool, ConsentError> {
        let list: Vec<Guardianship> = rows(reader, GUARDIAN, &join(&[tenant.as_str(), ward, guardian, ""]))?;
        Ok(list.iter().any(|row| row.from <= at && at < row.until))
    }

    fn rows(&self, reader: &Reader<'_>, revision: u64, tenant: &TenantId, entity: &str) -> Result<Rows, ConsentError> {
        let key = (tenant.clone(), Box::<str>::from(entity));
        if let Some(found) = self.at(revision).and_then(|cache| cache.entities.get(&key).cloned()) {
            return Ok(found);
        }
        let found: Rows = rows(reader, BINDING, &join(&[tenant.as_str(), "e", entity, ""]))?.into();
        if let Some(mut cache) = self.at(revision) {
            if cache.entities.len() >= KEPT {
                cache.entities.clear();
            }
            cache.entities.insert(key, Arc::clone(&found));
        }
        Ok(found)
    }

    fn patterns(&self, reader: &Reader<'_>, revision: u64, tenant: &TenantId) -> Result<Rows, ConsentError> {
        if let Some(found) = self.at(revision).and_then(|cache| cache.patterns.get(tenant).cloned()) {
            return Ok(found);
        }
        let found: Rows = rows(reader, BINDING, &join(&[tenant.as_str(), "p", ""]))?.into();
        if let Some(mut cache) = self.at(revision) {
            cache.patterns.insert(tenant.clone(), Arc::clone(&found));
        }
        Ok(found)
    }

    /// The cache, when it is about that revision. A newer revision empties it; an older reader goes without.
    fn at(&self, revision: u64) -> Option<std::sync::MutexGuard<'_, Cache>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.revision < revision {
            *cache = Cache { revision, ..Cache::default() };
        }
        (cache.revision == revision).then_some(cache)
    }
}

fn rows<T: serde::de::DeserializeOwned>(reader: &Reader<'_>, space: &str, prefix: &str) -> Result<Vec<T>, ConsentError> {
    let docs = reader.docs(space, prefix, MAX_ROWS + 1, None)?;
    if docs.len() > MAX_ROWS {
        // An answer cut short could leave out the one who has not agreed.
        return Err(ConsentError::Corrupt("more bindings than one thing can have"));
    }
    docs.iter().map(|doc| read_row(&doc.payload, "binding")).collect()
}
