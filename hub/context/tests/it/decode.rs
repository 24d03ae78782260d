//! Decoding and encoding of single Entities.

use super::support::{json, now, offline};
use waybill_context::{EncodeOptions, Format, Options, decode_entity, encode_entity};
use waybill_model::EntityDoc;

#[test]
fn a_normalized_entity_becomes_canonical_and_comes_back() {
    let text = r#"{
        "id": "urn:ngsi-ld:Room:1", "type": "Room", "scope": "Madrid/Gardens",
        "temperature": [
            {"type": "Property", "value": 21.50, "unitCode": "CEL", "observedAt": "2026-01-01T10:00:00Z",
             "accuracy": {"type": "Property", "value": {"plus": 0.1, "type": "Band"}}},
            {"type": "Property", "value": 22, "datasetId": "urn:dataset:2"}
        ],
        "inside": {"type": "Relationship", "object": ["urn:ngsi-ld:House:1", "urn:ngsi-ld:House:2"]},
        "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1.0, 2]}},
        "says": {"type": "LanguageProperty", "languageMap": {"en": "yes", "fr": ["oui"]}},
        "kind": {"type": "VocabProperty", "vocab": "Big"},
        "raw": {"type": "JsonProperty", "json": {"id": 1, "n": null}},
        "list": {"type": "ListProperty", "valueList": [1, [2]]},
        "route": {"type": "ListRelationship", "objectList": [{"object": "urn:a:1"}]}
    }"#;
    let core = offline().core();
    let doc = decode_entity(&core, text.as_bytes(), &Options::new(now())).unwrap();
    assert_eq!(doc, EntityDoc::parse(doc.text(), now()).unwrap(), "the spans noted are the spans read");
    doc.to_entity().unwrap();
    for (format, form) in [(Format::Normalized, Options::new(now())), (Format::Concise, Options::new(now()))] {
        let mut out = Vec::new();
        encode_entity(&core, &doc, &EncodeOptions::format(format), &mut out);
        let again = decode_entity(&core, &out, &form).unwrap();
        assert_eq!(again.text(), doc.text(), "{format:?}: {}", String::from_utf8_lossy(&out));
        if format == Format::Normalized {
            let mut expected = json(text);
            expected["scope"] = json("\"/Madrid/Gardens\"");
            assert_eq!(json(std::str::from_utf8(&out).unwrap()), expected);
        }
    }
}
