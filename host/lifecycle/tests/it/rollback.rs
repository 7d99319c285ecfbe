//! A bad new version takes itself out of use, with the right reason, and costs no flow its score.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::FailurePolicy;
use netsage_lifecycle::lineup::{Canary, Probation, Slot};
use netsage_lifecycle::statistics::FailureKind;
use netsage_lifecycle::{Generation, Lineup, LineupEvent, RollbackReason, Roster, Scorer, Verdicts};

use netsage_testkit::guests::{Flows, HANGS, NOT_FINITE, SHIFTED, SLOW, TRAPS, TRAPS_ON_ONE_PERCENT, guest};

/// Far longer than it may take, so that a busy machine fails no test; the figure is printed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Scores blocks until the line-up says that it took somebody out. Every flow must have exactly one score.
fn score_until_event(
    roster: &Arc<Roster>,
    rows: usize,
) -> Option<(Arc<Generation>, RollbackReason, Duration)> {
    let events = roster.events();
    let mut scorer = Scorer::new(Arc::clone(roster));
    let mut verdicts = Verdicts::new();
    let began = Instant::now();
    let mut seed = 0;
    while began.elapsed() < PATIENCE {
        seed += 1;
        let flows = Flows::spread(rows, seed);
        scorer
            .score(&roster.lineup(), flows.to_score(), &mut verdicts)
            .unwrap();
        for row in 0..rows {
            assert!(!verdicts.is_incomplete(row), "row {row} of block {seed}");
        }
        match events.try_recv() {
            Ok(LineupEvent::RollBack { generation, reason }) => {
                return Some((generation, reason, began.elapsed()));
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) if seed >= 400 => return None,
            Err(_) => {}
        }
    }
    None
}

fn slot(active: &Arc<Generation>) -> Slot {
    Slot {
        active: Some(Arc::clone(active)),
        ..Slot::new("guest", FailurePolicy::Reload)
    }
}

/// A canary that does `score` first is rolled back for a reason that `expected` takes.
fn check_canary(what: &str, score: &'static str, rows: usize, expected: fn(&RollbackReason) -> bool) {
    let active = guest(1, "guest", "");
    let candidate = guest(2, "guest", score);
    let roster = Arc::new(Roster::default());
    let canary = Canary::new(Arc::clone(&candidate), 0.1, Some(&active));
    let slots = vec![Slot {
        canary: Some(canary),
        ..slot(&active)
    }];
    roster.publish(Lineup { slots, fused: None });
    let (generation, reason, time) = score_until_event(&roster, rows).expect(what);
    eprintln!("{what}, {rows} flows a block: rolled back after {time:?}, because {reason}");
    assert_eq!(generation.number, 2, "{what}");
    assert!(generation.is_suspended() && !active.is_suspended());
    assert!(expected(&reason), "{what}: {reason}");

    // From now on the active one scores everything.
    let flows = Flows::spread(rows, 1);
    let mut verdicts = Verdicts::new();
    Scorer::new(Arc::clone(&roster))
        .score(&roster.lineup(), flows.to_score(), &mut verdicts)
        .unwrap();
    assert!((0..rows).all(|row| verdicts.get(0, row).unwrap().generation.number == 1));
}

#[test]
fn a_canary_that_traps_on_one_percent_of_the_flows() {
    for rows in [1024, 64] {
        check_canary("traps on 1 %", TRAPS_ON_ONE_PERCENT, rows, |reason| {
            matches!(
                reason,
                RollbackReason::Failures {
                    kind: FailureKind::Fault,
                    ..
                }
            )
        });
    }
}

#[test]
fn a_canary_whose_scores_are_shifted() {
    for rows in [1024, 64] {
        check_canary(
            "scores shifted",
            SHIFTED,
            rows,
            |reason| matches!(reason, RollbackReason::Distance { distance, .. } if *distance > 0.4),
        );
    }
}

#[test]
fn a_canary_that_is_too_slow() {
    for rows in [1024, 64] {
        check_canary("too slow", SLOW, rows, |reason| {
            matches!(reason, RollbackReason::Cost { .. })
        });
    }
}

#[test]
fn a_canary_that_hangs_or_gives_no_numbers() {
    check_canary("hangs", HANGS, 64, |reason| {
        matches!(
            reason,
            RollbackReason::Failures {
                kind: FailureKind::Overrun,
                ..
            }
        )
    });
    check_canary("not finite", NOT_FINITE, 64, |reason| {
        matches!(
            reason,
            RollbackReason::Failures {
                kind: FailureKind::NotFinite,
                ..
            }
        )
    });
}

#[test]
fn a_good_canary_stays() {
    let active = guest(1, "guest", "");
    let candidate = guest(2, "guest", "");
    let roster = Arc::new(Roster::default());
    let canary = Canary::new(Arc::clone(&candidate), 0.3, Some(&active));
    let slots = vec![Slot {
        canary: Some(canary),
        ..slot(&active)
    }];
    roster.publish(Lineup { slots, fused: None });
    assert!(score_until_event(&roster, 256).is_none());
    assert!(!candidate.is_suspended());
    let digest = &candidate.reference.digest;
    let comparison = roster.comparison(digest).unwrap();
    assert!(comparison.flows > 20_000, "{}", comparison.flows);
    assert!(comparison.distance.unwrap() < comparison.allowed_distance.unwrap());
    assert_eq!(comparison.agreement, None, "both never score the same flow");
}

/// Has a version with this body of `score` become active after 16 blocks of another, and scores on.
fn promote_after_another(score: &'static str) -> (Arc<Roster>, Option<(Arc<Generation>, RollbackReason)>) {
    let previous = guest(1, "guest", "");
    let roster = Arc::new(Roster::default());
    roster.publish(Lineup {
        fused: None,
        slots: vec![slot(&previous)],
    });
    assert!(score_until_event(&roster, 16).is_none());

    let active = guest(2, "guest", score);
    let probation = Probation::new(&active, Arc::clone(&previous));
    let slots = vec![Slot {
        probation: Some(probation),
        ..slot(&active)
    }];
    roster.publish(Lineup { slots, fused: None });
    let event = score_until_event(&roster, 64).map(|(generation, reason, _)| (generation, reason));
    (roster, event)
}

#[test]
fn an_active_one_on_probation_gives_way_to_the_one_before_it() {
    let (roster, event) = promote_after_another(TRAPS);
    let (generation, reason) = event.expect("it traps");
    assert_eq!(generation.number, 2, "{reason}");
    let flows = Flows::spread(8, 1);
    let mut verdicts = Verdicts::new();
    Scorer::new(Arc::clone(&roster))
        .score(&roster.lineup(), flows.to_score(), &mut verdicts)
        .unwrap();
    let numbers = (0..8).map(|row| verdicts.get(0, row).unwrap().generation.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [1; 8]);
}

#[test]
fn a_promoted_model_may_score_otherwise_than_the_one_before_it() {
    // The two never score flows of the same time, so a change of the traffic would look the same.
    let (_, event) = promote_after_another(SHIFTED);
    assert!(event.is_none(), "{event:?}");
}
