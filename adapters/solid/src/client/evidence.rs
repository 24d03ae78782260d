//! What shows that a grant document is hers.

use crate::client::access::{AccessSnapshot, Agent};
use crate::client::discovery::{WebIdProfile, profile};
use crate::client::pod::SolidPod;
use crate::error::SolidError;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use url::Url;
use waybill_keys::{KeyLookup, PublicKey, jws};
use waybill_model::DateTime;

/// The `typ` of a signed grant document.
pub const GRANT_TYPE: &str = "waybill-grant+jwt";

/// What the hub can say about who wrote a grant document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evidence {
    /// It is signed by a key that her profile names.
    Signed {
        /// The key, as the signature names it.
        key: String,
        /// The algorithm.
        algorithm: String,
        /// What was signed: the grant itself.
        payload: String,
    },
    /// The access rules at the time of reading. The hub observed this; she signed nothing.
    AccessRules {
        /// The rules.
        snapshot: AccessSnapshot,
        /// Whether only she could write it.
        only_hers: bool,
        /// Who else could.
        others: Vec<Agent>,
    },
    /// Nothing shows it.
    Nothing {
        /// Why, for the operator.
        reason: String,
    },
}

impl Evidence {
    /// Whether it shows that the document is hers.
    pub fn shows_hers(&self) -> bool {
        match self {
            Self::Signed { .. } => true,
            Self::AccessRules { only_hers, .. } => *only_hers,
            Self::Nothing { .. } => false,
        }
    }

    /// SHA-256 (hexadecimal) of the access rules, when those are the evidence.
    pub fn rules_digest(&self) -> Option<String> {
        let Self::AccessRules { snapshot, .. } = self else { return None };
        let value = serde_json::to_value(&snapshot.documents).ok()?;
        Some(waybill_keys::hex(&waybill_keys::sha256(waybill_keys::jcs(&value).as_bytes())))
    }

    /// Whether it shows that somebody else could have written the document.
    pub fn shows_others(&self) -> bool {
        matches!(self, Self::AccessRules { others, .. } if !others.is_empty())
    }
}

struct ProfileKeys<'a>(&'a WebIdProfile);

impl KeyLookup for ProfileKeys<'_> {
    fn key(&self, kid: &str) -> Option<PublicKey> {
        self.0.keys.iter().find(|known| known.id == kid || known.key.kid == kid).map(|known| known.key.clone())
    }
}

/// The signed form of `document`, when it has one: a compact JWS, or the flattened JSON form of one (RFC 7515 §7.2.2).
pub fn compact_form(document: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Flattened {
        protected: String,
        payload: String,
        signature: String,
    }
    let text = std::str::from_utf8(document).ok()?.trim();
    if text.starts_with('{') {
        let parts: Flattened = serde_json::from_str(text).ok()?;
        return Some(format!("{}.{}.{}", parts.protected, parts.payload, parts.signature));
    }
    let good = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (text.split('.').count() == 3 && text.split('.').all(good)).then(|| text.to_owned())
}

/// Checks the signature of `compact` by the keys of `profile`.
pub fn signed(compact: &str, profile: &WebIdProfile, now: DateTime) -> Evidence {
    let keys = ProfileKeys(profile);
    match jws::verify(compact, GRANT_TYPE, &keys, now) {
        Err(error) => Evidence::Nothing { reason: format!("its signature does not count: {error}") },
        Ok(verified) => match String::from_utf8(verified.payload) {
            Ok(payload) => Evidence::Signed { key: verified.kid, algorithm: verified.header.alg, payload },
            Err(_) => Evidence::Nothing { reason: "what was signed is no text".into() },
        },
    }
}

/// The grant inside a document: what was signed, or the document itself.
pub fn content<'a>(document: &'a [u8], evidence: &'a Evidence) -> &'a [u8] {
    if let Evidence::Signed { payload, .. } = evidence { payload.as_bytes() } else { document }
}

/// The grant inside a document, whoever signed it: for a no, of which nobody asks a proof.
pub fn unproven(document: &[u8]) -> Cow<'_, [u8]> {
    let signed = compact_form(document).and_then(|compact| waybill_keys::unb64url(compact.split('.').nth(1)?));
    signed.map_or(Cow::Borrowed(document), Cow::Owned)
}

/// Whether a grant document says itself that it is withdrawn: its member `state` or `status`.
pub fn says_withdrawn(grant: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        state: serde_json::Value,
        #[serde(default)]
        status: serde_json::Value,
    }
    let Ok(said) = serde_json::from_slice::<Said>(grant) else { return false };
    [said.state, said.status].iter().filter_map(serde_json::Value::as_str).any(|text| {
        let name = text.rsplit(['#', '/', ':']).next().unwrap_or(text);
        let name = name.strip_prefix("Consent").unwrap_or(name);
        ["withdrawn", "revoked"].iter().any(|w| name.eq_ignore_ascii_case(w))
    })
}

impl SolidPod {
    /// What shows that `document`, read from `url`, is hers.
    ///
    /// # Errors
    /// Those that another attempt may mend. What will not mend is [`Evidence::Nothing`].
    pub async fn evidence(&self, url: &Url, document: &[u8]) -> Result<Evidence, SolidError> {
        // Her profile of today: a key that she took out signs nothing more, an issuer that she took out vouches for nobody.
        let profile = profile(self.session().client(), self.web_id()).await?;
        if self.vouched(&profile).is_err() {
            return Ok(Evidence::Nothing { reason: "her profile does not name the issuer that must vouch for her".into() });
        }
        if let Some(compact) = compact_form(document) {
            return Ok(signed(&compact, &profile, self.clock().now()));
        }
        match self.access_snapshot(url).await {
            Ok(snapshot) => {
                let (her, hub) = (self.web_id().as_str(), self.session().web_id().as_str());
                let (only_hers, others) = (snapshot.only(her, hub), snapshot.others(her, hub));
                Ok(Evidence::AccessRules { snapshot, only_hers, others })
            }
            Err(error) if error.is_transient() => Err(error),
            Err(error) => Ok(Evidence::Nothing { reason: format!("the access rules cannot be read: {error}") }),
        }
    }
}
