//! A household's meter in two cities: whoever withdraws at hub A, hub B lets go.

use super::admission::{ID, Linked, POWER, bind, says};
use super::{B_PARTY, iri};
use waybill_consent::Target;

const BEN: &str = "https://ben.example";

#[tokio::test]
async fn whoever_withdraws_the_other_hub_lets_go() {
    for who in [BEN, "https://anna.example"] {
        let link = Linked::new().await;
        bind(&link.a.hub, Target::Entity(iri(ID)), "https://ben.example/#me").await;
        says(&link.a.hub, BEN, "given", POWER, B_PARTY, &[]).await;
        link.received(link.delivery().await).await;
        assert!(link.held(POWER).await.is_some() && link.quarantined().await.is_empty(), "hub B can verify what stands for both");
        link.clock.advance_micros(120_000_000);
        says(&link.a.hub, who, "withdrawn", POWER, B_PARTY, &[]).await;
        assert_eq!(link.a.hub.send_notices().await.expect("sent"), 1);
        assert_eq!(link.held(POWER).await, None, "{who} withdrew");
    }
}
