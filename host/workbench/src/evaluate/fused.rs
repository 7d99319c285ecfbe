//! The verdict of several detectors, as `netsage run` fuses it.

use netsage_calibration::{Scale, fused};
use netsage_console::Failure;
use netsage_gateway::pipeline::score_rows;
use netsage_models::Training;
use netsage_models::metrics::Thresholds;
use netsage_models::report::{Columns, Condition, Kind, Outcome};
use netsage_schema::Rows;

use super::models::{Scored, ScoredDetector, Session};

/// Fewest rows that give percentiles a meaning.
const FEWEST_HELD_OUT: usize = 100;

/// The rules that fuse surprises into one verdict.
type Fuse = fn(&[f64]) -> f64;

const VERDICTS: [(&str, &str, Fuse); 2] = [
    (
        "fused mean",
        "Mean of the surprises of the detectors (the negative decimal logarithm of the share of ordinary flows that score \
         higher), less a constant that makes it hold however they depend on each other: the verdict that alerts carry.",
        |surprises| fused::surprise(surprises.iter().copied()).unwrap_or_default(),
    ),
    (
        "fused maximum",
        "The largest surprise of any detector: one that is sure is enough.",
        |surprises| surprises.iter().copied().fold(0.0, f64::max),
    ),
];

/// The verdicts of the detectors that have a calibration; none when fewer than two have.
pub(super) fn outcomes(session: &Session<'_>, detectors: &[ScoredDetector]) -> Result<Vec<Outcome>, Failure> {
    let mut verdicts = Vec::new();
    for (name, about, fuse) in VERDICTS {
        let mut conditions = Vec::new();
        for columns in [Columns::All, Columns::WithoutTtl] {
            conditions.extend(condition(session, detectors, columns, fuse)?);
        }
        if conditions.is_empty() {
            return Ok(Vec::new());
        }
        let steered = detectors.iter().filter_map(|detector| {
            let card = detector.models.first()?.loaded.card.as_ref()?;
            card.steered().map(|_| detector.name.as_str())
        });
        let steered: Vec<&str> = steered.collect();
        verdicts.push(Outcome {
            name: name.to_owned(),
            kind: Kind::Fused,
            detector: None,
            about: about.to_owned(),
            steered: (!steered.is_empty()).then(|| format!("it contains {}", steered.join(", "))),
            notes: Vec::new(),
            not_without_ttl: (conditions.len() == 1)
                .then(|| "Not measured without TTL: that takes all of its detectors without TTL.".to_owned()),
            conditions,
        });
    }
    Ok(verdicts)
}

/// `None` unless there are several detectors, each with a calibrated model for these columns.
fn condition(
    session: &Session<'_>,
    detectors: &[ScoredDetector],
    columns: Columns,
    fuse: Fuse,
) -> Result<Option<Condition>, Failure> {
    let models: Option<Vec<(&Scored, Scale)>> = detectors
        .iter()
        .map(|detector| {
            let model = detector.models.iter().find(|model| model.columns == columns)?;
            Some((model, Scale::of(model.loaded.card.as_ref()?)?))
        })
        .collect();
    let Some(models) = models.filter(|models| models.len() > 1) else {
        return Ok(None);
    };
    let scores: Vec<&[f32]> = models.iter().map(|(model, _)| model.scores.as_slice()).collect();
    let scales: Vec<&Scale> = models.iter().map(|(_, scale)| scale).collect();
    let verdicts = fuse_all(&scales, &scores, fuse);
    let models: Vec<&Scored> = models.iter().map(|(model, _)| *model).collect();
    let held_out = held_out(session, &models, &scales, fuse)?;
    let mut read: Vec<&str> = models
        .iter()
        .flat_map(|model| model.loaded.detector.columns())
        .map(|column| column.name)
        .collect();
    read.sort_unstable();
    read.dedup();
    let condition = session
        .judge
        .condition(columns, read.len(), &verdicts, held_out)
        .map_err(anyhow::Error::from)?;
    Ok(Some(condition))
}

fn fuse_all(scales: &[&Scale], scores: &[&[f32]], fuse: Fuse) -> Vec<f32> {
    let rows = scores.first().map_or(0, |scores| scores.len());
    let mut surprises = vec![0.0; scales.len()];
    (0..rows)
        .map(|row| {
            for ((surprise, scale), scores) in surprises.iter_mut().zip(scales).zip(scores) {
                *surprise = scale.surprise(scores[row]);
            }
            fuse(&surprises) as f32
        })
        .collect()
}

/// Percentiles of the verdict on rows that no detector was fitted on; none where such rows are not known.
///
/// Cards hold percentiles, not rows. The recipe in a card tells which of the training rows were held out. A check
/// confirms those rows: the detector must give them the percentiles of its card.
fn held_out(
    session: &Session<'_>,
    models: &[&Scored],
    scales: &[&Scale],
    fuse: Fuse,
) -> Result<Thresholds, Failure> {
    let Some(ordinary) = session
        .ordinary
        .filter(|ordinary| ordinary.flows().identities.is_empty())
    else {
        return Ok(Thresholds::default());
    };
    let mut common: Option<Vec<usize>> = None;
    for model in models {
        let Some(rows) = held_out_by(model, &ordinary.rows)? else {
            return Ok(Thresholds::default());
        };
        common = Some(match common {
            None => rows,
            Some(common) => {
                let rows: std::collections::HashSet<usize> = rows.into_iter().collect();
                common.into_iter().filter(|row| rows.contains(row)).collect()
            }
        });
    }
    let common = common.unwrap_or_default();
    if common.len() < FEWEST_HELD_OUT {
        return Ok(Thresholds::default());
    }
    let rows = select(&ordinary.rows, &common);
    let mut scores = Vec::with_capacity(models.len());
    for model in models {
        scores.push(score_rows(&model.loaded.detector, &rows, None)?);
    }
    let scores: Vec<&[f32]> = scores.iter().map(Vec::as_slice).collect();
    Ok(Thresholds::of_held_out(&fuse_all(scales, &scores, fuse)))
}

/// The rows that a model held out, if the scores of these rows confirm its card.
fn held_out_by(model: &Scored, training: &Rows) -> Result<Option<Vec<usize>>, Failure> {
    let card = model.loaded.card.as_ref();
    let recipe = card.and_then(|card| Some((card, card.training.clone()?)));
    let Some((card, recipe)) = recipe else {
        return Ok(None);
    };
    let Ok(mut recipe) = serde_json::from_value::<Training>(recipe) else {
        return Ok(None);
    };
    let rows = recipe.common_mut().held_out_rows(training);
    let scores = score_rows(&model.loaded.detector, &select(training, &rows), None)?;
    let found = Thresholds::of_held_out(&scores);
    let expected = Thresholds::of_card(card);
    let same = (found.p95, found.p99) == (expected.p95, expected.p99);
    Ok(same.then_some(rows))
}

fn select(rows: &Rows, numbers: &[usize]) -> Rows {
    let mut selected = Rows::with_capacity(rows.schema(), numbers.len());
    for &number in numbers {
        selected.push(rows.row(number));
    }
    selected
}
