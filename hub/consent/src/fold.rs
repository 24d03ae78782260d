//! The state of each process of a record, from its versions and its events, whatever order they came in.

use crate::fault;
use crate::{Basis, Change, ConsentEvent, ConsentRecord, Missing, Process, PurposeCheck, Readiness, SKEW_SECONDS, Validity, is_narrower};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use waybill_model::DateTime;

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing happened.
    Unknown,
    /// She was asked.
    Requested,
    /// She put it off.
    Deferred,
    /// She said no.
    Refused,
    /// She said yes.
    Given,
    /// She said yes again.
    RenewedGiven,
    /// She took it back. Only a new version can be given.
    Withdrawn,
    /// Somebody else ended it. Only a new version can be given.
    Revoked,
    /// It ended by time.
    Expired,
    /// It never was good.
    Invalidated,
    /// It rests.
    Suspended,
}

impl State {
    /// Whether data may be used in this state, its time and completeness apart.
    pub const fn is_given(self) -> bool {
        matches!(self, Self::Given | Self::RenewedGiven)
    }
    /// The individual of DPV 2.3 that says the same; a suspension has none.
    pub const fn dpv(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown => "https://w3id.org/dpv#ConsentUnknown",
            Self::Requested => "https://w3id.org/dpv#ConsentRequested",
            Self::Deferred => "https://w3id.org/dpv#ConsentRequestDeferred",
            Self::Refused => "https://w3id.org/dpv#ConsentRefused",
            Self::Given => "https://w3id.org/dpv#ConsentGiven",
            Self::RenewedGiven => "https://w3id.org/dpv#RenewedConsentGiven",
            Self::Withdrawn => "https://w3id.org/dpv#ConsentWithdrawn",
            Self::Revoked => "https://w3id.org/dpv#ConsentRevoked",
            Self::Expired => "https://w3id.org/dpv#ConsentExpired",
            Self::Invalidated => "https://w3id.org/dpv#ConsentInvalidated",
            Self::Suspended => return None,
        })
    }
}

/// Where one process stands, and whether it opens anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessState {
    /// Its state.
    pub state: State,
    /// Whether it opens data now: given, within its time, on a complete record.
    pub open: bool,
    /// From when until when it does.
    pub validity: Validity,
    /// When the state came about.
    pub since: Option<DateTime>,
    /// The event that brought it about.
    pub event: Option<String>,
}

/// A record with all that happened to it, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Folded {
    /// The version that counts: the newest that was ever given, else the newest.
    pub version: u32,
    /// The state of each of its processes.
    pub processes: BTreeMap<String, ProcessState>,
    /// What the version lacks; it opens nothing while there is something.
    pub missing: Vec<Missing>,
    /// Events without effect, and why.
    pub ignored: BTreeMap<String, &'static str>,
}

impl Folded {
    /// Whether any process is open.
    pub fn is_open(&self) -> bool {
        self.processes.values().any(|process| process.open)
    }
    /// When the clock alone will next change something after `now`.
    pub fn next_change(&self, now: DateTime) -> Option<DateTime> {
        let given = self.processes.values().filter(|process| process.state.is_given());
        given.flat_map(|process| [process.validity.from, process.validity.until]).flatten().filter(|at| *at > now).min()
    }
}

/// The state of a record at `now`. `records` are its versions and `events` what happened, each in any order and with repetitions; the
/// result is the same for every order.
///
/// A withdrawal holds for its version and all before it, whenever it happened. A grant of a later version stands against it unless
/// the two lie within [`SKEW_SECONDS`] of each other and the grant does not say that it came after. A version that was given replaces
/// those before it; a process that only got narrower keeps its state.
pub fn fold(records: &[ConsentRecord], events: &[ConsentEvent], purposes: &dyn PurposeCheck, now: DateTime) -> Folded {
    let mut ignored = BTreeMap::new();
    let events: BTreeSet<&ConsentEvent> = events.iter().filter(|event| records.iter().any(|record| record.id == event.record)).collect();
    let mut heard: Vec<&ConsentEvent> = Vec::with_capacity(events.len());
    for event in events {
        let future = event.time > now.plus_seconds(SKEW_SECONDS) && !closes(event.state);
        let wrong = event.actor_fault().filter(|_| !fault::off("consent-actor")).or(future.then_some("its time lies in the future"));
        match wrong {
            Some(why) => {
                ignored.insert(event.eid.clone(), why);
            }
            None => heard.push(event),
        }
    }
    // Of two events of the same moment the one that closes comes last.
    heard.sort_by_key(|event| (event.time, closes(event.state) || event.state == Change::Refused));
    let (versions, ambiguous) = by_number(records);
    let given = |version: u32| heard.iter().any(|event| event.version == version && opens(event.state));
    let counting = versions.keys().rev().copied().find(|version| given(*version)).or_else(|| versions.keys().next_back().copied());
    let newer = |version: &u32| given(*version) && counting.is_none_or(|counting| *version > counting);
    if let Some(version) = ambiguous.into_iter().rev().find(newer) {
        let missing = vec![Missing { place: "/version".to_owned(), what: "one text under this number" }];
        return Folded { version, processes: BTreeMap::new(), missing, ignored };
    }
    let Some((version, record)) = counting.and_then(|version| versions.get(&version).map(|record| (version, *record))) else {
        return Folded { version: 0, processes: BTreeMap::new(), missing: Vec::new(), ignored };
    };
    for event in &heard {
        if event.version < version && opens(event.state) {
            ignored.insert(event.eid.clone(), "a newer version was given");
        }
    }
    let missing = match record.readiness(purposes) {
        Readiness::Ready => Vec::new(),
        Readiness::Draft(missing) => missing,
    };
    let states = record.processes.iter().map(|process| {
        let mut state = process_state(&versions, version, process, &heard, now);
        state.open &= missing.is_empty() || fault::off("consent-draft");
        (process.pid.clone(), state)
    });
    let processes = states.collect();
    Folded { version, processes, missing, ignored }
}

/// The versions by number, and the numbers under which there are two texts. They cannot both be hers, so neither counts.
fn by_number(records: &[ConsentRecord]) -> (BTreeMap<u32, &ConsentRecord>, BTreeSet<u32>) {
    let mut out: BTreeMap<u32, &ConsentRecord> = BTreeMap::new();
    let mut twice = BTreeSet::new();
    for record in records {
        match out.get(&record.version) {
            Some(other) if *other != record => {
                twice.insert(record.version);
            }
            _ => {
                out.insert(record.version, record);
            }
        }
    }
    out.retain(|version, _| !twice.contains(version));
    (out, twice)
}

fn opens(change: Change) -> bool {
    matches!(change, Change::Given | Change::Renewed)
}
/// Whether a change closes for good, at any time it names.
fn closes(change: Change) -> bool {
    matches!(change, Change::Withdrawn | Change::Revoked | Change::Invalidated | Change::Suspended)
}

/// Whether `end` (a closing event or a refusal) stands against the grant `yes`.
fn defeats(end: &ConsentEvent, yes: &ConsentEvent) -> bool {
    let near = (end.time.micros().saturating_sub(yes.time.micros())).abs() <= SKEW_SECONDS * 1_000_000;
    let concurrent = near && !yes.after.contains(&end.eid);
    match end.state {
        Change::Refused => end.version == yes.version && concurrent,
        _ => end.version >= yes.version || (concurrent && !fault::off("consent-skew")),
    }
}

fn process_state(versions: &BTreeMap<u32, &ConsentRecord>, version: u32, process: &Process, heard: &[&ConsentEvent], now: DateTime) -> ProcessState {
    let mine = |event: &&&ConsentEvent| event.pids.holds(&process.pid);
    let yes: Vec<&ConsentEvent> = heard.iter().filter(mine).filter(|e| e.version == version && opens(e.state)).copied().collect();
    if yes.is_empty()
        && let Some(state) = carried(versions, version, process, heard, now)
    {
        return state;
    }
    let at = |state: State, event: &ConsentEvent| ProcessState {
        state,
        open: false,
        validity: process.validity,
        since: Some(event.time),
        event: Some(event.eid.clone()),
    };
    // What ends it for good: of several the gravest, and of those the earliest.
    for (change, state) in [(Change::Invalidated, State::Invalidated), (Change::Withdrawn, State::Withdrawn), (Change::Revoked, State::Revoked)] {
        let ends = heard.iter().filter(mine).filter(|e| e.state == change);
        let mut ends = ends.filter(|e| e.version >= version || (!yes.is_empty() && yes.iter().all(|y| defeats(e, y))));
        if let Some(end) = ends.next() {
            let hers = matches!(end.by.role, crate::ActorRole::Subject | crate::ActorRole::Guardian);
            return at(if state == State::Withdrawn && !hers { State::Revoked } else { state }, end);
        }
    }
    let mut out = ProcessState { state: State::Unknown, open: false, validity: process.validity, since: None, event: None };
    let mut before = State::Unknown;
    for event in heard.iter().filter(mine).filter(|e| e.version == version) {
        let beaten = opens(event.state) && heard.iter().filter(mine).any(|e| defeating(e) && defeats(e, event));
        if beaten {
            continue;
        }
        let Some(state) = step(out.state, event.state, before) else { continue };
        if event.state == Change::Suspended {
            before = out.state;
        }
        if opens(event.state) {
            // What holds already goes on; said once more a little ahead of this clock, it would else be closed until then, and a withdrawal
            // that stands against only the later word would open it.
            let since = out.validity.from.filter(|_| out.state.is_given() && event.validity.is_none_or(|own| own.from.is_none()));
            out.validity = validity(process, event, state);
            out.validity.from = since.into_iter().chain(out.validity.from).min();
        }
        out.state = state;
        out.since = Some(event.time);
        out.event = Some(event.eid.clone());
    }
    by_clock(out, now)
}

fn defeating(event: &ConsentEvent) -> bool {
    matches!(event.state, Change::Withdrawn | Change::Revoked | Change::Invalidated | Change::Refused)
}

fn by_clock(mut out: ProcessState, now: DateTime) -> ProcessState {
    if out.state.is_given() || out.state == State::Suspended {
        if out.validity.until.is_some_and(|until| until <= now) {
            out.state = State::Expired;
            out.since = out.validity.until;
        }
        out.open = out.state.is_given() && out.validity.holds(now);
    }
    out
}

/// The state after `change`; nothing when the change is not possible there and has no effect.
fn step(state: State, change: Change, before: State) -> Option<State> {
    Some(match (state, change) {
        (State::Unknown | State::Deferred | State::Refused, Change::Requested) => State::Requested,
        (State::Requested, Change::Deferred) => State::Deferred,
        (State::Requested | State::Deferred | State::Unknown, Change::Refused) => State::Refused,
        (State::Unknown | State::Requested | State::Deferred, Change::Given) => State::Given,
        (State::Given | State::RenewedGiven, Change::Given | Change::Renewed) | (State::Expired, Change::Renewed) => State::RenewedGiven,
        (State::Given | State::RenewedGiven, Change::Suspended) => State::Suspended,
        (State::Suspended, Change::Resumed) => before,
        (State::Requested | State::Given | State::RenewedGiven, Change::Expired) => State::Expired,
        _ => return None,
    })
}

/// When a grant holds. What she gave cannot outlast the record; what she renewed lasts as the renewal says.
fn validity(process: &Process, event: &ConsentEvent, state: State) -> Validity {
    let own = event.validity.unwrap_or_default();
    let until = match (state, own.until, process.validity.until) {
        (State::Given, Some(a), Some(b)) => Some(a.min(b)),
        (_, own, process) => own.or(process),
    };
    let from = own.from.into_iter().chain(process.validity.from).max().or(Some(event.time));
    Validity { from, until }
}

/// The state of a process that was not given anew in `version` but is the same as, or narrower than, in the version before.
fn carried(versions: &BTreeMap<u32, &ConsentRecord>, version: u32, process: &Process, heard: &[&ConsentEvent], now: DateTime) -> Option<ProcessState> {
    // Only where this version was given for other processes: a version nobody agreed to carries nothing.
    let given = |version: u32| heard.iter().any(|event| event.version == version && opens(event.state));
    let agreed = given(version);
    let (earlier, record) = versions.range(..version).rev().find(|(earlier, _)| given(**earlier))?;
    let older = record.process(&process.pid)?;
    let ended = heard.iter().any(|e| e.version >= version && e.pids.holds(&process.pid) && (closes(e.state) || e.state == Change::Refused));
    if !agreed || ended || process.legal_basis != Basis::Consent || !is_narrower(process, older) {
        return None;
    }
    let mut state = process_state(versions, *earlier, older, heard, now);
    state.validity.until = state.validity.until.into_iter().chain(process.validity.until).min();
    state.validity.from = state.validity.from.into_iter().chain(process.validity.from).max();
    Some(by_clock(state, now))
}
