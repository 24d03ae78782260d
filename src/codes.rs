//! Every code the hub and its program can say, for `waybill explain CODE`. A check of `cargo xtask tidy` finds codes that are missing here.

/// A code with its meaning for people.
pub struct Code {
    /// The stable code, kebab case.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means and what to do.
    pub text: &'static str,
}

/// The code called `name`.
pub fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().find(|c| c.code == name)
}

const fn code(code: &'static str, title: &'static str, text: &'static str) -> Code {
    Code { code, title, text }
}

/// All of them, by where they arise.
pub const ALL: &[Code] = &[
    // Configuration
    code(
        "anybody-with-purposes",
        "An agreement with anybody names purposes",
        "Anybody means callers nobody knows. They get open data and nothing else, so such an agreement has no clients and no \
         purposes. Name a recipient if a party is meant.",
    ),
    code(
        "bad-value",
        "A value has the wrong form",
        "The value is of the right kind but does not say something the hub can use: an address without a scheme, a time without \
         a zone, a number out of its range. The message says what is wanted.",
    ),
    code(
        "base-url-missing",
        "The hub has no public address",
        "Other hubs and pods must be able to reach this one for keys, envelopes, status lists and notifications. Set `base_url` \
         in [hub] to the address by which they do, also when a proxy stands in between.",
    ),
    code(
        "basis-without-law",
        "A route by law names no law",
        "The person sees such a route under \"used by law\". Name the provision in `law`, so that she can look it up and \
         object.",
    ),
    code(
        "basis-without-terms",
        "A route on another basis than consent says too little",
        "Nobody grants on such a route, so the route itself must say for which purposes, to which recipients and which \
         Attributes, each with its precision. What is not named is not released.",
    ),
    code(
        "client-of-another",
        "A client is named in another party's agreement",
        "A client receives data for the party it acts for. Put it into that party's agreement, or register another client.",
    ),
    code(
        "client-without-agreement",
        "A client stands in no agreement",
        "It may sign in and will see nothing personal. Name it under `clients` of an agreement with the purposes it works for.",
    ),
    code(
        "client-without-credential",
        "A client cannot show who it is",
        "Give it a static `token`, or the `issuer` of its tokens and its `client_id` there. Both at once would leave open which \
         counts.",
    ),
    code(
        "consent-for-public-task",
        "Consent is asked for what the city does by law",
        "Consent must be freely given (GDPR Art. 7(4), recital 43). Where a city must or may act by law, refusing has no effect \
         or a bad one, and such a consent is void. Use the basis `public-task` or `legal-obligation` with `law`, and keep \
         consent for what a person may decline.",
    ),
    code(
        "duplicate-agreement",
        "A recipient has several agreements",
        "One recipient, one agreement: otherwise it would depend on the order which terms count.",
    ),
    code(
        "duplicate-name",
        "A name is used twice",
        "Names tell connections, routes, agreements, peers and clients apart, also between a city's file and its overlays. \
         Rename one of them.",
    ),
    code(
        "file-missing",
        "A file cannot be read",
        "The file does not exist or may not be read by this user. Relative paths in a configuration start at the folder of that \
         file.",
    ),
    code(
        "holder-class",
        "A holder is called something it is not",
        "Only another hub is `enforcing`. A broker is `expiring` when `waybill doctor --scratch` has shown that it hides \
         expired data, else `plain`. The class decides what the citizen is told about the bound of a withdrawal.",
    ),
    code(
        "intermediary-uses-data",
        "An intermediary uses the data it brings together",
        "The Data Governance Act, Article 12(a), forbids it. Take the operator off the recipients, or act in another role, with \
         the duties that come with it.",
    ),
    code(
        "missing-key",
        "Something that is needed is not there",
        "The message shows an example of what to write.",
    ),
    code(
        "open-listener",
        "The hub takes plain HTTP from the network",
        "Tokens and personal data would travel readable. Add [hub.tls], name the proxies that end TLS in `trusted_proxies`, or \
         listen on loopback. Without a configuration the hub listens on loopback only.",
    ),
    code(
        "open-with-subject",
        "Open data has a subject",
        "Open data is about no person. If the data is about somebody it is personal, and the route needs a basis.",
    ),
    code(
        "peer-is-self",
        "A peer is this hub",
        "Peers are other hubs.",
    ),
    code(
        "person-by-static-token",
        "A client for persons has one token for all",
        "Then nobody could tell one person from another. Such a client uses tokens of an issuer, which name the person.",
    ),
    code(
        "purpose-too-broad",
        "A purpose is too broad",
        "\"Energy\" or \"any purpose\" names no use that a person could picture, so she cannot agree to it (GDPR Art. 5(1)(b)). \
         Take a purpose below it: `waybill explain purposes` lists them.",
    ),
    code(
        "recipient-without-agreement",
        "A recipient has no agreement",
        "Nothing reaches it until an [[agreement]] names it.",
    ),
    code(
        "route-without-basis",
        "Personal data on no lawful basis",
        "Every use of personal data needs one of the six bases of GDPR Art. 6(1). Say which in `basis`; for most routes from \
         citizens it is `consent`.",
    ),
    code(
        "route-without-effect",
        "A route drops everything",
        "It releases nothing. If that is meant, take the route out: what no route releases stays closed anyway.",
    ),
    code(
        "route-without-subject",
        "Personal data without a subject",
        "Whose data is it? Without an answer nobody can grant or withdraw, so it stays closed. Name in [route.subject] how the \
         person is found: an Attribute, a Relationship, a pattern of ids, the pod of origin, or the registry.",
    ),
    code(
        "subject-rule",
        "The way to find a subject is not clear",
        "Name exactly one way. A pattern of ids needs a group, and a template with `{1}` in its place.",
    ),
    code(
        "toml-syntax",
        "The file is not TOML",
        "See https://toml.io for the notation. Everything that could be read was checked all the same.",
    ),
    code(
        "unknown-client",
        "An agreement names a client that is not registered",
        "Add a [[client]] of that name.",
    ),
    code(
        "unknown-connection",
        "A route names a connection that does not exist",
        "Add a [[connection]] of that name, or take `local` for the hub's own interface.",
    ),
    code(
        "unknown-issuer",
        "A client's issuer is not believed",
        "Add an [[auth.issuer]] with its `url` and the `audiences` of this hub.",
    ),
    code(
        "unknown-key",
        "A key the hub does not know",
        "A key that were ignored would be a rule that is not kept. Correct its spelling or take it out.",
    ),
    code(
        "unknown-name",
        "A short name leads nowhere",
        "Types and Attributes are IRIs. Put short ones into [names], or set `default` there to what such names begin with, for \
         example https://uri.etsi.org/ngsi-ld/default-context/.",
    ),
    code(
        "unknown-purpose",
        "The hub does not know a purpose",
        "A purpose must have a text that people can read. `waybill explain purposes` lists those that have one.",
    ),
    code(
        "unused",
        "Something is configured and not used",
        "It does nothing. Use it or take it out, so that the file says what is so.",
    ),
    code(
        "variable-file",
        "A file named in `${file:…}` cannot be read",
        "The path starts at the folder of the configuration file. Its content is put in without the line break at its end.",
    ),
    code(
        "variable-missing",
        "A variable is not set",
        "`${NAME}` takes a variable of the environment; `${NAME:-default}` has a default.",
    ),
    code(
        "variable-syntax",
        "A variable is written wrongly",
        "The forms are `${NAME}`, `${NAME:-default}` and `${file:path}`; `$${` is a plain `${`.",
    ),
    code(
        "weak-token",
        "A token is too short",
        "Static tokens need at least 16 characters. `openssl rand -hex 24` makes a good one.",
    ),
    code(
        "wrong-kind",
        "A value is of the wrong kind",
        "For example a text where a list is wanted.",
    ),
    // Command line
    code(
        "bad-json-ld",
        "A document is not JSON-LD",
        "It could not be expanded or compacted; the message says where.",
    ),
    code(
        "hub-answer",
        "The hub refused without saying why",
        "Something between the command and the hub answered in its place, or the address is not that of a hub.",
    ),
    code(
        "hub-unreachable",
        "The hub cannot be reached",
        "Is it running? `waybill run` starts it; --hub or WAYBILL_HUB names another address.",
    ),
    code(
        "not-built-in",
        "Not part of this build",
        "The program was built without this command.",
    ),
    // HTTP
    code(
        "bad-json",
        "The body is not the JSON that was expected",
        "The place is a JSON Pointer into the body.",
    ),
    code(
        "bad-request",
        "The request could not be read",
        "The message says what was wrong with it.",
    ),
    code(
        "body-too-large",
        "The body is too large",
        "Send the entities in smaller batches.",
    ),
    code(
        "client-not-registered",
        "A good token of a client nobody knows",
        "Tokens are believed, clients are registered: add a [[client]] with this issuer and client_id.",
    ),
    code(
        "deadline-exceeded",
        "The answer was not ready in time",
        "What was asked may still take effect: look before asking again.",
    ),
    code(
        "forbidden",
        "Not allowed",
        "The caller is known, and may not do this.",
    ),
    code(
        "internal-error",
        "A fault in the hub",
        "The log of the hub says more under the same time. Please report it.",
    ),
    code(
        "invalid-dpop-proof",
        "A proof of possession is not good",
        "Each call needs a fresh proof for its method, address and token, made with the key that the token names.",
    ),
    code(
        "invalid-token",
        "The credentials are not good",
        "The token is expired, for another audience, not signed by its issuer, or malformed. Which of these is in the hub's log \
         only.",
    ),
    code(
        "issuer-unreachable",
        "An issuer cannot be asked for its keys",
        "Its tokens can be judged again when it answers.",
    ),
    code(
        "length-required",
        "The length of the body is missing",
        "Send Content-Length.",
    ),
    code(
        "media-type-not-read",
        "The body has a media type that is not read here",
        "NGSI-LD takes application/json and application/ld+json.",
    ),
    code(
        "method-not-allowed",
        "This method is not offered here",
        "The Allow header of the answer lists those that are.",
    ),
    code(
        "not-acceptable",
        "None of the accepted media types can be made",
        "The answer lists those that can. A form without room for tags is refused unless the recipient's agreement takes them \
         in a Link header.",
    ),
    code(
        "not-found",
        "Nothing here",
        "No resource has this address.",
    ),
    code(
        "overloaded",
        "Too many requests at once",
        "Try again after the time that Retry-After names.",
    ),
    code(
        "purpose-not-registered",
        "A token asks for a purpose its client is not registered for",
        "Purposes come from the agreement, never from a header. Add the purpose to the client in its agreement.",
    ),
    code(
        "read-timeout",
        "The body did not arrive in time",
        "The connection was too slow or stood still.",
    ),
    code(
        "unauthenticated",
        "Credentials are needed",
        "Send `Authorization: Bearer …` or `X-Auth-Token: …`.",
    ),
    code(
        "uri-too-long",
        "The address is too long",
        "Use the query operation with a body.",
    ),
    // NGSI-LD
    code(
        "already-exists",
        "An entity of that id exists",
        "Update it, or use upsert.",
    ),
    code(
        "bad-entity-id",
        "The id of an entity is not usable",
        "An id is an absolute IRI.",
    ),
    code(
        "busy-entity",
        "The entity was changed at the same time",
        "Nothing was done. Read it again and repeat.",
    ),
    code(
        "context-invalid",
        "An @context cannot be used",
        "It was retrieved and is not a JSON-LD context the hub can read.",
    ),
    code(
        "context-not-available",
        "An @context cannot be had",
        "It is not bundled or preloaded, and could not be fetched. Put it into the folder of --preload-contexts, or inline.",
    ),
    code(
        "entity-not-found",
        "No such entity",
        "It does not exist, or this caller may not see it. Both answer alike.",
    ),
    code(
        "page-too-large",
        "A page is too large",
        "Ask for fewer entities at once and follow the next link.",
    ),
    code(
        "subscription-deaf-to-deletion",
        "A subscription to personal data would not hear deletions",
        "When a consent ends, what it opened must be taken back, and the notice of that is a deletion. Add entityDeleted and \
         attributeDeleted to notificationTrigger, or give the recipient an event inbox.",
    ),
    code(
        "subscription-not-found",
        "No such subscription",
        "It does not exist, or belongs to another caller. Both answer alike.",
    ),
    code(
        "tenant-not-found",
        "No such tenant",
        "It does not exist, or this caller may not name it. Both answer alike.",
    ),
    code(
        "write-not-agreed",
        "The caller may not write here",
        "Set `write = true` in the recipient's agreement if it should.",
    ),
    // Hub
    code(
        "bad-base-url",
        "The base URL is no URL",
        "Set `base_url` in [hub] to an http:// or https:// address.",
    ),
    code(
        "journal-unreadable",
        "The journal cannot be read",
        "The chain is broken or the store is damaged. `waybill journal verify` names the first bad record; restore the last \
         good backup.",
    ),
    code(
        "keys-unreadable",
        "The hub's keys cannot be read",
        "The row of keys in the store is damaged. Restore the last backup.",
    ),
    code(
        "no-peers",
        "The hub has no peers",
        "Name other hubs as [[peer]].",
    ),
    code(
        "no-recipient",
        "There is no recipient",
        "The call is made for no party, so there is nobody whose consent could be looked up.",
    ),
    code(
        "no-such-sink",
        "A follower wants a platform that is not built in",
        "The connection's kind is not part of this program.",
    ),
    code(
        "busy-consent",
        "Too many changes to one person's consents",
        "Nothing was done. Try again in a moment.",
    ),
    code(
        "busy-event",
        "What an event is about kept changing",
        "Nothing was done. The sender tries again.",
    ),
    code(
        "busy-withdrawal",
        "Too many answers to one withdrawal",
        "Nothing was done. The holder tries again.",
    ),
    code(
        "duplicate-member",
        "A member is given twice",
        "Give each member of an object once.",
    ),
    code(
        "no-identifier",
        "No identifier could be made",
        "The system gave the hub no randomness.",
    ),
    code(
        "no-such-thing",
        "There is no such thing",
        "Nothing of this name is here, or it is not for this caller. Both answer alike.",
    ),
    code(
        "subscription-unreadable",
        "A stored subscription cannot be read",
        "Its row is damaged. Delete the subscription and make it again.",
    ),
    // Hub to hub
    code(
        "acknowledgement-of-another",
        "An acknowledgement is for another hub's event",
        "Only the hub that was told may answer.",
    ),
    code(
        "acknowledgement-of-nothing",
        "An acknowledgement answers no event",
        "This hub sent no such event.",
    ),
    code(
        "envelope-hash",
        "An envelope does not have the hash it was asked for under",
        "It was changed on the way, or another hub answers in its name. It is not used.",
    ),
    code(
        "foreign-manifest",
        "A manifest is not for this caller",
        "Manifests are given to their recipient only.",
    ),
    code(
        "inbox-not-canonical",
        "What came in is not in the canonical form",
        "The sender is no hub of this kind, or of another version.",
    ),
    code(
        "inbox-not-found",
        "Nothing of that identifier is waiting",
        "It was decided already, or never came.",
    ),
    code(
        "not-published",
        "Not published here",
        "This hub publishes no such document.",
    ),
    code(
        "notice-media-type",
        "A notice has the wrong media type",
        "Security event tokens are application/secevent+jwt.",
    ),
    code(
        "notice-not-jws",
        "A notice is not signed",
        "A notice is a compact JWS.",
    ),
    code(
        "peer-document",
        "A peer's document cannot be used",
        "Its did.json could not be read or names other keys than before.",
    ),
    code(
        "peer-keys",
        "A peer's keys cannot be had",
        "Its statements wait until they can.",
    ),
    code(
        "statement-audience",
        "A signed statement is for somebody else",
        "It is not used here.",
    ),
    code(
        "statement-old",
        "A signed statement is too old",
        "Old statements could bring back what was withdrawn. The sender must sign anew.",
    ),
    code(
        "unknown-hub",
        "The sender is no peer of this hub",
        "Add it as [[peer]] if it should be.",
    ),
    // Policies
    code(
        "policy-duplicate-member",
        "A member of a policy is given twice",
        "Readers could take either. Give each member once.",
    ),
    code(
        "policy-duty-without-uid",
        "A duty has no identifier",
        "Nobody could report that it was done. Give it a `uid`.",
    ),
    code(
        "policy-empty-list",
        "A combination of nothing",
        "`and`, `or`, `xone` and `andSequence` need conditions.",
    ),
    code(
        "policy-empty-target",
        "A target names nothing",
        "Name the asset, or leave the rule out.",
    ),
    code(
        "policy-missing-action",
        "A permission does not say what may be done",
        "Name its action.",
    ),
    code(
        "policy-missing-target",
        "A permission does not say with what",
        "Name its target.",
    ),
    code(
        "policy-not-a-time",
        "A time in a policy cannot be read",
        "Write an xsd:dateTime with its zone, such as 2027-06-30T00:00:00Z.",
    ),
    code(
        "policy-not-an-iri",
        "A name in a policy is no IRI",
        "Parties, purposes, assets and profiles are absolute IRIs.",
    ),
    code(
        "policy-operand-count",
        "A comparison has too many or too few right operands",
        "Comparisons with one time take one; isAnyOf, isAllOf and isNoneOf take a list.",
    ),
    code(
        "policy-operator-mismatch",
        "An operator does not fit its operand",
        "For example a purpose cannot be greater than another.",
    ),
    code(
        "policy-too-deep",
        "A policy is nested too deeply",
        "It is refused before its meaning is worked out. Flatten its conditions.",
    ),
    code(
        "policy-too-large",
        "A policy is too large",
        "It is refused before its meaning is worked out. Split it.",
    ),
    code(
        "policy-top-purpose",
        "A policy names a purpose that is too broad",
        "Take a purpose below it: `waybill explain purposes` lists them.",
    ),
    code(
        "policy-unknown-action",
        "An action is not known",
        "Use an action of ODRL 2.2 or of the profile.",
    ),
    code(
        "policy-unknown-operand",
        "An operand is not known",
        "dateTime, purpose, recipient, assignee and spatial are understood. Others have no defined unit here, and a condition \
         that cannot be judged would never open.",
    ),
    code(
        "policy-unknown-operator",
        "An operator is not known",
        "Use an operator of ODRL 2.2.",
    ),
    code(
        "policy-unknown-profile",
        "A policy names a profile that is not known",
        "A policy whose profile is not understood gives nothing.",
    ),
    code(
        "policy-unknown-purpose",
        "A policy names a purpose that is not known",
        "`waybill explain purposes` lists those that are.",
    ),
    code(
        "policy-unknown-purpose-version",
        "A policy names a version of the purposes that is not known",
        "Name the version that was shown with the notice.",
    ),
    code(
        "policy-unsupported-kind",
        "A policy is of a kind that is not supported",
        "Set, Offer and Agreement are; assertions, requests, privacy policies and tickets are not.",
    ),
    code(
        "policy-unsupported-term",
        "A policy says something that is not supported here",
        "The message says which part. Leave it out or say it in another way: a part that were ignored would be a rule that is \
         not kept.",
    ),
    code(
        "policy-not-odrl",
        "The document is no ODRL policy",
        "A policy is an ODRL Set, Offer or Agreement in JSON-LD.",
    ),
    code(
        "policy-other-profile",
        "A policy is written under another profile",
        "A profile changes what terms mean. The hub does not guess: the policy gives nothing.",
    ),
    code(
        "policy-unknown-context",
        "A policy uses an @context the hub does not know",
        "Its terms could mean anything. Use the ODRL context, and full IRIs for other terms.",
    ),
    code(
        "purpose-scheme-invalid",
        "A scheme of purposes cannot be used",
        "It is not of the form of schemas/vocabulary/purpose.json.",
    ),
];
