//! `cargo xtask torture`: traffic at 2,000 flows a second while store, disk, interface, clock, descriptors, memory and
//! process are disturbed, and what must hold all the same.
//!
//! Takes the path of `netsage`. Three programs run beside each other, each under a supervisor that starts it again:
//!
//! * `interface`: the program itself captures generated packets on a wire between two network namespaces.
//! * `log`: the gateway of the program follows a log, and acknowledges what it has stored ([`follow`]).
//! * `server`: the same with a MongoDB server as store, at a rate that the server of the tests keeps up with, so that it
//!   takes [`SERVER_SECONDS`] to say something.
//!
//! What must hold: in every answer each flow is in one number; what is said to be stored, and what is acknowledged, is
//! stored, once; health is wrong for no longer than 5 s at a time; a program that has ended serves again; none ends by
//! itself. The seed decides what is sent and what is disturbed when.
//!
//! Start with [`subject`], which is the loop; `schedule` says what is disturbed, `judge` what is held against answers.

// A test says on the terminal what it finds, and panics where the machine fails it.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

mod follow;
mod judge;
mod program;
mod records;
mod schedule;
mod subject;
mod traffic;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use netsage_testkit::backends::MongoServer;
use netsage_testkit::disk::SmallDisk;
use netsage_testkit::random::Random;
use netsage_testkit::wire::Wire;
use serde_json::{Value, json};

use program::Program;
use records::Store;
use schedule::{Event, Kind, schedule};
use subject::{Found, Subject};
use traffic::Log;

/// Disturbs the program and checks that nothing is lost in silence.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program.
    program: PathBuf,
    /// For how long.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    seconds: u64,
    /// Decides what is sent and what is disturbed when; another one each time when absent.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// What a program that captures goes through.
const OF_THE_INTERFACE: [Kind; 12] = [
    Kind::Lock,
    Kind::FullDisk,
    Kind::NoCarrier,
    Kind::InterfaceDown,
    Kind::InterfaceGone,
    Kind::Clock,
    Kind::Descriptors,
    Kind::Memory,
    Kind::Stop,
    Kind::Kill,
    Kind::Terminate,
    Kind::Hangup,
];

/// What a program that follows a log goes through.
const OF_THE_LOG: [Kind; 11] = [
    Kind::Lock,
    Kind::FullDisk,
    Kind::Clock,
    Kind::Descriptors,
    Kind::Memory,
    Kind::Stop,
    Kind::Kill,
    Kind::Kill,
    Kind::Kill,
    Kind::Terminate,
    Kind::Hangup,
];

/// What a program whose store is a server goes through.
const OF_THE_SERVER: [Kind; 7] = [
    Kind::ServerHangs,
    Kind::ServerAway,
    Kind::Kill,
    Kind::Stop,
    Kind::Kill,
    Kind::Terminate,
    Kind::Hangup,
];

/// Flows a second to a server: the one of the tests stores some dozen while nothing disturbs it, and here something does
/// half of the time.
const SERVER_RATE: u64 = 5;
/// A server is disturbed in runs of at least this length.
const SERVER_SECONDS: u64 = 300;

/// Room for the data of a program: what it needs at the start, and for each flow.
const DISK_BYTES: u64 = 128 << 20;
const FLOW_BYTES: u64 = 600;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(follow::NAME) {
        return follow::main();
    }
    let arguments = Arguments::parse();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seed = arguments
        .seed
        .unwrap_or_else(|| now.map_or(0, |now| now.as_secs()));
    let seconds = arguments.seconds;
    eprintln!("torture for {seconds} s with --seed {seed}");
    let mut random = Random::new(seed);
    let [interface_events, log_events, server_events] = [&OF_THE_INTERFACE[..], &OF_THE_LOG, &OF_THE_SERVER]
        .map(|kinds| {
            let mut own = Random::new(random.below(u64::MAX));
            schedule(&mut own, kinds, seconds)
        });
    for (name, events) in [
        ("interface", &interface_events),
        ("log", &log_events),
        ("server", &server_events),
    ] {
        for Event {
            begin_ms,
            end_ms,
            kind,
            ..
        } in events
        {
            let [begin, end] = [begin_ms, end_ms].map(|&ms| ms as f64 / 1e3);
            eprintln!("  {name}: {begin:.1} to {end:.1} s: {}", kind.name());
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let results = thread::scope(|scope| {
        let (folder, program) = (folder.path(), &arguments.program);
        let wired = scope.spawn(move || interface(folder, program, begin, seed, seconds, interface_events));
        let logged = scope.spawn(move || log(folder, begin, seconds, log_events));
        let served = scope.spawn(move || server(folder, begin, seconds, server_events));
        [wired, logged, served].map(|thread| thread.join().unwrap())
    });
    let mut is_sound = true;
    for (mut result, is_well) in results {
        result["seed"] = json!(seed);
        result["seconds"] = json!(seconds);
        println!("{result}");
        is_sound &= is_well;
    }
    if is_sound {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "what the programs said is in {}; run again with --seconds {seconds} --seed {seed}",
        folder.keep().display()
    );
    ExitCode::FAILURE
}

/// A folder of its own for a program, on a disk of its own where that can be.
fn data(folder: &Path, name: &str, seconds: u64) -> (PathBuf, Result<SmallDisk, String>) {
    let path = folder.join(name);
    let bytes = DISK_BYTES + FLOW_BYTES * traffic::RATE * seconds;
    let disk = SmallDisk::new(path.clone(), bytes);
    std::fs::create_dir_all(&path).unwrap();
    (path, disk)
}

/// A command without the variables that `netsage` reads, in a session of its own: without a controlling terminal SIGHUP
/// must not end it.
fn command(program: &Path, data: &Path) -> Command {
    let mut command = Command::new("setsid");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NETSAGE_")) {
        command.env_remove(name);
    }
    command.arg(program).current_dir(data);
    command
}

/// The program itself on a wire.
fn interface(
    folder: &Path,
    program: &Path,
    begin: Instant,
    seed: u64,
    seconds: u64,
    events: Vec<Event>,
) -> (Value, bool) {
    let wire = match Wire::new() {
        Ok(wire) => Arc::new(wire),
        Err(reason) => {
            eprintln!("skipped: interface: {reason}");
            return (json!({"torture": "interface", "skipped": reason}), true);
        }
    };
    let (data, disk) = data(folder, "interface", seconds);
    let clock_file = folder.join("clock");
    std::fs::write(&clock_file, "+0\n").unwrap();
    let library = traffic::clock_library();
    let clock = library.is_some().then(|| clock_file.clone()).ok_or_else(|| {
        "libfaketime is not installed, and the clock of the machine is for others too".to_owned()
    });
    let make = {
        let (program, data) = (program.to_owned(), data.clone());
        move || {
            let mut command = command(&program, &data);
            // With so little memory flows end early, not after a minute. Few flows may wait, so that some are dropped.
            command.args(["run", "--listen", "127.0.0.1:0", "--interface", Wire::INTERFACE]);
            command.args([
                "--flow-memory",
                "1MiB",
                "--store-queue",
                "8192",
                "--save-interval",
                "1s",
            ]);
            command.arg("--data-dir").arg(&data);
            if let Some(library) = &library {
                command
                    .env("LD_PRELOAD", library)
                    .env("FAKETIME_TIMESTAMP_FILE", &clock_file)
                    .env("FAKETIME_CACHE_DURATION", "1")
                    .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                    .env("NO_FAKE_STAT", "1");
            }
            command
        }
    };
    let mut subject = Subject {
        name: "interface",
        program: Program::new(make, folder.join("interface.log")),
        store: Store::file(data.join("netsage.sqlite"), None),
        events,
        disk,
        server: Err("the store has no server".to_owned()),
        wire: Ok(Arc::clone(&wire)),
        clock,
        log: None,
        found: Found::default(),
    };
    let is_over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| traffic::send(&wire, seed, seconds, &is_over));
        wire.listening(|| {
            subject.run(begin, seconds, || is_over.store(true, Ordering::Release));
        });
        sending.join().unwrap()
    });
    let sent = json!({"packets": sent.packets, "not_taken_by_the_interface": sent.refused, "conversations": sent.flows});
    (subject.result(&sent), subject.is_sound())
}

/// The gateway with a log and a file.
fn log(folder: &Path, begin: Instant, seconds: u64, events: Vec<Event>) -> (Value, bool) {
    let (data, disk) = data(folder, "log", seconds);
    let log = Arc::new(Log::new(folder.join("followed")));
    let store = Store::file(data.join("netsage.sqlite"), Some(&log.path));
    let server = Err("the store has no server".to_owned());
    let subject = followed("log", folder, data, store, &[], Arc::clone(&log));
    let subject = Subject {
        events,
        disk,
        server,
        ..subject
    };
    run_followed(subject, &log, traffic::RATE, begin, seconds)
}

/// The gateway with a log and a server.
fn server(folder: &Path, begin: Instant, seconds: u64, events: Vec<Event>) -> (Value, bool) {
    let log = Arc::new(Log::new(folder.join("followed-to-server")));
    let is_long = seconds >= SERVER_SECONDS;
    let is_worth_it = is_long
        .then_some(())
        .ok_or_else(|| format!("a server is disturbed from {SERVER_SECONDS} s on"));
    let started = is_worth_it
        .and_then(|()| MongoServer::start())
        .and_then(|server| {
            let url = server.url("torture");
            Store::server(&url, &log.path).map(|store| (server, store, url))
        });
    let (server, store, url) = match started {
        Ok(started) => started,
        Err(reason) => {
            eprintln!("skipped: server: {reason}");
            return (json!({"torture": "server", "skipped": reason}), true);
        }
    };
    let data = folder.join("server");
    std::fs::create_dir_all(&data).unwrap();
    let subject = followed(
        "server",
        folder,
        data,
        store,
        &["--store", &url],
        Arc::clone(&log),
    );
    let subject = Subject {
        events,
        server: Ok(server),
        ..subject
    };
    run_followed(subject, &log, SERVER_RATE, begin, seconds)
}

/// A gateway that follows a log, and that nothing is done to.
fn followed(
    name: &'static str,
    folder: &Path,
    data: PathBuf,
    store: Store,
    flags: &[&str],
    log: Arc<Log>,
) -> Subject {
    let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
    let (program, path) = (std::env::current_exe().unwrap(), log.path.clone());
    let make = move || {
        let mut command = command(&program, &data);
        command
            .arg(follow::NAME)
            .arg(&path)
            .args(["--listen", "127.0.0.1:0"]);
        // No line is above it: each would be an alert, which takes more room than ten flows.
        command.args(["--threshold", "iforest=1", "--save-interval", "1s"]);
        command.args(&flags).arg("--data-dir").arg(&data);
        command
    };
    let none = |what: &str| format!("there is no {what} here");
    Subject {
        name,
        program: Program::new(make, folder.join(format!("{name}.log"))),
        store,
        events: Vec::new(),
        disk: Err(none("disk of its own")),
        server: Err(none("server")),
        wire: Err(none("interface")),
        clock: Err("its clock is that of its lines".to_owned()),
        log: Some(log),
        found: Found::default(),
    }
}

fn run_followed(mut subject: Subject, log: &Log, rate: u64, begin: Instant, seconds: u64) -> (Value, bool) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| log.write(rate, &is_over));
        subject.run(begin, seconds, || {
            is_over.store(true, Ordering::Release);
            writing.join().unwrap();
        });
    });
    let sent = json!({"lines": log.lines(), "lines_a_second": rate});
    (subject.result(&sent), subject.is_sound())
}
