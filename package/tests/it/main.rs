//! The package file, as its readers meet it.

// Tests state their expectations by panicking.
#![allow(clippy::unwrap_used)]

mod card;

use netsage_package::file::MAX_CARD_BYTES;
use netsage_package::{Digest, Package, PackageError, pack, strip};
use proptest::prelude::*;

/// First bytes of every component.
const PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A section of a component: its id, its length, its content.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id, u8::try_from(content.len()).unwrap()], content].concat()
}

fn custom(name: &[u8], data: &[u8]) -> Vec<u8> {
    section(0, &[&[u8::try_from(name.len()).unwrap()], name, data].concat())
}

/// A component with a few sections, one of them custom.
fn component() -> Vec<u8> {
    [
        PREAMBLE.to_vec(),
        section(7, b"types"),
        custom(b"name", b"x"),
        section(11, b"exports"),
    ]
    .concat()
}

fn package(sections: &[Vec<u8>]) -> Vec<u8> {
    [PREAMBLE.to_vec(), sections.concat()].concat()
}

#[test]
fn what_is_no_package() {
    #[track_caller]
    fn check(bytes: &[u8], message: &str) {
        let error = Package::from_bytes(bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
    }
    check(b"", "not WebAssembly");
    check(b"PK\x03\x04 something else", "not WebAssembly");
    check(b"\0asm", "ends within its header");
    check(b"\0asm\x01\0\0\0", "core WebAssembly module, not a component");
    check(b"\0asm\x02\0\0\0", "unknown version");
    check(&component(), "has no section `netsage:artifact`");
    check(&package(&[vec![0, 9, 1]]), "damaged at byte 8");
    // A name that is longer than its section, and a length of more than 32 bits.
    check(&package(&[vec![0, 1, 2, b'n', b'n']]), "damaged at byte 8");
    check(
        &package(&[vec![0, 0x80, 0x80, 0x80, 0x80, 0x10]]),
        "damaged at byte 8",
    );
    check(
        &package(&[vec![0, 0x80, 0x80, 0x80, 0x80, 0x80, 1]]),
        "damaged at byte 8",
    );
    let artifact = custom(b"netsage:artifact", b"model");
    check(
        &package(&[artifact.clone(), artifact]),
        "more than one section `netsage:artifact`",
    );
    let large = vec![0; MAX_CARD_BYTES + 1];
    let error = pack(&component(), b"", Some(&large), None).unwrap_err();
    assert!(matches!(error, PackageError::TooLarge { part: "card", .. }));
}

#[test]
fn every_cut_is_an_error() {
    let whole = pack(&component(), b"model", Some(b"{}"), None).unwrap();
    let artifact_end = whole.len() - custom(b"netsage:card", b"{}").len();
    for length in 0..whole.len() {
        // Without its card a package is one all the same.
        assert_eq!(
            Package::from_bytes(&whole[..length]).is_err(),
            length != artifact_end,
            "cut at {length}"
        );
    }
}

#[test]
fn the_artifact_is_found_among_other_sections() {
    let check = |sections: &[Vec<u8>], expected: &[u8]| {
        assert_eq!(
            Package::from_bytes(package(sections)).unwrap().artifact(),
            expected
        );
    };
    let artifact = |data| custom(b"netsage:artifact", data);
    check(&[custom(b"name", b"x"), artifact(b"model")], b"model");
    check(&[section(7, b"12"), artifact(b"")], b"");
    // A name that is no text is not ours; what a nested component holds is not ours either.
    check(
        &[
            custom(b"\xff\xfe", b"x"),
            section(4, &package(&[artifact(b"inner")])),
            artifact(b"outer"),
        ],
        b"outer",
    );
}

#[test]
fn packing_again_replaces_the_model_and_keeps_the_code() {
    let component = component();
    let first = Package::from_bytes(pack(&component, b"one", Some(b"{}"), None).unwrap()).unwrap();
    let second = Package::from_bytes(pack(first.bytes(), b"two", None, None).unwrap()).unwrap();
    assert_eq!(
        (first.artifact(), first.card()),
        (b"one".as_slice(), Some(b"{}".as_slice()))
    );
    assert_eq!((second.artifact(), second.card()), (b"two".as_slice(), None));
    assert_eq!(first.code_digest(), second.code_digest());
    assert_ne!(first.digest(), second.digest());
    assert_eq!(first.digest(), Digest::of(first.bytes()));
    assert_eq!(first.code(), component);
    assert_eq!(strip(second.bytes()).unwrap(), component);
    assert_eq!(first.digest().to_string().len(), 64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_comes_out(
        artifact in proptest::collection::vec(any::<u8>(), 0..40_000),
        card: Option<Vec<u8>>,
    ) {
        let component = component();
        let package = Package::from_bytes(pack(&component, &artifact, card.as_deref(), None).unwrap()).unwrap();
        prop_assert_eq!(package.artifact(), artifact);
        prop_assert_eq!(package.card(), card.as_deref());
        prop_assert_eq!(package.code_digest(), Digest::of(&component));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _ = Package::from_bytes(package(&[bytes]));
    }
}
