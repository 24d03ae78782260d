//! Policy to JSON, in the compacted form that ODRL's context gives.

use crate::ast::{Action, Asset, Combine, Conflict, Constraint, Party, Policy, PolicyKind, Rule, Value as Right};
use serde_json::{Map, Value, json};

impl Policy {
    /// The policy as compacted JSON-LD with whole IRIs: what [`Policy::parse`] reads back as the same policy.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        out.insert("@context".into(), json!("http://www.w3.org/ns/odrl.jsonld"));
        let kind = match self.kind {
            PolicyKind::Set => "Set",
            PolicyKind::Offer => "Offer",
            PolicyKind::Agreement => "Agreement",
        };
        out.insert("@type".into(), json!(kind));
        out.insert("uid".into(), json!(self.uid));
        if !self.profiles.is_empty() {
            out.insert("profile".into(), json!(self.profiles));
        }
        let conflict = match self.conflict {
            Conflict::Perm => "perm",
            Conflict::Prohibit => "prohibit",
            Conflict::Invalid => "invalid",
        };
        out.insert("conflict".into(), json!(conflict));
        out.insert("https://w3id.org/waybill/ns#purposeVersion".into(), json!(self.purpose_version));
        for (name, rules) in [("permission", &self.permissions), ("prohibition", &self.prohibitions), ("obligation", &self.obligations)] {
            if !rules.is_empty() {
                out.insert(name.into(), rules.iter().map(rule).collect());
            }
        }
        Value::Object(out)
    }
}

fn rule(rule: &Rule) -> Value {
    let mut out = Map::new();
    if let Some(uid) = &rule.uid {
        out.insert("uid".into(), json!(uid));
    }
    let mut put = |name: &str, list: Vec<Value>| {
        if !list.is_empty() {
            out.insert(name.into(), Value::Array(list));
        }
    };
    put("target", rule.targets.iter().map(asset).collect());
    put("assignee", rule.assignees.iter().map(party).collect());
    put("assigner", rule.assigners.iter().map(party).collect());
    put("action", rule.actions.iter().map(action).collect());
    put("constraint", rule.constraints.iter().map(constraint).collect());
    put("duty", rule.duties.iter().map(self::rule).collect());
    Value::Object(out)
}

fn asset(asset: &Asset) -> Value {
    thing(asset.uid.as_deref(), asset.collection, "AssetCollection", &asset.refinements)
}

fn party(party: &Party) -> Value {
    thing(party.uid.as_deref(), party.collection, "PartyCollection", &party.refinements)
}

fn thing(uid: Option<&str>, collection: bool, kind: &str, refinements: &[Constraint]) -> Value {
    if let (Some(uid), false, []) = (uid, collection, refinements) {
        return json!(uid);
    }
    let mut out = Map::new();
    if collection {
        out.insert("@type".into(), json!(kind));
    }
    if let Some(uid) = uid {
        out.insert("uid".into(), json!(uid));
    }
    if !refinements.is_empty() {
        out.insert("refinement".into(), refinements.iter().map(constraint).collect());
    }
    Value::Object(out)
}

fn action(action: &Action) -> Value {
    if action.refinements.is_empty() {
        return json!(action.iri);
    }
    json!({"rdf:value": {"@id": action.iri}, "refinement": action.refinements.iter().map(constraint).collect::<Vec<_>>()})
}

fn constraint(c: &Constraint) -> Value {
    let mut out = Map::new();
    match c {
        Constraint::Atom(atom) => {
            if let Some(uid) = &atom.uid {
                out.insert("uid".into(), json!(uid));
            }
            out.insert("leftOperand".into(), json!(atom.operand));
            out.insert("operator".into(), json!(atom.operator.name()));
            out.insert("rightOperand".into(), atom.right.iter().map(right).collect());
        }
        Constraint::Logic(logic) => {
            if let Some(uid) = &logic.uid {
                out.insert("uid".into(), json!(uid));
            }
            let how = match logic.how {
                Combine::And => "and",
                Combine::Or => "or",
                Combine::Xone => "xone",
                Combine::AndSequence => "andSequence",
            };
            out.insert(how.into(), json!({"@list": logic.of.iter().map(constraint).collect::<Vec<_>>()}));
        }
    }
    Value::Object(out)
}

fn right(value: &Right) -> Value {
    match value {
        Right::Iri(iri) => json!({"@id": iri}),
        Right::Literal(text, Some(datatype)) => json!({"@value": text, "@type": datatype}),
        Right::Literal(text, None) => json!({"@value": text}),
    }
}
