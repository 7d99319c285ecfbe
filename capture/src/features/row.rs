//! The row of a record.

use netsage_schema::{UNSW_NB15, row};

use super::names::{icmp_state, protocol_code, state_code};
use super::unsw_nb15::{Direction, Near};
use crate::application::Http;
use crate::decode::protocol;
use crate::flow::state::Flow;

/// Computes the row of a record whose block is closed.
pub(super) fn row_of(flow: &Flow<Near>, http: Option<&Http>) -> [f64; UNSW_NB15.width()] {
    let counts = &flow.near.counts;
    let source_side = flow.source_of_record();
    let destination_side = 1 - source_side;
    let source = &flow.near.directions[source_side];
    let destination = &flow.near.directions[destination_side];
    let packets = source.packets + destination.packets;
    let duration = flow.duration(packets);
    let state = state(flow);
    let is_tcp = flow.endpoints.protocol == protocol::TCP;
    let (synack, ackdat) = flow.tcp.handshake();
    let conversation = &flow.conversation;
    let transaction_depth = http.map_or(0.0, |http| f64::from(http.requests));
    let ends = &flow.endpoints;
    let same_ends = ends.source == ends.destination && ends.source_port == ends.destination_port;
    // Argus has nothing to say about a side's window in a record that lacks the source.
    let window = |side, said: bool| {
        if is_tcp && said {
            f64::from(flow.tcp.window(side))
        } else {
            0.0
        }
    };
    let loss = |side| {
        if flow.tcp.tells_loss() {
            f64::from(flow.tcp.retransmitted(side))
        } else {
            0.0
        }
    };
    let sequence = |side| {
        if is_tcp {
            f64::from(flow.tcp.initial_sequence(side))
        } else {
            0.0
        }
    };
    row!(UNSW_NB15, {
        dur: duration,
        proto: protocol_code(ends.protocol),
        service: f64::from(conversation.service_code()),
        state: state_code(state),
        spkts: source.packets as f64,
        dpkts: destination.packets as f64,
        sbytes: source.bytes as f64,
        dbytes: destination.bytes as f64,
        rate: rate(packets, duration),
        sttl: f64::from(source.time_to_live),
        dttl: f64::from(destination.time_to_live),
        sload: load(source, duration),
        dload: load(destination, duration),
        sloss: loss(source_side),
        dloss: loss(destination_side),
        sinpkt: source.gaps.mean(),
        dinpkt: destination.gaps.mean(),
        sjit: source.gaps.jitter(),
        djit: destination.gaps.jitter(),
        swin: window(source_side, source.packets > 0),
        stcpb: sequence(source_side),
        dtcpb: sequence(destination_side),
        dwin: window(destination_side, source.packets > 0 && destination.packets > 0),
        tcprtt: synack + ackdat,
        synack: synack,
        ackdat: ackdat,
        smean: mean_size(source),
        dmean: mean_size(destination),
        trans_depth: transaction_depth,
        response_body_len: http.map_or(0.0, |http| http.body_length as f64),
        ct_srv_src: f64::from(counts.srv_src),
        ct_state_ttl: f64::from(state_ttl(state, source.time_to_live, destination.time_to_live)),
        ct_dst_ltm: f64::from(counts.dst_ltm),
        ct_src_dport_ltm: f64::from(counts.src_dport_ltm),
        ct_dst_sport_ltm: f64::from(counts.dst_sport_ltm),
        ct_dst_src_ltm: f64::from(counts.dst_src_ltm),
        is_ftp_login: f64::from(conversation.ftp_logins()),
        ct_ftp_cmd: f64::from(conversation.ftp_logins()),
        ct_flw_http_mthd: transaction_depth,
        ct_src_ltm: f64::from(counts.src_ltm),
        ct_srv_dst: f64::from(counts.srv_dst),
        is_sm_ips_ports: f64::from(u8::from(same_ends)),
    })
}

/// The state as Argus names it.
fn state(flow: &Flow<Near>) -> &'static str {
    if flow.endpoints.protocol == protocol::TCP {
        return flow.tcp.state();
    }
    if let Some(message) = &flow.icmp {
        return icmp_state(message);
    }
    let [source, destination] = flow.near.directions.map(|direction| direction.packets > 0);
    match (source, destination) {
        (true, true) => "CON",
        (true, false) if flow.earlier_records == 0 || flow.endpoints.protocol == protocol::ARP => "INT",
        (true, false) => "REQ",
        (false, _) => "RSP",
    }
}

/// Packets per second.
fn rate(packets: u64, duration: f64) -> f64 {
    if packets < 2 || duration <= 0.0 {
        0.0
    } else {
        (packets - 1) as f64 / duration
    }
}

/// Bits per second without one mean packet, in single precision as `ra` computes it.
fn load(direction: &Direction, duration: f64) -> f64 {
    if direction.packets < 2 || duration <= 0.0 {
        return 0.0;
    }
    let bytes = direction.bytes - direction.bytes / direction.packets;
    f64::from((bytes as f64 * 8.0 / duration) as f32)
}

/// Bytes per packet, rounded half up.
fn mean_size(direction: &Direction) -> f64 {
    match direction.packets {
        0 => 0.0,
        packets => ((2 * direction.bytes + packets) / (2 * packets)) as f64,
    }
}

/// The bucket `ct_state_ttl`.
fn state_ttl(state: &str, source: u8, destination: u8) -> u8 {
    match (state, source, destination) {
        ("FIN", 62 | 63 | 254 | 255, 252 | 253) => 1,
        ("INT", 0 | 62 | 254, 0) => 2,
        ("CON", 62 | 254, 60 | 252 | 253) => 3,
        ("ACC", 254, 252) => 4,
        ("CLO", 254, 252) => 5,
        ("REQ", 254, 0) => 6,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(packets: u64, bytes: u64) -> Direction {
        Direction {
            packets,
            bytes,
            ..Direction::default()
        }
    }

    #[test]
    fn mean_size_rounds_half_up() {
        for (packets, bytes, expected) in [(0, 0, 0.0), (2, 3, 2.0), (2, 5, 3.0), (3, 100, 33.0), (4, 6, 2.0)]
        {
            assert_eq!(
                mean_size(&direction(packets, bytes)),
                expected,
                "{bytes} bytes in {packets} packets"
            );
        }
    }

    #[test]
    fn load_leaves_out_one_mean_packet() {
        assert_eq!(load(&direction(1, 500), 2.0), 0.0);
        assert_eq!(load(&direction(2, 301), 2.0), 604.0);
        assert_eq!(load(&direction(2, 301), 0.0), 0.0);
    }

    #[test]
    fn buckets_of_state_and_ttl() {
        for (state, source, destination, expected) in [
            ("FIN", 62, 252, 1),
            ("INT", 254, 0, 2),
            ("CON", 62, 60, 3),
            ("ACC", 254, 252, 4),
            ("RST", 254, 252, 0),
        ] {
            assert_eq!(state_ttl(state, source, destination), expected);
        }
    }
}
