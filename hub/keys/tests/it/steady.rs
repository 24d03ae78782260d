use proptest::prelude::*;
use waybill_keys::{OpenError, SealKey, hex, hmac_sha256, open_steadily, seal_steadily};

fn key(n: u8) -> SealKey {
    SealKey::from_bytes([n; 32])
}

#[test]
fn the_code_is_that_of_the_published_example() {
    // RFC 4231, test case 1: a key of 20 bytes, which is the same as one filled up with zeros.
    let mut key = [0; 32];
    key[..20].fill(0x0b);
    assert_eq!(hex(&hmac_sha256(&key, b"Hi There")), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

#[test]
fn another_key_or_context_opens_nothing_and_gives_another_text() {
    let sealed = seal_steadily(&key(1), b"urn:meter:1", b"a");
    assert_eq!(seal_steadily(&key(1), b"urn:meter:1", b"a"), sealed);
    for (which, context) in [(1, b"b".as_slice()), (2, b"a"), (1, b"")] {
        assert_eq!(open_steadily(&key(which), &sealed, context), Err(OpenError));
        assert_ne!(seal_steadily(&key(which), b"urn:meter:1", context), sealed);
    }
    assert_eq!(open_steadily(&key(1), &sealed[..11], b"a"), Err(OpenError));
    // What belongs to the context and what to the text is not open to doubt.
    assert_ne!(seal_steadily(&key(1), b"bc", b"a")[..12], seal_steadily(&key(1), b"c", b"ab")[..12]);
}

proptest! {
    #[test]
    fn each_text_has_one_sealed_form(plain in proptest::collection::vec(any::<u8>(), 0..200), place in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let mut sealed = seal_steadily(&key(7), &plain, b"c");
        prop_assert_eq!(open_steadily(&key(7), &sealed, b"c").expect("opens"), plain);
        let place = place.index(sealed.len());
        sealed[place] ^= flip;
        prop_assert_eq!(open_steadily(&key(7), &sealed, b"c"), Err(OpenError));
    }
}
