//! The life of packages, in a folder that is opened again and again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::{FailurePolicy, HistoryEntry, HistoryQuery, Stage, Step, StepRequest};
use netsage_lifecycle::{Lifecycle, LifecycleConfig, LifecycleError, NewPackage, Origin, Start, TrustPolicy};
use netsage_package::Golden;
use netsage_schema::UNSW_NB15;

use netsage_testkit::guests::runtime;
use netsage_testkit::recipe::{CARD, Recipe};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn config(folder: &Path) -> LifecycleConfig {
    LifecycleConfig {
        directory: Some(folder.to_path_buf()),
        ..LifecycleConfig::default()
    }
}

fn open(config: LifecycleConfig) -> Arc<Lifecycle> {
    Lifecycle::open(config, runtime(), &UNSW_NB15).unwrap()
}

/// A package of that name; `version` makes it another one.
pub(super) fn package(name: &str, version: u8) -> Vec<u8> {
    let recipe = Recipe {
        name: name.to_owned(),
        ..Recipe::default()
    };
    recipe.package_with(&[version], None).bytes().to_vec()
}

fn bring(life: &Lifecycle, bytes: Vec<u8>, until: Stage) -> String {
    let new = NewPackage::from_api(bytes);
    let info = life.stage(&new, &StepRequest::default(), until).unwrap();
    info.detector.digest
}

fn warm(life: &Lifecycle, name: &str, version: u8) -> String {
    let digest = bring(life, package(name, version), Stage::Warm);
    life.wait(&digest, Stage::Warm, PATIENCE).unwrap();
    digest
}

pub(super) fn step(life: &Lifecycle, given: &str, step: Step) -> Result<Stage, LifecycleError> {
    let request = StepRequest {
        by: Some("ada".to_owned()),
        ..StepRequest::default()
    };
    life.step(given, step, &request).map(|info| info.stage)
}

pub(super) fn stage(life: &Lifecycle, digest: &str) -> Stage {
    life.info(digest).unwrap().stage
}

pub(super) fn active(life: &Lifecycle) -> Vec<(String, u64)> {
    let reference = |generation: Arc<netsage_lifecycle::Generation>| {
        (generation.reference.digest.clone(), generation.number)
    };
    life.active().into_iter().map(reference).collect()
}

fn history(life: &Lifecycle, digest: &str) -> Vec<HistoryEntry> {
    let query = HistoryQuery {
        digest: Some(digest.to_owned()),
        ..HistoryQuery::default()
    };
    let mut entries = life.history(&query).unwrap().items;
    entries.reverse();
    entries
}

pub(super) fn wait_for(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_package_goes_all_the_way_and_back_and_the_history_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(config(folder.path()));
    let first = warm(&life, "guest", 1);
    assert_eq!(step(&life, &first, Step::Promote).unwrap(), Stage::Active);
    let second = warm(&life, "guest", 2);
    assert_eq!(step(&life, &second, Step::Shadow).unwrap(), Stage::Shadow);
    assert_eq!(life.roster().lineup().slots[0].shadows.len(), 1);
    assert_eq!(step(&life, &second, Step::Canary).unwrap(), Stage::Canary);
    // The name stands for the canary.
    assert_eq!(step(&life, "guest", Step::Promote).unwrap(), Stage::Active);
    assert_eq!(stage(&life, &first), Stage::Retired);
    assert_eq!(active(&life), [(second.clone(), 3)]);
    assert!(life.loaded(&first).is_some(), "kept for a rollback");
    assert_eq!(step(&life, "guest", Step::Rollback).unwrap(), Stage::Retired);
    assert_eq!(active(&life), [(first.clone(), 4)]);
    let told: Vec<_> = history(&life, &second)
        .into_iter()
        .map(|entry| (entry.step, entry.from, entry.to, entry.generation, entry.by))
        .collect();
    let ada = || "ada".to_owned();
    let api = || "api".to_owned();
    assert_eq!(
        told,
        [
            (Step::Stage, None, Stage::Staged, None, api()),
            (Step::Check, Some(Stage::Staged), Stage::Checked, None, api()),
            (Step::Warm, Some(Stage::Checked), Stage::Warm, None, api()),
            (Step::Shadow, Some(Stage::Warm), Stage::Shadow, None, ada()),
            (Step::Canary, Some(Stage::Shadow), Stage::Canary, Some(2), ada()),
            (Step::Promote, Some(Stage::Canary), Stage::Active, Some(3), ada()),
            (Step::Rollback, Some(Stage::Active), Stage::Retired, None, ada()),
        ]
    );
    let error = step(&life, &first, Step::Rollback).unwrap_err().to_string();
    assert!(
        error.contains("cannot be rolled back") || error.contains("none to go back to"),
        "{error}"
    );
    let error = step(&life, &first[..8], Step::Check).unwrap_err().to_string();
    assert!(
        error.contains("a package that is active cannot be checked"),
        "{error}"
    );
    let error = step(&life, "nobody", Step::Promote).unwrap_err().to_string();
    assert!(error.contains("no detector package `nobody`"), "{error}");
}

#[test]
fn what_was_active_is_active_again_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(config(folder.path()));
    let first = warm(&life, "guest", 1);
    step(&life, &first, Step::Promote).unwrap();
    let second = warm(&life, "guest", 2);
    step(&life, &second, Step::Promote).unwrap();
    let canary = warm(&life, "guest", 3);
    let share = StepRequest {
        share: Some(0.25),
        ..StepRequest::default()
    };
    life.step(&canary, Step::Canary, &share).unwrap();
    let other = warm(&life, "other", 1);
    step(&life, &other, Step::Promote).unwrap();
    let before = active(&life);
    let refused = Lifecycle::open(config(folder.path()), runtime(), &UNSW_NB15).unwrap_err();
    assert!(refused.to_string().contains("another netsage"), "{refused}");
    drop(life);

    let life = reopen(&config(folder.path()));
    assert_eq!(active(&life), before);
    let lineup = life.roster().lineup();
    let canary_now = lineup.slots[0].canary.as_ref().unwrap();
    assert_eq!((canary_now.generation.number, canary_now.share), (3, 0.25));
    wait_for("the one to roll back to", || life.loaded(&first).is_some());
    step(&life, &second, Step::Rollback).unwrap();
    assert_eq!(active(&life)[0], (first, 5));
}

/// The thread of the one before may hold it, and with it the lock, for one more moment.
pub(super) fn reopen(config: &LifecycleConfig) -> Arc<Lifecycle> {
    let start = Instant::now();
    loop {
        match Lifecycle::open(config.clone(), runtime(), &UNSW_NB15) {
            Ok(life) => return life,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn only_file(folder: &Path, digest: &str) -> PathBuf {
    folder
        .join("unsw-nb15")
        .join("packages")
        .join(format!("{digest}.wasm"))
}

#[test]
fn a_damaged_file_is_never_run_and_the_one_before_scores() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(config(folder.path()));
    let first = warm(&life, "guest", 1);
    step(&life, &first, Step::Promote).unwrap();
    let second = warm(&life, "guest", 2);
    step(&life, &second, Step::Promote).unwrap();
    drop(life);
    let file = only_file(folder.path(), &second);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    // What a program leaves that ends while it writes.
    fs::write(file.with_file_name(".tmpAbCdEf"), b"half").unwrap();
    let stranger = only_file(folder.path(), &"ab".repeat(32));
    fs::write(&stranger, package("guest", 9)).unwrap();

    let life = reopen(&config(folder.path()));
    assert_eq!(active(&life), [(first.clone(), 3)]);
    let info = life.info(&second).unwrap();
    assert_eq!(info.stage, Stage::Quarantined);
    assert!(info.why.contains("missing or damaged"), "{}", info.why);
    assert!(!stranger.exists() && !file.with_file_name(".tmpAbCdEf").exists());
    let set_aside = |path: &Path| {
        let name = path.file_name().unwrap();
        fs::read(folder.path().join("unsw-nb15/set-aside").join(name)).unwrap()
    };
    assert_eq!(set_aside(&stranger), package("guest", 9));
    assert_eq!(set_aside(&file).len(), package("guest", 2).len());
    let told = life.set_aside().join(" ");
    assert!(
        told.contains("was damaged") && told.contains("bring it again"),
        "{told}"
    );
    // Brought again, it may begin anew.
    bring(&life, package("guest", 2), Stage::Staged);
    assert_eq!(step(&life, &second, Step::Release).unwrap(), Stage::Staged);
    assert_eq!(step(&life, &second, Step::Check).unwrap(), Stage::Checked);
}

#[test]
fn what_fails_a_check_is_quarantined_with_the_reason() {
    let life = open(LifecycleConfig::default());
    let check = |recipe: &Recipe, card: Option<&[u8]>, expected: &str| {
        let bytes = recipe.package_with(b"model", card).bytes().to_vec();
        let digest = bring(&life, bytes, Stage::Staged);
        let error = step(&life, &digest, Step::Check).unwrap_err();
        assert!(matches!(error, LifecycleError::Refused { .. }), "{error:?}");
        let info = life.info(&digest).unwrap();
        assert_eq!(info.stage, Stage::Quarantined);
        assert!(info.why.contains(expected), "{}", info.why);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(history(&life, &digest).last().unwrap().why, info.why);
    };
    let named = |name: &str| Recipe {
        name: name.to_owned(),
        ..Recipe::default()
    };
    let columns = Recipe {
        columns: vec!["dur".to_owned(), "colour".to_owned()],
        ..named("columns")
    };
    check(&columns, None, "\"colour\"");
    let traps = Recipe {
        open: "unreachable",
        ..named("traps")
    };
    check(&traps, None, "trapped in `open`");
    let other_columns = CARD.replace("sbytes", "dbytes");
    check(
        &named("card"),
        Some(other_columns.as_bytes()),
        "the detector reads \"sbytes\"",
    );
}

#[test]
fn what_is_no_package_for_this_schema_is_not_kept() {
    let life = open(LifecycleConfig::default());
    let check = |bytes: &[u8], expected: &str| {
        let new = NewPackage::from_api(bytes.to_vec());
        let error = life
            .stage(&new, &StepRequest::default(), Stage::Warm)
            .unwrap_err();
        assert!(matches!(error, LifecycleError::Package { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(expected), "{text:?} does not say {expected:?}");
    };
    check(b"hello", "this is not WebAssembly");
    let with = |card: &str| Recipe::default().package_with(b"model", Some(card.as_bytes()));
    check(with("{}").bytes(), "the model card cannot be read");
    check(
        with(&CARD.replace("unsw-nb15@1", "flow-v1@1")).bytes(),
        "\"flow-v1@1\", and unsw-nb15@1 runs here",
    );
    assert!(life.list().is_empty());
}

#[test]
fn golden_vectors_of_another_model_are_noticed() {
    let life = open(LifecycleConfig::default());
    let package = Recipe::default().package_with(b"model", None);
    let detector = runtime().load(&package, &UNSW_NB15).unwrap();
    let mut golden = detector.make_golden().unwrap();
    let pack = |golden: &netsage_package::Golden| {
        netsage_package::pack(package.bytes(), b"model", None, Some(golden)).unwrap()
    };
    let good = bring(&life, pack(&golden), Stage::Checked);
    life.wait(&good, Stage::Checked, PATIENCE).unwrap();
    // The last bit of one score.
    let last = golden.scores.last_mut().unwrap();
    *last = f32::from_bits(last.to_bits() ^ 1);
    let bad = bring(&life, pack(&golden), Stage::Staged);
    let error = step(&life, &bad, Step::Check).unwrap_err().to_string();
    assert!(error.contains("golden rows"), "{error}");
}

#[test]
fn who_waits_for_changes_is_let_go_at_the_end() {
    let life = open(LifecycleConfig::default());
    let changed = life.changed();
    life.shutdown();
    // The life is still held, here by the test, else by a thread that compiles.
    assert!(changed.try_recv().unwrap_err().is_disconnected());
    drop(life);
}

/// Whoever packed what is part of this program judged what the package promises; the bits are judged here all the same.
#[test]
fn of_a_built_in_package_the_bits_alone_are_judged() {
    let life = open(LifecycleConfig::default());
    let counter = Recipe {
        score: "(f32.store (local.get $values) (f32.convert_i32_u (global.get $calls)))",
        ..Recipe::default()
    };
    let package = counter.package_with(b"model", None);
    let golden = runtime()
        .load(&package, &UNSW_NB15)
        .unwrap()
        .make_golden()
        .unwrap();
    let check = |built_in: bool, golden: &Golden, expected: Option<&str>| {
        // The artifact makes another package of it, since the outcome of a check is kept with the digest.
        let artifact = [u8::from(built_in)];
        let bytes = netsage_package::pack(package.bytes(), &artifact, None, Some(golden)).unwrap();
        let new = NewPackage {
            built_in,
            ..NewPackage::from_api(bytes)
        };
        let info = life.stage(&new, &StepRequest::default(), Stage::Staged).unwrap();
        let outcome = step(&life, &info.detector.digest, Step::Check);
        match expected {
            None => assert_eq!(outcome.unwrap(), Stage::Checked),
            Some(expected) => {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(expected), "{error}");
            }
        }
    };
    check(true, &golden, None);
    check(false, &golden, Some("when they come one by one"));
    // The last bit of a score.
    let mut other = golden.clone();
    other.scores[0] = f32::from_bits(other.scores[0].to_bits() ^ 1);
    check(true, &other, Some("golden rows the score"));
}

#[test]
fn the_policy_of_trust_is_asked_at_the_check_and_at_every_start() {
    let folder = tempfile::tempdir().unwrap();
    let life = open(config(folder.path()));
    let digest = warm(&life, "guest", 1);
    step(&life, &digest, Step::Promote).unwrap();
    drop(life);
    let pinned = |digests: Vec<String>| LifecycleConfig {
        trust: TrustPolicy::Pinned(digests),
        ..config(folder.path())
    };
    let life = reopen(&pinned(vec![digest.clone()]));
    assert_eq!(active(&life).len(), 1);
    let refused = bring(&life, package("guest", 2), Stage::Staged);
    let error = step(&life, &refused, Step::Check).unwrap_err().to_string();
    assert!(error.contains("not among those"), "{error}");
    drop(life);
    let life = reopen(&pinned(vec!["00".repeat(32)]));
    assert!(active(&life).is_empty());
    assert!(life.info(&digest).unwrap().why.contains("not among those"));
}

fn named(label: &str, bytes: Vec<u8>) -> NewPackage {
    NewPackage {
        bytes,
        signature: None,
        origin: Origin::CommandLine,
        built_in: false,
        label: label.to_owned(),
    }
}

#[test]
fn the_command_line_is_obeyed_when_it_says_something_new() {
    let folder = tempfile::tempdir().unwrap();
    let begin = |named: Vec<NewPackage>| {
        let life = reopen(&config(folder.path()));
        let start = Start {
            named,
            defaults: vec![NewPackage {
                origin: Origin::Netsage,
                built_in: true,
                ..self::named("default", package("default", 1))
            }],
            available: Vec::new(),
            checks_available: true,
        };
        life.begin(start).map(|()| life)
    };
    let names = |life: &Lifecycle| -> Vec<String> {
        let active = life.active();
        active
            .iter()
            .map(|generation| generation.reference.name.clone())
            .collect()
    };
    let one = || named("one.wasm", package("one", 1));
    let two = || named("two.wasm", package("two", 1));
    // Nothing is named and nothing was active.
    let life = begin(Vec::new()).unwrap();
    assert_eq!(names(&life), ["default"]);
    drop(life);
    // Others are named.
    let life = begin(vec![one(), two()]).unwrap();
    assert_eq!(names(&life), ["one", "two"]);
    // What is done meanwhile stays when the same are named, in any order, or none.
    let newer = warm(&life, "one", 2);
    step(&life, &newer, Step::Promote).unwrap();
    let before = active(&life);
    drop(life);
    for again in [vec![two(), one()], Vec::new(), vec![one(), two()]] {
        let life = begin(again).unwrap();
        assert_eq!(active(&life), before);
    }
    // A set that differs replaces it.
    let life = begin(vec![one()]).unwrap();
    assert_eq!(names(&life), ["one"]);
    assert_ne!(active(&life)[0].0, newer);
    let retired = life
        .list()
        .into_iter()
        .find(|info| info.detector.name == "two")
        .unwrap();
    assert_eq!(
        (retired.stage, retired.why.as_str()),
        (Stage::Retired, "not named at the start")
    );
    drop(life);
    let same = begin(vec![one(), named("uno.wasm", package("one", 3))]).unwrap_err();
    assert!(
        same.to_string().starts_with("uno.wasm: a detector called `one`"),
        "{same}"
    );
}

#[test]
fn a_file_in_the_watched_folder_becomes_active_when_it_is_the_first_of_its_name() {
    let watched = tempfile::tempdir().unwrap();
    let life = open(LifecycleConfig {
        watched_folder: Some(watched.path().to_path_buf()),
        ..LifecycleConfig::default()
    });
    life.begin(Start::default()).unwrap();
    fs::write(watched.path().join("one.wasm"), package("guest", 1)).unwrap();
    wait_for("the first of its name", || !life.active().is_empty());
    assert_eq!(life.list()[0].stage, Stage::Active);
    fs::write(watched.path().join("two.wasm"), package("guest", 2)).unwrap();
    fs::write(watched.path().join("three.wasm"), b"no package").unwrap();
    let is_warm = || life.list().iter().any(|info| info.stage == Stage::Warm);
    wait_for("the second one, which waits for a step", is_warm);
    assert_eq!(life.list().len(), 2);
    let staged = life.history(&HistoryQuery::default()).unwrap().items;
    let first = staged
        .iter()
        .rev()
        .find(|entry| entry.step == Step::Stage)
        .unwrap();
    assert_eq!(first.by, "directory");
    assert!(first.why.contains("one.wasm"), "{}", first.why);
}

#[test]
fn room_is_made_by_those_out_of_use_the_longest() {
    let life = open(LifecycleConfig {
        most_packages: 3,
        ..LifecycleConfig::default()
    });
    let digests: Vec<String> = (1..=3).map(|version| warm(&life, "guest", version)).collect();
    let full = life.stage(
        &NewPackage::from_api(package("guest", 4)),
        &StepRequest::default(),
        Stage::Staged,
    );
    assert!(matches!(full, Err(LifecycleError::Full { most: 3 })), "{full:?}");
    for digest in &digests {
        step(&life, digest, Step::Promote).unwrap();
    }
    // The third is active, the second what a rollback goes to.
    bring(&life, package("guest", 4), Stage::Staged);
    assert!(life.info(&digests[0]).is_err(), "out of use the longest");
    assert!(life.package(&digests[0]).is_none());
    assert_eq!(stage(&life, &digests[1]), Stage::Retired);
    assert!(life.package(&digests[1]).is_some());
}

/// A package that does not open its artifact: anybody can make as many as they like.
fn junk(number: u8) -> Vec<u8> {
    let recipe = Recipe {
        open: "unreachable",
        ..Recipe::default()
    };
    recipe.package_with(&[number], None).bytes().to_vec()
}

#[test]
fn a_quarantine_that_somebody_asked_for_is_not_pushed_out_by_strangers() {
    let folder = tempfile::tempdir().unwrap();
    let config = LifecycleConfig {
        most_packages: 8,
        ..config(folder.path())
    };
    let life = open(config.clone());
    let held = warm(&life, "guest", 1);
    let retired = warm(&life, "other", 1);
    step(&life, &retired, Step::Promote).unwrap();
    step(&life, &retired, Step::Retire).unwrap();
    step(&life, &held, Step::Quarantine).unwrap();
    for number in 0..100 {
        let digest = bring(&life, junk(number), Stage::Checked);
        assert!(life.wait(&digest, Stage::Checked, PATIENCE).is_err());
    }
    assert_eq!(life.list().len(), 8 + 1, "a held one takes no room");
    let is_held = |life: &Lifecycle| {
        let again = bring(life, package("guest", 1), Stage::Active);
        assert_eq!(again, held);
        let refused = life.wait(&held, Stage::Warm, PATIENCE);
        assert!(
            matches!(refused, Err(LifecycleError::Refused { .. })),
            "{refused:?}"
        );
        assert_eq!(stage(life, &held), Stage::Quarantined);
        assert_eq!(stage(life, &retired), Stage::Retired);
    };
    is_held(&life);
    life.shutdown();
    drop(life);
    let life = open(config);
    is_held(&life);
    step(&life, &held, Step::Release).unwrap();
    for number in 100..=255 {
        let digest = bring(&life, junk(number), Stage::Checked);
        assert!(life.wait(&digest, Stage::Checked, PATIENCE).is_err());
    }
    assert_eq!(life.list().len(), 8, "released, it takes room as any other");
}

#[test]
fn memory_is_given_back_by_those_that_are_out_of_reach() {
    let life = open(LifecycleConfig::default());
    let digests: Vec<String> = (1..=3).map(|version| warm(&life, "guest", version)).collect();
    for digest in &digests {
        step(&life, digest, Step::Promote).unwrap();
    }
    let loaded: Vec<bool> = digests
        .iter()
        .map(|digest| life.loaded(digest).is_some())
        .collect();
    assert_eq!(loaded, [false, true, true]);
    // It is loaded again when it is wanted again.
    assert_eq!(step(&life, &digests[0], Step::Promote).unwrap(), Stage::Active);
}

#[test]
fn requests_that_mean_nothing_are_refused() {
    let life = open(LifecycleConfig {
        on_failure: [("guest".to_owned(), FailurePolicy::Closed)].into(),
        ..LifecycleConfig::default()
    });
    let digest = warm(&life, "guest", 1);
    assert_eq!(life.info(&digest).unwrap().on_failure, FailurePolicy::Closed);
    let check = |request: StepRequest, expected: &str| {
        let error = life
            .step(&digest, Step::Canary, &request)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    let share = |share| StepRequest {
        share: Some(share),
        ..StepRequest::default()
    };
    check(share(0.0), "not above 0");
    check(share(1.1), "not above 0");
    check(share(f64::NAN), "not above 0");
    let by = StepRequest {
        by: Some("a".repeat(129)),
        ..StepRequest::default()
    };
    check(by, "more than 128");
    let ambiguous = warm(&life, "guest", 2);
    let error = step(&life, "guest", Step::Shadow).unwrap_err().to_string();
    assert!(
        error.contains(&ambiguous[..8]) && error.contains("(warm)"),
        "{error}"
    );
}
