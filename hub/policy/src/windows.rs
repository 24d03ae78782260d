//! Sets of instants as sorted, disjoint, closed intervals of microseconds.

use crate::ast::{Combine, Operator};

/// First and last microsecond.
pub(crate) type Window = (i64, i64);

/// The instants for which `time operator at` holds for one (or, of a list, any or none) of `at`; `None` when the operator compares no times.
pub(crate) fn of_operator(operator: Operator, at: &[i64]) -> Option<Vec<Window>> {
    let first = *at.first()?;
    let after = |t: i64| t.checked_add(1).map(|t| (t, i64::MAX));
    let before = |t: i64| t.checked_sub(1).map(|t| (i64::MIN, t));
    Some(match operator {
        Operator::Eq => vec![(first, first)],
        Operator::Neq => before(first).into_iter().chain(after(first)).collect(),
        Operator::Gt => after(first).into_iter().collect(),
        Operator::Gteq => vec![(first, i64::MAX)],
        Operator::Lt => before(first).into_iter().collect(),
        Operator::Lteq => vec![(i64::MIN, first)],
        Operator::IsAnyOf => combine(Combine::Or, &at.iter().map(|t| vec![(*t, *t)]).collect::<Vec<_>>()),
        Operator::IsNoneOf => {
            let sets: Vec<Vec<Window>> = at.iter().map(|t| before(*t).into_iter().chain(after(*t)).collect()).collect();
            combine(Combine::And, &sets)
        }
        Operator::IsA | Operator::IsAllOf | Operator::IsPartOf | Operator::HasPart => return None,
    })
}

/// All, any or exactly one of `sets`, by counting at each boundary how many of them cover it.
pub(crate) fn combine(how: Combine, sets: &[Vec<Window>]) -> Vec<Window> {
    let mut edges: Vec<(i128, i64)> = Vec::new();
    for &(from, to) in sets.iter().flatten() {
        edges.push((i128::from(from), 1));
        edges.push((i128::from(to) + 1, -1));
    }
    edges.sort_unstable();
    let all = i64::try_from(sets.len()).unwrap_or(i64::MAX);
    let wanted = |count: i64| match how {
        Combine::And | Combine::AndSequence => count == all,
        Combine::Or => count > 0,
        Combine::Xone => count == 1,
    };
    let (mut out, mut count, mut open, mut i) = (Vec::new(), 0i64, None::<i128>, 0);
    while i < edges.len() {
        let at = edges[i].0;
        while i < edges.len() && edges[i].0 == at {
            count += edges[i].1;
            i += 1;
        }
        match (open, wanted(count)) {
            (None, true) => open = Some(at),
            (Some(from), false) => {
                out.push((clamp(from), clamp(at - 1)));
                open = None;
            }
            _ => {}
        }
    }
    out
}

fn clamp(at: i128) -> i64 {
    i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX })
}

/// Whether `at` lies in one of the windows, and the first later instant at which that changes ([`i64::MAX`]: never).
pub(crate) fn find(windows: &[Window], at: i64) -> (bool, i64) {
    let next = windows.partition_point(|w| w.1 < at);
    match windows.get(next) {
        Some(&(from, to)) if from <= at => (true, to.saturating_add(1)),
        Some(&(from, _)) => (false, from),
        None => (false, i64::MAX),
    }
}
