//! A TCP connection as the point of capture sees it, made packet by packet.
//!
//! The two sides take turns. What a side says goes out in flights that grow as in slow start; the other
//! side acknowledges every second segment. Times follow from the distance of each side to the capture.

use std::collections::VecDeque;

use rand::RngExt;

use crate::dialogue::{Dialogue, Payload, Side, Turn};
use crate::hosts::Host;
use crate::random::{MICROSECOND, MILLISECOND, Random, SECOND, delay, line_time, waiting};
use crate::segment::{ACK, End, FIN, PSH, RST, SYN, Segment};

/// What becomes of the first SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The connection is made.
    Accepted,
    /// The port is closed.
    Refused,
    /// Nobody answers; the SYN is repeated that many times.
    Silent(u8),
    /// The server answers and the client leaves it waiting; the SYN-ACK is repeated that many times.
    HalfOpen(u8),
    /// The client resets as soon as the server answered, as a scanner does.
    Probed,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// A FIN from this side, answered by one of the other.
    Fin(Side),
    /// A reset by this side.
    Reset(Side),
    /// Not at all within the capture.
    Open,
}

#[derive(Debug)]
enum Phase {
    Opening,
    Talking,
    Speaking {
        turn: Turn,
        offset: usize,
        start_ns: i64,
        window: usize,
    },
    Closing,
    Over,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    ends: [End; 2],
    opening: Opening,
    closing: Closing,
    /// Chance that a data segment is lost behind the point of capture and sent again.
    loss: f64,
    timestamps: bool,
    turns: VecDeque<Turn>,
    phase: Phase,
    /// When the capture saw the last packet.
    clock_ns: i64,
    last_speaker: usize,
}

impl Connection {
    pub(crate) fn new(
        start_ns: i64,
        client: (Host, u16),
        server: (Host, u16),
        dialogue: Dialogue,
        random: &mut Random,
    ) -> Self {
        let mut end = |(host, port): (Host, u16)| End {
            host,
            port,
            sequence: random.random(),
            expected: 0,
            clock_offset: random.random(),
            last_timestamp: 0,
            identification: random.random(),
        };
        Self {
            timestamps: client.0.stack.timestamps && server.0.stack.timestamps,
            ends: [end(client), end(server)],
            opening: Opening::Accepted,
            closing: Closing::Fin(Side::Client),
            loss: 0.003,
            turns: dialogue.turns,
            phase: Phase::Opening,
            clock_ns: start_ns,
            last_speaker: 0,
        }
    }

    pub(crate) fn opening(mut self, opening: Opening) -> Self {
        self.opening = opening;
        self
    }

    pub(crate) fn closing(mut self, closing: Closing) -> Self {
        self.closing = closing;
        self
    }

    pub(crate) fn ends(&self) -> [(Host, u16); 2] {
        self.ends.map(|end| (end.host, end.port))
    }

    /// Makes the next packets, in the order of their times; none when the connection is over.
    pub(crate) fn advance(&mut self, random: &mut Random, out: &mut VecDeque<(i64, Vec<u8>)>) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Opening => self.open(random, out),
            Phase::Talking => match self.turns.pop_front() {
                Some(turn) => {
                    let start_ns = self.answer_time(turn.from.index(), turn.wait_ns);
                    self.phase = Phase::Speaking {
                        turn,
                        offset: 0,
                        start_ns,
                        window: 10,
                    };
                    self.advance(random, out);
                }
                None => {
                    self.phase = Phase::Closing;
                    self.advance(random, out);
                }
            },
            Phase::Speaking {
                turn,
                offset,
                start_ns,
                window,
            } => {
                self.fly(turn, offset, start_ns, window, random, out);
            }
            Phase::Closing => self.close(random, out),
            Phase::Over => {}
        }
    }

    /// When the capture sees a packet that a side sends after it took `wait_ns`.
    fn answer_time(&self, side: usize, wait_ns: i64) -> i64 {
        let travel = if self.last_speaker == side {
            0
        } else {
            self.ends[side].host.distance_ns
        };
        self.clock_ns + travel + wait_ns.max(MICROSECOND)
    }

    fn open(&mut self, random: &mut Random, out: &mut VecDeque<(i64, Vec<u8>)>) {
        // A lost SYN, or one that nobody hears, is repeated after one second, then after two more.
        let repeats = match self.opening {
            Opening::Silent(repeats) => repeats,
            Opening::Accepted => u8::from(random.random_bool(self.loss / 2.0)),
            _ => 0,
        };
        for attempt in 0..=repeats {
            if attempt > 0 {
                self.clock_ns += SECOND << (attempt - 1).min(6);
            }
            self.emit(0, self.clock_ns, SYN, self.ends[0].sequence, None, random, out);
        }
        self.ends[0].sequence = self.ends[0].sequence.wrapping_add(1);
        self.ends[1].expected = self.ends[0].sequence;
        let answer = self.clock_ns + self.ends[1].host.distance_ns + waiting(random, 60 * MICROSECOND);
        match self.opening {
            Opening::Silent(_) => return,
            Opening::Refused => {
                self.ends[1].sequence = 0;
                self.emit(1, answer, RST | ACK, 0, None, random, out);
                return;
            }
            _ => self.emit(1, answer, SYN | ACK, self.ends[1].sequence, None, random, out),
        }
        if let Opening::HalfOpen(repeats) = self.opening {
            let mut time = answer;
            for attempt in 0..repeats {
                time += SECOND << attempt.min(6);
                self.emit(1, time, SYN | ACK, self.ends[1].sequence, None, random, out);
            }
            return;
        }
        self.ends[1].sequence = self.ends[1].sequence.wrapping_add(1);
        self.ends[0].expected = self.ends[1].sequence;
        let third = answer + self.ends[0].host.distance_ns + waiting(random, 20 * MICROSECOND);
        if self.opening == Opening::Probed {
            self.emit(0, third, RST, self.ends[0].sequence, None, random, out);
            return;
        }
        self.emit(0, third, ACK, self.ends[0].sequence, None, random, out);
        self.clock_ns = third;
        self.last_speaker = 0;
        self.phase = Phase::Talking;
    }

    /// One flight of a turn with its acknowledgements.
    fn fly(
        &mut self,
        turn: Turn,
        mut offset: usize,
        start_ns: i64,
        window: usize,
        random: &mut Random,
        out: &mut VecDeque<(i64, Vec<u8>)>,
    ) {
        let from = turn.from.index();
        let to = 1 - from;
        let total = turn.payload.length();
        let options = if self.timestamps { 12 } else { 0 };
        let segment = usize::from(self.ends[0].host.stack.mss.min(self.ends[1].host.stack.mss)) - options;
        // A side that answers at once acknowledges with its answer.
        let answered = self
            .turns
            .front()
            .is_some_and(|next| next.from != turn.from && next.wait_ns < 40 * MILLISECOND);
        let first_out = out.len();
        let mut time = start_ns;
        let mut first_ack = None;
        for number in 1..=window {
            let length = segment.min(total - offset);
            let last = offset + length == total;
            let flags = if last { ACK | PSH } else { ACK };
            let sequence = self.ends[from].sequence;
            self.emit(
                from,
                time,
                flags,
                sequence,
                Some((&turn.payload, offset, length)),
                random,
                out,
            );
            if random.random_bool(self.loss) {
                let trip = self.ends[0].host.distance_ns + self.ends[1].host.distance_ns;
                let again = time + (2 * trip).max(if last { 200 * MILLISECOND } else { trip });
                let data = Some((&turn.payload, offset, length));
                self.emit(from, again, flags, sequence, data, random, out);
                time = again;
            }
            self.ends[from].sequence = sequence.wrapping_add(length as u32);
            self.ends[to].expected = self.ends[from].sequence;
            offset += length;
            let due = if last {
                !answered
            } else {
                number % 2 == 0 || number == window
            };
            if due {
                let ack = time + self.ends[to].host.distance_ns + waiting(random, 40 * MICROSECOND);
                first_ack.get_or_insert(ack);
                self.emit(to, ack, ACK, self.ends[to].sequence, None, random, out);
            }
            if last {
                break;
            }
            let line = line_time(length) + waiting(random, 15 * MICROSECOND);
            time += line.max(turn.pace_ns + waiting(random, turn.pace_ns / 10 + 1));
        }
        out.make_contiguous()[first_out..].sort_by_key(|&(time, _)| time);
        // Whoever the capture saw last may be either side; what counts for the next turn is who must answer.
        let last_time = out.back().map_or(time, |&(time, _)| time);
        self.clock_ns = last_time;
        if offset < total {
            let next = first_ack.map_or(time, |ack| ack + self.ends[from].host.distance_ns);
            let start_ns = next.max(last_time + turn.pace_ns.max(8 * MICROSECOND));
            self.phase = Phase::Speaking {
                turn,
                offset,
                start_ns,
                window: (window * 2).min(40),
            };
        } else {
            self.last_speaker = if answered { from } else { to };
            self.phase = Phase::Talking;
        }
    }

    fn close(&mut self, random: &mut Random, out: &mut VecDeque<(i64, Vec<u8>)>) {
        let (side, reset) = match self.closing {
            Closing::Open => return,
            Closing::Fin(side) => (side.index(), false),
            Closing::Reset(side) => (side.index(), true),
        };
        let other = 1 - side;
        let time = self.answer_time(side, delay(random, 2 * MILLISECOND, 1.0));
        if reset {
            self.emit(side, time, RST | ACK, self.ends[side].sequence, None, random, out);
            return;
        }
        self.emit(side, time, FIN | ACK, self.ends[side].sequence, None, random, out);
        self.ends[side].sequence = self.ends[side].sequence.wrapping_add(1);
        self.ends[other].expected = self.ends[side].sequence;
        let mut answer = time + self.ends[other].host.distance_ns + waiting(random, 50 * MICROSECOND);
        if random.random_bool(0.4) {
            self.emit(other, answer, ACK, self.ends[other].sequence, None, random, out);
            answer += delay(random, MILLISECOND, 0.8);
        }
        self.emit(
            other,
            answer,
            FIN | ACK,
            self.ends[other].sequence,
            None,
            random,
            out,
        );
        self.ends[other].sequence = self.ends[other].sequence.wrapping_add(1);
        self.ends[side].expected = self.ends[other].sequence;
        let last = answer + self.ends[side].host.distance_ns + waiting(random, 20 * MICROSECOND);
        self.emit(side, last, ACK, self.ends[side].sequence, None, random, out);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a segment")]
    fn emit(
        &mut self,
        from: usize,
        time_ns: i64,
        flags: u8,
        sequence: u32,
        data: Option<(&Payload, usize, usize)>,
        random: &mut Random,
        out: &mut VecDeque<(i64, Vec<u8>)>,
    ) {
        let segment = Segment {
            time_ns,
            flags,
            sequence,
            data,
        };
        let bytes = segment.write(&mut self.ends, from, self.timestamps, random);
        out.push_back((time_ns, bytes));
    }
}
