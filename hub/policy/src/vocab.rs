//! The names of ODRL 2.2 that we know, and its hierarchy of actions (`includedIn`), as facts.

/// The namespace of ODRL 2.2.
pub const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
/// The Waybill profile of ODRL: our operands for derived assets, and explicit permission for passing on.
pub const WAYBILL_PROFILE: &str = "https://w3id.org/waybill/odrl-profile";
/// The namespace of Creative Commons, whose terms ODRL uses as actions.
pub(crate) const CC: &str = "http://creativecommons.org/ns#";

/// Left operands in our own namespace, for refining a target.
pub mod operand {
    /// The time of the request.
    pub const DATE_TIME: &str = "http://www.w3.org/ns/odrl/2/dateTime";
    /// What the data is to be used for.
    pub const PURPOSE: &str = "http://www.w3.org/ns/odrl/2/purpose";
    /// Who receives the result.
    pub const RECIPIENT: &str = "http://www.w3.org/ns/odrl/2/recipient";
    /// Who acts.
    pub const ASSIGNEE: &str = "http://www.w3.org/ns/odrl/2/assignee";
    /// Where the use takes place.
    pub const SPATIAL: &str = "http://www.w3.org/ns/odrl/2/spatial";
    /// The entity's identifier.
    pub const ENTITY: &str = "https://w3id.org/waybill/ns#entity";
    /// One of the entity's types.
    pub const ENTITY_TYPE: &str = "https://w3id.org/waybill/ns#entityType";
    /// The attribute's expanded name.
    pub const ATTRIBUTE: &str = "https://w3id.org/waybill/ns#attribute";
    /// The precision of the derived asset: the canonical text of its transform.
    pub const PRECISION: &str = "https://w3id.org/waybill/ns#precision";
    /// The state of the consent tag that the data carries, e.g. [`VALID_TAG`]. The gate decides it for each value; a policy that is asked by
    /// itself does not know it.
    pub const CONSENT_TAG: &str = "https://w3id.org/waybill/ns#consentTag";
    /// The right operand of [`CONSENT_TAG`]: the tag's envelope is in force for this purpose and recipient.
    pub const VALID_TAG: &str = "https://w3id.org/waybill/ns#valid";
}

/// An action's namespace (true: Creative Commons), name, and the name of the action it is included in.
pub(crate) const ACTIONS: &[(bool, &str, &str)] = &[
    (false, "use", ""),
    (false, "transfer", ""),
    (false, "acceptTracking", "use"),
    (false, "aggregate", "use"),
    (false, "annotate", "use"),
    (false, "anonymize", "use"),
    (false, "archive", "use"),
    (false, "attribute", "use"),
    (false, "compensate", "use"),
    (false, "concurrentUse", "use"),
    (false, "delete", "use"),
    (false, "derive", "use"),
    (false, "digitize", "use"),
    (false, "distribute", "use"),
    (false, "ensureExclusivity", "use"),
    (false, "execute", "use"),
    (false, "grantUse", "use"),
    (false, "include", "use"),
    (false, "index", "use"),
    (false, "inform", "use"),
    (false, "install", "use"),
    (false, "modify", "use"),
    (false, "nextPolicy", "use"),
    (false, "obtainConsent", "use"),
    (false, "play", "use"),
    (false, "present", "use"),
    (false, "print", "use"),
    (false, "read", "use"),
    (false, "reproduce", "use"),
    (false, "reviewPolicy", "use"),
    (false, "stream", "use"),
    (false, "synchronize", "use"),
    (false, "textToSpeech", "use"),
    (false, "transform", "use"),
    (false, "translate", "use"),
    (false, "uninstall", "use"),
    (false, "watermark", "use"),
    (false, "write", "use"),
    (false, "display", "play"),
    (false, "extract", "reproduce"),
    (false, "move", "modify"),
    (false, "append", "modify"),
    (false, "give", "transfer"),
    (false, "sell", "transfer"),
    (true, "Attribution", "use"),
    (true, "CommercialUse", "use"),
    (true, "DerivativeWorks", "use"),
    (true, "Distribution", "use"),
    (true, "Notice", "use"),
    (true, "Reproduction", "use"),
    (true, "ShareAlike", "use"),
    (true, "Sharing", "use"),
    (true, "SourceCode", "use"),
];

/// The whole IRI of a row of [`ACTIONS`].
pub(crate) fn action_iri(row: &(bool, &str, &str)) -> String {
    format!("{}{}", if row.0 { CC } else { ODRL }, row.1)
}

/// Bare member names that mean a term of ODRL, as its JSON-LD context has them.
pub(crate) const TERMS: &[&str] = &[
    "uid", "profile", "inheritFrom", "conflict", "permission", "prohibition", "obligation", "duty", "remedy", "consequence", "target",
    "hasPolicy", "assigner", "assignee", "action", "constraint", "refinement", "includedIn", "implies", "source", "partOf", "leftOperand",
    "operator", "rightOperand", "rightOperandReference", "dataType", "unit", "status", "and", "or", "xone", "andSequence", "output",
    "relation", "function", "scope", "failure",
];
