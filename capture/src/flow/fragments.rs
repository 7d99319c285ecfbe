//! Later pieces of a fragmented packet have no ports; the flow of the first piece has them.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::table::FlowRef;

/// Most packets whose later pieces are expected; more at once are no ordinary traffic.
const MOST: usize = 4096;
/// Most bytes that an expected packet takes: an entry of the map, which is between 7/16 and 7/8 full, and one of
/// the order.
const BYTES: usize =
    3 * (size_of::<FragmentedPacket>() + size_of::<FlowRef>() + 1) + 2 * size_of::<FragmentedPacket>();

/// What the pieces of one packet share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FragmentedPacket {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) identification: u32,
}

/// The flows of packets whose later pieces are expected, the oldest forgotten first.
pub(crate) struct Fragments {
    flows: HashMap<FragmentedPacket, FlowRef>,
    order: VecDeque<FragmentedPacket>,
    most: usize,
}

impl Fragments {
    /// Takes no more than `memory` bytes.
    pub(crate) fn new(memory: usize) -> Self {
        Self {
            flows: HashMap::new(),
            order: VecDeque::new(),
            most: (memory / BYTES).clamp(1, MOST),
        }
    }

    /// The most bytes that are of use, and a share of all there are.
    pub(crate) fn share_of(memory: usize) -> usize {
        (memory / 64).min(MOST * BYTES)
    }

    pub(crate) fn flow_of(&self, packet: &FragmentedPacket) -> Option<FlowRef> {
        self.flows.get(packet).copied()
    }

    /// Notes the flow of a first piece.
    pub(crate) fn expect(&mut self, packet: FragmentedPacket, flow: FlowRef) {
        if self.flows.insert(packet, flow).is_some() {
            return;
        }
        self.order.push_back(packet);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.flows.remove(&oldest);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.flows.clear();
        self.order.clear();
    }

    /// Bytes held, as far as the standard library tells.
    pub(crate) fn memory(&self) -> usize {
        self.flows.capacity() * 8 / 7 * (size_of::<(FragmentedPacket, FlowRef)>() + 1)
            + self.order.capacity() * size_of::<FragmentedPacket>()
    }
}
