//! Golden vectors in packages.

use netsage_package::{GoldenMismatch, Package};
use netsage_runtime::{GoldenError, Judging, Runtime};
use netsage_schema::UNSW_NB15;

use crate::{bundled, config};
use netsage_testkit::recipe::{CARD, Recipe};

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
    assert_eq!(detector.check_golden(&golden, Judging::Everything), Ok(()));
    let mut other = golden.clone();
    other.scores[7] += 1.0;
    let error = detector.check_golden(&other, Judging::Everything).unwrap_err();
    assert!(
        matches!(error, GoldenError::Mismatch(GoldenMismatch::Score { row: 7, .. })),
        "{error}"
    );
    let mut other = golden.clone();
    other.columns[1] = "dbytes".to_owned();
    let message = detector
        .check_golden(&other, Judging::Everything)
        .unwrap_err()
        .to_string();
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
    let message = detector
        .check_golden(&golden, Judging::Everything)
        .unwrap_err()
        .to_string();
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
    assert!(message.contains("not of format 2"), "{message}");
    assert_eq!(damaged.code_digest(), package.code_digest());
}

#[test]
fn what_a_detector_has_learned_does_not_count() {
    let runtime = Runtime::new(config()).unwrap();
    let learner = Recipe {
        learns: true,
        score: "(if (global.get $learnt) (then (f32.store (local.get $values) (f32.const -1))))",
        ..Recipe::default()
    };
    let packed = runtime.pack(&learner.component(), b"model", None).unwrap();
    let detector = runtime.load(&packed, &UNSW_NB15).unwrap();
    detector.learn(&crate::rows(3), None, &[0, 1, 2]).unwrap();
    let golden = packed.golden().unwrap().unwrap();
    assert_eq!(detector.check_golden(&golden, Judging::Everything), Ok(()));
}

/// For `score`: a row's score is its first value and that of the row before of the same source, where it asks for sources,
/// and otherwise with the same second value; over calls too.
const SCORE_REMEMBERED: &str = r"
    (block $remembered (loop $more
      (br_if $remembered (i32.ge_u (local.get $row) (local.get $rows)))
      (global.set $place (i32.add (local.get $values) (i32.mul (local.get $row) (i32.const 8))))
      (global.set $slot (i32.add (i32.const 65536)
        (i32.mul
          (if (result i32) (local.get $has_sources)
            (then (i32.load (i32.add (local.get $sources) (i32.mul (local.get $row) (i32.const 8)))))
            (else (i32.trunc_f32_u (f32.load offset=4 (global.get $place)))))
          (i32.const 4))))
      (global.set $old (f32.load (global.get $place)))
      (f32.store (global.get $place) (f32.add (global.get $old) (f32.load (global.get $slot))))
      (f32.store (global.get $slot) (global.get $old))
      (local.set $row (i32.add (local.get $row) (i32.const 1)))
      (br $more)))
    (local.set $row (i32.const 0))";

/// An explanation whose one share is 2.
const EXPLAIN_TOO_MUCH: &str = r"
    (i32.store (i32.const 3072) (i32.const 1)) (i32.store (i32.const 3076) (i32.const 0))
    (f32.store (i32.const 3080) (f32.const 2)) (f32.store (i32.const 3084) (f32.const 6))
    (i32.store8 (i32.const 2048) (i32.const 0))
    (i32.store (i32.const 2052) (i32.const 3072)) (i32.store (i32.const 2056) (i32.const 1))
    (i32.store (i32.const 2060) (i32.const 3076)) (i32.store (i32.const 2064) (i32.const 1))
    (i32.store (i32.const 2068) (i32.const 3080)) (i32.store (i32.const 2072) (i32.const 1))
    (i32.store (i32.const 2076) (i32.const 3084)) (i32.store (i32.const 2080) (i32.const 1))
    (global.set $heap (i32.const 131072))
    (return (i32.const 2048))";

#[test]
fn what_a_detector_must_not_notice_is_found() {
    let runtime = Runtime::new(config()).unwrap();
    let check = |recipe: &Recipe, expected: Option<&str>| {
        let component = recipe.component();
        let packed = runtime
            .pack(&component, b"model", None)
            .map_err(|error| error.to_string());
        match (packed, expected) {
            (Ok(_), None) => {}
            (Err(message), Some(expected)) => {
                assert!(
                    message.contains(expected),
                    "{}: {message:?} does not say {expected:?}",
                    recipe.name
                );
            }
            (packed, _) => panic!("{}: {packed:?}, expected {expected:?}", recipe.name),
        }
    };
    let recipe = |name: &str, state_key, score| Recipe {
        name: name.to_owned(),
        state_key,
        score,
        ..Recipe::default()
    };
    // A hidden counter, and the size of the block, whatever the state key is.
    let counter = "(f32.store (local.get $values) (f32.convert_i32_u (global.get $calls)))";
    let size = "(f32.store (local.get $values) (f32.convert_i32_u (local.get $rows)))";
    for state_key in 0..3 {
        check(
            &recipe("counter", state_key, counter),
            Some("when they come one by one"),
        );
        check(&recipe("size", state_key, size), Some("when they come"));
        check(&recipe("plain", state_key, ""), None);
    }
    // It remembers what came before: all of it, or that of the same source.
    let remembers = |name: &str, state_key, by_source: bool| Recipe {
        columns: vec!["dur".to_owned(), "is_sm_ips_ports".to_owned()],
        context: [false, by_source, false],
        fields: "(global $place (mut i32) (i32.const 0)) (global $slot (mut i32) (i32.const 0))
            (global $old (mut f32) (f32.const 0))"
            .to_owned(),
        ..recipe(name, state_key, SCORE_REMEMBERED)
    };
    for (state_key, by_source, expected) in [
        (0, true, Some("another order")),
        (1, true, None),
        (2, true, None),
        (0, false, Some("another order")),
        (1, false, Some("another order")),
        (2, false, None),
    ] {
        check(
            &remembers(&format!("by-{state_key}"), state_key, by_source),
            expected,
        );
    }
    let explains = |name: &str, explain| Recipe {
        explain,
        ..recipe(name, 0, "")
    };
    check(
        &explains("share", EXPLAIN_TOO_MUCH),
        Some("`explain`: a share that is not between 0 and 1"),
    );
    check(&explains("trap", "unreachable"), Some("trapped in `explain`"));
}

#[test]
fn judging_the_bits_alone_looks_at_scores_in_one_block_only() {
    let runtime = Runtime::new(config()).unwrap();
    let counter = Recipe {
        score: "(f32.store (local.get $values) (f32.convert_i32_u (global.get $calls)))",
        ..Recipe::default()
    };
    let detector = runtime.load(&counter.package(), &UNSW_NB15).unwrap();
    let mut golden = detector.make_golden().unwrap();
    assert_eq!(detector.check_golden(&golden, Judging::Bits), Ok(()));
    assert!(detector.check_golden(&golden, Judging::Everything).is_err());
    golden.scores[47] = f32::from_bits(golden.scores[47].to_bits() ^ 1);
    let error = detector.check_golden(&golden, Judging::Bits).unwrap_err();
    assert!(
        matches!(
            error,
            GoldenError::Mismatch(GoldenMismatch::Score { row: 47, .. })
        ),
        "{error}"
    );
}

#[test]
fn the_bundled_packages_hold_to_theirs() {
    for (path, package) in bundled::packages() {
        let golden = package.golden().unwrap().expect("packed with golden vectors");
        let runtime = Runtime::new(config()).unwrap();
        let schema = package.known_schema().unwrap().expect("packed with a card");
        let detector = runtime.load(&package, schema).unwrap();
        assert_eq!(
            detector.check_golden(&golden, Judging::Everything),
            Ok(()),
            "{}",
            path.display()
        );
    }
}
