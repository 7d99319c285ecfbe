//! `netsage detector pack --onnx`: packages of networks that were trained elsewhere.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Component, Path, PathBuf};

use anyhow::anyhow;
use jiff::Zoned;
use netsage_console::Failure;
use netsage_console::output::BadRows;
use netsage_gateway::config::{MeterArgs, Settings};
use netsage_models::Common;
use netsage_models::foreign::{self, Output, Scaler};
use netsage_models::onnx::{self, External};

use super::read;
use crate::reading::How;
use crate::train::flows::{Ordinary, Taken};

/// Most bytes of one tensor in another file: as many as a tensor may have.
const MOST_BYTES: u64 = 64 << 20;

/// A network, and what stands before and behind it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Networks trained elsewhere")]
pub(super) struct NetworkArgs {
    /// Network as ONNX, trained anywhere, in place of an artifact; docs/detectors/onnx.md has the steps
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["artifact", "component"], requires = "columns")]
    onnx: Option<PathBuf>,
    /// Columns that the network reads, in its order: NAME as it is, NAME:log as ln(1 + x), NAME=term|term as one number
    /// for each term
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', requires = "onnx")]
    columns: Vec<String>,
    /// Output of the network that gives the score or the reconstruction; NAME[1] is the second number of each row, e.g.
    /// the probability of the second class [default: its only one]
    #[arg(long, value_name = "NAME", requires = "onnx")]
    output: Option<String>,
    /// JSON with `mean` and `scale`, or `min` and `max`, of each number that the network reads [default: as they are]
    #[arg(long, value_name = "JSON", requires = "onnx")]
    scaler: Option<PathBuf>,
    /// The network reconstructs its input; the error of the reconstruction is the score [default]
    #[arg(long, requires = "onnx")]
    reconstruction: bool,
    /// The network gives one number that is higher for stranger flows
    #[arg(long, requires = "onnx", conflicts_with = "reconstruction")]
    score: bool,
    /// The network gives one number that is lower for stranger flows
    #[arg(long, requires = "onnx", conflicts_with_all = ["score", "reconstruction"])]
    negated_score: bool,
    /// Ordinary flows that the network was not trained on, CSV or capture, also compressed: they give threshold,
    /// percentiles and what drift is measured against; may be repeated. Rows labelled as attacks are left out. Without
    /// them the package has no threshold and raises no alert unless `run` gets one
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "onnx", conflicts_with = "card")]
    calibrate: Vec<PathBuf>,
    /// Quantile of the calibration's scores that becomes the threshold [default: 0.99]
    #[arg(long, value_name = "QUANTILE", requires = "calibrate")]
    threshold_quantile: Option<f64>,
    /// Name under which the package scores, so that several networks can be active [default: onnx]
    #[arg(long, value_name = "NAME", requires = "onnx", conflicts_with = "card")]
    name: Option<String>,
    /// What the network was trained on and under which licence, for the model card
    #[arg(long, value_name = "TEXT", requires = "onnx", conflicts_with = "card")]
    data: Option<String>,
    #[command(flatten)]
    meter: MeterArgs,
}

/// An artifact, and its card as JSON.
pub(super) struct Made {
    pub(super) artifact: Vec<u8>,
    pub(super) card: Vec<u8>,
}

impl NetworkArgs {
    /// Makes artifact and card of the network; `None` when the command line names no network.
    pub(super) fn make(&self, file: &Settings) -> Result<Option<Made>, Failure> {
        let Some(path) = &self.onnx else {
            return Ok(None);
        };
        let how = How::of(&self.meter, file)?;
        let scaler = self.scaler.as_deref().map(scaler).transpose()?;
        let output = match (self.score, self.negated_score) {
            (false, false) => Output::Reconstruction,
            (_, negate) => Output::Score { negate },
        };
        let (schema, named) = (how.meter.schema, self.output.as_deref());
        let network = whole(path)?;
        let model = foreign::model(network, schema, &self.columns, scaler.as_ref(), output, named)
            .map_err(|error| anyhow!("{}: {error}", path.display()))?;
        let trained = if self.calibrate.is_empty() {
            foreign::uncalibrated(&model, schema, &self.common(path))
        } else {
            let mut bad = BadRows::default();
            let ordinary = Ordinary::read(&self.calibrate, &how, &Taken::Label(false), &mut bad)?;
            let trained = foreign::calibrate(model, ordinary.flows(), &self.common(path))
                .map_err(|error| anyhow!("{}: {error}", path.display()))?;
            bad.finish(ordinary.rows.len() as u64)?;
            trained
        };
        let json = trained.card.to_json().map_err(std::io::Error::from)?;
        Ok(Some(Made {
            artifact: trained.artifact,
            card: json.into_bytes(),
        }))
    }

    fn common(&self, network: &Path) -> Common {
        let network = file_name(network);
        let (data, note) = if self.calibrate.is_empty() {
            let note = format!("The network {network} was trained elsewhere, and nothing was measured here.");
            ("data that only its maker knows".to_owned(), note)
        } else {
            let names: Vec<String> = self.calibrate.iter().map(|path| file_name(path)).collect();
            let rows = names.join(", ");
            let note = format!(
                "The network {network} was trained elsewhere. Number of rows, threshold, percentiles and the distributions for drift are those of {rows}, taken for ordinary; if it was trained on them, new flows score higher."
            );
            (
                format!("data that only its maker knows; calibrated on {rows}"),
                note,
            )
        };
        let default = Common::default();
        Common {
            name: self.name.clone(),
            data: self.data.clone().unwrap_or(data),
            date: Zoned::now().strftime("%Y-%m-%d").to_string(),
            notes: vec![note],
            threshold_quantile: self.threshold_quantile.unwrap_or(default.threshold_quantile),
            ..default
        }
    }
}

/// A network with the weights inside that lie in files beside it.
fn whole(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = read(path)?;
    if let Some(other) = foreign::another_kind(&bytes) {
        return Err(anyhow!("{}: this is {other}", path.display()));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    onnx::embed(bytes, |external| beside(folder, external))
        .map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// What a network has in a file beside it. A network comes from anywhere, so no other file is read for it.
fn beside(folder: &Path, external: &External) -> Result<Vec<u8>, String> {
    let External {
        location,
        offset,
        length,
    } = external;
    let name = Path::new(location);
    if !name.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!(
            "lies in {location:?}, which is not in the folder of the network; put both into one folder and export it again"
        ));
    }
    let path = folder.join(name);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|mut file| {
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        file.seek(io::SeekFrom::Start(*offset))?;
        file.take(length.unwrap_or(MOST_BYTES).min(MOST_BYTES))
            .read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!(
            "lies in {}, which cannot be read ({error}); copy that file beside the network",
            path.display()
        )),
    }
}

fn scaler(path: &Path) -> anyhow::Result<Scaler> {
    serde_json::from_slice(&read(path)?).map_err(|_| {
        anyhow!(
            "{}: this is no scaler; give a JSON object with the lists `mean` and `scale`, or `min` and `max`",
            path.display()
        )
    })
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
