//! Transfers in which the hub sends: a feed of changes through a follower, and a push of everything once.

use crate::config::Offering;
use crate::connector::Connector;
use crate::fault::Fault;
use crate::process::Transfer;
use crate::vocab::Format;
use waybill_exchange::NewFollower;
use waybill_model::{Iri, Scope};

/// What a feed needs to become a follower. The program knows which sink delivers it.
#[derive(Debug, Clone)]
pub struct Feed {
    /// Where to send to.
    pub endpoint: String,
    /// What the consumer wants to be shown: the value of `Authorization`.
    pub authorization: Option<String>,
    /// The types of the dataset's entities.
    pub types: Vec<Iri>,
}

/// Makes of a feed the sink's kind and its specification.
pub type FeedMaker = dyn Fn(&Feed) -> (&'static str, String) + Send + Sync;

impl Connector {
    /// Keeps what a started transfer sends on its way. Answers whether anything was changed.
    pub(crate) async fn keep_flowing(&self, transfer: &Transfer, offering: &Offering, scope: &Scope) -> Result<bool, Fault> {
        let Some(form) = transfer.form().filter(|f| f.is_sent()) else { return Ok(false) };
        let Some(feed) = Self::feed(transfer, offering) else { return Ok(false) };
        let Some(id) = feed_id(transfer) else { return Ok(false) };
        let (sink, spec) = (self.0.feeds)(&feed);
        let there = self.hub().followers(scope, sink).await?;
        match there.iter().find(|f| f.id == id) {
            Some(follower) if !follower.active => {
                let wake = |f: &mut waybill_exchange::Follower| {
                    f.active = true;
                    Ok(())
                };
                self.hub().change_follower(scope, sink, &id, wake).await?;
                Ok(true)
            }
            // All that there was is sent once its first load is through; a push is done then.
            Some(_) if form == Format::Push && self.hub().is_idle(scope, &id).await? => {
                self.rest_feed(transfer).await?;
                self.act_in_transfer(&transfer.talk.id, "complete", None).await?;
                Ok(true)
            }
            Some(_) => Ok(false),
            None => {
                let new = NewFollower { id: Some(id), sink, spec, active: true, expires_at: None, initial_load: true };
                match self.hub().follow(scope, new).await {
                    Ok(_) => Ok(true),
                    Err(problem) if problem.code == "already-exists" => Ok(false),
                    Err(problem) => Err(problem.into()),
                }
            }
        }
    }

    /// Lets what a transfer sends rest: from now on its address is only told what is taken back, as long as it holds anything.
    pub(crate) async fn rest_feed(&self, transfer: &Transfer) -> Result<(), Fault> {
        let (Some(_), Some(id)) = (transfer.form().filter(|f| f.is_sent()), feed_id(transfer)) else { return Ok(()) };
        let Some(agreed) = self.agreement(&transfer.agreement).await? else { return Ok(()) };
        let Some(scope) = self.scope_of(&agreed) else { return Ok(()) };
        let Some(address) = &transfer.address else { return Ok(()) };
        let (sink, _) = (self.0.feeds)(&Feed { endpoint: address.address().unwrap_or_default().to_owned(), authorization: None, types: Vec::new() });
        let there = self.hub().followers(&scope, sink).await?;
        if there.iter().any(|f| f.id == id && f.active) {
            let rest = |f: &mut waybill_exchange::Follower| {
                f.active = false;
                Ok(())
            };
            self.hub().change_follower(&scope, sink, &id, rest).await?;
        }
        Ok(())
    }

    fn feed(transfer: &Transfer, offering: &Offering) -> Option<Feed> {
        let address = transfer.address.as_ref()?;
        let authorization = address.property("authorization").map(|token| match address.property("authType") {
            Some("bearer") if !token.starts_with("Bearer ") => format!("Bearer {token}"),
            _ => token.to_owned(),
        });
        Some(Feed { endpoint: address.address()?.to_owned(), authorization, types: offering.types.clone() })
    }
}

fn feed_id(transfer: &Transfer) -> Option<Iri> {
    let tail = transfer.talk.id.strip_prefix("urn:uuid:").unwrap_or(&transfer.talk.id);
    Iri::new(format!("urn:waybill:transfer-feed:{tail}")).ok()
}
