//! Scoring rows with a checked model.

use netsage_detector_sdk::RowError;

use crate::artifact::{ArtifactError, InputColumn, Method, Model, Scale};
use crate::check::{MAX_NOMINALS, check};
use crate::index::{Cloud, Nearest};
use crate::maths::to_grid;
use crate::mixture::Mixture;
use crate::surprise::Surprise;

/// A model, checked and indexed, ready to score.
#[derive(Debug, Clone)]
pub struct Scorer {
    schema: String,
    columns: Vec<InputColumn>,
    /// Positions of the nominal columns.
    nominals: Vec<usize>,
    resolution: f32,
    contexts: Vec<Vec<u16>>,
    pub(crate) groups: Vec<Group>,
    /// The row at hand.
    pub(crate) row: Row,
}

/// The row at hand.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Its numbers in standard deviations, by column.
    pub(crate) numbers: Vec<f32>,
    /// The same on the grid.
    pub(crate) grid: Vec<f32>,
    /// Its codes, by nominal column.
    pub(crate) codes: Vec<u16>,
    /// For each context a bit for each nominal column in which the row differs.
    pub(crate) differences: Vec<u8>,
    /// The context that differs in none.
    own: Option<usize>,
    /// The numbers of a group, padded.
    pub(crate) picked: Vec<f32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) columns: Vec<usize>,
    pub(crate) method: Prepared,
    pub(crate) surprise: Surprise,
}

#[derive(Debug, Clone)]
pub(crate) enum Prepared {
    Neighbours(Neighbours),
    Mixture(Mixture, Vec<crate::Component>, f32),
}

#[derive(Debug, Clone)]
pub(crate) struct Neighbours {
    /// For each context.
    pub(crate) clouds: Vec<Cloud>,
    /// What each set of differing nominal columns adds to the squared distance, rising.
    differences: Vec<(u8, f32)>,
    /// Squared penalties by nominal column.
    pub(crate) penalties: Vec<f32>,
    pub(crate) nearest: Nearest,
    /// Squared distance below which the surprise is the same.
    enough: f32,
}

impl Scorer {
    /// Checks a model and lays out its points.
    ///
    /// # Errors
    /// [`ArtifactError::Content`] when the model cannot be.
    pub fn new(model: &Model) -> Result<Self, ArtifactError> {
        check(model)?;
        let is_nominal = |column: &InputColumn| column.scale.is_nominal();
        let nominals = (0..model.columns.len())
            .filter(|&column| is_nominal(&model.columns[column]))
            .collect();
        let groups = model.groups.iter().map(|group| {
            let width = group.columns.len();
            let method = match &group.method {
                Method::Neighbours {
                    neighbours,
                    penalties,
                    points,
                } => {
                    let mut base = 0;
                    let clouds = points.iter().map(|points| {
                        let values: Vec<f32> = points.values.iter().copied().map(f32::from).collect();
                        let cloud = Cloud::new(width, &values, &points.counts, base);
                        base += points.counts.len() as u32;
                        cloud
                    });
                    let clouds = clouds.collect();
                    let squares: Vec<f32> = penalties.iter().map(|penalty| penalty * penalty).collect();
                    let mut differences: Vec<(u8, f32)> = (0..1u8 << squares.len())
                        .map(|set| (set, sum_of(set, &squares)))
                        .collect();
                    differences.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
                    Prepared::Neighbours(Neighbours {
                        clouds,
                        differences,
                        penalties: squares,
                        nearest: Nearest::new(u32::from(*neighbours)),
                        enough: group.surprise.floor() * group.surprise.floor(),
                    })
                }
                Method::Mixture { components, floor } => {
                    Prepared::Mixture(Mixture::new(width, components), components.clone(), *floor)
                }
            };
            Group {
                columns: group.columns.iter().copied().map(usize::from).collect(),
                method,
                surprise: group.surprise.clone(),
            }
        });
        let groups: Vec<Group> = groups.collect();
        let widest = groups
            .iter()
            .map(|group| group.columns.len())
            .max()
            .unwrap_or_default();
        Ok(Self {
            schema: model.schema.clone(),
            row: Row {
                numbers: vec![0.0; model.columns.len()],
                grid: vec![0.0; model.columns.len()],
                codes: Vec::with_capacity(MAX_NOMINALS),
                differences: vec![0; model.contexts.len()],
                own: None,
                picked: vec![0.0; widest.next_multiple_of(4)],
            },
            columns: model.columns.clone(),
            nominals,
            resolution: model.resolution,
            contexts: model.contexts.clone(),
            groups,
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
        &self.columns
    }

    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Grid steps to a standard deviation.
    pub(crate) fn resolution(&self) -> f32 {
        self.resolution
    }

    pub(crate) fn contexts(&self) -> &[Vec<u16>] {
        &self.contexts
    }

    pub(crate) fn nominals(&self) -> &[usize] {
        &self.nominals
    }

    /// Appends the scores of `rows` rows, row-major, to `scores`: sums of surprises, at least 0, higher is more
    /// anomalous.
    ///
    /// # Errors
    /// [`RowError`]; `scores` may then hold scores of the rows before.
    pub fn score_block(
        &mut self,
        values: &[f32],
        rows: usize,
        scores: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        RowError::check_shape(rows, self.columns.len(), values)?;
        for (index, row) in values.chunks_exact(self.columns.len()).enumerate() {
            scores.push(self.score(index, row)?);
        }
        Ok(())
    }

    /// The score of a row, which is at position `index` of its block.
    #[inline(always)]
    pub(crate) fn score(&mut self, index: usize, row: &[f32]) -> Result<f32, RowError> {
        self.take(index, row)?;
        let mut sum = 0.0;
        for group in &mut self.groups {
            let distance = group.distance(&mut self.row);
            sum += group.surprise.at(distance);
        }
        Ok(sum)
    }

    /// Appends the distances of `rows` rows, row-major, one for each group, to `distances`. Training calls this to
    /// find out what distances mean.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn distances(
        &mut self,
        values: &[f32],
        rows: usize,
        distances: &mut Vec<f32>,
    ) -> Result<(), RowError> {
        RowError::check_shape(rows, self.columns.len(), values)?;
        for (index, row) in values.chunks_exact(self.columns.len()).enumerate() {
            self.take(index, row)?;
            for group in &mut self.groups {
                distances.push(group.distance(&mut self.row));
            }
        }
        Ok(())
    }

    /// Makes a row the one at hand.
    pub(crate) fn take(&mut self, index: usize, values: &[f32]) -> Result<(), RowError> {
        let row = &mut self.row;
        row.codes.clear();
        for (position, (column, &value)) in self.columns.iter().zip(values).enumerate() {
            match column.scale {
                Scale::Number {
                    steps,
                    centre,
                    deviation,
                } => {
                    let number = (Scale::logarithm(value, steps) - centre) / deviation;
                    row.numbers[position] = number;
                    row.grid[position] = to_grid(number * self.resolution);
                }
                Scale::Nominal if (0.0..=65_535.0).contains(&value) && value.fract() == 0.0 => {
                    row.codes.push(value as u16);
                }
                // The conversion saturates, and makes 0 of what is no number.
                Scale::Name => row.codes.push(value as u16),
                Scale::Nominal => {
                    return Err(RowError::Code {
                        row: index,
                        column: column.name.clone(),
                        value,
                    });
                }
            }
        }
        row.own = None;
        for (place, (context, differences)) in self.contexts.iter().zip(&mut row.differences).enumerate() {
            *differences = 0;
            for (nominal, (code, own)) in context.iter().zip(&row.codes).enumerate() {
                *differences |= u8::from(code != own) << nominal;
            }
            if *differences == 0 {
                row.own = Some(place);
            }
        }
        Ok(())
    }
}

impl Group {
    /// The distance of the row at hand.
    #[inline]
    pub(crate) fn distance(&mut self, row: &mut Row) -> f32 {
        let (picked, _) = row.picked.split_at_mut(self.columns.len().next_multiple_of(4));
        match &mut self.method {
            Prepared::Neighbours(neighbours) => {
                picked[self.columns.len()..].fill(0.0);
                for (picked, &column) in picked.iter_mut().zip(&self.columns) {
                    *picked = row.grid[column];
                }
                neighbours.find(picked, &row.differences, row.own, neighbours.enough);
                neighbours.nearest.mean_distance()
            }
            Prepared::Mixture(mixture, _, floor) => {
                for (picked, &column) in picked.iter_mut().zip(&self.columns) {
                    *picked = row.numbers[column];
                }
                let above = mixture.energy(picked, &row.codes) - *floor;
                if above > 0.0 { (2.0 * above).sqrt() } else { 0.0 }
            }
        }
    }
}

impl Neighbours {
    /// Finds the nearest points, or stops once there are enough of them nearer than the square root of `enough`.
    pub(crate) fn find(&mut self, query: &[f32], differences: &[u8], own: Option<usize>, enough: f32) {
        self.nearest.clear(f32::INFINITY);
        // The own context first: mostly no other needs to be looked at.
        if let Some(own) = own {
            self.clouds[own].search(query, 0.0, enough, &mut self.nearest);
        }
        for &(set, offset) in &self.differences {
            if offset >= self.nearest.bound() || self.nearest.bound() <= enough {
                return;
            }
            if set == 0 {
                continue;
            }
            for (cloud, _) in self
                .clouds
                .iter()
                .zip(differences)
                .filter(|(_, found)| **found == set)
            {
                cloud.search(query, offset, enough, &mut self.nearest);
            }
        }
    }
}

/// What the nominal columns of a set add to a squared distance.
fn sum_of(set: u8, squares: &[f32]) -> f32 {
    let members = squares
        .iter()
        .enumerate()
        .filter(|(nominal, _)| set >> nominal & 1 == 1);
    members.fold(0.0, |sum, (_, square)| sum + square)
}
