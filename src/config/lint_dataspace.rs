//! What must hold between the tables of a dataspace.

use super::dataspace::{Dataspace, IdentityKind};
use super::finding::{Finding, Findings};
use super::lint::{broad, list};
use super::model::Config;
use super::source::Place;
use std::collections::BTreeSet;
use waybill_policy::Purposes;

pub(super) fn check(config: &Config, purposes: &Purposes, findings: &Findings) {
    let Some(space) = &config.dataspace else { return };
    let loopback = config.hub.listen.ip().is_loopback();
    if space.identity == IdentityKind::Mock && !loopback {
        findings.add(
            Finding::error("identity-mock", space.place, "with this identity everybody is whoever they say they are, and the hub listens beyond this machine")
                .help("Take `static` or `oauth2`, or listen on 127.0.0.1 for a test."),
        );
    }
    if space.conformance.is_some() && !loopback {
        findings.add(
            Finding::error("conformance-exposed", space.place, "a conformance run takes orders from whoever calls, and the hub listens beyond this machine")
                .help("Take out [dataspace.conformance], or listen on 127.0.0.1 for a test."),
        );
    }
    participants(config, space, findings);
    offers(config, space, purposes, findings);
    imports(config, space, purposes, findings);
}

fn imports(config: &Config, space: &Dataspace, purposes: &Purposes, findings: &Findings) {
    let mut seen = BTreeSet::new();
    for import in &space.imports {
        let (place, name) = &import.participant;
        match space.participants.iter().find(|p| p.name == *name) {
            None => unknown_participant(space, *place, name, findings),
            Some(who) if who.url.is_none() => findings.add(
                Finding::error("import-without-url", *place, format!("import `{}` pulls from participant `{name}`, and nothing says where its connector is", import.name))
                    .help("Add `url` to the participant."),
            ),
            Some(_) => {}
        }
        if !seen.insert((name, &import.dataset)) {
            findings.add(
                Finding::error("duplicate-import", import.place, format!("the dataset `{}` is imported twice from `{name}`", import.dataset))
                    .help("Two imports would each take away what the other brings. Import it once, for the purpose that it is used for."),
            );
        }
        broad(import.purpose.as_slice(), purposes, findings);
        let (place, name) = &import.route;
        let Some(route) = config.routes.iter().find(|r| r.name == *name) else {
            unknown_route(config, *place, name, findings);
            continue;
        };
        if route.select.types.is_empty() {
            findings.add(
                Finding::error("import-without-types", import.place, format!("the route of import `{}` names no types, so a provider could bring in anything", import.name))
                    .help("Add `types` to the route's [route.select]."),
            );
        }
        if route.from.is_some() {
            findings.add(
                Finding::error("import-into-connection", import.place, format!("route `{name}` has a source already"))
                    .help("Take out the route's `from`, or make a route of its own for the import."),
            );
        }
    }
}

fn unknown_participant(space: &Dataspace, place: Place, name: &str, findings: &Findings) {
    findings.add(
        Finding::error("unknown-participant", place, format!("there is no participant called `{name}`"))
            .help(list("Participants", space.participants.iter().map(|p| p.name.as_str()))),
    );
}

fn unknown_route(config: &Config, place: Place, name: &str, findings: &Findings) {
    findings.add(Finding::error("unknown-route", place, format!("there is no route called `{name}`")).help(list("Routes", config.routes.iter().map(|r| r.name.as_str()))));
}

fn participants(config: &Config, space: &Dataspace, findings: &Findings) {
    let mut seen = BTreeSet::new();
    for who in &space.participants {
        if who.id == space.participant || !seen.insert(who.id.as_str()) {
            findings.add(Finding::error("duplicate-participant", who.place, format!("the participant identifier `{}` is taken", who.id)));
        }
        if who.crawl && who.url.is_none() {
            findings.add(
                Finding::error("crawl-without-url", who.place, format!("the catalogue of participant `{}` is to be fetched, and nothing says where its connector is", who.name))
                    .help("Add `url`, or take out `crawl`."),
            );
        }
        let known = match space.identity {
            IdentityKind::Static => who.token.is_some(),
            IdentityKind::OAuth2 => who.client.is_some(),
            IdentityKind::Mock => true,
        };
        if !known && space.conformance.is_none() {
            findings.add(
                Finding::error("participant-without-credential", who.place, format!("participant `{}` cannot show who it is", who.name))
                    .help("With the identity `static` it needs `token`, with `oauth2` it needs `issuer` and `client_id`."),
            );
        }
        if let Some((issuer, _)) = &who.client
            && !config.auth.issuers.iter().any(|i| i.url.trim_end_matches('/') == issuer.trim_end_matches('/'))
        {
            findings.add(Finding::error("unknown-issuer", who.place, format!("`{issuer}` is not an issuer in [auth]")));
        }
    }
}

fn offers(config: &Config, space: &Dataspace, purposes: &Purposes, findings: &Findings) {
    let mut seen = BTreeSet::new();
    for offer in &space.offers {
        if !seen.insert(offer.dataset.as_str()) {
            findings.add(Finding::error("duplicate-dataset", offer.place, format!("the dataset `{}` is offered twice", offer.dataset)));
        }
        for (place, name) in &offer.participants {
            if !space.participants.iter().any(|p| p.name == *name) {
                unknown_participant(space, *place, name, findings);
            }
        }
        if offer.script.is_some() && space.conformance.is_none() {
            findings.add(Finding::error("script-without-conformance", offer.place, format!("offer `{}` has a script and there is no conformance run", offer.name)));
        }
        broad(&offer.purposes, purposes, findings);
        let Some((place, name)) = &offer.route else { continue };
        let Some(route) = config.routes.iter().find(|r| r.name == *name) else {
            unknown_route(config, *place, name, findings);
            continue;
        };
        if route.personal && offer.purposes.is_empty() {
            findings.add(
                Finding::error("offer-without-purpose", offer.place, format!("offer `{}` is of data about persons and names no purpose", offer.name))
                    .help("Consent is for a purpose, so the agreement has to name one: add `purposes`."),
            );
        }
        if route.select.types.is_empty() {
            findings.add(
                Finding::error("offer-without-types", offer.place, format!("the route of offer `{}` names no types, so nobody could tell what is in the dataset", offer.name))
                    .help("Add `types` to the route's [route.select]."),
            );
        }
    }
}
