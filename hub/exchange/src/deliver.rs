//! Delivering: each attempt is decided anew, says what changed since the follower last saw it, and takes effect once.

use crate::fan::{find_follower, is_on};
use crate::follow::{encode, follower_key};
use crate::hub::Hub;
use crate::origin::which;
use crate::scan::each_doc;
use crate::rows::{DEAD, Delivery, FOLLOWER, Follower, OUTBOX, SEEN, SEP, Seen, SeenInstance, key, of_follower};
use std::collections::{BTreeMap, BTreeSet};
use waybill_gate::{Deleted, Draft, Tally, View, VisibleDoc};
use waybill_model::{DateTime, Iri, Problem, TenantId};
use waybill_port::{Delivered, DeliveryError, Selection};
use waybill_store::{Batch, Doc, Reader, StoreError};

/// Rows of one follower that go into one delivery.
const AT_ONCE: usize = 100;
/// The longest rest that a receiver is granted, in microseconds: it asks for its own good, not for hers.
const LONGEST: i64 = 600_000_000;
/// Failed attempts after which a delivery is given up, unless it takes something back: that is tried for ever.
const MAX_ATTEMPTS: u32 = 12;

impl Hub {
    /// Starts the deliveries that are due, one task a follower. Returns how many followers had something due.
    ///
    /// # Errors
    /// The store's.
    pub async fn deliver_due(&self) -> Result<usize, Problem> {
        let now = self.inner.clock.now();
        let rows = self.inner.store.read(move |r| r.due(OUTBOX, now, AT_ONCE * 8)).await?;
        let mut by_follower: BTreeMap<(TenantId, Iri), Vec<Doc>> = BTreeMap::new();
        for row in rows {
            let mut parts = row.key.split(SEP);
            let (Some(Some(tenant)), Some(Ok(follower))) = (parts.next().map(TenantId::new), parts.next().map(Iri::new)) else { continue };
            by_follower.entry((tenant, follower)).or_default().push(row);
        }
        let crowded = by_follower.values().map(Vec::len).sum::<usize>() >= AT_ONCE * 8;
        if crowded {
            // Whoever has the oldest rows must not keep others from theirs: a withdrawal may be among them.
            let seen: Vec<(TenantId, Iri)> = by_follower.keys().cloned().collect();
            for (follower, rows) in self.others_due(now, seen).await? {
                by_follower.insert(follower, rows);
            }
        }
        let started = by_follower.len();
        for ((tenant, follower), mut rows) in by_follower {
            rows.truncate(AT_ONCE);
            // One delivery at a time for each follower keeps the order per entity.
            let flight = key(&["deliver", &of_follower(&tenant, &follower)]);
            if !self.flights().insert(flight.clone()) {
                continue;
            }
            let hub = self.clone();
            tokio::spawn(async move {
                if let Err(problem) = hub.deliver_to(&tenant, &follower, rows).await {
                    tracing::warn!(%follower, code = problem.code, "delivery not carried out");
                }
                hub.flights().remove(&flight);
                hub.ring();
            });
        }
        Ok(started)
    }

    /// What is due of followers other than `seen`, some of each.
    #[allow(clippy::type_complexity, reason = "rows by follower")]
    async fn others_due(&self, now: DateTime, seen: Vec<(TenantId, Iri)>) -> Result<Vec<((TenantId, Iri), Vec<Doc>)>, Problem> {
        let read = move |r: &Reader<'_>| {
            let mut followers = Vec::new();
            each_doc(r, FOLLOWER, "", |doc| followers.extend(serde_json::from_slice::<Follower>(&doc.payload)))?;
            let mut out = Vec::new();
            for follower in followers {
                let who = (follower.tenant, follower.id);
                if !seen.contains(&who) {
                    let mut rows = r.docs(OUTBOX, &of_follower(&who.0, &who.1), AT_ONCE, None)?;
                    rows.retain(|row| row.due.is_some_and(|due| due <= now));
                    if !rows.is_empty() {
                        out.push((who, rows));
                    }
                }
            }
            Ok(out)
        };
        Ok(self.inner.store.read(read).await?)
    }

    pub(crate) fn flights(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<String>> {
        self.inner.flights.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn deliver_to(&self, tenant: &TenantId, id: &Iri, rows: Vec<Doc>) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let (tenant, wanted) = (tenant.clone(), id.clone());
        let Some(follower) = self.inner.store.read(move |r| find_follower(r, &tenant, &wanted)).await? else {
            return self.settle(&rows, Batch::new()).await;
        };
        let (Some(sink), Some(selection)) = (self.sink(&follower.sink), self.selection(&follower)) else {
            let error = DeliveryError::retry(format!("no sink `{}` is there", follower.sink));
            // It may be to be taken back: that is never given up.
            return self.failed(&follower, &rows, &error, true).await;
        };
        let view = self.inner.gate.view(&follower.on_behalf.scope(&follower.tenant));
        let plan = {
            let (view, follower, rows, secret) = (view.clone(), follower.clone(), rows.clone(), self.inner.secret);
            self.inner.store.read(move |r| plan(r, &view, &follower, &selection, is_on(&follower, now), &rows, &secret)).await?
        };
        if plan.draft.is_empty() {
            self.inner.gate.note_closed(&view, plan.tally, &format!("follow {id}")).await?;
            let mut batch = plan.seen;
            if !plan.gone.is_empty() {
                self.note_taken_back(&mut batch, &follower, &plan.gone, &Delivered::default());
            }
            return self.settle(&rows, batch).await;
        }
        let taking_back = !plan.draft.deleted.is_empty();
        let gone = plan.gone;
        let parcel = match self.inner.gate.release_parcel(&view, plan.draft, plan.tally, &follower.id, plan.sent).await {
            // Somebody changed a consent, or the rows, meanwhile: the rows are still due, and are decided anew.
            Err(problem) if problem.code == "store-conflict" => return Ok(()),
            other => other?,
        };
        waybill_store::crash_point("deliver");
        let sent = sink.deliver(follower.spec.as_bytes(), &parcel).await;
        waybill_store::crash_point("delivered");
        match sent {
            Ok(done) => self.delivered(&follower, &rows, plan.seen, &gone, &done).await,
            Err(error) => self.failed(&follower, &rows, &error, taking_back).await,
        }
    }

    async fn delivered(&self, follower: &Follower, rows: &[Doc], seen: Batch, gone: &BTreeSet<waybill_model::EnvelopeHash>, done: &Delivered) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = seen;
        // It may have ended while this was on its way: then nothing of it is kept.
        let at = follower_key(&follower.tenant, &follower.id);
        batch.check(move |r| if r.doc(FOLLOWER, &at)?.is_some() { Ok(()) } else { Err(StoreError::conflict("follower")) });
        if !gone.is_empty() {
            self.note_taken_back(&mut batch, follower, gone, done);
        }
        self.settle(rows, batch).await?;
        self.status(follower, now, true).await
    }

    /// Commits `batch` and ends the rows that were not written again meanwhile; those stay due.
    async fn settle(&self, rows: &[Doc], mut batch: Batch) -> Result<(), Problem> {
        for row in rows {
            batch.delete_doc_at(OUTBOX, &row.key, row.revision);
        }
        self.commit(batch).await.map(drop)
    }

    async fn failed(&self, follower: &Follower, rows: &[Doc], error: &DeliveryError, taking_back: bool) -> Result<(), Problem> {
        let now = self.inner.clock.now();
        let mut batch = Batch::new();
        for row in rows {
            let mut delivery: Delivery = serde_json::from_slice(&row.payload).unwrap_or_default();
            delivery.attempts += 1;
            delivery.error = Some(error.detail.chars().take(300).collect());
            if !taking_back && (!error.retry || delivery.attempts >= MAX_ATTEMPTS) {
                batch.put_doc(DEAD, &key(&["delivery", &row.key]), encode(&delivery), None);
                batch.delete_doc_at(OUTBOX, &row.key, row.revision);
            } else {
                let asked = error.after.map(|d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
                let wait = asked.unwrap_or_else(|| backoff_micros(delivery.attempts)).min(LONGEST);
                let (at, revision, text) = (row.key.clone(), row.revision, encode(&delivery));
                // One that was written again meanwhile is due at once: there may be something to take back.
                batch.then(move |r| {
                    let mut batch = Batch::new();
                    if r.doc(OUTBOX, &at)?.is_some_and(|doc| doc.revision == revision) {
                        batch.put_doc(OUTBOX, &at, text, Some(now.plus_micros(wait)));
                    }
                    Ok(batch)
                });
            }
        }
        self.commit(batch).await?;
        self.status(follower, now, false).await
    }

    /// Counts a delivery. Only a count: where somebody changes the follower at the same time, the change stands and the count is left out.
    async fn status(&self, follower: &Follower, now: DateTime, ok: bool) -> Result<(), Problem> {
        let at = follower_key(&follower.tenant, &follower.id);
        let looked = at.clone();
        let Some(row) = self.inner.store.read(move |r| r.doc(FOLLOWER, &looked)).await? else { return Ok(()) };
        let Ok(mut present) = serde_json::from_slice::<Follower>(&row.payload) else { return Ok(()) };
        present.status.times_sent += 1;
        present.status.last_notification = Some(now);
        if ok {
            present.status.last_success = Some(now);
        } else {
            present.status.times_failed += 1;
            present.status.last_failure = Some(now);
        }
        let mut batch = Batch::new();
        batch.expect_doc(FOLLOWER, &at, Some(row.revision));
        batch.put_doc(FOLLOWER, &at, encode(&present), None);
        match self.inner.store.commit(batch).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Half a second, doubled with each attempt, at most a minute.
fn backoff_micros(attempts: u32) -> i64 {
    (250_000i64 << attempts.min(8)).min(60_000_000)
}

struct Plan {
    draft: Draft,
    tally: Tally,
    /// What the follower will have seen once the delivery has arrived.
    seen: Batch,
    /// What it may have seen as soon as the delivery is on its way: were the answer lost, it is still known what to take back.
    sent: Batch,
    /// The envelopes under which something was shown before and is no more.
    gone: BTreeSet<waybill_model::EnvelopeHash>,
}

/// Compares, for each row, what the follower may see now with what she saw last. While it is not `on`, nothing is shown, but what it may
/// hold no more is still taken back.
fn plan(r: &Reader<'_>, view: &View, follower: &Follower, selection: &Selection, on: bool, rows: &[Doc], secret: &[u8; 32]) -> Result<Plan, StoreError> {
    let mut out = Plan { draft: Draft::default(), tally: Tally::default(), seen: Batch::new(), sent: Batch::new(), gone: BTreeSet::new() };
    let mut fingerprint = follower.id.to_string();
    let eyes = view.eyes(r)?;
    let deaf = view.is_deaf(selection.hears_deletions);
    for row in rows {
        let Some(Ok(id)) = row.key.split(SEP).nth(2).map(Iri::new) else { continue };
        let at = &row.key;
        let seen = r.doc(SEEN, at)?;
        let revision = seen.as_ref().map(|doc| doc.revision);
        let before: Option<Seen> = seen.and_then(|doc| serde_json::from_slice(&doc.payload).ok());
        let mut tally = Tally::default();
        let masked = match r.entity(&follower.tenant, id.as_str())? {
            Some(doc) => eyes.mask(&doc, &mut tally)?,
            None => None,
        };
        // Who would not hear that it is over gets nothing that may be over.
        let masked = masked.filter(|v| !(deaf && v.is_personal()));
        let stale: BTreeSet<String> = std::mem::take(&mut tally.stale).into_iter().map(|(name, dataset)| which(&name, dataset.as_deref())).collect();
        out.tally.absorb(tally);
        let fits = masked.as_ref().is_some_and(|v| v.matches(&selection.query));
        let visible = masked.map(|v| v.project(|name| selection.query.projection.keeps_attribute(name)));
        // While a sender is not heard of, reading is closed, but nothing is rewritten for it: what was sent stays as it is.
        match (before, visible) {
            (before, Some(visible)) if fits && on && stale.is_empty() => {
                let after = seen_of(&visible, secret);
                let (personal, known) = (visible.is_personal(), out.draft.entities.len());
                let Ok(shown) = Iri::new(visible.id()) else { continue };
                let same = known_as(&mut out, before.as_ref(), &after, &id, &shown, &mut fingerprint);
                compare(&mut out, before.as_ref().filter(|_| same), &after, shown, visible, selection, &mut fingerprint);
                if personal && out.draft.entities.len() > known {
                    out.sent.expect_doc(SEEN, at, revision);
                    out.sent.put_doc(SEEN, at, encode(&Seen::or_perhaps(before.as_ref(), &after, &id)), None);
                }
                out.seen.put_doc(SEEN, at, encode(&after), None);
            }
            // Nothing of it could be taken back.
            (Some(before), _) if before.instances.is_empty() && (!on || !stale.is_empty()) => {}
            (Some(before), visible) => {
                let now = visible.map(|v| seen_of(&v, secret).instances).unwrap_or_default();
                let still = |at: &String, held: &SeenInstance| now.get(at).is_some_and(|i| held.envelopes().all(|held| i.envelopes().any(|own| own == held)));
                let stays = |at: &String, held: &SeenInstance| {
                    stale.contains(at) || (!on && held.envelopes().next().is_none()) || ((!on && fits || !stale.is_empty()) && still(at, held))
                };
                retract(&mut out, at, before, id, stays, &mut fingerprint);
            }
            (None, _) => {}
        }
    }
    if eyes.renames() {
        // In the order of the store, they would tell in which order their true identifiers are.
        let changed = std::mem::take(&mut out.draft.changed);
        let mut both: Vec<_> = std::mem::take(&mut out.draft.entities).into_iter().zip(changed).collect();
        both.sort_by(|a, b| a.0.id().cmp(b.0.id()));
        (out.draft.entities, out.draft.changed) = both.into_iter().unzip();
        out.draft.deleted.sort_by(|a, b| a.id.cmp(&b.id));
    }
    out.draft.key = waybill_keys::hex(&waybill_keys::sha256(fingerprint.as_bytes()));
    Ok(out)
}

/// Whether the follower knows the entity `stored` under the identifier by which it is shown now. What it knows under another one is another
/// entity to it, and is taken back.
fn known_as(out: &mut Plan, before: Option<&Seen>, after: &Seen, stored: &Iri, shown: &Iri, fingerprint: &mut String) -> bool {
    let Some(before) = before else { return false };
    let ids = before.ids(stored);
    for other in ids.iter().filter(|id| *id != shown) {
        fingerprint.push_str("|-");
        fingerprint.push_str(other.as_str());
        out.draft.deleted.push(Deleted { id: other.clone(), types: before.types.clone(), attributes: Vec::new() });
    }
    let known = ids.contains(shown);
    if !known {
        let kept: BTreeSet<_> = after.envelopes().collect();
        out.gone.extend(before.envelopes().filter(|envelope| !kept.contains(envelope)));
    }
    known
}

/// Takes back what the follower saw, but for what `stays`.
fn retract(out: &mut Plan, at: &str, before: Seen, id: Iri, stays: impl Fn(&String, &SeenInstance) -> bool, fingerprint: &mut String) {
    let lost: BTreeSet<String> = before.instances.iter().filter(|(at, held)| !stays(at, held)).map(|(at, _)| name_of(at)).collect();
    let ids = before.ids(&id);
    let (gone, kept): (BTreeMap<_, _>, BTreeMap<_, _>) = before.instances.into_iter().partition(|(at, _)| lost.contains(&name_of(at)));
    if gone.is_empty() && !kept.is_empty() {
        return;
    }
    out.gone.extend(gone.values().flat_map(SeenInstance::envelopes));
    let names = if kept.is_empty() { BTreeSet::new() } else { lost };
    fingerprint.push_str(&format!("|-{id}{names:?}"));
    let attributes: Vec<Iri> = names.into_iter().filter_map(|n| Iri::new(n).ok()).collect();
    out.draft.deleted.extend(ids.into_iter().map(|id| Deleted { id, types: before.types.clone(), attributes: attributes.clone() }));
    if kept.is_empty() {
        out.seen.delete_doc(SEEN, at);
    } else {
        out.seen.put_doc(SEEN, at, encode(&Seen { types: before.types, instances: kept, shown_as: before.shown_as }), None);
    }
}

/// The name in the key of an instance.
fn name_of(at: &str) -> String {
    at.split(SEP).next().unwrap_or(at).to_owned()
}

fn compare(out: &mut Plan, before: Option<&Seen>, after: &Seen, id: Iri, visible: VisibleDoc, selection: &Selection, fingerprint: &mut String) {
    let Some(before) = before else {
        push_fingerprint(fingerprint, after, &id);
        out.draft.changed.push(None);
        out.draft.entities.push(visible);
        return;
    };
    let mut changed: BTreeSet<String> = after.instances.iter().filter(|(at, i)| before.instances.get(*at) != Some(i)).map(|(at, _)| name_of(at)).collect();
    let lost: Vec<&String> = before.instances.keys().filter(|at| !after.instances.contains_key(*at)).collect();
    out.gone.extend(lost.iter().filter_map(|at| before.instances.get(*at)).flat_map(crate::rows::SeenInstance::envelopes));
    // What is now shown under another envelope is no longer held under the one before.
    let kept: BTreeSet<_> = after.envelopes().collect();
    out.gone.extend(before.envelopes().filter(|e| !kept.contains(e)));
    let (remains, gone): (BTreeSet<String>, BTreeSet<String>) = lost.iter().map(|at| name_of(at)).partition(|n| after.instances.keys().any(|at| &name_of(at) == n));
    let heard = |names: &BTreeSet<String>| selection.watched.is_empty() || names.iter().any(|n| selection.watched.iter().any(|w| w.as_str() == n));
    // A value that is now under other terms is told whatever is watched: the old tag must not stay there.
    // So is that one of several instances is gone.
    let terms = !remains.is_empty() || after.instances.iter().any(|(at, i)| before.instances.get(at).is_some_and(|old| old.envelope != i.envelope || old.perhaps != i.perhaps));
    changed.extend(remains);
    if !changed.is_empty() && (terms || heard(&changed)) {
        push_fingerprint(fingerprint, after, &id);
        out.draft.changed.push(Some(changed.into_iter().collect()));
        out.draft.entities.push(visible);
    }
    if !gone.is_empty() {
        fingerprint.push_str(&format!("|-{id}{gone:?}"));
        let attributes = gone.into_iter().filter_map(|n| Iri::new(n).ok()).collect();
        out.draft.deleted.push(Deleted { id, types: after.types.clone(), attributes });
    }
}

fn push_fingerprint(fingerprint: &mut String, seen: &Seen, id: &Iri) {
    fingerprint.push_str(&format!("|+{id}"));
    for (at, instance) in &seen.instances {
        fingerprint.push_str(&format!("{at}{}", instance.digest));
    }
}

/// What a follower sees when it sees `visible`.
pub(crate) fn seen_of(visible: &VisibleDoc, secret: &[u8; 32]) -> Seen {
    let instances = visible
        .digests(secret)
        .map(|d| (key(&[d.name, d.dataset_id.unwrap_or("")]), SeenInstance { digest: d.digest, normal: d.normal, envelope: d.envelope, perhaps: d.others }))
        .collect();
    let shown_as = Iri::new(visible.id()).ok().filter(|id| id.as_str() != visible.stored_id());
    Seen { types: visible.types().filter_map(|t| Iri::new(t).ok()).collect(), instances, shown_as: shown_as.into_iter().collect() }
}
