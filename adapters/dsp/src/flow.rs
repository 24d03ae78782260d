//! Transfers in which the hub sends: a feed of changes through a follower, and a push of everything once.

use crate::config::Offering;
use crate::connector::Connector;
use crate::decode::DataAddress;
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

/// Something that is sent on its way: a transfer process, or a data flow.
pub(crate) struct Sending<'a> {
    /// The follower's identifier.
    pub id: Iri,
    /// Where to.
    pub address: &'a DataAddress,
    /// Whether all that there was is sent once, and no change.
    pub once: bool,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is on its way, as before.
    On,
    /// It was set on its way.
    Set,
    /// All of it was sent.
    Through,
}

impl Connector {
    /// Keeps what a started transfer sends on its way. Answers whether anything was changed.
    pub(crate) async fn keep_flowing(&self, transfer: &Transfer, offering: &Offering, scope: &Scope) -> Result<bool, Fault> {
        let Some(sending) = sending(transfer) else { return Ok(false) };
        match self.keep_sending(&sending, offering, scope).await? {
            Kept::On => Ok(false),
            Kept::Set => Ok(true),
            Kept::Through => {
                self.act_in_transfer(&transfer.talk.id, "complete", None).await?;
                Ok(true)
            }
        }
    }

    /// Lets what a transfer sends rest: from now on its address is only told what is taken back, as long as it holds anything.
    pub(crate) async fn rest_feed(&self, transfer: &Transfer) -> Result<(), Fault> {
        let Some(sending) = sending(transfer) else { return Ok(()) };
        let Some(agreed) = self.agreement(&transfer.agreement).await? else { return Ok(()) };
        let Some(scope) = self.scope_of(&agreed) else { return Ok(()) };
        self.rest_sending(&sending, &scope).await
    }

    /// Sets what is sent on its way where it is not, and tells when it is through.
    pub(crate) async fn keep_sending(&self, sending: &Sending<'_>, offering: &Offering, scope: &Scope) -> Result<Kept, Fault> {
        let Some(feed) = feed(sending.address, offering) else { return Ok(Kept::On) };
        let (sink, spec) = (self.0.feeds)(&feed);
        let id = &sending.id;
        let there = self.hub().followers(scope, sink).await?;
        match there.iter().find(|f| f.id == *id) {
            Some(follower) if !follower.active => {
                let wake = |f: &mut waybill_exchange::Follower| {
                    f.active = true;
                    Ok(())
                };
                self.hub().change_follower(scope, sink, id, wake).await?;
                Ok(Kept::Set)
            }
            // All that there was is sent once its first load is through; a push is done then.
            Some(_) if sending.once && self.hub().is_idle(scope, id).await? => {
                self.rest_sending(sending, scope).await?;
                Ok(Kept::Through)
            }
            Some(_) => Ok(Kept::On),
            None => {
                let new = NewFollower { id: Some(id.clone()), sink, spec, active: true, expires_at: None, initial_load: true };
                match self.hub().follow(scope, new).await {
                    Ok(_) => Ok(Kept::Set),
                    Err(problem) if problem.code == "already-exists" => Ok(Kept::On),
                    Err(problem) => Err(problem.into()),
                }
            }
        }
    }

    /// The same as [`Self::rest_feed`] for what is sent in any way.
    pub(crate) async fn rest_sending(&self, sending: &Sending<'_>, scope: &Scope) -> Result<(), Fault> {
        let (sink, _) = (self.0.feeds)(&Feed { endpoint: sending.address.address().unwrap_or_default().to_owned(), authorization: None, types: Vec::new() });
        let there = self.hub().followers(scope, sink).await?;
        if there.iter().any(|f| f.id == sending.id && f.active) {
            let rest = |f: &mut waybill_exchange::Follower| {
                f.active = false;
                Ok(())
            };
            self.hub().change_follower(scope, sink, &sending.id, rest).await?;
        }
        Ok(())
    }
}

/// What a transfer sends; nothing where the consumer fetches.
fn sending(transfer: &Transfer) -> Option<Sending<'_>> {
    let form = transfer.form().filter(|f| f.is_sent())?;
    Some(Sending { id: feed_id(&transfer.talk.id)?, address: transfer.address.as_ref()?, once: form == Format::Push })
}

fn feed(address: &DataAddress, offering: &Offering) -> Option<Feed> {
    // The Eclipse EDC says the name and the value of a header.
    let named = || address.property("authCode").filter(|_| address.property("authKey").is_none_or(|key| key.eq_ignore_ascii_case("authorization")));
    let authorization = address.property("authorization").or_else(named).map(|token| match address.property("authType") {
        Some("bearer") if !token.starts_with("Bearer ") => format!("Bearer {token}"),
        _ => token.to_owned(),
    });
    Some(Feed { endpoint: address.address()?.to_owned(), authorization, types: offering.types.clone() })
}

/// The follower of the process `id`.
pub(crate) fn feed_id(id: &str) -> Option<Iri> {
    let tail = id.strip_prefix("urn:uuid:").unwrap_or(id);
    Iri::new(format!("urn:waybill:transfer-feed:{tail}")).ok()
}
