//! The stored form of an Entity: its bytes, and a table of where each Attribute stands in them.

use crate::{AttributeKind, DateTime, Entity, EnvelopeHash, Iri, ScopePath};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// A byte range in a document, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "start and end of a range")]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The part of `text` that this span names; empty when it lies outside.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or("")
    }
    /// The span of `part` inside `whole`; `part` must be a slice of `whole`.
    fn within(whole: &str, part: &str) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }
}

/// Where one instance of an Attribute stands in the document, and what the hub knows beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeSpan {
    /// The expanded name, without quotes. All instances of one Attribute have the same span here.
    pub name: Span,
    /// The instance, from `{` to `}`.
    pub instance: Span,
    /// The datasetId, without quotes; nothing for the default instance.
    pub dataset_id: Option<Span>,
    /// Its kind.
    pub kind: AttributeKind,
    /// When this hub first held the instance.
    pub created_at: DateTime,
    /// When this hub last changed it.
    pub modified_at: DateTime,
    /// When it ends to exist.
    pub expires_at: Option<DateTime>,
    /// The envelope under which it came from another hub. Nothing for the hub's own data: tags are made at the gate.
    pub envelope: Option<EnvelopeHash>,
    /// The leaf hash of the manifest under which it came.
    pub leaf: Option<[u8; 32]>,
}

/// What the store keeps in columns beside the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemColumns {
    /// When this hub first held the Entity.
    pub created_at: DateTime,
    /// When this hub last changed it.
    pub modified_at: DateTime,
    /// When it ends to exist.
    pub expires_at: Option<DateTime>,
    /// Counts the changes, from 1; 0 when it was never stored.
    pub version: u64,
    /// The envelope of the Entity-level tag it came with.
    pub envelope: Option<EnvelopeHash>,
}

/// An Entity as its canonical form (see [`Entity`]), with the table of spans and the system columns. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityDoc {
    text: Arc<str>,
    id: Span,
    types: Arc<[Span]>,
    scopes: Arc<[Span]>,
    spans: Arc<[AttributeSpan]>,
    /// The columns beside the document.
    pub system: SystemColumns,
}

/// Why a text is not a canonical Entity document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical Entity document: {0}")]
pub struct DocError(pub String);

impl EntityDoc {
    /// Reads a canonical document and finds its Attributes. All times of the spans are `now`, the version is 0.
    ///
    /// # Errors
    /// [`DocError`] when the text is not the canonical form or is 4 GiB or more.
    pub fn parse(text: impl Into<Arc<str>>, now: DateTime) -> Result<Self, DocError> {
        let text: Arc<str> = text.into();
        if u32::try_from(text.len()).is_err() {
            return Err(DocError("it is larger than 4 GiB".into()));
        }
        let mut found = Found { whole: &text, now, id: None, types: Vec::new(), scopes: Vec::new(), spans: Vec::new(), expires_at: None };
        let mut reader = serde_json::Deserializer::from_str(&text);
        EntitySeed(&mut found).deserialize(&mut reader).and_then(|()| reader.end()).map_err(|e| DocError(e.to_string()))?;
        let Found { id, types, scopes, spans, expires_at, .. } = found;
        let id = id.ok_or_else(|| DocError("it has no `id`".into()))?;
        if types.is_empty() {
            return Err(DocError("it has no `type`".into()));
        }
        let system = SystemColumns { created_at: now, modified_at: now, expires_at, version: 0, envelope: None };
        Ok(Self { id, types: types.into(), scopes: scopes.into(), spans: spans.into(), system, text })
    }

    /// Puts a document together from what a writer already knows (the store, a decoder that noted the spans as it wrote).
    /// The caller vouches that the spans fit the text; spans outside read as empty.
    pub fn from_parts(text: Arc<str>, id: Span, types: Vec<Span>, scopes: Vec<Span>, spans: impl Into<Arc<[AttributeSpan]>>, system: SystemColumns) -> Self {
        Self { text, id, types: types.into(), scopes: scopes.into(), spans: spans.into(), system }
    }

    /// Writes `entity` in canonical form and reads it back.
    pub fn from_entity(entity: &Entity, now: DateTime) -> Self {
        // INVARIANT: what to_canonical writes, parse reads; a property test holds it.
        Self::parse(entity.to_canonical(), now).unwrap_or_else(|e| unreachable!("{e}"))
    }

    /// The tree of this document.
    ///
    /// # Errors
    /// [`DocError`] when the document was put together by hand and is not canonical.
    pub fn to_entity(&self) -> Result<Entity, DocError> {
        Entity::from_canonical(&self.text).map_err(DocError)
    }

    /// The whole canonical text.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// The identifier.
    pub fn id(&self) -> &str {
        self.id.of(&self.text)
    }
    /// The span of the identifier.
    pub fn id_span(&self) -> Span {
        self.id
    }
    /// The expanded types.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(|s| s.of(&self.text))
    }
    /// The scopes, with their leading slash.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(|s| s.of(&self.text))
    }
    /// The scopes as paths.
    pub fn scope_paths(&self) -> Vec<ScopePath> {
        self.scopes().filter_map(ScopePath::parse).collect()
    }
    /// The spans of types and of scopes, as [`Self::from_parts`] takes them.
    pub fn head_spans(&self) -> (&[Span], &[Span]) {
        (&self.types, &self.scopes)
    }
    /// The Attributes' instances, in the order of the text; those of one Attribute stand together.
    pub fn spans(&self) -> &[AttributeSpan] {
        &self.spans
    }
    /// The Attributes' instances, to note times, envelopes and leaves. Copies the table when it is shared.
    pub fn spans_mut(&mut self) -> &mut [AttributeSpan] {
        Arc::make_mut(&mut self.spans)
    }
    /// The expanded name of the Attribute that `span` belongs to.
    pub fn name(&self, span: &AttributeSpan) -> &str {
        span.name.of(&self.text)
    }
    /// The instance's text, from `{` to `}`.
    pub fn instance(&self, span: &AttributeSpan) -> &str {
        span.instance.of(&self.text)
    }
    /// The datasetId of an instance.
    pub fn dataset_id(&self, span: &AttributeSpan) -> Option<&str> {
        span.dataset_id.map(|s| s.of(&self.text))
    }
    /// The instances of the Attribute `name`.
    pub fn instances_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a AttributeSpan> {
        self.spans.iter().filter(move |s| self.name(s) == name)
    }
    /// The identifier as an IRI.
    ///
    /// # Errors
    /// [`DocError`] when the document was put together by hand with an identifier that is no IRI.
    pub fn id_iri(&self) -> Result<Iri, DocError> {
        Iri::new(self.id()).map_err(|e| DocError(e.to_string()))
    }
}

struct Found<'a> {
    whole: &'a str,
    now: DateTime,
    id: Option<Span>,
    types: Vec<Span>,
    scopes: Vec<Span>,
    spans: Vec<AttributeSpan>,
    expires_at: Option<DateTime>,
}

/// A text borrowed from the document. Escapes would break the spans; the canonical form's names and ids have none.
struct Borrowed;
impl<'de> DeserializeSeed<'de> for Borrowed {
    type Value = &'de str;
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<&'de str, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = &'de str;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string without escapes")
            }
            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<&'de str, E> {
                Ok(v)
            }
        }
        d.deserialize_str(V)
    }
}

struct Texts<'a, 'b>(&'a mut Vec<Span>, &'b str);
impl<'de> DeserializeSeed<'de> for Texts<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(self)
    }
}
impl<'de> Visitor<'de> for Texts<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(text) = seq.next_element_seed(Borrowed)? {
            self.0.push(Span::within(self.1, text));
        }
        Ok(())
    }
}

struct EntitySeed<'f, 'a>(&'f mut Found<'a>);
impl<'de> DeserializeSeed<'de> for EntitySeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_map(self)
    }
}
impl<'de> Visitor<'de> for EntitySeed<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Entity")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let found = self.0;
        while let Some(name) = map.next_key_seed(Borrowed)? {
            match name {
                "id" => found.id = Some(Span::within(found.whole, map.next_value_seed(Borrowed)?)),
                "type" => map.next_value_seed(Texts(&mut found.types, found.whole))?,
                "scope" => map.next_value_seed(Texts(&mut found.scopes, found.whole))?,
                "expiresAt" => found.expires_at = Some(map.next_value()?),
                _ if name.contains(':') => {
                    let at = Span::within(found.whole, name);
                    map.next_value_seed(InstancesSeed(found, at))?;
                }
                _ => return Err(A::Error::custom(format!("`{name}` is no member of an Entity"))),
            }
        }
        Ok(())
    }
}

struct InstancesSeed<'f, 'a>(&'f mut Found<'a>, Span);
impl<'de> DeserializeSeed<'de> for InstancesSeed<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
        d.deserialize_seq(self)
    }
}
impl<'de> Visitor<'de> for InstancesSeed<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of instances")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self(found, name) = self;
        while let Some(raw) = seq.next_element::<&'de RawValue>()? {
            let Head { kind, dataset_id, expires_at } = serde_json::from_str(raw.get()).map_err(A::Error::custom)?;
            found.spans.push(AttributeSpan {
                name,
                instance: Span::within(found.whole, raw.get()),
                dataset_id: dataset_id.map(|text| Span::within(found.whole, text)),
                kind,
                created_at: found.now,
                modified_at: found.now,
                expires_at,
                envelope: None,
                leaf: None,
            });
        }
        Ok(())
    }
}

/// What the span table needs of an instance.
struct Head<'a> {
    kind: AttributeKind,
    dataset_id: Option<&'a str>,
    expires_at: Option<DateTime>,
}
impl<'de> serde::Deserialize<'de> for Head<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Head<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an instance of an Attribute")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head<'de>, A::Error> {
                let (mut kind, mut dataset_id, mut expires_at) = (None, None, None);
                while let Some(name) = map.next_key_seed(Borrowed)? {
                    match name {
                        "type" => kind = Some(map.next_value()?),
                        "datasetId" => dataset_id = Some(map.next_value_seed(Borrowed)?),
                        "expiresAt" => expires_at = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
                Ok(Head { kind, dataset_id, expires_at })
            }
        }
        d.deserialize_map(V)
    }
}
