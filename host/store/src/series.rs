//! Time series: what may be asked, and how counts become series.

use netsage_api_types::{SeriesLabel, SeriesName};

use crate::StoreError;
use crate::overview::OVERVIEW_GRAIN_MS;

/// Most steps of a series.
pub const MAX_SERIES_STEPS: u32 = 11_000;

/// Most series of one answer.
pub const MAX_SERIES: usize = 100;

/// Most counts of one answer, over all of its series.
const MAX_VALUES: usize = 200_000;

/// Which series are asked for, in steps without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSeriesQuery {
    /// What is counted.
    pub name: SeriesName,
    /// Start of the first step, ms since the epoch, a multiple of [`OVERVIEW_GRAIN_MS`].
    pub since: i64,
    /// Length of a step, ms, a multiple of [`OVERVIEW_GRAIN_MS`] above 0.
    pub step: i64,
    /// Steps, 1 to [`MAX_SERIES_STEPS`].
    pub steps: u32,
    /// The labels by which series are kept apart.
    pub by: Vec<SeriesLabel>,
    /// What all series counted must have.
    pub matchers: Vec<SeriesMatcher>,
}

/// A condition on a label. A label that a name does not have is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesMatcher {
    /// The label.
    pub label: SeriesLabel,
    /// Whether its value is one of `values`, or none of them.
    pub is_one_of: bool,
    /// The values.
    pub values: Vec<String>,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSeries {
    /// The labels of [`StoreSeriesQuery::by`] that the name has, in the order of the query.
    pub labels: Vec<(SeriesLabel, String)>,
    /// A count for each step.
    pub values: Vec<u64>,
}

/// The values of the labels of one count, in the order of [`SeriesLabel::ALL`]; empty where it has none.
pub(crate) type Values<'a> = [&'a str; SeriesLabel::ALL.len()];

/// The values of a count without labels.
pub(crate) const NO_LABELS: Values<'static> = [""; SeriesLabel::ALL.len()];

/// The names of severities, by their ranks.
pub(crate) const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// The names of the states of alerts that are shown.
pub(crate) const STATES: [&str; 3] = ["new", "acknowledged", "closed"];

impl StoreSeriesQuery {
    /// First millisecond after the steps.
    pub(crate) fn until(&self) -> i64 {
        self.since
            .saturating_add(self.step.saturating_mul(i64::from(self.steps)))
    }

    /// Checks the bounds; no time of a query that passes overflows.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let refuse = |problem: String| Err(StoreError::InvalidSeries { problem });
        if self.step <= 0
            || self.step % OVERVIEW_GRAIN_MS != 0
            || self.since.rem_euclid(OVERVIEW_GRAIN_MS) != 0
        {
            return refuse(format!(
                "step and start are multiples of {OVERVIEW_GRAIN_MS} ms, and the step is more than 0"
            ));
        }
        if !(1..=MAX_SERIES_STEPS).contains(&self.steps) {
            return refuse(format!(
                "a series has 1 to {MAX_SERIES_STEPS} steps, and these are {}; ask for longer steps or less time",
                self.steps
            ));
        }
        let span = self.step.checked_mul(i64::from(self.steps));
        match span.and_then(|span| self.since.checked_add(span)) {
            Some(_) => Ok(()),
            None => refuse("the end of the steps is no time; ask for less time".to_owned()),
        }
    }

    fn takes(&self, values: &Values<'_>) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = values[matcher.label as usize];
            matcher.values.iter().any(|wanted| wanted == value) == matcher.is_one_of
        })
    }
}

/// Adds counts up to series, within the bounds.
pub(crate) struct Tally<'q> {
    query: &'q StoreSeriesQuery,
    /// The labels that series have.
    by: Vec<SeriesLabel>,
    series: Vec<StoreSeries>,
    /// The series that was added to last: neighbours tend to be of one.
    last: usize,
}

impl<'q> Tally<'q> {
    pub(crate) fn new(query: &'q StoreSeriesQuery) -> Result<Self, StoreError> {
        query.check()?;
        let has_label = |label: &&SeriesLabel| query.name.labels().contains(label);
        let by: Vec<SeriesLabel> = query.by.iter().filter(has_label).copied().collect();
        let mut tally = Self {
            query,
            by,
            series: Vec::new(),
            last: 0,
        };
        // What has no labels is there, though there may be nothing to count.
        if tally.by.is_empty() && (!query.name.labels().is_empty() || query.takes(&NO_LABELS)) {
            tally.begin(&NO_LABELS)?;
        }
        Ok(tally)
    }

    /// Adds a count at a time.
    pub(crate) fn add(&mut self, time: i64, values: &Values<'_>, count: u64) -> Result<(), StoreError> {
        if let Some(place) = self.place(time, values)? {
            *place = place.saturating_add(count);
        }
        Ok(())
    }

    /// The count of the step that a time falls into; `None` when it is not asked for.
    fn place(&mut self, time: i64, values: &Values<'_>) -> Result<Option<&mut u64>, StoreError> {
        let after = time.saturating_sub(self.query.since);
        let Ok(step) = usize::try_from(after.div_euclid(self.query.step)) else {
            return Ok(None);
        };
        if step >= self.query.steps as usize || !self.query.takes(values) {
            return Ok(None);
        }
        let series = self.find(values)?;
        Ok(self.series[series].values.get_mut(step))
    }

    fn find(&mut self, values: &Values<'_>) -> Result<usize, StoreError> {
        let is_it = |series: &StoreSeries| {
            let mut labels = series.labels.iter();
            labels.all(|(label, value)| values[*label as usize] == value)
        };
        if self.series.get(self.last).is_some_and(is_it) {
            return Ok(self.last);
        }
        self.last = match self.series.iter().position(is_it) {
            Some(found) => found,
            None => self.begin(values)?,
        };
        Ok(self.last)
    }

    fn begin(&mut self, values: &Values<'_>) -> Result<usize, StoreError> {
        let steps = self.query.steps as usize;
        let number = self.series.len();
        if number == MAX_SERIES || (number + 1) * steps > MAX_VALUES {
            return Err(StoreError::InvalidSeries {
                problem: format!(
                    "an answer has at most {MAX_SERIES} series and {MAX_VALUES} counts, and these would be more; ask for fewer labels, for some of their values only, or for longer steps"
                ),
            });
        }
        let label = |label: &SeriesLabel| (*label, values[*label as usize].to_owned());
        self.series.push(StoreSeries {
            labels: self.by.iter().map(label).collect(),
            values: vec![0; steps],
        });
        Ok(number)
    }

    /// The series, by the values of their labels.
    pub(crate) fn finish(mut self) -> Vec<StoreSeries> {
        self.series.sort_by(|one, other| one.labels.cmp(&other.labels));
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: SeriesName, by: &[SeriesLabel], steps: u32) -> StoreSeriesQuery {
        StoreSeriesQuery {
            name,
            since: -20_000,
            step: 10_000,
            steps,
            by: by.to_vec(),
            matchers: Vec::new(),
        }
    }

    #[test]
    fn counts_fall_into_steps() {
        let query = query(SeriesName::Flows, &SeriesLabel::ALL, 3);
        let mut tally = Tally::new(&query).expect("taken");
        for (time, count) in [
            (-20_001, 1),
            (-20_000, 2),
            (-10_001, 4),
            (0, 8),
            (9_999, 16),
            (10_000, 32),
        ] {
            tally.add(time, &NO_LABELS, count).expect("added");
        }
        let series = tally.finish();
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].labels, [], "flows have none");
        assert_eq!(series[0].values, [6, 0, 24]);
    }

    #[test]
    fn labels_keep_series_apart_and_matchers_choose_them() {
        use SeriesLabel::{Detector, Severity};
        let matcher = |label, is_one_of, values: &[&str]| SeriesMatcher {
            label,
            is_one_of,
            values: values.iter().map(ToString::to_string).collect(),
        };
        let check = |by: &[SeriesLabel], matchers: Vec<SeriesMatcher>, expected: &[(&[&str], u64)]| {
            let query = StoreSeriesQuery {
                matchers,
                ..query(SeriesName::AlertsBegun, by, 1)
            };
            let mut tally = Tally::new(&query).expect("taken");
            for (values, count) in [
                (["a", "", "low", "new"], 1),
                (["b", "", "low", "new"], 2),
                (["a", "n", "high", "new"], 4),
            ] {
                tally.add(-20_000, &values, count).expect("added");
            }
            let found = tally.finish();
            let found: Vec<(Vec<&str>, u64)> = found
                .iter()
                .map(|series| {
                    let labels = series.labels.iter().map(|(_, value)| value.as_str());
                    (labels.collect(), series.values[0])
                })
                .collect();
            let expected: Vec<(Vec<&str>, u64)> = expected
                .iter()
                .map(|(labels, count)| (labels.to_vec(), *count))
                .collect();
            assert_eq!(found, expected);
        };
        check(&[], vec![], &[(&[], 7)]);
        check(&[Severity], vec![], &[(&["high"], 4), (&["low"], 3)]);
        check(
            &[Detector, Severity],
            vec![],
            &[(&["a", "high"], 4), (&["a", "low"], 1), (&["b", "low"], 2)],
        );
        check(&[], vec![matcher(Detector, true, &["a", "c"])], &[(&[], 5)]);
        check(&[], vec![matcher(Detector, false, &["a"])], &[(&[], 2)]);
        check(&[], vec![matcher(Detector, true, &[])], &[(&[], 0)]);
        check(
            &[Detector],
            vec![matcher(SeriesLabel::Network, true, &[""])],
            &[(&["a"], 1), (&["b"], 2)],
        );
    }

    #[test]
    fn a_name_without_a_label_has_the_empty_value() {
        let mut query = query(SeriesName::Flows, &[], 1);
        query.matchers = vec![SeriesMatcher {
            label: SeriesLabel::Severity,
            is_one_of: true,
            values: vec!["high".into()],
        }];
        assert_eq!(Tally::new(&query).expect("taken").finish(), []);
        query.matchers[0].is_one_of = false;
        assert_eq!(Tally::new(&query).expect("taken").finish().len(), 1);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_refused() {
        let check = |change: fn(&mut StoreSeriesQuery), said: &str| {
            let mut query = query(SeriesName::Flows, &[], 1);
            change(&mut query);
            let error = query.check().expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
        };
        check(|query| query.step = 0, "multiples");
        check(|query| query.step = 15_000, "multiples");
        check(|query| query.since = 1, "multiples");
        check(|query| query.steps = 0, "1 to 11000 steps");
        check(|query| query.steps = 11_001, "1 to 11000 steps");
        check(|query| query.since = i64::MAX / 10_000 * 10_000, "no time");
        check(
            |query| (query.step, query.steps) = (i64::MAX / 10_000 * 10_000, 2),
            "no time",
        );
    }

    #[test]
    fn names_are_those_of_the_api() {
        use netsage_api_types::{AlertState, Severity};
        let severities = [
            Severity::Low,
            Severity::Medium,
            Severity::High,
            Severity::Critical,
        ];
        for (severity, name) in severities.into_iter().zip(SEVERITIES) {
            assert_eq!(serde_json::to_value(severity).expect("JSON"), name);
            assert_eq!(SEVERITIES[crate::record::severity_rank(severity) as usize], name);
        }
        let states = [AlertState::New, AlertState::Acknowledged, AlertState::Closed];
        for (state, name) in states.into_iter().zip(STATES) {
            assert_eq!(serde_json::to_value(state).expect("JSON"), name);
        }
    }

    #[test]
    fn series_are_bounded() {
        let query = query(SeriesName::AlertsBegun, &[SeriesLabel::Network], 1);
        let mut tally = Tally::new(&query).expect("taken");
        let mut add = |number: usize| tally.add(-20_000, &["", &number.to_string(), "", ""], 1);
        for number in 0..MAX_SERIES {
            add(number).expect("room");
        }
        add(7).expect("known");
        assert!(add(MAX_SERIES).is_err());
        let query = StoreSeriesQuery {
            steps: MAX_SERIES_STEPS,
            ..query
        };
        let mut tally = Tally::new(&query).expect("taken");
        let mut add = |number: usize| tally.add(-20_000, &["", &number.to_string(), "", ""], 1);
        let most = MAX_VALUES / MAX_SERIES_STEPS as usize;
        (0..most).for_each(|number| add(number).expect("room"));
        assert!(add(most).is_err());
    }
}
