//! What the terms of an agreement say themselves, beside what its dataset is offered for.

use crate::vocab::ODRL;
use serde_json::Value;
use waybill_model::DateTime;

/// The earliest end that the permissions name: a consumer may have asked for less time than is offered.
pub fn until(policy: &Value) -> Option<DateTime> {
    let rules = policy.get("permission").and_then(Value::as_array).into_iter().flatten();
    rules.flat_map(|rule| ends(rule.get("constraint"))).min()
}

fn ends(constraints: Option<&Value>) -> Vec<DateTime> {
    let list = constraints.and_then(Value::as_array).into_iter().flatten();
    list.flat_map(|constraint| match constraint.get("and").or_else(|| constraint.get("andSequence")) {
        Some(all) => ends(Some(all)),
        None => end(constraint).into_iter().collect(),
    })
    .collect()
}

fn end(constraint: &Value) -> Option<DateTime> {
    let operand = constraint.get("leftOperand")?.as_str()?;
    let about_time = operand.strip_prefix(ODRL).or_else(|| operand.strip_prefix("odrl:")) == Some("dateTime");
    let bounds = matches!(constraint.get("operator")?.as_str()?, "lt" | "lteq" | "eq");
    let right = constraint.get("rightOperand")?;
    let text = right.as_str().or_else(|| right.get("@value")?.as_str())?;
    if about_time && bounds { instant(text) } else { None }
}

/// An xsd:dateTime with any zone.
fn instant(text: &str) -> Option<DateTime> {
    if let Ok(at) = DateTime::parse(text) {
        return Some(at);
    }
    let (local, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let ahead = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    let at = DateTime::parse(&format!("{local}Z")).ok()?;
    match zone.as_bytes()[0] {
        b'+' => Some(at.plus_seconds(-ahead)),
        b'-' => Some(at.plus_seconds(ahead)),
        _ => None,
    }
}
