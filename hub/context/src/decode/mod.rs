//! From NGSI-LD text to the canonical form.

mod entity;
mod fragment;
mod geo;
mod instance;
mod members;
mod value;

pub use fragment::{Change, Fragment, FragmentInstance};

use crate::context::Context;
use crate::error::{DecodeError, Fault};
use crate::tape::{Item, Tape};
use serde_json::Value;
use std::borrow::Cow;
use waybill_model::{DateTime, EntityDoc};

/// How deep a document may nest unless said otherwise.
pub const DEPTH: usize = 64;

/// How large a document may be that needs the general processor, which is slow.
const ODD_BYTES: usize = 256 * 1024;

/// How large the expanded form of one document may get: names grow when they are expanded.
const EXPANDED_BYTES: usize = 64 * 1024 * 1024;

/// Refuses to write on when the expanded form gets too large.
fn bounded(out: &str) -> Decoded<()> {
    if out.len() > EXPANDED_BYTES { fault(Fault::Json, "5.5.4", "the expanded document is too large") } else { Ok(()) }
}

/// Which representation a document is in. Normalized and concise are told apart by themselves, Attribute by Attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Normalized or concise (clauses 4.5.1 and 4.5.20).
    #[default]
    Standard,
    /// Simplified, also called keyValues (clause 4.5.4): every member is a value.
    Simplified,
}

/// Where the NGSI-LD Null may stand in a fragment (clauses 5.5.4, 5.5.8, 5.5.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Nulls {
    /// Nowhere.
    #[default]
    Refused,
    /// In place of an Attribute, of its value or of a member of an instance: update and partial update.
    Members,
    /// Also inside values: merge.
    Deep,
}

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The representation.
    pub form: Form,
    /// The NGSI-LD Nulls a fragment may have; an Entity never has any.
    pub nulls: Nulls,
    /// The time for the span table.
    pub now: DateTime,
    /// Whether `createdAt` and `modifiedAt` of the document go into the span table; else they are ignored.
    pub keep_times: bool,
}

impl Options {
    /// Standard form, no Nulls, system times ignored.
    pub fn new(now: DateTime) -> Self {
        Self { form: Form::Standard, nulls: Nulls::Refused, now, keep_times: false }
    }
    /// The same in simplified form.
    #[must_use]
    pub fn simplified(mut self) -> Self {
        self.form = Form::Simplified;
        self
    }
    /// The same with Nulls allowed.
    #[must_use]
    pub fn nulls(mut self, nulls: Nulls) -> Self {
        self.nulls = nulls;
        self
    }
    /// The same with the document's system times kept.
    #[must_use]
    pub fn keep_times(mut self) -> Self {
        self.keep_times = true;
        self
    }
}

/// Why decoding stopped: a fault, or a JSON-LD shape that the general processor must take.
#[derive(Debug)]
pub(crate) enum Halt {
    Fault(Box<DecodeError>),
    Odd,
}

impl Halt {
    /// The same, one level further down a JSON Pointer.
    fn under(mut self, key: &str) -> Self {
        if let Self::Fault(e) = &mut self {
            let step = key.replace('~', "~0").replace('/', "~1");
            e.pointer = format!("/{step}{}", e.pointer);
        }
        self
    }
}

type Decoded<T> = Result<T, Halt>;

fn fault<T>(fault: Fault, clause: &'static str, detail: impl Into<String>) -> Decoded<T> {
    Err(Halt::Fault(Box::new(DecodeError { fault, pointer: String::new(), detail: detail.into(), clause })))
}

/// JSON that was read once and checked: decode parts of it under the @contexts they name.
#[derive(Debug)]
pub struct Document<'a>(Tape<'a>);

/// One JSON value of a [`Document`].
#[derive(Debug, Clone, Copy)]
pub struct Part<'t, 'a>(Item<'t, 'a>);

impl<'a> Document<'a> {
    /// Reads `bytes`, nested at most `depth` deep.
    ///
    /// # Errors
    /// [`Fault::Json`]: not UTF-8, not JSON, a member twice in an object, or too deep.
    pub fn read(bytes: &'a [u8], depth: usize) -> Result<Self, DecodeError> {
        let json = |detail: String| DecodeError { fault: Fault::Json, pointer: String::new(), detail, clause: "5.5.4" };
        let text = std::str::from_utf8(bytes).map_err(|e| json(format!("the document is not UTF-8 at byte {}", e.valid_up_to())))?;
        Tape::read(text, depth).map(Self).map_err(|e| json(format!("{} at byte {}", e.what, e.at)))
    }

    /// The whole document.
    pub fn root(&self) -> Part<'_, 'a> {
        Part(self.0.root())
    }
}

impl<'t, 'a> Part<'t, 'a> {
    /// The value of the member `@context`, when there is one.
    pub fn context(self) -> Option<Value> {
        // INVARIANT: the text was checked; a number beyond f64 was refused.
        self.0.get("@context").map(|item| serde_json::from_str(item.raw()).unwrap_or(Value::Null))
    }
    /// The items of an array; nothing when it is none.
    pub fn items(self) -> Option<impl Iterator<Item = Part<'t, 'a>>> {
        self.0.is_array().then(|| self.0.items().map(Part))
    }
    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.0.is_object()
    }
    /// A member of an object.
    pub fn get(self, name: &str) -> Option<Part<'t, 'a>> {
        self.0.get(name).map(Part)
    }
    /// The content of a string.
    pub fn text(self) -> Option<Cow<'a, str>> {
        self.0.text()
    }
    /// The value's text as it stands.
    pub fn raw(self) -> &'a str {
        self.0.raw()
    }

    /// Decodes this value as an Entity; its own `@context` member is ignored, `context` acts.
    ///
    /// # Errors
    /// [`DecodeError`] with the place and the clause.
    pub fn entity(self, context: &Context, options: &Options) -> Result<EntityDoc, DecodeError> {
        match entity::decode(context, self.0, options) {
            Ok(doc) => Ok(doc),
            Err(Halt::Fault(e)) => Err(*e),
            Err(Halt::Odd) => odd(self.raw(), context, |core, part| entity::decode(core, part.0, options)),
        }
    }

    /// Decodes this value as a fragment of an Entity: Attributes to change, perhaps with `type`, `scope` and `id`.
    ///
    /// # Errors
    /// [`DecodeError`] with the place and the clause.
    pub fn fragment(self, context: &Context, options: &Options) -> Result<Fragment, DecodeError> {
        match fragment::decode(context, self.0, options) {
            Ok(fragment) => Ok(fragment),
            Err(Halt::Fault(e)) => Err(*e),
            Err(Halt::Odd) => odd(self.raw(), context, |core, part| fragment::decode(core, part.0, options)),
        }
    }

    /// Decodes this value as the instances of one Attribute: an instance or an array of them.
    ///
    /// # Errors
    /// [`DecodeError`] with the place and the clause.
    pub fn attribute(self, context: &Context, options: &Options) -> Result<Change, DecodeError> {
        match fragment::decode_attribute(context, self.0, options) {
            Ok(change) => Ok(change),
            Err(Halt::Fault(e)) => Err(*e),
            Err(Halt::Odd) => Err(DecodeError {
                fault: Fault::JsonLd,
                pointer: String::new(),
                detail: "a JSON-LD keyword stands in an Attribute".into(),
                clause: "4.5.1",
            }),
        }
    }
}

/// Turns a document with a JSON-LD shape of its own into the common shape under the core @context, and decodes that.
fn odd<T>(text: &str, context: &Context, decode: impl Fn(&Context, Part<'_, '_>) -> Decoded<T>) -> Result<T, DecodeError> {
    let refuse = |detail: String| DecodeError { fault: Fault::JsonLd, pointer: String::new(), detail, clause: "5.5.4" };
    if text.len() > ODD_BYTES {
        return Err(refuse("a document with @graph, @nest, @reverse, @included or @index is too large".into()));
    }
    let core = crate::oracle::core_context();
    let common = crate::oracle::to_common_shape(text, context, core).map_err(refuse)?;
    let document = Document::read(common.as_bytes(), DEPTH * 2)?;
    decode(core, document.root()).map_err(|halt| match halt {
        Halt::Fault(e) => *e,
        Halt::Odd => refuse("the document uses JSON-LD keywords that have no place in an Entity".into()),
    })
}

/// Decodes an Entity from bytes. See [`Part::entity`].
///
/// # Errors
/// [`DecodeError`] with the place and the clause.
pub fn decode_entity(context: &Context, bytes: &[u8], options: &Options) -> Result<EntityDoc, DecodeError> {
    Document::read(bytes, DEPTH)?.root().entity(context, options)
}

/// Decodes a fragment from bytes. See [`Part::fragment`].
///
/// # Errors
/// [`DecodeError`] with the place and the clause.
pub fn decode_fragment(context: &Context, bytes: &[u8], options: &Options) -> Result<Fragment, DecodeError> {
    Document::read(bytes, DEPTH)?.root().fragment(context, options)
}

/// Decodes the instances of one Attribute from bytes. See [`Part::attribute`].
///
/// # Errors
/// [`DecodeError`] with the place and the clause.
pub fn decode_attribute(context: &Context, bytes: &[u8], options: &Options) -> Result<Change, DecodeError> {
    Document::read(bytes, DEPTH)?.root().attribute(context, options)
}
