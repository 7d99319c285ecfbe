//! The options that all trainings share.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::Zoned;
use netsage_gateway::config::MeterArgs;
use netsage_models::Common;

use super::flows::Taken;

/// Options of every method.
#[derive(Debug, clap::Args)]
pub(super) struct CommonArgs {
    /// CSV with the columns of a schema (as UNSW-NB15), capture or records, also compressed; may be repeated
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(super) from: Vec<PathBuf>,
    /// File to write: ending in `.wasm` a package that `netsage run --detector` takes, otherwise the bare model, with
    /// its card for programs (.card.json) and for people (.card.md) beside it
    #[arg(long, value_name = "PKG")]
    pub(super) out: PathBuf,
    /// Learn from the rows of a CSV or labelled records that are no attacks by their label; this is the default
    #[arg(long, conflicts_with = "taken")]
    normal_only: bool,
    /// Learn from the rows of a CSV or labelled records with this label instead, e.g. label=0 or attack_cat=Normal
    #[arg(long = "label", value_name = "COLUMN=VALUE", default_value = "label=0")]
    pub(super) taken: Taken,
    /// Seed of every random choice: the same rows, options and seed give the same model
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Name under which the package scores, so that several models of one method can be active [default: of the method]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Quantile of held-out ordinary scores that becomes the threshold [default: 0.99]
    #[arg(long, value_name = "QUANTILE")]
    threshold_quantile: Option<f64>,
    /// Share of the rows that is held out, drawn at random; threshold and calibration come from them [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    held_out: Option<f64>,
    /// Column not to read; may be repeated
    #[arg(long, value_name = "COLUMN")]
    exclude: Vec<String>,
    /// What the data is and under which licence, for the model card [default: the names of the files]
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// What to know before trusting the figures, for the model card; may be repeated
    #[arg(long, value_name = "TEXT")]
    note: Vec<String>,
    /// Labelled CSV or records, or capture (its labels in FILE.labels.csv), to measure the model on; the figures go into
    /// the card
    #[arg(long, value_name = "FILE")]
    pub(super) evaluate: Option<PathBuf>,
    /// Train once more without the columns that give the label away in UNSW-NB15 (sttl, dttl, ct_state_ttl), and add
    /// the figures of that model to the card
    #[arg(long, requires = "evaluate")]
    pub(super) ablate: bool,
    #[command(flatten)]
    pub(super) meter: MeterArgs,
}

impl CommonArgs {
    /// Replaces the defaults of the method by the options that were given.
    pub(super) fn settle(&self, common: &mut Common) {
        let names = || {
            let names: Vec<_> = self.from.iter().map(|path| file_name(path)).collect();
            names.join(", ")
        };
        common.seed = self.seed;
        common.name = self.name.clone();
        common.exclude = self.exclude.clone();
        common.data = self.data.clone().unwrap_or_else(names);
        common.date = Zoned::now().strftime("%Y-%m-%d").to_string();
        common.notes = self.note.clone();
        common.threshold_quantile = self.threshold_quantile.unwrap_or(common.threshold_quantile);
        common.held_out = self.held_out.unwrap_or(common.held_out);
    }
}

impl FromStr for Taken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some(("label", "0")) => Ok(Self::Label(false)),
            Some(("label", "1")) => Ok(Self::Label(true)),
            Some(("attack_cat", category)) => Ok(Self::Category(category.to_owned())),
            _ => Err("give label=0, label=1 or attack_cat=NAME, e.g. attack_cat=Normal".to_owned()),
        }
    }
}

/// The name of a file without its folders.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}
