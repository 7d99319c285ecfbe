//! How connections begin, what is sent twice, and connections across the status interval.

use super::frame::{ACK, CWR, ECE, FIN, PSH, RST, SYN, URG};
use super::script::{Connection, From, Line};
use super::{Case, SECOND};

use From::{Client, Server};

/// The handshake.
const OPENING: [Line; 3] = [
    (0, Client, SYN, 0, 0, 0),
    (20, Server, SYN | ACK, 0, 1, 0),
    (1, Client, ACK, 1, 1, 0),
];

const DATA: [Line; 3] = [
    (5, Client, PSH | ACK, 1, 1, 100),
    (30, Server, PSH | ACK, 1, 101, 700),
    (2, Client, ACK, 101, 701, 0),
];

/// Ports of services and others, for what is decided by them.
const PORTS: [(u16, u16); 9] = [
    (40_001, 80),
    (40_002, 8_080),
    (80, 40_003),
    (8_080, 40_004),
    (20, 40_005),
    (53, 853),
    (443, 1_024),
    (1_024, 40_006),
    (25, 1_025),
];

const BEGINNINGS: [&[Line]; 16] = [
    &OPENING,
    // The answer is seen before the question.
    &[
        (0, Server, SYN | ACK, 0, 1, 0),
        (1, Client, SYN, 0, 0, 0),
        (1, Client, ACK, 1, 1, 0),
    ],
    &[
        (0, Client, SYN, 0, 0, 0),
        (1, Client, ACK, 1, 1, 0),
        (20, Server, SYN | ACK, 0, 1, 0),
    ],
    // Without the question, without the answer, without the acknowledgement, from the middle.
    &[(0, Server, SYN | ACK, 0, 1, 0), (1, Client, ACK, 1, 1, 0)],
    &[(0, Client, SYN, 0, 0, 0), (1, Client, ACK, 1, 1, 0)],
    &[(0, Client, SYN, 0, 0, 0), (20, Server, SYN | ACK, 0, 1, 0)],
    &[(0, Client, ACK, 1, 1, 0)],
    &[(0, Server, PSH | ACK, 1, 1, 10), (1, Client, ACK, 1, 11, 0)],
    // Alone in one direction.
    &[
        (0, Server, SYN | ACK, 0, 1, 0),
        (1_000, Server, SYN | ACK, 0, 1, 0),
    ],
    // With the bits of congestion notification.
    &[
        (0, Client, SYN | ECE | CWR, 0, 0, 0),
        (500, Client, SYN | ECE | CWR, 0, 0, 0),
        (20, Server, SYN | ACK | ECE, 0, 1, 0),
        (1, Client, ACK, 1, 1, 0),
    ],
    // Both open at once.
    &[
        (0, Client, SYN, 0, 0, 0),
        (1, Server, SYN, 0, 0, 0),
        (20, Client, SYN | ACK, 0, 1, 0),
        (1, Server, SYN | ACK, 0, 1, 0),
    ],
    // Odd first segments, as scanners send them.
    &[(0, Client, FIN, 0, 0, 0), (5, Server, RST | ACK, 0, 0, 0)],
    &[(0, Client, 0, 0, 0, 0), (5, Server, RST | ACK, 0, 0, 0)],
    &[
        (0, Client, FIN | PSH | URG, 0, 0, 0),
        (5, Server, RST | ACK, 0, 0, 0),
    ],
    &[
        (0, Client, SYN | FIN, 0, 0, 0),
        (5, Server, SYN | ACK, 0, 1, 0),
        (1, Client, RST, 1, 0, 0),
    ],
    &[
        (0, Server, RST, 5, 0, 0),
        (5, Client, ACK, 1, 1, 0),
        (900, Client, SYN, 7, 0, 0),
    ],
];

/// Every beginning, between all kinds of ports.
pub(super) fn openings() -> Case {
    let mut case = Case::new("tcp-openings");
    let mut at = 0;
    for (number, beginning) in (0_u16..).zip(BEGINNINGS) {
        for (pair, &(client, server)) in (0_u8..).zip(&PORTS) {
            for with_data in [false, true] {
                at += SECOND / 10;
                let mut connection = Connection::new(number, server);
                // One host for each beginning; lower and higher addresses on either side.
                let host = 10 + u8::try_from(number * 2).unwrap_or(0) + u8::from(with_data);
                connection.client = (host, client);
                connection.server = (if pair % 2 == 0 { 3 } else { 200 }, server);
                let opened = connection.play(&mut case, at, beginning);
                if with_data {
                    connection.play(&mut case, opened, &DATA);
                }
            }
        }
    }
    case.with_traffic_around()
}

const EXCHANGES: [&[Line]; 9] = [
    // The same segment again, before and after it was acknowledged.
    &[
        (5, Client, PSH | ACK, 1, 1, 100),
        (200, Client, PSH | ACK, 1, 1, 100),
        (20, Server, ACK, 1, 101, 0),
    ],
    &[
        (5, Client, PSH | ACK, 1, 1, 100),
        (20, Server, ACK, 1, 101, 0),
        (200, Client, PSH | ACK, 1, 1, 100),
    ],
    // A lost segment in a flight, sent again after three equal acknowledgements.
    &[
        (5, Server, ACK, 1, 1, 500),
        (1, Server, ACK, 1_001, 1, 500),
        (1, Client, ACK, 1, 501, 0),
        (1, Server, ACK, 1_501, 1, 500),
        (1, Client, ACK, 1, 501, 0),
        (1, Server, ACK, 2_001, 1, 500),
        (1, Client, ACK, 1, 501, 0),
        (1, Server, ACK, 501, 1, 500),
        (20, Client, ACK, 1, 2_501, 0),
    ],
    // Two neighbours change places.
    &[
        (5, Client, ACK, 101, 1, 100),
        (1, Client, ACK, 1, 1, 100),
        (20, Server, ACK, 1, 201, 0),
    ],
    // A part again, with new data behind it.
    &[
        (5, Client, ACK, 1, 1, 100),
        (200, Client, ACK, 51, 1, 150),
        (20, Server, ACK, 1, 201, 0),
    ],
    // Keep-alives, and one that carries a byte.
    &[
        (5, Client, PSH | ACK, 1, 1, 100),
        (20, Server, ACK, 1, 101, 0),
        (10_000, Client, ACK, 100, 1, 0),
        (1, Server, ACK, 1, 101, 0),
        (10_000, Client, ACK, 100, 1, 1),
        (1, Server, ACK, 1, 101, 0),
    ],
    // Acknowledgements that run backwards and ahead.
    &[
        (5, Client, PSH | ACK, 1, 1, 100),
        (20, Server, ACK, 1, 101, 0),
        (1, Server, ACK, 1, 51, 0),
        (5, Client, PSH | ACK, 101, 1, 100),
        (1, Server, ACK, 1, 400, 0),
    ],
    // The handshake again.
    &[
        (5, Client, SYN, 0, 0, 0),
        (5, Server, SYN | ACK, 0, 1, 0),
        (5, Client, ACK, 1, 1, 20),
    ],
    // A long flight, half of it twice.
    &[
        (5, Client, ACK, 1, 1, 1_000),
        (1, Client, ACK, 1_001, 1, 1_000),
        (1, Client, ACK, 2_001, 1, 1_000),
        (1, Client, ACK, 3_001, 1, 1_000),
        (20, Server, ACK, 1, 2_001, 0),
        (200, Client, ACK, 2_001, 1, 1_000),
        (1, Client, ACK, 3_001, 1, 1_000),
        (20, Server, ACK, 1, 4_001, 0),
    ],
];

/// Segments that come twice, late or in another order, with several windows and near the end of the numbers.
pub(super) fn retransmissions() -> Case {
    let mut case = Case::new("tcp-retransmissions");
    let windows = [
        (8_192, None),
        (200, Some(7)),
        (60, None),
        (0, None),
        (65_535, Some(14)),
    ];
    let mut number = 0;
    for exchange in EXCHANGES {
        for (window, scale) in windows {
            for initial in [(1_000, 2_000), (u32::MAX - 150, u32::MAX - 600), (0, 0)] {
                number += 1;
                let connection = Connection {
                    window,
                    scale,
                    initial,
                    ..Connection::new(number, 7_000)
                };
                let opened = connection.play(&mut case, i64::from(number) * SECOND / 10, &OPENING);
                let told = connection.play(&mut case, opened, exchange);
                connection.play(&mut case, told, &[(5, Server, FIN | ACK, 5_000, 5_000, 0)]);
            }
        }
    }
    case.with_traffic_around()
}

/// Connections that last for several intervals, with and without silence at their borders.
pub(super) fn long() -> Case {
    let mut case = Case::new("tcp-status-intervals");
    let steps = [700, 5_000, 19_990, 29_999, 30_001, 59_000, 61_000, 100_000];
    for (number, step) in (0_u16..).zip(steps) {
        let connection = Connection::new(number, 22);
        let mut at = connection.play(&mut case, i64::from(number) * SECOND, &OPENING);
        let mut sent = (1, 1);
        for turn in 0..(250_000 / step) {
            at = connection.play(
                &mut case,
                at,
                &[
                    (step, Client, PSH | ACK, sent.0, sent.1, 48),
                    (40, Server, PSH | ACK, sent.1, sent.0 + 48, 64),
                    (3, Client, ACK, sent.0 + 48, sent.1 + 64, 0),
                ],
            );
            // Now and then everything comes again.
            if turn % 7 != 3 {
                sent = (sent.0 + 48, sent.1 + 64);
            }
        }
        connection.play(
            &mut case,
            at,
            &[
                (step, Client, FIN | ACK, sent.0, sent.1, 0),
                (20, Server, FIN | ACK, sent.1, sent.0 + 1, 0),
                (1, Client, ACK, sent.0 + 1, sent.1 + 1, 0),
                (45_000, Server, FIN | ACK, sent.1, sent.0 + 1, 0),
                (30_000, Server, RST, sent.1 + 1, 0, 0),
            ],
        );
    }
    case.with_traffic_around()
}
