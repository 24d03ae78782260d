//! Personal data stores: who watches them, and what is carried out in them.

use crate::config::Config;
use crate::config::model::{ConnectionKind, Pod};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;
use waybill_consent::{EvidenceKind, GrantDocument, Observed};
use waybill_context::Contexts;
use waybill_exchange::Hub;
use waybill_http::{Client, Router};
use waybill_model::{Iri, Problem, ProblemCode, TenantId};
use waybill_port::Grants;
use waybill_solid::{Account, Evidence, GrantSeen, Known, KnownGrant, PodConfig, PodConnection, PodEvent, Secret, SignIn, SolidConfig, WatchConfig};

/// Work that goes on while the hub runs.
pub type Watcher = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Connects the configured pods. Gives the routes they need and the tasks that watch them.
pub async fn connect(config: &Config, hub: &Hub, client: &Client, contexts: &Contexts, base_url: &str) -> Result<(Router, Vec<Watcher>), Problem> {
    let (mut router, mut watchers): (Router, Vec<Watcher>) = (Router::new(), Vec::new());
    for connection in &config.connections {
        let ConnectionKind::Solid { web_id, issuer, credentials, poll, pods } = &connection.kind else { continue };
        let prefix = format!("/waybill/solid/{}", waybill_http::encode_component(&connection.name));
        let public = url(&format!("{base_url}{prefix}/"))?;
        let settings = SolidConfig {
            web_id: web_id.clone(),
            issuer: url(issuer)?,
            sign_in: match credentials {
                Some((id, secret)) => SignIn::ClientCredentials { id: id.clone(), secret: Secret::new(secret.expose()) },
                None => SignIn::ClientIdDocument,
            },
            public_url: Some(public.clone()),
            watch: WatchConfig { poll_seconds: *poll, ..WatchConfig::default() },
        };
        let keys: Vec<_> = hub.keys().public_keys().cloned().collect();
        let key = hub.keys().active_of(waybill_keys::Algorithm::Es256).clone();
        let account = Arc::new(Account::new(settings, client.clone(), contexts.clone(), Some(key)));
        router = router.merge(waybill_solid::server::routes(&prefix, &public, &keys, account.webhooks()));
        for pod in pods {
            let there = Arc::new(PodConnection::new(format!("{}\u{1f}{}", connection.name, pod.web_id), pod_config(pod)?, account.clone()));
            hub.add_pod(there.clone());
            let elsewhere = elsewhere(config, pod)?;
            watchers.push(Box::pin(watch(hub.clone(), there, pod.web_id.clone(), elsewhere)));
        }
    }
    Ok((router, watchers))
}

fn url(text: &str) -> Result<Url, Problem> {
    Url::parse(text).map_err(|e| Problem::new(ProblemCode("bad-url"), 422, "Not a URL", format!("{text}: {e}")))
}

fn pod_config(pod: &Pod) -> Result<PodConfig, Problem> {
    let one = |text: &Option<String>| text.as_deref().map(url).transpose();
    Ok(PodConfig {
        web_id: pod.web_id.clone(),
        issuer: one(&pod.issuer)?,
        consents: one(&pod.consents)?,
        acknowledgements: one(&pod.acknowledgements)?,
        resources: pod.resources.iter().map(|r| url(r)).collect::<Result<_, _>>()?,
    })
}

/// What was taken from her pod before, but for what lies `elsewhere`.
async fn known(hub: &Hub, web_id: &Iri, connection: &str, elsewhere: &[Url]) -> Result<Known, Problem> {
    let grants = hub.pod_known(web_id, connection).await?.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let taken = hub.pod_resources(&TenantId::main(), web_id).await?;
    let others = |url: &Url| elsewhere.iter().any(|place| place == url || waybill_solid::lies_in(url, place));
    Ok(Known { grants, resources: taken.iter().filter_map(|text| Url::parse(text).ok()).filter(|url| !others(url)).collect() })
}

/// The resources that are looked at for the same person beside `own`: other watches know what became of them.
fn elsewhere(config: &Config, own: &Pod) -> Result<Vec<Url>, Problem> {
    let mut out = Vec::new();
    for connection in &config.connections {
        let ConnectionKind::Solid { pods, .. } = &connection.kind else { continue };
        let others = pods.iter().filter(|pod| pod.web_id == own.web_id && !std::ptr::eq(*pod, own));
        for resource in others.flat_map(|pod| &pod.resources) {
            out.push(url(resource)?);
        }
    }
    Ok(out)
}

/// Watches a pod for as long as the hub runs, going on from what was taken before.
async fn watch(hub: Hub, pod: Arc<PodConnection>, web_id: Iri, elsewhere: Vec<Url>) {
    let name = pod.connection().to_owned();
    loop {
        // A watch that knew nothing would not notice what is gone: it waits until the store can say.
        let start = match known(&hub, &web_id, &name, &elsewhere).await {
            Ok(start) => start,
            Err(problem) => {
                tracing::warn!(code = problem.code, "a pod is not watched yet: {}", problem.detail);
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let mut known = start.grants.clone();
        let (tx, mut rx) = mpsc::channel(64);
        let watched = pod.clone();
        let watching = tokio::spawn(async move { watched.run(start, tx).await });
        while let Some(event) = rx.recv().await {
            let changed = remember(&mut known, &event);
            // What could not be stored is told again by the next watch: it is not noted as known.
            match take(&hub, &web_id, event).await {
                Err(problem) if problem.status >= 500 => {
                    tracing::warn!(code = problem.code, "the pod is watched anew: {}", problem.detail);
                    break;
                }
                Err(problem) => tracing::warn!(code = problem.code, "what a pod holds is not taken: {}", problem.detail),
                Ok(()) => {}
            }
            if changed {
                let text = serde_json::to_vec(&known).unwrap_or_default();
                if let Err(problem) = hub.note_pod_known(&TenantId::main(), &web_id, &name, text).await {
                    tracing::warn!(code = problem.code, "{}", problem.detail);
                }
            }
        }
        watching.abort();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn remember(known: &mut Vec<KnownGrant>, event: &PodEvent) -> bool {
    match event {
        PodEvent::GrantSeen(seen) => {
            known.retain(|k| k.url != seen.url);
            known.push(KnownGrant { url: seen.url.clone(), sha256: seen.sha256, hers: seen.hers });
            true
        }
        PodEvent::GrantGone(gone) => {
            known.retain(|k| k.url != gone.url);
            true
        }
        _ => false,
    }
}

/// What the pod showed goes to the consent room or the store; evidence first.
async fn take(hub: &Hub, web_id: &Iri, event: PodEvent) -> Result<(), Problem> {
    let tenant = TenantId::main();
    match event {
        PodEvent::GrantSeen(seen) => match grant(hub, &tenant, &seen).await {
            Err(problem) if says_nothing(&problem) => close(hub, &tenant, &seen, problem).await,
            other => other,
        },
        PodEvent::GrantGone(gone) => {
            if let Some(document) = gone.document.as_deref().filter(|document| document.hers) {
                match grant(hub, &tenant, document).await {
                    // Her no counts in whatever form she says it, if only as that her yes is gone.
                    Err(problem) if problem.status < 500 => tracing::info!(code = problem.code, "a withdrawal is not taken in her words: {}", problem.detail),
                    other => return other,
                }
            }
            hub.grant_document_gone(&tenant, &iri(&gone.url)?).await.map(drop)
        }
        PodEvent::EntitySeen { url, entity, losses } => {
            if !losses.is_empty() {
                tracing::info!(losses = losses.len(), "an entity came without all of its resource");
            }
            hub.take_from_pod(&tenant, web_id, url.as_str(), &entity).await
        }
        PodEvent::EntityGone { url } => hub.gone_from_pod(url.as_str()).await,
        _ => Ok(()),
    }
}

/// Whether a document was refused for what it is. An older copy of what is known, and what is from before an erasure, are refused for
/// what else is known: those say nothing about what was taken before.
fn says_nothing(problem: &Problem) -> bool {
    problem.status < 500 && !matches!(problem.code.as_str(), "consent-version-old" | "subject-erased")
}

/// What stands where her grant stood cannot be read as one, or not as hers: it does not say yes any more. `why` comes back when nothing
/// was granted there.
async fn close(hub: &Hub, tenant: &TenantId, seen: &GrantSeen, why: Problem) -> Result<(), Problem> {
    match hub.grant_document_gone(tenant, &iri(&seen.url)?).await {
        Ok(Some(_)) => {
            tracing::warn!(code = why.code, "a grant is closed, since what stands in its place is not taken: {}", why.detail);
            Ok(())
        }
        Err(problem) if problem.status >= 500 => Err(problem),
        Ok(None) | Err(_) => Err(why),
    }
}

async fn grant(hub: &Hub, tenant: &TenantId, seen: &GrantSeen) -> Result<(), Problem> {
    if !seen.hers {
        return Err(Problem::new(ProblemCode("grant-not-hers"), 422, "Not shown to be hers", "neither a signature nor the access rules show that only she could write it"));
    }
    let document = GrantDocument::parse(seen.content())?;
    let observed = Observed {
        source: iri(&seen.url)?,
        etag: seen.etag.clone(),
        hash: waybill_keys::hex(&seen.sha256),
        author: seen.subject.clone(),
        kind: if matches!(seen.evidence, Evidence::Signed { .. }) { EvidenceKind::Signed } else { EvidenceKind::AccessRules },
        access_rules: seen.evidence.rules_digest(),
        received: seen.seen_at,
    };
    hub.take_grant_document(tenant, &document, &observed).await.map(drop)
}

/// The address as a name. What is wrong with it is told without it: it is logged, and names a person.
fn iri(url: &Url) -> Result<Iri, Problem> {
    Iri::new(url.as_str()).map_err(|e| Problem::new(ProblemCode("bad-url"), 422, "Not an IRI", e.reason))
}
