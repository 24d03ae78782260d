//! A small Solid-like server in memory: WebID profiles, an OpenID issuer with client credentials and proof of possession, containers and
//! resources, Web Access Control, webhook notifications. Where the Solid specifications leave room it does as Community Solid Server.

mod access;
mod issuer;
mod notify;
mod rdf;
mod serve;
mod storage;
mod tokens;

pub(crate) use tokens::random_name;

use crate::net::{Handler, Seen, Server, locked};
use crate::{LOOPBACK, Now, system_time};
use bytes::Bytes;
use notify::Channels;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use storage::Storage;
use tokens::{IssuerKey, Proofs};
use tokio::net::TcpListener;

/// How a [`StandInPod`] is set up.
#[derive(Clone)]
pub struct PodOptions {
    /// Where it listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Who has a pod here: short names, which become the first path segment.
    pub people: Vec<String>,
    /// The address that others know it by, ending in `/`; by default its own. Set it when a relay stands before it.
    pub base_url: Option<String>,
    /// Its clock.
    pub now: Now,
}
impl Default for PodOptions {
    fn default() -> Self {
        Self { listen: LOOPBACK, people: Vec::new(), base_url: None, now: system_time() }
    }
}

/// What a program signs in with at the token endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The client's identifier.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// The stand-in for a Solid server with several pods. Dropping it stops it.
pub struct StandInPod {
    server: Server,
    state: Arc<State>,
}

/// A person with a pod; what is done through this handle is done by her.
#[derive(Clone)]
pub struct Person {
    name: String,
    state: Arc<State>,
}

struct State {
    /// Ends in `/`.
    base: String,
    now: Now,
    key: IssuerKey,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    storage: Storage,
    /// By client identifier: its secret and whose WebID it signs in as.
    clients: HashMap<String, (String, String)>,
    proofs: Proofs,
    channels: Channels,
}

impl StandInPod {
    /// Starts one with a pod for each of `people`.
    ///
    /// # Errors
    /// When the address cannot be taken or the system gives no randomness.
    pub async fn start(options: PodOptions) -> std::io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let base = options.base_url.clone().unwrap_or(format!("http://{}/", listener.local_addr()?));
        let state = Arc::new(State { base, now: options.now, key: IssuerKey::generate()?, inner: Mutex::default() });
        for name in &options.people {
            state.found_pod(name);
        }
        let shared = state.clone();
        let handler: Handler = Arc::new(move |request| {
            let state = shared.clone();
            Box::pin(async move { state.answer(request).await })
        });
        Ok(Self { server: Server::start(listener, handler)?, state })
    }
    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr
    }
    /// Its base address, which is also its issuer; ends in `/`.
    pub fn url(&self) -> String {
        self.state.base.clone()
    }
    /// The person with that name, if she has a pod here.
    pub fn person(&self, name: &str) -> Option<Person> {
        let has_pod = locked(&self.state.inner).storage.get(&format!("/{name}/")).is_some();
        has_pod.then(|| Person { name: name.to_owned(), state: self.state.clone() })
    }
    /// Client credentials with which a program signs in as `webid`, which must name this server as its issuer to be believed elsewhere.
    pub fn credentials_for(&self, webid: &str) -> Credentials {
        self.state.credentials_for(webid)
    }
    /// Every request it answered.
    pub fn seen(&self) -> Vec<Seen> {
        self.server.seen()
    }
    /// Stops it. What it held is gone.
    pub fn stop(self) {
        self.server.stop();
    }
}

impl Person {
    /// Her WebID.
    pub fn webid(&self) -> String {
        format!("{}{}/profile/card#me", self.state.base, self.name)
    }
    /// The root of her pod; ends in `/`.
    pub fn root(&self) -> String {
        format!("{}{}/", self.state.base, self.name)
    }
    /// Credentials for a program of hers.
    pub fn credentials(&self) -> Credentials {
        self.state.credentials_for(&self.webid())
    }
    /// Writes `path` (relative to her root) as her own application would. Whoever subscribed is notified.
    pub fn put(&self, path: &str, content_type: &str, body: impl Into<Bytes>) {
        let at = self.path(path);
        let changes = locked(&self.state.inner).storage.put(&at, content_type, body.into(), true, (self.state.now)());
        self.state.notify(&changes);
    }
    /// What stands at `path`: its media type and body.
    pub fn get(&self, path: &str) -> Option<(String, Bytes)> {
        locked(&self.state.inner).storage.get(&self.path(path)).map(|r| (r.content_type.clone(), r.body.clone()))
    }
    /// Deletes `path`. Whether it was there.
    pub fn delete(&self, path: &str) -> bool {
        let path = self.path(path);
        let (was, changes) = {
            let mut inner = locked(&self.state.inner);
            (inner.storage.get(&path).is_some(), inner.storage.delete(&path, (self.state.now)()))
        };
        self.state.notify(&changes);
        was
    }
    /// The paths (relative to her root) of what a container of hers holds.
    pub fn list(&self, container: &str) -> Vec<String> {
        let inner = locked(&self.state.inner);
        let root = self.path("");
        inner.storage.children(&self.path(container)).map(|(path, _)| path.trim_start_matches(&root).to_owned()).collect()
    }
    fn path(&self, relative: &str) -> String {
        format!("/{}/{}", self.name, relative.trim_start_matches('/'))
    }
}

impl State {
    fn credentials_for(&self, webid: &str) -> Credentials {
        let credentials = Credentials { id: format!("client-{}", random_name()), secret: random_name() };
        locked(&self.inner).clients.insert(credentials.id.clone(), (credentials.secret.clone(), webid.to_owned()));
        credentials
    }

    /// A pod as a new account gets it: a profile that all may read, type indexes, all else her own.
    fn found_pod(&self, name: &str) {
        let webid = format!("{}{name}/profile/card#me", self.base);
        let profile = format!(
            "@prefix foaf: <http://xmlns.com/foaf/0.1/> .\n@prefix solid: <http://www.w3.org/ns/solid/terms#> .\n\
             @prefix pim: <http://www.w3.org/ns/pim/space#> .\n<> a foaf:PersonalProfileDocument ; foaf:maker <#me> ; foaf:primaryTopic <#me> .\n\
             <#me> a foaf:Person ;\n    solid:oidcIssuer <{base}> ;\n    pim:storage <{base}{name}/> ;\n    \
             solid:publicTypeIndex <{base}{name}/settings/publicTypeIndex.ttl> ;\n    \
             solid:privateTypeIndex <{base}{name}/settings/privateTypeIndex.ttl> .\n",
            base = self.base
        );
        let index = |kind: &str| format!("@prefix solid: <http://www.w3.org/ns/solid/terms#> .\n<> a solid:TypeIndex, solid:{kind} .\n");
        let files = [
            (".acl", access::owner_rules(&webid)),
            ("profile/card", profile),
            ("profile/card.acl", access::public_rules(&webid, "card")),
            ("settings/publicTypeIndex.ttl", index("ListedDocument")),
            ("settings/publicTypeIndex.ttl.acl", access::public_rules(&webid, "publicTypeIndex.ttl")),
            ("settings/privateTypeIndex.ttl", index("UnlistedDocument")),
        ];
        let mut inner = locked(&self.inner);
        for (path, text) in files {
            inner.storage.put(&format!("/{name}/{path}"), "text/turtle", text.into(), true, (self.now)());
        }
    }
}
