//! Scripts of TCP connections: one line per segment.

use super::frame::{ACK, Ip, SYN, Segment};
use super::{Case, MILLISECOND};

/// Who sends a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Client,
    Server,
}

/// A segment of a script: after how many milliseconds, from whom, the control bits, the sequence and
/// acknowledgement numbers relative to the initial ones, and the bytes of data.
pub(super) type Line = (i64, From, u8, u32, u32, usize);

/// A connection that a script is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    pub(super) client: (u8, u16),
    pub(super) server: (u8, u16),
    /// Initial sequence numbers of client and server.
    pub(super) initial: (u32, u32),
    pub(super) window: u16,
    pub(super) scale: Option<u8>,
}

impl Connection {
    /// The connection `number` of a case, to `port`.
    pub(super) fn new(number: u16, port: u16) -> Self {
        Self {
            client: (1, 30_000 + number),
            server: (2, port),
            initial: (1_000_000 + 70_000 * u32::from(number), 9_000_000),
            window: 8_192,
            scale: None,
        }
    }

    /// Plays a script from `start_us` on; gives the time of its last segment.
    pub(super) fn play(&self, case: &mut Case, start_us: i64, script: &[Line]) -> i64 {
        let mut at = start_us;
        for (index, &(wait, from, flags, sequence, acknowledgement, length)) in script.iter().enumerate() {
            at += wait * MILLISECOND;
            let (this, other, initial) = match from {
                From::Client => (self.client, self.server, self.initial),
                From::Server => (self.server, self.client, (self.initial.1, self.initial.0)),
            };
            let segment = Segment {
                ip: Ip {
                    identification: 1 + u16::try_from(index).unwrap_or(0),
                    ..Ip::new(this.0, other.0)
                },
                ports: (this.1, other.1),
                flags,
                sequence: initial.0.wrapping_add(sequence),
                acknowledgement: match flags & ACK {
                    0 => 0,
                    _ => initial.1.wrapping_add(acknowledgement),
                },
                window: self.window,
                scale: self.scale.filter(|_| flags & SYN != 0),
                length,
            };
            case.add(at, segment.frame());
        }
        at
    }
}
