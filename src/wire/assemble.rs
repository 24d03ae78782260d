//! One hub, put together and running: the table of adapters, the server, the workers.

use waybill_portal::Probe;
use super::dataspace;
use super::feeds::feeds;
use super::terms;
use crate::config::Config;
use crate::config::model::{ActsFor, ConnectionKind, Credential, Data, SignIn};
use std::sync::Arc;
use std::time::Duration;
use waybill_context::{Contexts, Fetch, Fetched, Limits};
use waybill_exchange::{Hub, Intake, Workers};
use waybill_http::{
    Auth, Authenticator, Client, ClientConfig, ClientCredentials, Guard, IssuerConfig, Metrics, OutRequest, Registration, Role, Router, ServerConfig, ServerHandle,
    ServerTls, StaticToken, Tenants, TokenVerifier, VerifierConfig, WebIds,
};
use waybill_model::{Clock, Iri, Problem, ProblemCode, TenantId};
use waybill_ngsi_ld::{AuthConfig, Broker, BrokerConfig, BrokerHealth, BrokerSink, BrokerSource, Engine, NotifySink};
use waybill_peer::{PeerClient, PeerConfig, PeerHealth};
use waybill_port::Source;
use waybill_store::{Options, Store};

/// A hub that runs.
pub struct Running {
    /// The engine.
    pub hub: Hub,
    /// Where it answers.
    pub base_url: String,
    server: ServerHandle,
    workers: Workers,
    tasks: tokio::task::JoinSet<()>,
    connector: Option<waybill_dsp::Connector>,
    contexts: Contexts,
}

impl Running {
    /// Lets open requests and deliveries end, then closes the store.
    pub async fn stop(self) {
        let Self { hub, server, workers, mut tasks, .. } = self;
        tasks.abort_all();
        server.stop().await;
        workers.stop().await;
        if let Err(e) = hub.journal().flush_all().await {
            tracing::warn!("the last minute of the journal's counts is not written: {e}");
        }
        hub.store().close().await;
    }

    /// Puts another configuration in force: agreements, routes, bases and callers. What a connection or the server itself is needs a restart.
    ///
    /// # Errors
    /// When it cannot be put in force; then the old one stays.
    pub async fn reload(&self, config: &Config) -> Result<(), Problem> {
        let governance = terms::governance(config, &self.base_url)?;
        let bases = terms::bases(config, &governance)?;
        let client = client(config, self.hub.clock())?;
        let authenticator = authenticator(config, &client);
        let space = match &config.dataspace {
            Some(space) => Some(dataspace::settings(config, space, &self.base_url, verifier(config, &client))?),
            None => None,
        };
        self.hub.govern(governance, &TenantId::main(), bases).await?;
        for connection in config.connections.iter().filter(|c| matches!(c.kind, ConnectionKind::NgsiLd { .. })) {
            feeds(config, &self.hub, &connection.name).await?;
        }
        self.server.replace_authenticator(known(authenticator, self.connector.as_ref()));
        match (&self.connector, space) {
            (Some(connector), Some((settings, identity))) => {
                connector.replace(settings, identity);
                dataspace::imports(config, connector, &self.contexts);
            }
            (None, None) => {}
            _ => tracing::warn!("a [dataspace] that comes or goes needs a restart"),
        }
        Ok(())
    }
}

fn client(config: &Config, clock: &Clock) -> Result<Client, Problem> {
    let settings = ClientConfig::new(clock.clone()).guard(Guard::allowing(config.hub.may_call.iter().cloned()));
    Client::new(settings).map_err(|e| Problem::new(ProblemCode("client-setup"), 500, "The outbound client cannot start", e.to_string()))
}

/// Opens the store that the configuration names.
pub fn open_store(data: &Data, clock: &Clock) -> Result<Store, Problem> {
    Ok(match data {
        // Two hubs on one store would each think that they are alone; a backup may be made beside.
        Data::Folder(folder) => Store::open_with(folder, clock.clone(), Options { sole: true, ..Options::default() })?,
        Data::Memory => Store::memory(clock.clone())?,
    })
}

/// Puts the hub together over `store` and starts it.
///
/// # Errors
/// What any part says that cannot start.
pub async fn assemble(config: &Config, store: Store, clock: Clock) -> Result<Running, Problem> {
    let base_url = config.hub.base_url.clone().unwrap_or_else(|| format!("http://{}", config.hub.listen)).trim_end_matches('/').to_owned();
    let governance = terms::governance(config, &base_url)?;
    let bases = terms::bases(config, &governance)?;
    let hub = Hub::open(store, governance.clone(), clock.clone()).await?;
    hub.settle_restore().await?;
    hub.govern(governance, &TenantId::main(), bases).await?;

    let client = client(config, &clock)?;
    let contexts = Contexts::new(ContextFetch(client.clone()), None, Limits::default(), clock.clone());
    if let Some(folder) = &config.hub.preload_contexts {
        contexts.preload(folder).map_err(|e| not_preloaded(&e))?;
    }
    // The one table of adapters.
    hub.add_sink(Arc::new(NotifySink::new(client.clone(), contexts.clone())));
    hub.set_notices(Arc::new(PeerClient::new(client.clone(), peers(config))));
    let sources = connect(config, &hub, &client, &contexts, &base_url).await?;
    let engine = Engine::new(hub.clone(), contexts.clone(), config.hub.name.clone().unwrap_or_else(|| "waybill".into()));
    let metrics = Metrics::new();
    let connector = dataspace::connect(config, &hub, &client, &contexts, &base_url, verifier(config, &client))?;
    let mut probes = watched(config, &client, &contexts);
    if let Some((connector, _)) = connector.as_ref().filter(|(c, _)| c.config().control_plane.as_ref().is_some_and(|plane| plane.register)) {
        probes.push(Probe { name: "control plane".to_owned(), kind: "dataspace".to_owned(), health: Arc::new(connector.clone()) });
    }
    let mut router = waybill_ngsi_ld::routes(Arc::new(engine))
        .merge(waybill_ngsi_ld::inbox_routes(hub.clone(), contexts.clone()))
        .merge(waybill_peer::routes(hub.clone()));
    let (solid, watchers) = super::pods::connect(config, &hub, &client, &contexts, &base_url).await?;
    router = router.merge(solid);
    let connector = connector.map(|(connector, routes)| {
        router = std::mem::take(&mut router).merge(routes);
        connector
    });
    for (connector, import) in connector.iter().flat_map(|c| config.dataspace.iter().flat_map(|s| &s.imports).map(move |i| (c, i))) {
        let health = Arc::new(waybill_dsp::ImportHealth::new(connector.clone(), &import.name));
        probes.push(Probe { name: import.name.clone(), kind: "import".into(), health });
    }
    router = router.merge(super::office::routes(&hub, &metrics, probes));
    // Before anybody is answered: what was defined is on offer from the first request on.
    if let Some(connector) = &connector {
        connector.prepare().await?;
    }

    let known = known(authenticator(config, &client), connector.as_ref());
    let server = serve(config, &base_url, router, known, metrics, clock).await?;
    let workers = hub.start();
    let mut tasks = tokio::task::JoinSet::new();
    for source in sources {
        tasks.spawn(follow(source));
    }
    for watcher in watchers {
        tasks.spawn(watcher);
    }
    if let Some(connector) = &connector {
        tasks.spawn(connector.clone().run());
        tasks.spawn(connector.clone().watch());
        tasks.spawn(connector.clone().register());
        tasks.spawn(connector.clone().crawl());
        tasks.spawn(connector.clone().import());
    }
    Ok(Running { hub, base_url, server, workers, tasks, connector, contexts })
}

/// The hubs that this one deals with: its peers, and participants of the dataspace that have one. Of those, what is public is fetched.
fn peers(config: &Config) -> Vec<PeerConfig> {
    let own = config.peers.iter().map(|p| PeerConfig { base_url: p.url.trim_end_matches('/').to_owned(), auth: auth(&p.sign_in) });
    let mut peers: Vec<PeerConfig> = own.collect();
    for hub in config.dataspace.iter().flat_map(|s| &s.participants).filter_map(|p| p.hub.as_deref()).map(|h| h.trim_end_matches('/')) {
        if !peers.iter().any(|p| p.base_url == hub) {
            peers.push(PeerConfig { base_url: hub.to_owned(), auth: Auth::None });
        }
    }
    peers
}

/// The connections that can be asked how they are.
fn watched(config: &Config, client: &Client, contexts: &Contexts) -> Vec<Probe> {
    let mut out = Vec::new();
    for connection in &config.connections {
        if let ConnectionKind::NgsiLd { url, sign_in, .. } = &connection.kind {
            let settings = BrokerConfig { auth: broker_auth(sign_in), ..BrokerConfig::new(url) };
            let health = Arc::new(BrokerHealth(Broker::new(client.clone(), settings, contexts.clone())));
            out.push(Probe { name: connection.name.clone(), kind: "ngsi-ld".into(), health });
        }
    }
    for peer in &config.peers {
        let url = peer.url.trim_end_matches('/').to_owned();
        let there = PeerClient::new(client.clone(), vec![PeerConfig { base_url: url.clone(), auth: auth(&peer.sign_in) }]);
        out.push(Probe { name: peer.name.clone(), kind: "peer".into(), health: Arc::new(PeerHealth::new(there, url)) });
    }
    out
}

/// Subscribes at a source until it has taken the subscription.
async fn follow(source: Arc<dyn Source>) {
    let mut wait = Duration::from_millis(200);
    while let Err(error) = source.follow().await {
        tracing::info!(connection = source.connection(), "not followed yet: {}", error.detail);
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(30));
    }
}

/// Connections of the kind ngsi-ld: brokers and hubs, fed or followed.
async fn connect(config: &Config, hub: &Hub, client: &Client, contexts: &Contexts, base_url: &str) -> Result<Vec<Arc<dyn Source>>, Problem> {
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for connection in &config.connections {
        let ConnectionKind::NgsiLd { url, tenant, context, sign_in, .. } = &connection.kind else { continue };
        let settings = BrokerConfig { tenant: tenant.as_deref().and_then(TenantId::new), context: context.clone(), auth: broker_auth(sign_in), ..BrokerConfig::new(url) };
        let broker = || Broker::new(client.clone(), settings.clone(), contexts.clone());
        // Also without a route: what a route that is gone fed it with has to be taken back there.
        hub.add_sink(Arc::new(BrokerSink::new(&connection.name, broker())));
        let fed_by = feeds(config, hub, &connection.name).await?;
        let from: Vec<_> = config.routes.iter().filter(|r| r.from.as_ref().is_some_and(|(_, name)| *name == connection.name)).collect();
        let Some(first) = from.first() else { continue };
        let peer = config.peers.iter().map(|p| p.url.trim_end_matches('/')).find(|p| url.trim_end_matches('/').starts_with(p));
        let secret = hub.inbox_secret(&connection.name);
        hub.set_intake(
            &connection.name,
            Intake { tenant: TenantId::main(), hub: peer.map(str::to_owned), fed_by, secret: waybill_keys::sha256(secret.as_bytes()) },
        );
        let mut types: Vec<Iri> = from.iter().flat_map(|r| r.select.types.clone()).collect();
        types.sort();
        types.dedup();
        let inbox = format!("{base_url}/waybill/inbox/{}", waybill_http::encode_component(&connection.name));
        let label = format!("{}:{}", first.name, connection.name);
        sources.push(Arc::new(BrokerSource::new(connection.name.clone(), broker(), types, inbox, secret).labelled(&format!("{base_url}#{label}"))));
    }
    Ok(sources)
}

fn broker_auth(sign_in: &SignIn) -> AuthConfig {
    match sign_in {
        SignIn::None => AuthConfig::None,
        SignIn::Bearer(token) => AuthConfig::Bearer { token: token.expose().to_owned() },
        SignIn::XAuthToken(token) => AuthConfig::XAuthToken { token: token.expose().to_owned() },
        SignIn::ClientCredentials { token_url, client_id, client_secret, scope } => AuthConfig::ClientCredentials {
            token_url: token_url.clone(),
            client_id: client_id.clone(),
            client_secret: client_secret.expose().to_owned(),
            scopes: scope.iter().cloned().collect(),
            audience: None,
        },
    }
}

pub(super) fn auth(sign_in: &SignIn) -> Auth {
    match sign_in {
        SignIn::None => Auth::None,
        SignIn::Bearer(token) => Auth::Bearer(Arc::from(token.expose())),
        SignIn::XAuthToken(token) => Auth::XAuthToken(Arc::from(token.expose())),
        SignIn::ClientCredentials { token_url, client_id, client_secret, scope } => {
            let mut credentials = ClientCredentials::new(token_url, client_id, client_secret.expose());
            if let Some(scope) = scope {
                credentials = credentials.scope(scope);
            }
            Auth::OAuth2ClientCredentials(Arc::new(credentials))
        }
    }
}

/// Who is known. Without a configuration of callers, the one on this machine is the operator.
fn authenticator(config: &Config, client: &Client) -> Authenticator {
    let mut tokens = Vec::new();
    if let Some(secret) = &config.auth.operator_token {
        tokens.push(StaticToken::operator(secret.expose(), "operator"));
    }
    let mut registrations = Vec::new();
    for known in &config.clients {
        let tenants = if known.tenants.is_empty() && known.acts_for == ActsFor::Operator {
            Tenants::All
        } else if known.tenants.is_empty() {
            Tenants::main_only()
        } else {
            Tenants::Only(known.tenants.clone().into())
        };
        let role = match &known.acts_for {
            ActsFor::Party(party) => Role::Party(party.clone()),
            ActsFor::Operator => Role::Operator,
            ActsFor::Persons(under) => Role::Person(WebIds::Under(under.clone())),
        };
        let agreement = config.agreements.iter().find(|a| a.clients.contains_key(&known.name));
        let purposes: Vec<Iri> = agreement.and_then(|a| a.clients.get(&known.name)).map(|(_, list)| list.iter().map(|(_, p)| p.clone()).collect()).unwrap_or_default();
        let build = |issuer: &str, client_id: &str| {
            let mut registration = Registration::new(issuer, client_id, role.clone()).purposes(purposes.clone()).tenants(tenants.clone());
            registration.agreement = agreement.map(|a| a.id.clone());
            registration
        };
        match &known.credential {
            Some(Credential::Token(secret)) => tokens.push(StaticToken::new(secret.expose(), build("static", &known.name))),
            Some(Credential::Issuer { issuer, client_id }) => registrations.push(build(issuer, client_id)),
            None => {}
        }
    }
    let bare = tokens.is_empty() && registrations.is_empty();
    let mut out = Authenticator::closed().with_tokens(tokens);
    if let Some(verifier) = verifier(config, client) {
        out = out.with_issuers(verifier, registrations);
    }
    if bare && config.hub.listen.ip().is_loopback() { out.with_loopback_operator() } else { out }
}

/// The same, also knowing the tokens of the connector's data plane.
fn known(authenticator: Authenticator, connector: Option<&waybill_dsp::Connector>) -> Authenticator {
    match connector {
        Some(connector) => authenticator.with_resolver(Arc::new(connector.clone())),
        None => authenticator,
    }
}

/// Verifies the tokens of the configured issuers; nothing when there are none.
fn verifier(config: &Config, client: &Client) -> Option<Arc<TokenVerifier>> {
    let issuer = |i: &crate::config::model::Issuer| IssuerConfig { issuer: i.url.clone(), audiences: i.audiences.clone(), jwks_uri: i.jwks.clone() };
    let issuers: Vec<_> = config.auth.issuers.iter().map(issuer).collect();
    (!issuers.is_empty()).then(|| Arc::new(TokenVerifier::new(client.clone(), VerifierConfig::new(issuers))))
}

async fn serve(config: &Config, base_url: &str, router: Router, authenticator: Authenticator, metrics: Metrics, clock: Clock) -> Result<ServerHandle, Problem> {
    let mut settings = ServerConfig::new(config.hub.listen);
    settings.public_base = Some(base_url.to_owned());
    settings.trusted_proxies.clone_from(&config.hub.trusted_proxies);
    settings.metrics = metrics;
    if let Some((certificate, key)) = &config.hub.tls {
        let tls = ServerTls::from_pem_files(certificate, key).map_err(|e| Problem::new(ProblemCode("tls-files"), 422, "TLS cannot start", e.to_string()))?;
        settings.tls = Some(tls);
    }
    waybill_http::serve(settings, router, authenticator, clock)
        .await
        .map_err(|e| Problem::new(ProblemCode("cannot-serve"), 500, "The server cannot start", e.to_string()).help("Is another program listening there?"))
}

/// Fetches remote @contexts through the one outbound client, guard and all.
struct ContextFetch(Client);

impl Fetch for ContextFetch {
    fn fetch<'a>(&'a self, url: &'a str) -> waybill_context::BoxFuture<'a, Result<Fetched, String>> {
        Box::pin(async move {
            let accept = "application/ld+json, application/json;q=0.9";
            let request = OutRequest::get(url).header(waybill_http::header::ACCEPT, accept).max_response(Limits::default().bytes).template("@context");
            let answer = self.0.send(request).await.and_then(waybill_http::InResponse::success).map_err(|e| e.to_string())?;
            let control = answer.header(waybill_http::header::CACHE_CONTROL).unwrap_or_default();
            let max_age = control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok());
            Ok(Fetched { body: answer.body.to_vec(), max_age })
        })
    }
}

/// The folder of @contexts cannot be loaded.
pub(super) fn not_preloaded(error: &waybill_context::ContextError) -> Problem {
    Problem::new(ProblemCode("contexts-preload"), 422, "Contexts not loaded", error.to_string())
}
