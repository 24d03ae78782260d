//! A pod whose owner writes what nobody expected, and the hub as a process: what is no yes any more closes.

use super::town::{CITY_B, JSON, METER, OPERATOR, Town, grant, meter};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use waybill_conformance::{Person, PodOptions, StandInPod};

/// Nothing here may take so long unless it never comes.
const PATIENCE: Duration = Duration::from_mins(1);
const CONSENT: &str = "consents/advice";

/// Anna's pod at a server that lives as long as this.
struct Street {
    server: StandInPod,
    anna: Person,
    hub: Person,
}

impl Street {
    async fn new() -> Self {
        let people = ["anna", "hub"].map(str::to_owned).to_vec();
        let server = StandInPod::start(PodOptions { people, ..PodOptions::default() }).await.expect("a pod server");
        let person = |name: &str| server.person(name).expect("a person");
        let street = Self { anna: person("anna"), hub: person("hub"), server };
        let (me, hub) = (street.anna.webid(), street.hub.webid());
        for (folder, modes) in [("consents/", "acl:Read, acl:Control"), ("acknowledgements/", "acl:Append"), ("data/", "acl:Read"), ("more/", "acl:Read")] {
            street.anna.put(folder, "text/turtle", "");
            let rules = format!(
                "@prefix acl: <http://www.w3.org/ns/auth/acl#> .
                 <#owner> a acl:Authorization; acl:agent <{me}>; acl:accessTo <./>; acl:default <./>; acl:mode acl:Read, acl:Write, acl:Control .
                 <#hub> a acl:Authorization; acl:agent <{hub}>; acl:accessTo <./>; acl:default <./>; acl:mode {modes} ."
            );
            street.anna.put(&format!("{folder}.acl"), "text/turtle", rules);
        }
        street
    }

    /// The connection in a city's file; `resources` are folders of hers.
    fn connection(&self, resources: &[&str]) -> String {
        let (account, root) = (self.hub.credentials(), self.anna.root());
        let resources: Vec<String> = resources.iter().map(|folder| format!("{root}{folder}")).collect();
        format!(
            "[[connection]]\nname = \"pods\"\nkind = \"solid\"\nweb_id = \"{}\"\nissuer = \"{}\"\nclient_id = \"{}\"\nclient_secret = \"{}\"\npoll = \"1 s\"\n\
             [[connection.pod]]\nweb_id = \"{}\"\nconsents = \"{root}consents/\"\nacknowledgements = \"{root}acknowledgements/\"\nresources = {resources:?}\n",
            self.hub.webid(),
            self.server.url(),
            account.id,
            account.secret,
            self.anna.webid()
        )
    }

    /// A city that holds Anna's meter and reads her pod.
    fn town(&self) -> Town {
        let town = Town::start(&self.connection(&[]));
        let mut hers = meter(METER);
        hers["ownedBy"]["object"] = json!(self.anna.webid());
        let made = town.call("POST", "/ngsi-ld/v1/entities", OPERATOR, &[("Content-Type", JSON)], hers.to_string().as_bytes());
        assert_eq!(made.status, 201, "{}", made.text());
        town
    }

    fn consent(&self) -> Value {
        let mut document = grant()["document"].clone();
        document["subject"] = json!(self.anna.webid());
        document
    }

    /// She says yes, and city B sees her meter; she writes `text`, and it does not any more.
    fn closes(&self, town: &Town, text: &str) {
        self.anna.put(CONSENT, JSON, self.consent().to_string());
        until(town, "city B sees her meter", || city_b(town) == 200);
        self.anna.put(CONSENT, JSON, text.to_owned());
        until(town, &format!("it is closed by {text}"), || city_b(town) == 404);
    }

    /// No line of the log (the program writes what is at info or above) tells where her pod is.
    fn is_not_in_the_log(&self, town: &Town) {
        let log = log(town);
        assert!(!log.contains(&self.anna.root()), "{log}");
    }
}

fn city_b(town: &Town) -> u16 {
    town.get(&format!("/ngsi-ld/v1/entities/{METER}"), CITY_B).status
}

fn log(town: &Town) -> String {
    std::fs::read_to_string(town.folder.path().join("log")).expect("a log")
}

fn until(town: &Town, what: &str, look: impl Fn() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < PATIENCE, "still not: {what}\n{}", log(town));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_closes_in_whatever_form_she_says_it() {
    let street = Street::new().await;
    let town = street.town();
    let with = |member: &str, value: &str| {
        let mut document = street.consent();
        document[member] = json!(value);
        document
    };
    let mut of_another = with("state", "withdrawn");
    of_another["subject"] = json!("https://somebody.example/#else");
    let forms = [
        json!({ "state": "withdrawn" }),
        with("status", "dpv:ConsentWithdrawn"),
        json!({ "status": "https://w3id.org/dpv#ConsentRevoked" }),
        of_another,
        with("state", "withdrawn"),
    ];
    for form in forms {
        street.closes(&town, &form.to_string());
    }
    street.is_not_in_the_log(&town);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_the_place_of_a_yes_and_cannot_be_read_closes_it() {
    let street = Street::new().await;
    let town = street.town();
    // What never was a grant closes nothing.
    street.anna.put("consents/a-note", "text/plain", "Ask them about the heating.");
    let mut narrower = street.consent();
    narrower["data"][0]["precision"] = json!({ "round": 1000 });
    narrower["notInThe"] = json!("evening");
    let mut of_another = street.consent();
    of_another["subject"] = json!("https://somebody.example/#else");
    // The reader's words about her pod's address are not the log's.
    let mut misspelt = street.consent();
    misspelt["subject"] = json!(format!("{} me", street.anna.root()));
    for text in ["{}".to_owned(), "I have thought about it again.".to_owned(), narrower.to_string(), of_another.to_string(), misspelt.to_string(), "[".repeat(10_000)] {
        street.closes(&town, &text);
    }
    let log = log(&town);
    assert!(log.contains("is closed") && log.contains("consent-schema") && log.contains("consent-evidence"), "the operator is told why\n{log}");
    street.is_not_in_the_log(&town);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_left_her_pod_while_the_hub_was_off_leaves_the_hub() {
    let street = Street::new().await;
    let core = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld";
    let id = |name: &str| format!("urn:ngsi-ld:SmartMeter:{name}");
    for at in ["data/gone", "data/kept", "more/one"] {
        let entity = json!({ "@context": core, "id": id(&at.replace('/', "-")), "type": "SmartMeter", "activePower": { "type": "Property", "value": 1 } });
        street.anna.put(at, "application/ld+json", entity.to_string());
    }
    let town = Town::start(&street.connection(&["data/", "more/"]));
    let has = |town: &Town, name: &str| town.get(&format!("/ngsi-ld/v1/entities/{}", id(name)), OPERATOR).status == 200;
    for name in ["data-gone", "data-kept", "more-one"] {
        until(&town, &format!("{name} is here"), || has(&town, name));
    }
    let folder = town.stop();
    assert!(street.anna.delete("data/gone"));
    let town = Town::again(folder, &[]);
    until(&town, "what she deleted is gone", || !has(&town, "data-gone"));
    assert!(has(&town, "data-kept") && has(&town, "more-one"), "and nothing else is");
    // What the city does not look at any more is not the city's to keep.
    let folder = town.stop();
    let file = folder.path().join("city.toml");
    let text = std::fs::read_to_string(&file).expect("the city's file");
    let fewer = text.replace(&format!(", \"{}more/\"", street.anna.root()), "");
    assert_ne!(text, fewer);
    std::fs::write(&file, fewer).expect("the city's file");
    let town = Town::again(folder, &[]);
    until(&town, "what is not configured any more is gone", || !has(&town, "more-one"));
    assert!(has(&town, "data-kept"));
    street.is_not_in_the_log(&town);
}
