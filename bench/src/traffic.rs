//! Requests to a running city: what one costs the hub in CPU time, beside a bare hyper server that answers the same bytes.

use crate::city::{self, APPLICATION, ENTITIES, HITS};
use crate::figure::{Figure, Target, unmeasured};
use crate::program::{Hub, free_port};
use crate::wire::{BARE, Connection};
use crate::{cpu, world};
use bytes::Bytes;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] = &[
    ("http.retrieve.open", "x_bare_hyper", Target::Most(2.0)),
    ("http.retrieve.personal", "x_bare_hyper", Target::Most(4.0)),
    ("http.query.open", "ms", Target::Most(1.0)),
    ("http.query.personal", "ms", Target::Most(3.0)),
    ("journal.personal", "reads/s", Target::Least(5_000.0)),
];

/// Connections that ask at the same time for single entities.
const CLIENTS: usize = 32;
/// Those of `journal.personal`.
const READERS: usize = 64;
const RETRIEVALS: usize = 4_000;
const QUERIES: usize = 10;
const ROUNDS: usize = 5;
const READING: Duration = Duration::from_secs(3);

/// Measures it.
pub fn run(wanted: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let hub = city::start(city::filled()?)?;
    hub.settle()?;
    let runtime = world::runtime()?;
    let open_query = format!("/ngsi-ld/v1/entities?type=AirQualityObserved&q=NO2=={}&limit=1000&count=true", city::no2(3));
    let people_query = "/ngsi-ld/v1/entities?type=SmartMeter&q=activePower%3E=100&limit=1000&count=true".to_owned();
    // Each by itself, so that one that cannot be taken does not take the others along.
    let retrieve = |name, id: &dyn Fn(usize) -> String| runtime.block_on(retrieve(name, &hub, id)).unwrap_or_else(|why| unmeasured(FIGURES, name, &why));
    let query = |name, path: &str, what: &str| runtime.block_on(query(name, &hub, path, what)).unwrap_or_else(|why| unmeasured(FIGURES, name, &why));
    let mut figures = Vec::new();
    for (name, ..) in FIGURES.iter().filter(|(name, ..)| wanted(name)) {
        figures.push(match *name {
            "http.retrieve.open" => retrieve(name, &|n| city::air_id(n % ENTITIES)),
            "http.retrieve.personal" => retrieve(name, &|n| city::meter_id(city::agreed(n))),
            "http.query.open" => query(name, &open_query, "open entities"),
            "http.query.personal" => query(name, &people_query, "people's meters"),
            _ => runtime.block_on(journal(&hub)).unwrap_or_else(|why| unmeasured(FIGURES, name, &why)),
        });
    }
    Ok(figures)
}

async fn retrieve(name: &'static str, hub: &Hub, id: &dyn Fn(usize) -> String) -> Result<Figure, String> {
    let path = |n: usize| format!("/ngsi-ld/v1/entities/{}", id(n));
    let body = Connection::open(hub.addr, Some(APPLICATION)).await?.want(200, "GET", &path(1), Bytes::new()).await?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let bare = bare(folder.path(), &body)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(cost(&bare, APPLICATION, CLIENTS, RETRIEVALS / ROUNDS, &path).await?);
        ours.push(cost(hub, APPLICATION, CLIENTS, RETRIEVALS / ROUNDS, &path).await?);
    }
    let (ours, theirs) = (cpu::median(ours), cpu::median(theirs));
    let note = format!("{} B, {CLIENTS} clients; {ours:.1} us a request, bare {theirs:.1} us", body.len());
    Ok(Figure::of(FIGURES, name, ours / theirs, note))
}

async fn query(name: &'static str, hub: &Hub, path: &str, what: &str) -> Result<Figure, String> {
    let body = Connection::open(hub.addr, Some(APPLICATION)).await?.want(200, "GET", path, Bytes::new()).await?;
    let hits = serde_json::from_slice::<Vec<serde_json::Value>>(&body).map_or(0, |list| list.len());
    if hits != HITS {
        return Err(format!("the query was answered with {hits} hits, not {HITS}"));
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(cost(hub, APPLICATION, 1, QUERIES, &|_| path.to_owned()).await? / 1e3);
    }
    Ok(Figure::of(FIGURES, name, cpu::median(times), format!("{ENTITIES} {what}, {hits} hits in one page, with count; {} kB", body.len() / 1000)))
}

/// Reads of personal data, each answered once the decision is on record, durably: counted by the wall clock.
async fn journal(hub: &Hub) -> Result<Figure, String> {
    let start = Instant::now();
    let end = start + READING;
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..READERS {
        let addr = hub.addr;
        readers.spawn(async move {
            let mut connection = Connection::open(addr, Some(APPLICATION)).await?;
            let mut done = 0usize;
            while Instant::now() < end {
                let path = format!("/ngsi-ld/v1/entities/{}", city::meter_id(city::agreed(reader + done * READERS)));
                connection.want(200, "GET", &path, Bytes::new()).await?;
                done += 1;
            }
            Ok::<_, String>(done)
        });
    }
    let mut done = 0;
    while let Some(of_one) = readers.join_next().await {
        done += of_one.map_err(|e| e.to_string())??;
    }
    let rate = done as f64 / start.elapsed().as_secs_f64();
    Ok(Figure::of(FIGURES, "journal.personal", rate, format!("{READERS} clients for {} s on the same machine, wall clock", READING.as_secs())))
}

fn bare(folder: &Path, body: &Bytes) -> Result<Hub, String> {
    let file = folder.join("body");
    std::fs::write(&file, body).map_err(|e| e.to_string())?;
    let addr = free_port()?;
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command.args([BARE, &addr.to_string()]).arg(&file);
    Hub::launch(command, addr)
}

/// Microseconds of CPU that a request costs the server, when `clients` connections that are kept ask `count` times in all and show
/// `token`.
pub async fn cost(server: &Hub, token: &str, clients: usize, count: usize, path: &dyn Fn(usize) -> String) -> Result<f64, String> {
    let each = count.div_ceil(clients);
    let mut connections = Vec::new();
    for client in 0..clients {
        let mut connection = Connection::open(server.addr, Some(token)).await?;
        // The first request of a connection pays for it.
        connection.want(200, "GET", &path(client), Bytes::new()).await?;
        connections.push((connection, (0..each).map(|n| path(client * each + n)).collect::<Vec<_>>()));
    }
    let spent = || cpu::of(server.pid()).ok_or("the system does not tell CPU times");
    let start = spent()?;
    let mut asking = tokio::task::JoinSet::new();
    for (mut connection, paths) in connections {
        asking.spawn(async move {
            for path in paths {
                connection.want(200, "GET", &path, Bytes::new()).await?;
            }
            Ok::<_, String>(())
        });
    }
    while let Some(done) = asking.join_next().await {
        done.map_err(|e| e.to_string())??;
    }
    Ok(spent()?.saturating_sub(start).as_secs_f64() * 1e6 / (each * clients) as f64)
}
