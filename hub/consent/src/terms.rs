//! What a grant allows, without whose it is: the part that thousands of people who agreed to one notice have in common.

use crate::Transform;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waybill_model::{Iri, PartyId};

/// What the consent room needs to know of purposes. The policy room's taxonomy answers it.
pub trait PurposeCheck {
    /// Whether `iri` is a top concept: too wide to consent to.
    fn is_top(&self, iri: &str) -> bool;
    /// Whether `iri` is a purpose that the hub knows.
    fn known(&self, iri: &str) -> bool;
}

impl PurposeCheck for waybill_policy::Purposes {
    fn is_top(&self, iri: &str) -> bool {
        Self::is_top(self, iri)
    }
    fn known(&self, iri: &str) -> bool {
        self.get(iri).is_some()
    }
}

/// On what lawful basis data is used (GDPR Art. 6(1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// (a): the person's consent.
    Consent,
    /// (b): a contract with her.
    Contract,
    /// (c): a legal obligation.
    LegalObligation,
    /// (d): somebody's vital interests.
    VitalInterest,
    /// (e): a task in the public interest.
    PublicTask,
    /// (f): legitimate interests.
    LegitimateInterest,
}

impl Basis {
    /// Every basis.
    pub const ALL: [Self; 6] =
        [Self::Consent, Self::Contract, Self::LegalObligation, Self::VitalInterest, Self::PublicTask, Self::LegitimateInterest];

    /// The term of the Data Privacy Vocabulary's GDPR extension.
    pub const fn dpv(self) -> &'static str {
        match self {
            Self::Consent => "https://w3id.org/dpv/legal/eu/gdpr#A6-1-a",
            Self::Contract => "https://w3id.org/dpv/legal/eu/gdpr#A6-1-b",
            Self::LegalObligation => "https://w3id.org/dpv/legal/eu/gdpr#A6-1-c",
            Self::VitalInterest => "https://w3id.org/dpv/legal/eu/gdpr#A6-1-d",
            Self::PublicTask => "https://w3id.org/dpv/legal/eu/gdpr#A6-1-e",
            Self::LegitimateInterest => "https://w3id.org/dpv/legal/eu/gdpr#A6-1-f",
        }
    }
}

/// One Attribute and the precision in which it is granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asset {
    /// Expanded types, one of which the entity must have; empty means any type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Iri>,
    /// The Attribute's expanded name.
    pub attribute: Iri,
    /// What becomes of the value.
    pub transform: Transform,
}

impl Asset {
    /// What both allow; nothing when they are about other things, or no precision satisfies both.
    fn and(&self, other: &Self) -> Option<Self> {
        let types = match (self.types.as_slice(), other.types.as_slice()) {
            ([], types) | (types, []) => types.to_vec(),
            (one, two) => one.iter().filter(|t| two.contains(t)).cloned().collect(),
        };
        let apart = types.is_empty() && !(self.types.is_empty() && other.types.is_empty());
        let transform = self.transform.clone().and(other.transform.clone());
        (self.attribute == other.attribute && !apart && transform != Transform::Drop).then(|| Self { types, attribute: self.attribute.clone(), transform })
    }

    /// Whether it is about the Attribute `name` of an entity with `types`.
    pub fn is_about<'a>(&self, mut types: impl Iterator<Item = &'a str>, name: &str) -> bool {
        self.attribute.as_str() == name && (self.types.is_empty() || types.any(|t| self.types.iter().any(|own| own.as_str() == t)))
    }
}

/// What a grant allows to one recipient. Shared by all grants with the same content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The process of the record.
    pub process: String,
    /// The lawful basis.
    pub basis: Basis,
    /// Who decides about the use.
    pub controller: PartyId,
    /// Who receives.
    pub recipient: PartyId,
    /// For what; one or more.
    pub purposes: Vec<Iri>,
    /// The version of the purpose scheme at the time of the notice: what was added to a purpose later is not covered.
    pub purpose_version: u32,
    /// What. Of an agreement between organisations there is none: it is about whatever came under it.
    pub assets: Vec<Asset>,
    /// To whom the recipient may pass it on, under the same terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distribute_to: Vec<PartyId>,
}

const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
const NS: &str = waybill_model::WAYBILL;

impl Terms {
    /// SHA-256 of the canonical text.
    pub fn id(&self) -> [u8; 32] {
        // INVARIANT: plain members; serialising cannot fail.
        waybill_keys::jcs_hash(&serde_json::to_value(self).unwrap_or_default())
    }

    /// What both allow to their one recipient, and nothing beyond: for data that is about two people. `covers` says whether a purpose covers
    /// another in a version of the scheme. Nothing when they have no purpose or no asset in common.
    #[must_use]
    pub fn and(&self, other: &Self, covers: impl Fn(&str, &str, u32) -> bool) -> Option<Self> {
        let allowed = |by: &Self, purpose: &Iri| by.purposes.iter().any(|own| own == purpose || covers(own.as_str(), purpose.as_str(), by.purpose_version));
        let mut purposes: Vec<Iri> = self.purposes.iter().filter(|p| allowed(other, p)).chain(other.purposes.iter().filter(|p| allowed(self, p))).cloned().collect();
        purposes.sort();
        purposes.dedup();
        let mut assets: Vec<Asset> = Vec::new();
        for one in &self.assets {
            assets.extend(other.assets.iter().filter_map(|two| one.and(two)));
        }
        if purposes.is_empty() || assets.is_empty() || self.recipient != other.recipient {
            return None;
        }
        let distribute_to = self.distribute_to.iter().filter(|party| other.distribute_to.contains(party)).cloned().collect();
        Some(Self { purposes, purpose_version: self.purpose_version.min(other.purpose_version), assets, distribute_to, ..self.clone() })
    }

    /// The assets about the Attribute `name` of an entity with `types`.
    pub fn assets_about<'a>(&'a self, types: impl Iterator<Item = &'a str> + Clone, name: &'a str) -> impl Iterator<Item = &'a Asset> {
        self.assets.iter().filter(move |asset| asset.is_about(types.clone(), name))
    }

    /// The ODRL policy that says the same (consent-design §3): the recipient may use; the controller may disclose to the recipient; the
    /// recipient may pass on to those named, under this very policy. `window` adds the time.
    pub fn odrl(&self, uid: &str, window: Option<&crate::Validity>) -> Value {
        let name = |local: &str| json!(format!("{ODRL}{local}"));
        let constraint = |left: String, operator: &str, right: Value| json!({ "leftOperand": left, "operator": name(operator), "rightOperand": right });
        let mut targets: Vec<Value> = self
            .assets
            .iter()
            .filter(|asset| asset.transform != Transform::Drop)
            .map(|asset| {
                let mut refinement = vec![constraint(format!("{NS}attribute"), "eq", json!({ "@id": asset.attribute }))];
                if !asset.types.is_empty() {
                    let types: Vec<Value> = asset.types.iter().map(|t| json!({ "@id": t })).collect();
                    refinement.push(constraint(format!("{NS}entityType"), "isAnyOf", json!(types)));
                }
                refinement.push(constraint(format!("{NS}precision"), "eq", json!(asset.transform.canonical())));
                json!({ "@type": "AssetCollection", "refinement": refinement })
            })
            .collect();
        if self.assets.is_empty() {
            // Of an agreement, whatever came under it; no entity goes by that name, so nothing opens by it here.
            targets.push(json!({ "@type": "AssetCollection", "uid": self.process }));
        }
        let purposes: Vec<Value> = self.purposes.iter().map(|p| json!({ "@id": p })).collect();
        let mut common = vec![constraint(format!("{ODRL}purpose"), "isAnyOf", json!(purposes))];
        if let Some(window) = window {
            let mut time = |operator: &str, at: waybill_model::DateTime| {
                let literal = json!({ "@value": at, "@type": "http://www.w3.org/2001/XMLSchema#dateTime" });
                common.push(constraint(format!("{ODRL}dateTime"), operator, literal));
            };
            if let Some(from) = window.from {
                time("gteq", from);
            }
            if let Some(until) = window.until {
                time("lt", until);
            }
        }
        let to = |parties: &[PartyId]| {
            let list: Vec<Value> = parties.iter().map(|p| json!({ "@id": p })).collect();
            constraint(format!("{ODRL}recipient"), "isAnyOf", json!(list))
        };
        let permission = |assignee: &PartyId, action: &str, extra: Option<Value>| {
            let constraints: Vec<Value> = common.iter().cloned().chain(extra).collect();
            json!({ "target": targets, "assignee": assignee, "action": name(action), "constraint": constraints })
        };
        let mut permissions = vec![
            permission(&self.controller, "distribute", Some(to(std::slice::from_ref(&self.recipient)))),
            permission(&self.recipient, "use", None),
        ];
        if !self.distribute_to.is_empty() {
            let mut onward = permission(&self.recipient, "distribute", Some(to(&self.distribute_to)));
            onward["duty"] = json!([{ "uid": format!("{uid}#pass-on"), "action": name("nextPolicy"), "target": uid }]);
            permissions.push(onward);
        }
        json!({
            "@context": "http://www.w3.org/ns/odrl.jsonld",
            "@type": "Set",
            "uid": uid,
            "profile": "https://w3id.org/waybill/odrl-profile",
            "conflict": name("prohibit"),
            "purposeVersion": self.purpose_version,
            "permission": permissions,
        })
    }
}
