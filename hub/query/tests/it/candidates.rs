//! What an index is told, for the queries that matter.

use crate::expand;
use waybill_query::{Candidates, EntityQuery, GeoQuery, Q, TypeSelection};

fn of(q: &str) -> Candidates {
    EntityQuery { q: Some(Q::parse(q, &expand).expect("q")), ..EntityQuery::new() }.candidates()
}
fn num(min: f64, max: f64) -> Candidates {
    Candidates::NumRange { attr: "https://x.org/p".into(), min, max }
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
        ("p==true", has()),
        ("createdAt>2026-01-01T00:00:00Z", Candidates::All),
        ("p>3|createdAt>2026-01-01T00:00:00Z", Candidates::All),
        ("p>3;createdAt>2026-01-01T00:00:00Z", num(3.0, inf)),
        ("p==\"a\"", Candidates::TextEq { attr: "https://x.org/p".into(), any_of: vec!["a".into(), "https://x.org/a".into()] }),
        ("p==urn:a", Candidates::TextEq { attr: "https://x.org/p".into(), any_of: vec!["urn:a".into()] }),
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
    assert!(matches!(&parts[1], Candidates::BBox { west, north, .. } if *west <= 1.0 && *north >= 4.0));
    let near = |x: &str| GeoQuery::parse("near;maxDistance==1000", "Point", x, None, &expand).expect("geo");
    for (at, boxed) in [("[10,50]", true), ("[180,0]", false), ("[0,89.999]", false)] {
        let q = EntityQuery { geo: Some(near(at)), ..EntityQuery::new() };
        assert_eq!(matches!(q.candidates(), Candidates::BBox { .. }), boxed, "{at}");
    }
    assert_eq!(Candidates::or([]), Candidates::Or(vec![]));
    assert_eq!(Candidates::and([]), Candidates::All);
}
