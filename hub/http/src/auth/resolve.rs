//! Tokens that a part of the program gives out itself and must be asked about.

use super::caller::Caller;
use crate::fault;
use crate::problems;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use waybill_model::Problem;

/// What a resolver answers, when it has looked.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = Option<Result<Caller, Problem>>> + Send + 'a>>;

/// Knows bearer tokens that this program gave out, and whose they are at this moment: for those that can end at any time, as under an agreement.
pub trait ResolveToken: Send + Sync {
    /// Whose `token` is; nothing when it is none of these tokens, and others are to be asked. A token of these that is no longer good is an
    /// error: nobody else is asked then.
    fn resolve<'a>(&'a self, token: &'a str) -> Resolved<'a>;
}

#[derive(Clone)]
pub(super) struct Resolver(pub Arc<dyn ResolveToken>);

impl Resolver {
    /// Whose the token is. An operator or a person is never found this way, whoever says so: such tokens are an organisation's.
    pub async fn caller(&self, token: &str) -> Option<Result<Caller, Problem>> {
        let known = self.0.resolve(token).await?;
        Some(known.and_then(|caller| {
            let organisation = !caller.is_operator() && caller.person().is_none() && caller.party.is_some();
            if organisation || fault::off("http-resolved-organisation") { Ok(caller) } else { Err(problems::invalid_token("this token is of no organisation")) }
        }))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}
