//! A storage that gives some of what lies in it and refuses the rest.

use super::webhook::{hub_at, storage};
use super::world::{Watching, grant};
use waybill_keys::{Algorithm, Key};
use waybill_model::Clock;
use waybill_solid::{Gone, KnownGrant, PodEvent};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

#[tokio::test]
async fn what_is_refused_for_now_closes_nothing_and_hides_no_withdrawal() {
    let server = storage(&Key::generate(Algorithm::Es256, None, Clock::system().now())).await;
    let refused = [("a", 500), ("b", 401), ("c", 406), ("d", 503), ("e", 429)];
    let listed: Vec<String> = refused.iter().map(|(name, _)| *name).chain(["z"]).map(|name| format!("<{name}>")).collect();
    let listing = format!("<> <http://www.w3.org/ns/ldp#contains> {} .", listed.join(", "));
    let mut answers = vec![("", ResponseTemplate::new(200).set_body_raw(listing, "text/turtle"))];
    answers.extend(refused.map(|(name, status)| (name, ResponseTemplate::new(status))));
    answers.push(("z", ResponseTemplate::new(200).set_body_raw(grant("withdrawn"), "application/json")));
    for (name, answer) in answers {
        let get = Mock::given(method("GET")).and(path(format!("/pod/consents/{name}")));
        get.respond_with(answer).with_priority(1).mount(&server).await;
    }
    let (pod, _) = hub_at(&server, Clock::system()).await;
    let at = |name: &str| pod.consents().join(name).expect("an address");
    let taken = |name| KnownGrant { url: at(name), sha256: waybill_keys::sha256(grant("given").as_bytes()), hers: true };
    let known = ["a", "b", "c", "d", "e", "z"].map(taken).to_vec();
    let mut watching = Watching::begin(&pod, known);
    let gone = watching.gone("her withdrawal").await;
    assert_eq!((gone.url, gone.why), (at("z"), Gone::Withdrawn));
    watching
        .next("that something cannot be read", |event| match event {
            PodEvent::Unreachable { .. } => Some(()),
            other => panic!("{other:?}"),
        })
        .await;
    watching.end().await;
}
