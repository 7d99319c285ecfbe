//! What happens without anybody asking: rollouts, rollbacks, and the saving of what was learned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::{FailurePolicy, HistoryEntry, HistoryQuery, Stage, Step, StepRequest};
use netsage_lifecycle::{Lifecycle, LifecycleConfig, NewPackage, Rollout, Scorer, Start, Verdicts};
use netsage_schema::UNSW_NB15;

use netsage_testkit::guests::{Flows, TRAPS, runtime};
use netsage_testkit::recipe::Recipe;

const PATIENCE: Duration = Duration::from_secs(60);

fn open(config: LifecycleConfig) -> Arc<Lifecycle> {
    let life = Lifecycle::open(config, runtime(), &UNSW_NB15).unwrap();
    life.begin(Start::default()).unwrap();
    life
}

fn bring(life: &Lifecycle, recipe: &Recipe, version: u8, until: Stage) -> String {
    let package = recipe.package_with(&[version], None);
    let new = NewPackage::from_api(package.bytes().to_vec());
    let info = life.stage(&new, &StepRequest::default(), until).unwrap();
    life.wait(&info.detector.digest, Stage::Warm.min(until), PATIENCE)
        .unwrap();
    info.detector.digest
}

fn step(life: &Lifecycle, digest: &str, step: Step) {
    life.step(digest, step, &StepRequest::default()).unwrap();
}

fn last(life: &Lifecycle, digest: &str) -> HistoryEntry {
    let query = HistoryQuery {
        digest: Some(digest.to_owned()),
        ..HistoryQuery::default()
    };
    life.history(&query).unwrap().items.remove(0)
}

/// Scores flows until the package stands there.
fn score_until(life: &Lifecycle, digest: &str, stage: Stage) -> HistoryEntry {
    let mut scorer = Scorer::new(Arc::clone(life.roster()));
    let mut verdicts = Verdicts::new();
    let (start, mut seed) = (Instant::now(), 0);
    while life.info(digest).unwrap().stage != stage {
        assert!(start.elapsed() < PATIENCE, "{:?}", life.info(digest));
        seed += 1;
        let flows = Flows::spread(500, seed);
        // A failure of a detector is what is asked for here.
        let _ = scorer.score(&life.roster().lineup(), flows.to_score(), &mut verdicts);
        std::thread::sleep(Duration::from_millis(1));
    }
    last(life, digest)
}

fn guest(score: &'static str) -> Recipe {
    Recipe {
        name: "guest".to_owned(),
        score,
        ..Recipe::default()
    }
}

#[test]
fn a_bad_canary_is_rolled_back_and_the_history_says_why() {
    let life = open(LifecycleConfig::default());
    let first = bring(&life, &guest(""), 1, Stage::Warm);
    step(&life, &first, Step::Promote);
    let second = bring(&life, &guest(TRAPS), 2, Stage::Warm);
    step(&life, &second, Step::Canary);
    let entry = score_until(&life, &second, Stage::Warm);
    assert_eq!((entry.by.as_str(), entry.step), ("netsage", Step::Rollback));
    assert!(entry.why.contains("trap"), "{}", entry.why);
    assert_eq!(life.info(&first).unwrap().stage, Stage::Active);
    assert!(life.roster().lineup().slots[0].canary.is_none());
}

#[test]
fn a_promoted_package_that_goes_bad_gives_way_to_the_one_before() {
    let life = open(LifecycleConfig::default());
    let first = bring(&life, &guest(""), 1, Stage::Warm);
    step(&life, &first, Step::Promote);
    let second = bring(&life, &guest(TRAPS), 2, Stage::Warm);
    step(&life, &second, Step::Promote);
    assert!(life.roster().lineup().slots[0].probation.is_some());
    let entry = score_until(&life, &second, Stage::Retired);
    assert_eq!((entry.by.as_str(), entry.step), ("netsage", Step::Rollback));
    let back = last(&life, &first);
    assert_eq!((back.to, back.generation), (Stage::Active, Some(3)));
    assert!(back.why.contains(&entry.why), "{}", back.why);
}

#[test]
fn one_that_fails_again_and_again_is_quarantined() {
    let life = open(LifecycleConfig {
        on_failure_default: FailurePolicy::Reload,
        failures_before_quarantine: 2,
        ..LifecycleConfig::default()
    });
    let only = bring(&life, &guest(TRAPS), 1, Stage::Warm);
    step(&life, &only, Step::Promote);
    let entry = score_until(&life, &only, Stage::Quarantined);
    assert_eq!((entry.by.as_str(), entry.step), ("netsage", Step::Quarantine));
    assert!(life.active().is_empty());
}

#[test]
fn a_good_version_goes_all_the_way_by_itself() {
    let life = open(LifecycleConfig {
        rollout: Rollout {
            until: Stage::Active,
            flows: 1000,
            time: Duration::ZERO,
        },
        ..LifecycleConfig::default()
    });
    let first = bring(&life, &guest(""), 1, Stage::Warm);
    step(&life, &first, Step::Promote);
    let second = bring(&life, &guest(""), 2, Stage::Active);
    let entry = score_until(&life, &second, Stage::Active);
    assert_eq!((entry.by.as_str(), entry.step), ("netsage", Step::Promote));
    assert!(entry.why.contains("flows"), "{}", entry.why);
    let query = HistoryQuery {
        digest: Some(second),
        ..HistoryQuery::default()
    };
    let stages: Vec<Stage> = life
        .history(&query)
        .unwrap()
        .items
        .iter()
        .rev()
        .map(|entry| entry.to)
        .collect();
    let way = [
        Stage::Staged,
        Stage::Checked,
        Stage::Warm,
        Stage::Shadow,
        Stage::Canary,
        Stage::Active,
    ];
    assert_eq!(stages, way);
    assert_eq!(last(&life, &first).to, Stage::Retired);
}

#[test]
fn a_step_of_somebody_ends_the_going_on() {
    let life = open(LifecycleConfig {
        rollout: Rollout {
            until: Stage::Active,
            flows: 1,
            time: Duration::ZERO,
        },
        ..LifecycleConfig::default()
    });
    let first = bring(&life, &guest(""), 1, Stage::Warm);
    step(&life, &first, Step::Promote);
    let second = bring(&life, &guest(""), 2, Stage::Active);
    life.wait(&second, Stage::Shadow, PATIENCE).unwrap();
    step(&life, &second, Step::Warm);
    let mut scorer = Scorer::new(Arc::clone(life.roster()));
    let mut verdicts = Verdicts::new();
    for seed in 0..3 {
        let flows = Flows::spread(500, seed);
        scorer
            .score(&life.roster().lineup(), flows.to_score(), &mut verdicts)
            .unwrap();
        // Longer than the control thread takes to look.
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(life.info(&second).unwrap().stage, Stage::Warm);
}

fn learner(restore: &'static str) -> Recipe {
    Recipe {
        name: "learner".to_owned(),
        learns: true,
        restore,
        ..Recipe::default()
    }
}

/// How many rows a package has learned from.
fn learned(life: &Lifecycle, digest: &str) -> u32 {
    let loaded = life.loaded(digest).unwrap();
    let state = loaded.detector.save().unwrap().unwrap();
    u32::from_le_bytes(state.try_into().unwrap())
}

fn teach(life: &Lifecycle, digest: &str, rows: u32) {
    let flows = Flows::spread(rows as usize, 1);
    let selection: Vec<u32> = (0..rows).collect();
    let loaded = life.loaded(digest).unwrap();
    let contexts = Some(&flows.contexts);
    loaded.detector.learn(&flows.rows, contexts, &selection).unwrap();
}

#[test]
fn what_was_learned_survives_a_restart_and_is_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = LifecycleConfig {
        directory: Some(folder.path().to_path_buf()),
        ..LifecycleConfig::default()
    };
    let life = open(config.clone());
    let first = bring(&life, &learner(""), 1, Stage::Warm);
    step(&life, &first, Step::Promote);
    teach(&life, &first, 7);
    life.shutdown();
    drop(life);

    let life = open(config);
    assert_eq!(learned(&life, &first), 7);
    teach(&life, &first, 5);
    let second = bring(&life, &learner(""), 2, Stage::Warm);
    assert_eq!(learned(&life, &second), 0);
    step(&life, &second, Step::Promote);
    assert_eq!(learned(&life, &second), 12);

    // One that takes no state of others begins without, and the history tells it.
    let refuses = learner("(return (call $error (i32.const 1)))");
    let third = bring(&life, &refuses, 3, Stage::Warm);
    step(&life, &third, Step::Promote);
    assert_eq!(learned(&life, &third), 0);
    let entry = last(&life, &third);
    assert_eq!((entry.from, entry.to), (Some(Stage::Active), Stage::Active));
    assert!(
        entry.why.contains("begins without what was learned"),
        "{}",
        entry.why
    );
}
