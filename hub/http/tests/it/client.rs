//! The outbound client: deadlines, sizes, redirects, credentials, proofs, breaker.

use crate::support::*;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use waybill_http::{
    Auth, BreakerConfig, CallError, CallErrorKind, ClientCredentials, DpopKey, Metrics, OutRequest, ProofExpectation, ReplayCache, verify_proof,
};
use waybill_model::DateTime;
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, Request as Seen, ResponseTemplate};

#[tokio::test]
async fn sends_and_reads() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/a"))
        .and(header("content-type", "application/json"))
        .and(header("authorization", "Bearer t1"))
        .and(body_string_contains("hello"))
        .respond_with(ResponseTemplate::new(201).set_body_json("made").insert_header("x-y", "z"))
        .mount(&server)
        .await;
    let client = local_client();
    let request = OutRequest::post(format!("{}/a", server.uri()), "application/json", "\"hello\"").auth(Auth::Bearer("t1".into()));
    let answer = client.send(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("x-y"), answer.json::<String>().unwrap().as_str()), (201, Some("z"), "made"));
    let refused = client.send(OutRequest::get(server.uri())).await.unwrap().success().unwrap_err();
    assert_eq!((refused.kind, refused.is_retryable()), (CallErrorKind::Status(404), false));
}

#[tokio::test]
async fn an_auth_token_goes_under_its_own_name() {
    let server = MockServer::start().await;
    Mock::given(header("x-auth-token", "t2")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let answer = local_client().send(OutRequest::get(server.uri()).auth(Auth::XAuthToken("t2".into()))).await.unwrap();
    assert_eq!(answer.status, 204);
    assert!(!server.received_requests().await.unwrap()[0].headers.contains_key("authorization"));
}

async fn failing(template: ResponseTemplate, request: impl FnOnce(OutRequest) -> OutRequest) -> CallError {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(template).mount(&server).await;
    local_client().send(request(OutRequest::get(server.uri()))).await.unwrap_err()
}

#[tokio::test]
async fn answers_are_bounded_in_time_and_size() {
    let slow = failing(ResponseTemplate::new(200).set_delay(Duration::from_secs(30)), |r| r.deadline(Duration::from_millis(100))).await;
    assert_eq!((slow.kind, slow.is_retryable(), slow.may_have_happened()), (CallErrorKind::Timeout, true, true));
    let large = failing(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 2000]), |r| r.max_response(1999)).await;
    assert_eq!((large.kind, large.is_retryable()), (CallErrorKind::TooLarge, false));
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![0; 5_000_000]).unwrap();
    let bomb = ResponseTemplate::new(200).insert_header("content-encoding", "gzip").set_body_bytes(packer.finish().unwrap());
    assert_eq!(failing(bomb, |r| r.max_response(100_000)).await.kind, CallErrorKind::TooLarge, "what counts is the size unpacked");
    let garbage = ResponseTemplate::new(200).insert_header("content-encoding", "gzip").set_body_bytes(b"no gzip".to_vec());
    assert!(matches!(failing(garbage, |r| r).await.kind, CallErrorKind::BadAnswer | CallErrorKind::Broken));
}

#[tokio::test]
async fn gzip_is_unpacked() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(b"hello").unwrap();
    let server = MockServer::start().await;
    let template = ResponseTemplate::new(200).insert_header("content-encoding", "gzip").set_body_bytes(packer.finish().unwrap());
    Mock::given(header("accept-encoding", "gzip")).respond_with(template).mount(&server).await;
    assert_eq!(local_client().send(OutRequest::get(server.uri())).await.unwrap().body, "hello");
}

#[tokio::test]
async fn an_answer_can_be_read_piece_by_piece_within_its_limit() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 300_000])).mount(&server).await;
    let client = local_client();
    let mut stream = client.send_streaming(OutRequest::get(server.uri())).await.unwrap();
    let mut total = 0;
    while let Some(piece) = stream.chunk().await.unwrap() {
        total += piece.len();
    }
    assert_eq!(total, 300_000);
    let refused = client.send_streaming(OutRequest::get(server.uri()).max_response(1000)).await;
    assert_eq!(refused.map(|s| s.status).unwrap_err().kind, CallErrorKind::TooLarge);
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_from_an_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    });
    let error = local_client().send(OutRequest::get(&url)).await.unwrap_err();
    assert!(matches!(error.kind, CallErrorKind::Broken | CallErrorKind::BadAnswer), "{error}");
    serving.await.unwrap();
    let nobody = local_client().send(OutRequest::get(&url)).await.unwrap_err();
    assert_eq!((nobody.kind, nobody.is_retryable(), nobody.may_have_happened()), (CallErrorKind::Connect, true, false));
}

#[tokio::test]
async fn errors_never_quote_path_query_or_body() {
    let error = failing(ResponseTemplate::new(200).set_delay(Duration::from_secs(30)), |mut r| {
        r.url = format!("{}/persons/anna?token=secret", r.url);
        r.deadline(Duration::from_millis(50))
    })
    .await;
    let text = format!("{error} {error:?}");
    assert!(!text.contains("anna") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn redirects_are_answers_unless_asked_for_and_carry_no_credentials_elsewhere() {
    let elsewhere = MockServer::start().await;
    Mock::given(path("/there")).respond_with(ResponseTemplate::new(200).set_body_string("there")).mount(&elsewhere).await;
    let server = MockServer::start().await;
    let to = |target: String| ResponseTemplate::new(302).insert_header("location", target.as_str());
    Mock::given(path("/away")).respond_with(to(format!("{}/there", elsewhere.uri()))).mount(&server).await;
    Mock::given(path("/home")).respond_with(to("/landed".to_owned())).mount(&server).await;
    Mock::given(path("/landed")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    Mock::given(path("/loop")).respond_with(to("/loop".to_owned())).mount(&server).await;
    let url = |p: &str| format!("{}{p}", server.uri());
    let plain = local_client().send(OutRequest::get(url("/away"))).await.unwrap();
    assert_eq!(plain.status, 302);
    let client = local_client_with(|c| c.max_redirects = 3);
    let shown = Auth::Bearer("t".into());
    assert_eq!(client.send(OutRequest::get(url("/away")).auth(shown.clone())).await.unwrap().body, "there");
    assert_eq!(client.send(OutRequest::get(url("/home")).auth(shown)).await.unwrap().status, 200);
    assert_eq!(client.send(OutRequest::get(url("/loop"))).await.unwrap_err().kind, CallErrorKind::Redirect);
    assert_eq!(client.send(OutRequest::post(url("/away"), "text/plain", "x")).await.unwrap_err().kind, CallErrorKind::Redirect);
    let seen_there = elsewhere.received_requests().await.unwrap();
    assert!(seen_there.iter().all(|r| !r.headers.contains_key("authorization")), "a token is for its own origin");
    let landed = server.received_requests().await.unwrap().into_iter().find(|r| r.url.path() == "/landed").unwrap();
    assert!(landed.headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_origin_that_fails_is_given_a_rest() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(503)).mount(&server).await;
    let client = local_client_with(|c| c.breaker = BreakerConfig { failures: 2, rest: Duration::from_hours(1) });
    for _ in 0..2 {
        assert_eq!(client.send(OutRequest::get(server.uri())).await.unwrap().status, 503);
    }
    let error = client.send(OutRequest::get(server.uri())).await.unwrap_err();
    assert_eq!((error.kind, error.is_retryable()), (CallErrorKind::BreakerOpen, true));
    assert!(error.retry_after.is_some());
    assert_eq!(server.received_requests().await.unwrap().len(), 2, "nothing more was sent");
}

#[tokio::test]
async fn calls_are_counted_by_kind_and_outcome() {
    let server = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let metrics = Metrics::new();
    let client = local_client_with(|c| c.metrics = metrics.clone());
    client.send(OutRequest::get(format!("{}/anna", server.uri())).template("notify")).await.unwrap();
    client.send(OutRequest::get("http://10.0.0.1/anna").template("notify")).await.unwrap_err();
    let text = metrics.render();
    assert!(text.contains("waybill_calls_total{call=\"notify\",outcome=\"2xx\"} 1\n"), "{text}");
    assert!(text.contains("waybill_calls_total{call=\"notify\",outcome=\"refused-address\"} 1\n"), "{text}");
    assert!(!text.contains("anna"));
}

fn token_answer(token: &str, seconds: u64) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}))
}

#[tokio::test]
async fn client_credentials_are_asked_once_and_again_when_they_expire() {
    let server = MockServer::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    Mock::given(path("/token"))
        .and(header("authorization", "Basic aHViOnMlM0FjcmV0"))
        .and(body_string_contains("grant_type=client_credentials"))
        .and(body_string_contains("scope=read+write"))
        .and(body_string_contains("audience=broker"))
        .respond_with(move |_: &Seen| token_answer(&format!("at{}", count.fetch_add(1, Ordering::SeqCst)), 600))
        .mount(&server)
        .await;
    Mock::given(path("/data")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let credentials = ClientCredentials::new(format!("{}/token", server.uri()), "hub", "s:cret").scope("read").scope("write").audience("broker");
    let auth = Auth::OAuth2ClientCredentials(Arc::new(credentials));
    let clock = clock();
    let client = local_client_with(|c| c.clock = clock.clone());
    let call = || client.send(OutRequest::get(format!("{}/data", server.uri())).auth(auth.clone()));
    for _ in 0..3 {
        call().await.unwrap();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    clock.advance_micros(590 * 1_000_000);
    call().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "renewed before it expires under way");
    let shown: Vec<String> = server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|r| r.url.path() == "/data")
        .map(|r| r.headers["authorization"].to_str().unwrap().to_owned())
        .collect();
    assert_eq!(shown, ["Bearer at0", "Bearer at0", "Bearer at0", "Bearer at1"]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let server = MockServer::start().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    Mock::given(path("/token")).respond_with(move |_: &Seen| token_answer(&format!("at{}", count.fetch_add(1, Ordering::SeqCst)), 600)).mount(&server).await;
    Mock::given(path("/data")).and(header("authorization", "Bearer at1")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    Mock::given(path("/data")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    Mock::given(path("/never")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    let auth = Auth::OAuth2ClientCredentials(Arc::new(ClientCredentials::new(format!("{}/token", server.uri()), "hub", "s")));
    let client = local_client();
    let call = |p: &str| client.send(OutRequest::get(format!("{}{p}", server.uri())).auth(auth.clone()));
    assert_eq!(call("/data").await.unwrap().status, 204);
    assert_eq!(call("/never").await.unwrap().status, 401);
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_refused_client_is_told_without_its_secret() {
    let server = MockServer::start().await;
    let refusal = serde_json::json!({"error": "invalid_client", "error_description": "secret hunter2 is wrong"});
    Mock::given(path("/token")).respond_with(ResponseTemplate::new(401).set_body_json(refusal)).mount(&server).await;
    let credentials = ClientCredentials::new(format!("{}/token", server.uri()), "hub", "hunter2");
    let auth = Auth::OAuth2ClientCredentials(Arc::new(credentials));
    let error = local_client().send(OutRequest::get(server.uri()).auth(auth.clone())).await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Token);
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert!(!format!("{error} {error:?} {auth:?}").contains("hunter2"));
}

/// A server that takes only fresh proofs of one key, carrying the nonce it asks for.
fn proved(key: &DpopKey, good: ResponseTemplate, token: Option<&'static str>) -> impl Fn(&Seen) -> ResponseTemplate + use<> {
    let (replay, bound) = (ReplayCache::default(), key.thumbprint().to_owned());
    move |request: &Seen| {
        let proof = request.headers["dpop"].to_str().unwrap();
        let url = format!("http://{}{}", request.headers["host"].to_str().unwrap(), request.url.path());
        let expected = ProofExpectation { method: request.method.as_str(), url: &url, access_token: token, key_thumbprint: Some(&bound) };
        if let Err(error) = verify_proof(proof, &expected, DateTime::from_seconds(NOW), &replay) {
            return ResponseTemplate::new(403).set_body_string(error.to_string());
        }
        let claims: serde_json::Value = serde_json::from_slice(&unb64(proof.split('.').nth(1).unwrap())).unwrap();
        if claims["nonce"] == "n1" {
            return good.clone();
        }
        let status = if token.is_some() { 401 } else { 400 };
        ResponseTemplate::new(status).insert_header("dpop-nonce", "n1").set_body_json(serde_json::json!({"error": "use_dpop_nonce"}))
    }
}

#[tokio::test]
async fn each_call_has_a_fresh_proof_and_a_nonce_when_one_is_asked_for() {
    let key = Arc::new(DpopKey::generate().unwrap());
    let server = MockServer::start().await;
    let token = serde_json::json!({"access_token": "at", "token_type": "DPoP", "expires_in": 600});
    let issue = proved(&key, ResponseTemplate::new(200).set_body_json(token), None);
    Mock::given(path("/token")).and(header("authorization", "Basic aHViOnM=")).respond_with(issue).mount(&server).await;
    let data = proved(&key, ResponseTemplate::new(204), Some("at"));
    Mock::given(path("/data")).and(header("authorization", "DPoP at")).respond_with(data).mount(&server).await;
    let credentials = Arc::new(ClientCredentials::new(format!("{}/token", server.uri()), "hub", "s").bound_to(key.clone()));
    let auth = Auth::dpop(key, credentials);
    let client = local_client();
    for _ in 0..3 {
        let answer = client.send(OutRequest::get(format!("{}/data?q=1", server.uri())).auth(auth.clone())).await.unwrap();
        assert_eq!(answer.status, 204, "{:?}", answer.body);
    }
    let paths: Vec<String> = server.received_requests().await.unwrap().iter().map(|r| r.url.path().to_owned()).collect();
    // The nonce learnt at the token endpoint is sent to the same origin at once, so only the first request had to be repeated.
    assert_eq!(paths, ["/token", "/token", "/data", "/data", "/data"]);
}

#[test]
fn a_proof_says_what_rfc_9449_wants() {
    let key = DpopKey::from_secret(&[7; 32]).unwrap();
    let url = url::Url::parse("https://pod.example/a?x=1#f").unwrap();
    let proof = key.proof("PUT", &url, Some("at"), None, DateTime::from_seconds(NOW)).unwrap();
    let part = |i: usize| -> serde_json::Value { serde_json::from_slice(&unb64(proof.split('.').nth(i).unwrap())).unwrap() };
    let (head, claims) = (part(0), part(1));
    assert_eq!((head["typ"].as_str(), head["alg"].as_str()), (Some("dpop+jwt"), Some("ES256")));
    assert_eq!(&head["jwk"], key.public_jwk());
    assert!(head["jwk"].get("d").is_none());
    assert_eq!((claims["htm"].as_str(), claims["htu"].as_str()), (Some("PUT"), Some("https://pod.example/a")));
    assert_eq!(claims["iat"], NOW);
    // SHA-256 of "at", computed apart.
    assert_eq!(claims["ath"], "sda5G2fCr6XjIpiNlGJjjTVN34oe9526mH-BXCK0uu4");
    let again = key.proof("PUT", &url, Some("at"), None, DateTime::from_seconds(NOW)).unwrap();
    assert_ne!(proof, again, "each has an identifier of its own");
    assert!(DpopKey::from_secret(&[0; 32]).is_none());
}

fn unb64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}
