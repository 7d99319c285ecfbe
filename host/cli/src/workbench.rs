//! The commands of the workbench; each is a module of `netsage-workbench`, its arguments beside its work.

use netsage_console::Failure;
use netsage_gateway::config::Settings;
#[cfg(feature = "kafka")]
use netsage_workbench::produce;
use netsage_workbench::{evaluate, flows, score, synth, train};

#[derive(Debug, clap::Subcommand)]
pub(super) enum WorkbenchCommand {
    /// Print one row of features per flow of a capture
    Flows(flows::FlowsArgs),
    /// Print the scores of the flows of a capture or the rows of a CSV
    Score(score::ScoreArgs),
    /// Measure detectors on a labelled CSV or capture
    Evaluate(evaluate::EvaluateArgs),
    /// Train a detector
    #[command(subcommand)]
    Train(Box<train::TrainCommand>),
    /// Write a capture of generated, labelled traffic
    Synth(synth::SynthArgs),
    /// Send flows to a topic of Kafka
    #[cfg(feature = "kafka")]
    Produce(produce::ProduceArgs),
}

pub(super) fn run(command: WorkbenchCommand, file: &Settings) -> Result<(), Failure> {
    match command {
        WorkbenchCommand::Flows(args) => flows::run(&args, file),
        WorkbenchCommand::Score(args) => score::run(&args, file),
        WorkbenchCommand::Evaluate(args) => evaluate::run(&args, file),
        WorkbenchCommand::Train(command) => train::run(*command, file),
        WorkbenchCommand::Synth(args) => synth::run(&args),
        #[cfg(feature = "kafka")]
        WorkbenchCommand::Produce(args) => produce::run(&args, file),
    }
}
