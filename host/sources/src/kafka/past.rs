//! How far back a partition is to be read again by whoever has it next, so that the records to come are counted in a
//! window that is whole.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// Between two samples, in microseconds of the stream: what is read again too much.
const STEP_US: i64 = 1_000_000;
/// What a commit says beside its offset, before the offset to begin at.
const NAME: &str = "netsage-window=";
/// What it says then, before the messages that were passed over.
const PASSED: &str = " passed=";
/// Most ranges of these that are said: a broker takes 4,096 bytes.
const MOST_PASSED: usize = 64;

/// The offsets at which the latest end of a partition's records moved on.
#[derive(Debug)]
pub(super) struct Past {
    span_us: i64,
    /// Offset of a message, and the latest end of records before it.
    samples: VecDeque<(i64, i64)>,
    latest_us: i64,
}

impl Past {
    /// Nothing is known yet. `span_us`: how long before the latest end records still matter.
    pub(super) fn new(span_us: u64) -> Self {
        Self {
            span_us: i64::try_from(span_us).unwrap_or(i64::MAX),
            samples: VecDeque::new(),
            latest_us: i64::MIN,
        }
    }

    /// Takes in a record of the message at that offset; offsets rise.
    pub(super) fn note(&mut self, offset: i64, end_us: i64) {
        let sampled_us = self.samples.back().map(|(_, latest_us)| *latest_us);
        if sampled_us.is_none_or(|sampled_us| self.latest_us >= sampled_us.saturating_add(STEP_US)) {
            self.samples.push_back((offset, self.latest_us));
        }
        self.latest_us = self.latest_us.max(end_us);
    }

    /// Where to begin in order to go on at an offset, which is not less than the one of the call before.
    pub(super) fn begin_for(&mut self, offset: i64) -> i64 {
        let before = self.samples.partition_point(|(sampled, _)| *sampled <= offset);
        let sample = before.checked_sub(1).and_then(|place| self.samples.get(place));
        let latest_us = sample.map_or(i64::MIN, |(_, latest_us)| *latest_us);
        let oldest_us = latest_us.saturating_sub(self.span_us);
        // All that ended at or after `oldest_us` stands behind a sample whose latest end is before that.
        while (self.samples.get(1)).is_some_and(|(_, next_us)| *next_us < oldest_us) {
            self.samples.pop_front();
        }
        self.samples
            .front()
            .map_or(offset, |(begin, _)| *begin)
            .min(offset)
    }
}

/// What a commit says beside its offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Where to begin.
    pub(super) begin: i64,
    /// Messages from there on that were passed over, since they cannot be unpacked: from the first to before the second.
    /// Whoever reads them again must not be held up.
    pub(super) passed: Vec<(i64, i64)>,
}

impl Said {
    /// The same as text.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{NAME}{}", self.begin);
        let mut before = PASSED;
        let passed: Vec<_> = self.passed.iter().filter(|(_, to)| *to > self.begin).collect();
        for (from, to) in passed.iter().skip(passed.len().saturating_sub(MOST_PASSED)) {
            // Text takes all that is written.
            let _ = write!(text, "{before}{from}-{to}");
            before = ",";
        }
        text
    }

    /// What a commit of `offset` says: never to begin behind it.
    pub(super) fn of(text: &str, offset: i64) -> Self {
        let said = text.strip_prefix(NAME).unwrap_or_default();
        let (begin, passed) = said.split_once(PASSED).unwrap_or((said, ""));
        let begin = begin.parse().ok().filter(|begin| (0..=offset).contains(begin));
        let range = |range: &str| {
            let (from, to) = range.split_once('-')?;
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            (from < to).then_some((from, to))
        };
        Self {
            begin: begin.unwrap_or(offset),
            passed: passed.split(',').filter_map(range).take(MOST_PASSED).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// Asserts that, of records that ended then, all that matter stand at `begin` or behind, where each is a message.
    fn check(ends_s: &[i64], span_s: u64, offset: i64, expected: i64) {
        let mut past = Past::new(span_s * SECOND.unsigned_abs());
        for (place, end_s) in (0..).zip(ends_s) {
            past.note(place, end_s * SECOND);
        }
        assert_eq!(past.begin_for(offset), expected, "{ends_s:?} from {offset}");
        assert_eq!(past.begin_for(offset), expected, "asked again");
    }

    #[test]
    fn what_matters_to_later_records_is_read_again() {
        let steady: Vec<i64> = (0..100).collect();
        // Records before offset 50 ended by 49, so those from 39 on matter, and one sample more is read.
        check(&steady, 10, 50, 39);
        check(&steady, 10, 5, 0);
        check(&steady, 1_000, 99, 0);
        check(&steady, 0, 99, 98);
        // Late records do not move the time of the stream.
        check(&[0, 100, 1, 2, 3, 101, 102], 10, 6, 1);
        check(&[0, 100, 100, 100, 120, 121, 122], 10, 6, 2);
        check(&[], 10, 7, 7);
    }

    #[test]
    fn samples_are_bounded_by_the_span() {
        let mut past = Past::new(60 * SECOND.unsigned_abs());
        for offset in 0..1_000_000 {
            past.note(offset, offset * 1_000);
            past.begin_for(offset);
        }
        assert!(past.samples.len() <= 64, "{}", past.samples.len());
    }

    #[test]
    fn a_commit_says_where_to_begin_and_what_was_passed_over() {
        let check = |begin: i64, passed: &[(i64, i64)], text: &str| {
            let said = Said {
                begin,
                passed: passed.to_vec(),
            };
            assert_eq!(said.text(), text);
            assert_eq!(Said::of(text, 90), said);
        };
        check(40, &[], "netsage-window=40");
        check(90, &[(80, 95)], "netsage-window=90 passed=80-95");
        check(
            40,
            &[(41, 42), (100, 1_000)],
            "netsage-window=40 passed=41-42,100-1000",
        );
        // What lies before the beginning is not read again.
        let many: Vec<(i64, i64)> = (0..1_000).map(|place| (place * 2, place * 2 + 1)).collect();
        let said = Said {
            begin: 1_000,
            passed: many,
        };
        let text = said.text();
        assert!(text.len() < 4_096 && text.ends_with("1998-1999"), "{text}");
    }

    #[test]
    fn what_others_have_committed_begins_at_its_offset() {
        for other in [
            "",
            "netsage-window=91",
            "netsage-window=-1",
            "netsage-window=x passed=7",
            "hello",
        ] {
            let expected = Said {
                begin: 90,
                passed: Vec::new(),
            };
            assert_eq!(Said::of(other, 90), expected, "{other}");
        }
    }
}
