//! How a call shows who calls.

use super::error::CallError;
use super::{Client, DpopKey};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use waybill_model::DateTime;

/// How a call shows who calls.
#[derive(Clone, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer(Arc<str>),
    /// `X-Auth-Token: …`.
    XAuthToken(Arc<str>),
    /// A token of the client's own (OAuth 2.0 client credentials), kept until it expires.
    OAuth2ClientCredentials(Arc<super::ClientCredentials>),
    /// A token bound to `key`, with a fresh proof for each call (RFC 9449).
    Dpop {
        /// The key.
        key: Arc<DpopKey>,
        /// Where tokens come from.
        tokens: Arc<dyn TokenProvider>,
    },
}

/// Never prints a secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(…)",
            Self::XAuthToken(_) => "XAuthToken(…)",
            Self::OAuth2ClientCredentials(_) => "OAuth2ClientCredentials(…)",
            Self::Dpop { .. } => "Dpop(…)",
        })
    }
}

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The token.
    pub token: Arc<str>,
    /// When it is no longer to be used.
    pub expires: Option<DateTime>,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(…, {:?})", self.expires)
    }
}

/// The future of a token.
pub(crate) type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, CallError>> + Send + 'a>>;

/// Gives tokens, and keeps them as long as they are good.
pub trait TokenProvider: Send + Sync {
    /// A token that is good now. `refused` is one that the other side has just refused: it is not to be given again.
    fn token<'a>(&'a self, client: &'a Client, refused: Option<&'a AccessToken>) -> TokenFuture<'a>;
}
