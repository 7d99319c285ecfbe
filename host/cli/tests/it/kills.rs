//! SIGKILL at random points, again and again: what was active is active, nothing half-written is taken for whole, and
//! no flow of the resumed replay is lost or alerted twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netsage_gateway::catalog::read_package;
use netsage_package::{Digest, Package};
use netsage_testkit::random::Random;
use serde_json::Value;

use super::support::{Home, Server, packages_built, stderr};

const KILLS: u64 = 50;
/// The detectors and the bundled packages of which their versions are made: one that learns nothing as it goes, and one
/// whose learned state is saved whenever a version makes room for another, and at intervals.
const DETECTORS: [(&str, &str); 2] = [
    ("iforest", "iforest-generated"),
    ("half-space-trees", "half-space-trees-unsw-nb15"),
];
/// What a run is told to score with.
const ACTIVE: [&str; 4] = ["--detector", DETECTORS[0].1, "--detector", DETECTORS[1].1];
/// A kill falls behind so many acknowledged steps, or fewer, and then so many milliseconds, or fewer.
const MOST_STEPS: u64 = 4;
const MOST_MILLISECONDS: u64 = 60;
/// When steps take long, the kill does not wait for them.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bundled package with a remark in its card, so that it is another package and gives the same scores; or with one in
/// its code too, so that it is compiled anew.
pub(crate) fn version(bundled: &str, number: u64, is_compiled_anew: bool) -> Vec<u8> {
    let bundled = read_package(bundled).unwrap();
    let remark = format!("remark-{number:016}");
    let mut code = bundled.code();
    if is_compiled_anew {
        // A custom section: id 0, length, length of the name, name.
        let name_length = u8::try_from(remark.len()).unwrap();
        code.extend([0, name_length + 1, name_length]);
        code.extend(remark.as_bytes());
    }
    let mut card: Value = serde_json::from_slice(bundled.card().unwrap()).unwrap();
    card["notes"] = Value::from(vec![remark]);
    let card = serde_json::to_vec(&card).unwrap();
    netsage_package::pack(&code, bundled.artifact(), Some(&card), None).unwrap()
}

/// What may be active after a kill, for each of the detectors: the last one that was acknowledged, or the one that was
/// being asked for.
struct Expected {
    acknowledged: [String; 2],
    asked_for: [Option<String>; 2],
    /// Who may be quarantined: those for which that was asked.
    quarantined: BTreeSet<String>,
}

/// The active package of a name and the one that a rollback would lead to.
fn active_of(list: &Value, name: &str) -> (String, Option<String>) {
    let is_active = |info: &&Value| info["stage"] == "active" && info["detector"]["name"] == name;
    let active: Vec<&Value> = list.as_array().unwrap().iter().filter(is_active).collect();
    assert_eq!(active.len(), 1, "exactly one is active: {list}");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (
        text(&active[0]["detector"]["digest"]).unwrap(),
        text(&active[0]["previous"]["digest"]),
    )
}

/// Stages, promotes, rolls back and quarantines until nobody answers any more.
fn disturb(
    server: &Server,
    random: &mut Random,
    number: &mut u64,
    expected: &mut Expected,
    steps: &AtomicU64,
) {
    loop {
        let which = usize::from(random.below(3) == 0);
        let (name, bundled) = DETECTORS[which];
        let rolls_back = random.below(4) == 0;
        if !rolls_back {
            *number += 1;
            let bytes = version(bundled, *number, random.below(8) == 0);
            let digest = Package::from_bytes(bytes.clone()).unwrap().digest().to_string();
            let Some((status, answer)) = server.try_post("/api/v1/detectors?until=warm", &bytes) else {
                return;
            };
            assert!(status < 300, "{status}: {answer}");
            if random.below(5) == 0 {
                // In the middle of being checked or compiled.
                expected.quarantined.insert(digest.clone());
                let path = format!("/api/v1/detectors/{digest}/quarantine");
                let Some((status, answer)) = server.try_post(&path, b"") else {
                    return;
                };
                assert_eq!(status, 200, "{answer}");
                continue;
            }
            expected.asked_for[which] = Some(digest.clone());
            let path = format!("/api/v1/detectors/{digest}/promote");
            let Some((status, answer)) = server.try_post(&path, b"") else {
                return;
            };
            assert_eq!(status, 200, "{answer}");
            expected.acknowledged[which] = digest;
        } else {
            let Some((_, list)) = server.try_get("/api/v1/detectors") else {
                return;
            };
            let (_, Some(previous)) = active_of(&list, name) else {
                continue;
            };
            expected.asked_for[which] = Some(previous.clone());
            let path = format!("/api/v1/detectors/{name}/rollback");
            let Some((status, answer)) = server.try_post(&path, b"") else {
                return;
            };
            assert_eq!(status, 200, "{answer}");
            expected.acknowledged[which] = previous;
        }
        expected.asked_for[which] = None;
        steps.fetch_add(1, Ordering::Release);
    }
}

/// Every file is what its name says, and none is half of one.
fn assert_files_are_whole(data: &Path) {
    for entry in std::fs::read_dir(data.join("detectors/unsw-nb15/packages")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(digest) = name.strip_suffix(".wasm") else {
            panic!("{name} was left behind");
        };
        let package = Package::from_bytes(std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(package.digest().to_string(), digest);
    }
    let mut states = 0;
    for entry in std::fs::read_dir(data.join("detectors/unsw-nb15/state")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let (sum, state) = bytes.split_at(32);
        assert_eq!(Digest::of(state).as_bytes(), sum, "{}", path.display());
        states += 1;
    }
    assert!(states > 0, "nothing that was learned is there");
}

/// No start may have met learned state that it could not take.
fn assert_states_were_taken(server: &Server) {
    let (status, history) = server.get("/api/v1/detectors/history?limit=500");
    assert_eq!(status, 200, "{history}");
    assert!(
        !history.to_string().contains("without what was learned"),
        "{history}"
    );
}

#[test]
fn fifty_kills_lose_no_step_and_no_flow() {
    if !packages_built() {
        return;
    }
    let began = Instant::now();
    let mut random = Random::of_test();
    let home = Home::new();
    let capture = home.capture(20_000);
    let capture = capture.to_str().unwrap();
    let replay = |store: &str, data: &str| {
        let arguments = [
            "run",
            "--listen",
            "127.0.0.1:0",
            "--pcap",
            capture,
            "--exit-when-done",
        ];
        let places = ["--store", store, "--data-dir", data];
        let output = home.run(&[&arguments[..], &places[..], &ACTIVE].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    };
    replay("whole.sqlite", "whole");

    let mut expected = Expected {
        acknowledged: DETECTORS.map(|(_, bundled)| read_package(bundled).unwrap().digest().to_string()),
        asked_for: [None, None],
        quarantined: BTreeSet::new(),
    };
    let (mut number, mut moves) = (0, 0);
    let mut swaps = [BTreeSet::new(), BTreeSet::new()];
    for kill in 0..KILLS {
        if random.below(10) == 0 {
            // Everything is compiled again, the active one too.
            let _ = std::fs::remove_dir_all(home.path().join("killed/compiled"));
        }
        let server = Server::start(
            &home,
            &[
                ACTIVE[0],
                ACTIVE[1],
                ACTIVE[2],
                ACTIVE[3],
                "--pcap",
                capture,
                "--store",
                "killed.sqlite",
                "--data-dir",
                "killed",
                "--workers",
                "1",
                "--queue-blocks",
                "2",
                "--most-packages",
                "256",
                "--save-interval",
                "1s",
                // The program shall move nothing by itself: a replay is not the same traffic at all times, and a
                // machine that runs all tests is slow now and then.
                "--canary-distance",
                "1",
                "--canary-cost-ratio",
                "1000",
            ],
        );
        let (status, list) = server.get("/api/v1/detectors");
        assert_eq!(status, 200, "{list}");
        for (which, (name, _)) in DETECTORS.iter().enumerate() {
            let (found, _) = active_of(&list, name);
            let may_be = [
                Some(&expected.acknowledged[which]),
                expected.asked_for[which].as_ref(),
            ];
            assert!(
                may_be.contains(&Some(&found)),
                "kill {kill}: {found} is active, and {may_be:?} was to be expected"
            );
            swaps[which].insert(found.clone());
            (expected.acknowledged[which], expected.asked_for[which]) = (found, None);
        }
        assert_states_were_taken(&server);
        for info in list
            .as_array()
            .unwrap()
            .iter()
            .filter(|info| info["stage"] == "quarantined")
        {
            let digest = info["detector"]["digest"].as_str().unwrap();
            assert!(expected.quarantined.contains(digest), "kill {kill}: {info}");
        }
        let (most, then) = (random.below(MOST_STEPS + 1), random.below(MOST_MILLISECONDS));
        let steps = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let (server, steps_done, random) = (&server, &steps, &mut random);
            let (number, expected) = (&mut number, &mut expected);
            scope.spawn(move || disturb(server, random, number, expected, steps_done));
            let began = Instant::now();
            while steps.load(Ordering::Acquire) < most && began.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(then));
            server.kill_now();
        });
        moves += steps.into_inner();
    }
    eprintln!(
        "{number} packages were brought, {moves} moves acknowledged, {:?} different ones were active at a start",
        swaps.each_ref().map(BTreeSet::len)
    );
    assert!(
        swaps.iter().all(|swaps| swaps.len() > 5),
        "hardly anything moved between the kills"
    );

    replay("killed.sqlite", "killed");
    assert_files_are_whole(&home.path().join("killed"));
    let whole = Server::start(&home, &["--store", "whole.sqlite", "--data-dir", "whole"]);
    let killed = Server::start(&home, &["--store", "killed.sqlite", "--data-dir", "killed"]);
    let flows = |server: &Server| -> BTreeSet<String> {
        let flows = server.all("/api/v1/flows");
        let ids: BTreeSet<String> = flows
            .iter()
            .map(|flow| {
                let names = flow["scores"].as_array().unwrap().iter();
                let names: BTreeSet<&str> = names
                    .map(|score| score["detector"]["name"].as_str().unwrap())
                    .collect();
                assert_eq!(names, BTreeSet::from(DETECTORS.map(|(name, _)| name)), "{flow}");
                flow["id"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(ids.len(), flows.len(), "a flow is listed twice");
        ids
    };
    let alerts = |server: &Server| -> BTreeMap<String, u64> {
        let alerts = server.all("/api/v1/alerts");
        // What learns scores a flow otherwise when it meets it once more.
        let repeatable = alerts
            .iter()
            .filter(|alert| alert["detector"]["name"] == DETECTORS[0].0);
        let counted = repeatable.map(|alert| {
            assert!(alert["detector"]["generation"].as_u64().unwrap() > 0, "{alert}");
            (
                alert["id"].as_str().unwrap().to_owned(),
                alert["count"].as_u64().unwrap(),
            )
        });
        counted.collect()
    };
    assert_eq!(flows(&whole), flows(&killed));
    assert!(!alerts(&whole).is_empty());
    assert_eq!(alerts(&whole), alerts(&killed));
    eprintln!("{KILLS} kills in {} s", began.elapsed().as_secs());
}
