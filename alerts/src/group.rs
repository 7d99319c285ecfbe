//! The hits of a delivery, by the alerts that they may belong to.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::{AlertWindow, Cell, FlowRecord, HitOfFlow};

/// The target of a flow: its destination's address and port.
pub const fn target_of(flow: &FlowRecord) -> SocketAddr {
    SocketAddr::new(flow.destination, flow.destination_port)
}

/// The hits of a delivery in one cell. Each flow is there once.
#[derive(Debug)]
pub struct CellHits<'a> {
    /// The cell.
    pub cell: Cell<'a>,
    /// By target, source and flow; sorted once, since a delivery has thousands and a map of maps costs far more.
    hits: Vec<HitOfFlow<'a>>,
}

impl<'a> CellHits<'a> {
    fn new(cell: Cell<'a>, mut hits: Vec<HitOfFlow<'a>>) -> Self {
        hits.sort_by_cached_key(|hit| (target_of(hit.flow), hit.flow.source, hit.flow.id));
        hits.dedup_by_key(|hit| hit.flow.id);
        Self { cell, hits }
    }

    /// All hits.
    pub fn hits(&self) -> &[HitOfFlow<'a>] {
        &self.hits
    }

    /// The hits on each target, by target.
    pub fn targets(&self) -> impl Iterator<Item = (SocketAddr, &[HitOfFlow<'a>])> {
        runs(&self.hits, |hit| target_of(hit.flow))
    }
}

/// The hits of each source among those on a target, by source.
pub fn by_source<'h, 'a>(
    hits_on_target: &'h [HitOfFlow<'a>],
) -> impl Iterator<Item = (IpAddr, &'h [HitOfFlow<'a>])> {
    runs(hits_on_target, |hit| hit.flow.source)
}

/// The longest runs of hits with one key.
fn runs<'h, 'a, K: PartialEq>(
    hits: &'h [HitOfFlow<'a>],
    key: impl Fn(&HitOfFlow<'a>) -> K + Copy,
) -> impl Iterator<Item = (K, &'h [HitOfFlow<'a>])> {
    hits.chunk_by(move |one, next| key(one) == key(next))
        .filter_map(move |run| Some((key(run.first()?), run)))
}

/// Sorts hits by cell, target and source, so that two writers take them in the same order. Of several hits of one flow in
/// one cell the first counts.
pub fn group<'a>(
    hits: impl Iterator<Item = HitOfFlow<'a>>,
    window: AlertWindow,
) -> impl Iterator<Item = CellHits<'a>> {
    let mut cells: BTreeMap<Cell<'a>, Vec<HitOfFlow<'a>>> = BTreeMap::new();
    for hit in hits {
        cells.entry(Cell::of(&hit, window)).or_default().push(hit);
    }
    cells.into_iter().map(|(cell, hits)| CellHits::new(cell, hits))
}
