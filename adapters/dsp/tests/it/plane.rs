//! What a transfer opens and when it closes: tokens, starts, agreements that end, people who change their minds.

use crate::deals::{ADVICE, connector_at, negotiated, offered};
use crate::people::{METER, People};
use crate::support::{Node, Setup, eventually, free, iri, open_offering, party_of, token};
use serde_json::json;
use std::sync::Arc;
use waybill_dsp::{Failure, NegotiationState, Offering, Role, StaticIdentity, Strategy, Transfer, TransferState};
use waybill_http::{Caller, Method, ResolveToken};
use waybill_model::Clock;

const OPEN: &str = "urn:dataset:stations";
const OTHER: &str = "urn:dataset:other-stations";
pub const METERS: &str = "urn:dataset:meters";

/// A provider with open and personal data and a consumer, on one clock that a test may move.
pub struct Both {
    pub p: Node,
    pub c: Node,
    pub clock: Clock,
}

impl Both {
    pub async fn new() -> Self {
        let (p, c, clock) = (free(), free(), Clock::system());
        let meters = Offering { types: vec![iri(METER)], personal: true, purposes: vec![iri(ADVICE)], ..open_offering(METERS) };
        let offers = [open_offering(OPEN), Offering { until: Some(clock.now().plus_seconds(86_400)), ..open_offering(OTHER) }, meters];
        let provider = Setup::new("p", p, &clock).knows("c", Some(connector_at(c))).offers(offers).run().await;
        let consumer = Setup::new("c", c, &clock).knows("p", Some(connector_at(p))).run().await;
        Self { p: provider, c: consumer, clock }
    }

    /// An agreement over `dataset`.
    pub async fn agreed(&self, dataset: &str) -> String {
        let offer = offered(&self.c, &self.p, dataset).await;
        let done = negotiated(&self.c, &self.p.address, offer, Strategy::Automatic).await;
        assert_eq!(done.state, Some(NegotiationState::Finalized), "{:?}", done.talk.failure);
        done.agreement.expect("agreed")["@id"].as_str().expect("an id").to_owned()
    }

    /// A transfer under `agreement` that has started: the consumer's identifier of it.
    pub async fn started(&self, agreement: &str) -> String {
        let id = self.c.connector.request_transfer(&self.c.participant("p"), &self.p.address, agreement, "HttpData-PULL", None).await.expect("begun");
        self.until(&id, TransferState::Started).await;
        id
    }

    async fn at_c(&self, id: &str) -> Transfer {
        self.c.connector.transfer(id).await.expect("read").expect("there")
    }
    async fn at_p(&self, id: &str) -> Transfer {
        let peer = self.at_c(id).await.talk.peer_pid.expect("known");
        self.p.connector.transfer(&peer).await.expect("read").expect("there")
    }
    /// Waits until both sides are in `state` and have nothing more to say.
    async fn until(&self, id: &str, state: TransferState) {
        let there = async || {
            let here = self.at_c(id).await;
            if here.talk.peer_pid.is_none() {
                return false;
            }
            let there = self.at_p(id).await;
            [here, there].iter().all(|t| t.state == Some(state) && t.talk.pending.is_none())
        };
        assert!(eventually(there).await, "it does not come to {state:?}: {:?}", self.at_c(id).await);
    }
    /// The property `name` of the address that the consumer was given last.
    pub async fn given(&self, id: &str, name: &str) -> String {
        self.at_c(id).await.address.expect("an address").property(name).expect("the property").to_owned()
    }
    pub async fn token(&self, id: &str) -> String {
        self.given(id, "authorization").await
    }
    /// Whom a token opens the hub for; nothing when it does not.
    pub async fn opens(&self, token: &str) -> Option<Caller> {
        self.p.connector.resolve(token).await.and_then(Result::ok)
    }
    /// A new pair: access and refresh token; the status where there is none.
    async fn renewed(&self, refresh: &str) -> Result<(String, String), u16> {
        let (status, body) = self.p.seen_by("").at(&self.p.url).post("/dsp/token", &json!({"refreshToken": refresh})).await;
        let text = |name: &str| body[name].as_str().expect("a token").to_owned();
        if status == 200 { Ok((text("accessToken"), text("refreshToken"))) } else { Err(status) }
    }
    async fn acts(&self, node: &Node, id: &str, act: &str) {
        let own = if std::ptr::eq(node, &raw const self.c) { id.to_owned() } else { self.at_c(id).await.talk.peer_pid.expect("known") };
        node.connector.act_in_transfer(&own, act, None).await.expect("said");
    }
    /// Puts the provider's configuration in force with a change.
    pub fn reconfigured(&self, change: impl FnOnce(&mut waybill_dsp::DspConfig)) {
        let mut config = (*self.p.connector.config()).clone();
        change(&mut config);
        self.p.connector.replace(config, Arc::new(StaticIdentity::new([("c".to_owned(), token("c", "p"))])));
    }
}

#[tokio::test]
async fn a_token_opens_what_was_agreed_for_whom_it_was_agreed() {
    let both = Both::new().await;
    let agreement = both.agreed(OPEN).await;
    let id = both.started(&agreement).await;
    let caller = both.opens(&both.token(&id).await).await.expect("open");
    assert_eq!((caller.party, caller.purpose, caller.agreement), (Some(party_of("c")), None, Some(iri(&agreement))));
    for nothing in ["", "abc", "a.b.c", &token("c", "p")] {
        assert!(both.p.connector.resolve(nothing).await.is_none(), "`{nothing}` is none of the transfer's tokens");
    }
    // Its time is over: it is known as a token of this hub's, and what to do is said.
    let old = both.token(&id).await;
    both.clock.advance_micros(301 * 1_000_000);
    let problem = both.p.connector.resolve(&old).await.expect("one of its own").expect_err("too old");
    assert_eq!((problem.status, problem.code.as_str()), (401, "token-expired"));
    assert!(problem.help.is_some_and(|help| help.contains("Renew")));
    // One letter of the signature, and what another hub signs.
    let mut forged = both.token(&id).await.into_bytes();
    let last = forged.len() - 4;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    assert!(both.opens(std::str::from_utf8(&forged).expect("text")).await.is_none());
    assert!(both.c.connector.resolve(&both.token(&id).await).await.and_then(Result::ok).is_none(), "it opens nothing elsewhere");
}

#[tokio::test]
async fn a_token_is_over_with_the_start_that_it_was_given_for() {
    let both = Both::new().await;
    let agreement = both.agreed(OPEN).await;
    for who in [&both.p, &both.c] {
        let id = both.started(&agreement).await;
        let first = both.token(&id).await;
        both.acts(who, &id, "suspend").await;
        both.until(&id, TransferState::Suspended).await;
        assert!(both.opens(&first).await.is_none(), "suspended");
        both.acts(who, &id, "start").await;
        let fresh = async || both.at_c(&id).await.state == Some(TransferState::Started) && both.token(&id).await != first;
        assert!(eventually(fresh).await, "a start brings a fresh token");
        both.until(&id, TransferState::Started).await;
        let second = both.token(&id).await;
        assert!(both.opens(&second).await.is_some());
        assert!(both.opens(&first).await.is_none(), "the token of the start before stays over");
        both.acts(who, &id, "complete").await;
        both.until(&id, TransferState::Completed).await;
        assert!(both.opens(&second).await.is_none() && both.opens(&first).await.is_none(), "completed");
        let id = both.started(&agreement).await;
        let third = both.token(&id).await;
        assert!(both.opens(&third).await.is_some());
        both.acts(who, &id, "terminate").await;
        both.until(&id, TransferState::Terminated).await;
        assert!(both.opens(&third).await.is_none(), "terminated");
    }
}

#[tokio::test]
async fn a_token_is_over_when_its_seconds_are_and_can_be_renewed_until_the_end() {
    let both = Both::new().await;
    let agreement = both.agreed(OPEN).await;
    let id = both.started(&agreement).await;
    let (first, refresh) = (both.token(&id).await, both.given(&id, "refreshToken").await);
    let seconds: i64 = both.given(&id, "expiresIn").await.parse().expect("a number");
    assert_eq!(both.given(&id, "refreshEndpoint").await, format!("{}/dsp/token", both.p.url));
    assert!(both.opens(&refresh).await.is_none(), "what renews does not open");
    assert_eq!(both.renewed(&first).await, Err(401), "what opens does not renew");
    let twice = format!("{{\"refreshToken\":\"none\",\"refreshToken\":\"{refresh}\"}}");
    let (status, body) = both.p.seen_by("").at(&both.p.url).send(Method::POST, "/dsp/token", "application/json", twice).await;
    assert_eq!((status, &body["code"]), (400, &json!("bad-message")), "which of the two counts is not guessed");
    both.clock.advance_micros((seconds + 1) * 1_000_000);
    assert!(both.opens(&first).await.is_none(), "its time is over");
    let (second, again) = both.renewed(&refresh).await.expect("a new pair");
    assert!(both.opens(&second).await.is_some_and(|c| c.agreement == Some(iri(&agreement))));
    let form = format!("grant_type=refresh_token&refresh_token={again}");
    let (status, body) = both.p.seen_by("").at(&both.p.url).send(Method::POST, "/dsp/token", "application/x-www-form-urlencoded", form).await;
    assert_eq!(status, 200, "{body}");
    both.acts(&both.c, &id, "suspend").await;
    both.until(&id, TransferState::Suspended).await;
    assert_eq!(both.renewed(&again).await, Err(401), "nothing is renewed while it rests");
    both.acts(&both.c, &id, "terminate").await;
    both.until(&id, TransferState::Terminated).await;
    for over in [&refresh, &again] {
        assert_eq!(both.renewed(over).await, Err(401), "nor behind its end");
    }
    assert_eq!(both.renewed("no-token").await, Err(401));
}

#[tokio::test]
async fn a_token_of_one_transfer_opens_no_other() {
    let both = Both::new().await;
    let (one, two) = (both.agreed(OPEN).await, both.agreed(OTHER).await);
    let (a, b) = (both.started(&one).await, both.started(&two).await);
    let (at_a, at_b) = (both.token(&a).await, both.token(&b).await);
    assert_eq!(both.opens(&at_a).await.and_then(|c| c.agreement), Some(iri(&one)));
    assert_eq!(both.opens(&at_b).await.and_then(|c| c.agreement), Some(iri(&two)));
    both.acts(&both.p, &a, "terminate").await;
    both.until(&a, TransferState::Terminated).await;
    assert!(both.opens(&at_a).await.is_none() && both.opens(&at_b).await.is_some(), "each ends by itself");
}

#[tokio::test]
async fn an_agreement_that_ends_ends_its_transfers() {
    let both = Both::new().await;
    let (one, two) = (both.agreed(OPEN).await, both.agreed(OTHER).await);
    let (a, b) = (both.started(&one).await, both.started(&two).await);
    let (at_a, at_b) = (both.token(&a).await, both.token(&b).await);
    assert_eq!(both.p.connector.tend().await.expect("looked"), 0, "nothing changes by looking");
    let agreed = both.p.connector.agreement(&one).await.expect("read").expect("there");
    both.p.connector.end_agreement(&agreed, "the contract was given notice").await.expect("ended");
    assert!(both.opens(&at_a).await.is_none(), "at once, whoever was told");
    assert_eq!(both.p.connector.tend().await.expect("looked"), 1);
    both.until(&a, TransferState::Terminated).await;
    let told = both.at_c(&a).await.talk.failure.expect("a reason");
    assert_eq!((told.code.as_str(), told.reason.as_str(), told.side), ("agreement-over", "the contract was given notice", Role::Provider));
    assert!(both.opens(&at_b).await.is_some(), "the other goes on");
    // The other lasts for a day.
    both.clock.advance_micros(86_401 * 1_000_000);
    let (access, _) = both.renewed(&both.given(&b, "refreshToken").await).await.unwrap_or_default();
    assert!(access.is_empty() && both.opens(&at_b).await.is_none());
    both.p.connector.tend().await.expect("looked");
    both.until(&b, TransferState::Terminated).await;
    assert_eq!(both.at_c(&b).await.talk.failure.map(|f| f.code).as_deref(), Some("agreement-over"));
    let again = both.c.connector.request_transfer(&both.c.participant("p"), &both.p.address, &one, "HttpData-PULL", None).await.expect("asked");
    let refused = async || both.c.connector.transfer(&again).await.expect("read").is_some_and(|t| t.state == Some(TransferState::Terminated));
    assert!(eventually(refused).await, "nothing more starts under it");
}

#[tokio::test]
async fn a_dataset_or_a_participant_that_is_configured_no_more_ends_the_transfer() {
    let both = Both::new().await;
    let (one, two) = (both.agreed(OPEN).await, both.agreed(OTHER).await);
    let (a, b) = (both.started(&one).await, both.started(&two).await);
    let (at_a, at_b) = (both.token(&a).await, both.token(&b).await);
    both.reconfigured(|config| config.offers.retain(|o| o.dataset != OPEN));
    both.p.connector.tend().await.expect("looked");
    both.until(&a, TransferState::Terminated).await;
    assert!(both.opens(&at_a).await.is_none() && both.opens(&at_b).await.is_some());
    both.reconfigured(|config| config.participants.clear());
    assert!(both.opens(&at_b).await.is_none(), "at once");
    both.p.connector.tend().await.expect("looked");
    let over = both.at_p(&b).await;
    assert_eq!((over.state, over.talk.pending.is_none()), (Some(TransferState::Terminated), true), "there is nobody to tell, and nobody is waited for");
    assert!(over.talk.failure.is_some_and(|f| f.code == "agreement-over"));
    assert!(both.p.connector.agreement(&two).await.expect("read").expect("there").ended.is_some());
    both.reconfigured(|config| {
        config.participants = vec![Arc::new(waybill_dsp::Participant {
            id: "c".into(),
            party: party_of("c"),
            address: None,
            auth: waybill_http::Auth::None,
            enforcing: false, hub: None, crawl: false
        })];
    });
    assert!(both.opens(&at_b).await.is_none(), "who comes back begins anew");
}

#[tokio::test]
async fn when_nobody_is_left_a_transfer_rests_until_somebody_is_there_again() {
    let both = Both::new().await;
    let people = People::at(&both.p, &both.clock);
    people.meter("urn:meter:1").await;
    people.bind("urn:meter:1", "https://anna.example/#me").await;
    people.says("https://anna.example/#me", "given", &party_of("c")).await;
    let agreement = both.agreed(METERS).await;
    let id = both.started(&agreement).await;
    let first = both.token(&id).await;
    assert_eq!(both.p.connector.tend().await.expect("looked"), 0, "there is somebody");
    let caller = both.opens(&first).await.expect("open");
    assert_eq!(caller.purpose, Some(iri(ADVICE)));
    // By a name that is the company's own.
    let seen = people.seen(&caller).await;
    assert!(matches!(seen.as_slice(), [one] if one.starts_with("urn:waybill:pair:")), "{seen:?}");
    people.says("https://anna.example/#me", "withdrawn", &party_of("c")).await;
    assert!(people.seen(&caller).await.is_empty(), "at once, also for who holds a good token");
    assert_eq!(both.p.connector.tend().await.expect("looked"), 1);
    both.until(&id, TransferState::Suspended).await;
    let told: Failure = both.at_c(&id).await.talk.failure.expect("a reason");
    assert_eq!((told.code.as_str(), told.side), ("nobody-left", Role::Provider));
    assert!(!told.reason.contains("anna"), "nobody is named: {}", told.reason);
    assert!(both.opens(&first).await.is_none());
    assert_eq!(both.p.connector.tend().await.expect("looked"), 0, "it rests");
    // The consumer cannot wake it.
    let peer = both.at_c(&id).await.talk.peer_pid.expect("known");
    let start = crate::deals::message("TransferStartMessage", &peer, &id);
    let (status, error) = both.p.seen_by(&token("c", "p")).post(&format!("/transfers/{peer}/start"), &start).await;
    assert_eq!((status, &error["code"]), (400, &json!("suspended-by-provider")));
    people.meter("urn:meter:2").await;
    people.bind("urn:meter:2", "https://ben.example/#me").await;
    people.says("https://ben.example/#me", "given", &party_of("d")).await;
    assert_eq!(both.p.connector.tend().await.expect("looked"), 0, "who agreed to somebody else is nobody here");
    people.says("https://ben.example/#me", "given", &party_of("c")).await;
    assert_eq!(both.p.connector.tend().await.expect("looked"), 1);
    both.until(&id, TransferState::Started).await;
    let second = both.token(&id).await;
    let other = people.seen(&both.opens(&second).await.expect("open")).await;
    assert!(matches!(other.as_slice(), [one] if one.starts_with("urn:waybill:pair:")) && other != seen, "{other:?}");
    assert!(both.opens(&first).await.is_none(), "the old token stays over");
    assert_eq!(both.p.connector.tend().await.expect("looked"), 0);
}
