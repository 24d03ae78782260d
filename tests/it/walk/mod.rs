//! The crash walks over the whole hub: a process dies at each commit and each outbound call of a story, starts again on its files, and
//! everything comes to its end all the same, once. The stories are a grant and its withdrawal between two cities, of which once city A
//! dies, which was told, and once city B, which receives; and a company's deal with a city, of which once each of the two dies.

mod hour;
mod pair;
mod space;
mod town;

use pair::{Pair, Stage};
use space::{Side, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use town::{City, Town};

/// The kinds of points, with the least number of each that a run passes. Workers and groups of commits make the numbers vary from run to
/// run; below these, something is no longer walked.
type Kinds = &'static [(&'static str, usize)];
const OF_CITY_A: Kinds = &[
    ("commit", 12),
    ("committed", 12),
    // To city B and to the broker: what was granted, and that it is gone.
    ("deliver", 4),
    ("delivered", 4),
    // The withdrawal, to city B.
    ("notice", 1),
    ("noticed", 1),
    // What city B and the broker answered, to her.
    ("pod", 2),
    ("pod-done", 2),
    ("store.commit.before", 16),
    ("store.commit.after", 16),
    // The withdrawal's epoch, in the ledger.
    ("store.epoch.after", 1),
];
const OF_CITY_B: Kinds = &[
    // The inbox, what was admitted, what its broker was shown, the event and the answers; no more than about half of what is usual.
    ("commit", 7),
    ("committed", 7),
    // To its broker: what it got, and that it is gone.
    ("deliver", 2),
    ("delivered", 2),
    // To city A: that the withdrawal has been done.
    ("notice", 1),
    ("noticed", 1),
    ("store.commit.before", 12),
    ("store.commit.after", 12),
    // City A's withdrawal, in the ledger.
    ("store.epoch.after", 1),
];
/// What both sides of a deal pass: a step of a process is a commit of its own kind.
const OF_THE_PROVIDER: Kinds = &[
    // What is to be seen and taken back, and the licence.
    ("commit", 6),
    ("committed", 6),
    // Of the negotiation: the request, the verification, that the event was taken; of each transfer: the request, that the start was taken,
    // the suspension, that it was taken.
    ("step", 11),
    ("stepped", 11),
    // The agreement and its event; of each transfer the start and the suspension.
    ("message", 6),
    ("messaged", 6),
    // To the feed: both people's data, and that each is gone.
    ("deliver", 3),
    ("delivered", 3),
    ("store.commit.before", 20),
    ("store.commit.after", 20),
    // Both withdrawals, in the ledger.
    ("store.epoch.after", 2),
];
const OF_THE_CONSUMER: Kinds = &[
    // Of the negotiation: the request, the agreement, the event; of each transfer: the request, the start and the suspension. That a message
    // was taken is no step of its own when the other side's next one was faster.
    ("step", 9),
    ("stepped", 9),
    // The request and the verification; each transfer's request.
    ("message", 4),
    ("messaged", 4),
    ("store.commit.before", 9),
    ("store.commit.after", 9),
];
/// Runs at the same time. Most of a run is waiting for a disk.
const LANES: usize = 6;

/// What came of one run.
struct Run {
    /// The points that the city passed in its first life, in order.
    passed: Vec<String>,
    /// How many of them it passed before the story began.
    before: usize,
    /// Whether it died at the last of them.
    died: bool,
}

#[test]
fn city_a_may_die_at_any_point_and_nothing_is_lost_and_nothing_happens_twice() {
    walk("city A", OF_CITY_A, |at| consent(City::A, at));
}

#[test]
fn city_b_may_die_at_any_point_and_nothing_is_lost_and_nothing_happens_twice() {
    walk("city B", OF_CITY_B, |at| consent(City::B, at));
}

#[test]
fn a_provider_may_die_at_any_point_and_nothing_is_lost_and_nothing_agreed_twice() {
    walk("the provider", OF_THE_PROVIDER, |at| deal(Side::City, at));
}

#[test]
fn a_consumer_may_die_at_any_point_and_nothing_is_lost_and_nothing_agreed_twice() {
    walk("the consumer", OF_THE_CONSUMER, |at| deal(Side::Company, at));
}

fn walk(who: &str, kinds: Kinds, one: impl Fn(&str) -> Run + Sync) {
    let whole = one("");
    assert!(!whole.died, "nobody told it to");
    // Each point by its kind and its number among those.
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for name in &whole.passed {
        let n = numbers.entry(name).or_default();
        *n += 1;
        points.push(format!("{name}:{n}"));
    }
    // What comes before the story is no part of it.
    let points = points.split_off(whole.before);
    for name in &whole.passed[..whole.before] {
        *numbers.entry(name).or_default() -= 1;
    }
    numbers.retain(|_, n| *n > 0);
    for &(kind, least) in kinds {
        let n = numbers.get(kind).copied().unwrap_or_default();
        assert!(n >= least, "{n} points of the kind {kind}, not {least}: {numbers:?}");
    }
    let unknown: Vec<&&str> = numbers.keys().filter(|name| !kinds.iter().any(|(kind, _)| kind == *name)).collect();
    assert!(unknown.is_empty(), "a new kind of point has its floor above: {unknown:?}");

    let left = Mutex::new(points.clone());
    let lane = || {
        let mut died = Vec::new();
        loop {
            let next = left.lock().expect("no lane failed").pop();
            let Some(point) = next else { return died };
            if one(&point).died {
                died.push(point);
            }
        }
    };
    let died: BTreeSet<String> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane of the walk held")).collect()
    });
    println!("{} points of the kinds {numbers:?}; {who} died at {}", points.len(), died.len());
    // A run may pass fewer than the first did: then its last points are not there to die at.
    for &(kind, least) in kinds {
        let n = died.iter().filter(|point| point.rsplit_once(':').is_some_and(|(name, _)| name == kind)).count();
        assert!(n >= least, "{who} died at {n} points of the kind {kind}, not at {least}: {died:?}");
    }
}

/// The whole story of a grant and its withdrawal, in which `who` dies at point `at`; nowhere when that is empty.
fn consent(who: City, at: &str) -> Run {
    played(async {
        let mut town = Town::new(who, at).await;
        town.grant().await;
        town.withdraw().await;
        town.rest().await;
        town.nothing_is_lost_or_twice().await;
        Run::of(&town.pair, 0)
    })
}

/// The whole story of a deal, in which `who` dies at point `at`; nowhere when that is empty.
fn deal(who: Side, at: &str) -> Run {
    played(async {
        let mut space = Space::new(who, at).await;
        let before = if at.is_empty() { space.at_rest().await } else { 0 };
        space.agree().await;
        space.begin_transfers().await;
        space.data_flows().await;
        space.people_leave().await;
        space.rest().await;
        space.nothing_is_lost_or_twice().await;
        Run::of(&space.pair, before)
    })
}

fn played(story: impl Future<Output = Run>) -> Run {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
}

impl Run {
    fn of(pair: &Pair, before: usize) -> Self {
        Self { passed: pair.passed(), before, died: pair.died }
    }
}
