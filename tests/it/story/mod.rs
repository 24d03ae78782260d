//! The story end to end: three cities, each a process of the built program on its own file, and a real Community Solid Server with the
//! pods. Told once where the server keeps access rules by WAC, once by ACP.

mod beside;
mod citizen;
mod cut_off;
mod notified;
mod stage;
mod steps;

use crate::css::{Css, Rules, required};
use citizen::Citizen;
use notified::Ears;
use stage::Stage;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn consent_travels_with_her_data_and_a_withdrawal_follows_it_under_wac() {
    tell(Rules::Wac, "story (WAC)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_travels_with_her_data_and_a_withdrawal_follows_it_under_acp() {
    tell(Rules::Acp, "story (ACP)").await;
}

async fn tell(rules: Rules, test: &str) {
    let Some(home) = required(test) else { return };
    let start = move || {
        let preload = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/solid/fixtures/loopback.cjs");
        let css = Css::start(&home, &preload, rules);
        let (anna, carla, hub) = (css.person("anna"), css.person("carla"), css.person("hub-a"));
        (css, anna, carla, hub)
    };
    let (css, anna, carla, hub) = tokio::task::spawn_blocking(start).await.expect("a Solid server with three accounts");
    let anna = Citizen::new(&css, rules, &anna, &hub).await;
    let carla = Citizen::new(&css, rules, &carla, &hub).await;
    let mut stage = Stage::set(&css.base, (&hub.id, &hub.secret)).await;

    steps::open_and_closed(&mut stage, &anna).await;
    steps::a_neighbour_opens_nothing(&stage, &anna, &carla).await;
    steps::grant(&stage, &anna).await;
    steps::by_law(&stage).await;
    steps::own_broker(&stage).await;
    steps::a_city_is_off(&mut stage, &anna).await;
    beside::only_what_is_allowed(&stage, &anna).await;
    let ears = Ears::open(&stage).await;
    ears.hear_what_is_allowed(&stage, &anna).await;
    steps::withdrawn_in_the_pod(&stage, &anna).await;
    ears.hear_that_it_is_over(&stage, &anna).await;
    steps::withdrawn_by_a_clerk(&stage, &anna).await;
    steps::until_a_moment(&stage, &anna).await;
    cut_off::withdrawn_in_silence(&mut stage, &anna).await;
    steps::journal(&stage, &anna);
    steps::erased(&mut stage, &anna).await;
}
