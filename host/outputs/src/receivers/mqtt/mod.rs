//! Messages to a broker of MQTT, and whether this sensor is there.
//!
//! A connection is kept for as long as the output lives, whether there is something to send or not: its end is how the broker
//! learns that the sensor is gone. Under `PREFIX/state` the broker keeps `online` or `offline`; the latter is the client's
//! will, and what it says itself at a clean stop. Messages go out with QoS 1 and count as taken when the broker has confirmed
//! each; what a broken connection has left unconfirmed is handed over anew.

mod options;
mod packet;
mod session;

use std::sync::Arc;
use std::time::Duration;

use netsage_messages::{Message, Urgency, Wording};
use netsage_store::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::{Failure, Output, Pauses, Undelivered};
use options::Checked;
pub use options::{DOCUMENT_BYTES, KEEP_ALIVE, MqttError, MqttOptions, MqttVersion};
use packet::Publication;
use session::{Order, Session};

use super::batch::{Batch, Written};

/// How long the broker has to confirm a publication.
const CONFIRMATION: Duration = Duration::from_secs(30);
/// How long a try to connect is waited for: look-up, connection, greeting.
const TRY: Duration = Duration::from_secs(30);
/// How long good-bye may take.
const GOODBYE: Duration = Duration::from_secs(5);
/// Pauses between tries to connect.
const PAUSES: Pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(30));

/// How long a connection has to last for the pauses to begin anew.
const SOUND: Duration = Duration::from_secs(10);

/// Sends messages to one broker.
pub struct Mqtt {
    options: MqttOptions,
    wording: Wording,
    prefix: String,
    /// Settings of the keeper until it starts.
    settings: Option<Checked>,
    keeper: Option<Keeper>,
}

/// The task that keeps the connection, as the output sees it. Dropped, it says good-bye to the broker, while the runtime
/// lives.
struct Keeper {
    orders: mpsc::Sender<Order>,
    state: watch::Receiver<State>,
    /// Asks for a try to connect before its time.
    hurry: Arc<Notify>,
    task: JoinHandle<()>,
}

/// How the connection is.
#[derive(Debug, Clone)]
enum State {
    /// It was not tried yet.
    Unknown,
    Up,
    Down(Failure),
}

impl Mqtt {
    /// Checks the settings, and reads the files. Inside a Tokio runtime the broker is connected to at once, since it is told
    /// that the sensor is there; elsewhere with the first message.
    ///
    /// # Errors
    /// Which setting cannot be, and why.
    pub fn new(options: MqttOptions, wording: Wording) -> Result<Self, MqttError> {
        let settings = options.check(&wording)?;
        let mut mqtt = Self {
            prefix: settings.prefix.clone(),
            settings: Some(settings),
            keeper: None,
            options,
            wording,
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            mqtt.start();
        }
        Ok(mqtt)
    }

    /// Has the broker keep that this sensor is gone, and says good-bye. A message that comes later connects anew.
    ///
    /// Without it the broker does both by itself, once it notices.
    pub async fn close(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        drop(keeper.orders);
        // A broker that takes no good-bye publishes the will.
        let _ = timeout(GOODBYE, keeper.task).await;
    }

    fn start(&mut self) {
        let Some(settings) = self.settings.take() else {
            return;
        };
        let (orders, ordered) = mpsc::channel(16);
        let (told, state) = watch::channel(State::Unknown);
        let hurry = Arc::new(Notify::new());
        self.keeper = Some(Keeper {
            orders,
            state,
            hurry: Arc::clone(&hurry),
            task: tokio::spawn(keep(settings, ordered, told, hurry)),
        });
    }

    async fn send(&mut self, messages: &[Message]) -> Result<(), Undelivered> {
        let batch = Batch::of(messages, |message| {
            Written::of(
                message,
                self.options.format,
                &self.wording,
                self.options.max_bytes,
            )
        });
        if self.keeper.is_none() {
            self.settings = self.options.check(&self.wording).ok();
            self.start();
        }
        let Some(keeper) = &mut self.keeper else {
            let failure = Failure::unavailable("the settings do not serve any more");
            return batch.failed(0, failure);
        };
        if let Err(failure) = keeper.connected().await {
            return batch.failed(0, failure);
        }
        let publications = batch.documents().map(|written| self.publication(written));
        let publications: Vec<Publication> = publications.collect();
        let Some(keeper) = &self.keeper else {
            return batch.failed(0, Failure::unavailable("there is no connection"));
        };
        let (taken, failure) = keeper.publish(publications).await;
        match failure {
            None => batch.taken(),
            Some(failure) => batch.failed(taken, failure),
        }
    }

    fn publication(&self, written: &Written) -> Publication {
        let Written { kind, document } = written;
        let place = match *kind {
            "alert" => format!("alerts/{}", urgency(document.urgency)),
            kind => format!("{kind}s"),
        };
        let property = |name: &str, value: String| (name.to_owned(), value);
        Publication {
            topic: format!("{}/{place}", self.prefix),
            payload: document.text.clone().into_bytes(),
            is_retained: false,
            properties: vec![
                property("id", document.id.clone()),
                property("revision", document.revision.to_string()),
                property("kind", (*kind).to_owned()),
            ],
            content_type: self.options.format.content_type(),
        }
    }
}

impl Output for Mqtt {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.send(messages))
    }
}

impl Keeper {
    /// Waits until there is a connection, or a try to make one has failed.
    async fn connected(&mut self) -> Result<(), Failure> {
        match &*self.state.borrow_and_update() {
            State::Up => return Ok(()),
            State::Down(_) | State::Unknown => {}
        }
        self.hurry.notify_one();
        let tried = timeout(TRY, self.state.changed()).await;
        match (tried, &*self.state.borrow()) {
            (Ok(Ok(())), State::Up) => Ok(()),
            (_, State::Down(failure)) => Err(failure.clone()),
            (_, State::Up | State::Unknown) => Err(Failure::unavailable("there is no connection")),
        }
    }

    /// Publishes in this order; says how many the broker has confirmed before the first that it has not, and why it has not.
    async fn publish(&self, publications: Vec<Publication>) -> (usize, Option<Failure>) {
        let all = publications.len();
        let mut outcomes = Vec::with_capacity(all);
        for publication in publications {
            let (outcome, waiting) = oneshot::channel();
            let order = Order { publication, outcome };
            // There is room as long as the broker confirms.
            let Ok(Ok(())) = timeout(CONFIRMATION, self.orders.send(order)).await else {
                break;
            };
            outcomes.push(waiting);
        }
        let ordered = outcomes.len();
        for (taken, waiting) in outcomes.into_iter().enumerate() {
            match timeout(CONFIRMATION, waiting).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(failure))) => return (taken, Some(failure)),
                Ok(Err(_)) => return (taken, Some(self.failure())),
                Err(_) => {
                    let failure = format!("no confirmation within {} s", CONFIRMATION.as_secs());
                    return (taken, Some(Failure::unavailable(failure)));
                }
            }
        }
        (ordered, (ordered < all).then(|| self.failure()))
    }

    /// Why the connection broke.
    fn failure(&self) -> Failure {
        match &*self.state.borrow() {
            State::Down(failure) => failure.clone(),
            State::Up | State::Unknown => Failure::unavailable("the connection broke"),
        }
    }
}

/// Keeps a connection, as long as there is somebody who could order something.
async fn keep(
    mut settings: Checked,
    mut orders: mpsc::Receiver<Order>,
    state: watch::Sender<State>,
    hurry: Arc<Notify>,
) {
    let mut pauses = PAUSES;
    loop {
        let served = match Session::open(&mut settings).await {
            Ok(session) => {
                tracing::info!(broker = %settings.address, "connected by MQTT");
                state.send_replace(State::Up);
                let began = Instant::now();
                let served = session.serve(&mut orders).await;
                // A broker that drops the connection for what is sent over it would be asked in haste.
                if began.elapsed() >= SOUND {
                    pauses.reset();
                }
                served
            }
            Err(failure) => Err(failure),
        };
        let Err(failure) = served else { return };
        state.send_replace(State::Down(failure));
        tokio::select! {
            () = sleep(pauses.take()) => {}
            () = hurry.notified() => {}
            // Nobody waits for what was ordered over a connection that is gone; the end of all orders ends the task.
            () = given_up(&mut orders) => return,
        }
    }
}

/// Drops what is ordered while there is no connection, until nobody orders any more.
async fn given_up(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        drop(order);
    }
}

fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Info => "info",
        Urgency::Low => "low",
        Urgency::Medium => "medium",
        Urgency::High => "high",
        Urgency::Critical => "critical",
    }
}
