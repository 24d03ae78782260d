//! The gate itself: records the decision, tags what is personal, seals.

use crate::governance::Governance;
use crate::onward;
use crate::pairwise::PairKeys;
use crate::parcel::{Deleted, Gone, Parcel};
use crate::reason::Tally;
use crate::released::{Receipt, Released};
use crate::standing::Standing;
use crate::tagging::Tagger;
use crate::view::View;
use crate::visible::VisibleDoc;
use arc_swap::ArcSwap;
use std::sync::{Arc, RwLock};
use waybill_consent::ConsentBook;
use waybill_journal::{Journal, Kind, Record, Tally as Count};
use waybill_keys::KeyRing;
use waybill_model::{Clock, EntityDoc, EnvelopeHash, Iri, Problem, Scope};
use waybill_store::{Batch, Store};

/// Documents of manifests. Key: the hexadecimal SHA-256 of the compact JWS.
pub const MANIFEST: &str = "manifest";
/// Documents of holders: who got what under an envelope. Key: envelope, recipient, and the licence when it was given under one.
pub const HOLDER: &str = "holder";
/// How long a manifest can be fetched, in seconds.
const MANIFEST_KEPT: i64 = 30 * 86_400;

/// A page of entities, as the recipient may see them, tags inside.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The entities.
    pub entities: Vec<EntityDoc>,
    /// How many there are in all, as far as this recipient may see; nothing when it was not counted.
    pub total: Option<u64>,
}

/// A delivery that is not released yet.
#[derive(Debug, Default)]
pub struct Draft {
    /// The idempotency key.
    pub key: String,
    /// New and changed entities.
    pub entities: Vec<VisibleDoc>,
    /// Which Attributes changed, by index; nothing means all.
    pub changed: Vec<Option<Vec<String>>>,
    /// What is seen no more.
    pub deleted: Vec<Deleted>,
}

impl Draft {
    /// Whether there is nothing to deliver.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty() && self.deleted.is_empty()
    }
}

/// The one way out. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    store: Store,
    book: Arc<ConsentBook>,
    journal: Journal,
    keys: Arc<RwLock<KeyRing>>,
    clock: Clock,
    governance: ArcSwap<Governance>,
    pairs: Arc<PairKeys>,
}

impl Gate {
    /// A gate over what decides and what records, and what names are made for organisations with.
    pub fn new(store: Store, book: Arc<ConsentBook>, journal: Journal, keys: Arc<RwLock<KeyRing>>, clock: Clock, governance: Governance, pairs: Arc<PairKeys>) -> Self {
        Self(Arc::new(Inner { store, book, journal, keys, clock, governance: ArcSwap::from_pointee(governance), pairs }))
    }

    /// The configuration in force.
    pub fn governance(&self) -> Arc<Governance> {
        self.0.governance.load_full()
    }

    /// Puts another configuration in force. Views made before keep the old one.
    pub fn govern(&self, governance: Governance) {
        self.0.governance.store(Arc::new(governance));
    }

    /// What `scope` may see from now on.
    pub fn view(&self, scope: &Scope) -> View {
        View::new(scope, self.0.clock.now(), self.governance(), self.0.book.clone(), self.0.pairs.clone())
    }

    /// Releases a page. When it holds personal data, this returns only once the decision is on record, durably; what is open, and
    /// what stayed closed, is counted and recorded by the minute. `beside` is committed with it.
    ///
    /// # Errors
    /// The store's and the journal's: then nothing is released. `store-conflict` means that a consent, or the licence of
    /// the call, changed since the entities were looked at: look again.
    pub async fn release_page(&self, view: &View, docs: Vec<VisibleDoc>, total: Option<u64>, tally: Tally, query: &str, beside: Batch) -> Result<Released<Page>, Problem> {
        let (entities, receipt) = self.tag_and_record(view, docs, tally, Kind::Disclosure, query, beside).await?;
        Ok(Released::new(Page { entities, total }, receipt))
    }

    /// Releases a delivery to a follower. Returns only once the decision is on record, durably; `beside` is committed with it. What
    /// is taken back is on record too.
    ///
    /// # Errors
    /// The store's and the journal's: then nothing is released. `store-conflict` as for [`Self::release_page`].
    pub async fn release_parcel(&self, view: &View, draft: Draft, tally: Tally, follower: &Iri, mut beside: Batch) -> Result<Released<Parcel>, Problem> {
        let Draft { key, entities, changed, deleted } = draft;
        let query = format!("follow {follower}");
        if !deleted.is_empty() {
            self.0.journal.append(&mut beside, retraction(view, &query, deleted.len()));
        }
        let (entities, receipt) = self.tag_and_record(view, entities, tally, Kind::Delivery, &query, beside).await?;
        let manifest = receipt.manifest.clone();
        Ok(Released::new(Parcel { follower: follower.clone(), tenant: view.scope().tenant.clone(), key, at: view.now(), entities, changed, deleted, manifest }, receipt))
    }

    /// Releases what an organisation is told that it may see no more. Returns only once that is on record, durably; `beside` is committed with it.
    ///
    /// # Errors
    /// The store's: then nothing is released. `store-conflict` means that others noted the same meanwhile: look again.
    pub async fn release_gone(&self, view: &View, gone: Vec<Gone>, query: &str, mut beside: Batch) -> Result<Released<Vec<Gone>>, Problem> {
        if !gone.is_empty() {
            self.0.journal.append(&mut beside, retraction(view, query, gone.len()));
        }
        if !beside.is_empty() {
            self.0.store.commit(beside).await?;
        }
        let receipt = Receipt { personal: !gone.is_empty(), recipient: view.scope().recipient.clone(), ..Receipt::default() };
        Ok(Released::new(gone, receipt))
    }

    /// Whether what a release stands on still does, so that the rest of it may be sent. That it does not is on record.
    pub async fn stands(&self, standing: &Arc<Standing>) -> bool {
        let (asked, now) = (standing.clone(), self.0.clock.now());
        let holds = self.0.store.read(move |r| asked.holds(r, now)).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "an answer is cut off: whether what it stands on still does cannot be read");
            false
        });
        if !holds {
            let scope = standing.scope();
            let what = Count { kind: Kind::Refusal, tenant: scope.tenant.clone(), recipient: scope.recipient.clone(), purpose: scope.purpose.clone(), subject: None, reason: "cut-off".into() };
            self.0.journal.coalesce(what, now, 1);
        }
        holds
    }

    /// Records that nothing was released, and why.
    ///
    /// # Errors
    /// The journal's.
    pub async fn note_closed(&self, view: &View, tally: Tally, query: &str) -> Result<(), Problem> {
        self.tag_and_record(view, Vec::new(), tally, Kind::Disclosure, query, Batch::new()).await.map(drop)
    }

    async fn tag_and_record(&self, view: &View, docs: Vec<VisibleDoc>, tally: Tally, kind: Kind, query: &str, mut batch: Batch) -> Result<(Vec<EntityDoc>, Receipt), Problem> {
        let personal = tally.matched_personal > 0 || docs.iter().any(VisibleDoc::is_personal);
        let recipient = view.scope().recipient.clone();
        let standing = Arc::new(Standing::of(view.scope(), &docs));
        standing.guard(&mut batch);
        if !personal {
            if !batch.is_empty() {
                self.0.store.commit(batch).await?;
            }
            self.count_closed(view, &tally);
            if !docs.is_empty() {
                self.0.journal.coalesce(count(view, Kind::OpenRead, None, "open"), view.now(), docs.len() as u64);
            }
            let entities = docs.into_iter().map(|v| v.doc).collect();
            return Ok((entities, Receipt { recipient, ..Receipt::default() }));
        }
        let needed = Tagger::needed(&docs, recipient.clone());
        let found = if needed.is_empty() {
            onward::Found::default()
        } else {
            let (book, keys, governance, tenant, now) = (self.0.book.clone(), self.0.keys.clone(), view.governance.clone(), view.scope().tenant.clone(), view.now());
            let (found, issued) = self.0.store.read(move |r| onward::envelopes(r, &book, &keys, &governance, &tenant, &needed, now)).await?;
            batch.absorb(issued);
            found
        };
        let tagged = Tagger::new(view, &self.0.keys).tag(docs, &found, kind.as_str());
        let manifest = tagged.manifest.as_ref().map(|m| {
            let id = m.id();
            batch.put_doc(MANIFEST, &id, m.compact.as_bytes().to_vec(), Some(view.now().plus_seconds(MANIFEST_KEPT)));
            format!("{}/waybill/manifests/{id}", view.governance.base_url)
        });
        if let Some(recipient) = &recipient {
            for envelope in &tagged.envelopes {
                let licence = view.scope().agreement.as_ref().filter(|_| view.is_licensed());
                let key = licence.map_or_else(|| format!("{envelope}\u{1f}{recipient}"), |id| format!("{envelope}\u{1f}{recipient}\u{1f}{id}"));
                batch.put_doc(HOLDER, &key, view.now().to_string().into_bytes(), None);
            }
        }
        let root = tagged.manifest.as_ref().and_then(|m| EnvelopeHash::parse(&m.claims.root)).map(|h| h.0);
        let mut record = Record::new(kind, view.scope().tenant.clone(), view.now())
            .recipient(recipient.clone())
            .purpose(view.scope().purpose.clone())
            .query(waybill_keys::sha256(query.as_bytes()))
            .left(tagged.entities.len() as u64, root);
        for (subject, (consent, what)) in tagged.about {
            record = record.about(subject, consent, what);
        }
        self.0.journal.append(&mut batch, record);
        self.0.store.commit(batch).await?;
        self.count_closed(view, &tally);
        let receipt = Receipt { personal: true, envelopes: tagged.envelopes, manifest, epoch: tagged.epoch, recipient, standing: Some(standing) };
        Ok((tagged.entities, receipt))
    }

    /// What stayed closed is counted by reason, and for each person on her page; so is that she was counted in an answer.
    fn count_closed(&self, view: &View, tally: &Tally) {
        for (reason, times) in &tally.closed {
            self.0.journal.coalesce(count(view, Kind::Refusal, None, reason.code()), view.now(), *times);
        }
        for (subject, times) in &tally.counted {
            self.0.journal.coalesce(count(view, Kind::Disclosure, Some(subject), "counted"), view.now(), *times);
        }
        for ((subject, reason), times) in &tally.by_subject {
            self.0.journal.coalesce(count(view, Kind::Refusal, Some(subject), reason.code()), view.now(), *times);
        }
    }
}

fn retraction(view: &View, query: &str, entities: usize) -> Record {
    let scope = view.scope();
    Record::new(Kind::Retraction, scope.tenant.clone(), view.now())
        .recipient(scope.recipient.clone())
        .purpose(scope.purpose.clone())
        .query(waybill_keys::sha256(query.as_bytes()))
        .left(entities as u64, None)
}

fn count(view: &View, kind: Kind, subject: Option<&Iri>, reason: &'static str) -> Count {
    let scope = view.scope();
    Count { kind, tenant: scope.tenant.clone(), recipient: scope.recipient.clone(), purpose: scope.purpose.clone(), subject: subject.cloned(), reason: reason.into() }
}
