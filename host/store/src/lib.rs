//! Alerts and flows at rest, behind one trait with two backends: SQLite inside the process and MongoDB by URL.
//!
//! Deliveries repeat: a replay is started again, or a process is killed between writing and acknowledging. So the main
//! promise of a store is that [`Store::record`] counts each flow once per alert, however often the flow is delivered
//! and in whatever batches. The rule that turns hits into alerts is that of `netsage-alerts`; both backends store its
//! results, so that they cannot disagree.
//!
//! This crate must never score, never decide what is an alert, and never show a database's own types to its callers.
//!
//! Start with [`Store`], then [`open`], `sqlite` and `mongo`.

use std::sync::Arc;
use std::time::Duration;

pub use futures_util::future::BoxFuture;
use netsage_alerts::{AlertLimits, AlertWindow};
use netsage_api_types::{Alert, AlertQuery, Flow, FlowQuery, Page, StateChange};

mod changes;
mod cursor;
mod error;
mod kept;
mod mongo;
mod open;
mod overview;
mod reads;
mod record;
mod series;
mod sqlite;

pub use changes::{Change, Changes, MAX_CHANGES, MAX_POSITION_BYTES};
pub use error::StoreError;
pub use kept::KeptFlows;
pub use open::{file_of, open, open_with};
pub use overview::{MAX_OVERVIEW_POINTS, OVERVIEW_GRAIN_MS, StoreOverview};
pub use record::{FlowBatchRecord, ScoreMatrix};
pub use series::{MAX_SERIES, MAX_SERIES_STEPS, SeriesMatcher, StoreSeries, StoreSeriesQuery};
pub use sqlite::{Recovered, recover};

/// A store as the rest of the program holds it.
pub type SharedStore = Arc<dyn Store>;

/// What may be chosen when a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// The windows in which hits become one alert. Changing their length leaves existing alerts unchanged; later hits
    /// fall into windows of the new length.
    pub alert_window: AlertWindow,
    /// The bounds of the alerts of one detector, kind and window. When they are changed, alerts that go on follow.
    pub alert_limits: AlertLimits,
    /// Most bytes of the store, with all that belongs to it; `None` for no limit. When it is reached, flows of alerts that
    /// are held back go first, then the flows that ended first, and alerts last. SQLite has its log counted, stays within
    /// 5 % of a limit of 64 MB or more, and does not shrink a file that is larger already.
    pub size_limit: Option<u64>,
    /// Which flows are kept at all.
    pub kept_flows: KeptFlows,
    /// How long flows are kept, counted by the clock from the moment they were first recorded.
    pub flow_retention: Duration,
    /// How long alerts are kept, counted by the clock from the moment they last counted a flow or changed their state.
    /// Which flows an alert has counted is forgotten with it.
    pub alert_retention: Duration,
    /// Most alerts or flows that one page of a listing looks at.
    pub listing_rows: u32,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            alert_window: AlertWindow::default(),
            alert_limits: AlertLimits::default(),
            size_limit: Some(10_000_000_000),
            kept_flows: KeptFlows::All,
            flow_retention: 7 * DAY,
            alert_retention: 365 * DAY,
            listing_rows: 50_000,
        }
    }
}

/// Where alerts and flows are kept.
///
/// Recording and reading do not wait for each other. Reads are bounded in number and time: beyond these bounds they end
/// with [`StoreError::Overloaded`] or [`StoreError::TooSlow`], and a read whose future is dropped is given up.
///
/// Errors are those of [`StoreError`]; after an error the store is unchanged or holds part of the batch, and the same
/// call may be made again.
pub trait Store: Send + Sync {
    /// Kind of store: `sqlite` or `mongodb`.
    fn kind(&self) -> &'static str;

    /// Whether the store answers.
    fn health(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What of the store was found damaged since it was opened, and what became of it: a sentence each, for people who may
    /// not read the log.
    fn set_aside(&self) -> Vec<String> {
        Vec::new()
    }

    /// The windows in which hits become one alert; see [`StoreOptions::alert_window`].
    fn alert_window(&self) -> AlertWindow;

    /// The bounds of alerts; see [`StoreOptions::alert_limits`].
    fn alert_limits(&self) -> AlertLimits;

    /// Records flows and the hits among them, and returns the alerts that are new or have changed, each once. Several
    /// batches at once cost less than one after the other.
    ///
    /// - Flows that [`StoreOptions::kept_flows`] does not name are counted on the time axis only.
    /// - A flow that is stored already keeps its identity and time; its measurements and scores are replaced. Its id
    ///   must come with the same identity as before; see [`netsage_alerts::FlowRecord::id`].
    /// - Hits of the same detector name, network, source and kind whose flows start in the same window are one alert.
    ///   Each flow is counted in it once; a second hit of the same flow changes nothing, whatever it says.
    /// - A target that many sources hit has one alert for all of them, and of many alerts some are held back:
    ///   [`netsage_alerts::Bounded`] has the rule. Alerts that were shown until then are merged.
    /// - The flow with the highest score gives the alert its ports, score and contributions; of equal scores the one
    ///   with the smallest flow id, so that the order of delivery makes no difference.
    /// - An alert that was closed stays closed and goes on counting.
    ///
    /// The batches are borrowed: once the future is ready the store holds no references to them, so that the caller can
    /// reuse their memory.
    ///
    /// A batch that was delivered in full returns no alerts when it is delivered again. What is recorded lasts
    /// [`StoreOptions::flow_retention`]: a flow delivered again after that is a new flow, yet still not counted again in an
    /// alert, as long as there is the alert.
    fn record<'a>(
        &'a self,
        batches: &'a [Arc<FlowBatchRecord>],
    ) -> BoxFuture<'a, Result<Vec<Alert>, StoreError>>;

    /// A page of alerts, by `last_seen` and then id, falling. An alert that grows while a reader turns the pages
    /// moves towards the first page.
    ///
    /// A page looks at [`StoreOptions::listing_rows`] alerts or works for 100 ms, whichever is over first. It then has what
    /// was found so far, perhaps nothing, and a cursor. Only a page without a cursor is the last one.
    fn alerts<'a>(&'a self, query: &'a AlertQuery) -> BoxFuture<'a, Result<Page<Alert>, StoreError>>;

    /// The alert with this id, if there is one.
    fn alert<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Alert>, StoreError>>;

    /// Changes the state of an alert and notes author and time; `None` when there is no such alert.
    ///
    /// Errors with [`StoreError::InvalidChange`] when the name is empty or longer than 128 characters.
    fn change_state<'a>(
        &'a self,
        id: &'a str,
        change: &'a StateChange,
    ) -> BoxFuture<'a, Result<Option<Alert>, StoreError>>;

    /// Alerts that changed after a revision, by rising revision: a bounded page, and the newest revision given.
    ///
    /// Each change of an alert, by a flow that it counts or by a person, gives the alert the next number of one
    /// sequence per store; a repeated delivery is no change and gives none. An alert has the number of its last change
    /// only. A reader that continues after its last revision therefore sees the final state of every alert, and no
    /// state that was overtaken. **No change is skipped**: when a page with revision `r` is given out, every change up
    /// to `r` is in the store, whoever wrote it; none appears below `r` later.
    ///
    /// `after` 0 begins with the first alert there is; `limit` is held between 1 and [`MAX_CHANGES`].
    fn changes(&self, after: u64, limit: u32) -> BoxFuture<'_, Result<Changes, StoreError>>;

    /// The position that the source or output of this name saved last.
    fn position<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;

    /// A secret that the programs on this store share: the one that is kept, or `fresh`, which is kept from now on. `None`
    /// for a store of one machine, whose programs share files.
    fn shared_secret<'a>(
        &'a self,
        name: &'a str,
        fresh: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        let _ = (name, fresh);
        Box::pin(async { Ok(None) })
    }

    /// Saves the position of a source or an output, opaque bytes of its own format: at most [`MAX_POSITION_BYTES`].
    ///
    /// Errors with [`StoreError::InvalidPosition`] when the position is longer, or the name is empty or longer than 128
    /// bytes.
    fn save_position<'a>(
        &'a self,
        name: &'a str,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Saves a position as [`Self::save_position`] does if the one that is saved is `expected`, and leaves everything as it is
    /// otherwise; returns whether it was saved. Of several programs that expect the same, one saves.
    fn swap_position<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a [u8]>,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// A page of flows, by `end` and then id, falling; bounded as a page of [`Self::alerts`] is.
    fn flows<'a>(&'a self, query: &'a FlowQuery) -> BoxFuture<'a, Result<Page<Flow>, StoreError>>;

    /// The latest steps of the time axis up to the newest flow, and the totals.
    ///
    /// `step_ms` is rounded up to a multiple of [`OVERVIEW_GRAIN_MS`]; `max_points` is held between 1 and
    /// [`MAX_OVERVIEW_POINTS`]. The axis counts flows for as long as they are kept, and those that are only counted for as
    /// long: of these, up to 128 in 10 s are counted exactly and more with a standard error of 1.6 %.
    fn overview(&self, step_ms: i64, max_points: u32) -> BoxFuture<'_, Result<StoreOverview, StoreError>>;

    /// Time series over steps that need not reach to the newest flow, by the values of their labels.
    ///
    /// Flows are counted as in [`Self::overview`]; packets, bytes and sources are those of kept flows, which are read for it
    /// one by one. An answer has at most [`MAX_SERIES`] series.
    ///
    /// Errors with [`StoreError::InvalidSeries`] when the query is beyond its bounds, or the answer would be.
    fn series<'a>(
        &'a self,
        query: &'a StoreSeriesQuery,
    ) -> BoxFuture<'a, Result<Vec<StoreSeries>, StoreError>>;

    /// Deletes flows and alerts that are past their time and returns how many flows went. Stores purge by themselves every
    /// minute, whether or not something is recorded; a call purges now.
    fn purge(&self) -> BoxFuture<'_, Result<u64, StoreError>>;
}
