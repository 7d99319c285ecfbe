//! A trained autoencoder with what it remembers of the sources.

use netsage_detector_sdk::{Contribution, Explanation, MAX_ROWS, RowError};

use crate::artifact::{ArtifactError, InputColumn, Model};
use crate::histories::{Histories, MOST_SOURCES, Window};
use crate::network::{Network, Scratch};

/// Rows that are worked on at once.
const BLOCK_ROWS: usize = MAX_ROWS;

/// An autoencoder, checked, ready to score.
///
/// It remembers the last seven flows of at most 4,096 sources. The windows are never saved: a new session knows no
/// source, and the first flow of every source is a window of one there, the second a window of two, and so on; the
/// network learned such windows too.
#[derive(Debug)]
pub struct Autoencoder {
    schema: String,
    columns: Vec<InputColumn>,
    network: Network,
    histories: Histories,
    windows: Vec<Window>,
    scoring: Scratch,
    /// The block that was scored last and its sources (none where nobody knows them), for explanations.
    last: Vec<f32>,
    last_sources: Vec<u64>,
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
            last_sources: Vec::new(),
            explaining: Scratch::default(),
            judged: Vec::new(),
        }
    }

    /// The columns that rows have, in order.
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
    /// Each row enters the history of its source; where nobody knows the sources, each row stands alone. There is one
    /// source for each row.
    ///
    /// # Errors
    /// [`RowError`]; nothing is remembered of the 1,024 rows among which it is.
    pub fn score_block(
        &mut self,
        values: &[f32],
        rows: usize,
        sources: Option<&[u64]>,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        let width = self.check_shape(values, rows, sources)?;
        for (index, block) in values.chunks(BLOCK_ROWS * width).enumerate() {
            let first = index * BLOCK_ROWS;
            let sources = sources.map(|sources| &sources[first..first + block.len() / width]);
            self.score_part(block, sources, first, scores)?;
        }
        Ok(())
    }

    fn score_part(
        &mut self,
        block: &[f32],
        sources: Option<&[u64]>,
        first: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        let Self {
            network,
            histories,
            windows,
            scoring,
            columns,
            last,
            last_sources,
            ..
        } = self;
        last.clear();
        let rows = block.len() / columns.len();
        network
            .project(block, scoring)
            .map_err(|(row, bad)| no_code(columns, first + row, bad))?;
        windows.clear();
        match sources {
            Some(sources) => windows.extend(
                sources
                    .iter()
                    .enumerate()
                    .map(|(row, &source)| histories.enter(source, row)),
            ),
            None => windows.extend((0..rows).map(Histories::alone)),
        }
        network.reconstruct(windows, histories, scoring);
        let features = network.padded_features();
        let numbers = scoring.numbers.chunks_exact(features);
        let pairs = numbers.zip(scoring.reconstructed.chunks_exact(features));
        scores.extend(pairs.map(|(numbers, reconstructed)| network.score(numbers, reconstructed)));
        histories.keep(&scoring.projected);
        last.extend_from_slice(block);
        last_sources.clear();
        last_sources.extend_from_slice(sources.unwrap_or_default());
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
        sources: Option<&[u64]>,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        let width = self.check_shape(values, rows, sources)?;
        let mut explanation = Explanation::default();
        for (index, row) in values.chunks_exact(width).enumerate() {
            let source = sources.map(|sources| sources[index]);
            let of_source = |place: usize| self.last_sources.get(place).copied() == source;
            let mut last = self.last.chunks_exact(width).enumerate().rev();
            let scored = last.find(|&(place, last)| last == row && of_source(place));
            let (scratch, place) = match scored {
                Some((place, _)) => (&self.scoring, place),
                None => {
                    self.network
                        .project(row, &mut self.explaining)
                        .map_err(|(_, bad)| no_code(&self.columns, index, bad))?;
                    let window = match source {
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

    fn check_shape(&self, values: &[f32], rows: usize, sources: Option<&[u64]>) -> Result<usize, RowError> {
        RowError::check_shape(rows, self.columns.len(), values)?;
        // One source a row, as of a table with one column.
        if let Some(sources) = sources.filter(|sources| sources.len() != rows) {
            return Err(RowError::Shape {
                rows,
                columns: 1,
                values: sources.len(),
            });
        }
        Ok(self.columns.len())
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

fn no_code(columns: &[InputColumn], row: usize, bad: crate::network::NoCode) -> RowError {
    RowError::Code {
        row,
        column: columns[bad.column].name.clone(),
        value: bad.value,
    }
}
