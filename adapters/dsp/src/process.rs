//! Negotiations, transfers and agreements as they are kept. All of a process is one row; what is still to be sent is part of it.

use crate::config::Strategy;
use crate::decode::DataAddress;
use crate::machine::{NegotiationMessage, NegotiationState, Role, TransferMessage, TransferState, negotiation, transfer};
use crate::vocab::Format;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use waybill_model::{DateTime, Iri};

/// What a negotiation and a transfer have in common: with whom, and what is to be said next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Talk<M> {
    /// This side's identifier of the process.
    pub id: String,
    /// The part this side plays.
    pub role: Role,
    /// The other side's identifier, once it is known.
    pub peer_pid: Option<String>,
    /// The other side's participant identifier.
    pub participant: String,
    /// The base address of the other side.
    pub address: String,
    /// What is to be sent.
    pub pending: Option<Pending<M>>,
    /// The digest of the last message that was taken, to know it again when it is repeated.
    pub last: Option<String>,
    /// How the process is led. A script is used up from its front.
    pub strategy: Strategy,
    /// What went wrong, or why it ended.
    pub failure: Option<Failure>,
    /// What a person is asked to decide.
    pub waits_for: Option<String>,
    /// When it began.
    pub created_at: DateTime,
    /// When it last changed.
    pub modified_at: DateTime,
}

/// A message that is to be sent until it was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending<M> {
    /// Which.
    pub message: M,
    /// Its body.
    pub body: Value,
    /// Where, below the other side's address.
    pub path: String,
    /// Tells one pending message from another.
    pub number: u64,
    /// How often it failed.
    pub attempts: u32,
    /// Since when it is to be sent.
    pub since: DateTime,
}

/// A code and a reason in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code.
    pub code: String,
    /// In words.
    pub reason: String,
    /// On whose side it was found.
    pub side: Role,
}

/// An offer on the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Whose it is.
    pub by: Role,
    /// The offer.
    pub offer: Value,
    /// When it was made.
    pub at: DateTime,
}

/// A contract negotiation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Negotiation {
    /// With whom, and what comes next.
    pub talk: Talk<NegotiationMessage>,
    /// Where it stands; nothing until the first message was taken.
    pub state: Option<NegotiationState>,
    /// The dataset.
    pub dataset: String,
    /// All offers, the newest last.
    pub offers: Vec<Proposal>,
    /// The agreement, once there is one.
    pub agreement: Option<Value>,
}

/// A transfer process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Transfer {
    /// With whom, and what comes next.
    pub talk: Talk<TransferMessage>,
    /// Where it stands; nothing until the first message was taken.
    pub state: Option<TransferState>,
    /// The agreement it runs under.
    pub agreement: String,
    /// The dataset.
    pub dataset: String,
    /// In which form, as the request said it.
    pub format: String,
    /// Where the consumer wants to be sent to, or what the provider said of where it can be had.
    pub address: Option<DataAddress>,
    /// Counts the starts: a token names the start that it belongs to.
    pub generation: u64,
    /// Who suspended it.
    pub suspended_by: Option<Role>,
}

/// An agreement in force, or one that was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Agreed {
    /// Its identifier.
    pub id: String,
    /// This side's part.
    pub role: Role,
    /// The other side.
    pub participant: String,
    /// The dataset.
    pub dataset: String,
    /// The one purpose it is for.
    pub purpose: Option<Iri>,
    /// As it was made.
    pub policy: Value,
    /// When.
    pub at: DateTime,
    /// Until when.
    pub until: Option<DateTime>,
    /// Why it is over, when it is.
    pub ended: Option<Failure>,
}

impl<M> Talk<M> {
    /// (provider's, consumer's) identifier, as far as known.
    pub fn pids(&self) -> (&str, &str) {
        let peer = self.peer_pid.as_deref().unwrap_or_default();
        match self.role {
            Role::Provider => (&self.id, peer),
            Role::Consumer => (peer, &self.id),
        }
    }
    /// The same; nothing where it is not known yet.
    pub fn known_pids(&self) -> (Option<&str>, Option<&str>) {
        match self.role {
            Role::Provider => (Some(&self.id), self.peer_pid.as_deref()),
            Role::Consumer => (self.peer_pid.as_deref(), Some(&self.id)),
        }
    }
    /// The member of a message that holds the other side's identifier.
    pub fn peer_name(&self) -> &'static str {
        match self.role {
            Role::Provider => "consumerPid",
            Role::Consumer => "providerPid",
        }
    }
    /// The member of a message that holds this side's identifier.
    pub fn own_name(&self) -> &'static str {
        match self.role {
            Role::Provider => "providerPid",
            Role::Consumer => "consumerPid",
        }
    }
    /// The act that the script has for `state`, which is then used up.
    pub fn next_act(&mut self, state: &str) -> Option<String> {
        let Strategy::Scripted(list) = &mut self.strategy else { return None };
        let act = list.first()?.split_once(':').filter(|(at, _)| *at == state).map(|(_, act)| act.to_owned())?;
        list.remove(0);
        Some(act)
    }
}

impl Negotiation {
    /// The state as others are told it: where the first message is under way, the one it leads to.
    pub fn shown(&self) -> NegotiationState {
        self.state.or_else(|| self.after_pending()).unwrap_or(NegotiationState::Requested)
    }
    /// Where the pending message leads.
    pub fn after_pending(&self) -> Option<NegotiationState> {
        let pending = self.talk.pending.as_ref()?;
        negotiation(self.state, self.talk.role, pending.message)
    }
    /// The offer on the table.
    pub fn offer(&self) -> Option<&Proposal> {
        self.offers.last()
    }
}

impl Transfer {
    /// The state as others are told it.
    pub fn shown(&self) -> TransferState {
        self.state.or_else(|| self.after_pending()).unwrap_or(TransferState::Requested)
    }
    /// Where the pending message leads. A provider's start in a transfer that is started brings a fresh token and leads nowhere else.
    pub fn after_pending(&self) -> Option<TransferState> {
        let pending = self.talk.pending.as_ref()?;
        if pending.message == TransferMessage::Start && self.state == Some(TransferState::Started) {
            return self.state;
        }
        transfer(self.state, self.talk.role, pending.message)
    }
    /// In which form, when it is one that this hub knows.
    pub fn form(&self) -> Option<Format> {
        Format::parse(&self.format)
    }
}
