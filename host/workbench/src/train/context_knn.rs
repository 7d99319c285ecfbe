//! `netsage train context-knn`.

use netsage_models::Training;
use netsage_models::context_knn::TrainOptions;

use super::common::CommonArgs;

/// Learns where ordinary flows lie, group of columns by group of columns.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage train context-knn --from train-normal.csv.gz --evaluate dev.csv.gz --out my.wasm\n  netsage run --interface eth0 --detector my.wasm"
)]
pub struct Args {
    /// Which columns are looked at together
    #[arg(long, value_enum, default_value_t = Groups::ByKind)]
    groups: Groups,
    /// Distance of another protocol, service or state, in standard deviations, 0 to 100 [default: 4.25]
    #[arg(long, value_name = "WEIGHT")]
    context_weight: Option<f32>,
    /// Distances that this share of ordinary flows exceed count as one: less is faster and tells less [default: 1]
    #[arg(long, value_name = "SHARE")]
    floor: Option<f64>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// Which columns are looked at together.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Groups {
    /// Columns of one kind: volumes, packet sizes, rates, times, ...
    ByKind,
    /// The few columns that do best on labelled flows of UNSW-NB15; for that schema only
    Compact,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let mut options = match self.groups {
            Groups::ByKind => TrainOptions::default(),
            Groups::Compact => TrainOptions::compact(),
        };
        options.context_weight = self.context_weight.unwrap_or(options.context_weight);
        options.floor = self.floor.unwrap_or(options.floor);
        Training::ContextKnn(options)
    }
}
