//! The client, and what it reports.

use netsage_kafka::{Trouble, log};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::{mpsc, watch};

use crate::receivers::batch::Written;

/// What has become of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    Failed(RDKafkaErrorCode),
}

/// What the client says of a document.
#[derive(Debug)]
pub(super) struct Report {
    /// The hand-over that the document was of.
    pub(super) round: u64,
    /// Its place there.
    pub(super) place: usize,
    pub(super) outcome: Outcome,
}

struct Context {
    /// Unbounded, since the client's thread cannot wait; of each document there is one report.
    reports: mpsc::UnboundedSender<Report>,
    /// What the client last said of its brokers.
    trouble: watch::Sender<Option<Trouble>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let trouble = Trouble::of(&error, Some(reason));
        self.trouble.send_if_modified(|told| {
            let is_news = trouble.is_news_beside(told.as_ref());
            if is_news {
                *told = Some(trouble);
            }
            is_news
        });
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<(u64, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, about: Box<(u64, usize)>) {
        let (round, place) = *about;
        let outcome = match result {
            Ok(_) => {
                self.trouble.send_replace(None);
                Outcome::Taken
            }
            Err((error, _)) => Outcome::Failed(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        // An output that is gone does not ask.
        let _ = self.reports.send(Report {
            round,
            place,
            outcome,
        });
    }
}

/// A client that sends.
pub(super) struct Producer {
    client: Option<ThreadedProducer<Context>>,
    reports: mpsc::UnboundedReceiver<Report>,
    trouble: watch::Receiver<Option<Trouble>>,
}

/// What comes next of a client.
pub(super) enum Next {
    Report(Report),
    /// The brokers have refused this client: trying again alone will not help.
    Refusal(Trouble),
}

impl Producer {
    pub(super) fn open(config: &ClientConfig) -> Result<Self, KafkaError> {
        let ((report, reports), (told, trouble)) = (mpsc::unbounded_channel(), watch::channel(None));
        let context = Context {
            reports: report,
            trouble: told,
        };
        Ok(Self {
            client: Some(config.create_with_context(context)?),
            reports,
            trouble,
        })
    }

    /// Waits for what the client says next; `None` when it will say nothing more.
    pub(super) async fn next(&mut self) -> Option<Next> {
        let refused = async {
            let is_refusal = |trouble: &Option<Trouble>| trouble.as_ref().is_some_and(Trouble::is_refusal);
            match self.trouble.wait_for(is_refusal).await {
                Ok(trouble) => trouble.clone(),
                Err(_) => None,
            }
        };
        tokio::select! {
            biased;
            report = self.reports.recv() => report.map(Next::Report),
            refusal = refused => refusal.map(Next::Refusal),
        }
    }

    /// Gives a document to the client. What becomes of it is reported.
    pub(super) fn send(
        &self,
        topic: &str,
        written: &Written,
        about: (u64, usize),
    ) -> Result<(), RDKafkaErrorCode> {
        let Some(client) = &self.client else {
            return Err(RDKafkaErrorCode::Fail);
        };
        let Written { kind, document } = written;
        let revision = document.revision.to_string();
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "id",
                value: Some(&document.id),
            })
            .insert(Header {
                key: "revision",
                value: Some(&revision),
            })
            .insert(Header {
                key: "kind",
                value: Some(*kind),
            });
        let record = BaseRecord::with_opaque_to(topic, Box::new(about))
            .key(&document.id)
            .payload(&document.text)
            .headers(headers);
        client.send(record).map_err(|(error, _)| {
            let code = error.rdkafka_error_code();
            code.unwrap_or(RDKafkaErrorCode::Fail)
        })
    }

    /// Why the client has ended for good, if it has.
    pub(super) fn fatal(&self) -> Option<String> {
        let (code, reason) = self.client.as_ref()?.client().fatal_error()?;
        Some(format!("{code}: {reason}"))
    }

    /// What the client last said of brokers that do not answer.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.borrow();
        trouble.as_ref().map(|trouble| trouble.text().to_owned())
    }
}

/// Ending a client waits for its thread: elsewhere, so that no task of this runtime waits.
impl Drop for Producer {
    fn drop(&mut self) {
        let client = self.client.take();
        if let Err(error) = std::thread::Builder::new()
            .name("netsage-kafka-end".to_owned())
            .spawn(move || drop(client))
        {
            tracing::debug!(%error, "no thread to end a client of Kafka in");
        }
    }
}
