//! A slow evaluator of `q` over a whole tree, written from the rules and sharing nothing with the fast one.

use serde_json::Value;
use waybill_model::{DateTime, EntityDoc};
use waybill_query::{Comparison, Expr, Literal, Operand, Operator, Path, Root, Step};

pub(crate) fn matches(e: &Expr, doc: &EntityDoc) -> bool {
    let tree: Value = serde_json::from_str(doc.text()).expect("canonical");
    eval(e, &tree, doc)
}

fn eval(e: &Expr, tree: &Value, doc: &EntityDoc) -> bool {
    match e {
        Expr::And(l) => l.iter().all(|e| eval(e, tree, doc)),
        Expr::Or(l) => l.iter().any(|e| eval(e, tree, doc)),
        Expr::Exists(p) => !groups(p, tree, doc).is_empty(),
        Expr::Compare(c) => groups(&c.path, tree, doc).iter().any(|g| compares(c, g)),
        Expr::Linked { .. } => false,
    }
}

/// For each instance the path reaches: the values in it, arrays opened.
fn groups(p: &Path, tree: &Value, doc: &EntityDoc) -> Vec<Vec<Value>> {
    let name = match &p.root {
        Root::Attribute(name) => name,
        Root::System(meta) => {
            let t = match meta.as_str() {
                "createdAt" => doc.system.created_at,
                "modifiedAt" => doc.system.modified_at,
                _ => return Vec::new(),
            };
            return if p.member.is_empty() { vec![vec![serde_json::json!({"time": t})]] } else { Vec::new() };
        }
    };
    let mut level: Vec<&Value> = tree.get(name).and_then(Value::as_array).map(|a| a.iter().collect()).unwrap_or_default();
    for (i, step) in p.steps.iter().enumerate() {
        match step {
            Step::Attribute(n) => level = level.iter().filter_map(|v| v.get(n)?.as_array()).flatten().collect(),
            Step::Meta(m) => {
                if matches!(m.as_str(), "createdAt" | "modifiedAt") {
                    let t = serde_json::json!({"time": doc.system.created_at});
                    return if i == 0 && p.member.is_empty() { level.iter().map(|_| vec![t.clone()]).collect() } else { Vec::new() };
                }
                return if p.member.is_empty() { level.iter().filter_map(|v| v.get(m.as_str())).map(|v| vec![serde_json::json!({"time": v})]).collect() } else { Vec::new() };
            }
        }
    }
    level.iter().map(|v| values(v, &p.member)).filter(|g| !g.is_empty()).collect()
}

fn open(v: &Value) -> Vec<Value> {
    let one = |v: &Value| v.get("@value").cloned().unwrap_or_else(|| v.clone());
    v.as_array().map_or_else(|| vec![one(v)], |a| if a.is_empty() { vec![Value::Null] } else { a.iter().map(one).collect() })
}

fn values(instance: &Value, member: &[(String, String)]) -> Vec<Value> {
    let bare = member.is_empty();
    match instance["type"].as_str().expect("a kind") {
        "Relationship" if bare => open(&instance["object"]).into_iter().map(|n| serde_json::json!({"link": n})).collect(),
        "VocabProperty" if bare => open(&instance["vocab"]).into_iter().map(|n| serde_json::json!({"name": n})).collect(),
        "ListRelationship" if bare => instance["objectList"].as_array().expect("a list").iter().map(|o| serde_json::json!({"link": o["object"]})).collect(),
        "LanguageProperty" => {
            let map = instance["languageMap"].as_object().expect("a map");
            map.iter().filter(|(k, _)| member.iter().all(|(m, _)| m.eq_ignore_ascii_case(k))).flat_map(|(_, v)| open(v)).collect()
        }
        "Property" => inside(&instance["value"], member, false),
        "JsonProperty" => inside(&instance["json"], member, true),
        "ListProperty" => inside(&instance["valueList"], member, false),
        _ => Vec::new(),
    }
}

fn inside(v: &Value, member: &[(String, String)], json: bool) -> Vec<Value> {
    let Some(((raw, long), rest)) = member.split_first() else { return open(v) };
    let objects: Vec<&Value> = v.as_array().map_or_else(|| vec![v], |a| a.iter().collect());
    let step = |o: &Value| if json { o.get(raw).cloned() } else { o.get(long).or_else(|| o.get(raw)).cloned() };
    objects.into_iter().filter(|o| o.is_object()).filter_map(step).flat_map(|n| inside(&n, rest, json)).collect()
}

fn compares(c: &Comparison, group: &[Value]) -> bool {
    let any = |f: &dyn Fn(&Value) -> bool| group.iter().any(f);
    let literal = |o: &Operand| if let Operand::One(l) = o { l.clone() } else { panic!("an ordering has one value") };
    match c.operator {
        Operator::Equal => any(&|v| equal(&c.operand, v)),
        Operator::NotEqual => !any(&|v| equal(&c.operand, v)),
        Operator::Matches => any(&|v| pattern(&c.operand, v)),
        Operator::NotMatches => !any(&|v| pattern(&c.operand, v)),
        Operator::Greater => any(&|v| sign(v, &literal(&c.operand)) == Some(1)),
        Operator::GreaterOrEqual => any(&|v| sign(v, &literal(&c.operand)).is_some_and(|s| s >= 0)),
        Operator::Less => any(&|v| sign(v, &literal(&c.operand)) == Some(-1)),
        Operator::LessOrEqual => any(&|v| sign(v, &literal(&c.operand)).is_some_and(|s| s <= 0)),
    }
}

fn pattern(o: &Operand, v: &Value) -> bool {
    let text = v.get("name").unwrap_or(v).as_str();
    matches!(o, Operand::Pattern(p) if text.is_some_and(|t| p.is_match(t)))
}

fn equal(o: &Operand, v: &Value) -> bool {
    match o {
        Operand::List(l) => l.iter().any(|o| equal(o, v)),
        Operand::Range(a, b) => sign(v, a).is_some_and(|s| s >= 0) && sign(v, b).is_some_and(|s| s <= 0),
        Operand::One(Literal::Bool(b)) => v.as_bool() == Some(*b),
        Operand::One(Literal::Text { raw, .. } | Literal::Uri(raw)) if v.get("link").is_some() => v["link"].as_str() == Some(raw),
        Operand::One(l) => sign(v, l) == Some(0),
        Operand::Pattern(_) => false,
    }
}

fn sign(v: &Value, l: &Literal) -> Option<i32> {
    let time = |v: &Value| v.as_str().and_then(|t| DateTime::parse(t).ok());
    if let Some(at) = v.get("time") {
        // Only observedAt and system times come here: they are times, not texts.
        let other = match l {
            Literal::Time(t) => *t,
            Literal::Text { raw, .. } => DateTime::parse(raw).ok()?,
            _ => return None,
        };
        return Some(time(at)?.cmp(&other) as i32);
    }
    let order = match l {
        Literal::Number(n) => v.as_f64()?.partial_cmp(n)?,
        Literal::Text { raw, .. } | Literal::Uri(raw) => v.get("name").unwrap_or(v).as_str()?.cmp(raw),
        Literal::Time(t) => time(v)?.cmp(t),
        Literal::Date(_) | Literal::Clock(_) | Literal::Bool(_) => return None,
    };
    Some(order as i32)
}
