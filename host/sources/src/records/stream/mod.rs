//! Records that go on coming: from a pipe, a socket, files that are followed, the inbox.
//!
//! A [`Transport`] brings the records of one input with a place to go back to. All transports of a program stand in one
//! [`Stream`], and all their records in one [`Partition`], since a host that two meters see is one host: which records a
//! row counts depends on the network alone. Records wait for those that end before them (the lateness), until the clock or
//! want of room moves them on; what comes behind its turn is a flow all the same, and counted as late.
//!
//! A place is given for a restart only when every flow before it is stored, so the records that waited are read again.

mod follow;
mod inbox;
mod intake;
mod opening;
mod pipe;

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use netsage_records::formats::{Counts, Format, Items};
use netsage_records::{OrderCounters, Origin, Partition};
use netsage_schema::{FlowBatch, RECORD_V1, Schema};
use serde_json::{Map, Value};

use super::handover::{Entry, Ledger, Ready};
use crate::SourceError;
use crate::site::Site;
use crate::source::{MOST_FLOWS, Pace, Position, Reading, Source, SourceCounters};

pub use follow::Follow;
pub use inbox::{Accepted, Inbox, InboxError, InboxReader, Sender};
pub use opening::{Files, OpenedRecords, open_records};
pub use pipe::Pipe;

/// How long one read waits for records.
const WAIT: Duration = Duration::from_millis(20);
/// Time between two looks at inputs that had nothing.
const LOOK: Duration = Duration::from_millis(4);

/// How records of a stream are put in order and told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    /// How long records are waited for, by the time of the stream; `None`: [`Format::lateness`] of what comes, the longest
    /// where several formats come.
    pub lateness: Option<Duration>,
    /// Records that wait at once, at about 300 bytes each; the earliest leave when there are more.
    pub most_waiting: usize,
    /// Bytes for the trailing window.
    pub window_memory: usize,
    /// Where records come from unless they say so themselves.
    pub site: Site,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            lateness: None,
            most_waiting: 1 << 18,
            window_memory: 64 << 20,
            site: Site::default(),
        }
    }
}

/// Where to go on in an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Which part of the input, by a number of the transport's.
    pub part: u64,
    /// Bytes of the part, unpacked.
    pub offset: u64,
    /// Items of the part.
    pub items: u64,
    /// The header that rules there.
    pub header: Arc<[u8]>,
}

/// What an input had.
#[derive(Debug)]
pub enum Taken {
    /// A piece: its records, if there are any, are in the items.
    Piece {
        /// Where to go on when all of them are stored.
        behind: Place,
        /// What they were read as.
        format: Option<Format>,
    },
    /// Nothing now, and nothing is under way.
    Nothing,
    /// Nothing any more.
    End,
}

/// What a transport has counted.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Items by what became of them.
    pub items: Counts,
    /// Bytes taken in, unpacked.
    pub bytes: u64,
    /// Inputs whose format is none that is read.
    pub unrecognised: u64,
    /// Records that are known to be lost before they could be read.
    pub lost: u64,
}

/// One input of records.
pub trait Transport: Send {
    /// Its name in messages and kept places, the same at every start.
    fn name(&self) -> &str;

    /// Takes in what has come, some 100 KiB at most, without waiting.
    ///
    /// # Errors
    /// When the input cannot go on; it has ended then.
    fn take(&mut self, items: &mut Items) -> Result<Taken, SourceError>;

    /// Asks the input to end.
    fn stop(&mut self) {}

    /// Whether what was taken in can be taken in again after a restart.
    fn can_go_back(&self) -> bool;

    /// Says that everything before this place is stored. Places are told in the order of their pieces.
    fn settled(&mut self, place: Place) {
        let _ = place;
    }

    /// Whether there is a position to be kept although nothing was settled; told once.
    fn has_news(&mut self) -> bool {
        false
    }

    /// What the host is to keep for [`Self::begin_at`].
    fn position(&self) -> Option<Value> {
        None
    }

    /// Goes on where an earlier run had everything stored.
    fn begin_at(&mut self, position: &Value) {
        let _ = position;
    }

    /// What was counted.
    fn told(&self) -> Told;
}

/// A transport with what is known of its pieces.
struct Lane {
    transport: Box<dyn Transport>,
    ledger: Ledger<Place>,
    has_ended: bool,
}

/// A record's lane and its piece there.
type Tag = (usize, Entry);

/// Inputs of records as one source of flows.
pub struct Stream {
    name: String,
    options: StreamOptions,
    /// Of records that say nothing of it.
    origin: Origin,
    lanes: Vec<Lane>,
    /// Made with the first record, whose format says how long it waits.
    records: Option<Partition<Tag>>,
    ready: Ready<Tag>,
    items: Items,
    last: Instant,
    failure: Option<SourceError>,
    going: Going,
    has_news: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    On,
    /// Nothing more is taken in.
    Ending,
    Over,
}

impl Stream {
    /// Inputs that are read together. `name` stands in counters, logs and kept positions.
    pub fn new(name: &str, transports: Vec<Box<dyn Transport>>, options: StreamOptions) -> Self {
        let lane = |transport| Lane {
            transport,
            ledger: Ledger::default(),
            has_ended: false,
        };
        Self {
            name: name.to_owned(),
            origin: options.site.origin(),
            ready: Ready::new(&options.site),
            options,
            lanes: transports.into_iter().map(lane).collect(),
            records: None,
            items: Items::default(),
            last: Instant::now(),
            failure: None,
            going: Going::On,
            has_news: false,
        }
    }

    /// In which order records came.
    pub fn order(&self) -> OrderCounters {
        self.records.as_ref().map(Partition::counters).unwrap_or_default()
    }

    /// What became of the items of all inputs.
    fn told(&self) -> Told {
        let mut all = Told::default();
        for lane in &self.lanes {
            let told = lane.transport.told();
            all.items.add(&told.items);
            all.bytes += told.bytes;
            all.unrecognised += told.unrecognised;
            all.lost += told.lost;
        }
        all
    }

    /// Takes in what there is until enough flows are ready. Whether an input had something.
    fn take_in(&mut self) -> bool {
        let mut came = false;
        for number in 0..self.lanes.len() {
            if self.ready.waiting() >= MOST_FLOWS {
                return true;
            }
            came |= self.take_of(number);
        }
        if self.lanes.iter().all(|lane| lane.has_ended) {
            self.finish();
        }
        came
    }

    fn take_of(&mut self, number: usize) -> bool {
        let Some(lane) = self.lanes.get_mut(number).filter(|lane| !lane.has_ended) else {
            return false;
        };
        let (behind, format) = match lane.transport.take(&mut self.items) {
            Ok(Taken::Piece { behind, format }) => (behind, format),
            Ok(Taken::Nothing) => return false,
            Ok(Taken::End) => {
                lane.has_ended = true;
                return false;
            }
            Err(failure) => {
                lane.has_ended = true;
                tracing::error!(input = lane.transport.name(), %failure, "input ended");
                self.failure.get_or_insert(failure);
                return false;
            }
        };
        let entry = lane.ledger.open(behind);
        if !self.items.records.is_empty() {
            let options = &self.options;
            let lateness = options
                .lateness
                .unwrap_or_else(|| format.map_or(Duration::ZERO, Format::lateness));
            let lateness_us = u64::try_from(lateness.as_micros()).unwrap_or(u64::MAX);
            let records = self.records.get_or_insert_with(|| {
                Partition::new(lateness_us, options.most_waiting, options.window_memory)
            });
            records.wait_for(lateness_us);
            let mut repeated = Vec::new();
            for record in self.items.records.drain(..) {
                lane.ledger.open_part(entry);
                records.push(
                    record,
                    &self.origin,
                    (number, entry),
                    |ordered, standing, counts| {
                        repeated.extend(self.ready.take(&ordered, standing, counts, ordered.tag));
                    },
                );
            }
            self.close(number, entry);
            for (lane, entry) in repeated {
                self.close(lane, entry);
            }
        } else {
            self.close(number, entry);
        }
        self.items.clear();
        self.last = Instant::now();
        true
    }

    /// Moves a stream on whose inputs have nothing.
    fn move_clock(&mut self) {
        let elapsed_us = u64::try_from(self.last.elapsed().as_micros()).unwrap_or(u64::MAX);
        let Some(records) = &mut self.records else { return };
        let mut repeated = Vec::new();
        records.quiet(elapsed_us, |ordered, standing, counts| {
            repeated.extend(self.ready.take(&ordered, standing, counts, ordered.tag));
        });
        for (lane, entry) in repeated {
            self.close(lane, entry);
        }
    }

    /// Lets every record leave that waits, and takes nothing in any more.
    fn finish(&mut self) {
        self.going = Going::Ending;
        let Some(records) = &mut self.records else { return };
        let mut repeated = Vec::new();
        records.finish(|ordered, standing, counts| {
            repeated.extend(self.ready.take(&ordered, standing, counts, ordered.tag));
        });
        for (lane, entry) in repeated {
            self.close(lane, entry);
        }
    }

    /// Whether an input has a new place.
    fn hear_news(&mut self) -> bool {
        let is_new = self
            .lanes
            .iter_mut()
            .fold(false, |is_new, lane| lane.transport.has_news() | is_new);
        self.has_news |= is_new;
        is_new
    }

    /// Closes a part of a piece.
    fn close(&mut self, lane: usize, entry: Entry) {
        let Some(lane) = self.lanes.get_mut(lane) else {
            return;
        };
        lane.ledger.close(entry);
        while let Some(place) = lane.ledger.settled() {
            lane.transport.settled(place);
            self.has_news = true;
        }
    }
}

impl Source for Stream {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &'static Schema {
        &RECORD_V1
    }

    fn pace(&self) -> Pace {
        Pace::Waits
    }

    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError> {
        let deadline = Instant::now() + WAIT;
        while self.going == Going::On && self.ready.waiting() < MOST_FLOWS {
            let came = self.take_in();
            // A place is kept before the first byte behind it is read.
            if self.hear_news() {
                break;
            }
            if came {
                if Instant::now() < deadline {
                    continue;
                }
                break;
            }
            if self.going == Going::On {
                self.move_clock();
            }
            if self.ready.waiting() > 0 || Instant::now() + LOOK > deadline {
                break;
            }
            thread::sleep(LOOK);
        }
        if self.ready.waiting() > 0 {
            return Ok(self.ready.give(batch));
        }
        if self.going == Going::On {
            return Ok(Reading::GoesOn);
        }
        self.going = Going::Over;
        self.failure.take().map_or(Ok(Reading::End), Err)
    }

    /// What inputs give again at the next start is left to that; the records of others leave.
    fn stop(&mut self) {
        if self.going != Going::On {
            return;
        }
        for lane in &mut self.lanes {
            lane.transport.stop();
        }
        if self.lanes.iter().all(|lane| lane.transport.can_go_back()) {
            self.going = Going::Ending;
        } else {
            self.finish();
        }
    }

    fn counters(&self) -> SourceCounters {
        let told = self.told();
        let rejected = told.items.unused() + told.unrecognised;
        SourceCounters {
            records: told.items.records + rejected,
            bytes: told.bytes,
            rejected,
            flows: self.ready.handed_over(),
            lost: told.lost,
            late: self.order().late,
        }
    }

    fn stored(&mut self, flows: u64) -> Option<Position> {
        let stored: Vec<Tag> = self.ready.stored(flows).collect();
        for (lane, entry) in stored {
            self.close(lane, entry);
        }
        self.position()
    }

    fn position(&mut self) -> Option<Position> {
        self.hear_news();
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let lanes = self.lanes.iter();
        let positions: Map<String, Value> = lanes
            .filter_map(|lane| Some((lane.transport.name().to_owned(), lane.transport.position()?)))
            .collect();
        let text = (!positions.is_empty()).then(|| Value::Object(positions).to_string())?;
        Some(Position(text.into_bytes()))
    }

    /// A position that cannot be read is none: what is read again is known by its ids.
    fn begin_at(&mut self, place: &Position) -> Result<(), SourceError> {
        let positions: Value = serde_json::from_slice(&place.0).unwrap_or_default();
        for lane in &mut self.lanes {
            if let Some(position) = positions.get(lane.transport.name()) {
                lane.transport.begin_at(position);
            }
        }
        Ok(())
    }

    fn unused(&self) -> Option<String> {
        let (told, order) = (self.told(), self.order());
        if self.counters().rejected == 0 && order.repeated == 0 && order.late == 0 {
            return None;
        }
        let mut said = format!("{}: {}", self.name, told.items);
        for (count, what) in [
            (order.repeated, "repeated"),
            (order.late, "late, and flows all the same"),
            (told.unrecognised, "inputs of no format that is read"),
        ] {
            if count > 0 {
                // Text takes all that is written.
                let _ = write!(said, "; {what}: {count}");
            }
        }
        Some(said)
    }
}
