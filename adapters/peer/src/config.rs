//! What the configuration says of another hub.

use waybill_http::Auth;

/// Another hub.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Its public base URL, without a slash at the end.
    pub base_url: String,
    /// How this hub shows itself there: manifests are given to their recipient only.
    pub auth: Auth,
}

impl PeerConfig {
    /// Whether `url` is an address at this hub: the base URL itself or a path below it.
    pub fn owns(&self, url: &str) -> bool {
        url.strip_prefix(&self.base_url).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
