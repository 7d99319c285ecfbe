//! The trees with what they have seen.

use netsage_detector_sdk::{Contribution, Explanation};

use crate::artifact::{ArtifactError, InputColumn, Model, Scale, State};
use crate::maths::{log2, mix};
use crate::shape::{self, Split};

const MAX_TREES: u16 = 500;
const MAX_HEIGHT: u8 = 16;
/// Most nodes of all trees together: 16 bytes each, so 64 MiB.
const MAX_NODES: usize = 1 << 22;

/// Why a row cannot be scored.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowError {
    /// The number of values does not fit.
    #[error("{rows} rows of {columns} columns are not {values} values")]
    Shape {
        /// Rows announced.
        rows: usize,
        /// Columns of the model.
        columns: usize,
        /// Values given.
        values: usize,
    },
    /// A nominal column holds something else than the code of a term.
    #[error("row {row}, column {column}: {value} is not the code of a term")]
    Code {
        /// Position of the row, from 0.
        row: usize,
        /// Name of the column.
        column: String,
        /// What it holds.
        value: f32,
    },
}

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
    /// The row at hand, scaled.
    scaled: Vec<f32>,
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
            scaled: vec![0.0; model.columns.len()],
        })
    }

    /// Reads an artifact, and the state that was learned with it, if there is one.
    ///
    /// # Errors
    /// [`ArtifactError`], whatever the bytes are; nothing panics.
    pub fn decode(artifact: &[u8], state: Option<&[u8]>) -> Result<Self, ArtifactError> {
        let mut forest = Self::new(&Model::decode(artifact)?)?;
        if let Some(state) = state {
            forest.restore(State::decode(state)?)?;
        }
        Ok(forest)
    }

    fn restore(&mut self, state: State) -> Result<(), ArtifactError> {
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
        self.check_shape(values, rows)?;
        for (index, row) in values.chunks_exact(self.columns.len()).enumerate() {
            self.scale(index, row)?;
            let mut sum = 0.0;
            for (splits, masses) in self.trees() {
                let (depth, mass) = self.descend(splits, masses, |_, _, _| {});
                sum += self.emptiness(depth, mass);
            }
            scores.push(sum / self.tree_count());
        }
        Ok(())
    }

    /// For each row the columns whose halvings led to emptier places, at most `limit` of them, the largest first.
    /// Weights are shares of all the emptiness that was met on the way.
    ///
    /// # Errors
    /// [`RowError`].
    pub fn explain_block(
        &mut self,
        values: &[f32],
        rows: usize,
        limit: usize,
    ) -> Result<Explanation, RowError> {
        self.check_shape(values, rows)?;
        let mut explanation = Explanation::default();
        for (index, row) in values.chunks_exact(self.columns.len()).enumerate() {
            self.scale(index, row)?;
            let mut emptied = vec![0.0f32; self.columns.len()];
            for (splits, masses) in self.trees() {
                self.descend(splits, masses, |column, before, after| {
                    emptied[column] += log2(before + 1.0) - log2(after + 1.0) - 1.0;
                });
            }
            let all: f32 = emptied.iter().filter(|&&share| share > 0.0).sum();
            let mut order: Vec<usize> = (0..emptied.len())
                .filter(|&column| emptied[column] > 0.0)
                .collect();
            order.sort_by(|&a, &b| emptied[b].total_cmp(&emptied[a]).then(a.cmp(&b)));
            order.truncate(limit);
            explanation.push_row(order.into_iter().map(|column| Contribution {
                column,
                // Rounded down a little: the shares of a row must not sum to more than 1.
                weight: emptied[column] / all * (1.0 - 1e-5),
                typical: self.columns[column].typical,
            }));
        }
        Ok(explanation)
    }

    /// Learns from rows that are taken for ordinary. They change the scores once their window is full.
    ///
    /// # Errors
    /// [`RowError`]; the rows before are learned then.
    pub fn learn_block(&mut self, values: &[f32], rows: usize) -> Result<(), RowError> {
        self.check_shape(values, rows)?;
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
            self.pending_rows += 1;
            if self.pending_rows >= self.window {
                self.take_window();
            }
        }
        Ok(())
    }

    /// Lets the full window enter the masses. They go on standing for as many rows as before, so that scores keep
    /// their scale and a threshold its meaning.
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

    /// Follows the row at hand down to a leaf or to the first node with few rows; gives its depth and mass.
    #[inline(always)]
    fn descend(
        &self,
        splits: &[Split],
        masses: &[f32],
        mut visit: impl FnMut(usize, f32, f32),
    ) -> (u32, f32) {
        let (mut node, mut depth) = (0, 0);
        let mut mass = masses[0];
        while mass > self.least_rows
            && let Some(split) = splits.get(node)
        {
            node = below(node, *split, &self.scaled);
            let before = mass;
            // A child of a split is among the nodes.
            mass = masses[node];
            visit(split.column as usize, before, mass);
            depth += 1;
        }
        (depth, mass)
    }

    fn emptiness(&self, depth: u32, mass: f32) -> f32 {
        if self.rows == 0.0 {
            return 0.0;
        }
        log2(self.rows + 1.0) - log2(mass + 1.0) - depth as f32
    }

    fn check_shape(&self, values: &[f32], rows: usize) -> Result<(), RowError> {
        let columns = self.columns.len();
        if rows.checked_mul(columns) == Some(values.len()) {
            return Ok(());
        }
        Err(RowError::Shape {
            rows,
            columns,
            values: values.len(),
        })
    }

    /// Scales a row into `scaled`.
    fn scale(&mut self, index: usize, row: &[f32]) -> Result<(), RowError> {
        for ((column, &value), scaled) in self.columns.iter().zip(row).zip(&mut self.scaled) {
            *scaled = match &column.scale {
                Scale::Logarithm { steps, low, high } => {
                    ((Scale::logarithm(value, *steps) - low) / (high - low)).clamp(-0.5, 1.5)
                }
                Scale::Rank(ranks) => {
                    if !(value >= 0.0 && value.fract() == 0.0) {
                        return Err(RowError::Code {
                            row: index,
                            column: column.name.clone(),
                            value,
                        });
                    }
                    let unseen = ranks.iter().copied().max().unwrap_or_default();
                    let rank = ranks.get(value as usize).copied().unwrap_or(unseen);
                    log2(1.0 + f32::from(rank)) / log2(1.0 + f32::from(unseen.max(1)))
                }
            };
        }
        Ok(())
    }
}

/// The child of a split on the side of the row.
#[inline(always)]
fn below(node: usize, split: Split, scaled: &[f32]) -> usize {
    2 * node + 1 + usize::from(scaled[split.column as usize] >= split.at)
}

fn content(text: String) -> ArtifactError {
    ArtifactError::Content(text)
}

fn check(model: &Model) -> Result<(), ArtifactError> {
    let columns = model.columns.len();
    if !(1..=255).contains(&columns) {
        return Err(content(format!("{columns} columns instead of 1 to 255")));
    }
    if !(1..=MAX_TREES).contains(&model.trees) || !(1..=MAX_HEIGHT).contains(&model.height) {
        return Err(content(format!(
            "{} trees of height {} instead of 1 to {MAX_TREES} of 1 to {MAX_HEIGHT}",
            model.trees, model.height
        )));
    }
    if usize::from(model.trees) * shape::nodes(model.height) > MAX_NODES {
        return Err(content(format!("its trees have more than {MAX_NODES} nodes")));
    }
    let weight = model.adaptation > 0.0 && model.adaptation <= 1.0;
    if !weight || model.window == 0 || !(0.0..=1e9).contains(&model.least_rows) {
        return Err(content(format!(
            "a window of {} rows with weight {}, and at least {} rows to divide a node",
            model.window, model.adaptation, model.least_rows
        )));
    }
    let expected = if model.rows == 0 {
        0
    } else {
        usize::from(model.trees)
    };
    if model.masses.len() != expected || model.rows > 1 << 24 {
        return Err(content(format!(
            "the masses of {} trees for {} rows",
            model.masses.len(),
            model.rows
        )));
    }
    for column in &model.columns {
        let sound = match &column.scale {
            Scale::Logarithm { steps, low, high } => {
                *steps > 0.0 && steps.is_finite() && low.is_finite() && high.is_finite() && low < high
            }
            Scale::Rank(_) => true,
        };
        if !sound || !column.typical.is_finite() {
            return Err(content(format!("the scale of {} is none", column.name)));
        }
    }
    Ok(())
}

/// Fills the masses below `node` from their stored order. The depth of the recursion is the height.
fn unpack(
    stored: &mut impl Iterator<Item = u32>,
    node: usize,
    masses: &mut [f32],
) -> Result<u32, ArtifactError> {
    let missing = || content("a tree has fewer masses than nodes".to_owned());
    let mass = stored.next().ok_or_else(missing)?;
    masses[node] = mass as f32;
    let first_child = 2 * node + 1;
    if mass > 0 && first_child < masses.len() {
        let lower = unpack(stored, first_child, masses)?;
        let upper = unpack(stored, first_child + 1, masses)?;
        if lower.checked_add(upper) != Some(mass) {
            return Err(content(format!(
                "halves of {lower} and {upper} rows in a node of {mass}"
            )));
        }
    }
    Ok(mass)
}

/// The masses of a tree in their stored order; the reverse of [`unpack`].
pub(crate) fn pack(masses: &[u32], node: usize, stored: &mut Vec<u32>) {
    stored.push(masses[node]);
    let first_child = 2 * node + 1;
    if masses[node] > 0 && first_child < masses.len() {
        pack(masses, first_child, stored);
        pack(masses, first_child + 1, stored);
    }
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

fn fingerprint(model: &Model) -> u64 {
    let mut hash = mix(model.seed ^ u64::from(model.trees) << 32 ^ u64::from(model.height));
    for byte in model
        .columns
        .iter()
        .flat_map(|column| column.name.bytes().chain([0]))
    {
        hash = mix(hash ^ u64::from(byte));
    }
    hash
}
