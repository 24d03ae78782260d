//! Turns a filter into SQL: either a set of keys to start from, or a condition on each entity in turn.

use crate::sqlite::index::{Key, SEVERAL};
use crate::{Filter, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql, params_from_iter};

/// A set of at most this many keys is gathered, sorted and fetched; larger ones are walked in the order of identifiers.
const GATHER: usize = 4096;

/// SQL with its parameters.
#[derive(Default, Clone)]
pub struct Sql {
    pub text: String,
    pub params: Vec<Value>,
}

impl Sql {
    fn push(&mut self, text: &str, params: impl IntoIterator<Item = Value>) {
        self.text.push_str(text);
        self.params.extend(params);
    }
    fn join(&mut self, other: Sql) {
        self.text.push_str(&other.text);
        self.params.extend(other.params);
    }
}

/// How the entities that a filter lets through are found.
pub struct Plan {
    /// A set of keys that holds them all, when a small one was found.
    pub start: Option<Sql>,
    /// The condition on the row `e`.
    pub condition: Sql,
}

pub fn plan(conn: &Connection, tenant: i64, filter: &Filter) -> Result<Plan, StoreError> {
    if filter.is_unwieldy() {
        return Ok(Plan { start: None, condition: condition(tenant, &Filter::All) });
    }
    let parts = match filter {
        Filter::And(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    // How large each part's set is, as far as it matters. One that is looked up for each entity as cheaply matters only when it is the
    // smallest, and is looked at last.
    let mut sizes = vec![None; parts.len()];
    let mut best = GATHER;
    for cheap in [false, true] {
        for (part, size) in parts.iter().zip(&mut sizes).filter(|(part, _)| is_cheap(part) == cheap) {
            let Some(keys) = keys(tenant, part) else { continue };
            let most = if cheap { best } else { GATHER };
            let sql = format!("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT ?)", keys.text);
            let params = keys.params.iter().cloned().chain([Value::Integer(i64::try_from(most + 1).unwrap_or(i64::MAX))]);
            let n: usize = conn.prepare_cached(&sql)?.query_row(params_from_iter(params), |row| row.get(0))?;
            if n <= most {
                best = best.min(n);
                *size = Some((n, keys));
            }
        }
    }
    let least = (0..parts.len()).filter(|i| sizes[*i].is_some()).min_by_key(|i| sizes[*i].as_ref().map(|(n, _)| *n));
    let Some(least) = least else { return Ok(Plan { start: None, condition: condition(tenant, filter) }) };
    // With a small set to start from, working out a large one costs more than it saves. Leaving a part out only widens.
    let rest = (0..parts.len()).filter(|i| *i != least && (sizes[*i].is_some() || is_cheap(&parts[*i])));
    let rest = Filter::And(rest.map(|i| parts[i].clone()).collect());
    Ok(Plan { start: sizes.swap_remove(least).map(|(_, keys)| keys), condition: condition(tenant, &rest) })
}

/// Whether the set of the filter has more than `limit` keys; yes when no index says.
pub fn holds_more(conn: &Connection, tenant: i64, filter: &Filter, limit: usize) -> Result<bool, StoreError> {
    let Some(keys) = keys(tenant, filter) else { return Ok(true) };
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT {})", keys.text, limit + 1);
    let n: usize = conn.prepare_cached(&sql)?.query_row(params_from_iter(&keys.params), |row| row.get(0))?;
    Ok(n > limit)
}

/// Whether the condition is a look-up for each entity, not a set to be worked out first.
fn is_cheap(filter: &Filter) -> bool {
    match filter {
        Filter::All | Filter::Ids(_) | Filter::IdPrefix(_) | Filter::Types(_) | Filter::SeveralTypes => true,
        Filter::Scope { below, .. } => !below,
        Filter::And(parts) | Filter::Or(parts) => parts.iter().all(is_cheap),
        _ => false,
    }
}

fn number(tenant: i64) -> Value {
    Value::Integer(tenant)
}
fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
fn value(key: &Key) -> Value {
    match key.to_sql() {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(borrowed)) => Value::try_from(borrowed).unwrap_or(Value::Null),
        _ => Value::Null,
    }
}
fn list(texts: &[String]) -> Value {
    Value::Text(serde_json::to_string(texts).unwrap_or_else(|_| "[]".to_owned()))
}
fn inclusive(attr: &str, lo: &Key, hi: &Key) -> (String, Vec<Value>) {
    (attr.to_owned(), vec![value(lo), value(hi)])
}

/// The bounds of a value condition: Attribute, and the lowest and highest key.
fn range(filter: &Filter) -> Option<(String, Vec<Value>)> {
    Some(match filter {
        // One step wider: a reader of decimal text may be off by one unit in the last place, and may not miss its own bound.
        Filter::NumRange { attr, lo, hi } => inclusive(attr, &Key::num(lo.next_down()), &Key::num(hi.next_up())),
        Filter::TextEq { attr, text } => inclusive(attr, &Key::text(text), &Key::text(text)),
        Filter::TimeRange { attr, lo, hi } => inclusive(attr, &Key::time(*lo), &Key::time(*hi)),
        Filter::BoolEq { attr, value } => inclusive(attr, &Key::bool(*value), &Key::bool(*value)),
        _ => return None,
    })
}

const NAMED: &str = "(SELECT id FROM name WHERE text=?)";

/// A query that gives the keys `k` of all that the filter lets through, or nothing when no index can.
fn keys(tenant: i64, filter: &Filter) -> Option<Sql> {
    let mut sql = Sql::default();
    match filter {
        Filter::SeveralTypes => return keys(tenant, &Filter::Types(vec![SEVERAL.to_owned()])),
        Filter::All => return None,
        Filter::Ids(ids) => {
            sql.push("SELECT k FROM entity WHERE tenant=? AND id IN (SELECT value FROM json_each(?))", [number(tenant), list(ids)]);
        }
        Filter::IdPrefix(prefix) => {
            sql.push("SELECT k FROM entity WHERE tenant=? AND id>=?", [number(tenant), text(prefix)]);
            if let Some(end) = after_prefix(prefix) {
                sql.push(" AND id<?", [text(&end)]);
            }
        }
        Filter::Types(types) => {
            let of = "SELECT k FROM entity_type WHERE tenant=? AND type IN (SELECT id FROM name WHERE text IN (SELECT value FROM json_each(?)))";
            sql.push(of, [number(tenant), list(types)]);
        }
        Filter::Scope { path, below } => {
            sql.push("SELECT k FROM entity_scope WHERE tenant=? AND path=?", [number(tenant), text(path)]);
            if *below {
                let (from, to) = (format!("{path}/"), format!("{path}0"));
                sql.push(" UNION ALL SELECT k FROM entity_scope WHERE tenant=? AND path>=? AND path<?", [number(tenant), text(&from), text(&to)]);
            }
        }
        Filter::HasAttr(attr) => {
            sql.push("SELECT k FROM entity_attr WHERE tenant=? AND attr=", [number(tenant)]);
            sql.push(NAMED, [text(attr)]);
        }
        Filter::NumRange { .. } | Filter::TextEq { .. } | Filter::TimeRange { .. } | Filter::BoolEq { .. } => {
            let (attr, bounds) = range(filter)?;
            sql.push("SELECT k FROM entity_attr WHERE tenant=? AND attr=", [number(tenant)]);
            sql.push(NAMED, [text(&attr)]);
            sql.push(" AND val BETWEEN ? AND ? UNION ALL SELECT k FROM entity_attr WHERE tenant=? AND attr=", bounds.into_iter().chain([number(tenant)]));
            sql.push(NAMED, [text(&attr)]);
            sql.push(" AND val=x''", []);
        }
        Filter::BBox { attr, bounds } => {
            let [west, south, east, north] = bounds.map(Value::Real);
            sql.push("SELECT k FROM place WHERE east>=? AND west<=? AND north>=? AND south<=? AND tenant=?", [
                west, east, south, north, number(tenant),
            ]);
            sql.push(" AND attr IN (0, ", []);
            sql.push(NAMED, [text(attr)]);
            sql.push(")", []);
        }
        // One part of a conjunction is enough to hold all that the whole lets through.
        Filter::And(parts) => return parts.iter().find_map(|part| keys(tenant, part)),
        Filter::Or(parts) => {
            for part in parts {
                let one = keys(tenant, part)?;
                sql.push(if sql.text.is_empty() { "SELECT k FROM (" } else { " UNION ALL SELECT k FROM (" }, []);
                sql.join(one);
                sql.push(")", []);
            }
            if parts.is_empty() {
                sql.push("SELECT 0 AS k WHERE 0", []);
            }
        }
    }
    Some(sql)
}

/// The condition on the row `e`.
fn condition(tenant: i64, filter: &Filter) -> Sql {
    let mut sql = Sql::default();
    match filter {
        Filter::SeveralTypes => return condition(tenant, &Filter::Types(vec![SEVERAL.to_owned()])),
        Filter::All => sql.push("1", []),
        Filter::Ids(ids) => sql.push("e.id IN (SELECT value FROM json_each(?))", [list(ids)]),
        Filter::IdPrefix(prefix) => match after_prefix(prefix) {
            Some(end) => sql.push("(e.id>=? AND e.id<?)", [text(prefix), text(&end)]),
            None => sql.push("e.id>=?", [text(prefix)]),
        },
        Filter::Types(types) => {
            if let [one] = types.as_slice() {
                sql.push("EXISTS(SELECT 1 FROM entity_type WHERE tenant=? AND type=", [number(tenant)]);
                sql.push(NAMED, [text(one)]);
            } else {
                let of = "EXISTS(SELECT 1 FROM entity_type WHERE tenant=? AND type IN (SELECT id FROM name WHERE text IN (SELECT value FROM json_each(?)))";
                sql.push(of, [number(tenant), list(types)]);
            }
            sql.push(" AND k=e.k)", []);
        }
        Filter::Scope { path, below } => {
            sql.push("(EXISTS(SELECT 1 FROM entity_scope WHERE tenant=? AND path=? AND k=e.k)", [number(tenant), text(path)]);
            if *below {
                let (from, to) = (format!("{path}/"), format!("{path}0"));
                sql.push(" OR e.k IN (SELECT k FROM entity_scope WHERE tenant=? AND path>=? AND path<?)", [number(tenant), text(&from), text(&to)]);
            }
            sql.push(")", []);
        }
        // A look-up by entity is not what these indexes are ordered by: the set is worked out once and then asked.
        Filter::HasAttr(_) | Filter::NumRange { .. } | Filter::TextEq { .. } | Filter::TimeRange { .. } | Filter::BoolEq { .. } | Filter::BBox { .. } => {
            let set = keys(tenant, filter).unwrap_or_default();
            sql.push("e.k IN (", []);
            sql.join(set);
            sql.push(")", []);
        }
        Filter::And(parts) | Filter::Or(parts) => {
            let (word, empty) = if matches!(filter, Filter::And(_)) { (" AND ", "1") } else { (" OR ", "0") };
            sql.push("(", []);
            for (n, part) in parts.iter().enumerate() {
                sql.push(if n == 0 { "" } else { word }, []);
                sql.join(condition(tenant, part));
            }
            sql.push(if parts.is_empty() { empty } else { "" }, []);
            sql.push(")", []);
        }
    }
    sql
}

/// The least text behind all texts with this prefix; nothing when there is none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            c => char::from_u32(c as u32 + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}
