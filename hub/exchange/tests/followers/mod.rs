//! Whose a follower is.

use crate::world::{World, iri};
use waybill_exchange::NewFollower;
use waybill_model::{Principal, Scope};

#[tokio::test]
async fn what_belongs_to_no_party_is_not_made() {
    let world = World::new().await;
    let nobody = Scope::anonymous(world.tenant.clone());
    let anna = Scope { principal: Principal::DataSubject(iri("https://anna.example/#me")), ..nobody.clone() };
    let client = Scope { principal: Principal::Client { client: "app".into(), party: iri("https://b.example/party") }, ..nobody.clone() };
    for (scope, status) in [(&nobody, 401), (&anna, 403), (&client, 403)] {
        let new = NewFollower { id: None, sink: "remember", spec: String::new(), active: true, expires_at: None, initial_load: false };
        let problem = world.hub.follow(scope, new).await.expect_err("it would be anybody's");
        assert_eq!(problem.status, status, "{problem}");
    }
    assert!(world.hub.followers(&world.operator(), "remember").await.expect("read").is_empty());
}

/// One that was made before the hub refused it.
#[tokio::test]
async fn what_belongs_to_no_party_is_the_operators_alone() {
    let world = World::new().await;
    let id = world.follow_in(&world.tenant, Some("urn:subscription:1")).await;
    let row = world.hub.store().read(|r| r.docs("follower", "", 1, None)).await.expect("read").remove(0);
    let mut follower: waybill_exchange::Follower = serde_json::from_slice(&row.payload).expect("a follower");
    follower.on_behalf = waybill_exchange::Behalf::Anonymous;
    let mut batch = waybill_store::Batch::new();
    batch.put_doc("follower", &row.key, serde_json::to_vec(&follower).expect("JSON"), None);
    world.hub.store().commit(batch).await.expect("written");
    let nobody = Scope::anonymous(world.tenant.clone());
    assert!(world.hub.followers(&nobody, "remember").await.expect("read").is_empty(), "its headers may hold a token");
    assert_eq!(world.hub.unfollow(&nobody, "remember", &id).await.expect_err("not hers").status, 404);
    world.hub.unfollow(&world.operator(), "remember", &id).await.expect("ended");
}
