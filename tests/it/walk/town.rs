//! One run of the walk: two cities, of which one's process may die, with a plain broker each, and a pod.

use super::pair::{OPERATOR, Pair, Stage};
use crate::it::program::{Program, call, client, free};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use waybill_conformance::{BrokerOptions, PodOptions, StandInBroker, StandInPod};
use waybill_http::{Client, InResponse, Method, encode_component};
use waybill_model::{Clock, DateTime};

const ANNA: &str = "urn:ngsi-ld:SmartMeter:anna";
const CITY_A: &str = "https://city-a.example/#city";
const CITY_B: &str = "https://city-b.example/#city";
pub const VOCAB: &str = "https://uri.etsi.org/ngsi-ld/default-context/";
const B_AT_A: &str = "walk-city-b-at-a-0123456789";
const GRID_AT_A: &str = "walk-grid-at-a-0123456789";
const ADVICE_AT_B: &str = "walk-advice-at-b-0123456789";

/// A city with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum City {
    A,
    B,
}

pub struct Town {
    /// Who is to die.
    who: City,
    pub pair: Pair,
    at_a: String,
    at_b: String,
    broker: StandInBroker,
    broker_b: StandInBroker,
    pods: StandInPod,
    anna: String,
    client: Client,
    /// By how many seconds everybody is ahead of the system's time.
    ahead: Arc<AtomicI64>,
}

impl Town {
    /// Both cities are ready, and city A holds Anna's meter.
    pub async fn new(who: City, at: &str) -> Self {
        let people = ["anna", "hub-a"].map(str::to_owned).to_vec();
        let ahead = Arc::new(AtomicI64::new(0));
        let (system, more) = (waybill_conformance::system_time(), ahead.clone());
        let now: waybill_conformance::Now = Arc::new(move || system() + more.load(Ordering::SeqCst));
        let pods = StandInPod::start(PodOptions { people, now: now.clone(), ..PodOptions::default() }).await.expect("pods");
        let broker = StandInBroker::start(BrokerOptions { now: now.clone(), ..BrokerOptions::default() }).await.expect("a broker");
        let broker_b = StandInBroker::start(BrokerOptions { now, ..BrokerOptions::default() }).await.expect("a broker");
        let [at_a, at_b] = free::<2>();
        let account = pods.person("hub-a").expect("the hub's account").credentials();
        let variables = [
            ("WALK_A", at_a.to_string()),
            ("WALK_B", at_b.to_string()),
            ("WALK_PLAIN", broker.url()),
            ("WALK_PLAIN_B", broker_b.url()),
            ("WALK_PODS", pods.url()),
            ("WALK_ACCOUNT", account.id),
            ("WALK_SECRET", account.secret),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let a = Program::new("city-a", "walk/city-a.toml", folder.path(), &variables);
        let b = Program::new("city-b", "walk/city-b.toml", folder.path(), &variables);
        let anna = open_pod(&pods);
        let (at_a, at_b) = (format!("http://{at_a}"), format!("http://{at_b}"));
        let pair = Pair::new(who as usize, at, folder, [a, b]);
        let mut town = Self { who, pair, at_a, at_b, broker, broker_b, pods, anna, client: client(), ahead };
        for city in [City::A, City::B] {
            town.pair.start(city as usize);
            town.ready(city).await;
        }
        let meter = json!({
            "id": ANNA, "type": "SmartMeter",
            "ownedBy": { "type": "Relationship", "object": town.anna },
            "activePower": { "type": "Property", "value": 412.5, "unitCode": "WTT" },
        });
        // 409 is an answer to the second asking, when city A died before it could answer the first.
        let written = async |t: &Self| t.a(Method::POST, "/ngsi-ld/v1/entities", OPERATOR, Some(&meter)).await.filter(|a| [201, 409].contains(&a.status.as_u16()));
        town.until("the meter is written", written).await;
        town
    }

    async fn ready(&mut self, city: City) {
        let ready = async |t: &Self| match city {
            City::A => t.a(Method::GET, "/readyz", "", None).await,
            City::B => t.b("/readyz", "").await,
        };
        self.until(&format!("city {city:?} is ready"), async |t| ready(t).await.filter(|a| a.status == 200)).await;
    }

    /// What the clocks of this town show.
    pub fn now(&self) -> DateTime {
        Clock::system().now().plus_seconds(self.ahead.load(Ordering::SeqCst))
    }

    /// Switches both cities off, moves all clocks on to `moment`, and switches them on again.
    pub async fn goes_on_at(&mut self, moment: DateTime) {
        for city in self.pair.programs() {
            city.stop();
        }
        let ahead = self.ahead.load(Ordering::SeqCst) + moment.seconds() - self.now().seconds();
        self.ahead.store(ahead, Ordering::SeqCst);
        for city in self.pair.programs() {
            city.start(&[("WAYBILL_CLOCK_AHEAD", ahead.to_string())]);
        }
        self.ready(City::A).await;
        self.ready(City::B).await;
    }

    /// City A's meter has other values.
    pub async fn measured(&mut self, attributes: &Value) {
        let path = format!("/ngsi-ld/v1/entities/{ANNA}/attrs");
        let answer = self.a(Method::POST, &path, OPERATOR, Some(attributes)).await.expect("city A answers");
        assert_eq!(answer.status, 204, "{}", self.pair.said("the meter takes values"));
    }

    async fn a(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Option<InResponse> {
        call(&self.client, method, &format!("{}{path}", self.at_a), token, body).await
    }
    async fn b(&self, path: &str, token: &str) -> Option<InResponse> {
        call(&self.client, Method::GET, &format!("{}{path}", self.at_b), token, None).await
    }
    /// What the operator of city A is answered, when it answers well.
    async fn office(&self, path: &str) -> Option<Value> {
        self.a(Method::GET, path, OPERATOR, None).await.filter(|a| a.status == 200)?.json().ok()
    }

    /// The same at city B.
    async fn office_b(&self, path: &str) -> Option<Value> {
        self.b(path, OPERATOR).await.filter(|a| a.status == 200)?.json().ok()
    }

    /// A clerk records her grant; city B and city A's own broker get her data.
    pub async fn grant(&mut self) {
        let power = json!([{ "attribute": format!("{VOCAB}activePower"), "precision": { "round": 100 } }]);
        self.clerk_records(&power, "2099-12-31T00:00:00Z").await;
        self.until("city B has her meter", async |t| t.seen_at_b().await.flatten()).await;
        self.until("city A's broker has her meter", async |t| t.broker.entity("", ANNA)).await;
        self.until("city B's broker has her meter", async |t| t.broker_b.entity("", ANNA)).await;
    }

    /// A clerk records that she grants both cities `data` until then.
    pub async fn clerk_records(&mut self, data: &Value, until: &str) {
        let party = |id: &str| json!({ "id": id, "name": "City", "address": "1 Main Street", "contact": "privacy@city.example", "country": "BE" });
        let document = json!({ "document": {
            "type": "ConsentGrant", "subject": self.anna,
            "notice": { "uri": "https://city-a.example/notices/energy-advice", "language": "en",
                "textHash": "5f2d8a0a1b0e9c7f6a3b4c5d6e7f80910a1b2c3d4e5f60718293a4b5c6d7e8f9" },
            "controller": party(CITY_A), "recipients": [party(CITY_A), party(CITY_B)],
            "purposes": ["https://w3id.org/waybill/purpose#EnergyAdvice"], "label": { "en": "Advice on saving energy at home" },
            "data": data, "until": until, "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
            "withdrawal": { "uri": "https://city-a.example/my-data", "method": "Ask a clerk." },
        } });
        // A clerk who got no answer looks before he asks again; and without an answer to that either, he has not looked.
        let granted = async |t: &Self| {
            let open = t.open_consent().await?;
            if open.is_none() {
                t.a(Method::POST, "/waybill/v1/consents", OPERATOR, Some(&document)).await;
            }
            open
        };
        self.until("the grant is on record", granted).await;
    }

    /// Her consent that is open, if there is one; nothing at all without an answer.
    async fn open_consent(&self) -> Option<Option<String>> {
        let list = self.office(&format!("/waybill/v1/consents?subject={}", encode_component(&self.anna))).await?;
        Some(list["items"].as_array()?.iter().find(|c| c["open"] == true).and_then(|c| c["id"].as_str()).map(str::to_owned))
    }

    /// What city B's application is shown; nothing without an answer.
    pub async fn seen_at_b(&self) -> Option<Option<Value>> {
        let answer = self.b(&format!("/ngsi-ld/v1/entities/{ANNA}"), ADVICE_AT_B).await?;
        Some((answer.status == 200).then(|| answer.json().ok()).flatten())
    }

    /// The status that city B is answered with when it asks city A; nothing without an answer.
    pub async fn answered_at_a(&self) -> Option<u16> {
        self.a(Method::GET, &format!("/ngsi-ld/v1/entities/{ANNA}"), B_AT_A, None).await.map(|a| a.status.as_u16())
    }

    /// Whether neither city's broker has her meter.
    pub fn brokers_are_empty(&self) -> bool {
        self.broker.entity("", ANNA).is_none() && self.broker_b.entity("", ANNA).is_none()
    }

    /// The clerk withdraws; it is asked again until it is answered, and all have stopped and said so.
    pub async fn withdraw(&mut self) {
        let id = self.until("the grant is still on record", async |t| t.open_consent().await.flatten()).await;
        let path = format!("/waybill/v1/consents/{}/withdraw", encode_component(&id));
        let body = json!({ "reason": "said at the town hall" });
        self.until("the withdrawal is taken", async |t| t.a(Method::POST, &path, OPERATOR, Some(&body)).await.filter(|a| a.status.is_success())).await;
        let status = self.until("city A answers city B", async |t| t.answered_at_a().await).await;
        assert_eq!(status, 404, "{}", self.pair.said("an answered withdrawal closes at once, and stays closed"));
        let finished = async |t: &Self| t.office("/waybill/v1/withdrawals").await?["items"].as_array()?.iter().all(|w| w["finishedAt"].is_string()).then_some(());
        self.until("every holder has acknowledged", finished).await;
        self.until("city B has stopped", async |t| t.seen_at_b().await?.is_none().then_some(())).await;
        self.until("neither city's broker has anything more", async |t| t.brokers_are_empty().then_some(())).await;
        let rested = async |t: &Self| (t.in_pod().into_iter().collect::<BTreeSet<_>>().len() >= t.in_journal(&["acknowledgement"]).await?.len()).then_some(());
        self.until("each acknowledgement is in her pod", rested).await;
    }

    /// The acknowledgements in her pod, as texts.
    fn in_pod(&self) -> Vec<String> {
        let anna = self.pods.person("anna").expect("her pod");
        let read = |name: String| {
            let (_, bytes) = anna.get(&format!("acknowledgements/{}", name.rsplit('/').next().unwrap_or_default()))?;
            let said: Value = serde_json::from_slice(&bytes).ok()?;
            Some(said["report"].to_string())
        };
        anna.list("acknowledgements/").into_iter().filter_map(read).collect()
    }

    /// The lines of some kinds on her page of city A's journal: what they say.
    async fn in_journal(&self, kinds: &[&str]) -> Option<Vec<Value>> {
        let page = self.office(&format!("/waybill/v1/subjects/{}/journal", encode_component(&self.anna))).await?;
        let of_kind = |line: &&Value| line["kind"].as_str().is_some_and(|kind| kinds.contains(&kind));
        Some(page["entries"].as_array()?.iter().filter(of_kind).map(|line| line["detail"].clone()).collect())
    }

    /// Looks at everything once more, when all has come to rest.
    pub async fn nothing_is_lost_or_twice(&mut self) {
        let meter = format!("/ngsi-ld/v1/entities/{ANNA}");
        let grid = self.until("the grid planner is answered", async |t| t.a(Method::GET, &meter, GRID_AT_A, None).await).await;
        let grid: Value = grid.json().expect("JSON");
        let hers = format!("/waybill/v1/consents?subject={}", encode_component(&self.anna));
        let consents = self.until("her consents are listed", async |t| t.office(&hers).await).await;
        let withdrawals = self.until("the withdrawals are listed", async |t| t.office("/waybill/v1/withdrawals").await).await;
        let acknowledged: BTreeSet<String> = self.until("her page is shown", async |t| t.in_journal(&["acknowledgement"]).await).await.into_iter().map(|v| v.to_string()).collect();
        let said = self.until("her page is shown", async |t| t.in_journal(&["grant", "narrowing", "withdrawal"]).await).await;
        let mut rest = Vec::new();
        for (path, wanted) in [("/waybill/v1/journal/verify", "\"verdict\":\"holds\""), ("/waybill/v1/dead-letters", "\"items\":[]"), ("/waybill/v1/quarantine", "\"items\":[]")] {
            let at_a = self.until("city A's office answers", async |t| t.office(path).await).await;
            let at_b = self.until("city B's office answers", async |t| t.office_b(path).await).await;
            rest.extend([("A", path, wanted, at_a.to_string()), ("B", path, wanted, at_b.to_string())]);
        }
        let at_b = self.until("city B's withdrawals are listed", async |t| t.office_b("/waybill/v1/withdrawals").await).await;
        let seen_at_b = self.until("city B's application is answered", async |t| t.seen_at_b().await).await;

        let check = |holds: bool, what: &str| assert!(holds, "{}", self.pair.said(what));
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        check(grid["activePower"]["value"] == 412.5, &format!("the meter that was written is there as it was: {grid}"));
        check(items(&consents).len() == 1 && consents["items"][0]["open"] == false, &format!("one consent, and it is over: {consents}"));
        check(items(&withdrawals).len() == 1, &format!("one withdrawal: {withdrawals}"));
        let mut done: Vec<(String, String)> = items(&withdrawals).iter().flat_map(|w| w["holders"].as_array().cloned().unwrap_or_default()).map(|h| (text(&h["party"]), text(&h["progress"]))).collect();
        done.sort_unstable();
        check(done == [CITY_A, CITY_B].map(|party| (party.to_owned(), "done".to_owned())), &format!("both holders are done: {withdrawals}"));
        for member in ["opened", "closed"] {
            let lines = said.iter().filter(|line| line[member].as_array().is_some_and(|l| !l.is_empty())).count();
            check(lines == 1, &format!("her page says once what was {member}: {said:?}"));
        }
        check(items(&at_b).len() == 1, &format!("the event took effect at city B once: {at_b}"));
        check(seen_at_b.is_none(), &format!("city B shows nothing: {seen_at_b:?}"));
        for broker in [&self.broker, &self.broker_b] {
            let seen = broker.seen();
            let deleted = seen.iter().filter(|s| s.target.ends_with("/entityOperations/delete") && s.status == 204).count();
            check(deleted == 1, &format!("the broker deleted once: {seen:?}"));
        }
        let in_pod = self.in_pod();
        let distinct: BTreeSet<String> = in_pod.iter().cloned().collect();
        check(distinct == acknowledged && !distinct.is_empty(), &format!("her pod has the acknowledgements of the journal: {distinct:?} {acknowledged:?}"));
        // A pod that took one when city A died before it could note that is given it again, under another name; it says the same.
        check(in_pod.len() - distinct.len() <= usize::from(self.pair.died && self.who == City::A), &format!("none is there more often than a death explains: {in_pod:?}"));
        for (city, path, wanted, answer) in rest {
            check(answer.contains(wanted), &format!("city {city} at {path}: {answer}"));
        }
    }
}

impl Stage for Town {
    fn pair(&mut self) -> &mut Pair {
        &mut self.pair
    }
    async fn alive(&self) -> Option<()> {
        self.office("/waybill/v1/withdrawals").await.and(self.office_b("/waybill/v1/withdrawals").await).map(drop)
    }
    async fn shows(&self) -> String {
        let there = (self.office("/waybill/v1/withdrawals").await, self.office_b("/waybill/v1/withdrawals").await);
        format!("withdrawals at A and B: {there:?}")
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Gives the hub what it needs in Anna's pod: to read consents, to add acknowledgements. Her WebID.
fn open_pod(pods: &StandInPod) -> String {
    let (anna, hub) = (pods.person("anna").expect("her pod"), pods.person("hub-a").expect("the hub").webid());
    let (me, root) = (anna.webid(), anna.root());
    for (folder, modes) in [("consents/", "acl:Read"), ("acknowledgements/", "acl:Append")] {
        let rule = format!(
            "@prefix acl: <http://www.w3.org/ns/auth/acl#> .
             <#owner> a acl:Authorization; acl:agent <{me}>; acl:accessTo <{root}{folder}>; acl:default <{root}{folder}>; acl:mode acl:Read, acl:Write, acl:Control .
             <#hub> a acl:Authorization; acl:agent <{hub}>; acl:accessTo <{root}{folder}>; acl:default <{root}{folder}>; acl:mode {modes} ."
        );
        anna.put(&format!("{folder}.acl"), "text/turtle", rule);
    }
    me
}
