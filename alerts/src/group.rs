//! The hits of a delivery, by the alerts that they may belong to.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use crate::{AlertWindow, Cell, FlowRecord, HitOfFlow, Id};

/// The target of a flow: its destination's address and port.
pub const fn target_of(flow: &FlowRecord) -> SocketAddr {
    SocketAddr::new(flow.destination, flow.destination_port)
}

/// The hits of a delivery in one cell, by target and source. Each flow is there once.
#[derive(Debug)]
pub struct CellHits<'a> {
    /// The cell.
    pub cell: Cell<'a>,
    /// Its hits; none of the lists is empty.
    pub targets: BTreeMap<SocketAddr, BTreeMap<IpAddr, Vec<HitOfFlow<'a>>>>,
}

impl<'a> CellHits<'a> {
    /// All hits.
    pub fn hits(&self) -> impl Iterator<Item = &HitOfFlow<'a>> {
        self.targets.values().flat_map(BTreeMap::values).flatten()
    }
}

/// Sorts hits by cell, target and source, so that two writers take them in the same order. Of several hits of one flow in
/// one cell the first counts.
pub fn group<'a>(
    hits: impl Iterator<Item = HitOfFlow<'a>>,
    window: AlertWindow,
) -> impl Iterator<Item = CellHits<'a>> {
    type Targets<'a> = BTreeMap<SocketAddr, BTreeMap<IpAddr, Vec<HitOfFlow<'a>>>>;
    let mut cells: BTreeMap<Cell<'a>, (Targets<'a>, HashSet<&'a Id>)> = BTreeMap::new();
    for hit in hits {
        let (targets, seen) = cells.entry(Cell::of(&hit, window)).or_default();
        if seen.insert(&hit.flow.id) {
            let sources = targets.entry(target_of(hit.flow)).or_default();
            sources.entry(hit.flow.source).or_default().push(hit);
        }
    }
    cells
        .into_iter()
        .map(|(cell, (targets, _))| CellHits { cell, targets })
}
