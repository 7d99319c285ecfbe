//! Thresholds that people set: in force at once, over restarts, and told by the history.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use netsage_api_types::{HistoryQuery, Stage, Step, StepRequest, ThresholdRequest};
use netsage_calibration::Rule;
use netsage_lifecycle::{Lifecycle, LifecycleConfig, LifecycleError, NewPackage};
use netsage_schema::UNSW_NB15;

use netsage_testkit::guests::{THRESHOLD, card, runtime};
use netsage_testkit::recipe::Recipe;

fn open(folder: &Path, thresholds: &[(&str, &str)]) -> Arc<Lifecycle> {
    let thresholds = thresholds
        .iter()
        .map(|(name, rule)| ((*name).to_owned(), rule.parse::<Rule>().unwrap()));
    let config = LifecycleConfig {
        directory: Some(folder.to_path_buf()),
        thresholds: thresholds.collect(),
        ..LifecycleConfig::default()
    };
    Lifecycle::open(config, runtime(), &UNSW_NB15).unwrap()
}

/// Brings a package with a card and makes it the active one of the name.
fn activate(life: &Lifecycle, name: &str, version: u8) -> String {
    let recipe = Recipe {
        name: name.to_owned(),
        ..Recipe::default()
    };
    let card = serde_json::to_vec(&card()).unwrap();
    let package = recipe.package_with(&[version], Some(&card));
    let new = NewPackage::from_api(package.bytes().to_vec());
    let info = life.stage(&new, &StepRequest::default(), Stage::Warm).unwrap();
    let digest = info.detector.digest;
    life.wait(&digest, Stage::Warm, Duration::from_secs(60)).unwrap();
    life.step(&digest, Step::Promote, &StepRequest::default())
        .unwrap();
    digest
}

fn set(
    life: &Lifecycle,
    name: &str,
    rule: &str,
    flows_per_day: Option<f64>,
) -> Result<Option<f32>, LifecycleError> {
    let request = ThresholdRequest {
        rule: rule.to_owned(),
        by: Some("ada".to_owned()),
        why: Some("a test".to_owned()),
    };
    life.set_threshold(name, &request, flows_per_day)
        .map(|info| info.score)
}

fn in_force(life: &Lifecycle, name: &str) -> (String, String, Option<f32>) {
    let info = life.threshold(name, None, None).unwrap().info;
    (info.rule, info.origin, info.score)
}

#[test]
fn a_threshold_that_is_set_is_in_force_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(folder.path(), &[]);
    let digest = activate(&life, "guest", 1);
    assert_eq!(
        in_force(&life, "guest"),
        ("card".to_owned(), "card".to_owned(), Some(THRESHOLD))
    );
    // The scores of the card are spread evenly from 0 to 1,000.
    assert_eq!(set(&life, "guest", "fpr:0.1", None).unwrap(), Some(900.0));
    let active = &life.active()[0].loaded;
    assert_eq!(active.threshold(), 900.0, "at once");
    assert_eq!(life.info(&digest).unwrap().threshold, Some(900.0));
    // 20 of 1,000 a day are 2 of 100.
    assert_eq!(set(&life, "guest", "20/day", Some(1_000.0)).unwrap(), Some(980.0));

    let entries = life
        .history(&HistoryQuery {
            name: Some("guest".to_owned()),
            ..HistoryQuery::default()
        })
        .unwrap()
        .items;
    let [last, first] = &entries[..2] else {
        panic!("{entries:?}")
    };
    assert_eq!(
        (last.step, &last.digest, last.by.as_str()),
        (Step::Threshold, &digest, "ada")
    );
    assert_eq!(
        last.why,
        "20/day (980 at 1000 flows a day) in place of fpr:0.1 (900): a test"
    );
    assert!(
        first.why.starts_with("fpr:0.1 (900) in place of card (990)"),
        "{}",
        first.why
    );
    assert!(last.number > first.number);

    life.shutdown();
    drop(life);
    let life = open(folder.path(), &[]);
    assert_eq!(
        in_force(&life, "guest"),
        ("20/day".to_owned(), "history".to_owned(), Some(980.0))
    );
    assert_eq!(life.active()[0].loaded.threshold(), 980.0, "after a restart");
    // Another package of the name takes the rule over.
    let next = activate(&life, "guest", 2);
    assert_eq!(life.info(&next).unwrap().threshold, Some(980.0));
    assert_eq!(
        set(&life, "guest", "card", None).unwrap(),
        Some(THRESHOLD),
        "back to the card"
    );
    assert_eq!(set(&life, "guest", "off", None).unwrap(), None);
    assert_eq!(life.info(&next).unwrap().threshold, None);
}

#[test]
fn settings_that_say_something_new_win() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(folder.path(), &[("guest", "fpr:0.05")]);
    activate(&life, "guest", 1);
    assert_eq!(
        in_force(&life, "guest"),
        ("fpr:0.05".to_owned(), "settings".to_owned(), Some(950.0))
    );
    set(&life, "guest", "p90", None).unwrap();
    let mut life = life;
    for (settings, expected) in [
        (&[("guest", "fpr:0.05")][..], ("p90", "history")),
        (&[("guest", "fpr:0.01")], ("fpr:0.01", "settings")),
        (&[], ("card", "card")),
        (&[("guest", "fpr:0.05")], ("p90", "history")),
    ] {
        life.shutdown();
        drop(life);
        life = open(folder.path(), settings);
        let (rule, origin, _) = in_force(&life, "guest");
        assert_eq!((rule.as_str(), origin.as_str()), expected, "{settings:?}");
    }
}

#[test]
fn alerts_per_day_wait_for_traffic() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(folder.path(), &[("guest", "10/day")]);
    activate(&life, "guest", 1);
    let info = life.threshold("guest", None, None).unwrap().info;
    assert_eq!(info.score, Some(THRESHOLD), "that of the card stands in");
    assert!(info.pending.unwrap().contains("the number of flows a day"));
    assert!(life.wants_flows_per_day());
    life.know_flows_per_day(100.0);
    assert_eq!(in_force(&life, "guest").2, Some(900.0));
    assert_eq!(life.active()[0].loaded.threshold(), 900.0);
    assert!(!life.wants_flows_per_day());
    // It is known once: a flood shall not raise the threshold.
    life.know_flows_per_day(1e6);
    assert_eq!(in_force(&life, "guest").2, Some(900.0));
}

#[test]
fn what_cannot_be_set_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(folder.path(), &[]);
    activate(&life, "guest", 1);
    let check = |name: &str, rule: &str, expected: &str| {
        let message = set(&life, name, rule, None).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    };
    check("nobody", "p99", "there is no detector package `nobody`");
    check("guest", "often", "alerts per day (10/day)");
    check("guest", "10/day", "the number of flows a day");
    check("fused", "10/day", "the number of flows a day");
    assert_eq!(in_force(&life, "guest").0, "card");
}

#[test]
fn the_fused_verdict_raises_alerts_once_it_has_a_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(folder.path(), &[]);
    activate(&life, "guest", 1);
    activate(&life, "other", 1);
    assert_eq!(life.roster().lineup().fused, None);
    assert_eq!(set(&life, "fused", "p99.9", None).unwrap(), Some(3.0));
    assert_eq!(life.roster().lineup().fused, Some(3.0));
    let names: Vec<String> = life.thresholds().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["guest", "other", "fused"]);
    assert_eq!(life.threshold("fused", None, None).unwrap().packages.len(), 2);
    assert_eq!(set(&life, "fused", "off", None).unwrap(), None);
    assert_eq!(life.roster().lineup().fused, None);
    // It is no package, and its entries are in the history all the same.
    let entries = life
        .history(&HistoryQuery {
            name: Some("fused".to_owned()),
            ..HistoryQuery::default()
        })
        .unwrap()
        .items;
    assert_eq!(entries.len(), 2);
}
