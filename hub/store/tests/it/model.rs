//! Random batches against a model in plain maps.

use crate::common::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use waybill_model::{EntityDoc, TenantId};
use waybill_store::{Batch, Filter, Store, StoreError};

/// A value of the one Property that entities here have, and what it is to a look-up.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Num(f64),
    Text(String),
    Bool(bool),
    Time(i64),
    Many(Vec<Value>),
    Object,
    Target(String),
}

impl Value {
    fn json(&self) -> String {
        match self {
            Self::Num(n) => n.to_string(),
            Self::Text(t) => serde_json::to_string(t).unwrap(),
            Self::Bool(b) => b.to_string(),
            Self::Time(s) => format!("\"{}\"", T0.plus_seconds(*s)),
            Self::Many(all) => format!("[{}]", all.iter().map(Self::json).collect::<Vec<_>>().join(",")),
            Self::Object => r#"{"a":1}"#.into(),
            Self::Target(t) => format!("\"{t}\""),
        }
    }
    fn instance(&self) -> String {
        match self {
            Self::Target(_) => format!(r#"{{"type":"Relationship","object":{}}}"#, self.json()),
            _ => format!(r#"{{"type":"Property","value":{}}}"#, self.json()),
        }
    }
    /// Whether a look-up that accepts `want` must find it; an object may always be found.
    fn any(&self, want: &dyn Fn(&Value) -> bool) -> bool {
        match self {
            Self::Many(all) => all.iter().any(|v| v.any(want)),
            Self::Object => true,
            one => want(one),
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        (-4i32..4).prop_map(|n| Value::Num(f64::from(n) / 2.0)),
        Just(Value::Num(-0.0)),
        "[ab]{0,2}".prop_map(Value::Text),
        Just(Value::Text("é\"\\".repeat(80))),
        any::<bool>().prop_map(Value::Bool),
        (-2i64..3).prop_map(Value::Time),
        Just(Value::Object),
    ];
    prop_oneof![6 => plain.clone(), 1 => prop::collection::vec(plain, 0..4).prop_map(Value::Many), 1 => "[xy]".prop_map(|t| Value::Target(format!("urn:{t}")))]
}

#[derive(Debug, Clone)]
struct Made {
    id: String,
    types: BTreeSet<u8>,
    attrs: BTreeMap<u8, Value>,
    place: Option<(i8, i8)>,
    scope: Option<u8>,
}

type Keep = Box<dyn Fn(&Made) -> bool>;

const SCOPES: [&str; 3] = ["/A", "/A/B", "/AB"];

impl Made {
    fn doc(&self) -> EntityDoc {
        let types: Vec<String> = self.types.iter().map(|t| format!("\"urn:t:{t}\"")).collect();
        let mut text = format!(r#"{{"id":"{}","type":[{}]"#, self.id, types.join(","));
        if let Some(s) = self.scope {
            let _ = write!(text, r#","scope":["{}"]"#, SCOPES[s as usize]);
        }
        for (name, value) in &self.attrs {
            let _ = write!(text, r#","urn:p:{name}":[{}]"#, value.instance());
        }
        if let Some((x, y)) = self.place {
            let _ = write!(text, r#","urn:where":[{{"type":"GeoProperty","value":{{"type":"Point","coordinates":[{x}.25,{y}]}}}}]"#);
        }
        doc(&(text + "}"))
    }
}

fn made() -> impl Strategy<Value = Made> {
    (
        0u8..12,
        prop::collection::btree_set(0u8..3, 1..3),
        prop::collection::btree_map(0u8..3, value(), 0..3),
        prop::option::of((-3i8..3, -3i8..3)),
        prop::option::of(0u8..3),
    )
        .prop_map(|(id, types, attrs, place, scope)| Made { id: format!("urn:e:{id:02}"), types, attrs, place, scope })
}

#[derive(Debug, Clone)]
enum Step {
    Put(bool, Made),
    Delete(bool, u8),
    Append(u8, Vec<u8>),
    Chain(u8),
    PutDoc(u8, Vec<u8>, Option<i64>),
    DeleteDoc(u8),
    Expect(bool, u8, Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (any::<bool>(), made()).prop_map(|(t, m)| Step::Put(t, m)),
        2 => (any::<bool>(), 0u8..12).prop_map(|(t, id)| Step::Delete(t, id)),
        1 => (0u8..2, any::<Vec<u8>>()).prop_map(|(s, p)| Step::Append(s, p)),
        1 => (0u8..2).prop_map(Step::Chain),
        2 => (0u8..5, any::<Vec<u8>>(), prop::option::of(-5i64..5)).prop_map(|(k, p, d)| Step::PutDoc(k, p, d)),
        1 => (0u8..5).prop_map(Step::DeleteDoc),
        1 => (any::<bool>(), 0u8..12, prop::option::of(1u64..3)).prop_map(|(t, id, v)| Step::Expect(t, id, v)),
    ]
}

/// What the store should hold. The flag is the tenant.
#[derive(Debug, Clone, Default, PartialEq)]
struct World {
    entities: BTreeMap<(bool, String), (u64, Made)>,
    streams: BTreeMap<String, Vec<Vec<u8>>>,
    docs: BTreeMap<String, (Vec<u8>, Option<i64>)>,
}
impl PartialEq for Made {
    fn eq(&self, other: &Self) -> bool {
        self.doc() == other.doc()
    }
}

fn tenant_of(flag: bool) -> TenantId {
    TenantId::new(if flag { "second" } else { "" }).unwrap()
}
fn id_of(n: u8) -> String {
    format!("urn:e:{n:02}")
}
fn chained(seq: u64, last: Option<&[u8]>) -> Vec<u8> {
    let mut out = seq.to_be_bytes().to_vec();
    out.extend(last.unwrap_or(b"none").iter().take(9));
    out
}

impl World {
    /// The batch, and the world after it; nothing when a precondition fails.
    fn act(&self, steps: &[Step]) -> (Batch, Option<World>) {
        let (mut batch, mut next, mut good) = (Batch::new(), self.clone(), true);
        for step in steps {
            match step.clone() {
                Step::Put(t, made) => {
                    batch.put_entity(&tenant_of(t), &made.doc());
                    let entry = next.entities.entry((t, made.id.clone())).or_insert((0, made.clone()));
                    *entry = (entry.0 + 1, made);
                }
                Step::Delete(t, id) => {
                    batch.delete_entity(&tenant_of(t), &id_of(id));
                    next.entities.remove(&(t, id_of(id)));
                }
                Step::Append(s, payload) => {
                    batch.append(&format!("s{s}"), payload.clone());
                    next.streams.entry(format!("s{s}")).or_default().push(payload);
                }
                Step::Chain(s) => {
                    batch.append_with(&format!("s{s}"), chained);
                    let stream = next.streams.entry(format!("s{s}")).or_default();
                    let made = chained(stream.len() as u64 + 1, stream.last().map(Vec::as_slice));
                    stream.push(made);
                }
                Step::PutDoc(k, payload, due) => {
                    batch.put_doc("space", &format!("k{k}"), payload.clone(), due.map(|s| T0.plus_seconds(s)));
                    next.docs.insert(format!("k{k}"), (payload, due));
                }
                Step::DeleteDoc(k) => {
                    batch.delete_doc("space", &format!("k{k}"));
                    next.docs.remove(&format!("k{k}"));
                }
                Step::Expect(t, id, version) => {
                    batch.expect_version(&tenant_of(t), &id_of(id), version);
                    good &= self.entities.get(&(t, id_of(id))).map(|(v, _)| *v) == version;
                }
            }
        }
        (batch, good.then_some(next))
    }

    fn check(&self, store: &Store) {
        for flag in [false, true] {
            let tenant = tenant_of(flag);
            let mine: Vec<_> = self.entities.iter().filter(|((t, _), _)| *t == flag).collect();
            for ((_, id), (version, made)) in &mine {
                let (tenant, id) = (tenant.clone(), id.clone());
                let got = read(store, move |r| r.entity(&tenant, &id)).expect("it is there");
                assert_eq!((got.system.version, got.text()), (*version, made.doc().text()));
            }
            self.check_filters(store, flag);
        }
        for (name, expected) in &self.streams {
            let name = name.clone();
            let got = read(store, move |r| r.stream(&name, 1, usize::MAX));
            let expected: Vec<_> = expected.iter().enumerate().map(|(i, p)| (i as u64 + 1, p.clone())).collect();
            assert_eq!(got, expected);
        }
        let docs: Vec<_> = read(store, |r| r.docs("space", "k", 100, None)).into_iter().map(|d| (d.key, (d.payload, d.due))).collect();
        let expected: Vec<_> = self.docs.iter().map(|(k, (p, due))| (k.clone(), (p.clone(), due.map(|s| T0.plus_seconds(s))))).collect();
        assert_eq!(docs, expected);
        let due: BTreeSet<_> = read(store, |r| r.due("space", T0, 100)).into_iter().map(|d| d.key).collect();
        let expected: BTreeSet<_> = self.docs.iter().filter(|(_, (_, due))| due.is_some_and(|s| s <= 0)).map(|(k, _)| k.clone()).collect();
        assert_eq!(due, expected);
    }

    /// Each filter gives exactly those that the model gives: values here are simple enough for the indexes to be exact, but for objects.
    fn check_filters(&self, store: &Store, flag: bool) {
        let value = |attr: u8, want: fn(&Value) -> bool| move |m: &Made| m.attrs.get(&attr).is_some_and(|v| empty(v) || v.any(&want));
        let p = |n: u8| format!("urn:p:{n}");
        let num = |attr, lo, hi| Filter::NumRange { attr, lo, hi };
        let long = "é\"\\".repeat(80);
        let cases: Vec<(Filter, Keep)> = vec![
            (Filter::All, Box::new(|_| true)),
            (Filter::Types(vec!["urn:t:1".into()]), Box::new(|m| m.types.contains(&1))),
            (Filter::Types(vec!["urn:t:1".into(), "urn:t:2".into(), "urn:t:9".into()]), Box::new(|m| m.types.contains(&1) || m.types.contains(&2))),
            (Filter::HasAttr(p(0)), Box::new(|m| m.attrs.contains_key(&0))),
            (num(p(0), 0.0, 1.0), Box::new(value(0, |v| matches!(v, Value::Num(n) if (0.0..=1.0).contains(n))))),
            (num(p(1), f64::NEG_INFINITY, -0.5), Box::new(value(1, |v| matches!(v, Value::Num(n) if *n <= -0.5)))),
            (Filter::TextEq { attr: p(0), text: "ab".into() }, Box::new(value(0, |v| *v == Value::Text("ab".into())))),
            (Filter::TextEq { attr: p(1), text: long }, Box::new(value(1, |v| matches!(v, Value::Text(t) if t.len() > 100)))),
            (Filter::TextEq { attr: p(1), text: "urn:x".into() }, Box::new(value(1, |v| *v == Value::Target("urn:x".into())))),
            (Filter::BoolEq { attr: p(2), value: true }, Box::new(value(2, |v| *v == Value::Bool(true)))),
            (
                Filter::TimeRange { attr: p(0), lo: T0.micros(), hi: T0.plus_seconds(1).micros() },
                Box::new(value(0, |v| matches!(v, Value::Time(0 | 1)))),
            ),
            (Filter::BBox { attr: "urn:where".into(), bounds: [-1.0, 0.0, 1.25, 2.0] }, Box::new(|m| m.place.is_some_and(|(x, y)| (0..=1).contains(&x) && (0..=2).contains(&y)))),
            (Filter::Scope { path: "/A".into(), below: true }, Box::new(|m| matches!(m.scope, Some(0 | 1)))),
            (Filter::Scope { path: "/A".into(), below: false }, Box::new(|m| m.scope == Some(0))),
            (Filter::Ids(vec!["urn:e:03".into(), "urn:e:11".into()]), Box::new(|m| m.id == "urn:e:03" || m.id == "urn:e:11")),
            (Filter::IdPrefix("urn:e:0".into()), Box::new(|m| m.id.as_str() < "urn:e:10")),
            (
                Filter::And(vec![Filter::HasAttr(p(0)), Filter::Types(vec!["urn:t:0".into()])]),
                Box::new(|m| m.attrs.contains_key(&0) && m.types.contains(&0)),
            ),
            (
                Filter::Or(vec![num(p(0), 1.0, 1.0), Filter::HasAttr(p(2)), Filter::And(vec![])]),
                Box::new(|_| true),
            ),
            (
                Filter::Or(vec![Filter::HasAttr(p(2)), Filter::Ids(vec!["urn:e:00".into()])]),
                Box::new(|m| m.attrs.contains_key(&2) || m.id == "urn:e:00"),
            ),
            (Filter::Or(vec![]), Box::new(|_| false)),
        ];
        for (filter, keep) in cases {
            let expected: Vec<String> =
                self.entities.iter().filter(|((t, _), (_, m))| *t == flag && keep(m)).map(|((_, id), _)| id.clone()).collect();
            let tenant = tenant_of(flag);
            assert_eq!(ids(store, &tenant, filter.clone(), None), expected, "{filter:?}");
            let behind: Vec<_> = expected.iter().filter(|id| id.as_str() > "urn:e:05").cloned().collect();
            assert_eq!(ids(store, &tenant, filter.clone(), Some("urn:e:05")), behind, "{filter:?} behind");
            assert_eq!(read(store, move |r| r.count(&tenant, &filter)), expected.len() as u64);
        }
    }
}

/// An empty array is no plain value: any look-up may find it.
fn empty(v: &Value) -> bool {
    matches!(v, Value::Many(all) if all.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_batches_leave_what_the_model_says(batches in prop::collection::vec(prop::collection::vec(step(), 1..8), 1..12)) {
        let store = Store::memory(clock()).unwrap();
        let mut world = World::default();
        for steps in &batches {
            let (batch, next) = world.act(steps);
            match (store.commit_blocking(batch), next) {
                (Ok(_), Some(next)) => world = next,
                (Err(StoreError::Conflict { .. }), None) => {}
                (got, expected) => panic!("{got:?}, expected {}", expected.is_some()),
            }
        }
        world.check(&store);
    }
}
