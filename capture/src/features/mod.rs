//! How finished records become rows.
//!
//! A [`FeatureSet`] is what the meter needs to know of a schema: what a flow adds up from its packets, when a
//! finished record may leave, and how it becomes a row. The meter's core is compiled once for each, so that a flow
//! holds the sums of the chosen schema only. [`unsw_nb15`] and [`flow_v1`] are the two there are.

pub(crate) mod flow_v1;
mod names;
mod order;
mod row;
pub(crate) mod unsw_nb15;
mod window;

pub use names::protocol_name;

use netsage_schema::{FlowBatch, Schema};

use crate::application::Said;
use crate::config::Mode;
use crate::decode::{TcpFlags, TcpSegment};
use crate::flow::cells::Cells;
use crate::flow::state::Flow;
use crate::flow::table::FlowTable;

/// The cells of the flows whose sums a set keeps.
pub(crate) type CellsOf<S> = Cells<<S as FeatureSet>::Near, <S as FeatureSet>::Far>;
/// The table of these flows.
pub(crate) type TableOf<S> = FlowTable<<S as FeatureSet>::Near, <S as FeatureSet>::Far>;

/// What a schema adds up and when its rows leave.
///
/// Every flow has the near sums, in its own cell; a flow that needs more asks for a second cell with the far ones.
pub(crate) trait FeatureSet: Sized {
    /// The columns.
    const SCHEMA: &'static Schema;
    /// Bytes per record that waits, beside its cells.
    const BYTES_PER_RECORD: usize;

    type Near: Clone + Default;
    type Far: Clone;

    /// `memory`: what [`Self::share_of`] gave.
    fn new(mode: Mode, memory: usize) -> Self;

    /// How many bytes of all that there are the set takes for itself.
    fn share_of(memory: usize) -> usize;

    /// Adds a packet. Gives the far sums when the flow needs them from now on.
    fn packet(&mut self, cells: &mut CellsOf<Self>, place: u32, seen: &Seen) -> Option<Self::Far>;

    /// Reads new data of a conversation, where the schema asks for it. Gives the far sums when the flow needs them
    /// from now on.
    fn said(&mut self, cells: &mut CellsOf<Self>, place: u32, said: Said<'_>) -> Option<Self::Far>;

    /// Whether a segment of a known flow opens another connection on the same ports. `Some` has the near sums with
    /// which that begins.
    fn reopened(flow: &mut Flow<Self::Near>, opening: &Opening<'_>) -> Option<Self::Near> {
        let flags = opening.segment.flags;
        let opens = flags.syn() && !flags.ack() && flow.tcp.is_over();
        opens.then(Self::Near::default)
    }

    /// Begins a new record of the same flow. Gives the far sums when the flow needs them from now on.
    fn restart(cells: &mut CellsOf<Self>, place: u32) -> Option<Self::Far>;

    /// Takes over a flow that has ended, with a packet in its record.
    fn finished(&mut self, table: &mut TableOf<Self>, place: u32, now_ns: i64);

    /// Lets records leave whose time has come: no record that comes later has its last packet before `settled_ns`.
    fn tick(&mut self, table: &mut TableOf<Self>, now_ns: i64, settled_ns: i64);

    /// For want of room, makes the first record ready that waits; `false` when none does.
    fn go_ahead(&mut self, table: &mut TableOf<Self>) -> bool;

    /// Lets all records go ahead that wait for others.
    fn release_all(&mut self, table: &mut TableOf<Self>);

    /// Makes all records ready.
    fn finish(&mut self, table: &mut TableOf<Self>);

    /// Appends the record of an ended flow.
    fn write(cells: &CellsOf<Self>, place: u32, batch: &mut FlowBatch);

    /// Bytes of the order of records that wait.
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
    /// As the known flow has it.
    pub(crate) direction: usize,
    pub(crate) time_ns: i64,
    pub(crate) time_to_live: u8,
}

/// A packet, as sums see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// 0 when it goes from the source to the destination, 1 when it answers.
    pub(crate) direction: usize,
    pub(crate) time_ns: i64,
    /// On the wire, with or without the link header.
    pub(crate) bytes: u32,
    /// Data of TCP or UDP, 0 for other protocols.
    pub(crate) payload: u32,
    pub(crate) time_to_live: u8,
    /// Whether the gap before it was within an exchange.
    pub(crate) is_active: bool,
    /// Whether it is a later piece of a fragmented packet that counts for the flow of the first.
    pub(crate) is_later_piece: bool,
    /// Flags and window of a TCP segment.
    pub(crate) tcp: Option<(TcpFlags, u16)>,
}
