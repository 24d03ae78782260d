//! What hub A makes of hub B's answers to a withdrawal.

use super::admission::{Linked, POWER, says};
use super::{B_PARTY, iri};
use waybill_consent::{Acknowledgement, Outcome, StoreAnswer};
use waybill_exchange::Progress;
use waybill_journal::Kind;
use waybill_model::TenantId;

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
