//! How far the flows of a generation are from the rows that its model was trained on.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use netsage_api_types::{ColumnDrift, DetectorRef, Drift};
use netsage_calibration::drift::{LARGE, SMALL, Window};
use netsage_package::ModelCard;
use netsage_schema::{Rows, Schema};

/// Most flows of a block that are counted, a quarter of a full block: a window needs no more.
const MOST_OF_BLOCK: usize = 256;
/// Flows before which an unfinished first window says nothing.
const FEWEST: u32 = 1_000;
/// Columns that a notice names.
const MOST_NAMED: usize = 5;

/// Counts flows by the bins of the reference distributions of a card, window by window. Any thread may count and no
/// thread waits: a block is left out when another thread is counting.
#[derive(Debug)]
pub struct DriftMonitor {
    schema: &'static Schema,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Of the last whole window.
    last: Option<Indices>,
    /// Whether a notice said that the flows left the reference distributions, and none that they came back.
    is_outside: bool,
}

/// What a window found.
#[derive(Debug, Clone, PartialEq)]
struct Indices {
    /// ms since the epoch.
    at: i64,
    flows: u32,
    score: Option<f64>,
    /// By the position of the column.
    columns: Vec<(usize, f64)>,
}

impl Indices {
    fn of(window: &Window) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            at: since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            flows: window.rows(),
            score: window.score(),
            columns: window.columns().collect(),
        }
    }

    /// Names and indices of columns above a bound, the largest first.
    fn above(&self, bound: f64, schema: &Schema) -> Vec<(&'static str, f64)> {
        let columns = self.columns.iter().filter_map(|(index, value)| {
            let column = schema.columns.get(*index)?;
            Some((column.name, *value))
        });
        let score = self.score.map(|score| ("score", score));
        let mut above: Vec<_> = score
            .into_iter()
            .chain(columns)
            .filter(|(_, value)| *value > bound)
            .collect();
        above.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        above
    }
}

impl DriftMonitor {
    /// A monitor for the reference distributions of a card; `None` when the card has none or names an unknown schema.
    pub fn new(card: &ModelCard) -> Option<Self> {
        let id = card.schema.split('@').next().unwrap_or_default();
        let schema = Schema::by_id(id)?;
        let window = Window::new(card.reference.as_ref()?, schema);
        Some(Self {
            schema,
            state: Mutex::new(State {
                window,
                last: None,
                is_outside: false,
            }),
        })
    }

    /// Counts the flows of `rows` that `selected` names, with their calibrated scores in the order of `selected` (below
    /// 0 for none). Returns a notice when these flows complete the first window outside of the reference distributions,
    /// or the first one back inside.
    pub(crate) fn count(
        &self,
        rows: &Rows,
        selected: &[u32],
        calibrated: &[f32],
        window: u32,
    ) -> Option<String> {
        if rows.schema().id != self.schema.id {
            return None;
        }
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let step = selected.len().div_ceil(MOST_OF_BLOCK).max(1);
        for (row, calibrated) in selected.iter().zip(calibrated).step_by(step) {
            state.window.count(rows.row(*row as usize));
            if *calibrated >= 0.0 {
                state.window.count_score(*calibrated);
            }
        }
        (state.window.rows() >= window.max(1))
            .then(|| state.end_window(self.schema))
            .flatten()
    }

    /// The report for the API; `monitor` is `None` for a package that does not score or has no reference distributions.
    pub fn report(monitor: Option<&Self>, detector: DetectorRef, has_reference: bool, window: u32) -> Drift {
        let mut drift = Drift {
            detector,
            has_reference,
            window,
            counting: 0,
            flows: 0,
            at: None,
            score: None,
            columns: Vec::new(),
            small: SMALL,
            large: LARGE,
        };
        let Some(monitor) = monitor else { return drift };
        let state = monitor.lock();
        drift.counting = state.window.rows();
        let so_far = || (drift.counting >= FEWEST).then(|| Indices::of(&state.window));
        let Some(indices) = state.last.clone().or_else(so_far) else {
            return drift;
        };
        drop(state);
        drift.flows = indices.flows;
        drift.at = Some(indices.at);
        drift.score = indices.score;
        let columns = indices.columns.iter().filter_map(|(index, value)| {
            let column = monitor.schema.columns.get(*index)?;
            Some(ColumnDrift {
                column: column.name.to_owned(),
                index: *value,
            })
        });
        drift.columns = columns.collect();
        drift
    }

    /// Nothing that can panic half way runs under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end_window(&mut self, schema: &Schema) -> Option<String> {
        let indices = Indices::of(&self.window);
        self.window.clear();
        let flows = indices.flows;
        let outside = indices.above(LARGE, schema);
        let notice = if !self.is_outside && !outside.is_empty() {
            self.is_outside = true;
            let named = outside
                .iter()
                .take(MOST_NAMED)
                .map(|(name, value)| format!("{name} {value:.2}"));
            let named = named.collect::<Vec<_>>().join(", ");
            let more = outside.len().saturating_sub(MOST_NAMED);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            Some(format!(
                "the last {flows} flows are not like those of the training: {named}{more} (population stability index, {LARGE} is allowed); see whether the network changed, and train anew if it did"
            ))
        } else if self.is_outside && indices.above(SMALL, schema).is_empty() {
            self.is_outside = false;
            Some(format!(
                "the last {flows} flows are like those of the training again"
            ))
        } else {
            None
        };
        self.last = Some(indices);
        notice
    }
}

#[cfg(test)]
mod tests {
    use netsage_calibration::drift::reference;
    use netsage_schema::{FLOW_V1, UNSW_NB15};

    use super::*;

    /// Rows whose `dur` are these.
    fn rows(values: impl Iterator<Item = u32>) -> Rows {
        let mut rows = Rows::new(&UNSW_NB15);
        let mut row = vec![0.0; UNSW_NB15.width()];
        for value in values {
            row[0] = f64::from(value);
            rows.push(&row);
        }
        rows
    }

    fn card(reference: Option<netsage_package::ReferenceDistributions>) -> ModelCard {
        let json = r#"{"format":1,"schema":"unsw-nb15@1","data":"","rows":0,"columns":[],"seed":0,"date":"","threshold":0.5,"threshold_rule":"","calibration":[],"figures":{},"notes":[]}"#;
        let card: ModelCard = serde_json::from_str(json).unwrap();
        ModelCard { reference, ..card }
    }

    fn monitor() -> DriftMonitor {
        let training = rows((0..1_000).map(|row| row % 100));
        DriftMonitor::new(&card(Some(reference(&training, &["dur".to_owned()], None)))).unwrap()
    }

    /// Counts a hundred flows of these durations, whose scores are spread evenly.
    fn count(monitor: &DriftMonitor, value: impl Fn(u32) -> u32) -> Option<String> {
        let flows = rows((0..100).map(value));
        let selected: Vec<u32> = (0..100).collect();
        let calibrated: Vec<f32> = (0..100_u8).map(|row| f32::from(row) / 100.0).collect();
        monitor.count(&flows, &selected, &calibrated, 200)
    }

    fn report(monitor: &DriftMonitor) -> Drift {
        let nobody = DetectorRef {
            name: String::new(),
            version: String::new(),
            digest: String::new(),
            generation: 0,
        };
        DriftMonitor::report(Some(monitor), nobody, true, 200)
    }

    #[test]
    fn leaving_and_coming_back_are_told_once_each() {
        let monitor = monitor();
        assert_eq!(count(&monitor, |row| row), None);
        assert_eq!(report(&monitor).at, None, "too few flows to say anything");
        assert_eq!(report(&monitor).counting, 100);
        assert_eq!(count(&monitor, |row| row), None);
        let found = report(&monitor);
        assert_eq!((found.flows, found.counting), (200, 0));
        assert!(
            found.columns[0].index < SMALL && found.score.unwrap() < SMALL,
            "{found:?}"
        );

        assert_eq!(count(&monitor, |_| 5_000), None, "a window is not over");
        let notice = count(&monitor, |_| 5_000).unwrap();
        assert!(
            notice.contains("dur") && notice.contains("not like those of the training"),
            "{notice}"
        );
        assert!(report(&monitor).columns[0].index > LARGE);
        assert_eq!(
            (count(&monitor, |_| 5_000), count(&monitor, |_| 5_000)),
            (None, None),
            "it was said"
        );
        assert_eq!(count(&monitor, |row| row), None);
        let notice = count(&monitor, |row| row).unwrap();
        assert!(notice.contains("again"), "{notice}");
    }

    #[test]
    fn a_large_block_is_counted_in_part_and_another_schema_not_at_all() {
        let monitor = monitor();
        let flows = rows((0..1_024).map(|row| row % 100));
        let selected: Vec<u32> = (0..1_024).collect();
        monitor.count(&flows, &selected, &[-1.0; 1_024], 10_000);
        assert_eq!(report(&monitor).counting, 256);
        let mut other = Rows::new(&FLOW_V1);
        other.push(&vec![0.0; FLOW_V1.width()]);
        monitor.count(&other, &[0], &[0.5], 1);
        assert_eq!(report(&monitor).counting, 256);
    }

    #[test]
    fn without_a_reference_nothing_is_monitored() {
        assert!(DriftMonitor::new(&card(None)).is_none());
        let found = DriftMonitor::report(None, report(&monitor()).detector, false, 200);
        assert!(!found.has_reference && found.columns.is_empty() && found.at.is_none());
    }
}
