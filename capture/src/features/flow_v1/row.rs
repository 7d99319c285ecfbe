//! How a finished record becomes a row.

use netsage_schema::{FLOW_V1, row};
use netsage_windows::Counts;

use super::Row;
use super::measures::Measures;
use super::state::State;

/// All that a row is computed from.
pub(crate) struct RowInput<'a> {
    /// The side of the pairs below that counts as the source, 0 or 1.
    pub(crate) source: usize,
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
pub(crate) fn row_of(input: &RowInput<'_>) -> Row {
    let RowInput {
        measures,
        counts,
        source: source_side,
        ..
    } = *input;
    let destination_side = 1 - source_side;
    let source = &measures.directions[source_side];
    let destination = &measures.directions[destination_side];
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
    let gaps = measures.gaps.summary(packets);
    let source_gaps = source.gaps.summary(u64::from(source.packets));
    let destination_gaps = destination.gaps.summary(u64::from(destination.packets));
    let (source_sizes, destination_sizes) = (source.sizes(), destination.sizes());
    let [source_first, destination_first] =
        [source_side, destination_side].map(|side| beginning.sizes[side].map(f64::from));
    let first_gaps = beginning.gaps_ns.map(|gap_ns| gap_ns as f64 / 1e9);
    let (syn_ack_time, ack_time) = input.handshake;
    let [source_retransmissions, destination_retransmissions] =
        [source_side, destination_side].map(|side| input.retransmissions[side]);
    let (source_host, destination_host) = (&counts.source, &counts.destination);
    let (service, pair) = (&counts.service, &counts.pair);
    row!(FLOW_V1, {
        proto: input.protocol,
        service: input.service,
        state: f64::from(input.state as u8),
        duration: duration,
        src_packets: f64::from(source.packets),
        dst_packets: f64::from(destination.packets),
        src_bytes: source.bytes as f64,
        dst_bytes: destination.bytes as f64,
        src_payload: source.payload as f64,
        dst_payload: destination.payload as f64,
        packet_rate: rate,
        src_packet_share: share(u64::from(source.packets), packets),
        src_byte_share: share(source.bytes, source.bytes.saturating_add(destination.bytes)),
        gap_mean: gaps.mean,
        gap_std: gaps.std,
        gap_min: gaps.min,
        gap_max: gaps.max,
        src_gap_mean: source_gaps.mean,
        src_gap_std: source_gaps.std,
        src_gap_min: source_gaps.min,
        src_gap_max: source_gaps.max,
        dst_gap_mean: destination_gaps.mean,
        dst_gap_std: destination_gaps.std,
        dst_gap_min: destination_gaps.min,
        dst_gap_max: destination_gaps.max,
        src_size_mean: source_sizes.mean,
        src_size_std: source_sizes.std,
        src_size_min: source_sizes.min,
        src_size_max: source_sizes.max,
        dst_size_mean: destination_sizes.mean,
        dst_size_std: destination_sizes.std,
        dst_size_min: destination_sizes.min,
        dst_size_max: destination_sizes.max,
        syn_count: f64::from(flags.syn),
        fin_count: f64::from(flags.fin),
        rst_count: f64::from(flags.rst),
        psh_count: f64::from(flags.psh),
        urg_count: f64::from(flags.urg),
        odd_flags: f64::from(flags.odd),
        syn_ack_time: syn_ack_time,
        ack_time: ack_time,
        src_retransmissions: source_retransmissions as f64,
        dst_retransmissions: destination_retransmissions as f64,
        src_zero_windows: f64::from(source.zero_windows),
        dst_zero_windows: f64::from(destination.zero_windows),
        src_first_1: source_first[0],
        src_first_2: source_first[1],
        src_first_3: source_first[2],
        dst_first_1: destination_first[0],
        dst_first_2: destination_first[1],
        dst_first_3: destination_first[2],
        first_gap_1: first_gaps[0],
        first_gap_2: first_gaps[1],
        src_flows: f64::from(source_host.flows),
        src_peers: f64::from(source_host.peers),
        src_ports: f64::from(source_host.ports),
        src_failed: counts.failed_share(source_host.failed, source_host.flows),
        dst_flows: f64::from(destination_host.flows),
        dst_peers: f64::from(destination_host.peers),
        dst_ports: f64::from(destination_host.ports),
        dst_failed: counts.failed_share(destination_host.failed, destination_host.flows),
        service_flows: f64::from(service.flows),
        service_sources: f64::from(service.sources),
        service_destinations: f64::from(service.destinations),
        service_failed: counts.failed_share(service.failed, service.flows),
        pair_flows: f64::from(pair.flows),
        pair_ports: f64::from(pair.ports),
        pair_failed: counts.failed_share(pair.failed, pair.flows),
    })
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 / whole as f64,
    }
}
