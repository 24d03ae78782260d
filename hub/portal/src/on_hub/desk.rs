//! Holders, withdrawals, quarantine, dead letters, heartbeats, connections, keys and journal as the engine keeps them.

use super::{HubAdmin, Probe, page_of, told};
use crate::admin::{Listing, Paging};
use crate::view::{
    Check, Connection, DeadLetter, HeartbeatState, Holder, HolderReport, JournalLine, JournalVerdict, KeyState, Quarantined, WithdrawalReport,
};
use futures_util::future::join_all;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use waybill_consent::ConsentBook;
use waybill_exchange::{Delivery, HolderProgress, Progress, Withdrawal};
use waybill_gate::{Agreement, HEARTBEAT, HolderClass, Joint, LastHeartbeat, is_stale};
use waybill_journal::checked_by;
use waybill_keys::b64url;
use waybill_model::{DateTime, EnvelopeHash, Iri, PartyId, Problem, ProblemCode, TenantId};
use waybill_port::HealthState;
use waybill_store::Reader;

/// How long what a probe answered stands, in seconds.
const FRESH: i64 = 10;
/// Separates the parts of a row's key.
const SEP: char = '\u{1f}';
/// Rows fetched at once.
const PAGE: usize = 1000;

pub(super) fn dead_letter(key: String, row: Delivery) -> DeadLetter {
    let mut parts = key.split(SEP);
    let (kind, to, entity) = match parts.next().unwrap_or_default() {
        "pod" => ("pod", parts.next().unwrap_or_default(), None),
        "notice" => ("notice", parts.next().unwrap_or_default(), None),
        // Behind the tenant.
        _ => ("delivery", parts.nth(1).unwrap_or_default(), parts.next().map(str::to_owned)),
    };
    DeadLetter { kind: kind.to_owned(), to: to.to_owned(), entity, attempts: row.attempts, since: row.since, error: row.error, id: key }
}

pub(super) fn journal_line(text: String) -> Result<JournalLine, Problem> {
    #[derive(Deserialize)]
    struct Line {
        record: Record,
    }
    #[derive(Deserialize)]
    struct Record {
        n: u64,
    }
    let unreadable = || Problem::new(ProblemCode("journal-unreadable"), 500, "Journal damaged", "a record has no number");
    let line: Line = serde_json::from_str(&text).map_err(|_| unreadable())?;
    Ok(JournalLine { number: line.record.n, text })
}

fn progress_name(progress: Progress) -> &'static str {
    match progress {
        Progress::Told => "told",
        Progress::Partly => "partly",
        Progress::Done => "done",
        Progress::Unbounded => "unbounded",
    }
}

impl HubAdmin {
    pub(super) async fn checks_now(&self) -> Result<Vec<Check>, Problem> {
        let store = self.hub.store().read(|r| r.stream_head("journal")).await;
        let detail = store.as_ref().err().map(|_| "the store does not answer".to_owned());
        Ok(vec![Check { name: "store".to_owned(), ok: store.is_ok(), detail }])
    }

    fn agreement_of(&self, party: &PartyId) -> Option<Agreement> {
        self.hub.governance().agreements.iter().find(|a| a.recipient.as_ref() == Some(party)).cloned()
    }

    pub(super) async fn list_holders(&self, tenant: &TenantId, subject: Option<&Iri>, paging: &Paging) -> Result<Listing<Holder>, Problem> {
        let hers: Option<(BTreeSet<Iri>, BTreeSet<EnvelopeHash>)> = match subject {
            None => None,
            Some(subject) => {
                let (tenant, subject) = (tenant.clone(), subject.clone());
                let hub = self.hub.clone();
                let read = move |r: &Reader<'_>| {
                    let own: BTreeSet<Iri> = ConsentBook::records_of(r, &tenant, subject.as_str()).map_err(told)?.into_iter().collect();
                    // What is about a household stands under envelopes that are of all its people.
                    let mut joint = BTreeSet::new();
                    for part in hub.book().view(r).map_err(told)?.grants(&tenant, &subject).map_err(told)?.grants.iter().filter_map(|g| g.envelope) {
                        joint.extend(Joint::with(r, &part)?.into_iter().map(|j| j.hash));
                    }
                    Ok((own, joint))
                };
                Some(self.hub.store().read(read).await?)
            }
        };
        let max_stale = self.hub.governance().max_stale_seconds;
        let (mut items, mut after) = (Vec::new(), paging.after.clone());
        loop {
            let rows = self.hub.holdings(PAGE, after.clone()).await?;
            let Some(last) = rows.last() else { return Ok(Listing::whole(items)) };
            let end = last.key.clone();
            for row in rows {
                // One under another hub's envelope names no consent of this hub, and no tenant: it is nobody's here.
                let Some(stored) = row.stored.filter(|s| s.tenant == *tenant) else { continue };
                if hers.as_ref().is_some_and(|(own, joint)| !own.contains(&stored.record) && !joint.contains(&row.envelope)) {
                    continue;
                }
                if items.len() == paging.limit {
                    let next = items.last().map(|h: &Holder| h.id.clone());
                    return Ok(Listing { items, next });
                }
                let agreement = self.agreement_of(&row.party);
                let (class, bounded_by) = match agreement.as_ref().map(|a| a.holder) {
                    Some(HolderClass::Enforcing) => ("enforcing", Some(format!("its gate closes {max_stale} s after the last heartbeat"))),
                    Some(HolderClass::Expiring) => ("expiring", Some("what it was given expires".to_owned())),
                    Some(HolderClass::Plain) | None => ("plain", None),
                };
                items.push(Holder {
                    id: row.key,
                    party: row.party,
                    class: class.to_owned(),
                    hub: agreement.and_then(|a| a.hub),
                    consent: Some(stored.record),
                    envelope: Some(row.envelope.to_string()),
                    since: row.since,
                    bounded_by,
                });
            }
            after = Some(end);
        }
    }

    pub(super) fn report(&self, withdrawal: Withdrawal) -> WithdrawalReport {
        let (now, max_stale) = (self.hub.clock().now(), self.hub.governance().max_stale_seconds);
        let open = |h: &HolderProgress| matches!(h.progress, Progress::Told | Progress::Partly);
        let late = now >= withdrawal.stopped_at.plus_seconds(max_stale);
        let bounded = || withdrawal.holders.iter().filter(|h| h.progress != Progress::Unbounded);
        let last: Option<DateTime> = if bounded().any(open) { None } else { bounded().filter_map(|h| h.done_at).max().or(Some(withdrawal.stopped_at)) };
        WithdrawalReport {
            stopped_at: withdrawal.stopped_at,
            finished_at: withdrawal.finished_at,
            last_stopped_after: last.map(|at| (at.micros() - withdrawal.stopped_at.micros()) as f64 / 1e6),
            not_bounded: withdrawal.holders.iter().filter(|h| h.progress == Progress::Unbounded).map(|h| h.party.clone()).collect(),
            holders: withdrawal
                .holders
                .iter()
                .map(|h| HolderReport {
                    party: h.party.clone(),
                    hub: h.hub.clone(),
                    progress: progress_name(h.progress).to_owned(),
                    overdue: open(h) && late,
                    answers: h.answers.iter().filter_map(|a| serde_json::to_value(a).ok()).collect(),
                    done_at: h.done_at,
                })
                .collect(),
            id: withdrawal.id,
            subject: withdrawal.subject,
            consent: withdrawal.record,
        }
    }

    pub(super) async fn all_quarantined(&self, tenant: &TenantId) -> Result<Vec<Quarantined>, Problem> {
        // What `quarantined` gives is already this tenant's alone, so a short page does not mean the end: everything is asked for at once.
        let rows = self.hub.quarantined(tenant, usize::MAX, None).await?;
        let shown = |(id, q): (String, waybill_exchange::Quarantined)| Quarantined {
            id,
            connection: q.connection,
            entity: q.entity,
            attribute: q.attribute,
            code: q.code,
            at: q.at,
        };
        Ok(rows.into_iter().map(shown).collect())
    }

    pub(super) async fn list_quarantine(&self, tenant: &TenantId, paging: &Paging) -> Result<Listing<Quarantined>, Problem> {
        Ok(page_of(self.all_quarantined(tenant).await?, paging, |q| q.id.clone()))
    }

    pub(super) async fn list_heartbeats(&self) -> Result<Vec<HeartbeatState>, Problem> {
        let governance = self.hub.governance();
        let (now, max_stale) = (self.hub.clock().now(), governance.max_stale_seconds);
        let received = self.hub.store().read(move |r| {
            let mut out = Vec::new();
            for doc in r.docs(HEARTBEAT, "", PAGE, None)? {
                let last: Option<LastHeartbeat> = serde_json::from_slice(&doc.payload).ok();
                let stale = is_stale(r, &doc.key, now, max_stale)?;
                out.push(HeartbeatState {
                    hub: doc.key,
                    direction: "received".to_owned(),
                    at: last.map(|l| l.at),
                    epoch: last.map(|l| l.epoch),
                    max_stale: u64::try_from(max_stale).unwrap_or(0),
                    stale,
                });
            }
            Ok(out)
        });
        let mut all = received.await?;
        let sent: BTreeSet<&String> = governance.agreements.iter().filter_map(|a| a.hub.as_ref()).collect();
        all.extend(sent.into_iter().map(|hub| HeartbeatState {
            hub: hub.clone(),
            direction: "sent".to_owned(),
            // When the last one was sent, only its receiver knows for sure.
            at: None,
            epoch: None,
            max_stale: u64::try_from(max_stale).unwrap_or(0),
            stale: false,
        }));
        Ok(all)
    }

    pub(super) async fn ask_connections(&self) -> Result<Vec<Connection>, Problem> {
        let now = self.hub.clock().now();
        let held = self.lately.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, known)) = held
            && at.plus_seconds(FRESH) > now
        {
            return Ok(known);
        }
        let asked = join_all(self.probes.iter().map(|probe| ask(probe, now))).await;
        *self.lately.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, asked.clone()));
        Ok(asked)
    }

    pub(super) fn key_states(&self) -> Vec<KeyState> {
        let ring = self.hub.keys();
        let shown = |key: &waybill_keys::PublicKey| KeyState {
            kid: key.kid.clone(),
            algorithm: key.algorithm().as_str().to_owned(),
            state: if key.revoked.is_some() { "revoked" } else if key.is_active() { "active" } else { "retired" }.to_owned(),
            created: key.created,
            retired: key.retired,
            revoked: key.revoked,
        };
        ring.public_keys().map(shown).collect()
    }

    pub(super) async fn check_journal(&self) -> Result<JournalVerdict, Problem> {
        let keys = self.hub.keys().key_set();
        let check = checked_by(&keys, self.hub.clock().now());
        Ok(match self.hub.journal().verify(Some(&check)).await? {
            Ok(report) => {
                JournalVerdict::Holds { first: report.first, last: report.last.number, hash: b64url(report.last.hash), segments: report.segments }
            }
            Err(broken) => JournalVerdict::Broken { record: broken.record, why: broken.why },
        })
    }
}

async fn ask(probe: &Probe, now: DateTime) -> Connection {
    let (state, detail) = match probe.health.check().await {
        HealthState::Up => ("up", None),
        HealthState::Down { detail } => ("down", Some(detail)),
    };
    Connection { name: probe.name.clone(), kind: probe.kind.clone(), state: state.to_owned(), detail, checked_at: Some(now) }
}
