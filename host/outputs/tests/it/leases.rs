//! Several programs on one store: one of them delivers, and another goes on when that one dies.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netsage_messages::Message;
use netsage_outputs::sending::Rules;
use netsage_outputs::{Begin, Cursor, Delivery, Output, OutputHandle, Pauses, Undelivered, handle};
use netsage_store::BoxFuture;
use netsage_testkit::backends::{Place, mongodb, sqlite};
use tokio::task::JoinHandle;

use crate::contract::{House, until};

/// How long a program that has died keeps the lease: milliseconds of this variable, or fewer than anybody would set, so that
/// the test is quick.
fn lease() -> Duration {
    let set = std::env::var("NETSAGE_TEST_LEASE");
    Duration::from_millis(set.map_or(400, |set| set.parse().expect("milliseconds")))
}

/// How often the program that delivers is killed.
const KILLS: u32 = 10;

/// What all programs send to. It notices when two send at a moment.
#[derive(Default)]
struct Receiver {
    taken: Mutex<BTreeSet<String>>,
    sending: AtomicUsize,
    overlaps: AtomicUsize,
}

impl Receiver {
    fn count(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

struct ToReceiver(Arc<Receiver>);

/// A hand-over under way; ends with the future, however that ends.
struct UnderWay<'a>(&'a Receiver);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.sending.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Output for ToReceiver {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(async move {
            let others = self.0.sending.fetch_add(1, Ordering::SeqCst);
            let _under_way = UnderWay(&self.0);
            self.0.overlaps.fetch_add(others, Ordering::SeqCst);
            for message in messages {
                tokio::time::sleep(Duration::from_millis(1)).await;
                self.0.taken.lock().unwrap().insert(message.id());
            }
            Ok(())
        })
    }
}

struct Program {
    handle: OutputHandle,
    delivery: JoinHandle<()>,
}

impl Program {
    fn start(house: &House, receiver: &Arc<Receiver>, holder: &str) -> Self {
        let (handle, orders) = handle();
        let delivery = Delivery {
            output: Box::new(ToReceiver(Arc::clone(receiver))),
            name: "shared".to_owned(),
            store: house.shared(),
            cursor: Cursor::Leased {
                name: "output shared".to_owned(),
                holder: holder.to_owned(),
                length: lease(),
            },
            begin: Begin::AtFirst,
            rules: Rules::default(),
            kept: None,
            news: house.news.clone(),
            orders,
            counters: Arc::clone(&house.counters),
            pauses: Pauses::new(Duration::from_millis(4), Duration::from_millis(64)),
        };
        Self {
            handle,
            delivery: tokio::spawn(delivery.run()),
        }
    }

    fn leads(&self) -> bool {
        !self.delivery.is_finished() && self.handle.status().is_leading
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.delivery.abort();
    }
}

async fn one_sends_at_a_time_and_nothing_is_missing(place: Place) {
    let house = House::at(place).await;
    let receiver = Arc::<Receiver>::default();
    let mut programs = [0, 1].map(|number| Program::start(&house, &receiver, &format!("program {number}")));
    for kill in 0..KILLS {
        let mut leading = 0;
        until("one that delivers", || {
            let found = programs.iter().position(Program::leads);
            leading = found.unwrap_or(leading);
            found.is_some()
        })
        .await;
        house.record(kill * 100, 1..20).await;
        // While it sends, and another time while there is nothing to send.
        if kill % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(105)).await;
        }
        // Another program with another name takes its place.
        programs[leading] = Program::start(&house, &receiver, &format!("program {}", kill + 2));
    }
    house.record(5_000, 100..101).await;
    let expected = house.alerts().await.len();
    until("all alerts", || receiver.count() == expected).await;
    assert_eq!(
        receiver.overlaps.load(Ordering::SeqCst),
        0,
        "two programs sent at a moment"
    );
    until("one that delivers", || {
        programs.iter().filter(|program| program.leads()).count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sends_at_a_time_on_sqlite() {
    one_sends_at_a_time_and_nothing_is_missing(sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sends_at_a_time_on_mongodb() {
    match mongodb() {
        Ok(place) => one_sends_at_a_time_and_nothing_is_missing(place).await,
        Err(reason) => eprintln!("skipped: {reason}"),
    }
}

#[tokio::test]
async fn a_program_that_starts_again_goes_on_at_once() {
    let house = House::new().await;
    let receiver = Arc::<Receiver>::default();
    for start in 0..5_u32 {
        let program = Program::start(&house, &receiver, "the same");
        house.record(start * 100, 1..4).await;
        until("it delivers", || program.leads()).await;
    }
}
