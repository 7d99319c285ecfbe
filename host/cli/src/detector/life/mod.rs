//! The life of packages in a running program, by its API.
//!
//! Every step of a life is the API's call of the same name; one function makes them all.

mod compare;
mod listing;
mod stage;
mod step;
mod threshold;

use netsage_api_types::{DetectorRef, Step};
use netsage_console::Failure;
use netsage_gateway::config::Settings;

use step::How;

/// What to do with the packages of a running program.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum LifeCommand {
    /// List the packages of a running program, or the bundled ones
    List(listing::ListArgs),
    /// Bring a package to a running program, which checks it and makes it ready
    Stage(stage::StageArgs),
    /// Check a staged package; `stage` does so by itself unless it is told `--until staged`
    #[command(
        after_help = "Example:\n  netsage detector stage my.wasm --until staged\n  netsage detector check 0123abcd"
    )]
    Check(step::StepArgs),
    /// Make a package ready: compile it and start instances; also ends a shadow
    #[command(
        after_help = "Example:\n  netsage detector warm 0123abcd\n  netsage detector warm 0123abcd --why 'seen enough of the shadow'"
    )]
    Warm(step::StepArgs),
    /// Score flows with a package beside the active one, without alerts, to compare the two
    #[command(
        after_help = "Example:\n  netsage detector shadow 0123abcd --share 0.5\n  netsage detector compare 0123abcd"
    )]
    Shadow(step::ShareArgs),
    /// Score a share of the flows with a package in place of the active one
    #[command(
        after_help = "Example:\n  netsage detector canary 0123abcd --share 0.1 --why 'agrees with the old one'"
    )]
    Canary(step::PlaceArgs<step::ShareArgs>),
    /// Make a package the active one of its name; the one before it stays ready for a rollback
    #[command(
        after_help = "Example:\n  netsage detector promote 0123abcd\n  netsage detector promote iforest    # its canary"
    )]
    Promote(step::PlaceArgs<step::StepArgs>),
    /// Take back a canary, or make the previous package of a name active again
    #[command(after_help = "Example:\n  netsage detector rollback iforest --why 'too many alerts'")]
    Rollback(step::StepArgs),
    /// Stop scoring with the active package, without another in its place
    #[command(after_help = "Example:\n  netsage detector retire iforest")]
    Retire(step::StepArgs),
    /// Take a package out of service, whatever its stage
    #[command(after_help = "Example:\n  netsage detector quarantine 0123abcd --why 'not ours'")]
    Quarantine(step::StepArgs),
    /// Let a package out of quarantine; it begins anew as staged
    #[command(after_help = "Example:\n  netsage detector release 0123abcd --why 'was a full disk'")]
    Release(step::StepArgs),
    /// List what was done with packages, by whom and why
    History(listing::HistoryArgs),
    /// Compare a shadow or a canary with the active detector of its name
    Compare(compare::CompareArgs),
    /// Show, try or set thresholds: by alerts per day, false-positive rate, percentile or score
    Threshold(threshold::ThresholdArgs),
    /// Say how far traffic has moved away from what a package was trained on
    Drift(threshold::DriftArgs),
    /// Stage a package and promote it: it scores from the next block of flows on
    Activate(step::PlaceArgs<stage::ActivateArgs>),
}

pub(super) fn run(command: LifeCommand, file: &Settings) -> Result<(), Failure> {
    use LifeCommand as Command;
    match command {
        Command::List(args) => listing::list(&args, file),
        Command::Stage(args) => stage::stage(&args, file),
        Command::Check(args) => step::run(Step::Check, &args, How::default(), file),
        Command::Warm(args) => step::run(Step::Warm, &args, How::default(), file),
        Command::Shadow(args) => {
            let how = How {
                share: args.share,
                downgrade: false,
            };
            step::run(Step::Shadow, &args.step, how, file)
        }
        Command::Canary(args) => {
            let how = How {
                share: args.step.share,
                downgrade: args.downgrade,
            };
            step::run(Step::Canary, &args.step.step, how, file)
        }
        Command::Promote(args) => {
            let how = How {
                share: None,
                downgrade: args.downgrade,
            };
            step::run(Step::Promote, &args.step, how, file)
        }
        Command::Rollback(args) => step::run(Step::Rollback, &args, How::default(), file),
        Command::Retire(args) => step::run(Step::Retire, &args, How::default(), file),
        Command::Quarantine(args) => step::run(Step::Quarantine, &args, How::default(), file),
        Command::Release(args) => step::run(Step::Release, &args, How::default(), file),
        Command::History(args) => listing::history(&args, file),
        Command::Compare(args) => compare::run(&args, file),
        Command::Threshold(args) => threshold::threshold(&args, file),
        Command::Drift(args) => threshold::drift(&args, file),
        Command::Activate(args) => stage::activate(&args, file),
    }
}

/// The first digits of a digest, enough for people.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Name, version and digest, for sentences.
fn called(detector: &DetectorRef) -> String {
    format!(
        "{} {} ({})",
        detector.name,
        detector.version,
        short(&detector.digest)
    )
}
