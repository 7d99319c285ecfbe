//! What a flood leaves: 2,000,000 SYNs of random sources to one target within 20 s, among the flows of an office. Prints one
//! JSON object. `cargo xtask bench flood` runs `bench_flood PROGRAM FOLDER [SECONDS]`.
//!
//! The first part replays a capture of a minute as fast as the program can: alerts, and the bytes of the store with its log.
//! The second part hands packets over as their times say: SECONDS (600) at 2,000 flows/s, the flood, and a minute more;
//! resident memory before the flood and 60 s after its last packet.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netsage_synth::{Generator, SynthConfig};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const SYNS: u32 = 2_000_000;
const FLOOD_SECONDS: u32 = 20;
const FLOWS_PER_SECOND: u32 = 2_000;
const TARGET: [u8; 4] = [198, 51, 100, 80];
const TARGET_PORT: u16 = 80;
const SECOND_NS: i64 = 1_000_000_000;
/// Between two looks at memory and files.
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let outcome = match arguments.as_slice() {
        [program, folder] => all(program, folder, 600),
        [program, folder, seconds] => match seconds.to_str().and_then(|text| text.parse().ok()) {
            Some(seconds) => all(program, folder, seconds),
            None => Err("SECONDS is a number".into()),
        },
        _ => Err("usage: bench_flood PROGRAM FOLDER [SECONDS]".into()),
    };
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_flood: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(program: &Path, folder: &Path, seconds: u32) -> Result<Value, Failure> {
    fs::create_dir_all(folder)?;
    Ok(json!({
        "bench": "flood",
        "syns": SYNS,
        "replay": replay(program, folder)?,
        "memory": memory(program, folder, seconds)?,
    }))
}

/// A flood in the middle of a minute of an office, as fast as the program can.
fn replay(program: &Path, folder: &Path) -> Result<Value, Failure> {
    let honest_alone = {
        let capture = folder.join("office.pcap");
        write(
            &mut Traffic::new(60, 100, None),
            BufWriter::new(File::create(&capture)?),
            |_| Ok(()),
        )?;
        let data = tempfile::tempdir_in(folder)?;
        let mut child = start(
            program,
            data.path(),
            &capture.display().to_string(),
            Stdio::null(),
        )?;
        follow(&mut child, data.path())?;
        Found::read(data.path())?.honest
    };
    let capture = folder.join("flood.pcap");
    write(
        &mut Traffic::new(60, 100, Some(20)),
        BufWriter::new(File::create(&capture)?),
        |_| Ok(()),
    )?;
    let data = tempfile::tempdir_in(folder)?;
    let began = Instant::now();
    let mut child = start(
        program,
        data.path(),
        &capture.display().to_string(),
        Stdio::null(),
    )?;
    let most_bytes = follow(&mut child, data.path())?;
    let seconds = began.elapsed().as_secs_f64();
    let found = Found::read(data.path())?;
    Ok(json!({
        "seconds": seconds,
        "alerts": found.alerts,
        "alerts_merged": found.merged,
        "flows_of_the_flood": found.flood,
        "honest_flows": found.honest,
        "honest_flows_without_the_flood": honest_alone,
        "store_bytes_most": most_bytes,
        "store_bytes_at_the_end": bytes(data.path()),
    }))
}

/// Memory before and after a flood, by the clock.
fn memory(program: &Path, folder: &Path, seconds: u32) -> Result<Value, Failure> {
    let data = tempfile::tempdir_in(folder)?;
    let mut child = start(program, data.path(), "-", Stdio::piped())?;
    let input = child.stdin.take().ok_or("no standard input")?;
    let process = child.id();
    let length = seconds + FLOOD_SECONDS + 60;
    let mut traffic = Traffic::new(length, FLOWS_PER_SECOND, Some(seconds));
    let began = Instant::now();
    let mut before = None;
    let mut most = 0;
    let first_ns = traffic.start_ns;
    let mut looked_at = Instant::now();
    write(
        &mut traffic,
        BufWriter::with_capacity(1 << 16, input),
        |time_ns| {
            let due = Duration::from_nanos(time_ns.saturating_sub(first_ns).max(0).cast_unsigned());
            if looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                most = most.max(resident(process)?);
            }
            if before.is_none() && due >= Duration::from_secs(seconds.into()) {
                before = Some(resident(process)?);
            }
            thread::sleep(due.saturating_sub(began.elapsed()));
            Ok(())
        },
    )?;
    // The last packets come a minute after the flood.
    let after = resident(process)?;
    let late = began.elapsed().as_secs_f64() - f64::from(length);
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("the program ended with {status}").into());
    }
    let before = before.ok_or("the flood did not begin")?;
    let found = Found::read(data.path())?;
    Ok(json!({
        "seconds_before": seconds,
        "flows_per_second": FLOWS_PER_SECOND,
        "resident_bytes_before": before,
        "resident_bytes_most": most,
        "resident_bytes_60_s_after": after,
        "after_to_before": after as f64 / before as f64,
        "seconds_late_at_the_end": late,
        "alerts": found.alerts,
        "flows_of_the_flood": found.flood,
        "honest_flows": found.honest,
    }))
}

fn start(program: &Path, data: &Path, capture: &str, input: Stdio) -> Result<Child, Failure> {
    let mut command = Command::new(program);
    command.args(["run", "--exit-when-done", "--listen", "127.0.0.1:0"]);
    command.args(["--pcap", capture]).arg("--data-dir").arg(data);
    command.arg("--store").arg(data.join("flood.sqlite"));
    command.env("RUST_LOG", "error").stdin(input);
    Ok(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn()?)
}

/// Waits for the end of a program; the most bytes that its store took.
fn follow(child: &mut Child, data: &Path) -> Result<u64, Failure> {
    let mut most = 0;
    let status = loop {
        most = most.max(bytes(data));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        thread::sleep(LOOK_EVERY);
    };
    match status.success() {
        true => Ok(most.max(bytes(data))),
        false => Err(format!("the program ended with {status}").into()),
    }
}

/// The bytes of database and write-ahead log.
fn bytes(data: &Path) -> u64 {
    let bytes = |name| fs::metadata(data.join(name)).map_or(0, |file| file.len());
    bytes("flood.sqlite") + bytes("flood.sqlite-wal")
}

/// Resident memory of a process, bytes.
fn resident(process: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes
        .map(|number| number * 1024)
        .ok_or_else(|| io::Error::other("no VmRSS"))
}

/// What a store has after a run.
struct Found {
    alerts: u64,
    merged: u64,
    flood: u64,
    honest: u64,
}

impl Found {
    fn read(data: &Path) -> Result<Self, Failure> {
        let store = Connection::open_with_flags(data.join("flood.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let count = |condition: &str| -> Result<u64, Failure> {
            let sql = format!("SELECT count(*) FROM {condition}");
            Ok(store
                .query_row(&sql, [], |row| row.get::<_, i64>(0))?
                .cast_unsigned())
        };
        let target: String = TARGET.iter().map(|byte| format!("{byte:02x}")).collect();
        let flood = count(&format!(
            "flows WHERE destination = x'{target}' AND destination_port = {TARGET_PORT}"
        ))?;
        Ok(Self {
            alerts: count("alerts")?,
            merged: count("alerts WHERE state = 3")?,
            flood,
            honest: count("flows")? - flood,
        })
    }
}

/// The traffic of an office, and perhaps a flood in it.
struct Traffic {
    office: Generator,
    next: Option<(i64, Vec<u8>)>,
    start_ns: i64,
    /// When the flood begins, and how many of its packets have come.
    flood_ns: Option<i64>,
    syns: u32,
    random: u64,
}

impl Traffic {
    fn new(seconds: u32, flows_per_second: u32, flood_after: Option<u32>) -> Self {
        let config = SynthConfig {
            flows: seconds * flows_per_second,
            duration_ns: i64::from(seconds) * SECOND_NS,
            attacks: false,
            ..SynthConfig::default()
        };
        let start_ns = config.start_ns;
        Self {
            office: Generator::new(config),
            next: None,
            start_ns,
            flood_ns: flood_after.map(|seconds| start_ns + i64::from(seconds) * SECOND_NS),
            syns: 0,
            random: 1,
        }
    }

    fn draw(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 16
    }

    /// A SYN of a random source.
    fn syn(&mut self) -> Vec<u8> {
        let random = self.draw();
        // Neither of the office's networks nor of those that no packet comes from.
        let source = [
            20 + (random >> 24 & 127) as u8,
            (random >> 16) as u8,
            (random >> 8) as u8,
            random as u8,
        ];
        let port = 1_024 + (random >> 32) as u16 % 60_000;
        let mut tcp = Vec::with_capacity(20);
        tcp.extend_from_slice(&port.to_be_bytes());
        tcp.extend_from_slice(&TARGET_PORT.to_be_bytes());
        tcp.extend_from_slice(&(self.draw() as u32).to_be_bytes());
        tcp.extend_from_slice(&[0, 0, 0, 0, 0x50, 0x02, 0x04, 0x00, 0, 0, 0, 0]);
        let mut pseudo = [&source[..], &TARGET[..], &[0, 6, 0, 20][..]].concat();
        pseudo.extend_from_slice(&tcp);
        tcp[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
        let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        ip.extend_from_slice(&source);
        ip.extend_from_slice(&TARGET);
        let sum = checksum(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&sum);
        let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        [&ethernet[..], &ip, &tcp].concat()
    }
}

/// The Internet checksum of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Iterator for Traffic {
    type Item = (i64, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        let of_office = self
            .next
            .take()
            .or_else(|| self.office.next().map(|packet| (packet.time_ns, packet.bytes)));
        if let Some(flood_ns) = self.flood_ns.filter(|_| self.syns < SYNS) {
            let step = i64::from(FLOOD_SECONDS) * SECOND_NS / i64::from(SYNS);
            let time = flood_ns + i64::from(self.syns) * step;
            if of_office.as_ref().is_none_or(|office| time < office.0) {
                self.next = of_office;
                self.syns += 1;
                return Some((time, self.syn()));
            }
        }
        of_office
    }
}

/// Writes packets as a capture; `before` is called with the time of each.
fn write(
    traffic: &mut Traffic,
    mut out: BufWriter<impl Write>,
    mut before: impl FnMut(i64) -> io::Result<()>,
) -> io::Result<()> {
    const STRIDE: u32 = 64;
    let header: [u32; 6] = [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 262_144, 1];
    for word in header {
        out.write_all(&word.to_le_bytes())?;
    }
    let mut packets = 0_u32;
    for (time_ns, bytes) in traffic {
        packets += 1;
        if packets.is_multiple_of(STRIDE) {
            before(time_ns)?;
        }
        let seconds = u32::try_from(time_ns / SECOND_NS).unwrap_or(u32::MAX);
        let microseconds = (time_ns % SECOND_NS / 1_000) as u32;
        let length = bytes.len() as u32;
        for word in [seconds, microseconds, length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&bytes)?;
    }
    out.flush()
}
