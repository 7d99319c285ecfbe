//! The trees with what they have seen.

mod explain;
mod rows;

use netsage_detector_sdk::maths::straight_log2;
use netsage_detector_sdk::{MAX_ROWS, RowError};

use crate::artifact::{ArtifactError, InputColumn, Model, State};
use crate::layout::{check, content, fingerprint, pack, unpack};
use crate::reach::{Hazard, Reach};
use crate::shape::{self, Split};

/// Rows that go through all trees before the next: a tree stays in the processor's cache for all of them.
const ROWS_AT_ONCE: usize = MAX_ROWS;

/// Half-space trees, checked, ready to score and to learn.
#[derive(Debug, Clone)]
pub struct Forest {
    schema: String,
    columns: Vec<InputColumn>,
    height: u8,
    least_rows: f32,
    window: u32,
    adaptation: f32,
    fingerprint: u64,
    /// Of all trees, one after the other.
    splits: Vec<Split>,
    /// Rows in each node of all trees, one tree after the other.
    masses: Vec<f32>,
    /// Rows in all of a tree.
    rows: f32,
    /// Of the window that is not full.
    pending: Vec<u32>,
    pending_rows: u32,
    reach: Reach,
    /// For each nominal column the rank of terms that were never seen.
    unseen: Vec<f32>,
    /// For each nominal column the logarithm by which those of ranks are divided.
    last_ranks: Vec<f32>,
    /// The rows at hand, scaled.
    scaled: Vec<f32>,
    /// For each row at hand the share of columns in which the row lies apart from ordinary rows.
    hazards: Vec<f32>,
    /// One table that changes nothing, then one table for each row at hand that lies apart.
    tables: Vec<Hazard>,
    /// For each row at hand the sum of what the trees say.
    sums: Vec<f32>,
}

impl Forest {
    /// Checks a model and lays out its trees.
    ///
    /// # Errors
    /// [`ArtifactError::Content`] when the model cannot be.
    pub fn new(model: &Model) -> Result<Self, ArtifactError> {
        check(model)?;
        let (height, trees) = (model.height, usize::from(model.trees));
        let nodes = shape::nodes(height);
        let mut splits = Vec::with_capacity(trees * shape::splits(height));
        for tree in 0..trees {
            shape::append(model.seed, tree, height, model.columns.len(), &mut splits);
        }
        let mut masses = vec![0.0; trees * nodes];
        for (stored, masses) in model.masses.iter().zip(masses.chunks_exact_mut(nodes)) {
            let mut stored = stored.iter().copied();
            unpack(&mut stored, 0, masses)?;
            if stored.next().is_some() || masses[0] != model.rows as f32 {
                return Err(content(format!(
                    "a tree holds {} rows of {}, or more masses than nodes",
                    masses[0], model.rows
                )));
            }
        }
        let unseen: Vec<f32> = model.columns.iter().map(|column| column.scale.unseen()).collect();
        Ok(Self {
            schema: model.schema.clone(),
            columns: model.columns.clone(),
            height,
            least_rows: model.least_rows,
            window: model.window,
            adaptation: model.adaptation,
            fingerprint: fingerprint(model),
            splits,
            pending: vec![0; masses.len()],
            masses,
            rows: model.rows as f32,
            pending_rows: 0,
            reach: Reach::of(&model.columns),
            last_ranks: unseen
                .iter()
                .map(|last| straight_log2(1.0 + last.max(1.0)))
                .collect(),
            unseen,
            scaled: Vec::new(),
            hazards: Vec::new(),
            tables: Vec::new(),
            sums: Vec::new(),
        })
    }

    /// Reads an artifact.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(artifact: &[u8]) -> Result<Self, ArtifactError> {
        Self::new(&Model::decode(artifact)?)
    }

    /// Replaces the learned counts by those that another forest of this model saved.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), ArtifactError> {
        let state = State::decode(state)?;
        if state.fingerprint != self.fingerprint {
            return Err(ArtifactError::OtherModel);
        }
        let sound = |mass: &f32| (0.0..=1e9).contains(mass);
        if state.masses.len() != self.masses.len()
            || state.pending.len() != self.pending.len()
            || state.pending_rows >= self.window
            || state.pending.iter().any(|&mass| mass > state.pending_rows)
            || !sound(&state.rows)
            || !state.masses.iter().all(sound)
        {
            return Err(content("its state does not fit its trees".to_owned()));
        }
        let [known, pending] = state.reach;
        self.reach.restore(known, pending)?;
        self.masses = state.masses;
        self.rows = state.rows;
        self.pending = state.pending;
        self.pending_rows = state.pending_rows;
        Ok(())
    }

    /// What was learned, as bytes.
    pub fn save(&self) -> Vec<u8> {
        State {
            fingerprint: self.fingerprint,
            rows: self.rows,
            masses: self.masses.clone(),
            pending_rows: self.pending_rows,
            pending: self.pending.clone(),
            reach: [self.reach.known().to_vec(), self.reach.pending().to_vec()],
        }
        .encode()
    }

    /// The columns that rows have, in order.
    pub fn columns(&self) -> &[InputColumn] {
        &self.columns
    }

    /// Schema of the columns, e.g. `unsw-nb15@1`.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Ordinary rows that the masses stand for; 0 before anything was learned.
    pub fn rows(&self) -> f32 {
        self.rows
    }

    /// Appends the scores of `rows` rows, row-major, to `scores`: higher is more anomalous, 0 is a place as full as
    /// any other would be if the rows lay evenly. Every row has score 0 before anything was learned.
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
        let columns = self.columns.len();
        for (chunk, values) in values.chunks(ROWS_AT_ONCE * columns).enumerate() {
            self.scale(chunk * ROWS_AT_ONCE, values)?;
            let mut sums = std::mem::take(&mut self.sums);
            sums.clear();
            sums.resize(self.hazards.len(), 0.0);
            // The first table changes nothing, and is that of all rows that lie apart nowhere.
            self.tables.clear();
            self.tables.push(self.hazard(0.0));
            for row in 0..self.hazards.len() {
                if self.hazards[row] > 0.0 {
                    self.tables.push(self.hazard(self.hazards[row]));
                }
            }
            // Every row meets the trees in the same order, so its sum has the same bits in every block.
            for (splits, masses) in self.trees() {
                let mut last_table = 0;
                let rows = self.scaled.chunks_exact(columns).zip(&self.hazards);
                for (sum, (row, &hazard)) in sums.iter_mut().zip(rows) {
                    let (depth, mass) = self.descend(splits, masses, row, |_, _, _| {});
                    let table = if hazard > 0.0 {
                        last_table += 1;
                        &self.tables[last_table]
                    } else {
                        &self.tables[0]
                    };
                    *sum += table.applied(depth, self.emptiness(depth, mass));
                }
            }
            let trees = self.tree_count();
            scores.extend(sums.iter().map(|sum| sum / trees));
            self.sums = sums;
        }
        Ok(())
    }

    /// Learns from rows that are taken for ordinary. They change the scores once their window is full.
    ///
    /// # Errors
    /// [`RowError`]; the rows before are learned then.
    pub fn learn_block(&mut self, values: &[f32], rows: usize) -> Result<(), RowError> {
        RowError::check_shape(rows, self.columns.len(), values)?;
        let nodes = shape::nodes(self.height);
        for (index, row) in values.chunks_exact(self.columns.len()).enumerate() {
            self.scale(index, row)?;
            let trees = self.splits.chunks_exact(shape::splits(self.height));
            for (splits, pending) in trees.zip(self.pending.chunks_exact_mut(nodes)) {
                let mut node = 0;
                pending[node] += 1;
                while let Some(split) = splits.get(node) {
                    node = below(node, *split, &self.scaled);
                    pending[node] += 1;
                }
            }
            for (column, &value) in row.iter().enumerate() {
                let place = self.place(column, value);
                self.reach.learn(column, place);
            }
            self.pending_rows += 1;
            if self.pending_rows >= self.window {
                self.take_window();
            }
        }
        Ok(())
    }

    /// Lets the full window enter the masses. The masses go on standing for as many rows as before, so that scores keep
    /// their scale and thresholds their meaning.
    fn take_window(&mut self) {
        let (weight, rows) = if self.rows > 0.0 {
            (self.adaptation, self.rows)
        } else {
            (1.0, self.window as f32)
        };
        let each = weight * rows / self.window as f32;
        for (mass, pending) in self.masses.iter_mut().zip(&mut self.pending) {
            *mass = *mass * (1.0 - weight) + *pending as f32 * each;
            *pending = 0;
        }
        self.reach.take_window(self.rows == 0.0);
        self.rows = rows;
        self.pending_rows = 0;
    }

    fn trees(&self) -> impl Iterator<Item = (&[Split], &[f32])> {
        let splits = self.splits.chunks_exact(shape::splits(self.height));
        splits.zip(self.masses.chunks_exact(shape::nodes(self.height)))
    }

    fn tree_count(&self) -> f32 {
        (self.splits.len() / shape::splits(self.height)) as f32
    }

    /// Follows a scaled row down to a leaf or to the first node with few rows; gives its depth and mass.
    #[inline(always)]
    fn descend(
        &self,
        splits: &[Split],
        masses: &[f32],
        row: &[f32],
        mut visit: impl FnMut(usize, f32, f32),
    ) -> (usize, f32) {
        let (mut node, mut depth) = (0, 0);
        let mut mass = masses[0];
        while mass > self.least_rows
            && let Some(split) = splits.get(node)
        {
            node = below(node, *split, row);
            let before = mass;
            // A child of a split is among the nodes.
            mass = masses[node];
            visit(split.column as usize, before, mass);
            depth += 1;
        }
        (depth, mass)
    }

    fn emptiness(&self, depth: usize, mass: f32) -> f32 {
        if self.rows == 0.0 {
            return 0.0;
        }
        straight_log2(self.rows + 1.0) - straight_log2(mass + 1.0) - depth as f32
    }

    fn hazard(&self, hazard: f32) -> Hazard {
        // Before anything was learned no place is emptier than others.
        let hazard = if self.rows == 0.0 { 0.0 } else { hazard };
        Hazard::new(hazard, straight_log2(self.rows + 1.0))
    }
}

/// The child of a split on the side of the row.
#[inline(always)]
fn below(node: usize, split: Split, scaled: &[f32]) -> usize {
    2 * node + 1 + usize::from(scaled[split.column as usize] >= split.at)
}

impl Model {
    /// This model with the masses of these ordinary rows, row-major, in place of its own.
    ///
    /// # Errors
    /// When the model cannot be, or a row does not fit it ([`ArtifactError::Content`] names it).
    pub fn fit(mut self, values: &[f32]) -> Result<Self, ArtifactError> {
        self.masses = Vec::new();
        self.rows = 0;
        let mut forest = Forest::new(&self)?;
        let rows = values.len() / self.columns.len();
        // Everything stays in the window that is not full.
        forest.window = u32::MAX;
        forest
            .learn_block(values, rows)
            .map_err(|error| content(error.to_string()))?;
        self.rows = forest.pending_rows;
        self.masses = forest
            .pending
            .chunks_exact(shape::nodes(self.height))
            .map(|masses| {
                let mut stored = Vec::new();
                pack(masses, 0, &mut stored);
                stored
            })
            .collect();
        Ok(self)
    }
}
