//! `netsage train iforest`.

use netsage_models::Training;
use netsage_models::iforest::TrainOptions;

use super::common::CommonArgs;

/// Trains an isolation forest on ordinary flows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage train iforest --from train-normal.csv.gz --evaluate dev.csv.gz --out my.wasm --seed 7\n  netsage run --interface eth0 --detector my.wasm"
)]
pub struct Args {
    /// Number of trees [default: 100]
    #[arg(long, value_name = "N")]
    trees: Option<usize>,
    /// Training rows per tree [default: 20000]
    #[arg(long, value_name = "N")]
    subsample: Option<usize>,
    /// Greatest height of a tree [default: 5 more than the binary logarithm of the rows per tree]
    #[arg(long, value_name = "N")]
    height_limit: Option<u32>,
    /// A node with a smaller share of its tree's rows is not split, 0 to 1 [default: 0.0016]
    #[arg(long, value_name = "SHARE")]
    least_share: Option<f64>,
    /// Split by weighted sums of N columns (extended isolation forest): finds somewhat more, and takes many times as
    /// long [default: 1, plain splits]
    #[arg(long, value_name = "N")]
    extended: Option<usize>,
    /// Count repeated rows as often as they occur; otherwise once, which makes more of rare kinds of flow
    #[arg(long)]
    keep_duplicates: bool,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let defaults = TrainOptions::default();
        Training::Iforest(TrainOptions {
            trees: self.trees.unwrap_or(defaults.trees),
            subsample: self.subsample.unwrap_or(defaults.subsample),
            height_limit: self.height_limit.or(defaults.height_limit),
            least_share: self.least_share.unwrap_or(defaults.least_share),
            columns_per_split: self.extended.unwrap_or(defaults.columns_per_split),
            remove_duplicates: !self.keep_duplicates,
            ..defaults
        })
    }
}
