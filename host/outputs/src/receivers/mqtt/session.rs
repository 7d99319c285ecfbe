//! One connection to a broker, from its first packet to its last.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::options::Checked;
use super::packet::{Answer, Hello, Publication, Version};
use crate::Failure;
use crate::receivers::stream::{self, PATIENCE, Stream};

/// What is published of this sensor while it is there, and once it is not.
pub(super) const ONLINE: &str = "online";
pub(super) const OFFLINE: &str = "offline";
/// Publications under way at once, where the broker takes as many.
const MOST_UNDER_WAY: u16 = 100;
/// How long the broker has to take good-bye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A publication, and who waits for what becomes of it.
pub(super) struct Order {
    pub(super) publication: Publication,
    pub(super) outcome: oneshot::Sender<Result<(), Failure>>,
}

/// A connection over which the broker has welcomed this client.
pub(super) struct Session {
    version: Version,
    stream: Box<dyn Stream>,
    state_topic: String,
    keep_alive: Duration,
    /// Bytes that have come and are no whole answer yet.
    came: BytesMut,
    last_came: Instant,
    under_way: BTreeMap<u16, oneshot::Sender<Result<(), Failure>>>,
    most_under_way: usize,
    largest: Option<u32>,
    number: u16,
}

impl Session {
    /// Connects, and has the broker keep that this sensor is there.
    pub(super) async fn open(settings: &mut Checked) -> Result<Self, Failure> {
        let login = settings.login().map_err(Failure::unavailable)?;
        let config = settings.tls.as_mut().map(|tls| tls.config());
        let stream = stream::connect(&settings.address, config).await?;
        let mut session = Self {
            version: settings.version,
            stream,
            state_topic: format!("{}/state", settings.prefix),
            keep_alive: settings.keep_alive,
            came: BytesMut::new(),
            last_came: Instant::now(),
            under_way: BTreeMap::new(),
            most_under_way: usize::from(MOST_UNDER_WAY),
            largest: None,
            number: 0,
        };
        let greeting = async {
            let mut packet = BytesMut::new();
            let hello = Hello {
                client_id: &settings.client_id,
                keep_alive_s: u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX),
                login,
                will: (session.state_topic.as_str(), OFFLINE),
            };
            (session.version)
                .hello(hello, &mut packet)
                .map_err(Failure::unavailable)?;
            session.write(&packet).await?;
            match session.answer().await? {
                Answer::Welcome {
                    largest,
                    most_under_way,
                } => {
                    session.largest = largest;
                    session.most_under_way =
                        usize::from(most_under_way.unwrap_or(u16::MAX).clamp(1, MOST_UNDER_WAY));
                }
                Answer::Refusal(failure) => return Err(failure),
                _ => return Err(Failure::unavailable("the broker does not speak as MQTT asks")),
            }
            session.tell_state(ONLINE).await
        };
        match timeout(PATIENCE, greeting).await {
            Ok(greeted) => greeted.map(|()| session),
            Err(_) => Err(Failure::unavailable(format!(
                "the broker has not answered within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    /// Publishes what is ordered until nobody orders any more; then says good-bye. What was not confirmed when the connection
    /// breaks has no outcome: whoever waits for one sees that there will be none.
    pub(super) async fn serve(mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), Failure> {
        loop {
            let has_room = self.under_way.len() < self.most_under_way;
            let ping = Instant::now() + self.keep_alive / 2;
            tokio::select! {
                order = orders.recv(), if has_room => match order {
                    Some(order) => self.publish(order).await?,
                    None => return self.say_goodbye().await,
                },
                read = self.stream.read_buf(&mut self.came) => {
                    self.take_in(read)?;
                    while let Some(answer) = self.whole_answer()? {
                        self.note(answer)?;
                    }
                }
                () = sleep_until(ping) => self.ping().await?,
            }
            if self.last_came.elapsed() > self.keep_alive * 2 {
                return Err(Failure::unavailable("the broker is silent"));
            }
        }
    }

    async fn publish(&mut self, order: Order) -> Result<(), Failure> {
        let Order { publication, outcome } = order;
        if outcome.is_closed() {
            // Whoever has ordered it has given up, and will again.
            return Ok(());
        }
        let number = self.next_number();
        let mut packet = BytesMut::new();
        let written = self.version.publish(publication, number, &mut packet);
        let largest = self.largest.map_or(usize::MAX, |largest| largest as usize);
        let refusal = match written {
            Err(reason) => Some(reason),
            Ok(()) if packet.len() > largest => Some(format!(
                "{} bytes are more than the {largest} that the broker takes; lower `max-bytes`",
                packet.len()
            )),
            Ok(()) => None,
        };
        if let Some(reason) = refusal {
            // Nobody waits for what was given up.
            let _ = outcome.send(Err(Failure::Refused(reason)));
            return Ok(());
        }
        self.under_way.insert(number, outcome);
        self.write(&packet).await
    }

    /// The next number that no publication under way has.
    fn next_number(&mut self) -> u16 {
        loop {
            self.number = self.number.checked_add(1).unwrap_or(1);
            if !self.under_way.contains_key(&self.number) {
                return self.number;
            }
        }
    }

    fn note(&mut self, answer: Answer) -> Result<(), Failure> {
        match answer {
            Answer::Published(number, outcome) => {
                if let Some(waiting) = self.under_way.remove(&number) {
                    // As above.
                    let _ = waiting.send(outcome);
                }
                Ok(())
            }
            Answer::Refusal(failure) => Err(failure),
            Answer::Welcome { .. } | Answer::Other => Ok(()),
        }
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        let mut packet = BytesMut::new();
        self.version.ping(&mut packet).map_err(Failure::unavailable)?;
        self.write(&packet).await
    }

    /// Has the broker keep in what state this sensor is, and waits until it has.
    async fn tell_state(&mut self, state: &str) -> Result<(), Failure> {
        let (outcome, mut told) = oneshot::channel();
        let publication = Publication {
            topic: self.state_topic.clone(),
            payload: state.as_bytes().to_vec(),
            is_retained: true,
            properties: Vec::new(),
            content_type: "text/plain",
        };
        self.publish(Order { publication, outcome }).await?;
        loop {
            match told.try_recv() {
                Ok(outcome) => return outcome,
                Err(oneshot::error::TryRecvError::Closed) => return Err(Failure::unavailable("no answer")),
                Err(oneshot::error::TryRecvError::Empty) => {
                    let answer = self.answer().await?;
                    self.note(answer)?;
                }
            }
        }
    }

    async fn say_goodbye(mut self) -> Result<(), Failure> {
        let goodbye = async {
            self.tell_state(OFFLINE).await?;
            let mut packet = BytesMut::new();
            self.version.goodbye(&mut packet).map_err(Failure::unavailable)?;
            self.write(&packet).await?;
            (self.stream.shutdown().await).map_err(Failure::unavailable)
        };
        // The broker publishes the will when it misses the good-bye.
        timeout(GOODBYE, goodbye).await.unwrap_or(Ok(()))
    }

    async fn write(&mut self, packet: &[u8]) -> Result<(), Failure> {
        let written = stream::write(&mut self.stream, packet).await;
        written.map_err(|error| stream::failure(&error))
    }

    /// Waits for the next answer.
    async fn answer(&mut self) -> Result<Answer, Failure> {
        loop {
            if let Some(answer) = self.whole_answer()? {
                return Ok(answer);
            }
            let read = self.stream.read_buf(&mut self.came).await;
            self.take_in(read)?;
        }
    }

    fn take_in(&mut self, read: std::io::Result<usize>) -> Result<(), Failure> {
        match read {
            Ok(0) => Err(Failure::unavailable("the broker has closed the connection")),
            Ok(_) => {
                self.last_came = Instant::now();
                Ok(())
            }
            Err(error) => Err(stream::failure(&error)),
        }
    }

    fn whole_answer(&mut self) -> Result<Option<Answer>, Failure> {
        let answer = self.version.read(&mut self.came);
        answer
            .map_err(|error| Failure::unavailable(format!("the broker does not speak as MQTT asks: {error}")))
    }
}
