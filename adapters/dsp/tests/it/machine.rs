//! The two tables against tables written apart from them, as lists of edges.

use proptest::prelude::*;
use waybill_dsp::Role::{Consumer as C, Provider as P};
use waybill_dsp::{NegotiationMessage, NegotiationState, Role, TransferMessage, TransferState, negotiation_next, transfer_next};

/// From, sender, message, to. `-` is a process that does not exist yet. The specification's figures, and its prose where that allows more: either
/// side may end a negotiation at any time before its end.
const NEGOTIATION: &[(&str, Role, &str, &str)] = &[
    ("-", C, "Request", "REQUESTED"),
    ("-", P, "Offer", "OFFERED"),
    ("REQUESTED", P, "Offer", "OFFERED"),
    ("REQUESTED", P, "Agreement", "AGREED"),
    ("REQUESTED", P, "Termination", "TERMINATED"),
    ("REQUESTED", C, "Termination", "TERMINATED"),
    ("OFFERED", C, "Request", "REQUESTED"),
    ("OFFERED", C, "Accepted", "ACCEPTED"),
    ("OFFERED", C, "Termination", "TERMINATED"),
    ("OFFERED", P, "Termination", "TERMINATED"),
    ("ACCEPTED", P, "Agreement", "AGREED"),
    ("ACCEPTED", P, "Termination", "TERMINATED"),
    ("ACCEPTED", C, "Termination", "TERMINATED"),
    ("AGREED", C, "Verification", "VERIFIED"),
    ("AGREED", C, "Termination", "TERMINATED"),
    ("AGREED", P, "Termination", "TERMINATED"),
    ("VERIFIED", P, "Finalized", "FINALIZED"),
    ("VERIFIED", P, "Termination", "TERMINATED"),
    ("VERIFIED", C, "Termination", "TERMINATED"),
];

/// The same for a transfer process.
const TRANSFER: &[(&str, Role, &str, &str)] = &[
    ("-", C, "Request", "REQUESTED"),
    ("REQUESTED", P, "Start", "STARTED"),
    ("REQUESTED", P, "Termination", "TERMINATED"),
    ("REQUESTED", C, "Termination", "TERMINATED"),
    ("STARTED", P, "Suspension", "SUSPENDED"),
    ("STARTED", C, "Suspension", "SUSPENDED"),
    ("STARTED", P, "Completion", "COMPLETED"),
    ("STARTED", C, "Completion", "COMPLETED"),
    ("STARTED", P, "Termination", "TERMINATED"),
    ("STARTED", C, "Termination", "TERMINATED"),
    ("SUSPENDED", P, "Start", "STARTED"),
    ("SUSPENDED", C, "Start", "STARTED"),
    ("SUSPENDED", P, "Termination", "TERMINATED"),
    ("SUSPENDED", C, "Termination", "TERMINATED"),
];

fn edge(table: &[(&str, Role, &str, &'static str)], from: &str, by: Role, message: &str) -> Option<&'static str> {
    table.iter().find(|(f, b, m, _)| (*f, *b, *m) == (from, by, message)).map(|(_, _, _, to)| *to)
}

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(C), Just(P)]
}

#[test]
fn every_step_of_a_negotiation_is_an_edge_of_the_figure_and_no_other() {
    let states = std::iter::once(None).chain(NegotiationState::ALL.map(Some));
    for from in states {
        for by in [C, P] {
            for message in NegotiationMessage::ALL {
                let name = from.map_or("-", NegotiationState::as_str);
                let found = negotiation_next(from, by, message).map(NegotiationState::as_str);
                assert_eq!(found, edge(NEGOTIATION, name, by, &format!("{message:?}")), "{name} {by:?} {message:?}");
            }
        }
    }
}

#[test]
fn every_step_of_a_transfer_is_an_edge_of_the_figure_and_no_other() {
    let states = std::iter::once(None).chain(TransferState::ALL.map(Some));
    for from in states {
        for by in [C, P] {
            for message in TransferMessage::ALL {
                let name = from.map_or("-", TransferState::as_str);
                let found = transfer_next(from, by, message).map(TransferState::as_str);
                assert_eq!(found, edge(TRANSFER, name, by, &format!("{message:?}")), "{name} {by:?} {message:?}");
            }
        }
    }
}

#[test]
fn final_states_are_those_that_no_edge_leaves() {
    for state in NegotiationState::ALL {
        let leaves = NEGOTIATION.iter().any(|(from, ..)| *from == state.as_str());
        assert_eq!(state.is_final(), !leaves, "{state:?}");
    }
    for state in TransferState::ALL {
        let leaves = TRANSFER.iter().any(|(from, ..)| *from == state.as_str());
        assert_eq!(state.is_final(), !leaves, "{state:?}");
    }
}

proptest! {
    /// However somebody talks: a walk by the function is a walk by the list, what is refused leaves the state as it was, and behind an end
    /// there is nothing.
    #[test]
    fn any_talk_in_a_negotiation_walks_the_figure(talk in prop::collection::vec((roles(), prop::sample::select(NegotiationMessage::ALL.as_slice())), 0..40)) {
        let (mut state, mut by_list) = (None::<NegotiationState>, "-");
        for (by, message) in talk {
            let before = state;
            match (negotiation_next(state, by, message), edge(NEGOTIATION, by_list, by, &format!("{message:?}"))) {
                (Some(next), Some(to)) => {
                    prop_assert!(!before.is_some_and(NegotiationState::is_final), "{before:?} is an end");
                    prop_assert_eq!(next.as_str(), to);
                    (state, by_list) = (Some(next), to);
                }
                (None, None) => prop_assert_eq!(state, before),
                differ => prop_assert!(false, "from {by_list} {by:?} {message:?}: {differ:?}"),
            }
        }
    }

    #[test]
    fn any_talk_in_a_transfer_walks_the_figure(talk in prop::collection::vec((roles(), prop::sample::select(TransferMessage::ALL.as_slice())), 0..40)) {
        let (mut state, mut by_list) = (None::<TransferState>, "-");
        for (by, message) in talk {
            let before = state;
            match (transfer_next(state, by, message), edge(TRANSFER, by_list, by, &format!("{message:?}"))) {
                (Some(next), Some(to)) => {
                    prop_assert!(!before.is_some_and(TransferState::is_final), "{before:?} is an end");
                    prop_assert_eq!(next.as_str(), to);
                    (state, by_list) = (Some(next), to);
                }
                (None, None) => prop_assert_eq!(state, before),
                differ => prop_assert!(false, "from {by_list} {by:?} {message:?}: {differ:?}"),
            }
        }
    }
}
