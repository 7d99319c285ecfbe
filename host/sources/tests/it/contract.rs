//! What `docs/contracts.md` demands of every source, as a suite that any source is run through.

use netsage_schema::{FlowBatch, Identity};
use netsage_sources::{MOST_FLOWS, Position, Reading, Source, SourceCounters};

/// Reads after which a source that still goes on never will end.
const MOST_READS: usize = 100_000;
/// A read may be this much above [`MOST_FLOWS`]: a meter that is short of memory hands over what had to make room.
const SLACK: usize = 1024;

/// A source to be run through the suite.
pub(crate) struct Member<'a> {
    /// Opens it anew, at its beginning.
    pub(crate) open: &'a dyn Fn() -> Box<dyn Source>,
    /// Records that it reads.
    pub(crate) records: u64,
    /// Records among them that cannot be used.
    pub(crate) rejected: u64,
    /// Flows that it gives.
    pub(crate) flows: u64,
    /// What its error says at the end, where it is damaged.
    pub(crate) error: Option<&'a str>,
}

/// What came out of reading to the end.
struct Read {
    identities: Vec<Identity>,
    ids: Vec<Option<[u8; 16]>>,
    counters: SourceCounters,
    error: Option<String>,
    /// The places that the source gave, and how many flows lie before each.
    places: Vec<(u64, Position)>,
}

impl Member<'_> {
    /// Runs the source through the suite.
    pub(crate) fn check(&self) {
        let read = read((self.open)());
        self.check_counts(&read);
        self.check_second_reading(&read);
        self.check_places(&read);
        self.check_stop();
    }

    fn check_counts(&self, read: &Read) {
        let SourceCounters {
            records,
            rejected,
            flows,
            lost,
            bytes: _,
            late,
        } = read.counters;
        assert_eq!(
            (records, rejected, flows),
            (self.records, self.rejected, self.flows),
            "records, those rejected, and flows"
        );
        assert_eq!(
            read.identities.len() as u64,
            flows,
            "flows handed over are counted"
        );
        assert_eq!(
            (lost, late),
            (0, 0),
            "nothing was lost before the source, nothing came behind its turn"
        );
        match (self.error, &read.error) {
            (None, None) => {}
            (Some(expected), Some(error)) if error.contains(expected) => {}
            (expected, error) => panic!("{error:?} in place of {expected:?}"),
        }
    }

    /// Ids are made of identities: these must be the same, in the same order, whenever a flow is read.
    fn check_second_reading(&self, first: &Read) {
        let second = read((self.open)());
        let is_stable = first.identities == second.identities && first.ids == second.ids;
        assert!(is_stable, "ids are stable");
    }

    /// From each place that the source gave all flows follow that the store did not have, in their order; some that it has
    /// may come again.
    fn check_places(&self, whole: &Read) {
        for (stored, place) in &whole.places {
            let mut source = (self.open)();
            source.begin_at(place).expect("a place of its own");
            let rest = read(source);
            let (again, expected): (Vec<_>, _) = {
                let (before, expected) = whole.identities.split_at(*stored as usize);
                let again = before.iter().filter(|flow| rest.identities.contains(flow));
                (again.collect(), expected)
            };
            let found = rest.identities.iter();
            assert!(
                found.eq(again.into_iter().chain(expected)),
                "after {stored} flows, at {place:?}"
            );
        }
    }

    /// A source that is asked to stop ends, and what it hands over meanwhile counts.
    fn check_stop(&self) {
        let mut source = (self.open)();
        let mut batch = FlowBatch::new(source.schema());
        let _ = source.read(&mut batch);
        source.stop();
        source.stop();
        for _ in 0..MOST_READS {
            if !matches!(source.read(&mut batch), Ok(Reading::GoesOn)) {
                assert_eq!(batch.len() as u64, source.counters().flows);
                return;
            }
        }
        panic!("the source goes on after it was asked to stop");
    }
}

/// Reads to the end, acknowledging about half of what was handed over after each read, and all at the end.
fn read(mut source: Box<dyn Source>) -> Read {
    assert!(!source.name().is_empty());
    let mut all = FlowBatch::new(source.schema());
    let mut batch = FlowBatch::new(source.schema());
    let mut places = Vec::new();
    let mut counted = SourceCounters::default();
    let mut error = None;
    let mut ended = false;
    for _ in 0..MOST_READS {
        let outcome = source.read(&mut batch);
        assert!(
            batch.len() <= MOST_FLOWS + SLACK,
            "{} flows in one read",
            batch.len()
        );
        assert_eq!(batch.rows.len(), batch.len(), "each flow has a row");
        assert_eq!(
            batch.community_ids.len(),
            batch.len(),
            "each flow has a Community ID"
        );
        assert_eq!(batch.ids.len(), batch.len(), "each flow has an id or none");
        assert!(batch.identities.iter().all(|flow| flow.start_ns <= flow.end_ns));
        if !matches!(outcome, Ok(Reading::GoesOn)) {
            assert!(batch.is_empty(), "the last read hands over nothing");
        }
        all.append(&mut batch);
        let now = source.counters();
        let values = |counters: SourceCounters| counters.named().map(|(_, _, value)| value);
        let grows = |(before, after)| before <= after;
        assert!(
            values(counted).into_iter().zip(values(now)).all(grows),
            "counters rise"
        );
        counted = now;
        let stored = all.len() as u64 / 2;
        places.extend(source.stored(stored).map(|place| (stored, place)));
        match outcome {
            Ok(Reading::GoesOn | Reading::Again) => continue,
            Ok(Reading::End) => {}
            Err(failed) => error = Some(failed.to_string()),
        }
        ended = true;
        break;
    }
    assert!(ended, "the source ends");
    assert!(
        matches!(source.read(&mut batch), Ok(Reading::End)) && batch.is_empty(),
        "an end is an end"
    );
    let stored = all.len() as u64;
    places.extend(source.stored(stored).map(|place| (stored, place)));
    Read {
        identities: all.identities,
        ids: all.ids,
        counters: counted,
        error,
        places,
    }
}
