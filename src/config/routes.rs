//! `[[route]]`: which data, about whom, on what basis, to whom, how exact.

use super::model::{AttributeRule, Role, Route, Select, Subject, SubjectBy, Transform};
use super::names::Names;
use super::read::basis;
use super::reader::Reader;
use super::source::Place;
use waybill_model::Iri;

const DAY: u64 = 86_400;
/// About two kilometres.
const GRID_DEGREES: f64 = 0.02;

pub(super) fn route(t: Reader<'_>, name: String, names: &Names<'_>) -> Option<Route> {
    let connection = |key: &'static str| t.text(key).filter(|n| n != "local").map(|n| (t.place_of(key), n));
    let (from, to) = (connection("from"), connection("to"));
    let select = t.table("select").map(|s| select(s, names)).unwrap_or_default();
    let personal = t.choice("classification", &[("personal", true), ("open", false)]).unwrap_or(true);
    let parties = |key: &'static str| -> Vec<(Place, Iri)> {
        t.items(key).into_iter().filter_map(|n| t.parse_node(n, "an absolute IRI", |i| Iri::new(i).ok()).map(|iri| (n.place, iri))).collect()
    };
    let route = Route {
        place: t.place,
        name,
        from,
        to,
        select,
        personal,
        basis: basis(&t),
        law: t.text("law"),
        role: t.choice("role", Role::WORDS).map(|r| (t.place_of("role"), r)),
        subject: t.table("subject").and_then(|s| subject(s, names)),
        purposes: names.purpose_list(&t, "purposes"),
        recipients: parties("recipients"),
        distribute_to: parties("distribute_to"),
        attributes: t.tables("attribute").into_iter().filter_map(|a| attribute(a, names)).collect(),
        from_time: t.time("valid_from"),
        until: t.time("valid_until"),
    };
    if let (Some(from), Some(until)) = (route.from_time, route.until)
        && until <= from
    {
        t.fault_at("valid_until", "bad-value", "the route ends before it begins");
    }
    t.finish();
    Some(route)
}

fn select(t: Reader<'_>, names: &Names<'_>) -> Select {
    let id_pattern = t.text("id_pattern");
    pattern(&t, "id_pattern", id_pattern.as_deref());
    let select = Select {
        types: names.names(&t, "types"),
        ids: t.items("ids").into_iter().filter_map(|n| t.parse_node(n, "an absolute IRI", |i| Iri::new(i).ok())).collect(),
        id_pattern,
    };
    t.finish();
    select
}

fn pattern(t: &Reader<'_>, key: &'static str, text: Option<&str>) {
    if let Some(Err(_)) = text.map(regex::Regex::new) {
        t.fault_at(key, "bad-value", "this is not a regular expression");
    }
}

fn subject(t: Reader<'_>, names: &Names<'_>) -> Option<Subject> {
    let place = t.place;
    let mut ways = Vec::new();
    let attribute = names.names(&t, "attribute");
    ways.extend(attribute.into_iter().next().map(SubjectBy::Attribute));
    let path = names.names(&t, "relationship");
    if !path.is_empty() {
        ways.push(SubjectBy::Relationship(path));
    }
    let (expression, template) = (t.text("id_pattern"), t.text("template"));
    pattern(&t, "id_pattern", expression.as_deref());
    match (expression, template) {
        (Some(pattern), Some(template)) if template.contains("{1}") && pattern.contains('(') => {
            ways.push(SubjectBy::IdPattern { pattern, template });
        }
        (None, None) => {}
        _ => {
            t.fault(
                "subject-rule",
                "`id_pattern` needs a group, and `template` needs `{1}` where the group goes",
                "For example: id_pattern = \"^urn:x:meter:(.+)$\", template = \"https://pods.example/{1}/card#me\"",
            );
        }
    }
    if t.flag("pod") == Some(true) {
        ways.push(SubjectBy::Pod);
    }
    if t.flag("registry") == Some(true) {
        ways.push(SubjectBy::Registry);
    }
    let all = t.choice("rule", &[("all", true), ("holder", false)]).unwrap_or(false);
    if ways.len() != 1 {
        t.fault(
            "subject-rule",
            if ways.is_empty() { "no way to find the subject is named" } else { "several ways to find the subject are named" },
            "Name one of attribute, relationship, id_pattern with template, pod = true, registry = true.",
        );
    }
    t.finish();
    // While it is not clear, only what was recorded counts.
    let by = if ways.len() == 1 { ways.remove(0) } else { SubjectBy::Registry };
    Some(Subject { place, by, all })
}

fn attribute(t: Reader<'_>, names: &Names<'_>) -> Option<AttributeRule> {
    t.needed_text("name", "name = \"activePower\"");
    let name = names.names(&t, "name").into_iter().next();
    let kind = t.choice("share", &[("as-is", 0), ("mean", 1), ("round", 2), ("bin", 3), ("district", 4), ("drop", 5)]).unwrap_or(0);
    let positive = |key: &'static str, otherwise: Option<f64>| {
        let number = t.number(key).or(otherwise);
        if number.is_some_and(|n| !(n.is_finite() && n > 0.0)) {
            t.fault_at(key, "bad-value", "this must be above zero");
        }
        number
    };
    let transform = match kind {
        1 => {
            t.needed_text("window", "window = \"1 h\"");
            let window = t.seconds("window");
            if window.is_some_and(|w| w == 0 || DAY % w != 0) {
                t.fault_at("window", "bad-value", "a window must divide a day, so that it can be aligned to the clock");
            }
            let min_samples = t.integer("min_samples", 1, 100_000).unwrap_or(1);
            window.and_then(|w| u32::try_from(w).ok()).map(|window| Transform::Mean { window, min_samples: u32::try_from(min_samples).unwrap_or(1) })
        }
        2 => {
            let step = positive("step", None);
            if step.is_none() {
                t.fault("missing-key", "rounding needs `step`", "For example: step = 0.5");
            }
            step.map(Transform::Round)
        }
        3 => {
            let edges = t.numbers("edges").unwrap_or_default();
            if edges.is_empty() || edges.windows(2).any(|p| p[0] >= p[1]) || edges.iter().any(|e| !e.is_finite()) {
                t.fault_at("edges", "bad-value", "`edges` must be numbers in ascending order");
            }
            Some(Transform::Bin(edges))
        }
        4 => positive("grid", Some(GRID_DEGREES)).map(Transform::District),
        5 => Some(Transform::Drop),
        _ => Some(Transform::Share),
    };
    let place = t.place;
    t.finish();
    Some(AttributeRule { place, name: name?, transform: transform? })
}
