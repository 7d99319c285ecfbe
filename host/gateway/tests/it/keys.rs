//! The key by which detectors are shown addresses, of programs on one server.

use std::fs;

use netsage_gateway::address_key::{self, FILE};
use netsage_lifecycle::SetAside;
use netsage_testkit::backends::mongodb;

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn programs_on_one_server_have_the_key_of_the_first() {
    let place = match mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    // The first program comes with the key of its data folder, the second with none, the third with another one.
    let digits = [
        "000102030405060708090a0b0c0d0e0f",
        "",
        "0f0e0d0c0b0a09080706050403020100",
    ];
    let mut keys = Vec::new();
    for digits in digits {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        if !digits.is_empty() {
            fs::write(&file, digits).unwrap();
        }
        let store = place.open().await;
        let set_aside = SetAside::new(folder.path());
        keys.push(address_key::of_store(&*store, &file, &set_aside).await.unwrap());
        let is_there = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(is_there, digits, "the file is left alone");
    }
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join(FILE);
    fs::write(&first, digits[0]).unwrap();
    let first = address_key::open(&first, None).unwrap();
    assert!(keys.iter().all(|key| *key == first), "{keys:?}");
}
