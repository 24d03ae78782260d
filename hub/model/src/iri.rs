//! Absolute IRIs, checked once and cheap to clone.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// An absolute IRI (RFC 3987): a scheme, a colon and something after it, without space, control or `<>"{}|\^` and backtick.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Iri(Arc<str>);

/// Why a text is not an absolute IRI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an absolute IRI: {reason}")]
pub struct IriError {
    /// The text that was refused, cut to 120 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Iri {
    /// Checks `text` and takes it as an IRI.
    ///
    /// # Errors
    /// [`IriError`] when there is no scheme, nothing behind it, or a character that an IRI cannot hold.
    pub fn new(text: impl AsRef<str>) -> Result<Self, IriError> {
        let text = text.as_ref();
        match Self::fault(text) {
            None => Ok(Self(Arc::from(text))),
            Some(reason) => Err(IriError { text: text.chars().take(120).collect(), reason }),
        }
    }

    /// Whether `text` is an absolute IRI.
    pub fn is_valid(text: &str) -> bool {
        Self::fault(text).is_none()
    }

    fn fault(text: &str) -> Option<&'static str> {
        let Some(colon) = text.find(':') else {
            return Some("it has no scheme");
        };
        let scheme = &text.as_bytes()[..colon];
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic)
            || !scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        {
            return Some("its scheme must be a letter followed by letters, digits, `+`, `-` or `.`");
        }
        if text.len() == colon + 1 {
            return Some("nothing follows the scheme");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`')) {
            return Some("it holds a space, a control character or one of <>\"{}|\\^`");
        }
        if text.chars().any(invisible) {
            return Some("it holds a character that cannot be seen");
        }
        None
    }

    /// The IRI's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that show nothing or turn the text around them: two identifiers could look the same. RFC 3987 has none of the
/// noncharacters and forbids the marks of direction.
fn invisible(c: char) -> bool {
    let code = u32::from(c);
    matches!(code,
        0xAD | 0x34F | 0x61C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F
        | 0x2800 | 0x3164 | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0xE0000..=0xE0FFF)
        || code & 0xFFFE == 0xFFFE
}

impl fmt::Display for Iri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for Iri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}
impl AsRef<str> for Iri {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
impl Borrow<str> for Iri {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl std::str::FromStr for Iri {
    type Err = IriError;
    fn from_str(s: &str) -> Result<Self, IriError> {
        Self::new(s)
    }
}
impl Serialize for Iri {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for Iri {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}
