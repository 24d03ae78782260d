//! What others offer is fetched, kept, found again, and said to be old when it is; what one of them does is no other's affair.

use super::stand::{Other, PERIOD, Stand, catalog, crawled, endless, iri, noon, offering, settings};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use waybill_dsp::{CrawlState, MockIdentity, Participant};
use waybill_http::{Auth, Method, Response, header};
use waybill_store::Store;

const METER: &str = "https://w3id.org/example/EnergyMeter";
const AIR: &str = "https://w3id.org/example/AirQuality";
const WHERE: [&str; 3] = ["/management/v3/federatedcatalog/request", "/management/v4/federatedcatalog/request", "/management/v1alpha/catalog/query"];

/// A hub of ours as provider: it knows `consumer`.
async fn provider(consumer: &str) -> Stand {
    let known = Participant { id: consumer.to_owned(), party: iri("https://consumer.example/#us"), address: None, auth: Auth::None, enforcing: false, hub: None, crawl: false };
    let offers = vec![offering("urn:dataset:meters", Some("Meters of 100 % of the town"), METER), offering("urn:dataset:air", Some("Air of the harbour"), AIR)];
    Stand::new("did:web:provider.example", vec![known], offers).await
}

fn says(catalog: Value) -> impl Fn(&waybill_http::Request) -> Response + Send + 'static {
    move |_| Response::json(200, &catalog)
}

fn filter(left: &str, operator: &str, right: Value) -> Value {
    json!({"@type": "QuerySpec", "filterExpression": [{"@type": "Criterion", "operandLeft": left, "operator": operator, "operandRight": right}]})
}

/// The datasets that a search finds, by participant.
async fn found(stand: &Stand, query: &Value) -> Vec<(String, Vec<String>)> {
    let answer = stand.operator(Method::POST, WHERE[0], query).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let list: Vec<Value> = answer.json().expect("a list");
    let ids = |c: &Value| c["dataset"].as_array().map(|l| l.iter().map(|d| d["@id"].as_str().unwrap_or_default().to_owned()).collect()).unwrap_or_default();
    list.iter().map(|c| (c["participantId"].as_str().unwrap_or_default().to_owned(), ids(c))).collect()
}

fn of(participant: &str, datasets: &[&str]) -> (String, Vec<String>) {
    (participant.to_owned(), datasets.iter().map(|d| (*d).to_owned()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn catalogues_are_kept_and_searched() {
    let hub = provider("did:web:us.example").await;
    let mut named = catalog("did:web:other.example", &["urn:dataset:ships"]);
    named["dataset"][0]["http://purl.org/dc/terms/title"] = json!([{"@value": "Schiffe im Hafen", "@language": "de"}, {"@value": "Ships in Harbour", "@language": "en"}]);
    named["originator"] = "https://elsewhere.example".into();
    let other = Other::new(says(named)).await;
    let ours = format!("{}/dsp/2025-1", hub.url);
    let us = Stand::new("did:web:us.example", vec![crawled("did:web:provider.example", &ours), crawled("did:web:other.example", &other.url)], Vec::new()).await;
    for id in ["did:web:provider.example", "did:web:other.example"] {
        let row = us.row(id, |r| r.fetched_at.is_some()).await;
        assert_eq!((row.state(us.clock.now(), PERIOD), row.incomplete, row.fault), (CrawlState::Current, None, None));
    }

    let (provider, other_id) = ("did:web:provider.example", "did:web:other.example");
    let both = [of(other_id, &["urn:dataset:ships"]), of(provider, &["urn:dataset:meters", "urn:dataset:air"])];
    assert_eq!(found(&us, &json!({})).await, both);
    let meters = [of(provider, &["urn:dataset:meters"])];
    for query in [
        filter("https://w3id.org/waybill/ns#entityType", "=", json!(METER)),
        filter("https://w3id.org/waybill/ns#entityType", "in", json!([METER, "urn:none"])),
        filter("http://purl.org/dc/terms/title", "like", json!("Meters of 1__ \\% of%").as_str().map(|t| t.replace('\\', "").into()).unwrap_or_default()),
        filter("https://w3id.org/edc/v0.0.1/ns/id", "=", json!({"@value": "urn:dataset:meters"})),
        filter("text", "ilike", json!("%METERS%")),
    ] {
        assert_eq!(found(&us, &query).await, meters, "{query}");
    }
    let both_conditions = json!({"filterExpression": [
        {"operandLeft": "title", "operator": "ilike", "operandRight": "%harbour%"}, {"operandLeft": "entityType", "operator": "=", "operandRight": AIR}]});
    assert_eq!(found(&us, &both_conditions).await, [of(provider, &["urn:dataset:air"])]);
    assert_eq!(found(&us, &filter("title", "ilike", json!("%harbour"))).await, [of(other_id, &["urn:dataset:ships"]), of(provider, &["urn:dataset:air"])]);
    assert_eq!(found(&us, &filter("https://w3id.org/edc/v0.0.1/ns/originator", "=", json!(ours))).await, both[1..]);
    assert_eq!(found(&us, &filter("participantId", "=", json!("nobody"))).await, []);
    assert_eq!(found(&us, &filter("title", "like", json!("harbour"))).await, [], "without % it is the whole");
    for bad in [filter("price", "=", json!("1")), filter("title", ">", json!("1")), filter("title", "=", json!(1)), json!({"sortField": "title"}), json!({"limit": "x"})] {
        assert_eq!(us.operator(Method::POST, WHERE[0], &bad).await.status, 400, "{bad}");
    }

    // One page after the other, and where each is from.
    let first = us.operator(Method::POST, WHERE[1], &json!({"offset": 0, "limit": 1})).await;
    let link = first.header(header::LINK).expect("there is more").to_owned();
    let page: Vec<Value> = first.json().expect("a list");
    assert_eq!((page.len(), &page[0]["originator"]), (1, &json!(other.url)), "not what the catalogue itself says");
    assert_eq!(page[0]["https://w3id.org/waybill/ns#crawl"]["state"], "current");
    let next = link.split(['<', '>']).nth(1).expect("an address");
    let second = us.operator(Method::POST, next, &json!({})).await;
    assert!(second.header(header::LINK).is_none());
    assert_eq!(second.json::<Vec<Value>>().expect("a list")[0]["participantId"], provider);
    // The clients of the EDC ask elsewhere, without a body.
    assert_eq!(us.operator(Method::POST, WHERE[2], &Value::Null).await.json::<Vec<Value>>().expect("a list").len(), 2);

    for path in WHERE {
        for token in [None, Some("somebody-0123456789")] {
            let refused = us.call(Method::POST, path, &json!({}), token).await;
            assert_eq!(refused.status, 401, "{path}");
        }
    }
    assert_eq!(us.call(Method::GET, "/management/v3/federatedcatalog", &Value::Null, None).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_kept_and_said_to_be_old() {
    let other = Other::new(says(catalog("other", &["a"]))).await;
    let us = Stand::new("us", vec![crawled("other", &other.url)], Vec::new()).await;
    let first = us.row("other", |r| r.fetched_at.is_some()).await;

    // It is asked again after the period and not before.
    us.advance(PERIOD - 1);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(other.times(), 1);
    other.now_says(|_| Response::text(503, "not now"));
    us.advance(1);
    let mut row = us.row("other", |r| r.attempts == 1).await;
    assert_eq!((row.fetched_at, row.datasets, row.state(us.clock.now(), PERIOD)), (first.fetched_at, 1, CrawlState::Stale));
    assert_eq!(row.fault.as_ref().map(|f| f.code.as_str()), Some("counterpart-failed"));
    assert_eq!(found(&us, &json!({})).await, [of("other", &["a"])], "it can still be found");

    // Ever more seldom, up to once an hour.
    for (attempt, rest) in (2u32..).zip([30, 60, 120, 240, 480, 960, 1920, 3600, 3600]) {
        us.advance(rest - 1);
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        assert_eq!(us.row("other", |_| true).await.attempts, attempt - 1, "too soon");
        us.advance(1);
        row = us.row("other", |r| r.attempts == attempt).await;
    }
    assert_eq!(row.tried_at, Some(us.clock.now()));

    other.now_says(says(catalog("other", &["a", "b"])));
    us.advance(3600);
    let again = us.row("other", |r| r.fault.is_none()).await;
    assert_eq!((again.attempts, again.datasets, again.state(us.clock.now(), PERIOD)), (0, 2, CrawlState::Current));
    // A hub that slept does not call what it has current.
    assert_eq!(again.state(us.clock.now().plus_seconds(2 * PERIOD + 1), PERIOD), CrawlState::Stale);
}

/// What another connector does, and what is then in its row: the state, and a part of the reason.
struct Mischief {
    name: &'static str,
    does: fn(&waybill_http::Request, &str) -> Response,
    state: CrawlState,
    because: &'static str,
    datasets: usize,
}

fn page(request: &waybill_http::Request, url: &str, next: impl Fn(u64) -> String) -> Response {
    let at: u64 = request.query.get("page").and_then(|p| p.parse().ok()).unwrap_or(0);
    let next = next(at + 1).replace("HERE", url).replace("HOST", url.trim_end_matches("/dsp"));
    Response::json(200, &catalog("it", &[&format!("d{at}")])).with(header::LINK, format!("<{next}>; rel=\"next\""))
}

const MISCHIEF: &[Mischief] = &[
    Mischief { name: "no JSON", does: |_, _| Response::text(200, "<html>"), state: CrawlState::Failed, because: "no JSON object", datasets: 0 },
    Mischief { name: "no catalogue", does: |_, _| Response::json(200, &json!({"@type": "Dataset"})), state: CrawlState::Failed, because: "no Catalog", datasets: 0 },
    Mischief { name: "another's", does: |_, _| Response::json(200, &catalog("somebody", &["d"])), state: CrawlState::Failed, because: "the participant that is registered", datasets: 0 },
    Mischief { name: "nobody's", does: |_, _| Response::json(200, &json!({"@type": "Catalog", "@id": "c"})), state: CrawlState::Failed, because: "the participant that is registered", datasets: 0 },
    Mischief {
        name: "another's on its second page",
        does: |r, u| if r.query.get("page").is_some() { Response::json(200, &catalog("somebody", &["x"])) } else { page(r, u, |n| format!("HERE/catalog/request?page={n}")) },
        state: CrawlState::Failed,
        because: "the participant that is registered",
        datasets: 0,
    },
    Mischief { name: "datasets that are none", does: |_, _| Response::json(200, &json!({"@type": "Catalog", "participantId": "it", "dataset": ["d"]})), state: CrawlState::Failed, because: "no object", datasets: 0 },
    Mischief { name: "twenty megabytes", does: |_, _| Response::bytes(200, "application/json", " ".repeat(20 << 20)), state: CrawlState::Failed, because: "larger than is taken", datasets: 0 },
    Mischief { name: "a redirect", does: |_, _| Response::empty(307).with(header::LOCATION, "http://169.254.169.254/"), state: CrawlState::Failed, because: "status 307", datasets: 0 },
    Mischief { name: "pages without an end", does: |r, u| page(r, u, |n| format!("HERE/catalog/request?page={n}")), state: CrawlState::Current, because: "more than 200 pages", datasets: 200 },
    Mischief { name: "pages in a circle", does: |r, u| page(r, u, |n| format!("HERE/catalog/request?page={}", n % 3)), state: CrawlState::Current, because: "lead back", datasets: 3 },
    Mischief { name: "a page elsewhere", does: |r, u| page(r, u, |_| "http://169.254.169.254/dsp/catalog/request".into()), state: CrawlState::Current, because: "lies elsewhere", datasets: 1 },
    Mischief { name: "a page at another port", does: |r, u| page(r, u, |_| "http://127.0.0.1:9/dsp/catalog/request".into()), state: CrawlState::Current, because: "lies elsewhere", datasets: 1 },
    Mischief { name: "a page with a name before the host", does: |r, u| page(r, u, |_| "HOST@169.254.169.254/catalog/request".into()), state: CrawlState::Current, because: "lies elsewhere", datasets: 1 },
    Mischief { name: "a page of no scheme", does: |r, u| page(r, u, |_| "//169.254.169.254/catalog/request".into()), state: CrawlState::Current, because: "lies elsewhere", datasets: 1 },
    Mischief {
        name: "pages of three megabytes each",
        does: |r, u| {
            let at: u64 = r.query.get("page").and_then(|p| p.parse().ok()).unwrap_or(0);
            let mut body = catalog("it", &[&format!("d{at}")]);
            body["dataset"][0]["title"] = "x".repeat(3 << 20).into();
            Response::json(200, &body).with(header::LINK, format!("<{u}/catalog/request?page={}>; rel=\"next\"", at + 1))
        },
        state: CrawlState::Current,
        because: "larger than 8388608 bytes",
        datasets: 2,
    },
    Mischief {
        name: "very many datasets",
        does: |_, _| {
            let list: Vec<Value> = (0..10_050).map(|n| json!({"@id": n.to_string()})).collect();
            Response::json(200, &json!({"@type": "Catalog", "@id": "c", "participantId": "it", "dataset": list}))
        },
        state: CrawlState::Current,
        because: "more than 10000 datasets",
        datasets: 10_000,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_catalogue_is_said_in_its_own_row() {
    for Mischief { name, does, state, because, datasets } in MISCHIEF {
        let other = Other::new(|_| Response::empty(500)).await;
        let url = other.url.clone();
        other.now_says(move |request| does(request, &url));
        let us = Stand::new("us", vec![crawled("it", &other.url)], Vec::new()).await;
        let row = us.row("it", |r| r.tried_at.is_some()).await;
        let said = row.fault.as_ref().map(|f| f.reason.clone()).or(row.incomplete.clone()).unwrap_or_default();
        assert!(said.contains(because), "{name}: {said}");
        assert_eq!((row.state(us.clock.now(), PERIOD), row.datasets), (*state, *datasets), "{name}: {said}");
        let rows: Value = us.operator(Method::GET, "/management/v4/federatedcatalog", &Value::Null).await.json().expect("rows");
        assert_eq!(rows[0]["state"], state.as_str(), "{name}: {rows}");
        assert!(rows.to_string().contains(because), "{name}: {rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_badly_or_not_at_all_holds_up_nobody() {
    let (without_end, taken) = endless().await;
    // It takes the request and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_url = format!("http://{}/dsp", silent.local_addr().expect("its address"));
    let good = Other::new(says(catalog("good", &["a"]))).await;
    let us = Stand::new("us", vec![crawled("a-silent", &silent_url), crawled("b-endless", &without_end), crawled("good", &good.url)], Vec::new()).await;
    us.row("good", |r| r.fetched_at.is_some()).await;
    let row = us.row("b-endless", |r| r.fault.is_some()).await;
    assert_eq!(row.fault.map(|f| f.code), Some("catalog-refused".to_owned()));
    let bytes = taken.load(Ordering::SeqCst);
    assert!(bytes < 16 << 20, "{bytes} bytes of it were taken");
    // The one that is silent is still being waited for, and the good one is asked again in its time.
    us.advance(PERIOD);
    let again = us.row("good", |r| r.fetched_at == Some(us.clock.now())).await;
    assert_eq!(again.state(us.clock.now(), PERIOD), CrawlState::Current);
    let silent_row = us.row("a-silent", |r| r.fault.is_some()).await;
    assert_eq!(silent_row.state(us.clock.now(), PERIOD), CrawlState::Failed);
    assert_eq!(found(&us, &json!({})).await, [of("good", &["a"])], "what is not there is not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_outlives_the_program_and_not_the_configuration() {
    let other = Other::new(says(catalog("other", &["a"]))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let clock = noon();
    let participants = || vec![crawled("other", &other.url), Participant { crawl: false, ..crawled("not-asked", &other.url) }];
    let store = Store::open(folder.path(), clock.clone()).expect("a store");
    let us = Stand::over(store, &clock, "us", participants(), Vec::new()).await;
    us.row("other", |r| r.fetched_at.is_some()).await;
    assert_eq!(us.connector.crawled("not-asked").await.expect("the store"), None, "nobody is asked of whom nothing is said");
    drop(us);

    let store = Store::open(folder.path(), clock.clone()).expect("a store");
    let us = Stand::over(store, &clock, "us", participants(), Vec::new()).await;
    assert_eq!(found(&us, &json!({})).await, [of("other", &["a"])]);
    us.advance(PERIOD / 2);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(other.times(), 1, "it is not asked again only because the program started");

    // Somewhere else it is asked at once.
    let moved = Other::new(says(catalog("other", &["b"]))).await;
    us.deal_with(vec![crawled("other", &moved.url)]);
    us.row("other", |r| r.address == moved.url && r.fault.is_none()).await;
    assert_eq!(found(&us, &json!({})).await, [of("other", &["b"])]);

    us.connector.replace(settings("us", &us.url, Vec::new(), Vec::new()), Arc::new(MockIdentity));
    super::stand::until("the row is gone", async || us.connector.crawled("other").await.expect("the store").is_none().then_some(())).await;
    us.deal_with(vec![Participant { crawl: true, ..crawled("other", "http://127.0.0.1:9/dsp") }]);
    us.row("other", |r| r.fault.is_some()).await;
    assert_eq!(found(&us, &json!({})).await, [], "nothing came back");
}
