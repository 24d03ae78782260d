//! What the query room says must be found is found, whatever the kinds and odd shapes of values.

use crate::common::*;
use proptest::prelude::*;
use waybill_model::EntityDoc;
use waybill_query::Candidates;
use waybill_store::{Batch, Filter, Store};

fn filter(c: &Candidates) -> Filter {
    match c.clone() {
        Candidates::All => Filter::All,
        Candidates::Ids(ids) => Filter::Ids(ids),
        Candidates::IdPrefix(prefix) => Filter::IdPrefix(prefix),
        Candidates::Scope { path, below } => Filter::Scope { path, below },
        Candidates::Types(types) => Filter::Types(types),
        Candidates::HasAttr(attr) => Filter::HasAttr(attr),
        Candidates::NumRange { attr, lo, hi } => Filter::NumRange { attr, lo, hi },
        Candidates::TextEq { attr, text } => Filter::TextEq { attr, text },
        Candidates::TimeRange { attr, lo, hi } => Filter::TimeRange { attr, lo, hi },
        Candidates::BoolEq { attr, value } => Filter::BoolEq { attr, value },
        Candidates::BBox { attr, bounds } => Filter::BBox { attr, bounds },
        Candidates::And(all) => Filter::And(all.iter().map(filter).collect()),
        Candidates::Or(all) => Filter::Or(all.iter().map(filter).collect()),
    }
}

fn plain() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["0", "-0", "0.1", "1e0", "1.0000000000000002", "179.99999999999997", "9007199254740993", "1e400", "-1E-400"]).prop_map(str::to_owned),
        prop::sample::select(vec![r#""a""#, r#""\u0061""#, r#""""#, r#""2026-11-24T00:00:00Z""#, r#""2026-11-24T00:00:00,000001Z""#, r#""1969-12-31T23:59:59Z""#]).prop_map(str::to_owned),
        Just(r#"{"@type":"urn:x","@value":1}"#.to_owned()),
        Just(r#"{"@value":"a"}"#.to_owned()),
        Just(r#"{"a":{"b":[1]}}"#.to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just(format!("\"{}\"", "long ".repeat(60))),
    ]
}

fn point() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["[0,0]", "[180,-90]", "[-180,90]", "[0.1,0.2]", "[16777217.5,1]", "[1e39,0]", "[-0.1000000001,50.123456789]"]).prop_map(str::to_owned)
}

fn instance() -> impl Strategy<Value = String> {
    let many = || prop::collection::vec(plain(), 0..40).prop_map(|v| format!("[{}]", v.join(",")));
    prop_oneof![
        plain().prop_map(|v| format!(r#"{{"type":"Property","value":{v}}}"#)),
        many().prop_map(|v| format!(r#"{{"type":"Property","value":{v}}}"#)),
        many().prop_map(|v| format!(r#"{{"type":"JsonProperty","json":{v}}}"#)),
        many().prop_map(|v| format!(r#"{{"type":"ListProperty","valueList":{v}}}"#)),
        Just(r#"{"type":"Relationship","object":"urn:x"}"#.to_owned()),
        Just(r#"{"type":"Relationship","object":["urn:y","urn:x"]}"#.to_owned()),
        Just(r#"{"type":"ListRelationship","objectList":[{"object":"urn:x"}]}"#.to_owned()),
        Just(r#"{"type":"VocabProperty","vocab":["urn:x"]}"#.to_owned()),
        Just(r#"{"type":"LanguageProperty","languageMap":{"en":"a","de":["b","c"]}}"#.to_owned()),
        point().prop_map(|p| format!(r#"{{"type":"GeoProperty","value":{{"type":"Point","coordinates":{p}}}}}"#)),
        (point(), point()).prop_map(|(a, b)| format!(r#"{{"type":"GeoProperty","value":{{"type":"LineString","coordinates":[{a},{b}]}}}}"#)),
    ]
}

fn document() -> impl Strategy<Value = EntityDoc> {
    let attrs = prop::collection::btree_map(0u8..2, prop::collection::vec(instance(), 1..3), 0..3);
    (0u8..40, prop::sample::select(vec!["/A", "/A/B", "/AB", "/A0"]), attrs).prop_map(|(id, scope, attrs)| {
        let attrs: Vec<_> = attrs.iter().map(|(n, all)| format!(r#","urn:p:{n}":[{}]"#, all.join(","))).collect();
        let attrs = attrs.concat();
        doc(&format!(r#"{{"id":"urn:e:{id}","type":["urn:t:{}"],"scope":["{scope}"]{attrs}}}"#, id % 2))
    })
}

fn candidates() -> impl Strategy<Value = Candidates> {
    let attr = || (0u8..2).prop_map(|n| format!("urn:p:{n}"));
    let bound = || prop::sample::select(vec![f64::NEG_INFINITY, -1e-300, 0.0, 0.1, 1.0, 1.000_000_000_000_000_2, 9_007_199_254_740_992.0, f64::INFINITY]);
    let text = prop::sample::select(vec!["a", "b", "", "urn:x", "2026-11-24T00:00:00Z"]).prop_map(str::to_owned);
    let text = prop_oneof![4 => text, 1 => Just("long ".repeat(60))];
    let time = || prop::sample::select(vec![i64::MIN, -1_000_000, T0.micros(), T0.micros() + 1, i64::MAX]);
    let side = || prop::sample::select(vec![-180.0, -0.1, 0.0, 0.1, 50.2, 180.0]);
    let leaf = prop_oneof![
        attr().prop_map(Candidates::HasAttr),
        (attr(), bound(), bound()).prop_map(|(attr, lo, hi)| Candidates::NumRange { attr, lo, hi }),
        (attr(), text).prop_map(|(attr, text)| Candidates::TextEq { attr, text }),
        (attr(), time(), time()).prop_map(|(attr, lo, hi)| Candidates::TimeRange { attr, lo, hi }),
        (attr(), any::<bool>()).prop_map(|(attr, value)| Candidates::BoolEq { attr, value }),
        (attr(), side(), side(), side(), side()).prop_map(|(attr, w, s, e, n)| Candidates::BBox { attr, bounds: [w, s, e, n] }),
        (prop::sample::select(vec!["/A", "/A/B"]), any::<bool>()).prop_map(|(path, below)| Candidates::Scope { path: path.into(), below }),
        Just(Candidates::Types(vec!["urn:t:0".into()])),
        Just(Candidates::IdPrefix("urn:e:1".into())),
        Just(Candidates::Ids(vec!["urn:e:1".into(), "urn:e:22".into()])),
        Just(Candidates::All),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let some = prop::collection::vec(inner, 0..3);
        prop_oneof![some.clone().prop_map(Candidates::And), some.prop_map(Candidates::Or)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_indexes_miss_nothing(docs in prop::collection::vec(document(), 1..30), asked in prop::collection::vec(candidates(), 1..20)) {
        let store = Store::memory(clock()).unwrap();
        let mut batch = Batch::new();
        let mut last = std::collections::BTreeMap::new();
        for doc in &docs {
            batch.put_entity(&tenant(), doc);
            last.insert(doc.id().to_owned(), doc);
        }
        store.commit_blocking(batch).unwrap();
        for asked in &asked {
            let found = ids(&store, &tenant(), filter(asked), None);
            for (id, doc) in &last {
                prop_assert!(!asked.holds(doc) || found.contains(id), "{asked:?} must find {}", doc.text());
            }
            prop_assert!(found.is_sorted() && found.windows(2).all(|w| w[0] != w[1]));
        }
    }
}
