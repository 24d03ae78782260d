//! What must hold between the sections: names that lead somewhere, a subject and a basis for personal data, roles that are kept.

use super::finding::{Finding, Findings};
use super::model::{ActsFor, Basis, Config, ConnectionKind, Credential, HolderClass, Role, Route, SubjectBy, Transform};
use std::collections::BTreeSet;
use waybill_model::Iri;
use waybill_policy::{Purposes, WAYBILL_PURPOSE};

/// Purposes that are ordinarily a city's public task: whoever must do something anyway cannot freely be refused.
const PUBLIC_TASKS: &[&str] = &[
    "GridOperation",
    "HeatPlanning",
    "EnergyPovertySupport",
    "TrafficManagement",
    "SignalControl",
    "PublicTransportPlanning",
    "RoadMaintenance",
    "WaterSupply",
    "WasteCollection",
    "EmissionInventory",
    "EmergencyResponse",
    "DisasterWarning",
    "EvacuationPlanning",
    "FireSafety",
    "HealthProtection",
    "SocialBenefits",
    "UrbanPlanning",
    "HousingPlanning",
    "SchoolPlanning",
    "PermitHandling",
    "LocalTax",
    "OfficialStatistics",
    "RightsHandling",
];

/// Checks a whole configuration.
pub fn check(config: &Config, findings: &Findings) {
    let purposes = Purposes::bundled();
    for route in &config.routes {
        check_route(config, route, &purposes, findings);
    }
    check_roles(config, findings);
    check_agreements(config, &purposes, findings);
    check_clients(config, findings);
    check_reach(config, findings);
    check_use(config, findings);
    super::lint_dataspace::check(config, &purposes, findings);
}

fn check_route(config: &Config, route: &Route, purposes: &Purposes, findings: &Findings) {
    let name = &route.name;
    for (place, connection) in route.from.iter().chain(&route.to) {
        if !config.connections.iter().any(|c| c.name == *connection) {
            findings.add(
                Finding::error("unknown-connection", *place, format!("there is no connection called `{connection}`"))
                    .help(list("Connections", config.connections.iter().map(|c| c.name.as_str()))),
            );
        }
    }
    check_kept(route, findings);
    if !route.personal {
        if let Some(subject) = &route.subject {
            findings.add(
                Finding::error("open-with-subject", subject.place, format!("route `{name}` says whose its data is, and that it is open"))
                    .help("Data about a person is personal. Take out `subject`, or the classification."),
            );
        }
        return;
    }
    if route.subject.is_none() {
        findings.add(
            Finding::error("route-without-subject", route.place, format!("route `{name}` carries personal data and does not say whose"))
                .help("Add a [route.subject] table, or `classification = \"open\"` when the data is about no person."),
        );
    }
    let Some((basis_place, basis)) = route.basis else {
        findings.add(
            Finding::error("route-without-basis", route.place, format!("route `{name}` carries personal data on no lawful basis"))
                .help(format!("Add `basis`: one of {}.", Basis::WORDS.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(", "))),
        );
        return;
    };
    broad(&route.purposes, purposes, findings);
    if basis == Basis::Consent {
        leans_on_consent(config, route, findings);
    } else {
        for (missing, key) in [(route.purposes.is_empty(), "purposes"), (route.recipients.is_empty(), "recipients"), (route.attributes.is_empty(), "attribute")] {
            if missing {
                findings.add(
                    Finding::error("basis-without-terms", basis_place, format!("route `{name}` needs `{key}`: on this basis nobody grants, so the route must say it"))
                        .help("What is released on another basis than consent is exactly what the route names, to whom and for what it names."),
                );
            }
        }
        if route.law.is_none() && matches!(basis, Basis::LegalObligation | Basis::PublicTask) {
            findings.add(
                Finding::warning("basis-without-law", basis_place, format!("route `{name}` names no law"))
                    .help("Add `law` with the provision: it is shown to the person under \"used by law\"."),
            );
        }
    }
    if matches!(route.subject.as_ref().map(|s| &s.by), Some(SubjectBy::Pod)) {
        let from_pod = route.from.as_ref().is_some_and(|(_, n)| {
            config.connections.iter().any(|c| c.name == *n && matches!(c.kind, ConnectionKind::Solid { .. }))
        });
        if !from_pod {
            findings.add(
                Finding::error("subject-rule", route.place, format!("route `{name}` takes its subject from the pod and does not come from one"))
                    .help("Set `from` to a connection of kind `solid`, or name another way to find the subject."),
            );
        }
    }
    for rule in &route.attributes {
        if route.attributes.iter().filter(|r| r.name == rule.name).count() > 1 {
            findings.add(Finding::error("duplicate-name", rule.place, format!("route `{name}` has two rules for {}", rule.name)));
        }
    }
    if !route.attributes.is_empty() && route.attributes.iter().all(|r| r.transform == Transform::Drop) {
        findings.add(Finding::warning("route-without-effect", route.place, format!("route `{name}` drops everything it names")));
    }
}

/// What a route says and the hub would not keep is refused: a route that reached further than it is written would open what it should not.
fn check_kept(route: &Route, findings: &Findings) {
    let narrowed = !route.select.ids.is_empty() || route.select.id_pattern.is_some();
    let opens = !route.personal || route.basis.as_ref().is_some_and(|(_, basis)| *basis != Basis::Consent);
    if narrowed && opens {
        let what = format!("route `{}` opens data by itself, and such a route selects by type only", route.name);
        findings.add(Finding::error("select-not-kept", route.place, what).help("Leave `ids` and `id_pattern` out, or give what it should reach a type of its own."));
    }
}

pub(super) fn broad(list: &[(super::source::Place, Iri)], purposes: &Purposes, findings: &Findings) {
    for (place, purpose) in list {
        if purposes.is_top(purpose.as_str()) {
            findings.add(
                Finding::error("purpose-too-broad", *place, format!("{purpose} names no use that anybody could picture"))
                    .help("Name what is done with the data; `waybill explain purposes` lists the choices."),
            );
        }
    }
}

/// A person cannot freely refuse what an authority must do anyway.
fn leans_on_consent(config: &Config, route: &Route, findings: &Findings) {
    let is_task = |purpose: &Iri| purpose.as_str().strip_prefix(WAYBILL_PURPOSE).is_some_and(|p| PUBLIC_TASKS.contains(&p));
    let same_data = |other: &&Route| {
        other.name != route.name
            && matches!(other.basis, Some((_, Basis::PublicTask | Basis::LegalObligation)))
            && other.select.types.iter().any(|t| route.select.types.contains(t))
            && other.purposes.iter().any(|(_, p)| route.purposes.iter().any(|(_, own)| own == p))
    };
    let advice = "Where the city must or may act by law, that law is the basis: a consent that cannot be refused without consequence is none \
                  (EDPB Guidelines 05/2020, section 3.1.1). Keep consent for what a person may freely decline.";
    if let Some((place, purpose)) = route.purposes.iter().find(|(_, p)| is_task(p)) {
        findings.add(
            Finding::warning("consent-for-public-task", *place, format!("route `{}` leans on consent for {purpose}, ordinarily a public task", route.name))
                .help(advice),
        );
    } else if let Some(other) = config.routes.iter().find(same_data) {
        let place = route.basis.map_or(route.place, |(place, _)| place);
        let text = format!("route `{}` asks consent for what route `{}` does by law", route.name, other.name);
        findings.add(Finding::warning("consent-for-public-task", place, text).help(advice));
    }
}

/// An intermediary brings others together and uses nothing itself.
fn check_roles(config: &Config, findings: &Findings) {
    let Some(own) = &config.hub.party else { return };
    let uses_itself = |route: &Route| route.recipients.iter().any(|(_, r)| r == own);
    for route in config.routes.iter().filter(|r| r.personal) {
        let (place, role) = route.role.unwrap_or((config.hub.place, config.hub.role));
        if role == Role::DataIntermediary && uses_itself(route) {
            findings.add(
                Finding::error("intermediary-uses-data", place, format!("route `{}` gives the data to {own}, which is its intermediary", route.name))
                    .help("An intermediary may not use the data it brings together (Data Governance Act, Article 12(a)). Take it off `recipients`, or change the role."),
            );
        }
    }
    if config.hub.role == Role::DataIntermediary {
        for agreement in config.agreements.iter().filter(|a| a.recipient.as_ref() == Some(own) && !a.clients.values().all(|(_, p)| p.is_empty())) {
            findings.add(
                Finding::error("intermediary-uses-data", agreement.place, format!("agreement `{}` makes the intermediary a user", agreement.name))
                    .help("An intermediary may not use the data it brings together (Data Governance Act, Article 12(a))."),
            );
        }
    }
}

fn check_agreements(config: &Config, purposes: &Purposes, findings: &Findings) {
    for agreement in &config.agreements {
        if agreement.holder == HolderClass::Expiring {
            let what = format!("agreement `{}` counts on its recipient hiding what has expired, and the hub sends no `expiresAt` for that yet", agreement.name);
            findings.add(Finding::error("holder-not-available", agreement.place, what).help("Use `holder = \"plain\"`: a plain holder is told of withdrawals and shown as not bounded."));
        }
        if agreement.tags_in_link {
            let what = format!("agreement `{}` accepts tags in `Link` headers, which the hub does not send", agreement.name);
            findings.add(Finding::error("tags-in-link-not-available", agreement.place, what).help("Leave `tags_in_link` out: every form that the hub sends has room for tags."));
        }
        let name = &agreement.name;
        if config.agreements.iter().filter(|a| a.recipient == agreement.recipient).count() > 1 {
            findings.add(
                Finding::error("duplicate-agreement", agreement.place, format!("agreement `{name}` is one of several with the same recipient"))
                    .help("Put them together: a recipient has one agreement."),
            );
        }
        for (client, (place, list)) in &agreement.clients {
            broad(list, purposes, findings);
            match config.clients.iter().find(|c| c.name == *client) {
                None => findings.add(
                    Finding::error("unknown-client", *place, format!("there is no client called `{client}`"))
                        .help(list_of_clients(config)),
                ),
                Some(known) => {
                    if let (ActsFor::Party(party), Some(recipient)) = (&known.acts_for, &agreement.recipient)
                        && party != recipient
                    {
                        findings.add(
                            Finding::error("client-of-another", *place, format!("client `{client}` acts for {party}, not for {recipient}"))
                                .help("A client gets data for the party it acts for, and no other."),
                        );
                    }
                }
            }
        }
        if agreement.recipient.is_none() && !agreement.clients.is_empty() {
            findings.add(Finding::error(
                "anybody-with-purposes",
                agreement.place,
                format!("agreement `{name}` is with anybody, who gets open data and has no purpose"),
            ));
        }
        let is_hub = agreement.recipient.as_ref().is_some_and(|r| config.peers.iter().any(|p| p.party == *r));
        if agreement.holder == HolderClass::Enforcing && !is_hub {
            findings.add(
                Finding::error("holder-class", agreement.place, format!("agreement `{name}` calls its recipient enforcing, but it has no hub here"))
                    .help("Add a [[peer]] for the recipient, or take `plain`."),
            );
        }
    }
    for (place, recipient) in config.routes.iter().flat_map(|r| r.recipients.iter().chain(&r.distribute_to)) {
        if !config.agreements.iter().any(|a| a.recipient.as_ref() == Some(recipient)) {
            findings.add(
                Finding::warning("recipient-without-agreement", *place, format!("{recipient} has no agreement here: nothing reaches it"))
                    .help("Add an [[agreement]] with this recipient."),
            );
        }
    }
}

fn check_clients(config: &Config, findings: &Findings) {
    for client in &config.clients {
        if let Some(Credential::Issuer { issuer, .. }) = &client.credential
            && !config.auth.issuers.iter().any(|i| i.url == *issuer)
        {
            findings.add(
                Finding::error("unknown-issuer", client.place, format!("client `{}` has tokens of {issuer}, which nobody believes here", client.name))
                    .help("Add an [[auth.issuer]] with this `url` and the `audiences` of this hub."),
            );
        }
        if let (ActsFor::Persons(_), Some(Credential::Token(_))) = (&client.acts_for, &client.credential) {
            findings.add(Finding::error(
                "person-by-static-token",
                client.place,
                format!("client `{}` is for persons who sign in, and has one token for all of them", client.name),
            ));
        }
        if let ActsFor::Party(party) = &client.acts_for
            && !config.agreements.iter().any(|a| a.clients.contains_key(&client.name))
        {
            findings.add(
                Finding::warning("client-without-agreement", client.place, format!("client `{}` of {party} stands in no agreement", client.name))
                    .help("Name it under `clients` of an agreement, with its purposes."),
            );
        }
    }
}

/// Who can reach the hub, and under which address.
fn check_reach(config: &Config, findings: &Findings) {
    for connection in &config.connections {
        if let ConnectionKind::NgsiLd { holder, .. } = &connection.kind
            && *holder == HolderClass::Expiring
        {
            let what = format!("connection `{}` counts on its broker hiding what has expired, and the hub sends no `expiresAt` for that yet", connection.name);
            findings.add(Finding::error("holder-not-available", connection.place, what).help("Use `holder = \"plain\"`: the hub then deletes there and reads back."));
        }
    }
    for (at, issuer) in config.auth.issuers.iter().enumerate() {
        if config.auth.issuers[..at].iter().any(|other| other.url.trim_end_matches('/') == issuer.url.trim_end_matches('/')) {
            let what = format!("the issuer `{}` stands twice", issuer.url);
            findings.add(Finding::error("duplicate-issuer", issuer.place, what).help("Put the audiences of both together."));
        }
    }
    let hub = &config.hub;
    if !hub.listen.ip().is_loopback() && hub.tls.is_none() && hub.trusted_proxies.is_empty() {
        findings.add(
            Finding::warning("open-listener", hub.place, format!("{} takes plain HTTP from the network", hub.listen))
                .help("Add [hub.tls], or `trusted_proxies` when a proxy ends TLS, or listen on loopback."),
        );
    }
    let solid = config.connections.iter().any(|c| matches!(c.kind, ConnectionKind::Solid { .. }));
    if hub.base_url.is_none() && (solid || !config.peers.is_empty()) {
        findings.add(
            Finding::error("base-url-missing", hub.place, "other hubs and pods need an address for this one")
                .help("Add `base_url` to [hub]: the address by which others reach it."),
        );
    }
    for peer in config.peers.iter().filter(|p| Some(&p.party) == hub.party.as_ref() || Some(&p.url) == hub.base_url.as_ref()) {
        findings.add(Finding::error("peer-is-self", peer.place, format!("peer `{}` is this hub", peer.name)));
    }
}

/// What stands there and does nothing.
fn check_use(config: &Config, findings: &Findings) {
    let used: BTreeSet<&str> = config.routes.iter().flat_map(|r| r.from.iter().chain(&r.to)).map(|(_, n)| n.as_str()).collect();
    for connection in &config.connections {
        let has_pods = matches!(&connection.kind, ConnectionKind::Solid { pods, .. } if !pods.is_empty());
        if !used.contains(connection.name.as_str()) && !has_pods {
            findings.add(
                Finding::warning("unused", connection.place, format!("no route uses connection `{}`", connection.name))
                    .help("Name it in a route's `from` or `to`, or take it out."),
            );
        }
    }
    for peer in &config.peers {
        if !config.agreements.iter().any(|a| a.recipient.as_ref() == Some(&peer.party)) {
            findings.add(
                Finding::warning("unused", peer.place, format!("peer `{}` is recipient of no agreement", peer.name))
                    .help("Add an [[agreement]] with its party, or take it out."),
            );
        }
    }
}

fn list_of_clients(config: &Config) -> String {
    list("Clients", config.clients.iter().map(|c| c.name.as_str()))
}

pub(super) fn list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    if all.is_empty() { format!("There are no {}.", what.to_lowercase()) } else { format!("{what}: {}.", all.join(", ")) }
}
