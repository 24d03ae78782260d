//! The grant document: what a citizen writes in her own pod, in her words and one page. It becomes a record and events.

use crate::fault;
use crate::{
    Actor, ActorRole, Basis, Change, ConsentError, ConsentEvent, ConsentRecord, Datum, Evidence, EvidenceKind, Notice, OnWithdrawal, Party,
    PartyRole, Pids, Process, SCHEMA, SKEW_SECONDS, Storage, Subject, Transform, Validity, Withdrawal,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use waybill_keys::{b64url, hex, sha256};
use waybill_model::{DateTime, Iri};

/// The process of a record that came from a grant document.
const PID: &str = "main";

/// What she says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentState {
    /// Yes.
    #[default]
    Given,
    /// No, as an answer to a request.
    Refused,
    /// Not any more.
    Withdrawn,
    /// Not at present.
    Suspended,
}

/// Who is named in a grant document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Named {
    /// Its identifier.
    pub id: Iri,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Postal address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// How to reach it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
    /// ISO 3166 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// In which precision, as she writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Precision {
    /// As it is.
    Exact,
    /// The mean over a time.
    Mean {
        /// How long: an ISO 8601 duration that divides a day.
        every: String,
        /// The zone whose clock counts.
        zone: String,
        /// How many values make a mean.
        #[serde(default = "one", rename = "minSamples")]
        min_samples: u32,
    },
    /// Rounded to a multiple.
    Round(f64),
    /// Only between which bounds.
    Bins(Vec<f64>),
    /// Only the district: an address without street, or a place on a grid of that many degrees.
    District(f64),
}

fn one() -> u32 {
    1
}

impl Precision {
    fn transform(&self) -> Result<Transform, ConsentError> {
        let out = match self {
            Self::Exact => Transform::Share,
            Self::Mean { every, zone, min_samples } => {
                let text = serde_json::json!({ "kind": "mean", "window": every, "zone": zone, "minSamples": min_samples });
                serde_json::from_value(text).map_err(|_| ConsentError::Schema {
                    place: "/data".to_owned(),
                    fault: "`every` is not an ISO 8601 duration of at most a day".to_owned(),
                })?
            }
            Self::Round(step) => Transform::Round { step: *step },
            Self::Bins(edges) => Transform::Bin { edges: edges.clone() },
            Self::District(grid) => Transform::District { grid: *grid },
        };
        Ok(out)
    }
}

/// One kind of data, as she writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shared {
    /// The Attribute's expanded name.
    pub attribute: Iri,
    /// Expanded types of the things it is an Attribute of; none means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Iri>,
    /// In which precision.
    pub precision: Precision,
}

/// A grant document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantDocument {
    /// JSON-LD context. Not read: the members' meaning is fixed.
    #[serde(rename = "@context", default, skip_serializing_if = "Value::is_null")]
    pub context: Value,
    /// `ConsentGrant`.
    #[serde(rename = "type")]
    pub kind: GrantKind,
    /// Counts what she changed. When she forgets to, the hub counts.
    #[serde(default = "one")]
    pub version: u32,
    /// Her WebID.
    pub subject: Iri,
    /// What she says now.
    #[serde(default)]
    pub state: DocumentState,
    /// When she said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<DateTime>,
    /// What she was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// Who decides about the use.
    pub controller: Named,
    /// Who gets the data.
    #[serde(default)]
    pub recipients: Vec<Named>,
    /// To whom those may pass it on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_pass_to: Vec<Named>,
    /// For what.
    #[serde(default)]
    pub purposes: Vec<Iri>,
    /// The version of the purpose scheme she was shown.
    #[serde(default = "one")]
    pub purpose_version: u32,
    /// What it is for, in plain words, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub label: BTreeMap<String, String>,
    /// What.
    #[serde(default)]
    pub data: Vec<Shared>,
    /// From when; nothing means from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime>,
    /// Until when, excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime>,
    /// Where and how long it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// What becomes of copies when she withdraws.
    #[serde(default)]
    pub on_withdrawal: OnWithdrawal,
    /// The law that applies: an ISO 3166 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// How she withdraws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Withdrawal>,
}

/// The one type of a grant document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantKind {
    /// A grant of consent.
    ConsentGrant,
}

/// What the hub saw when it read the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Where it stands.
    pub source: Iri,
    /// The version that was read.
    pub etag: Option<String>,
    /// SHA-256 (hexadecimal) of the bytes that were read.
    pub hash: String,
    /// Whom the evidence shows as the author; of what a clerk or a client recorded, who recorded it.
    pub author: Iri,
    /// What the evidence is: a signature by a key in her profile, access rules under which only she could write, her own sign-in, a
    /// clerk, a client.
    pub kind: EvidenceKind,
    /// SHA-256 (hexadecimal) of the access rules, when those are the evidence.
    pub access_rules: Option<String>,
    /// The hub's clock.
    pub received: DateTime,
}

impl Observed {
    fn evidence(&self) -> Evidence {
        Evidence {
            kind: self.kind,
            hash: Some(self.hash.clone()),
            source: Some(self.source.clone()),
            etag: self.etag.clone(),
            access_rules: self.access_rules.clone(),
            recorder: matches!(self.kind, EvidenceKind::Clerk | EvidenceKind::Api).then(|| self.author.clone()),
        }
    }
}

/// What a document adds to what is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imported {
    /// A new version, when she changed what she agrees to.
    pub record: Option<ConsentRecord>,
    /// What happened.
    pub events: Vec<ConsentEvent>,
}

/// The identifier of the record that the document at `source` makes: always the same, and telling nothing without the hub's `secret`.
pub fn record_id_of(source: &Iri, secret: &[u8; 32]) -> Iri {
    let hash = sha256(&[secret.as_slice(), source.as_str().as_bytes()].concat());
    // INVARIANT: hexadecimal digits in a URN are an IRI.
    Iri::new(format!("urn:waybill:consent:{}", hex(&hash))).unwrap_or_else(|e| unreachable!("{e}"))
}

impl GrantDocument {
    /// Reads a document. Unknown and repeated members are refused: she may have meant them.
    pub fn parse(text: &[u8]) -> Result<Self, ConsentError> {
        crate::signed::parse_strict(text)
    }

    fn record(&self, id: &Iri, version: u32, prev: Option<String>, created: DateTime) -> Result<ConsentRecord, ConsentError> {
        let party = |named: &Named, role: PartyRole| Party {
            id: named.id.clone(),
            role,
            name: named.name.clone(),
            address: named.address.clone(),
            contact: named.contact.clone(),
            url: None,
            country: named.country.clone(),
        };
        let mut parties = vec![party(&self.controller, PartyRole::Controller)];
        for named in self.recipients.iter().chain(&self.may_pass_to) {
            if !parties.iter().any(|there| there.id == named.id) {
                parties.push(party(named, PartyRole::Recipient));
            }
        }
        let datum = |shared: &Shared| {
            Ok(Datum {
                attribute: shared.attribute.clone(),
                types: shared.types.clone(),
                transform: shared.precision.transform()?,
                category: None,
                optional: false,
                special: false,
            })
        };
        let ids = |list: &[Named]| list.iter().map(|named| named.id.clone()).collect::<Vec<Iri>>();
        let process = Process {
            pid: PID.to_owned(),
            purposes: self.purposes.clone(),
            purpose_version: self.purpose_version,
            purpose_label: self.label.clone(),
            legal_basis: Basis::Consent,
            explicit: true,
            data: self.data.iter().map(datum).collect::<Result<_, ConsentError>>()?,
            operations: Vec::new(),
            collection: Vec::new(),
            recipients: ids(&self.recipients),
            distribute_to: ids(&self.may_pass_to),
            automated: false,
            storage: self.storage.clone(),
            processing_locations: Vec::new(),
            transfers: Vec::new(),
            on_withdrawal: self.on_withdrawal,
            validity: Validity { from: self.from, until: self.until },
        };
        Ok(ConsentRecord {
            id: id.clone(),
            version,
            prev,
            schema: SCHEMA.to_owned(),
            created,
            subject: Subject { id: self.subject.clone(), id_type: Some("WebID".to_owned()), guardian: None },
            parties,
            notice: self.notice.clone(),
            processes: vec![process],
            jurisdiction: self.jurisdiction.clone(),
            laws: Vec::new(),
            rights: Vec::new(),
            withdrawal: self.withdrawal.clone(),
            codes: Vec::new(),
            dpia: None,
        })
    }

    /// What this reading of the document adds to the versions and events that are known. The same reading twice adds nothing the second time.
    ///
    /// # Errors
    /// [`ConsentError::Evidence`] when somebody else wrote it; [`ConsentError::OldVersion`] when it is older than what is known.
    pub fn import(&self, id: &Iri, seen: &Observed, versions: &[ConsentRecord], events: &[ConsentEvent]) -> Result<Imported, ConsentError> {
        match seen.kind {
            // A clerk or a client writes down what she said: the evidence names who did, and is never shown as hers.
            EvidenceKind::Clerk | EvidenceKind::Api => {}
            EvidenceKind::Observed => return Err(ConsentError::Evidence("nobody can be seen to have written it")),
            _ if self.subject != seen.author && !fault::off("consent-evidence") => return Err(ConsentError::Evidence("the one who wrote it is not the one it speaks for")),
            EvidenceKind::Signed | EvidenceKind::AccessRules | EvidenceKind::SignedIn => {}
        }
        // A time that is still to come, or none, is when the hub saw it.
        let said = self.stated.filter(|at| *at <= seen.received.plus_seconds(SKEW_SECONDS)).unwrap_or(seen.received);
        let last = versions.iter().max_by_key(|version| version.version);
        let Some(last) = last else {
            // The first version that a hub sees has no predecessor here, whatever she counts.
            let version = self.version.max(1);
            let record = self.record(id, version, None, said)?;
            let event = self.event(id, version, self.change(), said, seen, Vec::new(), None);
            return Ok(Imported { record: Some(record), events: vec![event] });
        };
        let as_last = self.record(id, last.version, last.prev.clone(), last.created)?;
        let said_before = |event: &&ConsentEvent| event.evidence.source.as_ref() == Some(&seen.source) && event.version == last.version;
        let spoken: Option<&ConsentEvent> = events.iter().filter(said_before).max_by_key(|event| (event.received, event.time));
        let ended_before = |at: DateTime| events.iter().any(|event| ends(event.state) && event.version >= last.version && event.time < at);
        let again = self.stated.is_some_and(|at| at > last.created && ended_before(at));
        let reread = spoken.is_some_and(|event| event.evidence.hash.as_deref() == Some(&seen.hash));
        if reread && as_last == *last {
            return Ok(Imported::default());
        }
        let ended: Vec<String> = events.iter().filter(|event| ends(event.state)).map(|event| event.eid.clone()).collect();
        match self.state {
            DocumentState::Given => {
                // She turned it back to yes in the same document: that is a new agreement, and she knew of the one before.
                let returned = again || spoken.is_some_and(|event| ends(event.state));
                if as_last != *last && self.looks_old(last) && !as_last.processes.iter().all(|new| narrows(new, last)) {
                    return Err(ConsentError::OldVersion { given: self.version, newest: last.version });
                }
                if as_last != *last || returned {
                    let version = self.version.max(last.version + 1);
                    let record = self.record(id, version, Some(last.hash_text()), said)?;
                    let event = self.event(id, version, Change::Given, said, seen, ended, spoken);
                    return Ok(Imported { record: Some(record), events: vec![event] });
                }
                let change = match spoken.map(|event| event.state) {
                    Some(Change::Suspended) => Change::Resumed,
                    Some(Change::Given | Change::Renewed | Change::Resumed) => return Ok(Imported::default()),
                    _ => Change::Given,
                };
                let said = spoken.map_or(said, |event| if said > event.time { said } else { seen.received });
                Ok(Imported { record: None, events: vec![self.event(id, last.version, change, said, seen, ended, spoken)] })
            }
            // A no is about all that was ever agreed to, whatever else the document says now.
            DocumentState::Withdrawn | DocumentState::Suspended | DocumentState::Refused => {
                // She may have left the time of her yes in the document.
                let said = if said > last.created { said } else { seen.received };
                // To say no to what she agreed to is to take it back.
                let agreed = events.iter().any(|event| matches!(event.state, Change::Given | Change::Renewed));
                let change = if self.state == DocumentState::Refused && agreed { Change::Withdrawn } else { self.change() };
                if reread && spoken.is_some_and(|event| event.state == change) {
                    return Ok(Imported::default());
                }
                let event = self.event(id, last.version, change, said, seen, Vec::new(), spoken);
                let known = events.iter().any(|own| own.eid == event.eid);
                Ok(Imported { record: None, events: if known { Vec::new() } else { vec![event] } })
            }
        }
    }

    /// Whether this may be what she wrote before: a stale copy, a restored pod. Less than is known is taken even then.
    fn looks_old(&self, last: &ConsentRecord) -> bool {
        self.version <= last.version && self.stated.map_or(self.version < last.version, |at| at < last.created)
    }

    fn change(&self) -> Change {
        match self.state {
            DocumentState::Given => Change::Given,
            DocumentState::Refused => Change::Refused,
            DocumentState::Withdrawn => Change::Withdrawn,
            DocumentState::Suspended => Change::Suspended,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the members of an event")]
    fn event(&self, id: &Iri, version: u32, state: Change, time: DateTime, seen: &Observed, after: Vec<String>, before: Option<&ConsentEvent>) -> ConsentEvent {
        event(id, version, state, time, &self.subject, seen.evidence(), seen.received, after, before)
    }
}

fn narrows(new: &Process, last: &ConsentRecord) -> bool {
    last.process(&new.pid).is_some_and(|old| crate::is_narrower(new, old))
}

fn ends(change: Change) -> bool {
    matches!(change, Change::Withdrawn | Change::Revoked | Change::Invalidated | Change::Refused)
}

#[allow(clippy::too_many_arguments, reason = "the members of an event")]
fn event(
    id: &Iri,
    version: u32,
    state: Change,
    time: DateTime,
    subject: &Iri,
    evidence: Evidence,
    received: DateTime,
    after: Vec<String>,
    before: Option<&ConsentEvent>,
) -> ConsentEvent {
    // She may say the same again after she said something else in between; that is another event.
    let before = before.map_or("", |event| event.eid.as_str());
    let seed = format!("{id}\n{version}\n{state:?}\n{}\n{before}", evidence.hash.as_deref().unwrap_or(""));
    ConsentEvent {
        time,
        eid: format!("doc-{}", b64url(&sha256(seed.as_bytes())[..16])),
        record: id.clone(),
        version,
        received,
        pids: Pids::ALL,
        state,
        by: Actor { id: subject.clone(), role: ActorRole::Subject },
        evidence,
        after,
        validity: None,
        reason: None,
    }
}

/// The event for a document that is gone: whoever deletes her grant takes it back.
pub fn gone(last: &ConsentRecord, source: &Iri, received: DateTime) -> ConsentEvent {
    let evidence = Evidence { source: Some(source.clone()), ..Evidence::of(EvidenceKind::Observed) };
    let mut out = event(&last.id, last.version, Change::Withdrawn, received, &last.subject.id, evidence, received, Vec::new(), None);
    // It may come back and go again: each time is another event.
    out.eid = format!("{}-{}", out.eid, received.micros());
    out.reason = Some("the grant document is gone".to_owned());
    out
}
