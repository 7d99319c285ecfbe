//! The one-file package.

use netsage_runtime::package::{self, MAX_CARD_BYTES};
use netsage_runtime::{Digest, Package, PackageError};
use proptest::prelude::*;

use crate::recipe::Recipe;

#[test]
fn what_is_no_package() {
    let check = |bytes: &[u8], message: &str| {
        let error = Package::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
    };
    let component = Recipe::default().component();
    check(b"", "not WebAssembly");
    check(b"PK\x03\x04 something else", "not WebAssembly");
    check(b"\0asm", "ends within its header");
    check(b"\0asm\x01\0\0\0", "core WebAssembly module, not a component");
    check(b"\0asm\x02\0\0\0", "unknown version");
    check(&component, "has no section `netsage:artifact`");
    let mut packed = package::pack(&component, b"model", None, None).unwrap();
    check(&packed[..packed.len() - 1], "damaged at byte");
    packed.extend_from_within(component.len()..);
    check(&packed, "more than one section `netsage:artifact`");
    let large = vec![0; MAX_CARD_BYTES + 1];
    let error = package::pack(&component, b"", Some(&large), None).unwrap_err();
    assert!(matches!(error, PackageError::TooLarge { part: "card", .. }));
}

#[test]
fn packing_again_replaces_the_model_and_keeps_the_code() {
    let component = Recipe::default().component();
    let first = Package::from_bytes(package::pack(&component, b"one", Some(b"{}"), None).unwrap()).unwrap();
    let second = Package::from_bytes(package::pack(first.bytes(), b"two", None, None).unwrap()).unwrap();
    assert_eq!(
        (first.artifact(), first.card()),
        (b"one".as_slice(), Some(b"{}".as_slice()))
    );
    assert_eq!((second.artifact(), second.card()), (b"two".as_slice(), None));
    assert_eq!(first.code_digest(), second.code_digest());
    assert_ne!(first.digest(), second.digest());
    assert_eq!(first.digest(), Digest::of(first.bytes()));
    assert_eq!(first.code(), component);
    assert_eq!(package::strip(second.bytes()).unwrap(), component);
    assert_eq!(first.digest().to_string().len(), 64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_comes_out(artifact: Vec<u8>, card: Option<Vec<u8>>) {
        let component = Recipe::default().component();
        let package = Package::from_bytes(package::pack(&component, &artifact, card.as_deref(), None).unwrap()).unwrap();
        prop_assert_eq!(package.artifact(), artifact);
        prop_assert_eq!(package.card(), card.as_deref());
        prop_assert_eq!(package.code_digest(), Digest::of(&component));
    }
}
