//! Golden vectors in packages.

use netsage_package::{GoldenMismatch, Package};
use netsage_runtime::{GoldenError, Runtime};
use netsage_schema::UNSW_NB15;

use crate::recipe::{CARD, Recipe, SCORE_LEARNT};
use crate::{bundled, config};

#[test]
fn a_packed_detector_gives_the_scores_in_its_package() {
    let runtime = Runtime::new(config()).unwrap();
    let component = Recipe::default().component();
    let pack = || runtime.pack(&component, b"model", Some(CARD.as_bytes())).unwrap();
    let packed = pack();
    assert_eq!(
        packed.digest(),
        pack().digest(),
        "packing again gives the same bytes"
    );
    let golden = packed.golden().unwrap().unwrap();
    assert_eq!(golden.columns, ["dur", "sbytes"]);
    assert!((32..=64).contains(&golden.scores.len()));
    assert_eq!(golden.rows.len(), 2 * golden.scores.len());

    let detector = runtime.load(&packed, &UNSW_NB15).unwrap();
    assert_eq!(detector.check_golden(&golden), Ok(()));
    let mut other = golden.clone();
    other.scores[7] += 1.0;
    let error = detector.check_golden(&other).unwrap_err();
    assert!(
        matches!(error, GoldenError::Mismatch(GoldenMismatch::Score { row: 7, .. })),
        "{error}"
    );
    let mut other = golden.clone();
    other.columns[1] = "dbytes".to_owned();
    let message = detector.check_golden(&other).unwrap_err().to_string();
    assert!(
        message.contains("`dbytes` where the detector reads `sbytes`"),
        "{message}"
    );

    // Code that does not belong to the vectors.
    let changed = Recipe {
        score: "(f32.store (local.get $values) (f32.const 1234))",
        ..Recipe::default()
    };
    let bytes = netsage_package::pack(&changed.component(), b"model", None, Some(&golden)).unwrap();
    let detector = runtime
        .load(&Package::from_bytes(bytes).unwrap(), &UNSW_NB15)
        .unwrap();
    let message = detector.check_golden(&golden).unwrap_err().to_string();
    assert!(
        message.contains("gives row 0 of 48 golden rows the score 1234"),
        "{message}"
    );
}

#[test]
fn damaged_vectors_are_an_error_and_no_vectors_are_none() {
    let package = Recipe::default().package();
    assert_eq!(package.golden(), Ok(None));
    let mut bytes = package.bytes().to_vec();
    let section = b"\x0enetsage:golden";
    bytes.extend([0, section.len() as u8 + 4]);
    bytes.extend(section);
    bytes.extend(b"junk");
    let damaged = Package::from_bytes(bytes).unwrap();
    let message = damaged.golden().unwrap_err().to_string();
    assert!(message.contains("not of format 1"), "{message}");
    assert_eq!(damaged.code_digest(), package.code_digest());
}

#[test]
fn what_a_detector_has_learned_does_not_count() {
    let runtime = Runtime::new(config()).unwrap();
    let learner = Recipe {
        learns: true,
        score: SCORE_LEARNT,
        ..Recipe::default()
    };
    let packed = runtime.pack(&learner.component(), b"model", None).unwrap();
    let detector = runtime.load(&packed, &UNSW_NB15).unwrap();
    detector.learn(&crate::rows(3), None, &[0, 1, 2]).unwrap();
    let golden = packed.golden().unwrap().unwrap();
    assert_eq!(detector.check_golden(&golden), Ok(()));
}

#[test]
fn the_bundled_packages_hold_to_theirs() {
    for (path, package) in bundled::packages() {
        let golden = package.golden().unwrap().expect("packed with golden vectors");
        let runtime = Runtime::new(config()).unwrap();
        let schema = package.known_schema().unwrap().expect("packed with a card");
        let detector = runtime.load(&package, schema).unwrap();
        assert_eq!(detector.check_golden(&golden), Ok(()), "{}", path.display());
    }
}
