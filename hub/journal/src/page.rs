//! A person's page: who got what of hers, why, when, and whether it was stopped.

use crate::chain::{self, STREAM};
use crate::record::{Body, ConsentRef, Kind, Sealed};
use crate::subject::{context, index_of, read_entry};
use crate::{Journal, JournalError};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use waybill_keys::{open, unb64url};
use waybill_model::{DateTime, Iri, PartyId};

/// One line of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The record's number in the journal.
    pub record: u64,
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: DateTime,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<PartyId>,
    /// For what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Iri>,
    /// Under which consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consent: Option<ConsentRef>,
    /// How many entities (of all whom the answer concerned), or how often.
    pub count: u64,
    /// What of hers.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub detail: Value,
    /// What the record says openly.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub note: Value,
    /// When the consent under which it happened was withdrawn afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<DateTime>,
    /// When this recipient confirmed the withdrawal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<DateTime>,
}

/// All that the journal knows of one person, in order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// Who.
    pub subject: Iri,
    /// The lines.
    pub entries: Vec<Entry>,
}

impl Journal {
    /// The page of `subject`; without lines when the journal does not know her, or no longer.
    ///
    /// # Errors
    /// [`JournalError::Unreadable`] when a record of hers was damaged.
    pub async fn page_of(&self, subject: &Iri) -> Result<Page, JournalError> {
        let (who, pepper) = (subject.clone(), self.0.pepper);
        let found = self
            .0
            .store
            .read(move |r| {
                let Some(person) = pepper.find(r, &who)? else { return Ok(Ok(Vec::new())) };
                let mut entries = Vec::new();
                for (_, payload) in r.stream(&index_of(&person.handle), 0, usize::MAX)? {
                    let Some((number, place)) = read_entry(&payload) else { continue };
                    // A record that is kept no longer is not on the page.
                    let Some((found, record)) = r.stream(STREAM, number, 1)?.pop() else { continue };
                    if found == number {
                        match line(number, place, &record, &person.key) {
                            Ok(entry) => entries.push(entry),
                            Err(why) => return Ok(Err(format!("record {number}: {why}"))),
                        }
                    }
                }
                Ok(Ok(entries))
            })
            .await?;
        let mut entries = found.map_err(JournalError::Unreadable)?;
        note_ends(&mut entries);
        Ok(Page { subject: subject.clone(), entries })
    }
}

fn line(number: u64, place: u32, record: &[u8], key: &waybill_keys::SealKey) -> Result<Entry, &'static str> {
    let link = chain::read(record)?;
    let body: Body = serde_json::from_slice(link.body).map_err(|_| "it is no record")?;
    let sealed = body.boxes.get(place as usize).and_then(|text| unb64url(text)).ok_or("her part is missing")?;
    let plain = open(key, &sealed, &context(number, place)).map_err(|_| "her part does not open")?;
    let hers: Sealed = serde_json::from_slice(&plain).map_err(|_| "her part is no record")?;
    Ok(Entry {
        record: number,
        kind: body.kind,
        at: body.at,
        recipient: hers.recipient.or(body.recipient),
        purpose: body.purpose,
        consent: hers.consent,
        count: body.count,
        detail: hers.detail,
        note: body.detail,
        stopped: None,
        confirmed: None,
    })
}

/// For all that left under a consent: when that consent was withdrawn, and when the one who got it confirmed.
fn note_ends(entries: &mut [Entry]) {
    type Answers = HashMap<Option<PartyId>, DateTime>;
    // From the end: for each consent the next answer of each recipient, and the next end with the answers behind it.
    let (mut answers, mut ends): (HashMap<Iri, Answers>, HashMap<Iri, (DateTime, Answers)>) = (HashMap::new(), HashMap::new());
    for entry in entries.iter_mut().rev() {
        let Some(consent) = entry.consent.as_ref().map(|c| c.id.clone()) else { continue };
        match entry.kind {
            Kind::Acknowledgement => drop(answers.entry(consent).or_default().insert(entry.recipient.clone(), entry.at)),
            Kind::Withdrawal => drop(ends.insert(consent.clone(), (entry.at, answers.get(&consent).cloned().unwrap_or_default()))),
            Kind::Disclosure | Kind::Delivery | Kind::Grant | Kind::Narrowing => {
                if let Some((at, answers)) = ends.get(&consent) {
                    (entry.stopped, entry.confirmed) = (Some(*at), answers.get(&entry.recipient).copied());
                }
            }
            _ => {}
        }
    }
}
