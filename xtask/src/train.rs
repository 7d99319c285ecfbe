//! `cargo xtask train-bundled`: the models in models/artifacts, from their data and seeds.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::build;
use crate::command::openly;
use crate::files;
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Seed of the traffic that the model for captures learns from; the demo's traffic has another.
const CLEAN_TRAFFIC_SEED: &str = "20250";

#[derive(Debug, Args)]
#[command(after_help = "Example: cargo xtask train-bundled --data ../shared/data")]
pub(crate) struct TrainArguments {
    /// Folder with unsw/train-normal.csv.gz and unsw/dev.csv.gz.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
}

/// Trains both models, builds the program that embeds them, and evaluates.
pub(crate) fn run(arguments: &TrainArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let data = workspace.root.join(&arguments.data);
    let (normals, labelled) = (
        data.join("unsw/train-normal.csv.gz"),
        data.join("unsw/dev.csv.gz"),
    );
    for file in [&normals, &labelled] {
        if !file.is_file() {
            bail!(
                "there is no {}; name the folder of the data with --data",
                file.display()
            );
        }
    }
    let program = built(&workspace)?;
    let clean = workspace.target.join("netsage-train/clean.pcap");
    files::make_folder(&workspace.target.join("netsage-train"))?;
    let mut command = workspace.command(&program);
    command
        .args(["synth", "--clean", "--seed", CLEAN_TRAFFIC_SEED, "--out"])
        .arg(&clean);
    openly(command)?;
    train(
        &workspace,
        &program,
        &normals,
        build::BUNDLED[0],
        "UNSW-NB15, the normal rows of the training partition; free for academic research, commercial use by agreement",
    )?;
    train(
        &workspace,
        &program,
        &clean,
        build::BUNDLED[1],
        &format!("netsage synth --clean --seed {CLEAN_TRAFFIC_SEED}; MIT OR Apache-2.0"),
    )?;
    let program = built(&workspace)?;
    let mut command = workspace.command(program);
    command
        .arg("evaluate")
        .arg(labelled)
        .args(["--json", "--detector", build::BUNDLED[0]]);
    openly(command)
}

fn built(workspace: &Workspace) -> Result<PathBuf> {
    let steps = Steps::new(build::STEPS);
    let program = build::all(workspace, &steps, Purpose::Build, false)?;
    steps.finish();
    Ok(program)
}

fn train(workspace: &Workspace, program: &Path, from: &Path, name: &str, data: &str) -> Result<()> {
    let folder = workspace.root.join("models/artifacts");
    files::make_folder(&folder)?;
    let mut command = workspace.command(program);
    command
        .args(["train", "iforest", "--seed", "1", "--data", data, "--from"])
        .arg(from);
    command.arg("--out").arg(folder.join(format!("{name}.artifact")));
    openly(command)
}
