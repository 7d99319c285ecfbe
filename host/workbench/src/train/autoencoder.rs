//! `netsage train autoencoder`.

use std::path::PathBuf;

use netsage_console::Failure;
use netsage_console::say;
use netsage_gateway::catalog::write_whole;
use netsage_models::Training;
use netsage_models::autoencoder::{self, TrainOptions};

use super::common::CommonArgs;

/// Trains a dense autoencoder on ordinary flows.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  netsage train autoencoder --from train-normal.csv.gz --evaluate dev.csv.gz --out my.wasm\n  netsage train autoencoder --from monday.pcap --out my.wasm --onnx my.onnx"
)]
pub struct Args {
    /// Width of the layers before and behind the narrowest [default: 64]
    #[arg(long, value_name = "N")]
    hidden: Option<usize>,
    /// Width of the narrowest layer; a wider one reconstructs anomalous flows too [default: 12]
    #[arg(long, value_name = "N")]
    bottleneck: Option<usize>,
    /// Most passes over the rows [default: 60]
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Passes without a better loss on rows set aside after which training ends [default: 8]
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Write the network as ONNX to this file as well; it maps encoded flows to their reconstruction
    #[arg(long, value_name = "FILE")]
    pub(super) onnx: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let defaults = TrainOptions::default();
        Training::Autoencoder(TrainOptions {
            hidden: self.hidden.unwrap_or(defaults.hidden),
            bottleneck: self.bottleneck.unwrap_or(defaults.bottleneck),
            epochs: self.epochs.unwrap_or(defaults.epochs),
            patience: self.patience.unwrap_or(defaults.patience),
            ..defaults
        })
    }

    /// Writes the network as ONNX, if that is wanted.
    pub(super) fn also_write(&self, artifact: &[u8]) -> Result<(), Failure> {
        if let Some(path) = &self.onnx {
            write_whole(path, &autoencoder::onnx(artifact)?)?;
            say!("wrote {}", path.display());
        }
        Ok(())
    }
}
