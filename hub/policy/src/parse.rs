//! JSON to policy, for the shapes of JSON-LD that ODRL policies come in: compacted with ODRL's terms, with `odrl:`, or with whole IRIs.

use crate::ast::{Action, Asset, Combine, Conflict, Constraint, Atom, Logic, Operator, Party, Policy, PolicyKind, Rule, Value};
use crate::diagnostic::{Diagnostic, cut};
use crate::json::{self, Json};
use crate::names::{Name, Names};
use crate::vocab::ODRL;
use std::collections::HashSet;
use waybill_model::Iri;

/// How deep conditions may nest.
pub const MAX_CONSTRAINT_DEPTH: usize = 24;

const HELP_FORM: &str = "Write the policy as ODRL 2.2 in compacted JSON-LD.";
const HELP_IRI: &str = "Write an absolute IRI, or a compact one with a prefix of the policy's @context.";
const HELP_TERM: &str = "Leave the member out: a policy with a part that is not enforced would promise too much.";

/// Reads a policy.
///
/// # Errors
/// Every fault found: text over 1 MiB, nested too deeply, a member twice, an unknown context, member, operator or kind, a name that is no IRI.
pub fn parse(text: &[u8]) -> Result<Policy, Vec<Diagnostic>> {
    let root = json::read(text).map_err(|d| vec![d])?;
    let mut reader = Reader { names: Names::default(), faults: Vec::new(), dataspace: false };
    let policy = reader.policy(&root);
    reader.done(policy)
}

/// Reads an offer or agreement out of a message of the Dataspace Protocol (2025-1, `contract-schema.json`).
///
/// It is read as [`parse`] reads a policy, with what the protocol has differently: it is an `Offer` or an `Agreement` and says so, it
/// permits or prohibits something, and its own name, target and parties (as they stand on the policy, never on a rule) are identifiers
/// that need not be IRIs; whoever keeps it as a policy of the hub's puts the IRIs meant in their place, for [`parse`] takes nothing else.
/// A bare name of a left operand or action means ODRL's, as in the protocol's examples. The value was parsed by
/// the caller, so a member that stood twice in the text cannot be seen here any more.
///
/// # Errors
/// Every fault found, as [`parse`].
pub fn read_offer(offer: &serde_json::Value) -> Result<Policy, Vec<Diagnostic>> {
    let root = json::from_value(offer).map_err(|d| vec![d])?;
    let mut reader = Reader { names: Names::default(), faults: Vec::new(), dataspace: true };
    let policy = reader.policy(&root);
    if let Some(policy) = &policy {
        if policy.kind == PolicyKind::Set {
            reader.fault("policy-unsupported-kind", "/@type", "this is neither an offer nor an agreement", "Say so with @type.");
        }
        if policy.permissions.is_empty() && policy.prohibitions.is_empty() {
            reader.fault("policy-not-odrl", "", "it neither permits nor prohibits anything", "Name a permission or a prohibition.");
        }
    }
    reader.done(policy)
}

impl Policy {
    /// Reads a policy: the same as [`parse`].
    ///
    /// # Errors
    /// As [`parse`].
    pub fn parse(text: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        parse(text)
    }

    /// The agreement that an offer becomes. The protocol gives rules no names, and a duty without one is never reported as done, so those
    /// without get one from the policy's name and their place.
    #[must_use]
    pub fn into_agreement(mut self) -> Self {
        self.kind = PolicyKind::Agreement;
        let duties = |p: &Self| p.permissions.iter().flat_map(|r| &r.duties).chain(&p.obligations).filter_map(|d| d.uid.clone()).collect();
        let mut taken: HashSet<String> = duties(&self);
        let mut next = 0usize;
        let all = self.permissions.iter_mut().flat_map(|r| &mut r.duties).chain(&mut self.obligations);
        for duty in all.filter(|d| d.uid.is_none()) {
            let name = loop {
                next += 1;
                let name = format!("{}#duty-{next}", self.uid);
                if taken.insert(name.clone()) {
                    break name;
                }
            };
            duty.uid = Some(name);
        }
        self
    }
}

struct Reader {
    names: Names,
    faults: Vec<Diagnostic>,
    /// Whether this is the shape of the Dataspace Protocol.
    dataspace: bool,
}

type Members<'j> = Vec<(Name, &'j Json)>;

/// One value, a list, or JSON-LD's `@set` and `@list` around it.
fn each(value: &Json) -> Vec<&Json> {
    match value {
        Json::List(items) => items.iter().collect(),
        Json::Object(m) if m.len() == 1 && matches!(m[0].0.as_str(), "@list" | "@set") => match &m[0].1 {
            Json::List(items) => items.iter().collect(),
            other => vec![other],
        },
        other => vec![other],
    }
}

impl Reader {
    fn done(self, policy: Option<Policy>) -> Result<Policy, Vec<Diagnostic>> {
        match policy {
            Some(policy) if self.faults.is_empty() => Ok(policy),
            _ if self.faults.is_empty() => Err(vec![Diagnostic::new("policy-not-odrl", "/", "this is not a policy", HELP_FORM)]),
            _ => Err(self.faults),
        }
    }

    fn fault(&mut self, code: &'static str, at: &str, message: impl std::fmt::Display, help: &'static str) {
        if self.faults.len() < 50 {
            self.faults.push(Diagnostic::new(code, at, message, help));
        }
    }

    fn members<'j>(&mut self, value: &'j Json, at: &str) -> Option<Members<'j>> {
        let Json::Object(list) = value else {
            self.fault("policy-not-odrl", at, "an object is needed here", HELP_FORM);
            return None;
        };
        let mut out: Members = Vec::with_capacity(list.len());
        let mut seen = HashSet::new();
        for (key, value) in list {
            let name = self.names.member(key);
            if !matches!(name, Name::Annotation | Name::Foreign(_)) && !seen.insert(name.clone()) {
                self.fault("policy-duplicate-member", at, format_args!("`{}` says again what another member says", cut(key)), "Write each member once.");
            }
            out.push((name, value));
        }
        Some(out)
    }

    /// Everything but what a caller handles is refused by name, except remarks.
    fn refuse(&mut self, name: &Name, at: &str) {
        match name {
            Name::Annotation | Name::Context => {}
            Name::Odrl(t) => self.fault("policy-unsupported-term", at, format_args!("`odrl:{}` is not supported here", cut(t)), HELP_TERM),
            Name::Waybill(t) => self.fault("policy-unsupported-term", at, format_args!("`waybill:{}` is not known here", cut(t)), HELP_TERM),
            Name::Type => self.fault("policy-unsupported-term", at, "a type is not expected here", HELP_TERM),
            Name::Foreign(t) => self.fault("policy-unsupported-term", at, format_args!("`{}` is not a term of ODRL or of Waybill", cut(t)), HELP_TERM),
        }
    }

    /// A name: text, `{"@id": …}` or a list of exactly one of them.
    fn iri(&mut self, value: &Json, at: &str, vocab: bool) -> Option<String> {
        let text = match value {
            Json::Text(t) => Some(t),
            Json::Object(m) if m.len() == 1 && matches!(m[0].0.as_str(), "@id" | "uid" | "id") => {
                if let Json::Text(t) = &m[0].1 { Some(t) } else { None }
            }
            Json::List(l) if l.len() == 1 && !matches!(l[0], Json::List(_)) => return self.iri(&l[0], at, vocab),
            _ => None,
        };
        let iri = text.and_then(|t| self.names.iri(t, vocab));
        if iri.is_none() {
            // Terms are named; an identifier may be a person's.
            let what = text.filter(|_| vocab).map_or("this".to_owned(), |t| format!("`{}`", cut(t)));
            self.fault("policy-not-an-iri", at, format_args!("{what} is not an absolute IRI"), HELP_IRI);
        }
        iri
    }

    /// In the protocol's shape: an identifier on the policy that is no IRI, as connectors give them to assets and participants.
    fn identifier(&self, value: &Json) -> Option<String> {
        let text = match value {
            Json::Text(t) => t,
            Json::Object(m) if m.len() == 1 && m[0].0 == "@id" => {
                if let Json::Text(t) = &m[0].1 { t } else { return None }
            }
            _ => return None,
        };
        let usable = self.dataspace && !text.is_empty() && !text.starts_with("_:") && self.names.iri(text, false).is_none() && Iri::is_valid(&format!("urn:x:{text}"));
        usable.then(|| text.clone())
    }

    /// The name of a rule or condition. A blank node's label names nothing outside the document.
    fn own_name(&mut self, value: &Json, at: &str) -> Option<String> {
        match value {
            Json::Text(label) if label.starts_with("_:") => None,
            other => self.iri(other, at, false),
        }
    }

    /// The local names, in ODRL, of the types of an object; types of other vocabularies are passed over.
    fn types(&mut self, value: &Json, at: &str) -> Vec<String> {
        let mut out = Vec::new();
        for item in each(value) {
            if let Some(iri) = self.iri(item, at, true)
                && let Some(local) = iri.strip_prefix(ODRL)
            {
                out.push(local.to_owned());
            }
        }
        out
    }

    fn policy(&mut self, root: &Json) -> Option<Policy> {
        // An expanded document is a list of one node.
        let root = match root {
            Json::List(l) if l.len() == 1 => &l[0],
            other => other,
        };
        if let Json::Object(list) = root {
            for (_, context) in list.iter().filter(|(k, _)| k == "@context") {
                self.names.read_context(context, &mut self.faults);
            }
        }
        let members = self.members(root, "")?;
        let mut policy = Policy::set("");
        let mut kind = None;
        let mut shared = Rule::default();
        for (name, value) in &members {
            match name {
                Name::Odrl(t) => match t.as_str() {
                    "uid" => policy.uid = self.identifier(value).or_else(|| self.iri(value, "/uid", false)).unwrap_or_default(),
                    "profile" => {
                        for item in each(value) {
                            policy.profiles.extend(self.iri(item, "/profile", false));
                        }
                    }
                    "conflict" => {
                        let iri = self.iri(value, "/conflict", true).unwrap_or_default();
                        match iri.strip_prefix(ODRL) {
                            Some("perm") => policy.conflict = Conflict::Perm,
                            Some("prohibit") => policy.conflict = Conflict::Prohibit,
                            Some("invalid") => policy.conflict = Conflict::Invalid,
                            _ => self.fault("policy-unsupported-term", "/conflict", "the conflict strategy is not perm, prohibit or invalid", HELP_FORM),
                        }
                    }
                    "permission" => policy.permissions = self.rules(value, "/permission", "Permission"),
                    "prohibition" => policy.prohibitions = self.rules(value, "/prohibition", "Prohibition"),
                    "obligation" => policy.obligations = self.rules(value, "/obligation", "Duty"),
                    "target" => match self.identifier(value) {
                        Some(uid) => shared.targets = vec![Asset { uid: Some(uid), ..Asset::default() }],
                        None => shared.targets = self.assets(value, "/target"),
                    },
                    "assignee" | "assigner" => {
                        let parties = match self.identifier(value) {
                            Some(uid) => vec![Party { uid: Some(uid), ..Party::default() }],
                            None => self.parties(value, &format!("/{t}")),
                        };
                        if t == "assignee" { shared.assignees = parties } else { shared.assigners = parties }
                    }
                    "action" => shared.actions = self.actions(value, "/action"),
                    _ => self.refuse(name, &format!("/{t}")),
                },
                Name::Type => {
                    for local in self.types(value, "/@type") {
                        let this = match local.as_str() {
                            "Set" => PolicyKind::Set,
                            "Policy" => continue,
                            "Offer" => PolicyKind::Offer,
                            "Agreement" => PolicyKind::Agreement,
                            _ => {
                                self.fault("policy-unsupported-kind", "/@type", format_args!("a policy of kind `{}` is not evaluated", cut(&local)), "Use Set, Offer or Agreement.");
                                continue;
                            }
                        };
                        if kind.replace(this).is_some_and(|k| k != this) {
                            self.fault("policy-unsupported-kind", "/@type", "a policy is of one kind", "Use Set, Offer or Agreement.");
                        }
                    }
                }
                Name::Waybill(t) if t == "purposeVersion" => match version(value) {
                    Some(v) => policy.purpose_version = v,
                    None => self.fault("policy-not-odrl", "/purposeVersion", "the version of the purpose scheme is a whole number from 1", HELP_FORM),
                },
                other => self.refuse(other, ""),
            }
        }
        if policy.uid.is_empty() {
            self.fault("policy-not-odrl", "/uid", "a policy needs a uid that is an IRI", HELP_IRI);
        }
        policy.kind = kind.unwrap_or(PolicyKind::Set);
        self.one_way_of_naming(&policy, &shared);
        // What the policy says once holds for each rule that does not say it itself (ODRL 2.2 clause 2.7.1, compact policies).
        for rule in policy.permissions.iter_mut().chain(&mut policy.prohibitions).chain(&mut policy.obligations) {
            if rule.targets.is_empty() {
                rule.targets.clone_from(&shared.targets);
            }
            if rule.assignees.is_empty() {
                rule.assignees.clone_from(&shared.assignees);
            }
            if rule.assigners.is_empty() {
                rule.assigners.clone_from(&shared.assigners);
            }
            if rule.actions.is_empty() {
                rule.actions.clone_from(&shared.actions);
            }
        }
        // A reference to a rule that stands elsewhere, most likely. Read as a permission it would open everything.
        let empty = |r: &Rule| r.targets.is_empty() && r.assignees.is_empty() && r.actions.is_empty() && r.constraints.is_empty();
        if policy.permissions.iter().any(empty) {
            self.fault("policy-empty-rule", "/permission", "a permission names neither target, party, action nor condition", HELP_FORM);
        }
        Some(policy)
    }

    /// A prohibition would not stand on what a permission names in another way, so with an identifier that is no IRI there is only that.
    fn one_way_of_naming(&mut self, policy: &Policy, shared: &Rule) {
        let odd = |uid: Option<&str>| uid.is_some_and(|u| !Iri::is_valid(u));
        let (target, assignee) = (shared.targets.iter().any(|t| odd(t.uid.as_deref())), shared.assignees.iter().any(|a| odd(a.uid.as_deref())));
        let mut rules = policy.permissions.iter().chain(&policy.prohibitions).chain(&policy.obligations);
        if rules.any(|r| (target && !r.targets.is_empty()) || (assignee && !r.assignees.is_empty())) {
            self.fault("policy-not-an-iri", "/", "a rule names another target or party beside one of the policy that is no IRI", HELP_IRI);
        }
    }

    /// A list that is there may not be empty: read as "any" it would open what somebody meant to close.
    fn filled<'j>(&mut self, value: &'j Json, at: &str) -> Vec<&'j Json> {
        let items = each(value);
        if items.is_empty() {
            self.fault("policy-empty-list", at, "the list is empty", "Leave the member out, or name something.");
        }
        items
    }

    fn rules(&mut self, value: &Json, at: &str, class: &str) -> Vec<Rule> {
        // An empty list of rules permits nothing and prohibits nothing, so it is harmless.
        each(value).into_iter().enumerate().filter_map(|(i, item)| self.rule(item, &format!("{at}/{i}"), class)).collect()
    }

    fn rule(&mut self, value: &Json, at: &str, class: &str) -> Option<Rule> {
        let members = self.members(value, at)?;
        let mut rule = Rule::default();
        for (name, value) in &members {
            match name {
                Name::Odrl(t) => {
                    let here = format!("{at}/{t}");
                    match t.as_str() {
                        "uid" => rule.uid = self.own_name(value, &here),
                        "target" => rule.targets = self.assets(value, &here),
                        "assignee" => rule.assignees = self.parties(value, &here),
                        "assigner" => rule.assigners = self.parties(value, &here),
                        "action" => rule.actions = self.actions(value, &here),
                        "constraint" => rule.constraints = self.constraints(value, &here, 0),
                        "duty" if class == "Permission" => rule.duties = self.rules(value, &here, "Duty"),
                        _ => self.refuse(name, &here),
                    }
                }
                Name::Type => {
                    let types = self.types(value, at);
                    if types.iter().any(|t| matches!(t.as_str(), "Permission" | "Prohibition" | "Duty") && t != class) {
                        self.fault("policy-wrong-rule", at, "the rule says that it is of another kind than its place says", "Put each rule where it belongs.");
                    }
                }
                other => self.refuse(other, at),
            }
        }
        Some(rule)
    }

    fn assets(&mut self, value: &Json, at: &str) -> Vec<Asset> {
        self.things(value, at, "AssetCollection").into_iter().map(|(uid, collection, refinements)| Asset { uid, collection, refinements }).collect()
    }

    fn parties(&mut self, value: &Json, at: &str) -> Vec<Party> {
        self.things(value, at, "PartyCollection").into_iter().map(|(uid, collection, refinements)| Party { uid, collection, refinements }).collect()
    }

    fn things(&mut self, value: &Json, at: &str, collection_type: &str) -> Vec<(Option<String>, bool, Vec<Constraint>)> {
        let mut out = Vec::new();
        for item in self.filled(value, at) {
            if let Json::Text(_) = item {
                if let Some(iri) = self.iri(item, at, false) {
                    out.push((Some(iri), false, Vec::new()));
                }
                continue;
            }
            let Some(members) = self.members(item, at) else { continue };
            let (mut uid, mut source, mut collection, mut refinements) = (None, None, false, Vec::new());
            for (name, value) in &members {
                match name {
                    Name::Odrl(t) if t == "uid" => uid = self.iri(value, at, false),
                    Name::Odrl(t) if t == "source" => source = self.iri(value, at, false),
                    Name::Odrl(t) if t == "refinement" => refinements = self.constraints(value, &format!("{at}/refinement"), 0),
                    Name::Type => collection = self.types(value, at).iter().any(|t| t == collection_type),
                    other => self.refuse(other, at),
                }
            }
            let uid = uid.or(source);
            if uid.is_none() && refinements.is_empty() {
                self.fault("policy-empty-target", at, "neither a name nor a refinement says what is meant", "Give a uid, a source or a refinement.");
            }
            out.push((uid, collection, refinements));
        }
        out
    }

    fn actions(&mut self, value: &Json, at: &str) -> Vec<Action> {
        let mut out = Vec::new();
        for item in self.filled(value, at) {
            match item {
                Json::Object(m) if m.len() > 1 || !matches!(m.first(), Some((k, _)) if k == "@id") => {
                    let Some(members) = self.members(item, at) else { continue };
                    let mut action = Action::default();
                    for (name, value) in &members {
                        match name {
                            // ODRL 2.2 writes the action of a refined action as rdf:value, its JSON-LD examples as a list with @id.
                            Name::Odrl(t) if t == "uid" || t == "source" => action.iri = self.iri(value, at, true).unwrap_or_default(),
                            Name::Foreign(t) if t == "http://www.w3.org/1999/02/22-rdf-syntax-ns#value" || t == "rdf:value" || t == "value" => {
                                action.iri = self.iri(value, at, true).unwrap_or_default();
                            }
                            Name::Odrl(t) if t == "refinement" => action.refinements = self.constraints(value, &format!("{at}/refinement"), 0),
                            Name::Type => {
                                self.types(value, at);
                            }
                            other => self.refuse(other, at),
                        }
                    }
                    if action.iri.is_empty() {
                        self.fault("policy-not-odrl", at, "the action has no name", HELP_FORM);
                    }
                    out.push(action);
                }
                other => {
                    if let Some(iri) = self.iri(other, at, true) {
                        out.push(Action { iri, refinements: Vec::new() });
                    }
                }
            }
        }
        out
    }

    fn constraints(&mut self, value: &Json, at: &str, depth: usize) -> Vec<Constraint> {
        if depth > MAX_CONSTRAINT_DEPTH {
            self.fault("policy-too-deep", at, "conditions nest too deeply", "Nest at most 24 deep.");
            return Vec::new();
        }
        self.filled(value, at).into_iter().filter_map(|item| self.constraint(item, at, depth)).collect()
    }

    fn constraint(&mut self, value: &Json, at: &str, depth: usize) -> Option<Constraint> {
        let members = self.members(value, at)?;
        let (mut uid, mut operand, mut operator, mut right, mut datatype, mut logic) = (None, None, None, None, None, None);
        for (name, value) in &members {
            match name {
                Name::Odrl(t) => match t.as_str() {
                    "uid" => uid = self.own_name(value, at),
                    "leftOperand" => operand = self.iri(value, at, true),
                    "operator" => {
                        // Read here, so that what is no name at all is named too.
                        let iri = match value {
                            Json::Text(t) => self.names.iri(t, true).unwrap_or_else(|| t.clone()),
                            other => self.iri(other, at, true).unwrap_or_default(),
                        };
                        operator = iri.strip_prefix(ODRL).and_then(Operator::named);
                        if operator.is_none() {
                            self.fault("policy-unknown-operator", at, format_args!("the operator `{}` is not of ODRL 2.2", cut(&iri)), HELP_FORM);
                        }
                    }
                    "rightOperand" => right = Some(self.values(value, at)),
                    "dataType" => datatype = self.iri(value, at, false),
                    "and" | "or" | "xone" | "andSequence" => {
                        let how = match t.as_str() {
                            "and" => Combine::And,
                            "or" => Combine::Or,
                            "xone" => Combine::Xone,
                            _ => Combine::AndSequence,
                        };
                        let of = self.constraints(value, at, depth + 1);
                        if logic.replace((how, of)).is_some() {
                            self.fault("policy-not-odrl", at, "a condition combines in one way", "Nest one combination in the other.");
                        }
                    }
                    _ => self.refuse(name, at),
                },
                Name::Type => {
                    self.types(value, at);
                }
                other => self.refuse(other, at),
            }
        }
        match (logic, operand, operator, right) {
            (Some((how, of)), None, None, None) => Some(Constraint::Logic(Logic { uid, how, of })),
            (None, Some(operand), Some(operator), Some(mut right)) => {
                if datatype.is_some() {
                    for value in &mut right {
                        if let Value::Literal(_, d) = value {
                            d.clone_from(&datatype);
                        }
                    }
                }
                Some(Constraint::Atom(Atom { uid, operand, operator, right }))
            }
            _ => {
                self.fault("policy-not-odrl", at, "a condition has leftOperand, operator and rightOperand, or one of and, or, xone, andSequence", HELP_FORM);
                None
            }
        }
    }

    fn values(&mut self, value: &Json, at: &str) -> Vec<Value> {
        let mut out = Vec::new();
        for item in self.filled(value, at) {
            let value = match item {
                Json::Text(t) => {
                    // A text that can be a name is one; operands that want a literal take its text.
                    let iri = self.names.expand(t);
                    Some(if iri == *t { Value::Literal(iri, None) } else { Value::Iri(iri) })
                }
                Json::Number(n) => Some(Value::Literal(n.to_string(), None)),
                Json::Object(m) => self.typed(m, at),
                _ => None,
            };
            match value {
                Some(v) => out.push(v),
                None => self.fault("policy-not-odrl", at, "the right operand is neither a name nor a literal", HELP_FORM),
            }
        }
        out
    }

    fn typed(&mut self, members: &[(String, Json)], at: &str) -> Option<Value> {
        let text = |key: &str| members.iter().find(|(k, _)| k == key).and_then(|(_, v)| if let Json::Text(t) = v { Some(t.as_str()) } else { None });
        if members.len() == 1 && members[0].0 == "@id" {
            return self.iri(&members[0].1, at, false).map(Value::Iri);
        }
        let known = members.iter().all(|(k, _)| matches!(k.as_str(), "@value" | "@type"));
        let literal = text("@value")?;
        let datatype = text("@type").map(|t| self.names.expand(t));
        known.then(|| Value::Literal(literal.to_owned(), datatype))
    }
}

/// A whole number from 1, plain or as a JSON-LD literal.
fn version(value: &Json) -> Option<u32> {
    let number = match value {
        Json::Number(n) => n.as_u64(),
        Json::Object(m) => m.iter().find(|(k, _)| k == "@value").and_then(|(_, v)| if let Json::Number(n) = v { n.as_u64() } else { None }),
        Json::List(l) if l.len() == 1 && !matches!(l[0], Json::List(_)) => return version(&l[0]),
        _ => None,
    };
    number.and_then(|n| u32::try_from(n).ok()).filter(|n| *n >= 1)
}
