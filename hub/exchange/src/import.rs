//! What this hub pulls from others under agreements of a dataspace: the envelope that states an agreement where the provider has no hub, what
//! came under it, and what becomes of it when the agreement rests or is over.

use crate::consent::told;
use crate::follow::encode;
use crate::foreign::ForeignTerms;
use crate::hub::Hub;
use crate::inbox::{Incoming, Intake, Parcelled};
use crate::notice::did_of;
use crate::rows::{INBOX, key};
use std::collections::BTreeMap;
use waybill_consent::{Acknowledgement, Basis, ConsentBook, ConsentPointer, EnvelopeEvent, Heartbeat, Issue, OnWithdrawal, Outcome, StatusPurpose, StoreAnswer, Terms, Validity};
use waybill_gate::{Class, IMPORT_HEARD, INBOUND, Inbound, InboundState, is_unheard};
use waybill_journal::{Kind, Record};
use waybill_model::{DateTime, Entity, EntityDoc, EnvelopeHash, Iri, PartyId, Problem, ProblemCode, TAG_NAME, TenantId};
use waybill_store::{Batch, StoreError};

/// Which envelope states an agreement. Key: the sender's name, the agreement.
const STATES: &str = "envelope-agreement";

/// An agreement that an envelope of this hub's own states.
#[derive(Debug, Clone)]
pub struct Stated {
    /// The agreement.
    pub agreement: Iri,
    /// SHA-256 (hexadecimal) of its policy as it was made, canonical (RFC 8785).
    pub policy_hash: String,
    /// What the provider is called in the dataspace.
    pub participant: String,
    /// The provider.
    pub party: PartyId,
    /// What for.
    pub purpose: Iri,
    /// What the policy permits.
    pub terms: ForeignTerms,
}

/// What something that was pulled comes with.
#[derive(Debug, Clone)]
pub struct Came {
    /// The signed manifest of another hub's answer, where there was one.
    pub manifest: Option<String>,
    /// This hub's own envelope, which states the agreement: what has no tag of its own is kept under it.
    pub under: EnvelopeHash,
}

impl Hub {
    /// The envelope under which what comes by `sender` (see [`waybill_gate::Governance::import_sender`]) is kept: made once for each agreement.
    ///
    /// # Errors
    /// When its terms are not understood; the store's.
    pub async fn state_agreement(&self, sender: &str, stated: &Stated) -> Result<EnvelopeHash, Problem> {
        let at = key(&[sender, stated.agreement.as_str()]);
        for _ in 0..16 {
            let looked = at.clone();
            let known = self.inner.store.read(move |r| r.doc(STATES, &looked)).await?;
            if let Some(hash) = known.and_then(|d| std::str::from_utf8(&d.payload).ok().and_then(EnvelopeHash::parse)) {
                return Ok(hash);
            }
            let (this, at, sender, issue) = (self.clone(), at.clone(), sender.to_owned(), self.issue_of(stated));
            let written = self.inner.store.read(move |r| {
                let ring = this.keys();
                let (issued, mut batch) = this.inner.book.issue(r, &TenantId::main(), vec![issue], &ring, this.inner.clock.now()).map_err(told)?;
                for envelope in issued {
                    let hash = envelope.hash.to_string();
                    batch.expect_doc(STATES, &at, None);
                    batch.put_doc(STATES, &at, hash.clone().into_bytes(), None);
                    batch.put_doc(INBOUND, &hash, encode(&Inbound { jws: envelope.compact.to_string(), sender: sender.clone(), state: InboundState::Live }), None);
                }
                Ok(batch)
            });
            match self.commit(written.await?).await {
                Err(problem) if problem.code == "store-conflict" => {}
                Err(problem) => return Err(problem),
                Ok(_) => {}
            }
        }
        Err(Problem::new(ProblemCode("busy-envelope"), 503, "Changed meanwhile", "the envelope of an agreement is not there yet").help("Try again in a moment."))
    }

    fn issue_of(&self, stated: &Stated) -> Issue {
        let governance = self.governance();
        let told = format!(
            "Received from {} under agreement {}, for {}. The agreement's policy, as it was made, has the SHA-256 {}.",
            stated.participant, stated.agreement, stated.purpose, stated.policy_hash
        );
        Issue {
            terms: Terms {
                process: stated.agreement.to_string(),
                basis: Basis::Contract,
                controller: stated.party.clone(),
                recipient: governance.party.clone(),
                purposes: vec![stated.purpose.clone()],
                // In a version before the first, nothing lay below anything.
                purpose_version: if stated.terms.narrower { governance.purposes.version() } else { 0 },
                assets: Vec::new(),
                distribute_to: stated.terms.distribute_to.iter().filter(|p| **p != governance.party).cloned().collect(),
            },
            consent: ConsentPointer { id: stated.agreement.clone(), ver: 1, hash: stated.policy_hash.clone() },
            validity: Validity { from: stated.terms.from, until: stated.terms.until },
            on_withdrawal: OnWithdrawal::Erase,
            label: BTreeMap::from([("en".to_owned(), told)]),
        }
    }

    /// Says that what this hub pulls by `connection` comes from `sender`: another hub, by its base URL, or an import's own name. Nobody can
    /// deliver it from outside.
    pub fn import_from(&self, connection: &str, sender: &str) {
        let intake = Intake { tenant: TenantId::main(), hub: Some(sender.to_owned()), fed_by: Vec::new(), secret: waybill_keys::random::<32>() };
        self.set_intake(connection, intake);
    }

    /// Says that the provider behind `sender` was heard of: what came under its agreement stays open until `until`, and closes then by itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn heard_from(&self, sender: &str, until: DateTime) -> Result<(), Problem> {
        let (this, sender, now) = (self.clone(), sender.to_owned(), self.inner.clock.now());
        let mut batch = Batch::new();
        batch.then(move |r| {
            let mut batch = Batch::new();
            if is_unheard(r, &sender, now)? {
                this.look_again(&mut batch, now);
            }
            batch.put_doc(IMPORT_HEARD, &sender, encode(&until), None);
            Ok(batch)
        });
        self.commit(batch).await.map(drop)
    }

    /// Takes what was pulled into the inbox of `connection`. Durable when this returns; admission follows, in this order.
    ///
    /// # Errors
    /// The store's.
    pub async fn import(&self, connection: &str, items: Vec<Incoming>, came: &Came) -> Result<(), Problem> {
        self.lay_down(connection, items, came.manifest.clone(), Some(came.under)).await
    }

    /// Whether everything that was pulled by `connection` has been admitted or refused.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_settled(&self, connection: &str) -> Result<bool, Problem> {
        let prefix = key(&[connection, ""]);
        Ok(self.inner.store.read(move |r| r.docs(INBOX, &prefix, 1, None)).await?.is_empty())
    }

    /// Closes what came from `sender` under `envelopes`, or opens it again. What is over stays over.
    ///
    /// # Errors
    /// The store's.
    pub async fn rest_import(&self, sender: &str, envelopes: &[EnvelopeHash], rests: bool) -> Result<(), Problem> {
        for _ in 0..16 {
            let mut batch = Batch::new();
            self.upstream_rests(&mut batch, sender, &self.over(envelopes), rests).await?;
            match self.commit(batch).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(busy())
    }

    /// An agreement is over: what came under its envelope closes, goes, and is called back from whoever got it from here. For good.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_import(&self, sender: &str, envelope: EnvelopeHash, agreement: &Iri) -> Result<(), Problem> {
        for _ in 0..16 {
            let (this, sender, id, event) = (self.clone(), sender.to_owned(), agreement.to_string(), self.over(&[envelope]));
            let batch = self.inner.store.read(move |r| {
                let mut batch = this.close_inbound(r, &sender, &id, r.epoch()?, &event)?;
                ConsentBook::mark_envelopes(&mut batch, &event.envelopes, StatusPurpose::Revocation, true);
                Ok(batch)
            });
            match self.commit(batch.await?).await {
                Err(problem) if problem.code == "store-conflict" => {}
                other => return other.map(drop),
            }
        }
        Err(busy())
    }

    fn over(&self, envelopes: &[EnvelopeHash]) -> EnvelopeEvent {
        EnvelopeEvent { envelopes: envelopes.to_vec(), time: self.inner.clock.now(), on_withdrawal: OnWithdrawal::Erase, successors: Vec::new() }
    }

    /// A heartbeat for `party`, to be given beside everything that it must not keep: who has carried that out knows of all this hub has
    /// withdrawn. Nothing for a party that is sent heartbeats to its hub, since that one is to hear of its events before it hears that all is well.
    ///
    /// # Errors
    /// The store's.
    #[allow(clippy::redundant_closure_for_method_calls, reason = "the method alone is not general enough over the reader's lifetime")]
    pub async fn heartbeat_for(&self, party: &PartyId) -> Result<Option<String>, Problem> {
        let told = self.governance().agreements.iter().any(|a| a.hub.is_some() && a.recipient.as_ref() == Some(party));
        if told {
            return Ok(None);
        }
        let epoch = self.inner.store.read(|r: &waybill_store::Reader<'_>| r.epoch()).await?;
        Ok(Some(Heartbeat::new(self.did(), party.clone(), epoch, self.inner.clock.now()).sign(self.keys().active())))
    }

    /// This hub's signed word to the hub at `base_url` that what it listed as gone, up to the cursor `listed`, is gone here.
    pub fn deletions_done(&self, base_url: &str, listed: &str) -> String {
        let now = self.inner.clock.now();
        let mut ack = Acknowledgement::new(self.did(), did_of(base_url), listed, self.governance().party.clone(), now);
        ack.stores.push(StoreAnswer { store: "hub".into(), outcome: Outcome::Erased, how: "removed when it was listed".into(), at: now, attested: false });
        ack.sign(self.keys().active())
    }

    /// Data of a provider without a hub: all of it comes under the agreement's envelope. What is personal must be about somebody whom the
    /// rules of this hub find.
    pub(crate) async fn admit_under(&self, parcel: &Parcelled, intake: &Intake, doc: &EntityDoc) -> Result<(), Problem> {
        let Some(envelope) = parcel.under else {
            return Err(Problem::new(ProblemCode("no-envelope"), 400, "Not admitted", "nothing says under which agreement it came"));
        };
        let Some(revision) = self.stated(envelope).await? else {
            return self.note_not_kept(parcel, intake, doc.spans().len(), "agreement-over").await;
        };
        let mut entity = doc.to_entity().map_err(crate::admit::not_canonical)?;
        // A tag is nothing that such a provider could give.
        entity.attributes.remove(TAG_NAME);
        for instance in entity.attributes.values_mut().flatten() {
            crate::admit::take_tag(instance);
        }
        let types = self.types_with(intake, &entity).await?;
        let personal = |name: &Iri| self.governance().class_of(types.iter().map(Iri::as_str), name.as_str()) == Class::Personal;
        let closed: Vec<Iri> = entity.attributes.keys().filter(|name| personal(name)).cloned().collect();
        if !closed.is_empty() && !self.is_of_somebody(&entity, &types).await? {
            for name in closed {
                entity.attributes.remove(&name);
                self.quarantine(parcel, &intake.tenant, doc.text(), Some(&name), "personal-without-subject").await?;
            }
            if entity.attributes.is_empty() {
                return Ok(());
            }
        }
        let mut covered = BTreeMap::new();
        for (name, instances) in &entity.attributes {
            for instance in instances {
                let leaf = waybill_keys::sha256(serde_json::to_string(instance).unwrap_or_default().as_bytes());
                covered.insert((name.clone(), instance.dataset_id.clone()), crate::admit::Covered { envelope, leaf, revision });
            }
        }
        let seq = u64::try_from(parcel.at.micros()).unwrap_or(0);
        self.store_incoming(parcel, intake, entity, &covered, seq, doc).await
    }

    /// The revision of the row of an envelope that this hub states for an import; nothing when it is none, or over.
    pub(crate) async fn stated(&self, envelope: EnvelopeHash) -> Result<Option<u64>, Problem> {
        let (at, governance) = (envelope.to_string(), self.governance());
        let row = self.inner.store.read(move |r| Ok(r.doc(INBOUND, &at)?.and_then(|d| Some((serde_json::from_slice::<Inbound>(&d.payload).ok()?, d.revision))))).await?;
        Ok(row.filter(|(row, _)| governance.is_import(&row.sender) && row.state != InboundState::Withdrawn).map(|(_, revision)| revision))
    }

    /// Whether the rules of the configuration, or a record, say who the entity is about.
    async fn is_of_somebody(&self, entity: &Entity, types: &[Iri]) -> Result<bool, Problem> {
        let mut whole = entity.clone();
        whole.types = types.to_vec();
        let (this, doc) = (self.clone(), EntityDoc::from_entity(&whole, self.inner.clock.now()));
        let look = move |r: &waybill_store::Reader<'_>| {
            let bound = this.inner.book.view(r).map_err(told)?.bound(&TenantId::main(), doc.id(), None, this.inner.clock.now()).map_err(told)?;
            Ok::<_, StoreError>(!bound.subjects.is_empty() || this.bind_by_rules(r, &mut Batch::new(), &TenantId::main(), &doc)?)
        };
        Ok(self.inner.store.read(look).await?)
    }

    /// Notes in the journal what became of an import: `what` names no person.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_import(&self, party: &PartyId, what: serde_json::Value, at: DateTime) -> Result<(), Problem> {
        let mut batch = Batch::new();
        self.inner.journal.append(&mut batch, Record::new(Kind::Agreement, TenantId::main(), at).recipient(Some(party.clone())).detail(what));
        self.commit(batch).await.map(drop)
    }
}

/// Whether a connection is one that [`Hub::import`] brings data through: no name in a configuration has a colon.
pub(crate) fn is_import(connection: &str) -> bool {
    connection.starts_with("import:")
}

fn busy() -> Problem {
    Problem::new(ProblemCode("busy-envelope"), 503, "Changed meanwhile", "what came under an agreement kept changing").help("Try again in a moment.")
}
