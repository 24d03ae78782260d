//! The crash walk over the whole hub: a city's process dies at each commit and each outbound call of a grant and its withdrawal, starts
//! again on its files, and everything comes to its end all the same, once. Once it is city A, which was told; once city B, which receives.

mod hour;
mod town;

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
/// Runs at the same time. Most of a run is waiting for a disk.
const LANES: usize = 6;

/// What came of one run.
struct Run {
    /// The points that the city passed in its first life, in order.
    passed: Vec<String>,
    /// Whether it died at the last of them.
    died: bool,
}

#[test]
fn city_a_may_die_at_any_point_and_nothing_is_lost_and_nothing_happens_twice() {
    walk(City::A, OF_CITY_A);
}

#[test]
fn city_b_may_die_at_any_point_and_nothing_is_lost_and_nothing_happens_twice() {
    walk(City::B, OF_CITY_B);
}

fn walk(who: City, kinds: Kinds) {
    let whole = one(who, "");
    assert!(!whole.died, "nobody told it to");
    // Each point by its kind and its number among those.
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for name in &whole.passed {
        let n = numbers.entry(name).or_default();
        *n += 1;
        points.push(format!("{name}:{n}"));
    }
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
            if one(who, &point).died {
                died.push(point);
            }
        }
    };
    let died: BTreeSet<String> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane of the walk held")).collect()
    });
    println!("{} points of the kinds {numbers:?}; city {who:?} died at {}", points.len(), died.len());
    // A run may pass fewer than the first did: then its last points are not there to die at.
    for &(kind, least) in kinds {
        let n = died.iter().filter(|point| point.rsplit_once(':').is_some_and(|(name, _)| name == kind)).count();
        assert!(n >= least, "city {who:?} died at {n} points of the kind {kind}, not at {least}: {died:?}");
    }
}

/// The whole story, in which `who` dies at point `at`; nowhere when that is empty.
fn one(who: City, at: &str) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut town = Town::new(who, at).await;
        town.grant().await;
        town.withdraw().await;
        town.rest().await;
        town.nothing_is_lost_or_twice().await;
        Run { died: town.died, passed: town.passed() }
    })
}
