//! Names: namespaces, the prefixes this crate knows, and which operator, left operand and action of IDS is which of ODRL.
//!
//! The names are those of the code lists of the IDS Information Model 4.x (`BinaryOperators`, `LeftOperand`, `Action`) and of the ODRL
//! Vocabulary 2.2. A pair stands here only where both sides are true of the same things; what is merely similar has no twin, since a
//! permission under a similar condition would be another permission.

/// Classes and properties of the IDS Information Model.
pub const IDS: &str = "https://w3id.org/idsa/core/";
/// Its codes.
pub const IDSC: &str = "https://w3id.org/idsa/code/";
/// ODRL.
pub const ODRL: &str = "http://www.w3.org/ns/odrl/2/";
/// Dublin Core terms.
pub const DCT: &str = "http://purl.org/dc/terms/";
/// DCAT.
pub const DCAT: &str = "http://www.w3.org/ns/dcat#";
/// XML Schema datatypes.
pub const XSD: &str = "http://www.w3.org/2001/XMLSchema#";
/// RDF.
pub const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
/// The Dataspace Protocol 2025-1.
pub const DSPACE: &str = "https://w3id.org/dspace/2025/1/";
/// vCard, by which ODRL policies of IDS name roles.
pub const VCARD: &str = "http://www.w3.org/2006/vcard/ns#";

/// The prefixes that are known without being declared. A document's own declaration comes first.
pub(crate) const PREFIXES: &[(&str, &str)] = &[
    ("ids", IDS),
    ("idsc", IDSC),
    ("odrl", ODRL),
    ("dct", DCT),
    ("dcterms", DCT),
    ("dc", DCT),
    ("dcat", DCAT),
    ("xsd", XSD),
    ("rdf", RDF),
    ("rdfs", "http://www.w3.org/2000/01/rdf-schema#"),
    ("owl", "http://www.w3.org/2002/07/owl#"),
    ("skos", "http://www.w3.org/2004/02/skos/core#"),
    ("foaf", "http://xmlns.com/foaf/0.1/"),
    ("time", "http://www.w3.org/2006/time#"),
    ("vcard", VCARD),
    ("dspace", DSPACE),
];

/// The prefixes of the Dataspace Protocol's own @context: the only ones that may be written for its readers.
pub(crate) const DSP_PREFIXES: &[(&str, &str)] = &[("odrl", ODRL), ("dct", DCT), ("dcat", DCAT), ("xsd", XSD)];

/// The prefixes that are written, and declared, in IDS documents.
pub(crate) const IDS_PREFIXES: &[(&str, &str)] = &[("ids", IDS), ("idsc", IDSC), ("odrl", ODRL), ("dct", DCT), ("dcat", DCAT), ("xsd", XSD)];

/// When the constraint of a duty says by `odrl:event` when it is due: the moment the rule's action is exercised.
pub(crate) const POLICY_USAGE: &str = "http://www.w3.org/ns/odrl/2/policyUsage";

/// ODRL's operators, as DSP 2025-1 lists them.
pub(crate) const ODRL_OPERATORS: &[&str] =
    &["eq", "neq", "gt", "gteq", "lt", "lteq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf"];

/// What an operator compares, where that decides its twin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compares {
    /// Anything.
    Any,
    /// Points in time: the right operand is a date and time.
    Instants,
    /// Lengths of time.
    Durations,
    /// A user with an organisation.
    Members,
    /// Nothing: it gives a parameter its value, in a refinement of an action.
    Assigns,
}

/// IDS operator, its ODRL twin, and what it compares. For each ODRL operator and kind the first line is the way back.
#[rustfmt::skip]
pub(crate) const OPERATORS: &[(&str, &str, Compares)] = &[
    ("EQUALS", "eq", Compares::Any),
    ("EQ", "eq", Compares::Any),
    // Two IRIs, with no other statements at hand: nothing is the same but the same IRI.
    ("SAME_AS", "eq", Compares::Any),
    ("STRING_EQ", "eq", Compares::Any),
    ("NOT", "neq", Compares::Any),
    ("GT", "gt", Compares::Any),
    ("GTEQ", "gteq", Compares::Any),
    ("LT", "lt", Compares::Any),
    ("LTEQ", "lteq", Compares::Any),
    ("IN", "isAnyOf", Compares::Any),
    ("TEMPORAL_EQUALS", "eq", Compares::Instants),
    ("AFTER", "gt", Compares::Instants),
    ("BEFORE", "lt", Compares::Instants),
    ("DURATION_EQ", "eq", Compares::Durations),
    ("LONGER", "gt", Compares::Durations),
    ("LONGER_EQ", "gteq", Compares::Durations),
    ("SHORTER", "lt", Compares::Durations),
    ("SHORTER_EQ", "lteq", Compares::Durations),
    ("MEMBER_OF", "isPartOf", Compares::Members),
    ("DEFINES_AS", "eq", Compares::Assigns),
];

/// ODRL operators that are true more often than the IDS operator nearest to them. Fit for a permission, which gets narrower.
pub(crate) const NARROWER: &[(&str, &str)] = &[("isPartOf", "IN"), ("isA", "EQUALS")];

/// IDS left operand and its ODRL twin. For each ODRL left operand the first line is the way back.
#[rustfmt::skip]
pub(crate) const LEFT_OPERANDS: &[(&str, &str)] = &[
    ("DATE_TIME", "dateTime"),
    ("POLICY_EVALUATION_TIME", "dateTime"),
    ("ELAPSED_TIME", "elapsedTime"),
    ("DELAY", "delayPeriod"),
    ("EVENT", "event"),
    ("PURPOSE", "purpose"),
    ("COUNT", "count"),
    ("SYSTEM_DEVICE", "systemDevice"),
    ("RECIPIENT", "recipient"),
    ("PAY_AMOUNT", "payAmount"),
    // Where the consuming connector is. ODRL's absoluteSpatialPosition is a place on a canvas.
    ("ABSOLUTE_SPATIAL_POSITION", "spatial"),
];

/// IDS left operands that ODRL has no twin for; they stay themselves.
pub(crate) const OTHER_LEFT_OPERANDS: &[&str] = &[
    "PAYMENT", "HASH_ALGORITHM", "STATE", "JSON_PATH", "XPATH", "REPLACE_WITH", "OPERAND", "USER", "ROLE", "ARTIFACT_STATE", "QUANTITY",
    "RECURRENCE_RATE", "SECURITY_LEVEL", "SYSTEM", "ENDPOINT", "APPLICATION", "CONNECTOR", "LOG_LEVEL", "NOTIFICATION_LEVEL", "PATH",
];

/// IDS action and its ODRL twin.
#[rustfmt::skip]
pub(crate) const ACTIONS: &[(&str, &str)] = &[
    ("USE", "use"),
    ("READ", "read"),
    ("MODIFY", "modify"),
    ("DELETE", "delete"),
    ("DISTRIBUTE", "distribute"),
    ("GRANT_USE", "grantUse"),
    ("ANONYMIZE", "anonymize"),
    ("NEXT_POLICY", "nextPolicy"),
    ("NOTIFY", "inform"),
    ("COMPENSATE", "compensate"),
];

/// IDS actions that ODRL has no twin for. The two that aggregate would fall together in `odrl:aggregate`, and each permits less.
pub(crate) const OTHER_ACTIONS: &[&str] = &[
    "AGGREGATE_BY_CONSUMER", "AGGREGATE_BY_PROVIDER", "ADD", "DIVIDE", "HASH", "INCREMENT_COUNTER", "ENCRYPT", "LOG", "MULTIPLY", "REPLACE",
    "SHUFFLE", "TRACK_PROVENANCE",
];

/// Left operands and actions of ODRL that are read without a prefix, as its own @context has them, beyond those with a twin.
pub(crate) const ODRL_NAMES: &[&str] = &[
    "absolutePosition", "absoluteSize", "absoluteSpatialPosition", "absoluteTemporalPosition", "deliveryChannel", "device", "fileFormat", "industry",
    "language", "media", "meteredTime", "percentage", "product", "relativePosition", "relativeSize", "relativeSpatialPosition",
    "relativeTemporalPosition", "resolution", "spatialCoordinates", "timeInterval", "unitOfCount", "version", "virtualLocation", "acceptTracking",
    "aggregate", "annotate", "archive", "attribute", "concurrentUse", "derive", "digitize", "display", "ensureExclusivity", "execute", "extract",
    "give", "include", "index", "install", "move", "obtainConsent", "play", "present", "print", "reproduce", "reviewPolicy", "sell", "stream",
    "synchronize", "textToSpeech", "transfer", "transform", "translate", "uninstall", "watermark", "policyUsage",
];

/// What an IDS property of a resource, catalogue or connector is called in DCAT.
#[rustfmt::skip]
pub(crate) const DESCRIPTIVE: &[(&str, &str, &str)] = &[
    ("title", DCT, "title"),
    ("description", DCT, "description"),
    ("keyword", DCAT, "keyword"),
    ("language", DCT, "language"),
    ("publisher", DCT, "publisher"),
    ("sovereign", DCT, "rightsHolder"),
    ("standardLicense", DCT, "license"),
    ("version", DCAT, "version"),
    ("created", DCT, "created"),
    ("modified", DCT, "modified"),
];

/// Datatypes by their names in XML Schema, for those that are written without a prefix or in other letters.
pub(crate) const DATATYPES: &[&str] = &[
    "string", "boolean", "decimal", "integer", "double", "float", "date", "time", "dateTime", "dateTimeStamp", "duration", "dayTimeDuration",
    "yearMonthDuration", "anyURI", "long", "int", "short", "nonNegativeInteger", "positiveInteger",
];

/// The part of `iri` behind the namespace `of`.
pub(crate) fn local<'a>(iri: &'a str, of: &str) -> Option<&'a str> {
    iri.strip_prefix(of).filter(|l| !l.is_empty())
}

/// The ODRL twin of an IDS code, for a table of pairs.
pub(crate) fn to_odrl(table: &[(&str, &str)], iri: &str) -> Option<String> {
    let code = local(iri, IDSC)?;
    table.iter().find(|(ids, _)| *ids == code).map(|(_, odrl)| format!("{ODRL}{odrl}"))
}

/// The IDS code that stands for an ODRL name, for a table of pairs.
pub(crate) fn to_ids(table: &[(&str, &str)], iri: &str) -> Option<String> {
    let name = local(iri, ODRL)?;
    table.iter().find(|(_, odrl)| *odrl == name).map(|(ids, _)| format!("{IDSC}{ids}"))
}

/// What a right operand's datatype makes a comparison of.
pub(crate) fn compares(datatype: Option<&str>) -> Compares {
    match datatype.and_then(|d| local(d, XSD)) {
        Some("dateTime" | "dateTimeStamp" | "date") => Compares::Instants,
        Some("duration" | "dayTimeDuration" | "yearMonthDuration") => Compares::Durations,
        _ => Compares::Any,
    }
}

/// `iri` with one of `prefixes`, where that can be read back.
pub(crate) fn compact(iri: &str, prefixes: &[(&str, &str)]) -> String {
    for (prefix, namespace) in prefixes {
        if let Some(rest) = local(iri, namespace).filter(|r| !r.starts_with("//")) {
            return format!("{prefix}:{rest}");
        }
    }
    iri.to_owned()
}
