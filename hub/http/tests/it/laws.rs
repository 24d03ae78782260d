//! Laws of parsing: nothing panics, and what was coded is decoded to the same.

use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use waybill_http::{Cidr, Query, decode_component, encode_component, is_public};

proptest! {
    #[test]
    fn any_query_is_parsed_or_refused(raw in "\\PC{0,200}") {
        if let Ok(query) = Query::parse(&raw) {
            prop_assert_eq!(query.raw(), raw.as_str());
        }
    }

    #[test]
    fn a_query_of_coded_pairs_gives_the_pairs(pairs in prop::collection::vec(("\\PC{1,12}", "\\PC{0,12}"), 0..8)) {
        let raw: Vec<String> = pairs.iter().map(|(n, v)| format!("{}={}", encode_component(n), encode_component(v))).collect();
        let query = Query::parse(&raw.join("&")).unwrap();
        let back: Vec<(String, String)> = query.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        prop_assert_eq!(back, pairs);
    }

    #[test]
    fn a_coded_segment_is_one_segment_and_decodes_to_the_same(text in any::<String>()) {
        let coded = encode_component(&text);
        prop_assert!(coded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        prop_assert_eq!(decode_component(&coded), Some(text));
    }

    #[test]
    fn an_address_in_ipv6_clothes_is_as_public_as_it_is(bits in any::<u32>()) {
        let plain = Ipv4Addr::from(bits);
        let open = is_public(IpAddr::V4(plain));
        prop_assert_eq!(is_public(IpAddr::V6(plain.to_ipv6_mapped())), open);
        let [a, b, c, d] = plain.octets();
        let nat64: IpAddr = format!("64:ff9b::{a}.{b}.{c}.{d}").parse().unwrap();
        prop_assert_eq!(is_public(nat64), open);
        let six_to_four: IpAddr = format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1").parse().unwrap();
        prop_assert_eq!(is_public(six_to_four), open);
    }

    #[test]
    fn a_range_holds_exactly_what_shares_its_prefix(base in any::<u32>(), bits in 0u8..=32, other in any::<u32>()) {
        let shift = 32 - u32::from(bits);
        let cut = |n: u32| n.checked_shr(shift).unwrap_or(0);
        let start = cut(base).checked_shl(shift).unwrap_or(0);
        let range: Cidr = format!("{}/{bits}", Ipv4Addr::from(start)).parse().unwrap();
        prop_assert_eq!(range.contains(IpAddr::V4(Ipv4Addr::from(other))), cut(other) == cut(base));
        prop_assert!(range.contains(IpAddr::V4(Ipv4Addr::from(base))));
    }

    #[test]
    fn any_text_is_a_range_or_refused(text in "\\PC{0,40}") {
        let _ = text.parse::<Cidr>();
    }
}
