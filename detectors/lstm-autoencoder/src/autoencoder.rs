//! A trained autoencoder with what it remembers of the sources.

use netsage_detector_sdk::{Contribution, Explanation, RowError};

use crate::artifact::{ArtifactError, InputColumn, Model};
use crate::histories::{Histories, MOST_SOURCES, Window};
use crate::network::{Network, Scratch};

/// The last column of a row, after those of the model: the source as a whole number from 0 to 2^24 - 1, or a negative
/// number when nobody knows it. A row without a source is a source of its own: its window is itself alone.
pub const SOURCE_COLUMN: &str = "context.source";

/// Sources are hashes of 24 bits.
const SOURCES: f32 = (1u32 << 24) as f32;

/// Rows that are worked on at once.
const BLOCK_ROWS: usize = 1024;

/// An autoencoder, checked, ready to score.
///
/// It remembers the last seven flows of at most 4,096 sources. Nothing of that is ever saved: a new session
/// knows nobody, and the first flow of every source is a window of one there, the second of two, and so on; the
/// network learned such windows too.
#[derive(Debug)]
pub struct Autoencoder {
    schema: String,
    columns: Vec<InputColumn>,
    network: Network,
    histories: Histories,
    windows: Vec<Window>,
    scoring: Scratch,
    /// The block that was scored last, for explanations.
    last: Vec<f32>,
    explaining: Scratch,
    judged: Vec<(f32, f32)>,
}

impl Autoencoder {
    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        Ok(Self::new(&Model::decode(artifact)?))
    }

    /// Makes a model ready. Models that were not decoded must have the sizes that they say.
    pub fn new(model: &Model) -> Self {
        Self::with_memory(model, MOST_SOURCES)
    }

    /// As [`Autoencoder::new`] with room for so many sources.
    pub(crate) fn with_memory(model: &Model, sources: usize) -> Self {
        let network = Network::new(model);
        Self {
            schema: model.schema.clone(),
            columns: model.columns.clone(),
            histories: Histories::new(sources, network.projected_width()),
            network,
            windows: Vec::new(),
            scoring: Scratch::default(),
            last: Vec::new(),
            explaining: Scratch::default(),
            judged: Vec::new(),
        }
    }

    /// The columns of the model; rows have the source after them.
    pub fn columns(&self) -> &[InputColumn] {
        &self.columns
    }

    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Sources that are remembered.
    pub fn sources(&self) -> usize {
        self.histories.len()
    }

    /// Appends the scores of `rows` rows, row-major, to `scores`: the error of the reconstruction of each, at least 0.
    /// Each row enters the history of its source.
    ///
    /// # Errors
    /// [`RowError`]; nothing is remembered of the 1,024 rows among which it is.
    pub fn score_block(
        &mut self,
        values: &[f32],
        rows: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        let width = self.check_shape(values, rows)?;
        for (index, block) in values.chunks(BLOCK_ROWS * width).enumerate() {
            self.score_part(block, index * BLOCK_ROWS, scores)?;
        }
        Ok(())
    }

    fn score_part(&mut self, block: &[f32], first: usize, scores: &mut Vec<f32>) -> Result<(), RowError> {
        let width = self.columns.len() + 1;
        let Self {
            network,
            histories,
            windows,
            scoring,
            columns,
            last,
            ..
        } = self;
        last.clear();
        check_sources(block, width, first)?;
        network
            .project(block, scoring)
            .map_err(|(row, bad)| no_code(columns, first + row, bad))?;
        windows.clear();
        windows.extend(
            block
                .chunks_exact(width)
                .enumerate()
                .map(|(row, values)| match source_of(values) {
                    Some(source) => histories.enter(source, row),
                    None => Histories::alone(row),
                }),
        );
        network.reconstruct(windows, histories, scoring);
        let features = network.padded_features();
        let numbers = scoring.numbers.chunks_exact(features);
        let pairs = numbers.zip(scoring.reconstructed.chunks_exact(features));
        scores.extend(pairs.map(|(numbers, reconstructed)| network.score(numbers, reconstructed)));
        histories.keep(&scoring.projected);
        last.extend_from_slice(block);
        Ok(())
    }

    /// For each row the columns with the largest errors, at most `limit` of them, the largest first, with the value
    /// that the network expected. Weights are shares of the squared score.
    ///
    /// A row of the block that was scored last is explained as it was scored; any other as if it were the next flow of
    /// its source. Nothing is remembered of it.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(
        &mut self,
        values: &[f32],
        rows: usize,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        let width = self.check_shape(values, rows)?;
        check_sources(values, width, 0)?;
        let mut explanation = Explanation::default();
        for (index, row) in values.chunks_exact(width).enumerate() {
            let scored = self.last.chunks_exact(width).rposition(|last| last == row);
            let (scratch, place) = match scored {
                Some(place) => (&self.scoring, place),
                None => {
                    self.network
                        .project(row, &mut self.explaining)
                        .map_err(|(_, bad)| no_code(&self.columns, index, bad))?;
                    let window = match source_of(row) {
                        Some(source) => self.histories.next_window(source, 0),
                        None => Histories::alone(0),
                    };
                    self.network
                        .reconstruct(&[window], &self.histories, &mut self.explaining);
                    (&self.explaining, 0)
                }
            };
            let features = self.network.padded_features();
            let [numbers, reconstructed] = [&scratch.numbers, &scratch.reconstructed]
                .map(|values| &values[place * features..][..features]);
            self.network.judge(numbers, reconstructed, &mut self.judged);
            explanation.push_row(contributions(&self.judged, limit));
        }
        Ok(explanation)
    }

    fn check_shape(&self, values: &[f32], rows: usize) -> Result<usize, RowError> {
        let columns = self.columns.len() + 1;
        RowError::check_shape(rows, columns, values)?;
        Ok(columns)
    }
}

/// The largest parts as shares of all.
fn contributions(judged: &[(f32, f32)], limit: usize) -> impl Iterator<Item = Contribution> {
    let all: f32 = judged.iter().map(|&(part, _)| part).sum();
    let mut order: Vec<usize> = (0..judged.len())
        .filter(|&column| judged[column].0 > 0.0)
        .collect();
    order.sort_by(|&a, &b| judged[b].0.total_cmp(&judged[a].0).then(a.cmp(&b)));
    order.truncate(limit);
    order.into_iter().map(move |column| Contribution {
        column,
        // Rounded down a little: the shares of a row must not sum to more than 1.
        weight: judged[column].0 / all * (1.0 - 1e-5),
        typical: judged[column].1,
    })
}

/// The source of a row, which is its last value; nothing when nobody knows it.
fn source_of(row: &[f32]) -> Option<u32> {
    row.last()
        .filter(|&&source| source >= 0.0)
        .map(|&source| source as u32)
}

fn check_sources(values: &[f32], width: usize, first: usize) -> Result<(), RowError> {
    let sources = values.iter().skip(width - 1).step_by(width);
    let is_wrong = |source: f32| !(source < 0.0 || (source < SOURCES && source.fract() == 0.0));
    match sources.enumerate().find(|&(_, &source)| is_wrong(source)) {
        None => Ok(()),
        Some((row, &value)) => Err(RowError::Code {
            row: first + row,
            column: SOURCE_COLUMN.to_owned(),
            value,
        }),
    }
}

fn no_code(columns: &[InputColumn], row: usize, bad: crate::network::NoCode) -> RowError {
    RowError::Code {
        row,
        column: columns[bad.column].name.clone(),
        value: bad.value,
    }
}
