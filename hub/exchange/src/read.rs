//! Reading entities: who sees what is decided first, then filters, counts and pages are taken of that.

use crate::fault;
use crate::hub::Hub;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;
use waybill_gate::{Eyes, Licence, Page, Released, Tally, VisibleDoc};
use waybill_model::{Iri, Problem, ProblemCode, Scope};
use waybill_query::{Candidates, EntityQuery};
use waybill_store::{Filter, Reader, StoreError};

/// How many entities are put in an order at once.
const MAX_SORTED: usize = 10_000;
/// How many identifiers are put in an order at once.
const MAX_SHUFFLED: usize = 1_000_000;
/// Entities of personal types that are all looked at, so that each refusal stands on somebody's page.
const WALKED: usize = 2000;
/// How often a read is begun anew when consents change under it.
const LOOKS: u32 = 16;
/// The largest page.
pub const MAX_LIMIT: usize = 1000;

impl Hub {
    /// One entity as the caller may see it, with only the Attributes for which `keep` holds.
    ///
    /// # Errors
    /// 404, in the same words whether it is hidden, missing or foreign; the store's.
    pub async fn retrieve(&self, scope: &Scope, id: &Iri, keep: impl Fn(&str) -> bool + Send + Sync + 'static) -> Result<Released<Page>, Problem> {
        let keep = Arc::new(keep);
        look_again(|| self.retrieve_once(scope, id, keep.clone())).await
    }

    async fn retrieve_once(&self, scope: &Scope, id: &Iri, keep: Arc<impl Fn(&str) -> bool + Send + Sync + 'static>) -> Result<Released<Page>, Problem> {
        let view = self.inner.gate.view(scope);
        let (seen, wanted, tenant) = (view.clone(), id.clone(), scope.tenant.clone());
        let (found, tally) = self
            .inner
            .store
            .read(move |r| {
                let mut tally = Tally::default();
                let now = seen.now();
                let eyes = seen.eyes(r)?;
                let doc = r.entity(&tenant, &eyes.stored_id(wanted.as_str()))?.filter(|d| d.system.expires_at.is_none_or(|at| at > now));
                let visible = match doc {
                    // Asked for by an identifier by which it is not shown, it is missing.
                    Some(doc) => eyes.mask(&doc, &mut tally)?.filter(|v| v.id() == wanted.as_str() || fault::off("exchange-pair-true-name")),
                    None => None,
                };
                Ok((visible.map(|v| v.project(|name| keep(name))), tally))
            })
            .await?;
        let found: Vec<VisibleDoc> = found.into_iter().collect();
        let missing = found.is_empty();
        let beside = self.pulled(&view, &found);
        let page = self.inner.gate.release_page(&view, found, None, tally, &format!("retrieve {id}"), beside).await?;
        if missing {
            return Err(Problem::new(ProblemCode("entity-not-found"), 404, "Entity not found", "there is no such entity, or not for this caller")
                .of_type("https://uri.etsi.org/ngsi-ld/errors/ResourceNotFound"));
        }
        Ok(page)
    }

    /// A page of the entities that fit `query`, as the caller may see them, with their number when `count` is asked for. Filters
    /// and counts see only what the caller sees. `keep` is the projection, applied after the filters.
    ///
    /// # Errors
    /// The store's.
    pub async fn query(&self, scope: &Scope, query: EntityQuery, keep: impl Fn(&str) -> bool + Send + Sync + 'static) -> Result<Released<Page>, Problem> {
        let (query, keep) = (Arc::new(query), Arc::new(keep));
        look_again(|| self.query_once(scope, query.clone(), keep.clone())).await
    }

    async fn query_once(&self, scope: &Scope, query: Arc<EntityQuery>, keep: Arc<impl Fn(&str) -> bool + Send + Sync + 'static>) -> Result<Released<Page>, Problem> {
        let view = self.inner.gate.view(scope);
        let digest = format!("query {query:?}");
        let (seen, tenant) = (view.clone(), scope.tenant.clone());
        let (found, total, tally, too_many) = self
            .inner
            .store
            .read(move |r| {
                let mut tally = Tally::default();
                let eyes = seen.eyes(r)?;
                let filter = within_reach(r, &eyes, types_of(&query), filter_for(&eyes, &query), &mut tally)?;
                let (mut page, mut total, mut failed) = (Vec::new(), 0u64, None);
                let mut shuffled = (eyes.renames() && query.order.is_none() && !fault::off("exchange-pair-order")).then(|| Shuffled::new(&query));
                r.candidates(&tenant, &filter, None, |doc| {
                    match eyes.mask(&doc, &mut tally) {
                        Ok(Some(visible)) if visible.matches(&query) => {
                            total += 1;
                            tally.matched_personal += u64::from(visible.is_personal());
                            if let Some(shuffled) = &mut shuffled {
                                if query.count {
                                    visible.count(&mut tally);
                                }
                                return shuffled.take(&visible);
                            }
                            if query.order.is_some() {
                                page.push(visible);
                                return if page.len() > MAX_SORTED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                            }
                            if total > query.offset as u64 && page.len() < query.limit {
                                page.push(visible);
                            } else if query.count {
                                visible.count(&mut tally);
                            }
                            if !query.count && page.len() == query.limit && query.limit > 0 {
                                // One more tells whether there is a next page.
                                return if total > (query.offset + query.limit) as u64 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                            }
                        }
                        Ok(_) => {}
                        Err(e) => {
                            failed = Some(e);
                            return ControlFlow::Break(());
                        }
                    }
                    ControlFlow::Continue(())
                })?;
                if let Some(e) = failed {
                    return Err(e);
                }
                let mut too_many = page.len() > MAX_SORTED;
                if let Some(shuffled) = shuffled {
                    too_many = shuffled.too_many;
                    for id in shuffled.page(&query) {
                        let Some(doc) = r.entity(&tenant, &id)? else { continue };
                        page.extend(eyes.mask(&doc, &mut Tally::default())?);
                    }
                    page.iter().filter(|_| query.count).for_each(|shown: &VisibleDoc| shown.uncount(&mut tally));
                }
                if let Some(order) = &query.order {
                    if eyes.renames() {
                        // Those that are equal would stay in the order of their true identifiers.
                        page.sort_by(|a: &VisibleDoc, b| a.id().cmp(b.id()));
                    }
                    VisibleDoc::sort(&mut page, order);
                    let shown = query.offset..query.offset.saturating_add(query.limit);
                    for beside in page.iter().enumerate().filter(|(at, _)| query.count && !shown.contains(at)).map(|(_, v)| v) {
                        beside.count(&mut tally);
                    }
                    page = page.into_iter().skip(query.offset).take(query.limit).collect();
                }
                let page: Vec<VisibleDoc> = page.into_iter().map(|v: VisibleDoc| v.project(|name| keep(name))).collect();
                Ok((page, total, tally, too_many))
            })
            .await?;
        if too_many {
            self.inner.gate.note_closed(&view, tally, &digest).await?;
            return Err(Problem::new(ProblemCode("too-many-to-order"), 403, "Too many to order", format!("more than {MAX_SORTED} entities match, and an order needs all of them at once"))
                .of_type("https://uri.etsi.org/ngsi-ld/errors/TooManyResults")
                .help("Narrow the query, or leave `orderBy` out."));
        }
        let beside = self.pulled(&view, &found);
        self.inner.gate.release_page(&view, found, Some(total), tally, &digest, beside).await
    }
}

/// A page in the order of the identifiers that a caller knows things by. The order of the store is the same for every caller: whoever compares
/// two such lists would find by the places what is the same in both.
struct Shuffled {
    /// The first of all: as shown, and as stored.
    first: BinaryHeap<(String, String)>,
    wanted: usize,
    too_many: bool,
}

impl Shuffled {
    fn new(query: &EntityQuery) -> Self {
        let wanted = query.offset.saturating_add(query.limit);
        Self { first: BinaryHeap::new(), wanted, too_many: wanted > MAX_SHUFFLED }
    }
    fn take(&mut self, visible: &VisibleDoc) -> ControlFlow<()> {
        if self.too_many {
            return ControlFlow::Break(());
        }
        self.first.push((visible.id().to_owned(), visible.stored_id().to_owned()));
        if self.first.len() > self.wanted {
            self.first.pop();
        }
        ControlFlow::Continue(())
    }
    fn page(self, query: &EntityQuery) -> impl Iterator<Item = String> {
        self.first.into_sorted_vec().into_iter().skip(query.offset).map(|(_, stored)| stored)
    }
}

/// Looks once more when a consent changed between looking and releasing; what is released then is as it now stands.
pub(crate) async fn look_again<T, F>(look: impl Fn() -> F) -> Result<Released<T>, Problem>
where
    F: Future<Output = Result<Released<T>, Problem>>,
{
    for _ in 0..LOOKS {
        match look().await {
            Err(problem) if problem.code == "store-conflict" => {}
            other => return other,
        }
    }
    Err(Problem::new(ProblemCode("busy-consent"), 503, "Consents kept changing", "what the answer stands on changed each time before it could be released")
        .help("Try again in a moment."))
}

impl Hub {
    /// Whether anything is stored for the tenant. The default tenant is always known.
    ///
    /// # Errors
    /// The store's.
    pub async fn knows_tenant(&self, tenant: &waybill_model::TenantId) -> Result<bool, Problem> {
        if tenant.as_str().is_empty() {
            return Ok(true);
        }
        let tenant = tenant.clone();
        Ok(self.inner.store.read(move |r| Ok(!r.types(&tenant)?.is_empty() || !crate::follow::followers_of(r, &tenant)?.is_empty())).await?)
    }
}

/// The types that a query names; empty when it may be any.
pub(crate) fn types_of(query: &EntityQuery) -> Vec<Iri> {
    let mut out = Vec::new();
    for selector in &query.selectors {
        let names = selector.types.as_ref().map(waybill_query::TypeSelection::names).unwrap_or_default();
        if names.is_empty() {
            return Vec::new();
        }
        out.extend(names.into_iter().filter_map(|n| Iri::new(n).ok()));
    }
    out
}

/// Whether `doc` fits by identifier and type.
pub(crate) fn fits(query: &EntityQuery, doc: &waybill_model::EntityDoc) -> bool {
    query.selectors.is_empty() || query.selectors.iter().any(|s| s.matches(doc))
}

/// The indexes may answer only what they answer as the recipient would see it: a condition on a stored value counts only where she
/// sees the stored value; elsewhere it is left to the filter behind the mask.
fn filter_for(eyes: &Eyes<'_>, query: &EntityQuery) -> Filter {
    let types = types_of(query);
    let candidates = if eyes.renames() { as_stored(eyes, query).candidates() } else { query.candidates() };
    let filter = lower(&candidates, &|name| eyes.sees_stored_value(&types, name));
    if eyes.scope().is_operator() { filter } else { or_several_types(filter) }
}

/// The query by the identifiers of the store. Only to look by: what is found is compared with what was asked as the caller knows it.
fn as_stored(eyes: &Eyes<'_>, query: &EntityQuery) -> EntityQuery {
    let mut query = query.clone();
    for selector in &mut query.selectors {
        selector.ids.iter_mut().for_each(|id| *id = eyes.stored_id(id));
        selector.id_pattern = None;
    }
    query
}

/// Of large stores of personal data, only what somebody granted the caller anything of is looked at. Of the rest it is known that it stays
/// closed, and counted once.
pub(crate) fn within_reach(r: &Reader<'_>, eyes: &Eyes<'_>, mut types: Vec<Iri>, mut filter: Filter, tally: &mut Tally) -> Result<Filter, StoreError> {
    if let Some(licence) = eyes.licence() {
        // What it does not cover need not be looked at.
        filter = Filter::And(vec![filter, dataset(licence)]);
        if types.is_empty() {
            types.clone_from(&licence.types);
        }
    }
    let tenant = &eyes.scope().tenant;
    let Some(reach) = eyes.reach(&types)? else { return Ok(filter) };
    let all = Filter::Types(types.iter().map(ToString::to_string).collect());
    if !r.holds_more(tenant, &all, WALKED)? {
        return Ok(filter);
    }
    let came = r.docs(crate::fan::CAME_UNDER, "", WALKED + 1, None)?;
    if came.len() > WALKED {
        return Ok(filter);
    }
    let mut ids = reach.entities.clone();
    ids.extend(came.iter().filter_map(|doc| doc.key.split(crate::rows::SEP).nth(2)).map(str::to_owned));
    let heads = reach.heads.iter().map(|head| Filter::IdPrefix(head.clone()));
    tally.not_looked_at();
    Ok(Filter::And(vec![filter, Filter::Or(std::iter::once(Filter::Ids(ids)).chain(heads).collect())]))
}

/// The entities that a licence covers.
fn dataset(licence: &Licence) -> Filter {
    let texts = |list: &[Iri]| list.iter().map(ToString::to_string).collect();
    let types = Filter::Types(texts(&licence.types));
    if licence.ids.is_empty() { types } else { Filter::And(vec![types, Filter::Ids(texts(&licence.ids))]) }
}

/// An Attribute that is open for one type may be personal for another that the entity has too, and shown changed: then its stored value
/// may not decide.
fn or_several_types(filter: Filter) -> Filter {
    match filter {
        Filter::NumRange { .. } | Filter::TextEq { .. } | Filter::TimeRange { .. } | Filter::BoolEq { .. } | Filter::BBox { .. } | Filter::HasAttr(_) => {
            Filter::Or(vec![filter, Filter::SeveralTypes])
        }
        Filter::And(list) => Filter::And(list.into_iter().map(or_several_types).collect()),
        Filter::Or(list) => Filter::Or(list.into_iter().map(or_several_types).collect()),
        other => other,
    }
}

fn lower(candidates: &Candidates, open: &dyn Fn(&str) -> bool) -> Filter {
    use Candidates as C;
    match candidates {
        C::Ids(ids) => Filter::Ids(ids.clone()),
        C::IdPrefix(head) => Filter::IdPrefix(head.clone()),
        C::Types(types) => Filter::Types(types.clone()),
        C::HasAttr(attr) if open(attr) => Filter::HasAttr(attr.clone()),
        C::NumRange { attr, lo, hi } if open(attr) => Filter::NumRange { attr: attr.clone(), lo: *lo, hi: *hi },
        C::TextEq { attr, text } if open(attr) => Filter::TextEq { attr: attr.clone(), text: text.clone() },
        C::TimeRange { attr, lo, hi } if open(attr) => Filter::TimeRange { attr: attr.clone(), lo: *lo, hi: *hi },
        C::BoolEq { attr, value } if open(attr) => Filter::BoolEq { attr: attr.clone(), value: *value },
        C::BBox { attr, bounds } if open(attr) => Filter::BBox { attr: attr.clone(), bounds: *bounds },
        C::And(list) => Filter::And(list.iter().map(|c| lower(c, open)).collect()),
        C::Or(list) => Filter::Or(list.iter().map(|c| lower(c, open)).collect()),
        _ => Filter::All,
    }
}
