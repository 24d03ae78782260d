//! Two tenants in one hub: whatever is asked on behalf of one, nothing of the other is shown, changed or even known to exist.

use crate::it::town::{Answer, CITY_B, JSON, OPERATOR, Town, grant, meter, problem_code};
use serde_json::{Value, json};

const NORTH_DESK: &str = "north-desk-0123456789abcdef";
const SOUTH_DESK: &str = "south-desk-0123456789abcdef";
const NORTH_APP: &str = "north-app-0123456789abcdef";
const SOUTH_APP: &str = "south-app-0123456789abcdef";
const ENTITY: &str = "urn:ngsi-ld:SmartMeter:southern";
const SOFIA: &str = "https://sofia.example/#me";
const DESKS: &str = r#"
[[client]]
name = "north-desk"
role = "operator"
token = "north-desk-0123456789abcdef"
tenants = ["north"]
[[client]]
name = "south-desk"
role = "operator"
token = "south-desk-0123456789abcdef"
tenants = ["south"]
[[client]]
name = "north-app"
party = "https://city-n.example/#city"
token = "north-app-0123456789abcdef"
tenants = ["north"]
[[client]]
name = "south-app"
party = "https://city-s.example/#city"
token = "south-app-0123456789abcdef"
tenants = ["south"]
[[agreement]]
name = "city-n"
recipient = "https://city-n.example/#city"
clients = { north-app = ["EnergyAdvice"] }
[[agreement]]
name = "city-s"
recipient = "https://city-s.example/#city"
clients = { south-app = ["EnergyAdvice"] }
"#;

/// What is asked: method, path, body.
type Ask = (&'static str, String, Value);

/// The names of what the south has; or of what nobody has, in the same form.
#[derive(Clone)]
struct Names {
    entity: String,
    subject: String,
    subscription: String,
    consent: String,
    binding: String,
    withdrawal: String,
}

impl Names {
    fn none(&self) -> Self {
        // As long and of the same letters, so that only existing can make a difference.
        let other = |text: &str| text.replace("southern", "northern").replace("sofia", "norma");
        let turned = |id: &str| {
            let (head, tail) = id.split_at(id.len() - 8);
            format!("{head}{}", tail.chars().rev().map(|c| if c.is_ascii_digit() { char::from(b'9' - (c as u8 - b'0')) } else { c }).collect::<String>())
        };
        Self {
            entity: other(&self.entity),
            subject: other(&self.subject),
            subscription: turned(&self.subscription),
            consent: turned(&self.consent),
            binding: waybill_keys::b64url(other(&String::from_utf8(waybill_keys::unb64url(&self.binding).expect("base64url")).expect("a key"))),
            withdrawal: turned(&self.withdrawal),
        }
    }
    fn all(&self) -> [&str; 6] {
        [&self.entity, &self.subject, &self.subscription, &self.consent, &self.binding, &self.withdrawal]
    }
}

fn coded(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Every route of the data interface that names or lists something.
fn data_routes(n: &Names) -> Vec<Ask> {
    let at = format!("/ngsi-ld/v1/entities/{}", n.entity);
    let part = json!({ "activePower": { "type": "Property", "value": 1 } });
    let whole = meter(&n.entity);
    let ops = |name: &str, body: Value| ("POST", format!("/ngsi-ld/v1/entityOperations/{name}"), body);
    let get = |path: &str| ("GET", format!("/ngsi-ld/v1{path}"), Value::Null);
    vec![
        get(&format!("/entities/{}", n.entity)),
        get("/entities?type=SmartMeter&count=true"),
        get("/entities?local=true"),
        get(&format!("/entities?id={}&local=true&count=true", n.entity)),
        get("/entities?type=SmartMeter&q=activePower==412.5&count=true"),
        get("/types"),
        get("/types/SmartMeter"),
        get("/attributes"),
        get("/attributes/activePower"),
        get("/subscriptions"),
        get(&format!("/subscriptions/{}", n.subscription)),
        ops("query", json!({ "type": "Query", "entities": [{ "type": "SmartMeter" }] })),
        ops("update", json!([whole])),
        ops("merge", json!([whole])),
        ops("delete", json!([n.entity])),
        ("PUT", at.clone(), whole),
        ("PATCH", at.clone(), part.clone()),
        ("POST", format!("{at}/attrs"), part.clone()),
        ("PATCH", format!("{at}/attrs"), part),
        ("PATCH", format!("{at}/attrs/activePower"), json!({ "value": 1 })),
        ("PUT", format!("{at}/attrs/activePower"), json!({ "type": "Property", "value": 1 })),
        ("DELETE", format!("{at}/attrs/activePower"), Value::Null),
        ("PATCH", format!("/ngsi-ld/v1/subscriptions/{}", n.subscription), json!({ "isActive": false })),
        ("DELETE", format!("/ngsi-ld/v1/subscriptions/{}", n.subscription), Value::Null),
        ("DELETE", at, Value::Null),
        ("DELETE", "/ngsi-ld/v1/entities?type=SmartMeter".into(), Value::Null),
        ("GET", format!("/waybill/bundles/{}", n.entity), Value::Null),
    ]
}

/// Every route of administration and consents that belongs to a tenant.
fn office_routes(n: &Names) -> Vec<Ask> {
    let (consent, subject) = (coded(&n.consent), coded(&n.subject));
    let get = |path: String| ("GET", format!("/waybill/v1{path}"), Value::Null);
    let post = |path: String| ("POST", format!("/waybill/v1{path}"), json!({}));
    vec![
        get("/consents".into()),
        get(format!("/consents?subject={subject}")),
        get(format!("/consents/{consent}")),
        get(format!("/consents/{consent}/export")),
        get("/bindings".into()),
        get("/holders".into()),
        get("/withdrawals".into()),
        get(format!("/withdrawals/{}", coded(&n.withdrawal))),
        get("/quarantine".into()),
        post(format!("/consents/{consent}/suspend")),
        post(format!("/consents/{consent}/resume")),
        post(format!("/consents/{consent}/withdraw")),
        ("DELETE", format!("/waybill/v1/bindings/{}", n.binding), Value::Null),
    ]
}

/// Routes about the whole hub, tenants and all. There is one journal, so a person's page tells of every tenant, and who erases her from
/// it does so for all.
fn hub_routes() -> Vec<Ask> {
    let get = |path: &str| ("GET", format!("/waybill/v1{path}"), Value::Null);
    vec![
        get(&format!("/subjects/{}/journal", coded(SOFIA))),
        ("DELETE", format!("/waybill/v1/subjects/{}", coded(SOFIA)), Value::Null),
        get("/dead-letters"),
        get("/heartbeats"),
        get("/connections"),
        get("/keys"),
        get("/journal/export"),
        get("/journal/verify"),
        ("POST", "/waybill/v1/keys/rotate".into(), json!({})),
    ]
}

fn ask(town: &Town, tenant: &str, token: &str, (method, path, body): &Ask) -> Answer {
    let mut headers = Vec::new();
    if !tenant.is_empty() {
        headers.push(("NGSILD-Tenant", tenant));
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    if !text.is_empty() {
        headers.push(("Content-Type", JSON));
    }
    town.call(method, path, token, &headers, text.as_bytes())
}

fn want(status: u16, answer: Answer) -> Answer {
    assert_eq!(answer.status, status, "{}", answer.text());
    answer
}

/// A hub in which the south has one of everything.
fn hub() -> (Town, Names) {
    let town = Town::start(DESKS);
    let south = |method, path: &str, body: Value| ask(&town, "south", SOUTH_DESK, &(method, path.to_owned(), body));
    let mut entity = meter(ENTITY);
    entity["ownedBy"]["object"] = json!(SOFIA);
    want(201, south("POST", "/ngsi-ld/v1/entities", entity));
    let subscription = json!({ "type": "Subscription", "entities": [{ "type": "SmartMeter" }], "notification": { "endpoint": { "uri": "http://127.0.0.1:9/southern" } } });
    let made = want(201, south("POST", "/ngsi-ld/v1/subscriptions", subscription));
    let subscription = made.header("location").and_then(|l| l.rsplit('/').next()).expect("its address").to_owned();
    let granted = |until: &str| {
        let mut document = grant();
        document["document"]["subject"] = json!(SOFIA);
        document["document"]["until"] = json!(until);
        document["document"]["recipients"][0]["id"] = json!("https://city-s.example/#city");
        let given = want(201, south("POST", "/waybill/v1/consents", document)).json();
        given["id"].as_str().unwrap_or_else(|| panic!("{given}")).to_owned()
    };
    // One that is read by and withdrawn, for a holder, a withdrawal and journal records; one that stays.
    let first = granted("2098-12-31T00:00:00Z");
    want(200, ask(&town, "south", SOUTH_APP, &("GET", format!("/ngsi-ld/v1/entities/{ENTITY}"), Value::Null)));
    want(200, south("POST", &format!("/waybill/v1/consents/{}/withdraw", coded(&first)), json!({})));
    let consent = granted("2099-12-31T00:00:00Z");
    want(200, ask(&town, "south", SOUTH_APP, &("GET", format!("/ngsi-ld/v1/entities/{ENTITY}"), Value::Null)));
    let first_id = |path: &str| {
        let list = want(200, south("GET", path, Value::Null)).json();
        list["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{path}: {list}")).to_owned()
    };
    let names = Names {
        entity: ENTITY.into(),
        subject: SOFIA.into(),
        subscription,
        consent,
        binding: first_id("/waybill/v1/bindings"),
        withdrawal: first_id("/waybill/v1/withdrawals"),
    };
    // The north is a tenant too, with something of its own.
    let own = json!({ "id": "urn:ngsi-ld:Bench:1", "type": "Bench", "seats": { "type": "Property", "value": 3 } });
    want(201, ask(&town, "north", NORTH_DESK, &("POST", "/ngsi-ld/v1/entities".into(), own)));
    (town, names)
}

/// All that the south's own desk sees of it.
fn state(town: &Town, names: &Names) -> Vec<String> {
    let reading = data_routes(names).into_iter().chain(office_routes(names)).filter(|(method, ..)| *method == "GET");
    reading.filter(|(_, path, _)| !path.starts_with("/waybill/bundles")).map(|route| ask(town, "south", SOUTH_DESK, &route).text()).collect()
}

/// That nothing which is the south's stands in `answer`; what the caller said herself does not count.
fn silent(answer: &Answer, names: &Names, asked: &str, what: &str) {
    let text = format!("{}\n{}", answer.head, answer.text());
    for name in names.all() {
        let said = asked.contains(name) || asked.contains(&coded(name));
        assert!(said || !text.contains(name), "{what}: `{name}` stands in {text}");
    }
    for word in ["412.5", "southern\"", "city-s.example"] {
        assert!(asked.contains(word) || !text.contains(word), "{what}: `{word}` stands in {text}");
    }
}

#[test]
fn the_south_sees_what_the_north_must_not() {
    let (town, names) = hub();
    let shown: String = state(&town, &names).concat();
    for name in names.all() {
        assert!(shown.contains(name), "`{name}` is not shown to its own desk: {shown}");
    }
    assert!(shown.contains("city-s.example") && shown.contains("412.5"), "{shown}");
    let journal = ask(&town, "south", OPERATOR, &("GET", format!("/waybill/v1/subjects/{}/journal", coded(SOFIA)), Value::Null));
    assert!(journal.json()["entries"].as_array().is_some_and(|lines| lines.len() >= 4), "{}", journal.text());
}

#[test]
fn a_tenant_that_is_not_the_callers_is_refused_on_every_route() {
    let (town, names) = hub();
    let before = state(&town, &names);
    let create = [
        ("POST", "/ngsi-ld/v1/entities".to_owned(), meter("urn:ngsi-ld:SmartMeter:slipped-in")),
        ("POST", "/ngsi-ld/v1/entityOperations/create".into(), json!([meter("urn:ngsi-ld:SmartMeter:slipped-in")])),
        ("POST", "/ngsi-ld/v1/entityOperations/upsert".into(), json!([meter(ENTITY)])),
        ("POST", "/ngsi-ld/v1/subscriptions".into(), json!({ "type": "Subscription", "entities": [{ "type": "SmartMeter" }], "notification": { "endpoint": { "uri": "http://127.0.0.1:9/n" } } })),
        ("POST", "/waybill/v1/consents".into(), grant()),
    ];
    let bundle = |route: &Ask| route.1.starts_with("/waybill/bundles");
    let routes = data_routes(&names).into_iter().filter(|r| !bundle(r)).chain(office_routes(&names)).chain(create);
    for route in routes {
        for (token, who) in [(NORTH_DESK, "the north's desk"), (NORTH_APP, "the north's application"), (CITY_B, "city B's application"), ("", "nobody")] {
            let what = format!("{who}: {} {}", route.0, route.1);
            let answer = ask(&town, "south", token, &route);
            silent(&answer, &names, &format!("{}{}", route.1, route.2), &what);
            // Nobody in particular may name any tenant, and sees there what is open to anybody: here nothing.
            if token.is_empty() && answer.status == 200 {
                let shown = answer.json();
                let list = shown.get("typeList").or_else(|| shown.get("attributeList")).unwrap_or(&shown);
                assert_eq!(list, &json!([]), "{what}");
                continue;
            }
            // Whoever sees nothing has purged all that she sees.
            if token.is_empty() && answer.status == 204 {
                assert_eq!((route.0, route.1.as_str()), ("DELETE", "/ngsi-ld/v1/entities?type=SmartMeter"));
                continue;
            }
            // Of a batch each item is refused by itself.
            if token.is_empty() && answer.status == 207 {
                let told = answer.json();
                let errors = told["errors"].as_array().cloned().unwrap_or_default();
                assert!(told["success"] == json!([]) && errors.len() == 1, "{what}: {told}");
                problem_code(&errors[0]["error"], 403, &what);
                continue;
            }
            assert!(matches!(answer.status, 401 | 403 | 404), "{what}: {} {}", answer.status, answer.text());
            answer.refusal(&what);
        }
    }
    assert_eq!(state(&town, &names), before, "nothing of the south was changed");
}

#[test]
fn in_ones_own_tenant_anothers_names_are_like_names_of_nothing() {
    let (town, names) = hub();
    let before = state(&town, &names);
    let none = names.none();
    for (tenant, token, who) in [("north", NORTH_DESK, "the north's desk"), ("north", OPERATOR, "the operator in the north"), ("", OPERATOR, "the operator in the main tenant")] {
        let routes = data_routes(&names).into_iter().chain(office_routes(&names));
        let others = data_routes(&none).into_iter().chain(office_routes(&none));
        for (route, other) in routes.zip(others) {
            let what = format!("{who}: {} {}", route.0, route.1);
            let (theirs, nothings) = (ask(&town, tenant, token, &route), ask(&town, tenant, token, &other));
            let same = |answer: &Answer, own: &Names| own.all().iter().fold(answer.text(), |text, name| text.replace(name, "NAME"));
            assert_eq!((theirs.status, same(&theirs, &names)), (nothings.status, same(&nothings, &none)), "{what}");
            assert!(theirs.status < 500, "{what}: {}", theirs.text());
            silent(&theirs, &names, &format!("{}{}", route.1, route.2), &what);
        }
    }
    assert_eq!(state(&town, &names), before, "nothing of the south was changed");
}

#[test]
fn what_is_about_the_whole_hub_is_not_for_a_tenants_desk() {
    let (town, names) = hub();
    let keys = || want(200, ask(&town, "", OPERATOR, &("GET", "/waybill/v1/keys".into(), Value::Null))).text();
    let before = (keys(), state(&town, &names));
    for route in hub_routes() {
        for token in [NORTH_DESK, NORTH_APP, CITY_B, ""] {
            let what = format!("{} {}", route.0, route.1);
            let answer = ask(&town, if token == NORTH_DESK { "north" } else { "" }, token, &route);
            assert!(matches!(answer.status, 401 | 403), "{what}: {} {}", answer.status, answer.text());
            answer.refusal(&what);
            silent(&answer, &names, &route.1, &what);
        }
    }
    assert_eq!((keys(), state(&town, &names)), before, "no key was turned, nobody erased");
}
