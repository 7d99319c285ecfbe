//! Real exporters: softflowd and nfreplay send, and what arrives is what they were given.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use netsage_records::netflow::{self, Collector, Datagram};
use netsage_records::{Exporter, Record};
use netsage_schema::{FlowBatch, RECORD_V1};
use netsage_sources::{Netflow, NetflowOptions, Reading, Source};
pub(crate) use netsage_testkit::exporters::{Ends, capture, run};
use netsage_testkit::exporters::{Sent, Whole, export, sent};
use netsage_testkit::random::Random;
use tempfile::TempDir;

use super::{any_port, open};

/// The flows that were handed over, as [`sent`] has them.
fn arrived(batch: &FlowBatch) -> BTreeMap<Ends, Whole> {
    let column = |name| RECORD_V1.index_of(name).unwrap();
    let columns = ["src_packets", "dst_packets", "src_bytes", "dst_bytes"].map(column);
    let mut flows = BTreeMap::new();
    for (row, identity) in batch.rows.iter().zip(&batch.identities) {
        let source = SocketAddr::new(identity.source, identity.source_port);
        let destination = SocketAddr::new(identity.destination, identity.destination_port);
        let [src_packets, dst_packets, src_bytes, dst_bytes] = columns.map(|column| row[column] as u64);
        let mut sides = [
            Sent {
                packets: src_packets,
                bytes: src_bytes,
            },
            Sent {
                packets: dst_packets,
                bytes: dst_bytes,
            },
        ];
        if source > destination {
            sides.reverse();
        }
        let ends = (
            source.min(destination),
            source.max(destination),
            identity.protocol,
        );
        let whole = Whole {
            from_low: sides[0],
            from_high: sides[1],
            start_us: identity.start_ns / 1_000,
            end_us: identity.end_ns / 1_000,
        };
        assert_eq!(flows.insert(ends, whole), None, "one flow for {ends:?}");
    }
    flows
}

/// Everything that the source takes in until it is asked to stop, which it is once the exporter has ended.
fn collect(source: &mut Netflow) -> FlowBatch {
    source.stop();
    let mut all = FlowBatch::new(&RECORD_V1);
    let mut batch = FlowBatch::new(&RECORD_V1);
    while source.read(&mut batch).unwrap() == Reading::GoesOn {
        all.append(&mut batch);
    }
    all
}

/// What softflowd exports of a capture, as a source hands it over; `None` where it is not installed.
pub(crate) fn softflowd(
    folder: &Path,
    capture: &Path,
    arguments: &[&str],
    filter: &str,
) -> Option<(FlowBatch, Netflow)> {
    let mut source = open(NetflowOptions::new(any_port()));
    // The first read starts to listen.
    source.read(&mut FlowBatch::new(&RECORD_V1)).unwrap();
    export(
        folder,
        capture,
        source.address(),
        &[arguments, &[filter]].concat(),
    )?;
    Some((collect(&mut source), source))
}

#[test]
fn flows_of_softflowd_are_those_of_the_capture() {
    let folder = TempDir::new().unwrap();
    let capture = capture(folder.path(), 1_000);
    let expected = sent(&capture);
    assert!(expected.len() > 900, "{}", expected.len());
    // How far times may be from those of packets: two of milliseconds are added up, and headers of v9 have seconds.
    for (arguments, most_us) in [
        (&["-v", "5", "-a"][..], 2_000),
        (&["-v", "9", "-a"], 1_002_000),
        (&["-v", "10", "-a"], 2_000),
        (&["-v", "10", "-A", "milli"], 1_000),
        (&["-v", "10", "-A", "milli", "-b"], 1_000),
        (&["-v", "10", "-A", "micro"], 1),
    ] {
        let Some((batch, source)) = softflowd(folder.path(), &capture, arguments, "ip and (tcp or udp)")
        else {
            return;
        };
        let counted = source.counts().to_string();
        assert_eq!(
            (source.counters().rejected, source.counters().lost),
            (0, 0),
            "{arguments:?}: {counted}"
        );
        let found = arrived(&batch);
        assert_eq!(found.len(), expected.len(), "{arguments:?}: {counted}");
        for (ends, found) in &found {
            let Some(expected) = expected.get(ends) else {
                panic!("{arguments:?}: no flow {ends:?} in the capture");
            };
            let counts = |whole: &Whole| (whole.from_low, whole.from_high);
            assert_eq!(counts(found), counts(expected), "{arguments:?}: {ends:?}");
            for (found, expected) in [
                (found.start_us, expected.start_us),
                (found.end_us, expected.end_us),
            ] {
                assert!(
                    (found - expected).abs() <= most_us,
                    "{arguments:?}: {ends:?}: {found} in place of {expected}"
                );
            }
        }
    }
}

/// A flow of one direction: what it sent, from when to when.
type Printed = (Ends, Sent, (i64, i64));

/// Flows of one direction with their packets, bytes and times, in milliseconds of the day, as nfdump prints them.
fn printed(file: &Path) -> Option<Vec<Printed>> {
    let format = "fmt:%sa;%sp;%da;%dp;%pr;%pkt;%byt;%ts;%te";
    let output = run(
        &["nfdump"],
        &["-q", "-N", "-6", "-r", file.to_str()?, "-o", format],
    )?;
    let text = String::from_utf8(output.stdout).unwrap();
    let mut flows: Vec<_> = (text.lines())
        .filter(|line| line.contains(';'))
        .map(|line| {
            let fields: Vec<&str> = line.split(';').map(str::trim).collect();
            let end = |address: usize| {
                SocketAddr::new(
                    fields[address].parse().unwrap(),
                    fields[address + 1].parse().unwrap(),
                )
            };
            // Of the day; `%ter` of nfdump 1.7.1 loses digits.
            let milliseconds = |field: usize| {
                let (_, time) = fields[field].split_once(' ').unwrap();
                let number = |part: &str| part.parse::<i64>().unwrap();
                let (clock, rest) = time.split_once('.').unwrap();
                let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + number(part));
                seconds * 1_000 + number(rest)
            };
            let sent = Sent {
                packets: fields[5].parse().unwrap(),
                bytes: fields[6].parse().unwrap(),
            };
            (
                (end(0), end(2), fields[4].parse().unwrap()),
                sent,
                (milliseconds(7), milliseconds(8)),
            )
        })
        .collect();
    flows.sort_by_key(|&(ends, sent, times)| (ends, times, sent.packets));
    Some(flows)
}

#[test]
fn records_of_nfreplay_are_those_it_read() {
    let folder = TempDir::new().unwrap();
    let capture = capture(folder.path(), 1_000);
    let files = folder.path().join("nfdump");
    std::fs::create_dir(&files).unwrap();
    let arguments = [
        "-r",
        capture.to_str().unwrap(),
        "-w",
        files.to_str().unwrap(),
        "ip and (tcp or udp)",
    ];
    if run(&["nfpcapd"], &arguments).is_none() {
        return;
    }
    for version in ["5", "9"] {
        let mut expected = Vec::new();
        // Every record as it is, so that each can be compared.
        let mut source = open(NetflowOptions {
            reading: netflow::Options {
                pairing_us: 0,
                ..netflow::Options::default()
            },
            ..NetflowOptions::new(any_port())
        });
        let port = source.address().port().to_string();
        source.read(&mut FlowBatch::new(&RECORD_V1)).unwrap();
        let mut names: Vec<PathBuf> = std::fs::read_dir(&files)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        names.sort();
        for file in &names {
            let Some(flows) = printed(file) else { return };
            expected.extend(flows);
            let arguments = [
                "-r",
                file.to_str().unwrap(),
                "-H",
                "127.0.0.1",
                "-p",
                &port,
                "-v",
                version,
            ];
            let output = run(&["nfreplay"], &arguments).expect("nfreplay is of the package of nfdump");
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let batch = collect(&mut source);
        let counted = source.unused();
        assert_eq!(
            (source.counters().rejected, source.counters().lost),
            (0, 0),
            "v{version}: {counted:?}"
        );
        let column = |name| RECORD_V1.index_of(name).unwrap();
        let columns = ["src_packets", "src_bytes"].map(column);
        let mut found: Vec<_> = (batch.rows.iter().zip(&batch.identities))
            .map(|(row, identity)| {
                let [packets, bytes] = columns.map(|column| row[column] as u64);
                let ends = (
                    SocketAddr::new(identity.source, identity.source_port),
                    SocketAddr::new(identity.destination, identity.destination_port),
                    identity.protocol,
                );
                let of_day = |time_ns: i64| time_ns / 1_000_000 % 86_400_000;
                let times = (of_day(identity.start_ns), of_day(identity.end_ns));
                (ends, Sent { packets, bytes }, times)
            })
            .collect();
        found.sort_by_key(|&(ends, sent, times)| (ends, times, sent.packets));
        expected.sort_by_key(|&(ends, sent, times)| (ends, times, sent.packets));
        assert!(expected.len() > 1_800, "{}", expected.len());
        assert_eq!(found.len(), expected.len(), "v{version}: {counted:?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "v{version}");
        }
    }
}

/// The datagrams that softflowd sends of a capture.
fn datagrams(folder: &Path, capture: &Path, arguments: &[&str]) -> Option<Vec<Vec<u8>>> {
    let socket = UdpSocket::bind(any_port()).unwrap();
    export(folder, capture, socket.local_addr().unwrap(), arguments)?;
    // All of them are in the socket by now, as far as it has room.
    socket.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 16];
    let mut datagrams = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        datagrams.push(buffer[..length].to_vec());
    }
    assert!(
        datagrams.len() > 10,
        "{arguments:?}: {} datagrams",
        datagrams.len()
    );
    Some(datagrams)
}

#[test]
fn damaged_datagrams_of_softflowd_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let capture = capture(folder.path(), 400);
    let mut whole = Vec::new();
    for arguments in [
        &["-v", "5", "-a"][..],
        &["-v", "9", "-a"],
        &["-v", "10", "-A", "milli"],
        &["-v", "10", "-b"],
    ] {
        let Some(sent) = datagrams(folder.path(), &capture, arguments) else {
            return;
        };
        whole.extend(sent);
    }
    let options = netflow::Options {
        memory: 512 << 10,
        unpaired: 256,
        ..netflow::Options::default()
    };
    let mut collector = Collector::new(options);
    let mut random = Random::new(7);
    let mut flows = 0;
    let mut each = |record: Record, _: Exporter| {
        assert!(record.start_us <= record.end_us);
        flows += 1;
    };
    for number in 0..10_000_i64 {
        let mut bytes = whole[random.below(whole.len() as u64) as usize].clone();
        for _ in 0..=random.below(8) {
            let place = random.below(bytes.len() as u64) as usize;
            match random.below(16) {
                0 => bytes.truncate(place.max(1)),
                1 => bytes.extend_from_within(place..),
                // Where headers, templates and lengths of sets stand.
                2..8 => {
                    let place = place % bytes.len().min(400);
                    bytes[place] = random.below(256) as u8;
                }
                _ => bytes[place] = random.below(256) as u8,
            }
        }
        let datagram = Datagram {
            exporter: SocketAddr::new([192, 0, 2, random.below(4) as u8].into(), 9_995),
            arrival_us: 1_767_603_600_000_000 + number * 10_000,
            bytes: &bytes,
        };
        collector.take(&datagram, &mut each);
        assert!(collector.memory() <= options.memory + options.unpaired * 1_024);
    }
    collector.finish(i64::MAX, &mut each);
    let counts = collector.counts();
    assert_eq!(counts.datagrams, 10_000);
    assert_eq!(flows, counts.records - counts.pairs);
    assert!(flows > 10_000 && counts.refused.total() > 100, "{counts}");
    println!("{counts}");
}
