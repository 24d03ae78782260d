//! One run of the walk: city A whose process may die, city B beside it, city A's own broker and a pod.

use crate::it::program::{PATIENCE, Program, call, client, free};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use waybill_conformance::{BrokerOptions, PodOptions, StandInBroker, StandInPod};
use waybill_http::{Client, InResponse, Method, encode_component};

const ANNA: &str = "urn:ngsi-ld:SmartMeter:anna";
const CITY_A: &str = "https://city-a.example/#city";
const CITY_B: &str = "https://city-b.example/#city";
const OPERATOR: &str = "walk-operator-0123456789";
const B_AT_A: &str = "walk-city-b-at-a-0123456789";
const GRID_AT_A: &str = "walk-grid-at-a-0123456789";
const ADVICE_AT_B: &str = "walk-advice-at-b-0123456789";

pub struct Town {
    /// The point at which city A is to die; empty for never.
    at: String,
    /// Whether it has.
    pub died: bool,
    a: Program,
    b: Program,
    at_a: String,
    at_b: String,
    broker: StandInBroker,
    pods: StandInPod,
    anna: String,
    client: Client,
    folder: tempfile::TempDir,
}

impl Town {
    /// Both cities are ready, and city A holds Anna's meter.
    pub async fn new(at: &str) -> Self {
        let people = ["anna", "hub-a"].map(str::to_owned).to_vec();
        let pods = StandInPod::start(PodOptions { people, ..PodOptions::default() }).await.expect("pods");
        let broker = StandInBroker::start(BrokerOptions::default()).await.expect("a broker");
        let [at_a, at_b] = free::<2>();
        let account = pods.person("hub-a").expect("the hub's account").credentials();
        let variables = [
            ("WALK_A", at_a.to_string()),
            ("WALK_B", at_b.to_string()),
            ("WALK_PLAIN", broker.url()),
            ("WALK_PODS", pods.url()),
            ("WALK_ACCOUNT", account.id),
            ("WALK_SECRET", account.secret),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let a = Program::new("city-a", "walk/city-a.toml", folder.path(), &variables);
        let b = Program::new("city-b", "walk/city-b.toml", folder.path(), &variables);
        let anna = open_pod(&pods);
        let mut town = Self { at: at.to_owned(), died: false, a, b, at_a: format!("http://{at_a}"), at_b: format!("http://{at_b}"), broker, pods, anna, client: client(), folder };
        town.a.start(&[("WAYBILL_CRASH_AT", at.to_string()), ("WAYBILL_CRASH_TRACE", town.trace().display().to_string())]);
        town.until("city A is ready", async |t| t.a(Method::GET, "/readyz", "", None).await.filter(|a| a.status == 200)).await;
        town.b.start(&[]);
        town.until("city B is ready", async |t| t.b("/readyz", "").await.filter(|a| a.status == 200)).await;
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

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }
    /// The points that city A passed in its first life.
    pub fn passed(&self) -> Vec<String> {
        std::fs::read_to_string(self.trace()).unwrap_or_default().lines().map(str::to_owned).collect()
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

    /// Waits until `look` finds what is waited for. When city A dies, it is switched on again; a second time it must not.
    async fn until<T>(&mut self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            if self.a.ended() {
                assert!(!self.died && !self.at.is_empty(), "{}", self.said("city A died by itself"));
                self.died = true;
                self.a.start(&[]);
            }
            assert!(began.elapsed() < PATIENCE, "{}", self.said(&format!("after {PATIENCE:?} still not: {what}")));
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    fn said(&self, what: &str) -> String {
        let passed = self.passed();
        format!("point `{}`, {} passed: {what}\n-- city A\n{}\n-- city B\n{}", self.at, passed.len(), self.a.log(), self.b.log())
    }

    /// A clerk records her grant; city B and city A's own broker get her data.
    pub async fn grant(&mut self) {
        let party = |id: &str| json!({ "id": id, "name": "City", "address": "1 Main Street", "contact": "privacy@city.example", "country": "BE" });
        let document = json!({ "document": {
            "type": "ConsentGrant", "subject": self.anna,
            "notice": { "uri": "https://city-a.example/notices/energy-advice", "language": "en",
                "textHash": "5f2d8a0a1b0e9c7f6a3b4c5d6e7f80910a1b2c3d4e5f60718293a4b5c6d7e8f9" },
            "controller": party(CITY_A), "recipients": [party(CITY_A), party(CITY_B)],
            "purposes": ["https://w3id.org/waybill/purpose#EnergyAdvice"], "label": { "en": "Advice on saving energy at home" },
            "data": [{ "attribute": "https://uri.etsi.org/ngsi-ld/default-context/activePower", "precision": { "round": 100 } }],
            "until": "2099-12-31T00:00:00Z", "storage": { "locations": ["EU"], "retention": "P1Y" }, "jurisdiction": "BE",
            "withdrawal": { "uri": "https://city-a.example/my-data", "method": "Ask a clerk." },
        } });
        // A clerk who got no answer looks before he asks again.
        let granted = async |t: &Self| {
            if let Some(id) = t.consent().await {
                return Some(id);
            }
            t.a(Method::POST, "/waybill/v1/consents", OPERATOR, Some(&document)).await;
            None
        };
        self.until("the grant is on record", granted).await;
        self.until("city B has her meter", async |t| t.seen_at_b().await.flatten()).await;
        self.until("city A's broker has her meter", async |t| t.broker.entity("", ANNA)).await;
    }

    /// Her consent, when it is open.
    async fn consent(&self) -> Option<String> {
        let list = self.office(&format!("/waybill/v1/consents?subject={}", encode_component(&self.anna))).await?;
        list["items"].as_array()?.iter().find(|c| c["open"] == true)?["id"].as_str().map(str::to_owned)
    }

    /// What city B's application is shown; nothing without an answer.
    async fn seen_at_b(&self) -> Option<Option<Value>> {
        let answer = self.b(&format!("/ngsi-ld/v1/entities/{ANNA}"), ADVICE_AT_B).await?;
        Some((answer.status == 200).then(|| answer.json().ok()).flatten())
    }

    /// The clerk withdraws; it is asked again until it is answered, and all have stopped and said so.
    pub async fn withdraw(&mut self) {
        let id = self.until("the grant is still on record", async |t| t.consent().await).await;
        let path = format!("/waybill/v1/consents/{}/withdraw", encode_component(&id));
        let body = json!({ "reason": "said at the town hall" });
        self.until("the withdrawal is taken", async |t| t.a(Method::POST, &path, OPERATOR, Some(&body)).await.filter(|a| a.status.is_success())).await;
        let closed = async |t: &Self| t.a(Method::GET, &format!("/ngsi-ld/v1/entities/{ANNA}"), B_AT_A, None).await.map(|a| a.status.as_u16());
        let status = self.until("city A answers city B", closed).await;
        assert_eq!(status, 404, "{}", self.said("an answered withdrawal closes at once, and stays closed"));
        let finished = async |t: &Self| t.office("/waybill/v1/withdrawals").await?["items"].as_array()?.iter().all(|w| w["finishedAt"].is_string()).then_some(());
        self.until("every holder has acknowledged", finished).await;
        self.until("city B has stopped", async |t| t.seen_at_b().await?.is_none().then_some(())).await;
        self.until("city A's broker has nothing more", async |t| t.broker.entity("", ANNA).is_none().then_some(())).await;
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

    /// What is left to do after everybody has been told, such as noting that a pod took something, can be died at too: city A is waited
    /// for until it passes no more points.
    pub async fn rest(&mut self) {
        while !self.died {
            let before = self.passed().len();
            tokio::time::sleep(Duration::from_millis(400)).await;
            self.until("city A answers", async |t| t.office("/waybill/v1/withdrawals").await).await;
            if self.passed().len() == before {
                return;
            }
        }
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
            let at_b = self.b(path, OPERATOR).await.and_then(|a| a.json::<Value>().ok()).unwrap_or_default();
            rest.extend([("A", path, wanted, at_a.to_string()), ("B", path, wanted, at_b.to_string())]);
        }
        let at_b: Value = self.b("/waybill/v1/withdrawals", OPERATOR).await.expect("city B answers").json().expect("JSON");

        let check = |holds: bool, what: &str| assert!(holds, "{}", self.said(what));
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
        let seen = self.broker.seen();
        let deleted = seen.iter().filter(|s| s.target.ends_with("/entityOperations/delete") && s.status == 204).count();
        check(deleted == 1, &format!("the broker deleted once: {seen:?}"));
        let in_pod = self.in_pod();
        let distinct: BTreeSet<String> = in_pod.iter().cloned().collect();
        check(distinct == acknowledged && !distinct.is_empty(), &format!("her pod has the acknowledgements of the journal: {distinct:?} {acknowledged:?}"));
        // A pod that took one when city A died before it could note that is given it again, under another name; it says the same.
        check(in_pod.len() - distinct.len() <= usize::from(self.died), &format!("none is there more often than a death explains: {in_pod:?}"));
        for (city, path, wanted, answer) in rest {
            check(answer.contains(wanted), &format!("city {city} at {path}: {answer}"));
        }
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
