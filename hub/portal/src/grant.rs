//! From what a caller sends to a version of a record and an event about it, with the evidence of how it came.

use crate::caller::Who;
use waybill_http::strict;
use crate::view::ConsentDetail;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use waybill_consent::{
    Actor, ActorRole, Change, ConsentEvent, ConsentRecord, Evidence, EvidenceKind, GrantDocument, Observed, Pids, SCHEMA, SKEW_SECONDS,
};
use waybill_http::problems;
use waybill_keys::{b64url, hex, random, sha256};
use waybill_model::{DateTime, Iri, Problem, ProblemCode};

/// What is sent to grant. Either a whole record (identifier, version and the like are filled in where they are missing) or a grant
/// document as a citizen writes it in her pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct GrantBody {
    #[serde(default)]
    record: Option<Box<RawValue>>,
    #[serde(default)]
    document: Option<Box<RawValue>>,
    /// With a document: the consent it changes.
    #[serde(default)]
    consent: Option<Iri>,
    /// When she said so; now when it is not said.
    #[serde(default)]
    stated: Option<DateTime>,
    #[serde(default)]
    evidence: Option<EvidenceBody>,
}

/// What is sent of the evidence: where what was seen is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EvidenceBody {
    /// Where it is kept: the file of a paper form, a recording.
    #[serde(default)]
    source: Option<Iri>,
    /// SHA-256 (hexadecimal) of it.
    #[serde(default)]
    hash: Option<String>,
}

/// What is sent to withdraw, suspend or resume. Nothing is mandatory: taking back must not be harder than giving.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EndBody {
    /// Which processes; all when it is not said.
    #[serde(default)]
    processes: Option<Vec<String>>,
    /// Why, in plain words.
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    stated: Option<DateTime>,
    /// For the operator: who decided it, when it was not she.
    #[serde(default)]
    by: Option<Actor>,
    #[serde(default)]
    evidence: Option<EvidenceBody>,
}

/// What is sent to import, and answered to export: a record with its history.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ImportBody {
    pub(crate) records: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) events: Vec<Box<RawValue>>,
}

/// What a grant adds: a version if it is another than the last, and what happened.
pub(crate) struct Grant {
    pub(crate) id: Iri,
    pub(crate) record: Option<ConsentRecord>,
    pub(crate) events: Vec<ConsentEvent>,
    /// For whom it speaks.
    pub(crate) subject: Iri,
}

impl GrantBody {
    /// The consent it changes, or a new name.
    pub(crate) fn id(&self) -> Result<Iri, Problem> {
        let named = match (&self.record, &self.document, &self.consent) {
            (Some(record), None, None) => {
                #[derive(Deserialize)]
                struct Named {
                    #[serde(default)]
                    id: Option<Iri>,
                }
                serde_json::from_str::<Named>(record.get()).map_err(|_| problems::bad_request("the record's identifier is no IRI").at("/record/id"))?.id
            }
            (None, Some(_), consent) => consent.clone(),
            (Some(_), None, Some(_)) => return Err(problems::bad_request("a record names its consent itself").at("/consent")),
            _ => return Err(problems::bad_request("either `record` or `document` is needed").at("/")),
        };
        named.map_or_else(fresh_id, Ok)
    }

    /// What it adds to what is `known`.
    pub(crate) fn grant(&self, who: &Who, id: Iri, known: Option<&ConsentDetail>, base_url: &str, now: DateTime) -> Result<Grant, Problem> {
        let stated = stated(self.stated, now)?;
        match (&self.record, &self.document) {
            (Some(raw), _) => self.of_record(raw, who, id, known, stated, now),
            (None, Some(raw)) => self.of_document(raw, who, id, known, base_url, stated, now),
            (None, None) => Err(problems::bad_request("either `record` or `document` is needed").at("/")),
        }
    }

    fn of_record(&self, raw: &RawValue, who: &Who, id: Iri, known: Option<&ConsentDetail>, stated: DateTime, now: DateTime) -> Result<Grant, Problem> {
        let newest = known.and_then(ConsentDetail::newest);
        let mut value: Value = serde_json::from_str(raw.get()).map_err(|_| problems::bad_request("the record is not well-formed JSON").at("/record"))?;
        let Some(members) = value.as_object_mut() else { return Err(problems::bad_request("a record is an object").at("/record")) };
        let mut fill = |name: &str, value: Value| {
            members.entry(name).or_insert(value);
        };
        fill("id", id.as_str().into());
        fill("schema", SCHEMA.into());
        fill("created", now.to_string().into());
        fill("version", newest.map_or(1, |n| n.version + 1).into());
        if let Some(newest) = newest {
            fill("prev", newest.hash_text().into());
        }
        let record = ConsentRecord::parse(value.to_string().as_bytes()).map_err(|e| Problem::from(e).at("/record"))?;
        let subject = record.subject.id.clone();
        let by = actor(who, &subject);
        let event = event(&Said { id: &id, version: record.version, state: Change::Given, by, stated, now }, self.evidence(who, raw.get()), known);
        Ok(Grant { id, record: Some(record), events: vec![event], subject })
    }

    #[allow(clippy::too_many_arguments, reason = "what was sent, by whom, about what, when")]
    fn of_document(
        &self,
        raw: &RawValue,
        who: &Who,
        id: Iri,
        known: Option<&ConsentDetail>,
        base_url: &str,
        stated: DateTime,
        now: DateTime,
    ) -> Result<Grant, Problem> {
        strict::object(raw.get().as_bytes(), "/document")?;
        let mut document = GrantDocument::parse(raw.get().as_bytes()).map_err(|e| Problem::from(e).at("/document"))?;
        document.stated = document.stated.or(Some(stated));
        // The same address whenever it is about the same consent: by it, the next document is known to speak of the last.
        let source = Iri::new(format!("{base_url}/waybill/v1/consents/{}", waybill_http::encode_component(id.as_str())))
            .map_err(|_| problems::bad_request("this hub's own address is no IRI"))?;
        let evidence = Evidence { source: Some(source.clone()), ..self.evidence(who, raw.get()) };
        let seen = Observed {
            source,
            etag: None,
            hash: evidence.hash.clone().unwrap_or_default(),
            author: document.subject.clone(),
            // What a document becomes depends on nothing here; the events get the evidence that really is at hand below.
            kind: EvidenceKind::Signed,
            access_rules: None,
            received: now,
        };
        let (versions, events) = known.map_or((&[][..], &[][..]), |k| (&k.versions[..], &k.events[..]));
        let imported = document.import(&id, &seen, versions, events)?;
        let by = actor(who, &document.subject);
        let events = imported.events.into_iter().map(|event| ConsentEvent { evidence: evidence.clone(), by: by.clone(), ..event }).collect();
        Ok(Grant { id, record: imported.record, events, subject: document.subject })
    }

    fn evidence(&self, who: &Who, sent: &str) -> Evidence {
        evidence(who, self.evidence.as_ref(), sent.as_bytes())
    }
}

impl EndBody {
    /// The event that brings `state` about for `known`.
    pub(crate) fn event(&self, state: Change, who: &Who, known: &ConsentDetail, sent: &[u8], now: DateTime) -> Result<ConsentEvent, Problem> {
        let version = known.newest().map_or(known.state.version, |v| v.version);
        let by = match (who, &self.by) {
            (Who::Person(_), Some(_)) => return Err(problems::forbidden("a person acts as herself here").at("/by")),
            (Who::Operator(_), Some(by)) => by.clone(),
            (_, None) => actor(who, &known.subject),
        };
        if let Some(unknown) = self.processes.iter().flatten().find(|pid| known.newest().is_none_or(|v| v.process(pid).is_none())) {
            let name: String = unknown.chars().take(60).collect();
            return Err(problems::bad_request(format!("the consent has no process `{name}`")).at("/processes"));
        }
        if self.reason.as_ref().is_some_and(|r| r.chars().count() > 500) {
            return Err(problems::bad_request("a reason has at most 500 characters").at("/reason"));
        }
        let stated = stated(self.stated, now)?;
        let said = Said { id: &known.id, version, state, by, stated, now };
        let mut event = event(&said, evidence(who, self.evidence.as_ref(), sent), Some(known));
        event.pids = self.processes.clone().map_or(Pids::ALL, Pids::Some);
        event.reason.clone_from(&self.reason);
        Ok(event)
    }
}

impl ImportBody {
    /// The versions, oldest first, and the events, received now and vouched for by `operator` where nobody else is named.
    pub(crate) fn history(&self, operator: &Iri, now: DateTime) -> Result<(Vec<ConsentRecord>, Vec<ConsentEvent>), Problem> {
        let mut records = Vec::with_capacity(self.records.len());
        for (i, raw) in self.records.iter().enumerate() {
            strict::object(raw.get().as_bytes(), &format!("/records/{i}"))?;
            records.push(ConsentRecord::parse(raw.get().as_bytes()).map_err(|e| Problem::from(e).at(format!("/records/{i}")))?);
        }
        let mut events = Vec::with_capacity(self.events.len());
        for (i, raw) in self.events.iter().enumerate() {
            strict::object(raw.get().as_bytes(), &format!("/events/{i}"))?;
            let mut event = ConsentEvent::parse(raw.get().as_bytes()).map_err(|e| Problem::from(e).at(format!("/events/{i}")))?;
            event.received = now;
            event.evidence.recorder.get_or_insert_with(|| operator.clone());
            events.push(event);
        }
        let Some(first) = records.first() else { return Err(problems::bad_request("an import has at least one version").at("/records")) };
        let (id, subject) = (first.id.clone(), first.subject.id.clone());
        let strange = records.iter().any(|r| r.id != id || r.subject.id != subject) || events.iter().any(|e| e.record != id);
        if strange {
            return Err(problems::bad_request("an import is about one record of one person"));
        }
        records.sort_by_key(|r| r.version);
        Ok((records, events))
    }
}

struct Said<'a> {
    id: &'a Iri,
    version: u32,
    state: Change,
    by: Actor,
    stated: DateTime,
    now: DateTime,
}

fn event(said: &Said<'_>, evidence: Evidence, known: Option<&ConsentDetail>) -> ConsentEvent {
    let ends = |change: Change| matches!(change, Change::Withdrawn | Change::Revoked | Change::Invalidated | Change::Refused);
    // Whoever acts here acts on what this hub shows, so what ended before was known to her.
    let after = known.map(|k| k.events.iter().filter(|e| ends(e.state)).map(|e| e.eid.clone()).collect());
    ConsentEvent {
        time: said.stated,
        eid: format!("api-{}", b64url(random::<16>())),
        record: said.id.clone(),
        version: said.version,
        received: said.now,
        pids: Pids::ALL,
        state: said.state,
        by: said.by.clone(),
        evidence,
        after: after.unwrap_or_default(),
        validity: None,
        reason: None,
    }
}

/// Who decided, when nobody else is named: she herself, or the person who is signed in and acts for her.
fn actor(who: &Who, subject: &Iri) -> Actor {
    match who {
        Who::Person(person) if person != subject => Actor { id: person.clone(), role: ActorRole::Guardian },
        _ => Actor { id: subject.clone(), role: ActorRole::Subject },
    }
}

/// How it is known: she was signed in, or a clerk heard or saw it. What was sent is the thing seen when nothing else is named.
fn evidence(who: &Who, named: Option<&EvidenceBody>, sent: &[u8]) -> Evidence {
    let (kind, recorder) = match who {
        Who::Person(_) => (EvidenceKind::SignedIn, None),
        Who::Operator(name) => (EvidenceKind::Clerk, Some(name.clone())),
    };
    let named = named.cloned().unwrap_or_default();
    Evidence { hash: named.hash.or_else(|| Some(hex(&sha256(sent)))), source: named.source, recorder, ..Evidence::of(kind) }
}

fn stated(stated: Option<DateTime>, now: DateTime) -> Result<DateTime, Problem> {
    match stated {
        Some(at) if at > now.plus_seconds(SKEW_SECONDS) => Err(problems::bad_request("nothing can have been said in the future").at("/stated")),
        Some(at) => Ok(at),
        None => Ok(now),
    }
}

fn fresh_id() -> Result<Iri, Problem> {
    Iri::new(format!("urn:waybill:consent:{}", hex(&random::<16>())))
        .map_err(|_| Problem::new(ProblemCode("no-identifier"), 500, "No identifier could be made", "the hub failed to name the new consent"))
}

impl EvidenceBody {
    /// # Errors
    /// 400 when the hash is not 64 hexadecimal digits.
    fn check(&self) -> Result<(), Problem> {
        let good = self.hash.as_ref().is_none_or(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()));
        if good { Ok(()) } else { Err(problems::bad_request("a SHA-256 has 64 hexadecimal digits").at("/evidence/hash")) }
    }
}

/// Reads and checks the body of a grant.
pub(crate) fn read_grant(request: &waybill_http::Request) -> Result<GrantBody, Problem> {
    let body: GrantBody = strict::read(request)?;
    body.evidence.iter().try_for_each(EvidenceBody::check)?;
    Ok(body)
}
/// Reads and checks the body of a withdrawal, suspension or resumption.
pub(crate) fn read_end(request: &waybill_http::Request) -> Result<EndBody, Problem> {
    let body: EndBody = strict::read_or_default(request)?;
    body.evidence.iter().try_for_each(EvidenceBody::check)?;
    Ok(body)
}
