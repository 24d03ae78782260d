//! Grants: the rows that open personal data, compiled from records or from envelopes that came in.

use crate::{Asset, Basis, ConsentError, ConsentRecord, Envelope, Folded, OnWithdrawal, State, StatusPurpose, Terms, Validity};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use waybill_keys::hex;
use waybill_model::{DateTime, EnvelopeHash, Iri};
use waybill_policy::{Compiled, Policy, Profile};

/// Terms with their policy, compiled. One for all grants with the same content.
#[derive(Debug)]
pub struct Template {
    /// What is allowed.
    pub terms: Terms,
    /// The same as a compiled ODRL policy, without times: those stand in the grant.
    pub policy: Compiled,
    /// SHA-256 of the terms' canonical text.
    pub id: [u8; 32],
}

/// The templates in use, and what policies are compiled against.
#[derive(Debug)]
pub struct Templates {
    profile: Profile,
    known: Mutex<HashMap<[u8; 32], Weak<Template>>>,
}

impl Templates {
    /// None yet, for policies of `profile`.
    pub fn new(profile: Profile) -> Self {
        Self { profile, known: Mutex::default() }
    }

    /// What policies are compiled against.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The template of that identifier, while somebody uses it.
    pub fn get(&self, id: &[u8; 32]) -> Option<Arc<Template>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).and_then(Weak::upgrade)
    }

    /// The template of `terms`: the one that is there, or a new one.
    ///
    /// # Errors
    /// [`ConsentError::Schema`] with the compiler's first words when the policy is not understood, for instance for an unknown purpose.
    pub fn share(&self, terms: Terms) -> Result<Arc<Template>, ConsentError> {
        let id = terms.id();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&id).and_then(Weak::upgrade) {
            return Ok(found);
        }
        let text = terms.odrl(&format!("urn:waybill:terms:{}", hex(&id)), None).to_string();
        let compiled = Policy::parse(text.as_bytes()).and_then(|policy| waybill_policy::compile(&policy, &self.profile));
        let policy = compiled.map_err(|faults| ConsentError::Schema {
            place: "/policy".to_owned(),
            fault: faults.first().map_or_else(String::new, |fault| fault.to_problem().detail),
        })?;
        let template = Arc::new(Template { terms, policy, id });
        if known.len() > 1024 && known.len().is_power_of_two() {
            known.retain(|_, weak| weak.strong_count() > 0);
        }
        known.insert(id, Arc::downgrade(&template));
        Ok(template)
    }
}

/// Where a grant's bits stand: the number of the list and the index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusIndexes {
    /// In the revocation lists.
    pub revocation: (u32, u32),
    /// In the suspension lists.
    pub suspension: (u32, u32),
}

impl StatusIndexes {
    /// Where the bit of `purpose` stands.
    pub fn of(&self, purpose: StatusPurpose) -> (u32, u32) {
        match purpose {
            StatusPurpose::Revocation => self.revocation,
            StatusPurpose::Suspension => self.suspension,
        }
    }
}

/// What opens data: one for each record, version, process and recipient. Reads like its [`Terms`].
#[derive(Debug, Clone)]
pub struct Grant {
    /// The terms, shared.
    pub template: Arc<Template>,
    /// The record, or the route or envelope it comes from.
    pub record: Iri,
    /// The record's version; 0 when there is no record.
    pub version: u32,
    /// Whose data. Nothing means any bound subject: another basis than consent, or what came in under an envelope.
    pub subject: Option<Iri>,
    /// From when until when.
    pub valid: Validity,
    /// The state of the process.
    pub state: State,
    /// The consent epoch at which the row was written.
    pub epoch: u64,
    /// The envelope that states it.
    pub envelope: Option<EnvelopeHash>,
    /// Its bits in the status lists.
    pub status: Option<StatusIndexes>,
}

impl Deref for Grant {
    type Target = Terms;
    fn deref(&self) -> &Terms {
        &self.template.terms
    }
}

impl Grant {
    /// A grant on another basis than consent, as a route states it. `source` names the route.
    ///
    /// # Errors
    /// [`ConsentError::Schema`] when the basis is consent, or the policy is not understood.
    pub fn for_basis(templates: &Templates, source: Iri, terms: Terms, valid: Validity) -> Result<Self, ConsentError> {
        if terms.basis == Basis::Consent {
            return Err(ConsentError::Schema { place: "/basis".to_owned(), fault: "consent needs a record, not a route".to_owned() });
        }
        let template = templates.share(terms)?;
        Ok(Self { template, record: source, version: 0, subject: None, valid, state: State::Given, epoch: 0, envelope: None, status: None })
    }

    /// The grant that an envelope states which came in. It holds only for what came under that envelope.
    ///
    /// # Errors
    /// [`ConsentError::Schema`] when the policy is not understood: then nothing may be done with the data.
    pub fn of_envelope(templates: &Templates, envelope: &Envelope) -> Result<Self, ConsentError> {
        let claims = &envelope.claims;
        Ok(Self {
            template: templates.share(claims.terms.clone())?,
            record: claims.con.id.clone(),
            version: claims.con.ver,
            subject: None,
            valid: claims.validity(),
            state: State::Given,
            epoch: 0,
            envelope: Some(envelope.hash),
            status: None,
        })
    }

    /// Whether it opens anything at `now`. The status lists of an envelope that came in are another question.
    pub fn is_open(&self, now: DateTime) -> bool {
        self.state.is_given() && self.valid.holds(now)
    }

    /// The compiled policy. It knows no times: ask [`Self::is_open`] first.
    pub fn policy(&self) -> &Compiled {
        &self.template.policy
    }
}

/// The grants of one subject, at one consent revision.
#[derive(Debug, Clone)]
pub struct GrantSet {
    /// The consent revision at which they were last changed.
    pub revision: u64,
    /// All of them, closed ones too: they say why.
    pub grants: Arc<[Grant]>,
}

impl GrantSet {
    /// Those for `recipient`.
    pub fn of<'a>(&'a self, recipient: &'a str) -> impl Iterator<Item = &'a Grant> {
        self.grants.iter().filter(move |grant| grant.recipient.as_str() == recipient)
    }
}

/// What a process opens for one recipient: a grant that has no envelope yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// What is allowed.
    pub terms: Terms,
    /// From when until when.
    pub validity: Validity,
    /// The state it is open in.
    pub state: State,
    /// What becomes of copies.
    pub on_withdrawal: OnWithdrawal,
    /// What it is for, in plain words.
    pub label: BTreeMap<String, String>,
}

/// What `record` opens in the state `folded`: for each process that is given, one for each recipient. A draft opens nothing.
pub fn compile(record: &ConsentRecord, folded: &Folded) -> Vec<Opening> {
    if record.version != folded.version || !folded.missing.is_empty() {
        return Vec::new();
    }
    let Some(controller) = record.controllers().next() else { return Vec::new() };
    let mut out = Vec::new();
    for process in &record.processes {
        let Some(state) = folded.processes.get(&process.pid).filter(|state| state.state.is_given()) else { continue };
        for recipient in &process.recipients {
            let assets = process.data.iter().map(|datum| Asset {
                types: datum.types.clone(),
                attribute: datum.attribute.clone(),
                transform: datum.transform.clone(),
            });
            let terms = Terms {
                process: process.pid.clone(),
                basis: process.legal_basis,
                controller: controller.id.clone(),
                recipient: recipient.clone(),
                purposes: process.purposes.clone(),
                purpose_version: process.purpose_version,
                assets: assets.collect(),
                distribute_to: process.distribute_to.clone(),
            };
            out.push(Opening {
                terms,
                validity: state.validity,
                state: state.state,
                on_withdrawal: process.on_withdrawal,
                label: process.purpose_label.clone(),
            });
        }
    }
    out
}
