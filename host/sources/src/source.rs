//! What a source of flows is.
//!
//! A source hands over batches of flows, in order, and is told how many of them the store has taken. Everything
//! else follows from two properties. **Ids are stable:** a flow's id is its last time, then a digest of its [`Identity`]; a
//! source that knows more of a flow gives the id itself. A source that reads the same flow again gives it the same identity
//! and id, and the store knows the flow. **What is not acknowledged is read again:** after a kill between hand-over and
//! acknowledgement a source begins at the place of the last acknowledgement. Together they mean that nothing is lost and
//! nothing stands twice, without a transaction that reaches from the source to the store.
//!
//! What acknowledgement means differs by kind:
//!
//! | kind | [`Source::stored`] | where it begins after a restart |
//! |---|---|---|
//! | broker | commits | at the first flow that was not committed |
//! | followed log | gives its place, which the host keeps | at that place |
//! | capture | nothing | at its beginning: the flow table dies with the process, and ids make the replay harmless |
//! | table, file of records | nothing | at its beginning, for the same reason as a capture |
//! | inbox | deletes what is stored | at what it has |
//! | interface | nothing | now |
//!
//! Opening, which may need privileges, is not part of the trait: whoever opens gives up privileges before the first
//! call of [`Source::read`]. `docs/contracts.md` says what a source must count; the contract suite of the tests runs
//! every member through it.
//!
//! [`Identity`]: netsage_schema::Identity

use std::fmt;
use std::sync::Arc;

use netsage_capture::MeterStats;
use netsage_records::netflow::StreamStatus;
use netsage_schema::{FlowBatch, Schema};

use crate::{SourceError, Tap};

/// Most flows that one call of [`Source::read`] hands over: a block of the pipeline, so that hardly more than one block
/// waits to be sent off.
pub const MOST_FLOWS: usize = 1024;

/// Where flows come from, opened.
pub trait Source: Send {
    /// Its name in counters, logs and kept positions, the same at every start: the file, the interfaces.
    fn name(&self) -> &str;

    /// The schema of its rows.
    fn schema(&self) -> &'static Schema;

    /// What happens when the pipeline has no room for its flows.
    fn pace(&self) -> Pace;

    /// Appends up to about [`MOST_FLOWS`] flows to `batch`, which is of the source's schema. A source that waits for
    /// flows returns after 20 ms at most, with or without any.
    ///
    /// # Errors
    /// When the source cannot go on. Everything before has been handed over by earlier calls, the call that fails
    /// appends nothing, and the source has ended.
    fn read(&mut self, batch: &mut FlowBatch) -> Result<Reading, SourceError>;

    /// Asks the source to end. What it has taken in is still handed over; then [`Self::read`] gives [`Reading::End`].
    fn stop(&mut self);

    /// What was counted since the start.
    fn counters(&self) -> SourceCounters;

    /// Says that every one of the first `flows` flows that were handed over is in the store, or was dropped and
    /// counted. Called between two reads and after the end, with rising numbers. Gives the place to begin at after a
    /// restart, where the host is to keep one.
    fn stored(&mut self, flows: u64) -> Option<Position> {
        let _ = flows;
        None
    }

    /// A place to be kept although no more flows are stored than before: followed files have one when a file begins.
    fn position(&mut self) -> Option<Position> {
        None
    }

    /// Begins at a place that an earlier run got from [`Self::stored`] or [`Self::position`]. Called once at most, before the first read.
    ///
    /// # Errors
    /// When there is no such place any more.
    fn begin_at(&mut self, place: &Position) -> Result<(), SourceError> {
        let _ = place;
        Ok(())
    }

    /// How much of what was read is in no flow and why, in one line that begins with the source's name; `None` when all is
    /// in flows. Complete at the end; a source without an end has only its counters.
    fn unused(&self) -> Option<String> {
        None
    }

    /// Lets `tap` see each packet before it is metered; a source without packets has nothing to show.
    fn tap(&mut self, tap: Tap) {
        drop(tap);
    }

    /// What the meter counted, where flows are made of packets here.
    fn meter(&self) -> Option<&MeterStats> {
        None
    }

    /// The partitions of a broker's topic that this program has.
    fn partitions(&self) -> Vec<PartitionStatus> {
        Vec::new()
    }

    /// What other threads may ask of a source that has partitions.
    fn partition_control(&self) -> Option<Arc<dyn PartitionControl>> {
        None
    }

    /// What keeps the source from reading now, though it goes on trying.
    fn trouble(&self) -> Option<String> {
        None
    }

    /// Each exporter of NetFlow or IPFIX that is known, with what is missing of it.
    fn exporters(&self) -> Vec<StreamStatus> {
        Vec::new()
    }

    /// What was counted on each interface, at most a quarter of a second ago.
    #[cfg(feature = "live")]
    fn interfaces(&self) -> Vec<netsage_capture::live::InterfaceStats> {
        Vec::new()
    }
}

/// A partition of a broker's topic. Offsets count its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: i32,
    /// The message to go on at after a restart; `None` before the first commit.
    pub stored: Option<i64>,
    /// The message to be read next; `None` before the first.
    pub position: Option<i64>,
    /// Where the next message will stand, by the broker's last answer.
    pub end: Option<i64>,
    /// Records that wait for their turn.
    pub waiting: usize,
    /// Messages passed over by command.
    pub passed_over: u64,
    /// How it goes with reading.
    pub state: PartitionState,
}

/// How it goes with reading a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionState {
    /// Nothing has come yet.
    Starting,
    /// What others have done with is read again, for the sake of what follows.
    Rereading,
    /// There are messages to be read.
    Reading,
    /// The end was read.
    AtEnd,
    /// A batch of messages cannot be unpacked, and nothing behind it is read.
    Held {
        /// Where reading stands.
        offset: i64,
        /// What is wrong, to be read after "a batch".
        reason: &'static str,
    },
    /// The end of such a batch is looked for, since somebody has asked to pass over it.
    PassingOver {
        /// Where reading stands.
        offset: i64,
    },
}

impl PartitionState {
    /// Whether a batch that cannot be unpacked holds the partition up.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Held { .. } | Self::PassingOver { .. })
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Rereading => "rereading",
            Self::Reading => "reading",
            Self::AtEnd => "at-end",
            Self::Held { .. } => "held",
            Self::PassingOver { .. } => "passing-over",
        }
    }
}

/// What other threads may ask of a source that has partitions.
pub trait PartitionControl: Send + Sync + fmt::Debug {
    /// The topic that the source reads.
    fn topic(&self) -> &str;

    /// As [`Source::partitions`].
    fn partitions(&self) -> Vec<PartitionStatus>;

    /// Lets a partition go on behind a batch that cannot be unpacked and at which reading stands at this offset. The source
    /// does so in its own time.
    ///
    /// # Errors
    /// When the partition is not here, or does not stand at that offset.
    fn pass_over(&self, partition: i32, offset: i64) -> Result<(), NotPassedOver>;
}

/// Why nothing is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPassedOver {
    /// Another program of the group has the partition, or there is none of that number.
    #[error("this program does not have partition {0}; ask the one whose health names it")]
    NotHere(i32),
    /// Nothing holds the partition up.
    #[error("partition {0} is not held up; nothing has to be passed over")]
    NotHeld(i32),
    /// It is held up elsewhere.
    #[error("partition {partition} is held up at offset {offset}; name that offset")]
    Elsewhere {
        /// Its number.
        partition: i32,
        /// Where reading stands.
        offset: i64,
    },
}

impl PartitionStatus {
    /// Messages that are not done with; `None` while nothing was committed.
    pub fn lag(&self) -> Option<u64> {
        let lag = self.end?.saturating_sub(self.stored?);
        Some(u64::try_from(lag).unwrap_or(0))
    }
}

/// A place in a source, in bytes that only the source understands, a few hundred at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub Vec<u8>);

/// What happens when nobody has room for the flows of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The source waits: back-pressure.
    Waits,
    /// The world does not wait. Flows are dropped and counted, so that packets need not be.
    GoesOn,
}

/// Whether a source goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// There may be more.
    GoesOn,
    /// There may be more, and what was appended was handed over by another program, or by this one before: it is read again
    /// for detectors that remember the hosts of its partition. None of it counts as handed over.
    Again,
    /// Everything has been handed over.
    End,
}

/// What every source counts, from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Records taken in: packets of a capture or an interface, rows of a table.
    pub records: u64,
    /// Bytes of these records; 0 where the source does not know them.
    pub bytes: u64,
    /// Records that could not be used and are in no flow.
    pub rejected: u64,
    /// Flows handed over.
    pub flows: u64,
    /// Records that were lost before the source could take them in.
    pub lost: u64,
    /// Records that came behind their turn. They are in flows, and may not be counted where others count their
    /// neighbours.
    pub late: u64,
}

impl SourceCounters {
    /// Every counter: its name in metrics and logs, what it counts, and its value.
    pub fn named(&self) -> [(&'static str, &'static str, u64); 6] {
        // Taken apart, so that a new counter cannot be forgotten here.
        let Self {
            records,
            bytes,
            rejected,
            flows,
            lost,
            late,
        } = *self;
        [
            ("records", "Packets, rows or messages taken in", records),
            (
                "bytes",
                "Bytes of these records, where the source knows them",
                bytes,
            ),
            (
                "records_rejected",
                "Records that could not be used and are in no flow",
                rejected,
            ),
            ("flows", "Flows handed over", flows),
            (
                "records_lost",
                "Records lost before the source could take them in",
                lost,
            ),
            ("records_late", "Records that came behind their turn", late),
        ]
    }
}

/// Reads a source to its end and gives each batch of flows to `each`, in order. `each` may keep a batch and leave
/// another one of the same schema in its place.
///
/// The flows before a damage come first; the damage is the value.
///
/// # Errors
/// What `each` gives; reading ends there.
pub fn read_all<S, E>(
    source: &mut S,
    mut each: impl FnMut(&mut FlowBatch) -> Result<(), E>,
) -> Result<Option<SourceError>, E>
where
    S: Source + ?Sized,
{
    read_all_with(source, |_, batch| each(batch))
}

/// As [`read_all`]; `each` is given the source too, which may know more of a flow than the batch says.
///
/// # Errors
/// See [`read_all`].
pub fn read_all_with<S, E>(
    source: &mut S,
    mut each: impl FnMut(&S, &mut FlowBatch) -> Result<(), E>,
) -> Result<Option<SourceError>, E>
where
    S: Source + ?Sized,
{
    let mut batch = FlowBatch::new(source.schema());
    loop {
        match source.read(&mut batch) {
            Ok(Reading::GoesOn) => {}
            Ok(Reading::Again) => batch.clear(),
            Ok(Reading::End) => return Ok(None),
            Err(damage) => return Ok(Some(damage)),
        }
        if !batch.is_empty() {
            each(source, &mut batch)?;
            batch.clear();
        }
    }
}
