//! What one [`Scope`] may see. Decided per Attribute, before any filter looks at it (architecture decisions 5 and 6).

use crate::fault;
use crate::governance::{Class, Governance};
use crate::inbound::{self, InboundEnvelope};
use crate::licence::{Held, Licence};
use crate::pairwise::{Pair, PairKeys};
use crate::reason::{Reason, Tally};
use crate::transform;
use crate::visible::{Came, Right, VisibleDoc};
use crate::window::{Accumulator, WINDOW};
use std::borrow::Cow;
use std::sync::Arc;
use waybill_consent::{ConsentBook, ConsentError, ConsentView, Grant, Reach, Transform};
use waybill_model::{AttributeSpan, DateTime, DocBuilder, EntityDoc, EnvelopeHash, InstanceMeta, Iri, Scope};
use waybill_policy::{Member, Request, Target};
use waybill_store::{Reader, StoreError};

/// The eyes of one caller at one moment. Made by [`crate::Gate::view`].
#[derive(Clone)]
pub struct View {
    pub(crate) scope: Scope,
    pub(crate) now: DateTime,
    pub(crate) governance: Arc<Governance>,
    pub(crate) book: Arc<ConsentBook>,
    pairs: Arc<PairKeys>,
    kind: Kind,
}

/// The action of disclosing to a recipient.
const DISTRIBUTE: &str = "http://www.w3.org/ns/odrl/2/distribute";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The operator: the bundled policy lets him see the hub's own store.
    Operator,
    /// A party with an agreement, or, in [`Eyes`], one whose licence is in force.
    Party { open: bool },
    /// A party with a licence, which the state that is looked at knows of: what it may see is said by [`Eyes`] alone.
    Licensed,
    /// Anybody else.
    Nobody,
}

impl View {
    pub(crate) fn new(scope: &Scope, now: DateTime, governance: Arc<Governance>, book: Arc<ConsentBook>, pairs: Arc<PairKeys>) -> Self {
        let kind = if governance.is_licensed(scope) {
            // Whatever else is agreed with the same party: who calls under a licence is held to it.
            Kind::Licensed
        } else if scope.is_operator() {
            Kind::Operator
        } else if scope.recipient.as_ref() == Some(&governance.party) {
            Kind::Party { open: true }
        } else {
            governance.agreement(scope.recipient.as_ref()).map_or(Kind::Nobody, |a| Kind::Party { open: a.open })
        };
        let mut scope = scope.clone();
        if matches!(kind, Kind::Party { .. }) && scope.recipient.as_ref() != Some(&governance.party) {
            // A follower keeps the purpose it was made with; what the agreement no longer names is no purpose any more.
            let agreed = governance.agreement(scope.recipient.as_ref()).map_or(&[][..], |a| a.purposes.as_slice());
            scope.purpose = scope.purpose.filter(|purpose| agreed.contains(purpose));
        }
        Self { scope, now, governance, book, pairs, kind }
    }

    /// The scope this view belongs to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
    /// The moment it was made.
    pub fn now(&self) -> DateTime {
        self.now
    }

    /// See [`Governance::is_licensed`].
    pub fn is_licensed(&self) -> bool {
        self.kind == Kind::Licensed
    }

    /// See [`Governance::is_deaf`].
    pub fn is_deaf(&self, hears_deletions: bool) -> bool {
        self.governance.is_deaf(&self.scope, hears_deletions)
    }

    /// This view of the state that `reader` has. What it answers is of one moment.
    ///
    /// # Errors
    /// The store's.
    pub fn eyes<'a>(&'a self, reader: &'a Reader<'a>) -> Result<Eyes<'a>, StoreError> {
        let consents = self.book.view(reader).map_err(told)?;
        let mut eyes = Eyes { view: self, reader, consents, kind: self.kind, purpose: self.scope.purpose.as_ref(), licence: None };
        if let (Kind::Licensed, Some(id)) = (self.kind, &self.scope.agreement) {
            eyes.kind = Kind::Nobody;
            if let Some(held) = Licence::held(reader, id, &self.pairs)?.filter(|held| held.is_for(&self.scope) && held.is_in_force(self.now)) {
                eyes.kind = Kind::Party { open: held.open };
                eyes.purpose = eyes.purpose.filter(|purpose| held.purposes.contains(purpose) || fault::off("gate-licence-purpose"));
                eyes.licence = Some(Arc::new(held));
            }
        }
        Ok(eyes)
    }
}

/// A [`View`] of one state of the store.
pub struct Eyes<'a> {
    view: &'a View,
    reader: &'a Reader<'a>,
    consents: ConsentView<'a>,
    /// What the view says, or, of a licensed caller, what its licence in this state does.
    kind: Kind,
    /// The purpose that counts: of a licensed caller, one that its licence names.
    purpose: Option<&'a Iri>,
    /// The licence that is in force.
    licence: Option<Arc<Held>>,
}

/// What the consent room could not read keeps everything closed: the whole answer fails.
fn told(e: ConsentError) -> StoreError {
    match e {
        ConsentError::Store(e) => e,
        other => StoreError::Corrupt(other.to_string()),
    }
}

impl std::ops::Deref for Eyes<'_> {
    type Target = View;
    fn deref(&self) -> &View {
        self.view
    }
}

impl Eyes<'_> {
    /// Whether a filter on the stored value of the Attribute `name` tells the same as one on what this recipient sees: only then
    /// may an index answer for it. True for the operator, and for Attributes that are open for these types; an entity that has a type
    /// besides may not be, so those of several types are looked at in any case.
    pub fn sees_stored_value(&self, types: &[Iri], name: &str) -> bool {
        // Where identifiers are the organisation's own, so is what Relationships point to.
        if self.licence.as_ref().is_some_and(|held| held.pair.is_some() || !held.names(name)) {
            return false;
        }
        match self.kind {
            Kind::Operator => true,
            Kind::Party { open: true } => self.governance.class_of(types.iter().map(Iri::as_str), name) == Class::Open && !types.is_empty(),
            _ => false,
        }
    }

    /// The licence in force under which the caller looks, if that is how it does.
    pub fn licence(&self) -> Option<&Licence> {
        self.licence.as_ref().map(|held| &held.licence)
    }

    /// Whether entities that are about persons are shown under identifiers that are the caller's own. Then they are in no order that others know.
    pub fn renames(&self) -> bool {
        self.pair().is_some()
    }

    /// The identifier that `asked` may stand for. An entity that is found by it and is not shown as `asked` is none for this caller.
    pub fn stored_id(&self, asked: &str) -> String {
        self.pair().and_then(|pair| pair.stored(asked)).unwrap_or_else(|| asked.to_owned())
    }

    fn pair(&self) -> Option<&Pair> {
        self.licence.as_ref().and_then(|held| held.pair.as_ref())
    }

    /// The key to rename `doc` with, where it leaves under an identifier of the caller's own. That goes by what may be personal of its types, not
    /// by what is visible now: an entity must not leave under the one identifier today and under the other once she consents.
    fn renaming(&self, doc: &EntityDoc) -> Option<&Pair> {
        let pair = self.pair()?;
        let open = fault::off("gate-pair-same") || doc.types().next().is_some() && doc.types().all(|ty| self.governance.is_open_throughout(ty));
        (!open || doc.spans().iter().any(|span| span.envelope.is_some()) || self.holds_personal(doc) && !fault::off("gate-pair-same")).then_some(pair)
    }

    /// Where of the tenant's own entities of `types` anything can be visible at all, when that follows from whom the recipient has grants of:
    /// for a party, of types whose Attributes are all personal and that no other basis opens to it. What came from other hubs is beside it.
    ///
    /// # Errors
    /// The store's.
    pub fn reach(&self, types: &[Iri]) -> Result<Option<Arc<Reach>>, StoreError> {
        let own = |party: &Iri| self.licence.is_none() && *party == self.governance.party;
        let Some(recipient) = self.scope.recipient.as_ref().filter(|party| !own(party)) else { return Ok(None) };
        if !matches!(self.kind, Kind::Party { .. }) || types.is_empty() {
            return Ok(None);
        }
        let names = |list: &[Iri]| list.is_empty() || list.iter().any(|t| types.contains(t));
        let open = self.governance.classes.iter().any(|rule| rule.class == Class::Open && names(&rule.types));
        let other = self.governance.basis.iter().any(|grant| &grant.recipient == recipient && grant.assets.iter().any(|asset| names(&asset.types)));
        if open || other {
            return Ok(None);
        }
        self.consents.reach(&self.scope.tenant, recipient).map_err(told)
    }

    /// The entity as this recipient may see it; nothing when she may not know that it exists. Notes in `tally` what stayed closed.
    ///
    /// # Errors
    /// The store's.
    pub fn mask(&self, doc: &EntityDoc, tally: &mut Tally) -> Result<Option<VisibleDoc>, StoreError> {
        tally.stale.clear();
        if self.kind == Kind::Nobody {
            tally.note(if self.view.kind == Kind::Licensed { Reason::LicenceOver } else { Reason::NoAgreement }, &[]);
            return Ok(None);
        }
        if self.licence.as_ref().is_some_and(|held| !held.covers(doc)) {
            tally.note(Reason::NotLicensed, &[]);
            return Ok(None);
        }
        if let Some(whole) = self.whole(doc) {
            return Ok(Some(whole));
        }
        let renaming = self.renaming(doc);
        let shown_as = renaming.map(|pair| pair.of(doc.id()));
        let mut builder = DocBuilder::new(shown_as.as_ref().map_or(doc.id(), Iri::as_str), doc.types(), [], None).sized_like(doc);
        let (mut rights, mut personal) = (Vec::with_capacity(doc.spans().len()), false);
        let mut expires_at: Option<DateTime> = None;
        for span in doc.spans() {
            if span.expires_at.is_some_and(|at| at <= self.now) {
                continue;
            }
            match self.decide(doc, span)? {
                Decided::Open(text, right) => {
                    let mut meta = InstanceMeta::of(doc, span);
                    if let Right::Grants(grants) = &right {
                        // When the source last changed would tell of values that are not shown.
                        let from = grants.iter().filter_map(|g| g.valid.from).max().unwrap_or(self.now);
                        (meta.created_at, meta.modified_at) = (from, from);
                        let until = grants.iter().filter_map(|g| g.valid.until).min();
                        expires_at = [expires_at, until].into_iter().flatten().min();
                    }
                    let text = match (renaming, text.as_deref().unwrap_or_else(|| doc.instance(span))) {
                        (None, text) => Cow::Borrowed(text),
                        // What cannot be read may name what must not be named.
                        (Some(pair), text) => match pair.rename(text) {
                            Some(text) => Cow::Owned(text),
                            None => continue,
                        },
                    };
                    builder.instance(doc.name(span), &text, meta);
                    personal |= !matches!(right, Right::Open);
                    rights.push(right);
                }
                Decided::Closed(reason, subjects) => {
                    tally.note(reason, &subjects);
                    if reason == Reason::Stale {
                        tally.stale.push((doc.name(span).to_owned(), doc.dataset_id(span).map(str::to_owned)));
                    }
                }
            }
        }
        if builder.is_empty() {
            return Ok(None);
        }
        // The entity's own times and version tell of Attributes that are hidden.
        let masked = builder.finish(waybill_model::SystemColumns { created_at: self.now, modified_at: self.now, expires_at: None, version: 0, envelope: None });
        let times = masked.spans().iter().map(|s| (s.created_at, s.modified_at));
        let (created_at, modified_at) = times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((self.now, self.now));
        let mut masked = masked;
        (masked.system.created_at, masked.system.modified_at) = (created_at, modified_at);
        let stored = shown_as.map(|_| doc.id().to_owned());
        Ok(Some(VisibleDoc { doc: masked, stored, rights, personal, projected: Vec::new(), as_of: self.consents.revision(), licence: self.licence.clone() }))
    }

    /// The fast way for what needs no look inside: everything visible as it stands.
    fn whole(&self, doc: &EntityDoc) -> Option<VisibleDoc> {
        if doc.spans().iter().any(|s| s.envelope.is_some() || s.expires_at.is_some_and(|at| at <= self.now)) {
            return None;
        }
        if self.licence.as_ref().is_some_and(|held| !held.attributes.is_empty()) || self.renaming(doc).is_some() {
            return None;
        }
        let all = |right: Right| VisibleDoc { doc: doc.clone(), stored: None, rights: vec![right; doc.spans().len()], personal: false, projected: Vec::new(), as_of: self.consents.revision(), licence: self.licence.clone() };
        match self.kind {
            Kind::Operator => Some(VisibleDoc { personal: self.holds_personal(doc), ..all(Right::Operator) }),
            Kind::Party { open: true } if !self.holds_personal(doc) => Some(all(Right::Open)),
            _ => None,
        }
    }

    fn holds_personal(&self, doc: &EntityDoc) -> bool {
        if doc.spans().is_empty() {
            return self.governance.class_of(doc.types(), "") == Class::Personal;
        }
        let types: Vec<&str> = doc.types().collect();
        let mut last = "";
        doc.spans().iter().any(|span| {
            let name = doc.name(span);
            // Instances of one Attribute stand together and have one class.
            let same = name == last;
            last = name;
            !same && self.governance.class_of(types.iter().copied(), name) == Class::Personal
        })
    }

    fn decide(&self, doc: &EntityDoc, span: &AttributeSpan) -> Result<Decided, StoreError> {
        if self.licence.as_ref().is_some_and(|held| !held.names(doc.name(span))) {
            return Ok(Decided::Closed(Reason::NotLicensed, Vec::new()));
        }
        if let Some(hash) = span.envelope {
            return match self.decide_inbound(hash)? {
                Decided::Open(_, right) => self.decide_imported(doc, span, right),
                closed @ Decided::Closed(..) => Ok(closed),
            };
        }
        if self.kind == Kind::Operator {
            return Ok(Decided::Open(None, Right::Operator));
        }
        let name = doc.name(span);
        if self.governance.class_of(doc.types(), name) == Class::Open {
            return Ok(match self.kind {
                Kind::Party { open: true } => Decided::Open(None, Right::Open),
                _ => Decided::Closed(Reason::NoAgreement, Vec::new()),
            });
        }
        self.decide_personal(doc, span, name)
    }

    /// Personal data of this hub: who is it about, and did they (or another lawful basis) open it to this recipient for this purpose?
    fn decide_personal(&self, doc: &EntityDoc, span: &AttributeSpan, name: &str) -> Result<Decided, StoreError> {
        let Some(recipient) = &self.scope.recipient else { return Ok(Decided::Closed(Reason::NoAgreement, Vec::new())) };
        let bound = self.consents.bound(&self.scope.tenant, doc.id(), Some(name), self.now).map_err(told)?;
        if bound.is_unbound() {
            return Ok(Decided::Closed(Reason::Unbound, Vec::new()));
        }
        let types: Vec<&str> = doc.types().collect();
        // Another lawful basis does not ask her; what it opens stays open whatever she does with her consents.
        let mut why = Reason::NoGrant;
        let basis = self.governance.basis.iter().filter(|g| &g.recipient == recipient);
        if let Some((grant, transform)) = self.choose(basis, doc, &types, name, &mut why)
            && let Some(decided) = self.shown(doc, span, name, &transform, vec![Grant { subject: bound.subjects.first().cloned(), ..grant.clone() }], None)?
        {
            return Ok(decided);
        }
        // What was written before they were bound is about whoever was there before.
        if bound.since.is_some_and(|since| span.modified_at < since) {
            return Ok(Decided::Closed(Reason::NotYet, bound.subjects));
        }
        let mut chosen: Vec<Grant> = Vec::new();
        let mut transform: Option<Transform> = None;
        for decider in &bound.deciders {
            let set = self.consents.grants(&self.scope.tenant, decider).map_err(told)?;
            let Some((grant, allowed)) = self.choose(set.of(recipient.as_str()), doc, &types, name, &mut why) else {
                return Ok(Decided::Closed(why, bound.subjects));
            };
            transform = Some(match transform {
                None => allowed,
                Some(other) => other.and(allowed),
            });
            chosen.push(grant.clone());
        }
        let Some(transform) = transform else { return Ok(Decided::Closed(why, bound.subjects)) };
        let shown = self.shown(doc, span, name, &transform, chosen, bound.since)?;
        Ok(shown.unwrap_or(Decided::Closed(Reason::NotYet, bound.subjects)))
    }

    /// The first of `grants` that opens the Attribute now, for this purpose, with the precision it allows.
    fn choose<'g>(&self, grants: impl Iterator<Item = &'g Grant>, doc: &EntityDoc, types: &[&str], name: &str, why: &mut Reason) -> Option<(&'g Grant, Transform)> {
        for grant in grants {
            for asset in grant.assets_about(types.iter().copied(), name) {
                if !grant.is_open(self.now) {
                    *why = if grant.state.is_given() { Reason::Time } else { Reason::Withdrawn };
                    continue;
                }
                let Some(purpose) = self.purpose else {
                    *why = Reason::Purpose;
                    continue;
                };
                let precision = asset.transform.canonical();
                let request = Request {
                    target: Target { asset: Some(Member::only(doc.id())), types: Some(types), attribute: Some(name), precision: Some(&precision) },
                    assignee: Some(Member::only(grant.controller.as_str())),
                    recipient: Some(Member::only(grant.recipient.as_str())),
                    purpose: Some(purpose.as_str()),
                    time: Some(self.now),
                    // Nothing was reported of duties; what passing on asks for is asked for then.
                    duties: Some(&[]),
                    ..Request::new(DISTRIBUTE)
                };
                if grant.policy().decide(&request).allow {
                    return Some((grant, asset.transform.clone()));
                }
                let covered = grant.purposes.iter().any(|p| p == purpose || self.governance.purposes.covers(p.as_str(), purpose.as_str(), grant.purpose_version));
                *why = if covered { Reason::Policy } else { Reason::Purpose };
            }
        }
        None
    }

    #[allow(clippy::too_many_arguments, reason = "what, how, and by whose right are all needed")]
    fn shown(&self, doc: &EntityDoc, span: &AttributeSpan, name: &str, transform: &Transform, grants: Vec<Grant>, since: Option<DateTime>) -> Result<Option<Decided>, StoreError> {
        // Further instances are dropped unless the precision is the whole value (decision 6): a mean is of the default instance.
        if span.dataset_id.is_some() {
            return Ok(None);
        }
        let from = grants.iter().filter_map(|g| g.valid.from).chain(since).max().unwrap_or(DateTime::from_micros(0));
        let accumulator = match transform {
            Transform::Mean { window, zone, .. } => {
                let key = crate::window::key(self.scope.tenant.as_str(), doc.id(), name, i64::from(*window), zone);
                self.reader.doc(WINDOW, &key)?.and_then(|row| serde_json::from_slice::<Accumulator>(&row.payload).ok())
            }
            _ => None,
        };
        let text = transform::apply(transform, doc.instance(span), accumulator.as_ref(), from);
        Ok(text.map(|text| Decided::Open(Some(text), Right::Grants(grants))))
    }

    /// Data that came from another hub: its envelope decides, whoever asks (consent-design §5).
    fn decide_inbound(&self, hash: EnvelopeHash) -> Result<Decided, StoreError> {
        let closed = |reason, subjects: &[Iri]| Ok(Decided::Closed(reason, subjects.to_vec()));
        let Some(inbound) = InboundEnvelope::read(self.reader, hash)? else { return closed(Reason::UnknownEnvelope, &[]) };
        let subjects = [inbound.consent().clone()];
        let came = || Arc::new(Came { hash, sender: inbound.sender.clone(), consent: inbound.consent().clone() });
        if inbound.state != inbound::State::Live {
            return closed(Reason::Withdrawn, &subjects);
        }
        if !inbound.within_validity(self.now) {
            return closed(Reason::Time, &subjects);
        }
        // Who issued it may ask for less patience than this hub has, never for more.
        let patience = self.governance.max_stale_seconds.min(i64::from(inbound.envelope.claims.st.max_stale));
        // What is imported is under an envelope of this hub's own: of whom there is to be heard is the provider.
        let stale = if self.governance.is_import(&inbound.sender) {
            inbound::is_unheard(self.reader, &inbound.sender, self.now)?
        } else {
            inbound::is_stale(self.reader, &inbound.sender, self.now, patience)?
        };
        if stale {
            return closed(Reason::Stale, &subjects);
        }
        let own = self.kind == Kind::Operator || self.licence.is_none() && self.scope.recipient.as_ref() == Some(&self.governance.party);
        if own {
            let purpose = self.kind == Kind::Operator || self.purpose.is_some_and(|p| inbound.allows_purpose(&self.governance.purposes, p));
            return if purpose { Ok(Decided::Open(None, Right::Inbound(came()))) } else { closed(Reason::Purpose, &subjects) };
        }
        let Some(recipient) = &self.scope.recipient else { return closed(Reason::NoAgreement, &subjects) };
        if !inbound.may_pass_on_to(recipient) {
            return closed(Reason::NotForwardable, &subjects);
        }
        if !self.purpose.is_some_and(|p| inbound.allows_purpose(&self.governance.purposes, p)) {
            return closed(Reason::Purpose, &subjects);
        }
        Ok(Decided::Open(None, Right::Onward(came())))
    }

    /// What was imported under an agreement alone: that stands between organisations, so what is about a person needs her word beside it, as
    /// everything of hers does here. The operator looks after the store.
    fn decide_imported(&self, doc: &EntityDoc, span: &AttributeSpan, right: Right) -> Result<Decided, StoreError> {
        let name = doc.name(span);
        let alone = matches!(&right, Right::Inbound(came) | Right::Onward(came) if self.governance.is_import(&came.sender));
        if !alone || self.kind == Kind::Operator || self.governance.class_of(doc.types(), name) == Class::Open {
            return Ok(Decided::Open(None, right));
        }
        Ok(match self.decide_personal(doc, span, name)? {
            Decided::Open(text, _) => Decided::Open(text, right),
            closed @ Decided::Closed(..) => closed,
        })
    }
}

enum Decided {
    /// Visible: changed to this text, or as it stands.
    Open(Option<String>, Right),
    Closed(Reason, Vec<Iri>),
}
