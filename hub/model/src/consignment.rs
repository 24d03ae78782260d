//! The one value that flows through the hub: an entity with what governs it.

use crate::{DateTime, EntityDoc, TenantId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// The SHA-256 of an envelope's compact JWS; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnvelopeHash(pub [u8; 32]);

impl EnvelopeHash {
    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        if b.len() != 64 {
            return None;
        }
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let mut out = [0; 32];
        for (i, pair) in b.chunks_exact(2).enumerate() {
            out[i] = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(out))
    }

    /// The hash in a tag's URI `https://<hub>/env/<hash>`, when `uri` has that shape.
    pub fn from_tag(uri: &str) -> Option<Self> {
        Self::parse(uri.rsplit_once("/env/")?.1)
    }
}
impl fmt::Display for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
        // In one piece: a formatter costs as much for two digits as for all.
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
        f.write_str(&text)
    }
}
impl fmt::Debug for EnvelopeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl Serialize for EnvelopeHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for EnvelopeHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("an envelope hash is 64 lower-case hexadecimal digits"))
    }
}

/// Where a consignment came from and when the hub took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The configured connection it came through; `local` for the hub's own API.
    pub connection: Arc<str>,
    /// The hub's clock when it came.
    pub received: DateTime,
    /// The manifest (compact JWS) that came with it, when the sender is a hub.
    pub manifest: Option<Arc<str>>,
}

/// An entity with what governs it. The tags stand in the document's span table.
#[derive(Debug, Clone, PartialEq)]
pub struct Consignment {
    /// Whose store it is bound for.
    pub tenant: TenantId,
    /// The entity.
    pub entity: EntityDoc,
    /// Where it came from.
    pub arrival: Arrival,
}
