//! The event stream keeps the contract; its clients keep its cursors.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use netsage_outputs::event_stream;
use netsage_store::Change;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::contract::{House, Subject, keeps_the_contract};

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
async fn the_event_stream_keeps_the_contract() {
    keeps_the_contract(Browser::default).await;
}

#[tokio::test]
async fn a_new_client_begins_with_the_next_change() {
    let house = House::new().await;
    house.record(0, 1..5).await;
    let mut client = event_stream::open(
        house.shared(),
        house.news.clone(),
        Arc::clone(&house.counters),
        None,
    );
    // The client has asked for the newest revision once it counts as caught up.
    crate::contract::until("a start", || house.counts().receivers == 1).await;
    let mut next = client.next();
    let mut first = 100;
    // Whatever is recorded from now on comes; what was there before does not.
    let change = loop {
        house.record(first, 9..10).await;
        first += 1;
        let soon = tokio::time::timeout(std::time::Duration::from_millis(50), &mut next).await;
        if let Ok(change) = soon {
            break change.expect("the stream goes on");
        }
    };
    assert_eq!(change.alert.source, "10.0.0.9");
}

#[tokio::test]
async fn a_cursor_from_another_store_begins_with_the_next_change() {
    let house = House::new().await;
    house.record(0, 1..5).await;
    let mut client = event_stream::open(
        house.shared(),
        house.news.clone(),
        Arc::clone(&house.counters),
        Some(1_000),
    );
    let mut next = client.next();
    let mut first = 100;
    let change = loop {
        house.record(first, 9..10).await;
        first += 1;
        let soon = tokio::time::timeout(std::time::Duration::from_millis(50), &mut next).await;
        if let Ok(change) = soon {
            break change.expect("the stream goes on");
        }
    };
    assert_eq!(change.alert.source, "10.0.0.9");
}
