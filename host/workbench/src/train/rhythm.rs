//! `netsage train rhythm`.

use netsage_models::Training;
use netsage_models::rhythm::TrainOptions;

use super::common::CommonArgs;

/// Learns how regular ordinary visits are, and how much they send.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage train rhythm --schema flow-v1 --from week.pcap --out rhythm.wasm\n  netsage run --interface eth0 --schema flow-v1 --detector rhythm.wasm"
)]
pub struct Args {
    /// Flows between the same hosts that begin within so many seconds belong to one visit [default: 1]
    #[arg(long, value_name = "SECONDS")]
    pause: Option<f32>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let defaults = TrainOptions::default();
        Training::Rhythm(TrainOptions {
            pause: self.pause.unwrap_or(defaults.pause),
            ..defaults
        })
    }
}
