//! Messages to a topic of Kafka.
//!
//! The producer is idempotent, so within one life of it nothing stands twice for a lost answer. A message counts as taken by
//! its delivery report and nothing else. One that times out is handed over anew, and can then stand twice: id and revision,
//! in the headers too, tell. The key is the id, so all there is of an alert stands in one partition, in its order.
//!
//! An idempotent producer that has lost count of what the broker has ends for good (a fatal error): a new one is made, and
//! what was not reported is handed to it.

mod options;
mod producer;

use netsage_messages::{Message, Wording};
use netsage_store::BoxFuture;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use tokio::time::{Instant, timeout_at};

use crate::{Failure, Output, Undelivered};
pub use options::{DOCUMENT_BYTES, KafkaError, KafkaOptions};
use producer::{Next, Outcome, Producer, Report};

use super::batch::{Batch, Written};

/// Sends messages to one topic.
pub struct Kafka {
    options: KafkaOptions,
    wording: Wording,
    /// The last settings that served.
    config: ClientConfig,
    producer: Option<Producer>,
    /// The number of the hand-over, by which reports of an earlier one are known.
    round: u64,
}

impl Kafka {
    /// Checks the settings. Brokers are looked for with the first message.
    ///
    /// # Errors
    /// Which setting cannot be, and why.
    pub fn new(options: KafkaOptions, wording: Wording) -> Result<Self, KafkaError> {
        let config = options.config()?;
        Ok(Self {
            options,
            wording,
            config,
            producer: None,
            round: 0,
        })
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
        self.renew()
            .map_err(|failure| Undelivered { taken: 0, failure })?;
        self.round += 1;
        let deadline = Instant::now() + self.options.patience() * 2;
        let mut outcomes = Outcomes::new(batch.documents().len());
        for (place, written) in batch.documents().enumerate() {
            if let Err(failure) = self.hand_over(place, written, &mut outcomes, deadline).await {
                return batch.failed(outcomes.taken(), failure);
            }
        }
        while outcomes.are_missing() {
            if let Err(failure) = self.report(&mut outcomes, deadline).await {
                return batch.failed(outcomes.taken(), failure);
            }
        }
        match outcomes.first_failure() {
            None => batch.taken(),
            Some(code) => {
                let failure = self.failure(code);
                batch.failed(outcomes.taken(), failure)
            }
        }
    }

    /// Makes a producer where there is none, or its file of settings has changed, or the one there is has ended for good.
    fn renew(&mut self) -> Result<(), Failure> {
        match self.options.config() {
            Ok(config) if !netsage_kafka::is_same(&config, &self.config) => {
                self.config = config;
                self.producer = None;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "settings of Kafka not taken, going on with the last ones"),
        }
        if let Some(reason) = self.producer.as_ref().and_then(Producer::fatal) {
            tracing::warn!(
                topic = self.options.topic,
                reason,
                "the producer has ended for good, a new one is made"
            );
            self.producer = None;
        }
        if self.producer.is_none() {
            self.producer = Some(Producer::open(&self.config).map_err(Failure::unavailable)?);
        }
        Ok(())
    }

    /// Gives a document to the producer, once there is room.
    async fn hand_over(
        &mut self,
        place: usize,
        written: &Written,
        outcomes: &mut Outcomes,
        deadline: Instant,
    ) -> Result<(), Failure> {
        loop {
            let Some(producer) = &self.producer else {
                return Err(Failure::unavailable("there is no producer"));
            };
            match producer.send(&self.options.topic, written, (self.round, place)) {
                Ok(()) => return Ok(()),
                Err(RDKafkaErrorCode::QueueFull) => self.report(outcomes, deadline).await?,
                Err(code) => {
                    outcomes.put(place, Outcome::Failed(code));
                    return Ok(());
                }
            }
        }
    }

    /// Takes the next report in.
    async fn report(&mut self, outcomes: &mut Outcomes, deadline: Instant) -> Result<(), Failure> {
        let Some(producer) = &mut self.producer else {
            return Err(Failure::unavailable("there is no producer"));
        };
        let failure = match timeout_at(deadline, producer.next()).await {
            Ok(Some(Next::Report(report))) => {
                let Report {
                    round,
                    place,
                    outcome,
                } = report;
                if round == self.round {
                    outcomes.put(place, outcome);
                }
                return Ok(());
            }
            // What is under way would wait for its time to run out, for nothing.
            Ok(Some(Next::Refusal(trouble))) if trouble.is_of_sender() => {
                Failure::SenderRefused(trouble.text().to_owned())
            }
            Ok(Some(Next::Refusal(trouble))) => Failure::unavailable(trouble.text()),
            // librdkafka reports on each message before this.
            Ok(None) | Err(_) => Failure::unavailable(
                producer
                    .trouble()
                    .unwrap_or_else(|| "no report on a message".to_owned()),
            ),
        };
        // A producer that knows of messages which are handed over anew would send these twice.
        self.producer = None;
        Err(failure)
    }

    fn failure(&self, code: RDKafkaErrorCode) -> Failure {
        match code {
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord => {
                Failure::Refused(format!("{code}; lower `max-bytes`, or let the topic take more"))
            }
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication => Failure::SenderRefused(format!(
                "{code}; let this user write to the topic, or name another one in the file of settings"
            )),
            code => match self.producer.as_ref().and_then(Producer::trouble) {
                Some(trouble) => Failure::unavailable(format!("{code}; {trouble}")),
                None => Failure::unavailable(code),
            },
        }
    }
}

impl Output for Kafka {
    fn deliver<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.send(messages))
    }
}

/// What has become of the documents of one hand-over.
struct Outcomes(Vec<Option<Outcome>>);

impl Outcomes {
    fn new(documents: usize) -> Self {
        Self(vec![None; documents])
    }

    fn put(&mut self, place: usize, outcome: Outcome) {
        if let Some(known) = self.0.get_mut(place) {
            *known = Some(outcome);
        }
    }

    fn are_missing(&self) -> bool {
        self.0.iter().any(Option::is_none)
    }

    /// Documents that were taken, up to the first that was not.
    fn taken(&self) -> usize {
        let taken = self
            .0
            .iter()
            .take_while(|outcome| **outcome == Some(Outcome::Taken));
        taken.count()
    }

    fn first_failure(&self) -> Option<RDKafkaErrorCode> {
        self.0.iter().find_map(|outcome| match outcome {
            Some(Outcome::Failed(code)) => Some(*code),
            _ => None,
        })
    }
}
