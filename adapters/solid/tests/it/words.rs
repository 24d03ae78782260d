//! Small things that are read: links, addresses, what a grant says of itself, profiles.

use super::world::{iri, url};
use waybill_http::{HeaderMap, HeaderValue};
use waybill_keys::{Algorithm, Key};
use waybill_model::{Clock, Problem};
use waybill_solid::client::discovery::WebIdProfile;
use waybill_solid::client::evidence::{compact_form, says_withdrawn};
use waybill_solid::client::link::{address, lies_in, link, parent, same_issuer};
use waybill_solid::SolidError;

#[test]
fn links_are_found_by_their_relation() {
    let base = url("https://alice.example/data/a");
    let cases = [
        ("<a.acl>; rel=\"acl\"", "acl", Some("https://alice.example/data/a.acl")),
        ("<a.acl>; rel=acl", "acl", Some("https://alice.example/data/a.acl")),
        ("<x>; title=\"a, b; rel=acl\"; rel=\"type\", <y>; rel=\"describedby acl\"", "acl", Some("https://alice.example/data/y")),
        ("<x,y>; rel=\"acl\"", "acl", Some("https://alice.example/data/x,y")),
        ("a.acl; rel=\"acl\"", "acl", None),
        ("<a.acl>", "acl", None),
        ("", "acl", None),
    ];
    for (header, rel, wanted) in cases {
        let mut headers = HeaderMap::new();
        headers.insert("link", HeaderValue::from_str(header).expect("a value"));
        assert_eq!(link(&headers, &base, rel).as_ref().map(url::Url::as_str), wanted, "{header}");
    }
}

#[test]
fn containers_and_what_lies_in_them() {
    let parents = [
        ("https://a.example/x/y", Some("https://a.example/x/")),
        ("https://a.example/x/y/", Some("https://a.example/x/")),
        ("https://a.example/x?q#f", Some("https://a.example/")),
        ("https://a.example/", None),
    ];
    for (of, wanted) in parents {
        assert_eq!(parent(&url(of)).as_ref().map(url::Url::as_str), wanted, "{of}");
    }
    let inside = [
        ("https://a.example/x/y", "https://a.example/x/", true),
        ("https://a.example/xy/", "https://a.example/x", false),
        ("https://b.example/x/y", "https://a.example/x/", false),
        ("http://a.example/x/y", "https://a.example/x/", false),
        ("https://a.example:444/x/y", "https://a.example/x/", false),
        ("https://a.example/x/../z", "https://a.example/x/", false),
    ];
    for (what, container, wanted) in inside {
        assert_eq!(lies_in(&url(what), &url(container)), wanted, "{what} in {container}");
    }
}

#[test]
fn only_web_addresses_are_taken() {
    for good in ["https://a.example/x", "http://localhost:3000/x"] {
        assert!(address(good, "test").is_ok(), "{good}");
    }
    for bad in ["file:///etc/passwd", "javascript:1", "https://user:pass@a.example/", "a.example", ""] {
        assert!(address(bad, "test").is_err(), "{bad}");
    }
}

#[test]
fn issuers_differ_by_more_than_a_slash() {
    let cases = [
        ("https://a.example/", "https://a.example", true),
        ("https://a.example", "https://a.example.evil", false),
        ("https://a.example/x", "https://a.example/", false),
        ("http://a.example", "https://a.example", false),
        ("", "", false),
        ("/", "", false),
    ];
    for (a, b, wanted) in cases {
        assert_eq!(same_issuer(a, b), wanted, "{a} and {b}");
    }
}

#[test]
fn a_grant_says_itself_that_it_is_withdrawn() {
    let cases = [
        (r#"{"state":"withdrawn"}"#, true),
        (r#"{"status":"Withdrawn"}"#, true),
        (r#"{"state":"https://w3id.org/dpv#ConsentWithdrawn"}"#, true),
        (r#"{"state":"dpv:ConsentRevoked"}"#, true),
        (r#"{"state":"given"}"#, false),
        (r#"{"state":"suspended"}"#, false),
        (r#"{"note":"withdrawn"}"#, false),
        (r#"{"state":["withdrawn"]}"#, false),
        ("withdrawn", false),
    ];
    for (text, wanted) in cases {
        assert_eq!(says_withdrawn(text.as_bytes()), wanted, "{text}");
    }
}

#[test]
fn a_signed_grant_is_a_jws_in_either_form() {
    assert_eq!(compact_form(b" a.b.c\n").as_deref(), Some("a.b.c"));
    assert_eq!(compact_form(br#"{"protected":"a","payload":"b","signature":"c"}"#).as_deref(), Some("a.b.c"));
    let others: [&[u8]; 5] =
        [b"a.b", b"a.b.c.d", b"a.b.!", br#"{"protected":"a","payload":"b","signature":"c","header":{}}"#, b"{\"state\":\"given\"}"];
    for other in others {
        assert_eq!(compact_form(other), None, "{}", String::from_utf8_lossy(other));
    }
}

#[test]
fn a_profile_names_issuers_keys_and_storages() {
    let web_id = iri("https://alice.example/profile#me");
    let key = Key::generate(Algorithm::EdDsa, None, Clock::system().now());
    let jwk = key.public().bare_jwk().to_string().replace('"', "\\\"");
    let text = format!(
        "@prefix s: <http://www.w3.org/ns/solid/terms#> . @prefix sec: <https://w3id.org/security#> . @prefix pim: <http://www.w3.org/ns/pim/space#> .
         <#me> s:oidcIssuer <https://issuer.example> ; pim:storage </>, <ftp://alice.example/> ; sec:assertionMethod <#key>, <#broken>, [ sec:publicKeyJwk \"{jwk}\" ] .
         <#key> sec:publicKeyJwk \"{jwk}\" . <#broken> sec:publicKeyJwk \"{{}}\" .
         <#somebody> s:oidcIssuer <https://other.example> ; sec:assertionMethod <#theirs> . <#theirs> sec:publicKeyJwk \"{jwk}\" ."
    );
    let profile = WebIdProfile::parse(&web_id, text.as_bytes()).expect("a profile");
    assert_eq!(profile.vouched_by("https://issuer.example/"), Ok(()));
    assert_eq!(profile.vouched_by("https://other.example"), Err(SolidError::ForeignIssuer), "it is named for somebody else");
    assert_eq!(profile.storages.iter().map(url::Url::as_str).collect::<Vec<_>>(), ["https://alice.example/"]);
    let ids: Vec<&str> = profile.keys.iter().map(|k| k.id.as_str()).collect();
    assert_eq!(ids, ["https://alice.example/profile#key"], "with an address, readable, and hers");
}

#[test]
fn problems_name_no_person() {
    let problem = Problem::from(SolidError::Forbidden);
    assert_eq!((problem.status, problem.code.as_str()), (502, "pod-forbidden"));
    let malformed = WebIdProfile::parse(&iri("https://alice.example/profile#me"), b"<#me> <https://secret.example/ 1 .").expect_err("no Turtle");
    assert!(!malformed.to_string().contains("example"), "{malformed}");
}
