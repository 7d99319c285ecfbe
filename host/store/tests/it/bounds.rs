//! The bounds of alerts and of the store. The alerts of every store are those of the model, however flows are delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netsage_alerts::{AlertLimits, AlertWindow, Bounded, HitOfFlow, Provenance};
use netsage_api_types::{Alert, AlertQuery, AlertState, StateChange};
use netsage_store::{FlowBatchRecord, SharedStore, StoreError, StoreOptions};

use crate::suite::{all_alerts, all_flows, record, suite};
use netsage_testkit::backends::{Place, sqlite};
use netsage_testkit::sample::{Sample, T0, batch, flow};

suite!(
    alerts_are_those_of_the_model_however_flows_are_delivered,
    writers_at_the_same_time_make_the_alerts_of_the_model,
    what_was_shown_is_merged_and_comes_back,
    a_reader_beside_a_flood_misses_nothing,
    a_reader_that_has_fallen_behind_misses_nothing,
    merged_alerts_are_kept_up_to_a_limit,
    without_limits_each_source_has_an_alert,
);

const LIMITS: AlertLimits = AlertLimits {
    sources: 3,
    alerts: 6,
    merged: 1_000,
};

pub(crate) fn options() -> StoreOptions {
    StoreOptions {
        alert_limits: LIMITS,
        ..StoreOptions::default()
    }
}

async fn open(place: &Place) -> SharedStore {
    place.open_with(&options()).await.expect("the store opens")
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

/// Hits on a few targets, most of them on one, in two windows.
fn attack(seed: u64, sources: usize, targets: usize) -> Vec<Sample> {
    let mut numbers = Numbers(seed);
    let flows = (0..70).map(|number| {
        let source = format!("10.0.0.{}", numbers.below(sources));
        let score = [0.7, 0.8, 0.9, 0.95][numbers.below(4)];
        let window = 3_600_000 * i64::from(numbers.below(4) == 0);
        let mut sample = flow(number, &source, T0 + 1_000 + window, score);
        sample.flow.destination_port =
            u16::try_from(numbers.below(targets).saturating_sub(3)).expect("small");
        let (sensor, network) = (
            ["", "tap"][number as usize % 2],
            ["", "branch"][usize::from(number % 6 == 0)],
        );
        sample.flow.provenance = Provenance::new(sensor, network, number % 9 == 0);
        sample
    });
    flows.collect()
}

/// SQLite does not look the references of rows up while it records.
#[tokio::test]
async fn every_row_refers_to_one_that_is_there() {
    let place = sqlite();
    let store = open(&place).await;
    for (seed, sources, targets) in [(1, 4, 9), (2, 12, 5), (3, 30, 30)] {
        let mut flows = attack(seed, sources, targets);
        for sample in &mut flows {
            sample.flow.id[0] = u8::try_from(seed).expect("small");
        }
        // Some targets get one source too many within a delivery.
        for flows in flows.chunks(10) {
            record(&store, flows).await;
        }
    }
    let alert = all_alerts(&store).await.remove(0);
    let close = StateChange {
        state: AlertState::Closed,
        by: "a person".to_owned(),
    };
    store.change_state(&alert.id, &close).await.expect("changed");
    drop(store);
    let short = StoreOptions {
        alert_retention: std::time::Duration::ZERO,
        flow_retention: std::time::Duration::ZERO,
        ..options()
    };
    let check = |rows: bool| {
        let path = place.url.trim_start_matches("sqlite:");
        let file = rusqlite::Connection::open(path).expect("opens");
        let count = |sql: &str| -> i64 { file.query_row(sql, [], |row| row.get(0)).expect("a count") };
        assert_eq!(count("SELECT count(*) > 0 FROM parts"), i64::from(rows), "parts");
        assert_eq!(count("SELECT count(*) FROM pragma_foreign_key_check"), 0);
    };
    check(true);
    let store = place.open_with(&short).await.expect("the store opens");
    store.purge().await.expect("purged");
    drop(store);
    check(false);
}

/// The alerts of the model, by id.
pub(crate) fn expected(flows: &[Sample]) -> BTreeMap<String, Alert> {
    expected_within(flows, LIMITS)
}

fn expected_within(flows: &[Sample], limits: AlertLimits) -> BTreeMap<String, Alert> {
    let batch: FlowBatchRecord = batch(flows);
    let hits = batch.hits.iter().map(|hit| HitOfFlow {
        hit,
        flow: &batch.flows[hit.flow as usize],
        detector: &batch.scores.detectors()[usize::from(hit.detector)],
        schema: &batch.schema,
    });
    let mut bounded = Bounded::new(AlertWindow::default(), limits);
    bounded.add(hits);
    by_id(bounded.alerts().into_values().map(|record| record.alert))
}

pub(crate) fn by_id(alerts: impl IntoIterator<Item = Alert>) -> BTreeMap<String, Alert> {
    let alerts = alerts.into_iter();
    alerts.map(|alert| (alert.id.clone(), alert)).collect()
}

async fn alerts_are_those_of_the_model_however_flows_are_delivered(place: Place) {
    let (mut of_targets, mut held_back) = (0, 0);
    for (seed, sources, targets) in [(1, 4, 9), (2, 12, 5), (3, 30, 30), (4, 30, 9)] {
        let mut flows = attack(seed, sources, targets);
        // A place for all: each round has a window of its own.
        for sample in &mut flows {
            let shift = i64::try_from(seed).expect("small") * 24 * 3_600_000;
            sample.flow.start += shift;
            sample.flow.end += shift;
            sample.flow.id[0] = u8::try_from(seed).expect("small");
        }
        let expected = expected(&flows);
        for alert in expected.values() {
            let held = alert.sources.as_ref().map(|sources| sources.held_back);
            of_targets += u32::from(held == Some(None));
            held_back += u32::from(matches!(held, Some(Some(_))));
        }
        let mut numbers = Numbers(seed);
        let mut delivered = flows.clone();
        numbers.shuffle(&mut delivered);
        let mut store = open(&place).await;
        let mut rest = delivered.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at((1 + numbers.below(20)).min(rest.len()));
            record(&store, now).await;
            rest = later;
            // Delivered again, wholly or in part, to the same process or the next one.
            if numbers.below(3) == 0 {
                store = open(&place).await;
            }
            if numbers.below(2) == 0 {
                record(&store, &now[numbers.below(now.len())..]).await;
            }
        }
        let is_of_round =
            |alert: &Alert| alert.first_seen >= flows.iter().map(|f| f.flow.start).min().unwrap_or(0);
        let found = by_id(all_alerts(&store).await.into_iter().filter(is_of_round));
        assert_eq!(found, expected, "round {seed}");
        assert!(record(&store, &flows).await.is_empty(), "it is all there");
    }
    assert!(of_targets > 2 && held_back > 2, "{of_targets} and {held_back}");
}

async fn writers_at_the_same_time_make_the_alerts_of_the_model(place: Place) {
    drop(open(&place).await);
    let flows = attack(5, 25, 8);
    let deliver = |flows: Vec<Sample>| {
        let place = &place;
        async move {
            let store = open(place).await;
            for chunk in flows.chunks(9) {
                record(&store, chunk).await;
            }
        }
    };
    // Each delivers all of it, from opposite ends.
    let reversed = flows.iter().rev().cloned().collect();
    tokio::join!(deliver(flows.clone()), deliver(reversed));
    assert_eq!(by_id(all_alerts(&open(&place).await).await), expected(&flows));
}

async fn what_was_shown_is_merged_and_comes_back(place: Place) {
    let store = open(&place).await;
    let from = |number: u32, source: u32, port: u16| {
        let mut sample = flow(number, &format!("10.0.0.{source}"), T0 + 1_000, 0.7);
        sample.flow.destination_port = port;
        sample
    };
    let first: Vec<Sample> = (0..3).map(|number| from(number, number, 80)).collect();
    let singles = record(&store, &first).await;
    assert_eq!(singles.len(), 3);
    let taken = singles
        .iter()
        .find(|alert| alert.source == "10.0.0.1")
        .expect("one of them");
    let acknowledge = StateChange {
        state: AlertState::Acknowledged,
        by: "ann".into(),
    };
    store
        .change_state(&taken.id, &acknowledge)
        .await
        .expect("changed");
    let before = store.changes(0, 100).await.expect("changes").newest;

    record(&store, &[from(3, 3, 80)]).await;
    let shown = all_alerts(&store).await;
    let [target] = shown.as_slice() else {
        panic!("one alert, not {shown:?}")
    };
    let sources = target.sources.as_ref().expect("of many");
    assert_eq!((target.count, sources.count, sources.held_back), (4, 4, None));
    let merged: BTreeSet<String> = singles.iter().map(|alert| alert.id.clone()).collect();
    let changes = store.changes(before, 100).await.expect("changes").items;
    for change in &changes {
        let is_merged = merged.contains(&change.alert.id);
        assert_eq!(change.alert.state == AlertState::Merged, is_merged);
        let into = change.alert.merged_into.as_ref();
        assert_eq!(into, is_merged.then_some(&target.id));
    }
    assert_eq!(changes.len(), 4);
    let query = AlertQuery {
        state: Some(AlertState::Merged),
        ..AlertQuery::default()
    };
    let listed = store.alerts(&query).await.expect("alerts").items;
    assert_eq!(
        listed
            .iter()
            .map(|alert| alert.id.clone())
            .collect::<BTreeSet<_>>(),
        merged
    );
    let overview = store.overview(60_000, 10).await.expect("overview");
    assert_eq!((overview.alerts_total, overview.alerts_new), (1, 1));
    for (id, state) in [(&taken.id, AlertState::Closed), (&target.id, AlertState::Merged)] {
        let change = StateChange {
            state,
            by: "ann".into(),
        };
        let refused = store.change_state(id, &change).await;
        assert!(
            matches!(refused, Err(StoreError::InvalidChange { .. })),
            "{refused:?}"
        );
    }

    // The source does something else too: its alert is back, with what a person said of it and without what was merged.
    record(&store, &[from(4, 1, 81)]).await;
    let back = store.alert(&taken.id).await.expect("read").expect("it is there");
    assert_eq!(
        (back.state, back.count, back.destination_port, back.merged_into),
        (AlertState::Acknowledged, 1, 81, None)
    );
    assert_eq!(all_alerts(&store).await.len(), 2);
}

/// A reader of the changes: what it has seen of each alert, and the last revision.
#[derive(Debug, Clone, Default)]
struct Reader {
    seen: BTreeMap<String, Alert>,
    last: u64,
}

impl Reader {
    /// Reads on, up to the newest change.
    async fn follow(&mut self, store: &SharedStore) {
        loop {
            let page = store.changes(self.last, 2).await.expect("changes");
            for change in page.items {
                assert!(
                    change.revision > self.last,
                    "{} after {}",
                    change.revision,
                    self.last
                );
                self.last = change.revision;
                self.seen.insert(change.alert.id.clone(), change.alert);
            }
            if self.last == page.newest {
                return;
            }
        }
    }

    fn shown(mut self) -> BTreeMap<String, Alert> {
        self.seen.retain(|_, alert| alert.state != AlertState::Merged);
        self.seen
    }
}

async fn a_reader_beside_a_flood_misses_nothing(place: Place) {
    let done = AtomicBool::new(false);
    drop(open(&place).await);
    let flows = attack(7, 30, 9);
    let write = |flows: &[Sample]| {
        let (flows, place) = (flows.to_vec(), &place);
        async move {
            let store = open(place).await;
            for chunk in flows.chunks(5) {
                record(&store, chunk).await;
            }
        }
    };
    let read = async {
        let store = open(&place).await;
        let mut reader = Reader::default();
        loop {
            let was_done = done.load(Ordering::Acquire);
            reader.follow(&store).await;
            if was_done {
                return reader.shown();
            }
        }
    };
    let writers = async {
        tokio::join!(write(&flows[..40]), write(&flows[30..]));
        done.store(true, Ordering::Release);
    };
    let ((), seen) = tokio::join!(writers, read);
    assert_eq!(seen, expected(&flows));
}

async fn a_reader_that_has_fallen_behind_misses_nothing(place: Place) {
    let store = open(&place).await;
    let flows = attack(7, 30, 9);
    let mut readers = vec![Reader::default()];
    for chunk in flows.chunks(5) {
        record(&store, chunk).await;
        let mut next = readers.last().cloned().unwrap_or_default();
        next.follow(&store).await;
        readers.push(next);
    }
    for (chunks, mut reader) in readers.into_iter().enumerate() {
        reader.follow(&store).await;
        assert_eq!(reader.shown(), expected(&flows), "after {chunks} chunks");
    }
}

async fn merged_alerts_are_kept_up_to_a_limit(place: Place) {
    let limits = AlertLimits { merged: 2, ..LIMITS };
    let store = place
        .open_with(&StoreOptions {
            alert_limits: limits,
            ..options()
        })
        .await
        .expect("the store opens");
    let mut flows = attack(7, 30, 9);
    // In one cell.
    for sample in &mut flows {
        sample.flow.start = T0 + 1_000;
        sample.flow.provenance = Provenance::NONE;
    }
    let mut merged = BTreeSet::new();
    for chunk in flows.chunks(5) {
        let changed = record(&store, chunk).await.into_iter();
        merged.extend(
            changed
                .filter(|alert| alert.state == AlertState::Merged)
                .map(|alert| alert.id),
        );
        let query = AlertQuery {
            state: Some(AlertState::Merged),
            ..AlertQuery::default()
        };
        let kept = store.alerts(&query).await.expect("alerts").items.len();
        assert!(kept <= limits.merged, "{kept}");
    }
    assert!(merged.len() > limits.merged, "{} were merged", merged.len());
}

/// The bytes of a file and its log.
fn bytes_of(place: &Place) -> u64 {
    let path = place.url.trim_start_matches("sqlite:");
    let bytes = |path: String| std::fs::metadata(path).map_or(0, |file| file.len());
    bytes(path.to_owned()) + bytes(format!("{path}-wal"))
}

#[tokio::test]
async fn a_store_stays_within_its_size_and_keeps_what_matters() {
    const LIMIT: u64 = 8_000_000;
    let place = sqlite();
    let options = StoreOptions {
        size_limit: Some(LIMIT),
        ..options()
    };
    let store = place.open_with(&options).await.expect("the store opens");
    let mut number = 0;
    let mut next = |source: String, score| {
        number += 1;
        let mut sample = flow(number, &source, T0 + i64::from(number), score);
        sample.flow.id[..4].copy_from_slice(&number.to_be_bytes());
        sample
    };
    let honest: Vec<Sample> = (0..5_000).map(|_| next("10.0.0.1".into(), 0.1)).collect();
    let mut alone = next("10.0.0.2".into(), 0.99);
    alone.flow.destination_port = 99;
    record(&store, &honest).await;
    record(&store, &[alone]).await;
    for round in 0..60_u8 {
        let flood: Vec<Sample> = (0..1_000_u16)
            .map(|low| next(format!("203.{round}.{}.{}", low >> 8, low & 255), 0.7))
            .collect();
        record(&store, &flood).await;
        let bytes = bytes_of(&place);
        assert!(bytes <= LIMIT * 105 / 100, "{bytes} in round {round}");
    }
    let bytes = bytes_of(&place);
    assert!(bytes >= LIMIT * 90 / 100, "{bytes}: the room is used");
    let flows = |store: &SharedStore| {
        let store = Arc::clone(store);
        async move {
            let points = store.overview(60_000, 100).await.expect("overview").points;
            points
                .iter()
                .map(|point| (point.flows, point.alerted))
                .fold((0, 0), |sum, point| (sum.0 + point.0, sum.1 + point.1))
        }
    };
    let (all, alerted) = flows(&store).await;
    assert_eq!(all - alerted, 5_000, "what is ordinary is all there");
    assert!(alerted < 60_001, "and of the flood a part");
    // Ordinary flows go from the oldest one on, alerts stay.
    let alerts = all_alerts(&store).await;
    assert_eq!(alerts.len(), 2);
    for _ in 0..50 {
        let more: Vec<Sample> = (0..1_000).map(|_| next("10.0.0.1".into(), 0.1)).collect();
        record(&store, &more).await;
        let bytes = bytes_of(&place);
        assert!(bytes <= LIMIT * 105 / 100, "{bytes}");
    }
    assert_eq!(all_alerts(&store).await, alerts);
    let flows = store
        .flows(&netsage_api_types::FlowQuery::default())
        .await
        .expect("flows");
    assert_eq!(
        flows.items[0].end,
        T0 + i64::from(number),
        "the last one is there"
    );
}

/// A server is asked for its size only every few seconds, and deletes by the chunk: what goes first is what can be told.
#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn a_database_beyond_its_size_loses_what_matters_least_first() {
    let place = match netsage_testkit::backends::mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let honest = |number: u32| flow(number, "10.0.0.1", T0 + i64::from(number), 0.1);
    let mut alone = flow(20, "10.0.0.2", T0 + 20, 0.99);
    alone.flow.destination_port = 99;
    let flood = (30..40).map(|number| flow(number, &format!("203.0.113.{number}"), T0 + 30, 0.7));
    let flows: Vec<Sample> = (0..20).map(honest).chain([alone]).chain(flood).collect();
    record(&open(&place).await, &flows).await;
    let full = StoreOptions {
        size_limit: Some(1),
        ..options()
    };
    let store = place.open_with(&full).await.expect("the store opens");
    let mut left = Vec::new();
    for more in [vec![honest(50)], vec![honest(51)], vec![]] {
        record(&store, &more).await;
        let flows = all_flows(&store).await;
        let held_back = flows.iter().filter(|flow| flow.source.starts_with("203")).count();
        left.push((held_back, flows.len() - held_back, all_alerts(&store).await.len()));
    }
    assert_eq!(left, [(0, 22, 2), (0, 0, 2), (0, 0, 0)]);
}

async fn without_limits_each_source_has_an_alert(place: Place) {
    let limits = AlertLimits {
        sources: usize::MAX,
        alerts: usize::MAX,
        ..LIMITS
    };
    let store = place
        .open_with(&StoreOptions {
            alert_limits: limits,
            ..options()
        })
        .await
        .expect("the store opens");
    let flows = attack(11, 30, 9);
    let expected = expected_within(&flows, limits);
    assert!(expected.len() > LIMITS.alerts, "{} alerts", expected.len());
    for chunk in flows.chunks(7).rev() {
        record(&store, chunk).await;
    }
    assert_eq!(by_id(all_alerts(&store).await), expected);
}
