//! The followers that feed the city's own brokers, as the routes of the configuration say.

use crate::config::Config;
use waybill_exchange::{Behalf, Follower, Hub, NewFollower};
use waybill_model::{Iri, Principal, Problem, ProblemCode, Scope, TenantId};
use waybill_ngsi_ld::BrokerSink;

/// Brings the followers that feed `connection` in line with the routes: makes those that are missing, changes those whose route says something
/// else now, and lets those rest whose route is gone, so that they are still told what is taken back. Answers the ids of those that feed it.
///
/// # Errors
/// The hub's.
pub async fn feeds(config: &Config, hub: &Hub, connection: &str) -> Result<Vec<Iri>, Problem> {
    let kind = BrokerSink::kind_of(connection);
    let operator = Scope { principal: Principal::Operator("configuration".into()), ..Scope::anonymous(TenantId::main()) };
    let there = hub.followers(&operator, kind).await?;
    let mut wanted: Vec<Iri> = Vec::new();
    for route in config.routes.iter().filter(|r| r.to.as_ref().is_some_and(|(_, name)| name == connection)) {
        let id = Iri::new(format!("urn:waybill:feed:{}", waybill_http::encode_component(&format!("{connection}:{}", route.name))))
            .map_err(|e| Problem::new(ProblemCode("bad-name"), 422, "Name not usable", e.to_string()))?;
        let scope = Scope {
            principal: Principal::Hub,
            recipient: Some(hub.governance().party.clone()),
            purpose: route.purposes.first().map(|(_, p)| p.clone()),
            ..Scope::anonymous(TenantId::main())
        };
        let spec = BrokerSink::spec(route.select.types.clone());
        let as_wanted = |f: &Follower| f.active && f.spec == spec && f.on_behalf == Behalf::of(&scope);
        match there.iter().find(|f| f.id == id) {
            Some(follower) if as_wanted(follower) => {}
            Some(_) => {
                let change = |f: &mut Follower| {
                    (f.active, f.spec, f.on_behalf) = (true, spec.clone(), Behalf::of(&scope));
                    Ok(())
                };
                hub.change_follower(&operator, kind, &id, change).await?;
            }
            None => {
                let new = NewFollower { id: Some(id.clone()), sink: kind, spec, active: true, expires_at: None, initial_load: true };
                hub.follow(&scope, new).await?;
            }
        }
        wanted.push(id);
    }
    for follower in there.iter().filter(|f| f.active && !wanted.contains(&f.id)) {
        tracing::info!(connection, follower = %follower.id, "no route feeds it any more: it is only told what is taken back");
        let rest = |f: &mut Follower| {
            f.active = false;
            Ok(())
        };
        hub.change_follower(&operator, kind, &follower.id, rest).await?;
    }
    Ok(wanted)
}
