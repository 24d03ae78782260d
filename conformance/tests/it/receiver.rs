//! The address that is told of changes.

use super::calls::call;
use serde_json::json;
use waybill_conformance::StandInReceiver;

#[tokio::test]
async fn a_receiver_takes_what_it_is_told_and_shows_it_in_order() {
    let receiver = StandInReceiver::start().await.unwrap();
    let url = receiver.url();
    for (body, status) in [(r#"{"n":1}"#, 204), ("not JSON", 400), (r#"{"n":2}"#, 204)] {
        assert_eq!(call("POST", &format!("{url}any/path"), &[], body).await.status, status, "{body}");
    }
    assert_eq!(call("GET", &url, &[], "").await.json(), json!([{"n": 1}, {"n": 2}]));
    assert_eq!(receiver.taken(), [json!({"n": 1}), json!({"n": 2})]);
    assert_eq!(call("DELETE", &url, &[], "").await.status, 405);
}
