//! What a caller may cost: bodies, heads, time, concurrency.

use crate::support::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use waybill_http::{Authenticator, Method, Response, RouteOptions, Router};

const HUNDRED_MB: usize = 100 * 1024 * 1024;

#[tokio::test]
async fn a_declared_100_mb_body_is_refused_before_a_byte_of_it_is_sent() {
    let server = started(config(), echo_router(), Authenticator::closed()).await;
    let answer = raw(server.addr, &format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {HUNDRED_MB}\r\n\r\n")).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
    assert_eq!(answer.header("connection"), Some("close"));
    server.stop().await;
}

#[tokio::test]
async fn an_undeclared_100_mb_body_is_not_taken_in() {
    let mut config = config();
    config.limits.body = 64 * 1024;
    let server = started(config, echo_router(), Authenticator::closed()).await;
    let (mut reading, mut writing) = TcpStream::connect(server.addr).await.unwrap().into_split();
    writing.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let sending = tokio::spawn(async move {
        let piece = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
        let mut sent = 0;
        while sent < HUNDRED_MB && writing.write_all(&piece).await.is_ok() {
            sent += 0x10000;
        }
        sent
    });
    let mut all = Vec::new();
    reading.read_to_end(&mut all).await.ok();
    assert_eq!(parse(&all).status, 413);
    drop(reading);
    let sent = sending.await.unwrap();
    assert!(sent < HUNDRED_MB, "the server stopped reading, what was sent is what the sockets hold: {sent}");
    server.stop().await;
}

#[tokio::test]
async fn who_sends_all_before_reading_still_finds_the_answer() {
    let mut config = config();
    config.limits.body = 1000;
    let server = started(config, echo_router(), Authenticator::closed()).await;
    let body = "x".repeat(2_000_000);
    assert_eq!(request(server.addr, "POST", "/echo", &[], &body).await.status, 413);
    server.stop().await;
}

#[tokio::test]
async fn the_limit_is_exact_and_each_route_may_have_its_own() {
    let mut config = config();
    config.limits.body = 10;
    let wide = RouteOptions { max_body: Some(20), ..RouteOptions::default() };
    let router = echo_router().route_with(Method::POST, "/wide", wide, echo);
    let server = started(config, router, Authenticator::closed()).await;
    for (path, length, status) in [("/echo", 10, 200), ("/echo", 11, 413), ("/wide", 20, 200), ("/wide", 21, 413)] {
        let body = "x".repeat(length);
        assert_eq!(request(server.addr, "POST", path, &[], &body).await.status, status, "{path} {length}");
        let chunked = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n{:x}\r\n{}\r\n0\r\n\r\n", length - 5, &body[5..]);
        assert_eq!(raw(server.addr, &chunked).await.status, status, "{path} {length} in chunks");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_truncated_body_never_reaches_the_handler() {
    let reached = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = reached.clone();
    let router = Router::new().route(Method::POST, "/x", move |_| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async { Ok(Response::empty(204)) }
    });
    let server = started(config(), router, Authenticator::closed()).await;
    for text in [
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345",
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n12345\r\n",
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the server closes").ok();
        assert!(rest.is_empty() || parse(&rest).status == 400, "{text:?} {}", String::from_utf8_lossy(&rest));
    }
    server.stop().await;
    assert_eq!(reached.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_body_that_dribbles_is_given_up() {
    let mut config = config();
    config.limits.body_timeout = Duration::from_millis(100);
    let server = started(config, echo_router(), Authenticator::closed()).await;
    let answer = raw(server.addr, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1").await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "read-timeout"));
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_dribbles_is_given_up() {
    let mut config = config();
    config.limits.head_timeout = Duration::from_millis(100);
    let server = started(config, echo_router(), Authenticator::closed()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET /echo/1 HTTP/1.1\r\nHost: x\r\nX-A").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the server closes").ok();
    assert!(rest.is_empty() || parse(&rest).status == 408);
    server.stop().await;
}

#[tokio::test]
async fn heads_are_bounded_in_number_and_size() {
    let mut config = config();
    config.limits.headers = 20;
    config.limits.head_bytes = 16 * 1024;
    config.limits.uri = 1000;
    let server = started(config, echo_router(), Authenticator::closed()).await;
    let many: Vec<String> = (0..40).map(|i| format!("X-H{i}: v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(get(server.addr, "/echo/1", &many).await.status, 431);
    assert_eq!(get(server.addr, "/echo/1", &many[..10]).await.status, 200);
    let large = format!("GET /echo/1 HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "v".repeat(20_000));
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(large.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    // What the server left unread may make its close a reset, which swallows the answer.
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the server closes").ok();
    assert!(rest.is_empty() || parse(&rest).status == 431);
    let long = format!("/echo/1?q={}", "v".repeat(1000));
    assert_eq!(get(server.addr, &long, &[]).await.code(), "uri-too-long");
    server.stop().await;
}

#[tokio::test]
async fn what_exceeds_the_places_is_told_when_to_come_again() {
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let held = release.clone();
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let router = Router::new().route(Method::GET, "/slow", move |_| {
        let (held, arrived) = (held.clone(), arrived.clone());
        async move {
            arrived.send(()).unwrap();
            held.acquire().await.unwrap().forget();
            Ok(Response::empty(204))
        }
    });
    let mut config = config();
    config.limits.concurrency = 2;
    let metrics = config.metrics.clone();
    let server = started(config, router, Authenticator::closed()).await;
    let addr = server.addr;
    let open: Vec<_> = (0..2).map(|_| tokio::spawn(async move { get(addr, "/slow", &[]).await.status })).collect();
    for _ in 0..2 {
        arrivals.recv().await.unwrap();
    }
    let refused = get(addr, "/slow", &[]).await;
    assert_eq!((refused.status, refused.code().as_str(), refused.header("retry-after")), (503, "overloaded", Some("1")));
    release.add_permits(3);
    for task in open {
        assert_eq!(task.await.unwrap(), 204);
    }
    assert_eq!(get(addr, "/slow", &[]).await.status, 204, "a place is free again");
    server.stop().await;
    assert!(metrics.render().contains("waybill_http_overloaded_total 1\n"));
}

#[tokio::test]
async fn an_answer_that_is_not_ready_in_time_is_given_up() {
    let pending = |_| async {
        std::future::pending::<()>().await;
        Ok(Response::empty(204))
    };
    let mut config = config();
    config.limits.deadline = Duration::from_millis(50);
    config.drain = Duration::from_millis(50);
    let router = Router::new().route(Method::GET, "/never", pending).route(Method::POST, "/never", pending);
    let server = started(config, router, Authenticator::closed()).await;
    let read = get(server.addr, "/never", &[]).await;
    assert_eq!((read.status, read.code().as_str()), (504, "deadline-exceeded"));
    let change = request(server.addr, "POST", "/never", &[], "").await;
    assert_eq!(change.status, 504);
    assert!(change.json()["detail"].as_str().unwrap().contains("may still take effect"), "a caller who changes something is told so");
    server.stop().await;
}

#[tokio::test]
async fn who_never_reads_the_answer_is_cut_off() {
    let router = Router::new().route(Method::GET, "/large", |_| async { Ok(Response::bytes(200, "image/png", vec![0; 64 * 1024 * 1024])) });
    let mut config = config();
    config.limits.write_timeout = Duration::from_millis(100);
    config.drain = Duration::from_hours(1);
    let server = started(config, router, Authenticator::closed()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 1];
    stream.read_exact(&mut first).await.unwrap();
    // The stop waits for open connections as long as it may; it ends because this one is cut.
    tokio::time::timeout(Duration::from_secs(20), server.stop()).await.expect("the connection is cut");
}

#[tokio::test]
async fn garbage_is_refused_and_the_server_goes_on() {
    let server = started(config(), echo_router(), Authenticator::closed()).await;
    let garbage: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /echo/1 HTTP/1.1\r\nHost: x\r\nBad Header : x\r\n\r\n",
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the server closes").ok();
        assert!(rest.is_empty() || parse(&rest).status >= 400, "{:?} {}", String::from_utf8_lossy(bytes), String::from_utf8_lossy(&rest));
    }
    assert_eq!(get(server.addr, "/echo/1", &[]).await.status, 200);
    server.stop().await;
}
