//! Live capture over a real wire: two network namespaces joined by a veth pair.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use netsage_synth::{Generator, SynthConfig, pcap};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::{Home, Server, packages_built, stderr, stdout, wait_for};
use super::wire::{End, Wire, retime};

const RATE: u64 = 200_000_000;

/// Columns that count, and those that name. The others depend on times to the microsecond (durations, rates, gaps,
/// jitter, handshake times) or on the order in which flows end (the seven counts over 100 records).
const COMPARED: [&str; 28] = [
    "srcip",
    "sport",
    "dstip",
    "dsport",
    "proto",
    "service",
    "state",
    "spkts",
    "dpkts",
    "sbytes",
    "dbytes",
    "sttl",
    "dttl",
    "sloss",
    "dloss",
    "swin",
    "stcpb",
    "dtcpb",
    "dwin",
    "smean",
    "dmean",
    "trans_depth",
    "response_body_len",
    "ct_state_ttl",
    "is_ftp_login",
    "ct_ftp_cmd",
    "ct_flw_http_mthd",
    "is_sm_ips_ports",
];

/// A capture that plays at 200 Mbit/s.
fn capture(home: &Home, flows: u32) -> PathBuf {
    let paced = home.path().join("paced.pcap");
    retime(&home.capture(flows), &paced, RATE, |_| true);
    paced
}

/// Each row's compared columns, with how often they occur.
fn rows(csv: &str) -> BTreeMap<Vec<String>, u32> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let places = COMPARED.map(|column| header.iter().position(|name| *name == column).unwrap());
    let mut rows = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let row = places.iter().map(|&place| fields[place].to_owned()).collect();
        *rows.entry(row).or_default() += 1;
    }
    rows
}

/// The sum of a column.
fn total(csv: &str, column: &str) -> u64 {
    let mut lines = csv.lines();
    let place = lines
        .next()
        .unwrap()
        .split(',')
        .position(|name| name == column)
        .unwrap();
    lines
        .map(|line| line.split(',').nth(place).unwrap().parse::<u64>().unwrap())
        .sum()
}

fn signal(process: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(process).unwrap()), signal).unwrap();
}

/// Prints flows live while `traffic` runs.
fn flows_during(home: &Home, flags: &[&str], traffic: impl FnOnce(u32)) -> Output {
    let log = home.path().join("live.err");
    let child = home
        .command(&[&["flows", "--interface", Wire::INTERFACE], flags].concat())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    wait_for("capture to begin", || {
        let interfaces = 1 + flags.iter().filter(|flag| **flag == "--interface").count();
        std::fs::read_to_string(&log)
            .unwrap()
            .matches("capturing on")
            .count()
            == interfaces
    });
    // What the program prints must not fill the pipe meanwhile.
    let id = child.id();
    let reading = std::thread::spawn(move || child.wait_with_output().unwrap());
    traffic(id);
    signal(id, Signal::SIGINT);
    let mut output = reading.join().unwrap();
    output.stderr = std::fs::read(&log).unwrap();
    output
}

fn check_same(file: &Output, live: &Output, packets: u64) {
    let told = format!(
        "{}: {packets} packets, 0 dropped by the kernel, 0 dropped by",
        Wire::INTERFACE
    );
    assert!(stderr(live).contains(&told), "{}", stderr(live));
    let (file, live) = (rows(&stdout(file)), rows(&stdout(live)));
    let differing: Vec<_> = file
        .iter()
        .filter(|(row, count)| live.get(*row) != Some(count))
        .take(5)
        .collect();
    assert!(differing.is_empty(), "from the file and not live: {differing:#?}");
    assert_eq!(file.values().sum::<u32>(), live.values().sum::<u32>());
}

#[test]
fn a_wire_gives_the_rows_of_the_file() {
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let capture = capture(&home, 12_000);
    let mut packets = 0;
    let live = wire.listening(|| flows_during(&home, &[], |_| packets = wire.replay(&capture)));
    let file = home.run(&["flows", capture.to_str().unwrap()]);
    check_same(&file, &live, packets);
}

#[test]
fn what_a_stalled_reader_loses_is_counted_by_the_kernel() {
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    // More than the kernel's buffer holds.
    let capture = capture(&home, 12_000);
    let mut sent = 0;
    let live = wire.listening(|| {
        flows_during(&home, &[], |process| {
            signal(process, Signal::SIGSTOP);
            sent = wire.replay(&capture);
            signal(process, Signal::SIGCONT);
        })
    });
    let told = stderr(&live);
    let counts = format!("{}: {sent} packets, ", Wire::INTERFACE);
    let (_, rest) = told.split_once(&counts).expect(&told);
    let dropped: u64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(dropped > 0, "{told}");
    let csv = stdout(&live);
    let metered = total(&csv, "spkts") + total(&csv, "dpkts");
    assert_eq!(
        metered + dropped,
        sent,
        "every packet is metered or counted as dropped"
    );
}

#[test]
fn what_is_lost_before_the_interface_is_seen_in_the_protocol() {
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let lossy = home.path().join("lossy.pcap");
    retime(&home.capture(500), &lossy, RATE, |packet| packet % 10 != 0);
    let live = wire.listening(|| {
        flows_during(&home, &[], |_| {
            wire.replay(&lossy);
        })
    });
    let told = stderr(&live);
    assert!(
        told.contains(" 0 dropped by the kernel, 0 dropped by the interface"),
        "{told}"
    );
    assert!(told.contains("TCP acknowledged"), "{told}");
}

/// Name, user and effective capabilities of every thread of a process.
fn threads(process: u32) -> Vec<(String, String, String)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks
        .map(|task| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let field = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name)).unwrap();
                line.split_whitespace().nth(1).unwrap().to_owned()
            };
            (field("Name:"), field("Uid:"), field("CapEff:"))
        })
        .collect()
}

#[test]
fn an_ordinary_user_opens_an_interface_again_that_was_gone() {
    const CAP_NET_RAW: &str = "0000000000002000";
    const NONE: &str = "0000000000000000";
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let capture = capture(&home, 500);
    let log = home.path().join("live.err");
    let flags = ["--interface", "lo", "--user", "nobody", "--bpf", "greater 14"];
    let mut packets = 0;
    let live = wire.listening(|| {
        flows_during(&home, &flags, |process| {
            for (name, user, capabilities) in threads(process) {
                let expected = if name.starts_with("capture-") {
                    CAP_NET_RAW
                } else {
                    NONE
                };
                assert_ne!(user, "0", "{name}");
                assert_eq!(capabilities, expected, "{name}");
            }
            wire.replace();
            wait_for("the interface to come back", || {
                std::fs::read_to_string(&log).unwrap().contains("capturing again")
            });
            packets = wire.replay(&capture);
        })
    });
    let told = stderr(&live);
    let counted = format!(
        "{}: {packets} packets, 0 dropped by the kernel, 0 dropped by the interface, went away once",
        Wire::INTERFACE
    );
    assert!(told.contains(&counted), "{told}");
    assert!(told.contains("lo: 0 packets"), "{told}");
    assert_eq!(told.matches("packets are missed").count(), 1, "told once: {told}");
    let file = home.run(&["flows", capture.to_str().unwrap()]);
    assert_eq!(rows(&stdout(&live)), rows(&stdout(&file)));
}

#[test]
fn a_killed_reader_that_starts_again_goes_on() {
    if !packages_built() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let capture = capture(&home, 2_000);
    wire.listening(|| {
        let flags = ["--interface", Wire::INTERFACE];
        let first = Server::start(&home, &flags);
        capturing(&first);
        std::thread::scope(|scope| {
            scope.spawn(|| wire.replay(&capture));
            first.wait("packets", |server| server.counter("packets") > 0);
            // In the middle of the traffic.
            first.kill();
        });
        let second = Server::start(&home, &flags);
        capturing(&second);
        let sent = wire.replay(&capture);
        second.wait("every packet", |server| server.counter("packets") == sent);
        assert_eq!(second.counter("kernel_drops"), 0);
        assert_eq!(second.health()["status"], "ok", "{}", second.health());
    });
}

#[test]
fn live_traffic_becomes_an_alert_with_its_packets() {
    if !packages_built() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let capture = capture(&home, 5_000);
    wire.listening(|| {
        // With so little memory flows end early, not after a minute, and any flow is worth an alert here.
        let flags = [
            "--flow-memory",
            "1MiB",
            "--keep-packets",
            "64MiB",
            "--threshold",
            "iforest=0.1",
        ];
        let server = Server::start(&home, &[&["--interface", Wire::INTERFACE], &flags[..]].concat());
        capturing(&server);
        let sent = wire.replay(&capture);
        server.wait("every packet", |server| server.counter("packets") == sent);
        server.wait("an alert", |server| {
            !server.get("/api/v1/alerts").1["items"]
                .as_array()
                .unwrap()
                .is_empty()
        });
        // The kernel's counters are read a few times a second.
        let interface = |server: &Server| server.health()["interfaces"][0].clone();
        server.wait("the kernel's count", |server| {
            interface(server)["received"] == sent
        });
        assert_eq!(interface(&server)["kernel_drops"], 0);
        let (_, metrics) = server.get("/metrics");
        let up = format!("netsage_interface_up{{interface=\"{}\"}} 1", Wire::INTERFACE);
        assert!(metrics.as_str().unwrap().contains(&up), "{metrics}");
        let alert = server.get("/api/v1/alerts").1["items"][0].clone();
        super::evidence::check_packets(&server, &alert);
        signal(server.child().id(), Signal::SIGINT);
        server.wait_for_log("0 dropped by the kernel, 0 dropped by the interface");
    });
}

#[test]
fn an_interface_that_nothing_can_come_from_says_so() {
    if !packages_built() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    wire.listening(|| {
        let server = Server::start(&home, &["--interface", Wire::INTERFACE]);
        capturing(&server);
        for (end, because) in [
            (End::Sender, "has no carrier"),
            (End::Listener, "is switched off"),
            (End::Sender, "has no carrier"),
        ] {
            wire.switch(end, false).unwrap();
            server.wait(because, |server| {
                let health = server.health();
                let interface = &health["interfaces"][0];
                let problem = health["problems"][0].as_str().unwrap_or_default();
                interface["up"] == false && interface["down_because"] == because && problem.contains(because)
            });
            wire.switch(end, true).unwrap();
            capturing(&server);
            server.wait("health", |server| server.health()["status"] == "ok");
        }
    });
}

fn capturing(server: &Server) {
    server.wait("capture to begin", |server| {
        server.health()["interfaces"][0]["up"] == true
    });
}

/// Splits a generated capture: ordinary traffic into one file, a port scan into another, both paced.
fn ordinary_and_scan(home: &Home) -> [PathBuf; 2] {
    let config = SynthConfig {
        flows: 6_000,
        seed: 5,
        attack_share: 0.9,
        ..SynthConfig::default()
    };
    let mut generator = Generator::new(config.clone());
    generator.by_ref().for_each(drop);
    let scan = generator
        .labels()
        .iter()
        .find(|label| label.behaviour == "port-scan");
    let (scanner, target) = scan.map(|label| (label.source, label.destination)).unwrap();
    let capture = |name: &str, attacks: bool| {
        let path = home.path().join(name);
        let config = SynthConfig {
            attacks,
            ..config.clone()
        };
        pcap::write(
            &mut Generator::new(config),
            std::fs::File::create(&path).unwrap(),
            |_| {},
        )
        .unwrap();
        path
    };
    let (clean, mixed) = (capture("clean.pcap", false), capture("mixed.pcap", true));
    let [ordinary, scan] = ["ordinary.pcap", "scan.pcap"].map(|name| home.path().join(name));
    retime(&clean, &ordinary, RATE / 4, |_| true);
    // Addresses stand in the IPv4 header behind that of Ethernet.
    let octets = [scanner, target].map(|address| match address {
        std::net::IpAddr::V4(address) => address.octets(),
        std::net::IpAddr::V6(_) => panic!("the scan is one of IPv4"),
    });
    let is_scan: Vec<bool> = Generator::new(config)
        .map(|packet| {
            let addresses = packet.bytes.get(26..34).unwrap_or_default();
            addresses == octets.concat() || addresses == [octets[1], octets[0]].concat()
        })
        .collect();
    // Some thousand probes within seconds.
    retime(&mixed, &scan, 1_000_000, |number| {
        is_scan[usize::try_from(number).unwrap() - 1]
    });
    [ordinary, scan]
}

#[test]
fn a_baseline_learns_arms_itself_and_finds_a_scan() {
    /// What a scan shows in: many ports of one host, most of them closed or silent.
    const COLUMNS_OF_A_SCAN: [&str; 9] = [
        "src_flows",
        "src_ports",
        "src_failed",
        "dst_flows",
        "dst_ports",
        "dst_failed",
        "pair_flows",
        "pair_ports",
        "pair_failed",
    ];
    if !packages_built() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let [ordinary, scan] = ordinary_and_scan(&home);
    wire.listening(|| {
        // With so little memory flows end early, not after a minute.
        let flags = ["baseline", "--interface", Wire::INTERFACE, "--for", "10s"];
        let memory = ["--flow-memory", "1MiB", "--listen", "127.0.0.1:0"];
        let server = std::thread::scope(|scope| {
            let starting = scope.spawn(|| Server::start_as(&home, &[&flags[..], &memory[..]].concat()));
            let log = home.path().join("netsage/baseline/of-wire0/baseline.json");
            wait_for("the baseline to begin", || log.exists());
            wire.replay(&ordinary);
            starting.join().unwrap()
        });
        server.wait_for_log("armed; going on");
        server.wait_for_log("would have raised");
        capturing(&server);
        // Whoever begins many flows at once is also found by the few that are ordinary.
        wire.replay(&scan);
        server.wait("an alert about the scan", |server| {
            server.all("/api/v1/alerts").iter().any(|alert| {
                alert["source"].as_str().unwrap().starts_with("203.0.113.")
                    && alert["contributions"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .take(3)
                        .any(|part| COLUMNS_OF_A_SCAN.contains(&part["column"].as_str().unwrap()))
            })
        });
    });
}

#[test]
fn an_interrupted_baseline_goes_on_and_a_complete_one_starts_armed() {
    if !packages_built() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let home = Home::new();
    let [ordinary, _] = ordinary_and_scan(&home);
    let journal = home.path().join("netsage/baseline/of-wire0/baseline.json");
    let learned = || {
        let text = std::fs::read(&journal).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        json["learned_ms"].as_u64().unwrap_or_default()
    };
    wire.listening(|| {
        let flags = |time| {
            [
                "baseline",
                "--interface",
                Wire::INTERFACE,
                "--flow-memory",
                "1MiB",
                "--for",
                time,
            ]
        };
        let mut command = home.command(&flags("1h"));
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the baseline to begin", || journal.exists());
        wire.replay(&ordinary);
        wait_for("a part of the baseline", || learned() > 0);
        signal(child.id(), Signal::SIGINT);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("the same command goes on"),
            "{}",
            stderr(&output)
        );
        // It has been longer than that: the rest is training.
        let listen = ["--listen", "127.0.0.1:0"];
        let server = Server::start_as(&home, &[&flags("1s")[..], &listen[..]].concat());
        server.wait_for_log("would have raised");
        server.kill();
        let server = Server::start_as(&home, &[&flags("1s")[..], &listen[..]].concat());
        server.wait_for_log("armed without learning");
    });
}
