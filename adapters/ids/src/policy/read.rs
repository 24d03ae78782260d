//! Policies and their rules, from IDS and from ODRL: the names of the parts are the same, and the few that are not say which side it is.

use crate::loss::{Effect, Losses};
use crate::model::{Action, Atom, Constraint, Hole, Operand, Order, Policy, PolicyKind, Refined, Right, Rule, RuleKind, Texts};
use crate::node::{Member, Node, Reader, code_or_name, is_rdf_value};
use crate::vocab::{ACTIONS, Compares, DCT, DESCRIPTIVE, IDS, IDSC, ODRL, ODRL_NAMES, OTHER_ACTIONS, POLICY_USAGE, compares, local, to_odrl};
use serde_json::Value;
use waybill_model::Iri;

/// Whose words a document is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Ids,
    Odrl,
}

impl Dialect {
    /// The namespace of names without a prefix.
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Ids => IDS,
            Self::Odrl => ODRL,
        }
    }
}

/// A document being read.
pub(crate) struct Reading<'r, 'a> {
    pub(crate) reader: &'r Reader<'a>,
    pub(crate) dialect: Dialect,
    pub(crate) losses: &'r mut Losses,
}

/// Dublin Core's words about a rule: they describe it and bind nobody.
const ABOUT: &[&str] = &["title", "description", "issued", "creator", "created", "modified", "identifier", "language", "publisher"];

impl<'a> Reading<'_, 'a> {
    /// An offer, request or agreement. `implied` is what its rules are about when they do not say so.
    pub(crate) fn policy(&mut self, node: &Node<'a>, implied: Option<&str>) -> Policy {
        let mut policy = Policy { place: node.place.clone(), id: self.name(node), kind: self.kind(node), ..Policy::default() };
        let mut targets = Vec::new();
        let mut rules = Vec::new();
        let mut stamp = None;
        for member in self.reader.members(node) {
            let place = &member.node.place;
            match member.name.as_str() {
                "permission" => rules.push((RuleKind::Permission, member)),
                "prohibition" => rules.push((RuleKind::Prohibition, member)),
                "obligation" => rules.push((RuleKind::Obligation, member)),
                "uid" => {}
                "profile" => policy.profile.extend(self.reader.items(&member.node).iter().filter_map(|n| self.reader.id(n))),
                "provider" | "assigner" => self.party_of_policy(&member, &mut policy.provider, &mut policy.holes),
                "consumer" | "assignee" => self.party_of_policy(&member, &mut policy.consumer, &mut policy.holes),
                "target" => self.refined(&member, &mut targets, &mut policy.holes),
                "contractStart" => policy.start = self.moment(&member, &mut policy.holes),
                "contractEnd" => policy.end = self.moment(&member, &mut policy.holes),
                "contractDate" => policy.date = self.moment(&member, &mut policy.holes),
                "timestamp" | "dspace:timestamp" => stamp = self.moment(&member, &mut policy.holes),
                "dct:type" if self.reader.id(&member.node).is_some_and(|t| t == format!("{IDS}ContractRequest")) => policy.kind = PolicyKind::Request,
                "conflict" => self.losses.dropped(place, "a strategy for rules that contradict each other, which IDS does not have", Effect::Stricter),
                "title" | "description" | "contractDocument" => self.describe(&member, &mut policy.texts),
                // A name of somebody else's is kept as it is; what it means is between its readers.
                name if member.qualified && name.contains(':') => self.describe(&member, &mut policy.texts),
                name => policy.holes.push(Hole::new(place, format!("`{name}` of a policy is not understood and may bind its rules"))),
            }
        }
        // DSP's own word is the one that counts; that of IDS beside it may say the datatype.
        if let Some((place, said)) = stamp
            && policy.date.as_ref().is_none_or(|(_, date)| text_of(date) != text_of(&said))
        {
            policy.date = Some((place, said));
        }
        for (kind, member) in rules {
            for item in self.reader.items(&member.node) {
                let mut rule = self.rule(&item, kind);
                if rule.targets.is_empty() {
                    rule.targets.clone_from(&targets);
                }
                if let (true, Some(id)) = (rule.targets.is_empty(), implied) {
                    rule.targets.push(Refined { place: rule.place.clone(), id: id.to_owned(), refinements: Vec::new() });
                }
                policy.rules.push(rule);
            }
        }
        policy
    }

    fn kind(&mut self, node: &Node<'a>) -> PolicyKind {
        let types = self.reader.types(node);
        let ends = |end: &str| types.iter().any(|t| t.ends_with(end));
        let kind = match () {
            () if ends("Agreement") => PolicyKind::Agreement,
            () if ends("Request") => PolicyKind::Request,
            () => PolicyKind::Offer,
        };
        let usual = ["ContractOffer", "ContractRequest", "ContractAgreement", "Offer", "Request", "Agreement"];
        if !types.iter().any(|t| usual.iter().any(|u| t == u || local(t, IDS) == Some(u) || local(t, ODRL) == Some(u))) {
            let said = types.first().map_or_else(|| "no type".to_owned(), |t| format!("the type {t}"));
            self.losses.kept(&node.place, format!("{said} of a policy"), format!("{kind:?}"), Effect::Same);
        }
        kind
    }

    fn party_of_policy(&mut self, member: &Member<'a>, slot: &mut Option<String>, holes: &mut Vec<Hole>) {
        let mut parties = Vec::new();
        self.refined(member, &mut parties, holes);
        for party in parties {
            let other = slot.as_ref().is_some_and(|s| *s != party.id);
            if other || !party.refinements.is_empty() {
                holes.push(Hole::new(&member.node.place, "a policy has one provider and one consumer, each whole"));
            } else {
                *slot = Some(party.id);
            }
        }
    }

    /// A point in time of the contract.
    fn moment(&mut self, member: &Member<'a>, holes: &mut Vec<Hole>) -> Option<(String, Operand)> {
        let items = self.reader.items(&member.node);
        let read = match &items[..] {
            [one] => self.operand(one).ok(),
            _ => None,
        };
        let read = read.map(|operand| match operand {
            // The property's range is a date and time; a bare text is one.
            Operand::Literal { text, datatype: None, language: None } => {
                Operand::Literal { text, datatype: Some(format!("{}dateTime", crate::vocab::XSD)), language: None }
            }
            other => other,
        });
        let spans = member.name.starts_with("contract") && member.name != "contractDate";
        match read {
            Some(operand @ Operand::Literal { .. }) if !spans || compares(operand.datatype()) == Compares::Instants => Some((member.node.place.clone(), operand)),
            _ => {
                holes.push(Hole::new(&member.node.place, format!("`{}` is not one date and time", member.name)));
                None
            }
        }
    }

    /// What stands under a name in ODRL's or DCAT's words.
    pub(crate) fn describe(&self, member: &Member<'a>, texts: &mut Texts) {
        let iri = if self.dialect == Dialect::Ids {
            let name = local(&member.iri, IDS).and_then(|l| DESCRIPTIVE.iter().find(|(ids, ..)| *ids == l));
            name.map_or_else(|| member.iri.clone(), |(_, namespace, name)| format!("{namespace}{name}"))
        } else if ["title", "description"].contains(&member.name.as_str()) && !member.qualified {
            format!("{DCT}{}", member.name)
        } else {
            member.iri.clone()
        };
        texts.push((iri, self.reader.there(&member.node)));
    }

    /// The identifier of a node, unless it is a blank one.
    pub(crate) fn name(&self, node: &Node<'a>) -> Option<String> {
        node.value.is_object().then(|| self.reader.id(node)).flatten().filter(|id| !id.starts_with("_:"))
    }

    fn rule(&mut self, node: &Node<'a>, kind: RuleKind) -> Rule {
        let mut rule = Rule { kind, place: node.place.clone(), id: self.name(node), ..Rule::default() };
        self.reader.take(node);
        let members = self.reader.members(node);
        if members.is_empty() {
            rule.holes.push(Hole::fatal(&node.place, "the rule is only named here and stands nowhere in the document"));
            return rule;
        }
        let permission = kind == RuleKind::Permission;
        let duties = matches!(kind, RuleKind::Duty(_) | RuleKind::Obligation);
        let mut part = Vec::new();
        for member in members {
            match (member.name.as_str(), self.dialect) {
                ("uid", _) => {}
                ("target", _) => self.refined(&member, &mut rule.targets, &mut rule.holes),
                ("assetRefinement", Dialect::Ids) => self.constraints(&member, false, &mut part, &mut rule.holes),
                ("assigner", _) => self.refined(&member, &mut rule.assigners, &mut rule.holes),
                ("assignee", _) => self.refined(&member, &mut rule.assignees, &mut rule.holes),
                ("action", _) => self.actions(&member, &mut rule),
                ("constraint", _) => self.constraints(&member, false, &mut rule.constraints, &mut rule.holes),
                ("preDuty" | "preObligation", Dialect::Ids) if permission => self.duties(&member, Some(Order::Pre), &mut rule),
                ("postDuty" | "postObligation", Dialect::Ids) if permission => self.duties(&member, Some(Order::Post), &mut rule),
                ("duty", Dialect::Odrl) if permission => self.duties(&member, None, &mut rule),
                ("informedParty", Dialect::Odrl) if duties => self.informed(&member, &mut part, &mut rule.holes),
                ("title" | "description" | "rdfs:label", _) => self.describe(&member, &mut rule.texts),
                (name, _) if name.strip_prefix("dct:").is_some_and(|n| ABOUT.contains(&n)) => self.describe(&member, &mut rule.texts),
                (name, _) => rule.holes.push(Hole::new(&member.node.place, format!("`{name}` of a {} is not understood", kind.name()))),
            }
        }
        rule.duties.sort_by_key(|d| d.kind == RuleKind::Duty(Some(Order::Post)));
        if rule.actions.is_empty() && !rule.holes.iter().any(|h| h.fatal) {
            rule.holes.push(Hole::fatal(&node.place, "the rule has no action"));
        }
        if self.dialect == Dialect::Odrl {
            for action in &mut rule.actions {
                action.refinements.extend(part.iter().cloned());
            }
        } else if !part.is_empty() {
            match &mut rule.targets[..] {
                [one] => one.refinements.extend(part),
                _ => rule.holes.push(Hole::new(&node.place, "the refinement of an asset that is not named")),
            }
        }
        rule
    }

    fn duties(&mut self, member: &Member<'a>, order: Option<Order>, rule: &mut Rule) {
        for item in self.reader.items(&member.node) {
            let mut duty = self.rule(&item, RuleKind::Duty(order));
            if order.is_none() {
                // When it is due, the last constraint of this form says; another of them is an ordinary one.
                if let Some((at, order)) = duty.constraints.iter().enumerate().rev().find_map(|(at, c)| Some((at, due(c)?))) {
                    duty.constraints.remove(at);
                    duty.kind = RuleKind::Duty(Some(order));
                }
            }
            rule.duties.push(duty);
        }
    }

    /// Who is to be informed, which IDS says by a refinement of the action.
    fn informed(&mut self, member: &Member<'a>, part: &mut Vec<Constraint>, holes: &mut Vec<Hole>) {
        let mut parties = Vec::new();
        self.refined(member, &mut parties, holes);
        let place = member.node.place.clone();
        if parties.iter().any(|p| !p.refinements.is_empty()) {
            holes.push(Hole::new(&place, "an informed party that is a part of a collection"));
            return;
        }
        self.losses.kept(&place, "the party that a duty informs", "the refinement RECIPIENT of its action", Effect::Same);
        part.push(Constraint::Atom(Box::new(Atom {
            place,
            id: None,
            left: format!("{ODRL}recipient"),
            ids_left: None,
            operator: "eq",
            ids_operator: None,
            right: Right::Values(parties.into_iter().map(|p| Operand::Iri(p.id)).collect()),
            unit: None,
            source: None,
        })));
    }

    fn actions(&mut self, member: &Member<'a>, rule: &mut Rule) {
        for item in self.reader.items(&member.node) {
            match self.action(&item, &mut rule.holes) {
                Some(action) => rule.actions.push(action),
                None => rule.holes.push(Hole::fatal(&item.place, "the action has no name that is understood")),
            }
        }
    }

    fn action(&mut self, node: &Node<'a>, holes: &mut Vec<Hole>) -> Option<Action> {
        let known = |name: &str| code_or_name(OTHER_ACTIONS, ACTIONS, ODRL_NAMES, name);
        let mut action = Action { place: node.place.clone(), iri: String::new(), refinements: Vec::new(), executor: None };
        let mut general = None;
        for member in self.reader.members(node) {
            match member.name.as_str() {
                "refinement" | "actionRefinement" => self.constraints(&member, true, &mut action.refinements, holes),
                "pxpEndpoint" => action.executor = Some(self.reader.whole(&member.node)),
                "includedIn" => general = self.reader.items(&member.node).first().and_then(|n| self.reader.term(n, known)),
                _ if is_rdf_value(&member) => general = self.reader.items(&member.node).first().and_then(|n| self.reader.term(n, known)),
                name => holes.push(Hole::new(&member.node.place, format!("`{name}` of an action is not understood"))),
            }
        }
        // A refined action is a new one inside that of the code list, often with an identifier that a program made up.
        let own = self.reader.term(node, known);
        let iri = match (own, general) {
            (Some(own), None) => own,
            (Some(own), Some(_)) if local(&own, IDSC).or_else(|| local(&own, ODRL)).is_some() => own,
            (_, Some(general)) => general,
            (None, None) => return None,
        };
        action.iri = to_odrl(ACTIONS, &iri).unwrap_or(iri);
        let listed = local(&action.iri, IDSC).map(|c| OTHER_ACTIONS.contains(&c));
        if listed == Some(false) || local(&action.iri, IDS).is_some() {
            self.losses.kept(&node.place, format!("the action {} stands in no code list", action.iri), "its name", Effect::Same);
        }
        Some(action)
    }

    /// Assets or parties.
    fn refined(&mut self, member: &Member<'a>, found: &mut Vec<Refined>, holes: &mut Vec<Hole>) {
        for item in self.reader.items(&member.node) {
            let mut refinements = Vec::new();
            let mut id = self.reader.id(&item);
            for inner in self.reader.members(&item) {
                match inner.name.as_str() {
                    "uid" => {}
                    "source" | "assetSource" => id = self.reader.items(&inner.node).first().and_then(|n| self.reader.id(n)).or(id),
                    "refinement" | "assetRefinement" => self.constraints(&inner, false, &mut refinements, holes),
                    // A resource that stands elsewhere in the document describes itself; only what makes it another asset counts here.
                    _ if item.is_referred_to() => {}
                    name if inner.qualified && name.contains(':') => {
                        self.losses.dropped(&inner.node.place, format!("`{name}`, which describes a {}", member.name), Effect::Description);
                    }
                    name => holes.push(Hole::new(&inner.node.place, format!("`{name}` of a {} is not understood", member.name))),
                }
            }
            let Some(id) = id else {
                // Of a prohibition on two things one of which is unknown, half would vanish.
                holes.push(Hole::fatal(&item.place, format!("the {} has no name", member.name)));
                continue;
            };
            if !Iri::is_valid(&id) {
                self.losses.kept(&item.place, format!("the name of the {} is no IRI", member.name), "it stands", Effect::Same);
            }
            found.push(Refined { place: item.place.clone(), id, refinements });
        }
    }

    pub(crate) fn constraints(&mut self, member: &Member<'a>, of_action: bool, found: &mut Vec<Constraint>, holes: &mut Vec<Hole>) {
        for item in self.reader.items(&member.node) {
            match self.constraint(&item, of_action, 0) {
                Ok(constraint) => found.push(constraint),
                Err(hole) => holes.push(hole),
            }
        }
    }

    /// A text, or the name of what stands there.
    pub(crate) fn text(&self, node: &Node<'a>) -> Option<String> {
        self.reader.items(node).first().and_then(|n| match n.value {
            Value::String(text) => Some(text.clone()),
            _ => self.reader.id(n),
        })
    }
}

fn text_of(operand: &Operand) -> &str {
    match operand {
        Operand::Iri(text) | Operand::Literal { text, .. } => text,
    }
}

/// Whether a constraint says that a duty is due before the permission is used, or after.
fn due(constraint: &Constraint) -> Option<Order> {
    let Constraint::Atom(atom) = constraint else { return None };
    let usage = matches!(&atom.right, Right::Values(v) if *v == [Operand::Iri(POLICY_USAGE.to_owned())]);
    let plain = atom.id.is_none() && atom.ids_left.is_none() && atom.ids_operator.is_none() && atom.unit.is_none() && atom.source.is_none();
    if local(&atom.left, ODRL) != Some("event") || !usage || !plain {
        return None;
    }
    match atom.operator {
        "lt" => Some(Order::Pre),
        "gt" => Some(Order::Post),
        _ => None,
    }
}
