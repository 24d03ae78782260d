//! An import that flows: all of it is pulled now and then, deletions are asked for in between, and what came closes, opens and goes as the
//! transfer does.

use super::fetch::Pages;
use super::held::{Held, Holdings, envelopes};
use super::{Begun, Import, ImportState, Imported, SOON, connection};
use crate::config::Participant;
use crate::connector::Connector;
use crate::fault::Fault;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use waybill_exchange::{Came, Incoming};
use waybill_model::{EnvelopeHash, Iri};

/// How many seconds before its end a token is renewed.
const AHEAD: i64 = 60;
/// How many seconds lie between two looks at what is to be deleted.
const LOOK: i64 = 10;
/// For how many seconds an import counts as one that hears what is to be deleted.
const HEARD: i64 = 30;
/// What came from a provider that is not heard of for so long, in seconds, closes; or for ten pulls where that is longer.
const UNHEARD: i64 = 600;
/// Entities of one delivery to the inbox.
const AT_ONCE: usize = 200;
/// The longest list of deletions that is followed at once, in parts.
const PARTS: usize = 100;

impl Connector {
    /// A step of a transfer that is started. `moved`: it has just come to be.
    pub(super) async fn flow(&self, import: &Import, who: &Participant, row: &mut Imported, moved: bool) -> Result<i64, Fault> {
        let now = self.now();
        let (Some(mut access), Some(under)) = (row.access.clone(), row.envelope) else { return Ok(SOON) };
        if access.expires_at.is_some_and(|at| at.plus_seconds(-AHEAD) <= now) && access.refresh.is_some() {
            self.renew_access(&mut access).await?;
            row.access = Some(access.clone());
        }
        let due = row.pulled_at.is_none_or(|at| at.plus_seconds(import.every) <= now);
        if due || row.closed || moved {
            self.pull(import, who, row, under).await?;
            row.pulled_at = Some(now);
        }
        // Behind what was pulled, so that nothing pulled before it is gone outlives the word that it is.
        let heartbeat = self.carry_out(import, who, row, under).await?;
        row.heard_at = Some(now);
        let own = self.hub().governance().import_sender(&import.name);
        self.hub().heard_from(&own, now.plus_seconds(UNHEARD.max(import.every.saturating_mul(10)))).await?;
        if row.closed {
            let held = self.holdings(&import.name).await?;
            self.let_rest(import, who, under, &envelopes(&held), false).await?;
            row.closed = false;
        }
        row.state = ImportState::Flowing;
        if !self.settled_import(import, who, row, heartbeat).await? {
            return Ok(SOON);
        }
        let next = row.pulled_at.map_or(now, |at| at.plus_seconds(import.every));
        let until = (next.seconds() - self.now().seconds()).max(SOON);
        Ok(if access.deletions.is_some() { until.min(LOOK) } else { until })
    }

    /// Once all that was told is done here: the provider's sign of life counts, and it is told what was deleted. Answers whether it is.
    async fn settled_import(&self, import: &Import, who: &Participant, row: &mut Imported, heartbeat: Option<String>) -> Result<bool, Fault> {
        if !self.hub().is_settled(&connection(&import.name)).await? {
            return Ok(false);
        }
        if let Some(heartbeat) = heartbeat
            && self.all_heard(import, who).await?
        {
            // One that is older than what came another way says nothing new.
            match self.hub().take_heartbeat(&heartbeat).await {
                Err(problem) if problem.code != "statement-old" => return Err(problem.into()),
                _ => {}
            }
        }
        let url = row.access.as_ref().and_then(|a| a.deletions.clone().map(|url| (url, a.token.clone())));
        if let (Some(hub), Some(since), Some((url, token))) = (&who.hub, &row.since, url)
            && row.acknowledged.as_ref() != Some(since)
        {
            let statement = self.hub().deletions_done(hub, since);
            self.acknowledge(&url, &token, statement).await?;
            row.acknowledged = Some(since.clone());
        }
        Ok(true)
    }

    /// Whether what else comes from the same hub is as fresh: its heartbeat speaks for all of it, and an import that does not hear what to
    /// delete must not be kept open by one that does.
    async fn all_heard(&self, import: &Import, who: &Participant) -> Result<bool, Fault> {
        let Some(hub) = &who.hub else { return Ok(false) };
        let since = self.now().plus_seconds(-HEARD);
        let rows = self.import_rows().list::<Imported>(1000, None).await?;
        for other in rows.iter().filter(|e| e.id != import.name && e.state.of.as_ref().is_some_and(|of| of.hub.as_ref() == Some(hub))) {
            let row = &other.state;
            let heard = row.closed || row.agreement.is_none() || row.heard_at.is_some_and(|at| at >= since);
            if !heard && !self.holdings(&other.id).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Pulls all pages. What the provider lists no more goes; after a page that is not taken, nothing is said of what did not come.
    async fn pull(&self, import: &Import, who: &Participant, row: &mut Imported, under: EnvelopeHash) -> Result<(), Fault> {
        let Some(access) = row.access.clone() else { return Ok(()) };
        let mut held = self.holdings(&import.name).await?;
        let (mut seen, mut left_out): (HashSet<String>, usize) = (HashSet::new(), 0);
        let mut pages = Pages::new(self, import, who, &access)?;
        while let Some(fetched) = pages.next().await? {
            left_out += fetched.page.unreadable;
            let (mut items, mut rows) = (Vec::new(), BTreeMap::new());
            for doc in fetched.page.docs {
                let types = import.types.is_empty() || doc.types().any(|t| import.types.iter().any(|own| own.as_str() == t));
                let named = import.ids.is_empty() || import.ids.iter().any(|own| own.as_str() == doc.id());
                let Some(id) = doc.id_iri().ok().filter(|_| types && named) else {
                    left_out += 1;
                    continue;
                };
                seen.insert(id.to_string());
                let now = Held::of(&import.name, &doc, &id);
                let before = held.get(id.as_str());
                if before.is_some_and(|(_, before)| *before == now) {
                    continue;
                }
                items.extend(before.and_then(|(_, before)| now.lost(before)));
                items.push(Incoming::Changed(doc.text().to_owned()));
                rows.insert(id.to_string(), (before.map(|(revision, _)| *revision), now));
            }
            let came = Came { manifest: fetched.manifest, under };
            for part in items.chunks(AT_ONCE) {
                self.hub().import(&connection(&import.name), part.to_vec(), &came).await?;
            }
            // Behind the delivery: what was not delivered is not held, and comes again.
            if !rows.is_empty() {
                let revision = self.hold(rows.values()).await?;
                held.extend(rows.into_iter().map(|(id, (_, now))| (id, (revision, now))));
            }
        }
        let missing: Vec<Iri> = held.values().filter(|(_, h)| !seen.contains(h.id.as_str())).map(|(_, h)| h.id.clone()).collect();
        self.take_back(&import.name, &Begun::of(import, who), under, &missing, "not listed any more").await?;
        (row.entities, row.left_out) = (seen.len(), left_out);
        Ok(())
    }

    /// What `ids` named goes, and is called back from whoever got it from here. The journal says how many, and why; not which.
    async fn take_back(&self, name: &str, begun: &Begun, under: EnvelopeHash, ids: &[Iri], why: &str) -> Result<(), Fault> {
        let mut removed = 0;
        for part in ids.chunks(AT_ONCE) {
            let items = part.iter().map(|id| Incoming::Gone { id: id.clone(), attributes: Vec::new() }).collect();
            self.hub().import(&connection(name), items, &Came { manifest: None, under }).await?;
            removed += self.let_go(name, part).await?;
        }
        if removed > 0 {
            let what = json!({"import": name, "participant": begun.participant, "removed": removed, "reason": why});
            self.hub().note_import(&begun.party, what, self.now()).await?;
        }
        Ok(())
    }

    /// Carries out what the provider says is to be deleted. Answers its heartbeat.
    async fn carry_out(&self, import: &Import, who: &Participant, row: &mut Imported, under: EnvelopeHash) -> Result<Option<String>, Fault> {
        let Some(access) = row.access.clone() else { return Ok(None) };
        let Some(url) = &access.deletions else { return Ok(None) };
        for _ in 0..PARTS {
            let listed = self.listed(url, &access.token, row.since.as_deref()).await?;
            let ids: Vec<Iri> = listed.gone.iter().map(|(id, _)| id.clone()).collect();
            self.take_back(&import.name, &Begun::of(import, who), under, &ids, "deleted by the provider").await?;
            if let Some((_, cursor)) = listed.gone.last().filter(|(_, cursor)| !cursor.is_empty()) {
                row.since = Some(cursor.clone());
            }
            if !listed.more {
                return Ok(listed.heartbeat);
            }
        }
        Ok(None)
    }

    /// A transfer that rests: what came closes. What is to be deleted is asked for as long as the token is good.
    pub(super) async fn rest(&self, import: &Import, who: &Participant, row: &mut Imported) -> Result<(), Fault> {
        row.state = ImportState::Resting;
        let Some(under) = row.envelope else { return Ok(()) };
        if !row.closed {
            let held = self.holdings(&import.name).await?;
            self.let_rest(import, who, under, &envelopes(&held), true).await?;
            row.closed = true;
        }
        if row.access.as_ref().is_some_and(|a| a.expires_at.is_none_or(|at| at > self.now())) {
            // Nothing opens by it, so no heartbeat is taken.
            match self.carry_out(import, who, row, under).await {
                Ok(_) => drop(self.settled_import(import, who, row, None).await?),
                Err(fault) => tracing::debug!(code = fault.code, import = import.name, "deletions of an import that rests are not read"),
            }
        }
        Ok(())
    }

    /// Closes what came, or opens it: under the agreement's own envelope, and under those of people that its tags named.
    async fn let_rest(&self, import: &Import, who: &Participant, under: EnvelopeHash, tagged: &[EnvelopeHash], rests: bool) -> Result<(), Fault> {
        let own = self.hub().governance().import_sender(&import.name);
        self.hub().rest_import(&own, &[under], rests).await?;
        if let Some(hub) = &who.hub
            && !tagged.is_empty()
        {
            self.hub().rest_import(hub, tagged, rests).await?;
        }
        Ok(())
    }

    /// The agreement is over, or the import: what came goes, for good. What it stood under is forgotten.
    pub(super) async fn leave(&self, name: &str, begun: &Begun, row: &mut Imported) -> Result<(), Fault> {
        let mut to_open = std::mem::take(&mut row.to_open);
        if let (Some(under), Some(agreement)) = (row.envelope, row.agreement.clone()) {
            let held: Holdings = self.holdings(name).await?;
            let own = self.hub().governance().import_sender(name);
            self.hub().end_import(&own, under, &super::agree::agreement_iri(&agreement)).await?;
            let ids: Vec<Iri> = held.values().map(|(_, h)| h.id.clone()).collect();
            self.take_back(name, begun, under, &ids, "the agreement is over").await?;
            if row.closed {
                to_open.extend(envelopes(&held));
            }
        }
        let of = row.of.take();
        *row = Imported { of, state: row.state, fault: row.fault.take(), attempts: row.attempts, to_open, ..Imported::default() };
        Ok(())
    }
}
