//! `netsage train lstm-autoencoder`.

use std::path::PathBuf;

use netsage_console::Failure;
use netsage_console::say;
use netsage_gateway::catalog::write_whole;
use netsage_models::Training;
use netsage_models::lstm_autoencoder::TrainOptions;

use super::common::CommonArgs;

/// Trains an LSTM autoencoder on ordinary flows, each with the flows of its source before it where sources are known.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  netsage train lstm-autoencoder --from train-normal.csv.gz --evaluate dev.csv.gz --out my.wasm --onnx my.onnx\n  netsage run --interface eth0 --detector my.wasm"
)]
pub struct Args {
    /// Most passes over the rows [default: 60]
    #[arg(long, value_name = "N")]
    passes: Option<u32>,
    /// Passes without a better loss on rows kept aside after which training ends [default: 10]
    #[arg(long, value_name = "N")]
    patience: Option<u32>,
    /// Rows of a batch, 16 to 65536 [default: 256]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Learning rate at the beginning [default: 0.002]
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// Width of the narrowest layer, 1 to 256 [default: 12]
    #[arg(long, value_name = "N")]
    code: Option<usize>,
    /// Units of the encoder, 1 to 256 [default: 32]
    #[arg(long, value_name = "N")]
    encoder: Option<usize>,
    /// Units of the decoder, 1 to 256 [default: 64]
    #[arg(long, value_name = "N")]
    decoder: Option<usize>,
    /// Count repeated rows once, where their sources are unknown; otherwise as often as they occur
    #[arg(long)]
    remove_duplicates: bool,
    /// File to write the network to as ONNX: from windows of raw rows to scores
    #[arg(long, value_name = "FILE")]
    pub(super) onnx: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl Args {
    pub(super) fn training(&self) -> Training {
        let defaults = TrainOptions::default();
        Training::LstmAutoencoder(TrainOptions {
            passes: self.passes.unwrap_or(defaults.passes),
            patience: self.patience.unwrap_or(defaults.patience),
            batch: self.batch.unwrap_or(defaults.batch),
            rate: self.rate.unwrap_or(defaults.rate),
            code: self.code.unwrap_or(defaults.code),
            encoder: self.encoder.unwrap_or(defaults.encoder),
            decoder: self.decoder.unwrap_or(defaults.decoder),
            remove_duplicates: self.remove_duplicates,
            ..defaults
        })
    }

    /// Writes the network as ONNX, if that is wanted: the artifact is the file.
    pub(super) fn also_write(&self, artifact: &[u8]) -> Result<(), Failure> {
        if let Some(path) = &self.onnx {
            write_whole(path, artifact)?;
            say!("wrote {}", path.display());
        }
        Ok(())
    }
}
