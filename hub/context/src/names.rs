//! The members of Entities and Attributes that are no Attributes themselves.

use crate::hash::Seeded;
use std::borrow::Cow;
use std::collections::HashSet;
use waybill_model::NGSI_LD;

/// A member with a meaning of its own. They are known by their short name whatever core version a document names, and by their IRI when a
/// term of the user stands for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Member {
    Id,
    Type,
    Context,
    /// Another JSON-LD keyword.
    Keyword,
    Scope,
    ExpiresAt,
    CreatedAt,
    ModifiedAt,
    DeletedAt,
    Value,
    Object,
    LanguageMap,
    Vocab,
    Json,
    ValueList,
    ObjectList,
    ObservedAt,
    DatasetId,
    UnitCode,
    ValueType,
    ObjectType,
    Proof,
    /// Only a hub or broker writes it: instanceId, lang, entity, entityList, previous values.
    Output,
}

impl Member {
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "id" | "@id" => Self::Id,
            "type" | "@type" => Self::Type,
            "@context" => Self::Context,
            "scope" => Self::Scope,
            "expiresAt" => Self::ExpiresAt,
            "createdAt" => Self::CreatedAt,
            "modifiedAt" => Self::ModifiedAt,
            "deletedAt" => Self::DeletedAt,
            "value" => Self::Value,
            "object" => Self::Object,
            "languageMap" => Self::LanguageMap,
            "vocab" => Self::Vocab,
            "json" => Self::Json,
            "valueList" => Self::ValueList,
            "objectList" => Self::ObjectList,
            "observedAt" => Self::ObservedAt,
            "datasetId" => Self::DatasetId,
            "unitCode" => Self::UnitCode,
            "valueType" => Self::ValueType,
            "objectType" => Self::ObjectType,
            "ngsildproof" => Self::Proof,
            "instanceId" | "lang" | "entity" | "entityList" | "previousValue" | "previousObject" | "previousLanguageMap" | "previousVocab"
            | "previousJson" | "previousValueList" | "previousObjectList" => Self::Output,
            keyword if crate::compile::is_keyword(keyword) => Self::Keyword,
            _ => return None,
        })
    }

    /// By a keyword or an expanded name.
    pub fn by_iri(iri: &str) -> Option<Self> {
        if iri.starts_with('@') {
            return Self::by_name(iri);
        }
        let local = iri.strip_prefix(NGSI_LD)?;
        Self::by_name(match local {
            "hasValue" => "value",
            "hasObject" => "object",
            "hasLanguageMap" => "languageMap",
            "hasVocab" => "vocab",
            "hasJSON" => "json",
            "hasValueList" => "valueList",
            "hasObjectList" => "objectList",
            "hasValueType" => "valueType",
            "hasObjectType" => "objectType",
            "hasPreviousValue" => "previousValue",
            "hasPreviousObject" => "previousObject",
            "hasPreviousLanguageMap" => "previousLanguageMap",
            "hasPreviousVocab" => "previousVocab",
            "hasPreviousJson" => "previousJson",
            "hasPreviousValueList" => "previousValueList",
            "hasPreviousObjectList" => "previousObjectList",
            "scope" | "expiresAt" | "createdAt" | "modifiedAt" | "deletedAt" | "observedAt" | "datasetId" | "unitCode" | "ngsildproof" | "instanceId"
            | "lang" | "entity" | "entityList" => local,
            _ => return None,
        })
    }

    /// Whether an Attribute of an Entity may not have this name (clause 4.5.1).
    pub fn reserved_at_top(self) -> bool {
        matches!(
            self,
            Self::Keyword | Self::ObservedAt | Self::DatasetId | Self::UnitCode | Self::ValueType | Self::ObjectType | Self::Proof | Self::Output
        )
    }
}

/// Names that may stand once: compared one by one while they are few, hashed when they are many.
#[derive(Debug, Default)]
pub(crate) struct Distinct<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>, Seeded>,
}

impl<'a> Distinct<'a> {
    /// Takes a name; false when it was there.
    pub fn insert(&mut self, name: Cow<'a, str>) -> bool {
        if self.many.is_empty() {
            if self.few.contains(&name) {
                return false;
            }
            self.few.push(name);
            if self.few.len() > 16 {
                self.many = self.few.drain(..).collect();
            }
            return true;
        }
        self.many.insert(name)
    }
}
