//! Eclipse EDC, a real connector of the Dataspace Protocol, as a process on loopback, and its management interface (v3) in words of ours.
//! It takes the identity that a caller states: `Authorization: {"region":"eu","audience":"…","clientId":"…"}`.

mod alone;

use super::java::{JavaPeer, java};
use super::program::{PATIENCE, call, client, free};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use waybill_http::{Client, InResponse, Method};

/// Which connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 0.14.1 with its data plane: gives data to be pulled through its proxy, and pushes.
    V0_14,
    /// 0.15.1. It has no proxy any more: it can ask others for data, and give none to be pulled.
    V0_15,
}

impl Kind {
    /// The peer.
    pub fn peer(self) -> JavaPeer {
        JavaPeer { name: ["edc-0.14.1", "edc-0.15.1"][self as usize], required: true }
    }
}

/// The edition of the protocol, as EDC's management interface names it, and where it stands below a connector's base.
const PROTOCOL: &str = "dataspace-protocol-http:2025-1";
const EDITION: &str = "/2025-1";

/// Somebody with whom a connector deals: our hub, or another connector.
#[derive(Debug, Clone)]
pub struct Party {
    /// The participant's id, which is also what agreements name.
    pub id: String,
    /// The base of its Dataspace Protocol endpoints, with the edition in its path.
    pub address: String,
}

/// How data are to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// Fetched from where the provider says.
    Pull,
    /// Sent by the provider to this address.
    Push(&'a str),
}

/// What an agreement is negotiated in and data are transferred by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Negotiation,
    Transfer,
}

impl Process {
    fn path(self) -> &'static str {
        ["/v3/contractnegotiations", "/v3/transferprocesses"][self as usize]
    }
}

/// Where pulled data lie, and what opens them: the value of `Authorization`, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edr {
    pub endpoint: String,
    pub authorization: String,
    /// All that the connector keeps of the data address.
    pub address: Value,
}

/// A running connector. It ends when this is dropped, and also when the test process ends.
pub struct Edc {
    id: String,
    ports: [SocketAddr; 6],
    client: Client,
    child: Child,
    folder: tempfile::TempDir,
}

impl Edc {
    /// Starts a connector and waits until it is ready. `path` is its class path, `id` its participant, `more` settings that add to ours or
    /// take their place. An id that is a name in the connector's own contexts, as `edc` is, makes it refuse every agreement without a word.
    pub async fn start(path: &str, id: &str, more: &[(&str, &str)]) -> Self {
        let ports = free::<6>();
        let [protocol, web, management, control, version, public] = ports;
        let mut text = format!(
            "edc.participant.id={id}
edc.hostname=127.0.0.1
edc.dsp.callback.address=http://{protocol}/protocol
edc.dataplane.api.public.baseurl=http://{public}/public
edc.transfer.proxy.token.signer.privatekey.alias=private-key
edc.transfer.proxy.token.verifier.publickey.alias=public-key
"
        );
        // Each machine of states looks around twenty times a second instead of once.
        for machine in ["negotiation.consumer", "negotiation.provider", "transfer", "data.plane.selector", "dataplane"] {
            let _ = writeln!(text, "edc.{machine}.state-machine.iteration-wait-millis=50");
        }
        let contexts = [("", web, "/api"), (".protocol", protocol, "/protocol"), (".management", management, "/management")];
        let inner = [(".control", control, "/control"), (".version", version, "/version"), (".public", public, "/public")];
        for (name, at, below) in contexts.into_iter().chain(inner) {
            let _ = writeln!(text, "web.http{name}.port={}\nweb.http{name}.path={below}", at.port());
        }
        for (key, value) in more {
            // The later of two lines holds.
            let _ = writeln!(text, "{key}={value}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("edc.properties");
        std::fs::write(&file, text).expect("the settings");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = java(path);
        command.env("EDC_FS_CONFIG", &file).arg("org.eclipse.edc.boot.system.runtime.BaseRuntime").current_dir(folder.path());
        // Its companion ends it when the other end of this is gone.
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("java starts");
        let mut edc = Self { id: id.to_owned(), ports, client: client(), child, folder };
        let began = Instant::now();
        while !edc.ready().await {
            let ended = edc.child.try_wait().expect("its state");
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "the connector did not start\n{}", edc.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        edc
    }

    /// Whether it answers others and has a data plane, without which it offers no way to come by data. Its own check of readiness says so
    /// before either holds.
    async fn ready(&self) -> bool {
        let get = async |url: String| call(&self.client, Method::GET, &url, "", None).await.filter(|answer| answer.status == 200);
        let planes = get(format!("http://{}/management/v3/dataplanes", self.ports[2])).await.and_then(|answer| answer.json::<Value>().ok());
        let plane = planes.is_some_and(|all| all.as_array().into_iter().flatten().any(|plane| plane["state"] == "AVAILABLE"));
        plane && get(format!("{}/.well-known/dspace-version", self.base())).await.is_some()
    }

    /// What others need to deal with it.
    pub fn party(&self) -> Party {
        Party { id: self.id.clone(), address: format!("{}{EDITION}", self.base()) }
    }
    /// The base of its Dataspace Protocol endpoints, without an edition; its versions document lies below.
    pub fn base(&self) -> String {
        format!("http://{}/protocol", self.ports[0])
    }
    /// What it wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Calls its management interface.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> InResponse {
        let url = format!("http://{}/management{path}", self.ports[2]);
        let answer = call(&self.client, method, &url, "", body).await;
        answer.unwrap_or_else(|| panic!("the connector {} does not answer {path}\n{}", self.id, self.log()))
    }

    /// The same, and it must go well. A `body` gets the context that makes EDC's terms of its members.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|mut body| {
            body["@context"] = json!({ "@vocab": "https://w3id.org/edc/v0.0.1/ns/" });
            body
        });
        let answer = self.call(method, path, body.as_ref()).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(answer.status.is_success(), "{} at {path}: {} {text}\n{}", self.id, answer.status, self.log());
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn made(&self, path: &str, body: Value) -> String {
        let answer = self.ask(Method::POST, path, Some(body)).await;
        answer["@id"].as_str().unwrap_or_else(|| panic!("{path} answers with no id: {answer}")).to_owned()
    }

    /// Makes an asset of what lies at `source`.
    pub async fn asset(&self, id: &str, source: &str) {
        let address = json!({ "@type": "DataAddress", "type": "HttpData", "baseUrl": source });
        let body = json!({ "@id": id, "properties": { "name": id, "contenttype": "application/json" }, "dataAddress": address });
        self.made("/v3/assets", body).await;
    }
    /// Makes a policy: an ODRL `permission`, a list of rules. An empty one lets everybody see and nobody be asked anything.
    pub async fn policy(&self, id: &str, permission: Value) {
        let policy = json!({ "@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Set", "permission": permission });
        self.made("/v3/policydefinitions", json!({ "@id": id, "policy": policy })).await;
    }
    /// Offers `asset` under the policy `contract` to whom the policy `access` lets see it.
    pub async fn contract_definition(&self, id: &str, access: &str, contract: &str, asset: &str) {
        let selector = json!({ "@type": "Criterion", "operandLeft": "https://w3id.org/edc/v0.0.1/ns/id", "operator": "=", "operandRight": asset });
        let body = json!({ "@id": id, "accessPolicyId": access, "contractPolicyId": contract, "assetsSelector": [selector] });
        self.made("/v3/contractdefinitions", body).await;
    }

    /// The catalog of `of`, in the terms of the protocol.
    pub async fn catalog(&self, of: &Party) -> Value {
        let body = json!({ "counterPartyAddress": of.address, "counterPartyId": of.id, "protocol": PROTOCOL, "querySpec": { "offset": 0, "limit": 50 } });
        self.ask(Method::POST, "/v3/catalog/request", Some(body)).await
    }
    /// One dataset of `of`.
    pub async fn dataset(&self, of: &Party, id: &str) -> Value {
        let body = json!({ "@id": id, "counterPartyAddress": of.address, "counterPartyId": of.id, "protocol": PROTOCOL });
        self.ask(Method::POST, "/v3/catalog/dataset/request", Some(body)).await
    }

    /// Asks `of` for a contract on `dataset` by an `offer` of its catalog. The negotiation's id here.
    pub async fn negotiate(&self, of: &Party, dataset: &str, offer: &Value) -> String {
        let mut policy = offer.clone();
        policy["@context"] = json!("http://www.w3.org/ns/odrl.jsonld");
        policy["@type"] = json!("Offer");
        policy["assigner"] = json!(of.id);
        policy["target"] = json!(dataset);
        let body = json!({ "@type": "ContractRequest", "counterPartyAddress": of.address, "protocol": PROTOCOL, "policy": policy });
        self.made(Process::Negotiation.path(), body).await
    }
    /// The agreement that a negotiation came to.
    pub async fn agreement(&self, negotiation: &str) -> String {
        let about = self.get(Process::Negotiation, negotiation).await;
        about["contractAgreementId"].as_str().unwrap_or_else(|| panic!("no agreement: {about}")).to_owned()
    }

    /// Asks `of` for the data of an agreement. The transfer's id here.
    pub async fn transfer(&self, of: &Party, agreement: &str, way: Way<'_>) -> String {
        let mut body = json!({
            "@type": "TransferRequest", "counterPartyAddress": of.address, "protocol": PROTOCOL,
            "contractId": agreement, "transferType": "HttpData-PULL",
        });
        if let Way::Push(to) = way {
            body["transferType"] = json!("HttpData-PUSH");
            body["dataDestination"] = json!({ "@type": "DataAddress", "type": "HttpData", "baseUrl": to });
        }
        self.made(Process::Transfer.path(), body).await
    }
    /// The id under which this connector runs the transfer that the other side runs under `theirs`.
    pub async fn counterpart(&self, theirs: &str) -> String {
        let all = self.ask(Method::POST, "/v3/transferprocesses/request", Some(json!({ "@type": "QuerySpec" }))).await;
        let found = all.as_array().into_iter().flatten().find(|t| t["correlationId"] == theirs).and_then(|t| t["@id"].as_str());
        found.unwrap_or_else(|| panic!("no transfer is another's {theirs}: {all}")).to_owned()
    }
    pub async fn suspend(&self, transfer: &str, reason: &str) {
        self.tell(transfer, "suspend", Some(json!({ "reason": reason }))).await;
    }
    pub async fn resume(&self, transfer: &str) {
        self.tell(transfer, "resume", None).await;
    }
    pub async fn terminate(&self, transfer: &str, reason: &str) {
        self.tell(transfer, "terminate", Some(json!({ "reason": reason }))).await;
    }
    async fn tell(&self, transfer: &str, what: &str, body: Option<Value>) {
        self.ask(Method::POST, &format!("{}/{transfer}/{what}", Process::Transfer.path()), body).await;
    }

    /// All that it tells about a process.
    pub async fn get(&self, process: Process, id: &str) -> Value {
        self.ask(Method::GET, &format!("{}/{id}", process.path()), None).await
    }
    /// Waits until a process is in one of `states`. The last of a provider's transfers is `DEPROVISIONED`.
    pub async fn until(&self, process: Process, id: &str, states: &[&str]) {
        let began = Instant::now();
        loop {
            let about = self.get(process, id).await;
            if about["state"].as_str().is_some_and(|state| states.contains(&state)) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{}: still not {states:?}: {about}\n{}", self.id, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where the data of a pulling transfer lie; nothing while there is no right to them.
    pub async fn edr(&self, transfer: &str) -> Option<Edr> {
        let answer = self.call(Method::GET, &format!("/v3/edrs/{transfer}/dataaddress"), None).await;
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let address: Value = answer.json().expect("an address");
        // One generation answers with short names, the next with whole ones.
        let whole = |name: &str| format!("https://w3id.org/edc/v0.0.1/ns/{name}");
        let text = |name: &str| address[name].as_str().or(address[whole(name)].as_str()).unwrap_or_default().to_owned();
        Some(Edr { endpoint: text("endpoint"), authorization: text("authorization"), address })
    }
    /// The same, once it is there: it is kept only after the transfer has started.
    pub async fn edr_soon(&self, transfer: &str) -> Edr {
        let began = Instant::now();
        loop {
            if let Some(edr) = self.edr(transfer).await {
                return edr;
            }
            assert!(began.elapsed() < PATIENCE, "{} has no data address for {transfer}\n{}", self.id, self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Edc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
