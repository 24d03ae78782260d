//! The line that can be cut and the host that misbehaves.

use super::calls::call;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waybill_conformance::{BrokerOptions, Fault, MisbehavingHost, Relay, StandInBroker};

#[tokio::test]
async fn a_relay_passes_breaks_and_passes_again() {
    let broker = StandInBroker::start(BrokerOptions::default()).await.unwrap();
    let relay = Relay::start(broker.addr()).await.unwrap();
    let url = format!("http://{}/version", relay.addr());
    assert_eq!(call("GET", &url, &[], "").await.status, 200);
    let mut open = TcpStream::connect(relay.addr()).await.unwrap();
    open.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    open.read_exact(&mut some).await.unwrap();
    relay.cut();
    let mut rest = Vec::new();
    // Cut: the open line ends, and a new one is closed without an answer.
    let _ = open.read_to_end(&mut rest).await;
    let mut fresh = TcpStream::connect(relay.addr()).await.unwrap();
    let _ = fresh.write_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut nothing = Vec::new();
    let _ = fresh.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    relay.mend();
    assert_eq!(call("GET", &url, &[], "").await.status, 200);
    assert_eq!(broker.seen().len(), 3);
}

#[tokio::test]
async fn a_misbehaving_host_misbehaves_in_its_one_way() {
    let redirect = MisbehavingHost::start(Fault::Redirect("http://127.0.0.1:9/".to_owned())).await.unwrap();
    let answer = call("GET", &redirect.url(), &[], "").await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("http://127.0.0.1:9/")));
    let body = MisbehavingHost::start(Fault::Body("text/html".to_owned(), b"<p>".to_vec())).await.unwrap();
    let answer = call("GET", &body.url(), &[], "").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "<p>"));
    let short = MisbehavingHost::start(Fault::Truncated).await.unwrap();
    assert_eq!(call("GET", &short.url(), &[], "").await.body.len(), 10);
    let silent = MisbehavingHost::start(Fault::Silence).await.unwrap();
    let asked = tokio::time::timeout(std::time::Duration::from_millis(100), call("GET", &silent.url(), &[], "")).await;
    assert!(asked.is_err());
    assert_eq!((redirect.calls(), silent.calls()), (1, 1));
}
