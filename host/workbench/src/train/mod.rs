//! `netsage train`: a model from ordinary traffic.
//!
//! [`TrainCommand`] has a subcommand for each method, in a file of its own that turns its options into a
//! [`Training`]; all else is the same for all: [`flows`] reads, [`TrainingProgress`] shows progress and keeps what an
//! interrupted training needs to go on, and [`output`] puts package or artifact with its card on the disk.

mod autoencoder;
mod common;
mod context_knn;
mod dbscan;
pub(crate) mod flows;
mod half_space_trees;
mod iforest;
mod lstm_autoencoder;
mod output;
mod rhythm;

use std::fmt;
use std::path::Path;

use netsage_console::Failure;
use netsage_console::detectors::start_runtime;
use netsage_console::output::BadRows;
use netsage_console::say;
use netsage_console::training::TrainingProgress;
use netsage_gateway::catalog::check_writable;
use netsage_gateway::catalog::{component, load};
use netsage_gateway::config::Settings;
use netsage_models::metrics::{self, Evaluation, Thresholds};
use netsage_models::{Callbacks, Trained, Training};
use netsage_package::{ModelCard, Package, card};
use netsage_schema::Schema;
use netsage_schema::unsw_nb15::TTL_TRIO;

use crate::labelled::Labelled;
use crate::reading::How;
use common::CommonArgs;
use flows::Ordinary;
pub(crate) use output::card_path;

/// Methods that can be trained.
#[derive(Debug, clap::Subcommand)]
pub enum TrainCommand {
    /// Dense autoencoder: anomalous are flows that a narrow network reconstructs badly
    Autoencoder(autoencoder::Args),
    /// Isolation forest: anomalous are flows that random splits isolate early
    Iforest(iforest::Args),
    /// Half-space trees: anomalous are flows in regions of few flows; goes on learning from the traffic it scores
    HalfSpaceTrees(half_space_trees::Args),
    /// LSTM autoencoder: anomalous are flows that a network reconstructs badly from the last flows of their source
    LstmAutoencoder(lstm_autoencoder::Args),
    /// Rhythm of visits: anomalous are hosts that visit another one at regular times or send it unusually much
    Rhythm(rhythm::Args),
    /// Nearest neighbours: anomalous are flows unlike any ordinary flow of their protocol, service and state
    ContextKnn(context_knn::Args),
    /// DBSCAN: anomalous are flows far from the dense regions of ordinary flows
    Dbscan(dbscan::Args),
}

/// Trains a model and writes its package, or the bare model with its card.
///
/// # Errors
/// When the rows cannot be read, do not suffice, or a file cannot be written.
pub fn run(command: TrainCommand, file: &Settings) -> Result<(), Failure> {
    match command {
        TrainCommand::Autoencoder(args) => {
            args.onnx.as_deref().map_or(Ok(()), check_writable)?;
            train(args.training(), &args.common, file, |artifact| {
                args.also_write(artifact)
            })
        }
        TrainCommand::Iforest(args) => train(args.training(), &args.common, file, nothing_else),
        TrainCommand::HalfSpaceTrees(args) => train(args.training(), &args.common, file, nothing_else),
        TrainCommand::LstmAutoencoder(args) => {
            args.onnx.as_deref().map_or(Ok(()), check_writable)?;
            train(args.training(), &args.common, file, |artifact| {
                args.also_write(artifact)
            })
        }
        TrainCommand::Rhythm(args) => train(args.training(), &args.common, file, nothing_else),
        TrainCommand::ContextKnn(args) => train(args.training(), &args.common, file, nothing_else),
        TrainCommand::Dbscan(args) => train(args.training(), &args.common, file, nothing_else),
    }
}

fn nothing_else(_artifact: &[u8]) -> Result<(), Failure> {
    Ok(())
}

/// Trains and writes; `also_write` writes other forms of the artifact.
fn train(
    mut training: Training,
    args: &CommonArgs,
    file: &Settings,
    also_write: impl FnOnce(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let how = How::of(&args.meter, file)?;
    check_writable(&args.out)?;
    args.settle(training.common_mut());
    // Which schema the rows are of is known when they are read; what no schema allows is wrong already.
    if let Some(Err(error)) =
        (Schema::ALL.into_iter().map(|schema| training.check(schema))).reduce(|one, other| other.or(one))
    {
        return Err(error.into());
    }
    let mut bad = BadRows::default();
    let ordinary = Ordinary::read(&args.from, &how, &args.taken, &mut bad)?;
    if ordinary.left_out > 0 {
        say!("left out {} rows that are not ordinary", ordinary.left_out);
    }
    let labelled = match &args.evaluate {
        Some(path) => Some((path, labelled(path, ordinary.rows.schema(), &how, &mut bad)?)),
        None => None,
    };
    let mut progress = TrainingProgress::start(&args.out, &training, &ordinary.rows)?;
    let mut trained = training.run(ordinary.flows(), &mut progress)?;
    if let Some((path, labelled)) = &labelled {
        let evaluations = measure(&trained, labelled, file)?;
        let [(rows, attacks), (distinct, _)] = evaluations.each_ref().map(|all| (all.rows, all.attacks));
        add_figures(&mut trained.card, &evaluations, "");
        trained.card.notes.push(format!(
            "Figures are measured on {}: {rows} rows, {attacks} of them attacks; those of distinct rows on the {distinct} \
             that are left when equal ones count once.",
            common::file_name(path)
        ));
        if args.ablate {
            let mut training = training.clone();
            let excluded = &mut training.common_mut().exclude;
            excluded.extend(TTL_TRIO.map(str::to_owned));
            let ablated = training.run(ordinary.flows(), &mut Ablation(&mut progress))?;
            let evaluations = measure(&ablated, labelled, file)?;
            add_figures(&mut trained.card, &evaluations, card::WITHOUT_TTL);
            trained.card.notes.push(format!(
                "Figures without TTL are those of a model trained in the same way without {}.",
                TTL_TRIO.join(", ")
            ));
        }
    }
    output::save(&args.out, &trained, file)?;
    also_write(&trained.artifact)?;
    progress.finish();
    Ok(bad.finish(ordinary.rows.len() as u64)?)
}

/// Reads what a model is to be measured on, and refuses before the training what could not be measured after it.
fn labelled(path: &Path, schema: &'static Schema, how: &How, bad: &mut BadRows) -> Result<Labelled, Failure> {
    let labelled = Labelled::read(path, None, how, bad)?;
    if labelled.rows.schema() != schema {
        return Err(Failure::Usage(format!(
            "--evaluate {}: rows of schema {}, and the model learns from rows of {}; give rows of one schema",
            path.display(),
            labelled.rows.schema().id,
            schema.id
        )));
    }
    if !labelled.has_both_classes() {
        return Err(Failure::Usage(format!(
            "--evaluate {}: figures need both attacks and ordinary flows, and all {} rows are of one class",
            path.display(),
            labelled.rows.len()
        )));
    }
    Ok(labelled)
}

/// The callbacks of the training of `--ablate`, which can be interrupted and saves no checkpoint.
struct Ablation<'a>(&'a mut TrainingProgress);

impl Callbacks for Ablation<'_> {
    fn step(&mut self, done: u64, total: u64, figure: fmt::Arguments<'_>) {
        self.0.step(done, total, format_args!("without TTL: {figure}"));
    }

    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// Adds the figures on all rows and on distinct ones, both of the model that `suffix` tells.
fn add_figures(card: &mut ModelCard, [all, distinct]: &[Evaluation; 2], suffix: &str) {
    metrics::add_figures(card, suffix, all);
    metrics::add_figures(card, &format!("{}{suffix}", card::DISTINCT), distinct);
}

/// Measures a model the way a host runs it, on all rows and on distinct ones.
fn measure(trained: &Trained, labelled: &Labelled, file: &Settings) -> Result<[Evaluation; 2], Failure> {
    let card = trained.card.to_json().map_err(std::io::Error::from)?;
    let component = component(trained.detector)?;
    let package = netsage_package::pack(component, &trained.artifact, Some(card.as_bytes()), None)?;
    let runtime = start_runtime(None, file)?;
    let loaded = load(
        &runtime,
        labelled.rows.schema(),
        "the trained model",
        &Package::from_bytes(package)?,
    )?;
    Ok(labelled.evaluate(&loaded, Thresholds::of_card(&trained.card))?)
}
