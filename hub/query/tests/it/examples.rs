//! Examples: what each language selects, and how each wrong text is refused.

use crate::{doc, expand};
use serde_json::json;
use waybill_model::{EntityDoc, Problem};
use waybill_query::{DatasetIds, Direction, EntityQuery, EntitySelector, ErrorKind, GeoQuery, Geometry, Links, Member, OrderBy, Pattern, Projection, Q, QOptions, QueryError, ScopeQuery, TypeSelection};

fn meter() -> EntityDoc {
    doc(&json!({
        "id": "urn:m:1",
        "type": ["https://x.org/Meter", "https://x.org/Device"],
        "scope": ["/Madrid/Gardens/South", "/Company"],
        "power": [
            {"type": "Property", "value": 21.5, "unitCode": "KWT", "observedAt": "2026-01-01T00:00:00Z",
             "accuracy": [{"type": "Property", "value": 0.9, "method": [{"type": "Property", "value": "lab"}]}]},
            {"type": "Property", "value": 40, "datasetId": "urn:d:1"}
        ],
        "name": [{"type": "LanguageProperty", "languageMap": {"en": "Clock", "fr": ["Horloge", "Pendule"]}}],
        "open": [{"type": "Property", "value": true}],
        "tags": [{"type": "Property", "value": ["a", "b", 7]}],
        "address": [{"type": "Property", "value": {"https://x.org/city": "Berlin", "https://x.org/geo": [{"https://x.org/n": 1}, {"https://x.org/n": 5}]}}],
        "raw": [{"type": "JsonProperty", "json": {"city": "Paris"}}],
        "owner": [{"type": "Relationship", "object": ["urn:p:1", "urn:p:2"]}],
        "route": [{"type": "ListRelationship", "objectList": [{"object": "urn:s:1"}, {"object": "urn:s:2"}]}],
        "steps": [{"type": "ListProperty", "valueList": [3, 4]}],
        "color": [{"type": "VocabProperty", "vocab": "https://x.org/red"}],
        "start": [{"type": "Property", "value": {"@type": "https://uri.etsi.org/ngsi-ld/DateTime", "@value": "2026-03-01T00:00:00Z"}}],
        "day": [{"type": "Property", "value": "2026-03-01"}],
        "hour": [{"type": "Property", "value": "12:30:00Z"}],
        "quote": [{"type": "Property", "value": "a \"b\" c"}],
        "location": [{"type": "GeoProperty", "value": {"type": "Point", "coordinates": [24.94, 60.17]}}]
    }))
}

#[test]
fn q_selects() {
    let m = meter();
    let check = |text: &str, expected: bool| {
        let q = Q::parse(text, &expand).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(q.matches(&m), expected, "{text}");
    };
    for text in [
        "power", "power==21.5", "power==40", "power>39", "power<22", "power>=21.5", "power<=21.5", "power!=21.5", "power==20..22", "power==1,21.5",
        "power==1,39..41", "power!=0..1", "power==2.15e1", "power;open", "power|nothing", "nothing|power", "(nothing;power)|open", "nothing;power|open",
        "power.accuracy==0.9", "power.accuracy.method==\"lab\"", "power.observedAt>=2026-01-01T00:00:00Z", "power.unitCode==\"KWT\"", "power.datasetId==\"urn:d:1\"",
        "power.datasetId==urn:d:1", "power.createdAt==2026-01-02T03:04:05Z", "createdAt==2026-01-02T03:04:05Z", "createdAt>2026-01-01T00:00:00Z", "createdAt==2026-01-02",
        "name==\"Pendule\"", "name[fr]==\"Horloge\"", "name[EN]==\"Clock\"", "name[en]!=\"Horloge\"", "name~=\"^Cl.*k$\"", "open==true", "open!=false",
        "tags==\"b\"", "tags==7", "tags!=\"z\"", "address[city]==\"Berlin\"", "address[city]", "address[geo.n]==5", "address[geo.n]>4", "raw[city]==\"Paris\"",
        "owner==urn:p:2", "owner==\"urn:p:1\"", "route==urn:s:2", "steps==4", "color==\"https://x.org/red\"", "color!=\"red\"", "day==2026-03-01", "open==true;owner!=urn:p:9", "name==Clock",
        "start==2026-03-01T00:00:00Z", "start>2026-02-01T00:00:00Z", "start==2026-02-01T00:00:00Z..2026-04-01T00:00:00Z", "day==2026-03-01", "day<2026-03-02", "hour>12:00:00Z",
        "quote==\"a \\\"b\\\" c\"", "name~=(Clock|X)", "name~=Clo[a-c]k", "name!~=\"^z\"", "location", "https://x.org/power==40", "tags~=\"^a\"", "day==\"2026-03-01\"..\"2026-04\"",
    ] {
        check(text, true);
    }
    for text in [
        "nothing", "nothing!=1", "nothing!~=\"a\"", "power==22", "power>40", "power==\"21.5\"", "power;nothing", "power.nothing", "power.nothing!=1", "power.accuracy<0.9",
        "power.accuracy.observedAt", "createdAt<2026-01-01T00:00:00Z", "deletedAt", "deletedAt!=2026-01-01T00:00:00Z", "name==\"clock\"", "name[de]", "name[en]==\"Horloge\"", "open==false",
        "tags!=\"b\"", "tags==\"c\"", "address[town]", "address==\"Berlin\"", "address[city.x]", "owner==urn:p:3", "owner[x]", "color==\"blue\"", "color==\"red\"", "color==red", "owner>\"a\"", "owner<=urn:p:2", "owner==\"a\"..\"z\"", "owner~=\"p\"", "route>\"a\"",
        "start<2026-03-01T00:00:00Z", "day>2026-03-02", "day==12:30:00Z", "location==1", "name~=\"^z\"", "power~=\"2\"", "owner{power==1}", "raw[https://x.org/city]==\"Paris\"",
    ] {
        check(text, false);
    }
}

#[test]
fn an_instance_counts_only_when_its_dataset_is_asked() {
    let (m, q) = (meter(), Q::parse("power==40", &expand).expect("q"));
    let with = |text: &str| q.matches_with(&m, &DatasetIds::parse(text).expect("datasetId"), None);
    assert_eq!((with("urn:d:1"), with("@none"), with("urn:d:2"), with("@none,urn:d:1")), (true, false, false, true));
    assert!(DatasetIds::parse("a,,b").is_err());
}

#[test]
fn strings_count_as_names_when_asked() {
    let m = doc(&json!({"id": "urn:a", "type": ["https://x.org/T"], "kind": [{"type": "Property", "value": "https://x.org/red"}]}));
    let options = QOptions { expand_values: vec!["https://x.org/kind".into()] };
    assert!(Q::parse_with("kind==\"red\"", &expand, &options).expect("q").matches(&m));
    assert!(!Q::parse("kind==\"red\"", &expand).expect("q").matches(&m));
    let options = QOptions { expand_values: vec!["https://x.org/color".into()] };
    assert!(Q::parse_with("color==red", &expand, &options).expect("q").matches(&meter()));
}

#[test]
fn links_are_followed_only_when_known() {
    struct Known;
    impl Links for Known {
        fn entity(&self, id: &str) -> Option<EntityDoc> {
            (id == "urn:p:2").then(|| doc(&json!({"id": "urn:p:2", "type": ["https://x.org/Person"], "age": [{"type": "Property", "value": 40}]})))
        }
    }
    for (text, expected) in [("owner{age==40}", true), ("owner{age==41}", false), ("owner{Person:(age>1)}", true), ("owner{Dog:(age>1)}", false), ("power{age==40}", false)] {
        let q = Q::parse(text, &expand).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(q.matches_with(&meter(), &DatasetIds::default(), Some(&Known)), expected, "{text}");
        assert!(q.follows_links() && !q.matches(&meter()));
    }
}

#[test]
fn q_refuses_with_place_and_help() {
    for (text, at) in [
        ("", 0), (" ", 0), ("==1", 1), ("a==", 4), ("a==\"x", 4), ("a=1", 2), ("a>1..2", 4), ("a>1,2", 4), ("a>true", 7), ("a==1..\"b\"", 10), ("a==true..false", 15),
        ("(a", 3), ("a)", 2), ("a;", 3), ("a||b", 3), ("a.", 3), ("a[", 3), ("a[b", 4), ("a[]", 3), ("a~=\"[\"", 0), ("a~=", 4), ("a==2026-13-01T00:00:00Z", 4), ("a==2026-01-01T00:00:00+01:00", 4),
        ("id==urn:a", 3), ("type==\"T\"", 5), ("a==1e999", 4), ("createdAt.x", 11), ("a.observedAt.x", 14), ("a b", 2), ("a{b", 4), ("a==x y", 4), ("a==x'", 4), ("a==\"\\q\"", 8), ("a~=\"(?=x)\"", 0),
    ] {
        let error = Q::parse(text, &expand).expect_err(text);
        assert_eq!((error.kind, error.at, error.parameter), (ErrorKind::Invalid, at, "q"), "{text}: {error}");
        let problem = Problem::from(error);
        assert_eq!((problem.status, problem.place.as_deref(), problem.code.as_str()), (400, Some("q"), "query-syntax"));
        assert!(problem.help.is_some_and(|h| !h.is_empty()) && problem.kind.ends_with("/errors/BadRequestData"));
    }
}

#[test]
fn what_is_too_large_is_refused_as_too_complex() {
    let long = "a".repeat(9000);
    let deep = format!("{}a{}", "(".repeat(17), ")".repeat(17));
    let many = vec!["a"; 600].join(";");
    let values = format!("a=={}", vec!["1"; 600].join(","));
    let pattern = format!("a~=\"{}\"", "x".repeat(1100));
    let bomb = "a~=\"((x{100}){100}){100}\"";
    for text in [&long, &deep, &many, &values, &pattern, bomb] {
        let error = Q::parse(text, &expand).expect_err("too complex");
        assert_eq!(error.kind, ErrorKind::TooComplex, "{error}");
        let problem = Problem::from(error);
        assert_eq!((problem.status, problem.code.as_str()), (403, "query-too-complex"));
    }
    assert!(TypeSelection::parse(&deep, &expand).is_err() && ScopeQuery::parse(&deep).is_err());
    assert!(Projection::parse(Some(&"a{".repeat(20)), None, None, &expand).is_err());
    let positions = format!("[{}]", vec!["[1,2]"; 10_001].join(","));
    assert_eq!(Geometry::parse("MultiPoint", &positions).expect_err("too many").kind, ErrorKind::TooComplex);
}

#[test]
fn types_select() {
    let m = meter();
    for (text, expected) in [
        ("Meter", true), ("Lamp", false), ("Lamp|Device", true), ("Lamp,Device", true), ("(Meter;Device)", true), ("(Meter;Lamp)|Lamp", false), ("Meter;Device", true),
        ("Lamp|Meter;Lamp", false), ("*", true), ("https://x.org/Meter", true), ("((Meter))", true),
    ] {
        let t = TypeSelection::parse(text, &expand).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(t.matches(&m), expected, "{text}");
        assert_eq!(t.matches_types(&m.types().collect::<Vec<_>>()), expected, "{text}");
        assert_eq!(TypeSelection::parse(&t.to_text(&str::to_owned), &expand).as_ref(), Ok(&t), "{text}");
    }
    for text in ["", "|A", "A|", "(A", "A)", "A;;B", "A B", "\"A\""] {
        assert!(TypeSelection::parse(text, &expand).is_err(), "{text}");
    }
}

#[test]
fn scopes_select() {
    let m = meter();
    for (text, expected) in [
        ("/Madrid/Gardens/South", true), ("Company", true), ("/Madrid", false), ("/Madrid/#", true), ("/Madrid/Gardens/South/#", true), ("/Madrid/+/South", true), ("/Madrid/+", false),
        ("/#", true), ("/Paris,/Company", true), ("/Paris|/Rome", false), ("(/Madrid/#;/Company)", true), ("(/Madrid/#;/Paris)|/Company", true), ("/+", true), ("/Madrid/Gardens/South/West/#", false),
    ] {
        assert_eq!(ScopeQuery::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).matches(&m), expected, "{text}");
    }
    let bare = doc(&json!({"id": "urn:a", "type": ["https://x.org/T"]}));
    assert!(!ScopeQuery::parse("/#").expect("scopeQ").matches(&bare));
    for text in ["", "/", "/A//B", "/#/A", "/A/1", "(/A", "/A;", "/A/b c"] {
        assert!(ScopeQuery::parse(text).is_err(), "{text}");
    }
}

#[test]
fn geometries_relate() {
    let m = meter();
    let check = |georel: &str, kind: &str, coordinates: &str, expected: bool| {
        let g = GeoQuery::parse(georel, kind, coordinates, None, &expand).unwrap_or_else(|e| panic!("{georel}: {e}"));
        assert_eq!(g.matches(&m), expected, "{georel} {kind} {coordinates}");
    };
    // One hundredth of a degree of latitude is some 1,112 metres.
    check("near;maxDistance==1200", "Point", "[24.94,60.18]", true);
    check("near;maxDistance==1000", "Point", "[24.94,60.18]", false);
    check("near;minDistance==1000", "Point", "[24.94,60.18]", true);
    check("equals", "Polygon", "[[[0,0],[2,2],[2,0],[0,2],[0,0]]]", false);
    check("near;maxDistance==1200", "LineString", "[[24.0,60.18],[25.0,60.18]]", true);
    check("near;maxDistance==0.1", "Point", "[24.94,60.17]", true);
    let square = "[[[24,60],[25,60],[25,61],[24,61],[24,60]]]";
    check("within", "Polygon", square, true);
    check("intersects", "Polygon", square, true);
    check("contains", "Polygon", square, false);
    check("disjoint", "Polygon", square, false);
    check("overlaps", "Polygon", square, false);
    check("equals", "Point", "[24.94,60.17]", true);
    check("equals", "Point", "[24.94,60.18]", false);
    check("contains", "Point", "[24.94,60.17]", true);
    check("disjoint", "Point", "[0,0]", true);
    check("within", "MultiPolygon", &format!("[{square}]"), true);
    let area = doc(&json!({"id": "urn:a", "type": ["https://x.org/T"], "location": [{"type": "GeoProperty", "value": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}}]}));
    let g = |rel: &str, c: &str| GeoQuery::parse(rel, "Polygon", c, None, &expand).expect("geo").matches(&area);
    assert!(g("overlaps", "[[[1,1],[3,1],[3,3],[1,3],[1,1]]]") && g("contains", "[[[0.5,0.5],[1,0.5],[1,1],[0.5,0.5]]]"));
    assert!(g("equals", "[[[0,2],[0,0],[2,0],[2,2],[0,2]]]"));
    let none = doc(&json!({"id": "urn:a", "type": ["https://x.org/T"], "location": [{"type": "Property", "value": 1}]}));
    assert!(!GeoQuery::parse("disjoint", "Point", "[0,0]", None, &expand).expect("geo").matches(&none));
    let other = GeoQuery::parse("equals", "Point", "[1,2]", Some("place"), &expand).expect("geo");
    assert_eq!(other.property, "https://x.org/place");
}

#[test]
fn geo_refuses() {
    for (georel, kind, coordinates, parameter) in [
        ("near", "Point", "[0,0]", "georel"), ("near;maxDistance=5", "Point", "[0,0]", "georel"), ("near;maxDistance==-5", "Point", "[0,0]", "georel"), ("near;maxDistance==NaN", "Point", "[0,0]", "georel"),
        ("near;maxDistance==1;maxDistance==2", "Point", "[0,0]", "georel"), ("near;minDistance==1;maxDistance==2", "Point", "[0,0]", "georel"), ("near;maxDistance==0", "Point", "[0,0]", "georel"), ("near;x==1", "Point", "[0,0]", "georel"), ("around", "Point", "[0,0]", "georel"), ("within;x==1", "Point", "[0,0]", "georel"),
        ("within", "Circle", "[0,0]", "geometry"), ("within", "GeometryCollection", "[]", "geometry"), ("within", "Point", "[0]", "coordinates"), ("within", "Point", "[0,\"a\"]", "coordinates"),
        ("within", "Point", "{}", "coordinates"), ("within", "Point", "[0,", "coordinates"), ("within", "Polygon", "[[[0,0],[1,1],[0,0]]]", "coordinates"), ("within", "Polygon", "[[[0,0],[1,1],[1,0],[2,2]]]", "coordinates"),
        ("within", "LineString", "[[0,0]]", "coordinates"), ("within", "Polygon", "[]", "coordinates"), ("within", "Point", "[1e300,0]", "coordinates"), ("within", "Point", "[[0,0]]", "coordinates"),
    ] {
        let e = GeoQuery::parse(georel, kind, coordinates, None, &expand).expect_err(coordinates);
        assert_eq!(e.parameter, parameter, "{georel} {kind} {coordinates}: {e}");
    }
}

#[test]
fn projections_keep() {
    let keeps = |p: &Projection, name: &str| p.keeps_attribute(&expand(name));
    let p = Projection::parse(Some("id,power,owner{name,type}"), None, None, &expand).expect("pick");
    assert!(keeps(&p, "power") && keeps(&p, "owner") && !keeps(&p, "name") && p.keeps(&Member::Id) && !p.keeps(&Member::Type));
    assert_eq!((p.depth(), p.is_nested()), (1, true));
    let inner = p.nested(&expand("owner"));
    assert!(keeps(&inner, "name") && !keeps(&inner, "power") && inner.keeps(&Member::Type) && !inner.keeps(&Member::Id));
    assert!(p.nested(&expand("power")).is_all());
    let p = Projection::parse(None, Some("type,power"), None, &expand).expect("omit");
    assert!(!keeps(&p, "power") && keeps(&p, "name") && p.keeps(&Member::Id) && !p.keeps(&Member::Type));
    let p = Projection::parse(None, None, Some("power,nothing"), &expand).expect("attrs");
    assert!(keeps(&p, "power") && !keeps(&p, "name") && p.keeps(&Member::Type) && p.wants(&meter()));
    assert!(!Projection::parse(None, None, Some("nothing"), &expand).expect("attrs").wants(&meter()));
    let wants = |pick: Option<&str>, omit: Option<&str>| Projection::parse(pick, omit, None, &expand).expect("a projection").wants(&meter());
    assert!(wants(Some("nothing,power"), None) && wants(Some("id,nothing"), None) && !wants(Some("nothing"), None) && wants(None, Some("id,type")));
    let bare = doc(&json!({"id": "urn:a", "type": ["https://x.org/T"], "n": [{"type": "Property", "value": 1}]}));
    assert!(!Projection::parse(None, Some("id,type,n"), None, &expand).expect("omit").wants(&bare));
    let masked = p.mask(&meter(), &DatasetIds::parse("@none").expect("datasetId"));
    assert_eq!(masked.spans().iter().map(|s| masked.name(s)).collect::<Vec<_>>(), ["https://x.org/power"]);
    assert_eq!(masked.id(), "urn:m:1");
    for (pick, omit, attrs) in [(Some("a"), None, Some("b")), (Some(""), None, None), (Some("a,,b"), None, None), (Some("a{b"), None, None), (Some("a}"), None, None), (None, Some("a b"), None), (None, None, Some("a,")), (None, None, Some("a{b}")), (None, None, Some("id")), (Some("a"), Some("a"), None)] {
        assert!(Projection::parse(pick, omit, attrs, &expand).is_err(), "{pick:?} {omit:?} {attrs:?}");
    }
}

#[test]
fn results_are_ordered() {
    let make = |id: &str, value: serde_json::Value| {
        let mut e = json!({"id": format!("urn:{id}"), "type": ["https://x.org/T"], "location": [{"type": "GeoProperty", "value": {"type": "Point", "coordinates": [id.len(), 0]}}]});
        if !value.is_null() {
            e["n"] = json!([{"type": "Property", "value": value}]);
        }
        doc(&e)
    };
    let order = |text: &str| {
        let from = Geometry::parse("Point", "[0,0]").expect("a point");
        let mut docs = vec![
            make("a", json!(null)), make("bb", json!("x")), make("ccc", json!(2)), make("dddd", json!(10)), make("eeeee", json!([1])), make("ffffff", json!({"https://x.org/a": 1})), make("ggggggg", json!(true)), make("hhhhhhhh", json!("B")),
        ];
        OrderBy::parse(text, Some(from), &expand).unwrap_or_else(|e| panic!("{text}: {e}")).sort(&mut docs);
        docs.iter().map(|d| d.id().chars().nth(4).expect("a letter")).collect::<String>()
    };
    assert_eq!(order("n"), "cdhbfega");
    assert_eq!(order("n;desc"), "agefbhdc");
    assert_eq!(order("id;desc"), "hgfedcba");
    assert_eq!(order("location;dist-asc"), "abcdefgh");
    assert_eq!(order("type,location;dist-desc"), "hgfedcba");
    let mut named = vec![make("z", json!("Zebra")), make("a", json!("Ähre")), make("o", json!("ähre"))];
    let mut order = OrderBy::parse("n", None, &expand).expect("orderBy");
    order.sort(&mut named);
    assert_eq!(named.iter().map(EntityDoc::id).collect::<Vec<_>>(), ["urn:z", "urn:a", "urn:o"]);
    order.collated = true;
    order.sort(&mut named);
    assert_eq!(named.iter().map(EntityDoc::id).collect::<Vec<_>>(), ["urn:a", "urn:o", "urn:z"]);
    let parsed = OrderBy::parse("power.observedAt;desc,address[city]", None, &expand).expect("orderBy");
    assert_eq!(parsed.items.iter().map(|i| i.direction).collect::<Vec<_>>(), [Direction::Desc, Direction::Asc]);
    for text in ["", "a;", "a;up", "a,", "a;dist-asc", ";asc"] {
        let e: QueryError = OrderBy::parse(text, None, &expand).expect_err(text);
        assert_eq!(e.parameter, "orderBy");
    }
}

#[test]
fn patterns_are_bounded() {
    for (text, good) in [("a*", true), ("a+?", true), ("a\\**", true), ("[*+]+", true), ("a**", false), ("a+*", false), ("a?+", false), ("(a|b)*", true), ("(", false), ("(a)\\1", false)] {
        assert_eq!(Pattern::parse("idPattern", text).is_ok(), good, "{text}");
    }
}

#[test]
fn a_whole_query_selects_and_knows_when_it_is_too_wide() {
    let m = meter();
    let selector = |ids: &[&str], pattern: Option<&str>, types: Option<&str>| EntitySelector {
        ids: ids.iter().map(ToString::to_string).collect(),
        id_pattern: pattern.map(|p| Pattern::parse("idPattern", p).expect("a pattern")),
        types: types.map(|t| TypeSelection::parse(t, &expand).expect("types")),
    };
    for (s, expected, wide) in [
        (selector(&["urn:m:1", "urn:m:2"], None, None), true, true),
        (selector(&["urn:m:2"], None, Some("Meter")), false, false),
        (selector(&["urn:m:1"], Some("^never"), Some("Meter")), true, false),
        (selector(&[], Some("^urn:m:[0-9]$"), None), true, true),
        (selector(&[], Some("^urn:n:"), Some("Meter")), false, false),
        (selector(&[], None, Some("*")), true, true),
        (selector(&[], None, Some("Meter")), true, false),
    ] {
        let q = EntityQuery::of(s);
        assert_eq!((q.matches(&m), q.is_too_wide()), (expected, wide), "{q:?}");
    }
    let mut q = EntityQuery::new();
    assert!(q.is_too_wide() && q.matches(&m));
    q.q = Some(Q::parse("createdAt>2020-01-01T00:00:00Z", &expand).expect("q"));
    assert!(q.is_too_wide() && q.matches(&m));
    q.q = Some(Q::parse("power>1", &expand).expect("q"));
    assert!(!q.is_too_wide());
    q.datasets = DatasetIds::parse("urn:d:9").expect("datasetId");
    assert!(!q.matches(&m));
}
