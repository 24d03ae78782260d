//! The connector, put together from the configuration.

use crate::config::Config;
use crate::config::dataspace::{Dataspace, IdentityKind};
use std::sync::Arc;
use waybill_context::Contexts;
use waybill_dsp::{
    About, Conformance, Connector, ControlPlane, DataRoute, DspConfig, Identity, Import, Limits, MockIdentity, OAuthIdentity, Offering, Participant, PulledPage, ReadPage, Role, Seed, StaticIdentity,
    Strategy, Terms,
};
use waybill_exchange::Hub;
use waybill_http::{Client, InResponse, Router, TokenVerifier};
use waybill_model::{DateTime, Problem, ProblemCode};
use waybill_port::BoxFuture;

/// The connector and its routes; nothing without a `[dataspace]`.
///
/// # Errors
/// When the configuration would leave the door open.
pub fn connect(config: &Config, hub: &Hub, client: &Client, contexts: &Contexts, base_url: &str, verifier: Option<Arc<TokenVerifier>>) -> Result<Option<(Connector, Router)>, Problem> {
    let Some(space) = &config.dataspace else { return Ok(None) };
    let (settings, identity) = settings(config, space, base_url, verifier)?;
    let connector = Connector::new(hub.clone(), client.clone(), settings, identity, |feed| {
        waybill_ngsi_ld::NotifySink::feed(&feed.endpoint, feed.authorization.as_deref(), &feed.types)
    });
    imports(config, &connector, contexts);
    if let Some(folder) = &config.hub.preload_contexts {
        connector.preload_contexts(folder).map_err(|e| super::assemble::not_preloaded(&e))?;
    }
    let mut router = waybill_dsp::routes(&connector)
        .merge(waybill_dsp::import_routes(&connector))
        .merge(waybill_dsp::management_routes(&connector))
        .merge(waybill_dsp::federated_routes(&connector))
        .merge(waybill_dsp::open_data_routes(&connector));
    if connector.config().conformance.is_some() {
        router = router.merge(waybill_dsp::conformance_routes(&connector));
    }
    // Closed unless somebody is named who may signal.
    if connector.config().control_plane.is_some() {
        router = router.merge(waybill_dsp::data_plane_routes(&connector));
    }
    Ok(Some((connector, router)))
}

/// Names to the connector what it pulls from others, and reads for it what comes.
pub fn imports(config: &Config, connector: &Connector, contexts: &Contexts) {
    let found = config.dataspace.iter().flat_map(|space| space.imports.iter().map(move |i| (space, i)));
    let list = found.filter_map(|(space, import)| {
        let route = config.routes.iter().find(|r| r.name == import.route.1)?;
        Some(Import {
            name: import.name.clone(),
            participant: space.participants.iter().find(|p| p.name == import.participant.1)?.id.clone(),
            dataset: import.dataset.clone(),
            purpose: import.purpose.as_ref()?.1.clone(),
            types: route.select.types.clone(),
            ids: route.select.ids.clone(),
            every: i64::try_from(import.every).unwrap_or(60),
            origin: import.origin.clone(),
            strategy: if import.manual { Strategy::Manual } else { Strategy::Automatic },
        })
    });
    connector.set_imports(list.collect(), Arc::new(Entities(contexts.clone())));
}

/// Pages as arrays of NGSI-LD entities.
struct Entities(Contexts);

impl ReadPage for Entities {
    fn read<'a>(&'a self, answer: &'a InResponse, now: DateTime) -> BoxFuture<'a, Result<PulledPage, String>> {
        Box::pin(async move {
            let page = waybill_ngsi_ld::Page::read(&self.0, answer, "the provider", now).await.map_err(|e| e.detail)?;
            Ok(PulledPage { docs: page.docs, unreadable: page.unreadable.len() })
        })
    }
}

/// What the connector is to know.
///
/// # Errors
/// As [`connect`].
pub fn settings(config: &Config, space: &Dataspace, base_url: &str, verifier: Option<Arc<TokenVerifier>>) -> Result<(DspConfig, Arc<dyn Identity>), Problem> {
    let loopback = config.hub.listen.ip().is_loopback();
    // Lint says so too; this holds for a configuration that nobody linted.
    if !loopback && (space.identity == IdentityKind::Mock || space.conformance.is_some()) {
        return Err(Problem::new(ProblemCode("identity-mock"), 422, "The connector does not start", "the mock identity and conformance runs are for loopback only"));
    }
    let identity: Arc<dyn Identity> = match (space.identity, verifier) {
        (IdentityKind::Mock, _) => Arc::new(MockIdentity),
        (IdentityKind::OAuth2, Some(verifier)) => {
            let clients = space.participants.iter().filter_map(|p| p.client.clone().map(|(issuer, client)| (issuer, client, p.id.clone())));
            Arc::new(OAuthIdentity::new(verifier, clients.collect()))
        }
        _ => Arc::new(StaticIdentity::new(space.participants.iter().filter_map(|p| p.token.as_ref().map(|t| (p.id.clone(), t.expose().to_owned()))))),
    };
    let participants = space.participants.iter().map(|p| {
        Arc::new(Participant {
            id: p.id.clone(),
            party: p.party.clone(),
            address: p.url.as_deref().map(|u| u.trim_end_matches('/').to_owned()),
            auth: super::assemble::auth(&p.sign_in),
            enforcing: p.enforcing,
            hub: p.hub.as_deref().map(|u| u.trim_end_matches('/').to_owned()),
            crawl: p.crawl,
        })
    });
    let routes: Vec<DataRoute> = config
        .routes
        .iter()
        .map(|route| DataRoute {
            name: route.name.clone(),
            types: route.select.types.clone(),
            ids: route.select.ids.clone(),
            attributes: route.attributes.iter().filter(|a| a.transform != crate::config::model::Transform::Drop).map(|a| a.name.clone()).collect(),
            personal: route.personal,
        })
        .collect();
    let offers = space.offers.iter().filter_map(|offer| {
        let route = routes.iter().find(|r| Some(&r.name) == offer.route.as_ref().map(|(_, n)| n))?;
        let to = offer.participants.iter().filter_map(|(_, name)| space.participants.iter().find(|p| p.name == *name)).map(|p| p.id.clone()).collect();
        Some(Arc::new(Offering {
            dataset: offer.dataset.clone(),
            title: offer.title.clone(),
            description: offer.description.clone(),
            legislation: offer.legislation.clone(),
            types: route.types.clone(),
            ids: route.ids.clone(),
            attributes: route.attributes.clone(),
            personal: route.personal,
            purposes: offer.purposes.iter().map(|(_, p)| p.clone()).collect(),
            to,
            formats: offer.formats.clone(),
            until: offer.until,
            needs_enforcing: offer.needs_enforcing,
            strategy: match (&offer.script, offer.manual) {
                (Some(script), _) => Strategy::Scripted(script.clone()),
                (None, true) => Strategy::Manual,
                (None, false) => Strategy::Automatic,
            },
            offer_id: offer.offer_id.clone(),
            route: Some(route.name.clone()),
            terms: Terms::default(),
        }))
    });
    let offers = offers.collect();
    let conformance = space.conformance.as_ref().map(|run| Conformance {
        negotiations: run.negotiations.clone(),
        transfers: run.transfers.clone(),
        flows: run.flows.clone(),
        agreements: run
            .agreements
            .iter()
            .map(|(id, dataset, participant, consumer)| Seed {
                id: id.clone(),
                dataset: dataset.clone(),
                participant: participant.clone(),
                role: if *consumer { Role::Consumer } else { Role::Provider },
            })
            .collect(),
        delay_ms: i64::try_from(run.delay_ms).unwrap_or(500),
    });
    let control_plane = space.control_plane.as_ref().map(|plane| ControlPlane {
        url: plane.url.trim_end_matches('/').to_owned(),
        token: waybill_keys::sha256(plane.token.expose().as_bytes()),
        auth: super::assemble::auth(&plane.sign_in),
        register: plane.register,
    });
    let limits = Limits {
        token_seconds: i64::try_from(space.token).unwrap_or(300),
        give_up_seconds: i64::try_from(space.give_up).unwrap_or(3600),
        crawl_seconds: i64::try_from(space.crawl).unwrap_or(600),
        ..Limits::default()
    };
    let settings = DspConfig {
        participant: space.participant.clone(),
        base_url: base_url.to_owned(),
        participants: participants.collect(),
        offers,
        routes,
        conformance,
        control_plane: control_plane.map(Arc::new),
        limits,
        about: About {
            party: config.hub.party.clone(),
            name: config.hub.name.clone(),
            contact: config.hub.contact.clone(),
            title: space.title.clone(),
            description: space.description.clone(),
            legislation: space.legislation.clone(),
            open_data: space.open_data,
        },
    };
    Ok((settings, identity))
}
