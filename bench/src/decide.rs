//! Decisions: one consent, one policy with many windows, a hundred thousand consents.

use crate::cpu;
use crate::figure::{Figure, Target};
use std::hint::black_box;
use waybill_policy::bench_support::{ask_consent, ask_office_hours, consent, office_hours};
use waybill_policy::{PolicySet, Profile, compile};

/// What this group measures.
pub const FIGURES: &[(&str, &str, Target)] = &[
    ("decide.ordinary", "us", Target::Most(0.5)),
    ("decide.windows264", "us", Target::Most(1.0)),
    ("decide.100k", "us", Target::Most(2.0)),
    ("decide.100k.memory", "MB", Target::Most(200.0)),
];

const ROUNDS: usize = 7;
const CALLS: u32 = 20_000;
const MANY: usize = 100_000;

/// Measures it.
pub fn run(_: &crate::Wanted<'_>) -> Result<Vec<Figure>, String> {
    let faults = |all: Vec<waybill_policy::Diagnostic>| all.first().map_or_else(String::new, ToString::to_string);
    let profile = Profile::waybill();
    let one = compile(&consent(0), &profile).map_err(faults)?;
    let windows = compile(&office_hours(264), &profile).map_err(faults)?;
    let before = cpu::resident(std::process::id()).unwrap_or_default();
    let mut set = PolicySet::new(&profile);
    for number in 0..MANY {
        set.insert(compile(&consent(number), &profile).map_err(faults)?).map_err(|d| d.to_string())?;
    }
    let memory = cpu::resident(std::process::id()).unwrap_or_default().saturating_sub(before) as f64 / 1e6;

    let opens = ask_consent(0, 0, |r| one.decide(r).allow) && ask_office_hours(|r| windows.decide(r).allow) && ask_consent(777, 777, |r| set.decide(r).allow);
    if !opens || ask_consent(777, 778, |r| set.decide(r).allow) {
        return Err("the measured decisions are wrong".to_owned());
    }
    let times = ask_consent(0, 0, |ordinary| {
        ask_office_hours(|office| {
            ask_consent(777, 777, |among| {
                cpu::each(ROUNDS, CALLS, &mut [
                    &mut || {
                        black_box(one.decide(black_box(ordinary)));
                    },
                    &mut || {
                        black_box(windows.decide(black_box(office)));
                    },
                    &mut || {
                        black_box(set.decide(black_box(among)));
                    },
                ])
            })
        })
    });
    let figure = |name, value, note: &str| Figure::of(FIGURES, name, value, note);
    Ok(vec![
        figure("decide.ordinary", times[0], ""),
        figure("decide.windows264", times[1], ""),
        figure("decide.100k", times[2], "one request among 100,000 consents"),
        figure("decide.100k.memory", memory, "growth of resident memory"),
    ])
}
