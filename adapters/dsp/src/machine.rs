//! The two state machines of the protocol as tables: who may send what, when, and what it leads to (DSP 2025-1, contract negotiation and
//! transfer process protocols, "State Machine").

use serde::{Deserialize, Serialize};

/// Whose part somebody plays in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Asks for data.
    Consumer,
    /// Offers it.
    Provider,
}

impl Role {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Consumer => Self::Provider,
            Self::Provider => Self::Consumer,
        }
    }
    /// The member of a message that holds its identifier of the process.
    #[must_use]
    pub const fn pid(self) -> &'static str {
        match self {
            Self::Consumer => "consumerPid",
            Self::Provider => "providerPid",
        }
    }
}

/// Where a contract negotiation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NegotiationState {
    /// The consumer's offer lies on the table.
    Requested,
    /// The provider's offer lies on the table.
    Offered,
    /// The consumer accepted the provider's offer.
    Accepted,
    /// The provider made an agreement.
    Agreed,
    /// The consumer verified it.
    Verified,
    /// The agreement is in force.
    Finalized,
    /// Ended without an agreement.
    Terminated,
}

/// What can be said in a negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NegotiationMessage {
    /// ContractRequestMessage
    Request,
    /// ContractOfferMessage
    Offer,
    /// ContractNegotiationEventMessage ACCEPTED
    Accepted,
    /// ContractAgreementMessage
    Agreement,
    /// ContractAgreementVerificationMessage
    Verification,
    /// ContractNegotiationEventMessage FINALIZED
    Finalized,
    /// ContractNegotiationTerminationMessage
    Termination,
}

/// Where a transfer process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TransferState {
    /// Asked for.
    Requested,
    /// Data can be had, or flows.
    Started,
    /// Held.
    Suspended,
    /// Done.
    Completed,
    /// Ended before it was done.
    Terminated,
}

/// What can be said in a transfer process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TransferMessage {
    /// TransferRequestMessage
    Request,
    /// TransferStartMessage
    Start,
    /// TransferSuspensionMessage
    Suspension,
    /// TransferCompletionMessage
    Completion,
    /// TransferTerminationMessage
    Termination,
}

/// What `message` from `by` makes of a negotiation in `state` (nothing: one that does not exist yet); nothing when it may not be sent.
pub const fn negotiation(state: Option<NegotiationState>, by: Role, message: NegotiationMessage) -> Option<NegotiationState> {
    use NegotiationMessage as M;
    use NegotiationState as S;
    use Role::{Consumer, Provider};
    Some(match (state, by, message) {
        (None | Some(S::Offered), Consumer, M::Request) => S::Requested,
        (None | Some(S::Requested), Provider, M::Offer) => S::Offered,
        (Some(S::Offered), Consumer, M::Accepted) => S::Accepted,
        (Some(S::Requested | S::Accepted), Provider, M::Agreement) => S::Agreed,
        (Some(S::Agreed), Consumer, M::Verification) => S::Verified,
        (Some(S::Verified), Provider, M::Finalized) => S::Finalized,
        // The prose lets either end it at any time; the figure shows fewer arrows.
        (Some(S::Requested | S::Offered | S::Accepted | S::Agreed | S::Verified), _, M::Termination) => S::Terminated,
        _ => return None,
    })
}

/// The same for a transfer process. A start by the consumer is only a resumption.
pub const fn transfer(state: Option<TransferState>, by: Role, message: TransferMessage) -> Option<TransferState> {
    use Role::{Consumer, Provider};
    use TransferMessage as M;
    use TransferState as S;
    Some(match (state, by, message) {
        (None, Consumer, M::Request) => S::Requested,
        (Some(S::Requested), Provider, M::Start) | (Some(S::Suspended), _, M::Start) => S::Started,
        (Some(S::Started), _, M::Suspension) => S::Suspended,
        (Some(S::Started), _, M::Completion) => S::Completed,
        (Some(S::Requested | S::Started | S::Suspended), _, M::Termination) => S::Terminated,
        _ => return None,
    })
}

impl NegotiationState {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Requested, Self::Offered, Self::Accepted, Self::Agreed, Self::Verified, Self::Finalized, Self::Terminated];

    /// The word in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Offered => "OFFERED",
            Self::Accepted => "ACCEPTED",
            Self::Agreed => "AGREED",
            Self::Verified => "VERIFIED",
            Self::Finalized => "FINALIZED",
            Self::Terminated => "TERMINATED",
        }
    }
    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Finalized | Self::Terminated)
    }
}

impl NegotiationMessage {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Request, Self::Offer, Self::Accepted, Self::Agreement, Self::Verification, Self::Finalized, Self::Termination];
}

impl TransferState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Requested, Self::Started, Self::Suspended, Self::Completed, Self::Terminated];

    /// The word in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "REQUESTED",
            Self::Started => "STARTED",
            Self::Suspended => "SUSPENDED",
            Self::Completed => "COMPLETED",
            Self::Terminated => "TERMINATED",
        }
    }
    /// Whether nothing can follow.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Terminated)
    }
}

impl TransferMessage {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Request, Self::Start, Self::Suspension, Self::Completion, Self::Termination];
}
