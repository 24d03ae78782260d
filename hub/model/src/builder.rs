//! Writes an [`EntityDoc`] piece by piece, noting the spans as it goes.

use crate::doc::{AttributeSpan, EntityDoc, Span, SystemColumns};
use crate::{AttributeKind, DateTime, EnvelopeHash};

/// A document under construction. The pieces must be canonical (see [`crate::Entity`]); nothing is parsed.
#[derive(Debug)]
pub struct DocBuilder {
    text: String,
    id: Span,
    types: Vec<Span>,
    scopes: Vec<Span>,
    spans: Vec<AttributeSpan>,
    name: Span,
    open: bool,
}

/// What goes beside an instance into the span table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceMeta {
    /// Its kind.
    pub kind: AttributeKind,
    /// Its datasetId.
    pub dataset_id: Option<String>,
    /// When this hub first held it.
    pub created_at: DateTime,
    /// When this hub last changed it.
    pub modified_at: DateTime,
    /// When it ends to exist.
    pub expires_at: Option<DateTime>,
    /// The envelope it came under.
    pub envelope: Option<EnvelopeHash>,
    /// Its leaf in the manifest it came under.
    pub leaf: Option<[u8; 32]>,
}

impl InstanceMeta {
    /// What `span` of `doc` says.
    pub fn of(doc: &EntityDoc, span: &AttributeSpan) -> Self {
        Self {
            kind: span.kind,
            dataset_id: doc.dataset_id(span).map(str::to_owned),
            created_at: span.created_at,
            modified_at: span.modified_at,
            expires_at: span.expires_at,
            envelope: span.envelope,
            leaf: span.leaf,
        }
    }
    /// An instance of the hub's own that came to be at `now`.
    pub fn new(kind: AttributeKind, now: DateTime) -> Self {
        Self { kind, dataset_id: None, created_at: now, modified_at: now, expires_at: None, envelope: None, leaf: None }
    }
}

impl DocBuilder {
    /// Begins a document. `id`, types and scopes are written as they are, so they must need no escapes (IRIs and scopes do not).
    pub fn new<'a>(id: &str, types: impl IntoIterator<Item = &'a str>, scopes: impl IntoIterator<Item = &'a str>, expires_at: Option<DateTime>) -> Self {
        let mut out = Self {
            text: String::with_capacity(512),
            id: Span::default(),
            types: Vec::new(),
            scopes: Vec::new(),
            spans: Vec::new(),
            name: Span::default(),
            open: false,
        };
        out.text.push_str("{\"id\":\"");
        out.id = out.push(id);
        out.text.push_str("\",\"type\":[");
        out.types = out.list(types);
        out.text.push(']');
        let mut scopes = scopes.into_iter().peekable();
        if scopes.peek().is_some() {
            out.text.push_str(",\"scope\":[");
            out.scopes = out.list(scopes);
            out.text.push(']');
        }
        if let Some(at) = expires_at {
            out.text.push_str(",\"expiresAt\":\"");
            out.text.push_str(&at.to_string());
            out.text.push('"');
        }
        out
    }

    /// Makes room for as much as `doc` holds, when most of it is to be written again.
    #[must_use]
    pub fn sized_like(mut self, doc: &EntityDoc) -> Self {
        self.text.reserve(doc.text().len());
        self.spans.reserve(doc.spans().len());
        self
    }

    fn push(&mut self, part: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(part);
        Span { start, end: self.text.len() as u32 }
    }

    fn list<'a>(&mut self, parts: impl IntoIterator<Item = &'a str>) -> Vec<Span> {
        let mut spans = Vec::new();
        for part in parts {
            self.text.push_str(if spans.is_empty() { "\"" } else { ",\"" });
            spans.push(self.push(part));
            self.text.push('"');
        }
        spans
    }

    /// Adds one instance of the Attribute `name`. All instances of one Attribute must be added one after another.
    pub fn instance(&mut self, name: &str, instance: &str, meta: InstanceMeta) {
        if self.open && self.name.of(&self.text) == name {
            self.text.push(',');
        } else {
            if self.open {
                self.text.push(']');
            }
            self.text.push_str(",\"");
            self.name = self.push(name);
            self.text.push_str("\":[");
            self.open = true;
        }
        let at = self.push(instance);
        let dataset_id = meta.dataset_id.as_deref().and_then(|id| {
            let start = at.start + instance.find(&format!("\"datasetId\":\"{id}\""))? as u32 + 13;
            Some(Span { start, end: start + id.len() as u32 })
        });
        self.spans.push(AttributeSpan {
            name: self.name,
            instance: at,
            dataset_id,
            kind: meta.kind,
            created_at: meta.created_at,
            modified_at: meta.modified_at,
            expires_at: meta.expires_at,
            envelope: meta.envelope,
            leaf: meta.leaf,
        });
    }

    /// How many instances were added.
    pub fn len(&self) -> usize {
        self.spans.len()
    }
    /// Whether no instance was added.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Ends the document.
    pub fn finish(mut self, system: SystemColumns) -> EntityDoc {
        self.text.push_str(if self.open { "]}" } else { "}" });
        EntityDoc::from_parts(self.text.into(), self.id, self.types, self.scopes, self.spans, system)
    }
}

/// `instance` with one more member before its closing brace. `member` is a quoted name, a colon and a value.
pub fn with_member(instance: &str, member: &str) -> String {
    let body = instance.trim_end().strip_suffix('}').unwrap_or(instance);
    let comma = if body.trim_end().ends_with('{') { "" } else { "," };
    format!("{body}{comma}{member}}}")
}
