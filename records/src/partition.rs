//! The records of one partition of a stream, put in order and counted.

use netsage_windows::Counts;

use crate::order::{Key, Order, OrderCounters, Standing};
use crate::{FlowId, Network, Origin, Record, Windows};

/// A record on its way through a [`Partition`]; `T` is what the caller wants back with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordered<T> {
    /// What the meter said.
    pub record: Record,
    /// The network of the record's addresses.
    pub network: Network,
    /// The id of the flow.
    pub id: FlowId,
    /// What came with the record.
    pub tag: T,
}

/// Orders the records of one partition and counts each over the trailing window.
///
/// The windows of a partition know nothing of other partitions, so that rows depend neither on how many programs share a
/// stream nor on which partitions one of them has.
pub struct Partition<T> {
    order: Order<Ordered<T>>,
    windows: Windows,
}

impl<T> Partition<T> {
    /// Waits for records for `lateness_us` of the stream's time, with at most `most` waiting; the window takes at most
    /// `window_memory` bytes.
    pub fn new(lateness_us: u64, most: usize, window_memory: usize) -> Self {
        Self {
            order: Order::new(lateness_us, most),
            windows: Windows::new(window_memory),
        }
    }

    /// Waits for records at least so long from now on, as [`Order::wait_for`] does.
    pub fn wait_for(&mut self, lateness_us: u64) {
        self.order.wait_for(lateness_us);
    }

    /// Takes a record of this origin in; a network that the record itself names comes first. `each` gets this record and
    /// others, as far as their turn has come, with their counts; what repeats another record has none and is no flow of its
    /// own.
    pub fn push(
        &mut self,
        record: Record,
        origin: &Origin,
        tag: T,
        each: impl FnMut(Ordered<T>, Standing, &Counts),
    ) {
        let origin = origin.of(&record);
        let id = record.id(&origin);
        let key = Key {
            end_us: record.end_us,
            id,
        };
        let ordered = Ordered {
            record,
            network: origin.network,
            id,
            tag,
        };
        self.order.push(key, ordered, counted(&mut self.windows, each));
    }

    /// Moves a quiet stream on, as [`Order::quiet`] does.
    pub fn quiet(&mut self, elapsed_us: u64, each: impl FnMut(Ordered<T>, Standing, &Counts)) {
        self.order.quiet(elapsed_us, counted(&mut self.windows, each));
    }

    /// Lets all records leave: the stream has ended.
    pub fn finish(&mut self, each: impl FnMut(Ordered<T>, Standing, &Counts)) {
        self.order.finish(counted(&mut self.windows, each));
    }

    /// Number of records that wait.
    pub fn waiting(&self) -> usize {
        self.order.len()
    }

    /// What was counted.
    pub fn counters(&self) -> OrderCounters {
        self.order.counters()
    }

    /// The window.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }
}

fn counted<T>(
    windows: &mut Windows,
    mut each: impl FnMut(Ordered<T>, Standing, &Counts),
) -> impl FnMut(Ordered<T>, Standing) {
    move |ordered, standing| {
        let counts = match standing {
            Standing::Repeated => Counts::default(),
            Standing::InOrder | Standing::Late => windows.count(ordered.network, &ordered.record),
        };
        each(ordered, standing, &counts);
    }
}
