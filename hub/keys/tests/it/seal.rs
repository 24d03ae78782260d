use proptest::prelude::*;
use waybill_keys::{OpenError, SealKey, open, seal};

#[test]
fn another_key_or_context_opens_nothing() {
    let key = SealKey::generate();
    let sealed = seal(&key, b"indoor 21.4", b"subject-1");
    assert_eq!(open(&key, &sealed, b"subject-1").expect("opens"), b"indoor 21.4");
    assert_eq!(open(&key, &sealed, b"subject-2"), Err(OpenError));
    assert_eq!(open(&SealKey::generate(), &sealed, b"subject-1"), Err(OpenError));
    assert_eq!(open(&key, &sealed[..20], b"subject-1"), Err(OpenError));
    assert_ne!(seal(&key, b"x", b""), seal(&key, b"x", b""), "the nonce is fresh each time");
    let back = SealKey::parse(&key.to_text()).expect("a key");
    assert_eq!(open(&back, &sealed, b"subject-1").expect("opens"), b"indoor 21.4");
    assert!(!format!("{key:?}").contains(key.to_text().as_str()));
}

proptest! {
    #[test]
    fn sealed_bytes_open_to_the_same_and_changed_ones_do_not(plain in proptest::collection::vec(any::<u8>(), 0..200), place in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let key = SealKey::generate();
        let mut sealed = seal(&key, &plain, b"c");
        prop_assert_eq!(open(&key, &sealed, b"c").expect("opens"), plain);
        let place = place.index(sealed.len());
        sealed[place] ^= flip;
        prop_assert_eq!(open(&key, &sealed, b"c"), Err(OpenError));
    }
}
