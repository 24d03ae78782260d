//! Subscriptions (clauses 5.2.12, 5.8): read and checked once, kept with the expansion of every name in them.

mod show;

use crate::decode::{QueryTexts, SelectorTexts, geo_query};
use crate::negotiate::Media;
use crate::problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use waybill_context::{Context, Format};
use waybill_model::{DateTime, Iri, Problem};
use waybill_query::{EntityQuery, Expander, NoContext, Projection};

/// Members that a caller may set.
const MEMBERS: &[&str] = &[
    "subscriptionName", "description", "entities", "watchedAttributes", "notificationTrigger", "timeInterval", "q", "geoQ", "scopeQ", "temporalQ", "csf", "datasetId", "lang", "expandValues",
    "jsonKeys", "isActive", "expiresAt", "throttling", "jsonldContext", "localOnly", "splitEntities", "ngsildConformance", "notification",
];
/// Members that only the hub sets; ignored on input.
const OUTPUT: &[&str] = &["status", "createdAt", "modifiedAt", "deletedAt"];
const TRIGGERS: &[&str] = &["entityCreated", "entityUpdated", "entityDeleted", "attributeCreated", "attributeUpdated", "attributeDeleted"];

/// A subscription as the caller wrote it, with the IRIs that its names stood for then. Names are kept for each member by itself, so that a
/// change under another @context does not change what the rest means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// The members, but for `id`, `type`, `@context` and those of the hub.
    pub members: Map<String, Value>,
    /// Member to name to IRI.
    pub names: BTreeMap<String, BTreeMap<String, String>>,
    /// The @context of the notifications, as the value of an `@context` member.
    pub context: Value,
}

/// Where notifications go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub uri: String,
    /// The media type.
    pub accept: Media,
    /// Headers to send.
    pub headers: Vec<(String, String)>,
    /// How long a delivery may take, in milliseconds.
    pub timeout: Option<u64>,
}

fn bad(place: &str, what: impl Into<String>) -> Problem {
    problem::bad_data("bad-subscription", what).at(place).help("See the data type Subscription, clause 5.2.12.")
}

fn unoffered(place: &str, what: &str) -> Problem {
    problem::not_supported("not-offered", what).at(place).help("Leave the member out.")
}

/// Expands with the @context and notes what it expanded.
struct Noting<'a> {
    context: &'a Context,
    noted: RefCell<BTreeMap<String, String>>,
}
impl Expander for Noting<'_> {
    fn expand(&self, term: &str) -> String {
        let iri = self.context.expand(term).into_owned();
        self.noted.borrow_mut().insert(term.to_owned(), iri.clone());
        iri
    }
}

/// Expands with what was noted.
struct Noted<'a>(Option<&'a BTreeMap<String, String>>);
impl Expander for Noted<'_> {
    fn expand(&self, term: &str) -> String {
        self.0.and_then(|names| names.get(term)).cloned().unwrap_or_else(|| NoContext.expand(term))
    }
}

fn strings(value: &Value, place: &str) -> Result<Vec<String>, Problem> {
    let wrong = || bad(place, "this is an array of names, not empty");
    let list = value.as_array().filter(|l| !l.is_empty()).ok_or_else(wrong)?;
    list.iter().map(|v| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned).ok_or_else(wrong)).collect()
}

/// A list of names, as an array or as one text.
fn list_text(value: &Value, place: &str) -> Result<String, Problem> {
    match value {
        Value::String(s) => Ok(s.clone()),
        other => strings(other, place).map(|l| l.join(",")),
    }
}

impl Subscription {
    /// Reads the body of a creation. Gives the identifier that it asks for beside.
    ///
    /// # Errors
    /// 400 with a JSON Pointer to what is wrong; 422 for what this hub does not offer.
    pub fn create(body: &Value, context: &Context, now: DateTime) -> Result<(Option<Iri>, Self), Problem> {
        let map = body.as_object().ok_or_else(|| bad("", "a subscription is an object"))?;
        let id = match map.get("id") {
            None => None,
            Some(Value::String(id)) => Some(Iri::new(id).map_err(|_| bad("/id", "the id is no URI"))?),
            Some(_) => return Err(bad("/id", "the id is a URI")),
        };
        if map.get("type").and_then(Value::as_str) != Some("Subscription") {
            return Err(bad("/type", "the type is `Subscription`"));
        }
        let mut out = Self { members: Map::new(), names: BTreeMap::new(), context: context.user().clone() };
        out.take(map, context, false)?;
        out.check(now)?;
        Ok((id, out))
    }

    /// The members of a fragment, which must change something.
    ///
    /// # Errors
    /// 400 when it is no fragment of a subscription.
    pub fn fragment(body: &Value) -> Result<&Map<String, Value>, Problem> {
        let map = body.as_object().ok_or_else(|| bad("", "a fragment of a subscription is an object"))?;
        if map.keys().all(|k| k == "@context") {
            return Err(bad("", "the fragment changes nothing"));
        }
        if map.get("type").is_some_and(|t| t.as_str() != Some("Subscription")) {
            return Err(bad("/type", "the type is `Subscription`"));
        }
        Ok(map)
    }

    /// The subscription with the members of `body` put in the place of those there are (clause 5.8.2); Nulls take away.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn patched(&self, body: &Value, context: &Context, now: DateTime) -> Result<Self, Problem> {
        let map = Self::fragment(body)?;
        let mut out = self.clone();
        out.take(map, context, true)?;
        out.check(now)?;
        Ok(out)
    }

    /// Takes over members, noting what their names stand for.
    fn take(&mut self, map: &Map<String, Value>, context: &Context, patch: bool) -> Result<(), Problem> {
        for (name, value) in map {
            let place = format!("/{}", problem::escape(name));
            if matches!(name.as_str(), "id" | "type" | "@context") || OUTPUT.contains(&name.as_str()) {
                continue;
            }
            // What is no member of a subscription is not kept (clause 5.2.12); the answer's NGSILD-Warning names it.
            if !MEMBERS.contains(&name.as_str()) {
                continue;
            }
            if value.as_str() == Some(waybill_model::NGSI_LD_NULL) || value.is_null() {
                if !patch {
                    return Err(problem::bad_data("null-not-allowed", "a Null stands in a new subscription").at(place).help("Leave the member out."));
                }
                self.members.remove(name);
                self.names.remove(name);
                continue;
            }
            let noting = Noting { context, noted: RefCell::default() };
            self.members.insert(name.clone(), value.clone());
            Self::read_names(name, value, &noting)?;
            self.names.insert(name.clone(), noting.noted.into_inner());
        }
        if let Some(context) = map.get("jsonldContext") {
            self.context = context.clone();
        }
        Ok(())
    }

    /// Reads one member for its names alone.
    fn read_names(name: &str, value: &Value, x: &dyn Expander) -> Result<(), Problem> {
        let expand = |t: &str| x.expand(t);
        match name {
            "entities" => selectors(value)?.iter().try_for_each(|s| s.build(&expand).map(drop)),
            "watchedAttributes" => {
                strings(value, "/watchedAttributes")?.iter().for_each(|n| drop(x.expand(n)));
                Ok(())
            }
            "expandValues" => {
                list_text(value, "/expandValues")?.split(',').for_each(|n| drop(x.expand(n)));
                Ok(())
            }
            "q" => {
                let text = value.as_str().ok_or_else(|| bad("/q", "this is a string"))?;
                QueryTexts { q: Some(text.to_owned()), ..QueryTexts::default() }.build(&expand).map(drop).map_err(|p| p.at("/q"))
            }
            "geoQ" => {
                let mut texts = QueryTexts::default();
                geo_query(value, "/geoQ", &mut texts)?;
                texts.build(&expand).map(drop)
            }
            "notification" => projection(value, x).map(drop),
            _ => Ok(()),
        }
    }

    /// Checks the whole.
    fn check(&self, now: DateTime) -> Result<(), Problem> {
        let get = |name: &str| self.members.get(name);
        for name in ["subscriptionName", "description", "lang", "scopeQ"] {
            if get(name).is_some_and(|v| !v.is_string()) {
                return Err(bad(&format!("/{name}"), "this is a string"));
            }
        }
        for name in ["isActive", "localOnly", "splitEntities"] {
            if get(name).is_some_and(|v| !v.is_boolean()) {
                return Err(bad(&format!("/{name}"), "this is true or false"));
            }
        }
        for name in ["throttling", "timeInterval"] {
            if get(name).is_some_and(|v| v.as_f64().is_none_or(|n| n <= 0.0)) {
                return Err(bad(&format!("/{name}"), "this is a number of seconds, greater than 0"));
            }
        }
        if get("timeInterval").is_some() {
            for name in ["watchedAttributes", "throttling"] {
                if get(name).is_some() {
                    return Err(bad(&format!("/{name}"), format!("`timeInterval` and `{name}` do not go together")));
                }
            }
        }
        if get("temporalQ").is_some() {
            return Err(bad("/temporalQ", "a temporal query is for subscriptions to context sources"));
        }
        if let Some(csf) = get("csf") {
            let text = csf.as_str().ok_or_else(|| bad("/csf", "this is a string"))?;
            waybill_query::Q::parse(text, &NoContext).map_err(|e| Problem::from(e).at("/csf"))?;
            return Err(unoffered("/csf", "this hub does not offer `csf` in a subscription"));
        }
        if get("ngsildConformance").is_some() {
            return Err(unoffered("/ngsildConformance", "this hub does not offer `ngsildConformance`"));
        }
        if get("jsonldContext").is_some_and(|v| v.as_str().is_none_or(|t| !Iri::is_valid(t))) {
            return Err(bad("/jsonldContext", "this is the address of an @context"));
        }
        if get("splitEntities") == Some(&Value::Bool(true)) {
            return Err(unoffered("/splitEntities", "this hub does not split entities"));
        }
        if get("entities").is_none() && get("watchedAttributes").is_none() && get("localOnly") != Some(&Value::Bool(true)) {
            return Err(bad("/entities", "a subscription needs `entities` or `watchedAttributes`"));
        }
        if let Some(triggers) = get("notificationTrigger") {
            let list = strings(triggers, "/notificationTrigger")?;
            if let Some(i) = list.iter().position(|t| !TRIGGERS.contains(&t.as_str())) {
                return Err(bad(&format!("/notificationTrigger/{i}"), format!("a trigger is one of {}", TRIGGERS.join(", "))));
            }
        }
        if let Some(at) = self.expiry()?
            && at <= now
        {
            return Err(bad("/expiresAt", "this time is in the past"));
        }
        let notification = get("notification").ok_or_else(|| bad("/notification", "a subscription needs `notification`"))?;
        check_notification(notification)?;
        self.endpoint()?;
        self.query().map(drop)
    }

    /// When it ends.
    ///
    /// # Errors
    /// 400 when `expiresAt` is no DateTime.
    pub fn expiry(&self) -> Result<Option<DateTime>, Problem> {
        let Some(value) = self.members.get("expiresAt") else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| bad("/expiresAt", "this is a DateTime"))?;
        DateTime::parse(text).map(Some).map_err(|e| bad("/expiresAt", e.to_string()))
    }

    /// What this hub takes but does not do as it is asked; a caller is told so in a header.
    pub fn shortfalls(&self) -> Vec<&'static str> {
        let mut out = Vec::new();
        if self.members.contains_key("timeInterval") {
            out.push("this hub notifies of changes, not at intervals");
        }
        if self.members.contains_key("throttling") {
            out.push("this hub does not throttle notifications");
        }
        if self.notification("showChanges") == Some(&Value::Bool(true)) {
            out.push("this hub does not show previous values");
        }
        out
    }

    /// Members of a body that no subscription has.
    pub fn unknown_members(body: &Value) -> Vec<&str> {
        let known = |n: &str| matches!(n, "id" | "type" | "@context") || MEMBERS.contains(&n) || OUTPUT.contains(&n);
        body.as_object().into_iter().flatten().map(|(n, _)| n.as_str()).filter(|n| !known(n)).collect()
    }

    /// Whether it is not paused.
    pub fn is_active(&self) -> bool {
        self.members.get("isActive") != Some(&Value::Bool(false))
    }

    /// Which Entities it is about, and what is sent of them.
    ///
    /// # Errors
    /// 400 or 403 for what is wrong or too complex.
    pub fn query(&self) -> Result<EntityQuery, Problem> {
        let get = |name: &str| self.members.get(name);
        let text = |name: &str| get(name).and_then(Value::as_str).map(str::to_owned);
        let expander = |member: &str| Noted(self.names.get(member));
        let part = |member: &str, texts: QueryTexts| {
            let x = expander(member);
            texts.build(&|t| x.expand(t))
        };
        let entities = get("entities").map(selectors).transpose()?.unwrap_or_default();
        let mut query = part("entities", QueryTexts { entities, ..QueryTexts::default() })?;
        let expand_values = get("expandValues").map(|v| list_text(v, "/expandValues")).transpose()?;
        let mut names = self.names.get("q").cloned().unwrap_or_default();
        names.extend(self.names.get("expandValues").cloned().unwrap_or_default());
        let x = Noted(Some(&names));
        query.q = QueryTexts { q: text("q"), expand_values, ..QueryTexts::default() }.build(&|t| x.expand(t))?.q;
        let mut geo = QueryTexts::default();
        if let Some(value) = get("geoQ") {
            geo_query(value, "/geoQ", &mut geo)?;
        }
        query.geo = part("geoQ", geo)?.geo;
        let dataset_id = get("datasetId").map(|v| list_text(v, "/datasetId")).transpose()?;
        let plain = part("", QueryTexts { scope_q: text("scopeQ"), dataset_id, ..QueryTexts::default() })?;
        query.scope = plain.scope;
        query.datasets = plain.datasets;
        if let Some(notification) = get("notification") {
            query.projection = projection(notification, &expander("notification"))?;
            // A projection of a subscription shows less; it does not select (clause 5.8.6).
            if let Some(names) = query.projection.attrs.take() {
                let keep = |m| waybill_query::ProjectionItem { member: m, nested: Vec::new() };
                let mut items: Vec<_> = [waybill_query::Member::Id, waybill_query::Member::Type, waybill_query::Member::Scope].into_iter().map(keep).collect();
                items.extend(names.into_iter().map(|n| keep(waybill_query::Member::Attribute(n))));
                query.projection.pick = Some(items);
            }
        }
        Ok(query)
    }

    /// The Attributes whose change counts; empty for any.
    pub fn watched(&self) -> Vec<Iri> {
        let x = Noted(self.names.get("watchedAttributes"));
        let list = self.members.get("watchedAttributes").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).filter_map(|n| Iri::new(x.expand(n)).ok()).collect()
    }

    /// The Attributes that are sent; empty for all that are not omitted.
    pub fn kept(&self) -> Vec<Iri> {
        let attribute = |i: &waybill_query::ProjectionItem| match &i.member {
            waybill_query::Member::Attribute(name) => Iri::new(name).ok(),
            _ => None,
        };
        self.query().map(|q| q.projection.pick.iter().flatten().filter_map(attribute).collect()).unwrap_or_default()
    }

    /// Whether it hears that something is gone: unless it lists triggers and leaves deletions out. Every media type has a place for it.
    pub fn hears_deletions(&self) -> bool {
        let Some(list) = self.members.get("notificationTrigger").and_then(Value::as_array) else { return true };
        ["entityDeleted", "attributeDeleted"].iter().all(|t| list.iter().any(|v| v.as_str() == Some(*t)))
    }

    /// Whether it lists `trigger`, or no trigger at all.
    pub fn fires_on(&self, trigger: &str) -> bool {
        self.members.get("notificationTrigger").and_then(Value::as_array).is_none_or(|l| l.iter().any(|v| v.as_str() == Some(trigger)))
    }

    /// Where notifications go.
    ///
    /// # Errors
    /// 400 for what is wrong; 422 for a protocol that this hub does not speak.
    pub fn endpoint(&self) -> Result<Endpoint, Problem> {
        let place = "/notification/endpoint";
        let endpoint = self.members.get("notification").and_then(|n| n.get("endpoint")).and_then(Value::as_object);
        let endpoint = endpoint.ok_or_else(|| bad(place, "a notification needs an `endpoint`"))?;
        let uri = endpoint.get("uri").and_then(Value::as_str).ok_or_else(|| bad(&format!("{place}/uri"), "an endpoint needs a `uri`"))?;
        match url::Url::parse(uri) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => {}
            Ok(url) if matches!(url.scheme(), "mqtt" | "mqtts") => return Err(unoffered(&format!("{place}/uri"), "this hub notifies by HTTP, not by MQTT")),
            _ => return Err(bad(&format!("{place}/uri"), "the endpoint is no http or https address")),
        }
        let accept = match endpoint.get("accept") {
            None => Media::Json,
            Some(v) => v.as_str().and_then(Media::parse).ok_or_else(|| bad(&format!("{place}/accept"), "this is application/json, application/ld+json or application/geo+json"))?,
        };
        let mut headers = Vec::new();
        if let Some(info) = endpoint.get("receiverInfo") {
            let wrong = || bad(&format!("{place}/receiverInfo"), "this is an array of objects with `key` and `value`");
            for item in info.as_array().ok_or_else(wrong)? {
                let part = |name: &str| item.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(wrong);
                headers.push((part("key")?, part("value")?));
            }
        }
        if let Some(info) = endpoint.get("notifierInfo") {
            let good = |item: &Value| item.get("key").is_some_and(Value::is_string) && item.get("value").is_some_and(Value::is_string);
            if !info.as_array().is_some_and(|l| l.iter().all(good)) {
                return Err(bad(&format!("{place}/notifierInfo"), "this is an array of objects with `key` and `value`, both strings"));
            }
        }
        let positive = |name: &str| match endpoint.get(name) {
            None => Ok(None),
            Some(v) => v.as_u64().filter(|n| *n > 0).map(Some).ok_or_else(|| bad(&format!("{place}/{name}"), "this is a number of milliseconds, greater than 0")),
        };
        positive("cooldown")?;
        Ok(Endpoint { uri: uri.to_owned(), accept, headers, timeout: positive("timeout")? })
    }

    /// The representation of notifications.
    pub fn format(&self) -> Format {
        match self.notification("format").and_then(Value::as_str) {
            Some("concise") => Format::Concise,
            Some("simplified" | "keyValues") => Format::Simplified,
            _ => Format::Normalized,
        }
    }
    /// Whether notifications show system attributes.
    pub fn sys_attrs(&self) -> bool {
        self.notification("sysAttrs") == Some(&Value::Bool(true))
    }
    /// The language asked for.
    pub fn lang(&self) -> Option<&str> {
        self.members.get("lang").and_then(Value::as_str)
    }
    fn notification(&self, name: &str) -> Option<&Value> {
        self.members.get("notification").and_then(|n| n.get(name))
    }

    /// The text it is kept as.
    pub fn to_spec(&self) -> String {
        // INVARIANT: string keys and JSON values.
        serde_json::to_string(self).unwrap_or_default()
    }
    /// Reads what [`Self::to_spec`] wrote.
    ///
    /// # Errors
    /// 500 when it is something else.
    pub fn from_spec(spec: &str) -> Result<Self, Problem> {
        serde_json::from_str(spec).map_err(|_| {
            Problem::new(waybill_model::ProblemCode("subscription-unreadable"), 500, "A stored subscription cannot be read", "its row is no subscription")
                .of_type(format!("{}InternalError", problem::ERRORS))
        })
    }
}

fn selectors(value: &Value) -> Result<Vec<SelectorTexts>, Problem> {
    let list = value.as_array().filter(|l| !l.is_empty()).ok_or_else(|| bad("/entities", "`entities` is an array, not empty"))?;
    list.iter()
        .enumerate()
        .map(|(i, v)| {
            let place = format!("/entities/{i}");
            let selector = SelectorTexts::read(v, &place)?;
            if selector.types.is_none() {
                return Err(bad(&format!("{place}/type"), "an element of `entities` needs a `type`"));
            }
            Ok(selector)
        })
        .collect()
}

fn projection(notification: &Value, x: &dyn Expander) -> Result<Projection, Problem> {
    let list = |name: &str| notification.get(name).map(|v| list_text(v, &format!("/notification/{name}"))).transpose();
    let (pick, omit, attrs) = (list("pick")?, list("omit")?, list("attributes")?);
    let read = Projection::parse(pick.as_deref(), omit.as_deref(), attrs.as_deref(), &|t: &str| x.expand(t))?;
    if read.is_nested() { Err(unoffered("/notification", "this hub does not go into linked entities")) } else { Ok(read) }
}

fn check_notification(value: &Value) -> Result<(), Problem> {
    let map = value.as_object().ok_or_else(|| bad("/notification", "`notification` is an object"))?;
    let known = [
        "attributes", "pick", "omit", "format", "join", "joinLevel", "showChanges", "sysAttrs", "endpoint", "status", "timesSent", "timesFailed", "lastNotification", "lastSuccess", "lastFailure",
    ];
    if let Some(name) = map.keys().find(|k| !known.contains(&k.as_str())) {
        return Err(bad(&format!("/notification/{}", problem::escape(name)), "`notification` has no such member"));
    }
    if map.get("format").is_some_and(|f| !matches!(f.as_str(), Some("normalized" | "concise" | "simplified" | "keyValues"))) {
        return Err(bad("/notification/format", "this is normalized, concise, simplified or keyValues"));
    }
    for name in ["sysAttrs", "showChanges"] {
        if map.get(name).is_some_and(|v| !v.is_boolean()) {
            return Err(bad(&format!("/notification/{name}"), "this is true or false"));
        }
    }
    if map.get("showChanges") == Some(&Value::Bool(true)) && matches!(map.get("format").and_then(Value::as_str), Some("simplified" | "keyValues")) {
        return Err(bad("/notification/showChanges", "a simplified notification has no place for changes"));
    }
    if map.get("join").is_some_and(|j| j.as_str() != Some("@none")) {
        return Err(unoffered("/notification/join", "this hub does not offer `join`"));
    }
    Ok(())
}
