//! Followed logs: every line once, whatever becomes of their names.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use netsage_schema::{FlowBatch, RECORD_V1};
use netsage_sources::stream::{Follow, Stream, StreamOptions};
use netsage_sources::{Position, Reading, RecordOptions, Source};

use crate::contract::Member;

const HEADER: &str = "#separator \\x09\n#set_separator\t,\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n";

/// Line `number` of a log.
fn line(number: u64) -> String {
    format!(
        "{}.5\tC{number}\t192.0.2.{}\t{}\t198.51.100.9\t443\ttcp\tssl\t0.25\t517\t4000\tSF\t9\t989\t11\t4580\n",
        1_767_603_600 + number,
        number % 200,
        1_024 + number % 50_000
    )
}

fn lines(numbers: std::ops::Range<u64>) -> String {
    numbers.map(line).collect()
}

fn write(path: &Path, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// Compresses a file as the programs do: beside it, with its time, and then it is deleted.
fn compress(path: &Path, by_gzip: bool) -> PathBuf {
    let plain = fs::read(path).unwrap();
    let (ending, packed) = if by_gzip {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&plain).unwrap();
        ("gz", packer.finish().unwrap())
    } else {
        (
            "zst",
            ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest),
        )
    };
    let new = PathBuf::from(format!("{}.{ending}", path.display()));
    fs::write(&new, packed).unwrap();
    let written = fs::metadata(path).unwrap().modified().unwrap();
    File::options()
        .write(true)
        .open(&new)
        .unwrap()
        .set_modified(written)
        .unwrap();
    fs::remove_file(path).unwrap();
    new
}

fn options() -> StreamOptions {
    StreamOptions {
        lateness: Some(Duration::from_secs(3_600)),
        ..StreamOptions::default()
    }
}

fn follow(names: &[&Path], ends: bool) -> Stream {
    let names: Vec<String> = names.iter().map(|name| name.display().to_string()).collect();
    let follow = Follow::new(&names, &RecordOptions::default(), ends);
    Stream::new("log", vec![Box::new(follow)], options())
}

/// What a program keeps that is killed and started again: flows by their ids, and the place in the log.
#[derive(Default)]
struct Program {
    stored: BTreeSet<[u8; 16]>,
    place: Option<Position>,
}

impl Program {
    /// Follows logs to where they end now; the store then has a share of the flows, in percent, and the program is killed.
    /// How many flows were handed over.
    fn run(&mut self, names: &[&Path], share: u64) -> u64 {
        let mut source = follow(names, true);
        if let Some(place) = &self.place {
            source.begin_at(place).unwrap();
        }
        let mut all = FlowBatch::new(&RECORD_V1);
        let mut batch = FlowBatch::new(&RECORD_V1);
        loop {
            let reading = source.read(&mut batch).unwrap();
            self.place = source.position().or(self.place.take());
            all.append(&mut batch);
            if reading == Reading::End {
                break;
            }
        }
        let stored = all.len() as u64 * share / 100;
        self.stored.extend(all.ids.iter().take(stored as usize).flatten());
        self.place = source.stored(stored).or(self.place.take());
        all.len() as u64
    }
}

#[test]
fn followed_logs_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conn.log");
    // In several pieces, with a line that is none.
    write(
        &path,
        &format!("{HEADER}{}never\t1\n{}", lines(0..3_000), lines(3_000..9_000)),
    );
    Member {
        open: &|| Box::new(follow(&[&path], true)),
        records: 9_001,
        rejected: 1,
        flows: 9_000,
        error: None,
    }
    .check();
}

#[test]
fn a_log_that_is_renamed_and_compressed_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conn.log");
    // What was written before the program knew the log is not its concern, and neither is another log.
    write(
        &folder.path().join("conn.0.log"),
        &(HEADER.to_owned() + &lines(900_000..900_100)),
    );
    let old = File::options()
        .write(true)
        .open(folder.path().join("conn.0.log"))
        .unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(3_600))
        .unwrap();
    write(&folder.path().join("conn-summary.log"), "no log of connections\n");
    let (mut program, mut written) = (Program::default(), 0);
    let mut plain: Vec<PathBuf> = Vec::new();
    for round in 1..=50_u64 {
        // Short and long parts, some with a last line that is not whole when the program looks.
        let count = [1, 3, 700, 40, 2_000][round as usize % 5];
        let text = lines(written..written + count);
        written += count;
        if !path.exists() {
            write(&path, HEADER);
        }
        let cut = text.len() - round as usize % 90;
        write(&path, &text[..cut]);
        program.run(&[&path], round * 37 % 101);
        write(&path, &text[cut..]);
        if round % 7 != 0 {
            let new = folder.path().join(format!("conn.{round}.log"));
            fs::rename(&path, &new).unwrap();
            plain.push(new);
        }
        // Not before the next one is there, and sometimes two at once.
        while plain.len() > (round % 3) as usize {
            compress(&plain.remove(0), round % 2 == 0);
        }
        if round % 4 == 0 {
            program.run(&[&path], round * 53 % 101);
        }
    }
    // Two that come and go while nobody looks.
    for name in ["conn.x.log", "conn.y.log"] {
        write(&path, &(HEADER.to_owned() + &lines(written..written + 10)));
        written += 10;
        let new = folder.path().join(name);
        fs::rename(&path, &new).unwrap();
        compress(&new, name == "conn.y.log");
    }
    write(&path, &(HEADER.to_owned() + &line(written)));
    program.run(&[&path], 100);
    assert_eq!(program.stored.len() as u64, written + 1);
    assert_eq!(program.run(&[&path], 100), 0, "everything is stored");
}

#[test]
fn copies_that_a_pattern_names_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("2026-01-05");
    fs::create_dir(&archive).unwrap();
    let path = folder.path().join("conn.log");
    let pattern = folder.path().join("*").join("conn*");
    let mut program = Program::default();
    for round in 0..6 {
        write(
            &path,
            &format!("{HEADER}{}", lines(round * 500..round * 500 + 300)),
        );
        program.run(&[&path, &pattern], 40 + round * 10);
        write(&path, &lines(round * 500 + 300..round * 500 + 500));
        let new = archive.join(format!("conn.{round}.log"));
        fs::rename(&path, &new).unwrap();
        compress(&new, round % 2 == 0);
    }
    program.run(&[&path, &pattern], 100);
    assert_eq!(program.stored.len(), 3_000);
    assert_eq!(program.run(&[&path, &pattern], 100), 0);
}

/// Reads until `is_done`, and gives the ids.
fn until(source: &mut Stream, mut is_done: impl FnMut(&Stream) -> bool) {
    let mut batch = FlowBatch::new(&RECORD_V1);
    while !is_done(source) {
        assert_eq!(source.read(&mut batch).unwrap(), Reading::GoesOn);
    }
}

#[test]
fn an_open_log_is_read_to_its_end_behind_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conn.log");
    write(&path, HEADER);
    let mut source = follow(&[&path], false);
    let mut records = 0;
    let mut expect = |source: &mut Stream, more: u64| {
        records += more;
        until(source, |source| source.counters().records >= records);
        assert_eq!(source.counters().records, records);
    };
    write(&path, &lines(0..10));
    expect(&mut source, 10);
    // The writer still has the file, whose name is gone, and which is then deleted.
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    let new = folder.path().join("conn.1.log");
    fs::rename(&path, &new).unwrap();
    writer.write_all(lines(10..20).as_bytes()).unwrap();
    expect(&mut source, 10);
    compress(&new, true);
    writer.write_all(lines(20..30).as_bytes()).unwrap();
    expect(&mut source, 10);
    write(&path, &(HEADER.to_owned() + &lines(30..40)));
    expect(&mut source, 10);
}

#[test]
fn a_log_that_is_cut_is_read_on_in_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conn.log");
    let copy = folder.path().join("conn.log.1");
    write(&path, &(HEADER.to_owned() + &lines(0..100)));
    let mut source = follow(&[&path], false);
    until(&mut source, |source| source.counters().records == 100);
    // What was written before the copy was made is in the copy alone.
    write(&path, &lines(100..150));
    fs::copy(&path, &copy).unwrap();
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    write(&path, &(HEADER.to_owned() + &lines(150..160)));
    until(&mut source, |source| source.counters().records == 160);
    assert_eq!(source.counters().lost, 0);
    // Without a copy: what begins is read, and the line that was cut off counts as lost.
    write(&path, &line(160)[..30]);
    let read = source.counters().bytes;
    until(&mut source, |source| source.counters().bytes == read + 30);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    write(&path, &(HEADER.to_owned() + &lines(170..175)));
    until(&mut source, |source| source.counters().records == 165);
    assert_eq!(source.counters().lost, 1);
}

#[test]
fn a_damaged_archive_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("conn.1.log"), folder.path().join("conn.2.log"));
    write(&one, &(HEADER.to_owned() + &lines(0..5_000)));
    write(&two, &(HEADER.to_owned() + &lines(5_000..5_100)));
    let one = compress(&one, true);
    compress(&two, true);
    let mut packed = Vec::new();
    File::open(&one).unwrap().read_to_end(&mut packed).unwrap();
    fs::write(&one, &packed[..packed.len() / 2]).unwrap();
    let pattern = folder.path().join("conn.*.gz");
    let mut source = follow(&[&pattern], false);
    // Until it is clear that nobody writes on it any more.
    until(&mut source, |source| source.counters().rejected > 0);
    let counted = source.counters();
    assert_eq!(counted.rejected, 1, "{:?}", source.unused());
    assert!((101..5_100).contains(&(counted.records - 1)), "{counted:?}");
}
