use proptest::prelude::*;
use serde_json::{Value, json};
use waybill_keys::{es_number, jcs};

/// Doubles by their bits and how ECMAScript prints them (the sample of RFC 8785 appendix B).
#[test]
fn numbers_as_ecmascript_prints_them() {
    let cases: [(u64, Option<&str>); 26] = [
        (0x0000_0000_0000_0000, Some("0")),
        (0x8000_0000_0000_0000, Some("0")),
        (0x0000_0000_0000_0001, Some("5e-324")),
        (0x8000_0000_0000_0001, Some("-5e-324")),
        (0x7fef_ffff_ffff_ffff, Some("1.7976931348623157e+308")),
        (0x4340_0000_0000_0000, Some("9007199254740992")),
        (0xc340_0000_0000_0000, Some("-9007199254740992")),
        (0x4430_0000_0000_0000, Some("295147905179352830000")),
        (0x7fff_ffff_ffff_ffff, None),
        (0x7ff0_0000_0000_0000, None),
        (0x44b5_2d02_c7e1_4af5, Some("9.999999999999997e+22")),
        (0x44b5_2d02_c7e1_4af6, Some("1e+23")),
        (0x44b5_2d02_c7e1_4af7, Some("1.0000000000000001e+23")),
        (0x444b_1ae4_d6e2_ef4e, Some("999999999999999700000")),
        (0x444b_1ae4_d6e2_ef4f, Some("999999999999999900000")),
        (0x444b_1ae4_d6e2_ef50, Some("1e+21")),
        (0x3eb0_c6f7_a0b5_ed8c, Some("9.999999999999997e-7")),
        (0x3eb0_c6f7_a0b5_ed8d, Some("0.000001")),
        (0x41b3_de43_5555_5553, Some("333333333.3333332")),
        (0x41b3_de43_5555_5554, Some("333333333.33333325")),
        (0x41b3_de43_5555_5555, Some("333333333.3333333")),
        (0x41b3_de43_5555_5556, Some("333333333.3333334")),
        (0x41b3_de43_5555_5557, Some("333333333.33333343")),
        (0xbecb_f647_612f_3696, Some("-0.0000033333333333333333")),
        (0x4314_3ff3_c1cb_0959, Some("1424953923781206.2")),
        (0x4024_0000_0000_0000, Some("10")),
    ];
    for (bits, expected) in cases {
        assert_eq!(es_number(f64::from_bits(bits)).as_deref(), expected, "{bits:016x}");
    }
}

#[test]
fn members_are_sorted_by_utf16_and_strings_escaped_shortly() {
    // U+1F600 begins with the surrogate D83D, which sorts before U+FB33: by code points it would be the other way round.
    let value = json!({ "\u{fb33}": 1, "\u{1f600}": 2, "\u{80}": 3, "1": 4, "\r": 5, "€": 6, "ö": 7 });
    assert_eq!(jcs(&value), "{\"\\r\":5,\"1\":4,\"\u{80}\":3,\"ö\":7,\"€\":6,\"\u{1f600}\":2,\"\u{fb33}\":1}");
    assert_eq!(jcs(&json!("\u{8}\t\n\u{c}\r\u{1f}\u{7f}\"\\/é")), "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\\\"\\\\/é\"");
    assert_eq!(jcs(&json!([null, true, false, [], {}, 1.0, 1e0])), "[null,true,false,[],{},1,1]");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..4).prop_map(|list| list.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_reads_back_and_is_a_fixed_point(value in value()) {
        let text = jcs(&value);
        let back: Value = serde_json::from_str(&text).expect("JSON");
        prop_assert_eq!(jcs(&back), text);
    }

    #[test]
    fn a_number_reads_back_as_itself(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        if let Some(text) = es_number(number) {
            let back: f64 = text.parse().expect("a number");
            // Minus zero prints as zero.
            prop_assert_eq!((back + 0.0).to_bits(), (number + 0.0).to_bits(), "{}", text);
        } else {
            prop_assert!(!number.is_finite());
        }
    }

    #[test]
    fn the_order_of_members_does_not_matter(list in proptest::collection::btree_map(any::<String>(), any::<i32>(), 0..6)) {
        let forth: String = list.iter().map(|(k, v)| format!("{}:{v}", Value::from(k.as_str()))).collect::<Vec<_>>().join(",");
        let back: String = list.iter().rev().map(|(k, v)| format!("{}:{v}", Value::from(k.as_str()))).collect::<Vec<_>>().join(", ");
        let read = |text: String| serde_json::from_str::<Value>(&format!("{{{text}}}")).expect("JSON");
        prop_assert_eq!(jcs(&read(forth)), jcs(&read(back)));
    }
}
