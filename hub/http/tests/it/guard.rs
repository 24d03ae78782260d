//! Which addresses may be called, by literal, by name, and by a name that changes.

use crate::support::*;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use waybill_http::{Allow, CallErrorKind, Cidr, Client, ClientConfig, Guard, Lookup, OutRequest, is_public};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

#[test]
fn the_table_of_addresses() {
    let closed = [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1",
        "2002:a00:1::", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "5f00::1",
    ];
    for text in closed {
        assert!(!is_public(text.parse().unwrap()), "{text} must be closed");
    }
    let open = [
        "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255",
        "172.32.0.0", "192.0.1.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2002:808:808::1", "2606:4700:4700::1111", "2a00:1450::1",
    ];
    for text in open {
        assert!(is_public(text.parse().unwrap()), "{text} must be open");
    }
}

#[test]
fn ranges_are_read_strictly() {
    for good in ["10.0.0.0/8", "0.0.0.0/0", "192.168.1.5", "2001:db8::/32", "::1", "::/0", "::ffff:10.0.0.1"] {
        good.parse::<Cidr>().unwrap_or_else(|e| panic!("{e}"));
    }
    for bad in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/+8", "10.0.0/8", "::1/129", "example.org", "::ffff:10.0.0.0/104", "10.0.0.0/8/8"] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_allowed_is_read_strictly() {
    let host = |name: &str, port| Ok(Allow::Host(name.to_owned(), port));
    for (text, expected) in [
        ("broker.internal", host("broker.internal", None)),
        ("Broker.Internal.:1026", host("broker.internal", Some(1026))),
        ("127.0.0.1:8080", host("127.0.0.1", Some(8080))),
        ("127.0.0.1", host("127.0.0.1", None)),
        ("[::1]:8080", host("::1", Some(8080))),
        ("10.0.0.0/8", Ok(Allow::Range("10.0.0.0/8".parse().unwrap()))),
    ] {
        assert_eq!(text.parse::<Allow>(), expected, "{text}");
    }
    for bad in ["", "http://x/", "user@host", "host:port", "host/path", ":80", "a b"] {
        assert!(bad.parse::<Allow>().is_err(), "{bad}");
    }
}

/// Gives other addresses at each look-up, as an attacker's name server would.
struct Changing(Mutex<VecDeque<Vec<&'static str>>>);

impl Changing {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers.iter().map(|a| a.to_vec()).collect())))
    }
}
impl Lookup for Changing {
    fn lookup(&self, _: String) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        Box::pin(async move { Ok(answer.iter().map(|a| a.parse().unwrap()).collect()) })
    }
}

fn client(allow: &[&str], lookup: Option<Arc<dyn Lookup>>) -> Client {
    let allow: Vec<Allow> = allow.iter().map(|a| a.parse().unwrap()).collect();
    let mut config = ClientConfig::new(clock()).guard(Guard::allowing(allow));
    config.lookup = lookup;
    config.connect_timeout = std::time::Duration::from_millis(300);
    Client::new(config).unwrap()
}

async fn kind(client: &Client, url: &str) -> Result<u16, CallErrorKind> {
    client.send(OutRequest::get(url)).await.map(|r| r.status.as_u16()).map_err(|e| e.kind)
}

async fn upstream() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    server
}

#[tokio::test]
async fn literal_addresses_of_this_machine_are_refused_in_every_spelling() {
    let server = upstream().await;
    let port = server.address().port();
    let closed = client(&[], None);
    for host in ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "localhost"] {
        let outcome = kind(&closed, &format!("http://{host}:{port}/")).await;
        assert_eq!(outcome, Err(CallErrorKind::RefusedAddress), "{host}");
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_web_address_is_refused() {
    let open = client(&["0.0.0.0/0"], None);
    for url in ["", "file:///etc/passwd", "gopher://127.0.0.1/", "http://", "http://user@127.0.0.1/", "http://:pw@127.0.0.1/", "//127.0.0.1/", "127.0.0.1"] {
        assert_eq!(kind(&open, url).await, Err(CallErrorKind::BadAddress), "{url}");
    }
}

#[tokio::test]
async fn allowed_hosts_and_ranges_are_reached_and_no_others() {
    let server = upstream().await;
    let port = server.address().port();
    let url = |host: &str| format!("http://{host}:{port}/");
    for (allow, host, expected) in [
        (format!("127.0.0.1:{port}"), "127.0.0.1", Ok(204)),
        ("127.0.0.0/8".to_owned(), "127.0.0.1", Ok(204)),
        ("127.0.0.0/8".to_owned(), "[::ffff:127.0.0.1]", Err(CallErrorKind::Connect)),
        ("127.0.0.1:1".to_owned(), "127.0.0.1", Err(CallErrorKind::RefusedAddress)),
        ("10.0.0.0/8".to_owned(), "127.0.0.1", Err(CallErrorKind::RefusedAddress)),
    ] {
        let outcome = kind(&client(&[&allow], None), &url(host)).await;
        // Whether a mapped address reaches an IPv4 socket depends on the system; that it is permitted does not.
        if host.starts_with('[') {
            assert_ne!(outcome, Err(CallErrorKind::RefusedAddress), "{allow} {host}");
        } else {
            assert_eq!(outcome, expected, "{allow} {host}");
        }
    }
    let named: Arc<dyn Lookup> = Changing::new(&[&["127.0.0.1"]]);
    let by_name = client(&[&format!("broker.internal:{port}")], Some(named));
    assert_eq!(kind(&by_name, &url("broker.internal")).await, Ok(204));
    assert_eq!(kind(&by_name, &url("other.internal")).await, Err(CallErrorKind::RefusedAddress));
    assert_eq!(kind(&by_name, "http://broker.internal:1/").await, Err(CallErrorKind::RefusedAddress), "an allowed name, another port");
}

#[tokio::test]
async fn a_name_that_turns_to_this_machine_is_refused_when_it_does() {
    let server = upstream().await;
    let url = format!("http://rebind.example:{}/", server.address().port());
    for answers in [
        &[["127.0.0.1"].as_slice()][..],
        &[&["192.0.2.255", "127.0.0.1"]],
        &[&["8.8.8.8", "::1"]],
        &[&["::ffff:127.0.0.1"]],
        &[&["64:ff9b::7f00:1"]],
    ] {
        let lookup = Changing::new(answers);
        assert_eq!(kind(&client(&[], Some(lookup)), &url).await, Err(CallErrorKind::RefusedAddress), "{answers:?}");
    }
    // A public answer first (nobody is there), this machine at the next look-up: the first check must not stand for the second.
    let turning = client(&["198.51.100.0/24"], Some(Changing::new(&[&["198.51.100.1"], &["127.0.0.1"]])));
    let first = kind(&turning, &url).await;
    assert_ne!(first, Ok(204));
    assert_ne!(first, Err(CallErrorKind::RefusedAddress), "the first answer is permitted");
    assert_eq!(kind(&turning, &url).await, Err(CallErrorKind::RefusedAddress));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_redirect_is_guarded_like_the_first_call() {
    let inner = upstream().await;
    let outer = MockServer::start().await;
    let target = format!("http://localhost:{}/", inner.address().port());
    Mock::given(any()).respond_with(ResponseTemplate::new(302).insert_header("location", target.as_str())).mount(&outer).await;
    let allow: Allow = format!("127.0.0.1:{}", outer.address().port()).parse().unwrap();
    let mut config = ClientConfig::new(clock()).guard(Guard::allowing([allow]));
    config.max_redirects = 3;
    let following = Client::new(config).unwrap();
    assert_eq!(kind(&following, &outer.uri()).await, Err(CallErrorKind::RefusedAddress));
    assert!(inner.received_requests().await.unwrap().is_empty());
}
