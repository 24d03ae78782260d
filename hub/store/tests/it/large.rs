//! More entities than are gathered at once: then they are walked in the order of identifiers.

use crate::common::*;
use std::ops::ControlFlow;
use waybill_store::{Batch, Filter, Store};

const N: usize = 4700;

type Keep = fn(usize) -> bool;

fn filled() -> Store {
    let store = Store::memory(clock()).unwrap();
    let mut batch = Batch::new();
    for n in 0..N {
        let rest = format!(
            r#""scope":["/A/B{}"],"urn:n":[{{"type":"Property","value":{n}}}],"urn:w":[{{"type":"GeoProperty","value":{{"type":"Point","coordinates":[{},0]}}}}]"#,
            n % 2,
            n % 180
        );
        batch.put_entity(&tenant(), &entity(&format!("urn:e:{n:05}"), if n % 100 == 0 { "urn:Rare" } else { "urn:Common" }, &rest));
    }
    store.commit_blocking(batch).unwrap();
    store
}

#[test]
fn large_sets_are_walked_and_paged_without_a_gap() {
    let store = filled();
    let range = |lo, hi| Filter::NumRange { attr: "urn:n".into(), lo, hi };
    let common = || Filter::Types(vec!["urn:Common".into()]);
    let world = || Filter::BBox { attr: "urn:w".into(), bounds: [-180.0, -90.0, 180.0, 90.0] };
    let cases: Vec<(Filter, Keep)> = vec![
        (Filter::All, |_| true),
        (common(), |n| n % 100 != 0),
        (Filter::HasAttr("urn:n".into()), |_| true),
        (range(3.0, 1e9), |n| n >= 3),
        (world(), |_| true),
        (Filter::Scope { path: "/A".into(), below: true }, |_| true),
        (Filter::IdPrefix("urn:e:0".into()), |_| true),
        (Filter::And(vec![common(), range(3.0, 1e9)]), |n| n % 100 != 0 && n >= 3),
        (Filter::And(vec![common(), range(100.0, 110.0)]), |n| n % 100 != 0 && (100..=110).contains(&n)),
        (Filter::Or(vec![range(-1.0, 5.0), common()]), |n| n <= 5 || n % 100 != 0),
        (Filter::Or(vec![range(-1.0, 5.0), Filter::All]), |_| true),
    ];
    for (filter, keep) in cases {
        let expected: Vec<String> = (0..N).filter(|n| keep(*n)).map(|n| format!("urn:e:{n:05}")).collect();
        let mut found: Vec<String> = Vec::new();
        loop {
            let (after, one) = (found.last().cloned(), filter.clone());
            let page = read(&store, move |r| {
                let mut page = Vec::new();
                r.candidates(&tenant(), &one, after.as_deref(), |e| {
                    page.push(e.id().to_owned());
                    if page.len() == 1900 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                Ok(page)
            });
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert!(found == expected, "{filter:?}: {} of {}", found.len(), expected.len());
        assert_eq!(read(&store, move |r| r.count(&tenant(), &filter)), expected.len() as u64);
    }
    // A small part narrows; the large ones beside it may be left out, and nothing is missed.
    let rare = Filter::And(vec![world(), range(0.0, 1e9), Filter::Types(vec!["urn:Rare".into()])]);
    assert_eq!(ids(&store, &tenant(), rare, None).len(), N / 100);
}

#[test]
fn a_condition_of_many_parts_is_answered_and_a_monstrous_one_only_widens() {
    let store = filled();
    let one = |n: usize| Filter::NumRange { attr: "urn:n".into(), lo: n as f64, hi: n as f64 };
    let some = Filter::Or((0..140).map(|n| one(n * 7)).collect());
    assert_eq!(ids(&store, &tenant(), some, None).len(), 140);
    let many = Filter::Or((0..5000).map(one).collect());
    let deep = (0..5000).fold(one(1), |inner, _| Filter::And(vec![Filter::Or(vec![inner])]));
    for monster in [many, deep] {
        assert_eq!(read(&store, move |r| r.count(&tenant(), &monster)), N as u64);
    }
}
