//! `cargo xtask bench SUBJECT --against PROGRAM`: this build and another one in turns, as whole processes.
//!
//! Both sides are `netsage` programs, told to do the same by the same arguments; each brings its own bundled packages,
//! so that builds whose packages the other refuses can be compared. A pair is one run of each, in an order that
//! alternates; the result is the median of the ratios (this build to the other) with its interval, see
//! [`crate::paired`].
//!
//! * `processor_seconds` is the time on processors of the process and all that it started and waited for: what work
//!   costs. This time hardly depends on the load of the machine.
//! * `wall_seconds` is the time from start to end, which depends on the load.
//! * `stored_seconds`, for `run`, is the time from the start until the program says that every flow is stored; outputs may have
//!   something to send after that.
//! * `same_output` says whether both wrote the same bytes (for `run`: counted the same), compared once before.
//!
//! All times hold the start of the process and the reading of its input. A figure called `start` measures little else,
//! which separates the cost of a start from the cost of a row.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::{Value, json};

use crate::build;
use crate::command::{quietly, shown};
use crate::faulty_receivers;
use crate::files;
use crate::paired::{median, middle};
use crate::serve;
use crate::workspace::Workspace;

/// Conversations of the capture that is metered and scored; some are two flows or more.
const CONVERSATIONS: &str = "200000";
/// A detector scores as many rows as keep the other build busy for this long, as far as there are rows.
const SCORING_SECONDS: f64 = 1.0;
/// Rows that are tried first.
const FIRST_ROWS: usize = 4_000;
/// Folders of the two sides: a copy of the program, and what it keeps.
const SIDES: [&str; 2] = ["against-old", "against-new"];
const SCHEMAS: [&str; 2] = ["unsw-nb15", "flow-v1"];

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `netsage flows`: a capture to rows.
    Meter,
    /// `netsage run --exit-when-done`: a capture to stored alerts, with the bundled detectors.
    Pipeline,
    /// `netsage score`: rows to scores, one bundled package after the other.
    Runtime,
    /// As the pipeline, and this side has outputs of every kind whose receivers take nothing, a file excepted.
    Outputs,
}

/// Compares two programs and prints one JSON object per figure.
pub(crate) fn run(
    workspace: &Workspace,
    subject: Subject,
    new: &Path,
    old: &Path,
    pairs: usize,
) -> Result<()> {
    let folder = workspace.target.join("netsage-bench");
    // Copies, made alike: how a file came into memory changes what starting it costs.
    let side = |program: &Path, name: &str| {
        let copy = folder.join(name).join("netsage");
        files::copy_if_changed(program, &copy)?;
        fs::set_permissions(&copy, fs::metadata(program)?.permissions())?;
        Ok::<_, anyhow::Error>(copy)
    };
    let bench = Bench {
        sides: [side(old, SIDES[0])?, side(new, SIDES[1])?],
        folder,
        pairs,
    };
    let capture = bench.capture()?;
    match subject {
        Subject::Meter => {
            for schema in SCHEMAS {
                let figure = bench.compare(&|_, command| {
                    command.args(["flows", "--schema", schema]).arg(&capture);
                })?;
                print("meter", schema, &figure, json!({}));
            }
        }
        Subject::Pipeline => {
            for schema in SCHEMAS {
                let figure = bench.compare(&|data, command| {
                    command.args(["run", "--exit-when-done", "--listen", "127.0.0.1:0"]);
                    command.args(["--schema", schema, "--pcap"]).arg(&capture);
                    command.arg("--store").arg(data.join("netsage.sqlite"));
                })?;
                print("pipeline", schema, &figure, json!({}));
            }
        }
        Subject::Runtime => bench.runtime(workspace, &capture)?,
        Subject::Outputs => {
            let settings = bench.folder.join("against-outputs.toml");
            faulty_receivers::write_settings(&settings)?;
            let with_outputs = bench.folder.join(SIDES[1]);
            let figure = bench.compare(&|data, command| {
                if data == with_outputs {
                    command.arg("--config").arg(&settings);
                }
                command.args(["run", "--exit-when-done", "--listen", "127.0.0.1:0"]);
                command.args(["--schema", "flow-v1", "--pcap"]).arg(&capture);
                command.arg("--store").arg(data.join("netsage.sqlite"));
            })?;
            print(
                "outputs",
                "seven outputs, six of whose receivers fail, to none",
                &figure,
                json!({}),
            );
        }
    }
    Ok(())
}

fn print(bench: &str, what: &str, figure: &Value, mut more: Value) {
    more["bench"] = json!(bench);
    more["what"] = json!(what);
    if let (Some(more), Some(figure)) = (more.as_object_mut(), figure.as_object()) {
        more.extend(figure.clone());
    }
    println!("{more}");
}

struct Bench {
    folder: PathBuf,
    /// The other build, this build.
    sides: [PathBuf; 2],
    pairs: usize,
}

/// Gives a command the arguments of what is measured; takes the data folder of the side.
type Arguments<'a> = &'a dyn Fn(&Path, &mut Command);

/// The times of one run, in seconds, and its counts.
#[derive(Debug)]
struct Took {
    processor: f64,
    wall: f64,
    /// Until the program told of its flows; `None` where it does not.
    stored: Option<f64>,
    /// The numbers of the lines on standard error that tell of flows.
    counted: Vec<u64>,
}

impl Bench {
    /// The generated capture, made once.
    fn capture(&self) -> Result<PathBuf> {
        let path = self.folder.join("against-1.pcap");
        if !path.is_file() {
            let unfinished = self.folder.join("against.partial.pcap");
            let mut command = Command::new(&self.sides[1]);
            command.args([
                "synth",
                "--flows",
                CONVERSATIONS,
                "--seed",
                "3",
                "--minutes",
                "10",
            ]);
            command.args(["--attack-share", "0.5", "--out"]).arg(&unfinished);
            quietly(command, |_| {})?;
            fs::rename(&unfinished, &path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        Ok(path)
    }

    fn runtime(&self, workspace: &Workspace, capture: &Path) -> Result<()> {
        let mut tables = Vec::new();
        for schema in SCHEMAS {
            let table = self.folder.join(format!("against-1-{schema}.csv"));
            if !table.is_file() {
                let mut command = Command::new(&self.sides[1]);
                command.args(["flows", "--schema", schema]).arg(capture);
                let unfinished = self.folder.join("against.partial.csv");
                command.stdout(File::create(&unfinished)?);
                if !command.status()?.success() {
                    bail!("`{}` failed; what it printed says why", shown(&command));
                }
                fs::rename(&unfinished, &table)?;
            }
            tables.push((schema, table));
        }
        for (package, _) in build::bundled(workspace)? {
            let schema = schema_of(workspace, &package)?;
            let Some((_, table)) = tables.iter().find(|(of, _)| *of == schema) else {
                continue;
            };
            let rows = self.folder.join("against-rows.csv");
            let score: Arguments<'_> = &|_, command| {
                command
                    .args(["score", "--format", "jsonl", "--detector", &package])
                    .arg(&rows);
            };
            head(table, 1, &rows)?;
            let figure = self.compare(score)?;
            print(
                "runtime",
                &package,
                &figure,
                json!({ "figure": "start", "rows": 1 }),
            );
            let mut count = FIRST_ROWS;
            loop {
                let written = head(table, count, &rows)?;
                let took = self.once(0, score, Stdio::null())?;
                if written < count || took.processor >= SCORING_SECONDS {
                    count = written;
                    break;
                }
                count *= 2;
            }
            let figure = self.compare(score)?;
            print(
                "runtime",
                &package,
                &figure,
                json!({ "figure": "rows", "rows": count }),
            );
        }
        Ok(())
    }

    /// Runs both sides in turns.
    fn compare(&self, arguments: Arguments<'_>) -> Result<Value> {
        // The first run of a side does not count: it compiles the detectors and brings files into memory.
        let outputs = ["old", "new"].map(|side| self.folder.join(format!("against-output-{side}")));
        let mut counted = Vec::new();
        for (side, output) in outputs.iter().enumerate() {
            counted.push(self.once(side, arguments, File::create(output)?.into())?.counted);
        }
        let same_output = counted[0] == counted[1] && same_bytes(&outputs[0], &outputs[1])?;
        let mut runs = [Vec::new(), Vec::new()];
        for pair in 0..self.pairs {
            let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
            for side in order {
                runs[side].push(self.once(side, arguments, Stdio::null())?);
            }
        }
        let mut command = Command::new("netsage");
        arguments(Path::new("DATA"), &mut command);
        let of = |what: fn(&Took) -> f64| {
            let [old, new] = [0, 1].map(|side| runs[side].iter().map(what).collect::<Vec<f64>>());
            let ratios: Vec<f64> = new.iter().zip(&old).map(|(new, old)| new / old).collect();
            let found = middle(&ratios);
            json!({
                "old_median": rounded(median(&old)),
                "new_median": rounded(median(&new)),
                "ratio_median": found.map(|found| rounded(found.median)),
                "ratio_interval": found.map(|found| [found.interval.0, found.interval.1].map(rounded)),
                "interval_coverage": found.map(|found| rounded(found.coverage)),
            })
        };
        let mut figure = json!({
            "command": shown(&command),
            "pairs": self.pairs,
            "ratio": "this build to the other; median of paired ratios, distribution-free interval by order statistics",
            "processor_seconds": of(|took| took.processor),
            "wall_seconds": of(|took| took.wall),
            "same_output": same_output,
        });
        if runs.iter().flatten().all(|took| took.stored.is_some()) {
            // Each has one.
            figure["stored_seconds"] = of(|took| took.stored.unwrap_or_default());
        }
        Ok(figure)
    }

    /// One run of a side in its own data folder, where nothing but compiled code is left of earlier runs.
    fn once(&self, side: usize, arguments: Arguments<'_>, output: Stdio) -> Result<Took> {
        let data = self.folder.join(SIDES[side]);
        serve::empty_data_folder(&data)?;
        let mut command = Command::new(&self.sides[side]);
        arguments(&data, &mut command);
        // No settings but those of the command: a file in the folder and variables would be taken too.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NETSAGE_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&data)
            .env("NETSAGE_DATA_DIR", &data)
            .env("NETSAGE_LOG", "error")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::piped());
        let (before, started) = (processor_seconds()?, Instant::now());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.sides[side].display()))?;
        let (mut said, mut stored) = (String::new(), None);
        for line in child
            .stderr
            .take()
            .into_iter()
            .flat_map(|stderr| BufReader::new(stderr).lines())
        {
            let line = line?;
            if line.contains(" flows: ") {
                stored = Some(started.elapsed().as_secs_f64());
            }
            said += &line;
            said.push('\n');
        }
        let status = child.wait()?;
        let took = Took {
            wall: started.elapsed().as_secs_f64(),
            stored,
            processor: processor_seconds()? - before,
            counted: said
                .lines()
                .filter(|line| line.contains(" flows"))
                .flat_map(|line| line.split(|letter: char| !letter.is_ascii_digit()))
                .filter_map(|digits| digits.parse().ok())
                .collect(),
        };
        if !status.success() {
            bail!("`{}` failed: {}", shown(&command), said.trim());
        }
        Ok(took)
    }
}

/// Time on processors of all processes that were started here and have ended, and of those that they waited for.
fn processor_seconds() -> Result<f64> {
    let usage =
        getrusage(UsageWho::RUSAGE_CHILDREN).context("the system does not say what processes took")?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(microseconds as f64 / 1e6)
}

/// The schema of a bundled package, by its card.
fn schema_of(workspace: &Workspace, package: &str) -> Result<String> {
    let card = workspace
        .root
        .join(format!("models/artifacts/{package}.card.json"));
    let text = fs::read(&card).with_context(|| format!("cannot read {}", card.display()))?;
    let card: Value =
        serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", card.display()))?;
    let schema = card["schema"].as_str().unwrap_or_default();
    Ok(schema.split('@').next().unwrap_or_default().to_owned())
}

/// Copies the first rows of a table, with its header. Returns how many there were.
fn head(table: &Path, rows: usize, to: &Path) -> Result<usize> {
    let mut lines = BufReader::new(File::open(table)?).lines();
    let mut out = BufWriter::new(File::create(to)?);
    let mut written = 0;
    for line in lines.by_ref().take(rows + 1) {
        writeln!(out, "{}", line?)?;
        written += 1;
    }
    out.flush()?;
    Ok(usize::saturating_sub(written, 1))
}

fn same_bytes(one: &Path, other: &Path) -> Result<bool> {
    Ok(fs::read(one)? == fs::read(other)?)
}

/// To four digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
