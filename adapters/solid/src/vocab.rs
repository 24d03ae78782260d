//! The names used in pods.

use oxrdf::NamedNodeRef;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $iri:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: NamedNodeRef<'static> = NamedNodeRef::new_unchecked($iri);)*
    };
}

names! {
    RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
    RDF_JSON = "http://www.w3.org/1999/02/22-rdf-syntax-ns#JSON";
    RDF_LANG_STRING = "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString";
    RDF_FIRST = "http://www.w3.org/1999/02/22-rdf-syntax-ns#first";
    RDF_REST = "http://www.w3.org/1999/02/22-rdf-syntax-ns#rest";
    RDF_NIL = "http://www.w3.org/1999/02/22-rdf-syntax-ns#nil";
    XSD_STRING = "http://www.w3.org/2001/XMLSchema#string";
    XSD_BOOLEAN = "http://www.w3.org/2001/XMLSchema#boolean";
    XSD_INTEGER = "http://www.w3.org/2001/XMLSchema#integer";
    XSD_DECIMAL = "http://www.w3.org/2001/XMLSchema#decimal";
    XSD_DOUBLE = "http://www.w3.org/2001/XMLSchema#double";
    XSD_DATE_TIME = "http://www.w3.org/2001/XMLSchema#dateTime";
    XSD_DATE = "http://www.w3.org/2001/XMLSchema#date";
    XSD_TIME = "http://www.w3.org/2001/XMLSchema#time";
    GEO_JSON = "http://www.opengis.net/ont/geosparql#geoJSONLiteral";
    LDP_CONTAINS = "http://www.w3.org/ns/ldp#contains";
    PIM_STORAGE = "http://www.w3.org/ns/pim/space#storage";
    SOLID_OIDC_ISSUER = "http://www.w3.org/ns/solid/terms#oidcIssuer";
    SOLID_PUBLIC_TYPE_INDEX = "http://www.w3.org/ns/solid/terms#publicTypeIndex";
    SOLID_PRIVATE_TYPE_INDEX = "http://www.w3.org/ns/solid/terms#privateTypeIndex";
    SOLID_FOR_CLASS = "http://www.w3.org/ns/solid/terms#forClass";
    SOLID_INSTANCE = "http://www.w3.org/ns/solid/terms#instance";
    SOLID_INSTANCE_CONTAINER = "http://www.w3.org/ns/solid/terms#instanceContainer";
    SEC_VERIFICATION_METHOD = "https://w3id.org/security#verificationMethod";
    SEC_ASSERTION_METHOD = "https://w3id.org/security#assertionMethod";
    SEC_PUBLIC_KEY_JWK = "https://w3id.org/security#publicKeyJwk";
    ODRL_HAS_POLICY = "http://www.w3.org/ns/odrl/2/hasPolicy";
    ACL_AUTHORIZATION = "http://www.w3.org/ns/auth/acl#Authorization";
    ACL_AGENT = "http://www.w3.org/ns/auth/acl#agent";
    ACL_AGENT_CLASS = "http://www.w3.org/ns/auth/acl#agentClass";
    ACL_AGENT_GROUP = "http://www.w3.org/ns/auth/acl#agentGroup";
    ACL_AUTHENTICATED_AGENT = "http://www.w3.org/ns/auth/acl#AuthenticatedAgent";
    ACL_ACCESS_TO = "http://www.w3.org/ns/auth/acl#accessTo";
    ACL_DEFAULT = "http://www.w3.org/ns/auth/acl#default";
    ACL_MODE = "http://www.w3.org/ns/auth/acl#mode";
    ACL_READ = "http://www.w3.org/ns/auth/acl#Read";
    ACL_APPEND = "http://www.w3.org/ns/auth/acl#Append";
    ACL_WRITE = "http://www.w3.org/ns/auth/acl#Write";
    ACL_CONTROL = "http://www.w3.org/ns/auth/acl#Control";
    FOAF_AGENT = "http://xmlns.com/foaf/0.1/Agent";
    ACP_ACCESS_CONTROL_RESOURCE = "http://www.w3.org/ns/solid/acp#AccessControlResource";
    ACP_RESOURCE = "http://www.w3.org/ns/solid/acp#resource";
    ACP_ACCESS_CONTROL_TYPE = "http://www.w3.org/ns/solid/acp#AccessControl";
    ACP_ACCESS_CONTROL = "http://www.w3.org/ns/solid/acp#accessControl";
    ACP_MEMBER_ACCESS_CONTROL = "http://www.w3.org/ns/solid/acp#memberAccessControl";
    ACP_APPLY = "http://www.w3.org/ns/solid/acp#apply";
    ACP_POLICY = "http://www.w3.org/ns/solid/acp#Policy";
    ACP_ALLOW = "http://www.w3.org/ns/solid/acp#allow";
    ACP_ALL_OF = "http://www.w3.org/ns/solid/acp#allOf";
    ACP_ANY_OF = "http://www.w3.org/ns/solid/acp#anyOf";
    ACP_MATCHER = "http://www.w3.org/ns/solid/acp#Matcher";
    ACP_AGENT = "http://www.w3.org/ns/solid/acp#agent";
    ACP_PUBLIC_AGENT = "http://www.w3.org/ns/solid/acp#PublicAgent";
    ACP_AUTHENTICATED_AGENT = "http://www.w3.org/ns/solid/acp#AuthenticatedAgent";
    ACP_CREATOR_AGENT = "http://www.w3.org/ns/solid/acp#CreatorAgent";
    ACP_OWNER_AGENT = "http://www.w3.org/ns/solid/acp#OwnerAgent";
    /// Class of a grant document, for the type index.
    WAYBILL_GRANT = "https://w3id.org/waybill/ns#ConsentGrant";
    /// Class of an acknowledgement, for the type index.
    WAYBILL_ACKNOWLEDGEMENT = "https://w3id.org/waybill/ns#Acknowledgement";
    /// From a set of access rules to the container's rules that they were copied from.
    WAYBILL_COPIED_FROM = "https://w3id.org/waybill/ns#copiedFrom";
    /// Digest of the copied rules, so that a later change by somebody else is noticed.
    WAYBILL_COPY_DIGEST = "https://w3id.org/waybill/ns#copyDigest";
    /// The scope of an Entity in the plain profile.
    NGSI_SCOPE = "https://uri.etsi.org/ngsi-ld/scope";
    /// The end of an Entity in the plain profile.
    NGSI_EXPIRES_AT = "https://uri.etsi.org/ngsi-ld/expiresAt";
}

/// Type of a container that is the root of a storage, in `Link: rel="type"`.
pub(crate) const PIM_STORAGE_TYPE: &str = "http://www.w3.org/ns/pim/space#Storage";
/// Link relation to the description of a storage.
pub(crate) const REL_STORAGE_DESCRIPTION: &str = "http://www.w3.org/ns/solid/terms#storageDescription";
/// Notification channel over a call back.
pub(crate) const WEBHOOK_CHANNEL: &str = "http://www.w3.org/ns/solid/notifications#WebhookChannel2023";
/// Notification channel over a WebSocket.
pub(crate) const WEBSOCKET_CHANNEL: &str = "http://www.w3.org/ns/solid/notifications#WebSocketChannel2023";
/// The @context of notifications and of subscriptions.
pub(crate) const NOTIFICATION_CONTEXT: &str = "https://www.w3.org/ns/solid/notification/v1";
/// The @context of a Client ID Document.
pub(crate) const OIDC_CONTEXT: &str = "https://www.w3.org/ns/solid/oidc-context.jsonld";
/// The NGSI-LD data types of a typed value, with the XML Schema type that says the same.
pub(crate) const TYPED_TIMES: [(&str, NamedNodeRef<'static>); 3] = [
    ("https://uri.etsi.org/ngsi-ld/DateTime", XSD_DATE_TIME),
    ("https://uri.etsi.org/ngsi-ld/Date", XSD_DATE),
    ("https://uri.etsi.org/ngsi-ld/Time", XSD_TIME),
];
