//! The tag: the short URI beside a value that names its envelope.

use waybill_model::{EnvelopeHash, Iri};

/// The tag of an envelope that the hub at `base_url` keeps: `https://<hub>/env/<hash>`. Nothing when `base_url` is no URL.
pub fn tag_uri(base_url: &str, hash: &EnvelopeHash) -> Option<Iri> {
    Iri::new(format!("{}/env/{hash}", base_url.trim_end_matches('/'))).ok()
}

/// The envelope that a tag names, when `uri` is a tag: the hub of the tag may be any.
pub fn tag_hash(uri: &str) -> Option<EnvelopeHash> {
    let (hub, _) = uri.rsplit_once("/env/")?;
    (hub.starts_with("https://") || hub.starts_with("http://")).then(|| EnvelopeHash::from_tag(uri)).flatten()
}
