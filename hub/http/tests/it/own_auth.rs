//! A route whose handler verifies its caller itself.

use waybill_http::{Authenticator, Method, Response, RouteOptions, Router, ServerConfig, serve};
use waybill_model::Clock;

#[tokio::test]
async fn such_a_route_gets_the_authorization_and_an_anonymous_caller_and_no_other_route_does() {
    let own = RouteOptions { own_auth: true, ..RouteOptions::default() };
    let tell = |request: waybill_http::Request| async move {
        let known = request.caller.is_known();
        Ok(Response::text(200, format!("{} {known}", request.header("authorization").unwrap_or("-"))))
    };
    let router = Router::new().route_with(Method::GET, "/own", own, tell).route(Method::GET, "/other", tell);
    let listen = "127.0.0.1:0".parse().expect("an address");
    // The caller is on this machine, which elsewhere makes it the operator.
    let server = serve(ServerConfig::new(listen), router, Authenticator::closed().with_loopback_operator(), Clock::system()).await.expect("served");
    let get = async |path: &str, token: Option<&str>| {
        let mut request = reqwest::Client::new().get(format!("http://{}{path}", server.addr));
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    assert_eq!(get("/own", Some("DPoP strange")).await, (200, "DPoP strange false".into()));
    assert_eq!(get("/own", None).await, (200, "- false".into()), "not even the operator is known here");
    assert_eq!(get("/other", Some("DPoP strange")).await.0, 401);
    server.stop().await;
}
