//! What the meter costs, as JSON on standard output: time per packet by stage, the whole program beside Argus, and
//! bytes per flow.
//!
//! `cargo xtask bench meter` runs `bench_meter PROGRAM FOLDER`. The capture is generated into FOLDER once. Times are
//! the best of several runs, which is what an otherwise idle core can do.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use netsage_capture::decode::{DecodeOptions, decode};
use netsage_capture::file::CaptureReader;
use netsage_capture::{LinkType, Meter, MeterConfig, Packet};
use netsage_schema::{FLOW_V1, FlowBatch, Schema, UNSW_NB15, csv};
use netsage_testkit::capture;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const RUNS: usize = 5;
/// The default of the program.
const FLOW_MEMORY: usize = 64 << 20;
/// Packets between two looks at what the meter has ready, as the program takes them.
const PACKETS_PER_DRAIN: u64 = 256;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        ["memory", schema, kind, flows] => memory_of(schema, kind, flows),
        [program, folder] => all(program.as_ref(), folder.as_ref()),
        _ => Err("usage: bench_meter PROGRAM FOLDER".into()),
    };
    match outcome {
        Ok(figures) => {
            println!("{figures:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_meter: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(program: &Path, folder: &Path) -> Result<Value, Failure> {
    let capture = capture::generated(folder)?;
    let bytes = fs::read(&capture)?;
    let packets = count(&bytes)?;
    let mut figures = json!({
        "bench": "meter",
        "capture": { "packets": packets, "bytes": bytes.len(), "conversations": capture::CONVERSATIONS },
    });
    for schema in [&UNSW_NB15, &FLOW_V1] {
        figures[schema.id] = json!({
            "nanoseconds_per_packet": stages(&bytes, packets, schema)?,
            "bytes_per_flow": {
                "half_open": memory(schema, "half-open")?,
                "established": memory(schema, "established")?,
            },
        });
    }
    drop(bytes);
    whole_processes(program, &capture, packets, &mut figures)?;
    Ok(figures)
}

fn count(bytes: &[u8]) -> Result<u64, Failure> {
    let mut reader = CaptureReader::new(bytes)?;
    while reader.next_packet()?.is_some() {}
    Ok(reader.packets_read())
}

/// How much each stage adds, in nanoseconds per packet: each is measured together with those before it.
fn stages(bytes: &[u8], packets: u64, schema: &'static Schema) -> Result<Value, Failure> {
    let read = best(|| {
        let mut reader = CaptureReader::new(bytes)?;
        while reader.next_packet()?.is_some() {}
        Ok(())
    })?;
    let decoded = best(|| {
        let mut reader = CaptureReader::new(bytes)?;
        let mut metered = 0_u64;
        while let Some(packet) = reader.next_packet()? {
            metered += u64::from(decode(&packet, &DecodeOptions::default()).is_ok());
        }
        std::hint::black_box(metered);
        Ok(())
    })?;
    let metered = best(|| meter(bytes, schema, |_| Ok(())))?;
    let printed = best(|| {
        // Formatted as the program does, and thrown away.
        let mut out = BufWriter::with_capacity(64 * 1024, io::sink());
        meter(bytes, schema, |batch| {
            for (row, identity) in batch.rows.iter().zip(&batch.identities) {
                csv::write_fields(&mut out, schema, identity, row)?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })
    })?;
    let each = |seconds: f64| (seconds * 1e10 / packets as f64).round() / 10.0;
    Ok(json!({
        "read": each(read),
        "decode": each(decoded - read),
        "flows_and_rows": each(metered - decoded),
        "csv": each(printed - metered),
        "in_memory": each(metered),
        "all": each(printed),
    }))
}

fn meter(
    bytes: &[u8],
    schema: &'static Schema,
    mut each: impl FnMut(&FlowBatch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = CaptureReader::new(bytes)?;
    let mut meter = Meter::new(MeterConfig {
        schema,
        ..MeterConfig::default()
    });
    let mut batch = FlowBatch::new(schema);
    let mut packets = 0_u64;
    while let Some(packet) = reader.next_packet()? {
        meter.packet(&packet);
        packets += 1;
        if packets.is_multiple_of(PACKETS_PER_DRAIN) {
            meter.drain(&mut batch);
            each(&batch)?;
            batch.clear();
        }
    }
    meter.finish();
    while {
        let more = meter.drain_some(4096, &mut batch);
        each(&batch)?;
        batch.clear();
        more
    } {}
    Ok(())
}

fn best(mut run: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let (started, on_processor) = (Instant::now(), processor_seconds());
        run()?;
        let took = match (on_processor, processor_seconds()) {
            (Some(before), Some(after)) => after - before,
            _ => started.elapsed().as_secs_f64(),
        };
        best = best.min(took);
    }
    Ok(best)
}

/// Time that this thread spent on a processor; `None` where the system does not say it so.
fn processor_seconds() -> Option<f64> {
    let times = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = times.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// The program and Argus on the same file, in turns, so that a busy machine is busy for both.
fn whole_processes(program: &Path, capture: &Path, packets: u64, figures: &mut Value) -> Result<(), Failure> {
    let program = program.to_string_lossy();
    let capture = capture.to_string_lossy();
    let netsage = |schema: &str| format!("'{program}' flows --schema {schema} '{capture}' > /dev/null");
    let argus = |output: &str| format!("argus -F /dev/null -J -S 60 -r '{capture}' -w {output}");
    let commands = [
        (UNSW_NB15.id, netsage(UNSW_NB15.id)),
        (FLOW_V1.id, netsage(FLOW_V1.id)),
        ("argus", argus("/dev/null")),
        ("argus_and_ra", argus("- | ra -n -r - > /dev/null")),
    ];
    let has_argus = Command::new("argus")
        .arg("-h")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    let mut best = [(f64::INFINITY, f64::INFINITY); 4];
    for _ in 0..RUNS {
        for ((name, command), (wall, processor)) in commands.iter().zip(&mut best) {
            if !has_argus && name.starts_with("argus") {
                continue;
            }
            let (this_wall, this_processor) = timed(command)?;
            *wall = wall.min(this_wall);
            *processor = processor.min(this_processor);
        }
    }
    let packets = packets as f64;
    for ((name, _), (wall, processor)) in commands.iter().zip(best) {
        let of_process = if wall.is_finite() {
            json!({
                "wall_seconds": wall,
                "processor_seconds": processor,
                "packets_per_second": (packets / wall).round(),
                "packets_per_processor_second": (packets / processor).round(),
            })
        } else {
            json!("not measured: argus is not installed")
        };
        figures[*name]["whole_process"] = of_process;
    }
    if has_argus {
        for (schema, (wall, processor)) in [UNSW_NB15.id, FLOW_V1.id].into_iter().zip(best) {
            let times = |own: f64, other: f64| (other / own * 100.0).round() / 100.0;
            figures[schema]["times_as_fast_as"] = json!({
                "argus": times(wall, best[2].0),
                "argus_by_processor_time": times(processor, best[2].1),
                "argus_and_ra": times(wall, best[3].0),
            });
        }
    }
    Ok(())
}

/// Wall clock and processor time of a command of the shell, with those that it starts.
fn timed(command: &str) -> Result<(f64, f64), Failure> {
    let started = Instant::now();
    let output = Command::new("sh")
        .args(["-c", &format!("{command}; times")])
        .stderr(Stdio::null())
        .output()?;
    let wall = started.elapsed().as_secs_f64();
    // Two lines of user and system time, `0m1.230s 0m0.450s`: of the shell and of what it ran.
    let text = String::from_utf8_lossy(&output.stdout);
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let processor = text
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().map(seconds).sum::<Option<f64>>())
        .ok_or_else(|| format!("`{command}` told no times"))?;
    Ok((wall, processor))
}

/// Bytes per flow of a kind, as the meter accounts for them and as the process grows, in a process of its own.
fn memory(schema: &Schema, kind: &str) -> Result<Value, Failure> {
    // As many as fill most of the memory without being too many for it.
    let flows = if kind == "half-open" { "70000" } else { "35000" };
    let output = Command::new(std::env::current_exe()?)
        .args(["memory", schema.id, kind, flows])
        .output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn memory_of(schema: &str, kind: &str, flows: &str) -> Result<Value, Failure> {
    let schema = Schema::by_id(schema).ok_or("no such schema")?;
    let flows: u32 = flows.parse()?;
    let before = resident();
    let mut meter = Meter::new(MeterConfig {
        schema,
        flow_memory: FLOW_MEMORY,
        ..MeterConfig::default()
    });
    for flow in 0..flows {
        for line in exchange(kind) {
            let bytes = segment(flow, line);
            meter.packet(&Packet {
                link: LinkType::RawIp,
                time_ns: i64::from(flow) * 10_000,
                wire_length: bytes.len() as u32,
                bytes: &bytes,
            });
        }
    }
    let held = meter.memory();
    let per_flow = |bytes: usize| (bytes as f64 / f64::from(flows)).round();
    let grown = before
        .zip(resident())
        .map(|(before, after)| per_flow(after - before));
    assert_eq!(meter.stats().active_flows, u64::from(flows));
    Ok(json!({
        "flows": flows,
        // Of the index the share of a flow, which is made for as many as there is room for.
        "cells_and_index": per_flow(held.cells) + (held.index as f64 / held.most_cells as f64).round(),
        "trailing_window": per_flow(held.window),
        "resident": grown,
    }))
}

/// A segment of a flow: whether the server sends, flags, sequence number, data.
type Line = (bool, u8, u32, &'static [u8]);

/// What a flow of the kind consists of.
fn exchange(kind: &str) -> &'static [Line] {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const HALF_OPEN: [Line; 2] = [(false, SYN, 1, b""), (true, SYN | ACK, 1, b"")];
    // More packets than `flow-v1` keeps as they are, and HTTP, for which `unsw-nb15` takes a second cell.
    const ESTABLISHED: [Line; 7] = [
        HALF_OPEN[0],
        HALF_OPEN[1],
        (false, ACK, 2, b""),
        (false, ACK, 2, b"GET / HTTP/1.1\r\n\r\n"),
        (true, ACK, 2, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        (false, ACK, 20, b""),
        (false, ACK, 20, b"GET / HTTP/1.1\r\n\r\n"),
    ];
    match kind {
        "half-open" => &HALF_OPEN,
        _ => &ESTABLISHED,
    }
}

/// A segment between a host of that number and a server.
fn segment(host: u32, &(is_answer, flags, sequence, data): &Line) -> Vec<u8> {
    let length = (40 + data.len()) as u16;
    let ends = [(0x0a00_0000 + host, 40_000_u16), (0xc0a8_0001, 80)];
    let (from, to) = if is_answer {
        (ends[1], ends[0])
    } else {
        (ends[0], ends[1])
    };
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    bytes.extend(from.0.to_be_bytes());
    bytes.extend(to.0.to_be_bytes());
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(2_u32.to_be_bytes());
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    bytes.extend(data);
    bytes
}

/// Bytes of this process in memory; `None` where the system does not say it so.
fn resident() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}
