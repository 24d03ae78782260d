//! Decoding of Entities and fragments, and encoding of what was decoded.

use super::support::{json, now, offline, run};
use serde_json::json;
use waybill_context::{
    Change, Context, ContextPlace, EncodeOptions, Format, Languages, Nulls, Options, decode_attribute, decode_entity, decode_fragment, default_geometry,
    encode_entity, encode_geojson,
};
use waybill_model::{AttributeKind, AttributeSpan, EntityDoc, TAG_NAME};

const ROOM: &str = r#"{
    "id": "urn:ngsi-ld:Room:1", "type": "Room", "scope": "/Madrid/Gardens",
    "temperature": [
        {"type": "Property", "value": 21.50, "unitCode": "CEL", "observedAt": "2026-01-01T10:00:00Z",
         "accuracy": {"type": "Property", "value": {"plus": 0.1, "type": "Band"}}},
        {"type": "Property", "value": 22, "datasetId": "urn:dataset:2"}
    ],
    "inside": {"type": "Relationship", "object": ["urn:ngsi-ld:House:1", "urn:ngsi-ld:House:2"], "objectType": "House"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1.0, 2]}},
    "says": {"type": "LanguageProperty", "languageMap": {"en": "yes", "fr": ["oui"], "@none": "ja"}},
    "kind": {"type": "VocabProperty", "vocab": "Big"},
    "raw": {"type": "JsonProperty", "json": {"id": 1, "n": null}},
    "list": {"type": "ListProperty", "valueList": [1, [2]]},
    "route": {"type": "ListRelationship", "objectList": [{"object": "urn:a:1"}]},
    "shape": {"type": "Property", "value": {"type": "Point", "coordinates": [1, 2]}},
    "odd": {"type": "Property", "value": {"value": 1, "unitCode": "x"}},
    "odds": {"type": "Property", "value": [{"value": 1}]},
    "many": {"type": "Property", "value": [{"a": 1}, 1e3, -0.10]},
    "text": {"type": "Property", "value": "a \"quoted\" \u00e9 \\ line", "expiresAt": "2030-01-01T00:00:00Z"}
}"#;

fn encoded(context: &Context, doc: &EntityDoc, options: &EncodeOptions<'_>) -> serde_json::Value {
    let mut out = Vec::new();
    encode_entity(context, doc, options, &mut out);
    json(std::str::from_utf8(&out).unwrap())
}

fn room() -> (std::sync::Arc<Context>, EntityDoc) {
    let core = offline().core();
    let doc = decode_entity(&core, ROOM.as_bytes(), &Options::new(now())).unwrap();
    (core, doc)
}

#[test]
fn verdicts() {
    let core = offline().core();
    let mut count = 0;
    for line in include_str!("../entities.tsv").lines().filter(|l| !l.starts_with('#')) {
        let [verdict, pointer, clause, document] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let pointer = if document.contains("\"\":1") { "/" } else { pointer };
        let found = match decode_entity(&core, document.as_bytes(), &Options::new(now())) {
            Ok(doc) => {
                assert_eq!(doc, EntityDoc::parse(doc.text(), now()).unwrap(), "{document}");
                doc.to_entity().unwrap_or_else(|e| panic!("{e}: {document}"));
                ("ok".to_owned(), "-".to_owned(), "-".to_owned())
            }
            Err(e) => {
                let expected = if e.fault.code() == "invalid-json" { "InvalidRequest" } else { "BadRequestData" };
                assert_eq!(e.ngsi_ld(), expected);
                (e.fault.code().to_owned(), e.pointer, e.clause.to_owned())
            }
        };
        assert_eq!(found, (verdict.to_owned(), pointer.to_owned(), clause.to_owned()), "{document}");
        count += 1;
    }
    assert!(count > 90);
}

#[test]
fn bytes_that_are_no_text_and_depth_are_refused() {
    let core = offline().core();
    let e = decode_entity(&core, b"{\"id\":\"urn:a:\xff\",\"type\":\"T\"}", &Options::new(now())).unwrap_err();
    assert_eq!((e.ngsi_ld(), e.fault.code()), ("InvalidRequest", "invalid-json"));
    let nested = |depth: usize| format!(r#"{{"id":"urn:a:1","type":"T","p":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(decode_entity(&core, nested(63).as_bytes(), &Options::new(now())).is_ok());
    let e = decode_entity(&core, nested(64).as_bytes(), &Options::new(now())).unwrap_err();
    assert_eq!(e.ngsi_ld(), "InvalidRequest");
}

#[test]
fn many_names_are_told_apart_as_few_are() {
    let core = offline().core();
    let members = |count: usize, last: &str| {
        let mut all: Vec<String> = (0..count).map(|n| format!(r#""p{n}":{{"type":"Property","value":1}}"#)).collect();
        all.push(format!(r#""{}{last}":{{"type":"Property","value":1}}"#, waybill_model::DEFAULT_VOCAB));
        all.join(",")
    };
    for count in [3, 40] {
        for (last, good) in [("p2", false), ("other", true)] {
            for text in [
                format!(r#"{{"id":"urn:a:1","type":"T",{}}}"#, members(count, last)),
                format!(r#"{{"id":"urn:a:1","type":"T","x":{{"type":"Property","value":1,{}}}}}"#, members(count, last)),
                format!(r#"{{"id":"urn:a:1","type":"T","x":{{"type":"Property","value":{{{}}}}}}}"#, members(count, last)),
            ] {
                assert_eq!(decode_entity(&core, text.as_bytes(), &Options::new(now())).is_ok(), good, "{count} {last}");
            }
        }
    }
}

#[test]
fn an_entity_becomes_canonical_and_comes_back() {
    let (core, doc) = room();
    assert_eq!(doc, EntityDoc::parse(doc.text(), now()).unwrap(), "the spans noted are the spans read");
    assert!(doc.text().contains("21.50") && doc.text().contains("1e3") && doc.text().contains("-0.10"), "numbers keep their text");
    let entity = doc.to_entity().unwrap();
    assert_eq!(EntityDoc::from_entity(&entity, now()).to_entity().unwrap(), entity);
    assert_eq!(encoded(&core, &doc, &EncodeOptions::default()), json(ROOM));
    let mut concise = Vec::new();
    encode_entity(&core, &doc, &EncodeOptions::format(Format::Concise), &mut concise);
    let again = decode_entity(&core, &concise, &Options::new(now())).unwrap();
    assert_eq!(again.text(), doc.text(), "{}", String::from_utf8_lossy(&concise));
}

#[test]
fn concise_and_simplified_are_as_the_clauses_write_them() {
    let (core, doc) = room();
    let concise = encoded(&core, &doc, &EncodeOptions::format(Format::Concise));
    assert_eq!(concise["inside"], json!({"object": ["urn:ngsi-ld:House:1", "urn:ngsi-ld:House:2"], "objectType": "House"}));
    assert_eq!(concise["location"], json!({"type": "Point", "coordinates": [1.0, 2]}));
    assert_eq!(concise["list"], json!({"valueList": [1, [2]]}));
    assert_eq!(concise["many"], json!([{"a": 1}, 1e3, -0.1]));
    assert_eq!(concise["odd"], json!({"value": {"value": 1, "unitCode": "x"}}));
    assert_eq!(concise["shape"]["type"], "Property", "else it would be read as a GeoProperty");
    let simplified = encoded(&core, &doc, &EncodeOptions::format(Format::Simplified));
    assert_eq!(
        simplified,
        json!({
            "id": "urn:ngsi-ld:Room:1", "type": "Room", "scope": "/Madrid/Gardens",
            "temperature": {"dataset": {"@none": 21.5, "urn:dataset:2": 22}},
            "inside": ["urn:ngsi-ld:House:1", "urn:ngsi-ld:House:2"],
            "location": {"type": "Point", "coordinates": [1.0, 2]},
            "says": {"languageMap": {"en": "yes", "fr": ["oui"], "@none": "ja"}},
            "kind": {"vocab": "Big"},
            "raw": {"json": {"id": 1, "n": null}},
            "list": [1, [2]],
            "route": ["urn:a:1"],
            "shape": {"type": "Point", "coordinates": [1, 2]},
            "odd": {"value": 1, "unitCode": "x"},
            "odds": [{"value": 1}],
            "many": [{"a": 1}, 1e3, -0.1],
            "text": "a \"quoted\" \u{e9} \\ line"
        })
    );
    let back = decode_entity(&core, simplified.to_string().as_bytes(), &Options::new(now()).simplified()).unwrap();
    assert_eq!(encoded(&core, &back, &EncodeOptions::format(Format::Simplified)), simplified);
    assert_eq!(back.spans().iter().filter(|s| s.dataset_id.is_some()).count(), 1);
}

#[test]
fn a_language_is_chosen() {
    let (core, doc) = room();
    for (asked, tag, text) in [
        ("fr", "fr", json!(["oui"])),
        ("en-GB", "en", json!("yes")),
        ("de;q=0.9, fr;q=0.5", "fr", json!(["oui"])),
        ("en;q=0.1,fr;q=0.2", "fr", json!(["oui"])),
        ("de", "@none", json!("ja")),
        ("fr;q=0, de", "@none", json!("ja")),
        ("*", "en", json!("yes")),
    ] {
        let languages = Languages::parse(asked);
        let options = EncodeOptions { languages: Some(&languages), ..EncodeOptions::default() };
        assert_eq!(encoded(&core, &doc, &options)["says"], json!({"type": "Property", "value": text, "lang": tag}), "{asked}");
        let options = EncodeOptions { format: Format::Simplified, ..options };
        assert_eq!(encoded(&core, &doc, &options)["says"], text, "{asked}");
    }
}

#[test]
fn members_are_picked_and_the_tag_stays() {
    let core = offline().core();
    let text = json!({
        "id": "urn:a:1", "type": "T", "p": {"type": "Property", "value": 1}, "q": {"type": "Property", "value": 2},
        TAG_NAME: {"type": "Relationship", "object": "https://hub.example/env/00"}
    });
    let doc = decode_entity(&core, text.to_string().as_bytes(), &Options::new(now())).unwrap();
    let pick = |name: &str| name == "id" || name == core.expand("q");
    let picked = |format| encoded(&core, &doc, &EncodeOptions { pick: Some(&pick), ..EncodeOptions::format(format) });
    assert_eq!(picked(Format::Simplified), json!({"id": "urn:a:1", "q": 2, TAG_NAME: "https://hub.example/env/00"}));
    assert_eq!(picked(Format::Normalized)[TAG_NAME], text[TAG_NAME]);
    let none = |_: &AttributeSpan| false;
    let options = EncodeOptions { instances: Some(&none), context: ContextPlace::Body, ..EncodeOptions::default() };
    assert_eq!(encoded(&core, &doc, &options), json!({"id": "urn:a:1", "type": "T", "@context": core.user()}));
}

#[test]
fn system_times_are_shown_on_demand_and_kept_on_demand() {
    let core = offline().core();
    let text = r#"{"id":"urn:a:1","type":"T","createdAt":"2020-01-01T00:00:00Z","modifiedAt":"2021-01-01T00:00:00Z",
        "p":{"type":"Property","value":1,"createdAt":"2020-02-01T00:00:00Z","modifiedAt":"2021-02-01T00:00:00Z","expiresAt":"2030-01-01T00:00:00Z"}}"#;
    let sys = EncodeOptions { sys_attrs: true, ..EncodeOptions::default() };
    let kept = decode_entity(&core, text.as_bytes(), &Options::new(now()).keep_times()).unwrap();
    assert_eq!(encoded(&core, &kept, &sys), json(text));
    let ours = decode_entity(&core, text.as_bytes(), &Options::new(now())).unwrap();
    let shown = encoded(&core, &ours, &EncodeOptions { expires_at: false, ..sys });
    let at = now().to_string();
    assert_eq!(shown, json!({"id":"urn:a:1","type":"T","createdAt":at,"modifiedAt":at,"p":{"type":"Property","value":1,"createdAt":at,"modifiedAt":at}}));
}

#[test]
fn a_feature_shows_its_geometry() {
    let (core, doc) = room();
    let mut out = Vec::new();
    encode_geojson(&core, &doc, &default_geometry(), &EncodeOptions::format(Format::Simplified), &mut out);
    let feature = json(std::str::from_utf8(&out).unwrap());
    assert_eq!(feature["type"], "Feature");
    assert_eq!(feature["geometry"], json!({"type": "Point", "coordinates": [1.0, 2]}));
    assert_eq!(feature["properties"]["type"], "Room");
    assert_eq!(feature["properties"]["kind"], json!({"vocab": "Big"}));
    assert!(feature["properties"].get("id").is_none());
    out.clear();
    encode_geojson(&core, &doc, &core.expand("shape"), &EncodeOptions::default(), &mut out);
    assert_eq!(json(std::str::from_utf8(&out).unwrap())["geometry"], json!(null), "a Property is no geometry");
}

#[test]
fn user_terms_and_keyword_aliases_are_understood() {
    let contexts = offline();
    let context = run(contexts.resolve(&json!({
        "ex": "https://example.org/", "temp": "ex:temperature", "Raum": "ex:Room", "kennung": "@id", "art": "@type", "wert": "ngsi-ld:hasValue",
        "Eigenschaft": "ngsi-ld:Property", "gemessen": "ngsi-ld:observedAt", "klein": "ex:small", "gone": null
    })))
    .unwrap();
    let text = r#"{"kennung":"urn:a:1","art":"Raum","temp":{"art":"Eigenschaft","wert":{"klein":1,"ex:gross":2},"gemessen":"2020-01-01T00:00:00Z"},"ex:other":1}"#;
    let doc = decode_entity(&context, text.as_bytes(), &Options::new(now())).unwrap();
    let common = json!({
        "id": "urn:a:1", "type": "https://example.org/Room",
        "https://example.org/temperature": {
            "type": "Property", "value": {"https://example.org/small": 1, "https://example.org/gross": 2}, "observedAt": "2020-01-01T00:00:00Z"
        },
        "https://example.org/other": 1
    });
    let common = decode_entity(&contexts.core(), common.to_string().as_bytes(), &Options::new(now())).unwrap();
    assert_eq!(doc.to_entity().unwrap(), common.to_entity().unwrap());
    let e = decode_entity(&context, br#"{"id":"urn:a:1","type":"T","gone":1}"#, &Options::new(now())).unwrap_err();
    assert_eq!(e.fault.code(), "bad-name");
}

#[test]
fn other_json_ld_shapes_go_through_the_general_processor() {
    let contexts = offline();
    let context = run(contexts.resolve(&json!({"ex": "https://example.org/", "nested": "@nest", "p": "ex:p", "r": "ex:r"}))).unwrap();
    let expected = json!({
        "id": "urn:a:1", "type": "T", "https://example.org/p": {"type": "Property", "value": 1.50},
        "https://example.org/r": {"type": "Relationship", "object": "urn:a:2"}
    });
    let expected = decode_entity(&contexts.core(), expected.to_string().as_bytes(), &Options::new(now())).unwrap();
    for text in [
        r#"{"id":"urn:a:1","type":"T","nested":{"p":{"type":"Property","value":1.5},"r":{"type":"Relationship","object":"urn:a:2"}}}"#,
        r#"{"@graph":[{"id":"urn:a:1","type":"T","p":{"type":"Property","value":1.5},"r":{"type":"Relationship","object":"urn:a:2"}}]}"#,
    ] {
        let doc = decode_entity(&context, text.as_bytes(), &Options::new(now())).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(doc.to_entity().unwrap(), expected.to_entity().unwrap(), "{text}");
    }
}

#[test]
fn fragments_say_what_goes_and_what_comes() {
    let core = offline().core();
    let text = r#"{"type":"U","scope":"urn:ngsi-ld:null","a":"urn:ngsi-ld:null","b":{"type":"Property","value":"urn:ngsi-ld:null","datasetId":"urn:d:1"},
        "c":{"observedAt":"urn:ngsi-ld:null","value":{"x":"urn:ngsi-ld:null"},"s":"urn:ngsi-ld:null"},"d":{"unitCode":"CEL"},"e":[1,2],
        "f":{"type":"LanguageProperty","languageMap":{"@none":"urn:ngsi-ld:null"}}}"#;
    let read = |nulls| decode_fragment(&core, text.as_bytes(), &Options::new(now()).nulls(nulls));
    assert_eq!(read(Nulls::Refused).unwrap_err().fault.code(), "null-not-allowed");
    assert_eq!(read(Nulls::Members).unwrap_err().pointer, "/c/value/x", "only a merge goes into values");
    let fragment = read(Nulls::Deep).unwrap();
    assert_eq!(fragment.types[0].as_str(), core.expand("U"));
    assert_eq!(fragment.scopes, Some(Vec::new()));
    let change = |name: &str| &fragment.attributes.iter().find(|(iri, _)| iri.as_str() == core.expand(name)).unwrap().1;
    let instance = |name: &str| match change(name) {
        Change::Instances(list) => list[0].clone(),
        Change::Delete => panic!("{name} goes"),
    };
    assert_eq!(change("a"), &Change::Delete);
    let gone = instance("b");
    assert!(gone.deleted && gone.dataset_id.as_deref() == Some("urn:d:1"));
    let changed = instance("c");
    let (x, s) = (core.expand("x"), core.expand("s"));
    assert_eq!(
        json(&changed.text),
        json!({"type": "Property", "value": {x.as_ref(): "urn:ngsi-ld:null"}, "observedAt": "urn:ngsi-ld:null", s.as_ref(): "urn:ngsi-ld:null"})
    );
    let partial = instance("d");
    assert!(!partial.valued && partial.kind.is_none());
    assert_eq!(json(&partial.text), json!({"unitCode": "CEL"}));
    assert!(instance("f").deleted);
}

#[test]
fn the_body_for_one_attribute_is_an_instance_with_its_context_beside_it() {
    let core = offline().core();
    let read = |text: &str, nulls| decode_attribute(&core, text.as_bytes(), &Options::new(now()).nulls(nulls));
    let Change::Instances(list) = read(r#"{"@context":{},"observedAt":"2020-01-01T00:00:00Z","s":1}"#, Nulls::Members).unwrap() else { panic!() };
    assert_eq!((list[0].kind, list[0].valued), (None, false));
    let Change::Instances(list) = read(r#"{"type":"Relationship","object":"urn:a:1"}"#, Nulls::Refused).unwrap() else { panic!() };
    assert_eq!(list[0].kind, Some(AttributeKind::Relationship));
    assert_eq!(read(r#"{"s":1}"#, Nulls::Refused).unwrap_err().fault.code(), "bad-attribute-value");
    assert_eq!(read("\"urn:ngsi-ld:null\"", Nulls::Members).unwrap(), Change::Delete);
}
