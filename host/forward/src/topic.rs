//! Sends a spool to a topic of Kafka.
//!
//! The cursor moves up to the first message that no report says is delivered. What the client gives up is sent again, and
//! after a fatal error by a new client; whatever was delivered meanwhile is then in the topic twice, with equal ids.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netsage_sources::kafka::{Outcome, ProducerOptions, Report, ReportingProducer};

use crate::forwarder::Desk;
use crate::message::Message;
use crate::sender::HEADER;
use crate::spool::{Batch, Mark, Reader};

/// Messages read at once, and about as many bytes.
const BATCH: usize = 1_000;
const BATCH_BYTES: usize = 1 << 20;
/// Messages that are under way at once, and about as many bytes.
const MOST_UNDER_WAY: usize = 20_000;
const MOST_BYTES: usize = 16 << 20;
/// How long is waited for reports where nothing else is to be done.
const WAIT: Duration = Duration::from_millis(50);
/// Time between two messages that say how far behind the sender is.
const BETWEEN_NOTES: Duration = Duration::from_secs(1);

/// A message on its way.
struct UnderWay {
    text: Vec<u8>,
    behind: Mark,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    /// The client does not have it.
    Waits,
    Sent,
    Done,
}

struct Window {
    messages: VecDeque<UnderWay>,
    /// Number of the first, of all that went through.
    first: usize,
    bytes: usize,
}

impl Window {
    fn is_full(&self) -> bool {
        self.messages.len() >= MOST_UNDER_WAY || self.bytes >= MOST_BYTES
    }

    fn get(&mut self, number: usize) -> Option<&mut UnderWay> {
        self.messages.get_mut(number.wrapping_sub(self.first))
    }

    /// Takes off what is done with at the front; gives the place behind.
    fn settle(&mut self) -> Option<Mark> {
        let mut mark = None;
        while self
            .messages
            .front()
            .is_some_and(|message| message.state == State::Done)
        {
            let Some(done) = self.messages.pop_front() else {
                break;
            };
            self.first += 1;
            self.bytes -= done.text.len();
            mark = Some(done.behind);
        }
        mark
    }
}

/// Sends until the desk says that it is over.
pub(crate) fn send(desk: &Desk, options: &ProducerOptions) {
    let mut reader = Reader::new(Arc::clone(&desk.spool));
    let mut window = Window {
        messages: VecDeque::new(),
        first: 0,
        bytes: 0,
    };
    while !desk.is_over() {
        let producer = match ReportingProducer::open(options) {
            Ok(producer) => producer,
            Err(error) => {
                desk.failed(&error.to_string(), true, None);
                continue;
            }
        };
        if let Err(reason) = send_with(&producer, desk, &mut reader, &mut window) {
            drop(producer);
            for message in &mut window.messages {
                if message.state == State::Sent {
                    message.state = State::Waits;
                }
            }
            desk.failed(&reason, false, None);
        }
    }
}

/// Sends with one client, until it fails or the desk says that it is over.
fn send_with(
    producer: &ReportingProducer,
    desk: &Desk,
    reader: &mut Reader,
    window: &mut Window,
) -> Result<(), String> {
    let mut batch = Batch::default();
    // The first message of the window that the client may not have.
    let mut next = window.first;
    let mut noted: Option<Instant> = None;
    while !desk.is_over() {
        if !window.is_full() {
            read(desk, reader, &mut batch, window);
        }
        let mut is_busy = false;
        while let Some(message) = window.get(next) {
            if message.state == State::Waits {
                let Message { key, json } = Message::of(&message.text);
                let note = noted
                    .is_none_or(|noted| noted.elapsed() >= BETWEEN_NOTES)
                    .then(|| desk.note().header());
                if !producer.send(next, key, json, note.as_deref().map(|note| (HEADER, note))) {
                    break;
                }
                if note.is_some() {
                    noted = Some(Instant::now());
                }
                message.state = State::Sent;
                is_busy = true;
            }
            next += 1;
        }
        take_reports(
            producer,
            desk,
            window,
            if is_busy { Duration::ZERO } else { WAIT },
        )?;
        if let Some(mark) = window.settle() {
            desk.spool.sent(mark);
            next = next.max(window.first);
        }
        if let Some(reason) = producer.fatal() {
            return Err(format!(
                "the client of Kafka has failed and is started again: {reason}"
            ));
        }
        match producer.trouble() {
            Some((reason, is_refusal)) if !window.messages.is_empty() => desk.trouble(&reason, is_refusal),
            _ => {}
        }
    }
    Ok(())
}

/// Reads what waits into the window.
fn read(desk: &Desk, reader: &mut Reader, batch: &mut Batch, window: &mut Window) {
    if let Err(error) = reader.next(batch, BATCH, BATCH_BYTES) {
        desk.unread(&error);
        return;
    }
    for (place, text) in batch.texts().enumerate() {
        if let Some(behind) = batch.mark(place) {
            window.bytes += text.len();
            window.messages.push_back(UnderWay {
                text: text.to_vec(),
                behind,
                state: State::Waits,
            });
        }
    }
    if window.messages.is_empty() {
        desk.spool.wait(WAIT);
    }
}

/// Takes the reports that are there, the first of them waited for that long at most.
fn take_reports(
    producer: &ReportingProducer,
    desk: &Desk,
    window: &mut Window,
    most: Duration,
) -> Result<(), String> {
    if window.messages.is_empty() {
        return Ok(());
    }
    let mut delivered = 0;
    let mut failed = None;
    let mut wait = most;
    while let Some(Report { number, outcome }) = producer.report(wait) {
        wait = Duration::ZERO;
        let Some(message) = window.get(number) else {
            continue;
        };
        match outcome {
            Outcome::Delivered => {
                message.state = State::Done;
                delivered += 1;
            }
            Outcome::Refused(reason) => {
                message.state = State::Done;
                desk.set_aside(Message::of(&message.text).json, &reason);
            }
            Outcome::Failed(reason) => {
                message.state = State::Waits;
                failed = Some(reason);
            }
        }
    }
    if delivered > 0 {
        desk.taken(delivered);
    }
    failed.map_or(Ok(()), |reason| {
        Err(format!("messages were not delivered: {reason}"))
    })
}
