//! `cargo xtask figures`: docs/detection.md and the pages beside it, from the bundled packages.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::build;
use crate::command::quietly;
use crate::files;
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::tally::Tally;
use crate::train::{CLEAN_TRAFFIC_SEEDS, LABELLED_TRAFFIC_SEED};
use crate::workspace::Workspace;

/// Where the dataset is looked for; it is no part of the project.
const DATA: &str = "../shared/data";

#[derive(Debug, Args)]
#[command(after_help = "Example: cargo xtask figures --data ../shared/data")]
pub(crate) struct FiguresArguments {
    /// Folder with unsw/train-normal.csv.gz and unsw/dev.csv.gz.
    #[arg(long, default_value = DATA)]
    data: PathBuf,
}

/// Rows on which bundled packages are measured.
struct Subject {
    /// How the names of these packages end.
    suffix: &'static str,
    title: &'static str,
    page: &'static str,
    schema: Option<&'static str>,
    data: &'static str,
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        suffix: "-unsw-nb15",
        title: "UNSW-NB15",
        page: "detection-unsw-nb15.html",
        schema: None,
        data: "Trained on the ordinary rows of the official training partition, measured on the rows with odd `id` of the \
               official testing partition.",
    },
    Subject {
        suffix: "-flow-v1",
        title: "Generated traffic, flow-v1",
        page: "detection-flow-v1.html",
        schema: Some("flow-v1"),
        data: "Traffic of `netsage synth`, with another seed than that of the training. `rhythm` judges visits and not \
               flows, and learned from a day that is less busy than this half hour; [its page](detectors/rhythm.md) counts \
               the attacks and false alerts of whole days.",
    },
    Subject {
        suffix: "-record-v1",
        title: "Generated traffic, record-v1",
        page: "detection-record-v1.html",
        schema: Some("record-v1"),
        data: "The same traffic, in the columns that the records of other meters fill too.",
    },
    Subject {
        suffix: "-generated",
        title: "Generated traffic, columns of UNSW-NB15",
        page: "detection-generated.html",
        schema: None,
        data: "Traffic of `netsage synth`, with another seed than that of the training.",
    },
];

/// The document with the figures, below the root.
const DOCUMENT: &str = "docs/detection.md";
/// The steps of [`differences`] and, beside those of the build, of [`run`].
pub(crate) const STEPS: u64 = SUBJECTS.len() as u64;

/// Builds, measures every bundled package, and writes what was found into docs.
pub(crate) fn run(arguments: &FiguresArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let (training, labelled) = dataset(&workspace, &arguments.data)?;
    let steps = Steps::new(build::STEPS + STEPS);
    let program = build::all(&workspace, &steps, Purpose::Build)?;
    let document = measure(&workspace, &steps, &program, &training, &labelled)?;
    steps.finish();
    for Subject { page, .. } in SUBJECTS {
        let made = report_of(&workspace, page).join("report.html");
        if made.is_file() {
            files::copy_if_changed(&made, &workspace.root.join("docs").join(page))?;
        }
    }
    let path = workspace.root.join(DOCUMENT);
    files::write_if_changed(&path, document.as_bytes())?;
    println!("{}", path.display());
    Ok(())
}

/// Measures every bundled package and counts a passed test when docs/detection.md says the same; a skipped one where the
/// data is not there, which is no part of the project.
pub(crate) fn differences(workspace: &Workspace, steps: &Steps, program: &Path) -> Result<Tally> {
    let (training, labelled) = match dataset(workspace, Path::new(DATA)) {
        Ok(files) => files,
        Err(error) => {
            steps.print(&format!("skipped: {error}"));
            return Ok(Tally {
                skipped: 1,
                ..Tally::default()
            });
        }
    };
    let document = measure(workspace, steps, program, &training, &labelled)?;
    let path = workspace.root.join(DOCUMENT);
    let present = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let differ: Vec<&str> = document
        .lines()
        .filter(|line| !present.lines().any(|present| present == *line))
        .collect();
    if !differ.is_empty() {
        bail!(
            "{DOCUMENT} does not say what was measured now:\n{}",
            differ.join("\n")
        );
    }
    Ok(Tally {
        passed: 1,
        ..Tally::default()
    })
}

/// The files of UNSW-NB15 for training and measuring.
fn dataset(workspace: &Workspace, data: &Path) -> Result<(PathBuf, PathBuf)> {
    let unsw = data.join("unsw");
    let (training, labelled) = (unsw.join("train-normal.csv.gz"), unsw.join("dev.csv.gz"));
    for file in [&training, &labelled] {
        if !workspace.root.join(file).is_file() {
            bail!(
                "there is no {}; name the folder of the data with --data",
                file.display()
            );
        }
    }
    Ok((training, labelled))
}

/// Measures every bundled package. Returns the document with all figures.
fn measure(
    workspace: &Workspace,
    steps: &Steps,
    program: &Path,
    training: &Path,
    labelled: &Path,
) -> Result<String> {
    let names: Vec<String> = build::bundled(workspace)?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let mut document = String::from(
        "# Figures of the bundled detectors\n\n<!-- Made by `cargo xtask figures`; edit xtask/src/figures.rs instead. \
         -->\n\nWhat the figures mean and how they are measured is in \
         [evaluation.md](evaluation.md). A cell reads: all columns / without sttl, dttl and ct_state_ttl, where the model \
         was trained again without them. ± is half of the 95 % interval; p95 and p99 are percentiles of held-out ordinary \
         training rows.\n",
    );
    for subject in SUBJECTS {
        let packages: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| name.ends_with(subject.suffix))
            .collect();
        let table = steps.run(&format!("Measuring on {}", subject.title), |_| {
            if packages.is_empty() {
                return Ok(None);
            }
            let (file, from) = if subject.suffix == "-unsw-nb15" {
                (labelled.to_owned(), vec![training.to_owned()])
            } else {
                traffic(workspace, program)?
            };
            evaluate(workspace, program, &subject, &packages, &file, &from).map(Some)
        })?;
        if let Some(table) = table {
            let Subject {
                title, page, data, ..
            } = subject;
            write!(
                document,
                "\n## {title}\n\n{data} The whole report, with curves, intervals and recall by kind of attack: \
                 [{page}]({page}).\n\n{table}"
            )?;
        }
    }
    Ok(document)
}

/// The folder of the report that becomes a page of docs.
fn report_of(workspace: &Workspace, page: &str) -> PathBuf {
    workspace
        .target
        .join("netsage-figures")
        .join(page.trim_end_matches(".html"))
}

/// A capture with planted behaviour and clean ones, as `train-bundled` uses them.
fn traffic(workspace: &Workspace, program: &Path) -> Result<(PathBuf, Vec<PathBuf>)> {
    // Relative, so that the command in the report names no folder of this machine.
    let folder = workspace.target.join("netsage-figures");
    files::make_folder(&folder)?;
    let synth = |name: String, options: &[&str]| {
        let mut command = workspace.command(program);
        command
            .current_dir(&folder)
            .arg("synth")
            .args(options)
            .args(["--out", &name]);
        quietly(command, |_| {}).map(|()| PathBuf::from(name))
    };
    let labelled = synth(
        format!("netsage-synth-seed-{LABELLED_TRAFFIC_SEED}.pcap"),
        &["--seed", LABELLED_TRAFFIC_SEED],
    )?;
    let clean = CLEAN_TRAFFIC_SEEDS
        .iter()
        .map(|seed| synth(format!("clean-{seed}.pcap"), &["--clean", "--seed", seed]))
        .collect::<Result<Vec<_>>>()?;
    Ok((labelled, clean))
}

/// Measures packages. The report stays in its folder; its table is returned.
fn evaluate(
    workspace: &Workspace,
    program: &Path,
    subject: &Subject,
    packages: &[&str],
    file: &Path,
    from: &[PathBuf],
) -> Result<String> {
    let report = report_of(workspace, subject.page);
    // Where the files were found or made: the command in the report is the one that runs.
    let folder = if file.is_absolute() || workspace.root.join(file).is_file() {
        workspace.root.clone()
    } else {
        workspace.target.join("netsage-figures")
    };
    let mut command = workspace.command(program);
    command
        .current_dir(folder)
        .arg("evaluate")
        .arg(file)
        .arg("--from")
        .args(from);
    for package in packages {
        command.args(["--detector", package]);
    }
    if subject.suffix == "-unsw-nb15" {
        command.arg("--ablate");
    }
    if let Some(schema) = subject.schema {
        command.args(["--schema", schema]);
    }
    // By the environment, so that the report does not quote a folder of this machine.
    command.env("NETSAGE_REPORT", &report);
    quietly(command, |_| {})?;
    let table = report.join("report.md");
    fs::read_to_string(&table).with_context(|| format!("cannot read {}", table.display()))
}
