//! From a topic to stored flows: a broker with one flow a message in four partitions, filled beforehand, and the built
//! program with one isolation forest and SQLite, on both cores beside the broker. Beside it the same records from files:
//! on both cores, on one core, and two programs on one core each with half of the records. Prints one JSON object.
//! `cargo xtask bench stream` runs `bench_stream PROGRAM FOLDER`.
//!
//! Time is that of the wall, from the start of a process until every flow of it is stored. The compiled code of the
//! detector is in the cache from a first run that does not count.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use netsage_testkit::kafka::KafkaServer;
use netsage_testkit::scorers::processor_seconds;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const PARTITIONS: i32 = 4;
/// Flows in the topic; `NETSAGE_BENCH_FLOWS` asks for others.
const FLOWS: u64 = 1_000_000;
/// Each figure is the best of so many runs, taken in turns: others may want the processor too.
const RUNS: usize = 3;
/// After which a run is given up.
const PATIENCE: Duration = Duration::from_secs(600);
const DETECTOR: &str = "iforest-record-v1";

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let outcome = match arguments.as_slice() {
        [program, folder] => all(program, folder),
        _ => Err("usage: bench_stream PROGRAM FOLDER".into()),
    };
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench_stream: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(program: &Path, folder: &Path) -> Result<Value, Failure> {
    let given = std::env::var("NETSAGE_BENCH_FLOWS").ok();
    let flows = given.and_then(|flows| flows.parse().ok()).unwrap_or(FLOWS);
    std::fs::create_dir_all(folder)?;
    let data = tempfile::tempdir_in(folder)?;
    let broker = KafkaServer::start()?;
    let topic = broker.topic("flows", PARTITIONS);
    let produced = produce(program, &broker, &topic, flows)?;
    let bench = Bench {
        program,
        data: data.path(),
        flows,
    };
    let files = bench.write_files(&broker, &topic)?;
    // The last flow of each partition lets all others go, and is not stored itself.
    let last = (0..PARTITIONS).map(|partition| (partition, Some(last_flow())));
    broker.produce(&topic, &[], last);

    let cores = cores()?;
    let mut best: [f64; 4] = [0.0; 4];
    bench.read_file(&files.whole, &cores)?;
    for _ in 0..RUNS {
        let two = match cores[..] {
            [one, other, ..] => bench.read_halves(&files, [one, other])?,
            _ => 0.0,
        };
        let speeds = [
            bench.read_topic(&broker, &topic)?,
            bench.read_file(&files.whole, &cores)?,
            bench.read_file(&files.halves[0].0, &cores[..1])?,
            two,
        ];
        for (best, speed) in best.iter_mut().zip(speeds) {
            *best = best.max(speed);
        }
    }
    let [kafka, file, pinned, two_pinned] = best;
    Ok(json!({
        "bench": "stream",
        "detectors": [DETECTOR],
        "flows": flows,
        "bytes_per_message": files.bytes as f64 / flows as f64,
        "produced_flows_per_second": produced.round(),
        "kafka_flows_per_second": kafka.round(),
        "file_flows_per_second": file.round(),
        "file_to_kafka": file / kafka,
        "one_pinned_flows_per_second": pinned.round(),
        "two_pinned_flows_per_second": two_pinned.round(),
        "two_pinned_to_one": two_pinned / pinned,
    }))
}

/// Fills the topic with generated traffic; flows a second.
fn produce(program: &Path, broker: &KafkaServer, topic: &str, flows: u64) -> Result<f64, Failure> {
    let start = Instant::now();
    let output = Command::new(program)
        .args([
            "produce",
            "--speed",
            "max",
            "--rate",
            "2000",
            "--flows",
            &flows.to_string(),
        ])
        .args(["--to", &format!("kafka://{}/{topic}", broker.address())])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(flows as f64 / start.elapsed().as_secs_f64())
}

/// A flow that ends long after all others.
fn last_flow() -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let end_us = now.unwrap_or_default().as_micros() + 3_000_000_000;
    format!(
        r#"{{"start_us":{end_us},"end_us":{end_us},"source":"192.0.2.1","destination":"192.0.2.2","protocol":"udp"}}"#
    )
    .into_bytes()
}

/// The flows as files of flow JSON.
struct Files {
    whole: PathBuf,
    /// Each with the number of its flows.
    halves: [(PathBuf, u64); 2],
    /// Bytes of all flows.
    bytes: u64,
}

struct Bench<'a> {
    program: &'a Path,
    data: &'a Path,
    flows: u64,
}

impl Bench<'_> {
    /// Writes what the topic holds into files: all of it, and half of the partitions each.
    fn write_files(&self, broker: &KafkaServer, topic: &str) -> Result<Files, Failure> {
        let file = |name: &str| {
            let path = self.data.join(name);
            File::create(&path).map(|file| (path, BufWriter::new(file)))
        };
        let (whole_path, mut whole) = file("whole.json")?;
        let (first_path, mut first) = file("first.json")?;
        let (second_path, mut second) = file("second.json")?;
        let (mut bytes, mut counts, mut failure) = (0, [0; 2], None);
        broker.each_message(topic, |partition, _, value| {
            bytes += value.len() as u64;
            let is_second = usize::from(partition >= PARTITIONS / 2);
            counts[is_second] += 1;
            let half = if is_second == 1 { &mut second } else { &mut first };
            for out in [&mut whole, half] {
                if let Err(error) = out.write_all(value).and_then(|()| out.write_all(b"\n")) {
                    failure = Some(error);
                }
            }
        });
        for out in [&mut whole, &mut first, &mut second] {
            out.flush()?;
        }
        match failure {
            Some(error) => Err(error.into()),
            None => Ok(Files {
                whole: whole_path,
                halves: [(first_path, counts[0]), (second_path, counts[1])],
                bytes,
            }),
        }
    }

    fn command(&self, store: &str) -> Result<Command, Failure> {
        let store = self.data.join(store);
        for end in ["", "-wal", "-shm"] {
            match std::fs::remove_file(format!("{}{end}", store.display())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let mut command = Command::new(self.program);
        command
            .args([
                "run",
                "--listen",
                "127.0.0.1:0",
                "--detector",
                DETECTOR,
                "--data-dir",
            ])
            .arg(format!("{}.data", store.display()))
            .arg("--store")
            .arg(&store)
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        Ok(command)
    }

    /// Flows a second from the topic, read by a new group.
    fn read_topic(&self, broker: &KafkaServer, topic: &str) -> Result<f64, Failure> {
        let group = netsage_testkit::kafka::fresh("bench");
        let mut command = self.command("store.sqlite")?;
        command.args(["--kafka", &broker.address(), "--topic", topic, "--group", &group]);
        let start = Instant::now();
        let mut scorer = Scorer::start(command)?;
        loop {
            let lags = scorer.lags();
            if lags.len() == PARTITIONS as usize && lags.iter().all(|lag| *lag <= 1) {
                let speed = self.flows as f64 / start.elapsed().as_secs_f64();
                let processor = processor_seconds(&scorer.child);
                eprintln!("{speed:.0} flows/s from the topic, {processor:.1} s of the processor");
                return Ok(speed);
            }
            if start.elapsed() > PATIENCE || scorer.child.try_wait()?.is_some() {
                return Err(format!("the flows of the topic are not stored: {lags:?}").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Flows a second from a file, on these cores only.
    fn read_file(&self, file: &Path, cores: &[usize]) -> Result<f64, Failure> {
        let start = Instant::now();
        let flows = end_of(self.start_file(file, "store.sqlite", cores)?)?;
        let speed = flows as f64 / start.elapsed().as_secs_f64();
        eprintln!("{speed:.0} flows/s from a file on {} cores", cores.len());
        Ok(speed)
    }

    /// Flows a second of two programs together, each on one core with one half.
    fn read_halves(&self, files: &Files, cores: [usize; 2]) -> Result<f64, Failure> {
        let start = Instant::now();
        let [one, other] = [0, 1].map(|half| {
            let store = ["first.sqlite", "second.sqlite"][half];
            self.start_file(&files.halves[half].0, store, &cores[half..=half])
        });
        let flows = end_of(one?)? + end_of(other?)?;
        let speed = flows as f64 / start.elapsed().as_secs_f64();
        eprintln!("{speed:.0} flows/s from two files on a core each");
        Ok(speed)
    }

    fn start_file(&self, file: &Path, store: &str, cores: &[usize]) -> Result<Child, Failure> {
        let mut command = self.command(store)?;
        command.arg("--exit-when-done").arg("--records").arg(file);
        Ok(on_cores(cores, || command.spawn())??)
    }
}

/// Waits for the end of a program that reads a file; its flows.
fn end_of(child: Child) -> Result<u64, Failure> {
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the program failed: {said}").into());
    }
    let line = said.lines().find(|line| line.contains(" flows: "));
    let flows = line.and_then(|line| {
        let (before, _) = line.split_once(" flows: ")?;
        before.rsplit(' ').next()?.parse().ok()
    });
    flows.ok_or_else(|| format!("the program did not say what it counted: {said}").into())
}

/// A running program.
struct Scorer {
    child: Child,
    address: String,
}

impl Scorer {
    fn start(mut command: Command) -> Result<Self, Failure> {
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stderr.take().ok_or("no standard error")?).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = line.strip_prefix("serving on http://")?;
            Some(address.to_owned())
        });
        // What the program says later must find a reader.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Ok(Self {
            child,
            address: address.ok_or("the program does not serve")?,
        })
    }

    /// The lag of each partition.
    fn lags(&mut self) -> Vec<u64> {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(&self.address)?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask()
            .unwrap_or_default()
            .lines()
            .filter(|line| line.starts_with("netsage_source_partition_lag{"))
            .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect()
    }
}

impl Drop for Scorer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cores() -> Result<Vec<usize>, Failure> {
    let here = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|core| here.is_set(*core).unwrap_or(false))
        .take(2)
        .collect())
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
