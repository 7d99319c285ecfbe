//! Each rule of the meter on packets built for it.

use netsage_capture::MeterConfig;

use crate::packets::{
    ACK, FIN, From, From::*, MILLISECOND, RST, SECOND, SYN, icmp, meter, tcp, term, udp, value,
};

fn config() -> MeterConfig {
    MeterConfig::default()
}

/// A whole connection: handshake, request, reply, both finishes.
fn connection(port: u16, start: i64, request: &[u8], reply: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let sent = 101 + u32::try_from(request.len()).unwrap();
    let answered = 901 + u32::try_from(reply.len()).unwrap();
    let at = |milliseconds: i64| start + milliseconds * MILLISECOND;
    vec![
        (at(0), tcp(Client, port, SYN, 100, 0, b"")),
        (at(20), tcp(Server, port, SYN | ACK, 900, 101, b"")),
        (at(25), tcp(Client, port, ACK, 101, 901, b"")),
        (at(30), tcp(Client, port, ACK, 101, 901, request)),
        (at(60), tcp(Server, port, ACK, 901, sent, reply)),
        (at(70), tcp(Client, port, FIN | ACK, sent, answered, b"")),
        (at(80), tcp(Server, port, FIN | ACK, answered, sent + 1, b"")),
        (at(90), tcp(Client, port, ACK, sent + 1, answered + 1, b"")),
    ]
}

#[test]
fn a_connection_is_one_record_with_its_handshake() {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let (batch, _) = meter(config(), &connection(80, SECOND, request, reply));
    assert_eq!(batch.len(), 1);
    assert_eq!(term(&batch, 0, "proto"), "tcp");
    assert_eq!(term(&batch, 0, "service"), "http");
    assert_eq!(term(&batch, 0, "state"), "FIN");
    for (column, expected) in [
        ("dur", 0.09),
        ("spkts", 5.0),
        ("dpkts", 3.0),
        ("sbytes", 200.0 + request.len() as f64),
        ("dbytes", 120.0 + reply.len() as f64),
        ("sttl", 62.0),
        ("dttl", 252.0),
        ("stcpb", 100.0),
        ("dtcpb", 900.0),
        ("synack", 0.02),
        ("ackdat", 0.005),
        ("tcprtt", 0.025),
        ("swin", 255.0),
        ("sloss", 0.0),
        ("trans_depth", 1.0),
        ("response_body_len", 5.0),
        ("ct_flw_http_mthd", 1.0),
        ("ct_state_ttl", 1.0),
        ("ct_srv_src", 1.0),
        ("is_sm_ips_ports", 0.0),
    ] {
        assert!(
            (value(&batch, 0, column) - expected).abs() < 1e-9,
            "{column}: {}",
            value(&batch, 0, column)
        );
    }
}

/// The state that a sequence of flags leads to.
fn check_state(packets: &[(From, u8)], expected: &str) {
    let packets: Vec<_> = packets
        .iter()
        .zip(0..)
        .map(|(&(from, flags), index)| (index * MILLISECOND, tcp(from, 80, flags, 1, 1, b"")))
        .collect();
    let (batch, _) = meter(config(), &packets);
    assert_eq!(term(&batch, 0, "state"), expected);
}

#[test]
fn states_of_tcp() {
    check_state(&[(Client, SYN)], "REQ");
    check_state(&[(Client, SYN), (Server, SYN | ACK)], "ACC");
    check_state(&[(Client, SYN), (Server, SYN | ACK), (Client, ACK)], "CON");
    check_state(&[(Client, SYN), (Server, RST | ACK)], "RST");
    check_state(&[(Client, FIN | ACK)], "FIN");
}

#[test]
fn other_protocols_have_states_by_direction() {
    let (batch, _) = meter(config(), &[(0, udp(Client, 9, b"x"))]);
    assert_eq!(term(&batch, 0, "state"), "INT");
    let (batch, _) = meter(config(), &[(0, udp(Client, 9, b"x")), (1, udp(Server, 9, b"x"))]);
    assert_eq!(term(&batch, 0, "state"), "CON");
    let (batch, _) = meter(
        config(),
        &[(0, icmp(Client, 8, 0, 7)), (1, icmp(Server, 0, 0, 7))],
    );
    assert_eq!(
        (batch.len(), term(&batch, 0, "state"), value(&batch, 0, "dpkts")),
        (1, "ECO", 1.0)
    );
}

#[test]
fn a_long_flow_gives_a_record_per_status_interval() {
    let packets: Vec<_> = (0..13)
        .map(|index| (index * 10 * SECOND, udp(Client, 9, b"x")))
        .collect();
    let (batch, _) = meter(config(), &packets);
    let counts: Vec<_> = (0..batch.len())
        .map(|record| value(&batch, record, "spkts"))
        .collect();
    assert_eq!(counts, [6.0, 6.0, 1.0]);
    assert_eq!(
        [term(&batch, 0, "state"), term(&batch, 1, "state")],
        ["INT", "REQ"]
    );
}

#[test]
fn a_record_of_one_side_at_the_end_of_time_begins_before_it_ends() {
    // Within the last whole second that there is.
    let last = i64::MAX - SECOND / 2;
    let mut packets: Vec<_> = [61, 40, 20, 2]
        .map(|before| (last - before * SECOND, udp(Client, 9, b"x")))
        .to_vec();
    packets.extend([0, 1].map(|after| (last + after * MILLISECOND, udp(Server, 9, b"x"))));
    let (batch, _) = meter(config(), &packets);
    let times: Vec<_> = batch
        .identities
        .iter()
        .map(|identity| (identity.start_ns - last, identity.end_ns - last))
        .collect();
    assert_eq!(times, [(-61 * SECOND, -2 * SECOND), (0, MILLISECOND)]);
}

/// The states of the records of two equal packets, with other traffic around them to move the timers.
fn states_across(gap: i64, packet: &[u8]) -> Vec<&'static str> {
    let mut packets: Vec<_> = (0..200)
        .map(|second| (second * SECOND, tcp(Client, 9, ACK, 1, 1, b"")))
        .collect();
    packets.push((0, packet.to_vec()));
    packets.push((gap * SECOND, packet.to_vec()));
    packets.sort_by_key(|(time_ns, _)| *time_ns);
    let (batch, _) = meter(config(), &packets);
    (0..batch.len())
        .filter(|&record| term(&batch, record, "proto") != "tcp")
        .map(|record| term(&batch, record, "state"))
        .collect()
}

#[test]
fn a_flow_is_remembered_for_its_timeout_after_its_record() {
    let datagram = udp(Client, 9, b"x");
    assert_eq!(states_across(59, &datagram), ["INT"]);
    assert_eq!(states_across(89, &datagram), ["INT", "REQ"], "the same flow");
    assert_eq!(states_across(91, &datagram), ["INT", "INT"], "another flow");
    let ping = icmp(Client, 8, 0, 7);
    assert_eq!(
        states_across(59, &ping).len(),
        1,
        "idle for longer than its timeout, within the interval"
    );
    assert_eq!(states_across(66, &ping).len(), 2);
}

#[test]
fn without_traffic_no_timer_of_a_replay_moves() {
    let (batch, _) = meter(
        config(),
        &[(0, udp(Client, 9, b"x")), (1000 * SECOND, udp(Client, 9, b"x"))],
    );
    assert_eq!(
        [term(&batch, 0, "state"), term(&batch, 1, "state")],
        ["INT", "REQ"]
    );
}

#[test]
fn a_syn_on_a_closed_connection_is_another_record() {
    let opening = connection(80, SECOND, b"a", b"b");
    for (ending, records) in [
        (vec![(0, tcp(Server, 80, RST, 902, 0, b""))], 2),
        (vec![(0, tcp(Client, 80, FIN | ACK, 102, 902, b""))], 2),
        // Argus takes a connection whose closing was acknowledged on.
        (
            vec![
                (0, tcp(Client, 80, FIN | ACK, 102, 902, b"")),
                (1, tcp(Server, 80, ACK, 902, 103, b"")),
            ],
            1,
        ),
    ] {
        let mut packets = connection(80, 0, b"a", b"b")[..5].to_vec();
        packets.extend(
            ending
                .into_iter()
                .map(|(at, packet)| (100 * MILLISECOND + at, packet)),
        );
        packets.extend(opening.clone());
        let (batch, _) = meter(config(), &packets);
        assert_eq!(batch.len(), records);
    }
}

#[test]
fn an_answer_seen_first_is_turned_round() {
    for packets in [
        vec![tcp(Server, 80, ACK, 1, 1, b"x")],
        vec![tcp(Server, 8080, ACK, 1, 1, b"x")],
        vec![
            tcp(Server, 5001, SYN | ACK, 1, 1, b""),
            tcp(Server, 5001, FIN | ACK, 2, 1, b""),
        ],
        vec![icmp(Server, 0, 0, 7)],
    ] {
        let answers = packets.len() as f64;
        let timed: Vec<_> = packets.into_iter().map(|packet| (0, packet)).collect();
        let (batch, _) = meter(config(), &timed);
        assert_eq!(batch.identities[0].source.to_string(), "10.0.0.1");
        assert_eq!(
            (value(&batch, 0, "spkts"), value(&batch, 0, "dpkts")),
            (0.0, answers)
        );
    }
    let (batch, _) = meter(config(), &[(0, udp(Server, 80, b"x"))]);
    assert_eq!(
        batch.identities[0].source.to_string(),
        "10.0.0.2",
        "udp is never turned"
    );
}

#[test]
fn dns_transactions_are_flows_of_their_own() {
    let query = |id: u8| udp(Client, 53, &[0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let (batch, _) = meter(config(), &[(0, query(1)), (1, query(2)), (2, query(1))]);
    assert_eq!(batch.len(), 2);
    assert_eq!(term(&batch, 0, "service"), "dns");
}

#[test]
fn retransmissions_are_counted_by_side() {
    let mut packets = connection(80, 0, b"request", b"reply");
    packets.insert(1, (MILLISECOND, tcp(Client, 80, SYN, 100, 0, b"")));
    packets.insert(5, (31 * MILLISECOND, tcp(Client, 80, ACK, 101, 901, b"request")));
    let (batch, _) = meter(config(), &packets);
    assert_eq!((value(&batch, 0, "sloss"), value(&batch, 0, "dloss")), (2.0, 0.0));
    assert!(
        (value(&batch, 0, "synack") - 0.019).abs() < 1e-9,
        "from the last SYN"
    );
}

#[test]
fn gaps_of_zero_and_of_two_intervals_do_not_count() {
    let times = [0, 0, 10 * MILLISECOND, 30 * MILLISECOND];
    let packets: Vec<_> = times
        .into_iter()
        .map(|time| (time, udp(Client, 9, b"x")))
        .collect();
    let (batch, _) = meter(config(), &packets);
    assert!((value(&batch, 0, "sinpkt") - 15.0).abs() < 1e-9);
    assert!((value(&batch, 0, "sjit") - 5.0).abs() < 1e-9);
}

#[test]
fn counts_are_totals_of_a_block_of_100() {
    let packets: Vec<_> = (0..150_u16)
        .map(|index| (i64::from(index), udp(Client, 1000 + index, b"x")))
        .collect();
    let (batch, _) = meter(config(), &packets);
    let counts: Vec<_> = (0..150)
        .map(|record| value(&batch, record, "ct_dst_ltm"))
        .collect();
    assert!(counts[..100].iter().all(|&count| count == 100.0));
    assert!(counts[100..].iter().all(|&count| count == 50.0));
    assert_eq!(value(&batch, 0, "ct_src_dport_ltm"), 1.0);
    assert_eq!(value(&batch, 149, "ct_dst_sport_ltm"), 50.0);
}

#[test]
fn later_pieces_count_for_the_flow_of_the_first() {
    let mut first = udp(Client, 9, &[0; 16]);
    first[5] = 77;
    first[6] = 0x20;
    let mut second = first.clone();
    second[6] = 0;
    second[7] = 3;
    let (batch, _) = meter(config(), &[(0, first), (1, second.clone())]);
    assert_eq!((batch.len(), value(&batch, 0, "spkts")), (1, 2.0));
    let (batch, _) = meter(config(), &[(0, second.clone()), (61 * SECOND, second)]);
    assert_eq!(batch.len(), 2, "pieces without their first are a flow");
}

/// A piece of an IPv6 packet whose first piece holds an extension header that all pieces name.
fn piece_of_ipv6(offset_and_more: u16, rest: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(8 + rest.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, high, low, 44, 64];
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend([60, 0]);
    packet.extend(offset_and_more.to_be_bytes());
    packet.extend([0, 1, 2, 3]);
    packet.extend(rest);
    packet
}

#[test]
fn later_pieces_of_ipv6_find_the_flow_of_the_first() {
    let mut first = vec![17, 0, 1, 4, 0, 0, 0, 0];
    first.extend(&udp(Client, 9, &[7; 24])[20..]);
    let (batch, _) = meter(
        config(),
        &[
            (0, piece_of_ipv6(1, &first)),
            (1, piece_of_ipv6(40 | 1, &[7; 40])),
            (2, piece_of_ipv6(80, &[7; 10])),
        ],
    );
    assert_eq!((batch.len(), value(&batch, 0, "spkts")), (1, 3.0));
    assert_eq!(term(&batch, 0, "proto"), "udp");
}

/// Meters packets of one flow at these seconds: packets per record, false times and clock resets.
fn check_times(seconds: &[i64], records: &[f64], false_times: u64, clock_resets: u64) {
    let packets: Vec<_> = seconds
        .iter()
        .map(|seconds| (seconds.saturating_mul(SECOND), udp(Client, 9, b"x")))
        .collect();
    let (batch, meter) = meter(config(), &packets);
    let counts: Vec<_> = (0..batch.len())
        .map(|record| value(&batch, record, "spkts"))
        .collect();
    assert_eq!(counts, records, "{seconds:?}");
    let stats = meter.stats();
    assert_eq!(stats.packets, seconds.len() as u64);
    assert_eq!(
        (stats.false_times, stats.clock_resets),
        (false_times, clock_resets),
        "{seconds:?}"
    );
}

#[test]
fn one_false_time_ends_no_flow() {
    let far = 4_000_000_000;
    check_times(&[1_000, 1_001, far, 1_002], &[4.0], 1, 0);
    check_times(&[1_000, 1_001, 0, 1_002], &[4.0], 1, 0);
    check_times(&[1_000, i64::MAX, 1_001, i64::MIN, 1_002], &[5.0], 2, 0);
}

#[test]
fn time_that_really_leaps_is_followed() {
    check_times(&[0, 7_200, 7_201], &[1.0, 2.0], 0, 0);
    check_times(&[0, 7_200, 14_400, 21_600], &[1.0; 4], 0, 0);
    check_times(&[7_200, 7_201, 0, 1, 2], &[2.0, 3.0], 0, 1);
    check_times(&[i64::MIN, i64::MAX], &[1.0; 2], 0, 0);
}

#[test]
fn services_are_recognised_from_their_first_bytes() {
    for (port, request, reply, expected) in [
        (2222, "SSH-2.0-x\r\n", "SSH-2.0-y\r\n", "ssh"),
        (2525, "EHLO me\r\n", "250 hello\r\n", "smtp"),
        (110, "USER me\r\n", "+OK\r\n", "-"),
        (443, "\x16\x03\x01\x00\x05\x01\x00\x00\x00\x00", "", "ssl"),
        (8080, "POST /x HTTP/1.1\r\n\r\n", "", "http"),
        (6667, "NICK me\r\nUSER me 0 * :me\r\n", "", "irc"),
        (20, "data", "", "ftp-data"),
        (9999, "nothing known", "nor this", "-"),
    ] {
        let (batch, _) = meter(
            config(),
            &connection(port, 0, request.as_bytes(), reply.as_bytes()),
        );
        assert_eq!(term(&batch, 0, "service"), expected, "port {port}");
    }
}
