//! A loaded detector: thread-safe scoring over a pool of instances.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use netsage_package::golden::{self, GOLDEN_HOSTS, GOLDEN_ROWS, Golden, Order, Pass};
use netsage_package::{Digest, MAX_BLOCK_ROWS, ModelCard, Package, PackageError, SCHEMA_PROPERTY};
use netsage_schema::{Contexts, Rows, Schema, WantedContext};

use crate::columns::{ColumnContribution, InputColumn, Projection};
use crate::description::{Description, StateKey};
use crate::engine::Sandbox;
use crate::error::{GoldenError, GuestFailure, LoadError, ScoreError};
use crate::exports::Code;
use crate::instance::{Budgets, Instance, Started};
use crate::pool::{Place, Pool};
use crate::runtime::Runtime;
use crate::statistics::{Counters, DetectorStats};

/// Columns that an explanation of a golden row may name.
const EXPLAINED_COLUMNS: u32 = 8;
/// Failed explanations after which a detector is not asked for more until it is loaded again: each failure may cost an
/// instance and the instance's memory.
pub const MOST_FAILED_EXPLANATIONS: u64 = 8;

/// How thoroughly golden vectors are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judging {
    /// What depends on the machine: the bits of the scores, once, with all rows in one block. Enough for a bundled
    /// package, which was judged in full when it was packed.
    Bits,
    /// Also the promises of the package that hold on every machine: scores depend neither on the cut of blocks nor on
    /// an order that the state key leaves open, and explanations keep their bounds.
    Everything,
}

/// A detector that is ready to score. Calls block the thread; a call that finds every instance busy waits.
///
/// A detector that remembers has one instance, which sees rows in the order of the calls; when that instance fails, the
/// next instance begins with the last saved memory.
pub struct Detector {
    package: Package,
    card: Option<ModelCard>,
    description: Description,
    projection: Projection,
    code: Code,
    sandbox: Arc<Sandbox>,
    budgets: Budgets,
    pool: Pool<Instance>,
    /// What it was given when it was loaded, or saved last.
    state: Mutex<Option<Arc<[u8]>>>,
    counters: Counters,
}

impl Detector {
    /// Starts the first instance and asks for its description.
    pub(crate) fn start(
        runtime: &Runtime,
        code: Code,
        package: &Package,
        card: Option<ModelCard>,
        schema: &'static Schema,
        state: Option<&[u8]>,
    ) -> Result<Self, LoadError> {
        let sandbox = Arc::clone(&runtime.sandbox);
        let budgets = runtime.config.budgets();
        let mut started = Started::new(&sandbox, &code, &budgets)?;
        let description = started.describe(&sandbox, &budgets, &code)?;
        if card.is_none() {
            let named = package.schema(description.property(SCHEMA_PROPERTY))?;
            if named != schema {
                return Err(LoadError::from(PackageError::OtherSchema {
                    found: named.to_string(),
                    running: schema.to_string(),
                }));
            }
        }
        let state = state.filter(|_| description.remembers);
        let mut instance = started.open(&sandbox, &budgets, package.artifact(), schema)?;
        let projection = Projection::new(instance.inputs(&sandbox, &budgets)?, schema)?;
        if let Some(card) = &card {
            card.check_detector(&description.name, &projection.names())
                .map_err(PackageError::from)?;
        }
        if let Some(state) = state {
            instance.restore(&sandbox, &budgets, state)?;
        }
        let limit = if description.keeps_order() {
            1
        } else {
            runtime.config.workers
        };
        let pool = Pool::new(limit);
        // The instance that answered is the first of the pool.
        pool.acquire().get_or_make(|| Ok::<_, LoadError>(instance))?;
        Ok(Self {
            package: package.clone(),
            card,
            description,
            projection,
            code,
            sandbox,
            budgets,
            pool,
            state: Mutex::new(state.map(Arc::from)),
            counters: Counters::default(),
        })
    }

    /// The description that the detector gives.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The columns that the detector reads, in its order.
    pub fn columns(&self) -> &[InputColumn] {
        &self.projection.columns
    }

    /// The context that the detector reads.
    pub fn context(&self) -> WantedContext {
        self.projection.context
    }

    /// Whether the detector explains scores: it exports `explainer`, and has failed fewer than
    /// [`MOST_FAILED_EXPLANATIONS`] times.
    pub fn explains(&self) -> bool {
        self.description.explains && self.counters.failed_explanations() < MOST_FAILED_EXPLANATIONS
    }

    /// The schema that the detector was loaded for.
    pub fn schema(&self) -> &'static Schema {
        self.projection.schema
    }

    /// The digest of its package: its identity.
    pub fn digest(&self) -> Digest {
        self.package.digest()
    }

    /// The model card of its package.
    pub fn card(&self) -> Option<&ModelCard> {
        self.card.as_ref()
    }

    /// The package that the detector was loaded from.
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// Counters since the detector was loaded.
    pub fn stats(&self) -> DetectorStats {
        self.counters.read()
    }

    /// Instances that are started and idle.
    pub fn idle_instances(&self) -> usize {
        self.pool.idle()
    }

    /// Starts instances ahead of the first calls: as many as asked for, idle ones included, and no more than the
    /// runtime allows (one for a detector with state).
    ///
    /// # Errors
    /// When an instance does not start.
    pub fn warm(&self, instances: usize) -> Result<(), LoadError> {
        // All are held until the last is made: an idle one would be lent again.
        let mut held = Vec::new();
        while held.len() < instances {
            let Some(mut place) = self.pool.try_acquire() else {
                break;
            };
            place.get_or_make(|| self.make_instance())?;
            held.push(place);
        }
        Ok(())
    }

    /// Frees the memory of idle instances. The next call starts an instance again; a detector with a memory begins with
    /// the last saved state.
    pub fn release_instances(&self) {
        self.pool.clear();
    }

    /// Scores the rows of `range` and appends one score per row to `scores`, in blocks of at most [`MAX_BLOCK_ROWS`].
    /// `contexts` belongs to `rows` row by row; where it is absent the context is unknown, and a detector that needs it
    /// refuses the rows.
    ///
    /// # Errors
    /// See [`ScoreError`]; `scores` is then as it was before, and the rows are counted as failed.
    pub fn score(
        &self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        range: Range<usize>,
        scores: &mut Vec<f32>,
    ) -> Result<(), ScoreError> {
        self.check_range(rows, &range)?;
        self.score_selected(rows, contexts, range, scores)
    }

    /// Scores the rows whose numbers are in `selection`, in that order, otherwise as [`Detector::score`].
    ///
    /// # Errors
    /// See [`ScoreError`]; `scores` is then as it was before, and the rows are counted as failed.
    pub fn score_rows_of(
        &self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        selection: &[u32],
        scores: &mut Vec<f32>,
    ) -> Result<(), ScoreError> {
        self.check_selection(rows, selection)?;
        let selected = selection.iter().map(|&row| row as usize);
        self.score_selected(rows, contexts, selected, scores)
    }

    fn score_selected(
        &self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        mut selected: impl ExactSizeIterator<Item = usize>,
        scores: &mut Vec<f32>,
    ) -> Result<(), ScoreError> {
        let (before, count) = (scores.len(), selected.len() as u64);
        if count == 0 {
            return Ok(());
        }
        let mut place = self.pool.acquire();
        let started = Instant::now();
        while selected.len() > 0 {
            let scored = self.score_block(&mut place, rows, contexts, &mut selected, scores);
            if let Err(error) = scored {
                scores.truncate(before);
                self.counters.failed(count);
                return Err(error);
            }
        }
        self.counters.scored(count, started.elapsed());
        Ok(())
    }

    fn score_block(
        &self,
        place: &mut Place<'_, Instance>,
        rows: &Rows,
        contexts: Option<&Contexts>,
        selected: &mut impl ExactSizeIterator<Item = usize>,
        scores: &mut Vec<f32>,
    ) -> Result<(), ScoreError> {
        let instance = self.instance(place)?;
        let block = selected.take(MAX_BLOCK_ROWS);
        self.projection.fill(rows, contexts, block, &mut instance.block)?;
        instance
            .score(&self.sandbox, &self.budgets, scores)
            .map_err(|failure| self.failed(place, failure))
    }

    /// What contributed most to the score of one row, at most `limit` inputs, largest first. Empty for a detector that
    /// does not explain, or has failed to do so [`MOST_FAILED_EXPLANATIONS`] times.
    ///
    /// # Errors
    /// See [`ScoreError`]; a failure is counted.
    pub fn explain(
        &self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        row: usize,
        limit: u32,
    ) -> Result<Vec<ColumnContribution>, ScoreError> {
        self.check_range(rows, &(row..row.saturating_add(1)))?;
        if !self.explains() || limit == 0 {
            return Ok(Vec::new());
        }
        let mut place = self.pool.acquire();
        let instance = self.instance(&mut place)?;
        let one = std::iter::once(row);
        self.projection.fill(rows, contexts, one, &mut instance.block)?;
        let explanation = match instance.explain(&self.sandbox, &self.budgets, &self.projection, limit) {
            Ok(Some(explanation)) => explanation,
            Ok(None) => return Ok(Vec::new()),
            Err(failure) => return Err(self.failed_to_explain(&mut place, failure)),
        };
        let values = &instance.block.values;
        let contribution = |((&input, &weight), &typical): ((&u32, &f32), &f32)| {
            Some(ColumnContribution {
                column: self.projection.input(input)?,
                weight,
                value: values.get(input as usize).copied().unwrap_or_default(),
                typical,
            })
        };
        let entries = explanation
            .columns
            .iter()
            .zip(&explanation.weights)
            .zip(&explanation.typical);
        let mut contributions: Vec<_> = entries.filter_map(contribution).collect();
        contributions.sort_by(|left, right| right.weight.total_cmp(&left.weight));
        Ok(contributions)
    }

    /// Lets the detector learn from the rows whose numbers are in `selection`, in that order. Does nothing for a
    /// detector that does not learn.
    ///
    /// # Errors
    /// See [`ScoreError`].
    pub fn learn(
        &self,
        rows: &Rows,
        contexts: Option<&Contexts>,
        selection: &[u32],
    ) -> Result<(), ScoreError> {
        self.check_selection(rows, selection)?;
        if !self.description.learns || selection.is_empty() {
            return Ok(());
        }
        let mut place = self.pool.acquire();
        for block in selection.chunks(MAX_BLOCK_ROWS) {
            let instance = self.instance(&mut place)?;
            let selected = block.iter().map(|&row| row as usize);
            self.projection
                .fill(rows, contexts, selected, &mut instance.block)?;
            if let Err(failure) = instance.learn(&self.sandbox, &self.budgets) {
                return Err(self.failed(&mut place, failure));
            }
        }
        Ok(())
    }

    /// The detector's memory, for [`crate::Runtime::load_with`] later; `None` for a detector without a memory. An
    /// instance that replaces a failed one begins with the memory saved last.
    ///
    /// # Errors
    /// See [`ScoreError`].
    pub fn save(&self) -> Result<Option<Vec<u8>>, ScoreError> {
        if !self.description.remembers {
            return Ok(None);
        }
        let mut place = self.pool.acquire();
        let saved = self.instance(&mut place)?.save(&self.sandbox, &self.budgets);
        let saved = saved.map_err(|failure| self.failed(&mut place, failure))?;
        if let Some(state) = &saved {
            *self.state() = Some(Arc::from(state.as_slice()));
        }
        Ok(saved)
    }

    /// Whether the detector gives the golden rows the scores that are expected of it, to the bit: in one block, and
    /// when everything is judged also in every other pass over them ([`Golden::passes`]), with explanations within the
    /// bounds of the contract if it explains. Fresh instances score them, so that the result depends on nothing learned
    /// and the detector learns nothing. A detector with state key `none` gets all passes in the same instance, so that
    /// forbidden state is found.
    ///
    /// # Errors
    /// See [`GoldenError`].
    pub fn check_golden(&self, golden: &Golden, judging: Judging) -> Result<(), GoldenError> {
        golden.check_inputs(&self.projection.names(), self.projection.context)?;
        let order = match self.description.state_key {
            StateKey::None => Order::Any,
            StateKey::Source => Order::BySource,
            StateKey::All => Order::Fixed,
        };
        let mut instance = self.untaught()?;
        let passes = match judging {
            Judging::Bits => vec![golden.in_one_block()],
            Judging::Everything => {
                self.explain_golden(&mut instance, golden)?;
                golden.passes(order)
            }
        };
        for pass in passes {
            if order != Order::Any {
                instance = self.untaught()?;
            }
            let scores = self.score_pass(&mut instance, golden, &pass)?;
            golden.compare(&pass, &scores)?;
        }
        Ok(())
    }

    /// Asks for the explanation of each golden row, whose bounds are checked when the answer is taken.
    fn explain_golden(&self, instance: &mut Instance, golden: &Golden) -> Result<(), ScoreError> {
        for row in 0..golden.scores.len() {
            instance.block.set(golden, std::iter::once(row));
            instance
                .explain(&self.sandbox, &self.budgets, &self.projection, EXPLAINED_COLUMNS)
                .map_err(|failure| self.guest_error(failure))?;
        }
        Ok(())
    }

    /// Generated rows, always the same ones, with the scores of an instance that has learned nothing.
    ///
    /// # Errors
    /// When the detector does not score them.
    pub fn make_golden(&self) -> Result<Golden, ScoreError> {
        let Projection { schema, context, .. } = self.projection;
        let names = self.projection.names();
        let mut golden = golden::generate(&names, context, schema, GOLDEN_ROWS, GOLDEN_HOSTS);
        golden.scores = self.score_pass(&mut self.untaught()?, &golden, &golden.in_one_block())?;
        Ok(golden)
    }

    /// A separate instance, which has learned nothing and is discarded.
    fn untaught(&self) -> Result<Instance, ScoreError> {
        self.fresh_instance().map_err(|error| self.not_started(error))
    }

    /// The scores of golden rows in the order of a pass.
    fn score_pass(
        &self,
        instance: &mut Instance,
        golden: &Golden,
        pass: &Pass,
    ) -> Result<Vec<f32>, ScoreError> {
        let mut order = pass.order.iter().copied();
        let mut scores = Vec::with_capacity(pass.order.len());
        for &rows in &pass.blocks {
            instance.block.set(golden, order.by_ref().take(rows));
            instance
                .score(&self.sandbox, &self.budgets, &mut scores)
                .map_err(|failure| self.guest_error(failure))?;
        }
        Ok(scores)
    }

    fn check_range(&self, rows: &Rows, range: &Range<usize>) -> Result<(), ScoreError> {
        self.check_schema(rows)?;
        if range.start > range.end || range.end > rows.len() {
            return Err(ScoreError::OutOfRange {
                start: range.start,
                end: range.end,
                rows: rows.len(),
            });
        }
        Ok(())
    }

    fn check_selection(&self, rows: &Rows, selection: &[u32]) -> Result<(), ScoreError> {
        self.check_schema(rows)?;
        match selection.iter().find(|&&row| row as usize >= rows.len()) {
            None => Ok(()),
            Some(&row) => Err(ScoreError::OutOfRange {
                start: row as usize,
                end: row as usize + 1,
                rows: rows.len(),
            }),
        }
    }

    fn check_schema(&self, rows: &Rows) -> Result<(), ScoreError> {
        let schema = self.projection.schema;
        if std::ptr::eq(rows.schema(), schema) || rows.schema() == schema {
            return Ok(());
        }
        Err(ScoreError::OtherSchema {
            rows: rows.schema().id,
            detector: schema.id,
        })
    }

    fn instance<'a>(&self, place: &'a mut Place<'_, Instance>) -> Result<&'a mut Instance, ScoreError> {
        place
            .get_or_make(|| self.make_instance())
            .map_err(|error| self.not_started(error))
    }

    /// An instance in place of another. An instance that refuses the last saved memory begins without memory: the
    /// waiting flows must get their scores.
    fn make_instance(&self) -> Result<Instance, LoadError> {
        let mut instance = self.fresh_instance()?;
        let Some(state) = self.state().clone() else {
            return Ok(instance);
        };
        if let Err(failure) = instance.restore(&self.sandbox, &self.budgets, &state) {
            tracing::warn!(
                detector = %self.description.name, digest = %self.digest(), %failure,
                "instance starts without the saved memory"
            );
            return self.fresh_instance();
        }
        Ok(instance)
    }

    /// An instance that remembers nothing.
    fn fresh_instance(&self) -> Result<Instance, LoadError> {
        Ok(Started::new(&self.sandbox, &self.code, &self.budgets)?.open(
            &self.sandbox,
            &self.budgets,
            self.package.artifact(),
            self.projection.schema,
        )?)
    }

    /// Nothing that can panic runs under this lock.
    fn state(&self) -> MutexGuard<'_, Option<Arc<[u8]>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_started(&self, error: LoadError) -> ScoreError {
        match error {
            LoadError::Guest(failure) => self.guest_error(failure),
            // The same code had the right types when it was loaded.
            other => self.guest_error(GuestFailure::BadReturn {
                call: "instantiate",
                what: other.to_string(),
            }),
        }
    }

    /// Discards the instance where it can no longer be trusted.
    fn failed(&self, place: &mut Place<'_, Instance>, failure: GuestFailure) -> ScoreError {
        if failure.costs_instance() && place.discard() {
            self.counters.replaced_instance();
            tracing::warn!(detector = %self.description.name, digest = %self.digest(), %failure, "instance replaced");
        }
        self.guest_error(failure)
    }

    fn failed_to_explain(&self, place: &mut Place<'_, Instance>, failure: GuestFailure) -> ScoreError {
        if self.counters.failed_explanation() == MOST_FAILED_EXPLANATIONS {
            tracing::warn!(
                detector = %self.description.name, digest = %self.digest(), failures = MOST_FAILED_EXPLANATIONS,
                "detector is no longer asked for explanations"
            );
        }
        self.failed(place, failure)
    }

    fn guest_error(&self, failure: GuestFailure) -> ScoreError {
        let Description { name, version, .. } = &self.description;
        ScoreError::Guest {
            detector: format!("{name} {version}"),
            failure,
        }
    }
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Detector")
            .field("description", &self.description)
            .field("digest", &self.digest())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
