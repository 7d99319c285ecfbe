//! Starting again always works: after a kill at any moment of any start, on a damaged journal, as an ordinary user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netsage_package::Digest;
use netsage_testkit::random::Random;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::kills::version;
use super::support::{Home, Server, packages_built, stderr};

/// Kills and damages in the ordinary suite; `NETSAGE_TEST_STARTS` asks for others.
fn turns() -> u64 {
    let given = std::env::var("NETSAGE_TEST_STARTS").ok();
    given.and_then(|turns| turns.parse().ok()).unwrap_or(20)
}

const JOURNAL: &str = "detectors/unsw-nb15/journal";

/// A home in which `warm` is the data folder of a program that has been running: everything is compiled.
fn warm_home() -> Home {
    let home = Home::new();
    let server = Server::start(&home, &["--data-dir", "warm"]);
    server.kill();
    home
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn lines(journal: &Path) -> usize {
    let bytes = fs::read(journal).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// Starts the program and kills it so many microseconds after its journal has so many lines.
fn killed_start(home: &Home, data: &str, most_lines: usize, then: Duration) {
    let mut child = home
        .command(&["run", "--listen", "127.0.0.1:0", "--data-dir", data])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = home.path().join(data).join(JOURNAL);
    let begin = Instant::now();
    while lines(&journal) < most_lines && begin.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_micros(100));
    }
    std::thread::sleep(then);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The program starts, and scores with something.
fn assert_starts(home: &Home, data: &str, what: &str) -> Server {
    let server = Server::start(home, &["--data-dir", data]);
    let (status, list) = server.get("/api/v1/detectors");
    assert_eq!(status, 200, "{what}: {list}");
    let is_active = |info: &serde_json::Value| info["stage"] == "active";
    assert!(list.as_array().unwrap().iter().any(is_active), "{what}: {list}");
    server
}

#[test]
fn a_start_killed_at_any_moment_is_followed_by_one_that_runs() {
    if !packages_built() {
        return;
    }
    let mut random = Random::of_test();
    let home = warm_home();
    for turn in 0..turns() {
        let data = format!("killed-{turn}");
        let folder = home.path().join(&data);
        // Some of them compile again.
        if random.below(10) > 0 {
            copy_folder(&home.path().join("warm/compiled"), &folder.join("compiled"));
        }
        let first = usize::try_from(random.below(9)).unwrap();
        killed_start(&home, &data, first, Duration::from_micros(random.below(20_000)));
        let journal = folder.join(JOURNAL);
        let what = format!("turn {turn}, killed with {} lines", lines(&journal));
        if random.below(2) == 0 {
            killed_start(&home, &data, 0, Duration::from_micros(random.below(300_000)));
        }
        let health = assert_starts(&home, &data, &what).health();
        assert_eq!(health["status"], "ok", "{what}: {health}");
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_journal_flipped_cut_or_doubled_anywhere_is_followed_by_a_start() {
    if !packages_built() {
        return;
    }
    let mut random = Random::of_test();
    let home = warm_home();
    let brought: Vec<Vec<u8>> = (0..3)
        .map(|number| version("iforest-generated", number, false))
        .collect();
    let server = Server::start(&home, &["--data-dir", "warm"]);
    for bytes in &brought {
        let digest = Digest::of(bytes);
        let (status, answer) = server.post("/api/v1/detectors?until=warm", bytes, &[]);
        assert!(status < 300, "{answer}");
        let (status, answer) = server.post(&format!("/api/v1/detectors/{digest}/promote"), b"", &[]);
        assert_eq!(status, 200, "{answer}");
    }
    server.kill();
    let bytes = fs::read(home.path().join("warm").join(JOURNAL)).unwrap();
    for turn in 0..turns() {
        let data = format!("damaged-{turn}");
        let folder = home.path().join(&data);
        copy_folder(&home.path().join("warm"), &folder);
        let mut damaged = bytes.clone();
        let what = damage(&mut damaged, &mut random);
        fs::write(folder.join(JOURNAL), &damaged).unwrap();
        let what = format!("turn {turn}, {what} of {}", bytes.len());
        let server = assert_starts(&home, &data, &what);
        let detectors = folder.join("detectors/unsw-nb15");
        if !what.contains("cut") {
            server.wait("the damage to be told", |server| {
                let problems = server.health()["problems"].to_string();
                problems.contains("journal of detectors was damaged")
            });
            assert_eq!(
                fs::read(detectors.join("set-aside/journal")).unwrap(),
                damaged,
                "{what}"
            );
        }
        for bytes in &brought {
            let name = format!("{}.wasm", Digest::of(bytes));
            let kept =
                ["packages", "set-aside"].map(|folder| fs::read(detectors.join(folder).join(&name)).ok());
            assert!(kept.contains(&Some(bytes.clone())), "{what}: a package is gone");
        }
        drop(server);
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = PathBuf::from(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|path| name.join(path)));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

/// Flips, cuts or doubles at a random place, and says what it did.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) -> String {
    let place = random.below(bytes.len() as u64);
    let at = usize::try_from(place).unwrap();
    let what = match random.below(3) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            "flipped"
        }
        1 => {
            bytes.truncate(at);
            "cut"
        }
        _ => {
            bytes.extend_from_within(at..);
            "doubled"
        }
    };
    format!("{what} at byte {at}")
}

const STORE: &str = "netsage.sqlite";

#[test]
fn any_file_flipped_cut_or_doubled_anywhere_is_followed_by_a_start() {
    if !packages_built() {
        return;
    }
    let mut random = Random::of_test();
    let home = Home::new();
    let capture = home.capture(2_000);
    let learns = [
        "--detector",
        "iforest-generated",
        "--detector",
        "half-space-trees-unsw-nb15",
    ];
    let replay = [
        "run",
        "--listen",
        "127.0.0.1:0",
        "--exit-when-done",
        "--data-dir",
        "warm",
    ];
    let output = home.run(&[&replay[..], &learns, &["--pcap", capture.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let warm = home.path().join("warm");
    let all = files(&warm);
    for expected in ["address-key", STORE, JOURNAL, "compiled/key"] {
        assert!(all.contains(&PathBuf::from(expected)), "{all:?}");
    }
    let is_kept = |file: &Path| file.starts_with("detectors/unsw-nb15/state");
    assert!(all.iter().any(|file| is_kept(file)), "{all:?}");
    for file in all {
        let whole = fs::read(warm.join(&file)).unwrap();
        for turn in 0..turns().div_ceil(20) {
            let mut damaged = whole.clone();
            if damaged.is_empty() {
                continue;
            }
            let what = format!("{}, {}", file.display(), damage(&mut damaged, &mut random));
            let data = format!("damaged-{turn}");
            let folder = home.path().join(&data);
            copy_folder(&warm, &folder);
            fs::write(folder.join(&file), &damaged).unwrap();
            let server = assert_starts(&home, &data, &what);
            // A cache is made again, and SQLite writes to what passes for whole.
            let is_replaced = file.starts_with("compiled") || file == Path::new(STORE);
            let found = files(&folder);
            let mut all = found.iter().map(|file| fs::read(folder.join(file)).unwrap());
            let is_torn = file == Path::new(JOURNAL) && whole.starts_with(&damaged);
            assert!(
                is_replaced || is_torn || all.any(|bytes| bytes == damaged),
                "{what}: it is gone"
            );
            let is_set_aside = |file: &PathBuf| {
                let path = file.to_string_lossy();
                path.contains("set-aside/") || path.contains(".damaged")
            };
            if !is_torn && found.iter().any(is_set_aside) {
                server.wait(&format!("{what} to be told"), |server| {
                    server.health()["status"] == "degraded"
                });
            }
            drop(server);
            fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// A home that any user may write into.
fn open_home() -> Home {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    home
}

const COLD: [&str; 8] = [
    "run",
    "--listen",
    "127.0.0.1:0",
    "--exit-when-done",
    "--data-dir",
    "cold",
    "--pcap",
    "capture.pcap",
];

fn capture_for_all(home: &Home) {
    let capture = home.capture(200);
    fs::rename(capture, home.path().join("capture.pcap")).unwrap();
}

#[test]
fn an_ordinary_user_compiles_at_the_first_start() {
    if !packages_built() {
        return;
    }
    if !geteuid().is_root() {
        return eprintln!("skipped: only root changes the user");
    }
    let home = open_home();
    capture_for_all(&home);
    let output = home.run(&[&COLD[..], &["--user", "nobody"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_program_with_file_capabilities_compiles_at_the_first_start() {
    use std::os::unix::process::CommandExt as _;
    /// `nobody`.
    const USER: u32 = 65534;
    if !packages_built() {
        return;
    }
    if !geteuid().is_root() {
        return eprintln!("skipped: only root gives capabilities to a file");
    }
    let home = open_home();
    capture_for_all(&home);
    let program = home.path().join("netsage-with-capabilities");
    fs::copy(env!("CARGO_BIN_EXE_netsage"), &program).unwrap();
    let given = Command::new("setcap")
        .arg("cap_net_raw+ep")
        .arg(&program)
        .status();
    if !given.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return eprintln!("skipped: setcap does not work here: {given:?}");
    }
    let output = Command::new(&program)
        .args(COLD)
        .current_dir(home.path())
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn hang_up(process: u32) {
    let process = Pid::from_raw(i32::try_from(process).unwrap());
    kill(process, Signal::SIGHUP).unwrap();
}

#[test]
fn without_a_terminal_a_hangup_ends_nothing() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    let mut command = Command::new("setsid");
    let inner = home.command(&["run", "--listen", "127.0.0.1:0", "--data-dir", "data"]);
    let child = command
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(home.path())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(child) = child else {
        return eprintln!("skipped: there is no setsid");
    };
    let server = Server::of(child);
    for _ in 0..3 {
        hang_up(server.child().id());
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(server.health()["status"], "ok");
    }
}

#[test]
fn standard_error_on_a_full_disk_or_a_closed_pipe_ends_nothing() {
    if !packages_built() {
        return;
    }
    let home = Home::new();
    capture_for_all(&home);
    let full = || {
        let device = fs::OpenOptions::new().write(true).open("/dev/full");
        device.map(Stdio::from).ok()
    };
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Some(Stdio::from(writer))
    };
    let check = |arguments: &[&str], error: Option<Stdio>, expected: i32| {
        let Some(error) = error else {
            return eprintln!("skipped: there is no /dev/full");
        };
        let status = home
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(error)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    };
    let loud = [&COLD[..], &["--log", "trace"]].concat();
    let cases: [(&[&str], i32); 5] = [
        (&loud, 0),
        (&["flows", "capture.pcap", "--stats"], 0),
        (&["flows", "no-such.pcap"], 1),
        (&["run", "--no-such-flag"], 2),
        (&["run", "--pcap", "no-such.pcap"], 1),
    ];
    for (arguments, expected) in cases {
        check(arguments, full(), expected);
        check(arguments, closed(), expected);
    }
}
