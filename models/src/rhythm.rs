//! Training the rhythm of visits: how regular ordinary ones are.

use std::collections::BTreeMap;

use netsage_detector_sdk::{Block, Error};
use netsage_rhythm::{Ceiling, Columns, Contexts as Context, Measured, Model, Scorer, WIDTH, blocks};
use netsage_schema::{AddressKey, Contexts, Schema, narrow};
use serde::{Deserialize, Serialize};

use crate::preparation::{Common, TrainError, Trained};
use crate::training::Flows;

/// Least margin of the threshold above what ordinary flows reach, in orders of magnitude: about thirty times. A day has
/// thousands of visits, some in contexts that training hardly saw.
const LEAST_MARGIN: f32 = 1.5;
/// Fewest bytes that count as a ceiling: nobody needs to hear of less.
const LEAST_SENT: f32 = 1_000.0;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainOptions {
    /// Longest pause within a visit, in seconds, from the end of a flow to the start of the next one between the same two
    /// hosts; above 0 and at most a day.
    pub pause: f32,
    /// Options of every training.
    pub common: Common,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            pause: 1.0,
            common: Common {
                threshold_quantile: 0.9999,
                ..Common::default()
            },
        }
    }
}

/// Trains on `flows`, all taken for ordinary, in the order in which they ended. The last of them are held out: a rhythm
/// needs its flows one after the other.
///
/// # Errors
/// [`TrainError`].
pub fn train(flows: Flows<'_>, options: &TrainOptions) -> Result<Trained, TrainError> {
    let (common, rows) = (&options.common, flows.rows);
    let schema = rows.schema();
    common.check(rows)?;
    if !(options.pause > 0.0 && options.pause <= 86_400.0) {
        return Err(TrainError::option(
            "pause",
            "above 0 and at most 86,400 seconds",
            options.pause,
        ));
    }
    if flows.identities.len() != rows.len() {
        return Err(TrainError::NoIdentities);
    }
    let features = features(schema)?;
    let tcp = schema.columns[features[0]]
        .vocabulary()
        .and_then(|protocols| protocols.terms.iter().position(|term| *term == "tcp"))
        .and_then(|code| u16::try_from(code).ok())
        .ok_or_else(|| unknown_column(schema, 0))?;
    let blank = Model {
        schema: schema.to_string(),
        tcp,
        pause: options.pause,
        usual: 0.0,
        usual_sent: LEAST_SENT,
        ceilings: Vec::new(),
    };
    let values = values(&flows, &features);
    let contexts = Contexts::of(flows.identities, &AddressKey::OF_FILES);
    let measured = measure(blank.clone(), &values, &contexts)?;
    let held_out = (rows.len() as f64 * common.held_out).round() as usize;
    let fitted = rows.len() - held_out;
    let mut reached: BTreeMap<(u16, u16), Measured> = BTreeMap::new();
    let mut usual_sent = LEAST_SENT;
    for (row, measured) in values.chunks_exact(WIDTH).zip(&measured[..fitted]) {
        let most = reached.entry((row[0] as u16, row[1] as u16)).or_default();
        most.surprise = most.surprise.max(measured.surprise);
        most.sent = most.sent.max(measured.sent);
        usual_sent = usual_sent.max(measured.sent);
    }
    // So many visits, each as good as random: about one of them is as regular as this.
    let usual = (fitted.max(1) as f64).log10() as f32;
    let model = Model {
        usual,
        usual_sent,
        ceilings: reached
            .into_iter()
            .map(|((protocol, service), most)| Ceiling {
                protocol,
                service,
                surprise: most.surprise.max(usual),
                sent: most.sent.max(LEAST_SENT),
            })
            .collect(),
        ..blank
    };
    let scores = scores(model.clone(), &values, &contexts)?;
    let names = Columns::of(schema.id).names.map(str::to_owned).to_vec();
    let mut card = common.card(schema, names, fitted, scores[fitted..].to_vec());
    if card.threshold < Some(LEAST_MARGIN) {
        card.threshold = Some(LEAST_MARGIN);
        card.threshold_rule = format!(
            "thirty times less likely by chance than the most regular visits of {fitted} ordinary flows, or thirty times as much sent; the {} quantile of {held_out} later ones lies below",
            common.threshold_quantile
        );
    }
    Ok(Trained {
        detector: "rhythm",
        card,
        artifact: model.encode(),
    })
}

/// Checks that a schema has the columns.
pub(crate) fn check(schema: &Schema) -> Result<(), TrainError> {
    features(schema).map(|_| ())
}

fn unknown_column(schema: &Schema, column: usize) -> TrainError {
    TrainError::UnknownColumn {
        schema: schema.id,
        column: Columns::of(schema.id).names[column].to_owned(),
    }
}

/// Where the features lie in the schema.
fn features(schema: &Schema) -> Result<[usize; WIDTH], TrainError> {
    let mut places = [0; WIDTH];
    for (column, place) in places.iter_mut().enumerate() {
        *place = schema
            .index_of(Columns::of(schema.id).names[column])
            .ok_or_else(|| unknown_column(schema, column))?;
    }
    Ok(places)
}

/// Rows as the detector gets them.
fn values(flows: &Flows<'_>, features: &[usize; WIDTH]) -> Vec<f32> {
    let rows = flows.rows.iter();
    rows.flat_map(|row| features.map(|place| narrow(row[place]).unwrap_or(f32::NAN)))
        .collect()
}

fn measure(model: Model, values: &[f32], contexts: &Contexts) -> Result<Vec<Measured>, TrainError> {
    let mut measured = Vec::with_capacity(contexts.len());
    run(model, values, contexts, |scorer, block| {
        scorer.measure_block(block, &mut measured)
    })?;
    Ok(measured)
}

fn scores(model: Model, values: &[f32], contexts: &Contexts) -> Result<Vec<f32>, TrainError> {
    let mut scores = Vec::with_capacity(contexts.len());
    run(model, values, contexts, |scorer, block| {
        scorer.score_block(block, &mut scores)
    })?;
    Ok(scores)
}

/// Gives a new scorer every row, block by block.
fn run(
    model: Model,
    values: &[f32],
    contexts: &Contexts,
    mut each: impl FnMut(&mut Scorer, &Block<'_>) -> Result<(), Error>,
) -> Result<(), TrainError> {
    let mut scorer = Scorer::new(model).map_err(|error| TrainError::Artifact(error.to_string()))?;
    for block in blocks(values, known(contexts)) {
        block
            .and_then(|block| each(&mut scorer, &block))
            .map_err(|error| TrainError::Score(error.to_string()))?;
    }
    Ok(())
}

fn known(contexts: &Contexts) -> Context<'_> {
    Context {
        start_time: Some(contexts.starts()),
        source: Some(contexts.sources()),
        destination: Some(contexts.destinations()),
    }
}

#[cfg(test)]
mod tests {
    use netsage_schema::RECORD_V1;

    use super::*;

    #[test]
    fn what_goes_on_in_record_v1_is_midstream() {
        let columns = Columns::of(&RECORD_V1.to_string());
        let [_, _, _, state, _] = features(&RECORD_V1).unwrap();
        let term = RECORD_V1.columns[state].term(f64::from(columns.goes_on));
        assert_eq!(term, Some("midstream"));
    }
}
