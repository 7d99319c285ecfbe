//! `netsage train half-space-trees`.

use netsage_models::Training;
use netsage_models::half_space_trees::TrainOptions;

use super::common::CommonArgs;

/// Trains half-space trees on ordinary flows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage train half-space-trees --from train-normal.csv.gz --evaluate dev.csv.gz --out my.wasm\n  netsage run --interface eth0 --detector my.wasm"
)]
pub struct Args {
    /// Number of trees, 1 to 500 [default: 50]
    #[arg(long, value_name = "N")]
    trees: Option<u16>,
    /// Halvings from the root to a leaf, 1 to 16 [default: 12]
    #[arg(long, value_name = "N")]
    height: Option<u8>,
    /// Flows of a window; what a window has learned counts once it is full [default: 10000]
    #[arg(long, value_name = "N")]
    window: Option<u32>,
    /// Weight of a new window against all earlier ones, above 0 and at most 1 [default: 0.05]
    #[arg(long, value_name = "WEIGHT")]
    adaptation: Option<f32>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let defaults = TrainOptions::default();
        Training::HalfSpaceTrees(TrainOptions {
            trees: self.trees.unwrap_or(defaults.trees),
            height: self.height.unwrap_or(defaults.height),
            window: self.window.unwrap_or(defaults.window),
            adaptation: self.adaptation.unwrap_or(defaults.adaptation),
            ..defaults
        })
    }
}
