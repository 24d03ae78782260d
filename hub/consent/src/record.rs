//! The consent record, in the structure of ISO/IEC TS 27560 with what the GDPR asks beyond it.

use crate::{Basis, ConsentError, PurposeCheck, Transform};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use waybill_keys::{hex, jcs_hash};
use waybill_model::{DateTime, Iri, PartyId};

/// The schema that a record of ours names.
pub const SCHEMA: &str = "https://w3id.org/waybill/schemas/consent/consent-record.schema.json";

/// One version of what a person agreed to. Immutable: a change is a new version. What happened to it stands in events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsentRecord {
    /// The record; the same for all versions. Says nothing about the person.
    pub id: Iri,
    /// From 1.
    pub version: u32,
    /// The SHA-256 (hexadecimal) of the canonical text of the version before; nothing for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// The schema; [`SCHEMA`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// When this version was written.
    pub created: DateTime,
    /// Who agrees.
    pub subject: Subject,
    /// Everybody else that is named.
    #[serde(default)]
    pub parties: Vec<Party>,
    /// What she was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// What is done with the data, in parts that can be withdrawn one by one.
    #[serde(default)]
    pub processes: Vec<Process>,
    /// The law that applies: an ISO 3166 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Laws by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub laws: Vec<String>,
    /// The rights she has, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<String>,
    /// How she withdraws.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Withdrawal>,
    /// Codes of conduct.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The impact assessment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpia: Option<Iri>,
}

/// Who agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// The person: a WebID, or a pseudonym for this controller.
    pub id: Iri,
    /// What kind of identifier that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_type: Option<String>,
    /// Who acts for her.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<Iri>,
}

/// What a party is in this record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartyRole {
    /// Decides why and how.
    Controller,
    /// One of several that decide together.
    JointController,
    /// Works on a controller's behalf.
    Processor,
    /// Receives the data.
    Recipient,
    /// Anybody else.
    ThirdParty,
    /// The supervisory authority.
    Authority,
    /// The data protection officer.
    ProtectionOfficer,
    /// A representative in the Union.
    Representative,
    /// A data intermediation service (DGA Art. 10): has no purposes of its own.
    Intermediary,
    /// A recognised data altruism organisation (DGA Art. 18).
    AltruismOrganisation,
}

/// A party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Party {
    /// Its identifier.
    pub id: PartyId,
    /// What it is here.
    pub role: PartyRole,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Postal address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// How to reach it: an e-mail address, a telephone number, a page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub contact: String,
    /// Its site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Iri>,
    /// ISO 3166 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

/// What she was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Notice {
    /// Where it stands.
    pub uri: Iri,
    /// Which version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// In which language (BCP 47).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// SHA-256 (hexadecimal) of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_hash: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_at: Option<DateTime>,
}

/// A span of time, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validity {
    /// The first moment; nothing means from the grant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime>,
    /// The first moment after; nothing means without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime>,
}

impl Validity {
    /// Whether `at` lies within.
    pub fn holds(&self, at: DateTime) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// What becomes of copies when she withdraws; the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnWithdrawal {
    /// They are erased.
    #[default]
    Erase,
    /// They are made anonymous.
    Anonymise,
    /// They are not used any more.
    Stop,
}

/// One part of what is done with the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Process {
    /// Its identifier within the record; the same in each version.
    pub pid: String,
    /// For what.
    #[serde(default)]
    pub purposes: Vec<Iri>,
    /// The version of the purpose scheme when the notice was shown.
    #[serde(default = "first")]
    pub purpose_version: u32,
    /// The purposes in plain words, by language.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub purpose_label: BTreeMap<String, String>,
    /// The lawful basis.
    pub legal_basis: Basis,
    /// Whether the consent is explicit (GDPR Art. 9(2)(a)).
    #[serde(default, skip_serializing_if = "is_false")]
    pub explicit: bool,
    /// Which data, in which precision.
    #[serde(default)]
    pub data: Vec<Datum>,
    /// What is done, as terms of a vocabulary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Iri>,
    /// How it is collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collection: Vec<String>,
    /// Who receives it; each is a party of the record.
    #[serde(default)]
    pub recipients: Vec<PartyId>,
    /// To whom a recipient may pass it on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distribute_to: Vec<PartyId>,
    /// Whether decisions are made by machine alone (GDPR Art. 22).
    #[serde(default, skip_serializing_if = "is_false")]
    pub automated: bool,
    /// Where and how long it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Where it is worked on: ISO 3166 codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processing_locations: Vec<String>,
    /// Transfers out of the Union (GDPR Art. 44 to 49).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<Transfer>,
    /// What becomes of copies when she withdraws.
    #[serde(default)]
    pub on_withdrawal: OnWithdrawal,
    /// From when until when.
    #[serde(default)]
    pub validity: Validity,
}

fn first() -> u32 {
    1
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_false(b: &bool) -> bool {
    !b
}

/// One kind of data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Datum {
    /// The Attribute's expanded name.
    pub attribute: Iri,
    /// Expanded types of entities; empty means any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Iri>,
    /// In which precision.
    pub transform: Transform,
    /// The category, as a term of a vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<Iri>,
    /// Whether the service works without it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Whether it is of a special category (GDPR Art. 9).
    #[serde(default, skip_serializing_if = "is_false")]
    pub special: bool,
}

/// Where and how long data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Places: ISO 3166 codes or names.
    pub locations: Vec<String>,
    /// How long, as an ISO 8601 duration.
    pub retention: String,
}

/// A transfer out of the Union.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transfer {
    /// ISO 3166 code.
    pub country: String,
    /// What protects her there.
    pub safeguard: String,
}

/// How she withdraws.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Withdrawal {
    /// Where.
    pub uri: Iri,
    /// How, in plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
}

/// A mandatory member that is missing or says nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// Where: a JSON Pointer.
    pub place: String,
    /// What is missing.
    pub what: &'static str,
}

/// Whether a record can open anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// All that is mandatory is there.
    Ready,
    /// It is a draft, for want of these.
    Draft(Vec<Missing>),
}

impl ConsentRecord {
    /// Reads a record. Repeated and unknown members are refused; missing ones make a draft.
    pub fn parse(text: &[u8]) -> Result<Self, ConsentError> {
        crate::signed::parse_strict(text)
    }

    /// The SHA-256 of the canonical text, as the next version's `prev` names it.
    pub fn hash(&self) -> [u8; 32] {
        // INVARIANT: plain members; serialising cannot fail.
        jcs_hash(&serde_json::to_value(self).unwrap_or_default())
    }
    /// [`Self::hash`] in hexadecimal digits.
    pub fn hash_text(&self) -> String {
        hex(&self.hash())
    }

    /// The controllers.
    pub fn controllers(&self) -> impl Iterator<Item = &Party> {
        self.parties.iter().filter(|party| matches!(party.role, PartyRole::Controller | PartyRole::JointController))
    }
    /// The process `pid`.
    pub fn process(&self, pid: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }

    /// Whether all is there that ISO/IEC TS 27560 makes mandatory, and what the hub needs to carry it out.
    pub fn readiness(&self, purposes: &dyn PurposeCheck) -> Readiness {
        let mut out = Gaps(Vec::new());
        out.need(self.version > 0, "/version", "a version from 1 on");
        out.need(self.schema == SCHEMA, "/schema", "the schema's address");
        match &self.notice {
            None => out.need(false, "/notice", "the notice she was shown"),
            Some(notice) => out.need(!notice.language.is_empty(), "/notice/language", "the notice's language"),
        }
        out.need(self.controllers().next().is_some(), "/parties", "a controller");
        for (i, party) in self.parties.iter().enumerate() {
            let place = |member: &str| format!("/parties/{i}/{member}");
            out.need(!party.name.is_empty(), &place("name"), "the party's name");
            let controller = matches!(party.role, PartyRole::Controller | PartyRole::JointController);
            out.need(!controller || !party.contact.is_empty(), &place("contact"), "the controller's contact");
            out.need(!controller || !party.address.is_empty(), &place("address"), "the controller's address");
        }
        out.need(self.jurisdiction.as_ref().is_some_and(|j| !j.is_empty()), "/jurisdiction", "the jurisdiction");
        out.need(self.withdrawal.is_some(), "/withdrawal", "how she withdraws");
        out.need(!self.processes.is_empty(), "/processes", "a process");
        let mut seen = BTreeSet::new();
        for (i, process) in self.processes.iter().enumerate() {
            out.need(plain(&process.pid) && seen.insert(&process.pid), &format!("/processes/{i}/pid"), "a short identifier of its own");
            self.process_gaps(process, &format!("/processes/{i}"), purposes, &mut out);
        }
        if out.0.is_empty() { Readiness::Ready } else { Readiness::Draft(out.0) }
    }

    fn process_gaps(&self, process: &Process, at: &str, purposes: &dyn PurposeCheck, out: &mut Gaps) {
        let place = |member: &str| format!("{at}/{member}");
        out.need(!process.purposes.is_empty(), &place("purposes"), "a purpose");
        for (i, purpose) in process.purposes.iter().enumerate() {
            let place = place(&format!("purposes/{i}"));
            out.need(purposes.known(purpose.as_str()), &place, "a purpose that the hub knows");
            out.need(!purposes.is_top(purpose.as_str()), &place, "a purpose that is not a top concept");
        }
        out.need(!process.data.is_empty(), &place("data"), "the data");
        for (i, datum) in process.data.iter().enumerate() {
            if let Some(fault) = datum.transform.fault() {
                out.need(false, &place(&format!("data/{i}/transform")), fault);
            }
            out.need(!datum.special || process.explicit, &place("explicit"), "explicit consent, since special data is named");
        }
        out.need(!process.recipients.is_empty(), &place("recipients"), "a recipient");
        for (i, recipient) in process.recipients.iter().chain(&process.distribute_to).enumerate() {
            let known = self.parties.iter().any(|party| party.id == *recipient);
            out.need(known, &place(&format!("recipients/{i}")), "a recipient who is a party of the record");
        }
        match &process.storage {
            None => out.need(false, &place("storage"), "where and how long it is kept"),
            Some(storage) => {
                out.need(storage.locations.iter().any(|l| !l.is_empty()), &place("storage/locations"), "where it is kept");
                out.need(storage.retention.parse::<jiff::Span>().is_ok(), &place("storage/retention"), "how long it is kept, as a duration");
            }
        }
        let consent = process.legal_basis == Basis::Consent;
        out.need(!consent || process.validity.until.is_some(), &place("validity/until"), "until when it holds");
        let ordered = process.validity.from.zip(process.validity.until).is_none_or(|(from, until)| from < until);
        out.need(ordered, &place("validity"), "an end after the beginning");
    }
}

/// Whether `name` is short and made of letters, digits, `.`, `_` and `-`, so that it can be part of a key.
fn plain(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

struct Gaps(Vec<Missing>);
impl Gaps {
    fn need(&mut self, there: bool, place: &str, what: &'static str) {
        if !there {
            self.0.push(Missing { place: place.to_owned(), what });
        }
    }
}
