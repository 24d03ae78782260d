//! Requests to a running hub: what one costs the hub in CPU time, beside a bare hyper server that answers the same bytes.

use crate::figure::{Figure, Target};
use crate::program::{Hub, free_port};
use crate::{cpu, sample, world};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] = &[
    ("http.retrieve.open", "x_bare_hyper", Target::Most(2.0)),
    ("http.retrieve.personal", "x_bare_hyper", Target::Most(4.0)),
    ("http.query.open", "ms", Target::Most(1.0)),
    ("http.query.personal", "ms", Target::Most(3.0)),
    ("journal.personal", "reads/s", Target::Least(5_000.0)),
];

/// The hidden mode in which this program is the bare server.
pub const BARE: &str = "serve-bare";

const ENTITIES: usize = 100_000;
const BATCH: usize = 500;
/// The values of `NO2` come round after this many entities, so that one value has about this share of all.
const HITS: usize = 200;
const RETRIEVALS: usize = 20_000;
const QUERIES: usize = 100;
const ROUNDS: usize = 5;

/// Measures it.
pub fn run() -> Result<Vec<Figure>, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    fill(folder.path(), ENTITIES)?;
    let hub = Hub::start(folder.path())?;
    let runtime = world::runtime()?;
    let path = format!("/ngsi-ld/v1/entities/{}", id(1));
    let (status, body) = runtime.block_on(one(hub.addr, "GET", &path, Bytes::new()))?;
    if status != 200 {
        return Err(format!("retrieving an entity was answered {status}"));
    }
    let file = folder.path().join("bare-body");
    std::fs::write(&file, &body).map_err(|e| e.to_string())?;
    let bare_addr = free_port()?;
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command.args([BARE, &bare_addr.to_string()]).arg(&file);
    let bare = Hub::launch(command, bare_addr)?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(runtime.block_on(cost(&bare, &path, RETRIEVALS / ROUNDS))?);
        ours.push(runtime.block_on(cost(&hub, &path, RETRIEVALS / ROUNDS))?);
    }
    let (ours, theirs) = (cpu::median(ours), cpu::median(theirs));
    let note = format!("{} B; {ours:.1} us a request, bare {theirs:.1} us", body.len());
    let mut figures = vec![Figure::of(FIGURES, "http.retrieve.open", ours / theirs, note)];

    let query = format!("/ngsi-ld/v1/entities?type=AirQualityObserved&q=NO2=={}&limit=1000&count=true", no2(3));
    let (status, body) = runtime.block_on(one(hub.addr, "GET", &query, Bytes::new()))?;
    let hits = serde_json::from_slice::<Vec<serde_json::Value>>(&body).map_or(0, |list| list.len());
    if status == 200 && hits == HITS {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(runtime.block_on(cost(&hub, &query, QUERIES / ROUNDS))? / 1e3);
        }
        figures.push(Figure::of(FIGURES, "http.query.open", cpu::median(times), format!("{ENTITIES} entities, {hits} hits in one page, with count")));
    } else {
        eprintln!("http.query.open: the query was answered {status} with {hits} hits, not 200 with {HITS}");
    }
    Ok(figures)
}

/// Puts `count` entities into the hub that keeps its data in `folder`, through its interface.
pub fn fill(folder: &Path, count: usize) -> Result<(), String> {
    let hub = Hub::start(folder)?;
    let runtime = world::runtime()?;
    for start in (0..count).step_by(BATCH) {
        let batch: Vec<String> = (start..(start + BATCH).min(count)).map(entity).collect();
        let body = Bytes::from(format!("[{}]", batch.join(",")));
        let (status, answer) = runtime.block_on(one(hub.addr, "POST", "/ngsi-ld/v1/entityOperations/create", body))?;
        if status != 201 {
            return Err(format!("creating entities was answered {status}: {}", String::from_utf8_lossy(&answer).chars().take(200).collect::<String>()));
        }
    }
    Ok(())
}

fn id(number: usize) -> String {
    format!("urn:ngsi-ld:AirQualityObserved:{number:06}")
}

fn no2(number: usize) -> usize {
    number % (ENTITIES / HITS)
}

/// The sample entity with the id and the `NO2` that queries ask for.
fn entity(number: usize) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&sample::entity(number)).unwrap_or_default();
    value["id"] = id(number).into();
    value["NO2"]["value"] = no2(number).into();
    value.to_string()
}

/// Microseconds of CPU that a request costs the server, over one connection that is kept.
async fn cost(server: &Hub, path: &str, count: usize) -> Result<f64, String> {
    let mut connection = connect(server.addr).await?;
    // The first requests of a connection pay for it.
    for _ in 0..20 {
        ask(&mut connection, "GET", path, Bytes::new()).await?;
    }
    let start = cpu::of(server.pid()).ok_or("the system does not tell CPU times")?;
    for _ in 0..count {
        ask(&mut connection, "GET", path, Bytes::new()).await?;
    }
    let spent = cpu::of(server.pid()).ok_or("the system does not tell CPU times")?.saturating_sub(start);
    Ok(spent.as_secs_f64() * 1e6 / count as f64)
}

async fn one(addr: SocketAddr, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes), String> {
    ask(&mut connect(addr).await?, method, path, body).await
}

async fn connect(addr: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = tokio::net::TcpStream::connect(addr).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(connection: &mut SendRequest<Full<Bytes>>, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes), String> {
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body))
        .map_err(|e| e.to_string())?;
    connection.ready().await.map_err(|e| e.to_string())?;
    let response = connection.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes()))
}

/// Serves the bytes of a file to every request, with nothing around hyper.
pub fn serve_bare(arguments: &[String]) -> ExitCode {
    let [addr, file] = arguments else { return ExitCode::FAILURE };
    let (Ok(addr), Ok(body), Ok(runtime)) = (addr.parse::<SocketAddr>(), std::fs::read(file), tokio::runtime::Runtime::new()) else {
        return ExitCode::FAILURE;
    };
    let body = Bytes::from(body);
    runtime.block_on(async move {
        let Ok(listener) = tokio::net::TcpListener::bind(addr).await else { return };
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let body = body.clone();
            let service = service_fn(move |_| {
                let mut response = http::Response::new(Full::new(body.clone()));
                response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move { hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
        }
    });
    ExitCode::SUCCESS
}
