//! How connections end, and what comes after.

use super::frame::{ACK, FIN, PSH, RST, SYN};
use super::script::{Connection, From, Line};
use super::{Case, SECOND};

use From::{Client, Server};

const OPENING: [Line; 5] = [
    (0, Client, SYN, 0, 0, 0),
    (20, Server, SYN | ACK, 0, 1, 0),
    (1, Client, ACK, 1, 1, 0),
    (5, Client, PSH | ACK, 1, 1, 100),
    (30, Server, PSH | ACK, 1, 101, 700),
];

/// Both sides close, the client first.
const CLOSED: [Line; 4] = [
    (3, Client, FIN | ACK, 101, 701, 0),
    (20, Server, ACK, 701, 102, 0),
    (9, Server, FIN | ACK, 701, 102, 0),
    (1, Client, ACK, 102, 702, 0),
];

/// Endings of an open connection that has exchanged 100 and 700 bytes.
const ENDINGS: [&[Line]; 14] = [
    // Never ends.
    &[],
    &CLOSED,
    // The server closes, and the client answers in one segment.
    &[
        (3, Server, FIN | ACK, 701, 101, 0),
        (1, Client, FIN | ACK, 101, 702, 0),
        (20, Server, ACK, 702, 102, 0),
    ],
    // Both at once.
    &[
        (3, Client, FIN | ACK, 101, 701, 0),
        (1, Server, FIN | ACK, 701, 101, 0),
        (20, Client, ACK, 102, 702, 0),
        (1, Server, ACK, 702, 102, 0),
    ],
    // Half close: the client is done, the server goes on for long.
    &[
        (3, Client, FIN | ACK, 101, 701, 0),
        (20, Server, ACK, 701, 102, 0),
        (900, Server, PSH | ACK, 701, 102, 1_000),
        (5, Client, ACK, 102, 1_701, 0),
        (20_000, Server, PSH | ACK, 1_701, 102, 1_000),
        (5, Client, ACK, 102, 2_701, 0),
        (50_000, Server, FIN | PSH | ACK, 2_701, 102, 500),
        (5, Client, ACK, 102, 3_202, 0),
    ],
    // The last data carry the finish, and it is sent twice.
    &[
        (3, Client, FIN | PSH | ACK, 101, 701, 50),
        (300, Client, FIN | PSH | ACK, 101, 701, 50),
        (20, Server, FIN | ACK, 701, 152, 0),
        (200, Server, FIN | ACK, 701, 152, 0),
        (1, Client, ACK, 152, 702, 0),
    ],
    // The client resets within the window, and outside of it.
    &[(3, Client, RST | ACK, 101, 701, 0)],
    &[
        (3, Client, RST, 60_000, 0, 0),
        (1, Server, PSH | ACK, 701, 101, 10),
    ],
    // The server resets after the client's finish.
    &[
        (3, Client, FIN | ACK, 101, 701, 0),
        (20, Server, RST | ACK, 701, 102, 0),
    ],
    // A reset, and what was on its way.
    &[
        (3, Server, RST, 701, 0, 0),
        (1, Client, PSH | ACK, 101, 701, 40),
        (1, Server, RST, 701, 0, 0),
        (400, Client, FIN | ACK, 141, 701, 0),
        (1, Server, RST, 701, 0, 0),
    ],
    // Finishes that acknowledge nothing.
    &[
        (3, Client, FIN, 101, 0, 0),
        (20, Server, FIN, 701, 0, 0),
        (4, Client, FIN, 101, 0, 0),
    ],
    // Data after the finish.
    &[
        (3, Client, FIN | ACK, 101, 701, 0),
        (1, Client, PSH | ACK, 101, 701, 60),
        (1, Client, PSH | ACK, 161, 701, 60),
        (20, Server, ACK, 701, 102, 0),
    ],
    // Silence of more than an interval, then a finish.
    &[
        (70_000, Client, FIN | ACK, 101, 701, 0),
        (20, Server, FIN | ACK, 701, 102, 0),
        (1, Client, ACK, 102, 702, 0),
    ],
    // Silence of more than interval and timeout, then data and a reset.
    &[
        (130_000, Client, PSH | ACK, 101, 701, 33),
        (20, Server, RST, 701, 0, 0),
    ],
];

/// Attempts that fail.
const FAILURES: [&[Line]; 6] = [
    &[(0, Client, SYN, 0, 0, 0)],
    &[
        (0, Client, SYN, 0, 0, 0),
        (1_000, Client, SYN, 0, 0, 0),
        (2_000, Client, SYN, 0, 0, 0),
    ],
    &[(0, Client, SYN, 0, 0, 0), (20, Server, RST | ACK, 0, 1, 0)],
    &[
        (0, Client, SYN, 0, 0, 0),
        (20, Server, RST | ACK, 0, 1, 0),
        (500, Client, SYN, 0, 0, 0),
        (20, Server, RST | ACK, 0, 1, 0),
        (500, Client, SYN, 5, 0, 0),
        (20, Server, RST | ACK, 0, 6, 0),
    ],
    &[
        (0, Client, SYN, 0, 0, 0),
        (20, Server, SYN | ACK, 0, 1, 0),
        (1, Client, RST, 1, 0, 0),
    ],
    &[
        (0, Client, SYN, 0, 0, 0),
        (20, Server, SYN | ACK, 0, 1, 0),
        (1_000, Server, SYN | ACK, 0, 1, 0),
        (2_000, Server, SYN | ACK, 0, 1, 0),
        (61_000, Server, RST, 1, 0, 0),
    ],
];

/// Each ending once, and each failure to begin.
pub(super) fn endings() -> Case {
    let mut case = Case::new("tcp-endings");
    let mut number = 0;
    for ending in ENDINGS {
        number += 1;
        let connection = Connection::new(number, 80);
        let opened = connection.play(&mut case, i64::from(number) * SECOND, &OPENING);
        connection.play(&mut case, opened, ending);
    }
    for failure in FAILURES {
        number += 1;
        Connection::new(number, 81).play(&mut case, i64::from(number) * SECOND, failure);
    }
    case.with_traffic_around()
}

/// Every ending followed by a connection of the same ports: by the client soon and late, and by the server.
pub(super) fn reuse() -> Case {
    let mut case = Case::new("tcp-port-reuse");
    let mut number = 0;
    for ending in ENDINGS {
        for (wait, turned) in [
            (SECOND / 10, false),
            (30 * SECOND, false),
            (70 * SECOND, false),
            (SECOND, true),
        ] {
            number += 1;
            let first = Connection::new(number, 80);
            let opened = first.play(&mut case, i64::from(number) * SECOND / 3, &OPENING);
            let ended = first.play(&mut case, opened, ending);
            let mut second = Connection {
                initial: (first.initial.0 + 50_000, 77_000_000),
                ..first
            };
            if turned {
                (second.client, second.server) = (second.server, second.client);
            }
            let opened = second.play(&mut case, ended + wait, &OPENING);
            second.play(&mut case, opened, &CLOSED);
        }
    }
    case.with_traffic_around()
}
