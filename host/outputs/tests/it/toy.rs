//! A toy output in one file: it appends to a list, and fails on demand.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use netsage_messages::{AlertMessage, Message};
use netsage_outputs::sending::Rules;
use netsage_outputs::{Begin, Cursor, Delivery, Failure, LEASE, Output, Pauses, Undelivered, handle};
use netsage_store::{BoxFuture, Change};
use netsage_testkit::backends::{mongodb, sqlite};
use tokio::task::JoinHandle;

use crate::contract::{House, Subject, keeps_the_contract, until};

/// What receives.
#[derive(Default)]
struct List {
    taken: Vec<Change>,
    is_blocked: bool,
    /// Takes what comes and never says so.
    is_silent: bool,
    /// A revision that is never taken.
    refuses: Option<u64>,
    /// When it was offered something.
    attempts: Vec<Instant>,
}

struct ToList(Arc<Mutex<List>>);

impl Output for ToList {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let taken = self.offer(messages);
            if self.0.lock().expect("sound").is_silent {
                std::future::pending::<()>().await;
            }
            taken
        })
    }
}

impl ToList {
    fn offer(&self, messages: &[Message]) -> Result<(), Undelivered> {
        let mut list = self.0.lock().expect("sound");
        list.attempts.push(Instant::now());
        for (taken, message) in messages.iter().enumerate() {
            let Message::Alert(AlertMessage { alert, revision, .. }) = message else {
                continue;
            };
            let (alert, revision) = (alert.clone(), *revision);
            let failure = match () {
                () if list.is_blocked => Failure::unavailable("blocked"),
                () if list.refuses == Some(revision) => Failure::Refused("unwanted".to_owned()),
                () => {
                    list.taken.push(Change { revision, alert });
                    continue;
                }
            };
            return Err(Undelivered { taken, failure });
        }
        Ok(())
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(4);

#[derive(Default)]
struct Toy {
    list: Arc<Mutex<List>>,
    delivery: Option<JoinHandle<()>>,
}

impl Subject for Toy {
    fn start(&mut self, house: &House) {
        let delivery = Delivery {
            output: Box::new(ToList(Arc::clone(&self.list))),
            name: "toy".to_owned(),
            store: house.shared(),
            cursor: Cursor::Leased {
                name: "output toy".to_owned(),
                holder: "program".to_owned(),
                length: LEASE,
            },
            begin: Begin::AtFirst,
            rules: Rules::default(),
            kept: None,
            orders: handle().1,
            news: house.news.clone(),
            counters: Arc::clone(&house.counters),
            pauses: Pauses::new(FIRST_PAUSE, Duration::from_millis(64)),
        };
        self.delivery = Some(tokio::spawn(delivery.run()));
    }

    fn kill(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.abort();
        }
    }

    fn block(&mut self, is_blocked: bool) {
        self.list.lock().expect("sound").is_blocked = is_blocked;
    }

    fn taken(&mut self) -> Vec<Change> {
        self.list.lock().expect("sound").taken.clone()
    }

    fn in_flight(&self) -> usize {
        0
    }
}

#[tokio::test]
async fn the_toy_keeps_the_contract_on_sqlite() {
    keeps_the_contract(Toy::default, || Ok(sqlite())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_toy_keeps_the_contract_on_mongodb() {
    keeps_the_contract(Toy::default, mongodb).await;
}

#[tokio::test]
async fn a_failing_receiver_is_tried_again_after_growing_pauses() {
    let house = House::new().await;
    let mut toy = Toy::default();
    toy.block(true);
    house.record(0, 1..4).await;
    toy.start(&house);
    until("six attempts", || {
        toy.list.lock().expect("sound").attempts.len() >= 6
    })
    .await;
    let attempts = toy.list.lock().expect("sound").attempts.clone();
    // 4, 8, 16, 32 and 64 ms at least; a sleep never ends early.
    for (doublings, pair) in (0..5).zip(attempts.windows(2)) {
        let pause = pair[1] - pair[0];
        assert!(
            pause >= FIRST_PAUSE * (1 << doublings),
            "{pause:?} after {doublings}"
        );
    }
    assert!(house.counts().receiver_failures >= 5);
    assert_eq!(house.counts().delivered, 0);
    toy.block(false);
    until("three alerts", || toy.taken().len() == 3).await;
    toy.kill();
}

#[tokio::test]
async fn what_was_taken_and_not_acknowledged_comes_again() {
    let house = House::new().await;
    let mut toy = Toy::default();
    toy.list.lock().expect("sound").is_silent = true;
    house.record(0, 1..4).await;
    toy.start(&house);
    until("three alerts", || toy.taken().len() == 3).await;
    // Killed between hand-over and acknowledgement.
    toy.kill();
    toy.list.lock().expect("sound").is_silent = false;
    toy.start(&house);
    until("repeats", || toy.taken().len() == 6).await;
    let taken = toy.taken();
    assert_eq!(taken[..3], taken[3..], "the same alerts with the same revisions");
    until("the cursor", || house.counts().lag == 0).await;
    toy.kill();
    // From the cursor that was saved nothing comes again.
    house.record(100, 8..9).await;
    toy.start(&house);
    until("the next one", || toy.taken().len() >= 7).await;
    assert_eq!(toy.taken()[6].revision, 4);
    toy.kill();
}

#[tokio::test]
async fn a_refused_alert_is_left_out_and_counted() {
    let house = House::new().await;
    let mut toy = Toy::default();
    toy.list.lock().expect("sound").refuses = Some(2);
    house.record(0, 1..4).await;
    toy.start(&house);
    until("the others", || toy.taken().len() == 2).await;
    let revisions: Vec<u64> = toy.taken().iter().map(|change| change.revision).collect();
    assert_eq!(revisions, [1, 3]);
    assert_eq!(house.counts().refused, 1);
    toy.kill();
}
