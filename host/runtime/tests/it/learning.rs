//! Detectors that learn: what they have learned is saved, handed on, and lost with nobody.

use netsage_runtime::{GuestFailure, LoadError, LoadOptions, Runtime, ScoreError};
use netsage_schema::UNSW_NB15;

use crate::{config, load, rows};
use netsage_testkit::recipe::{Recipe, SCORE_LEARNT};

fn learner() -> Recipe {
    Recipe {
        learns: true,
        score: SCORE_LEARNT,
        ..Recipe::default()
    }
}

#[test]
fn learned_state_is_saved_and_handed_on() {
    let runtime = Runtime::new(config()).unwrap();
    let package = learner().package();
    let detector = runtime.load(&package, &UNSW_NB15).unwrap();
    let score = |detector: &netsage_runtime::Detector| {
        let mut scores = Vec::new();
        detector
            .score_rows_of(&rows(5), None, &[4, 1, 1], &mut scores)
            .unwrap();
        scores
    };
    assert_eq!(score(&detector), [0.0, 1.0, 1.0]);
    detector.learn(&rows(5), None, &[0, 2, 3]).unwrap();
    assert_eq!(score(&detector), [3.0, 1.0, 1.0]);
    let state = detector.save().unwrap().unwrap();
    assert_eq!(state, [3, 0, 0, 0]);

    let options = LoadOptions {
        state: Some(&state),
        instances: 4,
    };
    let next = runtime.load_with(&package, &UNSW_NB15, options).unwrap();
    assert_eq!(score(&next), [3.0, 1.0, 1.0]);
    assert_eq!(next.idle_instances(), 1, "one instance sees all rows");
    // What comes after the last save is lost with its instance, what came before is not.
    detector.learn(&rows(5), None, &[0]).unwrap();
    assert_eq!(score(&detector), [4.0, 1.0, 1.0]);
    detector.release_instances();
    assert_eq!(score(&detector), [3.0, 1.0, 1.0]);
}

#[test]
fn a_detector_that_does_not_learn_is_given_nothing() {
    let runtime = Runtime::new(config()).unwrap();
    let options = LoadOptions {
        state: Some(&[9, 0, 0, 0]),
        instances: 2,
    };
    let package = Recipe::default().package();
    let detector = runtime.load_with(&package, &UNSW_NB15, options).unwrap();
    assert_eq!(detector.idle_instances(), 2);
    detector.learn(&rows(5), None, &[0]).unwrap();
    assert_eq!(detector.save().unwrap(), None);
    let mut scores = Vec::new();
    detector.score_rows_of(&rows(5), None, &[3], &mut scores).unwrap();
    assert_eq!(scores, [3.0]);
    let beyond = detector.score_rows_of(&rows(5), None, &[3, 5], &mut scores);
    assert_eq!(
        beyond,
        Err(ScoreError::OutOfRange {
            start: 5,
            end: 6,
            rows: 5
        })
    );
    assert_eq!(scores, [3.0]);
}

#[test]
fn a_state_that_is_refused_is_told() {
    let runtime = Runtime::new(config()).unwrap();
    let recipe = Recipe {
        restore: "(return (call $error (i32.const 1)))",
        ..learner()
    };
    let options = LoadOptions {
        state: Some(b"of another version"),
        instances: 1,
    };
    let error = runtime
        .load_with(&recipe.package(), &UNSW_NB15, options)
        .map(drop);
    assert!(
        matches!(
            error,
            Err(LoadError::Guest(GuestFailure::Refused {
                kind: "bad-state",
                ..
            }))
        ),
        "{error:?}"
    );
    assert!(load(&recipe.package()).is_ok());
}

#[test]
fn flows_do_not_wait_for_a_state_that_is_refused() {
    let recipe = Recipe {
        score: "(if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))",
        restore: "(return (call $error (i32.const 1)))",
        ..learner()
    };
    let detector = load(&recipe.package()).unwrap();
    detector.save().unwrap().unwrap();
    let mut scores = Vec::new();
    let mut outcomes = (0..4).map(|_| detector.score(&rows(1), None, 0..1, &mut scores).is_ok());
    assert!(outcomes.by_ref().eq([true, false, true, false]));
}
