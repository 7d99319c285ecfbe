//! What every output must do, whatever it sends to. Nothing here waits for a time to pass; it waits for things to happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_api_types::{Alert, AlertQuery};
use netsage_outputs::{News, OutputCounters, OutputCounts};
use netsage_store::{Change, SharedStore, Store as _};
use netsage_testkit::backends::{Place, sqlite};
use netsage_testkit::faulty::{Fault, Faulty};
use netsage_testkit::sample;

/// Far longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An output under test, and the receiver that it sends to.
pub(crate) trait Subject {
    /// Starts delivering at the cursor that the output has, as after a restart of the program.
    fn start(&mut self, house: &House);

    /// Ends the delivery at once, as a killed program does.
    fn kill(&mut self);

    /// Has the receiver take nothing from now on, or take everything again.
    fn block(&mut self, is_blocked: bool);

    /// What the receiver has taken so far, in the order in which it came.
    fn taken(&mut self) -> Vec<Change>;

    /// Most changes that may be on their way to a blocked receiver.
    fn in_flight(&self) -> usize;
}

/// What a program has: a store, a bell, counters.
pub(crate) struct House {
    pub(crate) store: Arc<Faulty>,
    pub(crate) news: News,
    pub(crate) counters: Arc<OutputCounters>,
    _place: Place,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::at(sqlite()).await
    }

    pub(crate) async fn at(place: Place) -> Self {
        Self {
            store: Faulty::new(place.open().await, Fault::None),
            news: News::default(),
            counters: Arc::default(),
            _place: place,
        }
    }

    pub(crate) fn shared(&self) -> SharedStore {
        Arc::clone(&self.store) as SharedStore
    }

    /// Records a flow of each source to a target of its own, which is an alert of its own, and tells the outputs.
    pub(crate) async fn record(&self, first: u32, sources: std::ops::Range<u8>) {
        let flows: Vec<_> = (first..)
            .zip(sources)
            .map(|(number, source)| {
                let mut sample = sample::flow(number, &format!("10.0.0.{source}"), sample::T0 + 500, 0.9);
                sample.flow.destination_port = u16::from(source);
                sample
            })
            .collect();
        let batch = Arc::new(sample::batch(&flows));
        self.store.record(&[batch]).await.expect("recorded");
        self.news.ring();
    }

    pub(crate) async fn alerts(&self) -> BTreeMap<String, Alert> {
        let query = AlertQuery {
            limit: Some(500),
            ..AlertQuery::default()
        };
        let page = self.store.alerts(&query).await.expect("alerts");
        page.items
            .into_iter()
            .map(|alert| (alert.id.clone(), alert))
            .collect()
    }

    pub(crate) fn counts(&self) -> OutputCounts {
        self.counters.snapshot()
    }
}

/// Waits until something has happened.
pub(crate) async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the receiver has so many different alerts.
async fn until_taken(subject: &mut dyn Subject, alerts: usize) {
    until(&format!("{alerts} alerts"), || {
        let taken = subject.taken();
        let ids: BTreeSet<&str> = taken.iter().map(|change| change.alert.id.as_str()).collect();
        ids.len() == alerts
    })
    .await;
}

/// The alerts as the receiver has them in the end. Checks that they came in the order of their revisions, apart from
/// repeats after a restart, and that a repeat is the same.
fn received(taken: &[Change], starts: usize) -> BTreeMap<String, Alert> {
    let mut by_revision: BTreeMap<u64, &Change> = BTreeMap::new();
    for change in taken {
        let known = by_revision.entry(change.revision).or_insert(change);
        assert_eq!(*known, change, "a repeat is the same");
    }
    let falls = taken
        .windows(2)
        .filter(|pair| pair[1].revision <= pair[0].revision);
    assert!(falls.count() < starts, "in the order of revisions: {taken:?}");
    let alerts = by_revision.into_values().map(|change| change.alert.clone());
    alerts.map(|alert| (alert.id.clone(), alert)).collect()
}

/// Runs an output through all of it, each check over an empty store.
pub(crate) async fn keeps_the_contract<S: Subject>(
    new: impl Fn() -> S,
    place: impl Fn() -> Result<Place, String>,
) {
    if let Err(reason) = place() {
        eprintln!("skipped: {reason}");
        return;
    }
    let house = async || House::at(place().expect("a place like the first")).await;
    nothing_is_missed_over_restarts(new(), house().await).await;
    a_blocked_receiver_lags_and_holds_up_nobody(new(), house().await).await;
    nothing_is_sent_while_the_store_is_away(new(), house().await).await;
}

async fn nothing_is_missed_over_restarts(mut subject: impl Subject, house: House) {
    subject.start(&house);
    until("a start", || house.counts().receivers == 1).await;
    house.record(0, 1..40).await;
    until_taken(&mut subject, 39).await;
    // Killed while there is more to send, and while nobody sends.
    house.record(100, 20..60).await;
    subject.kill();
    house.record(200, 50..90).await;
    subject.start(&house);
    until_taken(&mut subject, 89).await;
    until("all of it", || house.counts().lag == 0).await;
    assert_eq!(received(&subject.taken(), 2), house.alerts().await);
    assert!(house.counts().delivered >= 89);
    subject.kill();
    until("the end", || house.counts().receivers == 0).await;
}

async fn a_blocked_receiver_lags_and_holds_up_nobody(mut subject: impl Subject, house: House) {
    subject.start(&house);
    house.record(0, 1..3).await;
    until_taken(&mut subject, 2).await;
    // What is taken and not acknowledged would come again, as it may.
    until("the acknowledgement", || house.counts().lag == 0).await;
    subject.block(true);
    // The store takes all of this while the receiver takes none of it.
    let more = u8::try_from(subject.in_flight()).expect("few") + 100;
    house.record(100, 10..10 + more).await;
    until("a lag", || house.counts().lag > 0).await;
    let before = subject.taken();
    house.record(1_000, 10..10 + more).await;
    assert_eq!(subject.taken(), before, "a blocked receiver takes nothing");
    subject.block(false);
    until_taken(&mut subject, usize::from(more) + 2).await;
    until("all of it", || house.counts().lag == 0).await;
    assert_eq!(received(&subject.taken(), 1), house.alerts().await);
    subject.kill();
}

async fn nothing_is_sent_while_the_store_is_away(mut subject: impl Subject, house: House) {
    subject.start(&house);
    house.record(0, 1..3).await;
    until_taken(&mut subject, 2).await;
    house.store.set(Fault::Away);
    house.news.ring();
    let failures = house.counts().store_failures;
    until("attempts to read", || {
        house.counts().store_failures > failures + 1
    })
    .await;
    assert_eq!(subject.taken().len(), 2);
    house.store.set(Fault::None);
    house.record(100, 2..9).await;
    until_taken(&mut subject, 8).await;
    assert_eq!(received(&subject.taken(), 1), house.alerts().await);
    subject.kill();
}
