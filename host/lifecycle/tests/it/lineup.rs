//! Who scores which flow, and what happens when somebody fails.

use std::sync::Arc;
use std::time::Duration;

use netsage_api_types::FailurePolicy;
use netsage_lifecycle::lineup::{BackOff, Canary, Probation, ScoringLimits, Shadow, Slot, is_in_share};
use netsage_lifecycle::{Generation, Lineup, LineupEvent, RollbackReason, Roster, Scorer, Verdicts};

use netsage_testkit::guests::{Flows, THRESHOLD, TRAPS, generation, guest};
use netsage_testkit::recipe::Recipe;

fn active(generation: &Arc<Generation>, on_failure: FailurePolicy) -> Slot {
    Slot {
        active: Some(Arc::clone(generation)),
        ..Slot::new(&generation.reference.name, on_failure)
    }
}

fn roster(limits: ScoringLimits, slots: Vec<Slot>) -> Arc<Roster> {
    let roster = Arc::new(Roster::new(limits));
    roster.publish(Lineup { slots, fused: None });
    roster
}

fn score(roster: &Arc<Roster>, flows: &Flows) -> Verdicts {
    let mut verdicts = Verdicts::new();
    Scorer::new(Arc::clone(roster))
        .score(&roster.lineup(), flows.to_score(), &mut verdicts)
        .unwrap();
    verdicts
}

/// The numbers of the generations that scored in a slot, by row; 0 for nobody.
fn numbers(verdicts: &Verdicts, slot: usize) -> Vec<u64> {
    (0..verdicts.rows())
        .map(|row| {
            verdicts
                .get(slot, row)
                .map_or(0, |scored| scored.generation.number)
        })
        .collect()
}

#[test]
fn every_slot_scores_every_flow() {
    let (one, other) = (
        guest(1, "one", ""),
        guest(2, "other", netsage_testkit::guests::SHIFTED),
    );
    let policy = FailurePolicy::Open;
    let roster = roster(
        ScoringLimits::default(),
        vec![active(&one, policy), active(&other, policy)],
    );
    let flows = Flows::of(&[0.0, 250.0, 995.0]);
    let verdicts = score(&roster, &flows);
    assert_eq!(
        (numbers(&verdicts, 0), numbers(&verdicts, 1)),
        (vec![1; 3], vec![2; 3])
    );
    let of_row = |row| {
        verdicts
            .of_row(row)
            .map(|scored| (scored.slot, scored.score, scored.is_above()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of_row(0), [(0, 0.0, false), (1, 500.0, false)]);
    assert_eq!(of_row(2), [(0, 995.0, true), (1, 1495.0, true)]);
    // Calibrated: 0.25 and 0.75; 0.9945 and beyond all that was held out.
    let fused = verdicts.fused(1).unwrap();
    assert!(
        (fused.mean - 0.5).abs() < 1e-6 && (fused.max - 0.75).abs() < 1e-6,
        "{fused:?}"
    );
    let fused = verdicts.fused(2).unwrap();
    assert!(
        (fused.mean - 0.997).abs() < 1e-3 && fused.max > 0.999 && fused.max <= 1.0,
        "{fused:?}"
    );
    assert_eq!((one.tally.rows(), one.tally.failed_rows()), (3, 0));
}

#[test]
fn a_flow_always_meets_the_same_version() {
    let (old, new) = (guest(1, "guest", ""), guest(2, "guest", ""));
    let canary = Canary::new(Arc::clone(&new), 0.25, Some(&old));
    let slots = vec![Slot {
        canary: Some(canary),
        ..active(&old, FailurePolicy::Open)
    }];
    let roster = roster(ScoringLimits::default(), slots);
    for seed in 0..20 {
        let flows = Flows::spread(100, seed);
        let verdicts = score(&roster, &flows);
        for (row, key) in flows.keys.iter().enumerate() {
            let scored = verdicts.get(0, row).unwrap();
            let expected = if is_in_share(*key, 0.25) { 2 } else { 1 };
            assert_eq!(scored.generation.number, expected);
            assert!(
                (scored.score - flows.duration(row)).abs() < 1e-3,
                "row {row} has its own score"
            );
        }
    }
    assert_eq!(old.tally.rows() + new.tally.rows(), 2000);
    assert!((400..600).contains(&new.tally.rows()), "{}", new.tally.rows());
}

#[test]
fn a_failing_canary_costs_no_score() {
    let (old, new) = (guest(1, "guest", ""), guest(2, "guest", TRAPS));
    let canary = Canary::new(Arc::clone(&new), 0.5, Some(&old));
    let slots = vec![Slot {
        canary: Some(canary),
        ..active(&old, FailurePolicy::Closed)
    }];
    let roster = roster(ScoringLimits::default(), slots);
    let flows = Flows::spread(64, 3);
    let verdicts = score(&roster, &flows);
    assert_eq!(numbers(&verdicts, 0), [1; 64]);
    for row in 0..64 {
        let scored = verdicts.get(0, row).unwrap();
        assert!((scored.score - flows.duration(row)).abs() < 1e-3, "row {row}");
    }
    assert!(new.tally.failed_rows() > 0);
    assert_eq!(old.tally.failed_rows(), 0);
}

#[test]
fn a_failing_detector_leaves_the_others_untouched() {
    let (bad, good) = (guest(1, "bad", TRAPS), guest(2, "good", ""));
    let policy = FailurePolicy::Open;
    let slots = vec![active(&bad, policy), active(&good, policy)];
    let roster = roster(ScoringLimits::default(), slots);
    for _ in 0..3 {
        let verdicts = score(&roster, &Flows::spread(10, 1));
        assert_eq!(
            (numbers(&verdicts, 0), numbers(&verdicts, 1)),
            (vec![0; 10], vec![2; 10])
        );
        assert!(verdicts.is_incomplete(0));
        assert!(verdicts.fused(0).is_some(), "by the one that scored");
    }
    assert_eq!(
        (bad.tally.failed_rows(), bad.tally.rows()),
        (30, 0),
        "`open` tries each block"
    );
    assert!(roster.events().is_empty(), "`open` takes nobody out");
}

#[test]
fn reload_waits_longer_and_longer_and_then_quarantines() {
    let bad = guest(1, "bad", TRAPS);
    let limits = ScoringLimits {
        failures_before_quarantine: 3,
        back_off: BackOff {
            first: Duration::from_millis(40),
            longest: Duration::from_secs(1),
        },
        ..ScoringLimits::default()
    };
    let roster = roster(limits, vec![active(&bad, FailurePolicy::Reload)]);
    let flows = Flows::spread(10, 1);
    let stats = || bad.loaded.detector.stats();
    score(&roster, &flows);
    // A new line-up with the same generation changes nothing: it is still the same failure.
    roster.publish(Lineup {
        fused: None,
        slots: vec![active(&bad, FailurePolicy::Reload)],
    });
    score(&roster, &flows);
    assert_eq!(stats().replaced_instances, 1, "not called again at once");
    assert_eq!(bad.tally.failed_rows(), 20, "but counted");
    for failures in [2, 3] {
        std::thread::sleep(Duration::from_millis(40 << (failures - 2)) + Duration::from_millis(10));
        score(&roster, &flows);
        assert_eq!(stats().replaced_instances, failures);
    }
    let event = roster.events().try_recv().unwrap();
    let LineupEvent::Quarantine { generation, reason } = event else {
        panic!("{event:?}")
    };
    assert_eq!(generation.number, 1);
    assert!(matches!(&reason, RollbackReason::InARow { failures: 3, last } if last.contains("trapped")));
    assert!(bad.is_suspended());
    score(&roster, &flows);
    assert_eq!(stats().replaced_instances, 3, "never called again");
    assert!(roster.events().is_empty(), "said once");
}

#[test]
fn closed_waits_and_then_stops() {
    let bad = guest(1, "bad", TRAPS);
    let limits = ScoringLimits {
        attempts: 3,
        back_off: BackOff {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        },
        ..ScoringLimits::default()
    };
    let roster = roster(limits, vec![active(&bad, FailurePolicy::Closed)]);
    let flows = Flows::spread(10, 1);
    let stopped = Scorer::new(Arc::clone(&roster))
        .score(&roster.lineup(), flows.to_score(), &mut Verdicts::new())
        .unwrap_err();
    assert_eq!((stopped.detector.as_str(), stopped.attempts), ("bad 1.2.3", 3));
    assert!(stopped.to_string().contains("trapped"), "{stopped}");
    assert_eq!(bad.loaded.detector.stats().replaced_instances, 3);
}

#[test]
fn the_one_before_scores_what_a_new_one_fails_to_score() {
    let (old, new) = (guest(1, "guest", ""), guest(2, "guest", TRAPS));
    let slots = vec![Slot {
        probation: Some(Probation::new(&new, Arc::clone(&old))),
        ..active(&new, FailurePolicy::Closed)
    }];
    let roster = roster(ScoringLimits::default(), slots);
    assert_eq!(numbers(&score(&roster, &Flows::spread(10, 1)), 0), [1; 10]);
}

#[test]
fn a_shadow_is_compared_and_changes_nothing() {
    let (old, new) = (guest(1, "guest", ""), guest(0, "guest", ""));
    let shadow = Shadow::new(Arc::clone(&new), 1.0, Some(&old));
    let slots = |shadow: &Shadow| {
        vec![Slot {
            shadows: vec![shadow.clone()],
            ..active(&old, FailurePolicy::Open)
        }]
    };
    let limits = ScoringLimits {
        shadow_time: Duration::from_secs(10),
        ..ScoringLimits::default()
    };
    let enough = roster(limits, slots(&shadow));
    let mut above = 0;
    for seed in 0..10 {
        let flows = Flows::spread(512, seed);
        let verdicts = score(&enough, &flows);
        assert_eq!(numbers(&verdicts, 0), [1; 512]);
        above += (0..512).filter(|row| flows.duration(*row) > THRESHOLD).count();
    }
    let comparison = enough.comparison(&new.reference.digest).unwrap();
    // The first call has few rows, since nobody knows what a row costs.
    assert_eq!((comparison.flows, comparison.skipped), (512 * 9 + 16, 512 - 16));
    assert_eq!(comparison.failed, 0);
    assert_eq!(comparison.agreement, Some(1.0));
    assert!(comparison.rank_correlation.unwrap() > 0.999);
    assert!(comparison.distance.unwrap() < 0.02, "{:?}", comparison.distance);
    let on_grid: u64 = comparison.grid.iter().flatten().sum();
    assert_eq!(on_grid, comparison.flows);
    assert_eq!(comparison.histogram[0].iter().sum::<u64>(), comparison.flows);
    // Of 511 seconds of traffic, over and over.
    let per_day = comparison.alerts_per_day[1].unwrap();
    assert!(
        (per_day - above as f64 / 511.0 * 86_400.0).abs() < 1.0,
        "{per_day}"
    );

    let no_time = roster(
        ScoringLimits {
            shadow_time: Duration::ZERO,
            ..limits
        },
        slots(&Shadow::new(Arc::clone(&new), 1.0, Some(&old))),
    );
    let verdicts = score(&no_time, &Flows::spread(100, 1));
    assert_eq!(numbers(&verdicts, 0), [1; 100]);
    let comparison = no_time.comparison(&new.reference.digest).unwrap();
    assert_eq!((comparison.flows, comparison.skipped), (0, 100));
}

#[test]
fn a_shadow_that_disagrees_stays_and_one_that_fails_goes() {
    let old = guest(1, "guest", "");
    let check = |score_text: &'static str, ends: bool| {
        let shadow = Shadow::new(guest(0, "guest", score_text), 1.0, Some(&old));
        let slots = vec![Slot {
            shadows: vec![shadow],
            ..active(&old, FailurePolicy::Open)
        }];
        let roster = roster(ScoringLimits::default(), slots);
        for seed in 0..20 {
            score(&roster, &Flows::spread(256, seed));
        }
        let event = roster.events().try_recv().ok();
        assert_eq!(
            matches!(event, Some(LineupEvent::EndShadow { .. })),
            ends,
            "{event:?}"
        );
    };
    check(netsage_testkit::guests::SHIFTED, false);
    check(TRAPS, true);
}

#[test]
fn who_has_a_state_sees_the_blocks_in_order() {
    let recipe = Recipe {
        name: "state".to_owned(),
        state_key: 2,
        ..Recipe::default()
    };
    let (free, state) = (guest(1, "free", ""), generation(2, &recipe));
    let policy = FailurePolicy::Open;
    let roster = roster(
        ScoringLimits::default(),
        vec![active(&state, policy), active(&free, policy)],
    );
    let flows = Flows::spread(10, 1);
    let mut verdicts = Verdicts::new();
    let mut scorer = Scorer::new(Arc::clone(&roster));
    scorer
        .score(&roster.lineup(), flows.to_score(), &mut verdicts)
        .unwrap();
    assert_eq!(
        (numbers(&verdicts, 0), numbers(&verdicts, 1)),
        (vec![0; 10], vec![1; 10])
    );
    scorer.score_in_order(flows.to_score(), &mut verdicts).unwrap();
    assert_eq!(
        (numbers(&verdicts, 0), numbers(&verdicts, 1)),
        (vec![2; 10], vec![1; 10])
    );
    assert_eq!(free.tally.rows(), 10, "not scored again");
}

/// The score of the first flow is the number of flows that the detector learnt from.
const TELLS_LEARNT: &str = "
    (f32.store (local.get $values) (f32.convert_i32_u (global.get $learnt)))";

#[test]
fn who_learns_learns_what_is_ordinary() {
    let adaptive = |number| {
        let recipe = Recipe {
            name: "adaptive".to_owned(),
            learns: true,
            score: TELLS_LEARNT,
            ..Recipe::default()
        };
        generation(number, &recipe)
    };
    let (learner, shadow) = (adaptive(1), adaptive(0));
    let slots = vec![Slot {
        shadows: vec![Shadow::new(Arc::clone(&shadow), 1.0, Some(&learner))],
        ..active(&learner, FailurePolicy::Open)
    }];
    let roster = roster(ScoringLimits::default(), slots);
    let mut scorer = Scorer::new(Arc::clone(&roster));
    let mut verdicts = Verdicts::new();
    // Of each block the flow that is alerted is not learnt.
    let flows = Flows::of(&[0.0, 10.0, 20.0, 1000.0]);
    for learnt in [0.0, 3.0, 6.0] {
        scorer
            .score(&roster.lineup(), flows.to_score(), &mut verdicts)
            .unwrap();
        scorer.score_in_order(flows.to_score(), &mut verdicts).unwrap();
        assert!((verdicts.get(0, 0).unwrap().score - learnt).abs() < 1e-6);
    }
    assert_eq!((learner.tally.failed_rows(), shadow.tally.rows()), (0, 12));
}

#[test]
fn former_lineups_end_with_the_control_side() {
    let old = guest(1, "guest", "");
    let ends = Arc::downgrade(&old);
    let roster = roster(ScoringLimits::default(), vec![active(&old, FailurePolicy::Open)]);
    drop(old);
    let in_use = roster.lineup();
    roster.publish(Lineup::default());
    drop(in_use);
    assert!(ends.upgrade().is_some(), "a scoring thread frees no detector");
    roster.sweep();
    assert!(ends.upgrade().is_none());
}
