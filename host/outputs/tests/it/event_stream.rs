//! The event stream keeps the contract; its clients keep its cursors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use netsage_outputs::event_stream;
use netsage_store::Change;
use netsage_testkit::backends::{mongodb, sqlite};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::contract::{House, Subject, keeps_the_contract, until};

/// A client that remembers the last event it has read, as a browser does.
#[derive(Default)]
struct Browser {
    taken: Arc<Mutex<Vec<Change>>>,
    is_blocked: watch::Sender<bool>,
    reading: VecDeque<JoinHandle<()>>,
}

impl Subject for Browser {
    fn start(&mut self, house: &House) {
        let last = self.taken().last().map(|change| change.revision);
        // A page that was just opened begins with what comes; the contract begins with an empty store.
        let mut client = event_stream::open(
            house.shared(),
            house.news.clone(),
            Arc::clone(&house.counters),
            Some(last.unwrap_or(0)),
        );
        let taken = Arc::clone(&self.taken);
        let mut is_blocked = self.is_blocked.subscribe();
        self.reading.push_back(tokio::spawn(async move {
            loop {
                let free = is_blocked.wait_for(|is_blocked| !is_blocked).await;
                if free.map(|_| ()).is_err() {
                    return;
                }
                let Some(change) = client.next().await else { return };
                let free = is_blocked.wait_for(|is_blocked| !is_blocked).await;
                drop(free);
                taken.lock().expect("sound").push(change);
            }
        }));
    }

    fn kill(&mut self) {
        for reading in self.reading.drain(..) {
            reading.abort();
        }
    }

    fn block(&mut self, is_blocked: bool) {
        self.is_blocked.send_replace(is_blocked);
    }

    fn taken(&mut self) -> Vec<Change> {
        self.taken.lock().expect("sound").clone()
    }

    fn in_flight(&self) -> usize {
        65
    }
}

#[tokio::test]
async fn the_event_stream_keeps_the_contract_on_sqlite() {
    keeps_the_contract(Browser::default, || Ok(sqlite())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_stream_keeps_the_contract_on_mongodb() {
    keeps_the_contract(Browser::default, mongodb).await;
}

/// A client over a store that holds alerts gets what is recorded once it has begun, and nothing of what was there before.
async fn begins_with_the_next_change(cursor: Option<u64>) {
    let house = House::new().await;
    house.record(0, 1..5).await;
    let mut client = event_stream::open(
        house.shared(),
        house.news.clone(),
        Arc::clone(&house.counters),
        cursor,
    );
    // The client has asked for the newest revision once it counts as caught up.
    until("a start", || house.counts().receivers == 1).await;
    let mut next = client.next();
    let mut first = 100;
    let change = loop {
        house.record(first, 9..10).await;
        first += 1;
        let soon = tokio::time::timeout(Duration::from_millis(50), &mut next).await;
        if let Ok(change) = soon {
            break change.expect("the stream goes on");
        }
    };
    assert_eq!(change.alert.source, "10.0.0.9");
}

#[tokio::test]
async fn a_new_client_begins_with_the_next_change() {
    begins_with_the_next_change(None).await;
}

#[tokio::test]
async fn a_cursor_from_another_store_begins_with_the_next_change() {
    begins_with_the_next_change(Some(1_000)).await;
}
