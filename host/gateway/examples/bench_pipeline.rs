//! From a capture file to stored alerts: the built program with three detectors active, pinned to one core and then to
//! two. Prints one JSON object. `cargo xtask bench pipeline` runs `bench_pipeline PROGRAM COMPONENT MODELS FOLDER`.
//!
//! Time is that of the wall, from the start of the process to its end, when every alert is stored. The compiled code of
//! the detectors is in the cache and the capture in memory, both from a first run that does not count.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netsage_package::ModelCard;
use netsage_runtime::{Runtime, RuntimeConfig};
use netsage_testkit::capture;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

/// Runs on one core and on two, in turns: others may want the processor too.
const RUNS: usize = 5;
/// Between two looks at the processor times of the threads; what a thread does after the last one is not seen.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The detectors: the isolation forest with the bundled models. The name of a detector stands in its component, and no
/// two active detectors may share a name, so the second and the third component get other names of the same length.
const DETECTORS: [(&str, &str); 3] = [
    ("iforest", "iforest-generated"),
    ("forest2", "iforest-unsw-nb15"),
    ("forest3", "iforest-generated"),
];

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let outcome = match arguments.as_slice() {
        [program, component, models, folder] => all(program, component, models, folder),
        _ => Err("usage: bench_pipeline PROGRAM COMPONENT MODELS FOLDER".into()),
    };
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(program: &Path, component: &Path, models: &Path, folder: &Path) -> Result<Value, Failure> {
    let bench = Bench {
        program,
        capture: capture::generated(folder)?,
        packages: packages(component, models, folder)?,
        data: tempfile::tempdir_in(folder)?,
    };
    let here = sched_getaffinity(Pid::from_raw(0))?;
    let cores: Vec<usize> = (0..CpuSet::count())
        .filter(|core| here.is_set(*core).unwrap_or(false))
        .collect();
    bench.run(&cores)?;
    let mut figures = json!({ "bench": "pipeline", "detectors": DETECTORS.map(|(name, _)| name) });
    let counts = &[1, 2][..cores.len().min(2)];
    let mut runs: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    for _ in 0..RUNS {
        for &count in counts {
            runs.entry(count).or_default().push(bench.run(&cores[..count])?);
        }
    }
    let mut speeds = BTreeMap::new();
    for (count, mut runs) in runs {
        runs.sort_by(|a, b| a.packets_per_second().total_cmp(&b.packets_per_second()));
        let (median, fastest) = (&runs[RUNS / 2], &runs[RUNS - 1]);
        speeds.insert(count, (fastest.packets_per_second(), median.packets_per_second()));
        figures[format!("cores_{count}")] = json!({
            "packets_per_second_best": fastest.packets_per_second().round(),
            "packets_per_second_median": median.packets_per_second().round(),
            "packets_per_second_worst": runs[0].packets_per_second().round(),
            "seconds_best": fastest.seconds,
            "processor_seconds_by_stage_of_best": fastest.stages,
            "packets": fastest.packets,
            "flows": fastest.flows,
            "alerts": fastest.alerts,
        });
    }
    match (speeds.get(&1), speeds.get(&2)) {
        (Some(one), Some(two)) => {
            figures["two_cores_to_one_best"] = json!(two.0 / one.0);
            figures["two_cores_to_one_median"] = json!(two.1 / one.1);
        }
        _ => figures["note"] = json!("this machine has one core"),
    }
    Ok(figures)
}

/// Packs the models under the names of [`DETECTORS`].
fn packages(component: &Path, models: &Path, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let runtime = Runtime::new(RuntimeConfig::default())?;
    let component = fs::read(component)?;
    let mut packages = Vec::new();
    for (name, model) in DETECTORS {
        let artifact = fs::read(models.join(format!("{model}.artifact")))?;
        let card = fs::read(models.join(format!("{model}.card.json")))?;
        let card = ModelCard {
            name: Some(name.to_owned()),
            ..ModelCard::from_json(&card)?
        };
        let package = runtime.pack(&component, &artifact, Some(card.to_json()?.as_bytes()))?;
        let path = folder.join(format!("bench-{name}.wasm"));
        fs::write(&path, package.bytes())?;
        packages.push(path);
    }
    Ok(packages)
}

struct Bench<'a> {
    program: &'a Path,
    capture: PathBuf,
    packages: Vec<PathBuf>,
    data: tempfile::TempDir,
}

/// One run of the program.
struct Run {
    seconds: f64,
    packets: u64,
    flows: u64,
    alerts: u64,
    /// Processor time by stage, seconds.
    stages: BTreeMap<&'static str, f64>,
}

impl Run {
    fn packets_per_second(&self) -> f64 {
        self.packets as f64 / self.seconds
    }
}

impl Bench<'_> {
    fn run(&self, cores: &[usize]) -> Result<Run, Failure> {
        let store = self.data.path().join("bench.sqlite");
        for end in ["", "-wal", "-shm"] {
            match fs::remove_file(format!("{}{end}", store.display())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let mut command = Command::new(self.program);
        command.args(["run", "--exit-when-done", "--listen", "127.0.0.1:0"]);
        command.arg("--pcap").arg(&self.capture);
        command.arg("--data-dir").arg(self.data.path());
        command.arg("--store").arg(&store);
        for package in &self.packages {
            command.arg("--detector").arg(package);
        }
        command
            .env("RUST_LOG", "error")
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        let start = Instant::now();
        let mut child = on_cores(cores, || command.spawn())??;
        let stages = processor_times(&mut child)?;
        let output = child.wait_with_output()?;
        let seconds = start.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("the program failed: {said}").into());
        }
        let counted = said.lines().find(|line| line.contains(" packets ("));
        let numbers: Vec<u64> = counted
            .unwrap_or_default()
            .split(|character: char| !character.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        // "N packets (N not metered), N flows: N scored, N failed, N dropped, N above a threshold"
        let [packets, _, flows, scored, ..] = numbers[..] else {
            return Err(format!("the program did not say what it counted: {said}").into());
        };
        if flows != scored {
            return Err(format!("not every flow was scored: {said}").into());
        }
        Ok(Run {
            seconds,
            packets,
            flows,
            alerts: alerts(&store)?,
            stages,
        })
    }
}

/// Starts something on these cores only; what it starts stays there.
fn on_cores<T>(cores: &[usize], start: impl FnOnce() -> T) -> Result<T, Failure> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    sched_setaffinity(this, &set)?;
    let started = start();
    sched_setaffinity(this, &before)?;
    Ok(started)
}

/// Follows the processor times of the threads until the process ends; by stage, seconds.
fn processor_times(child: &mut Child) -> Result<BTreeMap<&'static str, f64>, Failure> {
    let tasks = PathBuf::from(format!("/proc/{}/task", child.id()));
    let mut threads: BTreeMap<PathBuf, (String, f64)> = BTreeMap::new();
    while child.try_wait()?.is_none() {
        for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let path = task.path();
            let name = fs::read_to_string(path.join("comm"));
            let times = fs::read_to_string(path.join("schedstat"));
            if let (Ok(name), Ok(times)) = (name, times) {
                let nanoseconds: f64 = times.split(' ').next().unwrap_or_default().parse().unwrap_or(0.0);
                threads.insert(path, (name, nanoseconds / 1e9));
            }
        }
        thread::sleep(LOOK_EVERY);
    }
    let mut stages = BTreeMap::new();
    for (name, seconds) in threads.values() {
        let stage = match name.trim() {
            "netsage-read" => "read_and_meter",
            name if name.starts_with("netsage-score") => "score_and_make_records",
            "netsage-sink" => "put_in_order",
            "netsage-record" | "netsage-store" => "store",
            _ => "other",
        };
        *stages.entry(stage).or_default() += seconds;
    }
    Ok(stages)
}

/// Alerts in a store.
fn alerts(store: &Path) -> Result<u64, Failure> {
    let tokio = tokio::runtime::Runtime::new()?;
    tokio.block_on(async {
        let store = netsage_store::open(&store.display().to_string()).await?;
        Ok(store.overview(60_000, 1).await?.alerts_total)
    })
}
