//! From a message's bytes to what it says. The shape is that of the protocol's own JSON Schemas; each fault is named with its place.

use crate::fault::Fault;
use crate::vocab::{CONTEXT, EDC};
use serde_json::{Map, Value};
use waybill_http::{Request, strict};

/// The largest message in bytes: a policy of some thousand constraints.
pub const MAX_MESSAGE: usize = 1 << 20;
/// How deep logical constraints may nest.
const MAX_LOGIC: usize = 16;
/// The longest identifier or address that is kept.
const MAX_TEXT: usize = 2048;

const OPERATORS: &[&str] =
    &["eq", "gt", "gteq", "lteq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf", "lt", "term-lteq", "neq"];

/// A message of the type that was expected, its members not looked at yet.
#[derive(Debug, Clone)]
pub struct Message(Map<String, Value>);

/// Reads a message that has neither context nor type.
///
/// # Errors
/// 400 when it is no JSON object or has a member twice.
pub(crate) fn plain(request: &Request) -> Result<Message, Fault> {
    json_only(request)?;
    object(&request.body).map(Message)
}

pub(crate) fn json_only(request: &Request) -> Result<(), Fault> {
    let media = request.content_type();
    let json = media.is_empty() || media == "application/json" || media.ends_with("+json");
    if json { Ok(()) } else { Err(Fault::new(415, "media-type", "", format!("`{media}` is not JSON"))) }
}

/// Refuses what is no JSON, or has a member twice.
pub(crate) fn once(body: &[u8]) -> Result<(), Fault> {
    strict::once(body).map_err(|p| Fault::new(400, if p.code == "duplicate-member" { "member-twice" } else { "not-json" }, p.place.as_deref().unwrap_or(""), p.detail))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    once(body)?;
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Fault::new(400, "not-json", "", "a message is a JSON object")),
    }
}

/// Reads a message in the short form of the protocol.
///
/// # Errors
/// 400 when it is not JSON, has a member twice, names another context or another type.
pub fn of(body: &[u8], kind: &str) -> Result<Message, Fault> {
    let map = object(body)?;
    context(&map)?;
    let out = Message(map);
    match out.0.get("@type").and_then(Value::as_str) {
        Some(found) if found == kind => Ok(out),
        Some(found) => Err(Fault::bad("/@type", format!("this is a {}; a {kind} is expected here", short(found)))),
        None => Err(Fault::bad("/@type", format!("the type is missing; a {kind} is expected here"))),
    }
}

fn context(map: &Map<String, Value>) -> Result<(), Fault> {
    let named = map.get("@context").and_then(Value::as_array);
    let good = named.is_some_and(|list| list.iter().all(Value::is_string) && list.iter().any(|c| c == CONTEXT));
    if good { Ok(()) } else { Err(Fault::bad("/@context", format!("it must be a list of context addresses with {CONTEXT} among them"))) }
}

/// A text for a message, cut.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Message {
    /// The whole message.
    pub fn value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// A member that must be a text.
    ///
    /// # Errors
    /// When it is missing, no text, empty or longer than is kept.
    pub fn text(&self, name: &str) -> Result<String, Fault> {
        self.optional(name)?.ok_or_else(|| Fault::bad(&format!("/{name}"), "it is missing"))
    }

    /// A member that may be missing and else is a text.
    ///
    /// # Errors
    /// When it is no text, empty or longer than is kept.
    pub fn optional(&self, name: &str) -> Result<Option<String>, Fault> {
        let at = format!("/{name}");
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(Fault::bad(&at, "it is empty")),
            Some(Value::String(text)) if text.len() > MAX_TEXT => Err(Fault::bad(&at, format!("it is longer than {MAX_TEXT} bytes"))),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Fault::bad(&at, "it must be a text")),
        }
    }

    /// Exactly one of two texts: (the first, the second).
    ///
    /// # Errors
    /// When both or none are there, or one is no text.
    pub fn one_of(&self, a: &str, b: &str) -> Result<(Option<String>, Option<String>), Fault> {
        match (self.optional(a)?, self.optional(b)?) {
            (None, None) => Err(Fault::bad("", format!("`{a}` or `{b}` is needed"))),
            (Some(_), Some(_)) => Err(Fault::bad(&format!("/{b}"), format!("`{a}` and `{b}` exclude each other"))),
            one => Ok(one),
        }
    }

    /// Checks the identifiers of the process: `provider` and `consumer` are what this side knows; nothing where it does not.
    ///
    /// # Errors
    /// When one is missing or another than is known.
    pub fn pids(&self, provider: Option<&str>, consumer: Option<&str>) -> Result<(), Fault> {
        for (name, known) in [("providerPid", provider), ("consumerPid", consumer)] {
            let said = self.text(name)?;
            if known.is_some_and(|known| known != said) {
                return Err(Fault::bad(&format!("/{name}"), "it is not that of this process"));
            }
        }
        Ok(())
    }

    /// `code` and `reason`.
    ///
    /// # Errors
    /// When the code is no text or the reasons are no list with something in it.
    pub fn why(&self) -> Result<(Option<String>, Vec<Value>), Fault> {
        let code = match self.0.get("code") {
            None => None,
            Some(Value::String(code)) => Some(code.chars().take(200).collect()),
            Some(_) => return Err(Fault::bad("/code", "it must be a text")),
        };
        let reason = match self.0.get("reason") {
            None => Vec::new(),
            Some(Value::Array(list)) if !list.is_empty() => list.clone(),
            Some(_) => return Err(Fault::bad("/reason", "it must be a list with something in it")),
        };
        Ok((code, reason))
    }

    /// The part of the catalogue that a request's filter asks for: (offset, limit), where it says so. The one filter that is understood is the
    /// `QuerySpec` that the Eclipse EDC puts into every request, as long as it only pages.
    ///
    /// # Errors
    /// When there is another: an answer that ignores a filter would be wrong.
    pub fn filter(&self) -> Result<(Option<usize>, Option<usize>), Fault> {
        let list = match self.0.get("filter") {
            None => return Ok((None, None)),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(Fault::bad("/filter", "it must be a list")),
        };
        let not_supported = || Fault::new(400, "filter-not-supported", "/filter", "no filter expression is understood here; ask without one");
        let spec = match list.as_slice() {
            [] => return Ok((None, None)),
            [Value::Object(spec)] => spec,
            _ => return Err(not_supported()),
        };
        let local = |name: &str| name.rsplit(['/', '#', ':']).next().unwrap_or_default().to_owned();
        let (mut offset, mut limit) = (None, None);
        for (name, value) in spec {
            let number = || value.as_u64().and_then(|n| usize::try_from(n).ok()).ok_or_else(not_supported);
            match local(name).as_str() {
                "@type" if value.as_str().is_some_and(|t| local(t) == "QuerySpec") => {}
                "offset" => offset = Some(number()?),
                "limit" => limit = Some(number()?),
                "sortOrder" => {}
                "filterExpression" if value.as_array().is_some_and(Vec::is_empty) => {}
                _ => return Err(not_supported()),
            }
        }
        Ok((offset, limit))
    }

    /// The offer of a message.
    ///
    /// # Errors
    /// When it is missing or not shaped as one. `with_target`: whether it must name a dataset.
    pub fn offer(&self, with_target: bool) -> Result<Value, Fault> {
        let offer = self.0.get("offer").ok_or_else(|| Fault::bad("/offer", "it is missing"))?;
        policy(offer, "Offer", "/offer")?;
        match offer.get("target") {
            Some(Value::String(_)) => {}
            None if !with_target => {}
            None => return Err(Fault::bad("/offer/target", "it is missing")),
            Some(_) => return Err(Fault::bad("/offer/target", "it must be a text")),
        }
        Ok(offer.clone())
    }

    /// The agreement of a message.
    ///
    /// # Errors
    /// When it is missing or not shaped as one.
    pub fn agreement(&self) -> Result<Value, Fault> {
        let agreement = self.0.get("agreement").ok_or_else(|| Fault::bad("/agreement", "it is missing"))?;
        policy(agreement, "Agreement", "/agreement")?;
        for name in ["target", "assigner", "assignee"] {
            if !agreement.get(name).is_some_and(Value::is_string) {
                return Err(Fault::bad(&format!("/agreement/{name}"), "it must be there, and a text"));
            }
        }
        if let Some(at) = agreement.get("timestamp") {
            let good = at.as_str().is_some_and(is_date_time);
            if !good {
                return Err(Fault::bad("/agreement/timestamp", "it must be a date with a time, as 2026-11-24T10:00:00Z"));
            }
        }
        Ok(agreement.clone())
    }

    /// The data address of a message, when there is one.
    ///
    /// # Errors
    /// When it is not shaped as one.
    pub fn data_address(&self) -> Result<Option<DataAddress>, Fault> {
        self.0.get("dataAddress").map(data_address).transpose()
    }
}

/// Where data is, and how to show oneself there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataAddress {
    /// What kind of endpoint.
    pub endpoint_type: String,
    /// Its address.
    pub endpoint: Option<String>,
    /// Names and values, in order.
    pub properties: Vec<(String, String)>,
}

impl DataAddress {
    /// The value of a property, by its name or by its name in the namespace of the Eclipse EDC.
    pub fn property(&self, name: &str) -> Option<&str> {
        let is = |n: &str| n == name || n.strip_prefix(EDC) == Some(name);
        self.properties.iter().find(|(n, _)| is(n)).map(|(_, v)| v.as_str())
    }
    /// The address: the Eclipse EDC writes it as a property, `endpoint` for what can be fetched and `baseUrl` for where to send to.
    pub fn address(&self) -> Option<&str> {
        self.endpoint.as_deref().or_else(|| self.property("endpoint")).or_else(|| self.property("baseUrl"))
    }
}

pub(crate) fn data_address(value: &Value) -> Result<DataAddress, Fault> {
    let at = "/dataAddress";
    let Some(map) = value.as_object() else { return Err(Fault::bad(at, "it must be an object")) };
    if map.get("@type").and_then(Value::as_str) != Some("DataAddress") {
        return Err(Fault::bad(&format!("{at}/@type"), "it must be DataAddress"));
    }
    let text = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(Value::String(t)) if t.len() <= MAX_TEXT => Ok(Some(t.clone())),
        Some(_) => Err(Fault::bad(&format!("{at}/{name}"), "it must be a text")),
    };
    let endpoint_type = text("endpointType")?.ok_or_else(|| Fault::bad(&format!("{at}/endpointType"), "it is missing"))?;
    let mut properties = Vec::new();
    match map.get("endpointProperties") {
        None => {}
        Some(Value::Array(list)) if !list.is_empty() => {
            for (i, item) in list.iter().enumerate() {
                let part = |name: &str| item.get(name).and_then(Value::as_str);
                let (Some("EndpointProperty"), Some(name), Some(value)) = (part("@type"), part("name"), part("value")) else {
                    return Err(Fault::bad(&format!("{at}/endpointProperties/{i}"), "it must be an EndpointProperty with name and value"));
                };
                properties.push((name.to_owned(), value.to_owned()));
            }
        }
        Some(_) => return Err(Fault::bad(&format!("{at}/endpointProperties"), "it must be a list with something in it")),
    }
    Ok(DataAddress { endpoint_type, endpoint: text("endpoint")?, properties })
}

/// Whether `text` is an xsd:dateTime: with any number of decimals and with or without a zone, unlike the times of NGSI-LD.
fn is_date_time(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let Some((date, time)) = text.split_once('T') else { return false };
    let digits = |t: &str, least: usize| t.len() >= least && t.bytes().all(|b| b.is_ascii_digit());
    let number = |t: &str| t.parse::<u32>().unwrap_or(u32::MAX);
    let mut parts = date.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return false };
    let good_date = digits(year, 4) && (month.len(), day.len()) == (2, 2) && (1..=12).contains(&number(month)) && (1..=31).contains(&number(day));
    let (clock, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let hours = |t: &str, most: u32| t.len() == 5 && t.as_bytes()[2] == b':' && digits(&t[..2], 2) && digits(&t[3..], 2) && number(&t[..2]) <= most && number(&t[3..]) <= 59;
    let good_zone = matches!(zone, "" | "Z") || (zone.is_ascii() && zone.len() == 6 && hours(&zone[1..], 14));
    let (whole, fraction) = clock.split_once('.').map_or((clock, None), |(w, f)| (w, Some(f)));
    let good_clock = whole.is_ascii() && whole.len() == 8 && hours(&whole[..5], 24) && whole.as_bytes()[5] == b':' && digits(&whole[6..], 2) && number(&whole[6..]) <= 59;
    // The last hour and the farthest zone are whole ones.
    let last = !whole.starts_with("24") || (whole == "24:00:00" && fraction.is_none_or(|f| f.bytes().all(|b| b == b'0')));
    let farthest = !zone.get(1..).is_some_and(|z| z.starts_with("14")) || zone.ends_with(":00");
    good_date && good_zone && good_clock && last && farthest && fraction.is_none_or(|f| digits(f, 1))
}

/// Whether `value` is shaped as a policy of the type `kind` (DSP 2025-1, contract schema).
///
/// # Errors
/// The first fault, with its place below `at`.
pub fn policy(value: &Value, kind: &str, at: &str) -> Result<(), Fault> {
    let Some(map) = value.as_object() else { return Err(Fault::bad(at, "it must be an object")) };
    if map.get("@type").and_then(Value::as_str) != Some(kind) {
        return Err(Fault::bad(&format!("{at}/@type"), format!("it must be {kind}")));
    }
    match map.get("@id") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_TEXT => {}
        _ => return Err(Fault::bad(&format!("{at}/@id"), "it must be there, and a text")),
    }
    let profile = match map.get("profile") {
        None | Some(Value::String(_)) => true,
        Some(Value::Array(list)) => list.iter().all(Value::is_string),
        Some(_) => false,
    };
    if !profile {
        return Err(Fault::bad(&format!("{at}/profile"), "it must be a text or a list of texts"));
    }
    let mut any = false;
    for name in ["permission", "prohibition", "obligation"] {
        let Some(list) = map.get(name) else { continue };
        let place = format!("{at}/{name}");
        let Some(list) = list.as_array().filter(|l| !l.is_empty()) else {
            return Err(Fault::bad(&place, "it must be a list with something in it"));
        };
        any |= name != "obligation";
        for (i, item) in list.iter().enumerate() {
            rule(item, &format!("{place}/{i}"))?;
        }
    }
    if any { Ok(()) } else { Err(Fault::bad(at, "a permission or a prohibition is needed")) }
}

fn rule(value: &Value, at: &str) -> Result<(), Fault> {
    let Some(map) = value.as_object() else { return Err(Fault::bad(at, "it must be an object")) };
    if !map.get("action").is_some_and(Value::is_string) {
        return Err(Fault::bad(&format!("{at}/action"), "it must be there, and a text"));
    }
    match map.get("constraint") {
        None => Ok(()),
        Some(Value::Array(list)) => list.iter().enumerate().try_for_each(|(i, c)| constraint(c, &format!("{at}/constraint/{i}"), 0)),
        Some(_) => Err(Fault::bad(&format!("{at}/constraint"), "it must be a list")),
    }
}

fn constraint(value: &Value, at: &str, depth: usize) -> Result<(), Fault> {
    let Some(map) = value.as_object() else { return Err(Fault::bad(at, "it must be an object")) };
    if depth > MAX_LOGIC {
        return Err(Fault::bad(at, format!("constraints nest more than {MAX_LOGIC} deep")));
    }
    let logical: Vec<&str> = ["and", "or", "xone", "andSequence"].into_iter().filter(|n| map.contains_key(*n)).collect();
    let atomic = ["leftOperand", "operator", "rightOperand"].into_iter().filter(|n| map.contains_key(*n)).count();
    match (logical.as_slice(), atomic) {
        ([name], 0) => match map.get(*name) {
            Some(Value::Array(list)) => list.iter().enumerate().try_for_each(|(i, c)| constraint(c, &format!("{at}/{name}/{i}"), depth + 1)),
            _ => Err(Fault::bad(&format!("{at}/{name}"), "it must be a list")),
        },
        ([], 3) => {
            if !map.get("leftOperand").is_some_and(Value::is_string) {
                return Err(Fault::bad(&format!("{at}/leftOperand"), "it must be a text"));
            }
            if !map.get("operator").and_then(Value::as_str).is_some_and(|o| OPERATORS.contains(&o)) {
                return Err(Fault::bad(&format!("{at}/operator"), "there is no such operator"));
            }
            match map.get("rightOperand") {
                Some(Value::String(_) | Value::Object(_) | Value::Array(_)) => Ok(()),
                _ => Err(Fault::bad(&format!("{at}/rightOperand"), "it must be a text, an object or a list; write a number as a typed value")),
            }
        }
        ([], _) => Err(Fault::bad(at, "leftOperand, operator and rightOperand are needed")),
        _ => Err(Fault::bad(at, "it must be either one comparison or one of and, or, xone, andSequence")),
    }
}
