//! Our hubs as connectors: what a negotiation costs both sides, and what a request under a negotiated agreement costs beside others.

use crate::city::{self, APPLICATION, HITS};
use crate::deal::{Pair, Pull};
use crate::figure::{Figure, Target, unmeasured};
use crate::traffic::cost;
use crate::wire::Connection;
use crate::{cpu, limit, world};
use bytes::Bytes;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use waybill_dsp::{Agreed, Role};
use waybill_exchange::{Hub, Step};
use waybill_gate::{Governance, Licence};
use waybill_model::{Clock, Iri};
use waybill_store::Store;

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] = &[
    ("dsp.negotiations", "a_minute_core", Target::Least(2_000.0)),
    ("dsp.pull", "x_same_query", Target::Most(1.2)),
    ("dsp.agreements", "x_with_10", Target::Most(1.1)),
];

/// Negotiations under way at a time.
const AT_ONCE: usize = 32;
/// Of each of them, so many one after the other in a round.
const EACH: usize = 5;
const ROUNDS: usize = 5;
/// What the provider has left to do when the consumer is done, it does in this time.
const TAIL: Duration = Duration::from_millis(100);
/// Requests in a round, and rounds.
const PULLS: usize = 40;
const PULL_ROUNDS: usize = 15;
/// Agreements at rest.
const FEW: usize = 10;
const MANY: usize = 100_000;
/// Agreements written as one.
const BATCH: usize = 500;

/// Measures it.
pub fn run(wanted: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let runtime = world::runtime()?;
    let mut figures = Vec::new();
    for (name, ..) in FIGURES.iter().filter(|(name, ..)| wanted(name)) {
        let measured = match *name {
            "dsp.negotiations" => negotiations(name, &runtime),
            "dsp.pull" => pull(name, &runtime),
            _ => agreements(name, &runtime),
        };
        figures.push(measured.unwrap_or_else(|why| unmeasured(FIGURES, name, &why)));
    }
    Ok(figures)
}

/// Negotiations from the first word until both sides have the agreement, led by the consumer's operator.
fn negotiations(name: &'static str, runtime: &Runtime) -> Result<Figure, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let pair = Pair::start(folder.path(), city::dataspace)?;
    pair.settle()?;
    runtime.block_on(async {
        let offer = pair.operator().await?.offer().await?;
        let (mut ours, mut theirs, mut walls) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            limit::check()?;
            let before = (spent(&pair.city)?, spent(&pair.consumer)?);
            let began = Instant::now();
            let mut under_way = tokio::task::JoinSet::new();
            for _ in 0..AT_ONCE {
                let (mut operator, offer) = (pair.operator().await?, offer.clone());
                under_way.spawn(async move {
                    for _ in 0..EACH {
                        operator.negotiate(&offer).await?;
                    }
                    Ok::<_, String>(())
                });
            }
            while let Some(done) = under_way.join_next().await {
                done.map_err(|e| e.to_string())??;
            }
            let wall = began.elapsed();
            tokio::time::sleep(TAIL).await;
            // The first round warms up.
            if round > 0 {
                let each = |of: Duration| of.as_secs_f64() / (AT_ONCE * EACH) as f64;
                ours.push(each(spent(&pair.city)?.saturating_sub(before.0)));
                theirs.push(each(spent(&pair.consumer)?.saturating_sub(before.1)));
                walls.push(each(wall));
            }
        }
        let (wanted, there) = (AT_ONCE * EACH * (ROUNDS + 1), pair.finalized().await?);
        if there != wanted {
            return Err(format!("of {wanted} negotiations {there} came to their end at the provider"));
        }
        let (ours, theirs, wall) = (cpu::median(ours), cpu::median(theirs), cpu::median(walls));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let note = format!(
            "{AT_ONCE} at a time, durable; CPU {:.2} ms each, provider {:.2} and consumer {:.2}; {:.0} a minute by the wall clock, {cores} cores",
            (ours + theirs) * 1e3,
            ours * 1e3,
            theirs * 1e3,
            60.0 / wall
        );
        Ok(Figure::of(FIGURES, name, 60.0 / (ours + theirs), note))
    })
}

/// The same page for the same party, by a negotiated agreement and by a configured one.
fn pull(name: &'static str, runtime: &Runtime) -> Result<Figure, String> {
    let pair = Pair::start(city::filled()?, city::dataspace)?;
    runtime.block_on(async {
        let Pull { path, token } = pair.operator().await?.deal().await?;
        pair.settle()?;
        let whole = format!("{path}&limit=1000");
        let (mut ratios, mut told) = (Vec::new(), Vec::new());
        for (path, count) in [(path, PULLS), (whole, PULLS / 5)] {
            let page = ids(&pair, &token, &path).await?;
            if page.is_empty() || page != ids(&pair, APPLICATION, &path).await? {
                return Err("the two agreements do not show the same page".to_owned());
            }
            let (mut pulled, mut asked) = (Vec::new(), Vec::new());
            for _ in 0..PULL_ROUNDS {
                asked.push(cost(&pair.city, APPLICATION, 1, count, &|_| path.clone()).await?);
                pulled.push(cost(&pair.city, &token, 1, count, &|_| path.clone()).await?);
            }
            let (pulled, asked) = (cpu::median(pulled), cpu::median(asked));
            ratios.push(pulled / asked);
            told.push(format!("{} people {:.2} ms, {:.2} ms by a static token", page.len(), pulled / 1e3, asked / 1e3));
        }
        let note = format!("a page of {}; all {} ({:.2})", told[0], told[1], ratios[1]);
        Ok(Figure::of(FIGURES, name, ratios[0], note))
    })
}

async fn ids(pair: &Pair, token: &str, path: &str) -> Result<Vec<Value>, String> {
    let body = Connection::open(pair.city.addr, Some(token)).await?.want(200, "GET", path, Bytes::new()).await?;
    let page: Vec<Value> = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
    Ok(page.into_iter().map(|e| e["id"].clone()).collect())
}

/// A request among many agreements, beside the same among few.
fn agreements(name: &'static str, runtime: &Runtime) -> Result<Figure, String> {
    let (few, many) = (resident(FEW, runtime)?, resident(MANY, runtime)?);
    let start = |folder: &Path| Pair::start(folder, city::dataspace);
    let (few, many) = (start(few.path())?, start(many.path())?);
    runtime.block_on(async {
        let (by_few, by_many) = (few.operator().await?.deal().await?, many.operator().await?.deal().await?);
        few.settle()?;
        many.settle()?;
        let people = ids(&many, &by_many.token, &by_many.path).await?;
        if people.is_empty() || people != ids(&few, &by_few.token, &by_few.path).await? {
            return Err("the two cities do not show the same page".to_owned());
        }
        let (mut among_few, mut among_many) = (Vec::new(), Vec::new());
        for _ in 0..PULL_ROUNDS {
            among_few.push(cost(&few.city, &by_few.token, 1, PULLS, &|_| by_few.path.clone()).await?);
            among_many.push(cost(&many.city, &by_many.token, 1, PULLS, &|_| by_many.path.clone()).await?);
        }
        let (among_few, among_many) = (cpu::median(among_few), cpu::median(among_many));
        let note = format!("{MANY} agreements of one participant; a page of {} people of {HITS} {:.2} ms, with {FEW} {:.2} ms", people.len(), among_many / 1e3, among_few / 1e3);
        Ok(Figure::of(FIGURES, name, among_many / among_few, note))
    })
}

/// The folder of a city of those who agreed, with `count` agreements that its dataset was given out under.
fn resident(count: usize, runtime: &Runtime) -> Result<tempfile::TempDir, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    city::fill_agreed(folder.path())?;
    let clock = Clock::system();
    let store = Store::open(folder.path().join("data"), clock.clone()).map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let governance = Governance::bare("http://127.0.0.1").map_err(|e| e.to_string())?;
        let hub = Hub::open(store, governance, clock).await.map_err(|e| e.to_string())?;
        let all = (0..count).map(|number| agreement(number, &hub)).collect::<Result<Vec<_>, _>>()?;
        for some in all.chunks(BATCH) {
            limit::check()?;
            let mut licences = tokio::task::JoinSet::new();
            for (licence, _) in some {
                let (hub, licence) = (hub.clone(), licence.clone());
                licences.spawn(async move { hub.license(&licence).await });
            }
            while let Some(done) = licences.join_next().await {
                done.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
            }
            let steps = some.iter().map(|(_, agreed)| (hub.ledger("dsp-agreement"), Step::new(&agreed.id, None, agreed)));
            hub.commit_steps(steps.collect()).await.map_err(|e| e.to_string())?;
        }
        hub.store().close().await;
        Ok::<_, String>(())
    })?;
    Ok(folder)
}

fn agreement(number: usize, hub: &Hub) -> Result<(Licence, Agreed), String> {
    let iri = |text: &str| Iri::new(text).map_err(|e| e.to_string());
    let id = format!("urn:uuid:00000000-0000-4000-8000-{number:012}");
    let purpose = iri("https://w3id.org/waybill/purpose#EnergyAdvice")?;
    let dataset = "urn:waybill:dataset:meters".to_owned();
    let policy = json!({
        "@id": id, "@type": "Agreement", "target": dataset, "assigner": city::CITY, "assignee": city::CONSUMER,
        "permission": [{ "action": "use", "constraint": [{ "leftOperand": "odrl:purpose", "operator": "isA", "rightOperand": { "@id": purpose } }] }],
    });
    let licence = Licence {
        id: iri(&id)?,
        tenant: waybill_model::TenantId::main(),
        participant: city::CONSUMER.to_owned(),
        party: iri("https://city-b.example/#city")?,
        purposes: vec![purpose.clone()],
        dataset: dataset.clone(),
        types: vec![iri("https://uri.etsi.org/ngsi-ld/default-context/SmartMeter")?],
        ids: Vec::new(),
        attributes: Vec::new(),
        open: false,
        pairwise: true,
        from: None,
        until: None,
        ended: None,
    };
    let at = hub.clock().now();
    let agreed = Agreed { id, role: Role::Provider, participant: city::CONSUMER.to_owned(), dataset, purpose: Some(purpose), policy, at, until: None, ended: None };
    Ok((licence, agreed))
}

fn spent(hub: &crate::program::Hub) -> Result<Duration, String> {
    cpu::of(hub.pid()).ok_or_else(|| "the system does not tell CPU times".to_owned())
}
