//! A loaded detector: thread-safe scoring over a pool of instances.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use netsage_schema::{Rows, Schema};
use wasmtime::StoreLimits;
use wasmtime::component::InstancePre;

use crate::MAX_BLOCK_ROWS;
use crate::bindings::exports::netsage::detector::detector::StateKey as WitStateKey;
use crate::columns::{ColumnContribution, ContextValues, InputColumn, Projection};
use crate::engine::Sandbox;
use crate::error::{GuestFailure, LoadError, ScoreError};
use crate::instance::{Budgets, Instance, Started};
use crate::package::{Digest, Package};
use crate::pool::{Place, Pool};

/// Which flows must reach the same instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKey {
    /// Every row stands alone; any number of instances.
    None,
    /// Rows of one source address. For now the host uses exactly one instance, which fulfils it.
    Source,
    /// All rows; exactly one instance.
    All,
}

impl From<WitStateKey> for StateKey {
    fn from(key: WitStateKey) -> Self {
        match key {
            WitStateKey::None => Self::None,
            WitStateKey::Source => Self::Source,
            WitStateKey::All => Self::All,
        }
    }
}

/// What a detector says about itself, checked against the limits of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Short name, e.g. `iforest`.
    pub name: String,
    /// Semantic version of its code.
    pub version: String,
    /// One sentence for people.
    pub summary: String,
    /// SPDX licence expression.
    pub licence: String,
    /// Whether it says which columns drove a score.
    pub explains: bool,
    /// Whether it learns as it goes.
    pub learns: bool,
    /// Which flows must reach the same instance.
    pub state_key: StateKey,
}

/// What a detector has done since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DetectorStats {
    /// Rows that got a score.
    pub scored_rows: u64,
    /// Rows of calls that failed.
    pub failed_rows: u64,
    /// Instances thrown away after a trap, an overrun or a broken promise.
    pub replaced_instances: u64,
    /// Time spent on the scored rows, nanoseconds, waiting for an instance not included.
    pub nanoseconds: u64,
}

impl DetectorStats {
    /// Mean cost of a scored row, nanoseconds; `None` before the first.
    pub fn nanoseconds_per_row(&self) -> Option<f64> {
        (self.scored_rows > 0).then(|| self.nanoseconds as f64 / self.scored_rows as f64)
    }
}

#[derive(Default)]
struct Counters {
    scored_rows: AtomicU64,
    failed_rows: AtomicU64,
    replaced_instances: AtomicU64,
    nanoseconds: AtomicU64,
}

/// A detector that is ready to score. Calls block the thread; a call that finds every instance busy waits.
///
/// A detector with state has one instance, which sees rows in the order of the calls; when that instance
/// fails, the next one begins without what it had learned.
pub struct Detector {
    package: Package,
    description: Description,
    projection: Projection,
    code: InstancePre<StoreLimits>,
    sandbox: Arc<Sandbox>,
    budgets: Budgets,
    pool: Pool<Instance>,
    counters: Counters,
}

impl Detector {
    /// Starts the first instance and asks it what it is.
    pub(crate) fn start(
        sandbox: Arc<Sandbox>,
        code: InstancePre<StoreLimits>,
        package: &Package,
        schema: &'static Schema,
        budgets: Budgets,
        workers: usize,
    ) -> Result<Self, LoadError> {
        let mut started = Started::new(&sandbox, &code, &budgets)?;
        let description = started.describe(&sandbox, &budgets)?;
        let mut instance = started.open(&sandbox, &budgets, package.artifact())?;
        let projection = Projection::new(&instance.columns(&sandbox, &budgets)?, schema)?;
        let limit = if description.state_key == StateKey::None {
            workers
        } else {
            1
        };
        let pool = Pool::new(limit);
        // The instance that answered is the first of the pool.
        pool.acquire().get_or_make(|| Ok::<_, LoadError>(instance))?;
        Ok(Self {
            package: package.clone(),
            description,
            projection,
            code,
            sandbox,
            budgets,
            pool,
            counters: Counters::default(),
        })
    }

    /// What it says about itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The columns it reads, in its order.
    pub fn columns(&self) -> &[InputColumn] {
        &self.projection.columns
    }

    /// The schema it was loaded for.
    pub fn schema(&self) -> &'static Schema {
        self.projection.schema
    }

    /// The digest of its package: its identity.
    pub fn digest(&self) -> Digest {
        self.package.digest()
    }

    /// The model card of its package, JSON, as it stands there.
    pub fn card(&self) -> Option<&[u8]> {
        self.package.card()
    }

    /// The package it was loaded from.
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// What it has done since it was loaded.
    pub fn stats(&self) -> DetectorStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DetectorStats {
            scored_rows: read(&self.counters.scored_rows),
            failed_rows: read(&self.counters.failed_rows),
            replaced_instances: read(&self.counters.replaced_instances),
            nanoseconds: read(&self.counters.nanoseconds),
        }
    }

    /// Scores the rows of `range` and appends one score per row to `scores`, in blocks of at most
    /// [`MAX_BLOCK_ROWS`]. `contexts` belongs to `rows` row by row; it may be absent for a detector that
    /// wants no context column.
    ///
    /// # Errors
    /// See [`ScoreError`]; `scores` is then as it was before, and the rows are counted as failed.
    pub fn score(
        &self,
        rows: &Rows,
        contexts: Option<&ContextValues>,
        range: Range<usize>,
        scores: &mut Vec<f32>,
    ) -> Result<(), ScoreError> {
        let (before, count) = (scores.len(), range.len() as u64);
        let scored = self.score_blocks(rows, contexts, range, scores);
        let counter = if scored.is_ok() {
            &self.counters.scored_rows
        } else {
            &self.counters.failed_rows
        };
        counter.fetch_add(count, Ordering::Relaxed);
        match scored {
            Ok(nanoseconds) => {
                self.counters
                    .nanoseconds
                    .fetch_add(nanoseconds, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                scores.truncate(before);
                Err(error)
            }
        }
    }

    fn score_blocks(
        &self,
        rows: &Rows,
        contexts: Option<&ContextValues>,
        range: Range<usize>,
        scores: &mut Vec<f32>,
    ) -> Result<u64, ScoreError> {
        self.check_range(rows, &range)?;
        if range.is_empty() {
            return Ok(0);
        }
        let mut place = self.pool.acquire();
        let started = Instant::now();
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start + MAX_BLOCK_ROWS);
            let instance = self.instance(&mut place)?;
            self.projection
                .fill(rows, contexts, start..end, &mut instance.values)?;
            // At most `MAX_BLOCK_ROWS`.
            let count = (end - start) as u32;
            match instance.score(&self.sandbox, &self.budgets, count) {
                Ok(block) => scores.extend_from_slice(&block),
                Err(failure) => return Err(self.failed(&mut place, failure)),
            }
            start = end;
        }
        Ok(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The columns that contributed most to the score of one row, at most `limit`, largest first. Empty for
    /// a detector that does not explain.
    ///
    /// # Errors
    /// See [`ScoreError`].
    pub fn explain(
        &self,
        rows: &Rows,
        contexts: Option<&ContextValues>,
        row: usize,
        limit: u32,
    ) -> Result<Vec<ColumnContribution>, ScoreError> {
        self.check_range(rows, &(row..row.saturating_add(1)))?;
        if !self.description.explains || limit == 0 {
            return Ok(Vec::new());
        }
        let mut place = self.pool.acquire();
        let instance = self.instance(&mut place)?;
        self.projection
            .fill(rows, contexts, row..row + 1, &mut instance.values)?;
        let explanation = match instance.explain(&self.sandbox, &self.budgets, limit) {
            Ok(explanation) => explanation,
            Err(failure) => return Err(self.failed(&mut place, failure)),
        };
        let contribution = |((&column, &weight), &typical): ((&u32, &f32), &f32)| ColumnContribution {
            column: self.projection.columns[column as usize],
            weight,
            value: instance.values[column as usize],
            typical,
        };
        let entries = explanation
            .columns
            .iter()
            .zip(&explanation.weights)
            .zip(&explanation.typical);
        let mut contributions: Vec<_> = entries.map(contribution).collect();
        contributions.sort_by(|left, right| right.weight.total_cmp(&left.weight));
        Ok(contributions)
    }

    fn check_range(&self, rows: &Rows, range: &Range<usize>) -> Result<(), ScoreError> {
        if !std::ptr::eq(rows.schema(), self.projection.schema) && rows.schema() != self.projection.schema {
            return Err(ScoreError::OtherSchema {
                rows: rows.schema().id,
                detector: self.projection.schema.id,
            });
        }
        if range.start > range.end || range.end > rows.len() {
            return Err(ScoreError::OutOfRange {
                start: range.start,
                end: range.end,
                rows: rows.len(),
            });
        }
        Ok(())
    }

    fn instance<'a>(&self, place: &'a mut Place<'_, Instance>) -> Result<&'a mut Instance, ScoreError> {
        place
            .get_or_make(|| {
                Started::new(&self.sandbox, &self.code, &self.budgets)?
                    .open(&self.sandbox, &self.budgets, self.package.artifact())
                    .map_err(LoadError::from)
            })
            .map_err(|error| match error {
                LoadError::Guest(failure) => self.guest_error(failure),
                // The same code had the right types when it was loaded.
                other => self.guest_error(GuestFailure::BadReturn {
                    call: "instantiate",
                    what: other.to_string(),
                }),
            })
    }

    /// Throws the instance away where it can no longer be trusted.
    fn failed(&self, place: &mut Place<'_, Instance>, failure: GuestFailure) -> ScoreError {
        if failure.costs_instance() && place.discard() {
            self.counters.replaced_instances.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(detector = %self.description.name, digest = %self.digest(), %failure, "instance replaced");
        }
        self.guest_error(failure)
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
