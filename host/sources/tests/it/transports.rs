//! Every format by every transport through the contract suite: the cells of the table in `docs/contracts.md`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use netsage_records::formats::Format;
use netsage_schema::{FLOW_V1, FlowBatch, RECORD_V1, Schema, UNSW_NB15};
use netsage_sources::stream::{Files, Inbox, Sender, Stream, StreamOptions, open_records};
use netsage_sources::{
    Input, NetflowOptions, Pace, Reading, RecordOptions, Source, SourceCounters, SourceError, open,
};
use netsage_testkit::datagrams::{FLOW, FLOW_ABSOLUTE, Head, flow, ipfix, set, template, v5, v5_flow, v9};

use crate::contract::Member;
use crate::members;
use crate::netflow::{Fed, any_port};

const PAGE: &str = include_str!("../../../../docs/contracts.md");
/// Records of each format that are flows: more than one read hands over.
const FLOWS: u64 = 5_000;
/// After so many records comes one that is no flow.
const BAD_EACH: u64 = 1_000;
/// Longer than the records are apart.
const LATENESS: Duration = Duration::from_secs(3_600);
/// The time of the first.
const BEGIN_S: u64 = 1_767_603_600;

/// The formats that the table has for a transport.
fn formats_by(transport: &str) -> Vec<&'static str> {
    let mut rows = (PAGE.lines())
        .skip_while(|line| !line.starts_with("| format |"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>()
        });
    let head = rows.next().expect("the table of transports and formats");
    let column =
        (head.iter().position(|name| *name == transport)).unwrap_or_else(|| panic!("no {transport}"));
    let formats: Vec<&str> = rows
        .skip(1)
        .filter(|row| match row[column] {
            "yes" => true,
            "" => false,
            other => panic!("{}, {transport}: {other}", row[0]),
        })
        .map(|row| row[0])
        .collect();
    assert!(!formats.is_empty(), "{transport}");
    formats
}

/// What a format has: its bytes, and what the suite counts in them.
#[derive(Clone)]
struct Content {
    schema: &'static Schema,
    /// A header if there is one, and records; one piece of other bytes.
    pieces: Vec<Vec<u8>>,
    records: u64,
    rejected: u64,
    flows: u64,
}

impl Content {
    fn of(format: &str) -> Self {
        match format {
            "capture" => {
                let bytes = members::capture();
                let config = members::config(&FLOW_V1, 64 << 20);
                let (flows, meter) = members::metered(&bytes, &config);
                Self {
                    schema: &FLOW_V1,
                    pieces: vec![bytes],
                    records: meter.stats().packets,
                    rejected: meter.stats().not_metered(),
                    flows: flows.len() as u64,
                }
            }
            "table of `unsw-nb15`" => Self::of_table(&UNSW_NB15),
            "table of `flow-v1`" => Self::of_table(&FLOW_V1),
            "table of `record-v1`" => Self::of_table(&RECORD_V1),
            "flow JSON" => Self::of_records("", flow_json, "{\"start_us\":1,\"end_us\":\"never\"}\n"),
            "Zeek, tab-separated" => Self::of_records(ZEEK_HEADER, zeek_tsv, "never\tC\t192.0.2.1\n"),
            "Zeek, JSON" => Self::of_records("", zeek_json, "{\"ts\":\"never\",\"conn_state\":\"SF\"}\n"),
            "Suricata" => Self::of_records("", suricata, "{\"event_type\":\"alert\"}\n"),
            "Argus" => Self::of_records(
                ARGUS_HEADER,
                argus,
                "never,1.5,udp,192.0.2.1,1,192.0.2.2,53,CON,1,1,60,60\n",
            ),
            other => panic!("no such format: {other}"),
        }
    }

    fn of_table(schema: &'static Schema) -> Self {
        let (bytes, flows, bad) = members::table(schema);
        Self {
            schema,
            pieces: vec![bytes],
            records: flows + bad,
            rejected: bad,
            flows,
        }
    }

    fn of_records(header: &str, line: fn(u64) -> String, bad: &str) -> Self {
        let mut pieces = Vec::new();
        if !header.is_empty() {
            pieces.push(header.as_bytes().to_vec());
        }
        for number in 0..FLOWS {
            pieces.push(line(number).into_bytes());
            if number % BAD_EACH == 7 {
                pieces.push(bad.as_bytes().to_vec());
            }
        }
        let rejected = FLOWS / BAD_EACH;
        Self {
            schema: &RECORD_V1,
            pieces,
            records: FLOWS + rejected,
            rejected,
            flows: FLOWS,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// Whether it has records of a meter, of which streams are made.
    fn is_records(&self) -> bool {
        self.pieces.len() > 1
    }

    fn check(&self, format: &str, open: &dyn Fn() -> Box<dyn Source>) {
        println!("{format}");
        Member {
            open,
            records: self.records,
            rejected: self.rejected,
            flows: self.flows,
            error: None,
        }
        .check();
    }

    /// The source of what lies at a path, or comes by it.
    fn open(&self, path: &Path) -> Box<dyn Source> {
        let config = members::config(self.schema, 64 << 20);
        let (input, progress) = open(path).unwrap();
        match input {
            Input::Capture(capture) if progress.total == 0 => Box::new(capture.piped().metered(&config)),
            Input::Capture(capture) => Box::new(capture.metered(&config)),
            Input::Table(table) => Box::new(table.into_source(self.schema).unwrap()),
            Input::Records(records) => Box::new(records.into_source(self.schema).unwrap()),
        }
    }
}

const ZEEK_HEADER: &str = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";
const ARGUS_HEADER: &str = "stime,ltime,proto,saddr,sport,daddr,dport,state,spkts,dpkts,sbytes,dbytes\n";

/// Seconds of a record's start, 10 ms after that of the one before, with six decimals.
fn seconds(number: u64) -> String {
    format!("{}.{:02}0000", BEGIN_S + number / 100, number % 100)
}

/// Source address and port.
fn source_of(number: u64) -> (String, u64) {
    (format!("192.0.2.{}", number % 200), 1_024 + number % 50_000)
}

fn flow_json(number: u64) -> String {
    let start_us = BEGIN_S * 1_000_000 + number * 10_000;
    let (address, port) = source_of(number);
    format!(
        "{{\"start_us\":{start_us},\"end_us\":{},\"source\":\"{address}\",\"destination\":\"198.51.100.9\",\"source_port\":{port},\"destination_port\":443,\"protocol\":\"tcp\",\"source_packets\":9,\"destination_packets\":11}}\n",
        start_us + 250_000
    )
}

fn zeek_tsv(number: u64) -> String {
    let (address, port) = source_of(number);
    format!(
        "{}\tC{number}\t{address}\t{port}\t198.51.100.9\t443\ttcp\tssl\t0.25\t517\t4000\tSF\t9\t989\t11\t4580\n",
        seconds(number)
    )
}

fn zeek_json(number: u64) -> String {
    let (address, port) = source_of(number);
    format!(
        "{{\"ts\":{},\"uid\":\"C{number}\",\"id.orig_h\":\"{address}\",\"id.orig_p\":{port},\"id.resp_h\":\"198.51.100.9\",\"id.resp_p\":443,\"proto\":\"tcp\",\"service\":\"ssl\",\"duration\":0.25,\"orig_bytes\":517,\"resp_bytes\":4000,\"conn_state\":\"SF\",\"orig_pkts\":9,\"orig_ip_bytes\":989,\"resp_pkts\":11,\"resp_ip_bytes\":4580}}\n",
        seconds(number)
    )
}

fn suricata(number: u64) -> String {
    let (address, port) = source_of(number);
    let (minute, second, hundredth) = (number / 6_000, number / 100 % 60, number % 100);
    let time = format!("2026-01-05T09:{minute:02}:{second:02}.{hundredth:02}0000+0000");
    format!(
        "{{\"timestamp\":\"{time}\",\"flow_id\":{number},\"event_type\":\"flow\",\"src_ip\":\"{address}\",\"src_port\":{port},\"dest_ip\":\"198.51.100.9\",\"dest_port\":443,\"proto\":\"TCP\",\"flow\":{{\"pkts_toserver\":9,\"pkts_toclient\":11,\"bytes_toserver\":989,\"bytes_toclient\":4580,\"start\":\"{time}\",\"end\":\"{time}\",\"state\":\"closed\"}}}}\n"
    )
}

fn argus(number: u64) -> String {
    let (address, port) = source_of(number);
    let time = seconds(number);
    format!("{time},{time},tcp,{address},{port},198.51.100.9,443,FSPA_FSPA,9,11,1115,4734\n")
}

fn patient() -> StreamOptions {
    StreamOptions {
        lateness: Some(LATENESS),
        ..StreamOptions::default()
    }
}

/// A stream of what `--records` names.
fn stream(named: &str, how: Files) -> Box<dyn Source> {
    let opened = open_records(&[named.to_owned()], &RecordOptions::default(), &RECORD_V1, how).unwrap();
    Box::new(Stream::new(named, opened.streams, patient()))
}

/// A name in a folder that no source has had.
fn fresh(folder: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    folder.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string())
}

/// Writes everything, as fast as somebody reads; who reads may stop before the end.
fn write(bytes: Vec<u8>, open: impl FnOnce() -> io::Result<Box<dyn Write>> + Send + 'static) {
    thread::spawn(move || {
        let _ = open().and_then(|mut writer| writer.write_all(&bytes));
    });
}

/// Connects to a socket once it is there.
fn connect(bytes: Vec<u8>, path: &Path) {
    let path = path.to_path_buf();
    write(bytes, move || {
        loop {
            match UnixStream::connect(&path) {
                Ok(connection) => return Ok(Box::new(connection)),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    });
}

/// A source that is asked to stop when it has taken in so many records: an end, which sockets do not have.
struct Ending {
    inner: Box<dyn Source>,
    records: u64,
}

impl Source for Ending {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn schema(&self) -> &'static Schema {
        self.inner.schema()
    }

    fn pace(&self) -> Pace {
        self.inner.pace()
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        let read = self.inner.read(batch);
        if self.inner.counters().records >= self.records {
            self.inner.stop();
        }
        read
    }

    fn stop(&mut self) {
        self.inner.stop();
    }

    fn counters(&self) -> SourceCounters {
        self.inner.counters()
    }
}

#[test]
fn the_table_has_every_format() {
    let by_file = formats_by("file");
    let rows = |format| match format {
        Format::FlowJson => &["flow JSON"][..],
        Format::Zeek => &["Zeek, tab-separated", "Zeek, JSON"],
        Format::Suricata => &["Suricata"],
        Format::Argus => &["Argus"],
    };
    let named = Format::ALL
        .into_iter()
        .flat_map(rows)
        .map(|name| (*name).to_owned());
    let tables = Schema::ALL
        .iter()
        .map(|schema| format!("table of `{}`", schema.id));
    for name in named.chain(tables).chain(["capture".to_owned()]) {
        assert!(by_file.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn files_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    for format in formats_by("file") {
        let content = Content::of(format);
        let path = fresh(folder.path());
        fs::write(&path, content.bytes()).unwrap();
        content.check(format, &|| content.open(&path));
    }
}

/// The only test that uses standard input, which a process has once.
#[test]
fn standard_input_keeps_the_contract() {
    for format in formats_by("standard input") {
        let content = Content::of(format);
        content.check(format, &|| {
            let (reader, writer) = io::pipe().unwrap();
            nix::unistd::dup2_stdin(reader).unwrap();
            write(content.bytes(), || Ok(Box::new(writer)));
            if content.is_records() {
                stream("-", Files::Whole)
            } else {
                content.open(Path::new("-"))
            }
        });
    }
}

#[test]
fn fifos_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    for format in formats_by("FIFO") {
        let content = Content::of(format);
        content.check(format, &|| {
            let path = fresh(folder.path());
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            let fifo = path.clone();
            write(content.bytes(), || {
                let fifo = OpenOptions::new().write(true).open(fifo)?;
                Ok(Box::new(fifo))
            });
            if content.is_records() {
                stream(path.to_str().unwrap(), Files::Whole)
            } else {
                content.open(&path)
            }
        });
    }
}

#[test]
fn sockets_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    for format in formats_by("Unix socket") {
        let content = Content::of(format);
        content.check(format, &|| {
            let path = fresh(folder.path());
            connect(content.bytes(), &path);
            let named = format!("unix:{}", path.display());
            if content.is_records() {
                Box::new(Ending {
                    inner: stream(&named, Files::Whole),
                    records: content.records,
                })
            } else {
                content.open(Path::new(&named))
            }
        });
    }
}

#[test]
fn followed_files_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    for format in formats_by("followed file") {
        let content = Content::of(format);
        let path = fresh(folder.path()).join("flows.log");
        fs::create_dir(path.parent().unwrap()).unwrap();
        File::create(&path).unwrap().write_all(&content.bytes()).unwrap();
        content.check(format, &|| {
            stream(path.to_str().unwrap(), Files::FollowedToTheEnd)
        });
    }
}

#[test]
fn what_is_posted_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    for format in formats_by("HTTP") {
        let content = Content::of(format);
        content.check(format, &|| {
            let inbox = Arc::new(Inbox::open(&fresh(folder.path()), 64 << 20).unwrap());
            let accepted = inbox.accept(&content.bytes(), 16 << 20, &Sender::default());
            assert_eq!(accepted.unwrap().counts.records, content.flows);
            Box::new(Stream::new(
                "inbox",
                vec![Box::new(inbox.transport(true))],
                patient(),
            ))
        });
    }
}

#[cfg(feature = "kafka")]
#[test]
fn topics_keep_the_contract() {
    use crate::kafka::{server, to_the_end};
    use netsage_sources::kafka::Kafka;
    use netsage_testkit::kafka;

    let Some(server) = server() else { return };
    for format in formats_by("Kafka") {
        let content = Content::of(format);
        let topic = server.topic("format", 1);
        let messages = content.pieces.iter().map(|piece| (0, Some(piece.clone())));
        server.produce(&topic, &[], messages);
        content.check(format, &|| {
            let options = to_the_end(server, &topic, &kafka::fresh("group"));
            Box::new(Kafka::open(options).unwrap())
        });
    }
}

/// Makes a record of one direction: source, destination, their ports, and the number of the flow.
type Make<'a> = &'a dyn Fn([u8; 4], [u8; 4], (u16, u16), u32) -> Vec<u8>;

/// Datagrams of one exporter: both directions of each flow, 15 flows in each datagram.
fn datagrams(version: &str) -> Vec<Vec<u8>> {
    let firsts = (0..FLOWS as u32).step_by(15).enumerate();
    let datagram = |(place, first): (usize, u32)| {
        let numbers = first..(first + 15).min(FLOWS as u32);
        let both = |make: Make<'_>| -> Vec<Vec<u8>> {
            (numbers.clone())
                .flat_map(|number| {
                    let (client, server) = ([10, 0, (number >> 8) as u8, number as u8], [192, 0, 2, 1]);
                    let port = 1_024 + number as u16;
                    [
                        make(client, server, (port, 443), number),
                        make(server, client, (443, port), number),
                    ]
                })
                .collect()
        };
        // Templates come with the first datagram.
        let sets = |templates: u16, fields: &[(u16, u16)], records: Vec<Vec<u8>>| {
            let records = set(256, &records);
            match place {
                0 => vec![set(templates, &[template(256, fields)]), records],
                _ => vec![records],
            }
        };
        let head = |sequence| Head {
            sequence,
            ..Head::default()
        };
        match version {
            "NetFlow v5" => {
                let records =
                    both(&|one, other, ports, number| v5_flow(one, other, ports, 3, (number, number + 50)));
                v5(&head(first * 2), records.len() as u16, &records)
            }
            "NetFlow v9" => {
                let records =
                    both(&|one, other, ports, number| flow(one, other, ports, 3, (number, number + 50)));
                v9(&head(place as u32), &sets(0, &FLOW, records))
            }
            "IPFIX" => {
                let records = both(&|one, other, ports, number| {
                    let seconds = BEGIN_S as u32 + number / 100;
                    flow(one, other, ports, 3, (seconds, seconds))
                });
                ipfix(&head(first * 2), &sets(2, &FLOW_ABSOLUTE, records))
            }
            other => panic!("no such version: {other}"),
        }
    };
    firsts.map(datagram).collect()
}

#[test]
fn exporters_keep_the_contract() {
    for version in formats_by("UDP") {
        let mut all = datagrams(version);
        for place in [0, 100, 200] {
            all.insert(place, b"\0\x07no datagram of a flow".to_vec());
        }
        println!("{version}");
        let records = FLOWS * 2 + 3;
        Member {
            open: &|| Box::new(Fed::new(NetflowOptions::new(any_port()), all.clone(), records)),
            records,
            rejected: 3,
            flows: FLOWS,
            error: None,
        }
        .check();
    }
}

#[test]
fn a_capture_of_somebody_who_is_silent_ends_when_it_is_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = fresh(folder.path());
    let bytes = members::capture();
    // The last packet is not whole.
    let half = bytes[..bytes.len() / 2].to_vec();
    let config = members::config(&FLOW_V1, 64 << 20);
    let (expected, meter) = members::metered(&half, &config);
    let named = PathBuf::from(format!("unix:{}", path.display()));
    let sender = thread::spawn(move || {
        let mut connection = loop {
            match UnixStream::connect(&path) {
                Ok(connection) => break connection,
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        };
        connection.write_all(&half).unwrap();
        connection
    });
    let Input::Capture(capture) = open(&named).unwrap().0 else {
        panic!("no capture");
    };
    let mut source = capture.piped().metered(&config);
    let mut batch = FlowBatch::new(&FLOW_V1);
    while source.counters().records < meter.stats().packets {
        assert_eq!(source.read(&mut batch).unwrap(), Reading::GoesOn);
    }
    let silent = sender.join().unwrap();
    // Reads come back although nothing comes.
    for _ in 0..3 {
        assert_eq!(source.read(&mut batch).unwrap(), Reading::GoesOn);
    }
    source.stop();
    while source.read(&mut batch).unwrap() == Reading::GoesOn {}
    assert!(batch.identities == expected.identities);
    drop(silent);
}
