//! What hub A makes of hub B's answers to a withdrawal, and what it answers while it cannot make anything of them.

use super::admission::{Linked, POWER, says};
use super::{B_PARTY, free, iri, noon, town};
use waybill_consent::{Acknowledgement, Heartbeat, Outcome, StoreAnswer};
use waybill_exchange::Progress;
use waybill_http::{Allow, Auth, Client, ClientConfig, Guard};
use waybill_journal::Kind;
use waybill_keys::KeyRing;
use waybill_model::TenantId;
use waybill_peer::{PeerClient, PeerConfig};
use waybill_port::{Notice, Notices};

#[tokio::test]
async fn an_answer_that_comes_again_is_no_news_to_her() {
    let link = Linked::new().await;
    link.received(link.delivery().await).await;
    link.clock.advance_micros(120_000_000);
    says(&link.a.hub, "https://anna.example", "withdrawn", POWER, B_PARTY, &[]).await;
    let (a, b) = (&link.a.hub, &link.b.hub);
    let withdrawal = async || a.withdrawals(&TenantId::main()).await.expect("withdrawals").pop().expect("one");
    let event = withdrawal().await.holders[0].event.clone().expect("city B is told by an event");
    let at = link.clock.now();
    let answers = async |outcome: Outcome| {
        let mut answer = Acknowledgement::new(b.did(), a.did(), event.clone(), iri(B_PARTY), link.clock.now());
        answer.stores.push(StoreAnswer { store: "broker".into(), outcome, how: "as it says".into(), at, attested: true });
        a.take_acknowledgement(&answer.sign(b.keys().active())).await.expect("taken");
        let page = a.journal().page_of(&iri("https://anna.example/#me")).await.expect("her page");
        let lines = page.entries.iter().filter(|line| line.kind == Kind::Acknowledgement).count();
        (withdrawal().await.holders[0].progress, lines)
    };
    let waiting = || Outcome::Failed { reason: "not yet confirmed".into() };
    assert_eq!(answers(waiting()).await, (Progress::Partly, 1));
    assert_eq!(answers(waiting()).await, (Progress::Partly, 1), "city B had no word that it was taken, and sent it again");
    link.clock.advance_micros(60_000_000);
    assert_eq!(answers(waiting()).await, (Progress::Partly, 1), "nor is it news that it says so a minute later");
    assert_eq!(answers(Outcome::Erased).await, (Progress::Done, 2));
    assert_eq!(answers(Outcome::Erased).await, (Progress::Done, 2));
}

/// Each hub gives the other a rest after some failures. If not to be verified yet were such a failure, the other's keys could not be asked
/// for either: two hubs that came back at the same time would keep each other from being heard.
#[tokio::test]
async fn a_hub_that_cannot_verify_a_notice_yet_is_still_asked() {
    let (clock, of_b) = (noon(), free());
    let a = town("https://a.example/#city", free(), &[(B_PARTY, format!("http://{of_b}"))], &clock).await;
    // Hub B sends, and nobody answers at its address yet: its keys cannot be fetched.
    let allow = "127.0.0.0/8".parse::<Allow>().expect("a range");
    let client = Client::new(ClientConfig::new(clock.clone()).guard(Guard::allowing([allow]))).expect("a client");
    let b = PeerClient::new(client, vec![PeerConfig { base_url: a.url.clone(), auth: Auth::None }]);
    let beat = Heartbeat::new(waybill_keys::did_web(&of_b.to_string()), iri("https://a.example/#city"), 1, clock.now()).sign(KeyRing::generate(&clock).active());
    for _ in 0..20 {
        let error = b.send(&a.url, &Notice::Heartbeat(beat.clone())).await.expect_err("nobody can tell whether it is hub B's");
        assert!(error.retry, "it may be later: {}", error.detail);
    }
    b.fetch(&format!("{}/.well-known/did.json", a.url)).await.expect("hub A is not given a rest");
}
