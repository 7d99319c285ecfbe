//! How a finished record becomes a row.

use super::counts::Counts;
use super::measures::Measures;
use super::state::State;
use super::summary::Summary;
use super::{Row, WIDTH};

/// All that a row is computed from.
pub(crate) struct RowInput<'a> {
    /// Code of the protocol in the vocabulary.
    pub(crate) protocol: f64,
    /// Code of the service in the vocabulary.
    pub(crate) service: f64,
    pub(crate) state: State,
    pub(crate) measures: &'a Measures,
    pub(crate) counts: &'a Counts,
    /// Times from SYN to SYN-ACK and from it to ACK, in seconds; 0 where not seen.
    pub(crate) handshake: (f64, f64),
    /// Segments with which each side repeated itself in the record.
    pub(crate) retransmissions: [u64; 2],
}

/// Computes a row. Every value is finite and 0 or more.
pub(crate) fn row(input: &RowInput<'_>) -> Row {
    let RowInput { measures, counts, .. } = *input;
    let [source, destination] = &measures.directions;
    let flags = &measures.flags;
    let beginning = &measures.beginning;
    let duration = measures
        .span()
        .map_or(0, |(first_ns, last_ns)| last_ns.saturating_sub(first_ns)) as f64
        / 1e9;
    let packets = measures.packets();
    let rate = if packets > 1 && duration > 0.0 {
        (packets - 1) as f64 / duration
    } else {
        0.0
    };
    let mut columns = Columns {
        values: [0.0; WIDTH],
        filled: 0,
    };
    columns.add([
        input.protocol,
        input.service,
        f64::from(input.state as u8),
        duration,
        f64::from(source.packets),
        f64::from(destination.packets),
        source.bytes as f64,
        destination.bytes as f64,
        source.payload as f64,
        destination.payload as f64,
        rate,
        share(u64::from(source.packets), packets),
        share(source.bytes, source.bytes.saturating_add(destination.bytes)),
    ]);
    columns.add_summary(measures.gaps.summary(packets));
    columns.add_summary(source.gaps.summary(u64::from(source.packets)));
    columns.add_summary(destination.gaps.summary(u64::from(destination.packets)));
    columns.add_summary(source.sizes());
    columns.add_summary(destination.sizes());
    columns.add([flags.syn, flags.fin, flags.rst, flags.psh, flags.urg, flags.odd].map(f64::from));
    columns.add([input.handshake.0, input.handshake.1]);
    columns.add(input.retransmissions.map(|segments| segments as f64));
    columns.add([source.zero_windows, destination.zero_windows].map(f64::from));
    for sizes in beginning.sizes {
        columns.add(sizes.map(f64::from));
    }
    columns.add(beginning.gaps_ns.map(|gap_ns| gap_ns as f64 / 1e9));
    for host in [&counts.source, &counts.destination] {
        columns.add([host.flows, host.peers, host.ports].map(f64::from));
        columns.add([failed(counts, host.failed, host.flows)]);
    }
    let (service, pair) = (&counts.service, &counts.pair);
    columns.add([service.flows, service.sources, service.destinations].map(f64::from));
    columns.add([failed(counts, service.failed, service.flows)]);
    columns.add([pair.flows, pair.ports].map(f64::from));
    columns.add([failed(counts, pair.failed, pair.flows)]);
    debug_assert_eq!(columns.filled, WIDTH);
    columns.values
}

/// A row that is being filled from the left.
struct Columns {
    values: Row,
    filled: usize,
}

impl Columns {
    fn add<const N: usize>(&mut self, values: [f64; N]) {
        self.values[self.filled..self.filled + N].copy_from_slice(&values);
        self.filled += N;
    }

    fn add_summary(&mut self, Summary { mean, std, min, max }: Summary) {
        self.add([mean, std, min, max]);
    }
}

/// The share of the failed among the other flows.
fn failed(counts: &Counts, failed: u32, flows: u32) -> f64 {
    let others = flows - u32::from(counts.includes_itself);
    share(u64::from(failed), u64::from(others))
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}
