//! What organisations asked for under a licence and got, and what of it they may see no more. Nobody is at the other end who could be told, so it is
//! kept for whoever asks.

use crate::fault;
use crate::follow::encode;
use crate::hub::Hub;
use crate::licence::unknown;
use crate::notice::did_of;
use crate::read::look_again;
use crate::rows::{EVENT_SEEN, SEP, key};
use crate::scan::each_doc;
use crate::withdraw::{HolderProgress, Progress, withdrawals_of};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use waybill_consent::Acknowledgement;
use waybill_gate::{Eyes, Gone, Licence, Released, Tally, View, VisibleDoc};
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, EnvelopeHash, Iri, Problem, ProblemCode, Scope};
use waybill_store::{Batch, Reader, StoreError};

/// What was released to whom asked under a licence. Key: agreement, purpose, how it was named ([`RENAMED`] or [`AS_STORED`]), and the entity by
/// the identifier that is the organisation's own: whatever it was released as, the rows name no entity of anybody who is erased.
pub(crate) const PULLED: &str = "pulled";
const RENAMED: &str = "renamed";
const AS_STORED: &str = "as-stored";
/// The last part of the key of the row that has the last time given to what is gone, so that times only grow.
const LAST: &str = "last";
/// The largest page.
const MOST: usize = 1000;
/// For how long what is gone is listed, in seconds.
const KEPT: i64 = 366 * 86_400;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Pulled {
    /// When it was last released.
    at: Option<DateTime>,
    /// Since when it is known to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_at: Option<DateTime>,
    /// The envelopes that it was ever released under.
    #[serde(default)]
    envelopes: BTreeSet<EnvelopeHash>,
}

impl Pulled {
    fn read(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or_default()
    }
}

/// What an organisation was given under its licence, seen from an answer that everything up to a cursor is deleted.
struct Answered {
    /// Under which envelopes what it says is deleted was given.
    covered: BTreeSet<EnvelopeHash>,
    /// Under which envelopes what it may still hold was given.
    open: BTreeSet<EnvelopeHash>,
}

impl Hub {
    /// Takes an organisation's signed answer that what it was given under its licence, and may not see any more, is deleted: everything that
    /// [`Self::gone`] lists up to the cursor that the answer names as its event. `hub` is the base URL of the hub that signs. The answer is
    /// journalled, on the page of each person whose withdrawal it brings further; it is taken once.
    ///
    /// # Errors
    /// 404 when the scope is under no licence of its own; 400 for what does not verify, is not the organisation's or answers nothing; 424
    /// while the keys cannot be fetched; the store's.
    pub async fn take_deletion_answer(&self, scope: &Scope, hub: &str, compact: &str) -> Result<(), Problem> {
        let (now, did) = (self.inner.clock.now(), self.did());
        let ack = self.noticed_by(hub, |keys| Acknowledgement::verify(compact, &did, keys, now)).await?;
        if (ack.iss != did_of(hub) || Some(&ack.holder) != scope.recipient.as_ref()) && !fault::off("exchange-answer-holder") {
            return Err(Problem::new(ProblemCode("acknowledgement-of-another"), 400, "Acknowledgement refused", "it is not this organisation's answer"));
        }
        for _ in 0..16 {
            let (this, view, ack, text, hub) = (self.clone(), self.inner.gate.view(scope), ack.clone(), compact.to_owned(), hub.to_owned());
            let batch = self.inner.store.read(move |r| this.answered(r, &view, &hub, &ack, &text)).await?.ok_or_else(unknown)??;
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(Problem::new(ProblemCode("busy-withdrawal"), 503, "Too many answers", "others kept answering at the same time"))
    }

    /// What follows from an answer; nothing without a licence.
    fn answered(&self, r: &Reader<'_>, view: &View, hub: &str, ack: &Acknowledgement, compact: &str) -> Result<Option<Result<Batch, Problem>>, StoreError> {
        let (now, mut batch) = (self.inner.clock.now(), Batch::new());
        let Some(licence) = licence_of(r, view)? else { return Ok(None) };
        if r.doc(EVENT_SEEN, &self.event_key(hub, &ack.jti))?.is_some() {
            return Ok(Some(Ok(batch)));
        }
        let Some(Answered { covered, open }) = what_is_answered(r, &mut batch, view.scope(), &licence, &ack.event)? else {
            let detail = "its event is no cursor of the deletions that this licence was told of";
            return Ok(Some(Err(Problem::new(ProblemCode("acknowledgement-of-nothing"), 400, "Acknowledgement refused", detail))));
        };
        self.note_event(&mut batch, hub, &ack.jti, now);
        let said = json!({ "agreement": licence.id, "participant": licence.participant, "stores": ack.stores });
        let mut record = Record::new(Kind::Acknowledgement, licence.tenant.clone(), now).recipient(Some(licence.party.clone())).left(1, None).detail(said.clone());
        let envelopes: Vec<String> = covered.iter().map(ToString::to_string).collect();
        for (mut withdrawal, revision) in withdrawals_of(r, &envelopes)? {
            if withdrawal.envelopes.iter().any(|envelope| open.contains(envelope)) && !fault::off("exchange-answer-open") {
                continue;
            }
            let waits = |h: &&mut HolderProgress| h.party == licence.party && h.licences.contains(&licence.id) && h.progress != Progress::Done;
            let Some(holder) = withdrawal.holders.iter_mut().find(waits) else { continue };
            holder.answers.extend(ack.stores.iter().cloned());
            holder.signed.push(compact.to_owned());
            if ack.is_complete() {
                holder.licences.remove(&licence.id);
            }
            holder.progress = if holder.licences.is_empty() { Progress::Done } else { Progress::Partly };
            holder.done_at = (holder.progress == Progress::Done).then_some(now);
            if let Some(subject) = &withdrawal.subject {
                // The signed text names entities by the organisation's identifiers of them, so it stands on her page, sealed, and nowhere else.
                let mut detail = said.clone();
                detail["withdrawal"] = json!(withdrawal.id);
                detail["signed"] = json!(compact);
                record = record.about(subject.clone(), None, detail);
            }
            self.come_further(&mut batch, &mut withdrawal, revision, now);
        }
        self.inner.journal.append(&mut batch, record);
        Ok(Some(Ok(batch)))
    }

    /// What a release under a licence leaves for later: which entities with personal data it gave away. To be committed with it.
    pub(crate) fn pulled(&self, view: &View, docs: &[VisibleDoc]) -> Batch {
        let mut batch = Batch::new();
        for doc in docs.iter().filter(|doc| doc.is_personal() && !fault::off("exchange-pulled")) {
            let Some(licence) = doc.licence() else { continue };
            let named = if doc.id() == doc.stored_id() { AS_STORED } else { RENAMED };
            let own = self.inner.pairs.pairwise(licence, doc.stored_id());
            let at = format!("{}{}", under(view.scope()), key(&[named, own.as_str()]));
            let (mut envelopes, now) = (doc.envelopes(), view.now());
            batch.then(move |r| {
                // An answer that left some Attributes out takes back nothing of what was given before.
                envelopes.extend(r.doc(PULLED, &at)?.into_iter().flat_map(|row| Pulled::read(&row.payload).envelopes));
                let mut batch = Batch::new();
                batch.put_doc(PULLED, &at, encode(&Pulled { at: Some(now), gone_at: None, envelopes }), None);
                Ok(batch)
            });
        }
        batch
    }

    /// The entities with personal data that this licensed caller was given when it asked, for this purpose, and may not see any more: looked at
    /// now, in the order in which that was first noticed, at most `limit`, behind the cursor `since`. What is visible again is not listed. When
    /// the licence has ended, everything is gone. An entry is kept for a year.
    ///
    /// # Errors
    /// 404 when the scope is under no licence of its own, in force or over; the store's.
    pub async fn gone(&self, scope: &Scope, since: Option<&str>, limit: usize) -> Result<Released<Vec<Gone>>, Problem> {
        look_again(|| self.gone_once(scope, since, limit)).await
    }

    async fn gone_once(&self, scope: &Scope, since: Option<&str>, limit: usize) -> Result<Released<Vec<Gone>>, Problem> {
        let view = self.inner.gate.view(scope);
        let (hub, seen, since) = (self.clone(), view.clone(), since.unwrap_or_default().to_owned());
        let (gone, beside) = self.inner.store.read(move |r| hub.look_for_gone(r, &seen, &since, limit.min(MOST))).await?.ok_or_else(unknown)?;
        self.inner.gate.release_gone(&view, gone, "gone", beside).await
    }

    fn look_for_gone(&self, r: &Reader<'_>, view: &View, since: &str, limit: usize) -> Result<Option<(Vec<Gone>, Batch)>, StoreError> {
        let (scope, now, mut batch) = (view.scope(), view.now(), Batch::new());
        let Some(licence) = licence_of(r, view)? else { return Ok(None) };
        let (eyes, prefix) = (view.eyes(r)?, under(scope));
        let mut rows = Vec::new();
        each_doc(r, PULLED, &prefix, |doc| rows.push(doc))?;
        let last_at = format!("{prefix}{LAST}");
        let last = rows.iter().find(|row| row.key == last_at).map(|row| (row.revision, serde_json::from_slice::<DateTime>(&row.payload).unwrap_or(now)));
        // Later than anything before, whatever the clock does: a cursor must not pass by what is noticed later.
        let noticed = last.map_or(now, |(_, last)| now.max(last.plus_micros(1)));
        let (mut gone, mut new) = (Vec::new(), false);
        for row in rows.iter().filter(|row| row.key != last_at) {
            let (named, own) = row.key[prefix.len()..].split_once(SEP).unwrap_or_default();
            let Some(stored) = self.inner.pairs.stored(&licence, own) else { continue };
            let id = if named == RENAMED { own } else { stored.as_str() };
            let mut pulled = Pulled::read(&row.payload);
            let was = pulled.gone_at;
            pulled.gone_at = if shows(r, &eyes, &stored, id)? { None } else { Some(was.unwrap_or(noticed)) };
            if pulled.gone_at != was {
                new |= was.is_none();
                batch.expect_doc(PULLED, &row.key, Some(row.revision));
                batch.put_doc(PULLED, &row.key, encode(&pulled), pulled.gone_at.map(|at| at.plus_seconds(KEPT)));
            }
            if let Some(gone_at) = pulled.gone_at {
                gone.push(Gone { id: id.to_owned(), gone_at, cursor: cursor(gone_at, own, named) });
            }
        }
        if new {
            batch.expect_doc(PULLED, &last_at, last.map(|(revision, _)| revision));
            batch.put_doc(PULLED, &last_at, encode(&noticed), None);
        }
        gone.sort_by(|a, b| a.cursor.cmp(&b.cursor));
        gone.retain(|gone| gone.cursor.as_str() > since);
        gone.truncate(limit);
        Ok(Some((gone, batch)))
    }
}

/// Whether the entity is shown to these eyes as `id`, with anything personal of it.
fn shows(r: &Reader<'_>, eyes: &Eyes<'_>, stored: &str, id: &str) -> Result<bool, StoreError> {
    let Some(doc) = r.entity(&eyes.scope().tenant, stored)? else { return Ok(false) };
    if doc.system.expires_at.is_some_and(|at| at <= eyes.now()) {
        return Ok(false);
    }
    Ok(eyes.mask(&doc, &mut Tally::default())?.is_some_and(|visible| visible.is_personal() && visible.id() == id))
}

/// The licence, in force or over, that is the caller's own.
fn licence_of(r: &Reader<'_>, view: &View) -> Result<Option<Licence>, StoreError> {
    let found = view.scope().agreement.as_ref().map(|id| Licence::read(r, id)).transpose()?.flatten();
    Ok(found.filter(|licence| licence.is_for(view.scope()) && view.is_licensed()))
}

/// What orders the entries of what is gone.
fn cursor(gone_at: DateTime, own: &str, named: &str) -> String {
    format!("{:020}.{own}.{named}", gone_at.micros())
}

/// How the keys of what was released for the purpose of `scope` under its agreement begin.
fn under(scope: &Scope) -> String {
    key(&[scope.agreement.as_ref().map_or("", Iri::as_str), scope.purpose.as_ref().map_or("", Iri::as_str), ""])
}

/// What the answer that everything up to `event` is deleted says of what was given under `licence`; nothing when that is no cursor of its
/// list. `batch` then only commits if nothing more was given meanwhile.
fn what_is_answered(r: &Reader<'_>, batch: &mut Batch, scope: &Scope, licence: &Licence, event: &str) -> Result<Option<Answered>, StoreError> {
    let told = event.split_once('.').and_then(|(micros, _)| micros.parse::<i64>().ok());
    let last = r.doc(PULLED, &format!("{}{LAST}", under(scope)))?.and_then(|row| serde_json::from_slice::<DateTime>(&row.payload).ok());
    if told.zip(last).is_none_or(|(told, last)| told > last.micros()) {
        return Ok(None);
    }
    let (mut covered, mut open, mut known, prefix) = (BTreeSet::new(), BTreeSet::new(), true, under(scope));
    // Under every purpose of the licence: the answer is one for the list of one of them.
    let mut rows = Vec::new();
    each_doc(r, PULLED, &key(&[licence.id.as_str(), ""]), |doc| rows.push(doc))?;
    for row in rows {
        let parts: Vec<&str> = row.key.split(SEP).collect();
        let [_, _, named, own] = parts[..] else { continue };
        batch.expect_doc(PULLED, &row.key, Some(row.revision));
        let pulled = Pulled::read(&row.payload);
        let deleted = row.key.starts_with(&prefix) && pulled.gone_at.is_some_and(|at| cursor(at, own, named).as_str() <= event);
        // One of which nobody knows under what it was given may be anybody's.
        known &= deleted || !pulled.envelopes.is_empty();
        if deleted { covered.extend(pulled.envelopes) } else { open.extend(pulled.envelopes) }
    }
    if !known {
        covered.clear();
    }
    Ok(Some(Answered { covered, open }))
}
