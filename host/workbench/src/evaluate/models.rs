//! Detectors: as they come, and trained again without the columns that give the label away.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::ProgressBar;
use netsage_console::detectors::column_names;
use netsage_console::say;
use netsage_console::{Failure, interrupt, progress};
use netsage_gateway::catalog::load;
use netsage_lifecycle::Loaded;
use netsage_models::metrics::Thresholds;
use netsage_models::report::{Columns, Condition, Judge, Kind, Outcome};
use netsage_models::{Callbacks, Training};
use netsage_package::{ModelCard, Package, card};
use netsage_runtime::Runtime;
use netsage_schema::unsw_nb15::TTL_TRIO;

use crate::labelled::Labelled;
use crate::train::flows::Ordinary;

/// What an evaluation works with.
pub(super) struct Session<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) labelled: &'a Labelled,
    pub(super) judge: &'a Judge<'a>,
    pub(super) ordinary: Option<&'a Ordinary>,
    pub(super) ablate: bool,
}

/// A model with the scores that it gave the rows.
#[derive(Clone)]
pub(super) struct Scored {
    pub(super) columns: Columns,
    pub(super) loaded: Arc<Loaded>,
    pub(super) scores: Arc<Vec<f32>>,
}

/// The models of one detector.
pub(super) struct ScoredDetector {
    pub(super) name: String,
    pub(super) models: Vec<Scored>,
}

impl Session<'_> {
    /// Whether the schema has the columns that give the label away.
    pub(super) fn has_ttl_trio(&self) -> bool {
        let schema = self.labelled.rows.schema();
        TTL_TRIO.iter().all(|column| schema.index_of(column).is_some())
    }

    /// Measures the detectors. The scores are for their fused verdict.
    pub(super) fn detectors(
        &self,
        detectors: &[Arc<Loaded>],
    ) -> Result<(Vec<Outcome>, Vec<ScoredDetector>), Failure> {
        let (mut outcomes, mut all) = (Vec::new(), Vec::new());
        for (loaded, name) in detectors.iter().zip(column_names(detectors)) {
            let (condition, scored) = self.measure(loaded, Columns::All)?;
            let (mut conditions, mut models) = (vec![condition], vec![scored]);
            let mut not_without_ttl = None;
            match self.without_ttl(loaded, &name)? {
                Without::Trained(ablated) => {
                    let (condition, scored) = self.measure(&ablated, Columns::WithoutTtl)?;
                    conditions.push(condition);
                    models.push(scored);
                }
                Without::Same(why) => {
                    conditions.push(Condition {
                        columns: Columns::WithoutTtl,
                        ..conditions[0].clone()
                    });
                    models.push(Scored {
                        columns: Columns::WithoutTtl,
                        ..models[0].clone()
                    });
                    not_without_ttl = Some(why);
                }
                Without::Not(why) => not_without_ttl = Some(why),
            }
            let card = loaded.card.as_ref();
            let notes = card.map(|card| card.notes.clone()).unwrap_or_default();
            outcomes.push(Outcome {
                name: name.clone(),
                kind: Kind::Detector,
                detector: Some(loaded.reference.clone()),
                about: loaded.detector.description().summary.clone(),
                steered: card.and_then(ModelCard::steered).map(str::to_owned),
                notes: notes
                    .into_iter()
                    .filter(|note| !note.starts_with(card::STEERED))
                    .collect(),
                conditions,
                not_without_ttl,
            });
            all.push(ScoredDetector { name, models });
        }
        Ok((outcomes, all))
    }

    fn measure(&self, loaded: &Arc<Loaded>, columns: Columns) -> Result<(Condition, Scored), Failure> {
        let start = Instant::now();
        let scores = self.labelled.score(loaded)?;
        let seconds = start.elapsed().as_secs_f64();
        let card = loaded.card.as_ref();
        let thresholds = card.map(Thresholds::of_card).unwrap_or_default();
        let reads = loaded.detector.columns().len();
        let condition = self
            .judge
            .condition(columns, reads, &scores, thresholds)
            .map_err(anyhow::Error::from)?;
        let condition = Condition {
            rows_per_second: (seconds > 0.0).then(|| scores.len() as f64 / seconds),
            ..condition
        };
        let scored = Scored {
            columns,
            loaded: Arc::clone(loaded),
            scores: Arc::new(scores),
        };
        Ok((condition, scored))
    }

    /// The detector trained again without the columns that give the label away.
    fn without_ttl(&self, loaded: &Loaded, name: &str) -> Result<Without, Failure> {
        let schema = self.labelled.rows.schema();
        if !self.has_ttl_trio() {
            return Ok(Without::Not(format!(
                "{} has none of {}: there is nothing to leave out.",
                schema.id,
                TTL_TRIO.join(", ")
            )));
        }
        let mut columns = loaded.detector.columns().iter();
        if !columns.any(|column| TTL_TRIO.contains(&column.name)) {
            let why = format!(
                "It reads none of {}: both are the same model.",
                TTL_TRIO.join(", ")
            );
            return Ok(Without::Same(why));
        }
        let (true, Some(ordinary)) = (self.ablate, self.ordinary) else {
            return Ok(Without::Not(
                "Not measured without TTL: that takes --ablate and --from.".to_owned(),
            ));
        };
        let recipe = loaded.card.as_ref().and_then(|card| card.training.clone());
        let Some(recipe) = recipe else {
            return Ok(Without::Not(
                "Not measured without TTL: its card does not say how to train it again.".to_owned(),
            ));
        };
        let mut training: Training = match serde_json::from_value(recipe) {
            Ok(training) => training,
            Err(error) => {
                return Ok(Without::Not(format!(
                    "Not measured without TTL: this version does not know the training of its card ({error})."
                )));
            }
        };
        warn_of_other_rows(name, loaded.card.as_ref(), &mut training, ordinary);
        let common = training.common_mut();
        common.exclude.extend(TTL_TRIO.map(str::to_owned));
        common.date = loaded
            .card
            .as_ref()
            .map(|card| card.date.clone())
            .unwrap_or_default();
        let mut progress = Progress::new(name)?;
        let trained = training.run(ordinary.flows(), &mut progress)?;
        progress.bar.finish_and_clear();
        let json = trained.card.to_json()?;
        let packed = netsage_package::pack(
            &loaded.package().code(),
            &trained.artifact,
            Some(json.as_bytes()),
            None,
        )?;
        let package = Package::from_bytes(packed)?;
        let origin = format!("{name}, trained again");
        Ok(Without::Trained(load(self.runtime, schema, &origin, &package)?))
    }
}

/// The outcome of training without TTL.
enum Without {
    /// It was trained.
    Trained(Arc<Loaded>),
    /// The model itself reads no TTL.
    Same(String),
    /// There is no such model, for this reason.
    Not(String),
}

fn warn_of_other_rows(name: &str, card: Option<&ModelCard>, training: &mut Training, ordinary: &Ordinary) {
    let given = ordinary.rows.len();
    let fitted = given - training.common_mut().held_out_rows(&ordinary.rows).len();
    if let Some(card) = card.filter(|card| card.rows != fitted as u64) {
        say!(
            "warning: {name} was fitted on {} rows, and --from leaves {fitted} of {given} to fit on: without TTL it \
             is trained on other rows than before",
            card.rows
        );
    }
}

/// Shows how far a training is, and ends it on Ctrl-C.
struct Progress {
    bar: ProgressBar,
    interrupted: Arc<AtomicBool>,
}

impl Progress {
    fn new(name: &str) -> Result<Self, Failure> {
        Ok(Self {
            bar: progress::counted(0, &format!("{name} without TTL")),
            interrupted: interrupt::flag()?,
        })
    }
}

impl Callbacks for Progress {
    fn step(&mut self, done: u64, total: u64, _figure: fmt::Arguments<'_>) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }
}
