//! One run of the walk over a deal: a city's program and a company's, of which one may die, and an address that is told of changes.

use super::pair::{OPERATOR, Pair, Stage};
use crate::it::program::{Program, call, client, free};
use crate::it::town::{grant, meter};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use waybill_http::{Client, InResponse, Method, encode_component};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

const COMPANY: &str = "https://company.example/#us";
const PEOPLE: [&str; 2] = ["anna", "ben"];
/// The forms of the two transfers.
const FORMS: [&str; 2] = ["HttpData-PULL", "NgsiLd-FEED"];
const NEGOTIATIONS: &str = "contractnegotiations";
const TRANSFERS: &str = "transferprocesses";

/// A side of the deal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    City,
    Company,
}

pub struct Space {
    /// Who is to die.
    who: Side,
    pub pair: Pair,
    /// Where each side is.
    at: [String; 2],
    feed: MockServer,
    client: Client,
    /// The agreement's identifier, once there is one.
    agreement: String,
    /// Where the data is, where the deletions are, and the token for both.
    data: [String; 3],
    /// The meters by the names that the company knows, in the order in which they go.
    meters: Vec<String>,
}

impl Space {
    /// Both sides are ready, and Anna and Ben agreed to the company.
    pub async fn new(who: Side, at: &str) -> Self {
        let feed = MockServer::builder().start().await;
        Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&feed).await;
        let [city, company] = free::<2>();
        let variables = [("WALK_CITY", city.to_string()), ("WALK_COMPANY", company.to_string())];
        let folder = tempfile::tempdir().expect("a folder");
        let programs = ["city", "company"].map(|name| Program::new(name, &format!("walk/{name}.toml"), folder.path(), &variables));
        let pair = Pair::new(who as usize, at, folder, programs);
        let at = [format!("http://{city}"), format!("http://{company}")];
        let mut space = Self { who, pair, at, feed, client: client(), agreement: String::new(), data: Default::default(), meters: Vec::new() };
        for side in [Side::City, Side::Company] {
            space.pair.start(side as usize);
            space.until("it is ready", async |s| s.ask(side, Method::GET, "/readyz", None).await.filter(|a| a.status == 200)).await;
        }
        for who in PEOPLE {
            space.household(who).await;
        }
        space
    }

    async fn ask(&self, side: Side, method: Method, path: &str, body: Option<&Value>) -> Option<InResponse> {
        call(&self.client, method, &format!("{}{path}", self.at[side as usize]), OPERATOR, body).await
    }

    /// What the operator of a side is answered, when it answers well.
    async fn office(&self, side: Side, path: &str) -> Option<Value> {
        self.ask(side, Method::GET, path, None).await.filter(|a| a.status == 200)?.json().ok()
    }

    /// Her meter, and her consent.
    async fn household(&mut self, who: &str) {
        let her = format!("https://{who}.example/#me");
        let (mut meter, mut document) = (meter(&format!("urn:ngsi-ld:SmartMeter:{who}")), grant());
        meter["ownedBy"]["object"] = json!(her);
        document["document"]["subject"] = json!(her);
        document["document"]["recipients"][0]["id"] = json!(COMPANY);
        // 409 is an answer to the second asking, when the city died before it could answer the first.
        let written = async |s: &Self| s.ask(Side::City, Method::POST, "/ngsi-ld/v1/entities", Some(&meter)).await.filter(|a| [201, 409].contains(&a.status.as_u16()));
        self.until("the meter is written", written).await;
        let granted = async |s: &Self| {
            let open = s.consent_of(who).await?;
            if open.is_none() {
                s.ask(Side::City, Method::POST, "/waybill/v1/consents", Some(&document)).await;
            }
            open
        };
        self.until("the consent is on record", granted).await;
    }

    /// Her consent that is open, if there is one; nothing at all without an answer.
    async fn consent_of(&self, who: &str) -> Option<Option<String>> {
        let list = self.office(Side::City, &format!("/waybill/v1/consents?subject={}", encode_component(&format!("https://{who}.example/#me")))).await?;
        Some(list["items"].as_array()?.iter().find(|c| c["open"] == true).and_then(|c| c["id"].as_str()).map(str::to_owned))
    }

    /// How many points are passed when nothing more happens before the story begins.
    pub async fn at_rest(&mut self) -> usize {
        self.rest().await;
        self.pair.passed().len()
    }

    /// The processes of a side, as its management shows them; nothing without an answer.
    async fn listed(&self, side: Side, what: &str) -> Option<Vec<Value>> {
        self.ask(side, Method::POST, &format!("/management/v3/{what}/request"), Some(&json!({}))).await.filter(|a| a.status == 200)?.json().ok()
    }

    /// What the company is answered that asks for something at the city's connector.
    async fn order(&self, what: &str, more: Value) -> Option<Value> {
        let mut body = json!({ "counterPartyAddress": format!("{}/dsp/2025-1", self.at[0]), "counterPartyId": "urn:connector:city" });
        body.as_object_mut()?.extend(more.as_object()?.clone());
        self.ask(Side::Company, Method::POST, &format!("/management/v3/{what}"), Some(&body)).await.filter(|a| a.status == 200)?.json().ok()
    }

    /// Waits until each side has the process that `fits`, in `state`.
    async fn both_are(&mut self, what: &str, fits: impl Fn(&Value) -> bool, state: &str) {
        for side in [Side::Company, Side::City] {
            let there = async |s: &Self| s.listed(side, what).await?.into_iter().find(|p| fits(p) && p["state"] == state);
            self.until(&format!("the {side:?} has its {what} {state}"), there).await;
        }
    }

    /// The company asks for the catalogue, and negotiates until both sides have an agreement.
    pub async fn agree(&mut self) {
        let catalogue = self.until("the catalogue is answered", async |s| s.order("catalog/request", json!({})).await).await;
        let mut policy = catalogue["dataset"][0]["hasPolicy"][0].clone();
        policy["target"] = json!("urn:dataset:meters");
        // Who got no answer looks before asking again; and without an answer to that either, nobody has looked.
        let begun = async |s: &Self| {
            let there = s.listed(Side::Company, NEGOTIATIONS).await?;
            if there.is_empty() {
                s.order(NEGOTIATIONS, json!({ "policy": policy })).await;
            }
            there.into_iter().next()
        };
        self.until("the negotiation has begun", begun).await;
        self.both_are(NEGOTIATIONS, |_| true, "FINALIZED").await;
        let agreed = self.until("the company has the agreement", async |s| s.listed(Side::Company, NEGOTIATIONS).await?.pop()).await;
        self.agreement = text(&agreed["contractAgreementId"]);
    }

    /// A transfer in each form, until both sides call it started.
    pub async fn begin_transfers(&mut self) {
        for form in FORMS {
            let mut more = json!({ "contractId": self.agreement, "transferType": form });
            if form == FORMS[1] {
                more["dataDestination"] = json!({ "type": "HttpData", "baseUrl": self.feed.uri() });
            }
            let begun = async |s: &Self| {
                let found = s.listed(Side::Company, TRANSFERS).await?.into_iter().find(|t| t["transferType"] == form);
                if found.is_none() {
                    s.order(TRANSFERS, more.clone()).await;
                }
                found
            };
            self.until("the transfer has begun", begun).await;
            self.both_are(TRANSFERS, |t| t["transferType"] == form, "STARTED").await;
        }
    }

    /// The names on the page that the company reads now, sorted; nothing without an answer or when it is refused.
    async fn page(&self) -> Option<Vec<String>> {
        let answer = call(&self.client, Method::GET, &self.data[0], &self.data[2], None).await.filter(|a| a.status == 200)?;
        let list: Vec<Value> = answer.json().expect("a list");
        let mut names: Vec<String> = list.iter().map(|e| text(&e["id"])).collect();
        names.sort();
        Some(names)
    }

    /// Every entity that the feed told of, in order: its name, and whether it is said to be gone.
    async fn told(&self) -> Option<Vec<(String, bool)>> {
        let all = self.feed.received_requests().await?;
        let data = all.iter().flat_map(|r| r.body_json::<Value>().expect("JSON")["data"].as_array().cloned().unwrap_or_default());
        Some(data.map(|e| (text(&e["id"]), e.get("deletedAt").is_some())).collect())
    }

    /// The company reads both people's data, and the feed told of both.
    pub async fn data_flows(&mut self) {
        let edr = async |s: &Self| {
            let pull = s.listed(Side::Company, TRANSFERS).await?.into_iter().find(|t| t["transferType"] == FORMS[0])?;
            s.office(Side::Company, &format!("/management/v3/edrs/{}/dataaddress", encode_component(&text(&pull["@id"])))).await
        };
        let edr = self.until("the company knows where the data is", edr).await;
        self.data = ["endpoint", "https://w3id.org/waybill/ns#deletions", "authorization"].map(|name| text(&edr[name]));
        self.meters = self.until("the company reads", Self::page).await;
        assert_eq!(self.meters.len(), PEOPLE.len(), "{}", self.pair.said("everybody who agreed is on the page"));
        let all = self.meters.clone();
        self.until("the feed told of everybody", async |s| s.told().await.filter(|told| all.iter().all(|id| told.contains(&(id.clone(), false))))).await;
    }

    /// Anna withdraws, and then Ben: nobody is left.
    pub async fn people_leave(&mut self) {
        self.withdraws(PEOPLE[0]).await;
        let left = self.until("the page is answered", Self::page).await;
        assert_eq!(left.len(), 1, "{}", self.pair.said("an answered withdrawal is on the next page"));
        self.meters.sort_by_key(|id| left.contains(id));
        for n in 0..PEOPLE.len() {
            let gone = self.meters[n].clone();
            self.until("the feed told that she is gone", async |s| s.told().await.filter(|told| told.contains(&(gone.clone(), true)))).await;
            self.until("the deletions name her", async |s| s.deletions().await.filter(|list| list.contains(&gone))).await;
            let state = if n == 0 { "STARTED" } else { "SUSPENDED" };
            for form in FORMS {
                self.both_are(TRANSFERS, |t| t["transferType"] == form, state).await;
            }
            if n == 0 {
                self.withdraws(PEOPLE[1]).await;
            }
        }
    }

    async fn withdraws(&mut self, who: &str) {
        let id = self.until("the consent is still on record", async |s| s.consent_of(who).await.flatten()).await;
        let path = format!("/waybill/v1/consents/{}/withdraw", encode_component(&id));
        self.until("the withdrawal is taken", async |s| s.ask(Side::City, Method::POST, &path, None).await.filter(|a| a.status.is_success())).await;
    }

    /// The names of the deletions that are listed for the company.
    async fn deletions(&self) -> Option<Vec<String>> {
        let list: Value = call(&self.client, Method::GET, &self.data[1], &self.data[2], None).await.filter(|a| a.status == 200)?.json().ok()?;
        Some(list["deletions"].as_array()?.iter().map(|d| text(&d["id"])).collect())
    }

    /// The journal of a side: what each record says in the open.
    async fn journal(&self, side: Side) -> Option<Vec<Value>> {
        let answer = self.ask(side, Method::GET, "/waybill/v1/journal/export", None).await.filter(|a| a.status == 200)?;
        let lines = String::from_utf8(answer.body.to_vec()).expect("a text");
        Some(lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["record"]["detail"].clone()).collect())
    }

    /// Looks at everything once more, when all has come to rest.
    pub async fn nothing_is_lost_or_twice(&mut self) {
        let mut shown = BTreeMap::new();
        let mut records = BTreeMap::new();
        for side in [Side::City, Side::Company] {
            for what in [NEGOTIATIONS, TRANSFERS, "contractagreements"] {
                let list = self.until("the processes are listed", async |s| s.listed(side, what).await).await;
                shown.insert((side as usize, what), list);
            }
            records.insert(side as usize, self.until("the journal is shown", async |s| s.journal(side).await).await);
            for (path, wanted) in [("/waybill/v1/journal/verify", "\"verdict\":\"holds\""), ("/waybill/v1/dead-letters", "\"items\":[]"), ("/waybill/v1/quarantine", "\"items\":[]")] {
                let answer = self.until("the office answers", async |s| s.office(side, path).await).await.to_string();
                assert!(answer.contains(wanted), "{}", self.pair.said(&format!("the {side:?} at {path}: {answer}")));
            }
        }
        let refused = async |s: &Self| call(&s.client, Method::GET, &s.data[0], &s.data[2], None).await.map(|a| a.status.as_u16());
        let refused = self.until("the data is asked for once more", refused).await;
        let told = self.told().await.expect("recorded");

        let check = |holds: bool, what: &str| assert!(holds, "{}", self.pair.said(what));
        let list = |side: Side, what| &shown[&(side as usize, what)];
        let members = |list: &[Value], names: [&str; 2]| -> Vec<[String; 2]> {
            let mut all: Vec<_> = list.iter().map(|p| names.map(|name| text(&p[name]))).collect();
            all.sort();
            all
        };
        for (what, number, state) in [(NEGOTIATIONS, 1, "FINALIZED"), (TRANSFERS, FORMS.len(), "SUSPENDED")] {
            let (city, company) = (list(Side::City, what), list(Side::Company, what));
            check(city.len() == number && company.len() == number, &format!("{number} {what}: {city:?} {company:?}"));
            check(city.iter().chain(company).all(|p| p["state"] == state), &format!("each of {what} {state}: {city:?} {company:?}"));
            let same = members(city, ["@id", "correlationId"]) == members(company, ["correlationId", "@id"]);
            check(same, &format!("each side knows the other's: {city:?} {company:?}"));
        }
        let (city, company) = (list(Side::City, "contractagreements"), list(Side::Company, "contractagreements"));
        check(city.len() == 1 && company.len() == 1, &format!("one agreement: {city:?} {company:?}"));
        for side in [city, company] {
            check(side[0]["@id"] == json!(self.agreement) && side[0].get("ended").is_none(), &format!("it is in force: {side:?}"));
        }
        check(city[0]["policy"] == company[0]["policy"], &format!("both sides agreed to the same: {city:?} {company:?}"));
        // A licence's record names the types; it is given once, and not ended.
        for (side, agreed, licences) in [(Side::City, 1, 1), (Side::Company, 1, 0)] {
            let records = &records[&(side as usize)];
            let times = |name: &str, more: &str| records.iter().filter(|r| r[name] == json!(self.agreement) && r.get(more).is_some()).count();
            check(times("agreed", "role") == agreed, &format!("the journal of the {side:?} has the agreement once: {records:?}"));
            check(times("agreement", "types") == licences, &format!("and the licence {licences} times: {records:?}"));
        }
        check(refused == 401, &format!("the token opens nothing: {refused}"));
        // Each is told of as there and then as gone, and never as there again. What was being sent when the city died may be sent again.
        let again = usize::from(self.pair.died && self.who == Side::City) * self.meters.len();
        check(told.len() <= 2 * self.meters.len() + again, &format!("nothing is told more often than a death explains: {told:?}"));
        for id in &self.meters {
            let words: Vec<bool> = told.iter().filter(|(told, _)| told == id).map(|(_, gone)| *gone).collect();
            check(words.is_sorted() && words.first() == Some(&false) && words.last() == Some(&true), &format!("{id} was there and is gone: {told:?}"));
        }
    }
}

impl Stage for Space {
    fn pair(&mut self) -> &mut Pair {
        &mut self.pair
    }
    async fn alive(&self) -> Option<()> {
        self.listed(Side::City, TRANSFERS).await.and(self.listed(Side::Company, TRANSFERS).await).map(drop)
    }
    async fn shows(&self) -> String {
        let mut all = Vec::new();
        for what in [NEGOTIATIONS, TRANSFERS] {
            all.push((self.listed(Side::City, what).await, self.listed(Side::Company, what).await));
        }
        format!("negotiations and transfers at the city and at the company: {all:?}; the feed told {:?}", self.told().await)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
