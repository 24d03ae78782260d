//! The bundle: an entity and all that proves on what terms it is held, in one file that can be checked without a network.

use crate::fault;
use crate::{Envelope, LeafKey, LeafMatch, Manifest, Reading, SKEW_SECONDS, StatusPurpose, tag_hash};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use waybill_keys::{Key, KeySet, b64url, jws, sha256};
use waybill_model::{Attribute, AttributeValue, DateTime, Entity, EntityDoc, EnvelopeHash, TAG_NAME};

/// The `typ` of the signature over a bundle's content.
pub const TYP: &str = "waybill-bundle+jwt";
const HEAD: &str = "{\"waybillBundle\":1,\"seal\":\"";
const MIDDLE: &str = "\",\"content\":";
const TAIL: &str = "}\n";

/// What a bundle shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Signatures, values and status are good.
    Valid,
    /// Something is wrong: changed, stripped, ended, withdrawn.
    NotValid,
    /// All but the status is good; whether the consent still holds is not known.
    StatusUnknown,
    /// An entity without proof.
    Unverified,
}

impl Verdict {
    /// The exit code of `waybill verify`.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::NotValid => 1,
            Self::StatusUnknown => 2,
            Self::Unverified => 3,
        }
    }
}

/// The verdict and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is.
    pub verdict: Verdict,
    /// The time that the verdict is about: as of when it is valid, or since when the status is not known.
    pub as_of: Option<DateTime>,
    /// What is wrong or not known, in plain words. Names Attributes, never values.
    pub reasons: Vec<String>,
    /// The DIDs whose signatures count.
    pub issuers: Vec<String>,
    /// Whether a key was taken from the bundle itself: then whoever made the bundle may have made the issuer.
    pub keys_enclosed: bool,
}

/// What goes into a bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The entity with its tags.
    pub entity: EntityDoc,
    /// The envelopes that the tags name, as compact JWS.
    pub envelopes: Vec<String>,
    /// The manifest it came with, as compact JWS.
    pub manifest: Option<String>,
    /// The DID documents of all issuers, by DID.
    pub issuers: BTreeMap<String, Value>,
    /// Signed status lists.
    pub status: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content<'a> {
    #[serde(borrow)]
    entity: &'a RawValue,
    envelopes: Vec<String>,
    manifest: Option<String>,
    issuers: BTreeMap<String, Value>,
    status: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    iss: String,
    iat: i64,
    sha256: String,
}

impl Bundle {
    /// Writes the file. `did` is the hub that puts it together; its own document must be among the issuers. Every byte of the file is
    /// covered by its signature.
    ///
    /// # Errors
    /// When the entity's text is no JSON.
    pub fn write(&self, key: &Key, did: &str, now: DateTime) -> Result<String, serde_json::Error> {
        let entity: &RawValue = serde_json::from_str(self.entity.text())?;
        let content = serde_json::to_string(&Content {
            entity,
            envelopes: self.envelopes.clone(),
            manifest: self.manifest.clone(),
            issuers: self.issuers.clone(),
            status: self.status.clone(),
        })?;
        let seal = Seal { iss: did.to_owned(), iat: now.seconds(), sha256: b64url(sha256(content.as_bytes())) };
        Ok(format!("{HEAD}{}{MIDDLE}{content}{TAIL}", jws::sign(key, TYP, &seal)))
    }
}

/// Checks a bundle with the keys that it encloses. That proves that nothing was changed since the issuer signed it, but not who the issuer
/// is: see [`Report::keys_enclosed`].
pub fn verify_bundle(file: &[u8], now: DateTime) -> Report {
    verify_bundle_with(file, &|_| None, now)
}

/// Checks a bundle. `trusted` gives the keys of a DID where they are known otherwise.
pub fn verify_bundle_with(file: &[u8], trusted: &dyn Fn(&str) -> Option<KeySet>, now: DateTime) -> Report {
    let report = Report { verdict: Verdict::NotValid, as_of: None, reasons: Vec::new(), issuers: Vec::new(), keys_enclosed: false };
    let Ok(text) = std::str::from_utf8(file) else {
        return Report { reasons: vec!["it is no text".to_owned()], ..report };
    };
    let framed = text.strip_prefix(HEAD).and_then(|rest| rest.strip_suffix(TAIL)).and_then(|rest| rest.split_once(MIDDLE));
    let Some((seal, content)) = framed else { return bare(text, report) };
    let mut check = Check { trusted, now, report };
    if let Err(reason) = check.run(seal, content) {
        check.report.reasons.push(reason);
        check.report.verdict = Verdict::NotValid;
    }
    check.report.issuers.sort();
    check.report.issuers.dedup();
    check.report
}

/// An entity alone, in whatever form of NGSI-LD, is well-formed and proves nothing.
fn bare(text: &str, report: Report) -> Report {
    let value: Option<serde_json::Map<String, Value>> = serde_json::from_str(text).ok();
    let named = |value: &serde_json::Map<String, Value>, names: [&str; 2]| names.iter().any(|name| value.contains_key(*name));
    match value {
        Some(value) if !value.contains_key("waybillBundle") && named(&value, ["id", "@id"]) && named(&value, ["type", "@type"]) => {
            Report { verdict: Verdict::Unverified, reasons: vec!["it is an entity without its envelope and manifest".to_owned()], ..report }
        }
        _ => Report { reasons: vec!["it is neither a bundle nor an entity".to_owned()], ..report },
    }
}

struct Check<'a> {
    trusted: &'a dyn Fn(&str) -> Option<KeySet>,
    now: DateTime,
    report: Report,
}

impl Check<'_> {
    fn run(&mut self, seal: &str, content: &str) -> Result<(), String> {
        let parsed: Content<'_> = serde_json::from_str(content).map_err(|_| "its content is not that of a bundle".to_owned())?;
        let mut keys = BTreeMap::new();
        for (did, document) in &parsed.issuers {
            keys.insert(did.clone(), self.keys(did, document)?);
        }
        let all = KeySet::new(keys.values().flat_map(|set: &KeySet| set.keys().iter().cloned()).collect());
        let sealed = jws::verify(seal, TYP, &all, self.now).map_err(|e| format!("the bundle's own signature: {e}"))?;
        let claims: Seal = sealed.claims().map_err(|e| e.to_string())?;
        let same = claims.sha256 == b64url(sha256(content.as_bytes())) || fault::off("consent-bundle-seal");
        if !sealed.is_from(&claims.iss) || !same {
            return Err("the bundle was changed after it was signed".to_owned());
        }
        self.report.issuers.push(claims.iss);
        let entity = Entity::from_canonical(parsed.entity.get()).map_err(|_| "its entity is not in canonical form".to_owned())?;
        let mut envelopes = BTreeMap::new();
        for compact in &parsed.envelopes {
            let envelope = Envelope::verify(compact, &all, self.now).map_err(|e| format!("an envelope: {e}"))?;
            self.report.issuers.push(envelope.claims.iss.clone());
            envelopes.insert(envelope.hash, envelope);
        }
        let manifest = match &parsed.manifest {
            None => None,
            Some(compact) => Some(Manifest::verify(compact, &all, self.now).map_err(|e| format!("the manifest: {e}"))?),
        };
        if let Some(manifest) = &manifest {
            self.report.issuers.push(manifest.claims.iss.clone());
        }
        let used = tags(&entity, &envelopes, manifest.as_ref())?;
        if used.is_empty() {
            self.report.verdict = Verdict::Unverified;
            self.report.reasons.push("nothing in it is tagged".to_owned());
            return Ok(());
        }
        for envelope in &used {
            if !envelope.claims.validity().holds(self.now) {
                return Err("the time of an envelope has not come, or is over".to_owned());
            }
        }
        self.status(&used, &parsed.status, &all)
    }

    fn keys(&mut self, did: &str, document: &Value) -> Result<KeySet, String> {
        if let Some(known) = (self.trusted)(did) {
            return Ok(known);
        }
        self.report.keys_enclosed = true;
        KeySet::from_did_document(document, did).map_err(|e| format!("the issuer's document: {e}"))
    }

    fn status(&mut self, used: &[&Envelope], lists: &[String], keys: &KeySet) -> Result<(), String> {
        let mut readings: Vec<Reading> = Vec::new();
        for compact in lists {
            readings.push(Reading::verify(compact, keys, self.now).map_err(|e| format!("a status list: {e}"))?);
        }
        let (mut as_of, mut unknown): (Option<DateTime>, Option<DateTime>) = (None, None);
        let earliest = |known: Option<DateTime>, at: DateTime| Some(known.map_or(at, |known| known.min(at)));
        for envelope in used {
            let claims = &envelope.claims;
            let entries = [(&claims.st.rev, StatusPurpose::Revocation), (&claims.st.sus, StatusPurpose::Suspension)];
            for (entry, purpose) in entries {
                let fits = |reading: &&Reading| reading.url == entry.list && reading.issuer == claims.iss && reading.purpose == purpose;
                let Some(reading) = readings.iter().filter(fits).max_by_key(|reading| (reading.as_of, reading.sequence)) else {
                    unknown = earliest(unknown, DateTime::from_seconds(claims.iat));
                    continue;
                };
                if reading.is_set(entry.idx) {
                    return Err(match purpose {
                        StatusPurpose::Revocation => format!("the consent is over; the list of {} says so", reading.as_of),
                        StatusPurpose::Suspension => format!("the consent rests; the list of {} says so", reading.as_of),
                    });
                }
                as_of = earliest(as_of, reading.as_of);
                if self.now >= reading.until || reading.as_of > self.now.plus_seconds(SKEW_SECONDS) {
                    unknown = earliest(unknown, reading.as_of);
                }
            }
        }
        if let Some(since) = unknown {
            self.report.verdict = Verdict::StatusUnknown;
            self.report.as_of = Some(since);
            self.report.reasons.push(format!("whether the consent still holds is not known since {since}"));
        } else {
            self.report.verdict = Verdict::Valid;
            self.report.as_of = as_of;
        }
        Ok(())
    }
}

/// The tag on an instance.
fn tag_on(instance: &Attribute) -> Result<Option<EnvelopeHash>, String> {
    let Some(found) = instance.attributes.get(TAG_NAME) else { return Ok(None) };
    let mut hashes = found.iter().flat_map(objects).map(|uri| tag_hash(uri).ok_or("a tag has not the shape of one".to_owned()));
    match (hashes.next(), hashes.next()) {
        (Some(hash), None) => hash.map(Some),
        _ => Err("an Attribute has not exactly one tag".to_owned()),
    }
}

fn objects(instance: &Attribute) -> Vec<&str> {
    match &instance.value {
        AttributeValue::Relationship { objects, .. } => objects.iter().map(waybill_model::Iri::as_str).collect(),
        _ => vec![""],
    }
}

/// Checks every value against its tag, the manifest and the terms. Returns the envelopes that are used.
fn tags<'a>(entity: &Entity, envelopes: &'a BTreeMap<EnvelopeHash, Envelope>, manifest: Option<&Manifest>) -> Result<Vec<&'a Envelope>, String> {
    let mut used: BTreeMap<EnvelopeHash, &Envelope> = BTreeMap::new();
    let types = || entity.types.iter().map(waybill_model::Iri::as_str);
    let find = |hash: &EnvelopeHash| envelopes.get(hash).ok_or("a tag names an envelope that is not in the bundle".to_owned());
    for (name, instances) in &entity.attributes {
        if name.as_str() == TAG_NAME {
            for uri in instances.iter().flat_map(objects) {
                find(&tag_hash(uri).ok_or("a tag has not the shape of one")?)?;
            }
            continue;
        }
        for instance in instances {
            let key = LeafKey { entity: entity.id.as_str(), attribute: name.as_str(), dataset: instance.dataset_id.as_ref().map(AsRef::as_ref) };
            // INVARIANT: what was read from canonical form is written in it.
            let text = serde_json::to_string(instance).unwrap_or_default();
            let Some(tag) = tag_on(instance)? else {
                if manifest.is_some_and(|manifest| manifest.knows(key)) {
                    return Err(format!("the tag of {name} was stripped"));
                }
                continue;
            };
            let envelope = find(&tag)?;
            let manifest = manifest.ok_or("it has tags but no manifest")?;
            match manifest.check(&tag, key, &text) {
                LeafMatch::Covered(_) => {}
                LeafMatch::Changed => return Err(format!("the value of {name} is not the one that was delivered under its tag")),
                LeafMatch::OtherTag(_) => return Err(format!("{name} was delivered under another tag")),
                LeafMatch::Absent => return Err(format!("{name} is not in the manifest")),
            }
            let terms = &envelope.claims.terms;
            if terms.recipient != manifest.claims.aud && !terms.distribute_to.contains(&manifest.claims.aud) {
                return Err("the envelope is for another recipient than the manifest".to_owned());
            }
            if terms.assets_about(types(), name.as_str()).next().is_none() {
                return Err(format!("the envelope's terms do not cover {name}"));
            }
            used.insert(tag, envelope);
        }
    }
    Ok(used.into_values().collect())
}
