//! Laws: no text breaks a parser, the fast evaluator agrees with the naive one, candidates are a superset.

use crate::{doc, expand, naive};
use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_model::EntityDoc;
use waybill_query::{DatasetIds, EntityQuery, GeoQuery, Geometry, OrderBy, Pattern, Projection, Q, ScopeQuery, TypeSelection};

pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3i64..4).prop_map(|n| json!(n)),
        (-6i64..7).prop_map(|n| json!(n as f64 / 2.0)),
        prop_oneof![Just("a"), Just("b"), Just("https://x.org/a"), Just("2026-01-01T00:00:00Z"), Just("2026-01-01T00:00:00.5Z")].prop_map(|s| json!(s)),
        any::<bool>().prop_map(|b| json!(b)),
        Just(json!({"@type": "https://uri.etsi.org/ngsi-ld/DateTime", "@value": "2026-02-01T00:00:00Z"})),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => scalar(),
        1 => proptest::collection::vec(scalar(), 1..3).prop_map(Value::Array),
        1 => (scalar(), scalar()).prop_map(|(x, y)| json!({"https://x.org/m": x, "n": [{"https://x.org/m": y}]})),
    ]
}

fn instance(depth: u32) -> BoxedStrategy<Value> {
    let uri = || prop_oneof![Just("urn:a"), Just("urn:b")];
    let head = prop_oneof![
        4 => value().prop_map(|v| json!({"type": "Property", "value": v})),
        1 => value().prop_map(|v| json!({"type": "JsonProperty", "json": v})),
        1 => proptest::collection::vec(uri(), 1..3).prop_map(|v| json!({"type": "Relationship", "object": v})),
        1 => prop_oneof![Just("https://x.org/a"), Just("https://x.org/b")].prop_map(|v| json!({"type": "VocabProperty", "vocab": v})),
        1 => proptest::collection::vec(scalar(), 1..3).prop_map(|v| json!({"type": "ListProperty", "valueList": v})),
        1 => proptest::collection::vec(uri(), 1..3).prop_map(|v| json!({"type": "ListRelationship", "objectList": v.iter().map(|o| json!({"object": o})).collect::<Vec<_>>()})),
        1 => (prop_oneof![Just("a"), Just("b")], prop_oneof![Just("a"), Just("b")]).prop_map(|(x, y)| json!({"type": "LanguageProperty", "languageMap": {"en": x, "fr": [y]}})),
    ];
    if depth == 0 {
        return head.boxed();
    }
    (head, proptest::option::of(instance(depth - 1)), any::<bool>())
        .prop_map(|(mut head, sub, observed)| {
            if let Some(sub) = sub {
                head["p"] = json!([sub]);
            }
            if observed {
                head["observedAt"] = json!("2026-01-01T00:00:00Z");
            }
            head
        })
        .boxed()
}

pub(crate) fn entity() -> impl Strategy<Value = EntityDoc> {
    let attribute = |name: &'static str| {
        proptest::option::of(proptest::collection::vec(instance(1), 1..3)).prop_map(move |list| {
            list.map(|mut list| {
                if let Some(second) = list.get_mut(1) {
                    second["datasetId"] = json!("urn:d");
                }
                (name, Value::Array(list))
            })
        })
    };
    let point = proptest::option::of((-180i32..=180, -90i32..=90));
    let types = prop_oneof![Just(vec!["A"]), Just(vec!["B"]), Just(vec!["A", "B"])];
    (types, attribute("p"), attribute("q"), point, 0..3u8, proptest::option::of(prop_oneof![Just("/A"), Just("/A/B"), Just("/AB")])).prop_map(|(types, p, q, point, id, scope)| {
        let types: Vec<_> = types.into_iter().map(expand).collect();
        let mut e = json!({"id": format!("urn:e:{id}"), "type": types});
        if let Some(scope) = scope {
            e["scope"] = json!([scope]);
        }
        for (name, list) in [p, q].into_iter().flatten() {
            e[name] = list;
        }
        if let Some((x, y)) = point {
            e["location"] = json!([{"type": "GeoProperty", "value": {"type": "Point", "coordinates": [x, y]}}]);
        }
        doc(&e)
    })
}

pub(crate) fn q_text() -> impl Strategy<Value = String> {
    let path = prop_oneof![
        6 => Just("p"), 3 => Just("q"), 1 => Just("p.p"), 1 => Just("q.p"), 1 => Just("p[m]"), 1 => Just("p[n.m]"), 1 => Just("p.observedAt"), 1 => Just("q[en]"), 1 => Just("createdAt"), 1 => Just("p.p.observedAt"), 1 => Just("p.createdAt"),
    ];
    let literal = prop_oneof![
        (-3i64..4).prop_map(|n| n.to_string()),
        prop_oneof![Just("0.5"), Just("-1.5"), Just("\"a\""), Just("\"b\""), Just("\"https://x.org/a\""), Just("urn:a"), Just("2026-01-01T00:00:00Z"), Just("2026-02-01T00:00:00Z")].prop_map(str::to_owned),
    ];
    let equal = prop_oneof![
        literal.clone(),
        Just("true".to_owned()),
        (-3i64..1, 0i64..4).prop_map(|(a, b)| format!("{a}..{b}")),
        Just("2026-01-01T00:00:00Z..2026-01-31T00:00:00Z".to_owned()),
        Just("\"a\"..\"b\"".to_owned()),
        (literal.clone(), literal.clone()).prop_map(|(a, b)| format!("{a},{b}")),
    ];
    let term = prop_oneof![
        1 => path.clone().prop_map(str::to_owned),
        4 => (path.clone(), prop_oneof![Just("=="), Just("!=")], equal).prop_map(|(p, o, v)| format!("{p}{o}{v}")),
        3 => (path.clone(), prop_oneof![Just(">"), Just("<"), Just(">="), Just("<=")], literal).prop_map(|(p, o, v)| format!("{p}{o}{v}")),
        1 => (path, prop_oneof![Just("~="), Just("!~=")]).prop_map(|(p, o)| format!("{p}{o}\"^a\"")),
    ];
    term.prop_recursive(3, 12, 3, |inner| {
        (proptest::collection::vec(inner, 1..4), prop_oneof![Just(";"), Just("|")]).prop_map(|(list, op)| format!("({})", list.join(op)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_evaluator_agrees_with_the_naive_one(d in entity(), text in q_text()) {
        let q = Q::parse(&text, &expand).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        prop_assert_eq!(q.matches(&d), naive::matches(&q.root, &d), "{} on {}", text, d.text());
    }

    #[test]
    fn candidates_are_a_superset(d in entity(), q in proptest::option::of(q_text()), types in prop_oneof![Just("A"), Just("A;B"), Just("A|B"), Just("*")], scope in proptest::option::of(prop_oneof![Just("/A"), Just("/A/#"), Just("/A/+"), Just("/+/B|/A")]), pattern in proptest::option::of(prop_oneof![Just("^urn:e:[01]"), Just("^urn:e:0?"), Just("e:1")]), geo in proptest::option::of((0..3usize, -180i32..=180, -90i32..=90, 1u32..8_000_000))) {
        let mut query = EntityQuery::of_types(TypeSelection::parse(types, &expand).expect("types"));
        query.q = q.map(|t| Q::parse(&t, &expand).expect("q"));
        query.scope = scope.map(|t| ScopeQuery::parse(t).expect("scopeQ"));
        query.selectors[0].id_pattern = pattern.map(|t| Pattern::parse("idPattern", t).expect("a pattern"));
        query.geo = geo.map(|(rel, x, y, m)| {
            let rel = [format!("near;maxDistance=={m}"), "within".into(), "intersects".into()][rel].clone();
            let square = format!("[[[{x},{y}],[{},{y}],[{},{}],[{x},{}],[{x},{y}]]]", x + 40, x + 40, y + 40, y + 40);
            let (kind, at) = if rel.starts_with("near") { ("Point", format!("[{x},{y}]")) } else { ("Polygon", square) };
            GeoQuery::parse(&rel, kind, &at, None, &expand).expect("geo")
        });
        if query.matches(&d) {
            prop_assert!(query.candidates().holds(&d), "{:?} leaves out {}", query.candidates(), d.text());
        }
    }

    #[test]
    fn no_text_breaks_a_parser(text in "[-a-cA-C0-9=!<>~;|(){}\\[\\],.\"/+#:@* \\\\é]{0,40}", other in ".{0,40}") {
        for t in [&text, &other] {
            let _ = (Q::parse(t, &expand), TypeSelection::parse(t, &expand), ScopeQuery::parse(t), OrderBy::parse(t, None, &expand), Pattern::parse("idPattern", t));
            let _ = (Projection::parse(Some(t), None, None, &expand), Projection::parse(None, None, Some(t), &expand), DatasetIds::parse(t));
            let _ = (GeoQuery::parse(t, "Point", t, None, &expand), Geometry::parse("Polygon", t));
        }
    }

    #[test]
    fn any_two_polygons_relate(a in proptest::collection::vec((-3i32..4, -3i32..4), 3..7), b in proptest::collection::vec((-3i32..4, -3i32..4), 3..7)) {
        let ring = |list: &[(i32, i32)]| {
            let mut points: Vec<_> = list.iter().map(|(x, y)| json!([x, y])).collect();
            points.push(points[0].clone());
            json!([points]).to_string()
        };
        let target = Geometry::parse("Polygon", &ring(&a)).expect("a polygon");
        let relates = |rel: &str| GeoQuery::parse(rel, "Polygon", &ring(&b), None, &expand).expect("geo").relates(&target);
        prop_assert_ne!(relates("intersects"), relates("disjoint"));
        for rel in ["within", "contains", "equals", "overlaps", "near;maxDistance==1000"] {
            let _ = relates(rel);
        }
    }
}
