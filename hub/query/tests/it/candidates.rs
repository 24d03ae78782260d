//! What an index is told, for the queries that matter.

use crate::expand;
use waybill_query::{Candidates, EntityQuery, EntitySelector, GeoQuery, Pattern, Q, ScopeQuery, TypeSelection};

fn of(q: &str) -> Candidates {
    EntityQuery { q: Some(Q::parse(q, &expand).expect("q")), ..EntityQuery::new() }.candidates()
}
fn num(lo: f64, hi: f64) -> Candidates {
    Candidates::NumRange { attr: "https://x.org/p".into(), lo, hi }
}
fn text(text: &str) -> Candidates {
    Candidates::TextEq { attr: "https://x.org/p".into(), text: text.into() }
}

#[test]
fn comparisons_become_ranges() {
    let inf = f64::INFINITY;
    let has = || Candidates::HasAttr("https://x.org/p".into());
    for (q, expected) in [
        ("p>3", num(3.0, inf)),
        ("p<=3", num(-inf, 3.0)),
        ("p==3", num(3.0, 3.0)),
        ("p==1..3", num(1.0, 3.0)),
        ("p==1,3", Candidates::Or(vec![num(1.0, 1.0), num(3.0, 3.0)])),
        ("p!=3", has()),
        ("p", has()),
        ("p.x==3", has()),
        ("p[x]==3", has()),
        ("p~=\"a\"", has()),
        ("p==true", Candidates::BoolEq { attr: "https://x.org/p".into(), value: true }),
        ("createdAt>2026-01-01T00:00:00Z", Candidates::All),
        ("p>3|createdAt>2026-01-01T00:00:00Z", Candidates::All),
        ("p>3;createdAt>2026-01-01T00:00:00Z", num(3.0, inf)),
        ("p==\"a\"", Candidates::Or(vec![text("a"), text("https://x.org/a")])),
        ("p==urn:a", text("urn:a")),
    ] {
        assert_eq!(of(q), expected, "{q}");
    }
}

#[test]
fn types_and_boxes_narrow_too() {
    let mut q = EntityQuery::of_types(TypeSelection::parse("A|B", &expand).expect("types"));
    assert_eq!(q.candidates(), Candidates::Types(vec!["https://x.org/A".into(), "https://x.org/B".into()]));
    q.geo = Some(GeoQuery::parse("within", "Polygon", "[[[1,2],[3,2],[3,4],[1,2]]]", None, &expand).expect("geo"));
    let Candidates::And(parts) = q.candidates() else { panic!("two conditions") };
    assert!(matches!(&parts[1], Candidates::BBox { bounds: [west, _, _, north], .. } if *west <= 1.0 && *north >= 4.0));
    let near = |x: &str| GeoQuery::parse("near;maxDistance==1000", "Point", x, None, &expand).expect("geo");
    for (at, boxed) in [("[10,50]", true), ("[180,0]", false), ("[0,89.999]", false)] {
        let q = EntityQuery { geo: Some(near(at)), ..EntityQuery::new() };
        assert_eq!(matches!(q.candidates(), Candidates::BBox { .. }), boxed, "{at}");
    }
    assert_eq!(Candidates::or([]), Candidates::Or(vec![]));
    assert_eq!(Candidates::and([]), Candidates::All);
}

#[test]
fn identifiers_and_scopes_narrow_too() {
    let of = |pattern: &str| {
        let id_pattern = Some(Pattern::parse("idPattern", pattern).expect("a pattern"));
        EntityQuery::of(EntitySelector { id_pattern, ..EntitySelector::default() }).candidates()
    };
    let prefix = |text: &str| Candidates::IdPrefix(text.into());
    for (pattern, expected) in [
        ("^urn:a:.*", prefix("urn:a:")), ("^urn:a+", prefix("urn:")), ("^urn:a*", prefix("urn:")), ("^urn:a?b", prefix("urn:")), ("^urn:a$", prefix("urn:a")),
        ("urn:a", Candidates::All), ("^a|b", Candidates::All), ("^.*", Candidates::All), ("^(urn)", Candidates::All),
    ] {
        assert_eq!(of(pattern), expected, "{pattern}");
    }
    let scope = |path: &str, below| Candidates::Scope { path: path.into(), below };
    for (text, expected) in [("/A/B", scope("/A/B", false)), ("/A/#", scope("/A", true)), ("/A/+/C", scope("/A", true)), ("/+/B", Candidates::All), ("/#", Candidates::All)] {
        let query = EntityQuery { scope: Some(ScopeQuery::parse(text).expect("scopeQ")), ..EntityQuery::new() };
        assert_eq!(query.candidates(), expected, "{text}");
    }
}

#[test]
fn needed_types_are_told() {
    let of = |text: &str| EntityQuery::of_types(TypeSelection::parse(text, &expand).expect("types")).type_names().iter().map(|i| i.as_str().rsplit('/').next().unwrap_or_default().to_owned()).collect::<String>();
    assert_eq!((of("A"), of("A|B"), of("*"), of("A|*"), of("(A;B)|C"), of("*;B")), ("A".into(), "AB".into(), String::new(), String::new(), "AC".into(), "B".into()));
    assert!(EntityQuery::new().type_names().is_empty());
}
