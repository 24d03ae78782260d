//! The data flow's state machine as a table (DPS 1.0-RC3, "Data Flow State Machine"): what each message does in each state.

use crate::machine::Role;
use serde::{Deserialize, Serialize};

/// Where a data flow stands. INITIALIZED is what does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum FlowState {
    /// The consumer's side is being made ready.
    Preparing,
    /// The consumer's side is ready.
    Prepared,
    /// The provider's side is being started.
    Starting,
    /// Data can be had, or flows.
    Started,
    /// Held.
    Suspended,
    /// Done.
    Completed,
    /// Ended before it was done.
    Terminated,
}

/// What happens to a data flow: a message of the control plane, or this side having got so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FlowEvent {
    /// `prepare`, done at once.
    Prepare,
    /// `prepare`, done later.
    PrepareLater,
    /// What was to be prepared is.
    Prepared,
    /// `start`, done at once.
    Start,
    /// `start`, done later.
    StartLater,
    /// `started` at the consumer; at the provider, what was to be started is.
    Started,
    /// `suspend`
    Suspend,
    /// `resume`
    Resume,
    /// `completed`; at a provider that pushes, all was sent.
    Complete,
    /// `terminate`
    Terminate,
}

/// What `event` makes of a data flow in `state` on the side of `role`; nothing when it may not happen.
pub const fn flow(state: Option<FlowState>, role: Role, event: FlowEvent) -> Option<FlowState> {
    use FlowEvent as E;
    use FlowState as S;
    use Role::{Consumer, Provider};
    Some(match (state, role, event) {
        (None, Consumer, E::PrepareLater) => S::Preparing,
        (None, Consumer, E::Prepare) | (Some(S::Preparing), Consumer, E::Prepared) => S::Prepared,
        (None, Provider, E::StartLater) => S::Starting,
        (None, Provider, E::Start)
        | (Some(S::Starting), Provider, E::Started)
        | (Some(S::Prepared), Consumer, E::Started)
        | (Some(S::Suspended), _, E::Resume) => S::Started,
        (Some(S::Started), _, E::Suspend) => S::Suspended,
        (Some(S::Started), _, E::Complete) => S::Completed,
        (Some(S::Preparing | S::Prepared | S::Starting | S::Started | S::Suspended), _, E::Terminate) => S::Terminated,
        _ => return None,
    })
}

impl FlowState {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Preparing, Self::Prepared, Self::Starting, Self::Started, Self::Suspended, Self::Completed, Self::Terminated];

    /// The word in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "PREPARING",
            Self::Prepared => "PREPARED",
            Self::Starting => "STARTING",
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

impl FlowEvent {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Prepare,
        Self::PrepareLater,
        Self::Prepared,
        Self::Start,
        Self::StartLater,
        Self::Started,
        Self::Suspend,
        Self::Resume,
        Self::Complete,
        Self::Terminate,
    ];
}
