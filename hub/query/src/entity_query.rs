//! A whole query for Entities (clause 5.7.2).

use crate::{Candidates, GeoQuery, OrderBy, Pattern, Projection, Q, QueryError, ScopeQuery, TypeSelection};
use waybill_model::{EntityDoc, Iri};

/// The largest page.
pub const MAX_LIMIT: usize = 1000;

/// Which Entities by identifier and type. All that is given must hold; the default selects every Entity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntitySelector {
    /// One of these identifiers, when there are any.
    pub ids: Vec<String>,
    /// The identifier matches; not looked at when there are identifiers.
    pub id_pattern: Option<Pattern>,
    /// The types.
    pub types: Option<TypeSelection>,
}

impl EntitySelector {
    /// Whether `doc` is selected.
    pub fn matches(&self, doc: &EntityDoc) -> bool {
        (self.ids.is_empty() || self.ids.iter().any(|id| id == doc.id()))
            && self.types.as_ref().is_none_or(|t| t.matches(doc))
            // An id takes precedence over a pattern (clause 5.2.33).
            && (!self.ids.is_empty() || self.id_pattern.as_ref().is_none_or(|p| p.is_match(doc.id())))
    }
    fn candidates(&self) -> Candidates {
        let ids = if self.ids.is_empty() { Candidates::All } else { Candidates::Ids(self.ids.clone()) };
        let prefix = self.id_pattern.as_ref().filter(|_| self.ids.is_empty()).and_then(Pattern::prefix).map_or(Candidates::All, Candidates::IdPrefix);
        Candidates::and([ids, prefix, self.types.as_ref().map_or(Candidates::All, TypeSelection::candidates)])
    }
}

/// Which instances of Attributes are looked at and returned (parameter datasetId). Empty: all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetIds(pub Vec<Option<String>>);

impl DatasetIds {
    /// Reads a comma-separated list of URIs and `@none`.
    ///
    /// # Errors
    /// [`QueryError`] when an item is neither.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let read = |item: &str| match item {
            "@none" => Ok(None),
            uri if waybill_model::Iri::is_valid(uri) => Ok(Some(uri.to_owned())),
            _ => Err(QueryError::invalid("datasetId", 0, "an item is neither a URI nor @none", "Write datasetId=urn:a,urn:b or @none.")),
        };
        text.split(',').map(read).collect::<Result<_, _>>().map(Self)
    }
    /// Whether an instance with this datasetId is looked at.
    pub fn admits(&self, id: Option<&str>) -> bool {
        self.0.is_empty() || self.0.iter().any(|want| want.as_deref() == id)
    }
}

/// A query for Entities. All parts must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityQuery {
    /// Identifier and type: one selector suffices. Empty: every Entity.
    pub selectors: Vec<EntitySelector>,
    /// The attribute query.
    pub q: Option<Q>,
    /// The geo-query.
    pub geo: Option<GeoQuery>,
    /// The scope query.
    pub scope: Option<ScopeQuery>,
    /// The instances looked at and returned.
    pub datasets: DatasetIds,
    /// What is returned of each Entity; its `attrs` also filters.
    pub projection: Projection,
    /// In which order; by identifier when nothing is said.
    pub order: Option<OrderBy>,
    /// How many at most.
    pub limit: usize,
    /// How many are passed over.
    pub offset: usize,
    /// Whether the number of all is wanted.
    pub count: bool,
}

impl EntityQuery {
    /// A query for everything, a page of 20.
    pub fn new() -> Self {
        Self { limit: 20, ..Self::default() }
    }
    /// A query for one selector.
    pub fn of(selector: EntitySelector) -> Self {
        Self { selectors: vec![selector], ..Self::new() }
    }
    /// A query for some types.
    pub fn of_types(types: TypeSelection) -> Self {
        Self::of(EntitySelector { types: Some(types), ..EntitySelector::default() })
    }

    /// Whether `doc` is a result. The caller hands in the document as the recipient may see it.
    pub fn matches(&self, doc: &EntityDoc) -> bool {
        self.fits_type_and_id(doc)
            && (self.datasets.0.is_empty() || doc.spans().iter().any(|s| self.datasets.admits(doc.dataset_id(s))))
            && self.projection.wants(doc)
            && self.scope.as_ref().is_none_or(|s| s.matches(doc))
            && self.q.as_ref().is_none_or(|q| q.matches_with(doc, &self.datasets, None))
            && self.geo.as_ref().is_none_or(|g| g.matches_with(doc, &self.datasets))
    }

    /// What every result satisfies and an index can answer.
    pub fn candidates(&self) -> Candidates {
        let selected = if self.selectors.is_empty() { Candidates::All } else { Candidates::or(self.selectors.iter().map(EntitySelector::candidates)) };
        let attrs = self.projection.attrs.as_ref().map_or(Candidates::All, |list| Candidates::or(list.iter().cloned().map(Candidates::HasAttr)));
        let q = self.q.as_ref().map_or(Candidates::All, Q::candidates);
        let scope = self.scope.as_ref().map_or(Candidates::All, ScopeQuery::candidates);
        Candidates::and([selected, attrs, q, scope, self.geo.as_ref().map_or(Candidates::All, GeoQuery::candidates)])
    }

    /// Whether identifier and types of `doc` are those asked for: what can be told without looking at Attributes.
    pub fn fits_type_and_id(&self, doc: &EntityDoc) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|s| s.matches(doc))
    }

    /// Types of which every result has at least one; empty when there may be results of any type.
    pub fn type_names(&self) -> Vec<Iri> {
        let mut all = Vec::new();
        for selector in &self.selectors {
            let Some(names) = selector.types.as_ref().and_then(TypeSelection::needed) else { return Vec::new() };
            all.extend(names.iter().filter_map(|n| Iri::new(n).ok()));
        }
        all
    }

    /// Whether it asks for nothing that narrows it (clause 5.7.2.4): a type, an Attribute, a geo-query. Identifiers alone do not.
    pub fn is_too_wide(&self) -> bool {
        let typed = self.selectors.iter().any(|s| s.types.as_ref().is_some_and(|t| *t != TypeSelection::Any));
        let system = |name: &String| ["createdAt", "modifiedAt", "deletedAt", "expiresAt"].iter().any(|s| name.strip_prefix(waybill_model::NGSI_LD) == Some(s));
        let picked = self.projection.attrs.as_ref().is_some_and(|list| !list.iter().all(system));
        !typed && !picked && self.geo.is_none() && !self.q.as_ref().is_some_and(Q::names_attribute)
    }
}
