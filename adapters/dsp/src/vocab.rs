//! Names of the Dataspace Protocol 2025-1 and of ODRL that stand in messages.

/// The JSON-LD context every message names.
pub const CONTEXT: &str = "https://w3id.org/dspace/2025/1/context.jsonld";
/// The version, as the version endpoint names it.
pub const VERSION: &str = "2025-1";
/// The namespace of ODRL 2.2.
pub const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
/// Our own namespace: keys that other connectors carry along without reading them.
pub const WAYBILL: &str = "https://w3id.org/waybill/ns#";
/// The namespace in which the Eclipse EDC writes the properties of data addresses.
pub const EDC: &str = "https://w3id.org/edc/v0.0.1/ns/";
/// The endpoint type of data over HTTP.
pub const HTTP_ENDPOINT: &str = "https://w3id.org/idsa/v4.1/HTTP";

/// How a dataset can be had. The words of `format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// The consumer fetches pages.
    #[serde(rename = "HttpData-PULL")]
    Pull,
    /// The hub sends everything once to an address of the consumer's.
    #[serde(rename = "HttpData-PUSH")]
    Push,
    /// The consumer asks the hub's NGSI-LD interface.
    #[serde(rename = "NgsiLd-QUERY")]
    Query,
    /// The hub tells an address of the consumer's of every change, deletions included.
    #[serde(rename = "NgsiLd-FEED")]
    Feed,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Query, Self::Feed];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "HttpData-PULL",
            Self::Push => "HttpData-PUSH",
            Self::Query => "NgsiLd-QUERY",
            Self::Feed => "NgsiLd-FEED",
        }
    }
    /// By its word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == text)
    }
    /// Whether the hub sends to an address that the consumer names.
    pub const fn is_sent(self) -> bool {
        matches!(self, Self::Push | Self::Feed)
    }
}
