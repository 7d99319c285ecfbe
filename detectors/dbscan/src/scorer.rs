//! Scoring rows by their distance to the nearest core point.

use netsage_context_knn::{InputColumn, Method, RowError};
use netsage_detector_sdk::Explanation;

use crate::artifact::{ArtifactError, Model};

/// A model, checked and indexed, ready to score.
#[derive(Debug, Clone)]
pub struct Scorer {
    eps: f32,
    cores: netsage_context_knn::Scorer,
}

impl Scorer {
    /// Checks a model and lays out its core points.
    ///
    /// # Errors
    /// [`ArtifactError::Content`] when the model cannot be.
    pub fn new(model: &Model) -> Result<Self, ArtifactError> {
        let content = |text: &str| ArtifactError::Content(text.to_owned());
        if !(1e-6..=1e9).contains(&model.eps) {
            return Err(ArtifactError::Content(format!("an eps of {}", model.eps)));
        }
        match model.cores.groups.as_slice() {
            [group] => match &group.method {
                Method::Neighbours {
                    neighbours: 1,
                    points,
                    ..
                } if points.iter().any(|points| !points.counts.is_empty()) => {}
                _ => return Err(content("its group is none of core points")),
            },
            _ => return Err(content("it has not one group of core points")),
        }
        let cores = netsage_context_knn::Scorer::new(&model.cores)
            .map_err(|error| ArtifactError::Content(error.to_string()))?;
        Ok(Self {
            eps: model.eps,
            cores,
        })
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        Self::new(&Model::decode(artifact)?)
    }

    /// The columns that rows have, in order.
    pub fn columns(&self) -> &[InputColumn] {
        self.cores.columns()
    }

    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub fn schema(&self) -> &str {
        self.cores.schema()
    }

    /// Appends the scores of `rows` rows, row-major, to `scores`: the distance to the nearest core point in units of
    /// `eps`, at least 0. Rows above 1 are noise to DBSCAN.
    ///
    /// # Errors
    /// [`RowError`]; `scores` may then hold distances of the rows before.
    pub fn score_block(
        &mut self,
        values: &[f32],
        rows: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        let before = scores.len();
        self.cores.distances(values, rows, scores)?;
        for score in &mut scores[before..] {
            *score /= self.eps;
        }
        Ok(())
    }

    /// For each row the columns in which it differs most from the nearest core point, at most `limit` of them, the
    /// largest first, with the value that this core point has.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(
        &mut self,
        values: &[f32],
        rows: usize,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        self.cores.explain_block(values, rows, limit)
    }
}
