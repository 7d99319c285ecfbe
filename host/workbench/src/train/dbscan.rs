//! `netsage train dbscan`.

use netsage_models::Training;
use netsage_models::dbscan::TrainOptions;

use super::common::CommonArgs;

/// Finds the dense regions of ordinary flows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage train dbscan --from train-normal.csv.gz --evaluate dev.csv.gz --out my.wasm\n  netsage run --interface eth0 --detector my.wasm"
)]
pub struct Args {
    /// Flows within the radius that make a flow a core point (minPts), 2 to 256 [default: 10]
    #[arg(long, value_name = "N")]
    min_samples: Option<u16>,
    /// Radius (eps) in standard deviations [default: the knee of the curve of distances to the N-th neighbour]
    #[arg(long, value_name = "RADIUS")]
    eps: Option<f32>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let defaults = TrainOptions::default();
        Training::Dbscan(TrainOptions {
            min_samples: self.min_samples.unwrap_or(defaults.min_samples),
            eps: self.eps,
            ..defaults
        })
    }
}
