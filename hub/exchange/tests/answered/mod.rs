//! A company answers, signed, that it deleted what it was told it may see no more: the withdrawals come further, and her page says so.

use crate::licence::{ACME, licence, under};
use crate::world::{ADVICE, MODEL, POWER, World, iri};
use std::sync::Arc;
use waybill_consent::{Acknowledgement, Outcome, StoreAnswer};
use waybill_exchange::Progress;
use waybill_gate::Licence;
use waybill_keys::KeyRing;
use waybill_model::{DateTime, Scope, TenantId};
use waybill_port::{BoxFuture, DeliveryError, Notice, Notices};
use waybill_query::EntityQuery;

const ANNA: &str = "https://anna.example/#me";
const BERT: &str = "https://bert.example/#me";
const ONE: &str = "urn:uuid:one";
const TWO: &str = "urn:uuid:two";
const DID: &str = "did:web:hub.acme.example";
const HUB: &str = "https://hub.acme.example";

/// Answers with one key document, and takes no notice.
struct KeysOf(String);

impl Notices for KeysOf {
    fn send<'a>(&'a self, _: &'a str, _: &'a Notice) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async { Err(DeliveryError::retry("nobody is there")) })
    }
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<String, DeliveryError>> {
        let found = if url == format!("{HUB}/.well-known/did.json") { Ok(self.0.clone()) } else { Err(DeliveryError::fatal("nothing there")) };
        Box::pin(async { found })
    }
}

struct Company {
    world: World,
    ring: KeyRing,
    now: DateTime,
}

impl Company {
    /// Anna's two meters and Bert's, of which both granted the power to the company, which has two agreements.
    async fn new() -> Self {
        let world = World::new().await;
        for (id, who) in [("urn:meter:1", ANNA), ("urn:meter:2", ANNA), ("urn:meter:3", BERT)] {
            world.meter(id, 7.0).await;
            world.bind(id, who).await;
        }
        for id in [ONE, TWO] {
            world.hub.license(&Licence { pairwise: true, ..licence(id) }).await.expect("licensed");
        }
        let now = world.hub.clock().now();
        let ring = KeyRing::generate(world.hub.clock()).controlled_by(DID);
        world.hub.set_notices(Arc::new(KeysOf(ring.did_document("hub.acme.example").to_string())));
        Self { world, ring, now }
    }
    async fn consents(&self, who: &str, state: &str) {
        self.world.grant_to(&[ACME], who, state, serde_json::json!([{ "attribute": POWER, "precision": "exact" }])).await;
    }
    async fn pulls(&self, agreement: &str) -> usize {
        let query = EntityQuery { limit: 100, ..EntityQuery::new() };
        self.world.hub.query(&self.scope(agreement), query, |_| true).await.expect("a page").get().entities.len()
    }
    fn scope(&self, agreement: &str) -> Scope {
        under(agreement, ACME, ADVICE)
    }
    /// The cursors of what it is told is gone.
    async fn gone(&self, agreement: &str) -> Vec<String> {
        let gone = self.world.hub.gone(&self.scope(agreement), None, 100).await.expect("looked");
        gone.get().iter().map(|g| g.cursor.clone()).collect()
    }
    fn answer(&self, event: &str, outcome: Outcome) -> String {
        let mut ack = Acknowledgement::new(DID, self.world.hub.did(), event, iri(ACME), self.now);
        ack.stores.push(StoreAnswer { store: "warehouse".into(), outcome, how: "DELETE".into(), at: self.now, attested: true });
        ack.sign(self.ring.active())
    }
    async fn takes(&self, agreement: &str, answer: &str) -> Result<(), String> {
        self.world.hub.take_deletion_answer(&self.scope(agreement), HUB, answer).await.map_err(|p| format!("{} {}", p.status, p.code))
    }
    /// How far the company is in each withdrawal of a person's.
    async fn progress(&self, who: &str) -> Vec<Progress> {
        let all = self.world.hub.withdrawals(&TenantId::main()).await.expect("read");
        all.iter().filter(|w| w.subject.as_ref().is_some_and(|s| s.as_str() == who)).flat_map(|w| w.holders.iter().map(|h| h.progress)).collect()
    }
    /// The lines about acknowledgements on a person's page that hold a signed text.
    async fn signed(&self, who: &str) -> usize {
        let page = self.world.hub.journal().page_of(&iri(who)).await.expect("a page");
        page.entries.iter().filter(|entry| entry.detail.to_string().contains("\"signed\"")).count()
    }
}

fn erased() -> Outcome {
    Outcome::Erased
}

#[tokio::test]
async fn a_signed_answer_ends_what_nothing_bounded() {
    let company = Company::new().await;
    company.consents(ANNA, "given").await;
    company.consents(BERT, "given").await;
    assert_eq!(company.pulls(ONE).await, 3);
    company.consents(ANNA, "withdrawn").await;
    assert_eq!(company.progress(ANNA).await, [Progress::Unbounded], "nobody has said anything");
    assert_eq!(company.takes(ONE, &company.answer("00000000000000000000.x.renamed", erased())).await, Err("400 acknowledgement-of-nothing".into()), "it was told of nothing");
    let told = company.gone(ONE).await;
    assert_eq!(told.len(), 2);
    assert_eq!(company.takes(ONE, &company.answer(&told[0], erased())).await, Ok(()));
    assert_eq!(company.progress(ANNA).await, [Progress::Unbounded], "one of her two meters is not deleted");
    let answer = company.answer(&told[1], erased());
    for _ in 0..3 {
        assert_eq!(company.takes(ONE, &answer).await, Ok(()), "said again, it is the same");
    }
    assert_eq!(company.progress(ANNA).await, [Progress::Done]);
    assert_eq!(company.signed(ANNA).await, 1, "once on her page");
    assert_eq!(company.signed(BERT).await, 0);
}

#[tokio::test]
async fn each_agreement_answers_for_itself() {
    let company = Company::new().await;
    company.consents(ANNA, "given").await;
    for agreement in [ONE, TWO] {
        assert_eq!(company.pulls(agreement).await, 2);
    }
    company.consents(ANNA, "withdrawn").await;
    for (agreement, after) in [(ONE, Progress::Partly), (TWO, Progress::Done)] {
        let told = company.gone(agreement).await;
        assert_eq!(company.takes(agreement, &company.answer(told.last().expect("told"), erased())).await, Ok(()));
        assert_eq!(company.progress(ANNA).await, [after], "after {agreement}");
    }
}

#[tokio::test]
async fn what_it_failed_to_delete_is_not_deleted() {
    let company = Company::new().await;
    company.consents(ANNA, "given").await;
    company.pulls(ONE).await;
    company.consents(ANNA, "withdrawn").await;
    let told = company.gone(ONE).await;
    let last = told.last().expect("told");
    assert_eq!(company.takes(ONE, &company.answer(last, Outcome::Failed { reason: "the archive is offline".into() })).await, Ok(()));
    assert_eq!(company.progress(ANNA).await, [Progress::Partly]);
    assert_eq!(company.takes(ONE, &company.answer(last, erased())).await, Ok(()));
    assert_eq!(company.progress(ANNA).await, [Progress::Done]);
}

#[tokio::test]
async fn what_it_may_still_see_part_of_is_not_answered_for() {
    let company = Company::new().await;
    let both = serde_json::json!([{ "attribute": POWER, "precision": "exact" }, { "attribute": MODEL, "precision": "exact" }]);
    company.world.grant_to(&[ACME], ANNA, "given", both).await;
    company.consents(BERT, "given").await;
    assert_eq!(company.pulls(ONE).await, 3);
    // She narrows: the meters stay, so nothing tells the company to delete them, and an answer about Bert's says nothing of hers.
    company.consents(ANNA, "given").await;
    company.consents(BERT, "withdrawn").await;
    let told = company.gone(ONE).await;
    assert_eq!(told.len(), 1, "Bert's alone");
    assert_eq!(company.takes(ONE, &company.answer(&told[0], erased())).await, Ok(()));
    assert_eq!(company.progress(BERT).await, [Progress::Done]);
    assert_eq!(company.progress(ANNA).await, [Progress::Unbounded]);
}

#[tokio::test]
async fn nobody_answers_for_another() {
    let company = Company::new().await;
    company.consents(ANNA, "given").await;
    company.pulls(ONE).await;
    company.consents(ANNA, "withdrawn").await;
    let told = company.gone(ONE).await;
    let last = told.last().expect("told");
    let sign = |iss: &str, aud: &str, holder: &str, ring: &KeyRing| {
        let mut ack = Acknowledgement::new(iss, aud, last, iri(holder), company.now);
        ack.stores.push(StoreAnswer { store: "warehouse".into(), outcome: erased(), how: "DELETE".into(), at: company.now, attested: true });
        ack.sign(ring.active())
    };
    let (own, here) = (DID, company.world.hub.did());
    let stranger = KeyRing::generate(company.world.hub.clock()).controlled_by(DID);
    for (what, answer, code) in [
        ("another's key", sign(own, &here, ACME, &stranger), "400"),
        ("another hub's name", sign("did:web:other.example", &here, ACME, &company.ring), "400"),
        ("for another hub", sign(own, "did:web:other.example", ACME, &company.ring), "400 statement-audience"),
        ("another company", sign(own, &here, "https://borda.example/party", &company.ring), "400 acknowledgement-of-another"),
        ("no signature", "a.b.c".to_owned(), "400"),
    ] {
        let refused = company.takes(ONE, &answer).await.expect_err(what);
        assert!(refused.starts_with(code), "{what}: {refused}");
    }
    let theirs = sign(own, &here, ACME, &company.ring);
    let other = under("urn:uuid:none", ACME, ADVICE);
    assert_eq!(company.world.hub.take_deletion_answer(&other, HUB, &theirs).await.expect_err("no licence").code, "licence-not-found");
    assert_eq!(company.progress(ANNA).await, [Progress::Unbounded]);
}
