//! `cargo xtask record-figures`: docs/detection-records.md, from logs of Zeek that are labelled by connection.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::build;
use crate::command::quietly;
use crate::files;
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::tally::Tally;
use crate::workspace::Workspace;

/// Where the logs are looked for; they are no part of the project.
const LOGS: &str = "../shared/data/records/zeek";

#[derive(Debug, Args)]
#[command(after_help = "Example: cargo xtask record-figures --logs ../shared/data/records/zeek")]
pub(crate) struct RecordFiguresArguments {
    /// Folder with 008-day.conn.log.labeled.gz, 010-day.conn.log.labeled.gz and 001-malicious.conn.log.labeled.gz.
    #[arg(long, default_value = LOGS)]
    logs: PathBuf,
    /// Measures this program instead of the one that would be built here.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
}

/// The kinds of detectors that are bundled for `record-v1`.
const KINDS: [&str; 3] = ["iforest", "half-space-trees", "rhythm"];
/// The log whose ordinary rows are learned.
const LEARNED: &str = "008-day.conn.log.labeled.gz";

/// A log that detectors are judged on.
struct Subject {
    file: &'static str,
    title: &'static str,
    about: &'static str,
}

const SUBJECTS: [Subject; 3] = [
    Subject {
        file: "010-day.conn.log.labeled.gz",
        title: "Day 010: another computer",
        about: "An office computer that is reachable from the Internet, as that of day 008 is, but another one. The attacks \
                are scans and password guessing from outside.",
    },
    Subject {
        file: "001-malicious.conn.log.labeled.gz",
        title: "Day 001: a second kind of attack",
        about: "A computer that malware has taken over, in another network. The attacks are what the malware says to its \
                server.",
    },
    Subject {
        file: LEARNED,
        title: "Day 008: in-sample",
        about: "The log that was learned: its ordinary rows, though not its attacks, were seen in training. These figures say \
                how well the detectors remember, not how well they detect.",
    },
];

/// What detectors have learned.
struct Learned {
    title: &'static str,
    packages: Vec<PathBuf>,
    /// Whether reference methods learn the same rows.
    has_baselines: bool,
}

/// The document with the figures, below the root.
const DOCUMENT: &str = "docs/detection-records.md";
/// The steps of [`differences`] and, beside those of the build, of [`run`].
pub(crate) const STEPS: u64 = 1 + SUBJECTS.len() as u64;

/// Builds, trains, measures, and writes what was found into docs.
pub(crate) fn run(arguments: &RecordFiguresArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let logs = logs(&workspace, &arguments.logs)?;
    let (steps, program) = match &arguments.program {
        Some(program) => (Steps::new(STEPS), program.clone()),
        None => {
            let steps = Steps::new(build::STEPS + STEPS);
            let program = build::all(&workspace, &steps, Purpose::Build)?;
            (steps, program)
        }
    };
    let document = measure(&workspace, &steps, &program, &logs)?;
    steps.finish();
    let path = workspace.root.join(DOCUMENT);
    files::write_if_changed(&path, document.as_bytes())?;
    println!("{}", path.display());
    Ok(())
}

/// Measures, and counts a passed test when the document says the same; a skipped one where the logs are not there.
pub(crate) fn differences(workspace: &Workspace, steps: &Steps, program: &Path) -> Result<Tally> {
    let logs = match logs(workspace, Path::new(LOGS)) {
        Ok(logs) => logs,
        Err(error) => {
            steps.print(&format!("skipped: {error}"));
            return Ok(Tally {
                skipped: 1,
                ..Tally::default()
            });
        }
    };
    let document = measure(workspace, steps, program, &logs)?;
    let path = workspace.root.join(DOCUMENT);
    let present = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if document != present {
        bail!("{DOCUMENT} does not say what was measured now:\n{document}");
    }
    Ok(Tally {
        passed: 1,
        ..Tally::default()
    })
}

/// The folder with the logs.
fn logs(workspace: &Workspace, folder: &Path) -> Result<PathBuf> {
    let folder = workspace.root.join(folder);
    for Subject { file, .. } in SUBJECTS {
        if !folder.join(file).is_file() {
            bail!(
                "there is no {file} in {}; name the folder of the logs with --logs",
                folder.display()
            );
        }
    }
    Ok(folder)
}

/// Trains and measures. Returns the document.
fn measure(workspace: &Workspace, steps: &Steps, program: &Path, logs: &Path) -> Result<String> {
    let work = workspace.target.join("netsage-record-figures");
    files::make_folder(&work)?;
    let all = steps.run("Learning the records of day 008", |_| {
        learn(workspace, program, logs, &work)
    })?;
    let mut document = String::from(INTRODUCTION);
    for subject in SUBJECTS {
        let rows = steps.run(&format!("Measuring on {}", subject.file), |_| {
            judge(workspace, program, logs, &work, &subject, &all)
        })?;
        write!(document, "\n## {}\n\n{}\n\n{rows}", subject.title, subject.about)?;
    }
    Ok(document)
}

const INTRODUCTION: &str = "# Detection in records of Zeek

<!-- Made by `cargo xtask record-figures`; edit xtask/src/record_figures.rs instead. -->

What the bundled kinds of detectors find in `conn.log`s that are labelled by connection: days of the Stratosphere project
(stratosphereips/security-datasets-for-testing at 1c90a369), which are no part of this project. Labels are the word of their
authors: `Malicious` is an attack, `Benign` and `Background` are not, and no label is a column of a row.

A part of each table is for what the detectors have learned:

- **rows of day 008 not labelled Malicious**: 1,462 records, by `netsage train KIND --from 008-day.conn.log.labeled.gz`. The
  reference methods have learned the same rows; what they are stands in [evaluation.md](evaluation.md).
- **all of day 008**: 5,663 records, 4,201 of them attacks, by `netsage baseline --records`, which knows no labels and takes
  all that it sees for ordinary: what happens to a site that learns while it is attacked.
- **generated traffic**: the bundled packages as they come, which have seen no record of Zeek.

Recall at 1 % is the share of attacks found by the threshold that takes at most 1 % of the ordinary rows of the same log for
attacks; nobody has that threshold beforehand. The two columns behind it are for the threshold that the package comes with, and
of a reference method for the 99th percentile of held-out training rows. Brackets hold 95 % intervals by bootstrap over rows.
They say nothing of another day or network, and since the connections of one scan resemble each other, they are too narrow.

## What they say

- **What one computer does is not what another one does.** The ordinary rows of day 008 are short visits of update servers;
  those of day 010 are a person's HTTPS, long and large. Forest and trees call both these and the scans rare, so their
  thresholds do not carry over, and few scans rank above the rarest visits. Learn on records of the hosts that are to be
  watched ([baseline.md](baseline.md)).
- **A plain distance does better here.** Scans differ from what was learned in many columns at once (nobody answers, so sizes
  are 0 and pairs have failed), which a distance adds up. Forest and trees go by how few splits set a row apart, and one large
  visit is set apart as soon.
- **What comes all day becomes ordinary.** Learned on all of day 008, nothing finds scans any more.
- **Malware that calls in vain.** 237 of the 244 attacks of day 001 are unanswered connections to one port, at regular times.
  `rhythm` of generated traffic finds them, and as many false alarms: neighbour discovery and name resolution keep time
  too. Learned on day 008 it does not, since the client of a virus scanner there asks its server every five minutes, over
  TCP without a service that Zeek knows, as the malware does. No detector finds any of them within 1 % of false alarms.
- **`rhythm` does not look for scans**: it judges visits of pairs of hosts, and most scanners come once or twice.
";

/// Makes packages of each kind.
fn learn(workspace: &Workspace, program: &Path, logs: &Path, work: &Path) -> Result<[Learned; 3]> {
    let log = logs.join(LEARNED);
    let mut ordinary = Vec::new();
    for kind in KINDS {
        let package = work.join(format!("{kind}.wasm"));
        let mut command = workspace.command(program);
        command.args(["train", kind, "--from"]).arg(&log);
        command.arg("--out").arg(&package);
        quietly(command, |_| {})?;
        ordinary.push(package);
    }
    let mut command = workspace.command(program);
    command
        .args(["baseline", "--schema", "record-v1", "--records"])
        .arg(&log);
    command
        .args(["--detector", &KINDS.join(","), "--data-dir"])
        .arg(work);
    quietly(command, |_| {})?;
    let baseline = work.join("baseline").join(format!("of-{LEARNED}"));
    Ok([
        Learned {
            title: "rows of day 008 not labelled Malicious",
            packages: ordinary,
            has_baselines: true,
        },
        Learned {
            title: "all of day 008",
            packages: KINDS.map(|kind| baseline.join(format!("{kind}.wasm"))).to_vec(),
            has_baselines: false,
        },
        Learned {
            title: "generated traffic",
            packages: KINDS.map(|kind| format!("{kind}-record-v1").into()).to_vec(),
            has_baselines: false,
        },
    ])
}

/// Judges all that was learned on a log. Returns a table.
fn judge(
    workspace: &Workspace,
    program: &Path,
    logs: &Path,
    work: &Path,
    subject: &Subject,
    all: &[Learned],
) -> Result<String> {
    let mut table = String::new();
    for learned in all {
        let mut command = workspace.command(program);
        command.arg("evaluate").arg(logs.join(subject.file));
        for package in &learned.packages {
            command.arg("--detector").arg(package);
        }
        if learned.has_baselines {
            command.arg("--from").arg(logs.join(LEARNED));
        }
        command.env("NETSAGE_REPORT", work);
        quietly(command, |_| {})?;
        let path = work.join("report.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let report: Value = serde_json::from_str(&text).context("report.json is no JSON")?;
        if table.is_empty() {
            let count = |name: &str| -> Result<String> {
                let count = report["data"][name].as_u64();
                Ok(grouped(
                    count.with_context(|| format!("report.json has no {name}"))?,
                ))
            };
            writeln!(
                table,
                "{} records, {} of them attacks.\n\n\
                 | learned | detector | AUROC | recall at 1 % false alarms | false alarms at its threshold | recall at its threshold |\n\
                 |---|---|---|---|---|---|",
                count("rows")?,
                count("attacks")?
            )?;
        }
        for result in report["results"].as_array().into_iter().flatten() {
            if result["kind"] != "fused" {
                writeln!(table, "| {} | {}", learned.title, line(result)?)?;
            }
        }
    }
    Ok(table)
}

/// The cells of a detector behind the first.
fn line(result: &Value) -> Result<String> {
    let name = result["name"].as_str().context("a result has no name")?;
    let name = match result["kind"].as_str() {
        Some("baseline") => format!("*{name}*"),
        _ => format!("`{name}`"),
    };
    let figures = &result["conditions"][0]["all"];
    let with_interval = |value: &Value, figure: &str| -> Result<String> {
        let value = value
            .as_f64()
            .with_context(|| format!("{name} has no {figure}"))?;
        let ends = &figures["intervals"][figure];
        match (ends[0].as_f64(), ends[1].as_f64()) {
            (Some(low), Some(high)) => Ok(format!("{value:.3} [{low:.3}, {high:.3}]")),
            _ => bail!("{name} has no interval of {figure}"),
        }
    };
    let at = match figures["at_threshold"].is_null() {
        true => "p99",
        false => "threshold",
    };
    let point = &figures[format!("at_{at}")];
    let at_threshold = |figure: &str| with_interval(&point[figure], &format!("{figure}_at_{at}"));
    Ok(format!(
        "{name} | {} | {} | {} | {} |",
        with_interval(&figures["auroc"], "auroc")?,
        with_interval(&figures["at_fpr_1"]["tpr"], "tpr_at_fpr_1")?,
        at_threshold("fpr")?,
        at_threshold("tpr")?,
    ))
}

/// A number below a million with its thousands apart.
fn grouped(number: u64) -> String {
    match (number / 1_000, number % 1_000) {
        (0, rest) => rest.to_string(),
        (thousands, rest) => format!("{thousands},{rest:03}"),
    }
}
