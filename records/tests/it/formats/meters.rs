//! Records that real meters wrote, where they lie beside the project.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use netsage_records::formats::{Counts, Format, Items, Options, Reader, Recognised, recognise};
use netsage_records::{Record, State};
use serde_json::{Map, Number, Value};

use super::read;

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/records");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no records of real meters in {}", folder.display());
    None
}

/// The unpacked bytes of a file.
fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let packed = std::mem::take(&mut bytes);
        MultiGzDecoder::new(packed.as_slice())
            .read_to_end(&mut bytes)
            .unwrap();
    }
    bytes
}

fn format_of(bytes: &[u8]) -> Format {
    match recognise(&bytes[..bytes.len().min(4_096)]) {
        Recognised::Format(format) => format,
        other => panic!("no format is recognised but {other:?}"),
    }
}

/// Every file, and how its items are counted; a file that is not listed fails.
const FILES: [(&str, Format, &str); 9] = [
    (
        "argus/test2-malicious.binetflow.gz",
        Format::Argus,
        "6751 records; passed over: 1 header lines",
    ),
    (
        "argus/test5-mixed.binetflow",
        Format::Argus,
        "296 records; passed over: 1 header lines, 1 man rows, 1 llc rows, 2 arp rows",
    ),
    (
        "suricata/test6-malicious.eve.json.gz",
        Format::Suricata,
        "3512 records; passed over: 745 alert events, 680 dns events, 1 tls events, 56 http events, \
         3 fileinfo events, 3 anomaly events",
    ),
    (
        "zeek/001-malicious.conn.log.labeled.gz",
        Format::Zeek,
        "992 records; passed over: 8 header lines",
    ),
    (
        "zeek/003-malicious.conn.log.gz",
        Format::Zeek,
        "361 records; passed over: 9 header lines",
    ),
    (
        "zeek/008-day.conn.log.labeled.gz",
        Format::Zeek,
        "5663 records; passed over: 8 header lines",
    ),
    (
        "zeek/010-day.conn.log.labeled.gz",
        Format::Zeek,
        "5347 records; passed over: 8 header lines",
    ),
    ("zeek/port-scan-vertical.conn.log", Format::Zeek, "50 records"),
    (
        "zeek/test10-mixed.conn.log",
        Format::Zeek,
        "141 records; passed over: 9 header lines",
    ),
];

#[test]
fn every_file_is_read_and_every_reason_known() {
    let Some(folder) = folder() else { return };
    let mut found = Vec::new();
    for kind in ["argus", "suricata", "zeek"] {
        for entry in fs::read_dir(folder.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = bytes(&path);
            let format = format_of(&bytes);
            let (items, reader) = read(format, &bytes);
            let counts = reader.counts();
            assert_eq!(counts.records, items.records.len() as u64);
            let lines = bytes.split_inclusive(|byte| *byte == b'\n').count();
            assert_eq!(counts.items(), lines as u64);
            let name = format!("{kind}/{}", path.file_name().unwrap().to_string_lossy());
            println!("{name}: {format}: {counts}");
            found.push((name, format, counts.to_string()));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = FILES.map(|(name, format, counts)| (name.to_owned(), format, counts.to_owned()));
    assert_eq!(found, expected);
}

/// What is known of the handed records: when flows ended, and in what state.
#[test]
fn records_say_what_is_known_of_the_files() {
    let Some(folder) = folder() else { return };
    let records = |name: &str| {
        let bytes = bytes(&folder.join(name));
        read(format_of(&bytes), &bytes).0.records
    };
    let count = |records: &[Record], state: State| {
        records
            .iter()
            .filter(|record| record.state == Some(state))
            .count()
    };
    let day = records("zeek/008-day.conn.log.labeled.gz");
    let has_service = |record: &&Record| record.service.is_some_and(|code| code > 0);
    assert!(day.iter().filter(has_service).count() > 500);
    let scan = records("zeek/port-scan-vertical.conn.log");
    let of_scan = [State::Refused, State::Reset, State::Closed].map(|state| count(&scan, state));
    assert_eq!(of_scan, [43, 3, 1]);

    let suricata = records("suricata/test6-malicious.eve.json.gz");
    assert!(
        suricata
            .iter()
            .all(|record| record.start_us > 1_622_900_000_000_000 && record.own_id.is_some())
    );
    assert!(count(&suricata, State::Refused) > 1_000);
    assert!(count(&suricata, State::OneWay) > 900);
    let unknown = suricata.iter().filter(|record| record.state.is_none()).count();
    assert_eq!(unknown, 15, "connections that Suricata did not follow");

    let argus = records("argus/test2-malicious.binetflow.gz");
    assert!(
        argus.windows(2).all(|pair| pair[0].start_us <= pair[1].start_us),
        "Argus sorts by start"
    );
    assert!(
        argus
            .iter()
            .all(|record| record.state.is_some() && record.packets.is_some())
    );
    assert!(
        argus
            .iter()
            .any(|record| record.protocol == 1 && record.source_port == 3)
    );
}

/// A log of Zeek as Zeek writes it in JSON: members that are unset are left out.
fn twin(tsv: &[u8], wrapped: bool) -> Vec<u8> {
    let text = String::from_utf8(tsv.to_vec()).unwrap();
    let fields = text
        .lines()
        .find_map(|line| line.strip_prefix("#fields\t"))
        .unwrap();
    let types = text
        .lines()
        .find_map(|line| line.strip_prefix("#types\t"))
        .unwrap();
    let columns: Vec<_> = fields.split('\t').zip(types.split('\t')).collect();
    let mut json = Vec::new();
    for row in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let mut members = Map::new();
        for ((name, kind), value) in columns.iter().zip(row.split('\t')) {
            if value == "-" {
                continue;
            }
            let value = match *kind {
                "time" | "interval" => Number::from_f64(value.parse().unwrap()).unwrap().into(),
                "count" | "port" => Value::from(value.parse::<u64>().unwrap()),
                "bool" => Value::from(value == "T"),
                _ if value == "(empty)" => Value::Array(Vec::new()),
                _ => Value::from(value),
            };
            members.insert((*name).to_owned(), value);
        }
        let mut value = Value::Object(members);
        if wrapped {
            value = serde_json::json!({ "conn": value });
        }
        serde_json::to_writer(&mut json, &value).unwrap();
        json.push(b'\n');
    }
    json
}

#[test]
fn a_log_and_its_twin_in_json_are_equal() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for (name, format, _) in FILES {
        let bytes = bytes(&folder.join(name));
        if format != Format::Zeek || bytes.starts_with(b"{") {
            continue;
        }
        let (tsv, _) = read(Format::Zeek, &bytes);
        for wrapped in [false, true] {
            let json = twin(&bytes, wrapped);
            assert_eq!(format_of(&json), Format::Zeek);
            let (twin, reader) = read(Format::Zeek, &json);
            assert_eq!(
                reader.counts().to_string(),
                format!("{} records", tsv.records.len())
            );
            for (one, other) in tsv.records.iter().zip(&twin.records) {
                assert_eq!(one, other, "{name}");
            }
            compared += twin.records.len();
        }
    }
    assert!(compared > 20_000, "{compared} records");
}

/// The records of each file, written in the project's own JSON, are the same again.
#[test]
fn records_travel_in_the_own_json() {
    let Some(folder) = folder() else { return };
    for (name, format, _) in FILES {
        let (items, _) = read(format, bytes(&folder.join(name)));
        let mut json = Vec::new();
        for record in &items.records {
            netsage_records::formats::flow_json::write(record, &mut json).unwrap();
            json.push(b'\n');
        }
        let mut reader = Reader::new(Format::FlowJson, &Options::default());
        let mut again = Items::default();
        reader.message(&json, &mut again);
        assert_eq!(again.records, items.records, "{name}");
    }
}

/// Lines of real meters with some bytes changed, left out or doubled: nothing panics, and each line is counted once.
#[test]
fn damaged_lines_are_counted_once() {
    let Some(folder) = folder() else { return };
    let mut seed = 7_u64;
    let mut random = |below: usize| {
        // Numerical Recipes' generator: any will do.
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut refused = 0;
    for (name, format, _) in FILES {
        let bytes = bytes(&folder.join(name));
        let mut damaged = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n').step_by(3) {
            let mut line = line.strip_suffix(b"\n").unwrap_or(line).to_vec();
            for _ in 0..random(4) {
                let place = random(line.len() + 1).min(line.len().saturating_sub(1));
                match random(3) {
                    0 => line[place] = u8::try_from(random(256)).unwrap(),
                    1 => drop(line.remove(place)),
                    _ => line.truncate(place.max(1)),
                }
                line.retain(|byte| *byte != b'\n');
                line.push(b'x');
            }
            damaged.extend_from_slice(&line);
            damaged.push(b'\n');
        }
        let lines = damaged.split_inclusive(|byte| *byte == b'\n').count();
        let (items, reader) = read(format, &damaged);
        assert_eq!(reader.items(), lines as u64, "{name}");
        assert_eq!(reader.counts().items(), lines as u64, "{name}");
        refused += items.refused.len();
    }
    assert!(refused > 1_000, "{refused}");
}

/// What `ra` prints of the records that Argus makes of captures, where both are installed: by the command of the page
/// each row is read or is about no IP packets, and by the default columns each is refused by the names of columns.
#[test]
fn the_command_of_the_page_prints_what_is_read() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/pcaps/good");
    let Ok(entries) = fs::read_dir(&captures) else {
        eprintln!("skipped: no captures in {}", captures.display());
        return;
    };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sources/argus.md");
    let page = fs::read_to_string(page).unwrap();
    let options = page
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("ra -r argus.out ")?
                .strip_suffix(" > flows.csv")
        })
        .expect("the page begins with the command");
    let mut captures: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    captures.sort();
    let mut total = Counts::default();
    // Some of each kind; all of them take minutes.
    for capture in captures.into_iter().step_by(6) {
        let Some(printed) = printed_by_ra(&capture, options) else {
            eprintln!("skipped: argus and ra are not installed");
            return;
        };
        if printed.is_empty() {
            continue;
        }
        assert_eq!(format_of(&printed), Format::Argus, "{}", capture.display());
        total.add(read(Format::Argus, &printed).1.counts());
        let by_default = printed_by_ra(&capture, "-c ,").unwrap();
        let (items, _) = read(Format::Argus, &by_default);
        assert_eq!(items.records.len(), 0);
        assert!(
            items.refused[0]
                .to_string()
                .contains("the header lacks LastTime or Dur")
        );
    }
    println!("{total}");
    assert!(total.records > 50, "{total}");
    assert_eq!(total.refused.total(), 0, "{total}");
}

fn printed_by_ra(capture: &Path, options: &str) -> Option<Vec<u8>> {
    let argus = Command::new("argus")
        .args(["-F", "/dev/null", "-r"])
        .arg(capture)
        .args(["-w", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let printed = Command::new("ra")
        .args(["-X", "-r", "-"])
        .args(options.split_whitespace())
        .stdin(argus.stdout?)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(printed.stdout)
}
