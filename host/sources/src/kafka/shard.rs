//! What is known of a partition as long as this program has it, and what its messages and records become.

use std::time::Instant;

use netsage_records::formats::{Format, Items, Options, Reader, Recognised, recognise};
use netsage_records::{OrderCounters, Ordered, Partition, Standing};

use super::KafkaCounts;
use super::past::Past;
use crate::records::handover::{Entry, Ledger, Ready};

/// What is known of a partition as long as this program has it.
pub(super) struct Shard {
    pub(super) epoch: u64,
    /// Messages before this offset were done with by others, and are read again for the window alone.
    pub(super) committed: i64,
    pub(super) past: Past,
    /// Detectors are shown records again that end after this time: before, they were while this program had the partition
    /// before. `None`: they are shown nothing.
    pub(super) again_after_us: Option<i64>,
    /// The latest end of a record whose turn has come, also of those.
    pub(super) shown_us: i64,
    /// Records of messages that are read again have no entry.
    pub(super) records: Partition<Option<Entry>>,
    pub(super) reader: Option<Reader>,
    pub(super) ledger: Ledger<i64>,
    /// The offset behind its last message that was read.
    pub(super) position: Option<i64>,
    /// When its last message came.
    pub(super) last: Instant,
    /// Until when it is known to be quiet.
    pub(super) quiet: Instant,
    /// Whether its end was read, and no message since.
    pub(super) is_at_end: bool,
}

/// A flow that was handed over and is not stored yet.
pub(super) struct Handed {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    pub(super) entry: Entry,
}

/// Where a record goes whose turn has come.
pub(super) struct Left<'a> {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    /// As in [`Shard`].
    pub(super) again_after_us: Option<i64>,
    pub(super) shown_us: &'a mut i64,
    pub(super) ledger: &'a mut Ledger<i64>,
    pub(super) ready: &'a mut Ready<Handed>,
}

impl Left<'_> {
    pub(super) fn take(
        &mut self,
        ordered: &Ordered<Option<Entry>>,
        standing: Standing,
        counts: &netsage_records::Counts,
    ) {
        let end_us = ordered.record.end_us;
        *self.shown_us = end_us.max(*self.shown_us);
        // The store has what is read again, and so may this program's detectors.
        let Some(entry) = ordered.tag else {
            if self.again_after_us.is_some_and(|after_us| end_us > after_us) && standing != Standing::Repeated
            {
                self.ready.take_again(ordered, counts);
            }
            return;
        };
        let handed = Handed {
            partition: self.partition,
            epoch: self.epoch,
            entry,
        };
        if let Some(repeated) = self.ready.take(ordered, standing, counts, handed) {
            // The first copy stands in an earlier message, before which nothing is committed.
            self.ledger.close(repeated.entry);
        }
    }
}

/// What became of the value of a message, beside its records.
pub(super) struct Value {
    /// Items that are in no flow.
    pub(super) unused: u64,
    /// How many items were refused, and why the first was.
    pub(super) refusal: Option<(usize, String)>,
    pub(super) is_unrecognised: bool,
}

impl Default for Value {
    /// A message that holds nothing.
    fn default() -> Self {
        Self {
            unused: 1,
            refusal: None,
            is_unrecognised: false,
        }
    }
}

/// Makes records of a value. The first that is recognised settles the format of all.
pub(super) fn read_value(
    value: &[u8],
    format: &mut Option<Format>,
    shard: &mut Shard,
    options: &Options,
    items: &mut Items,
) -> Value {
    let unrecognised = |reason| Value {
        refusal: Some((1, reason)),
        is_unrecognised: true,
        ..Value::default()
    };
    let format = match *format {
        Some(format) => format,
        None => match recognise(value) {
            Recognised::Format(found) => *format.insert(found),
            Recognised::Other { what, advice } => return unrecognised(format!("{what}; {advice}")),
            Recognised::Unknown => {
                return unrecognised(
                    "no format of records that is known here; name it if it is one".to_owned(),
                );
            }
        },
    };
    let reader = (shard.reader).get_or_insert_with(|| Reader::new(format, options));
    let unused = reader.counts().unused();
    reader.message(value, items);
    let first = items.refused.first();
    Value {
        unused: reader.counts().unused() - unused,
        refusal: first.map(|first| (items.refused.len(), first.to_string())),
        is_unrecognised: false,
    }
}

/// Adds what was counted of a partition.
pub(super) fn add(counts: &mut KafkaCounts, shard: &Shard) {
    if let Some(reader) = &shard.reader {
        counts.items.add(reader.counts());
    }
    let OrderCounters {
        in_order,
        late,
        repeated,
        hurried,
    } = shard.records.counters();
    let order = &mut counts.order;
    order.in_order += in_order;
    order.late += late;
    order.repeated += repeated;
    order.hurried += hurried;
}
