//! How finished records become rows.
//!
//! A [`FeatureSet`] is what the meter needs to know of a schema: which sums a flow keeps of its packets, when a
//! finished record may leave, and how a record becomes a row. The meter's core is compiled once for each set, so that a
//! flow holds the sums of the chosen schema only. The sets are [`unsw_nb15`], [`flow_v1`] and [`record_v1`].

pub(crate) mod flow_v1;
mod names;
mod order;
pub(crate) mod record_v1;
mod row;
pub(crate) mod unsw_nb15;
mod window;

use netsage_schema::{FlowBatch, Schema};

use crate::application::Said;
use crate::config::MeterConfig;
use crate::decode::TcpSegment;
use crate::flow::cells::Cells;
use crate::flow::state::Flow;
use crate::flow::table::FlowTable;

/// The cells of the flows whose sums a set keeps.
pub(crate) type CellsOf<S> = Cells<<S as FeatureSet>::Near, <S as FeatureSet>::Far>;
/// The table of these flows.
pub(crate) type TableOf<S> = FlowTable<<S as FeatureSet>::Near, <S as FeatureSet>::Far>;

/// The sums that a schema keeps per flow, and when its rows leave.
///
/// Every flow keeps the near sums in its own cell. A flow that needs more keeps the far sums in a second cell: a function
/// that returns `Some` asks the flow table to allocate that cell and store these far sums in it.
pub(crate) trait FeatureSet: Sized {
    /// The columns.
    const SCHEMA: &'static Schema;
    /// Bytes per record that waits, beside its cells.
    const BYTES_PER_RECORD: usize;

    type Near: Clone + Default;
    type Far: Clone;

    /// `memory` is the number of bytes that [`Self::share_of`] returned.
    fn new(config: &MeterConfig, memory: usize) -> Self;

    /// How many of all `memory` bytes the set takes for itself.
    fn share_of(memory: usize) -> usize;

    /// Adds a packet. Returns the far sums when the flow needs a second cell from now on.
    fn packet(&mut self, cells: &mut CellsOf<Self>, place: u32, seen: &Seen<'_>) -> Option<Self::Far>;

    /// Reads new application data, where the schema asks for it. Returns the far sums when the flow needs a second cell
    /// from now on.
    fn said(&mut self, cells: &mut CellsOf<Self>, place: u32, said: Said<'_>) -> Option<Self::Far>;

    /// Whether a segment of a known flow opens another connection on the same ports: `Some` holds the near sums that the
    /// new connection begins with.
    fn reopened(flow: &mut Flow<Self::Near>, opening: &Opening<'_>) -> Option<Self::Near>;

    /// Begins a new record of the same flow. Returns the far sums when the flow needs a second cell from now on.
    fn restart(cells: &mut CellsOf<Self>, place: u32) -> Option<Self::Far>;

    /// Takes over a flow that has ended, with a packet in its record.
    fn finished(&mut self, table: &mut TableOf<Self>, place: u32, now_ns: i64);

    /// Lets records leave that ended before `settled_ns`: no record that finishes later ended before that time.
    fn tick(&mut self, table: &mut TableOf<Self>, now_ns: i64, settled_ns: i64);

    /// Makes the first waiting record ready, for want of room; `false` when no record waits.
    fn go_ahead(&mut self, table: &mut TableOf<Self>) -> bool;

    /// Makes all records ready that wait for others.
    fn release_all(&mut self, table: &mut TableOf<Self>);

    /// Makes all records ready.
    fn finish(&mut self, table: &mut TableOf<Self>);

    /// Appends the record of an ended flow.
    fn write(&self, cells: &CellsOf<Self>, place: u32, batch: &mut FlowBatch);

    /// Bytes of the index that keeps waiting records in order.
    fn order_memory(&self) -> usize;

    /// Bytes of trailing windows.
    fn window_memory(&self) -> usize;

    /// Flows that left a trailing window before their time, because it was full.
    fn left_early(&self) -> u64;
}

/// A segment that may open another connection on the ports of a known flow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) segment: &'a TcpSegment<'a>,
    /// Direction within the known flow: 0 from its source, 1 from its destination.
    pub(crate) direction: usize,
    pub(crate) time_ns: i64,
    pub(crate) time_to_live: u8,
}

/// A packet, as far as the sums need it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// 0 when it goes from the source to the destination, 1 when it answers.
    pub(crate) direction: usize,
    pub(crate) time_ns: i64,
    /// Bytes on the wire, with or without the link header: padding and whatever else follows the IP packet included.
    pub(crate) wire_bytes: u32,
    /// Bytes of the IP packet or ARP message as its header states them, with or without the link header.
    pub(crate) ip_bytes: u32,
    /// Data of TCP or UDP, 0 for other protocols.
    pub(crate) payload: u32,
    pub(crate) time_to_live: u8,
    /// Whether the gap before it was within an exchange.
    pub(crate) is_active: bool,
    /// Whether it is a later piece of a fragmented packet that counts for the flow of the first.
    pub(crate) is_later_piece: bool,
    /// The TCP segment that the packet carries.
    pub(crate) tcp: Option<&'a TcpSegment<'a>>,
}
