//! What every bundled detector costs, as one JSON object a line: `bench_detectors PACKAGES_FOLDER [DATA_FOLDER]`.
//!
//! `cargo xtask bench detectors` runs it. Rows per second are those of one core, in blocks of 1,024, from rows of the
//! schema to scores, in the fastest of several turns. Ratios are against the native build of the same code, measured in
//! the same run, in turns, since others may want the processor too; both must give the same bits.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod native;
mod peer;
mod rows;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use netsage_package::{MAX_BLOCK_ROWS, Package};
use netsage_runtime::{Runtime, RuntimeConfig};
use serde_json::{Value, json};

use native::{REGISTERED, Registered};
use rows::Input;

type Failure = Box<dyn std::error::Error>;

const ROWS: usize = 16 * MAX_BLOCK_ROWS;
/// Turns, each of both builds once.
const TURNS: usize = 9;
/// Largest component, in bytes, of a detector that does not run networks of others.
const LARGEST: usize = 500_000;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [packages, data @ ..] = arguments.as_slice() else {
        eprintln!("usage: bench_detectors PACKAGES_FOLDER [DATA_FOLDER]");
        return ExitCode::from(2);
    };
    match measure_all(packages.as_ref(), data.first().map(Path::new)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_detectors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(folder: &Path, data: Option<&Path>) -> Result<(), Failure> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let package = Package::from_bytes(std::fs::read(&path)?)?;
        let figures = measure(&package, data).map_err(|error| format!("{name}: {error}"))?;
        let mut line = json!({ "package": name });
        if let (Value::Object(line), Value::Object(figures)) = (&mut line, figures) {
            line.extend(figures);
        }
        println!("{line}");
    }
    Ok(())
}

fn measure(package: &Package, data: Option<&Path>) -> Result<Value, Failure> {
    let schema = package
        .known_schema()?
        .ok_or("it has no card, which names its schema")?;
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let detector = runtime.load(package, schema)?;
    let name = detector.description().name.clone();
    let input = Input::of(schema, ROWS, data)?;
    let count = input.rows.len();

    let registered = REGISTERED.iter().find(|registered| registered.name == name);
    let mut native = match registered {
        Some(registered) => Some((registered.open)(package.artifact(), schema)?),
        None => None,
    };
    let values = input.projected(&detector);
    let block = MAX_BLOCK_ROWS * detector.columns().len();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let (mut sandboxed_times, mut native_times) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        if let Some(native) = &mut native {
            theirs.clear();
            let started = Instant::now();
            for (number, block) in values.chunks(block).enumerate() {
                let start = number * MAX_BLOCK_ROWS;
                let rows = start..count.min(start + MAX_BLOCK_ROWS);
                native(block, input.known(rows), &mut theirs)?;
            }
            native_times.push(started.elapsed().as_secs_f64());
        }
        ours.clear();
        let started = Instant::now();
        for start in (0..count).step_by(MAX_BLOCK_ROWS) {
            let range = start..count.min(start + MAX_BLOCK_ROWS);
            detector.score(&input.rows, Some(&input.contexts), range, &mut ours)?;
        }
        sandboxed_times.push(started.elapsed().as_secs_f64());
        let bits = |scores: &[f32]| scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
        if native.is_some() && bits(&ours) != bits(&theirs) {
            return Err("the native build and the component give other scores".into());
        }
    }
    let rate = |times: Vec<f64>| count as f64 / times.into_iter().fold(f64::INFINITY, f64::min);
    let sandboxed = rate(sandboxed_times);
    let native = native.map(|_| rate(native_times));
    let mut figures = json!({
        "detector": name,
        "schema": schema.to_string(),
        "rows": input.what,
        "rows_measured": count,
        "block": MAX_BLOCK_ROWS,
        "rows_per_s": sandboxed.round(),
        "rows_per_s_wanted": registered.map(|registered| registered.wanted),
        "native_rows_per_s": native.map(f64::round),
        "times_native": native.map(|native| rounded(native / sandboxed)),
        "component_bytes": package.code().len(),
        "component_bytes_at_most": (name != "onnx").then_some(LARGEST),
        "component_bytes_gzipped": gzipped(&package.code())?,
        "artifact_bytes": package.artifact().len(),
    });
    if let Some(Registered { onnx: Some(onnx), .. }) = registered {
        let outcome = onnx(package.artifact())
            .ok_or_else(|| "the artifact holds no ONNX".into())
            .and_then(|onnx| peer::rows_per_second(&onnx, MAX_BLOCK_ROWS));
        figures["onnxruntime_rows_per_s"] = outcome.as_ref().ok().map(|rate| rate.round()).into();
        figures["times_onnxruntime"] = outcome.as_ref().ok().map(|rate| rounded(rate / sandboxed)).into();
        figures["onnxruntime_missing"] = outcome.err().map(|error| error.to_string()).into();
    }
    Ok(figures)
}

fn gzipped(bytes: &[u8]) -> Result<usize, Failure> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

/// To two digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e2).round() / 1e2
}
